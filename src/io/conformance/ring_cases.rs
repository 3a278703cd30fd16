//! What only real sockets and small rings show.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::process::Command;

use bytes::Bytes;

use super::cases::{pattern, talk};
use super::echo::Echo;
use super::{Net, RealIo, RealNet, TURNS_MAX};
use crate::io::ring::RingIo;
use crate::io::{Completion, Errno, Io};
use crate::uring::Features;

#[test]
fn buffers_run_out_and_nothing_is_lost() {
    let mut net = RealNet::with_sizes(256, 1024, 2, 4096);
    let mut echo = Echo::new(&mut net).recycling_every(3);
    talk(&mut net, &mut echo, 100, 20_000);
    assert!(net.io().stats().starved > 0, "{:?}", net.io().stats());
}

/// What each receive takes a buffer for itself: where the kernel has no incremental ones.
#[test]
fn plain_buffers_run_out_and_nothing_is_lost() {
    let without = Features { incremental_buffers: true, ..Features::default() };
    let mut net = RealNet::small(256, 1024, 2, 4096, without);
    let mut echo = Echo::new(&mut net).recycling_every(3);
    talk(&mut net, &mut echo, 100, 20_000);
    assert!(net.io().stats().starved > 0, "{:?}", net.io().stats());
}

/// As many connections as there are plain buffers bring something in one turn, and no receive ends for it.
#[test]
fn plain_buffers_suffice_for_many_connections() {
    let mut net = RealNet::oldest();
    let mut echo = Echo::new(&mut net);
    talk(&mut net, &mut echo, 200, 500);
    assert_eq!(net.io().stats().starved, 0);
}

#[test]
fn the_completion_queue_overflows_and_nothing_is_lost() {
    let mut net = RealNet::with_sizes(8, 8, 64, 4096);
    let mut echo = Echo::new(&mut net);
    talk(&mut net, &mut echo, 200, 5000);
    talk(&mut net, &mut echo, 200, 50);
    assert!(net.io().stats().overflows > 0, "{:?}", net.io().stats());
}

#[test]
fn a_small_submission_queue_takes_any_number_of_sends() {
    let mut net = RealNet::with_sizes(2, 4096, 64, 65536);
    let mut echo = Echo::new(&mut net).changing(5);
    talk(&mut net, &mut echo, 300, 2000);
}

#[test]
fn a_slab_that_moved_is_sent_from_its_new_place() {
    let mut net = RealNet::<RingIo>::new();
    for _ in 0..3 {
        // Each one uses a slab of its own; the last one's memory is free, and may be the next one's.
        let mut echo = Echo::new(&mut net);
        talk(&mut net, &mut echo, 3, 50_000);
    }
}

#[test]
fn a_watched_descriptor_is_told_each_time() {
    watched_descriptor_is_told::<RingIo>();
}

pub(super) fn watched_descriptor_is_told<B: RealIo>() {
    let mut net = RealNet::<B>::new();
    let (reading, mut writing) = UnixStream::pair().unwrap();
    net.io().watch(reading.as_raw_fd(), 77);
    for _ in 0..3 {
        writing.write_all(b"x").unwrap();
        net.step_until("a wake-up", |_, completion| {
            matches!(completion, Completion::Readable { token: 77 }).then_some(())
        });
    }
}

#[test]
fn a_ring_that_goes_away_takes_everything_with_it() {
    goes_away_with_everything::<RingIo>("ring_cases::a_ring_that_goes_away_takes_everything_with_it");
}

pub(super) fn goes_away_with_everything<B: RealIo>(test: &str) {
    let open = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    if std::env::var_os(CHILD).is_none() {
        // Counting descriptors needs a process of its own.
        return in_child(test, 1000);
    }
    let before = open();
    for _ in 0..3 {
        let mut net = RealNet::<B>::new();
        for index in 0..20 {
            let (peer, conn) = net.connected();
            net.io().recv_start(conn);
            net.io().send(conn, vec![Bytes::from(pattern(index, 1 << 20))], 0);
            if index % 2 == 0 {
                net.io().close(conn);
            }
            if index % 3 == 0 {
                net.close(peer);
            }
        }
    }
    assert_eq!(open(), before);
}

#[test]
fn accepting_goes_on_when_descriptors_come_back() {
    accepting_goes_on::<RingIo>("ring_cases::accepting_goes_on_when_descriptors_come_back");
}

pub(super) fn accepting_goes_on<B: RealIo>(test: &str) {
    if std::env::var_os(CHILD).is_none() {
        return in_child(test, 40);
    }
    let mut net = RealNet::<B>::new();
    let (first, conn) = net.connected();
    let mut fillers: Vec<File> = std::iter::from_fn(|| File::open("/dev/null").ok()).collect();
    fillers.pop();
    net.connect();
    let listener = net.listener();
    let mut error = None;
    for _ in 0..100 {
        for completion in net.step() {
            match completion {
                Completion::AcceptEnded { error: ended, .. } => error = ended,
                other => panic!("{other:?}"),
            }
        }
    }
    assert_eq!(error, Some(Errno(libc::EMFILE)));
    net.close(first);
    net.io().close(conn);
    drop(fillers);
    net.io().accept_again(listener);
    let conn = net.step_until("an accept", |_, completion| match completion {
        Completion::Accepted { conn, .. } => Some(conn),
        _ => None,
    });
    net.io().close(conn);
    net.settle();
}

#[test]
fn replies_to_many_connections_leave_in_one_turn() {
    let mut net = RealNet::<RingIo>::new();
    let mut echo = Echo::new(&mut net);
    let peers: Vec<usize> = (0..50).map(|_| net.connect()).collect();
    let wait = net.wait();
    for _ in 0..TURNS_MAX {
        if echo.clients() == peers.len() {
            break;
        }
        echo.turn(&mut net, wait);
    }
    echo.turn(&mut net, wait);
    peers.iter().for_each(|peer| assert_eq!(net.write(*peer, b"ping"), 4));
    let before = net.io().stats().enters;
    for _ in 0..4 {
        echo.turn(&mut net, wait);
    }
    // The kernel hands over twenty deferred completions at a time, so three turns receive and the next one sends the last.
    assert_eq!(net.io().stats().enters - before, 4);
    peers.iter().for_each(|peer| assert_eq!(net.read(*peer), b"ping"));
}

/// Set in a process that runs one test under its own limit of descriptors.
const CHILD: &str = "TORC_CONFORMANCE_CHILD";

/// Runs one test of this file in a process of its own with at most `descriptors` of them.
fn in_child(test: &str, descriptors: u32) {
    let folder = module_path!().rsplit_once("::").unwrap().0;
    let name = format!("{}::{test}", folder.split_once("::").unwrap().1);
    let script = format!("ulimit -n {descriptors} && exec \"$0\" --exact {name} --test-threads 1 --nocapture");
    let output = Command::new("sh")
        .args(["-c", &script])
        .arg(std::env::current_exe().unwrap())
        .env(CHILD, "1")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("1 passed"), "{text}\n{errors}");
}
