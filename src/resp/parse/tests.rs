//! The parser against the rules of the protocol, and against itself: pieces against the whole.

use proptest::prelude::*;

use super::*;
use crate::resp::args::Args;

const LIMITS: Limits = Limits { bulk_len_max: 512 << 20, authenticated: true };

/// A command's arguments, copied.
type Command = Vec<Vec<u8>>;

/// Plays the part of the connection: keeps the buffer, cuts it, receives blobs.
struct Feeder {
    parser: Parser,
    limits: Limits,
    buf: Vec<u8>,
    spans: Vec<Span>,
    blobs: Vec<Bytes>,
    blob: Option<(usize, Vec<u8>)>,
    commands: Vec<Command>,
    failure: Option<ProtocolError>,
    /// Remove consumed bytes from the front of the buffer after every piece.
    compact: bool,
}

impl Feeder {
    fn new(limits: Limits) -> Feeder {
        Feeder {
            parser: Parser::new(),
            limits,
            buf: Vec::new(),
            spans: Vec::new(),
            blobs: Vec::new(),
            blob: None,
            commands: Vec::new(),
            failure: None,
            compact: false,
        }
    }

    fn feed(&mut self, mut bytes: &[u8]) {
        if let Some((len, blob)) = &mut self.blob {
            let taken = bytes.len().min(*len - blob.len());
            blob.extend_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            if blob.len() < *len {
                return;
            }
            let (_, blob) = self.blob.take().expect("checked above");
            self.parser.blob_received(Bytes::from(blob), &mut self.spans, &mut self.blobs);
        }
        self.buf.extend_from_slice(bytes);
        while self.failure.is_none() {
            match self.parser.next(&self.buf, &self.limits, &mut self.spans, &mut self.blobs) {
                Step::Command => {
                    let args = Args::new(&self.buf, &self.spans, &self.blobs);
                    self.commands.push(args.iter().map(<[u8]>::to_vec).collect());
                    self.spans.clear();
                    self.blobs.clear();
                    assert!(self.parser.is_idle());
                }
                Step::NeedMore => break,
                Step::NeedBlob { len } => {
                    assert_eq!(self.parser.bulk_pending(), Some(len));
                    let blob = self.buf.split_off(self.parser.position());
                    assert!(blob.len() < len);
                    self.blob = Some((len, blob));
                    break;
                }
                Step::Failed(error) => self.failure = Some(error),
            }
        }
        if self.compact {
            let distance = self.parser.command_start();
            self.buf.drain(..distance);
            self.spans.iter_mut().for_each(|span| *span = span.shifted_down(distance));
            self.parser.rebase(distance);
        }
    }
}

fn parse(bytes: &[u8]) -> (Vec<Command>, Option<ProtocolError>) {
    parse_with(bytes, LIMITS)
}

fn parse_with(bytes: &[u8], limits: Limits) -> (Vec<Command>, Option<ProtocolError>) {
    let mut feeder = Feeder::new(limits);
    feeder.feed(bytes);
    (feeder.commands, feeder.failure)
}

#[track_caller]
fn gives(bytes: &[u8], commands: &[&[&[u8]]]) {
    let (parsed, failure) = parse(bytes);
    assert_eq!(failure, None, "{}", bytes.escape_ascii());
    let parsed: Vec<Vec<&[u8]>> = parsed.iter().map(|args| args.iter().map(Vec::as_slice).collect()).collect();
    assert_eq!(parsed, commands, "{}", bytes.escape_ascii());
}

#[track_caller]
fn fails(bytes: &[u8], error: ProtocolError) {
    assert_eq!(parse(bytes), (vec![], Some(error)), "{}", bytes.escape_ascii());
}

fn multibulk(args: &[impl AsRef<[u8]>]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args.iter().map(AsRef::as_ref) {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

#[test]
fn pipelines() {
    gives(b"*1\r\n$4\r\nPING\r\n", &[&[b"PING"]]);
    gives(
        b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$0\r\n\r\n",
        &[&[b"GET", b"k"], &[b"SET", b"k", b""]],
    );
    gives(b"*2\r\n$4\r\nECHO\r\n$5\r\nhel\0o\r\n", &[&[b"ECHO", b"hel\0o"]]);
    gives(b"PING\r\n*1\r\n$4\r\nPING\r\nPING\n", &[&[b"PING"], &[b"PING"], &[b"PING"]]);
    gives(b"*1\r\n$0\r\n\r\n", &[&[b""]]);
    let (ten, eleven) = ("x".repeat(10), "y".repeat(100));
    gives(&multibulk(&[&ten, &eleven]), &[&[ten.as_bytes(), eleven.as_bytes()]]);
}

#[test]
fn empty_commands_are_skipped() {
    gives(b"*0\r\n*-1\r\n*-5\r\n\r\n\n  \r\nPING\r\n", &[&[b"PING"]]);
    gives(b"\"\"\r\n", &[&[b""]]);
}

#[test]
fn bytes_after_a_carriage_return_are_not_looked_at() {
    gives(b"*1\rx$4\rxPINGxx*1\r\r$4\r\0PINGab", &[&[b"PING"], &[b"PING"]]);
}

#[test]
fn what_waits() {
    for bytes in [
        &b""[..],
        b"*",
        b"*1",
        b"*1\r",
        b"*1\r\n",
        b"*1\r\n$",
        b"*1\r\n$4\r",
        b"*1\r\n$4\r\nPING",
        b"*1\r\n$4\r\nPING\r",
        b"PING",
        b"PING\r",
        b"*1\n$4\nPING\n",
        b"*1\0\r\n$4\r\nPING\r\n",
        b"*1\r\n\0\r\n",
        b"PI\0NG\r\n",
        b"*2147483647\r\n",
        b"*1\r\n$536870912\r\n",
        b"*1\r\nx",
    ] {
        assert_eq!(parse(bytes), (vec![], None), "{}", bytes.escape_ascii());
    }
}

#[test]
fn a_huge_count_reserves_little() {
    let mut feeder = Feeder::new(LIMITS);
    feeder.feed(b"*1000000000\r\n$1\r\na\r\n");
    assert!(feeder.spans.capacity() <= 4096);
    assert_eq!(feeder.parser.arguments_left(), 999_999_999);
}

#[test]
fn counts_have_one_spelling() {
    for count in ["", "+1", "01", "-0", " 1", "1 ", "a", "2147483648", "9223372036854775808", "1\n"] {
        fails(format!("*{count}\r\n").as_bytes(), ProtocolError::CountInvalid);
    }
}

#[test]
fn lengths_have_one_spelling() {
    for len in ["", "-1", "+4", "04", "-0", " 4", "4 ", "x", "536870913", "9223372036854775808", "\n"] {
        fails(format!("*1\r\n${len}\r\n").as_bytes(), ProtocolError::LengthInvalid);
    }
    let limits = Limits { bulk_len_max: u64::MAX, ..LIMITS };
    assert_eq!(parse_with(b"*1\r\n$536870913\r\n", limits), (vec![], None));
}

#[test]
fn a_dollar_is_expected() {
    for (bytes, byte, shown) in [
        (&b"*1\r\n\xff\r\n"[..], 0xff, 0xff),
        (b"*1\r\n\r\n", b'\r', b' '),
        (b"*1\r\n\n\r\n", b'\n', b' '),
        (b"*1\r\n:1\r\n", b':', b':'),
        (b"*2\r\n$1\r\na\r\n*1\r\n", b'*', b'*'),
    ] {
        let (commands, failure) = parse(bytes);
        assert!(commands.is_empty());
        assert_eq!(failure, Some(ProtocolError::ExpectedDollar(byte)));
        let text = failure.expect("checked above").reply_text().into_owned();
        assert_eq!(text, [b"Protocol error: expected '$', got '", &[shown][..], b"'"].concat());
    }
}

#[test]
fn unauthenticated_limits() {
    let limits = Limits { authenticated: false, ..LIMITS };
    let ten = multibulk(&["a"; 10]);
    assert_eq!(parse_with(&ten, limits).0.len(), 1);
    let eleven = multibulk(&["a"; 11]);
    assert_eq!(parse_with(&eleven, limits), (vec![], Some(ProtocolError::CountUnauthenticated)));
    assert_eq!(parse_with(&multibulk(&["a".repeat(16384)]), limits).0.len(), 1);
    let longer = multibulk(&["a".repeat(16385)]);
    assert_eq!(parse_with(&longer, limits), (vec![], Some(ProtocolError::LengthUnauthenticated)));
    assert_eq!(parse_with(b"*1\r\n$536870913\r\n", limits).1, Some(ProtocolError::LengthInvalid));
}

#[test]
fn long_lines() {
    for (first, prefix, error) in [
        (&b""[..], b'x', ProtocolError::InlineTooBig),
        (b"", b'*', ProtocolError::CountTooLong),
        (b"*1\r\n", b'$', ProtocolError::LengthTooLong),
    ] {
        let mut bytes = first.to_vec();
        bytes.push(prefix);
        bytes.extend(vec![b'1'; LINE_MAX - 1]);
        assert_eq!(parse(&bytes), (vec![], None));
        bytes.push(b'1');
        assert_eq!(parse(&bytes), (vec![], Some(error)));
    }
    // A longer line passes when its end is there already.
    let line = [b"ECHO ".to_vec(), vec![b'x'; 2 * LINE_MAX], b"\r\n".to_vec()].concat();
    assert_eq!(parse(&line).0[0][1].len(), 2 * LINE_MAX);
    // A NUL byte hides the line end until there is too much.
    let hidden = [b"a\0\r\n".to_vec(), vec![b'\n'; LINE_MAX]].concat();
    assert_eq!(parse(&hidden).1, Some(ProtocolError::InlineTooBig));
}

#[test]
fn a_nul_byte_hides_line_ends_that_come_later() {
    for bytes in [&b"PI\0NG\r\nPING\r\n"[..], b"*1\0\r\n", b"*1\r\n$1\0\r\n"] {
        let mut feeder = Feeder::new(LIMITS);
        bytes.iter().for_each(|byte| feeder.feed(&[*byte]));
        assert_eq!((feeder.commands.len(), feeder.failure), (0, None), "{}", bytes.escape_ascii());
    }
}

#[test]
fn inline_requests() {
    gives(b"SET k 'a b' \"\\x41\\n\" x\r\n", &[&[b"SET", b"k", b"a b", b"A\n", b"x"]]);
    gives(b"PING a\\n\n", &[&[b"PING", b"a\\n"]]);
    gives(b"PING\r\r\n", &[&[b"PING"]]);
    for line in ["PING \"a\"b\n", "PING \"abc\n", "'\n"] {
        fails(line.as_bytes(), ProtocolError::UnbalancedQuotes);
    }
    let mut feeder = Feeder::new(LIMITS);
    let (mut spans, mut blobs) = (vec![], vec![]);
    assert_eq!(feeder.parser.next(b"GET k\r\n", &LIMITS, &mut spans, &mut blobs), Step::Command);
    assert_eq!(spans, [Span::in_buffer(0, 3), Span::in_buffer(4, 1)]);
    assert!(blobs.is_empty() && feeder.parser.is_inline());
}

#[test]
fn commands_before_an_error_are_delivered() {
    let (commands, failure) = parse(b"PING\r\n*1\r\n$4\r\nPING\r\n*x\r\nPING\r\n");
    assert_eq!((commands.len(), failure), (2, Some(ProtocolError::CountInvalid)));
}

#[test]
fn a_failure_is_final() {
    let mut feeder = Feeder::new(LIMITS);
    feeder.feed(b"*x\r\n");
    let again = feeder.parser.next(b"*x\r\nPING\r\n", &LIMITS, &mut feeder.spans, &mut feeder.blobs);
    assert_eq!(again, Step::Failed(ProtocolError::CountInvalid));
    assert!(!feeder.parser.is_idle());
}

#[test]
fn big_bulks_are_received_elsewhere() {
    let big = vec![b'v'; BLOB_MIN];
    let bytes = [multibulk(&[&b"SET"[..], b"k", &big, b"EX", b"10"]), b"PING\r\n".to_vec()].concat();
    let whole = parse(&bytes).0;
    assert_eq!(whole[0][2], big);
    let payload = bytes.len() - BLOB_MIN;
    for split in [10, 25, 30, 40, 1000, BLOB_MIN, payload, bytes.len() - 20, bytes.len() - 7] {
        let mut feeder = Feeder::new(LIMITS);
        feeder.feed(&bytes[..split]);
        feeder.feed(&bytes[split..]);
        assert_eq!(feeder.commands, whole, "split at {split}");
    }
    let mut feeder = Feeder::new(LIMITS);
    feeder.feed(&multibulk(&[&b"SET"[..], b"k", &big])[..30]);
    assert!(feeder.blob.is_some());
    // One byte shorter, and it stays in the buffer.
    let mut feeder = Feeder::new(LIMITS);
    feeder.feed(&multibulk(&[&b"SET"[..], b"k", &big[1..]])[..30]);
    assert!(feeder.blob.is_none());
    assert_eq!(feeder.parser.bulk_pending(), Some(BLOB_MIN - 1));
}

#[test]
fn a_complete_big_bulk_without_its_line_end_stays_in_the_buffer() {
    let bytes = multibulk(&[vec![b'v'; BLOB_MIN]]);
    let mut feeder = Feeder::new(LIMITS);
    feeder.feed(&bytes[..bytes.len() - 1]);
    assert!(feeder.blob.is_none() && feeder.commands.is_empty());
    feeder.feed(&bytes[bytes.len() - 1..]);
    assert_eq!(feeder.commands.len(), 1);
}

#[test]
#[should_panic(expected = "length that was asked for")]
fn a_blob_of_another_length_is_a_bug() {
    let mut feeder = Feeder::new(LIMITS);
    feeder.feed(b"*1\r\n$40000\r\n");
    feeder.parser.blob_received(Bytes::from_static(b"short"), &mut feeder.spans, &mut feeder.blobs);
}

#[test]
fn byte_by_byte_is_linear() {
    // A quadratic search would look at half of 64 KiB for every byte: some two thousand million bytes a line.
    let line = [b"*1\r\n$1\r\na\r\n".to_vec(), vec![b'x'; LINE_MAX - 2], b"\r\n".to_vec()].concat().repeat(8);
    let mut feeder = Feeder::new(LIMITS);
    feeder.compact = true;
    line.iter().for_each(|byte| feeder.feed(&[*byte]));
    assert_eq!(feeder.commands.len(), 16);
}

#[test]
fn names_for_the_log() {
    assert_eq!(ProtocolError::ExpectedDollar(0).log_name(), "expected $ but got something else");
    assert_eq!(ProtocolError::CountInvalid.log_name(), "invalid mbulk count");
    assert_eq!(&*ProtocolError::CountInvalid.reply_text(), b"Protocol error: invalid multibulk length");
}

/// One valid piece of a pipeline.
fn piece() -> impl Strategy<Value = Vec<u8>> {
    let arg = prop_oneof![
        4 => prop::collection::vec(any::<u8>(), 0..12),
        1 => (9..120usize).prop_map(|len| vec![b'\r'; len]),
        1 => (BLOB_MIN - 2..BLOB_MIN + 3).prop_map(|len| vec![b'v'; len]),
    ];
    prop_oneof![
        6 => prop::collection::vec(arg, 1..14).prop_map(|args| multibulk(&args)),
        2 => "[a-z]{1,5}( [a-z]{0,9}| \"[a-z ]{0,4}(\\\\x0a)?\"| 'a b'){0,3}\r?\n".prop_map(String::into_bytes),
        1 => prop_oneof![Just("*0\r\n"), Just("*-1\r\n"), Just("\r\n"), Just(" \n")].prop_map(|text| text.as_bytes().to_vec()),
    ]
}

fn in_pieces(
    bytes: &[u8],
    cuts: &[prop::sample::Index],
    compact: bool,
    limits: Limits,
) -> (Vec<Command>, Option<ProtocolError>) {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(bytes.len() + 1)).collect();
    cuts.extend([0, bytes.len()]);
    cuts.sort_unstable();
    let mut feeder = Feeder::new(limits);
    feeder.compact = compact;
    cuts.windows(2).for_each(|pair| feeder.feed(&bytes[pair[0]..pair[1]]));
    (feeder.commands, feeder.failure)
}

proptest! {
    #[test]
    fn any_split_gives_the_same_commands(
        pieces in prop::collection::vec(piece(), 0..6),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        compact: bool,
    ) {
        let bytes = pieces.concat();
        let whole = parse(&bytes);
        prop_assert_eq!(whole.1, None);
        prop_assert!(in_pieces(&bytes, &cuts, compact, LIMITS) == whole);
    }

    #[test]
    fn small_pipelines_byte_by_byte(args in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..30), 1..20), compact: bool) {
        let bytes = [multibulk(&args), multibulk(&args)].concat();
        let mut feeder = Feeder::new(LIMITS);
        feeder.compact = compact;
        bytes.iter().for_each(|byte| feeder.feed(&[*byte]));
        prop_assert_eq!(feeder.commands, [args.clone(), args]);
    }

    #[test]
    fn any_bytes_are_taken(
        bytes in prop::collection::vec(prop_oneof![Just(b'*'), Just(b'$'), Just(b'\r'), Just(b'\n'), Just(b'1'), Just(b'"'), any::<u8>()], 0..200),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
        compact: bool,
        authenticated: bool,
    ) {
        let limits = Limits { bulk_len_max: 1 << 20, authenticated };
        prop_assert!(in_pieces(&bytes, &cuts, compact, limits) == parse_with(&bytes, limits));
    }
}
