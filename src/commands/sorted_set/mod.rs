//! The commands of the `sorted-set` group. Main thread.

#![forbid(unsafe_code)]

pub(crate) mod add;
mod algebra;
mod blocking;
mod bounds;
mod pop;
mod random;
mod range;
mod read;
mod remove;
mod walk;

use crate::command::context::Context;
use crate::command::error::{CommandError, WRONG_TYPE};
use crate::command::session::Session;
use crate::command::spec::Command;
use crate::command::state::State;
use crate::commands::elements::reply_element;
use crate::commands::lookup;
use crate::commands::result::put_result;
use crate::config::KeyspaceEvents;
use crate::encoding::listpack::Element;
use crate::resp::reply::{Protocol, Reply};
use crate::types::sorted_set::{SortedSet, SortedSetRef};
use crate::types::{KeyEntry, NewValue};

/// Commands of this group.
pub static COMMANDS: &[&Command] = &[
    &blocking::BZMPOP,
    &blocking::BZPOPMAX,
    &blocking::BZPOPMIN,
    &add::ZADD,
    &read::ZCARD,
    &read::ZCOUNT,
    &algebra::ZDIFF,
    &algebra::ZDIFFSTORE,
    &add::ZINCRBY,
    &algebra::ZINTER,
    &algebra::ZINTERCARD,
    &algebra::ZINTERSTORE,
    &read::ZLEXCOUNT,
    &pop::ZMPOP,
    &read::ZMSCORE,
    &pop::ZPOPMAX,
    &pop::ZPOPMIN,
    &random::ZRANDMEMBER,
    &range::ZRANGE,
    &range::ZRANGEBYLEX,
    &range::ZRANGEBYSCORE,
    &range::ZRANGESTORE,
    &read::ZRANK,
    &remove::ZREM,
    &remove::ZREMRANGEBYLEX,
    &remove::ZREMRANGEBYRANK,
    &remove::ZREMRANGEBYSCORE,
    &range::ZREVRANGE,
    &range::ZREVRANGEBYLEX,
    &range::ZREVRANGEBYSCORE,
    &read::ZREVRANK,
    &walk::ZSCAN,
    &read::ZSCORE,
    &algebra::ZUNION,
    &algebra::ZUNIONSTORE,
];

/// The sorted set at a key, for a command that reads it: counted as a hit or a miss.
#[inline]
pub(crate) fn read_sorted<'s>(
    state: &'s mut State,
    session: &mut Session,
    key: &[u8],
    hash: u64,
) -> Result<Option<SortedSetRef<'s>>, CommandError> {
    lookup::read(state, session, key, hash).map(KeyEntry::as_sorted_set).transpose().map_err(|_| WRONG_TYPE)
}

/// Called after members were removed from the sorted set at a key: the key goes with the last of them. When those are told
/// who may have it cached differs between commands: that is left to them.
fn removed(ctx: &mut Context<'_>, key: &[u8], hash: u64, now_empty: bool, event: &str) {
    if now_empty {
        let now_ms = ctx.now_ms();
        ctx.db().remove(key, hash, now_ms);
    }
    ctx.announce(KeyspaceEvents::ZSET, event, key);
    if now_empty {
        ctx.announce(KeyspaceEvents::GENERIC, "del", key);
    }
}

/// Puts a result in the place of whatever the first argument's key holds; an empty one removes the key.
fn store(ctx: &mut Context<'_>, key: &[u8], result: SortedSet) {
    store_at(ctx, key, ctx.first_key_hash, ctx.command.name, result, 1);
}

/// The same for any key and any name of the event; a result is said to be so many changes.
pub(crate) fn store_at(ctx: &mut Context<'_>, key: &[u8], hash: u64, event: &str, result: SortedSet, changes: u64) {
    let len = result.len();
    let entry = (len > 0).then(|| KeyEntry::new(key, NewValue::of(result.into()), None));
    put_result(ctx, (key, hash), entry, (KeyspaceEvents::ZSET, event), changes);
    ctx.reply.integer(len as i64);
}

/// The header for so many members. In RESP3 each one and its score are an array of their own.
fn begin_members(reply: &mut Reply, count: usize, with_scores: bool) {
    let flat = with_scores && reply.protocol() == Protocol::Resp2;
    reply.array(if flat { 2 * count } else { count });
}

#[inline]
fn reply_member(reply: &mut Reply, member: Element<'_>, score: f64, with_score: bool) {
    if with_score && reply.protocol() == Protocol::Resp3 {
        reply.array(2);
    }
    reply_element(reply, member);
    if with_score {
        reply.double(score);
    }
}
