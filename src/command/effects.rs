//! What commands ask of the process around the engine. The server looks after each command whether there is anything,
//! and carries it out; the engine itself closes nothing and stops nothing.

#![forbid(unsafe_code)]

use crate::command::outbox::Outbox;
use crate::command::session::Slot;
use crate::transport::plain::{Listener, ListenerKind};

/// SHUTDOWN's arguments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ShutdownRequest {
    /// Write a snapshot first.
    pub save: bool,
    /// Do not wait for replicas.
    pub now: bool,
    /// Exit whatever fails.
    pub force: bool,
}

impl ShutdownRequest {
    /// Whether the server may end: not where it is to save first, which it cannot, unless it is to end all the same.
    pub fn is_possible(&self) -> bool {
        !self.save || self.force
    }
}

/// Why a shutdown that is to save fails.
pub const NO_SNAPSHOT: &str = "A snapshot was asked for, and this server cannot write one.";
/// What follows from it.
pub const CANNOT_EXIT: &str = "Error trying to save the DB, can't exit.";
/// The line that closes every shutdown that fails.
pub const SHUTDOWN_FAILED: &str = "Errors trying to shut down the server. Check the logs for more information.";

/// Things to do after the current command.
#[derive(Default)]
pub struct Effects {
    /// Clients to close at once.
    pub kill: Vec<Slot>,
    /// The process is to end.
    pub shutdown: Option<ShutdownRequest>,
    /// Listeners that CONFIG SET opened and that replace those there are of their kind.
    pub listeners: Vec<(ListenerKind, Vec<Listener>)>,
    /// Lines for the log, at its warning level.
    pub warnings: Vec<String>,
    /// What other clients are sent, and the caller behind its reply.
    pub outbox: Outbox,
    /// What every client costs is to be counted: `maxmemory-clients` was off before.
    pub account_clients: bool,
    /// From now on there are to be so many threads that read and write for clients, the main one counted.
    pub io_threads: Option<u32>,
    /// Clients that are blocked no longer. Their reply is in the outbox, or their command waits with the server.
    pub unblocked: Vec<Slot>,
}

impl Effects {
    /// Whether there is anything to do.
    #[inline]
    pub fn any(&self) -> bool {
        let queued = self.kill.len()
            | self.warnings.len()
            | self.outbox.len()
            | self.unblocked.len()
            | self.listeners.len()
            | usize::from(self.account_clients)
            | usize::from(self.io_threads.is_some())
            | usize::from(self.shutdown.is_some());
        queued != 0
    }

    /// Hands over all of it.
    pub fn take(&mut self) -> Effects {
        std::mem::take(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_effect_counts() {
        assert!(!Effects::default().any());
        let mut killing = Effects { kill: vec![Slot(1)], ..Effects::default() };
        assert!(killing.any());
        assert_eq!(killing.take().kill, [Slot(1)]);
        assert!(!killing.any());
        assert!(Effects { unblocked: vec![Slot(1)], ..Effects::default() }.any());
        assert!(Effects { io_threads: Some(2), ..Effects::default() }.any());
        assert!(Effects { account_clients: true, ..Effects::default() }.any());
        let mut sending = Effects::default();
        let text = sending.outbox.write(|out| out.extend_from_slice(b"x"));
        assert!(!sending.any());
        sending.outbox.post(Slot(1), &text);
        assert!(sending.any());
        assert!(Effects { shutdown: Some(ShutdownRequest::default()), ..Effects::default() }.any());
    }
}
