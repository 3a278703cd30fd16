//! Members chosen at random: ZRANDMEMBER.

#![forbid(unsafe_code)]

use super::{begin_members, read_sorted, reply_member};
use crate::command::context::Context;
use crate::command::error::{CommandError, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::elements::reply_element;
use crate::commands::{draw, key_specs};
use crate::resp::args::Args;

/// `ZRANDMEMBER`
pub(super) static ZRANDMEMBER: Command = Command {
    name: "zrandmember",
    full_name: "zrandmember",
    summary: "Answers members of a sorted set that are chosen at random.",
    since: "6.2.0",
    group: "sorted-set",
    complexity: "O(N), N being the number of members answered",
    arity: -2,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::SLOW),
    tips: &["nondeterministic_output"],
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("options", ArgKind::Block).optional().children(&[
            ArgSpec::new("count", ArgKind::Integer),
            ArgSpec::pure_token("withscores", "WITHSCORES").optional(),
        ]),
    ],
    handler: Some(zrandmember),
    ..Command::BLANK
};

fn zrandmember(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let count = if args.len() == 2 { None } else { Some(draw::count(args.get(2))?) };
    let with_scores = match args.len() {
        2 | 3 => false,
        4 if args.get(3).eq_ignore_ascii_case(b"withscores") => true,
        _ => return Err(SYNTAX),
    };
    if with_scores {
        draw::check_pairs(count)?;
    }
    let (mut rng, room) = (ctx.state.rng.clone(), ctx.reply_room());
    let set = read_sorted(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    if set.is_some() {
        draw::check_repeated(count)?;
    }
    match (set, count) {
        (None, None) => ctx.reply.null(),
        (None, Some(_)) => ctx.reply.array(0),
        (Some(set), None) => set.random(&mut rng, |member, _| reply_element(ctx.reply, member)),
        (Some(set), Some(count)) if count < 0 => {
            let count = count.unsigned_abs() as usize;
            begin_members(ctx.reply, count, with_scores);
            draw::repeat(ctx.reply, count, room, |reply| {
                set.random(&mut rng, |member, score| reply_member(reply, member, score, with_scores));
            });
        }
        (Some(set), Some(count)) => {
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(set.len());
            begin_members(ctx.reply, count, with_scores);
            let mut choice = draw::Choice::new(set.len(), count);
            set.each(|member, score| {
                if choice.takes_next(&mut rng) {
                    reply_member(ctx.reply, member, score, with_scores);
                }
            });
        }
    }
    ctx.state.rng = rng;
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn small_choices_are_no_choice() {
        replay(
            r#"
            > ZADD z 1 a
            (integer) 1
            > ZRANDMEMBER z
            "a"
            > ZRANDMEMBER z 3 WITHSCORES
            1) "a"
            2) "1"
            > ZRANDMEMBER z -2
            1) "a"
            2) "a"
            > ZRANDMEMBER z 0
            (empty array)
            > ZRANDMEMBER missing
            (nil)
            > ZRANDMEMBER missing 3
            (empty array)
            > ZRANDMEMBER z 1 FOO
            (error) ERR syntax error
            > ZRANDMEMBER z x
            (error) ERR value is not an integer or out of range
            "#,
        );
    }
}
