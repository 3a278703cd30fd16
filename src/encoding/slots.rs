//! HOT PATH. What numbers stand for: members of a big sorted set with their scores, each found by its id. Any one thread.
//!
//! Slots lie in chunks, so that growth never copies one. A chunk without a member keeps no memory, and the last chunks go
//! when they are empty. Where most slots are free, the owner moves members from the last chunk to others, one by one:
//!
//! ```text
//!   | x . x . . x | . . . . . . | x x . . . . |        the last two move to the first chunk, and two chunks go
//! ```

#![forbid(unsafe_code)]

/// Slots in a chunk, as a power of two.
const CHUNK_SHIFT: u32 = 9;
const CHUNK: usize = 1 << CHUNK_SHIFT;
const WORD_BITS: usize = u64::BITS as usize;

/// Slots are sparse when fewer than one of so many is taken.
const SPARSE: usize = 4;

/// A member with its score.
#[derive(Clone, Debug, Default)]
pub struct Slot {
    /// The member's text.
    pub member: Box<[u8]>,
    /// Its score.
    pub score: f64,
}

/// A part of the slots.
#[derive(Clone, Default)]
pub struct Chunk {
    slots: Vec<Slot>,
    /// A bit for each slot that is taken.
    taken: [u64; CHUNK / WORD_BITS],
    len: usize,
    /// Whether it is among those with room.
    is_open: bool,
}

impl Chunk {
    /// How many members are in it.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The last slot that is taken.
    fn last(&self) -> Option<usize> {
        let (word, bits) = self.taken.iter().enumerate().rfind(|(_, bits)| **bits != 0)?;
        Some(word * WORD_BITS + WORD_BITS - 1 - bits.leading_zeros() as usize)
    }

    /// Puts a member into the first free slot, which there is.
    fn put(&mut self, slot: Slot) -> usize {
        let word = self.taken.iter().position(|bits| *bits != u64::MAX).expect("an open chunk has a free slot");
        let at = word * WORD_BITS + self.taken[word].trailing_ones() as usize;
        match self.slots.get_mut(at) {
            Some(free) => *free = slot,
            // Behind the last one that was ever taken.
            None => self.slots.push(slot),
        }
        self.taken[word] |= 1 << (at % WORD_BITS);
        self.len += 1;
        at
    }

    fn take(&mut self, at: usize) -> Slot {
        debug_assert!(self.taken[at / WORD_BITS] & 1 << (at % WORD_BITS) != 0, "only a member can be taken");
        self.taken[at / WORD_BITS] &= !(1 << (at % WORD_BITS));
        self.len -= 1;
        let slot = std::mem::take(&mut self.slots[at]);
        if self.len == 0 {
            self.slots = Vec::new();
        }
        slot
    }
}

/// The slots.
#[derive(Clone, Default)]
pub struct Slots {
    chunks: Vec<Chunk>,
    /// The chunks that have room.
    open: Vec<u32>,
    len: usize,
    /// Chunks that keep memory.
    held: usize,
}

/// The chunk of an id, and the slot there.
#[inline(always)]
fn place(id: u32) -> (usize, usize) {
    (id as usize >> CHUNK_SHIFT, id as usize & (CHUNK - 1))
}

impl Slots {
    /// The member with this id, which there is.
    #[inline]
    pub fn get(&self, id: u32) -> &Slot {
        let (chunk, at) = place(id);
        &self.chunks[chunk].slots[at]
    }

    /// The same, to be changed.
    #[inline]
    pub fn get_mut(&mut self, id: u32) -> &mut Slot {
        let (chunk, at) = place(id);
        &mut self.chunks[chunk].slots[at]
    }

    /// Where the slot of this id lies: for prefetching only.
    #[inline]
    pub fn address(&self, id: u32) -> *const Slot {
        let (chunk, at) = place(id);
        self.chunks.get(chunk).map_or(std::ptr::null(), |chunk| chunk.slots.as_ptr().wrapping_add(at))
    }

    /// The ids of all members.
    pub fn ids(&self) -> impl Iterator<Item = u32> {
        self.chunks.iter().enumerate().flat_map(|(number, chunk)| {
            let is_taken = |at: &usize| chunk.taken[at / WORD_BITS] >> (at % WORD_BITS) & 1 != 0;
            (0..chunk.slots.len()).filter(is_taken).map(move |at| (number << CHUNK_SHIFT | at) as u32)
        })
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Bytes of all allocations.
    pub fn bytes(&self) -> usize {
        let of_chunk = |chunk: &Chunk| {
            let members = chunk.slots.iter().map(|slot| slot.member.len());
            chunk.slots.capacity() * size_of::<Slot>() + members.sum::<usize>()
        };
        self.chunks.capacity() * size_of::<Chunk>() + self.chunks.iter().map(of_chunk).sum::<usize>()
    }

    /// Keeps a member. Returns its id.
    pub fn put(&mut self, member: &[u8], score: f64) -> u32 {
        if self.open.is_empty() {
            let most = (u32::MAX >> CHUNK_SHIFT) as usize;
            assert!(self.chunks.len() < most, "a sorted set has fewer members than there are ids");
            self.open.push(self.chunks.len() as u32);
            self.chunks.push(Chunk { is_open: true, ..Chunk::default() });
        }
        self.put_into(self.open.len() - 1, Slot { member: member.into(), score })
    }

    /// Puts a member into one of the open chunks.
    fn put_into(&mut self, which: usize, slot: Slot) -> u32 {
        let number = self.open[which];
        let chunk = &mut self.chunks[number as usize];
        self.held += usize::from(chunk.is_empty());
        self.len += 1;
        let at = chunk.put(slot);
        if chunk.len == CHUNK {
            chunk.is_open = false;
            self.open.swap_remove(which);
        }
        number << CHUNK_SHIFT | at as u32
    }

    /// Takes out the member with this id, which there is.
    pub fn take(&mut self, id: u32) -> Slot {
        let (number, at) = place(id);
        let chunk = &mut self.chunks[number];
        let slot = chunk.take(at);
        self.len -= 1;
        self.held -= usize::from(chunk.is_empty());
        if !chunk.is_open {
            chunk.is_open = true;
            self.open.push(number as u32);
        }
        if self.chunks.last().is_some_and(Chunk::is_empty) {
            self.drop_last_chunks();
        }
        slot
    }

    #[cold]
    fn drop_last_chunks(&mut self) {
        while self.chunks.last().is_some_and(Chunk::is_empty) {
            self.chunks.pop();
        }
        let left = self.chunks.len();
        self.open.retain(|number| (*number as usize) < left);
    }

    /// Whether most slots of the memory that is kept are free, and members can move from the last chunk to another.
    #[inline]
    pub fn are_sparse(&self) -> bool {
        self.held > 1 && self.len * SPARSE < self.held * CHUNK
    }

    /// The greatest id.
    pub fn last(&self) -> Option<u32> {
        let number = self.chunks.len().checked_sub(1)?;
        Some((number << CHUNK_SHIFT | self.chunks[number].last()?) as u32)
    }

    /// Moves the member with the greatest id, where slots are sparse: to another chunk. Returns its new id.
    pub fn move_down(&mut self, last: u32) -> u32 {
        let number = last >> CHUNK_SHIFT;
        // Sparse slots have another chunk with room; most of the time the first one that is looked at is it.
        let Some(which) = self.open.iter().rposition(|open| *open != number) else { return last };
        let (chunk, at) = place(last);
        let slot = std::mem::take(&mut self.chunks[chunk].slots[at]);
        let id = self.put_into(which, slot);
        self.take(last);
        id
    }

    /// What is to be dropped.
    pub fn into_chunks(self) -> Vec<Chunk> {
        self.chunks
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn check(slots: &Slots, model: &BTreeMap<u32, u32>) {
        assert_eq!((slots.len(), slots.is_empty()), (model.len(), model.is_empty()));
        assert_eq!(slots.last(), model.keys().next_back().copied());
        assert!(slots.ids().eq(model.keys().copied()));
        for (id, number) in model {
            let slot = slots.get(*id);
            assert_eq!((&*slot.member, slot.score), (number.to_string().as_bytes(), f64::from(*number)));
        }
        assert_eq!(slots.held, slots.chunks.iter().filter(|chunk| !chunk.is_empty()).count());
        let with_room = slots.chunks.iter().enumerate().filter(|(_, chunk)| chunk.len < CHUNK);
        let mut open = slots.open.clone();
        open.sort_unstable();
        assert!(with_room.map(|(number, _)| number as u32).eq(open));
        assert!(slots.chunks.iter().all(|chunk| chunk.is_open == (chunk.len < CHUNK)));
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(steps in prop::collection::vec((0u8..4, 1usize..1200, any::<usize>()), 1..6)) {
            let (mut slots, mut model, mut next) = (Slots::default(), BTreeMap::new(), 0u32);
            for (what, count, from) in steps {
                for round in 0..count {
                    if what < 2 {
                        let id = slots.put(next.to_string().as_bytes(), f64::from(next));
                        prop_assert!(model.insert(id, next).is_none());
                        next += 1;
                        continue;
                    }
                    // Anywhere, or everywhere in turn.
                    let at = from.wrapping_mul(round + 1) % model.len().max(1);
                    let Some(id) = model.keys().nth(at).copied() else { break };
                    let slot = slots.take(id);
                    let number = model.remove(&id);
                    prop_assert_eq!(Some(slot.score), number.map(f64::from));
                    while what == 3 && slots.are_sparse() {
                        let last = slots.last().expect("there are members");
                        let moved = slots.move_down(last);
                        prop_assert!(moved < last);
                        let number = model.remove(&last).expect("a member");
                        prop_assert!(model.insert(moved, number).is_none());
                    }
                }
                check(&slots, &model);
            }
        }
    }
}
