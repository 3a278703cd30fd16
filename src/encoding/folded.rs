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
    END, Element, HEADER, INT_13, INT_16, INT_24, INT_32, Packed, PackedMut, TEXT_6, TEXT_12, TEXT_32, back_len,
    integer, roomy, write_back,
};

/// After so many elements it is seen whether folding is worth going on.
const PROBED: usize = 64;
/// The most elements of a run.
const RUN_MAX: usize = u8::MAX as usize;

/// What the elements of a run have in common.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Kind {
    /// The head's bytes, as far as they are kept once.
    head: [u8; 5],
    head_len: u8,
    /// Bytes of an element that are kept for each.
    stride: u32,
}

impl Kind {
    /// The kind of the element, or the run, that begins with these bytes.
    #[inline]
    fn of(bytes: &[u8]) -> Kind {
        let first = bytes[0];
        let kind = |stride: usize| Kind { head: [first, 0, 0, 0, 0], head_len: 1, stride: stride as u32 };
        match first {
            0..TEXT_6 => Kind { head: [0; 5], ..kind(1) },
            TEXT_6..INT_13 => kind(usize::from(first & 0x3f)),
            INT_13..TEXT_12 => Kind { head: [INT_13, 0, 0, 0, 0], ..kind(2) },
            TEXT_12..TEXT_32 => {
                let len = u32::from(first & 0x0f) << 8 | u32::from(bytes[1]);
                Kind { head: [first, bytes[1], 0, 0, 0], head_len: 2, stride: len }
            }
            TEXT_32 => {
                let len = [bytes[1], bytes[2], bytes[3], bytes[4]];
                Kind { head: [first, len[0], len[1], len[2], len[3]], head_len: 5, stride: u32::from_le_bytes(len) }
            }
            INT_16 => kind(2),
            INT_24 => kind(3),
            INT_32 => kind(4),
            _ => kind(8),
        }
    }

    /// The bytes of the head that each element has in a pack.
    fn own_head(&self) -> &[u8] {
        match self.head[0] {
            0 | INT_13 => &[],
            _ => &self.head[..usize::from(self.head_len)],
        }
    }
}

/// A pack in fewer bytes, where the allocator would notice.
pub(super) fn fold(pack: Packed<'_>) -> Option<Box<[u8]>> {
    let bytes = pack.as_bytes();
    let mut folded: Vec<u8> = Vec::with_capacity(bytes.len());
    let (mut at, mut seen) = (HEADER, 0);
    let (mut kind, mut count_at) = (None, 0);
    while bytes[at] != END {
        let this = Kind::of(&bytes[at..]);
        if kind != Some(this) || usize::from(folded[count_at]) == RUN_MAX {
            kind = Some(this);
            folded.extend_from_slice(&this.head[..usize::from(this.head_len)]);
            count_at = folded.len();
            folded.push(0);
        }
        folded[count_at] += 1;
        let body = this.own_head().len() + this.stride as usize;
        folded.extend_from_slice(&bytes[at + body - this.stride as usize..at + body]);
        at += body + back_len(body);
        seen += 1;
        if seen == PROBED && folded.len() * 8 > (at - HEADER) * 7 {
            return None;
        }
    }
    (roomy(folded.len()) < roomy(bytes.len())).then(|| folded.into())
}

/// The bytes of the pack that was folded: so many, with so many elements.
pub(super) fn unfold(folded: &[u8], size: usize, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; size];
    let mut at = HEADER;
    for run in runs(folded) {
        let head = run.kind.own_head();
        for index in 0..run.count {
            let own = run.own(index);
            let body = head.len() + own.len();
            let end = at + body + back_len(body);
            bytes[at..at + head.len()].copy_from_slice(head);
            bytes[at + head.len()..at + body].copy_from_slice(own);
            write_back(&mut bytes[at + body..end], body);
            at = end;
        }
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
        match self.kind.head[0] {
            TEXT_6..INT_13 | TEXT_12..=TEXT_32 => Element::Bytes(own),
            0 | INT_13 => Element::Int(integer(own)),
            _ => {
                let mut whole = [self.kind.head[0], 0, 0, 0, 0, 0, 0, 0, 0];
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
                prop_assert_eq!(unfold(&folded, pack.bytes_len(), pack.len()), pack.as_bytes());
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
