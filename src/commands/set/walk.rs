//! Walking through a set: SSCAN.

#![forbid(unsafe_code)]

use super::read_set;
use crate::base::integer::parse_u64_lenient;
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::generic::scan::{Filter, Found, INVALID_CURSOR, Scanned, reply_nothing, walk};
use crate::commands::key_specs;
use crate::resp::args::Args;

/// `SSCAN`
pub(super) static SSCAN: Command = Command {
    name: "sscan",
    full_name: "sscan",
    summary: "Walks through the members of a set, some at a time.",
    since: "2.8.0",
    group: "set",
    complexity: "O(1) for every call; O(N) for a whole walk, N being the members of the set",
    arity: -3,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::SET).union(Categories::SLOW),
    tips: &["nondeterministic_output"],
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("cursor", ArgKind::Integer),
        ArgSpec::new("pattern", ArgKind::Pattern).token("MATCH").optional(),
        ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
    ],
    handler: Some(sscan),
    ..Command::BLANK
};

fn sscan(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let cursor = parse_u64_lenient(args.get(2)).ok_or(INVALID_CURSOR)?;
    let Some(set) = read_set(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)? else {
        reply_nothing(ctx.reply);
        return Ok(());
    };
    let filter = Filter::read(args, 3, Scanned::Members)?;
    walk(ctx.reply, cursor, &filter, |cursor, found: &mut Found<'_>| {
        set.scan(cursor, |member| found.add(member, None))
    });
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use crate::commands::transcript::replay;
    use crate::engine::Engine;
    use crate::resp::decode::Value;

    #[test]
    fn small_sets_are_walked_at_once() {
        replay(
            r#"
            > SADD k 3 4 a
            (integer) 3
            > SSCAN k 0 COUNT 1
            1) "0"
            2) 1) "3"
               2) "4"
               3) "a"
            > SSCAN k 99 MATCH [3a]
            1) "0"
            2) 1) "3"
               2) "a"
            > SSCAN missing 0 FOO
            1) "0"
            2) (empty array)
            > SSCAN missing x
            (error) ERR invalid cursor
            > SSCAN k 0 NOVALUES
            (error) ERR NOVALUES option can only be used in HSCAN
            > SSCAN k 0 TYPE string
            (error) ERR syntax error
            > SSCAN k 0 COUNT 0
            (error) ERR syntax error
            "#,
        );
    }

    #[test]
    fn big_sets_are_walked_in_steps() {
        let mut engine = Engine::for_console();
        let slot = engine.connect(1);
        let texts: Vec<String> = (0..1000).map(|number| format!("member{number}")).collect();
        let add: Vec<&str> = ["SADD", "k"].into_iter().chain(texts.iter().map(String::as_str)).collect();
        engine.run(&add);
        let (mut cursor, mut steps, mut seen) = ("0".to_owned(), 0, BTreeSet::new());
        loop {
            let replies = engine.run_values(slot, &["SSCAN", "k", &cursor, "COUNT", "50"]);
            let [Value::Array(parts)] = &replies[..] else { panic!("an array: {replies:?}") };
            let (Value::Bulk(next), Value::Array(members)) = (&parts[0], &parts[1]) else { panic!("two parts") };
            assert!(members.len() < 100);
            seen.extend(members.iter().map(|member| format!("{member:?}")));
            cursor = String::from_utf8_lossy(next).into_owned();
            steps += 1;
            if cursor == "0" {
                break;
            }
        }
        assert_eq!(seen.len(), 1000);
        assert!(steps >= 10, "{steps}");
    }
}
