//! The 80-bit floating point numbers of x86 (`long double`), in which INCRBYFLOAT and HINCRBYFLOAT are defined: read,
//! add, write. The arithmetic is software, so the results are the same on every machine. Pure; any thread.

#![forbid(unsafe_code)]

use rustc_apfloat::ieee::{Double, X87DoubleExtended};
use rustc_apfloat::{Float, FloatConvert, Round};

use super::float::{Form, form};
use super::integer::write_u64;

/// Texts of this length and longer are refused, in bytes.
pub const TEXT_LIMIT: usize = 5 * 1024;

/// Digits after the point that are written, trailing zeros not counted.
const PLACES: u32 = 17;
const SCALE: u128 = 10u128.pow(PLACES);

/// One number.
#[derive(Clone, Copy, Debug)]
pub struct LongDouble(X87DoubleExtended);

impl LongDouble {
    /// Reads what C's `strtold` reads as a whole, except NaN: decimal, hexadecimal, `inf`, `infinity`. Refused are blanks,
    /// numbers too large, and such as would become zero without being it.
    pub fn parse(text: &[u8]) -> Option<LongDouble> {
        if text.len() >= TEXT_LIMIT {
            return None;
        }
        let form = form(text)?;
        let ascii = str::from_utf8(text).ok()?;
        let read = |ascii: &str| Some(X87DoubleExtended::from_str_r(ascii, Round::NearestTiesToEven).ok()?.value);
        let (value, zero) = match form {
            Form::Infinite if text[0] == b'-' => return Some(LongDouble(-X87DoubleExtended::INFINITY)),
            Form::Infinite => return Some(LongDouble(X87DoubleExtended::INFINITY)),
            Form::Decimal { zero } => (read(ascii)?, zero),
            Form::Hexadecimal { zero, exponent: true } => (read(ascii)?, zero),
            Form::Hexadecimal { zero, exponent: false } => (read(&format!("{ascii}p0"))?, zero),
        };
        (value.is_finite() && (!value.is_zero() || zero)).then_some(LongDouble(value))
    }

    /// Exactly `value`.
    pub fn from_f64(value: f64) -> LongDouble {
        let mut loses = false;
        LongDouble(Double::from_bits(u128::from(value.to_bits())).convert(&mut loses).value)
    }

    /// The nearest double.
    pub fn to_f64(self) -> f64 {
        let mut loses = false;
        let nearest: Double = self.0.convert(&mut loses).value;
        f64::from_bits(nearest.to_bits() as u64)
    }

    /// The sum, rounded to nearest, ties to even.
    #[must_use]
    #[allow(clippy::should_implement_trait, reason = "one operation does not make an arithmetic type")]
    pub fn add(self, other: LongDouble) -> LongDouble {
        LongDouble((self.0 + other.0).value)
    }

    /// Neither NaN nor infinite.
    pub fn is_finite(self) -> bool {
        self.0.is_finite()
    }

    /// The result of adding opposite infinities.
    pub fn is_nan(self) -> bool {
        self.0.is_nan()
    }

    /// Appends the text that INCRBYFLOAT stores and replies: 17 places, rounded, without trailing zeros and never with
    /// an exponent.
    pub fn write(self, out: &mut Vec<u8>) {
        let bits = self.0.to_bits();
        let negative = bits >> 79 & 1 == 1;
        let biased = (bits >> 64 & 0x7fff) as i32;
        let significand = bits as u64;
        if self.is_nan() {
            out.extend_from_slice(b"nan");
            return;
        }
        let start = out.len();
        if negative {
            out.push(b'-');
        }
        if !self.is_finite() {
            out.extend_from_slice(b"inf");
            return;
        }
        // The value is the significand times two to this power; denormal numbers share the least exponent.
        let power = biased.max(1) - 16383 - 63;
        if power < 0 {
            write_fixed(out, significand, power.unsigned_abs());
            if negative && out[start..] == *b"-0" {
                out.remove(start);
            }
        } else {
            write_shifted(out, significand, power.unsigned_abs());
        }
    }

    /// [`LongDouble::write`] as a text of its own.
    pub fn to_text(self) -> Vec<u8> {
        let mut out = Vec::new();
        self.write(&mut out);
        out
    }
}

/// Writes `significand / 2^shift`, rounded to [`PLACES`] places.
fn write_fixed(out: &mut Vec<u8>, significand: u64, shift: u32) {
    // At most 64 + 57 bits: what is shifted out by more is far below half a place.
    let product = u128::from(significand) * SCALE;
    let rounded = if shift > 127 {
        0
    } else {
        let (quotient, rest, half) = (product >> shift, product & ((1 << shift) - 1), 1u128 << (shift - 1));
        quotient + u128::from(rest > half || (rest == half && quotient & 1 == 1))
    };
    write_u64(out, u64::try_from(rounded / SCALE).expect("not above the significand"));
    let fraction = rounded % SCALE;
    if fraction != 0 {
        let digits = format!(".{fraction:0width$}", width = PLACES as usize);
        out.extend_from_slice(digits.trim_end_matches('0').as_bytes());
    }
}

/// Writes `significand * 2^shift`, every digit of it.
fn write_shifted(out: &mut Vec<u8>, significand: u64, shift: u32) {
    // Limbs of 32 bits, the lowest first.
    let mut limbs = vec![0u32; (shift / 32) as usize];
    let shifted = u128::from(significand) << (shift % 32);
    limbs.extend([shifted as u32, (shifted >> 32) as u32, (shifted >> 64) as u32]);
    let mut groups = Vec::new();
    while !limbs.is_empty() {
        let mut rest = 0u64;
        for limb in limbs.iter_mut().rev() {
            let value = rest << 32 | u64::from(*limb);
            *limb = (value / 1_000_000_000) as u32;
            rest = value % 1_000_000_000;
        }
        groups.push(rest);
        while limbs.last() == Some(&0) {
            limbs.pop();
        }
    }
    let mut groups = groups.iter().rev();
    write_u64(out, *groups.next().unwrap_or(&0));
    groups.for_each(|group| out.extend_from_slice(format!("{group:09}").as_bytes()));
}

#[cfg(test)]
mod tests;
