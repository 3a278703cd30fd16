//! HOT PATH. A key and its value in one allocation behind a thin pointer. Unsafe room. Any one thread at a time.
//!
//! ```text
//!   0        4              6             8                   +8 if it expires        +8 if its key is long
//!   | meta   | key's length | inline word | [expire, ms: i64] | [key's length: u64]   | value field | key | [inline value]
//! ```
//!
//! The value field is nothing (the value's bytes follow the key's), an `i64` (an integer), or a `V` (everything else),
//! which is found without going through another pointer. The inline word is the length of the bytes that follow the key,
//! and above that a mark: 0 for a string; what others stand for is the user's affair.
//! The allocation's size is not stored: it is always `size_class` of what the header describes, so a value may be
//! overwritten in place exactly where the old and the new one share a class.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::cell::Cell;
use std::marker::PhantomData;
use std::ptr::NonNull;

/// The largest value kept beside its key, in bytes.
pub const INLINE_MAX: usize = 512;

/// The longest key, in bytes.
pub const KEY_MAX: usize = u32::MAX as usize;

/// The longest key whose length the header has room for, in bytes.
const SHORT_KEY_MAX: usize = u16::MAX as usize;

/// The greatest mark of packed bytes.
pub const MARK_MAX: u8 = (1 << (u16::BITS - MARK_SHIFT)) - 1;

const MARK_SHIFT: u32 = 10;
const INLINE_LEN_MASK: u16 = (1 << MARK_SHIFT) - 1;

const LRU_MASK: u32 = 0x00ff_ffff;
const KIND_SHIFT: u32 = 24;
const KIND_MASK: u32 = 3 << KIND_SHIFT;
/// The bit that whole values and the places that they were taken from have.
const WHOLE_MASK: u32 = (Kind::Whole as u32) << KIND_SHIFT;
const HAS_EXPIRE: u32 = 1 << 26;
const RAW: u32 = 1 << 27;
/// The key's length is in a field of its own.
const LONG_KEY: u32 = 1 << 28;
/// What a rebuilt entry keeps of its former meta word.
const KEPT: u32 = LRU_MASK | RAW;

const ALIGN: usize = 8;

#[repr(C)]
struct Header {
    /// Access stamp (24 bits), kind of value (2 bits), flags.
    meta: Cell<u32>,
    key_len: u16,
    inline_word: u16,
}

const HEADER: usize = size_of::<Header>();
const INLINE_WORD_OFFSET: usize = std::mem::offset_of!(Header, inline_word);
const _: () = assert!(HEADER == 8 && align_of::<Header>() <= ALIGN);
const _: () = assert!(INLINE_MAX <= INLINE_LEN_MASK as usize);
const _: () = assert!(size_of::<Option<Entry<Vec<u8>>>>() == 8);
// A key of 16 bytes with a value of 64 bytes.
const _: () =
    assert!(Shape { kind: Kind::Inline, field: 0, expires: false, key_len: 16, inline_len: 64 }.total() <= 96);

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Kind {
    Inline = 0,
    Int = 1,
    Whole = 2,
    /// A `V` was here, and was taken out.
    Gone = 3,
}

/// What the layout of an entry follows from.
#[derive(Clone, Copy)]
struct Shape {
    kind: Kind,
    /// Bytes of the value field.
    field: usize,
    expires: bool,
    key_len: usize,
    inline_len: usize,
}

impl Shape {
    #[inline]
    const fn long_key_offset(self) -> usize {
        HEADER + if self.expires { 8 } else { 0 }
    }

    #[inline]
    const fn field_offset(self) -> usize {
        self.long_key_offset() + if self.key_len > SHORT_KEY_MAX { 8 } else { 0 }
    }

    #[inline]
    const fn key_offset(self) -> usize {
        self.field_offset() + self.field
    }

    #[inline]
    const fn total(self) -> usize {
        self.key_offset() + self.key_len + self.inline_len
    }

    #[inline]
    fn layout(self) -> Layout {
        Layout::from_size_align(size_class(self.total()), ALIGN).expect("a key and an inline value are below 5 GiB")
    }
}

/// The size to ask the allocator for: multiples of 16 up to 128, then four steps to each doubling, as jemalloc's.
#[inline]
const fn size_class(size: usize) -> usize {
    let step = if size <= 128 { 16 } else { 1 << ((size - 1).ilog2() - 2) };
    size.next_multiple_of(step)
}

/// The length of inline bytes and their mark in one word.
#[inline]
const fn inline_word(len: usize, mark: u8) -> u16 {
    (mark as u16) << MARK_SHIFT | len as u16
}

/// A value to be stored.
#[derive(Debug)]
pub enum NewValue<'a, V> {
    /// An integer.
    Int(i64),
    /// Up to `INLINE_MAX` bytes, copied beside the key.
    Inline(&'a [u8]),
    /// The same of something that is no string, which this mark from 1 to `MARK_MAX` tells.
    Packed(u8, &'a [u8]),
    /// Anything else.
    Whole(V),
}

/// A value as it is stored.
#[derive(Debug)]
pub enum Stored<'a, V> {
    /// An integer.
    Int(i64),
    /// Bytes beside the key.
    Inline(&'a [u8]),
    /// Bytes beside the key that are no string, and what they are.
    Packed(u8, &'a [u8]),
    /// Anything else.
    Whole(&'a V),
}

/// A key, its value, its time to expire and its access stamp. Owns one allocation.
pub struct Entry<V> {
    raw: NonNull<Header>,
    owns: PhantomData<V>,
}

// SAFETY: an entry owns its allocation and the value in it alone; nothing in it is tied to a thread but `V`.
unsafe impl<V: Send> Send for Entry<V> {}

impl<V> Entry<V> {
    /// Evaluated for every `V` that entries hold: its field lies at a multiple of 8.
    const LAYOUT: () = assert!(align_of::<V>() <= ALIGN);
    const FIELD: usize = size_of::<V>();

    #[inline(always)]
    const fn field_size(kind: Kind) -> usize {
        match kind {
            Kind::Inline => 0,
            Kind::Int => 8,
            Kind::Whole | Kind::Gone => Self::FIELD,
        }
    }

    /// A new entry. `key` must not be longer than `KEY_MAX`, an inline value not longer than `INLINE_MAX`.
    #[inline]
    pub fn new(key: &[u8], value: NewValue<'_, V>, expire_ms: Option<i64>) -> Entry<V> {
        Entry::build(key, value, expire_ms, 0)
    }

    fn build(key: &[u8], value: NewValue<'_, V>, expire_ms: Option<i64>, kept: u32) -> Entry<V> {
        const { Self::LAYOUT };
        assert!(key.len() <= KEY_MAX, "keys are bounded by the protocol");
        let (kind, mark, inline) = match &value {
            NewValue::Int(_) => (Kind::Int, 0, &[][..]),
            NewValue::Whole(_) => (Kind::Whole, 0, &[][..]),
            NewValue::Inline(bytes) => (Kind::Inline, 0, *bytes),
            NewValue::Packed(mark, bytes) => (Kind::Inline, *mark, *bytes),
        };
        debug_assert!(mark <= MARK_MAX);
        assert!(inline.len() <= INLINE_MAX, "bigger values are whole ones");
        let (field, expires) = (Self::field_size(kind), expire_ms.is_some());
        let shape = Shape { kind, field, expires, key_len: key.len(), inline_len: inline.len() };
        let layout = shape.layout();
        // SAFETY: the layout's size is at least the header's, so not zero.
        let start = unsafe { alloc(layout) };
        let Some(raw) = NonNull::new(start.cast::<Header>()) else { handle_alloc_error(layout) };
        let expires = if expire_ms.is_some() { HAS_EXPIRE } else { 0 };
        let long_key = if key.len() > SHORT_KEY_MAX { LONG_KEY } else { 0 };
        let meta = Cell::new(kept & KEPT | (kind as u32) << KIND_SHIFT | expires | long_key);
        // SAFETY: the allocation is aligned to 8, big enough for a header, and nobody else's.
        unsafe { raw.write(Header { meta, key_len: key.len() as u16, inline_word: inline_word(inline.len(), mark) }) };
        let mut entry = Entry { raw, owns: PhantomData };
        if let Some(at_ms) = expire_ms {
            entry.write_at(HEADER, at_ms);
        }
        if long_key != 0 {
            entry.write_at(shape.long_key_offset(), key.len());
        }
        match value {
            NewValue::Int(value) => entry.write_at(shape.field_offset(), value),
            NewValue::Inline(_) | NewValue::Packed(..) => {}
            NewValue::Whole(value) => entry.write_at(shape.field_offset(), value),
        }
        entry.write_bytes(shape.key_offset(), key);
        entry.write_bytes(shape.key_offset() + key.len(), inline);
        entry
    }

    #[inline(always)]
    fn header(&self) -> &Header {
        // SAFETY: `raw` points to the header of a live allocation of this entry; it is only ever changed through its
        // `Cell` or by `&mut self`.
        unsafe { self.raw.as_ref() }
    }

    #[inline(always)]
    fn start(&self) -> *mut u8 {
        self.raw.as_ptr().cast()
    }

    /// Writes a field. `offset` must be one of the layout's, for this type, below the allocation's size.
    #[inline(always)]
    fn write_at<T>(&mut self, offset: usize, value: T) {
        // SAFETY: callers pass an offset inside the allocation.
        let at = unsafe { self.start().add(offset) };
        // SAFETY: the field lies in the allocation, `&mut self` makes the access ours alone, and alignment is not asked.
        unsafe { at.cast::<T>().write_unaligned(value) };
    }

    /// Reads a field that was written with this type.
    #[inline(always)]
    fn read_at<T: Copy>(&self, offset: usize) -> T {
        // SAFETY: callers pass an offset inside the allocation.
        let at = unsafe { self.start().add(offset) };
        // SAFETY: a value of this type was written there by `build` or an in-place change, and alignment is not asked.
        unsafe { at.cast::<T>().read_unaligned() }
    }

    #[inline(always)]
    fn write_bytes(&mut self, offset: usize, bytes: &[u8]) {
        // SAFETY: callers pass an offset that leaves room for `bytes` in the allocation.
        let at = unsafe { self.start().add(offset) };
        // SAFETY: the target is inside the allocation and `&mut self` makes it disjoint from the borrowed `bytes`.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), at, bytes.len()) };
    }

    #[inline(always)]
    fn bytes_at(&self, offset: usize, len: usize) -> &[u8] {
        // SAFETY: callers pass a range inside the allocation.
        let at = unsafe { self.start().add(offset) };
        // SAFETY: the range was initialised by `build`, and is only changed through `&mut self`.
        unsafe { std::slice::from_raw_parts(at, len) }
    }

    #[inline(always)]
    fn has_expire(&self) -> bool {
        self.header().meta.get() & HAS_EXPIRE != 0
    }

    #[inline(always)]
    fn kind(&self) -> Kind {
        match (self.header().meta.get() & KIND_MASK) >> KIND_SHIFT {
            0 => Kind::Inline,
            1 => Kind::Int,
            2 => Kind::Whole,
            _ => Kind::Gone,
        }
    }

    #[inline]
    fn shape(&self) -> Shape {
        let header = self.header();
        let (kind, expires) = (self.kind(), self.has_expire());
        let (field, inline_len) = (Self::field_size(kind), usize::from(header.inline_word & INLINE_LEN_MASK));
        let mut shape = Shape { kind, field, expires, key_len: usize::from(header.key_len), inline_len };
        if header.meta.get() & LONG_KEY != 0 {
            shape.key_len = self.read_at(shape.long_key_offset());
        }
        shape
    }

    /// The key.
    #[inline]
    pub fn key(&self) -> &[u8] {
        let header = self.header();
        let meta = header.meta.get();
        // The same sum as `Shape::key_offset`, without a branch.
        let expire = (meta & HAS_EXPIRE) >> (HAS_EXPIRE.trailing_zeros() - 3);
        let number = if meta & KIND_MASK == 0 { 0 } else { 8 };
        let field = if meta & WHOLE_MASK == 0 { number } else { Self::FIELD };
        if meta & LONG_KEY != 0 {
            return self.long_key();
        }
        self.bytes_at(HEADER + expire as usize + field, usize::from(header.key_len))
    }

    #[cold]
    fn long_key(&self) -> &[u8] {
        let shape = self.shape();
        self.bytes_at(shape.key_offset(), shape.key_len)
    }

    /// The value.
    #[inline]
    pub fn value(&self) -> Stored<'_, V> {
        let shape = self.shape();
        match shape.kind {
            Kind::Inline => {
                let bytes = self.bytes_at(shape.key_offset() + shape.key_len, shape.inline_len);
                match self.mark() {
                    0 => Stored::Inline(bytes),
                    mark => Stored::Packed(mark, bytes),
                }
            }
            Kind::Int => Stored::Int(self.read_at(shape.field_offset())),
            Kind::Whole => {
                // SAFETY: the field lies inside the allocation.
                let value = unsafe { self.start().add(shape.field_offset()) }.cast::<V>();
                // SAFETY: a value was written there and not taken out, at a multiple of its alignment, and it is only
                // ever changed through `&mut self`.
                Stored::Whole(unsafe { &*value })
            }
            Kind::Gone => Stored::Int(0),
        }
    }

    /// The whole value, to be changed; `None` for an integer or inline bytes.
    #[inline]
    pub fn whole_mut(&mut self) -> Option<&mut V> {
        if self.kind() != Kind::Whole {
            return None;
        }
        // SAFETY: the field lies inside the allocation.
        let value = unsafe { self.start().add(self.shape().field_offset()) }.cast::<V>();
        // SAFETY: a value was written there and not taken out, at a multiple of its alignment, and `&mut self` lends it
        // exclusively.
        Some(unsafe { &mut *value })
    }

    /// What inline bytes are.
    #[inline(always)]
    fn mark(&self) -> u8 {
        (self.header().inline_word >> MARK_SHIFT) as u8
    }

    /// The inline value's bytes, to be changed in place; `None` for other kinds.
    pub fn inline_mut(&mut self) -> Option<&mut [u8]> {
        let shape = self.shape();
        if shape.kind != Kind::Inline || self.mark() != 0 {
            return None;
        }
        // SAFETY: the value's bytes follow the key's inside the allocation.
        let at = unsafe { self.start().add(shape.key_offset() + shape.key_len) };
        // SAFETY: they are initialised, and `&mut self` lends them exclusively.
        Some(unsafe { std::slice::from_raw_parts_mut(at, shape.inline_len) })
    }

    /// Replaces the value; key, expiry and stamp stay and the raw mark goes. Allocates only where the new value has
    /// another kind or size class.
    #[inline]
    pub fn set_value(&mut self, value: NewValue<'_, V>) {
        self.set_raw(false);
        let old = self.shape();
        match value {
            NewValue::Int(number) if old.kind == Kind::Int => self.write_at(old.field_offset(), number),
            NewValue::Inline(bytes) if self.fits(old, bytes.len()) => self.overwrite(old, 0, bytes),
            NewValue::Packed(mark, bytes) if self.fits(old, bytes.len()) => self.overwrite(old, mark, bytes),
            NewValue::Whole(whole) if old.kind == Kind::Whole => {
                let former = self.whole_mut().expect("the kind is whole");
                *former = whole;
            }
            value => *self = Entry::build(self.key(), value, self.expire_ms(), self.header().meta.get()),
        }
    }

    #[inline]
    fn overwrite(&mut self, old: Shape, mark: u8, bytes: &[u8]) {
        self.write_at(INLINE_WORD_OFFSET, inline_word(bytes.len(), mark));
        self.write_bytes(old.key_offset() + old.key_len, bytes);
    }

    /// Whether an inline value of this length would keep the allocation.
    #[inline]
    fn fits(&self, old: Shape, inline_len: usize) -> bool {
        old.kind == Kind::Inline
            && inline_len <= INLINE_MAX
            && size_class(Shape { inline_len, ..old }.total()) == size_class(old.total())
    }

    /// Replaces the value by an integer: in place where it is one already.
    #[inline]
    pub fn set_int(&mut self, value: i64) {
        self.set_value(NewValue::Int(value));
    }

    /// When the key expires, in Unix milliseconds.
    #[inline]
    pub fn expire_ms(&self) -> Option<i64> {
        self.has_expire().then(|| self.read_at(HEADER))
    }

    /// Whether the key has expired: Redis keeps it through the very millisecond of its expiry.
    #[inline]
    pub fn is_due(&self, now_ms: i64) -> bool {
        self.has_expire() && now_ms > self.read_at::<i64>(HEADER)
    }

    /// Sets or clears the expiry. Allocates where there was none before, or none is left.
    pub fn set_expire(&mut self, expire_ms: Option<i64>) {
        match expire_ms {
            Some(at_ms) if self.has_expire() => self.write_at(HEADER, at_ms),
            None if !self.has_expire() => {}
            _ => self.rebuild(None, expire_ms),
        }
    }

    /// Gives the entry another key; all else stays.
    pub fn set_key(&mut self, key: &[u8]) {
        self.rebuild(Some(key), self.expire_ms());
    }

    #[cold]
    fn rebuild(&mut self, key: Option<&[u8]>, expire_ms: Option<i64>) {
        let whole = self.take_whole();
        let value = match (whole, self.value()) {
            (Some(whole), _) => NewValue::Whole(whole),
            (None, Stored::Int(number)) => NewValue::Int(number),
            (None, Stored::Inline(bytes)) => NewValue::Inline(bytes),
            (None, Stored::Packed(mark, bytes)) => NewValue::Packed(mark, bytes),
            (None, Stored::Whole(_)) => unreachable!("a whole value was taken out"),
        };
        *self = Entry::build(key.unwrap_or(self.key()), value, expire_ms, self.header().meta.get());
    }

    /// Takes the whole value out, where there is one. What stays counts as the integer 0.
    pub fn take_whole(&mut self) -> Option<V> {
        if self.kind() != Kind::Whole {
            return None;
        }
        // SAFETY: the field lies inside the allocation.
        let value = unsafe { self.start().add(self.shape().field_offset()) }.cast::<V>();
        let meta = &self.header().meta;
        meta.set(meta.get() & !KIND_MASK | (Kind::Gone as u32) << KIND_SHIFT);
        // SAFETY: a value was written there, at a multiple of its alignment, and the entry has just given up its claim.
        Some(unsafe { value.read() })
    }

    /// The whole value alone, where there is one.
    pub fn into_whole(mut self) -> Option<V> {
        self.take_whole()
    }

    /// The access stamp: 24 bits whose meaning is the eviction policy's.
    #[inline]
    pub fn lru(&self) -> u32 {
        self.header().meta.get() & LRU_MASK
    }

    /// Sets the access stamp to the low 24 bits of `stamp`. Needs no exclusive access, so that reads can stamp.
    #[inline]
    pub fn set_lru(&self, stamp: u32) {
        let meta = &self.header().meta;
        meta.set(meta.get() & !LRU_MASK | stamp & LRU_MASK);
    }

    /// Whether the string was made or changed piecewise (APPEND, SETRANGE): OBJECT ENCODING then says `raw`. Of an integer:
    /// whether it was copied, so that in Redis it is not the object that all small integers share.
    #[inline]
    pub fn is_raw(&self) -> bool {
        self.header().meta.get() & RAW != 0
    }

    /// Sets or clears that mark.
    #[inline]
    pub fn set_raw(&mut self, raw: bool) {
        let meta = &self.header().meta;
        meta.set(if raw { meta.get() | RAW } else { meta.get() & !RAW });
    }

    /// Where the allocation starts: for prefetching only.
    #[inline]
    pub fn address(&self) -> *const u8 {
        self.start()
    }

    /// Bytes that are free behind what lies in the entry's own allocation.
    pub fn room(&self) -> usize {
        self.allocation_bytes() - self.shape().total()
    }

    /// Bytes of the entry's own allocation; what a whole value owns comes on top.
    #[inline]
    pub fn allocation_bytes(&self) -> usize {
        size_class(self.shape().total())
    }
}

impl<V> Drop for Entry<V> {
    #[inline]
    fn drop(&mut self) {
        let layout = self.shape().layout();
        drop(self.take_whole());
        // SAFETY: the allocation was made with this layout: in-place changes never leave the size class.
        unsafe { dealloc(self.start(), layout) };
    }
}

impl<V: std::fmt::Debug> std::fmt::Debug for Entry<V> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("Entry")
            .field("key", &self.key().escape_ascii().to_string())
            .field("value", &self.value())
            .field("expire_ms", &self.expire_ms())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    type TestEntry = Entry<String>;

    #[test]
    fn sizes_step_as_the_allocators_do() {
        let classes = [(1, 16), (16, 16), (17, 32), (92, 96), (128, 128), (129, 160), (257, 320), (513, 640)];
        for (size, class) in classes {
            assert_eq!(size_class(size), class, "{size}");
        }
        assert!((1..5000).all(|size| size_class(size_class(size)) == size_class(size)));
    }

    #[test]
    fn a_small_pair_takes_its_bytes_and_eight_more() {
        for (value, bytes) in [(64, 96), (72, 96), (73, 112)] {
            let entry = TestEntry::new(&[b'k'; 16], NewValue::Inline(&vec![b'v'; value]), None);
            assert_eq!(entry.allocation_bytes(), bytes);
        }
    }

    #[test]
    fn keys_too_long_for_the_header_are_kept() {
        let key = (0..SHORT_KEY_MAX + 2).map(|index| index as u8).collect::<Vec<_>>();
        for len in [SHORT_KEY_MAX - 1, SHORT_KEY_MAX, SHORT_KEY_MAX + 1, SHORT_KEY_MAX + 2] {
            let key = &key[..len];
            let mut entry = TestEntry::new(key, NewValue::Inline(b"value"), Some(7));
            assert_eq!((entry.key(), entry.expire_ms()), (key, Some(7)));
            entry.set_value(NewValue::Inline(b"other"));
            assert!(matches!(entry.value(), Stored::Inline(b"other")));
            entry.set_value(NewValue::Whole("text".to_owned()));
            entry.set_expire(None);
            assert!(entry.key() == key && matches!(entry.value(), Stored::Whole(text) if text == "text"));
            entry.set_key(b"short");
            assert_eq!((entry.key(), entry.allocation_bytes()), (&b"short"[..], 48));
            entry.set_key(key);
            assert_eq!(entry.take_whole().as_deref(), Some("text"));
            assert_eq!(entry.key(), key);
        }
    }

    #[test]
    fn overwriting_with_the_same_size_keeps_the_allocation() {
        let mut entry = TestEntry::new(b"key", NewValue::Inline(&[b'a'; 64]), Some(5));
        let address = entry.address();
        entry.set_value(NewValue::Inline(&[b'b'; 63]));
        entry.set_expire(Some(6));
        assert_eq!(entry.address(), address);
        assert!(matches!(entry.value(), Stored::Inline(bytes) if bytes == [b'b'; 63]));
    }

    #[test]
    fn a_whole_value_outlives_its_entry() {
        let entry = TestEntry::new(b"key", NewValue::Whole("text".to_owned()), Some(5));
        assert_eq!(entry.into_whole().as_deref(), Some("text"));
        assert!(TestEntry::new(b"key", NewValue::Int(5), None).into_whole().is_none());
    }

    #[test]
    fn a_key_is_kept_through_the_millisecond_of_its_expiry() {
        let entry = TestEntry::new(b"key", NewValue::Int(1), Some(10));
        assert!(!entry.is_due(10));
        assert!(entry.is_due(11));
        assert!(!TestEntry::new(b"key", NewValue::Int(1), None).is_due(i64::MAX));
    }

    #[derive(Clone, Debug)]
    enum Value {
        Int(i64),
        Inline(Vec<u8>),
        Packed(u8, Vec<u8>),
        Whole(String),
    }

    impl Value {
        fn as_new(&self) -> NewValue<'_, String> {
            match self {
                Value::Int(value) => NewValue::Int(*value),
                Value::Inline(bytes) => NewValue::Inline(bytes),
                Value::Packed(mark, bytes) => NewValue::Packed(*mark, bytes),
                Value::Whole(text) => NewValue::Whole(text.clone()),
            }
        }
    }

    #[derive(Clone, Debug)]
    enum Change {
        Value(Value),
        Int(i64),
        Expire(Option<i64>),
        Key(Vec<u8>),
        Lru(u32),
        Raw(bool),
        Upper,
        Take,
    }

    fn values() -> impl Strategy<Value = Value> {
        prop_oneof![
            any::<i64>().prop_map(Value::Int),
            prop::collection::vec(any::<u8>(), 0..=INLINE_MAX).prop_map(Value::Inline),
            prop::collection::vec(any::<u8>(), 0..40).prop_map(Value::Inline),
            (1..=MARK_MAX, prop::collection::vec(any::<u8>(), 0..=INLINE_MAX))
                .prop_map(|(mark, bytes)| Value::Packed(mark, bytes)),
            "[a-z]{0,40}".prop_map(Value::Whole),
        ]
    }

    fn changes() -> impl Strategy<Value = Change> {
        prop_oneof![
            4 => values().prop_map(Change::Value),
            1 => any::<i64>().prop_map(Change::Int),
            2 => any::<Option<i64>>().prop_map(Change::Expire),
            1 => prop::collection::vec(any::<u8>(), 0..300).prop_map(Change::Key),
            1 => (SHORT_KEY_MAX - 3..SHORT_KEY_MAX + 4, any::<u8>()).prop_map(|(len, byte)| Change::Key(vec![byte; len])),
            1 => any::<u32>().prop_map(Change::Lru),
            1 => any::<bool>().prop_map(Change::Raw),
            1 => Just(Change::Upper),
            1 => Just(Change::Take),
        ]
    }

    struct Model {
        key: Vec<u8>,
        value: Value,
        expire_ms: Option<i64>,
        lru: u32,
        raw: bool,
    }

    impl Model {
        fn apply(&mut self, change: Change) {
            match change {
                Change::Value(value) => (self.value, self.raw) = (value, false),
                Change::Int(value) => (self.value, self.raw) = (Value::Int(value), false),
                Change::Expire(expire_ms) => self.expire_ms = expire_ms,
                Change::Key(key) => self.key = key,
                Change::Lru(stamp) => self.lru = stamp & 0xff_ffff,
                Change::Raw(raw) => self.raw = raw,
                Change::Take if matches!(self.value, Value::Whole(_)) => self.value = Value::Int(0),
                Change::Take => {}
                Change::Upper => match &mut self.value {
                    Value::Int(_) | Value::Packed(..) => {}
                    Value::Inline(bytes) => bytes.make_ascii_uppercase(),
                    Value::Whole(text) => text.make_ascii_uppercase(),
                },
            }
        }

        fn check(&self, entry: &TestEntry) {
            assert_eq!(entry.key(), self.key);
            assert_eq!(entry.expire_ms(), self.expire_ms);
            assert_eq!((entry.lru(), entry.is_raw()), (self.lru, self.raw));
            match (entry.value(), &self.value) {
                (Stored::Int(found), Value::Int(value)) => assert_eq!(found, *value),
                (Stored::Inline(found), Value::Inline(value)) => assert_eq!(found, value),
                (Stored::Packed(found, bytes), Value::Packed(mark, value)) => {
                    assert_eq!((found, bytes), (*mark, &value[..]))
                }
                (Stored::Whole(found), Value::Whole(value)) => assert_eq!(found, value),
                (found, value) => panic!("{found:?} is not {value:?}"),
            }
        }
    }

    fn apply(entry: &mut TestEntry, change: &Change) {
        match change {
            Change::Value(value) => entry.set_value(value.as_new()),
            Change::Int(value) => entry.set_int(*value),
            Change::Expire(expire_ms) => entry.set_expire(*expire_ms),
            Change::Key(key) => entry.set_key(key),
            Change::Lru(stamp) => entry.set_lru(*stamp),
            Change::Raw(raw) => entry.set_raw(*raw),
            Change::Take => _ = entry.take_whole(),
            Change::Upper => {
                if let Some(text) = entry.whole_mut() {
                    text.make_ascii_uppercase();
                } else if let Some(bytes) = entry.inline_mut() {
                    bytes.make_ascii_uppercase();
                }
            }
        }
    }

    proptest! {
        #[test]
        fn every_transition_agrees_with_a_plain_struct(
            key in prop::collection::vec(any::<u8>(), 0..100),
            value in values(),
            expire_ms in any::<Option<i64>>(),
            changes in prop::collection::vec(changes(), 0..30),
        ) {
            let mut entry = TestEntry::new(&key, value.as_new(), expire_ms);
            let mut model = Model { key, value, expire_ms, lru: 0, raw: false };
            model.check(&entry);
            for change in changes {
                apply(&mut entry, &change);
                model.apply(change);
                model.check(&entry);
            }
        }
    }
}
