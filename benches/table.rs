//! The table and the database above it: what one lookup or one store costs, and the slowest insertion of a table that
//! grows to 50 million items. `cargo bench --bench table`; `TORC_BENCH_ITEMS` changes the size of the growth test.
use std::hint::black_box;
use std::num::NonZeroU64;
use std::time::Duration;

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
fn main() {
    grow();
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

/// Time that this thread has spent on a core: what other processes take away from it does not count.
fn cpu_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure is ours and lives through the call.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "every Linux has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// The slowest of many operations, with the item it was about.
struct Slowest([(Duration, u64); 5]);

impl Slowest {
    fn of(items: u64, mut operation: impl FnMut(NonZeroU64)) -> Slowest {
        let mut slowest = [(Duration::ZERO, 0); 5];
        let mut last = cpu_time();
        for number in 1..=items {
            operation(NonZeroU64::new(number).expect("counted from 1"));
            let now = cpu_time();
            let took = now - last;
            last = now;
            if took > slowest[4].0 {
                slowest[4] = (took, number);
                slowest.sort_by_key(|(took, _)| std::cmp::Reverse(*took));
            }
        }
        Slowest(slowest)
    }
}

/// Prints the slowest single insertion. It must stay below 2 ms; the slowest lookup, which moves and allocates nothing,
/// tells how much of it is the machine's noise.
fn grow() {
    let items = std::env::var("TORC_BENCH_ITEMS").ok().and_then(|text| text.parse().ok()).unwrap_or(50_000_000u64);
    let hash = |item: &NonZeroU64| item.get().wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(32);
    let mut table = Table::new();
    let inserts = Slowest::of(items, |item| table.insert_unique(hash(&item), item, &hash));
    println!("growth to {items} items of 8 bytes, {} bytes each in the table", table.bytes() as u64 / items);
    println!("slowest insertions (time, item): {:?}", inserts.0);
    let lookups = Slowest::of(items, |item| assert!(table.get(hash(&item), |found| *found == item).is_some()));
    println!("slowest lookups, for comparison: {:?}", lookups.0);
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
    hashes.iter().for_each(|hash| db.prefetch_entry(*hash));
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
