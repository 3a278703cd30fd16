//! Strings: what SET stores and GET reads. Integers and short strings lie in the entry itself; longer ones are
//! reference-counted, so that a reply or a command's argument can share them without a copy. Any one thread.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use bytes::{Bytes, BytesMut};

use super::{KeyEntry, NewValue, Value, WrongType};
use crate::base::integer::{parse_i64, text_len_i64};
use crate::encoding::entry::{INLINE_MAX, Stored};

/// The longest string that OBJECT ENCODING calls `embstr`, in bytes.
const EMBSTR_MAX: usize = 44;

/// A string that is too long to lie beside its key.
#[derive(Debug, Default)]
pub struct LargeString {
    /// Behind a pointer, so that it takes no more room in an entry than collections do.
    bytes: Box<Bytes>,
}

/// What a handle of reference-counted bytes takes.
const HANDLE: usize = size_of::<Bytes>();

impl LargeString {
    /// Takes over a reference.
    pub fn new(bytes: Bytes) -> LargeString {
        LargeString { bytes: Box::new(bytes) }
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Bytes of its allocations.
    pub fn memory_usage(&self) -> usize {
        HANDLE + self.bytes.len()
    }

    /// Another reference to the bytes, for a reply. Later changes make a copy first, so that the reply stays as it is.
    pub fn shared(&self) -> Bytes {
        Bytes::clone(&self.bytes)
    }

    /// The bytes.
    pub fn as_bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// Lends the bytes as a buffer that may grow: without a copy unless someone else still refers to them.
    pub fn edit<R>(&mut self, change: impl FnOnce(&mut BytesMut) -> R) -> R {
        let mut buffer = match std::mem::take(&mut *self.bytes).try_into_mut() {
            Ok(buffer) => buffer,
            Err(shared) => BytesMut::from(&shared[..]),
        };
        let result = change(&mut buffer);
        *self.bytes = buffer.freeze();
        result
    }

    /// Lends the bytes after they grew by zeros to `len`, if they were fewer.
    fn edit_bytes<R>(&mut self, len: usize, change: impl FnOnce(&mut [u8]) -> R) -> R {
        self.edit(|buffer| {
            if buffer.len() < len {
                buffer.resize(len, 0);
            }
            change(buffer)
        })
    }

    /// Adds `tail` at the end. Repeated, this copies each byte a bounded number of times on average.
    pub fn append(&mut self, tail: &[u8]) {
        self.edit(|buffer| {
            if buffer.capacity() - buffer.len() < tail.len() {
                // Twice the length, but as Redis does not more than 1 MiB ahead.
                let ahead = (buffer.len() + tail.len()).min(GROW_AHEAD_MAX);
                buffer.reserve(tail.len() + ahead);
            }
            buffer.extend_from_slice(tail);
        });
    }

    /// Overwrites the bytes from `offset` on, with zeros in between where the string is shorter.
    pub fn set_range(&mut self, offset: usize, bytes: &[u8]) {
        self.edit(|buffer| {
            if buffer.len() < offset + bytes.len() {
                buffer.resize(offset + bytes.len(), 0);
            }
            buffer[offset..offset + bytes.len()].copy_from_slice(bytes);
        });
    }
}

/// The most that APPEND reserves ahead, in bytes.
const GROW_AHEAD_MAX: usize = 1 << 20;

/// A string as a command reads it.
#[derive(Clone, Copy, Debug)]
pub enum StringRef<'a> {
    /// The text of this integer.
    Int(i64),
    /// Bytes in the entry.
    Bytes(&'a [u8]),
    /// Bytes that a reply may share.
    Shared(&'a Bytes),
}

impl<'a> StringRef<'a> {
    /// Length of the text in bytes.
    pub fn len(&self) -> usize {
        match self {
            StringRef::Int(value) => text_len_i64(*value),
            StringRef::Bytes(bytes) => bytes.len(),
            StringRef::Shared(bytes) => bytes.len(),
        }
    }

    /// Whether the text is empty.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text; an integer is written out.
    pub fn to_cow(&self) -> Cow<'a, [u8]> {
        match self {
            StringRef::Int(value) => Cow::Owned(itoa::Buffer::new().format(*value).as_bytes().to_vec()),
            StringRef::Bytes(bytes) => Cow::Borrowed(bytes),
            StringRef::Shared(bytes) => Cow::Borrowed(bytes),
        }
    }

    /// The text; an integer is written to `text`, so that nothing is allocated.
    #[inline]
    pub fn bytes<'t>(&self, text: &'t mut itoa::Buffer) -> &'t [u8]
    where
        'a: 't,
    {
        match self {
            StringRef::Int(value) => text.format(*value).as_bytes(),
            StringRef::Bytes(bytes) => bytes,
            StringRef::Shared(bytes) => bytes,
        }
    }

    /// The integer that the text stands for, if it is the canonical text of one.
    pub fn as_integer(&self) -> Option<i64> {
        match self {
            StringRef::Int(value) => Some(*value),
            StringRef::Bytes(bytes) => parse_i64(bytes),
            StringRef::Shared(bytes) => parse_i64(bytes),
        }
    }
}

impl<'a> NewValue<'a> {
    /// A string as SET stores it: the canonical text of an integer becomes that integer.
    #[inline]
    pub fn string(bytes: &'a [u8]) -> NewValue<'a> {
        match parse_i64(bytes) {
            Some(value) => NewValue::Int(value),
            None => NewValue::bytes(bytes),
        }
    }

    /// A string of these bytes, even where they are an integer's text.
    #[inline]
    pub fn bytes(bytes: &'a [u8]) -> NewValue<'a> {
        if bytes.len() <= INLINE_MAX { NewValue::Inline(bytes) } else { NewValue::large(Bytes::copy_from_slice(bytes)) }
    }

    /// A string that arrived in its own allocation, which is kept if it is long.
    #[inline]
    pub fn shared(bytes: &'a Bytes) -> NewValue<'a> {
        if bytes.len() <= INLINE_MAX { NewValue::string(bytes) } else { NewValue::large(bytes.clone()) }
    }

    /// A string of these bytes that may keep their allocation.
    pub fn owned(bytes: &'a Bytes) -> NewValue<'a> {
        if bytes.len() <= INLINE_MAX { NewValue::Inline(bytes) } else { NewValue::large(bytes.clone()) }
    }

    #[inline]
    fn large(bytes: Bytes) -> NewValue<'a> {
        NewValue::Whole(Value::String(LargeString::new(bytes)))
    }
}

impl KeyEntry {
    /// The value as a string.
    #[inline]
    pub fn as_string(&self) -> Result<StringRef<'_>, WrongType> {
        match self.value() {
            Stored::Inline(bytes) => Ok(StringRef::Bytes(bytes)),
            Stored::Int(value) => Ok(StringRef::Int(value)),
            Stored::Whole(Value::String(string)) => Ok(StringRef::Shared(string.as_bytes())),
            Stored::Whole(_) | Stored::Packed(..) => Err(WrongType),
        }
    }

    /// The encoding of a string as OBJECT ENCODING answers it, in Redis' terms rather than ours.
    pub fn string_encoding(&self) -> Result<&'static str, WrongType> {
        Ok(match self.as_string()? {
            StringRef::Int(_) => "int",
            string if self.is_raw() || string.len() > EMBSTR_MAX => "raw",
            _ => "embstr",
        })
    }

    /// A key that holds these bytes, which OBJECT ENCODING calls `raw` however few they are.
    pub fn raw_string(key: &[u8], bytes: &Bytes) -> KeyEntry {
        let mut entry = KeyEntry::new(key, NewValue::owned(bytes), None);
        entry.set_raw(true);
        entry
    }

    /// Lends the bytes of a string value, with zeros behind them up to `len_min`. It counts as `raw` from now on.
    pub fn edit<R>(&mut self, len_min: usize, change: impl FnOnce(&mut [u8]) -> R) -> Result<R, WrongType> {
        let len = self.as_string()?.len().max(len_min);
        let result = if let Some(Value::String(string)) = self.whole_mut() {
            string.edit_bytes(len, change)
        } else {
            let mut text = itoa::Buffer::new();
            let old = self.as_string()?.bytes(&mut text);
            if len <= INLINE_MAX {
                let mut buffer = [0; INLINE_MAX];
                buffer[..old.len()].copy_from_slice(old);
                let result = change(&mut buffer[..len]);
                self.set_value(NewValue::Inline(&buffer[..len]));
                result
            } else {
                let mut string = LargeString::new(Bytes::copy_from_slice(old));
                let result = string.edit_bytes(len, change);
                self.set_value(NewValue::Whole(Value::String(string)));
                result
            }
        };
        self.set_raw(true);
        Ok(result)
    }

    /// Lends the bytes of a string value as a buffer that may grow and shrink. It counts as `raw` from now on.
    pub fn edit_buffer<R>(&mut self, change: impl FnOnce(&mut BytesMut) -> R) -> Result<R, WrongType> {
        let result = if let Some(Value::String(string)) = self.whole_mut() {
            string.edit(change)
        } else {
            let mut text = itoa::Buffer::new();
            let mut buffer = BytesMut::from(self.as_string()?.bytes(&mut text));
            let result = change(&mut buffer);
            self.set_value(NewValue::owned(&buffer.freeze()));
            result
        };
        self.set_raw(true);
        Ok(result)
    }

    /// Appends to a string value, which OBJECT ENCODING calls `raw` from now on. Returns the new length.
    pub fn append(&mut self, tail: &[u8]) -> Result<usize, WrongType> {
        let len = self.as_string()?.len();
        self.edit_string(len + tail.len(), |buffer| buffer[len..].copy_from_slice(tail), |large| large.append(tail));
        Ok(len + tail.len())
    }

    /// Overwrites a string value from `offset` on, with zeros in between where it is shorter; it counts as `raw` from
    /// now on. Returns the new length.
    pub fn set_range(&mut self, offset: usize, bytes: &[u8]) -> Result<usize, WrongType> {
        let end = offset + bytes.len();
        let len = self.as_string()?.len().max(end);
        self.edit_string(
            len,
            |buffer| buffer[offset..end].copy_from_slice(bytes),
            |large| large.set_range(offset, bytes),
        );
        Ok(len)
    }

    /// Changes a string that will be `len` bytes long: `small` sees the old bytes and zeros after them, `large` the
    /// reference-counted string. A string that became large stays so.
    fn edit_string(&mut self, len: usize, small: impl FnOnce(&mut [u8]), large: impl FnOnce(&mut LargeString)) {
        if let Some(Value::String(string)) = self.whole_mut() {
            large(string);
        } else {
            let old = self.as_string().map(|string| string.to_cow()).unwrap_or_default();
            if len <= INLINE_MAX {
                let mut buffer = [0; INLINE_MAX];
                buffer[..old.len()].copy_from_slice(&old);
                small(&mut buffer[..len]);
                self.set_value(NewValue::Inline(&buffer[..len]));
            } else {
                let mut string = LargeString::new(Bytes::copy_from_slice(&old));
                large(&mut string);
                self.set_value(NewValue::Whole(Value::String(string)));
            }
        }
        self.set_raw(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_canonical_text_of_an_integer_is_stored_as_one() {
        for text in ["0", "1", "-1", "10", "9223372036854775807", "-9223372036854775808"] {
            let NewValue::Int(value) = NewValue::string(text.as_bytes()) else { panic!("{text} is an integer") };
            assert_eq!(value.to_string(), text);
            assert_eq!(StringRef::Int(value).len(), text.len());
        }
        for text in ["", "-", "-0", "00", "01", "+1", " 1", "1 ", "1.0", "9223372036854775808", "18446744073709551617"]
        {
            assert!(matches!(NewValue::string(text.as_bytes()), NewValue::Inline(_)), "{text}");
        }
    }

    #[test]
    fn a_shared_reply_keeps_its_bytes_while_the_string_changes() {
        let mut string = LargeString::new(Bytes::from(vec![b'a'; 1000]));
        let reply = string.shared();
        string.set_range(0, b"b");
        assert_eq!(reply[0], b'a');
        assert_eq!(string.as_bytes()[0], b'b');
    }

    #[test]
    fn repeated_append_seldom_moves_the_bytes() {
        let mut string = LargeString::new(Bytes::from(vec![b'a'; 1000]));
        let mut moves = 0;
        let mut address = string.as_bytes().as_ptr();
        for _ in 0..100_000 {
            string.append(b"0123456789");
            moves += u32::from(string.as_bytes().as_ptr() != address);
            address = string.as_bytes().as_ptr();
        }
        assert_eq!(string.len(), 1_001_000);
        assert!(moves < 30, "{moves} moves");
    }

    #[test]
    fn a_blob_is_kept_without_a_copy() {
        let blob = Bytes::from(vec![7; 4096]);
        let entry = KeyEntry::new(b"key", NewValue::shared(&blob), None);
        let Ok(StringRef::Shared(kept)) = entry.as_string() else { panic!("a long string is shared") };
        assert_eq!(kept.as_ptr(), blob.as_ptr());
        let small = Bytes::from_static(b"12");
        assert!(matches!(NewValue::shared(&small), NewValue::Int(12)));
    }

    #[test]
    fn encodings_are_named_as_redis_does() {
        let encoding = |value| KeyEntry::new(b"key", value, None).string_encoding();
        assert_eq!(encoding(NewValue::string(b"12")), Ok("int"));
        assert_eq!(encoding(NewValue::bytes(b"12")), Ok("embstr"));
        assert_eq!(encoding(NewValue::string(&[b'x'; 44])), Ok("embstr"));
        assert_eq!(encoding(NewValue::string(&[b'x'; 45])), Ok("raw"));
        assert_eq!(encoding(NewValue::string(&[b'x'; 4500])), Ok("raw"));
        let mut entry = KeyEntry::new(b"key", NewValue::string(b"12"), None);
        assert_eq!(entry.append(b""), Ok(2));
        assert_eq!(entry.string_encoding(), Ok("raw"));
    }

    #[test]
    fn a_copy_is_what_the_original_was() {
        let mut raw = KeyEntry::new(b"key", NewValue::string(b"12"), Some(7));
        raw.append(b"3").expect("a string");
        let copy = raw.duplicate(b"other");
        assert_eq!((copy.key(), copy.expire_ms(), copy.string_encoding()), (&b"other"[..], Some(7), Ok("raw")));
        assert_eq!(copy.as_string().expect("a string").to_cow(), &b"123"[..]);
        let mut large = KeyEntry::new(b"key", NewValue::string(&[b'x'; 1000]), None);
        let copy = large.duplicate(b"other");
        large.set_range(0, b"y").expect("a string");
        assert_eq!(copy.as_string().expect("a string").to_cow(), &[b'x'; 1000][..]);
    }

    proptest! {
        #[test]
        fn appends_and_ranges_agree_with_a_vector(
            start in prop_oneof![any::<i64>().prop_map(|n| n.to_string().into_bytes()), prop::collection::vec(any::<u8>(), 0..600)],
            changes in prop::collection::vec((any::<bool>(), 0usize..700, prop::collection::vec(any::<u8>(), 0..300)), 0..12),
        ) {
            let mut model = start.clone();
            let mut entry = KeyEntry::new(b"key", NewValue::string(&start), Some(9));
            for (append, offset, bytes) in changes {
                let len = if append {
                    model.extend_from_slice(&bytes);
                    entry.append(&bytes)
                } else {
                    let end = offset + bytes.len();
                    model.resize(model.len().max(end), 0);
                    model[offset..end].copy_from_slice(&bytes);
                    entry.set_range(offset, &bytes)
                };
                prop_assert_eq!(len, Ok(model.len()));
                prop_assert_eq!(entry.as_string().expect("a string").to_cow(), &model[..]);
                prop_assert!(entry.is_raw());
                prop_assert_eq!(entry.expire_ms(), Some(9));
            }
        }
    }
}
