//! HOT PATH. What an entry's stamp says about its use: when it was used last, or under a policy that asks for the least
//! frequently used keys, how often. The main thread's.
//!
//! ```text
//!   recency     24 bits: seconds
//!   frequency   16 bits: minutes of the last decay | 8 bits: a counter that grows ever more slowly
//! ```

#![forbid(unsafe_code)]

use std::cell::Cell;

use crate::types::KeyEntry;

const STAMP_MASK: u32 = 0x00ff_ffff;

/// Equal to no stamp.
const NO_STAMP: u32 = u32::MAX;

/// The counter of a new key, so that it is not the first one to go.
const COUNTER_START: u8 = 5;

/// How frequency is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrequencyRules {
    /// The greater, the more uses it takes to count one up.
    pub log_factor: u32,
    /// Minutes after which an unused key is counted one down; 0 for never.
    pub decay_minutes: u32,
}

/// Stamps entries. Each database has one.
pub(super) struct Access {
    /// The stamp of an entry that needs nothing done when it is used: what spares most uses all but one comparison.
    settled: u32,
    now_s: i64,
    frequency: Option<FrequencyRules>,
    muted: bool,
    chance: Cell<u64>,
}

impl Access {
    pub(super) fn new() -> Access {
        Access { settled: 0, now_s: 0, frequency: None, muted: false, chance: Cell::new(0x9e37_79b9_7f4a_7c15) }
    }

    /// Called when the cached second changes, and when the rules do.
    pub(super) fn set(&mut self, now_s: i64, frequency: Option<FrequencyRules>) {
        self.now_s = now_s;
        self.frequency = frequency;
        self.settle();
    }

    /// Whether uses leave the stamps alone from now on. Returns what was so before.
    pub(super) fn mute(&mut self, muted: bool) -> bool {
        let before = std::mem::replace(&mut self.muted, muted);
        self.settle();
        before
    }

    fn settle(&mut self) {
        self.settled = if self.muted || self.frequency.is_some() { NO_STAMP } else { self.seconds() };
    }

    fn seconds(&self) -> u32 {
        self.now_s as u32 & STAMP_MASK
    }

    fn minutes(&self) -> u16 {
        (self.now_s / 60) as u16
    }

    /// An entry is used.
    #[inline]
    pub(super) fn touch(&self, entry: &KeyEntry) {
        if entry.lru() != self.settled {
            self.restamp(entry);
        }
    }

    #[inline(never)]
    fn restamp(&self, entry: &KeyEntry) {
        if self.muted {
            return;
        }
        match self.frequency {
            None => entry.set_lru(self.settled),
            Some(rules) => {
                let counter = self.counted_up(self.decayed(entry.lru(), rules), rules);
                entry.set_lru(self.frequency_stamp(counter));
            }
        }
    }

    /// The stamp of a new entry.
    #[inline]
    pub(super) fn birth_stamp(&self) -> u32 {
        if self.settled == NO_STAMP { self.late_birth_stamp() } else { self.settled }
    }

    #[cold]
    fn late_birth_stamp(&self) -> u32 {
        if self.frequency.is_some() { self.frequency_stamp(COUNTER_START) } else { self.seconds() }
    }

    /// The stamp of an entry that is used that often.
    pub(super) fn frequency_stamp(&self, counter: u8) -> u32 {
        u32::from(self.minutes()) << 8 | u32::from(counter)
    }

    /// The stamp of an entry that was used last that many seconds ago. Longer than the stamp can tell wraps around.
    pub(super) fn idle_stamp(&self, idle_s: i64) -> u32 {
        self.now_s.wrapping_sub(idle_s) as u32 & STAMP_MASK
    }

    /// Seconds since the use that a stamp tells of.
    pub(super) fn idle_s(&self, stamp: u32) -> u32 {
        self.seconds().wrapping_sub(stamp) & STAMP_MASK
    }

    /// The counter of a stamp as it is now.
    pub(super) fn counter(&self, stamp: u32) -> u8 {
        self.frequency.map_or(stamp as u8, |rules| self.decayed(stamp, rules))
    }

    fn decayed(&self, stamp: u32, rules: FrequencyRules) -> u8 {
        let elapsed = u32::from(self.minutes().wrapping_sub((stamp >> 8) as u16));
        let periods = elapsed.checked_div(rules.decay_minutes).unwrap_or(0);
        (stamp as u8).saturating_sub(periods.min(u32::from(u8::MAX)) as u8)
    }

    /// Counts one up with a chance that shrinks as the counter grows.
    fn counted_up(&self, counter: u8, rules: FrequencyRules) -> u8 {
        let above = u64::from(counter.saturating_sub(COUNTER_START));
        let odds = above * u64::from(rules.log_factor) + 1;
        let mut word = self.chance.get();
        word ^= word << 13;
        word ^= word >> 7;
        word ^= word << 17;
        self.chance.set(word);
        if word.is_multiple_of(odds) { counter.saturating_add(1) } else { counter }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::NewValue;

    const RULES: FrequencyRules = FrequencyRules { log_factor: 10, decay_minutes: 1 };

    fn entry() -> KeyEntry {
        KeyEntry::new(b"k", NewValue::Int(1), None)
    }

    #[test]
    fn recency_is_the_second_of_the_last_use() {
        let mut access = Access::new();
        let entry = entry();
        access.set(0x0100_0005, None);
        assert_eq!(access.birth_stamp(), 5);
        access.touch(&entry);
        assert_eq!(entry.lru(), 5);
        access.set(0x0100_0009, None);
        assert_eq!(access.idle_s(entry.lru()), 4);
        assert_eq!(access.idle_stamp(10), 0x00ff_ffff);
        assert_eq!(access.idle_s(access.idle_stamp(10)), 10);
    }

    #[test]
    fn muted_uses_leave_no_trace() {
        let mut access = Access::new();
        let entry = entry();
        access.set(7, None);
        assert!(!access.mute(true));
        access.touch(&entry);
        assert_eq!((entry.lru(), access.birth_stamp()), (0, 7));
        assert!(access.mute(false));
        access.touch(&entry);
        assert_eq!(entry.lru(), 7);
    }

    #[test]
    fn frequency_grows_slowly_and_decays() {
        let mut access = Access::new();
        let entry = entry();
        access.set(600, Some(RULES));
        entry.set_lru(access.birth_stamp());
        assert_eq!(access.counter(entry.lru()), 5);
        access.touch(&entry);
        assert_eq!(access.counter(entry.lru()), 6);
        (0..100).for_each(|_| access.touch(&entry));
        let hundred = access.counter(entry.lru());
        assert!((8..=12).contains(&hundred), "{hundred}");
        (0..100_000).for_each(|_| access.touch(&entry));
        assert!(access.counter(entry.lru()) > 100);
        let many = access.counter(entry.lru());
        access.set(600 + 5 * 60, Some(RULES));
        assert_eq!(access.counter(entry.lru()), many - 5);
        access.set(600 + 5 * 60, Some(FrequencyRules { decay_minutes: 0, ..RULES }));
        assert_eq!(access.counter(entry.lru()), many);
        access.set(600 + 2000 * 60, Some(RULES));
        assert_eq!(access.counter(entry.lru()), 0);
    }

    #[test]
    fn the_counter_ends_at_its_greatest() {
        let mut access = Access::new();
        access.set(0, Some(FrequencyRules { log_factor: 0, decay_minutes: 0 }));
        let entry = entry();
        (0..300).for_each(|_| access.touch(&entry));
        assert_eq!(access.counter(entry.lru()), 255);
    }
}
