//! Active expiry: keys that nobody comes upon are removed too. The main thread's, between commands.
//!
//! As in Redis the effort adapts: a slice of the keys that expire is sampled, and the next slice follows at once while
//! more than a tenth of a slice was stale. Hashes of which fields expire stand in the order of the first of these times,
//! so that nothing has to be sampled to find the fields whose time is over.

#![forbid(unsafe_code)]

use std::num::NonZeroU64;

use super::Database;
use super::database::{ExpiredPart, listed_ms};
use crate::encoding::table::Rehash;

/// Keys sampled in one slice.
const SLICE_KEYS: usize = 20;
/// Buckets looked into for one slice, empty ones included.
const SLICE_BUCKETS_MAX: usize = 20 * SLICE_KEYS;
/// A slice with more stale keys than this is followed by another.
const STALE_PERCENT_MAX: usize = 10;
/// Fields of one hash that are removed before the next hash has its turn.
const SLICE_FIELDS: usize = 300;
/// The weight of what was known before in the running average of remaining times, in percent.
const AVERAGE_KEPT_PERCENT: i128 = 98;

/// How long active expiry may go on.
pub struct ExpireBudget<'a> {
    /// Keys to be sampled, about.
    pub keys_max: usize,
    /// Asked after each slice: true ends the cycle.
    pub is_over: &'a mut dyn FnMut() -> bool,
}

/// What a cycle did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ExpireReport {
    /// Keys looked at.
    pub sampled: usize,
    /// Keys removed.
    pub expired: usize,
    /// Fields removed.
    pub fields: usize,
    /// The budget ended while stale keys were still many.
    pub stopped: bool,
}

impl ExpireReport {
    pub(super) fn add(&mut self, other: ExpireReport) {
        self.sampled += other.sampled;
        self.expired += other.expired;
        self.fields += other.fields;
        self.stopped |= other.stopped;
    }
}

impl Database {
    /// Samples keys that expire and removes those whose time is over, slice by slice, while many are.
    pub fn expire_cycle(&mut self, now_ms: i64, budget: ExpireBudget<'_>) -> ExpireReport {
        let mut report = ExpireReport::default();
        let mut sample = Vec::new();
        while !self.expires.is_empty() {
            if report.sampled >= budget.keys_max {
                report.stopped = true;
                break;
            }
            let slice = self.expire_slice(now_ms, &mut sample);
            report.add(slice);
            if slice.expired * 100 <= slice.sampled * STALE_PERCENT_MAX && slice.sampled > 0 {
                break;
            }
            if (budget.is_over)() {
                report.stopped = true;
                break;
            }
        }
        if self.expires.is_empty() {
            self.average_ttl_ms = 0;
        }
        report
    }

    /// Removes fields whose time is over, hash by hash, as far as the budget allows: `keys_max` hashes are looked at.
    pub fn expire_fields(&mut self, now_ms: i64, budget: ExpireBudget<'_>) -> ExpireReport {
        let mut report = ExpireReport::default();
        let mut looked_at = 0;
        while let Some(&(at_ms, hash)) = self.timed.first()
            && at_ms < now_ms
        {
            if looked_at >= budget.keys_max || (looked_at > 0 && (budget.is_over)()) {
                report.stopped = true;
                break;
            }
            report.fields += self.expire_fields_of(at_ms, hash, now_ms);
            looked_at += 1;
        }
        report
    }

    /// Removes fields of the hash that is listed so, and lists it anew. Returns how many.
    fn expire_fields_of(&mut self, at_ms: i64, hash: u64, now_ms: i64) -> usize {
        let hasher = self.hasher;
        let found = self.table.find(hash, |entry| listed_ms(entry) == Some(at_ms) && hasher.hash(entry) == hash);
        let value = found.and_then(|at| self.table.at_mut(at)).and_then(|entry| entry.whole_mut());
        let (Some(at), Some(Ok(fields))) = (found, value.map(|value| value.as_hash_mut())) else {
            debug_assert!(false, "what is listed is there");
            self.timed.remove(&(at_ms, hash));
            return 0;
        };
        let gone = fields.remove_over(now_ms, SLICE_FIELDS);
        // What is left to be removed waits behind the hashes that were listed before it.
        let next_ms = fields.next_ms();
        fields.set_listed(next_ms);
        let is_empty = fields.is_empty();
        self.relist(hash, Some(at_ms), next_ms);
        let what = if is_empty { ExpiredPart::AllFields } else { ExpiredPart::Fields };
        if is_empty {
            if let Some(entry) = self.take_at(at, hash) {
                self.observe(entry.key(), what);
            }
        } else if gone > 0
            && let Some(entry) = self.table.at(at)
        {
            let key = Box::<[u8]>::from(entry.key());
            self.observe(&key, what);
        }
        gone
    }

    fn expire_slice(&mut self, now_ms: i64, sample: &mut Vec<NonZeroU64>) -> ExpireReport {
        sample.clear();
        for _ in 0..SLICE_BUCKETS_MAX {
            self.expire_cursor = self.expires.scan(self.expire_cursor, |hash| sample.push(*hash));
            if sample.len() >= SLICE_KEYS || self.expire_cursor == 0 {
                break;
            }
        }
        sample.iter().for_each(|hash| self.prefetch_bucket(hash.get()));
        sample.iter().for_each(|hash| _ = self.prefetch_entry(hash.get()));
        let mut report = ExpireReport { sampled: sample.len(), ..ExpireReport::default() };
        let mut ttl_sum = 0i128;
        for hash in &*sample {
            match self.expire_if_due(hash.get(), now_ms) {
                None => report.expired += 1,
                Some(ttl_ms) => ttl_sum += i128::from(ttl_ms),
            }
        }
        let live = report.sampled - report.expired;
        if live > 0 {
            self.note_average_ttl(ttl_sum / live as i128);
        }
        report
    }

    /// Removes the key of this hash if its time is over, else returns how long it has.
    fn expire_if_due(&mut self, hash: u64, now_ms: i64) -> Option<i64> {
        let hasher = self.hasher;
        let mut left_ms = None;
        let at = self.table.find(hash, |entry| {
            let Some(at_ms) = entry.expire_ms() else { return false };
            if hasher.hash(entry) != hash {
                return false;
            }
            left_ms = (!entry.is_due(now_ms)).then(|| at_ms.saturating_sub(now_ms));
            true
        });
        let at = at.expect("every hash of the table of expiring keys has its key");
        if left_ms.is_none() {
            self.remove_expired(at, hash);
        }
        left_ms
    }

    fn note_average_ttl(&mut self, sampled_ms: i128) {
        let former = i128::from(self.average_ttl_ms);
        let average = match former {
            0 => sampled_ms,
            _ => (former * AVERAGE_KEPT_PERCENT + sampled_ms * (100 - AVERAGE_KEPT_PERCENT)) / 100,
        };
        self.average_ttl_ms = i64::try_from(average).expect("an average of i64 is one");
    }
}
