//! Who waits for which keys, and which of these may hold something by now. Knows clients by the number of their slot. The
//! main thread's.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, VecDeque};

/// A key and its database.
pub type WaitedKey = (usize, Box<[u8]>);

/// The keys that clients wait for. Trees, so that a run from a seed repeats exactly.
#[derive(Default)]
pub struct KeyWaits {
    /// By key the clients, those first that were blocked first.
    keys: BTreeMap<usize, BTreeMap<Box<[u8]>, Vec<u32>>>,
    clients: BTreeMap<u32, Vec<WaitedKey>>,
    /// Keys that changed since they were last taken, each once.
    ready: VecDeque<WaitedKey>,
}

impl KeyWaits {
    /// Whether nobody waits for a key.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// `client` waits for these keys of database `db` from now on. A key that is named twice counts once.
    pub fn wait<'k>(&mut self, client: u32, db: usize, keys: impl Iterator<Item = &'k [u8]>) {
        let of_client = self.clients.entry(client).or_default();
        for key in keys {
            let waiting = self.keys.entry(db).or_default().entry(key.into()).or_default();
            if waiting.last() != Some(&client) {
                waiting.push(client);
                of_client.push((db, key.into()));
            }
        }
    }

    /// `client` waits for no key any more.
    pub fn forget(&mut self, client: u32) {
        for (db, key) in self.clients.remove(&client).unwrap_or_default() {
            let Some(keys) = self.keys.get_mut(&db) else { continue };
            if let Some(waiting) = keys.get_mut(&key) {
                waiting.retain(|other| *other != client);
                if waiting.is_empty() {
                    keys.remove(&key);
                }
            }
            if keys.is_empty() {
                self.keys.remove(&db);
            }
        }
    }

    /// A key was made or changed.
    pub fn changed(&mut self, db: usize, key: &[u8]) {
        let waited = self.keys.get(&db).is_some_and(|keys| keys.contains_key(key));
        if waited && !self.ready.iter().any(|(other_db, other)| *other_db == db && **other == *key) {
            self.ready.push_back((db, key.into()));
        }
    }

    /// All keys of a database may have changed.
    pub fn database_changed(&mut self, db: usize) {
        let keys: Vec<Box<[u8]>> = self.keys.get(&db).into_iter().flat_map(BTreeMap::keys).cloned().collect();
        keys.iter().for_each(|key| self.changed(db, key));
    }

    /// Whether there is a key to be looked at: asked after every command.
    #[inline]
    pub fn any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Takes the key that changed first.
    pub fn take_ready(&mut self) -> Option<WaitedKey> {
        self.ready.pop_front()
    }

    /// Who waits for a key, in the order they were blocked.
    pub fn waiting_for(&self, db: usize, key: &[u8]) -> Vec<u32> {
        self.keys.get(&db).and_then(|keys| keys.get(key)).cloned().unwrap_or_default()
    }

    /// How many keys are waited for.
    pub fn len(&self) -> usize {
        self.keys.values().map(BTreeMap::len).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_become_ready_once_and_in_order() {
        let mut waits = KeyWaits::default();
        waits.wait(1, 0, [&b"a"[..], b"b", b"a"].into_iter());
        waits.wait(2, 0, [&b"b"[..]].into_iter());
        waits.wait(3, 1, [&b"b"[..]].into_iter());
        assert_eq!((waits.len(), waits.any_ready()), (3, false));
        waits.changed(0, b"nobody's");
        waits.changed(0, b"b");
        waits.changed(0, b"a");
        waits.changed(0, b"b");
        assert_eq!(waits.waiting_for(0, b"b"), [1, 2]);
        assert_eq!(waits.waiting_for(0, b"a"), [1]);
        assert_eq!(waits.take_ready(), Some((0, (*b"b").into())));
        assert_eq!(waits.take_ready(), Some((0, (*b"a").into())));
        assert!(!waits.any_ready());
        waits.database_changed(1);
        assert_eq!(waits.take_ready(), Some((1, (*b"b").into())));
        waits.forget(1);
        assert_eq!((waits.len(), waits.waiting_for(0, b"b")), (2, vec![2]));
        waits.forget(2);
        waits.forget(3);
        assert!(waits.is_empty());
        assert_eq!(waits.len(), 0);
    }
}
