//! HOT PATH. One turn of the main thread: submit replies and wait, collect completions, execute, again.
//!
//! ```text
//!   turn ──> poll ──> short sends ──> completions ──> [gather ─> prefetch ─> execute]* ──> recycle ──> cron
//!     ^                (slab still    (no command                (batches over all            │
//!     └─ replies of     in use)        runs here)                 ready clients)  ────────────┘
//! ```
//! Generic over the Io boundary: a simulator steps the same code with a fake kernel and a fake clock.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;
use std::time::Duration;

use crate::command::effects::ShutdownRequest;
use crate::engine::Engine;
use crate::io::{Completion, ConnId, Io, ListenerId, RecvEnd};
use crate::resp::reply::Reply;
use crate::server::batch::{Batch, STALL_BYTES};
use crate::server::client::Client;
use crate::server::disposal::Disposal;
use crate::server::listeners::Listeners;
use crate::server::threads::Threads;
use crate::server::turn::TURN_COMMANDS_MAX;
use crate::server::wire::{Outgoing, Reading};
use crate::transport::plain::ListenerKind;
use crate::transport::tls::TlsContext;

/// Capacity of the reply slab in bytes. Replies of a turn beyond it make the slab grow for that turn.
pub(super) const SLAB_BYTES: usize = 512 << 10;
/// Once the slab holds this much, it is flushed in the middle of a turn: it stays in the cache, and memory bounded.
pub(super) const SLAB_FLUSH_BYTES: usize = 256 << 10;
/// Token of the signal descriptor.
pub(super) const SIGNAL_TOKEN: u32 = 1;

/// The main thread, as the home of clients.
pub(super) const OWN: usize = 0;

/// How often it is looked whether memory that a client waits for is free: the thread that frees it rings no bell.
const FREEING_WATCH_US: i64 = 500;

/// When orders that found no room are handed over again.
const ORDERS_RETRY: Duration = Duration::from_millis(1);

/// Most homes that there can be, as many as `io-threads` allows.
pub(super) const HOMES_MAX: usize = 128;

/// What clients of one home have written and was not handed on yet.
pub(super) struct Out {
    /// Their replies.
    pub(super) reply: Reply,
    /// Those of them that wrote.
    pub(super) touched: Vec<u32>,
}

/// The main thread's state.
pub struct Server<I: Io> {
    pub(super) io: I,
    pub(super) engine: Engine,
    pub(super) listeners: Listeners,
    /// By slot; the engine's sessions have the same index.
    pub(super) clients: Vec<Option<Box<Client>>>,
    pub(super) connected: usize,
    /// What the clients of each home write, this thread's own first.
    pub(super) outs: Vec<Out>,
    /// The home of the client that is served.
    pub(super) home: usize,
    /// I/O threads.
    pub(super) threads: Threads<I>,
    pub(super) batch: Batch,
    /// Clients with something to parse or execute, in order.
    pub(super) ready: VecDeque<u32>,
    /// Accepted, not yet let in: only so many per turn are.
    pub(super) accepted: VecDeque<(ListenerId, ConnId)>,
    /// The same over TLS, of which fewer are: a handshake takes long.
    pub(super) accepted_tls: VecDeque<(ListenerId, ConnId)>,
    /// Standing accepts to arm again with the next cron: the descriptor table was full.
    pub(super) accepts_to_retry: Vec<ListenerId>,
    /// Standing receives to arm again once buffers are recycled.
    pub(super) to_rearm: Vec<ConnId>,
    /// Those of them that got nothing while others emptied the buffers: armed before all others.
    starved: Vec<ConnId>,
    /// Commands after which a turn ends.
    pub(super) turn_commands_max: usize,
    /// Commands of this turn.
    pub(super) turn_commands: usize,
    /// Clients that are still to be served for the first time in it.
    pub(super) unserved: usize,
    /// Bytes that one client writes in a turn before it is looked at.
    pub(super) output_watch: usize,
    /// Clients to close once this turn's output is submitted.
    pub(super) to_close: Vec<ConnId>,
    /// Clients whose peer closed behind commands that were still to run.
    pub(super) to_end: Vec<ConnId>,
    pub(super) outgoing: Outgoing,
    /// What a TLS client has sent, decrypted.
    pub(super) plain: Vec<u8>,
    completions: Vec<Completion>,
    sends_short_seen: u64,
    /// When this turn began, in Unix microseconds: one reading of the clock per turn.
    now_us: i64,
    next_cron_us: i64,
    /// Position of the clients' cron, which visits a part of them each time.
    pub(super) cron_cursor: usize,
    /// Set once the server is to end.
    pub(super) shutdown: Option<ShutdownRequest>,
    /// The signal that asks the server to end; the process sets it, a simulator has none.
    pub(super) read_signals: Box<dyn FnMut() -> Option<i32>>,
    /// Frees what is big, where there is a thread for it.
    pub(super) disposal: Option<Disposal>,
}

impl<I: Io> Server<I> {
    /// A server without listeners.
    pub fn new(mut io: I, engine: Engine) -> Server<I> {
        let slab = vec![0; SLAB_BYTES];
        io.use_slab(&slab);
        let reply = Reply::with_buffer(slab);
        let now_us = io.now_us();
        Server {
            io,
            engine,
            listeners: Listeners::default(),
            clients: Vec::new(),
            connected: 0,
            outs: vec![Out { reply, touched: Vec::new() }],
            home: OWN,
            threads: Threads::default(),
            batch: Batch::default(),
            ready: VecDeque::new(),
            accepted: VecDeque::new(),
            accepted_tls: VecDeque::new(),
            plain: Vec::new(),
            accepts_to_retry: Vec::new(),
            to_rearm: Vec::new(),
            starved: Vec::new(),
            turn_commands_max: TURN_COMMANDS_MAX,
            turn_commands: 0,
            unserved: 0,
            output_watch: STALL_BYTES,
            to_close: Vec::new(),
            to_end: Vec::new(),
            outgoing: Outgoing::default(),
            completions: Vec::new(),
            sends_short_seen: 0,
            now_us,
            next_cron_us: now_us,
            cron_cursor: 0,
            shutdown: None,
            read_signals: Box::new(|| None),
            disposal: None,
        }
    }

    /// Takes a listening socket over that was opened elsewhere.
    pub fn listen(&mut self, socket: OwnedFd, kind: ListenerKind) -> ListenerId {
        let id = self.io.listen(socket);
        self.listeners.add(id, kind);
        id
    }

    /// What TLS connections begin with, where nobody reads files.
    pub fn use_tls(&mut self, context: TlsContext) {
        self.engine.state.tls = Some(context);
    }

    /// The engine, for a simulator that looks inside.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// The Io side, for a simulator that plays the peers.
    pub fn io(&mut self) -> &mut I {
        &mut self.io
    }

    /// How many clients there are.
    pub fn connected(&self) -> usize {
        self.connected
    }

    /// One turn. False once the server is to end.
    pub fn step(&mut self) -> io::Result<bool> {
        self.dispatch_all();
        let wait = self.wait_time();
        let wait = if wait.is_zero() || self.threads.lie_down() { wait } else { Duration::ZERO };
        let flushed = self.flush(Some(wait));
        self.threads.get_up();
        flushed?;
        self.now_us = self.io.now_us();
        self.engine.wake(self.now_us);
        self.engine.make_room_for_clients();
        self.count_freed();
        self.carry_out_effects();
        self.handle_completions();
        self.engine.run_timers();
        self.carry_out_effects();
        self.admit();
        self.turn_commands = 0;
        self.take_parcels();
        if !self.ready.is_empty() {
            self.publish_io_facts();
            self.output_watch = self.output_watch();
            self.unserved = self.ready.len();
            self.threads.load.saw_clients(self.unserved);
        }
        while !self.ready.is_empty() && self.shutdown.is_none() {
            self.gather();
            self.execute();
            if self.outs[OWN].reply.bytes_held() >= SLAB_FLUSH_BYTES {
                self.flush(None)?;
            }
            self.dispatch_much();
            if !self.ready.is_empty() && self.turn_is_over() {
                self.park_ready();
                break;
            }
        }
        self.end_closed_peers();
        self.settle_moves();
        self.io.recycle();
        self.rearm();
        self.cron_if_due();
        self.hand_garbage_over();
        self.engine.before_sleep();
        self.carry_out_effects();
        Ok(self.shutdown.is_none())
    }

    /// How long the next turn may wait. Not at all while flushed databases are being freed: each turn frees a slice.
    fn wait_time(&self) -> Duration {
        let waiting = !self.accepted.is_empty()
            || !self.accepted_tls.is_empty()
            || !self.ready.is_empty()
            || !self.to_close.is_empty();
        let memory = &self.engine.state.client_memory;
        // Who has to go to make room goes once this turn's output is written.
        let crowded = memory.is_over() && memory.largest().is_some();
        if waiting || crowded || !self.engine.state.garbage.is_empty() {
            return Duration::ZERO;
        }
        if self.orders_wait() {
            // A thread is far behind: it has no need to say when it is no more.
            return ORDERS_RETRY;
        }
        let mut next_us = self.next_cron_us.min(self.engine.next_deadline_us());
        if self.engine.state.blocking.awaits_freeing() {
            next_us = next_us.min(self.now_us + FREEING_WATCH_US);
        }
        Duration::from_micros((next_us - self.now_us).max(0) as u64)
    }

    /// Submits this turn's output, and waits for completions where `wait` is given. What the sockets did not take is
    /// copied out of the slab before the slab is reused.
    pub(super) fn flush(&mut self, wait: Option<Duration>) -> io::Result<()> {
        self.build_sends();
        let own = &self.outs[OWN];
        // Also where all of it went behind output that waits, and nothing is sent.
        let had_output = !own.touched.is_empty();
        self.io.turn(self.outgoing.output(&own.reply), wait.filter(|wait| !wait.is_zero()))?;
        match wait {
            Some(_) => self.io.poll(&mut self.completions)?,
            // Bytes that arrived since the turn began are for the next one: `recycle` ends what this one may read.
            None => self.io.poll_sends(&mut self.completions)?,
        }
        if had_output {
            if self.io.stats().sends_short != self.sends_short_seen {
                self.sends_short_seen = self.io.stats().sends_short;
                self.keep_unsent();
            }
            self.end_output();
        }
        if wait.is_none() {
            // Dealt with above: only short sends are collected in the middle of a turn.
            self.completions.clear();
        }
        self.close_written();
        Ok(())
    }

    /// First of all completions: those of short sends, while the slab still holds the replies.
    fn keep_unsent(&mut self) {
        let mut next = 0;
        for index in 0..self.completions.len() {
            if let Completion::SendShort { conn, sent } = self.completions[index] {
                next = self.send_rest(conn, sent, next);
            }
        }
    }

    /// Takes note of what has completed; executes nothing.
    fn handle_completions(&mut self) {
        let mut completions = std::mem::take(&mut self.completions);
        for completion in completions.drain(..) {
            match completion {
                Completion::Received { conn, bytes } => self.received(conn, bytes),
                Completion::RecvEnded { conn, end } => self.recv_ended(conn, end),
                // Dealt with right after the turn that sent.
                Completion::SendShort { .. } => {}
                Completion::Sent { conn, chunks, sent } => self.owned_send_done(conn, chunks, sent),
                Completion::ReceivedInto { conn, bytes, end } => self.received_into(conn, bytes, end),
                Completion::Accepted { listener, conn } => match self.listeners.kind(listener) {
                    Some(ListenerKind::Tls) => self.accepted_tls.push_back((listener, conn)),
                    _ => self.accepted.push_back((listener, conn)),
                },
                Completion::AcceptEnded { listener, error } => self.accept_ended(listener, error),
                Completion::Readable { token } => self.readable(token),
                // Nothing that others leave is waited for yet.
                Completion::Woken => {}
            }
        }
        self.completions = completions;
    }

    /// The client of a connection, where it is still the same one.
    #[inline]
    pub(super) fn client(&mut self, conn: ConnId) -> Option<&mut Client> {
        let client = self.clients.get_mut(conn.slot as usize)?.as_deref_mut()?;
        (client.conn == conn).then_some(client)
    }

    /// Whether that client is still there.
    #[inline]
    pub(super) fn is_here(&self, conn: ConnId) -> bool {
        self.clients.get(conn.slot as usize).and_then(Option::as_deref).is_some_and(|client| client.conn == conn)
    }

    /// Puts a client into the queue of those with work.
    #[inline]
    pub(super) fn enqueue(ready: &mut VecDeque<u32>, client: &mut Client) {
        if !client.queued && !client.closing && !client.holds_back() {
            client.queued = true;
            ready.push_back(client.conn.slot);
        }
    }

    fn recv_ended(&mut self, conn: ConnId, end: RecvEnd) {
        let Some(client) = self.client(conn) else { return };
        client.wire.reading = Reading::Idle;
        match end {
            RecvEnd::Eof => self.peer_closed(conn, None),
            RecvEnd::Failed(error) => self.peer_closed(conn, Some(error)),
            RecvEnd::Rearm if client.wire.inbox.is_empty() => self.starved.push(conn),
            RecvEnd::Rearm | RecvEnd::Stopped => self.to_rearm.push(conn),
        }
    }

    /// Arms receives that ended, as each client needs it now. One receive can empty all buffers, and the kernel serves
    /// them in this order: those that got nothing come first.
    fn rearm(&mut self) {
        for index in 0..self.starved.len() {
            let conn = self.starved[index];
            self.read_on(conn);
        }
        self.starved.clear();
        for index in 0..self.to_rearm.len() {
            let conn = self.to_rearm[index];
            self.read_on(conn);
        }
        self.to_rearm.clear();
    }

    /// Gives the client the kind of receive that it needs now.
    fn read_on(&mut self, conn: ConnId) {
        let Some(client) = self.clients[conn.slot as usize].as_deref_mut().filter(|client| client.conn == conn) else {
            return;
        };
        // Elsewhere its thread reads.
        if !client.closing && client.home == OWN {
            let full = client.is_full();
            client.wire.read_on(&mut self.io, full);
        }
    }

    fn cron_if_due(&mut self) {
        let period_us = 1_000_000 / i64::from(self.engine.state.config.hz.max(1));
        // More than a period ahead: the wall clock was set back, or `hz` raised, and waiting for it could take hours.
        if (self.next_cron_us - period_us..self.next_cron_us).contains(&self.now_us) {
            return;
        }
        self.cron();
        self.next_cron_us = self.now_us + period_us;
    }
}
