//! splitmix64: small, and the same on every host. Each round or worker of a run has a stream of its own, by the run's seed, so
//! that it can be had again.

use std::time::Duration;

/// A stream of random numbers.
pub(crate) struct Random(u64);

impl Random {
    /// Stream number `number` of a run.
    pub(crate) fn stream(seed: u64, number: u64) -> Random {
        let mut random = Random(seed ^ number.wrapping_mul(0xD6E8_FEB8_6659_FD93));
        random.next();
        random
    }

    /// 64 random bits.
    pub(crate) fn next(&mut self) -> u64 {
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

    /// One of several.
    pub(crate) fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len())]
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
