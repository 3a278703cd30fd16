//! Walking through a hash: HSCAN.

#![forbid(unsafe_code)]

use super::read_hash;
use crate::base::integer::parse_u64_lenient;
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::generic::scan::{Filter, Found, INVALID_CURSOR, Scanned, reply_nothing, walk};
use crate::commands::key_specs;
use crate::resp::args::Args;

/// `HSCAN`
pub(super) static HSCAN: Command = Command {
    name: "hscan",
    full_name: "hscan",
    summary: "Walks through the fields of a hash, some at a time.",
    since: "2.8.0",
    group: "hash",
    complexity: "O(1) for every call; O(N) for a whole walk, N being the fields of the hash",
    arity: -3,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::HASH).union(Categories::SLOW),
    tips: &["nondeterministic_output"],
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("cursor", ArgKind::Integer),
        ArgSpec::new("pattern", ArgKind::Pattern).token("MATCH").optional(),
        ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
        ArgSpec::pure_token("novalues", "NOVALUES").optional(),
    ],
    handler: Some(hscan),
    ..Command::BLANK
};

fn hscan(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let cursor = parse_u64_lenient(args.get(2)).ok_or(INVALID_CURSOR)?;
    let now_ms = ctx.now_ms();
    let Some(hash) = read_hash(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)? else {
        reply_nothing(ctx.reply);
        return Ok(());
    };
    let filter = Filter::read(args, 3, Scanned::Fields)?;
    walk(ctx.reply, cursor, &filter, |cursor, found: &mut Found<'_>| {
        hash.scan(cursor, now_ms, |name, value| found.add(name, Some(value)))
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn small_hashes_are_walked_at_once() {
        replay(
            r#"
            > HSET k a 1 b 2
            (integer) 2
            > HSCAN k 0
            1) "0"
            2) 1) "a"
               2) "1"
               3) "b"
               4) "2"
            > HSCAN k 0 NOVALUES MATCH b
            1) "0"
            2) 1) "b"
            > HSCAN missing 0
            1) "0"
            2) (empty array)
            > HSCAN k x
            (error) ERR invalid cursor
            > HSCAN k 0 TYPE hash
            (error) ERR syntax error
            "#,
        );
    }
}
