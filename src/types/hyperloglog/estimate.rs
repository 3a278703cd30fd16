//! How many elements registers tell of: the estimator of Otmar Ertl, "New cardinality estimation algorithms for
//! HyperLogLog sketches" (2017), algorithm 6. Pure.

#![forbid(unsafe_code)]

use super::{REGISTER_BITS, REGISTERS, Registers};

/// 1 / (2 ln 2).
const ALPHA: f64 = 0.721_347_520_444_481_7;
/// The greatest register that an element can make, less one.
const TOP: usize = 64 - REGISTER_BITS as usize;

/// About how many different elements were added. What cannot be told wraps to what Redis makes of it.
pub fn estimate(registers: &Registers) -> u64 {
    let mut counts = [0u32; 64];
    for &register in registers {
        counts[usize::from(register & 0x3f)] += 1;
    }
    let all = REGISTERS as f64;
    let mut sum = all * tau((all - f64::from(counts[TOP + 1])) / all);
    for &count in counts[1..=TOP].iter().rev() {
        sum = (sum + f64::from(count)) * 0.5;
    }
    sum += all * sigma(f64::from(counts[0]) / all);
    let estimate = (ALPHA * all * all / sum).round();
    // Infinity, where C's conversion gives the least number.
    if estimate.is_finite() { estimate as u64 } else { 1 << 63 }
}

fn sigma(share: f64) -> f64 {
    if share == 1.0 {
        return f64::INFINITY;
    }
    let (mut power, mut weight, mut sum) = (share, 1.0, share);
    loop {
        power *= power;
        let before = sum;
        sum += power * weight;
        weight += weight;
        if sum == before {
            return sum;
        }
    }
}

fn tau(share: f64) -> f64 {
    if share == 0.0 || share == 1.0 {
        return 0.0;
    }
    let (mut root, mut weight, mut sum) = (share, 1.0, 1.0 - share);
    loop {
        root = root.sqrt();
        let before = sum;
        weight *= 0.5;
        sum -= (1.0 - root) * (1.0 - root) * weight;
        if sum == before {
            return sum / 3.0;
        }
    }
}
