//! HOT PATH. Which key a request asks for: numbers from a key space, uniform, zipfian or one after the other.

#![forbid(unsafe_code)]

/// Digits of a key number, wherever one is put.
pub(crate) const KEY_DIGITS: usize = 12;
/// So many terms of a zeta sum are added one by one; what is left is an integral, exact to far more digits than matter.
const ZETA_TERMS_MAX: u64 = 10_000;

/// In which order keys are used.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum KeyOrder {
    /// Uniformly at random.
    Random,
    /// At random, number `k` with a weight of `1 / (k + 1) ^ theta`, `theta` between 0 and 1.
    Zipfian { theta: f64 },
    /// 0, 1, 2 and so on.
    Sequential,
}

/// A key space and the way through it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct KeySpace {
    /// Keys 0 up to but not including this.
    pub(crate) count: u64,
    pub(crate) order: KeyOrder,
    pub(crate) seed: u64,
}

impl KeySpace {
    /// Every key once, in order.
    pub(crate) fn in_order(count: u64) -> KeySpace {
        KeySpace { count, order: KeyOrder::Sequential, seed: 1 }
    }

    /// What thread `index` of `threads` goes through: other random numbers, or another stretch.
    pub(crate) fn source(&self, index: usize, threads: usize) -> KeySource {
        let seed = self.seed.wrapping_add(index as u64);
        let mut source = KeySource::new(self.count, self.order, seed);
        if self.order == KeyOrder::Sequential {
            source.state = (u128::from(self.count) * index as u128 / threads.max(1) as u128) as u64;
        }
        source
    }
}

/// Picks keys from a key space.
#[derive(Debug)]
pub(crate) struct KeySource {
    keys: u64,
    state: u64,
    order: Picker,
    /// How many pairs of digits a number of this key space can fill.
    pairs: usize,
}

#[derive(Debug)]
enum Picker {
    Uniform,
    Zipfian(Zipf),
    Sequential,
}

/// The two digits of every number below 100.
const DIGIT_PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

impl KeySource {
    fn new(keys: u64, order: KeyOrder, seed: u64) -> KeySource {
        assert!((1..=10u64.pow(KEY_DIGITS as u32)).contains(&keys));
        let digits = (keys - 1).checked_ilog10().map_or(1, |log| log as usize + 1);
        let order = match order {
            KeyOrder::Random => Picker::Uniform,
            KeyOrder::Zipfian { theta } => Picker::Zipfian(Zipf::new(keys, theta)),
            KeyOrder::Sequential => Picker::Sequential,
        };
        // A random generator must not start at zero, a sequence must.
        let state = match order {
            Picker::Sequential => 0,
            _ => seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1,
        };
        KeySource { keys, state, order, pairs: digits.div_ceil(2) }
    }

    #[inline]
    pub(crate) fn next_number(&mut self) -> u64 {
        match &self.order {
            Picker::Sequential => {
                let number = self.state;
                self.state = if number + 1 == self.keys { 0 } else { number + 1 };
                number
            }
            Picker::Uniform => scaled(random(&mut self.state), self.keys),
            Picker::Zipfian(zipf) => zipf.rank(unit(random(&mut self.state))),
        }
    }

    /// Writes the digits that can differ; the zeroes before them are there already.
    #[inline]
    pub(crate) fn write(&self, mut number: u64, digits: &mut [u8]) {
        let mut end = KEY_DIGITS;
        for _ in 0..self.pairs {
            digits[end - 2..end].copy_from_slice(&DIGIT_PAIRS[(number % 100) as usize]);
            number /= 100;
            end -= 2;
        }
    }
}

/// xorshift64*. The state must not be zero.
#[inline]
pub(crate) fn random(state: &mut u64) -> u64 {
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    state.wrapping_mul(0x2545_F491_4F6C_DD1D)
}

/// A random number as one from 0 up to but not including `end`.
#[inline]
pub(crate) fn scaled(random: u64, end: u64) -> u64 {
    ((u128::from(random) * u128::from(end)) >> 64) as u64
}

/// A random number as one from 0 up to but not including 1.
#[inline]
pub(crate) fn unit(random: u64) -> f64 {
    (random >> 11) as f64 / (1u64 << 53) as f64
}

/// Ranks by the method of Gray and others, "Quickly generating billion-record synthetic databases" (1994).
#[derive(Debug)]
struct Zipf {
    count: f64,
    theta: f64,
    alpha: f64,
    eta: f64,
    zeta: f64,
}

impl Zipf {
    fn new(count: u64, theta: f64) -> Zipf {
        let zeta = zeta(count, theta);
        let eta = (1.0 - (2.0 / count as f64).powf(1.0 - theta)) / (1.0 - zeta_of_two(theta) / zeta);
        Zipf { count: count as f64, theta, alpha: 1.0 / (1.0 - theta), eta, zeta }
    }

    #[inline]
    fn rank(&self, unit: f64) -> u64 {
        let weighed = unit * self.zeta;
        if weighed < 1.0 || self.count < 2.0 {
            return 0;
        }
        if weighed < 1.0 + 0.5f64.powf(self.theta) || self.count < 3.0 {
            return 1;
        }
        let rank = self.count * (self.eta * unit - self.eta + 1.0).powf(self.alpha);
        (rank as u64).min(self.count as u64 - 1)
    }
}

fn zeta_of_two(theta: f64) -> f64 {
    1.0 + 0.5f64.powf(theta)
}

/// The sum of `1 / k ^ theta` for `k` from 1 to `count`.
fn zeta(count: u64, theta: f64) -> f64 {
    let terms = count.min(ZETA_TERMS_MAX);
    let head: f64 = (1..=terms).map(|k| (k as f64).powf(-theta)).sum();
    if count == terms {
        return head;
    }
    let power = |at: f64| at.powf(1.0 - theta) / (1.0 - theta);
    let (from, to) = (terms as f64, count as f64);
    head + power(to) - power(from) + (to.powf(-theta) - from.powf(-theta)) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn random_keys_stay_in_the_key_space_and_cover_it() {
        for keys in [1, 10, 11, 100, 101, 100_000] {
            let mut source = KeySource::new(keys, KeyOrder::Random, 7);
            let mut seen = std::collections::HashSet::new();
            for _ in 0..keys * 20 {
                let mut digits = [b'0'; KEY_DIGITS];
                let number = source.next_number();
                source.write(number, &mut digits);
                let text = std::str::from_utf8(&digits).unwrap();
                assert_eq!(text.parse::<u64>().unwrap(), number);
                assert!(number < keys);
                seen.insert(number);
            }
            assert!(seen.len() as u64 > keys * 99 / 100);
        }
    }

    #[test]
    fn sequential_keys_start_over() {
        let mut source = KeySource::new(3, KeyOrder::Sequential, 1);
        let numbers: Vec<u64> = (0..5).map(|_| source.next_number()).collect();
        assert_eq!(numbers, [0, 1, 2, 0, 1]);
    }

    #[test]
    fn threads_share_a_sequence_and_differ_in_chance() {
        let space = KeySpace::in_order(100);
        assert_eq!([space.source(0, 4).next_number(), space.source(3, 4).next_number()], [0, 75]);
        let space = KeySpace { order: KeyOrder::Random, ..KeySpace::in_order(1_000_000) };
        assert_ne!(space.source(0, 2).next_number(), space.source(1, 2).next_number());
    }

    #[test]
    fn zipfian_keys_come_as_often_as_their_rank_says() {
        const DRAWN: usize = 200_000;
        for theta in [0.5, 0.99] {
            let mut source = KeySource::new(1000, KeyOrder::Zipfian { theta }, 3);
            let mut counts = vec![0u32; 1000];
            (0..DRAWN).for_each(|_| counts[source.next_number() as usize] += 1);
            let zeta = zeta(1000, theta);
            for rank in [0usize, 1, 9, 99] {
                let expected = DRAWN as f64 * (rank as f64 + 1.0).powf(-theta) / zeta;
                // The method is exact for the first two ranks and close for the others.
                let tolerance = if rank < 2 { 0.1 } else { 0.35 };
                let error = (f64::from(counts[rank]) - expected).abs() / expected;
                assert!(error < tolerance, "theta {theta} rank {rank}: {} for {expected:.0}", counts[rank]);
            }
        }
        for keys in [1, 2, 3] {
            let mut source = KeySource::new(keys, KeyOrder::Zipfian { theta: 0.9 }, 3);
            assert!((0..100).all(|_| source.next_number() < keys));
        }
    }

    #[test]
    fn a_long_zeta_sum_is_close_to_adding_it_up() {
        let exact: f64 = (1..=100_000u64).map(|k| (k as f64).powf(-0.99)).sum();
        assert!((zeta(100_000, 0.99) - exact).abs() < 1e-6);
    }
}
