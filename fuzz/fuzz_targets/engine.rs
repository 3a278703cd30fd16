//! Any bytes to the whole engine, without sockets: several clients send pieces in turn while time passes. No panic;
//! each command gets exactly one reply that can be decoded, or none where the client is blocked or wants none; refusals close the connection and nothing else does.
//!
//! The input is a list of pieces: a byte that chooses the client and what happens first, the length of the piece in two
//! bytes, and the piece.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use torc::acl::Users;
use torc::command::session::{SessionFlags, Slot};
use torc::config::Config;
use torc::engine::{Engine, Prepared, Verdict};
use torc::resp::args::{Args, Span};
use torc::resp::decode::{Value, decode_all};
use torc::resp::parse::{Limits, Parser, Step};
use torc::resp::reply::Reply;

const CLIENTS: u32 = 3;

/// Longest string that a command may make, so that an input cannot fill the memory of the machine.
const STRING_MAX: u64 = 1 << 20;

/// The connection's part of a client.
#[derive(Default)]
struct Connection {
    parser: Parser,
    buf: Vec<u8>,
    spans: Vec<Span>,
    blobs: Vec<Bytes>,
    receiving: Option<(usize, Vec<u8>)>,
    closed: bool,
}

/// What an input must not do to the process it runs in: move its folder, lift the limits above, open sockets, or write
/// files of its choice.
fn is_off_limits(args: Args<'_>) -> bool {
    let is = |index: usize, word: &str| args.len() > index && args.get(index).eq_ignore_ascii_case(word.as_bytes());
    let names = [
        "aclfile",
        "bind",
        "client-query-buffer-limit",
        "dir",
        "logfile",
        "pidfile",
        "port",
        "proto-max-bulk-len",
        "tls-port",
        "unixsocket",
        "unixsocketperm",
    ];
    is(0, "config") && is(1, "set") && (2..args.len()).any(|index| names.iter().any(|name| is(index, name)))
}

/// Whether a command need not be answered: `flags` are those of its client before and after it.
fn may_be_silent(prepared: &Prepared, flags: SessionFlags) -> bool {
    let silent = SessionFlags::MUTED | SessionFlags::REPLY_SKIP_NEXT | SessionFlags::BLOCKED;
    let name = prepared.command.map_or("", |command| command.full_name);
    flags.intersects(silent) || name == "client|reply" || name == "monitor"
}

/// Whether nothing stands against running a command.
fn runs(prepared: &Prepared) -> bool {
    matches!(prepared.verdict, Verdict::Run | Verdict::Shows)
}

/// Whether a command is answered once for each name it gives, even by a client that gets no replies; and what may contain
/// such a command.
fn confirms(prepared: &Prepared) -> bool {
    let name = prepared.command.map_or("", |command| command.full_name);
    runs(prepared) && (name.ends_with("subscribe") || name == "exec")
}

/// Runs one request and checks what comes of it.
fn run(engine: &mut Engine, slot: Slot, args: Args<'_>) {
    let before = engine.session(slot).flags;
    // A server keeps the commands of a blocked client until it is unblocked.
    if is_off_limits(args) || before.contains(SessionFlags::BLOCKED) {
        return;
    }
    let mut reply = Reply::new(64);
    let prepared = engine.prepare(args);
    engine.prefetch_bucket(slot, &prepared);
    engine.prefetch_entries(std::iter::once((slot, &prepared)));
    engine.execute(slot, &prepared, || args, &mut reply);
    let values = decode_all(&reply.to_vec()).expect("a reply is well formed").expect("a reply is complete");
    let flags = engine.session(slot).flags;
    let effects = engine.state.effects.take();
    if prepared.verdict == Verdict::CrossProtocol {
        assert!(values.is_empty() && flags.contains(SessionFlags::CLOSE_ASAP), "{args:?}: {values:?}");
    } else if effects.shutdown.is_some() {
        assert!(values.len() <= 1, "{args:?}: {values:?}");
    } else if confirms(&prepared) {
        assert!(!values.is_empty() || may_be_silent(&prepared, before | flags), "{args:?}: {values:?}");
    } else if may_be_silent(&prepared, before | flags) {
        assert!(values.len() <= 1, "{args:?}: {values:?}");
    } else if before.contains(SessionFlags::TRACKING) && matches!(values.first(), Some(Value::Push(_))) {
        // A flush tells its caller first, and so does a table of tracked keys that is too large.
        let told = values.iter().take_while(|value| matches!(value, Value::Push(_))).count();
        assert_eq!(values.len(), told + 1, "{args:?}: {values:?}");
    } else {
        assert_eq!(values.len(), 1, "{args:?}: {values:?}");
    }
    if !values.is_empty() && !runs(&prepared) && prepared.verdict != Verdict::CrossProtocol {
        assert!(matches!(values[0], Value::Error(_)), "{args:?}: {values:?}");
    }
    for victim in effects.kill {
        assert!(victim != slot, "the caller is closed by its flags");
    }
}

impl Connection {
    fn receive(&mut self, engine: &mut Engine, slot: Slot, mut piece: &[u8]) {
        let limits = Limits { bulk_len_max: STRING_MAX, authenticated: engine.state.lets_in(engine.session(slot)) };
        if let Some((len, mut blob)) = self.receiving.take() {
            let (taken, rest) = piece.split_at(piece.len().min(len - blob.len()));
            blob.extend_from_slice(taken);
            if blob.len() < len {
                self.receiving = Some((len, blob));
                return;
            }
            self.parser.blob_received(Bytes::from(blob), &mut self.spans, &mut self.blobs);
            piece = rest;
        }
        self.buf.extend_from_slice(piece);
        while !self.closed {
            match self.parser.next(&self.buf, &limits, &mut self.spans, &mut self.blobs) {
                Step::Command => {
                    run(engine, slot, Args::new(&self.buf, &self.spans, &self.blobs));
                    self.spans.clear();
                    self.blobs.clear();
                    let closing = SessionFlags::CLOSE_ASAP | SessionFlags::CLOSE_AFTER_REPLY;
                    self.closed = engine.session(slot).flags.intersects(closing);
                }
                Step::NeedMore => break,
                Step::NeedBlob { len } => {
                    self.receiving = Some((len, self.buf.split_off(self.parser.position())));
                    break;
                }
                Step::Failed(error) => {
                    let mut reply = Reply::new(64);
                    engine.protocol_error(slot, error, &mut reply);
                    assert!(engine.session(slot).flags.contains(SessionFlags::CLOSE_AFTER_REPLY));
                    self.closed = true;
                }
            }
        }
    }
}

fuzz_target!(|data: &[u8]| {
    let mut engine = Engine::for_console_with(Config { proto_max_bulk_len: STRING_MAX, ..Config::default() });
    let mut connections: Vec<Connection> = (0..CLIENTS).map(|_| Connection::default()).collect();
    (0..CLIENTS).for_each(|slot| {
        engine.connect(slot);
    });
    let mut rest = data;
    while let [control, high, low, bytes @ ..] = rest {
        let client = u32::from(*control) % CLIENTS;
        match control >> 4 {
            0 => engine.advance_ms(1),
            1 => engine.advance_ms(10_000),
            2 => {
                engine.cron();
            }
            3 => engine.before_sleep(),
            4 => engine.run_timers(),
            _ => {}
        }
        let len = usize::from(u16::from_be_bytes([*high, *low])).min(bytes.len());
        let (piece, after) = bytes.split_at(len);
        rest = after;
        let killed = engine.session(Slot(client)).flags.contains(SessionFlags::CLOSE_ASAP);
        let connection = &mut connections[client as usize];
        if connection.closed || killed {
            engine.client_gone(Slot(client));
            engine.connect(client);
            *connection = Connection::default();
        }
        connection.receive(&mut engine, Slot(client), piece);
    }
    // What is there and what is counted agree: keys that have expired may still be counted, and no others.
    engine.state.users = Users::default();
    engine.state.pause = None;
    let observer = engine.connect(CLIENTS);
    let keys = engine.run_values(observer, &["KEYS", "*"]);
    let [Value::Array(keys)] = &keys[..] else { panic!("KEYS answers an array, not {keys:?}") };
    let db = engine.state.keyspace.db(0);
    assert!(keys.len() <= db.len() && db.len() - keys.len() <= db.expires_len(), "{} of {}", keys.len(), db.len());
});
