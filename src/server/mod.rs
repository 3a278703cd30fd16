//! The process: main loop, clients, listeners, cron, shutdown. Runs on the main thread.

#![forbid(unsafe_code)]

mod batch;
pub mod client;
mod connections;
mod crash;
mod cron;
mod disposal;
mod effects;
pub mod event_loop;
mod figures;
mod ledger;
pub mod listeners;
mod output;
pub mod startup;
pub mod threads;
mod tls;
pub mod turn;
pub mod wire;

use std::io;
use std::path::PathBuf;

use anyhow::Context as _;

use crate::command::facts::{NetworkFacts, ProcessFacts};
use crate::command::ticks::Ticks;
use crate::commands::server::config_apply::set_oom_score;
use crate::config::{Config, IoBackend};
use crate::engine::Engine;
use crate::io::Io;
use crate::io::epoll::EpollIo;
use crate::io::ring::RingIo;
use crate::observe::log;
use crate::server::event_loop::{SIGNAL_TOKEN, Server};
use crate::server::threads::spawner;
use crate::sys::process::PidFile;
use crate::sys::signals::Signals;
use crate::sys::{memory, notify, process, processors, random, time};
use crate::transport::plain::{self, ListenerKind};
use crate::transport::tls::TlsContext;

/// What the server is started with.
pub struct Start {
    /// The whole configuration.
    pub config: Config,
    /// Absolute path of the configuration file, where there is one.
    pub config_file: Option<PathBuf>,
    /// Absolute path of the running binary.
    pub executable: PathBuf,
    /// Removed when the server ends.
    pub pid_file: Option<PidFile>,
}

/// Serves until told to end. An error says why the server could not start, or what broke.
pub fn run(start: Start) -> anyhow::Result<()> {
    crash::install(start.config.crash_log_enabled).context("the handlers of crashes")?;
    let asked = |name| format!("io-backend is {name}");
    match start.config.io_backend {
        IoBackend::Ring => serve(RingIo::new()?, new_ring, "io_uring", asked("ring"), start),
        IoBackend::Epoll => serve(EpollIo::new().context("epoll")?, EpollIo::new, "epoll", asked("epoll"), start),
        IoBackend::Auto => match RingIo::new() {
            Ok(io) => serve(io, new_ring, "io_uring", "io_uring is available".to_owned(), start),
            Err(refused) => {
                log::warning(format_args!(
                    "WARNING io_uring cannot be used, so the network runs on epoll, which costs more processor time: \
                     {refused}. To start only with io_uring set 'io-backend ring'; to have no warning, 'io-backend epoll'."
                ));
                serve(EpollIo::new().context("epoll")?, EpollIo::new, "epoll", refused.to_string(), start)
            }
        },
    }
}

fn new_ring() -> io::Result<RingIo> {
    RingIo::new().map_err(io::Error::other)
}

/// Serves over one back end, of which I/O threads `make` one each; compiled once for each, so nothing is looked up while serving.
fn serve<I: Io + 'static>(
    io: I,
    make: fn() -> io::Result<I>,
    back_end: &'static str,
    reason: String,
    mut start: Start,
) -> anyhow::Result<()> {
    let pid_file = start.pid_file.take();
    let mut facts = process_facts(&start, io.now_us());
    facts.multiplexing_api = back_end;
    let mut engine = Engine::new(start.config, facts, random::seed_u64());
    engine.load_users().map_err(anyhow::Error::msg)?;
    let ticks = time::tick_source();
    engine.use_ticks(Ticks::counter(ticks.read, ticks.ticks_per_second));
    engine.wake(io.now_us());
    let mut server = Server::new(io, engine);
    // Only now all features are known: the reply slab is registered.
    let fields = [("torc_version", env!("CARGO_PKG_VERSION").to_owned()), ("io_backend", server.io.describe())];
    server.engine.state.facts.extra_server_fields = fields.into();
    server.engine.state.facts.network = network_facts(&server.io, back_end, reason);
    let _watch = crash::Watch::over(&server.engine.state);
    let mut signals = Signals::watch().context("the signals")?;
    server.io.watch(signals.descriptor(), SIGNAL_TOKEN);
    server.read_signals = Box::new(move || signals.take());
    // Only now: a thread that was there before would take signals in the handlers' place.
    server.disposal = Some(disposal::Disposal::start().context("the thread that frees")?);
    server.open_listeners()?;
    if let Err(errno) = set_oom_score(&server.engine.state.config) {
        log::warning(format_args!("Unable to write oom_score_adj: {errno}"));
    }
    server.engine.state.facts.startup_memory_bytes = memory::allocated_here().unwrap_or(0);
    processors::stay_on(&server.engine.state.config.server_cpulist);
    let config = &server.engine.state.config;
    let (threads, list) = (config.io_threads as usize - 1, config.server_cpulist.to_vec());
    server.use_spawn(spawner(make, list));
    server.set_threads(threads);
    notify::ready("Ready to accept connections");
    while server.step().with_context(|| format!("the network on {back_end}"))? {}
    server.finish(pid_file);
    Ok(())
}

/// What INFO tells of the back end.
fn network_facts<I: Io>(io: &I, back_end: &'static str, reason: String) -> NetworkFacts {
    let (used, missing): (Vec<_>, Vec<_>) = io.features().into_iter().partition(|(_, present)| *present);
    let text = |features: Vec<(&'static str, bool)>| {
        let names: Vec<&str> = features.iter().map(|(name, _)| *name).collect();
        names.join(",")
    };
    NetworkFacts { back_end, reason, features_used: text(used), features_missing: text(missing) }
}

/// What INFO tells of the process.
fn process_facts(start: &Start, started_us: i64) -> ProcessFacts {
    let uname = process::uname();
    ProcessFacts {
        run_id: random::hex(40),
        replication_id: random::hex(40),
        process_id: std::process::id(),
        executable: start.executable.display().to_string(),
        config_file: start.config_file.as_ref().map_or_else(String::new, |path| path.display().to_string()),
        supervised: start.config.supervised.name(),
        os: format!("{} {} {}", uname.sysname, uname.release, uname.machine),
        monotonic_clock: time::tick_source().name.to_owned(),
        allocator: memory::ALLOCATOR,
        started_us,
        ..ProcessFacts::detached()
    }
}

impl<I: Io> Server<I> {
    /// Opens everything that the configuration names to listen on.
    fn open_listeners(&mut self) -> anyhow::Result<()> {
        log::notice(format_args!("I/O back end: {}", self.io.describe()));
        log::notice(format_args!("Server initialized"));
        let state = &mut self.engine.state;
        if state.config.uses_tls() {
            let context = TlsContext::load(&state.config.tls_settings()).map_err(|error| {
                log::warning(format_args!("{error}"));
                anyhow::anyhow!("Failed to configure TLS. Check logs for more info.")
            })?;
            state.tls = Some(context);
        }
        let opened = self.listeners.open(&mut self.io, &state.config, &mut state.tcp_listeners).map_err(|error| {
            error.warnings.iter().for_each(|line| log::warning(format_args!("{line}")));
            anyhow::anyhow!("{error}")
        })?;
        for kind in ListenerKind::ALL {
            if opened.iter().any(|(known, _)| *known == kind) {
                log::notice(format_args!("Ready to accept connections {}", kind.name()));
            }
            self.publish_listeners(kind, &opened);
        }
        Ok(())
    }

    /// INFO's line of one kind of listeners, as they are now.
    pub(super) fn publish_listeners(&mut self, kind: ListenerKind, opened: &[(ListenerKind, String)]) {
        let addresses: Vec<&str> =
            opened.iter().filter(|(known, _)| *known == kind).map(|(_, address)| &**address).collect();
        let config = &self.engine.state.config;
        let port = if kind == ListenerKind::Tls { config.tls_port } else { config.port };
        let text = if addresses.is_empty() { String::new() } else { listener_text(kind, &addresses, port) };
        self.engine.state.facts.listeners[kind as usize] = text;
    }

    /// The last things that a server does.
    fn finish(&mut self, pid_file: Option<PidFile>) {
        notify::stopping("Shutting down");
        // Replies of the last turn, the one to SHUTDOWN excepted, go out as far as the sockets take them.
        self.end_threads();
        if let Some(pid_file) = pid_file {
            log::notice(format_args!("Removing the pid file."));
            pid_file.remove();
        }
        self.listeners.close_all(&mut self.io);
        let path = &self.engine.state.config.unixsocket;
        if !path.is_empty() {
            log::notice(format_args!("Removing the unix socket file."));
            if let Err(errno) = plain::remove_unix_socket(path.as_path()) {
                log::warning(format_args!("Error removing the unix socket file: {errno}"));
            }
        }
        log::warning(format_args!("Redis is now ready to exit, bye bye..."));
    }
}

/// INFO's `listener0:` line.
fn listener_text(kind: ListenerKind, addresses: &[&str], port: u16) -> String {
    let binds: String = addresses
        .iter()
        .map(|address| match kind {
            ListenerKind::Tcp | ListenerKind::Tls => {
                format!(",bind={}", address.rsplit_once(':').map_or(*address, |(host, _)| host))
            }
            ListenerKind::Unix => format!(",bind={address}"),
        })
        .collect();
    match kind {
        ListenerKind::Tcp | ListenerKind::Tls => format!("name={}{binds},port={port}", kind.name()),
        ListenerKind::Unix => format!("name=unix{binds}"),
    }
}
