//! The `generic` group: commands about keys, whatever their values are. One file per topic. Main thread.

#![forbid(unsafe_code)]

use crate::command::spec::Command;

mod copy;
pub(crate) mod dump;
mod existence;
mod expire;
mod iterate;
pub(crate) mod object;
mod rename;
pub(crate) mod scan;
mod sort;
mod sort_specs;
mod ttl;

/// Commands of this group.
pub static COMMANDS: &[&Command] = &[
    &copy::COPY,
    &existence::DEL,
    &dump::DUMP,
    &existence::EXISTS,
    &expire::EXPIRE,
    &expire::EXPIREAT,
    &ttl::EXPIRETIME,
    &iterate::KEYS,
    &copy::MOVE,
    &object::OBJECT,
    &expire::PERSIST,
    &expire::PEXPIRE,
    &expire::PEXPIREAT,
    &ttl::PEXPIRETIME,
    &ttl::PTTL,
    &iterate::RANDOMKEY,
    &rename::RENAME,
    &rename::RENAMENX,
    &dump::RESTORE,
    &iterate::SCAN,
    &sort_specs::SORT,
    &sort_specs::SORT_RO,
    &existence::TOUCH,
    &ttl::TTL,
    &existence::TYPE,
    &existence::UNLINK,
];
