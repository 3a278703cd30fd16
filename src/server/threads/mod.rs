//! I/O threads, as the main thread sees them: parcels that come are executed, and go back with replies and orders. The main
//! thread never waits for one, nor stops one: what concerns a client there is an order to its thread, in the order of its
//! replies.

#![forbid(unsafe_code)]

mod balance;
mod guest;
mod io_thread;
mod moves;
#[cfg(test)]
mod output_tests;
mod parcel;
mod spawn;
mod untold;

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;

use crate::command::reply_buffer::Unsent;
use crate::command::session::Slot;
use crate::handoff::{self, Receiver, Ringer, Sender, Sleeper};
use crate::io::{ConnId, Io};
use crate::observe::log;
use crate::observe::threads::ThreadFigures;
use crate::server::batch::{BATCH_COMMANDS_MAX, Work};
use crate::server::connections::PROTECTED_MODE;
use crate::server::event_loop::{OWN, Out, SLAB_FLUSH_BYTES, Server};
use crate::server::output::stall_bytes_for;
use crate::server::threads::balance::Load;
use crate::server::threads::io_thread::Settings;
use crate::server::threads::parcel::{Order, Parcel, Report};
use crate::server::wire::Outgoing;

pub use io_thread::IoThread;
pub(in crate::server) use parcel::WireFigures;
pub(in crate::server) use spawn::spawner;
pub(in crate::server) use untold::Untold;

/// Places of each queue: more than there are parcels with requests, so that only idle ones find no room.
const QUEUE_PLACES: usize = 64;
/// Output of a client, in bytes, after which its commands wait until its thread has said what became of it.
const UNTOLD_MAX: usize = 1 << 20;
/// Empty parcels that are kept for each thread.
const SPARE_MAX: usize = 4;

/// All of them, as the main thread sees them.
pub(super) struct Threads<I: Io> {
    /// Thread number n is home n + 1.
    ends: Vec<ThreadEnd<I>>,
    /// What each is told: orders that follow the replies written before.
    orders: Vec<Vec<Order<I::Socket>>>,
    /// The main thread's own bell.
    sleeper: Sleeper,
    bell: Ringer,
    settings: Arc<Settings>,
    pub(super) load: Load,
    /// Clients of the main thread that are to move.
    leaving: Vec<ConnId>,
    /// How a thread is started; a simulator steps its own.
    spawn: Option<spawn::Spawn<I>>,
    /// How many there are to be.
    wanted: usize,
}

/// The main thread's end of one.
struct ThreadEnd<I: Io> {
    to: Sender<Box<Parcel<I::Socket>>>,
    from: Receiver<Box<Parcel<I::Socket>>>,
    bell: Ringer,
    waker: I::Waker,
    figures: Arc<ThreadFigures>,
    clients: usize,
    /// Parcels whose requests are executed, on their way back: more than one where its queue was full.
    hands: VecDeque<Box<Parcel<I::Socket>>>,
    #[expect(clippy::vec_box, reason = "the boxes are what moves")]
    spare: Vec<Box<Parcel<I::Socket>>>,
    /// It gets no more clients, and ends.
    retires: bool,
    handle: Option<JoinHandle<()>>,
    /// The commands of its clients when the load was looked at last.
    commands_seen: u64,
    /// Parcels that it was handed.
    handed: u64,
    /// How many of those it is done with, and has said of everything in them that is not written.
    carried_out: u64,
}

impl<I: Io> Default for Threads<I> {
    fn default() -> Threads<I> {
        let (sleeper, bell) = handoff::bell();
        Threads {
            ends: Vec::new(),
            orders: vec![Vec::new()],
            sleeper,
            bell,
            settings: Arc::new(Settings::default()),
            load: Load::default(),
            leaving: Vec::new(),
            spawn: None,
            wanted: 0,
        }
    }
}

impl<I: Io> Threads<I> {
    /// Whether there are any.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// Before the main thread sleeps. False: something came, and it must not.
    pub(super) fn lie_down(&self) -> bool {
        if self.ends.is_empty() {
            return true;
        }
        self.sleeper.lie_down();
        self.ends.iter().all(|end| end.from.is_empty())
    }

    /// After it slept.
    pub(super) fn get_up(&self) {
        if !self.ends.is_empty() {
            self.sleeper.get_up();
        }
    }
}

impl<I: Io> Server<I> {
    /// Whether some order or parcel could not be handed over: its thread is far behind.
    pub(super) fn orders_wait(&self) -> bool {
        self.threads.orders.iter().any(|orders| !orders.is_empty())
            || self.threads.ends.iter().any(|end| !end.hands.is_empty())
    }

    /// Executes what I/O threads have sent, for as long as a turn may last.
    pub(super) fn take_parcels(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        let config = &self.engine.state.config;
        let settings = &self.threads.settings;
        settings.bulk_len_max.store(config.proto_max_bulk_len, Ordering::Relaxed);
        let limits = &config.client_output_buffer_limit;
        // What listeners are sent does not wait for their commands.
        let stall_bytes = stall_bytes_for(limits.normal);
        settings.stall_bytes.store(stall_bytes as u64, Ordering::Relaxed);
        settings.query_buffer_limit.store(config.client_query_buffer_limit as u64, Ordering::Relaxed);
        for thread in 0..self.threads.ends.len() {
            while self.shutdown.is_none()
                && let Some(parcel) = self.threads.ends[thread].from.pop()
            {
                self.open(thread, parcel);
                if self.turn_commands >= self.turn_commands_max || self.engine.state.turn_lasts_a_ms() {
                    break;
                }
            }
        }
    }

    /// Executes a parcel, and sends it back with the replies.
    fn open(&mut self, thread: usize, mut parcel: Box<Parcel<I::Socket>>) {
        self.output_watch = self.output_watch();
        for report in std::mem::take(&mut parcel.before) {
            self.hear(thread, report);
        }
        self.hear_carried_out(thread, &parcel);
        let count = parcel.batch.items.len();
        self.threads.load.saw_commands(count);
        for first in (0..count).step_by(BATCH_COMMANDS_MAX) {
            let which = first..count.min(first + BATCH_COMMANDS_MAX);
            self.prefetch(&parcel, which.clone());
            self.run(&parcel.batch, which, &parcel.carried);
        }
        if self.engine.state.client_memory.is_on() {
            parcel.batch.items.iter().for_each(|item| self.account(item.seat.slot));
        }
        for (seat, more) in parcel.strangers.drain(..) {
            if self.client(seat).is_some() && !self.leaves_too_much(seat, more) {
                let let_in = self.engine.state.lets_in(self.engine.session(Slot(seat.slot)));
                self.threads.orders[thread + 1].push(Order::Next(seat, let_in));
            }
        }
        for report in std::mem::take(&mut parcel.after) {
            self.hear(thread, report);
        }
        parcel.clear_requests();
        let end = &mut self.threads.ends[thread];
        if parcel.is_mine {
            // Its turn to go back.
            end.hands.push_back(parcel);
            self.dispatch(thread + 1);
        } else if end.spare.len() < SPARE_MAX {
            end.spare.push(parcel);
        }
    }

    /// Brings near what the commands are going to need.
    #[inline]
    fn prefetch(&mut self, parcel: &Parcel<I::Socket>, which: std::ops::Range<usize>) {
        let items = &parcel.batch.items[which.clone()];
        let mut looks_for_members = false;
        for item in items {
            if let Work::Command { prepared, .. } = &item.work
                && self.client(item.seat).is_some()
            {
                looks_for_members |= prepared.member_arg != 0;
                self.engine.prefetch_bucket(Slot(item.seat.slot), prepared);
            }
        }
        let commands = items.iter().filter_map(|item| match &item.work {
            Work::Command { prepared, .. } if self.is_here(item.seat) => Some((Slot(item.seat.slot), prepared)),
            _ => None,
        });
        self.engine.prefetch_entries(commands);
        if looks_for_members {
            self.prefetch_members(&parcel.batch, which, &parcel.carried);
        }
    }

    /// Hands over what was written to clients of every thread, and what they are ordered.
    pub(super) fn dispatch_all(&mut self) {
        for home in 1..self.outs.len() {
            self.dispatch(home);
        }
    }

    /// The same in the middle of a turn, where commands that had waited made much: whether more of them may run depends on
    /// what is handed over. Half of what is looked at, for a client that reads shall pass no limit in between.
    #[inline]
    pub(super) fn dispatch_much(&mut self) {
        for home in 1..self.outs.len() {
            if self.outs[home].reply.bytes_held() >= SLAB_FLUSH_BYTES.min(self.output_watch / 2) {
                self.dispatch(home);
            }
        }
    }

    fn dispatch(&mut self, home: usize) {
        self.note_writes(home);
        let end = &mut self.threads.ends[home - 1];
        let orders = &mut self.threads.orders[home];
        // The first takes all there is; others that waited go back with nothing.
        while (!orders.is_empty() || !end.hands.is_empty()) && end.to.len() < end.to.capacity() {
            let mut parcel = end.hands.pop_front().or_else(|| end.spare.pop()).unwrap_or_else(Parcel::new);
            std::mem::swap(&mut parcel.reply, &mut self.outs[home].reply);
            parcel.orders.append(orders);
            if end.to.push(parcel).is_err() {
                log::warning(format_args!("A parcel for I/O thread {home} found no room"));
            }
            end.handed += 1;
            if end.bell.should_ring() {
                self.io.wake(&end.waker);
                end.figures.woken.add(1);
            }
        }
    }

    /// Turns what clients of a thread wrote into orders.
    fn note_writes(&mut self, home: usize) {
        if self.outs[home].touched.is_empty() {
            return;
        }
        self.look_carried_out(home);
        for index in 0..self.outs[home].touched.len() {
            let slot = self.outs[home].touched[index];
            self.note_write(home, slot);
            if let Some(client) = self.clients[slot as usize].as_deref()
                && (client.moving.is_some() || client.home != home)
            {
                // Nobody else says how much waits for it, though an order may have had it held before.
                let conn = client.conn;
                self.check_output(conn, "scheduled to be closed ASAP");
            }
        }
        self.outs[home].touched.clear();
    }

    /// The same for one client, before something is ordered that comes behind its replies. Closes nobody: who gives an order
    /// goes on with the client.
    pub(super) fn note_write(&mut self, home: usize, slot: u32) {
        let Some(client) = self.clients[slot as usize].as_deref_mut().filter(|client| client.home == home) else {
            return;
        };
        if client.wire.written.is_empty() {
            return;
        }
        let stats = &mut self.engine.state.stats;
        if client.moving.is_some() {
            // It is on its way: this is sent where it arrives. One that reads nothing never does.
            return hold_output(&mut self.outgoing, client, &mut self.outs[home]);
        }
        let unsent = std::mem::take(&mut client.unsent);
        stats.net_output_bytes += unsent.bytes() as u64;
        client.wire.reply_buffer.filled(unsent.bytes());
        let end = &self.threads.ends[home - 1];
        let carried_out = if client.untold_stays { 0 } else { end.carried_out };
        client.untold.add(unsent, end.handed + 1, carried_out);
        let conn = client.conn;
        let orders = &mut self.threads.orders[home];
        orders.extend(client.wire.written.iter().map(|range| Order::Write(conn, range)));
        client.wire.written.clear();
        if unsent.bytes() >= UNTOLD_MAX || client.untold.all().bytes() >= self.output_watch {
            // Before more is made for it, its thread is to say how much it still has. A limit is passed by no more than
            // Redis' own replies pass it: those to commands that ran together.
            client.wire.stalled = true;
        }
        if client.wire.stalled {
            orders.push(Order::Tell(conn));
        }
        // It is on its way: who makes room counts it no longer.
        self.account(slot);
    }

    /// Orders something about a client that lives on a thread, behind its replies so far.
    pub(super) fn order(&mut self, conn: ConnId, order: Order<I::Socket>) {
        let Some(home) = self.client(conn).map(|client| client.home).filter(|home| *home != OWN) else { return };
        self.note_write(home, conn.slot);
        self.threads.orders[home].push(order);
    }

    /// The commands of a client wait from now on, or no longer.
    pub(super) fn order_hold(&mut self, slot: u32, held: bool) {
        let Some(client) = self.clients[slot as usize].as_deref().filter(|client| client.home != OWN) else { return };
        let conn = client.conn;
        self.order(conn, Order::Hold(conn, held));
    }

    /// A client of this home is gone.
    pub(super) fn left(&mut self, home: usize) {
        if home != OWN {
            self.threads.ends[home - 1].clients -= 1;
        }
    }

    /// A client is to be closed: at once, or when everything is written.
    pub(super) fn order_close(&mut self, conn: ConnId, written: bool) {
        self.order(conn, if written { Order::CloseWritten(conn) } else { Order::Close(conn) });
    }

    /// What a thread says of a client.
    fn hear(&mut self, thread: usize, report: Report<I::Socket>) {
        match report {
            Report::Figures(seat, figures) => self.hear_figures(seat, figures),
            Report::Closed(seat, error) => self.peer_closed(seat, error),
            Report::WriteFailed(seat, reason) => {
                if self.client(seat).is_some() {
                    log::verbose(format_args!("Error writing to client: {reason}"));
                    self.close_now(seat);
                }
            }
            Report::Unreadable { seat, established, reason } => {
                if self.client(seat).is_none() {
                } else if established {
                    log::verbose(format_args!("Reading from client: {reason}"));
                    self.close_now(seat);
                } else {
                    self.handshake_failed(seat, &reason);
                }
            }
            Report::Established { seat, local } => {
                if self.client(seat).is_some() && !self.may_enter(local) {
                    self.refuse_established(seat);
                }
            }
            Report::Gone(seat) => self.close_now(seat),
            Report::Released(moving) => self.arrived(thread, moving),
        }
    }

    /// Refuses a client whose handshake is over, because protected mode keeps it out.
    pub(super) fn refuse_established(&mut self, conn: ConnId) {
        self.engine.state.stats.connections_rejected += 1;
        self.home = self.client(conn).map_or(OWN, |client| client.home);
        let start = self.reply().mark();
        self.reply().raw(PROTECTED_MODE);
        self.note_written(conn.slot, start);
        self.home = OWN;
        self.close_after_output(conn.slot);
    }

    /// The buffers of a client on a thread changed: what depends on them.
    fn hear_figures(&mut self, seat: ConnId, figures: WireFigures) {
        let now_s = self.engine.state.now_s;
        if self.client(seat).is_none() {
            return;
        }
        let stall_bytes = self.stall_bytes(seat.slot);
        let Some(client) = self.client(seat).filter(|client| client.home != OWN) else { return };
        let (held, pending) = (figures.buffered, figures.pending_bytes);
        let tls_memory = figures.tls_memory;
        client.figures = Some(Box::new(figures));
        let pending = pending + client.wire.pending_bytes();
        let was_stalled = std::mem::replace(&mut client.wire.stalled, pending >= stall_bytes);
        let resumes = was_stalled && pending < stall_bytes && client.has_work();
        let held = held + client.deferred_bytes();
        if resumes && let Some(client) = self.clients[seat.slot as usize].as_deref_mut() {
            Self::enqueue(&mut self.ready, client);
        }
        let session = self.engine.session_mut(Slot(seat.slot));
        session.last_interaction_s = now_s;
        session.net.tls_mem = tls_memory;
        if self.over_query_limit(seat.slot, held) {
            return self.close_for_query_buffer(seat.slot);
        }
        if pending == 0
            && let Some(client) = self.client(seat)
        {
            client.soft_limit_since_ms = None;
        }
        if pending > 0 {
            self.check_output(seat, "scheduled to be closed ASAP");
        } else {
            self.account(seat.slot);
        }
    }
}

/// What clients of a new home write.
fn new_out(reply: crate::resp::reply::Reply) -> Out {
    Out { reply, touched: Vec::new() }
}

/// What is written to a client that is on its way waits in the wire that stands for it.
fn hold_output(outgoing: &mut Outgoing, client: &mut crate::server::client::Client, out: &mut Out) {
    let unsent: Unsent = std::mem::take(&mut client.unsent);
    outgoing.add(&mut client.wire, &mut out.reply, unsent);
    client.wire.written.clear();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::facts::ProcessFacts;
    use crate::config::Config;
    use crate::engine::Engine;
    use crate::io::sim::{SimIo, SimOptions};

    /// A thread counts its parcels with requests, and sends no more where one stays out.
    #[test]
    fn parcels_come_back_although_the_queue_was_full() {
        const REQUESTS: usize = 3;
        let engine = Engine::new(Config::default(), ProcessFacts::detached(), 1);
        let mut server = Server::new(SimIo::new(1, SimOptions::calm()), engine);
        let waker = server.io.waker();
        let mut links = server.add_end(waker);
        while server.threads.ends[0].to.push(Parcel::new()).is_ok() {}
        for _ in 0..REQUESTS {
            let mut parcel = Parcel::new();
            parcel.is_mine = true;
            server.open(0, parcel);
            assert!(server.orders_wait(), "it is to try again");
        }
        let (mut idle, mut back) = (0, 0);
        while let Some(parcel) = links.from_main.pop() {
            if parcel.is_mine {
                back += 1
            } else {
                idle += 1
            }
            server.dispatch_all();
        }
        assert_eq!((idle, back), (QUEUE_PLACES, REQUESTS));
        assert!(!server.orders_wait(), "nothing waits any more");
    }
}
