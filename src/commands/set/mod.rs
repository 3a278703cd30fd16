//! The commands of the `set` group. Main thread.

#![forbid(unsafe_code)]

mod algebra;
mod members;
mod random;
mod walk;

use crate::command::context::Context;
use crate::command::error::{CommandError, WRONG_TYPE};
use crate::command::session::Session;
use crate::command::spec::Command;
use crate::command::state::State;
use crate::commands::lookup;
use crate::config::KeyspaceEvents;
use crate::types::KeyEntry;
use crate::types::set::SetRef;

/// Commands of this group.
pub static COMMANDS: &[&Command] = &[
    &algebra::SDIFF,
    &algebra::SDIFFSTORE,
    &algebra::SINTER,
    &algebra::SINTERCARD,
    &algebra::SINTERSTORE,
    &algebra::SUNION,
    &algebra::SUNIONSTORE,
    &members::SADD,
    &members::SCARD,
    &members::SISMEMBER,
    &members::SMEMBERS,
    &members::SMISMEMBER,
    &members::SMOVE,
    &members::SREM,
    &random::SPOP,
    &random::SRANDMEMBER,
    &walk::SSCAN,
];

/// The set at a key, for a command that reads it: counted as a hit or a miss.
#[inline]
fn read_set<'s>(
    state: &'s mut State,
    session: &mut Session,
    key: &[u8],
    hash: u64,
) -> Result<Option<SetRef<'s>>, CommandError> {
    lookup::read(state, session, key, hash).map(KeyEntry::as_set).transpose().map_err(|_| WRONG_TYPE)
}

/// Called after members were removed from the set at a key: the key goes with the last of them. When those are told who may
/// have it cached differs between commands: that is left to them.
fn removed(ctx: &mut Context<'_>, key: &[u8], hash: u64, now_empty: bool, event: &str) {
    if now_empty {
        let now_ms = ctx.now_ms();
        ctx.db().remove(key, hash, now_ms);
    }
    ctx.announce(KeyspaceEvents::SET, event, key);
    if now_empty {
        ctx.announce(KeyspaceEvents::GENERIC, "del", key);
    }
}
