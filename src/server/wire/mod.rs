//! HOT PATH. A wire: what of a client belongs to the network. Parser, unfinished command, encryption, output that waits for
//! the socket. It belongs to the thread whose Io side reads and writes the socket, and knows nothing of sessions: what it
//! does is returned to its owner.

#![forbid(unsafe_code)]

mod input;
mod outgoing;
mod pending;
mod tls;

use crate::command::reply_buffer::{OutputFigures, ReplyBuffer, Unsent};
use crate::io::{ConnId, Io, Received};
use crate::resp::parse::Parser;

pub use input::{Blob, Figures, Partial, stash};
pub use outgoing::{Added, Outgoing};
pub use pending::{Pending, Written};
pub use tls::{Tls, TlsInput};

/// Missing bytes of a big argument from which receiving straight into it pays for re-arming the receive.
const DIRECT_RECEIVE_MIN: usize = 64 * 1024;

/// How bytes reach us at the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// A standing receive is armed.
    Standing,
    /// It was asked to end, to receive a big argument straight into its place or to wait for a slow reader.
    Stopping,
    /// One receive into the big argument is in flight.
    Into,
    /// Nothing is armed.
    Idle,
}

/// The network's part of a client.
pub struct Wire {
    /// The connection, of the Io side of its thread.
    pub conn: ConnId,
    /// How bytes arrive.
    pub reading: Reading,
    /// Its output is over the limit at which its commands wait.
    pub stalled: bool,
    /// It sent more than its turns executed: the rest lies in its own buffer.
    pub parked: bool,
    /// State of the unfinished command.
    pub parser: Parser,
    /// Bytes received this turn and not parsed yet, oldest first.
    pub inbox: Vec<Received>,
    /// Unfinished command; none between commands.
    pub partial: Option<Box<Partial>>,
    /// Ranges of the reply slab written this turn.
    pub written: Written,
    /// How large a buffer its replies would fill.
    pub reply_buffer: ReplyBuffer,
    /// Output that the socket did not take.
    pub pending: Option<Box<Pending>>,
    /// Its encryption, where it came in over TLS.
    pub tls: Option<Box<Tls>>,
}

impl Wire {
    /// The wire of a connection that was just accepted.
    pub fn new(conn: ConnId) -> Wire {
        Wire {
            conn,
            reading: Reading::Idle,
            stalled: false,
            parked: false,
            parser: Parser::new(),
            inbox: Vec::new(),
            partial: None,
            written: Written::default(),
            reply_buffer: ReplyBuffer::default(),
            pending: None,
            tls: None,
        }
    }

    /// Bytes that its encryption occupies.
    pub fn tls_memory(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.memory())
    }

    /// What waits, as limits count it, together with what was written but not offered to the socket yet.
    pub fn output(&self, unsent: Unsent) -> OutputFigures {
        let waiting = self.pending.as_ref().map_or_else(OutputFigures::default, |pending| pending.output.figures());
        waiting.with_unsent(unsent, self.reply_buffer.size())
    }

    /// Bytes that wait.
    pub fn pending_bytes(&self) -> usize {
        self.pending.as_ref().map_or(0, |pending| pending.bytes())
    }

    /// Whether there is anything in its buffers.
    pub fn keeps_something(&self) -> bool {
        self.partial.is_some() || self.pending.is_some()
    }

    /// Whether something arrived that was not parsed.
    pub fn has_input(&self) -> bool {
        !self.inbox.is_empty() || self.partial.as_ref().is_some_and(|partial| partial.fresh)
    }

    /// Gives it the kind of receive it needs: into a big argument, standing, or none while it is `full` and takes nothing.
    pub fn read_on<I: Io>(&mut self, io: &mut I, full: bool) {
        let direct = self.wants_direct_receive();
        match self.reading {
            Reading::Standing if direct || full => {
                self.reading = Reading::Stopping;
                io.recv_stop(self.conn);
            }
            Reading::Idle if full => {}
            Reading::Idle if direct => {
                let blob = self.partial.as_mut().and_then(|partial| partial.blob.as_mut());
                let blob = blob.expect("a direct receive is only wanted for a blob");
                self.reading = Reading::Into;
                let missing = blob.missing();
                let bytes = blob.lend();
                io.recv_into(self.conn, bytes, missing);
            }
            Reading::Idle => {
                self.reading = Reading::Standing;
                io.recv_start(self.conn);
            }
            Reading::Standing | Reading::Stopping | Reading::Into => {}
        }
    }

    /// Whether the rest of a big argument should be received straight into its place.
    fn wants_direct_receive(&self) -> bool {
        // What arrives over TLS is not the argument yet.
        let partial = self.partial.as_deref().filter(|_| self.tls.is_none());
        let blob = partial.and_then(|partial| partial.blob.as_ref());
        blob.is_some_and(|blob| blob.missing() >= DIRECT_RECEIVE_MIN && blob.bytes.capacity() >= blob.len)
    }
}
