//! HOT PATH. Taking members out at either end: ZPOPMIN, ZPOPMAX, ZMPOP.

#![forbid(unsafe_code)]

use super::removed;
use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, SYNTAX};
use crate::command::keys::find_counted;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::elements::reply_element;
use crate::commands::key_specs;
use crate::commands::lookup;
use crate::commands::many_keys::ManyKeys;
use crate::resp::args::Args;
use crate::resp::reply::{Protocol, Reply};
use crate::types::sorted_set::SortedSet;

/// `ZPOPMIN`
pub(super) static ZPOPMIN: Command = Command {
    name: "zpopmin",
    full_name: "zpopmin",
    summary: "Takes the members with the lowest scores out of a sorted set.",
    since: "5.0.0",
    group: "sorted-set",
    complexity: "O(log(N)*M), N being the members of the sorted set, M those taken",
    arity: -2,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::SORTEDSET).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("count", ArgKind::Integer).optional()],
    handler: Some(zpopmin),
    ..Command::BLANK
};

/// `ZPOPMAX`
pub(super) static ZPOPMAX: Command = Command {
    name: "zpopmax",
    full_name: "zpopmax",
    summary: "Takes the members with the highest scores out of a sorted set.",
    since: "5.0.0",
    group: "sorted-set",
    complexity: "O(log(N)*M), N being the members of the sorted set, M those taken",
    arity: -2,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::SORTEDSET).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("count", ArgKind::Integer).optional()],
    handler: Some(zpopmax),
    ..Command::BLANK
};

/// `ZMPOP`
pub(super) static ZMPOP: Command = Command {
    name: "zmpop",
    full_name: "zmpop",
    summary: "Takes members out of the first sorted set that has any.",
    since: "7.0.0",
    group: "sorted-set",
    complexity: "O(K)+O(M*log(N)), K being the number of keys, N the members of the sorted set, M those taken",
    arity: -4,
    flags: Flags::WRITE.union(Flags::MOVABLEKEYS),
    categories: Categories::WRITE.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[key_specs::counted(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))],
    key_finder: Some(find_counted::<0, 1>),
    args: &[
        ArgSpec::new("numkeys", ArgKind::Integer),
        ArgSpec::key("key", 0).multiple(),
        ArgSpec::new("where", ArgKind::OneOf)
            .children(&[ArgSpec::pure_token("min", "MIN"), ArgSpec::pure_token("max", "MAX")]),
        ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
    ],
    handler: Some(zmpop),
    ..Command::BLANK
};

const NOT_POSITIVE: CommandError = CommandError::fixed("value is out of range, must be positive");

/// How members and their scores are answered.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// One after the other.
    Flat,
    /// Each pair as an array of its own.
    Pairs,
}

fn zpopmin(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    pop(ctx, args, false)
}

fn zpopmax(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    pop(ctx, args, true)
}

fn pop(ctx: &mut Context<'_>, args: Args<'_>, highest: bool) -> Result<(), CommandError> {
    let (key, hash) = (args.get(1), ctx.first_key_hash);
    let count = match args.len() {
        2 => None,
        3 => {
            let count = parse_i64(args.get(2)).and_then(|count| usize::try_from(count).ok());
            Some(count.ok_or(NOT_POSITIVE)?)
        }
        _ => return Err(SYNTAX),
    };
    let in_pairs = count.is_some() && ctx.reply.protocol() == Protocol::Resp3;
    let shape = if in_pairs { Shape::Pairs } else { Shape::Flat };
    let Some(mut set) = lookup::hold::<SortedSet>(ctx.state, ctx.session.db, key, hash)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let taken = count.unwrap_or(1).min(set.len());
    ctx.reply.array(if in_pairs { taken } else { 2 * taken });
    if taken > 0 {
        let empty = give(&mut set, ctx.reply, highest, taken, shape);
        drop(set);
        taken_out(ctx, key, hash, highest, taken, empty);
    }
    Ok(())
}

/// Takes out `count` members, of which there are so many, and answers each with its score.
pub(super) fn take(
    ctx: &mut Context<'_>,
    key: &[u8],
    hash: u64,
    highest: bool,
    count: usize,
    shape: Shape,
) -> Result<(), CommandError> {
    let Some(mut set) = lookup::hold::<SortedSet>(ctx.state, ctx.session.db, key, hash)?.filter(|_| count > 0) else {
        return Ok(());
    };
    let empty = give(&mut set, ctx.reply, highest, count, shape);
    drop(set);
    taken_out(ctx, key, hash, highest, count, empty);
    Ok(())
}

/// Answers members and takes them out. Returns whether none are left.
fn give(set: &mut SortedSet, reply: &mut Reply, highest: bool, count: usize, shape: Shape) -> bool {
    set.pop(count, highest, |member, score| {
        if shape == Shape::Pairs {
            reply.array(2);
        }
        reply_element(reply, member);
        reply.double(score);
    });
    set.is_empty()
}

/// Called after members were taken out.
fn taken_out(ctx: &mut Context<'_>, key: &[u8], hash: u64, highest: bool, count: usize, empty: bool) {
    removed(ctx, key, hash, empty, if highest { "zpopmax" } else { "zpopmin" });
    ctx.signal_modified(key);
    ctx.state.stats.dirty += count as u64;
}

/// Whether the highest scores are meant.
pub(super) fn highest_named(word: &[u8]) -> Option<bool> {
    match word {
        word if word.eq_ignore_ascii_case(b"min") => Some(false),
        word if word.eq_ignore_ascii_case(b"max") => Some(true),
        _ => None,
    }
}

impl ManyKeys<bool> {
    /// Takes members out of the first sorted set that has any, and answers them with its key. Returns whether there was
    /// one.
    pub(super) fn take(&self, ctx: &mut Context<'_>, args: Args<'_>) -> Result<bool, CommandError> {
        for index in self.keys.clone() {
            let key = args.get(index);
            let hash = ctx.state.keyspace.hash(key);
            let Some(mut set) = lookup::hold::<SortedSet>(ctx.state, ctx.session.db, key, hash)? else { continue };
            let count = self.count.min(set.len());
            ctx.reply.array(2);
            ctx.reply.bulk(key);
            ctx.reply.array(count);
            let empty = give(&mut set, ctx.reply, self.end, count, Shape::Pairs);
            drop(set);
            taken_out(ctx, key, hash, self.end, count, empty);
            return Ok(true);
        }
        Ok(false)
    }
}

fn zmpop(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let wanted = ManyKeys::read(args, 1, highest_named)?;
    if !wanted.take(ctx, args)? {
        ctx.reply.null_array();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::{replay, replay_resp3};

    #[test]
    fn members_are_taken_out() {
        replay(
            r#"
            > ZADD z 1 a 2 b 3 c 4 d
            (integer) 4
            > ZPOPMIN z
            1) "a"
            2) "1"
            > ZPOPMAX z 2
            1) "d"
            2) "4"
            3) "c"
            4) "3"
            > ZPOPMIN z 0
            (empty array)
            > ZPOPMIN z -1
            (error) ERR value is out of range, must be positive
            > ZPOPMIN z 1 2
            (error) ERR syntax error
            > ZPOPMAX z 9
            1) "b"
            2) "2"
            > EXISTS z
            (integer) 0
            > ZPOPMIN z
            (empty array)
            > ZADD z 1 a 2 b
            (integer) 2
            > ZMPOP 2 missing z MAX
            1) "z"
            2) 1) 1) "b"
                  2) "2"
            > ZMPOP 1 missing MIN
            (nil)
            > ZMPOP 0 z MIN
            (error) ERR numkeys should be greater than 0
            > ZMPOP 1 z UP
            (error) ERR syntax error
            > ZMPOP 1 z MIN COUNT 0
            (error) ERR count should be greater than 0
            "#,
        );
    }

    #[test]
    fn a_count_makes_pairs_in_resp3() {
        replay_resp3(
            r#"
            > ZADD z 1 a 2 b
            (integer) 2
            > ZPOPMIN z
            1) "a"
            2) (double) 1
            > ZPOPMIN z 1
            1) 1) "b"
               2) (double) 2
            "#,
        );
    }
}
