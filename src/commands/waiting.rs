//! WAIT and WAITAOF: waiting until earlier writes are safe elsewhere. This server has neither replicas nor an append-only
//! file, so what is asked for is there at once or never. Main thread.

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::base::integer::parse_i64;
use crate::base::long_double::LongDouble;
use crate::blocking::Waiting;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags};
use crate::resp::args::Args;

/// The commands of this file.
pub static COMMANDS: &[&Command] = &[&WAIT, &WAITAOF];

const CATEGORIES: Categories = Categories::SLOW.union(Categories::BLOCKING).union(Categories::CONNECTION);

/// `WAIT`.
static WAIT: Command = Command {
    name: "wait",
    full_name: "wait",
    summary: "Waits until so many replicas have received what this connection wrote.",
    since: "3.0.0",
    group: "generic",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::BLOCKING,
    categories: CATEGORIES,
    tips: &["request_policy:all_shards", "response_policy:agg_min"],
    args: &[ArgSpec::new("numreplicas", ArgKind::Integer), ArgSpec::new("timeout", ArgKind::Integer)],
    handler: Some(wait),
    ..Command::BLANK
};

/// `WAITAOF`.
static WAITAOF: Command = Command {
    name: "waitaof",
    full_name: "waitaof",
    summary: "Waits until what this connection wrote is in the append-only files of the server and of so many replicas.",
    since: "7.2.0",
    group: "generic",
    complexity: "O(1)",
    arity: 4,
    flags: Flags::BLOCKING,
    categories: CATEGORIES,
    tips: &["request_policy:all_shards", "response_policy:agg_min"],
    args: &[
        ArgSpec::new("numlocal", ArgKind::Integer),
        ArgSpec::new("numreplicas", ArgKind::Integer),
        ArgSpec::new("timeout", ArgKind::Integer),
    ],
    handler: Some(waitaof),
    ..Command::BLANK
};

const NO_AOF: CommandError =
    CommandError::fixed("WAITAOF cannot be used when numlocal is set but appendonly is disabled.");
const NOT_LOCAL: CommandError = CommandError::fixed("value is out of range, value must between 0 and 1");
const NOT_POSITIVE: CommandError = CommandError::fixed("value is out of range, must be positive");

/// A timeout in milliseconds whose end a clock can show.
pub(crate) fn parse_timeout_ms(text: &[u8], now_ms: i64) -> Result<i64, CommandError> {
    let timeout_ms = parse_i64(text).ok_or(CommandError::fixed("timeout is not an integer or out of range"))?;
    if timeout_ms < 0 {
        return Err(CommandError::fixed("timeout is negative"));
    }
    if now_ms.checked_add(timeout_ms).is_none() {
        return Err(CommandError::fixed("timeout is out of range"));
    }
    Ok(timeout_ms)
}

/// A timeout in seconds, with a fraction, as milliseconds.
pub(crate) fn timeout_ms(text: &[u8], now_ms: i64) -> Result<i64, CommandError> {
    const OUT_OF_RANGE: CommandError = CommandError::fixed("timeout is out of range");
    let seconds = LongDouble::parse(text).filter(|seconds| !seconds.is_nan());
    let seconds = seconds.ok_or(CommandError::fixed("timeout is not a float or out of range"))?;
    let timeout_ms = (seconds.to_f64() * 1000.0).ceil();
    if timeout_ms >= i64::MAX as f64 {
        return Err(OUT_OF_RANGE);
    }
    if timeout_ms < 0.0 {
        return Err(CommandError::fixed("timeout is negative"));
    }
    now_ms.checked_add(timeout_ms as i64).map(|_| timeout_ms as i64).ok_or(OUT_OF_RANGE)
}

/// There is nothing to take: the client waits, unless it must not. Returns whether it does.
pub(crate) fn wait_for_keys(ctx: &mut Context<'_>, args: Args<'_>, keys: Range<usize>, timeout_ms: i64) -> bool {
    if ctx.session.denies_blocking() {
        return false;
    }
    let keys = keys.map(|index| args.get(index));
    ctx.state.block_on_keys(ctx.session, args, keys, timeout_ms);
    true
}

fn wait(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let replicas = parse_i64(args.get(1)).ok_or(NOT_AN_INTEGER)?;
    let timeout_ms = parse_timeout_ms(args.get(2), ctx.now_ms())?;
    if replicas <= 0 || ctx.session.denies_blocking() {
        ctx.reply.integer(0);
        return Ok(());
    }
    ctx.state.block(ctx.session, Waiting::Replicas, args, timeout_ms);
    Ok(())
}

fn waitaof(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let local = parse_i64(args.get(1)).ok_or(NOT_AN_INTEGER)?;
    if !(0..=1).contains(&local) {
        return Err(NOT_LOCAL);
    }
    let replicas = parse_i64(args.get(2)).filter(|&replicas| replicas >= 0).ok_or(NOT_POSITIVE)?;
    let timeout_ms = parse_timeout_ms(args.get(3), ctx.now_ms())?;
    if local > 0 {
        return Err(NO_AOF);
    }
    if replicas == 0 || ctx.session.denies_blocking() {
        ctx.reply.array(2);
        ctx.reply.integer(0);
        ctx.reply.integer(0);
        return Ok(());
    }
    ctx.state.block(ctx.session, Waiting::AppendOnlyFiles, args, timeout_ms);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;
    use crate::engine::Engine;

    #[test]
    fn what_needs_no_waiting_is_answered() {
        replay(
            r#"
            > WAIT 0 0
            (integer) 0
            > WAIT -1 0
            (integer) 0
            > WAIT x 0
            (error) ERR value is not an integer or out of range
            > WAIT 0 x
            (error) ERR timeout is not an integer or out of range
            > WAIT 0 -1
            (error) ERR timeout is negative
            > WAIT 1 9223372036854775807
            (error) ERR timeout is out of range
            > WAITAOF 0 0 0
            1) (integer) 0
            2) (integer) 0
            > WAITAOF 1 0 0
            (error) ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.
            > WAITAOF 2 0 0
            (error) ERR value is out of range, value must between 0 and 1
            > WAITAOF 0 x 0
            (error) ERR value is out of range, must be positive
            > WAITAOF 1 1 -1
            (error) ERR timeout is negative
            > MULTI
            OK
            > WAIT 1 0
            QUEUED
            > EXEC
            1) (integer) 0
            "#,
        );
    }

    #[test]
    fn waiting_ends_by_time_or_by_another_client() {
        let mut engine = Engine::for_console();
        let slots = [0, 1].map(|slot| engine.connect(slot));
        assert_eq!(engine.run_in(slots[0], &["WAIT", "1", "100"]), "");
        assert!(engine.session(slots[0]).is_blocked());
        engine.advance_ms(99);
        engine.run_timers();
        assert!(!engine.state.effects.any());
        engine.advance_ms(1);
        engine.run_timers();
        let effects = engine.state.effects.take();
        assert_eq!((effects.outbox.bytes(), &effects.unblocked[..]), (&b":0\r\n"[..], &slots[..1]));
        assert_eq!(engine.run_in(slots[0], &["WAITAOF", "0", "1", "0"]), "");
        assert_eq!(engine.run_in(slots[1], &["CLIENT", "UNBLOCK", "1"]), "(integer) 1");
        assert_eq!(engine.state.effects.take().outbox.bytes(), b"*2\r\n:0\r\n:0\r\n");
        assert_eq!(engine.run_in(slots[0], &["WAIT", "1", "0"]), "");
        assert_eq!(engine.run_in(slots[1], &["CLIENT", "UNBLOCK", "1", "ERROR"]), "(integer) 1");
        assert_eq!(engine.state.effects.take().outbox.bytes(), b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
        assert_eq!(engine.run_in(slots[1], &["CLIENT", "UNBLOCK", "1"]), "(integer) 0");
        assert_eq!(engine.run_in(slots[0], &["WAIT", "1", "5"]), "");
        engine.client_gone(slots[0]);
        assert!(engine.state.blocking.is_empty());
    }
}
