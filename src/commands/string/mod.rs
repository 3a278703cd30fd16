//! The `string` group: values that are bytes or numbers. One file per topic, each with the specifications of its
//! commands, their handlers and their tests. Main thread.

#![forbid(unsafe_code)]

use crate::base::integer;
use crate::command::error::{CommandError, NOT_AN_INTEGER, WRONG_TYPE};
use crate::command::spec::Command;
use crate::resp::args::Args;
use crate::resp::reply::Reply;
use crate::types::string::StringRef;
use crate::types::{KeyEntry, NewValue};

mod expiry;
mod extend;
mod get;
mod lcs;
mod many;
mod number;
mod range;
mod set;

/// Commands of this group.
pub static COMMANDS: &[&Command] = &[
    &extend::APPEND,
    &number::DECR,
    &number::DECRBY,
    &get::GET,
    &get::GETDEL,
    &get::GETEX,
    &range::GETRANGE,
    &set::GETSET,
    &number::INCR,
    &number::INCRBY,
    &number::INCRBYFLOAT,
    &lcs::LCS,
    &many::MGET,
    &many::MSET,
    &many::MSETNX,
    &set::PSETEX,
    &set::SET,
    &set::SETEX,
    &set::SETNX,
    &extend::SETRANGE,
    &get::STRLEN,
    &range::SUBSTR,
];

/// A string grew past `proto-max-bulk-len`.
const TOO_LONG: CommandError = CommandError::fixed("string exceeds maximum allowed size (proto-max-bulk-len)");

/// Argument `index` as the value to store: canonical number text as a number, a big argument as the allocation it
/// arrived in, anything else as bytes.
#[inline]
fn argument_value(args: Args<'_>, index: usize) -> NewValue<'_> {
    match args.blob(index) {
        Some(blob) => NewValue::shared(blob),
        None => NewValue::string(args.get(index)),
    }
}

/// Answers the string of `entry`: a large one by reference.
#[inline]
fn reply_string(reply: &mut Reply, entry: &KeyEntry) -> Result<(), CommandError> {
    match entry.as_string().map_err(|_| WRONG_TYPE)? {
        StringRef::Int(number) => reply.bulk_integer(number),
        StringRef::Bytes(bytes) => reply.bulk(bytes),
        StringRef::Shared(bytes) => reply.bulk_shared(bytes),
    }
    Ok(())
}

/// Argument `index` as an integer.
#[inline]
fn integer_argument(args: Args<'_>, index: usize) -> Result<i64, CommandError> {
    integer::parse_i64(args.get(index)).ok_or(NOT_AN_INTEGER)
}
