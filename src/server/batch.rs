//! HOT PATH. Bytes to commands to replies: gather what ready clients sent into a batch, look all of it up, prefetch the
//! keys, then execute. A client is served in turns of at most one batch, so that a long pipeline delays nobody.

#![forbid(unsafe_code)]

use std::ops::Range;

use bytes::Bytes;

use crate::command::prepared::{Prepared, Verdict};
use crate::command::reply_buffer::Unsent;
use crate::command::session::{SessionFlags, Slot};
use crate::io::{Io, Received};
use crate::resp::args::{Args, OwnedArgs, Span};
use crate::resp::parse::{Limits, ProtocolError, Step};
use crate::resp::reply::Mark;
use crate::server::client::{Blob, Client, Partial};
use crate::server::event_loop::Server;
use crate::server::output::UNAUTHENTICATED_OUTPUT_MAX;

/// Most commands of one batch: their keys' cache lines fit the first-level cache.
pub(super) const BATCH_COMMANDS_MAX: usize = 64;
/// Output waiting for one client, in bytes, at which its commands wait until the socket has taken some.
pub(super) const STALL_BYTES: usize = 16 << 20;
/// Input of such a client, in bytes, that is kept for it meanwhile: one that writes first and reads later does not wait for
/// itself before that. Beyond it is not read from.
pub(super) const STALLED_INPUT_BYTES: usize = 32 << 20;

/// Where the bytes of a command are.
enum Source {
    Received(Received),
    Partial,
    Owned(Box<OwnedArgs>),
}

/// What is to be done.
enum Work {
    Command { prepared: Prepared, spans: Range<u32> },
    Fail(ProtocolError),
}

struct Item {
    slot: u32,
    source: Source,
    work: Work,
}

/// Commands that are executed together.
#[derive(Default)]
pub(super) struct Batch {
    items: Vec<Item>,
    spans: Vec<Span>,
    blobs: Vec<Bytes>,
    /// Clients whose unfinished command moved on: their buffers are tidied after execution.
    partials: Vec<u32>,
}

impl Batch {
    fn clear(&mut self) {
        self.items.clear();
        self.spans.clear();
        self.blobs.clear();
        self.partials.clear();
    }

    fn is_full(&self) -> bool {
        self.items.len() >= BATCH_COMMANDS_MAX
    }
}

/// How the gathering from one client ended.
#[derive(PartialEq, Eq)]
enum Gathered {
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
                stash(client, &self.io);
                self.unpark(slot);
                self.account(slot);
                continue;
            }
            let parked = client.parked;
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
        if !authenticated && unsent > UNAUTHENTICATED_OUTPUT_MAX && self.close_unauthenticated(slot) {
            return Gathered::Failed;
        }
        let client = self.clients[slot as usize].as_deref_mut().expect("a ready client exists");
        let batch = &mut self.batch;
        while let Some((prepared, args)) = client.deferred.pop_front() {
            let work = Work::Command { prepared, spans: 0..0 };
            batch.items.push(Item { slot, source: Source::Owned(Box::new(args)), work });
            if batch.is_full() {
                return Gathered::More;
            }
        }
        if let Some(error) = client.failure.take() {
            batch.items.push(Item { slot, source: Source::Partial, work: Work::Fail(error) });
            return Gathered::Failed;
        }
        if client.partial.as_ref().is_some_and(|partial| partial.fresh) {
            match gather_partial(client, &limits, batch) {
                Gathered::All => {}
                other => return other,
            }
        }
        while let Some(received) = client.inbox.first().copied() {
            let bytes = self.io.bytes(received);
            if client.partial.is_some() {
                client.inbox.remove(0);
                client.append(bytes);
                match gather_partial(client, &limits, batch) {
                    Gathered::All => continue,
                    other => return other,
                }
            }
            match gather_in_place(client, received, bytes, &limits, batch) {
                Gathered::All => {
                    client.inbox.remove(0);
                }
                Gathered::More => return Gathered::More,
                Gathered::Failed => {
                    // Nothing behind the error is ever read, and the Io side wants its buffers back.
                    client.inbox.clear();
                    return Gathered::Failed;
                }
            }
        }
        Gathered::All
    }

    /// Looks the batch up and touches the memory that it is going to need.
    #[inline]
    fn prepare(&mut self) {
        let Batch { items, spans, blobs, .. } = &mut self.batch;
        for item in items.iter_mut() {
            let Work::Command { prepared, spans: range } = &mut item.work else { continue };
            let base = match &item.source {
                Source::Received(received) => self.io.bytes(*received),
                Source::Partial => partial_bytes(&self.clients, item.slot),
                // Looked up when it was deferred.
                Source::Owned(_) => continue,
            };
            let args = Args::new(base, &spans[range.start as usize..range.end as usize], blobs);
            *prepared = self.engine.prepare(args);
            self.engine.prefetch_bucket(Slot(item.slot), prepared);
        }
        if items.len() > 1 {
            for item in items.iter() {
                if let Work::Command { prepared, .. } = &item.work {
                    self.engine.prefetch_entry(Slot(item.slot), prepared);
                }
            }
        }
    }

    /// Executes the batch.
    pub(super) fn execute(&mut self) {
        let items = std::mem::take(&mut self.batch.items);
        self.turn_commands += items.len();
        let accounts = self.engine.state.client_memory.is_on();
        let mut current = u32::MAX;
        let mut start = self.reply.mark();
        // How many deferred commands of the current client went back to the front of its queue.
        let mut returned = 0;
        for (index, item) in items.iter().enumerate() {
            // Nothing runs behind SHUTDOWN.
            if self.shutdown.is_some() {
                break;
            }
            if item.slot != current {
                self.note_written(current, start);
                current = item.slot;
                start = self.reply.mark();
                returned = 0;
            }
            let Some(client) = self.clients[item.slot as usize].as_deref_mut() else { continue };
            if client.closing {
                continue;
            }
            if client.holds_back() {
                returned += self.defer(item, returned);
                continue;
            }
            match &item.work {
                Work::Command { prepared, spans } => {
                    if prepared.verdict == Verdict::Shows {
                        start = self.show_clients(item, prepared, start);
                    }
                    let base = match &item.source {
                        Source::Received(received) => self.io.bytes(*received),
                        Source::Partial => partial_bytes(&self.clients, item.slot),
                        Source::Owned(_) => &[],
                    };
                    let spans = &self.batch.spans[spans.start as usize..spans.end as usize];
                    let request = || match &item.source {
                        Source::Owned(args) => args.as_args(),
                        _ => Args::new(base, spans, &self.batch.blobs),
                    };
                    self.engine.execute(Slot(item.slot), prepared, request, &mut self.reply);
                    if self.engine.state.effects.any() {
                        start = self.apply_effects(item.slot, start);
                    }
                }
                Work::Fail(error) => self.protocol_error(item.slot, *error),
            }
            if accounts || self.reply.bytes_since(start) >= self.output_watch {
                let more = items.get(index + 1).is_some_and(|next| next.slot == current);
                start = self.look_at_output(item.slot, start, more);
            }
            let ends = self.session_ends(item.slot);
            if !ends.is_empty() {
                if ends.intersects(SessionFlags::CLOSE_AFTER_REPLY | SessionFlags::CLOSE_ASAP) {
                    self.note_written(current, start);
                    current = u32::MAX;
                    self.close_after_output(item.slot);
                } else {
                    returned += self.hold_back(item, returned, ends.contains(SessionFlags::POSTPONED));
                }
            }
        }
        self.note_written(current, start);
        self.tidy_partials();
        if accounts {
            items.iter().for_each(|item| self.account(item.slot));
        }
        self.batch.items = items;
        // Blobs that the keyspace kept must have it as their only owner.
        self.batch.clear();
    }

    /// A command ran whose output has to be looked at before the next one runs. `more`: that is of the same client. Returns
    /// where the output begins that is not noted yet.
    #[cold]
    fn look_at_output(&mut self, slot: u32, start: Mark, more: bool) -> Mark {
        let mut written = Unsent::default();
        written.add(self.reply.position() - start.position(), self.reply.bytes_since(start));
        if self.engine.state.client_memory.is_on() || self.is_over_limit(slot, written) {
            self.note_written(slot, start);
            self.check_unsent(slot);
            self.account(slot);
            return self.reply.mark();
        }
        if let Some(client) = self.clients[slot as usize].as_deref_mut()
            && more
            && client.unsent.bytes() + written.bytes() >= STALL_BYTES
        {
            client.stalled = true;
        }
        start
    }

    /// The next command shows what clients have in their buffers: has every session know it. Returns where its reply begins.
    #[cold]
    fn show_clients(&mut self, item: &Item, prepared: &Prepared, start: Mark) -> Mark {
        if !self.engine.shows_clients(Slot(item.slot), prepared) {
            return start;
        }
        self.note_written(item.slot, start);
        self.mirror_clients();
        let received = match &item.source {
            Source::Received(received) => received.len(),
            Source::Partial => partial_bytes(&self.clients, item.slot).len(),
            Source::Owned(_) => 0,
        };
        let start = self.reply.mark();
        let net = &mut self.engine.session_mut(Slot(item.slot)).net;
        net.received = received;
        net.reply_start = Some(start);
        start
    }

    /// The client is blocked now: nothing more of it is executed. `again`: this command neither, it runs when the client
    /// is unblocked. Returns what [`Server::defer`] does.
    #[cold]
    fn hold_back(&mut self, item: &Item, returned: usize, again: bool) -> usize {
        let Some(client) = self.clients[item.slot as usize].as_deref_mut() else { return 0 };
        client.blocked = true;
        if again { self.defer(item, returned) } else { 0 }
    }

    /// Keeps a parsed command for when the client's output has drained. One that had been kept before goes back to the
    /// front, behind the `returned` others of this batch: more of them may be waiting. 1 if it was such a one, else 0.
    #[cold]
    fn defer(&mut self, item: &Item, returned: usize) -> usize {
        let client = self.clients[item.slot as usize].as_deref_mut().expect("the caller looked");
        let (prepared, spans) = match &item.work {
            Work::Command { prepared, spans } => (prepared, spans),
            Work::Fail(error) => {
                client.failure = Some(*error);
                return 0;
            }
        };
        let kept_before = matches!(item.source, Source::Owned(_));
        let args = match &item.source {
            Source::Owned(args) => (**args).clone(),
            source => {
                let base = match source {
                    Source::Received(received) => self.io.bytes(*received),
                    _ => partial_bytes(&self.clients, item.slot),
                };
                let spans = &self.batch.spans[spans.start as usize..spans.end as usize];
                OwnedArgs::from_args(Args::new(base, spans, &self.batch.blobs))
            }
        };
        let client = self.clients[item.slot as usize].as_deref_mut().expect("the caller looked");
        if kept_before {
            client.deferred.insert(returned, (*prepared, args));
        } else {
            client.deferred.push_back((*prepared, args));
        }
        usize::from(kept_before)
    }

    /// Notes that the client wrote everything in the slab from `start` on.
    #[inline]
    pub(super) fn note_written(&mut self, slot: u32, start: Mark) {
        let bytes = self.reply.bytes_since(start);
        let (start, end) = (start.position(), self.reply.position());
        if end == start || slot == u32::MAX {
            return;
        }
        if let Some(client) = self.clients[slot as usize].as_deref_mut() {
            if client.written.is_empty() {
                self.touched.push(slot);
            }
            client.written.push(start..end);
            client.unsent.add(end - start, bytes);
        }
    }

    /// Cuts executed commands off the private buffers, and receives big arguments directly from the next turn on: a
    /// receive armed right here would empty the buffers before those of others.
    fn tidy_partials(&mut self) {
        for index in 0..self.batch.partials.len() {
            let slot = self.batch.partials[index];
            let Some(client) = self.clients[slot as usize].as_deref_mut() else { continue };
            client.tidy_partial();
            // Whole commands that wait for their turn are no command that is too long.
            let waits = client.parked && client.has_work();
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

fn partial_bytes(clients: &[Option<Box<Client>>], slot: u32) -> &[u8] {
    match clients[slot as usize].as_deref().and_then(|client| client.partial.as_deref()) {
        Some(partial) => &partial.buf,
        None => &[],
    }
}

/// A client whose commands have to wait keeps its bytes in a buffer of its own: the Io side wants its buffers back.
#[cold]
pub(super) fn stash<I: Io>(client: &mut Client, io: &I) {
    for received in std::mem::take(&mut client.inbox) {
        let parsed = if client.partial.is_none() { client.parser.position() } else { 0 };
        client.parser.rebase(parsed);
        client.keep_for_later(&io.bytes(received)[parsed..]);
    }
}

/// Parses commands where they were received. An unfinished one at the end becomes the client's partial.
#[inline]
fn gather_in_place(
    client: &mut Client,
    received: Received,
    bytes: &[u8],
    limits: &Limits,
    batch: &mut Batch,
) -> Gathered {
    loop {
        let first = batch.spans.len();
        match client.parser.next(bytes, limits, &mut batch.spans, &mut batch.blobs) {
            Step::Command => {
                let spans = first as u32..batch.spans.len() as u32;
                let work = Work::Command { prepared: Prepared::BLANK, spans };
                batch.items.push(Item { slot: client.conn.slot, source: Source::Received(received), work });
                if client.parser.position() == bytes.len() {
                    client.parser.rebase(bytes.len());
                    return Gathered::All;
                }
                if batch.is_full() || !limits.authenticated {
                    return Gathered::More;
                }
            }
            Step::Failed(error) => {
                let work = Work::Fail(error);
                batch.items.push(Item { slot: client.conn.slot, source: Source::Received(received), work });
                return Gathered::Failed;
            }
            step @ (Step::NeedMore | Step::NeedBlob { .. }) => {
                client.keep_unfinished(bytes, first, step, batch);
                return Gathered::All;
            }
        }
    }
}

/// Parses commands in the client's own buffer.
fn gather_partial(client: &mut Client, limits: &Limits, batch: &mut Batch) -> Gathered {
    let slot = client.conn.slot;
    if batch.partials.last() != Some(&slot) {
        batch.partials.push(slot);
    }
    let Client { parser, partial, .. } = client;
    let Some(partial) = partial.as_deref_mut() else { return Gathered::All };
    partial.take_blob(parser);
    if partial.blob.is_some() {
        partial.fresh = false;
        return Gathered::All;
    }
    loop {
        match parser.next(&partial.buf, limits, &mut partial.spans, &mut partial.blobs) {
            Step::Command => {
                let first = batch.spans.len() as u32;
                partial.move_spans(batch);
                let work = Work::Command { prepared: Prepared::BLANK, spans: first..batch.spans.len() as u32 };
                batch.items.push(Item { slot, source: Source::Partial, work });
                if batch.is_full() || !limits.authenticated {
                    return Gathered::More;
                }
            }
            Step::Failed(error) => {
                batch.items.push(Item { slot, source: Source::Partial, work: Work::Fail(error) });
                return Gathered::Failed;
            }
            Step::NeedMore => {
                partial.fresh = false;
                return Gathered::All;
            }
            Step::NeedBlob { len } => {
                partial.start_blob(parser.position(), len);
                partial.fresh = false;
                return Gathered::All;
            }
        }
    }
}

impl Client {
    /// Moves the unfinished rest of a received buffer, with what was parsed of it, into a buffer of the client's own.
    #[cold]
    fn keep_unfinished(&mut self, bytes: &[u8], first_span: usize, step: Step, batch: &mut Batch) {
        let start = self.parser.command_start();
        let mut partial = Box::new(Partial::default());
        partial.buf.extend_from_slice(&bytes[start..]);
        partial.spans.extend(batch.spans.drain(first_span..).map(|span| span.shifted_down(start)));
        self.parser.rebase(start);
        if let Step::NeedBlob { len } = step {
            partial.start_blob(self.parser.position(), len);
        }
        if !partial.buf.is_empty() {
            let slot = self.conn.slot;
            self.partial = Some(partial);
            batch.partials.push(slot);
        }
    }

    /// Keeps bytes that must not be parsed yet.
    pub(super) fn keep_for_later(&mut self, bytes: &[u8]) {
        self.partial.get_or_insert_default();
        self.append(bytes);
    }

    /// Takes bytes that follow an unfinished command.
    fn append(&mut self, bytes: &[u8]) {
        let partial = self.partial.as_deref_mut().expect("the caller saw an unfinished command");
        let rest = match &mut partial.blob {
            Some(blob) => blob.take_from(bytes),
            None => bytes,
        };
        partial.buf.extend_from_slice(rest);
        partial.fresh = true;
    }

    /// Cuts what was executed off the front of the buffer, once it is half of it, so that a long one behind a client that
    /// waited is not moved for every batch; gives the buffer up when nothing is left.
    fn tidy_partial(&mut self) {
        let done = self.executed_bytes();
        let Client { parser, partial, .. } = self;
        let Some(unfinished) = partial.as_deref_mut() else { return };
        if done > 0 && done >= unfinished.buf.len() / 2 {
            unfinished.buf.drain(..done);
            parser.rebase(done);
            for span in &mut unfinished.spans {
                *span = span.shifted_down(done);
            }
        }
        if unfinished.buf.is_empty() && parser.is_idle() && unfinished.blob.is_none() {
            *partial = None;
        }
    }

    /// Bytes at the front of the private buffer that nobody needs any more.
    fn executed_bytes(&self) -> usize {
        if self.parser.is_idle() { self.parser.position() } else { self.parser.command_start() }
    }

    /// Bytes that this client makes us hold before they are a command.
    pub(super) fn buffered_bytes(&self) -> usize {
        let partial = self.partial.as_deref().map_or(0, |partial| {
            let blob = partial.blob.as_ref().map_or(0, |blob| blob.held().0);
            partial.buf.len().saturating_sub(self.executed_bytes())
                + blob
                + partial.blobs.iter().map(Bytes::len).sum::<usize>()
        });
        partial + self.deferred.iter().map(|(_, args)| args.as_args().bytes_total()).sum::<usize>()
    }
}

impl Partial {
    /// Gives the arguments of a complete command to the batch.
    fn move_spans(&mut self, batch: &mut Batch) {
        let shift = batch.blobs.len();
        batch.spans.extend(self.spans.drain(..).map(|span| match span.blob() {
            Some(blob) => Span::in_blob(blob + shift),
            None => span,
        }));
        batch.blobs.append(&mut self.blobs);
    }

    /// A big argument begins at `position`: what is there of it moves into its final allocation.
    fn start_blob(&mut self, position: usize, len: usize) {
        let mut bytes = Vec::new();
        // A length that cannot be allocated is the peer's word only: the memory then grows with what really comes.
        if bytes.try_reserve_exact(len).is_err() {
            bytes = Vec::new();
        }
        let mut blob = Blob::new(bytes, len);
        let rest = self.buf.split_off(position);
        let behind = blob.take_from(&rest);
        self.buf.extend_from_slice(behind);
        // What came with the head of the argument is gone from it.
        self.buf.shrink_to_fit();
        self.blob = Some(blob);
    }

    /// Hands a complete big argument to the parser.
    fn take_blob(&mut self, parser: &mut crate::resp::parse::Parser) {
        if self.blob.as_ref().is_some_and(|blob| blob.missing() == 0)
            && let Some(blob) = self.blob.take()
        {
            parser.blob_received(Bytes::from(blob.bytes), &mut self.spans, &mut self.blobs);
        }
    }
}
