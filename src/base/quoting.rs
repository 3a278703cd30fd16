//! Lines and quotes: splitting a line into arguments (inline commands, configuration lines), and the escaped form in
//! which bytes appear in logs, MONITOR and CLIENT output. Pure; any thread.

#![forbid(unsafe_code)]

use super::integer::is_blank;

/// A quote was not closed, or text follows a closing quote without a blank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unbalanced quotes")]
pub struct Unbalanced;

/// One argument of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// It stands in the line as it is: `line[start..end]`.
    Plain {
        /// First byte.
        start: usize,
        /// One past the last byte.
        end: usize,
    },
    /// It had quotes; this is what they mean.
    Unquoted(Vec<u8>),
}

/// Walks over the arguments of one line without its line end. Blanks separate arguments; `"..."` knows `\n \r \t \b
/// \a`, `\xHH` and stands for the byte itself after any other backslash; `'...'` knows only `\'`. A closing quote must be
/// followed by a blank or the end. A NUL byte ends the line.
pub struct Tokens<'a> {
    line: &'a [u8],
    at: usize,
}

impl<'a> Tokens<'a> {
    /// Starts at the beginning of `line`.
    pub fn new(line: &'a [u8]) -> Tokens<'a> {
        Tokens { line, at: 0 }
    }

    /// The byte at `at`; NUL past the end.
    #[inline]
    fn byte(&self, at: usize) -> u8 {
        self.line.get(at).copied().unwrap_or(0)
    }

    /// From the first quote of an argument on. `start` is where the argument began.
    fn unquote(&mut self, start: usize) -> Result<Token, Unbalanced> {
        let mut text = self.line[start..self.at].to_vec();
        loop {
            match self.byte(self.at) {
                quote @ (b'"' | b'\'') => {
                    self.at += 1;
                    if quote == b'"' {
                        self.double_quoted(&mut text)?
                    } else {
                        self.single_quoted(&mut text)?
                    }
                    let next = self.byte(self.at);
                    return if next == 0 || is_blank(next) { Ok(Token::Unquoted(text)) } else { Err(Unbalanced) };
                }
                byte => {
                    text.push(byte);
                    self.at += 1;
                }
            }
        }
    }

    fn double_quoted(&mut self, text: &mut Vec<u8>) -> Result<(), Unbalanced> {
        loop {
            let (byte, next) = (self.byte(self.at), self.byte(self.at + 1));
            self.at += 1;
            match byte {
                0 => return Err(Unbalanced),
                b'"' => return Ok(()),
                b'\\' if next != 0 => match (next, hex(self.byte(self.at + 1)), hex(self.byte(self.at + 2))) {
                    (b'x', Some(high), Some(low)) => {
                        text.push(high << 4 | low);
                        self.at += 3;
                    }
                    (escaped, ..) => {
                        text.push(unescape(escaped));
                        self.at += 1;
                    }
                },
                byte => text.push(byte),
            }
        }
    }

    fn single_quoted(&mut self, text: &mut Vec<u8>) -> Result<(), Unbalanced> {
        loop {
            let (byte, next) = (self.byte(self.at), self.byte(self.at + 1));
            self.at += 1;
            match byte {
                0 => return Err(Unbalanced),
                b'\'' => return Ok(()),
                b'\\' if next == b'\'' => {
                    text.push(b'\'');
                    self.at += 1;
                }
                byte => text.push(byte),
            }
        }
    }
}

impl Iterator for Tokens<'_> {
    type Item = Result<Token, Unbalanced>;

    /// The next argument. Not to be called again after an error.
    fn next(&mut self) -> Option<Self::Item> {
        while is_blank(self.byte(self.at)) {
            self.at += 1;
        }
        if self.byte(self.at) == 0 {
            return None;
        }
        let start = self.at;
        loop {
            match self.byte(self.at) {
                b'"' | b'\'' => return Some(self.unquote(start)),
                // Vertical tab and form feed separate arguments only in front of one.
                b' ' | b'\n' | b'\r' | b'\t' | 0 => return Some(Ok(Token::Plain { start, end: self.at })),
                _ => self.at += 1,
            }
        }
    }
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).map(|digit| digit as u8)
}

fn unescape(byte: u8) -> u8 {
    match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    }
}

/// The arguments of one line, each its own copy.
pub fn split(line: &[u8]) -> Result<Vec<Vec<u8>>, Unbalanced> {
    Tokens::new(line)
        .map(|token| {
            token.map(|token| match token {
                Token::Plain { start, end } => line[start..end].to_vec(),
                Token::Unquoted(text) => text,
            })
        })
        .collect()
}

/// Appends `bytes` in double quotes: quote and backslash escaped, the usual control characters by letter, every other
/// byte that is not printable ASCII as `\xhh`.
pub fn write_quoted(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    for &byte in bytes {
        match byte {
            b'\\' | b'"' => out.extend_from_slice(&[b'\\', byte]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0x07 => out.extend_from_slice(b"\\a"),
            0x08 => out.extend_from_slice(b"\\b"),
            b' '..=b'~' => out.push(byte),
            _ => out.extend_from_slice(&[b'\\', b'x', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
    out.push(b'"');
}

/// [`write_quoted`] as a string of its own.
pub fn quoted(bytes: &[u8]) -> String {
    let mut out = Vec::new();
    write_quoted(&mut out, bytes);
    String::from_utf8(out).expect("the escaped form is ASCII")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn splits(line: &str, args: &[&[u8]]) {
        assert_eq!(split(line.as_bytes()).expect(line), args, "{line:?}");
    }

    #[test]
    fn blanks_separate() {
        splits("", &[]);
        splits("  \t\r ", &[]);
        splits("SET k v", &[b"SET", b"k", b"v"]);
        splits("  SET\t k  v \r", &[b"SET", b"k", b"v"]);
        splits("a\rb", &[b"a", b"b"]);
        splits("\x0bPING a", &[b"PING", b"a"]);
        splits("PING\x0ba", &[b"PING\x0ba"]);
        splits("a\0b c", &[b"a"]);
    }

    #[test]
    fn double_quotes() {
        splits(r#""a b""#, &[b"a b"]);
        splits(r#""""#, &[b""]);
        splits(r#"x"a b" c"#, &[b"xa b", b"c"]);
        splits(r#""\n\r\t\b\a""#, &[b"\n\r\t\x08\x07"]);
        splits(r#""\x41\x0a\xfF""#, &[b"A\n\xff"]);
        splits(r#""\xZZ\q\"\\""#, &[b"xZZq\"\\"]);
        splits(r#""\x4""#, &[b"x4"]);
        splits("\"a\"\x0bb", &[b"a", b"b"]);
        splits(r#""it's""#, &[b"it's"]);
    }

    #[test]
    fn single_quotes() {
        splits("'a b'", &[b"a b"]);
        splits(r"'a\'b'", &[b"a'b"]);
        splits(r"'a\nb'", &[br"a\nb"]);
        splits("''", &[b""]);
        splits(r"a\n", &[br"a\n"]);
    }

    #[test]
    fn unbalanced() {
        for line in [r#"""#, r#""abc"#, r#""a"b"#, "'a'b", "'a", r#""\""#, r"'\'", r#"a"b"#, r#""a""b""#, "\"a\0\""] {
            assert_eq!(split(line.as_bytes()), Err(Unbalanced), "{line:?}");
        }
    }

    #[test]
    fn plain_tokens_are_not_copied() {
        let mut tokens = Tokens::new(b" GET 'k'");
        assert_eq!(tokens.next(), Some(Ok(Token::Plain { start: 1, end: 4 })));
        assert_eq!(tokens.next(), Some(Ok(Token::Unquoted(b"k".to_vec()))));
        assert_eq!(tokens.next(), None);
    }

    #[test]
    fn escaped_form() {
        assert_eq!(quoted(b"a\"b\\c\n\r\t\x07\x08\x00\xff~ "), r#""a\"b\\c\n\r\t\a\b\x00\xff~ ""#);
        assert_eq!(quoted(b""), r#""""#);
    }

    proptest! {
        #[test]
        fn the_escaped_form_is_one_argument(bytes: Vec<u8>) {
            prop_assert_eq!(split(quoted(&bytes).as_bytes()), Ok(vec![bytes]));
        }

        #[test]
        fn any_line_ends(line: Vec<u8>) {
            let _ = split(&line);
        }

        #[test]
        fn quotes_and_blanks_never_confuse(line in r#"[ab "'\\x0]{0,20}"#) {
            if let Ok(args) = split(line.as_bytes()) {
                let again: Vec<String> = args.iter().map(|arg| quoted(arg)).collect();
                prop_assert_eq!(split(again.join(" ").as_bytes()), Ok(args));
            }
        }
    }
}
