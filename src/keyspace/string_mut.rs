//! A string that is looked up once and then read and changed: for APPEND, SETRANGE, INCR and their like. The main
//! thread's.

#![forbid(unsafe_code)]

use bytes::BytesMut;

use super::Database;
use crate::encoding::table::Position;
use crate::types::string::StringRef;
use crate::types::{KeyEntry, NewValue, WrongType};

/// A key that holds a string or nothing. A change creates the key where it is missing and leaves its expiry alone.
pub struct StringMut<'a> {
    db: &'a mut Database,
    key: &'a [u8],
    hash: u64,
    at: Option<Position>,
}

impl Database {
    /// Looks a string up in order to change it. `WrongType` where the key holds something else.
    #[inline]
    pub fn string_mut<'a>(&'a mut self, key: &'a [u8], hash: u64, now_ms: i64) -> Result<StringMut<'a>, WrongType> {
        let at = self.find(key, hash, now_ms);
        let string = StringMut { db: self, key, hash, at };
        if let Some(entry) = string.entry() {
            string.db.access.touch(entry);
            entry.as_string()?;
        }
        Ok(string)
    }

    /// Changes a string within a closure. `WrongType` where the key holds something else.
    #[inline]
    pub fn update_string<R>(
        &mut self,
        key: &[u8],
        hash: u64,
        now_ms: i64,
        change: impl FnOnce(&mut StringMut<'_>) -> R,
    ) -> Result<R, WrongType> {
        Ok(change(&mut self.string_mut(key, hash, now_ms)?))
    }
}

impl StringMut<'_> {
    #[inline]
    fn entry(&self) -> Option<&KeyEntry> {
        self.db.table.at(self.at?)
    }

    #[inline]
    fn entry_mut(&mut self) -> Option<&mut KeyEntry> {
        self.db.table.at_mut(self.at?)
    }

    /// The string, or `None` where there is no key.
    #[inline]
    pub fn current(&self) -> Option<StringRef<'_>> {
        self.entry()?.as_string().ok()
    }

    /// Its length in bytes; 0 where there is no key.
    pub fn len(&self) -> usize {
        self.current().map_or(0, |string| string.len())
    }

    /// Whether it has no bytes, or there is no key.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Makes it this value.
    #[inline]
    pub fn set(&mut self, value: NewValue<'_>) {
        match self.entry_mut() {
            Some(entry) => entry.set_value(value),
            None => self.insert(KeyEntry::new(self.key, value, None)),
        }
    }

    /// Makes it an integer: in place where it is one already.
    #[inline]
    pub fn set_int(&mut self, value: i64) {
        self.set(NewValue::Int(value));
    }

    /// Makes it these bytes, even where they are an integer's text (as INCRBYFLOAT stores its results).
    pub fn set_bytes(&mut self, bytes: &[u8]) {
        self.set(NewValue::bytes(bytes));
    }

    /// Adds bytes at the end. Returns the new length.
    pub fn append(&mut self, tail: &[u8]) -> usize {
        match self.entry_mut() {
            Some(entry) => entry.append(tail).expect("the value was seen to be a string"),
            None => {
                self.insert(KeyEntry::new(self.key, NewValue::string(tail), None));
                tail.len()
            }
        }
    }

    /// Overwrites the bytes from `offset` on, with zeros in between where the string is shorter. Returns the new length.
    pub fn set_range(&mut self, offset: usize, bytes: &[u8]) -> usize {
        match self.entry_mut() {
            Some(entry) => entry.set_range(offset, bytes).expect("the value was seen to be a string"),
            None => {
                let mut entry = KeyEntry::new(self.key, NewValue::Inline(&[]), None);
                let len = entry.set_range(offset, bytes).expect("an empty string is a string");
                self.insert(entry);
                len
            }
        }
    }

    /// Lends its bytes, with zeros behind them up to `len_min`. It counts as `raw` from now on.
    pub fn edit<R>(&mut self, len_min: usize, change: impl FnOnce(&mut [u8]) -> R) -> R {
        match self.entry_mut() {
            Some(entry) => entry.edit(len_min, change).expect("the value was seen to be a string"),
            None => {
                let mut entry = KeyEntry::new(self.key, NewValue::Inline(&[]), None);
                let result = entry.edit(len_min, change).expect("an empty string is a string");
                self.insert(entry);
                result
            }
        }
    }

    /// Lends its bytes as a buffer that may grow and shrink. It counts as `raw` from now on.
    pub fn edit_buffer<R>(&mut self, change: impl FnOnce(&mut BytesMut) -> R) -> R {
        match self.entry_mut() {
            Some(entry) => entry.edit_buffer(change).expect("the value was seen to be a string"),
            None => {
                let mut entry = KeyEntry::new(self.key, NewValue::Inline(&[]), None);
                let result = entry.edit_buffer(change).expect("an empty string is a string");
                self.insert(entry);
                result
            }
        }
    }

    /// It counts as `raw` from now on, as after a change.
    pub fn keep_as_raw(&mut self) {
        if self.current().is_some_and(|string| matches!(string, StringRef::Int(_))) {
            self.edit(0, |_| ());
        } else if let Some(entry) = self.entry_mut() {
            entry.set_raw(true);
        }
    }

    fn insert(&mut self, entry: KeyEntry) {
        self.db.insert_new(self.hash, entry);
        // A later change through the same guard has to find it.
        self.at = self.db.table.find(self.hash, |entry| entry.key() == self.key);
    }
}
