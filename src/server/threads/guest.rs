//! A client on an I/O thread: its wire, and what the thread has to know of it.

#![forbid(unsafe_code)]

use crate::io::{ConnId, Errno};
use crate::server::batch::STALLED_INPUT_BYTES;
use crate::server::threads::parcel::{Report, WireFigures};
use crate::server::turn::PARKED_INPUT_BYTES;
use crate::server::wire::{Reading, Wire};
use crate::transport::tls::EOF_IN_HANDSHAKE;

/// One of them.
pub(super) struct Guest {
    /// Its connection on the main thread.
    pub(super) seat: ConnId,
    pub(super) wire: Box<Wire>,
    /// In the queue of those that have something to parse.
    pub(super) queued: bool,
    /// The main thread wants nothing of it for now.
    pub(super) held: bool,
    /// It has proved who it is, or need not: more than one command of it may be under way.
    pub(super) let_in: bool,
    /// A command of it is under way that has to be executed before the next one is parsed.
    pub(super) waits: bool,
    /// Nothing of it is parsed any more.
    pub(super) deaf: bool,
    /// To be closed once everything is written.
    pub(super) closing: bool,
    /// To be given back.
    pub(super) leaves: bool,
    /// The main thread was told of its end.
    pub(super) parted: bool,
    /// The peer has closed, or the connection broke.
    pub(super) ended: Option<Option<Errno>>,
    /// In the list of those whose figures changed.
    pub(super) dirty: bool,
    /// The main thread believes that there is something in its buffers.
    pub(super) told: bool,
    /// What it believes that the encryption occupies, in bytes.
    pub(super) told_tls: usize,
}

impl Guest {
    pub(super) fn new(seat: ConnId, wire: Box<Wire>, held: bool, let_in: bool) -> Guest {
        let told = wire.keeps_something();
        Guest {
            seat,
            wire,
            queued: false,
            held,
            let_in,
            waits: false,
            deaf: false,
            closing: false,
            leaves: false,
            parted: false,
            ended: None,
            dirty: false,
            told,
            told_tls: 0,
        }
    }

    /// Whether what it sends is kept and not parsed.
    pub(super) fn holds_back(&self) -> bool {
        self.held || self.waits || self.wire.stalled
    }

    /// Whether it is not read from.
    pub(super) fn is_full(&self) -> bool {
        let most = if self.wire.stalled { STALLED_INPUT_BYTES } else { PARKED_INPUT_BYTES };
        self.leaves || ((self.wire.stalled || self.wire.parked) && self.wire.buffered_bytes() >= most)
    }

    /// Looks at what waits to be written: whether its commands have to wait for that.
    pub(super) fn weigh_output(&mut self, stall_bytes: u64) {
        self.wire.stalled = self.wire.pending_bytes() as u64 >= stall_bytes;
    }

    /// What its end comes to.
    pub(super) fn farewell<S>(&self, error: Option<Errno>) -> Report<S> {
        if self.wire.tls.as_ref().is_some_and(|tls| !tls.is_established()) {
            let reason = error.map_or_else(|| EOF_IN_HANDSHAKE.to_owned(), |error| error.to_string());
            return Report::Unreadable { seat: self.seat, established: false, reason };
        }
        Report::Closed(self.seat, error)
    }

    /// Whether nothing of it is under way on the Io side, so that it can move.
    pub(super) fn is_at_rest(&self) -> bool {
        self.wire.reading == Reading::Idle
            && self.wire.inbox.is_empty()
            && self.wire.pending.is_none()
            && self.wire.written.is_empty()
    }

    /// Its figures, where the main thread knows others. Most requests come and go without leaving anything in a buffer.
    pub(super) fn news(&mut self) -> Option<WireFigures> {
        let has = self.wire.keeps_something();
        let tls_memory = self.wire.tls_memory();
        if !has && !self.told && tls_memory == self.told_tls {
            return None;
        }
        (self.told, self.told_tls) = (has, tls_memory);
        Some(WireFigures::of(&self.wire))
    }
}
