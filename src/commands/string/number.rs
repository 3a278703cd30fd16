//! HOT PATH. Commands that count: INCR, DECR, INCRBY, DECRBY, INCRBYFLOAT.

#![forbid(unsafe_code)]

use super::integer_argument;
use crate::base::long_double::LongDouble;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_A_FLOAT, NOT_AN_INTEGER, WRONG_TYPE};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;

/// `INCR`
pub(super) static INCR: Command = Command {
    name: "incr",
    full_name: "incr",
    summary: "Counts a number up by one; a missing key counts from zero.",
    since: "1.0.0",
    group: "string",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::STRING).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(incr),
    ..Command::BLANK
};

/// `DECR`
pub(super) static DECR: Command = Command {
    name: "decr",
    full_name: "decr",
    summary: "Counts a number down by one; a missing key counts from zero.",
    since: "1.0.0",
    group: "string",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::STRING).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(decr),
    ..Command::BLANK
};

/// `INCRBY`
pub(super) static INCRBY: Command = Command {
    name: "incrby",
    full_name: "incrby",
    summary: "Adds an amount to a number; a missing key counts from zero.",
    since: "1.0.0",
    group: "string",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::STRING).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("increment", ArgKind::Integer)],
    handler: Some(incrby),
    ..Command::BLANK
};

/// `DECRBY`
pub(super) static DECRBY: Command = Command {
    name: "decrby",
    full_name: "decrby",
    summary: "Takes an amount from a number; a missing key counts from zero.",
    since: "1.0.0",
    group: "string",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::STRING).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("decrement", ArgKind::Integer)],
    handler: Some(decrby),
    ..Command::BLANK
};

/// `INCRBYFLOAT`
pub(super) static INCRBYFLOAT: Command = Command {
    name: "incrbyfloat",
    full_name: "incrbyfloat",
    summary: "Adds a fractional amount to a number; a missing key counts from zero.",
    since: "2.6.0",
    group: "string",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::STRING).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("increment", ArgKind::Double)],
    handler: Some(incrbyfloat),
    ..Command::BLANK
};

const OVERFLOW: CommandError = CommandError::fixed("increment or decrement would overflow");
const DECREMENT_OVERFLOW: CommandError = CommandError::fixed("decrement would overflow");
const NOT_FINITE: CommandError = CommandError::fixed("increment would produce NaN or Infinity");

fn incr(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    add(ctx, args, 1)
}

fn decr(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    add(ctx, args, -1)
}

fn incrby(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    add(ctx, args, integer_argument(args, 2)?)
}

fn decrby(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    add(ctx, args, integer_argument(args, 2)?.checked_neg().ok_or(DECREMENT_OVERFLOW)?)
}

/// Adds to the number at the first key; a missing key is created from zero. The expiry time stays.
#[inline]
fn add(ctx: &mut Context<'_>, args: Args<'_>, amount: i64) -> Result<(), CommandError> {
    let (key, hash, now_ms) = (args.get(1), ctx.first_key_hash, ctx.now_ms());
    let mut string = ctx.db().string_mut(key, hash, now_ms).map_err(|_| WRONG_TYPE)?;
    let number = match string.current() {
        Some(text) => text.as_integer().ok_or(NOT_AN_INTEGER)?,
        None => 0,
    };
    let sum = number.checked_add(amount).ok_or(OVERFLOW)?;
    let is_new = string.current().is_none();
    string.set_int(sum);
    ctx.stored(is_new, KeyspaceEvents::STRING, "incrby", key);
    ctx.state.stats.dirty += 1;
    ctx.reply.integer(sum);
    Ok(())
}

/// Counts in x87 long doubles, as Redis does. The result is kept as text even where it is a whole number.
fn incrbyfloat(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (key, hash, now_ms) = (args.get(1), ctx.first_key_hash, ctx.now_ms());
    let mut string = ctx.db().string_mut(key, hash, now_ms).map_err(|_| WRONG_TYPE)?;
    let number = match string.current() {
        Some(text) => LongDouble::parse(&text.to_cow()).ok_or(NOT_A_FLOAT)?,
        None => LongDouble::from_f64(0.0),
    };
    let amount = LongDouble::parse(args.get(2)).ok_or(NOT_A_FLOAT)?;
    let sum = number.add(amount);
    if !sum.is_finite() {
        return Err(NOT_FINITE);
    }
    let text = sum.to_text();
    let is_new = string.current().is_none();
    string.set_bytes(&text);
    ctx.stored(is_new, KeyspaceEvents::STRING, "incrbyfloat", key);
    ctx.state.stats.dirty += 1;
    ctx.reply.bulk(&text);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn counting() {
        replay(
            r#"
            > INCR k
            (integer) 1
            > INCRBY k 41
            (integer) 42
            > DECR k
            (integer) 41
            > DECRBY k 40
            (integer) 1
            > DECRBY k -5
            (integer) 6
            > GET k
            "6"
            > DECR new
            (integer) -1
            > EXPIRE k 100
            (integer) 1
            > INCR k
            (integer) 7
            > TTL k
            (integer) 100
            "#,
        );
    }

    #[test]
    fn only_canonical_numbers_count() {
        replay(
            r#"
            > SET k " 1"
            OK
            > INCR k
            (error) ERR value is not an integer or out of range
            > SET k 01
            OK
            > INCR k
            (error) ERR value is not an integer or out of range
            > SET k +1
            OK
            > INCR k
            (error) ERR value is not an integer or out of range
            > SET k -0
            OK
            > INCR k
            (error) ERR value is not an integer or out of range
            > SET k ""
            OK
            > INCR k
            (error) ERR value is not an integer or out of range
            > SET k 1.5
            OK
            > INCR k
            (error) ERR value is not an integer or out of range
            > SET k 1
            OK
            > INCRBY k 1.5
            (error) ERR value is not an integer or out of range
            > INCRBY k ten
            (error) ERR value is not an integer or out of range
            "#,
        );
    }

    #[test]
    fn counting_does_not_overflow() {
        replay(
            r#"
            > SET k 9223372036854775807
            OK
            > INCR k
            (error) ERR increment or decrement would overflow
            > DECRBY k -1
            (error) ERR increment or decrement would overflow
            > DECRBY k -9223372036854775808
            (error) ERR decrement would overflow
            > DECRBY k 9223372036854775808
            (error) ERR value is not an integer or out of range
            > GET k
            "9223372036854775807"
            > SET k -9223372036854775808
            OK
            > DECR k
            (error) ERR increment or decrement would overflow
            > INCRBY k -1
            (error) ERR increment or decrement would overflow
            > INCRBY k 9223372036854775807
            (integer) -1
            "#,
        );
    }

    #[test]
    fn fractions() {
        replay(
            r#"
            > SET k 10.50
            OK
            > INCRBYFLOAT k 0.1
            "10.6"
            > INCRBYFLOAT k -5
            "5.6"
            > SET k 5.0e3
            OK
            > INCRBYFLOAT k 2.0e2
            "5200"
            > INCRBYFLOAT new 1.5
            "1.5"
            > SET k 3
            OK
            > INCRBYFLOAT k 0x10
            "19"
            > GET k
            "19"
            > SET k 3 EX 100
            OK
            > INCRBYFLOAT k 1
            "4"
            > TTL k
            (integer) 100
            > INCR k
            (integer) 5
            "#,
        );
    }

    #[test]
    fn fractions_refuse() {
        replay(
            r#"
            > SET k abc
            OK
            > INCRBYFLOAT k 1
            (error) ERR value is not a valid float
            > SET k 1
            OK
            > INCRBYFLOAT k ten
            (error) ERR value is not a valid float
            > INCRBYFLOAT k inf
            (error) ERR increment would produce NaN or Infinity
            > INCRBYFLOAT k nan
            (error) ERR value is not a valid float
            > INCRBYFLOAT k " 1"
            (error) ERR value is not a valid float
            > INCRBYFLOAT k ""
            (error) ERR value is not a valid float
            > GET k
            "1"
            "#,
        );
    }
}
