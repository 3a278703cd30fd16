//! Setting and removing expiry times: EXPIRE, PEXPIRE, EXPIREAT, PEXPIREAT, PERSIST.

#![forbid(unsafe_code)]

use crate::base::integer;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;

/// `EXPIRE`
pub(super) static EXPIRE: Command = Command {
    name: "expire",
    full_name: "expire",
    summary: "Sets in how many seconds a key expires.",
    since: "1.0.0",
    group: "generic",
    complexity: "O(1)",
    arity: -3,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::KEYSPACE.union(Categories::WRITE).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    history: &[("7.0.0", "The options `NX`, `XX`, `GT` and `LT` came.")],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("seconds", ArgKind::Integer),
        ArgSpec::new("condition", ArgKind::OneOf).since("7.0.0").optional().children(&[
            ArgSpec::pure_token("nx", "NX"),
            ArgSpec::pure_token("xx", "XX"),
            ArgSpec::pure_token("gt", "GT"),
            ArgSpec::pure_token("lt", "LT"),
        ]),
    ],
    handler: Some(expire),
    ..Command::BLANK
};

/// `PEXPIRE`
pub(super) static PEXPIRE: Command = Command {
    name: "pexpire",
    full_name: "pexpire",
    summary: "Sets in how many milliseconds a key expires.",
    since: "2.6.0",
    group: "generic",
    complexity: "O(1)",
    arity: -3,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::KEYSPACE.union(Categories::WRITE).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    history: &[("7.0.0", "The options `NX`, `XX`, `GT` and `LT` came.")],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("milliseconds", ArgKind::Integer),
        ArgSpec::new("condition", ArgKind::OneOf).since("7.0.0").optional().children(&[
            ArgSpec::pure_token("nx", "NX"),
            ArgSpec::pure_token("xx", "XX"),
            ArgSpec::pure_token("gt", "GT"),
            ArgSpec::pure_token("lt", "LT"),
        ]),
    ],
    handler: Some(pexpire),
    ..Command::BLANK
};

/// `EXPIREAT`
pub(super) static EXPIREAT: Command = Command {
    name: "expireat",
    full_name: "expireat",
    summary: "Sets the Unix second at which a key expires.",
    since: "1.2.0",
    group: "generic",
    complexity: "O(1)",
    arity: -3,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::KEYSPACE.union(Categories::WRITE).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    history: &[("7.0.0", "The options `NX`, `XX`, `GT` and `LT` came.")],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("unix-time-seconds", ArgKind::UnixTime),
        ArgSpec::new("condition", ArgKind::OneOf).since("7.0.0").optional().children(&[
            ArgSpec::pure_token("nx", "NX"),
            ArgSpec::pure_token("xx", "XX"),
            ArgSpec::pure_token("gt", "GT"),
            ArgSpec::pure_token("lt", "LT"),
        ]),
    ],
    handler: Some(expireat),
    ..Command::BLANK
};

/// `PEXPIREAT`
pub(super) static PEXPIREAT: Command = Command {
    name: "pexpireat",
    full_name: "pexpireat",
    summary: "Sets the Unix millisecond at which a key expires.",
    since: "2.6.0",
    group: "generic",
    complexity: "O(1)",
    arity: -3,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::KEYSPACE.union(Categories::WRITE).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    history: &[("7.0.0", "The options `NX`, `XX`, `GT` and `LT` came.")],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("unix-time-milliseconds", ArgKind::UnixTime),
        ArgSpec::new("condition", ArgKind::OneOf).since("7.0.0").optional().children(&[
            ArgSpec::pure_token("nx", "NX"),
            ArgSpec::pure_token("xx", "XX"),
            ArgSpec::pure_token("gt", "GT"),
            ArgSpec::pure_token("lt", "LT"),
        ]),
    ],
    handler: Some(pexpireat),
    ..Command::BLANK
};

/// `PERSIST`
pub(super) static PERSIST: Command = Command {
    name: "persist",
    full_name: "persist",
    summary: "Makes a key stay by removing its expiry time.",
    since: "2.2.0",
    group: "generic",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::KEYSPACE.union(Categories::WRITE).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(persist),
    ..Command::BLANK
};

const NX_NOT_ALONE: CommandError =
    CommandError::fixed("NX and XX, GT or LT options at the same time are not compatible");
const GT_AND_LT: CommandError = CommandError::fixed("GT and LT options at the same time are not compatible");

/// When an expiry time is set at all.
#[derive(Clone, Copy, Default)]
struct Condition {
    /// Only where there is none.
    if_missing: bool,
    /// Only where there is one.
    if_exists: bool,
    /// Only a later one.
    if_later: bool,
    /// Only an earlier one.
    if_earlier: bool,
}

impl Condition {
    fn read(args: Args<'_>, first: usize) -> Result<Condition, CommandError> {
        let mut condition = Condition::default();
        for word in args.skip(first).iter() {
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            match () {
                () if is("NX") => condition.if_missing = true,
                () if is("XX") => condition.if_exists = true,
                () if is("GT") => condition.if_later = true,
                () if is("LT") => condition.if_earlier = true,
                () => return Err(CommandError::quoting("Unsupported option ", word, usize::MAX, "")),
            }
        }
        if condition.if_missing && (condition.if_exists || condition.if_later || condition.if_earlier) {
            return Err(NX_NOT_ALONE);
        }
        if condition.if_later && condition.if_earlier { Err(GT_AND_LT) } else { Ok(condition) }
    }

    /// Whether `new` may replace `old`. No expiry time is later than every expiry time.
    fn allows(self, old: Option<i64>, new: i64) -> bool {
        match old {
            None => !self.if_exists && !self.if_later,
            Some(old) => !self.if_missing && (!self.if_later || new > old) && (!self.if_earlier || new < old),
        }
    }
}

fn expire(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    set_deadline(ctx, args, 1000, now_ms)
}

fn pexpire(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    set_deadline(ctx, args, 1, now_ms)
}

fn expireat(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    set_deadline(ctx, args, 1000, 0)
}

fn pexpireat(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    set_deadline(ctx, args, 1, 0)
}

/// Lets the key expire at `base_ms` plus the number in the arguments, in units of `unit_ms`. A time that has passed
/// removes the key at once.
fn set_deadline(ctx: &mut Context<'_>, args: Args<'_>, unit_ms: i64, base_ms: i64) -> Result<(), CommandError> {
    let condition = if args.len() > 3 { Condition::read(args, 3)? } else { Condition::default() };
    let number = integer::parse_i64(args.get(2)).ok_or(NOT_AN_INTEGER)?;
    let at_ms = number.checked_mul(unit_ms).and_then(|ms| ms.checked_add(base_ms));
    let at_ms = at_ms.ok_or_else(|| CommandError::expire_time(ctx.command.full_name))?;

    let (key, hash, now_ms) = (args.get(1), ctx.first_key_hash, ctx.now_ms());
    let old = ctx.db().get(key, hash, now_ms).map(|entry| entry.expire_ms());
    let set = old.is_some_and(|old| condition.allows(old, at_ms));
    if set {
        let is_over = at_ms <= now_ms;
        if is_over {
            ctx.db().expire_now(key, hash, now_ms);
        } else {
            ctx.db().set_expire(key, hash, Some(at_ms));
        }
        ctx.signal_modified(key);
        ctx.announce(KeyspaceEvents::GENERIC, if is_over { "del" } else { "expire" }, key);
        ctx.state.stats.dirty += 1;
    }
    ctx.reply.integer(i64::from(set));
    Ok(())
}

fn persist(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (key, hash, now_ms) = (args.get(1), ctx.first_key_hash, ctx.now_ms());
    let had_expiry = ctx.db().get(key, hash, now_ms).is_some_and(|entry| entry.expire_ms().is_some());
    if had_expiry {
        ctx.db().set_expire(key, hash, None);
        ctx.signal_modified(key);
        ctx.announce(KeyspaceEvents::GENERIC, "persist", key);
        ctx.state.stats.dirty += 1;
    }
    ctx.reply.integer(i64::from(had_expiry));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn expiry_times_in_four_units() {
        replay(
            r#"
            > SET k v
            OK
            > EXPIRE k 100
            (integer) 1
            > TTL k
            (integer) 100
            > PEXPIRE k 200000
            (integer) 1
            > TTL k
            (integer) 200
            > EXPIREAT k 4102444800
            (integer) 1
            > EXPIRETIME k
            (integer) 4102444800
            > PEXPIREAT k 4102444800123
            (integer) 1
            > PEXPIRETIME k
            (integer) 4102444800123
            > EXPIRE missing 100
            (integer) 0
            "#,
        );
    }

    #[test]
    fn conditions() {
        replay(
            r#"
            > SET k v
            OK
            > EXPIREAT k 4102444800 XX
            (integer) 0
            > EXPIREAT k 4102444800 GT
            (integer) 0
            > EXPIREAT k 4102444800 LT
            (integer) 1
            > EXPIREAT k 4102444800 NX
            (integer) 0
            > EXPIREAT k 4102444800 GT
            (integer) 0
            > EXPIREAT k 4102444800 LT
            (integer) 0
            > EXPIREAT k 4102444801 GT
            (integer) 1
            > EXPIREAT k 4102444800 xx lt
            (integer) 1
            > EXPIRETIME k
            (integer) 4102444800
            > PERSIST k
            (integer) 1
            > EXPIREAT k 4102444800 NX
            (integer) 1
            "#,
        );
    }

    #[test]
    fn conditions_that_exclude_each_other() {
        replay(
            r#"
            > EXPIRE k 100 NX XX
            (error) ERR NX and XX, GT or LT options at the same time are not compatible
            > EXPIRE k 100 NX GT
            (error) ERR NX and XX, GT or LT options at the same time are not compatible
            > EXPIRE k 100 GT LT
            (error) ERR GT and LT options at the same time are not compatible
            > EXPIRE k 100 NX NX
            (integer) 0
            > EXPIRE k ten FOO
            (error) ERR Unsupported option FOO
            > EXPIRE k ten NX
            (error) ERR value is not an integer or out of range
            "#,
        );
    }

    #[test]
    fn a_time_that_has_passed_removes_the_key() {
        replay(
            r#"
            > SET k v
            OK
            > EXPIRE k -1 GT
            (integer) 0
            > EXPIRE k -1 XX
            (integer) 0
            > EXISTS k
            (integer) 1
            > EXPIRE k 0
            (integer) 1
            > EXISTS k
            (integer) 0
            > SET k v
            OK
            > PEXPIREAT k -5
            (integer) 1
            > EXISTS k
            (integer) 0
            "#,
        );
    }

    #[test]
    fn times_must_fit() {
        replay(
            r#"
            > SET k v
            OK
            > EXPIRE k 9223372036854775807
            (error) ERR invalid expire time in 'expire' command
            > EXPIRE k 9223372036854775
            (error) ERR invalid expire time in 'expire' command
            > EXPIREAT k 9223372036854775807
            (error) ERR invalid expire time in 'expireat' command
            > EXPIREAT k -9223372036854775808
            (error) ERR invalid expire time in 'expireat' command
            > PEXPIRE k 9223372036854775807
            (error) ERR invalid expire time in 'pexpire' command
            > PEXPIREAT k 9223372036854775807
            (integer) 1
            > PEXPIRETIME k
            (integer) 9223372036854775807
            > EXPIRETIME k
            (integer) 9223372036854776
            > PEXPIRE k -9223372036854775808
            (integer) 1
            > EXISTS k
            (integer) 0
            "#,
        );
    }

    #[test]
    fn persist() {
        replay(
            r#"
            > SET k v EX 100
            OK
            > PERSIST k
            (integer) 1
            > PERSIST k
            (integer) 0
            > PERSIST missing
            (integer) 0
            > TTL k
            (integer) -1
            "#,
        );
    }
}
