//! HOT PATH. The bytes of a pack as they are changed where they lie. Any one thread.

#![forbid(unsafe_code)]

use super::packed::{
    END, Element, HEADER, INT_13, INT_16, INT_24, INT_32, INT_64, Packed, Place, SIZE_LEN, SLIM, TEXT_6, TEXT_12,
    TEXT_32, UNCHANGED, UNCOUNTED, back_len, is_slim, write_back,
};
use crate::base::copy::copy;

/// An element's bytes, about to be written.
pub(super) struct Encoded<'t> {
    /// The head, its first byte lowest, and right behind it the length at the end. In a word and not in an array: what was
    /// just put together byte by byte in memory cannot be read from there at once.
    short: u128,
    head: usize,
    text: &'t [u8],
    back: usize,
}

impl<'t> Encoded<'t> {
    /// For a full pack.
    #[inline]
    pub(super) fn of(element: Element<'t>) -> Encoded<'t> {
        match element {
            Element::Int(number) => Encoded::integer(number),
            Element::Bytes(text) => Encoded::text(text),
        }
    }

    /// For a pack that may be slim.
    #[inline]
    pub(super) fn for_pack(element: Element<'t>, is_slim: bool) -> Encoded<'t> {
        let mut encoded = Encoded::of(element);
        if is_slim {
            encoded.back = 0;
        }
        encoded
    }

    #[inline]
    fn integer(number: i64) -> Encoded<'t> {
        let behind = |mark: u8, bits: u64| u128::from(mark) | u128::from(bits) << 8;
        let bits = number as u64;
        let (short, head) = match number {
            0..=127 => (u128::from(bits), 1),
            -4096..=4095 => (behind(INT_13 | (number >> 8) as u8 & 0x1f, bits & 0xff), 2),
            -0x8000..=0x7fff => (behind(INT_16, bits & 0xffff), 3),
            -0x80_0000..=0x7f_ffff => (behind(INT_24, bits & 0xff_ffff), 4),
            -0x8000_0000..=0x7fff_ffff => (behind(INT_32, bits & 0xffff_ffff), 5),
            _ => (behind(INT_64, bits), 9),
        };
        Encoded { short: short | (head as u128) << (8 * head), head, text: &[], back: 1 }
    }

    #[inline]
    fn text(text: &'t [u8]) -> Encoded<'t> {
        let len = text.len();
        let (short, head) = match len {
            0..64 => (TEXT_6 as usize | len, 1),
            64..4096 => ((TEXT_12 as usize | len >> 8) | (len & 0xff) << 8, 2),
            _ => {
                assert!(u32::try_from(len).is_ok(), "elements are smaller than a pack");
                (TEXT_32 as usize | len << 8, 5)
            }
        };
        let body = head + len;
        let (behind, back) = if body <= 127 { (body as u128, 1) } else { long_back(body) };
        Encoded { short: short as u128 | behind << (8 * head), head, text, back }
    }

    /// All its bytes.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.head + self.text.len() + self.back
    }

    /// Writes it to where it is to be.
    #[inline]
    fn write(&self, out: &mut [u8]) {
        if self.text.is_empty() {
            return write_short(&mut out[..self.head + self.back], self.short);
        }
        let body = self.head + self.text.len();
        let out = &mut out[..body + self.back];
        copy(&mut out[self.head..], self.text);
        match (self.head, self.back) {
            (1, 0) => out[0] = self.short as u8,
            (1, 1) => {
                out[0] = self.short as u8;
                out[body] = (self.short >> 8) as u8;
            }
            _ => {
                write_short(&mut out[..self.head], self.short);
                write_short(&mut out[body..], self.short >> (8 * self.head));
            }
        }
    }
}

/// Writes as many of a word's bytes as there is room for, the lowest one first.
#[inline]
fn write_short(out: &mut [u8], word: u128) {
    let len = out.len();
    if let Some(first) = out.first_chunk_mut() {
        *first = (word as u64).to_le_bytes();
        if let Some(last) = out.last_chunk_mut() {
            *last = ((word >> (8 * (len - 8))) as u64).to_le_bytes();
        }
    } else if let Some(first) = out.first_chunk_mut() {
        *first = (word as u32).to_le_bytes();
        if let Some(last) = out.last_chunk_mut() {
            *last = ((word >> (8 * (len - 4))) as u32).to_le_bytes();
        }
    } else {
        out.iter_mut().zip((word as u32).to_le_bytes()).for_each(|(to, from)| *to = from);
    }
}

/// The length at the end of an element that takes more than a byte: as a word, and how many bytes it has.
#[inline(never)]
fn long_back(body: usize) -> (u128, usize) {
    let (mut bytes, len) = ([0; 16], back_len(body));
    write_back(&mut bytes[..len], body);
    (u128::from_le_bytes(bytes), len)
}

/// A pack that is changed where it lies: who calls sees to the room behind its end.
pub(super) struct PackedMut<'a> {
    bytes: &'a mut [u8],
    is_slim: bool,
}

impl<'a> PackedMut<'a> {
    /// A full pack.
    #[inline]
    pub(super) fn new(bytes: &'a mut [u8]) -> PackedMut<'a> {
        PackedMut { bytes, is_slim: false }
    }

    /// One that may be slim.
    #[inline]
    pub(super) fn of_either(bytes: &'a mut [u8]) -> PackedMut<'a> {
        PackedMut { is_slim: is_slim(bytes), bytes }
    }

    #[inline]
    fn read(&self) -> Packed<'_> {
        if self.is_slim { Packed::of_either(self.bytes) } else { Packed::new(self.bytes) }
    }

    /// Where what is behind the last element begins: counted as places are.
    #[inline]
    fn end(&self) -> usize {
        self.read().elements().len()
    }

    /// Bytes of all that is behind the last element.
    #[inline]
    fn end_len(&self) -> usize {
        usize::from(!self.is_slim)
    }

    /// Says how many bytes it is. Whatever changes a pack says it, and that it is changed with it.
    #[inline]
    pub(super) fn set_size(&mut self, size: usize) {
        self.set_word(if self.is_slim { SLIM | size as u32 } else { size as u32 });
    }

    #[inline]
    fn set_word(&mut self, word: u32) {
        self.bytes[..SIZE_LEN].copy_from_slice(&word.to_le_bytes());
    }

    #[inline]
    pub(super) fn set_count(&mut self, count: usize) {
        let count = u16::try_from(count).unwrap_or(UNCOUNTED).to_le_bytes();
        self.bytes[SIZE_LEN..HEADER].copy_from_slice(&count);
    }

    /// Makes the elements end at `end`, with the byte behind them where there is one.
    #[inline]
    fn set_end(&mut self, end: usize) {
        if !self.is_slim {
            self.bytes[HEADER + end] = END;
        }
        self.set_size(HEADER + end + self.end_len());
    }

    /// Puts `new` bytes, still to be written, in the place of `old` ones at `at`.
    #[inline]
    fn make_gap(&mut self, at: usize, old: usize, new: usize) {
        let (start, end) = (HEADER + at, self.end());
        if at + old < end {
            self.bytes.copy_within(start + old..HEADER + end, start + new);
        }
        self.set_end(end - old + new);
    }

    /// Puts an element in the place of `old` bytes at `at`, and counts `added` more than before.
    #[inline]
    pub(super) fn splice(&mut self, at: usize, old: usize, element: &Encoded<'_>, added: usize) {
        let count = if added == 0 { None } else { Some(self.read().len() + added) };
        self.make_gap(at, old, element.len());
        element.write(&mut self.bytes[HEADER + at..]);
        if let Some(count) = count {
            self.set_count(count);
        }
    }

    /// Writes an element behind the last one of a full pack of `size` bytes, and counts it.
    #[inline]
    pub(super) fn append_element(&mut self, element: &Encoded<'_>, size: usize, count: usize) {
        let end = size - 1 + element.len();
        element.write(&mut self.bytes[size - 1..end]);
        self.bytes[end] = END;
        self.set_size(end + 1);
        self.set_count(count + 1);
    }

    /// Writes an element and a header in front of it over what was free in front of a pack of `size` bytes, whose header
    /// was behind that, and counts it.
    #[inline]
    pub(super) fn prepend(&mut self, element: &Encoded<'_>, size: usize, count: usize) {
        element.write(&mut self.bytes[HEADER..]);
        self.set_size(size + element.len());
        self.set_count(count + 1);
    }

    /// Removes up to `count` elements from `place` on. Returns the place of the one behind them.
    #[inline]
    pub(super) fn remove_many(&mut self, place: Place, count: usize) -> Option<Place> {
        let (end, removed) = self.read().span(place.0, count);
        let left = self.read().len() - removed;
        let has_more = end < self.end();
        self.make_gap(place.0, end - place.0, 0);
        self.set_count(left);
        has_more.then_some(place)
    }

    /// Removes up to `count` elements at the front by moving the header over them. Returns by how many bytes.
    #[inline]
    pub(super) fn pass(&mut self, count: usize) -> usize {
        let (end, len) = (self.end(), self.read().len());
        let (start, passed) = self.read().span(0, count);
        let mut rest = PackedMut { bytes: &mut self.bytes[start..], is_slim: self.is_slim };
        rest.set_end(end - start);
        rest.set_count(len - passed);
        start
    }

    /// Removes elements with this text: the first `max`, from the end if `backwards`. Returns how many.
    pub(super) fn remove_equal(&mut self, text: &[u8], max: usize, backwards: bool) -> usize {
        let wanted = Element::of(text);
        if !backwards {
            return self.remove_behind(wanted, 0, max);
        }
        if self.is_slim {
            let there = self.read().iter().filter(|element| *element == wanted).count();
            return self.remove_behind(wanted, there.saturating_sub(max), max);
        }
        let (mut removed, mut place) = (0, self.read().last());
        while let Some(at) = place.filter(|_| removed < max) {
            place = self.read().previous(at);
            if self.read().get(at) == wanted {
                self.remove_many(at, 1);
                removed += 1;
            }
        }
        removed
    }

    /// Removes up to `max` such elements behind the first `kept` of them. Returns how many.
    fn remove_behind(&mut self, wanted: Element<'_>, mut kept: usize, max: usize) -> usize {
        let (mut removed, mut place) = (0, self.read().first());
        while let Some(at) = place.filter(|_| removed < max) {
            let is_wanted = self.read().get(at) == wanted;
            if is_wanted && kept == 0 {
                place = self.remove_many(at, 1);
                removed += 1;
            } else {
                kept -= usize::from(is_wanted);
                place = self.read().next(at);
            }
        }
        removed
    }

    /// Cuts off everything from `place` on.
    pub(super) fn cut(&mut self, place: Place) {
        self.set_end(place.0);
        let kept = std::iter::successors(self.read().first(), |place| self.read().next(*place)).count();
        self.set_count(kept);
    }

    /// Makes the bytes a pack of these elements' bytes but for their count.
    pub(super) fn fill(&mut self, elements: &[u8]) {
        self.bytes[HEADER..HEADER + elements.len()].copy_from_slice(elements);
        self.set_end(elements.len());
    }

    /// Adds all elements of another pack of the same form at the end.
    pub(super) fn append(&mut self, other: Packed<'_>) {
        debug_assert_eq!(self.is_slim, other.is_slim());
        let (end, added) = (self.end(), other.elements().len());
        let count = self.read().len() + other.len();
        self.bytes[HEADER + end..HEADER + end + added].copy_from_slice(other.elements());
        self.set_end(end + added);
        self.set_count(count);
    }

    /// Makes the bytes the slim pack that lies beside a key, unchanged. There is room for it.
    #[inline]
    pub(super) fn fill_slim(mut self, beside_key: &[u8]) {
        let size = SIZE_LEN + beside_key.len();
        self.bytes[SIZE_LEN..size].copy_from_slice(beside_key);
        self.set_word(SLIM | UNCHANGED | size as u32);
    }

    /// Makes a full pack slim, if it is so short that it can be.
    pub(super) fn make_slim(&mut self) {
        let end = self.end();
        let (mut from, mut to) = (0, 0);
        while from < end {
            let body = self.read().body_len(from);
            self.bytes.copy_within(HEADER + from..HEADER + from + body, HEADER + to);
            to += body;
            from += body + back_len(body);
        }
        self.is_slim = true;
        self.set_end(to);
    }
}
