//! Giving keys other names: RENAME, RENAMENX.

#![forbid(unsafe_code)]

use crate::command::context::Context;
use crate::command::error::{CommandError, NO_SUCH_KEY};
use crate::command::spec::{ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;

/// `RENAME`
pub(super) static RENAME: Command = Command {
    name: "rename",
    full_name: "rename",
    summary: "Gives a key another name, replacing what had that name.",
    since: "1.0.0",
    group: "generic",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::WRITE,
    categories: Categories::KEYSPACE.union(Categories::WRITE).union(Categories::SLOW),
    key_specs: &[
        key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE)),
        key_specs::one(2, KeyFlags::OW.union(KeyFlags::UPDATE)),
    ],
    args: &[ArgSpec::key("key", 0), ArgSpec::key("newkey", 1)],
    handler: Some(rename),
    ..Command::BLANK
};

/// `RENAMENX`
pub(super) static RENAMENX: Command = Command {
    name: "renamenx",
    full_name: "renamenx",
    summary: "Gives a key another name, unless that name is taken.",
    since: "1.0.0",
    group: "generic",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::KEYSPACE.union(Categories::WRITE).union(Categories::FAST),
    key_specs: &[
        key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE)),
        key_specs::one(2, KeyFlags::OW.union(KeyFlags::INSERT)),
    ],
    history: &[("3.2.0", "Answers 0 instead of an error when both names are the same.")],
    args: &[ArgSpec::key("key", 0), ArgSpec::key("newkey", 1)],
    handler: Some(renamenx),
    ..Command::BLANK
};

fn rename(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    move_key(ctx, args, true)?;
    ctx.reply.ok();
    Ok(())
}

fn renamenx(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let moved = move_key(ctx, args, false)?;
    ctx.reply.integer(i64::from(moved));
    Ok(())
}

/// Moves value and expiry time from the first key to the second; whether it did. Nothing happens when both names are
/// the same, or when the second is taken and must not be replaced.
fn move_key(ctx: &mut Context<'_>, args: Args<'_>, replace: bool) -> Result<bool, CommandError> {
    let (from, to, from_hash, now_ms) = (args.get(1), args.get(2), ctx.first_key_hash, ctx.now_ms());
    if ctx.db().get(from, from_hash, now_ms).is_none() {
        return Err(NO_SUCH_KEY);
    }
    if from == to {
        return Ok(false);
    }
    let to_hash = ctx.db().hash(to);
    // An expired key under the new name goes as expired, not as replaced.
    let taken = ctx.db().exists(to, to_hash, now_ms);
    if taken && !replace {
        return Ok(false);
    }
    ctx.db().rename((from, from_hash), (to, to_hash), now_ms);
    ctx.announce(KeyspaceEvents::NEW, "new", to);
    ctx.signal_modified(from);
    ctx.signal_modified(to);
    ctx.announce(KeyspaceEvents::GENERIC, "rename_from", from);
    ctx.announce(KeyspaceEvents::GENERIC, "rename_to", to);
    ctx.state.stats.dirty += 1;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn rename_moves_value_and_expiry_time() {
        replay(
            r#"
            > SET a 1 EX 100
            OK
            > SET b 2
            OK
            > RENAME a b
            OK
            > GET b
            "1"
            > TTL b
            (integer) 100
            > EXISTS a
            (integer) 0
            > SET c 3
            OK
            > RENAME c b
            OK
            > TTL b
            (integer) -1
            "#,
        );
    }

    #[test]
    fn renamenx_leaves_what_is_there() {
        replay(
            r#"
            > MSET a 1 b 2
            OK
            > RENAMENX a b
            (integer) 0
            > RENAMENX a c
            (integer) 1
            > MGET a b c
            1) (nil)
            2) "2"
            3) "1"
            "#,
        );
    }

    #[test]
    fn the_same_name_twice() {
        replay(
            r#"
            > SET a 1
            OK
            > RENAME a a
            OK
            > RENAMENX a a
            (integer) 0
            > RENAME missing missing
            (error) ERR no such key
            > RENAMENX missing a
            (error) ERR no such key
            > RENAME missing a
            (error) ERR no such key
            "#,
        );
    }

    #[test]
    fn an_expired_key_gives_way() {
        replay(
            r#"
            > SET a 1
            OK
            > SET b 2 PXAT 1
            OK
            > RENAMENX a b
            (integer) 1
            > GET b
            "1"
            > SET c 3 PXAT 1
            OK
            > RENAME c b
            (error) ERR no such key
            > GET b
            "1"
            "#,
        );
    }
}
