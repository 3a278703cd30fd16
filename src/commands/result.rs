//! What a command worked out, put in the place of whatever a key holds. Main thread.

#![forbid(unsafe_code)]

use crate::command::context::Context;
use crate::config::KeyspaceEvents;
use crate::types::KeyEntry;

/// Puts a result at `key`, of this class and heard of as `event`, and says that it is so many changes. Without a result
/// the key is removed.
pub(crate) fn put_result(
    ctx: &mut Context<'_>,
    (key, hash): (&[u8], u64),
    result: Option<KeyEntry>,
    (class, event): (KeyspaceEvents, &str),
    changes: u64,
) {
    let now_ms = ctx.now_ms();
    if let Some(entry) = result {
        let is_new = !ctx.db().exists(key, hash, now_ms);
        ctx.db().put(hash, entry, now_ms);
        ctx.stored(is_new, class, event, key);
        ctx.state.stats.dirty += changes;
    } else if ctx.db().remove_stored(key, hash) {
        ctx.signal_modified(key);
        ctx.announce(KeyspaceEvents::GENERIC, "del", key);
        ctx.state.stats.dirty += 1;
    }
}
