//! A client as the main thread sees it: what of it waits to be executed, and where its wire is. Knows nothing of databases
//! or users.

#![forbid(unsafe_code)]

use std::collections::VecDeque;

use crate::command::prepared::Prepared;
use crate::command::reply_buffer::{OutputFigures, Unsent};
use crate::io::ConnId;
use crate::resp::args::OwnedArgs;
use crate::resp::parse::ProtocolError;
use crate::server::batch::STALLED_INPUT_BYTES;
use crate::server::event_loop::OWN;
use crate::server::threads::{Untold, WireFigures};
use crate::server::turn::PARKED_INPUT_BYTES;
use crate::server::wire::Wire;

/// A request that was parsed and has to wait.
#[derive(Clone)]
pub struct Kept {
    /// Its arguments.
    pub args: OwnedArgs,
    /// How long it was where it was received.
    pub request_bytes: usize,
}

/// One client. Small: thousands of them are idle.
pub struct Client {
    /// The connection; its slot is that of the session, too.
    pub conn: ConnId,
    /// In the queue of clients that have work this turn.
    pub queued: bool,
    /// Waits for something, or its session is over though nothing was written: what it sends is kept, nothing of it is
    /// executed.
    pub blocked: bool,
    /// Close once everything is written.
    pub closing: bool,
    /// Commands that were parsed and have to wait: for the output to drain, or for what the client is blocked on.
    pub deferred: VecDeque<(Prepared, Kept)>,
    /// A protocol error behind them: answered after them, and the end.
    pub failure: Option<ProtocolError>,
    /// How much it wrote that was not offered to the socket yet.
    pub unsent: Unsent,
    /// Where its wire lives: on the main thread, or on an I/O thread.
    pub home: usize,
    /// Where that is to move.
    pub moving: Option<usize>,
    /// What is in its buffers there, as far as something is.
    pub(in crate::server) figures: Option<Box<WireFigures>>,
    /// What its thread was handed for it and has not said anything of.
    pub(in crate::server) untold: Untold,
    /// That is kept although the thread is done with it.
    pub(in crate::server) untold_stays: bool,
    /// Since when the soft limit of its output is exceeded, in Unix milliseconds.
    pub soft_limit_since_ms: Option<i64>,
    /// What belongs to the network. While it lives elsewhere, this one stands for it: it holds what was written in this turn,
    /// and output that waits for it to move.
    pub wire: Wire,
}

impl Client {
    /// A client that was just let in.
    pub fn new(conn: ConnId) -> Client {
        Client {
            conn,
            queued: false,
            blocked: false,
            closing: false,
            deferred: VecDeque::new(),
            failure: None,
            unsent: Unsent::default(),
            home: OWN,
            moving: None,
            figures: None,
            untold: Untold::default(),
            untold_stays: false,
            soft_limit_since_ms: None,
            wire: Wire::new(conn),
        }
    }

    /// What it has in output, as limits count it.
    pub fn output(&self) -> OutputFigures {
        self.output_and(Unsent::default())
    }

    /// The same with `written` bytes that are not noted yet.
    pub fn output_and(&self, written: Unsent) -> OutputFigures {
        let unsent = self.unsent.and(written);
        match &self.figures {
            // On its way it has some there and some here.
            Some(figures) if self.wire.pending.is_some() => figures.output.and(self.wire.output(unsent)),
            Some(figures) => figures.output.with_unsent(unsent, figures.reply_buffer.size()),
            None => self.wire.output(unsent),
        }
    }

    /// Bytes of output that wait for its socket.
    pub fn waiting_bytes(&self) -> usize {
        self.figures.as_ref().map_or(0, |figures| figures.pending_bytes) + self.wire.pending_bytes()
    }

    /// Whether its commands have to wait.
    #[inline]
    pub fn holds_back(&self) -> bool {
        self.wire.stalled || self.blocked
    }

    /// Bytes that this client makes us hold before they are executed.
    pub fn buffered_bytes(&self) -> usize {
        let wire = self.figures.as_ref().map_or_else(|| self.wire.buffered_bytes(), |figures| figures.buffered);
        wire + self.deferred_bytes()
    }

    /// Bytes of the commands that wait.
    pub fn deferred_bytes(&self) -> usize {
        self.deferred.iter().map(|(_, kept)| kept.request_bytes).sum()
    }

    /// Whether not even its input is taken any more.
    pub fn is_full(&self) -> bool {
        self.moving.is_some()
            || (self.wire.stalled || self.wire.parked) && {
                let most = if self.wire.stalled { STALLED_INPUT_BYTES } else { PARKED_INPUT_BYTES };
                self.buffered_bytes() >= most
            }
    }

    /// Whether there is something to parse or execute.
    pub fn has_work(&self) -> bool {
        !self.deferred.is_empty() || self.failure.is_some() || self.wire.has_input()
    }
}
