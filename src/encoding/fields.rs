//! HOT PATH. Texts with a value each, hashed: what a big hash is, and without values the long members of a big set. Any one
//! thread.
//!
//! A field and its value lie in one allocation (see `entry`), found through the table that keys are found through. Fields
//! are chosen by clients, so the hash is keyed: each map brings the key of the server.

#![forbid(unsafe_code)]

use super::entry::{Entry, INLINE_MAX, NewValue, Stored};
use super::listpack::Element;
use super::table::{Rehash, Remains, Table};
use crate::base::integer::parse_i64;
use crate::base::rng::Rng;
use crate::base::siphash::SipKey;
use crate::sys::prefetch::prefetch_line;

/// A field with its value.
type Field = Entry<Box<[u8]>>;

/// The map.
pub struct Fields {
    table: Table<Field>,
    key: FieldHasher,
}

#[derive(Clone, Copy)]
struct FieldHasher(SipKey);

impl Rehash<Field> for FieldHasher {
    #[inline]
    fn hash(&self, field: &Field) -> u64 {
        self.0.hash13(field.key())
    }

    #[inline]
    fn prefetch(&self, field: &Field) {
        prefetch_line(field.address());
    }
}

fn stored(value: &[u8]) -> NewValue<'_, Box<[u8]>> {
    match parse_i64(value) {
        Some(number) => NewValue::Int(number),
        None if value.len() <= INLINE_MAX => NewValue::Inline(value),
        None => NewValue::Whole(value.into()),
    }
}

fn value_of(field: &Field) -> Element<'_> {
    match field.value() {
        Stored::Int(number) => Element::Int(number),
        Stored::Inline(bytes) | Stored::Packed(_, bytes) => Element::Bytes(bytes),
        Stored::Whole(bytes) => Element::Bytes(bytes),
    }
}

fn timed(field: &Field) -> (Element<'_>, Option<i64>) {
    (value_of(field), field.expire_ms())
}

impl Fields {
    /// An empty map that hashes with this key.
    pub fn new(key: SipKey) -> Fields {
        Fields { table: Table::new(), key: FieldHasher(key) }
    }

    /// The key that it hashes with.
    pub fn key(&self) -> SipKey {
        self.key.0
    }

    /// How many fields there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Whether a field is there.
    #[inline]
    pub fn contains(&self, name: &[u8]) -> bool {
        self.get(name).is_some()
    }

    /// The value of a field.
    #[inline]
    pub fn get(&self, name: &[u8]) -> Option<Element<'_>> {
        self.table.get(self.key.0.hash13(name), |field| field.key() == name).map(value_of)
    }

    /// Sets the value of a field. Returns whether it is new.
    #[inline]
    pub fn set(&mut self, name: &[u8], value: &[u8]) -> bool {
        let hash = self.key.0.hash13(name);
        if let Some(field) = self.table.get_mut(hash, |field| field.key() == name) {
            field.set_value(stored(value));
            return false;
        }
        self.table.insert_unique(hash, Field::new(name, stored(value), None), &self.key);
        true
    }

    /// Removes a field. Returns whether it was there.
    #[inline]
    pub fn remove(&mut self, name: &[u8]) -> bool {
        self.take(name).is_some()
    }

    /// The same; returns when the field would have expired.
    pub fn take(&mut self, name: &[u8]) -> Option<Option<i64>> {
        self.table.remove(self.key.0.hash13(name), |field| field.key() == name).map(|field| field.expire_ms())
    }

    /// The value of a field and when it expires.
    pub fn get_timed(&self, name: &[u8]) -> Option<(Element<'_>, Option<i64>)> {
        self.table.get(self.key.0.hash13(name), |field| field.key() == name).map(timed)
    }

    /// Sets when a field that is there expires. Returns its hash and when it would have expired.
    pub fn set_expire(&mut self, name: &[u8], at_ms: Option<i64>) -> Option<(u64, Option<i64>)> {
        let hash = self.key.0.hash13(name);
        let field = self.table.get_mut(hash, |field| field.key() == name)?;
        let before = field.expire_ms();
        field.set_expire(at_ms);
        Some((hash, before))
    }

    /// Removes the field of this hash that expires then. Returns whether there was one.
    pub fn remove_expiring(&mut self, hash: u64, at_ms: i64) -> bool {
        let key = self.key;
        self.table.remove(hash, |field| field.expire_ms() == Some(at_ms) && key.hash(field) == hash).is_some()
    }

    /// The hash of a name.
    pub fn hash(&self, name: &[u8]) -> u64 {
        self.key.0.hash13(name)
    }

    /// Asks for where a name is looked for: its bucket. Returns what [`Fields::prefetch_field`] takes.
    #[inline]
    pub fn prefetch_bucket(&self, name: &[u8]) -> u64 {
        let hash = self.hash(name);
        self.table.prefetch_bucket(hash);
        hash
    }

    /// Asks for the field itself, once the bucket has arrived.
    #[inline]
    pub fn prefetch_field(&self, hash: u64) {
        self.table.prefetch_items(hash, Field::address);
    }

    /// All fields, in no order.
    pub fn iter(&self) -> impl Iterator<Item = (&[u8], Element<'_>)> {
        self.table.iter().map(|field| (field.key(), value_of(field)))
    }

    /// The same, and when each expires.
    pub fn iter_timed(&self) -> impl Iterator<Item = (&[u8], Element<'_>, Option<i64>)> {
        self.table.iter().map(|field| (field.key(), value_of(field), field.expire_ms()))
    }

    /// A field chosen at random.
    pub fn random(&self, rng: &mut Rng) -> Option<(&[u8], Element<'_>)> {
        self.table.random(rng).map(|field| (field.key(), value_of(field)))
    }

    /// Visits some fields and returns the next cursor; see `Table::scan`.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(&[u8], Element<'_>)) -> u64 {
        self.table.scan(cursor, |field| visit(field.key(), value_of(field)))
    }

    /// The same, and when each expires.
    pub fn scan_timed(&self, cursor: u64, mut visit: impl FnMut(&[u8], Element<'_>, Option<i64>)) -> u64 {
        self.table.scan(cursor, |field| visit(field.key(), value_of(field), field.expire_ms()))
    }

    /// Bytes of all its allocations.
    pub fn memory_usage(&self) -> usize {
        let fields = self.table.iter().map(|field| {
            field.allocation_bytes()
                + match field.value() {
                    Stored::Whole(bytes) => bytes.len(),
                    _ => 0,
                }
        });
        self.table.bytes() + fields.sum::<usize>()
    }

    /// The map as garbage, to be dropped in slices.
    pub fn into_remains(self) -> FieldsRemains {
        FieldsRemains(Box::new(self.table.into_remains()))
    }
}

/// What is left of a map, to be dropped in slices.
pub struct FieldsRemains(Box<Remains<Field>>);

impl FieldsRemains {
    /// Fields not yet dropped.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether all memory has been given back.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Drops about `work` buckets and fields. Returns what is left of `work`.
    pub fn drop_some(&mut self, work: usize) -> usize {
        self.0.drop_some(work)
    }
}

impl std::fmt::Debug for FieldsRemains {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_tuple("FieldsRemains").field(&self.len()).finish()
    }
}

impl Clone for Fields {
    fn clone(&self) -> Fields {
        let mut copy = Fields::new(self.key());
        for field in self.table.iter() {
            let value = match field.value() {
                Stored::Int(number) => NewValue::Int(number),
                Stored::Inline(bytes) | Stored::Packed(_, bytes) => NewValue::Inline(bytes),
                Stored::Whole(bytes) => NewValue::Whole(bytes.clone()),
            };
            copy.table.insert_unique(
                self.key.hash(field),
                Field::new(field.key(), value, field.expire_ms()),
                &copy.key,
            );
        }
        copy
    }
}

impl std::fmt::Debug for Fields {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_map().entries(self.iter().map(|(name, value)| (name.escape_ascii().to_string(), value))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use proptest::prelude::*;
    use std::collections::{BTreeMap, BTreeSet};

    fn fields() -> Fields {
        Fields::new(SipKey::new(1, 2))
    }

    fn value() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            2 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
            3 => prop::collection::vec(any::<u8>(), 0..20),
            1 => prop::sample::select(vec![511usize, 512, 513, 2000]).prop_map(|len| vec![b'x'; len]),
        ]
    }

    proptest! {
        #[test]
        fn agrees_with_a_tree(steps in prop::collection::vec((0u8..4, 0u8..60, value()), 1..200)) {
            let (mut fields, mut model) = (fields(), BTreeMap::new());
            for (what, name, value) in steps {
                let name = vec![name; usize::from(name % 5)];
                if what > 0 {
                    prop_assert_eq!(fields.set(&name, &value), model.insert(name.clone(), value).is_none());
                } else {
                    prop_assert_eq!(fields.remove(&name), model.remove(&name).is_some());
                }
                prop_assert_eq!(fields.get(&name).map(Element::to_vec), model.get(&name).cloned());
                prop_assert_eq!((fields.len(), fields.is_empty()), (model.len(), model.is_empty()));
            }
            let of = |fields: &Fields| -> BTreeMap<_, _> {
                fields.iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect()
            };
            prop_assert_eq!(&of(&fields), &model);
            prop_assert_eq!(&of(&fields.clone()), &model);
        }
    }

    #[test]
    fn every_field_is_scanned_and_drawn() {
        let (mut fields, mut rng) = (fields(), Rng::seeded(3));
        (0..500).for_each(|number: i32| _ = fields.set(number.to_string().as_bytes(), b""));
        let (mut seen, mut cursor) = (BTreeSet::new(), 0);
        loop {
            cursor = fields.scan(cursor, |name, _| _ = seen.insert(name.to_vec()));
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(seen.len(), 500);
        let drawn: BTreeSet<Vec<u8>> =
            (0..20_000).filter_map(|_| fields.random(&mut rng)).map(|(name, _)| name.to_vec()).collect();
        assert_eq!(drawn.len(), 500);
        let mut remains = fields.into_remains();
        while remains.drop_some(100) == 0 {}
        assert!(remains.is_empty());
    }
}
