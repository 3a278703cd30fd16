//! Connections that change back ends, and back ends that wake each other: what every back end must do.

use std::sync::mpsc;
use std::time::Duration;

use bytes::Bytes;

use super::cases::{SEEDS, pattern, send_and_check, talk};
use super::echo::Echo;
use super::{Net, RealIo, RealNet, SimNet, TURNS_MAX};
use crate::handoff::{Receiver, Sleeper, bell, channel};
use crate::io::epoll::EpollIo;
use crate::io::ring::RingIo;
use crate::io::sim::SimOptions;
use crate::io::{Completion, ConnId, Io, RecvEnd, Segment, SoftSend, TurnOutput};

/// A wait that nobody sits out: where it passes, a wake-up was lost.
const LONG: Duration = Duration::from_secs(20);

on_all_back_ends!(
    a_connection_moves_there_and_back,
    nothing_moves_with_something_in_flight,
    a_slot_stays_reserved_for_a_connection_that_is_away,
    a_wake_up_ends_the_turn_of_another,
    a_wake_up_for_one_that_is_gone_does_no_harm,
    what_lies_outside_of_the_slab_is_sent,
);

/// One turn; ended standing accepts are armed again and not told.
fn turn<I: Io>(io: &mut I, wait: Option<Duration>) -> Vec<Completion> {
    io.turn(TurnOutput::NONE, wait).unwrap();
    let mut completions = Vec::new();
    io.poll(&mut completions).unwrap();
    completions.retain(|completion| match completion {
        Completion::AcceptEnded { listener, .. } => {
            io.accept_again(*listener);
            false
        }
        _ => true,
    });
    completions
}

/// Receives until `len` bytes are there, and stops. What the peer writes meanwhile may be among them.
fn receive<I: Io>(io: &mut I, conn: ConnId, wait: Option<Duration>, len: usize) -> Vec<u8> {
    let (mut got, mut stopping) = (Vec::new(), false);
    io.recv_start(conn);
    for _ in 0..TURNS_MAX {
        let mut ended = false;
        for completion in turn(io, wait) {
            match completion {
                Completion::Received { conn: of, bytes } if of == conn => got.extend_from_slice(io.bytes(bytes)),
                Completion::RecvEnded { conn: of, end: RecvEnd::Rearm | RecvEnd::Stopped } if of == conn => {
                    ended = true
                }
                // It came for a thread that had got up by itself.
                Completion::Woken => {}
                other => panic!("{other:?}"),
            }
        }
        io.recycle();
        if ended && got.len() >= len {
            return got;
        }
        if ended {
            io.recv_start(conn);
        } else if got.len() >= len && !std::mem::replace(&mut stopping, true) {
            io.recv_stop(conn);
        }
    }
    panic!("{} of {len} bytes, or no end", got.len());
}

/// Sends from a slab that nobody has registered, until everything is out.
fn send<I: Io>(io: &mut I, conn: ConnId, wait: Option<Duration>, bytes: &[u8]) {
    let segments = [Segment::Slab(0..bytes.len())];
    let sends = [SoftSend { conn, segments: 0..1 }];
    io.turn(TurnOutput { slab: bytes, shared: &[], segments: &segments, sends: &sends }, wait).unwrap();
    let mut completions = Vec::new();
    io.poll_sends(&mut completions).unwrap();
    let mut out = match completions[..] {
        [] => return,
        [Completion::SendShort { sent, .. }] => sent.unwrap(),
        _ => panic!("{completions:?}"),
    };
    while out < bytes.len() {
        io.send(conn, vec![Bytes::copy_from_slice(&bytes[out..])], 0);
        assert!(io.detach(conn).is_none(), "a send is in flight");
        'sent: loop {
            for completion in turn(io, wait) {
                match completion {
                    Completion::Sent { sent, .. } => {
                        out += sent.unwrap();
                        break 'sent;
                    }
                    Completion::Woken => {}
                    other => panic!("{other:?}"),
                }
            }
        }
    }
}

/// Everything that the peer gets, until it is as much.
fn read<N: Net>(net: &mut N, peer: usize, len: usize) -> Vec<u8> {
    let mut got = Vec::new();
    for _ in 0..TURNS_MAX {
        got.extend(net.read(peer));
        if got.len() >= len {
            return got;
        }
        std::thread::yield_now();
    }
    panic!("{} of {len} bytes", got.len());
}

fn a_connection_moves_there_and_back<N: Net>(mut net: N) {
    let wait = net.wait();
    let mut other = net.beside();
    let (peer, conn) = net.connected();
    let words = pattern(1, 6000);
    let mut got = Vec::new();
    for round in 0..5 {
        let word = |part: usize| &words[(round * 3 + part) * 400..][..400];
        assert_eq!(net.write(peer, word(0)), 400);
        got.extend(receive(net.io(), conn, wait, 400));
        send(net.io(), conn, wait, b"here");
        let socket = net.io().detach(conn).expect("nothing is in flight");
        assert!(net.io().descriptor(conn).is_none());
        // Nobody has it, and the peer goes on.
        assert_eq!(net.write(peer, word(1)), 400);
        let there = other.adopt(socket);
        assert_eq!(net.write(peer, word(2)), 400);
        let missing = (round + 1) * 1200 - got.len();
        got.extend(receive(&mut other, there, wait, missing));
        send(&mut other, there, wait, b"there");
        let socket = other.detach(there).expect("nothing is in flight");
        other.close(there);
        net.io().reattach(conn, socket);
        assert_eq!(read(&mut net, peer, 9), b"herethere");
    }
    assert!(got == words);
    // One that is over there sees its peer leave.
    let socket = net.io().detach(conn).expect("nothing is in flight");
    let there = other.adopt(socket);
    other.recv_start(there);
    net.close(peer);
    let mut ended = None;
    for _ in 0..TURNS_MAX {
        for completion in turn(&mut other, wait) {
            match completion {
                Completion::RecvEnded { end: RecvEnd::Rearm, .. } => other.recv_start(there),
                Completion::RecvEnded { end, .. } => ended = Some(end),
                other => panic!("{other:?}"),
            }
        }
        if ended.is_some() {
            break;
        }
    }
    assert_eq!(ended, Some(RecvEnd::Eof));
    other.close(there);
    net.io().close(conn);
    net.settle();
}

fn nothing_moves_with_something_in_flight<N: Net>(mut net: N) {
    let (peer, conn) = net.connected();
    net.io().recv_start(conn);
    assert!(net.io().detach(conn).is_none(), "a standing receive");
    net.step();
    assert!(net.io().detach(conn).is_none(), "a standing receive");
    net.io().recv_stop(conn);
    assert!(net.io().detach(conn).is_none(), "a standing receive that ends");
    net.step_until("the end", |_, completion| matches!(completion, Completion::RecvEnded { .. }).then_some(()));
    let socket = net.io().detach(conn).expect("it ended");
    net.io().reattach(conn, socket);

    net.io().recv_into(conn, Vec::with_capacity(100), 100);
    assert!(net.io().detach(conn).is_none(), "a receive into own memory");
    net.write(peer, b"word");
    net.step_until("a receive", |net, completion| match completion {
        Completion::ReceivedInto { end: None, .. } => Some(()),
        Completion::ReceivedInto { bytes, .. } => {
            net.io().recv_into(conn, bytes, 100);
            None
        }
        _ => None,
    });
    let socket = net.io().detach(conn).expect("it ended");
    net.io().reattach(conn, socket);

    let reply = Bytes::from(pattern(1, net.too_much()));
    let (mut out, mut read) = (0, 0);
    while out < reply.len() {
        net.io().send(conn, vec![reply.slice(out..)], 0);
        assert!(net.io().detach(conn).is_none(), "an owned send");
        out += net.step_until("the end of a send", |net, completion| {
            assert!(!matches!(completion, Completion::RecvEnded { .. }));
            read += net.read(peer).len();
            match completion {
                Completion::Sent { sent, .. } => Some(sent.unwrap()),
                _ => None,
            }
        });
        read += net.read(peer).len();
    }
    let socket = net.io().detach(conn).expect("it ended");
    net.io().reattach(conn, socket);
    for _ in 0..TURNS_MAX {
        read += net.read(peer).len();
        if read == reply.len() {
            break;
        }
        net.step();
    }
    assert_eq!(read, reply.len());
    net.io().close(conn);
    net.settle();
}

fn a_slot_stays_reserved_for_a_connection_that_is_away<N: Net>(mut net: N) {
    let (peer, conn) = net.connected();
    let socket = net.io().detach(conn).expect("nothing is in flight");
    let (_, second) = net.connected();
    assert_ne!(second.slot, conn.slot);
    net.io().close(conn);
    // The slot is given up, and whoever has the socket ends the connection.
    let (_, third) = net.connected();
    assert_eq!(third, ConnId { slot: conn.slot, generation: conn.generation + 1 });
    assert!(net.read(peer).is_empty() && !net.ended(peer));
    drop(socket);
    for _ in 0..TURNS_MAX {
        net.read(peer);
        if net.ended(peer) {
            break;
        }
        std::thread::yield_now();
    }
    assert!(net.ended(peer), "the peer sees the end");
    net.io().close(second);
    net.io().close(third);
    net.settle();
}

/// Turns with a long wait until it is woken, which is at once where no delay is simulated.
fn wait_to_be_woken<I: Io>(io: &mut I) {
    let before_us = io.now_us();
    for _ in 0..TURNS_MAX {
        let completions = turn(io, Some(LONG));
        assert!(completions.iter().all(|completion| matches!(completion, Completion::Woken)), "{completions:?}");
        if !completions.is_empty() {
            assert!(io.now_us() - before_us < LONG.as_micros() as i64 / 2, "the turn ended for being woken");
            return;
        }
    }
    panic!("the wake-up was lost");
}

fn a_wake_up_ends_the_turn_of_another<N: Net>(mut net: N) {
    let mut other = net.beside();
    let (waker, own) = (other.waker(), net.io().waker());
    for round in 0..5 {
        assert!(turn(&mut other, None).is_empty(), "nothing yet in round {round}");
        // One that comes before the wait is not lost, nor is the second of two.
        for _ in 0..1 + round % 2 {
            net.io().wake(&waker);
        }
        assert!(turn(net.io(), None).is_empty(), "success is not told");
        wait_to_be_woken(&mut other);
        while !turn(&mut other, None).is_empty() {}
        other.wake(&own);
        assert!(turn(&mut other, None).is_empty());
        wait_to_be_woken(net.io());
    }
    // A thread may wake itself.
    net.io().wake(&own);
    wait_to_be_woken(net.io());
}

fn a_wake_up_for_one_that_is_gone_does_no_harm<N: Net>(mut net: N) {
    let other = net.beside();
    let waker = other.waker();
    drop(other);
    net.io().wake(&waker);
    let mut echo = Echo::new(&mut net);
    talk(&mut net, &mut echo, 3, 1000);
    // The descriptor of the old one may be a connection by now.
    let (peer, conn) = net.connected();
    net.io().wake(&waker);
    net.write(peer, b"still here");
    let wait = net.wait();
    assert_eq!(receive(net.io(), conn, wait, 10), b"still here");
    net.io().close(conn);
    net.settle();
}

fn what_lies_outside_of_the_slab_is_sent<N: Net>(mut net: N) {
    let (peer, conn) = net.connected();
    let (registered, slab) = (pattern(1, 4096), pattern(2, 4096));
    let shared = [Bytes::from(pattern(3, 100))];
    for _ in 0..2 {
        send_and_check(&mut net, peer, conn, &slab, &[], &[Segment::Slab(10..4000)]);
        send_and_check(&mut net, peer, conn, &slab, &[], &[Segment::Slab(0..4000), Segment::Slab(4000..4096)]);
        send_and_check(&mut net, peer, conn, &slab, &shared, &[Segment::Slab(0..9), Segment::Shared(0)]);
        // The second time another slab is the registered one.
        net.io().use_slab(&registered);
    }
    net.io().use_slab(&[]);
    net.io().close(conn);
    net.settle();
}

/// The next socket that the other thread hands over; sleeps until there is one.
fn next<I: Io>(io: &mut I, queue: &mut Receiver<I::Socket>, bed: &Sleeper) -> I::Socket {
    for _ in 0..TURNS_MAX {
        if let Some(socket) = queue.pop() {
            return socket;
        }
        bed.lie_down();
        let before_us = io.now_us();
        let completions = turn(io, queue.is_empty().then_some(LONG));
        assert!(io.now_us() - before_us < LONG.as_micros() as i64 / 2, "a wake-up was lost");
        assert!(completions.iter().all(|completion| matches!(completion, Completion::Woken)), "{completions:?}");
        bed.get_up();
    }
    panic!("nothing came in {TURNS_MAX} turns");
}

/// One connection goes back and forth between two threads that sleep whenever they do not have it.
fn threads_hand_a_connection_over<B: RealIo>() {
    const ROUNDS: usize = 500;
    let wait = Some(Duration::from_millis(1));
    let mut net = RealNet::<B>::new();
    let (peer, conn) = net.connected();
    let (mut there, mut to_thread) = channel::<B::Socket>(1);
    let (mut back, mut to_main) = channel::<B::Socket>(1);
    let (bed, ringer) = bell();
    let (thread_bed, thread_ringer) = bell();
    let (tell, told) = mpsc::channel();
    let waker = net.io().waker();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut io = B::open();
            tell.send(io.waker()).unwrap();
            for _ in 0..ROUNDS {
                let socket = next(&mut io, &mut to_thread, &thread_bed);
                let conn = io.adopt(socket);
                let word = receive(&mut io, conn, wait, 4);
                send(&mut io, conn, None, &word);
                assert!(back.push(io.detach(conn).expect("nothing is in flight")).is_ok());
                io.close(conn);
                if ringer.should_ring() {
                    io.wake(&waker);
                }
            }
            turn(&mut io, None);
        });
        let thread_waker = told.recv().unwrap();
        for round in 0..ROUNDS {
            let word = format!("{round:04}");
            assert!(there.push(net.io().detach(conn).expect("nothing is in flight")).is_ok());
            if thread_ringer.should_ring() {
                net.io().wake(&thread_waker);
            }
            assert_eq!(net.write(peer, word.as_bytes()), 4);
            let socket = next(net.io(), &mut to_main, &bed);
            net.io().reattach(conn, socket);
            assert_eq!(read(&mut net, peer, 4), word.as_bytes());
        }
    });
    net.io().close(conn);
    net.settle();
}

#[test]
fn threads_hand_over_on_the_ring() {
    threads_hand_a_connection_over::<RingIo>();
}

#[test]
fn threads_hand_over_on_epoll() {
    threads_hand_a_connection_over::<EpollIo>();
}
