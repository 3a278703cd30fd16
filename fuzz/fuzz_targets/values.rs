//! Any bytes as changes of a list, a set, a hash and a sorted set, each in the entry of a key, beside plain vectors and
//! trees. Limits are low, so that every encoding comes up. Both sides hold the same after each change, and everything at
//! the end, also in a copy and in what is read of a dump.

#![no_main]

use std::collections::{BTreeMap, BTreeSet};

use libfuzzer_sys::fuzz_target;
use torc::base::siphash::SipKey;
use torc::encoding::listpack::Element;
use torc::encoding::quicklist::Limits;
use torc::encoding::rdb::Reader;
use torc::types::hash::{Hash, HashLimits};
use torc::types::held::{Held, Room, ValueMut};
use torc::types::list::{End, List};
use torc::types::set::{Set, SetLimits};
use torc::types::snapshot::{self, Restored};
use torc::types::sorted_set::{SortedSet, SortedSetLimits};
use torc::types::{KeyEntry, NewValue, TypeLimits, Value};

/// Changes that one input may make: enough for tables to grow and shrink.
const CHANGES_MAX: usize = 4000;

/// What nodes of lists may take: a byte behind the changes chooses.
const FILLS: [i32; 3] = [4, -1, 60];
/// How many of them at either end are not compressed. With 0 inner ones are folded.
const DEPTHS: [u32; 3] = [1, 0, 2];

/// Integers, short texts, and texts around the sizes from which on they are kept in other ways.
fn text(byte: u8) -> Vec<u8> {
    match byte {
        0..100 => (i64::from(byte) * i64::from(byte) * 77 - 100).to_string().into_bytes(),
        100..200 => vec![byte; usize::from(byte % 8)],
        _ => vec![byte; usize::from(byte - 200) * 11],
    }
}

struct Model {
    entries: [KeyEntry; 4],
    room: Room,
    list: Vec<Vec<u8>>,
    set: BTreeSet<Vec<u8>>,
    hash: BTreeMap<Vec<u8>, Vec<u8>>,
    sorted: BTreeMap<Vec<u8>, i64>,
}

fn entry(value: impl Into<Value>) -> KeyEntry {
    KeyEntry::holding(b"key", value.into(), None)
}

impl Model {
    fn new() -> Model {
        Model {
            entries: [
                entry(List::default()),
                entry(Set::default()),
                entry(Hash::default()),
                entry(SortedSet::default()),
            ],
            room: Room::default(),
            list: Vec::new(),
            set: BTreeSet::new(),
            hash: BTreeMap::new(),
            sorted: BTreeMap::new(),
        }
    }

    fn change_list(&mut self, what: u8, a: u8, b: u8, limits: Limits) {
        let value = ValueMut::new(&mut self.entries[0], &mut self.room);
        let mut list: Held<'_, List> = value.hold().expect("a list");
        let (text, index) = (text(a), usize::from(b) % self.list.len().max(1));
        list.make_room([&text[..]].into_iter(), limits);
        match what {
            0..6 => {
                list.push(End::Back, &text);
                self.list.push(text);
            }
            6..10 => {
                list.push(End::Front, &text);
                self.list.insert(0, text);
            }
            10 | 11 => {
                let popped = list.pop(End::Front, |element| element.to_vec());
                assert_eq!(popped, (!self.list.is_empty()).then(|| self.list.remove(0)));
            }
            12 | 13 => assert_eq!(list.pop(End::Back, |element| element.to_vec()), self.list.pop()),
            14 if !self.list.is_empty() => {
                list.insert_beside(index, a % 2 == 0, &text);
                self.list.insert(index + usize::from(a % 2 == 0), text);
            }
            15 if !self.list.is_empty() => {
                list.replace(index, &text);
                self.list[index] = text;
            }
            16 => {
                list.remove(index, usize::from(a % 8));
                let end = (index + usize::from(a % 8)).min(self.list.len());
                self.list.drain(index.min(end)..end);
            }
            _ => {
                let before = self.list.len();
                let removed = list.remove_equal(&text, usize::MAX, b % 2 == 0);
                self.list.retain(|other| *other != text);
                assert_eq!(removed, before - self.list.len());
            }
        }
        list.shrink(limits);
        assert_eq!(list.len(), self.list.len());
        assert_eq!(list.find(&text_at(&self.list, index)).is_some(), !self.list.is_empty() && index < self.list.len());
    }

    fn change_set(&mut self, what: u8, a: u8, b: u8, limits: &SetLimits) {
        let value = ValueMut::new(&mut self.entries[1], &mut self.room);
        let mut set: Held<'_, Set> = value.hold().expect("a set");
        // Many different ones, so that there are more than one bucket's.
        let text = [text(a), vec![b'0' + b % 10; usize::from(b % 3)]].concat();
        if what < 12 {
            assert_eq!(set.add(&text, limits), self.set.insert(text.clone()));
        } else {
            assert_eq!(set.remove(&text), self.set.remove(&text));
        }
        assert_eq!((set.contains(&text), set.len()), (self.set.contains(&text), self.set.len()));
    }

    fn change_hash(&mut self, what: u8, a: u8, b: u8, limits: &HashLimits) {
        let value = ValueMut::new(&mut self.entries[2], &mut self.room);
        let mut hash: Held<'_, Hash> = value.hold().expect("a hash");
        let (name, value) = (text(a), text(b));
        match what {
            0..12 => {
                let is_new = self.hash.insert(name.clone(), value.clone()).is_none();
                assert_eq!(hash.set(&name, &value, limits), is_new);
            }
            12 => hash.make_timed(limits),
            13 => hash.set_time(&name, (b > 100).then(|| i64::from(b)), limits),
            _ => assert_eq!(hash.remove(&name), self.hash.remove(&name).is_some()),
        }
        assert_eq!(hash.get(&name, 0).map(Element::to_vec), self.hash.get(&name).cloned());
        assert_eq!(hash.len(), self.hash.len());
    }

    fn change_sorted(&mut self, what: u8, a: u8, b: u8, limits: &SortedSetLimits) {
        let value = ValueMut::new(&mut self.entries[3], &mut self.room);
        let mut set: Held<'_, SortedSet> = value.hold().expect("a sorted set");
        let (member, score) = (text(a), i64::from(b % 16) - 8);
        if what < 12 {
            let is_new = self.sorted.insert(member.clone(), score).is_none();
            assert_eq!(set.set(&member, score as f64, limits), is_new);
        } else {
            assert_eq!(set.remove(&member), self.sorted.remove(&member).is_some());
        }
        assert_eq!(set.score(&member), self.sorted.get(&member).map(|score| *score as f64));
        assert_eq!(set.len(), self.sorted.len());
    }

    fn check(&self, entries: &[KeyEntry]) {
        for entry in entries {
            if let Ok(list) = entry.as_list() {
                let mut seen = Vec::new();
                list.each(|element| seen.push(element.to_vec()));
                assert_eq!(seen, self.list);
            } else if let Ok(set) = entry.as_set() {
                let mut seen = BTreeSet::new();
                set.each(|member| assert!(seen.insert(member.to_vec()), "once each"));
                assert_eq!(seen, self.set);
            } else if let Ok(hash) = entry.as_hash() {
                let mut seen = BTreeMap::new();
                hash.each(0, |name, value| assert!(seen.insert(name.to_vec(), value.to_vec()).is_none(), "once each"));
                assert_eq!(seen, self.hash);
            } else if let Ok(set) = entry.as_sorted_set() {
                let mut wanted: Vec<_> = self.sorted.iter().map(|(member, score)| (*score, member.clone())).collect();
                wanted.sort_unstable();
                let mut seen = Vec::new();
                set.each(|member, score| seen.push((score as i64, member.to_vec())));
                assert_eq!(seen, wanted);
            }
        }
    }
}

/// The text there, or one that is nowhere.
fn text_at(list: &[Vec<u8>], index: usize) -> Vec<u8> {
    list.get(index).cloned().unwrap_or_else(|| b"nowhere".to_vec())
}

fuzz_target!(|data: &[u8]| {
    let key = SipKey::new(1, 2);
    let (changes, rest) = data.as_chunks::<3>();
    let lists = usize::from(rest.first().copied().unwrap_or_default());
    let limits = TypeLimits {
        list: Limits { fill: FILLS[lists % 3], depth: DEPTHS[lists / 3 % 3], large_min: 0 },
        set: SetLimits { ints: 6, pack: 6, value: 12, key },
        hash: HashLimits { entries: 6, value: 12, key },
        sorted_set: SortedSetLimits { entries: 6, value: 12, key },
    };
    let mut model = Model::new();
    for change in changes.iter().take(CHANGES_MAX) {
        let [what, a, b] = *change;
        match what % 5 {
            0 => model.change_list(what / 5 % 18, a, b, limits.list),
            1 => model.change_set(what / 5 % 18, a, b, &limits.set),
            2 => model.change_hash(what / 5 % 18, a, b, &limits.hash),
            3 => model.change_sorted(what / 5 % 18, a, b, &limits.sorted_set),
            // The entry is laid out anew.
            _ => model.entries[usize::from(a % 4)].set_expire((b % 2 == 0).then_some(i64::from(b))),
        }
    }
    model.check(&model.entries);
    let copies: Vec<KeyEntry> = model.entries.iter().map(|entry| entry.duplicate(b"another key")).collect();
    model.check(&copies);
    let filled = copies.iter().filter(|entry| {
        entry.as_list().is_ok_and(|list| !list.is_empty())
            || entry.as_set().is_ok_and(|set| !set.is_empty())
            || entry.as_hash().is_ok_and(|hash| !hash.is_empty())
            || entry.as_sorted_set().is_ok_and(|set| !set.is_empty())
    });
    for copy in filled {
        let mut dump = Vec::new();
        snapshot::write(&mut dump, copy, false);
        let Ok(Restored::Other(value)) = snapshot::read(&mut Reader::new(&dump), &limits) else {
            panic!("what was written can be read")
        };
        model.check(&[KeyEntry::new(b"k", NewValue::of(value), None)]);
    }
});
