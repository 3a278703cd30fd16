//! HOT PATH. A node of a long list: a pack whose allocation may have room on both sides of it, so that elements come and
//! go at either end and nothing else moves. Any one thread.
//!
//! ```text
//!   | free | header | element | ... | element | 0xff | free |
//! ```

#![forbid(unsafe_code)]

use super::listpack::Listpack;
use super::packed::{END, Element, HEADER, Packed, Place, is_sound, roomy};
use super::packed_mut::{Encoded, PackedMut};

/// The pack.
#[derive(Clone)]
pub(super) struct NodePack {
    bytes: Box<[u8]>,
    /// Where it begins.
    start: u32,
}

impl From<Listpack> for NodePack {
    fn from(pack: Listpack) -> NodePack {
        NodePack { bytes: pack.into_allocation(), start: 0 }
    }
}

impl NodePack {
    pub(super) fn new() -> NodePack {
        NodePack::from(Listpack::new())
    }

    /// One with this element, and with so much room in all: in front of it, or behind it.
    pub(super) fn in_room(text: &[u8], room: usize, in_front: bool) -> NodePack {
        let element = Encoded::of(Element::of(text));
        let size = HEADER + element.len() + 1;
        let room = roomy(size.max(room));
        let mut pack = NodePack { bytes: vec![0; room].into(), start: if in_front { (room - size) as u32 } else { 0 } };
        pack.write().append_element(&element, HEADER + 1, 0);
        pack
    }

    /// One of bytes that this floor made.
    pub(super) fn of_sound(bytes: Vec<u8>) -> NodePack {
        debug_assert!(is_sound(&bytes));
        NodePack { bytes: bytes.into(), start: 0 }
    }

    #[inline]
    pub(super) fn read(&self) -> Packed<'_> {
        Packed::new(&self.bytes[self.start as usize..])
    }

    #[inline]
    fn write(&mut self) -> PackedMut<'_> {
        PackedMut::new(&mut self.bytes[self.start as usize..])
    }

    /// Its bytes, as a snapshot holds them.
    pub(super) fn as_bytes(&self) -> &[u8] {
        let start = self.start as usize;
        &self.bytes[start..start + self.read().bytes_len()]
    }

    /// Bytes of its allocation.
    pub(super) fn memory_usage(&self) -> usize {
        self.bytes.len()
    }

    /// Adds an element at the end.
    #[inline]
    pub(super) fn push_back(&mut self, text: &[u8]) {
        let element = Encoded::of(Element::of(text));
        let (size, count) = (self.read().bytes_len(), self.read().len());
        self.make_room_behind(element.len());
        self.write().append_element(&element, size, count);
    }

    /// Adds an element at the front.
    #[inline]
    pub(super) fn push_front(&mut self, text: &[u8]) {
        let element = Encoded::of(Element::of(text));
        let (size, count, added) = (self.read().bytes_len(), self.read().len(), element.len());
        if (self.start as usize) < added {
            self.make_room_in_front(added);
        }
        self.start -= added as u32;
        self.write().prepend(&element, size, count);
    }

    /// Adds an element in front of the one at `place`, whose place is the new one's then.
    pub(super) fn insert_before(&mut self, place: Place, text: &[u8]) {
        self.splice(place.0, 0, text, 1);
    }

    /// Puts another element in the place of one.
    pub(super) fn replace(&mut self, place: Place, text: &[u8]) {
        self.splice(place.0, self.read().whole_len(place.0), text, 0);
    }

    /// Puts another element, and the count's difference, in the place of `old` bytes at `at`.
    #[inline]
    fn splice(&mut self, at: usize, old: usize, text: &[u8], added: usize) {
        let element = Encoded::of(Element::of(text));
        self.make_room_behind(element.len().saturating_sub(old));
        self.write().splice(at, old, &element, added);
    }

    /// Takes the first or the last element out, after `see` saw it.
    #[inline]
    pub(super) fn pop<R>(&mut self, back: bool, see: impl FnOnce(Element<'_>) -> R) -> Option<R> {
        let pack = self.read();
        let place = if back { pack.last() } else { pack.first() }?;
        let seen = see(pack.get(place));
        let (size, count) = (pack.bytes_len(), pack.len());
        let len = if back { pack.elements().len() - place.0 } else { pack.whole_len(place.0) };
        if back {
            self.bytes[self.start as usize + HEADER + place.0] = END;
        } else {
            self.start += len as u32;
        }
        let mut pack = self.write();
        pack.set_size(size - len);
        pack.set_count(count - 1);
        self.shrink();
        Some(seen)
    }

    /// Removes up to `count` elements from `place` on.
    #[inline]
    pub(super) fn remove_many(&mut self, place: Place, count: usize) {
        if place.0 == 0 {
            let passed = self.write().pass(count);
            self.start += passed as u32;
        } else {
            self.write().remove_many(place, count);
        }
        self.shrink();
    }

    /// Removes elements with this text: the first `max`, from the end if `backwards`. Returns how many.
    pub(super) fn remove_equal(&mut self, text: &[u8], max: usize, backwards: bool) -> usize {
        let removed = self.write().remove_equal(text, max, backwards);
        self.shrink();
        removed
    }

    /// Cuts off everything from `place` on and returns it.
    pub(super) fn split_off(&mut self, place: Place) -> NodePack {
        let len = self.read().len();
        let elements = &self.read().elements()[place.0..];
        let mut tail = vec![0; roomy(HEADER + elements.len() + 1)];
        PackedMut::new(&mut tail).fill(elements);
        self.write().cut(place);
        PackedMut::new(&mut tail).set_count(len - self.read().len());
        self.shrink();
        NodePack { bytes: tail.into(), start: 0 }
    }

    /// Adds all elements of another pack at the end.
    pub(super) fn append(&mut self, other: Packed<'_>) {
        self.make_room_behind(other.bytes_len());
        self.write().append(other);
    }

    /// Gives back all room that it has, as far as the allocator can tell.
    pub(super) fn fit(&mut self) {
        let size = self.read().bytes_len();
        if roomy(size) < roomy(self.bytes.len()) {
            self.reallocate(size, 0);
        }
    }

    /// Gives memory back where much of it is unused.
    #[inline]
    fn shrink(&mut self) {
        let size = self.read().bytes_len();
        if size * 2 < self.bytes.len() {
            self.give_back(size);
        }
    }

    #[inline(never)]
    fn give_back(&mut self, size: usize) {
        let wanted = roomy(size);
        if wanted * 2 < self.bytes.len() {
            self.reallocate(wanted, 0);
        }
    }

    /// Makes room for so many bytes behind it.
    #[inline]
    fn make_room_behind(&mut self, wanted: usize) {
        let size = self.read().bytes_len();
        if self.start as usize + size + wanted > self.bytes.len() {
            self.get_room_behind(size, wanted);
        }
    }

    #[inline(never)]
    fn get_room_behind(&mut self, size: usize, wanted: usize) {
        let free = self.bytes.len() - size;
        if free < wanted {
            self.reallocate(roomy(size + wanted), 0);
        } else {
            self.shift(size, free - wanted.max(free - free / 2));
        }
    }

    #[inline(never)]
    fn make_room_in_front(&mut self, wanted: usize) {
        let size = self.read().bytes_len();
        let free = self.bytes.len() - size;
        if free < wanted {
            let room = roomy(size + wanted);
            self.reallocate(room, room - size);
        } else {
            self.shift(size, wanted.max(free - free / 2));
        }
    }

    /// Moves it within its allocation. Callers leave half of the room on the other side, so that elements which come at
    /// both ends in turns do not move it each time.
    fn shift(&mut self, size: usize, to: usize) {
        let from = self.start as usize;
        self.bytes.copy_within(from..from + size, to);
        self.start = to as u32;
    }

    /// Moves it to `start` of a new allocation.
    fn reallocate(&mut self, room: usize, start: usize) {
        let pack = self.as_bytes();
        assert!(room <= u32::MAX as usize, "callers bound a pack by its bytes");
        let mut bytes = vec![0; room];
        bytes[start..start + pack.len()].copy_from_slice(pack);
        *self = NodePack { bytes: bytes.into(), start: start as u32 };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[derive(Clone, Debug)]
    enum Step {
        Push(bool, Vec<u8>),
        Pop(bool),
        Cut(bool, usize),
        Insert(usize, Vec<u8>),
        Replace(usize, Vec<u8>),
        Remove(usize, usize),
        RemoveEqual(usize, usize, bool),
        SplitAndAppend(usize),
        Fit,
    }

    fn text() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            3 => (0u8..4).prop_map(|digit| vec![b'0' + digit]),
            2 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
            2 => prop::collection::vec(any::<u8>(), 0..80),
            1 => prop::sample::select(vec![63usize, 64, 126, 127, 4095, 4096]).prop_map(|len| vec![b'x'; len]),
        ]
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            6 => (any::<bool>(), text()).prop_map(|(back, text)| Step::Push(back, text)),
            2 => any::<bool>().prop_map(Step::Pop),
            2 => (any::<bool>(), 1usize..4).prop_map(|(back, count)| Step::Cut(back, count)),
            1 => (any::<usize>(), text()).prop_map(|(at, text)| Step::Insert(at, text)),
            1 => (any::<usize>(), text()).prop_map(|(at, text)| Step::Replace(at, text)),
            1 => (any::<usize>(), 0usize..8).prop_map(|(at, count)| Step::Remove(at, count)),
            1 => (any::<usize>(), 1usize..3, any::<bool>()).prop_map(|(at, max, back)| Step::RemoveEqual(at, max, back)),
            1 => any::<usize>().prop_map(Step::SplitAndAppend),
            1 => Just(Step::Fit),
        ]
    }

    fn apply(pack: &mut NodePack, model: &mut Vec<Vec<u8>>, step: Step) {
        let len = model.len();
        let place = |pack: &NodePack, at: usize| pack.read().seek(at);
        match step {
            Step::Push(true, text) => {
                pack.push_back(&text);
                model.push(text);
            }
            Step::Push(false, text) => {
                pack.push_front(&text);
                model.insert(0, text);
            }
            Step::Fit => {
                pack.fit();
                assert!(pack.memory_usage() <= roomy(pack.read().bytes_len()).max(16));
            }
            Step::Pop(back) => {
                let at = if back { len.saturating_sub(1) } else { 0 };
                let expected = (len > 0).then(|| model.remove(at));
                assert_eq!(pack.pop(back, |element| element.to_vec()), expected);
            }
            _ if len == 0 => {}
            Step::Cut(back, count) => {
                let count = count.min(len);
                let at = if back { len - count } else { 0 };
                pack.remove_many(place(pack, at).expect("the model has it"), count);
                model.drain(at..at + count);
            }
            Step::Insert(at, text) => {
                pack.insert_before(place(pack, at % len).expect("the model has it"), &text);
                model.insert(at % len, text);
            }
            Step::Replace(at, text) => {
                pack.replace(place(pack, at % len).expect("the model has it"), &text);
                model[at % len] = text;
            }
            Step::Remove(at, count) => {
                pack.remove_many(place(pack, at % len).expect("the model has it"), count);
                model.drain(at % len..(at % len + count).min(len));
            }
            Step::RemoveEqual(at, max, back) => {
                let text = model[at % len].clone();
                let mut equal: Vec<usize> = (0..len).filter(|&at| model[at] == text).collect();
                if back {
                    equal.reverse();
                }
                equal.truncate(max);
                equal.sort_unstable();
                assert_eq!(pack.remove_equal(&text, max, back), equal.len());
                equal.iter().rev().for_each(|&at| _ = model.remove(at));
            }
            Step::SplitAndAppend(at) => {
                let tail = pack.split_off(place(pack, at % len).expect("the model has it"));
                assert_eq!((pack.read().len(), tail.read().len()), (at % len, len - at % len));
                assert!(is_sound(tail.as_bytes()));
                pack.append(tail.read());
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_vector(steps in prop::collection::vec(step(), 1..120)) {
            let (mut pack, mut model) = (NodePack::new(), Vec::new());
            for step in steps {
                apply(&mut pack, &mut model, step);
                prop_assert!(is_sound(pack.as_bytes()));
                prop_assert_eq!(pack.read().len(), model.len());
                prop_assert!(pack.read().iter().map(Element::to_vec).eq(model.iter().cloned()));
            }
        }
    }

    #[test]
    fn room_is_filled_without_a_move() {
        for in_front in [false, true] {
            let mut pack = NodePack::in_room(b"first", 4096, in_front);
            assert_eq!((pack.read().len(), pack.memory_usage()), (1, 4096));
            let push = |pack: &mut NodePack, number: usize| {
                let text = number.to_string();
                if in_front { pack.push_front(text.as_bytes()) } else { pack.push_back(text.as_bytes()) }
            };
            assert_eq!(moves(&mut pack, 900, push), 0);
            assert!(is_sound(pack.as_bytes()));
            assert_eq!((pack.read().len(), pack.memory_usage()), (901, 4096));
        }
        assert_eq!(NodePack::in_room(&[b'x'; 300], 64, true).read().len(), 1);
    }

    /// How often all of it is moved while it is changed so many times.
    fn moves(pack: &mut NodePack, times: usize, mut change: impl FnMut(&mut NodePack, usize)) -> usize {
        let address = |pack: &NodePack, at: usize| {
            let place = pack.read().seek(at).expect("it has elements");
            &raw const pack.read().elements()[place.0]
        };
        let mut moves = 0;
        for time in 0..times {
            let (middle, len) = (pack.read().len() / 2, pack.read().len());
            let before = address(pack, middle);
            change(pack, time);
            // The same element may have another number now, by one.
            let near = middle.saturating_sub(1)..(middle + 2).min(pack.read().len());
            moves += usize::from(len > 2 && !near.into_iter().any(|at| address(pack, at) == before));
        }
        moves
    }

    fn pop_front(pack: &mut NodePack) {
        pack.pop(false, |_| ()).expect("it has elements");
    }

    #[test]
    fn little_moves_when_elements_come_and_go_at_the_ends() {
        let mut pack = NodePack::new();
        pack.push_back(b"an element");
        let in_front = moves(&mut pack, 800, |pack, _| pack.push_front(b"an element"));
        assert!(in_front < 50, "{in_front}");
        let at_both = moves(&mut pack, 800, |pack, time| match time % 2 {
            0 => pack.push_front(b"an element"),
            _ => pack.push_back(b"an element"),
        });
        assert!(at_both < 60, "{at_both}");
        let queue = moves(&mut pack, 10_000, |pack, _| {
            pack.push_back(b"an element");
            pop_front(pack);
        });
        assert!(queue < 500, "{queue}");
        assert_eq!(pack.read().len(), 1601);
        let taken = moves(&mut pack, 1590, |pack, _| pop_front(pack));
        assert!(taken < 30 && pack.memory_usage() < 512, "{taken}");
    }
}
