//! HOT PATH. Bytes of a wire to commands of a batch: parsed where they were received, but for an unfinished command at the
//! end, which moves to a buffer of the wire's own.

#![forbid(unsafe_code)]

use bytes::Bytes;

use crate::io::{ConnId, Io};
use crate::resp::args::{Args, Span};
use crate::resp::parse::{Limits, Parser, Step};
use crate::server::batch::{Batch, Gathered, Source};
use crate::server::wire::{Reading, Wire};

/// Free room of a query buffer, in bytes, that is not worth giving up.
const ROOM_KEPT: usize = 4096;

/// What a wire has in input that was not executed.
#[derive(Clone, Copy, Default)]
pub struct Figures {
    /// Bytes that are no arguments yet.
    pub waiting: usize,
    /// Free bytes of its buffers.
    pub room: usize,
    /// Arguments of its unfinished command.
    pub arguments: usize,
    /// Bytes of those.
    pub argument_bytes: usize,
}

/// An unfinished command, and bytes behind it that could not be parsed yet.
#[derive(Default)]
pub struct Partial {
    /// The bytes, from the start of the command.
    pub buf: Vec<u8>,
    /// Arguments found so far.
    pub spans: Vec<Span>,
    /// Those of them that are blobs.
    pub blobs: Vec<Bytes>,
    /// The big argument that is being received.
    pub blob: Option<Blob>,
    /// Bytes came that the parser has not seen.
    pub fresh: bool,
}

/// A big argument on its way into its final allocation.
pub struct Blob {
    /// What has arrived; empty while the memory is lent to the Io side.
    pub bytes: Vec<u8>,
    /// How long it will be.
    pub len: usize,
    /// Length and capacity of what is lent.
    lent: Option<(usize, usize)>,
}

impl Blob {
    /// An argument of `len` bytes that arrive in `bytes`.
    pub fn new(bytes: Vec<u8>, len: usize) -> Blob {
        Blob { bytes, len, lent: None }
    }

    /// The memory, to receive into it.
    pub fn lend(&mut self) -> Vec<u8> {
        self.lent = Some((self.bytes.len(), self.bytes.capacity()));
        std::mem::take(&mut self.bytes)
    }

    /// The memory is back. Returns how much has arrived in it.
    pub fn take_back(&mut self, bytes: Vec<u8>) -> usize {
        let (before, _) = self.lent.take().unwrap_or((0, 0));
        self.bytes = bytes;
        self.bytes.len().saturating_sub(before)
    }

    /// Whether the Io side has it.
    pub fn is_lent(&self) -> bool {
        self.lent.is_some()
    }

    /// Bytes that were there when it was last looked at, and room for them.
    pub fn held(&self) -> (usize, usize) {
        self.lent.unwrap_or((self.bytes.len(), self.bytes.capacity()))
    }

    /// Bytes still to come.
    pub fn missing(&self) -> usize {
        self.len - self.bytes.len()
    }

    /// Takes what belongs to it from the front of `bytes`; returns the rest.
    pub fn take_from<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let (mine, rest) = bytes.split_at(bytes.len().min(self.missing()));
        self.bytes.extend_from_slice(mine);
        rest
    }
}

/// A client whose commands have to wait keeps its bytes in a buffer of its own: the Io side wants its buffers back.
#[cold]
pub fn stash<I: Io>(wire: &mut Wire, io: &I) {
    for received in std::mem::take(&mut wire.inbox) {
        let parsed = if wire.partial.is_none() { wire.parser.position() } else { 0 };
        wire.parser.rebase(parsed);
        wire.keep_for_later(&io.bytes(received)[parsed..]);
    }
}

impl Wire {
    /// Parses what arrived into commands of the client at `seat`.
    #[inline]
    pub(in crate::server) fn gather<I: Io>(
        &mut self,
        seat: ConnId,
        io: &I,
        limits: &Limits,
        batch: &mut Batch,
    ) -> Gathered {
        let own = Place { seat, source: Source::Partial };
        if self.partial.as_ref().is_some_and(|partial| partial.fresh) {
            match gather_partial(self, own, limits, batch) {
                Gathered::All => {}
                other => return other,
            }
        }
        while let Some(received) = self.inbox.first().copied() {
            let bytes = io.bytes(received);
            if self.partial.is_some() {
                self.inbox.remove(0);
                self.append(bytes);
                match gather_partial(self, own, limits, batch) {
                    Gathered::All => continue,
                    other => return other,
                }
            }
            match gather_in_place(self, Place { seat, source: Source::Received(received) }, bytes, limits, batch) {
                Gathered::All => {
                    self.inbox.remove(0);
                }
                other => return other,
            }
        }
        Gathered::All
    }
}

/// For an I/O thread, whose buffers the main thread does not see.
impl Wire {
    /// Parses what arrived into commands of the client at `seat`, and copies their bytes to `carried`. What is left when
    /// the batch is full moves to the wire's own buffer.
    pub(in crate::server) fn carry<I: Io>(
        &mut self,
        seat: ConnId,
        io: &I,
        limits: &Limits,
        batch: &mut Batch,
        carried: &mut Vec<u8>,
    ) -> Gathered {
        if self.partial.as_ref().is_some_and(|partial| partial.fresh) {
            match self.carry_partial(seat, limits, batch, carried) {
                Gathered::All => {}
                other => return other,
            }
        }
        while !self.inbox.is_empty() {
            let bytes = io.bytes(self.inbox.remove(0));
            let gathered = if self.partial.is_some() {
                self.append(bytes);
                self.carry_partial(seat, limits, batch, carried)
            } else {
                let source = Source::Carried(carried.len() as u32, bytes.len() as u32);
                let before = batch.items.len();
                let gathered = gather_in_place(self, Place { seat, source }, bytes, limits, batch);
                if batch.items.len() > before {
                    carried.extend_from_slice(bytes);
                }
                if gathered == Gathered::More {
                    let parsed = self.parser.position();
                    self.parser.rebase(parsed);
                    self.keep_for_later(&bytes[parsed..]);
                }
                gathered
            };
            match gathered {
                Gathered::All => {}
                Gathered::More => return Gathered::More,
                Gathered::Failed => {
                    self.end_parsing();
                    return Gathered::Failed;
                }
            }
        }
        Gathered::All
    }

    fn carry_partial(&mut self, seat: ConnId, limits: &Limits, batch: &mut Batch, carried: &mut Vec<u8>) -> Gathered {
        let (start, first_span, before) = (self.executed_bytes(), batch.spans.len(), batch.items.len());
        let len = self.partial.as_deref().map_or(0, |partial| partial.buf.len() as u32);
        let place = Place { seat, source: Source::Carried(carried.len() as u32, len) };
        let gathered = gather_partial(self, place, limits, batch);
        if batch.items.len() > before {
            let end = self.executed_bytes();
            if let Some(partial) = self.partial.as_deref() {
                carried.extend_from_slice(&partial.buf[start..end]);
            }
            batch.spans[first_span..].iter_mut().for_each(|span| *span = span.shifted_down(start));
            self.tidy_partial();
        }
        gathered
    }
}

/// Whose commands are parsed, and where they lie.
#[derive(Clone, Copy)]
struct Place {
    seat: ConnId,
    source: Source,
}

/// Parses commands where they were received. An unfinished one at the end becomes the wire's partial.
#[inline]
fn gather_in_place(wire: &mut Wire, place: Place, bytes: &[u8], limits: &Limits, batch: &mut Batch) -> Gathered {
    loop {
        let first = batch.spans.len();
        match wire.parser.next(bytes, limits, &mut batch.spans, &mut batch.blobs) {
            Step::Command => {
                batch.push_command(place.seat, place.source, first);
                if wire.parser.position() == bytes.len() {
                    wire.parser.rebase(bytes.len());
                    return Gathered::All;
                }
                if batch.is_full() || !limits.authenticated {
                    return Gathered::More;
                }
            }
            Step::Failed(error) => {
                batch.push_failure(place.seat, place.source, error);
                return Gathered::Failed;
            }
            step @ (Step::NeedMore | Step::NeedBlob { .. }) => {
                wire.keep_unfinished(place.seat.slot, bytes, first, step, batch);
                return Gathered::All;
            }
        }
    }
}

/// Parses commands in the wire's own buffer.
fn gather_partial(wire: &mut Wire, place: Place, limits: &Limits, batch: &mut Batch) -> Gathered {
    if batch.partials.last() != Some(&place.seat.slot) {
        batch.partials.push(place.seat.slot);
    }
    let Wire { parser, partial, .. } = wire;
    let Some(partial) = partial.as_deref_mut() else { return Gathered::All };
    partial.take_blob(parser);
    if partial.blob.is_some() {
        partial.fresh = false;
        return Gathered::All;
    }
    loop {
        match parser.next(&partial.buf, limits, &mut partial.spans, &mut partial.blobs) {
            Step::Command => {
                let first = batch.spans.len();
                partial.move_spans(batch);
                batch.push_command(place.seat, place.source, first);
                if batch.is_full() || !limits.authenticated {
                    return Gathered::More;
                }
            }
            Step::Failed(error) => {
                batch.push_failure(place.seat, place.source, error);
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

impl Wire {
    /// Moves the unfinished rest of a received buffer, with what was parsed of it, into a buffer of the wire's own.
    #[cold]
    fn keep_unfinished(&mut self, slot: u32, bytes: &[u8], first_span: usize, step: Step, batch: &mut Batch) {
        let start = self.parser.command_start();
        let mut partial = Box::new(Partial::default());
        partial.buf.extend_from_slice(&bytes[start..]);
        partial.spans.extend(batch.spans.drain(first_span..).map(|span| span.shifted_down(start)));
        self.parser.rebase(start);
        if let Step::NeedBlob { len } = step {
            partial.start_blob(self.parser.position(), len);
        }
        if !partial.buf.is_empty() {
            self.partial = Some(partial);
            batch.partials.push(slot);
        }
    }

    /// Behind a protocol error nothing is ever parsed: what was received with it goes back to the Io side.
    #[cold]
    pub(in crate::server) fn end_parsing(&mut self) {
        self.inbox.clear();
        if self.partial.is_none() {
            // Its place is one in those bytes.
            self.parser = Parser::new();
        }
    }

    /// Keeps bytes that must not be parsed yet.
    pub fn keep_for_later(&mut self, bytes: &[u8]) {
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
    pub fn tidy_partial(&mut self) {
        let done = self.executed_bytes();
        let Wire { parser, partial, .. } = self;
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

    /// Bytes that it makes us hold before they are a command.
    pub fn buffered_bytes(&self) -> usize {
        self.partial.as_deref().map_or(0, |partial| {
            let blob = partial.blob.as_ref().map_or(0, |blob| blob.held().0);
            partial.buf.len().saturating_sub(self.executed_bytes())
                + blob
                + partial.blobs.iter().map(Bytes::len).sum::<usize>()
        })
    }

    /// A big argument, or a part of it, arrived in its place. Returns how much, or None where nobody waits for it.
    pub fn received_into(&mut self, bytes: Vec<u8>) -> Option<usize> {
        self.reading = Reading::Idle;
        let partial = self.partial.as_deref_mut()?;
        let blob = partial.blob.as_mut()?;
        let arrived = blob.take_back(bytes);
        partial.fresh |= blob.missing() == 0;
        Some(arrived)
    }

    /// What it has in input.
    pub fn input(&self) -> Figures {
        let Some(partial) = self.partial.as_deref() else { return Figures::default() };
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
        Figures { waiting: waiting + unended, room, arguments, argument_bytes }
    }

    /// The first of its bytes that are no arguments yet.
    pub fn unparsed(&self) -> &[u8] {
        let Some(partial) = self.partial.as_deref() else { return &[] };
        match &partial.blob {
            Some(blob) => &blob.bytes,
            None => &partial.buf[self.parser.position().min(partial.buf.len())..],
        }
    }

    /// It has sent nothing for a while: gives room up that its buffer does not need now. A big argument keeps its own.
    pub fn give_up_room(&mut self) {
        if let Some(partial) = self.partial.as_deref_mut()
            && partial.buf.capacity() - partial.buf.len() > ROOM_KEPT
        {
            partial.buf.shrink_to_fit();
        }
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
    fn take_blob(&mut self, parser: &mut Parser) {
        if self.blob.as_ref().is_some_and(|blob| blob.missing() == 0)
            && let Some(blob) = self.blob.take()
        {
            parser.blob_received(Bytes::from(blob.bytes), &mut self.spans, &mut self.blobs);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blob_takes_only_its_own_bytes() {
        let mut blob = Blob::new(Vec::with_capacity(4), 4);
        assert_eq!(blob.take_from(b"ab"), b"");
        assert_eq!(blob.missing(), 2);
        let mut lent = blob.lend();
        assert_eq!((blob.bytes.len(), blob.held()), (0, (2, 4)));
        lent.push(b'c');
        assert_eq!((blob.take_back(lent), blob.held()), (1, (3, 4)));
        assert_eq!(blob.take_from(b"d\r\nrest"), b"\r\nrest");
        assert_eq!(blob.bytes, b"abcd");
    }
}
