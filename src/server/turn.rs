//! HOT PATH. How long one turn may be: who comes meanwhile waits until it ends. When it has lasted, what is left of long
//! pipelines moves into buffers of their clients' own, where the Io side gets its own back, and those clients are served on
//! in the next turns, one batch each between all others. One that has much left is not read from until it is worked off.

#![forbid(unsafe_code)]

use crate::io::Io;
use crate::server::event_loop::Server;
use crate::server::wire::stash;

/// Commands of a turn from which on nobody is served once more in it. A millisecond of them ends it too.
pub const TURN_COMMANDS_MAX: usize = 8192;
/// Input of a client that waits for its next turn, in bytes, from which on it is not read from.
pub(super) const PARKED_INPUT_BYTES: usize = 64 << 10;

impl<I: Io> Server<I> {
    /// Sets after how many commands a turn ends, for a simulator that wants short ones.
    pub fn set_turn_commands_max(&mut self, commands: usize) {
        self.turn_commands_max = commands;
    }

    /// Whether those who still have something wait for the next turn: not before everybody was served once. Asked between
    /// batches only.
    #[inline]
    pub(super) fn turn_is_over(&self) -> bool {
        let long = self.turn_commands >= self.turn_commands_max || self.engine.state.turn_lasts_a_ms();
        long && self.unserved == 0
    }

    /// The turn is over: takes the bytes of all who have to wait out of the Io side's buffers. They stay in the queue, in
    /// front of who comes next.
    #[cold]
    pub(super) fn park_ready(&mut self) {
        for index in 0..self.ready.len() {
            let slot = self.ready[index];
            let Some(client) = self.clients[slot as usize].as_deref_mut() else { continue };
            stash(&mut client.wire, &self.io);
            client.wire.parked = true;
            let conn = client.conn;
            self.to_rearm.push(conn);
            self.account(slot);
        }
    }

    /// Nothing is left of what the client had sent, or it waits for something else: it is read from again.
    #[cold]
    pub(super) fn unpark(&mut self, slot: u32) {
        let Some(client) = self.clients[slot as usize].as_deref_mut() else { return };
        if std::mem::replace(&mut client.wire.parked, false) {
            let conn = client.conn;
            self.to_rearm.push(conn);
        }
    }
}
