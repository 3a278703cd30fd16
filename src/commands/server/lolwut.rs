//! LOLWUT: a picture of our own, drawn anew each time, and the version. Main thread.

#![forbid(unsafe_code)]

use crate::base::integer::parse_i64;
use crate::base::rng::Rng;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER};
use crate::command::facts::REDIS_VERSION;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags};
use crate::resp::args::Args;

/// `LOLWUT`.
pub(super) static LOLWUT: Command = Command {
    name: "lolwut",
    full_name: "lolwut",
    summary: "Draws something and tells the version.",
    since: "5.0.0",
    group: "server",
    complexity: "",
    arity: -1,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::FAST),
    args: &[ArgSpec::new("version", ArgKind::Integer).token("VERSION").optional()],
    handler: Some(lolwut),
    ..Command::BLANK
};

/// Columns and rows unless told otherwise, and at most.
const COLUMNS: (i64, i64) = (66, 1000);
const ROWS: (i64, i64) = (16, 500);

/// What a column of a hill is made of, from its foot to the sky above it.
const SHADES: [char; 4] = ['█', '▓', '▒', '░'];

/// The versions that have a picture; others have only the line about the version.
const DRAWN: [i64; 3] = [5, 6, 8];

fn lolwut(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let has_version = args.len() > 2 && args.get(1).eq_ignore_ascii_case(b"VERSION");
    let number = |index: usize| parse_i64(args.get(index)).ok_or(NOT_AN_INTEGER);
    let version = if has_version { number(2)? } else { DRAWN[2] };
    // Version 8 takes words, the others take sizes.
    let size = |index: usize, (default, most): (i64, i64)| match index < args.len() && version != DRAWN[2] {
        true => number(index).map(|size| size.clamp(1, most)),
        false => Ok(default),
    };
    let mut text = String::new();
    if DRAWN.contains(&version) {
        let (columns, rows) = (size(3, COLUMNS)?, size(4, ROWS)?);
        text = hills(&mut ctx.state.rng, columns as usize, rows as usize);
        text.push_str("\nHills that no one will see again. ");
    }
    text.push_str(&format!("Redis ver. {REDIS_VERSION}\n"));
    ctx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// Three ranges of hills behind each other: each a walk that goes up or down by chance.
fn hills(rng: &mut Rng, columns: usize, rows: usize) -> String {
    let ranges: Vec<Vec<usize>> = (1..=3)
        .map(|range| {
            let middle = (rows * range / 4) as i64;
            let mut height = middle;
            let mut next = || {
                height += rng.below(3) as i64 - 1 + (middle - height).signum() * (rng.below(4) == 0) as i64;
                height = height.clamp(0, rows as i64);
                height as usize
            };
            (0..columns).map(|_| next()).collect()
        })
        .collect();
    let mut text = String::with_capacity((columns * 3 + 1) * rows);
    for row in (0..rows).rev() {
        for column in 0..columns {
            let nearest = ranges.iter().position(|range| row < range[column]);
            text.push(nearest.map_or(' ', |range| SHADES[range]));
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use crate::engine::Engine;
    use crate::resp::decode::Value;

    fn drawn(words: &[&str]) -> String {
        let mut engine = Engine::for_console();
        let slot = engine.connect(1);
        match &engine.run_values(slot, &[&["LOLWUT"], words].concat())[..] {
            [Value::Bulk(text)] => String::from_utf8(text.clone()).expect("a picture is text"),
            other => panic!("LOLWUT answers a text, not {other:?}"),
        }
    }

    #[test]
    fn a_picture_and_the_version() {
        for words in [&[][..], &["VERSION", "5"], &["VERSION", "6"], &["VERSION"], &["some", "words"]] {
            let text = drawn(words);
            assert!(text.lines().count() == 18 && text.contains('█'), "{text}");
            assert!(text.ends_with("Redis ver. 8.0.6\n"), "{text}");
        }
        assert_eq!(drawn(&["VERSION", "9"]), "Redis ver. 8.0.6\n");
    }

    #[test]
    fn sizes_are_bounded() {
        let text = drawn(&["VERSION", "5", "7", "3"]);
        assert_eq!(text.lines().take(3).map(|line| line.chars().count()).collect::<Vec<_>>(), [7, 7, 7]);
        assert!(drawn(&["VERSION", "5", "9999999999", "9999999999"]).len() < 3_000_000);
        assert!(drawn(&["VERSION", "6", "0", "-1"]).lines().count() == 3);
        let mut engine = Engine::for_console();
        let refusal = "(error) ERR value is not an integer or out of range";
        assert_eq!(engine.run(&["LOLWUT", "VERSION", "x"]), refusal);
        assert_eq!(engine.run(&["LOLWUT", "VERSION", "5", "x"]), refusal);
    }
}
