//! Removing members: ZREM, ZREMRANGEBYRANK, ZREMRANGEBYSCORE, ZREMRANGEBYLEX.

#![forbid(unsafe_code)]

use super::bounds::{Bounds, By};
use super::removed;
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::commands::lookup;
use crate::resp::args::Args;
use crate::types::sorted_set::SortedSet;

/// `ZREM`
pub(super) static ZREM: Command = Command {
    name: "zrem",
    full_name: "zrem",
    summary: "Removes members from a sorted set.",
    since: "1.2.0",
    group: "sorted-set",
    complexity: "O(M*log(N)), N being the members of the sorted set, M those removed",
    arity: -3,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::SORTEDSET).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::DELETE))],
    history: &[("2.4.0", "Takes several members.")],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("member", ArgKind::String).multiple()],
    handler: Some(zrem),
    member_arg: 2,
    ..Command::BLANK
};

/// `ZREMRANGEBYRANK`
pub(super) static ZREMRANGEBYRANK: Command = Command {
    name: "zremrangebyrank",
    full_name: "zremrangebyrank",
    summary: "Removes the members in a range of ranks.",
    since: "2.0.0",
    group: "sorted-set",
    complexity: "O(log(N)+M), N being the members of the sorted set, M those removed",
    arity: 4,
    flags: Flags::WRITE,
    categories: Categories::WRITE.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::DELETE))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("start", ArgKind::Integer), ArgSpec::new("stop", ArgKind::Integer)],
    handler: Some(zremrangebyrank),
    ..Command::BLANK
};

/// `ZREMRANGEBYSCORE`
pub(super) static ZREMRANGEBYSCORE: Command = Command {
    name: "zremrangebyscore",
    full_name: "zremrangebyscore",
    summary: "Removes the members with scores in a range.",
    since: "1.2.0",
    group: "sorted-set",
    complexity: "O(log(N)+M), N being the members of the sorted set, M those removed",
    arity: 4,
    flags: Flags::WRITE,
    categories: Categories::WRITE.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::DELETE))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("min", ArgKind::Double), ArgSpec::new("max", ArgKind::Double)],
    handler: Some(zremrangebyscore),
    ..Command::BLANK
};

/// `ZREMRANGEBYLEX`
pub(super) static ZREMRANGEBYLEX: Command = Command {
    name: "zremrangebylex",
    full_name: "zremrangebylex",
    summary: "Removes the members in a range of texts, where all scores are the same.",
    since: "2.8.9",
    group: "sorted-set",
    complexity: "O(log(N)+M), N being the members of the sorted set, M those removed",
    arity: 4,
    flags: Flags::WRITE,
    categories: Categories::WRITE.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::DELETE))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("min", ArgKind::String), ArgSpec::new("max", ArgKind::String)],
    handler: Some(zremrangebylex),
    ..Command::BLANK
};

fn zrem(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (key, hash) = (args.get(1), ctx.first_key_hash);
    let Some(mut set) = lookup::hold::<SortedSet>(ctx.state, ctx.session.db, key, hash)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let gone = args.skip(2).iter().filter(|member| set.remove(member)).count();
    let empty = set.is_empty();
    drop(set);
    answer(ctx, key, hash, gone, empty);
    if gone > 0 {
        ctx.signal_modified(key);
    }
    Ok(())
}

fn answer(ctx: &mut Context<'_>, key: &[u8], hash: u64, gone: usize, empty: bool) {
    if gone > 0 {
        removed(ctx, key, hash, empty, ctx.command.name);
        ctx.state.stats.dirty += gone as u64;
    }
    ctx.reply.integer(gone as i64);
}

fn zremrangebyrank(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    remove_range(ctx, args, By::Rank)
}

fn zremrangebyscore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    remove_range(ctx, args, By::Score)
}

fn zremrangebylex(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    remove_range(ctx, args, By::Text)
}

fn remove_range(ctx: &mut Context<'_>, args: Args<'_>, by: By) -> Result<(), CommandError> {
    let (key, hash) = (args.get(1), ctx.first_key_hash);
    let bounds = Bounds::read(by, args.get(2), args.get(3))?;
    let Some(mut set) = lookup::hold::<SortedSet>(ctx.state, ctx.session.db, key, hash)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let ranks = bounds.ranks(set.view(), false);
    let gone = ranks.len();
    set.remove_range(ranks);
    let empty = set.is_empty();
    drop(set);
    if gone > 0 {
        ctx.signal_modified(key);
    }
    answer(ctx, key, hash, gone, empty);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn members_go() {
        replay(
            r#"
            > ZADD z 1 a 2 b 3 c 4 d 5 e
            (integer) 5
            > ZREM z a zz
            (integer) 1
            > ZREMRANGEBYRANK z 0 0
            (integer) 1
            > ZREMRANGEBYSCORE z (3 4
            (integer) 1
            > ZREMRANGEBYSCORE z (100 0
            (integer) 0
            > ZREMRANGEBYRANK z x 0
            (error) ERR value is not an integer or out of range
            > ZREMRANGEBYSCORE missing x 0
            (error) ERR min or max is not a float
            > ZREMRANGEBYRANK z 0 -1
            (integer) 2
            > EXISTS z
            (integer) 0
            > ZADD z 0 a 0 b
            (integer) 2
            > ZREMRANGEBYLEX z - (b
            (integer) 1
            > ZREMRANGEBYLEX z a b
            (error) ERR min or max not valid string range item
            > ZREM missing a
            (integer) 0
            "#,
        );
    }
}
