//! The arguments of commands that take elements out of the first of several keys: LMPOP, ZMPOP, and those that wait.

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::base::integer::parse_i64;
use crate::command::error::{CommandError, SYNTAX};
use crate::resp::args::Args;

const NO_KEYS: CommandError = CommandError::fixed("numkeys should be greater than 0");
const NO_COUNT: CommandError = CommandError::fixed("count should be greater than 0");

/// The arguments from the number of keys on; `W` says from which end elements are taken.
pub(super) struct ManyKeys<W> {
    /// Which arguments are keys.
    pub(super) keys: Range<usize>,
    /// Which end is meant.
    pub(super) end: W,
    /// At most how many elements.
    pub(super) count: usize,
}

impl<W> ManyKeys<W> {
    /// `first` is where the number of keys stands; `end_named` knows the words for ends.
    pub(super) fn read(
        args: Args<'_>,
        first: usize,
        end_named: impl Fn(&[u8]) -> Option<W>,
    ) -> Result<ManyKeys<W>, CommandError> {
        let positive =
            |text| parse_i64(text).and_then(|number| usize::try_from(number).ok()).filter(|&number| number > 0);
        let numkeys = positive(args.get(first)).ok_or(NO_KEYS)?;
        let where_at = numkeys.checked_add(first + 1).filter(|&at| at < args.len()).ok_or(SYNTAX)?;
        let end = end_named(args.get(where_at)).ok_or(SYNTAX)?;
        let mut count = None;
        for index in (where_at + 1..args.len()).step_by(2) {
            let is_count = args.get(index).eq_ignore_ascii_case(b"count") && index + 1 < args.len();
            if !is_count || count.is_some() {
                return Err(SYNTAX);
            }
            count = Some(positive(args.get(index + 1)).ok_or(NO_COUNT)?);
        }
        Ok(ManyKeys { keys: first + 1..where_at, end, count: count.unwrap_or(1) })
    }
}
