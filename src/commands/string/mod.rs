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

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use crate::engine::Engine;
    use crate::resp::args::{Args, OwnedArgs, Span};
    use crate::resp::reply::Reply;

    fn set_and_get(value: &Bytes) -> Reply {
        let mut engine = Engine::for_console();
        let slot = engine.connect(1);
        let mut reply = Reply::new(64);
        let (base, blobs) = (b"SETGETk", [value.clone()]);
        let (set, get, key) = (Span::in_buffer(0, 3), Span::in_buffer(3, 3), Span::in_buffer(6, 1));
        for spans in [&[set, key, Span::in_blob(0)][..], &[get, key]] {
            let args = Args::new(base, spans, &blobs);
            let prepared = engine.prepare(args);
            engine.execute(slot, &prepared, || args, &mut reply);
        }
        reply
    }

    #[test]
    fn a_big_value_is_neither_copied_in_nor_out() {
        let value = Bytes::from(vec![b'x'; 100_000]);
        let reply = set_and_get(&value);
        let references = reply.refs_in(0..reply.position());
        assert_eq!(references.len(), 1);
        assert_eq!(references[0].bytes.as_ptr(), value.as_ptr());
    }

    #[test]
    fn a_small_blob_is_stored_like_any_other_value() {
        let reply = set_and_get(&Bytes::from_static(b"17"));
        assert_eq!(reply.to_vec(), b"+OK\r\n$2\r\n17\r\n");
        assert!(reply.refs_in(0..reply.position()).is_empty());
    }

    #[test]
    fn a_reply_by_reference_outlives_what_happens_to_the_value() {
        let mut engine = Engine::for_console();
        let slot = engine.connect(1);
        let big = vec![b'x'; 20_000];
        engine.run(&[&b"SET"[..], b"k", &big]);
        let mut reply = Reply::new(64);
        for args in [&[&b"GET"[..], b"k"][..], &[b"GETRANGE", b"k", b"0", b"16999"], &[b"SETRANGE", b"k", b"0", b"y"]] {
            let args = OwnedArgs::from_slices(args);
            let prepared = engine.prepare(args.as_args());
            engine.execute(slot, &prepared, || args.as_args(), &mut reply);
        }
        assert_eq!(reply.refs_in(0..reply.position()).len(), 2);
        let mut expected = b"$20000\r\n".to_vec();
        expected.extend_from_slice(&big);
        expected.extend_from_slice(b"\r\n$17000\r\n");
        expected.extend_from_slice(&big[..17_000]);
        expected.extend_from_slice(b"\r\n:20000\r\n");
        assert_eq!(reply.to_vec(), expected);
        assert_eq!(engine.run(&["GETRANGE", "k", "0", "1"]), "\"yx\"");
    }
}
