//! Members in a range: ZRANGE and what it replaced, ZRANGESTORE.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::bounds::{Bounds, By};
use super::{begin_members, read_sorted, reply_member, store};
use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::resp::args::Args;
use crate::types::sorted_set::{SortedSet, SortedSetRef};

/// `ZRANGE`
pub(super) static ZRANGE: Command = Command {
    name: "zrange",
    full_name: "zrange",
    summary: "Answers the members in a range of ranks, scores or texts.",
    since: "1.2.0",
    group: "sorted-set",
    complexity: "O(log(N)+M), N being the members of the sorted set, M those answered",
    arity: -4,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    history: &[("6.2.0", "The options `REV`, `BYSCORE`, `BYLEX` and `LIMIT` came.")],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("start", ArgKind::String),
        ArgSpec::new("stop", ArgKind::String),
        ArgSpec::new("sortby", ArgKind::OneOf)
            .since("6.2.0")
            .optional()
            .children(&[ArgSpec::pure_token("byscore", "BYSCORE"), ArgSpec::pure_token("bylex", "BYLEX")]),
        ArgSpec::pure_token("rev", "REV").since("6.2.0").optional(),
        ArgSpec::new("limit", ArgKind::Block)
            .token("LIMIT")
            .since("6.2.0")
            .optional()
            .children(&[ArgSpec::new("offset", ArgKind::Integer), ArgSpec::new("count", ArgKind::Integer)]),
        ArgSpec::pure_token("withscores", "WITHSCORES").optional(),
    ],
    handler: Some(zrange),
    ..Command::BLANK
};

/// `ZRANGESTORE`
pub(super) static ZRANGESTORE: Command = Command {
    name: "zrangestore",
    full_name: "zrangestore",
    summary: "Stores the members in a range of ranks, scores or texts.",
    since: "6.2.0",
    group: "sorted-set",
    complexity: "O(log(N)+M), N being the members of the sorted set, M those stored",
    arity: -5,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[
        key_specs::one(1, KeyFlags::OW.union(KeyFlags::UPDATE)),
        key_specs::one(2, KeyFlags::RO.union(KeyFlags::ACCESS)),
    ],
    args: &[
        ArgSpec::key("dst", 0),
        ArgSpec::key("src", 1),
        ArgSpec::new("min", ArgKind::String),
        ArgSpec::new("max", ArgKind::String),
        ArgSpec::new("sortby", ArgKind::OneOf)
            .optional()
            .children(&[ArgSpec::pure_token("byscore", "BYSCORE"), ArgSpec::pure_token("bylex", "BYLEX")]),
        ArgSpec::pure_token("rev", "REV").optional(),
        ArgSpec::new("limit", ArgKind::Block)
            .token("LIMIT")
            .optional()
            .children(&[ArgSpec::new("offset", ArgKind::Integer), ArgSpec::new("count", ArgKind::Integer)]),
    ],
    handler: Some(zrangestore),
    ..Command::BLANK
};

/// `ZREVRANGE`
pub(super) static ZREVRANGE: Command = Command {
    name: "zrevrange",
    full_name: "zrevrange",
    summary: "Answers the members in a range of ranks, counted from the highest score.",
    since: "1.2.0",
    group: "sorted-set",
    complexity: "O(log(N)+M), N being the members of the sorted set, M those answered",
    arity: -4,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    deprecated: Some(("6.2.0", "`ZRANGE` with the word `REV`")),
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("start", ArgKind::Integer),
        ArgSpec::new("stop", ArgKind::Integer),
        ArgSpec::pure_token("withscores", "WITHSCORES").optional(),
    ],
    handler: Some(zrevrange),
    ..Command::BLANK
};

/// `ZRANGEBYSCORE`
pub(super) static ZRANGEBYSCORE: Command = Command {
    name: "zrangebyscore",
    full_name: "zrangebyscore",
    summary: "Answers the members with scores in a range.",
    since: "1.0.5",
    group: "sorted-set",
    complexity: "O(log(N)+M), N being the members of the sorted set, M those answered; O(log(N)) where M is constant, as with LIMIT",
    arity: -4,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    deprecated: Some(("6.2.0", "`ZRANGE` with the word `BYSCORE`")),
    history: &[("2.0.0", "The option `WITHSCORES` came.")],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("min", ArgKind::Double),
        ArgSpec::new("max", ArgKind::Double),
        ArgSpec::pure_token("withscores", "WITHSCORES").since("2.0.0").optional(),
        ArgSpec::new("limit", ArgKind::Block)
            .token("LIMIT")
            .optional()
            .children(&[ArgSpec::new("offset", ArgKind::Integer), ArgSpec::new("count", ArgKind::Integer)]),
    ],
    handler: Some(zrangebyscore),
    ..Command::BLANK
};

/// `ZREVRANGEBYSCORE`
pub(super) static ZREVRANGEBYSCORE: Command = Command {
    name: "zrevrangebyscore",
    full_name: "zrevrangebyscore",
    summary: "Answers the members with scores in a range, the highest first.",
    since: "2.2.0",
    group: "sorted-set",
    complexity: "O(log(N)+M), N being the members of the sorted set, M those answered; O(log(N)) where M is constant, as with LIMIT",
    arity: -4,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    deprecated: Some(("6.2.0", "`ZRANGE` with the words `REV` and `BYSCORE`")),
    history: &[("2.1.6", "The bounds may be left out of the range.")],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("max", ArgKind::Double),
        ArgSpec::new("min", ArgKind::Double),
        ArgSpec::pure_token("withscores", "WITHSCORES").optional(),
        ArgSpec::new("limit", ArgKind::Block)
            .token("LIMIT")
            .optional()
            .children(&[ArgSpec::new("offset", ArgKind::Integer), ArgSpec::new("count", ArgKind::Integer)]),
    ],
    handler: Some(zrevrangebyscore),
    ..Command::BLANK
};

/// `ZRANGEBYLEX`
pub(super) static ZRANGEBYLEX: Command = Command {
    name: "zrangebylex",
    full_name: "zrangebylex",
    summary: "Answers the members in a range of texts, where all scores are the same.",
    since: "2.8.9",
    group: "sorted-set",
    complexity: "O(log(N)+M), N being the members of the sorted set, M those answered; O(log(N)) where M is constant, as with LIMIT",
    arity: -4,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    deprecated: Some(("6.2.0", "`ZRANGE` with the word `BYLEX`")),
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("min", ArgKind::String),
        ArgSpec::new("max", ArgKind::String),
        ArgSpec::new("limit", ArgKind::Block)
            .token("LIMIT")
            .optional()
            .children(&[ArgSpec::new("offset", ArgKind::Integer), ArgSpec::new("count", ArgKind::Integer)]),
    ],
    handler: Some(zrangebylex),
    ..Command::BLANK
};

/// `ZREVRANGEBYLEX`
pub(super) static ZREVRANGEBYLEX: Command = Command {
    name: "zrevrangebylex",
    full_name: "zrevrangebylex",
    summary: "Answers the members in a range of texts, the last one first, where all scores are the same.",
    since: "2.8.9",
    group: "sorted-set",
    complexity: "O(log(N)+M), N being the members of the sorted set, M those answered; O(log(N)) where M is constant, as with LIMIT",
    arity: -4,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    deprecated: Some(("6.2.0", "`ZRANGE` with the words `REV` and `BYLEX`")),
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("max", ArgKind::String),
        ArgSpec::new("min", ArgKind::String),
        ArgSpec::new("limit", ArgKind::Block)
            .token("LIMIT")
            .optional()
            .children(&[ArgSpec::new("offset", ArgKind::Integer), ArgSpec::new("count", ArgKind::Integer)]),
    ],
    handler: Some(zrevrangebylex),
    ..Command::BLANK
};

const LIMIT_BY_RANK: CommandError =
    CommandError::fixed("syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX");
const SCORES_BY_TEXT: CommandError =
    CommandError::fixed("syntax error, WITHSCORES not supported in combination with BYLEX");

/// What is asked for.
#[derive(Clone, Copy)]
struct Request {
    by: Option<By>,
    backwards: Option<bool>,
    with_scores: bool,
    stores: bool,
    offset: i64,
    /// Negative for all.
    limit: i64,
}

/// What the name of a command says.
const fn named(by: Option<By>, backwards: Option<bool>) -> Request {
    Request { by, backwards, with_scores: false, stores: false, offset: 0, limit: -1 }
}

impl Request {
    /// Reads the options from argument `first` on: those that the command's name says already are none.
    fn read(mut self, args: Args<'_>, first: usize) -> Result<Request, CommandError> {
        let fixed = self;
        let mut index = first;
        while index < args.len() {
            let is = |name: &str| args.get(index).eq_ignore_ascii_case(name.as_bytes());
            if !fixed.stores && is("WITHSCORES") {
                self.with_scores = true;
            } else if is("LIMIT") && index + 2 < args.len() {
                self.offset = parse_i64(args.get(index + 1)).ok_or(NOT_AN_INTEGER)?;
                self.limit = parse_i64(args.get(index + 2)).ok_or(NOT_AN_INTEGER)?;
                index += 2;
            } else if self.backwards.is_none() && is("REV") {
                self.backwards = Some(true);
            } else if self.by.is_none() && is("BYLEX") {
                self.by = Some(By::Text);
            } else if self.by.is_none() && is("BYSCORE") {
                self.by = Some(By::Score);
            } else {
                return Err(SYNTAX);
            }
            index += 1;
        }
        let by = self.by();
        if self.limit != -1 && by == By::Rank {
            return Err(LIMIT_BY_RANK);
        }
        if self.with_scores && by == By::Text {
            return Err(SCORES_BY_TEXT);
        }
        Ok(self)
    }

    fn by(self) -> By {
        self.by.unwrap_or(By::Rank)
    }

    fn is_backwards(self) -> bool {
        self.backwards.unwrap_or(false)
    }

    /// The range that two arguments name: scores and texts in the order in which they are met.
    fn bounds<'a>(self, start: &'a [u8], stop: &'a [u8]) -> Result<Bounds<'a>, CommandError> {
        let swapped = self.is_backwards() && self.by() != By::Rank;
        if swapped { Bounds::read(self.by(), stop, start) } else { Bounds::read(self.by(), start, stop) }
    }

    /// The ranks that are meant, the limit taken into account.
    fn ranks(self, set: SortedSetRef<'_>, bounds: &Bounds<'_>) -> Range<usize> {
        let ranks = bounds.ranks(set, self.is_backwards());
        let Some(skipped) = self.skipped(set, ranks.len()) else { return 0..0 };
        let left = ranks.len().saturating_sub(skipped);
        let count = usize::try_from(self.limit).map_or(left, |limit| limit.min(left));
        if self.is_backwards() {
            let end = ranks.end - skipped.min(ranks.len());
            end - count..end
        } else {
            let start = ranks.start + skipped.min(ranks.len());
            start..start + count
        }
    }

    /// How many of `len` members the limit skips. A negative offset counts from the other end in a large set, and skips
    /// everything in a small one; so it is in Redis.
    fn skipped(self, set: SortedSetRef<'_>, len: usize) -> Option<usize> {
        match usize::try_from(self.offset) {
            Ok(offset) => Some(offset),
            Err(_) if matches!(set, SortedSet::Tree(_)) => {
                usize::try_from(self.offset.unsigned_abs()).ok().and_then(|back| len.checked_sub(back))
            }
            Err(_) => None,
        }
    }
}

fn zrange(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    answer(ctx, args, named(None, None))
}

fn zrevrange(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    answer(ctx, args, named(Some(By::Rank), Some(true)))
}

fn zrangebyscore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    answer(ctx, args, named(Some(By::Score), Some(false)))
}

fn zrevrangebyscore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    answer(ctx, args, named(Some(By::Score), Some(true)))
}

fn zrangebylex(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    answer(ctx, args, named(Some(By::Text), Some(false)))
}

fn zrevrangebylex(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    answer(ctx, args, named(Some(By::Text), Some(true)))
}

fn answer(ctx: &mut Context<'_>, args: Args<'_>, named: Request) -> Result<(), CommandError> {
    let request = named.read(args, 4)?;
    let bounds = request.bounds(args.get(2), args.get(3))?;
    let Some(set) = read_sorted(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let ranks = request.ranks(set, &bounds);
    begin_members(ctx.reply, ranks.len(), request.with_scores);
    set.range(ranks, request.is_backwards(), |member, score| {
        reply_member(ctx.reply, member, score, request.with_scores);
    });
    Ok(())
}

fn zrangestore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let request = Request { stores: true, ..named(None, None) }.read(args, 5)?;
    let bounds = request.bounds(args.get(3), args.get(4))?;
    let limits = ctx.state.sorted_set_limits();
    let hash = ctx.state.keyspace.hash(args.get(2));
    let mut result = SortedSet::default();
    if let Some(set) = read_sorted(ctx.state, ctx.session, args.get(2), hash)? {
        set.range(request.ranks(set, &bounds), false, |member, score| {
            result.set(&member.to_cow(), score, &limits);
        });
    }
    store(ctx, args.get(1), result);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::{replay, replay_resp3};

    #[test]
    fn ranges_of_ranks() {
        replay(
            r#"
            > ZADD z 1 a 2 b 3 c
            (integer) 3
            > ZRANGE z 0 1
            1) "a"
            2) "b"
            > ZRANGE z 0 0 REV WITHSCORES
            1) "c"
            2) "3"
            > ZREVRANGE z 1 -1
            1) "b"
            2) "a"
            > ZRANGE z 5 9
            (empty array)
            > ZRANGE missing 0 -1
            (empty array)
            > ZRANGE missing x 0
            (error) ERR value is not an integer or out of range
            > ZRANGE z 0 1 LIMIT 0 1
            (error) ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX
            > ZRANGE z 0 1 FOO
            (error) ERR syntax error
            > ZREVRANGE z 0 1 REV
            (error) ERR syntax error
            > SET s x
            OK
            > ZRANGE s 0 1
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    }

    #[test]
    fn ranges_of_scores() {
        replay(
            r#"
            > ZADD z 1 a 2 b 3 c 4 d
            (integer) 4
            > ZRANGE z (1 3 BYSCORE
            1) "b"
            2) "c"
            > ZRANGEBYSCORE z -inf +inf LIMIT 1 2
            1) "b"
            2) "c"
            > ZRANGEBYSCORE z 2 3 WITHSCORES LIMIT 1 -1
            1) "c"
            2) "3"
            > ZRANGEBYSCORE z 2 3 LIMIT -1 1
            (empty array)
            > ZRANGEBYSCORE z 1 4 LIMIT 9 1
            (empty array)
            > ZREVRANGEBYSCORE z 4 2 LIMIT 1 1
            1) "c"
            > ZRANGE z +inf (1 BYSCORE REV LIMIT 0 2
            1) "d"
            2) "c"
            > ZRANGEBYSCORE z 0 x
            (error) ERR min or max is not a float
            > ZRANGEBYSCORE z 0 1 BYLEX
            (error) ERR syntax error
            > ZRANGE z 0 1 BYSCORE BYLEX
            (error) ERR syntax error
            > ZRANGE z 0 1 BYSCORE LIMIT x 1
            (error) ERR value is not an integer or out of range
            > ZRANGE z 0 1 BYSCORE LIMIT 1
            (error) ERR syntax error
            "#,
        );
    }

    #[test]
    fn ranges_of_texts() {
        replay(
            r#"
            > ZADD z 0 a 0 b 0 c
            (integer) 3
            > ZRANGEBYLEX z [b +
            1) "b"
            2) "c"
            > ZRANGE z - (c BYLEX LIMIT 1 1
            1) "b"
            > ZREVRANGEBYLEX z + (a
            1) "c"
            2) "b"
            > ZRANGE z + - BYLEX REV LIMIT 0 1
            1) "c"
            > ZRANGEBYLEX z a b
            (error) ERR min or max not valid string range item
            > ZRANGE z - + BYLEX WITHSCORES
            (error) ERR syntax error, WITHSCORES not supported in combination with BYLEX
            "#,
        );
    }

    #[test]
    fn ranges_are_stored() {
        replay(
            r#"
            > ZADD z 1 a 2 b 3 c
            (integer) 3
            > SET d x EX 100
            OK
            > ZRANGESTORE d z 1 -1
            (integer) 2
            > ZRANGE d 0 -1 WITHSCORES
            1) "b"
            2) "2"
            3) "c"
            4) "3"
            > TTL d
            (integer) -1
            > ZRANGESTORE d z 0 0 WITHSCORES
            (error) ERR syntax error
            > ZRANGESTORE d missing 0 -1
            (integer) 0
            > EXISTS d
            (integer) 0
            "#,
        );
    }

    #[test]
    fn pairs_are_pairs_in_resp3() {
        replay_resp3(
            r#"
            > ZADD z 1.5 a
            (integer) 1
            > ZRANGE z 0 -1 WITHSCORES
            1) 1) "a"
               2) (double) 1.5
            "#,
        );
    }
}
