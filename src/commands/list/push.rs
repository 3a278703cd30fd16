//! HOT PATH. Adding elements at the ends of lists: LPUSH, RPUSH, LPUSHX, RPUSHX.

#![forbid(unsafe_code)]

use super::push_event;
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::commands::lookup;
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;
use crate::types::list::{End, List};

/// `LPUSH`
pub(super) static LPUSH: Command = Command {
    name: "lpush",
    full_name: "lpush",
    summary: "Adds elements at the front of a list, one after the other.",
    since: "1.0.0",
    group: "list",
    complexity: "O(1) for each element; O(N) for N of them",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::INSERT))],
    history: &[("2.4.0", "Takes several elements.")],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("element", ArgKind::String).multiple()],
    handler: Some(lpush),
    ..Command::BLANK
};

/// `RPUSH`
pub(super) static RPUSH: Command = Command {
    name: "rpush",
    full_name: "rpush",
    summary: "Adds elements at the end of a list.",
    since: "1.0.0",
    group: "list",
    complexity: "O(1) for each element; O(N) for N of them",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::INSERT))],
    history: &[("2.4.0", "Takes several elements.")],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("element", ArgKind::String).multiple()],
    handler: Some(rpush),
    ..Command::BLANK
};

/// `LPUSHX`
pub(super) static LPUSHX: Command = Command {
    name: "lpushx",
    full_name: "lpushx",
    summary: "Adds elements at the front of a list that is there already.",
    since: "2.2.0",
    group: "list",
    complexity: "O(1) for each element; O(N) for N of them",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::INSERT))],
    history: &[("4.0.0", "Takes several elements.")],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("element", ArgKind::String).multiple()],
    handler: Some(lpushx),
    ..Command::BLANK
};

/// `RPUSHX`
pub(super) static RPUSHX: Command = Command {
    name: "rpushx",
    full_name: "rpushx",
    summary: "Adds elements at the end of a list that is there already.",
    since: "2.2.0",
    group: "list",
    complexity: "O(1) for each element; O(N) for N of them",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::INSERT))],
    history: &[("4.0.0", "Takes several elements.")],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("element", ArgKind::String).multiple()],
    handler: Some(rpushx),
    ..Command::BLANK
};

fn lpush(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    push(ctx, args, End::Front)
}

fn rpush(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    push(ctx, args, End::Back)
}

fn lpushx(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    push_if_there(ctx, args, End::Front)
}

fn rpushx(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    push_if_there(ctx, args, End::Back)
}

fn push(ctx: &mut Context<'_>, args: Args<'_>, end: End) -> Result<(), CommandError> {
    let (key, hash) = (args.get(1), ctx.first_key_hash);
    let limits = ctx.state.list_limits();
    let mut list = lookup::hold_or_new(ctx.state, ctx.session.db, key, hash, List::default)?;
    let is_new = list.is_empty();
    let texts = args.skip(2);
    list.make_room(texts.iter(), limits);
    texts.iter().for_each(|text| list.push(end, text));
    let len = list.len();
    drop(list);
    ctx.stored(is_new, KeyspaceEvents::LIST, push_event(end), key);
    pushed(ctx, texts.len(), len);
    Ok(())
}

fn push_if_there(ctx: &mut Context<'_>, args: Args<'_>, end: End) -> Result<(), CommandError> {
    let limits = ctx.state.list_limits();
    let Some(mut list) = lookup::hold::<List>(ctx.state, ctx.session.db, args.get(1), ctx.first_key_hash)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let texts = args.skip(2);
    list.make_room(texts.iter(), limits);
    texts.iter().for_each(|text| list.push(end, text));
    let len = list.len();
    drop(list);
    ctx.signal_modified(args.get(1));
    ctx.announce(KeyspaceEvents::LIST, push_event(end), args.get(1));
    pushed(ctx, texts.len(), len);
    Ok(())
}

fn pushed(ctx: &mut Context<'_>, count: usize, len: usize) {
    ctx.state.stats.dirty += count as u64;
    ctx.reply.integer(len as i64);
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;
    use crate::engine::Engine;

    #[test]
    fn elements_are_added_one_after_the_other() {
        replay(
            r#"
            > LPUSH k a b c
            (integer) 3
            > RPUSH k 1 2
            (integer) 5
            > LRANGE k 0 -1
            1) "c"
            2) "b"
            3) "a"
            4) "1"
            5) "2"
            > RPUSHX missing 1
            (integer) 0
            > LPUSHX k z
            (integer) 6
            > EXISTS missing
            (integer) 0
            > SET s 1
            OK
            > LPUSH s 1
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > RPUSHX s 1
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > GET k
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > APPEND k x
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > INCR k
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > SETRANGE k 0 x
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > SET k 1 GET
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > TYPE k
            list
            > MGET k s
            1) (nil)
            2) "1"
            > SET k x
            OK
            > TYPE k
            string
            "#,
        );
    }

    #[test]
    fn a_list_keeps_its_expiry() {
        replay(
            r#"
            > RPUSH k a
            (integer) 1
            > EXPIRE k 100
            (integer) 1
            > RPUSH k b
            (integer) 2
            > TTL k
            (integer) 100
            > COPY k copy
            (integer) 1
            > RPUSH copy c
            (integer) 3
            > RENAME k new
            OK
            > LRANGE new 0 -1
            1) "a"
            2) "b"
            > TTL copy
            (integer) 100
            "#,
        );
    }

    #[test]
    fn the_encoding_follows_the_configuration() {
        let mut engine = Engine::for_console();
        engine.run(&["CONFIG", "SET", "list-max-listpack-size", "3"]);
        engine.run(&["RPUSH", "k", "1", "2", "3"]);
        assert_eq!(engine.run(&["OBJECT", "ENCODING", "k"]), "\"listpack\"");
        engine.run(&["RPUSH", "k", "4"]);
        assert_eq!(engine.run(&["OBJECT", "ENCODING", "k"]), "\"quicklist\"");
        engine.run(&["LPOP", "k", "3"]);
        assert_eq!(engine.run(&["OBJECT", "ENCODING", "k"]), "\"listpack\"");
    }

    #[test]
    fn a_big_list_is_freed_in_slices() {
        let mut engine = Engine::for_console();
        engine.run(&["CONFIG", "SET", "list-max-listpack-size", "1"]);
        let numbers: Vec<String> = (0..3000).map(|number| number.to_string()).collect();
        for command in ["UNLINK", "DEL"] {
            let push: Vec<&str> = ["RPUSH", "k"].into_iter().chain(numbers.iter().map(String::as_str)).collect();
            assert_eq!(engine.run(&push), "(integer) 3000");
            assert_eq!(engine.run(&[command, "k"]), "(integer) 1");
            assert_eq!(engine.run(&["DBSIZE"]), "(integer) 0");
            assert_eq!(engine.state.garbage.len(), usize::from(command == "UNLINK"));
            engine.before_sleep();
            engine.before_sleep();
            assert!(engine.state.garbage.is_empty());
        }
    }
}
