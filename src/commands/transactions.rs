//! MULTI, EXEC, DISCARD, WATCH, UNWATCH. What a transaction does stands in `engine::transaction`. Main thread.

#![forbid(unsafe_code)]

use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::session::SessionFlags;
use crate::command::spec::{ArgSpec, Begin, Categories, Command, Find, Flags, KeyFlags, KeySpec};
use crate::engine::transaction;
use crate::resp::args::Args;

/// The commands of this group.
pub static COMMANDS: &[&Command] = &[&DISCARD, &EXEC, &MULTI, &UNWATCH, &WATCH];

/// `DISCARD`.
pub static DISCARD: Command = Command {
    name: "discard",
    full_name: "discard",
    summary: "Drops the queued commands and leaves the transaction.",
    since: "2.0.0",
    group: "transactions",
    complexity: "O(N)",
    arity: 1,
    flags: Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE).union(Flags::FAST).union(Flags::ALLOW_BUSY),
    categories: Categories::FAST.union(Categories::TRANSACTION),
    handler: Some(discard),
    ..Command::BLANK
};

/// `EXEC`.
pub static EXEC: Command = Command {
    name: "exec",
    full_name: "exec",
    summary: "Executes the queued commands of the transaction, one after the other and undisturbed.",
    since: "1.2.0",
    group: "transactions",
    complexity: "depends",
    arity: 1,
    flags: Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE).union(Flags::SKIP_SLOWLOG),
    categories: Categories::SLOW.union(Categories::TRANSACTION),
    handler: Some(exec),
    ..Command::BLANK
};

/// `MULTI`.
pub static MULTI: Command = Command {
    name: "multi",
    full_name: "multi",
    summary: "Begins a transaction: the commands that follow are queued.",
    since: "1.2.0",
    group: "transactions",
    complexity: "O(1)",
    arity: 1,
    flags: Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE).union(Flags::FAST).union(Flags::ALLOW_BUSY),
    categories: Categories::FAST.union(Categories::TRANSACTION),
    handler: Some(multi),
    ..Command::BLANK
};

/// `UNWATCH`.
pub static UNWATCH: Command = Command {
    name: "unwatch",
    full_name: "unwatch",
    summary: "Forgets every watched key of the connection.",
    since: "2.2.0",
    group: "transactions",
    complexity: "O(1)",
    arity: 1,
    flags: Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE).union(Flags::FAST).union(Flags::ALLOW_BUSY),
    categories: Categories::FAST.union(Categories::TRANSACTION),
    handler: Some(unwatch),
    ..Command::BLANK
};

/// `WATCH`.
pub static WATCH: Command = Command {
    name: "watch",
    full_name: "watch",
    summary: "Makes the next transaction depend on keys staying as they are.",
    since: "2.2.0",
    group: "transactions",
    complexity: "O(1)",
    arity: -2,
    flags: Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE).union(Flags::FAST).union(Flags::ALLOW_BUSY),
    categories: Categories::FAST.union(Categories::TRANSACTION),
    key_specs: &[KeySpec { flags: KeyFlags::RO, begin: Begin::Index(1), find: Find::Range { last: -1, step: 1, limit: 0 }, notes: None }],
    args: &[
        ArgSpec::key("key", 0).multiple(),
    ],
    handler: Some(watch),
    ..Command::BLANK
};

fn multi(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    if ctx.session.in_multi() {
        return Err(CommandError::fixed("MULTI calls can not be nested"));
    }
    transaction::begin(ctx.session);
    ctx.reply.ok();
    Ok(())
}

fn exec(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    transaction::exec(ctx)
}

fn discard(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    if !ctx.session.in_multi() {
        return Err(CommandError::fixed("DISCARD without MULTI"));
    }
    transaction::discard(ctx.state, ctx.session);
    ctx.reply.ok();
    Ok(())
}

fn watch(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    if ctx.session.in_multi() {
        return Err(CommandError::fixed("WATCH inside MULTI is not allowed"));
    }
    // A transaction that fails anyway needs no more reasons.
    if !ctx.session.flags.contains(SessionFlags::DIRTY_CAS) {
        args.skip(1).iter().for_each(|key| ctx.state.watch_key(ctx.session, key));
    }
    ctx.reply.ok();
    Ok(())
}

fn unwatch(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.state.unwatch(ctx.session);
    ctx.session.flags.remove(SessionFlags::DIRTY_CAS);
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::engine::Engine;

    const ABORT: &str = "(error) EXECABORT Transaction discarded because of previous errors.";

    #[test]
    fn queued_commands_run_together() {
        let mut engine = Engine::for_console();
        assert_eq!(engine.run(&["EXEC"]), "(error) ERR EXEC without MULTI");
        assert_eq!(engine.run(&["DISCARD"]), "(error) ERR DISCARD without MULTI");
        assert_eq!(engine.run(&["MULTI"]), "OK");
        assert_eq!(engine.run(&["SELECT", "3"]), "QUEUED");
        assert_eq!(engine.run(&["SELECT", "x"]), "QUEUED");
        assert_eq!(engine.run(&["PING", "a", "b"]), "QUEUED");
        assert_eq!(
            engine.run(&["EXEC"]),
            "1) OK\n2) (error) ERR value is not an integer or out of range\n\
             3) (error) ERR wrong number of arguments for 'ping' command"
        );
        assert!(engine.run(&["CLIENT", "INFO"]).contains(" db=3 "));
        assert_eq!(engine.run(&["MULTI"]), "OK");
        assert_eq!(engine.run(&["EXEC"]), "(empty array)");
    }

    #[test]
    fn a_refused_command_spoils_the_transaction_and_nesting_does_not() {
        let mut engine = Engine::for_console();
        for refused in [&["NOSUCH"][..], &["SELECT"], &["CLIENT", "nosuch"], &["SHUTDOWN"]] {
            engine.run(&["MULTI"]);
            assert!(engine.run(refused).starts_with("(error) ERR"));
            assert_eq!(engine.run(&["PING"]), "QUEUED");
            assert_eq!(engine.run(&["EXEC"]), ABORT);
        }
        engine.run(&["MULTI"]);
        assert_eq!(engine.run(&["MULTI"]), "(error) ERR MULTI calls can not be nested");
        assert_eq!(engine.run(&["WATCH", "k"]), "(error) ERR WATCH inside MULTI is not allowed");
        assert_eq!(engine.run(&["EXEC"]), "(empty array)");
    }

    #[test]
    fn a_refused_exec_ends_the_transaction() {
        let mut engine = Engine::for_console();
        let cause = "(error) EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command";
        assert_eq!(engine.run(&["EXEC", "x"]), cause);
        engine.run(&["MULTI"]);
        assert_eq!(engine.run(&["EXEC", "x"]), cause);
        assert_eq!(engine.run(&["EXEC"]), "(error) ERR EXEC without MULTI");
        engine.run(&["MULTI"]);
        assert_eq!(engine.run(&["DISCARD"]), "OK");
        assert_eq!(engine.run(&["DISCARD"]), "(error) ERR DISCARD without MULTI");
    }

    #[test]
    fn accounting_follows_redis() {
        let mut engine = Engine::for_console();
        for line in [&["MULTI"][..], &["SELECT", "x"], &["EXEC"], &["SELECT"], &["EXEC", "x"], &["EXEC"]] {
            engine.run(line);
        }
        let row = |name: &[u8]| {
            let id = engine.state.registry.find_name(name).expect("the command exists");
            let stats = engine.state.stats.commands[id.index()];
            (stats.calls, stats.rejected, stats.failed)
        };
        assert_eq!(row(b"select"), (1, 1, 1));
        assert_eq!(row(b"exec"), (2, 1, 1));
        assert_eq!(row(b"multi"), (1, 0, 0));
        assert_eq!(engine.state.stats.errors.iter().collect::<Vec<_>>(), [("ERR", 3), ("EXECABORT", 1)]);
    }
}
