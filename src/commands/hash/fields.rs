//! HOT PATH. Setting and removing fields: HSET, HMSET, HSETNX, HDEL.

#![forbid(unsafe_code)]

use super::{hash_or_new, remove_late, remove_named, removed};
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::commands::lookup;
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;
use crate::types::hash::Hash;

/// `HSET`
pub(super) static HSET: Command = Command {
    name: "hset",
    full_name: "hset",
    summary: "Sets the values of fields.",
    since: "2.0.0",
    group: "hash",
    complexity: "O(1) for each field; O(N) for N of them",
    arity: -4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::HASH).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    history: &[("4.0.0", "Takes several fields.")],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("data", ArgKind::Block)
            .multiple()
            .children(&[ArgSpec::new("field", ArgKind::String), ArgSpec::new("value", ArgKind::String)]),
    ],
    handler: Some(hset),
    member_arg: 2,
    ..Command::BLANK
};

/// `HMSET`
pub(super) static HMSET: Command = Command {
    name: "hmset",
    full_name: "hmset",
    summary: "Sets the values of several fields.",
    since: "2.0.0",
    group: "hash",
    complexity: "O(N), N being the number of fields that are named",
    arity: -4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::HASH).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    deprecated: Some(("4.0.0", "`HSET` with several fields")),
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("data", ArgKind::Block)
            .multiple()
            .children(&[ArgSpec::new("field", ArgKind::String), ArgSpec::new("value", ArgKind::String)]),
    ],
    handler: Some(hmset),
    member_arg: 2,
    ..Command::BLANK
};

/// `HSETNX`
pub(super) static HSETNX: Command = Command {
    name: "hsetnx",
    full_name: "hsetnx",
    summary: "Sets the value of a field that is not there yet.",
    since: "2.0.0",
    group: "hash",
    complexity: "O(1)",
    arity: 4,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::HASH).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::INSERT))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("field", ArgKind::String), ArgSpec::new("value", ArgKind::String)],
    handler: Some(hsetnx),
    member_arg: 2,
    ..Command::BLANK
};

/// `HDEL`
pub(super) static HDEL: Command = Command {
    name: "hdel",
    full_name: "hdel",
    summary: "Removes fields from a hash.",
    since: "2.0.0",
    group: "hash",
    complexity: "O(N), N being the number of fields that are named",
    arity: -3,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::HASH).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::DELETE))],
    history: &[("2.4.0", "Takes several fields.")],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("field", ArgKind::String).multiple()],
    handler: Some(hdel),
    member_arg: 2,
    ..Command::BLANK
};

fn hset(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let new = set_pairs(ctx, args)?;
    ctx.reply.integer(new as i64);
    Ok(())
}

fn hmset(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    set_pairs(ctx, args)?;
    ctx.reply.ok();
    Ok(())
}

/// Sets fields and values, which come in turns. Returns how many fields are new.
fn set_pairs(ctx: &mut Context<'_>, args: Args<'_>) -> Result<usize, CommandError> {
    if args.len() % 2 == 1 {
        return Err(CommandError::arity(ctx.command.full_name));
    }
    let limits = ctx.state.hash_limits();
    let texts = args.skip(2);
    let mut hash = hash_or_new(ctx.state, ctx.session.db, args.get(1), ctx.first_key_hash)?;
    let is_new = hash.is_empty();
    hash.make_room(texts.iter(), &limits);
    let pairs = (0..texts.len()).step_by(2);
    let new = pairs.filter(|&index| hash.set(texts.get(index), texts.get(index + 1), &limits)).count();
    drop(hash);
    ctx.stored(is_new, KeyspaceEvents::HASH, "hset", args.get(1));
    ctx.state.stats.dirty += texts.len() as u64 / 2;
    Ok(new)
}

fn hsetnx(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let limits = ctx.state.hash_limits();
    let now_ms = ctx.now_ms();
    let (key, key_hash, names) = (args.get(1), ctx.first_key_hash, args.skip(2).first(1));
    let mut hash = hash_or_new(ctx.state, ctx.session.db, key, key_hash)?;
    if hash.has_over(names.iter(), now_ms) {
        drop(hash);
        remove_late(ctx, key, key_hash, names)?.settle(ctx, key);
        hash = hash_or_new(ctx.state, ctx.session.db, key, key_hash)?;
    }
    if hash.get(args.get(2), now_ms).is_some() {
        ctx.reply.integer(0);
        return Ok(());
    }
    let is_new = hash.is_empty();
    hash.make_room([args.get(2), args.get(3)].into_iter(), &limits);
    hash.set(args.get(2), args.get(3), &limits);
    drop(hash);
    ctx.stored(is_new, KeyspaceEvents::HASH, "hset", args.get(1));
    ctx.state.stats.dirty += 1;
    ctx.reply.integer(1);
    Ok(())
}

fn hdel(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (key, key_hash) = (args.get(1), ctx.first_key_hash);
    let Some(mut hash) = lookup::hold::<Hash>(ctx.state, ctx.session.db, key, key_hash)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let (gone, (before, after)) = remove_named(&mut hash, args.skip(2).iter());
    let empty = hash.is_empty();
    drop(hash);
    ctx.db().relist(key_hash, before, after);
    if gone > 0 {
        removed(ctx, key, key_hash, empty, "hdel");
        ctx.state.stats.dirty += gone as u64;
    }
    ctx.reply.integer(gone as i64);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn fields_come_and_go() {
        replay(
            r#"
            > HSET k a 1 b 2 a 3
            (integer) 2
            > HMSET k c x
            OK
            > HGETALL k
            1) "a"
            2) "3"
            3) "b"
            4) "2"
            5) "c"
            6) "x"
            > HSETNX k a 9
            (integer) 0
            > HSETNX k d 9
            (integer) 1
            > HDEL k a zz d
            (integer) 2
            > HDEL k b c
            (integer) 2
            > EXISTS k
            (integer) 0
            > HDEL k a
            (integer) 0
            > HSET k a
            (error) ERR wrong number of arguments for 'hset' command
            > HSET k a 1 b
            (error) ERR wrong number of arguments for 'hset' command
            > HMSET k a 1 b
            (error) ERR wrong number of arguments for 'hmset' command
            > SET s x
            OK
            > HSET s a 1
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > HDEL s a
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            "#,
        );
    }

    #[test]
    fn the_encoding_follows_the_configuration() {
        replay(
            r#"
            > CONFIG SET hash-max-listpack-entries 2 hash-max-listpack-value 4
            OK
            > HSET k a 1 b 2
            (integer) 2
            > OBJECT ENCODING k
            "listpack"
            > HSET k c 3
            (integer) 1
            > OBJECT ENCODING k
            "hashtable"
            > HGET k a
            "1"
            > HSET l a abcde
            (integer) 1
            > OBJECT ENCODING l
            "hashtable"
            > HSET m a abcd
            (integer) 1
            > OBJECT ENCODING m
            "listpack"
            > HINCRBYFLOAT m a2 1.25678
            "1.25678"
            > OBJECT ENCODING m
            "hashtable"
            "#,
        );
    }
}
