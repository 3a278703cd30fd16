//! HOT PATH. A small set of integers: sorted, as wide as its widest member needs. Any one thread.
//!
//! ```text
//!   in an allocation of its own     | members: u32 | 3 spare | integers | room |
//!   integers                        | bytes of a member: 2, 4 or 8, as u8 | member | member | ...
//!   in a snapshot, as Redis has it  | bytes of a member: u32 | members: u32 | member | member | ...
//! ```
//!
//! All of it is little-endian.

#![forbid(unsafe_code)]

use super::listpack::{ROOM, at_least, resize};
use super::packed::roomy;

/// Bytes in front of the first member in a snapshot.
const SNAPSHOT_HEADER: usize = 8;
/// Where the integers begin in an allocation.
const INTS: usize = 7;
/// Bytes in front of the first member in an allocation.
const HEADER: usize = INTS + 1;
/// No integers, which have no allocation yet.
const EMPTY: &[u8] = &[2];

/// The set. Two words, so that it fits beside a pack in one value. Without a member ever in it, it has no allocation.
#[derive(Clone, Default)]
pub struct Intset {
    bytes: Box<[u8]>,
}

/// Integers to be read.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ints<'a>(&'a [u8]);

/// Sorted integers, wherever they lie.
pub trait ReadInts {
    /// To be read.
    fn read(&self) -> Ints<'_>;
}

impl ReadInts for Ints<'_> {
    #[inline(always)]
    fn read(&self) -> Ints<'_> {
        *self
    }
}

impl ReadInts for Intset {
    #[inline]
    fn read(&self) -> Ints<'_> {
        Ints(if self.bytes.is_empty() { EMPTY } else { &self.bytes[INTS..self.used()] })
    }
}

/// The bytes that a member takes.
fn width_of(value: i64) -> usize {
    if i16::try_from(value).is_ok() {
        2
    } else if i32::try_from(value).is_ok() {
        4
    } else {
        8
    }
}

impl<'a> Ints<'a> {
    /// Looks at bytes as integers that were packed.
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Ints<'a> {
        Ints(bytes)
    }

    /// Its bytes, as they may lie packed.
    #[inline]
    pub fn bytes(self) -> &'a [u8] {
        self.0
    }

    /// How many bytes it is in a snapshot.
    pub fn bytes_len(self) -> usize {
        SNAPSHOT_HEADER + self.0.len() - 1
    }

    /// Its bytes, as a snapshot holds them.
    pub fn to_snapshot(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes_len());
        bytes.extend((self.width() as u32).to_le_bytes());
        bytes.extend((self.len() as u32).to_le_bytes());
        bytes.extend(&self.0[1..]);
        bytes
    }

    #[inline]
    fn width(self) -> usize {
        usize::from(self.0[0])
    }

    /// How many members there are.
    #[inline]
    pub fn len(self) -> usize {
        (self.0.len() - 1) / self.width()
    }

    /// Whether there are none.
    pub fn is_empty(self) -> bool {
        self.0.len() == 1
    }

    #[inline]
    fn at(self, index: usize) -> i64 {
        let width = self.width();
        let bytes = &self.0[1 + index * width..1 + (index + 1) * width];
        match *bytes {
            [a, b] => i64::from(i16::from_le_bytes([a, b])),
            [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => unreachable!("a member has 2, 4 or 8 bytes"),
        }
    }

    /// Member `index` in ascending order.
    pub fn get(self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| self.at(index))
    }

    /// All members in ascending order.
    pub fn iter(self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator {
        (0..self.len()).map(move |index| self.at(index))
    }

    /// Where a member is, or where it would have to be.
    #[inline]
    fn search(self, value: i64) -> Result<usize, usize> {
        let (mut low, mut high) = (0, self.len());
        while low < high {
            let middle = low + (high - low) / 2;
            match self.at(middle).cmp(&value) {
                std::cmp::Ordering::Equal => return Ok(middle),
                std::cmp::Ordering::Less => low = middle + 1,
                std::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// Whether it is a member.
    #[inline]
    pub fn contains(self, value: i64) -> bool {
        width_of(value) <= self.width() && self.search(value).is_ok()
    }
}

impl PartialEq for Intset {
    fn eq(&self, other: &Intset) -> bool {
        self.read() == other.read()
    }
}

impl Eq for Intset {}

impl Intset {
    /// An empty one.
    pub fn new() -> Intset {
        Intset::default()
    }

    /// Takes over bytes that came from elsewhere, if all of them are as they should be.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Intset> {
        let width = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
        let len = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?) as usize;
        if !matches!(width, 2 | 4 | 8) || len.checked_mul(width)?.checked_add(SNAPSHOT_HEADER)? != bytes.len() {
            return None;
        }
        let set = Intset::of_members(width, &bytes[SNAPSHOT_HEADER..]);
        let sorted = (1..len).all(|index| set.read().at(index - 1) < set.read().at(index));
        sorted.then_some(set)
    }

    fn of_members(width: usize, members: &[u8]) -> Intset {
        let mut set = Intset { bytes: vec![0; roomy(HEADER + members.len())].into() };
        set.bytes[INTS] = width as u8;
        set.bytes[HEADER..HEADER + members.len()].copy_from_slice(members);
        set.note(members.len() / width);
        set
    }

    /// The same integers in an allocation of their own; `room` becomes that if it is big enough.
    pub fn in_room(ints: Ints<'_>, room: Box<[u8]>) -> Intset {
        let used = INTS + ints.0.len();
        let mut bytes = at_least(room, used);
        bytes[INTS..used].copy_from_slice(ints.0);
        let mut set = Intset { bytes };
        set.note(ints.len());
        set
    }

    /// Its allocation, for another one.
    pub fn into_room(self) -> Box<[u8]> {
        self.bytes
    }

    /// To be read.
    #[inline]
    pub fn read(&self) -> Ints<'_> {
        ReadInts::read(self)
    }

    /// How many members there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    /// Bytes of its allocation.
    pub fn memory_usage(&self) -> usize {
        self.bytes.len()
    }

    /// Gives back what it does not need to grow a little.
    pub fn fit(&mut self) {
        let wanted = roomy(self.used());
        if wanted < self.bytes.len() {
            resize(&mut self.bytes, wanted);
        }
    }

    /// Bytes in use.
    #[inline]
    fn used(&self) -> usize {
        match self.bytes.first_chunk() {
            Some(len) => HEADER + u32::from_le_bytes(*len) as usize * usize::from(self.bytes[INTS]),
            None => HEADER,
        }
    }

    /// Notes how many members there are.
    fn note(&mut self, len: usize) {
        self.bytes[..4].copy_from_slice(&(len as u32).to_le_bytes());
    }

    /// Adds a member. Returns whether it is new.
    pub fn insert(&mut self, value: i64) -> bool {
        if width_of(value) > self.read().width() {
            self.widen(width_of(value));
        }
        let Err(index) = self.read().search(value) else { return false };
        let (width, used) = (self.read().width(), self.used());
        if used + width > self.bytes.len() {
            resize(&mut self.bytes, roomy(used + width));
            self.bytes[INTS] = width as u8;
        }
        let at = HEADER + index * width;
        self.bytes.copy_within(at..used, at + width);
        self.bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        self.note(self.read().len() + 1);
        true
    }

    /// Removes a member. Returns whether it was one.
    pub fn remove(&mut self, value: i64) -> bool {
        if width_of(value) > self.read().width() {
            return false;
        }
        let Ok(index) = self.read().search(value) else { return false };
        let (width, used) = (self.read().width(), self.used());
        let at = HEADER + index * width;
        self.bytes.copy_within(at + width..used, at);
        self.note(self.read().len() - 1);
        let wanted = roomy(used - width);
        if wanted * 2 < self.bytes.len() && self.bytes.len() > ROOM {
            resize(&mut self.bytes, wanted);
        }
        true
    }

    /// Makes all members wider. They never get narrower again.
    #[cold]
    fn widen(&mut self, width: usize) {
        let mut wide = Vec::with_capacity(self.read().len() * width);
        self.read().iter().for_each(|value| wide.extend_from_slice(&value.to_le_bytes()[..width]));
        *self = Intset::of_members(width, &wide);
    }
}

impl std::fmt::Debug for Ints<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_set().entries(self.iter()).finish()
    }
}

impl std::fmt::Debug for Intset {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.read().fmt(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    /// What redis-server 8.0.6 answers to DUMP of the same sets, between the snapshot's own frame.
    #[test]
    fn bytes_are_as_redis_has_them() {
        let mut set = Intset::new();
        [3, -1, 3].iter().for_each(|value| _ = set.insert(*value));
        assert_eq!(set.read().to_snapshot(), b"\x02\0\0\0\x02\0\0\0\xff\xff\x03\0");
        set.insert(70_000);
        assert_eq!(set.read().to_snapshot(), b"\x04\0\0\0\x03\0\0\0\xff\xff\xff\xff\x03\0\0\0\x70\x11\x01\0");
        assert_eq!(Intset::from_bytes(set.read().to_snapshot()), Some(set));
    }

    #[test]
    fn what_is_out_of_order_is_refused() {
        for bytes in [
            &b""[..],
            b"\x02\0\0\0\x01\0\0\0",
            b"\x03\0\0\0\0\0\0\0",
            b"\x02\0\0\0\x02\0\0\0\x03\0\xff\xff",
            b"\x02\0\0\0\x02\0\0\0\x03\0\x03\0",
            b"\x02\0\0\0\xff\xff\xff\xff\x03\0",
        ] {
            assert_eq!(Intset::from_bytes(bytes.to_vec()), None, "{bytes:?}");
        }
    }

    fn member() -> impl Strategy<Value = i64> {
        let edge = |power: u32| {
            (-2i64..=2)
                .prop_flat_map(move |step| prop::sample::select(vec![(1i64 << power) + step, -(1i64 << power) + step]))
        };
        prop_oneof![
            4 => -20i64..20,
            2 => prop::sample::select(vec![15u32, 31]).prop_flat_map(edge),
            1 => any::<i64>(),
            1 => prop::sample::select(vec![i64::MIN, i64::MAX]),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_a_tree(steps in prop::collection::vec((any::<bool>(), member()), 1..120)) {
            let (mut set, mut model) = (Intset::new(), BTreeSet::new());
            for (adds, value) in steps {
                if adds {
                    prop_assert_eq!(set.insert(value), model.insert(value));
                } else {
                    prop_assert_eq!(set.remove(value), model.remove(&value));
                }
                prop_assert!(set.read().iter().eq(model.iter().copied()));
                prop_assert_eq!(set.read().contains(value), adds);
                prop_assert_eq!(set.read().get(model.len()), None);
                let copy = Intset::from_bytes(set.read().to_snapshot());
                prop_assert_eq!(copy.as_ref(), Some(&set));
                let moved = Intset::in_room(set.read(), vec![b'x'; 20].into());
                prop_assert_eq!(&moved, &set);
            }
        }
    }
}
