//! HOT PATH. Strings as rows of bits: counting them, finding the first, numbers of up to 64 bits at any place, and
//! operations on whole strings. The first bit of a string is the highest one of its first byte. Pure; any thread.
//!
//! Long strings go through in blocks of whole words, laid out so that the compiler makes vector instructions of them:
//! they run as fast as memory brings the bytes.

#![forbid(unsafe_code)]

use std::ops::Range;

/// Words that are worked on side by side.
const LANES: usize = 4;
const LANES_BYTES: usize = 8 * LANES;
/// Rows of lanes that are counted at a time.
const ROWS: usize = 16;

type Lanes = [u64; LANES];

fn lanes(bytes: &[u8; LANES_BYTES]) -> Lanes {
    let (words, _) = bytes.as_chunks::<8>();
    std::array::from_fn(|at| u64::from_le_bytes(words[at]))
}

/// Adds three rows bit by bit: what counts twice, and what counts once.
#[inline(always)]
fn add_three(a: Lanes, b: Lanes, c: Lanes) -> (Lanes, Lanes) {
    let (mut twice, mut once) = ([0; LANES], [0; LANES]);
    for lane in 0..LANES {
        let differ = a[lane] ^ b[lane];
        twice[lane] = (a[lane] & b[lane]) | (differ & c[lane]);
        once[lane] = differ ^ c[lane];
    }
    (twice, once)
}

fn ones_in(row: Lanes) -> u64 {
    row.iter().map(|word| u64::from(word.count_ones())).sum()
}

/// How many bits are set.
pub fn count_ones(bytes: &[u8]) -> u64 {
    let (blocks, rest) = bytes.as_chunks::<{ ROWS * LANES_BYTES }>();
    // Counters of one bit for each bit of a row: of those worth 1, 2, 4 and 8. What overflows the last is worth 16 and
    // is the only thing that has to be counted in each block.
    let (mut ones, mut twos, mut fours, mut eights) = ([0; LANES], [0; LANES], [0; LANES], [0; LANES]);
    let mut sixteens_total = 0;
    for block in blocks {
        let (rows, _) = block.as_chunks::<LANES_BYTES>();
        let mut fours_made = [[0; LANES]; 4];
        for (made, rows) in fours_made.iter_mut().zip(rows.as_chunks::<4>().0) {
            let (first, once) = add_three(ones, lanes(&rows[0]), lanes(&rows[1]));
            let (second, once) = add_three(once, lanes(&rows[2]), lanes(&rows[3]));
            let (twice, left) = add_three(twos, first, second);
            (*made, ones, twos) = (twice, once, left);
        }
        let (first, left) = add_three(fours, fours_made[0], fours_made[1]);
        let (second, left) = add_three(left, fours_made[2], fours_made[3]);
        let (sixteens, left_eights) = add_three(eights, first, second);
        (fours, eights) = (left, left_eights);
        sixteens_total += ones_in(sixteens);
    }
    let (words, tail) = rest.as_chunks::<8>();
    16 * sixteens_total
        + 8 * ones_in(eights)
        + 4 * ones_in(fours)
        + 2 * ones_in(twos)
        + ones_in(ones)
        + words.iter().map(|word| u64::from(u64::from_le_bytes(*word).count_ones())).sum::<u64>()
        + tail.iter().map(|byte| u64::from(byte.count_ones())).sum::<u64>()
}

/// How many bits are set of those in `range`, which lies within `bytes`.
pub fn count_ones_in(bytes: &[u8], range: Range<u64>) -> u64 {
    if range.is_empty() {
        return 0;
    }
    let (first, last) = (byte_of(range.start), byte_of(range.end - 1));
    // What of the bytes at the ends lies outside is counted and taken away again.
    let before = bytes[first] & !from_bit(range.start);
    let after = bytes[last] & from_bit(range.end - 1) >> 1;
    count_ones(&bytes[first..=last]) - u64::from(before.count_ones()) - u64::from(after.count_ones())
}

/// Where the first bit of `range`, which lies within `bytes`, is that is `wanted`.
pub fn position(bytes: &[u8], wanted: bool, range: Range<u64>) -> Option<u64> {
    if range.is_empty() {
        return None;
    }
    // Where a zero is wanted, bytes of ones have none.
    let barren = if wanted { 0x00 } else { 0xff };
    let (first, last) = (byte_of(range.start), byte_of(range.end - 1));
    let head = (bytes[first] ^ barren) & from_bit(range.start);
    let (at, found) = if head != 0 {
        (first, head)
    } else {
        let at = first + 1 + leading(&bytes[first + 1..=last], barren);
        (at, *bytes[..=last].get(at)? ^ barren)
    };
    let bit = at as u64 * 8 + u64::from(found.leading_zeros());
    (bit < range.end).then_some(bit)
}

/// How many bytes at the start are `byte`.
fn leading(bytes: &[u8], byte: u8) -> usize {
    let word = u64::from_ne_bytes([byte; 8]);
    let (rows, _) = bytes.as_chunks::<LANES_BYTES>();
    let differs = |row: &[u8; LANES_BYTES]| lanes(row).iter().fold(0, |all, lane| all | (lane ^ word)) != 0;
    let skipped = rows.iter().position(differs).unwrap_or(rows.len()) * LANES_BYTES;
    let rest = &bytes[skipped..];
    skipped + rest.iter().position(|&other| other != byte).unwrap_or(rest.len())
}

/// Which byte holds a bit.
#[inline]
pub fn byte_of(bit: u64) -> usize {
    (bit / 8) as usize
}

/// The bits of a byte from this one on.
fn from_bit(bit: u64) -> u8 {
    0xff >> (bit % 8)
}

/// A bit; those behind the end are zeros.
#[inline]
pub fn bit(bytes: &[u8], at: u64) -> bool {
    bytes.get(byte_of(at)).is_some_and(|byte| byte << (at % 8) & 0x80 != 0)
}

/// Sets or clears a bit. Nothing happens behind the end.
#[inline]
pub fn set_bit(bytes: &mut [u8], at: u64, on: bool) {
    let mask = 0x80 >> (at % 8);
    if let Some(byte) = bytes.get_mut(byte_of(at)) {
        *byte = if on { *byte | mask } else { *byte & !mask };
    }
}

/// Bytes that a number of 64 bits can touch.
const WINDOW: usize = 9;

fn window(bytes: &[u8], at: u64) -> u128 {
    let mut window = [0; 16];
    let from = bytes.get(byte_of(at)..).unwrap_or_default();
    let seen = from.len().min(WINDOW);
    window[..seen].copy_from_slice(&from[..seen]);
    u128::from_be_bytes(window)
}

/// The number that `width` bits, 1 to 64 of them, make from this bit on. Those behind the end are zeros.
pub fn number(bytes: &[u8], at: u64, width: u32) -> u64 {
    (window(bytes, at) << (at % 8) >> (128 - width)) as u64
}

/// Writes the lowest `width` bits, 1 to 64 of them, of a number. Nothing is written behind the end.
pub fn set_number(bytes: &mut [u8], at: u64, width: u32, value: u64) {
    let shift = 128 - width - (at % 8) as u32;
    let mask = (u128::MAX >> (128 - width)) << shift;
    let made = (window(bytes, at) & !mask) | (u128::from(value) << shift & mask);
    let from = bytes.get_mut(byte_of(at)..).unwrap_or_default();
    let seen = from.len().min(WINDOW);
    from[..seen].copy_from_slice(&made.to_be_bytes()[..seen]);
}

/// What several strings are made one by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Bits that are set in all of them.
    And,
    /// In any of them.
    Or,
    /// In an odd number of them.
    Xor,
}

/// Bytes of a result that are made at a time: they stay in the nearest cache until all strings have gone into them.
const BLOCK: usize = 4096;

/// Makes one string of several, as long as the longest; shorter ones count as if zeros followed.
pub fn combine(operation: Operation, sources: &[&[u8]]) -> Vec<u8> {
    let (first, others) = match sources {
        [] => return Vec::new(),
        [first, second] => return combine_two(operation, first, second),
        [first, others @ ..] => (first, others),
    };
    let len = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut result = Vec::with_capacity(len);
    while result.len() < len {
        let at = result.len();
        let end = len.min(at + BLOCK);
        result.extend_from_slice(part_of(first, at, end - at));
        result.resize(end, 0);
        for other in others {
            apply(operation, &mut result[at..], part_of(other, at, end - at));
        }
    }
    result
}

/// The same of two, in one go: nothing is written and read again.
fn combine_two(operation: Operation, first: &[u8], second: &[u8]) -> Vec<u8> {
    let common = first.len().min(second.len());
    let rest = if first.len() > common { &first[common..] } else { &second[common..] };
    let len = common + rest.len();
    let mut result = Vec::with_capacity(len);
    let pairs = first[..common].iter().zip(&second[..common]);
    match operation {
        Operation::And => {
            result.extend(pairs.map(|(one, other)| one & other));
            result.resize(len, 0);
        }
        Operation::Or => result.extend(pairs.map(|(one, other)| one | other)),
        Operation::Xor => result.extend(pairs.map(|(one, other)| one ^ other)),
    }
    if operation != Operation::And {
        result.extend_from_slice(rest);
    }
    result
}

/// At most `len` bytes from `at` on.
fn part_of(source: &[u8], at: usize, len: usize) -> &[u8] {
    let from = source.get(at..).unwrap_or_default();
    &from[..from.len().min(len)]
}

fn apply(operation: Operation, block: &mut [u8], part: &[u8]) {
    let (with, without) = block.split_at_mut(part.len());
    match operation {
        Operation::And => {
            with.iter_mut().zip(part).for_each(|(byte, other)| *byte &= other);
            without.fill(0);
        }
        Operation::Or => with.iter_mut().zip(part).for_each(|(byte, other)| *byte |= other),
        Operation::Xor => with.iter_mut().zip(part).for_each(|(byte, other)| *byte ^= other),
    }
}

/// Every bit turned round.
pub fn complement(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| !byte).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn model(bytes: &[u8]) -> Vec<bool> {
        bytes.iter().flat_map(|byte| (0..8).map(move |at| byte << at & 0x80 != 0)).collect()
    }

    /// Strings of long runs, so that searches have something to skip.
    fn strings() -> impl Strategy<Value = Vec<u8>> {
        let runs = prop::collection::vec((prop_oneof![Just(0u8), Just(0xff), any::<u8>()], 0usize..700), 0..6);
        runs.prop_map(|runs| runs.iter().flat_map(|&(byte, len)| std::iter::repeat_n(byte, len)).collect())
    }

    proptest! {
        #[test]
        fn bits_are_counted_and_found(bytes in strings(), from in any::<u64>(), to in any::<u64>(), wanted: bool) {
            let bits = model(&bytes);
            prop_assert_eq!(count_ones(&bytes), bits.iter().filter(|&&bit| bit).count() as u64);
            let len = bits.len() as u64 + 1;
            let (start, end) = ((from % len).min(to % len), (from % len).max(to % len));
            let part = &bits[start as usize..end as usize];
            prop_assert_eq!(count_ones_in(&bytes, start..end), part.iter().filter(|&&bit| bit).count() as u64);
            let found = part.iter().position(|&bit| bit == wanted).map(|at| at as u64 + start);
            prop_assert_eq!(position(&bytes, wanted, start..end), found);
        }

        #[test]
        fn numbers_are_rows_of_bits(
            bytes in prop::collection::vec(any::<u8>(), 0..24), at in 0u64..220, width in 1u32..=64, value: u64,
        ) {
            let bits = model(&bytes);
            let read = |bits: &[bool]| {
                (at..at + u64::from(width)).fold(0, |number, at| {
                    number << 1 | u64::from(bits.get(at as usize).copied().unwrap_or(false))
                })
            };
            prop_assert_eq!(number(&bytes, at, width), read(&bits));
            let mut changed = bytes.clone();
            set_number(&mut changed, at, width, value);
            let mut expected = bits;
            for step in 0..width {
                if let Some(bit) = expected.get_mut(at as usize + step as usize) {
                    *bit = value >> (width - 1 - step) & 1 != 0;
                }
            }
            prop_assert_eq!(model(&changed), expected);
        }

        #[test]
        fn single_bits_are_set(bytes in prop::collection::vec(any::<u8>(), 0..8), at in 0u64..80, on: bool) {
            let mut expected = model(&bytes);
            prop_assert_eq!(bit(&bytes, at), expected.get(at as usize).copied().unwrap_or(false));
            let mut changed = bytes.clone();
            set_bit(&mut changed, at, on);
            if let Some(bit) = expected.get_mut(at as usize) {
                *bit = on;
            }
            prop_assert_eq!(model(&changed), expected);
        }

        #[test]
        fn strings_are_combined_byte_by_byte(
            sources in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..5), longer in 0usize..9000,
            which in 0usize..5,
        ) {
            let mut sources = sources;
            if let Some(long) = sources.get_mut(which) {
                long.resize(longer, 0x5a);
            }
            let slices: Vec<&[u8]> = sources.iter().map(Vec::as_slice).collect();
            let len = sources.iter().map(Vec::len).max().unwrap_or(0);
            type Make = fn(u8, u8) -> u8;
            let operations: [(Operation, Make); 3] = [
                (Operation::And, |a, b| a & b),
                (Operation::Or, |a, b| a | b),
                (Operation::Xor, |a, b| a ^ b),
            ];
            for (operation, make) in operations {
                let byte = |source: &Vec<u8>, at: usize| source.get(at).copied().unwrap_or(0);
                let expected: Vec<u8> = (0..len)
                    .map(|at| sources.iter().map(|source| byte(source, at)).reduce(make).unwrap_or(0))
                    .collect();
                prop_assert_eq!(combine(operation, &slices), expected);
            }
        }
    }

    #[test]
    fn a_complement_has_the_other_bits() {
        assert_eq!(complement(&[0, 0xff, 0x5a]), [0xff, 0, 0xa5]);
    }
}
