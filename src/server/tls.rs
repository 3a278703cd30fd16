//! HOT PATH. Clients over TLS: between the bytes of the network and those that are parsed and replied. The session itself
//! is in `transport::tls`; here is what it means for a client.
//!
//! ```text
//!   received ──> decrypted in place ──> inbox, as if it had come in plain
//!                          └──────────> the client's own buffer, where a record came in pieces
//!   replies in the slab ──> records behind them in the slab ──> one soft send
//!                 └───────> pending, where the socket or the slab is full ──> records ──> one owned send at a time
//! ```

#![forbid(unsafe_code)]

use bytes::Bytes;

use crate::command::reply_buffer::Unsent;
use crate::command::session::Slot;
use crate::io::{ConnId, Io, Received, Segment, SoftSend};
use crate::observe::log;
use crate::server::batch::stash;
use crate::server::client::{Client, Pending};
use crate::server::connections::PROTECTED_MODE;
use crate::server::event_loop::Server;
use crate::server::output::{Kept, keep};
use crate::transport::tls::{RECORD_PLAIN_MAX, TlsError, TlsSession, sealed_len_max};

/// Replies of a turn up to this many bytes are sealed at once; more of them as the socket takes them.
const SEALED_TURN_MAX: usize = 64 * 1024;
/// Plaintext of one owned send.
const SEALED_SEND_MAX: usize = 128 * 1024;

/// What a client over TLS has beside a plain one.
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

impl Tls {
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
    pub(super) fn farewell(mut self, pending: Option<&Pending>) -> Vec<u8> {
        if self.sealed.is_some() || pending.is_some_and(|pending| pending.is_in_flight() || !pending.is_empty()) {
            return Vec::new();
        }
        if self.established {
            self.raw.append(&mut self.session.close());
        }
        self.raw
    }

    /// Bytes that it occupies, as far as they are known.
    pub(super) fn memory(&self) -> usize {
        size_of::<Tls>() - size_of::<TlsSession>() + self.session.memory() + self.raw.capacity()
    }
}

impl<I: Io> Server<I> {
    /// The encryption of a connection that was just accepted; the error is the reason for the log.
    pub(super) fn begin_tls(&self, local: bool) -> Result<Box<Tls>, String> {
        let state = &self.engine.state;
        let context = state.tls.as_ref().ok_or("there is no certificate")?;
        let session =
            context.accept(state.config.tls_client_auth()).ok_or("there is no authority to verify clients by")?;
        let session = session.map_err(|error| error.to_string())?;
        let raw = Vec::new();
        Ok(Box::new(Tls { session, established: false, peer_closed: false, local, raw, sealed: None }))
    }

    /// Bytes arrived for a client over TLS.
    pub(super) fn received_tls(&mut self, conn: ConnId, bytes: Received) {
        let Some(client) = self.clients[conn.slot as usize].as_deref_mut() else { return };
        let Some(tls) = client.tls.as_deref_mut() else { return };
        if tls.peer_closed {
            return;
        }
        self.plain.clear();
        let outcome = tls.session.receive(self.io.bytes_mut(bytes), &mut self.plain, &mut tls.raw);
        let now_s = self.engine.state.now_s;
        let session = self.engine.session_mut(Slot(conn.slot));
        session.last_interaction_s = now_s;
        session.net.tls_mem = tls.memory();
        let progress = match outcome {
            Ok(progress) => progress,
            Err(error) => return self.tls_failed(conn, &error),
        };
        let begins = progress.established && !tls.established;
        tls.established |= begins;
        tls.peer_closed = progress.closed;
        let local = tls.local;
        if !tls.raw.is_empty() {
            client.pending.get_or_insert_default();
            self.send_pending(conn);
        }
        self.account(conn.slot);
        if begins && !self.may_enter(local) {
            self.engine.state.stats.connections_rejected += 1;
            let start = self.reply.mark();
            self.reply.raw(PROTECTED_MODE);
            self.note_written(conn.slot, start);
            return self.close_after_output(conn.slot);
        }
        if !self.plain.is_empty() {
            self.take_plain(conn, bytes);
        }
        if progress.closed {
            self.peer_closed(conn, None);
        }
    }

    /// Hands decrypted bytes on to the parser: where they were received, unless they are more than arrived just now or
    /// belong behind bytes that have to wait.
    fn take_plain(&mut self, conn: ConnId, bytes: Received) {
        let len = self.plain.len();
        let stats = &mut self.engine.state.stats;
        stats.net_input_bytes += len as u64;
        stats.reads_processed += 1;
        let queueing = self.engine.session(Slot(conn.slot)).transaction.is_some();
        let Some(client) = self.clients[conn.slot as usize].as_deref_mut() else { return };
        let queueing = queueing && !client.parked;
        let waits = client.holds_back();
        let in_place = !waits && client.partial.is_none() && len <= bytes.len();
        if in_place {
            self.io.bytes_mut(bytes)[..len].copy_from_slice(&self.plain);
            client.inbox.push(bytes.first(len));
        } else {
            stash(client, &self.io);
            client.keep_for_later(&self.plain);
        }
        Self::enqueue(&mut self.ready, client);
        let held = client.buffered_bytes() + if in_place { len } else { 0 };
        if client.is_full() {
            self.to_rearm.push(conn);
        }
        if !in_place {
            self.account(conn.slot);
        }
        if (waits || queueing) && self.over_query_limit(conn.slot, held) {
            self.close_for_query_buffer(conn.slot);
        }
    }

    #[cold]
    fn tls_failed(&mut self, conn: ConnId, error: &TlsError) {
        let established = self.client(conn).and_then(|client| client.tls.as_ref()).is_some_and(|tls| tls.established);
        if !established {
            return self.handshake_failed(conn, &error.to_string());
        }
        log::verbose(format_args!("Reading from client: {error}"));
        self.close_now(conn);
    }

    /// The log's line of a connection that never became one.
    #[cold]
    pub(super) fn handshake_failed(&mut self, conn: ConnId, reason: &str) {
        let net = &self.engine.session(Slot(conn.slot)).net;
        log::warning(format_args!(
            "Error accepting a client connection: {reason} (addr={} laddr={})",
            net.addr, net.laddr
        ));
        self.close_now(conn);
    }

    /// Makes records of a client's segments from number `first` on, behind the replies, and a soft send of them. False:
    /// they were kept as output that waits instead.
    pub(super) fn seal_turn(&mut self, conn: ConnId, first: usize) -> bool {
        let Some(client) = self.clients[conn.slot as usize].as_deref_mut() else { return true };
        let Client { tls: Some(tls), pending, unsent, reply_buffer, .. } = client else { return true };
        let segments = &self.segments[first..];
        let total: usize = segments
            .iter()
            .map(|segment| match segment {
                Segment::Slab(range) => range.len(),
                Segment::Shared(index) => self.shared[*index].len(),
            })
            .sum();
        if total <= SEALED_TURN_MAX {
            let (range, other) = match segments {
                [Segment::Slab(range)] => (range.clone(), None),
                _ => {
                    self.gathered.clear();
                    for segment in segments {
                        self.gathered.extend_from_slice(match segment {
                            Segment::Slab(range) => self.reply.bytes(range.clone()),
                            Segment::Shared(index) => &self.shared[*index],
                        });
                    }
                    (0..0, Some(&self.gathered[..]))
                }
            };
            let session = &mut tls.session;
            match self.reply.append_made(range, other, sealed_len_max(total), |plain, out| session.seal(plain, out)) {
                Some(Ok(records)) => {
                    self.sealed_bytes += records.len();
                    self.segments.truncate(first);
                    self.segments.push(Segment::Slab(records));
                    self.sends.push(SoftSend { conn, segments: first..first + 1 });
                    return true;
                }
                Some(Err(error)) => {
                    log::verbose(format_args!("Error writing to client: {error}"));
                    self.segments.truncate(first);
                    self.to_close.push(conn);
                    return true;
                }
                None => {}
            }
        }
        let pending = pending.get_or_insert_default();
        let kept = Kept { skip: 0, buffer: reply_buffer.size() };
        keep(pending, &self.segments[first..], self.reply.slab(), &self.shared, kept);
        *unsent = Unsent::default();
        self.segments.truncate(first);
        false
    }

    /// Sends the next records of waiting output.
    pub(super) fn send_sealed(&mut self, conn: ConnId) {
        let Some(client) = self.clients[conn.slot as usize].as_deref_mut() else { return };
        let Client { tls: Some(tls), pending: Some(pending), .. } = client else { return };
        if pending.is_in_flight() {
            return;
        }
        if let Err(error) = tls.seal_next(pending, &mut self.gathered) {
            log::verbose(format_args!("Error writing to client: {error}"));
            return self.close_now(conn);
        }
        if let Some(sealed) = &tls.sealed {
            pending.begin_otherwise();
            self.io.send(conn, vec![sealed.records.clone()], sealed.written);
        }
    }
}
