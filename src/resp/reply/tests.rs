//! Every encoding byte by byte, and replies read back by the decoder.

use proptest::prelude::*;

use super::*;
use crate::resp::decode::{Value, decode_all};

/// Writes the same reply in RESP2 and RESP3.
fn both(write: impl Fn(&mut Reply)) -> (String, String) {
    let mut texts = [Protocol::Resp2, Protocol::Resp3].map(|protocol| {
        let mut reply = Reply::new(64);
        reply.set_protocol(protocol);
        write(&mut reply);
        reply.to_vec().escape_ascii().to_string()
    });
    (std::mem::take(&mut texts[0]), std::mem::take(&mut texts[1]))
}

#[track_caller]
fn same(write: impl Fn(&mut Reply), bytes: &str) {
    assert_eq!(both(write), (bytes.to_string(), bytes.to_string()));
}

#[track_caller]
fn differs(write: impl Fn(&mut Reply), resp2: &str, resp3: &str) {
    assert_eq!(both(write), (resp2.to_string(), resp3.to_string()));
}

#[test]
fn the_same_in_both_versions() {
    same(Reply::ok, r"+OK\r\n");
    same(Reply::pong, r"+PONG\r\n");
    same(Reply::queued, r"+QUEUED\r\n");
    same(|reply| reply.status("none"), r"+none\r\n");
    same(|reply| reply.status("a\r\nb"), r"+a  b\r\n");
    same(|reply| reply.bulk(b""), r"$0\r\n\r\n");
    same(|reply| reply.bulk(b"a\r\n"), r"$3\r\na\r\n\r\n");
    same(|reply| reply.bulk_integer(-12), r"$3\r\n-12\r\n");
    same(|reply| reply.array(0), r"*0\r\n");
    same(|reply| reply.array(123), r"*123\r\n");
    same(|reply| reply.raw(b"+x\r\n"), r"+x\r\n");
}

#[test]
fn numbers_of_every_length() {
    for number in [0, 1, 9, 10, 99, 100, 101, 9_999, 10_000, i64::MAX, -1, -9, -10, -100, i64::MIN] {
        same(|reply| reply.integer(number), &format!(r":{number}\r\n"));
    }
    for len in [9usize, 10, 31, 32, 99, 100, 999, 1_000, 16_384] {
        let text = "x".repeat(len);
        same(|reply| reply.bulk(text.as_bytes()), &format!(r"${len}\r\n{text}\r\n"));
    }
}

#[test]
fn different_in_the_two_versions() {
    differs(Reply::null, r"$-1\r\n", r"_\r\n");
    differs(Reply::null_array, r"*-1\r\n", r"_\r\n");
    differs(|reply| reply.map(3), r"*6\r\n", r"%3\r\n");
    differs(|reply| reply.set(3), r"*3\r\n", r"~3\r\n");
    differs(|reply| reply.push(3), r"*3\r\n", r">3\r\n");
    differs(|reply| reply.boolean(true), r":1\r\n", r"#t\r\n");
    differs(|reply| reply.boolean(false), r":0\r\n", r"#f\r\n");
    differs(|reply| reply.double(1.5), r"$3\r\n1.5\r\n", r",1.5\r\n");
    differs(|reply| reply.double(3.0), r"$1\r\n3\r\n", r",3\r\n");
    differs(|reply| reply.double(f64::NEG_INFINITY), r"$4\r\n-inf\r\n", r",-inf\r\n");
    differs(|reply| reply.double(f64::NAN), r"$3\r\nnan\r\n", r",nan\r\n");
    differs(|reply| reply.big_number("123"), r"$3\r\n123\r\n", r"(123\r\n");
    differs(|reply| reply.verbatim(b"txt", b"ab"), r"$2\r\nab\r\n", r"=6\r\ntxt:ab\r\n");
    differs(|reply| reply.verbatim(b"txt", b""), r"$0\r\n\r\n", r"=4\r\ntxt:\r\n");
    differs(
        |reply| {
            if reply.attribute(1) {
                reply.ok();
                reply.integer(1);
            }
            reply.integer(2);
        },
        r":2\r\n",
        r"|1\r\n+OK\r\n:1\r\n:2\r\n",
    );
}

#[test]
fn errors() {
    same(|reply| reply.error("syntax error"), r"-ERR syntax error\r\n");
    same(|reply| reply.error("-WRONGTYPE Operation"), r"-WRONGTYPE Operation\r\n");
    same(|reply| reply.error("a\r\nb\nc\r\n\r\n"), r"-ERR a  b c\r\n");
    same(|reply| reply.error(b"got '\xff'"), r"-ERR got \'\xff\'\r\n");
    same(|reply| reply.error(""), r"-ERR \r\n");
}

#[test]
fn errors_are_counted_by_their_code() {
    let mut reply = Reply::new(64);
    assert_eq!((reply.errors_written(), reply.last_error_code()), (0, &b""[..]));
    let long = format!("-{} x", "A".repeat(30));
    let too_long = format!("-{} x", "A".repeat(31));
    for (text, code) in [
        ("syntax error", "ERR"),
        ("-WRONGTYPE Operation against", "WRONGTYPE"),
        ("-NOSPACE", "ERR"),
        (long.as_str(), &long[1..31]),
        (too_long.as_str(), "ERR"),
        ("- x", ""),
    ] {
        let before = reply.errors_written();
        reply.error(text);
        assert_eq!((reply.errors_written(), reply.last_error_code()), (before + 1, code.as_bytes()), "{text}");
    }
    let mark = reply.mark();
    reply.error("again");
    reply.truncate(mark);
    assert_eq!(reply.errors_written(), 7);
}

#[test]
fn large_values_are_referenced() {
    let large = Bytes::from(vec![b'v'; BY_REFERENCE_MIN]);
    let short = large.slice(1..);
    let mut reply = Reply::new(64);
    reply.bulk_shared(&short);
    let (start, position) = (reply.mark(), reply.position());
    assert!(reply.refs_in(0..position).is_empty());
    reply.bulk_shared(&large);
    let middle = reply.mark();
    reply.bulk_shared(&large);
    assert_eq!(reply.bytes_since(start), 2 * (BY_REFERENCE_MIN + 10));
    assert_eq!(reply.refs_in(start.position()..middle.position()).len(), 1);
    assert_eq!(reply.refs_in(middle.position()..reply.position()).len(), 1);
    assert_eq!(reply.bytes(start.position()..middle.position()), b"$16384\r\n\r\n");
    let by_ref = &reply.refs_in(0..reply.position())[0];
    assert_eq!((by_ref.at, by_ref.bytes.as_ptr()), (start.position() + 8, large.as_ptr()));
    let values = decode_all(&reply.to_vec()).expect("well formed").expect("complete");
    assert_eq!(values, [&short, &large, &large].map(|bytes| Value::Bulk(bytes.to_vec())));
    reply.truncate(middle);
    assert_eq!(reply.refs_in(0..reply.position()).len(), 1);
    assert_eq!(reply.position(), middle.position());
}

/// Long replies of every make, with marks and headers in between: the bytes are the same, and the buffer stays small.
#[test]
fn long_replies_stand_in_blocks() {
    const ELEMENTS: usize = 100_000;
    let large = Bytes::from(vec![b'v'; BY_REFERENCE_MIN]);
    let mut reply = Reply::new(128 << 10);
    let mut expected = Vec::new();
    let mut ranges = Vec::new();
    let bulk = |expected: &mut Vec<u8>, reply: &mut Reply, number: usize| {
        let text = format!("element {number}");
        expected.extend_from_slice(format!("${}\r\n{text}\r\n", text.len()).as_bytes());
        reply.bulk(text.as_bytes());
    };
    for round in 0..3 {
        let start = reply.mark();
        let before = expected.len();
        reply.array(ELEMENTS + 2);
        expected.extend_from_slice(format!("*{}\r\n", ELEMENTS + 2).as_bytes());
        (0..ELEMENTS).for_each(|number| bulk(&mut expected, &mut reply, number));
        // What is taken back takes its blocks along.
        let (taken_back, held) = (reply.mark(), reply.bytes_held());
        (0..ELEMENTS).for_each(|number| bulk(&mut Vec::new(), &mut reply, number));
        assert!(reply.bytes_held() > held + ELEMENTS * 15);
        reply.truncate(taken_back);
        assert_eq!(reply.bytes_held(), held);
        reply.bulk_shared(&large);
        expected.extend_from_slice(b"$16384\r\n");
        expected.extend_from_slice(&large);
        expected.extend_from_slice(b"\r\n");
        let (outer, mut inside) = (reply.deferred(), Vec::new());
        let inner = reply.deferred();
        (0..ELEMENTS).for_each(|number| bulk(&mut inside, &mut reply, number));
        reply.end_array(inner, ELEMENTS);
        let mut after = Vec::new();
        (0..ELEMENTS).for_each(|number| bulk(&mut after, &mut reply, round + number));
        reply.end_array(outer, ELEMENTS + 1);
        expected.extend_from_slice(format!("*{}\r\n*{ELEMENTS}\r\n", ELEMENTS + 1).as_bytes());
        expected.extend_from_slice(&inside);
        expected.extend_from_slice(&after);
        assert_eq!(reply.bytes_since(start), expected.len() - before);
        assert_eq!(reply.copied_since(start), expected.len() - before - large.len());
        ranges.push((start.position()..reply.position(), before..expected.len()));
    }
    assert_eq!(reply.to_vec(), expected);
    assert_eq!(reply.bytes_held(), expected.len() - 3 * large.len());
    assert!(reply.slab().len() < 1 << 20, "{}", reply.slab().len());
    for (range, meant) in ranges {
        let (mut sent, mut from) = (Vec::new(), range.start);
        for by_ref in reply.refs_in(range.clone()) {
            sent.extend_from_slice(reply.bytes(from..by_ref.at));
            sent.extend_from_slice(&by_ref.bytes);
            from = by_ref.at;
        }
        sent.extend_from_slice(reply.bytes(from..range.end));
        assert!(sent == expected[meant], "each client gets its own");
    }
    reply.clear(|_| ());
    assert_eq!(reply.bytes_held(), 0);
}

#[test]
fn deferred_headers_nest_and_move_references() {
    let large = Bytes::from(vec![b'v'; BY_REFERENCE_MIN]);
    let mut reply = Reply::new(16);
    reply.set_protocol(Protocol::Resp3);
    reply.bulk_shared(&large);
    let outer = reply.deferred();
    reply.bulk_shared(&large);
    let inner = reply.deferred();
    let map = reply.deferred();
    reply.bulk_shared(&large);
    reply.integer(1);
    reply.end_map(map, 1);
    reply.end_set(inner, 1);
    let empty = reply.deferred();
    reply.end_push(empty, 0);
    for _ in 0..97 {
        reply.integer(7);
    }
    reply.end_array(outer, 100);
    reply.ok();
    let bulk = || Value::Bulk(large.to_vec());
    let mut items = vec![bulk(), Value::Set(vec![Value::Map(vec![(bulk(), Value::Integer(1))])]), Value::Push(vec![])];
    items.extend((0..97).map(|_| Value::Integer(7)));
    let values = decode_all(&reply.to_vec()).expect("well formed").expect("complete");
    assert_eq!(values, [bulk(), Value::Array(items), Value::Status(b"OK".to_vec())]);
}

#[test]
fn deferred_maps_are_flat_in_resp2() {
    differs(
        |reply| {
            let map = reply.deferred();
            reply.bulk(b"k");
            reply.integer(1);
            reply.end_map(map, 1);
        },
        r"*2\r\n$1\r\nk\r\n:1\r\n",
        r"%1\r\n$1\r\nk\r\n:1\r\n",
    );
}

#[test]
fn help_texts() {
    same(
        |reply| reply.help("object", &["ENCODING <key>", "    Text."]),
        concat!(
            r"*5\r\n+OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:\r\n",
            r"+ENCODING <key>\r\n+    Text.\r\n+HELP\r\n+    Print this help.\r\n"
        ),
    );
    same(
        |reply| reply.unknown_subcommand("object", b"nosuch"),
        r"-ERR unknown subcommand or wrong number of arguments for \'nosuch\'. Try OBJECT HELP.\r\n",
    );
    let (text, _) = both(|reply| reply.unknown_subcommand("object", &[b'x'; 200]));
    assert!(text.contains(&format!("\\'{}\\'", "x".repeat(128))));
}

#[test]
fn a_buffer_that_was_outgrown_serves_for_some_turns() {
    let mut reply = Reply::with_buffer(vec![0; 1024]);
    let first = reply.slab().as_ptr();
    reply.raw(&[b'x'; 1024]);
    reply.clear(|_| panic!("it fitted"));
    assert!(reply.is_empty() && reply.slab().as_ptr() == first);
    let mut renewed = Vec::new();
    let mut turn = |reply: &mut Reply, len: usize| {
        reply.raw(&vec![b'x'; len]);
        reply.clear(|memory| renewed.push((memory.as_ptr(), memory.len())));
        assert!(reply.is_empty());
    };
    for _ in 0..3 {
        turn(&mut reply, 100_000);
        (1..MODEST_TURNS_MAX).for_each(|_| turn(&mut reply, 100));
    }
    turn(&mut reply, 1024);
    turn(&mut reply, 1024);
    let now = reply.slab().as_ptr();
    turn(&mut reply, OUTGROWN_BYTES_MAX + 1);
    let lens: Vec<usize> = renewed.iter().map(|(_, len)| *len).collect();
    assert_eq!(lens, [0, 1024, 1024]);
    assert_eq!((renewed[1].0, renewed[2].0), (now, reply.slab().as_ptr()));
}

/// Any reply a command may give, nested a little.
fn value() -> impl Strategy<Value = Value> {
    let text = || prop::collection::vec(any::<u8>(), 0..120);
    let leaf = prop_oneof![
        "[ -~]{0,20}".prop_map(|text| Value::Status(text.into_bytes())),
        "[A-Z]{1,9} [ -~]{0,20}".prop_map(|text| Value::Error(text.into_bytes())),
        any::<i64>().prop_map(Value::Integer),
        (-200..200i64).prop_map(Value::Integer),
        text().prop_map(Value::Bulk),
        Just(Value::Bulk(vec![b'r'; BY_REFERENCE_MIN + 1])),
        Just(Value::Null),
        any::<bool>().prop_map(Value::Boolean),
        text().prop_map(|text| Value::Verbatim(*b"txt", text)),
        "[0-9]{1,40}".prop_map(|digits| Value::BigNumber(digits.into_bytes())),
    ];
    leaf.prop_recursive(4, 40, 12, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..12).prop_map(Value::Array),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Set),
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Push),
            prop::collection::vec((inner.clone(), inner), 0..4).prop_map(Value::Map),
        ]
    })
}

/// Writes `value`; aggregates with their header first or last.
fn write(reply: &mut Reply, value: &Value, deferred: bool) {
    match value {
        Value::Status(text) => reply.status(text),
        Value::Error(text) => reply.error([b"-", &text[..]].concat()),
        Value::Integer(number) => reply.integer(*number),
        Value::Bulk(text) => reply.bulk_shared(&Bytes::from(text.clone())),
        Value::Boolean(yes) => reply.boolean(*yes),
        Value::Verbatim(extension, text) => reply.verbatim(extension, text),
        Value::BigNumber(digits) => reply.big_number(digits),
        Value::Array(items) | Value::Set(items) | Value::Push(items) => {
            let begun = deferred.then(|| reply.deferred());
            if begun.is_none() {
                match value {
                    Value::Array(_) => reply.array(items.len()),
                    Value::Set(_) => reply.set(items.len()),
                    _ => reply.push(items.len()),
                }
            }
            items.iter().for_each(|item| write(reply, item, deferred));
            if let Some(begun) = begun {
                match value {
                    Value::Array(_) => reply.end_array(begun, items.len()),
                    Value::Set(_) => reply.end_set(begun, items.len()),
                    _ => reply.end_push(begun, items.len()),
                }
            }
        }
        Value::Map(pairs) => {
            let begun = deferred.then(|| reply.deferred());
            if begun.is_none() {
                reply.map(pairs.len());
            }
            for (key, value) in pairs {
                write(reply, key, deferred);
                write(reply, value, deferred);
            }
            if let Some(begun) = begun {
                reply.end_map(begun, pairs.len());
            }
        }
        _ => reply.null(),
    }
}

proptest! {
    #[test]
    fn replies_are_read_back(values in prop::collection::vec(value(), 1..4), deferred: bool) {
        let mut reply = Reply::new(16);
        reply.set_protocol(Protocol::Resp3);
        let start = reply.mark();
        values.iter().for_each(|value| write(&mut reply, value, deferred));
        let bytes = reply.to_vec();
        prop_assert_eq!(reply.bytes_since(start), bytes.len());
        prop_assert!(decode_all(&bytes) == Ok(Some(values)));
    }
}
