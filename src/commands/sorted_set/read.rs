//! HOT PATH. Asking about members: ZSCORE, ZMSCORE, ZCARD, ZRANK, ZREVRANK, ZCOUNT, ZLEXCOUNT.

#![forbid(unsafe_code)]

use super::bounds::{Bounds, By};
use super::read_sorted;
use crate::command::context::Context;
use crate::command::error::{CommandError, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::resp::args::Args;

/// `ZSCORE`
pub(super) static ZSCORE: Command = Command {
    name: "zscore",
    full_name: "zscore",
    summary: "Answers the score of a member.",
    since: "1.2.0",
    group: "sorted-set",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("member", ArgKind::String)],
    handler: Some(zscore),
    member_arg: 2,
    ..Command::BLANK
};

/// `ZMSCORE`
pub(super) static ZMSCORE: Command = Command {
    name: "zmscore",
    full_name: "zmscore",
    summary: "Answers the scores of several members.",
    since: "6.2.0",
    group: "sorted-set",
    complexity: "O(N), N being the number of members that are named",
    arity: -3,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("member", ArgKind::String).multiple()],
    handler: Some(zmscore),
    member_arg: 2,
    ..Command::BLANK
};

/// `ZCARD`
pub(super) static ZCARD: Command = Command {
    name: "zcard",
    full_name: "zcard",
    summary: "Counts the members of a sorted set.",
    since: "1.2.0",
    group: "sorted-set",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO)],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(zcard),
    ..Command::BLANK
};

/// `ZRANK`
pub(super) static ZRANK: Command = Command {
    name: "zrank",
    full_name: "zrank",
    summary: "Answers how many members come before one.",
    since: "2.0.0",
    group: "sorted-set",
    complexity: "O(log(N)), N being the members of the sorted set",
    arity: -3,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    history: &[("7.2.0", "The option `WITHSCORE` came.")],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("member", ArgKind::String),
        ArgSpec::pure_token("withscore", "WITHSCORE").optional(),
    ],
    handler: Some(zrank),
    member_arg: 2,
    ..Command::BLANK
};

/// `ZREVRANK`
pub(super) static ZREVRANK: Command = Command {
    name: "zrevrank",
    full_name: "zrevrank",
    summary: "Answers how many members come behind one.",
    since: "2.0.0",
    group: "sorted-set",
    complexity: "O(log(N)), N being the members of the sorted set",
    arity: -3,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    history: &[("7.2.0", "The option `WITHSCORE` came.")],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("member", ArgKind::String),
        ArgSpec::pure_token("withscore", "WITHSCORE").optional(),
    ],
    handler: Some(zrevrank),
    member_arg: 2,
    ..Command::BLANK
};

/// `ZCOUNT`
pub(super) static ZCOUNT: Command = Command {
    name: "zcount",
    full_name: "zcount",
    summary: "Counts the members with scores in a range.",
    since: "2.0.0",
    group: "sorted-set",
    complexity: "O(log(N)), N being the members of the sorted set",
    arity: 4,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("min", ArgKind::Double), ArgSpec::new("max", ArgKind::Double)],
    handler: Some(zcount),
    ..Command::BLANK
};

/// `ZLEXCOUNT`
pub(super) static ZLEXCOUNT: Command = Command {
    name: "zlexcount",
    full_name: "zlexcount",
    summary: "Counts the members in a range of texts, where all scores are the same.",
    since: "2.8.9",
    group: "sorted-set",
    complexity: "O(log(N)), N being the members of the sorted set",
    arity: 4,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("min", ArgKind::String), ArgSpec::new("max", ArgKind::String)],
    handler: Some(zlexcount),
    ..Command::BLANK
};

fn zscore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let set = read_sorted(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    match set.and_then(|set| set.score(args.get(2))) {
        Some(score) => ctx.reply.double(score),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn zmscore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let set = read_sorted(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    let members = args.skip(2);
    ctx.reply.array(members.len());
    for member in members.iter() {
        match set.and_then(|set| set.score(member)) {
            Some(score) => ctx.reply.double(score),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn zcard(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let set = read_sorted(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    ctx.reply.integer(set.map_or(0, |set| set.len()) as i64);
    Ok(())
}

fn zrank(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    rank(ctx, args, false)
}

fn zrevrank(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    rank(ctx, args, true)
}

fn rank(ctx: &mut Context<'_>, args: Args<'_>, backwards: bool) -> Result<(), CommandError> {
    let with_score = match args.len() {
        3 => false,
        4 if args.get(3).eq_ignore_ascii_case(b"withscore") => true,
        4 => return Err(SYNTAX),
        _ => return Err(CommandError::arity(ctx.command.full_name)),
    };
    let set = read_sorted(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    let found = set.and_then(|set| {
        let rank = set.rank(args.get(2))?;
        let rank = if backwards { set.len() - 1 - rank } else { rank };
        Some((rank, if with_score { set.score(args.get(2)) } else { None }))
    });
    match found {
        None if with_score => ctx.reply.null_array(),
        None => ctx.reply.null(),
        Some((rank, score)) => {
            if let Some(score) = score {
                ctx.reply.array(2);
                ctx.reply.integer(rank as i64);
                ctx.reply.double(score);
            } else {
                ctx.reply.integer(rank as i64);
            }
        }
    }
    Ok(())
}

fn zcount(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    count(ctx, args, By::Score)
}

fn zlexcount(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    count(ctx, args, By::Text)
}

fn count(ctx: &mut Context<'_>, args: Args<'_>, by: By) -> Result<(), CommandError> {
    let bounds = Bounds::read(by, args.get(2), args.get(3))?;
    let set = read_sorted(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    ctx.reply.integer(set.map_or(0, |set| bounds.ranks(set, false).len()) as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::{replay, replay_resp3};

    #[test]
    fn members_are_asked_about() {
        replay(
            r#"
            > ZADD z 1 a 2 b 3.5 c
            (integer) 3
            > ZSCORE z c
            "3.5"
            > ZSCORE z zz
            (nil)
            > ZMSCORE z a zz
            1) "1"
            2) (nil)
            > ZMSCORE missing a
            1) (nil)
            > ZCARD z
            (integer) 3
            > ZRANK z b
            (integer) 1
            > ZREVRANK z a
            (integer) 2
            > ZRANK z c WITHSCORE
            1) (integer) 2
            2) "3.5"
            > ZRANK z zz
            (nil)
            > ZRANK z zz WITHSCORE
            (nil)
            > ZRANK z a FOO
            (error) ERR syntax error
            > ZRANK z a WITHSCORE x
            (error) ERR wrong number of arguments for 'zrank' command
            > ZCOUNT z (1 3.5
            (integer) 2
            > ZCOUNT missing x 2
            (error) ERR min or max is not a float
            > ZLEXCOUNT z - +
            (integer) 3
            > ZLEXCOUNT z a +
            (error) ERR min or max not valid string range item
            > SET s x
            OK
            > ZCARD s
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    }

    #[test]
    fn scores_are_doubles_in_resp3() {
        replay_resp3(
            r#"
            > ZADD z 1.5 a
            (integer) 1
            > ZSCORE z a
            (double) 1.5
            "#,
        );
    }
}
