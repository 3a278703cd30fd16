//! Medians, quartiles, and how sure one may be of them.

#![forbid(unsafe_code)]

use serde::{Deserialize, Serialize};

use crate::keys::{random, scaled};

/// Resamples of a bootstrap.
const RESAMPLES: usize = 4000;
/// With fewer values than this, an interval would say nothing.
const VALUES_MIN: usize = 3;
/// The part of resampled medians that lies inside the interval.
const CONFIDENCE: f64 = 0.95;
/// Same values, same interval: reports are made again and compared.
const SEED: u64 = 0x7073_7374_726F_6F74;

/// How a few numbers lie.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Serialize)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) lower_quartile: f64,
    pub(crate) median: f64,
    pub(crate) upper_quartile: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of `values`, in any order. Quantiles are interpolated between neighbours. None for no values, or a NaN.
    pub(crate) fn of(values: &[f64]) -> Option<Spread> {
        let sorted = sorted(values)?;
        Some(Spread {
            min: quantile(&sorted, 0.0),
            lower_quartile: quantile(&sorted, 0.25),
            median: quantile(&sorted, 0.5),
            upper_quartile: quantile(&sorted, 0.75),
            max: quantile(&sorted, 1.0),
        })
    }
}

/// The median, or zero of nothing.
pub(crate) fn median(values: &[f64]) -> f64 {
    Spread::of(values).map_or(0.0, |spread| spread.median)
}

/// In which 95 % of medians lie when values are drawn again, with replacement, from those that were measured.
pub(crate) fn median_interval(values: &[f64]) -> Option<(f64, f64)> {
    if values.len() < VALUES_MIN || values.iter().any(|value| value.is_nan()) {
        return None;
    }
    let mut state = SEED;
    let mut drawn = vec![0.0; values.len()];
    let mut medians = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        for value in &mut drawn {
            *value = values[scaled(random(&mut state), values.len() as u64) as usize];
        }
        drawn.sort_unstable_by(f64::total_cmp);
        medians.push(quantile(&drawn, 0.5));
    }
    medians.sort_unstable_by(f64::total_cmp);
    let tail = (1.0 - CONFIDENCE) / 2.0;
    Some((quantile(&medians, tail), quantile(&medians, 1.0 - tail)))
}

fn sorted(values: &[f64]) -> Option<Vec<f64>> {
    let mut sorted = values.to_vec();
    if sorted.is_empty() || sorted.iter().any(|value| value.is_nan()) {
        return None;
    }
    sorted.sort_unstable_by(f64::total_cmp);
    Some(sorted)
}

fn quantile(sorted: &[f64], part: f64) -> f64 {
    let place = part * (sorted.len() - 1) as f64;
    let below = sorted[place.floor() as usize];
    let above = sorted[place.ceil() as usize];
    below + (above - below) * place.fract()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_where_they_should() {
        let spread = Spread::of(&[5.0, 1.0, 4.0, 2.0, 3.0]).unwrap();
        let expected = Spread { min: 1.0, lower_quartile: 2.0, median: 3.0, upper_quartile: 4.0, max: 5.0 };
        assert_eq!(spread, expected);
        let even = Spread::of(&[1.0, 2.0, 3.0, 4.0]).unwrap();
        assert_eq!((even.lower_quartile, even.median, even.upper_quartile), (1.75, 2.5, 3.25));
        let one = Spread::of(&[7.0]).unwrap();
        assert_eq!((one.min, one.median, one.max), (7.0, 7.0, 7.0));
    }

    #[test]
    fn of_nothing_there_is_no_spread() {
        assert_eq!(Spread::of(&[]), None);
        assert_eq!(Spread::of(&[1.0, f64::NAN]), None);
        assert_eq!(median(&[]), 0.0);
        assert_eq!(median_interval(&[1.0, 2.0]), None);
    }

    #[test]
    fn an_interval_holds_the_median_and_narrows_with_more_values() {
        let few = [0.8, 0.7, 0.9, 0.75, 0.85];
        let (low, high) = median_interval(&few).unwrap();
        assert!((0.7..=0.8).contains(&low) && (0.8..=0.9).contains(&high), "{low} {high}");
        assert_eq!(median_interval(&few), Some((low, high)));
        let many: Vec<f64> = (0..200).map(|index| few[index % 5]).collect();
        let (narrow_low, narrow_high) = median_interval(&many).unwrap();
        assert!(narrow_high - narrow_low < high - low);
        assert_eq!(median_interval(&[2.0; 7]), Some((2.0, 2.0)));
    }

    #[test]
    fn nineteen_of_twenty_intervals_hold_the_true_median() {
        let mut state = 5;
        let mut held = 0;
        for _ in 0..200 {
            let values: Vec<f64> = (0..15).map(|_| scaled(random(&mut state), 1001) as f64).collect();
            let (low, high) = median_interval(&values).unwrap();
            held += u32::from((low..=high).contains(&500.0));
        }
        assert!((176..=200).contains(&held), "{held} of 200");
    }
}
