//! Several sorted sets, or sets, at once: ZUNION, ZINTER, ZDIFF, the same with a place to store the result, ZINTERCARD.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::ops::Range;

use super::{begin_members, reply_member, store};
use crate::base::float::parse_f64;
use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER, SYNTAX, WRONG_TYPE};
use crate::command::keys::find_counted;
use crate::command::session::Session;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::command::state::State;
use crate::commands::{key_specs, lookup};
use crate::encoding::listpack::Element;
use crate::resp::args::Args;
use crate::sys::prefetch::AHEAD;
use crate::types::KeyEntry;
use crate::types::set::{SetRef, all_of};
use crate::types::sorted_set::{SortedSet, SortedSetLimits, SortedSetRef, Unordered};

/// `ZUNION`
pub(super) static ZUNION: Command = Command {
    name: "zunion",
    full_name: "zunion",
    summary: "Answers what is in any of the sorted sets.",
    since: "6.2.0",
    group: "sorted-set",
    complexity: "O(N)+O(M*log(M)), N being the members of all sets, M those of the result",
    arity: -3,
    flags: Flags::READONLY.union(Flags::MOVABLEKEYS),
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[key_specs::counted(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    key_finder: Some(find_counted::<0, 1>),
    args: &[
        ArgSpec::new("numkeys", ArgKind::Integer),
        ArgSpec::key("key", 0).multiple(),
        ArgSpec::new("weight", ArgKind::Integer).token("WEIGHTS").optional().multiple(),
        ArgSpec::new("aggregate", ArgKind::OneOf).token("AGGREGATE").optional().children(&[
            ArgSpec::pure_token("sum", "SUM"),
            ArgSpec::pure_token("min", "MIN"),
            ArgSpec::pure_token("max", "MAX"),
        ]),
        ArgSpec::pure_token("withscores", "WITHSCORES").optional(),
    ],
    handler: Some(zunion),
    ..Command::BLANK
};

/// `ZINTER`
pub(super) static ZINTER: Command = Command {
    name: "zinter",
    full_name: "zinter",
    summary: "Answers what is in every one of the sorted sets.",
    since: "6.2.0",
    group: "sorted-set",
    complexity: "O(N*K)+O(M*log(M)), N being the members of the smallest set, K the number of sets, M the members of the result",
    arity: -3,
    flags: Flags::READONLY.union(Flags::MOVABLEKEYS),
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[key_specs::counted(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    key_finder: Some(find_counted::<0, 1>),
    args: &[
        ArgSpec::new("numkeys", ArgKind::Integer),
        ArgSpec::key("key", 0).multiple(),
        ArgSpec::new("weight", ArgKind::Integer).token("WEIGHTS").optional().multiple(),
        ArgSpec::new("aggregate", ArgKind::OneOf).token("AGGREGATE").optional().children(&[
            ArgSpec::pure_token("sum", "SUM"),
            ArgSpec::pure_token("min", "MIN"),
            ArgSpec::pure_token("max", "MAX"),
        ]),
        ArgSpec::pure_token("withscores", "WITHSCORES").optional(),
    ],
    handler: Some(zinter),
    ..Command::BLANK
};

/// `ZDIFF`
pub(super) static ZDIFF: Command = Command {
    name: "zdiff",
    full_name: "zdiff",
    summary: "Answers what is in the first sorted set and in none of the others.",
    since: "6.2.0",
    group: "sorted-set",
    complexity: "O(L+(N-K)log(N)), L being the members of all sets, N those of the first, K those of the result",
    arity: -3,
    flags: Flags::READONLY.union(Flags::MOVABLEKEYS),
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[key_specs::counted(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    key_finder: Some(find_counted::<0, 1>),
    args: &[
        ArgSpec::new("numkeys", ArgKind::Integer),
        ArgSpec::key("key", 0).multiple(),
        ArgSpec::pure_token("withscores", "WITHSCORES").optional(),
    ],
    handler: Some(zdiff),
    ..Command::BLANK
};

/// `ZUNIONSTORE`
pub(super) static ZUNIONSTORE: Command = Command {
    name: "zunionstore",
    full_name: "zunionstore",
    summary: "Stores what is in any of the sorted sets.",
    since: "2.0.0",
    group: "sorted-set",
    complexity: "O(N)+O(Mlog(M)), N being the members of all sets, M those of the result",
    arity: -4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLEKEYS),
    categories: Categories::WRITE.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[
        key_specs::one(1, KeyFlags::OW.union(KeyFlags::UPDATE)),
        key_specs::counted(2, KeyFlags::RO.union(KeyFlags::ACCESS)),
    ],
    key_finder: Some(find_counted::<1, 2>),
    args: &[
        ArgSpec::key("destination", 0),
        ArgSpec::new("numkeys", ArgKind::Integer),
        ArgSpec::key("key", 1).multiple(),
        ArgSpec::new("weight", ArgKind::Integer).token("WEIGHTS").optional().multiple(),
        ArgSpec::new("aggregate", ArgKind::OneOf).token("AGGREGATE").optional().children(&[
            ArgSpec::pure_token("sum", "SUM"),
            ArgSpec::pure_token("min", "MIN"),
            ArgSpec::pure_token("max", "MAX"),
        ]),
    ],
    handler: Some(zunionstore),
    ..Command::BLANK
};

/// `ZINTERSTORE`
pub(super) static ZINTERSTORE: Command = Command {
    name: "zinterstore",
    full_name: "zinterstore",
    summary: "Stores what is in every one of the sorted sets.",
    since: "2.0.0",
    group: "sorted-set",
    complexity: "O(N*K)+O(M*log(M)), N being the members of the smallest set, K the number of sets, M the members of the result",
    arity: -4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLEKEYS),
    categories: Categories::WRITE.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[
        key_specs::one(1, KeyFlags::OW.union(KeyFlags::UPDATE)),
        key_specs::counted(2, KeyFlags::RO.union(KeyFlags::ACCESS)),
    ],
    key_finder: Some(find_counted::<1, 2>),
    args: &[
        ArgSpec::key("destination", 0),
        ArgSpec::new("numkeys", ArgKind::Integer),
        ArgSpec::key("key", 1).multiple(),
        ArgSpec::new("weight", ArgKind::Integer).token("WEIGHTS").optional().multiple(),
        ArgSpec::new("aggregate", ArgKind::OneOf).token("AGGREGATE").optional().children(&[
            ArgSpec::pure_token("sum", "SUM"),
            ArgSpec::pure_token("min", "MIN"),
            ArgSpec::pure_token("max", "MAX"),
        ]),
    ],
    handler: Some(zinterstore),
    ..Command::BLANK
};

/// `ZDIFFSTORE`
pub(super) static ZDIFFSTORE: Command = Command {
    name: "zdiffstore",
    full_name: "zdiffstore",
    summary: "Stores what is in the first sorted set and in none of the others.",
    since: "6.2.0",
    group: "sorted-set",
    complexity: "O(L+(N-K)log(N)), L being the members of all sets, N those of the first, K those of the result",
    arity: -4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLEKEYS),
    categories: Categories::WRITE.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[
        key_specs::one(1, KeyFlags::OW.union(KeyFlags::UPDATE)),
        key_specs::counted(2, KeyFlags::RO.union(KeyFlags::ACCESS)),
    ],
    key_finder: Some(find_counted::<1, 2>),
    args: &[
        ArgSpec::key("destination", 0),
        ArgSpec::new("numkeys", ArgKind::Integer),
        ArgSpec::key("key", 1).multiple(),
    ],
    handler: Some(zdiffstore),
    ..Command::BLANK
};

/// `ZINTERCARD`
pub(super) static ZINTERCARD: Command = Command {
    name: "zintercard",
    full_name: "zintercard",
    summary: "Counts what is in every one of the sorted sets, up to a limit.",
    since: "7.0.0",
    group: "sorted-set",
    complexity: "O(N*K), N being the members of the smallest set, K the number of sets",
    arity: -3,
    flags: Flags::READONLY.union(Flags::MOVABLEKEYS),
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::SLOW),
    key_specs: &[key_specs::counted(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    key_finder: Some(find_counted::<0, 1>),
    args: &[
        ArgSpec::new("numkeys", ArgKind::Integer),
        ArgSpec::key("key", 0).multiple(),
        ArgSpec::new("limit", ArgKind::Integer).token("LIMIT").optional(),
    ],
    handler: Some(zintercard),
    ..Command::BLANK
};

const NO_WEIGHT: CommandError = CommandError::fixed("weight value is not a float");
const NEGATIVE_LIMIT: CommandError = CommandError::fixed("LIMIT can't be negative");

/// Members with their scores, up to [`AHEAD`].
type Group<'s> = Vec<(Cow<'s, [u8]>, f64)>;

/// A source: members of sets have the score 1.
#[derive(Clone, Copy)]
enum Source<'s> {
    Missing,
    Set(SetRef<'s>),
    Sorted(SortedSetRef<'s>),
}

impl<'s> Source<'s> {
    fn of(entry: Option<&'s KeyEntry>) -> Result<Source<'s>, CommandError> {
        let Some(entry) = entry else { return Ok(Source::Missing) };
        if let Ok(set) = entry.as_sorted_set() {
            return Ok(Source::Sorted(set));
        }
        entry.as_set().map(Source::Set).map_err(|_| WRONG_TYPE)
    }

    fn len(self) -> usize {
        match self {
            Source::Missing => 0,
            Source::Set(set) => set.len(),
            Source::Sorted(set) => set.len(),
        }
    }

    /// Shows members, some at a time, until `see` has enough; it may change what it is shown.
    fn visit_groups<'a>(&'a self, mut see: impl FnMut(&mut Group<'a>) -> bool) {
        let (mut group, mut wants_more) = (Group::with_capacity(AHEAD), true);
        let mut add = |member: Element<'a>, score| {
            group.push((member.to_cow(), score));
            if group.len() == AHEAD {
                wants_more = see(&mut group);
                group.clear();
            }
            wants_more
        };
        match self {
            Source::Missing => {}
            Source::Set(set) => set.visit(|member| add(member, 1.0)),
            Source::Sorted(set) => set.range_until(0..set.len(), false, add),
        }
        if !group.is_empty() {
            see(&mut group);
        }
    }

    /// The scores of a group's members here.
    fn scores(self, group: &[(Cow<'_, [u8]>, f64)]) -> [Option<f64>; AHEAD] {
        let mut scores = [None; AHEAD];
        match self {
            Source::Missing => {}
            Source::Set(set) => {
                let mut members = [Element::Bytes(b""); AHEAD];
                members.iter_mut().zip(group).for_each(|(member, (text, _))| *member = Element::Bytes(text));
                let there = set.which(&members[..group.len()], all_of(&members[..group.len()]));
                let is_there = |index: usize| there >> index & 1 != 0;
                scores.iter_mut().enumerate().for_each(|(index, score)| *score = is_there(index).then_some(1.0));
            }
            Source::Sorted(set) => set.scores(group.iter().map(|(member, _)| &**member), &mut scores),
        }
        scores
    }

    /// Leaves those of a group that are here, or those that are not.
    fn keep(self, group: &mut Group<'_>, those_here: bool) {
        let mut scores = self.scores(group).into_iter();
        group.retain(|_| scores.next().flatten().is_some() == those_here);
    }
}

/// How the scores of a member in several sources become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Aggregate {
    Sum,
    Min,
    Max,
}

impl Aggregate {
    fn of(self, left: f64, right: f64) -> f64 {
        match self {
            Aggregate::Sum => number(left + right),
            Aggregate::Min => left.min(right),
            Aggregate::Max => left.max(right),
        }
    }
}

/// Opposite infinities cancel each other out.
fn number(value: f64) -> f64 {
    if value.is_nan() { 0.0 } else { value }
}

/// A source with its weight.
struct Weighted<'s> {
    source: Source<'s>,
    weight: f64,
}

impl Weighted<'_> {
    fn weigh(&self, score: f64) -> f64 {
        number(score * self.weight)
    }
}

/// The keys of a request: which arguments they are.
fn keys(ctx: &Context<'_>, args: Args<'_>, first: usize) -> Result<Range<usize>, CommandError> {
    let numkeys = parse_i64(args.get(first)).ok_or(NOT_AN_INTEGER)?;
    let Some(numkeys) = usize::try_from(numkeys).ok().filter(|&numkeys| numkeys > 0) else {
        let name = ctx.command.full_name;
        return Err(CommandError::filled(format!("at least 1 input key is needed for '{name}' command")));
    };
    if numkeys > args.len() - first - 1 { Err(SYNTAX) } else { Ok(first + 1..first + 1 + numkeys) }
}

/// Looks all keys up, which counts hits and misses, and refuses values of other types.
fn check(
    state: &mut State,
    session: &mut Session,
    args: Args<'_>,
    keys: Range<usize>,
) -> Result<Vec<u64>, CommandError> {
    let mut hashes = Vec::with_capacity(keys.len());
    for index in keys {
        let hash = state.keyspace.hash(args.get(index));
        Source::of(lookup::read(state, session, args.get(index), hash))?;
        hashes.push(hash);
    }
    Ok(hashes)
}

/// All sources at once, after they were looked up.
fn sources<'s>(state: &'s State, db: usize, args: Args<'_>, keys: Range<usize>, hashes: &[u64]) -> Vec<Source<'s>> {
    let now_ms = state.clock.unix_ms();
    let db = state.keyspace.db(db);
    let found = keys.zip(hashes).map(|(index, hash)| Source::of(db.live(args.get(index), *hash, now_ms)));
    found.map(|source| source.unwrap_or(Source::Missing)).collect()
}

/// Which result is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Union,
    Inter,
    Diff,
}

/// What stands behind the keys.
struct Options {
    weights: Option<Vec<f64>>,
    aggregate: Aggregate,
    with_scores: bool,
}

impl Options {
    fn read(args: Args<'_>, keys: &Range<usize>, operation: Operation, stores: bool) -> Result<Options, CommandError> {
        let mut options = Options { weights: None, aggregate: Aggregate::Sum, with_scores: false };
        let mut index = keys.end;
        while index < args.len() {
            let is = |name: &str| args.get(index).eq_ignore_ascii_case(name.as_bytes());
            let left = args.len() - index - 1;
            if operation != Operation::Diff && is("WEIGHTS") && left >= keys.len() {
                let weights = (1..=keys.len()).map(|at| parse_f64(args.get(index + at)));
                options.weights = Some(weights.collect::<Option<Vec<f64>>>().ok_or(NO_WEIGHT)?);
                index += keys.len();
            } else if operation != Operation::Diff && is("AGGREGATE") && left >= 1 {
                options.aggregate = match args.get(index + 1) {
                    word if word.eq_ignore_ascii_case(b"sum") => Aggregate::Sum,
                    word if word.eq_ignore_ascii_case(b"min") => Aggregate::Min,
                    word if word.eq_ignore_ascii_case(b"max") => Aggregate::Max,
                    _ => return Err(SYNTAX),
                };
                index += 1;
            } else if !stores && is("WITHSCORES") {
                options.with_scores = true;
            } else {
                return Err(SYNTAX);
            }
            index += 1;
        }
        Ok(options)
    }
}

/// Works a result out, from argument `first` on, where the number of keys stands.
fn result(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    first: usize,
    operation: Operation,
    stores: bool,
) -> Result<(SortedSet, bool), CommandError> {
    let keys = keys(ctx, args, first)?;
    let hashes = check(ctx.state, ctx.session, args, keys.clone())?;
    let options = Options::read(args, &keys, operation, stores)?;
    let limits = ctx.state.sorted_set_limits();
    let sources = sources(ctx.state, ctx.session.db, args, keys, &hashes);
    let result = if operation == Operation::Diff {
        difference(&sources, &limits)
    } else {
        let weight = |at: usize| options.weights.as_ref().map_or(1.0, |weights| weights[at]);
        let weighted = sources.iter().enumerate().map(|(at, source)| Weighted { source: *source, weight: weight(at) });
        let mut weighted: Vec<Weighted<'_>> = weighted.collect();
        // The order in which sums are taken is Redis', the smallest first: floating point numbers tell the difference.
        weighted.sort_by_key(|weighted| weighted.source.len());
        match operation {
            Operation::Union => union(&weighted, options.aggregate, &limits),
            _ => intersection(&weighted, options.aggregate, &limits),
        }
    };
    Ok((result, options.with_scores))
}

/// The result, which was worked out without an order, some members at a time, and in no pack: that would make 0 of -0.
fn in_order(members: Unordered) -> SortedSet {
    SortedSet::Tree(Box::new(members.into_tree()))
}

fn union(sources: &[Weighted<'_>], aggregate: Aggregate, limits: &SortedSetLimits) -> SortedSet {
    let largest = sources.last().map_or(0, |largest| largest.source.len());
    let mut union = Unordered::for_members(largest, limits.key);
    for source in sources {
        source.source.visit_groups(|group| {
            group.iter_mut().for_each(|(_, score)| *score = source.weigh(*score));
            union.add_group(group, |there, score| aggregate.of(there, score));
            true
        });
    }
    in_order(union)
}

fn intersection(sources: &[Weighted<'_>], aggregate: Aggregate, limits: &SortedSetLimits) -> SortedSet {
    let mut intersection = Unordered::for_members(0, limits.key);
    let Some((smallest, others)) = sources.split_first() else { return in_order(intersection) };
    smallest.source.visit_groups(|group| {
        group.iter_mut().for_each(|(_, score)| *score = smallest.weigh(*score));
        for other in others {
            let mut scores = other.source.scores(group).into_iter();
            group.retain_mut(|(_, score)| match scores.next().flatten() {
                Some(of_other) => {
                    *score = aggregate.of(*score, other.weigh(of_other));
                    true
                }
                None => false,
            });
        }
        intersection.add_new_group(group);
        true
    });
    in_order(intersection)
}

fn difference(sources: &[Source<'_>], limits: &SortedSetLimits) -> SortedSet {
    let mut difference = Unordered::for_members(0, limits.key);
    let Some((first, others)) = sources.split_first() else { return in_order(difference) };
    first.visit_groups(|group| {
        others.iter().for_each(|other| other.keep(group, false));
        difference.add_new_group(group);
        true
    });
    in_order(difference)
}

fn answer(ctx: &mut Context<'_>, args: Args<'_>, operation: Operation) -> Result<(), CommandError> {
    let (result, with_scores) = result(ctx, args, 1, operation, false)?;
    begin_members(ctx.reply, result.len(), with_scores);
    result.each(|member, score| reply_member(ctx.reply, member, score, with_scores));
    ctx.state.discard_value(result.into());
    Ok(())
}

fn keep(ctx: &mut Context<'_>, args: Args<'_>, operation: Operation) -> Result<(), CommandError> {
    let (result, _) = result(ctx, args, 2, operation, true)?;
    let result = result.packed(&ctx.state.sorted_set_limits());
    store(ctx, args.get(1), result);
    Ok(())
}

fn zunion(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    answer(ctx, args, Operation::Union)
}

fn zinter(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    answer(ctx, args, Operation::Inter)
}

fn zdiff(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    answer(ctx, args, Operation::Diff)
}

fn zunionstore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    keep(ctx, args, Operation::Union)
}

fn zinterstore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    keep(ctx, args, Operation::Inter)
}

fn zdiffstore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    keep(ctx, args, Operation::Diff)
}

fn zintercard(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let keys = keys(ctx, args, 1)?;
    let hashes = check(ctx.state, ctx.session, args, keys.clone())?;
    let mut limit = 0;
    for index in (keys.end..args.len()).step_by(2) {
        if !args.get(index).eq_ignore_ascii_case(b"limit") || index + 1 == args.len() {
            return Err(SYNTAX);
        }
        limit = parse_i64(args.get(index + 1)).filter(|&limit| limit >= 0).ok_or(NEGATIVE_LIMIT)?;
    }
    let mut sources = sources(ctx.state, ctx.session.db, args, keys, &hashes);
    sources.sort_by_key(|source| source.len());
    let mut count = 0;
    if let Some((smallest, others)) = sources.split_first() {
        smallest.visit_groups(|group| {
            others.iter().for_each(|other| other.keep(group, true));
            count += group.len() as i64;
            limit == 0 || count < limit
        });
    }
    ctx.reply.integer(if limit == 0 { count } else { count.min(limit) });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::siphash::SipKey;
    use crate::commands::transcript::replay;
    use crate::types::set::{Set, SetLimits};
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn results_are_answered() {
        replay(
            r#"
            > ZADD a 1 x 2 y 3 z
            (integer) 3
            > ZADD b 10 y 20 z 30 w
            (integer) 3
            > SADD s x y q
            (integer) 3
            > ZUNION 2 a b WITHSCORES
            1) "x"
            2) "1"
            3) "y"
            4) "12"
            5) "z"
            6) "23"
            7) "w"
            8) "30"
            > ZUNION 2 a s AGGREGATE MAX WITHSCORES
            1) "q"
            2) "1"
            3) "x"
            4) "1"
            5) "y"
            6) "2"
            7) "z"
            8) "3"
            > ZINTER 2 a b WEIGHTS 1 0.5 WITHSCORES
            1) "y"
            2) "7"
            3) "z"
            4) "13"
            > ZINTER 2 a missing
            (empty array)
            > ZDIFF 2 a b WITHSCORES
            1) "x"
            2) "1"
            > ZDIFF 2 missing a
            (empty array)
            > ZINTERCARD 2 a b
            (integer) 2
            > ZINTERCARD 2 a b LIMIT 1
            (integer) 1
            "#,
        );
    }

    #[test]
    fn infinities_cancel_each_other_out() {
        replay(
            r#"
            > ZADD a inf i
            (integer) 1
            > ZADD b -inf i
            (integer) 1
            > ZUNION 2 a b WITHSCORES
            1) "i"
            2) "0"
            > ZUNION 1 a WEIGHTS 0 WITHSCORES
            1) "i"
            2) "0"
            "#,
        );
    }

    #[test]
    fn a_result_keeps_the_sign_of_zero() {
        replay(
            r#"
            > ZADD a 0 x
            (integer) 1
            > ZUNION 1 a WEIGHTS -1 WITHSCORES
            1) "x"
            2) "-0"
            > ZUNION 2 a a WEIGHTS -1 2 WITHSCORES
            1) "x"
            2) "0"
            > ZUNIONSTORE d 1 a WEIGHTS -1
            (integer) 1
            > ZRANGE d 0 -1 WITHSCORES
            1) "x"
            2) "0"
            > OBJECT ENCODING d
            "listpack"
            "#,
        );
    }

    /// What a source has, by member; none of scores is a NaN.
    type Model = BTreeMap<String, f64>;

    fn model() -> impl Strategy<Value = Model> {
        let score = prop::sample::select(vec![0.0, -0.0, 1.0, 2.5, -3.0, f64::INFINITY, f64::NEG_INFINITY]);
        prop::collection::btree_map("[0-9]|[a-c]{1,3}", score, 0..60)
    }

    /// What a sorted set has, with its scores' bits; it is in order.
    fn contents(set: &SortedSet) -> Vec<(String, u64)> {
        let (mut members, mut last) = (Vec::new(), None);
        set.each(|member, score| {
            let place = Some((score, member.to_vec()));
            assert!(last < place, "{place:?} behind {last:?}");
            members.push((String::from_utf8_lossy(&member.to_vec()).into_owned(), score.to_bits()));
            assert_eq!(set.score(&member.to_vec()), Some(score));
            last = place;
        });
        members.sort_unstable();
        members
    }

    proptest! {
        #[test]
        fn results_are_those_of_trees(
            models in prop::collection::vec((model(), any::<bool>(), prop::sample::select(vec![1.0, -1.0, 0.0, 2.0])), 1..5),
            aggregate in prop::sample::select(vec![Aggregate::Sum, Aggregate::Min, Aggregate::Max]),
        ) {
            let limits = SortedSetLimits { entries: 6, value: 3, key: SipKey::new(1, 2) };
            let set_limits = SetLimits { ints: 8, pack: 6, value: 3, key: SipKey::new(1, 2) };
            let mut kept: Vec<(Set, SortedSet)> = Vec::new();
            for (model, ..) in &models {
                let (mut set, mut sorted) = (Set::default(), SortedSet::for_members(usize::MAX, 0, &limits));
                model.keys().for_each(|member| _ = set.add(member.as_bytes(), &set_limits));
                model.iter().for_each(|(member, score)| _ = sorted.set(member.as_bytes(), *score, &limits));
                kept.push((set, sorted));
            }
            let kinds = models.iter().map(|model| model.1);
            let sources: Vec<Source<'_>> = kept.iter().map(|(set, sorted)| (set, sorted)).zip(kinds).map(|((set, sorted), is_set)| if is_set { Source::Set(set.view()) } else { Source::Sorted(sorted.view()) }).collect();
            let weighted = || sources.iter().zip(&models).map(|(source, (.., weight))| Weighted { source: *source, weight: *weight });
            let weighted: Vec<Weighted<'_>> = weighted().collect();
            let score = |at: usize, member: &String| models[at].0.get(member).map(|score| if models[at].1 { 1.0 } else { *score });
            let names: BTreeSet<&String> = models.iter().flat_map(|(model, ..)| model.keys()).collect();
            let (mut union_model, mut inter_model, mut diff_model) = (Vec::new(), Vec::new(), Vec::new());
            for name in names {
                let scores = (0..models.len()).map(|at| score(at, name).map(|score| number(score * models[at].2)));
                let scores: Vec<Option<f64>> = scores.collect();
                let all = scores.iter().flatten().copied().reduce(|left, right| aggregate.of(left, right));
                let entry = (name.clone(), all.unwrap_or_default().to_bits());
                if scores.iter().all(Option::is_some) {
                    inter_model.push(entry.clone());
                }
                union_model.push(entry);
                if let (Some(first), true) = (score(0, name), scores[1..].iter().all(Option::is_none)) {
                    diff_model.push((name.clone(), first.to_bits()));
                }
            }
            prop_assert_eq!(contents(&union(&weighted, aggregate, &limits)), union_model);
            prop_assert_eq!(contents(&intersection(&weighted, aggregate, &limits)), inter_model);
            prop_assert_eq!(contents(&difference(&sources, &limits)), diff_model);
        }
    }

    #[test]
    fn results_are_stored() {
        replay(
            r#"
            > ZADD a 1 x 2 y
            (integer) 2
            > ZADD b 10 y
            (integer) 1
            > ZUNIONSTORE d 2 a b
            (integer) 2
            > ZINTERSTORE a 2 a b
            (integer) 1
            > ZRANGE a 0 -1 WITHSCORES
            1) "y"
            2) "12"
            > ZDIFFSTORE d 2 a b
            (integer) 0
            > EXISTS d
            (integer) 0
            > ZUNIONSTORE d 2 a b WITHSCORES
            (error) ERR syntax error
            "#,
        );
    }

    #[test]
    fn arguments_are_checked() {
        replay(
            r#"
            > ZUNION 0 a
            (error) ERR at least 1 input key is needed for 'zunion' command
            > ZUNION x a
            (error) ERR value is not an integer or out of range
            > ZUNION 3 a b
            (error) ERR syntax error
            > ZUNION 2 a b WEIGHTS 2
            (error) ERR syntax error
            > ZUNION 2 a b WEIGHTS 2 x
            (error) ERR weight value is not a float
            > ZUNION 1 a AGGREGATE FOO
            (error) ERR syntax error
            > ZDIFF 2 a b WEIGHTS 1 2
            (error) ERR syntax error
            > ZINTERCARD 1 a LIMIT -1
            (error) ERR LIMIT can't be negative
            > SET s x
            OK
            > ZINTER 2 missing s
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    }
}
