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
mod result;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::spec::Flags;

    #[test]
    fn every_request_has_the_member_that_is_asked_for_early() {
        let commands = || ALL.iter().copied().flatten().filter(|command| command.member_arg != 0);
        for command in commands() {
            assert!(u32::from(command.member_arg) < command.arity.unsigned_abs(), "{}", command.name);
            assert!(["set", "hash", "sorted-set", "geo"].contains(&command.group), "{}", command.name);
        }
        // Those that a request for one member is mostly made of: none was forgotten.
        for name in
            ["sadd", "sismember", "srem", "hset", "hget", "hdel", "hincrby", "zadd", "zscore", "zincrby", "zrank"]
        {
            assert!(commands().any(|command| command.name == name && command.flags.contains(Flags::FAST)), "{name}");
        }
    }
}
