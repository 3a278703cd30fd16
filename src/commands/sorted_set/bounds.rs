//! Ranges of ranks, scores and texts, as arguments name them. Pure; main thread.

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::base::float::parse_range_end;
use crate::base::integer::parse_i64;
use crate::command::error::{CommandError, NOT_AN_INTEGER};
use crate::types::sorted_set::SortedSetRef;

const NO_FLOAT: CommandError = CommandError::fixed("min or max is not a float");
const NO_TEXT: CommandError = CommandError::fixed("min or max not valid string range item");

/// By what members are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum By {
    Rank,
    Score,
    Text,
}

/// One end of a range of scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ScoreEnd {
    value: f64,
    excluded: bool,
}

/// One end of a range of texts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TextEnd<'a> {
    Lowest,
    Highest,
    Included(&'a [u8]),
    Excluded(&'a [u8]),
}

/// A range; the lower end comes first.
#[derive(Clone, Copy, Debug)]
pub(super) enum Bounds<'a> {
    Ranks(i64, i64),
    Scores(ScoreEnd, ScoreEnd),
    Texts(TextEnd<'a>, TextEnd<'a>),
}

impl ScoreEnd {
    fn read(text: &[u8]) -> Result<ScoreEnd, CommandError> {
        let (excluded, number) = match text {
            [b'(', rest @ ..] => (true, rest),
            text => (false, text),
        };
        parse_range_end(number).map(|value| ScoreEnd { value, excluded }).ok_or(NO_FLOAT)
    }
}

impl TextEnd<'_> {
    fn read(text: &[u8]) -> Result<TextEnd<'_>, CommandError> {
        match text {
            b"-" => Ok(TextEnd::Lowest),
            b"+" => Ok(TextEnd::Highest),
            [b'[', rest @ ..] => Ok(TextEnd::Included(rest)),
            [b'(', rest @ ..] => Ok(TextEnd::Excluded(rest)),
            _ => Err(NO_TEXT),
        }
    }

    /// As the lower end: whether a text comes before the range.
    fn is_above(self, text: &[u8]) -> bool {
        match self {
            TextEnd::Lowest => false,
            TextEnd::Highest => true,
            TextEnd::Included(end) => text < end,
            TextEnd::Excluded(end) => text <= end,
        }
    }

    /// As the upper end: whether a text does not come behind the range.
    fn reaches(self, text: &[u8]) -> bool {
        match self {
            TextEnd::Lowest => false,
            TextEnd::Highest => true,
            TextEnd::Included(end) => text <= end,
            TextEnd::Excluded(end) => text < end,
        }
    }
}

impl<'a> Bounds<'a> {
    /// Two arguments, the lower end first.
    pub(super) fn read(by: By, low: &'a [u8], high: &'a [u8]) -> Result<Bounds<'a>, CommandError> {
        let rank = |text| parse_i64(text).ok_or(NOT_AN_INTEGER);
        Ok(match by {
            By::Rank => Bounds::Ranks(rank(low)?, rank(high)?),
            By::Score => Bounds::Scores(ScoreEnd::read(low)?, ScoreEnd::read(high)?),
            By::Text => Bounds::Texts(TextEnd::read(low)?, TextEnd::read(high)?),
        })
    }

    /// The ranks that are meant. `backwards`: ranks are counted from the end.
    pub(super) fn ranks(&self, set: SortedSetRef<'_>, backwards: bool) -> Range<usize> {
        match *self {
            Bounds::Ranks(start, stop) => {
                let ranks = ranks(start, stop, set.len());
                if backwards { set.len() - ranks.end..set.len() - ranks.start } else { ranks }
            }
            Bounds::Scores(low, high) => {
                let start =
                    set.count_by_score(|score| if low.excluded { score <= low.value } else { score < low.value });
                let end =
                    set.count_by_score(|score| if high.excluded { score < high.value } else { score <= high.value });
                start..end.max(start)
            }
            // Where scores differ there is no such range; Redis looks at both ends first, whatever is between them.
            Bounds::Texts(low, high) if !meets(set, low, high) => 0..0,
            Bounds::Texts(low, high) => {
                let start = set.count_by_text(|text| low.is_above(text));
                let end = set.count_by_text(|text| high.reaches(text));
                start..end.max(start)
            }
        }
    }
}

/// Whether the last member is not below a range of texts, nor the first one above it.
fn meets(set: SortedSetRef<'_>, low: TextEnd<'_>, high: TextEnd<'_>) -> bool {
    let (mut first, mut last) = (false, false);
    set.range(0..set.len().min(1), false, |member, _| first = high.reaches(&member.to_cow()));
    set.range(set.len().saturating_sub(1)..set.len(), false, |member, _| last = !low.is_above(&member.to_cow()));
    first && last
}

/// The ranks from `start` to `stop`, both included; negative ones count from the end.
fn ranks(start: i64, stop: i64, len: usize) -> Range<usize> {
    let len = len as i64;
    let from_front = |rank: i64| if rank < 0 { rank.saturating_add(len) } else { rank };
    let (first, last) = (from_front(start).max(0), from_front(stop).min(len - 1));
    if first > last { 0..0 } else { first as usize..last as usize + 1 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::siphash::SipKey;
    use crate::types::sorted_set::{SortedSet, SortedSetLimits};

    fn set(members: &[(&str, f64)]) -> SortedSet {
        let limits = SortedSetLimits { entries: 3, value: 9, key: SipKey::new(1, 2) };
        let mut set = SortedSet::default();
        members.iter().for_each(|(member, score)| _ = set.set(member.as_bytes(), *score, &limits));
        set
    }

    #[test]
    fn ranges_of_every_kind() {
        for members in [3, 5] {
            let by_score = [("a", 1.0), ("b", 2.0), ("c", 2.0), ("d", 3.0), ("e", f64::INFINITY)];
            let by_score = set(&by_score[..members]);
            let by_text = set(&[("a", 0.0), ("b", 0.0), ("c", 0.0), ("d", 0.0), ("e", 0.0)][..members]);
            let of = |set: SortedSetRef<'_>, by, low: &'static str, high: &'static str, backwards| {
                let bounds = Bounds::read(by, low.as_bytes(), high.as_bytes()).expect("a range");
                bounds.ranks(set, backwards)
            };
            assert_eq!(of(by_score.view(), By::Score, "2", "2", false), 1..3);
            assert_eq!(of(by_score.view(), By::Score, "(1", "(2", false), 1..1);
            assert_eq!(of(by_score.view(), By::Score, "-inf", "+inf", false), 0..members);
            assert_eq!(of(by_score.view(), By::Score, "3", "1", false).len(), 0);
            assert_eq!(of(by_text.view(), By::Text, "[b", "(c", false), 1..2);
            assert_eq!(of(by_text.view(), By::Text, "(a", "+", false), 1..members);
            assert_eq!(of(by_text.view(), By::Text, "+", "-", false).len(), 0);
            assert_eq!(of(by_text.view(), By::Rank, "0", "0", true), members - 1..members);
            assert_eq!(of(by_text.view(), By::Rank, "-2", "-1", true), 0..2);
        }
    }

    #[test]
    fn ends_that_are_none() {
        assert_eq!(Bounds::read(By::Score, b"x", b"1").err(), Some(NO_FLOAT));
        assert_eq!(Bounds::read(By::Score, b"1", b"nan").err(), Some(NO_FLOAT));
        assert_eq!(Bounds::read(By::Text, b"a", b"+").err(), Some(NO_TEXT));
        assert_eq!(Bounds::read(By::Text, b"-", b"++").err(), Some(NO_TEXT));
        assert_eq!(Bounds::read(By::Rank, b"0", b"x").err(), Some(NOT_AN_INTEGER));
    }
}
