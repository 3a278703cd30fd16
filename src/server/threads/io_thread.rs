//! HOT PATH. An I/O thread: reads, decrypts, parses and looks up what its clients send, and writes what the main thread
//! answers. Executes nothing and waits for nobody but the kernel.
//!
//! ```text
//!   parcel from main ──> orders, sends ──> turn ──> completions ──> [parse ─> look up]* ──> parcel to main
//! ```
//! Stepped by a loop of its own, or by a simulator.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;

use crate::command::prepared::Lookup;
use crate::command::reply_buffer::Unsent;
use crate::handoff::{Receiver, Ringer, Sender, Sleeper};
use crate::io::{Completion, ConnId, Errno, Io, Received, RecvEnd};
use crate::observe::threads::ThreadFigures;
use crate::resp::args::Args;
use crate::resp::parse::Limits;
use crate::server::batch::{Gathered, Source, Work};
use crate::server::threads::guest::Guest;
use crate::server::threads::parcel::{Moving, Order, Parcel, Report};
use crate::server::wire::{Added, Outgoing, Reading, Wire, stash};

/// Most parcels of a thread that are under way to the main thread or being executed there.
const PARCELS_MAX: usize = 8;
/// So many commands are handed over without waiting for more of them.
const HELD_COMMANDS_MAX: usize = 256;
/// Longest sleep: nothing depends on it.
const SLEEP_MAX: Duration = Duration::from_secs(1);

/// What all I/O threads are told by the configuration.
#[derive(Default)]
pub(in crate::server) struct Settings {
    /// `proto-max-bulk-len`.
    pub(in crate::server) bulk_len_max: AtomicU64,
    /// Waiting output of a client from which on its commands wait: more than any limit that is set.
    pub(in crate::server) stall_bytes: AtomicU64,
    /// `client-query-buffer-limit`: beyond it nothing is read, until the main thread has closed the client.
    pub(in crate::server) query_buffer_limit: AtomicU64,
}

/// How a thread reaches the main thread.
pub(in crate::server) struct Links<I: Io> {
    pub(in crate::server) from_main: Receiver<Box<Parcel<I::Socket>>>,
    pub(in crate::server) to_main: Sender<Box<Parcel<I::Socket>>>,
    /// Its own bell.
    pub(in crate::server) sleeper: Sleeper,
    /// The main thread's.
    pub(in crate::server) main_bell: Ringer,
    pub(in crate::server) main_waker: I::Waker,
    pub(in crate::server) lookup: Arc<Lookup>,
    pub(in crate::server) settings: Arc<Settings>,
    pub(in crate::server) figures: Arc<ThreadFigures>,
}

/// One of them.
pub struct IoThread<I: Io> {
    io: I,
    links: Links<I>,
    /// By slot of their connections here.
    guests: Vec<Option<Box<Guest>>>,
    /// By slot on the main thread: their slot here.
    seats: Vec<u32>,
    /// The parcel that is being filled.
    filling: Option<Box<Parcel<I::Socket>>>,
    /// Empty ones.
    #[expect(clippy::vec_box, reason = "the boxes are what moves")]
    spare: Vec<Box<Parcel<I::Socket>>>,
    /// How many are under way with requests.
    under_way: usize,
    /// Reports for the next parcel.
    before: Vec<Report<I::Socket>>,
    after: Vec<Report<I::Socket>>,
    /// Guests with something to parse, in order.
    ready: VecDeque<u32>,
    /// Those that wrote into the parcel's replies.
    touched: Vec<u32>,
    to_rearm: Vec<ConnId>,
    starved: Vec<ConnId>,
    /// Those whose figures changed.
    dirty: Vec<u32>,
    /// Those that leave, or whose peer did.
    leaving: Vec<ConnId>,
    /// Orders that follow the sends of their parcel.
    later: Vec<Order<I::Socket>>,
    outgoing: Outgoing,
    completions: Vec<Completion>,
    plain: Vec<u8>,
    connected: usize,
    retired: bool,
    ended: bool,
    sends_short_seen: u64,
    /// How many commands were in the parcel when it was last kept back to look for more.
    looked_at: usize,
    /// Parcels of the main thread that were taken.
    taken: u64,
    /// Those of them that are carried out, with every report of what waits made.
    carried_out: u64,
}

impl<I: Io> IoThread<I> {
    pub(in crate::server) fn new(io: I, links: Links<I>) -> IoThread<I> {
        IoThread {
            io,
            links,
            guests: Vec::new(),
            seats: Vec::new(),
            filling: None,
            spare: Vec::new(),
            under_way: 0,
            before: Vec::new(),
            after: Vec::new(),
            ready: VecDeque::new(),
            touched: Vec::new(),
            to_rearm: Vec::new(),
            starved: Vec::new(),
            dirty: Vec::new(),
            leaving: Vec::new(),
            later: Vec::new(),
            outgoing: Outgoing::default(),
            completions: Vec::new(),
            plain: Vec::new(),
            connected: 0,
            retired: false,
            ended: false,
            sends_short_seen: 0,
            looked_at: 0,
            taken: 0,
            carried_out: 0,
        }
    }

    /// Its Io side, for a simulator that plays the peers.
    pub fn io(&mut self) -> &mut I {
        &mut self.io
    }

    /// The same, for one that looks inside.
    pub(in crate::server) fn io_side(&self) -> &I {
        &self.io
    }

    /// How many clients live here.
    pub fn connected(&self) -> usize {
        self.connected
    }

    /// The wires of its clients, each with the client's connection on the main thread, and whether anything more is parsed.
    pub(in crate::server) fn wires(&self) -> impl Iterator<Item = (ConnId, &Wire, bool)> {
        self.guests.iter().flatten().map(|guest| (guest.seat, &*guest.wire, !guest.deaf))
    }

    /// Whether nothing is under way.
    pub fn is_idle(&self) -> bool {
        self.under_way == 0 && self.links.from_main.is_empty() && self.ready.is_empty() && self.after.is_empty()
    }

    /// One turn. False once the thread is to end.
    pub fn step(&mut self) -> io::Result<bool> {
        let mut parcel = self.links.from_main.pop();
        self.taken += u64::from(parcel.is_some());
        if let Some(parcel) = parcel.as_deref_mut() {
            self.carry_out(parcel);
        }
        self.turn(parcel.as_deref_mut())?;
        if let Some(parcel) = parcel {
            self.keep_for_use(parcel);
        }
        self.handle_completions();
        self.gather();
        self.see_off();
        self.report_figures();
        self.carried_out = self.taken;
        self.send_parcel();
        self.say_carried_out();
        self.io.recycle();
        self.rearm();
        let retired = self.retired && self.connected == 0 && self.after.is_empty() && self.is_idle();
        Ok(!self.ended && !retired)
    }

    /// Does what the main thread wants, as far as it comes before the replies are sent.
    fn carry_out(&mut self, parcel: &mut Parcel<I::Socket>) {
        for order in parcel.orders.drain(..) {
            match order {
                Order::Write(seat, range) => {
                    let Some(guest) = guest_of(&mut self.guests, &self.seats, seat) else { continue };
                    if guest.wire.written.is_empty() {
                        self.touched.push(guest.wire.conn.slot);
                    }
                    guest.wire.written.push(range);
                }
                Order::Adopt { moving, held, let_in } => self.adopt(moving, held, let_in),
                Order::Hold(seat, held) => {
                    let Some(guest) = guest_of(&mut self.guests, &self.seats, seat) else { continue };
                    guest.held = held;
                    enqueue(&mut self.ready, guest);
                }
                Order::Next(seat, let_in) => {
                    let Some(guest) = guest_of(&mut self.guests, &self.seats, seat) else { continue };
                    (guest.let_in, guest.waits) = (let_in, false);
                    enqueue(&mut self.ready, guest);
                    if guest.ended.is_some() {
                        self.leaving.push(guest.wire.conn);
                    }
                }
                Order::Close(seat) => {
                    if let Some(guest) = guest_of(&mut self.guests, &self.seats, seat) {
                        let conn = guest.wire.conn;
                        self.close(conn);
                    }
                }
                order => self.later.push(order),
            }
        }
    }

    fn adopt(&mut self, moving: Moving<I::Socket>, held: bool, let_in: bool) {
        let Moving { seat, mut wire, socket } = moving;
        let conn = self.io.adopt(socket);
        wire.conn = conn;
        wire.reading = Reading::Idle;
        let mut guest = Box::new(Guest::new(seat, wire, held, let_in));
        enqueue(&mut self.ready, &mut guest);
        let (here, there) = (conn.slot as usize, seat.slot as usize);
        if self.guests.len() <= here {
            self.guests.resize_with(here + 1, || None);
        }
        if self.seats.len() <= there {
            self.seats.resize(there + 1, u32::MAX);
        }
        self.guests[here] = Some(guest);
        self.seats[there] = conn.slot;
        self.connected += 1;
        self.note_dirty(conn.slot);
        self.read_on(conn);
        self.send_pending(conn);
    }

    /// Submits the parcel's replies and what was asked for, and waits where there is nothing to do.
    fn turn(&mut self, mut parcel: Option<&mut Parcel<I::Socket>>) -> io::Result<()> {
        if let Some(parcel) = parcel.as_deref_mut() {
            self.build_sends(parcel);
        } else {
            self.outgoing.clear();
        }
        let output = match parcel.as_deref() {
            Some(parcel) => self.outgoing.output(&parcel.reply),
            None => crate::io::TurnOutput::NONE,
        };
        // What waits for this parcel alone, or for a second look, is handed over soon.
        let held = self.filling.as_ref().is_some_and(|filling| !filling.has_no_requests());
        let comes_back = parcel.as_ref().is_some_and(|parcel| parcel.is_mine);
        let busy = (held && self.under_way == usize::from(comes_back))
            || !self.links.from_main.is_empty()
            || !self.later.is_empty()
            || !self.leaving.is_empty()
            || (!self.ready.is_empty() && self.under_way < PARCELS_MAX);
        let figures = &self.links.figures;
        if busy {
            self.io.turn(output, None)?;
        } else {
            self.links.sleeper.lie_down();
            let wait = self.links.from_main.is_empty().then_some(SLEEP_MAX);
            let before_us = self.io.now_us();
            let result = self.io.turn(output, wait);
            self.links.sleeper.get_up();
            result?;
            figures.asleep_us.add((self.io.now_us() - before_us).max(0) as u64);
        }
        self.io.poll(&mut self.completions)?;
        figures.turns.add(1);
        figures.io.publish(self.io.stats());
        if let Some(parcel) = parcel {
            if self.io.stats().sends_short != self.sends_short_seen {
                self.sends_short_seen = self.io.stats().sends_short;
                self.keep_unsent(parcel);
            }
            self.end_output();
        }
        Ok(())
    }

    fn build_sends(&mut self, parcel: &mut Parcel<I::Socket>) {
        self.outgoing.clear();
        let mut late = Vec::new();
        for index in 0..self.touched.len() {
            let slot = self.touched[index];
            let Some(guest) = self.guests[slot as usize].as_deref_mut() else { continue };
            let bytes: usize = guest.wire.written.iter().map(|range| range.len()).sum();
            let mut unsent = Unsent::default();
            unsent.add(bytes, bytes);
            self.links.figures.output_bytes.add(bytes as u64);
            match self.outgoing.add(&mut guest.wire, &mut parcel.reply, unsent) {
                Added::Sent => {}
                Added::Kept => late.push(guest.wire.conn),
                Added::Broken(error) => {
                    guest.deaf = true;
                    self.after.push(Report::WriteFailed(guest.seat, error.to_string()));
                }
            }
        }
        let by_reference = self.outgoing.bytes_by_reference as u64;
        self.links.figures.output_bytes.add(by_reference);
        self.links.figures.bytes_by_reference.add(by_reference);
        self.links.figures.writes.add(self.outgoing.sends_len() as u64);
        for conn in late {
            self.output_waits(conn);
        }
    }

    /// Output of a guest waits for its socket.
    fn output_waits(&mut self, conn: ConnId) {
        let stall_bytes = self.links.settings.stall_bytes.load(Ordering::Relaxed);
        if let Some(guest) = self.guests[conn.slot as usize].as_deref_mut() {
            guest.weigh_output(stall_bytes);
        }
        self.note_dirty(conn.slot);
        self.send_pending(conn);
    }

    /// What the sockets did not take is copied out of the parcel.
    #[cold]
    fn keep_unsent(&mut self, parcel: &Parcel<I::Socket>) {
        let mut next = 0;
        for index in 0..self.completions.len() {
            let Completion::SendShort { conn, sent } = self.completions[index] else { continue };
            let Some(place) = self.outgoing.send_to(conn, next) else { continue };
            next = place + 1;
            let Some(guest) = guest_at(&mut self.guests, conn) else { continue };
            match sent {
                Ok(sent) => {
                    self.outgoing.keep_rest(place, &mut guest.wire, &parcel.reply, sent);
                    self.output_waits(conn);
                }
                Err(error) => self.write_failed(conn, error.to_string()),
            }
        }
    }

    /// The parcel's replies are sent, or kept: what was to come after them.
    fn end_output(&mut self) {
        for index in 0..self.touched.len() {
            if let Some(guest) = self.guests[self.touched[index] as usize].as_deref_mut() {
                guest.wire.written.clear();
            }
        }
        self.touched.clear();
        self.outgoing.clear();
        let mut later = std::mem::take(&mut self.later);
        for order in later.drain(..) {
            match order {
                Order::CloseWritten(seat) => {
                    let Some(guest) = guest_of(&mut self.guests, &self.seats, seat) else { continue };
                    (guest.closing, guest.deaf) = (true, true);
                    guest.wire.inbox.clear();
                    let conn = guest.wire.conn;
                    if guest.wire.pending.is_none() {
                        self.written(conn);
                    }
                }
                Order::Release(seat) => {
                    let Some(guest) = guest_of(&mut self.guests, &self.seats, seat) else { continue };
                    guest.leaves = true;
                    let conn = guest.wire.conn;
                    self.leaving.push(conn);
                    self.to_rearm.push(conn);
                }
                Order::Tell(seat) => {
                    let Some(guest) = guest_of(&mut self.guests, &self.seats, seat) else { continue };
                    guest.told = true;
                    let slot = guest.wire.conn.slot;
                    self.note_dirty(slot);
                }
                Order::Retire => self.retired = true,
                Order::End => self.ended = true,
                _ => {}
            }
        }
        self.later = later;
    }

    /// Everything is written to a guest that was to be closed then.
    fn written(&mut self, conn: ConnId) {
        let Some(guest) = guest_at(&mut self.guests, conn) else { return };
        self.after.push(Report::Gone(guest.seat));
        self.close(conn);
    }

    /// Forgets a guest and closes its connection.
    fn close(&mut self, conn: ConnId) {
        let Some(guest) = self.guests[conn.slot as usize].take_if(|guest| guest.wire.conn == conn) else { return };
        self.forget(&guest);
        let wire = *guest.wire;
        match wire.tls.map(|tls| tls.farewell(wire.pending.as_deref())) {
            Some(farewell) if !farewell.is_empty() => self.io.refuse(conn, &farewell),
            _ => self.io.close(conn),
        }
    }

    fn forget(&mut self, guest: &Guest) {
        self.connected -= 1;
        let place = &mut self.seats[guest.seat.slot as usize];
        // Another client may sit there by now.
        if *place == guest.wire.conn.slot {
            *place = u32::MAX;
        }
    }

    /// A parcel whose replies are sent is used again, or goes back to the main thread where that had made it.
    fn keep_for_use(&mut self, mut parcel: Box<Parcel<I::Socket>>) {
        parcel.clear_answers();
        if std::mem::replace(&mut parcel.is_mine, false) {
            self.under_way -= 1;
            self.spare.push(parcel);
        } else {
            // Nobody waits for it. Where there is no room it is dropped.
            let _ = self.links.to_main.push(parcel);
        }
    }

    fn handle_completions(&mut self) {
        let mut completions = std::mem::take(&mut self.completions);
        for completion in completions.drain(..) {
            match completion {
                Completion::Received { conn, bytes } => self.received(conn, bytes),
                Completion::RecvEnded { conn, end } => self.recv_ended(conn, end),
                Completion::ReceivedInto { conn, bytes, end } => self.received_into(conn, bytes, end),
                Completion::Sent { conn, chunks, sent } => self.sent(conn, chunks, sent),
                Completion::SendShort { .. }
                | Completion::Woken
                | Completion::Accepted { .. }
                | Completion::AcceptEnded { .. }
                | Completion::Readable { .. } => {}
            }
        }
        self.completions = completions;
    }

    fn received(&mut self, conn: ConnId, bytes: Received) {
        let Some(guest) = guest_at(&mut self.guests, conn) else { return };
        self.links.figures.reads.add(1);
        self.links.figures.input_bytes.add(bytes.len() as u64);
        if guest.closing {
            return;
        }
        if guest.wire.tls.is_some() {
            return self.received_tls(conn, bytes);
        }
        if guest.deaf || guest.holds_back() {
            guest.wire.keep_for_later(self.io.bytes(bytes));
            self.note_dirty(conn.slot);
            self.to_rearm.push(conn);
            return;
        }
        guest.wire.inbox.push(bytes);
        enqueue(&mut self.ready, guest);
    }

    fn received_tls(&mut self, conn: ConnId, bytes: Received) {
        let Some(guest) = guest_at(&mut self.guests, conn) else { return };
        if guest.deaf {
            return;
        }
        let (seat, waits) = (guest.seat, guest.holds_back());
        let Some(tls) = guest.wire.tls.as_deref_mut() else { return };
        self.plain.clear();
        let input = match tls.receive(self.io.bytes_mut(bytes), &mut self.plain) {
            Ok(input) => input,
            Err(error) => {
                let established = tls.is_established();
                guest.deaf = true;
                self.after.push(Report::Unreadable { seat, established, reason: error.to_string() });
                return;
            }
        };
        if input.begins {
            self.before.push(Report::Established { seat, local: tls.is_local() });
        }
        if !self.plain.is_empty() {
            guest.wire.take_plain(&mut self.io, bytes, &self.plain, waits);
            enqueue(&mut self.ready, guest);
        }
        if input.answers {
            guest.wire.pending.get_or_insert_default();
        }
        if input.closed {
            guest.ended.get_or_insert(None);
            self.leaving.push(conn);
        }
        if input.answers {
            self.send_pending(conn);
        }
        self.note_dirty(conn.slot);
    }

    fn recv_ended(&mut self, conn: ConnId, end: RecvEnd) {
        let Some(guest) = guest_at(&mut self.guests, conn) else { return };
        guest.wire.reading = Reading::Idle;
        if guest.leaves {
            self.leaving.push(conn);
        }
        match end {
            RecvEnd::Eof => self.ended(conn, None),
            RecvEnd::Failed(error) => self.ended(conn, Some(error)),
            RecvEnd::Rearm if guest.wire.inbox.is_empty() => self.starved.push(conn),
            RecvEnd::Rearm | RecvEnd::Stopped => self.to_rearm.push(conn),
        }
    }

    fn ended(&mut self, conn: ConnId, error: Option<Errno>) {
        let Some(guest) = guest_at(&mut self.guests, conn) else { return };
        guest.ended.get_or_insert(error);
        self.leaving.push(conn);
    }

    fn received_into(&mut self, conn: ConnId, bytes: Vec<u8>, end: Option<RecvEnd>) {
        let Some(guest) = guest_at(&mut self.guests, conn) else { return };
        let Some(arrived) = guest.wire.received_into(bytes) else { return };
        self.links.figures.reads.add(1);
        self.links.figures.input_bytes.add(arrived as u64);
        enqueue(&mut self.ready, guest);
        if guest.leaves {
            self.leaving.push(conn);
        }
        match end {
            Some(RecvEnd::Eof) => return self.ended(conn, None),
            Some(RecvEnd::Failed(error)) => return self.ended(conn, Some(error)),
            _ => {}
        }
        self.note_dirty(conn.slot);
        self.to_rearm.push(conn);
    }

    fn sent(&mut self, conn: ConnId, chunks: Vec<Bytes>, sent: Result<usize, Errno>) {
        let Some(guest) = guest_at(&mut self.guests, conn) else { return };
        let written = match sent {
            Ok(written) => written,
            Err(error) => return self.write_failed(conn, error.to_string()),
        };
        let drained = guest.wire.sent(chunks, written);
        let stalled = std::mem::replace(&mut guest.wire.stalled, false);
        guest.weigh_output(self.links.settings.stall_bytes.load(Ordering::Relaxed));
        if stalled && !guest.wire.stalled {
            enqueue(&mut self.ready, guest);
            self.to_rearm.push(conn);
        }
        let closing = guest.closing;
        if guest.leaves || guest.ended.is_some() {
            self.leaving.push(conn);
        }
        self.note_dirty(conn.slot);
        if drained && closing {
            return self.written(conn);
        }
        self.send_pending(conn);
    }

    fn send_pending(&mut self, conn: ConnId) {
        let Some(guest) = guest_at(&mut self.guests, conn) else { return };
        match self.outgoing.next_send(&mut guest.wire) {
            Ok(Some((chunks, offset))) => self.io.send(conn, chunks, offset),
            Ok(None) => {}
            Err(error) => self.write_failed(conn, error.to_string()),
        }
    }

    fn write_failed(&mut self, conn: ConnId, reason: String) {
        let Some(guest) = guest_at(&mut self.guests, conn) else { return };
        guest.deaf = true;
        self.after.push(Report::WriteFailed(guest.seat, reason));
    }

    /// Parses what arrived, as far as there are parcels for it.
    fn gather(&mut self) {
        let bulk_len_max = self.links.settings.bulk_len_max.load(Ordering::Relaxed);
        while let Some(&slot) = self.ready.front() {
            if !self.has_room() {
                return self.park();
            }
            self.ready.pop_front();
            let Some(guest) = self.guests[slot as usize].as_deref_mut() else { continue };
            guest.queued = false;
            if guest.deaf {
                leave_no_bytes(guest, &self.io);
                continue;
            }
            let conn = guest.wire.conn;
            if guest.holds_back() {
                stash(&mut guest.wire, &self.io);
                // It waits for no parcel any more: it may have more unread than one that does.
                guest.wire.parked = false;
                self.to_rearm.push(conn);
                self.note_dirty(slot);
                continue;
            }
            let Some(parcel) = self.filling.as_deref_mut() else { return };
            let limits = Limits { bulk_len_max, authenticated: guest.let_in };
            let first = parcel.batch.items.len();
            let gathered = guest.wire.carry(guest.seat, &self.io, &limits, &mut parcel.batch, &mut parcel.carried);
            if !guest.let_in && parcel.batch.items.len() > first {
                guest.waits = true;
                parcel.strangers.push((guest.seat, guest.wire.has_input()));
            }
            look_up(parcel, first, &self.links.lookup);
            match gathered {
                Gathered::All => {}
                Gathered::More => enqueue(&mut self.ready, guest),
                Gathered::Failed => guest.deaf = true,
            }
            if !guest.queued {
                leave_no_bytes(guest, &self.io);
            }
            if guest.ended.is_some() || guest.leaves {
                self.leaving.push(conn);
            }
            if guest.wire.partial.is_some() || guest.wire.parked || guest.told {
                guest.wire.parked = false;
                self.to_rearm.push(conn);
                self.note_dirty(slot);
            }
        }
    }

    /// Whether there is a parcel with room.
    fn has_room(&mut self) -> bool {
        if self.filling.as_ref().is_some_and(|parcel| parcel.is_full()) {
            self.send_parcel();
        }
        self.open_parcel()
    }

    fn open_parcel(&mut self) -> bool {
        if self.filling.is_none() && self.under_way < PARCELS_MAX {
            self.filling = Some(self.spare.pop().unwrap_or_else(Parcel::new));
        }
        self.filling.is_some()
    }

    /// Too many parcels are under way: what is left waits in buffers of the clients' own.
    #[cold]
    fn park(&mut self) {
        for index in 0..self.ready.len() {
            let slot = self.ready[index];
            let Some(guest) = self.guests[slot as usize].as_deref_mut() else { continue };
            stash(&mut guest.wire, &self.io);
            guest.wire.parked = true;
            let conn = guest.wire.conn;
            self.to_rearm.push(conn);
            self.note_dirty(slot);
        }
    }

    /// Guests whose peers are gone are reported, and those that leave are given back, once nothing of them is under way.
    fn see_off(&mut self) {
        for conn in std::mem::take(&mut self.leaving) {
            let Some(guest) = guest_at(&mut self.guests, conn) else { continue };
            // One that is to go home does so all the same: what it is to read may wait there.
            if let Some(error) = guest.ended
                && (error.is_some() || !(guest.queued || guest.wire.stalled || guest.waits))
                && !std::mem::replace(&mut guest.parted, true)
            {
                guest.deaf = true;
                self.after.push(guest.farewell(error));
            }
            if !guest.leaves || guest.closing {
                continue;
            }
            stash(&mut guest.wire, &self.io);
            if !guest.is_at_rest() {
                // The completion of what is under way brings it here again.
                self.to_rearm.push(conn);
                continue;
            }
            let Some(socket) = self.io.detach(conn) else {
                self.leaving.push(conn);
                continue;
            };
            if let Some(guest) = self.guests[conn.slot as usize].take() {
                self.forget(&guest);
                self.io.close(conn);
                let Guest { seat, wire, .. } = *guest;
                self.after.push(Report::Released(Moving { seat, wire, socket }));
            }
        }
    }

    fn report_figures(&mut self) {
        for index in 0..self.dirty.len() {
            let slot = self.dirty[index];
            let Some(guest) = self.guests[slot as usize].as_deref_mut() else { continue };
            guest.dirty = false;
            if let Some(figures) = guest.news() {
                self.after.push(Report::Figures(guest.seat, figures));
            }
        }
        self.dirty.clear();
    }

    fn note_dirty(&mut self, slot: u32) {
        let Some(guest) = self.guests[slot as usize].as_deref_mut() else { return };
        if !std::mem::replace(&mut guest.dirty, true) {
            self.dirty.push(slot);
        }
    }

    /// Hands the parcel over, where there is something in it.
    fn send_parcel(&mut self) {
        let reports = !self.before.is_empty() || !self.after.is_empty();
        if reports && !self.open_parcel() {
            return;
        }
        let Some(mut parcel) = self.filling.take() else { return };
        parcel.before.append(&mut self.before);
        parcel.after.append(&mut self.after);
        parcel.carried_out = self.carried_out;
        if parcel.has_no_requests() || self.holds(&parcel) {
            self.filling = Some(parcel);
            return;
        }
        let figures = &self.links.figures;
        let commands = parcel.batch.items.len() as u64;
        let reports = (parcel.before.len() + parcel.after.len()) as u64;
        parcel.is_mine = true;
        if let Err(mut parcel) = self.links.to_main.push(parcel) {
            // Cannot be: there are fewer parcels than places. Kept for the next turn all the same.
            parcel.is_mine = false;
            self.filling = Some(parcel);
            return;
        }
        self.under_way += 1;
        figures.batches.add(1);
        figures.commands.add(commands);
        figures.reports.add(reports);
        figures.queue_high_water.raise(self.links.to_main.high_water() as u64);
        if self.links.main_bell.should_ring() {
            self.io.wake(&self.links.main_waker);
            figures.wakeups_sent.add(1);
        } else {
            figures.wakeups_elided.add(1);
        }
    }

    /// Parcels say how much is carried out; where there is nothing to send, this does. No report may be left to send.
    fn say_carried_out(&mut self) {
        let said = &self.links.figures.carried_out;
        // Only this thread writes it, and the main thread looks at it all the time.
        if said.load(Ordering::Relaxed) == self.carried_out {
            return;
        }
        let filled = self.filling.as_ref().is_none_or(|filling| filling.before.is_empty() && filling.after.is_empty());
        if filled && self.before.is_empty() && self.after.is_empty() {
            // Whoever sees this sees what was sent before.
            said.store(self.carried_out, Ordering::Release);
        }
    }

    /// Whether a parcel is better filled further. Either one before it is under way, and the main thread has not begun that
    /// or sleeps behind it: its coming back ends the wait. Or the last look found more commands: the next one may, too.
    /// So the main thread is woken once for all that arrives together.
    #[inline]
    fn holds(&mut self, parcel: &Parcel<I::Socket>) -> bool {
        let commands = parcel.batch.items.len();
        let looked_at = std::mem::take(&mut self.looked_at);
        if commands >= HELD_COMMANDS_MAX || parcel.is_full() || !parcel.before.is_empty() || !parcel.after.is_empty() {
            return false;
        }
        if self.under_way > 0 {
            return self.links.main_bell.is_asleep() || !self.links.to_main.is_empty();
        }
        let found_more = commands > looked_at.max(1);
        if found_more {
            self.looked_at = commands;
        }
        found_more
    }

    fn rearm(&mut self) {
        for list in [std::mem::take(&mut self.starved), std::mem::take(&mut self.to_rearm)] {
            for conn in list {
                self.read_on(conn);
            }
        }
    }

    fn read_on(&mut self, conn: ConnId) {
        let Some(guest) = guest_at(&mut self.guests, conn) else { return };
        if !guest.closing && guest.ended.is_none() {
            let limit = self.links.settings.query_buffer_limit.load(Ordering::Relaxed);
            let full = guest.is_full() || guest.wire.buffered_bytes() as u64 > limit;
            guest.wire.read_on(&mut self.io, full);
        }
    }
}

/// What is not parsed in this turn moves to a buffer of the guest's own, or goes where nothing more of it is parsed.
#[inline]
fn leave_no_bytes<I: Io>(guest: &mut Guest, io: &I) {
    if guest.deaf {
        guest.wire.inbox.clear();
    } else if !guest.wire.inbox.is_empty() {
        stash(&mut guest.wire, io);
    }
}

/// Looks the commands of a parcel up from number `first` on.
#[inline]
fn look_up<S>(parcel: &mut Parcel<S>, first: usize, lookup: &Lookup) {
    let batch = &mut parcel.batch;
    for item in &mut batch.items[first..] {
        let (Work::Command { prepared, spans }, Source::Carried(at, _)) = (&mut item.work, item.source) else {
            continue;
        };
        let spans = &batch.spans[spans.start as usize..spans.end as usize];
        *prepared = lookup.prepare(Args::new(&parcel.carried[at as usize..], spans, &batch.blobs));
    }
}

/// The guest with this connection here.
#[inline]
fn guest_at(guests: &mut [Option<Box<Guest>>], conn: ConnId) -> Option<&mut Guest> {
    guests.get_mut(conn.slot as usize)?.as_deref_mut().filter(|guest| guest.wire.conn == conn)
}

/// The guest with this connection on the main thread.
#[inline]
fn guest_of<'g>(guests: &'g mut [Option<Box<Guest>>], seats: &[u32], seat: ConnId) -> Option<&'g mut Guest> {
    let here = *seats.get(seat.slot as usize)?;
    guests.get_mut(here as usize)?.as_deref_mut().filter(|guest| guest.seat == seat)
}

#[inline]
fn enqueue(ready: &mut VecDeque<u32>, guest: &mut Guest) {
    if !guest.queued && !guest.deaf && !guest.holds_back() && guest.wire.has_input() {
        guest.queued = true;
        ready.push_back(guest.wire.conn.slot);
    }
}
