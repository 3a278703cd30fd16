//! HOT PATH. Commands that replace one whole string: SET, SETNX, SETEX, PSETEX, GETSET.

#![forbid(unsafe_code)]

use super::argument_value;
use super::expiry::{Expiry, Grammar, Options, Unit, deadline_ms};
use super::get::get_string;
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, FoundKey, KeyFlags};
use crate::commands::key_specs;
use crate::config::KeyspaceEvents;
use crate::keyspace::SetExpire;
use crate::resp::args::Args;

/// `SET`
pub(super) static SET: Command = Command {
    name: "set",
    full_name: "set",
    summary: "Stores a string at a key, whatever was there before.",
    since: "1.0.0",
    group: "string",
    complexity: "O(1)",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::STRING).union(Categories::SLOW),
    key_specs: &[key_specs::noted(
        key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE).union(KeyFlags::VARIABLE_FLAGS)),
        "RW and ACCESS only with the option `GET`.",
    )],
    key_finder: Some(set_keys),
    history: &[
        ("2.6.12", "The options `EX`, `PX`, `NX` and `XX` came."),
        ("6.0.0", "The option `KEEPTTL` came."),
        ("6.2.0", "The options `GET`, `EXAT` and `PXAT` came."),
        ("7.0.0", "`NX` and `GET` may stand together."),
    ],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("value", ArgKind::String),
        ArgSpec::new("condition", ArgKind::OneOf)
            .since("2.6.12")
            .optional()
            .children(&[ArgSpec::pure_token("nx", "NX"), ArgSpec::pure_token("xx", "XX")]),
        ArgSpec::pure_token("get", "GET").since("6.2.0").optional(),
        ArgSpec::new("expiration", ArgKind::OneOf).optional().children(&[
            ArgSpec::new("seconds", ArgKind::Integer).token("EX").since("2.6.12"),
            ArgSpec::new("milliseconds", ArgKind::Integer).token("PX").since("2.6.12"),
            ArgSpec::new("unix-time-seconds", ArgKind::UnixTime).token("EXAT").since("6.2.0"),
            ArgSpec::new("unix-time-milliseconds", ArgKind::UnixTime).token("PXAT").since("6.2.0"),
            ArgSpec::pure_token("keepttl", "KEEPTTL").since("6.0.0"),
        ]),
    ],
    handler: Some(set),
    ..Command::BLANK
};

/// `SETNX`
pub(super) static SETNX: Command = Command {
    name: "setnx",
    full_name: "setnx",
    summary: "Stores a string unless the key exists already.",
    since: "1.0.0",
    group: "string",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::STRING).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::OW.union(KeyFlags::INSERT))],
    deprecated: Some(("2.6.12", "`SET` with `NX`")),
    args: &[ArgSpec::key("key", 0), ArgSpec::new("value", ArgKind::String)],
    handler: Some(setnx),
    ..Command::BLANK
};

/// `SETEX`
pub(super) static SETEX: Command = Command {
    name: "setex",
    full_name: "setex",
    summary: "Stores a string that expires after some seconds.",
    since: "2.0.0",
    group: "string",
    complexity: "O(1)",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::STRING).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::OW.union(KeyFlags::UPDATE))],
    deprecated: Some(("2.6.12", "`SET` with `EX`")),
    args: &[ArgSpec::key("key", 0), ArgSpec::new("seconds", ArgKind::Integer), ArgSpec::new("value", ArgKind::String)],
    handler: Some(setex),
    ..Command::BLANK
};

/// `PSETEX`
pub(super) static PSETEX: Command = Command {
    name: "psetex",
    full_name: "psetex",
    summary: "Stores a string that expires after some milliseconds.",
    since: "2.6.0",
    group: "string",
    complexity: "O(1)",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::STRING).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::OW.union(KeyFlags::UPDATE))],
    deprecated: Some(("2.6.12", "`SET` with `PX`")),
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("milliseconds", ArgKind::Integer),
        ArgSpec::new("value", ArgKind::String),
    ],
    handler: Some(psetex),
    ..Command::BLANK
};

/// `GETSET`
pub(super) static GETSET: Command = Command {
    name: "getset",
    full_name: "getset",
    summary: "Stores a string and answers the one it replaces.",
    since: "1.0.0",
    group: "string",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::STRING).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    deprecated: Some(("6.2.0", "`SET` with `!GET`")),
    args: &[ArgSpec::key("key", 0), ArgSpec::new("value", ArgKind::String)],
    handler: Some(getset),
    ..Command::BLANK
};

/// SET reads its key only with the option GET.
fn set_keys(args: Args<'_>, found: &mut Vec<FoundKey>) -> Result<(), CommandError> {
    let reads = args.skip(3).iter().any(|word| word.eq_ignore_ascii_case(b"GET"));
    let flags = if reads {
        KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE)
    } else {
        KeyFlags::OW.union(KeyFlags::UPDATE)
    };
    found.push(FoundKey { index: 1, flags });
    Ok(())
}

fn set(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    if args.len() == 3 {
        store(ctx, args, 2, SetExpire::Clear);
        ctx.reply.ok();
        return Ok(());
    }
    set_with_options(ctx, args)
}

fn set_with_options(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let options = Options::read(args, 3, Grammar::Set)?;
    let expire = match options.expiry {
        Expiry::At(unit, index) => {
            SetExpire::At(deadline_ms(args.get(index), unit, ctx.now_ms(), ctx.command.full_name)?)
        }
        Expiry::Keep => SetExpire::Keep,
        Expiry::Unsaid | Expiry::Remove => SetExpire::Clear,
    };
    if options.get {
        get_string(ctx, args)?;
    }
    let wanted =
        if options.if_missing || options.if_exists { exists(ctx, args.get(1)) == options.if_exists } else { true };
    if wanted {
        store(ctx, args, 2, expire);
    }
    match (options.get, wanted) {
        (true, _) => {}
        (false, true) => ctx.reply.ok(),
        (false, false) => ctx.reply.null(),
    }
    Ok(())
}

fn setnx(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let missing = !exists(ctx, args.get(1));
    if missing {
        store(ctx, args, 2, SetExpire::Clear);
    }
    ctx.reply.integer(i64::from(missing));
    Ok(())
}

fn setex(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    set_until(ctx, args, Unit::Seconds)
}

fn psetex(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    set_until(ctx, args, Unit::Milliseconds)
}

fn set_until(ctx: &mut Context<'_>, args: Args<'_>, unit: Unit) -> Result<(), CommandError> {
    let at_ms = deadline_ms(args.get(2), unit, ctx.now_ms(), ctx.command.full_name)?;
    store(ctx, args, 3, SetExpire::At(at_ms));
    ctx.reply.ok();
    Ok(())
}

fn getset(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    get_string(ctx, args)?;
    store(ctx, args, 2, SetExpire::Clear);
    Ok(())
}

/// Stores argument `value` at the first key.
#[inline]
fn store(ctx: &mut Context<'_>, args: Args<'_>, value: usize, expire: SetExpire) {
    let (key, hash, now_ms) = (args.get(1), ctx.first_key_hash, ctx.now_ms());
    let existed = ctx.db().set(key, hash, argument_value(args, value), expire, now_ms);
    ctx.stored(!existed, KeyspaceEvents::STRING, "set", key);
    if matches!(expire, SetExpire::At(_)) {
        ctx.announce(KeyspaceEvents::GENERIC, "expire", key);
    }
    ctx.state.stats.dirty += 1;
}

/// Whether the first key exists; no read in the sense of the statistics.
fn exists(ctx: &mut Context<'_>, key: &[u8]) -> bool {
    let (hash, now_ms) = (ctx.first_key_hash, ctx.now_ms());
    ctx.db().get(key, hash, now_ms).is_some()
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn set_replaces_and_clears_the_expiry_time() {
        replay(
            r#"
            > SET k v
            OK
            > GET k
            "v"
            > SET k w EX 100
            OK
            > TTL k
            (integer) 100
            > SET k x
            OK
            > TTL k
            (integer) -1
            > GET k
            "x"
            "#,
        );
    }

    #[test]
    fn numbers_are_kept_as_they_are_spelled() {
        replay(
            r#"
            > SET k 0012
            OK
            > GET k
            "0012"
            > SET k -0
            OK
            > GET k
            "-0"
            > SET k 9223372036854775807
            OK
            > GET k
            "9223372036854775807"
            > SET k 9223372036854775808
            OK
            > GET k
            "9223372036854775808"
            "#,
        );
    }

    #[test]
    fn set_on_condition() {
        replay(
            r#"
            > SET k a NX
            OK
            > SET k b NX
            (nil)
            > GET k
            "a"
            > SET k c XX
            OK
            > SET missing c XX
            (nil)
            > EXISTS missing
            (integer) 0
            > SET k d NX XX
            (error) ERR syntax error
            > GET k
            "c"
            "#,
        );
    }

    #[test]
    fn set_answers_what_was_there() {
        replay(
            r#"
            > SET k a GET
            (nil)
            > SET k b GET
            "a"
            > SET k c NX GET
            "b"
            > GET k
            "b"
            > SET k d XX GET
            "b"
            > SET missing e XX GET
            (nil)
            > SET missing e NX GET
            (nil)
            > GET missing
            "e"
            "#,
        );
    }

    #[test]
    fn set_keeps_the_expiry_time_if_told() {
        replay(
            r#"
            > SET k a EX 100
            OK
            > SET k b KEEPTTL
            OK
            > TTL k
            (integer) 100
            > SET k c KEEPTTL EX 5
            (error) ERR syntax error
            > SET k c
            OK
            > SET k d KEEPTTL
            OK
            > TTL k
            (integer) -1
            "#,
        );
    }

    #[test]
    fn set_takes_times_in_four_units() {
        replay(
            r#"
            > SET k v EX 100
            OK
            > TTL k
            (integer) 100
            > SET k v PX 100000
            OK
            > TTL k
            (integer) 100
            > SET k v EXAT 4102444800
            OK
            > EXPIRETIME k
            (integer) 4102444800
            > SET k v PXAT 4102444800123
            OK
            > PEXPIRETIME k
            (integer) 4102444800123
            > SET k v EX 10 EX 100
            OK
            > TTL k
            (integer) 100
            > SET k v PXAT 9223372036854775807
            OK
            > PEXPIRETIME k
            (integer) 9223372036854775807
            "#,
        );
    }

    #[test]
    fn set_to_a_time_that_has_passed() {
        replay(
            r#"
            > SET k v PXAT 1
            OK
            > DBSIZE
            (integer) 1
            > GET k
            (nil)
            > DBSIZE
            (integer) 0
            "#,
        );
    }

    #[test]
    fn set_refuses() {
        replay(
            r#"
            > SET k v EX
            (error) ERR syntax error
            > SET k v EX 0
            (error) ERR invalid expire time in 'set' command
            > SET k v EX -1
            (error) ERR invalid expire time in 'set' command
            > SET k v PX ten
            (error) ERR value is not an integer or out of range
            > SET k v EX 9223372036854775807
            (error) ERR invalid expire time in 'set' command
            > SET k v EX 9223372036854775
            (error) ERR invalid expire time in 'set' command
            > SET k v PX 9223372036854775807
            (error) ERR invalid expire time in 'set' command
            > SET k v EX 10 PX 10
            (error) ERR syntax error
            > SET k v EX 10 KEEPTTL
            (error) ERR syntax error
            > SET k v PERSIST
            (error) ERR syntax error
            > SET k v IFEQ v
            (error) ERR syntax error
            > SET k
            (error) ERR wrong number of arguments for 'set' command
            > EXISTS k
            (integer) 0
            "#,
        );
    }

    #[test]
    fn the_older_setters() {
        replay(
            r#"
            > SETNX k a
            (integer) 1
            > SETNX k b
            (integer) 0
            > GET k
            "a"
            > SETEX k 100 c
            OK
            > TTL k
            (integer) 100
            > PSETEX k 200000 d
            OK
            > TTL k
            (integer) 200
            > GETSET k e
            "d"
            > TTL k
            (integer) -1
            > GETSET missing f
            (nil)
            > GET missing
            "f"
            "#,
        );
    }

    #[test]
    fn the_older_setters_refuse() {
        replay(
            r#"
            > SETEX k 0 v
            (error) ERR invalid expire time in 'setex' command
            > SETEX k ten v
            (error) ERR value is not an integer or out of range
            > SETEX k 9223372036854775807 v
            (error) ERR invalid expire time in 'setex' command
            > PSETEX k -1 v
            (error) ERR invalid expire time in 'psetex' command
            > PSETEX k 9223372036854775807 v
            (error) ERR invalid expire time in 'psetex' command
            > EXISTS k
            (integer) 0
            "#,
        );
    }
}
