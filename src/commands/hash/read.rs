//! HOT PATH. Reading fields: HGET, HMGET, HGETALL, HKEYS, HVALS, HLEN, HEXISTS, HSTRLEN.

#![forbid(unsafe_code)]

use super::{read_hash, remove_late};
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::elements::reply_element;
use crate::commands::key_specs;
use crate::encoding::listpack::Element;
use crate::resp::args::Args;
use crate::resp::reply::Reply;

/// `HGET`
pub(super) static HGET: Command = Command {
    name: "hget",
    full_name: "hget",
    summary: "Answers the value of a field.",
    since: "2.0.0",
    group: "hash",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::HASH).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("field", ArgKind::String)],
    handler: Some(hget),
    member_arg: 2,
    ..Command::BLANK
};

/// `HMGET`
pub(super) static HMGET: Command = Command {
    name: "hmget",
    full_name: "hmget",
    summary: "Answers the values of several fields.",
    since: "2.0.0",
    group: "hash",
    complexity: "O(N), N being the number of fields that are named",
    arity: -3,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::HASH).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("field", ArgKind::String).multiple()],
    handler: Some(hmget),
    member_arg: 2,
    ..Command::BLANK
};

/// `HGETALL`
pub(super) static HGETALL: Command = Command {
    name: "hgetall",
    full_name: "hgetall",
    summary: "Answers all fields of a hash and their values.",
    since: "2.0.0",
    group: "hash",
    complexity: "O(N), N being the fields of the hash",
    arity: 2,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::HASH).union(Categories::SLOW),
    tips: &["nondeterministic_output_order"],
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(hgetall),
    ..Command::BLANK
};

/// `HKEYS`
pub(super) static HKEYS: Command = Command {
    name: "hkeys",
    full_name: "hkeys",
    summary: "Answers all fields of a hash.",
    since: "2.0.0",
    group: "hash",
    complexity: "O(N), N being the fields of the hash",
    arity: 2,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::HASH).union(Categories::SLOW),
    tips: &["nondeterministic_output_order"],
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(hkeys),
    ..Command::BLANK
};

/// `HVALS`
pub(super) static HVALS: Command = Command {
    name: "hvals",
    full_name: "hvals",
    summary: "Answers all values of a hash.",
    since: "2.0.0",
    group: "hash",
    complexity: "O(N), N being the fields of the hash",
    arity: 2,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::HASH).union(Categories::SLOW),
    tips: &["nondeterministic_output_order"],
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(hvals),
    ..Command::BLANK
};

/// `HLEN`
pub(super) static HLEN: Command = Command {
    name: "hlen",
    full_name: "hlen",
    summary: "Counts the fields of a hash.",
    since: "2.0.0",
    group: "hash",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::HASH).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO)],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(hlen),
    ..Command::BLANK
};

/// `HEXISTS`
pub(super) static HEXISTS: Command = Command {
    name: "hexists",
    full_name: "hexists",
    summary: "Answers whether a hash has a field.",
    since: "2.0.0",
    group: "hash",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::HASH).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO)],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("field", ArgKind::String)],
    handler: Some(hexists),
    member_arg: 2,
    ..Command::BLANK
};

/// `HSTRLEN`
pub(super) static HSTRLEN: Command = Command {
    name: "hstrlen",
    full_name: "hstrlen",
    summary: "Counts the bytes of a field's value.",
    since: "3.2.0",
    group: "hash",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::HASH).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO)],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("field", ArgKind::String)],
    handler: Some(hstrlen),
    member_arg: 2,
    ..Command::BLANK
};

fn reply_value(reply: &mut Reply, value: Option<Element<'_>>) {
    match value {
        Some(value) => reply_element(reply, value),
        None => reply.null(),
    }
}

/// Removes the field that a command names and whose time is over.
#[cold]
fn drop_late(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let key = args.get(1);
    remove_late(ctx, key, ctx.first_key_hash, args.skip(2))?.settle(ctx, key);
    Ok(())
}

fn hget(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    let hash = read_hash(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    if hash.is_some_and(|hash| hash.has_over([args.get(2)], now_ms)) {
        drop_late(ctx, args)?;
        ctx.reply.null();
        return Ok(());
    }
    reply_value(ctx.reply, hash.as_ref().and_then(|hash| hash.get(args.get(2), now_ms)));
    Ok(())
}

fn hmget(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    let names = args.skip(2);
    let hash = read_hash(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    if hash.is_some_and(|hash| hash.has_over(names.iter(), now_ms)) {
        return hmget_late(ctx, args);
    }
    ctx.reply.array(names.len());
    names.iter().for_each(|name| reply_value(ctx.reply, hash.as_ref().and_then(|hash| hash.get(name, now_ms))));
    Ok(())
}

/// HMGET of fields some of whose time is over.
#[cold]
fn hmget_late(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (key, key_hash, now_ms, names) = (args.get(1), ctx.first_key_hash, ctx.now_ms(), args.skip(2));
    let late = remove_late(ctx, key, key_hash, names)?;
    if late.fields > 0 {
        ctx.signal_modified(key);
    }
    // As in Redis nobody hears of a field that was the only one there.
    if late.fields > usize::from(late.with_key) {
        late.announce(ctx, key);
    }
    ctx.reply.array(names.len());
    let now = ctx.state.keyspace.db(ctx.session.db).live(key, key_hash, now_ms);
    let hash = now.and_then(|entry| entry.as_hash().ok());
    names.iter().for_each(|name| reply_value(ctx.reply, hash.as_ref().and_then(|hash| hash.get(name, now_ms))));
    Ok(())
}

fn hgetall(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    let hash = read_hash(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    ctx.reply.map(hash.map_or(0, |hash| hash.live_len(now_ms)));
    if let Some(hash) = hash {
        hash.each(now_ms, |name, value| {
            reply_element(ctx.reply, name);
            reply_element(ctx.reply, value);
        });
    }
    Ok(())
}

fn hkeys(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    let hash = read_hash(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    ctx.reply.array(hash.map_or(0, |hash| hash.live_len(now_ms)));
    if let Some(hash) = hash {
        hash.each(now_ms, |name, _| reply_element(ctx.reply, name));
    }
    Ok(())
}

fn hvals(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    let hash = read_hash(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    ctx.reply.array(hash.map_or(0, |hash| hash.live_len(now_ms)));
    if let Some(hash) = hash {
        hash.each(now_ms, |_, value| reply_element(ctx.reply, value));
    }
    Ok(())
}

fn hlen(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let hash = read_hash(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    ctx.reply.integer(hash.map_or(0, |hash| hash.len()) as i64);
    Ok(())
}

fn hexists(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    let hash = read_hash(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    if hash.is_some_and(|hash| hash.has_over([args.get(2)], now_ms)) {
        drop_late(ctx, args)?;
        ctx.reply.integer(0);
        return Ok(());
    }
    ctx.reply.integer(i64::from(hash.is_some_and(|hash| hash.get(args.get(2), now_ms).is_some())));
    Ok(())
}

fn hstrlen(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    let hash = read_hash(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    if hash.is_some_and(|hash| hash.has_over([args.get(2)], now_ms)) {
        drop_late(ctx, args)?;
        ctx.reply.integer(0);
        return Ok(());
    }
    let value = hash.as_ref().and_then(|hash| hash.get(args.get(2), now_ms));
    ctx.reply.integer(value.map_or(0, |value| value.len()) as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::{replay, replay_resp3};

    #[test]
    fn fields_are_read() {
        replay(
            r#"
            > HSET k a 1 b xyz
            (integer) 2
            > HGET k b
            "xyz"
            > HGET k zz
            (nil)
            > HGET missing a
            (nil)
            > HMGET k b zz a
            1) "xyz"
            2) (nil)
            3) "1"
            > HMGET missing a
            1) (nil)
            > HKEYS k
            1) "a"
            2) "b"
            > HVALS k
            1) "1"
            2) "xyz"
            > HKEYS missing
            (empty array)
            > HGETALL missing
            (empty array)
            > HLEN k
            (integer) 2
            > HEXISTS k a
            (integer) 1
            > HEXISTS missing a
            (integer) 0
            > HSTRLEN k b
            (integer) 3
            > HSTRLEN k zz
            (integer) 0
            > TYPE k
            hash
            > SET s x
            OK
            > HGET s a
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > HMGET s a
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    }

    #[test]
    fn hashes_are_maps_in_resp3() {
        replay_resp3(
            r#"
            > HSET k a 1
            (integer) 1
            > HGETALL k
            1# "a" => "1"
            "#,
        );
    }
}
