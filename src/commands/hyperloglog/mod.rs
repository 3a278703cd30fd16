//! The `hyperloglog` group: strings that tell about how many different elements were added to them. Main thread.

#![forbid(unsafe_code)]

mod count;
mod debug;
mod merge;
mod self_test;

use bytes::BytesMut;

use crate::command::context::Context;
use crate::command::error::{CommandError, WRONG_TYPE};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;
use crate::types::KeyEntry;
use crate::types::hyperloglog::{self, Corrupt, EMPTY, Encoding, Mark};
use crate::types::string::StringRef;

/// Commands of this group.
pub static COMMANDS: &[&Command] = &[&PFADD, &count::PFCOUNT, &debug::PFDEBUG, &merge::PFMERGE, &self_test::PFSELFTEST];

/// `PFADD`
static PFADD: Command = Command {
    name: "pfadd",
    full_name: "pfadd",
    summary: "Adds elements to a HyperLogLog, creating it where there is none.",
    since: "2.8.9",
    group: "hyperloglog",
    complexity: "O(1) for each element",
    arity: -2,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::HYPERLOGLOG).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::INSERT))],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("element", ArgKind::String).optional().multiple()],
    handler: Some(pfadd),
    ..Command::BLANK
};

const NOT_ONE: CommandError = CommandError::fixed("-WRONGTYPE Key is not a valid HyperLogLog string value.");
const CORRUPT: CommandError = CommandError::fixed("-INVALIDOBJ Corrupted HLL object detected");

impl From<Corrupt> for CommandError {
    fn from(_: Corrupt) -> CommandError {
        CORRUPT
    }
}

/// The bytes of a HyperLogLog that a command found.
fn bytes_of(entry: &KeyEntry) -> Result<&[u8], CommandError> {
    checked(entry.as_string().map_err(|_| WRONG_TYPE)?).map(|(bytes, _)| bytes)
}

/// What is no number, has the header and, where every register has its place, the right length.
fn checked(string: StringRef<'_>) -> Result<(&[u8], Encoding), CommandError> {
    let bytes = match string {
        StringRef::Int(_) => return Err(NOT_ONE),
        StringRef::Bytes(bytes) => bytes,
        StringRef::Shared(bytes) => bytes,
    };
    Ok((bytes, hyperloglog::encoding(bytes).ok_or(NOT_ONE)?))
}

fn pfadd(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let sparse_max = ctx.state.config.hll_sparse_max_bytes;
    let (key, hash, now_ms) = (args.get(1), ctx.first_key_hash, ctx.now_ms());
    let mut string = ctx.db().string_mut(key, hash, now_ms).map_err(|_| WRONG_TYPE)?;
    let elements = args.skip(2);
    // The first element that changes something: mostly none does, and then nothing is touched.
    let mut news = Ok(None);
    let is_new = match string.current() {
        None => true,
        Some(string) => {
            let (bytes, _) = checked(string)?;
            news = first_news(bytes, elements);
            false
        }
    };
    let changes = if is_new {
        let added = string.edit_buffer(|buffer| {
            buffer.extend_from_slice(EMPTY);
            add(buffer, elements, sparse_max)
        });
        added? + 1
    } else {
        string.keep_as_raw();
        match news? {
            None => 0,
            Some(first) => string.edit_buffer(|buffer| add(buffer, elements.skip(first), sparse_max))?,
        }
    };
    if changes > 0 {
        ctx.stored(is_new, KeyspaceEvents::STRING, "pfadd", key);
        ctx.state.stats.dirty += changes;
    }
    ctx.reply.integer(i64::from(changes > 0));
    Ok(())
}

fn first_news(bytes: &[u8], elements: Args<'_>) -> Result<Option<usize>, CommandError> {
    for (index, element) in elements.iter().enumerate() {
        if Mark::of(element).is_news(bytes)? {
            return Ok(Some(index));
        }
    }
    Ok(None)
}

/// Adds elements; what was added before a corrupt run was met stays. Returns how many changed something.
fn add(buffer: &mut BytesMut, elements: Args<'_>, sparse_max: usize) -> Result<u64, CommandError> {
    let mut changes = 0;
    let mut result = Ok(false);
    for element in elements.iter() {
        result = Mark::of(element).make(buffer, sparse_max);
        match result {
            Ok(changed) => changes += u64::from(changed),
            Err(Corrupt) => break,
        }
    }
    if changes > 0 {
        hyperloglog::outdate(buffer);
    }
    Ok(result.map(|_| changes)?)
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;

    #[test]
    fn elements_are_added_and_counted() {
        replay(
            r#"
            > PFADD k
            (integer) 1
            > PFADD k
            (integer) 0
            > GET k
            "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xff"
            > OBJECT ENCODING k
            "raw"
            > PFADD k a b c
            (integer) 1
            > PFADD k a
            (integer) 0
            > PFCOUNT k
            (integer) 3
            > PFADD other c d
            (integer) 1
            > PFCOUNT k other missing
            (integer) 4
            > PFMERGE d k other
            OK
            > PFCOUNT d
            (integer) 4
            > PFCOUNT missing
            (integer) 0
            > PFMERGE empty
            OK
            > STRLEN empty
            (integer) 18
            "#,
        );
    }

    #[test]
    fn the_bytes_are_those_of_redis() {
        replay(
            r#"
            > PFADD k a
            (integer) 1
            > GET k
            "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80q\xa6\x84NW"
            > PFCOUNT k
            (integer) 1
            > GET k
            "HYLL\x01\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00q\xa6\x84NW"
            > PFDEBUG DECODE k
            "Z:12711 v:2,1 Z:3672"
            > PFDEBUG ENCODING k
            sparse
            > PFDEBUG TODENSE k
            (integer) 1
            > PFDEBUG TODENSE k
            (integer) 0
            > PFDEBUG ENCODING k
            dense
            > STRLEN k
            (integer) 12304
            > PFADD k a
            (integer) 0
            > PFCOUNT k
            (integer) 1
            > PFDEBUG DECODE k
            (error) ERR HLL encoding is not sparse
            > CONFIG SET hll-sparse-max-bytes 20
            OK
            > PFADD small a
            (integer) 1
            > PFDEBUG encoding small
            dense
            "#,
        );
    }

    #[test]
    fn what_is_none_is_refused() {
        replay(
            r#"
            > RPUSH l a
            (integer) 1
            > MSET s text n 12
            OK
            > PFADD l a
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > PFADD s a
            (error) WRONGTYPE Key is not a valid HyperLogLog string value.
            > PFCOUNT missing n
            (error) WRONGTYPE Key is not a valid HyperLogLog string value.
            > PFMERGE d l
            (error) WRONGTYPE Operation against a key holding the wrong kind of value
            > EXISTS d
            (integer) 0
            > PFDEBUG GETREG missing
            (error) ERR The specified key does not exist
            > PFDEBUG FOO s
            (error) WRONGTYPE Key is not a valid HyperLogLog string value.
            > PFADD k
            (integer) 1
            > PFDEBUG FOO k
            (error) ERR Unknown PFDEBUG subcommand 'FOO'
            "#,
        );
    }

    /// Registers are missing: what is asked of those that are there works, as in Redis.
    #[test]
    fn what_is_corrupt_is_told() {
        replay(
            r#"
            > SET k "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80\x7f\xfe"
            OK
            > PFCOUNT k
            (error) INVALIDOBJ Corrupted HLL object detected
            > PFADD k a
            (integer) 1
            > PFMERGE d k
            (error) INVALIDOBJ Corrupted HLL object detected
            > PFDEBUG TODENSE k
            (error) INVALIDOBJ Corrupted HLL object detected
            > PFDEBUG DECODE k
            "Z:12711 v:2,1 Z:3671"
            > SETRANGE k 15 "\x00"
            (integer) 21
            > PFCOUNT k
            (integer) 0
            > SET k "HYLL\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x80"
            OK
            > PFADD k
            (integer) 0
            > PFADD k a
            (error) INVALIDOBJ Corrupted HLL object detected
            "#,
        );
    }

    #[test]
    fn a_server_can_test_itself() {
        replay("> PFSELFTEST\nOK\n");
    }
}
