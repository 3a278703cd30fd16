//! Redis' glob patterns over bytes: `*`, `?`, `[a-z]`, `[^x]`, `\x`. Pure; any thread.
//!
//! Every element except `*` takes exactly one byte, so after a mismatch only the *latest* `*` needs to take one byte
//! more: the earlier ones can never do better. Time is at most pattern length times text length, whatever the pattern.
//!
//! Matched to Redis, oddities included: an empty text matches only the empty pattern (callers treat a lone `*` as "all"
//! before they ask), `[]` matches nothing, `[^]` matches any byte, a class that is not closed ends with the pattern, a
//! backslash at the very end stands for itself, and an escaped byte inside a class is compared with its case even where
//! case is ignored.

#![forbid(unsafe_code)]

/// A pattern with more `*` than this matches nothing, since each begins a level of nesting in Redis. Several in a row are
/// one, and those at the very end begin none.
const STARS_MAX: usize = 1000;

/// Whether `text` as a whole matches `pattern`.
pub fn matches(pattern: &[u8], text: &[u8]) -> bool {
    matches_with::<false>(pattern, text)
}

/// The same, upper and lower case of ASCII letters being equal.
pub fn matches_nocase(pattern: &[u8], text: &[u8]) -> bool {
    matches_with::<true>(pattern, text)
}

fn matches_with<const NOCASE: bool>(pattern: &[u8], text: &[u8]) -> bool {
    if text.is_empty() {
        return pattern.is_empty();
    }
    let (mut at, mut pos, mut stars) = (0, 0, 0);
    // After a `*`: the element that follows it, and the first byte of the text that it has not taken.
    let mut retry: Option<(usize, usize)> = None;
    while pos < text.len() {
        if pattern.get(at) == Some(&b'*') {
            while pattern.get(at) == Some(&b'*') {
                at += 1;
            }
            if at == pattern.len() {
                return true;
            }
            stars += 1;
            if stars > STARS_MAX {
                return false;
            }
            retry = Some((at, pos));
            continue;
        }
        if at < pattern.len() {
            let (matched, next) = element::<NOCASE>(pattern, at, text[pos]);
            if matched {
                at = next;
                pos += 1;
                continue;
            }
        }
        match &mut retry {
            Some((after_star, taken)) => {
                *taken += 1;
                (at, pos) = (*after_star, *taken);
            }
            None => return false,
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

/// Compares `byte` with the element (not a `*`) at `pattern[at]`; also says where the next element begins.
fn element<const NOCASE: bool>(pattern: &[u8], at: usize, byte: u8) -> (bool, usize) {
    match pattern[at] {
        b'?' => (true, at + 1),
        b'[' => class::<NOCASE>(pattern, at + 1, byte),
        b'\\' if at + 1 < pattern.len() => (equal::<NOCASE>(pattern[at + 1], byte), at + 2),
        literal => (equal::<NOCASE>(literal, byte), at + 1),
    }
}

/// A class whose `[` stands before `at`.
fn class<const NOCASE: bool>(pattern: &[u8], mut at: usize, byte: u8) -> (bool, usize) {
    let negated = pattern.get(at) == Some(&b'^');
    at += usize::from(negated);
    let mut found = false;
    loop {
        match pattern[at..] {
            [b'\\', escaped, ..] => {
                found |= escaped == byte;
                at += 2;
            }
            [b']', ..] => {
                at += 1;
                break;
            }
            [] => break,
            [low, b'-', high, ..] => {
                found |= in_range::<NOCASE>(low, high, byte);
                at += 3;
            }
            [literal, ..] => {
                found |= equal::<NOCASE>(literal, byte);
                at += 1;
            }
        }
    }
    (found != negated, at)
}

#[inline]
fn equal<const NOCASE: bool>(left: u8, right: u8) -> bool {
    if NOCASE { left.eq_ignore_ascii_case(&right) } else { left == right }
}

/// The ends of a range may stand in either order.
fn in_range<const NOCASE: bool>(low: u8, high: u8, byte: u8) -> bool {
    let (low, high) = if low > high { (high, low) } else { (low, high) };
    if NOCASE {
        (low.to_ascii_lowercase()..=high.to_ascii_lowercase()).contains(&byte.to_ascii_lowercase())
    } else {
        (low..=high).contains(&byte)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check(pattern: &str, yes: &[&str], no: &[&str]) {
        for text in yes {
            assert!(matches(pattern.as_bytes(), text.as_bytes()), "{pattern:?} should match {text:?}");
        }
        for text in no {
            assert!(!matches(pattern.as_bytes(), text.as_bytes()), "{pattern:?} should not match {text:?}");
        }
    }

    #[test]
    fn stars_and_question_marks() {
        check("*", &["a", "abc"], &[""]);
        check("**", &["a"], &[""]);
        check("", &[""], &["a"]);
        check("a*", &["a", "ab", "abc"], &["", "ba"]);
        check("*a", &["a", "ba", "aaa"], &["ab", ""]);
        check("h?llo", &["hello", "hallo"], &["hllo", "heello"]);
        check("*?", &["a", "ab"], &[""]);
        check("a*b*c", &["abc", "axxbxxc", "abcbc"], &["acb", "ab"]);
        check("a**", &["a", "ab"], &["b"]);
        check("user:*:name", &["user:1:name", "user::name", "user:1:name:name"], &["user:1:names"]);
    }

    #[test]
    fn classes() {
        check("h[ae]llo", &["hello", "hallo"], &["hillo"]);
        check("h[^e]llo", &["hallo"], &["hello", "hllo"]);
        check("[a-c]", &["a", "b", "c"], &["d", "-"]);
        check("[c-a]", &["a", "b", "c"], &["d"]);
        // The bracket is the end of the range here, and the class runs to the end of the pattern.
        check("[a-]", &["a", "]", "_"], &["b", "-"]);
        check("[b-", &["b", "-"], &["a"]);
        check("[a", &["a"], &["b", "["]);
        check("[^", &["a"], &[""]);
        check("[^]", &["a", "]"], &[""]);
        check("[]", &[], &["a", "[]", "]"]);
        check("[]a]", &[], &["a", "]", "a]"]);
        check("[", &[], &["a", "["]);
        check(r"[\]]", &["]"], &["a", r"\"]);
        check(r"[\a]", &["a"], &[r"\"]);
        check(r"[\", &[r"\"], &["a"]);
        check("[abc]*[0-9]", &["a1", "bzz9"], &["z1", "a", "ax"]);
    }

    #[test]
    fn escapes() {
        check(r"\*", &["*"], &["a", r"\*"]);
        check(r"a\?", &["a?"], &["ab"]);
        check(r"a\", &[r"a\"], &["a", "ab"]);
        check(r"\a", &["a"], &["b"]);
    }

    #[test]
    fn letters_without_case() {
        for (pattern, matched) in [
            ("MAXMEMORY", true),
            ("[M]axmemory", true),
            (r"[\M]axmemory", false),
            (r"[\m]axmemory", true),
            (r"\Maxmemory", true),
            ("[L-N]axmemory", true),
            ("max[M-E]emory", true),
            ("maxmemor[X-z]", true),
            ("maxmemor[x-Z]", false),
        ] {
            assert_eq!(matches_nocase(pattern.as_bytes(), b"maxmemory"), matched, "{pattern}");
        }
    }

    #[test]
    fn many_stars_stay_bounded() {
        let pattern = b"a*".repeat(STARS_MAX);
        let mut text = vec![b'a'; 20_000];
        assert!(matches(&pattern, &text));
        let mut pattern = pattern;
        pattern.push(b'b');
        // Exponential without the single point of return; here some twenty million steps at the very most.
        assert!(!matches(&pattern, &text));
        text.push(b'b');
        assert!(matches(&pattern, &text));
    }

    #[test]
    fn too_many_stars_match_nothing() {
        let text = vec![b'a'; 3 * STARS_MAX];
        for (stars, matched) in [(STARS_MAX, true), (STARS_MAX + 1, false)] {
            assert_eq!(matches(&b"*?".repeat(stars), &text), matched, "{stars}");
            assert_eq!(matches(&b"***a".repeat(stars), &text), matched, "{stars}");
            assert_eq!(matches(&[&b"*a".repeat(stars)[..], b"*"].concat(), &text), matched, "{stars}");
        }
    }

    /// The meaning written down recursively, every `*` trying every length.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.first() {
            None => text.is_empty(),
            Some(b'*') => (0..=text.len()).any(|taken| naive(&pattern[1..], &text[taken..])),
            Some(_) => match text.split_first() {
                None => false,
                Some((byte, rest)) => {
                    let (matched, next) = element::<false>(pattern, 0, *byte);
                    matched && naive(&pattern[next..], rest)
                }
            },
        }
    }

    proptest! {
        #[test]
        fn agrees_with_trying_everything(pattern in r"[ab*?\[\]^\\-]{0,10}", text in r"[ab\[\]-]{1,10}") {
            prop_assert_eq!(matches(pattern.as_bytes(), text.as_bytes()), naive(pattern.as_bytes(), text.as_bytes()));
        }

        #[test]
        fn any_bytes_are_a_pattern(pattern: Vec<u8>, text: Vec<u8>) {
            matches(&pattern, &text);
            matches_nocase(&pattern, &text);
        }

        #[test]
        fn a_fully_escaped_text_matches_itself(text in prop::collection::vec(any::<u8>(), 1..40)) {
            let pattern: Vec<u8> = text.iter().flat_map(|byte| [b'\\', *byte]).collect();
            prop_assert!(matches(&pattern, &text));
        }
    }
}
