//! How many elements there are: PFCOUNT.

#![forbid(unsafe_code)]

use super::bytes_of;
use crate::command::context::Context;
use crate::command::error::{CommandError, WRONG_TYPE};
use crate::command::spec::{ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::{key_specs, lookup};
use crate::resp::args::Args;
use crate::types::hyperloglog::{self, REGISTERS};

/// `PFCOUNT`
pub(super) static PFCOUNT: Command = Command {
    name: "pfcount",
    full_name: "pfcount",
    summary: "Answers about how many different elements were added to any of some HyperLogLogs.",
    since: "2.8.9",
    group: "hyperloglog",
    complexity: "O(1) for one key; O(N), N being the keys, and much slower for each, for more than one",
    arity: -2,
    flags: Flags::READONLY.union(Flags::MAY_REPLICATE),
    categories: Categories::READ.union(Categories::HYPERLOGLOG).union(Categories::SLOW),
    key_specs: &[key_specs::noted(
        key_specs::rest(1, 1, KeyFlags::RW.union(KeyFlags::ACCESS)),
        "RW because the estimate is kept in the key.",
    )],
    args: &[ArgSpec::key("key", 0).multiple()],
    handler: Some(pfcount),
    ..Command::BLANK
};

fn pfcount(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    if args.len() == 2 {
        return count_one(ctx, args.get(1));
    }
    let mut registers = [0; REGISTERS];
    let mut result = Ok(());
    lookup::each_key(ctx, args, 1, |ctx, index, hash| {
        if let Some(entry) = lookup::read(ctx.state, ctx.session, args.get(index), hash) {
            result = bytes_of(entry).and_then(|bytes| Ok(hyperloglog::raise_to(bytes, &mut registers)?));
        }
        result.is_ok()
    });
    result?;
    ctx.reply.integer(hyperloglog::estimate(&registers) as i64);
    Ok(())
}

/// One key keeps its estimate until something is added.
fn count_one(ctx: &mut Context<'_>, key: &[u8]) -> Result<(), CommandError> {
    let hash = ctx.first_key_hash;
    let Some(entry) = lookup::read(ctx.state, ctx.session, key, hash) else {
        ctx.reply.integer(0);
        return Ok(());
    };
    let bytes = bytes_of(entry)?;
    let (known, is_raw) = (hyperloglog::known_estimate(bytes), entry.is_raw());
    let estimate = match known {
        Some(estimate) => Ok(estimate),
        None => hyperloglog::registers(bytes).map(|registers| hyperloglog::estimate(&registers)),
    };
    if known.is_none() || !is_raw {
        let now_ms = ctx.now_ms();
        let mut string = ctx.db().string_mut(key, hash, now_ms).map_err(|_| WRONG_TYPE)?;
        match (known, estimate) {
            (None, Ok(estimate)) => string.edit(0, |bytes| hyperloglog::keep_estimate(bytes, estimate)),
            _ => string.keep_as_raw(),
        }
    }
    let estimate = estimate?;
    if known.is_none() {
        ctx.signal_modified(key);
        ctx.state.stats.dirty += 1;
    }
    ctx.reply.integer(estimate as i64);
    Ok(())
}
