//! HOT PATH. Requests: bytes in, arguments out, in place.
//!
//! Runs in whichever thread owns the client's socket. It knows no command and executes nothing; it sees a buffer that
//! grows at its end and is cut at its front, and leaves [`Span`]s into it. A complete command costs no allocation. A
//! command that arrives in pieces is continued where it stopped, so feeding it byte by byte stays linear.
//!
//! ```text
//!   buf   | commands already handed out | unfinished command .............. | not looked at yet
//!         0                             command_start()        position()     buf.len()
//!                                       '-- its spans are in the caller's vector
//! ```
//!
//! Matched to Redis 8.0: the byte after `\r` is waited for but not looked at, nor are the two bytes after a bulk; a NUL
//! byte hides the line end behind it; counts and lengths have one spelling only.

#![forbid(unsafe_code)]

use std::borrow::Cow;

use bytes::Bytes;

use super::args::{SPAN_BUFFER_MAX, Span};
use crate::base::integer::parse_i64;
use crate::base::quoting::{Token, Tokens, Unbalanced};

/// The longest inline line, count line or length line that may be waited for, in bytes.
pub const LINE_MAX: usize = 65536;

/// Bulks from this length on, in bytes, are received into memory of their own when they are not complete.
pub const BLOB_MIN: usize = 32768;

/// Most arguments of one command.
const ARGUMENTS_MAX: i64 = i32::MAX as i64;

/// Most arguments room is made for before they are there.
const ARGUMENTS_RESERVE_MAX: usize = 1024;

/// Most arguments while the client has to authenticate.
const UNAUTHENTICATED_ARGUMENTS_MAX: i64 = 10;

/// Longest bulk, in bytes, while the client has to authenticate.
const UNAUTHENTICATED_BULK_MAX: i64 = 16384;

/// What a client may send just now.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// `proto-max-bulk-len`, in bytes; `u64::MAX` for a master.
    pub bulk_len_max: u64,
    /// False while authentication is required and has not happened.
    pub authenticated: bool,
}

/// What [`Parser::next`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// One command is complete: its spans were appended.
    Command,
    /// The buffer ends inside a command, or between two.
    NeedMore,
    /// A big bulk of `len` bytes is not complete. What is there of it is the rest of the buffer from `position()` on:
    /// the caller moves that into a vector of its own, cuts the buffer at `position()`, receives the rest into the
    /// vector and calls [`Parser::blob_received`]. `len` is the peer's word: do not touch that much memory at once.
    NeedBlob {
        /// Length of the whole bulk, without its line end.
        len: usize,
    },
    /// The peer broke the protocol: reply, then close. Every further call fails the same way.
    Failed(ProtocolError),
}

/// How a peer broke the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProtocolError {
    /// No line feed in 64 KiB.
    InlineTooBig,
    /// Quotes of an inline request do not match.
    UnbalancedQuotes,
    /// No line end after `*` in 64 KiB.
    CountTooLong,
    /// The number after `*` is none, or too large.
    CountInvalid,
    /// Too many arguments for a client that has to authenticate.
    CountUnauthenticated,
    /// No line end after `$` in 64 KiB.
    LengthTooLong,
    /// This byte stands where a `$` must.
    ExpectedDollar(u8),
    /// The number after `$` is none, negative, or above the limit.
    LengthInvalid,
    /// Too long a bulk for a client that has to authenticate.
    LengthUnauthenticated,
}

impl ProtocolError {
    /// The text of the error reply, without `-ERR ` in front and line end behind.
    pub fn reply_text(self) -> Cow<'static, [u8]> {
        let text: &'static str = match self {
            ProtocolError::InlineTooBig => "Protocol error: too big inline request",
            ProtocolError::UnbalancedQuotes => "Protocol error: unbalanced quotes in request",
            ProtocolError::CountTooLong => "Protocol error: too big mbulk count string",
            ProtocolError::CountInvalid => "Protocol error: invalid multibulk length",
            ProtocolError::CountUnauthenticated => "Protocol error: unauthenticated multibulk length",
            ProtocolError::LengthTooLong => "Protocol error: too big bulk count string",
            ProtocolError::ExpectedDollar(byte) => {
                let mut text = b"Protocol error: expected '$', got '".to_vec();
                text.push(if matches!(byte, b'\r' | b'\n') { b' ' } else { byte });
                text.push(b'\'');
                return Cow::Owned(text);
            }
            ProtocolError::LengthInvalid => "Protocol error: invalid bulk length",
            ProtocolError::LengthUnauthenticated => "Protocol error: unauthenticated bulk length",
        };
        Cow::Borrowed(text.as_bytes())
    }

    /// The short name in the log line.
    pub fn log_name(self) -> &'static str {
        match self {
            ProtocolError::InlineTooBig => "too big inline request",
            ProtocolError::UnbalancedQuotes => "unbalanced quotes in request",
            ProtocolError::CountTooLong => "too big mbulk count string",
            ProtocolError::CountInvalid => "invalid mbulk count",
            ProtocolError::CountUnauthenticated => "unauth mbulk count",
            ProtocolError::LengthTooLong => "too big bulk count string",
            ProtocolError::ExpectedDollar(_) => "expected $ but got something else",
            ProtocolError::LengthInvalid => "invalid bulk length",
            ProtocolError::LengthUnauthenticated => "unauth bulk length",
        }
    }
}

/// Where in a command the parser stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Before the first byte of a command.
    Start,
    /// In an inline line.
    Inline,
    /// In the `*` line.
    Count,
    /// In a `$` line, or before it.
    Length,
    /// In a bulk of this many bytes, or the two bytes after it.
    Bulk(usize),
    /// A blob of this many bytes is being received elsewhere.
    Blob(usize),
    /// In the two bytes after a blob.
    BlobEnd,
    /// Nothing more will be read.
    Failed(ProtocolError),
}

/// The state of one unfinished command of one client. Small: 64 bytes.
#[derive(Debug)]
pub struct Parser {
    position: usize,
    command_start: usize,
    /// Bytes from `position` on in which no line end was found.
    searched: usize,
    stage: Stage,
    arguments_left: u32,
    inline: bool,
}

const _: () = assert!(size_of::<Parser>() <= 64);

/// A `*` or `$` line.
enum Line {
    /// Its number, and how many bytes the line has.
    Number(i64, usize),
    /// Its number cannot be read.
    Malformed,
    /// Its end has not come, and these many bytes were searched for it.
    Unfinished(usize),
    /// Its end has not come, though more than [`LINE_MAX`] bytes are there.
    TooLong,
}

impl Default for Parser {
    fn default() -> Self {
        Parser::new()
    }
}

impl Parser {
    /// For a new client with an empty buffer.
    pub fn new() -> Parser {
        Parser { position: 0, command_start: 0, searched: 0, stage: Stage::Start, arguments_left: 0, inline: false }
    }

    /// Bytes of the buffer consumed so far: where the rest that was not parsed begins.
    #[inline]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Where the unfinished command began; between commands, where the last one did. Bytes before this are not needed
    /// any more, except for the spans of commands handed out earlier.
    #[inline]
    pub fn command_start(&self) -> usize {
        self.command_start
    }

    /// The caller removed `distance` bytes from the front of the buffer, and shifts the spans it holds by itself.
    #[inline]
    pub fn rebase(&mut self, distance: usize) {
        assert!(distance <= self.position && (self.is_idle() || distance <= self.command_start), "bytes still in use");
        self.position -= distance;
        self.command_start = self.command_start.saturating_sub(distance);
    }

    /// Not in the middle of a command. (The buffer may hold the first bytes of one all the same, when `next` was not
    /// called since they came.)
    #[inline]
    pub fn is_idle(&self) -> bool {
        self.stage == Stage::Start
    }

    /// Whether the last command, or the unfinished one, is an inline line. A replica refuses them from its master.
    pub fn is_inline(&self) -> bool {
        self.inline
    }

    /// Length of the bulk that is being received, where one is. For `qbuf` accounting.
    pub fn bulk_pending(&self) -> Option<usize> {
        match self.stage {
            Stage::Bulk(len) | Stage::Blob(len) => Some(len),
            _ => None,
        }
    }

    /// Whether a big argument is complete and its line end has not come.
    pub fn awaits_blob_end(&self) -> bool {
        self.stage == Stage::BlobEnd
    }

    /// Arguments that the unfinished command still lacks.
    pub fn arguments_left(&self) -> usize {
        self.arguments_left as usize
    }

    /// Parses on from `buf[position()..]` to the end of one command. Its spans, relative to the start of `buf`, are
    /// appended to `spans`; arguments that are not in the buffer as such are appended to `blobs`. Empty commands (`*0`,
    /// `*-1`, blank lines) are skipped. While a command is unfinished, the caller keeps both vectors as they are and
    /// calls again with more bytes.
    #[inline]
    pub fn next(&mut self, buf: &[u8], limits: &Limits, spans: &mut Vec<Span>, blobs: &mut Vec<Bytes>) -> Step {
        debug_assert!(self.position <= buf.len(), "the buffer was cut without rebase");
        loop {
            match self.stage {
                Stage::Start => {
                    self.command_start = self.position;
                    match buf.get(self.position) {
                        None => return Step::NeedMore,
                        Some(b'*') => {
                            self.stage = Stage::Count;
                            self.inline = false;
                        }
                        Some(_) => {
                            self.stage = Stage::Inline;
                            self.inline = true;
                        }
                    }
                }
                Stage::Count => {
                    if let Some(step) = self.count_line(buf, limits, spans) {
                        return step;
                    }
                }
                Stage::Length | Stage::Bulk(_) => return self.arguments(buf, limits, spans, blobs),
                Stage::Inline => {
                    if let Some(step) = self.inline_line(buf, spans, blobs) {
                        return step;
                    }
                }
                Stage::Blob(len) => return Step::NeedBlob { len },
                Stage::BlobEnd => {
                    if buf.len() - self.position < 2 {
                        return Step::NeedMore;
                    }
                    self.position += 2;
                    if self.argument_done() {
                        return Step::Command;
                    }
                }
                Stage::Failed(error) => return Step::Failed(error),
            }
        }
    }

    /// After [`Step::NeedBlob`]: the bulk is complete, without its line end, which is expected in the buffer next.
    pub fn blob_received(&mut self, blob: Bytes, spans: &mut Vec<Span>, blobs: &mut Vec<Bytes>) {
        assert!(self.stage == Stage::Blob(blob.len()), "a blob of the length that was asked for");
        spans.push(Span::in_blob(blobs.len()));
        blobs.push(blob);
        self.stage = Stage::BlobEnd;
    }

    /// The `*` line. None: go on with the next stage.
    #[inline]
    fn count_line(&mut self, buf: &[u8], limits: &Limits, spans: &mut Vec<Span>) -> Option<Step> {
        let (count, len) = match number_line(&buf[self.position..], self.searched) {
            Line::Number(count, len) => (count, len),
            Line::Malformed => return Some(self.fail(ProtocolError::CountInvalid)),
            Line::Unfinished(searched) => return Some(self.wait(searched)),
            Line::TooLong => return Some(self.fail(ProtocolError::CountTooLong)),
        };
        if count > ARGUMENTS_MAX {
            return Some(self.fail(ProtocolError::CountInvalid));
        }
        if count > UNAUTHENTICATED_ARGUMENTS_MAX && !limits.authenticated {
            return Some(self.fail(ProtocolError::CountUnauthenticated));
        }
        self.position += len;
        self.searched = 0;
        if count <= 0 {
            self.stage = Stage::Start;
            return None;
        }
        self.arguments_left = count as u32;
        spans.reserve((count as usize).min(ARGUMENTS_RESERVE_MAX));
        self.stage = Stage::Length;
        None
    }

    /// `$` lines and bulks to the end of the command.
    #[inline]
    fn arguments(&mut self, buf: &[u8], limits: &Limits, spans: &mut Vec<Span>, blobs: &mut Vec<Bytes>) -> Step {
        loop {
            let len = match self.stage {
                Stage::Bulk(len) => len,
                _ => {
                    let rest = &buf[self.position..];
                    let (number, line_len) = match number_line(rest, self.searched) {
                        Line::Number(number, line_len) if rest[0] == b'$' => (number, line_len),
                        Line::Unfinished(searched) => return self.wait(searched),
                        Line::TooLong => return self.fail(ProtocolError::LengthTooLong),
                        Line::Number(..) | Line::Malformed if rest[0] != b'$' => {
                            return self.fail(ProtocolError::ExpectedDollar(rest[0]));
                        }
                        Line::Number(..) | Line::Malformed => return self.fail(ProtocolError::LengthInvalid),
                    };
                    if number < 0 || number as u64 > limits.bulk_len_max {
                        return self.fail(ProtocolError::LengthInvalid);
                    }
                    if number > UNAUTHENTICATED_BULK_MAX && !limits.authenticated {
                        return self.fail(ProtocolError::LengthUnauthenticated);
                    }
                    self.position += line_len;
                    self.searched = 0;
                    number as usize
                }
            };
            let there = buf.len() - self.position;
            if there < len || there - len < 2 {
                return self.wait_for_bulk(len, there);
            }
            self.push_argument(buf, self.position, len, spans, blobs);
            self.position += len + 2;
            if self.argument_done() {
                return Step::Command;
            }
        }
    }

    /// One argument is complete. True: so is the command.
    #[inline]
    fn argument_done(&mut self) -> bool {
        self.arguments_left -= 1;
        let complete = self.arguments_left == 0;
        self.stage = if complete { Stage::Start } else { Stage::Length };
        complete
    }

    #[inline]
    fn push_argument(&self, buf: &[u8], start: usize, len: usize, spans: &mut Vec<Span>, blobs: &mut Vec<Bytes>) {
        if start + len <= SPAN_BUFFER_MAX {
            spans.push(Span::in_buffer(start, len));
        } else {
            push_copied(Bytes::copy_from_slice(&buf[start..start + len]), spans, blobs);
        }
    }

    /// An inline line. None: it was blank.
    #[cold]
    fn inline_line(&mut self, buf: &[u8], spans: &mut Vec<Span>, blobs: &mut Vec<Bytes>) -> Option<Step> {
        let rest = &buf[self.position..];
        let end = match line_end(rest, self.searched, b'\n') {
            Ok(end) => end,
            Err(_) if rest.len() > LINE_MAX => return Some(self.fail(ProtocolError::InlineTooBig)),
            Err(searched) => return Some(self.wait(searched)),
        };
        let line = rest[..end].strip_suffix(b"\r").unwrap_or(&rest[..end]);
        let before = spans.len();
        for token in Tokens::new(line) {
            match token {
                Ok(Token::Plain { start, end }) => {
                    self.push_argument(buf, self.position + start, end - start, spans, blobs);
                }
                Ok(Token::Unquoted(text)) => push_copied(Bytes::from(text), spans, blobs),
                Err(Unbalanced) => return Some(self.fail(ProtocolError::UnbalancedQuotes)),
            }
        }
        self.position += end + 1;
        self.searched = 0;
        self.stage = Stage::Start;
        (spans.len() > before).then_some(Step::Command)
    }

    /// The line that begins at `position` has no end in its first `searched` bytes.
    #[cold]
    fn wait(&mut self, searched: usize) -> Step {
        self.searched = searched;
        Step::NeedMore
    }

    #[cold]
    fn wait_for_bulk(&mut self, len: usize, there: usize) -> Step {
        if there < len && len >= BLOB_MIN {
            self.stage = Stage::Blob(len);
            return Step::NeedBlob { len };
        }
        self.stage = Stage::Bulk(len);
        Step::NeedMore
    }

    #[cold]
    fn fail(&mut self, error: ProtocolError) -> Step {
        self.stage = Stage::Failed(error);
        Step::Failed(error)
    }
}

#[cold]
fn push_copied(blob: Bytes, spans: &mut Vec<Span>, blobs: &mut Vec<Bytes>) {
    spans.push(Span::in_blob(blobs.len()));
    blobs.push(blob);
}

/// Reads a line of one type byte and a number. The usual ones, with one or two digits, take the short way.
#[inline]
fn number_line(rest: &[u8], searched: usize) -> Line {
    // A NUL in the place of the sign hides the line end.
    if let [1..=255, first @ b'0'..=b'9', second, third, tail @ ..] = rest {
        let tens = i64::from(first - b'0');
        if *second == b'\r' {
            return Line::Number(tens, 4);
        }
        if *third == b'\r' && *first != b'0' && second.is_ascii_digit() && !tail.is_empty() {
            return Line::Number(tens * 10 + i64::from(second - b'0'), 5);
        }
    }
    number_line_any(rest, searched)
}

// Apart, so that the short way is in line.
#[inline(never)]
fn number_line_any(rest: &[u8], searched: usize) -> Line {
    match line_end(rest, searched, b'\r') {
        // The byte after the carriage return has to be there, whatever it is.
        Ok(end) if end + 1 == rest.len() => Line::Unfinished(end),
        Ok(end) => match parse_i64(rest.get(1..end).unwrap_or_default()) {
            Some(number) => Line::Number(number, end + 2),
            None => Line::Malformed,
        },
        Err(_) if rest.len() > LINE_MAX => Line::TooLong,
        Err(searched) => Line::Unfinished(searched),
    }
}

/// Where the first `end` is, or how many bytes need not be searched again. A NUL byte hides every `end` behind it.
fn line_end(rest: &[u8], searched: usize, end: u8) -> Result<usize, usize> {
    let from = searched.min(rest.len());
    match rest[from..].iter().position(|byte| *byte == end || *byte == 0) {
        Some(found) if rest[from + found] == end => Ok(from + found),
        Some(hidden) => Err(from + hidden),
        None => Err(rest.len()),
    }
}

#[cfg(test)]
mod tests;
