//! Replies read back: RESP2 and RESP3 bytes into values. For tests, the load generator and whoever talks to another
//! server as a client. Any thread; no I/O; not on the server's hot path.

#![forbid(unsafe_code)]

use crate::base::integer::parse_i64;

/// Replies nested deeper than this are refused.
const DEPTH_MAX: usize = 512;

/// The longest first line of a reply, in bytes: error texts, statuses and big numbers included.
const LINE_MAX: usize = 1 << 20;

/// One reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `+OK`
    Status(Vec<u8>),
    /// `-ERR ...`, the code included.
    Error(Vec<u8>),
    /// `:1`
    Integer(i64),
    /// `$3`
    Bulk(Vec<u8>),
    /// `$-1` or `_`
    Null,
    /// `*-1`
    NullArray,
    /// `*2`
    Array(Vec<Value>),
    /// `%1`: keys and values in order.
    Map(Vec<(Value, Value)>),
    /// `~2`
    Set(Vec<Value>),
    /// `>2`: out of band, not the reply to a command.
    Push(Vec<Value>),
    /// `|1`: said about the value that follows.
    Attribute(Vec<(Value, Value)>, Box<Value>),
    /// `,1.5` as its text.
    Double(Vec<u8>),
    /// `#t`
    Boolean(bool),
    /// `(123...` as its text.
    BigNumber(Vec<u8>),
    /// `=7`: the kind (`txt`, `mkd`) and the text.
    Verbatim([u8; 3], Vec<u8>),
}

/// The bytes are no reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A reply begins with this byte.
    #[error("unknown reply type {0:#04x}")]
    Type(u8),
    /// A number, length or count cannot be read.
    #[error("malformed number in a reply")]
    Number,
    /// A line or a bulk does not end with CR LF.
    #[error("missing line end in a reply")]
    LineEnd,
    /// A text of a fixed form (null, boolean, verbatim) has another one.
    #[error("malformed reply")]
    Form,
    /// The first line is longer than a reply's may be.
    #[error("line too long in a reply")]
    Line,
    /// Nested too deep.
    #[error("reply nested too deep")]
    Depth,
}

/// The first line of a reply, or of a part of one.
struct Head<'a> {
    kind: u8,
    text: &'a [u8],
    /// Bytes of the line, its end included.
    len: usize,
}

/// None: the line is not complete.
fn head(bytes: &[u8]) -> Result<Option<Head<'_>>, DecodeError> {
    let Some(&kind) = bytes.first() else { return Ok(None) };
    if !b"+-:$*_,#(!=%~>|".contains(&kind) {
        return Err(DecodeError::Type(kind));
    }
    let searched = &bytes[..bytes.len().min(LINE_MAX)];
    let Some(end) = searched.iter().position(|byte| *byte == b'\r') else {
        return if bytes.len() >= LINE_MAX { Err(DecodeError::Line) } else { Ok(None) };
    };
    match bytes.get(end + 1) {
        None => Ok(None),
        Some(b'\n') => Ok(Some(Head { kind, text: &bytes[1..end], len: end + 2 })),
        Some(_) => Err(DecodeError::LineEnd),
    }
}

/// What follows the first line.
enum Body {
    Nothing,
    /// A text of this many bytes and a line end.
    Text(usize),
    /// This many values.
    Values(u64),
}

impl Head<'_> {
    fn number(&self) -> Result<i64, DecodeError> {
        parse_i64(self.text).ok_or(DecodeError::Number)
    }

    fn count(&self) -> Result<u64, DecodeError> {
        u64::try_from(self.number()?).map_err(|_| DecodeError::Number)
    }

    fn is_null(&self) -> bool {
        matches!(self.kind, b'$' | b'*') && self.text == b"-1"
    }

    fn body(&self) -> Result<Body, DecodeError> {
        Ok(match self.kind {
            _ if self.is_null() => Body::Nothing,
            b'$' | b'=' | b'!' => Body::Text(usize::try_from(self.count()?).map_err(|_| DecodeError::Number)?),
            b'*' | b'~' | b'>' => Body::Values(self.count()?),
            b'%' => Body::Values(self.count()?.checked_mul(2).ok_or(DecodeError::Number)?),
            // The attribute's pairs, and the value that it is about.
            b'|' => {
                Body::Values(self.count()?.checked_mul(2).and_then(|n| n.checked_add(1)).ok_or(DecodeError::Number)?)
            }
            _ => Body::Nothing,
        })
    }
}

/// Finds where replies end without building them, continuing where it stopped: a load generator counts with this.
#[derive(Debug)]
pub struct Scanner {
    /// Values still to come of the reply begun; 0 between replies.
    values_left: u64,
    /// Bytes of a text and its line end still to come.
    text_left: usize,
    /// Bytes of the buffer that were looked at.
    position: usize,
    /// The type byte of the reply begun, or of the last one.
    kind: u8,
}

impl Default for Scanner {
    fn default() -> Self {
        Scanner::new()
    }
}

impl Scanner {
    /// At the start of an empty buffer.
    pub fn new() -> Scanner {
        Scanner { values_left: 0, text_left: 0, position: 0, kind: 0 }
    }

    /// Continues in `buf`, which has the same beginning as in the last call. True: a reply ends at `position()`.
    pub fn next(&mut self, buf: &[u8]) -> Result<bool, DecodeError> {
        loop {
            if self.text_left > 0 {
                let taken = self.text_left.min(buf.len() - self.position);
                self.text_left -= taken;
                self.position += taken;
                if self.text_left > 0 {
                    return Ok(false);
                }
                if self.values_left == 0 {
                    return Ok(true);
                }
            }
            let Some(head) = head(&buf[self.position..])? else { return Ok(false) };
            if self.values_left == 0 {
                self.values_left = 1;
                self.kind = head.kind;
            }
            self.values_left -= 1;
            match head.body()? {
                Body::Nothing => {}
                Body::Text(len) => self.text_left = len.checked_add(2).ok_or(DecodeError::Number)?,
                Body::Values(count) => {
                    self.values_left = self.values_left.checked_add(count).ok_or(DecodeError::Number)?;
                }
            }
            self.position += head.len;
            if self.values_left == 0 && self.text_left == 0 {
                return Ok(true);
            }
        }
    }

    /// Bytes consumed so far.
    pub fn position(&self) -> usize {
        self.position
    }

    /// The type byte of the reply that ended last (`-`: an error; `>`: a push).
    pub fn kind(&self) -> u8 {
        self.kind
    }

    /// The caller removed `distance` bytes, all of them consumed, from the front of the buffer.
    pub fn rebase(&mut self, distance: usize) {
        assert!(distance <= self.position, "bytes still in use");
        self.position -= distance;
    }
}

/// Builds replies from bytes that come in pieces.
#[derive(Debug, Default)]
pub struct Decoder {
    buf: Vec<u8>,
    scanner: Scanner,
}

impl Decoder {
    /// With nothing received.
    pub fn new() -> Decoder {
        Decoder::default()
    }

    /// Adds received bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        self.buf.extend_from_slice(bytes);
    }

    /// The next complete reply, where there is one.
    #[allow(clippy::should_implement_trait, reason = "not an iterator: it may give more after None")]
    pub fn next(&mut self) -> Result<Option<Value>, DecodeError> {
        if !self.scanner.next(&self.buf)? {
            return Ok(None);
        }
        let end = self.scanner.position();
        let (value, len) = value(&self.buf[..end], 0)?.expect("the scanner found its end");
        assert_eq!(len, end, "scanner and decoder agree on where a reply ends");
        self.buf.drain(..end);
        self.scanner.rebase(end);
        Ok(Some(value))
    }

    /// Bytes received that belong to no complete reply yet.
    pub fn rest(&self) -> &[u8] {
        &self.buf
    }
}

/// Reads one reply from the start of `bytes`: it and its length. None: it is not complete.
pub fn decode(bytes: &[u8]) -> Result<Option<(Value, usize)>, DecodeError> {
    value(bytes, 0)
}

/// Reads all of `bytes` as replies; None where the last one is not complete.
pub fn decode_all(mut bytes: &[u8]) -> Result<Option<Vec<Value>>, DecodeError> {
    let mut values = Vec::new();
    while !bytes.is_empty() {
        let Some((value, len)) = decode(bytes)? else { return Ok(None) };
        values.push(value);
        bytes = &bytes[len..];
    }
    Ok(Some(values))
}

fn value(bytes: &[u8], depth: usize) -> Result<Option<(Value, usize)>, DecodeError> {
    if depth > DEPTH_MAX {
        return Err(DecodeError::Depth);
    }
    let Some(head) = head(bytes)? else { return Ok(None) };
    let text = || head.text.to_vec();
    let simple = match head.kind {
        b'+' => Value::Status(text()),
        b'-' => Value::Error(text()),
        b':' => Value::Integer(head.number()?),
        b',' => Value::Double(text()),
        b'(' => Value::BigNumber(text()),
        b'#' => match head.text {
            b"t" => Value::Boolean(true),
            b"f" => Value::Boolean(false),
            _ => return Err(DecodeError::Form),
        },
        b'_' if head.text.is_empty() => Value::Null,
        b'_' => return Err(DecodeError::Form),
        b'$' if head.is_null() => Value::Null,
        b'*' if head.is_null() => Value::NullArray,
        _ => return composite(bytes, &head, depth),
    };
    Ok(Some((simple, head.len)))
}

/// A reply that has a body.
fn composite(bytes: &[u8], head: &Head<'_>, depth: usize) -> Result<Option<(Value, usize)>, DecodeError> {
    let mut at = head.len;
    let count = match head.body()? {
        Body::Text(len) => {
            let Some(text) = bytes[at..].get(..len) else { return Ok(None) };
            let Some(line_end) = bytes[at + len..].get(..2) else { return Ok(None) };
            if line_end != b"\r\n" {
                return Err(DecodeError::LineEnd);
            }
            return Ok(Some((text_value(head.kind, text)?, at + len + 2)));
        }
        Body::Values(count) => count,
        Body::Nothing => 0,
    };
    let mut values = Vec::new();
    for _ in 0..count {
        let Some((value, len)) = value(&bytes[at..], depth + 1)? else { return Ok(None) };
        values.push(value);
        at += len;
    }
    let value = match head.kind {
        b'*' => Value::Array(values),
        b'~' => Value::Set(values),
        b'>' => Value::Push(values),
        b'%' => Value::Map(pairs(values)),
        _ => {
            let about = Box::new(values.pop().expect("the count of an attribute includes the value"));
            Value::Attribute(pairs(values), about)
        }
    };
    Ok(Some((value, at)))
}

fn text_value(kind: u8, text: &[u8]) -> Result<Value, DecodeError> {
    Ok(match (kind, text) {
        (b'$', text) => Value::Bulk(text.to_vec()),
        (b'!', text) => Value::Error(text.to_vec()),
        (_, [a, b, c, b':', text @ ..]) => Value::Verbatim([*a, *b, *c], text.to_vec()),
        _ => return Err(DecodeError::Form),
    })
}

fn pairs(values: Vec<Value>) -> Vec<(Value, Value)> {
    let mut values = values.into_iter();
    let mut pairs = Vec::new();
    while let (Some(key), Some(value)) = (values.next(), values.next()) {
        pairs.push((key, value));
    }
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(bytes: &[u8]) -> Value {
        let (value, len) = decode(bytes).expect("well formed").expect("complete");
        assert_eq!(len, bytes.len());
        value
    }

    fn bulk(text: &str) -> Value {
        Value::Bulk(text.into())
    }

    #[test]
    fn every_type() {
        assert_eq!(one(b"+OK\r\n"), Value::Status(b"OK".to_vec()));
        assert_eq!(one(b"-ERR no\r\n"), Value::Error(b"ERR no".to_vec()));
        assert_eq!(one(b":-7\r\n"), Value::Integer(-7));
        assert_eq!(one(b"$3\r\na\rb\r\n"), bulk("a\rb"));
        assert_eq!(one(b"$-1\r\n"), Value::Null);
        assert_eq!(one(b"_\r\n"), Value::Null);
        assert_eq!(one(b"*-1\r\n"), Value::NullArray);
        assert_eq!(
            one(b"*2\r\n:1\r\n*1\r\n$0\r\n\r\n"),
            Value::Array(vec![Value::Integer(1), Value::Array(vec![bulk("")])])
        );
        assert_eq!(one(b"%1\r\n+k\r\n:1\r\n"), Value::Map(vec![(Value::Status(b"k".to_vec()), Value::Integer(1))]));
        assert_eq!(one(b"~1\r\n#t\r\n"), Value::Set(vec![Value::Boolean(true)]));
        assert_eq!(one(b">1\r\n,1.5\r\n"), Value::Push(vec![Value::Double(b"1.5".to_vec())]));
        assert_eq!(one(b"(123\r\n"), Value::BigNumber(b"123".to_vec()));
        assert_eq!(one(b"=7\r\ntxt:abc\r\n"), Value::Verbatim(*b"txt", b"abc".to_vec()));
        assert_eq!(one(b"!5\r\nERR x\r\n"), Value::Error(b"ERR x".to_vec()));
        assert_eq!(
            one(b"|1\r\n+a\r\n#f\r\n:1\r\n"),
            Value::Attribute(vec![(Value::Status(b"a".to_vec()), Value::Boolean(false))], Box::new(Value::Integer(1)))
        );
    }

    #[test]
    fn what_is_no_reply() {
        for (bytes, error) in [
            (&b"PONG\r\n"[..], DecodeError::Type(b'P')),
            (b":x\r\n", DecodeError::Number),
            (b"$-2\r\n", DecodeError::Number),
            (b"*x\r\n", DecodeError::Number),
            (b"+OK\rx", DecodeError::LineEnd),
            (b"$1\r\nabc", DecodeError::LineEnd),
            (b"#x\r\n", DecodeError::Form),
            (b"=2\r\nab\r\n", DecodeError::Form),
        ] {
            assert_eq!(decode(bytes), Err(error), "{}", bytes.escape_ascii());
        }
        assert_eq!(decode(&b"*1\r\n".repeat(DEPTH_MAX + 2)), Err(DecodeError::Depth));
        assert_eq!(decode(&[&b"+"[..], &vec![b'x'; LINE_MAX]].concat()), Err(DecodeError::Line));
    }

    #[test]
    fn every_prefix_is_incomplete_and_pieces_give_the_whole() {
        let bytes = b"*3\r\n$3\r\nabc\r\n%1\r\n+k\r\n|1\r\n+a\r\n:2\r\n$0\r\n\r\n*-1\r\n";
        let whole = one(bytes);
        for len in 0..bytes.len() {
            assert_eq!(decode(&bytes[..len]), Ok(None), "{len}");
        }
        let mut decoder = Decoder::new();
        for byte in &bytes[..bytes.len() - 1] {
            decoder.feed(&[*byte]);
            assert_eq!(decoder.next(), Ok(None));
        }
        decoder.feed(b"\n+x");
        assert_eq!(decoder.next(), Ok(Some(whole)));
        assert_eq!(decoder.next(), Ok(None));
        assert_eq!(decoder.rest(), b"+x");
    }

    #[test]
    fn scanning_counts_and_knows_errors() {
        let bytes = b"+OK\r\n-ERR x\r\n$5\r\nhello\r\n>1\r\n:1\r\n*0\r\n";
        let mut scanner = Scanner::new();
        let mut kinds = Vec::new();
        while scanner.next(bytes).expect("well formed") {
            kinds.push(scanner.kind());
        }
        assert_eq!(kinds, b"+-$>*");
        assert_eq!(scanner.position(), bytes.len());
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(
            bytes in prop::collection::vec(prop_oneof![Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), any::<u8>()], 0..100),
        ) {
            let _ = decode(&bytes);
            let mut decoder = Decoder::new();
            decoder.feed(&bytes);
            while let Ok(Some(_)) = decoder.next() {}
        }
    }
}
