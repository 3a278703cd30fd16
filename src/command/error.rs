//! Peer errors: what a client did wrong, in Redis' words. Static text wherever nothing has to be filled in.

#![forbid(unsafe_code)]

use std::borrow::Cow;

/// The error line of a reply. Text that starts with `-` carries its own code; other text is answered as `-ERR text`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommandError(pub Cow<'static, str>);

impl CommandError {
    /// A fixed text.
    pub const fn fixed(text: &'static str) -> CommandError {
        CommandError(Cow::Borrowed(text))
    }

    /// A text that quotes something of the request.
    #[cold]
    pub fn filled(text: String) -> CommandError {
        CommandError(Cow::Owned(text))
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

/// `-ERR syntax error`
pub const SYNTAX: CommandError = CommandError::fixed("syntax error");
/// `-WRONGTYPE ...`
pub const WRONG_TYPE: CommandError =
    CommandError::fixed("-WRONGTYPE Operation against a key holding the wrong kind of value");
/// `-ERR no such key`
pub const NO_SUCH_KEY: CommandError = CommandError::fixed("no such key");
/// `-ERR value is not an integer or out of range`
pub const NOT_AN_INTEGER: CommandError = CommandError::fixed("value is not an integer or out of range");
/// `-ERR value is not a valid float`
pub const NOT_A_FLOAT: CommandError = CommandError::fixed("value is not a valid float");
/// `-ERR index out of range`
pub const INDEX_OUT_OF_RANGE: CommandError = CommandError::fixed("index out of range");
/// `-NOAUTH Authentication required.`
pub const NO_AUTH: CommandError = CommandError::fixed("-NOAUTH Authentication required.");
