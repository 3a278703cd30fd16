//! HOT PATH. Texts, hashed: what a big set is. Any one thread.
//!
//! Buckets are split and merged one at a time (`buckets`). What is in a bucket lies in one allocation, a page,
//! so that a short member takes little more than its text, and finding it one page:
//!
//! ```text
//!   | members: u16 | tag | tag | ... | length | length | ... | text | text | ... | room |
//! ```
//!
//! A tag is a byte of the member's hash. Long members would make pages that are slow to change; they are fields without
//! values, and are found as such. Members are chosen by clients, so the hash is keyed.

#![forbid(unsafe_code)]

use super::buckets::{Buckets, Rest};
use super::fields::{Fields, FieldsRemains};
use crate::base::rng::Rng;
use crate::base::siphash::SipKey;
use crate::sys::prefetch::{AHEAD, CACHE_LINE, prefetch_line};

/// The longest member of a page, in bytes.
const SHORT_MAX: usize = 64;
/// Members of a bucket, on average, from which on the next one is split.
const LOAD: usize = 8;
/// Members of a bucket, on average, below which the last one is merged.
const LOAD_MIN: usize = 3;
/// Bytes of a page before the first tag.
const HEADER: usize = 2;
/// Bytes of a page for a member, beside its text.
const OVERHEAD: usize = 2;
// A group of texts is spoken of in the bits of a word.
const _: () = assert!(AHEAD <= u32::BITS as usize);

/// Pages that are asked for before the first of them is shown.
const PAGES_AHEAD: usize = 4;
/// Steps in which small pages grow, in bytes.
const STEP: usize = 32;
/// Places that a random choice draws from in half a bucket: more than it ever has, but for the unlikeliest.
const RANDOM_PLACES: usize = 3 * LOAD;
/// The same where there is hardly a member, so that a draw hits one in time.
const RANDOM_PLACES_SPARSE: usize = 4;

/// The size to ask the allocator for.
fn roomy(size: usize) -> usize {
    let step = if size <= 4 * STEP { STEP } else { 1 << ((size - 1).ilog2() - 2) };
    size.next_multiple_of(step)
}

/// The members of one bucket. Without any it owns no memory.
#[derive(Clone, Default)]
struct Page(Box<[u8]>);

/// Where a member is: which one it is, and where its text begins.
#[derive(Clone, Copy)]
struct Place {
    index: usize,
    start: usize,
}

impl Page {
    /// An empty one with room for members of so many bytes, what they take beside their texts included.
    fn with_room(bytes: usize) -> Page {
        if bytes == 0 { Page::default() } else { Page(vec![0; roomy(HEADER + bytes)].into()) }
    }

    /// Asks for it, some time before it is read.
    #[inline]
    fn prefetch(&self) {
        let start = self.0.as_ptr();
        prefetch_line(start);
        prefetch_line(start.wrapping_add(CACHE_LINE));
    }

    #[inline]
    fn count(&self) -> usize {
        self.0.first_chunk().map_or(0, |bytes| usize::from(u16::from_le_bytes(*bytes)))
    }

    fn set_count(&mut self, count: usize) {
        let count = u16::try_from(count).expect("a keyed hash puts no thousands of members into one bucket");
        self.0[..HEADER].copy_from_slice(&count.to_le_bytes());
    }

    #[inline]
    fn tags(&self) -> &[u8] {
        match self.count() {
            0 => &[],
            count => &self.0[HEADER..HEADER + count],
        }
    }

    #[inline]
    fn lens(&self) -> &[u8] {
        match self.count() {
            0 => &[],
            count => &self.0[HEADER + count..HEADER + 2 * count],
        }
    }

    /// Bytes in use.
    #[inline]
    fn used(&self) -> usize {
        HEADER + self.lens().iter().map(|len| OVERHEAD + usize::from(*len)).sum::<usize>()
    }

    #[inline]
    fn find(&self, tag: u8, text: &[u8]) -> Option<Place> {
        let lens = self.lens();
        let mut start = HEADER + 2 * lens.len();
        let mut before = 0;
        for (index, there) in self.tags().iter().enumerate() {
            if *there != tag || usize::from(lens[index]) != text.len() {
                continue;
            }
            start += lens[before..index].iter().map(|len| usize::from(*len)).sum::<usize>();
            before = index;
            if self.0[start..start + text.len()] == *text {
                return Some(Place { index, start });
            }
        }
        None
    }

    /// All members.
    #[inline]
    fn texts(&self) -> impl Iterator<Item = &[u8]> {
        let mut start = HEADER + 2 * self.count();
        self.lens().iter().map(move |len| {
            let begin = start;
            start += usize::from(*len);
            &self.0[begin..start]
        })
    }

    /// Adds a member that is not there.
    fn push(&mut self, tag: u8, text: &[u8]) {
        let (count, used) = (self.count(), self.used());
        let size = used + OVERHEAD + text.len();
        if size > self.0.len() {
            let mut bytes = vec![0; roomy(size)];
            bytes[..used.min(self.0.len())].copy_from_slice(&self.0[..used.min(self.0.len())]);
            self.0 = bytes.into();
        }
        let (lens, texts) = (HEADER + count, HEADER + 2 * count);
        self.0.copy_within(texts..used, texts + 2);
        self.0.copy_within(lens..texts, lens + 1);
        self.0[lens] = tag;
        self.0[texts + 1] = text.len() as u8;
        self.0[used + 2..size].copy_from_slice(text);
        self.set_count(count + 1);
    }

    fn remove(&mut self, place: Place) {
        let (count, used) = (self.count(), self.used());
        if count == 1 {
            self.0 = Box::default();
            return;
        }
        let lens = HEADER + count;
        let len = usize::from(self.0[lens + place.index]);
        // What stays closes ranks, from the back: texts behind it, all between its length and it, and between its tag and
        // its length.
        self.0.copy_within(place.start + len..used, place.start);
        self.0.copy_within(lens + place.index + 1..used - len, lens + place.index);
        self.0.copy_within(HEADER + place.index + 1..used - len - 1, HEADER + place.index);
        self.set_count(count - 1);
        let left = used - len - OVERHEAD;
        if roomy(left) * 2 <= self.0.len() {
            let mut bytes = vec![0; roomy(left)];
            bytes[..left].copy_from_slice(&self.0[..left]);
            self.0 = bytes.into();
        }
    }

    /// Parts the members in two: those that stay, and those that `moves` wants elsewhere.
    fn split(&mut self, moves: impl Fn(&[u8]) -> bool) -> Page {
        let mut moved = [0u64; 4];
        let (mut bytes, mut all) = (0, 0);
        for (index, text) in self.texts().enumerate() {
            let size = OVERHEAD + text.len();
            all += size;
            if moves(text) {
                bytes += size;
                if let Some(word) = moved.get_mut(index / 64) {
                    *word |= 1 << (index % 64);
                }
            }
        }
        let (mut stay, mut fresh) = (Page::with_room(all - bytes), Page::with_room(bytes));
        for (index, (tag, text)) in self.tags().iter().zip(self.texts()).enumerate() {
            // A page of more members than there are bits asks again.
            let goes = moved.get(index / 64).map_or_else(|| moves(text), |word| word >> (index % 64) & 1 != 0);
            let page = if goes { &mut fresh } else { &mut stay };
            page.push(*tag, text);
        }
        *self = stay;
        fresh
    }

    /// Adds all members of another page.
    fn append(&mut self, other: &Page) {
        if self.0.is_empty() {
            *self = other.clone();
            return;
        }
        let mut both = Page::with_room(self.used() + other.used() - 2 * HEADER);
        for page in [&*self, other] {
            page.tags().iter().zip(page.texts()).for_each(|(tag, text)| both.push(*tag, text));
        }
        *self = both;
    }
}

/// The members.
#[derive(Clone)]
pub struct Members {
    pages: Buckets<Page>,
    /// Members in pages.
    short: usize,
    /// Members that are too long for pages.
    long: Fields,
    key: SipKey,
}

/// The top bits: the low ones choose the bucket.
#[inline]
fn tag_of(hash: u64) -> u8 {
    (hash >> 56) as u8
}

impl Members {
    /// None, to be hashed with this key.
    pub fn new(key: SipKey) -> Members {
        Members { pages: Buckets::new(), short: 0, long: Fields::new(key), key }
    }

    /// None, with the buckets that members of these lengths need, so that none is split while they are added.
    pub fn for_lens(lens: impl Iterator<Item = usize>, key: SipKey) -> Members {
        Members::for_short(lens.filter(|len| *len <= SHORT_MAX).count(), key)
    }

    /// The same for so many short ones.
    pub fn for_short(count: usize, key: SipKey) -> Members {
        let mut members = Members::new(key);
        (0..count.div_ceil(LOAD)).for_each(|_| members.pages.push(Page::default()));
        members
    }

    /// How many there are.
    #[inline]
    pub fn len(&self) -> usize {
        self.short + self.long.len()
    }

    /// How many of them are short.
    pub fn short_len(&self) -> usize {
        self.short
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The page of a hash.
    #[inline]
    fn page_of(&self, hash: u64) -> Option<&Page> {
        self.pages.get(self.pages.index_of(hash))
    }

    /// Whether a text is a member.
    #[inline]
    pub fn contains(&self, text: &[u8]) -> bool {
        if text.len() > SHORT_MAX {
            return self.long.contains(text);
        }
        self.contains_short(self.key.hash13(text), text)
    }

    /// Adds a member. Returns whether it is new.
    #[inline]
    pub fn add(&mut self, text: &[u8]) -> bool {
        if text.len() > SHORT_MAX {
            return self.long.set(text, b"");
        }
        let hash = self.key.hash13(text);
        let is_new = !self.contains_short(hash, text);
        if is_new {
            self.add_short(hash, text);
        }
        is_new
    }

    #[inline]
    fn contains_short(&self, hash: u64, text: &[u8]) -> bool {
        self.page_of(hash).is_some_and(|page| page.find(tag_of(hash), text).is_some())
    }

    /// Adds a member that is not there.
    #[inline]
    fn add_short(&mut self, hash: u64, text: &[u8]) {
        if self.short >= self.pages.len() * LOAD {
            self.grow();
        }
        let index = self.pages.index_of(hash);
        let page = self.pages.get_mut(index).expect("growing left at least one bucket");
        page.push(tag_of(hash), text);
        self.short += 1;
    }

    /// Asks for where a text is looked for: what tells of its page. Returns what [`Members::prefetch_page`] takes. None for
    /// a long one.
    #[inline]
    pub fn prefetch_place(&self, text: &[u8]) -> Option<u64> {
        if text.len() > SHORT_MAX {
            return None;
        }
        let hash = self.key.hash13(text);
        if let Some(page) = self.page_of(hash) {
            prefetch_line(std::ptr::from_ref(page));
        }
        Some(hash)
    }

    /// Asks for the page itself, once what tells of it has arrived.
    #[inline]
    pub fn prefetch_page(&self, hash: u64) {
        if let Some(page) = self.page_of(hash) {
            page.prefetch();
        }
    }

    /// The hashes of the first [`AHEAD`] of these texts that are short, which are on their way from now on.
    #[inline]
    fn approach(&self, texts: &[&[u8]], wanted: u32) -> [u64; AHEAD] {
        let mut hashes = [0; AHEAD];
        for (index, (hash, text)) in hashes.iter_mut().zip(texts).enumerate() {
            if wanted >> index & 1 != 0 && text.len() <= SHORT_MAX {
                *hash = self.key.hash13(text);
                if let Some(page) = self.page_of(*hash) {
                    page.prefetch();
                }
            }
        }
        hashes
    }

    /// Which of these texts are members: a bit for each, the lowest for the first. Only those are looked for that have a
    /// bit in `wanted`, among the first [`AHEAD`]: all at the same time, because the memory is waited for.
    pub fn which(&self, texts: &[&[u8]], wanted: u32) -> u32 {
        let hashes = self.approach(texts, wanted);
        let mut found = 0;
        for (index, (hash, text)) in hashes.into_iter().zip(texts).enumerate() {
            let is_there = wanted >> index & 1 != 0
                && if text.len() > SHORT_MAX { self.long.contains(text) } else { self.contains_short(hash, text) };
            found |= u32::from(is_there) << index;
        }
        found
    }

    /// Adds the first [`AHEAD`] of these texts. `new`: none of them is there.
    pub fn add_all(&mut self, texts: &[&[u8]], new: bool) {
        let hashes = self.approach(texts, u32::MAX);
        for (hash, text) in hashes.into_iter().zip(texts) {
            if text.len() > SHORT_MAX {
                self.long.set(text, b"");
            } else if new || !self.contains_short(hash, text) {
                self.add_short(hash, text);
            }
        }
    }

    /// Shows all members, in the order of [`Members::iter`], until `see` has enough. Those to come are on their way
    /// meanwhile.
    #[inline]
    pub fn visit<'m>(&'m self, mut see: impl FnMut(&'m [u8]) -> bool) {
        for segment in self.pages.segments() {
            for (index, page) in segment.iter().enumerate() {
                if let Some(ahead) = segment.get(index + PAGES_AHEAD) {
                    ahead.prefetch();
                }
                if !page.texts().all(&mut see) {
                    return;
                }
            }
        }
        let _ = self.long.iter().all(|(text, _)| see(text));
    }

    /// Removes a member. Returns whether it was one.
    #[inline]
    pub fn remove(&mut self, text: &[u8]) -> bool {
        if text.len() > SHORT_MAX {
            return self.long.remove(text);
        }
        let hash = self.key.hash13(text);
        let index = self.pages.index_of(hash);
        let Some(page) = self.pages.get_mut(index) else { return false };
        let Some(place) = page.find(tag_of(hash), text) else { return false };
        page.remove(place);
        self.short -= 1;
        if self.short < self.pages.len() * LOAD_MIN {
            self.merge_last();
        }
        true
    }

    /// All members, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &[u8]> {
        let short = self.pages.iter().flat_map(Page::texts);
        short.chain(self.long.iter().map(|(text, _)| text))
    }

    /// A member chosen at random, each with nearly the same chance.
    pub fn random(&self, rng: &mut Rng) -> Option<&[u8]> {
        if self.is_empty() {
            return None;
        }
        if rng.below(self.len() as u64) >= self.short as u64 {
            return self.long.random(rng).map(|(text, _)| text);
        }
        let places = RANDOM_PLACES.min(RANDOM_PLACES_SPARSE + 2 * self.short / self.pages.halves());
        let (page, number) = self.pages.random(rng, places, Page::count)?;
        page.texts().nth(number)
    }

    /// Visits some members and returns the next cursor; 0 starts and ends. What `Table::scan` promises holds here.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(&[u8])) -> u64 {
        // The lowest bit says among which it walks, so that cursors stay as small as the buckets are few.
        if cursor & 1 == 0 {
            let next = self.pages.scan(cursor >> 1, |page| page.texts().for_each(&mut visit));
            return if next == 0 && !self.long.is_empty() { 1 } else { next << 1 };
        }
        match self.long.scan(cursor >> 1, |text, _| visit(text)) {
            0 => 0,
            next => next << 1 | 1,
        }
    }

    /// Bytes of all its allocations.
    pub fn memory_usage(&self) -> usize {
        let texts: usize = self.pages.iter().map(|page| page.0.len()).sum();
        self.pages.bytes() + texts + self.long.memory_usage()
    }

    /// The members as garbage, to be dropped in slices.
    pub fn into_remains(self) -> MembersRemains {
        MembersRemains { pages: self.pages.into_rest(), long: self.long.into_remains() }
    }

    /// Splits the next bucket.
    #[inline(never)]
    fn grow(&mut self) {
        let key = self.key;
        let fresh = match self.pages.next_split_mut() {
            Some((page, bit)) => page.split(|text| key.hash13(text) as usize & bit != 0),
            None => Page::default(),
        };
        self.pages.push(fresh);
        // The one that comes next, in some insertions' time, is likely far away.
        if let Some(page) = self.pages.next_split() {
            page.prefetch();
        }
    }

    /// Empties the last bucket into the one that it was split from.
    #[inline(never)]
    fn merge_last(&mut self) {
        match self.pages.merge_last() {
            Some((last, page)) if !last.0.is_empty() => page.append(&last),
            None if self.short == 0 => self.pages = Buckets::new(),
            _ => {}
        }
    }
}

impl std::fmt::Debug for Members {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_set().entries(self.iter().map(|text| text.escape_ascii().to_string())).finish()
    }
}

/// What is left of members that nobody looks for any more, to be dropped in slices.
pub struct MembersRemains {
    pages: Rest<Page>,
    long: FieldsRemains,
}

impl MembersRemains {
    /// Drops about `work` pages and long members. Returns what is left of `work`.
    pub fn drop_some(&mut self, mut work: usize) -> usize {
        while work > 0 && self.pages.pop().is_some() {
            work -= 1;
        }
        if work == 0 { 0 } else { self.long.drop_some(work) }
    }
}

#[cfg(test)]
#[path = "members_tests.rs"]
mod tests;
