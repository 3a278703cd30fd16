//! Listeners on a simulated network: quick and slow ones, of both protocols, some of which leave. Whoever stays must hear
//! every message whole and in the order in which all others hear it.

use torc::io::ListenerId;
use torc::io::sim::{Dice, PeerId, SimIo, SimOptions};
use torc::pubsub::Kind;
use torc::server::event_loop::Server;

use super::{TURNS_MAX, assert_empty, at_most, bulk, server, step_until};

/// Histories.
const SEEDS: u64 = 40;
/// Messages of one publisher.
const MESSAGES: usize = 30;
/// What nobody publishes but the test itself, when all others are through.
const LAST: &[u8] = b"the last one";

/// Where the test's own session lies: no connection's.
const OWN_SLOT: u32 = 900;

/// A connection and what came over it.
struct Line {
    peer: PeerId,
    got: Vec<u8>,
    /// How often it reads, in thousandths of the turns.
    reads: u32,
    gone: bool,
}

impl Line {
    fn open(io: &mut SimIo, listener: ListenerId, dice: &mut Dice) -> Line {
        let peer = io.connect(listener);
        Line { peer, got: Vec::new(), reads: [1000, 500, 20][dice.below(3)], gone: false }
    }

    fn read(&mut self, io: &mut SimIo, dice: &mut Dice) {
        if self.gone || !dice.happens(self.reads) {
            return;
        }
        self.got.extend(io.peer_read(self.peer));
        if io.peer_closed(self.peer).is_some() {
            assert!(io.peer_faulted(self.peer), "{:?}: closed by the server without reason", self.peer);
            io.peer_close(self.peer);
            self.gone = true;
        }
    }

    fn leave(&mut self, io: &mut SimIo) {
        if !self.gone {
            io.peer_close(self.peer);
            self.gone = true;
        }
    }
}

/// A publisher's own bytes: its number, the message's, and letters up to any length, now and then one that is sent by
/// reference.
fn payload(dice: &mut Dice, publisher: usize, number: usize) -> Vec<u8> {
    let mut bytes = format!("{publisher} {number} ").into_bytes();
    let len = [0, 10, 300, 5000, 17_000, 40_000][dice.below(6)];
    bytes.resize(bytes.len() + len, b'a' + (number % 26) as u8);
    bytes
}

fn command(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    words.iter().for_each(|word| bytes.extend(bulk(word)));
    bytes
}

/// The payloads of what was heard behind the confirmation; the last one may be incomplete and is left out then.
fn messages(got: &[u8], protocol: u8) -> Vec<Vec<u8>> {
    let kind = if protocol == 3 { '>' } else { '*' };
    let confirmation = [format!("{kind}3\r\n").as_bytes(), &bulk(b"subscribe"), &bulk(b"c"), b":1\r\n"].concat();
    let Some(at) = got.windows(confirmation.len()).position(|bytes| bytes == confirmation) else { return Vec::new() };
    let mut rest = &got[at + confirmation.len()..];
    let head = [format!("{kind}3\r\n").as_bytes(), &bulk(b"message"), &bulk(b"c"), b"$"].concat();
    let mut all = Vec::new();
    while rest.len() > head.len() {
        let body = rest
            .strip_prefix(&head[..])
            .unwrap_or_else(|| panic!("no message: {}", rest[..100.min(rest.len())].escape_ascii()));
        let Some(end) = body.windows(2).position(|bytes| bytes == b"\r\n") else { break };
        let len: usize = std::str::from_utf8(&body[..end]).unwrap().parse().unwrap();
        let Some(text) = body.get(end + 2..end + 2 + len + 2) else { break };
        assert!(text.ends_with(b"\r\n"));
        all.push(text[..len].to_vec());
        rest = &body[end + 2 + len + 2..];
    }
    all
}

/// Steps until `done`.
fn run(
    server: &mut Server<SimIo>,
    dice: &mut Dice,
    lines: &mut [Line],
    what: &str,
    mut done: impl FnMut(&[Line]) -> bool,
) {
    for _ in 0..TURNS_MAX {
        lines.iter_mut().for_each(|line| line.read(server.io(), dice));
        if done(lines) {
            return;
        }
        assert!(server.step().unwrap(), "nobody told the server to end");
    }
    panic!("{what}: not in {TURNS_MAX} turns");
}

fn play(seed: u64) {
    let mut dice = Dice::new(seed.wrapping_mul(77) ^ 0xbeef);
    let options = match seed % 4 {
        0 => SimOptions::calm(),
        1 => SimOptions::rough(),
        _ => SimOptions::by_seed(seed),
    };
    let (mut server, listener) = server(seed, options, at_most(1000));
    let (listeners, publishers) = (dice.between(2, 20), dice.between(1, 5));
    let protocol_of = |index: usize| 2 + (index % 2) as u8;
    let mut lines: Vec<Line> =
        (0..listeners + publishers).map(|_| Line::open(server.io(), listener, &mut dice)).collect();
    for (index, line) in lines.iter().enumerate().take(listeners) {
        let hello = command(&[b"HELLO", protocol_of(index).to_string().as_bytes()]);
        server.io().peer_write(line.peer, &[hello, command(&[b"SUBSCRIBE", b"c"])].concat());
    }
    run(&mut server, &mut dice, &mut lines, "confirmations", |lines| {
        lines.iter().take(listeners).all(|line| line.gone || line.got.ends_with(b"$1\r\nc\r\n:1\r\n"))
    });
    for publisher in 0..publishers {
        let all = (0..MESSAGES).map(|number| payload(&mut dice, publisher, number));
        let bytes: Vec<u8> =
            all.collect::<Vec<_>>().iter().flat_map(|text| command(&[b"PUBLISH", b"c", text])).collect();
        server.io().peer_write(lines[listeners + publisher].peer, &bytes);
    }
    let mut leavers = dice.below(listeners);
    run(&mut server, &mut dice, &mut lines, "replies", |lines| {
        let replies = |line: &Line| line.got.iter().filter(|byte| **byte == b':').count();
        lines.iter().skip(listeners).all(|line| line.gone || replies(line) == MESSAGES)
    });
    for line in lines.iter_mut().take(listeners) {
        if leavers > 0 && dice.happens(300) {
            leavers -= 1;
            line.leave(server.io());
        }
    }
    let own = server.engine().connect(OWN_SLOT);
    server.engine().run_in(own, &[&b"PUBLISH"[..], b"c", LAST]);
    server.engine().client_gone(own);
    run(&mut server, &mut dice, &mut lines, "the last message", |lines| {
        let end = [LAST, b"\r\n"].concat();
        lines.iter().take(listeners).all(|line| line.gone || line.got.ends_with(&end))
    });
    let heard: Vec<Vec<Vec<u8>>> =
        (0..listeners).map(|index| messages(&lines[index].got, protocol_of(index))).collect();
    let longest = heard.iter().max_by_key(|messages| messages.len()).cloned().unwrap_or_default();
    for (index, messages) in heard.iter().enumerate() {
        assert!(longest.starts_with(messages), "listener {index} hears another order");
        assert!(lines[index].gone || messages.len() == longest.len(), "listener {index} misses something");
    }
    for publisher in 0..publishers {
        let prefix = format!("{publisher} ");
        let own = longest.iter().filter(|text| text.starts_with(prefix.as_bytes()));
        for (number, text) in own.enumerate() {
            assert!(text.starts_with(format!("{prefix}{number} ").as_bytes()), "publisher {publisher}, {number}");
        }
    }
    lines.iter_mut().for_each(|line| line.leave(server.io()));
    step_until(&mut server, "the end of all", |server| server.connected() == 0 && server.io().idle());
    let pubsub = &server.engine().state.pubsub;
    assert!(Kind::ALL.iter().all(|kind| pubsub.names_len(*kind) == 0), "subscriptions");
    assert_empty(&mut server);
}

#[test]
fn listeners_hear_the_same_in_the_same_order() {
    if let Ok(seed) = std::env::var("TORC_SIM_SEED") {
        return play(seed.parse().unwrap());
    }
    for seed in 0..SEEDS {
        println!("TORC_SIM_SEED={seed}");
        play(seed);
    }
}
