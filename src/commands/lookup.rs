//! HOT PATH. How handlers find keys: reads are counted as hits and misses, and commands with many keys have the places
//! of the next few fetched from memory while they work on the first.

#![forbid(unsafe_code)]

use crate::command::context::Context;
use crate::command::state::State;
use crate::resp::args::Args;
use crate::types::KeyEntry;

/// How many keys are hashed and prefetched ahead of the one that is worked on.
const AHEAD: usize = 16;

/// Finds a key of database `db` for a command that reads it, and counts a hit or a miss.
#[inline]
pub(crate) fn read<'s>(state: &'s mut State, db: usize, key: &[u8], hash: u64) -> Option<&'s KeyEntry> {
    let now_ms = state.clock.unix_ms();
    let found = state.keyspace.db_mut(db).get(key, hash, now_ms);
    match found {
        Some(_) => state.stats.keyspace_hits += 1,
        None => state.stats.keyspace_misses += 1,
    }
    found
}

/// Calls `each` with the position and the hash of every `step`-th argument from the first on. Stops early when `each`
/// answers false.
#[inline]
pub(crate) fn each_key(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    step: usize,
    mut each: impl FnMut(&mut Context<'_>, usize, u64) -> bool,
) {
    if args.len() <= 1 + step {
        each(ctx, 1, ctx.first_key_hash);
        return;
    }
    let mut hashes = [0; AHEAD];
    for first in (1..args.len()).step_by(step * AHEAD) {
        let group = (first..args.len()).step_by(step).take(AHEAD);
        let db = ctx.state.keyspace.db(ctx.session.db);
        for (hash, index) in hashes.iter_mut().zip(group.clone()) {
            *hash = db.hash(args.get(index));
            db.prefetch_bucket(*hash);
        }
        for &hash in &hashes[..group.len()] {
            db.prefetch_entry(hash);
        }
        for (index, &hash) in group.zip(&hashes) {
            if !each(ctx, index, hash) {
                return;
            }
        }
    }
}
