//! When fields expire, asked: HTTL, HPTTL, HEXPIRETIME, HPEXPIRETIME.

#![forbid(unsafe_code)]

use super::{FIELDS, NO_COUNT, fields_after, read_hash};
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::resp::args::Args;

/// What the four have in common.
const SHARED: Command = Command {
    since: "7.4.0",
    group: "hash",
    complexity: "O(N), N being the number of fields that are named",
    arity: -5,
    flags: Flags::READONLY.union(Flags::FAST),
    categories: Categories::READ.union(Categories::HASH).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0), FIELDS],
    ..Command::BLANK
};

/// `HTTL`
pub(super) static HTTL: Command = Command {
    name: "httl",
    full_name: "httl",
    summary: "Answers in how many seconds fields expire.",
    tips: &["nondeterministic_output"],
    handler: Some(httl),
    ..SHARED
};

/// `HPTTL`
pub(super) static HPTTL: Command = Command {
    name: "hpttl",
    full_name: "hpttl",
    summary: "Answers in how many milliseconds fields expire.",
    tips: &["nondeterministic_output"],
    handler: Some(hpttl),
    ..SHARED
};

/// `HEXPIRETIME`
pub(super) static HEXPIRETIME: Command = Command {
    name: "hexpiretime",
    full_name: "hexpiretime",
    summary: "Answers the Unix second at which fields expire.",
    handler: Some(hexpiretime),
    ..SHARED
};

/// `HPEXPIRETIME`
pub(super) static HPEXPIRETIME: Command = Command {
    name: "hpexpiretime",
    full_name: "hpexpiretime",
    summary: "Answers the Unix millisecond at which fields expire.",
    handler: Some(hpexpiretime),
    ..SHARED
};

fn httl(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    answer_times(ctx, args, now_ms, 1000)
}

fn hpttl(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    answer_times(ctx, args, now_ms, 1)
}

fn hexpiretime(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    answer_times(ctx, args, 0, 1000)
}

fn hpexpiretime(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    answer_times(ctx, args, 0, 1)
}

/// Answers times counted from `base_ms` in begun units: -1 for fields that stay, -2 for those that are not there.
fn answer_times(ctx: &mut Context<'_>, args: Args<'_>, base_ms: i64, unit_ms: i64) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    let hash = read_hash(ctx.state, ctx.session, args.get(1), ctx.first_key_hash)?;
    let names = fields_after(args, 2, NO_COUNT)?;
    ctx.reply.array(names.len());
    for name in names.iter() {
        ctx.reply.integer(match hash.and_then(|hash| hash.time_of(name)) {
            None => -2,
            Some(None) => -1,
            Some(Some(at_ms)) if at_ms < now_ms => -2,
            Some(Some(at_ms)) => (at_ms - base_ms + unit_ms - 1) / unit_ms,
        });
    }
    Ok(())
}
