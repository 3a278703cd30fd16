//! HOT PATH. A value lent to be changed. A big one is changed where it is; a small one lies packed beside its key, and is
//! changed in an allocation that all of them share by turns, and put back when the loan ends. The main thread's.

#![forbid(unsafe_code)]

use std::ops::{Deref, DerefMut};

use super::hash::Hash;
use super::list::List;
use super::set::Set;
use super::sorted_set::SortedSet;
use super::{Collection, KeyEntry, NewValue, Value, WrongType};
use crate::encoding::entry::{INLINE_MAX, MARK_MAX, Stored};
use crate::encoding::intset::{Ints, Intset};
use crate::encoding::listpack::Listpack;
use crate::encoding::packed::SLIM_MAX;

/// The most bytes of a value that lies packed beside its key. More would be slow to put back after every change, and gain
/// little over an allocation of their own.
pub const PACKED_MAX: usize = SLIM_MAX;

/// Bytes of a value with an allocation of its own from which on it goes back beside its key, when it is lent: half, so that
/// a value at the edge does not change back and forth.
const PACKED_AGAIN: usize = PACKED_MAX / 2;

// An entry has room for both: a longer value would end the server, a greater mark would lose its high bits.
const _: () = assert!(PACKED_MAX <= INLINE_MAX && mark::SORTED_SET <= MARK_MAX);

/// An allocation that small values are changed in.
pub type Room = Box<[u8]>;

/// A kind of value that may lie packed beside its key.
pub trait Hold: Sized {
    /// One that owns nothing.
    fn vacant() -> Self;

    /// The same value in an allocation of its own, for which there is room, where a mark and bytes are of this kind.
    fn unpacked(mark: u8, bytes: &[u8], room: &mut Room) -> Option<Self>;

    /// What marks its bytes, and these as they lie packed, where they are no more than `max`: from then on it is laid out
    /// so that nothing but copying them is left to do.
    fn packed(&mut self, max: usize) -> Option<(u8, &[u8])>;

    /// Whether it surely is as it lay packed.
    fn is_unchanged(&self) -> bool;

    /// Its allocation, to be used again.
    fn into_room(self) -> Room;

    /// The same in no more memory than it needs.
    fn into_value(self) -> Value;

    /// The value of this kind in any value.
    fn of(value: &mut Value) -> Option<&mut Self>;
}

/// What marks each kind.
pub(super) mod mark {
    pub(crate) const LIST: u8 = 1;
    pub(crate) const SET: u8 = 2;
    pub(crate) const INTS: u8 = 3;
    pub(crate) const HASH: u8 = 4;
    pub(crate) const SORTED_SET: u8 = 5;
}

/// Implements `Hold` for a kind of value that is a pack or something big.
macro_rules! hold_packs {
    ($kind:ident, $mark:expr) => {
        impl Hold for $kind {
            #[inline]
            fn vacant() -> $kind {
                $kind::Pack(Listpack::new())
            }

            #[inline]
            fn unpacked(mark: u8, bytes: &[u8], room: &mut Room) -> Option<$kind> {
                (mark == $mark).then(|| $kind::Pack(Listpack::in_room(bytes, std::mem::take(room))))
            }

            #[inline]
            fn packed(&mut self, max: usize) -> Option<(u8, &[u8])> {
                match self {
                    $kind::Pack(pack) => pack.beside_key(max).map(|bytes| ($mark, bytes)),
                    _ => None,
                }
            }

            #[inline]
            fn is_unchanged(&self) -> bool {
                matches!(self, $kind::Pack(pack) if pack.is_unchanged())
            }

            #[inline]
            fn into_room(self) -> Room {
                match self {
                    $kind::Pack(pack) => pack.into_room(),
                    _ => Room::default(),
                }
            }

            fn into_value(mut self) -> Value {
                if let $kind::Pack(pack) = &mut self {
                    pack.fit();
                }
                self.into()
            }

            #[inline]
            fn of(value: &mut Value) -> Option<&mut $kind> {
                match value {
                    Value::Other(Collection::$kind(value)) => Some(value),
                    _ => None,
                }
            }
        }
    };
}

hold_packs!(List, mark::LIST);
hold_packs!(Hash, mark::HASH);
hold_packs!(SortedSet, mark::SORTED_SET);

impl Hold for Set {
    #[inline]
    fn vacant() -> Set {
        Set::Ints(Intset::new())
    }

    #[inline]
    fn unpacked(mark: u8, bytes: &[u8], room: &mut Room) -> Option<Set> {
        match mark {
            mark::SET => Some(Set::Pack(Listpack::in_room(bytes, std::mem::take(room)))),
            mark::INTS => Some(Set::Ints(Intset::in_room(Ints::new(bytes), std::mem::take(room)))),
            _ => None,
        }
    }

    #[inline]
    fn packed(&mut self, max: usize) -> Option<(u8, &[u8])> {
        match self {
            Set::Ints(ints) => Some((mark::INTS, ints.read().bytes())).filter(|(_, bytes)| bytes.len() <= max),
            Set::Pack(pack) => pack.beside_key(max).map(|bytes| (mark::SET, bytes)),
            Set::Table(_) => None,
        }
    }

    #[inline]
    fn is_unchanged(&self) -> bool {
        matches!(self, Set::Pack(pack) if pack.is_unchanged())
    }

    #[inline]
    fn into_room(self) -> Room {
        match self {
            Set::Ints(ints) => ints.into_room(),
            Set::Pack(pack) => pack.into_room(),
            Set::Table(_) => Room::default(),
        }
    }

    fn into_value(mut self) -> Value {
        match &mut self {
            Set::Ints(ints) => ints.fit(),
            Set::Pack(pack) => pack.fit(),
            Set::Table(_) => {}
        }
        self.into()
    }

    #[inline]
    fn of(value: &mut Value) -> Option<&mut Set> {
        match value {
            Value::Other(Collection::Set(set)) => Some(set),
            _ => None,
        }
    }
}

impl Value {
    /// See [`Hold::packed`].
    fn packed(&mut self, max: usize) -> Option<(u8, &[u8])> {
        match self {
            Value::String(_) => None,
            Value::Other(Collection::List(list)) => list.packed(max),
            Value::Other(Collection::Set(set)) => set.packed(max),
            Value::Other(Collection::Hash(hash)) => hash.packed(max),
            Value::Other(Collection::SortedSet(set)) => set.packed(max),
        }
    }
}

impl KeyEntry {
    /// A key that holds this value, packed where it is small.
    pub fn holding(key: &[u8], mut value: Value, expire_ms: Option<i64>) -> KeyEntry {
        match value.packed(PACKED_MAX) {
            Some((mark, bytes)) => KeyEntry::new(key, NewValue::Packed(mark, bytes), expire_ms),
            None => KeyEntry::new(key, NewValue::of(value), expire_ms),
        }
    }

    /// Packs a value of no more than so many bytes that has an allocation of its own.
    pub fn pack(&mut self, bytes_max: usize) {
        let is_small = self.whole_mut().is_some_and(|value| value.packed(bytes_max).is_some());
        if is_small
            && let Some(mut value) = self.take_whole()
            && let Some((mark, bytes)) = value.packed(bytes_max)
        {
            self.set_value(NewValue::Packed(mark, bytes));
        }
    }
}

/// A value of any kind, to be lent as one of a certain kind.
pub struct ValueMut<'a> {
    entry: &'a mut KeyEntry,
    room: &'a mut Room,
}

impl<'a> ValueMut<'a> {
    /// The value of an entry. `room` is where a small one is changed.
    #[inline]
    pub fn new(entry: &'a mut KeyEntry, room: &'a mut Room) -> ValueMut<'a> {
        ValueMut { entry, room }
    }

    /// Lends it, where it is of the kind that is wanted. Always inlined: a loan that comes back through memory is written
    /// there in parts, and waits until it can be read as a whole.
    #[inline(always)]
    pub fn hold<T: Hold>(self) -> Result<Held<'a, T>, WrongType> {
        let ValueMut { entry, room } = self;
        // Most values that are not packed are of a form that never is, and seeing that takes no call.
        let whole = entry.whole_mut().and_then(T::of);
        if whole.is_some_and(|value| value.packed(PACKED_AGAIN).is_some()) {
            entry.pack(PACKED_AGAIN);
        }
        let unpacked = match entry.value() {
            Stored::Packed(mark, bytes) => Some(T::unpacked(mark, bytes, room).ok_or(WrongType)?),
            _ => None,
        };
        if let Some(value) = unpacked {
            return Ok(Held(Loan::Beside { entry, room, value }));
        }
        let value = entry.whole_mut().and_then(T::of).ok_or(WrongType)?;
        Ok(Held(Loan::InPlace(value)))
    }
}

/// A value that is lent.
pub struct Held<'a, T: Hold>(Loan<'a, T>);

enum Loan<'a, T> {
    InPlace(&'a mut T),
    Beside { entry: &'a mut KeyEntry, room: &'a mut Room, value: T },
}

impl<T: Hold> Deref for Held<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        match &self.0 {
            Loan::InPlace(value) => value,
            Loan::Beside { value, .. } => value,
        }
    }
}

impl<T: Hold> DerefMut for Held<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.0 {
            Loan::InPlace(value) => value,
            Loan::Beside { value, .. } => value,
        }
    }
}

impl<T: Hold> Drop for Held<'_, T> {
    #[inline]
    fn drop(&mut self) {
        let Loan::Beside { entry, room, value } = &mut self.0 else { return };
        let mut value = std::mem::replace(value, T::vacant());
        if value.is_unchanged() {
            **room = value.into_room();
        } else if let Some((mark, bytes)) = value.packed(PACKED_MAX) {
            entry.set_value(NewValue::Packed(mark, bytes));
            **room = value.into_room();
        } else {
            entry.set_value(NewValue::of(value.into_value()));
        }
    }
}

#[cfg(test)]
#[path = "held_tests.rs"]
mod tests;
