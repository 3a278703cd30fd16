//! HOT PATH. Big sorted sets: a table of members with a sequence that orders them. Any one thread.
//!
//! ```text
//!   table  | hash, id | hash, id |          by member: 8 bytes each, no member is read to move one
//!   order  | score, id | score, id |        by score, then by member: a rank is a position
//!   slots  | member, score | free |         what an id stands for
//! ```

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::cmp::Ordering;
use std::num::NonZeroU64;
use std::ops::Range;

use crate::base::float::text_of_17_digits;
use crate::base::siphash::SipKey;
use crate::encoding::listpack::Element;
use crate::encoding::ordered::Ordered;
use crate::encoding::slots::{Chunk, Slots};
use crate::encoding::table::{Remains, Table};
use crate::sys::prefetch::{AHEAD, prefetch_line};

/// Scored that move to other slots for each that is removed, while most slots are free.
const MOVES_PER_REMOVAL: usize = 2;

/// How many members are taken out between one's bucket, text and slot being asked for and its own turn: a trip to memory
/// takes as long as a pop or two.
const BUCKET_AHEAD: usize = 1;
const TEXT_AHEAD: usize = 3;
const SLOT_AHEAD: usize = 5;

/// Where a member stands in the order: by score, then by member.
pub(super) fn order(left: (f64, &[u8]), right: (f64, &[u8])) -> Ordering {
    left.0.partial_cmp(&right.0).unwrap_or(Ordering::Equal).then_with(|| left.1.cmp(right.1))
}

/// A place in the order.
#[derive(Clone, Copy)]
struct Ranked {
    /// The score's bits in two halves, so that this takes 12 bytes instead of 16.
    score: [u32; 2],
    id: u32,
}

impl Ranked {
    fn new(score: f64, id: u32) -> Ranked {
        let bits = score.to_bits();
        Ranked { score: [bits as u32, (bits >> 32) as u32], id }
    }

    #[inline]
    fn score(self) -> f64 {
        f64::from_bits(u64::from(self.score[0]) | (u64::from(self.score[1]) << 32))
    }

    /// Whether it stands in front of a member with this score. Its own member is read only where scores are the same.
    #[inline]
    fn precedes(self, slots: &Slots, score: f64, member: &[u8]) -> bool {
        match self.score().partial_cmp(&score) {
            Some(Ordering::Less) => true,
            Some(Ordering::Greater) => false,
            _ => *slots.get(self.id).member < *member,
        }
    }
}

/// What the table keeps of a member: 32 bits of its hash, and its id.
fn item_of(hash: u64, id: u32) -> NonZeroU64 {
    NonZeroU64::new((hash << 32) | (u64::from(id) + 1)).unwrap_or(NonZeroU64::MIN)
}

#[inline]
fn id_of(item: NonZeroU64) -> u32 {
    (item.get() as u32).wrapping_sub(1)
}

/// The table's hash of an item: the kept bits choose the bucket, and once more as the top ones the tag.
#[inline]
fn spread(item: &NonZeroU64) -> u64 {
    let kept = item.get() >> 32;
    (kept << 32) | kept
}

/// Scored with their scores, in no order.
#[derive(Default)]
struct Scored {
    table: Table<NonZeroU64>,
    slots: Slots,
}

impl Scored {
    #[inline]
    fn id(&self, hash: u64, member: &[u8]) -> Option<u32> {
        let item = self.table.get(hash, |item| *self.slots.get(id_of(*item)).member == *member)?;
        Some(id_of(*item))
    }

    /// Adds a member that is known to be absent. Returns its id.
    fn add(&mut self, hash: u64, member: &[u8], score: f64) -> u32 {
        let id = self.slots.put(member, score);
        self.table.insert_unique(hash, item_of(hash & u64::from(u32::MAX), id), &spread);
        id
    }

    /// Asks for what [`Scored::id`] reads of members with these hashes, first for what it reads first: for all at the
    /// same time, because the memory is waited for.
    fn fetch(&self, hashes: &[u64]) {
        hashes.iter().for_each(|hash| self.table.prefetch_bucket(*hash));
        hashes.iter().for_each(|hash| self.fetch_slot(*hash));
    }

    /// To be called once the bucket has arrived.
    #[inline]
    fn fetch_slot(&self, hash: u64) {
        self.table.prefetch_items(hash, |item| self.slots.address(id_of(*item)).cast());
    }
}

/// 32 bits of a member's hash, twice.
#[inline]
fn hash_with(key: SipKey, member: &[u8]) -> u64 {
    let kept = key.hash13(member) & u64::from(u32::MAX);
    (kept << 32) | kept
}

/// The hashes of the first [`AHEAD`] members, and how many those are.
fn hashes_with<'m>(key: SipKey, members: impl Iterator<Item = &'m [u8]>) -> ([u64; AHEAD], usize) {
    let (mut hashes, mut count) = ([0; AHEAD], 0);
    for (hash, member) in hashes.iter_mut().zip(members) {
        *hash = hash_with(key, member);
        count += 1;
    }
    (hashes, count)
}

/// A table of members and their order.
pub struct Tree {
    members: Scored,
    order: Ordered<Ranked>,
    key: SipKey,
}

impl Tree {
    pub(super) fn new(key: SipKey) -> Tree {
        Tree { members: Scored::default(), order: Ordered::new(), key }
    }

    /// How many members there are.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    #[inline]
    fn hash(&self, member: &[u8]) -> u64 {
        hash_with(self.key, member)
    }

    pub(super) fn score(&self, member: &[u8]) -> Option<f64> {
        self.members.id(self.hash(member), member).map(|id| self.members.slots.get(id).score)
    }

    /// Asks for where a member is looked for: its bucket. Returns what [`Tree::prefetch_member`] takes.
    #[inline]
    pub(super) fn prefetch_bucket(&self, member: &[u8]) -> u64 {
        let hash = self.hash(member);
        self.members.table.prefetch_bucket(hash);
        hash
    }

    /// Asks for the member itself, once the bucket has arrived.
    #[inline]
    pub(super) fn prefetch_member(&self, hash: u64) {
        self.members.fetch_slot(hash);
    }

    /// The scores of up to [`AHEAD`] members.
    pub(super) fn scores<'m>(
        &self,
        members: impl Iterator<Item = &'m [u8]> + Clone,
        scores: &mut [Option<f64>; AHEAD],
    ) {
        let (hashes, count) = hashes_with(self.key, members.clone());
        self.members.fetch(&hashes[..count]);
        for ((score, member), hash) in scores.iter_mut().zip(members).zip(hashes) {
            *score = self.members.id(hash, member).map(|id| self.members.slots.get(id).score);
        }
    }

    pub(super) fn rank(&self, member: &[u8]) -> Option<usize> {
        let score = self.score(member)?;
        Some(self.position(member, score))
    }

    /// How many members come before one that had this score.
    fn position(&self, member: &[u8], score: f64) -> usize {
        self.order.partition_point(|ranked| ranked.precedes(&self.members.slots, score, member))
    }

    pub(super) fn count_by_score(&self, mut passes: impl FnMut(f64) -> bool) -> usize {
        self.order.partition_point(|ranked| passes(ranked.score()))
    }

    pub(super) fn count_by_text(&self, mut passes: impl FnMut(&[u8]) -> bool) -> usize {
        self.order.partition_point(|ranked| passes(&self.members.slots.get(ranked.id).member))
    }

    pub(super) fn scan(&self, cursor: u64, mut visit: impl FnMut(Element<'_>, Element<'_>)) -> u64 {
        self.members.table.scan(cursor, |item| {
            let slot = self.members.slots.get(id_of(*item));
            visit(Element::Bytes(&slot.member), Element::Bytes(text_of_17_digits(slot.score).as_bytes()));
        })
    }

    /// Sets the score of a member. Returns whether the member is new.
    pub(super) fn set(&mut self, member: &[u8], score: f64) -> bool {
        let before = self.len();
        self.update(member, |_| Some(score));
        self.len() > before
    }

    /// See `SortedSet::update`.
    #[inline]
    pub(super) fn update(&mut self, member: &[u8], decide: impl FnOnce(Option<f64>) -> Option<f64>) {
        let hash = self.hash(member);
        let found = self.members.id(hash, member);
        let former = found.map(|id| self.members.slots.get(id).score);
        let Some(score) = decide(former).filter(|score| former != Some(*score)) else { return };
        let id = match (found, former) {
            (Some(id), Some(former)) => {
                self.leave(id, former, member);
                self.members.slots.get_mut(id).score = score;
                id
            }
            _ => self.members.add(hash, member, score),
        };
        let slots = &self.members.slots;
        self.order.insert_behind(Ranked::new(score, id), |ranked| ranked.precedes(slots, score, member));
    }

    /// Takes a member out of the order.
    fn leave(&mut self, id: u32, score: f64, member: &[u8]) {
        let slots = &self.members.slots;
        let gone = self.order.remove_last(|ranked| ranked.id == id || ranked.precedes(slots, score, member));
        debug_assert!(gone.is_some_and(|gone| gone.id == id), "every member has its place");
    }

    pub(super) fn remove(&mut self, member: &[u8]) -> bool {
        let hash = self.hash(member);
        let Some(id) = self.members.id(hash, member) else { return false };
        self.leave(id, self.members.slots.get(id).score, member);
        self.members.slots.take(id);
        self.forget(hash, id);
        true
    }

    pub(super) fn remove_range(&mut self, ranks: Range<usize>) {
        for _ in ranks.clone() {
            let Some(ranked) = self.order.remove(ranks.start) else { return };
            let slot = self.members.slots.take(ranked.id);
            self.forget(self.hash(&slot.member), ranked.id);
        }
    }

    /// Takes out `count` members at an end, of which there are so many, each shown.
    pub(super) fn pop(&mut self, count: usize, highest: bool, mut see: impl FnMut(Element<'_>, f64)) {
        for _ in 0..count {
            let Some(ranked) = self.order.remove(if highest { self.len() - 1 } else { 0 }) else { return };
            let slot = self.members.slots.take(ranked.id);
            see(Element::Bytes(&slot.member), ranked.score());
            self.forget(self.hash(&slot.member), ranked.id);
            self.look_ahead(highest);
        }
    }

    /// Asks for what the next members at an end lie in: neighbours in the order lie anywhere. While others are taken out in
    /// front of it, a member's slot arrives first, then its text, then its bucket.
    #[inline]
    fn look_ahead(&self, highest: bool) {
        let slots = &self.members.slots;
        let mut ahead = 0;
        self.order.visit(if highest { self.len().saturating_sub(1) } else { 0 }, highest, |ranked| {
            match ahead {
                BUCKET_AHEAD => self.members.table.prefetch_bucket(self.hash(&slots.get(ranked.id).member)),
                TEXT_AHEAD => prefetch_line(slots.get(ranked.id).member.as_ptr()),
                SLOT_AHEAD => prefetch_line(slots.address(ranked.id)),
                _ => {}
            }
            ahead += 1;
            ahead <= SLOT_AHEAD
        });
    }

    /// A member was taken out of the order and its slot.
    #[inline]
    fn forget(&mut self, hash: u64, id: u32) {
        self.members.table.remove(hash, |item| id_of(*item) == id);
        if self.members.slots.are_sparse() {
            self.move_members();
        }
    }

    /// Called after a removal left few members among many slots: some move from the last slots to others, so that memory
    /// is given back bit by bit.
    #[cold]
    fn move_members(&mut self) {
        for _ in 0..MOVES_PER_REMOVAL {
            let sparse = self.members.slots.are_sparse();
            let Some(id) = self.members.slots.last().filter(|_| sparse) else { return };
            let slot = self.members.slots.get(id);
            let (score, hash) = (slot.score, self.hash(&slot.member));
            let at = self.position(&slot.member, score);
            let moved = self.members.slots.move_down(id);
            self.order.replace(at, Ranked::new(score, moved));
            if let Some(item) = self.members.table.get_mut(hash, |item| id_of(*item) == id) {
                *item = item_of(hash & u64::from(u32::MAX), moved);
            }
        }
    }

    pub(super) fn visit<'t>(&'t self, rank: usize, backwards: bool, mut see: impl FnMut(Element<'t>, f64) -> bool) {
        let slots = &self.members.slots;
        self.order.visit(rank, backwards, |ranked| see(Element::Bytes(&slots.get(ranked.id).member), ranked.score()));
    }

    /// Shows the members at these ranks until `see` has enough; backwards from the last one. Scored lie anywhere: some of
    /// them are asked for together before the first is read.
    pub(super) fn range<'t>(
        &'t self,
        ranks: Range<usize>,
        backwards: bool,
        mut see: impl FnMut(Element<'t>, f64) -> bool,
    ) {
        let (mut group, mut held, mut left) = ([Ranked::new(0.0, 0); AHEAD], 0, ranks.len());
        if left == 0 {
            return;
        }
        let slots = &self.members.slots;
        self.order.visit(if backwards { ranks.end - 1 } else { ranks.start }, backwards, |ranked| {
            prefetch_line(slots.address(ranked.id));
            group[held] = *ranked;
            held += 1;
            left -= 1;
            if held < AHEAD && left > 0 {
                return true;
            }
            let group = &group[..held];
            group.iter().for_each(|ranked| prefetch_line(slots.get(ranked.id).member.as_ptr()));
            held = 0;
            group.iter().all(|ranked| see(Element::Bytes(&slots.get(ranked.id).member), ranked.score())) && left > 0
        });
    }

    pub(super) fn memory_usage(&self) -> usize {
        self.members.table.bytes() + self.order.bytes() + self.members.slots.bytes()
    }

    /// The tree as garbage, to be dropped in slices.
    pub fn into_remains(self) -> TreeRemains {
        let Scored { table, slots } = self.members;
        TreeRemains { table: table.into_remains(), order: self.order, chunks: slots.into_chunks() }
    }
}

/// A sorted set on its way: members are put into order once all are there.
pub struct Unordered {
    members: Scored,
    key: SipKey,
}

impl Unordered {
    /// An empty one for about so many members.
    pub fn for_members(count: usize, key: SipKey) -> Unordered {
        Unordered { members: Scored { table: Table::for_items(count), slots: Slots::default() }, key }
    }

    /// Adds the first [`AHEAD`] of these members, none twice; `merge` makes one score of the one that a member has and the
    /// one that it comes with.
    pub fn add_group(&mut self, group: &[(Cow<'_, [u8]>, f64)], merge: impl Fn(f64, f64) -> f64) {
        let (hashes, count) = hashes_with(self.key, group.iter().map(|(member, _)| &**member));
        self.members.fetch(&hashes[..count]);
        for ((member, score), hash) in group.iter().zip(hashes) {
            match self.members.id(hash, member) {
                Some(id) => {
                    let there = &mut self.members.slots.get_mut(id).score;
                    *there = merge(*there, *score);
                }
                None => _ = self.members.add(hash, member, *score),
            }
        }
    }

    /// Adds members that are not there.
    pub fn add_new_group(&mut self, group: &[(Cow<'_, [u8]>, f64)]) {
        for (member, score) in group {
            self.members.add(hash_with(self.key, member), member, *score);
        }
    }

    /// The members in order.
    pub fn into_tree(self) -> Tree {
        let slots = &self.members.slots;
        let mut ranks: Vec<Ranked> = slots.ids().map(|id| Ranked::new(slots.get(id).score, id)).collect();
        ranks.sort_unstable_by(|left, right| match left.score().partial_cmp(&right.score()) {
            Some(Ordering::Equal) | None => slots.get(left.id).member.cmp(&slots.get(right.id).member),
            Some(ordering) => ordering,
        });
        Tree { order: Ordered::of_items(&ranks), members: self.members, key: self.key }
    }
}

/// What is left of a tree, to be dropped in slices.
pub struct TreeRemains {
    table: Remains<NonZeroU64>,
    order: Ordered<Ranked>,
    chunks: Vec<Chunk>,
}

impl TreeRemains {
    /// Drops about `work` buckets, leaves and members. Returns what is left of `work`.
    pub fn drop_some(&mut self, work: usize) -> usize {
        let mut left = self.table.drop_some(work);
        while left > 0
            && let Some(chunk) = self.chunks.pop()
        {
            left = left.saturating_sub(chunk.len());
        }
        if left == 0 { 0 } else { self.order.drop_some(left) }
    }
}

impl Clone for Tree {
    fn clone(&self) -> Tree {
        let mut members = Scored { table: Table::for_items(self.len()), slots: self.members.slots.clone() };
        for item in self.members.table.iter() {
            members.table.insert_unique(spread(item), *item, &spread);
        }
        Tree { members, order: self.order.clone(), key: self.key }
    }
}

impl std::fmt::Debug for Tree {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut map = out.debug_map();
        self.visit(0, false, |member, score| {
            map.entry(&member, &score);
            true
        });
        map.finish()
    }
}
