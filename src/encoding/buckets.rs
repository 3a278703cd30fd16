//! HOT PATH. Where the buckets of hashed things lie: they are split and merged one at a time, so that no insertion and no
//! removal pays for all. What a bucket is, is the user's affair; any one thread.
//!
//! There are `2^L + s` of them. A hash's low `L` bits name its bucket, or `L + 1` of them where that bucket is split
//! already: that holds for the first `s`. Buckets lie in segments, so growth never copies an array and shrinkage gives
//! memory back piece by piece.

#![forbid(unsafe_code)]

use crate::base::rng::Rng;

/// Buckets in a segment, as a power of two. Growth never copies more than one segment's worth of them.
const SEGMENT_SHIFT: u32 = 10;
const SEGMENT_BUCKETS: usize = 1 << SEGMENT_SHIFT;
/// A random choice that hits nothing this often falls back to what is next in order.
const RANDOM_TRIES_MAX: usize = 200;

/// The buckets. Without any they own no memory.
#[derive(Clone)]
pub(super) struct Buckets<B> {
    segments: Vec<Vec<B>>,
    /// `2^L + s`.
    count: usize,
    /// `2^L - 1`.
    mask: usize,
}

impl<B> Buckets<B> {
    /// None.
    pub(super) const fn new() -> Buckets<B> {
        Buckets { segments: Vec::new(), count: 0, mask: 0 }
    }

    /// How many there are.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.count
    }

    /// Which one a hash belongs to.
    #[inline(always)]
    pub(super) fn index_of(&self, hash: u64) -> usize {
        let wide = hash as usize & (self.mask << 1 | 1);
        if wide < self.count { wide } else { hash as usize & self.mask }
    }

    #[inline(always)]
    pub(super) fn get(&self, index: usize) -> Option<&B> {
        self.segments.get(index >> SEGMENT_SHIFT)?.get(index & (SEGMENT_BUCKETS - 1))
    }

    #[inline(always)]
    pub(super) fn get_mut(&mut self, index: usize) -> Option<&mut B> {
        self.segments.get_mut(index >> SEGMENT_SHIFT)?.get_mut(index & (SEGMENT_BUCKETS - 1))
    }

    /// The one that is split next, where there are any.
    #[inline]
    pub(super) fn next_split(&self) -> Option<&B> {
        self.get(self.count.checked_sub(self.mask + 1)?)
    }

    /// The same, to be split, and the bit that the hashes of what leaves it have.
    pub(super) fn next_split_mut(&mut self) -> Option<(&mut B, usize)> {
        let bit = self.mask + 1;
        Some((self.get_mut(self.count.checked_sub(bit)?)?, bit))
    }

    /// Whether none is split, or all are.
    pub(super) fn is_level(&self) -> bool {
        self.count == self.mask + 1
    }

    /// Adds what a split made, or the first one.
    pub(super) fn push(&mut self, bucket: B) {
        let first = self.segments.len() <= 1;
        match self.segments.last_mut() {
            Some(segment) if segment.len() < SEGMENT_BUCKETS => {
                if first && segment.len() == segment.capacity() {
                    segment.reserve_exact(segment.len());
                }
                segment.push(bucket);
            }
            _ => {
                // What is small stays small: only the first segment grows to its size.
                let mut segment = Vec::with_capacity(if self.count == 0 { 1 } else { SEGMENT_BUCKETS });
                segment.push(bucket);
                self.segments.push(segment);
            }
        }
        self.count += 1;
        if self.count == 2 * (self.mask + 1) {
            self.mask = self.count - 1;
        }
    }

    /// Takes the last one out; with it comes the one that it was split from, for what was in it. The only one stays.
    pub(super) fn merge_last(&mut self) -> Option<(B, &mut B)> {
        if self.count <= 1 {
            return None;
        }
        if self.is_level() {
            self.mask >>= 1;
        }
        let only = self.segments.len() == 1;
        let segment = self.segments.last_mut()?;
        let bucket = segment.pop()?;
        if segment.is_empty() {
            self.segments.pop();
            if self.segments.len() * 4 <= self.segments.capacity() {
                self.segments.shrink_to(self.segments.len() * 2);
            }
        } else if only && segment.len() * 4 <= segment.capacity() {
            segment.shrink_to(segment.len() * 2);
        }
        self.count -= 1;
        let (other, _) = self.next_split_mut()?;
        Some((bucket, other))
    }

    /// All of them, segment by segment.
    #[inline]
    pub(super) fn segments(&self) -> impl Iterator<Item = &[B]> {
        self.segments.iter().map(Vec::as_slice)
    }

    /// All of them.
    #[inline]
    pub(super) fn iter(&self) -> impl Iterator<Item = &B> {
        self.segments.iter().flatten()
    }

    /// Visits the buckets that `cursor` stands for and returns the next cursor; 0 starts and ends. What is in them from the
    /// start of such a walk to its end is visited at least once, whatever is inserted, removed, split or merged between
    /// the calls: the cursor counts up in its high bits, so that what a split makes of a visited bucket counts as visited,
    /// and so does the bucket that two visited ones are merged into.
    pub(super) fn scan(&self, cursor: u64, visit: impl FnMut(&B)) -> u64 {
        let mask = self.mask as u64;
        let low = (cursor & mask) as usize;
        // The second is there only where the bucket was split in this round.
        [low, low + self.mask + 1].into_iter().filter_map(|index| self.get(index)).for_each(visit);
        (cursor | !mask).reverse_bits().wrapping_add(1).reverse_bits()
    }

    /// How many halves of buckets [`Buckets::random`] draws from, in pairs.
    pub(super) fn halves(&self) -> usize {
        self.mask + 1
    }

    /// A bucket and the number of an item in it, so that each item has nearly the same chance. `places`: at least so many
    /// are drawn from in half a bucket. None where there is no item.
    pub(super) fn random(&self, rng: &mut Rng, places: usize, len: impl Fn(&B) -> usize) -> Option<(&B, usize)> {
        // As many halves of buckets as there were buckets if all were split: one that is not yet split, which holds about
        // twice as much, is two of them, and its items are in either by turns.
        let half = self.mask + 1;
        for _ in 0..RANDOM_TRIES_MAX {
            let drawn = rng.below(2 * half as u64) as usize;
            let (index, second) = if drawn < self.count { (drawn, false) } else { (drawn - half, true) };
            let is_whole = index >= self.count - half && index < half;
            let bucket = self.get(index)?;
            let share = if is_whole { (len(bucket) + usize::from(!second)) / 2 } else { len(bucket) };
            // Places without an item reject, so that an item's chance does not depend on its neighbours. A bucket with more
            // than the draw shares the chance of a full one.
            let drawn = rng.below(share.max(places) as u64) as usize;
            if drawn < share {
                return Some((bucket, if is_whole { 2 * drawn + usize::from(second) } else { drawn }));
            }
        }
        let start = rng.below(self.count as u64) as usize;
        let in_order = (start..self.count).chain(0..start).filter_map(|index| self.get(index));
        in_order.into_iter().find(|bucket| len(bucket) > 0).map(|bucket| (bucket, 0))
    }

    /// Bytes that they take, used or not.
    pub(super) fn bytes(&self) -> usize {
        let buckets: usize = self.segments.iter().map(Vec::capacity).sum();
        buckets * size_of::<B>() + self.segments.capacity() * size_of::<Vec<B>>()
    }

    /// What they must be between two calls.
    #[cfg(test)]
    pub(super) fn check(&self) {
        assert_eq!(self.iter().count(), self.count);
        assert!(self.count == 0 || (self.mask < self.count && self.count <= 2 * self.mask + 1));
        assert!(self.segments.iter().rev().skip(1).all(|segment| segment.len() == SEGMENT_BUCKETS));
    }

    /// The buckets as garbage, to be taken apart one by one.
    pub(super) fn into_rest(self) -> Rest<B> {
        Rest(self.segments)
    }
}

/// Buckets that nobody looks into any more.
pub(super) struct Rest<B>(Vec<Vec<B>>);

impl<B> Rest<B> {
    /// Takes one out.
    pub(super) fn pop(&mut self) -> Option<B> {
        let segment = self.0.last_mut()?;
        let bucket = segment.pop();
        if segment.is_empty() {
            self.0.pop();
        }
        bucket
    }

    /// Whether all memory has been given back.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
