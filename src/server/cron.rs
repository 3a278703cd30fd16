//! What happens `hz` times a second: clients that are idle too long, soft output limits, standing accepts to try again,
//! and the engine's own cron.

#![forbid(unsafe_code)]

use crate::command::reply_buffer::Resized;
use crate::command::session::{SessionFlags, Slot};
use crate::io::{ConnId, Io};
use crate::observe::log;
use crate::server::event_loop::Server;

/// Seconds after which an idle client's query buffer is as large as what is in it.
const IDLE_BUFFER_S: i64 = 2;

/// Fewest clients that one cron visits, as in Redis.
const CLIENTS_MIN: usize = 5;

impl<I: Io> Server<I> {
    pub(super) fn cron(&mut self) {
        if self.engine.state.debug.cron_paused {
            return;
        }
        let start = self.engine.state.ticks.now();
        self.engine.cron();
        self.clients_cron();
        for listener in std::mem::take(&mut self.accepts_to_retry) {
            self.io.accept_again(listener);
        }
        self.balance();
        self.publish_io_facts();
        let state = &mut self.engine.state;
        state.stats.cron_ticks += state.ticks.now().saturating_sub(start);
    }

    /// Visits a part of the clients, so that each is looked at about once a second.
    fn clients_cron(&mut self) {
        let hz = self.engine.state.config.hz.max(1) as usize;
        let visits = (self.clients.len() / hz).max(CLIENTS_MIN).min(self.clients.len());
        let now_s = self.engine.state.now_s;
        let timeout_s = i64::from(self.engine.state.config.timeout);
        for _ in 0..visits {
            self.cron_cursor = (self.cron_cursor + 1) % self.clients.len();
            let Some(client) = self.clients[self.cron_cursor].as_deref() else { continue };
            let conn = client.conn;
            let session = self.engine.session(Slot(conn.slot));
            let exempt = session.flags.intersects(SessionFlags::BLOCKED | SessionFlags::MONITOR | SessionFlags::PUBSUB);
            if timeout_s > 0 && !exempt && now_s - session.last_interaction_s > timeout_s {
                log::verbose(format_args!("Closing idle client"));
                self.close_now(conn);
            } else {
                self.visit(conn);
            }
        }
    }

    /// What each client needs about once a second: buffers that follow its needs, figures, the soft limit of its output.
    fn visit(&mut self, conn: ConnId) {
        let state = &self.engine.state;
        let (now_s, now_ms, rules) = (state.now_s, state.clock.unix_ms(), state.debug.reply_buffer);
        let idle_s = now_s - self.engine.session(Slot(conn.slot)).last_interaction_s;
        let Some(client) = self.client(conn) else { return };
        if idle_s > IDLE_BUFFER_S {
            client.wire.give_up_room();
        }
        let output = client.output();
        let resized = client.wire.reply_buffer.adapt(output.buffered, now_ms, rules);
        let (input, has_output) = (client.wire.input(), client.waiting_bytes() > 0);
        let stats = &mut self.engine.state.stats;
        match resized {
            Some(Resized::Shrunk) => stats.reply_buffer_shrinks += 1,
            Some(Resized::Grown) => stats.reply_buffer_expands += 1,
            None => {}
        }
        let session = self.engine.session(Slot(conn.slot));
        let queued = session.transaction.as_deref().map_or(0, |open| open.argument_bytes);
        let input_bytes = input.waiting + input.room + input.argument_bytes + queued;
        self.engine.state.recent_peaks.note(now_s, input_bytes, output.bytes);
        if has_output {
            self.check_output(conn, "closed");
        } else {
            self.account(conn.slot);
        }
    }

    /// INFO reads the Io side's counters from here; copied before every turn that executes anything, which takes a few
    /// nanoseconds.
    #[inline]
    pub(super) fn publish_io_facts(&mut self) {
        self.engine.state.stats.io = *self.io.stats();
    }
}
