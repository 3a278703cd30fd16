//! HOT PATH. Lists and other structured values, looked up to be changed in place. The main thread's.

#![forbid(unsafe_code)]

use super::Database;
use crate::types::{KeyEntry, NewValue, Value, WrongType};

impl Database {
    /// The entry of a key that has not expired, without touching anything: for commands that hold several at once, after
    /// they looked each up.
    pub fn live(&self, key: &[u8], hash: u64, now_ms: i64) -> Option<&KeyEntry> {
        self.table.get(hash, |entry| entry.key() == key).filter(|entry| !entry.is_due(now_ms))
    }

    /// The value of a key, to change it: a use. `WrongType` where the key holds a short string or an integer; a long string
    /// is among the values.
    #[inline]
    pub fn value_mut(&mut self, key: &[u8], hash: u64, now_ms: i64) -> Result<Option<&mut Value>, WrongType> {
        let Some(at) = self.find(key, hash, now_ms) else { return Ok(None) };
        let Some(entry) = self.table.at_mut(at) else { return Ok(None) };
        self.access.touch(entry);
        entry.whole_mut().map(Some).ok_or(WrongType)
    }

    /// The same; a missing key gets the value that `new` makes. The caller puts something in, or removes the key.
    #[inline]
    pub fn value_or_insert(
        &mut self,
        key: &[u8],
        hash: u64,
        now_ms: i64,
        new: impl FnOnce() -> Value,
    ) -> Result<&mut Value, WrongType> {
        let at = match self.find(key, hash, now_ms) {
            Some(at) => at,
            None => {
                self.insert_new(hash, KeyEntry::new(key, NewValue::of(new()), None));
                self.table.find(hash, |entry| entry.key() == key).ok_or(WrongType)?
            }
        };
        let entry = self.table.at_mut(at).ok_or(WrongType)?;
        self.access.touch(entry);
        entry.whole_mut().ok_or(WrongType)
    }
}
