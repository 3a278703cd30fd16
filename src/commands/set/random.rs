//! Members chosen at random: SPOP, SRANDMEMBER.

#![forbid(unsafe_code)]

use super::{read_set, removed};
use crate::base::integer::parse_i64;
use crate::base::rng::Rng;
use crate::command::context::Context;
use crate::command::error::{CommandError, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::elements::reply_element;
use crate::commands::lookup;
use crate::commands::{draw, key_specs};
use crate::encoding::listpack::Element;
use crate::resp::args::Args;
use crate::types::set::Set;
use crate::types::set::SetRef;

/// `SPOP`
pub(super) static SPOP: Command = Command {
    name: "spop",
    full_name: "spop",
    summary: "Takes members out of a set that are chosen at random.",
    since: "1.0.0",
    group: "set",
    complexity: "O(1) for one; O(N) for N of them",
    arity: -2,
    flags: Flags::WRITE.union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::SET).union(Categories::FAST),
    tips: &["nondeterministic_output"],
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::DELETE))],
    history: &[("3.2.0", "Takes a count.")],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("count", ArgKind::Integer).since("3.2.0").optional()],
    handler: Some(spop),
    ..Command::BLANK
};

/// `SRANDMEMBER`
pub(super) static SRANDMEMBER: Command = Command {
    name: "srandmember",
    full_name: "srandmember",
    summary: "Answers members of a set that are chosen at random.",
    since: "1.0.0",
    group: "set",
    complexity: "O(1) for one; O(N) for N of them",
    arity: -2,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::SET).union(Categories::SLOW),
    tips: &["nondeterministic_output"],
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    history: &[("2.6.0", "Takes a count.")],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("count", ArgKind::Integer).since("2.6.0").optional()],
    handler: Some(srandmember),
    ..Command::BLANK
};

const NOT_POSITIVE: CommandError = CommandError::fixed("value is out of range, must be positive");

fn spop(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (key, hash) = (args.get(1), ctx.first_key_hash);
    let count = match args.len() {
        2 => None,
        3 => {
            let count = parse_i64(args.get(2)).and_then(|count| usize::try_from(count).ok());
            Some(count.ok_or(NOT_POSITIVE)?)
        }
        _ => return Err(SYNTAX),
    };
    // The choice and the set are both parts of the state: the choice works on a copy that is put back.
    let mut rng = ctx.state.rng.clone();
    let Some(mut set) = lookup::hold::<Set>(ctx.state, ctx.session.db, key, hash)? else {
        match count {
            None => ctx.reply.null(),
            Some(_) => ctx.reply.set(0),
        }
        return Ok(());
    };
    let taken = count.unwrap_or(1).min(set.len());
    if count.is_some() {
        ctx.reply.set(taken);
    }
    for _ in 0..taken {
        if let Some(text) = set.random(&mut rng).map(|member| member.to_vec()) {
            set.remove(&text);
            ctx.reply.bulk(&text);
        }
    }
    let empty = set.is_empty();
    drop(set);
    ctx.state.rng = rng;
    // As in Redis, which reads the whole set then.
    ctx.state.stats.keyspace_hits += u64::from(empty && count.is_some());
    if taken > 0 {
        removed(ctx, key, hash, empty, "spop");
        ctx.signal_modified(key);
        ctx.state.stats.dirty += taken as u64;
    }
    Ok(())
}

fn srandmember(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let count = match args.len() {
        2 => None,
        3 => Some(draw::count(args.get(2))?),
        _ => return Err(SYNTAX),
    };
    let (mut rng, room) = (ctx.state.rng.clone(), ctx.reply_room());
    let set = read_set(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    if set.is_some() {
        draw::check_repeated(count)?;
    }
    match (set, count) {
        (None, None) => ctx.reply.null(),
        (None, Some(_)) => ctx.reply.array(0),
        (Some(set), None) => match set.random(&mut rng) {
            Some(member) => reply_element(ctx.reply, member),
            None => ctx.reply.null(),
        },
        (Some(set), Some(count)) if count < 0 => {
            let count = count.unsigned_abs() as usize;
            ctx.reply.array(count);
            draw::repeat(ctx.reply, count, room, |reply| {
                if let Some(member) = set.random(&mut rng) {
                    reply_element(reply, member);
                }
            });
        }
        (Some(set), Some(count)) => {
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(set.len());
            ctx.reply.array(count);
            each_once(set, count, &mut rng, |member| reply_element(ctx.reply, member));
        }
    }
    ctx.state.rng = rng;
    Ok(())
}

/// Shows `count` different members, of which there are so many.
fn each_once(set: SetRef<'_>, count: usize, rng: &mut Rng, mut show: impl FnMut(Element<'_>)) {
    let mut chosen = draw::Choice::new(set.len(), count);
    set.each(|member| {
        if chosen.takes_next(rng) {
            show(member);
        }
    });
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::commands::transcript::replay;
    use crate::engine::Engine;
    use crate::resp::decode::Value;

    #[test]
    fn small_choices_are_no_choice() {
        replay(
            r#"
            > SADD k 1
            (integer) 1
            > SRANDMEMBER k
            "1"
            > SRANDMEMBER k 5
            1) "1"
            > SRANDMEMBER k -3
            1) "1"
            2) "1"
            3) "1"
            > SRANDMEMBER k 0
            (empty array)
            > SRANDMEMBER k x
            (error) ERR value is not an integer or out of range
            > SRANDMEMBER k 1 2
            (error) ERR syntax error
            > SRANDMEMBER k -9223372036854775808
            (error) ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
            > SRANDMEMBER missing
            (nil)
            > SRANDMEMBER missing 3
            (empty array)
            > SPOP k 0
            (empty array)
            > SPOP k -1
            (error) ERR value is out of range, must be positive
            > SPOP k 1 2
            (error) ERR syntax error
            > SPOP k
            "1"
            > EXISTS k
            (integer) 0
            > SPOP k
            (nil)
            > SPOP k 1
            (empty array)
            "#,
        );
    }

    #[test]
    fn choices_are_different_members() {
        let mut engine = Engine::for_console();
        let slot = engine.connect(1);
        let numbers: Vec<String> = (0..1000).map(|number| number.to_string()).collect();
        let add: Vec<&str> = ["SADD", "k"].into_iter().chain(numbers.iter().map(String::as_str)).collect();
        engine.run(&add);
        let mut members = |args: &[&str]| {
            let replies = engine.run_values(slot, args);
            let [Value::Array(items)] = &replies[..] else { panic!("an array: {replies:?}") };
            items.iter().map(|item| format!("{item:?}")).collect::<BTreeSet<_>>().len()
        };
        assert_eq!(members(&["SRANDMEMBER", "k", "300"]), 300);
        assert_eq!(members(&["SRANDMEMBER", "k", "2000"]), 1000);
        assert!((500..700).contains(&members(&["SRANDMEMBER", "k", "-1000"])));
        assert_eq!(members(&["SPOP", "k", "400"]), 400);
        assert_eq!(engine.run(&["SCARD", "k"]), "(integer) 600");
        engine.run(&["SPOP", "k", "1000"]);
        assert_eq!(engine.run(&["EXISTS", "k"]), "(integer) 0");
    }
}
