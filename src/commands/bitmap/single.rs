//! One bit at a time: SETBIT and GETBIT.

#![forbid(unsafe_code)]

use super::{len_max, offset};
use crate::base::bits;
use crate::command::context::Context;
use crate::command::error::{CommandError, WRONG_TYPE};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::{key_specs, lookup};
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;

/// `SETBIT`
pub(super) static SETBIT: Command = Command {
    name: "setbit",
    full_name: "setbit",
    summary: "Sets or clears one bit of a string, filling any gap with zero bytes, and answers what it was.",
    since: "2.2.0",
    group: "bitmap",
    complexity: "O(1)",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::BITMAP).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("offset", ArgKind::Integer), ArgSpec::new("value", ArgKind::Integer)],
    handler: Some(setbit),
    ..Command::BLANK
};

/// `GETBIT`
pub(super) static GETBIT: Command = Command {
    name: "getbit",
    full_name: "getbit",
    summary: "Answers one bit of a string.",
    since: "2.2.0",
    group: "bitmap",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::BITMAP).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("offset", ArgKind::Integer)],
    handler: Some(getbit),
    ..Command::BLANK
};

const BAD_BIT: CommandError = CommandError::fixed("bit is not an integer or out of range");

fn setbit(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let at = offset(args.get(2), len_max(ctx.state))?;
    let on = match args.get(3) {
        b"0" => false,
        b"1" => true,
        _ => return Err(BAD_BIT),
    };
    let (key, hash, now_ms) = (args.get(1), ctx.first_key_hash, ctx.now_ms());
    let mut string = ctx.db().string_mut(key, hash, now_ms).map_err(|_| WRONG_TYPE)?;
    let mut text = itoa::Buffer::new();
    let bytes = string.current().map(|string| string.bytes(&mut text));
    let is_new = bytes.is_none();
    let bytes = bytes.unwrap_or_default();
    let (was, len) = (bits::bit(bytes, at), bits::byte_of(at) + 1);
    if was == on && bytes.len() >= len {
        // As it is: a long string that a reply still refers to is not copied for nothing.
        string.keep_as_raw();
    } else {
        string.edit(len, |bytes| bits::set_bit(bytes, at, on));
        ctx.stored(is_new, KeyspaceEvents::STRING, "setbit", key);
        ctx.state.stats.dirty += 1;
    }
    ctx.reply.integer(i64::from(was));
    Ok(())
}

fn getbit(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let at = offset(args.get(2), len_max(ctx.state))?;
    let mut text = itoa::Buffer::new();
    let bytes = match lookup::read(ctx.state, ctx.session, args.get(1), ctx.first_key_hash) {
        None => &[],
        Some(entry) => entry.as_string().map_err(|_| WRONG_TYPE)?.bytes(&mut text),
    };
    let bit = bits::bit(bytes, at);
    ctx.reply.integer(i64::from(bit));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn bits_are_set_and_read() {
        replay(
            r#"
            > SETBIT k 1 1
            (integer) 0
            > GET k
            "@"
            > SETBIT k 17 1
            (integer) 0
            > SETBIT k 17 1
            (integer) 1
            > SETBIT k 1 0
            (integer) 1
            > GET k
            "\x00\x00@"
            > SETBIT k 40 0
            (integer) 0
            > STRLEN k
            (integer) 6
            > GETBIT k 17
            (integer) 1
            > GETBIT k 4294967295
            (integer) 0
            > GETBIT missing 0
            (integer) 0
            > SET n 12
            OK
            > GETBIT n 2
            (integer) 1
            > SETBIT n 0 0
            (integer) 0
            > OBJECT ENCODING n
            "raw"
            > SETBIT n 6 1
            (integer) 0
            > GET n
            "32"
            "#,
        );
    }

    #[test]
    fn places_and_bits_have_bounds() {
        replay(
            r#"
            > RPUSH l a
            (integer) 1
            > SETBIT l x 1
            (error) ERR bit offset is not an integer or out of range
            > SETBIT l -1 1
            (error) ERR bit offset is not an integer or out of range
            > SETBIT l 4294967296 1
            (error) ERR bit offset is not an integer or out of range
            > SETBIT l 0 2
            (error) ERR bit is not an integer or out of range
            > SETBIT l 0 1
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > GETBIT l 4294967296
            (error) ERR bit offset is not an integer or out of range
            > GETBIT l 0
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    }

    #[test]
    fn the_longest_string_is_that_of_the_configuration() {
        replay(
            r#"
            > CONFIG SET proto-max-bulk-len 1mb
            OK
            > SETBIT k 8388608 1
            (error) ERR bit offset is not an integer or out of range
            > SETBIT k 8388607 1
            (integer) 0
            > STRLEN k
            (integer) 1048576
            "#,
        );
    }
}
