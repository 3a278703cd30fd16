//! What the engine is told of clients' buffers: for commands that show it, for the log, and for `maxmemory-clients`.
//! Nothing of it is kept up to date while nobody asks.

#![forbid(unsafe_code)]

use crate::command::session::{SessionFlags, Slot};
use crate::io::Io;
use crate::resp::args::OwnedArgs;
use crate::server::event_loop::Server;
use crate::server::wire::Figures;

/// How many arguments a request has, and their bytes.
fn size_of_args(args: &OwnedArgs) -> (usize, usize) {
    let args = args.as_args();
    (args.len(), args.bytes_total())
}

impl<I: Io> Server<I> {
    /// Has the session of a client know what is in its buffers now.
    pub(super) fn mirror(&mut self, slot: u32) {
        let Some(client) = self.clients[slot as usize].as_deref() else { return };
        let output = client.output();
        let mut input = client.figures.as_ref().map_or_else(|| client.wire.input(), |figures| figures.input);
        if client.blocked {
            // Behind a request that waits nothing counts as taken apart.
            let waiting =
                client.figures.as_ref().map_or_else(|| client.wire.buffered_bytes(), |figures| figures.buffered);
            input = Figures { waiting, arguments: 0, argument_bytes: 0, ..input };
        }
        let session = self.engine.session_mut(Slot(slot));
        let deferred = client.deferred_bytes();
        // The request that waits has been taken apart: those behind it have not.
        let postponed = client.deferred.front().filter(|_| session.flags.contains(SessionFlags::POSTPONED));
        let taken_apart = postponed.map_or(0, |(_, kept)| kept.request_bytes);
        let (arguments, postponed_bytes) = postponed.map_or((0, 0), |(_, kept)| size_of_args(&kept.args));
        let (more_arguments, waiting_bytes) = session.waiting_command.as_deref().map_or((0, 0), size_of_args);
        let net = &mut session.net;
        net.qbuf = input.waiting + deferred - taken_apart;
        net.qbuf_free = input.room;
        net.argv_mem = input.argument_bytes + postponed_bytes + waiting_bytes;
        net.arguments = input.arguments + arguments + more_arguments;
        net.received = 0;
        net.reply_start = None;
        net.output = output;
        net.reads_slowly =
            client.figures.as_ref().map_or(client.wire.pending.is_some(), |_| client.waiting_bytes() > 0);
        net.reply_buffer = client.wire.reply_buffer;
    }

    /// Has every session know it. A simulator that looks inside calls it too.
    pub fn mirror_clients(&mut self) {
        (0..self.clients.len()).for_each(|slot| self.mirror(slot as u32));
    }

    /// The buffers of a client changed: where somebody limits them, counts what they take now.
    #[inline]
    pub(super) fn account(&mut self, slot: u32) {
        if self.engine.state.client_memory.is_on() {
            self.mirror(slot);
            self.engine.state.account_client(Slot(slot));
        }
    }

    /// The line of CLIENT LIST about a client, for the log.
    pub(super) fn describe(&mut self, slot: u32) -> String {
        self.mirror(slot);
        self.engine.describe_client(Slot(slot))
    }
}
