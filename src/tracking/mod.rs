//! Client-side caching: which clients have to be told when a key changes. A state machine without clocks and sockets: it
//! knows clients by their number and collects what they have to be told; who gets it how is the engine's business. The
//! main thread's.
//!
//! Two ways of tracking: in the default one the keys that a client read are remembered, and it is told once of each; in
//! the broadcasting one a client is told of every changed key that begins with one of its prefixes.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use crate::base::rng::Rng;

/// Keys given up at most before one command while the table is too large; as many more before the next one each time that
/// this does not suffice.
const EVICTIONS_PER_COMMAND: usize = 100;

/// Something that clients have to be told.
#[derive(Debug, PartialEq, Eq)]
pub enum Invalidation {
    /// These clients read the key, and it is no longer what it was. `writer` is the client that changed it, 0 for none.
    #[allow(missing_docs)]
    Key { key: Box<[u8]>, clients: Vec<u64>, writer: u64 },
    /// Everything is gone. All clients that track are told, but `except` (0: none).
    #[allow(missing_docs)]
    Everything { except: u64 },
}

/// Something that a client is told behind the command that it runs. That it is was decided when the key changed: a change of
/// what it tracks comes too late.
#[derive(Debug, PartialEq, Eq)]
pub struct Later {
    /// The client.
    pub client: u64,
    /// The key that changed; without one, everything is gone.
    pub key: Option<Box<[u8]>>,
}

/// Changed keys that begin with a prefix, and who is to be told.
#[derive(Debug, PartialEq, Eq)]
pub struct Broadcast {
    /// Clients, lowest number first.
    pub clients: Vec<u64>,
    /// Keys in order, each with the client that changed it last.
    pub keys: Vec<(Box<[u8]>, u64)>,
}

#[derive(Default)]
struct Prefix {
    clients: BTreeSet<u64>,
    changed: BTreeMap<Box<[u8]>, u64>,
}

/// All that is tracked. Trees, so that a run from a seed repeats exactly.
#[derive(Default)]
pub struct Tracking {
    clients: usize,
    keys: BTreeMap<Box<[u8]>, Vec<u64>>,
    items: usize,
    prefixes: BTreeMap<Box<[u8]>, Prefix>,
    pending: Vec<Invalidation>,
    /// What the client that is running is told once its command is over.
    later: Vec<Later>,
    broadcasts_wait: bool,
    /// How often in a row the table has stayed above its limit.
    failures: usize,
}

impl Tracking {
    /// Whether nobody tracks anything, and nothing is remembered of those who did.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.clients == 0 && self.keys.is_empty()
    }

    /// Whether anybody tracks.
    #[inline]
    pub fn has_clients(&self) -> bool {
        self.clients != 0
    }

    /// How many clients track.
    pub fn clients_len(&self) -> usize {
        self.clients
    }

    /// How many keys are remembered.
    pub fn keys_len(&self) -> usize {
        self.keys.len()
    }

    /// How many times a client and a key are remembered together.
    pub fn items_len(&self) -> usize {
        self.items
    }

    /// How many prefixes there are.
    pub fn prefixes_len(&self) -> usize {
        self.prefixes.len()
    }

    /// One more client tracks.
    pub fn start(&mut self) {
        self.clients += 1;
    }

    /// A client that tracked does so no longer; `prefixes` were its own. What it read stays remembered, as in Redis:
    /// it is told of that if it tracks again before the key changes.
    pub fn stop(&mut self, client: u64, prefixes: &[Box<[u8]>]) {
        self.clients -= 1;
        for prefix in prefixes {
            if let Some(entry) = self.prefixes.get_mut(prefix) {
                entry.clients.remove(&client);
                if entry.clients.is_empty() {
                    self.prefixes.remove(prefix);
                }
            }
        }
    }

    /// `client` is told of every key that begins with `prefix`.
    pub fn add_prefix(&mut self, client: u64, prefix: &[u8]) {
        self.prefixes.entry(prefix.into()).or_default().clients.insert(client);
    }

    /// `client` read `key`.
    pub fn remember(&mut self, key: &[u8], client: u64) {
        match self.keys.get_mut(key) {
            Some(clients) if clients.contains(&client) => {}
            Some(clients) => {
                clients.push(client);
                self.items += 1;
            }
            None => {
                self.keys.insert(key.into(), vec![client]);
                self.items += 1;
            }
        }
    }

    /// `writer` (0: nobody, it expired) changed `key`.
    pub fn changed(&mut self, key: &[u8], writer: u64) {
        if !self.prefixes.is_empty() {
            for (prefix, entry) in &mut self.prefixes {
                if key.starts_with(prefix) {
                    entry.changed.insert(key.into(), writer);
                    self.broadcasts_wait = true;
                }
            }
        }
        self.forget(key, writer);
    }

    /// Takes a key out of the table, and notes who has to be told.
    fn forget(&mut self, key: &[u8], writer: u64) {
        if let Some((key, clients)) = self.keys.remove_entry(key) {
            self.items -= clients.len();
            if self.clients != 0 {
                self.pending.push(Invalidation::Key { key, clients, writer });
            }
        }
    }

    /// A command has emptied databases. What is remembered is gone; every client is told but `except`.
    pub fn flushed(&mut self, except: u64) {
        self.keys.clear();
        self.items = 0;
        if self.clients != 0 {
            self.pending.push(Invalidation::Everything { except });
        }
    }

    /// Gives up keys while more than `keys_max` (0: any number) are remembered, a limited number at a time.
    pub fn keep_below(&mut self, keys_max: usize, rng: &mut Rng) {
        let within = |keys: usize| keys_max == 0 || keys <= keys_max;
        for _ in 0..EVICTIONS_PER_COMMAND.saturating_mul(self.failures + 1) {
            if within(self.keys.len()) {
                break;
            }
            let Some(key) = random_key(&self.keys, rng) else { return };
            self.forget(&key, 0);
        }
        self.failures = if within(self.keys.len()) { 0 } else { self.failures + 1 };
    }

    /// Takes the keys that `client` has to be told of out of what waits: where it is to hear of them at once.
    pub fn take_pending_of(&mut self, client: u64) -> Vec<Box<[u8]>> {
        let mut keys = Vec::new();
        for invalidation in &mut self.pending {
            if let Invalidation::Key { key, clients, .. } = invalidation
                && let Some(at) = clients.iter().position(|known| *known == client)
            {
                clients.remove(at);
                keys.push(key.clone());
            }
        }
        keys
    }

    /// What clients have to be told since the last call, in order.
    pub fn take_pending(&mut self) -> Vec<Invalidation> {
        std::mem::take(&mut self.pending)
    }

    /// Whether clients have to be told anything.
    #[inline]
    pub fn is_pending(&self) -> bool {
        !self.pending.is_empty()
    }

    /// Keeps something until [`Tracking::take_later`].
    pub fn keep_for_later(&mut self, later: Later) {
        self.later.push(later);
    }

    /// What was kept, which has to be told now.
    #[inline]
    pub fn take_later(&mut self) -> Vec<Later> {
        std::mem::take(&mut self.later)
    }

    /// Whether broadcasts wait.
    #[inline]
    pub fn has_broadcasts(&self) -> bool {
        self.broadcasts_wait
    }

    /// The broadcasts that wait, in the order of their prefixes.
    pub fn take_broadcasts(&mut self) -> Vec<Broadcast> {
        self.broadcasts_wait = false;
        let changed = self.prefixes.values_mut().filter(|prefix| !prefix.changed.is_empty());
        changed
            .map(|prefix| Broadcast {
                clients: prefix.clients.iter().copied().collect(),
                keys: std::mem::take(&mut prefix.changed).into_iter().collect(),
            })
            .collect()
    }
}

/// A key chosen at random, though not each with the same chance: down the tree that the keys' bytes make, one branch at a
/// time, as Redis does it.
fn random_key(keys: &BTreeMap<Box<[u8]>, Vec<u64>>, rng: &mut Rng) -> Option<Box<[u8]>> {
    let mut first = keys.first_key_value()?.0;
    let mut last = keys.last_key_value()?.0;
    while first != last {
        // Everything between the two has this much in common.
        let common = first.iter().zip(last).take_while(|(left, right)| left == right).count();
        // Byte 0 stands for the key that ends here.
        let from = first.get(common).map_or(0, |byte| usize::from(*byte) + 1);
        let until = usize::from(last[common]) + 1;
        let Some(byte) = (from + rng.below((until - from + 1) as u64) as usize).checked_sub(1) else {
            return Some(first.clone());
        };
        let start = [&first[..common], &[byte as u8]].concat();
        first = keys.range::<[u8], _>((Bound::Included(&start[..]), Bound::Unbounded)).next()?.0;
        let branch = first[common];
        if branch != last[common] {
            let end = [&first[..common], &[branch + 1]].concat();
            last = keys.range::<[u8], _>((Bound::Unbounded, Bound::Excluded(&end[..]))).next_back()?.0;
        }
    }
    Some(first.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(text: &str) -> Box<[u8]> {
        text.as_bytes().into()
    }

    #[test]
    fn readers_are_told_once() {
        let mut tracking = Tracking::default();
        tracking.start();
        tracking.start();
        for client in [1, 2, 1] {
            tracking.remember(b"k", client);
        }
        tracking.remember(b"other", 1);
        assert_eq!((tracking.keys_len(), tracking.items_len()), (2, 3));
        tracking.changed(b"k", 7);
        tracking.changed(b"k", 7);
        assert_eq!(tracking.take_pending(), [Invalidation::Key { key: key("k"), clients: vec![1, 2], writer: 7 }]);
        assert_eq!((tracking.keys_len(), tracking.items_len()), (1, 1));
        tracking.flushed(0);
        tracking.flushed(3);
        let told = [0, 3].map(|except| Invalidation::Everything { except });
        assert!(tracking.is_pending());
        assert_eq!(tracking.take_pending(), told);
        assert!(!tracking.is_pending() && tracking.take_later().is_empty());
        let later = || Later { client: 1, key: None };
        (0..2).for_each(|_| tracking.keep_for_later(later()));
        assert!(!tracking.is_pending());
        assert_eq!(tracking.take_later(), [later(), later()]);
        assert!(tracking.take_later().is_empty());
        assert_eq!((tracking.keys_len(), tracking.items_len()), (0, 0));
    }

    #[test]
    fn broadcasts_collect_keys_by_prefix() {
        let mut tracking = Tracking::default();
        tracking.start();
        tracking.add_prefix(1, b"foo");
        tracking.add_prefix(1, b"bar");
        tracking.start();
        tracking.add_prefix(2, b"foo");
        for (name, writer) in [("foo2", 9), ("bar1", 9), ("baz", 9), ("foo1", 9), ("foo2", 8)] {
            tracking.changed(name.as_bytes(), writer);
        }
        assert!(tracking.has_broadcasts());
        let told = tracking.take_broadcasts();
        assert_eq!(told[0], Broadcast { clients: vec![1], keys: vec![(key("bar1"), 9)] });
        assert_eq!(told[1], Broadcast { clients: vec![1, 2], keys: vec![(key("foo1"), 9), (key("foo2"), 8)] });
        assert!(!tracking.has_broadcasts() && tracking.take_broadcasts().is_empty());
        tracking.stop(1, &[key("foo"), key("bar")]);
        assert_eq!(tracking.prefixes_len(), 1);
        tracking.stop(2, &[key("foo")]);
        assert!(tracking.is_empty() && tracking.prefixes_len() == 0);
    }

    #[test]
    fn keys_are_given_up_everywhere() {
        let mut rng = Rng::seeded(3);
        let mut keys: BTreeMap<Box<[u8]>, Vec<u64>> = BTreeMap::new();
        assert_eq!(random_key(&keys, &mut rng), None);
        let names = (0..1000).map(|number| format!("user:{number:04}")).chain(["".to_owned(), "user".to_owned()]);
        keys.extend(names.map(|name| (key(&name), Vec::new())));
        keys.insert([255; 3].into(), Vec::new());
        let mut given_up = Vec::new();
        while let Some(key) = random_key(&keys, &mut rng) {
            assert!(keys.remove(&key).is_some(), "{key:?}");
            given_up.push(key);
        }
        assert_eq!(given_up.len(), 1003);
        for tenth in 0..10 {
            let name = format!("user:0{tenth}");
            let early = given_up[..200].iter().filter(|key| key.starts_with(name.as_bytes())).count();
            assert!((5..60).contains(&early), "{early} of {name}");
        }
    }

    #[test]
    fn the_table_keeps_its_limit() {
        let mut tracking = Tracking::default();
        tracking.start();
        let mut rng = Rng::seeded(1);
        for number in 0..300 {
            tracking.remember(format!("key{number}").as_bytes(), 1);
        }
        tracking.keep_below(0, &mut rng);
        assert_eq!(tracking.keys_len(), 300);
        tracking.keep_below(50, &mut rng);
        assert_eq!((tracking.keys_len(), tracking.take_pending_of(2).len()), (200, 0));
        assert_eq!((tracking.take_pending_of(1).len(), tracking.take_pending().len()), (100, 100));
        tracking.keep_below(50, &mut rng);
        assert_eq!((tracking.keys_len(), tracking.items_len()), (50, 50), "the second time it does twice as much");
    }
}
