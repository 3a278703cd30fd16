//! Specifications of SORT and SORT_RO.

#![forbid(unsafe_code)]

use super::sort::{find_first_key, find_keys, sort, sort_ro};
use crate::command::spec::{ArgKind, ArgSpec, Begin, Categories, Command, Find, Flags, KeyFlags, KeySpec};
use crate::commands::key_specs;

const COMPLEXITY: &str = "O(N+M*log(M)), N being the elements of the value and M those that are answered; O(N) where \
                          nothing is sorted";
const READ: KeyFlags = KeyFlags::RO.union(KeyFlags::ACCESS);
const BY_NOTE: &str = "For the optional BY/GET keyword. It is marked 'unknown' because the key names derive from the \
                       content of the key we sort";
const STORE_NOTE: &str = "For the optional STORE keyword. It is marked 'unknown' because the keyword can appear anywhere in \
                          the argument array";
const BY: ArgSpec = pattern("by-pattern", "BY");
const GET: ArgSpec = pattern("get-pattern", "GET").multiple().multiple_token();
const LIMIT: ArgSpec = ArgSpec::new("limit", ArgKind::Block)
    .token("LIMIT")
    .optional()
    .children(&[ArgSpec::new("offset", ArgKind::Integer), ArgSpec::new("count", ArgKind::Integer)]);
const ORDER: ArgSpec = ArgSpec::new("order", ArgKind::OneOf)
    .optional()
    .children(&[ArgSpec::pure_token("asc", "ASC"), ArgSpec::pure_token("desc", "DESC")]);
const SORTING: ArgSpec = ArgSpec::pure_token("sorting", "ALPHA").optional();

/// A pattern of the keys that the second specification stands for.
const fn pattern(name: &'static str, token: &'static str) -> ArgSpec {
    let pattern = ArgSpec::new(name, ArgKind::Pattern).token(token).display_text("pattern").optional();
    ArgSpec { key_spec_index: Some(1), ..pattern }
}

const fn unknown(flags: KeyFlags, notes: &'static str) -> KeySpec {
    KeySpec { flags, begin: Begin::Unknown, find: Find::Unknown, notes: Some(notes) }
}

/// `SORT`
pub(super) static SORT: Command = Command {
    name: "sort",
    full_name: "sort",
    summary: "Sorts a list, a set or a sorted set, and may store the result.",
    since: "1.0.0",
    group: "generic",
    complexity: COMPLEXITY,
    arity: -2,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLEKEYS),
    categories: Categories::WRITE
        .union(Categories::SET)
        .union(Categories::SORTEDSET)
        .union(Categories::LIST)
        .union(Categories::SLOW)
        .union(Categories::DANGEROUS),
    key_specs: &[
        key_specs::one(1, READ),
        unknown(READ, BY_NOTE),
        unknown(KeyFlags::OW.union(KeyFlags::UPDATE), STORE_NOTE),
    ],
    key_finder: Some(find_keys),
    args: &[
        ArgSpec::key("key", 0),
        BY,
        LIMIT,
        GET,
        ORDER,
        SORTING,
        ArgSpec::key("destination", 2).token("STORE").optional(),
    ],
    handler: Some(sort),
    ..Command::BLANK
};

/// `SORT_RO`
pub(super) static SORT_RO: Command = Command {
    name: "sort_ro",
    full_name: "sort_ro",
    summary: "Sorts a list, a set or a sorted set.",
    since: "7.0.0",
    group: "generic",
    complexity: COMPLEXITY,
    arity: -2,
    flags: Flags::READONLY.union(Flags::MOVABLEKEYS),
    categories: Categories::READ
        .union(Categories::SET)
        .union(Categories::SORTEDSET)
        .union(Categories::LIST)
        .union(Categories::SLOW)
        .union(Categories::DANGEROUS),
    key_specs: &[key_specs::one(1, READ), unknown(READ, BY_NOTE)],
    key_finder: Some(find_first_key),
    args: &[ArgSpec::key("key", 0), BY, LIMIT, GET, ORDER, SORTING],
    handler: Some(sort_ro),
    ..Command::BLANK
};
