//! The commands of the `hash` group. Main thread.
//!
//! A field whose time is over is seen by nobody, and goes when a command that names it comes upon it, as in Redis: HGET,
//! HMGET, HEXISTS, HSTRLEN, HSETNX, HINCRBY, HINCRBYFLOAT, HGETEX, HGETDEL, SORT, and HSETEX with a condition. HRANDFIELD removes
//! all of them first. HLEN still counts them, HDEL and HSET take them for fields like others, and HEXPIRE gives them
//! another time.

#![forbid(unsafe_code)]

mod expire;
mod fields;
mod get_ex;
mod number;
mod random;
mod read;
mod set_ex;
mod ttl;
mod walk;

use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER, WRONG_TYPE};
use crate::command::session::Session;
use crate::command::spec::{ArgKind, ArgSpec, Command};
use crate::command::state::State;
use crate::commands::lookup;
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;
use crate::types::KeyEntry;
use crate::types::hash::{Hash, HashRef};
use crate::types::held::Held;

/// Commands of this group.
pub static COMMANDS: &[&Command] = &[
    &expire::HEXPIRE,
    &expire::HEXPIREAT,
    &expire::HPERSIST,
    &expire::HPEXPIRE,
    &expire::HPEXPIREAT,
    &fields::HDEL,
    &fields::HMSET,
    &fields::HSET,
    &fields::HSETNX,
    &get_ex::HGETDEL,
    &get_ex::HGETEX,
    &number::HINCRBY,
    &number::HINCRBYFLOAT,
    &random::HRANDFIELD,
    &read::HEXISTS,
    &read::HGET,
    &read::HGETALL,
    &read::HKEYS,
    &read::HLEN,
    &read::HMGET,
    &read::HSTRLEN,
    &read::HVALS,
    &set_ex::HSETEX,
    &ttl::HEXPIRETIME,
    &ttl::HPEXPIRETIME,
    &ttl::HPTTL,
    &ttl::HTTL,
    &walk::HSCAN,
];

/// The hash at a key, for a command that reads it: counted as a hit or a miss.
#[inline]
fn read_hash<'s>(
    state: &'s mut State,
    session: &mut Session,
    key: &[u8],
    hash: u64,
) -> Result<Option<HashRef<'s>>, CommandError> {
    lookup::read(state, session, key, hash).map(KeyEntry::as_hash).transpose().map_err(|_| WRONG_TYPE)
}

/// The hash at a key; a missing key gets an empty one, into which the caller puts something.
#[inline]
fn hash_or_new<'s>(state: &'s mut State, db: usize, key: &[u8], hash: u64) -> Result<Held<'s, Hash>, CommandError> {
    lookup::hold_or_new(state, db, key, hash, Hash::default)
}

/// Called after fields were removed from the hash at a key: the key goes with the last of them.
fn removed(ctx: &mut Context<'_>, key: &[u8], hash: u64, now_empty: bool, event: &str) {
    if now_empty {
        let now_ms = ctx.now_ms();
        ctx.db().remove(key, hash, now_ms);
    }
    ctx.signal_modified(key);
    ctx.announce(KeyspaceEvents::HASH, event, key);
    if now_empty {
        ctx.announce(KeyspaceEvents::GENERIC, "del", key);
    }
}

/// The latest time that a field can have, in Unix milliseconds.
const TIME_MAX_MS: i64 = (1 << 46) - 1;

const NO_FIELDS_WORD: CommandError =
    CommandError::fixed("Mandatory argument FIELDS is missing or not at the right position");
const NO_COUNT: CommandError = CommandError::fixed("Number of fields must be a positive integer");
const OTHER_COUNT: CommandError = CommandError::fixed("The `numfields` parameter must match the number of arguments");
const NEGATIVE_TIME: CommandError = CommandError::fixed("invalid expire time, must be >= 0");

/// The fields that a command names, and how many.
const FIELDS: ArgSpec = ArgSpec::new("fields", ArgKind::Block)
    .token("FIELDS")
    .children(&[ArgSpec::new("numfields", ArgKind::Integer), ArgSpec::new("field", ArgKind::String).multiple()]);

/// By how much the first time of a hash has to become later so that the hash is listed anew, in milliseconds: as in Redis.
const LATER_MS: i64 = 4000;

/// In which unit a time is given, and from when on it counts.
#[derive(Clone, Copy)]
struct TimeForm {
    unit_ms: i64,
    is_absolute: bool,
}

const IN_S: TimeForm = TimeForm { unit_ms: 1000, is_absolute: false };
const IN_MS: TimeForm = TimeForm { unit_ms: 1, is_absolute: false };
const AT_S: TimeForm = TimeForm { unit_ms: 1000, is_absolute: true };
const AT_MS: TimeForm = TimeForm { unit_ms: 1, is_absolute: true };

/// The form that an option names.
fn time_form(word: &[u8]) -> Option<TimeForm> {
    let forms = [(&b"EX"[..], IN_S), (b"PX", IN_MS), (b"EXAT", AT_S), (b"PXAT", AT_MS)];
    forms.iter().find(|(name, _)| word.eq_ignore_ascii_case(name)).map(|(_, form)| *form)
}

/// The time that an argument gives.
fn time(ctx: &Context<'_>, text: &[u8], form: TimeForm) -> Result<i64, CommandError> {
    let number = parse_i64(text).ok_or(NOT_AN_INTEGER)?;
    if number < 0 {
        return Err(NEGATIVE_TIME);
    }
    let base_ms = if form.is_absolute { 0 } else { ctx.now_ms() };
    let at_ms = number.checked_mul(form.unit_ms).and_then(|ms| ms.checked_add(base_ms));
    at_ms.filter(|&at_ms| at_ms <= TIME_MAX_MS).ok_or_else(|| CommandError::expire_time(ctx.command.full_name))
}

/// The fields behind the word FIELDS, which has to be at `at`, and their number.
fn fields_after<'a>(args: Args<'a>, at: usize, no_count: CommandError) -> Result<Args<'a>, CommandError> {
    if !args.get(at).eq_ignore_ascii_case(b"fields") {
        return Err(NO_FIELDS_WORD);
    }
    let count = parse_i64(args.get(at + 1)).filter(|&count| count > 0).ok_or(no_count)?;
    let fields = args.skip(at + 2);
    if usize::try_from(count) == Ok(fields.len()) { Ok(fields) } else { Err(OTHER_COUNT) }
}

/// What became of fields that a command came upon too late.
#[derive(Clone, Copy, Default)]
struct Late {
    /// How many there were.
    fields: usize,
    /// The key went with the last of them.
    with_key: bool,
}

impl Late {
    /// Tells who listens. Who may have the key cached has to be told too.
    fn announce(self, ctx: &mut Context<'_>, key: &[u8]) {
        if self.fields > 0 {
            ctx.announce(KeyspaceEvents::HASH, "hexpired", key);
        }
        if self.with_key {
            ctx.announce(KeyspaceEvents::GENERIC, "del", key);
        }
    }

    /// Tells who listens, and then who may have the key cached.
    fn settle(self, ctx: &mut Context<'_>, key: &[u8]) {
        self.announce(ctx, key);
        if self.fields > 0 {
            ctx.signal_modified(key);
        }
    }
}

/// Removes those of the named fields whose time is over, unless such things are kept.
#[cold]
fn remove_late(ctx: &mut Context<'_>, key: &[u8], key_hash: u64, names: Args<'_>) -> Result<Late, CommandError> {
    remove_with(ctx, key, key_hash, |hash, now_ms| {
        names.iter().filter(|name| hash.is_over(name, now_ms) && hash.remove(name)).count()
    })
}

/// Removes a field whose time is over, for a command of another group that reads it.
#[cold]
pub(crate) fn drop_late_field(ctx: &mut Context<'_>, key: &[u8], key_hash: u64, field: &[u8]) {
    let late =
        remove_with(ctx, key, key_hash, |hash, now_ms| usize::from(hash.is_over(field, now_ms) && hash.remove(field)));
    if let Ok(late) = late {
        late.settle(ctx, key);
    }
}

/// Removes all fields whose time is over, unless such things are kept.
#[cold]
fn remove_all_late(ctx: &mut Context<'_>, key: &[u8], key_hash: u64) -> Result<Late, CommandError> {
    let mut listed = (None, None);
    let late = remove_with(ctx, key, key_hash, |hash, now_ms| {
        let gone = hash.remove_over(now_ms, usize::MAX);
        if gone > 0 {
            listed = (hash.listed_ms(), hash.next_ms());
            hash.set_listed(listed.1);
        }
        gone
    })?;
    ctx.db().relist(key_hash, listed.0, listed.1);
    Ok(late)
}

fn remove_with(
    ctx: &mut Context<'_>,
    key: &[u8],
    key_hash: u64,
    remove: impl FnOnce(&mut Hash, i64) -> usize,
) -> Result<Late, CommandError> {
    let now_ms = ctx.now_ms();
    if ctx.db().keeps_expired() {
        return Ok(Late::default());
    }
    let Some(mut hash) = lookup::hold::<Hash>(ctx.state, ctx.session.db, key, key_hash)? else {
        return Ok(Late::default());
    };
    let fields = remove(&mut hash, now_ms);
    let with_key = fields > 0 && hash.is_empty();
    drop(hash);
    if fields > 0 {
        ctx.state.stats.expired_fields += fields as u64;
        if with_key {
            ctx.db().remove(key, key_hash, now_ms);
        }
    }
    Ok(Late { fields, with_key })
}

/// What a command does to the times of fields of one hash, so that it is listed anew where that is due: as in Redis only
/// where a time is set, or was, that is not later than the one it is listed under.
struct Retiming {
    listed_ms: Option<i64>,
    earliest_ms: i64,
    changed: bool,
}

impl Retiming {
    fn of(hash: HashRef<'_>) -> Retiming {
        Retiming { listed_ms: hash.listed_ms(), earliest_ms: i64::MAX, changed: false }
    }

    /// A field had this time, or has it now.
    fn note(&mut self, at_ms: Option<i64>) {
        self.changed = true;
        self.earliest_ms = self.earliest_ms.min(at_ms.unwrap_or(i64::MAX));
    }

    /// Called at the end: lists the hash anew, if it has to be, removes the key of one that is empty, and tells who listens
    /// that times were `set` and fields are `gone`.
    fn finish(self, ctx: &mut Context<'_>, key: &[u8], key_hash: u64, set: u64, gone: u64) {
        let (now_ms, listed_ms) = (ctx.now_ms(), self.listed_ms);
        let Ok(Some(mut hash)) = lookup::hold::<Hash>(ctx.state, ctx.session.db, key, key_hash) else { return };
        let next_ms = hash.next_ms();
        let is_soon = |listed_ms: i64| next_ms.is_some_and(|at_ms| (listed_ms..listed_ms + LATER_MS).contains(&at_ms));
        if self.changed && listed_ms.is_none_or(|listed_ms| self.earliest_ms <= listed_ms && !is_soon(listed_ms)) {
            hash.set_listed(next_ms);
        }
        let (after, is_empty) = (hash.listed_ms(), hash.is_empty());
        drop(hash);
        ctx.db().relist(key_hash, listed_ms, after);
        if set + gone == 0 {
            return;
        }
        if is_empty {
            ctx.db().remove(key, key_hash, now_ms);
        }
        ctx.state.stats.expired_fields += gone;
        ctx.signal_modified(key);
        if set > 0 {
            ctx.announce(KeyspaceEvents::HASH, "hexpire", key);
        }
        if gone > 0 {
            ctx.announce(KeyspaceEvents::HASH, "hdel", key);
        }
        if is_empty {
            ctx.announce(KeyspaceEvents::GENERIC, "del", key);
        }
    }
}

/// Removes named fields for a command. Returns how many, and how the hash was listed and is: not any more once the last
/// field that expires was removed so.
fn remove_named<'t>(hash: &mut Hash, names: impl Iterator<Item = &'t [u8]>) -> (usize, (Option<i64>, Option<i64>)) {
    let (listed_ms, was_timed) = (hash.listed_ms(), hash.next_ms().is_some());
    let gone = names.filter(|name| hash.remove(name)).count();
    if gone > 0 && was_timed && hash.next_ms().is_none() {
        hash.set_listed(None);
    }
    (gone, (listed_ms, hash.listed_ms()))
}

#[cfg(test)]
mod tests;
