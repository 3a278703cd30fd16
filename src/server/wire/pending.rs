//! What a wire has to write: ranges of the reply slab in this turn, and output that waits for a slow reader.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;

use crate::command::reply_buffer::{REPLY_BUFFER_BYTES, WaitingOutput};

/// Ranges of the reply slab that belong to one client: nearly always one.
#[derive(Default)]
pub struct Written {
    first: Range<usize>,
    more: Vec<Range<usize>>,
}

impl Written {
    /// Adds a range behind the others.
    #[inline]
    pub fn push(&mut self, range: Range<usize>) {
        if self.first.is_empty() {
            self.first = range;
            return;
        }
        let last = self.more.last_mut().unwrap_or(&mut self.first);
        if last.end == range.start {
            last.end = range.end;
        } else {
            self.more.push(range);
        }
    }

    /// In order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Range<usize>> {
        std::iter::once(&self.first).filter(|range| !range.is_empty()).chain(&self.more).cloned()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.first.is_empty()
    }

    /// Forgets them.
    #[inline]
    pub fn clear(&mut self) {
        self.first = 0..0;
        self.more.clear();
    }
}

/// Size at which collected small replies become a chunk of their own, in bytes (Redis' reply block).
const CHUNK_BYTES: usize = 16 * 1024;

/// Output that waits for a slow reader.
#[derive(Default)]
pub struct Pending {
    chunks: VecDeque<Bytes>,
    tail: Vec<u8>,
    /// Bytes of the first chunk that are written.
    offset: usize,
    /// All bytes not known to be written.
    bytes: usize,
    in_flight: bool,
    /// The same output as limits count it.
    pub output: WaitingOutput,
}

impl Pending {
    /// Appends a copy.
    pub fn push_copy(&mut self, bytes: &[u8]) {
        self.bytes += bytes.len();
        if bytes.len() >= CHUNK_BYTES {
            self.freeze_tail();
            self.chunks.push_back(Bytes::copy_from_slice(bytes));
            return;
        }
        self.tail.extend_from_slice(bytes);
        if self.tail.len() >= CHUNK_BYTES {
            self.freeze_tail();
        }
    }

    /// Appends a value by reference.
    pub fn push_shared(&mut self, bytes: Bytes) {
        self.freeze_tail();
        self.bytes += bytes.len();
        self.chunks.push_back(bytes);
    }

    fn freeze_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(Bytes::from(std::mem::take(&mut self.tail)));
        }
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// The next send: at most `max` chunks, and how much of the first is written already. None while one is in flight.
    pub fn next_send(&mut self, max: usize) -> Option<(Vec<Bytes>, usize)> {
        if self.in_flight {
            return None;
        }
        self.freeze_tail();
        if self.chunks.is_empty() {
            return None;
        }
        self.in_flight = true;
        let count = self.chunks.len().min(max);
        Some((self.chunks.drain(..count).collect(), self.offset))
    }

    /// A send is over: what it did not write goes back to the front.
    pub fn sent(&mut self, chunks: Vec<Bytes>, written: usize) {
        assert!(self.in_flight, "a send was in flight");
        self.in_flight = false;
        self.bytes -= written;
        self.output.sent(written);
        let mut written = written + std::mem::take(&mut self.offset);
        let mut rest = VecDeque::from(chunks);
        while let Some(chunk) = rest.front()
            && chunk.len() <= written
        {
            written -= chunk.len();
            rest.pop_front();
        }
        if !rest.is_empty() {
            self.offset = written;
        }
        rest.append(&mut self.chunks);
        self.chunks = rest;
    }

    /// Whether everything is written.
    pub fn is_empty(&self) -> bool {
        self.bytes == 0
    }

    /// Whether a send is on its way.
    pub fn is_in_flight(&self) -> bool {
        self.in_flight
    }

    /// The first bytes that wait, for what sends something else in their place; empty where there are none.
    pub fn front(&mut self) -> &[u8] {
        if self.chunks.is_empty() {
            self.freeze_tail();
        }
        self.chunks.front().map_or(&[][..], |chunk| &chunk[self.offset..])
    }

    /// `len` of the front are on their way in another form. They wait on until [`Pending::sent_otherwise`].
    pub fn take_front(&mut self, len: usize) {
        self.offset += len;
        if self.chunks.front().is_some_and(|chunk| chunk.len() <= self.offset) {
            self.chunks.pop_front();
            self.offset = 0;
        }
    }

    /// Bytes of another form wait, which stand for `more` that did not wait yet.
    pub fn add_otherwise(&mut self, more: usize) {
        self.bytes += more;
        self.output.append_small(more, REPLY_BUFFER_BYTES);
    }

    /// A send of bytes of another form begins.
    pub fn begin_otherwise(&mut self) {
        self.in_flight = true;
    }

    /// Such a send is over; so many of the bytes that wait are written by it.
    pub fn sent_otherwise(&mut self, written: usize) {
        self.in_flight = false;
        self.bytes -= written;
        self.output.sent(written);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_join_when_they_touch() {
        let mut written = Written::default();
        written.push(0..10);
        written.push(10..20);
        written.push(30..40);
        assert_eq!(written.iter().collect::<Vec<_>>(), [0..20, 30..40]);
        written.clear();
        assert!(written.is_empty() && written.iter().next().is_none());
    }

    #[test]
    fn what_a_send_left_is_sent_next() {
        let mut pending = Pending::default();
        pending.push_copy(b"hello ");
        pending.push_shared(Bytes::from_static(b"wide "));
        pending.push_copy(b"world");
        let mut out = Vec::new();
        for step in [3, 0, 7, 100] {
            let Some((chunks, offset)) = pending.next_send(2) else { break };
            assert!(pending.next_send(2).is_none(), "one send at a time");
            let all: Vec<u8> = chunks.concat()[offset..].to_vec();
            let written = step.min(all.len());
            out.extend_from_slice(&all[..written]);
            pending.sent(chunks, written);
        }
        while let Some((chunks, offset)) = pending.next_send(64) {
            let all = chunks.concat()[offset..].to_vec();
            out.extend_from_slice(&all);
            pending.sent(chunks, all.len());
        }
        assert_eq!(out, b"hello wide world");
        assert!(pending.is_empty() && pending.next_send(1).is_none());
    }

    #[test]
    fn output_can_go_out_in_another_form() {
        let mut pending = Pending::default();
        pending.push_copy(b"hello ");
        pending.push_shared(Bytes::from_static(b"wide "));
        pending.push_copy(b"world");
        let mut out = Vec::new();
        for len in [4, 2, 5, 5] {
            assert!(!pending.is_in_flight());
            let front = pending.front();
            out.extend_from_slice(&front[..len]);
            pending.take_front(len);
            pending.begin_otherwise();
            pending.sent_otherwise(len);
        }
        assert_eq!(out, b"hello wide world");
        assert!(pending.is_empty() && pending.front().is_empty());
        pending.add_otherwise(7);
        pending.begin_otherwise();
        assert_eq!((pending.bytes(), pending.is_in_flight()), (7, true));
    }
}
