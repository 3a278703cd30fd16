//! HOT PATH. Replies out: one soft send per client and turn, straight from the reply slab and from values by reference.
//! What a socket does not take is copied out of the slab and follows in owned sends, one at a time.

#![forbid(unsafe_code)]

use bytes::Bytes;

use crate::command::reply_buffer::{REPLY_BUFFER_BYTES, Unsent};
use crate::command::session::{SessionFlags, Slot};
use crate::config::OutputLimit;
use crate::io::{ConnId, Errno, Io};
use crate::observe::log;
use crate::server::batch::STALL_BYTES;
use crate::server::client::Client;
use crate::server::event_loop::{OWN, Out, Server};
use crate::server::wire::Added;

impl<I: Io> Server<I> {
    /// Makes a send of everything each client of this thread wrote since the last flush.
    pub(super) fn build_sends(&mut self) {
        self.outgoing.clear();
        let mut late = Vec::new();
        let Out { reply, touched } = &mut self.outs[OWN];
        for &slot in touched.iter() {
            let Some(client) = self.clients[slot as usize].as_deref_mut() else { continue };
            match self.outgoing.add(&mut client.wire, reply, client.unsent) {
                Added::Sent => {}
                Added::Kept => {
                    client.unsent = Unsent::default();
                    late.push(client.conn);
                }
                Added::Broken(error) => {
                    log::verbose(format_args!("Error writing to client: {error}"));
                    self.to_close.push(client.conn);
                }
            }
        }
        self.engine.state.stats.net_output_bytes_by_reference += self.outgoing.bytes_by_reference as u64;
        for conn in late {
            self.check_output(conn, "scheduled to be closed ASAP");
            self.send_pending(conn);
        }
    }

    /// A soft send wrote only `sent` bytes: the rest becomes owned output. Looks for the send from number `from` on, and
    /// returns where the next one is to be looked for.
    #[cold]
    pub(super) fn send_rest(&mut self, conn: ConnId, sent: Result<usize, Errno>, from: usize) -> usize {
        let Some(index) = self.outgoing.send_to(conn, from) else { return from };
        let client = self.clients[conn.slot as usize].as_deref_mut().filter(|client| client.conn == conn);
        match (client, sent) {
            (None, _) => {}
            (Some(_), Err(error)) => self.write_failed(conn, error),
            (Some(client), Ok(sent)) => {
                self.outgoing.keep_rest(index, &mut client.wire, &self.outs[OWN].reply, sent);
                client.unsent = Unsent::default();
                self.check_output(conn, "scheduled to be closed ASAP");
                self.send_pending(conn);
            }
        }
        index + 1
    }

    /// From how many bytes of waiting output on a client is not read from: a limit that is set has to be reachable.
    pub(super) fn stall_bytes(&self, slot: u32) -> usize {
        stall_bytes_for(self.limits_of(slot).class)
    }

    /// The turn's output is submitted: the slab is free again.
    pub(super) fn end_output(&mut self) {
        for index in 0..self.outs[OWN].touched.len() {
            let slot = self.outs[OWN].touched[index];
            let Some(client) = self.clients[slot as usize].as_deref_mut() else { continue };
            client.wire.written.clear();
            client.unsent = Unsent::default();
            let waiting = client.wire.pending_bytes();
            if client.wire.stalled && waiting < self.stall_bytes(slot) {
                self.unstall(slot);
            }
            self.account(slot);
        }
        let Out { reply, touched } = &mut self.outs[OWN];
        let stats = &mut self.engine.state.stats;
        stats.net_output_bytes += (reply.bytes_total() - self.outgoing.sealed_bytes) as u64;
        stats.writes_processed += self.outgoing.sends_len() as u64;
        touched.clear();
        self.outgoing.clear();
        let io = &mut self.io;
        reply.clear(|slab| io.use_slab(slab));
    }

    /// Sends the next chunks of waiting output.
    pub(super) fn send_pending(&mut self, conn: ConnId) {
        let Some(client) = self.clients[conn.slot as usize].as_deref_mut().filter(|client| client.conn == conn) else {
            return;
        };
        if client.home != OWN {
            return;
        }
        match self.outgoing.next_send(&mut client.wire) {
            Ok(Some((chunks, offset))) => self.io.send(conn, chunks, offset),
            Ok(None) => {}
            Err(error) => {
                log::verbose(format_args!("Error writing to client: {error}"));
                self.close_now(conn);
            }
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
        let drained = client.wire.sent(chunks, written);
        let stalled = client.wire.pending_bytes() >= stall_bytes;
        let peer_closed = client.wire.tls.as_ref().is_some_and(|tls| tls.is_peer_closed());
        let (closing, was_stalled) = (client.closing, client.wire.stalled);
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
        client.wire.stalled = false;
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
        let waiting = client.waiting_bytes();
        if waiting == 0 && client.wire.pending.is_none() {
            return;
        }
        let mut over = limits.is_hard_over(bytes);
        if limits.class.soft > 0 && bytes >= limits.class.soft {
            let since = *client.soft_limit_since_ms.get_or_insert(now_ms);
            over |= now_ms - since > limits.class.soft_seconds as i64 * 1000;
        } else {
            client.soft_limit_since_ms = None;
        }
        if waiting >= stall_bytes {
            client.wire.stalled = true;
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

    /// A client that passes its limit with what it wrote in this turn, and with what its thread has said nothing of, is to be
    /// closed, though the socket might take it all: nothing more runs, and it gets nothing.
    #[cold]
    pub(super) fn check_unsent(&mut self, slot: u32, untold: Unsent) {
        if self.is_over_limit(slot, untold) {
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
        let class = session.output_limit(&state.config.client_output_buffer_limit);
        Limits { class, unauthenticated: !state.lets_in(session) }
    }

    /// From how many bytes written in one turn on a client is to be looked at before its next command runs.
    pub(super) fn output_watch(&self) -> usize {
        let limits = &self.engine.state.config.client_output_buffer_limit;
        limits.smallest_hard().map_or(STALL_BYTES, |hard| STALL_BYTES.min(hard as usize))
    }

    /// Closes a client that has not authenticated and has more output than such a one may, with what its thread has said
    /// nothing of. Returns whether it did.
    #[cold]
    pub(super) fn close_unauthenticated(&mut self, slot: u32, untold: Unsent) -> bool {
        self.check_unsent(slot, untold);
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
            let waits = |client: &Client| client.conn == conn && client.wire.pending.is_some();
            if !self.clients[conn.slot as usize].as_deref().is_some_and(waits) {
                self.close_now(conn);
            }
        }
        self.to_close.clear();
    }
}

/// Output of a client that has not authenticated may wait up to this many bytes.
pub(super) const UNAUTHENTICATED_OUTPUT_MAX: usize = 1024;

/// From how many bytes of waiting output on a client under this limit is not read from: the limit has to be reachable.
pub(super) fn stall_bytes_for(limit: OutputLimit) -> usize {
    let OutputLimit { hard, soft, .. } = limit;
    // Limits do not count what is in the buffer, nor the reply that passes them.
    STALL_BYTES.max((hard.max(soft) as usize).saturating_add(2 * REPLY_BUFFER_BYTES))
}

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
