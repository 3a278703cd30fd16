//! What counting the duration of a command costs: our histogram beside the `hdrhistogram` crate's with the parameters of
//! Redis (1 ns to 1 s, two decimal digits). `cargo bench --bench histogram`.
//!
//! Every figure is for 1000 durations between 100 ns and 20 us, as commands have them.

#![forbid(unsafe_code)]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use hdrhistogram::Histogram as Crate;
use torc::base::rng::Rng;
use torc::observe::histogram::Histogram;

const DURATIONS: usize = 1000;
const LEAST_NS: u64 = 100;
const MOST_NS: u64 = 20_000;
const RANGE_NS: u64 = 1_000_000_000;

fn main() {
    divan::main();
}

fn durations() -> Vec<u64> {
    let mut rng = Rng::seeded(1);
    (0..DURATIONS).map(|_| LEAST_NS + rng.next_u64() % (MOST_NS - LEAST_NS)).collect()
}

#[divan::bench]
fn ours(bencher: Bencher) {
    let durations = durations();
    let mut histogram = Histogram::boxed();
    bencher.counter(ItemsCount::new(DURATIONS)).bench_local(|| {
        for &ns in black_box(&durations) {
            histogram.record(ns);
        }
    });
}

#[divan::bench]
fn hdrhistogram(bencher: Bencher) {
    let durations = durations();
    let mut histogram: Crate<u64> = Crate::new_with_bounds(1, RANGE_NS, 2).expect("good bounds");
    bencher.counter(ItemsCount::new(DURATIONS)).bench_local(|| {
        for &ns in black_box(&durations) {
            histogram.saturating_record(ns);
        }
    });
}
