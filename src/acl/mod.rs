//! Access control: users, what each may run and touch, and the log of refusals. A state machine without sockets and
//! clocks; main thread. Knows commands only as numbers of a [`Catalog`], and nothing of sessions.

#![forbid(unsafe_code)]

mod catalog;
mod log;
mod rule;
mod selector;
mod user;
mod users;

pub use catalog::Catalog;
pub use log::{AclLog, Incident, LogEntry, Reason};
pub use rule::RuleError;
pub use selector::{Access, Denial, Selector, TouchedChannel, TouchedKey};
pub use user::{Patterns, User, merge_selectors};
pub use users::{FileError, UserId, Users};

#[cfg(test)]
mod tests;
