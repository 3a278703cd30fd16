//! HOT PATH. Replies out: one soft send per client and turn, straight from the reply slab and from values by reference.
//! What a socket does not take is copied out of the slab and follows in owned sends, one at a time.

#![forbid(unsafe_code)]

use bytes::Bytes;

use crate::command::reply_buffer::{REPLY_BUFFER_BYTES, Unsent};
use crate::command::session::{ClientClass, SessionFlags, Slot};
use crate::config::OutputLimit;
use crate::io::{ConnId, Errno, Io, SEND_CHUNKS_MAX, Segment, SoftSend};
use crate::observe::log;
use crate::server::batch::STALL_BYTES;
use crate::server::client::{Client, Pending};
use crate::server::event_loop::Server;

impl<I: Io> Server<I> {
    /// Makes a send of everything each client wrote since the last flush.
    pub(super) fn build_sends(&mut self) {
        self.segments.clear();
        self.shared.clear();
        self.sends.clear();
        let mut late = Vec::new();
        let mut by_reference = 0;
        for index in 0..self.touched.len() {
            let slot = self.touched[index];
            let Some(client) = self.clients[slot as usize].as_deref_mut() else { continue };
            let (conn, encrypted) = (client.conn, client.tls.is_some());
            let first = self.segments.len();
            for range in client.written.iter() {
                let mut start = range.start;
                for reference in self.reply.refs_in(range.clone()) {
                    self.segments.push(Segment::Slab(start..reference.at));
                    self.segments.push(Segment::Shared(self.shared.len()));
                    self.shared.push(reference.bytes.clone());
                    by_reference += reference.bytes.len();
                    start = reference.at;
                }
                if start < range.end {
                    self.segments.push(Segment::Slab(start..range.end));
                }
            }
            if client.pending.is_none() {
                client.reply_buffer.filled(client.unsent.bytes());
            }
            match &mut client.pending {
                // Earlier output waits: this goes behind it.
                Some(pending) => {
                    let buffer = client.reply_buffer.size();
                    keep(pending, &self.segments[first..], self.reply.slab(), &self.shared, Kept { skip: 0, buffer });
                    client.unsent = Unsent::default();
                    self.segments.truncate(first);
                    late.push(conn);
                }
                None if encrypted => {
                    if !self.seal_turn(conn, first) {
                        late.push(conn);
                    }
                }
                None => self.sends.push(SoftSend { conn, segments: first..self.segments.len() }),
            }
        }
        self.engine.state.stats.net_output_bytes_by_reference += by_reference as u64;
        for conn in late {
            self.check_output(conn, "scheduled to be closed ASAP");
            self.send_pending(conn);
        }
    }

    /// A soft send wrote only `sent` bytes: the rest becomes owned output. Looks for the send from number `from` on, since
    /// completions come in the order of the sends, and returns where the next one is to be looked for.
    #[cold]
    pub(super) fn send_rest(&mut self, conn: ConnId, sent: Result<usize, Errno>, from: usize) -> usize {
        let is_it = |index: &usize| self.sends[*index].conn == conn;
        let Some(index) = (from..self.sends.len()).chain(0..from).find(is_it) else { return from };
        self.keep_rest(self.sends[index].clone(), sent);
        index + 1
    }

    fn keep_rest(&mut self, send: SoftSend, sent: Result<usize, Errno>) {
        let conn = send.conn;
        let Some(client) = self.clients[conn.slot as usize].as_deref_mut().filter(|client| client.conn == conn) else {
            return;
        };
        match sent {
            Err(error) => self.write_failed(conn, error),
            Ok(sent) => {
                let mut pending = Box::<Pending>::default();
                let segments = &self.segments[send.segments];
                let kept = Kept { skip: sent, buffer: client.reply_buffer.size() };
                match &mut client.tls {
                    Some(tls) => tls.keep_sealed(&mut pending, segments, self.reply.slab(), sent),
                    None => keep(&mut pending, segments, self.reply.slab(), &self.shared, kept),
                }
                client.pending = Some(pending);
                client.unsent = Unsent::default();
                self.check_output(conn, "scheduled to be closed ASAP");
                self.send_pending(conn);
            }
        }
    }

    /// From how many bytes of waiting output on a client is not read from: a limit that is set has to be reachable.
    fn stall_bytes(&self, slot: u32) -> usize {
        let OutputLimit { hard, soft, .. } = self.limits_of(slot).class;
        // Limits do not count what is in the buffer, nor the reply that passes them.
        STALL_BYTES.max((hard.max(soft) as usize).saturating_add(2 * REPLY_BUFFER_BYTES))
    }

    /// The turn's output is submitted: the slab is free again.
    pub(super) fn end_output(&mut self) {
        for index in 0..self.touched.len() {
            let slot = self.touched[index];
            let Some(client) = self.clients[slot as usize].as_deref_mut() else { continue };
            client.written.clear();
            client.unsent = Unsent::default();
            let waiting = client.pending.as_ref().map_or(0, |pending| pending.bytes());
            if client.stalled && waiting < self.stall_bytes(slot) {
                self.unstall(slot);
            }
            self.account(slot);
        }
        let stats = &mut self.engine.state.stats;
        stats.net_output_bytes += (self.reply.bytes_total() - self.sealed_bytes) as u64;
        self.sealed_bytes = 0;
        stats.writes_processed += self.sends.len() as u64;
        self.touched.clear();
        self.shared.clear();
        let io = &mut self.io;
        self.reply.clear(|slab| io.use_slab(slab));
    }

    /// Sends the next chunks of waiting output.
    pub(super) fn send_pending(&mut self, conn: ConnId) {
        let Some(client) = self.clients[conn.slot as usize].as_deref_mut().filter(|client| client.conn == conn) else {
            return;
        };
        if client.tls.is_some() {
            return self.send_sealed(conn);
        }
        let Some(pending) = &mut client.pending else { return };
        if let Some((chunks, offset)) = pending.next_send(SEND_CHUNKS_MAX) {
            self.io.send(conn, chunks, offset);
        }
    }

    /// An owned send is over: go on with what is left, or with what had to wait for it.
    #[cold]
    pub(super) fn owned_send_done(&mut self, conn: ConnId, chunks: Vec<Bytes>, sent: Result<usize, Errno>) {
        if self.client(conn).is_none() {
            return;
        }
        let now_s = self.engine.state.now_s;
        let stall_bytes = self.stall_bytes(conn.slot);
        let Some(client) = self.clients[conn.slot as usize].as_deref_mut().filter(|client| client.conn == conn) else {
            return;
        };
        let written = match sent {
            Ok(written) => written,
            Err(error) => return self.write_failed(conn, error),
        };
        let Some(pending) = &mut client.pending else { return };
        let drained = match &mut client.tls {
            Some(tls) => tls.sent(pending, written),
            None => {
                pending.sent(chunks, written);
                pending.is_empty()
            }
        };
        let stalled = pending.bytes() >= stall_bytes;
        if drained {
            client.pending = None;
        }
        let peer_closed = client.tls.as_ref().is_some_and(|tls| tls.is_peer_closed());
        let (closing, was_stalled) = (client.closing, client.stalled);
        self.engine.session_mut(Slot(conn.slot)).last_interaction_s = now_s;
        self.account(conn.slot);
        if drained && closing {
            self.to_close.push(conn);
            return;
        }
        if was_stalled && !stalled {
            self.unstall(conn.slot);
        }
        if drained && peer_closed {
            // Nothing else says so once more.
            self.to_end.push(conn);
        }
        self.send_pending(conn);
    }

    /// Lets a client's commands run again.
    fn unstall(&mut self, slot: u32) {
        let Some(client) = self.clients[slot as usize].as_deref_mut() else { return };
        client.stalled = false;
        if client.has_work() {
            Self::enqueue(&mut self.ready, client);
        }
        let conn = client.conn;
        self.to_rearm.push(conn);
    }

    /// Waiting output grew: applies the limits, and stops reading from a client that does not read. Called by the cron
    /// too, because a soft limit is over only when it lasts; the log says `closing` then.
    pub(super) fn check_output(&mut self, conn: ConnId, closing: &str) {
        if self.client(conn).is_none() {
            return;
        }
        let now_ms = self.engine.state.clock.unix_ms();
        let stall_bytes = self.stall_bytes(conn.slot);
        let limits = self.limits_of(conn.slot);
        let Some(client) = self.client(conn) else { return };
        let bytes = client.output().bytes as u64;
        let Some(pending) = &mut client.pending else { return };
        let mut over = limits.is_hard_over(bytes);
        if limits.class.soft > 0 && bytes >= limits.class.soft {
            let since = *pending.soft_limit_since_ms.get_or_insert(now_ms);
            over |= now_ms - since > limits.class.soft_seconds as i64 * 1000;
        } else {
            pending.soft_limit_since_ms = None;
        }
        if pending.bytes() >= stall_bytes {
            client.stalled = true;
            self.to_rearm.push(conn);
        }
        if over {
            self.note_over_limit(conn.slot, closing);
            self.close_now(conn);
        } else {
            self.account(conn.slot);
        }
    }

    /// Whether a client that wrote `written` bytes more has more output than it may at any time.
    pub(super) fn is_over_limit(&self, slot: u32, written: Unsent) -> bool {
        let Some(client) = self.clients[slot as usize].as_deref() else { return false };
        self.limits_of(slot).is_hard_over(client.output_and(written).bytes as u64)
    }

    /// A client that passes its limit with what it wrote in this turn is to be closed, though the socket might take it all:
    /// nothing more runs, and it gets nothing.
    #[cold]
    pub(super) fn check_unsent(&mut self, slot: u32) {
        if self.is_over_limit(slot, Unsent::default()) {
            self.note_over_limit(slot, "scheduled to be closed ASAP");
            self.engine.session_mut(Slot(slot)).flags.insert(SessionFlags::CLOSE_ASAP);
        }
    }

    fn note_over_limit(&mut self, slot: u32, closing: &str) {
        let line = self.describe(slot);
        log::warning(format_args!("Client {line} {closing} for overcoming of output buffer limits."));
        self.engine.state.stats.output_buffer_limit_disconnections += 1;
    }

    fn limits_of(&self, slot: u32) -> Limits {
        let state = &self.engine.state;
        let session = self.engine.session(Slot(slot));
        let limits = &state.config.client_output_buffer_limit;
        let class = match session.class() {
            ClientClass::Normal => limits.normal,
            ClientClass::Replica => limits.replica,
            ClientClass::Pubsub => limits.pubsub,
        };
        Limits { class, unauthenticated: !state.lets_in(session) }
    }

    /// From how many bytes written in one turn on a client is to be looked at before its next command runs.
    pub(super) fn output_watch(&self) -> usize {
        let limits = &self.engine.state.config.client_output_buffer_limit;
        limits.smallest_hard().map_or(STALL_BYTES, |hard| STALL_BYTES.min(hard as usize))
    }

    /// Closes a client that has not authenticated and has more output than such a one may. Returns whether it did.
    #[cold]
    pub(super) fn close_unauthenticated(&mut self, slot: u32) -> bool {
        self.check_unsent(slot);
        let over = self.engine.session(Slot(slot)).flags.contains(SessionFlags::CLOSE_ASAP);
        if over {
            self.close_after_output(slot);
        }
        over
    }

    fn write_failed(&mut self, conn: ConnId, error: Errno) {
        log::verbose(format_args!("Error writing to client: {error}"));
        self.close_now(conn);
    }

    /// Clients whose last reply is submitted are closed now, or once their waiting output is written.
    pub(super) fn close_written(&mut self) {
        for index in 0..self.to_close.len() {
            let conn = self.to_close[index];
            let waits = |client: &Client| client.conn == conn && client.pending.is_some();
            if !self.clients[conn.slot as usize].as_deref().is_some_and(waits) {
                self.close_now(conn);
            }
        }
        self.to_close.clear();
    }
}

/// Output of a client that has not authenticated may wait up to this many bytes.
pub(super) const UNAUTHENTICATED_OUTPUT_MAX: usize = 1024;

/// What a client's output is held against.
#[derive(Clone, Copy)]
struct Limits {
    class: OutputLimit,
    unauthenticated: bool,
}

impl Limits {
    /// Whether so much is too much at any time.
    fn is_hard_over(self, bytes: u64) -> bool {
        (self.class.hard > 0 && bytes >= self.class.hard)
            || (self.unauthenticated && bytes > UNAUTHENTICATED_OUTPUT_MAX as u64)
    }
}

/// How a send's bytes are kept: all but the first `skip`, which the socket took, of a client whose reply buffer has so many
/// bytes.
#[derive(Clone, Copy)]
pub(super) struct Kept {
    pub(super) skip: usize,
    pub(super) buffer: usize,
}

/// Copies a send's bytes behind the waiting output; values stay by reference.
pub(super) fn keep(pending: &mut Pending, segments: &[Segment], slab: &[u8], shared: &[Bytes], kept: Kept) {
    let mut skip = kept.skip;
    for segment in segments {
        let len = match segment {
            Segment::Slab(range) => range.len(),
            Segment::Shared(index) => shared[*index].len(),
        };
        match segment {
            Segment::Slab(_) => pending.output.append_small(len, kept.buffer),
            Segment::Shared(_) => pending.output.append(len, kept.buffer),
        }
        let from = skip.min(len);
        skip -= from;
        if from == len {
            continue;
        }
        match segment {
            Segment::Slab(range) => pending.push_copy(&slab[range.start + from..range.end]),
            Segment::Shared(index) => pending.push_shared(shared[*index].slice(from..)),
        }
    }
    pending.output.sent(kept.skip);
}
