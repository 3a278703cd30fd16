//! The output of a client as Redis accounts for it: a buffer of its own that follows the size of its replies, and behind it
//! a list of blocks. Torc writes the replies of all clients into one slab, so neither exists here; what limits, CLIENT LIST
//! and `maxmemory-clients` count is computed from the bytes that were really produced and that really wait. Sizes are
//! those that redis-server 8.0 shows.

#![forbid(unsafe_code)]

use std::collections::VecDeque;

/// Bytes that a client's buffer has at first and at most.
pub const REPLY_BUFFER_BYTES: usize = 16 * 1024;
/// Bytes that it has at least.
const REPLY_BUFFER_MIN: usize = 1024;
/// How long the highest fill is remembered, in milliseconds, unless a test asks for something else.
const PEAK_RESET_MS: i64 = 5000;
/// Bytes in front of the text of a block.
const BLOCK_HEADER: usize = 16;
/// Bytes of the list's own node of a block.
const NODE_BYTES: usize = 24;
/// Bytes that fit into a block of small replies.
const SMALL_BLOCK_ROOM: usize = 20 * 1024 - BLOCK_HEADER;
/// Blocks take whole pages.
const PAGE_BYTES: usize = 4096;

/// What DEBUG REPLYBUFFER sets.
#[derive(Clone, Copy, Debug)]
pub struct ReplyBufferRules {
    /// Buffers keep their size.
    pub fixed: bool,
    /// How long the highest fill is remembered, in milliseconds; below 0: for ever.
    pub peak_reset_ms: i64,
}

impl Default for ReplyBufferRules {
    fn default() -> ReplyBufferRules {
        ReplyBufferRules { fixed: false, peak_reset_ms: PEAK_RESET_MS }
    }
}

/// How a buffer changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resized {
    /// It was larger than needed.
    Shrunk,
    /// It had been full.
    Grown,
}

/// The buffer that the first bytes of a client's replies go to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReplyBuffer {
    size: u32,
    peak: u32,
    peak_reset_ms: i64,
}

impl Default for ReplyBuffer {
    fn default() -> ReplyBuffer {
        ReplyBuffer { size: REPLY_BUFFER_BYTES as u32, peak: REPLY_BUFFER_BYTES as u32, peak_reset_ms: 0 }
    }
}

impl ReplyBuffer {
    /// Its size.
    #[inline]
    pub fn size(&self) -> usize {
        self.size as usize
    }

    /// The most that was in it of late.
    pub fn peak(&self) -> usize {
        self.peak as usize
    }

    /// So many bytes were written to the client at once.
    #[inline]
    pub fn filled(&mut self, bytes: usize) {
        self.peak = self.peak.max(bytes.min(self.size()) as u32);
    }

    /// Called from time to time, with what is in it now: the size follows the peak, and the peak is forgotten.
    pub fn adapt(&mut self, filled: usize, now_ms: i64, rules: ReplyBufferRules) -> Option<Resized> {
        if rules.fixed {
            return None;
        }
        let (size, peak) = (self.size(), self.peak());
        let fit = if size / 2 >= REPLY_BUFFER_MIN && peak < size / 2 {
            Some((REPLY_BUFFER_MIN.max(peak + 1), Resized::Shrunk))
        } else if size * 2 < REPLY_BUFFER_BYTES * 2 && peak == size {
            Some((REPLY_BUFFER_BYTES.min(size * 2), Resized::Grown))
        } else {
            None
        };
        if rules.peak_reset_ms >= 0 && now_ms - self.peak_reset_ms > rules.peak_reset_ms {
            self.peak = filled.min(size) as u32;
            self.peak_reset_ms = now_ms;
        }
        fit.map(|(size, how)| {
            self.size = size.max(filled).min(REPLY_BUFFER_BYTES) as u32;
            how
        })
    }
}

/// Bytes that a block with room for `len` takes.
fn block_bytes(len: usize) -> usize {
    (len.max(REPLY_BUFFER_BYTES) + BLOCK_HEADER).next_multiple_of(PAGE_BYTES)
}

/// A block of the list behind the buffer.
#[derive(Clone, Copy, Debug)]
struct Block {
    used: usize,
    bytes: usize,
}

/// Output that waits for a client, as Redis would keep it.
#[derive(Clone, Debug, Default)]
pub struct WaitingOutput {
    /// In the buffer: written into it since it was empty, and how much of that is sent.
    buffered: usize,
    buffered_sent: usize,
    blocks: VecDeque<Block>,
    /// How much of the first block is sent.
    first_sent: usize,
    bytes: usize,
}

impl WaitingOutput {
    /// Adds a reply, or a piece of one, of a client whose buffer is as large as `buffer`: what does not fit gets one block.
    pub fn append(&mut self, mut len: usize, buffer: usize) {
        if self.blocks.is_empty() {
            let taken = len.min(buffer.saturating_sub(self.buffered));
            self.buffered += taken;
            len -= taken;
        }
        if let Some(last) = self.blocks.back_mut() {
            let taken = len.min(last.bytes - BLOCK_HEADER - last.used);
            last.used += taken;
            len -= taken;
        }
        if len > 0 {
            let bytes = block_bytes(len);
            self.blocks.push_back(Block { used: len, bytes });
            self.bytes += bytes + NODE_BYTES;
        }
    }

    /// Adds replies that are smaller than a block each.
    pub fn append_small(&mut self, len: usize, buffer: usize) {
        let mut left = len;
        while left > 0 {
            let piece = left.min(SMALL_BLOCK_ROOM);
            self.append(piece, buffer);
            left -= piece;
        }
    }

    /// The socket took so many bytes.
    pub fn sent(&mut self, mut len: usize) {
        let taken = len.min(self.buffered - self.buffered_sent);
        self.buffered_sent += taken;
        len -= taken;
        if self.buffered_sent == self.buffered {
            (self.buffered, self.buffered_sent) = (0, 0);
        }
        while let Some(first) = self.blocks.front() {
            let left = first.used - self.first_sent;
            if len < left {
                self.first_sent += len;
                break;
            }
            len -= left;
            self.first_sent = 0;
            self.bytes -= first.bytes + NODE_BYTES;
            self.blocks.pop_front();
        }
    }

    /// What is shown of it.
    pub fn figures(&self) -> OutputFigures {
        OutputFigures { buffered: self.buffered, blocks: self.blocks.len(), bytes: self.bytes }
    }
}

/// How much output a client has, as limits and CLIENT LIST count it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputFigures {
    /// Bytes in the buffer (`obl`).
    pub buffered: usize,
    /// Blocks behind it (`oll`).
    pub blocks: usize,
    /// What those take (`omem`); limits are about this.
    pub bytes: usize,
}

impl OutputFigures {
    /// Together with what waits elsewhere.
    #[must_use]
    pub fn and(self, other: OutputFigures) -> OutputFigures {
        OutputFigures {
            buffered: self.buffered.max(other.buffered),
            blocks: self.blocks + other.blocks,
            bytes: self.bytes + other.bytes,
        }
    }

    /// With what was written in this turn too.
    #[must_use]
    pub fn with_unsent(self, unsent: Unsent, buffer: usize) -> OutputFigures {
        let mut output = WaitingOutput { buffered: self.buffered, ..WaitingOutput::default() };
        if self.blocks > 0 {
            // Behind blocks the buffer stays unused.
            output.buffered = buffer;
        }
        let behind = unsent.bytes().saturating_sub(buffer.saturating_sub(output.buffered));
        let large = unsent.large.min(behind);
        output.append_small(unsent.bytes() - large, buffer);
        output.append(large, buffer);
        let added = output.figures();
        OutputFigures {
            buffered: if self.blocks > 0 { self.buffered } else { added.buffered },
            blocks: self.blocks + added.blocks,
            bytes: self.bytes + added.bytes,
        }
    }
}

/// How much a client wrote that was not offered to the socket yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unsent {
    /// In pieces that are smaller than a block.
    small: usize,
    /// In larger ones.
    large: usize,
}

impl Unsent {
    /// Adds `bytes`, of which `small` are in small pieces.
    #[inline]
    pub fn add(&mut self, small: usize, bytes: usize) {
        self.small += small;
        self.large += bytes - small;
    }

    /// Together with more.
    #[must_use]
    pub fn and(self, more: Unsent) -> Unsent {
        Unsent { small: self.small + more.small, large: self.large + more.large }
    }

    /// All of it.
    #[inline]
    pub fn bytes(self) -> usize {
        self.small + self.large
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RULES: ReplyBufferRules = ReplyBufferRules { fixed: false, peak_reset_ms: PEAK_RESET_MS };

    #[test]
    fn a_buffer_shrinks_when_its_peak_is_forgotten() {
        let mut buffer = ReplyBuffer::default();
        assert_eq!(buffer.adapt(0, 1_000_000, RULES), None);
        assert_eq!((buffer.size(), buffer.peak()), (16384, 0));
        buffer.filled(2000);
        assert_eq!(buffer.adapt(0, 1_000_100, RULES), Some(Resized::Shrunk));
        assert_eq!((buffer.size(), buffer.peak()), (2001, 2000));
        assert_eq!(buffer.adapt(0, 1_005_001, RULES), None);
        assert_eq!((buffer.size(), buffer.peak()), (2001, 0));
        // Less than half of it would be below the least size.
        assert_eq!(buffer.adapt(0, 1_005_100, RULES), None);
        buffer = ReplyBuffer { size: 16384, peak: 0, peak_reset_ms: 0 };
        assert_eq!(buffer.adapt(0, 1, RULES), Some(Resized::Shrunk));
        assert_eq!(buffer.size(), 1024);
    }

    #[test]
    fn a_full_buffer_grows_up_to_its_first_size() {
        let never = ReplyBufferRules { fixed: false, peak_reset_ms: -1 };
        let mut buffer = ReplyBuffer { size: 1024, peak: 0, peak_reset_ms: 0 };
        for size in [2048, 4096, 8192, 16384] {
            buffer.filled(100_000);
            assert_eq!(buffer.adapt(0, i64::MAX, never), Some(Resized::Grown));
            assert_eq!(buffer.size(), size);
        }
        buffer.filled(100_000);
        assert_eq!(buffer.adapt(0, i64::MAX, never), None);
        buffer.peak = 0;
        assert_eq!(buffer.adapt(0, i64::MAX, ReplyBufferRules { fixed: true, ..never }), None);
    }

    /// Figures that redis-server 8.0.6 showed.
    #[test]
    fn waiting_output_is_counted_as_redis_counts_it() {
        let figures = |appended: &[usize]| {
            let mut output = WaitingOutput::default();
            appended.iter().for_each(|len| output.append(*len, REPLY_BUFFER_BYTES));
            let OutputFigures { buffered, blocks, bytes } = output.figures();
            (buffered, blocks, bytes)
        };
        assert_eq!(figures(&[1009, 1009]), (2018, 0, 0));
        assert_eq!(figures(&[10_010; 3]), (16_384, 1, 20_504));
        assert_eq!(figures(&[9, 300_002]), (16_384, 1, 286_744));
        let with =
            |figures: OutputFigures, small, large| figures.with_unsent(Unsent { small, large }, REPLY_BUFFER_BYTES);
        let unsent = with(OutputFigures::default(), 11, 300_000);
        assert_eq!((unsent.buffered, unsent.blocks, unsent.bytes), (16_384, 1, 286_744));
        assert_eq!(with(unsent, 1, 0).bytes, 286_744 + 20_504);
        let unsent = with(OutputFigures::default(), 111_000, 0);
        assert_eq!((unsent.buffered, unsent.blocks, unsent.bytes), (16_384, 5, 5 * 20_504));
    }

    #[test]
    fn what_was_sent_is_forgotten_block_by_block() {
        let mut output = WaitingOutput::default();
        output.append(16_384 + 30_000, REPLY_BUFFER_BYTES);
        output.append(5_000, REPLY_BUFFER_BYTES);
        assert_eq!(output.figures(), OutputFigures { buffered: 16_384, blocks: 2, bytes: 32_792 + 20_504 });
        output.sent(16_000);
        assert_eq!(output.figures().buffered, 16_384);
        output.sent(384 + 32_000);
        assert_eq!(output.figures(), OutputFigures { buffered: 0, blocks: 2, bytes: 32_792 + 20_504 });
        // Behind blocks the buffer stays unused.
        output.append(10, REPLY_BUFFER_BYTES);
        assert_eq!(output.figures().buffered, 0);
        output.sent(1_000);
        assert_eq!(output.figures(), OutputFigures { buffered: 0, blocks: 1, bytes: 20_504 });
        output.sent(2_010);
        assert_eq!(output.figures(), OutputFigures::default());
    }
}
