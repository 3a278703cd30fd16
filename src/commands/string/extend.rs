//! Commands that change a part of a string: APPEND and SETRANGE.

#![forbid(unsafe_code)]

use super::{TOO_LONG, argument_value, integer_argument};
use crate::command::context::Context;
use crate::command::error::{CommandError, WRONG_TYPE};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::command::state::State;
use crate::commands::key_specs;
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;

/// `APPEND`
pub(super) static APPEND: Command = Command {
    name: "append",
    full_name: "append",
    summary: "Adds bytes to the end of a string, creating it where there is none.",
    since: "2.0.0",
    group: "string",
    complexity: "O(1) when spread over many calls; the string grows by more than is asked for.",
    arity: 3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::STRING).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::INSERT))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("value", ArgKind::String)],
    handler: Some(append),
    ..Command::BLANK
};

/// `SETRANGE`
pub(super) static SETRANGE: Command = Command {
    name: "setrange",
    full_name: "setrange",
    summary: "Overwrites a part of a string from an offset on, filling any gap with zero bytes.",
    since: "2.2.0",
    group: "string",
    complexity: "O(M), M being the bytes written; O(1) for short ones.",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::STRING).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("offset", ArgKind::Integer), ArgSpec::new("value", ArgKind::String)],
    handler: Some(setrange),
    ..Command::BLANK
};

fn append(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (key, tail, hash, now_ms) = (args.get(1), args.get(2), ctx.first_key_hash, ctx.now_ms());
    let len_max = string_len_max(ctx.state);
    let mut string = ctx.db().string_mut(key, hash, now_ms).map_err(|_| WRONG_TYPE)?;
    let is_new = string.current().is_none();
    let len = if is_new {
        string.set(argument_value(args, 2));
        tail.len()
    } else {
        check_len(string.len(), tail.len(), len_max)?;
        string.append(tail)
    };
    changed(ctx, key, is_new, "append", len);
    Ok(())
}

fn setrange(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let offset = usize::try_from(integer_argument(args, 2)?).map_err(|_| OFFSET_OUT_OF_RANGE)?;
    let (key, bytes, hash, now_ms) = (args.get(1), args.get(3), ctx.first_key_hash, ctx.now_ms());
    let len_max = string_len_max(ctx.state);
    let mut string = ctx.db().string_mut(key, hash, now_ms).map_err(|_| WRONG_TYPE)?;
    if bytes.is_empty() {
        // Nothing to write: neither the offset nor the length matters.
        let len = string.len();
        ctx.reply.integer(len as i64);
        return Ok(());
    }
    check_len(offset, bytes.len(), len_max)?;
    let is_new = string.current().is_none();
    let len = string.set_range(offset, bytes);
    changed(ctx, key, is_new, "setrange", len);
    Ok(())
}

const OFFSET_OUT_OF_RANGE: CommandError = CommandError::fixed("offset is out of range");

/// The longest string that commands may build, in bytes.
fn string_len_max(state: &State) -> usize {
    usize::try_from(state.config.proto_max_bulk_len).unwrap_or(usize::MAX)
}

/// Refuses a string of `len` and `more` bytes where that is too long.
fn check_len(len: usize, more: usize, len_max: usize) -> Result<(), CommandError> {
    match len.checked_add(more) {
        Some(total) if total <= len_max => Ok(()),
        _ => Err(TOO_LONG),
    }
}

/// Ends a command that changed `key`, or made it, and answers the string's new length.
fn changed(ctx: &mut Context<'_>, key: &[u8], is_new: bool, event: &str, len: usize) {
    ctx.stored(is_new, KeyspaceEvents::STRING, event, key);
    ctx.state.stats.dirty += 1;
    ctx.reply.integer(len as i64);
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;
    use crate::config::Config;
    use crate::engine::Engine;

    #[test]
    fn append_makes_and_grows() {
        replay(
            r#"
            > APPEND k Hello
            (integer) 5
            > APPEND k " World"
            (integer) 11
            > GET k
            "Hello World"
            > APPEND k ""
            (integer) 11
            > APPEND empty ""
            (integer) 0
            > EXISTS empty
            (integer) 1
            > SET n 12
            OK
            > APPEND n 3
            (integer) 3
            > GET n
            "123"
            > INCR n
            (integer) 124
            "#,
        );
    }

    #[test]
    fn append_keeps_the_expiry_time() {
        replay(
            r#"
            > SET k a EX 100
            OK
            > APPEND k b
            (integer) 2
            > TTL k
            (integer) 100
            "#,
        );
    }

    #[test]
    fn setrange_overwrites_and_fills_with_zeros() {
        replay(
            r#"
            > SET k "Hello World"
            OK
            > SETRANGE k 6 Redis
            (integer) 11
            > GET k
            "Hello Redis"
            > SETRANGE gap 3 abc
            (integer) 6
            > GET gap
            "\x00\x00\x00abc"
            > SET n 12345
            OK
            > SETRANGE n 0 9
            (integer) 5
            > GET n
            "92345"
            > SETRANGE missing 5 ""
            (integer) 0
            > EXISTS missing
            (integer) 0
            > SETRANGE k 0 ""
            (integer) 11
            "#,
        );
    }

    #[test]
    fn strings_have_a_longest_length() {
        replay(
            r#"
            > SET k v
            OK
            > SETRANGE k 536870911 xx
            (error) ERR string exceeds maximum allowed size (proto-max-bulk-len)
            > SETRANGE k 536870912 x
            (error) ERR string exceeds maximum allowed size (proto-max-bulk-len)
            > SETRANGE missing 9223372036854775807 x
            (error) ERR string exceeds maximum allowed size (proto-max-bulk-len)
            > SETRANGE k 9223372036854775807 ""
            (integer) 1
            > SETRANGE k -1 x
            (error) ERR offset is out of range
            > SETRANGE k ten x
            (error) ERR value is not an integer or out of range
            > GET k
            "v"
            "#,
        );
    }

    #[test]
    fn the_longest_length_is_configured() {
        let config = Config { proto_max_bulk_len: 1 << 20, ..Config::default() };
        let mut engine = Engine::for_console_with(config);
        let too_long = "(error) ERR string exceeds maximum allowed size (proto-max-bulk-len)";
        assert_eq!(engine.run(&["SETRANGE", "k", "1048575", "ab"]), too_long);
        assert_eq!(engine.run(&["SETRANGE", "k", "1048575", "a"]), "(integer) 1048576");
        assert_eq!(engine.run(&["APPEND", "k", "a"]), too_long);
        assert_eq!(engine.run(&["APPEND", "k", ""]), "(integer) 1048576");
    }

    #[test]
    fn lengths_on_both_sides_of_every_layout() {
        let mut engine = Engine::for_console();
        let mut expected = String::new();
        for piece in [1, 10, 60, 440, 1, 1, 30_000, 1].map(|len| "abcdefghij".repeat(len)) {
            expected.push_str(&piece);
            assert_eq!(engine.run(&["APPEND", "k", &piece]), format!("(integer) {}", expected.len()));
            let end = expected.len() - 1;
            expected.replace_range(end.., "Z");
            let set = engine.run(&["SETRANGE", "k", &end.to_string(), "Z"]);
            assert_eq!(set, format!("(integer) {}", expected.len()));
            assert_eq!(engine.run(&["GET", "k"]), format!("\"{expected}\""));
        }
    }
}
