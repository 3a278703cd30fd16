//! LCS: the longest common subsequence of two strings, its length, or where its parts lie.

#![forbid(unsafe_code)]

use super::integer_argument;
use crate::command::context::Context;
use crate::command::error::{CommandError, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::{key_specs, lookup};
use crate::resp::args::Args;
use crate::resp::reply::Reply;

/// `LCS`
pub(super) static LCS: Command = Command {
    name: "lcs",
    full_name: "lcs",
    summary: "Finds the longest common subsequence of two strings.",
    since: "7.0.0",
    group: "string",
    complexity: "O(N*M), N and M being the lengths of the strings",
    arity: -3,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::STRING).union(Categories::SLOW),
    key_specs: &[key_specs::pair(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[
        ArgSpec::key("key1", 0),
        ArgSpec::key("key2", 0),
        ArgSpec::pure_token("len", "LEN").optional(),
        ArgSpec::pure_token("idx", "IDX").optional(),
        ArgSpec::new("min-match-len", ArgKind::Integer).token("MINMATCHLEN").optional(),
        ArgSpec::pure_token("withmatchlen", "WITHMATCHLEN").optional(),
    ],
    handler: Some(lcs),
    ..Command::BLANK
};

const NOT_STRINGS: CommandError = CommandError::fixed("The specified keys must contain string values");
const BOTH: CommandError = CommandError::fixed("If you want both the length and indexes, please just use IDX.");
const TOO_MUCH_MEMORY: CommandError =
    CommandError::fixed("Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len");
const OUT_OF_MEMORY: CommandError =
    CommandError::fixed("Insufficient memory, failed allocating transient memory for LCS");
const STRING_TOO_LONG: CommandError = CommandError::fixed("String too long for LCS");

/// What is answered.
#[derive(Default)]
struct Options {
    len: bool,
    idx: bool,
    with_match_len: bool,
    match_len_min: i64,
}

impl Options {
    fn read(args: Args<'_>, first: usize) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut index = first;
        while index < args.len() {
            let word = args.get(index);
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            if is("IDX") {
                options.idx = true;
            } else if is("LEN") {
                options.len = true;
            } else if is("WITHMATCHLEN") {
                options.with_match_len = true;
            } else if is("MINMATCHLEN") && index + 1 < args.len() {
                index += 1;
                options.match_len_min = integer_argument(args, index)?;
            } else {
                return Err(SYNTAX);
            }
            index += 1;
        }
        if options.idx && options.len { Err(BOTH) } else { Ok(options) }
    }
}

fn lcs(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    // Both keys are looked up, and counted, before either is judged.
    let hashes = [ctx.first_key_hash, ctx.state.keyspace.hash(args.get(2))];
    let mut texts = [Some(Vec::new()), Some(Vec::new())];
    for (index, text) in texts.iter_mut().enumerate() {
        if let Some(entry) = lookup::read(ctx.state, ctx.session, args.get(index + 1), hashes[index]) {
            *text = entry.as_string().ok().map(|string| string.to_cow().into_owned());
        }
    }
    let [Some(first), Some(second)] = texts else { return Err(NOT_STRINGS) };
    let options = Options::read(args, 3)?;
    let table = Lengths::of(&first, &second, ctx.state.config.proto_max_bulk_len)?;
    let total = table.at(first.len(), second.len());
    if options.len {
        ctx.reply.integer(i64::from(total));
    } else if options.idx {
        ctx.reply.map(2);
        ctx.reply.bulk(b"matches");
        reply_matches(ctx.reply, &table, &first, &second, &options);
        ctx.reply.bulk(b"len");
        ctx.reply.integer(i64::from(total));
    } else {
        let mut common = Vec::with_capacity(total as usize);
        table.walk_back(&first, &second, |i, _| common.push(first[i]));
        common.reverse();
        ctx.reply.bulk(&common);
    }
    Ok(())
}

/// Answers the matching stretches, the last one first.
fn reply_matches(reply: &mut Reply, table: &Lengths, first: &[u8], second: &[u8], options: &Options) {
    let matches = reply.deferred();
    let mut count = 0;
    let mut emit = |stretch: Stretch| {
        if (stretch.len as i64) < options.match_len_min {
            return;
        }
        count += 1;
        reply.array(if options.with_match_len { 3 } else { 2 });
        for start in [stretch.first, stretch.second] {
            reply.array(2);
            reply.integer(start as i64);
            reply.integer((start + stretch.len - 1) as i64);
        }
        if options.with_match_len {
            reply.integer(stretch.len as i64);
        }
    };
    let mut open: Option<Stretch> = None;
    table.walk_back(first, second, |i, j| {
        let len = match open.take() {
            Some(after) if after.first == i + 1 && after.second == j + 1 => after.len + 1,
            Some(after) => {
                emit(after);
                1
            }
            None => 1,
        };
        open = Some(Stretch { first: i, second: j, len });
    });
    if let Some(last) = open {
        emit(last);
    }
    reply.end_array(matches, count);
}

/// Equal bytes at `first` of one string and `second` of the other.
struct Stretch {
    first: usize,
    second: usize,
    len: usize,
}

/// The length of the longest common subsequence of every pair of prefixes.
struct Lengths {
    cells: Vec<u32>,
    /// Cells per prefix of the first string.
    width: usize,
}

impl Lengths {
    /// Fills the table, which must not take more than `bytes_max`.
    fn of(first: &[u8], second: &[u8], bytes_max: u64) -> Result<Lengths, CommandError> {
        if first.len() >= u32::MAX as usize - 1 || second.len() >= u32::MAX as usize - 1 {
            return Err(STRING_TOO_LONG);
        }
        let (height, width) = (first.len() + 1, second.len() + 1);
        let count = height.checked_mul(width).filter(|&count| count as u64 <= bytes_max / size_of::<u32>() as u64);
        let count = count.ok_or(TOO_MUCH_MEMORY)?;
        let mut cells = Vec::new();
        cells.try_reserve_exact(count).map_err(|_| OUT_OF_MEMORY)?;
        cells.resize(width, 0);
        for i in 1..height {
            let byte = first[i - 1];
            let mut left = 0;
            cells.push(left);
            let above = (i - 1) * width;
            for j in 1..width {
                left = if second[j - 1] == byte { cells[above + j - 1] + 1 } else { cells[above + j].max(left) };
                cells.push(left);
            }
        }
        Ok(Lengths { cells, width })
    }

    /// For the first `i` bytes of one string and the first `j` of the other.
    fn at(&self, i: usize, j: usize) -> u32 {
        self.cells[i * self.width + j]
    }

    /// Calls `common` with the positions of the bytes of one longest common subsequence, from the last to the first.
    /// Where several are equally long, the shorter prefix of the second string is preferred, as Redis does.
    fn walk_back(&self, first: &[u8], second: &[u8], mut common: impl FnMut(usize, usize)) {
        let (mut i, mut j) = (first.len(), second.len());
        while i > 0 && j > 0 {
            if first[i - 1] == second[j - 1] {
                i -= 1;
                j -= 1;
                common(i, j);
            } else if self.at(i - 1, j) > self.at(i, j - 1) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::{replay, replay_resp3};
    use crate::config::Config;
    use crate::engine::Engine;

    #[test]
    fn the_subsequence_its_length_and_where_it_lies() {
        replay(
            r#"
            > MSET key1 ohmytext key2 mynewtext
            OK
            > LCS key1 key2
            "mytext"
            > LCS key1 key2 LEN
            (integer) 6
            > LCS key1 key2 IDX
            1) "matches"
            2) 1) 1) 1) (integer) 4
                     2) (integer) 7
                  2) 1) (integer) 5
                     2) (integer) 8
               2) 1) 1) (integer) 2
                     2) (integer) 3
                  2) 1) (integer) 0
                     2) (integer) 1
            3) "len"
            4) (integer) 6
            > LCS key1 key2 IDX MINMATCHLEN 4
            1) "matches"
            2) 1) 1) 1) (integer) 4
                     2) (integer) 7
                  2) 1) (integer) 5
                     2) (integer) 8
            3) "len"
            4) (integer) 6
            > LCS key1 key2 IDX MINMATCHLEN 4 WITHMATCHLEN
            1) "matches"
            2) 1) 1) 1) (integer) 4
                     2) (integer) 7
                  2) 1) (integer) 5
                     2) (integer) 8
                  3) (integer) 4
            3) "len"
            4) (integer) 6
            > LCS key1 key2 IDX MINMATCHLEN -10
            1) "matches"
            2) 1) 1) 1) (integer) 4
                     2) (integer) 7
                  2) 1) (integer) 5
                     2) (integer) 8
               2) 1) 1) (integer) 2
                     2) (integer) 3
                  2) 1) (integer) 0
                     2) (integer) 1
            3) "len"
            4) (integer) 6
            > LCS key1 key2 WITHMATCHLEN
            "mytext"
            "#,
        );
    }

    #[test]
    fn missing_keys_are_empty() {
        replay(
            r#"
            > LCS a b
            ""
            > LCS a b LEN
            (integer) 0
            > LCS a b IDX
            1) "matches"
            2) (empty array)
            3) "len"
            4) (integer) 0
            "#,
        );
    }

    #[test]
    fn numbers_have_text() {
        replay(
            r#"
            > MSET a 12345 b 2345
            OK
            > LCS a b IDX WITHMATCHLEN
            1) "matches"
            2) 1) 1) 1) (integer) 1
                     2) (integer) 4
                  2) 1) (integer) 0
                     2) (integer) 3
                  3) (integer) 4
            3) "len"
            4) (integer) 4
            "#,
        );
    }

    #[test]
    fn ties_are_broken_as_redis_does() {
        replay(
            r#"
            > MSET x rnhvnv12 y abcnvrh1
            OK
            > LCS x y
            "nv1"
            > LCS x y IDX WITHMATCHLEN
            1) "matches"
            2) 1) 1) 1) (integer) 6
                     2) (integer) 6
                  2) 1) (integer) 7
                     2) (integer) 7
                  3) (integer) 1
               2) 1) 1) (integer) 4
                     2) (integer) 5
                  2) 1) (integer) 3
                     2) (integer) 4
                  3) (integer) 2
            3) "len"
            4) (integer) 3
            "#,
        );
    }

    #[test]
    fn lcs_refuses() {
        replay(
            r#"
            > LCS a b IDX LEN
            (error) ERR If you want both the length and indexes, please just use IDX.
            > LCS a b IDX MINMATCHLEN
            (error) ERR syntax error
            > LCS a b IDX MINMATCHLEN ten
            (error) ERR value is not an integer or out of range
            > LCS a b FOO
            (error) ERR syntax error
            > LCS a
            (error) ERR wrong number of arguments for 'lcs' command
            "#,
        );
    }

    #[test]
    fn lcs_answers_a_map_in_resp3() {
        replay_resp3(
            r#"
            > MSET key1 ohmytext key2 mynewtext
            OK
            > LCS key1 key2 IDX MINMATCHLEN 4
            1# "matches" => 1) 1) 1) (integer) 4
                     2) (integer) 7
                  2) 1) (integer) 5
                     2) (integer) 8
            2# "len" => (integer) 6
            "#,
        );
    }

    #[test]
    fn the_table_has_a_largest_size() {
        let config = Config { proto_max_bulk_len: 1 << 20, ..Config::default() };
        let mut engine = Engine::for_console_with(config);
        engine.run(&["MSET", "a", &"x".repeat(511), "b", &"x".repeat(512)]);
        assert_eq!(engine.run(&["LCS", "a", "a", "LEN"]), "(integer) 511");
        let refused = "(error) ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len";
        assert_eq!(engine.run(&["LCS", "a", "b", "LEN"]), refused);
    }
}
