//! Numbers in fields: HINCRBY, HINCRBYFLOAT.

#![forbid(unsafe_code)]

use super::{hash_or_new, remove_late};
use crate::base::integer::parse_i64;
use crate::base::long_double::LongDouble;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_A_FLOAT, NOT_AN_INTEGER};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::config::KeyspaceEvents;
use crate::encoding::listpack::Element;
use crate::resp::args::Args;

/// `HINCRBY`
pub(super) static HINCRBY: Command = Command {
    name: "hincrby",
    full_name: "hincrby",
    summary: "Adds an integer to the one that a field holds.",
    since: "2.0.0",
    group: "hash",
    complexity: "O(1)",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::HASH).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("field", ArgKind::String),
        ArgSpec::new("increment", ArgKind::Integer),
    ],
    handler: Some(hincrby),
    member_arg: 2,
    ..Command::BLANK
};

/// `HINCRBYFLOAT`
pub(super) static HINCRBYFLOAT: Command = Command {
    name: "hincrbyfloat",
    full_name: "hincrbyfloat",
    summary: "Adds a number to the one that a field holds.",
    since: "2.6.0",
    group: "hash",
    complexity: "O(1)",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::HASH).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("field", ArgKind::String), ArgSpec::new("increment", ArgKind::Double)],
    handler: Some(hincrbyfloat),
    member_arg: 2,
    ..Command::BLANK
};

const NO_INTEGER: CommandError = CommandError::fixed("hash value is not an integer");
const NO_FLOAT: CommandError = CommandError::fixed("hash value is not a float");
const OVERFLOW: CommandError = CommandError::fixed("increment or decrement would overflow");
const NOT_FINITE: CommandError = CommandError::fixed("value is NaN or Infinity");
const RESULT_NOT_FINITE: CommandError = CommandError::fixed("increment would produce NaN or Infinity");

fn hincrby(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let increment = parse_i64(args.get(3)).ok_or(NOT_AN_INTEGER)?;
    let sum = update(ctx, args, |value| {
        let number = match value {
            None => 0,
            Some(Element::Int(number)) => number,
            Some(Element::Bytes(_)) => return Err(NO_INTEGER),
        };
        number.checked_add(increment).map(|sum| sum.to_string().into_bytes()).ok_or(OVERFLOW)
    })?;
    let sum = parse_i64(&sum).ok_or(NO_INTEGER)?;
    ctx.reply.integer(sum);
    Ok(())
}

fn hincrbyfloat(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let increment = LongDouble::parse(args.get(3)).filter(|number| !number.is_nan()).ok_or(NOT_A_FLOAT)?;
    if !increment.is_finite() {
        return Err(NOT_FINITE);
    }
    let sum = update(ctx, args, |value| {
        let text = value.map_or_else(|| b"0".to_vec(), |value| value.to_vec());
        let number = LongDouble::parse(&text).filter(|number| !number.is_nan()).ok_or(NO_FLOAT)?;
        let sum = number.add(increment);
        if sum.is_finite() { Ok(sum.to_text()) } else { Err(RESULT_NOT_FINITE) }
    })?;
    ctx.reply.bulk(&sum);
    Ok(())
}

/// Sets a field to what `change` makes of its value. A key that was made for it goes again where that fails.
fn update(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    change: impl FnOnce(Option<Element<'_>>) -> Result<Vec<u8>, CommandError>,
) -> Result<Vec<u8>, CommandError> {
    let (key, key_hash, now_ms) = (args.get(1), ctx.first_key_hash, ctx.now_ms());
    let limits = ctx.state.hash_limits();
    let mut hash = hash_or_new(ctx.state, ctx.session.db, key, key_hash)?;
    let names = args.skip(2).first(1);
    if hash.has_over(names.iter(), now_ms) {
        drop(hash);
        remove_late(ctx, key, key_hash, names)?.settle(ctx, key);
        hash = hash_or_new(ctx.state, ctx.session.db, key, key_hash)?;
    }
    let is_new = hash.is_empty();
    let changed = change(hash.get(args.get(2), now_ms));
    if let Ok(value) = &changed {
        hash.update(args.get(2), value, &limits);
    }
    let is_empty = hash.is_empty();
    drop(hash);
    match &changed {
        Ok(_) => {
            ctx.stored(is_new, KeyspaceEvents::HASH, ctx.command.name, key);
            ctx.state.stats.dirty += 1;
        }
        Err(_) if is_empty => _ = ctx.db().remove(key, key_hash, now_ms),
        Err(_) => {}
    }
    changed
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn integers_are_added() {
        replay(
            r#"
            > HINCRBY k a 5
            (integer) 5
            > HINCRBY k a -7
            (integer) -2
            > HINCRBY k a x
            (error) ERR value is not an integer or out of range
            > HSET k s abc m 9223372036854775807
            (integer) 2
            > HINCRBY k s 1
            (error) ERR hash value is not an integer
            > HINCRBY k m 1
            (error) ERR increment or decrement would overflow
            > SET s x
            OK
            > HINCRBY s a 1
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    }

    #[test]
    fn floats_are_added() {
        replay(
            r#"
            > HINCRBYFLOAT k a 1.5
            "1.5"
            > HINCRBYFLOAT k a 3
            "4.5"
            > HSET k s abc
            (integer) 1
            > HINCRBYFLOAT k s 1
            (error) ERR hash value is not a float
            > HINCRBYFLOAT k a x
            (error) ERR value is not a valid float
            > HINCRBYFLOAT k a nan
            (error) ERR value is not a valid float
            > HINCRBYFLOAT k a inf
            (error) ERR value is NaN or Infinity
            > HINCRBYFLOAT new a inf
            (error) ERR value is NaN or Infinity
            > EXISTS new
            (integer) 0
            "#,
        );
    }
}
