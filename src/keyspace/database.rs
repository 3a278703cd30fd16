//! HOT PATH. One database: a table of entries and a table of the hashes of those that expire. The main thread's.
//!
//! Keys are removed lazily: a call that comes upon an expired key removes it first and then behaves as if it had never
//! been there. Callers bring the key's hash, so that a batch of commands can compute it once and prefetch with it.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::num::NonZeroU64;
use std::ops::Deref;

use super::access::{Access, FrequencyRules};
use super::{Garbage, KeyHasher, LazyRules};
use crate::base::equality::same;
use crate::base::rng::Rng;
use crate::encoding::table::{Position, Rehash, Table};
use crate::types::held::{PACKED_MAX, Room};
use crate::types::{Collection, KeyEntry, NewValue, Value, WrongType};

/// Buckets that a scan looks into at most, for each key it was asked for: as SCAN's in Redis.
const SCAN_BUCKETS_PER_KEY: usize = 10;

/// Choices of an expired key before one of them is answered, where none may be removed.
const RANDOM_TRIES_MAX: usize = 100;

/// What SET does about the expiry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetExpire {
    /// The key will not expire.
    Clear,
    /// What was, stays.
    Keep,
    /// The key expires at this Unix time in milliseconds.
    At(i64),
}

/// How a key is found without touching it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// It is not there.
    Absent,
    /// It is there.
    Live,
    /// It is there still, but its time is over.
    Expired,
}

/// What expired, and under which key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expired {
    /// The key.
    pub key: Box<[u8]>,
    /// What of it.
    pub what: ExpiredPart,
}

/// What expired of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExpiredPart {
    /// The key itself.
    Key,
    /// Fields of its hash.
    Fields,
    /// All that its hash had: the key is gone with them.
    AllFields,
}

/// A database.
pub struct Database {
    pub(super) table: Table<KeyEntry>,
    /// The hashes of the keys that expire: active expiry finds them through these.
    pub(super) expires: Table<NonZeroU64>,
    /// Hashes of which fields expire: the time each is listed under, and the hash of its key.
    pub(super) timed: BTreeSet<(i64, u64)>,
    pub(super) hasher: KeyHasher,
    pub(super) access: Access,
    observes_expired: bool,
    keeps_expired: bool,
    expired: Vec<Expired>,
    expired_count: u64,
    lazy: LazyRules,
    left_behind: Garbage,
    /// Where values that lie beside their keys are changed.
    pub(super) room: Room,
    pub(super) expire_cursor: u64,
    pub(super) average_ttl_ms: i64,
}

/// How the table of expiring keys hashes its items again.
#[inline]
pub(super) fn rehash_expires(hash: &NonZeroU64) -> u64 {
    hash.get()
}

/// Under which time the hash of an entry, if it is one, is listed.
pub(super) fn listed_ms(entry: &KeyEntry) -> Option<i64> {
    match entry.whole() {
        Some(Value::Other(Collection::Hash(hash))) => hash.listed_ms(),
        _ => None,
    }
}

impl Database {
    pub(super) fn new(hasher: KeyHasher) -> Database {
        Database {
            table: Table::new(),
            expires: Table::new(),
            timed: BTreeSet::new(),
            hasher,
            access: Access::new(),
            observes_expired: false,
            keeps_expired: false,
            expired: Vec::new(),
            expired_count: 0,
            lazy: LazyRules::default(),
            left_behind: Garbage::default(),
            room: Room::default(),
            expire_cursor: 0,
            average_ttl_ms: 0,
        }
    }

    /// The hash of a key: the same in every database, never 0.
    #[inline]
    pub fn hash(&self, key: &[u8]) -> u64 {
        self.hasher.hash_key(key)
    }

    /// Asks for a key's bucket to be brought near. Called for each command of a batch before any runs.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        self.table.prefetch_bucket(hash);
    }

    /// Asks for a key's entry to be brought near. Called some time after `prefetch_bucket`. Returns whether it may be in an
    /// overflow bucket: see `prefetch_overflow`.
    #[inline]
    pub fn prefetch_entry(&self, hash: u64) -> bool {
        self.table.prefetch_items(hash, KeyEntry::address)
    }

    /// The same for what is in the overflow bucket, some time after `prefetch_entry`.
    #[inline]
    pub fn prefetch_overflow(&self, hash: u64) {
        self.table.prefetch_overflow(hash, KeyEntry::address);
    }

    /// Where a key lies that has not expired. An expired one is removed.
    #[inline]
    pub(super) fn find(&mut self, key: &[u8], hash: u64, now_ms: i64) -> Option<Position> {
        self.find_live(key, hash, now_ms, false)
    }

    /// The same; `reading` leaves an expired one where it is while it has to be kept.
    #[inline]
    fn find_live(&mut self, key: &[u8], hash: u64, now_ms: i64, reading: bool) -> Option<Position> {
        let mut due = false;
        let at = self.table.find(hash, |entry| {
            let found = same(entry.key(), key);
            due = found && entry.is_due(now_ms);
            found
        })?;
        if due {
            if !(reading && self.keeps_expired) {
                self.remove_expired(at, hash);
            }
            return None;
        }
        Some(at)
    }

    #[cold]
    pub(super) fn remove_expired(&mut self, at: Position, hash: u64) {
        let entry = self.table.remove_at(at).expect("the position was just found");
        self.forget_expire(hash);
        self.forget_listed(&entry, hash);
        self.expired_count += 1;
        self.observe(entry.key(), ExpiredPart::Key);
        if self.lazy.expire {
            self.left_behind.take_in(entry);
        }
    }

    /// Keeps the name of a key of which something expired, if anybody wants to know it.
    pub(super) fn observe(&mut self, key: &[u8], what: ExpiredPart) {
        if self.observes_expired {
            self.expired.push(Expired { key: key.into(), what });
        }
    }

    /// A hash whose fields expire is listed under another time than before, or not any more: active expiry finds it
    /// through that. Called with what its `listed_ms` was and is.
    pub fn relist(&mut self, hash: u64, before: Option<i64>, after: Option<i64>) {
        if before != after {
            self.timed.extend(after.map(|at_ms| (at_ms, hash)));
            if let Some(at_ms) = before {
                self.timed.remove(&(at_ms, hash));
            }
        }
    }

    #[inline]
    fn forget_listed(&mut self, entry: &KeyEntry, hash: u64) {
        if !self.timed.is_empty() {
            self.relist(hash, listed_ms(entry), None);
        }
    }

    /// The entry of a key, which counts as a use of it.
    #[inline]
    pub fn get(&mut self, key: &[u8], hash: u64, now_ms: i64) -> Option<&KeyEntry> {
        let at = self.find_live(key, hash, now_ms, true)?;
        let entry = self.table.at(at)?;
        self.access.touch(entry);
        Some(entry)
    }

    /// The entry of a key for those who only ask about it: no use.
    #[inline]
    pub fn peek(&mut self, key: &[u8], hash: u64, now_ms: i64) -> Option<&KeyEntry> {
        let at = self.find_live(key, hash, now_ms, true)?;
        self.table.at(at)
    }

    /// The same whether it has expired or not; one that has stays.
    pub fn peek_stored(&self, key: &[u8], hash: u64) -> Option<&KeyEntry> {
        self.table.get(hash, |entry| same(entry.key(), key))
    }

    /// The entry of a key, to change its value: a use.
    #[inline]
    pub fn get_mut(&mut self, key: &[u8], hash: u64, now_ms: i64) -> Option<EntryMut<'_>> {
        let at = self.find(key, hash, now_ms)?;
        let entry = self.table.at_mut(at)?;
        self.access.touch(entry);
        Some(EntryMut(entry))
    }

    /// Whether a key exists.
    #[inline]
    pub fn exists(&mut self, key: &[u8], hash: u64, now_ms: i64) -> bool {
        self.find_live(key, hash, now_ms, true).is_some()
    }

    /// How a key is found, without removing it where it has expired: WATCH asks this.
    pub fn state_of(&self, key: &[u8], hash: u64, now_ms: i64) -> KeyState {
        match self.table.get(hash, |entry| entry.key() == key) {
            None => KeyState::Absent,
            Some(entry) if entry.is_due(now_ms) => KeyState::Expired,
            Some(_) => KeyState::Live,
        }
    }

    /// Stores a value under a key, which is no hash whose fields expire: `put` takes those. Returns whether the key existed. A value of the same kind and about the same length
    /// overwrites the old one in place.
    #[inline]
    pub fn set(&mut self, key: &[u8], hash: u64, value: NewValue<'_>, expire: SetExpire, now_ms: i64) -> bool {
        match self.find(key, hash, now_ms) {
            Some(at) => {
                self.overwrite(at, key, hash, value, expire);
                true
            }
            None => {
                let expire_ms = match expire {
                    SetExpire::At(at_ms) => Some(at_ms),
                    SetExpire::Clear | SetExpire::Keep => None,
                };
                self.insert_new(hash, KeyEntry::new(key, value, expire_ms));
                false
            }
        }
    }

    #[inline]
    fn overwrite(&mut self, at: Position, key: &[u8], hash: u64, value: NewValue<'_>, expire: SetExpire) {
        if !self.timed.is_empty() {
            let listed = self.table.at(at).and_then(listed_ms);
            self.relist(hash, listed, None);
        }
        let entry = self.table.at_mut(at).expect("the position was just found");
        if self.lazy.server_del
            && entry.whole().is_some_and(Garbage::is_worth)
            && let Some(former) = entry.take_whole()
        {
            self.left_behind.take_in_value(former);
        }
        self.access.touch(entry);
        let stamp = entry.lru();
        let expired_before = entry.expire_ms().is_some();
        let expire_ms = match expire {
            SetExpire::Clear => None,
            SetExpire::Keep => entry.expire_ms(),
            SetExpire::At(at_ms) => Some(at_ms),
        };
        if expired_before == expire_ms.is_some() {
            entry.set_expire(expire_ms);
            entry.set_value(value);
        } else {
            *entry = KeyEntry::new(key, value, expire_ms);
        }
        entry.set_lru(stamp);
        self.note_expire(hash, expired_before, expire_ms.is_some());
    }

    /// Adds an entry whose key is known to be absent.
    #[inline]
    pub(super) fn insert_new(&mut self, hash: u64, entry: KeyEntry) {
        entry.set_lru(self.access.birth_stamp());
        self.note_expire(hash, false, entry.expire_ms().is_some());
        self.table.insert_unique(hash, entry, &self.hasher);
    }

    /// Keeps the table of expiring keys in step with an entry.
    #[inline]
    fn note_expire(&mut self, hash: u64, before: bool, after: bool) {
        if before == after {
            return;
        }
        if before {
            self.forget_expire(hash);
        } else {
            let item = NonZeroU64::new(hash).expect("hashes of keys are never 0");
            self.expires.insert_unique(hash, item, &rehash_expires);
        }
    }

    fn forget_expire(&mut self, hash: u64) {
        let removed = self.expires.remove(hash, |item| item.get() == hash);
        debug_assert!(removed.is_some(), "the hash of every key that expires is kept");
    }

    /// Removes a key as part of something else. Returns whether it existed.
    #[inline]
    pub fn remove(&mut self, key: &[u8], hash: u64, now_ms: i64) -> bool {
        self.remove_lazily(key, hash, now_ms, self.lazy.server_del)
    }

    /// Removes a key because its time is over from now on. Returns whether it existed.
    pub fn expire_now(&mut self, key: &[u8], hash: u64, now_ms: i64) -> bool {
        self.remove_lazily(key, hash, now_ms, self.lazy.expire)
    }

    /// Removes a key, and leaves its value behind if that is big and `later`.
    #[inline]
    fn remove_lazily(&mut self, key: &[u8], hash: u64, now_ms: i64, later: bool) -> bool {
        let entry = self.take(key, hash, now_ms);
        self.leave_behind(entry, later)
    }

    /// Drops a removed entry, or leaves its value behind if that is big and `later`. Returns whether there is one.
    #[inline]
    fn leave_behind(&mut self, entry: Option<KeyEntry>, later: bool) -> bool {
        let Some(entry) = entry else { return false };
        if later {
            self.left_behind.take_in(entry);
        }
        true
    }

    /// Removes a key whether it has expired or not, as one that was there.
    pub fn remove_stored(&mut self, key: &[u8], hash: u64) -> bool {
        let at = self.table.find(hash, |entry| same(entry.key(), key));
        let entry = at.and_then(|at| self.take_at(at, hash));
        self.leave_behind(entry, self.lazy.server_del)
    }

    /// Removes a key and hands its entry over: to be read once more, or dropped where it costs nobody time.
    #[inline]
    pub fn take(&mut self, key: &[u8], hash: u64, now_ms: i64) -> Option<KeyEntry> {
        let at = self.find(key, hash, now_ms)?;
        self.take_at(at, hash)
    }

    #[inline]
    pub(super) fn take_at(&mut self, at: Position, hash: u64) -> Option<KeyEntry> {
        let entry = self.table.remove_at(at)?;
        self.note_expire(hash, entry.expire_ms().is_some(), false);
        self.forget_listed(&entry, hash);
        Some(entry)
    }

    /// Gives the value and expiry of `from` the key `to`, in the place of what was there. Returns whether `from`
    /// existed. Each key comes with its hash.
    pub fn rename(&mut self, from: (&[u8], u64), to: (&[u8], u64), now_ms: i64) -> bool {
        if from.0 == to.0 {
            return self.exists(from.0, from.1, now_ms);
        }
        let Some(mut entry) = self.take(from.0, from.1, now_ms) else { return false };
        self.remove(to.0, to.1, now_ms);
        entry.set_key(to.0);
        self.relist(to.1, None, listed_ms(&entry));
        self.insert_new(to.1, entry);
        true
    }

    /// Stores an entry in the place of what its key held, if anything. A small collection goes beside its key.
    pub fn put(&mut self, hash: u64, mut entry: KeyEntry, now_ms: i64) {
        entry.pack(PACKED_MAX);
        self.remove(entry.key(), hash, now_ms);
        self.relist(hash, None, listed_ms(&entry));
        self.insert_new(hash, entry);
    }

    /// Sets or clears when a key expires, even to a time that has passed. Returns whether the key is there.
    pub fn set_expire(&mut self, key: &[u8], hash: u64, expire_ms: Option<i64>) -> bool {
        let Some(entry) = self.table.get_mut(hash, |entry| entry.key() == key) else { return false };
        let before = entry.expire_ms().is_some();
        entry.set_expire(expire_ms);
        self.note_expire(hash, before, expire_ms.is_some());
        true
    }

    /// When a key expires: `None` where there is no key, `Some(None)` where it stays for ever.
    #[inline]
    pub fn expire_of(&mut self, key: &[u8], hash: u64, now_ms: i64) -> Option<Option<i64>> {
        self.peek(key, hash, now_ms).map(KeyEntry::expire_ms)
    }

    /// How many keys there are, expired ones that nobody came upon included.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// How many keys expire.
    pub fn expires_len(&self) -> usize {
        self.expires.len()
    }

    /// How many hashes are listed because fields of theirs expire, or did.
    pub fn timed_len(&self) -> usize {
        self.timed.len()
    }

    /// How long keys that expire still have on average, in milliseconds, as active expiry saw them.
    pub fn avg_ttl(&self) -> i64 {
        self.average_ttl_ms
    }

    /// How many keys expired here since the start.
    pub fn expired_count(&self) -> u64 {
        self.expired_count
    }

    /// Bytes of the tables' own memory, entries not counted.
    pub fn table_bytes(&self) -> usize {
        self.table.bytes() + self.expires.bytes()
    }

    /// The same for each: the table of keys, and the table of those that expire.
    pub fn tables_bytes(&self) -> [usize; 2] {
        [self.table.bytes(), self.expires.bytes()]
    }

    /// How many of the two tables are growing or shrinking.
    pub fn moving_tables(&self) -> usize {
        usize::from(self.table.is_moving()) + usize::from(self.expires.is_moving())
    }

    /// The lengths of the buckets of both tables: `bucket_lens` of the table of keys and of the table of those that expire.
    pub fn bucket_lens(&self) -> [Vec<usize>; 2] {
        [self.table.bucket_lens(), self.expires.bucket_lens()]
    }

    /// Buckets of the main table, as DEBUG HTSTATS and logs show them.
    pub fn buckets(&self) -> usize {
        self.table.buckets()
    }

    /// Whether reading leaves expired keys where they are.
    pub fn keep_expired(&mut self, wanted: bool) {
        self.keeps_expired = wanted;
    }

    /// Whether it does.
    pub fn keeps_expired(&self) -> bool {
        self.keeps_expired
    }

    /// Whether the names of keys that expire are kept from now on: WATCH and notifications need them.
    pub fn observe_expired(&mut self, wanted: bool) {
        self.observes_expired = wanted;
        if !wanted {
            self.expired = Vec::new();
        }
    }

    /// The names of the keys that expired since the last call, or of which fields did in a cycle, if they are observed.
    /// Taken after each command and each cycle, so that there are never more than one command names or one cycle samples.
    pub fn take_expired(&mut self) -> Vec<Expired> {
        std::mem::take(&mut self.expired)
    }

    /// Whether `take_expired` has something: cheap, for asking after every command.
    #[inline]
    pub fn has_expired(&self) -> bool {
        !self.expired.is_empty()
    }

    /// Which values are left for later from now on.
    pub fn set_lazy(&mut self, rules: LazyRules) {
        self.lazy = rules;
    }

    /// What was left for later since the last call.
    #[inline]
    pub fn take_left_behind(&mut self) -> Option<Garbage> {
        (!self.left_behind.is_empty()).then(|| std::mem::take(&mut self.left_behind))
    }

    /// How many objects `take_left_behind` would hand over.
    pub fn left_behind_len(&self) -> usize {
        self.left_behind.len()
    }

    /// Tells the time to the stamps of entries, and whether they tell of frequency.
    pub fn set_access(&mut self, now_s: i64, frequency: Option<FrequencyRules>) {
        self.access.set(now_s, frequency);
    }

    /// Whether uses leave the stamps alone from now on. Returns what was so before.
    pub fn mute_access(&mut self, muted: bool) -> bool {
        self.access.mute(muted)
    }

    /// Seconds since an entry with this stamp was used, where stamps tell of recency.
    pub fn idle_s(&self, stamp: u32) -> u32 {
        self.access.idle_s(stamp)
    }

    /// How often an entry with this stamp is used, on a logarithmic scale, where stamps tell of frequency.
    pub fn frequency(&self, stamp: u32) -> u8 {
        self.access.counter(stamp)
    }

    /// Stamps a key as one that was used last that many seconds ago.
    pub fn stamp_idle(&mut self, key: &[u8], hash: u64, idle_s: i64, now_ms: i64) {
        let stamp = self.access.idle_stamp(idle_s);
        if let Some(entry) = self.peek(key, hash, now_ms) {
            entry.set_lru(stamp);
        }
    }

    /// Stamps a key as one that is used that often.
    pub fn stamp_frequency(&mut self, key: &[u8], hash: u64, counter: u8, now_ms: i64) {
        let stamp = self.access.frequency_stamp(counter);
        if let Some(entry) = self.peek(key, hash, now_ms) {
            entry.set_lru(stamp);
        }
    }

    /// A key chosen at random. Expired ones that the choice falls on are removed; where they are kept and all keys may have
    /// expired, one of them is answered in the end, as by Redis.
    pub fn random_key(&mut self, rng: &mut Rng, now_ms: i64) -> Option<&KeyEntry> {
        let mut tries = 0;
        loop {
            let all_expire = self.keeps_expired && self.expires.len() == self.table.len();
            let entry = self.table.random(rng)?;
            let hash = self.hasher.hash(entry);
            tries += 1;
            if !entry.is_due(now_ms) || (all_expire && tries >= RANDOM_TRIES_MAX) {
                let address = entry.address();
                return self.table.get(hash, |entry| entry.address() == address);
            }
            self.remove_due(hash, now_ms);
        }
    }

    /// Removes the expired key of this hash, unless such keys are kept. Returns whether one was removed.
    pub(super) fn remove_due(&mut self, hash: u64, now_ms: i64) -> bool {
        if self.keeps_expired {
            return false;
        }
        let hasher = self.hasher;
        let found = self.table.find(hash, |entry| entry.is_due(now_ms) && hasher.hash(entry) == hash);
        match found {
            Some(at) => {
                self.remove_expired(at, hash);
                true
            }
            None => false,
        }
    }

    /// Visits about `count` keys from `cursor` on and returns the next cursor; 0 starts and ends. A key that is there
    /// throughout the walk is visited at least once. Expired keys are removed instead of visited.
    pub fn scan(&mut self, cursor: u64, count: usize, now_ms: i64, mut visit: impl FnMut(&KeyEntry)) -> u64 {
        let mut due = Vec::new();
        let next = self.scan_with_expired(cursor, count, |entry| {
            if entry.is_due(now_ms) {
                due.push(self.hasher.hash(entry));
            } else {
                visit(entry);
            }
        });
        for hash in due {
            self.remove_due(hash, now_ms);
        }
        next
    }

    /// The same, but expired keys are visited like others and stay: SCAN removes only those that its pattern matches.
    pub fn scan_with_expired(&self, cursor: u64, count: usize, mut visit: impl FnMut(&KeyEntry)) -> u64 {
        let mut cursor = cursor;
        let mut sampled = 0;
        for _ in 0..count.saturating_mul(SCAN_BUCKETS_PER_KEY).max(1) {
            cursor = self.table.scan(cursor, |entry| {
                sampled += 1;
                visit(entry);
            });
            if cursor == 0 || sampled >= count {
                break;
            }
        }
        cursor
    }

    /// All entries, expired ones that nobody came upon included: KEYS asks `is_due` of each.
    pub fn iter(&self) -> impl Iterator<Item = &KeyEntry> {
        self.table.iter()
    }

    /// Lets the tables grow or shrink by up to `steps` buckets each. Called by the cron; true while there is more to do.
    pub fn step(&mut self, steps: usize) -> bool {
        let entries = self.table.step(steps, &self.hasher);
        let expires = self.expires.step(steps, &rehash_expires);
        entries || expires
    }

    /// Empties the database at once; what was in it goes to `garbage`.
    pub(super) fn flush_into(&mut self, garbage: &mut Garbage) {
        garbage.add(
            std::mem::take(&mut self.table),
            std::mem::take(&mut self.expires),
            std::mem::take(&mut self.timed),
        );
        self.expire_cursor = 0;
        self.average_ttl_ms = 0;
    }
}

/// An entry whose value may be changed; its key and expiry only through the database, which keeps count of them.
pub struct EntryMut<'a>(&'a mut KeyEntry);

impl EntryMut<'_> {
    /// Replaces the value; the expiry stays.
    #[inline]
    pub fn set_value(&mut self, value: NewValue<'_>) {
        self.0.set_value(value);
    }

    /// Replaces the value by an integer: in place where it is one already.
    #[inline]
    pub fn set_int(&mut self, value: i64) {
        self.0.set_int(value);
    }

    /// Appends to a string. Returns the new length.
    pub fn append(&mut self, tail: &[u8]) -> Result<usize, WrongType> {
        self.0.append(tail)
    }

    /// Overwrites a string from `offset` on. Returns the new length.
    pub fn set_range(&mut self, offset: usize, bytes: &[u8]) -> Result<usize, WrongType> {
        self.0.set_range(offset, bytes)
    }

    /// The value where it is neither an integer nor a short string.
    pub fn whole_mut(&mut self) -> Option<&mut Value> {
        self.0.whole_mut()
    }
}

impl Deref for EntryMut<'_> {
    type Target = KeyEntry;

    fn deref(&self) -> &KeyEntry {
        self.0
    }
}
