//! The snapshot format's strings: what DUMP writes and RESTORE reads. Knows bytes only; pure.
//!
//! ```text
//!   00llllll                    that many bytes follow
//!   01llllll llllllll           the same, 14 bits
//!   0x80, four bytes            the same, 32 bits, big-endian
//!   0x81, eight bytes           the same, 64 bits, big-endian
//!   0xc0, 0xc1, 0xc2            the text of an integer of one, two, four bytes, little-endian
//!   0xc3, length, length        compressed: bytes that follow, bytes that they stand for
//! ```

#![forbid(unsafe_code)]

use std::borrow::Cow;

use crate::base::float::parse_f64;
use crate::base::integer::parse_i64;
use crate::base::lzf;

/// The version of the format that is written, and the newest that is read.
pub const VERSION: u16 = 12;

/// The type byte of a string.
pub const TYPE_STRING: u8 = 0;

/// The longest text that may be written as an integer.
const INTEGER_TEXT_MAX: usize = 11;

/// The longest string that is never compressed.
const UNCOMPRESSED_MAX: usize = 20;

/// What compression has to save at least, in bytes.
const SAVING_MIN: usize = 4;

const INT8: u8 = 0xc0;
const INT16: u8 = 0xc1;
const INT32: u8 = 0xc2;
const LZF: u8 = 0xc3;

/// The bytes are not what the format allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// Appends a length.
pub fn write_len(out: &mut Vec<u8>, len: usize) {
    if len < 1 << 6 {
        out.push(len as u8);
    } else if len < 1 << 14 {
        out.extend([0x40 | (len >> 8) as u8, len as u8]);
    } else if let Ok(len) = u32::try_from(len) {
        out.push(0x80);
        out.extend(len.to_be_bytes());
    } else {
        out.push(0x81);
        out.extend((len as u64).to_be_bytes());
    }
}

/// Appends a string: as an integer where its text is that of a small one, compressed where that is allowed and pays.
pub fn write_string(out: &mut Vec<u8>, text: &[u8], compress: bool) {
    if text.len() <= INTEGER_TEXT_MAX
        && let Some(number) = parse_i64(text)
        && write_integer(out, number)
    {
        return;
    }
    if compress
        && text.len() > UNCOMPRESSED_MAX
        && let Some(compressed) = lzf::compress(text, text.len() - SAVING_MIN)
    {
        out.push(LZF);
        write_len(out, compressed.len());
        write_len(out, text.len());
        out.extend(compressed);
        return;
    }
    write_len(out, text.len());
    out.extend_from_slice(text);
}

/// Appends an integer of up to 32 bits; false for a bigger one.
fn write_integer(out: &mut Vec<u8>, number: i64) -> bool {
    if let Ok(number) = i8::try_from(number) {
        out.extend([INT8, number as u8]);
    } else if let Ok(number) = i16::try_from(number) {
        out.push(INT16);
        out.extend(number.to_le_bytes());
    } else if let Ok(number) = i32::try_from(number) {
        out.push(INT32);
        out.extend(number.to_le_bytes());
    } else {
        return false;
    }
    true
}

/// Reads from the front of some bytes.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// A reader of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader(bytes)
    }

    /// The next byte.
    pub fn byte(&mut self) -> Result<u8, Malformed> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*array)
    }

    fn bytes(&mut self, len: u64) -> Result<&'a [u8], Malformed> {
        let len = usize::try_from(len).map_err(|_| Malformed)?;
        let (bytes, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(bytes)
    }

    /// A length that begins with `first`.
    fn len_after(&mut self, first: u8) -> Result<u64, Malformed> {
        match (first >> 6, first) {
            (0, _) => Ok(u64::from(first)),
            (1, _) => Ok(u64::from(u16::from_be_bytes([first & 0x3f, self.byte()?]))),
            (2, 0x80) => Ok(u64::from(u32::from_be_bytes(self.array()?))),
            (2, 0x81) => Ok(u64::from_be_bytes(self.array()?)),
            _ => Err(Malformed),
        }
    }

    /// The eight bytes of a floating point number.
    pub fn double(&mut self) -> Result<f64, Malformed> {
        self.array().map(f64::from_le_bytes)
    }

    /// A floating point number as a text behind its length, or one of three lengths that stand for what has no digits.
    pub fn double_text(&mut self) -> Result<f64, Malformed> {
        match self.byte()? {
            253 => Ok(f64::NAN),
            254 => Ok(f64::INFINITY),
            255 => Ok(f64::NEG_INFINITY),
            len => parse_f64(self.bytes(u64::from(len))?).ok_or(Malformed),
        }
    }

    /// The eight bytes of a Unix time in milliseconds.
    pub fn time(&mut self) -> Result<i64, Malformed> {
        self.array().map(i64::from_le_bytes)
    }

    /// A length that stands by itself.
    pub fn length(&mut self) -> Result<u64, Malformed> {
        let first = self.byte()?;
        self.len_after(first)
    }

    /// A string in any of its forms.
    pub fn string(&mut self) -> Result<Cow<'a, [u8]>, Malformed> {
        let integer = |number: i32| Ok(Cow::Owned(number.to_string().into_bytes()));
        match self.byte()? {
            INT8 => integer(i32::from(i8::from_le_bytes(self.array()?))),
            INT16 => integer(i32::from(i16::from_le_bytes(self.array()?))),
            INT32 => integer(i32::from_le_bytes(self.array()?)),
            LZF => {
                let (compressed_len, len) = (self.length()?, self.length()?);
                let compressed = self.bytes(compressed_len)?;
                let len = usize::try_from(len).map_err(|_| Malformed)?;
                lzf::decompress(compressed, len).map(Cow::Owned).ok_or(Malformed)
            }
            first => {
                let len = self.len_after(first)?;
                self.bytes(len).map(Cow::Borrowed)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(text: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        write_string(&mut out, text, true);
        out
    }

    #[test]
    fn small_integers_are_written_as_such() {
        for (text, wanted) in [
            ("0", &b"\xc0\0"[..]),
            ("-128", b"\xc0\x80"),
            ("128", b"\xc1\x80\0"),
            ("-129", b"\xc1\x7f\xff"),
            ("32768", b"\xc2\0\x80\0\0"),
            ("-2147483648", b"\xc2\0\0\0\x80"),
            ("2147483648", b"\x0a2147483648"),
            ("01", b"\x0201"),
            ("", b"\0"),
        ] {
            assert_eq!(written(text.as_bytes()), wanted, "{text}");
        }
    }

    #[test]
    fn lengths_of_every_size_come_back() {
        for len in [0, 63, 64, 16_383, 16_384, u32::MAX as usize, u32::MAX as usize + 1] {
            let mut out = Vec::new();
            write_len(&mut out, len);
            assert_eq!(Reader::new(&out).length(), Ok(len as u64));
        }
        assert_eq!(Reader::new(b"\x82\0\0\0\0").length(), Err(Malformed));
        assert_eq!(Reader::new(b"\xc3").length(), Err(Malformed));
    }

    #[test]
    fn lengths_beyond_the_bytes_are_refused() {
        for bytes in [
            &b""[..],
            b"\x04abc",
            b"\xc0",
            b"\xc4",
            b"\x81\xff\0\0\0\0\0\0\x03abc",
            b"\xc3\x04\x80\x7f\xff\xff\xff\x02abc",
        ] {
            assert_eq!(Reader::new(bytes).string(), Err(Malformed), "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn strings_come_back(text in prop_oneof!["-?[0-9]{1,12}", "[ab]{0,400}", "[a-z]{0,20000}"], compress: bool) {
            let mut out = Vec::new();
            write_string(&mut out, text.as_bytes(), compress);
            let read = Reader::new(&out).string();
            prop_assert_eq!(read.as_deref(), Ok(text.as_bytes()));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            if let Ok(text) = Reader::new(&bytes).string() {
                prop_assert!(text.len() <= 264 * 100);
            }
        }
    }
}
