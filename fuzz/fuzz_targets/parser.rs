//! Any bytes to the request parser: no panic, no endless loop, and pieces give the same commands as the whole.
//!
//! The first byte says how long the pieces are; the second one sets the limits and whether the buffer is cut in between.

#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use torc::resp::args::{Args, Span};
use torc::resp::parse::{Limits, Parser, ProtocolError, Step};

type Command = Vec<Vec<u8>>;

/// Plays the connection's part; see `Parser::next` and `Step::NeedBlob`.
fn commands(pieces: &[&[u8]], limits: &Limits, compact: bool) -> (Vec<Command>, Option<ProtocolError>) {
    let (mut parser, mut buf) = (Parser::new(), Vec::new());
    let (mut spans, mut blobs): (Vec<Span>, Vec<Bytes>) = (Vec::new(), Vec::new());
    let mut receiving: Option<(usize, Vec<u8>)> = None;
    let mut commands = Vec::new();
    for piece in pieces {
        let mut piece = *piece;
        if let Some((len, mut blob)) = receiving.take() {
            let (taken, rest) = piece.split_at(piece.len().min(len - blob.len()));
            blob.extend_from_slice(taken);
            if blob.len() < len {
                receiving = Some((len, blob));
                continue;
            }
            parser.blob_received(Bytes::from(blob), &mut spans, &mut blobs);
            piece = rest;
        }
        buf.extend_from_slice(piece);
        loop {
            match parser.next(&buf, limits, &mut spans, &mut blobs) {
                Step::Command => {
                    commands.push(Args::new(&buf, &spans, &blobs).iter().map(<[u8]>::to_vec).collect());
                    spans.clear();
                    blobs.clear();
                }
                Step::NeedMore => break,
                Step::NeedBlob { len } => {
                    receiving = Some((len, buf.split_off(parser.position())));
                    break;
                }
                Step::Failed(error) => return (commands, Some(error)),
            }
        }
        if compact {
            let distance = parser.command_start();
            buf.drain(..distance);
            spans.iter_mut().for_each(|span| *span = span.shifted_down(distance));
            parser.rebase(distance);
        }
    }
    (commands, None)
}

fuzz_target!(|data: &[u8]| {
    let [piece_len, flags, bytes @ ..] = data else { return };
    let limits = Limits { bulk_len_max: 1 << 20, authenticated: flags & 1 == 1 };
    let pieces: Vec<&[u8]> = bytes.chunks(usize::from(*piece_len).max(1)).collect();
    let whole = commands(&[bytes], &limits, false);
    assert_eq!(commands(&pieces, &limits, flags & 2 == 2), whole);
});
