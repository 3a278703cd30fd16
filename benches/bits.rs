//! Bit operations on strings that no cache holds, beside what memory can do at best: reading all of it, copying all of it.
//! `cargo bench --bench bits`

#![forbid(unsafe_code)]

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use torc::base::bits::{self, Operation};

const LEN: usize = 64 << 20;

fn main() {
    divan::main();
}

fn string(seed: u8) -> Vec<u8> {
    (0..LEN).map(|at| (at.wrapping_mul(2_654_435_761) >> 8) as u8 ^ seed).collect()
}

/// The measure for counting and searching.
#[divan::bench]
fn read(bencher: Bencher) {
    let text = string(1);
    bencher.counter(BytesCount::new(LEN)).bench_local(|| {
        let (rows, _) = black_box(&text).as_chunks::<64>();
        let mut sums = [0u64; 8];
        for row in rows {
            for (sum, word) in sums.iter_mut().zip(row.as_chunks::<8>().0) {
                *sum |= u64::from_le_bytes(*word);
            }
        }
        sums
    });
}

/// The measure for what makes a string of one: its memory is as new as theirs.
#[divan::bench]
fn copy(bencher: Bencher) {
    let text = string(1);
    bencher.counter(BytesCount::new(LEN)).bench_local(|| black_box(&text).clone());
}

#[divan::bench]
fn count(bencher: Bencher) {
    let text = string(1);
    bencher.counter(BytesCount::new(LEN)).bench_local(|| bits::count_ones(black_box(&text)));
}

/// All of it is looked at: the one bit is the last.
#[divan::bench]
fn position(bencher: Bencher) {
    let mut text = string(1);
    // Memory that was never written to would be the same page again and again.
    text.fill(0);
    bits::set_bit(&mut text, LEN as u64 * 8 - 1, true);
    bencher.counter(BytesCount::new(LEN)).bench_local(|| bits::position(black_box(&text), true, 0..LEN as u64 * 8));
}

#[divan::bench]
fn not(bencher: Bencher) {
    let text = string(1);
    bencher.counter(BytesCount::new(LEN)).bench_local(|| bits::complement(black_box(&text)));
}

/// Of two strings: the bytes are those of the result.
#[divan::bench(args = [Operation::And, Operation::Or, Operation::Xor])]
fn combine(bencher: Bencher, operation: Operation) {
    let (first, second) = (string(1), string(2));
    bencher
        .counter(BytesCount::new(LEN))
        .bench_local(|| bits::combine(operation, black_box(&[&first[..], &second[..]])));
}
