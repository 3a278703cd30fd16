//! HOT PATH. A node of a long list: a pack of neighbouring elements, or one that is too big for a pack, as they are or in
//! fewer bytes. Any one thread.

#![forbid(unsafe_code)]

use super::folded;
use super::listpack::{Element, Listpack};
use super::node_pack::NodePack;
use super::quicklist::Limits;
use crate::base::lzf;

/// What a new element may take beside its text, at a guess.
const OVERHEAD: usize = 8;
/// A node that has fewer bytes stays as it is.
const SQUEEZE_MIN: usize = 48;
/// What compression has to save at least, in bytes.
const SAVING_MIN: usize = 8;

#[derive(Clone)]
pub(super) enum Node {
    Pack(NodePack),
    /// One big element.
    Plain(Box<[u8]>),
    /// Compressed, by parameter.
    Squeezed(Squeezed),
    /// A pack that is only read.
    Folded(Folded),
}

#[derive(Clone)]
pub(super) struct Squeezed {
    bytes: Box<[u8]>,
    raw_len: u32,
    count: u32,
    plain: bool,
}

#[derive(Clone)]
pub(super) struct Folded {
    bytes: Box<[u8]>,
    raw_len: u32,
    count: u32,
}

impl Node {
    pub(super) fn of(text: &[u8], limits: Limits) -> Node {
        Node::in_room(text, limits, 0, false)
    }

    /// The same; if a pack, one with so much room in all: in front of the element, or behind it.
    pub(super) fn in_room(text: &[u8], limits: Limits, room: usize, in_front: bool) -> Node {
        if limits.is_large(text.len()) {
            return Node::Plain(text.into());
        }
        Node::Pack(NodePack::in_room(text, room, in_front))
    }

    #[inline]
    pub(super) fn count(&self) -> usize {
        match self {
            Node::Pack(pack) => pack.read().len(),
            Node::Plain(_) => 1,
            Node::Squeezed(squeezed) => squeezed.count as usize,
            Node::Folded(folded) => folded.count as usize,
        }
    }

    /// Bytes when it is as it is.
    #[inline]
    pub(super) fn raw_len(&self) -> usize {
        match self {
            Node::Pack(pack) => pack.read().bytes_len(),
            Node::Plain(text) => text.len(),
            Node::Squeezed(squeezed) => squeezed.raw_len as usize,
            Node::Folded(folded) => folded.raw_len as usize,
        }
    }

    #[inline]
    pub(super) fn is_plain(&self) -> bool {
        match self {
            Node::Pack(_) | Node::Folded(_) => false,
            Node::Plain(_) => true,
            Node::Squeezed(squeezed) => squeezed.plain,
        }
    }

    pub(super) fn is_squeezed(&self) -> bool {
        matches!(self, Node::Squeezed(_))
    }

    pub(super) fn memory_usage(&self) -> usize {
        match self {
            Node::Pack(pack) => pack.memory_usage(),
            Node::Plain(text) => text.len(),
            Node::Squeezed(squeezed) => squeezed.bytes.len(),
            Node::Folded(folded) => folded.bytes.len(),
        }
    }

    /// The node as it is, where it is in fewer bytes.
    pub(super) fn opened(&self) -> Option<Node> {
        let pack = |bytes| Listpack::from_bytes(bytes).expect("the bytes were a pack before").into();
        match self {
            Node::Pack(_) | Node::Plain(_) => None,
            Node::Folded(Folded { bytes, raw_len, count }) => {
                Some(Node::Pack(NodePack::of_sound(folded::unfold(bytes, *raw_len as usize, *count as usize))))
            }
            Node::Squeezed(squeezed) => {
                let raw = lzf::decompress(&squeezed.bytes, squeezed.raw_len as usize);
                let raw = raw.expect("a node is compressed by this file alone");
                Some(if squeezed.plain { Node::Plain(raw.into()) } else { Node::Pack(pack(raw)) })
            }
        }
    }

    #[inline]
    pub(super) fn open(&mut self) {
        if matches!(self, Node::Squeezed(_) | Node::Folded(_)) {
            self.open_closed();
        }
    }

    #[inline(never)]
    fn open_closed(&mut self) {
        if let Some(node) = self.opened() {
            *self = node;
        }
    }

    pub(super) fn squeeze(&mut self) {
        let (raw, plain) = match self {
            Node::Pack(pack) => (pack.as_bytes(), false),
            Node::Plain(text) => (&text[..], true),
            Node::Squeezed(_) | Node::Folded(_) => return,
        };
        let Ok(raw_len) = u32::try_from(raw.len()) else { return };
        if raw.len() < SQUEEZE_MIN {
            return;
        }
        if let Some(bytes) = lzf::compress(raw, raw.len() - SAVING_MIN - 1) {
            let count = self.count() as u32;
            *self = Node::Squeezed(Squeezed { bytes: bytes.into(), raw_len, count, plain });
        }
    }

    /// Called when elements will no more come to it or go: gives back what they would need.
    pub(super) fn fold(&mut self) {
        let Node::Pack(pack) = self else { return };
        let (raw_len, count) = (pack.read().bytes_len(), pack.read().len());
        match (folded::fold(pack.read()), u32::try_from(raw_len)) {
            (Some(bytes), Ok(raw_len)) => *self = Node::Folded(Folded { bytes, raw_len, count: count as u32 }),
            _ => pack.fit(),
        }
    }

    /// Whether a text may be added to this node.
    #[inline]
    pub(super) fn takes(&self, text: &[u8], limits: Limits) -> bool {
        if limits.is_large(text.len()) {
            return false;
        }
        // Seen first: mostly elements are added to a pack.
        match self {
            Node::Pack(pack) => {
                let pack = pack.read();
                !limits.exceeded(pack.bytes_len() + text.len() + OVERHEAD, pack.len() + 1)
            }
            _ => self.reopens_for(text, limits),
        }
    }

    #[inline(never)]
    fn reopens_for(&self, text: &[u8], limits: Limits) -> bool {
        !self.is_plain() && !limits.exceeded(self.raw_len() + text.len() + OVERHEAD, self.count() + 1)
    }

    /// Shows the elements from `start` on (counted from the end if `backwards`) until `see` has enough. Returns whether
    /// it wants more.
    pub(super) fn visit(&self, start: usize, backwards: bool, see: &mut dyn FnMut(Element<'_>) -> bool) -> bool {
        let index = if backwards { self.count() - 1 - start } else { start };
        match self {
            Node::Plain(text) => see(Element::Bytes(text)),
            Node::Squeezed(_) => self.opened().is_none_or(|node| node.visit(start, backwards, see)),
            Node::Folded(folded) => folded::visit(&folded.bytes, index, backwards, see),
            Node::Pack(pack) => pack.read().visit(index, backwards, see),
        }
    }

    /// Removes elements with this text: the first `max`, from the end if `backwards`. Returns how many.
    pub(super) fn remove_equal(&mut self, text: &[u8], max: usize, backwards: bool) -> usize {
        let wanted = Element::of(text);
        let mut there = false;
        self.visit(0, false, &mut |element| {
            there = element == wanted;
            !there
        });
        if !there {
            return 0;
        }
        self.open();
        match self {
            Node::Pack(pack) => pack.remove_equal(text, max, backwards),
            // An empty pack stands for nothing until the caller removes it.
            _ => {
                *self = Node::Pack(NodePack::new());
                1
            }
        }
    }

    /// Takes the first or the last element out, after `see` saw it. Returns also whether it was the only one.
    #[inline]
    pub(super) fn pop<R>(&mut self, back: bool, see: impl FnOnce(Element<'_>) -> R) -> Option<(R, bool)> {
        self.open();
        match self {
            Node::Pack(pack) => {
                let seen = pack.pop(back, see)?;
                Some((seen, pack.read().is_empty()))
            }
            Node::Plain(text) => Some((see(Element::Bytes(text)), true)),
            Node::Squeezed(_) | Node::Folded(_) => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_four_words() {
        assert_eq!(size_of::<Node>(), 32);
    }
}
