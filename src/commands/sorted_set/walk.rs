//! Walking through a sorted set: ZSCAN.

#![forbid(unsafe_code)]

use super::read_sorted;
use crate::base::integer::parse_u64_lenient;
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::generic::scan::{Filter, Found, INVALID_CURSOR, Scanned, reply_nothing, walk};
use crate::commands::key_specs;
use crate::resp::args::Args;

/// `ZSCAN`
pub(super) static ZSCAN: Command = Command {
    name: "zscan",
    full_name: "zscan",
    summary: "Walks through the members of a sorted set, some at a time.",
    since: "2.8.0",
    group: "sorted-set",
    complexity: "O(1) for every call; O(N) for a whole walk, N being the members of the sorted set",
    arity: -3,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::SORTEDSET).union(Categories::SLOW),
    tips: &["nondeterministic_output"],
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("cursor", ArgKind::Integer),
        ArgSpec::new("pattern", ArgKind::Pattern).token("MATCH").optional(),
        ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
    ],
    handler: Some(zscan),
    ..Command::BLANK
};

fn zscan(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let cursor = parse_u64_lenient(args.get(2)).ok_or(INVALID_CURSOR)?;
    let Some(set) = read_sorted(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)? else {
        reply_nothing(ctx.reply);
        return Ok(());
    };
    let filter = Filter::read(args, 3, Scanned::Members)?;
    walk(ctx.reply, cursor, &filter, |cursor, found: &mut Found<'_>| {
        set.scan(cursor, |member, score| found.add(member, Some(score)))
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn small_ones_are_walked_at_once() {
        replay(
            r#"
            > ZADD z 1.5 a 2 b
            (integer) 2
            > ZSCAN z 0
            1) "0"
            2) 1) "a"
               2) "1.5"
               3) "b"
               4) "2"
            > ZSCAN z 0 MATCH b
            1) "0"
            2) 1) "b"
               2) "2"
            > CONFIG SET zset-max-listpack-entries 0
            OK
            > ZADD big 0.1 a
            (integer) 1
            > ZSCAN big 0
            1) "0"
            2) 1) "a"
               2) "0.10000000000000001"
            > ZSCAN missing 0
            1) "0"
            2) (empty array)
            > ZSCAN z x
            (error) ERR invalid cursor
            > ZSCAN z 0 NOVALUES
            (error) ERR NOVALUES option can only be used in HSCAN
            "#,
        );
    }
}
