//! HOT PATH. Commands over many whole strings: MGET, MSET, MSETNX.

#![forbid(unsafe_code)]

use super::{argument_value, reply_string};
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::{key_specs, lookup};
use crate::config::KeyspaceEvents;
use crate::keyspace::SetExpire;
use crate::resp::args::Args;

/// `MGET`
pub(super) static MGET: Command = Command {
    name: "mget",
    full_name: "mget",
    summary: "Answers the strings stored at several keys in one step.",
    since: "1.0.0",
    group: "string",
    complexity: "O(N), N being the number of keys",
    arity: -2,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::STRING).union(Categories::FAST),
    tips: &["request_policy:multi_shard"],
    key_specs: &[key_specs::rest(1, 1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0).multiple()],
    handler: Some(mget),
    ..Command::BLANK
};

/// `MSET`
pub(super) static MSET: Command = Command {
    name: "mset",
    full_name: "mset",
    summary: "Stores strings at several keys in one step.",
    since: "1.0.1",
    group: "string",
    complexity: "O(N), N being the number of keys",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::STRING).union(Categories::SLOW),
    tips: &["request_policy:multi_shard", "response_policy:all_succeeded"],
    key_specs: &[key_specs::rest(1, 2, KeyFlags::OW.union(KeyFlags::UPDATE))],
    args: &[ArgSpec::new("data", ArgKind::Block)
        .multiple()
        .children(&[ArgSpec::key("key", 0), ArgSpec::new("value", ArgKind::String)])],
    handler: Some(mset),
    ..Command::BLANK
};

/// `MSETNX`
pub(super) static MSETNX: Command = Command {
    name: "msetnx",
    full_name: "msetnx",
    summary: "Stores strings at several keys in one step, unless one of the keys exists already.",
    since: "1.0.1",
    group: "string",
    complexity: "O(N), N being the number of keys",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::STRING).union(Categories::SLOW),
    key_specs: &[key_specs::rest(1, 2, KeyFlags::OW.union(KeyFlags::INSERT))],
    args: &[ArgSpec::new("data", ArgKind::Block)
        .multiple()
        .children(&[ArgSpec::key("key", 0), ArgSpec::new("value", ArgKind::String)])],
    handler: Some(msetnx),
    ..Command::BLANK
};

fn mget(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.array(args.len() - 1);
    lookup::each_key(ctx, args, 1, |ctx, index, hash| {
        let found = lookup::read(ctx.state, ctx.session, args.get(index), hash);
        // A value of another type is answered like a missing one.
        if found.is_none_or(|entry| reply_string(ctx.reply, entry).is_err()) {
            ctx.reply.null();
        }
        true
    });
    Ok(())
}

fn mset(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    check_pairs(ctx, args)?;
    store_pairs(ctx, args);
    ctx.reply.ok();
    Ok(())
}

fn msetnx(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    check_pairs(ctx, args)?;
    let now_ms = ctx.now_ms();
    let mut free = true;
    lookup::each_key(ctx, args, 2, |ctx, index, hash| {
        free = ctx.db().get(args.get(index), hash, now_ms).is_none();
        free
    });
    if free {
        store_pairs(ctx, args);
    }
    ctx.reply.integer(i64::from(free));
    Ok(())
}

/// Keys and values come in pairs.
fn check_pairs(ctx: &Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    if args.len() % 2 == 1 { Ok(()) } else { Err(CommandError::arity(ctx.command.full_name)) }
}

fn store_pairs(ctx: &mut Context<'_>, args: Args<'_>) {
    let now_ms = ctx.now_ms();
    lookup::each_key(ctx, args, 2, |ctx, index, hash| {
        let key = args.get(index);
        let existed = ctx.db().set(key, hash, argument_value(args, index + 1), SetExpire::Clear, now_ms);
        ctx.stored(!existed, KeyspaceEvents::STRING, "set", key);
        ctx.state.stats.dirty += 1;
        true
    });
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn mget_answers_in_order() {
        replay(
            r#"
            > MSET a 1 b two
            OK
            > MGET a missing b a
            1) "1"
            2) (nil)
            3) "two"
            4) "1"
            "#,
        );
    }

    #[test]
    fn mset_stores_the_last_of_two() {
        replay(
            r#"
            > MSET a 1 a 2
            OK
            > GET a
            "2"
            > MSET a 1 b
            (error) ERR wrong number of arguments for 'mset' command
            > SET a x EX 100
            OK
            > MSET a y
            OK
            > TTL a
            (integer) -1
            "#,
        );
    }

    #[test]
    fn msetnx_stores_all_or_nothing() {
        replay(
            r#"
            > MSETNX a 1 b 2
            (integer) 1
            > MSETNX b 3 c 4
            (integer) 0
            > MGET a b c
            1) "1"
            2) "2"
            3) (nil)
            > MSETNX d 1 d 2
            (integer) 1
            > GET d
            "2"
            > MSETNX e 1 f
            (error) ERR wrong number of arguments for 'msetnx' command
            "#,
        );
    }
}
