//! What servers before Redis 7.0 kept small collections in, as their dumps hold it: ziplists and, older still, zipmaps. They
//! are read into packs and never written. Nothing of what is read is trusted. Any one thread.
//!
//! ```text
//!   ziplist   | bytes in all: u32 | place of the last entry: u32 | entries: u16 | entry | ... | 0xff |
//!   an entry  | length of the entry before: u8, or 0xfe and u32 | head | text or integer |
//!
//!   00llllll          a text of up to 63 bytes          0xc0, 0xd0, 0xe0   an integer of 16, 32, 64 bits
//!   01llllll l*8      a text of up to 16383 bytes       0xf0, 0xfe         an integer of 24, 8 bits
//!   0x80 u32          a longer text                     0xf1 .. 0xfd       an integer from 0 to 12
//!
//!   zipmap    | fields: u8, 0xfe for more | length | name | length | unused: u8 | value | unused bytes | ... | 0xff |
//! ```
//!
//! Integers are little-endian, lengths of texts in a ziplist big-endian; a length of a zipmap is one byte below 0xfe, or
//! 0xfe and a little-endian u32.

#![forbid(unsafe_code)]

use crate::encoding::listpack::{self, Listpack};

/// Bytes in front of the first entry of a ziplist.
const ZIPLIST_HEADER: usize = 10;
/// The byte behind the last entry of either.
const END: u8 = 0xff;
/// A length that takes four more bytes. In a zipmap's first byte: more fields than it can say.
const LONG: u8 = 0xfe;
/// The number of entries in a ziplist's header where it is too big for it.
const UNCOUNTED: u16 = u16::MAX;

/// Reads from the front of some bytes; None where they are too few.
struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (array, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*array)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(len)?;
        self.0 = rest;
        Some(taken)
    }

    /// One byte, or four after [`LONG`].
    fn length(&mut self) -> Option<usize> {
        match self.byte()? {
            END => None,
            LONG => self.array().map(|bytes| u32::from_le_bytes(bytes) as usize),
            len => Some(usize::from(len)),
        }
    }
}

/// Appends a text, as long as the pack may grow.
fn push(pack: &mut Listpack, text: &[u8]) -> Option<()> {
    if pack.bytes_len() + text.len() >= listpack::BYTES_MAX {
        return None;
    }
    pack.push_back(text);
    Some(())
}

/// The entries of a ziplist. None if anything about it is not as it should be.
pub fn from_ziplist(bytes: &[u8]) -> Option<Listpack> {
    let mut rest = Bytes(bytes);
    let [in_all, last] = [rest.array()?, rest.array()?].map(|bytes| u32::from_le_bytes(bytes) as usize);
    let count = u16::from_le_bytes(rest.array()?);
    if in_all != bytes.len() || bytes.last() != Some(&END) {
        return None;
    }
    let mut pack = Listpack::new();
    let (mut at, mut before, mut seen) = (ZIPLIST_HEADER, 0, 0usize);
    let mut last_seen = ZIPLIST_HEADER;
    while rest.0.len() > 1 {
        if rest.length()? != before {
            return None;
        }
        push_entry(&mut rest, &mut pack)?;
        last_seen = at;
        before = bytes.len() - rest.0.len() - at;
        at += before;
        seen += 1;
    }
    let counted = count == UNCOUNTED || usize::from(count) == seen;
    (rest.0 == [END] && counted && last == last_seen).then_some(pack)
}

/// Reads what is behind the length of the entry before.
fn push_entry(rest: &mut Bytes<'_>, pack: &mut Listpack) -> Option<()> {
    let head = rest.byte()?;
    let integer = match head {
        0..0x40 => return push(pack, rest.take(usize::from(head))?),
        0x40..0x80 => {
            let len = u16::from_be_bytes([head & 0x3f, rest.byte()?]);
            return push(pack, rest.take(usize::from(len))?);
        }
        0x80 => {
            let len = u32::from_be_bytes(rest.array()?);
            return push(pack, rest.take(len as usize)?);
        }
        0xc0 => i64::from(i16::from_le_bytes(rest.array()?)),
        0xd0 => i64::from(i32::from_le_bytes(rest.array()?)),
        0xe0 => i64::from_le_bytes(rest.array()?),
        0xf0 => {
            let [low, middle, high] = rest.array()?;
            i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8)
        }
        0xfe => i64::from(i8::from_le_bytes(rest.array()?)),
        0xf1..=0xfd => i64::from(head & 0x0f) - 1,
        _ => return None,
    };
    push(pack, itoa::Buffer::new().format(integer).as_bytes())
}

/// The names and values of a zipmap in turns. None if anything about it is not as it should be.
pub fn from_zipmap(bytes: &[u8]) -> Option<Listpack> {
    let mut rest = Bytes(bytes);
    let count = rest.byte()?;
    let mut pack = Listpack::new();
    while rest.0.len() > 1 {
        let len = rest.length()?;
        push(&mut pack, rest.take(len)?)?;
        let len = rest.length()?;
        let unused = rest.byte()?;
        push(&mut pack, rest.take(len)?)?;
        rest.take(usize::from(unused))?;
    }
    let counted = count == LONG || usize::from(count) == pack.len() / 2;
    (rest.0 == [END] && counted).then_some(pack)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::listpack::Element;
    use proptest::prelude::*;

    fn texts(pack: &Listpack) -> Vec<String> {
        pack.iter().map(|element: Element<'_>| String::from_utf8_lossy(&element.to_cow()).into_owned()).collect()
    }

    /// A ziplist of entries without the length of the one before.
    fn ziplist(entries: &[Vec<u8>]) -> Vec<u8> {
        let (mut body, mut before, mut last) = (Vec::new(), 0, ZIPLIST_HEADER);
        for entry in entries {
            last = ZIPLIST_HEADER + body.len();
            match before {
                0..254 => body.push(before as u8),
                _ => body.extend([&[LONG][..], &(before as u32).to_le_bytes()].concat()),
            }
            body.extend(entry);
            before = ZIPLIST_HEADER + body.len() - last;
        }
        let in_all = (ZIPLIST_HEADER + body.len() + 1) as u32;
        let header = [in_all.to_le_bytes(), (last as u32).to_le_bytes()].concat();
        [&header[..], &(entries.len() as u16).to_le_bytes(), &body, &[END]].concat()
    }

    #[test]
    fn all_forms_of_an_entry_are_read() {
        let long = |head: &[u8], len: usize| [head, &vec![b'x'; len]].concat();
        let forms = [
            (long(&[3], 3), "xxx".to_owned()),
            (long(&[0x41, 0x2c], 300), "x".repeat(300)),
            (long(&[0x80, 0, 0, 0x4e, 0x20], 20_000), "x".repeat(20_000)),
            (b"\xc0\xff\x7f".to_vec(), "32767".to_owned()),
            (b"\xd0\0\0\0\x80".to_vec(), "-2147483648".to_owned()),
            (b"\xe0\0\0\0\0\0\0\0\x80".to_vec(), "-9223372036854775808".to_owned()),
            (b"\xf0\xff\xff\xff".to_vec(), "-1".to_owned()),
            (b"\xf0\x01\0\x7f".to_vec(), "8323073".to_owned()),
            (b"\xfe\x80".to_vec(), "-128".to_owned()),
            (b"\xf1".to_vec(), "0".to_owned()),
            (b"\xfd".to_vec(), "12".to_owned()),
            (vec![0], String::new()),
        ];
        let entries: Vec<Vec<u8>> = forms.iter().map(|form| form.0.clone()).collect();
        let pack = from_ziplist(&ziplist(&entries)).expect("it is sound");
        assert_eq!(texts(&pack), forms.map(|form| form.1));
        assert!(from_ziplist(&ziplist(&[])).is_some_and(|pack| pack.is_empty()));
    }

    #[test]
    fn unsound_ziplists_are_refused() {
        let good = ziplist(&[b"\x01a".to_vec(), b"\xf2".to_vec(), b"\x01b".to_vec()]);
        assert!(from_ziplist(&good).is_some());
        // Bytes in all, the last entry, how many, the length of the entry before, heads, the end.
        for (at, byte) in [(0, 1), (4, 10), (8, 2), (13, 9), (11, 0xc1), (11, 0x81), (11, 0xff), (11, 0x3f), (18, 0)] {
            let mut bad = good.clone();
            bad[at] = byte;
            assert!(from_ziplist(&bad).is_none(), "{at}");
        }
        for len in 0..good.len() {
            assert!(from_ziplist(&good[..len]).is_none());
        }
        let mut uncounted = good;
        uncounted[8..10].fill(0xff);
        assert!(from_ziplist(&uncounted).is_some());
    }

    #[test]
    fn zipmaps_are_read() {
        let good = b"\x02\x01a\x02\x0312xyz\x00\x00\x00\xff";
        assert_eq!(texts(&from_zipmap(good).expect("it is sound")), ["a", "12", "", ""]);
        let long = [&b"\xfe\xfe\x2c\x01\0\0"[..], &[b'n'; 300], b"\x01\0v\xff"].concat();
        assert_eq!(texts(&from_zipmap(&long).expect("it is sound")), ["n".repeat(300), "v".to_owned()]);
        for bad in
            [&b""[..], b"\x00", b"\x01\xff", b"\x01\x01a\x01\x00", b"\x01\x01a\x01\x09b\xff", b"\x02\x01a\x01\0b\xff"]
        {
            assert!(from_zipmap(bad).is_none(), "{bad:?}");
        }
        assert!(from_zipmap(b"\xff\x01a\x01\0b\xff").is_none());
    }

    proptest! {
        /// Whatever is read can be walked through, and no bytes make trouble.
        #[test]
        fn any_change_is_survived(
            entries in prop::collection::vec(prop_oneof![Just(b"\x01a".to_vec()), Just(b"\xf3".to_vec()), Just(b"\xc0\x01\x02".to_vec())], 0..6),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4),
            any in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut bytes = ziplist(&entries);
            for (at, byte) in changes {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            for pack in [from_ziplist(&bytes), from_zipmap(&bytes), from_ziplist(&any), from_zipmap(&any)].into_iter().flatten() {
                prop_assert_eq!(texts(&pack).len(), pack.len());
                prop_assert!(Listpack::from_bytes(pack.to_bytes()).is_some());
            }
        }
    }
}
