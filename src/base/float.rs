//! Double precision numbers as text: the reading of arguments and the writing of scores. Pure; any thread.
//!
//! Writing follows Redis byte for byte, and that is not quite "the shortest text": Redis uses the Grisu2 algorithm
//! (F. Loitsch, "Printing floating-point numbers quickly and accurately with integers", 2010), which always reads back
//! as the same number but in about one case of a thousand has a digit too many or a last digit that is not the nearest.
//! `1e23` therefore appears as `99999999999999990000000`, here as there.

#![forbid(unsafe_code)]

use rustc_apfloat::ieee::Double;
use rustc_apfloat::{Float, Round};

/// How a number is written, as C's `strtod` tells them apart. NaN is no number here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Digits with an optional point and exponent. `zero` when every digit before the exponent is 0.
    Decimal { zero: bool },
    /// `0x...` with an optional binary exponent, which `exponent` says is there.
    Hexadecimal { zero: bool, exponent: bool },
    /// `inf` or `infinity` in any case.
    Infinite,
}

/// Looks at the whole of `text`: None unless it is one number without blanks around it.
pub(super) fn form(text: &[u8]) -> Option<Form> {
    let unsigned = match text {
        [b'+' | b'-', rest @ ..] => rest,
        rest => rest,
    };
    if unsigned.eq_ignore_ascii_case(b"inf") || unsigned.eq_ignore_ascii_case(b"infinity") {
        return Some(Form::Infinite);
    }
    if let [b'0', b'x' | b'X', hex @ ..] = unsigned {
        let (zero, exponent) = significand(hex, u8::is_ascii_hexdigit)?;
        return match exponent {
            [] => Some(Form::Hexadecimal { zero, exponent: false }),
            [b'p' | b'P', exponent @ ..] => is_exponent(exponent).then_some(Form::Hexadecimal { zero, exponent: true }),
            _ => None,
        };
    }
    let (zero, exponent) = significand(unsigned, u8::is_ascii_digit)?;
    match exponent {
        [] => Some(Form::Decimal { zero }),
        [b'e' | b'E', exponent @ ..] => is_exponent(exponent).then_some(Form::Decimal { zero }),
        _ => None,
    }
}

/// Digits with at most one point among them: whether all are zeros, and what follows. None without a digit.
fn significand(text: &[u8], is_digit: impl Fn(&u8) -> bool) -> Option<(bool, &[u8])> {
    let (mut zero, mut digits, mut point, mut at) = (true, 0usize, false, 0usize);
    for byte in text {
        match byte {
            b'.' if !point => point = true,
            byte if is_digit(byte) => {
                zero &= *byte == b'0';
                digits += 1;
            }
            _ => break,
        }
        at += 1;
    }
    (digits > 0).then(|| (zero, &text[at..]))
}

fn is_exponent(text: &[u8]) -> bool {
    let digits = match text {
        [b'+' | b'-', rest @ ..] => rest,
        rest => rest,
    };
    !digits.is_empty() && digits.iter().all(u8::is_ascii_digit)
}

/// Reads a double as Redis reads a score, a radius or another floating point argument: decimal or hexadecimal, `inf`
/// and `infinity` with either sign in any case. Refused are blanks, NaN, whatever follows the number, and numbers that a
/// double cannot hold: too large ones, and such as would become zero without being it.
pub fn parse_f64(text: &[u8]) -> Option<f64> {
    match form(text)? {
        Form::Infinite => Some(if text[0] == b'-' { f64::NEG_INFINITY } else { f64::INFINITY }),
        Form::Decimal { zero } => {
            let value: f64 = str::from_utf8(text).ok()?.parse().ok()?;
            (value.is_finite() && (value != 0.0 || zero)).then_some(value)
        }
        Form::Hexadecimal { zero, exponent } => {
            let mut text = str::from_utf8(text).ok()?.to_owned();
            if !exponent {
                text.push_str("p0");
            }
            let parsed = Double::from_str_r(&text, Round::NearestTiesToEven).ok()?.value;
            let value = f64::from_bits(u64::try_from(parsed.to_bits()).expect("a double has 64 bits"));
            (value.is_finite() && (value != 0.0 || zero)).then_some(value)
        }
    }
}

/// Reads one end of a score range (after its `(`, where it had one), which Redis reads with less care: an empty text is
/// 0, a number too large is infinite, one too small is 0, everything from a NUL byte on is ignored; hexadecimal is not
/// known, and NaN is refused here too.
pub fn parse_range_end(text: &[u8]) -> Option<f64> {
    let text = text.iter().position(|byte| *byte == 0).map_or(text, |end| &text[..end]);
    if text.is_empty() {
        return Some(0.0);
    }
    match form(text)? {
        Form::Infinite => parse_f64(text),
        Form::Decimal { .. } => str::from_utf8(text).ok()?.parse().ok(),
        Form::Hexadecimal { .. } => None,
    }
}

/// Digits that tell every double from every other.
const DIGITS_MAX: usize = 17;

/// The text of a double with 17 digits, without zeros at the end, as C's `%.17g` writes it: what ZSCAN answers of a big
/// sorted set.
pub fn text_of_17_digits(value: f64) -> String {
    if !value.is_finite() {
        return if value > 0.0 { "inf".to_owned() } else { "-inf".to_owned() };
    }
    let scientific = format!("{:.*e}", DIGITS_MAX - 1, value);
    let (digits, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or_default();
    let without_zeros = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= DIGITS_MAX as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", without_zeros(digits), exponent.abs());
    }
    let decimals = usize::try_from(DIGITS_MAX as i32 - 1 - exponent).unwrap_or_default();
    without_zeros(&format!("{value:.decimals$}"))
}

/// Bytes enough for every double: a sign, 17 digits, a point, and at most 8 zeros or an exponent.
const TEXT_MAX: usize = 32;

/// Room on the stack for the text of a double.
pub struct TextBuffer {
    bytes: [u8; TEXT_MAX],
    len: usize,
}

impl Default for TextBuffer {
    fn default() -> Self {
        TextBuffer::new()
    }
}

impl TextBuffer {
    /// Empty.
    pub fn new() -> TextBuffer {
        TextBuffer { bytes: [0; TEXT_MAX], len: 0 }
    }

    /// The text of `value` as Redis writes scores and RESP3 doubles: integers without point, `inf`, `-inf`, `nan`.
    pub fn format(&mut self, value: f64) -> &[u8] {
        self.len = 0;
        if value.is_nan() {
            self.put(b"nan");
        } else if value.is_infinite() {
            self.put(if value > 0.0 { b"inf" } else { b"-inf" });
        } else if value == 0.0 {
            self.put(if value.is_sign_negative() { b"-0" } else { b"0" });
        } else if let Some(integer) = as_integer(value) {
            self.put(itoa::Buffer::new().format(integer).as_bytes());
        } else {
            self.put_digits(value);
        }
        &self.bytes[..self.len]
    }

    /// The same, but whole numbers are written as all others are: with an exponent from eight zeros on. DEBUG DIGEST takes
    /// scores so.
    pub fn format_digits(&mut self, value: f64) -> &[u8] {
        if !value.is_finite() || value == 0.0 {
            return self.format(value);
        }
        self.len = 0;
        self.put_digits(value);
        &self.bytes[..self.len]
    }

    fn put(&mut self, text: &[u8]) {
        self.bytes[self.len..self.len + text.len()].copy_from_slice(text);
        self.len += text.len();
    }

    fn put_zeros(&mut self, count: usize) {
        self.put(&b"0000000000000000000000"[..count]);
    }

    /// Lays out the digits: plain, with a point, or with an exponent.
    fn put_digits(&mut self, value: f64) {
        if value < 0.0 {
            self.put(b"-");
        }
        let Digits { text, len, power } = Digits::of(value.abs());
        let digits = &text[..len];
        let exponent = power + len as i32 - 1;
        if power >= 0 && exponent.abs() < len as i32 + 7 {
            self.put(digits);
            self.put_zeros(power as usize);
        } else if power < 0 && (power > -7 || exponent.abs() < 4) {
            let whole = len as i32 + power;
            if whole > 0 {
                let (whole, fraction) = digits.split_at(whole as usize);
                self.put(whole);
                self.put(b".");
                self.put(fraction);
            } else {
                self.put(b"0.");
                self.put_zeros(-whole as usize);
                self.put(digits);
            }
        } else {
            self.put(&digits[..1]);
            if len > 1 {
                self.put(b".");
                self.put(&digits[1..]);
            }
            self.put(if exponent < 0 { b"e-" } else { b"e+" });
            self.put(itoa::Buffer::new().format(exponent.unsigned_abs()).as_bytes());
        }
    }
}

/// Whole numbers up to 2^62 either way are written digit by digit.
fn as_integer(value: f64) -> Option<i64> {
    const MAX: f64 = (1i64 << 62) as f64;
    ((-MAX..=MAX).contains(&value) && value as i64 as f64 == value).then_some(value as i64)
}

/// Decimal digits of a positive number: `text[..len]` times ten to the `power`.
struct Digits {
    text: [u8; 20],
    len: usize,
    power: i32,
}

/// A significand times two to the exponent.
#[derive(Clone, Copy)]
struct Scaled {
    significand: u64,
    exponent: i32,
}

impl Scaled {
    /// Shifted until the top bit is set.
    fn normalized(self) -> Scaled {
        let shift = self.significand.leading_zeros();
        Scaled { significand: self.significand << shift, exponent: self.exponent - shift as i32 }
    }

    /// The upper half of the product, rounded.
    fn times(self, other: Scaled) -> Scaled {
        let product = u128::from(self.significand) * u128::from(other.significand);
        let rounded = (product + (1 << 63)) >> 64;
        Scaled { significand: rounded as u64, exponent: self.exponent + other.exponent + 64 }
    }
}

impl Digits {
    /// Grisu2 for a positive finite number.
    fn of(value: f64) -> Digits {
        const HIDDEN_BIT: u64 = 1 << 52;
        let bits = value.to_bits();
        let (fraction, biased) = (bits & (HIDDEN_BIT - 1), (bits >> 52) as i32);
        let exact = match biased {
            0 => Scaled { significand: fraction, exponent: -1074 },
            _ => Scaled { significand: fraction | HIDDEN_BIT, exponent: biased - 1075 },
        };
        // Halfway to the neighbours; the one below a power of two is half as far away.
        let upper = Scaled { significand: 2 * exact.significand + 1, exponent: exact.exponent - 1 }.normalized();
        let closer = if exact.significand == HIDDEN_BIT { 2 } else { 1 };
        let lower = (exact.significand << closer) - 1;
        let lower =
            Scaled { significand: lower << (exact.exponent - closer - upper.exponent), exponent: upper.exponent };

        let (power_of_ten, scale) = power_of_ten_for(upper.exponent);
        let middle = exact.normalized().times(scale).significand;
        let upper = upper.times(scale);
        // One unit inside, because the products are not exact.
        let (high, low) = (upper.significand - 1, lower.times(scale).significand + 1);
        let mut digits = Digits { text: [0; 20], len: 0, power: -power_of_ten };
        digits.generate(high, high - middle, high - low, -upper.exponent as u32);
        digits
    }

    /// Writes digits of `high`, which has `point` bits after the binary point, until what is left over lies within
    /// `width`; then steps back towards the number itself, which is `distance` below `high`.
    fn generate(&mut self, high: u64, distance: u64, width: u64, point: u32) {
        let one = 1u64 << point;
        let (mut whole, mut fraction) = (high >> point, high & (one - 1));
        let mut unit = 1_000_000_000u64;
        for kappa in (0..10).rev() {
            self.push(whole / unit);
            whole %= unit;
            let left = (whole << point) + fraction;
            if left <= width {
                self.power += kappa;
                self.step_back(width, left, unit << point, distance);
                return;
            }
            unit /= 10;
        }
        let (mut width, mut distance) = (width, distance);
        loop {
            fraction = fraction.wrapping_mul(10);
            width = width.wrapping_mul(10);
            distance = distance.wrapping_mul(10);
            self.power -= 1;
            self.push(fraction >> point);
            fraction &= one - 1;
            if fraction < width {
                self.step_back(width, fraction, one, distance);
                return;
            }
        }
    }

    /// Appends a digit, leading zeros excepted.
    fn push(&mut self, digit: u64) {
        if digit != 0 || self.len > 0 {
            self.text[self.len] = b'0' + digit as u8;
            self.len += 1;
        }
    }

    /// Lowers the last digit as long as that comes closer to the number.
    fn step_back(&mut self, width: u64, mut left: u64, unit: u64, distance: u64) {
        while left < distance
            && width - left >= unit
            && (left + unit < distance || distance - left > left + unit - distance)
        {
            self.text[self.len - 1] -= 1;
            left += unit;
        }
    }
}

/// A power of ten that brings a number with this binary exponent to one between -60 and -32: its decimal exponent, and
/// its leading 64 bits.
fn power_of_ten_for(exponent: i32) -> (i32, Scaled) {
    const LOG10_OF_2: f64 = std::f64::consts::LOG10_2;
    let estimate = (f64::from(-(exponent + POWERS.len() as i32)) * LOG10_OF_2) as i32;
    let mut index = (estimate - FIRST_POWER) / POWER_STEP;
    loop {
        let power = FIRST_POWER + index * POWER_STEP;
        // Bits of ten to that power, less the 64 that are kept: log2(10) is 217706 / 65536 closely enough.
        let scale = Scaled { significand: POWERS[index as usize], exponent: ((power * 217_706) >> 16) - 63 };
        match exponent + scale.exponent + 64 {
            ..-60 => index += 1,
            -31.. => index -= 1,
            _ => return (power, scale),
        }
    }
}

const FIRST_POWER: i32 = -348;
const POWER_STEP: i32 = 8;

/// The leading 64 bits, rounded, of 10^-348, 10^-340, ... 10^340.
#[rustfmt::skip]
const POWERS: [u64; 87] = [
    0xfa8f_d5a0_081c_0288, 0xbaae_e17f_a23e_bf76, 0x8b16_fb20_3055_ac76, 0xcf42_894a_5dce_35ea, 0x9a6b_b0aa_5565_3b2d,
    0xe61a_cf03_3d1a_45df, 0xab70_fe17_c79a_c6ca, 0xff77_b1fc_bebc_dc4f, 0xbe56_91ef_416b_d60c, 0x8dd0_1fad_907f_fc3c,
    0xd351_5c28_3155_9a83, 0x9d71_ac8f_ada6_c9b5, 0xea9c_2277_23ee_8bcb, 0xaecc_4991_4078_536d, 0x823c_1279_5db6_ce57,
    0xc210_9436_4dfb_5637, 0x9096_ea6f_3848_984f, 0xd774_85cb_2582_3ac7, 0xa086_cfcd_97bf_97f4, 0xef34_0a98_172a_ace5,
    0xb238_67fb_2a35_b28e, 0x84c8_d4df_d2c6_3f3b, 0xc5dd_4427_1ad3_cdba, 0x936b_9fce_bb25_c996, 0xdbac_6c24_7d62_a584,
    0xa3ab_6658_0d5f_daf6, 0xf3e2_f893_dec3_f126, 0xb5b5_ada8_aaff_80b8, 0x8762_5f05_6c7c_4a8b, 0xc9bc_ff60_34c1_3053,
    0x964e_858c_91ba_2655, 0xdff9_7724_7029_7ebd, 0xa6df_bd9f_b8e5_b88f, 0xf8a9_5fcf_8874_7d94, 0xb944_7093_8fa8_9bcf,
    0x8a08_f0f8_bf0f_156b, 0xcdb0_2555_6531_31b6, 0x993f_e2c6_d07b_7fac, 0xe45c_10c4_2a2b_3b06, 0xaa24_2499_6973_92d3,
    0xfd87_b5f2_8300_ca0e, 0xbce5_0864_9211_1aeb, 0x8cbc_cc09_6f50_88cc, 0xd1b7_1758_e219_652c, 0x9c40_0000_0000_0000,
    0xe8d4_a510_0000_0000, 0xad78_ebc5_ac62_0000, 0x813f_3978_f894_0984, 0xc097_ce7b_c907_15b3, 0x8f7e_32ce_7bea_5c70,
    0xd5d2_38a4_abe9_8068, 0x9f4f_2726_179a_2245, 0xed63_a231_d4c4_fb27, 0xb0de_6538_8cc8_ada8, 0x83c7_088e_1aab_65db,
    0xc45d_1df9_4271_1d9a, 0x924d_692c_a61b_e758, 0xda01_ee64_1a70_8dea, 0xa26d_a399_9aef_774a, 0xf209_787b_b47d_6b85,
    0xb454_e4a1_79dd_1877, 0x865b_8692_5b9b_c5c2, 0xc835_53c5_c896_5d3d, 0x952a_b45c_fa97_a0b3, 0xde46_9fbd_99a0_5fe3,
    0xa59b_c234_db39_8c25, 0xf6c6_9a72_a398_9f5c, 0xb7dc_bf53_54e9_bece, 0x88fc_f317_f222_41e2, 0xcc20_ce9b_d35c_78a5,
    0x9816_5af3_7b21_53df, 0xe2a0_b5dc_971f_303a, 0xa8d9_d153_5ce3_b396, 0xfb9b_7cd9_a4a7_443c, 0xbb76_4c4c_a7a4_4410,
    0x8bab_8eef_b640_9c1a, 0xd01f_ef10_a657_842c, 0x9b10_a4e5_e991_3129, 0xe710_9bfb_a19c_0c9d, 0xac28_20d9_623b_f429,
    0x8044_4b5e_7aa7_cf85, 0xbf21_e440_03ac_dd2d, 0x8e67_9c2f_5e44_ff8f, 0xd433_179d_9c8c_b841, 0x9e19_db92_b4e3_1ba9,
    0xeb96_bf6e_badf_77d9, 0xaf87_023b_9bf0_ee6b,
];

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn text(value: f64) -> String {
        String::from_utf8(TextBuffer::new().format(value).to_vec()).expect("ASCII")
    }

    #[test]
    fn seventeen_digits_as_c_writes_them() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (1.0, "1"),
            (0.1, "0.10000000000000001"),
            (1.5, "1.5"),
            (3e-7, "2.9999999999999999e-07"),
            (0.0001, "0.0001"),
            (1e16, "10000000000000000"),
            (1e17, "1e+17"),
            (1e100, "1e+100"),
            (123_456_789_012.5, "123456789012.5"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(text_of_17_digits(value), text);
        }
    }

    #[test]
    fn whole_numbers_with_exponents() {
        for (value, text) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (f64::NEG_INFINITY, "-inf"),
            (10_000_000.0, "10000000"),
            (100_000_000.0, "1e+8"),
            (-1.2e15, "-1.2e+15"),
            (123_456_789_012_345_678.0, "123456789012345680"),
            (0.1, "0.1"),
        ] {
            assert_eq!(TextBuffer::new().format_digits(value), text.as_bytes(), "{value}");
        }
    }

    #[test]
    fn arguments_that_are_numbers() {
        for (text, value) in [
            ("0x10", 16.0),
            ("0X1p3", 8.0),
            ("0x.8", 0.5),
            ("-0x1.8P-1", -0.75),
            ("+5", 5.0),
            ("+.5", 0.5),
            ("-.5", -0.5),
            ("5.", 5.0),
            ("1.e5", 1e5),
            ("1E+5", 1e5),
            ("00012", 12.0),
            ("inf", f64::INFINITY),
            ("+Infinity", f64::INFINITY),
            ("-INF", f64::NEG_INFINITY),
            ("5e-324", 5e-324),
            ("1e-310", 1e-310),
            ("0e-999", 0.0),
            ("0x0p-9999", 0.0),
            ("1.7976931348623157e308", f64::MAX),
        ] {
            assert_eq!(parse_f64(text.as_bytes()), Some(value), "{text}");
        }
        assert!(parse_f64(b"-0").is_some_and(|zero| zero == 0.0 && zero.is_sign_negative()));
        assert_eq!(parse_f64(&[&[b'0'; 6000][..], b"1"].concat()), Some(1.0));
    }

    #[test]
    fn arguments_that_are_none() {
        for text in [
            "",
            " 5",
            "5 ",
            "\t5",
            "1\x002",
            ".",
            "e5",
            "1e",
            "1e+",
            "1d",
            "1_000",
            "++5",
            "--5",
            "+-5",
            "0x",
            "0x.",
            "0x1p",
            "nan",
            "-nan",
            "nan(123)",
            "infi",
            "inf ",
            "1.2.3",
            "1e400",
            "-1e400",
            "1e-400",
            "2e-324",
            "1.7976931348623159e308",
            "0x1p-2000",
            "0x1p99999999999999999999",
            "1e99999999999999999999",
            "\u{ff11}",
        ] {
            assert_eq!(parse_f64(text.as_bytes()), None, "{text:?}");
        }
        assert_eq!(parse_f64(b"\xff"), None);
    }

    #[test]
    fn ends_of_ranges_are_read_with_less_care() {
        for (text, value) in [
            ("", Some(0.0)),
            ("1\x002", Some(1.0)),
            ("\x001", Some(0.0)),
            ("1e400", Some(f64::INFINITY)),
            ("-1e400", Some(f64::NEG_INFINITY)),
            ("2e-324", Some(0.0)),
            ("-inf", Some(f64::NEG_INFINITY)),
            ("+5.5", Some(5.5)),
            ("0x1", None),
            ("nan", None),
            ("+", None),
            ("-", None),
            (" 1", None),
            ("+-1", None),
        ] {
            assert_eq!(parse_range_end(text.as_bytes()), value, "{text:?}");
        }
    }

    /// Each line was written by a Redis 8.0.6.
    #[test]
    fn texts_as_redis_writes_them() {
        for (value, expected) in [
            (0.0, "0"),
            (-0.0, "-0"),
            (3.0, "3"),
            (0.1, "0.1"),
            (f64::INFINITY, "inf"),
            (f64::NEG_INFINITY, "-inf"),
            (f64::NAN, "nan"),
            (1e15, "1000000000000000"),
            (1e17, "100000000000000000"),
            (1e19, "1e+19"),
            (1e23, "99999999999999990000000"),
            (1.5e300, "1.5e+300"),
            (1e-5, "0.00001"),
            (1e-6, "0.000001"),
            (12e-6, "0.000012"),
            (1e-7, "1e-7"),
            (1.23e-6, "1.23e-6"),
            (1.5e-7, "1.5e-7"),
            (-1.5e-10, "-1.5e-10"),
            (123456789012345678.0, "123456789012345680"),
            (12345678901234567890.0, "12345678901234567000"),
            (4611686018427387904.0, "4611686018427387904"),
            (-4611686018427387904.0, "-4611686018427387904"),
            (9223372036854775807.0, "9223372036854776000"),
            (123_456_789.123_456_79, "1.2345678912345679e+8"),
            (1234567.1, "1234567.1"),
            (0.30000000000000004, "0.30000000000000004"),
            (156.67089, "156.67089000000001"),
            (5e-324, "5e-324"),
            (f64::MAX, "1.7976931348623157e+308"),
            (2.682209014892578e-6, "2.682209014892578e-6"),
        ] {
            assert_eq!(text(value), expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20_000))]

        #[test]
        fn any_number_is_read_back(bits: u64) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                prop_assert_eq!(parse_f64(text(value).as_bytes()).map(f64::to_bits), Some(bits));
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(text in prop::collection::vec(prop_oneof![Just(b'0'), Just(b'x'), Just(b'.'), Just(b'p'), Just(b'e'), Just(b'-'), Just(b'9'), any::<u8>()], 0..40)) {
            if let Some(value) = parse_f64(&text) {
                prop_assert!(!value.is_nan());
            }
            parse_range_end(&text);
        }
    }
}
