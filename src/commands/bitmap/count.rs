//! Counting bits and finding the first: BITCOUNT and BITPOS.

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::base::bits;
use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER, SYNTAX, WRONG_TYPE};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::{key_specs, lookup};
use crate::resp::args::Args;

const UNIT: ArgSpec = ArgSpec::new("unit", ArgKind::OneOf)
    .optional()
    .since("7.0.0")
    .children(&[ArgSpec::pure_token("byte", "BYTE"), ArgSpec::pure_token("bit", "BIT")]);

/// `BITCOUNT`
pub(super) static BITCOUNT: Command = Command {
    name: "bitcount",
    full_name: "bitcount",
    summary: "Counts the bits of a string, or of a part of it, that are set.",
    since: "2.6.0",
    group: "bitmap",
    complexity: "O(N)",
    arity: -2,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::BITMAP).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    history: &[("7.0.0", "The words `BYTE` and `BIT` came.")],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("range", ArgKind::Block).optional().children(&[
            ArgSpec::new("start", ArgKind::Integer),
            ArgSpec::new("end", ArgKind::Integer),
            UNIT,
        ]),
    ],
    handler: Some(bitcount),
    ..Command::BLANK
};

/// `BITPOS`
pub(super) static BITPOS: Command = Command {
    name: "bitpos",
    full_name: "bitpos",
    summary: "Answers where the first bit of a string is that is set, or that is clear.",
    since: "2.8.7",
    group: "bitmap",
    complexity: "O(N)",
    arity: -3,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::BITMAP).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    history: &[("7.0.0", "The words `BYTE` and `BIT` came.")],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("bit", ArgKind::Integer),
        ArgSpec::new("range", ArgKind::Block).optional().children(&[
            ArgSpec::new("start", ArgKind::Integer),
            ArgSpec::new("end-unit-block", ArgKind::Block)
                .optional()
                .children(&[ArgSpec::new("end", ArgKind::Integer), UNIT]),
        ]),
    ],
    handler: Some(bitpos),
    ..Command::BLANK
};

const NO_BIT: CommandError = CommandError::fixed("The bit argument must be 1 or 0.");

/// A part of a string by its first and last byte, or bit; negative ones count from the end.
#[derive(Clone, Copy)]
struct Span {
    start: i64,
    end: i64,
    in_bits: bool,
}

impl Span {
    const ALL: Span = Span { start: 0, end: -1, in_bits: false };

    /// The bits of a string of `len` bytes.
    fn within(self, len: usize) -> Range<u64> {
        let unit = if self.in_bits { 1 } else { 8 };
        let count = len as i64 * 8 / unit;
        let from_front = |at: i64| if at < 0 { (count + at).max(0) } else { at };
        let (start, end) = (from_front(self.start), from_front(self.end).min(count - 1));
        if start > end { 0..0 } else { (start * unit) as u64..((end + 1) * unit) as u64 }
    }
}

fn index(args: Args<'_>, at: usize) -> Result<i64, CommandError> {
    parse_i64(args.get(at)).ok_or(NOT_AN_INTEGER)
}

/// Whether the word for units, if there is one, says bits.
fn in_bits(args: Args<'_>, at: usize) -> Result<bool, CommandError> {
    match at < args.len() {
        true if args.get(at).eq_ignore_ascii_case(b"BIT") => Ok(true),
        true if !args.get(at).eq_ignore_ascii_case(b"BYTE") => Err(SYNTAX),
        _ => Ok(false),
    }
}

fn bitcount(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let span = match args.len() {
        2 => Span::ALL,
        4 | 5 => Span { start: index(args, 2)?, end: index(args, 3)?, in_bits: in_bits(args, 4)? },
        _ => return Err(SYNTAX),
    };
    let mut text = itoa::Buffer::new();
    let count = match lookup::read(ctx.state, ctx.session, args.get(1), ctx.first_key_hash) {
        None => 0,
        Some(entry) => {
            let bytes = entry.as_string().map_err(|_| WRONG_TYPE)?.bytes(&mut text);
            // Before both are cut to the string, or two that lie in front of it would be its first byte.
            let is_backwards = span.start < 0 && span.end < 0 && span.start > span.end;
            if is_backwards { 0 } else { bits::count_ones_in(bytes, span.within(bytes.len())) }
        }
    };
    ctx.reply.integer(count as i64);
    Ok(())
}

fn bitpos(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let wanted = match index(args, 2)? {
        0 => false,
        1 => true,
        _ => return Err(NO_BIT),
    };
    let has_end = args.len() >= 5;
    let span = match args.len() {
        3 => Span::ALL,
        4 => Span { start: index(args, 3)?, ..Span::ALL },
        5 | 6 => {
            // Redis looks at the unit before the end.
            let (start, in_bits) = (index(args, 3)?, in_bits(args, 5)?);
            Span { start, end: index(args, 4)?, in_bits }
        }
        _ => return Err(SYNTAX),
    };
    let mut text = itoa::Buffer::new();
    let found = match lookup::read(ctx.state, ctx.session, args.get(1), ctx.first_key_hash) {
        // No string is one of zeros without end.
        None => (!wanted).then_some(0),
        Some(entry) => {
            let bytes = entry.as_string().map_err(|_| WRONG_TYPE)?.bytes(&mut text);
            let range = span.within(bytes.len());
            // And so is what follows a string whose end is not given.
            let behind = (!wanted && !has_end && !range.is_empty()).then_some(range.end);
            bits::position(bytes, wanted, range).or(behind)
        }
    };
    ctx.reply.integer(found.map_or(-1, |at| at as i64));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::transcript::replay;

    #[test]
    fn parts_are_cut_to_the_string() {
        let within = |start, end, in_bits, len| Span { start, end, in_bits }.within(len);
        assert_eq!(within(0, -1, false, 3), 0..24);
        assert_eq!(within(0, -1, true, 3), 0..24);
        assert_eq!(within(1, 1, false, 3), 8..16);
        assert_eq!(within(-1, i64::MAX, true, 3), 23..24);
        assert_eq!(within(i64::MIN, i64::MIN, false, 3), 0..8);
        assert_eq!(within(3, -1, false, 3), 0..0);
        assert_eq!(within(0, -1, false, 0), 0..0);
        assert_eq!(within(i64::MAX, i64::MAX, true, 3), 0..0);
    }

    #[test]
    fn set_bits_are_counted() {
        replay(
            r#"
            > SET s foobar
            OK
            > BITCOUNT s
            (integer) 26
            > BITCOUNT s 0 0
            (integer) 4
            > BITCOUNT s 1 1 byte
            (integer) 6
            > BITCOUNT s 5 30 BIT
            (integer) 17
            > BITCOUNT s -2 -1
            (integer) 7
            > BITCOUNT s -100 -200
            (integer) 0
            > BITCOUNT s 0 -100
            (integer) 4
            > BITCOUNT missing
            (integer) 0
            > SET n 1234
            OK
            > BITCOUNT n
            (integer) 13
            > BITCOUNT s 0
            (error) ERR syntax error
            > BITCOUNT s 0 x foo
            (error) ERR value is not an integer or out of range
            > BITCOUNT s 0 1 foo
            (error) ERR syntax error
            > BITCOUNT missing x y
            (error) ERR value is not an integer or out of range
            > RPUSH l a
            (integer) 1
            > BITCOUNT l
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    }

    #[test]
    fn the_first_bit_is_found() {
        replay(
            r#"
            > SET s foobar
            OK
            > BITPOS s 1
            (integer) 1
            > BITPOS s 1 -1
            (integer) 41
            > BITPOS s 0 2 4 BIT
            (integer) 3
            > BITPOS s 1 0 0 BIT
            (integer) -1
            > BITPOS s 1 -100 -200
            (integer) 1
            > BITPOS s 1 -1 -2
            (integer) -1
            > BITPOS missing 0 5 3
            (integer) 0
            > BITPOS missing 1
            (integer) -1
            > SET ones "\xff\xff\xff"
            OK
            > BITPOS ones 0
            (integer) 24
            > BITPOS ones 0 2
            (integer) 24
            > BITPOS ones 0 0 -1
            (integer) -1
            > BITPOS ones 0 3
            (integer) -1
            > SET empty ""
            OK
            > BITPOS empty 0
            (integer) -1
            "#,
        );
    }

    #[test]
    fn bitpos_looks_at_its_arguments_in_redis_order() {
        replay(
            r#"
            > RPUSH l a
            (integer) 1
            > BITPOS l x
            (error) ERR value is not an integer or out of range
            > BITPOS l 2 x
            (error) ERR The bit argument must be 1 or 0.
            > BITPOS l 1 x 0 foo
            (error) ERR value is not an integer or out of range
            > BITPOS l 1 0 x foo
            (error) ERR syntax error
            > BITPOS l 1 0 x bit
            (error) ERR value is not an integer or out of range
            > BITPOS l 1 0 0 bit x
            (error) ERR syntax error
            > BITPOS l 1
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    }
}
