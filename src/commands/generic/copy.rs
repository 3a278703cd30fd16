//! A key's value in a second place: COPY leaves the first, MOVE does not.

#![forbid(unsafe_code)]

use crate::command::context::Context;
use crate::command::error::{CommandError, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::{key_specs, lookup};
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;

/// `COPY`
pub(super) static COPY: Command = Command {
    name: "copy",
    full_name: "copy",
    summary: "Copies the value and the expiry time of a key to another one.",
    since: "6.2.0",
    group: "generic",
    complexity: "O(N), N being the elements of a collection; O(1) for a string.",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::KEYSPACE.union(Categories::WRITE).union(Categories::SLOW),
    key_specs: &[
        key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS)),
        key_specs::one(2, KeyFlags::OW.union(KeyFlags::UPDATE)),
    ],
    args: &[
        ArgSpec::key("source", 0),
        ArgSpec::key("destination", 1),
        ArgSpec::new("destination-db", ArgKind::Integer).token("DB").optional(),
        ArgSpec::pure_token("replace", "REPLACE").optional(),
    ],
    handler: Some(copy),
    ..Command::BLANK
};

/// `MOVE`
pub(super) static MOVE: Command = Command {
    name: "move",
    full_name: "move",
    summary: "Takes a key to another database.",
    since: "1.0.0",
    group: "generic",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::KEYSPACE.union(Categories::WRITE).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("db", ArgKind::Integer)],
    handler: Some(move_key),
    ..Command::BLANK
};

const SAME: CommandError = CommandError::fixed("source and destination objects are the same");

fn copy(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (from, to, now_ms) = (args.get(1), args.get(2), ctx.now_ms());
    let (mut to_db, mut replace) = (ctx.session.db, false);
    let mut index = 3;
    while index < args.len() {
        let is = |name: &str| args.get(index).eq_ignore_ascii_case(name.as_bytes());
        if is("REPLACE") {
            replace = true;
            index += 1;
        } else if is("DB") && index + 1 < args.len() {
            to_db = lookup::database(ctx.state, args.get(index + 1))?;
            index += 2;
        } else {
            return Err(SYNTAX);
        }
    }
    if to_db == ctx.session.db && from == to {
        return Err(SAME);
    }
    let to_hash = ctx.db().hash(to);
    let Some(entry) = lookup::read(ctx.state, ctx.session, from, ctx.first_key_hash) else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let entry = entry.duplicate(to);
    let target = ctx.state.keyspace.db_mut(to_db);
    if target.exists(to, to_hash, now_ms) && !replace {
        ctx.reply.integer(0);
        return Ok(());
    }
    target.put(to_hash, entry, now_ms);
    ctx.announce_in(to_db, KeyspaceEvents::NEW, "new", to);
    ctx.signal_modified_in(to_db, to);
    ctx.announce_in(to_db, KeyspaceEvents::GENERIC, "copy_to", to);
    ctx.state.stats.dirty += 1;
    ctx.reply.integer(1);
    Ok(())
}

fn move_key(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (key, hash, now_ms) = (args.get(1), ctx.first_key_hash, ctx.now_ms());
    let to_db = lookup::database(ctx.state, args.get(2))?;
    if to_db == ctx.session.db {
        return Err(SAME);
    }
    let there = ctx.db().get(key, hash, now_ms).is_some();
    let moves = there && !ctx.state.keyspace.db_mut(to_db).exists(key, hash, now_ms);
    if let Some(entry) = moves.then(|| ctx.db().take(key, hash, now_ms)).flatten() {
        ctx.state.keyspace.db_mut(to_db).put(hash, entry, now_ms);
        ctx.announce_in(to_db, KeyspaceEvents::NEW, "new", key);
        ctx.signal_modified(key);
        ctx.signal_modified_in(to_db, key);
        ctx.announce(KeyspaceEvents::GENERIC, "move_from", key);
        ctx.announce_in(to_db, KeyspaceEvents::GENERIC, "move_to", key);
        ctx.state.stats.dirty += 1;
    }
    ctx.reply.integer(i64::from(moves));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::session::SessionFlags;
    use crate::commands::transcript::replay;
    use crate::engine::Engine;

    #[test]
    fn copies_stand_by_themselves() {
        replay(
            r#"
            > SET a 1 EX 100
            OK
            > COPY a b
            (integer) 1
            > TTL b
            (integer) 100
            > APPEND a 2
            (integer) 2
            > COPY a b
            (integer) 0
            > GET b
            "1"
            > COPY a b REPLACE
            (integer) 1
            > GET b
            "12"
            > OBJECT ENCODING b
            "raw"
            > COPY missing b REPLACE
            (integer) 0
            "#,
        );
    }

    #[test]
    fn copies_reach_other_databases() {
        replay(
            r#"
            > SET a 1
            OK
            > COPY a a
            (error) ERR source and destination objects are the same
            > COPY a a DB 0 REPLACE
            (error) ERR source and destination objects are the same
            > COPY a a DB 3 DB 1 REPLACE
            (integer) 1
            > SELECT 1
            OK
            > GET a
            "1"
            > COPY a b DB
            (error) ERR syntax error
            > COPY a b FOO
            (error) ERR syntax error
            > COPY a b DB 16
            (error) ERR DB index is out of range
            > COPY a b DB x
            (error) ERR value is not an integer or out of range
            "#,
        );
    }

    #[test]
    fn moving_takes_expiry_along_and_replaces_nothing() {
        replay(
            r#"
            > SET a 1 EX 100
            OK
            > MOVE a 1
            (integer) 1
            > EXISTS a
            (integer) 0
            > SET a 2
            OK
            > MOVE a 1
            (integer) 0
            > MOVE missing 1
            (integer) 0
            > MOVE missing 0
            (error) ERR source and destination objects are the same
            > MOVE a x
            (error) ERR value is not an integer or out of range
            > MOVE a -1
            (error) ERR DB index is out of range
            > SELECT 1
            OK
            > TTL a
            (integer) 100
            > GET a
            "1"
            "#,
        );
    }

    #[test]
    fn both_places_are_watched() {
        for (command, db) in
            [(&["MOVE", "a", "1"][..], 0), (&["MOVE", "a", "1"], 1), (&["COPY", "a", "a", "DB", "1"], 1)]
        {
            let mut engine = Engine::for_console();
            engine.run(&["SET", "a", "1"]);
            let watcher = engine.connect(1);
            engine.session_mut(watcher).db = db;
            engine.run_in(watcher, &["WATCH", "a"]);
            engine.run(command);
            assert!(engine.session(watcher).flags.contains(SessionFlags::DIRTY_CAS), "{command:?} in {db}");
        }
    }
}
