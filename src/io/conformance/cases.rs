//! What every back end must do.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::echo::Echo;
use super::{Net, RealNet, SimNet, TURNS_MAX};
use crate::io::epoll::EpollIo;
use crate::io::ring::RingIo;
use crate::io::sim::{Dice, SimOptions};
use crate::io::{Completion, ConnId, Io, RecvEnd, Segment, SoftSend, TurnOutput};

/// Seeds of the rough simulated network.
pub(super) const SEEDS: u64 = 20;

macro_rules! on_all_back_ends {
    ($($case:ident),* $(,)?) => {
        mod calm {
            use super::*;
            $(#[test] fn $case() { super::$case(SimNet::new(1, SimOptions::calm())); })*
        }
        mod rough {
            use super::*;
            $(#[test] fn $case() {
                super::$case(SimNet::new(1, SimOptions::rough()));
                for seed in 0..SEEDS {
                    println!("seed {seed}");
                    let options = SimOptions { reset: 0, cancelled: 0, ..SimOptions::by_seed(seed) };
                    super::$case(SimNet::new(seed, options));
                }
            })*
        }
        mod ring_tcp {
            use super::*;
            $(#[test] fn $case() { super::$case(RealNet::<RingIo>::new()); })*
        }
        mod ring_oldest {
            use super::*;
            $(#[test] fn $case() { super::$case(RealNet::<RingIo>::oldest()); })*
        }
        mod ring_bare {
            use super::*;
            $(#[test] fn $case() { super::$case(RealNet::<RingIo>::bare()); })*
        }
        mod ring_unix {
            use super::*;
            $(#[test] fn $case() { super::$case(RealNet::<RingIo>::unix()); })*
        }
        mod epoll_tcp {
            use super::*;
            $(#[test] fn $case() { super::$case(RealNet::<EpollIo>::new()); })*
        }
        mod epoll_unix {
            use super::*;
            $(#[test] fn $case() { super::$case(RealNet::<EpollIo>::unix()); })*
        }
    };
}

on_all_back_ends!(
    echoes,
    echoes_while_receives_change,
    turns_without_waiting_make_progress,
    a_big_reply_goes_short_and_arrives,
    more_segments_than_one_send_takes_arrive,
    a_send_of_many_chunks_arrives,
    a_peer_leaves_in_the_middle_of_a_reply,
    close_with_everything_in_flight,
    a_receive_into_own_memory_stays_within_it,
    a_half_closed_peer_gets_everything,
    connections_come_and_go,
    slots_are_used_again_under_another_generation,
    unlisten_keeps_connections,
    a_refused_peer_sees_the_end,
);

/// `len` bytes that differ by place and by seed.
pub(super) fn pattern(seed: usize, len: usize) -> Vec<u8> {
    let mut dice = Dice::new(seed as u64);
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        bytes.extend(dice.bits().to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Peers write their patterns in random pieces and read until everything came back.
pub(super) fn talk<N: Net>(net: &mut N, echo: &mut Echo, peers: usize, len: usize) {
    let mut dice = Dice::new(peers as u64);
    let wait = net.wait();
    let mut talks: Vec<(usize, Vec<u8>, usize, Vec<u8>)> = Vec::new();
    for index in 0..peers {
        talks.push((net.connect(), pattern(index, len), 0, Vec::new()));
        // The backlog of a listening socket is short.
        while index % 50 == 49 && echo.clients() <= index {
            echo.turn(net, wait);
        }
    }
    for _ in 0..TURNS_MAX {
        for (peer, pattern, written, read) in &mut talks {
            if *written < len {
                let piece = (*written + dice.between(1, len / 2 + 1)).min(len);
                *written += net.write(*peer, &pattern[*written..piece]);
            }
            read.extend(net.read(*peer));
        }
        if talks.iter().all(|(_, _, _, read)| read.len() >= len) {
            break;
        }
        echo.turn(net, wait);
    }
    for (peer, pattern, _, read) in &talks {
        assert!(read == pattern, "peer {peer}: {} of {len} bytes, or others", read.len());
        net.close(*peer);
    }
    for _ in 0..TURNS_MAX {
        if echo.clients() == 0 {
            break;
        }
        echo.turn(net, wait);
    }
    assert_eq!(echo.clients(), 0, "the server sees all of them leave");
    net.settle();
}

fn echoes<N: Net>(mut net: N) {
    let mut echo = Echo::new(&mut net);
    talk(&mut net, &mut echo, 5, 100_000);
    talk(&mut net, &mut echo, 50, 3);
    assert_eq!(echo.accepted, 55);
}

fn echoes_while_receives_change<N: Net>(mut net: N) {
    let mut echo = Echo::new(&mut net).changing(11);
    talk(&mut net, &mut echo, 8, 60_000);
}

fn turns_without_waiting_make_progress<N: Net>(mut net: N) {
    let mut echo = Echo::new(&mut net);
    echo.turn(&mut net, None);
    let peer = net.connect();
    // Turns pass before anything arrives: what was armed then has to come in by a later turn.
    for word in [b"ping", b"pong"] {
        for _ in 0..100 {
            echo.turn(&mut net, None);
        }
        net.write(peer, word);
        let mut read = Vec::new();
        for _ in 0..TURNS_MAX {
            echo.turn(&mut net, None);
            read.extend(net.read(peer));
            if read.len() == 4 {
                break;
            }
        }
        assert_eq!(read, word);
    }
}

/// Sends segments to one connection: softly, then owned, until everything is out; the peer reads slowly.
pub(super) fn send_and_check<N: Net>(
    net: &mut N,
    peer: usize,
    conn: ConnId,
    slab: &[u8],
    shared: &[Bytes],
    segments: &[Segment],
) {
    let sends = [SoftSend { conn, segments: 0..segments.len() }];
    let output = TurnOutput { slab, shared, segments, sends: &sends };
    let whole: Vec<u8> = segments.iter().flat_map(|segment| output.bytes_of(segment).to_vec()).collect();
    let wait = net.wait();
    net.io().turn(output, wait).unwrap();
    let mut completions = Vec::new();
    net.io().poll(&mut completions).unwrap();
    let mut out = Some(whole.len());
    let mut read = Vec::new();
    for turn in 0..TURNS_MAX {
        for completion in completions.drain(..) {
            let sent = match completion {
                Completion::SendShort { sent, .. } => {
                    assert_eq!(turn, 0, "told by the first poll");
                    out = Some(0);
                    sent
                }
                Completion::Sent { sent, .. } => sent,
                Completion::AcceptEnded { listener, .. } => {
                    net.io().accept_again(listener);
                    continue;
                }
                other => panic!("{other:?}"),
            };
            out = out.map(|out| out + sent.unwrap());
            let start = out.unwrap();
            assert!(start <= whole.len());
            if start < whole.len() {
                // The rest in pieces: more of them than one owned send takes.
                let chunks = whole[start..].chunks(4096).map(Bytes::copy_from_slice).collect();
                net.io().send(conn, chunks, 0);
            }
        }
        read.extend(net.read(peer));
        if read.len() == whole.len() && out == Some(whole.len()) {
            break;
        }
        completions = net.step();
    }
    assert!(read == whole, "{} of {} bytes, or others", read.len(), whole.len());
}

fn a_big_reply_goes_short_and_arrives<N: Net>(mut net: N) {
    let (peer, conn) = net.connected();
    let value = Bytes::from(pattern(1, net.too_much()));
    send_and_check(&mut net, peer, conn, &[], &[value], &[Segment::Shared(0)]);
    let slab = pattern(2, net.too_much() / 4);
    let half = slab.len() / 2;
    send_and_check(&mut net, peer, conn, &slab, &[], &[Segment::Slab(0..half), Segment::Slab(half..slab.len())]);
    net.io().close(conn);
    net.settle();
}

fn more_segments_than_one_send_takes_arrive<N: Net>(mut net: N) {
    let (peer, conn) = net.connected();
    let slab = pattern(3, 20_000);
    let shared: Vec<Bytes> = (0..2500).map(|index| Bytes::from(pattern(index, 5))).collect();
    let segments: Vec<Segment> = (0..5000)
        .map(|index| match index % 2 {
            0 => Segment::Slab(index * 4..index * 4 + 4),
            _ => Segment::Shared(index / 2),
        })
        .collect();
    send_and_check(&mut net, peer, conn, &slab, &shared, &segments);
    net.io().close(conn);
    net.settle();
}

fn a_send_of_many_chunks_arrives<N: Net>(mut net: N) {
    let (peer, conn) = net.connected();
    let chunks: Vec<Bytes> = (0..200).map(|index| Bytes::from(pattern(index, 100))).collect();
    let whole: Vec<u8> = chunks.iter().flatten().copied().collect();
    let mut out = 7;
    let mut read = Vec::new();
    net.io().send(conn, chunks.clone(), out);
    while out < whole.len() {
        read.extend(net.read(peer));
        let Some((given_back, sent)) = net.step_over() else { continue };
        assert!(!given_back.is_empty() && given_back.iter().all(|chunk| chunk.len() == 100), "chunks are given back");
        out += sent;
        if out < whole.len() {
            net.io().send(conn, chunks[out / 100..].to_vec(), out % 100);
        }
    }
    for _ in 0..TURNS_MAX {
        read.extend(net.read(peer));
        if read.len() == whole.len() - 7 {
            break;
        }
        net.step_over();
    }
    assert!(read == whole[7..]);
    net.io().close(conn);
    net.settle();
}

fn a_peer_leaves_in_the_middle_of_a_reply<N: Net>(mut net: N) {
    let reply = Bytes::from(pattern(1, net.too_much()));
    let (peer, conn) = net.connected();
    net.io().recv_start(conn);
    net.write(peer, b"x");
    net.io().send(conn, vec![reply.clone()], 0);
    // As much as fits is on its way; then the peer closes with all of it unread, which resets the connection.
    let (mut failed, mut ended) = (false, false);
    for turn in 0..TURNS_MAX {
        if turn == 20 {
            net.close(peer);
        }
        for completion in net.step() {
            match completion {
                Completion::Sent { chunks, sent: Ok(sent), .. } => {
                    let rest = chunks[0].slice(sent..);
                    net.io().send(conn, vec![rest], 0);
                }
                Completion::Sent { sent: Err(_), .. } => failed = true,
                Completion::RecvEnded { end: RecvEnd::Eof | RecvEnd::Failed(_), .. } => ended = true,
                Completion::RecvEnded { end: RecvEnd::Rearm, .. } => net.io().recv_start(conn),
                Completion::AcceptEnded { listener, .. } => net.io().accept_again(listener),
                Completion::Received { .. } => net.io().recycle(),
                other => panic!("{other:?}"),
            }
        }
        if failed && ended {
            break;
        }
    }
    assert!(failed && ended, "send failed: {failed}, receive ended: {ended}");
    net.io().close(conn);
    net.settle();
}

fn close_with_everything_in_flight<N: Net>(mut net: N) {
    let reply = Bytes::from(pattern(1, net.too_much()));
    for round in 0..10 {
        let (peer, conn) = net.connected();
        net.io().recv_start(conn);
        net.io().send(conn, vec![reply.clone()], 0);
        for _ in 0..round {
            net.step_over();
        }
        net.write(peer, b"more");
        net.io().close(conn);
        net.settle();
        for _ in 0..TURNS_MAX {
            net.read(peer);
            if net.ended(peer) {
                break;
            }
        }
        assert!(net.ended(peer), "the peer sees the close");
        net.close(peer);

        let (peer, conn) = net.connected();
        net.io().recv_into(conn, Vec::with_capacity(100), 100);
        net.step_over();
        net.io().close(conn);
        net.write(peer, b"too late");
        net.settle();
        net.close(peer);
    }
}

fn a_receive_into_own_memory_stays_within_it<N: Net>(mut net: N) {
    let (peer, conn) = net.connected();
    let pattern = pattern(5, 10_000);
    assert_eq!(net.write(peer, &pattern), pattern.len());
    let mut own = Vec::with_capacity(20_000);
    own.extend_from_slice(b"head");
    while own.len() < 4 + pattern.len() {
        let before = own.len();
        net.io().recv_into(conn, std::mem::take(&mut own), 999);
        let end;
        (own, end) = net.step_until("a receive", |_, completion| match completion {
            Completion::ReceivedInto { bytes, end, .. } => Some((bytes, end)),
            _ => None,
        });
        assert!(own.len() <= before + 999);
        assert!(end.is_none_or(|end| end == RecvEnd::Rearm));
        assert_eq!(end.is_none(), own.len() > before);
    }
    assert!(own[..4] == *b"head" && own[4..] == pattern);
    net.shutdown(peer);
    for _ in 0..TURNS_MAX {
        net.io().recv_into(conn, std::mem::take(&mut own), 999);
        let end;
        (own, end) = net.step_until("a receive", |_, completion| match completion {
            Completion::ReceivedInto { bytes, end, .. } => Some((bytes, end)),
            _ => None,
        });
        if end == Some(RecvEnd::Eof) {
            break;
        }
    }
    assert_eq!(own.len(), 4 + pattern.len(), "memory comes back whole at the end");
    net.io().close(conn);
    net.settle();
}

fn a_half_closed_peer_gets_everything<N: Net>(mut net: N) {
    let mut echo = Echo::new(&mut net);
    let peer = net.connect();
    let pattern = pattern(9, 50_000);
    assert_eq!(net.write(peer, &pattern), pattern.len());
    net.shutdown(peer);
    let mut read = Vec::new();
    let wait = net.wait();
    for _ in 0..TURNS_MAX {
        echo.turn(&mut net, wait);
        read.extend(net.read(peer));
        if net.ended(peer) {
            read.extend(net.read(peer));
            break;
        }
    }
    assert!(net.ended(peer) && read == pattern, "{} bytes", read.len());
    net.settle();
}

fn connections_come_and_go<N: Net>(mut net: N) {
    const ROUNDS: usize = 20;
    const AT_ONCE: usize = 100;
    let mut echo = Echo::new(&mut net);
    let wait = net.wait();
    for round in 0..ROUNDS {
        let peers: Vec<usize> = (0..AT_ONCE).map(|_| net.connect()).collect();
        for (index, peer) in peers.iter().enumerate() {
            match index % 4 {
                0 => net.close(*peer),
                1 => net.shutdown(*peer),
                2 => {
                    net.write(*peer, b"and gone");
                    net.close(*peer);
                }
                _ => {
                    net.write(*peer, b"answered");
                }
            }
        }
        for _ in 0..TURNS_MAX {
            echo.turn(&mut net, wait);
            if echo.accepted == (round + 1) * AT_ONCE && echo.clients() <= AT_ONCE / 4 {
                break;
            }
        }
        assert_eq!(echo.accepted, (round + 1) * AT_ONCE);
        assert!(net.slots_in_use() <= 2 * AT_ONCE);
        peers.iter().for_each(|peer| {
            net.read(*peer);
            net.close(*peer);
        });
        for _ in 0..TURNS_MAX {
            echo.turn(&mut net, wait);
            if echo.clients() == 0 {
                break;
            }
        }
        assert_eq!(echo.clients(), 0);
    }
    net.settle();
}

fn slots_are_used_again_under_another_generation<N: Net>(mut net: N) {
    let mut seen = BTreeSet::new();
    for _ in 0..20 {
        let (peer, conn) = net.connected();
        assert_eq!(conn.slot, 0, "one connection at a time needs one slot");
        assert!(seen.insert(conn.generation), "{conn:?} again");
        net.io().recv_start(conn);
        net.write(peer, b"never looked at");
        net.io().close(conn);
        assert!(net.io().descriptor(conn).is_none());
        net.settle();
        net.close(peer);
    }
}

fn unlisten_keeps_connections<N: Net>(mut net: N) {
    let (peer, conn) = net.connected();
    let listener = net.listener();
    net.io().unlisten(listener);
    net.io().recv_start(conn);
    net.write(peer, b"still here");
    let mut got = Vec::new();
    net.step_until("a receive", |net, completion| {
        match completion {
            Completion::Received { bytes, .. } => {
                got.extend_from_slice(net.io().bytes(bytes));
            }
            Completion::RecvEnded { end: RecvEnd::Rearm, .. } => net.io().recv_start(conn),
            other => panic!("{other:?}"),
        }
        (got.len() >= 10).then_some(())
    });
    assert_eq!(got, b"still here");
    net.io().close(conn);
    net.settle();
}

fn a_refused_peer_sees_the_end<N: Net>(mut net: N) {
    let (peer, conn) = net.connected();
    net.io().refuse(conn, b"-ERR no\r\n");
    net.settle();
    let mut read = Vec::new();
    for _ in 0..TURNS_MAX {
        read.extend(net.read(peer));
        if net.ended(peer) {
            break;
        }
        net.step_over();
    }
    assert!(net.ended(peer) && b"-ERR no\r\n".starts_with(&read));
}
