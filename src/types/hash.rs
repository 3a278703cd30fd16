//! Hashes: one pack of fields and values in turns while they are few and short, then a table. Redis' conversions at
//! Redis' limits; a hash never goes back. Any one thread.

#![forbid(unsafe_code)]

use crate::base::rng::Rng;
use crate::base::siphash::SipKey;
use crate::encoding::fields::Fields;
use crate::encoding::listpack::{self, Element, Listpack, Place};

/// When a hash changes its encoding.
#[derive(Clone, Copy, Debug)]
pub struct HashLimits {
    /// Fields of a pack: `hash-max-listpack-entries`.
    pub entries: usize,
    /// Bytes of a field or value of a pack: `hash-max-listpack-value`.
    pub value: usize,
    /// What tables hash with.
    pub key: SipKey,
}

/// The hash. One that a key holds has fields.
#[derive(Clone, Debug)]
pub enum Hash {
    /// Few and short fields and values.
    Pack(Listpack),
    /// Any.
    Table(Box<Fields>),
}

impl Default for Hash {
    fn default() -> Hash {
        Hash::Pack(Listpack::new())
    }
}

/// Where a field of a pack and its value are.
fn find(pack: &Listpack, name: &[u8]) -> Option<(Place, Place)> {
    let field = pack.find(name, pack.first(), 1)?;
    Some((field, pack.next(field)?))
}

impl Hash {
    /// The encoding as OBJECT ENCODING answers it.
    pub fn encoding(&self) -> &'static str {
        match self {
            Hash::Pack(_) => "listpack",
            Hash::Table(_) => "hashtable",
        }
    }

    /// How many fields there are.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            Hash::Pack(pack) => pack.len() / 2,
            Hash::Table(table) => table.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Bytes behind the hash.
    pub fn memory_usage(&self) -> usize {
        match self {
            Hash::Pack(pack) => pack.memory_usage(),
            Hash::Table(table) => size_of::<Fields>() + table.memory_usage(),
        }
    }

    /// How many allocations freeing it takes, about.
    pub fn effort(&self) -> usize {
        match self {
            Hash::Pack(_) => 1,
            Hash::Table(table) => table.len(),
        }
    }

    /// Turns the hash into a table.
    fn table(&mut self, limits: &HashLimits) -> &mut Fields {
        if let Hash::Pack(pack) = self {
            let (pack, mut table) = (std::mem::take(pack), Fields::new(limits.key));
            let mut texts = pack.iter();
            while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
                table.set(&name.to_cow(), &value.to_cow());
            }
            *self = Hash::Table(Box::new(table));
        }
        match self {
            Hash::Table(table) => table,
            Hash::Pack(_) => unreachable!("it was just made a table"),
        }
    }

    /// Called before fields and values, which are `texts` in turns, are set: changes the encoding where they are too many
    /// or too long.
    #[inline]
    pub fn make_room<'t>(&mut self, texts: impl ExactSizeIterator<Item = &'t [u8]>, limits: &HashLimits) {
        let Hash::Pack(pack) = self else { return };
        let (too_many, mut bytes) = (texts.len() / 2 > limits.entries, pack.bytes_len());
        let mut too_long = false;
        for text in texts {
            too_long |= text.len() > limits.value;
            bytes += text.len();
        }
        if too_many || too_long || bytes >= listpack::BYTES_MAX {
            self.table(limits);
        }
    }

    /// The value of a field.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<Element<'_>> {
        match self {
            Hash::Pack(pack) => find(pack, name).map(|(_, value)| pack.get(value)),
            Hash::Table(table) => table.get(name),
        }
    }

    /// Sets the value of a field. Returns whether it is new.
    #[inline]
    pub fn set(&mut self, name: &[u8], value: &[u8], limits: &HashLimits) -> bool {
        if name.len() > limits.value || value.len() > limits.value {
            return self.table(limits).set(name, value);
        }
        let pack = match self {
            Hash::Table(table) => return table.set(name, value),
            Hash::Pack(pack) => pack,
        };
        if let Some((_, place)) = find(pack, name) {
            pack.replace(place, value);
            return false;
        }
        pack.push_back(name);
        pack.push_back(value);
        if pack.len() / 2 > limits.entries {
            self.table(limits);
        }
        true
    }

    /// Removes a field. Returns whether it was there.
    #[inline]
    pub fn remove(&mut self, name: &[u8]) -> bool {
        match self {
            Hash::Table(table) => table.remove(name),
            Hash::Pack(pack) => match find(pack, name) {
                Some((field, _)) => {
                    pack.remove_many(field, 2);
                    true
                }
                None => false,
            },
        }
    }

    /// Shows all fields and values.
    pub fn each(&self, mut see: impl FnMut(Element<'_>, Element<'_>)) {
        match self {
            Hash::Table(table) => table.iter().for_each(|(name, value)| see(Element::Bytes(name), value)),
            Hash::Pack(pack) => {
                let mut texts = pack.iter();
                while let (Some(name), Some(value)) = (texts.next(), texts.next()) {
                    see(name, value);
                }
            }
        }
    }

    /// A field chosen at random, with its value.
    pub fn random(&self, rng: &mut Rng) -> Option<(Element<'_>, Element<'_>)> {
        match self {
            Hash::Table(table) => table.random(rng).map(|(name, value)| (Element::Bytes(name), value)),
            Hash::Pack(pack) if pack.is_empty() => None,
            Hash::Pack(pack) => {
                let field = pack.seek(2 * rng.below(self.len() as u64) as usize)?;
                Some((pack.get(field), pack.get(pack.next(field)?)))
            }
        }
    }

    /// Visits some fields and returns the next cursor; 0 starts and ends. A small hash is visited at once.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(Element<'_>, Element<'_>)) -> u64 {
        match self {
            Hash::Table(table) => table.scan(cursor, |name, value| visit(Element::Bytes(name), value)),
            Hash::Pack(_) => {
                self.each(visit);
                0
            }
        }
    }

    /// A hash of a pack that came from elsewhere: each field once.
    pub fn from_pack(pack: Listpack, limits: &HashLimits) -> Option<Hash> {
        if pack.is_empty() || !pack.len().is_multiple_of(2) {
            return None;
        }
        let mut hash = Hash::Pack(pack);
        let mut seen = Fields::new(limits.key);
        let mut once = true;
        hash.each(|name, _| once &= seen.set(&name.to_cow(), b""));
        if hash.len() > limits.entries {
            hash.table(limits);
        }
        once.then_some(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn limits() -> HashLimits {
        HashLimits { entries: 6, value: 5, key: SipKey::new(1, 2) }
    }

    #[test]
    fn the_encoding_follows_the_fields() {
        let with = |count: usize, value: &str| {
            let mut hash = Hash::default();
            (0..count).for_each(|number| _ = hash.set(number.to_string().as_bytes(), value.as_bytes(), &limits()));
            (hash.len(), hash.encoding())
        };
        assert_eq!(with(6, "12345"), (6, "listpack"));
        assert_eq!(with(7, "1"), (7, "hashtable"));
        assert_eq!(with(1, "123456"), (1, "hashtable"));
        for (texts, encoding) in [(12, "listpack"), (14, "hashtable")] {
            let mut hash = Hash::default();
            hash.make_room(vec![&b"12345"[..]; texts].into_iter(), &limits());
            assert_eq!(hash.encoding(), encoding);
        }
        let mut hash = Hash::default();
        hash.make_room([&b"a"[..], b"123456"].into_iter(), &limits());
        assert_eq!(hash.encoding(), "hashtable");
    }

    #[test]
    fn packs_from_elsewhere_have_each_field_once() {
        let pack = |texts: &[&str]| {
            let mut pack = Listpack::new();
            texts.iter().for_each(|text| pack.push_back(text.as_bytes()));
            Hash::from_pack(pack, &limits()).map(|hash| (hash.len(), hash.encoding()))
        };
        assert_eq!(pack(&["a", "1", "b", "1"]), Some((2, "listpack")));
        assert_eq!(pack(&["1"; 14]), None);
        let many: Vec<String> = (0..14).map(|number| number.to_string()).collect();
        assert_eq!(pack(&many.iter().map(String::as_str).collect::<Vec<_>>()), Some((7, "hashtable")));
        assert_eq!(pack(&["a", "1", "a", "2"]), None);
        assert_eq!(pack(&["a"]), None);
        assert_eq!(pack(&[]), None);
    }

    proptest! {
        #[test]
        fn agrees_with_a_tree(
            steps in prop::collection::vec((0u8..4, "[0-9]|[a-d]{1,2}|[a-c]{6}", "[0-9]{0,7}|[a-c]{0,7}"), 1..60),
        ) {
            let (mut hash, mut model) = (Hash::default(), BTreeMap::new());
            for (what, name, value) in steps {
                let bytes = name.as_bytes();
                if what > 0 {
                    prop_assert_eq!(hash.set(bytes, value.as_bytes(), &limits()), model.insert(name.clone(), value).is_none());
                } else {
                    prop_assert_eq!(hash.remove(bytes), model.remove(&name).is_some());
                }
                let text = |element: Element<'_>| String::from_utf8_lossy(&element.to_cow()).into_owned();
                prop_assert_eq!(hash.get(bytes).map(text), model.get(&name).cloned());
                let mut seen = BTreeMap::new();
                hash.each(|name, value| _ = seen.insert(text(name), text(value)));
                prop_assert_eq!(&seen, &model);
                prop_assert_eq!((hash.len(), hash.is_empty()), (model.len(), model.is_empty()));
                let mut rng = Rng::seeded(7);
                let random = hash.random(&mut rng).map(|(name, value)| (text(name), text(value)));
                prop_assert_eq!(random.is_none(), model.is_empty());
                prop_assert!(random.is_none_or(|(name, value)| model.get(&name) == Some(&value)));
            }
        }
    }
}
