//! HOT PATH. Single members: SADD, SREM, SCARD, SMEMBERS, SISMEMBER, SMISMEMBER, SMOVE.

#![forbid(unsafe_code)]

use super::{read_set, removed};
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::elements::reply_element;
use crate::commands::key_specs;
use crate::commands::lookup;
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;
use crate::types::set::Set;

/// `SADD`
pub(super) static SADD: Command = Command {
    name: "sadd",
    full_name: "sadd",
    summary: "Adds members to a set.",
    since: "1.0.0",
    group: "set",
    complexity: "O(1) for each member; O(N) for N of them",
    arity: -3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::SET).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::INSERT))],
    history: &[("2.4.0", "Takes several members.")],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("member", ArgKind::String).multiple()],
    handler: Some(sadd),
    member_arg: 2,
    ..Command::BLANK
};

/// `SREM`
pub(super) static SREM: Command = Command {
    name: "srem",
    full_name: "srem",
    summary: "Removes members from a set.",
    since: "1.0.0",
    group: "set",
    complexity: "O(N), N being the number of members that are named",
    arity: -3,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::SET).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::DELETE))],
    history: &[("2.4.0", "Takes several members.")],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("member", ArgKind::String).multiple()],
    handler: Some(srem),
    member_arg: 2,
    ..Command::BLANK
};

/// `SCARD`
pub(super) static SCARD: Command = Command {
    name: "scard",
    full_name: "scard",
    summary: "Counts the members of a set.",
    since: "1.0.0",
    group: "set",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::SET).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO)],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(scard),
    ..Command::BLANK
};

/// `SMEMBERS`
pub(super) static SMEMBERS: Command = Command {
    name: "smembers",
    full_name: "smembers",
    summary: "Answers all members of a set.",
    since: "1.0.0",
    group: "set",
    complexity: "O(N), N being the members of the set",
    arity: 2,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::SET).union(Categories::SLOW),
    tips: &["nondeterministic_output_order"],
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(smembers),
    ..Command::BLANK
};

/// `SISMEMBER`
pub(super) static SISMEMBER: Command = Command {
    name: "sismember",
    full_name: "sismember",
    summary: "Answers whether something is a member of a set.",
    since: "1.0.0",
    group: "set",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::SET).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO)],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("member", ArgKind::String)],
    handler: Some(sismember),
    member_arg: 2,
    ..Command::BLANK
};

/// `SMISMEMBER`
pub(super) static SMISMEMBER: Command = Command {
    name: "smismember",
    full_name: "smismember",
    summary: "Answers of each of several texts whether it is a member of a set.",
    since: "6.2.0",
    group: "set",
    complexity: "O(N), N being the number of texts",
    arity: -3,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::SET).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("member", ArgKind::String).multiple()],
    handler: Some(smismember),
    member_arg: 2,
    ..Command::BLANK
};

/// `SMOVE`
pub(super) static SMOVE: Command = Command {
    name: "smove",
    full_name: "smove",
    summary: "Takes a member from one set to another.",
    since: "1.0.0",
    group: "set",
    complexity: "O(1)",
    arity: 4,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::SET).union(Categories::FAST),
    key_specs: &[
        key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE)),
        key_specs::one(2, KeyFlags::RW.union(KeyFlags::INSERT)),
    ],
    args: &[ArgSpec::key("source", 0), ArgSpec::key("destination", 1), ArgSpec::new("member", ArgKind::String)],
    handler: Some(smove),
    member_arg: 3,
    ..Command::BLANK
};

fn sadd(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (key, hash) = (args.get(1), ctx.first_key_hash);
    let limits = ctx.state.set_limits();
    let texts = args.skip(2);
    let new = || Set::for_member(texts.get(0), texts.len(), &limits);
    let mut set = lookup::hold_or_new(ctx.state, ctx.session.db, key, hash, new)?;
    let is_new = set.is_empty();
    set.make_room(texts.len(), &limits);
    let added = texts.iter().filter(|text| set.add(text, &limits)).count();
    drop(set);
    if added > 0 {
        ctx.stored(is_new, KeyspaceEvents::SET, "sadd", key);
        ctx.state.stats.dirty += added as u64;
    }
    ctx.reply.integer(added as i64);
    Ok(())
}

fn srem(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (key, hash) = (args.get(1), ctx.first_key_hash);
    let Some(mut set) = lookup::hold::<Set>(ctx.state, ctx.session.db, key, hash)? else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let gone = args.skip(2).iter().filter(|text| set.remove(text)).count();
    let empty = set.is_empty();
    drop(set);
    if gone > 0 {
        ctx.signal_modified(key);
        removed(ctx, key, hash, empty, "srem");
        ctx.state.stats.dirty += gone as u64;
    }
    ctx.reply.integer(gone as i64);
    Ok(())
}

fn scard(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let set = read_set(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    ctx.reply.integer(set.map_or(0, |set| set.len()) as i64);
    Ok(())
}

fn smembers(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let set = read_set(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    ctx.reply.set(set.map_or(0, |set| set.len()));
    if let Some(set) = set {
        set.each(|member| reply_element(ctx.reply, member));
    }
    Ok(())
}

fn sismember(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let set = read_set(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    ctx.reply.integer(i64::from(set.is_some_and(|set| set.contains(args.get(2)))));
    Ok(())
}

fn smismember(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let set = read_set(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    let texts = args.skip(2);
    ctx.reply.array(texts.len());
    texts.iter().for_each(|text| ctx.reply.integer(i64::from(set.is_some_and(|set| set.contains(text)))));
    Ok(())
}

fn smove(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (from, to, text) = (args.get(1), args.get(2), args.get(3));
    let (db, now_ms, limits) = (ctx.session.db, ctx.now_ms(), ctx.state.set_limits());
    let (from_hash, to_hash) = (ctx.first_key_hash, ctx.state.keyspace.hash(to));
    if lookup::hold::<Set>(ctx.state, db, from, from_hash)?.is_none() {
        // As in Redis the other one is looked up too: it goes where it has expired.
        ctx.db().exists(to, to_hash, now_ms);
        ctx.reply.integer(0);
        return Ok(());
    }
    lookup::hold::<Set>(ctx.state, db, to, to_hash)?;
    let Some(mut source) = lookup::hold::<Set>(ctx.state, db, from, from_hash)? else { return Ok(()) };
    if from == to {
        let there = source.contains(text);
        ctx.reply.integer(i64::from(there));
        return Ok(());
    }
    if !source.remove(text) {
        ctx.reply.integer(0);
        return Ok(());
    }
    let empty = source.is_empty();
    drop(source);
    removed(ctx, from, from_hash, empty, "srem");
    let new = || Set::for_member(text, 1, &limits);
    let mut target = lookup::hold_or_new(ctx.state, db, to, to_hash, new)?;
    let is_new = target.is_empty();
    let added = target.add(text, &limits);
    drop(target);
    ctx.state.stats.dirty += 1 + u64::from(added);
    if is_new {
        ctx.announce(KeyspaceEvents::NEW, "new", to);
    }
    ctx.signal_modified(from);
    if added {
        ctx.stored(false, KeyspaceEvents::SET, "sadd", to);
    }
    ctx.reply.integer(1);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::{replay, replay_resp3};

    #[test]
    fn members_come_and_go() {
        replay(
            r#"
            > SADD k 3 1 2 3
            (integer) 3
            > SMEMBERS k
            1) "1"
            2) "2"
            3) "3"
            > OBJECT ENCODING k
            "intset"
            > SADD k a 1
            (integer) 1
            > OBJECT ENCODING k
            "listpack"
            > SCARD k
            (integer) 4
            > SISMEMBER k a
            (integer) 1
            > SISMEMBER missing a
            (integer) 0
            > SMISMEMBER k a b 2
            1) (integer) 1
            2) (integer) 0
            3) (integer) 1
            > SMISMEMBER missing a
            1) (integer) 0
            > SREM k a b 1
            (integer) 2
            > SREM k 2 3
            (integer) 2
            > EXISTS k
            (integer) 0
            > SREM k 2
            (integer) 0
            > SMEMBERS k
            (empty array)
            > SET s x
            OK
            > SADD s 1
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > SMEMBERS s
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > TYPE k
            none
            "#,
        );
    }

    #[test]
    fn members_move() {
        replay(
            r#"
            > SADD a 1 x
            (integer) 2
            > SMOVE a b x
            (integer) 1
            > SMOVE a b x
            (integer) 0
            > SMOVE missing b x
            (integer) 0
            > SMOVE b b x
            (integer) 1
            > SMOVE b b zz
            (integer) 0
            > SMOVE a b 1
            (integer) 1
            > EXISTS a
            (integer) 0
            > SMEMBERS b
            1) "x"
            2) "1"
            > SET s x
            OK
            > SMOVE b s x
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > SMOVE missing s x
            (integer) 0
            "#,
        );
    }

    #[test]
    fn the_encoding_follows_the_configuration() {
        replay(
            r#"
            > CONFIG SET set-max-intset-entries 2 set-max-listpack-entries 3 set-max-listpack-value 4
            OK
            > SADD k 1 2
            (integer) 2
            > OBJECT ENCODING k
            "intset"
            > SADD k 3
            (integer) 1
            > OBJECT ENCODING k
            "hashtable"
            > SADD l a b c
            (integer) 3
            > OBJECT ENCODING l
            "listpack"
            > COPY l m
            (integer) 1
            > SADD m d
            (integer) 1
            > OBJECT ENCODING m
            "hashtable"
            > SADD n abcd
            (integer) 1
            > OBJECT ENCODING n
            "listpack"
            > SADD n abcde
            (integer) 1
            > OBJECT ENCODING n
            "hashtable"
            > SADD o 1 2 3 4
            (integer) 4
            > OBJECT ENCODING o
            "hashtable"
            "#,
        );
    }

    #[test]
    fn sets_are_sets_in_resp3() {
        replay_resp3(
            r#"
            > SADD k a
            (integer) 1
            > SMEMBERS k
            1~ "a"
            "#,
        );
    }
}
