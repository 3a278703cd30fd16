//! HOT PATH. Adding members and changing scores: ZADD, ZINCRBY.

#![forbid(unsafe_code)]

use crate::base::float::parse_f64;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_A_FLOAT, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::commands::lookup;
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;
use crate::types::sorted_set::{SortedSet, SortedSetLimits};

/// `ZADD`
pub(super) static ZADD: Command = Command {
    name: "zadd",
    full_name: "zadd",
    summary: "Adds members with their scores, or changes the scores of those that are there.",
    since: "1.2.0",
    group: "sorted-set",
    complexity: "O(log(N)) for each member, N being the members of the sorted set",
    arity: -4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::SORTEDSET).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    history: &[
        ("2.4.0", "Takes several members."),
        ("3.0.2", "The options `XX`, `NX`, `CH` and `INCR` came."),
        ("6.2.0", "The options `GT` and `LT` came."),
    ],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("condition", ArgKind::OneOf)
            .since("3.0.2")
            .optional()
            .children(&[ArgSpec::pure_token("nx", "NX"), ArgSpec::pure_token("xx", "XX")]),
        ArgSpec::new("comparison", ArgKind::OneOf)
            .since("6.2.0")
            .optional()
            .children(&[ArgSpec::pure_token("gt", "GT"), ArgSpec::pure_token("lt", "LT")]),
        ArgSpec::pure_token("change", "CH").since("3.0.2").optional(),
        ArgSpec::pure_token("increment", "INCR").since("3.0.2").optional(),
        ArgSpec::new("data", ArgKind::Block)
            .multiple()
            .children(&[ArgSpec::new("score", ArgKind::Double), ArgSpec::new("member", ArgKind::String)]),
    ],
    handler: Some(zadd),
    member_arg: 3,
    ..Command::BLANK
};

/// `ZINCRBY`
pub(super) static ZINCRBY: Command = Command {
    name: "zincrby",
    full_name: "zincrby",
    summary: "Adds to the score of a member.",
    since: "1.2.0",
    group: "sorted-set",
    complexity: "O(log(N)), N being the members of the sorted set",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::SORTEDSET).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("increment", ArgKind::Integer),
        ArgSpec::new("member", ArgKind::String),
    ],
    handler: Some(zincrby),
    member_arg: 3,
    ..Command::BLANK
};

const NX_AND_XX: CommandError = CommandError::fixed("XX and NX options at the same time are not compatible");
const TWO_CONDITIONS: CommandError =
    CommandError::fixed("GT, LT, and/or NX options at the same time are not compatible");
const SINGLE_INCREMENT: CommandError = CommandError::fixed("INCR option supports a single increment-element pair");
const NOT_A_NUMBER: CommandError = CommandError::fixed("resulting score is not a number (NaN)");

/// Options of ZADD.
#[derive(Clone, Copy, Default)]
pub(crate) struct Options {
    /// `NX`
    pub only_new: bool,
    /// `XX`
    pub only_there: bool,
    /// `CH`
    pub counts_changes: bool,
    only_greater: bool,
    only_less: bool,
    increments: bool,
}

impl Options {
    /// The options, and where the scores begin.
    fn read(args: Args<'_>) -> Result<(Options, usize), CommandError> {
        let mut options = Options::default();
        let mut index = 2;
        while index < args.len() {
            let is = |name: &str| args.get(index).eq_ignore_ascii_case(name.as_bytes());
            match () {
                () if is("NX") => options.only_new = true,
                () if is("XX") => options.only_there = true,
                () if is("GT") => options.only_greater = true,
                () if is("LT") => options.only_less = true,
                () if is("CH") => options.counts_changes = true,
                () if is("INCR") => options.increments = true,
                () => break,
            }
            index += 1;
        }
        let pairs = args.len() - index;
        if pairs == 0 || !pairs.is_multiple_of(2) {
            return Err(SYNTAX);
        }
        if options.only_new && options.only_there {
            return Err(NX_AND_XX);
        }
        let conditions = [options.only_greater, options.only_less, options.only_new];
        if conditions.into_iter().filter(|condition| *condition).count() > 1 {
            return Err(TWO_CONDITIONS);
        }
        if options.increments && pairs > 2 {
            return Err(SINGLE_INCREMENT);
        }
        Ok((options, index))
    }

    /// Gives a member its score, where no option forbids it. Returns what became of it.
    #[inline]
    fn apply(
        self,
        set: &mut SortedSet,
        member: &[u8],
        score: f64,
        limits: &SortedSetLimits,
    ) -> Result<Option<Applied>, CommandError> {
        let mut outcome = Ok(None);
        set.update(member, limits, |former| {
            outcome = self.decide(former, score);
            outcome.as_ref().ok()?.as_ref().map(|applied| applied.score)
        });
        outcome
    }

    /// What becomes of a member that has this score, if it is one. None where an option forbids it.
    fn decide(self, former: Option<f64>, score: f64) -> Result<Option<Applied>, CommandError> {
        let Some(former) = former else {
            return Ok((!self.only_there).then_some(Applied { score, added: true, changed: false }));
        };
        if self.only_new {
            return Ok(None);
        }
        let score = if self.increments { former + score } else { score };
        if score.is_nan() {
            return Err(NOT_A_NUMBER);
        }
        if (self.only_less && score >= former) || (self.only_greater && score <= former) {
            return Ok(None);
        }
        Ok(Some(Applied { score, added: false, changed: score != former }))
    }
}

/// What became of a member.
struct Applied {
    score: f64,
    added: bool,
    changed: bool,
}

fn zadd(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (options, first) = Options::read(args)?;
    add_pairs(ctx, args, options, first)
}

fn zincrby(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    // An increment that is called like an option is taken for one, and then too few arguments are left.
    let (options, first) = Options::read(args)?;
    add_pairs(ctx, args, Options { increments: true, ..options }, first)
}

/// Scores and members follow in turns from argument `first` on.
fn add_pairs(ctx: &mut Context<'_>, args: Args<'_>, options: Options, first: usize) -> Result<(), CommandError> {
    let pairs = args.skip(first);
    let score = |index| parse_f64(pairs.get(2 * index)).ok_or(NOT_A_FLOAT);
    add(ctx, args.get(1), options, pairs.len() / 2, score, |index| pairs.get(2 * index + 1))
}

/// Adds `count` members to the sorted set at `key`, the command's first one, under conditions, and replies. All scores but
/// the first are read twice: no member is added where one of them is an error.
#[inline]
pub(crate) fn add<'m>(
    ctx: &mut Context<'_>,
    key: &[u8],
    options: Options,
    count: usize,
    score: impl Fn(usize) -> Result<f64, CommandError>,
    member: impl Fn(usize) -> &'m [u8],
) -> Result<(), CommandError> {
    let hash = ctx.first_key_hash;
    let first = if count > 0 { score(0)? } else { 0.0 };
    for index in 1..count {
        score(index)?;
    }
    let limits = ctx.state.sorted_set_limits();
    if options.only_there && lookup::hold::<SortedSet>(ctx.state, ctx.session.db, key, hash)?.is_none() {
        if options.increments {
            ctx.reply.null()
        } else {
            ctx.reply.integer(0)
        }
        return Ok(());
    }
    let longest = (0..count).map(|index| member(index).len()).max().unwrap_or(0);
    let new = || SortedSet::for_members(count, longest, &limits);
    let mut set = lookup::hold_or_new(ctx.state, ctx.session.db, key, hash, new)?;
    let is_new = set.is_empty();
    set.make_room(count, &limits);
    let (mut added, mut changed, mut last) = (0, 0, None);
    let mut outcome = Ok(());
    for index in 0..count {
        let score = if index == 0 { Ok(first) } else { score(index) };
        match score.and_then(|score| options.apply(&mut set, member(index), score, &limits)) {
            Err(error) => {
                outcome = Err(error);
                break;
            }
            Ok(applied) => {
                added += i64::from(applied.as_ref().is_some_and(|applied| applied.added));
                changed += i64::from(applied.as_ref().is_some_and(|applied| applied.changed));
                last = applied.map(|applied| applied.score);
            }
        }
    }
    drop(set);
    if added + changed > 0 {
        let event = if options.increments { "zincr" } else { "zadd" };
        ctx.stored(is_new, KeyspaceEvents::ZSET, event, key);
        ctx.state.stats.dirty += (added + changed) as u64;
    }
    outcome?;
    match last {
        Some(score) if options.increments => ctx.reply.double(score),
        None if options.increments => ctx.reply.null(),
        _ => ctx.reply.integer(if options.counts_changes { added + changed } else { added }),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::{replay, replay_resp3};

    #[test]
    fn members_are_added_under_conditions() {
        replay(
            r#"
            > ZADD z 1 a 2 b 1.5 c
            (integer) 3
            > ZADD z CH 5 a 6 d 2 b
            (integer) 2
            > ZADD z NX 9 a 7 e
            (integer) 1
            > ZADD z XX 9 a 7 f
            (integer) 0
            > ZADD z GT CH 1 a 10 b
            (integer) 1
            > ZADD z LT CH 1 a 100 b
            (integer) 1
            > ZRANGE z 0 -1 WITHSCORES
             1) "a"
             2) "1"
             3) "c"
             4) "1.5"
             5) "d"
             6) "6"
             7) "e"
             8) "7"
             9) "b"
            10) "10"
            > ZADD z INCR 1.5 a
            "2.5"
            > ZADD z NX INCR 1 a
            (nil)
            > ZADD z XX INCR 1 zz
            (nil)
            > ZADD missing XX 1 a
            (integer) 0
            > ZINCRBY z -1 new
            "-1"
            "#,
        );
    }

    #[test]
    fn arguments_are_checked() {
        replay(
            r#"
            > ZADD z NX XX 1 a
            (error) ERR XX and NX options at the same time are not compatible
            > ZADD z GT LT 1 a
            (error) ERR GT, LT, and/or NX options at the same time are not compatible
            > ZADD z GT NX 1 a
            (error) ERR GT, LT, and/or NX options at the same time are not compatible
            > ZADD z INCR 1 a 2 b
            (error) ERR INCR option supports a single increment-element pair
            > ZADD z x a
            (error) ERR value is not a valid float
            > ZADD z nan a
            (error) ERR value is not a valid float
            > ZADD z 1 a 2
            (error) ERR syntax error
            > ZADD z NX
            (error) ERR wrong number of arguments for 'zadd' command
            > ZADD z inf a
            (integer) 1
            > ZINCRBY z -inf a
            (error) ERR resulting score is not a number (NaN)
            > SET s x
            OK
            > ZADD s 1 a
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > ZADD s XX 1 a
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    }

    #[test]
    fn scores_are_doubles_in_resp3() {
        replay_resp3(
            r#"
            > ZADD z INCR 1.5 a
            (double) 1.5
            "#,
        );
    }

    #[test]
    fn the_encoding_follows_the_configuration() {
        replay(
            r#"
            > CONFIG SET zset-max-listpack-entries 2 zset-max-listpack-value 4
            OK
            > ZADD a 1 x 2 y
            (integer) 2
            > OBJECT ENCODING a
            "listpack"
            > ZADD a 3 z
            (integer) 1
            > OBJECT ENCODING a
            "skiplist"
            > ZADD b 1 abcde
            (integer) 1
            > OBJECT ENCODING b
            "skiplist"
            > COPY a c
            (integer) 1
            > ZADD c 0 w
            (integer) 1
            > ZRANGE c 0 -1
            1) "w"
            2) "x"
            3) "y"
            4) "z"
            > ZCARD a
            (integer) 3
            > TYPE a
            zset
            "#,
        );
    }
}
