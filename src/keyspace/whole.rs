//! HOT PATH. Lists and other structured values, looked up to be changed in place. The main thread's.

#![forbid(unsafe_code)]

use super::Database;
use crate::encoding::table::Position;
use crate::types::held::ValueMut;
use crate::types::{KeyEntry, Value, WrongType};

impl Database {
    /// The entry of a key that has not expired, without touching anything: for commands that hold several at once, after
    /// they looked each up.
    pub fn live(&self, key: &[u8], hash: u64, now_ms: i64) -> Option<&KeyEntry> {
        self.table.get(hash, |entry| entry.key() == key).filter(|entry| !entry.is_due(now_ms))
    }

    /// The value of a key, to change it: a use.
    #[inline]
    pub fn value_mut(&mut self, key: &[u8], hash: u64, now_ms: i64) -> Option<ValueMut<'_>> {
        let at = self.find(key, hash, now_ms)?;
        let entry = self.table.at_mut(at)?;
        self.access.touch(entry);
        Some(ValueMut::new(entry, &mut self.room))
    }

    /// The same; a missing key gets the value that `new` makes. The caller puts something in, or removes the key.
    #[inline]
    pub fn value_or_insert(
        &mut self,
        key: &[u8],
        hash: u64,
        now_ms: i64,
        new: impl FnOnce() -> Value,
    ) -> Result<ValueMut<'_>, WrongType> {
        let at = match self.find(key, hash, now_ms) {
            Some(at) => at,
            None => self.insert_value(key, hash, new()).ok_or(WrongType)?,
        };
        let entry = self.table.at_mut(at).ok_or(WrongType)?;
        self.access.touch(entry);
        Ok(ValueMut::new(entry, &mut self.room))
    }

    /// Gives a key that is missing a value. Returns where it is.
    #[inline(never)]
    fn insert_value(&mut self, key: &[u8], hash: u64, value: Value) -> Option<Position> {
        self.insert_new(hash, KeyEntry::holding(key, value, None));
        self.table.find(hash, |entry| entry.key() == key)
    }
}
