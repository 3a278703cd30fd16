//! The CONFIG family. The parameters themselves stand in `config`; what the process has to do after a change is left in
//! the effects of the command. Main thread.

#![forbid(unsafe_code)]

use std::path::Path;

use super::config_apply;
use crate::command::context::Context;
use crate::command::error::{CommandError, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags};
use crate::command::state::State;
use crate::config::rewrite::Extent;
use crate::config::{Apply, Circumstances, Effect, find};
use crate::observe::log;
use crate::resp::args::Args;
use crate::sys::replace_file::ReplaceError;

/// `CONFIG`.
pub(super) static CONFIG: Command = Command {
    name: "config",
    full_name: "config",
    summary: "Holds the commands about configuration parameters.",
    since: "2.0.0",
    group: "server",
    complexity: "depends",
    arity: -2,
    categories: Categories::SLOW,
    subcommands: &[&CONFIG_GET, &CONFIG_HELP, &CONFIG_RESETSTAT, &CONFIG_REWRITE, &CONFIG_SET],
    ..Command::BLANK
};

/// `CONFIG GET`.
static CONFIG_GET: Command = Command {
    name: "get",
    full_name: "config|get",
    summary: "Answers the parameters that match patterns, with their values.",
    since: "2.0.0",
    group: "server",
    complexity: "O(N)",
    arity: -3,
    flags: Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE),
    categories: Categories::ADMIN.union(Categories::SLOW).union(Categories::DANGEROUS),
    history: &[("7.0.0", "Several patterns in one call.")],
    args: &[ArgSpec::new("parameter", ArgKind::String).multiple()],
    handler: Some(get),
    ..Command::BLANK
};

/// `CONFIG HELP`.
static CONFIG_HELP: Command = Command {
    name: "help",
    full_name: "config|help",
    summary: "Lists the subcommands of CONFIG.",
    since: "5.0.0",
    group: "server",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::LOADING.union(Flags::STALE),
    categories: Categories::SLOW,
    handler: Some(help),
    ..Command::BLANK
};

/// `CONFIG RESETSTAT`.
static CONFIG_RESETSTAT: Command = Command {
    name: "resetstat",
    full_name: "config|resetstat",
    summary: "Sets the statistics of INFO back to zero.",
    since: "2.0.0",
    group: "server",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE),
    categories: Categories::ADMIN.union(Categories::SLOW).union(Categories::DANGEROUS),
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: Some(resetstat),
    ..Command::BLANK
};

/// `CONFIG REWRITE`.
static CONFIG_REWRITE: Command = Command {
    name: "rewrite",
    full_name: "config|rewrite",
    summary: "Writes the present parameters into the configuration file.",
    since: "2.8.0",
    group: "server",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE),
    categories: Categories::ADMIN.union(Categories::SLOW).union(Categories::DANGEROUS),
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: Some(rewrite),
    ..Command::BLANK
};

/// `CONFIG SET`.
static CONFIG_SET: Command = Command {
    name: "set",
    full_name: "config|set",
    summary: "Changes parameters while the server runs, all of them or none.",
    since: "2.0.0",
    group: "server",
    complexity: "O(N)",
    arity: -4,
    flags: Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE),
    categories: Categories::ADMIN.union(Categories::SLOW).union(Categories::DANGEROUS),
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    history: &[("7.0.0", "Several parameters in one call.")],
    args: &[ArgSpec::new("data", ArgKind::Block)
        .multiple()
        .children(&[ArgSpec::new("parameter", ArgKind::String), ArgSpec::new("value", ArgKind::String)])],
    handler: Some(set),
    ..Command::BLANK
};

const HELP: &[&str] = &[
    "GET <pattern> [<pattern> [...]]",
    "    Answer the parameters whose names match a glob-style pattern, with their values.",
    "RESETSTAT",
    "    Set the statistics of INFO back to zero.",
    "REWRITE",
    "    Write the parameters into the configuration file, keeping its comments and its order.",
    "SET <parameter> <value> [<parameter> <value> [...]]",
    "    Change parameters: all of them, or none if one is refused.",
];

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.help("config", HELP);
    Ok(())
}

fn get(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let patterns: Vec<&[u8]> = args.skip(2).iter().collect();
    let found = ctx.state.config.get(&patterns);
    ctx.reply.map(found.len());
    for (name, value) in found {
        ctx.reply.bulk(name.as_bytes());
        ctx.reply.bulk(&value);
    }
    Ok(())
}

fn set(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let words: Vec<&[u8]> = args.skip(2).iter().collect();
    if !words.len().is_multiple_of(2) {
        return Err(SYNTAX);
    }
    let pairs: Vec<(&[u8], &[u8])> = words.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
    let before = ctx.state.config.clone();
    let asked = Circumstances { local_client: ctx.session.is_local(), loading: false };
    let steps = ctx.state.config.set_all(&pairs, asked).map_err(|error| CommandError::filled(error.to_string()))?;
    config_apply::follow(ctx.state, before, &steps, &pairs).map_err(CommandError::filled)?;
    for param in pairs.iter().filter_map(|(name, _)| find(name)).filter(|param| param.effect == Effect::Later) {
        log::warning(format_args!("The parameter '{}' was set, but has no effect in this version of Torc", param.name));
    }
    if steps.contains(&Apply::Requirepass) {
        ctx.state.follow_requirepass();
    }
    ctx.state.refresh_access();
    ctx.state.refresh_lazy();
    ctx.state.refresh_thresholds();
    ctx.reply.ok();
    Ok(())
}

/// Writes the parameters into the configuration file, which there has to be.
pub(super) fn rewrite_file(state: &State, extent: Extent) -> Result<(), ReplaceError> {
    let users: Vec<Vec<u8>> = if state.config.aclfile.is_empty() { state.users.lines().collect() } else { Vec::new() };
    state.config.rewrite_file(Path::new(&state.facts.config_file), &users, extent)
}

fn rewrite(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    if ctx.state.facts.config_file.is_empty() {
        return Err(CommandError::fixed("The server is running without a config file"));
    }
    match rewrite_file(ctx.state, Extent::Changed) {
        Ok(()) => {
            log::notice(format_args!("CONFIG REWRITE executed with success."));
            ctx.reply.ok();
            Ok(())
        }
        Err(error) => {
            if error.not_created {
                log::warning(format_args!("Could not create tmp config file ({error})"));
            }
            log::warning(format_args!("CONFIG REWRITE failed: {error}"));
            Err(CommandError::filled(format!("Rewriting config file: {error}")))
        }
    }
}

fn resetstat(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.state.reset_stats();
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsRawFd;

    use crate::config::Config;
    use crate::engine::Engine;
    use crate::sys::socket::{self, TcpOptions};
    use crate::transport::plain::{self, ListenerKind};

    #[test]
    fn parameters_are_read_and_changed() {
        let mut engine = Engine::for_console();
        assert_eq!(engine.run(&["CONFIG", "GET", "maxclients"]), "1) \"maxclients\"\n2) \"10000\"");
        assert_eq!(engine.run(&["CONFIG", "GET", "nosuch", "nor-*-this"]), "(empty array)");
        assert_eq!(engine.run(&["CONFIG", "SET", "maxclients", "77", "timeout", "5"]), "OK");
        assert_eq!(engine.state.config.maxclients, 77);
    }

    #[test]
    fn a_change_that_cannot_be_followed_answers_in_its_own_place() {
        let mut engine = Engine::for_console();
        let taken = plain::open_tcp(&any_free_port(), ListenerKind::Tcp, &mut Vec::new()).expect("a free port");
        let port = taken[0].address.rsplit(':').next().expect("a port").to_owned();
        for line in [&["MULTI"][..], &["SET", "k", "v"], &["CONFIG", "SET", "bind", "127.0.0.1"], &["GET", "k"]] {
            engine.run(line);
        }
        let before = engine.state.config.clone();
        assert_eq!(engine.run(&["CONFIG", "SET", "port", &port, "timeout", "7"]), "QUEUED");
        assert_eq!(engine.run(&["PING"]), "QUEUED");
        engine.state.config.port = 0;
        let replies = engine.run(&["EXEC"]);
        let lines = replies.lines().collect::<Vec<_>>();
        assert_eq!(lines[..3], ["1) OK", "2) OK", "3) \"v\""], "{replies}");
        assert!(lines[3].contains("related to argument 'port') - Unable to listen on this port."), "{replies}");
        assert_eq!(lines[4], "5) PONG");
        assert_eq!((engine.state.config.port, engine.state.config.timeout), (0, before.timeout));
    }

    fn any_free_port() -> plain::ListenSettings {
        let mut config = Config::default();
        config.load_text(b"bind 127.0.0.1\nport 1").expect("good lines");
        let options = TcpOptions { backlog: 1, mark: 0 };
        let socket = socket::listen_tcp("127.0.0.1:0".parse().expect("an address"), options).expect("a socket");
        config.port = socket::local_address(socket.as_raw_fd()).expect("bound").port();
        config.listen_settings()
    }

    #[test]
    fn rewriting_needs_a_file() {
        let mut engine = Engine::for_console();
        let without = "(error) ERR The server is running without a config file";
        assert_eq!(engine.run(&["CONFIG", "REWRITE"]), without);
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("a.conf");
        engine.state.facts.config_file = path.display().to_string();
        assert_eq!(engine.run(&["CONFIG", "SET", "timeout", "9"]), "OK");
        assert_eq!(engine.run(&["CONFIG", "REWRITE"]), "OK");
        let text = std::fs::read_to_string(&path).expect("there");
        assert!(text.lines().any(|line| line == "timeout 9"), "{text}");
        engine.state.facts.config_file = folder.path().join("no/a.conf").display().to_string();
        let failed = "(error) ERR Rewriting config file: No such file or directory";
        assert_eq!(engine.run(&["CONFIG", "REWRITE"]), failed);
    }

    #[test]
    fn a_refused_value_changes_nothing() {
        let mut engine = Engine::for_console();
        for (args, error) in [
            (&["maxmemory", "10", "maxmemory"][..], "syntax error"),
            (&["nosuch", "1"], "Unknown option or number of arguments for CONFIG SET - 'nosuch'"),
            (
                &["timeout", "5", "maxclients", "0"],
                "CONFIG SET failed (possibly related to argument 'maxclients') - argument must be between 1 and \
                 4294967295 inclusive",
            ),
        ] {
            let line = [&["CONFIG", "SET"], args].concat();
            assert_eq!(engine.run(&line), format!("(error) ERR {error}"));
        }
        assert_eq!(engine.state.config.timeout, 0);
        assert!(!engine.state.effects.any());
    }

    #[test]
    fn a_password_binds_new_clients_and_taking_it_away_frees_all() {
        let mut engine = Engine::for_console();
        assert_eq!(engine.run(&["CONFIG", "SET", "requirepass", "secret"]), "OK");
        assert_eq!(engine.run(&["PING"]), "PONG");
        let late = engine.connect(5);
        assert_eq!(engine.run_in(late, &["PING"]), "(error) NOAUTH Authentication required.");
        assert_eq!(engine.run(&["CONFIG", "SET", "requirepass", ""]), "OK");
        assert_eq!(engine.run_in(late, &["PING"]), "PONG");
        // Who was let in without a password is asked for the next one; who connected without, or gave one, is not.
        assert_eq!(engine.run(&["CONFIG", "SET", "requirepass", "other"]), "OK");
        assert_eq!(engine.run_in(late, &["PING"]), "(error) NOAUTH Authentication required.");
        assert_eq!(engine.run_in(late, &["AUTH", "other"]), "OK");
        for password in ["", "third"] {
            assert_eq!(engine.run(&["CONFIG", "SET", "requirepass", password]), "OK");
            assert_eq!(engine.run_in(late, &["PING"]), "PONG");
        }
    }

    #[test]
    fn resetstat_starts_counting_anew() {
        let mut engine = Engine::for_console();
        engine.run(&["GET", "k"]);
        assert!(engine.run(&["INFO", "stats"]).contains("keyspace_misses:1\\r"));
        assert_eq!(engine.run(&["CONFIG", "RESETSTAT"]), "OK");
        let stats = engine.run(&["INFO", "stats"]);
        assert!(stats.contains("keyspace_misses:0\\r") && stats.contains("total_commands_processed:1\\r"), "{stats}");
        assert!(!engine.run(&["INFO", "commandstats"]).contains("cmdstat_get:"));
    }
}
