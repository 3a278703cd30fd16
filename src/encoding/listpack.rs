//! HOT PATH. Many short elements in one allocation, byte for byte as Redis lays them out: what a small collection is
//! kept in, and what snapshots hold. Any one thread.
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

use crate::base::integer::{I64_TEXT_MAX, parse_i64, text_len_i64};

/// Bytes in front of the first element.
const HEADER: usize = 6;
/// The allocation of an empty pack, in bytes.
const EMPTY_BYTES: usize = 16;
/// The byte behind the last element.
const END: u8 = 0xff;
/// The number of elements in the header where it is too big for it: they have to be counted.
const UNCOUNTED: u16 = u16::MAX;
/// The longest head of an element, in bytes.
const HEAD_MAX: usize = 9;
/// The longest length at the end of an element, in bytes.
const BACK_MAX: usize = 5;
/// The most bytes of a pack that callers may let it grow to.
pub const BYTES_MAX: usize = 1 << 30;

const TEXT_6: u8 = 0x80;
const INT_13: u8 = 0xc0;
const TEXT_12: u8 = 0xe0;
const TEXT_32: u8 = 0xf0;
const INT_16: u8 = 0xf1;
const INT_24: u8 = 0xf2;
const INT_32: u8 = 0xf3;
const INT_64: u8 = 0xf4;

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

/// Where an element begins. Good until the pack is changed in front of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(usize);

/// An element's bytes but for the text and the length at the end.
struct Head {
    bytes: [u8; HEAD_MAX],
    len: usize,
}

impl Head {
    fn of(element: Element<'_>) -> Head {
        let mut head = Head { bytes: [0; HEAD_MAX], len: 0 };
        match element {
            Element::Int(number) => head.integer(number),
            Element::Bytes(text) if text.len() < 64 => head.push(&[TEXT_6 | text.len() as u8]),
            Element::Bytes(text) if text.len() < 4096 => {
                head.push(&[TEXT_12 | (text.len() >> 8) as u8, text.len() as u8]);
            }
            Element::Bytes(text) => {
                let len = u32::try_from(text.len()).expect("elements are smaller than a pack");
                head.push(&[TEXT_32]);
                head.push(&len.to_le_bytes());
            }
        }
        head
    }

    fn integer(&mut self, number: i64) {
        let bytes = number.to_le_bytes();
        match number {
            0..=127 => self.push(&bytes[..1]),
            -4096..=4095 => self.push(&[INT_13 | (number >> 8) as u8 & 0x1f, number as u8]),
            -0x8000..=0x7fff => {
                self.push(&[INT_16]);
                self.push(&bytes[..2]);
            }
            -0x80_0000..=0x7f_ffff => {
                self.push(&[INT_24]);
                self.push(&bytes[..3]);
            }
            -0x8000_0000..=0x7fff_ffff => {
                self.push(&[INT_32]);
                self.push(&bytes[..4]);
            }
            _ => {
                self.push(&[INT_64]);
                self.push(&bytes);
            }
        }
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }
}

/// How many bytes the length at the end of an element takes.
#[inline]
fn back_len(body: usize) -> usize {
    match body {
        0..=127 => 1,
        128..=16_382 => 2,
        16_383..=2_097_150 => 3,
        2_097_151..=268_435_454 => 4,
        _ => BACK_MAX,
    }
}

/// The bytes that an element takes for this text.
pub fn element_bytes(text: &[u8]) -> usize {
    let element = Element::of(text);
    let body = Head::of(element).len + if let Element::Bytes(bytes) = element { bytes.len() } else { 0 };
    body + back_len(body)
}

/// The size to ask the allocator for, so that a growing pack seldom moves and a full one wastes little.
fn roomy(size: usize) -> usize {
    let step = if size <= 128 { 16 } else { 1 << ((size - 1).ilog2() - 2) };
    size.next_multiple_of(step)
}

/// The pack: an allocation with some room behind the end, which the first bytes tell. Two words, so that a value that may
/// be a pack or something else stays small.
#[derive(Clone)]
pub struct Listpack(Box<[u8]>);

impl PartialEq for Listpack {
    fn eq(&self, other: &Listpack) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Listpack {}

impl Default for Listpack {
    fn default() -> Listpack {
        Listpack::new()
    }
}

impl Listpack {
    /// An empty one.
    pub fn new() -> Listpack {
        let mut bytes = [0; EMPTY_BYTES];
        bytes[0] = HEADER as u8 + 1;
        bytes[HEADER] = END;
        Listpack(Box::new(bytes))
    }

    /// Takes over bytes that came from elsewhere, if all of them are as they should be.
    pub fn from_bytes(bytes: Vec<u8>) -> Option<Listpack> {
        if bytes.len() <= HEADER || bytes.len() > BYTES_MAX || bytes.last() != Some(&END) {
            return None;
        }
        let pack = Listpack(bytes.into());
        if u32::from_le_bytes(*pack.0.first_chunk()?) as usize != pack.0.len() {
            return None;
        }
        let (mut at, mut count) = (HEADER, 0usize);
        while at < pack.0.len() - 1 {
            at = pack.checked_next(at)?;
            count += 1;
        }
        let header = pack.header_count();
        (at == pack.0.len() - 1 && (header == UNCOUNTED || usize::from(header) == count)).then_some(pack)
    }

    /// Where the element after the one at `at` begins, if that one is well formed and ends before the pack does.
    fn checked_next(&self, at: usize) -> Option<usize> {
        let first = *self.0.get(at)?;
        let extra = match first {
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
        let end = at.checked_add(extra)?;
        let next = end.checked_add(back_len(extra))?;
        let mut back = [0; BACK_MAX];
        let len = write_back(&mut back, extra);
        (next < self.0.len() && self.0[end..next] == back[..len]).then_some(next)
    }

    /// Its bytes, as a snapshot holds them.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0[..self.bytes_len()]
    }

    /// How many bytes it is.
    #[inline]
    pub fn bytes_len(&self) -> usize {
        u32::from_le_bytes(self.fixed(0)) as usize
    }

    /// Bytes of its allocation.
    pub fn memory_usage(&self) -> usize {
        self.0.len()
    }

    #[inline]
    fn header_count(&self) -> u16 {
        u16::from_le_bytes([self.0[4], self.0[5]])
    }

    /// How many elements there are: at once, up to 65534 of them.
    #[inline]
    pub fn len(&self) -> usize {
        match self.header_count() {
            UNCOUNTED => self.iter().count(),
            count => usize::from(count),
        }
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.0[HEADER] == END
    }

    /// The bytes of the element at `at`, without the length at its end.
    #[inline]
    fn body_len(&self, at: usize) -> usize {
        let first = self.0[at];
        match first {
            0..TEXT_6 => 1,
            TEXT_6..INT_13 => 1 + usize::from(first & 0x3f),
            INT_13..TEXT_12 => 2,
            TEXT_12..TEXT_32 => 2 + (usize::from(first & 0x0f) << 8 | usize::from(self.0[at + 1])),
            TEXT_32 => 5 + u32::from_le_bytes(self.fixed(at + 1)) as usize,
            INT_16 => 3,
            INT_24 => 4,
            INT_32 => 5,
            _ => 9,
        }
    }

    /// All bytes of the element at `at`.
    #[inline]
    fn whole_len(&self, at: usize) -> usize {
        let body = self.body_len(at);
        body + back_len(body)
    }

    #[inline]
    fn fixed<const N: usize>(&self, at: usize) -> [u8; N] {
        let mut bytes = [0; N];
        bytes.copy_from_slice(&self.0[at..at + N]);
        bytes
    }

    /// The element at a place.
    #[inline]
    pub fn get(&self, place: Place) -> Element<'_> {
        let at = place.0;
        let first = self.0[at];
        let text = |head: usize| Element::Bytes(&self.0[at + head..at + self.body_len(at)]);
        match first {
            0..TEXT_6 => Element::Int(i64::from(first)),
            TEXT_6..INT_13 => text(1),
            INT_13..TEXT_12 => {
                let bits = i16::from(first & 0x1f) << 8 | i16::from(self.0[at + 1]);
                // The sign is the highest of 13 bits.
                Element::Int(i64::from(bits << 3 >> 3))
            }
            TEXT_12..TEXT_32 => text(2),
            TEXT_32 => text(5),
            INT_16 => Element::Int(i64::from(i16::from_le_bytes(self.fixed(at + 1)))),
            INT_24 => {
                let [low, middle, high] = self.fixed(at + 1);
                Element::Int(i64::from(i32::from_le_bytes([0, low, middle, high]) >> 8))
            }
            INT_32 => Element::Int(i64::from(i32::from_le_bytes(self.fixed(at + 1)))),
            _ => Element::Int(i64::from_le_bytes(self.fixed(at + 1))),
        }
    }

    /// The place of the first element.
    #[inline]
    pub fn first(&self) -> Option<Place> {
        (!self.is_empty()).then_some(Place(HEADER))
    }

    /// The place of the last element.
    #[inline]
    pub fn last(&self) -> Option<Place> {
        self.before(self.bytes_len() - 1)
    }

    /// The place after this one.
    #[inline]
    pub fn next(&self, place: Place) -> Option<Place> {
        let at = place.0 + self.whole_len(place.0);
        (self.0[at] != END).then_some(Place(at))
    }

    /// The place in front of this one.
    #[inline]
    pub fn previous(&self, place: Place) -> Option<Place> {
        self.before(place.0)
    }

    #[inline]
    fn before(&self, end: usize) -> Option<Place> {
        if end == HEADER {
            return None;
        }
        let (mut body, mut shift, mut at) = (0, 0, end - 1);
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

    /// The place of element `index`, from whichever end is nearer.
    pub fn seek(&self, index: usize) -> Option<Place> {
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
    pub fn iter(&self) -> impl Iterator<Item = Element<'_>> {
        std::iter::successors(self.first(), |place| self.next(*place)).map(|place| self.get(place))
    }

    /// All elements, the last one first.
    pub fn iter_back(&self) -> impl Iterator<Item = Element<'_>> {
        std::iter::successors(self.last(), |place| self.previous(*place)).map(|place| self.get(place))
    }

    /// The place of the first element with this text from `start` on; of the elements there, every `1 + skip`-th is
    /// looked at.
    #[inline]
    pub fn find(&self, text: &[u8], start: Option<Place>, skip: usize) -> Option<Place> {
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

    /// Adds an element at the end.
    #[inline]
    pub fn push_back(&mut self, text: &[u8]) {
        self.splice(self.bytes_len() - 1, 0, Element::of(text), 1);
    }

    /// Adds an integer at the end.
    pub fn push_back_int(&mut self, number: i64) {
        self.splice(self.bytes_len() - 1, 0, Element::Int(number), 1);
    }

    /// Adds an element at the front.
    pub fn push_front(&mut self, text: &[u8]) {
        self.splice(HEADER, 0, Element::of(text), 1);
    }

    /// Adds an element in front of the one at `place`, whose place is the new one's then.
    pub fn insert_before(&mut self, place: Place, text: &[u8]) {
        self.splice(place.0, 0, Element::of(text), 1);
    }

    /// The same with an integer.
    pub fn insert_int_before(&mut self, place: Place, number: i64) {
        self.splice(place.0, 0, Element::Int(number), 1);
    }

    /// Adds an element behind the one at `place`.
    pub fn insert_after(&mut self, place: Place, text: &[u8]) {
        self.splice(place.0 + self.whole_len(place.0), 0, Element::of(text), 1);
    }

    /// Puts another element in the place of one.
    pub fn replace(&mut self, place: Place, text: &[u8]) {
        self.splice(place.0, self.whole_len(place.0), Element::of(text), 0);
    }

    /// The same with an integer.
    pub fn replace_int(&mut self, place: Place, number: i64) {
        self.splice(place.0, self.whole_len(place.0), Element::Int(number), 0);
    }

    /// Removes an element. Returns the place of the next one.
    pub fn remove(&mut self, place: Place) -> Option<Place> {
        self.remove_many(place, 1)
    }

    /// Removes up to `count` elements from `place` on. Returns the place of the one behind them.
    pub fn remove_many(&mut self, place: Place, count: usize) -> Option<Place> {
        let (mut end, mut removed) = (place.0, 0);
        while removed < count && self.0[end] != END {
            end += self.whole_len(end);
            removed += 1;
        }
        let (left, before) = (self.len() - removed, self.bytes_len());
        self.0.copy_within(end..before, place.0);
        self.set_size(before - (end - place.0));
        self.set_count(left);
        self.shrink();
        (self.0[place.0] != END).then_some(place)
    }

    /// Cuts off everything from `place` on and returns it.
    pub fn split_off(&mut self, place: Place) -> Listpack {
        let (len, size) = (self.len(), self.bytes_len());
        let mut tail = vec![0; roomy(HEADER + size - place.0)];
        tail[HEADER..HEADER + size - place.0].copy_from_slice(&self.0[place.0..size]);
        let mut tail = Listpack(tail.into());
        tail.set_size(HEADER + size - place.0);
        self.0[place.0] = END;
        self.set_size(place.0 + 1);
        let kept = std::iter::successors(self.first(), |place| self.next(*place)).count();
        self.set_count(kept);
        tail.set_count(len - kept);
        self.shrink();
        tail
    }

    /// Adds all elements of another pack at the end.
    pub fn append(&mut self, other: &Listpack) {
        let (end, added) = (self.bytes_len() - 1, other.bytes_len() - HEADER);
        assert!(end + added <= u32::MAX as usize, "callers bound a pack by its bytes");
        let count = self.len() + other.len();
        if end + added > self.0.len() {
            self.resize(roomy(end + added));
        }
        self.0[end..end + added].copy_from_slice(&other.as_bytes()[HEADER..]);
        self.set_size(end + added);
        self.set_count(count);
    }

    /// Puts another element's bytes, and the count's difference, in the place of `old` bytes at `at`.
    fn splice(&mut self, at: usize, old: usize, element: Element<'_>, added: usize) {
        let head = Head::of(element);
        let text = if let Element::Bytes(text) = element { text } else { &[] };
        let body = head.len + text.len();
        let mut back = [0; BACK_MAX];
        let back_len = write_back(&mut back, body);
        let new = body + back_len;
        let before = self.bytes_len();
        let after = before - old + new;
        assert!(after <= u32::MAX as usize, "callers bound a pack by its bytes");
        let count = if added == 0 { None } else { Some(self.len() + added) };
        if after > self.0.len() {
            self.resize(roomy(after));
        }
        self.0.copy_within(at + old..before, at + new);
        self.0[at..at + head.len].copy_from_slice(&head.bytes[..head.len]);
        self.0[at + head.len..at + body].copy_from_slice(text);
        self.0[at + body..at + new].copy_from_slice(&back[..back_len]);
        self.set_size(after);
        if let Some(count) = count {
            self.set_count(count);
        }
    }

    fn set_size(&mut self, size: usize) {
        self.0[..4].copy_from_slice(&(size as u32).to_le_bytes());
    }

    /// Gives the allocation another size.
    fn resize(&mut self, size: usize) {
        let mut bytes = std::mem::take(&mut self.0).into_vec();
        bytes.reserve_exact(size.saturating_sub(bytes.len()));
        bytes.resize(size, 0);
        self.0 = bytes.into();
    }

    fn set_count(&mut self, count: usize) {
        let count = u16::try_from(count).unwrap_or(UNCOUNTED).to_le_bytes();
        self.0[4..HEADER].copy_from_slice(&count);
    }

    /// Gives memory back where much of it is unused.
    fn shrink(&mut self) {
        let wanted = roomy(self.bytes_len());
        if wanted * 2 < self.0.len() {
            self.resize(wanted);
        }
    }
}

/// Writes the length of an element for reading backwards: seven bits a byte, all but the first one marked.
fn write_back(out: &mut [u8; BACK_MAX], body: usize) -> usize {
    let len = back_len(body);
    for (index, byte) in out[..len].iter_mut().enumerate() {
        let bits = (body >> (7 * (len - 1 - index))) as u8 & 0x7f;
        *byte = if index == 0 { bits } else { bits | 0x80 };
    }
    len
}

impl std::fmt::Debug for Listpack {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_list().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pack(texts: &[&[u8]]) -> Listpack {
        let mut pack = Listpack::new();
        texts.iter().for_each(|text| pack.push_back(text));
        pack
    }

    /// What redis-server 8.0.6 answers to DUMP of the same lists, between the snapshot's own frame.
    #[test]
    fn bytes_are_as_redis_has_them() {
        assert_eq!(Listpack::new().as_bytes(), b"\x07\0\0\0\0\0\xff");
        let wanted: &[(&[&[u8]], &[u8])] = &[
            (&[b"a"], b"\x0a\0\0\0\x01\0\x81a\x02\xff"),
            (&[b"0", b"127", b"128"], b"\x0e\0\0\0\x03\0\0\x01\x7f\x01\xc0\x80\x02\xff"),
            (&[b"-1", b"-4096", b"4096"], b"\x11\0\0\0\x03\0\xdf\xff\x02\xd0\0\x02\xf1\0\x10\x03\xff"),
            (&[b"-32769"], b"\x0c\0\0\0\x01\0\xf2\xff\x7f\xff\x04\xff"),
            (&[b"8388608"], b"\x0d\0\0\0\x01\0\xf3\0\0\x80\0\x05\xff"),
            (&[b"-2147483649"], b"\x11\0\0\0\x01\0\xf4\xff\xff\xff\x7f\xff\xff\xff\xff\x09\xff"),
        ];
        for (texts, bytes) in wanted {
            assert_eq!(pack(texts).as_bytes(), *bytes, "{texts:?}");
        }
    }

    #[test]
    fn integers_at_every_boundary_come_back() {
        let mut edges = vec![0, i64::MIN, i64::MAX];
        for power in [7, 12, 13, 15, 16, 23, 24, 31, 32, 62] {
            edges.extend((-1..=1).flat_map(|step| [(1i64 << power) + step, -(1i64 << power) + step]));
        }
        let mut pack = Listpack::new();
        edges.iter().for_each(|number| pack.push_back(number.to_string().as_bytes()));
        let wanted = edges.iter().map(|number| Element::Int(*number)).collect::<Vec<_>>();
        assert_eq!(pack.iter().collect::<Vec<_>>(), wanted);
        assert_eq!(pack.iter_back().collect::<Vec<_>>(), wanted.iter().rev().copied().collect::<Vec<_>>());
        assert_eq!(Listpack::from_bytes(pack.as_bytes().to_vec()), Some(pack));
    }

    #[test]
    fn texts_at_every_boundary_come_back() {
        let mut pack = Listpack::new();
        let lens = [0, 1, 63, 64, 125, 126, 127, 4095, 4096, 16_378, 16_379, 16_380, 2_097_145, 2_097_146, 2_097_147];
        for len in lens {
            pack.push_back(&vec![b'x'; len]);
        }
        assert!(pack.iter().map(|element| element.len()).eq(lens));
        assert!(pack.iter_back().map(|element| element.len()).eq(lens.into_iter().rev()));
        assert!(Listpack::from_bytes(pack.as_bytes().to_vec()).is_some());
        for len in lens {
            let text = vec![b'x'; len];
            let mut single = Listpack::new();
            single.push_back(&text);
            assert_eq!(single.bytes_len(), HEADER + 1 + element_bytes(&text));
        }
    }

    #[test]
    fn more_elements_than_the_header_can_count() {
        let mut pack = Listpack::new();
        (0..65_540).for_each(|_| pack.push_back(b"1"));
        assert_eq!(pack.len(), 65_540);
        let place = pack.seek(65_530).expect("it is there");
        let tail = pack.split_off(place);
        assert_eq!((pack.len(), tail.len(), pack.header_count()), (65_530, 10, 65_530));
    }

    #[test]
    fn a_pack_that_shrank_gives_memory_back() {
        let mut pack = Listpack::new();
        (0..1000).for_each(|_| pack.push_back(b"some text"));
        let full = pack.memory_usage();
        pack.remove_many(Place(HEADER), 990);
        assert!(pack.memory_usage() < full / 10);
        assert_eq!(pack.iter().count(), 10);
    }

    #[derive(Clone, Debug)]
    enum Step {
        PushBack(Vec<u8>),
        PushFront(Vec<u8>),
        Before(usize, Vec<u8>),
        After(usize, Vec<u8>),
        Replace(usize, Vec<u8>),
        Remove(usize, usize),
        Split(usize),
        Find(usize, usize, usize),
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let edge = |power: u32| (-2i64..=2).prop_map(move |step| ((1i64 << power) + step).to_string().into_bytes());
        prop_oneof![
            3 => (0u32..63).prop_flat_map(edge),
            1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
            3 => prop::collection::vec(any::<u8>(), 0..8),
            2 => (prop::sample::select(vec![62usize, 63, 64, 125, 126, 127, 4094, 4095, 4096]), any::<u8>())
                .prop_map(|(len, byte)| vec![byte; len]),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => text().prop_map(Step::PushBack),
            2 => text().prop_map(Step::PushFront),
            2 => (any::<usize>(), text()).prop_map(|(at, text)| Step::Before(at, text)),
            2 => (any::<usize>(), text()).prop_map(|(at, text)| Step::After(at, text)),
            2 => (any::<usize>(), text()).prop_map(|(at, text)| Step::Replace(at, text)),
            2 => (any::<usize>(), 0usize..4).prop_map(|(at, count)| Step::Remove(at, count)),
            1 => any::<usize>().prop_map(Step::Split),
            2 => (any::<usize>(), any::<usize>(), 0usize..2).prop_map(|(a, b, c)| Step::Find(a, b, c)),
        ]
    }

    fn apply(pack: &mut Listpack, model: &mut Vec<Vec<u8>>, step: Step) {
        let len = model.len();
        let pick = |at: usize| (len > 0).then(|| at % len);
        let place = |pack: &Listpack, at: usize| pack.seek(at).expect("the model has it");
        match step {
            Step::PushBack(text) => {
                pack.push_back(&text);
                model.push(text);
            }
            Step::PushFront(text) => {
                pack.push_front(&text);
                model.insert(0, text);
            }
            Step::Before(at, text) => {
                let Some(at) = pick(at) else { return };
                pack.insert_before(place(pack, at), &text);
                model.insert(at, text);
            }
            Step::After(at, text) => {
                let Some(at) = pick(at) else { return };
                pack.insert_after(place(pack, at), &text);
                model.insert(at + 1, text);
            }
            Step::Replace(at, text) => {
                let Some(at) = pick(at) else { return };
                pack.replace(place(pack, at), &text);
                model[at] = text;
            }
            Step::Remove(at, count) => {
                let Some(at) = pick(at) else { return };
                let next = pack.remove_many(place(pack, at), count);
                model.drain(at..(at + count).min(len));
                assert_eq!(next.map(|place| pack.get(place).to_vec()), model.get(at).cloned());
            }
            Step::Split(at) => {
                let Some(at) = pick(at) else { return };
                let tail = pack.split_off(place(pack, at));
                let model_tail = model.split_off(at);
                assert!(tail.iter().map(Element::to_vec).eq(model_tail));
                assert_eq!(Listpack::from_bytes(tail.as_bytes().to_vec()), Some(tail));
            }
            Step::Find(what, from, skip) => {
                let (Some(what), Some(from)) = (pick(what), pick(from)) else { return };
                let found = pack.find(&model[what], Some(place(pack, from)), skip);
                let wanted = (from..len).step_by(skip + 1).find(|&at| model[at] == model[what]);
                assert_eq!(found, wanted.map(|at| place(pack, at)));
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_vector(steps in prop::collection::vec(step(), 1..60)) {
            let (mut pack, mut model) = (Listpack::new(), Vec::new());
            for step in steps {
                apply(&mut pack, &mut model, step);
                prop_assert_eq!(pack.len(), model.len());
                prop_assert!(pack.iter().map(Element::to_vec).eq(model.iter().cloned()));
                prop_assert!(pack.iter_back().map(Element::to_vec).eq(model.iter().rev().cloned()));
                let copy = Listpack::from_bytes(pack.as_bytes().to_vec());
                prop_assert_eq!(copy.as_ref(), Some(&pack));
            }
        }

        #[test]
        fn bytes_from_elsewhere_are_read_or_refused(
            texts in prop::collection::vec(text(), 0..6),
            changes in prop::collection::vec((any::<usize>(), any::<u8>()), 0..4),
        ) {
            let mut bytes = pack(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>()).as_bytes().to_vec();
            for (at, byte) in changes {
                let len = bytes.len();
                bytes[at % len] = byte;
            }
            if let Some(pack) = Listpack::from_bytes(bytes) {
                let there = pack.iter().map(Element::to_vec).collect::<Vec<_>>();
                let mut back = pack.iter_back().map(Element::to_vec).collect::<Vec<_>>();
                back.reverse();
                prop_assert_eq!(there, back);
            }
        }
    }
}
