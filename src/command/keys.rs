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

/// The keys of `args`, which has as many arguments as `command` takes, in argument order of the specifications. Where they
/// say no keys, Redis asks a way of finding that reads numbers with less care and knows nothing of what happens to keys.
pub fn find_keys(command: &Command, args: Args<'_>) -> Result<Vec<FoundKey>, CommandError> {
    let mut keys = Vec::new();
    find(command, args, &mut keys).map(|()| keys)
}

/// The keys that permissions are asked for: those that were found, where not all of them can be told.
pub fn find_keys_to_guard(command: &Command, args: Args<'_>) -> Vec<FoundKey> {
    let mut keys = Vec::new();
    // A command whose keys nobody finds refuses its arguments itself.
    if find(command, args, &mut keys).is_err() && command.key_finder.is_some() {
        keys.clear();
    }
    keys
}

fn find(command: &Command, args: Args<'_>, keys: &mut Vec<FoundKey>) -> Result<(), CommandError> {
    let imprecise = KeyFlags::VARIABLE_FLAGS.union(KeyFlags::INCOMPLETE);
    let is_vague = |spec: &KeySpec| spec.flags.intersects(imprecise) || matches!(spec.begin, Begin::Unknown);
    let needs_finder = command.key_specs.is_empty() || command.key_specs.iter().any(is_vague);
    let find_by_specs =
        |keys: &mut Vec<FoundKey>| command.key_specs.iter().try_for_each(|spec| find_by_spec(spec, args, keys));
    match command.key_finder {
        None => find_by_specs(keys),
        Some(finder) if needs_finder => finder(args, keys),
        Some(finder) => find_by_specs(keys).or_else(|_| {
            keys.clear();
            finder(args, keys)
        }),
    }
}

/// Finds the keys of a command that says in argument `COUNT` how many follow there, and behind them the key that it stores
/// a result in: argument `STORED`, 0 for none.
pub fn find_counted<const STORED: usize, const COUNT: usize>(
    args: Args<'_>,
    keys: &mut Vec<FoundKey>,
) -> Result<(), CommandError> {
    let there = args.len() - COUNT - 1;
    let number =
        usize::try_from(parse_i32_careless(args.get(COUNT))).ok().filter(|&number| 0 < number && number <= there);
    let number = number.ok_or(INVALID_ARGUMENTS)?;
    let indexes = (COUNT + 1..=COUNT + number).chain((STORED > 0).then_some(STORED));
    keys.extend(indexes.map(|index| FoundKey { index, flags: KeyFlags::empty() }));
    Ok(())
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
            let number = parse_i64(text).filter(|&number| number > 0).ok_or(INVALID_ARGUMENTS)?;
            (first, last(number), step)
        }
    };
    if last < first {
        return Err(INVALID_ARGUMENTS);
    }
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
        assert_eq!(keys(Begin::Index(2), find, &["eval", "x", "0"]), None);
        assert_eq!(keys(Begin::Index(2), find, &["eval", "x", "+1", "a"]), None);
    }

    #[test]
    fn a_number_that_specifications_refuse_is_read_with_less_care() {
        let find = Find::KeyNum { index: 0, first: 1, step: 1 };
        let key_specs = kept(vec![KeySpec { flags: KeyFlags::RO, begin: Begin::Index(2), find, notes: None }]);
        let command = Command { key_specs, key_finder: Some(find_counted::<1, 2>), ..Command::BLANK };
        let found = |text: &str| {
            let args = OwnedArgs::from_slices(&["zunionstore", "to", text, "a", "b"]);
            let found = find_keys(&command, args.as_args());
            assert_eq!(find_keys_to_guard(&command, args.as_args()), found.as_deref().unwrap_or_default());
            found.ok().map(|keys| keys.iter().map(|key| (key.index, key.flags)).collect::<Vec<_>>())
        };
        assert_eq!(found("2"), Some(vec![(3, KeyFlags::RO), (4, KeyFlags::RO)]));
        for text in ["4294967297", "-4294967295", "1.5", " 1x", "+1"] {
            assert_eq!(found(text), Some(vec![(3, KeyFlags::empty()), (1, KeyFlags::empty())]), "{text}");
        }
        for text in ["4294967296", "4294967299", "18446744073709551617", "-9223372036854775808", "", "0", "3"] {
            assert_eq!(found(text), None, "{text}");
        }
    }

    #[test]
    fn permissions_are_asked_for_the_keys_that_can_be_told() {
        let spec = |index, last| {
            let find = Find::Range { last, step: 1, limit: 0 };
            KeySpec { flags: KeyFlags::RW, begin: Begin::Index(index), find, notes: None }
        };
        let command = Command { key_specs: kept(vec![spec(1, 0), spec(2, -1)]), ..Command::BLANK };
        let args = OwnedArgs::from_slices(&["pfmerge", "to"]);
        assert!(find_keys(&command, args.as_args()).is_err());
        assert_eq!(find_keys_to_guard(&command, args.as_args()), [FoundKey { index: 1, flags: KeyFlags::RW }]);
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
