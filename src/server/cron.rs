//! What happens `hz` times a second: clients that are idle too long, soft output limits, standing accepts to try again,
//! and the engine's own cron.

#![forbid(unsafe_code)]

use crate::command::session::{SessionFlags, Slot};
use crate::io::Io;
use crate::observe::log;
use crate::server::event_loop::Server;

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
            let (conn, has_output) = (client.conn, client.pending.is_some());
            let session = self.engine.session(Slot(conn.slot));
            let exempt = session.flags.intersects(SessionFlags::BLOCKED | SessionFlags::MONITOR | SessionFlags::PUBSUB);
            if timeout_s > 0 && !exempt && now_s - session.last_interaction_s > timeout_s {
                log::verbose(format_args!("Closing idle client"));
                self.close_now(conn);
            } else if has_output {
                self.check_output(conn);
            }
        }
    }

    /// INFO reads the Io side's counters from here; copied before every turn that executes anything, which takes a few
    /// nanoseconds.
    #[inline]
    pub(super) fn publish_io_facts(&mut self) {
        self.engine.state.stats.io = *self.io.stats();
    }
}
