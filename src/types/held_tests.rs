//! Values that are lent again and again agree with plain ones, however big they get and wherever they lie.

#![forbid(unsafe_code)]

use super::*;
use crate::base::siphash::SipKey;
use crate::encoding::entry::Stored;
use crate::encoding::listpack::Element;
use crate::encoding::quicklist::Limits;
use crate::types::hash::HashLimits;
use crate::types::list::End;
use crate::types::set::SetLimits;
use crate::types::sorted_set::SortedSetLimits;
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};

const LISTS: Limits = Limits { fill: 40, depth: 0, large_min: 0 };

fn key() -> SipKey {
    SipKey::new(1, 2)
}

fn entry(value: Value) -> KeyEntry {
    KeyEntry::holding(b"key", value, Some(7))
}

fn is_packed(entry: &KeyEntry) -> bool {
    matches!(entry.value(), Stored::Packed(..))
}

fn text(element: Element<'_>) -> String {
    String::from_utf8_lossy(&element.to_cow()).into_owned()
}

/// What holds of an entry between two loans.
fn check(entry: &KeyEntry, room: &Room) {
    assert_eq!((entry.key(), entry.expire_ms(), entry.lru()), (&b"key"[..], Some(7), 5));
    let bytes = match entry.value() {
        Stored::Packed(_, bytes) => bytes.len(),
        _ => 0,
    };
    assert!(bytes <= PACKED_MAX && room.len() <= 2 * PACKED_MAX, "{bytes}, {}", room.len());
    assert_eq!(entry.memory_usage() == entry.allocation_bytes(), is_packed(entry));
}

fn member() -> impl Strategy<Value = String> {
    prop_oneof![6 => "[a-d]{0,2}", 4 => "[a-b]{1,40}", 6 => "-?[1-9][0-9]{0,6}", 1 => "[a]{100,256}"]
}

/// More additions than removals, then the other way round.
fn steps() -> impl Strategy<Value = Vec<(bool, String)>> {
    let some = |odds: f64| prop::collection::vec((prop::bool::weighted(odds), member()), 0..60);
    (some(0.9), some(0.2), some(0.9)).prop_map(|(first, second, third)| [first, second, third].concat())
}

proptest! {
    #[test]
    fn lists(steps in steps()) {
        let (mut entry, mut room, mut model) = (entry(List::default().into()), Room::default(), Vec::<String>::new());
        entry.set_lru(5);
        for (adds, text_of) in steps {
            let mut list: Held<'_, List> = ValueMut::new(&mut entry, &mut room).hold().expect("a list");
            if adds {
                list.make_room([text_of.as_bytes()].into_iter(), LISTS);
                list.push(End::Front, text_of.as_bytes());
                model.insert(0, text_of);
            } else {
                list.pop(End::Back, |_| ());
                list.shrink(LISTS);
                model.pop();
            }
            drop(list);
            check(&entry, &room);
            let list = entry.as_list().expect("a list");
            let mut seen = Vec::new();
            list.each(|element| seen.push(text(element)));
            prop_assert_eq!(&seen, &model);
            prop_assert_eq!((list.len(), list.encoding() == "quicklist"), (model.len(), !is_packed(&entry) && list.encoding() != "listpack"));
        }
    }

    #[test]
    fn sets(steps in steps()) {
        let limits = SetLimits { ints: 50, pack: 40, value: 300, key: key() };
        let (mut entry, mut room, mut model) = (entry(Set::default().into()), Room::default(), BTreeSet::<String>::new());
        entry.set_lru(5);
        for (adds, text_of) in steps {
            let mut set: Held<'_, Set> = ValueMut::new(&mut entry, &mut room).hold().expect("a set");
            if adds {
                prop_assert_eq!(set.add(text_of.as_bytes(), &limits), model.insert(text_of));
            } else {
                prop_assert_eq!(set.remove(text_of.as_bytes()), model.remove(&text_of));
            }
            drop(set);
            check(&entry, &room);
            let set = entry.as_set().expect("a set");
            let mut seen = BTreeSet::new();
            set.each(|member| _ = seen.insert(text(member)));
            prop_assert_eq!(&seen, &model);
            prop_assert_eq!(set.len(), model.len());
            prop_assert!(model.iter().all(|member| set.contains(member.as_bytes())));
        }
    }

    #[test]
    fn hashes(steps in steps()) {
        let limits = HashLimits { entries: 30, value: 300, key: key() };
        let (mut entry, mut room, mut model) = (entry(Hash::default().into()), Room::default(), BTreeMap::<String, String>::new());
        entry.set_lru(5);
        for (adds, name) in steps {
            let mut hash: Held<'_, Hash> = ValueMut::new(&mut entry, &mut room).hold().expect("a hash");
            if adds {
                let value = format!("{name}{}", model.len());
                prop_assert_eq!(hash.set(name.as_bytes(), value.as_bytes(), &limits), model.insert(name, value).is_none());
            } else {
                prop_assert_eq!(hash.remove(name.as_bytes()), model.remove(&name).is_some());
            }
            drop(hash);
            check(&entry, &room);
            let hash = entry.as_hash().expect("a hash");
            let mut seen = BTreeMap::new();
            hash.each(0, |name, value| _ = seen.insert(text(name), text(value)));
            prop_assert_eq!(&seen, &model);
            prop_assert_eq!(hash.len(), model.len());
        }
    }

    #[test]
    fn sorted_sets(steps in steps()) {
        let limits = SortedSetLimits { entries: 30, value: 300, key: key() };
        let (mut entry, mut room, mut model) = (entry(SortedSet::default().into()), Room::default(), BTreeMap::<String, f64>::new());
        entry.set_lru(5);
        for (adds, member) in steps {
            let mut set: Held<'_, SortedSet> = ValueMut::new(&mut entry, &mut room).hold().expect("a sorted set");
            if adds {
                let score = (model.len() % 7) as f64;
                prop_assert_eq!(set.set(member.as_bytes(), score, &limits), model.insert(member, score).is_none());
            } else {
                prop_assert_eq!(set.remove(member.as_bytes()), model.remove(&member).is_some());
            }
            drop(set);
            check(&entry, &room);
            let set = entry.as_sorted_set().expect("a sorted set");
            let mut seen = BTreeMap::new();
            set.each(|member, score| _ = seen.insert(text(member), score));
            prop_assert_eq!(&seen, &model);
            prop_assert_eq!(set.len(), model.len());
        }
    }
}

#[test]
fn a_value_leaves_its_key_when_it_is_big_and_comes_back_when_it_is_small() {
    let (mut entry, mut room) = (entry(List::default().into()), Room::default());
    let mut change = |change: &dyn Fn(&mut List)| {
        change(&mut ValueMut::new(&mut entry, &mut room).hold().expect("a list"));
        (is_packed(&entry), entry.as_list().map(|list| list.len()))
    };
    // Each takes 9 bytes, and 2 are there without any.
    let add = |list: &mut List| list.push(End::Back, b"8 bytes!");
    (0..27).for_each(|_| _ = change(&add));
    assert_eq!(change(&add), (true, Ok(28)));
    assert_eq!(change(&add), (false, Ok(29)));
    let remove = |list: &mut List| _ = list.pop(End::Front, |_| ());
    (0..14).for_each(|_| _ = change(&remove));
    assert_eq!(change(&|_| ()), (false, Ok(15)));
    assert_eq!(change(&remove), (false, Ok(14)));
    assert_eq!(change(&|_| ()), (true, Ok(14)));
}

fn is_lent_as<T: Hold>(entry: &mut KeyEntry) -> bool {
    ValueMut::new(entry, &mut Room::default()).hold::<T>().is_ok()
}

#[test]
fn a_value_is_lent_as_what_it_is_alone() {
    let mut set = Set::default();
    set.add(b"1", &SetLimits { ints: 8, pack: 8, value: 8, key: key() });
    for value in [List::default().into(), Value::from(set), Hash::default().into(), SortedSet::default().into()] {
        let mut entry = entry(value);
        let name = entry.type_name();
        let is_lent = [
            ("list", is_lent_as::<List>(&mut entry)),
            ("set", is_lent_as::<Set>(&mut entry)),
            ("hash", is_lent_as::<Hash>(&mut entry)),
            ("zset", is_lent_as::<SortedSet>(&mut entry)),
        ];
        assert!(is_lent.iter().all(|(kind, lent)| (*kind == name) == *lent), "{name}: {is_lent:?}");
        assert!(entry.as_string().is_err() && entry.inline_mut().is_none());
    }
    let mut string = KeyEntry::new(b"key", NewValue::Inline(b"text"), None);
    assert!(!is_lent_as::<Set>(&mut string));
}
