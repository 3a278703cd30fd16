//! One file per command group: specification, handler and test side by side.

#![forbid(unsafe_code)]

pub mod bitmap;
pub mod connection;
mod draw;
mod elements;
pub mod generic;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
mod key_specs;
pub mod keyspace;
pub mod list;
mod lookup;
mod many_keys;
pub mod monitor;
pub mod pubsub;
pub mod server;
pub mod set;
pub mod sorted_set;
pub mod string;
pub mod transactions;
#[cfg(test)]
mod transcript;
pub mod waiting;

use crate::command::spec::Command;

/// Every command of this server, by group.
pub static ALL: &[&[&Command]] = &[
    bitmap::COMMANDS,
    connection::COMMANDS,
    generic::COMMANDS,
    geo::COMMANDS,
    hash::COMMANDS,
    hyperloglog::COMMANDS,
    keyspace::COMMANDS,
    list::COMMANDS,
    monitor::COMMANDS,
    pubsub::COMMANDS,
    server::COMMANDS,
    set::COMMANDS,
    sorted_set::COMMANDS,
    string::COMMANDS,
    transactions::COMMANDS,
    waiting::COMMANDS,
];
