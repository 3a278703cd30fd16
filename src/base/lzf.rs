//! The LZF format, in which long strings lie in DUMP payloads and snapshots: runs of bytes as they are, and references
//! to bytes that came up to 8 KiB before. Pure.
//!
//! ```text
//!   000lllll                     l + 1 bytes follow as they are
//!   lllooooo oooooooo            l + 2 bytes from o + 1 bytes before
//!   111ooooo llllllll oooooooo   l + 9 bytes from o + 1 bytes before
//! ```
//!
//! The compressor finds the references that Redis finds, so that equal strings have equal payloads.

#![forbid(unsafe_code)]

/// Longest run of literal bytes.
const RUN_MAX: usize = 32;

/// Farthest that a reference reaches back.
const OFFSET_MAX: usize = 1 << 13;

/// Longest stretch that one reference repeats.
const MATCH_MAX: usize = 264;

/// Shortest stretch worth a reference.
const MATCH_MIN: usize = 3;

/// Bits of a slot number in the table of places.
const SLOT_BITS: u32 = 16;

/// Most bytes that one byte of compressed data can stand for: three of them for `MATCH_MAX`.
const EXPANSION_MAX: usize = MATCH_MAX / 3;

/// Where each combination of three bytes was seen last.
struct Places(Vec<u32>);

impl Places {
    fn new() -> Places {
        Places(vec![u32::MAX; 1 << SLOT_BITS])
    }

    /// Notes that three bytes begin at `at`, and tells where others with their slot did.
    fn note(&mut self, input: &[u8], at: usize) -> Option<usize> {
        let three = u32::from_be_bytes([0, input[at], input[at + 1], input[at + 2]]);
        let slot = (three >> (24 - SLOT_BITS)).wrapping_sub(three.wrapping_mul(5)) & ((1 << SLOT_BITS) - 1);
        let before = std::mem::replace(&mut self.0[slot as usize], at as u32);
        (before != u32::MAX).then_some(before as usize)
    }
}

/// Compressed bytes on their way out.
struct Output {
    bytes: Vec<u8>,
    /// Where the length of the run in progress goes.
    run_at: usize,
    /// No more than these.
    max: usize,
}

impl Output {
    fn run_len(&self) -> usize {
        self.bytes.len() - self.run_at - 1
    }

    fn begin_run(&mut self) {
        self.run_at = self.bytes.len();
        self.bytes.push(0);
    }

    fn literal(&mut self, byte: u8) {
        self.bytes.push(byte);
        if self.run_len() == RUN_MAX {
            self.bytes[self.run_at] = RUN_MAX as u8 - 1;
            self.begin_run();
        }
    }

    /// Ends the run; an empty one leaves no trace.
    fn end_run(&mut self) {
        match self.run_len() {
            0 => self.bytes.truncate(self.run_at),
            len => self.bytes[self.run_at] = len as u8 - 1,
        }
    }

    fn reference(&mut self, distance: usize, len: usize) {
        self.end_run();
        let (offset, len) = (distance - 1, len - 2);
        let high = (offset >> 8) as u8;
        if len < 7 {
            self.bytes.push((len as u8) << 5 | high);
        } else {
            self.bytes.extend([7 << 5 | high, (len - 7) as u8]);
        }
        self.bytes.push(offset as u8);
        self.begin_run();
    }
}

/// Compresses `input`, or answers nothing where that would take more than `max` bytes.
pub fn compress(input: &[u8], max: usize) -> Option<Vec<u8>> {
    if input.is_empty() || input.len() >= u32::MAX as usize {
        return None;
    }
    let mut places = Places::new();
    let mut out = Output { bytes: Vec::with_capacity(max.min(input.len())), run_at: 0, max };
    out.begin_run();
    let mut at = 0;
    while at + 2 < input.len() {
        match reference_at(input, at, places.note(input, at)) {
            Some((distance, len)) => {
                if out.bytes.len() + 4 - usize::from(out.run_len() == 0) >= out.max {
                    return None;
                }
                out.reference(distance, len);
                at += len;
                if at + 2 >= input.len() {
                    break;
                }
                // The last two places inside of what was repeated can be referred to as well.
                places.note(input, at - 2);
                places.note(input, at - 1);
            }
            None => {
                if out.bytes.len() >= out.max {
                    return None;
                }
                out.literal(input[at]);
                at += 1;
            }
        }
    }
    if out.bytes.len() + 3 > out.max {
        return None;
    }
    input[at..].iter().for_each(|&byte| out.literal(byte));
    out.end_run();
    Some(out.bytes)
}

/// Distance and length of the reference from `at` to `from`, if the bytes there are the same and near enough. The very
/// first byte is never referred to, and the last two bytes only where a short reference covers them.
fn reference_at(input: &[u8], at: usize, from: Option<usize>) -> Option<(usize, usize)> {
    let from = from.filter(|&from| from > 0 && at - from <= OFFSET_MAX)?;
    let len_max = (input.len() - at - 2).min(MATCH_MAX);
    let len_max = len_max.max(if len_max > 16 { 19 } else { MATCH_MIN });
    let len = input[from..].iter().zip(&input[at..]).take(len_max).take_while(|(left, right)| left == right).count();
    (len >= MATCH_MIN).then_some((at - from, len))
}

/// Restores `len` bytes from `compressed`, or answers nothing where these are not what it stands for.
pub fn decompress(compressed: &[u8], len: usize) -> Option<Vec<u8>> {
    if len / EXPANSION_MAX > compressed.len() {
        return None;
    }
    let mut out = Vec::with_capacity(len);
    let mut rest = compressed;
    while let Some(control) = next(&mut rest) {
        let (head, low) = (usize::from(control >> 5), usize::from(control & 31));
        if head == 0 {
            let (run, after) = rest.split_at_checked(low + 1)?;
            out.extend_from_slice(run);
            rest = after;
        } else {
            let len = head + 2 + if head == 7 { usize::from(next(&mut rest)?) } else { 0 };
            let distance = (low << 8 | usize::from(next(&mut rest)?)) + 1;
            let from = out.len().checked_sub(distance)?;
            // What is repeated may reach into the repetition.
            for index in from..from + len {
                out.push(out[index]);
            }
        }
        if out.len() > len {
            return None;
        }
    }
    (out.len() == len).then_some(out)
}

fn next(rest: &mut &[u8]) -> Option<u8> {
    let (&byte, after) = rest.split_first()?;
    *rest = after;
    Some(byte)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_redis_makes_of_a_few_strings() {
        let compressed = |input: &[u8]| compress(input, input.len() - 4);
        assert_eq!(compressed(&[b'a'; 21]).as_deref(), Some(&b"\x01aa\xe0\n\x00"[..]));
        assert_eq!(compressed(&[b'a'; 63]).as_deref(), Some(&b"\x01aa\xe0\x32\x00\x01aa"[..]));
        assert_eq!(compressed(&b"ab".repeat(32)).as_deref(), Some(&b"\x02aba\xe0\x32\x01\x01ab"[..]));
        assert_eq!(compressed(b"abcdefghijklmnopqrstuvwxyz"), None);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        for (compressed, len) in [
            (&b"\x02abc"[..], 2),
            (b"\x02abc", 4),
            (b"\x03abc", 4),
            (b"\x20\x00", 3),
            (b"\x00a\x20", 4),
            (b"\x00a\xe0", 4),
            (b"\x00a\x20\x01", 4),
            (b"", usize::MAX),
            (b"\x00a\xe0\xff\x00", 1 << 40),
        ] {
            assert_eq!(decompress(compressed, len), None, "{compressed:?}");
        }
        assert_eq!(decompress(b"", 0).as_deref(), Some(&b""[..]));
        assert_eq!(decompress(b"\x00a\xe0\xff\x00", 265).as_deref(), Some(&[b'a'; 265][..]));
    }

    proptest! {
        #[test]
        fn what_was_compressed_comes_back(words in prop::collection::vec("[ab]{1,3}|[a-z]{1,40}", 0..200), repeats in 1usize..20) {
            let input = words.concat().into_bytes().repeat(repeats);
            if let Some(compressed) = compress(&input, input.len()) {
                prop_assert!(compressed.len() <= input.len());
                prop_assert_eq!(decompress(&compressed, input.len()), Some(input));
            }
        }

        #[test]
        fn any_bytes_are_taken_or_refused(compressed in prop::collection::vec(any::<u8>(), 0..200), len in 0usize..100_000) {
            if let Some(bytes) = decompress(&compressed, len) {
                prop_assert_eq!(bytes.len(), len);
            }
        }
    }
}
