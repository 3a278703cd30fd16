//! From one list to another: LMOVE, RPOPLPUSH.

#![forbid(unsafe_code)]

use super::{end_named, pop_event, push_event, removed};
use crate::command::context::Context;
use crate::command::error::{CommandError, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::elements::reply_element;
use crate::commands::key_specs;
use crate::commands::lookup;
use crate::config::KeyspaceEvents;
use crate::encoding::listpack::Element;
use crate::resp::args::Args;
use crate::types::list::{End, List};

/// `LMOVE`
pub(super) static LMOVE: Command = Command {
    name: "lmove",
    full_name: "lmove",
    summary: "Takes an element from an end of one list to an end of another.",
    since: "6.2.0",
    group: "list",
    complexity: "O(1)",
    arity: 5,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::SLOW),
    key_specs: &[
        key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE)),
        key_specs::one(2, KeyFlags::RW.union(KeyFlags::INSERT)),
    ],
    args: &[
        ArgSpec::key("source", 0),
        ArgSpec::key("destination", 1),
        ArgSpec::new("wherefrom", ArgKind::OneOf)
            .children(&[ArgSpec::pure_token("left", "LEFT"), ArgSpec::pure_token("right", "RIGHT")]),
        ArgSpec::new("whereto", ArgKind::OneOf)
            .children(&[ArgSpec::pure_token("left", "LEFT"), ArgSpec::pure_token("right", "RIGHT")]),
    ],
    handler: Some(lmove),
    ..Command::BLANK
};

/// `RPOPLPUSH`
pub(super) static RPOPLPUSH: Command = Command {
    name: "rpoplpush",
    full_name: "rpoplpush",
    summary: "Takes the last element of a list to the front of another.",
    since: "1.2.0",
    group: "list",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::LIST).union(Categories::SLOW),
    key_specs: &[
        key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE)),
        key_specs::one(2, KeyFlags::RW.union(KeyFlags::INSERT)),
    ],
    deprecated: Some(("6.2.0", "`LMOVE` with the words `RIGHT` and `LEFT`")),
    args: &[ArgSpec::key("source", 0), ArgSpec::key("destination", 1)],
    handler: Some(rpoplpush),
    ..Command::BLANK
};

/// From which end of the one to which end of the other.
#[derive(Clone, Copy)]
pub(super) struct Ends {
    pub(super) from: End,
    pub(super) to: End,
}

impl Ends {
    /// What RPOPLPUSH means.
    pub(super) const BACK_TO_FRONT: Ends = Ends { from: End::Back, to: End::Front };

    /// Two arguments.
    pub(super) fn read(args: Args<'_>, first: usize) -> Result<Ends, CommandError> {
        let end = |index| end_named(args.get(index)).ok_or(SYNTAX);
        Ok(Ends { from: end(first)?, to: end(first + 1)? })
    }
}

fn lmove(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let ends = Ends::read(args, 3)?;
    if !transfer(ctx, args, ends)? {
        ctx.reply.null();
    }
    Ok(())
}

fn rpoplpush(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    if !transfer(ctx, args, Ends::BACK_TO_FRONT)? {
        ctx.reply.null();
    }
    Ok(())
}

/// Moves an element from the list that the first argument names to the one that the second does, and answers it. Returns
/// whether there was one.
pub(super) fn transfer(ctx: &mut Context<'_>, args: Args<'_>, ends: Ends) -> Result<bool, CommandError> {
    let (from, to, db) = (args.get(1), args.get(2), ctx.session.db);
    let (from_hash, to_hash) = (ctx.first_key_hash, ctx.state.keyspace.hash(to));
    let limits = ctx.state.list_limits();
    if lookup::hold::<List>(ctx.state, db, from, from_hash)?.is_none() {
        return Ok(false);
    }
    lookup::hold::<List>(ctx.state, db, to, to_hash)?;
    let Some(mut source) = lookup::hold::<List>(ctx.state, db, from, from_hash)? else { return Ok(false) };
    let Some(text) = source.pop(ends.from, |element| element.to_vec()) else { return Ok(false) };
    if from != to {
        source.shrink(limits);
    }
    drop(source);
    let mut target = lookup::hold_or_new(ctx.state, db, to, to_hash, List::default)?;
    let is_new = target.is_empty() && from != to;
    target.make_room([&text[..]].into_iter(), limits);
    target.push(ends.to, &text);
    drop(target);
    ctx.stored(is_new, KeyspaceEvents::LIST, push_event(ends.to), to);
    reply_element(ctx.reply, Element::of(&text));
    let empty = lookup::hold::<List>(ctx.state, db, from, from_hash)?.is_some_and(|mut source| {
        source.shrink(limits);
        source.is_empty()
    });
    removed(ctx, from, from_hash, empty, pop_event(ends.from));
    ctx.state.stats.dirty += 1;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn elements_move() {
        replay(
            r#"
            > RPUSH a 1 2 3
            (integer) 3
            > LMOVE a b LEFT RIGHT
            "1"
            > LMOVE a b right left
            "3"
            > LRANGE b 0 -1
            1) "3"
            2) "1"
            > RPOPLPUSH b b
            "1"
            > LRANGE b 0 -1
            1) "1"
            2) "3"
            > RPOPLPUSH a b
            "2"
            > EXISTS a
            (integer) 0
            > RPOPLPUSH a b
            (nil)
            > LMOVE a b UP LEFT
            (error) ERR syntax error
            > SET s 1
            OK
            > LMOVE b s LEFT LEFT
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > LMOVE a s LEFT LEFT
            (nil)
            > LLEN b
            (integer) 3
            > RPUSH one x
            (integer) 1
            > LMOVE one one LEFT RIGHT
            "x"
            > LRANGE one 0 -1
            1) "x"
            "#,
        );
    }
}
