//! HOT PATH. The Io boundary on epoll, for hosts that refuse io_uring and for comparing with it: as few system calls as
//! readiness allows. Runs on the one thread that owns it; the calls themselves are in `sys`.
//!
//! - Connections are registered once, edge-triggered, for reading only: arming, stopping and changing receives are notes
//!   in the slot and cost no `epoll_ctl`, and the kernel does not look at a socket again that was told. What an edge says
//!   is kept in `readable` until a read returns less than it could. Waiting for room to write is rare: it is registered
//!   when a socket was full, and taken back when nothing waits any more (a Unix socket has an edge for every byte read).
//! - Listeners are level-triggered: a turn accepts only so many, and the kernel remembers the rest.
//! - A ready socket is read right after the wait, once a turn, into one arena that `recycle` empties: the bytes of a turn
//!   lie side by side, at the same addresses every turn. Sockets with more to read come first in the next turn.
//! - Sends are made at once, several pieces in one call; only what the socket does not take waits for an edge.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::io::{
    Completion, ConnId, Errno, GENERATION_MASK, Io, IoStats, ListenerId, Received, RecvEnd, SEND_CHUNKS_MAX, SoftSend,
    TurnOutput,
};
use crate::sys::epoll::{BROKEN, EDGE, Epoll, Event, READ_ENDED, READABLE, WRITABLE};
use crate::sys::eventfd::EventFd;
use crate::sys::stream;

/// Most events of one wait; the kernel keeps the others for the next.
const EVENTS_MAX: usize = 1024;
/// Most connections that one turn accepts on one listener.
const ACCEPTS_MAX: usize = 64;
/// Bytes that all connections together receive in a turn: as much as the ring's buffers hold.
const ARENA_BYTES: usize = 2 << 20;
/// Most bytes of one read.
const READ_MAX: usize = 64 * 1024;
/// With less room than this in the arena a socket waits for the next turn.
const READ_MIN: usize = 4 * 1024;
/// Most pieces of one call; more of them go out in several calls.
const PIECES: usize = 64;
/// Longest time of one wait, in milliseconds.
const WAIT_MAX_MS: u128 = 3_600_000;

/// Registration of every connection.
const READING: u32 = READABLE | READ_ENDED | EDGE;

/// What an event belongs to; the top byte of its data.
const CONNECTION: u64 = 1;
const LISTENER: u64 = 2;
const WATCHED: u64 = 3;
const WAKER: u64 = 4;

fn data_of(conn: ConnId) -> u64 {
    CONNECTION << 56 | u64::from(conn.generation) << 32 | u64::from(conn.slot)
}

/// How a connection receives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Receiving {
    Nothing,
    Standing,
    /// Asked to stop; the end is not told yet.
    Stopping,
    Into,
    /// Not here: the slot is reserved for a connection that another back end has.
    Away,
}

/// Memory of a connection with something big under way; rare, so boxed.
#[derive(Default)]
struct Held {
    chunks: Vec<Bytes>,
    /// Bytes of the first chunk that are not to be sent.
    offset: usize,
    into: Vec<u8>,
    into_max: usize,
}

/// One connection's place; without a socket it is free, or its connection is away.
struct Slot {
    socket: Option<OwnedFd>,
    generation: u32,
    receiving: Receiving,
    registered: bool,
    /// There may be something to read: an edge said so, and no read has found less than it could take.
    readable: bool,
    /// The peer has finished: a short read does not mean that everything was read.
    ending: bool,
    /// In the queue of those to be read.
    queued: bool,
    /// The socket was full, and has not been told to have room since.
    full: bool,
    /// Registered for room to write.
    awaits_room: bool,
    sending: bool,
    held: Option<Box<Held>>,
}

const _: () = assert!(size_of::<Slot>() <= 24);

impl Slot {
    fn new(generation: u32) -> Slot {
        Slot {
            socket: None,
            generation,
            receiving: Receiving::Nothing,
            registered: false,
            readable: false,
            ending: false,
            queued: false,
            full: false,
            awaits_room: false,
            sending: false,
            held: None,
        }
    }
}

/// What came of an attempt to read.
enum Read {
    /// The socket is dealt with for this turn.
    Done,
    /// There may be more.
    More,
    /// The arena is full.
    NoRoom,
}

/// What wakes another thread's wait; still there when that thread is not.
#[derive(Clone, Debug)]
pub struct EpollWaker(Arc<EventFd>);

/// Io on epoll.
pub struct EpollIo {
    epoll: Epoll,
    waker: EpollWaker,
    events: Box<[Event]>,
    /// How many events the last wait brought.
    filled: usize,
    /// This turn has waited already.
    waited: bool,
    arena: Vec<u8>,
    /// Bytes of the arena that are lent.
    used: usize,
    slots: Vec<Slot>,
    free: Vec<u32>,
    listeners: Vec<Option<OwnedFd>>,
    watched: Vec<u32>,
    /// Connections with something to read, oldest first.
    readable: VecDeque<ConnId>,
    /// Owned sends to be tried.
    writable: Vec<ConnId>,
    /// Soft sends of the last turn that were short.
    short: Vec<Completion>,
    /// What was over before any wait.
    over: Vec<Completion>,
    stats: IoStats,
}

impl EpollIo {
    /// An epoll instance and its arena.
    pub fn new() -> io::Result<EpollIo> {
        EpollIo::with_arena(ARENA_BYTES)
    }

    /// As `new`, with an arena that a test can make small enough to run out.
    pub fn with_arena(bytes: usize) -> io::Result<EpollIo> {
        let failed = |errno: Errno| io::Error::from_raw_os_error(errno.0);
        let epoll = Epoll::new().map_err(failed)?;
        let waker = EpollWaker(Arc::new(EventFd::new().map_err(failed)?));
        epoll.add(waker.0.as_fd().as_raw_fd(), READABLE | EDGE, WAKER << 56).map_err(failed)?;
        Ok(EpollIo {
            epoll,
            waker,
            events: vec![Event::NONE; EVENTS_MAX].into_boxed_slice(),
            filled: 0,
            waited: false,
            arena: vec![0; bytes],
            used: 0,
            slots: Vec::new(),
            free: Vec::new(),
            listeners: Vec::new(),
            watched: Vec::new(),
            readable: VecDeque::new(),
            writable: Vec::new(),
            short: Vec::new(),
            over: Vec::new(),
            stats: IoStats { recv_buffers: bytes.div_ceil(READ_MAX) as u64, ..IoStats::default() },
        })
    }

    /// Slots that are not free.
    #[cfg(test)]
    pub(crate) fn slots_in_use(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    #[inline]
    fn slot(&mut self, conn: ConnId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(conn.slot as usize)?;
        (slot.generation == conn.generation && slot.socket.is_some()).then_some(slot)
    }

    fn insert(&mut self, socket: OwnedFd) -> ConnId {
        let index = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::new(0));
            self.slots.len() as u32 - 1
        });
        let slot = &mut self.slots[index as usize];
        slot.socket = Some(socket);
        ConnId { slot: index, generation: slot.generation }
    }

    /// Waits for events, not at all where `timeout_ms` is 0.
    fn wait(&mut self, timeout_ms: i32) -> io::Result<()> {
        self.waited = true;
        self.stats.enters += 1;
        self.stats.syscalls += 1;
        self.filled = match self.epoll.wait(&mut self.events, timeout_ms) {
            Ok(filled) => filled,
            Err(Errno(libc::EINTR)) => 0,
            Err(Errno(number)) => return Err(io::Error::from_raw_os_error(number)),
        };
        Ok(())
    }

    /// Registers the connection for reading, and for room to write where it awaits that. A registration that is there is
    /// made again: the kernel then tells what the socket is ready for by now.
    #[cold]
    fn register(&mut self, conn: ConnId) -> Result<(), Errno> {
        self.stats.submissions += 1;
        self.stats.syscalls += 1;
        let slot = &mut self.slots[conn.slot as usize];
        let fd = slot.socket.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let interest = if slot.awaits_room { READING | WRITABLE } else { READING };
        if std::mem::replace(&mut slot.registered, true) {
            self.epoll.modify(fd, interest, data_of(conn))
        } else {
            self.epoll.add(fd, interest, data_of(conn))
        }
    }

    /// Puts a connection that receives into the queue of those to be read, where there may be something.
    fn start_receiving(&mut self, conn: ConnId) {
        let Some(slot) = self.slot(conn) else { return };
        if slot.registered {
            if slot.readable && !slot.queued {
                slot.queued = true;
                self.readable.push_back(conn);
            }
        } else if let Err(error) = self.register(conn) {
            self.slots[conn.slot as usize].registered = false;
            self.end_receive(conn, RecvEnd::Failed(error));
        }
    }

    /// Tells with the next poll that the receive is over.
    #[cold]
    fn end_receive(&mut self, conn: ConnId, end: RecvEnd) {
        let slot = &mut self.slots[conn.slot as usize];
        self.over.push(match std::mem::replace(&mut slot.receiving, Receiving::Stopping) {
            Receiving::Into => {
                let bytes = slot.held.as_mut().map(|held| std::mem::take(&mut held.into)).unwrap_or_default();
                Completion::ReceivedInto { conn, bytes, end: Some(end) }
            }
            _ => Completion::RecvEnded { conn, end },
        });
    }

    /// Reads from a connection once.
    #[inline]
    fn read(&mut self, conn: ConnId, out: &mut Vec<Completion>) -> Read {
        let slot = &mut self.slots[conn.slot as usize];
        let Some(socket) = &slot.socket else { return Read::Done };
        match slot.receiving {
            Receiving::Standing => {}
            Receiving::Into => return self.read_into(conn, out),
            Receiving::Nothing | Receiving::Stopping | Receiving::Away => return Read::Done,
        }
        let end = self.arena.len().min(self.used + READ_MAX);
        let place = &mut self.arena[self.used..end];
        if place.len() < READ_MIN {
            return Read::NoRoom;
        }
        self.stats.syscalls += 1;
        match stream::recv(socket.as_fd(), place) {
            Ok(len @ 1..) => {
                let bytes = Received { buffer: 0, start: self.used as u32, len: len as u32 };
                out.push(Completion::Received { conn, bytes });
                self.used += len;
                if len < end - bytes.start as usize && !slot.ending {
                    slot.readable = false;
                    return Read::Done;
                }
                Read::More
            }
            Err(Errno(libc::EAGAIN)) => {
                slot.readable = false;
                slot.ending = false;
                Read::Done
            }
            Err(Errno(libc::EINTR)) => Read::More,
            outcome => {
                slot.receiving = Receiving::Nothing;
                let end = outcome.map_or_else(RecvEnd::Failed, |_| RecvEnd::Eof);
                out.push(Completion::RecvEnded { conn, end });
                Read::Done
            }
        }
    }

    /// Reads once into the caller's memory.
    #[cold]
    fn read_into(&mut self, conn: ConnId, out: &mut Vec<Completion>) -> Read {
        let slot = &mut self.slots[conn.slot as usize];
        let (Some(socket), Some(held)) = (&slot.socket, &mut slot.held) else { return Read::Done };
        let room = held.into_max.min(held.into.capacity() - held.into.len());
        self.stats.syscalls += 1;
        let end = match stream::recv_behind(socket.as_fd(), &mut held.into, room) {
            Ok(len @ 1..) => {
                slot.readable = len == room || slot.ending;
                None
            }
            Ok(0) => Some(RecvEnd::Eof),
            Err(Errno(libc::EAGAIN)) => {
                slot.readable = false;
                slot.ending = false;
                return Read::Done;
            }
            Err(Errno(libc::EINTR)) => return Read::More,
            Err(error) => Some(RecvEnd::Failed(error)),
        };
        slot.receiving = Receiving::Nothing;
        out.push(Completion::ReceivedInto { conn, bytes: std::mem::take(&mut held.into), end });
        Read::Done
    }

    /// Reads from those that have waited since earlier turns.
    fn read_waiting(&mut self, out: &mut Vec<Completion>) {
        for _ in 0..self.readable.len() {
            let Some(conn) = self.readable.pop_front() else { return };
            if self.slot(conn).is_none() {
                continue;
            }
            match self.read(conn, out) {
                Read::Done => self.slots[conn.slot as usize].queued = false,
                Read::More => self.readable.push_back(conn),
                Read::NoRoom => {
                    self.stats.starved += 1;
                    return self.readable.push_front(conn);
                }
            }
        }
    }

    /// Deals with one event.
    #[inline]
    fn deliver(&mut self, event: Event, out: &mut Vec<Completion>) {
        let (data, ready) = (event.data(), event.ready());
        match data >> 56 {
            CONNECTION => {
                let conn = ConnId { slot: data as u32, generation: (data >> 32) as u32 & GENERATION_MASK };
                if self.slot(conn).is_none() {
                    return;
                }
                if ready & (WRITABLE | BROKEN) != 0 {
                    self.has_room(conn);
                }
                if ready & (READABLE | READ_ENDED | BROKEN) != 0 {
                    self.has_bytes(conn, ready, out);
                }
            }
            LISTENER => self.accept(ListenerId(data as u32), out),
            WAKER => out.push(Completion::Woken),
            _ => out.push(Completion::Readable { token: self.watched[data as u32 as usize] }),
        }
    }

    #[inline]
    fn has_bytes(&mut self, conn: ConnId, ready: u32, out: &mut Vec<Completion>) {
        let slot = &mut self.slots[conn.slot as usize];
        slot.readable = true;
        slot.ending |= ready & (READ_ENDED | BROKEN) != 0;
        if slot.queued {
            return;
        }
        let more = match self.read(conn, out) {
            Read::Done => return,
            Read::More => true,
            Read::NoRoom => {
                self.stats.starved += 1;
                true
            }
        };
        self.slots[conn.slot as usize].queued = more;
        self.readable.push_back(conn);
    }

    #[cold]
    fn has_room(&mut self, conn: ConnId) {
        let slot = &mut self.slots[conn.slot as usize];
        if slot.sending {
            if std::mem::replace(&mut slot.full, false) {
                self.writable.push(conn);
            }
            return;
        }
        slot.full = false;
        if std::mem::replace(&mut slot.awaits_room, false) {
            // Should it fail, there are only more events than needed.
            let _ = self.register(conn);
        }
    }

    #[cold]
    fn accept(&mut self, listener: ListenerId, out: &mut Vec<Completion>) {
        for _ in 0..ACCEPTS_MAX {
            let Some(socket) = self.listeners[listener.0 as usize].as_ref() else { return };
            self.stats.syscalls += 1;
            match stream::accept(socket.as_fd()) {
                Ok(fd) => {
                    let conn = self.insert(fd);
                    out.push(Completion::Accepted { listener, conn });
                }
                Err(Errno(libc::EAGAIN)) => return,
                Err(Errno(libc::EINTR | libc::ECONNABORTED)) => {}
                Err(error) => {
                    // Told no more until it is armed again: without descriptors it would be told without end.
                    let _ = self.epoll.delete(socket.as_raw_fd());
                    self.stats.syscalls += 1;
                    self.stats.submissions += 1;
                    out.push(Completion::AcceptEnded { listener, error: Some(error) });
                    return;
                }
            }
        }
    }

    fn arm_accept(&mut self, listener: ListenerId) {
        let Some(socket) = self.listeners[listener.0 as usize].as_ref() else { return };
        self.stats.syscalls += 1;
        self.stats.submissions += 1;
        let data = LISTENER << 56 | u64::from(listener.0);
        if let Err(error) = self.epoll.add(socket.as_raw_fd(), READABLE, data) {
            self.over.push(Completion::AcceptEnded { listener, error: Some(error) });
        }
    }

    /// Sends one connection's output of a turn as far as the socket takes it.
    #[inline]
    fn soft_send(&mut self, output: &TurnOutput<'_>, send: &SoftSend) {
        let stats = &mut self.stats;
        let Some(slot) = self.slots.get_mut(send.conn.slot as usize) else { return };
        let Some(socket) = slot.socket.as_ref().filter(|_| slot.generation == send.conn.generation) else { return };
        let segments = &output.segments[send.segments.clone()];
        let mut sent = 0;
        let outcome = if let [segment] = segments {
            let bytes = output.bytes_of(segment);
            stats.syscalls += 1;
            retried(|| stream::send(socket.as_fd(), bytes)).map(|len| {
                sent = len;
                len == bytes.len()
            })
        } else {
            send_segments(socket.as_fd(), output, send, &mut sent, &mut stats.syscalls)
        };
        let result = match outcome {
            Ok(true) => return,
            Ok(false) | Err(Errno(libc::EAGAIN | libc::ENOBUFS)) => Ok(sent),
            // What was sent before it does not matter any more.
            Err(error) => Err(error),
        };
        slot.full = true;
        stats.sends_short += 1;
        self.short.push(Completion::SendShort { conn: send.conn, sent: result });
    }

    /// Tries the owned sends whose sockets may have room.
    #[cold]
    fn write_waiting(&mut self, out: &mut Vec<Completion>) {
        for conn in std::mem::take(&mut self.writable) {
            if self.slot(conn).is_some_and(|slot| slot.sending) {
                self.write(conn, out);
            }
        }
    }

    fn write(&mut self, conn: ConnId, out: &mut Vec<Completion>) {
        let slot = &mut self.slots[conn.slot as usize];
        let (Some(socket), Some(held)) = (&slot.socket, &mut slot.held) else { return };
        let mut pieces = [IoSlice::new(&[]); SEND_CHUNKS_MAX];
        let (mut skip, mut count, mut total) = (held.offset, 0, 0);
        for chunk in held.chunks.iter().take(SEND_CHUNKS_MAX) {
            let bytes = &chunk[skip..];
            pieces[count] = IoSlice::new(bytes);
            total += bytes.len();
            count += 1;
            skip = 0;
        }
        self.stats.syscalls += 1;
        let sent = retried(|| stream::send_pieces(socket.as_fd(), &pieces[..count]));
        if matches!(sent, Err(Errno(libc::EAGAIN))) {
            return self.wait_for_room(conn);
        }
        slot.full = sent.is_ok_and(|sent| sent < total);
        slot.sending = false;
        out.push(Completion::Sent { conn, chunks: std::mem::take(&mut held.chunks), sent });
    }

    /// An owned send goes on when the socket has room. Registered even where it is: there may be room by now.
    fn wait_for_room(&mut self, conn: ConnId) {
        let slot = &mut self.slots[conn.slot as usize];
        slot.full = true;
        slot.awaits_room = true;
        if let Err(error) = self.register(conn) {
            let slot = &mut self.slots[conn.slot as usize];
            slot.sending = false;
            let chunks = slot.held.as_mut().map(|held| std::mem::take(&mut held.chunks)).unwrap_or_default();
            self.over.push(Completion::Sent { conn, chunks, sent: Err(error) });
        }
    }

    /// What was over without a wait.
    #[cold]
    fn deliver_over(&mut self, out: &mut Vec<Completion>) {
        for completion in std::mem::take(&mut self.over) {
            if let Completion::RecvEnded { conn, .. } | Completion::ReceivedInto { conn, .. } = &completion {
                self.slots[conn.slot as usize].receiving = Receiving::Nothing;
            }
            out.push(completion);
        }
    }

    fn nothing_to_do(&self) -> bool {
        self.readable.is_empty() && self.writable.is_empty() && self.short.is_empty() && self.over.is_empty()
    }
}

/// Makes a call again that a signal interrupted.
#[inline]
fn retried(mut call: impl FnMut() -> Result<usize, Errno>) -> Result<usize, Errno> {
    loop {
        match call() {
            Err(Errno(libc::EINTR)) => {}
            outcome => return outcome,
        }
    }
}

/// Sends several segments, so many of them per call; counts what was sent. `Ok(true)`: everything.
#[inline]
fn send_segments(
    socket: BorrowedFd<'_>,
    output: &TurnOutput<'_>,
    send: &SoftSend,
    sent: &mut usize,
    syscalls: &mut u64,
) -> Result<bool, Errno> {
    for segments in output.segments[send.segments.clone()].chunks(PIECES) {
        let mut pieces = [IoSlice::new(&[]); PIECES];
        let mut total = 0;
        for (piece, segment) in pieces.iter_mut().zip(segments) {
            let bytes = output.bytes_of(segment);
            *piece = IoSlice::new(bytes);
            total += bytes.len();
        }
        *syscalls += 1;
        let len = retried(|| stream::send_pieces(socket, &pieces[..segments.len()]))?;
        *sent += len;
        if len < total {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Whether a completion tells of this connection.
fn tells_of(completion: &Completion, conn: ConnId) -> bool {
    match completion {
        Completion::RecvEnded { conn: of, .. }
        | Completion::ReceivedInto { conn: of, .. }
        | Completion::SendShort { conn: of, .. }
        | Completion::Sent { conn: of, .. } => *of == conn,
        _ => false,
    }
}

impl Io for EpollIo {
    type Socket = OwnedFd;
    type Waker = EpollWaker;

    fn listen(&mut self, socket: OwnedFd) -> ListenerId {
        let listener = ListenerId(self.listeners.len() as u32);
        self.listeners.push(Some(socket));
        self.arm_accept(listener);
        listener
    }

    fn accept_again(&mut self, listener: ListenerId) {
        self.stats.rearms_accept += 1;
        self.arm_accept(listener);
    }

    fn unlisten(&mut self, listener: ListenerId) {
        // Closing takes it out of the epoll instance as well.
        self.stats.syscalls += 1;
        self.listeners[listener.0 as usize] = None;
    }

    fn recv_start(&mut self, conn: ConnId) {
        let Some(slot) = self.slot(conn) else { return };
        assert!(slot.receiving == Receiving::Nothing, "one receive per connection");
        slot.receiving = Receiving::Standing;
        self.start_receiving(conn);
    }

    fn recv_stop(&mut self, conn: ConnId) {
        if self.slot(conn).is_some_and(|slot| slot.receiving == Receiving::Standing) {
            self.end_receive(conn, RecvEnd::Stopped);
        }
    }

    fn recv_into(&mut self, conn: ConnId, bytes: Vec<u8>, max: usize) {
        let Some(slot) = self.slot(conn) else { return };
        assert!(slot.receiving == Receiving::Nothing, "one receive per connection");
        assert!(max.min(bytes.capacity() - bytes.len()) > 0, "there is room to receive into");
        slot.receiving = Receiving::Into;
        let held = slot.held.get_or_insert_default();
        held.into = bytes;
        held.into_max = max;
        self.start_receiving(conn);
    }

    fn send(&mut self, conn: ConnId, chunks: Vec<Bytes>, offset: usize) {
        let Some(slot) = self.slot(conn) else { return };
        assert!(!slot.sending, "one send in flight per connection");
        slot.sending = true;
        let held = slot.held.get_or_insert_default();
        held.chunks = chunks;
        held.offset = offset;
        let full = slot.full;
        self.stats.sends_owned += 1;
        if full {
            self.wait_for_room(conn);
        } else {
            self.writable.push(conn);
        }
    }

    fn close(&mut self, conn: ConnId) {
        let slot = self.slots.get_mut(conn.slot as usize).filter(|slot| slot.generation == conn.generation);
        let Some(slot) = slot.filter(|slot| slot.socket.is_some() || slot.receiving == Receiving::Away) else { return };
        self.stats.syscalls += u64::from(slot.socket.is_some());
        *slot = Slot::new((conn.generation + 1) & GENERATION_MASK);
        self.free.push(conn.slot);
        self.short.retain(|completion| !tells_of(completion, conn));
        self.over.retain(|completion| !tells_of(completion, conn));
    }

    fn detach(&mut self, conn: ConnId) -> Option<OwnedFd> {
        if self.short.iter().chain(&self.over).any(|completion| tells_of(completion, conn)) {
            return None;
        }
        let slot = self.slot(conn).filter(|slot| slot.receiving == Receiving::Nothing && !slot.sending)?;
        let (registered, queued) = (slot.registered, slot.queued);
        let socket = slot.socket.take()?;
        *slot = Slot { receiving: Receiving::Away, ..Slot::new(conn.generation) };
        if queued {
            self.readable.retain(|other| *other != conn);
        }
        if registered {
            self.stats.syscalls += 1;
            self.stats.submissions += 1;
            let deleted = self.epoll.delete(socket.as_raw_fd());
            assert!(deleted.is_ok(), "what was registered can be taken back: {deleted:?}");
        }
        Some(socket)
    }

    fn reattach(&mut self, conn: ConnId, socket: OwnedFd) {
        let slot = &mut self.slots[conn.slot as usize];
        assert!(slot.generation == conn.generation && slot.receiving == Receiving::Away, "{conn:?} is not away");
        *slot = Slot { socket: Some(socket), ..Slot::new(conn.generation) };
    }

    fn adopt(&mut self, socket: OwnedFd) -> ConnId {
        self.insert(socket)
    }

    fn waker(&self) -> EpollWaker {
        self.waker.clone()
    }

    fn wake(&mut self, waker: &EpollWaker) {
        self.stats.syscalls += 1;
        // It could only fail for being full, and then it is readable anyway.
        let _ = waker.0.raise();
    }

    fn refuse(&mut self, conn: ConnId, text: &[u8]) {
        if let Some(socket) = self.slot(conn).and_then(|slot| slot.socket.as_ref()) {
            let _ = stream::send(socket.as_fd(), text);
            self.stats.syscalls += 1;
        }
        self.close(conn);
    }

    fn watch(&mut self, fd: RawFd, token: u32) {
        let data = WATCHED << 56 | self.watched.len() as u64;
        self.watched.push(token);
        self.stats.syscalls += 1;
        self.stats.submissions += 1;
        let added = self.epoll.add(fd, READABLE | EDGE, data);
        assert!(added.is_ok(), "a descriptor of the process' own can be watched: {added:?}");
    }

    fn turn(&mut self, output: TurnOutput<'_>, wait: Option<Duration>) -> io::Result<()> {
        for send in output.sends {
            self.soft_send(&output, send);
        }
        self.stats.sends_soft += output.sends.len() as u64;
        self.waited = false;
        match wait {
            // Rounded up: a timer that is due a little later would otherwise be waited for in vain several times.
            Some(wait) if self.nothing_to_do() => self.wait(wait.as_micros().div_ceil(1000).min(WAIT_MAX_MS) as i32),
            _ => Ok(()),
        }
    }

    fn poll(&mut self, completions: &mut Vec<Completion>) -> io::Result<()> {
        let before = completions.len();
        completions.append(&mut self.short);
        if !self.waited {
            self.wait(0)?;
        }
        self.waited = false;
        if !self.readable.is_empty() {
            self.read_waiting(completions);
        }
        for index in 0..std::mem::take(&mut self.filled) {
            self.deliver(self.events[index], completions);
        }
        if !self.writable.is_empty() {
            self.write_waiting(completions);
        }
        if !self.over.is_empty() {
            self.deliver_over(completions);
        }
        self.stats.collected(completions.len() - before);
        self.stats.buffers_used(self.used / READ_MAX);
        Ok(())
    }

    fn poll_sends(&mut self, completions: &mut Vec<Completion>) -> io::Result<()> {
        completions.append(&mut self.short);
        Ok(())
    }

    #[inline]
    fn bytes(&self, received: Received) -> &[u8] {
        let start = received.start as usize;
        let end = start + received.len as usize;
        assert!(end <= self.used, "only received bytes are looked at");
        &self.arena[start..end]
    }

    fn bytes_mut(&mut self, received: Received) -> &mut [u8] {
        let start = received.start as usize;
        let end = start + received.len as usize;
        assert!(end <= self.used, "only received bytes are changed");
        &mut self.arena[start..end]
    }

    fn recycle(&mut self) {
        self.used = 0;
    }

    fn descriptor(&self, conn: ConnId) -> Option<BorrowedFd<'_>> {
        let slot = self.slots.get(conn.slot as usize)?;
        slot.socket.as_ref().filter(|_| slot.generation == conn.generation).map(AsFd::as_fd)
    }

    /// There is nothing to register.
    fn use_slab(&mut self, _slab: &[u8]) {}

    fn now_us(&self) -> i64 {
        crate::sys::time::unix_us()
    }

    fn stats(&self) -> &IoStats {
        &self.stats
    }

    fn describe(&self) -> String {
        "epoll".to_owned()
    }
}
