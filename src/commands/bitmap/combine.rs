//! Strings made of others bit by bit: BITOP.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use bytes::Bytes;

use crate::base::bits::{self, Operation};
use crate::command::context::Context;
use crate::command::error::{CommandError, SYNTAX, WRONG_TYPE};
use crate::command::session::Session;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::command::state::State;
use crate::commands::result::put_result;
use crate::commands::{key_specs, lookup};
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;
use crate::types::KeyEntry;

/// `BITOP`
pub(super) static BITOP: Command = Command {
    name: "bitop",
    full_name: "bitop",
    summary: "Stores what a logical operation makes of the bits of several strings, or of one.",
    since: "2.6.0",
    group: "bitmap",
    complexity: "O(N), N being the bytes of all strings",
    arity: -4,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::BITMAP).union(Categories::SLOW),
    key_specs: &[
        key_specs::one(2, KeyFlags::OW.union(KeyFlags::UPDATE)),
        key_specs::rest(3, 1, KeyFlags::RO.union(KeyFlags::ACCESS)),
    ],
    args: &[
        ArgSpec::new("operation", ArgKind::OneOf).children(&[
            ArgSpec::pure_token("and", "AND"),
            ArgSpec::pure_token("or", "OR"),
            ArgSpec::pure_token("xor", "XOR"),
            ArgSpec::pure_token("not", "NOT"),
        ]),
        ArgSpec::key("destkey", 0),
        ArgSpec::key("key", 1).multiple(),
    ],
    handler: Some(bitop),
    ..Command::BLANK
};

const NOT_OF_ONE: CommandError = CommandError::fixed("BITOP NOT must be called with a single source key.");

/// `None` is NOT.
fn operation(word: &[u8]) -> Result<Option<Operation>, CommandError> {
    let words =
        [("AND", Some(Operation::And)), ("OR", Some(Operation::Or)), ("XOR", Some(Operation::Xor)), ("NOT", None)];
    let known = words.into_iter().find(|(name, _)| word.eq_ignore_ascii_case(name.as_bytes()));
    known.map(|(_, operation)| operation).ok_or(SYNTAX)
}

fn bitop(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let operation = operation(args.get(1))?;
    if operation.is_none() && args.len() != 4 {
        return Err(NOT_OF_ONE);
    }
    let sources = sources(ctx.state, ctx.session, args)?;
    let made = match operation {
        Some(operation) => {
            let sources: Vec<&[u8]> = sources.iter().map(|source| &**source).collect();
            bits::combine(operation, &sources)
        }
        None => sources.first().map_or_else(Vec::new, |source| bits::complement(source)),
    };
    drop(sources);
    store(ctx, args.get(2), made);
    Ok(())
}

/// Looks all keys up, which counts hits and misses, and then holds all strings at once.
fn sources<'s>(
    state: &'s mut State,
    session: &mut Session,
    args: Args<'_>,
) -> Result<Vec<Cow<'s, [u8]>>, CommandError> {
    let now_ms = state.clock.unix_ms();
    let mut hashes = Vec::with_capacity(args.len() - 3);
    for key in args.skip(3).iter() {
        let hash = state.keyspace.hash(key);
        if let Some(entry) = lookup::read(state, session, key, hash) {
            entry.as_string().map_err(|_| WRONG_TYPE)?;
        }
        hashes.push(hash);
    }
    let db = state.keyspace.db(session.db);
    let string = |(key, hash)| {
        let entry: Option<&KeyEntry> = db.live(key, hash, now_ms);
        entry.and_then(|entry| entry.as_string().ok()).map(|string| string.to_cow()).unwrap_or_default()
    };
    Ok(args.skip(3).iter().zip(hashes).map(string).collect())
}

/// Puts a result in the place of whatever `key` holds; an empty one removes the key.
fn store(ctx: &mut Context<'_>, key: &[u8], made: Vec<u8>) {
    let (hash, len) = (ctx.first_key_hash, made.len());
    let entry = (len > 0).then(|| KeyEntry::raw_string(key, &Bytes::from(made)));
    put_result(ctx, (key, hash), entry, (KeyspaceEvents::STRING, "set"), 1);
    ctx.reply.integer(len as i64);
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn strings_are_combined() {
        replay(
            r#"
            > MSET a "\x0f\xff" b "\x55" n 12
            OK
            > BITOP AND d a b
            (integer) 2
            > GET d
            "\x05\x00"
            > BITOP or d a b missing
            (integer) 2
            > GET d
            "_\xff"
            > BITOP XOR d a b
            (integer) 2
            > GET d
            "Z\xff"
            > BITOP NOT d a
            (integer) 2
            > GET d
            "\xf0\x00"
            > BITOP OR d n
            (integer) 2
            > GET d
            "12"
            > OBJECT ENCODING d
            "raw"
            > BITOP XOR a a a
            (integer) 2
            > GET a
            "\x00\x00"
            "#,
        );
    }

    #[test]
    fn results_take_the_place_of_anything() {
        replay(
            r#"
            > RPUSH l a
            (integer) 1
            > SET s x EX 100
            OK
            > BITOP AND d l
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > BITOP OR l s
            (integer) 1
            > TYPE l
            string
            > TTL l
            (integer) -1
            > BITOP NOT s s
            (integer) 1
            > TTL s
            (integer) -1
            > BITOP AND s missing
            (integer) 0
            > EXISTS s
            (integer) 0
            > BITOP FOO d s
            (error) ERR syntax error
            > BITOP NOT d s s
            (error) ERR BITOP NOT must be called with a single source key.
            > BITOP DIFF d s s
            (error) ERR syntax error
            "#,
        );
    }
}
