//! What HyperLogLogs are made of: PFDEBUG.

#![forbid(unsafe_code)]

use super::checked;
use crate::command::context::Context;
use crate::command::error::{CommandError, WRONG_TYPE};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::resp::args::Args;
use crate::types::hyperloglog::{self, Encoding};

/// `PFDEBUG`
pub(super) static PFDEBUG: Command = Command {
    name: "pfdebug",
    full_name: "pfdebug",
    summary: "Shows the registers of a HyperLogLog and how they are stored; for tests.",
    since: "2.8.9",
    group: "hyperloglog",
    complexity: "N/A",
    arity: 3,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::ADMIN).union(Flags::INTERNAL),
    categories: Categories::WRITE
        .union(Categories::HYPERLOGLOG)
        .union(Categories::ADMIN)
        .union(Categories::SLOW)
        .union(Categories::DANGEROUS),
    key_specs: &[key_specs::one(2, KeyFlags::RW.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::new("subcommand", ArgKind::String), ArgSpec::key("key", 0)],
    handler: Some(pfdebug),
    ..Command::BLANK
};

const NO_KEY: CommandError = CommandError::fixed("The specified key does not exist");
const NOT_SPARSE: CommandError = CommandError::fixed("HLL encoding is not sparse");

fn pfdebug(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (word, key, hash, now_ms) = (args.get(1), args.get(2), ctx.first_key_hash, ctx.now_ms());
    let db = ctx.state.keyspace.db_mut(ctx.session.db);
    let mut string = db.string_mut(key, hash, now_ms).map_err(|_| WRONG_TYPE)?;
    let (_, encoding) = checked(string.current().ok_or(NO_KEY)?)?;
    string.keep_as_raw();
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    if is("GETREG") {
        if encoding == Encoding::Sparse {
            string.edit_buffer(hyperloglog::to_dense)?;
        }
        let (bytes, _) = checked(string.current().ok_or(NO_KEY)?)?;
        let registers = hyperloglog::registers(bytes)?;
        ctx.reply.array(registers.len());
        registers.iter().for_each(|&register| ctx.reply.integer(i64::from(register)));
    } else if is("DECODE") {
        if encoding == Encoding::Dense {
            return Err(NOT_SPARSE);
        }
        let (bytes, _) = checked(string.current().ok_or(NO_KEY)?)?;
        ctx.reply.bulk(hyperloglog::shown_runs(bytes).as_bytes());
    } else if is("ENCODING") {
        ctx.reply.status(if encoding == Encoding::Dense { "dense" } else { "sparse" });
    } else if is("TODENSE") {
        let changed = match encoding {
            Encoding::Sparse => string.edit_buffer(hyperloglog::to_dense)?,
            Encoding::Dense => false,
        };
        ctx.state.stats.dirty += u64::from(changed);
        ctx.reply.integer(i64::from(changed));
    } else {
        return Err(CommandError::quoting("Unknown PFDEBUG subcommand '", word, usize::MAX, "'"));
    }
    Ok(())
}
