//! Changing lists in the middle: LSET, LINSERT, LREM, LTRIM.

#![forbid(unsafe_code)]

use super::read::{NO_OPPOSITE, range};
use super::removed;
use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, NO_SUCH_KEY, NOT_AN_INTEGER, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::commands::lookup;
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;
use crate::types::list::List;

/// `LSET`
pub(super) static LSET: Command = Command {
    name: "lset",
    full_name: "lset",
    summary: "Puts another element at an index.",
    since: "1.0.0",
    group: "list",
    complexity: "O(N), N being the elements between the index and the nearer end; O(1) for the first and the last one",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("index", ArgKind::Integer), ArgSpec::new("element", ArgKind::String)],
    handler: Some(lset),
    ..Command::BLANK
};

/// `LINSERT`
pub(super) static LINSERT: Command = Command {
    name: "linsert",
    full_name: "linsert",
    summary: "Adds an element in front of another one, or behind it.",
    since: "2.2.0",
    group: "list",
    complexity: "O(N), N being the elements in front of that one; O(1) where it is the first",
    arity: 5,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::INSERT))],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("where", ArgKind::OneOf)
            .children(&[ArgSpec::pure_token("before", "BEFORE"), ArgSpec::pure_token("after", "AFTER")]),
        ArgSpec::new("pivot", ArgKind::String),
        ArgSpec::new("element", ArgKind::String),
    ],
    handler: Some(linsert),
    ..Command::BLANK
};

/// `LREM`
pub(super) static LREM: Command = Command {
    name: "lrem",
    full_name: "lrem",
    summary: "Removes elements with this text.",
    since: "1.0.0",
    group: "list",
    complexity: "O(N+M), N being the elements of the list, M those that go",
    arity: 4,
    flags: Flags::WRITE,
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::DELETE))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("count", ArgKind::Integer), ArgSpec::new("element", ArgKind::String)],
    handler: Some(lrem),
    ..Command::BLANK
};

/// `LTRIM`
pub(super) static LTRIM: Command = Command {
    name: "ltrim",
    full_name: "ltrim",
    summary: "Keeps only the elements from one index to another.",
    since: "1.0.0",
    group: "list",
    complexity: "O(N), N being the elements that go",
    arity: 4,
    flags: Flags::WRITE,
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::DELETE))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("start", ArgKind::Integer), ArgSpec::new("stop", ArgKind::Integer)],
    handler: Some(ltrim),
    ..Command::BLANK
};

const NO_SUCH_INDEX: CommandError = CommandError::fixed("index out of range");

fn lset(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let limits = ctx.state.list_limits();
    let mut list =
        lookup::hold::<List>(ctx.state, ctx.session.db, args.get(1), ctx.first_key_hash)?.ok_or(NO_SUCH_KEY)?;
    let index = parse_i64(args.get(2)).ok_or(NOT_AN_INTEGER)?;
    let text = args.get(3);
    list.make_room([text].into_iter(), limits);
    // As in Redis, which keeps 32 bits of it.
    let index = list.index(i64::from(index as i32)).ok_or(NO_SUCH_INDEX)?;
    list.replace(index, text);
    list.shrink(limits);
    drop(list);
    ctx.signal_modified(args.get(1));
    ctx.announce(KeyspaceEvents::LIST, "lset", args.get(1));
    ctx.state.stats.dirty += 1;
    ctx.reply.ok();
    Ok(())
}

fn linsert(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let behind = match args.get(2) {
        word if word.eq_ignore_ascii_case(b"after") => true,
        word if word.eq_ignore_ascii_case(b"before") => false,
        _ => return Err(SYNTAX),
    };
    let limits = ctx.state.list_limits();
    let Some(mut list) = lookup::hold::<List>(ctx.state, ctx.session.db, args.get(1), ctx.first_key_hash)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    list.make_room([args.get(4)].into_iter(), limits);
    let Some(pivot) = list.find(args.get(3)) else {
        ctx.reply.integer(-1);
        return Ok(());
    };
    list.insert_beside(pivot, behind, args.get(4));
    let len = list.len();
    drop(list);
    ctx.signal_modified(args.get(1));
    ctx.announce(KeyspaceEvents::LIST, "linsert", args.get(1));
    ctx.state.stats.dirty += 1;
    ctx.reply.integer(len as i64);
    Ok(())
}

fn lrem(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let count = parse_i64(args.get(2)).ok_or(NOT_AN_INTEGER)?;
    if count == i64::MIN {
        return Err(NO_OPPOSITE);
    }
    let limits = ctx.state.list_limits();
    let Some(mut list) = lookup::hold::<List>(ctx.state, ctx.session.db, args.get(1), ctx.first_key_hash)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let max = if count == 0 { usize::MAX } else { count.unsigned_abs() as usize };
    let gone = list.remove_equal(args.get(3), max, count < 0);
    if gone > 0 {
        list.shrink(limits);
        let empty = list.is_empty();
        drop(list);
        removed(ctx, args.get(1), ctx.first_key_hash, empty, "lrem");
        ctx.state.stats.dirty += gone as u64;
    }
    ctx.reply.integer(gone as i64);
    Ok(())
}

/// Counts as a change even where nothing goes.
fn ltrim(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let start = parse_i64(args.get(2)).ok_or(NOT_AN_INTEGER)?;
    let stop = parse_i64(args.get(3)).ok_or(NOT_AN_INTEGER)?;
    let limits = ctx.state.list_limits();
    let Some(mut list) = lookup::hold::<List>(ctx.state, ctx.session.db, args.get(1), ctx.first_key_hash)? else {
        ctx.reply.ok();
        return Ok(());
    };
    let (before, kept) = (list.len(), range(start, stop, list.len()));
    list.remove(kept.end, before - kept.end);
    list.remove(0, kept.start);
    list.shrink(limits);
    drop(list);
    removed(ctx, args.get(1), ctx.first_key_hash, kept.is_empty(), "ltrim");
    ctx.state.stats.dirty += (before - kept.len()) as u64;
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn elements_are_replaced() {
        replay(
            r#"
            > LSET missing x 1
            (error) ERR no such key
            > RPUSH k a b
            (integer) 2
            > LSET k -1 B
            OK
            > LSET k 2 x
            (error) ERR index out of range
            > LSET k 4294967296 A
            OK
            > LSET k x x
            (error) ERR value is not an integer or out of range
            > LRANGE k 0 -1
            1) "A"
            2) "B"
            "#,
        );
    }

    #[test]
    fn elements_are_added_beside_others() {
        replay(
            r#"
            > LINSERT missing BEFORE a b
            (integer) 0
            > LINSERT missing BESIDE a b
            (error) ERR syntax error
            > RPUSH k a b
            (integer) 2
            > LINSERT k BEFORE a 1
            (integer) 3
            > LINSERT k after b 2
            (integer) 4
            > LINSERT k after z 2
            (integer) -1
            > LRANGE k 0 -1
            1) "1"
            2) "a"
            3) "b"
            4) "2"
            "#,
        );
    }

    #[test]
    fn elements_go() {
        replay(
            r#"
            > RPUSH k a b a c a b
            (integer) 6
            > LREM k -1 a
            (integer) 1
            > LREM k 1 a
            (integer) 1
            > LREM k 0 zz
            (integer) 0
            > LREM k -9223372036854775808 a
            (error) ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
            > LRANGE k 0 -1
            1) "b"
            2) "a"
            3) "c"
            4) "b"
            > LTRIM k 1 -2
            OK
            > LRANGE k 0 -1
            1) "a"
            2) "c"
            > LTRIM k 5 9
            OK
            > EXISTS k
            (integer) 0
            > LTRIM k 0 -1
            OK
            > RPUSH k x x
            (integer) 2
            > LREM k 0 x
            (integer) 2
            > EXISTS k
            (integer) 0
            "#,
        );
    }
}
