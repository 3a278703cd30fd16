//! One file per command group: specification, handler and test side by side.

#![forbid(unsafe_code)]

pub mod connection;
pub mod server;
pub mod transactions;

use crate::command::spec::Command;

/// Every command of this server, by group.
pub static ALL: &[&[&Command]] = &[connection::COMMANDS, server::COMMANDS, transactions::COMMANDS];
