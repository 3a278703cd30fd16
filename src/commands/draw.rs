//! Random choices that several groups of commands make: how many, and which of those that a collection holds. Pure but for
//! the random numbers; main thread.

#![forbid(unsafe_code)]

use crate::base::integer::parse_i64;
use crate::base::rng::Rng;
use crate::command::error::{CommandError, NOT_AN_INTEGER};
use crate::resp::reply::Reply;

/// The most answers that may be asked for with repetitions: more than any client can want, and still a bound.
const REPEATED_MAX: i64 = i32::MAX as i64;
/// The most pairs that may be asked for, in either way: what Redis can count the texts of.
const PAIRS_MAX: i64 = i64::MAX / 2;
/// So many answers are written before somebody looks whether that is too much.
const ANSWERS_PER_LOOK: usize = 256;

const OUT_OF_RANGE: CommandError = CommandError::fixed("value is out of range");
const NO_OPPOSITE: CommandError =
    CommandError::fixed("value is out of range, value must between -9223372036854775807 and 9223372036854775807");

/// How many are wanted; fewer than 0: that many, with repetitions.
pub(crate) fn count(text: &[u8]) -> Result<i64, CommandError> {
    let count = parse_i64(text).ok_or(NOT_AN_INTEGER)?;
    if count == i64::MIN {
        return Err(NO_OPPOSITE);
    }
    Ok(count)
}

/// Whether so many pairs may be asked for.
pub(crate) fn check_pairs(count: Option<i64>) -> Result<(), CommandError> {
    match count {
        Some(count) if !(-PAIRS_MAX..=PAIRS_MAX).contains(&count) => Err(OUT_OF_RANGE),
        _ => Ok(()),
    }
}

/// Whether something may be answered so often, where there is something.
pub(crate) fn check_repeated(count: Option<i64>) -> Result<(), CommandError> {
    if count.is_some_and(|count| count < -REPEATED_MAX) { Err(OUT_OF_RANGE) } else { Ok(()) }
}

/// Answers `count` times, or until more than `room` bytes are written.
pub(crate) fn repeat(reply: &mut Reply, count: usize, room: usize, mut answer: impl FnMut(&mut Reply)) {
    let start = reply.mark();
    for number in 0..count {
        if number % ANSWERS_PER_LOOK == 0 && reply.bytes_since(start) > room {
            return;
        }
        answer(reply);
    }
}

/// Chooses some of many that are met one after the other, each with the same chance.
pub(crate) struct Choice {
    left: usize,
    wanted: usize,
}

impl Choice {
    /// `wanted` of `all`.
    pub(crate) fn new(all: usize, wanted: usize) -> Choice {
        Choice { left: all, wanted: wanted.min(all) }
    }

    /// Whether the next one is chosen.
    pub(crate) fn takes_next(&mut self, rng: &mut Rng) -> bool {
        if self.wanted == 0 {
            return false;
        }
        let takes = rng.below(self.left as u64) < self.wanted as u64;
        self.left -= 1;
        self.wanted -= usize::from(takes);
        takes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_choice_has_the_size_and_everyone_the_same_chance() {
        let mut rng = Rng::seeded(5);
        let mut chosen = [0; 10];
        for _ in 0..10_000 {
            let mut choice = Choice::new(10, 3);
            let taken: Vec<usize> = (0..10).filter(|_| choice.takes_next(&mut rng)).collect();
            assert_eq!(taken.len(), 3);
            taken.iter().for_each(|&number| chosen[number] += 1);
        }
        assert!(chosen.iter().all(|&count| (2800..3200).contains(&count)), "{chosen:?}");
        let mut all = Choice::new(4, 9);
        assert!((0..4).all(|_| all.takes_next(&mut rng)) && !all.takes_next(&mut rng));
    }

    #[test]
    fn answers_end_where_there_is_no_room() {
        for (count, room, written) in
            [(1000, usize::MAX, 1000), (1000, 4000, 1000), (1000, 3999, 1000), (5000, 4000, 1024)]
        {
            let mut reply = Reply::new(0);
            repeat(&mut reply, count, room, |reply| reply.integer(1));
            assert_eq!(reply.slab().len(), 4 * written, "{count}, {room}");
        }
    }

    #[test]
    fn counts_have_bounds() {
        assert_eq!(count(b"-5").ok(), Some(-5));
        assert_eq!(count(b"9223372036854775807").ok(), Some(i64::MAX));
        assert_eq!(count(b"-9223372036854775808").err(), Some(NO_OPPOSITE));
        assert_eq!(count(b"-9223372036854775807").ok(), Some(-i64::MAX));
        let limit = 4_611_686_018_427_387_903;
        for (count, fits) in [(limit, true), (-limit, true), (limit + 1, false), (-limit - 1, false), (i64::MAX, false)]
        {
            assert_eq!(check_pairs(Some(count)).is_ok(), fits, "{count}");
        }
        assert_eq!((check_repeated(Some(-REPEATED_MAX)), check_repeated(Some(i64::MAX))), (Ok(()), Ok(())));
        assert_eq!(check_repeated(Some(-REPEATED_MAX - 1)), Err(OUT_OF_RANGE));
        assert_eq!((check_pairs(None), check_repeated(None)), (Ok(()), Ok(())));
        assert_eq!(count(b"x").err(), Some(NOT_AN_INTEGER));
    }
}
