//! Lists: one pack while they are small, then a quicklist. Redis' conversions at Redis' limits: a list grows out of its
//! pack before elements are added, and goes back into one after elements were removed. Any one thread.

#![forbid(unsafe_code)]

use std::ops::Deref;

use crate::encoding::listpack::{Element, Listpack};
use crate::encoding::packed::{Packed, ReadPack};
use crate::encoding::quicklist::{Limits, Quicklist};

/// An end of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where LPUSH adds.
    Front,
    /// Where RPUSH adds.
    Back,
}

/// The list. One that a key holds has elements; commands remove the key with the last of them.
#[derive(Clone, Copy, Debug)]
pub enum List<P = Listpack, Q = Box<Quicklist>> {
    /// Few and short elements.
    Pack(P),
    /// Many, or long ones.
    Quick(Q),
}

/// A list to be read, wherever it lies.
pub type ListRef<'a> = List<Packed<'a>, &'a Quicklist>;

impl Default for List {
    fn default() -> List {
        List::Pack(Listpack::new())
    }
}

/// Reading, wherever it lies.
impl<P: ReadPack, Q: Deref<Target = Quicklist>> List<P, Q> {
    /// The encoding as OBJECT ENCODING answers it.
    pub fn encoding(&self) -> &'static str {
        match self {
            List::Pack(_) => "listpack",
            List::Quick(_) => "quicklist",
        }
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            List::Pack(pack) => pack.read().len(),
            List::Quick(quick) => quick.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        match self {
            List::Pack(pack) => pack.read().is_empty(),
            List::Quick(quick) => quick.is_empty(),
        }
    }

    /// Shows the elements from `index` on, forwards or backwards, until `see` has enough.
    pub fn visit(&self, index: usize, backwards: bool, see: &mut dyn FnMut(Element<'_>) -> bool) {
        match self {
            List::Quick(quick) => quick.visit(index, backwards, see),
            List::Pack(pack) => _ = pack.read().visit(index, backwards, see),
        }
    }

    /// Shows all elements.
    pub fn each(&self, mut see: impl FnMut(Element<'_>)) {
        self.visit(0, false, &mut |element| {
            see(element);
            true
        });
    }

    /// The index that one counted from either end means, if there is such an element.
    pub fn index(&self, index: i64) -> Option<usize> {
        let len = self.len();
        let from_front = if index < 0 { index.checked_add(len as i64)? } else { index };
        usize::try_from(from_front).ok().filter(|&index| index < len)
    }

    /// The first element with this text.
    pub fn find(&self, text: &[u8]) -> Option<usize> {
        let wanted = Element::of(text);
        let (mut at, mut found) = (0, false);
        self.visit(0, false, &mut |element| {
            found = element == wanted;
            at += usize::from(!found);
            !found
        });
        found.then_some(at)
    }
}

impl List {
    /// The list to be read.
    #[inline]
    pub fn view(&self) -> ListRef<'_> {
        match self {
            List::Pack(pack) => List::Pack(pack.read()),
            List::Quick(quick) => List::Quick(quick),
        }
    }

    /// A list of nodes: one pack where there is only one that is not too big.
    pub fn of_nodes(quick: Quicklist, limits: Limits) -> List {
        match quick.as_only_pack(limits) {
            Some(pack) => List::Pack(Listpack::copy_of(pack)),
            None => List::Quick(Box::new(quick)),
        }
    }

    /// Bytes behind the list.
    pub fn memory_usage(&self) -> usize {
        match self {
            List::Pack(pack) => pack.memory_usage(),
            List::Quick(quick) => size_of::<Quicklist>() + quick.memory_usage(),
        }
    }

    /// How many allocations freeing it takes, about.
    pub fn effort(&self) -> usize {
        match self {
            List::Pack(_) => 1,
            List::Quick(quick) => quick.nodes_len(),
        }
    }

    /// Called before texts are added: changes the encoding where the pack would be too big with them.
    #[inline]
    pub fn make_room<'t>(&mut self, texts: impl Iterator<Item = &'t [u8]>, limits: Limits) {
        let pack = match self {
            List::Pack(pack) => pack,
            List::Quick(quick) => return quick.set_large_min(limits.large_min),
        };
        let (count, bytes) = texts.fold((0, 0), |(count, bytes), text| (count + 1, bytes + text.len()));
        let len = pack.len() + count;
        if limits.exceeded(pack.bytes_bound() + bytes, len) && limits.exceeded(pack.bytes_len() + bytes, len) {
            let pack = std::mem::take(pack);
            *self = List::Quick(Box::new(Quicklist::from_pack(pack, limits)));
        }
    }

    /// Called after elements were removed: goes back to one pack where that is small enough.
    #[inline]
    pub fn shrink(&mut self, limits: Limits) {
        if let List::Quick(quick) = self
            && let Some(pack) = quick.as_small_pack(limits)
        {
            *self = List::Pack(Listpack::copy_of(pack));
        }
    }

    /// Adds an element. Call [`List::make_room`] before.
    #[inline]
    pub fn push(&mut self, end: End, text: &[u8]) {
        match (self, end) {
            (List::Pack(pack), End::Front) => pack.push_front(text),
            (List::Pack(pack), End::Back) => pack.push_back(text),
            (List::Quick(quick), End::Front) => quick.push_front(text),
            (List::Quick(quick), End::Back) => quick.push_back(text),
        }
    }

    /// Takes an element out, after `see` saw it.
    #[inline]
    pub fn pop<R>(&mut self, end: End, see: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        match (self, end) {
            (List::Quick(quick), End::Front) => quick.pop_front(see),
            (List::Quick(quick), End::Back) => quick.pop_back(see),
            (List::Pack(pack), end) => {
                let place = if end == End::Front { pack.first() } else { pack.last() }?;
                let seen = see(pack.get(place));
                pack.remove(place);
                Some(seen)
            }
        }
    }

    /// Adds an element in front of number `pivot`, or behind it. Call [`List::make_room`] before.
    pub fn insert_beside(&mut self, pivot: usize, behind: bool, text: &[u8]) {
        match self {
            List::Quick(quick) => _ = quick.insert_beside(pivot, behind, text),
            List::Pack(pack) => match (pack.seek(pivot), behind) {
                (Some(place), false) => _ = pack.insert_before(place, text),
                (Some(place), true) => pack.insert_after(place, text),
                (None, _) => {}
            },
        }
    }

    /// Puts another element in the place of number `index`. Call [`List::make_room`] before.
    pub fn replace(&mut self, index: usize, text: &[u8]) {
        match self {
            List::Quick(quick) => _ = quick.replace(index, text),
            List::Pack(pack) => {
                if let Some(place) = pack.seek(index) {
                    pack.replace(place, text);
                }
            }
        }
    }

    /// Removes up to `count` elements from `index` on.
    pub fn remove(&mut self, index: usize, count: usize) {
        match self {
            List::Quick(quick) => quick.remove(index, count),
            List::Pack(pack) => {
                if let Some(place) = pack.seek(index) {
                    pack.remove_many(place, count);
                }
            }
        }
    }

    /// Removes the first `max` elements with this text, from the end if `backwards`. Returns how many there were.
    pub fn remove_equal(&mut self, text: &[u8], max: usize, backwards: bool) -> usize {
        match self {
            List::Quick(quick) => quick.remove_equal(text, max, backwards),
            List::Pack(pack) => pack.remove_equal(text, max, backwards),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { fill: 4, depth: 0, large_min: 0 };

    fn push(list: &mut List, text: &[u8]) {
        list.make_room([text].into_iter(), LIMITS);
        list.push(End::Back, text);
    }

    #[test]
    fn the_encoding_follows_the_size() {
        let mut list = List::default();
        (0..4).for_each(|_| push(&mut list, b"x"));
        assert_eq!(list.encoding(), "listpack");
        push(&mut list, b"x");
        assert_eq!((list.encoding(), list.len()), ("quicklist", 5));
        for (left, encoding) in [(4, "quicklist"), (3, "quicklist"), (2, "listpack")] {
            list.pop(End::Back, |_| ());
            list.shrink(LIMITS);
            assert_eq!((list.len(), list.encoding()), (left, encoding));
        }
    }

    #[test]
    fn both_encodings_do_the_same() {
        let mut lists =
            [List::default(), List::Quick(Box::new(Quicklist::new(Limits { fill: 2, depth: 1, large_min: 0 })))];
        for list in &mut lists {
            for text in ["a", "b", "1", "c", "b", "b"] {
                list.push(End::Back, text.as_bytes());
            }
            list.push(End::Front, b"z");
            list.insert_beside(2, false, b"new");
            list.insert_beside(7, true, b"end");
            list.replace(1, b"A");
            assert_eq!(list.remove_equal(b"b", 2, true), 2);
            list.remove(5, 1);
            assert_eq!((list.find(b"1"), list.find(b"nosuch")), (Some(4), None));
            assert_eq!((list.index(-1), list.index(-7), list.index(6)), (Some(5), None, None));
            assert_eq!(list.index(i64::MIN), None);
            let mut seen = Vec::new();
            list.each(|element| seen.push(String::from_utf8_lossy(&element.to_cow()).into_owned()));
            assert_eq!(seen, ["z", "A", "new", "b", "1", "end"]);
            assert_eq!(list.pop(End::Front, |element| element.to_vec()), Some(b"z".to_vec()));
            assert_eq!(list.pop(End::Back, |element| element.to_vec()), Some(b"end".to_vec()));
            assert!(!list.is_empty() && list.memory_usage() > 0 && list.effort() > 0);
        }
    }
}
