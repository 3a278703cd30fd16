//! Tests of the members of big sets.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::base::rng::Rng;
use crate::base::rng::evenness::{DEVIATIONS_MAX, deviations};

/// Draws for each that may come.
const DRAWS_EACH: usize = 60;

fn members() -> Members {
    Members::new(SipKey::new(1, 2))
}

/// The text that a number stands for in most tests.
fn text(number: u32) -> Vec<u8> {
    format!("m{number:07}").into_bytes()
}

impl Members {
    fn check(&self, model: &BTreeSet<Vec<u8>>) {
        let mut short = 0;
        for (index, page) in self.pages.iter().enumerate() {
            assert_eq!(page.tags().len(), page.texts().count());
            assert!(page.used() <= page.0.len().max(HEADER));
            assert!(page.count() > 0 || page.0.len() <= STEP, "an empty page keeps memory");
            for (tag, text) in page.tags().iter().zip(page.texts()) {
                let hash = self.key.hash13(text);
                assert_eq!((self.pages.index_of(hash), tag_of(hash)), (index, *tag));
                short += 1;
            }
        }
        assert_eq!(short, self.short);
        self.pages.check();
        let pages = self.pages.len();
        assert!(self.short <= pages * LOAD);
        assert!(pages <= 1 || self.short + LOAD_MIN >= pages * LOAD_MIN);
        assert_eq!((self.len(), self.is_empty()), (model.len(), model.is_empty()));
        let seen: Vec<&[u8]> = self.iter().collect();
        assert_eq!(seen.len(), model.len());
        assert!(seen.iter().all(|text| model.contains(*text)));
    }
}

/// How even random choices are.
fn unevenness(members: &Members, seed: u64) -> f64 {
    let mut rng = Rng::seeded(seed);
    deviations(members.len(), DRAWS_EACH, || members.random(&mut rng).expect("there are members"))
}

#[test]
fn random_choice_is_even_at_every_state_of_growth_and_shrinkage() {
    let (mut members, mut states) = (members(), Vec::new());
    for number in 1..=2100 {
        members.add(&text(number));
        // Levels begin at 512, 1024 and 2048 members.
        if [2, 30, 500, 520, 700, 900, 1536, 2100].contains(&number) {
            states.push((number, unevenness(&members, u64::from(number))));
        }
    }
    for number in 1..=2050 {
        members.remove(&text(number));
        if [600, 1300, 1500, 1900, 2050].contains(&number) {
            states.push((2100 - number, unevenness(&members, u64::from(number))));
        }
    }
    // Some that are too long for pages.
    for number in 0..200 {
        members.add(&[text(number), vec![b'x'; SHORT_MAX]].concat());
    }
    states.push((250, unevenness(&members, 1)));
    assert!(states.iter().all(|(_, deviations)| *deviations < DEVIATIONS_MAX), "{states:?}");
}

#[test]
fn a_short_member_takes_little_more_than_its_text() {
    let mut members = members();
    for number in 0..100_000 {
        members.add(&text(number));
    }
    let bytes = members.memory_usage();
    assert!(bytes < 16 * 100_000, "{bytes}");
    (0..100_000).for_each(|number| assert!(members.remove(&text(number))));
    assert_eq!((members.len(), members.memory_usage()), (0, 0));
}

#[test]
fn the_last_member_of_many_is_found_and_drawn() {
    let mut members = members();
    (0..20_000).for_each(|number| _ = members.add(&text(number)));
    (1..20_000).for_each(|number| _ = members.remove(&text(number)));
    assert_eq!(members.random(&mut Rng::seeded(1)), Some(&text(0)[..]));
    members.check(&BTreeSet::from([text(0)]));
    assert!(members.pages.len() <= 2, "{}", members.pages.len());
}

#[test]
fn texts_are_looked_for_together() {
    let mut members = Members::for_short(1000, SipKey::new(1, 2));
    let pages = members.pages.len();
    // One in three is too long for pages.
    let long = |number: u32| vec![b'x'; if number.is_multiple_of(3) { SHORT_MAX } else { 0 }];
    let numbers: Vec<Vec<u8>> = (0..2000).map(|number| [text(number), long(number)].concat()).collect();
    let texts: Vec<&[u8]> = numbers.iter().map(Vec::as_slice).collect();
    texts[..1000].chunks(AHEAD).for_each(|texts| members.add_all(texts, true));
    assert_eq!((members.pages.len(), members.len()), (pages, 1000), "none was split");
    assert_eq!(members.which(&texts[992..1008], u32::MAX), 0x00ff);
    assert_eq!(members.which(&texts[992..1008], 0x0f0f), 0x000f);
    texts[990..1990].chunks(AHEAD).for_each(|texts| members.add_all(texts, false));
    members.check(&numbers[..1990].iter().cloned().collect());
    let mut shown = Vec::new();
    members.visit(|text| {
        shown.push(text);
        true
    });
    assert!(shown.into_iter().eq(members.iter()));
    for enough in [1, 100, 1980] {
        let mut count = 0;
        members.visit(|_| {
            count += 1;
            count < enough
        });
        assert_eq!(count, enough);
    }
}

#[test]
fn remains_are_dropped_in_slices() {
    let mut members = members();
    (0..10_000).for_each(|number| _ = members.add(&text(number)));
    (0..1000).for_each(|number| _ = members.add(&[text(number), vec![b'x'; SHORT_MAX]].concat()));
    let mut remains = members.into_remains();
    let mut calls = 0;
    while remains.drop_some(100) == 0 {
        calls += 1;
    }
    assert!(remains.pages.is_empty() && remains.long.is_empty() && calls > 20, "{calls}");
}

#[derive(Clone, Debug)]
enum Step {
    Add(Vec<u8>),
    Remove(Vec<u8>),
    /// Many at once: what makes the set grow and shrink.
    AddRange(u32, u32),
    RemoveRange(u32, u32),
    Scan,
}

fn any_text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => (0u32..400).prop_map(text),
        2 => prop::collection::vec(prop::sample::select(vec![b'a', b'b', 0, 255]), 0..3),
        1 => prop::sample::select(vec![SHORT_MAX - 1, SHORT_MAX, SHORT_MAX + 1, 255, 256, 600]).prop_map(|len| vec![7; len]),
        1 => (0u8..40).prop_map(|byte| vec![byte; SHORT_MAX]),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => any_text().prop_map(Step::Add),
        3 => any_text().prop_map(Step::Remove),
        1 => (0u32..800, 1u32..300).prop_map(|(from, count)| Step::AddRange(from, count)),
        1 => (0u32..800, 1u32..400).prop_map(|(from, count)| Step::RemoveRange(from, count)),
        2 => Just(Step::Scan),
    ];
    prop::collection::vec(step, 0..60)
}

/// A walk under way: what was there when it began and still is, and what it has seen.
#[derive(Default)]
struct Walk {
    cursor: u64,
    began: bool,
    stays: BTreeSet<Vec<u8>>,
    seen: BTreeSet<Vec<u8>>,
}

impl Walk {
    fn step(&mut self, members: &Members, model: &BTreeSet<Vec<u8>>) {
        if !self.began {
            *self = Walk { began: true, stays: model.clone(), ..Walk::default() };
        }
        self.cursor = members.scan(self.cursor, |text| _ = self.seen.insert(text.to_vec()));
        if self.cursor == 0 {
            assert!(self.stays.is_subset(&self.seen), "a member that stayed was not visited");
            self.began = false;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn any_history_agrees_with_a_tree(all in steps()) {
        let (mut members, mut model, mut walk) = (members(), BTreeSet::new(), Walk::default());
        for step in all {
            match step {
                Step::Add(text) => prop_assert_eq!(members.add(&text), model.insert(text)),
                Step::Remove(text) => {
                    walk.stays.remove(&text);
                    prop_assert_eq!(members.remove(&text), model.remove(&text));
                    prop_assert!(!members.contains(&text));
                }
                Step::AddRange(from, count) => {
                    for number in from..from + count {
                        prop_assert_eq!(members.add(&text(number)), model.insert(text(number)));
                    }
                }
                Step::RemoveRange(from, count) => {
                    for number in from..from + count {
                        walk.stays.remove(&text(number));
                        prop_assert_eq!(members.remove(&text(number)), model.remove(&text(number)));
                    }
                }
                Step::Scan => walk.step(&members, &model),
            }
            members.check(&model);
            prop_assert!(model.iter().all(|text| members.contains(text)));
        }
        for _ in 0..10_000 {
            if !walk.began {
                break;
            }
            walk.step(&members, &model);
        }
        prop_assert!(!walk.began, "a walk ends");
        let copy = members.clone();
        copy.check(&model);
    }
}
