//! What moves between the main thread and an I/O thread: one box for both ways. With requests it goes to the main thread,
//! which executes them and sends it back with replies and orders. There are so many of a thread and no more, so a thread
//! that is ahead of the main thread waits with reading.

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::command::reply_buffer::{OutputFigures, ReplyBuffer, Unsent};
use crate::io::{ConnId, Errno};
use crate::resp::reply::Reply;
use crate::server::batch::Batch;
use crate::server::wire::{Figures, Wire};

/// Most commands of a parcel.
pub(super) const PARCEL_COMMANDS_MAX: usize = 1024;
/// Bytes of requests from which on nothing is added to a parcel.
pub(super) const PARCEL_BYTES_MAX: usize = 256 << 10;
/// Room for replies that a parcel has at first, in bytes.
const REPLY_BYTES: usize = 64 << 10;

/// One of them. The requests are the thread's, replies and orders the main thread's.
pub(in crate::server) struct Parcel<S> {
    /// Parsed and looked up.
    pub(in crate::server) batch: Batch,
    /// The bytes of those commands.
    pub(in crate::server) carried: Vec<u8>,
    /// Clients among them that have to prove who they are before more of them is parsed, and whether more is there.
    pub(in crate::server) strangers: Vec<(ConnId, bool)>,
    /// What is to be known before the commands are executed.
    pub(in crate::server) before: Vec<Report<S>>,
    /// What follows them.
    pub(in crate::server) after: Vec<Report<S>>,
    /// How many parcels of the main thread the thread is done with: what is not written of them is in these reports, or in
    /// those of a parcel before this one.
    pub(in crate::server) carried_out: u64,
    /// Replies to clients of the thread.
    pub(in crate::server) reply: Reply,
    /// A thread sent it with requests, and counts on its coming back.
    pub(in crate::server) is_mine: bool,
    /// Who gets what of them, and what else is to be done, in order.
    pub(in crate::server) orders: Vec<Order<S>>,
}

impl<S> Parcel<S> {
    /// An empty one.
    pub(in crate::server) fn new() -> Box<Parcel<S>> {
        Box::new(Parcel {
            batch: Batch::new(PARCEL_COMMANDS_MAX),
            carried: Vec::new(),
            strangers: Vec::new(),
            before: Vec::new(),
            after: Vec::new(),
            carried_out: 0,
            reply: Reply::new(REPLY_BYTES),
            is_mine: false,
            orders: Vec::new(),
        })
    }

    /// Forgets what a thread had put in. Arguments that the keyspace kept must have it as their only owner.
    pub(in crate::server) fn clear_requests(&mut self) {
        self.batch.clear();
        self.carried.clear();
        self.carried.shrink_to(2 * PARCEL_BYTES_MAX);
        self.strangers.clear();
        self.before.clear();
        self.after.clear();
    }

    /// Forgets what the main thread had put in.
    pub(in crate::server) fn clear_answers(&mut self) {
        self.reply.clear(|_| {});
        self.orders.clear();
    }

    /// Whether nothing more of requests fits in.
    pub(in crate::server) fn is_full(&self) -> bool {
        self.batch.is_full() || self.carried.len() >= PARCEL_BYTES_MAX
    }

    /// Whether a thread has nothing to say with it.
    pub(in crate::server) fn has_no_requests(&self) -> bool {
        self.batch.items.is_empty() && self.before.is_empty() && self.after.is_empty()
    }
}

/// A client's wire and socket on their way to another thread.
pub(in crate::server) struct Moving<S> {
    /// The client.
    pub(in crate::server) seat: ConnId,
    /// The network's part of it.
    pub(in crate::server) wire: Box<Wire>,
    /// Its connection.
    pub(in crate::server) socket: S,
}

/// What the main thread wants of an I/O thread. Clients are named by their connection on the main thread.
pub(in crate::server) enum Order<S> {
    /// A client lives there from now on.
    Adopt {
        /// It.
        moving: Moving<S>,
        /// Its commands wait.
        held: bool,
        /// It has proved who it is, or need not.
        let_in: bool,
    },
    /// It is written this part of the parcel's replies.
    Write(ConnId, Range<usize>),
    /// Its commands wait from now on, or no longer.
    Hold(ConnId, bool),
    /// The command of a client that had not proved who it is was executed; whether it has now.
    Next(ConnId, bool),
    /// Its figures are to be reported.
    Tell(ConnId),
    /// It is closed now.
    Close(ConnId),
    /// It is closed once everything is written.
    CloseWritten(ConnId),
    /// It is to be given back.
    Release(ConnId),
    /// The thread ends, once it has no clients.
    Retire,
    /// The thread ends now: the process does.
    End,
}

/// What a thread has to say of one of its clients.
pub(in crate::server) enum Report<S> {
    /// Its handshake is over; whether it came from this machine.
    Established { seat: ConnId, local: bool },
    /// What it has in its buffers changed.
    Figures(ConnId, WireFigures),
    /// The peer has closed, or the connection broke.
    Closed(ConnId, Option<Errno>),
    /// Writing failed.
    WriteFailed(ConnId, String),
    /// Encryption failed.
    Unreadable { seat: ConnId, established: bool, reason: String },
    /// It was to be closed once everything is written, and is.
    Gone(ConnId),
    /// It was to be given back.
    Released(Moving<S>),
}

/// What is in the buffers of a wire that lives elsewhere, as its thread last reported.
#[derive(Clone, Default)]
pub(in crate::server) struct WireFigures {
    /// Input.
    pub(in crate::server) input: Figures,
    /// The same as limits count it.
    pub(in crate::server) buffered: usize,
    /// Output that waits.
    pub(in crate::server) output: OutputFigures,
    /// All bytes of that.
    pub(in crate::server) pending_bytes: usize,
    /// The size of its buffer.
    pub(in crate::server) reply_buffer: ReplyBuffer,
    /// Its encryption.
    pub(in crate::server) tls_memory: usize,
    /// First bytes of input that is not parsed, for the log.
    pub(in crate::server) unparsed: Vec<u8>,
}

/// Bytes of unparsed input that a log line may show.
const UNPARSED_SHOWN: usize = 64;

impl WireFigures {
    /// What is in the buffers of this one.
    pub(in crate::server) fn of(wire: &Wire) -> WireFigures {
        let unparsed = wire.unparsed();
        WireFigures {
            input: wire.input(),
            buffered: wire.buffered_bytes(),
            output: wire.output(Unsent::default()),
            pending_bytes: wire.pending_bytes(),
            reply_buffer: wire.reply_buffer,
            tls_memory: wire.tls_memory(),
            unparsed: unparsed[..unparsed.len().min(UNPARSED_SHOWN)].to_vec(),
        }
    }
}
