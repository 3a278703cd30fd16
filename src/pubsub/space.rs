//! Names and who listens to them, both ways: every step takes constant time however many names and listeners there are.
//! The main thread's.
//!
//! ```text
//!   topics   [ name, listeners ]      by name: its place in topics
//!                       |  ^
//!                       v  |  by client: name -> place in that name's listeners
//! ```
//! Both lists are dense: what goes is replaced by the last one, whose place is put right.

#![forbid(unsafe_code)]

use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use crate::base::siphash::SipKey;

/// Listeners that a list has room for whatever happens: below it memory is not given back.
const KEPT_LISTENERS: usize = 16;

/// Hashes names with a secret of the process, so that nobody can aim for collisions; and a run from a seed repeats.
#[derive(Clone, Copy)]
struct Names(SipKey);

struct NameHasher {
    key: SipKey,
    hash: u64,
}

impl BuildHasher for Names {
    type Hasher = NameHasher;

    fn build_hasher(&self) -> NameHasher {
        NameHasher { key: self.0, hash: 0 }
    }
}

impl Hasher for NameHasher {
    fn write(&mut self, bytes: &[u8]) {
        self.hash = self.hash.rotate_left(1) ^ self.key.hash13(bytes);
    }

    /// The length that stands before the bytes of a slice: the hash of the bytes contains it.
    fn write_usize(&mut self, _len: usize) {}

    fn finish(&self) -> u64 {
        self.hash
    }
}

struct Topic {
    name: Arc<[u8]>,
    listeners: Vec<u32>,
}

/// Where a client stands in the listeners of each name.
type Places = HashMap<Arc<[u8]>, u32, Names>;

/// All subscriptions of one kind.
pub(super) struct Space {
    hasher: Names,
    topics: Vec<Topic>,
    by_name: HashMap<Arc<[u8]>, u32, Names>,
    by_client: Vec<Option<Box<Places>>>,
}

impl Space {
    pub(super) fn new(key: SipKey) -> Space {
        let hasher = Names(key);
        Space { hasher, topics: Vec::new(), by_name: HashMap::with_hasher(hasher), by_client: Vec::new() }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.topics.is_empty()
    }

    fn places(&self, client: u32) -> Option<&Places> {
        self.by_client.get(client as usize)?.as_deref()
    }

    pub(super) fn add(&mut self, client: u32, name: &[u8]) -> bool {
        if self.places(client).is_some_and(|places| places.contains_key(name)) {
            return false;
        }
        let at = match self.by_name.get(name) {
            Some(&at) => at,
            None => {
                let (at, name) = (count32(self.topics.len()), Arc::<[u8]>::from(name));
                self.by_name.insert(Arc::clone(&name), at);
                self.topics.push(Topic { name, listeners: Vec::new() });
                at
            }
        };
        let topic = &mut self.topics[at as usize];
        let (name, place) = (Arc::clone(&topic.name), count32(topic.listeners.len()));
        topic.listeners.push(client);
        if self.by_client.len() <= client as usize {
            self.by_client.resize_with(client as usize + 1, || None);
        }
        let hasher = self.hasher;
        let places = self.by_client[client as usize].get_or_insert_with(|| Box::new(HashMap::with_hasher(hasher)));
        places.insert(name, place);
        true
    }

    pub(super) fn remove(&mut self, client: u32, name: &[u8]) -> bool {
        let Some(entry) = self.by_client.get_mut(client as usize) else { return false };
        let Some(places) = entry.as_deref_mut() else { return false };
        let Some(place) = places.remove(name) else { return false };
        if places.is_empty() {
            *entry = None;
        }
        self.leave(name, place);
        true
    }

    pub(super) fn remove_all(&mut self, client: u32) {
        let Some(places) = self.by_client.get_mut(client as usize).and_then(Option::take) else { return };
        for (name, place) in *places {
            self.leave(&name, place);
        }
    }

    /// Takes the listener at `place` out of a name's list, and the name out once nobody is left.
    fn leave(&mut self, name: &[u8], place: u32) {
        let Some(&at) = self.by_name.get(name) else { return };
        let topic = &mut self.topics[at as usize];
        topic.listeners.swap_remove(place as usize);
        if let Some(&moved) = topic.listeners.get(place as usize)
            && let Some(places) = self.by_client[moved as usize].as_deref_mut()
            && let Some(known) = places.get_mut(name)
        {
            *known = place;
        }
        let (len, room) = (topic.listeners.len(), topic.listeners.capacity());
        if len == 0 {
            self.by_name.remove(name);
            self.topics.swap_remove(at as usize);
            if let Some(moved) = self.topics.get(at as usize)
                && let Some(known) = self.by_name.get_mut(&moved.name)
            {
                *known = at;
            }
        } else if room > KEPT_LISTENERS && len <= room / 4 {
            topic.listeners.shrink_to(room / 2);
        }
    }

    pub(super) fn names_of(&self, client: u32) -> impl ExactSizeIterator<Item = &Arc<[u8]>> {
        NamesOf(self.places(client).map(HashMap::keys))
    }

    pub(super) fn names(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.topics.iter().map(|topic| &*topic.name)
    }

    #[inline]
    pub(super) fn listeners(&self, name: &[u8]) -> &[u32] {
        if self.topics.is_empty() {
            return &[];
        }
        self.by_name.get(name).map_or(&[], |&at| &self.topics[at as usize].listeners)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = (&[u8], &[u32])> {
        self.topics.iter().map(|topic| (&*topic.name, &*topic.listeners))
    }
}

/// The names of a client that may have none.
struct NamesOf<'a>(Option<std::collections::hash_map::Keys<'a, Arc<[u8]>, u32>>);

impl<'a> Iterator for NamesOf<'a> {
    type Item = &'a Arc<[u8]>;

    fn next(&mut self) -> Option<&'a Arc<[u8]>> {
        self.0.as_mut()?.next()
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let len = self.0.as_ref().map_or(0, ExactSizeIterator::len);
        (len, Some(len))
    }
}

impl ExactSizeIterator for NamesOf<'_> {}

/// Clients and names are numbered in 32 bits, as slots are.
fn count32(count: usize) -> u32 {
    u32::try_from(count).expect("fewer than 2^32 of them fit in memory")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::base::rng::Rng;

    /// Against sets of pairs: the same answers in any order of steps.
    #[test]
    fn a_space_does_what_a_set_of_pairs_does() {
        let mut space = Space::new(SipKey::new(3, 4));
        let mut model: BTreeSet<(u32, Vec<u8>)> = BTreeSet::new();
        let mut rng = Rng::seeded(5);
        for step in 0..20_000 {
            let word = rng.next_u64();
            let (client, name) = ((word % 40) as u32, format!("name{}", (word >> 8) % 12).into_bytes());
            match (word >> 32) % 20 {
                0 => {
                    space.remove_all(client);
                    model.retain(|(known, _)| *known != client);
                }
                1..10 => assert_eq!(space.add(client, &name), model.insert((client, name.clone())), "step {step}"),
                _ => assert_eq!(space.remove(client, &name), model.remove(&(client, name.clone())), "step {step}"),
            }
            let mut listeners = space.listeners(&name).to_vec();
            listeners.sort_unstable();
            let expected: Vec<u32> = model.iter().filter(|(_, known)| *known == name).map(|(it, _)| *it).collect();
            assert_eq!(listeners, expected, "step {step}");
            let names: BTreeSet<Vec<u8>> = space.names_of(client).map(|name| name.to_vec()).collect();
            let expected = model.iter().filter(|(known, _)| *known == client).map(|(_, name)| name.clone());
            assert_eq!(names, expected.collect(), "step {step}");
            let all: BTreeSet<&Vec<u8>> = model.iter().map(|(_, name)| name).collect();
            assert_eq!((space.names().len(), space.is_empty()), (all.len(), all.is_empty()), "step {step}");
        }
    }

    #[test]
    fn nothing_is_kept_when_nobody_listens() {
        let mut space = Space::new(SipKey::new(3, 4));
        (0..1000).for_each(|client| assert!(space.add(client, b"n")));
        let most = space.topics[0].listeners.capacity();
        (1..1000).for_each(|client| space.remove_all(client));
        assert!(space.topics[0].listeners.capacity() < most / 4);
        assert!(space.remove(0, b"n"));
        assert!(space.topics.is_empty() && space.by_name.is_empty());
        assert!(space.by_client.iter().all(Option::is_none));
    }
}
