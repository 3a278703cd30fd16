//! What only epoll does, and what it does as the ring does.

use super::cases::talk;
use super::echo::Echo;
use super::{Net, RealNet, TURNS_MAX, ring_cases};
use crate::io::epoll::EpollIo;
use crate::io::{Completion, Io, RecvEnd};

#[test]
fn the_arena_runs_out_and_nothing_is_lost() {
    let mut net = RealNet::over(EpollIo::with_arena(8192).unwrap());
    let mut echo = Echo::new(&mut net).recycling_every(3);
    talk(&mut net, &mut echo, 100, 20_000);
    assert!(net.io().stats().starved > 0, "{:?}", net.io().stats());
}

#[test]
fn a_watched_descriptor_is_told_each_time() {
    ring_cases::watched_descriptor_is_told::<EpollIo>();
}

#[test]
fn everything_goes_away_with_it() {
    ring_cases::goes_away_with_everything::<EpollIo>("epoll_cases::everything_goes_away_with_it");
}

#[test]
fn accepting_goes_on_when_descriptors_come_back() {
    ring_cases::accepting_goes_on::<EpollIo>("epoll_cases::accepting_goes_on_when_descriptors_come_back");
}

#[test]
fn a_request_costs_a_wait_a_read_and_a_send() {
    let mut net = RealNet::<EpollIo>::new();
    let mut echo = Echo::new(&mut net);
    let peer = net.connect();
    let wait = net.wait();
    while echo.clients() == 0 {
        echo.turn(&mut net, wait);
    }
    for word in [b"ping", b"pong"] {
        echo.turn(&mut net, None);
        assert_eq!(net.write(peer, word), 4);
        let before = *net.io().stats();
        echo.turn(&mut net, wait);
        echo.turn(&mut net, None);
        let after = *net.io().stats();
        assert_eq!(net.read(peer), word);
        // The second turn's wait belongs to the next request.
        assert_eq!((after.syscalls - before.syscalls, after.enters - before.enters), (4, 2));
        assert_eq!(after.submissions, before.submissions, "nothing is registered again");
    }
}

#[test]
fn the_end_of_a_peer_is_seen_behind_its_last_bytes() {
    let mut net = RealNet::<EpollIo>::new();
    let (peer, conn) = net.connected();
    net.write(peer, b"last words");
    net.shutdown(peer);
    net.io().recv_start(conn);
    let mut got = Vec::new();
    for _ in 0..TURNS_MAX {
        for completion in net.step() {
            match completion {
                Completion::Received { bytes, .. } => got.extend_from_slice(net.io().bytes(bytes)),
                Completion::RecvEnded { end, .. } => {
                    assert_eq!((end, &*got), (RecvEnd::Eof, &b"last words"[..]));
                    return;
                }
                other => panic!("{other:?}"),
            }
        }
    }
    panic!("the end was not told");
}

#[test]
fn a_sender_without_end_leaves_room_for_others() {
    let mut net = RealNet::<EpollIo>::new();
    let (flooding, flooded) = net.connected();
    let (quiet, conn) = net.connected();
    net.io().recv_start(flooded);
    net.io().recv_start(conn);
    let flood = vec![b'x'; 1 << 20];
    for round in 0..50 {
        net.write(flooding, &flood);
        net.write(quiet, b"hello");
        let mut heard = 0;
        for _ in 0..3 {
            for completion in net.step() {
                let Completion::Received { conn: from, bytes } = completion else { panic!("{completion:?}") };
                heard += if from == conn { bytes.len() } else { 0 };
            }
            net.io().recycle();
        }
        assert_eq!(heard, 5, "round {round}");
    }
}
