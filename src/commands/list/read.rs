//! HOT PATH. Reading lists: LLEN, LINDEX, LRANGE, LPOS.

#![forbid(unsafe_code)]

use std::ops::Range;

use super::read_list;
use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::elements::reply_element;
use crate::commands::key_specs;
use crate::encoding::listpack::Element;
use crate::resp::args::Args;
use crate::types::list::ListRef;

/// `LLEN`
pub(super) static LLEN: Command = Command {
    name: "llen",
    full_name: "llen",
    summary: "Counts the elements of a list.",
    since: "1.0.0",
    group: "list",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::LIST).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO)],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(llen),
    ..Command::BLANK
};

/// `LINDEX`
pub(super) static LINDEX: Command = Command {
    name: "lindex",
    full_name: "lindex",
    summary: "Answers the element at an index.",
    since: "1.0.0",
    group: "list",
    complexity: "O(N), N being the elements between the index and the nearer end; O(1) for the first and the last one",
    arity: 3,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::LIST).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("index", ArgKind::Integer)],
    handler: Some(lindex),
    ..Command::BLANK
};

/// `LRANGE`
pub(super) static LRANGE: Command = Command {
    name: "lrange",
    full_name: "lrange",
    summary: "Answers the elements from one index to another.",
    since: "1.0.0",
    group: "list",
    complexity: "O(S+N), S being the distance to the nearer end, N the elements answered",
    arity: 4,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::LIST).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("start", ArgKind::Integer), ArgSpec::new("stop", ArgKind::Integer)],
    handler: Some(lrange),
    ..Command::BLANK
};

/// `LPOS`
pub(super) static LPOS: Command = Command {
    name: "lpos",
    full_name: "lpos",
    summary: "Answers where elements with this text are.",
    since: "6.0.6",
    group: "list",
    complexity: "O(N), N being the elements that are looked at",
    arity: -3,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::LIST).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("element", ArgKind::String),
        ArgSpec::new("rank", ArgKind::Integer).token("RANK").optional(),
        ArgSpec::new("num-matches", ArgKind::Integer).token("COUNT").optional(),
        ArgSpec::new("len", ArgKind::Integer).token("MAXLEN").optional(),
    ],
    handler: Some(lpos),
    ..Command::BLANK
};

const RANK_ZERO: CommandError = CommandError::fixed(
    "RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the \
     end of the list",
);
/// An integer whose opposite is one, too.
pub(super) const NO_OPPOSITE: CommandError =
    CommandError::fixed("value is out of range, value must between -9223372036854775807 and 9223372036854775807");

fn llen(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let list = read_list(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    ctx.reply.integer(list.map_or(0, |list| list.len()) as i64);
    Ok(())
}

fn lindex(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let Some(list) = read_list(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)? else {
        ctx.reply.null();
        return Ok(());
    };
    let index = parse_i64(args.get(2)).ok_or(NOT_AN_INTEGER)?;
    match list.index(index) {
        None => ctx.reply.null(),
        Some(index) => list.visit(index, false, &mut |element| {
            reply_element(ctx.reply, element);
            false
        }),
    }
    Ok(())
}

/// The indices from `start` to `stop`, both included; negative ones count from the end.
pub(super) fn range(start: i64, stop: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let from_front = |index: i64| if index < 0 { index.saturating_add(len) } else { index };
    let (first, last) = (from_front(start).max(0), from_front(stop).min(len - 1));
    if first > last { 0..0 } else { first as usize..last as usize + 1 }
}

fn lrange(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let start = parse_i64(args.get(2)).ok_or(NOT_AN_INTEGER)?;
    let stop = parse_i64(args.get(3)).ok_or(NOT_AN_INTEGER)?;
    let Some(list) = read_list(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)? else {
        ctx.reply.array(0);
        return Ok(());
    };
    let range = range(start, stop, list.len());
    ctx.reply.array(range.len());
    let mut left = range.len();
    if left > 0 {
        list.visit(range.start, false, &mut |element| {
            reply_element(ctx.reply, element);
            left -= 1;
            left > 0
        });
    }
    Ok(())
}

/// What LPOS looks for.
struct Search {
    /// Matches passed over before the first that counts.
    skipped: u64,
    backwards: bool,
    /// Matches wanted, if the caller said so; 0 for all.
    count: Option<u64>,
    /// Elements looked at; 0 for all.
    looked_at_max: u64,
}

impl Search {
    fn read(args: Args<'_>) -> Result<Search, CommandError> {
        let mut search = Search { skipped: 0, backwards: false, count: None, looked_at_max: 0 };
        for index in (3..args.len()).step_by(2) {
            let is = |name: &str| args.get(index).eq_ignore_ascii_case(name.as_bytes()) && index + 1 < args.len();
            let natural = |refusal: &'static str| {
                let number = parse_i64(args.get(index + 1)).and_then(|number| u64::try_from(number).ok());
                number.ok_or(CommandError::fixed(refusal))
            };
            if is("RANK") {
                let rank = parse_i64(args.get(index + 1)).ok_or(NOT_AN_INTEGER)?;
                if rank == i64::MIN {
                    return Err(NO_OPPOSITE);
                }
                search.skipped = rank.unsigned_abs().checked_sub(1).ok_or(RANK_ZERO)?;
                search.backwards = rank < 0;
            } else if is("COUNT") {
                search.count = Some(natural("COUNT can't be negative")?);
            } else if is("MAXLEN") {
                search.looked_at_max = natural("MAXLEN can't be negative")?;
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(search)
    }

    /// Calls `found` with the index of each match that counts, until that has enough.
    fn run(&self, list: ListRef<'_>, text: &[u8], mut found: impl FnMut(usize) -> bool) {
        let wanted = Element::of(text);
        let (len, mut skipped, mut looked_at) = (list.len(), self.skipped, 0);
        let first = if self.backwards { len.saturating_sub(1) } else { 0 };
        list.visit(first, self.backwards, &mut |element| {
            let index = if self.backwards { len - 1 - looked_at } else { looked_at };
            looked_at += 1;
            if element == wanted {
                if skipped > 0 {
                    skipped -= 1;
                } else if !found(index) {
                    return false;
                }
            }
            self.looked_at_max == 0 || (looked_at as u64) < self.looked_at_max
        });
    }
}

fn lpos(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let search = Search::read(args)?;
    let list = read_list(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    let Some(count) = search.count else {
        let mut first = None;
        if let Some(list) = list {
            search.run(list, args.get(2), |index| {
                first = Some(index);
                false
            });
        }
        match first {
            Some(index) => ctx.reply.integer(index as i64),
            None => ctx.reply.null(),
        }
        return Ok(());
    };
    let array = ctx.reply.deferred();
    let mut matches = 0;
    if let Some(list) = list {
        search.run(list, args.get(2), |index| {
            ctx.reply.integer(index as i64);
            matches += 1;
            matches != count
        });
    }
    ctx.reply.end_array(array, matches as usize);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::transcript::{replay, replay_resp3};

    #[test]
    fn ranges_are_clamped() {
        assert_eq!(range(0, -1, 5), 0..5);
        assert_eq!(range(-100, 100, 5), 0..5);
        assert_eq!(range(-2, -1, 5), 3..5);
        assert_eq!(range(3, 2, 5), 0..0);
        assert_eq!(range(5, 9, 5), 0..0);
        assert_eq!(range(0, -6, 5), 0..0);
        assert_eq!(range(i64::MIN, i64::MAX, 5), 0..5);
        assert_eq!(range(i64::MAX, i64::MIN, 5), 0..0);
        assert_eq!(range(0, -1, 0), 0..0);
    }

    #[test]
    fn elements_are_read() {
        replay(
            r#"
            > RPUSH k a 12 c
            (integer) 3
            > LLEN k
            (integer) 3
            > LLEN missing
            (integer) 0
            > LINDEX k 1
            "12"
            > LINDEX k -1
            "c"
            > LINDEX k 3
            (nil)
            > LINDEX missing x
            (nil)
            > LINDEX k x
            (error) ERR value is not an integer or out of range
            > LRANGE k 1 1
            1) "12"
            > LRANGE k 2 1
            (empty array)
            > LRANGE missing 0 -1
            (empty array)
            > LRANGE missing 0 x
            (error) ERR value is not an integer or out of range
            "#,
        );
    }

    #[test]
    fn positions_are_found() {
        replay(
            r#"
            > RPUSH k a b c 1 2 3 c c
            (integer) 8
            > LPOS k c
            (integer) 2
            > LPOS k c RANK 2
            (integer) 6
            > LPOS k c RANK -1
            (integer) 7
            > LPOS k c RANK -1 COUNT 2
            1) (integer) 7
            2) (integer) 6
            > LPOS k c COUNT 0
            1) (integer) 2
            2) (integer) 6
            3) (integer) 7
            > LPOS k c COUNT 0 MAXLEN 7
            1) (integer) 2
            2) (integer) 6
            > LPOS k 2
            (integer) 4
            > LPOS k zz
            (nil)
            > LPOS k zz COUNT 1
            (empty array)
            > LPOS missing a COUNT 0
            (empty array)
            > LPOS missing a
            (nil)
            > LPOS k a RANK 0
            (error) ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list
            > LPOS k a RANK -9223372036854775808
            (error) ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
            > LPOS k a COUNT -1
            (error) ERR COUNT can't be negative
            > LPOS k a MAXLEN -1
            (error) ERR MAXLEN can't be negative
            > LPOS k a RANK
            (error) ERR syntax error
            "#,
        );
    }

    #[test]
    fn nothing_is_a_null_of_its_own() {
        replay_resp3(
            r#"
            > RPUSH k a
            (integer) 1
            > LPOS k zz
            (nil)
            > LRANGE k 0 -1
            1) "a"
            "#,
        );
    }
}
