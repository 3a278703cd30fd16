//! Waiting for members: BZPOPMIN, BZPOPMAX, BZMPOP. Where there is nothing to take, the client is blocked on its keys and
//! the same command runs again once one of them holds a sorted set. Main thread.

#![forbid(unsafe_code)]

use super::pop::{Shape, highest_named, take};
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::keys::find_counted;
use crate::command::spec::{ArgKind, ArgSpec, Begin, Categories, Command, Find, Flags, KeyFlags, KeySpec};
use crate::commands::key_specs;
use crate::commands::lookup;
use crate::commands::many_keys::ManyKeys;
use crate::commands::waiting::{timeout_ms, wait_for_keys};
use crate::resp::args::Args;
use crate::types::sorted_set::SortedSet;

/// `BZPOPMIN`
pub(super) static BZPOPMIN: Command = Command {
    name: "bzpopmin",
    full_name: "bzpopmin",
    summary: "Takes the member with the lowest score out of the first sorted set that has any; waits for one where none has.",
    since: "5.0.0",
    group: "sorted-set",
    complexity: "O(log(N)), N being the members of the sorted set",
    arity: -3,
    flags: Flags::WRITE.union(Flags::BLOCKING).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::SORTEDSET).union(Categories::FAST).union(Categories::BLOCKING),
    key_specs: &[KeySpec {
        flags: KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE),
        begin: Begin::Index(1),
        find: Find::Range { last: -2, step: 1, limit: 0 },
        notes: None,
    }],
    history: &[("6.0.0", "The timeout may have a fraction.")],
    args: &[ArgSpec::key("key", 0).multiple(), ArgSpec::new("timeout", ArgKind::Double)],
    handler: Some(bzpopmin),
    ..Command::BLANK
};

/// `BZPOPMAX`
pub(super) static BZPOPMAX: Command = Command {
    name: "bzpopmax",
    full_name: "bzpopmax",
    summary: "Takes the member with the highest score out of the first sorted set that has any; waits for one where none has.",
    since: "5.0.0",
    group: "sorted-set",
    complexity: "O(log(N)), N being the members of the sorted set",
    arity: -3,
    flags: Flags::WRITE.union(Flags::BLOCKING).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::SORTEDSET).union(Categories::FAST).union(Categories::BLOCKING),
    key_specs: &[KeySpec {
        flags: KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE),
        begin: Begin::Index(1),
        find: Find::Range { last: -2, step: 1, limit: 0 },
        notes: None,
    }],
    history: &[("6.0.0", "The timeout may have a fraction.")],
    args: &[ArgSpec::key("key", 0).multiple(), ArgSpec::new("timeout", ArgKind::Double)],
    handler: Some(bzpopmax),
    ..Command::BLANK
};

/// `BZMPOP`
pub(super) static BZMPOP: Command = Command {
    name: "bzmpop",
    full_name: "bzmpop",
    summary: "Takes members out of the first sorted set that has any; waits for one where none has.",
    since: "7.0.0",
    group: "sorted-set",
    complexity: "O(K)+O(M*log(N)), K being the number of keys, N the members of the sorted set, M those taken",
    arity: -5,
    flags: Flags::WRITE.union(Flags::BLOCKING).union(Flags::MOVABLEKEYS),
    categories: Categories::WRITE.union(Categories::SORTEDSET).union(Categories::SLOW).union(Categories::BLOCKING),
    key_specs: &[key_specs::counted(2, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))],
    key_finder: Some(find_counted::<0, 2>),
    args: &[
        ArgSpec::new("timeout", ArgKind::Double),
        ArgSpec::new("numkeys", ArgKind::Integer),
        ArgSpec::key("key", 0).multiple(),
        ArgSpec::new("where", ArgKind::OneOf)
            .children(&[ArgSpec::pure_token("min", "MIN"), ArgSpec::pure_token("max", "MAX")]),
        ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
    ],
    handler: Some(bzmpop),
    ..Command::BLANK
};

fn bzpopmin(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    pop_first(ctx, args, false)
}

fn bzpopmax(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    pop_first(ctx, args, true)
}

fn pop_first(ctx: &mut Context<'_>, args: Args<'_>, highest: bool) -> Result<(), CommandError> {
    let keys = 1..args.len() - 1;
    let timeout_ms = timeout_ms(args.get(keys.end), ctx.now_ms())?;
    for index in keys.clone() {
        let key = args.get(index);
        let hash = ctx.state.keyspace.hash(key);
        if lookup::hold::<SortedSet>(ctx.state, ctx.session.db, key, hash)?.is_some() {
            ctx.reply.array(3);
            ctx.reply.bulk(key);
            return take(ctx, key, hash, highest, 1, Shape::Flat);
        }
    }
    if !wait_for_keys(ctx, args, keys, timeout_ms) {
        ctx.reply.null_array();
    }
    Ok(())
}

fn bzmpop(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let wanted = ManyKeys::read(args, 2, highest_named)?;
    let timeout_ms = timeout_ms(args.get(1), ctx.now_ms())?;
    if !wanted.take(ctx, args)? && !wait_for_keys(ctx, args, wanted.keys.clone(), timeout_ms) {
        ctx.reply.null_array();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;
    use crate::engine::Engine;

    #[test]
    fn what_is_there_is_taken_at_once() {
        replay(
            r#"
            > ZADD z 1 a 2 b 3 c 4 d
            (integer) 4
            > BZPOPMIN missing z 0
            1) "z"
            2) "a"
            3) "1"
            > BZPOPMAX z 1.5
            1) "z"
            2) "d"
            3) "4"
            > BZMPOP 0 1 z MAX COUNT 9
            1) "z"
            2) 1) 1) "c"
                  2) "3"
               2) 1) "b"
                  2) "2"
            > EXISTS z
            (integer) 0
            > BZPOPMIN z x
            (error) ERR timeout is not a float or out of range
            > MULTI
            OK
            > BZPOPMIN z 0
            QUEUED
            > EXEC
            1) (nil)
            "#,
        );
    }

    #[test]
    fn a_list_serves_nobody_who_waits_for_a_sorted_set() {
        let mut engine = Engine::for_console();
        let [one, two, writer] = [0, 1, 2].map(|slot| engine.connect(slot));
        engine.run_in(one, &["BZPOPMIN", "k", "0"]);
        engine.run_in(two, &["BLPOP", "k", "0"]);
        engine.run_in(writer, &["RPUSH", "k", "x"]);
        let effects = engine.state.effects.take();
        assert_eq!(
            (effects.outbox.bytes(), &effects.unblocked[..]),
            (&b"*2\r\n$1\r\nk\r\n$1\r\nx\r\n"[..], &[two][..])
        );
        engine.run_in(writer, &["ZADD", "k", "1", "m"]);
        let effects = engine.state.effects.take();
        let wanted = &b"*3\r\n$1\r\nk\r\n$1\r\nm\r\n$1\r\n1\r\n"[..];
        assert_eq!((effects.outbox.bytes(), &effects.unblocked[..]), (wanted, &[one][..]));
    }
}
