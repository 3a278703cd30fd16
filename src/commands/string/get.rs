//! HOT PATH. Commands that read one whole string: GET, GETDEL, GETEX, STRLEN.

#![forbid(unsafe_code)]

use super::expiry::{Expiry, Grammar, Options, deadline_ms};
use super::reply_string;
use crate::command::context::Context;
use crate::command::error::{CommandError, WRONG_TYPE};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::{key_specs, lookup};
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;

/// `GET`
pub(super) static GET: Command = Command {
    name: "get",
    full_name: "get",
    summary: "Answers the string stored at a key.",
    since: "1.0.0",
    group: "string",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::STRING).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(get),
    ..Command::BLANK
};

/// `GETDEL`
pub(super) static GETDEL: Command = Command {
    name: "getdel",
    full_name: "getdel",
    summary: "Answers the string stored at a key and removes the key.",
    since: "6.2.0",
    group: "string",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::STRING).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(getdel),
    ..Command::BLANK
};

/// `GETEX`
pub(super) static GETEX: Command = Command {
    name: "getex",
    full_name: "getex",
    summary: "Answers the string stored at a key and changes when it expires.",
    since: "6.2.0",
    group: "string",
    complexity: "O(1)",
    arity: -2,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::STRING).union(Categories::FAST),
    key_specs: &[key_specs::noted(
        key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::UPDATE)),
        "RW and UPDATE only with an option that changes the expiry time.",
    )],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("expiration", ArgKind::OneOf).optional().children(&[
            ArgSpec::new("seconds", ArgKind::Integer).token("EX"),
            ArgSpec::new("milliseconds", ArgKind::Integer).token("PX"),
            ArgSpec::new("unix-time-seconds", ArgKind::UnixTime).token("EXAT"),
            ArgSpec::new("unix-time-milliseconds", ArgKind::UnixTime).token("PXAT"),
            ArgSpec::pure_token("persist", "PERSIST"),
        ]),
    ],
    handler: Some(getex),
    ..Command::BLANK
};

/// `STRLEN`
pub(super) static STRLEN: Command = Command {
    name: "strlen",
    full_name: "strlen",
    summary: "Answers how many bytes a string has.",
    since: "2.2.0",
    group: "string",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::STRING).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO)],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(strlen),
    ..Command::BLANK
};

fn get(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    get_string(ctx, args).map(|_found| ())
}

/// What GET does; the first half of GETDEL, GETSET and SET with GET. True where the key exists.
#[inline]
pub(super) fn get_string(ctx: &mut Context<'_>, args: Args<'_>) -> Result<bool, CommandError> {
    let Some(entry) = lookup::read(ctx.state, ctx.session, args.get(1), ctx.first_key_hash) else {
        ctx.reply.null();
        return Ok(false);
    };
    reply_string(ctx.reply, entry)?;
    Ok(true)
}

fn getdel(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    if get_string(ctx, args)? {
        remove(ctx, args.get(1));
    }
    Ok(())
}

/// Removes the first key, which exists.
fn remove(ctx: &mut Context<'_>, key: &[u8]) {
    let (hash, now_ms) = (ctx.first_key_hash, ctx.now_ms());
    ctx.db().remove(key, hash, now_ms);
    ctx.signal_modified(key);
    ctx.announce(KeyspaceEvents::GENERIC, "del", key);
    ctx.state.stats.dirty += 1;
}

fn getex(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let options = Options::read(args, 2, Grammar::Getex)?;
    let (key, hash, now_ms) = (args.get(1), ctx.first_key_hash, ctx.now_ms());
    let Some(entry) = lookup::read(ctx.state, ctx.session, key, hash) else {
        ctx.reply.null();
        return Ok(());
    };
    // The time is only looked at once the key is known to hold a string.
    entry.as_string().map_err(|_| WRONG_TYPE)?;
    let expire_ms = match options.expiry {
        Expiry::At(unit, index) => Some(deadline_ms(args.get(index), unit, now_ms, ctx.command.full_name)?),
        _ => None,
    };
    let had_expiry = entry.expire_ms().is_some();
    reply_string(ctx.reply, entry)?;
    match expire_ms {
        Some(at_ms) if at_ms <= now_ms => remove(ctx, key),
        None if !(options.expiry == Expiry::Remove && had_expiry) => {}
        changed => {
            ctx.db().set_expire(key, hash, changed);
            ctx.signal_modified(key);
            ctx.announce(KeyspaceEvents::GENERIC, if changed.is_some() { "expire" } else { "persist" }, key);
            ctx.state.stats.dirty += 1;
        }
    }
    Ok(())
}

fn strlen(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let len = match lookup::read(ctx.state, ctx.session, args.get(1), ctx.first_key_hash) {
        None => 0,
        Some(entry) => entry.as_string().map_err(|_| WRONG_TYPE)?.len(),
    };
    ctx.reply.integer(len as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn get_reads_strings_only() {
        replay(
            r#"
            > GET k
            (nil)
            > SET k "a\x00b"
            OK
            > GET k
            "a\x00b"
            > SET k 12
            OK
            > GET k
            "12"
            > GET k extra
            (error) ERR wrong number of arguments for 'get' command
            > GET
            (error) ERR wrong number of arguments for 'get' command
            "#,
        );
    }

    #[test]
    fn getdel_removes_what_it_answers() {
        replay(
            r#"
            > SET k v
            OK
            > GETDEL k
            "v"
            > GETDEL k
            (nil)
            > EXISTS k
            (integer) 0
            "#,
        );
    }

    #[test]
    fn getex_changes_the_expiry_time() {
        replay(
            r#"
            > SET k v
            OK
            > GETEX k
            "v"
            > TTL k
            (integer) -1
            > GETEX k EX 100
            "v"
            > TTL k
            (integer) 100
            > GETEX k PERSIST
            "v"
            > TTL k
            (integer) -1
            > GETEX k PXAT 4102444800000
            "v"
            > PEXPIRETIME k
            (integer) 4102444800000
            > GETEX k EXAT 4102444800
            "v"
            > EXPIRETIME k
            (integer) 4102444800
            > GETEX k PX 1
            "v"
            "#,
        );
    }

    #[test]
    fn getex_with_a_time_that_has_passed_removes_the_key() {
        replay(
            r#"
            > SET k v
            OK
            > GETEX k PXAT 1
            "v"
            > EXISTS k
            (integer) 0
            "#,
        );
    }

    #[test]
    fn getex_refuses() {
        replay(
            r#"
            > SET k v
            OK
            > GETEX k EX
            (error) ERR syntax error
            > GETEX k EX 10 PERSIST
            (error) ERR syntax error
            > GETEX k EX 10 PX 10
            (error) ERR syntax error
            > GETEX k KEEPTTL
            (error) ERR syntax error
            > GETEX k NX
            (error) ERR syntax error
            > GETEX k EX 0
            (error) ERR invalid expire time in 'getex' command
            > GETEX k EXAT 9223372036854775807
            (error) ERR invalid expire time in 'getex' command
            > GETEX k EX ten
            (error) ERR value is not an integer or out of range
            > GETEX missing EX ten
            (nil)
            > GETEX missing EX 10 FOO
            (error) ERR syntax error
            > GET k
            "v"
            "#,
        );
    }

    #[test]
    fn strlen_counts_bytes() {
        replay(
            r#"
            > SET k "a\x00\xff"
            OK
            > STRLEN k
            (integer) 3
            > SET k -12345
            OK
            > STRLEN k
            (integer) 6
            > STRLEN missing
            (integer) 0
            "#,
        );
    }
}
