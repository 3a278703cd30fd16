//! The table against plain maps: under growth, shrinkage, removal and iteration.

use std::collections::HashSet;
use std::num::NonZeroU64;

use proptest::prelude::*;

use super::*;
use crate::base::rng::Rng;
use crate::base::rng::evenness::{DEVIATIONS_MAX, deviations};

/// Draws for each that may come.
const DRAWS_EACH: usize = 60;

/// Items are numbers from 1 on. Their hash is spread or, with `CLASH`, so narrow that chains overflow.
fn spread(number: u64) -> u64 {
    Rng::seeded(number).next_u64()
}

fn item(number: u64) -> NonZeroU64 {
    NonZeroU64::new(number).unwrap()
}

/// A table of numbers with a given hash.
struct Numbers<H> {
    table: Table<NonZeroU64>,
    hash: H,
}

impl<H: Fn(u64) -> u64> Numbers<H> {
    fn new(hash: H) -> Numbers<H> {
        Numbers { table: Table::new(), hash }
    }

    fn insert(&mut self, number: u64) {
        let Numbers { table, hash } = self;
        table.insert_unique(hash(number), item(number), &|item: &NonZeroU64| hash(item.get()));
    }

    fn has(&self, number: u64) -> bool {
        self.table.get((self.hash)(number), |item| item.get() == number).is_some()
    }

    fn remove(&mut self, number: u64) -> bool {
        self.table.remove((self.hash)(number), |item| item.get() == number).is_some()
    }

    fn step(&mut self, steps: usize) -> bool {
        let Numbers { table, hash } = self;
        table.step(steps, &|item: &NonZeroU64| hash(item.get()))
    }

    fn settle(&mut self) {
        while self.step(100) {}
    }

    /// What every table must be between two calls.
    fn check(&self) {
        let table = &self.table;
        let mut count = 0;
        let mut overflows = 0;
        for (index, head) in table.buckets.iter().enumerate() {
            overflows += head.chain().count() - 1;
            for bucket in head.chain() {
                for slot in 0..SLOTS {
                    match &bucket.slots[slot] {
                        None => assert_eq!(bucket.tags[slot], 0),
                        Some(item) => {
                            let hash = (self.hash)(item.get());
                            assert_eq!(table.buckets.index_of(hash), index);
                            assert_eq!(bucket.tags[slot], tag_of(hash));
                            count += 1;
                        }
                    }
                }
            }
            assert!(head.chain().skip(1).all(|bucket| bucket.count() > 0), "an empty overflow bucket");
        }
        assert_eq!(count, table.len());
        assert_eq!(overflows, table.overflows);
        table.buckets.check();
    }
}

#[test]
fn tags_match_exactly() {
    let mut bucket = Bucket::empty();
    for slot in 0..SLOTS {
        bucket.put(slot, 0x80 | slot as u8, item(1));
    }
    // Neighbouring tags, which borrow-based word tricks confuse.
    for slot in 0..SLOTS {
        assert_eq!(bucket.matches(0x80 | slot as u8), 0x80 << (8 * slot));
    }
    assert_eq!(bucket.matches(0xff), 0);
    assert_eq!(Bucket::<NonZeroU64>::empty().matches(0x80), 0);
}

#[test]
fn an_empty_table_owns_nothing() {
    let mut numbers = Numbers::new(spread);
    assert_eq!(numbers.table.bytes(), 0);
    assert!(size_of::<Table<NonZeroU64>>() <= 72);
    assert!(!numbers.has(1));
    assert!(!numbers.remove(1));
    assert_eq!(numbers.table.scan(0, |_| panic!("no item")), 0);
    assert!(numbers.table.random(&mut Rng::seeded(1)).is_none());
    numbers.insert(1);
    assert!(numbers.table.bytes() <= 192);
    assert!(numbers.remove(1));
    numbers.settle();
    assert_eq!(numbers.table.bytes(), 0);
}

#[test]
fn growth_and_shrinkage_keep_the_load_in_bounds() {
    let mut numbers = Numbers::new(spread);
    const LAST: u64 = 100_000;
    for number in 1..=LAST {
        numbers.insert(number);
        let load = numbers.table.len() as f64 / numbers.table.buckets() as f64;
        assert!(load <= 5.0, "{load} after {number}");
        assert!(load >= 4.0 || number < 72, "{load} after {number}");
    }
    numbers.check();
    let bytes = numbers.table.bytes();
    assert!(bytes as u64 <= 18 * LAST, "{bytes}");
    for number in 1..=LAST {
        assert!(numbers.has(number));
        assert!(numbers.remove(number));
        assert!(!numbers.has(number));
        let (len, buckets) = (numbers.table.len(), numbers.table.buckets());
        assert!(buckets <= 4 || len * 10 >= buckets * 4, "{len} items in {buckets} buckets");
        assert!(number % 9973 != 0 || number == LAST || numbers.has(LAST));
    }
    numbers.check();
    assert!(numbers.table.bytes() * 100 < bytes);
    numbers.settle();
    assert_eq!(numbers.table.bytes(), 0);
}

#[test]
fn a_table_for_many_has_their_buckets() {
    for len in [0, 1, 4, 5, 6, 9, 10, 1000, 4608, 4609, 30_000] {
        let mut numbers = Numbers { table: Table::for_items(len as usize), hash: spread };
        let buckets = numbers.table.buckets();
        let mut grown = Numbers::new(spread);
        (1..=len).for_each(|number| numbers.insert(number));
        (1..=len).for_each(|number| grown.insert(number));
        numbers.check();
        assert_eq!((numbers.table.buckets(), grown.table.buckets()), (buckets, buckets), "{len}");
        assert!((1..=len).all(|number| numbers.remove(number)));
        assert!(numbers.table.is_empty());
    }
}

#[test]
fn one_change_moves_few_items() {
    let calls = std::cell::Cell::new(0);
    let mut table = Table::new();
    let rehash = |item: &NonZeroU64| {
        calls.set(calls.get() + 1);
        spread(item.get())
    };
    for number in 1..=200_000 {
        calls.set(0);
        let (buckets, segments) = (table.buckets(), table.buckets.segments().count());
        table.insert_unique(spread(number), item(number), &rehash);
        assert!(calls.get() <= 50, "{} items hashed again", calls.get());
        assert!(table.buckets() <= buckets + STEPS_PER_CHANGE && table.buckets.segments().count() <= segments + 1);
    }
    for number in 1..=200_000 {
        let buckets = table.buckets();
        table.remove(spread(number), |found| found.get() == number);
        assert!(table.buckets() + STEPS_PER_CHANGE >= buckets);
    }
}

#[test]
fn the_cron_finishes_what_changes_began() {
    let mut numbers = Numbers::new(spread);
    for number in 1..=10_000 {
        numbers.insert(number);
    }
    for number in 201..=10_000 {
        numbers.remove(number);
    }
    numbers.settle();
    numbers.check();
    assert!(!numbers.table.is_moving());
    assert!(numbers.table.buckets() <= 512, "{}", numbers.table.buckets());
    assert!((1..=200).all(|number| numbers.has(number)));
}

/// How even random choices are.
fn unevenness(numbers: &Numbers<impl Fn(u64) -> u64>, seed: u64) -> f64 {
    let mut rng = Rng::seeded(seed);
    deviations(numbers.table.len(), DRAWS_EACH, || numbers.table.random(&mut rng).unwrap().get())
}

#[test]
fn random_choice_is_even_at_every_state_of_growth_and_shrinkage() {
    let mut numbers = Numbers::new(spread);
    let mut states = Vec::new();
    for number in 1..=2400 {
        numbers.insert(number);
        // Levels begin at 576, 1152 and 2304 items.
        if [2, 30, 560, 580, 700, 900, 1100, 1728, 2400].contains(&number) {
            states.push((number, unevenness(&numbers, number)));
        }
    }
    for number in 1..=2100 {
        numbers.remove(number);
        if [600, 1500, 2000, 2100].contains(&number) {
            states.push((2400 - number, unevenness(&numbers, number)));
        }
    }
    assert!(numbers.table.is_moving() && numbers.table.buckets() > 64);
    assert!(states.iter().all(|(_, deviations)| *deviations < DEVIATIONS_MAX), "{states:?}");
}

#[test]
fn random_choice_finds_the_last_item_of_a_sparse_table() {
    let mut numbers = Numbers::new(spread);
    for number in 1..=20_000 {
        numbers.insert(number);
    }
    for number in 2..=20_000 {
        numbers.remove(number);
    }
    assert_eq!(numbers.table.random(&mut Rng::seeded(1)), Some(&item(1)));
}

#[test]
fn remains_are_dropped_in_slices() {
    let mut numbers = Numbers::new(spread);
    for number in 1..=10_000 {
        numbers.insert(number);
    }
    let mut remains = std::mem::take(&mut numbers.table).into_remains();
    let mut calls = 0;
    while !remains.is_empty() {
        let before = remains.len();
        remains.drop_some(100);
        assert!(before - remains.len() <= 130);
        calls += 1;
    }
    assert_eq!(remains.len(), 0);
    assert!(calls > 80, "{calls}");
}

#[test]
fn replace_hands_the_old_item_back() {
    let mut table = Table::new();
    // Items are equal in their low byte.
    let hash = |item: &NonZeroU64| spread(item.get() & 0xff);
    let replaced = |table: &mut Table<NonZeroU64>, number: u64| {
        table.replace(spread(number & 0xff), item(number), |item| item.get() & 0xff == number & 0xff, &hash)
    };
    assert_eq!(replaced(&mut table, 0x107), None);
    assert_eq!(replaced(&mut table, 0x207), Some(item(0x107)));
    assert_eq!(table.len(), 1);
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64),
    Remove(u64),
    /// Many at once: what makes the table grow and shrink.
    InsertRange(u64, u64),
    RemoveRange(u64, u64),
    Cron(usize),
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1u64..3000).prop_map(Step::Insert),
        4 => (1u64..3000).prop_map(Step::Remove),
        1 => (1u64..3000, 1u64..600).prop_map(|(from, count)| Step::InsertRange(from, count)),
        1 => (1u64..3000, 1u64..900).prop_map(|(from, count)| Step::RemoveRange(from, count)),
        1 => (0usize..200).prop_map(Step::Cron),
    ]
}

fn apply<H: Fn(u64) -> u64>(numbers: &mut Numbers<H>, model: &mut HashSet<u64>, step: &Step) {
    let (range, inserts) = match *step {
        Step::Insert(number) => (number..number + 1, true),
        Step::Remove(number) => (number..number + 1, false),
        Step::InsertRange(from, count) => (from..from + count, true),
        Step::RemoveRange(from, count) => (from..from + count, false),
        Step::Cron(steps) => {
            numbers.step(steps);
            return;
        }
    };
    for number in range {
        if !inserts {
            assert_eq!(numbers.remove(number), model.remove(&number));
        } else if model.insert(number) {
            assert!(!numbers.has(number));
            numbers.insert(number);
        }
    }
}

fn agrees<H: Fn(u64) -> u64>(hash: H, all: &[Step]) {
    let mut numbers = Numbers::new(hash);
    let mut model = HashSet::new();
    for step in all {
        apply(&mut numbers, &mut model, step);
        numbers.check();
    }
    assert_eq!(numbers.table.len(), model.len());
    assert_eq!(numbers.table.iter().map(|item| item.get()).collect::<HashSet<_>>(), model);
    assert!((1..4000).all(|number| numbers.has(number) == model.contains(&number)));
}

/// Walks with `scan` while `all` the steps happen between its calls, and expects every number from 1 to `stay`, which
/// no step touches.
fn scans_what_stays<H: Fn(u64) -> u64>(hash: H, stay: u64, all: &[Step]) {
    let shift = |step: &Step| match *step {
        Step::Insert(number) => Step::Insert(number + stay),
        Step::Remove(number) => Step::Remove(number + stay),
        Step::InsertRange(from, count) => Step::InsertRange(from + stay, count),
        Step::RemoveRange(from, count) => Step::RemoveRange(from + stay, count),
        Step::Cron(steps) => Step::Cron(steps),
    };
    let mut numbers = Numbers::new(hash);
    let mut model = HashSet::new();
    apply(&mut numbers, &mut model, &Step::InsertRange(1, stay));
    let mut seen = HashSet::new();
    let mut cursor = 0;
    let mut todo = all.iter();
    loop {
        cursor = numbers.table.scan(cursor, |item| _ = seen.insert(item.get()));
        if cursor == 0 {
            break;
        }
        if let Some(step) = todo.next() {
            apply(&mut numbers, &mut model, &shift(step));
        }
    }
    let missing: Vec<u64> = (1..=stay).filter(|number| !seen.contains(number)).collect();
    assert!(missing.is_empty(), "not visited: {missing:?}");
}

proptest! {
    #[test]
    fn any_history_agrees_with_a_set(all in prop::collection::vec(steps(), 0..60)) {
        agrees(spread, &all);
    }

    #[test]
    fn long_chains_agree_too(all in prop::collection::vec(steps(), 0..20)) {
        // Sixteen hashes: chains of hundreds of items that no split takes apart.
        agrees(|number| spread(number % 16), &all);
    }

    #[test]
    fn a_walk_visits_what_stays(stay in 1u64..400, all in prop::collection::vec(steps(), 0..200)) {
        scans_what_stays(spread, stay, &all);
    }
}

#[test]
fn a_walk_survives_growth_and_shrinkage_in_turn() {
    let grow_and_shrink: Vec<Step> = (0..6)
        .flat_map(|round| {
            let grow = (0..40).map(move |at| Step::InsertRange(1 + at * 100, 100 + round * 10));
            let shrink = (0..40).map(|at| Step::RemoveRange(1 + at * 120, 120));
            grow.chain(shrink)
        })
        .collect();
    for stay in [1, 10, 100, 1000] {
        for skip in 0..40 {
            scans_what_stays(spread, stay, &grow_and_shrink[skip..]);
        }
    }
}
