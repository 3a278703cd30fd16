//! Fields that are read and changed at once: HGETEX, HGETDEL.

#![forbid(unsafe_code)]

use super::{FIELDS, Late, NO_COUNT, Retiming, fields_after, time, time_form};
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::elements::reply_element;
use crate::commands::key_specs;
use crate::commands::lookup;
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;
use crate::types::hash::{Hash, HashLimits};

/// `HGETDEL`
pub(super) static HGETDEL: Command = Command {
    name: "hgetdel",
    full_name: "hgetdel",
    summary: "Answers the values of fields and removes them.",
    since: "8.0.0",
    group: "hash",
    complexity: "O(N), N being the number of fields that are named",
    arity: -5,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::HASH).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("fields", ArgKind::Block).token("FIELDS").children(&[
            ArgSpec::new("numfields", ArgKind::Integer),
            ArgSpec::new("field", ArgKind::String).multiple(),
        ]),
    ],
    handler: Some(hgetdel),
    ..Command::BLANK
};

/// `HGETEX`
pub(super) static HGETEX: Command = Command {
    name: "hgetex",
    full_name: "hgetex",
    summary: "Answers the values of fields and sets when they expire.",
    since: "8.0.0",
    group: "hash",
    complexity: "O(N), N being the number of fields that are named",
    arity: -5,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::HASH).union(Categories::FAST),
    key_specs: &[key_specs::noted(
        key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE)),
        "RW and UPDATE because it may change when fields expire",
    )],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("expiration", ArgKind::OneOf).optional().children(&[
            ArgSpec::new("seconds", ArgKind::Integer).token("EX"),
            ArgSpec::new("milliseconds", ArgKind::Integer).token("PX"),
            ArgSpec::new("unix-time-seconds", ArgKind::UnixTime).token("EXAT"),
            ArgSpec::new("unix-time-milliseconds", ArgKind::UnixTime).token("PXAT"),
            ArgSpec::pure_token("persist", "PERSIST"),
        ]),
        FIELDS,
    ],
    handler: Some(hgetex),
    ..Command::BLANK
};

/// What becomes of the fields that were read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Nothing,
    Stay,
    Expire(i64),
    Go,
}

fn hgetdel(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    lookup::hold::<Hash>(ctx.state, ctx.session.db, args.get(1), ctx.first_key_hash)?;
    let names = fields_after(args, 2, NO_COUNT)?;
    read_and_change(ctx, args.get(1), names, Change::Go)
}

fn hgetex(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    lookup::hold::<Hash>(ctx.state, ctx.session.db, args.get(1), ctx.first_key_hash)?;
    let (change, at) = match args.get(2) {
        word if word.eq_ignore_ascii_case(b"persist") => (Change::Stay, 3),
        word => match time_form(word) {
            Some(form) => (Change::Expire(time(ctx, args.get(3), form)?), 4),
            None => (Change::Nothing, 2),
        },
    };
    if args.len() < at + 2 {
        return Err(CommandError::arity(ctx.command.full_name));
    }
    let names = fields_after(args, at, NO_COUNT)?;
    read_and_change(ctx, args.get(1), names, change)
}

/// Answers the values of fields, changes each behind its value, and tells who listens.
fn read_and_change(ctx: &mut Context<'_>, key: &[u8], names: Args<'_>, change: Change) -> Result<(), CommandError> {
    let (key_hash, now_ms, limits) = (ctx.first_key_hash, ctx.now_ms(), ctx.state.hash_limits());
    ctx.reply.array(names.len());
    let Some(mut hash) = lookup::hold::<Hash>(ctx.state, ctx.session.db, key, key_hash)? else {
        names.iter().for_each(|_| ctx.reply.null());
        return Ok(());
    };
    if matches!(change, Change::Stay | Change::Expire(_)) {
        hash.make_timed(&limits);
    }
    let was_timed = hash.next_ms().is_some();
    let mut retiming = Retiming::of(hash.view());
    let (mut late, mut set, mut gone) = (0, 0, 0);
    for name in names.iter() {
        if hash.is_over(name, now_ms) {
            hash.remove(name);
            late += 1;
        }
        let Some(value) = hash.get(name, now_ms) else {
            ctx.reply.null();
            continue;
        };
        reply_element(ctx.reply, value);
        match changed(&mut hash, name, change, now_ms, &limits, &mut retiming) {
            Some(true) => gone += 1,
            Some(false) => set += 1,
            None => {}
        }
    }
    if change == Change::Go && gone + late > 0 && was_timed && hash.next_ms().is_none() {
        retiming.note(hash.listed_ms());
    }
    drop(hash);
    if late > 0 {
        ctx.state.stats.expired_fields += late;
        ctx.signal_modified(key);
        Late { fields: 1, with_key: false }.announce(ctx, key);
    }
    if change == Change::Stay && set > 0 {
        ctx.signal_modified(key);
        ctx.announce(KeyspaceEvents::HASH, "hpersist", key);
    }
    let set_times = if change == Change::Stay { 0 } else { set };
    let before = ctx.state.stats.expired_fields;
    retiming.finish(ctx, key, key_hash, set_times, gone);
    if change == Change::Go {
        ctx.state.stats.expired_fields = before;
    }
    if late > 0 && set_times + gone == 0 {
        let now_empty =
            ctx.db().live(key, key_hash, now_ms).is_some_and(|entry| entry.as_hash().is_ok_and(|hash| hash.is_empty()));
        if now_empty {
            ctx.db().remove(key, key_hash, now_ms);
            ctx.announce(KeyspaceEvents::GENERIC, "del", key);
        }
    }
    ctx.state.stats.dirty += set + gone;
    Ok(())
}

/// Changes a field that is there. Returns whether it is gone, or nothing where there is nothing to change.
fn changed(
    hash: &mut Hash,
    name: &[u8],
    change: Change,
    now_ms: i64,
    limits: &HashLimits,
    retiming: &mut Retiming,
) -> Option<bool> {
    let old = hash.time_of(name).flatten();
    match change {
        Change::Nothing => None,
        Change::Stay => {
            hash.set_time(name, None, limits);
            old.map(|_| false)
        }
        Change::Expire(at_ms) if at_ms > now_ms => {
            hash.set_time(name, Some(at_ms), limits);
            retiming.note(old);
            retiming.note(Some(at_ms));
            Some(false)
        }
        Change::Expire(_) => {
            retiming.note(old);
            Some(hash.remove(name))
        }
        Change::Go => Some(hash.remove(name)),
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn fields_are_taken_out() {
        replay(
            r#"
            > HSET k a 1 b 2
            (integer) 2
            > HGETDEL k FIELDS 2 a zz
            1) "1"
            2) (nil)
            > HGETDEL k fields 1 b
            1) "2"
            > EXISTS k
            (integer) 0
            > HGETDEL k FIELDS 2 a b
            1) (nil)
            2) (nil)
            > HGETDEL k FIELDS 0 a
            (error) ERR Number of fields must be a positive integer
            > HGETDEL k FIELDS x a
            (error) ERR Number of fields must be a positive integer
            > HGETDEL k FIELDS 2 a
            (error) ERR The `numfields` parameter must match the number of arguments
            > HGETDEL k FOO 1 a
            (error) ERR Mandatory argument FIELDS is missing or not at the right position
            > SET s x
            OK
            > HGETDEL s FOO 1 a
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    }
}
