//! The table and the database above it: what one lookup or one store costs, and the slowest insertion of a table that
//! grows to 50 million items. `cargo bench --bench table`; `TORC_BENCH_ITEMS` changes the size of the growth test.

#![allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock")]

use std::collections::HashMap;
use std::hint::black_box;
use std::num::NonZeroU64;
use std::process::Command;
use std::time::{Duration, Instant};

use divan::{Bencher, counter::ItemsCount};
use torc::base::rng::Rng;
use torc::base::siphash::SipKey;
use torc::encoding::table::Table;
use torc::keyspace::{Keyspace, SetExpire};
use torc::types::NewValue;

#[cfg(feature = "jemalloc")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// Commands of a pipelined batch: hashed, prefetched, then run.
const BATCH: usize = 64;
/// Keys as redis-benchmark makes them: 16 bytes.
const KEY_BYTES: usize = 16;
const VALUE: [u8; 64] = [b'x'; 64];
/// Insertions that took longer are remembered.
const SLOW: Duration = Duration::from_micros(50);
/// How often the growth is measured.
const GROWTHS: usize = 3;
/// The environment variable that asks this program for one growth to so many items.
const GROW_ONCE: &str = "TORC_BENCH_GROW_ONCE";

fn main() {
    let items = |name| std::env::var(name).ok().map(|text| text.parse::<u64>().expect("a number of items"));
    if let Some(items) = items(GROW_ONCE) {
        return grow_once(items);
    }
    grow(items("TORC_BENCH_ITEMS").unwrap_or(50_000_000));
    divan::main();
}

fn key(number: u64) -> [u8; KEY_BYTES] {
    let mut key = *b"key:000000000000";
    let mut rest = number;
    for digit in key.iter_mut().rev().take(12) {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// One growth from nothing. Prints the insertions that took longer than `SLOW`: item and nanoseconds.
fn grow_once(items: u64) {
    let hash = |item: &NonZeroU64| item.get().wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    let mut table = Table::new();
    let mut last = Instant::now();
    for number in 1..=items {
        let item = NonZeroU64::new(number).expect("counted from 1");
        table.insert_unique(hash(&item), item, &hash);
        let now = Instant::now();
        if now - last > SLOW {
            println!("{number} {}", (now - last).as_nanos());
        }
        last = now;
    }
}

/// Prints the slowest single insertion while a table grows; it is to stay below 2 ms. A virtual machine or a busy core
/// interrupts any program for longer than that, but not twice at the same item: so the growth is run in several
/// processes, and an item counts with its fastest time.
fn grow(items: u64) {
    let program = std::env::current_exe().expect("the program has a path");
    let mut fastest: Option<HashMap<u64, u64>> = None;
    for _ in 0..GROWTHS {
        let output = Command::new(&program).env(GROW_ONCE, items.to_string()).output().expect("the program starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).expect("numbers");
        let slow: HashMap<u64, u64> = text
            .lines()
            .filter_map(|line| line.split_once(' '))
            .map(|(item, took)| (item.parse().expect("a number"), took.parse().expect("a number")))
            .collect();
        println!("growth to {items} items: slowest insertion {} us", slow.values().max().unwrap_or(&0) / 1000);
        fastest = Some(match fastest {
            None => slow,
            Some(former) => former
                .into_iter()
                .filter_map(|(item, took)| slow.get(&item).map(|again| (item, took.min(*again))))
                .collect(),
        });
    }
    let slowest = fastest.unwrap_or_default().into_iter().max_by_key(|(_, took)| *took);
    match slowest {
        Some((item, took)) => println!("slow in each of {GROWTHS} runs: item {item}, {} us", took / 1000),
        None => println!("no insertion took longer than {SLOW:?} in each of {GROWTHS} runs"),
    }
}

fn filled(keys: u64) -> Keyspace {
    let mut keyspace = Keyspace::new(1, 1);
    for number in 0..keys {
        let key = key(number);
        let hash = keyspace.hash(&key);
        keyspace.db_mut(0).set(&key, hash, NewValue::string(&VALUE), SetExpire::Clear, 0);
    }
    keyspace
}

/// Random keys, drawn before the clock runs.
fn draw(keys: u64) -> Vec<[u8; KEY_BYTES]> {
    let mut rng = Rng::seeded(2);
    (0..100 * BATCH).map(|_| key(rng.below(keys))).collect()
}

const SIZES: [u64; 3] = [1_000, 100_000, 1_000_000];

/// One key at a time, as without pipelining.
#[divan::bench(args = SIZES)]
fn get_single(bencher: Bencher<'_, '_>, keys: u64) {
    let mut keyspace = filled(keys);
    let drawn = draw(keys);
    bencher.counter(ItemsCount::new(drawn.len())).bench_local(|| {
        for key in &drawn {
            let hash = keyspace.hash(key);
            black_box(keyspace.db_mut(0).get(key, hash, 0).map(|entry| entry.as_string().map(|string| string.len())));
        }
    });
}

/// A batch at a time: hashes first, then buckets, then entries, then the commands.
#[divan::bench(args = SIZES)]
fn get_batch(bencher: Bencher<'_, '_>, keys: u64) {
    let mut keyspace = filled(keys);
    let drawn = draw(keys);
    bencher.counter(ItemsCount::new(drawn.len())).bench_local(|| {
        for batch in drawn.chunks_exact(BATCH) {
            let hashes = prefetched(&keyspace, batch);
            let db = keyspace.db_mut(0);
            for (key, hash) in batch.iter().zip(hashes) {
                black_box(db.get(key, hash, 0).map(|entry| entry.as_string().map(|string| string.len())));
            }
        }
    });
}

/// The same for overwriting with a value of equal length.
#[divan::bench(args = SIZES)]
fn set_batch(bencher: Bencher<'_, '_>, keys: u64) {
    let mut keyspace = filled(keys);
    let drawn = draw(keys);
    bencher.counter(ItemsCount::new(drawn.len())).bench_local(|| {
        for batch in drawn.chunks_exact(BATCH) {
            let hashes = prefetched(&keyspace, batch);
            let db = keyspace.db_mut(0);
            for (key, hash) in batch.iter().zip(hashes) {
                black_box(db.set(key, hash, NewValue::string(&VALUE), SetExpire::Clear, 0));
            }
        }
    });
}

fn prefetched(keyspace: &Keyspace, batch: &[[u8; KEY_BYTES]]) -> [u64; BATCH] {
    let db = keyspace.db(0);
    let hashes = std::array::from_fn(|at| {
        let hash = keyspace.hash(&batch[at]);
        db.prefetch_bucket(hash);
        hash
    });
    hashes.iter().for_each(|hash| _ = db.prefetch_entry(*hash));
    hashes
}

/// New keys: allocation and growth included.
#[divan::bench(args = SIZES)]
fn set_new(bencher: Bencher<'_, '_>, keys: u64) {
    bencher.counter(ItemsCount::new(keys)).bench_local(|| filled(keys));
}

#[divan::bench(args = [8, 16, 32, 64])]
fn siphash(bencher: Bencher<'_, '_>, len: usize) {
    let (key, data) = (SipKey::new(1, 2), vec![7u8; len]);
    bencher.counter(divan::counter::BytesCount::new(len)).bench_local(|| key.hash13(black_box(&data)));
}
