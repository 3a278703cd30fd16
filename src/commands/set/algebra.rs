//! Several sets at once: SINTER, SUNION, SDIFF, the same with a place to store the result, and SINTERCARD.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::read_set;
use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, SYNTAX};
use crate::command::keys::find_counted;
use crate::command::session::Session;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::command::state::State;
use crate::commands::elements::reply_element;
use crate::commands::key_specs;
use crate::commands::result::put_result;
use crate::config::KeyspaceEvents;
use crate::encoding::listpack::{Element, Listpack};
use crate::resp::args::Args;
use crate::types::set::{Set, SetLimits, SetRef, all_of};
use crate::types::{KeyEntry, NewValue};

/// `SINTER`
pub(super) static SINTER: Command = Command {
    name: "sinter",
    full_name: "sinter",
    summary: "Answers what is in every one of the sets.",
    since: "1.0.0",
    group: "set",
    complexity: "O(N*M) at worst, N being the members of the smallest set, M the number of sets",
    arity: -2,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::SET).union(Categories::SLOW),
    tips: &["nondeterministic_output_order"],
    key_specs: &[key_specs::rest(1, 1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0).multiple()],
    handler: Some(sinter),
    ..Command::BLANK
};

/// `SUNION`
pub(super) static SUNION: Command = Command {
    name: "sunion",
    full_name: "sunion",
    summary: "Answers what is in any of the sets.",
    since: "1.0.0",
    group: "set",
    complexity: "O(N), N being the members of all sets",
    arity: -2,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::SET).union(Categories::SLOW),
    tips: &["nondeterministic_output_order"],
    key_specs: &[key_specs::rest(1, 1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0).multiple()],
    handler: Some(sunion),
    ..Command::BLANK
};

/// `SDIFF`
pub(super) static SDIFF: Command = Command {
    name: "sdiff",
    full_name: "sdiff",
    summary: "Answers what is in the first set and in none of the others.",
    since: "1.0.0",
    group: "set",
    complexity: "O(N), N being the members of all sets",
    arity: -2,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::SET).union(Categories::SLOW),
    tips: &["nondeterministic_output_order"],
    key_specs: &[key_specs::rest(1, 1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0).multiple()],
    handler: Some(sdiff),
    ..Command::BLANK
};

/// `SINTERSTORE`
pub(super) static SINTERSTORE: Command = Command {
    name: "sinterstore",
    full_name: "sinterstore",
    summary: "Stores what is in every one of the sets.",
    since: "1.0.0",
    group: "set",
    complexity: "O(N*M) at worst, N being the members of the smallest set, M the number of sets",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::SET).union(Categories::SLOW),
    key_specs: &[
        key_specs::one(1, KeyFlags::OW.union(KeyFlags::UPDATE)),
        key_specs::rest(2, 1, KeyFlags::RO.union(KeyFlags::ACCESS)),
    ],
    args: &[ArgSpec::key("destination", 0), ArgSpec::key("key", 1).multiple()],
    handler: Some(sinterstore),
    ..Command::BLANK
};

/// `SUNIONSTORE`
pub(super) static SUNIONSTORE: Command = Command {
    name: "sunionstore",
    full_name: "sunionstore",
    summary: "Stores what is in any of the sets.",
    since: "1.0.0",
    group: "set",
    complexity: "O(N), N being the members of all sets",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::SET).union(Categories::SLOW),
    key_specs: &[
        key_specs::one(1, KeyFlags::OW.union(KeyFlags::UPDATE)),
        key_specs::rest(2, 1, KeyFlags::RO.union(KeyFlags::ACCESS)),
    ],
    args: &[ArgSpec::key("destination", 0), ArgSpec::key("key", 1).multiple()],
    handler: Some(sunionstore),
    ..Command::BLANK
};

/// `SDIFFSTORE`
pub(super) static SDIFFSTORE: Command = Command {
    name: "sdiffstore",
    full_name: "sdiffstore",
    summary: "Stores what is in the first set and in none of the others.",
    since: "1.0.0",
    group: "set",
    complexity: "O(N), N being the members of all sets",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::SET).union(Categories::SLOW),
    key_specs: &[
        key_specs::one(1, KeyFlags::OW.union(KeyFlags::UPDATE)),
        key_specs::rest(2, 1, KeyFlags::RO.union(KeyFlags::ACCESS)),
    ],
    args: &[ArgSpec::key("destination", 0), ArgSpec::key("key", 1).multiple()],
    handler: Some(sdiffstore),
    ..Command::BLANK
};

/// `SINTERCARD`
pub(super) static SINTERCARD: Command = Command {
    name: "sintercard",
    full_name: "sintercard",
    summary: "Counts what is in every one of the sets, up to a limit.",
    since: "7.0.0",
    group: "set",
    complexity: "O(N*M) at worst, N being the members of the smallest set, M the number of sets",
    arity: -3,
    flags: Flags::READONLY.union(Flags::MOVABLEKEYS),
    categories: Categories::READ.union(Categories::SET).union(Categories::SLOW),
    key_specs: &[key_specs::counted(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    key_finder: Some(find_counted::<0, 1>),
    args: &[
        ArgSpec::new("numkeys", ArgKind::Integer),
        ArgSpec::key("key", 0).multiple(),
        ArgSpec::new("limit", ArgKind::Integer).token("LIMIT").optional(),
    ],
    handler: Some(sintercard),
    ..Command::BLANK
};

const NO_KEYS: CommandError = CommandError::fixed("numkeys should be greater than 0");
const TOO_MANY_KEYS: CommandError = CommandError::fixed("Number of keys can't be greater than number of args");
const NEGATIVE_LIMIT: CommandError = CommandError::fixed("LIMIT can't be negative");

/// The sets at several keys.
struct Sets<'s>(Vec<Option<SetRef<'s>>>);

impl<'s> Sets<'s> {
    /// Looks all keys up, which counts hits and misses, and then holds all sets at once.
    fn read(
        state: &'s mut State,
        session: &mut Session,
        args: Args<'_>,
        keys: Range<usize>,
    ) -> Result<Sets<'s>, CommandError> {
        let now_ms = state.clock.unix_ms();
        let mut hashes = Vec::with_capacity(keys.len());
        for index in keys.clone() {
            let hash = state.keyspace.hash(args.get(index));
            read_set(state, session, args.get(index), hash)?;
            hashes.push(hash);
        }
        let db = state.keyspace.db(session.db);
        let sets = keys.zip(hashes).map(|(index, hash)| db.live(args.get(index), hash, now_ms)?.as_set().ok());
        Ok(Sets(sets.collect()))
    }

    /// Shows what is in every set, until `see` has enough. Nothing is, where one is missing.
    fn intersection<'a>(&'a self, mut see: impl FnMut(Element<'a>) -> bool) {
        let Some(mut sets) = self.0.iter().map(Option::as_ref).collect::<Option<Vec<_>>>() else { return };
        sets.sort_by_key(|set| set.len());
        let Some((smallest, others)) = sets.split_first() else { return };
        smallest.visit_groups(|group| {
            let everywhere = others.iter().fold(all_of(group), |wanted, set| set.which(group, wanted));
            chosen(group, everywhere).all(&mut see)
        });
    }

    /// What is in every set, in the encoding that Redis stores it in: integers are kept sorted from the first on where the
    /// smallest set has them so, and otherwise once all are there, if there are few enough.
    fn stored_intersection(&self, limits: &SetLimits) -> Set {
        let smallest = self.0.iter().flatten().min_by_key(|set| set.len());
        let begins_sorted = smallest.is_none_or(|set| matches!(set, Set::Ints(_)));
        let mut members = Vec::new();
        self.intersection(|member| {
            members.push(member);
            true
        });
        if begins_sorted {
            return set_of(&members, Set::default(), limits);
        }
        set_of(&members, Set::Pack(Listpack::new()), limits).sorted_integers(limits)
    }

    fn union(&self, limits: &SetLimits) -> Set {
        let mut sets: Vec<SetRef<'_>> = self.0.iter().flatten().copied().collect();
        if sets.iter().any(|set| set.is_big(limits)) {
            // Members of the biggest are not looked for: none is there yet.
            sets.sort_by_key(|set| std::cmp::Reverse(set.len()));
            return Set::big_union(&sets, limits);
        }
        let mut union = Set::default();
        for set in sets {
            set.each(|member| _ = union.add(&member.to_cow(), limits));
        }
        union
    }

    /// Redis' two ways, chosen by its rule, because the encoding of what is stored follows from the way: asking all other
    /// sets for each member of the first, or taking all members of the others out of a copy.
    fn difference(&self, limits: &SetLimits) -> Set {
        let mut difference = Set::default();
        let Some((Some(first), others)) = self.0.split_first() else { return difference };
        let others: Vec<SetRef<'_>> = others.iter().flatten().copied().collect();
        let asking = first.len() * (1 + others.len()) / 2;
        let copying = first.len() + others.iter().map(|set| set.len()).sum::<usize>();
        if asking <= copying {
            let mut members = Vec::new();
            first.visit_groups(|group| {
                let left = others.iter().fold(all_of(group), |wanted, set| wanted & !set.which(group, wanted));
                members.extend(chosen(group, left));
                true
            });
            return set_of(&members, difference, limits);
        }
        first.each(|member| _ = difference.add(&member.to_cow(), limits));
        for set in others {
            set.each(|member| _ = difference.remove(&member.to_cow()));
        }
        difference
    }
}

/// The members of a group that have a bit in `which`.
fn chosen<'s>(group: &[Element<'s>], which: u32) -> impl Iterator<Item = Element<'s>> {
    group.iter().enumerate().filter(move |(index, _)| which >> index & 1 != 0).map(|(_, member)| *member)
}

/// A set of members, each of which comes once; `empty` is the encoding that it begins with.
fn set_of(members: &[Element<'_>], empty: Set, limits: &SetLimits) -> Set {
    if members.len() > limits.ints.max(limits.pack) {
        return Set::table_of(members, limits);
    }
    let mut set = empty;
    members.iter().for_each(|member| _ = set.add(&member.to_cow(), limits));
    set
}

fn sinter(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let sets = Sets::read(ctx.state, ctx.session, args, 1..args.len())?;
    let reply = ctx.reply.deferred();
    let mut count = 0;
    sets.intersection(|member| {
        reply_element(ctx.reply, member);
        count += 1;
        true
    });
    ctx.reply.end_set(reply, count);
    Ok(())
}

fn sunion(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let limits = ctx.state.set_limits();
    let union = Sets::read(ctx.state, ctx.session, args, 1..args.len())?.union(&limits);
    reply_set(ctx, union);
    Ok(())
}

fn sdiff(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let limits = ctx.state.set_limits();
    let difference = Sets::read(ctx.state, ctx.session, args, 1..args.len())?.difference(&limits);
    reply_set(ctx, difference);
    Ok(())
}

fn reply_set(ctx: &mut Context<'_>, set: Set) {
    ctx.reply.set(set.len());
    set.each(|member| reply_element(ctx.reply, member));
    ctx.state.discard_value(set.into());
}

fn sinterstore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let limits = ctx.state.set_limits();
    let result = Sets::read(ctx.state, ctx.session, args, 2..args.len())?.stored_intersection(&limits);
    store(ctx, args, result);
    Ok(())
}

fn sunionstore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let limits = ctx.state.set_limits();
    let union = Sets::read(ctx.state, ctx.session, args, 2..args.len())?.union(&limits);
    store(ctx, args, union);
    Ok(())
}

fn sdiffstore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let limits = ctx.state.set_limits();
    let difference = Sets::read(ctx.state, ctx.session, args, 2..args.len())?.difference(&limits);
    store(ctx, args, difference);
    Ok(())
}

/// Puts a result in the place of whatever the first argument's key holds; an empty one removes the key.
fn store(ctx: &mut Context<'_>, args: Args<'_>, result: Set) {
    let (key, hash, len) = (args.get(1), ctx.first_key_hash, result.len());
    let entry = (len > 0).then(|| KeyEntry::new(key, NewValue::of(result.into()), None));
    put_result(ctx, (key, hash), entry, (KeyspaceEvents::SET, ctx.command.name), 1);
    ctx.reply.integer(len as i64);
}

fn sintercard(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let numkeys = parse_i64(args.get(1)).filter(|&count| count > 0).ok_or(NO_KEYS)?;
    let numkeys = usize::try_from(numkeys).ok().filter(|&count| count <= args.len() - 2).ok_or(TOO_MANY_KEYS)?;
    let mut limit = 0;
    for index in (2 + numkeys..args.len()).step_by(2) {
        if !args.get(index).eq_ignore_ascii_case(b"limit") || index + 1 == args.len() {
            return Err(SYNTAX);
        }
        limit = parse_i64(args.get(index + 1)).filter(|&limit| limit >= 0).ok_or(NEGATIVE_LIMIT)?;
    }
    let sets = Sets::read(ctx.state, ctx.session, args, 2..2 + numkeys)?;
    let mut count = 0;
    sets.intersection(|_| {
        count += 1;
        count != limit
    });
    ctx.reply.integer(count);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::siphash::SipKey;
    use crate::commands::transcript::replay;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn results_are_answered() {
        replay(
            r#"
            > SADD s 1 2 3 a
            (integer) 4
            > SADD t 2 3 4
            (integer) 3
            > SINTER s t
            1) "2"
            2) "3"
            > SINTER s missing
            (empty array)
            > SUNION t missing
            1) "2"
            2) "3"
            3) "4"
            > SDIFF t s missing
            1) "4"
            > SDIFF missing s
            (empty array)
            > SDIFF s s
            (empty array)
            > SET str x
            OK
            > SINTER missing str
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > SUNION str
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    }

    #[test]
    fn results_are_stored() {
        replay(
            r#"
            > SADD s 1 2 3 a
            (integer) 4
            > SADD t 2 3 4
            (integer) 3
            > SET d string EX 100
            OK
            > SINTERSTORE d s t
            (integer) 2
            > TTL d
            (integer) -1
            > OBJECT ENCODING d
            "intset"
            > SUNIONSTORE d d s
            (integer) 4
            > OBJECT ENCODING d
            "listpack"
            > SDIFFSTORE s s t
            (integer) 2
            > SMEMBERS s
            1) "1"
            2) "a"
            > SDIFFSTORE d t t
            (integer) 0
            > EXISTS d
            (integer) 0
            > SINTERSTORE d s missing
            (integer) 0
            "#,
        );
    }

    #[test]
    fn the_encoding_of_what_is_stored_is_that_of_redis() {
        replay(
            r#"
            > CONFIG SET set-max-intset-entries 0
            OK
            > SADD pack 1 2 3
            (integer) 3
            > SINTERSTORE d pack pack
            (integer) 3
            > OBJECT ENCODING d
            "listpack"
            > CONFIG SET set-max-intset-entries 3
            OK
            > SINTERSTORE d pack
            (integer) 3
            > OBJECT ENCODING d
            "intset"
            > SADD ints 1 2 3
            (integer) 3
            > CONFIG SET set-max-intset-entries 2
            OK
            > SINTERSTORE d ints pack
            (integer) 3
            > OBJECT ENCODING d
            "hashtable"
            > SINTERSTORE d pack ints
            (integer) 3
            > OBJECT ENCODING d
            "listpack"
            > CONFIG SET set-max-listpack-entries 1 set-max-intset-entries 3
            OK
            > SINTERSTORE d pack
            (integer) 3
            > OBJECT ENCODING d
            "intset"
            "#,
        );
    }

    /// Sets of all encodings, some of them bigger than a small encoding may be.
    fn sets() -> impl Strategy<Value = Vec<Option<BTreeSet<String>>>> {
        let set = prop_oneof![
            prop::collection::btree_set("[0-9]{1,2}", 1..30),
            prop::collection::btree_set("[0-9]|[a-c]{1,2}", 1..30),
            prop::collection::btree_set("[0-9]{1,2}|[a-c]{1,3}", 1..120),
        ];
        prop::collection::vec(prop::option::weighted(0.9, set), 1..6)
    }

    proptest! {
        #[test]
        fn results_are_those_of_trees(models in sets(), enough in 0usize..40) {
            let limits = SetLimits { ints: 8, pack: 6, value: 3, key: SipKey::new(1, 2) };
            let stored = models.iter().map(|model| model.as_ref().map(|model| {
                let mut set = Set::default();
                model.iter().for_each(|text| _ = set.add(text.as_bytes(), &limits));
                set
            }));
            let stored: Vec<Option<Set>> = stored.collect();
            let sets = Sets(stored.iter().map(|set| set.as_ref().map(Set::view)).collect());
            let members = |set: &Set| {
                let mut texts = Vec::new();
                set.each(|member| texts.push(String::from_utf8_lossy(&member.to_vec()).into_owned()));
                texts.sort_unstable();
                texts
            };
            let model = |index: usize| models[index].clone().unwrap_or_default();
            let others = || (1..models.len()).map(model);
            let inter: Vec<String> = others().fold(model(0), |left, right| &left & &right).into_iter().collect();
            let union: Vec<String> = others().fold(model(0), |left, right| &left | &right).into_iter().collect();
            let diff: Vec<String> = others().fold(model(0), |left, right| &left - &right).into_iter().collect();
            prop_assert_eq!(members(&sets.stored_intersection(&limits)), inter.clone());
            prop_assert_eq!(members(&sets.union(&limits)), union);
            prop_assert_eq!(members(&sets.difference(&limits)), diff);
            let mut count = 0;
            sets.intersection(|_| {
                count += 1;
                count != enough
            });
            prop_assert_eq!(count, if enough == 0 { inter.len() } else { inter.len().min(enough) });
        }
    }

    #[test]
    fn results_are_counted() {
        replay(
            r#"
            > SADD s 1 2 3 a
            (integer) 4
            > SADD t 2 3 4
            (integer) 3
            > SINTERCARD 2 s t
            (integer) 2
            > SINTERCARD 2 s t LIMIT 1
            (integer) 1
            > SINTERCARD 1 s LIMIT 1 LIMIT 0
            (integer) 4
            > SINTERCARD 2 s missing
            (integer) 0
            > SINTERCARD 0 s
            (error) ERR numkeys should be greater than 0
            > SINTERCARD x s
            (error) ERR numkeys should be greater than 0
            > SINTERCARD 2 s
            (error) ERR Number of keys can't be greater than number of args
            > SINTERCARD 1 s LIMIT
            (error) ERR syntax error
            > SINTERCARD 1 s LIMIT -1
            (error) ERR LIMIT can't be negative
            "#,
        );
    }
}
