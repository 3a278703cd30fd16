//! One file per command group: specification, handler and test side by side.

#![forbid(unsafe_code)]

pub mod generic;
mod key_specs;
pub mod keyspace;
mod lookup;
pub mod string;
#[cfg(test)]
mod transcript;

use crate::command::spec::Command;

/// Every command of this server, by group.
pub static ALL: &[&[&Command]] = &[generic::COMMANDS, keyspace::COMMANDS, string::COMMANDS];
