//! Commands about the server: LASTSAVE, TIME and SHUTDOWN; COMMAND, CONFIG, INFO, LATENCY and SLOWLOG in files of their own. Main thread.

#![forbid(unsafe_code)]

pub(crate) mod acl;
mod command_info;
mod config;
pub(crate) mod config_apply;
mod debug;
mod debug_clients;
mod debug_values;
mod digest;
mod docs;
pub(crate) mod info;
mod latency;
mod lolwut;
mod memory;
mod memory_use;
mod ring_section;
mod slowlog;

use crate::command::context::Context;
use crate::command::effects::{self, CANNOT_EXIT, NO_SNAPSHOT, ShutdownRequest};
use crate::command::error::{CommandError, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags};
use crate::resp::args::Args;

/// The commands of this group.
pub static COMMANDS: &[&Command] = &[
    &acl::ACL,
    &LASTSAVE,
    &TIME,
    &SHUTDOWN,
    &command_info::COMMAND,
    &config::CONFIG,
    &debug::DEBUG,
    &info::INFO,
    &latency::LATENCY,
    &slowlog::SLOWLOG,
    &lolwut::LOLWUT,
    &memory::MEMORY,
];

/// `LASTSAVE`.
static LASTSAVE: Command = Command {
    name: "lastsave",
    full_name: "lastsave",
    summary: "Answers when the data set was saved last.",
    since: "1.0.0",
    group: "server",
    complexity: "O(1)",
    arity: 1,
    flags: Flags::LOADING.union(Flags::STALE).union(Flags::FAST),
    categories: Categories::ADMIN.union(Categories::FAST).union(Categories::DANGEROUS),
    tips: &["nondeterministic_output"],
    handler: Some(lastsave),
    ..Command::BLANK
};

/// `TIME`.
static TIME: Command = Command {
    name: "time",
    full_name: "time",
    summary: "Answers the server's time.",
    since: "2.6.0",
    group: "server",
    complexity: "O(1)",
    arity: 1,
    flags: Flags::LOADING.union(Flags::STALE).union(Flags::FAST),
    categories: Categories::FAST,
    tips: &["nondeterministic_output"],
    handler: Some(time),
    ..Command::BLANK
};

/// `SHUTDOWN`.
static SHUTDOWN: Command = Command {
    name: "shutdown",
    full_name: "shutdown",
    summary: "Ends the server.",
    since: "1.0.0",
    group: "server",
    complexity: "O(N); O(1)",
    arity: -1,
    flags: Flags::ADMIN
        .union(Flags::NOSCRIPT)
        .union(Flags::LOADING)
        .union(Flags::STALE)
        .union(Flags::NO_MULTI)
        .union(Flags::ALLOW_BUSY),
    categories: Categories::ADMIN.union(Categories::SLOW).union(Categories::DANGEROUS),
    history: &[("7.0.0", "`NOW`, `FORCE` and `ABORT`.")],
    args: &[
        ArgSpec::new("save-selector", ArgKind::OneOf)
            .optional()
            .children(&[ArgSpec::pure_token("nosave", "NOSAVE"), ArgSpec::pure_token("save", "SAVE")]),
        ArgSpec::pure_token("now", "NOW").since("7.0.0").optional(),
        ArgSpec::pure_token("force", "FORCE").since("7.0.0").optional(),
        ArgSpec::pure_token("abort", "ABORT").since("7.0.0").optional(),
    ],
    handler: Some(shutdown),
    ..Command::BLANK
};

const SHUTDOWN_FAILED: CommandError = CommandError::fixed("Errors trying to SHUTDOWN. Check logs.");

/// The start of the server counts as a save, and there is no other yet.
fn lastsave(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.integer(ctx.state.facts.started_us / 1_000_000);
    Ok(())
}

fn time(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    let now_us = ctx.state.precise_unix_us();
    ctx.reply.array(2);
    ctx.reply.bulk_integer(now_us.div_euclid(1_000_000));
    ctx.reply.bulk_integer(now_us.rem_euclid(1_000_000));
    Ok(())
}

/// SHUTDOWN answers nothing when it succeeds: the connection ends with the process.
fn shutdown(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (mut nosave, mut abort) = (false, false);
    let mut request = ShutdownRequest::default();
    for word in args.skip(1).iter() {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        if is("save") {
            request.save = true;
        } else if is("nosave") {
            nosave = true;
        } else if is("now") {
            request.now = true;
        } else if is("force") {
            request.force = true;
        } else if is("abort") {
            abort = true;
        } else {
            return Err(SYNTAX);
        }
    }
    if (request.save && nosave) || (abort && args.len() > 2) {
        return Err(SYNTAX);
    }
    if abort {
        return Err(CommandError::fixed("No shutdown in progress."));
    }
    if !request.is_possible() {
        ctx.state.effects.warnings.extend([NO_SNAPSHOT, CANNOT_EXIT, effects::SHUTDOWN_FAILED].map(String::from));
        return Err(SHUTDOWN_FAILED);
    }
    ctx.state.effects.shutdown = Some(request);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::effects::ShutdownRequest;
    use crate::engine::Engine;

    #[test]
    fn time_has_seconds_and_microseconds() {
        let mut engine = Engine::for_console();
        engine.wake(1_700_000_001_000_042);
        assert_eq!(engine.run(&["TIME"]), "1) \"1700000001\"\n2) \"42\"");
    }

    #[test]
    fn the_start_counts_as_the_last_save() {
        let mut engine = Engine::for_console();
        engine.state.facts.started_us = 1_600_000_000_999_999;
        assert_eq!(engine.run(&["LASTSAVE"]), "(integer) 1600000000");
    }

    #[test]
    fn shutdown_asks_the_process_to_end() {
        let mut engine = Engine::for_console();
        for refused in [&["SHUTDOWN", "FOO"][..], &["SHUTDOWN", "SAVE", "NOSAVE"], &["SHUTDOWN", "ABORT", "NOW"]] {
            assert_eq!(engine.run(refused), "(error) ERR syntax error");
        }
        assert_eq!(engine.run(&["SHUTDOWN", "ABORT"]), "(error) ERR No shutdown in progress.");
        assert_eq!(engine.run(&["SHUTDOWN", "SAVE"]), "(error) ERR Errors trying to SHUTDOWN. Check logs.");
        assert_eq!(engine.state.effects.shutdown, None);
        assert_eq!(engine.run(&["SHUTDOWN", "NOSAVE", "NOW"]), "");
        assert_eq!(engine.state.effects.shutdown, Some(ShutdownRequest { save: false, now: true, force: false }));
    }
}
