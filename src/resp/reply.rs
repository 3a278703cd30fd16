//! HOT PATH. Replies: what commands answer, as RESP2 or RESP3 bytes.
//!
//! One per thread that runs commands. All replies of a loop turn are appended to one buffer; a client's share of it is
//! the range between two [`Mark`]s. Large values are not copied: they stand beside the buffer as references, each with
//! the position at which it belongs.
//!
//! ```text
//!   buf    | $20000 CR LF | CR LF +OK CR LF |
//!                         ^ at
//!   refs                  '- 20000 bytes, sent from where they lie
//! ```
//!
//! A long reply does not make the buffer grow: where there is no room for the next of its texts, what there is of it moves
//! to a block of its own and stands beside the buffer in the same way, to be sent and freed by itself.
//!
//! It knows the protocol and nothing of clients, sockets or commands.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::ops::Range;

use bytes::Bytes;

use crate::base::float;
use crate::base::integer::short_digits;

/// Shared values from this length on, in bytes, are sent by reference instead of copied.
pub const BY_REFERENCE_MIN: usize = 16 * 1024;

/// So many bytes of a long reply become a block of their own, if there is no room for more; for fewer the buffer grows.
const BLOCK_BYTES_MIN: usize = 64 << 10;

/// The longest error code that is remembered, in bytes.
const ERROR_CODE_MAX: usize = 32;

/// The version of the protocol that a client asked for with HELLO.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// What every client speaks at first.
    #[default]
    Resp2,
    /// With maps, sets, doubles, nulls, pushes.
    Resp3,
}

/// A large value between two bytes of the buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ByReference {
    /// It belongs before the byte of the buffer at this position.
    pub at: usize,
    /// Its bytes.
    pub bytes: Bytes,
    /// It is no value that is kept elsewhere, but what many small pieces made.
    pub is_block: bool,
}

/// A point in the reply. Later marks are greater. A mark that was taken after [`Reply::deferred`] is void once that
/// aggregate's end was written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Mark {
    at: usize,
    refs: usize,
}

impl Mark {
    /// Bytes of the buffer in front of it.
    #[inline]
    pub fn position(self) -> usize {
        self.at
    }
}

/// An aggregate that was begun before its length was known. They nest: the one begun last ends first.
#[derive(Debug)]
#[must_use = "an aggregate without a header is no reply"]
pub struct Deferred {
    at: usize,
    refs: usize,
}

/// The code of an error reply: its first word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCode {
    bytes: [u8; ERROR_CODE_MAX],
    len: u8,
}

impl ErrorCode {
    const ERR: ErrorCode = ErrorCode::of(b"ERR");

    const fn of(code: &[u8]) -> ErrorCode {
        let mut bytes = [0; ERROR_CODE_MAX];
        let mut len = 0;
        while len < code.len() && len < ERROR_CODE_MAX {
            bytes[len] = code[len];
            len += 1;
        }
        ErrorCode { bytes, len: len as u8 }
    }

    /// `ERR`, `WRONGTYPE`, `NOAUTH`, ...
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..usize::from(self.len)]
    }
}

/// Turns without a big one after which a buffer that was outgrown goes.
const MODEST_TURNS_MAX: u32 = 64;

/// A buffer that has grown beyond this goes at once.
const OUTGROWN_BYTES_MAX: usize = 8 << 20;

/// The buffer that replies are appended to.
#[derive(Debug)]
pub struct Reply {
    buf: Vec<u8>,
    refs: Vec<ByReference>,
    /// Bytes of the blocks among the references.
    block_bytes: usize,
    /// Whoever remembers a place remembers none behind this one: what follows it may move to a block.
    floor: Cell<usize>,
    protocol: Protocol,
    capacity: usize,
    errors_written: u64,
    /// Turns since one outgrew the buffer, which has been kept since then.
    modest_turns: Option<u32>,
    last_error: ErrorCode,
}

/// Where the buffer and its references stand.
impl Reply {
    /// An empty one with room for `capacity` bytes.
    pub fn new(capacity: usize) -> Reply {
        Reply::with_buffer(Vec::with_capacity(capacity))
    }

    /// An empty one that writes into `buffer`: the server registers it with the kernel before.
    pub fn with_buffer(mut buffer: Vec<u8>) -> Reply {
        buffer.clear();
        let capacity = buffer.capacity();
        Reply {
            buf: buffer,
            refs: Vec::new(),
            block_bytes: 0,
            floor: Cell::new(0),
            protocol: Protocol::Resp2,
            capacity,
            errors_written: 0,
            modest_turns: None,
            last_error: ErrorCode::of(b""),
        }
    }

    /// Before a command runs: how its client wants the reply.
    #[inline]
    pub fn set_protocol(&mut self, protocol: Protocol) {
        self.protocol = protocol;
    }

    /// How the reply is being written.
    #[inline]
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    #[inline]
    fn resp3(&self) -> bool {
        self.protocol == Protocol::Resp3
    }

    /// The point after everything written so far.
    #[inline]
    pub fn mark(&self) -> Mark {
        self.floor.set(self.buf.len());
        Mark { at: self.buf.len(), refs: self.refs.len() }
    }

    /// Takes back everything written since `mark`. The error counter keeps what it counted.
    pub fn truncate(&mut self, mark: Mark) {
        assert!(mark <= self.mark(), "a mark of this reply");
        self.buf.truncate(mark.at);
        self.refs.truncate(mark.refs);
        self.block_bytes = block_bytes(&self.refs);
    }

    /// Bytes in the buffer; referenced ones are not among them.
    #[inline]
    pub fn position(&self) -> usize {
        self.buf.len()
    }

    /// Nothing was written.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.buf.is_empty()
    }

    /// Bytes written since `mark`, referenced ones included.
    pub fn bytes_since(&self, mark: Mark) -> usize {
        self.buf.len() - mark.at + self.refs[mark.refs..].iter().map(|by_ref| by_ref.bytes.len()).sum::<usize>()
    }

    /// The same without values that are kept elsewhere.
    pub fn copied_since(&self, mark: Mark) -> usize {
        self.buf.len() - mark.at + block_bytes(&self.refs[mark.refs..])
    }

    /// Bytes that this keeps for replies: in the buffer, and in blocks beside it.
    #[inline]
    pub fn bytes_held(&self) -> usize {
        self.buf.len() + self.block_bytes
    }

    /// A range of the buffer, without what is referenced in between.
    #[inline]
    pub fn bytes(&self, range: Range<usize>) -> &[u8] {
        &self.buf[range]
    }

    /// The references that belong into a range of the buffer which begins and ends between replies.
    pub fn refs_in(&self, range: Range<usize>) -> &[ByReference] {
        if self.refs.is_empty() {
            return &[];
        }
        let from = self.refs.partition_point(|by_ref| by_ref.at < range.start);
        let to = self.refs.partition_point(|by_ref| by_ref.at < range.end);
        &self.refs[from..to]
    }

    /// Everything as one piece, references copied in. For scripts, tests, and replies that have to be kept.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes_since(Mark { at: 0, refs: 0 }));
        let mut from = 0;
        for by_ref in &self.refs {
            out.extend_from_slice(&self.buf[from..by_ref.at]);
            out.extend_from_slice(&by_ref.bytes);
            from = by_ref.at;
        }
        out.extend_from_slice(&self.buf[from..]);
        out
    }

    /// Everything in the buffer.
    #[inline]
    pub fn slab(&self) -> &[u8] {
        &self.buf
    }

    /// Appends what `write` makes of a range of the buffer, or of `other` where it is given: at most `room` bytes. None where
    /// they would make the buffer move; else their range. For replies that are sent in another form.
    pub fn append_made<E>(
        &mut self,
        range: Range<usize>,
        other: Option<&[u8]>,
        room: usize,
        write: impl FnOnce(&[u8], &mut [u8]) -> Result<usize, E>,
    ) -> Option<Result<Range<usize>, E>> {
        let end = self.buf.len();
        if self.buf.capacity() - end < room {
            return None;
        }
        self.buf.resize(end + room, 0);
        let (before, made) = self.buf.split_at_mut(end);
        let len = write(other.unwrap_or(&before[range]), made);
        self.buf.truncate(end + len.as_ref().map_or(0, |len| *len));
        Some(len.map(|len| end..end + len))
    }

    /// Bytes in the buffer and referenced ones.
    #[inline]
    pub fn bytes_total(&self) -> usize {
        if self.refs.is_empty() { self.buf.len() } else { self.bytes_since(Mark { at: 0, refs: 0 }) }
    }

    /// Empties it after a loop turn. `renewed` is called when the memory is another one: the server registers it with the
    /// kernel. A buffer that a turn had outgrown is another one, and no memory is told: it serves for some turns, and then
    /// one of the first capacity takes its place.
    pub fn clear(&mut self, renewed: impl FnOnce(&[u8])) {
        self.refs.clear();
        self.block_bytes = 0;
        self.floor.set(0);
        if self.buf.capacity() != self.capacity {
            self.clear_outgrown(renewed);
        }
        self.buf.clear();
    }

    /// Where one turn in a few is a big one, allocating and registering anew each time would cost more than it saves.
    #[cold]
    fn clear_outgrown(&mut self, renewed: impl FnOnce(&[u8])) {
        let outgrown_before = self.modest_turns;
        let turns = if self.buf.len() > self.capacity { 0 } else { outgrown_before.unwrap_or(0) + 1 };
        if turns < MODEST_TURNS_MAX && self.buf.capacity() <= OUTGROWN_BYTES_MAX {
            self.modest_turns = Some(turns);
            if outgrown_before.is_none() {
                renewed(&[]);
            }
            return;
        }
        self.modest_turns = None;
        self.buf = vec![0; self.capacity];
        self.capacity = self.buf.capacity();
        renewed(&self.buf);
    }

    /// Called where there is no room for `more` bytes of a reply that may be long.
    #[cold]
    #[inline(never)]
    fn make_room(&mut self, more: usize) {
        let last = self.refs.last().map_or(0, |by_ref| by_ref.at);
        let start = self.floor.get().max(last).min(self.buf.len());
        let block = &self.buf[start..];
        if block.len() >= BLOCK_BYTES_MIN {
            self.block_bytes += block.len();
            self.refs.push(ByReference { at: start, bytes: Bytes::copy_from_slice(block), is_block: true });
            self.buf.truncate(start);
        }
        self.buf.reserve(more);
    }

    /// Room for `more` bytes of a reply that may be long: something has to be written next, for a block stands before a byte.
    #[inline]
    fn room_for(&mut self, more: usize) {
        if self.buf.capacity() - self.buf.len() < more {
            self.make_room(more);
        }
    }

    /// Error replies written since this was made.
    #[inline]
    pub fn errors_written(&self) -> u64 {
        self.errors_written
    }

    /// The code of the error written last: what `errorstats` counts under. Empty before the first one.
    pub fn last_error_code(&self) -> &[u8] {
        self.last_error.as_bytes()
    }
}

/// Bytes of the blocks among these.
fn block_bytes(refs: &[ByReference]) -> usize {
    refs.iter().filter(|by_ref| by_ref.is_block).map(|by_ref| by_ref.bytes.len()).sum()
}

/// Single values.
impl Reply {
    /// `+OK`
    #[inline]
    pub fn ok(&mut self) {
        self.buf.extend_from_slice(b"+OK\r\n");
    }

    /// `+PONG`
    #[inline]
    pub fn pong(&mut self) {
        self.buf.extend_from_slice(b"+PONG\r\n");
    }

    /// `+QUEUED`
    #[inline]
    pub fn queued(&mut self) {
        self.buf.extend_from_slice(b"+QUEUED\r\n");
    }

    /// A short text. Line ends in it become blanks.
    #[inline]
    pub fn status(&mut self, text: impl AsRef<[u8]>) {
        self.line(b'+', text.as_ref());
    }

    /// An error. `ERR` is put in front unless `text` begins with a dash, which the code follows. Line ends at its end
    /// are dropped and others become blanks.
    #[cold]
    pub fn error(&mut self, text: impl AsRef<[u8]>) {
        let mut text = text.as_ref();
        while let [rest @ .., b'\r' | b'\n'] = text {
            text = rest;
        }
        self.errors_written += 1;
        match text {
            [b'-', text @ ..] => {
                // A code that does not end in time counts as ERR.
                let end = text.iter().take(ERROR_CODE_MAX - 1).position(|byte| *byte == b' ');
                self.last_error = end.map_or(ErrorCode::ERR, |end| ErrorCode::of(&text[..end]));
                self.line(b'-', text);
            }
            text => {
                self.last_error = ErrorCode::ERR;
                let start = self.buf.len();
                self.line(b'-', text);
                self.buf.splice(start + 1..start + 1, *b"ERR ");
            }
        }
    }

    /// An error that no statistic counts: `text` is all of it, its code included. Line ends become blanks.
    #[cold]
    pub fn error_uncounted(&mut self, text: impl AsRef<[u8]>) {
        self.line(b'-', text.as_ref());
    }

    #[inline]
    fn line(&mut self, kind: u8, text: &[u8]) {
        self.room_for(text.len() + 3);
        self.buf.push(kind);
        let start = self.buf.len();
        self.buf.extend_from_slice(text);
        for byte in &mut self.buf[start..] {
            if matches!(byte, b'\r' | b'\n') {
                *byte = b' ';
            }
        }
        self.buf.extend_from_slice(b"\r\n");
    }

    /// `:n`
    #[inline]
    pub fn integer(&mut self, value: i64) {
        self.number_line(b':', value);
    }

    /// A text of any bytes.
    #[inline]
    pub fn bulk(&mut self, bytes: &[u8]) {
        // The longest header has 23 bytes; the two at the end come on top.
        self.room_for(bytes.len() + 25);
        self.number_line(b'$', bytes.len() as i64);
        self.buf.extend_from_slice(bytes);
        self.buf.extend_from_slice(b"\r\n");
    }

    /// An integer as a text.
    #[inline]
    pub fn bulk_integer(&mut self, value: i64) {
        self.bulk(itoa::Buffer::new().format(value).as_bytes());
    }

    /// A text that is kept elsewhere: copied when short, else referenced.
    #[inline]
    pub fn bulk_shared(&mut self, bytes: &Bytes) {
        if bytes.len() < BY_REFERENCE_MIN {
            self.bulk(bytes);
            return;
        }
        self.number_line(b'$', bytes.len() as i64);
        self.refs.push(ByReference { at: self.buf.len(), bytes: bytes.clone(), is_block: false });
        self.buf.extend_from_slice(b"\r\n");
    }

    /// Nothing where a text could be.
    #[inline]
    pub fn null(&mut self) {
        self.buf.extend_from_slice(if self.resp3() { b"_\r\n" } else { b"$-1\r\n" });
    }

    /// Nothing where an array could be.
    #[inline]
    pub fn null_array(&mut self) {
        self.buf.extend_from_slice(if self.resp3() { b"_\r\n" } else { b"*-1\r\n" });
    }

    /// A floating point number: the shortest text that reads back as the same, or `inf`, `-inf`, `nan`.
    pub fn double(&mut self, value: f64) {
        let mut text = float::TextBuffer::new();
        let text = text.format(value);
        if self.resp3() {
            self.line(b',', text);
        } else {
            self.bulk(text);
        }
    }

    /// Yes or no; 1 or 0 in RESP2.
    pub fn boolean(&mut self, value: bool) {
        self.buf.extend_from_slice(match (self.resp3(), value) {
            (true, true) => b"#t\r\n",
            (true, false) => b"#f\r\n",
            (false, true) => b":1\r\n",
            (false, false) => b":0\r\n",
        });
    }

    /// An integer of any size, as its digits; a bulk in RESP2.
    pub fn big_number(&mut self, digits: impl AsRef<[u8]>) {
        if self.resp3() {
            self.line(b'(', digits.as_ref());
        } else {
            self.bulk(digits.as_ref());
        }
    }

    /// A text for people, of the kind `extension` (`txt`, `mkd`); a bulk in RESP2.
    pub fn verbatim(&mut self, extension: &[u8; 3], text: &[u8]) {
        if !self.resp3() {
            self.bulk(text);
            return;
        }
        self.buf.reserve(text.len() + 24);
        self.number_line(b'=', text.len() as i64 + 4);
        self.buf.extend_from_slice(extension);
        self.buf.push(b':');
        self.buf.extend_from_slice(text);
        self.buf.extend_from_slice(b"\r\n");
    }

    /// Bytes that are replies already.
    pub fn raw(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// Bytes that are replies already, with large values between them.
    pub fn raw_around(&mut self, bytes: &[u8], large: &[ByReference]) {
        let base = self.buf.len();
        self.refs.extend(large.iter().map(|value| ByReference { at: base + value.at, ..value.clone() }));
        self.buf.extend_from_slice(bytes);
    }

    /// `:7\r\n`, `$12\r\n`, ...
    #[inline]
    fn number_line(&mut self, kind: u8, number: i64) {
        if (0..10).contains(&number) {
            self.buf.extend_from_slice(&[kind, b'0' + number as u8, b'\r', b'\n']);
        } else if (10..100).contains(&number) {
            let (tens, ones) = (number as u8 / 10, number as u8 % 10);
            self.buf.extend_from_slice(&[kind, b'0' + tens, b'0' + ones, b'\r', b'\n']);
        } else if let Some((digits, len)) = short_digits(number) {
            let line = u128::from(kind) | u128::from(digits) << 8 | LINE_END << (8 * (len + 1));
            // All of the word: so many bytes as there are would take a call.
            let end = self.buf.len() + len + 3;
            self.buf.extend_from_slice(&line.to_le_bytes());
            self.buf.truncate(end);
        } else {
            let mut line = LineBuffer::new();
            self.buf.extend_from_slice(line.format(kind, number));
        }
    }
}

/// What a line ends with, the first byte lowest.
const LINE_END: u128 = u16::from_le_bytes(*b"\r\n") as u128;

/// A number line on the stack.
struct LineBuffer([u8; 24]);

impl LineBuffer {
    fn new() -> LineBuffer {
        LineBuffer([0; 24])
    }

    fn format(&mut self, kind: u8, number: i64) -> &[u8] {
        let mut digits = itoa::Buffer::new();
        let digits = digits.format(number).as_bytes();
        let len = digits.len();
        self.0[0] = kind;
        self.0[1..=len].copy_from_slice(digits);
        self.0[len + 1] = b'\r';
        self.0[len + 2] = b'\n';
        &self.0[..len + 3]
    }
}

/// Aggregates: a header, followed by as many values as it says.
impl Reply {
    /// The next `len` values are one array.
    #[inline]
    pub fn array(&mut self, len: usize) {
        self.number_line(b'*', len as i64);
    }

    /// The next `pairs` keys and values are one map; a flat array in RESP2.
    pub fn map(&mut self, pairs: usize) {
        let (kind, len) = self.map_header(pairs);
        self.number_line(kind, len);
    }

    /// The next `len` values are one set; an array in RESP2.
    pub fn set(&mut self, len: usize) {
        self.number_line(self.set_kind(), len as i64);
    }

    /// The next `len` values come out of band; an array in RESP2.
    pub fn push(&mut self, len: usize) {
        self.number_line(self.push_kind(), len as i64);
    }

    /// In RESP3 the next `pairs` keys and values are said about the value after them. False in RESP2: there is no such
    /// thing, and the pairs must not be written.
    #[must_use]
    pub fn attribute(&mut self, pairs: usize) -> bool {
        if self.resp3() {
            self.number_line(b'|', pairs as i64);
        }
        self.resp3()
    }

    fn map_header(&self, pairs: usize) -> (u8, i64) {
        if self.resp3() { (b'%', pairs as i64) } else { (b'*', pairs as i64 * 2) }
    }

    fn set_kind(&self) -> u8 {
        if self.resp3() { b'~' } else { b'*' }
    }

    fn push_kind(&self) -> u8 {
        if self.resp3() { b'>' } else { b'*' }
    }

    /// Begins an aggregate whose length is not known yet.
    #[inline]
    pub fn deferred(&mut self) -> Deferred {
        self.floor.set(self.buf.len());
        Deferred { at: self.buf.len(), refs: self.refs.len() }
    }

    /// What was written since `deferred` is an array of `len` values.
    pub fn end_array(&mut self, deferred: Deferred, len: usize) {
        self.insert_header(deferred, b'*', len as i64);
    }

    /// What was written since `deferred` is a map of `pairs` keys and values.
    pub fn end_map(&mut self, deferred: Deferred, pairs: usize) {
        let (kind, len) = self.map_header(pairs);
        self.insert_header(deferred, kind, len);
    }

    /// What was written since `deferred` is a set of `len` values.
    pub fn end_set(&mut self, deferred: Deferred, len: usize) {
        let kind = self.set_kind();
        self.insert_header(deferred, kind, len as i64);
    }

    /// What was written since `deferred` is a push of `len` values.
    pub fn end_push(&mut self, deferred: Deferred, len: usize) {
        let kind = self.push_kind();
        self.insert_header(deferred, kind, len as i64);
    }

    /// Moves what was written since, and the references in it, and puts the header in front.
    fn insert_header(&mut self, deferred: Deferred, kind: u8, number: i64) {
        assert!(deferred.at <= self.buf.len() && deferred.refs <= self.refs.len(), "an aggregate of this reply");
        let mut line = LineBuffer::new();
        let line = line.format(kind, number);
        let end = self.buf.len();
        self.buf.extend_from_slice(line);
        self.buf.copy_within(deferred.at..end, deferred.at + line.len());
        self.buf[deferred.at..deferred.at + line.len()].copy_from_slice(line);
        for by_ref in &mut self.refs[deferred.refs..] {
            by_ref.at += line.len();
        }
    }

    /// The reply to `CONTAINER HELP`: a head line, `lines`, and the two lines about HELP itself.
    pub fn help(&mut self, container: impl AsRef<[u8]>, lines: &[&str]) {
        let container = container.as_ref().to_ascii_uppercase();
        self.array(lines.len() + 3);
        self.status([&container[..], b" <subcommand> [<arg> [value] [opt] ...]. Subcommands are:"].concat());
        lines.iter().for_each(|line| self.status(line));
        self.status("HELP");
        self.status("    Print this help.");
    }

    /// The error for `CONTAINER subcommand` when there is no such subcommand, or not with so many arguments.
    pub fn unknown_subcommand(&mut self, container: impl AsRef<[u8]>, subcommand: &[u8]) {
        let container = container.as_ref().to_ascii_uppercase();
        let shown = &subcommand[..subcommand.len().min(128)];
        let text =
            [&b"unknown subcommand or wrong number of arguments for '"[..], shown, b"'. Try ", &container, b" HELP."];
        self.error(text.concat());
    }
}

#[cfg(test)]
mod tests;
