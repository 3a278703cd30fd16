//! The commands of the `list` group. Main thread.

#![forbid(unsafe_code)]

mod blocking;
mod change;
mod pop;
mod push;
mod read;
mod transfer;

use crate::command::context::Context;
use crate::command::error::{CommandError, WRONG_TYPE};
use crate::command::session::Session;
use crate::command::spec::Command;
use crate::command::state::State;
use crate::commands::lookup;
use crate::config::KeyspaceEvents;
use crate::types::KeyEntry;
use crate::types::list::{End, ListRef};

/// Commands of this group.
pub static COMMANDS: &[&Command] = &[
    &blocking::BLMOVE,
    &blocking::BLMPOP,
    &blocking::BLPOP,
    &blocking::BRPOP,
    &blocking::BRPOPLPUSH,
    &change::LINSERT,
    &change::LREM,
    &change::LSET,
    &change::LTRIM,
    &pop::LMPOP,
    &pop::LPOP,
    &pop::RPOP,
    &push::LPUSH,
    &push::LPUSHX,
    &push::RPUSH,
    &push::RPUSHX,
    &read::LINDEX,
    &read::LLEN,
    &read::LPOS,
    &read::LRANGE,
    &transfer::LMOVE,
    &transfer::RPOPLPUSH,
];

/// The list at a key, for a command that reads it: counted as a hit or a miss.
#[inline]
fn read_list<'s>(
    state: &'s mut State,
    session: &mut Session,
    key: &[u8],
    hash: u64,
) -> Result<Option<ListRef<'s>>, CommandError> {
    lookup::read(state, session, key, hash).map(KeyEntry::as_list).transpose().map_err(|_| WRONG_TYPE)
}

/// Called after elements were removed from the list at a key: the key goes with the last of them.
fn removed(ctx: &mut Context<'_>, key: &[u8], hash: u64, now_empty: bool, event: &str) {
    if now_empty {
        let now_ms = ctx.now_ms();
        ctx.db().remove(key, hash, now_ms);
    }
    ctx.announce(KeyspaceEvents::LIST, event, key);
    if now_empty {
        ctx.announce(KeyspaceEvents::GENERIC, "del", key);
    }
    ctx.signal_modified(key);
}

/// The event of elements that are added there.
fn push_event(end: End) -> &'static str {
    if end == End::Front { "lpush" } else { "rpush" }
}

/// The event of elements that are taken from there.
fn pop_event(end: End) -> &'static str {
    if end == End::Front { "lpop" } else { "rpop" }
}

/// `LEFT` or `RIGHT`.
fn end_named(word: &[u8]) -> Option<End> {
    if word.eq_ignore_ascii_case(b"left") {
        Some(End::Front)
    } else if word.eq_ignore_ascii_case(b"right") {
        Some(End::Back)
    } else {
        None
    }
}
