//! The older way to search: GEORADIUS, GEORADIUSBYMEMBER and the two that never store.

#![forbid(unsafe_code)]

use super::point;
use super::search::{Dialect, Search, Target, circle, finish, place_of_member};
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{FoundKey, KeyFlags};
use crate::commands::sorted_set::read_sorted;
use crate::resp::args::Args;

/// Keys where the specifications do not fit, as behind a word without a key: the first one and the last that is stored at.
pub(super) fn find_keys(args: Args<'_>, keys: &mut Vec<FoundKey>) -> Result<(), CommandError> {
    keys.push(FoundKey { index: 1, flags: KeyFlags::RO.union(KeyFlags::ACCESS) });
    let is = |index: usize, name: &str| args.get(index).eq_ignore_ascii_case(name.as_bytes());
    let stored = (FIRST_OPTION..args.len() - 1).rev().find(|&index| is(index, "STORE") || is(index, "STOREDIST"));
    keys.extend(stored.map(|index| FoundKey { index: index + 1, flags: KeyFlags::OW.union(KeyFlags::UPDATE) }));
    Ok(())
}

pub(super) fn georadius(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    around_place(ctx, args, true)
}

pub(super) fn georadius_ro(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    around_place(ctx, args, false)
}

pub(super) fn georadiusbymember(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    around_member(ctx, args, true)
}

pub(super) fn georadiusbymember_ro(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    around_member(ctx, args, false)
}

/// Where the options of GEORADIUSBYMEMBER begin.
const FIRST_OPTION: usize = 5;

fn around_place(ctx: &mut Context<'_>, args: Args<'_>, stores: bool) -> Result<(), CommandError> {
    let (key, hash) = (args.get(1), ctx.first_key_hash);
    let set = read_sorted(ctx.state, ctx.session, key, hash)?;
    let mut search = Search::default();
    search.center = Some(point(args.get(2), args.get(3))?);
    search.set_extent(circle(args.get(4), args.get(5))?);
    search.read_options(args, 6, set, if stores { Dialect::RadiusStore } else { Dialect::Radius })?;
    finish(ctx, (key, hash), &search, Target::of_radius(args, &search))
}

fn around_member(ctx: &mut Context<'_>, args: Args<'_>, stores: bool) -> Result<(), CommandError> {
    let (key, hash) = (args.get(1), ctx.first_key_hash);
    let set = read_sorted(ctx.state, ctx.session, key, hash)?;
    let mut search = Search::default();
    // As in Redis the radius is not looked at where there is no key.
    if let Some(set) = set {
        search.center = Some(place_of_member(set, args.get(2))?);
        search.set_extent(circle(args.get(3), args.get(4))?);
    }
    search.read_options(args, FIRST_OPTION, set, if stores { Dialect::RadiusStore } else { Dialect::Radius })?;
    finish(ctx, (key, hash), &search, Target::of_radius(args, &search))
}
