//! HOT PATH. Whether keys are there, and making them go: DEL, UNLINK, EXISTS, TOUCH, TYPE.

#![forbid(unsafe_code)]

use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::{key_specs, lookup};
use crate::config::KeyspaceEvents;
use crate::keyspace::Garbage;
use crate::resp::args::Args;

/// `DEL`
pub(super) static DEL: Command = Command {
    name: "del",
    full_name: "del",
    summary: "Removes keys.",
    since: "1.0.0",
    group: "generic",
    complexity: "O(N), N being the number of keys: O(1) for a string, O(M) for a collection of M elements.",
    arity: -2,
    flags: Flags::WRITE,
    categories: Categories::KEYSPACE.union(Categories::WRITE).union(Categories::SLOW),
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    key_specs: &[key_specs::rest(1, 1, KeyFlags::RM.union(KeyFlags::DELETE))],
    args: &[ArgSpec::key("key", 0).multiple()],
    handler: Some(del),
    ..Command::BLANK
};

/// `UNLINK`
pub(super) static UNLINK: Command = Command {
    name: "unlink",
    full_name: "unlink",
    summary: "Removes keys and leaves the freeing of their memory for later.",
    since: "4.0.0",
    group: "generic",
    complexity: "O(1) for each key; O(N) for the freeing that happens later, N being the elements of the value.",
    arity: -2,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::KEYSPACE.union(Categories::WRITE).union(Categories::FAST),
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    key_specs: &[key_specs::rest(1, 1, KeyFlags::RM.union(KeyFlags::DELETE))],
    args: &[ArgSpec::key("key", 0).multiple()],
    handler: Some(unlink),
    ..Command::BLANK
};

/// `EXISTS`
pub(super) static EXISTS: Command = Command {
    name: "exists",
    full_name: "exists",
    summary: "Counts how many of the given keys exist.",
    since: "1.0.0",
    group: "generic",
    complexity: "O(N), N being the number of keys",
    arity: -2,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::KEYSPACE.union(Categories::READ).union(Categories::FAST),
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    key_specs: &[key_specs::rest(1, 1, KeyFlags::RO)],
    history: &[("3.0.3", "Takes several keys.")],
    args: &[ArgSpec::key("key", 0).multiple()],
    handler: Some(exists),
    ..Command::BLANK
};

/// `TOUCH`
pub(super) static TOUCH: Command = Command {
    name: "touch",
    full_name: "touch",
    summary: "Counts how many of the given keys exist, and marks them as just used.",
    since: "3.2.1",
    group: "generic",
    complexity: "O(N), N being the number of keys",
    arity: -2,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::KEYSPACE.union(Categories::READ).union(Categories::FAST),
    tips: &["request_policy:multi_shard", "response_policy:agg_sum"],
    key_specs: &[key_specs::rest(1, 1, KeyFlags::RO)],
    args: &[ArgSpec::key("key", 0).multiple()],
    handler: Some(touch),
    ..Command::BLANK
};

/// `TYPE`
pub(super) static TYPE: Command = Command {
    name: "type",
    full_name: "type",
    summary: "Names the type of the value at a key.",
    since: "1.0.0",
    group: "generic",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::KEYSPACE.union(Categories::READ).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO)],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(type_name),
    ..Command::BLANK
};

fn del(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let lazy = ctx.state.config.lazyfree_lazy_user_del;
    remove(ctx, args, lazy)
}

fn unlink(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    remove(ctx, args, true)
}

fn remove(ctx: &mut Context<'_>, args: Args<'_>, lazy: bool) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    let mut removed = 0;
    let mut garbage = Garbage::default();
    lookup::each_key(ctx, args, 1, |ctx, index, hash| {
        let key = args.get(index);
        if let Some(entry) = ctx.db().take(key, hash, now_ms) {
            if lazy {
                garbage.take_in(entry);
            }
            ctx.signal_modified(key);
            ctx.announce(KeyspaceEvents::GENERIC, "del", key);
            ctx.state.stats.dirty += 1;
            removed += 1;
        }
        true
    });
    ctx.state.discard_garbage(garbage);
    ctx.reply.integer(removed);
    Ok(())
}

/// A key that is named twice counts twice.
fn exists(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let mut found = 0;
    lookup::each_key(ctx, args, 1, |ctx, index, hash| {
        found += i64::from(lookup::ask(ctx.state, ctx.session, args.get(index), hash).is_some());
        true
    });
    ctx.reply.integer(found);
    Ok(())
}

/// As EXISTS, but a use of each key, even by a client whose other commands are none.
fn touch(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let muted = ctx.state.keyspace.mute_access(false);
    let mut found = 0;
    lookup::each_key(ctx, args, 1, |ctx, index, hash| {
        found += i64::from(lookup::read(ctx.state, ctx.session, args.get(index), hash).is_some());
        true
    });
    ctx.state.keyspace.mute_access(muted);
    ctx.reply.integer(found);
    Ok(())
}

fn type_name(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let found = lookup::ask(ctx.state, ctx.session, args.get(1), ctx.first_key_hash);
    ctx.reply.status(found.map_or("none", |entry| entry.type_name()));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn keys_go() {
        replay(
            r#"
            > MSET a 1 b 2 c 3
            OK
            > DEL a missing b b
            (integer) 2
            > UNLINK c c
            (integer) 1
            > DBSIZE
            (integer) 0
            > DEL
            (error) ERR wrong number of arguments for 'del' command
            "#,
        );
    }

    #[test]
    fn keys_are_counted_as_often_as_they_are_named() {
        replay(
            r#"
            > SET a 1
            OK
            > EXISTS a missing a
            (integer) 2
            > TOUCH a a missing
            (integer) 2
            "#,
        );
    }

    #[test]
    fn type_names() {
        replay(
            r#"
            > SET a 1
            OK
            > TYPE a
            string
            > TYPE missing
            none
            "#,
        );
    }
}
