//! Databases: keys, values, expiry, iteration, watched keys. Knows no commands, sockets or clocks: every call that
//! depends on the time is told it. The main thread's.

#![forbid(unsafe_code)]

mod access;
mod database;
mod expire;
mod garbage;
mod string_mut;
pub mod watch;
mod whole;

pub use access::FrequencyRules;
pub use database::{Database, EntryMut, Expired, ExpiredPart, KeyState, SetExpire};
pub use expire::{ExpireBudget, ExpireReport};
pub use garbage::{Garbage, LazyRules};
pub use string_mut::StringMut;
pub use watch::WatchTable;

use crate::base::rng::Rng;
use crate::base::siphash::SipKey;
use crate::encoding::table::Rehash;
use crate::sys::prefetch::prefetch_line;
use crate::types::KeyEntry;

/// All databases of a server.
pub struct Keyspace {
    dbs: Vec<Database>,
    hasher: KeyHasher,
    /// Where the next cycle of active expiry starts.
    expire_db: usize,
    lazy: LazyRules,
}

impl Keyspace {
    /// `count` empty databases, whose hashing is secret as far as `seed` is.
    pub fn new(count: usize, seed: u64) -> Keyspace {
        assert!(count > 0, "there is a database 0");
        let mut rng = Rng::seeded(seed);
        let hasher = KeyHasher(SipKey::new(rng.next_u64(), rng.next_u64()));
        Keyspace {
            dbs: (0..count).map(|_| Database::new(hasher)).collect(),
            hasher,
            expire_db: 0,
            lazy: LazyRules::default(),
        }
    }

    /// How many databases there are.
    #[inline]
    pub fn count(&self) -> usize {
        self.dbs.len()
    }

    /// Database `index`. Panics where there is none: SELECT checks it.
    #[inline]
    pub fn db(&self, index: usize) -> &Database {
        &self.dbs[index]
    }

    /// Database `index`, to be changed or to be read (a read may remove a key that has expired).
    #[inline]
    pub fn db_mut(&mut self, index: usize) -> &mut Database {
        &mut self.dbs[index]
    }

    /// All databases in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Database> {
        self.dbs.iter()
    }

    /// All databases in order, to be changed.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = &mut Database> {
        self.dbs.iter_mut()
    }

    /// Exchanges the contents of two databases.
    pub fn swap(&mut self, left: usize, right: usize) {
        self.dbs.swap(left, right);
    }

    /// What everything that clients name is hashed with.
    #[inline]
    pub fn hash_key(&self) -> SipKey {
        self.hasher.0
    }

    /// What hashes keys.
    #[inline]
    pub(crate) fn hasher(&self) -> KeyHasher {
        self.hasher
    }

    /// The hash of a key: the same in every database, never 0.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_key(key)
    }

    /// Empties one database at once and hands back what was in it.
    pub fn flush_db(&mut self, index: usize) -> Garbage {
        let mut garbage = Garbage::default();
        self.dbs[index].flush_into(&mut garbage);
        garbage
    }

    /// Empties all databases at once and hands back what was in them.
    pub fn flush_all(&mut self) -> Garbage {
        let mut garbage = Garbage::default();
        self.dbs.iter_mut().for_each(|db| db.flush_into(&mut garbage));
        garbage
    }

    /// Which values the databases leave for later from now on. Returns what was left until now, which nobody would ask for
    /// any more once nothing is left.
    pub fn set_lazy(&mut self, rules: LazyRules) -> Garbage {
        let left = self.take_left_behind();
        self.lazy = rules;
        self.dbs.iter_mut().for_each(|db| db.set_lazy(rules));
        left
    }

    /// What the databases left for later since the last call. Asked once a turn.
    #[inline]
    pub fn take_left_behind(&mut self) -> Garbage {
        let mut all = Garbage::default();
        if self.lazy.any() {
            self.dbs.iter_mut().filter_map(Database::take_left_behind).for_each(|left| all.absorb(left));
        }
        all
    }

    /// How many objects that is.
    pub fn left_behind_len(&self) -> usize {
        self.dbs.iter().map(Database::left_behind_len).sum()
    }

    /// Tells the time to the stamps of entries in all databases, and whether they tell of frequency. Called when the
    /// cached second or the policy changes.
    pub fn set_access(&mut self, now_s: i64, frequency: Option<FrequencyRules>) {
        self.dbs.iter_mut().for_each(|db| db.set_access(now_s, frequency));
    }

    /// Whether uses leave the stamps alone from now on, in all databases. Returns what was so before.
    pub fn mute_access(&mut self, muted: bool) -> bool {
        let mut before = false;
        self.dbs.iter_mut().for_each(|db| before |= db.mute_access(muted));
        before
    }

    /// Whether the names of expired keys are kept for `Database::take_expired`, in all databases.
    pub fn observe_expired(&mut self, wanted: bool) {
        self.dbs.iter_mut().for_each(|db| db.observe_expired(wanted));
    }

    /// Whether expired keys stay until this is taken back, though nobody finds them any more: in all databases.
    pub fn keep_expired(&mut self, wanted: bool) {
        self.dbs.iter_mut().for_each(|db| db.keep_expired(wanted));
    }

    /// Removes expired keys, and fields of hashes, from all databases in turn, within one budget. The next call goes on where this one stopped.
    pub fn expire_cycle(&mut self, now_ms: i64, budget: ExpireBudget<'_>) -> ExpireReport {
        let mut total = ExpireReport::default();
        for _ in 0..self.dbs.len() {
            let keys_max = budget.keys_max - total.sampled.min(budget.keys_max);
            let share = ExpireBudget { keys_max, is_over: &mut *budget.is_over };
            let db = &mut self.dbs[self.expire_db];
            total.add(db.expire_cycle(now_ms, share));
            total.add(
                db.expire_fields(now_ms, ExpireBudget { keys_max: budget.keys_max, is_over: &mut *budget.is_over }),
            );
            if total.stopped {
                break;
            }
            self.expire_db = (self.expire_db + 1) % self.dbs.len();
        }
        total
    }
}

/// How keys are hashed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct KeyHasher(SipKey);

impl KeyHasher {
    /// Never 0, so that a hash can stand in the table of expiring keys.
    #[inline]
    pub(crate) fn hash_key(self, key: &[u8]) -> u64 {
        self.0.hash13(key).max(1)
    }
}

impl Rehash<KeyEntry> for KeyHasher {
    #[inline]
    fn hash(&self, entry: &KeyEntry) -> u64 {
        self.hash_key(entry.key())
    }

    #[inline]
    fn prefetch(&self, entry: &KeyEntry) {
        prefetch_line(entry.address());
    }
}

#[cfg(test)]
mod tests;
