//! HOT PATH. A long list: packs of neighbouring elements in order. Elements too big for a pack have a node to themselves,
//! and nodes far from both ends may be kept compressed. Where they are not, one that another end went past is folded:
//! it is read as it is then, and opened when it is changed or becomes an end again. Any one thread.
//!
//! ```text
//!   | pack | pack | squeezed | squeezed | plain | squeezed | pack | pack |      with a depth of 2
//!   | pack | folded | folded | folded | plain | pack | folded | pack |          with a depth of 0, one changed since
//! ```
//!
//! What is inside a node is reached from the nearer end, node by node; the nodes' descriptions lie side by side, so that
//! this walk reads little memory.

#![forbid(unsafe_code)]

use std::collections::VecDeque;

use super::list_node::Node;
use super::listpack::{BYTES_MAX, Element, Listpack};
use super::packed::Packed;

/// The sizes that fills of -1 to -5 stand for, in bytes.
const FILL_BYTES: [usize; 5] = [4096, 8192, 16_384, 32_768, 65_536];
/// The biggest fill that counts elements.
const FILL_COUNT_MAX: i32 = 32_767;
/// Bytes of a pack that is bounded by a count of elements.
const COUNTED_BYTES_MAX: usize = 8192;
/// What two packs have twice: the bytes at their beginning and their end.
const MERGE_SAVES: usize = 7;
/// The nodes of a list grow by this part, so that few of a long list's places for nodes are empty.
const GROWTH_PART: usize = 8;

/// From so many nodes on a new one at an end has all the room that it may fill: then that is a small part of what the list
/// takes, and the pack is not moved each time that it grows.
const LONG_NODES: usize = 32;

/// When a pack is full, and how many nodes at either end are never compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Elements of a pack, or from -1 to -5 a size: the parameter `list-max-listpack-size`.
    pub fill: i32,
    /// Nodes at either end; 0 turns compression off: the parameter `list-compress-depth`.
    pub depth: u32,
    /// Bytes from which on a text is too big for a pack; 0: what `fill` says. Tests set it.
    pub large_min: u32,
}

impl Limits {
    #[inline]
    fn bytes_max(self) -> Option<usize> {
        (self.fill < 0).then(|| FILL_BYTES[(self.fill.unsigned_abs() as usize - 1).min(FILL_BYTES.len() - 1)])
    }

    fn count_max(self) -> usize {
        self.fill.clamp(1, FILL_COUNT_MAX) as usize
    }

    /// Whether a pack of so many bytes and elements is too big.
    #[inline]
    pub fn exceeded(self, bytes: usize, count: usize) -> bool {
        match self.bytes_max() {
            Some(max) => bytes > max,
            None => bytes > COUNTED_BYTES_MAX || count > self.count_max(),
        }
    }

    /// Whether a pack of so many bytes and elements is small enough to be kept without a list around it: half of what it
    /// may grow to, so that a list at the edge does not change back and forth.
    pub fn fits_half(self, bytes: usize, count: usize) -> bool {
        match self.bytes_max() {
            Some(max) => bytes <= max / 2,
            None => count <= self.count_max() / 2,
        }
    }

    /// Whether a text is too big for any pack.
    #[inline]
    pub(super) fn is_large(self, len: usize) -> bool {
        if self.large_min > 0 {
            return len >= self.large_min as usize;
        }
        len > self.bytes_max().unwrap_or(COUNTED_BYTES_MAX)
    }
}

/// What DEBUG OBJECT tells of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// How many nodes there are.
    pub nodes: usize,
    /// How many of them are compressed.
    pub squeezed: usize,
    /// Bytes of all nodes before compression.
    pub raw_bytes: usize,
}

/// The list.
#[derive(Clone)]
pub struct Quicklist {
    nodes: VecDeque<Node>,
    len: usize,
    limits: Limits,
}

impl Quicklist {
    /// An empty one.
    pub fn new(limits: Limits) -> Quicklist {
        Quicklist { nodes: VecDeque::new(), len: 0, limits }
    }

    /// One with the elements of a pack.
    pub fn from_pack(pack: Listpack, limits: Limits) -> Quicklist {
        let mut list = Quicklist::new(limits);
        list.push_pack(pack);
        list
    }

    /// Adds a whole pack at the end: from a snapshot, or from a list that grew.
    pub fn push_pack(&mut self, pack: Listpack) {
        if !pack.is_empty() {
            self.len += pack.len();
            self.add_last(Node::Pack(pack.into()));
        }
    }

    /// Adds a node at the end for one element, however small: from a snapshot.
    pub fn push_plain(&mut self, text: &[u8]) {
        self.len += 1;
        self.add_last(Node::Plain(text.into()));
    }

    /// From now on other texts are too big for packs: see [`Limits::large_min`].
    #[inline]
    pub fn set_large_min(&mut self, large_min: u32) {
        self.limits.large_min = large_min;
    }

    /// The pack that holds everything, where that is one and small.
    #[inline]
    pub fn as_small_pack(&self, limits: Limits) -> Option<Packed<'_>> {
        if self.nodes.len() != 1 {
            return None;
        }
        let Some(Node::Pack(pack)) = self.nodes.front() else { return None };
        let pack = pack.read();
        limits.fits_half(pack.bytes_len(), pack.len()).then_some(pack)
    }

    /// The pack that holds everything, where that is one and not too big.
    pub fn as_only_pack(&self, limits: Limits) -> Option<Packed<'_>> {
        let Some(Node::Pack(pack)) = self.nodes.front() else { return None };
        let pack = pack.read();
        (self.nodes.len() == 1 && !limits.exceeded(pack.bytes_len(), pack.len())).then_some(pack)
    }

    /// How many elements there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// When its packs are full.
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Bytes of all its allocations.
    pub fn memory_usage(&self) -> usize {
        self.nodes.capacity() * size_of::<Node>() + self.nodes.iter().map(Node::memory_usage).sum::<usize>()
    }

    /// Drops up to `work` nodes with all that is in them. Returns what is left of `work`.
    pub fn drop_some(&mut self, work: usize) -> usize {
        let nodes = work.min(self.nodes.len());
        let dropped = self.nodes.drain(self.nodes.len() - nodes..);
        self.len -= dropped.map(|node| node.count()).sum::<usize>();
        work - nodes
    }

    /// How many nodes there are.
    pub fn nodes_len(&self) -> usize {
        self.nodes.len()
    }

    /// How it is laid out.
    pub fn shape(&self) -> Shape {
        let squeezed = self.nodes.iter().filter(|node| node.is_squeezed()).count();
        Shape { nodes: self.nodes.len(), squeezed, raw_bytes: self.nodes.iter().map(Node::raw_len).sum() }
    }

    /// Shows each node's bytes in order, and whether they are one big element instead of a pack.
    pub fn each_node(&self, mut see: impl FnMut(&[u8], bool)) {
        for node in &self.nodes {
            let opened = node.opened();
            match opened.as_ref().unwrap_or(node) {
                Node::Pack(pack) => see(pack.as_bytes(), false),
                Node::Plain(text) => see(text, true),
                Node::Squeezed(_) | Node::Folded(_) => unreachable!("it was opened"),
            }
        }
    }

    /// Adds a node at the end.
    fn add_last(&mut self, node: Node) {
        self.reserve_node();
        self.nodes.push_back(node);
        let last = self.nodes.len() - 1;
        self.passed(last.saturating_sub(1));
        self.settle(last);
    }

    /// Adds a node at the front.
    fn add_first(&mut self, node: Node) {
        self.reserve_node();
        self.nodes.push_front(node);
        self.passed(1);
        self.settle(0);
    }

    /// The room of a new node at an end.
    fn end_room(&self) -> usize {
        let room = self.limits.bytes_max().map_or(0, |max| max.min(COUNTED_BYTES_MAX));
        if self.nodes.len() < LONG_NODES { 0 } else { room }
    }

    fn reserve_node(&mut self) {
        if self.nodes.len() == self.nodes.capacity() {
            self.nodes.reserve_exact(self.nodes.len() / GROWTH_PART + 1);
        }
    }

    /// Node `at` was an end and may be none any more.
    fn passed(&mut self, at: usize) {
        if self.limits.depth == 0 && at > 0 && at + 1 < self.nodes.len() {
            self.nodes[at].fold();
        }
    }

    /// The node that holds element `index`, and its index there.
    fn locate(&self, index: usize) -> Option<(usize, usize)> {
        if index >= self.len {
            return None;
        }
        if index <= self.len / 2 {
            let mut left = index;
            for (at, node) in self.nodes.iter().enumerate() {
                let count = node.count();
                if left < count {
                    return Some((at, left));
                }
                left -= count;
            }
        } else {
            let mut end = self.len;
            for (at, node) in self.nodes.iter().enumerate().rev() {
                let start = end - node.count();
                if index >= start {
                    return Some((at, index - start));
                }
                end = start;
            }
        }
        None
    }

    /// Shows the elements from `index` on, forwards or backwards, until `see` has enough.
    pub fn visit(&self, index: usize, backwards: bool, see: &mut dyn FnMut(Element<'_>) -> bool) {
        let Some((first, within)) = self.locate(index) else { return };
        if backwards {
            let mut start = self.nodes[first].count() - 1 - within;
            for node in self.nodes.range(..=first).rev() {
                if !node.visit(start, true, see) {
                    return;
                }
                start = 0;
            }
        } else {
            let mut start = within;
            for node in self.nodes.range(first..) {
                if !node.visit(start, false, see) {
                    return;
                }
                start = 0;
            }
        }
    }

    /// Adds an element at the end.
    pub fn push_back(&mut self, text: &[u8]) {
        self.len += 1;
        if let Some(last) = self.nodes.back_mut()
            && last.takes(text, self.limits)
        {
            last.open();
            if let Node::Pack(pack) = last {
                return pack.push_back(text);
            }
        }
        self.add_last(Node::in_room(text, self.limits, self.end_room(), false));
    }

    /// Adds an element at the front.
    pub fn push_front(&mut self, text: &[u8]) {
        self.len += 1;
        if let Some(first) = self.nodes.front_mut()
            && first.takes(text, self.limits)
        {
            first.open();
            if let Node::Pack(pack) = first {
                return pack.push_front(text);
            }
        }
        self.add_first(Node::in_room(text, self.limits, self.end_room(), true));
    }

    /// Adds an element in front of number `pivot`, or behind it. Returns whether there is such an element.
    pub fn insert_beside(&mut self, pivot: usize, behind: bool, text: &[u8]) -> bool {
        let Some((at, within)) = self.locate(pivot) else { return false };
        self.len += 1;
        let (node, large) = (&self.nodes[at], self.limits.is_large(text.len()));
        // The node on the other side of the new element, where that comes first or last in its own.
        let is_end = if behind { within + 1 == node.count() } else { within == 0 };
        let beyond = if behind { Some(at + 1) } else { at.checked_sub(1) };
        let beyond =
            beyond.filter(|beyond| is_end && self.nodes.get(*beyond).is_some_and(|n| n.takes(text, self.limits)));
        if node.takes(text, self.limits) {
            self.insert_in(at, within + usize::from(behind), text);
            self.settle(at);
        } else if let Some(beyond) = beyond {
            let end = if behind { 0 } else { self.nodes[beyond].count() };
            self.insert_in(beyond, end, text);
            self.settle(beyond);
        } else if is_end || node.is_plain() {
            self.nodes.insert(at + usize::from(behind), Node::of(text, self.limits));
            self.settle(at + usize::from(behind));
        } else {
            let second = self.split(at, within + usize::from(behind));
            if large {
                self.nodes.insert(second, Node::of(text, self.limits));
                (at..(second + 2).min(self.nodes.len())).for_each(|at| self.settle(at));
            } else if behind {
                self.insert_in(second, 0, text);
                self.merge_around(at);
            } else {
                let end = self.nodes[at].count();
                self.insert_in(at, end, text);
                self.merge_around(second);
            }
        }
        true
    }

    /// Adds an element to a node, which takes it.
    fn insert_in(&mut self, at: usize, within: usize, text: &[u8]) {
        let node = &mut self.nodes[at];
        node.open();
        let Node::Pack(pack) = node else { return };
        match pack.read().seek(within) {
            Some(place) => pack.insert_before(place, text),
            None => pack.push_back(text),
        }
    }

    /// Parts a node in two, in front of element `within` of it. Returns where the second is.
    fn split(&mut self, at: usize, within: usize) -> usize {
        let node = &mut self.nodes[at];
        node.open();
        if let Node::Pack(pack) = node
            && let Some(place) = pack.read().seek(within)
        {
            let tail = pack.split_off(place);
            self.nodes.insert(at + 1, Node::Pack(tail));
        }
        at + 1
    }

    /// Called after a node was split: it and its neighbours become fewer nodes where they fit into them. As in Redis first
    /// the two in front of it, then the two behind it, then what is in front joins it, and what is behind.
    fn merge_around(&mut self, middle: usize) {
        let mut middle = middle;
        if middle >= 2 && self.merge(middle - 2) {
            middle -= 1;
        }
        self.merge(middle + 1);
        if middle >= 1 && self.merge(middle - 1) {
            middle -= 1;
        }
        self.merge(middle);
        for at in middle.saturating_sub(2)..(middle + 3).min(self.nodes.len()) {
            self.settle(at);
        }
    }

    /// Joins a node and the next one, where there are such and both fit into one.
    fn merge(&mut self, at: usize) -> bool {
        let (Some(first), Some(second)) = (self.nodes.get(at), self.nodes.get(at + 1)) else { return false };
        let bytes = (first.raw_len() + second.raw_len()).saturating_sub(MERGE_SAVES);
        if first.is_plain() || second.is_plain() || self.limits.exceeded(bytes, first.count() + second.count()) {
            return false;
        }
        let Some(mut second) = self.nodes.remove(at + 1) else { return false };
        let first = &mut self.nodes[at];
        first.open();
        second.open();
        if let (Node::Pack(pack), Node::Pack(more)) = (first, &second) {
            pack.append(more.read());
        }
        true
    }

    /// Puts another element in the place of number `index`. Returns whether there is one. As in Redis a pack may become
    /// larger than its limits by that.
    pub fn replace(&mut self, index: usize, text: &[u8]) -> bool {
        let Some((at, within)) = self.locate(index) else { return false };
        let node = &mut self.nodes[at];
        if node.is_plain() && self.limits.is_large(text.len()) {
            *node = Node::Plain(text.into());
            self.settle(at);
            return true;
        }
        node.open();
        if let Node::Pack(pack) = node
            && !self.limits.is_large(text.len())
            && pack.read().bytes_len() + text.len() < BYTES_MAX
            && let Some(place) = pack.read().seek(within)
        {
            pack.replace(place, text);
            self.settle(at);
            return true;
        }
        self.insert_beside(index, true, text);
        self.remove(index, 1);
        // Where nothing is left in front of it in its node, that was removed, and Redis joins nothing.
        if let Some((at, _)) = self.locate(index).filter(|_| within > 0) {
            self.merge_around(at);
        }
        true
    }

    /// Removes up to `count` elements from `index` on.
    pub fn remove(&mut self, index: usize, count: usize) {
        let Some((mut at, mut within)) = self.locate(index) else { return };
        let mut left = count.min(self.len - index);
        self.len -= left;
        while left > 0 {
            let here = self.nodes[at].count() - within;
            if within == 0 && left >= here {
                self.nodes.remove(at);
                left -= here;
                continue;
            }
            let node = &mut self.nodes[at];
            node.open();
            if let Node::Pack(pack) = node
                && let Some(place) = pack.read().seek(within)
            {
                pack.remove_many(place, left);
            }
            left -= left.min(here);
            self.settle(at);
            at += 1;
            within = 0;
        }
        self.settle(at.min(self.nodes.len()));
    }

    /// Removes elements with this text: the first `max`, from the end if `backwards`. Returns how many.
    pub fn remove_equal(&mut self, text: &[u8], max: usize, backwards: bool) -> usize {
        let mut removed = 0;
        let mut at = if backwards { self.nodes.len() } else { 0 };
        while removed < max {
            if backwards {
                let Some(before) = at.checked_sub(1) else { break };
                at = before;
            } else if at == self.nodes.len() {
                break;
            }
            removed += self.nodes[at].remove_equal(text, max - removed, backwards);
            if self.nodes[at].count() == 0 {
                self.nodes.remove(at);
            } else {
                self.settle(at);
                at += usize::from(!backwards);
            }
        }
        self.len -= removed;
        self.settle(self.nodes.len());
        removed
    }

    /// Takes the last element out, after `see` saw it.
    #[inline]
    pub fn pop_back<R>(&mut self, see: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        let (seen, was_only) = self.nodes.back_mut()?.pop(true, see)?;
        self.len -= 1;
        if was_only {
            self.nodes.pop_back();
            self.settle(self.nodes.len());
        }
        Some(seen)
    }

    /// Takes the first element out, after `see` saw it.
    #[inline]
    pub fn pop_front<R>(&mut self, see: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        let (seen, was_only) = self.nodes.front_mut()?.pop(false, see)?;
        self.len -= 1;
        if was_only {
            self.nodes.pop_front();
            self.settle(self.nodes.len());
        }
        Some(seen)
    }

    /// Called after node `at` was made, changed or removed: the nodes at the ends are open, it and those that may have
    /// moved away from an end are compressed.
    fn settle(&mut self, at: usize) {
        let (depth, len) = (self.limits.depth as usize, self.nodes.len());
        for from_end in 0..depth.max(1).min(len) {
            self.nodes[from_end].open();
            self.nodes[len - 1 - from_end].open();
        }
        if depth == 0 || len == 0 {
            return;
        }
        // One change moves a node at most two places away from an end.
        let near = [depth, depth + 1, (len - 1).wrapping_sub(depth), (len - 1).wrapping_sub(depth + 1), at];
        for at in near.into_iter().filter(|at| (depth..len.saturating_sub(depth)).contains(at)) {
            self.nodes[at].squeeze();
        }
    }
}

impl std::fmt::Debug for Quicklist {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut list = out.debug_list();
        self.visit(0, false, &mut |element| {
            list.entry(&element);
            true
        });
        list.finish()
    }
}

#[cfg(test)]
#[path = "quicklist_tests.rs"]
mod tests;
