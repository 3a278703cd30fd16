//! A pack in fewer bytes, to be read but not to be changed: neighbours of one kind share what their heads say, and nothing
//! tells how to read backwards. That is a fifth less for texts of eight bytes, a third less for big integers. Any one
//! thread.
//!
//! ```text
//!   | run | run | ...
//!
//!   a run               | head without integer | elements: u8 | text or integer of each |
//! ```
//!
//! Heads are those of [`super::packed`]; one of 0 stands for all integers from 0 to 127, one of 0xc0 for all of 13 bits.

#![forbid(unsafe_code)]

use super::packed::{
    END, Element, HEADER, INT_13, INT_16, INT_24, INT_32, Packed, TEXT_6, TEXT_12, TEXT_32, back_len, integer, roomy,
    write_back,
};
use super::packed_mut::PackedMut;
use crate::base::copy::copy;

/// After so many elements it is seen whether folding is worth going on.
const PROBED: usize = 64;
/// The most elements of a run.
const RUN_MAX: usize = u8::MAX as usize;

/// What the elements of a run have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    /// The head's bytes, as far as they are kept once, the first one lowest. In a word, which is compared and kept at hand
    /// where an array would be put together in memory for each element.
    head: u64,
    head_len: u8,
    /// Bytes of an element that are kept for each.
    stride: u32,
}

impl Kind {
    /// The kind of the element, or the run, that begins with these bytes.
    #[inline]
    fn of(bytes: &[u8]) -> Kind {
        let first = bytes[0];
        let kind = |stride: usize| Kind { head: u64::from(first), head_len: 1, stride: stride as u32 };
        match first {
            0..TEXT_6 => Kind { head: 0, ..kind(1) },
            TEXT_6..INT_13 => kind(usize::from(first & 0x3f)),
            INT_13..TEXT_12 => Kind { head: u64::from(INT_13), ..kind(2) },
            TEXT_12..TEXT_32 => {
                let len = usize::from(first & 0x0f) << 8 | usize::from(bytes[1]);
                Kind { head: u64::from(first) | u64::from(bytes[1]) << 8, head_len: 2, ..kind(len) }
            }
            TEXT_32 => {
                let len = u32::from_le_bytes([bytes[1], bytes[2], bytes[3], bytes[4]]);
                Kind { head: u64::from(first) | u64::from(len) << 8, head_len: 5, stride: len }
            }
            INT_16 => kind(2),
            INT_24 => kind(3),
            INT_32 => kind(4),
            _ => kind(8),
        }
    }

    /// Whether the element that begins with these bytes is of this kind. The end of a pack is of none.
    #[inline]
    fn covers(&self, bytes: &[u8]) -> bool {
        let first = bytes[0];
        match self.mark() {
            0 => first < TEXT_6,
            INT_13 => (INT_13..TEXT_12).contains(&first),
            mark => first == mark && (self.head_len == 1 || Kind::of(bytes) == *self),
        }
    }

    /// The first byte of the head.
    #[inline]
    fn mark(&self) -> u8 {
        self.head as u8
    }

    /// How many bytes of the head each element has in a pack.
    #[inline]
    fn own_head(&self) -> usize {
        match self.mark() {
            0 | INT_13 => 0,
            _ => usize::from(self.head_len),
        }
    }

    /// Writes the element with these bytes of its own as it is in a pack, to as many bytes as it has there.
    #[inline]
    fn write(&self, out: &mut [u8], own: &[u8]) {
        let (head, body) = (self.own_head(), self.own_head() + own.len());
        copy(&mut out[head..body], own);
        match head {
            0 => {}
            1 => out[0] = self.mark(),
            _ => out[..head].copy_from_slice(&self.head.to_le_bytes()[..head]),
        }
        write_back(&mut out[body..], body);
    }
}

/// A pack in fewer bytes, where the allocator would notice.
pub(super) fn fold(pack: Packed<'_>) -> Option<Box<[u8]>> {
    let (bytes, size) = (pack.elements(), pack.bytes_len());
    let mut folded: Vec<u8> = Vec::with_capacity(size);
    let (mut at, mut seen) = (0, 0);
    while at < bytes.len() {
        let kind = Kind::of(&bytes[at..]);
        let stride = kind.stride as usize;
        let body = kind.own_head() + stride;
        let whole = body + back_len(body);
        // Those that are not of this kind may have another length, but nothing behind the first of them is looked at.
        let count = bytes[at..].chunks(whole).take(RUN_MAX).take_while(|element| kind.covers(element)).count();
        folded.extend_from_slice(&kind.head.to_le_bytes()[..usize::from(kind.head_len)]);
        folded.push(count as u8);
        let start = folded.len();
        folded.resize(start + count * stride, 0);
        for (own, element) in folded[start..].chunks_exact_mut(stride.max(1)).zip(bytes[at..].chunks_exact(whole)) {
            copy(own, &element[body - stride..body]);
        }
        at += count * whole;
        if seen < PROBED && seen + count >= PROBED && folded.len() * 8 > at * 7 {
            return None;
        }
        seen += count;
    }
    (roomy(folded.len()) < roomy(size)).then(|| folded.into())
}

/// The bytes of the pack that was folded: so many, with so many elements.
pub(super) fn unfold(folded: &[u8], size: usize, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let mut at = HEADER;
    for run in runs(folded) {
        let body = run.kind.own_head() + run.kind.stride as usize;
        let whole = body + back_len(body);
        for (index, element) in bytes[at..].chunks_exact_mut(whole).take(run.count).enumerate() {
            run.kind.write(element, run.own(index));
        }
        at += run.count * whole;
    }
    bytes[at] = END;
    let mut pack = PackedMut::new(&mut bytes);
    pack.set_size(at + 1);
    pack.set_count(count);
    bytes
}

struct Run<'a> {
    kind: Kind,
    count: usize,
    items: &'a [u8],
}

impl<'a> Run<'a> {
    #[inline]
    fn own(&self, index: usize) -> &'a [u8] {
        let stride = self.kind.stride as usize;
        &self.items[index * stride..(index + 1) * stride]
    }

    #[inline]
    fn get(&self, index: usize) -> Element<'a> {
        let own = self.own(index);
        match self.kind.mark() {
            TEXT_6..INT_13 | TEXT_12..=TEXT_32 => Element::Bytes(own),
            0 | INT_13 => Element::Int(integer(own)),
            _ => {
                let mut whole = [self.kind.mark(), 0, 0, 0, 0, 0, 0, 0, 0];
                whole[1..=own.len()].copy_from_slice(own);
                Element::Int(integer(&whole))
            }
        }
    }

    /// Shows the elements from `index` on, forwards or backwards, until `see` has enough. Returns whether it wants more.
    fn visit(&self, index: usize, backwards: bool, see: &mut dyn FnMut(Element<'_>) -> bool) -> bool {
        if backwards {
            (0..=index).rev().all(|index| see(self.get(index)))
        } else {
            (index..self.count).all(|index| see(self.get(index)))
        }
    }
}

fn runs(mut folded: &[u8]) -> impl Iterator<Item = Run<'_>> {
    std::iter::from_fn(move || {
        if folded.is_empty() {
            return None;
        }
        let kind = Kind::of(folded);
        let (head, count) = (usize::from(kind.head_len), usize::from(folded[usize::from(kind.head_len)]));
        let (items, rest) = folded[head + 1..].split_at(kind.stride as usize * count);
        folded = rest;
        Some(Run { kind, count, items })
    })
}

/// Shows the elements from number `index` on, forwards or backwards, until `see` has enough. Returns whether it wants more.
pub(super) fn visit(folded: &[u8], index: usize, backwards: bool, see: &mut dyn FnMut(Element<'_>) -> bool) -> bool {
    let mut index = index;
    let mut passed = Vec::new();
    for run in runs(folded) {
        let within = index.min(run.count);
        index -= within;
        if within < run.count {
            if !run.visit(within, backwards, see) {
                return false;
            }
            if backwards {
                return passed.iter().rev().all(|run: &Run<'_>| run.visit(run.count - 1, true, see));
            }
        } else if backwards {
            passed.push(run);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::listpack::Listpack;
    use proptest::prelude::*;

    fn text() -> impl Strategy<Value = Vec<u8>> {
        let edge = |power: u32| (-2i64..=2).prop_map(move |step| ((1i64 << power) + step).to_string().into_bytes());
        prop_oneof![
            2 => (0u32..63).prop_flat_map(edge),
            1 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
            2 => prop::collection::vec(any::<u8>(), 0..4),
            1 => prop::sample::select(vec![62usize, 63, 64, 125, 126, 127, 4094, 4095, 4096]).prop_map(|len| vec![b'x'; len]),
        ]
    }

    /// Visits from `index` on, and stops after `max` elements.
    fn seen(max: usize, visit: impl FnOnce(&mut dyn FnMut(Element<'_>) -> bool) -> bool) -> (Vec<Vec<u8>>, bool) {
        let mut seen = Vec::new();
        let all = visit(&mut |element| {
            seen.push(element.to_vec());
            seen.len() < max
        });
        (seen, all)
    }

    proptest! {
        #[test]
        fn folded_packs_are_read_and_come_back(
            groups in prop::collection::vec((text(), 1usize..400), 1..8),
            picks in prop::collection::vec((any::<usize>(), any::<bool>(), 1usize..400), 1..8),
        ) {
            let mut pack = Listpack::new();
            groups.iter().for_each(|(text, times)| (0..*times).for_each(|_| pack.push_back(text)));
            if let Some(folded) = fold(pack.read()) {
                prop_assert!(roomy(folded.len()) < roomy(pack.bytes_len()));
                prop_assert_eq!(unfold(&folded, pack.bytes_len(), pack.len()), pack.to_bytes());
                for (index, backwards, max) in picks {
                    let index = index % pack.len();
                    let folded = seen(max, |see| visit(&folded, index, backwards, see));
                    prop_assert_eq!(folded, seen(max, |see| pack.read().visit(index, backwards, see)));
                }
            }
        }
    }

    #[test]
    fn neighbours_of_one_kind_are_folded_and_others_are_not() {
        let pack = |texts: &mut dyn Iterator<Item = String>| {
            let mut pack = Listpack::new();
            texts.for_each(|text| pack.push_back(text.as_bytes()));
            pack
        };
        let even = pack(&mut (0..800).map(|number| format!("m{number:07}")));
        assert_eq!(fold(even.read()).map(|folded| folded.len()), Some(800 * 8 + 4 * 2));
        let integers = pack(&mut (0..800).map(|number| (number + 100_000_000).to_string()));
        assert_eq!(fold(integers.read()).map(|folded| folded.len()), Some(800 * 4 + 4 * 2));
        let odd = pack(&mut (0..800).map(|number| "x".repeat(10 + number % 2)));
        assert!(fold(odd.read()).is_none());
    }
}
