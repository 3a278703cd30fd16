//! Asking for expiry times: TTL, PTTL, EXPIRETIME, PEXPIRETIME.

#![forbid(unsafe_code)]

use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::{key_specs, lookup};
use crate::resp::args::Args;

/// `TTL`
pub(super) static TTL: Command = Command {
    name: "ttl",
    full_name: "ttl",
    summary: "Answers how many seconds a key has left.",
    since: "1.0.0",
    group: "generic",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::KEYSPACE.union(Categories::READ).union(Categories::FAST),
    tips: &["nondeterministic_output"],
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    history: &[("2.8.0", "Answers -2 for a missing key.")],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(ttl),
    ..Command::BLANK
};

/// `PTTL`
pub(super) static PTTL: Command = Command {
    name: "pttl",
    full_name: "pttl",
    summary: "Answers how many milliseconds a key has left.",
    since: "2.6.0",
    group: "generic",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::KEYSPACE.union(Categories::READ).union(Categories::FAST),
    tips: &["nondeterministic_output"],
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    history: &[("2.8.0", "Answers -2 for a missing key.")],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(pttl),
    ..Command::BLANK
};

/// `EXPIRETIME`
pub(super) static EXPIRETIME: Command = Command {
    name: "expiretime",
    full_name: "expiretime",
    summary: "Answers the Unix second at which a key expires.",
    since: "7.0.0",
    group: "generic",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::KEYSPACE.union(Categories::READ).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(expiretime),
    ..Command::BLANK
};

/// `PEXPIRETIME`
pub(super) static PEXPIRETIME: Command = Command {
    name: "pexpiretime",
    full_name: "pexpiretime",
    summary: "Answers the Unix millisecond at which a key expires.",
    since: "7.0.0",
    group: "generic",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::KEYSPACE.union(Categories::READ).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(pexpiretime),
    ..Command::BLANK
};

/// The answer for a missing key.
const NO_KEY: i64 = -2;
/// The answer for a key that does not expire.
const NO_EXPIRY: i64 = -1;

fn ttl(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    answer(ctx, args, |at_ms| to_seconds(left(at_ms, now_ms)))
}

fn pttl(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    answer(ctx, args, |at_ms| left(at_ms, now_ms))
}

fn expiretime(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    answer(ctx, args, to_seconds)
}

fn pexpiretime(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    answer(ctx, args, |at_ms| at_ms)
}

/// Answers what `shown` makes of the expiry time in Unix milliseconds.
fn answer(ctx: &mut Context<'_>, args: Args<'_>, shown: impl FnOnce(i64) -> i64) -> Result<(), CommandError> {
    let found = lookup::ask(ctx.state, ctx.session, args.get(1), ctx.first_key_hash);
    let number = match found.map(|entry| entry.expire_ms()) {
        None => NO_KEY,
        Some(None) => NO_EXPIRY,
        Some(Some(at_ms)) => shown(at_ms),
    };
    ctx.reply.integer(number);
    Ok(())
}

/// Milliseconds from now on.
fn left(at_ms: i64, now_ms: i64) -> i64 {
    at_ms.saturating_sub(now_ms).max(0)
}

/// Rounded to the nearest second. Times are not negative.
fn to_seconds(ms: i64) -> i64 {
    ms / 1000 + i64::from(ms % 1000 >= 500)
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;
    use crate::commands::transcript::replay_in;
    use crate::engine::Engine;

    #[test]
    fn answers_without_an_expiry_time() {
        replay(
            r#"
            > SET k v
            OK
            > TTL k
            (integer) -1
            > PTTL k
            (integer) -1
            > EXPIRETIME k
            (integer) -1
            > PEXPIRETIME k
            (integer) -1
            > TTL missing
            (integer) -2
            > PTTL missing
            (integer) -2
            > EXPIRETIME missing
            (integer) -2
            > PEXPIRETIME missing
            (integer) -2
            "#,
        );
    }

    #[test]
    fn time_passes() {
        let mut engine = Engine::for_console();
        replay_in(
            &mut engine,
            r#"
            > SET k v PX 2500
            OK
            > PTTL k
            (integer) 2500
            > TTL k
            (integer) 3
            > EXPIRETIME k
            (integer) 1700000003
            > PEXPIRETIME k
            (integer) 1700000002500
            "#,
        );
        engine.advance_ms(1001);
        assert_eq!(engine.run(&["PTTL", "k"]), "(integer) 1499");
        assert_eq!(engine.run(&["TTL", "k"]), "(integer) 1");
        engine.advance_ms(1498);
        assert_eq!(engine.run(&["PTTL", "k"]), "(integer) 1");
        assert_eq!(engine.run(&["TTL", "k"]), "(integer) 0");
        engine.advance_ms(1);
        // The very millisecond belongs to the key still.
        assert_eq!(engine.run(&["PTTL", "k"]), "(integer) 0");
        engine.advance_ms(1);
        assert_eq!(engine.run(&["TTL", "k"]), "(integer) -2");
        assert_eq!(engine.run(&["GET", "k"]), "(nil)");
    }
}
