//! splitmix64, one stream for each worker: the same seed has everybody do the same, though not at the same moments.

use std::time::Duration;

/// A stream of random numbers.
pub(crate) struct Dice(u64);

impl Dice {
    /// The stream of one worker.
    pub(crate) fn of_worker(seed: u64, worker: u64) -> Dice {
        let mut dice = Dice(seed ^ worker.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// A number below `bound`.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    /// True once in `count` times.
    pub(crate) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// Text of fewer than `most` letters.
    pub(crate) fn text(&mut self, most: usize) -> String {
        let len = self.below(most);
        let first = self.below(26);
        (0..len).map(|index| char::from(b'a' + ((first + index * 7) % 26) as u8)).collect()
    }

    /// Sleeps for less than `most` milliseconds.
    pub(crate) fn pause_ms(&mut self, most: usize) {
        std::thread::sleep(Duration::from_millis(self.below(most) as u64));
    }
}
