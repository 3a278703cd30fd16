//! The Io boundary without a kernel: a network that exists in memory, moves one step per turn, and misbehaves by a seed.
//! Runs on the caller's thread, opens no sockets and reads no clock; time passes when a turn waits in vain, and a little
//! with every turn.
//!
//! It is stricter than the real back end: what the contract of [`Io`] forbids panics here, with the connection's name.
//! Only what the real one may do happens: completions of one direction of a connection keep their order, a short soft
//! send is told by the first `poll` after its turn, and nothing of a closed connection is ever delivered.
//!
//! ```text
//!   peer_write ─> to_server ─advance─> ready ─poll─> Received      (may be split, starved, delayed, reordered)
//!   peer_read  <─ from_server <─ soft send of the turn / owned send (may be short, refused, broken)
//! ```

#![forbid(unsafe_code)]

mod network;
mod options;
mod peer;
#[cfg(test)]
mod tests;
mod world;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;

use crate::io::{Completion, ConnId, GENERATION_MASK, Io, IoStats, ListenerId, Received, TurnOutput};
pub use options::{Chance, Dice, SimOptions};
pub use peer::{PeerEnd, PeerId};
use world::{Clock, SharedPeer};
pub use world::{SimSocket, SimWaker};

/// When a simulated world begins: 1 January 2026, in Unix microseconds.
const START_US: i64 = 1_767_225_600_000_000;
/// What a turn takes: time does not stand still while there is always something to do.
const TURN_US: u64 = 100;

/// What a slot is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Free,
    Open,
    /// Closed by the server; what was in flight comes back after some turns.
    Closing {
        turns: u32,
    },
    /// Reserved for a connection that another back end has.
    Away,
}

/// What a connection receives into.
#[derive(Debug)]
enum Receiving {
    Nothing,
    Standing {
        stopping: bool,
    },
    Into {
        bytes: Vec<u8>,
        max: usize,
    },
    /// Over, but the server has not polled that yet.
    Over,
}

/// The server's end of a connection.
#[derive(Debug)]
struct Slot {
    generation: u32,
    state: State,
    peer: PeerId,
    receiving: Receiving,
    receive_held: u32,
    /// An owned send in flight.
    chunks: Option<(Vec<Bytes>, usize)>,
    send_held: u32,
    /// An owned send is in flight as far as the server knows.
    sending: bool,
    /// A short soft send was not polled yet.
    short_untold: bool,
    /// The last turn with a soft send.
    soft_turn: u64,
}

impl Slot {
    fn is_open(&self) -> bool {
        self.state == State::Open
    }

    fn is_free(&self) -> bool {
        self.state == State::Free
    }
}

/// What of a connection is in flight, as far as the server has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InFlight {
    /// A receive of this kind.
    pub receive: Option<ReceiveKind>,
    /// An owned send.
    pub send: bool,
}

/// The kinds of receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReceiveKind {
    /// Until it ends.
    Standing,
    /// Once, into memory of the server's that the Io side has until then.
    Into,
}

/// A listening socket; `socket` is kept only to be closed.
#[derive(Debug)]
struct Listener {
    socket: Option<OwnedFd>,
    armed: bool,
    /// The server knows that the standing accept is over.
    told: bool,
    backlog: VecDeque<PeerId>,
}

/// What the next polls deliver.
#[derive(Debug)]
enum Ready {
    Done(Completion),
    /// Becomes `Completion::Received` when it is polled.
    Bytes {
        conn: ConnId,
        bytes: Vec<u8>,
    },
}

impl Ready {
    fn conn(&self) -> Option<ConnId> {
        match self {
            Ready::Bytes { conn, .. } => Some(*conn),
            Ready::Done(done) => match done {
                Completion::Accepted { conn, .. }
                | Completion::Received { conn, .. }
                | Completion::RecvEnded { conn, .. }
                | Completion::ReceivedInto { conn, .. }
                | Completion::SendShort { conn, .. }
                | Completion::Sent { conn, .. } => Some(*conn),
                Completion::AcceptEnded { .. } | Completion::Readable { .. } | Completion::Woken => None,
            },
        }
    }

    /// Completions with the same key keep their order.
    fn key(&self) -> (u8, u32) {
        match self {
            Ready::Bytes { conn, .. } => (0, conn.slot),
            Ready::Done(done) => match done {
                Completion::Received { conn, .. }
                | Completion::RecvEnded { conn, .. }
                | Completion::ReceivedInto { conn, .. } => (0, conn.slot),
                Completion::SendShort { conn, .. } | Completion::Sent { conn, .. } => (1, conn.slot),
                Completion::Accepted { listener, .. } | Completion::AcceptEnded { listener, .. } => (2, listener.0),
                Completion::Readable { .. } => (3, 0),
                Completion::Woken => (4, 0),
            },
        }
    }

    fn is_short_send(&self) -> bool {
        matches!(self, Ready::Done(Completion::SendShort { .. }))
    }
}

/// A network in memory; the server's side of it is [`Io`], the clients' side the functions named `peer_…`.
#[derive(Debug)]
pub struct SimIo {
    dice: Dice,
    options: SimOptions,
    slots: Vec<Slot>,
    free: Vec<u32>,
    listeners: Vec<Listener>,
    peers: Vec<SharedPeer>,
    watched: Vec<u32>,
    ready: VecDeque<Ready>,
    /// Bytes in `ready`.
    ready_bytes: usize,
    /// Everything lent since the last `recycle`.
    lent: Vec<u8>,
    /// Which `recycle` the lent bytes wait for: bytes of an older one are gone.
    lending: u16,
    clock: Arc<Clock>,
    waker: SimWaker,
    /// For how many more turns a wake-up from another back end is held up.
    wake_held: u32,
    /// To be woken with the next turn.
    waking: Vec<SimWaker>,
    /// What the last turn's soft sends left was not polled yet.
    sends_untold: bool,
    turns: u64,
    stats: IoStats,
}

impl SimIo {
    /// A network with no one on it.
    pub fn new(seed: u64, options: SimOptions) -> SimIo {
        SimIo {
            dice: Dice::new(seed),
            options,
            slots: Vec::new(),
            free: Vec::new(),
            listeners: Vec::new(),
            peers: Vec::new(),
            watched: Vec::new(),
            ready: VecDeque::new(),
            ready_bytes: 0,
            lent: Vec::new(),
            lending: 0,
            clock: Arc::default(),
            waker: SimWaker::default(),
            wake_held: 0,
            waking: Vec::new(),
            sends_untold: false,
            turns: 0,
            stats: IoStats::default(),
        }
    }

    /// The back end of another thread in the same world: it has this one's clock and chances, and connections move between
    /// them. A peer is asked for at the back end that it knocked at, wherever its connection is.
    pub fn beside(&self, seed: u64) -> SimIo {
        SimIo { clock: Arc::clone(&self.clock), ..SimIo::new(seed, self.options) }
    }

    /// Microseconds that turns have waited in vain, those of all back ends in this world.
    pub fn waited_us(&self) -> u64 {
        self.clock.waited_us.load(Ordering::Relaxed)
    }

    /// Somebody sets the wall clock, forward or back.
    pub fn set_clock(&mut self, by_us: i64) {
        self.clock.set_us.fetch_add(by_us, Ordering::Relaxed);
    }

    /// How many turns there were.
    pub fn turns(&self) -> u64 {
        self.turns
    }

    /// Chances from here on.
    pub fn set_options(&mut self, options: SimOptions) {
        self.options = options;
    }

    /// What is in flight; None where the connection is not here.
    pub fn in_flight(&self, conn: ConnId) -> Option<InFlight> {
        let slot = self.slots.get(conn.slot as usize)?;
        if slot.generation != conn.generation || !slot.is_open() {
            return None;
        }
        let receive = match slot.receiving {
            Receiving::Nothing => None,
            Receiving::Standing { .. } => Some(ReceiveKind::Standing),
            Receiving::Into { .. } => Some(ReceiveKind::Into),
            // Its end waits to be told.
            Receiving::Over => {
                let gives_back = |ready: &Ready| matches!(ready, Ready::Done(Completion::ReceivedInto { conn: of, .. }) if *of == conn);
                Some(if self.ready.iter().any(gives_back) { ReceiveKind::Into } else { ReceiveKind::Standing })
            }
        };
        Some(InFlight { receive, send: slot.sending })
    }

    fn conn_at(&self, index: usize) -> ConnId {
        ConnId { slot: index as u32, generation: self.slots[index].generation }
    }

    /// The slot of a connection that must be open.
    fn open_slot(&mut self, conn: ConnId, doing: &str) -> &mut Slot {
        let slot = self.slots.get_mut(conn.slot as usize).unwrap_or_else(|| panic!("{doing} on no slot: {conn:?}"));
        assert!(slot.generation == conn.generation && slot.is_open(), "{doing} after the close of {conn:?}");
        slot
    }

    fn is_away(&self, conn: ConnId) -> bool {
        let slot = self.slots.get(conn.slot as usize);
        slot.is_some_and(|slot| slot.generation == conn.generation && slot.state == State::Away)
    }

    fn insert(&mut self, peer: PeerId) -> ConnId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot {
                generation: 0,
                state: State::Free,
                peer,
                receiving: Receiving::Nothing,
                receive_held: 0,
                chunks: None,
                send_held: 0,
                sending: false,
                short_untold: false,
                soft_turn: 0,
            });
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        assert!(slot.is_free());
        slot.state = State::Open;
        slot.peer = peer;
        self.conn_at(index as usize)
    }

    fn free_slot(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        let generation = (slot.generation + 1) & GENERATION_MASK;
        *slot = Slot {
            generation,
            state: State::Free,
            peer: slot.peer,
            receiving: Receiving::Nothing,
            receive_held: 0,
            chunks: None,
            send_held: 0,
            sending: false,
            short_untold: false,
            soft_turn: 0,
        };
        self.free.push(index as u32);
    }

    /// Drops what a closed connection would have been told.
    fn forget(&mut self, conn: ConnId) {
        let ready_bytes = &mut self.ready_bytes;
        self.ready.retain(|ready| {
            if ready.conn() != Some(conn) {
                return true;
            }
            if let Ready::Bytes { bytes, .. } = ready {
                *ready_bytes -= bytes.len();
            }
            false
        });
    }

    /// Lets neighbours of different keys change places.
    fn reorder(&mut self) {
        let entries = self.ready.make_contiguous();
        for _ in 0..3 {
            for index in 1..entries.len() {
                if self.dice.happens(500) && entries[index - 1].key() != entries[index].key() {
                    entries.swap(index - 1, index);
                }
            }
        }
    }

    fn deliver(&mut self, ready: Ready) -> Completion {
        let completion = match ready {
            Ready::Done(completion) => completion,
            Ready::Bytes { conn, bytes } => {
                let received =
                    Received { buffer: self.lending, start: self.lent.len() as u32, len: bytes.len() as u32 };
                self.lent.extend_from_slice(&bytes);
                self.ready_bytes -= bytes.len();
                return Completion::Received { conn, bytes: received };
            }
        };
        match &completion {
            Completion::RecvEnded { conn, .. } | Completion::ReceivedInto { conn, .. } => {
                self.slots[conn.slot as usize].receiving = Receiving::Nothing;
            }
            Completion::Sent { conn, .. } => self.slots[conn.slot as usize].sending = false,
            Completion::SendShort { conn, .. } => self.slots[conn.slot as usize].short_untold = false,
            Completion::AcceptEnded { listener, .. } => self.listeners[listener.0 as usize].told = true,
            Completion::Accepted { .. }
            | Completion::Received { .. }
            | Completion::Readable { .. }
            | Completion::Woken => {}
        }
        completion
    }
}

impl Io for SimIo {
    type Socket = SimSocket;
    type Waker = SimWaker;

    /// Any descriptor serves: it is only kept, and closed by `unlisten`.
    fn listen(&mut self, socket: OwnedFd) -> ListenerId {
        self.listeners.push(Listener { socket: Some(socket), armed: true, told: false, backlog: VecDeque::new() });
        self.stats.submissions += 1;
        ListenerId(self.listeners.len() as u32 - 1)
    }

    fn accept_again(&mut self, listener: ListenerId) {
        self.stats.submissions += 1;
        self.stats.rearms_accept += 1;
        let listener = &mut self.listeners[listener.0 as usize];
        assert!(listener.socket.is_some(), "an accept on a listener that was given up");
        assert!(listener.told, "a standing accept is armed already");
        listener.told = false;
        listener.armed = true;
    }

    fn unlisten(&mut self, listener: ListenerId) {
        let place = &mut self.listeners[listener.0 as usize];
        assert!(place.socket.take().is_some(), "a listener is given up twice");
        place.armed = false;
        let mut waiting: Vec<PeerId> = place.backlog.drain(..).collect();
        // Accepted, but the server was not told: the back end closes those.
        let mut untold = Vec::new();
        self.ready.retain(|ready| match ready {
            Ready::Done(Completion::Accepted { listener: of, conn }) if *of == listener => {
                untold.push(conn.slot as usize);
                false
            }
            Ready::Done(Completion::AcceptEnded { listener: of, .. }) => *of != listener,
            _ => true,
        });
        for index in untold {
            waiting.push(self.slots[index].peer);
            self.free_slot(index);
        }
        for peer in waiting {
            let mut peer = self.peers[peer.0].lock();
            peer.conn = None;
            peer.to_server.clear();
            peer.server_end = Some(PeerEnd::Reset);
        }
    }

    fn recv_start(&mut self, conn: ConnId) {
        self.stats.submissions += 1;
        let slot = self.open_slot(conn, "a receive");
        assert!(matches!(slot.receiving, Receiving::Nothing), "a receive is armed already: {conn:?}");
        slot.receiving = Receiving::Standing { stopping: false };
    }

    fn recv_stop(&mut self, conn: ConnId) {
        self.stats.submissions += 1;
        let slot = self.open_slot(conn, "a stop of the receive");
        if let Receiving::Standing { stopping } = &mut slot.receiving {
            *stopping = true;
        }
    }

    fn recv_into(&mut self, conn: ConnId, bytes: Vec<u8>, max: usize) {
        self.stats.submissions += 1;
        let slot = self.open_slot(conn, "a receive into memory");
        assert!(matches!(slot.receiving, Receiving::Nothing), "a receive is armed already: {conn:?}");
        assert!(max.min(bytes.capacity() - bytes.len()) > 0, "there is no room to receive into: {conn:?}");
        slot.receiving = Receiving::Into { bytes, max };
    }

    fn send(&mut self, conn: ConnId, chunks: Vec<Bytes>, offset: usize) {
        self.stats.submissions += 1;
        let slot = self.open_slot(conn, "a send");
        assert!(!slot.sending, "two sends in flight: {conn:?}");
        assert!(!slot.short_untold, "a send before the end of the soft one was polled: {conn:?}");
        let first = chunks.first().unwrap_or_else(|| panic!("a send of nothing: {conn:?}"));
        assert!(offset < first.len(), "a send begins behind its first chunk: {conn:?}, {offset} of {}", first.len());
        slot.sending = true;
        slot.chunks = Some((chunks, offset));
    }

    fn close(&mut self, conn: ConnId) {
        self.stats.submissions += 1;
        if self.is_away(conn) {
            return self.free_slot(conn.slot as usize);
        }
        let slot = self.open_slot(conn, "a close");
        let in_flight = slot.sending || !matches!(slot.receiving, Receiving::Nothing);
        let peer = slot.peer;
        self.forget(conn);
        self.peers[peer.0].lock().server_left();
        if in_flight {
            let turns = self.dice.below(self.options.delay_turns_max as usize + 1) as u32;
            self.slots[conn.slot as usize].state = State::Closing { turns };
        } else {
            self.free_slot(conn.slot as usize);
        }
    }

    fn detach(&mut self, conn: ConnId) -> Option<SimSocket> {
        let slot = self.open_slot(conn, "a detach");
        let busy = slot.sending || slot.short_untold || !matches!(slot.receiving, Receiving::Nothing);
        let peer = slot.peer;
        if busy || self.sends_untold || self.ready.iter().any(|ready| ready.conn() == Some(conn)) {
            return None;
        }
        self.slots[conn.slot as usize].state = State::Away;
        Some(SimSocket::new(self.peers[peer.0].clone()))
    }

    fn reattach(&mut self, conn: ConnId, socket: SimSocket) {
        assert!(self.is_away(conn), "a connection comes back that was not away: {conn:?}");
        let slot = &mut self.slots[conn.slot as usize];
        assert!(self.peers[slot.peer.0].is(&socket.into_peer()), "another connection comes back: {conn:?}");
        slot.state = State::Open;
    }

    fn adopt(&mut self, socket: SimSocket) -> ConnId {
        let peer = socket.into_peer();
        let known = self.peers.iter().position(|known| known.is(&peer));
        let id = known.unwrap_or_else(|| {
            self.peers.push(peer);
            self.peers.len() - 1
        });
        self.insert(PeerId(id))
    }

    fn waker(&self) -> SimWaker {
        self.waker.clone()
    }

    fn wake(&mut self, waker: &SimWaker) {
        self.stats.submissions += 1;
        self.waking.push(waker.clone());
    }

    fn refuse(&mut self, conn: ConnId, text: &[u8]) {
        let slot = self.open_slot(conn, "a refusal");
        assert!(!slot.sending && !slot.short_untold, "a refusal of a connection with a send in flight: {conn:?}");
        let peer = slot.peer;
        // Nobody hears how much of it was sent.
        let (short, again) = (self.options.soft_short, self.options.soft_again);
        let _ = self.send_some(peer, &[text], short, again);
        self.close(conn);
    }

    fn watch(&mut self, _fd: RawFd, token: u32) {
        self.stats.submissions += 1;
        self.watched.push(token);
    }

    fn turn(&mut self, output: TurnOutput<'_>, wait: Option<Duration>) -> io::Result<()> {
        self.turns += 1;
        self.clock.worked_us.fetch_add(TURN_US, Ordering::Relaxed);
        self.stats.enters += 1;
        self.stats.submissions += output.sends.len() as u64;
        for send in output.sends {
            self.soft_send(&output, send);
        }
        self.sends_untold |= !output.sends.is_empty();
        self.waking.drain(..).for_each(|waker| waker.wake());
        self.advance();
        if let Some(wait) = wait
            && self.ready.is_empty()
            && !self.waker.is_due()
        {
            self.clock.waited_us.fetch_add(wait.as_micros() as u64, Ordering::Relaxed);
        }
        Ok(())
    }

    fn poll(&mut self, completions: &mut Vec<Completion>) -> io::Result<()> {
        let before = completions.len();
        self.sends_untold = false;
        if self.dice.happens(self.options.reorder) {
            self.reorder();
        }
        let mut now = self.ready.len();
        if now > 1 && self.dice.happens(self.options.overflow) {
            now = self.dice.below(now);
            self.stats.overflows += 1;
        }
        let mut later = self.ready.split_off(now);
        // A soft send ends within its turn: the real back end always has that completion when the turn is over.
        for _ in 0..later.len() {
            match later.pop_front() {
                Some(short) if short.is_short_send() => self.ready.push_back(short),
                Some(other) => later.push_back(other),
                None => break,
            }
        }
        for ready in std::mem::replace(&mut self.ready, later) {
            let completion = self.deliver(ready);
            completions.push(completion);
        }
        self.stats.collected(completions.len() - before);
        Ok(())
    }

    fn poll_sends(&mut self, completions: &mut Vec<Completion>) -> io::Result<()> {
        self.sends_untold = false;
        for _ in 0..self.ready.len() {
            match self.ready.pop_front() {
                Some(short) if short.is_short_send() => {
                    let completion = self.deliver(short);
                    completions.push(completion);
                }
                Some(other) => self.ready.push_back(other),
                None => break,
            }
        }
        Ok(())
    }

    fn bytes(&self, received: Received) -> &[u8] {
        assert!(received.buffer == self.lending, "bytes that were recycled are looked at");
        &self.lent[received.start as usize..][..received.len as usize]
    }

    fn bytes_mut(&mut self, received: Received) -> &mut [u8] {
        assert!(received.buffer == self.lending, "bytes that were recycled are changed");
        &mut self.lent[received.start as usize..][..received.len as usize]
    }

    fn recycle(&mut self) {
        self.lent.clear();
        self.lending = self.lending.wrapping_add(1);
    }

    /// There is no descriptor behind a simulated connection.
    fn descriptor(&self, _conn: ConnId) -> Option<BorrowedFd<'_>> {
        None
    }

    fn use_slab(&mut self, _slab: &[u8]) {}

    /// A fixed time, and what turns have taken and waited since, where nobody has set the clock.
    fn now_us(&self) -> i64 {
        let passed_us = self.waited_us() + self.clock.worked_us.load(Ordering::Relaxed);
        START_US + passed_us as i64 + self.clock.set_us.load(Ordering::Relaxed)
    }

    fn stats(&self) -> &IoStats {
        &self.stats
    }

    fn describe(&self) -> String {
        "simulated".to_owned()
    }
}
