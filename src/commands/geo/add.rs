//! Adding places: GEOADD, which is ZADD with scores worked out from coordinates.

#![forbid(unsafe_code)]

use super::point;
use crate::command::context::Context;
use crate::command::error::{CommandError, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::commands::sorted_set::add::{Options, add};
use crate::resp::args::Args;

/// `GEOADD`
pub(super) static GEOADD: Command = Command {
    name: "geoadd",
    full_name: "geoadd",
    summary: "Adds members with their places on the globe, or moves those that are there.",
    since: "3.2.0",
    group: "geo",
    complexity: "O(log(N)) for each member, N being the members of the sorted set",
    arity: -5,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::GEO).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    history: &[("6.2.0", "The options `CH`, `NX` and `XX` came.")],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("condition", ArgKind::OneOf)
            .since("6.2.0")
            .optional()
            .children(&[ArgSpec::pure_token("nx", "NX"), ArgSpec::pure_token("xx", "XX")]),
        ArgSpec::pure_token("change", "CH").since("6.2.0").optional(),
        ArgSpec::new("data", ArgKind::Block).multiple().children(&[
            ArgSpec::new("longitude", ArgKind::Double),
            ArgSpec::new("latitude", ArgKind::Double),
            ArgSpec::new("member", ArgKind::String),
        ]),
    ],
    handler: Some(geoadd),
    ..Command::BLANK
};

fn geoadd(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let mut options = Options::default();
    let mut first = 2;
    while first < args.len() {
        let is = |name: &str| args.get(first).eq_ignore_ascii_case(name.as_bytes());
        match () {
            () if is("NX") => options.only_new = true,
            () if is("XX") => options.only_there = true,
            () if is("CH") => options.counts_changes = true,
            () => break,
        }
        first += 1;
    }
    let places = args.skip(first);
    if places.is_empty() || !places.len().is_multiple_of(3) || (options.only_new && options.only_there) {
        return Err(SYNTAX);
    }
    let score = |index| Ok(point(places.get(3 * index), places.get(3 * index + 1))?.score());
    add(ctx, args.get(1), options, places.len() / 3, score, |index| places.get(3 * index + 2))
}
