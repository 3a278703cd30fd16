//! HOT PATH. A turn's output: of what each wire wrote into the reply slab, one soft send; where earlier output waits, it goes
//! behind that instead.

#![forbid(unsafe_code)]

use std::ops::Range;

use bytes::Bytes;

use crate::command::reply_buffer::Unsent;
use crate::io::{ConnId, SEND_CHUNKS_MAX, Segment, SoftSend, TurnOutput};
use crate::resp::reply::Reply;
use crate::server::wire::tls::SEALED_TURN_MAX;
use crate::server::wire::{Pending, Wire};
use crate::transport::tls::TlsError;

/// Sends of a turn, with the memory that making them takes.
#[derive(Default)]
pub struct Outgoing {
    segments: Vec<Segment>,
    shared: Vec<Bytes>,
    /// Which of the shared are what many small pieces made.
    blocks: Vec<bool>,
    sends: Vec<SoftSend>,
    /// What goes into one record out of several places.
    pub(super) gathered: Vec<u8>,
    /// Bytes of the slab that are records: the replies in them are there too.
    pub sealed_bytes: usize,
    /// Bytes that are sent from where they lie.
    pub bytes_by_reference: usize,
}

/// What became of a wire's output.
pub enum Added {
    /// A soft send.
    Sent,
    /// It waits, behind other output or for more room.
    Kept,
    /// It could not be encrypted: the connection has to end.
    Broken(TlsError),
}

impl Outgoing {
    /// A new turn.
    pub fn clear(&mut self) {
        self.segments.clear();
        self.shared.clear();
        self.blocks.clear();
        self.sends.clear();
        (self.sealed_bytes, self.bytes_by_reference) = (0, 0);
    }

    /// What is handed to the Io side.
    pub fn output<'a>(&'a self, reply: &'a Reply) -> TurnOutput<'a> {
        TurnOutput { slab: reply.slab(), shared: &self.shared, segments: &self.segments, sends: &self.sends }
    }

    /// How many sends there are.
    pub fn sends_len(&self) -> usize {
        self.sends.len()
    }

    /// Makes a send of everything that `wire` wrote into `reply`, which is `unsent`.
    #[inline]
    pub fn add(&mut self, wire: &mut Wire, reply: &mut Reply, unsent: Unsent) -> Added {
        let first = self.segments.len();
        for range in wire.written.iter() {
            let mut start = range.start;
            for reference in reply.refs_in(range.clone()) {
                if start < reference.at {
                    self.segments.push(Segment::Slab(start..reference.at));
                }
                self.segments.push(Segment::Shared(self.shared.len()));
                self.shared.push(reference.bytes.clone());
                self.blocks.push(reference.is_block);
                self.bytes_by_reference += reference.bytes.len();
                start = reference.at;
            }
            if start < range.end {
                self.segments.push(Segment::Slab(start..range.end));
            }
        }
        if wire.pending.is_some() {
            // Earlier output waits: this goes behind it.
            self.keep(wire, first, reply);
            return Added::Kept;
        }
        wire.reply_buffer.filled(unsent.bytes());
        if wire.tls.is_some() {
            return match self.seal(wire, first, reply) {
                Some(Ok(records)) => {
                    self.sealed_bytes += records.len();
                    self.segments.truncate(first);
                    self.segments.push(Segment::Slab(records));
                    self.sends.push(SoftSend { conn: wire.conn, segments: first..first + 1 });
                    Added::Sent
                }
                Some(Err(error)) => {
                    self.segments.truncate(first);
                    Added::Broken(error)
                }
                None => {
                    self.keep(wire, first, reply);
                    Added::Kept
                }
            };
        }
        self.sends.push(SoftSend { conn: wire.conn, segments: first..self.segments.len() });
        Added::Sent
    }

    /// The segments from number `first` on wait.
    fn keep(&mut self, wire: &mut Wire, first: usize, reply: &Reply) {
        let kept = Kept { skip: 0, buffer: wire.reply_buffer.size() };
        self.keep_segments(wire.pending.get_or_insert_default(), first..self.segments.len(), reply.slab(), kept);
        self.segments.truncate(first);
    }

    /// Makes records of the segments from number `first` on, behind the replies. None: they are too many for one turn.
    fn seal(&mut self, wire: &mut Wire, first: usize, reply: &mut Reply) -> Option<Result<Range<usize>, TlsError>> {
        let segments = &self.segments[first..];
        let total = segments.iter().map(|segment| self.len_of(segment)).sum();
        if total > SEALED_TURN_MAX {
            return None;
        }
        let range = match segments {
            [Segment::Slab(range)] => Some(range.clone()),
            _ => {
                self.gathered.clear();
                for segment in segments {
                    self.gathered.extend_from_slice(match segment {
                        Segment::Slab(range) => reply.bytes(range.clone()),
                        Segment::Shared(index) => &self.shared[*index],
                    });
                }
                None
            }
        };
        let tls = wire.tls.as_deref_mut()?;
        match range {
            Some(range) => tls.seal_turn(reply, range, None, total),
            None => tls.seal_turn(reply, 0..0, Some(&self.gathered), total),
        }
    }

    fn len_of(&self, segment: &Segment) -> usize {
        match segment {
            Segment::Slab(range) => range.len(),
            Segment::Shared(index) => self.shared[*index].len(),
        }
    }

    /// The place of the send to `conn`, looked for from number `from` on: completions come in the order of the sends.
    #[cold]
    pub fn send_to(&self, conn: ConnId, from: usize) -> Option<usize> {
        let is_it = |index: &usize| self.sends[*index].conn == conn;
        (from..self.sends.len()).chain(0..from).find(is_it)
    }

    /// Send number `index` wrote only `sent` bytes: the rest waits.
    #[cold]
    pub fn keep_rest(&self, index: usize, wire: &mut Wire, reply: &Reply, sent: usize) {
        let range = self.sends[index].segments.clone();
        let mut pending = Box::<Pending>::default();
        let kept = Kept { skip: sent, buffer: wire.reply_buffer.size() };
        match &mut wire.tls {
            Some(tls) => tls.keep_sealed(&mut pending, &self.segments[range], reply.slab(), sent),
            None => self.keep_segments(&mut pending, range, reply.slab(), kept),
        }
        wire.pending = Some(pending);
    }

    /// The next send of what waits: chunks, and how much of the first is written already. None while one is on its way.
    pub fn next_send(&mut self, wire: &mut Wire) -> Result<Option<(Vec<Bytes>, usize)>, TlsError> {
        let Wire { tls, pending: Some(pending), .. } = wire else { return Ok(None) };
        match tls {
            Some(tls) => tls.next_send(pending, &mut self.gathered),
            None => Ok(pending.next_send(SEND_CHUNKS_MAX)),
        }
    }
}

impl Wire {
    /// An owned send is over. Whether nothing waits any more.
    pub fn sent(&mut self, chunks: Vec<Bytes>, written: usize) -> bool {
        let Some(pending) = &mut self.pending else { return true };
        let drained = match &mut self.tls {
            Some(tls) => tls.sent(pending, written),
            None => {
                pending.sent(chunks, written);
                pending.is_empty()
            }
        };
        if drained {
            self.pending = None;
        }
        drained
    }
}

/// How a send's bytes are kept: all but the first `skip`, which the socket took, of a client whose reply buffer has so many
/// bytes.
#[derive(Clone, Copy)]
struct Kept {
    skip: usize,
    buffer: usize,
}

impl Outgoing {
    /// Copies the bytes of these segments behind the waiting output; values and blocks stay by reference.
    fn keep_segments(&self, pending: &mut Pending, segments: Range<usize>, slab: &[u8], kept: Kept) {
        let mut skip = kept.skip;
        for segment in &self.segments[segments] {
            let len = self.len_of(segment);
            match segment {
                Segment::Shared(index) if !self.blocks[*index] => pending.output.append(len, kept.buffer),
                _ => pending.output.append_small(len, kept.buffer),
            }
            let from = skip.min(len);
            skip -= from;
            if from == len {
                continue;
            }
            match segment {
                Segment::Slab(range) => pending.push_copy(&slab[range.start + from..range.end]),
                Segment::Shared(index) => pending.push_shared(self.shared[*index].slice(from..)),
            }
        }
        pending.output.sent(kept.skip);
    }
}
