//! What access control has to know of commands.

#![forbid(unsafe_code)]

/// The commands, numbered densely from 0; subcommands have numbers of their own.
pub trait Catalog {
    /// How many there are.
    fn count(&self) -> usize;
    /// The command or subcommand with this full name, in any case: `get`, `client|list`.
    fn find(&self, full_name: &[u8]) -> Option<usize>;
    /// The subcommands of a command.
    fn subcommands(&self, command: usize) -> Vec<usize>;
    /// Whether it is a subcommand.
    fn is_subcommand(&self, command: usize) -> bool;
    /// Whether it belongs to the category with this name, given in small letters. None: there is no such category.
    fn in_category(&self, command: usize, category: &str) -> Option<bool>;
}
