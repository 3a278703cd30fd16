//! How long the values of a load are: one length, a range, a list with weights, or a lognormal distribution.

#![forbid(unsafe_code)]

use std::str::FromStr;

use crate::keys::{random, scaled, unit};

/// The longest value that Redis takes.
const VALUE_LEN_MAX: usize = 512 << 20;
/// A workload with varying values is made of this many different requests.
pub(crate) const VARIETY: usize = 64;
/// Entries of a list.
const LIST_MAX: usize = 64;

/// A distribution of lengths, in bytes.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum ValueLengths {
    Fixed(usize),
    /// Uniform, both ends included.
    Range(usize, usize),
    /// Lengths with their weights.
    List(Vec<(usize, u32)>),
    /// Median and sigma of the logarithm.
    Lognormal {
        median: f64,
        sigma: f64,
    },
}

impl ValueLengths {
    /// The only length there is.
    pub(crate) fn fixed(&self) -> Option<usize> {
        match self {
            ValueLengths::Fixed(len) => Some(*len),
            _ => None,
        }
    }

    /// A set of lengths that is spread as the distribution: one for a fixed length, else `VARIETY` in random order.
    pub(crate) fn sample(&self, seed: u64) -> Vec<usize> {
        if let ValueLengths::Fixed(len) = self {
            return vec![*len];
        }
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        // One from each of VARIETY equal parts, so that the set is spread as it should be even though it is small.
        let part = |index: usize, within: f64| (index as f64 + within) / VARIETY as f64;
        let mut lengths: Vec<usize> =
            (0..VARIETY).map(|index| self.at(part(index, unit(random(&mut state))))).collect();
        for index in (1..lengths.len()).rev() {
            lengths.swap(index, scaled(random(&mut state), index as u64 + 1) as usize);
        }
        lengths
    }

    /// The length below which this share of all lie.
    fn at(&self, share: f64) -> usize {
        match self {
            ValueLengths::Fixed(len) => *len,
            ValueLengths::Range(from, to) => from + (share * (to - from + 1) as f64) as usize,
            ValueLengths::List(entries) => {
                let total: u64 = entries.iter().map(|(_, weight)| u64::from(*weight)).sum();
                let mut left = share * total as f64;
                for (len, weight) in entries {
                    if left < f64::from(*weight) {
                        return *len;
                    }
                    left -= f64::from(*weight);
                }
                entries.last().map_or(0, |(len, _)| *len)
            }
            ValueLengths::Lognormal { median, sigma } => {
                ((median * (sigma * normal_quantile(share)).exp()).round() as usize).clamp(1, VALUE_LEN_MAX)
            }
        }
    }
}

impl std::fmt::Display for ValueLengths {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ValueLengths::Fixed(len) => write!(out, "{len}"),
            ValueLengths::Range(from, to) => write!(out, "{from}-{to}"),
            ValueLengths::List(entries) => {
                let texts: Vec<String> = entries.iter().map(|(len, weight)| format!("{len}:{weight}")).collect();
                out.write_str(&texts.join(","))
            }
            ValueLengths::Lognormal { median, sigma } => write!(out, "lognormal:{median}:{sigma}"),
        }
    }
}

impl FromStr for ValueLengths {
    type Err = String;

    fn from_str(text: &str) -> Result<ValueLengths, String> {
        let expected = || {
            format!(
                "not a length like 64, a range like 16-1024, a list like 8:50,1024:5, or lognormal:MEDIAN:SIGMA: {text}"
            )
        };
        let len = |text: &str| text.parse::<usize>().ok().filter(|len| *len <= VALUE_LEN_MAX);
        if let Some(rest) = text.strip_prefix("lognormal:") {
            let numbers =
                rest.split_once(':').and_then(|(median, sigma)| Some((median.parse().ok()?, sigma.parse().ok()?)));
            return match numbers {
                Some((median, sigma))
                    if (1.0..=VALUE_LEN_MAX as f64).contains(&median) && (0.0..=4.0).contains(&sigma) =>
                {
                    Ok(ValueLengths::Lognormal { median, sigma })
                }
                _ => Err(expected()),
            };
        }
        if text.contains(':') {
            let entries: Option<Vec<(usize, u32)>> = text
                .split(',')
                .map(|entry| {
                    let (length, weight) = entry.split_once(':')?;
                    Some((len(length)?, weight.parse().ok().filter(|weight| *weight > 0)?))
                })
                .collect();
            return entries.filter(|entries| entries.len() <= LIST_MAX).map(ValueLengths::List).ok_or_else(expected);
        }
        if let Some((from, to)) = text.split_once('-') {
            return match (len(from), len(to)) {
                (Some(from), Some(to)) if from <= to => Ok(ValueLengths::Range(from, to)),
                _ => Err(expected()),
            };
        }
        len(text).map(ValueLengths::Fixed).ok_or_else(expected)
    }
}

/// The normal distribution's quantile, by bisection of its cumulative function: exact enough for lengths, and rare.
fn normal_quantile(share: f64) -> f64 {
    let (mut low, mut high) = (-8.0f64, 8.0f64);
    for _ in 0..60 {
        let middle = (low + high) / 2.0;
        if normal_cumulative(middle) < share {
            low = middle;
        } else {
            high = middle;
        }
    }
    (low + high) / 2.0
}

/// The share of a normal distribution below `x`, as the series `1/2 + density(x) (x + x^3/3 + x^5/15 + ...)`.
fn normal_cumulative(x: f64) -> f64 {
    let density = (-x * x / 2.0).exp() / (2.0 * std::f64::consts::PI).sqrt();
    let mut term = x;
    let mut sum = x;
    for odd in (3..400).step_by(2) {
        term *= x * x / f64::from(odd);
        sum += term;
    }
    (0.5 + density * sum).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_they_are_written() {
        for text in ["64", "16-1024", "8:50,1024:5", "lognormal:300:1.5"] {
            assert_eq!(text.parse::<ValueLengths>().unwrap().to_string(), text);
        }
        for text in ["", "x", "9-8", "1:0", "1:", "lognormal:0:1", "lognormal:5", "lognormal:5:9", "999999999999"] {
            assert!(text.parse::<ValueLengths>().is_err(), "{text}");
        }
    }

    #[test]
    fn samples_are_spread_as_the_distribution() {
        assert_eq!(ValueLengths::Fixed(9).sample(1), [9]);
        let mut range = ValueLengths::Range(1, 64).sample(1);
        assert_eq!(range.len(), VARIETY);
        assert!(!range.is_sorted(), "lengths come in random order");
        range.sort_unstable();
        assert_eq!((range[0], range[63]), (1, 64));
        let list = ValueLengths::List(vec![(8, 3), (1024, 1)]).sample(5);
        assert_eq!(list.iter().filter(|len| **len == 8).count(), VARIETY * 3 / 4);
        let mut lognormal = ValueLengths::Lognormal { median: 300.0, sigma: 1.0 }.sample(5);
        lognormal.sort_unstable();
        // Half lie below the median, and one in six above e times it.
        assert!((280..=320).contains(&lognormal[VARIETY / 2]), "{lognormal:?}");
        let above = lognormal.iter().filter(|len| **len > 815).count();
        assert!((8..=13).contains(&above), "{above}");
    }
}
