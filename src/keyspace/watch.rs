//! Which clients watch which keys. Knows clients only by number. The main thread's.
//!
//! The rule about expiry is Redis': a key that had expired already when it was watched does not count as modified when
//! it is removed for that; one that expires after WATCH makes EXEC fail, even where nobody came upon it (EXEC asks
//! `keys_of` and looks).

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use super::KeyState;

#[derive(Clone, Copy, Debug)]
struct Watcher {
    client: u64,
    /// The key was there, but expired, when it was watched, and has not been touched since.
    stale: bool,
}

/// A key and the database it is watched in.
type WatchedKey = (usize, Box<[u8]>);

/// The watched keys of all databases. Trees, so that a run from a seed repeats exactly.
#[derive(Default)]
pub struct WatchTable {
    keys: BTreeMap<usize, BTreeMap<Box<[u8]>, Vec<Watcher>>>,
    clients: BTreeMap<u64, Vec<WatchedKey>>,
}

impl WatchTable {
    /// Whether nobody watches anything: asked after every write.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// Notes that `client` watches a key; `state` is how the key is found now. Returns false if it did so before.
    pub fn watch(&mut self, db: usize, key: &[u8], client: u64, state: KeyState) -> bool {
        let watchers = self.keys.entry(db).or_default().entry(key.into()).or_default();
        if watchers.iter().any(|watcher| watcher.client == client) {
            return false;
        }
        watchers.push(Watcher { client, stale: state == KeyState::Expired });
        self.clients.entry(client).or_default().push((db, key.into()));
        true
    }

    /// Forgets all that `client` watches.
    pub fn unwatch_all(&mut self, client: u64) {
        for (db, key) in self.clients.remove(&client).unwrap_or_default() {
            let keys = self.keys.get_mut(&db).expect("a client's keys are in the table");
            let watchers = keys.get_mut(&key).expect("a client's keys are in the table");
            watchers.retain(|watcher| watcher.client != client);
            if watchers.is_empty() {
                keys.remove(&key);
            }
            if keys.is_empty() {
                self.keys.remove(&db);
            }
        }
    }

    /// The clients whose transaction fails now that a key was modified; `exists` says whether it is there still.
    pub fn touched(&mut self, db: usize, key: &[u8], exists: bool) -> Vec<u64> {
        let after = if exists { KeyState::Live } else { KeyState::Absent };
        let watchers = self.keys.get_mut(&db).and_then(|keys| keys.get_mut(key));
        let Some(watchers) = watchers else { return Vec::new() };
        watchers.iter_mut().filter_map(|watcher| touch(watcher, KeyState::Live, after)).collect()
    }

    /// The clients whose transactions fail when the contents of a database change at once (a flush, an exchange).
    /// `before` and `after` tell how a key was and will be found. In the order of keys; a client may appear twice.
    pub fn touched_all(
        &mut self,
        db: usize,
        before: impl Fn(&[u8]) -> KeyState,
        after: impl Fn(&[u8]) -> KeyState,
    ) -> Vec<u64> {
        let Some(keys) = self.keys.get_mut(&db) else { return Vec::new() };
        let mut clients = Vec::new();
        for (key, watchers) in keys {
            let (before, after) = (before(key), after(key));
            if before != KeyState::Absent || after != KeyState::Absent {
                clients.extend(watchers.iter_mut().filter_map(|watcher| touch(watcher, before, after)));
            }
        }
        clients
    }

    /// What a client watches: database, key, and whether the key had expired before it was watched.
    pub fn keys_of(&self, client: u64) -> impl Iterator<Item = (usize, &[u8], bool)> {
        self.clients.get(&client).into_iter().flatten().map(move |(db, key)| {
            let watchers = self.keys.get(db).and_then(|keys| keys.get(key));
            let stale = watchers.into_iter().flatten().any(|watcher| watcher.client == client && watcher.stale);
            (*db, &key[..], stale)
        })
    }

    /// How many keys a client watches.
    pub fn count_of(&self, client: u64) -> usize {
        self.clients.get(&client).map_or(0, Vec::len)
    }

    /// How many clients watch anything.
    pub fn clients_len(&self) -> usize {
        self.clients.len()
    }

    /// How many keys are watched; one that several clients watch counts once.
    pub fn keys_len(&self) -> usize {
        self.keys.values().map(BTreeMap::len).sum()
    }
}

/// The client, if this change of a key counts for it.
fn touch(watcher: &mut Watcher, before: KeyState, after: KeyState) -> Option<u64> {
    match after {
        // What had expired before it was watched is now gone: no change that a client could see.
        KeyState::Absent if watcher.stale => watcher.stale = false,
        KeyState::Expired if watcher.stale => {}
        // An expired key takes the place of none.
        KeyState::Expired if before == KeyState::Absent => watcher.stale = true,
        _ => return Some(watcher.client),
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_reaches_those_who_watch_the_key() {
        let mut table = WatchTable::default();
        assert!(table.is_empty());
        assert!(table.watch(0, b"a", 1, KeyState::Live));
        assert!(!table.watch(0, b"a", 1, KeyState::Live));
        assert!(table.watch(0, b"a", 2, KeyState::Absent));
        assert!(table.watch(1, b"a", 3, KeyState::Live));
        assert_eq!(table.touched(0, b"a", true), [1, 2]);
        assert_eq!(table.touched(0, b"b", true), []);
        assert_eq!((table.keys_len(), table.clients_len(), table.count_of(1)), (2, 3, 1));
        table.unwatch_all(1);
        assert_eq!(table.touched(0, b"a", false), [2]);
        table.unwatch_all(2);
        table.unwatch_all(3);
        assert!(table.is_empty());
        assert_eq!(table.keys_len(), 0);
    }

    #[test]
    fn the_removal_of_a_key_that_had_expired_before_does_not_count() {
        let mut table = WatchTable::default();
        table.watch(0, b"a", 1, KeyState::Expired);
        assert_eq!(table.keys_of(1).collect::<Vec<_>>(), [(0, &b"a"[..], true)]);
        assert_eq!(table.touched(0, b"a", false), []);
        // From now on it is watched as a missing key.
        assert_eq!(table.keys_of(1).collect::<Vec<_>>(), [(0, &b"a"[..], false)]);
        assert_eq!(table.touched(0, b"a", true), [1]);
    }

    #[test]
    fn overwriting_a_key_that_had_expired_before_counts() {
        let mut table = WatchTable::default();
        table.watch(0, b"a", 1, KeyState::Expired);
        assert_eq!(table.touched(0, b"a", true), [1]);
    }

    #[test]
    fn a_flush_counts_for_keys_that_were_there() {
        let mut table = WatchTable::default();
        table.watch(0, b"live", 1, KeyState::Live);
        table.watch(0, b"missing", 2, KeyState::Absent);
        table.watch(0, b"stale", 3, KeyState::Expired);
        table.watch(1, b"live", 4, KeyState::Live);
        let before = |key: &[u8]| match key {
            b"live" => KeyState::Live,
            b"stale" => KeyState::Expired,
            _ => KeyState::Absent,
        };
        assert_eq!(table.touched_all(0, before, |_| KeyState::Absent), [1]);
        // An exchange that brings the missing key, then one that brings it expired.
        assert_eq!(table.touched_all(0, |_| KeyState::Absent, |_| KeyState::Expired), []);
        assert!(table.keys_of(2).all(|(_, _, stale)| stale));
        assert_eq!(table.touched_all(0, |_| KeyState::Absent, |_| KeyState::Live), [1, 2, 3]);
    }
}
