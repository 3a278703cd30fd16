//! The Io boundary: what the server asks of the kernel, and the completions that come back. `ring` is the
//! real one, `epoll` stands in where io_uring is refused, `sim` is a seeded fake. Knows connections as slots, and nothing of the protocol spoken on them.
//!
//! Rules that both sides keep:
//! - The Io side owns every buffer in flight. Received bytes are lent as [`Received`] until [`Io::recycle`]; sends of a
//!   turn borrow the reply slab only for the call of [`Io::turn`].
//! - One send in flight per connection: a soft send of the turn, or an owned send, never both.
//! - After [`Io::close`] no completion of that connection is delivered any more.
//! - A connection belongs to one back end at a time. Between two of them it is a socket with nothing under way.
//! - [`Io::poll`] only collects; nothing is executed while it drains.

#![deny(unsafe_code)]

pub mod epoll;
#[allow(unsafe_code)]
pub mod ring;
pub mod sim;

#[cfg(test)]
mod conformance;

use std::io;
use std::ops::Range;
use std::os::fd::{BorrowedFd, OwnedFd, RawFd};
use std::time::Duration;

use bytes::Bytes;

pub use crate::sys::Errno;

/// Most chunks that one owned send takes; of more the first ones are sent.
pub const SEND_CHUNKS_MAX: usize = 64;

/// Generations of a slot count up to this and begin again.
const GENERATION_MASK: u32 = (1 << 24) - 1;

/// A connection: a slot, and a generation that tells one use of the slot from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ConnId {
    /// Index, small and reused; the engine's session has the same one.
    pub slot: u32,
    /// Which use of the slot, 24 bits.
    pub generation: u32,
}

/// A listening socket, in the order of `listen` calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenerId(pub u32);

/// Received bytes: a range of one of the Io side's buffers, valid until the next `recycle`.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    buffer: u16,
    start: u32,
    len: u32,
}

impl Received {
    /// How many bytes.
    pub fn len(&self) -> usize {
        self.len as usize
    }

    /// Its first `len` bytes.
    pub fn first(self, len: usize) -> Received {
        assert!(len <= self.len as usize, "a part is no longer than the whole");
        Received { len: len as u32, ..self }
    }

    /// Never true for a delivered one.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

/// Why a standing receive ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecvEnd {
    /// The peer closed.
    Eof,
    /// The kernel gave the standing request up, or all buffers were in use: arm it again.
    Rearm,
    /// `recv_stop` took effect.
    Stopped,
    /// The connection broke.
    Failed(Errno),
}

/// What has happened.
#[derive(Debug)]
pub enum Completion {
    /// A connection was accepted; nothing is armed on it yet.
    Accepted {
        /// Where.
        listener: ListenerId,
        /// Its slot.
        conn: ConnId,
    },
    /// The standing accept ended; `None`: just arm it again.
    AcceptEnded {
        /// Where.
        listener: ListenerId,
        /// Why, where it was an error.
        error: Option<Errno>,
    },
    /// Bytes arrived.
    Received {
        /// On this connection.
        conn: ConnId,
        /// Here.
        bytes: Received,
    },
    /// The standing receive is over.
    RecvEnded {
        /// On this connection.
        conn: ConnId,
        /// For this reason.
        end: RecvEnd,
    },
    /// A receive into the caller's own memory is over; `bytes` gives it back, longer by what arrived.
    ReceivedInto {
        /// On this connection.
        conn: ConnId,
        /// The memory.
        bytes: Vec<u8>,
        /// Why nothing arrived; none where something did.
        end: Option<RecvEnd>,
    },
    /// A soft send of the last turn did not send everything.
    SendShort {
        /// On this connection.
        conn: ConnId,
        /// How much it did send, or why the connection broke.
        sent: Result<usize, Errno>,
    },
    /// An owned send is over.
    Sent {
        /// On this connection.
        conn: ConnId,
        /// The chunks, given back.
        chunks: Vec<Bytes>,
        /// How much was sent.
        sent: Result<usize, Errno>,
    },
    /// A watched descriptor is readable.
    Readable {
        /// The number given to `watch`.
        token: u32,
    },
    /// Another back end asked for this one's attention, at least once since the last one of these.
    Woken,
}

/// A piece of a reply.
#[derive(Clone, Debug)]
pub enum Segment {
    /// A range of the reply slab.
    Slab(Range<usize>),
    /// A value by reference: index into `TurnOutput::shared`.
    Shared(usize),
}

/// One connection's output of a turn.
#[derive(Clone, Debug)]
pub struct SoftSend {
    /// To this connection.
    pub conn: ConnId,
    /// These of `TurnOutput::segments`.
    pub segments: Range<usize>,
}

/// All output of a turn. Borrowed by the kernel only until `turn` returns.
#[derive(Clone, Copy, Debug)]
pub struct TurnOutput<'a> {
    /// Replies as written.
    pub slab: &'a [u8],
    /// Values by reference.
    pub shared: &'a [Bytes],
    /// Pieces of all sends, in order.
    pub segments: &'a [Segment],
    /// Who gets what.
    pub sends: &'a [SoftSend],
}

impl TurnOutput<'_> {
    /// Nothing to send.
    pub const NONE: TurnOutput<'static> = TurnOutput { slab: &[], shared: &[], segments: &[], sends: &[] };

    /// The bytes of a segment.
    pub fn bytes_of<'s>(&'s self, segment: &Segment) -> &'s [u8] {
        match segment {
            Segment::Slab(range) => &self.slab[range.clone()],
            Segment::Shared(index) => &self.shared[*index],
        }
    }
}

/// Classes of how many completions were collected at once: none, 1, 2 to 3, 4 to 7, and so on.
pub const COLLECTED_CLASSES: usize = 14;
/// How many of the numbers of [`IoStats`] are counters.
pub const IO_COUNTERS: usize = COLLECTED_CLASSES + 12;
/// How many numbers those are.
pub const IO_NUMBERS: usize = IO_COUNTERS + 3;

/// Counters of the Io side since start. What a back end does not have stays at zero.
#[derive(Clone, Copy, Debug, Default)]
pub struct IoStats {
    /// System calls made for connections, of any kind.
    pub syscalls: u64,
    /// Those of them that submit and wait (a ring's enter, epoll's wait).
    pub enters: u64,
    /// Operations handed to the kernel beforehand (a ring's submissions, epoll's registrations).
    pub submissions: u64,
    /// Completions collected.
    pub completions: u64,
    /// How often so many completions were collected at once, by class.
    pub collected: [u64; COLLECTED_CLASSES],
    /// Times completions had to wait in the kernel because the queue was full.
    pub overflows: u64,
    /// Receives that found no free buffer.
    pub starved: u64,
    /// Standing accepts that were armed again.
    pub rearms_accept: u64,
    /// Standing receives that the kernel gave up.
    pub rearms_recv: u64,
    /// Soft sends.
    pub sends_soft: u64,
    /// Those of them that sent less than everything.
    pub sends_short: u64,
    /// Owned sends.
    pub sends_owned: u64,
    /// Times the reply slab was registered.
    pub slab_registrations: u64,
    /// Receive buffers; not a counter.
    pub recv_buffers: u64,
    /// Those that are full and not handed back yet; not a counter.
    pub recv_buffers_used: u64,
    /// Most of them that were so at a time; not a counter.
    pub recv_buffers_used_max: u64,
}

impl IoStats {
    /// Notes that so many completions were collected at once.
    #[inline]
    pub fn collected(&mut self, count: usize) {
        self.completions += count as u64;
        let class = (usize::BITS - count.leading_zeros()) as usize;
        self.collected[class.min(COLLECTED_CLASSES - 1)] += 1;
    }

    /// Notes how many receive buffers are full.
    #[inline]
    fn buffers_used(&mut self, count: usize) {
        self.recv_buffers_used = count as u64;
        self.recv_buffers_used_max = self.recv_buffers_used_max.max(count as u64);
    }

    /// What was counted since the counters stood as `before` says; what is no counter is as it is now.
    pub fn since(&self, before: &IoStats) -> IoStats {
        let (now, before) = (self.numbers(), before.numbers());
        IoStats::of_numbers(&std::array::from_fn(|place| {
            if place < IO_COUNTERS { now[place] - before[place] } else { now[place] }
        }))
    }

    /// Together with those of another back end.
    #[must_use]
    pub fn and(&self, other: &IoStats) -> IoStats {
        let (mine, others) = (self.numbers(), other.numbers());
        IoStats::of_numbers(&std::array::from_fn(|place| mine[place] + others[place]))
    }

    /// All of them: first the [`IO_COUNTERS`], then what is no counter.
    #[inline]
    pub fn numbers(&self) -> [u64; IO_NUMBERS] {
        let mut numbers = [0; IO_NUMBERS];
        let (counters, levels) = numbers.split_at_mut(IO_COUNTERS);
        let (classes, others) = counters.split_at_mut(COLLECTED_CLASSES);
        classes.copy_from_slice(&self.collected);
        others.copy_from_slice(&[
            self.syscalls,
            self.enters,
            self.submissions,
            self.completions,
            self.overflows,
            self.starved,
            self.rearms_accept,
            self.rearms_recv,
            self.sends_soft,
            self.sends_short,
            self.sends_owned,
            self.slab_registrations,
        ]);
        levels.copy_from_slice(&[self.recv_buffers, self.recv_buffers_used, self.recv_buffers_used_max]);
        numbers
    }

    /// What [`IoStats::numbers`] gave.
    pub fn of_numbers(numbers: &[u64; IO_NUMBERS]) -> IoStats {
        let at = |place: usize| numbers[COLLECTED_CLASSES + place];
        IoStats {
            collected: std::array::from_fn(|class| numbers[class]),
            syscalls: at(0),
            enters: at(1),
            submissions: at(2),
            completions: at(3),
            overflows: at(4),
            starved: at(5),
            rearms_accept: at(6),
            rearms_recv: at(7),
            sends_soft: at(8),
            sends_short: at(9),
            sends_owned: at(10),
            slab_registrations: at(11),
            recv_buffers: at(12),
            recv_buffers_used: at(13),
            recv_buffers_used_max: at(14),
        }
    }
}

/// The kernel, or something that behaves like it. Made on the thread that uses it, and stays there; what travels between
/// threads are its sockets and wakers.
pub trait Io {
    /// What a connection is while no back end has it. Dropping it ends the connection.
    type Socket: Send + 'static;
    /// How others wake this back end.
    type Waker: Clone + Send + 'static;
    /// Takes a listening socket over and arms a standing accept on it.
    fn listen(&mut self, socket: OwnedFd) -> ListenerId;
    /// Arms the standing accept of a listener again after `AcceptEnded`.
    fn accept_again(&mut self, listener: ListenerId);
    /// Stops accepting and closes the listening socket.
    fn unlisten(&mut self, listener: ListenerId);
    /// Arms a standing receive. It ends with exactly one `RecvEnded`.
    fn recv_start(&mut self, conn: ConnId);
    /// Asks the standing receive to end. Bytes may still arrive before `RecvEnded`.
    fn recv_stop(&mut self, conn: ConnId);
    /// Receives once, straight behind the end of `bytes`, at most `max` more. No standing receive may be armed.
    fn recv_into(&mut self, conn: ConnId, bytes: Vec<u8>, max: usize);
    /// Sends the first `SEND_CHUNKS_MAX` of chunks that the Io side keeps until `Sent`, the first one from `offset` on.
    fn send(&mut self, conn: ConnId, chunks: Vec<Bytes>, offset: usize);
    /// Ends the connection: what is in flight is cancelled, the descriptor closed once it is back, the slot reused. One that
    /// was detached only gives its slot up; whoever has the socket ends it.
    fn close(&mut self, conn: ConnId);
    /// Takes the connection out of this back end, for another one. None, and nothing happens, while anything of it is in
    /// flight or waits to be polled: a receive of either kind, an owned send, or a soft send of the last turn. Its slot
    /// stays reserved until `reattach` brings it back or `close` gives the slot up.
    fn detach(&mut self, conn: ConnId) -> Option<Self::Socket>;
    /// Brings a connection back to the slot that `detach` took it out of. Nothing is armed on it.
    fn reattach(&mut self, conn: ConnId, socket: Self::Socket);
    /// Takes over a connection that another back end has given away, under a slot of its own. Nothing is armed on it.
    fn adopt(&mut self, socket: Self::Socket) -> ConnId;
    /// What others wake this back end with. It may outlive it.
    fn waker(&self) -> Self::Waker;
    /// With the next turn at the latest: has the turn that another back end waits in, or its next one, end and tell
    /// `Completion::Woken`. Nothing happens where that back end is gone.
    fn wake(&mut self, waker: &Self::Waker);
    /// Sends a short text if the socket takes it at once, then closes: for connections that are turned away.
    fn refuse(&mut self, conn: ConnId, text: &[u8]);
    /// Reports when a descriptor of the caller's is readable.
    fn watch(&mut self, fd: RawFd, token: u32);
    /// Submits everything asked for since the last turn and the turn's output in one go, and waits for a completion at
    /// most `wait` (None: does not wait).
    fn turn(&mut self, output: TurnOutput<'_>, wait: Option<Duration>) -> io::Result<()>;
    /// Collects what has completed.
    fn poll(&mut self, completions: &mut Vec<Completion>) -> io::Result<()>;
    /// Collects only what the last turn's soft sends left, which is there once `turn` has returned; everything else waits
    /// for `poll`. For output in the middle of a turn, while bytes received before it are still being read.
    fn poll_sends(&mut self, completions: &mut Vec<Completion>) -> io::Result<()>;
    /// Bytes of a `Received`.
    fn bytes(&self, received: Received) -> &[u8];
    /// The same, for what makes something else of them where they lie.
    fn bytes_mut(&mut self, received: Received) -> &mut [u8];
    /// Everything lent as `Received` so far has been dealt with.
    fn recycle(&mut self);
    /// The connection's descriptor, for socket options and CLIENT LIST.
    fn descriptor(&self, conn: ConnId) -> Option<BorrowedFd<'_>>;
    /// Tells the Io side where the reply slab lives, so that it can register it; an empty one: it does not live there now.
    fn use_slab(&mut self, slab: &[u8]);
    /// This world's wall clock, in Unix microseconds.
    fn now_us(&self) -> i64;
    /// Counters.
    fn stats(&self) -> &IoStats;
    /// Name and features of the back end, for INFO and the log.
    fn describe(&self) -> String;
    /// Features of the kernel that it uses where they are there, and whether they are.
    fn features(&self) -> Vec<(&'static str, bool)> {
        Vec::new()
    }
}
