//! Why a rule of ACL SETUSER is refused, in Redis' words.

#![forbid(unsafe_code)]

/// What is wrong with a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// A name after `+`, `-`, `+@` or `-@`.
    #[error("Unknown command or category name in ACL")]
    UnknownName,
    /// Anything else that is no rule.
    #[error("Syntax error")]
    Syntax,
    /// `~pattern` behind `~*`.
    #[error(
        "Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. \
         Try 'resetkeys' to start with an empty list of patterns"
    )]
    PatternAfterAllKeys,
    /// `&pattern` behind `&*`.
    #[error(
        "Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. \
         Try 'resetchannels' to start with an empty list of channels"
    )]
    PatternAfterAllChannels,
    /// `<password` or `!digest` of a password that the user does not have.
    #[error("The password you are trying to remove from the user does not exist")]
    NoSuchPassword,
    /// `#digest` or `!digest` that is none.
    #[error("The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters")]
    BadDigest,
    /// `+container|subcommand|argument`.
    #[error("Allowing first-arg of a subcommand is not supported")]
    FirstArgOfSubcommand,
}
