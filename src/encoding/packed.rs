//! HOT PATH. The bytes of a pack: how its elements are read and written, wherever the bytes lie. Any one thread.
//!
//! A *full* pack is byte for byte as Redis lays it out. A *slim* one, which lies beside its key or on its way there, is
//! shorter: what the key's entry tells anyway is left out, and so is what reading backwards takes. It is so short that
//! whoever reads it backwards reads it forwards first.
//!
//! ```text
//!   full                | bytes in all: u32 | elements: u16 | element | element | ... | 0xff |
//!   slim, to be changed | bytes and flags: u32 | elements: u16 | element | element | ... |
//!   slim, beside a key  | elements: u16 | element | element | ... |
//!
//!   an element          | head, with its text or integer | length of that, written to be read backwards: if full |
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

use crate::base::equality::same;
use crate::base::integer::{I64_TEXT_MAX, parse_i64, text_len_i64};

/// Bytes in front of the first element.
pub(super) const HEADER: usize = 6;
/// The byte behind the last element.
pub(super) const END: u8 = 0xff;
/// The number of elements in the header where it is too big for it: they have to be counted.
pub(super) const UNCOUNTED: u16 = u16::MAX;
/// The longest length at the end of an element, in bytes.
const BACK_MAX: usize = 5;
/// The longest head without an integer in it, in bytes.
const HEAD_MAX: usize = 5;
/// The most bytes of a pack that callers may let it grow to.
pub const BYTES_MAX: usize = 1 << 30;

/// Bytes of the size in front of a pack, which is not beside a key.
pub(super) const SIZE_LEN: usize = 4;
/// Bytes of a slim pack's header beside a key.
pub(super) const SLIM_HEADER: usize = HEADER - SIZE_LEN;
/// The most bytes of a slim pack beside a key. A place in it is less than that, so that a byte can note it.
pub const SLIM_MAX: usize = 256;
/// The bit of the size that a slim pack has.
pub(super) const SLIM: u32 = 1 << 31;
/// The bit of a slim pack's size that is there until the pack is changed.
pub(super) const UNCHANGED: u32 = 1 << 30;
/// The rest of a slim pack's size.
const SLIM_SIZE: u32 = UNCHANGED - 1;
/// The most bytes of a pack that sizes have room for.
pub(super) const SIZE_MAX: usize = SLIM as usize - 1;
const _: () = assert!(BYTES_MAX < SIZE_MAX && SLIM_MAX - SLIM_HEADER <= u8::MAX as usize + 1);

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

/// Where an element begins, counted from where the first one does. Good until the pack is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place(pub(super) usize);

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

/// How many bytes at the beginning of an element are not its own alone: the head, unless the integer is in it. And how
/// many are its own: the text, or the integer. What is no head counts as the longest integer's.
#[inline]
pub(super) fn head_and_own_len(bytes: &[u8]) -> (usize, usize) {
    let first = bytes[0];
    match first {
        0..TEXT_6 => (0, 1),
        TEXT_6..INT_13 => (1, usize::from(first & 0x3f)),
        INT_13..TEXT_12 => (0, 2),
        TEXT_12..TEXT_32 => (2, usize::from(first & 0x0f) << 8 | usize::from(bytes[1])),
        TEXT_32 => (5, u32::from_le_bytes(fixed(bytes, 1)) as usize),
        INT_16 => (1, 2),
        INT_24 => (1, 3),
        INT_32 => (1, 4),
        _ => (1, 8),
    }
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

/// Whether bytes that came from elsewhere are a full pack, and as they should be.
pub(super) fn is_sound(bytes: &[u8]) -> bool {
    let size = bytes.len();
    if size <= HEADER || size > BYTES_MAX || bytes[size - 1] != END || size_word(bytes) as usize != size {
        return false;
    }
    let elements = &bytes[HEADER..size - 1];
    let (mut at, mut count) = (0, 0usize);
    while at < elements.len() {
        let Some(next) = checked_next(elements, at) else { return false };
        at = next;
        count += 1;
    }
    let header = header_count(bytes, SIZE_LEN);
    header == UNCOUNTED || usize::from(header) == count
}

/// Where the element after the one at `at` begins, if that one is well formed and ends where the elements do or before.
fn checked_next(elements: &[u8], at: usize) -> Option<usize> {
    let rest = &elements[at..];
    if rest[0] > INT_64 {
        return None;
    }
    // A head that is cut short is longer than what is there, whatever it would say.
    let mut head = [0; HEAD_MAX];
    let there = rest.len().min(HEAD_MAX);
    head[..there].copy_from_slice(&rest[..there]);
    let (head, own) = head_and_own_len(&head);
    let body = head.checked_add(own)?;
    let len = back_len(body);
    let next = body.checked_add(len)?;
    let mut back = [0; BACK_MAX];
    write_back(&mut back[..len], body);
    (rest.get(body..next)? == &back[..len]).then_some(at + next)
}

#[inline]
fn size_word(bytes: &[u8]) -> u32 {
    u32::from_le_bytes(fixed(bytes, 0))
}

#[inline]
fn header_count(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(fixed(bytes, at))
}

/// Whether the pack that these bytes begin with is slim.
#[inline]
pub(super) fn is_slim(bytes: &[u8]) -> bool {
    size_word(bytes) & SLIM != 0
}

/// Whether it is slim and nothing changed it since it was taken from beside its key.
#[inline]
pub(super) fn is_unchanged(bytes: &[u8]) -> bool {
    size_word(bytes) & (SLIM | UNCHANGED) == SLIM | UNCHANGED
}

/// How many of these bytes are the pack that they begin with.
#[inline]
pub(super) fn size_of_pack(bytes: &[u8]) -> usize {
    let word = size_word(bytes);
    (if word & SLIM != 0 { word & SLIM_SIZE } else { word }) as usize
}

/// A pack that is read.
#[derive(Clone, Copy)]
pub struct Packed<'a> {
    /// The bytes of all elements, and no more.
    elements: &'a [u8],
    /// How many there are, as the header has it.
    count: u16,
    is_slim: bool,
}

impl<'a> Packed<'a> {
    /// The full pack that these bytes begin with; there may be room behind its end.
    #[inline]
    pub(super) fn new(bytes: &'a [u8]) -> Packed<'a> {
        let end = size_word(bytes) as usize - 1;
        Packed { elements: &bytes[HEADER..end], count: header_count(bytes, SIZE_LEN), is_slim: false }
    }

    /// The same for a pack that may be slim.
    #[inline]
    pub(super) fn of_either(bytes: &'a [u8]) -> Packed<'a> {
        if !is_slim(bytes) {
            return Packed::new(bytes);
        }
        Packed { elements: &bytes[HEADER..size_of_pack(bytes)], count: header_count(bytes, SIZE_LEN), is_slim: true }
    }

    /// The slim pack that all of these bytes are, which lie beside a key.
    #[inline]
    pub(crate) fn beside_key(bytes: &'a [u8]) -> Packed<'a> {
        Packed { elements: &bytes[SLIM_HEADER..], count: header_count(bytes, 0), is_slim: true }
    }

    /// How many elements there are as the header has it.
    #[inline]
    pub(super) fn header_count(self) -> u16 {
        self.count
    }

    #[inline]
    pub(super) fn is_slim(self) -> bool {
        self.is_slim
    }

    /// Its elements' bytes.
    #[inline]
    pub(super) fn elements(self) -> &'a [u8] {
        self.elements
    }

    /// Appends the bytes that it has as a full pack, which snapshots hold.
    pub fn append_to(self, out: &mut Vec<u8>) {
        let size = self.bytes_len() as u32;
        out.extend(size.to_le_bytes());
        out.extend(self.count.to_le_bytes());
        if self.is_slim {
            let mut at = 0;
            while at < self.elements.len() {
                let (body, mut back) = (self.body_len(at), [0; BACK_MAX]);
                let back = &mut back[..back_len(body)];
                write_back(back, body);
                out.extend_from_slice(&self.elements[at..at + body]);
                out.extend_from_slice(back);
                at += body;
            }
        } else {
            out.extend_from_slice(self.elements);
        }
        out.push(END);
    }

    /// The bytes that it has as a full pack.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.bytes_len());
        self.append_to(&mut bytes);
        bytes
    }

    /// How many bytes it has as a full pack.
    #[inline]
    pub fn bytes_len(self) -> usize {
        HEADER + if self.is_slim { self.full_place(self.elements.len()) } else { self.elements.len() } + 1
    }

    /// The same or more, at once.
    #[inline]
    pub fn bytes_bound(self) -> usize {
        let backs = if self.is_slim { usize::from(self.count) * BACK_MAX } else { 0 };
        HEADER + self.elements.len() + backs + 1
    }

    /// Where what is at `at` in a slim pack would be in a full one.
    pub(super) fn full_place(self, at: usize) -> usize {
        let (mut from, mut full) = (0, 0);
        while from < at {
            let body = self.body_len(from);
            from += body;
            full += body + back_len(body);
        }
        full
    }

    /// How many elements there are: at once, up to 65534 of them.
    #[inline]
    pub fn len(self) -> usize {
        match self.count {
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
        self.elements.is_empty()
    }

    /// The bytes of the element at `at`, without the length at its end.
    #[inline]
    pub(super) fn body_len(self, at: usize) -> usize {
        let (head, own) = head_and_own_len(&self.elements[at..]);
        head + own
    }

    /// All bytes of the element at `at`.
    #[inline]
    pub(super) fn whole_len(self, at: usize) -> usize {
        let first = self.elements[at];
        let body = match first {
            0..TEXT_6 => 1,
            TEXT_6..INT_13 => 1 + usize::from(first & 0x3f),
            _ => return self.seldom_len(at),
        };
        // So short that the length at the end is a byte.
        body + usize::from(!self.is_slim)
    }

    #[inline(never)]
    fn seldom_len(self, at: usize) -> usize {
        let body = self.body_len(at);
        if self.is_slim { body } else { body + back_len(body) }
    }

    /// The element at a place.
    #[inline]
    pub fn get(self, place: Place) -> Element<'a> {
        let bytes = &self.elements[place.0..];
        let first = bytes[0];
        let (head, own) = match first {
            TEXT_6..INT_13 => (1, usize::from(first & 0x3f)),
            TEXT_12..=TEXT_32 => head_and_own_len(bytes),
            _ => return Element::Int(integer(bytes)),
        };
        Element::Bytes(&bytes[head..head + own])
    }

    /// The place of the first element.
    #[inline]
    pub fn first(self) -> Option<Place> {
        (!self.is_empty()).then_some(Place(0))
    }

    /// The place of the last element.
    #[inline]
    pub fn last(self) -> Option<Place> {
        self.previous(Place(self.elements.len()))
    }

    /// The place after this one.
    #[inline]
    pub fn next(self, place: Place) -> Option<Place> {
        let at = place.0 + self.whole_len(place.0);
        (at < self.elements.len()).then_some(Place(at))
    }

    /// The place in front of this one. Who wants many takes [`Packed::back_from`].
    #[inline]
    pub fn previous(self, place: Place) -> Option<Place> {
        if place.0 == 0 {
            return None;
        }
        if self.is_slim {
            return self.previous_from_front(place);
        }
        let (mut body, mut shift, mut at) = (0, 0, place.0 - 1);
        loop {
            let byte = self.elements[at];
            body |= usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(Place(at - body));
            }
            shift += 7;
            at -= 1;
        }
    }

    fn previous_from_front(self, place: Place) -> Option<Place> {
        let (mut at, mut next) = (0, self.body_len(0));
        while next < place.0 {
            at = next;
            next += self.body_len(next);
        }
        Some(Place(at))
    }

    /// This place and those in front of it, backwards.
    pub fn back_from(self, place: Place) -> Back<'a> {
        let mut back = Back { pack: self, next: Some(place), noted: [0; SLIM_MAX], left: 0 };
        let mut at = 0;
        while self.is_slim && at < place.0 {
            back.noted[back.left] = at as u8;
            back.left += 1;
            at += self.body_len(at);
        }
        back
    }

    /// Where up to `count` elements from `at` on end, and how many there are.
    #[inline]
    pub(super) fn span(self, at: usize, count: usize) -> (usize, usize) {
        let (mut end, mut there) = (at, 0);
        while there < count && end < self.elements.len() {
            end += self.whole_len(end);
            there += 1;
        }
        (end, there)
    }

    /// The place of element `index`: of a full pack from whichever end is nearer.
    pub fn seek(self, index: usize) -> Option<Place> {
        let len = self.len();
        if index >= len {
            return None;
        }
        if index <= len / 2 || self.is_slim {
            return Some(Place(self.span(0, index).0));
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
        self.last().into_iter().flat_map(move |last| self.back_from(last)).map(move |place| self.get(place))
    }

    /// Shows the elements from number `index` on, forwards or backwards, until `see` has enough. Returns whether it wants
    /// more.
    pub fn visit(self, index: usize, backwards: bool, see: &mut dyn FnMut(Element<'_>) -> bool) -> bool {
        let Some(first) = self.seek(index) else { return true };
        if backwards {
            return self.back_from(first).all(|place| see(self.get(place)));
        }
        std::iter::successors(Some(first), |place| self.next(*place)).all(|place| see(self.get(place)))
    }

    /// The place of the first element with this text from `start` on; of the elements there, every `1 + skip`-th is
    /// looked at.
    #[inline]
    pub fn find(self, text: &[u8], start: Option<Place>, skip: usize) -> Option<Place> {
        let wanted = Element::of(text);
        // Short texts and small integers are told apart from it by their first bytes, but for texts of its length.
        let mark = match wanted {
            Element::Int(number @ 0..=127) => number as u8,
            Element::Bytes(text) if text.len() < 64 => TEXT_6 | text.len() as u8,
            _ => END,
        };
        let mut at = start?.0;
        loop {
            let first = self.elements[at];
            // Not by a call, which may read more than is compared, and with that a line of memory that was not asked for.
            let is_wanted = || match (self.get(Place(at)), wanted) {
                (Element::Bytes(there), Element::Bytes(text)) => same(there, text),
                (there, wanted) => there == wanted,
            };
            if (first == mark || first >= INT_13) && is_wanted() {
                return Some(Place(at));
            }
            for _ in 0..=skip {
                at += self.whole_len(at);
                if at >= self.elements.len() {
                    return None;
                }
            }
        }
    }
}

/// Places backwards.
pub struct Back<'a> {
    pack: Packed<'a>,
    next: Option<Place>,
    /// The places in a slim pack, in order, from reading it forwards.
    noted: [u8; SLIM_MAX],
    /// How many of them are still to come.
    left: usize,
}

impl Iterator for Back<'_> {
    type Item = Place;

    fn next(&mut self) -> Option<Place> {
        let place = self.next?;
        self.next = if !self.pack.is_slim {
            self.pack.previous(place)
        } else if self.left > 0 {
            self.left -= 1;
            Some(Place(usize::from(self.noted[self.left])))
        } else {
            None
        };
        Some(place)
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
