//! The few shapes that key specifications come in, so that a command's specification stays one line about its keys.

#![forbid(unsafe_code)]

use crate::command::spec::{Begin, Find, KeyFlags, KeySpec};

/// Argument `index` is a key.
pub(crate) const fn one(index: i32, flags: KeyFlags) -> KeySpec {
    range(index, 0, 1, flags)
}

/// Argument `index` and the one after it are keys.
pub(crate) const fn pair(index: i32, flags: KeyFlags) -> KeySpec {
    range(index, 1, 1, flags)
}

/// Every `step`-th argument from `index` to the last is a key.
pub(crate) const fn rest(index: i32, step: i32, flags: KeyFlags) -> KeySpec {
    range(index, -1, step, flags)
}

/// Argument `index` says how many keys follow it.
pub(crate) const fn counted(index: i32, flags: KeyFlags) -> KeySpec {
    let find = Find::KeyNum { index: 0, first: 1, step: 1 };
    KeySpec { flags, begin: Begin::Index(index), find, notes: None }
}

/// The same keys with a remark for the reader of COMMAND INFO.
pub(crate) const fn noted(spec: KeySpec, notes: &'static str) -> KeySpec {
    KeySpec { notes: Some(notes), ..spec }
}

const fn range(index: i32, last: i32, step: i32, flags: KeyFlags) -> KeySpec {
    KeySpec { flags, begin: Begin::Index(index), find: Find::Range { last, step, limit: 0 }, notes: None }
}
