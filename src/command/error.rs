//! Peer errors: what a client did wrong, in Redis' words. Static text wherever nothing has to be filled in.

#![forbid(unsafe_code)]

use std::borrow::Cow;

/// The error line of a reply. Text that starts with `-` carries its own code; other text is answered as `-ERR text`.
/// Bytes, because an error may quote what the client sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError(pub Cow<'static, [u8]>);

impl CommandError {
    /// A fixed text.
    pub const fn fixed(text: &'static str) -> CommandError {
        CommandError(Cow::Borrowed(text.as_bytes()))
    }

    /// A text that quotes something.
    #[cold]
    pub fn filled(text: String) -> CommandError {
        CommandError(Cow::Owned(text.into_bytes()))
    }

    /// A text that quotes bytes of the request: `before`, the bytes up to a NUL and at most `max` of them, `after`.
    #[cold]
    pub fn quoting(before: &str, quoted: &[u8], max: usize, after: &str) -> CommandError {
        let mut text = before.as_bytes().to_vec();
        text.extend_from_slice(c_text(quoted, max));
        text.extend_from_slice(after.as_bytes());
        CommandError(Cow::Owned(text))
    }

    /// The text.
    pub fn text(&self) -> &[u8] {
        &self.0
    }

    /// `wrong number of arguments for '%s' command`.
    #[cold]
    pub fn arity(full_name: &str) -> CommandError {
        CommandError::filled(format!("wrong number of arguments for '{full_name}' command"))
    }

    /// `invalid expire time in '%s' command`.
    #[cold]
    pub fn expire_time(full_name: &str) -> CommandError {
        CommandError::filled(format!("invalid expire time in '{full_name}' command"))
    }
}

/// What Redis' `%.*s` prints of `bytes`: it ends at a NUL or after `max` bytes.
pub(crate) fn c_text(bytes: &[u8], max: usize) -> &[u8] {
    let shown = &bytes[..bytes.len().min(max)];
    &shown[..shown.iter().position(|&byte| byte == 0).unwrap_or(shown.len())]
}

/// `-ERR syntax error`
pub const SYNTAX: CommandError = CommandError::fixed("syntax error");
/// `-WRONGTYPE ...`
pub const WRONG_TYPE: CommandError =
    CommandError::fixed("-WRONGTYPE Operation against a key holding the wrong kind of value");
/// `-ERR no such key`
pub const NO_SUCH_KEY: CommandError = CommandError::fixed("no such key");
/// `-ERR value is not an integer or out of range`
pub const NOT_AN_INTEGER: CommandError = CommandError::fixed("value is not an integer or out of range");
/// `-ERR value is out of range, value must between ...`, for numbers that Redis keeps in 32 bits.
pub const OUT_OF_INT_RANGE: CommandError =
    CommandError::fixed("value is out of range, value must between -2147483648 and 2147483647");
/// `-ERR DB index is out of range`
pub const NO_SUCH_DATABASE: CommandError = CommandError::fixed("DB index is out of range");
/// `-ERR value is not a valid float`
pub const NOT_A_FLOAT: CommandError = CommandError::fixed("value is not a valid float");
/// `-NOAUTH Authentication required.`
pub const NO_AUTH: CommandError = CommandError::fixed("-NOAUTH Authentication required.");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_bytes_end_like_a_c_string() {
        assert_eq!(CommandError::quoting("<", b"ab\0c", 128, ">").text(), b"<ab>");
        assert_eq!(CommandError::quoting("<", b"abcdef", 3, ">").text(), b"<abc>");
    }
}
