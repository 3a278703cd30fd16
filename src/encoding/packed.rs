//! HOT PATH. The bytes of a pack, byte for byte as Redis lays them out: how its elements are read and written, wherever
//! the bytes lie. Any one thread.
//!
//! ```text
//!   | bytes in all: u32 | elements: u16 | element | element | ... | 0xff |
//!
//!   an element          | head, with its text or integer | length of that, written to be read backwards |
//!
//!   0xxxxxxx            an integer from 0 to 127
//!   10llllll            a text of up to 63 bytes follows
//!   110xxxxx x*8        an integer of 13 bits
//!   1110llll l*8        a text of up to 4095 bytes follows
//!   0xf0 u32            a longer text follows
//!   0xf1 .. 0xf4        an integer of 16, 24, 32, 64 bits, little-endian
//! ```
//!
//! A text that is the canonical spelling of an integer is kept as one.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use crate::base::copy::copy;
use crate::base::integer::{I64_TEXT_MAX, parse_i64, text_len_i64};

/// Bytes in front of the first element.
pub(super) const HEADER: usize = 6;
/// The byte behind the last element.
pub(super) const END: u8 = 0xff;
/// The number of elements in the header where it is too big for it: they have to be counted.
pub(super) const UNCOUNTED: u16 = u16::MAX;
/// The longest length at the end of an element, in bytes.
const BACK_MAX: usize = 5;
/// The most bytes of a pack that callers may let it grow to.
pub const BYTES_MAX: usize = 1 << 30;

pub(super) const TEXT_6: u8 = 0x80;
pub(super) const INT_13: u8 = 0xc0;
pub(super) const TEXT_12: u8 = 0xe0;
pub(super) const TEXT_32: u8 = 0xf0;
pub(super) const INT_16: u8 = 0xf1;
pub(super) const INT_24: u8 = 0xf2;
pub(super) const INT_32: u8 = 0xf3;
pub(super) const INT_64: u8 = 0xf4;

/// An element as it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Element<'a> {
    /// The text of this integer.
    Int(i64),
    /// Bytes that are no integer's text.
    Bytes(&'a [u8]),
}

impl<'a> Element<'a> {
    /// How these bytes are kept.
    #[inline]
    pub fn of(text: &'a [u8]) -> Element<'a> {
        if text.len() <= I64_TEXT_MAX
            && let Some(number) = parse_i64(text)
        {
            return Element::Int(number);
        }
        Element::Bytes(text)
    }

    /// The length of its text in bytes.
    pub fn len(&self) -> usize {
        match self {
            Element::Int(number) => text_len_i64(*number),
            Element::Bytes(bytes) => bytes.len(),
        }
    }

    /// Whether it is the empty text.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Its text.
    pub fn to_cow(self) -> Cow<'a, [u8]> {
        match self {
            Element::Int(number) => Cow::Owned(number.to_string().into_bytes()),
            Element::Bytes(bytes) => Cow::Borrowed(bytes),
        }
    }

    /// Its text, in an allocation of its own.
    pub fn to_vec(self) -> Vec<u8> {
        self.to_cow().into_owned()
    }
}

/// Where an element begins, counted from where the pack does. Good until the pack is changed in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub(super) usize);

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
    #[inline]
    pub(super) fn of(element: Element<'t>) -> Encoded<'t> {
        match element {
            Element::Int(number) => Encoded::integer(number),
            Element::Bytes(text) => Encoded::text(text),
        }
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
        if self.head == 1 && self.back == 1 {
            out[0] = self.short as u8;
            out[body] = (self.short >> 8) as u8;
        } else {
            write_short(&mut out[..self.head], self.short);
            write_short(&mut out[body..], self.short >> (8 * self.head));
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

/// How many bytes the length at the end of an element takes.
#[inline]
pub(super) fn back_len(body: usize) -> usize {
    match body {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => BACK_MAX,
    }
}

/// Writes the length of an element for reading backwards: seven bits a byte, all but the first one marked.
#[inline]
pub(super) fn write_back(out: &mut [u8], body: usize) {
    let len = out.len();
    for (index, byte) in out.iter_mut().enumerate() {
        let bits = (body >> (7 * (len - 1 - index))) as u8 & 0x7f;
        *byte = if index == 0 { bits } else { bits | 0x80 };
    }
}

/// The bytes that an element takes for this text.
pub fn element_bytes(text: &[u8]) -> usize {
    Encoded::of(Element::of(text)).len()
}

/// The integer that begins there.
#[inline]
pub(super) fn integer(bytes: &[u8]) -> i64 {
    let first = bytes[0];
    match first {
        0..TEXT_6 => i64::from(first),
        INT_16 => i64::from(i16::from_le_bytes(fixed(bytes, 1))),
        INT_24 => {
            let [low, middle, high] = fixed(bytes, 1);
            i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8)
        }
        INT_32 => i64::from(i32::from_le_bytes(fixed(bytes, 1))),
        INT_64 => i64::from_le_bytes(fixed(bytes, 1)),
        _ => {
            let bits = i16::from(first & 0x1f) << 8 | i16::from(bytes[1]);
            // The sign is the highest of 13 bits.
            i64::from(bits << 3 >> 3)
        }
    }
}

#[inline]
fn fixed<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut fixed = [0; N];
    fixed.copy_from_slice(&bytes[at..at + N]);
    fixed
}

/// The size to ask the allocator for, so that a growing pack seldom moves and a full one wastes little.
pub(super) fn roomy(size: usize) -> usize {
    let step = if size <= 128 { 16 } else { 1 << ((size - 1).ilog2() - 2) };
    size.next_multiple_of(step)
}

/// A pack that is read. There may be room behind its end.
#[derive(Clone, Copy)]
pub struct Packed<'a>(&'a [u8]);

impl<'a> Packed<'a> {
    #[inline]
    pub(crate) fn new(bytes: &'a [u8]) -> Packed<'a> {
        Packed(bytes)
    }

    /// Whether all bytes, which came from elsewhere, are a pack and as they should be.
    pub(super) fn is_sound(self) -> bool {
        let size = self.0.len();
        if size <= HEADER || size > BYTES_MAX || self.0[size - 1] != END || self.bytes_len() != size {
            return false;
        }
        let (mut at, mut count) = (HEADER, 0usize);
        while at < size - 1 {
            let Some(next) = self.checked_next(at) else { return false };
            at = next;
            count += 1;
        }
        let header = self.header_count();
        at == size - 1 && (header == UNCOUNTED || usize::from(header) == count)
    }

    /// Where the element after the one at `at` begins, if that one is well formed and ends before the pack does.
    fn checked_next(self, at: usize) -> Option<usize> {
        let first = *self.0.get(at)?;
        let body = match first {
            0..TEXT_6 => 1,
            TEXT_6..INT_13 => 1 + usize::from(first & 0x3f),
            INT_13..TEXT_12 => 2,
            TEXT_12..TEXT_32 => 2 + (usize::from(first & 0x0f) << 8 | usize::from(*self.0.get(at + 1)?)),
            TEXT_32 => 5 + u32::from_le_bytes(*self.0.get(at + 1..)?.first_chunk()?) as usize,
            INT_16 => 3,
            INT_24 => 4,
            INT_32 => 5,
            INT_64 => 9,
            _ => return None,
        };
        let end = at.checked_add(body)?;
        let len = back_len(body);
        let next = end.checked_add(len)?;
        let mut back = [0; BACK_MAX];
        write_back(&mut back[..len], body);
        (next < self.0.len() && self.0[end..next] == back[..len]).then_some(next)
    }

    /// Its bytes, as a snapshot holds them.
    #[inline]
    pub fn as_bytes(self) -> &'a [u8] {
        &self.0[..self.bytes_len()]
    }

    /// How many bytes it is.
    #[inline]
    pub fn bytes_len(self) -> usize {
        u32::from_le_bytes(fixed(self.0, 0)) as usize
    }

    #[inline]
    pub(super) fn header_count(self) -> u16 {
        u16::from_le_bytes(fixed(self.0, 4))
    }

    /// How many elements there are: at once, up to 65534 of them.
    #[inline]
    pub fn len(self) -> usize {
        match self.header_count() {
            UNCOUNTED => self.counted(),
            count => usize::from(count),
        }
    }

    #[cold]
    #[inline(never)]
    fn counted(self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(self) -> bool {
        self.0[HEADER] == END
    }

    /// The bytes of the element at `at`, without the length at its end.
    #[inline]
    pub(super) fn body_len(self, at: usize) -> usize {
        let first = self.0[at];
        match first {
            0..TEXT_6 => 1,
            TEXT_6..INT_13 => 1 + usize::from(first & 0x3f),
            INT_13..TEXT_12 => 2,
            TEXT_12..TEXT_32 => 2 + (usize::from(first & 0x0f) << 8 | usize::from(self.0[at + 1])),
            TEXT_32 => 5 + u32::from_le_bytes(fixed(self.0, at + 1)) as usize,
            INT_16 => 3,
            INT_24 => 4,
            INT_32 => 5,
            _ => 9,
        }
    }

    /// All bytes of the element at `at`.
    #[inline]
    pub(super) fn whole_len(self, at: usize) -> usize {
        let body = self.body_len(at);
        body + back_len(body)
    }

    /// The element at a place.
    #[inline]
    pub fn get(self, place: Place) -> Element<'a> {
        let at = place.0;
        let first = self.0[at];
        let (head, len) = match first {
            TEXT_6..INT_13 => (1, usize::from(first & 0x3f)),
            TEXT_12..TEXT_32 => (2, usize::from(first & 0x0f) << 8 | usize::from(self.0[at + 1])),
            TEXT_32 => (5, u32::from_le_bytes(fixed(self.0, at + 1)) as usize),
            _ => return Element::Int(integer(&self.0[at..])),
        };
        Element::Bytes(&self.0[at + head..at + head + len])
    }

    /// The place of the first element.
    #[inline]
    pub fn first(self) -> Option<Place> {
        (!self.is_empty()).then_some(Place(HEADER))
    }

    /// The place of the last element.
    #[inline]
    pub fn last(self) -> Option<Place> {
        self.previous(Place(self.bytes_len() - 1))
    }

    /// The place after this one.
    #[inline]
    pub fn next(self, place: Place) -> Option<Place> {
        let at = place.0 + self.whole_len(place.0);
        (self.0[at] != END).then_some(Place(at))
    }

    /// The place in front of this one.
    #[inline]
    pub fn previous(self, place: Place) -> Option<Place> {
        if place.0 == HEADER {
            return None;
        }
        let (mut body, mut shift, mut at) = (0, 0, place.0 - 1);
        loop {
            let byte = self.0[at];
            body |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(Place(at - body));
            }
            shift += 7;
            at -= 1;
        }
    }

    /// Where up to `count` elements from `at` on end, and how many there are.
    #[inline]
    fn span(self, at: usize, count: usize) -> (usize, usize) {
        let (mut end, mut there) = (at, 0);
        while there < count && self.0[end] != END {
            end += self.whole_len(end);
            there += 1;
        }
        (end, there)
    }

    /// The place of element `index`, from whichever end is nearer.
    pub fn seek(self, index: usize) -> Option<Place> {
        let len = self.len();
        if index >= len {
            return None;
        }
        if index <= len / 2 {
            let mut place = self.first()?;
            for _ in 0..index {
                place = self.next(place)?;
            }
            return Some(place);
        }
        let mut place = self.last()?;
        for _ in index..len - 1 {
            place = self.previous(place)?;
        }
        Some(place)
    }

    /// All elements in order.
    #[inline]
    pub fn iter(self) -> impl Iterator<Item = Element<'a>> {
        std::iter::successors(self.first(), move |place| self.next(*place)).map(move |place| self.get(place))
    }

    /// All elements, the last one first.
    pub fn iter_back(self) -> impl Iterator<Item = Element<'a>> {
        std::iter::successors(self.last(), move |place| self.previous(*place)).map(move |place| self.get(place))
    }

    /// Shows the elements from number `index` on, forwards or backwards, until `see` has enough. Returns whether it wants
    /// more.
    pub fn visit(self, index: usize, backwards: bool, see: &mut dyn FnMut(Element<'_>) -> bool) -> bool {
        let mut place = self.seek(index);
        while let Some(at) = place {
            if !see(self.get(at)) {
                return false;
            }
            place = if backwards { self.previous(at) } else { self.next(at) };
        }
        true
    }

    /// The place of the first element with this text from `start` on; of the elements there, every `1 + skip`-th is
    /// looked at.
    #[inline]
    pub fn find(self, text: &[u8], start: Option<Place>, skip: usize) -> Option<Place> {
        let wanted = Element::of(text);
        let mut at = start?.0;
        loop {
            if self.get(Place(at)) == wanted {
                return Some(Place(at));
            }
            for _ in 0..=skip {
                at += self.whole_len(at);
                if self.0[at] == END {
                    return None;
                }
            }
        }
    }
}

impl std::fmt::Debug for Packed<'_> {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list().entries(self.iter()).finish()
    }
}

/// A pack, wherever it lies.
pub trait ReadPack {
    /// To be read.
    fn read(&self) -> Packed<'_>;
}

impl ReadPack for Packed<'_> {
    #[inline(always)]
    fn read(&self) -> Packed<'_> {
        *self
    }
}

/// A pack that is changed where it lies: who calls sees to the room behind its end.
pub(super) struct PackedMut<'a>(&'a mut [u8]);

impl<'a> PackedMut<'a> {
    #[inline]
    pub(super) fn new(bytes: &'a mut [u8]) -> PackedMut<'a> {
        PackedMut(bytes)
    }

    #[inline]
    fn read(&self) -> Packed<'_> {
        Packed(self.0)
    }

    #[inline]
    pub(super) fn set_size(&mut self, size: usize) {
        self.0[..4].copy_from_slice(&(size as u32).to_le_bytes());
    }

    #[inline]
    pub(super) fn set_count(&mut self, count: usize) {
        let count = u16::try_from(count).unwrap_or(UNCOUNTED).to_le_bytes();
        self.0[4..HEADER].copy_from_slice(&count);
    }

    /// Puts an element in the place of `old` bytes at `at`, and counts `added` more than before.
    #[inline]
    pub(super) fn splice(&mut self, at: usize, old: usize, element: &Encoded<'_>, added: usize) {
        let before = self.read().bytes_len();
        let count = if added == 0 { None } else { Some(self.read().len() + added) };
        let new = element.len();
        if at + 1 == before {
            self.0[at + new] = END;
        } else {
            self.0.copy_within(at + old..before, at + new);
        }
        element.write(&mut self.0[at..]);
        self.set_size(before - old + new);
        if let Some(count) = count {
            self.set_count(count);
        }
    }

    /// Writes an element behind the last one of a pack of `size` bytes, and counts it.
    #[inline]
    pub(super) fn append_element(&mut self, element: &Encoded<'_>, size: usize, count: usize) {
        let end = size - 1 + element.len();
        element.write(&mut self.0[size - 1..end]);
        self.0[end] = END;
        self.set_size(end + 1);
        self.set_count(count + 1);
    }

    /// Writes an element and a header in front of it over what was free in front of a pack of `size` bytes, whose header
    /// was behind that, and counts it.
    #[inline]
    pub(super) fn prepend(&mut self, element: &Encoded<'_>, size: usize, count: usize) {
        element.write(&mut self.0[HEADER..]);
        self.set_size(size + element.len());
        self.set_count(count + 1);
    }

    /// Removes up to `count` elements from `place` on. Returns the place of the one behind them.
    #[inline]
    pub(super) fn remove_many(&mut self, place: Place, count: usize) -> Option<Place> {
        let (end, removed) = self.read().span(place.0, count);
        let (left, before) = (self.read().len() - removed, self.read().bytes_len());
        if end + 1 == before {
            self.0[place.0] = END;
        } else {
            self.0.copy_within(end..before, place.0);
        }
        self.set_size(before - (end - place.0));
        self.set_count(left);
        (self.0[place.0] != END).then_some(place)
    }

    /// Removes up to `count` elements at the front by moving the header over them. Returns by how many bytes.
    #[inline]
    pub(super) fn pass(&mut self, count: usize) -> usize {
        let (size, len) = (self.read().bytes_len(), self.read().len());
        let (end, passed) = self.read().span(HEADER, count);
        let mut rest = PackedMut(&mut self.0[end - HEADER..]);
        rest.set_size(size - (end - HEADER));
        rest.set_count(len - passed);
        end - HEADER
    }

    /// Removes elements with this text: the first `max`, from the end if `backwards`. Returns how many.
    pub(super) fn remove_equal(&mut self, text: &[u8], max: usize, backwards: bool) -> usize {
        let wanted = Element::of(text);
        let mut removed = 0;
        let mut place = if backwards { self.read().last() } else { self.read().first() };
        while let Some(at) = place.filter(|_| removed < max) {
            place = if backwards { self.read().previous(at) } else { self.read().next(at) };
            if self.read().get(at) == wanted {
                let after = self.remove_many(at, 1);
                removed += 1;
                if !backwards {
                    place = after;
                }
            }
        }
        removed
    }

    /// Cuts off everything from `place` on.
    pub(super) fn cut(&mut self, place: Place) {
        self.0[place.0] = END;
        self.set_size(place.0 + 1);
        let kept = std::iter::successors(self.read().first(), |place| self.read().next(*place)).count();
        self.set_count(kept);
    }

    /// Makes the bytes a pack of these elements' bytes but for their count.
    pub(super) fn fill(&mut self, elements: &[u8]) {
        let end = HEADER + elements.len();
        self.0[HEADER..end].copy_from_slice(elements);
        self.0[end] = END;
        self.set_size(end + 1);
    }

    /// Adds all elements of another pack at the end.
    pub(super) fn append(&mut self, other: Packed<'_>) {
        let (end, added) = (self.read().bytes_len() - 1, other.bytes_len() - HEADER);
        let count = self.read().len() + other.len();
        self.0[end..end + added].copy_from_slice(&other.as_bytes()[HEADER..]);
        self.set_size(end + added);
        self.set_count(count);
    }
}
