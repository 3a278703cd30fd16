//! What handing something to another thread costs by itself, without the waking: one push and one pop, and the question
//! whether the other side sleeps. `cargo bench --bench handoff`.

#![forbid(unsafe_code)]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use torc::handoff::{bell, channel};

const PARCELS: usize = 1000;

fn main() {
    divan::main();
}

/// The queue never holds more than one.
#[divan::bench]
fn push_and_pop(bencher: Bencher) {
    let (mut sender, mut receiver) = channel(64);
    bencher.counter(ItemsCount::new(PARCELS)).bench_local(|| {
        for parcel in 0..PARCELS {
            let _ = sender.push(black_box(parcel));
            black_box(receiver.pop());
        }
    });
}

/// As after every push to a thread that is awake.
#[divan::bench]
fn ask_whether_to_ring(bencher: Bencher) {
    let (_sleeper, ringer) = bell();
    bencher.counter(ItemsCount::new(PARCELS)).bench_local(|| {
        for _ in 0..PARCELS {
            black_box(ringer.should_ring());
        }
    });
}

/// There and back between two threads that do not sleep.
#[divan::bench]
fn there_and_back(bencher: Bencher) {
    let (mut there, mut from_there) = channel::<Option<usize>>(64);
    let (mut back, mut from_back) = channel(64);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            loop {
                match from_there.pop() {
                    Some(Some(parcel)) => while back.push(parcel).is_err() {},
                    Some(None) => return,
                    None => std::hint::spin_loop(),
                }
            }
        });
        bencher.counter(ItemsCount::new(PARCELS)).bench_local(|| {
            let (mut sent, mut got) = (0, 0);
            while got < PARCELS {
                if sent < PARCELS && there.push(Some(sent)).is_ok() {
                    sent += 1;
                }
                if from_back.pop().is_some() {
                    got += 1;
                }
            }
        });
        while there.push(None).is_err() {}
    });
}
