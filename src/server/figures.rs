//! What the engine is told of clients' buffers: for commands that show it, for the log, and for `maxmemory-clients`.
//! Nothing of it is kept up to date while nobody asks.

#![forbid(unsafe_code)]

use crate::command::session::Slot;
use crate::io::Io;
use crate::resp::args::Args;
use crate::server::client::{Blob, Client};
use crate::server::event_loop::Server;

/// Free room of a query buffer, in bytes, that is not worth giving up.
const ROOM_KEPT: usize = 4096;

/// What a client has in input that was not executed.
#[derive(Clone, Copy, Default)]
pub(super) struct InputFigures {
    /// Bytes that are no arguments yet.
    pub(super) waiting: usize,
    /// Free bytes of its buffers.
    pub(super) room: usize,
    /// Arguments of its unfinished command.
    pub(super) arguments: usize,
    /// Bytes of those.
    pub(super) argument_bytes: usize,
}

impl Client {
    /// What it has in input.
    pub(super) fn input(&self) -> InputFigures {
        let deferred: usize = self.deferred.iter().map(|(_, args)| args.as_args().bytes_total()).sum();
        let Some(partial) = self.partial.as_deref() else {
            return InputFigures { waiting: deferred, ..InputFigures::default() };
        };
        let blob = partial.blob.as_ref().map_or((0, 0), Blob::held);
        let parsed = self.parser.position().min(partial.buf.len());
        let waiting = partial.buf.len() - parsed + blob.0;
        let room = partial.buf.capacity() - parsed + blob.1 - waiting;
        let (mut arguments, mut argument_bytes) =
            (partial.spans.len(), Args::new(&partial.buf, &partial.spans, &partial.blobs).bytes_total());
        // One whose line end is missing is none yet.
        let unended = if self.parser.awaits_blob_end() { partial.blobs.last() } else { None };
        let unended = unended.map_or(0, |blob| {
            (arguments, argument_bytes) = (arguments - 1, argument_bytes - blob.len());
            blob.len()
        });
        InputFigures { waiting: waiting + unended + deferred, room, arguments, argument_bytes }
    }

    /// The first of its bytes that are no arguments yet.
    pub(super) fn unparsed(&self) -> &[u8] {
        let Some(partial) = self.partial.as_deref() else { return &[] };
        match &partial.blob {
            Some(blob) => &blob.bytes,
            None => &partial.buf[self.parser.position().min(partial.buf.len())..],
        }
    }

    /// It has sent nothing for a while: gives room up that its buffer does not need now. A big argument keeps its own.
    pub(super) fn give_up_room(&mut self) {
        if let Some(partial) = self.partial.as_deref_mut()
            && partial.buf.capacity() - partial.buf.len() > ROOM_KEPT
        {
            partial.buf.shrink_to_fit();
        }
    }
}

impl<I: Io> Server<I> {
    /// Has the session of a client know what is in its buffers now.
    pub(super) fn mirror(&mut self, slot: u32) {
        let Some(client) = self.clients[slot as usize].as_deref() else { return };
        let (input, output) = (client.input(), client.output());
        let net = &mut self.engine.session_mut(Slot(slot)).net;
        net.qbuf = input.waiting;
        net.qbuf_free = input.room;
        net.argv_mem = input.argument_bytes;
        net.arguments = input.arguments;
        net.received = 0;
        net.reply_start = None;
        net.output = output;
        net.reads_slowly = client.pending.is_some();
        net.reply_buffer = client.reply_buffer;
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
