//! Numbers of 1 to 64 bits at any place of a string: BITFIELD and BITFIELD_RO.

#![forbid(unsafe_code)]

use super::{BAD_OFFSET, len_max, offset, within};
use crate::base::bits;
use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER, SYNTAX, WRONG_TYPE, c_text};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, FoundKey, KeyFlags};
use crate::commands::{key_specs, lookup};
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;
use crate::resp::reply::Reply;

/// `BITFIELD`
pub(super) static BITFIELD: Command = Command {
    name: "bitfield",
    full_name: "bitfield",
    summary: "Reads, sets and increments numbers of any width within a string.",
    since: "3.2.0",
    group: "bitmap",
    complexity: "O(1) for each number",
    arity: -2,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::BITMAP).union(Categories::SLOW),
    key_specs: &[key_specs::noted(
        key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE).union(KeyFlags::VARIABLE_FLAGS)),
        "RW and UPDATE only with `SET` or `INCRBY`.",
    )],
    key_finder: Some(bitfield_keys),
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("operation", ArgKind::OneOf).optional().multiple().children(&[
            GET_BLOCK,
            ArgSpec::new("write", ArgKind::Block).children(&[
                ArgSpec::new("overflow-block", ArgKind::OneOf).token("OVERFLOW").optional().children(&[
                    ArgSpec::pure_token("wrap", "WRAP"),
                    ArgSpec::pure_token("sat", "SAT"),
                    ArgSpec::pure_token("fail", "FAIL"),
                ]),
                ArgSpec::new("write-operation", ArgKind::OneOf).children(&[
                    ArgSpec::new("set-block", ArgKind::Block).token("SET").children(&[
                        ArgSpec::new("encoding", ArgKind::String),
                        ArgSpec::new("offset", ArgKind::Integer),
                        ArgSpec::new("value", ArgKind::Integer),
                    ]),
                    ArgSpec::new("incrby-block", ArgKind::Block).token("INCRBY").children(&[
                        ArgSpec::new("encoding", ArgKind::String),
                        ArgSpec::new("offset", ArgKind::Integer),
                        ArgSpec::new("increment", ArgKind::Integer),
                    ]),
                ]),
            ]),
        ]),
    ],
    handler: Some(bitfield),
    ..Command::BLANK
};

/// `BITFIELD_RO`
pub(super) static BITFIELD_RO: Command = Command {
    name: "bitfield_ro",
    full_name: "bitfield_ro",
    summary: "Reads numbers of any width within a string.",
    since: "6.0.0",
    group: "bitmap",
    complexity: "O(1) for each number",
    arity: -2,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::BITMAP).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0), GET_BLOCK.optional().multiple().multiple_token()],
    handler: Some(bitfield_ro),
    ..Command::BLANK
};

const GET_BLOCK: ArgSpec = ArgSpec::new("get-block", ArgKind::Block)
    .token("GET")
    .children(&[ArgSpec::new("encoding", ArgKind::String), ArgSpec::new("offset", ArgKind::Integer)]);

const BAD_TYPE: CommandError =
    CommandError::fixed("Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.");
const BAD_OVERFLOW: CommandError = CommandError::fixed("Invalid OVERFLOW type specified");
const GET_ONLY: CommandError = CommandError::fixed("BITFIELD_RO only supports the GET subcommand");

/// What becomes of a number that has no place in its field.
#[derive(Clone, Copy)]
enum Overflow {
    Wrap,
    Saturate,
    Fail,
}

/// How the bits of a number are read.
#[derive(Clone, Copy)]
struct Field {
    is_signed: bool,
    width: u32,
}

impl Field {
    fn parse(text: &[u8]) -> Option<Field> {
        // What follows a NUL is not looked at.
        let (is_signed, digits) = match c_text(text, usize::MAX) {
            [b'i', digits @ ..] => (true, digits),
            [b'u', digits @ ..] => (false, digits),
            _ => return None,
        };
        let width_max = if is_signed { 64 } else { 63 };
        let width = parse_i64(digits).filter(|width| (1..=width_max).contains(width))?;
        Some(Field { is_signed, width: width as u32 })
    }

    fn read(self, bytes: &[u8], at: u64) -> i64 {
        let number = bits::number(bytes, at, self.width);
        if self.is_signed { self.low_bits(number) } else { number as i64 }
    }

    /// What the lowest bits of a number stand for in this field.
    fn low_bits(self, number: u64) -> i64 {
        let unused = 64 - self.width;
        if self.is_signed { (number << unused) as i64 >> unused } else { (number << unused >> unused) as i64 }
    }

    /// What Redis takes a value of SET for. In a field without sign a negative one is great. In one with a sign so is one
    /// that lies further below the greatest than 64 bits can say, which is what saturation shows.
    fn given(self, value: i64) -> i128 {
        let number = i128::from(value);
        match self.is_signed {
            false => i128::from(value as u64),
            true if self.width < 64 && (1i128 << (self.width - 1)) - 1 - number > i128::from(i64::MAX) => {
                number + (1i128 << 64)
            }
            true => number,
        }
    }

    /// What is stored for a number of any size; `None` where it has no place and that is a failure.
    fn fit(self, number: i128, overflow: Overflow) -> Option<i64> {
        let (least, greatest) = if self.is_signed {
            (-1i128 << (self.width - 1), (1i128 << (self.width - 1)) - 1)
        } else {
            (0, (1i128 << self.width) - 1)
        };
        match overflow {
            _ if (least..=greatest).contains(&number) => Some(number as i64),
            Overflow::Wrap => Some(self.low_bits(number as u64)),
            Overflow::Saturate => Some(number.clamp(least, greatest) as i64),
            Overflow::Fail => None,
        }
    }
}

/// What is done with one number.
#[derive(Clone, Copy)]
enum Action {
    Get,
    Set(i64),
    IncrBy(i64),
}

#[derive(Clone, Copy)]
struct Step {
    field: Field,
    at: u64,
    action: Action,
    overflow: Overflow,
}

/// Reads the steps of a request one by one, so that nothing is allocated for them: once to find what is wrong with any,
/// and once to take them.
#[derive(Clone, Copy)]
struct Steps<'a> {
    args: Args<'a>,
    next: usize,
    overflow: Overflow,
    len_max: u64,
}

impl<'a> Steps<'a> {
    fn new(args: Args<'a>, len_max: u64) -> Steps<'a> {
        Steps { args, next: 2, overflow: Overflow::Wrap, len_max }
    }

    fn next(&mut self) -> Result<Option<Step>, CommandError> {
        while self.next < self.args.len() {
            let (word, first) = (self.args.get(self.next), self.next + 1);
            let takes = |name: &str, count: usize| {
                word.eq_ignore_ascii_case(name.as_bytes()) && self.args.len() - first >= count
            };
            if takes("OVERFLOW", 1) {
                self.overflow = overflow(self.args.get(first))?;
                self.next += 2;
                continue;
            }
            let (count, action) = match () {
                _ if takes("GET", 2) => (2, None),
                _ if takes("SET", 3) => (3, Some(Action::Set as fn(i64) -> Action)),
                _ if takes("INCRBY", 3) => (3, Some(Action::IncrBy as fn(i64) -> Action)),
                _ => return Err(SYNTAX),
            };
            let field = Field::parse(self.args.get(first)).ok_or(BAD_TYPE)?;
            let at = field_offset(self.args.get(first + 1), field, self.len_max)?;
            let action = match action {
                None => Action::Get,
                Some(action) => action(parse_i64(self.args.get(first + 2)).ok_or(NOT_AN_INTEGER)?),
            };
            self.next = first + count;
            return Ok(Some(Step { field, at, action, overflow: self.overflow }));
        }
        Ok(None)
    }
}

fn overflow(word: &[u8]) -> Result<Overflow, CommandError> {
    let words = [("WRAP", Overflow::Wrap), ("SAT", Overflow::Saturate), ("FAIL", Overflow::Fail)];
    let known = words.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
    known.map(|(_, overflow)| overflow).ok_or(BAD_OVERFLOW)
}

/// The place of a field: a bit, or behind `#` how many fields lie in front of it. That product wraps around.
fn field_offset(text: &[u8], field: Field, len_max: u64) -> Result<u64, CommandError> {
    match text {
        [b'#', index @ ..] => {
            let index = parse_i64(index).ok_or(BAD_OFFSET)?;
            within(index.wrapping_mul(i64::from(field.width)), len_max)
        }
        _ => offset(text, len_max),
    }
}

/// What all steps of a request come to.
#[derive(Default)]
struct Plan {
    count: usize,
    /// How long the string has to be for all that is written; `None` where nothing is.
    len: Option<usize>,
}

impl Plan {
    fn read(mut steps: Steps<'_>) -> Result<Plan, CommandError> {
        let mut plan = Plan::default();
        while let Some(step) = steps.next()? {
            plan.count += 1;
            if !matches!(step.action, Action::Get) {
                let len = bits::byte_of(step.at + u64::from(step.field.width) - 1) + 1;
                plan.len = plan.len.max(Some(len));
            }
        }
        Ok(plan)
    }
}

/// A request that only reads needs no permission to write. One that is wrong is taken for one that writes.
fn bitfield_keys(args: Args<'_>, found: &mut Vec<FoundKey>) -> Result<(), CommandError> {
    let mut reads_only = true;
    let mut at = 2;
    while at < args.len() {
        let left = args.len() - at - 1;
        let takes = |name: &str, count: usize| args.get(at).eq_ignore_ascii_case(name.as_bytes()) && left >= count;
        at += match () {
            _ if takes("GET", 2) => 3,
            _ if takes("OVERFLOW", 1) => 2,
            _ => {
                reads_only = false;
                break;
            }
        };
    }
    let flags = if reads_only {
        KeyFlags::RO.union(KeyFlags::ACCESS)
    } else {
        KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE)
    };
    found.push(FoundKey { index: 1, flags });
    Ok(())
}

fn bitfield(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let steps = Steps::new(args, len_max(ctx.state));
    let plan = Plan::read(steps)?;
    match plan.len {
        None => read_all(ctx, args, steps, plan.count),
        Some(len) => change(ctx, args, steps, plan.count, len),
    }
}

fn bitfield_ro(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let steps = Steps::new(args, len_max(ctx.state));
    let plan = Plan::read(steps)?;
    if plan.len.is_some() { Err(GET_ONLY) } else { read_all(ctx, args, steps, plan.count) }
}

fn read_all(ctx: &mut Context<'_>, args: Args<'_>, mut steps: Steps<'_>, count: usize) -> Result<(), CommandError> {
    let mut text = itoa::Buffer::new();
    let bytes = match lookup::read(ctx.state, ctx.session, args.get(1), ctx.first_key_hash) {
        None => &[],
        Some(entry) => entry.as_string().map_err(|_| WRONG_TYPE)?.bytes(&mut text),
    };
    ctx.reply.array(count);
    while let Some(step) = steps.next()? {
        ctx.reply.integer(step.field.read(bytes, step.at));
    }
    Ok(())
}

fn change(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    steps: Steps<'_>,
    count: usize,
    len: usize,
) -> Result<(), CommandError> {
    let (key, hash, now_ms) = (args.get(1), ctx.first_key_hash, ctx.now_ms());
    let mut string = ctx.state.keyspace.db_mut(ctx.session.db).string_mut(key, hash, now_ms).map_err(|_| WRONG_TYPE)?;
    let is_new = string.current().is_none();
    let grows = string.len() < len;
    ctx.reply.array(count);
    let changes = string.edit(len, |bytes| take(steps, bytes, grows, ctx.reply));
    if changes > 0 {
        ctx.stored(is_new, KeyspaceEvents::STRING, "setbit", key);
        ctx.state.stats.dirty += changes;
    } else if is_new {
        // Every step failed, and yet the key is there.
        ctx.announce(KeyspaceEvents::NEW, "new", key);
    }
    Ok(())
}

/// Takes all steps and answers each. Returns how many changed something; where the string grew, every one that did not
/// fail counts.
fn take(mut steps: Steps<'_>, bytes: &mut [u8], grows: bool, reply: &mut Reply) -> u64 {
    let mut changes = 0;
    // What is wrong with a step was found before.
    while let Ok(Some(Step { field, at, action, overflow })) = steps.next() {
        let before = field.read(bytes, at);
        let wanted = match action {
            Action::Get => {
                reply.integer(before);
                continue;
            }
            Action::Set(value) => field.given(value),
            Action::IncrBy(value) => i128::from(before) + i128::from(value),
        };
        let Some(after) = field.fit(wanted, overflow) else {
            reply.null();
            continue;
        };
        reply.integer(if matches!(action, Action::Set(_)) { before } else { after });
        if after != before || grows {
            bits::set_number(bytes, at, field.width, after as u64);
            changes += 1;
        }
    }
    changes
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::transcript::{replay, replay_resp3};

    #[test]
    fn types_are_a_letter_and_a_width() {
        for (text, expected) in [
            (&b"i1"[..], Some((true, 1))),
            (b"i64", Some((true, 64))),
            (b"u63", Some((false, 63))),
            (b"u8\0x", Some((false, 8))),
            (b"u64", None),
            (b"i65", None),
            (b"u0", None),
            (b"U8", None),
            (b"u08", None),
            (b"u8x", None),
            (b"u-8", None),
            (b"u", None),
            (b"", None),
        ] {
            let found = Field::parse(text).map(|field| (field.is_signed, field.width));
            assert_eq!(found, expected, "{text:?}");
        }
    }

    #[test]
    fn numbers_without_a_place_are_fitted() {
        let (i8, u2, i64, u63) = ("i8", "u2", "i64", "u63");
        let least = i128::from(i64::MIN);
        for (field, number, wrapped, saturated) in [
            (i8, 127, 127, Some(127)),
            (i8, 128, -128, None),
            (i8, -129, 127, None),
            (u2, 3, 3, Some(3)),
            (u2, 5, 1, None),
            (u2, -1, 3, None),
            (i64, least, i64::MIN, Some(i64::MIN)),
            (i64, least - 1, i64::MAX, None),
            (u63, 1 << 63, 0, None),
            (u63, -1, i64::MAX, None),
        ] {
            let field = Field::parse(field.as_bytes()).expect("a type");
            assert_eq!(field.fit(number, Overflow::Wrap), Some(wrapped), "{number}");
            assert_eq!(field.fit(number, Overflow::Fail), saturated, "{number}");
            let top = if field.is_signed { (1i128 << (field.width - 1)) - 1 } else { (1i128 << field.width) - 1 };
            let bottom = if field.is_signed { -top - 1 } else { 0 };
            assert_eq!(field.fit(number, Overflow::Saturate).map(i128::from), Some(number.clamp(bottom, top)));
        }
    }

    #[test]
    fn numbers_are_read_set_and_incremented() {
        replay(
            r#"
            > BITFIELD k SET u8 #1 255 GET u4 8 INCRBY i5 100 1 GET u63 80
            1) (integer) 0
            2) (integer) 15
            3) (integer) 1
            4) (integer) 274877906944
            > STRLEN k
            (integer) 14
            > BITFIELD k SET i8 0 -1 SET i8 0 200 GET i8 0
            1) (integer) 0
            2) (integer) -1
            3) (integer) -56
            > BITFIELD k OVERFLOW SAT INCRBY u2 102 10 OVERFLOW FAIL INCRBY u2 102 1 OVERFLOW WRAP INCRBY u2 102 1
            1) (integer) 3
            2) (nil)
            3) (integer) 0
            > BITFIELD k OVERFLOW sat SET u8 0 -1 GET u8 0
            1) (integer) 200
            2) (integer) 255
            > BITFIELD k OVERFLOW SAT SET i8 0 -129 SET i8 0 -9223372036854775808 GET i8 0
            1) (integer) -1
            2) (integer) -128
            3) (integer) 127
            > BITFIELD k SET i8 0 -1
            1) (integer) 127
            > BITFIELD k
            (empty array)
            > BITFIELD missing GET i64 4294967295
            1) (integer) 0
            > EXISTS missing
            (integer) 0
            > BITFIELD new OVERFLOW FAIL INCRBY u2 100 5
            1) (nil)
            > STRLEN new
            (integer) 13
            > BITFIELD_RO k GET u8 0 GET i8 0
            1) (integer) 255
            2) (integer) -1
            "#,
        );
        replay_resp3(
            r#"
            > BITFIELD k OVERFLOW FAIL INCRBY u2 0 5
            1) (nil)
            "#,
        );
    }

    #[test]
    fn all_steps_are_read_before_the_first_is_taken() {
        replay(
            r#"
            > BITFIELD k SET u8 0 1 GET u8 -1
            (error) ERR bit offset is not an integer or out of range
            > EXISTS k
            (integer) 0
            > BITFIELD k GET u8
            (error) ERR syntax error
            > BITFIELD k SET u8 0
            (error) ERR syntax error
            > BITFIELD k OVERFLOW foo
            (error) ERR Invalid OVERFLOW type specified
            > BITFIELD k GET u64 0
            (error) ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
            > BITFIELD k SET u8 0 x
            (error) ERR value is not an integer or out of range
            > BITFIELD k GET u8 #536870912
            (error) ERR bit offset is not an integer or out of range
            > SET k a
            OK
            > BITFIELD k GET u32 #576460752303423488
            1) (integer) 1627389952
            > RPUSH l a
            (integer) 1
            > BITFIELD_RO l SET u8 0 1
            (error) ERR BITFIELD_RO only supports the GET subcommand
            > BITFIELD_RO l OVERFLOW SAT
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > BITFIELD l SET u8 0 1
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    }

    #[test]
    fn only_what_writes_needs_to_be_allowed_to() {
        replay(
            r#"
            > COMMAND GETKEYSANDFLAGS BITFIELD k GET u8 0 OVERFLOW SAT GET u8 8
            1) 1) "k"
               2) 1) RO
                  2) access
            > COMMAND GETKEYSANDFLAGS BITFIELD k GET u8 0 SET u8 8 1
            1) 1) "k"
               2) 1) RW
                  2) access
                  3) update
            "#,
        );
    }
}
