//! Going through the keys of a database: KEYS, SCAN, RANDOMKEY.

#![forbid(unsafe_code)]

use super::scan::{Filter, INVALID_CURSOR, Scanned};
use crate::base::{glob, integer};
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags};
use crate::commands::lookup;
use crate::resp::args::Args;

/// `KEYS`
pub(super) static KEYS: Command = Command {
    name: "keys",
    full_name: "keys",
    summary: "Lists every key whose name matches a pattern.",
    since: "1.0.0",
    group: "generic",
    complexity: "O(N), N being the keys of the database",
    arity: 2,
    flags: Flags::READONLY,
    categories: Categories::KEYSPACE.union(Categories::READ).union(Categories::SLOW).union(Categories::DANGEROUS),
    tips: &["request_policy:all_shards", "nondeterministic_output_order"],
    args: &[ArgSpec::new("pattern", ArgKind::Pattern)],
    handler: Some(keys),
    ..Command::BLANK
};

/// `SCAN`
pub(super) static SCAN: Command = Command {
    name: "scan",
    full_name: "scan",
    summary: "Walks through the key names of the database, a few at a time.",
    since: "2.8.0",
    group: "generic",
    complexity: "O(1) for each call; O(N) for a whole walk, N being the keys of the database.",
    arity: -2,
    flags: Flags::READONLY.union(Flags::TOUCHES_ARBITRARY_KEYS),
    categories: Categories::KEYSPACE.union(Categories::READ).union(Categories::SLOW),
    tips: &["nondeterministic_output", "request_policy:special", "response_policy:special"],
    history: &[("6.0.0", "The option `TYPE` came.")],
    args: &[
        ArgSpec::new("cursor", ArgKind::Integer),
        ArgSpec::new("pattern", ArgKind::Pattern).token("MATCH").optional(),
        ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
        ArgSpec::new("type", ArgKind::String).token("TYPE").since("6.0.0").optional(),
    ],
    handler: Some(scan),
    ..Command::BLANK
};

/// `RANDOMKEY`
pub(super) static RANDOMKEY: Command = Command {
    name: "randomkey",
    full_name: "randomkey",
    summary: "Picks any key of the database.",
    since: "1.0.0",
    group: "generic",
    complexity: "O(1)",
    arity: 1,
    flags: Flags::READONLY.union(Flags::TOUCHES_ARBITRARY_KEYS),
    categories: Categories::KEYSPACE.union(Categories::READ).union(Categories::SLOW),
    tips: &["request_policy:all_shards", "response_policy:special", "nondeterministic_output"],
    handler: Some(randomkey),
    ..Command::BLANK
};

/// KEYS leaves expired keys where they are: it only does not mention them.
fn keys(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (pattern, now_ms) = (args.get(1), ctx.now_ms());
    let all = pattern == b"*";
    let header = ctx.reply.deferred();
    let mut count = 0;
    for entry in ctx.state.keyspace.db(ctx.session.db).iter() {
        if !entry.is_due(now_ms) && (all || glob::matches(pattern, entry.key())) {
            ctx.reply.bulk(entry.key());
            count += 1;
        }
    }
    ctx.reply.end_array(header, count);
    Ok(())
}

fn randomkey(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    let state = &mut *ctx.state;
    match state.keyspace.db_mut(ctx.session.db).random_key(&mut state.rng, now_ms) {
        Some(entry) => ctx.reply.bulk(entry.key()),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn scan(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let cursor = integer::parse_u64_lenient(args.get(1)).ok_or(INVALID_CURSOR)?;
    let filter = Filter::read(args, 2, Scanned::Keys)?;
    let now_ms = ctx.now_ms();

    // The cursor is answered before the keys but known after them: the names wait here, back to back.
    let (mut names, mut ends) = (Vec::new(), Vec::new());
    let db = ctx.state.keyspace.db(ctx.session.db);
    let next = db.scan_with_expired(cursor, filter.count, |entry| {
        if filter.pattern.is_none_or(|pattern| glob::matches(pattern, entry.key())) {
            names.extend_from_slice(entry.key());
            ends.push(names.len());
        }
    });

    ctx.reply.array(2);
    ctx.reply.bulk(integer_text(next).as_bytes());
    let header = ctx.reply.deferred();
    let (mut start, mut shown) = (0, 0);
    for end in ends {
        let key = &names[start..end];
        start = end;
        if wanted(ctx, key, &filter, now_ms) {
            ctx.reply.bulk(key);
            shown += 1;
        }
    }
    ctx.reply.end_array(header, shown);
    Ok(())
}

/// Whether a key that was seen is answered: expired ones are removed instead. Asking for a type counts as a read.
fn wanted(ctx: &mut Context<'_>, key: &[u8], filter: &Filter<'_>, now_ms: i64) -> bool {
    let hash = ctx.db().hash(key);
    match filter.type_name {
        Some(name) => lookup::peek(ctx.state, ctx.session.db, key, hash)
            .is_some_and(|entry| entry.type_name().as_bytes().eq_ignore_ascii_case(name)),
        None => ctx.db().exists(key, hash, now_ms),
    }
}

fn integer_text(cursor: u64) -> String {
    itoa::Buffer::new().format(cursor).to_owned()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::commands::transcript::replay;
    use crate::engine::Engine;
    use crate::resp::decode::Value;

    #[test]
    fn keys_matches_patterns() {
        replay(
            r#"
            > SET a*b 1
            OK
            > KEYS *
            1) "a*b"
            > KEYS a\\*b
            (empty array)
            > KEYS a*
            1) "a*b"
            > KEYS x*
            (empty array)
            > KEYS
            (error) ERR wrong number of arguments for 'keys' command
            "#,
        );
    }

    #[test]
    fn scan_finds_everything_that_matches() {
        replay(
            r#"
            > MSET a 1
            OK
            > SCAN 0
            1) "0"
            2) 1) "a"
            > SCAN 0 MATCH b*
            1) "0"
            2) (empty array)
            > SCAN 0 MATCH b* MATCH a
            1) "0"
            2) 1) "a"
            > SCAN 0 TYPE string COUNT 100
            1) "0"
            2) 1) "a"
            > SCAN 0 TYPE STRING
            1) "0"
            2) 1) "a"
            > SCAN 0 TYPE list
            1) "0"
            2) (empty array)
            > SCAN 0 TYPE nonsense
            1) "0"
            2) (empty array)
            > SCAN +0
            1) "0"
            2) 1) "a"
            "#,
        );
    }

    #[test]
    fn scan_refuses() {
        replay(
            r#"
            > SCAN ten
            (error) ERR invalid cursor
            > SCAN -1
            (error) ERR invalid cursor
            > SCAN "0 "
            (error) ERR invalid cursor
            > SCAN 18446744073709551616
            (error) ERR invalid cursor
            > SCAN 0 MATCH
            (error) ERR syntax error
            > SCAN 0 COUNT 0
            (error) ERR syntax error
            > SCAN 0 COUNT ten
            (error) ERR value is not an integer or out of range
            > SCAN 0 NOVALUES
            (error) ERR NOVALUES option can only be used in HSCAN
            > SCAN 0 FOO bar
            (error) ERR syntax error
            > SCAN ten FOO
            (error) ERR invalid cursor
            "#,
        );
    }

    #[test]
    fn expired_keys_are_not_mentioned() {
        replay(
            r#"
            > SET a 1 PXAT 1
            OK
            > KEYS *
            (empty array)
            > DBSIZE
            (integer) 1
            > SCAN 0 MATCH b
            1) "0"
            2) (empty array)
            > DBSIZE
            (integer) 1
            > SCAN 0
            1) "0"
            2) (empty array)
            > DBSIZE
            (integer) 0
            > SET a 1 PXAT 1
            OK
            > RANDOMKEY
            (nil)
            > DBSIZE
            (integer) 0
            > SET b 1
            OK
            > RANDOMKEY
            "b"
            "#,
        );
    }

    #[test]
    fn a_walk_meets_every_key() {
        let mut engine = Engine::for_console();
        for number in 0..1000 {
            engine.run(&["SET", &format!("key:{number}"), "v"]);
        }
        let slot = engine.connect(3);
        let (mut cursor, mut seen, mut steps) = (b"0".to_vec(), BTreeSet::new(), 0);
        loop {
            let reply = engine.run_values(slot, &[&b"SCAN"[..], &cursor, b"COUNT", b"7", b"MATCH", b"key:*[05]"]);
            let [Value::Array(parts)] = &reply[..] else { panic!("{reply:?}") };
            let [Value::Bulk(next), Value::Array(keys)] = &parts[..] else { panic!("{reply:?}") };
            seen.extend(keys.iter().map(|key| format!("{key:?}")));
            steps += 1;
            cursor = next.clone();
            if cursor == b"0" {
                break;
            }
        }
        assert_eq!(seen.len(), 200);
        assert!((20..=1000).contains(&steps), "{steps}");
        assert_eq!(engine.run(&["KEYS", "key:99?"]).lines().count(), 10);
    }

    #[test]
    fn random_keys_are_keys() {
        let mut engine = Engine::for_console();
        assert_eq!(engine.run(&["RANDOMKEY"]), "(nil)");
        engine.run(&["MSET", "a", "1", "b", "2", "c", "3"]);
        let seen: BTreeSet<String> = (0..200).map(|_| engine.run(&["RANDOMKEY"])).collect();
        assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["\"a\"", "\"b\"", "\"c\""]);
    }
}
