//! Random choices are even in every encoding of sets, hashes and sorted sets, also after most of what was there is gone.

#![forbid(unsafe_code)]

use super::hash::{Hash, HashLimits};
use super::set::{Set, SetLimits};
use super::sorted_set::{SortedSet, SortedSetLimits};
use crate::base::rng::Rng;
use crate::base::rng::evenness::{DEVIATIONS_MAX, deviations};
use crate::base::siphash::SipKey;

const DRAWS_EACH: usize = 50;

fn key() -> SipKey {
    SipKey::new(3, 4)
}

/// Sees that each of `all` is drawn as often as the others.
fn assert_even(what: &str, all: usize, mut draw: impl FnMut(&mut Rng) -> Vec<u8>) {
    let mut rng = Rng::seeded(11);
    let deviations = deviations(all, DRAWS_EACH, || draw(&mut rng));
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
        assert_even(&what, len, |rng| set.random(rng).expect("there are members").to_vec());
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
        assert_even(encoding, count, |rng| {
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
        assert_even(&what, len, |rng| hash.random(rng).expect("there are fields").0.to_vec());
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
        assert_even(&what, len, |rng| {
            let mut drawn = Vec::new();
            set.random(rng, |member, _| drawn = member.to_vec());
            drawn
        });
    }
}
