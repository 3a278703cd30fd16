//! One file per command group: specification, handler and test side by side.

#![forbid(unsafe_code)]

pub mod connection;
pub mod generic;
mod key_specs;
pub mod keyspace;
mod lookup;
pub mod monitor;
pub mod server;
pub mod string;
pub mod transactions;
#[cfg(test)]
mod transcript;
pub mod waiting;

use crate::command::spec::Command;

/// Every command of this server, by group.
pub static ALL: &[&[&Command]] = &[
    connection::COMMANDS,
    generic::COMMANDS,
    keyspace::COMMANDS,
    monitor::COMMANDS,
    server::COMMANDS,
    string::COMMANDS,
    transactions::COMMANDS,
    waiting::COMMANDS,
];
