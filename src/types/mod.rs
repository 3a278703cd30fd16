//! The values a key can hold. No command knowledge; any one thread.

#![forbid(unsafe_code)]

pub mod hash;
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

use crate::encoding::entry::{self, Entry};
use crate::encoding::quicklist;
use hash::{Hash, HashLimits};
use list::List;
use set::{Set, SetLimits};
use sorted_set::{SortedSet, SortedSetLimits};
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
#[derive(Clone, Debug)]
pub enum Collection {
    /// A list.
    List(List),
    /// A set.
    Set(Set),
    /// A hash.
    Hash(Hash),
    /// A sorted set.
    SortedSet(SortedSet),
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
    /// The type's name, as TYPE answers it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::String(_) => "string",
            Value::Other(Collection::List(_)) => "list",
            Value::Other(Collection::Set(_)) => "set",
            Value::Other(Collection::Hash(_)) => "hash",
            Value::Other(Collection::SortedSet(_)) => "zset",
        }
    }

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

    /// The list that it is.
    pub fn as_list(&self) -> Result<&List, WrongType> {
        match self {
            Value::Other(Collection::List(list)) => Ok(list),
            _ => Err(WrongType),
        }
    }

    /// The list that it is, to be changed.
    #[inline]
    pub fn as_list_mut(&mut self) -> Result<&mut List, WrongType> {
        match self {
            Value::Other(Collection::List(list)) => Ok(list),
            _ => Err(WrongType),
        }
    }

    /// The set that it is.
    pub fn as_set(&self) -> Result<&Set, WrongType> {
        match self {
            Value::Other(Collection::Set(set)) => Ok(set),
            _ => Err(WrongType),
        }
    }

    /// The set that it is, to be changed.
    #[inline]
    pub fn as_set_mut(&mut self) -> Result<&mut Set, WrongType> {
        match self {
            Value::Other(Collection::Set(set)) => Ok(set),
            _ => Err(WrongType),
        }
    }

    /// The hash that it is.
    pub fn as_hash(&self) -> Result<&Hash, WrongType> {
        match self {
            Value::Other(Collection::Hash(hash)) => Ok(hash),
            _ => Err(WrongType),
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

    /// The sorted set that it is.
    pub fn as_sorted_set(&self) -> Result<&SortedSet, WrongType> {
        match self {
            Value::Other(Collection::SortedSet(set)) => Ok(set),
            _ => Err(WrongType),
        }
    }

    /// The sorted set that it is, to be changed.
    #[inline]
    pub fn as_sorted_set_mut(&mut self) -> Result<&mut SortedSet, WrongType> {
        match self {
            Value::Other(Collection::SortedSet(set)) => Ok(set),
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
        self.whole().map_or("string", Value::type_name)
    }

    /// The value where it is neither an integer nor a short string.
    #[inline]
    pub fn whole(&self) -> Option<&Value> {
        match self.value() {
            entry::Stored::Int(_) | entry::Stored::Inline(_) => None,
            entry::Stored::Whole(value) => Some(value),
        }
    }

    /// The list at this key.
    #[inline]
    pub fn as_list(&self) -> Result<&List, WrongType> {
        self.whole().ok_or(WrongType)?.as_list()
    }

    /// The set at this key.
    #[inline]
    pub fn as_set(&self) -> Result<&Set, WrongType> {
        self.whole().ok_or(WrongType)?.as_set()
    }

    /// The hash at this key.
    #[inline]
    pub fn as_hash(&self) -> Result<&Hash, WrongType> {
        self.whole().ok_or(WrongType)?.as_hash()
    }

    /// The sorted set at this key.
    #[inline]
    pub fn as_sorted_set(&self) -> Result<&SortedSet, WrongType> {
        self.whole().ok_or(WrongType)?.as_sorted_set()
    }

    /// The encoding as OBJECT ENCODING answers it, in Redis' terms rather than ours.
    pub fn encoding(&self) -> &'static str {
        match self.whole() {
            Some(Value::Other(Collection::List(list))) => list.encoding(),
            Some(Value::Other(Collection::Set(set))) => set.encoding(),
            Some(Value::Other(Collection::Hash(hash))) => hash.encoding(),
            Some(Value::Other(Collection::SortedSet(set))) => set.encoding(),
            Some(Value::String(_)) | None => self.string_encoding().unwrap_or("raw"),
        }
    }

    /// A copy under another key: expiry and encoding go with it. An integer counts as an object of its own, which no small
    /// one is otherwise.
    pub fn duplicate(&self, key: &[u8]) -> KeyEntry {
        let value = match self.value() {
            entry::Stored::Int(number) => NewValue::Int(number),
            entry::Stored::Inline(bytes) => NewValue::Inline(bytes),
            entry::Stored::Whole(value) => NewValue::of(value.duplicate()),
        };
        let mut copy = KeyEntry::new(key, value, self.expire_ms());
        copy.set_raw(self.is_raw() || matches!(self.value(), entry::Stored::Int(_)));
        copy
    }

    /// Bytes of key and value together, as MEMORY USAGE counts them (without the table's share).
    pub fn memory_usage(&self) -> usize {
        self.allocation_bytes() + self.whole().map_or(0, Value::memory_usage)
    }
}

#[cfg(test)]
mod fairness_tests;
