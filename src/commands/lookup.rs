//! HOT PATH. How handlers find keys: reads are counted as hits and misses, and commands with many keys have the places
//! of the next few fetched from memory while they work on the first.

#![forbid(unsafe_code)]

use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, NO_SUCH_DATABASE, NOT_AN_INTEGER, OUT_OF_INT_RANGE, WRONG_TYPE};
use crate::command::session::Session;
use crate::command::state::State;
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;
use crate::sys::prefetch::AHEAD;
use crate::types::held::{Held, Hold, ValueMut};
use crate::types::{KeyEntry, Value};

/// Finds a key of the caller's database for a command that reads it, and counts a hit or a miss.
#[inline]
pub(crate) fn read<'s>(state: &'s mut State, session: &mut Session, key: &[u8], hash: u64) -> Option<&'s KeyEntry> {
    if state.announced.contains(KeyspaceEvents::KEY_MISS) {
        state.announce_miss(session, key, hash);
    }
    let (now_ms, db) = (state.clock.unix_ms(), session.db);
    let found = state.keyspace.db_mut(db).get(key, hash, now_ms);
    match found {
        Some(_) => state.stats.keyspace_hits += 1,
        None => state.stats.keyspace_misses += 1,
    }
    found
}

/// The same for a command that only asks about the key: no use of it.
#[inline]
pub(crate) fn ask<'s>(state: &'s mut State, session: &mut Session, key: &[u8], hash: u64) -> Option<&'s KeyEntry> {
    if state.announced.contains(KeyspaceEvents::KEY_MISS) {
        state.announce_miss(session, key, hash);
    }
    peek(state, session.db, key, hash)
}

/// The same in database `db`, for a command whose misses are no events.
#[inline]
pub(crate) fn peek<'s>(state: &'s mut State, db: usize, key: &[u8], hash: u64) -> Option<&'s KeyEntry> {
    let now_ms = state.clock.unix_ms();
    let found = state.keyspace.db_mut(db).peek(key, hash, now_ms);
    match found {
        Some(_) => state.stats.keyspace_hits += 1,
        None => state.stats.keyspace_misses += 1,
    }
    found
}

/// The value at a key, lent to a command that changes one of this kind. Inlined for the reason of [`ValueMut::hold`].
#[inline(always)]
pub(crate) fn hold<'s, T: Hold>(
    state: &'s mut State,
    db: usize,
    key: &[u8],
    hash: u64,
) -> Result<Option<Held<'s, T>>, CommandError> {
    let now_ms = state.clock.unix_ms();
    let value = state.keyspace.db_mut(db).value_mut(key, hash, now_ms);
    value.map(ValueMut::hold).transpose().map_err(|_| WRONG_TYPE)
}

/// The same; a missing key gets what `new` makes, into which the caller puts something.
#[inline(always)]
pub(crate) fn hold_or_new<'s, T: Hold + Into<Value>>(
    state: &'s mut State,
    db: usize,
    key: &[u8],
    hash: u64,
    new: impl FnOnce() -> T,
) -> Result<Held<'s, T>, CommandError> {
    let now_ms = state.clock.unix_ms();
    let value = state.keyspace.db_mut(db).value_or_insert(key, hash, now_ms, || new().into());
    value.and_then(ValueMut::hold).map_err(|_| WRONG_TYPE)
}

/// The database that an argument names by its number.
pub(crate) fn database(state: &State, text: &[u8]) -> Result<usize, CommandError> {
    let number = parse_i64(text).ok_or(NOT_AN_INTEGER)?;
    let number = i32::try_from(number).map_err(|_| OUT_OF_INT_RANGE)?;
    usize::try_from(number).ok().filter(|&index| index < state.keyspace.count()).ok_or(NO_SUCH_DATABASE)
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

#[cfg(test)]
mod tests {
    use crate::base::quoting::split;
    use crate::command::session::SessionFlags;
    use crate::engine::Engine;
    use crate::resp::decode::Value;

    /// (command, changes, hits, misses) as Redis counts them, one after the other.
    const COUNTED: &[(&str, u64, u64, u64)] = &[
        ("SET a 1", 1, 0, 0),
        ("SET a 1 XX", 1, 0, 0),
        ("SET a 1 NX", 0, 0, 0),
        ("SET a 1 EX 100", 1, 0, 0),
        ("SET a 1 GET", 1, 1, 0),
        ("SET missing 1 XX GET", 0, 0, 1),
        ("SETNX a 1", 0, 0, 0),
        ("GETSET a 1", 1, 1, 0),
        ("GET a", 0, 1, 0),
        ("GET missing", 0, 0, 1),
        ("GETEX a", 0, 1, 0),
        ("GETEX a EX 100", 1, 1, 0),
        ("GETEX a PERSIST", 1, 1, 0),
        ("GETEX a PERSIST", 0, 1, 0),
        ("STRLEN missing", 0, 0, 1),
        ("GETRANGE a 0 1", 0, 1, 0),
        ("MGET a missing a", 0, 2, 1),
        ("MSET a 1 b 2 a 3", 3, 0, 0),
        ("MSETNX a 1 c 2", 0, 0, 0),
        ("INCR a", 1, 0, 0),
        ("INCR missing2", 1, 0, 0),
        ("INCRBYFLOAT a 0", 1, 0, 0),
        ("APPEND a \"\"", 1, 0, 0),
        ("SETRANGE b 0 x", 1, 0, 0),
        ("SETRANGE b 0 \"\"", 0, 0, 0),
        ("SETBIT b 0 0", 0, 0, 0),
        ("SETBIT b 7 0", 0, 0, 0),
        ("SETBIT b 1 0", 1, 0, 0),
        ("SETBIT b 30 0", 1, 0, 0),
        ("SETBIT b 1 2", 0, 0, 0),
        ("GETBIT b 1", 0, 1, 0),
        ("GETBIT missing 1", 0, 0, 1),
        ("BITCOUNT b", 0, 1, 0),
        ("BITCOUNT b 1", 0, 0, 0),
        ("BITPOS missing 1", 0, 0, 1),
        ("BITFIELD b", 0, 1, 0),
        ("BITFIELD_RO missing GET u8 0", 0, 0, 1),
        ("BITFIELD b SET u8 40 1 GET u8 0", 1, 0, 0),
        ("BITFIELD b SET u8 40 1", 0, 0, 0),
        ("BITFIELD b SET u8 40 2 SET u8 40 1", 2, 0, 0),
        ("BITFIELD b SET u8 80 0 SET u8 0 0", 2, 0, 0),
        ("BITFIELD b OVERFLOW FAIL INCRBY u8 0 300", 0, 0, 0),
        ("BITFIELD bits OVERFLOW FAIL INCRBY u8 0 300", 0, 0, 0),
        ("BITOP NOT bits b", 1, 1, 0),
        ("BITOP AND bits missing", 1, 0, 1),
        ("BITOP AND bits missing", 0, 0, 1),
        ("PFADD hll", 1, 0, 0),
        ("PFADD hll a b", 2, 0, 0),
        ("PFADD hll a b", 0, 0, 0),
        ("PFCOUNT hll", 1, 1, 0),
        ("PFCOUNT hll", 0, 1, 0),
        ("PFCOUNT hll missing", 0, 1, 1),
        ("PFMERGE hll missing", 1, 1, 1),
        ("PFMERGE merged", 1, 0, 1),
        ("PFDEBUG TODENSE hll", 1, 0, 0),
        ("PFDEBUG GETREG merged", 0, 0, 0),
        ("DEL hll merged", 2, 0, 0),
        ("LCS a missing", 0, 1, 1),
        ("LCS a a FOO", 0, 2, 0),
        ("EXISTS a missing a", 0, 2, 1),
        ("TOUCH a missing", 0, 1, 1),
        ("TYPE a", 0, 1, 0),
        ("TTL missing", 0, 0, 1),
        ("EXPIRE a 100", 1, 0, 0),
        ("EXPIRE a 100 NX", 0, 0, 0),
        ("PERSIST a", 1, 0, 0),
        ("PERSIST a", 0, 0, 0),
        ("RENAME a c", 1, 0, 0),
        ("RENAME c c", 0, 0, 0),
        ("RENAMENX c b", 0, 0, 0),
        ("KEYS *", 0, 0, 0),
        ("SCAN 0", 0, 0, 0),
        ("SCAN 0 MATCH [bc] TYPE list", 0, 2, 0),
        ("RANDOMKEY", 0, 0, 0),
        ("EXPIRE missing2 0", 1, 0, 0),
        ("DEL missing2 missing", 0, 0, 0),
        ("SET e 1 PXAT 1", 1, 0, 0),
        ("UNLINK e c", 1, 0, 0),
        ("GETDEL b", 1, 1, 0),
        ("MSET a 1 b 2", 2, 0, 0),
        ("FLUSHALL", 2, 0, 0),
        ("FLUSHDB", 0, 0, 0),
    ];

    #[test]
    fn changes_hits_and_misses_are_counted() {
        let mut engine = Engine::for_console();
        for &(command, changes, hits, misses) in COUNTED {
            let counters = |engine: &Engine| {
                let stats = &engine.state.stats;
                [stats.dirty, stats.keyspace_hits, stats.keyspace_misses]
            };
            let before = counters(&engine);
            engine.run(&split(command.as_bytes()).expect("balanced"));
            let after = counters(&engine);
            let counted = [0, 1, 2].map(|index| after[index] - before[index]);
            assert_eq!(counted, [changes, hits, misses], "{command}");
        }
    }

    /// A change of `a` by each of these makes a transaction that watches it fail.
    const WRITES: &[&str] = &[
        "SET a 2",
        "SETEX a 10 1",
        "GETSET a 1",
        "GETDEL a",
        "GETEX a EX 10",
        "GETEX a PXAT 1",
        "MSET z 1 a 1",
        "INCR a",
        "INCRBYFLOAT a 1",
        "APPEND a 1",
        "SETRANGE a 0 1",
        "SETBIT a 6 1",
        "SETBIT a 100 0",
        "BITFIELD a SET u8 0 0",
        "BITOP NOT a z",
        "BITOP AND a missing",
        "DEL z a",
        "UNLINK a",
        "EXPIRE a 10",
        "EXPIRE a 0",
        "RENAME a z",
        "RENAME z a",
        "RENAMENX a new",
        "FLUSHDB",
        "FLUSHALL",
    ];
    /// None of these changes `a`.
    const READS: &[&str] = &[
        "GET a",
        "GETEX a",
        "GETEX a PERSIST",
        "MGET a",
        "STRLEN a",
        "SET a 1 NX",
        "SETNX a 1",
        "MSETNX z 1 a 1",
        "TTL a",
        "PERSIST a",
        "EXPIRE a 10 XX",
        "EXPIRE a 0 GT",
        "RENAME a a",
        "RENAMENX z a",
        "SETRANGE a 0 \"\"",
        "SETBIT a 0 0",
        "BITFIELD a SET u2 0 0 GET u8 0",
        "BITFIELD a OVERFLOW FAIL INCRBY u8 80 300",
        "BITOP NOT z a",
        "TOUCH a",
        "DEL b",
        "INCRBY a x",
        "SCAN 0",
        "KEYS *",
    ];

    #[test]
    fn writes_are_signalled_and_reads_are_not() {
        for (commands, fails) in [(WRITES, true), (READS, false)] {
            for command in commands {
                let mut engine = Engine::for_console();
                engine.run(&["MSET", "a", "1", "z", "1"]);
                let watcher = engine.connect(1);
                engine.run_in(watcher, &["WATCH", "a"]);
                engine.run(&split(command.as_bytes()).expect("balanced"));
                let dirty = engine.session(watcher).flags.contains(SessionFlags::DIRTY_CAS);
                assert_eq!(dirty, fails, "{command}");
            }
        }
    }

    #[test]
    fn many_keys_are_met_in_order() {
        let mut engine = Engine::for_console();
        for count in [1, 2, 15, 16, 17, 32, 33, 100] {
            let keys: Vec<String> = (0..count).map(|number| format!("k{number}")).collect();
            let pairs = keys.iter().flat_map(|key| [key.as_str(), &key[1..]]);
            let mset: Vec<&str> = ["MSET"].into_iter().chain(pairs).collect();
            assert_eq!(engine.run(&mset), "OK");
            let with =
                |name: &'static str| [name].into_iter().chain(keys.iter().map(String::as_str)).collect::<Vec<_>>();
            let slot = engine.connect(1);
            let expected = (0..count).map(|number| Value::Bulk(number.to_string().into())).collect();
            assert_eq!(engine.run_values(slot, &with("MGET")), [Value::Array(expected)]);
            engine.client_gone(slot);
            assert_eq!(engine.run(&with("EXISTS")), format!("(integer) {count}"));
            assert_eq!(engine.run(&with("DEL")), format!("(integer) {count}"));
            assert_eq!(engine.run(&["DBSIZE"]), "(integer) 0");
        }
    }
}
