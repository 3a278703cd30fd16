//! The commands of the `server` group that concern whole databases: DBSIZE, FLUSHDB, FLUSHALL, SWAPDB. Main thread.

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::base::integer::parse_i64;
use crate::command::clients::tell_caller_of_flush;
use crate::command::context::Context;
use crate::command::error::{CommandError, NO_SUCH_DATABASE, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags};
use crate::command::state::State;
use crate::keyspace::Garbage;
use crate::resp::args::Args;

/// Objects and parts of them that a flush frees before it lets others in: some 100 microseconds of work.
const FREED_AT_ONCE: usize = 1024;

/// Commands of this file.
pub static COMMANDS: &[&Command] = &[&DBSIZE, &FLUSHALL, &FLUSHDB, &SWAPDB];

/// `DBSIZE`
pub static DBSIZE: Command = Command {
    name: "dbsize",
    full_name: "dbsize",
    summary: "Counts the keys of the database.",
    since: "1.0.0",
    group: "server",
    complexity: "O(1)",
    arity: 1,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::KEYSPACE.union(Categories::READ).union(Categories::FAST),
    tips: &["request_policy:all_shards", "response_policy:agg_sum"],
    handler: Some(dbsize),
    ..Command::BLANK
};

/// `FLUSHDB`
pub static FLUSHDB: Command = Command {
    name: "flushdb",
    full_name: "flushdb",
    summary: "Removes every key of the database.",
    since: "1.0.0",
    group: "server",
    complexity: "O(N), N being the keys of the database",
    arity: -1,
    flags: Flags::WRITE,
    categories: Categories::KEYSPACE.union(Categories::WRITE).union(Categories::SLOW).union(Categories::DANGEROUS),
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    history: &[
        ("4.0.0", "The option `ASYNC` came."),
        ("6.2.0", "The option `SYNC` came, and a parameter chooses the default."),
    ],
    args: &[ArgSpec::new("flush-type", ArgKind::OneOf).optional().children(&[
        ArgSpec::pure_token("async", "ASYNC").since("4.0.0"),
        ArgSpec::pure_token("sync", "SYNC").since("6.2.0"),
    ])],
    handler: Some(flushdb),
    ..Command::BLANK
};

/// `FLUSHALL`
pub static FLUSHALL: Command = Command {
    name: "flushall",
    full_name: "flushall",
    summary: "Removes every key of every database.",
    since: "1.0.0",
    group: "server",
    complexity: "O(N), N being the keys of all databases",
    arity: -1,
    flags: Flags::WRITE,
    categories: Categories::KEYSPACE.union(Categories::WRITE).union(Categories::SLOW).union(Categories::DANGEROUS),
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    history: &[
        ("4.0.0", "The option `ASYNC` came."),
        ("6.2.0", "The option `SYNC` came, and a parameter chooses the default."),
    ],
    args: &[ArgSpec::new("flush-type", ArgKind::OneOf).optional().children(&[
        ArgSpec::pure_token("async", "ASYNC").since("4.0.0"),
        ArgSpec::pure_token("sync", "SYNC").since("6.2.0"),
    ])],
    handler: Some(flushall),
    ..Command::BLANK
};

/// `SWAPDB`
pub static SWAPDB: Command = Command {
    name: "swapdb",
    full_name: "swapdb",
    summary: "Exchanges the contents of two databases.",
    since: "4.0.0",
    group: "server",
    complexity: "O(N), N being the clients that watch keys of either",
    arity: 3,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::KEYSPACE.union(Categories::WRITE).union(Categories::FAST).union(Categories::DANGEROUS),
    args: &[ArgSpec::new("index1", ArgKind::Integer), ArgSpec::new("index2", ArgKind::Integer)],
    handler: Some(swapdb),
    ..Command::BLANK
};

/// Keys that have expired but were not removed yet are counted.
fn dbsize(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    let len = ctx.db().len();
    ctx.reply.integer(len as i64);
    Ok(())
}

fn flushdb(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let freed_now = frees_now(ctx, args)?;
    let db = ctx.session.db;
    flush(ctx, args, db..db + 1, freed_now);
    Ok(())
}

fn flushall(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let freed_now = frees_now(ctx, args)?;
    let count = ctx.state.keyspace.count();
    flush(ctx, args, 0..count, freed_now);
    Ok(())
}

/// Whether the memory is to be free when the command ends, not some time after it.
fn frees_now(ctx: &Context<'_>, args: Args<'_>) -> Result<bool, CommandError> {
    match args.len() {
        1 => Ok(!ctx.state.config.lazyfree_lazy_user_flush),
        2 if args.get(1).eq_ignore_ascii_case(b"SYNC") => Ok(true),
        2 if args.get(1).eq_ignore_ascii_case(b"ASYNC") => Ok(false),
        _ => Err(SYNTAX),
    }
}

/// Empties `dbs` at once. Freeing what was in them takes a while where it is much. It is over before the answer if
/// `freed_now`: as in Redis the caller waits for it then and nobody else does, but for within a transaction.
fn flush(ctx: &mut Context<'_>, args: Args<'_>, dbs: Range<usize>, freed_now: bool) {
    let mut garbage = Garbage::default();
    for db in dbs {
        ctx.signal_flush(Some(db));
        ctx.state.stats.dirty += ctx.state.keyspace.db(db).len() as u64;
        garbage.absorb(ctx.state.keyspace.flush_db(db));
    }
    if !ctx.state.tracking.is_empty() {
        let told = freed_now && tell_caller_of_flush(ctx.session, ctx.reply);
        ctx.state.tracking.flushed(if told { ctx.session.id } else { 0 });
        ctx.state.tell_of_changes(Some(ctx.session));
    }
    if !freed_now {
        ctx.state.discard_garbage(garbage);
    } else if ctx.session.denies_blocking() {
        drop(garbage);
    } else {
        drop_first(ctx.state, &mut garbage);
        if !garbage.is_empty() {
            ctx.state.discard_garbage(garbage);
            return ctx.state.block_on_freeing(ctx.session, args);
        }
    }
    ctx.reply.ok();
}

/// Frees as much as takes no longer than other commands do.
fn drop_first(state: &mut State, garbage: &mut Garbage) {
    let before = garbage.len();
    garbage.drop_some(FREED_AT_ONCE);
    state.stats.lazyfreed_objects += (before - garbage.len()) as u64;
}

fn swapdb(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let number = |index: usize, refusal| {
        parse_i64(args.get(index)).and_then(|number| i32::try_from(number).ok()).ok_or(CommandError::fixed(refusal))
    };
    let numbers = [number(1, "invalid first DB index")?, number(2, "invalid second DB index")?];
    let count = ctx.state.keyspace.count();
    let known = |number: i32| usize::try_from(number).ok().filter(|&db| db < count).ok_or(NO_SUCH_DATABASE);
    let (left, right) = (known(numbers[0])?, known(numbers[1])?);
    if left != right {
        ctx.signal_swap(left, right);
        ctx.state.keyspace.swap(left, right);
    }
    ctx.state.stats.dirty += 1;
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;
    use crate::engine::Engine;

    #[test]
    fn flushing() {
        replay(
            r#"
            > MSET a 1 b 2
            OK
            > DBSIZE
            (integer) 2
            > FLUSHDB
            OK
            > DBSIZE
            (integer) 0
            > SET a 1
            OK
            > FLUSHALL ASYNC
            OK
            > EXISTS a
            (integer) 0
            > FLUSHALL sync
            OK
            > FLUSHDB FOO
            (error) ERR syntax error
            > FLUSHALL SYNC ASYNC
            (error) ERR syntax error
            > DBSIZE x
            (error) ERR wrong number of arguments for 'dbsize' command
            "#,
        );
    }

    /// `count` keys, each with a time.
    fn fill(engine: &mut Engine, count: usize) {
        for number in 0..count {
            engine.run(&["SET", &format!("key {number}"), "v", "EX", "1000"]);
        }
    }

    #[test]
    fn who_has_much_freed_waits_for_it() {
        let mut engine = Engine::for_console();
        let [one, two] = [engine.connect(1), engine.connect(2)];
        for command in [&["FLUSHALL"][..], &["FLUSHDB", "SYNC"]] {
            fill(&mut engine, 10_000);
            engine.run_in(one, command);
            assert!(engine.session(one).is_blocked(), "{command:?}");
            let client = engine.session(one).id.to_string();
            assert_eq!(engine.run_in(two, &["CLIENT", "UNBLOCK", &client]), "(integer) 0");
            assert_eq!(engine.run_in(two, &["DBSIZE"]), "(integer) 0");
            let calls = engine.state.stats.commands_processed;
            let mut turns = 0;
            while engine.session(one).is_blocked() {
                engine.before_sleep();
                turns += 1;
            }
            assert!(turns > 2 && engine.state.garbage.is_empty(), "{turns}");
            assert_eq!(engine.state.stats.commands_processed, calls + 1);
            assert_eq!(engine.state.effects.take().outbox.bytes(), b"+OK\r\n");
        }
        assert_eq!(engine.state.stats.lazyfreed_objects, 20_000);
    }

    #[test]
    fn what_is_little_is_free_at_once() {
        let mut engine = Engine::for_console();
        fill(&mut engine, 100);
        assert_eq!(engine.run(&["FLUSHALL"]), "OK");
        assert_eq!((engine.state.stats.lazyfreed_objects, engine.state.garbage.len()), (100, 0));
    }

    #[test]
    fn a_transaction_frees_in_place() {
        let mut engine = Engine::for_console();
        fill(&mut engine, 10_000);
        engine.run(&["MULTI"]);
        engine.run(&["FLUSHALL", "SYNC"]);
        assert_eq!(engine.run(&["EXEC"]), "1) OK");
        assert!(engine.state.garbage.is_empty());
    }

    #[test]
    fn flushall_empties_every_database() {
        let mut engine = Engine::for_console();
        let slots = [engine.connect(1), engine.connect(2)];
        for (db, slot) in slots.into_iter().enumerate() {
            engine.session_mut(slot).db = db;
            engine.run_in(slot, &["MSET", "a", "1", "b", "2"]);
        }
        engine.run_in(slots[0], &["FLUSHDB", "ASYNC"]);
        assert_eq!(engine.state.garbage.len(), 1);
        assert_eq!(engine.run_in(slots[0], &["DBSIZE"]), "(integer) 0");
        assert_eq!(engine.run_in(slots[1], &["DBSIZE"]), "(integer) 2");
        engine.run_in(slots[0], &["FLUSHALL", "SYNC"]);
        assert_eq!(engine.state.garbage.len(), 1);
        assert_eq!(engine.run_in(slots[1], &["DBSIZE"]), "(integer) 0");
    }

    #[test]
    fn databases_change_places() {
        replay(
            r#"
            > SET a 1 EX 100
            OK
            > SWAPDB 0 1
            OK
            > EXISTS a
            (integer) 0
            > SELECT 1
            OK
            > TTL a
            (integer) 100
            > SWAPDB 1 1
            OK
            > SWAPDB x 99
            (error) ERR invalid first DB index
            > SWAPDB 99 9999999999
            (error) ERR invalid second DB index
            > SWAPDB 0 16
            (error) ERR DB index is out of range
            > SWAPDB -1 0
            (error) ERR DB index is out of range
            "#,
        );
    }

    /// Whether a transaction that watches `a` in database 0 fails when that changes places with database 1.
    fn swap_fails(in_0: &[&str], in_1: &[&str]) -> bool {
        let mut engine = Engine::for_console();
        let slots = [engine.connect(1), engine.connect(2)];
        engine.session_mut(slots[1]).db = 1;
        for (slot, command) in slots.into_iter().zip([in_0, in_1]) {
            engine.run_in(slot, command);
        }
        engine.run_in(slots[0], &["WATCH", "a"]);
        engine.run_in(slots[1], &["SWAPDB", "0", "1"]);
        engine.run_in(slots[0], &["MULTI"]);
        engine.run_in(slots[0], &["EXEC"]) == "(nil)"
    }

    #[test]
    fn an_exchange_counts_for_keys_that_are_on_either_side() {
        let (set, other) = (&["SET", "a", "1"][..], &["SET", "b", "1"][..]);
        assert!(swap_fails(set, other));
        assert!(swap_fails(other, set));
        assert!(swap_fails(set, set));
        assert!(!swap_fails(other, other));
    }
}
