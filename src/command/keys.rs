//! Finds the keys of a request from the key specifications of its command: COMMAND GETKEYS today, anything that has to
//! know keys without running the command later.

#![forbid(unsafe_code)]

use crate::base::integer::{parse_i32_careless, parse_i64};
use crate::command::error::CommandError;
use crate::command::spec::{Begin, Command, Find, FoundKey, KeyFlags, KeySpec};
use crate::resp::args::Args;

/// Most keys that are worked out for one request.
const KEYS_MAX: usize = 1 << 24;

/// `Invalid arguments specified for command`: the keys cannot be told from the arguments.
const INVALID_ARGUMENTS: CommandError = CommandError::fixed("Invalid arguments specified for command");

/// The keys of `args`, which has as many arguments as `command` takes, in argument order of the specifications.
pub fn find_keys(command: &Command, args: Args<'_>) -> Result<Vec<FoundKey>, CommandError> {
    let mut keys = Vec::new();
    let imprecise = KeyFlags::VARIABLE_FLAGS.union(KeyFlags::INCOMPLETE);
    let is_vague = |spec: &KeySpec| spec.flags.intersects(imprecise) || matches!(spec.begin, Begin::Unknown);
    let needs_finder = command.key_specs.is_empty() || command.key_specs.iter().any(is_vague);
    match command.key_finder {
        Some(finder) if needs_finder => finder(args, &mut keys)?,
        finder => {
            let found = command.key_specs.iter().try_for_each(|spec| find_by_spec(spec, args, &mut keys));
            match (found, finder) {
                (Err(_), Some(finder)) => {
                    keys.clear();
                    finder(args, &mut keys)?;
                }
                (found, _) => found?,
            }
        }
    }
    Ok(keys)
}

/// First key, last key and step as COMMAND INFO prints them: the part of the key specifications that one range can
/// express. (0, 0, 0) where none can.
pub fn legacy_range(command: &Command) -> (i32, i32, i32) {
    if let [KeySpec { begin: Begin::Index(first), find: Find::Range { last, step, .. }, .. }] = *command.key_specs {
        return (first, if last < 0 { last } else { first + last }, step);
    }
    let (mut first, mut last) = (i32::MAX, 0);
    for spec in command.key_specs {
        let Begin::Index(index) = spec.begin else { continue };
        let Find::Range { last: relative, step: 1, .. } = spec.find else { continue };
        if last != 0 && last != index - 1 {
            continue;
        }
        first = first.min(index);
        // A position counted from the end lies behind every other: as an unsigned number it is greater.
        let absolute = if relative < 0 { relative } else { index + relative };
        last = (last as u32).max(absolute as u32) as i32;
    }
    if first == i32::MAX { (0, 0, 0) } else { (first, last, 1) }
}

/// Whether the command can have keys at all.
pub fn may_have_keys(command: &Command) -> bool {
    command.key_finder.is_some() || command.key_specs.iter().any(|spec| !spec.flags.contains(KeyFlags::NOT_KEY))
}

fn find_by_spec(spec: &KeySpec, args: Args<'_>, keys: &mut Vec<FoundKey>) -> Result<(), CommandError> {
    if spec.flags.contains(KeyFlags::NOT_KEY) {
        return Ok(());
    }
    let Some(first) = begin(spec.begin, args) else { return Ok(()) };
    let count = args.len() as i64;
    let (first, last, step) = match spec.find {
        Find::Unknown => return Ok(()),
        Find::Range { last, step, limit } => {
            let step = i64::from(step);
            let last = if last >= 0 {
                first + i64::from(last)
            } else if limit <= 1 {
                count + i64::from(last)
            } else {
                first + (count - first) / i64::from(limit) + i64::from(last)
            };
            (first, last, step)
        }
        Find::KeyNum { index, first: keys_first, step } => {
            let at = first + i64::from(index);
            let text = argument(args, at).ok_or(INVALID_ARGUMENTS)?;
            let step = i64::from(step);
            let first = first + i64::from(keys_first);
            let last = |number: i64| number.saturating_sub(1).saturating_mul(step).saturating_add(first);
            // Redis asks twice: a number that is none, or one of more keys than there are, it reads once more with less care.
            let number = match parse_i64(text).filter(|&number| number >= 0 && last(number) < count) {
                Some(number) => number,
                None => {
                    Some(i64::from(parse_i32_careless(text))).filter(|&number| number > 0).ok_or(INVALID_ARGUMENTS)?
                }
            };
            (first, last(number), step)
        }
    };
    let mut index = first;
    while index <= last {
        if index >= count || keys.len() >= KEYS_MAX {
            return Err(INVALID_ARGUMENTS);
        }
        keys.push(FoundKey { index: index as usize, flags: spec.flags });
        index += step.max(1);
    }
    Ok(())
}

fn argument(args: Args<'_>, index: i64) -> Option<&[u8]> {
    let index = usize::try_from(index).ok()?;
    (index < args.len()).then(|| args.get(index))
}

/// Where the keys begin; None where a keyword is missing.
fn begin(begin: Begin, args: Args<'_>) -> Option<i64> {
    match begin {
        Begin::Unknown => None,
        Begin::Index(index) => Some(i64::from(index)),
        Begin::Keyword(word, from) => {
            let is_word = |index: &usize| args.get(*index).eq_ignore_ascii_case(word.as_bytes());
            let found = if from >= 0 {
                (from as usize..args.len()).find(is_word)
            } else {
                let start = args.len().checked_sub(from.unsigned_abs() as usize)?;
                (1..=start).rev().find(is_word)
            };
            found.map(|index| index as i64 + 1)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::resp::args::OwnedArgs;

    /// Specifications are static; these are reachable as long as the tests run.
    fn kept(specs: Vec<KeySpec>) -> &'static [KeySpec] {
        static KEPT: Mutex<Vec<&[KeySpec]>> = Mutex::new(Vec::new());
        let specs: &'static [KeySpec] = specs.leak();
        KEPT.lock().unwrap().push(specs);
        specs
    }

    fn keys(begin: Begin, find: Find, args: &[&str]) -> Option<Vec<usize>> {
        let specs = kept(vec![KeySpec { flags: KeyFlags::RO, begin, find, notes: None }]);
        let command = Command { key_specs: specs, ..Command::BLANK };
        let found = find_keys(&command, OwnedArgs::from_slices(args).as_args());
        found.ok().map(|keys| keys.into_iter().map(|key| key.index).collect())
    }

    #[test]
    fn ranges_are_relative_negative_or_a_fraction() {
        let range = |last, step, limit| Find::Range { last, step, limit };
        assert_eq!(keys(Begin::Index(1), range(0, 1, 0), &["get", "a"]), Some(vec![1]));
        assert_eq!(keys(Begin::Index(1), range(-1, 2, 0), &["mset", "a", "b", "c", "d"]), Some(vec![1, 3]));
        let xread = ["xread", "block", "0", "streams", "a", "b", "1", "2"];
        assert_eq!(keys(Begin::Keyword("STREAMS", 1), range(-1, 1, 2), &xread), Some(vec![4, 5]));
        assert_eq!(keys(Begin::Keyword("STREAMS", 1), range(-1, 1, 2), &["xread", "a"]), Some(vec![]));
        assert_eq!(keys(Begin::Index(1), range(5, 1, 0), &["x", "a"]), None);
    }

    #[test]
    fn counted_keys_are_bounded_by_the_request() {
        let find = Find::KeyNum { index: 0, first: 1, step: 1 };
        assert_eq!(keys(Begin::Index(2), find, &["eval", "x", "2", "a", "b", "c"]), Some(vec![3, 4]));
        assert_eq!(keys(Begin::Index(2), find, &["eval", "x", "9", "a"]), None);
        assert_eq!(keys(Begin::Index(2), find, &["eval", "x", "9223372036854775807", "a"]), None);
        assert_eq!(keys(Begin::Index(2), find, &["eval", "x", "-1", "a"]), None);
        assert_eq!(keys(Begin::Index(2), find, &["eval", "x", "y"]), None);
        assert_eq!(keys(Begin::Index(2), find, &["eval", "x", "0"]), Some(vec![]));
        // What Redis reads with less care.
        for text in ["4294967297", "-4294967295", "1.5", " 1x", "+1"] {
            assert_eq!(keys(Begin::Index(2), find, &["eval", "x", text, "a", "b"]), Some(vec![3]), "{text}");
        }
        for text in ["4294967296", "4294967299", "18446744073709551617", "-9223372036854775808", ""] {
            assert_eq!(keys(Begin::Index(2), find, &["eval", "x", text, "a", "b"]), None, "{text}");
        }
    }

    #[test]
    fn the_legacy_range_covers_what_is_contiguous() {
        const fn spec(index: i32, last: i32) -> KeySpec {
            let find = Find::Range { last, step: 1, limit: 0 };
            KeySpec { flags: KeyFlags::RO, begin: Begin::Index(index), find, notes: None }
        }
        const KEYWORD: KeySpec = KeySpec { begin: Begin::Keyword("STORE", 2), ..spec(0, 0) };
        let range = |specs: &[KeySpec]| {
            let key_specs = kept(specs.to_vec());
            legacy_range(&Command { key_specs, ..Command::BLANK })
        };
        assert_eq!(range(&[]), (0, 0, 0));
        assert_eq!(range(&[spec(1, 1)]), (1, 2, 1));
        assert_eq!(range(&[spec(1, -1)]), (1, -1, 1));
        assert_eq!(range(&[spec(1, 0), spec(2, 0)]), (1, 2, 1));
        assert_eq!(range(&[spec(2, 0), spec(3, -1)]), (2, -1, 1));
        assert_eq!(range(&[spec(1, 0), KEYWORD]), (1, 1, 1));
        assert_eq!(range(&[KEYWORD]), (0, 0, 0));
    }

    #[test]
    fn a_keyword_is_searched_backwards_too() {
        let find = Find::Range { last: -1, step: 1, limit: 0 };
        let args = ["migrate", "h", "p", "", "0", "9", "keys", "a", "b"];
        assert_eq!(keys(Begin::Keyword("KEYS", -2), find, &args), Some(vec![7, 8]));
        assert_eq!(keys(Begin::Keyword("KEYS", -2), find, &["m"]), Some(vec![]));
    }
}
