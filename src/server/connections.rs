//! Connections: letting them in, turning them away, receiving, closing, timing out.

#![forbid(unsafe_code)]

use std::os::fd::AsRawFd;

use crate::command::session::{NetFacts, SessionFlags, Slot};
use crate::config::LogLevel;
use crate::io::{ConnId, Errno, Io, ListenerId, Received, RecvEnd};
use crate::observe::log;
use crate::resp::parse::ProtocolError;
use crate::server::client::Client;
use crate::server::event_loop::{OWN, Server};
use crate::server::wire::Reading;
use crate::sys::socket;
use crate::transport::plain::ListenerKind;
use crate::transport::tls;

/// Sent to a connection beyond `maxclients`.
const TOO_MANY_CLIENTS: &[u8] = b"-ERR max number of clients reached\r\n";
/// Query buffer limit before authentication, in bytes.
const UNAUTHENTICATED_QUERY_MAX: usize = 1024 * 1024;
/// Bytes of the query buffer that a log line shows.
const QUERY_LOG_BYTES: usize = 64;

impl<I: Io> Server<I> {
    /// Lets accepted connections in, at most `max-new-connections-per-cycle` of them, and `max-new-tls-connections-per-cycle`
    /// over TLS.
    pub(super) fn admit(&mut self) {
        for _ in 0..self.engine.state.config.max_new_connections_per_cycle {
            let Some((listener, conn)) = self.accepted.pop_front() else { break };
            self.admit_one(listener, conn);
        }
        for _ in 0..self.engine.state.config.max_new_tls_connections_per_cycle {
            let Some((listener, conn)) = self.accepted_tls.pop_front() else { break };
            self.admit_one(listener, conn);
        }
    }

    fn admit_one(&mut self, listener: ListenerId, conn: ConnId) {
        let Some(kind) = self.listeners.kind(listener) else { return self.io.close(conn) };
        let config = &self.engine.state.config;
        let unixsocket = config.unixsocket.to_string();
        let fd = self.io.descriptor(conn).map_or(-1, |fd| fd.as_raw_fd());
        let (addr, laddr, local) = match kind {
            ListenerKind::Unix => (format!("{unixsocket}:0"), format!("{unixsocket}:0"), true),
            ListenerKind::Tcp | ListenerKind::Tls => {
                let addr = socket::peer_text(fd);
                let local = addr.starts_with("127.") || addr.starts_with("[::1]:") || fd == -1;
                (addr, socket::local_text(fd), local)
            }
        };
        match kind {
            ListenerKind::Unix => log::verbose(format_args!("Accepted connection to {unixsocket}")),
            ListenerKind::Tcp | ListenerKind::Tls => log::verbose(format_args!("Accepted {addr}")),
        }
        let encrypted = kind == ListenerKind::Tls;
        if self.connected >= self.engine.state.config.maxclients as usize {
            self.engine.state.stats.connections_rejected += 1;
            // Before a handshake there is no way to say anything.
            return if encrypted { self.io.close(conn) } else { self.io.refuse(conn, TOO_MANY_CLIENTS) };
        }
        // The same is asked of a TLS client after its handshake.
        if !encrypted && !self.may_enter(local) {
            self.engine.state.stats.connections_rejected += 1;
            return self.io.refuse(conn, PROTECTED_MODE);
        }
        let tls = match encrypted.then(|| self.begin_tls(local)).transpose() {
            Ok(tls) => tls,
            Err(reason) => {
                log::warning(format_args!("Error accepting a client connection: {reason} (addr={addr} laddr={laddr})"));
                return self.io.close(conn);
            }
        };
        let index = conn.slot as usize;
        if self.clients.len() <= index {
            self.clients.resize_with(index + 1, || None);
        }
        let mut client = Box::new(Client::new(conn));
        client.wire.reading = Reading::Standing;
        client.wire.tls = tls;
        self.clients[index] = Some(client);
        self.connected += 1;
        let tls_mem = self.clients[index].as_deref().map_or(0, |client| client.wire.tls_memory());
        let own_bytes = size_of::<Client>();
        let net = NetFacts { fd, addr: addr.into(), laddr: laddr.into(), tls_mem, own_bytes, ..NetFacts::default() };
        self.engine.client_connected(Slot(conn.slot), kind == ListenerKind::Unix, net);
        match self.home_for_new() {
            OWN => self.io.recv_start(conn),
            home => {
                if let Some(client) = self.client(conn) {
                    client.wire.reading = Reading::Idle;
                }
                self.move_to(conn, home);
            }
        }
    }

    /// Whether a client may come in: from outside it may not while protected mode is on and nobody needs a password.
    pub(super) fn may_enter(&self, local: bool) -> bool {
        local || !self.engine.state.config.protected_mode || self.engine.state.password_required()
    }

    /// A standing accept ended. Without descriptors there is no point in trying at once.
    pub(super) fn accept_ended(&mut self, listener: ListenerId, error: Option<Errno>) {
        match error {
            Some(Errno(libc::EMFILE | libc::ENFILE | libc::ENOBUFS | libc::ENOMEM)) => {
                let error = error.unwrap_or(Errno(0));
                log::warning(format_args!("Accepting client connection: {error}"));
                self.accepts_to_retry.push(listener);
            }
            Some(Errno(libc::ECANCELED)) => {}
            Some(error @ Errno(libc::EBADF | libc::EINVAL | libc::ENOTSOCK)) => {
                log::warning(format_args!("Accepting client connection: {error}"));
            }
            _ => self.io.accept_again(listener),
        }
    }

    /// Bytes arrived.
    #[inline]
    pub(super) fn received(&mut self, conn: ConnId, bytes: Received) {
        let now_s = self.engine.state.now_s;
        let Some(client) = self.clients.get_mut(conn.slot as usize).and_then(Option::as_deref_mut) else { return };
        if client.conn != conn || client.closing {
            return;
        }
        if client.wire.tls.is_some() {
            return self.received_tls(conn, bytes);
        }
        let stats = &mut self.engine.state.stats;
        stats.net_input_bytes += bytes.len() as u64;
        stats.reads_processed += 1;
        let session = self.engine.session_mut(Slot(conn.slot));
        session.last_interaction_s = now_s;
        let queueing = session.transaction.is_some() && !client.wire.parked;
        if client.holds_back() {
            // It is blocked, or does not read its replies: what it still sends is kept, not parsed.
            let bytes = self.io.bytes(bytes);
            client.wire.keep_for_later(bytes);
            let held = client.buffered_bytes();
            if client.is_full() {
                self.to_rearm.push(conn);
            }
            self.account(conn.slot);
            if self.over_query_limit(conn.slot, held) {
                self.close_for_query_buffer(conn.slot);
            }
            return;
        }
        client.wire.inbox.push(bytes);
        Self::enqueue(&mut self.ready, client);
        if queueing {
            let held = client.buffered_bytes() + bytes.len();
            if self.over_query_limit(conn.slot, held) {
                self.close_for_query_buffer(conn.slot);
            }
        }
    }

    /// A big argument, or a part of it, arrived in its place.
    pub(super) fn received_into(&mut self, conn: ConnId, bytes: Vec<u8>, end: Option<RecvEnd>) {
        let Some(client) = self.clients.get_mut(conn.slot as usize).and_then(Option::as_deref_mut) else { return };
        if client.conn != conn {
            return;
        }
        let Some(arrived) = client.wire.received_into(bytes) else { return };
        let now_s = self.engine.state.now_s;
        self.engine.state.stats.net_input_bytes += arrived as u64;
        self.engine.state.stats.reads_processed += 1;
        self.engine.session_mut(Slot(conn.slot)).last_interaction_s = now_s;
        match end {
            Some(RecvEnd::Eof) => return self.peer_closed(conn, None),
            Some(RecvEnd::Failed(error)) => return self.peer_closed(conn, Some(error)),
            _ => {}
        }
        if let Some(client) = self.clients[conn.slot as usize].as_deref_mut()
            && client.wire.has_input()
        {
            Self::enqueue(&mut self.ready, client);
        }
        let held = self.clients[conn.slot as usize].as_deref().map_or(0, Client::buffered_bytes);
        self.account(conn.slot);
        if self.over_query_limit(conn.slot, held) {
            return self.close_for_query_buffer(conn.slot);
        }
        self.to_rearm.push(conn);
    }

    /// Whether a client holds more than it may, unparsed or queued by MULTI.
    pub(super) fn over_query_limit(&self, slot: u32, held: usize) -> bool {
        let limit = self.engine.state.config.client_query_buffer_limit;
        let session = self.engine.session(Slot(slot));
        let queued = session.transaction.as_deref().map_or(0, |open| open.argument_bytes);
        held + queued > limit || (held > UNAUTHENTICATED_QUERY_MAX && !self.engine.state.lets_in(session))
    }

    /// Closes a client that sent too much at once. That gets no reply, but the commands before it do.
    #[cold]
    pub(super) fn close_for_query_buffer(&mut self, slot: u32) {
        let client = self.clients[slot as usize].as_deref().filter(|client| !client.closing);
        let Some(client) = client else { return };
        let (conn, has_output) = (client.conn, client.wire.pending.is_some());
        let first = client.figures.as_ref().map_or_else(|| client.wire.unparsed(), |figures| &figures.unparsed);
        let shown = first[..first.len().min(QUERY_LOG_BYTES)].escape_ascii().to_string();
        // It is shown as one that is closed, though the replies before are still sent.
        let flags = self.engine.session(Slot(slot)).flags;
        self.engine.session_mut(Slot(slot)).flags.insert(SessionFlags::CLOSE_ASAP);
        let line = self.describe(slot);
        self.engine.session_mut(Slot(slot)).flags = flags;
        log::warning(format_args!(
            "Closing client that reached max query buffer length: {line} (qbuf initial bytes: \"{shown}\")"
        ));
        self.engine.state.stats.query_buffer_limit_disconnections += 1;
        if has_output {
            self.close_now(conn);
        } else {
            self.close_after_output(slot);
        }
    }

    /// Answers a protocol error; the connection is closed behind the reply.
    #[cold]
    pub(super) fn protocol_error(&mut self, slot: u32, error: ProtocolError) {
        if log::enabled(LogLevel::Verbose) {
            let line = self.describe(slot);
            log::verbose(format_args!("Protocol error ({}) from client: {line}", error.log_name()));
        }
        self.engine.protocol_error(Slot(slot), error, &mut self.outs[self.home].reply);
    }

    /// A command or a protocol error ended the session. The connection is closed behind its output. Where there is none,
    /// its replies being muted, it stays, as it does in Redis, until the peer closes it, its time is over, or something is
    /// to be sent to it.
    #[cold]
    pub(super) fn end_session(&mut self, slot: u32) {
        let untold = self.untold(slot).bytes();
        let Some(client) = self.clients[slot as usize].as_deref() else { return };
        let has_output = untold + client.unsent.bytes() + client.waiting_bytes() > 0 || client.wire.pending.is_some();
        if has_output || self.engine.session(Slot(slot)).flags.contains(SessionFlags::CLOSE_ASAP) {
            self.close_after_output(slot);
        } else {
            self.hold(slot);
        }
    }

    /// Nothing more is read or executed; the connection is closed once its output is written, or at once where its session
    /// says so.
    pub(super) fn close_after_output(&mut self, slot: u32) {
        let asap = self.engine.session(Slot(slot)).flags.contains(SessionFlags::CLOSE_ASAP);
        let Some(client) = self.clients[slot as usize].as_deref_mut() else { return };
        let conn = client.conn;
        if asap {
            return self.close_now(conn);
        }
        client.closing = true;
        client.wire.inbox.clear();
        client.deferred.clear();
        match (client.home, client.moving) {
            (OWN, _) => self.to_close.push(conn),
            // What it is to read first waits here until it has come back, and is closed then.
            (_, Some(_)) => {}
            _ => self.order_close(conn, true),
        }
    }

    /// The peer closed or reset the connection.
    pub(super) fn peer_closed(&mut self, conn: ConnId, error: Option<Errno>) {
        let Some(client) = self.client(conn) else { return };
        if client.closing {
            return;
        }
        if client.wire.tls.as_ref().is_some_and(|tls| !tls.is_established()) {
            let reason = error.map_or_else(|| tls::EOF_IN_HANDSHAKE.to_owned(), |error| error.to_string());
            return self.handshake_failed(conn, &reason);
        }
        // What it sent before it closed is still executed, and answered, unless it has to wait for anything but its own
        // output.
        let may_have = client.home != OWN || client.has_work() || client.wire.pending.is_some();
        if error.is_none() && !client.blocked && may_have {
            return self.to_end.push(conn);
        }
        self.engine.state.stats.reads_processed += 1;
        match error {
            Some(error) => log::verbose(format_args!("Reading from client: {error}")),
            None if log::enabled(LogLevel::Verbose) => {
                let line = self.describe(conn.slot);
                log::verbose(format_args!("Client closed connection {line}"));
            }
            None => {}
        }
        self.close_now(conn);
    }

    /// Peers that closed behind their last commands: those have run now. Where they wait for the output to drain, or for
    /// another turn, the
    /// receive that is armed after them says once more that the peer closed.
    pub(super) fn end_closed_peers(&mut self) {
        let mut still = Vec::new();
        for index in 0..self.to_end.len() {
            let conn = self.to_end[index];
            // A blocked one would wait for an answer that nobody reads.
            if self.client(conn).is_some_and(|client| client.blocked) {
                self.engine.state.stats.reads_processed += 1;
                self.close_now(conn);
                continue;
            }
            let waits = |client: &Client| (client.wire.stalled || client.wire.parked) && client.has_work();
            let is_over = |client: &mut Client| !client.closing && !waits(client);
            if self.client(conn).is_some_and(is_over) {
                // The read that brought the end counts once, however often it was said.
                self.engine.state.stats.reads_processed += 1;
                self.close_after_output(conn.slot);
            } else if self.client(conn).is_some_and(|client| client.home != OWN && !client.closing) {
                // Its thread has said it once and for all.
                still.push(conn);
            }
        }
        self.to_end = still;
    }

    /// Forgets the client and closes its connection.
    pub(super) fn close_now(&mut self, conn: ConnId) {
        self.order_close(conn, false);
        let Some(entry) = self.clients.get_mut(conn.slot as usize) else { return };
        let Some(client) = entry.take_if(|client| client.conn == conn) else { return };
        self.connected -= 1;
        self.left(client.home);
        self.engine.client_gone(Slot(conn.slot));
        match client.wire.tls.map(|tls| tls.farewell(client.wire.pending.as_deref())) {
            Some(farewell) if !farewell.is_empty() => self.io.refuse(conn, &farewell),
            _ => self.io.close(conn),
        }
    }
}

/// Sent to a connection from outside while protected mode is on and no password is set.
pub(super) const PROTECTED_MODE: &[u8] = b"-DENIED Redis is running in protected mode because protected mode is enabled and no password is set for the default user. In this mode connections are only accepted from the loopback interface. If you want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. 3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Set up an authentication password for the default user. NOTE: You only need to do one of the above things in order for the server to start accepting connections from the outside.\r\n";
