//! Specifications of the commands that search for places.

#![forbid(unsafe_code)]

use super::{radius, search};
use crate::command::spec::{ArgKind, ArgSpec, Begin, Categories, Command, Find, Flags, KeyFlags, KeySpec};
use crate::commands::key_specs;

const READ: &[KeySpec] = &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))];
const READS: Categories = Categories::READ.union(Categories::GEO).union(Categories::SLOW);
const WRITES: Categories = Categories::WRITE.union(Categories::GEO).union(Categories::SLOW);
const COMPLEXITY: &str = "O(N+log(M)), N being the members around the searched area, M those of the sorted set";
const HISTORY: &[(&str, &str)] = &[("7.0.0", "An unsorted search with upper- and lower-case options came.")];

pub(super) const UNIT: ArgSpec = ArgSpec::new("unit", ArgKind::OneOf).children(&[
    ArgSpec::pure_token("m", "M"),
    ArgSpec::pure_token("km", "KM"),
    ArgSpec::pure_token("ft", "FT"),
    ArgSpec::pure_token("mi", "MI"),
]);
const FROM: ArgSpec = ArgSpec::new("from", ArgKind::OneOf).children(&[
    ArgSpec::new("member", ArgKind::String).token("FROMMEMBER"),
    ArgSpec::new("fromlonlat", ArgKind::Block)
        .token("FROMLONLAT")
        .children(&[ArgSpec::new("longitude", ArgKind::Double), ArgSpec::new("latitude", ArgKind::Double)]),
]);
const BY: ArgSpec = ArgSpec::new("by", ArgKind::OneOf).children(&[
    ArgSpec::new("circle", ArgKind::Block).children(&[ArgSpec::new("radius", ArgKind::Double).token("BYRADIUS"), UNIT]),
    ArgSpec::new("box", ArgKind::Block).children(&[
        ArgSpec::new("width", ArgKind::Double).token("BYBOX"),
        ArgSpec::new("height", ArgKind::Double),
        UNIT,
    ]),
]);
const ORDER: ArgSpec = ArgSpec::new("order", ArgKind::OneOf)
    .optional()
    .children(&[ArgSpec::pure_token("asc", "ASC"), ArgSpec::pure_token("desc", "DESC")]);
const COUNT: ArgSpec = ArgSpec::new("count-block", ArgKind::Block)
    .optional()
    .children(&[ArgSpec::new("count", ArgKind::Integer).token("COUNT"), ArgSpec::pure_token("any", "ANY").optional()]);
const COUNT_SINCE: ArgSpec = ArgSpec::new("count-block", ArgKind::Block).optional().children(&[
    ArgSpec::new("count", ArgKind::Integer).token("COUNT"),
    ArgSpec::pure_token("any", "ANY").since("6.2.0").optional(),
]);
const WITH_COORD: ArgSpec = ArgSpec::pure_token("withcoord", "WITHCOORD").optional();
const WITH_DIST: ArgSpec = ArgSpec::pure_token("withdist", "WITHDIST").optional();
const WITH_HASH: ArgSpec = ArgSpec::pure_token("withhash", "WITHHASH").optional();
const STORE: ArgSpec = ArgSpec::new("store", ArgKind::OneOf).optional().children(&[
    ArgSpec::key("storekey", 1).token("STORE").display_text("key"),
    ArgSpec::key("storedistkey", 2).token("STOREDIST").display_text("key"),
]);

/// The key behind a word that may stand from argument `from` on.
const fn behind(word: &'static str, from: i32) -> KeySpec {
    KeySpec {
        flags: KeyFlags::OW.union(KeyFlags::UPDATE),
        begin: Begin::Keyword(word, from),
        find: Find::Range { last: 0, step: 1, limit: 0 },
        notes: None,
    }
}

/// `GEOSEARCH`
pub(super) static GEOSEARCH: Command = Command {
    name: "geosearch",
    full_name: "geosearch",
    summary: "Finds the members within a circle or a box.",
    since: "6.2.0",
    group: "geo",
    complexity: COMPLEXITY,
    arity: -7,
    flags: Flags::READONLY,
    categories: READS,
    key_specs: READ,
    history: HISTORY,
    args: &[ArgSpec::key("key", 0), FROM, BY, ORDER, COUNT, WITH_COORD, WITH_DIST, WITH_HASH],
    handler: Some(search::geosearch),
    ..Command::BLANK
};

/// `GEOSEARCHSTORE`
pub(super) static GEOSEARCHSTORE: Command = Command {
    name: "geosearchstore",
    full_name: "geosearchstore",
    summary: "Stores the members within a circle or a box.",
    since: "6.2.0",
    group: "geo",
    complexity: COMPLEXITY,
    arity: -8,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: WRITES,
    key_specs: &[
        key_specs::one(1, KeyFlags::OW.union(KeyFlags::UPDATE)),
        key_specs::one(2, KeyFlags::RO.union(KeyFlags::ACCESS)),
    ],
    history: HISTORY,
    args: &[
        ArgSpec::key("destination", 0),
        ArgSpec::key("source", 1),
        FROM,
        BY,
        ORDER,
        COUNT,
        ArgSpec::pure_token("storedist", "STOREDIST").optional(),
    ],
    handler: Some(search::geosearchstore),
    ..Command::BLANK
};

const RADIUS_HISTORY: &[(&str, &str)] =
    &[("6.2.0", "The option `ANY` came."), ("7.0.0", "An unsorted search with upper- and lower-case options came.")];

/// `GEORADIUS`
pub(super) static GEORADIUS: Command = Command {
    name: "georadius",
    full_name: "georadius",
    summary: "Finds the members around a place, and may store them.",
    since: "3.2.0",
    group: "geo",
    complexity: COMPLEXITY,
    arity: -6,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLEKEYS),
    categories: WRITES,
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS)), behind("STORE", 6), behind("STOREDIST", 6)],
    key_finder: Some(radius::find_keys),
    deprecated: Some(("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` argument")),
    history: RADIUS_HISTORY,
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("longitude", ArgKind::Double),
        ArgSpec::new("latitude", ArgKind::Double),
        ArgSpec::new("radius", ArgKind::Double),
        UNIT,
        WITH_COORD,
        WITH_DIST,
        WITH_HASH,
        COUNT_SINCE,
        ORDER,
        STORE,
    ],
    handler: Some(radius::georadius),
    ..Command::BLANK
};

/// `GEORADIUS_RO`
pub(super) static GEORADIUS_RO: Command = Command {
    name: "georadius_ro",
    full_name: "georadius_ro",
    summary: "Finds the members around a place.",
    since: "3.2.10",
    group: "geo",
    complexity: COMPLEXITY,
    arity: -6,
    flags: Flags::READONLY,
    categories: READS,
    key_specs: READ,
    deprecated: Some(("6.2.0", "`GEOSEARCH` with the `BYRADIUS` argument")),
    history: RADIUS_HISTORY,
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("longitude", ArgKind::Double),
        ArgSpec::new("latitude", ArgKind::Double),
        ArgSpec::new("radius", ArgKind::Double),
        UNIT,
        WITH_COORD,
        WITH_DIST,
        WITH_HASH,
        COUNT_SINCE,
        ORDER,
    ],
    handler: Some(radius::georadius_ro),
    ..Command::BLANK
};

/// `GEORADIUSBYMEMBER`
pub(super) static GEORADIUSBYMEMBER: Command = Command {
    name: "georadiusbymember",
    full_name: "georadiusbymember",
    summary: "Finds the members around another one, and may store them.",
    since: "3.2.0",
    group: "geo",
    complexity: COMPLEXITY,
    arity: -5,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::MOVABLEKEYS),
    categories: WRITES,
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS)), behind("STORE", 5), behind("STOREDIST", 5)],
    key_finder: Some(radius::find_keys),
    deprecated: Some(("6.2.0", "`GEOSEARCH` and `GEOSEARCHSTORE` with the `BYRADIUS` and `FROMMEMBER` arguments")),
    history: RADIUS_HISTORY,
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("member", ArgKind::String),
        ArgSpec::new("radius", ArgKind::Double),
        UNIT,
        WITH_COORD,
        WITH_DIST,
        WITH_HASH,
        COUNT,
        ORDER,
        STORE,
    ],
    handler: Some(radius::georadiusbymember),
    ..Command::BLANK
};

/// `GEORADIUSBYMEMBER_RO`
pub(super) static GEORADIUSBYMEMBER_RO: Command = Command {
    name: "georadiusbymember_ro",
    full_name: "georadiusbymember_ro",
    summary: "Finds the members around another one.",
    since: "3.2.10",
    group: "geo",
    complexity: COMPLEXITY,
    arity: -5,
    flags: Flags::READONLY,
    categories: READS,
    key_specs: READ,
    deprecated: Some(("6.2.0", "`GEOSEARCH` with the `BYRADIUS` and `FROMMEMBER` arguments")),
    history: RADIUS_HISTORY,
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("member", ArgKind::String),
        ArgSpec::new("radius", ArgKind::Double),
        UNIT,
        WITH_COORD,
        WITH_DIST,
        WITH_HASH,
        COUNT,
        ORDER,
    ],
    handler: Some(radius::georadiusbymember_ro),
    ..Command::BLANK
};
