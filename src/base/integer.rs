//! HOT PATH. Integers as text: the strict reading that the protocol and the commands share, and the writing of replies.
//!
//! Pure functions, any thread.

#![forbid(unsafe_code)]

/// The longest text of an `i64`, in bytes (`-9223372036854775808`).
pub const I64_TEXT_MAX: usize = 20;

/// Reads a signed integer in its one canonical spelling: what [`write_i64`] writes. No blank, `+`, leading zero or
/// `-0`, and nothing after the digits. This is what decides whether a value is stored as an integer.
#[inline]
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match text {
        [digit @ b'0'..=b'9'] => Some(i64::from(digit - b'0')),
        [b'-', digits @ ..] => {
            let magnitude = parse_magnitude(digits)?;
            (magnitude <= i64::MIN.unsigned_abs()).then(|| (magnitude as i64).wrapping_neg())
        }
        digits => i64::try_from(parse_magnitude(digits)?).ok(),
    }
}

/// Reads an unsigned integer in its canonical spelling.
#[inline]
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    match text {
        b"0" => Some(0),
        digits => parse_magnitude(digits),
    }
}

/// Reads an unsigned integer the way stream IDs and cursors are read: canonical signed text must not be negative;
/// otherwise what C's `strtoull` takes as a whole, so leading blanks, a sign and leading zeros pass. A negative number
/// that is not canonical wraps around, as it does there.
pub fn parse_u64_lenient(text: &[u8]) -> Option<u64> {
    if let Some(value) = parse_i64(text) {
        return u64::try_from(value).ok();
    }
    let text = match text.iter().position(|byte| !is_blank(*byte)) {
        Some(start) => &text[start..],
        None => return None,
    };
    let (negative, digits) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value: u64 = 0;
    for byte in digits {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(if negative { value.wrapping_neg() } else { value })
}

/// Reads an integer as C's `atoi` does: behind blanks and a sign as many digits as there are, whatever follows them. What
/// 64 bits cannot hold is the nearest that they can; of that the lower 32 bits count.
pub fn parse_i32_careless(text: &[u8]) -> i32 {
    let start = text.iter().position(|byte| !is_blank(*byte)).unwrap_or(text.len());
    let (negative, digits) = match &text[start..] {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        rest => (false, rest),
    };
    let mut value: i64 = 0;
    for byte in digits.iter().take_while(|byte| byte.is_ascii_digit()) {
        let digit = i64::from(byte - b'0');
        value = value.saturating_mul(10);
        value = if negative { value.saturating_sub(digit) } else { value.saturating_add(digit) };
    }
    value as i32
}

/// C's `isspace` in the C locale.
#[inline]
pub fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// A number without sign that begins with 1..9.
#[inline]
fn parse_magnitude(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() || digits.len() > I64_TEXT_MAX || digits[0] == b'0' {
        return None;
    }
    // Nineteen digits cannot overflow; the twentieth is checked.
    let (head, tail) = digits.split_at(digits.len().min(19));
    let mut value: u64 = 0;
    for byte in head {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    if let [byte] = tail {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
    }
    Some(value)
}

/// Decimal digits of `value`; 1 for zero.
#[inline]
pub fn digits_u64(value: u64) -> usize {
    value.checked_ilog10().map_or(1, |log| log as usize + 1)
}

/// Bytes of `value` as text, the minus sign included.
#[inline]
pub fn text_len_i64(value: i64) -> usize {
    digits_u64(value.unsigned_abs()) + usize::from(value < 0)
}

/// Appends `value` as text.
#[inline]
pub fn write_i64(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// Appends `value` as text.
#[inline]
pub fn write_u64(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

/// The greatest number with eight digits.
const EIGHT_DIGITS_MAX: u64 = 99_999_999;

/// A number of up to eight digits as text: in a word, the first byte lowest, and how many bytes there are. `None` for another
/// one, and for zero.
#[inline]
pub fn short_digits(value: i64) -> Option<(u64, usize)> {
    let number = u64::try_from(value).ok().filter(|number| (1..=EIGHT_DIGITS_MAX).contains(number))?;
    // Halves of four digits side by side, then quarters of two, then single ones, the first always lowest. The products divide
    // by 100 and by 10 what is so small.
    let halves = (number / 10_000) | ((number % 10_000) << 32);
    let hundreds = ((halves * 10_486) >> 20) & 0x7f_0000_007f;
    let pairs = hundreds | ((halves - hundreds * 100) << 16);
    let tens = ((pairs * 103) >> 10) & 0x000f_000f_000f_000f;
    let digits = tens | ((pairs - tens * 10) << 8);
    let zeros = digits.trailing_zeros() as usize / 8;
    Some(((digits | 0x3030_3030_3030_3030) >> (8 * zeros), 8 - zeros))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn short_digits_are_those_of_the_number() {
        let edges = (0..9).flat_map(|power| (-2..=2).map(move |step| 10i64.pow(power) + step));
        for value in (0..20_000).chain((0..100_000_000).step_by(9_973)).chain(edges) {
            let text = value.to_string();
            let expected = (1..=99_999_999).contains(&value).then_some(text.as_bytes());
            let digits = short_digits(value).map(|(word, len)| word.to_le_bytes()[..len].to_vec());
            assert_eq!(digits.as_deref(), expected, "{value}");
        }
        assert_eq!((short_digits(i64::MAX), short_digits(i64::MIN)), (None, None));
    }

    #[test]
    fn only_the_canonical_spelling_is_a_number() {
        let numbers: [(&[u8], i64); 8] = [
            (b"0", 0),
            (b"7", 7),
            (b"-1", -1),
            (b"10", 10),
            (b"9223372036854775807", i64::MAX),
            (b"-9223372036854775808", i64::MIN),
            (b"-9223372036854775807", i64::MIN + 1),
            (b"1000000000000000000", 1_000_000_000_000_000_000),
        ];
        for (text, value) in numbers {
            assert_eq!(parse_i64(text), Some(value), "{}", text.escape_ascii());
        }
        for text in [
            "",
            "-",
            "+1",
            "-0",
            "00",
            "01",
            "-01",
            " 1",
            "1 ",
            "1\n",
            "a",
            "1a",
            "0x1",
            "1.0",
            "--1",
            "9223372036854775808",
            "-9223372036854775809",
            "18446744073709551616",
            "99999999999999999999",
            "111111111111111111111",
            "-99999999999999999999",
        ] {
            assert_eq!(parse_i64(text.as_bytes()), None, "{text:?}");
        }
    }

    #[test]
    fn unsigned_range() {
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"0"), Some(0));
        assert_eq!(parse_u64(b"-1"), None);
        assert_eq!(parse_u64(b"01"), None);
    }

    #[test]
    fn lenient_numbers_as_stream_ids_have_them() {
        for (text, value) in [
            ("007", Some(7)),
            ("+5", Some(5)),
            (" 5", Some(5)),
            ("18446744073709551615", Some(u64::MAX)),
            ("018446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("-5", None),
            ("", None),
            (" ", None),
            ("+", None),
            ("0x5", None),
            ("5 ", None),
        ] {
            assert_eq!(parse_u64_lenient(text.as_bytes()), value, "{text:?}");
        }
    }

    #[test]
    fn careless_numbers_as_atoi_has_them() {
        for (text, value) in [
            ("12", 12),
            (" \t+7x", 7),
            ("-3.9", -3),
            ("007", 7),
            ("", 0),
            ("x1", 0),
            ("- 1", 0),
            ("2147483648", i32::MIN),
            ("4294967297", 1),
            ("-4294967295", 1),
            ("18446744073709551617", -1),
            ("-18446744073709551617", 0),
        ] {
            assert_eq!(parse_i32_careless(text.as_bytes()), value, "{text}");
        }
    }

    #[test]
    fn lengths_of_text() {
        for (value, len) in [(0, 1), (9, 1), (10, 2), (-1, 2), (-10, 3), (i64::MAX, 19), (i64::MIN, I64_TEXT_MAX)] {
            assert_eq!(text_len_i64(value), len);
        }
        assert_eq!(digits_u64(u64::MAX), 20);
    }

    proptest! {
        #[test]
        fn written_text_is_read_back(value: i64) {
            let mut text = Vec::new();
            write_i64(&mut text, value);
            prop_assert_eq!(text.len(), text_len_i64(value));
            prop_assert_eq!(parse_i64(&text), Some(value));
            prop_assert_eq!(parse_u64_lenient(&text), u64::try_from(value).ok());
        }

        #[test]
        fn only_written_text_is_read(text in "[-+0-9 ]{0,22}") {
            if let Some(value) = parse_i64(text.as_bytes()) {
                prop_assert_eq!(value.to_string(), text);
            }
        }

        #[test]
        fn unsigned_is_read_back(value: u64) {
            let mut text = Vec::new();
            write_u64(&mut text, value);
            prop_assert_eq!(parse_u64(&text), Some(value));
        }
    }
}
