//! HOT PATH. The encryption of a wire: between the bytes of the network and those that are parsed and replied. The protocol
//! itself is in `transport::tls`.
//!
//! ```text
//!   received ──> decrypted in place ──> inbox, as if it had come in plain
//!                          └──────────> the wire's own buffer, where a record came in pieces
//!   replies in the slab ──> records behind them in the slab ──> one soft send
//!                 └───────> pending, where the socket or the slab is full ──> records ──> one owned send at a time
//! ```

#![forbid(unsafe_code)]

use std::ops::Range;

use bytes::Bytes;

use crate::io::{Io, Received, Segment};
use crate::resp::reply::Reply;
use crate::server::wire::{Pending, Wire, stash};
use crate::transport::tls::{RECORD_PLAIN_MAX, TlsError, TlsSession, sealed_len_max};

/// Replies of a turn up to this many bytes are sealed at once; more of them as the socket takes them.
pub(super) const SEALED_TURN_MAX: usize = 64 * 1024;
/// Plaintext of one owned send.
const SEALED_SEND_MAX: usize = 128 * 1024;

/// What a wire over TLS has beside a plain one.
pub struct Tls {
    session: TlsSession,
    established: bool,
    /// The peer sends nothing more, though the connection may be open.
    peer_closed: bool,
    /// It came from this machine.
    local: bool,
    /// Records of the handshake, and alerts: sent before anything that is sealed later.
    raw: Vec<u8>,
    /// Records on their way.
    sealed: Option<Sealed>,
}

/// Records that an owned send works at.
struct Sealed {
    records: Bytes,
    written: usize,
    /// Waiting bytes that they stand for.
    plain: usize,
}

/// What arrived records come to.
#[derive(Clone, Copy, Debug, Default)]
pub struct TlsInput {
    /// The handshake is over from now on.
    pub begins: bool,
    /// The peer sends nothing more.
    pub closed: bool,
    /// There is something to send in the name of the protocol itself.
    pub answers: bool,
}

impl Tls {
    /// The encryption of a connection that was just accepted, of a peer on this machine or not.
    pub fn new(session: TlsSession, local: bool) -> Tls {
        Tls { session, established: false, peer_closed: false, local, raw: Vec::new(), sealed: None }
    }

    /// Whether the peer is on this machine.
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// Whether the handshake is over.
    pub fn is_established(&self) -> bool {
        self.established
    }

    /// Whether the peer said that it sends nothing more.
    pub fn is_peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// A soft send of records wrote only `sent` bytes of them: the rest cannot be made again, and is kept as it is.
    pub(super) fn keep_sealed(&mut self, pending: &mut Pending, segments: &[Segment], slab: &[u8], sent: usize) {
        let ranges = segments.iter().filter_map(|segment| match segment {
            Segment::Slab(range) => Some(&slab[range.clone()]),
            Segment::Shared(_) => None,
        });
        let records = ranges.collect::<Vec<_>>().concat();
        let records = Bytes::copy_from_slice(&records[sent.min(records.len())..]);
        let plain = records.len();
        pending.add_otherwise(plain);
        self.sealed = Some(Sealed { records, written: 0, plain });
    }

    /// An owned send wrote so many bytes. True: nothing waits any more.
    pub(super) fn sent(&mut self, pending: &mut Pending, written: usize) -> bool {
        let Some(sealed) = &mut self.sealed else { return pending.is_empty() };
        sealed.written += written;
        if sealed.written < sealed.records.len() {
            pending.sent_otherwise(0);
            return false;
        }
        pending.sent_otherwise(sealed.plain);
        self.sealed = None;
        pending.is_empty() && self.raw.is_empty()
    }

    /// Takes what arrived, which is decrypted in place; `plain` gets what is ready.
    pub fn receive(&mut self, bytes: &mut [u8], plain: &mut Vec<u8>) -> Result<TlsInput, TlsError> {
        if self.peer_closed {
            return Ok(TlsInput::default());
        }
        let progress = self.session.receive(bytes, plain, &mut self.raw)?;
        let begins = progress.established && !self.established;
        self.established |= begins;
        self.peer_closed = progress.closed;
        Ok(TlsInput { begins, closed: progress.closed, answers: !self.raw.is_empty() })
    }

    /// Makes one turn's records of a range of the replies, or of `other`, behind them. None: they are too many.
    pub(super) fn seal_turn(
        &mut self,
        reply: &mut Reply,
        range: Range<usize>,
        other: Option<&[u8]>,
        total: usize,
    ) -> Option<Result<Range<usize>, TlsError>> {
        if total > SEALED_TURN_MAX {
            return None;
        }
        let session = &mut self.session;
        reply.append_made(range, other, sealed_len_max(total), |plain, out| session.seal(plain, out))
    }

    /// The next records of what waits. None while some are on their way.
    pub(super) fn next_send(
        &mut self,
        pending: &mut Pending,
        gathered: &mut Vec<u8>,
    ) -> Result<Option<(Vec<Bytes>, usize)>, TlsError> {
        if pending.is_in_flight() {
            return Ok(None);
        }
        self.seal_next(pending, gathered)?;
        let Some(sealed) = &self.sealed else { return Ok(None) };
        pending.begin_otherwise();
        Ok(Some((vec![sealed.records.clone()], sealed.written)))
    }

    /// Makes records of what waits, at most of one send, unless there are some already.
    fn seal_next(&mut self, pending: &mut Pending, gathered: &mut Vec<u8>) -> Result<(), TlsError> {
        if self.sealed.is_some() {
            return Ok(());
        }
        if !self.raw.is_empty() {
            let records = Bytes::from(std::mem::take(&mut self.raw));
            self.sealed = Some(Sealed { records, written: 0, plain: 0 });
            return Ok(());
        }
        let mut records = Vec::with_capacity(sealed_len_max(pending.bytes().min(SEALED_SEND_MAX)));
        let mut plain = 0;
        gathered.clear();
        while plain < SEALED_SEND_MAX {
            let front = pending.front();
            if front.is_empty() {
                break;
            }
            // Long pieces are sealed where they lie; short ones share a record.
            let len = if gathered.is_empty() && front.len() >= RECORD_PLAIN_MAX {
                let whole = front.len().min(SEALED_SEND_MAX - plain) / RECORD_PLAIN_MAX * RECORD_PLAIN_MAX;
                let len = whole.max(RECORD_PLAIN_MAX);
                self.session.seal_onto(&front[..len], &mut records)?;
                len
            } else {
                let len = front.len().min(RECORD_PLAIN_MAX - gathered.len());
                gathered.extend_from_slice(&front[..len]);
                if gathered.len() == RECORD_PLAIN_MAX {
                    self.session.seal_onto(gathered, &mut records)?;
                    gathered.clear();
                }
                len
            };
            pending.take_front(len);
            plain += len;
        }
        if !gathered.is_empty() {
            self.session.seal_onto(gathered, &mut records)?;
        }
        if plain > 0 {
            self.sealed = Some(Sealed { records: Bytes::from(records), written: 0, plain });
        }
        Ok(())
    }

    /// The last bytes of a connection: the alert with which a handshake failed, or the word that nothing follows. Nothing
    /// where a record is under way, which they would cut in two.
    pub fn farewell(mut self, pending: Option<&Pending>) -> Vec<u8> {
        if self.sealed.is_some() || pending.is_some_and(|pending| pending.is_in_flight() || !pending.is_empty()) {
            return Vec::new();
        }
        if self.established {
            self.raw.append(&mut self.session.close());
        }
        self.raw
    }

    /// Bytes that it occupies, as far as they are known.
    pub fn memory(&self) -> usize {
        size_of::<Tls>() - size_of::<TlsSession>() + self.session.memory() + self.raw.capacity()
    }
}

impl Wire {
    /// Takes decrypted bytes: where they were received, unless they are more than arrived just now or belong behind bytes
    /// that have to wait. Whether they are there.
    pub fn take_plain<I: Io>(&mut self, io: &mut I, received: Received, plain: &[u8], waits: bool) -> bool {
        let in_place = !waits && self.partial.is_none() && plain.len() <= received.len();
        if in_place {
            io.bytes_mut(received)[..plain.len()].copy_from_slice(plain);
            self.inbox.push(received.first(plain.len()));
        } else {
            stash(self, io);
            self.keep_for_later(plain);
        }
        in_place
    }
}
