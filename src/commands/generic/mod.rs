//! The `generic` group: commands about keys, whatever their values are. One file per topic. Main thread.

#![forbid(unsafe_code)]

use crate::command::spec::Command;

mod existence;
mod expire;
mod iterate;
mod rename;
mod ttl;

/// Commands of this group.
pub static COMMANDS: &[&Command] = &[
    &existence::DEL,
    &existence::EXISTS,
    &expire::EXPIRE,
    &expire::EXPIREAT,
    &ttl::EXPIRETIME,
    &iterate::KEYS,
    &expire::PERSIST,
    &expire::PEXPIRE,
    &expire::PEXPIREAT,
    &ttl::PEXPIRETIME,
    &ttl::PTTL,
    &iterate::RANDOMKEY,
    &rename::RENAME,
    &rename::RENAMENX,
    &iterate::SCAN,
    &existence::TOUCH,
    &ttl::TTL,
    &existence::TYPE,
    &existence::UNLINK,
];
