//! The `bitmap` group: strings as rows of bits. One file per topic, each with the specifications of its commands, their
//! handlers and their tests. Main thread.

#![forbid(unsafe_code)]

mod combine;
mod count;
mod field;
mod single;

use crate::base::integer::parse_i64;
use crate::command::error::CommandError;
use crate::command::spec::Command;
use crate::command::state::State;

/// Commands of this group.
pub static COMMANDS: &[&Command] = &[
    &count::BITCOUNT,
    &field::BITFIELD,
    &field::BITFIELD_RO,
    &combine::BITOP,
    &count::BITPOS,
    &single::GETBIT,
    &single::SETBIT,
];

const BAD_OFFSET: CommandError = CommandError::fixed("bit offset is not an integer or out of range");

/// How long strings may be that commands build, in bytes.
fn len_max(state: &State) -> u64 {
    state.config.proto_max_bulk_len
}

/// Reads the place of a bit, which has to lie within a string of `len_max` bytes.
fn offset(text: &[u8], len_max: u64) -> Result<u64, CommandError> {
    within(parse_i64(text).ok_or(BAD_OFFSET)?, len_max)
}

fn within(offset: i64, len_max: u64) -> Result<u64, CommandError> {
    u64::try_from(offset).ok().filter(|offset| offset / 8 < len_max).ok_or(BAD_OFFSET)
}
