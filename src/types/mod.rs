//! The values a key can hold. No command knowledge; any one thread.

#![forbid(unsafe_code)]

pub mod hash;
pub mod held;
pub mod hyperloglog;
pub mod list;
pub mod probe;
pub mod ruin;
pub mod set;
pub mod snapshot;
pub mod sorted_set;
pub mod sorted_tree;
pub mod string;
pub mod timed_hash;

use crate::encoding::entry::{self, Entry, Stored};
use crate::encoding::intset::Ints;
use crate::encoding::packed::Packed;
use crate::encoding::quicklist;
use hash::{Hash, HashLimits, HashRef};
use held::mark;
use list::{List, ListRef};
use set::{Set, SetLimits, SetRef};
use sorted_set::{SortedSet, SortedSetLimits, SortedSetRef};
use string::LargeString;

/// A value too big or too structured to be a few bytes behind its key.
#[derive(Debug)]
pub enum Value {
    /// A string above `INLINE_MAX` bytes.
    String(LargeString),
    /// Anything else.
    Other(Collection),
}

/// A value that is made of others.
#[derive(Clone, Copy, Debug)]
pub enum Collection<L = List, S = Set, H = Hash, Z = SortedSet> {
    /// A list.
    List(L),
    /// A set.
    Set(S),
    /// A hash.
    Hash(H),
    /// A sorted set.
    SortedSet(Z),
}

/// A value that is made of others, to be read wherever it lies.
pub type CollectionRef<'a> = Collection<ListRef<'a>, SetRef<'a>, HashRef<'a>, SortedSetRef<'a>>;

impl Collection {
    /// The value to be read.
    #[inline]
    pub fn view(&self) -> CollectionRef<'_> {
        match self {
            Collection::List(list) => Collection::List(list.view()),
            Collection::Set(set) => Collection::Set(set.view()),
            Collection::Hash(hash) => Collection::Hash(hash.view()),
            Collection::SortedSet(set) => Collection::SortedSet(set.view()),
        }
    }
}

impl<'a> CollectionRef<'a> {
    /// What lies packed beside a key.
    #[inline]
    fn packed(mark: u8, bytes: &'a [u8]) -> CollectionRef<'a> {
        match mark {
            mark::LIST => Collection::List(List::Pack(Packed::beside_key(bytes))),
            mark::INTS => Collection::Set(Set::Ints(Ints::new(bytes))),
            mark::SET => Collection::Set(Set::Pack(Packed::beside_key(bytes))),
            mark::HASH => Collection::Hash(Hash::Pack(Packed::beside_key(bytes))),
            _ => Collection::SortedSet(SortedSet::Pack(Packed::beside_key(bytes))),
        }
    }

    /// The type's name, as TYPE answers it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Collection::List(_) => "list",
            Collection::Set(_) => "set",
            Collection::Hash(_) => "hash",
            Collection::SortedSet(_) => "zset",
        }
    }

    /// The encoding as OBJECT ENCODING answers it, in Redis' terms rather than ours.
    pub fn encoding(&self) -> &'static str {
        match self {
            Collection::List(list) => list.encoding(),
            Collection::Set(set) => set.encoding(),
            Collection::Hash(hash) => hash.encoding(),
            Collection::SortedSet(set) => set.encoding(),
        }
    }
}

// It lies in the entry, beside the key.
const _: () = assert!(size_of::<Collection>() == 24);
const _: () = assert!(size_of::<Value>() == 24);

impl From<List> for Value {
    fn from(list: List) -> Value {
        Value::Other(Collection::List(list))
    }
}

impl From<Set> for Value {
    fn from(set: Set) -> Value {
        Value::Other(Collection::Set(set))
    }
}

impl From<SortedSet> for Value {
    fn from(set: SortedSet) -> Value {
        Value::Other(Collection::SortedSet(set))
    }
}

impl From<Hash> for Value {
    fn from(hash: Hash) -> Value {
        Value::Other(Collection::Hash(hash))
    }
}

impl Value {
    /// Bytes that the value points to.
    pub fn memory_usage(&self) -> usize {
        match self {
            Value::String(string) => string.memory_usage(),
            Value::Other(Collection::List(list)) => list.memory_usage(),
            Value::Other(Collection::Set(set)) => set.memory_usage(),
            Value::Other(Collection::Hash(hash)) => hash.memory_usage(),
            Value::Other(Collection::SortedSet(set)) => set.memory_usage(),
        }
    }

    /// How many allocations freeing it takes, about: a big value is freed in slices where nobody waits for it.
    pub fn effort(&self) -> usize {
        match self {
            Value::String(_) => 1,
            Value::Other(Collection::List(list)) => list.effort(),
            Value::Other(Collection::Set(set)) => set.effort(),
            Value::Other(Collection::Hash(hash)) => hash.effort(),
            Value::Other(Collection::SortedSet(set)) => set.effort(),
        }
    }

    /// The hash that it is, to be changed.
    #[inline]
    pub fn as_hash_mut(&mut self) -> Result<&mut Hash, WrongType> {
        match self {
            Value::Other(Collection::Hash(hash)) => Ok(hash),
            _ => Err(WrongType),
        }
    }

    /// A value that changes apart from this one; a long string is shared until then.
    fn duplicate(&self) -> Value {
        match self {
            Value::String(string) => Value::String(LargeString::new(string.shared())),
            Value::Other(collection) => Value::Other(collection.clone()),
        }
    }
}

/// A key with its value.
pub type KeyEntry = Entry<Value>;

/// A value on its way into the keyspace.
pub type NewValue<'a> = entry::NewValue<'a, Value>;

impl NewValue<'_> {
    /// A value that is no string.
    pub fn of(value: Value) -> NewValue<'static> {
        NewValue::Whole(value)
    }
}

/// When values of each type change their encodings.
#[derive(Clone, Copy, Debug)]
pub struct TypeLimits {
    /// Lists.
    pub list: quicklist::Limits,
    /// Sets.
    pub set: SetLimits,
    /// Hashes.
    pub hash: HashLimits,
    /// Sorted sets.
    pub sorted_set: SortedSetLimits,
}

/// The operation needs a value of another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

impl Entry<Value> {
    /// The type's name, as TYPE answers it.
    pub fn type_name(&self) -> &'static str {
        self.collection().map_or("string", |collection| collection.type_name())
    }

    /// The value where it has an allocation of its own.
    #[inline]
    pub fn whole(&self) -> Option<&Value> {
        match self.value() {
            Stored::Int(_) | Stored::Inline(_) | Stored::Packed(..) => None,
            Stored::Whole(value) => Some(value),
        }
    }

    /// The value where it is no string, wherever it lies.
    #[inline]
    pub fn collection(&self) -> Option<CollectionRef<'_>> {
        match self.value() {
            Stored::Packed(mark, bytes) => Some(CollectionRef::packed(mark, bytes)),
            Stored::Whole(Value::Other(collection)) => Some(collection.view()),
            Stored::Int(_) | Stored::Inline(_) | Stored::Whole(Value::String(_)) => None,
        }
    }

    /// The list at this key.
    #[inline]
    pub fn as_list(&self) -> Result<ListRef<'_>, WrongType> {
        match self.collection() {
            Some(Collection::List(list)) => Ok(list),
            _ => Err(WrongType),
        }
    }

    /// The set at this key.
    #[inline]
    pub fn as_set(&self) -> Result<SetRef<'_>, WrongType> {
        match self.collection() {
            Some(Collection::Set(set)) => Ok(set),
            _ => Err(WrongType),
        }
    }

    /// The hash at this key.
    #[inline]
    pub fn as_hash(&self) -> Result<HashRef<'_>, WrongType> {
        match self.collection() {
            Some(Collection::Hash(hash)) => Ok(hash),
            _ => Err(WrongType),
        }
    }

    /// The sorted set at this key.
    #[inline]
    pub fn as_sorted_set(&self) -> Result<SortedSetRef<'_>, WrongType> {
        match self.collection() {
            Some(Collection::SortedSet(set)) => Ok(set),
            _ => Err(WrongType),
        }
    }

    /// The encoding as OBJECT ENCODING answers it, in Redis' terms rather than ours.
    pub fn encoding(&self) -> &'static str {
        match self.collection() {
            Some(collection) => collection.encoding(),
            None => self.string_encoding().unwrap_or("raw"),
        }
    }

    /// A copy under another key: expiry and encoding go with it. An integer counts as an object of its own, which no small
    /// one is otherwise.
    pub fn duplicate(&self, key: &[u8]) -> KeyEntry {
        let value = match self.value() {
            Stored::Int(number) => NewValue::Int(number),
            Stored::Inline(bytes) => NewValue::Inline(bytes),
            Stored::Packed(mark, bytes) => NewValue::Packed(mark, bytes),
            Stored::Whole(value) => NewValue::of(value.duplicate()),
        };
        let mut copy = KeyEntry::new(key, value, self.expire_ms());
        copy.set_raw(self.is_raw() || matches!(self.value(), Stored::Int(_)));
        copy
    }

    /// Bytes of key and value together, as MEMORY USAGE counts them (without the table's share).
    pub fn memory_usage(&self) -> usize {
        self.allocation_bytes() + self.whole().map_or(0, Value::memory_usage)
    }
}

#[cfg(test)]
mod fairness_tests;
