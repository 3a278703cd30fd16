//! Random choices are even in every encoding of sets, hashes and sorted sets, also after most of what was there is gone.
//! Seeds are fixed; the bound on chi-square, four and a half standard deviations, is passed by chance once in 20,000 draws.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use super::hash::{Hash, HashLimits};
use super::set::{Set, SetLimits};
use super::sorted_set::{SortedSet, SortedSetLimits};
use crate::base::rng::Rng;
use crate::base::siphash::SipKey;

const DEVIATIONS_MAX: f64 = 4.5;
const DRAWS_EACH: usize = 50;

fn key() -> SipKey {
    SipKey::new(3, 4)
}

/// Draws `times` and sees that each of `all` comes as often as the others.
fn assert_even(what: &str, all: usize, times: usize, mut draw: impl FnMut(&mut Rng) -> Vec<u8>) {
    let (mut rng, mut counts) = (Rng::seeded(11), BTreeMap::new());
    for _ in 0..times {
        *counts.entry(draw(&mut rng)).or_insert(0u32) += 1;
    }
    assert_eq!(counts.len(), all, "{what}: each is drawn");
    let (each, freedom) = (times as f64 / all as f64, all as f64 - 1.0);
    let difference: f64 = counts.values().map(|count| (f64::from(*count) - each).powi(2) / each).sum();
    let deviations = (difference - freedom) / (2.0 * freedom).sqrt();
    assert!(deviations < DEVIATIONS_MAX, "{what}: {deviations}");
}

/// What is added, and what of it is removed again: nothing, or nearly everything.
const HISTORIES: [(u32, u32); 4] = [(100, 0), (100, 83), (1500, 0), (1500, 1300)];

#[test]
fn members_of_sets() {
    let limits = SetLimits { ints: 512, pack: 128, value: 64, key: key() };
    for (prefix, (count, gone)) in ["", "m"].iter().flat_map(|prefix| HISTORIES.map(|history| (prefix, history))) {
        let text = |number: u32| format!("{prefix}{number}").into_bytes();
        let mut set = Set::default();
        (0..count).for_each(|number| _ = set.add(&text(number), &limits));
        (0..gone).for_each(|number| _ = set.remove(&text(number)));
        let what = format!("{} of {}", set.encoding(), set.len());
        let len = set.len();
        assert_even(&what, len, len * DRAWS_EACH, |rng| set.random(rng).expect("there are members").to_vec());
    }
}

/// SPOP takes members out one by one: who is left at the end is anyone.
#[test]
fn the_last_one_that_is_popped() {
    let limits = SetLimits { ints: 4, pack: 8, value: 64, key: key() };
    for (count, encoding) in [(4, "intset"), (8, "listpack"), (40, "hashtable")] {
        let prefix = if encoding == "intset" { "" } else { "m" };
        let mut full = Set::default();
        (0..count).for_each(|number| _ = full.add(format!("{prefix}{number}").as_bytes(), &limits));
        assert_eq!(full.encoding(), encoding);
        assert_even(encoding, count, count * DRAWS_EACH, |rng| {
            let (mut set, mut last) = (full.clone(), Vec::new());
            while let Some(member) = set.random(rng).map(|member| member.to_vec()) {
                assert!(set.remove(&member));
                last = member;
            }
            last
        });
    }
}

#[test]
fn fields_of_hashes() {
    let limits = HashLimits { entries: 128, value: 64, key: key() };
    for (timed, (count, gone)) in [false, true].iter().flat_map(|timed| HISTORIES.map(|history| (*timed, history))) {
        let text = |number: u32| format!("f{number}").into_bytes();
        let mut hash = Hash::default();
        if timed {
            hash.make_timed(&limits);
        }
        (0..count).for_each(|number| _ = hash.set(&text(number), b"v", &limits));
        if timed {
            (0..count).step_by(3).for_each(|number| hash.set_time(&text(number), Some(9), &limits));
        }
        (0..gone).for_each(|number| _ = hash.remove(&text(number)));
        let (what, len) = (format!("{} of {}, timed: {timed}", hash.encoding(), hash.len()), hash.len());
        assert_even(&what, len, len * DRAWS_EACH, |rng| hash.random(rng).expect("there are fields").0.to_vec());
    }
}

#[test]
fn members_of_sorted_sets() {
    let limits = SortedSetLimits { entries: 128, value: 64, key: key() };
    for (count, gone) in HISTORIES {
        let text = |number: u32| format!("m{number}").into_bytes();
        let mut set = SortedSet::default();
        (0..count).for_each(|number| _ = set.set(&text(number), f64::from(number % 7), &limits));
        (0..gone).for_each(|number| _ = set.remove(&text(number)));
        let (what, len) = (format!("{} of {}", set.encoding(), set.len()), set.len());
        assert_even(&what, len, len * DRAWS_EACH, |rng| {
            let mut drawn = Vec::new();
            set.random(rng, |member, _| drawn = member.to_vec());
            drawn
        });
    }
}
