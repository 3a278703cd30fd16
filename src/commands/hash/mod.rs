//! The commands of the `hash` group. Main thread.

#![forbid(unsafe_code)]

mod fields;
mod number;
mod random;
mod read;
mod walk;

use crate::command::context::Context;
use crate::command::error::{CommandError, WRONG_TYPE};
use crate::command::session::Session;
use crate::command::spec::Command;
use crate::command::state::State;
use crate::commands::lookup;
use crate::config::KeyspaceEvents;
use crate::types::hash::Hash;
use crate::types::{KeyEntry, Value};

/// Commands of this group.
pub static COMMANDS: &[&Command] = &[
    &fields::HDEL,
    &fields::HGETDEL,
    &fields::HMSET,
    &fields::HSET,
    &fields::HSETNX,
    &number::HINCRBY,
    &number::HINCRBYFLOAT,
    &random::HRANDFIELD,
    &read::HEXISTS,
    &read::HGET,
    &read::HGETALL,
    &read::HKEYS,
    &read::HLEN,
    &read::HMGET,
    &read::HSTRLEN,
    &read::HVALS,
    &walk::HSCAN,
];

/// The hash at a key, for a command that reads it: counted as a hit or a miss.
#[inline]
fn read_hash<'s>(
    state: &'s mut State,
    session: &mut Session,
    key: &[u8],
    hash: u64,
) -> Result<Option<&'s Hash>, CommandError> {
    lookup::read(state, session, key, hash).map(KeyEntry::as_hash).transpose().map_err(|_| WRONG_TYPE)
}

/// The hash at a key, for a command that changes it.
#[inline]
fn hash_mut<'s>(state: &'s mut State, db: usize, key: &[u8], hash: u64) -> Result<Option<&'s mut Hash>, CommandError> {
    let now_ms = state.clock.unix_ms();
    let value = state.keyspace.db_mut(db).value_mut(key, hash, now_ms).map_err(|_| WRONG_TYPE)?;
    value.map(Value::as_hash_mut).transpose().map_err(|_| WRONG_TYPE)
}

/// The same; a missing key gets an empty one, into which the caller puts something.
#[inline]
fn hash_or_new<'s>(state: &'s mut State, db: usize, key: &[u8], hash: u64) -> Result<&'s mut Hash, CommandError> {
    let now_ms = state.clock.unix_ms();
    let new = || Value::from(Hash::default());
    let value = state.keyspace.db_mut(db).value_or_insert(key, hash, now_ms, new);
    value.and_then(Value::as_hash_mut).map_err(|_| WRONG_TYPE)
}

/// Called after fields were removed from the hash at a key: the key goes with the last of them.
fn removed(ctx: &mut Context<'_>, key: &[u8], hash: u64, now_empty: bool, event: &str) {
    if now_empty {
        let now_ms = ctx.now_ms();
        ctx.db().remove(key, hash, now_ms);
    }
    ctx.signal_modified(key);
    ctx.announce(KeyspaceEvents::HASH, event, key);
    if now_empty {
        ctx.announce(KeyspaceEvents::GENERIC, "del", key);
    }
}
