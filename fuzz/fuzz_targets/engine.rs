//! Any bytes as requests to the whole engine: no panic, no endless loop, and every reply is one well-formed value.
//!
//! The first sixteen bytes are played again and again beside the requests: which of two clients sends it, how much time
//! passes before it, whether the cron runs. The rest is what arrives.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use torc::command::session::{SessionFlags, Slot};
use torc::config::Config;
use torc::engine::Engine;
use torc::resp::args::{Args, Span};
use torc::resp::decode::{Value, decode_all};
use torc::resp::parse::{Limits, Parser, Step};
use torc::resp::reply::Reply;

/// Largest bulk, so that an input of some bytes cannot ask for half a gigabyte with SETRANGE.
const BULK_LEN_MAX: u64 = 1 << 20;

/// Runs one request and decodes what it answered.
fn answer(engine: &mut Engine, slot: Slot, args: Args<'_>) -> Vec<Value> {
    let mut reply = Reply::new(256);
    let prepared = engine.prepare(args);
    engine.execute(slot, &prepared, args, &mut reply);
    decode_all(&reply.to_vec()).expect("a reply is well formed").expect("a reply is complete")
}

fuzz_target!(|data: &[u8]| {
    let Some((controls, requests)) = data.split_at_checked(16) else { return };
    let mut config = Config::default();
    config.proto_max_bulk_len = BULK_LEN_MAX as _;
    let mut engine = Engine::for_console_with(config);
    // Connected before a password can be set, for the questions at the end.
    engine.run(&["PING"]);
    let clients = [engine.connect(0), engine.connect(1)];
    let limits = Limits { bulk_len_max: BULK_LEN_MAX, authenticated: true };
    let (mut parser, mut spans, mut blobs) = (Parser::new(), Vec::<Span>::new(), Vec::<Bytes>::new());
    for control in controls.iter().cycle() {
        match parser.next(requests, &limits, &mut spans, &mut blobs) {
            Step::Command => {}
            _ => break,
        }
        let slot = clients[usize::from(control & 1)];
        engine.advance_ms([0, 0, 1, 1001][usize::from(control >> 1 & 3)]);
        if control & 8 != 0 {
            engine.cron();
        }
        let args = Args::new(requests, &spans, &blobs);
        let values = answer(&mut engine, slot, args);
        if values.is_empty() && args.get(0).eq_ignore_ascii_case(b"SHUTDOWN") {
            break;
        }
        assert_eq!(values.len(), 1, "one request, one reply");
        spans.clear();
        blobs.clear();
        if engine.session(slot).flags.intersects(SessionFlags::CLOSE_AFTER_REPLY | SessionFlags::CLOSE_ASAP) {
            break;
        }
    }
    // What is counted is what is there, and keys whose time is over that nobody came upon.
    let keys = engine.run_values(Slot(1000), &["KEYS", "*"]);
    let size = engine.run_values(Slot(1000), &["DBSIZE"]);
    let [Value::Array(keys)] = &keys[..] else { panic!("KEYS answers an array") };
    let [Value::Integer(size)] = &size[..] else { panic!("DBSIZE answers an integer") };
    assert!(keys.len() as i64 <= *size, "{} keys, {size} counted", keys.len());
});
