//! Limits of output that is on several ways at once: in a parcel, with a thread, with a client that moves.

#![forbid(unsafe_code)]

use std::fs::File;

use super::*;
use crate::command::facts::ProcessFacts;
use crate::command::reply_buffer::{OutputFigures, REPLY_BUFFER_BYTES};
use crate::config::Config;
use crate::engine::Engine;
use crate::io::ListenerId;
use crate::io::sim::{PeerId, SimIo, SimOptions};
use crate::transport::plain::ListenerKind;

/// `client-output-buffer-limit` of these tests.
const LIMIT: usize = 256 << 10;
/// Turns within which everything happens here.
const TURNS_MAX: usize = 10_000;

/// A server with one thread, stepped by hand.
struct World {
    server: Server<SimIo>,
    thread: IoThread<SimIo>,
    listener: ListenerId,
}

impl World {
    fn new() -> World {
        let mut config = Config { io_threads_always_active: true, ..Config::default() };
        let limits = &mut config.client_output_buffer_limit;
        (limits.normal.hard, limits.pubsub.hard) = (LIMIT as u64, LIMIT as u64);
        let engine = Engine::new(config, ProcessFacts::detached(), 1);
        let mut server = Server::new(SimIo::new(1, SimOptions::calm()), engine);
        let listener = server.listen(File::open("/dev/null").unwrap().into(), ListenerKind::Unix);
        let io = server.io().beside(2);
        let thread = server.add_thread(io);
        World { server, thread, listener }
    }

    fn step(&mut self) {
        assert!(self.server.step().unwrap() && self.thread.step().unwrap(), "nobody told them to end");
    }

    fn step_until(&mut self, what: &str, mut done: impl FnMut(&mut World) -> bool) {
        for _ in 0..TURNS_MAX {
            if done(self) {
                return;
            }
            self.step();
        }
        panic!("{what} did not happen in {TURNS_MAX} turns");
    }

    /// A client that lives on the thread and takes so many bytes unread.
    fn client(&mut self, window: usize) -> PeerId {
        let peer = self.server.io().connect(self.listener);
        self.server.io().peer_window(peer, window);
        let before = self.thread.connected();
        self.step_until("a place on the thread", |world| world.thread.connected() == before + 1);
        peer
    }

    /// Runs a command of a client that reads.
    fn run(&mut self, peer: PeerId, command: &[u8]) -> Vec<u8> {
        self.server.io().peer_write(peer, command);
        let mut heard = Vec::new();
        self.step_until("an answer", |world| {
            heard.extend(world.server.io().peer_read(peer));
            heard.ends_with(b"\r\n")
        });
        heard
    }

    /// Has the thread send everything that is written to it, while the main thread does nothing.
    fn thread_alone(&mut self) {
        for _ in 0..100 {
            assert!(self.thread.step().unwrap(), "nobody told it to end");
        }
    }

    /// The slot of the one client with output that waits.
    fn slot_of_waiting(&self) -> Option<usize> {
        let waits = |client: &Option<Box<crate::server::client::Client>>| {
            client.as_deref().is_some_and(|client| client.waiting_bytes() > 0)
        };
        self.server.clients.iter().position(waits)
    }

    fn disconnections(&mut self) -> u64 {
        self.server.engine().state.stats.output_buffer_limit_disconnections
    }
}

fn set(key: &str, bytes: usize) -> Vec<u8> {
    format!("*3\r\n$3\r\nSET\r\n$1\r\n{key}\r\n${bytes}\r\n{}\r\n", "v".repeat(bytes)).into_bytes()
}

/// Replies of a client that reads nothing, lives on a thread and is to go home: its next command is held back, and passes
/// the limit with what ran before.
#[test]
fn a_client_that_moves_is_closed_once_and_behind_its_commands() {
    let mut world = World::new();
    let control = world.client(1 << 20);
    for command in [set("a", 100_000), set("b", 4_000)] {
        assert_eq!(world.run(control, &command), b"+OK\r\n");
    }
    let deaf = world.client(0);
    world.server.io().peer_write(deaf, b"GET a\r\n");
    world.step_until("output that waits", |world| world.slot_of_waiting().is_some());
    let slot = world.slot_of_waiting().unwrap();
    assert_eq!(world.run(control, b"CLIENT PAUSE 1000000 WRITE\r\n"), b"+OK\r\n");
    // As many as are executed together, so that the one that has to wait finds them noted.
    let request = [b"GET b\r\n".repeat(BATCH_COMMANDS_MAX), set("c", 1)].concat();
    world.server.io().peer_write(deaf, &request);
    world.thread_alone();
    let conn = world.server.clients[slot].as_deref().unwrap().conn;
    world.server.move_to(conn, OWN);
    world.step_until("its end", |world| world.server.connected() == 1);
    assert_eq!(world.disconnections(), 1);
    assert_eq!(world.run(control, b"EXISTS c\r\n"), b":0\r\n");
}

/// One message is too much for a listener that is to go home and reads nothing. It is found to be over its limit when it is
/// sent that, and its end has the message noted.
#[test]
fn a_listener_that_moves_is_counted_once() {
    let mut world = World::new();
    let control = world.client(1 << 20);
    let deaf = world.client(0);
    world.server.io().peer_write(deaf, b"SUBSCRIBE c\r\n");
    world.step_until("output that waits", |world| world.slot_of_waiting().is_some());
    let slot = world.slot_of_waiting().unwrap();
    let conn = world.server.clients[slot].as_deref().unwrap().conn;
    world.server.move_to(conn, OWN);
    let message = [&b"PUBLISH c "[..], &vec![b'm'; LIMIT / 8], b"\r\n"].concat();
    let mut heard = 0;
    world.server.io().peer_write(control, &message.repeat(10));
    world.step_until("all answers", |world| {
        heard += world.server.io().peer_read(control).len();
        heard == 10 * ":1\r\n".len()
    });
    assert_eq!(world.server.connected(), 1);
    assert_eq!(world.disconnections(), 1);
}

/// More in all than the limit, in parcels that are below it.
#[test]
fn what_is_with_the_thread_is_no_more_than_the_limit_and_a_parcel() {
    const GETS: usize = 6 * parcel::PARCEL_COMMANDS_MAX;
    const VALUE: usize = 100;
    for reads in [true, false] {
        let mut world = World::new();
        let control = world.client(1 << 20);
        assert_eq!(world.run(control, &set("k", VALUE)), b"+OK\r\n");
        let client = world.client(if reads { 64 << 20 } else { 0 });
        world.server.io().peer_write(client, &b"GET k\r\n".repeat(GETS));
        world.thread_alone();
        assert!(world.server.step().unwrap(), "nobody told it to end");
        let slot = world.server.clients.iter().rposition(Option::is_some).unwrap();
        let with_thread = world.server.untold(slot as u32).bytes();
        let parcel = parcel::PARCEL_COMMANDS_MAX * (VALUE + "$100\r\n\r\n".len());
        assert!((LIMIT..LIMIT + parcel).contains(&with_thread), "{with_thread} bytes");
        if reads {
            let mut heard = 0;
            world.step_until("the last answer", |world| {
                heard += world.server.io().peer_read(client).len();
                heard == GETS * (VALUE + "$100\r\n\r\n".len())
            });
            assert_eq!(world.disconnections(), 0);
        } else {
            world.step_until("its end", |world| world.server.connected() == 1);
            assert_eq!(world.disconnections(), 1);
        }
    }
}

/// Commands that a pause held back run at once when it ends, and answer more than the limit. A client that reads takes all of
/// it, one parcel after the other.
#[test]
fn what_waited_for_a_pause_is_handed_over_while_it_runs() {
    const COMMANDS: usize = 6 * parcel::PARCEL_COMMANDS_MAX;
    const VALUE: usize = 100;
    let mut world = World::new();
    let control = world.client(1 << 20);
    assert_eq!(world.run(control, &set("k", VALUE)), b"+OK\r\n");
    assert_eq!(world.run(control, b"CLIENT PAUSE 1000000 WRITE\r\n"), b"+OK\r\n");
    let client = world.client(64 << 20);
    world.server.io().peer_write(client, &format!("GETSET k {}\r\n", "v".repeat(VALUE)).repeat(COMMANDS).into_bytes());
    world.thread_alone();
    let slot = world.server.clients.iter().rposition(Option::is_some).unwrap();
    let waits = |world: &World| world.server.clients[slot].as_deref().unwrap().deferred.len();
    world.step_until("all that wait", |world| waits(world) == COMMANDS);
    assert_eq!(world.run(control, b"CLIENT UNPAUSE\r\n"), b"+OK\r\n");
    let (mut heard, mut most) = (0, 0);
    world.step_until("the last answer", |world| {
        most = most.max(world.server.untold(slot as u32).bytes());
        heard += world.server.io().peer_read(client).len();
        heard == COMMANDS * (VALUE + "$100\r\n\r\n".len())
    });
    let parcel = parcel::PARCEL_COMMANDS_MAX * (VALUE + "$100\r\n\r\n".len());
    assert!((LIMIT / 2..LIMIT + parcel).contains(&most), "{most} bytes");
    assert_eq!(world.disconnections(), 0);
}

/// A thread is done with a parcel and says in its next one what waits: that is known before the commands in it run.
#[test]
fn what_a_parcel_tells_of_output_is_known_before_its_commands_run() {
    let mut world = World::new();
    world.client(0);
    let slot = world.server.clients.iter().rposition(Option::is_some).unwrap();
    let mut told = WireFigures::default();
    told.output.bytes = 50_000;
    let mut written = Unsent::default();
    written.add(0, 50_000);
    let client = world.server.clients[slot].as_deref_mut().unwrap();
    client.untold.add(written, 7, 0);
    let mut parcel = Parcel::new();
    parcel.carried_out = 7;
    parcel.after.push(Report::Figures(client.conn, told));
    world.server.hear_carried_out(0, &parcel);
    let untold = world.server.untold(slot as u32);
    assert_eq!(world.server.clients[slot].as_deref().unwrap().output_and(untold).bytes, 50_000);
}

/// What a thread is done with counts no longer once it says so, and not before what waits of it is known.
#[test]
fn output_is_with_the_thread_or_waits_and_never_both_nor_neither() {
    let mut world = World::new();
    let control = world.client(1 << 20);
    assert_eq!(world.run(control, &set("a", 100_000)), b"+OK\r\n");
    let deaf = world.client(0);
    let slot = world.server.clients.iter().rposition(Option::is_some).unwrap() as u32;
    world.server.io().peer_write(deaf, b"GET a\r\n");
    let mut counted = Vec::new();
    let mut count = |world: &mut World| {
        let untold = world.server.untold(slot);
        counted.push(world.server.clients[slot as usize].as_deref().unwrap().output_and(untold).bytes);
    };
    for turn in 0..20 {
        // The thread is one step ahead of the main one, or three.
        for _ in 0..=turn % 2 * 2 {
            assert!(world.thread.step().unwrap(), "nobody told it to end");
            count(&mut world);
        }
        assert!(world.server.step().unwrap(), "nobody told it to end");
        count(&mut world);
    }
    let mut written = Unsent::default();
    written.add(0, 100_000);
    let all = OutputFigures::default().with_unsent(written, REPLY_BUFFER_BYTES).bytes;
    let first = counted.iter().position(|bytes| *bytes > 0).unwrap();
    assert!(counted.len() - first > 20, "{counted:?}");
    // Shown in blocks, of which one more is begun where the reply's head counts apart.
    assert!(counted[first..].iter().all(|bytes| bytes.abs_diff(all) < 32 << 10), "{counted:?}, all is {all}");
}
