//! Fields chosen at random: HRANDFIELD.

#![forbid(unsafe_code)]

use super::{read_hash, remove_all_late};
use crate::base::rng::Rng;
use crate::command::context::Context;
use crate::command::error::{CommandError, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::elements::reply_element;
use crate::commands::{draw, key_specs};
use crate::encoding::listpack::Element;
use crate::resp::args::Args;
use crate::resp::reply::{Protocol, Reply};
use crate::types::hash::HashRef;

/// `HRANDFIELD`
pub(super) static HRANDFIELD: Command = Command {
    name: "hrandfield",
    full_name: "hrandfield",
    summary: "Answers fields of a hash that are chosen at random.",
    since: "6.2.0",
    group: "hash",
    complexity: "O(N), N being the number of fields answered",
    arity: -2,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::HASH).union(Categories::SLOW),
    tips: &["nondeterministic_output"],
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("options", ArgKind::Block).optional().children(&[
            ArgSpec::new("count", ArgKind::Integer),
            ArgSpec::pure_token("withvalues", "WITHVALUES").optional(),
        ]),
    ],
    handler: Some(hrandfield),
    ..Command::BLANK
};

fn hrandfield(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let count = if args.len() == 2 { None } else { Some(draw::count(args.get(2))?) };
    let with_values = match args.len() {
        2 | 3 => false,
        4 if args.get(3).eq_ignore_ascii_case(b"withvalues") => true,
        _ => return Err(SYNTAX),
    };
    if with_values {
        draw::check_pairs(count)?;
    }
    let (key, key_hash, now_ms) = (args.get(1), ctx.first_key_hash, ctx.now_ms());
    let mut rng = ctx.state.rng.clone();
    let wanted = Wanted { count, with_values, now_ms, room: ctx.reply_room() };
    let hash = read_hash(ctx.state, ctx.session, key, key_hash)?;
    if hash.is_some() {
        draw::check_repeated(count)?;
    }
    if hash.is_some_and(|hash| hash.live_len(now_ms) < hash.len()) {
        remove_all_late(ctx, key, key_hash)?.settle(ctx, key);
        let now = ctx.state.keyspace.db(ctx.session.db).live(key, key_hash, now_ms);
        let hash = now.and_then(|entry| entry.as_hash().ok());
        choose(ctx.reply, &mut rng, hash, &wanted);
    } else {
        choose(ctx.reply, &mut rng, hash, &wanted);
    }
    ctx.state.rng = rng;
    Ok(())
}

/// What is asked for.
struct Wanted {
    count: Option<i64>,
    with_values: bool,
    now_ms: i64,
    /// Bytes that are worth writing.
    room: usize,
}

/// Answers fields chosen at random.
fn choose(reply: &mut Reply, rng: &mut Rng, hash: Option<HashRef<'_>>, wanted: &Wanted) {
    let Wanted { count, with_values, now_ms, room } = *wanted;
    let live = hash.map_or(0, |hash| hash.live_len(now_ms));
    let (Some(hash), true) = (hash, live > 0) else {
        return if count.is_some() { reply.array(0) } else { reply.null() };
    };
    match count {
        None => {
            if let Some((name, _)) = draw_live(&hash, rng, now_ms) {
                reply_element(reply, name);
            }
        }
        Some(count) if count < 0 => {
            let count = count.unsigned_abs() as usize;
            begin(reply, count, with_values);
            draw::repeat(reply, count, room, |reply| {
                if let Some((name, value)) = draw_live(&hash, rng, now_ms) {
                    answer(reply, name, value, with_values);
                }
            });
        }
        Some(count) => {
            let count = usize::try_from(count).unwrap_or(usize::MAX).min(live);
            begin(reply, count, with_values);
            let mut choice = draw::Choice::new(live, count);
            hash.each(now_ms, |name, value| {
                if choice.takes_next(rng) {
                    answer(reply, name, value, with_values);
                }
            });
        }
    }
}

/// A field whose time is not over, of which there is one. Others are only there while such things are kept.
fn draw_live<'h>(hash: &'h HashRef<'_>, rng: &mut Rng, now_ms: i64) -> Option<(Element<'h>, Element<'h>)> {
    loop {
        let (name, value) = hash.random(rng)?;
        if !hash.has_over([&*name.to_cow()], now_ms) {
            return Some((name, value));
        }
    }
}

/// In RESP3 each field and its value are an array of their own.
fn begin(reply: &mut Reply, count: usize, with_values: bool) {
    let flat = with_values && reply.protocol() == Protocol::Resp2;
    reply.array(if flat { 2 * count } else { count });
}

fn answer(reply: &mut Reply, name: Element<'_>, value: Element<'_>, with_value: bool) {
    if with_value && reply.protocol() == Protocol::Resp3 {
        reply.array(2);
    }
    reply_element(reply, name);
    if with_value {
        reply_element(reply, value);
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::{replay, replay_resp3};

    #[test]
    fn small_choices_are_no_choice() {
        replay(
            r#"
            > HSET k a 1
            (integer) 1
            > HRANDFIELD k
            "a"
            > HRANDFIELD k 3
            1) "a"
            > HRANDFIELD k 3 WITHVALUES
            1) "a"
            2) "1"
            > HRANDFIELD k -2 withvalues
            1) "a"
            2) "1"
            3) "a"
            4) "1"
            > HRANDFIELD k 0
            (empty array)
            > HRANDFIELD missing
            (nil)
            > HRANDFIELD missing 1 WITHVALUES
            (empty array)
            > HRANDFIELD k 1 FOO
            (error) ERR syntax error
            > HRANDFIELD k x FOO
            (error) ERR value is not an integer or out of range
            > HRANDFIELD k -4611686018427387905 WITHVALUES
            (error) ERR value is out of range
            "#,
        );
    }

    #[test]
    fn pairs_are_pairs_in_resp3() {
        replay_resp3(
            r#"
            > HSET k a 1
            (integer) 1
            > HRANDFIELD k 1 WITHVALUES
            1) 1) "a"
               2) "1"
            "#,
        );
    }
}
