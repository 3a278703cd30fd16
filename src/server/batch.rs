//! HOT PATH. Bytes to commands to replies: gather what ready clients sent into a batch, look all of it up, prefetch the
//! keys, then execute. A client is served in turns of at most one batch, so that a long pipeline delays nobody.

#![forbid(unsafe_code)]

use std::ops::Range;

use bytes::Bytes;

use crate::command::prepared::{Prepared, Verdict};
use crate::command::reply_buffer::Unsent;
use crate::command::session::{SessionFlags, Slot};
use crate::io::{ConnId, Io, Received};
use crate::resp::args::{Args, OwnedArgs, Span};
use crate::resp::parse::{Limits, ProtocolError};
use crate::resp::reply::{Mark, Reply};
use crate::server::client::{Client, Kept};
use crate::server::event_loop::{OWN, Out, Server};
use crate::server::output::UNAUTHENTICATED_OUTPUT_MAX;
use crate::server::wire::stash;

/// Most commands of one batch: their keys' cache lines fit the first-level cache.
pub(super) const BATCH_COMMANDS_MAX: usize = 64;
/// Output waiting for one client, in bytes, at which its commands wait until the socket has taken some.
pub(super) const STALL_BYTES: usize = 16 << 20;
/// Input of such a client, in bytes, that is kept for it meanwhile: one that writes first and reads later does not wait for
/// itself before that. Beyond it is not read from.
pub(super) const STALLED_INPUT_BYTES: usize = 32 << 20;

/// Where the bytes of a command are.
#[derive(Clone, Copy)]
pub(super) enum Source {
    /// Where they were received.
    Received(Received),
    /// In the wire's own buffer.
    Partial,
    /// In the batch's list of commands that had to wait, at this place.
    Deferred(u32),
    /// Carried along by the parcel of an I/O thread, from this place on; so many bytes arrived together.
    Carried(u32, u32),
}

/// What is to be done.
pub(super) enum Work {
    Command { prepared: Prepared, spans: Range<u32> },
    Fail(ProtocolError),
}

/// A command of a batch.
pub(super) struct Item {
    pub(super) seat: ConnId,
    pub(super) source: Source,
    pub(super) work: Work,
}

/// Commands that are executed together.
pub(super) struct Batch {
    pub(super) items: Vec<Item>,
    pub(super) spans: Vec<Span>,
    pub(super) blobs: Vec<Bytes>,
    /// Commands that were kept for a client and are executed now.
    pub(super) deferred: Vec<Kept>,
    /// Clients whose unfinished command moved on: their buffers are tidied after execution.
    pub(super) partials: Vec<u32>,
    /// How many commands it takes.
    commands_max: usize,
}

impl Default for Batch {
    fn default() -> Batch {
        Batch::new(BATCH_COMMANDS_MAX)
    }
}

impl Batch {
    /// An empty one that takes so many commands.
    pub(super) fn new(commands_max: usize) -> Batch {
        let (items, spans, blobs) = (Vec::new(), Vec::new(), Vec::new());
        Batch { items, spans, blobs, deferred: Vec::new(), partials: Vec::new(), commands_max }
    }

    pub(super) fn clear(&mut self) {
        self.items.clear();
        self.spans.clear();
        self.blobs.clear();
        self.deferred.clear();
        self.partials.clear();
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.items.len() >= self.commands_max
    }

    /// Adds a command whose spans begin with number `first`.
    #[inline]
    pub(super) fn push_command(&mut self, seat: ConnId, source: Source, first: usize) {
        let spans = first as u32..self.spans.len() as u32;
        self.items.push(Item { seat, source, work: Work::Command { prepared: Prepared::BLANK, spans } });
    }

    /// Adds a protocol error, behind which nothing follows.
    pub(super) fn push_failure(&mut self, seat: ConnId, source: Source, error: ProtocolError) {
        self.items.push(Item { seat, source, work: Work::Fail(error) });
    }
}

/// How the gathering from one client ended.
#[derive(PartialEq, Eq)]
pub(super) enum Gathered {
    /// Everything was parsed.
    All,
    /// There is more: the batch is full, or one command has to be executed before the next is parsed.
    More,
    /// Nothing of this client is parsed any more.
    Failed,
}

impl<I: Io> Server<I> {
    /// Fills the batch from the ready clients.
    pub(super) fn gather(&mut self) {
        self.batch.clear();
        while !self.batch.is_full() {
            let Some(slot) = self.ready.pop_front() else { break };
            self.unserved = self.unserved.saturating_sub(1);
            let Some(client) = self.clients[slot as usize].as_deref_mut() else { continue };
            client.queued = false;
            if client.closing {
                continue;
            }
            if client.holds_back() {
                stash(&mut client.wire, &self.io);
                self.unpark(slot);
                self.account(slot);
                continue;
            }
            let parked = client.wire.parked;
            if self.gather_from(slot) == Gathered::More {
                let client = self.clients[slot as usize].as_deref_mut().expect("gathering closes nobody");
                Self::enqueue(&mut self.ready, client);
                // This client's next command may depend on the ones in the batch.
                if !self.batch.is_full() {
                    break;
                }
            } else if parked {
                self.unpark(slot);
            }
        }
        self.prepare();
    }

    fn gather_from(&mut self, slot: u32) -> Gathered {
        let session = self.engine.session(Slot(slot));
        let config = &self.engine.state.config;
        let authenticated = self.engine.state.lets_in(session);
        let limits = Limits { bulk_len_max: config.proto_max_bulk_len, authenticated };
        let unsent = self.clients[slot as usize].as_deref().map_or(0, |client| client.unsent.bytes());
        if !authenticated && unsent > UNAUTHENTICATED_OUTPUT_MAX && self.close_unauthenticated(slot, Unsent::default())
        {
            return Gathered::Failed;
        }
        let client = self.clients[slot as usize].as_deref_mut().expect("a ready client exists");
        let (seat, batch) = (client.conn, &mut self.batch);
        while let Some((prepared, kept)) = client.deferred.pop_front() {
            let source = Source::Deferred(batch.deferred.len() as u32);
            batch.deferred.push(kept);
            batch.items.push(Item { seat, source, work: Work::Command { prepared, spans: 0..0 } });
            if batch.is_full() {
                return Gathered::More;
            }
        }
        if let Some(error) = client.failure.take() {
            // A command before it may block the client, and the error waits once more.
            client.wire.end_parsing();
            batch.push_failure(seat, Source::Partial, error);
            return Gathered::Failed;
        }
        let gathered = client.wire.gather(seat, &self.io, &limits, batch);
        if gathered == Gathered::Failed {
            client.wire.end_parsing();
        }
        gathered
    }

    /// Looks the batch up and touches the memory that it is going to need.
    #[inline]
    fn prepare(&mut self) {
        let Batch { items, spans, blobs, .. } = &mut self.batch;
        let (mut looks_for_members, mut before) = (false, None::<(Args<'_>, Prepared)>);
        for item in items.iter_mut() {
            let slot = item.seat.slot;
            let Work::Command { prepared, spans: range } = &mut item.work else { continue };
            let base = match item.source {
                Source::Received(received) => self.io.bytes(received),
                Source::Partial => partial_bytes(&self.clients, slot),
                // Looked up when it was deferred.
                Source::Deferred(_) | Source::Carried(..) => continue,
            };
            let args = Args::new(base, &spans[range.start as usize..range.end as usize], blobs);
            *prepared = self.engine.prepare_behind(args, before);
            looks_for_members |= prepared.member_arg != 0;
            // What the one before asked for is on its way.
            if before.is_none_or(|(_, other)| other.hash != prepared.hash) {
                self.engine.prefetch_bucket(Slot(slot), prepared);
            }
            before = Some((args, *prepared));
        }
        if items.len() > 1 {
            let commands = items.iter().filter_map(|item| match &item.work {
                Work::Command { prepared, .. } => Some((Slot(item.seat.slot), prepared)),
                _ => None,
            });
            self.engine.prefetch_entries(commands);
            if looks_for_members {
                self.prefetch_members(&self.batch, 0..self.batch.items.len(), &[]);
            }
        }
    }

    /// Brings near what commands of a batch look for in big collections; the bytes of those that an I/O thread parsed are in
    /// `carried`.
    pub(super) fn prefetch_members(&self, batch: &Batch, which: Range<usize>, carried: &[u8]) {
        let requests = batch.items[which].iter().filter_map(|item| {
            let Work::Command { prepared, spans } = &item.work else { return None };
            if prepared.member_arg == 0 || self.clients.get(item.seat.slot as usize)?.is_none() {
                return None;
            }
            if let Source::Deferred(_) = item.source {
                return None;
            }
            let base = base_of(&self.io, &self.clients, item, carried);
            let spans = &batch.spans[spans.start as usize..spans.end as usize];
            Some((Slot(item.seat.slot), prepared, Args::new(base, spans, &batch.blobs)))
        });
        self.engine.prefetch_members(requests);
    }

    /// Executes the batch.
    pub(super) fn execute(&mut self) {
        let mut batch = std::mem::take(&mut self.batch);
        let all = 0..batch.items.len();
        self.run(&batch, all, &[]);
        self.tidy_partials(&batch.partials);
        if self.engine.state.client_memory.is_on() {
            batch.items.iter().for_each(|item| self.account(item.seat.slot));
        }
        // Blobs that the keyspace kept must have it as their only owner.
        batch.clear();
        self.batch = batch;
    }

    /// Executes some commands of a batch, the bytes of those that an I/O thread parsed being in `carried`.
    pub(super) fn run(&mut self, batch: &Batch, which: Range<usize>, carried: &[u8]) {
        let items = &batch.items[which];
        self.turn_commands += items.len();
        let accounts = self.engine.state.client_memory.is_on();
        let mut current = u32::MAX;
        let mut start = self.reply().mark();
        // How many deferred commands of the current client went back to the front of its queue.
        let mut returned = 0;
        for (index, item) in items.iter().enumerate() {
            // Nothing runs behind SHUTDOWN.
            if self.shutdown.is_some() {
                break;
            }
            let slot = item.seat.slot;
            let Some(client) = self.clients[slot as usize].as_deref_mut() else { continue };
            if client.closing || client.conn != item.seat {
                continue;
            }
            let (home, waits) = (client.home, client.holds_back());
            if slot != current {
                self.note_written(current, start);
                self.home = home;
                current = slot;
                start = self.reply().mark();
                returned = 0;
            }
            // Behind commands that wait, others wait, too.
            let waits = waits || (matches!(item.source, Source::Carried(..)) && self.has_deferred(slot));
            if waits {
                returned += self.defer(batch, item, carried, returned);
                continue;
            }
            if let Source::Carried(at, _) = item.source
                && self.engine.session(Slot(slot)).transaction.is_some()
                && self.queues_too_much(batch, item, &carried[at as usize..])
            {
                continue;
            }
            start = self.perform(batch, item, carried, start);
            if accounts || self.reply().bytes_since(start) >= self.output_watch {
                let more = items.get(index + 1).is_some_and(|next| next.seat.slot == current);
                start = self.look_at_output(slot, start, more);
            }
            let ends = self.session_ends(slot);
            if !ends.is_empty() {
                if ends.intersects(SessionFlags::CLOSE_AFTER_REPLY | SessionFlags::CLOSE_ASAP) {
                    self.note_written(current, start);
                    current = u32::MAX;
                    self.end_session(slot);
                } else {
                    self.hold(slot);
                    if ends.contains(SessionFlags::POSTPONED) {
                        returned += self.defer(batch, item, carried, returned);
                    }
                }
            }
        }
        self.note_written(current, start);
        self.home = OWN;
    }

    /// Does what an item asks for. Returns where the client's output begins that is not noted yet.
    #[inline]
    fn perform(&mut self, batch: &Batch, item: &Item, carried: &[u8], mut start: Mark) -> Mark {
        let slot = item.seat.slot;
        match &item.work {
            Work::Command { prepared, spans } => {
                if prepared.verdict == Verdict::Shows {
                    start = self.show_clients(item, prepared, start);
                }
                let base = base_of(&self.io, &self.clients, item, carried);
                let spans = &batch.spans[spans.start as usize..spans.end as usize];
                let request = || match item.source {
                    Source::Deferred(at) => batch.deferred[at as usize].args.as_args(),
                    _ => Args::new(base, spans, &batch.blobs),
                };
                self.engine.execute(Slot(slot), prepared, request, &mut self.outs[self.home].reply);
                if self.engine.state.effects.any() {
                    start = self.apply_effects(slot, start);
                }
            }
            Work::Fail(error) => self.protocol_error(slot, *error),
        }
        start
    }

    /// A command ran whose output has to be looked at before the next one runs. `more`: that is of the same client. Returns
    /// where the output begins that is not noted yet.
    #[cold]
    fn look_at_output(&mut self, slot: u32, start: Mark, more: bool) -> Mark {
        let mut written = Unsent::default();
        written.add(self.reply().copied_since(start), self.reply().bytes_since(start));
        if self.engine.state.client_memory.is_on() || self.is_over_limit(slot, written) {
            self.note_written(slot, start);
            self.check_unsent(slot, Unsent::default());
            self.account(slot);
            return self.reply().mark();
        }
        if let Some(client) = self.clients[slot as usize].as_deref_mut()
            && more
            && client.unsent.bytes() + written.bytes() >= STALL_BYTES
        {
            client.wire.stalled = true;
        }
        start
    }

    /// The next command shows what clients have in their buffers: has every session know it. Returns where its reply begins.
    #[cold]
    fn show_clients(&mut self, item: &Item, prepared: &Prepared, start: Mark) -> Mark {
        let slot = item.seat.slot;
        if !self.engine.shows_clients(Slot(slot), prepared) {
            return start;
        }
        self.note_written(slot, start);
        self.mirror_clients();
        let received = match item.source {
            Source::Received(received) => received.len(),
            Source::Partial => partial_bytes(&self.clients, slot).len(),
            Source::Carried(_, len) => len as usize,
            Source::Deferred(_) => 0,
        };
        let start = self.reply().mark();
        let net = &mut self.engine.session_mut(Slot(slot)).net;
        net.received = received;
        net.reply_start = Some(start);
        start
    }

    /// The client is blocked now, or its session is over: nothing more of it is executed.
    #[cold]
    pub(super) fn hold(&mut self, slot: u32) {
        let Some(client) = self.clients[slot as usize].as_deref_mut() else { return };
        client.blocked = true;
        self.order_hold(slot, true);
    }

    /// A command that an I/O thread received is to be queued: closes the client where it is too much.
    #[cold]
    fn queues_too_much(&mut self, batch: &Batch, item: &Item, base: &[u8]) -> bool {
        let Work::Command { spans, .. } = &item.work else { return false };
        let spans = &batch.spans[spans.start as usize..spans.end as usize];
        let held = Args::new(base, spans, &batch.blobs).bytes_total();
        let over = self.over_query_limit(item.seat.slot, held);
        if over {
            self.close_for_query_buffer(item.seat.slot);
        }
        over
    }

    /// Whether commands of the client wait.
    #[inline]
    fn has_deferred(&self, slot: u32) -> bool {
        self.clients[slot as usize].as_deref().is_some_and(|client| !client.deferred.is_empty())
    }

    /// Keeps a parsed command for when the client's output has drained, or it is blocked no longer. One that had been kept
    /// before goes back to the front, behind the `returned` others of this batch: more of them may be waiting. 1 if it was
    /// such a one, else 0.
    #[cold]
    fn defer(&mut self, batch: &Batch, item: &Item, carried: &[u8], returned: usize) -> usize {
        let slot = item.seat.slot as usize;
        let client = self.clients[slot].as_deref_mut().expect("the caller looked");
        let (prepared, spans) = match &item.work {
            Work::Command { prepared, spans } => (prepared, spans),
            Work::Fail(error) => {
                client.failure = Some(*error);
                return 0;
            }
        };
        if let Source::Deferred(at) = item.source {
            client.deferred.insert(returned, (*prepared, batch.deferred[at as usize].clone()));
            return 1;
        }
        let base = base_of(&self.io, &self.clients, item, carried);
        let spans = &batch.spans[spans.start as usize..spans.end as usize];
        let args = Args::new(base, spans, &batch.blobs);
        let kept = Kept { args: OwnedArgs::from_args(args), request_bytes: args.request_bytes() };
        let client = self.clients[slot].as_deref_mut().expect("the caller looked");
        client.deferred.push_back((*prepared, kept));
        0
    }

    /// The replies that clients of the current home get.
    #[inline]
    pub(super) fn reply(&mut self) -> &mut Reply {
        &mut self.outs[self.home].reply
    }

    /// Notes that the client wrote everything in its home's replies from `start` on.
    #[inline]
    pub(super) fn note_written(&mut self, slot: u32, start: Mark) {
        let Out { reply, touched } = &mut self.outs[self.home];
        let (copied, bytes) = (reply.copied_since(start), reply.bytes_since(start));
        let (start, end) = (start.position(), reply.position());
        if end == start || slot == u32::MAX {
            return;
        }
        if let Some(client) = self.clients[slot as usize].as_deref_mut() {
            if client.wire.written.is_empty() {
                touched.push(slot);
            }
            client.wire.written.push(start..end);
            client.unsent.add(copied, bytes);
        }
    }

    /// Cuts executed commands off the private buffers, and receives big arguments directly from the next turn on: a
    /// receive armed right here would empty the buffers before those of others.
    fn tidy_partials(&mut self, partials: &[u32]) {
        for &slot in partials {
            let Some(client) = self.clients[slot as usize].as_deref_mut() else { continue };
            client.wire.tidy_partial();
            // Whole commands that wait for their turn are no command that is too long.
            let waits = client.wire.parked && client.has_work();
            let (conn, held) = (client.conn, client.buffered_bytes());
            self.account(slot);
            if !waits && self.over_query_limit(slot, held) {
                self.close_for_query_buffer(slot);
            } else {
                self.to_rearm.push(conn);
            }
        }
    }
}

/// Where the bytes of a command are; those that an I/O thread parsed are in `carried`. One that was kept has its own.
#[inline]
fn base_of<'a, I: Io>(io: &'a I, clients: &'a [Option<Box<Client>>], item: &Item, carried: &'a [u8]) -> &'a [u8] {
    match item.source {
        Source::Received(received) => io.bytes(received),
        Source::Partial => partial_bytes(clients, item.seat.slot),
        Source::Carried(at, _) => &carried[at as usize..],
        Source::Deferred(_) => &[],
    }
}

fn partial_bytes(clients: &[Option<Box<Client>>], slot: u32) -> &[u8] {
    match clients[slot as usize].as_deref().and_then(|client| client.wire.partial.as_deref()) {
        Some(partial) => &partial.buf,
        None => &[],
    }
}
