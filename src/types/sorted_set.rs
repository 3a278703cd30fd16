//! Sorted sets: one pack of members and scores in turns while they are few and short, then a tree (see `sorted_tree`).
//! Redis' conversions at Redis' limits. Any one thread.

#![forbid(unsafe_code)]

use std::ops::{Deref, Range};

use crate::base::float::{TextBuffer, parse_f64};
use crate::base::rng::Rng;
use crate::base::siphash::SipKey;
use crate::encoding::listpack::{self, Element, Listpack, Place};
use crate::encoding::packed::{Packed, ReadPack};
use crate::sys::prefetch::AHEAD;
use crate::types::sorted_tree::order;
pub use crate::types::sorted_tree::{Tree, TreeRemains, Unordered};

/// Up to here a pack keeps a score as an integer, where it is one.
const WHOLE_MAX: f64 = (i64::MAX / 2) as f64;

/// When a sorted set changes its encoding.
#[derive(Clone, Copy, Debug)]
pub struct SortedSetLimits {
    /// Members of a pack: `zset-max-listpack-entries`.
    pub entries: usize,
    /// Bytes of a member of a pack: `zset-max-listpack-value`.
    pub value: usize,
    /// What tables hash with.
    pub key: SipKey,
}

/// The sorted set. One that a key holds has members. No score is a NaN.
#[derive(Clone, Copy, Debug)]
pub enum SortedSet<P = Listpack, T = Box<Tree>> {
    /// Few and short members.
    Pack(P),
    /// Any.
    Tree(T),
}

/// A sorted set to be read, wherever it lies.
pub type SortedSetRef<'a> = SortedSet<Packed<'a>, &'a Tree>;

impl Default for SortedSet {
    fn default() -> SortedSet {
        SortedSet::Pack(Listpack::new())
    }
}

/// The score that a pack's element stands for.
fn score_of(element: Element<'_>) -> f64 {
    match element {
        Element::Int(number) => number as f64,
        Element::Bytes(text) => parse_f64(text).unwrap_or_default(),
    }
}

/// The text of a score in a pack.
fn score_text(score: f64) -> Vec<u8> {
    if score.abs() <= WHOLE_MAX && (score as i64) as f64 == score {
        return (score as i64).to_string().into_bytes();
    }
    TextBuffer::new().format(score).to_vec()
}

/// The pairs of a pack.
fn pairs(pack: Packed<'_>) -> impl Iterator<Item = (Place, Element<'_>, f64)> {
    pairs_from(pack, pack.first())
}

/// The same from one of them on.
fn pairs_from(pack: Packed<'_>, mut next: Option<Place>) -> impl Iterator<Item = (Place, Element<'_>, f64)> {
    std::iter::from_fn(move || {
        let place = next?;
        let score = pack.next(place)?;
        next = pack.next(score);
        Some((place, pack.get(place), score_of(pack.get(score))))
    })
}

/// Reading, wherever it lies.
impl<P: ReadPack, T: Deref<Target = Tree>> SortedSet<P, T> {
    /// The encoding as OBJECT ENCODING answers it.
    pub fn encoding(&self) -> &'static str {
        match self {
            SortedSet::Pack(_) => "listpack",
            SortedSet::Tree(_) => "skiplist",
        }
    }

    /// How many members there are.
    #[inline]
    pub fn len(&self) -> usize {
        match self {
            SortedSet::Pack(pack) => pack.read().len() / 2,
            SortedSet::Tree(tree) => tree.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The score of a member.
    #[inline]
    pub fn score(&self, member: &[u8]) -> Option<f64> {
        match self {
            SortedSet::Pack(pack) => {
                let place = pack.read().find(member, pack.read().first(), 1)?;
                Some(score_of(pack.read().get(pack.read().next(place)?)))
            }
            SortedSet::Tree(tree) => tree.score(member),
        }
    }

    /// The scores of the first [`AHEAD`] of these members, which are looked for at the same time.
    pub fn scores<'m>(&self, members: impl Iterator<Item = &'m [u8]> + Clone, scores: &mut [Option<f64>; AHEAD]) {
        match self {
            SortedSet::Tree(tree) => tree.scores(members, scores),
            SortedSet::Pack(_) => {
                scores.iter_mut().zip(members).for_each(|(score, member)| *score = self.score(member))
            }
        }
    }

    /// How many members come before this one.
    pub fn rank(&self, member: &[u8]) -> Option<usize> {
        match self {
            SortedSet::Tree(tree) => tree.rank(member),
            SortedSet::Pack(pack) => {
                let wanted = Element::of(member);
                pairs(pack.read()).position(|(_, member, _)| member == wanted)
            }
        }
    }

    /// How many members, from the first on, have scores that pass a test that none passes behind one that does not.
    pub fn count_by_score(&self, mut passes: impl FnMut(f64) -> bool) -> usize {
        match self {
            SortedSet::Tree(tree) => tree.count_by_score(passes),
            SortedSet::Pack(pack) => pairs(pack.read()).take_while(|(.., score)| passes(*score)).count(),
        }
    }

    /// The same for members' texts, where all scores are the same.
    pub fn count_by_text(&self, mut passes: impl FnMut(&[u8]) -> bool) -> usize {
        match self {
            SortedSet::Tree(tree) => tree.count_by_text(passes),
            SortedSet::Pack(pack) => pairs(pack.read()).take_while(|(_, member, _)| passes(&member.to_cow())).count(),
        }
    }

    /// Shows the members from a rank on, forwards or backwards, until `see` has enough.
    pub fn visit<'s>(&'s self, rank: usize, backwards: bool, mut see: impl FnMut(Element<'s>, f64) -> bool) {
        let pack = match self {
            SortedSet::Tree(tree) => return tree.visit(rank, backwards, see),
            SortedSet::Pack(pack) => pack,
        };
        let pack = pack.read();
        let Some(first) = pack.seek(2 * rank) else { return };
        if backwards {
            let shown = |place| pack.next(place).is_some_and(|score| see(pack.get(place), score_of(pack.get(score))));
            pack.back_from(first).step_by(2).all(shown);
        } else {
            pairs_from(pack, Some(first)).all(|(_, member, score)| see(member, score));
        }
    }

    /// Shows the members at these ranks; backwards from the last one.
    pub fn range<'s>(&'s self, ranks: Range<usize>, backwards: bool, mut see: impl FnMut(Element<'s>, f64)) {
        self.range_until(ranks, backwards, |member, score| {
            see(member, score);
            true
        });
    }

    /// The same until `see` has enough.
    pub fn range_until<'s>(
        &'s self,
        ranks: Range<usize>,
        backwards: bool,
        mut see: impl FnMut(Element<'s>, f64) -> bool,
    ) {
        if let SortedSet::Tree(tree) = self {
            return tree.range(ranks, backwards, see);
        }
        let mut left = ranks.len();
        if left > 0 {
            self.visit(if backwards { ranks.end - 1 } else { ranks.start }, backwards, |member, score| {
                left -= 1;
                see(member, score) && left > 0
            });
        }
    }

    /// Shows all members in order.
    pub fn each<'s>(&'s self, see: impl FnMut(Element<'s>, f64)) {
        self.range(0..self.len(), false, see);
    }

    /// A member chosen at random, shown with its score.
    pub fn random(&self, rng: &mut Rng, mut see: impl FnMut(Element<'_>, f64)) {
        if !self.is_empty() {
            let rank = rng.below(self.len() as u64) as usize;
            self.range(rank..rank + 1, false, &mut see);
        }
    }

    /// Visits some members, with the texts of their scores as Redis has them in either encoding, and returns the next
    /// cursor; 0 starts and ends. A small one is visited at once.
    pub fn scan(&self, cursor: u64, mut visit: impl FnMut(Element<'_>, Element<'_>)) -> u64 {
        match self {
            SortedSet::Tree(tree) => tree.scan(cursor, visit),
            SortedSet::Pack(pack) => {
                let mut texts = pack.read().iter();
                while let (Some(member), Some(score)) = (texts.next(), texts.next()) {
                    visit(member, score);
                }
                0
            }
        }
    }
}

impl SortedSet {
    /// The sorted set to be read.
    #[inline]
    pub fn view(&self) -> SortedSetRef<'_> {
        match self {
            SortedSet::Pack(pack) => SortedSet::Pack(pack.read()),
            SortedSet::Tree(tree) => SortedSet::Tree(tree),
        }
    }

    /// An empty one for about `count` members, none longer than `longest` bytes.
    pub fn for_members(count: usize, longest: usize, limits: &SortedSetLimits) -> SortedSet {
        if count <= limits.entries && longest <= limits.value {
            SortedSet::default()
        } else {
            SortedSet::Tree(Box::new(Tree::new(limits.key)))
        }
    }

    /// Bytes behind the sorted set.
    pub fn memory_usage(&self) -> usize {
        match self {
            SortedSet::Pack(pack) => pack.memory_usage(),
            SortedSet::Tree(tree) => size_of::<Tree>() + tree.memory_usage(),
        }
    }

    /// How many allocations freeing it takes, about.
    pub fn effort(&self) -> usize {
        match self {
            SortedSet::Pack(_) => 1,
            SortedSet::Tree(tree) => tree.len(),
        }
    }

    /// Called before so many members are added: changes the encoding where that is more than a pack may have.
    pub fn make_room(&mut self, count: usize, limits: &SortedSetLimits) {
        if count > limits.entries {
            self.tree(limits);
        }
    }

    /// Turns it into a tree.
    fn tree(&mut self, limits: &SortedSetLimits) -> &mut Tree {
        if let SortedSet::Pack(pack) = self {
            let mut tree = Tree::new(limits.key);
            for (_, member, score) in pairs(pack.read()) {
                tree.set(&member.to_cow(), score);
            }
            *self = SortedSet::Tree(Box::new(tree));
        }
        match self {
            SortedSet::Tree(tree) => tree,
            SortedSet::Pack(_) => unreachable!("it was just made a tree"),
        }
    }

    /// Sets the score of a member. Returns whether the member is new.
    #[inline]
    pub fn set(&mut self, member: &[u8], score: f64, limits: &SortedSetLimits) -> bool {
        let mut is_new = false;
        self.update(member, limits, |former| {
            is_new = former.is_none();
            Some(score)
        });
        is_new
    }

    /// Gives a member the score that `decide` makes of the one that it has, if it is one; nothing changes where that
    /// answers none.
    #[inline]
    pub fn update(&mut self, member: &[u8], limits: &SortedSetLimits, decide: impl FnOnce(Option<f64>) -> Option<f64>) {
        let pack = match self {
            SortedSet::Tree(tree) => return tree.update(member, decide),
            SortedSet::Pack(pack) => pack,
        };
        if let Some(place) = pack.find(member, pack.first(), 1) {
            let there = pack.next(place).map(|place| score_of(pack.get(place)));
            if let Some(score) = decide(there)
                && there != Some(score)
            {
                pack.remove_many(place, 2);
                insert_pair(pack, member, score);
            }
            return;
        }
        let Some(score) = decide(None) else { return };
        let fits = pack.len() / 2 < limits.entries
            && member.len() <= limits.value
            && pack.bytes_bound() + member.len() < listpack::BYTES_MAX;
        if fits {
            insert_pair(pack, member, score);
        } else {
            self.tree(limits).set(member, score);
        }
    }

    /// Removes a member. Returns whether it was one.
    #[inline]
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match self {
            SortedSet::Tree(tree) => tree.remove(member),
            SortedSet::Pack(pack) => match pack.find(member, pack.first(), 1) {
                Some(place) => {
                    pack.remove_many(place, 2);
                    true
                }
                None => false,
            },
        }
    }

    /// Takes out `count` members at an end, of which there are so many, each shown.
    pub fn pop(&mut self, count: usize, highest: bool, see: impl FnMut(Element<'_>, f64)) {
        if let SortedSet::Tree(tree) = self {
            return tree.pop(count, highest, see);
        }
        let ranks = if highest { self.len() - count..self.len() } else { 0..count };
        self.view().range(ranks.clone(), highest, see);
        self.remove_range(ranks);
    }

    /// Removes the members at these ranks.
    pub fn remove_range(&mut self, ranks: Range<usize>) {
        match self {
            SortedSet::Tree(tree) => tree.remove_range(ranks),
            SortedSet::Pack(pack) => {
                if let Some(place) = pack.seek(2 * ranks.start) {
                    pack.remove_many(place, 2 * ranks.len());
                }
            }
        }
    }

    /// The same members in a pack, where they are few and short enough: for a result that was worked out in a tree.
    pub fn packed(self, limits: &SortedSetLimits) -> SortedSet {
        let (mut fits, mut pack) = (self.len() <= limits.entries, Listpack::new());
        self.visit(0, false, |member, score| {
            fits &= member.len() <= limits.value;
            if fits {
                pack.push_back(&member.to_cow());
                pack.push_back(&score_text(score));
            }
            fits
        });
        if fits { SortedSet::Pack(pack) } else { self }
    }

    /// A sorted set of a pack that came from elsewhere: each member once, and in order.
    pub fn from_pack(pack: Listpack, limits: &SortedSetLimits) -> Option<SortedSet> {
        if pack.is_empty() || !pack.len().is_multiple_of(2) {
            return None;
        }
        let mut tree = Tree::new(limits.key);
        let mut last: Option<(f64, Vec<u8>)> = None;
        for (place, member, score) in pairs(pack.read()) {
            let is_number = match pack.next(place).map(|place| pack.get(place)) {
                Some(Element::Bytes(text)) => parse_f64(text).is_some(),
                other => other.is_some(),
            };
            let text = member.to_vec();
            let follows = last.as_ref().is_none_or(|last| order((last.0, &last.1), (score, &text)).is_lt());
            if !is_number || !follows || !tree.set(&text, score) {
                return None;
            }
            last = Some((score, text));
        }
        let fits = tree.len() <= limits.entries;
        Some(if fits { SortedSet::Pack(pack) } else { SortedSet::Tree(Box::new(tree)) })
    }
}

/// Puts a new member into its place in a pack.
fn insert_pair(pack: &mut Listpack, member: &[u8], score: f64) {
    let behind = pairs(pack.read())
        .find(|(_, other, other_score)| order((*other_score, &other.to_cow()), (score, member)).is_gt());
    match behind.map(|(place, ..)| place) {
        Some(place) => {
            let place = pack.insert_before(place, &score_text(score));
            pack.insert_before(place, member);
        }
        None => {
            pack.push_back(member);
            pack.push_back(&score_text(score));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::rng::Rng;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    fn limits() -> SortedSetLimits {
        SortedSetLimits { entries: 6, value: 5, key: SipKey::new(1, 2) }
    }

    #[test]
    fn the_encoding_follows_the_members() {
        let with = |count: usize, prefix: &str| {
            let mut set = SortedSet::default();
            (0..count).for_each(|number| _ = set.set(format!("{prefix}{number}").as_bytes(), 1.0, &limits()));
            (set.len(), set.encoding())
        };
        assert_eq!(with(6, "1234"), (6, "listpack"));
        assert_eq!(with(7, "1"), (7, "skiplist"));
        assert_eq!(with(1, "12345"), (1, "skiplist"));
        assert_eq!(SortedSet::for_members(7, 1, &limits()).encoding(), "skiplist");
        assert_eq!(SortedSet::for_members(6, 6, &limits()).encoding(), "skiplist");
        assert_eq!(SortedSet::for_members(6, 5, &limits()).encoding(), "listpack");
    }

    #[test]
    fn scores_in_packs_are_integers_where_they_can_be() {
        for (score, text) in [(0.0, "0"), (-0.0, "0"), (1e17, "100000000000000000"), (1e20, "1e+20"), (0.1, "0.1")] {
            assert_eq!(score_text(score), text.as_bytes(), "{score}");
        }
        assert_eq!(score_text(f64::INFINITY), b"inf");
        assert_eq!(score_of(Element::Bytes(b"-inf")), f64::NEG_INFINITY);
    }

    #[test]
    fn results_are_packed_where_they_fit() {
        let with = |texts: &[&str]| {
            let mut set = SortedSet::for_members(usize::MAX, 0, &limits());
            texts.iter().for_each(|text| _ = set.set(text.as_bytes(), 1.5, &limits()));
            let packed = set.clone().packed(&limits());
            let mut scores = Vec::new();
            packed.each(|member, score| scores.push((member.to_vec(), score)));
            assert!(scores.iter().all(|(member, score)| set.score(member) == Some(*score)));
            (set.encoding(), packed.encoding(), scores.len())
        };
        assert_eq!(with(&["a", "b"]), ("skiplist", "listpack", 2));
        assert_eq!(with(&["a", "letter"]), ("skiplist", "skiplist", 2));
        assert_eq!(with(&["a", "b", "c", "d", "e", "f", "g"]), ("skiplist", "skiplist", 7));
    }

    #[test]
    fn packs_from_elsewhere_are_in_order() {
        let pack = |texts: &[&str]| {
            let mut pack = Listpack::new();
            texts.iter().for_each(|text| pack.push_back(text.as_bytes()));
            SortedSet::from_pack(pack, &limits()).map(|set| (set.len(), set.encoding()))
        };
        assert_eq!(pack(&["a", "1", "b", "1", "a0", "1.5"]), Some((3, "listpack")));
        assert_eq!(pack(&["b", "1", "a", "1"]), None);
        assert_eq!(pack(&["a", "1", "a", "2"]), None);
        assert_eq!(pack(&["a", "x"]), None);
        assert_eq!(pack(&["a"]), None);
        assert_eq!(pack(&[]), None);
    }

    #[test]
    fn a_big_one_is_dropped_in_slices() {
        let mut tree = Tree::new(SipKey::new(1, 2));
        (0..5000).for_each(|number: i32| _ = tree.set(number.to_string().as_bytes(), f64::from(number)));
        let mut remains = tree.into_remains();
        let mut slices = 0;
        while remains.drop_some(1000) == 0 {
            slices += 1;
        }
        assert!((8..16).contains(&slices), "{slices}");
    }

    #[test]
    fn memory_is_given_back_as_members_go() {
        let mut rng = Rng::seeded(5);
        let mut members: Vec<i32> = (0..30_000).collect();
        let mut tree = Tree::new(SipKey::new(1, 2));
        members.iter().for_each(|number| _ = tree.set(number.to_string().as_bytes(), f64::from(number % 1000)));
        let full = tree.memory_usage();
        while members.len() > 300 {
            let number = members.swap_remove(rng.below(members.len() as u64) as usize);
            assert!(tree.remove(number.to_string().as_bytes()));
        }
        let left = tree.memory_usage();
        assert!(left < full / 16, "{left} of {full} bytes for 1 of 100 members");
        members.sort_by_key(|number| (number % 1000, number.to_string()));
        let mut seen = Vec::new();
        tree.visit(0, false, |member, _| {
            seen.push(String::from_utf8_lossy(&member.to_cow()).parse::<i32>().expect("a number"));
            true
        });
        assert_eq!(seen, members);
        assert!(
            members.iter().all(|number| tree.score(number.to_string().as_bytes()) == Some(f64::from(number % 1000)))
        );
    }

    /// Members by order, from the model.
    fn sorted(model: &BTreeMap<String, f64>) -> Vec<(String, f64)> {
        let mut all: Vec<(String, f64)> = model.iter().map(|(member, score)| (member.clone(), *score)).collect();
        all.sort_by(|left, right| order((left.1, left.0.as_bytes()), (right.1, right.0.as_bytes())));
        all
    }

    fn check(set: &SortedSet, model: &BTreeMap<String, f64>) {
        let wanted = sorted(model);
        let text = |member: Element<'_>| String::from_utf8_lossy(&member.to_cow()).into_owned();
        let (mut there, mut back) = (Vec::new(), Vec::new());
        set.each(|member, score| there.push((text(member), score)));
        set.range(0..set.len(), true, |member, score| back.push((text(member), score)));
        back.reverse();
        assert_eq!((&there, &back), (&wanted, &wanted));
        for (rank, (member, score)) in wanted.iter().enumerate() {
            assert_eq!(set.rank(member.as_bytes()), Some(rank));
            assert_eq!(set.score(member.as_bytes()), Some(*score));
            assert_eq!(set.count_by_score(|other| other < *score), wanted.partition_point(|other| other.1 < *score));
        }
        let mut scanned = BTreeMap::new();
        let mut cursor = 0;
        loop {
            cursor = set.scan(cursor, |member, score| _ = scanned.insert(text(member), score_of(score)));
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(&scanned, model);
        let mut rng = Rng::seeded(3);
        let mut drawn = None;
        set.random(&mut rng, |member, score| drawn = Some((text(member), score)));
        assert_eq!(drawn.is_none(), model.is_empty());
        assert!(drawn.is_none_or(|(member, score)| model.get(&member) == Some(&score)));
    }

    proptest! {
        /// SCAN's promise, while the table grows and shrinks and members change their slots.
        #[test]
        fn members_that_stay_are_scanned(
            rounds in prop::collection::vec((any::<bool>(), 1usize..60, 1u32..600), 1..8),
        ) {
            let mut set = SortedSet::for_members(usize::MAX, 0, &limits());
            let stays = |number: u32| number.is_multiple_of(11);
            (0..2000u32).for_each(|number| _ = set.set(number.to_string().as_bytes(), f64::from(number % 7), &limits()));
            let (mut seen, mut cursor, mut next) = (std::collections::BTreeSet::new(), 0, 2000);
            let mut others: Vec<u32> = (0..2000).filter(|number| !stays(*number)).collect();
            // A table that grows all the time would never be walked to its end.
            let mut steps = rounds.iter().cycle().take(200);
            loop {
                cursor = set.scan(cursor, |member, _| _ = seen.insert(member.to_vec()));
                if cursor == 0 {
                    break;
                }
                let Some(&(adds, count, stride)) = steps.next() else { continue };
                for step in 0..count {
                    if adds {
                        set.set(next.to_string().as_bytes(), f64::from(next % 5), &limits());
                        others.push(next);
                        next += 1;
                    } else if !others.is_empty() {
                        let gone = others.swap_remove((step * stride as usize) % others.len());
                        prop_assert!(set.remove(gone.to_string().as_bytes()));
                    }
                }
            }
            for number in (0..2000u32).filter(|number| stays(*number)) {
                prop_assert!(seen.contains(number.to_string().as_bytes()), "{number}");
            }
        }
    }

    proptest! {
        #[test]
        fn agrees_with_a_map(
            steps in prop::collection::vec(
                (0u8..6, "[0-9]{1,2}|[a-d]{1,2}|[a-c]{6}", prop::sample::select(vec![
                    0.0, 1.0, -1.0, 0.5, 1e17, 1e300, f64::INFINITY, f64::NEG_INFINITY, 3.0,
                ]), any::<usize>()),
                1..80,
            ),
        ) {
            let (mut set, mut model) = (SortedSet::default(), BTreeMap::new());
            for (what, member, score, at) in steps {
                match what {
                    0 => prop_assert_eq!(set.remove(member.as_bytes()), model.remove(&member).is_some()),
                    1 if !model.is_empty() && at % 7 == 0 => {
                        let start = at % model.len();
                        let end = (start + 3).min(model.len());
                        sorted(&model)[start..end].iter().for_each(|(member, _)| _ = model.remove(member));
                        set.remove_range(start..end);
                    }
                    2 if !model.is_empty() && at % 3 == 0 => {
                        let (count, highest) = (at % model.len().min(5), at % 2 == 0);
                        let mut wanted = sorted(&model);
                        if highest {
                            wanted.reverse();
                        }
                        wanted.truncate(count);
                        let mut seen = Vec::new();
                        set.pop(count, highest, |member, score| {
                            seen.push((String::from_utf8_lossy(&member.to_cow()).into_owned(), score));
                        });
                        prop_assert_eq!(&seen, &wanted);
                        seen.iter().for_each(|(member, _)| _ = model.remove(member));
                    }
                    _ => {
                        let new = model.insert(member.clone(), score).is_none();
                        prop_assert_eq!(set.set(member.as_bytes(), score, &limits()), new);
                    }
                }
                check(&set, &model);
                prop_assert_eq!(set.len(), model.len());
            }
            check(&set.clone(), &model);
        }
    }
}
