//! What commands ask of the process: closing clients, following a changed configuration, ending.

#![forbid(unsafe_code)]

use crate::command::effects::{CANNOT_EXIT, NO_SNAPSHOT, SHUTDOWN_FAILED, ShutdownRequest};
use crate::command::outbox::Outbox;
use crate::command::session::{SessionFlags, Slot};
use crate::io::{ConnId, Io};
use crate::observe::log;
use crate::resp::reply::Mark;
use crate::server::event_loop::{HOMES_MAX, OWN, Out, SIGNAL_TOKEN, Server};
use crate::sys::signals;

impl<I: Io> Server<I> {
    /// Called after a command that left effects. What the caller wrote from `start` on is noted here, since what others are
    /// sent comes behind it in the slab; returns where its next reply begins.
    #[cold]
    pub(super) fn apply_effects(&mut self, caller: u32, start: Mark) -> Mark {
        let mut effects = self.engine.state.effects.take();
        effects.warnings.iter().for_each(|line| log::warning(format_args!("{line}")));
        for slot in effects.kill {
            if slot.0 == caller {
                self.engine.session_mut(slot).flags.insert(SessionFlags::CLOSE_AFTER_REPLY);
            } else if let Some(client) = self.clients.get(slot.0 as usize).and_then(Option::as_deref) {
                let conn = client.conn;
                self.close_now(conn);
            }
        }
        if effects.account_clients {
            (0..self.clients.len()).for_each(|slot| self.account(slot as u32));
        }
        for opened in effects.listeners {
            let kind = opened.0;
            let state = &mut self.engine.state;
            let opened = self.listeners.replace(&mut self.io, opened, &state.config, &mut state.tcp_listeners);
            self.publish_listeners(kind, &opened);
        }
        if let Some(count) = effects.io_threads {
            self.set_threads(count as usize - 1);
        }
        if let Some(request) = effects.shutdown {
            self.begin_shutdown(request);
        }
        let mut next = start;
        if !effects.outbox.is_empty() {
            self.note_written(caller, start);
            self.deliver(&effects.outbox, caller);
            next = self.reply().mark();
        }
        for slot in effects.unblocked {
            self.go_on(slot);
        }
        effects.outbox.clear();
        self.engine.state.effects.outbox = effects.outbox;
        next
    }

    /// The same for effects that no command had, but the clock or the end of a turn.
    #[inline]
    pub(super) fn carry_out_effects(&mut self) {
        if self.engine.state.effects.any() {
            let here = self.reply().mark();
            self.apply_effects(u32::MAX, here);
        }
    }

    /// Sends what the engine has posted. Every text is copied once for each home of its receivers, a large value in it not at
    /// all; the receivers there are given the same bytes.
    fn deliver(&mut self, outbox: &Outbox, caller: u32) {
        let mut bases: [Option<Mark>; HOMES_MAX] = [None; HOMES_MAX];
        let (mut bytes, mut full, mut over) = (0, Vec::new(), Vec::new());
        let accounts = self.engine.state.client_memory.is_on();
        for letter in outbox.letters() {
            let slot = letter.to.0;
            let Some(client) = self.clients.get_mut(slot as usize).and_then(Option::as_deref_mut) else { continue };
            let ends = SessionFlags::CLOSE_AFTER_REPLY | SessionFlags::CLOSE_ASAP;
            if client.closing || self.engine.session(letter.to).flags.intersects(ends) {
                // A connection without a session has waited for this.
                over.extend(client.blocked.then_some(client.conn));
                continue;
            }
            let home = client.home;
            let Out { reply, touched } = &mut self.outs[home];
            let base = *bases[home].get_or_insert_with(|| {
                let base = reply.mark();
                reply.raw_around(outbox.bytes(), outbox.large());
                base
            });
            if client.wire.written.is_empty() {
                touched.push(slot);
            }
            let range = base.position() + letter.text.start..base.position() + letter.text.end;
            let large: usize = reply.refs_in(range.clone()).iter().map(|value| value.bytes.len()).sum();
            if home == OWN {
                bytes += range.len() + large;
            }
            client.unsent.add(range.len(), range.len() + large);
            client.wire.written.push(range);
            if accounts || client.unsent.bytes() + client.untold.all().bytes() >= self.output_watch {
                full.push(client.conn);
            }
        }
        // The slab's own length is counted when it is sent.
        let written = bases[OWN].map_or(0, |base| self.outs[OWN].reply.bytes_since(base));
        let stats = &mut self.engine.state.stats;
        stats.net_output_bytes = (stats.net_output_bytes + bytes as u64).saturating_sub(written as u64);
        self.look_at_receivers(&full, caller);
        over.into_iter().for_each(|conn| self.close_now(conn));
    }

    /// These were sent so much that it may be too much.
    #[cold]
    fn look_at_receivers(&mut self, receivers: &[ConnId], caller: u32) {
        for &conn in receivers {
            if self.client(conn).is_none() {
                continue;
            }
            // Its commands may wait for what it reads; what others send it may not.
            let untold = self.untold(conn.slot);
            self.check_unsent(conn.slot, untold);
            let over = self.engine.session(Slot(conn.slot)).flags.contains(SessionFlags::CLOSE_ASAP);
            // The caller's own end comes behind its command.
            if over && conn.slot != caller {
                self.close_now(conn);
            } else {
                self.account(conn.slot);
            }
        }
    }

    /// A client is blocked no longer: its commands run again.
    fn go_on(&mut self, slot: Slot) {
        let Some(client) = self.clients.get_mut(slot.index()).and_then(Option::as_deref_mut) else { return };
        client.blocked = false;
        if client.has_work() {
            Self::enqueue(&mut self.ready, client);
        }
        self.order_hold(slot.0, false);
        self.account(slot.0);
    }

    /// SHUTDOWN, or a signal.
    fn begin_shutdown(&mut self, request: ShutdownRequest) {
        log::notice(format_args!("User requested shutdown..."));
        if request.save {
            log::warning(format_args!("{NO_SNAPSHOT}"));
            if !request.is_possible() {
                log::warning(format_args!("{CANNOT_EXIT}"));
                // Before the last line, since who reads that may send the next signal.
                signals::refused();
                log::warning(format_args!("{SHUTDOWN_FAILED}"));
                return;
            }
            log::warning(format_args!("Error trying to save the DB. Exit anyway."));
        }
        self.shutdown = Some(request);
    }

    /// The descriptor of signals is readable.
    pub(super) fn readable(&mut self, token: u32) {
        if token != SIGNAL_TOKEN {
            return;
        }
        if let Some(signal) = (self.read_signals)() {
            let config = &self.engine.state.config;
            let flags = if signal == libc::SIGINT { config.shutdown_on_sigint } else { config.shutdown_on_sigterm };
            self.begin_shutdown(ShutdownRequest { save: flags.save, now: flags.now, force: flags.force });
        }
    }

    /// Whether a session is not to be served further for now: its connection is to be closed, or it is blocked.
    #[inline]
    pub(super) fn session_ends(&self, slot: u32) -> SessionFlags {
        let ends = SessionFlags::CLOSE_AFTER_REPLY
            | SessionFlags::CLOSE_ASAP
            | SessionFlags::BLOCKED
            | SessionFlags::POSTPONED;
        self.engine.session(Slot(slot)).flags & ends
    }
}
