//! What a flush leaves behind, and big values whose keys are gone: to be dropped in slices between commands, or whole on another thread.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::num::NonZeroU64;

use crate::encoding::table::{Remains, Table};
use crate::types::ruin::{Ruin, drop_first};
use crate::types::{KeyEntry, Value};

/// Values that take more allocations to free than this are worth being left for later: as in Redis.
const EFFORT_AT_ONCE_MAX: usize = 64;

/// Which values a database leaves for later when their keys go or get others; what else goes is freed at once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LazyRules {
    /// Those that a command replaces or removes as part of something else: `lazyfree-lazy-server-del`.
    pub server_del: bool,
    /// Those whose time is over: `lazyfree-lazy-expire`.
    pub expire: bool,
}

impl LazyRules {
    /// Whether any are.
    pub fn any(self) -> bool {
        self.server_del || self.expire
    }
}

/// Keys and values that no command can see any more.
#[derive(Default)]
pub struct Garbage {
    entries: Vec<Remains<KeyEntry>>,
    expires: Vec<Remains<NonZeroU64>>,
    timed: Vec<BTreeSet<(i64, u64)>>,
    values: Vec<Ruin>,
}

// It may be sent away to be dropped elsewhere.
const fn assert_send<T: Send>() {}
const _: () = assert_send::<Garbage>();

impl Garbage {
    pub(super) fn add(&mut self, entries: Table<KeyEntry>, expires: Table<NonZeroU64>, timed: BTreeSet<(i64, u64)>) {
        self.entries.push(entries.into_remains());
        self.expires.push(expires.into_remains());
        self.timed.push(timed);
    }

    /// Takes in the value of an entry that nobody can see any more, if freeing it takes a while; what is small is free
    /// when this returns.
    pub fn take_in(&mut self, entry: KeyEntry) {
        if let Some(value) = entry.into_whole() {
            self.take_in_value(value);
        }
    }

    /// The same of a value that no key has.
    pub fn take_in_value(&mut self, value: Value) {
        if Garbage::is_worth(&value) {
            self.values.push(Ruin::of(value));
        }
    }

    /// Whether freeing a value takes a while.
    pub fn is_worth(value: &Value) -> bool {
        value.effort() > EFFORT_AT_ONCE_MAX
    }

    /// Takes in what more there is.
    pub fn absorb(&mut self, mut more: Garbage) {
        self.entries.append(&mut more.entries);
        self.expires.append(&mut more.expires);
        self.timed.append(&mut more.timed);
        self.values.append(&mut more.values);
    }

    /// Keys not yet dropped.
    pub fn len(&self) -> usize {
        self.entries.iter().map(Remains::len).sum::<usize>() + self.values.len()
    }

    /// Whether no key is left to be dropped.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Drops about `work` buckets, keys and parts of values. Returns true while something is left. Keys go last: once none
    /// is left, all is free.
    pub fn drop_some(&mut self, mut work: usize) -> bool {
        work = drop_last(&mut self.expires, work);
        while work > 0
            && let Some(timed) = self.timed.last_mut()
        {
            work = drop_first(timed, work);
            if work > 0 {
                self.timed.pop();
            }
        }
        while work > 0 && !(self.values.is_empty() && self.entries.is_empty()) {
            work = self.drop_values(work);
            work = self.take_entries(work);
        }
        !(self.values.is_empty() && self.entries.is_empty() && self.expires.is_empty() && self.timed.is_empty())
    }

    /// Drops parts of values. Returns what is left of `work`.
    fn drop_values(&mut self, mut work: usize) -> usize {
        while work > 0
            && let Some(value) = self.values.last_mut()
        {
            work = value.drop_some(work);
            if work > 0 {
                self.values.pop();
            }
        }
        work
    }

    /// Drops entries, all but those values that take a while. Returns what is left of `work`.
    fn take_entries(&mut self, mut work: usize) -> usize {
        let Garbage { entries, values, .. } = self;
        if let Some(last) = entries.last_mut() {
            work = last.take_some(work, |entry| {
                if let Some(value) = entry.into_whole().filter(Garbage::is_worth) {
                    values.push(Ruin::of(value));
                }
            });
            if last.is_empty() {
                entries.pop();
            }
        }
        work
    }
}

/// Works on the last of several and forgets it when it is done. Returns what is left of `work`.
fn drop_last<T>(remains: &mut Vec<Remains<T>>, mut work: usize) -> usize {
    while let Some(last) = remains.last_mut() {
        work = last.drop_some(work);
        if !last.is_empty() {
            break;
        }
        remains.pop();
    }
    work
}
