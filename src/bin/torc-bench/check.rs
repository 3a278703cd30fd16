//! HOT PATH. Counts and checks the replies of one connection, in whatever pieces they arrive.
//!
//! Every reply's outermost element is compared with what its request calls for: its type, and the length of a bulk
//! string. An error reply, or another reply than expected, is counted as a failure and never as a request served.

#![forbid(unsafe_code)]

use std::sync::Arc;

/// The longest line that a reply may have: a header, a simple string or an error.
const LINE_LEN_MAX: usize = 64 << 10;
/// How much of a surprising reply a message shows.
const SHOWN_LEN_MAX: usize = 200;

/// What the reply to a request must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Expect {
    /// Anything but an error.
    Anything,
    /// This simple string.
    Simple(&'static str),
    /// An integer.
    Integer,
    /// A bulk string of this length.
    Bulk(usize),
    /// A bulk string, most often of this length, or nothing where there is none.
    Value(usize),
    /// An array of any length.
    Array,
}

/// The expectations of a workload, and the bytes by which the common reply is known at a glance.
#[derive(Clone, Debug)]
pub(crate) struct Expectations {
    known: Arc<[Known]>,
}

#[derive(Debug)]
struct Known {
    expect: Expect,
    /// How the expected reply begins. Empty if that cannot be said beforehand.
    prefix: Vec<u8>,
    /// The length of the whole reply.
    len: usize,
}

/// What a reply that holds nothing is in RESP2.
const NIL: &[u8] = b"$-1\r\n";

impl Expectations {
    /// In the order of the requests, and over again.
    pub(crate) fn new(expectations: Vec<Expect>) -> Expectations {
        assert!(!expectations.is_empty());
        let known = expectations.into_iter().map(|expect| {
            let prefix = match &expect {
                Expect::Simple(text) => format!("+{text}\r\n"),
                Expect::Bulk(len) | Expect::Value(len) => format!("${len}\r\n"),
                Expect::Anything | Expect::Integer | Expect::Array => String::new(),
            };
            let body = if let Expect::Bulk(len) | Expect::Value(len) = expect { len + 2 } else { 0 };
            Known { len: prefix.len() + body, prefix: prefix.into_bytes(), expect }
        });
        Expectations { known: known.collect() }
    }
}

/// What a load's replies amounted to.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tally {
    /// Replies as expected.
    pub(crate) served: u64,
    /// Error replies.
    pub(crate) errors: u64,
    /// Replies that were no errors, but not as expected.
    pub(crate) mismatches: u64,
    /// Of those served, how many held nothing where a value could have been.
    pub(crate) misses: u64,
    /// The first of either, for a message.
    pub(crate) first_failure: Option<String>,
}

impl Tally {
    /// Error replies and unexpected ones.
    pub(crate) fn failures(&self) -> u64 {
        self.errors + self.mismatches
    }
}

/// Bytes that are no RESP reply.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ProtocolError {
    /// No such type, or no number where one belongs.
    #[error("the server sent something that is no reply: {0:?}")]
    NoReply(String),
    /// A line without an end.
    #[error("the server sent a line of more than {LINE_LEN_MAX} bytes")]
    LineTooLong,
}

/// The reply stream of one connection.
#[derive(Debug)]
pub(crate) struct ReplyStream {
    expectations: Expectations,
    /// Which expectation the next reply meets.
    next: usize,
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    /// Bytes of a bulk string, its line ending included, still to come.
    skip: u64,
    /// Elements of the reply under way that have not ended.
    open: u64,
    /// What is under way is no reply, but something that a RESP3 server tells on its own.
    push: bool,
}

impl ReplyStream {
    /// A stream before its first reply, which belongs to request `first` of the workload gone over again and again.
    pub(crate) fn new(expectations: Expectations, first: usize) -> ReplyStream {
        let next = first % expectations.known.len();
        ReplyStream { expectations, next, line: Vec::new(), skip: 0, open: 0, push: false }
    }

    /// The next reply belongs to request `index`. Called when none is under way.
    #[inline]
    pub(crate) fn expect_from(&mut self, index: usize) {
        self.next = index % self.expectations.known.len();
    }

    /// Takes what arrived, and returns how many replies ended in it.
    #[inline]
    pub(crate) fn feed(&mut self, mut bytes: &[u8], tally: &mut Tally) -> Result<usize, ProtocolError> {
        let mut ended = 0;
        while !bytes.is_empty() {
            if self.open == 0 && self.line.is_empty() {
                let known = &self.expectations.known[self.next];
                if !known.prefix.is_empty() && bytes.len() >= known.len && is_known(bytes, known) {
                    bytes = &bytes[known.len..];
                    tally.served += 1;
                    ended += 1;
                    self.advance();
                    continue;
                }
            }
            let taken = self.element(bytes, tally)?;
            bytes = &bytes[taken..];
            if self.open == 0 && self.line.is_empty() {
                if self.push {
                    self.push = false;
                    continue;
                }
                ended += 1;
                self.advance();
            }
        }
        Ok(ended)
    }

    #[inline]
    fn advance(&mut self) {
        self.next += 1;
        if self.next == self.expectations.known.len() {
            self.next = 0;
        }
    }

    /// Takes one line, or bytes of the bulk string under way. Returns how many bytes it took.
    fn element(&mut self, bytes: &[u8], tally: &mut Tally) -> Result<usize, ProtocolError> {
        if self.skip > 0 {
            let taken = self.skip.min(bytes.len() as u64);
            self.skip -= taken;
            if self.skip == 0 {
                self.open -= 1;
            }
            return Ok(taken as usize);
        }
        let end = bytes.iter().position(|&byte| byte == b'\n');
        let taken = end.map_or(bytes.len(), |end| end + 1);
        if self.line.len() + taken > LINE_LEN_MAX {
            return Err(ProtocolError::LineTooLong);
        }
        if end.is_some() && self.line.is_empty() {
            self.take_line(&bytes[..taken], tally)?;
            return Ok(taken);
        }
        self.line.extend_from_slice(&bytes[..taken]);
        if end.is_some() {
            let line = std::mem::take(&mut self.line);
            self.take_line(&line, tally)?;
            self.line = line;
            self.line.clear();
        }
        Ok(taken)
    }

    fn take_line(&mut self, line: &[u8], tally: &mut Tally) -> Result<(), ProtocolError> {
        let (kind, rest) = match line {
            [kind, rest @ .., b'\r', b'\n'] => (*kind, rest),
            _ => return Err(no_reply(line)),
        };
        let outermost = self.open == 0;
        if outermost {
            self.open = 1;
            self.push = kind == b'>';
        }
        let mut len = None;
        match kind {
            b'+' | b'-' | b':' | b'_' | b'#' | b',' | b'(' => self.open -= 1,
            b'$' | b'!' | b'=' => {
                len = length(rest).ok_or_else(|| no_reply(line))?;
                match len {
                    Some(len) => self.skip = len + 2,
                    None => self.open -= 1,
                }
            }
            b'*' | b'~' | b'>' => self.open_elements(length(rest).ok_or_else(|| no_reply(line))?, 1),
            b'%' => self.open_elements(length(rest).ok_or_else(|| no_reply(line))?, 2),
            _ => return Err(no_reply(line)),
        }
        if outermost && !self.push {
            let expect = &self.expectations.known[self.next].expect;
            match judge(expect, kind, rest, len) {
                Verdict::Served => {
                    tally.served += 1;
                    tally.misses += u64::from(is_nothing(line));
                }
                Verdict::Error => tally.errors += 1,
                Verdict::Mismatch => tally.mismatches += 1,
            }
            if tally.failures() > 0 && tally.first_failure.is_none() {
                tally.first_failure = Some(first_failure(expect, kind, line));
            }
        }
        Ok(())
    }

    fn open_elements(&mut self, len: Option<u64>, factor: u64) {
        self.open = (self.open - 1).saturating_add(len.unwrap_or(0).saturating_mul(factor));
    }
}

/// Whether `bytes` begin with the expected reply. A bulk string is known by its header and its end.
#[inline]
fn is_known(bytes: &[u8], known: &Known) -> bool {
    bytes.starts_with(&known.prefix) && bytes[..known.len].ends_with(b"\r\n")
}

enum Verdict {
    Served,
    Error,
    Mismatch,
}

fn judge(expect: &Expect, kind: u8, rest: &[u8], len: Option<u64>) -> Verdict {
    let as_expected = match expect {
        _ if matches!(kind, b'-' | b'!') => return Verdict::Error,
        Expect::Anything => true,
        Expect::Simple(text) => kind == b'+' && rest == text.as_bytes(),
        Expect::Integer => kind == b':',
        Expect::Bulk(expected) => kind == b'$' && len == Some(*expected as u64),
        Expect::Value(_) => matches!(kind, b'$' | b'_') || (kind == b'*' && rest == b"-1"),
        Expect::Array => matches!(kind, b'*' | b'~' | b'%'),
    };
    if as_expected { Verdict::Served } else { Verdict::Mismatch }
}

/// Whether a reply that begins so holds nothing.
#[inline]
fn is_nothing(line: &[u8]) -> bool {
    line == NIL || line == b"_\r\n" || line == b"*-1\r\n"
}

/// An error in the server's own words; anything else with what should have been there.
#[cold]
fn first_failure(expect: &Expect, kind: u8, line: &[u8]) -> String {
    match kind {
        b'-' => shown(&line[1..]),
        b'!' => "an error as a bulk string".to_owned(),
        _ => format!("{} where {expect:?} was expected", shown(line)),
    }
}

/// A length in a header: `Some(None)` is -1, the null of RESP2; `None` is no length at all.
fn length(digits: &[u8]) -> Option<Option<u64>> {
    if digits == b"-1" {
        return Some(None);
    }
    let text = std::str::from_utf8(digits).ok()?;
    // Bounded so that the line ending can be added.
    text.parse::<u32>().ok().map(|len| Some(u64::from(len)))
}

#[cold]
fn no_reply(line: &[u8]) -> ProtocolError {
    ProtocolError::NoReply(shown(line))
}

fn shown(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line[..line.len().min(SHOWN_LEN_MAX)].trim_ascii_end()).into_owned();
    text.chars().map(|char| if char.is_control() { '?' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn stream(expectations: &[Expect]) -> ReplyStream {
        ReplyStream::new(Expectations::new(expectations.to_vec()), 0)
    }

    fn feed_all(stream: &mut ReplyStream, bytes: &[u8]) -> (usize, Tally) {
        let mut tally = Tally::default();
        let ended = stream.feed(bytes, &mut tally).unwrap();
        (ended, tally)
    }

    #[test]
    fn replies_as_expected_are_served() {
        let mut stream = stream(&[Expect::Simple("OK"), Expect::Bulk(3), Expect::Integer, Expect::Anything]);
        let (ended, tally) = feed_all(&mut stream, b"+OK\r\n$3\r\nabc\r\n:12\r\n*2\r\n$1\r\na\r\n*1\r\n:1\r\n+OK\r\n");
        assert_eq!((ended, tally.served, tally.failures()), (5, 5, 0));
    }

    #[test]
    fn an_error_is_never_served() {
        for expect in [Expect::Anything, Expect::Integer, Expect::Bulk(6), Expect::Simple("OK")] {
            let (ended, tally) = feed_all(&mut stream(&[expect]), b"-ERR no\r\n!5\r\nERR a\r\n");
            assert_eq!((ended, tally.served, tally.errors), (2, 0, 2));
            assert_eq!(tally.first_failure.unwrap(), "ERR no");
        }
    }

    #[test]
    fn other_types_lengths_and_texts_are_mismatches() {
        for (expect, reply) in [
            (Expect::Bulk(3), &b"$4\r\nabcd\r\n"[..]),
            (Expect::Bulk(3), b"$-1\r\n"),
            (Expect::Bulk(3), b"_\r\n"),
            (Expect::Bulk(3), b"+abc\r\n"),
            (Expect::Simple("OK"), b"+KO\r\n"),
            (Expect::Simple("OK"), b"$2\r\nOK\r\n"),
            (Expect::Integer, b"$1\r\n1\r\n"),
            (Expect::Integer, b"*1\r\n:1\r\n"),
        ] {
            let (ended, tally) = feed_all(&mut stream(&[expect]), reply);
            assert_eq!((ended, tally.served, tally.mismatches), (1, 0, 1), "{}", reply.escape_ascii());
        }
    }

    #[test]
    fn a_value_may_be_missing_or_of_another_length() {
        let bytes = b"$3\r\nabc\r\n$-1\r\n_\r\n$5\r\nabcde\r\n*-1\r\n:1\r\n";
        let (ended, tally) = feed_all(&mut stream(&[Expect::Value(3)]), bytes);
        assert_eq!((ended, tally.served, tally.misses, tally.mismatches), (6, 5, 3, 1));
        let (_, tally) = feed_all(&mut stream(&[Expect::Array]), b"*1\r\n:1\r\n*0\r\n$1\r\na\r\n");
        assert_eq!((tally.served, tally.mismatches), (2, 1));
    }

    #[test]
    fn what_a_server_tells_on_its_own_is_no_reply() {
        let bytes = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\na\r\n+OK\r\n>1\r\n+x\r\n";
        let (ended, tally) = feed_all(&mut stream(&[Expect::Simple("OK")]), bytes);
        assert_eq!((ended, tally.served, tally.failures()), (1, 1, 0));
    }

    #[test]
    fn an_error_inside_an_array_belongs_to_the_array() {
        let (ended, tally) = feed_all(&mut stream(&[Expect::Anything]), b"*2\r\n-ERR a\r\n%1\r\n+k\r\n~0\r\n*-1\r\n");
        assert_eq!((ended, tally.served, tally.errors), (2, 2, 0));
    }

    #[test]
    fn what_is_no_reply_is_refused() {
        for bytes in [&b"hello\r\n"[..], b"$x\r\n", b"*-2\r\n", b"+OK\n", b"$3\r\nabcdef\r\n", b"$99999999999\r\n"] {
            let mut tally = Tally::default();
            assert!(stream(&[Expect::Anything]).feed(bytes, &mut tally).is_err(), "{}", bytes.escape_ascii());
        }
        let endless = vec![b'+'; LINE_LEN_MAX + 1];
        assert_eq!(stream(&[Expect::Anything]).feed(&endless, &mut Tally::default()), Err(ProtocolError::LineTooLong));
    }

    proptest! {
        #[test]
        fn pieces_do_not_matter(cuts in prop::collection::vec(0usize..90, 0..12)) {
            let bytes = b"$3\r\nabc\r\n*2\r\n$2\r\n\r\n\r\n%1\r\n+a\r\n:1\r\n$0\r\n\r\n-ERR x\r\n$-1\r\n$3\r\nxyz\r\n";
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let mut stream = stream(&[Expect::Bulk(3), Expect::Anything]);
            let mut tally = Tally::default();
            let ended: usize =
                cuts.windows(2).map(|cut| stream.feed(&bytes[cut[0]..cut[1]], &mut tally).unwrap()).sum();
            prop_assert_eq!((ended, tally.served, tally.errors, tally.mismatches), (6, 3, 1, 2));
        }
    }
}
