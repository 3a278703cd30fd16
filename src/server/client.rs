//! A client as the network layer sees it: parser, unfinished command, output that waits for the socket. Belongs to the
//! thread whose ring reads and writes the socket; knows nothing of databases or users.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use crate::command::prepared::Prepared;
use crate::command::reply_buffer::{OutputFigures, REPLY_BUFFER_BYTES, ReplyBuffer, Unsent, WaitingOutput};
use crate::io::{ConnId, Received};
use crate::resp::args::{OwnedArgs, Span};
use crate::resp::parse::{Parser, ProtocolError};
use crate::server::batch::STALLED_INPUT_BYTES;
use crate::server::tls::Tls;
use crate::server::turn::PARKED_INPUT_BYTES;

/// How bytes of this client reach us at the moment.
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

/// One client of the network layer. Small: thousands of them are idle.
pub struct Client {
    /// The connection.
    pub conn: ConnId,
    /// How bytes arrive.
    pub reading: Reading,
    /// In the queue of clients that have work this turn.
    pub queued: bool,
    /// Its output is over the limit at which its commands wait.
    pub stalled: bool,
    /// It sent more than its turns executed: the rest lies in its own buffer.
    pub parked: bool,
    /// Waits for something: what it sends is kept, nothing of it is executed.
    pub blocked: bool,
    /// Close once everything is written.
    pub closing: bool,
    /// State of the unfinished command.
    pub parser: Parser,
    /// Bytes received this turn and not parsed yet, oldest first.
    pub inbox: Vec<Received>,
    /// Unfinished command; none between commands.
    pub partial: Option<Box<Partial>>,
    /// Commands that were parsed and have to wait: for the output to drain, or for what the client is blocked on.
    pub deferred: VecDeque<(Prepared, OwnedArgs)>,
    /// A protocol error behind them: answered after them, and the end.
    pub failure: Option<ProtocolError>,
    /// Ranges of the reply slab written this turn.
    pub written: Written,
    /// How much that is.
    pub unsent: Unsent,
    /// How large a buffer its replies would fill.
    pub reply_buffer: ReplyBuffer,
    /// Output that the socket did not take.
    pub pending: Option<Box<Pending>>,
    /// Its encryption, where it came in over TLS.
    pub tls: Option<Box<Tls>>,
}

impl Client {
    /// A client that was just let in.
    pub fn new(conn: ConnId) -> Client {
        Client {
            conn,
            reading: Reading::Idle,
            queued: false,
            stalled: false,
            blocked: false,
            parked: false,
            closing: false,
            parser: Parser::new(),
            inbox: Vec::new(),
            partial: None,
            deferred: VecDeque::new(),
            failure: None,
            written: Written::default(),
            unsent: Unsent::default(),
            reply_buffer: ReplyBuffer::default(),
            pending: None,
            tls: None,
        }
    }

    /// Bytes that its encryption occupies.
    pub fn tls_memory(&self) -> usize {
        self.tls.as_ref().map_or(0, |tls| tls.memory())
    }

    /// What it has in output, as limits count it.
    pub fn output(&self) -> OutputFigures {
        self.output_and(Unsent::default())
    }

    /// The same with `written` bytes that are not noted yet.
    pub fn output_and(&self, written: Unsent) -> OutputFigures {
        let waiting = self.pending.as_ref().map_or_else(OutputFigures::default, |pending| pending.output.figures());
        waiting.with_unsent(self.unsent.and(written), self.reply_buffer.size())
    }

    /// Whether its commands have to wait.
    #[inline]
    pub fn holds_back(&self) -> bool {
        self.stalled || self.blocked
    }

    /// Whether not even its input is taken any more.
    pub fn is_full(&self) -> bool {
        (self.stalled || self.parked) && {
            let most = if self.stalled { STALLED_INPUT_BYTES } else { PARKED_INPUT_BYTES };
            self.buffered_bytes() >= most
        }
    }

    /// Whether there is something to parse or execute.
    pub fn has_work(&self) -> bool {
        !self.inbox.is_empty()
            || !self.deferred.is_empty()
            || self.failure.is_some()
            || self.partial.as_ref().is_some_and(|partial| partial.fresh)
    }
}

/// An unfinished command, and bytes behind it that could not be parsed yet.
#[derive(Default)]
pub struct Partial {
    /// The bytes, from the start of the command.
    pub buf: Vec<u8>,
    /// Arguments found so far.
    pub spans: Vec<Span>,
    /// Those of them that are blobs.
    pub blobs: Vec<Bytes>,
    /// The big argument that is being received.
    pub blob: Option<Blob>,
    /// Bytes came that the parser has not seen.
    pub fresh: bool,
}

/// A big argument on its way into its final allocation.
pub struct Blob {
    /// What has arrived; empty while the memory is lent to the Io side.
    pub bytes: Vec<u8>,
    /// How long it will be.
    pub len: usize,
    /// Length and capacity of what is lent.
    lent: Option<(usize, usize)>,
}

impl Blob {
    /// An argument of `len` bytes that arrive in `bytes`.
    pub fn new(bytes: Vec<u8>, len: usize) -> Blob {
        Blob { bytes, len, lent: None }
    }

    /// The memory, to receive into it.
    pub fn lend(&mut self) -> Vec<u8> {
        self.lent = Some((self.bytes.len(), self.bytes.capacity()));
        std::mem::take(&mut self.bytes)
    }

    /// The memory is back. Returns how much has arrived in it.
    pub fn take_back(&mut self, bytes: Vec<u8>) -> usize {
        let (before, _) = self.lent.take().unwrap_or((0, 0));
        self.bytes = bytes;
        self.bytes.len().saturating_sub(before)
    }

    /// Bytes that were there when it was last looked at, and room for them.
    pub fn held(&self) -> (usize, usize) {
        self.lent.unwrap_or((self.bytes.len(), self.bytes.capacity()))
    }

    /// Bytes still to come.
    pub fn missing(&self) -> usize {
        self.len - self.bytes.len()
    }

    /// Takes what belongs to it from the front of `bytes`; returns the rest.
    pub fn take_from<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (mine, rest) = bytes.split_at(bytes.len().min(self.missing()));
        self.bytes.extend_from_slice(mine);
        rest
    }
}

/// Ranges of the reply slab that belong to one client: nearly always one.
#[derive(Default)]
pub struct Written {
    first: Range<usize>,
    more: Vec<Range<usize>>,
}

impl Written {
    /// Adds a range behind the others.
    #[inline]
    pub fn push(&mut self, range: Range<usize>) {
        if self.first.is_empty() {
            self.first = range;
            return;
        }
        let last = self.more.last_mut().unwrap_or(&mut self.first);
        if last.end == range.start {
            last.end = range.end;
        } else {
            self.more.push(range);
        }
    }

    /// In order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Range<usize>> {
        std::iter::once(&self.first).filter(|range| !range.is_empty()).chain(&self.more).cloned()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Forgets them.
    #[inline]
    pub fn clear(&mut self) {
        self.first = 0..0;
        self.more.clear();
    }
}

/// Size at which collected small replies become a chunk of their own, in bytes (Redis' reply block).
const CHUNK_BYTES: usize = 16 * 1024;

/// Output that waits for a slow reader.
#[derive(Default)]
pub struct Pending {
    chunks: VecDeque<Bytes>,
    tail: Vec<u8>,
    /// Bytes of the first chunk that are written.
    offset: usize,
    /// All bytes not known to be written.
    bytes: usize,
    in_flight: bool,
    /// The same output as limits count it.
    pub output: WaitingOutput,
    /// Since when the soft limit is exceeded, in Unix milliseconds.
    pub soft_limit_since_ms: Option<i64>,
}

impl Pending {
    /// Appends a copy.
    pub fn push_copy(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        if bytes.len() >= CHUNK_BYTES {
            self.freeze_tail();
            self.chunks.push_back(Bytes::copy_from_slice(bytes));
            return;
        }
        self.tail.extend_from_slice(bytes);
        if self.tail.len() >= CHUNK_BYTES {
            self.freeze_tail();
        }
    }

    /// Appends a value by reference.
    pub fn push_shared(&mut self, bytes: Bytes) {
        self.freeze_tail();
        self.bytes += bytes.len();
        self.chunks.push_back(bytes);
    }

    fn freeze_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(Bytes::from(std::mem::take(&mut self.tail)));
        }
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The next send: at most `max` chunks, and how much of the first is written already. None while one is in flight.
    pub fn next_send(&mut self, max: usize) -> Option<(Vec<Bytes>, usize)> {
        if self.in_flight {
            return None;
        }
        self.freeze_tail();
        if self.chunks.is_empty() {
            return None;
        }
        self.in_flight = true;
        let count = self.chunks.len().min(max);
        Some((self.chunks.drain(..count).collect(), self.offset))
    }

    /// A send is over: what it did not write goes back to the front.
    pub fn sent(&mut self, chunks: Vec<Bytes>, written: usize) {
        assert!(self.in_flight, "a send was in flight");
        self.in_flight = false;
        self.bytes -= written;
        self.output.sent(written);
        let mut written = written + std::mem::take(&mut self.offset);
        let mut rest = VecDeque::from(chunks);
        while let Some(chunk) = rest.front()
            && chunk.len() <= written
        {
            written -= chunk.len();
            rest.pop_front();
        }
        if !rest.is_empty() {
            self.offset = written;
        }
        rest.append(&mut self.chunks);
        self.chunks = rest;
    }

    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether a send is on its way.
    pub fn is_in_flight(&self) -> bool {
        self.in_flight
    }

    /// The first bytes that wait, for what sends something else in their place; empty where there are none.
    pub fn front(&mut self) -> &[u8] {
        if self.chunks.is_empty() {
            self.freeze_tail();
        }
        self.chunks.front().map_or(&[][..], |chunk| &chunk[self.offset..])
    }

    /// `len` of the front are on their way in another form. They wait on until [`Pending::sent_otherwise`].
    pub fn take_front(&mut self, len: usize) {
        self.offset += len;
        if self.chunks.front().is_some_and(|chunk| chunk.len() <= self.offset) {
            self.chunks.pop_front();
            self.offset = 0;
        }
    }

    /// Bytes of another form wait, which stand for `more` that did not wait yet.
    pub fn add_otherwise(&mut self, more: usize) {
        self.bytes += more;
        self.output.append_small(more, REPLY_BUFFER_BYTES);
    }

    /// A send of bytes of another form begins.
    pub fn begin_otherwise(&mut self) {
        self.in_flight = true;
    }

    /// Such a send is over; so many of the bytes that wait are written by it.
    pub fn sent_otherwise(&mut self, written: usize) {
        self.in_flight = false;
        self.bytes -= written;
        self.output.sent(written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_when_they_touch() {
        let mut written = Written::default();
        written.push(0..10);
        written.push(10..20);
        written.push(30..40);
        assert_eq!(written.iter().collect::<Vec<_>>(), [0..20, 30..40]);
        written.clear();
        assert!(written.is_empty() && written.iter().next().is_none());
    }

    #[test]
    fn what_a_send_left_is_sent_next() {
        let mut pending = Pending::default();
        pending.push_copy(b"hello ");
        pending.push_shared(Bytes::from_static(b"wide "));
        pending.push_copy(b"world");
        let mut out = Vec::new();
        for step in [3, 0, 7, 100] {
            let Some((chunks, offset)) = pending.next_send(2) else { break };
            assert!(pending.next_send(2).is_none(), "one send at a time");
            let all: Vec<u8> = chunks.concat()[offset..].to_vec();
            let written = step.min(all.len());
            out.extend_from_slice(&all[..written]);
            pending.sent(chunks, written);
        }
        while let Some((chunks, offset)) = pending.next_send(64) {
            let all = chunks.concat()[offset..].to_vec();
            out.extend_from_slice(&all);
            pending.sent(chunks, all.len());
        }
        assert_eq!(out, b"hello wide world");
        assert!(pending.is_empty() && pending.next_send(1).is_none());
    }

    #[test]
    fn output_can_go_out_in_another_form() {
        let mut pending = Pending::default();
        pending.push_copy(b"hello ");
        pending.push_shared(Bytes::from_static(b"wide "));
        pending.push_copy(b"world");
        let mut out = Vec::new();
        for len in [4, 2, 5, 5] {
            assert!(!pending.is_in_flight());
            let front = pending.front();
            out.extend_from_slice(&front[..len]);
            pending.take_front(len);
            pending.begin_otherwise();
            pending.sent_otherwise(len);
        }
        assert_eq!(out, b"hello wide world");
        assert!(pending.is_empty() && pending.front().is_empty());
        pending.add_otherwise(7);
        pending.begin_otherwise();
        assert_eq!((pending.bytes(), pending.is_in_flight()), (7, true));
    }

    #[test]
    fn a_blob_takes_only_its_own_bytes() {
        let mut blob = Blob::new(Vec::with_capacity(4), 4);
        assert_eq!(blob.take_from(b"ab"), b"");
        assert_eq!(blob.missing(), 2);
        let mut lent = blob.lend();
        assert_eq!((blob.bytes.len(), blob.held()), (0, (2, 4)));
        lent.push(b'c');
        assert_eq!((blob.take_back(lent), blob.held()), (1, (3, 4)));
        assert_eq!(blob.take_from(b"d\r\nrest"), b"\r\nrest");
        assert_eq!(blob.bytes, b"abcd");
    }
}
