//! What the process has to do so that a changed parameter takes effect, done while CONFIG SET runs: it may fail, and then
//! the command's own reply says so, also inside a transaction. Sockets opened here are left for the server to accept on.
//! Main thread.

#![forbid(unsafe_code)]

use crate::command::state::State;
use crate::config::title::{TitleParts, expand};
use crate::config::{Apply, Config, Flags, OomScoreAdj, find};
use crate::observe::log;
use crate::sys::rlimit::{self, FilesOutcome};
use crate::sys::{Errno, crash, oom, socket, title};
use crate::transport::plain::{self, ListenerKind};
use crate::transport::tls::TlsContext;

/// Carries the steps out that follow from setting `pairs`. Where one fails, the parameters are as `before` again, and the
/// steps before it have been undone. The error is the reply.
pub(super) fn follow(
    state: &mut State,
    before: Config,
    steps: &[Apply],
    pairs: &[(&[u8], &[u8])],
) -> Result<(), String> {
    for (index, step) in steps.iter().enumerate() {
        if let Err((name, reason)) = follow_one(state, *step) {
            let name = blamed(*step, &before, &state.config, pairs).unwrap_or(name);
            log::warning(format_args!(
                "Failed applying new configuration. Possibly related to new {name} setting. Restoring previous settings."
            ));
            state.config = before;
            // What could be done before can be done again; where it cannot, the log has the reason.
            for done in &steps[..=index] {
                let _ = follow_one(state, *done);
            }
            return Err(format!("CONFIG SET failed (possibly related to argument '{name}') - {reason}"));
        }
    }
    Ok(())
}

/// The first parameter whose change made a step necessary.
fn blamed(step: Apply, before: &Config, now: &Config, pairs: &[(&[u8], &[u8])]) -> Option<&'static str> {
    let set = pairs.iter().filter_map(|(name, _)| find(name)).filter(|param| param.apply == step);
    let mut changed =
        set.filter(|param| param.flags.contains(Flags::VOLATILE) || param.text(before) != param.text(now));
    changed.next().map(|param| param.name)
}

/// The parameter to name and the reason where it fails.
fn follow_one(state: &mut State, step: Apply) -> Result<(), (&'static str, String)> {
    match step {
        Apply::Bind if !(listen_again(state, ListenerKind::Tcp) && listen_again(state, ListenerKind::Tls)) => {
            Err(("bind", "Failed to bind to specified addresses.".to_owned()))
        }
        Apply::Port if !listen_again(state, ListenerKind::Tcp) => {
            Err(("port", "Unable to listen on this port. Check server logs.".to_owned()))
        }
        // What only describes TLS, such as the name of a file, may be anything until it is asked for.
        Apply::Tls if state.config.uses_tls() && !renew_tls(state) => {
            Err(("tls-cert-file", "Unable to update TLS configuration. Check server logs.".to_owned()))
        }
        // Beside a context that is there already, another port changes nothing about it.
        Apply::TlsPort if state.config.tls_port != 0 && state.tls.is_none() && !renew_tls(state) => {
            Err(("tls-port", "Unable to update TLS configuration. Check server logs.".to_owned()))
        }
        Apply::TlsPort if !listen_again(state, ListenerKind::Tls) => {
            Err(("tls-port", "Unable to listen on this port. Check server logs.".to_owned()))
        }
        Apply::MaxClients => {
            let most = match rlimit::ensure_open_files(state.config.maxclients) {
                FilesOutcome::Enough | FilesOutcome::Raised(_) => return Ok(()),
                FilesOutcome::Reduced { maxclients, .. } => maxclients,
                FilesOutcome::TooFew(_) => 1,
            };
            let reason =
                format!("The operating system is not able to handle the specified number of clients, try with {most}");
            Err(("maxclients", reason))
        }
        Apply::Maxmemory | Apply::MaxmemoryClients => {
            state.follow_client_limit();
            Ok(())
        }
        Apply::CrashLog => crash::set_enabled(state.config.crash_log_enabled)
            .map_err(|error| ("crash-log-enabled", Errno::from(error).to_string())),
        Apply::OomScoreAdj => set_oom_score(&state.config).map_err(|errno| {
            log::warning(format_args!("Unable to write oom_score_adj: {errno}"));
            ("oom-score-adj-values", "Failed to set current oom_score_adj. Check server logs.".to_owned())
        }),
        Apply::IoThreads => {
            state.effects.io_threads = Some(state.config.io_threads);
            Ok(())
        }
        Apply::ProcTitle => {
            show_title(&state.config, &state.facts.config_file);
            Ok(())
        }
        Apply::KeyspaceEvents => {
            state.plan_events();
            Ok(())
        }
        Apply::LogLevel => {
            log::set_level(state.config.loglevel);
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Shows the title of the process that the template makes.
pub(crate) fn show_title(config: &Config, config_file: &str) {
    title::show(|name| {
        let parts = TitleParts {
            title: name,
            listen_addr: &config.listen_address(),
            server_mode: if config.cluster_enabled { "[cluster]" } else { "" },
            port: config.port,
            tls_port: config.tls_port,
            unixsocket: &config.unixsocket.to_string(),
            config_file,
        };
        expand(&config.proc_title_template.to_string(), &parts)
    });
}

/// Writes the kernel's out-of-memory score of a server without a master: there are no replicas and no child processes yet.
pub(crate) fn set_oom_score(config: &Config) -> Result<(), Errno> {
    let [master, _, _] = config.oom_score_adj_values.0;
    oom::set(match config.oom_score_adj {
        OomScoreAdj::No => oom::Score::Untouched,
        OomScoreAdj::Relative => oom::Score::Relative(master),
        OomScoreAdj::Absolute => oom::Score::Absolute(master),
    })
}

/// Opens the listeners of the present parameters, plain or for TLS, in place of those there are. An address can be free only
/// once our own socket has left it, so those stop listening first.
fn listen_again(state: &mut State, kind: ListenerKind) -> bool {
    for (_, socket) in state.tcp_listeners.extract_if(.., |(known, _)| *known == kind) {
        socket::stop_listening(&socket);
    }
    // Those of a change before this one, in the same command or transaction, close with this.
    state.effects.listeners.retain(|(known, _)| *known != kind);
    let mut warnings = Vec::new();
    let opened = plain::open_tcp(&state.config.listen_settings(), kind, &mut warnings);
    warnings.iter().for_each(|line| log::warning(format_args!("{line}")));
    let Ok(opened) = opened else { return false };
    state.effects.listeners.push((kind, opened));
    true
}

/// Reads certificate, key and authorities anew. Where that fails, new connections go on to begin with the old ones.
fn renew_tls(state: &mut State) -> bool {
    match TlsContext::load(&state.config.tls_settings()) {
        Ok(context) => {
            state.tls = Some(context);
            true
        }
        Err(error) => {
            log::warning(format_args!("{error}"));
            false
        }
    }
}
