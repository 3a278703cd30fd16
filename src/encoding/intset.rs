//! HOT PATH. A small set of integers: sorted, as wide as its widest member needs, byte for byte as Redis lays it out. Any
//! one thread.
//!
//! ```text
//!   | bytes of a member: 2, 4 or 8, as u32 | members: u32 | member | member | ...      all little-endian
//! ```

#![forbid(unsafe_code)]

/// Bytes in front of the first member.
const HEADER: usize = 8;

/// The set. Two words, so that it fits beside a pack in one value.
#[derive(Clone, PartialEq, Eq)]
pub struct Intset(Box<[u8]>);

impl Default for Intset {
    fn default() -> Intset {
        Intset::new()
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

impl Intset {
    /// An empty one.
    pub fn new() -> Intset {
        Intset(Box::new([2, 0, 0, 0, 0, 0, 0, 0]))
    }

    /// Takes over bytes that came from elsewhere, if all of them are as they should be.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Intset> {
        let width = u32::from_le_bytes(*bytes.first_chunk()?) as usize;
        let len = u32::from_le_bytes(*bytes.get(4..)?.first_chunk()?) as usize;
        if !matches!(width, 2 | 4 | 8) || len.checked_mul(width)?.checked_add(HEADER)? != bytes.len() {
            return None;
        }
        let set = Intset(bytes.into());
        let sorted = (1..len).all(|index| set.at(index - 1) < set.at(index));
        sorted.then_some(set)
    }

    /// Its bytes, as a snapshot holds them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Bytes of its allocation.
    pub fn memory_usage(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn width(&self) -> usize {
        usize::from(self.0[0])
    }

    /// How many members there are.
    #[inline]
    pub fn len(&self) -> usize {
        (self.0.len() - HEADER) / self.width()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.len() == HEADER
    }

    #[inline]
    fn at(&self, index: usize) -> i64 {
        let width = self.width();
        let bytes = &self.0[HEADER + index * width..HEADER + (index + 1) * width];
        match *bytes {
            [a, b] => i64::from(i16::from_le_bytes([a, b])),
            [a, b, c, d] => i64::from(i32::from_le_bytes([a, b, c, d])),
            [a, b, c, d, e, f, g, h] => i64::from_le_bytes([a, b, c, d, e, f, g, h]),
            _ => unreachable!("a member has 2, 4 or 8 bytes"),
        }
    }

    /// Member `index` in ascending order.
    pub fn get(&self, index: usize) -> Option<i64> {
        (index < self.len()).then(|| self.at(index))
    }

    /// All members in ascending order.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = i64> + ExactSizeIterator {
        (0..self.len()).map(|index| self.at(index))
    }

    /// Where a member is, or where it would have to be.
    #[inline]
    fn search(&self, value: i64) -> Result<usize, usize> {
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
    pub fn contains(&self, value: i64) -> bool {
        width_of(value) <= self.width() && self.search(value).is_ok()
    }

    /// Adds a member. Returns whether it is new.
    pub fn insert(&mut self, value: i64) -> bool {
        if width_of(value) > self.width() {
            self.widen(width_of(value));
        }
        let Err(index) = self.search(value) else { return false };
        let (at, width, before) = (HEADER + index * self.width(), self.width(), self.0.len());
        let mut bytes = std::mem::take(&mut self.0).into_vec();
        bytes.reserve_exact(width);
        bytes.resize(before + width, 0);
        bytes.copy_within(at..before, at + width);
        bytes[at..at + width].copy_from_slice(&value.to_le_bytes()[..width]);
        self.0 = bytes.into();
        self.note_len();
        true
    }

    /// Removes a member. Returns whether it was one.
    pub fn remove(&mut self, value: i64) -> bool {
        if width_of(value) > self.width() {
            return false;
        }
        let Ok(index) = self.search(value) else { return false };
        let (at, width) = (HEADER + index * self.width(), self.width());
        let mut bytes = std::mem::take(&mut self.0).into_vec();
        bytes.drain(at..at + width);
        self.0 = bytes.into();
        self.note_len();
        true
    }

    /// Makes all members wider. They never get narrower again.
    #[cold]
    fn widen(&mut self, width: usize) {
        let mut wide = Vec::with_capacity(HEADER + self.len() * width);
        wide.extend_from_slice(&self.0[..HEADER]);
        wide[0] = width as u8;
        self.iter().for_each(|value| wide.extend_from_slice(&value.to_le_bytes()[..width]));
        self.0 = wide.into();
    }

    fn note_len(&mut self) {
        let len = (self.len() as u32).to_le_bytes();
        self.0[4..HEADER].copy_from_slice(&len);
    }
}

impl std::fmt::Debug for Intset {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_set().entries(self.iter()).finish()
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
        assert_eq!(set.as_bytes(), b"\x02\0\0\0\x02\0\0\0\xff\xff\x03\0");
        set.insert(70_000);
        assert_eq!(set.as_bytes(), b"\x04\0\0\0\x03\0\0\0\xff\xff\xff\xff\x03\0\0\0\x70\x11\x01\0");
        assert_eq!(Intset::from_bytes(set.as_bytes().to_vec()), Some(set));
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
                prop_assert!(set.iter().eq(model.iter().copied()));
                prop_assert_eq!(set.contains(value), adds);
                prop_assert_eq!(set.get(model.len()), None);
                let copy = Intset::from_bytes(set.as_bytes().to_vec());
                prop_assert_eq!(copy.as_ref(), Some(&set));
            }
        }
    }
}
