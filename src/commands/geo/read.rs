//! Questions about single places: GEODIST, GEOHASH, GEOPOS.

#![forbid(unsafe_code)]

use super::{reply_distance, reply_point, unit};
use crate::base::geohash::Point;
use crate::command::context::Context;
use crate::command::error::{CommandError, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::commands::sorted_set::read_sorted;
use crate::resp::args::Args;

/// `GEODIST`
pub(super) static GEODIST: Command = Command {
    name: "geodist",
    full_name: "geodist",
    summary: "Tells how far two members are from each other.",
    since: "3.2.0",
    group: "geo",
    complexity: "O(1)",
    arity: -4,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::GEO).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("member1", ArgKind::String),
        ArgSpec::new("member2", ArgKind::String),
        super::specs::UNIT.optional(),
    ],
    handler: Some(geodist),
    member_arg: 2,
    ..Command::BLANK
};

/// `GEOHASH`
pub(super) static GEOHASH: Command = Command {
    name: "geohash",
    full_name: "geohash",
    summary: "Writes members' places as geohash.org does.",
    since: "3.2.0",
    group: "geo",
    complexity: "O(1) for each member",
    arity: -2,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::GEO).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("member", ArgKind::String).optional().multiple()],
    handler: Some(geohash),
    ..Command::BLANK
};

/// `GEOPOS`
pub(super) static GEOPOS: Command = Command {
    name: "geopos",
    full_name: "geopos",
    summary: "Answers the coordinates of members.",
    since: "3.2.0",
    group: "geo",
    complexity: "O(1) for each member",
    arity: -2,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::GEO).union(Categories::SLOW),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("member", ArgKind::String).optional().multiple()],
    handler: Some(geopos),
    ..Command::BLANK
};

fn geodist(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let meters = match args.len() {
        4 => 1.0,
        5 => unit(args.get(4))?,
        _ => return Err(SYNTAX),
    };
    let set = read_sorted(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    let place = |index| set?.score(args.get(index)).map(Point::of_score);
    match (place(2), place(3)) {
        (Some(left), Some(right)) => reply_distance(ctx.reply, left.distance_m(right) / meters),
        _ => ctx.reply.null(),
    }
    Ok(())
}

fn geohash(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let set = read_sorted(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    let members = args.skip(2);
    ctx.reply.array(members.len());
    for member in members.iter() {
        match set.and_then(|set| set.score(member)) {
            Some(score) => ctx.reply.bulk(&Point::of_score(score).text()),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn geopos(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let set = read_sorted(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    let members = args.skip(2);
    ctx.reply.array(members.len());
    for member in members.iter() {
        match set.and_then(|set| set.score(member)) {
            Some(score) => reply_point(ctx.reply, Point::of_score(score)),
            None => ctx.reply.null_array(),
        }
    }
    Ok(())
}
