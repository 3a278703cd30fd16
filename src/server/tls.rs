//! Clients over TLS: what their records mean for them. The encryption itself is a part of the wire.

#![forbid(unsafe_code)]

use crate::command::session::Slot;
use crate::io::{ConnId, Io, Received};
use crate::observe::log;
use crate::server::event_loop::Server;
use crate::server::wire::Tls;
use crate::transport::tls::TlsError;

impl<I: Io> Server<I> {
    /// The encryption of a connection that was just accepted; the error is the reason for the log.
    pub(super) fn begin_tls(&self, local: bool) -> Result<Box<Tls>, String> {
        let state = &self.engine.state;
        let context = state.tls.as_ref().ok_or("there is no certificate")?;
        let session =
            context.accept(state.config.tls_client_auth()).ok_or("there is no authority to verify clients by")?;
        let session = session.map_err(|error| error.to_string())?;
        Ok(Box::new(Tls::new(session, local)))
    }

    /// Bytes arrived for a client over TLS.
    pub(super) fn received_tls(&mut self, conn: ConnId, bytes: Received) {
        let Some(client) = self.clients[conn.slot as usize].as_deref_mut() else { return };
        let Some(tls) = client.wire.tls.as_deref_mut() else { return };
        self.plain.clear();
        let outcome = tls.receive(self.io.bytes_mut(bytes), &mut self.plain);
        let (local, memory) = (tls.is_local(), tls.memory());
        let now_s = self.engine.state.now_s;
        let session = self.engine.session_mut(Slot(conn.slot));
        session.last_interaction_s = now_s;
        session.net.tls_mem = memory;
        let input = match outcome {
            Ok(input) => input,
            Err(error) => return self.tls_failed(conn, &error),
        };
        if input.answers {
            client.wire.pending.get_or_insert_default();
            self.send_pending(conn);
        }
        self.account(conn.slot);
        if input.begins && !self.may_enter(local) {
            return self.refuse_established(conn);
        }
        if !self.plain.is_empty() {
            self.take_plain(conn, bytes);
        }
        if input.closed {
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
        let queueing = queueing && !client.wire.parked;
        let waits = client.holds_back();
        let in_place = client.wire.take_plain(&mut self.io, bytes, &self.plain, waits);
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
        let established =
            self.client(conn).and_then(|client| client.wire.tls.as_ref()).is_some_and(|tls| tls.is_established());
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
}
