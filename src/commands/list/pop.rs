//! HOT PATH. Taking elements out of lists: LPOP, RPOP, LMPOP.

#![forbid(unsafe_code)]

use super::{end_named, pop_event, removed};
use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::keys::find_counted;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::elements::reply_element;
use crate::commands::key_specs;
use crate::commands::lookup;
use crate::commands::many_keys::ManyKeys;
use crate::encoding::quicklist::Limits;
use crate::resp::args::Args;
use crate::resp::reply::Reply;
use crate::types::list::{End, List};

/// `LPOP`
pub(super) static LPOP: Command = Command {
    name: "lpop",
    full_name: "lpop",
    summary: "Takes the first element out of a list, or the first few.",
    since: "1.0.0",
    group: "list",
    complexity: "O(N), N being the number of elements",
    arity: -2,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))],
    history: &[("6.2.0", "Takes a count.")],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("count", ArgKind::Integer).since("6.2.0").optional()],
    handler: Some(lpop),
    ..Command::BLANK
};

/// `RPOP`
pub(super) static RPOP: Command = Command {
    name: "rpop",
    full_name: "rpop",
    summary: "Takes the last element out of a list, or the last few.",
    since: "1.0.0",
    group: "list",
    complexity: "O(N), N being the number of elements",
    arity: -2,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))],
    history: &[("6.2.0", "Takes a count.")],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("count", ArgKind::Integer).since("6.2.0").optional()],
    handler: Some(rpop),
    ..Command::BLANK
};

/// `LMPOP`
pub(super) static LMPOP: Command = Command {
    name: "lmpop",
    full_name: "lmpop",
    summary: "Takes elements out of the first list that has any.",
    since: "7.0.0",
    group: "list",
    complexity: "O(N+M), N being the number of keys, M that of elements taken",
    arity: -4,
    flags: Flags::WRITE.union(Flags::MOVABLEKEYS),
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::SLOW),
    key_specs: &[key_specs::counted(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))],
    key_finder: Some(find_counted::<0, 1>),
    args: &[
        ArgSpec::new("numkeys", ArgKind::Integer),
        ArgSpec::key("key", 0).multiple(),
        ArgSpec::new("where", ArgKind::OneOf)
            .children(&[ArgSpec::pure_token("left", "LEFT"), ArgSpec::pure_token("right", "RIGHT")]),
        ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
    ],
    handler: Some(lmpop),
    ..Command::BLANK
};

const NOT_POSITIVE: CommandError = CommandError::fixed("value is out of range, must be positive");

fn lpop(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    pop(ctx, args, End::Front)
}

fn rpop(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    pop(ctx, args, End::Back)
}

fn pop(ctx: &mut Context<'_>, args: Args<'_>, end: End) -> Result<(), CommandError> {
    let count = match args.len() {
        2 => None,
        3 => {
            let count = parse_i64(args.get(2)).and_then(|count| usize::try_from(count).ok());
            Some(count.ok_or(NOT_POSITIVE)?)
        }
        _ => return Err(CommandError::arity(ctx.command.full_name)),
    };
    let (key, hash) = (args.get(1), ctx.first_key_hash);
    let limits = ctx.state.list_limits();
    let Some(mut list) = lookup::hold::<List>(ctx.state, ctx.session.db, key, hash)? else {
        if count.is_some() {
            ctx.reply.null_array();
        } else {
            ctx.reply.null();
        }
        return Ok(());
    };
    let taken = count.unwrap_or(1).min(list.len());
    if count.is_some() {
        ctx.reply.array(taken);
    }
    if taken > 0 {
        let empty = give(&mut list, ctx.reply, end, taken, limits);
        drop(list);
        taken_out(ctx, key, hash, end, taken, empty);
    }
    Ok(())
}

/// Takes out `count` elements, of which there are so many, and answers each.
pub(super) fn take(ctx: &mut Context<'_>, key: &[u8], hash: u64, end: End, count: usize) -> Result<(), CommandError> {
    let limits = ctx.state.list_limits();
    let Some(mut list) = lookup::hold::<List>(ctx.state, ctx.session.db, key, hash)? else { return Ok(()) };
    let empty = give(&mut list, ctx.reply, end, count, limits);
    drop(list);
    taken_out(ctx, key, hash, end, count, empty);
    Ok(())
}

/// Answers elements and takes them out. Returns whether none are left.
#[inline]
fn give(list: &mut List, reply: &mut Reply, end: End, count: usize, limits: Limits) -> bool {
    for _ in 0..count {
        list.pop(end, |element| reply_element(reply, element));
    }
    list.shrink(limits);
    list.is_empty()
}

/// Called after elements were taken out.
fn taken_out(ctx: &mut Context<'_>, key: &[u8], hash: u64, end: End, count: usize, empty: bool) {
    removed(ctx, key, hash, empty, pop_event(end));
    ctx.state.stats.dirty += count as u64;
}

impl ManyKeys<End> {
    /// Takes elements out of the first list that has any, and answers them with its key. Returns whether there was one.
    pub(super) fn take(&self, ctx: &mut Context<'_>, args: Args<'_>) -> Result<bool, CommandError> {
        for index in self.keys.clone() {
            let key = args.get(index);
            let hash = ctx.state.keyspace.hash(key);
            let limits = ctx.state.list_limits();
            let Some(mut list) = lookup::hold::<List>(ctx.state, ctx.session.db, key, hash)? else { continue };
            let count = self.count.min(list.len());
            ctx.reply.array(2);
            ctx.reply.bulk(key);
            ctx.reply.array(count);
            let empty = give(&mut list, ctx.reply, self.end, count, limits);
            drop(list);
            taken_out(ctx, key, hash, self.end, count, empty);
            return Ok(true);
        }
        Ok(false)
    }
}

fn lmpop(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let wanted = ManyKeys::read(args, 1, end_named)?;
    if !wanted.take(ctx, args)? {
        ctx.reply.null_array();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn elements_are_taken_out() {
        replay(
            r#"
            > RPUSH k a b c d e
            (integer) 5
            > LPOP k
            "a"
            > RPOP k
            "e"
            > LPOP k 0
            (empty array)
            > RPOP k 2
            1) "d"
            2) "c"
            > LPOP k 9
            1) "b"
            > EXISTS k
            (integer) 0
            > LPOP k
            (nil)
            > LPOP k -1
            (error) ERR value is out of range, must be positive
            > LPOP k 1 2
            (error) ERR wrong number of arguments for 'lpop' command
            > SET s 1
            OK
            > LPOP s
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    }

    #[test]
    fn the_first_list_that_has_any_gives() {
        replay(
            r#"
            > RPUSH b 1 2 3
            (integer) 3
            > LMPOP 2 a b LEFT COUNT 2
            1) "b"
            2) 1) "1"
               2) "2"
            > LMPOP 2 a b right
            1) "b"
            2) 1) "3"
            > LMPOP 2 a b LEFT
            (nil)
            > LMPOP 0 a LEFT
            (error) ERR numkeys should be greater than 0
            > LMPOP 2 a LEFT
            (error) ERR syntax error
            > LMPOP 9223372036854775807 a LEFT
            (error) ERR syntax error
            > LMPOP 1 a UP
            (error) ERR syntax error
            > LMPOP 1 a LEFT COUNT 0
            (error) ERR count should be greater than 0
            > LMPOP 1 a LEFT COUNT 1 COUNT 1
            (error) ERR syntax error
            "#,
        );
    }
}
