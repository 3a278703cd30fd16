//! Several made one: PFMERGE.

#![forbid(unsafe_code)]

use bytes::BytesMut;

use super::{bytes_of, checked};
use crate::command::context::Context;
use crate::command::error::{CommandError, WRONG_TYPE};
use crate::command::spec::{ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::{key_specs, lookup};
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;
use crate::types::hyperloglog::{self, Corrupt, EMPTY, Encoding, Mark, REGISTERS, Registers};

/// `PFMERGE`
pub(super) static PFMERGE: Command = Command {
    name: "pfmerge",
    full_name: "pfmerge",
    summary: "Adds what was added to some HyperLogLogs to one, creating it where there is none.",
    since: "2.8.9",
    group: "hyperloglog",
    complexity: "O(N), N being the keys, and slow for each",
    arity: -2,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::WRITE.union(Categories::HYPERLOGLOG).union(Categories::SLOW),
    key_specs: &[
        key_specs::one(1, KeyFlags::RW.union(KeyFlags::ACCESS).union(KeyFlags::INSERT)),
        key_specs::rest(2, 1, KeyFlags::RO.union(KeyFlags::ACCESS)),
    ],
    args: &[ArgSpec::key("destkey", 0), ArgSpec::key("sourcekey", 1).optional().multiple()],
    handler: Some(pfmerge),
    ..Command::BLANK
};

fn pfmerge(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let mut registers = [0; REGISTERS];
    let mut any_dense = false;
    let mut result = Ok(());
    lookup::each_key(ctx, args, 1, |ctx, index, hash| {
        if let Some(entry) = lookup::read(ctx.state, ctx.session, args.get(index), hash) {
            result = bytes_of(entry).and_then(|bytes| {
                any_dense |= hyperloglog::encoding(bytes) == Some(Encoding::Dense);
                Ok(hyperloglog::raise_to(bytes, &mut registers)?)
            });
        }
        result.is_ok()
    });
    result?;
    let sparse_max = ctx.state.config.hll_sparse_max_bytes;
    let (key, hash, now_ms) = (args.get(1), ctx.first_key_hash, ctx.now_ms());
    let mut string = ctx.db().string_mut(key, hash, now_ms).map_err(|_| WRONG_TYPE)?;
    let is_new = match string.current() {
        None => true,
        Some(string) => checked(string).map(|_| false)?,
    };
    string.edit_buffer(|buffer| {
        if is_new {
            buffer.extend_from_slice(EMPTY);
        }
        fill(buffer, &registers, any_dense, sparse_max)
    })?;
    // Under the name of the other command.
    ctx.stored(is_new, KeyspaceEvents::STRING, "pfadd", key);
    ctx.state.stats.dirty += 1;
    ctx.reply.ok();
    Ok(())
}

fn fill(buffer: &mut BytesMut, registers: &Registers, dense: bool, sparse_max: usize) -> Result<(), Corrupt> {
    if dense {
        hyperloglog::to_dense(buffer)?;
    }
    for (index, &value) in registers.iter().enumerate().filter(|(_, value)| **value > 0) {
        Mark::at(index, value).make(buffer, sparse_max)?;
    }
    hyperloglog::outdate(buffer);
    Ok(())
}
