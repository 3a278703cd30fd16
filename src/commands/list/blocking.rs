//! Waiting for elements: BLPOP, BRPOP, BLMOVE, BRPOPLPUSH, BLMPOP. Where there is nothing to take, the client is blocked on
//! its keys and the same command runs again once one of them holds a list. Main thread.

#![forbid(unsafe_code)]

use super::end_named;
use super::pop::take;
use super::transfer::{Ends, transfer};
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::keys::find_counted;
use crate::command::spec::{ArgKind, ArgSpec, Begin, Categories, Command, Find, Flags, KeyFlags, KeySpec};
use crate::commands::key_specs;
use crate::commands::lookup;
use crate::commands::many_keys::ManyKeys;
use crate::commands::waiting::{timeout_ms, wait_for_keys};
use crate::resp::args::Args;
use crate::types::list::End;
use crate::types::list::List;

/// `BLPOP`
pub(super) static BLPOP: Command = Command {
    name: "blpop",
    full_name: "blpop",
    summary: "Takes the first element out of the first list that has any; waits for one where none has.",
    since: "2.0.0",
    group: "list",
    complexity: "O(N), N being the number of keys",
    arity: -3,
    flags: Flags::WRITE.union(Flags::BLOCKING),
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::SLOW).union(Categories::BLOCKING),
    key_specs: &[KeySpec {
        flags: KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE),
        begin: Begin::Index(1),
        find: Find::Range { last: -2, step: 1, limit: 0 },
        notes: None,
    }],
    history: &[("6.0.0", "The timeout may have a fraction.")],
    args: &[ArgSpec::key("key", 0).multiple(), ArgSpec::new("timeout", ArgKind::Double)],
    handler: Some(blpop),
    ..Command::BLANK
};

/// `BRPOP`
pub(super) static BRPOP: Command = Command {
    name: "brpop",
    full_name: "brpop",
    summary: "Takes the last element out of the first list that has any; waits for one where none has.",
    since: "2.0.0",
    group: "list",
    complexity: "O(N), N being the number of keys",
    arity: -3,
    flags: Flags::WRITE.union(Flags::BLOCKING),
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::SLOW).union(Categories::BLOCKING),
    key_specs: &[KeySpec {
        flags: KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE),
        begin: Begin::Index(1),
        find: Find::Range { last: -2, step: 1, limit: 0 },
        notes: None,
    }],
    history: &[("6.0.0", "The timeout may have a fraction.")],
    args: &[ArgSpec::key("key", 0).multiple(), ArgSpec::new("timeout", ArgKind::Double)],
    handler: Some(brpop),
    ..Command::BLANK
};

/// `BLMOVE`
pub(super) static BLMOVE: Command = Command {
    name: "blmove",
    full_name: "blmove",
    summary: "Takes an element from an end of one list to an end of another; waits for one where the first is empty.",
    since: "6.2.0",
    group: "list",
    complexity: "O(1)",
    arity: 6,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::BLOCKING),
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::SLOW).union(Categories::BLOCKING),
    key_specs: &[
        key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE)),
        key_specs::one(2, KeyFlags::RW.union(KeyFlags::INSERT)),
    ],
    args: &[
        ArgSpec::key("source", 0),
        ArgSpec::key("destination", 1),
        ArgSpec::new("wherefrom", ArgKind::OneOf)
            .children(&[ArgSpec::pure_token("left", "LEFT"), ArgSpec::pure_token("right", "RIGHT")]),
        ArgSpec::new("whereto", ArgKind::OneOf)
            .children(&[ArgSpec::pure_token("left", "LEFT"), ArgSpec::pure_token("right", "RIGHT")]),
        ArgSpec::new("timeout", ArgKind::Double),
    ],
    handler: Some(blmove),
    ..Command::BLANK
};

/// `BRPOPLPUSH`
pub(super) static BRPOPLPUSH: Command = Command {
    name: "brpoplpush",
    full_name: "brpoplpush",
    summary: "Takes the last element of a list to the front of another; waits for one where the first is empty.",
    since: "2.2.0",
    group: "list",
    complexity: "O(1)",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::BLOCKING),
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::SLOW).union(Categories::BLOCKING),
    key_specs: &[
        key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE)),
        key_specs::one(2, KeyFlags::RW.union(KeyFlags::INSERT)),
    ],
    deprecated: Some(("6.2.0", "`BLMOVE` with the words `RIGHT` and `LEFT`")),
    history: &[("6.0.0", "The timeout may have a fraction.")],
    args: &[ArgSpec::key("source", 0), ArgSpec::key("destination", 1), ArgSpec::new("timeout", ArgKind::Double)],
    handler: Some(brpoplpush),
    ..Command::BLANK
};

/// `BLMPOP`
pub(super) static BLMPOP: Command = Command {
    name: "blmpop",
    full_name: "blmpop",
    summary: "Takes elements out of the first list that has any; waits for one where none has.",
    since: "7.0.0",
    group: "list",
    complexity: "O(N+M), N being the number of keys, M that of elements taken",
    arity: -5,
    flags: Flags::WRITE.union(Flags::BLOCKING).union(Flags::MOVABLEKEYS),
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::SLOW).union(Categories::BLOCKING),
    key_specs: &[key_specs::counted(2, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))],
    key_finder: Some(find_counted::<0, 2>),
    args: &[
        ArgSpec::new("timeout", ArgKind::Double),
        ArgSpec::new("numkeys", ArgKind::Integer),
        ArgSpec::key("key", 0).multiple(),
        ArgSpec::new("where", ArgKind::OneOf)
            .children(&[ArgSpec::pure_token("left", "LEFT"), ArgSpec::pure_token("right", "RIGHT")]),
        ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
    ],
    handler: Some(blmpop),
    ..Command::BLANK
};

fn blpop(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    pop_first(ctx, args, End::Front)
}

fn brpop(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    pop_first(ctx, args, End::Back)
}

fn pop_first(ctx: &mut Context<'_>, args: Args<'_>, end: End) -> Result<(), CommandError> {
    let keys = 1..args.len() - 1;
    let timeout_ms = timeout_ms(args.get(keys.end), ctx.now_ms())?;
    for index in keys.clone() {
        let key = args.get(index);
        let hash = ctx.state.keyspace.hash(key);
        if lookup::hold::<List>(ctx.state, ctx.session.db, key, hash)?.is_some() {
            ctx.reply.array(2);
            ctx.reply.bulk(key);
            return take(ctx, key, hash, end, 1);
        }
    }
    if !wait_for_keys(ctx, args, keys, timeout_ms) {
        ctx.reply.null_array();
    }
    Ok(())
}

fn blmove(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let ends = Ends::read(args, 3)?;
    transfer_or_wait(ctx, args, ends, 5)
}

fn brpoplpush(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    transfer_or_wait(ctx, args, Ends::BACK_TO_FRONT, 3)
}

fn transfer_or_wait(ctx: &mut Context<'_>, args: Args<'_>, ends: Ends, timeout: usize) -> Result<(), CommandError> {
    let timeout_ms = timeout_ms(args.get(timeout), ctx.now_ms())?;
    if !transfer(ctx, args, ends)? && !wait_for_keys(ctx, args, 1..2, timeout_ms) {
        ctx.reply.null();
    }
    Ok(())
}

fn blmpop(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let wanted = ManyKeys::read(args, 2, end_named)?;
    let timeout_ms = timeout_ms(args.get(1), ctx.now_ms())?;
    if !wanted.take(ctx, args)? && !wait_for_keys(ctx, args, wanted.keys.clone(), timeout_ms) {
        ctx.reply.null_array();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::session::Slot;
    use crate::commands::transcript::replay;
    use crate::engine::Engine;

    /// What was sent to clients beside replies, in order.
    fn sent(engine: &mut Engine) -> Vec<(Slot, String)> {
        let effects = engine.state.effects.take();
        let text = |range: std::ops::Range<usize>| String::from_utf8_lossy(&effects.outbox.bytes()[range]).into_owned();
        effects.outbox.letters().iter().map(|letter| (letter.to, text(letter.text.clone()))).collect()
    }

    fn engine_with<const N: usize>() -> (Engine, [Slot; N]) {
        let mut engine = Engine::for_console();
        let slots = std::array::from_fn(|slot| engine.connect(slot as u32));
        (engine, slots)
    }

    #[test]
    fn what_is_there_is_taken_at_once() {
        replay(
            r#"
            > RPUSH k a b c d e
            (integer) 5
            > BLPOP missing k 0
            1) "k"
            2) "a"
            > BRPOP k 1.5
            1) "k"
            2) "e"
            > BLMOVE k other LEFT RIGHT 0
            "b"
            > BRPOPLPUSH k other 0
            "d"
            > BLMPOP 0 2 missing other LEFT COUNT 5
            1) "other"
            2) 1) "d"
               2) "b"
            > MULTI
            OK
            > BLPOP missing 0
            QUEUED
            > BLMOVE missing k LEFT LEFT 0
            QUEUED
            > BLMPOP 0 1 missing LEFT
            QUEUED
            > EXEC
            1) (nil)
            2) (nil)
            3) (nil)
            "#,
        );
    }

    #[test]
    fn arguments_are_checked() {
        replay(
            r#"
            > BLPOP k x
            (error) ERR timeout is not a float or out of range
            > BLPOP k nan
            (error) ERR timeout is not a float or out of range
            > BLPOP k -1
            (error) ERR timeout is negative
            > BLPOP k 1e400
            (error) ERR timeout is out of range
            > BLPOP k 9223372036854775
            (error) ERR timeout is out of range
            > BLMOVE k o UP LEFT x
            (error) ERR syntax error
            > BLMOVE k o LEFT LEFT x
            (error) ERR timeout is not a float or out of range
            > BRPOPLPUSH k o -1
            (error) ERR timeout is negative
            > BLMPOP x 0 k LEFT
            (error) ERR numkeys should be greater than 0
            > BLMPOP x 1 k LEFT
            (error) ERR timeout is not a float or out of range
            > SET s 1
            OK
            > BLPOP missing s 0
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    }

    #[test]
    fn who_waits_longest_is_served_first() {
        let (mut engine, [one, two, writer]) = engine_with();
        assert_eq!(engine.run_in(one, &["BLPOP", "k", "0"]), "");
        assert_eq!(engine.run_in(two, &["BRPOP", "other", "k", "0"]), "");
        assert!(engine.session(one).is_blocked() && engine.session(two).is_blocked());
        assert_eq!(engine.run_in(writer, &["RPUSH", "k", "a", "b", "c"]), "(integer) 3");
        let wanted =
            [(one, "*2\r\n$1\r\nk\r\n$1\r\na\r\n".to_owned()), (two, "*2\r\n$1\r\nk\r\n$1\r\nc\r\n".to_owned())];
        assert_eq!(sent(&mut engine), wanted);
        assert!(!engine.session(one).is_blocked() && engine.state.blocking.is_empty());
        assert_eq!(engine.run_in(writer, &["LRANGE", "k", "0", "-1"]), "1) \"b\"");
        assert!(!engine.state.observes_keys);
        let calls = engine.run_in(writer, &["INFO", "commandstats"]);
        assert!(calls.contains("cmdstat_blpop:calls=1,"), "{calls}");
    }

    #[test]
    fn a_transaction_serves_at_its_end() {
        let (mut engine, [reader, writer]) = engine_with();
        engine.run_in(reader, &["BLPOP", "k", "0"]);
        for line in [&["MULTI"][..], &["RPUSH", "k", "a"], &["DEL", "k"], &["RPUSH", "k", "b"]] {
            engine.run_in(writer, line);
        }
        assert!(sent(&mut engine).is_empty());
        engine.run_in(writer, &["EXEC"]);
        assert_eq!(sent(&mut engine), [(reader, "*2\r\n$1\r\nk\r\n$1\r\nb\r\n".to_owned())]);
        assert_eq!(engine.run_in(writer, &["EXISTS", "k"]), "(integer) 0");
    }

    #[test]
    fn a_move_serves_the_next() {
        let (mut engine, [mover, reader, writer]) = engine_with();
        engine.run_in(mover, &["BLMOVE", "a", "b", "LEFT", "LEFT", "0"]);
        engine.run_in(reader, &["BLMPOP", "0", "1", "b", "LEFT", "COUNT", "7"]);
        assert_eq!(engine.run_in(writer, &["LPUSH", "a", "x"]), "(integer) 1");
        let wanted = [(mover, "$1\r\nx\r\n".to_owned()), (reader, "*2\r\n$1\r\nb\r\n*1\r\n$1\r\nx\r\n".to_owned())];
        assert_eq!(sent(&mut engine), wanted);
        assert_eq!(engine.run_in(writer, &["DBSIZE"]), "(integer) 0");
    }

    #[test]
    fn a_key_that_comes_in_another_way_serves_too() {
        for commands in [
            &[&["RENAME", "there", "k"][..]][..],
            &[&["COPY", "there", "k"]],
            &[&["SELECT", "1"], &["RPUSH", "k", "a"], &["MOVE", "k", "0"]],
            &[&["SELECT", "1"], &["RPUSH", "k", "a"], &["SWAPDB", "0", "1"]],
            &[&["SET", "k", "string"], &["RPUSH", "k", "no"], &["DEL", "k"], &["RENAME", "there", "k"]],
        ] {
            let (mut engine, [reader, writer]) = engine_with();
            engine.run_in(writer, &["RPUSH", "there", "a"]);
            engine.run_in(reader, &["BLPOP", "k", "0"]);
            for command in commands {
                engine.run_in(writer, command);
            }
            assert_eq!(sent(&mut engine), [(reader, "*2\r\n$1\r\nk\r\n$1\r\na\r\n".to_owned())], "{commands:?}");
        }
    }

    #[test]
    fn waiting_ends_by_time_or_by_another_client() {
        let (mut engine, [one, two, other]) = engine_with();
        engine.run_in(one, &["BLPOP", "k", "0.05"]);
        engine.run_in(two, &["BLMOVE", "k", "o", "LEFT", "LEFT", "0.06"]);
        engine.advance_ms(50);
        engine.run_timers();
        assert_eq!(sent(&mut engine), [(one, "*-1\r\n".to_owned())]);
        engine.advance_ms(10);
        engine.run_timers();
        assert_eq!(sent(&mut engine), [(two, "*-1\r\n".to_owned())]);
        engine.run_in(one, &["HELLO", "3"]);
        engine.run_in(one, &["BLMPOP", "0", "1", "k", "LEFT"]);
        assert_eq!(engine.run_in(other, &["CLIENT", "UNBLOCK", "1"]), "(integer) 1");
        assert_eq!(sent(&mut engine), [(one, "_\r\n".to_owned())]);
        engine.run_in(one, &["BLPOP", "k", "0"]);
        assert_eq!(engine.run_in(other, &["CLIENT", "UNBLOCK", "1", "ERROR"]), "(integer) 1");
        assert_eq!(sent(&mut engine)[0].1, "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
        let calls = engine.run_in(other, &["INFO", "commandstats"]);
        assert!(calls.contains("cmdstat_blpop:calls=2,") && calls.contains("failed_calls=1"), "{calls}");
        engine.run_in(one, &["BLPOP", "k", "0"]);
        assert!(engine.state.observes_keys);
        engine.client_gone(one);
        assert_eq!(engine.run_in(other, &["RPUSH", "k", "a"]), "(integer) 1");
        assert!(sent(&mut engine).is_empty() && !engine.state.observes_keys);
    }
}
