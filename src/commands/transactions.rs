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
static DISCARD: Command = Command {
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
static EXEC: Command = Command {
    name: "exec",
    full_name: "exec",
    summary: "Executes the queued commands of the transaction, one after the other and undisturbed.",
    since: "1.2.0",
    group: "transactions",
    complexity: "depends",
    arity: 1,
    flags: Flags::NOSCRIPT
        .union(Flags::LOADING)
        .union(Flags::STALE)
        .union(Flags::SKIP_SLOWLOG)
        .union(Flags::SHOWS_CLIENTS),
    categories: Categories::SLOW.union(Categories::TRANSACTION),
    handler: Some(exec),
    ..Command::BLANK
};

/// `MULTI`.
static MULTI: Command = Command {
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
static UNWATCH: Command = Command {
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
static WATCH: Command = Command {
    name: "watch",
    full_name: "watch",
    summary: "Makes the next transaction depend on keys staying as they are.",
    since: "2.2.0",
    group: "transactions",
    complexity: "O(1)",
    arity: -2,
    flags: Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE).union(Flags::FAST).union(Flags::ALLOW_BUSY),
    categories: Categories::FAST.union(Categories::TRANSACTION),
    key_specs: &[KeySpec {
        flags: KeyFlags::RO,
        begin: Begin::Index(1),
        find: Find::Range { last: -1, step: 1, limit: 0 },
        notes: None,
    }],
    args: &[ArgSpec::key("key", 0).multiple()],
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

    /// What EXEC answers after `mine` watches `k`, `change` is run by another client, and PING is queued.
    fn exec_after(engine: &mut Engine, change: &[&str]) -> String {
        let (mine, other) = (engine.connect(1), engine.connect(2));
        engine.run_in(mine, &["WATCH", "k"]);
        engine.run_in(other, change);
        engine.run_in(mine, &["MULTI"]);
        engine.run_in(mine, &["PING"]);
        let answer = engine.run_in(mine, &["EXEC"]);
        assert_eq!(engine.session(mine).watched, 0);
        assert!(engine.state.watch.is_empty());
        engine.client_gone(mine);
        engine.client_gone(other);
        answer
    }

    #[test]
    fn changes_of_a_watched_key_fail_the_transaction() {
        for change in [
            &["SET", "k", "v"][..],
            &["APPEND", "k", ""],
            &["EXPIRE", "k", "100"],
            &["RENAME", "k", "j"],
            &["DEL", "k"],
            &["FLUSHDB"],
            &["FLUSHALL"],
        ] {
            let mut engine = Engine::for_console();
            engine.run(&["SET", "k", "v"]);
            assert_eq!(exec_after(&mut engine, change), "(nil)", "{change:?}");
        }
    }

    #[test]
    fn what_changes_nothing_fails_nothing() {
        for change in [
            &["GET", "k"][..],
            &["TOUCH", "k"],
            &["SET", "k", "w", "NX"],
            &["PERSIST", "k"],
            &["EXPIRE", "k", "100", "XX"],
            &["SETRANGE", "k", "0", ""],
            &["DEL", "j"],
        ] {
            let mut engine = Engine::for_console();
            engine.run(&["SET", "k", "v"]);
            assert_eq!(exec_after(&mut engine, change), "1) PONG", "{change:?}");
        }
        for change in [&["DEL", "k"][..], &["FLUSHALL"]] {
            assert_eq!(exec_after(&mut Engine::for_console(), change), "1) PONG", "{change:?} of no key");
        }
    }

    #[test]
    fn expiry_after_watch_counts_and_before_it_does_not() {
        let mut engine = Engine::for_console();
        let mine = engine.connect(1);
        let exec = |engine: &mut Engine| {
            engine.run_in(mine, &["MULTI"]);
            engine.run_in(mine, &["PING"]);
            engine.run_in(mine, &["EXEC"])
        };
        let set = ["SET", "k", "v", "PX", "50"];
        // It expires while watched, and nobody comes upon it.
        engine.run(&set);
        engine.run_in(mine, &["WATCH", "k"]);
        engine.advance_ms(60);
        assert_eq!(exec(&mut engine), "(nil)");
        // The same, removed by active expiry.
        engine.run(&set);
        engine.run_in(mine, &["WATCH", "k"]);
        engine.advance_ms(60);
        engine.cron();
        assert_eq!(engine.run(&["DBSIZE"]), "(integer) 0");
        assert_eq!(exec(&mut engine), "(nil)");
        // It had expired before: neither finding it out nor removing it is a change, a new value is.
        for (change, answer) in [
            (&["GET", "k"][..], "1) PONG"),
            (&["DEL", "k"], "1) PONG"),
            (&["FLUSHALL"], "1) PONG"),
            (&["SET", "k", "w"], "(nil)"),
        ] {
            engine.run(&set);
            engine.advance_ms(60);
            engine.run_in(mine, &["WATCH", "k"]);
            engine.run(change);
            assert_eq!(exec(&mut engine), answer, "{change:?}");
        }
    }

    #[test]
    fn watching_is_per_database_and_can_be_given_up() {
        let mut engine = Engine::for_console();
        let mine = engine.connect(1);
        let exec = |engine: &mut Engine| {
            engine.run_in(mine, &["MULTI"]);
            engine.run_in(mine, &["EXEC"])
        };
        engine.run_in(mine, &["SELECT", "1"]);
        engine.run_in(mine, &["WATCH", "k", "k", "j"]);
        assert_eq!(engine.session(mine).watched, 2);
        engine.run(&["SET", "k", "v"]);
        assert_eq!(exec(&mut engine), "(empty array)");
        engine.run_in(mine, &["WATCH", "k"]);
        engine.run_in(mine, &["SET", "k", "v"]);
        assert_eq!(exec(&mut engine), "(nil)", "one's own change counts too");
        engine.run_in(mine, &["WATCH", "k"]);
        engine.run_in(mine, &["SET", "k", "v"]);
        assert_eq!(engine.session(mine).watched, 0, "it fails already");
        engine.run_in(mine, &["UNWATCH"]);
        assert_eq!(exec(&mut engine), "(empty array)");
        engine.run_in(mine, &["WATCH", "k"]);
        engine.client_gone(mine);
        assert!(engine.state.watch.is_empty());
    }
}
