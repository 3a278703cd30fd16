//! Tests of the simulated network itself: each misbehaviour happens when it is asked for, and each breach of the
//! contract is caught. What both back ends have in common is tested in `io::conformance`.

use std::fs::File;
use std::time::Duration;

use bytes::Bytes;

use super::{PeerEnd, PeerId, SimIo, SimOptions};
use crate::io::{Completion, ConnId, Errno, Io, ListenerId, Received, RecvEnd, Segment, SoftSend, TurnOutput};

const ALWAYS: u32 = 1000;

fn listening(options: SimOptions) -> (SimIo, ListenerId) {
    let mut io = SimIo::new(7, options);
    let listener = io.listen(File::open("/dev/null").unwrap().into());
    (io, listener)
}

/// A network with one accepted connection.
fn connected(options: SimOptions) -> (SimIo, PeerId, ConnId) {
    let (mut io, listener) = listening(SimOptions::calm());
    let peer = io.connect(listener);
    let completions = step(&mut io);
    let [Completion::Accepted { conn, .. }] = completions[..] else { panic!("{completions:?}") };
    io.set_options(options);
    (io, peer, conn)
}

fn step(io: &mut SimIo) -> Vec<Completion> {
    io.turn(TurnOutput::NONE, None).unwrap();
    let mut completions = Vec::new();
    io.poll(&mut completions).unwrap();
    completions
}

/// One turn with one soft send of `bytes`.
fn soft(io: &mut SimIo, conn: ConnId, bytes: &[u8]) -> Vec<Completion> {
    let segments = [Segment::Slab(0..bytes.len())];
    let sends = [SoftSend { conn, segments: 0..1 }];
    io.turn(TurnOutput { slab: bytes, shared: &[], segments: &segments, sends: &sends }, None).unwrap();
    let mut completions = Vec::new();
    io.poll(&mut completions).unwrap();
    completions
}

fn received(completions: &[Completion]) -> Received {
    match completions {
        [Completion::Received { bytes, .. }, ..] => *bytes,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_calm_network_delivers_everything_at_once() {
    let (mut io, peer, conn) = connected(SimOptions::calm());
    io.recv_start(conn);
    io.peer_write(peer, b"hello");
    let completions = step(&mut io);
    assert_eq!(io.bytes(received(&completions)), b"hello");
    io.recycle();
    assert!(soft(&mut io, conn, b"world").is_empty());
    assert_eq!(io.peer_read(peer), b"world");
    io.peer_shutdown(peer);
    assert!(matches!(step(&mut io)[..], [Completion::RecvEnded { end: RecvEnd::Eof, .. }]));
    io.close(conn);
    assert_eq!(io.peer_closed(peer), Some(PeerEnd::Eof));
    assert_eq!((io.open_connections(), io.slots_in_use(), io.bytes_out()), (0, 0, 0));
    assert!(io.idle());
}

#[test]
fn time_passes_only_when_a_turn_waits_in_vain() {
    let (mut io, peer, conn) = connected(SimOptions::calm());
    io.recv_start(conn);
    let wait = Some(Duration::from_millis(100));
    io.turn(TurnOutput::NONE, wait).unwrap();
    assert_eq!(io.waited_us(), 100_000);
    io.peer_write(peer, b"x");
    io.turn(TurnOutput::NONE, wait).unwrap();
    io.turn(TurnOutput::NONE, wait).unwrap();
    assert_eq!(io.waited_us(), 100_000, "a completion waits to be polled");
}

#[test]
fn the_same_seed_gives_the_same_history() {
    let history = |seed| {
        let mut io = SimIo::new(seed, SimOptions::rough());
        let listener = io.listen(File::open("/dev/null").unwrap().into());
        let mut text = String::new();
        for _ in 0..10 {
            let peer = io.connect(listener);
            io.peer_write(peer, &[b'x'; 500]);
        }
        for _ in 0..50 {
            for completion in step(&mut io) {
                text.push_str(&format!("{completion:?}\n"));
                match completion {
                    Completion::Accepted { conn, .. } => io.recv_start(conn),
                    Completion::AcceptEnded { listener, .. } => io.accept_again(listener),
                    Completion::RecvEnded { conn, .. } => io.recv_start(conn),
                    _ => {}
                }
            }
            io.recycle();
        }
        text
    };
    assert_eq!(history(1), history(1));
    assert_ne!(history(1), history(2));
}

#[test]
fn soft_sends_go_short() {
    let (mut io, peer, conn) = connected(SimOptions { soft_again: ALWAYS, ..SimOptions::calm() });
    assert!(matches!(soft(&mut io, conn, b"abc")[..], [Completion::SendShort { sent: Ok(0), .. }]));
    io.set_options(SimOptions { soft_short: ALWAYS, ..SimOptions::calm() });
    let completions = soft(&mut io, conn, b"abc");
    let [Completion::SendShort { sent: Ok(sent @ 1..=2), .. }] = completions[..] else { panic!("{completions:?}") };
    assert_eq!(io.peer_read(peer), b"abc"[..sent]);
    assert_eq!(io.stats().sends_short, 2);
}

#[test]
fn a_peer_that_does_not_read_blocks_the_sender() {
    let (mut io, peer, conn) = connected(SimOptions::calm());
    io.peer_window(peer, 4);
    assert!(matches!(soft(&mut io, conn, b"abcdef")[..], [Completion::SendShort { sent: Ok(4), .. }]));
    io.send(conn, vec![Bytes::from_static(b"ef"), Bytes::from_static(b"gh")], 0);
    assert!(step(&mut io).is_empty() && io.idle());
    assert_eq!(io.peer_read(peer), b"abcd");
    assert!(!io.idle());
    let completions = step(&mut io);
    assert!(matches!(&completions[..], [Completion::Sent { sent: Ok(4), chunks, .. }] if chunks.len() == 2));
    assert_eq!(io.peer_read(peer), b"efgh");
}

#[test]
fn owned_sends_go_short_start_at_their_offset_and_may_be_cancelled() {
    let (mut io, peer, conn) = connected(SimOptions { send_again: ALWAYS, ..SimOptions::calm() });
    let chunks = || vec![Bytes::from_static(b"-abcd"), Bytes::from_static(b"ef")];
    io.send(conn, chunks(), 1);
    assert!(matches!(step(&mut io)[..], [Completion::Sent { sent: Ok(0), .. }]));
    io.set_options(SimOptions { send_short: ALWAYS, ..SimOptions::calm() });
    io.send(conn, chunks(), 1);
    let completions = step(&mut io);
    let [Completion::Sent { sent: Ok(sent @ 1..=5), .. }] = completions[..] else { panic!("{completions:?}") };
    assert_eq!(io.peer_read(peer), b"abcdef"[..sent]);
    io.set_options(SimOptions { cancelled: ALWAYS, ..SimOptions::calm() });
    io.send(conn, chunks(), 1);
    assert!(matches!(step(&mut io)[..], [Completion::Sent { sent: Err(Errno(libc::ECANCELED)), .. }]));
    assert!(io.peer_faulted(peer));
}

#[test]
fn a_connection_may_break_in_the_middle_of_a_send() {
    let (mut io, peer, conn) = connected(SimOptions { reset: ALWAYS, ..SimOptions::calm() });
    io.recv_start(conn);
    let completions = soft(&mut io, conn, b"abcdef");
    assert!(completions.iter().any(|completion| matches!(completion, Completion::SendShort { .. })));
    assert!(io.peer_faulted(peer) && io.peer_read(peer).len() < 6);
    let mut ended = completions;
    ended.extend(step(&mut io));
    let reset = RecvEnd::Failed(Errno(libc::ECONNRESET));
    assert!(ended.iter().any(|done| matches!(done, Completion::RecvEnded { end, .. } if *end == reset)));
    let completions = soft(&mut io, conn, b"g");
    assert!(matches!(completions[..], [Completion::SendShort { sent: Err(_), .. }]));
}

#[test]
fn receives_are_split_starved_and_given_up() {
    let (mut io, peer, conn) = connected(SimOptions { receive_split: ALWAYS, ..SimOptions::calm() });
    io.recv_start(conn);
    io.peer_write(peer, b"0123456789");
    let completions = step(&mut io);
    assert!(completions.len() > 1);
    let whole: Vec<u8> = completions
        .iter()
        .flat_map(|completion| match completion {
            Completion::Received { bytes, .. } => io.bytes(*bytes).to_vec(),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(whole, b"0123456789");
    io.recycle();

    io.set_options(SimOptions { starved: ALWAYS, ..SimOptions::calm() });
    io.peer_write(peer, b"ab");
    assert!(matches!(step(&mut io)[..], [Completion::RecvEnded { end: RecvEnd::Rearm, .. }]));
    assert_eq!(io.stats().starved, 1);

    io.set_options(SimOptions { early_end: ALWAYS, receive_max: 1, ..SimOptions::calm() });
    io.recv_start(conn);
    let completions = step(&mut io);
    assert_eq!(io.bytes(received(&completions)), b"a");
    assert!(matches!(completions[1..], [Completion::RecvEnded { end: RecvEnd::Rearm, .. }]));
}

#[test]
fn buffers_run_out_until_they_are_recycled() {
    let (mut io, peer, conn) = connected(SimOptions { buffers: 4, receive_max: 4, ..SimOptions::calm() });
    io.recv_start(conn);
    io.peer_write(peer, b"abcdefgh");
    let completions = step(&mut io);
    assert!(matches!(completions[1..], [Completion::RecvEnded { end: RecvEnd::Rearm, .. }]));
    io.recv_start(conn);
    assert!(matches!(step(&mut io)[..], [Completion::RecvEnded { end: RecvEnd::Rearm, .. }]));
    io.recycle();
    io.recv_start(conn);
    let completions = step(&mut io);
    assert_eq!(io.bytes(received(&completions)), b"efgh");
}

#[test]
fn a_stop_may_come_late() {
    let (mut io, peer, conn) = connected(SimOptions { late_stop: ALWAYS, ..SimOptions::calm() });
    io.recv_start(conn);
    io.recv_stop(conn);
    io.peer_write(peer, b"late");
    let completions = step(&mut io);
    assert_eq!((io.bytes(received(&completions)), completions.len()), (&b"late"[..], 1));
    io.set_options(SimOptions::calm());
    assert!(matches!(step(&mut io)[..], [Completion::RecvEnded { end: RecvEnd::Stopped, .. }]));
    io.peer_write(peer, b"own");
    io.recv_into(conn, Vec::with_capacity(8), 2);
    let completions = step(&mut io);
    assert!(
        matches!(&completions[..], [Completion::ReceivedInto { bytes, end: None, .. }] if bytes == b"ow"),
        "{completions:?}"
    );
}

#[test]
fn accepts_end_with_and_without_an_error() {
    let (mut io, listener) = listening(SimOptions { accept_emfile: ALWAYS, ..SimOptions::calm() });
    let first = io.connect(listener);
    let completions = step(&mut io);
    assert!(matches!(completions[..], [Completion::AcceptEnded { error: Some(Errno(libc::EMFILE)), .. }]));
    assert!(step(&mut io).is_empty(), "nothing is armed");
    io.set_options(SimOptions { accept_end: ALWAYS, ..SimOptions::calm() });
    io.accept_again(listener);
    let completions = step(&mut io);
    assert!(matches!(completions[..], [Completion::Accepted { .. }, Completion::AcceptEnded { error: None, .. }]));
    assert!(io.peer_conn(first).is_some());
}

#[test]
fn an_overflowed_queue_holds_back_everything_but_short_sends() {
    let (mut io, peer, conn) = connected(SimOptions { soft_again: ALWAYS, ..SimOptions::calm() });
    io.recv_start(conn);
    io.peer_write(peer, b"abc");
    io.turn(TurnOutput::NONE, None).unwrap();
    io.set_options(SimOptions { overflow: ALWAYS, soft_again: ALWAYS, receive_max: 1, ..SimOptions::calm() });
    io.peer_write(peer, b"defgh");
    let mut whole = Vec::new();
    for round in 0..1000 {
        let completions = soft(&mut io, conn, b"x");
        let short = completions.iter().filter(|done| matches!(done, Completion::SendShort { .. })).count();
        assert_eq!(short, 1, "round {round}");
        for completion in completions {
            if let Completion::Received { bytes, .. } = completion {
                whole.extend_from_slice(io.bytes(bytes));
            }
        }
        io.recycle();
    }
    assert_eq!(whole, b"abcdefgh");
    assert!(io.stats().overflows > 0);
}

#[test]
fn reordering_keeps_the_order_within_a_connection() {
    let mut io = SimIo::new(3, SimOptions { reorder: ALWAYS, receive_max: 1, ..SimOptions::calm() });
    let listener = io.listen(File::open("/dev/null").unwrap().into());
    let peers: Vec<PeerId> = (0..8).map(|_| io.connect(listener)).collect();
    for completion in step(&mut io) {
        let Completion::Accepted { conn, .. } = completion else { panic!("{completion:?}") };
        io.recv_start(conn);
    }
    for peer in &peers {
        io.peer_write(*peer, b"0123456789");
    }
    let mut got = vec![Vec::new(); 8];
    let mut slots = Vec::new();
    for completion in step(&mut io) {
        let Completion::Received { conn, bytes } = completion else { panic!("{completion:?}") };
        slots.push(conn.slot);
        got[conn.slot as usize].extend_from_slice(io.bytes(bytes));
    }
    assert!(got.iter().all(|bytes| bytes == b"0123456789"), "{got:?}");
    let runs = slots.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(runs > 7, "connections are mixed: {slots:?}");
}

#[test]
fn nothing_is_delivered_after_close_and_the_slot_comes_back() {
    let (mut io, peer, conn) = connected(SimOptions::calm());
    io.recv_start(conn);
    io.peer_write(peer, b"never seen");
    io.turn(TurnOutput::NONE, None).unwrap();
    io.peer_write(peer, b"unread");
    io.peer_window(peer, 0);
    io.send(conn, vec![Bytes::from_static(b"x")], 0);
    io.close(conn);
    assert_eq!(io.peer_closed(peer), Some(PeerEnd::Reset), "bytes were left unread");
    for _ in 0..10 {
        assert!(step(&mut io).is_empty());
    }
    assert_eq!((io.slots_in_use(), io.bytes_out()), (0, 0));
    io.connect(ListenerId(0));
    let completions = step(&mut io);
    let [Completion::Accepted { conn: next, .. }] = completions[..] else { panic!("{completions:?}") };
    assert_eq!((next.slot, next.generation), (conn.slot, conn.generation + 1));
}

#[test]
fn unlisten_turns_away_those_that_wait() {
    let (mut io, listener) = listening(SimOptions::calm());
    let accepted = io.connect(listener);
    io.turn(TurnOutput::NONE, None).unwrap();
    let waiting = io.connect(listener);
    io.unlisten(listener);
    let late = io.connect(listener);
    assert!(step(&mut io).is_empty());
    for peer in [accepted, waiting, late] {
        assert_eq!(io.peer_closed(peer), Some(PeerEnd::Reset));
    }
    assert_eq!(io.slots_in_use(), 0);
}

#[test]
fn a_watched_descriptor_becomes_readable() {
    let (mut io, _) = listening(SimOptions::calm());
    io.watch(0, 9);
    io.readable(9);
    assert!(matches!(step(&mut io)[..], [Completion::Readable { token: 9 }]));
}

#[test]
#[should_panic(expected = "two sends in flight")]
fn a_second_send_is_caught() {
    let (mut io, peer, conn) = connected(SimOptions::calm());
    io.peer_window(peer, 0);
    io.send(conn, vec![Bytes::from_static(b"x")], 0);
    step(&mut io);
    io.send(conn, vec![Bytes::from_static(b"y")], 0);
}

#[test]
#[should_panic(expected = "a soft send on a connection with an owned send in flight")]
fn a_soft_send_beside_an_owned_one_is_caught() {
    let (mut io, _, conn) = connected(SimOptions::calm());
    io.send(conn, vec![Bytes::from_static(b"x")], 0);
    soft(&mut io, conn, b"y");
}

#[test]
#[should_panic(expected = "a receive is armed already")]
fn a_second_receive_is_caught() {
    let (mut io, _, conn) = connected(SimOptions::calm());
    io.recv_start(conn);
    io.recv_start(conn);
}

#[test]
#[should_panic(expected = "a receive is armed already")]
fn a_receive_before_the_end_of_the_last_was_polled_is_caught() {
    let (mut io, peer, conn) = connected(SimOptions::calm());
    io.recv_start(conn);
    io.peer_shutdown(peer);
    io.turn(TurnOutput::NONE, None).unwrap();
    io.recv_into(conn, Vec::with_capacity(1), 1);
}

#[test]
#[should_panic(expected = "a receive after the close")]
fn use_after_close_is_caught() {
    let (mut io, _, conn) = connected(SimOptions::calm());
    io.close(conn);
    io.recv_start(conn);
}

#[test]
#[should_panic(expected = "a close after the close")]
fn a_second_close_is_caught() {
    let (mut io, _, conn) = connected(SimOptions::calm());
    io.close(conn);
    io.close(conn);
}

#[test]
#[should_panic(expected = "bytes that were recycled")]
fn recycled_bytes_are_caught() {
    let (mut io, peer, conn) = connected(SimOptions::calm());
    io.recv_start(conn);
    io.peer_write(peer, b"x");
    let bytes = received(&step(&mut io));
    io.recycle();
    io.bytes(bytes);
}

#[test]
#[should_panic(expected = "a segment lies outside of the output")]
fn a_segment_outside_of_the_slab_is_caught() {
    let (mut io, _, conn) = connected(SimOptions::calm());
    let segments = [Segment::Slab(0..4)];
    let sends = [SoftSend { conn, segments: 0..1 }];
    let _ = io.turn(TurnOutput { slab: b"abc", shared: &[], segments: &segments, sends: &sends }, None);
}

#[test]
#[should_panic(expected = "a standing accept is armed already")]
fn a_second_accept_is_caught() {
    let (mut io, listener) = listening(SimOptions::calm());
    io.accept_again(listener);
}

#[test]
fn a_refused_peer_reads_the_reason() {
    let (mut io, peer, conn) = connected(SimOptions::calm());
    io.refuse(conn, b"-ERR no\r\n");
    assert_eq!(io.peer_read(peer), b"-ERR no\r\n");
    assert_eq!((io.peer_closed(peer), io.slots_in_use()), (Some(PeerEnd::Eof), 0));
}
