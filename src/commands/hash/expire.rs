//! When fields expire: HEXPIRE, HPEXPIRE, HEXPIREAT, HPEXPIREAT, HPERSIST.

#![forbid(unsafe_code)]

use super::{AT_MS, AT_S, FIELDS, IN_MS, IN_S, NO_COUNT, NO_FIELDS_WORD, Retiming, TimeForm, fields_after, time};
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::commands::lookup;
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;
use crate::types::hash::Hash;

/// What the four have in common.
const SHARED: Command = Command {
    since: "7.4.0",
    group: "hash",
    complexity: "O(N), N being the number of fields that are named",
    arity: -6,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::HASH).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    ..Command::BLANK
};

const CONDITION: ArgSpec = ArgSpec::new("condition", ArgKind::OneOf).optional().children(&[
    ArgSpec::pure_token("nx", "NX"),
    ArgSpec::pure_token("xx", "XX"),
    ArgSpec::pure_token("gt", "GT"),
    ArgSpec::pure_token("lt", "LT"),
]);

/// `HEXPIRE`
pub(super) static HEXPIRE: Command = Command {
    name: "hexpire",
    full_name: "hexpire",
    summary: "Sets in how many seconds fields expire.",
    args: &[ArgSpec::key("key", 0), ArgSpec::new("seconds", ArgKind::Integer), CONDITION, FIELDS],
    handler: Some(hexpire),
    ..SHARED
};

/// `HPEXPIRE`
pub(super) static HPEXPIRE: Command = Command {
    name: "hpexpire",
    full_name: "hpexpire",
    summary: "Sets in how many milliseconds fields expire.",
    args: &[ArgSpec::key("key", 0), ArgSpec::new("milliseconds", ArgKind::Integer), CONDITION, FIELDS],
    handler: Some(hpexpire),
    ..SHARED
};

/// `HEXPIREAT`
pub(super) static HEXPIREAT: Command = Command {
    name: "hexpireat",
    full_name: "hexpireat",
    summary: "Sets the Unix second at which fields expire.",
    args: &[ArgSpec::key("key", 0), ArgSpec::new("unix-time-seconds", ArgKind::UnixTime), CONDITION, FIELDS],
    handler: Some(hexpireat),
    ..SHARED
};

/// `HPEXPIREAT`
pub(super) static HPEXPIREAT: Command = Command {
    name: "hpexpireat",
    full_name: "hpexpireat",
    summary: "Sets the Unix millisecond at which fields expire.",
    args: &[ArgSpec::key("key", 0), ArgSpec::new("unix-time-milliseconds", ArgKind::UnixTime), CONDITION, FIELDS],
    handler: Some(hpexpireat),
    ..SHARED
};

/// `HPERSIST`
pub(super) static HPERSIST: Command = Command {
    name: "hpersist",
    full_name: "hpersist",
    summary: "Makes fields stay by removing their times.",
    arity: -5,
    args: &[ArgSpec::key("key", 0), FIELDS],
    handler: Some(hpersist),
    ..SHARED
};

const ZERO_COUNT: CommandError = CommandError::fixed("Parameter `numFields` should be greater than 0");

/// What is answered for a field.
const MISSING: i64 = -2;
const STAYS: i64 = -1;
const LEFT_ALONE: i64 = 0;
const DONE: i64 = 1;
const REMOVED: i64 = 2;

/// When a time is set at all.
#[derive(Clone, Copy)]
enum Condition {
    Always,
    Missing,
    Present,
    Later,
    Earlier,
}

impl Condition {
    fn read(word: &[u8]) -> Result<Condition, CommandError> {
        let words = [
            (&b"NX"[..], Condition::Missing),
            (b"XX", Condition::Present),
            (b"GT", Condition::Later),
            (b"LT", Condition::Earlier),
        ];
        words.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, it)| *it).ok_or(NO_FIELDS_WORD)
    }

    /// Whether `new` may replace `old`. No time is later than every time.
    fn allows(self, old: Option<i64>, new: i64) -> bool {
        match self {
            Condition::Always => true,
            Condition::Missing => old.is_none(),
            Condition::Present => old.is_some(),
            Condition::Later => old.is_some_and(|old| new > old),
            Condition::Earlier => old.is_none_or(|old| new < old),
        }
    }
}

fn hexpire(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    set_times(ctx, args, IN_S)
}

fn hpexpire(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    set_times(ctx, args, IN_MS)
}

fn hexpireat(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    set_times(ctx, args, AT_S)
}

fn hpexpireat(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    set_times(ctx, args, AT_MS)
}

/// Sets when fields expire. A time that has passed removes them at once.
fn set_times(ctx: &mut Context<'_>, args: Args<'_>, form: TimeForm) -> Result<(), CommandError> {
    let (key, key_hash, now_ms, limits) = (args.get(1), ctx.first_key_hash, ctx.now_ms(), ctx.state.hash_limits());
    lookup::hold::<Hash>(ctx.state, ctx.session.db, key, key_hash)?;
    let at_ms = time(ctx, args.get(2), form)?;
    let (condition, at) = match args.get(3) {
        word if word.eq_ignore_ascii_case(b"fields") => (Condition::Always, 3),
        word => (Condition::read(word)?, 4),
    };
    let names = fields_after(args, at, ZERO_COUNT)?;
    ctx.reply.array(names.len());
    let Some(mut hash) = lookup::hold::<Hash>(ctx.state, ctx.session.db, key, key_hash)? else {
        names.iter().for_each(|_| ctx.reply.integer(MISSING));
        return Ok(());
    };
    hash.make_timed(&limits);
    let mut retiming = Retiming::of(hash.view());
    let (mut set, mut gone) = (0, 0);
    for name in names.iter() {
        let answer = match hash.time_of(name) {
            None => MISSING,
            Some(old) if !condition.allows(old, at_ms) => LEFT_ALONE,
            Some(old) if at_ms <= now_ms => {
                hash.remove(name);
                retiming.note(old);
                gone += 1;
                REMOVED
            }
            Some(old) => {
                hash.set_time(name, Some(at_ms), &limits);
                retiming.note(old);
                retiming.note(Some(at_ms));
                set += 1;
                DONE
            }
        };
        ctx.reply.integer(answer);
    }
    drop(hash);
    retiming.finish(ctx, key, key_hash, set, gone);
    ctx.state.stats.dirty += set + gone;
    Ok(())
}

fn hpersist(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (key, key_hash, now_ms, limits) = (args.get(1), ctx.first_key_hash, ctx.now_ms(), ctx.state.hash_limits());
    lookup::hold::<Hash>(ctx.state, ctx.session.db, key, key_hash)?;
    let names = fields_after(args, 2, NO_COUNT)?;
    ctx.reply.array(names.len());
    let Some(mut hash) = lookup::hold::<Hash>(ctx.state, ctx.session.db, key, key_hash)? else {
        names.iter().for_each(|_| ctx.reply.integer(MISSING));
        return Ok(());
    };
    let mut changed = false;
    for name in names.iter() {
        let answer = match hash.time_of(name) {
            None => MISSING,
            Some(None) => STAYS,
            Some(Some(at_ms)) if at_ms < now_ms => MISSING,
            Some(Some(_)) => {
                hash.set_time(name, None, &limits);
                changed = true;
                DONE
            }
        };
        ctx.reply.integer(answer);
    }
    drop(hash);
    if changed {
        ctx.announce(KeyspaceEvents::HASH, "hpersist", key);
        ctx.signal_modified(key);
        ctx.state.stats.dirty += 1;
    }
    Ok(())
}
