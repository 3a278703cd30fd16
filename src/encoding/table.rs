//! HOT PATH. A hash table of 8-byte items that grows and shrinks one bucket at a time. Any one thread.
//!
//! It knows nothing of hashing or keys: callers bring the hash of what they look for and a test for equality; when an
//! item has to move they are asked for its hash again.
//!
//! A bucket is one cache line: six items, a tag (seven bits of the hash) for each, and a link to an overflow bucket.
//! `buckets` says which one an item lives in, and which is split next.

#![forbid(unsafe_code)]

use super::buckets::{Buckets, Rest};
use crate::base::rng::Rng;
use crate::sys::prefetch::{CACHE_LINE, prefetch_line};

/// Items in a bucket.
const SLOTS: usize = 6;
/// Buckets merged by one removal while the table shrinks.
const STEPS_PER_CHANGE: usize = 2;
/// Slots that a random choice draws from: more than a bucket has, so that longer chains get their share. A bucket that is
/// not yet split has twice as many.
const RANDOM_SLOTS: usize = 2 * SLOTS;
/// The same where there is hardly an item, so that a draw hits one in time.
const RANDOM_SLOTS_SPARSE: usize = SLOTS / 2;

/// The high bits of the tag word's bytes that stand for slots.
const SLOT_BITS: u64 = 0x0000_8080_8080_8080;
/// The high and the low bit of each byte of a word.
const SPREAD_HIGH: u64 = 0x8080_8080_8080_8080;
const SPREAD_LOW: u64 = 0x0101_0101_0101_0101;

#[repr(C, align(64))]
struct Bucket<T> {
    /// `0x80 | hash bits` of the item in the same slot, 0 where it is empty. The last two bytes are always 0.
    tags: [u8; 8],
    slots: [Option<T>; SLOTS],
    next: Option<Box<Bucket<T>>>,
}

impl<T> Bucket<T> {
    /// Evaluated for every `T` that a table is made of.
    const LAYOUT: () = {
        assert!(size_of::<Option<T>>() == 8, "an item and its absence must fit 8 bytes");
        assert!(size_of::<Bucket<T>>() == CACHE_LINE);
    };

    #[inline]
    fn empty() -> Bucket<T> {
        const { Self::LAYOUT };
        Bucket { tags: [0; 8], slots: [const { None }; SLOTS], next: None }
    }

    /// One bit (the highest of its byte) for each slot that has this tag.
    #[inline(always)]
    fn matches(&self, tag: u8) -> u64 {
        // Taken slots' tags have the high bit, so a difference without it is a small number or zero; empty slots and
        // the spare bytes keep the bit. Adding 0x7f to seven bits carries into the eighth unless they are zero.
        let difference = u64::from_le_bytes(self.tags) ^ (u64::from(tag) * SPREAD_LOW);
        !(((difference & !SPREAD_HIGH) + !SPREAD_HIGH) | difference) & SPREAD_HIGH
    }

    /// One bit for each taken slot.
    #[inline(always)]
    fn taken(&self) -> u64 {
        u64::from_le_bytes(self.tags) & SLOT_BITS
    }

    fn count(&self) -> usize {
        self.taken().count_ones() as usize
    }

    #[inline(always)]
    fn put(&mut self, slot: usize, tag: u8, item: T) {
        debug_assert!(self.slots[slot].is_none());
        self.tags[slot] = tag;
        self.slots[slot] = Some(item);
    }

    #[inline]
    fn take(&mut self, slot: usize) -> Option<T> {
        self.tags[slot] = 0;
        self.slots[slot].take()
    }

    /// Puts `item` into the first free slot of this chain. True if that took a new overflow bucket.
    #[inline]
    fn push(&mut self, tag: u8, item: T) -> bool {
        let mut bucket = self;
        loop {
            let free = !bucket.taken() & SLOT_BITS;
            if free != 0 {
                bucket.put(slot_of(free), tag, item);
                return false;
            }
            if bucket.next.is_none() {
                bucket.next = Some(overflow(tag, item));
                return true;
            }
            bucket = bucket.next.as_deref_mut().expect("just seen");
        }
    }

    /// This bucket and its overflow buckets.
    #[inline]
    fn chain(&self) -> impl Iterator<Item = &Bucket<T>> {
        std::iter::successors(Some(self), |bucket| bucket.next.as_deref())
    }

    #[inline]
    fn prefetch_items(&self, hash: u64, address: impl Fn(&T) -> *const u8) {
        let mut matches = self.matches(tag_of(hash));
        while matches != 0 {
            if let Some(item) = &self.slots[slot_of(matches)] {
                let start = address(item);
                prefetch_line(start);
                prefetch_line(start.wrapping_add(CACHE_LINE));
            }
            matches &= matches - 1;
        }
    }

    /// The items of this bucket alone.
    #[inline]
    fn items(&self) -> impl Iterator<Item = &T> {
        self.slots.iter().flatten()
    }
}

#[cold]
fn overflow<T>(tag: u8, item: T) -> Box<Bucket<T>> {
    let mut bucket = Box::new(Bucket::empty());
    bucket.put(0, tag, item);
    bucket
}

/// The slot of the lowest bit of a match.
#[inline(always)]
fn slot_of(matches: u64) -> usize {
    (matches.trailing_zeros() / 8) as usize
}

/// The top bits: the low ones choose the bucket.
#[inline(always)]
fn tag_of(hash: u64) -> u8 {
    0x80 | (hash >> 57) as u8
}

/// How an item that has to move is hashed again. Any `Fn(&T) -> u64` will do.
pub trait Rehash<T> {
    /// The hash that the item was inserted with.
    fn hash(&self, item: &T) -> u64;
    /// Called some time before `hash`, where that reads memory behind the item.
    #[inline]
    fn prefetch(&self, _item: &T) {}
}

impl<T, F: Fn(&T) -> u64> Rehash<T> for F {
    #[inline]
    fn hash(&self, item: &T) -> u64 {
        self(item)
    }
}

/// Where an item lies. Good until the next insertion, removal or step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Position {
    bucket: usize,
    depth: u32,
    slot: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Motion {
    Still,
    Shrinking,
}

/// The table. Without items it owns no memory.
pub struct Table<T> {
    /// Overflow not counted.
    buckets: Buckets<Bucket<T>>,
    len: usize,
    /// Overflow buckets.
    overflows: usize,
    motion: Motion,
}

impl<T> Default for Table<T> {
    fn default() -> Table<T> {
        Table::new()
    }
}

impl<T> Table<T> {
    /// An empty table.
    pub const fn new() -> Table<T> {
        Table { buckets: Buckets::new(), len: 0, overflows: 0, motion: Motion::Still }
    }

    /// An empty table with the buckets that `len` items need, so that none is split while they are added.
    pub fn for_items(len: usize) -> Table<T> {
        let mut table = Table::new();
        if len > 0 {
            let buckets = (len - 1) * 2 / 9 + 1;
            (0..buckets).for_each(|_| table.buckets.push(Bucket::empty()));
        }
        table
    }

    /// How many items there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many buckets there are, overflow not counted.
    pub fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// Whether buckets are being merged until they hold enough again. Growth keeps up with what is added.
    pub fn is_moving(&self) -> bool {
        self.motion != Motion::Still
    }

    /// Bytes of the table's own memory; what items point to is not counted.
    pub fn bytes(&self) -> usize {
        self.buckets.bytes() + self.overflows * size_of::<Bucket<T>>()
    }

    /// The bucket of a hash.
    #[inline(always)]
    fn bucket_of(&self, hash: u64) -> Option<&Bucket<T>> {
        self.buckets.get(self.buckets.index_of(hash))
    }

    /// The item of this hash that `eq` accepts.
    #[inline]
    pub fn get(&self, hash: u64, mut eq: impl FnMut(&T) -> bool) -> Option<&T> {
        let tag = tag_of(hash);
        let mut bucket = self.bucket_of(hash)?;
        loop {
            let mut matches = bucket.matches(tag);
            while matches != 0 {
                if let Some(item) = &bucket.slots[slot_of(matches)]
                    && eq(item)
                {
                    return Some(item);
                }
                matches &= matches - 1;
            }
            bucket = bucket.next.as_deref()?;
        }
    }

    /// The same, to be changed. Its hash must stay what it is.
    #[inline]
    pub fn get_mut(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<&mut T> {
        let at = self.find(hash, eq)?;
        self.at_mut(at)
    }

    /// Where the item of this hash that `eq` accepts lies: for callers that look first and decide then.
    #[inline]
    pub fn find(&self, hash: u64, mut eq: impl FnMut(&T) -> bool) -> Option<Position> {
        let tag = tag_of(hash);
        let index = self.buckets.index_of(hash);
        let mut bucket = self.buckets.get(index)?;
        let mut depth = 0;
        loop {
            let mut matches = bucket.matches(tag);
            while matches != 0 {
                let slot = slot_of(matches);
                if let Some(item) = &bucket.slots[slot]
                    && eq(item)
                {
                    return Some(Position { bucket: index, depth, slot: slot as u32 });
                }
                matches &= matches - 1;
            }
            bucket = bucket.next.as_deref()?;
            depth += 1;
        }
    }

    /// The item at a position.
    #[inline]
    pub fn at(&self, at: Position) -> Option<&T> {
        let mut bucket = self.buckets.get(at.bucket)?;
        for _ in 0..at.depth {
            bucket = bucket.next.as_deref()?;
        }
        bucket.slots.get(at.slot as usize)?.as_ref()
    }

    /// The item at a position, to be changed. Its hash must stay what it is.
    #[inline]
    pub fn at_mut(&mut self, at: Position) -> Option<&mut T> {
        let mut bucket = self.buckets.get_mut(at.bucket)?;
        for _ in 0..at.depth {
            bucket = bucket.next.as_deref_mut()?;
        }
        bucket.slots.get_mut(at.slot as usize)?.as_mut()
    }

    /// Adds an item that is known to be absent. May split buckets before.
    #[inline]
    pub fn insert_unique(&mut self, hash: u64, item: T, rehash: &impl Rehash<T>) {
        if self.is_full() {
            self.grow(rehash);
        }
        let index = self.buckets.index_of(hash);
        let bucket = self.buckets.get_mut(index).expect("growing left at least one bucket");
        let overflowed = bucket.push(tag_of(hash), item);
        self.overflows += usize::from(overflowed);
        self.len += 1;
    }

    /// Adds an item, or puts it in the place of the one that `eq` accepts and returns that.
    pub fn replace(&mut self, hash: u64, item: T, eq: impl FnMut(&T) -> bool, rehash: &impl Rehash<T>) -> Option<T> {
        if let Some(old) = self.get_mut(hash, eq) {
            return Some(std::mem::replace(old, item));
        }
        self.insert_unique(hash, item, rehash);
        None
    }

    /// Takes out the item of this hash that `eq` accepts. May merge buckets after.
    #[inline]
    pub fn remove(&mut self, hash: u64, eq: impl FnMut(&T) -> bool) -> Option<T> {
        let at = self.find(hash, eq)?;
        self.remove_at(at)
    }

    /// Takes out the item at a position. May merge buckets after.
    #[inline]
    pub fn remove_at(&mut self, at: Position) -> Option<T> {
        let mut bucket = self.buckets.get_mut(at.bucket)?;
        for _ in 1..at.depth {
            bucket = bucket.next.as_deref_mut()?;
        }
        let item = match at.depth {
            0 => bucket.take(at.slot as usize)?,
            _ => {
                let below = bucket.next.as_deref_mut()?;
                let item = below.take(at.slot as usize)?;
                if below.taken() == 0 {
                    bucket.next = below.next.take();
                    self.overflows -= 1;
                }
                item
            }
        };
        self.len -= 1;
        if self.motion == Motion::Shrinking || self.is_sparse() {
            self.shrink();
        }
        Some(item)
    }

    /// All items, in bucket order.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.buckets.iter().flat_map(Bucket::chain).flat_map(Bucket::items)
    }

    /// How many buckets hold no item, one item, and so on, with what overflows from them.
    pub fn bucket_lens(&self) -> Vec<usize> {
        let mut counts = Vec::new();
        for head in self.buckets.iter() {
            let len = head.chain().map(Bucket::count).sum::<usize>();
            if counts.len() <= len {
                counts.resize(len + 1, 0);
            }
            counts[len] += 1;
        }
        counts
    }

    /// Visits some items and returns the next cursor; 0 starts and ends. An item that is present from the start of such a
    /// walk to its end is visited at least once, whatever is inserted, removed, split or merged between the calls.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(&T)) -> u64 {
        self.buckets.scan(cursor, |head| head.chain().flat_map(Bucket::items).for_each(&mut visit))
    }

    /// An item chosen at random, each with nearly the same chance.
    pub fn random(&self, rng: &mut Rng) -> Option<&T> {
        if self.len == 0 {
            return None;
        }
        let slots = RANDOM_SLOTS.min(RANDOM_SLOTS_SPARSE + 4 * self.len / self.buckets.halves());
        let (head, number) = self.buckets.random(rng, slots, |head| head.chain().map(Bucket::count).sum())?;
        head.chain().flat_map(Bucket::items).nth(number)
    }

    /// Asks for the bucket of a hash to be brought near, some time before it is looked into.
    #[inline]
    pub fn prefetch_bucket(&self, hash: u64) {
        if let Some(bucket) = self.bucket_of(hash) {
            prefetch_line(std::ptr::from_ref(bucket));
        }
    }

    /// Asks for what the items with this hash's tag point to: the two cache lines from `address` on. Reads the bucket,
    /// so it comes some time after `prefetch_bucket`. Returns whether there is an overflow bucket, asked for as well: see
    /// `prefetch_overflow`.
    #[inline]
    pub fn prefetch_items(&self, hash: u64, address: impl Fn(&T) -> *const u8) -> bool {
        let Some(bucket) = self.bucket_of(hash) else { return false };
        bucket.prefetch_items(hash, address);
        let Some(next) = &bucket.next else { return false };
        prefetch_line(std::ptr::from_ref::<Bucket<T>>(next));
        true
    }

    /// The same for the items of the overflow bucket, once that has arrived.
    #[inline]
    pub fn prefetch_overflow(&self, hash: u64, address: impl Fn(&T) -> *const u8) {
        if let Some(next) = self.bucket_of(hash).and_then(|bucket| bucket.next.as_deref()) {
            next.prefetch_items(hash, address);
        }
    }

    /// Removes all items and gives all memory back. Takes as long as there are items: see `into_remains` for big tables.
    pub fn clear(&mut self) {
        *self = Table::new();
    }

    /// The table as garbage, to be dropped in slices.
    pub fn into_remains(self) -> Remains<T> {
        Remains { buckets: self.buckets.into_rest(), len: self.len }
    }

    /// Splits or merges up to `steps` buckets, if the table has to grow or shrink. For the cron: returns true while
    /// there is more to do.
    pub fn step(&mut self, steps: usize, rehash: &impl Rehash<T>) -> bool {
        for _ in 0..steps {
            match self.motion {
                Motion::Shrinking => self.merge_one(),
                Motion::Still if self.len == 0 && self.buckets.len() <= 1 => {
                    self.clear();
                    return false;
                }
                Motion::Still if self.is_full() => self.split_one(rehash),
                Motion::Still if self.is_sparse() => self.motion = Motion::Shrinking,
                Motion::Still => return false,
            }
        }
        self.is_moving()
    }

    /// More than 4.5 items per bucket: one bucket in five has an overflow by then.
    #[inline(always)]
    fn is_full(&self) -> bool {
        self.len * 2 >= self.buckets.len() * 9
    }

    /// Fewer than 0.7 items per bucket.
    #[inline(always)]
    fn is_sparse(&self) -> bool {
        self.len * 10 < self.buckets.len() * 7 && self.buckets.len() > 1
    }

    #[inline(never)]
    fn grow(&mut self, rehash: &impl Rehash<T>) {
        if self.buckets.len() == 0 {
            self.buckets.push(Bucket::empty());
            return;
        }
        self.split_one(rehash);
        // The bucket that comes next, in some insertions' time: what its items point to is likely far away.
        if let Some(bucket) = self.buckets.next_split() {
            bucket.items().for_each(|item| rehash.prefetch(item));
        }
    }

    #[inline(never)]
    fn shrink(&mut self) {
        self.motion = Motion::Shrinking;
        for _ in 0..STEPS_PER_CHANGE {
            if self.motion == Motion::Shrinking {
                self.merge_one();
            }
        }
    }

    /// Splits the next bucket.
    fn split_one(&mut self, rehash: &impl Rehash<T>) {
        let mut fresh = Bucket::empty();
        let mut overflows = self.overflows;
        let (head, bit) = self.buckets.next_split_mut().expect("who splits has buckets");
        // Overflow buckets are taken apart, so that what stays closes ranks.
        let mut rest = head.next.take();
        for slot in 0..SLOTS {
            if let Some(item) = &head.slots[slot]
                && rehash.hash(item) as usize & bit != 0
            {
                let tag = head.tags[slot];
                let item = head.take(slot).expect("just seen");
                overflows += usize::from(fresh.push(tag, item));
            }
        }
        while let Some(mut bucket) = rest {
            overflows -= 1;
            for slot in 0..SLOTS {
                let tag = bucket.tags[slot];
                if let Some(item) = bucket.take(slot) {
                    let moves = rehash.hash(&item) as usize & bit != 0;
                    let chain = if moves { &mut fresh } else { &mut *head };
                    overflows += usize::from(chain.push(tag, item));
                }
            }
            rest = bucket.next.take();
        }
        self.overflows = overflows;
        self.buckets.push(fresh);
    }

    /// Empties the last bucket into the one that it was split from; at the end of a level the table comes to rest.
    fn merge_one(&mut self) {
        let Some((bucket, head)) = self.buckets.merge_last() else {
            self.motion = Motion::Still;
            return;
        };
        let mut bucket = Box::new(bucket);
        let mut overflows = self.overflows;
        loop {
            for slot in 0..SLOTS {
                let tag = bucket.tags[slot];
                if let Some(item) = bucket.take(slot) {
                    overflows += usize::from(head.push(tag, item));
                }
            }
            let Some(next) = bucket.next.take() else { break };
            overflows -= 1;
            bucket = next;
        }
        self.overflows = overflows;
        if self.buckets.is_level() && !self.is_sparse() {
            self.motion = Motion::Still;
        }
    }
}

/// What is left of a table that nobody looks into any more. Dropping it at once takes as long as it has items.
pub struct Remains<T> {
    buckets: Rest<Bucket<T>>,
    len: usize,
}

impl<T> Remains<T> {
    /// Items not yet dropped.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether all memory has been given back.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty()
    }

    /// Drops buckets until about `work` of buckets and items is done. Returns what is left of `work`.
    pub fn drop_some(&mut self, work: usize) -> usize {
        self.take_some(work, drop)
    }

    /// The same, but each item goes to `each`.
    pub fn take_some(&mut self, mut work: usize, mut each: impl FnMut(T)) -> usize {
        while work > 0
            && let Some(mut bucket) = self.buckets.pop()
        {
            let before = self.len;
            loop {
                for item in bucket.slots.iter_mut().filter_map(Option::take) {
                    self.len -= 1;
                    each(item);
                }
                let Some(next) = bucket.next.take() else { break };
                bucket = *next;
            }
            work = work.saturating_sub(1 + before - self.len);
        }
        work
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
