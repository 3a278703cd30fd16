//! Commands that read a part of a string: GETRANGE and its old name SUBSTR.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::integer_argument;
use crate::command::context::Context;
use crate::command::error::{CommandError, WRONG_TYPE};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::{key_specs, lookup};
use crate::resp::args::Args;
use crate::resp::reply::BY_REFERENCE_MIN;
use crate::types::string::StringRef;

/// `GETRANGE`
pub(super) static GETRANGE: Command = Command {
    name: "getrange",
    full_name: "getrange",
    summary: "Answers a part of a string, given by its first and last offset.",
    since: "2.4.0",
    group: "string",
    complexity: "O(N), N being the bytes answered; short answers cost the same as O(1).",
    arity: 4,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::STRING).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("start", ArgKind::Integer), ArgSpec::new("end", ArgKind::Integer)],
    handler: Some(getrange),
    ..Command::BLANK
};

/// `SUBSTR`
pub(super) static SUBSTR: Command = Command {
    name: "substr",
    full_name: "substr",
    summary: "Answers a part of a string, given by its first and last offset.",
    since: "1.0.0",
    group: "string",
    complexity: "O(N), N being the bytes answered; short answers cost the same as O(1).",
    arity: 4,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::STRING).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    deprecated: Some(("2.0.0", "`GETRANGE`")),
    args: &[ArgSpec::key("key", 0), ArgSpec::new("start", ArgKind::Integer), ArgSpec::new("end", ArgKind::Integer)],
    handler: Some(getrange),
    ..Command::BLANK
};

fn getrange(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (start, end) = (integer_argument(args, 2)?, integer_argument(args, 3)?);
    let Some(entry) = lookup::read(ctx.state, ctx.session, args.get(1), ctx.first_key_hash) else {
        ctx.reply.bulk(b"");
        return Ok(());
    };
    match entry.as_string().map_err(|_| WRONG_TYPE)? {
        StringRef::Int(number) => {
            let mut text = itoa::Buffer::new();
            let text = text.format(number).as_bytes();
            ctx.reply.bulk(&text[clamp(start, end, text.len())]);
        }
        StringRef::Bytes(bytes) => ctx.reply.bulk(&bytes[clamp(start, end, bytes.len())]),
        StringRef::Shared(bytes) => {
            let part = clamp(start, end, bytes.len());
            if part.len() >= BY_REFERENCE_MIN {
                ctx.reply.bulk_shared(&bytes.slice(part));
            } else {
                ctx.reply.bulk(&bytes[part]);
            }
        }
    }
    Ok(())
}

/// The bytes between two offsets, both included; negative ones count from the end. An end before the first byte means
/// the first byte, unless both offsets are negative and out of order.
fn clamp(start: i64, end: i64, len: usize) -> Range<usize> {
    if len == 0 || (start < 0 && end < 0 && start > end) {
        return 0..0;
    }
    let len = len as i64;
    let from_front = |offset: i64| if offset < 0 { (len + offset).max(0) } else { offset };
    let (first, last) = (from_front(start), from_front(end).min(len - 1));
    if first > last { 0..0 } else { first as usize..last as usize + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::transcript::replay;

    #[test]
    fn offsets_are_clamped() {
        assert_eq!(clamp(0, 3, 16), 0..4);
        assert_eq!(clamp(-3, -1, 16), 13..16);
        assert_eq!(clamp(0, -1, 16), 0..16);
        assert_eq!(clamp(10, 100, 16), 10..16);
        assert_eq!(clamp(-1, -5, 16), 0..0);
        assert_eq!(clamp(5, 2, 16), 0..0);
        assert_eq!(clamp(-100, 3, 16), 0..4);
        assert_eq!(clamp(-100, -200, 16), 0..0);
        assert_eq!(clamp(0, -200, 16), 0..1);
        assert_eq!(clamp(0, -1, 0), 0..0);
        assert_eq!(clamp(i64::MAX, i64::MAX, 16), 0..0);
        assert_eq!(clamp(i64::MIN, i64::MAX, 16), 0..16);
    }

    #[test]
    fn getrange_takes_both_ends() {
        replay(
            r#"
            > SET k "This is a string"
            OK
            > GETRANGE k 0 3
            "This"
            > GETRANGE k -3 -1
            "ing"
            > GETRANGE k 0 -1
            "This is a string"
            > GETRANGE k 10 100
            "string"
            > GETRANGE k 0 -200
            "T"
            > SUBSTR k 5 6
            "is"
            > SET k 12345
            OK
            > GETRANGE k 1 2
            "23"
            > GETRANGE missing 0 -1
            ""
            "#,
        );
    }

    #[test]
    fn getrange_looks_at_its_numbers_first() {
        replay(
            r#"
            > GETRANGE missing a 1
            (error) ERR value is not an integer or out of range
            > GETRANGE missing 0 b
            (error) ERR value is not an integer or out of range
            > GETRANGE missing 0
            (error) ERR wrong number of arguments for 'getrange' command
            "#,
        );
    }
}
