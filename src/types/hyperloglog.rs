//! HyperLogLogs: strings that tell about how many different elements were added to them. Any one thread.
//!
//! ```text
//!   "HYLL" | encoding: 0 dense, 1 sparse | 3 bytes unused | 8 bytes little-endian: the last estimate,
//!                                                           whose highest bit says that it is out of date
//!   dense    16384 registers of 6 bits, the first in the lowest bits of the first byte
//!   sparse   runs: 00llllll              l + 1 registers of 0
//!                  01llllll llllllll     l + 1 registers of 0
//!                  1vvvvvll              l + 1 registers of v + 1
//! ```
//!
//! Clients may read and write these strings like any others, so the bytes are Redis', and any bytes at all may be found
//! here: nothing is taken for granted but the header.

#![forbid(unsafe_code)]

use bytes::BytesMut;

use crate::base::murmur::hash64;

mod estimate;

pub use estimate::estimate;

/// How many registers there are.
pub const REGISTERS: usize = 1 << REGISTER_BITS;

const REGISTER_BITS: u32 = 14;
const HEADER_LEN: usize = 16;
const DENSE_LEN: usize = HEADER_LEN + REGISTERS * 6 / 8;
const MAGIC: &[u8] = b"HYLL";
const ENCODING_AT: usize = 4;
const ESTIMATE_AT: usize = 8;
const OUTDATED_AT: usize = 15;
const OUTDATED: u8 = 0x80;
const SEED: u64 = 0xadc8_3b19;

/// A HyperLogLog without elements.
pub const EMPTY: &[u8] = b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff";

/// All registers, spread out.
pub type Registers = [u8; REGISTERS];

/// The runs do not make up the registers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Corrupt;

/// How registers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Every register has its place.
    Dense,
    /// Runs of equal registers.
    Sparse,
}

/// How a string stores registers; `None` where it is no HyperLogLog.
pub fn encoding(bytes: &[u8]) -> Option<Encoding> {
    if bytes.len() < HEADER_LEN || !bytes.starts_with(MAGIC) {
        return None;
    }
    match bytes[ENCODING_AT] {
        0 if bytes.len() == DENSE_LEN => Some(Encoding::Dense),
        1 => Some(Encoding::Sparse),
        _ => None,
    }
}

fn is_dense(bytes: &[u8]) -> bool {
    encoding(bytes) == Some(Encoding::Dense)
}

/// The last estimate, unless it is out of date.
pub fn known_estimate(bytes: &[u8]) -> Option<u64> {
    let estimate = bytes.get(ESTIMATE_AT..HEADER_LEN)?.try_into().ok()?;
    (bytes[OUTDATED_AT] & OUTDATED == 0).then(|| u64::from_le_bytes(estimate))
}

/// Keeps an estimate.
pub fn keep_estimate(bytes: &mut [u8], estimate: u64) {
    if let Some(kept) = bytes.get_mut(ESTIMATE_AT..HEADER_LEN) {
        kept.copy_from_slice(&estimate.to_le_bytes());
    }
}

/// The estimate is out of date.
pub fn outdate(bytes: &mut [u8]) {
    if let Some(byte) = bytes.get_mut(OUTDATED_AT) {
        *byte |= OUTDATED;
    }
}

/// What an element does: which register it raises, and to what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    index: usize,
    value: u8,
}

impl Mark {
    /// Of this element.
    #[inline]
    pub fn of(element: &[u8]) -> Mark {
        let hash = hash64(element, SEED);
        // The bit above those that are left ends the search for a one.
        let rest = hash >> REGISTER_BITS | 1 << (64 - REGISTER_BITS);
        Mark { index: hash as usize % REGISTERS, value: rest.trailing_zeros() as u8 + 1 }
    }

    /// Raises register `index`, which there must be, to `value`.
    pub fn at(index: usize, value: u8) -> Mark {
        Mark { index: index % REGISTERS, value }
    }

    /// Whether it would change anything.
    pub fn is_news(self, bytes: &[u8]) -> Result<bool, Corrupt> {
        if is_dense(bytes) {
            return Ok(register(bytes, self.index) < self.value);
        }
        Ok(run_with(bytes, self.index)?.run.value < self.value)
    }

    /// Raises the register. Runs that would take more than `sparse_max` bytes, header included, become dense. Returns
    /// whether anything changed.
    pub fn make(self, buffer: &mut BytesMut, sparse_max: usize) -> Result<bool, Corrupt> {
        if !is_dense(buffer) {
            match self.make_sparse(buffer, sparse_max)? {
                Made::Nothing => return Ok(false),
                Made::Change => return Ok(true),
                Made::TooMuch => _ = to_dense(buffer)?,
            }
        }
        let is_news = register(buffer, self.index) < self.value;
        if is_news {
            set_register(buffer, self.index, self.value);
        }
        Ok(is_news)
    }

    fn make_sparse(self, buffer: &mut BytesMut, sparse_max: usize) -> Result<Made, Corrupt> {
        if self.value > VALUE_MAX {
            return Ok(Made::TooMuch);
        }
        let found = run_with(buffer, self.index)?;
        let Run { value, len, size } = found.run;
        if value >= self.value {
            return Ok(Made::Nothing);
        }
        // The run is parted: what lies before the register, the register, and what lies behind it.
        let mut parts = Parts::default();
        parts.push(value, self.index - found.first);
        parts.push(self.value, 1);
        parts.push(value, found.first + len - 1 - self.index);
        let parts = parts.bytes();
        if parts.len() > size && buffer.len() + parts.len() - size > sparse_max {
            return Ok(Made::TooMuch);
        }
        splice(buffer, found.at, size, parts);
        join(buffer, found.before.unwrap_or(HEADER_LEN));
        Ok(Made::Change)
    }
}

enum Made {
    Nothing,
    Change,
    /// Runs cannot hold it.
    TooMuch,
}

/// The greatest register that runs can hold.
const VALUE_MAX: u8 = 32;
/// The longest run of registers that are not 0.
const VALUE_RUN_MAX: usize = 4;
/// The longest run of zeros in one byte.
const SHORT_ZEROS_MAX: usize = 64;

/// Registers that are the same, and how many bytes say so.
#[derive(Clone, Copy)]
struct Run {
    value: u8,
    len: usize,
    size: usize,
}

impl Run {
    fn at(bytes: &[u8], at: usize) -> Option<Run> {
        let byte = *bytes.get(at)?;
        Some(match byte >> 6 {
            0 => Run { value: 0, len: usize::from(byte & 0x3f) + 1, size: 1 },
            1 => {
                let low = *bytes.get(at + 1)?;
                Run { value: 0, len: (usize::from(byte & 0x3f) << 8 | usize::from(low)) + 1, size: 2 }
            }
            _ => Run { value: (byte >> 2 & 0x1f) + 1, len: usize::from(byte & 3) + 1, size: 1 },
        })
    }
}

/// All runs in order; the last is `Err` where it is cut off.
fn runs(bytes: &[u8]) -> impl Iterator<Item = Result<Run, Corrupt>> {
    let mut at = HEADER_LEN;
    std::iter::from_fn(move || {
        if at >= bytes.len() {
            return None;
        }
        let run = Run::at(bytes, at).ok_or(Corrupt);
        at = run.map_or(bytes.len(), |run| at + run.size);
        Some(run)
    })
}

struct Found {
    run: Run,
    /// Where it stands, and the one before it.
    at: usize,
    before: Option<usize>,
    /// Its first register.
    first: usize,
}

/// The run that a register is in. What follows it is not looked at.
fn run_with(bytes: &[u8], index: usize) -> Result<Found, Corrupt> {
    let (mut at, mut before, mut first) = (HEADER_LEN, None, 0);
    loop {
        let run = Run::at(bytes, at).ok_or(Corrupt)?;
        if index < first + run.len {
            return Ok(Found { run, at, before, first });
        }
        first += run.len;
        before = Some(at);
        at += run.size;
    }
}

/// Up to three runs, as bytes.
#[derive(Default)]
struct Parts {
    bytes: [u8; 5],
    len: usize,
}

impl Parts {
    fn push(&mut self, value: u8, len: usize) {
        if len == 0 {
            return;
        }
        let count = len - 1;
        let made = match value {
            0 if len <= SHORT_ZEROS_MAX => [count as u8, 0],
            0 => [0x40 | (count >> 8) as u8, count as u8],
            _ => [run_of_value(value, len), 0],
        };
        let size = if value == 0 && len > SHORT_ZEROS_MAX { 2 } else { 1 };
        self.bytes[self.len..self.len + size].copy_from_slice(&made[..size]);
        self.len += size;
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn run_of_value(value: u8, len: usize) -> u8 {
    0x80 | (value - 1) << 2 | (len - 1) as u8
}

/// Puts `bytes` in the place of the `old` bytes at `at`.
fn splice(buffer: &mut BytesMut, at: usize, old: usize, bytes: &[u8]) {
    let len = buffer.len();
    if bytes.len() > old {
        buffer.resize(len + bytes.len() - old, 0);
    }
    buffer.copy_within(at + old..len, at + bytes.len());
    buffer.truncate(len + bytes.len() - old);
    buffer[at..at + bytes.len()].copy_from_slice(bytes);
}

/// Runs that are looked at for joining: the one before the parts, three parts, and the one behind.
const JOINED_MAX: usize = 5;

/// Joins neighbouring runs of one value from `at` on, as far as one run can be.
fn join(buffer: &mut BytesMut, at: usize) {
    let mut at = at;
    for _ in 0..JOINED_MAX {
        let Some(run) = Run::at(buffer, at) else { return };
        let next = Run::at(buffer, at + run.size);
        match next {
            Some(next) if run.value > 0 && next.value == run.value && run.len + next.len <= VALUE_RUN_MAX => {
                splice(buffer, at, 2, &[run_of_value(run.value, run.len + next.len)]);
            }
            _ => at += run.size,
        }
    }
}

/// Where a register begins: its byte, and how many bits lie before it there.
fn place(index: usize) -> (usize, u32) {
    (HEADER_LEN + index * 6 / 8, (index * 6 % 8) as u32)
}

fn register(bytes: &[u8], index: usize) -> u8 {
    let (at, shift) = place(index);
    let byte = |at: usize| u16::from(bytes.get(at).copied().unwrap_or(0));
    ((byte(at) | byte(at + 1) << 8) >> shift & 0x3f) as u8
}

fn set_register(bytes: &mut [u8], index: usize, value: u8) {
    let (at, shift) = place(index);
    let (mask, value) = (0x3fu16 << shift, u16::from(value) << shift);
    for (at, mask, value) in [(at, mask as u8, value as u8), (at + 1, (mask >> 8) as u8, (value >> 8) as u8)] {
        if let Some(byte) = bytes.get_mut(at) {
            *byte = *byte & !mask | value;
        }
    }
}

/// Raises `registers` to those of a HyperLogLog. Where it is corrupt some may have been raised.
pub fn raise_to(bytes: &[u8], registers: &mut Registers) -> Result<(), Corrupt> {
    if is_dense(bytes) {
        let (groups, _) = bytes[HEADER_LEN..].as_chunks::<3>();
        for (four, group) in registers.as_chunks_mut::<4>().0.iter_mut().zip(groups) {
            let bits = u32::from_le_bytes([group[0], group[1], group[2], 0]);
            for (at, register) in four.iter_mut().enumerate() {
                *register = (*register).max((bits >> (6 * at) & 0x3f) as u8);
            }
        }
        return Ok(());
    }
    let mut first = 0;
    for run in runs(bytes) {
        let run = run?;
        let covered = registers.get_mut(first..first + run.len).ok_or(Corrupt)?;
        if run.value > 0 {
            covered.iter_mut().for_each(|register| *register = (*register).max(run.value));
        }
        first += run.len;
    }
    if first == REGISTERS { Ok(()) } else { Err(Corrupt) }
}

/// The registers of a HyperLogLog.
pub fn registers(bytes: &[u8]) -> Result<Registers, Corrupt> {
    let mut registers = [0; REGISTERS];
    raise_to(bytes, &mut registers)?;
    Ok(registers)
}

/// Makes it dense. Returns whether it was not.
pub fn to_dense(buffer: &mut BytesMut) -> Result<bool, Corrupt> {
    if is_dense(buffer) {
        return Ok(false);
    }
    let registers = registers(buffer)?;
    buffer.truncate(HEADER_LEN);
    buffer[ENCODING_AT] = 0;
    buffer.resize(DENSE_LEN, 0);
    let (groups, _) = buffer[HEADER_LEN..].as_chunks_mut::<3>();
    for (four, group) in registers.as_chunks::<4>().0.iter().zip(groups) {
        let bits = four.iter().rev().fold(0, |bits, &register| bits << 6 | u32::from(register));
        group.copy_from_slice(&bits.to_le_bytes()[..3]);
    }
    Ok(true)
}

/// What PFDEBUG DECODE shows of runs: `z:` and `Z:` for zeros in one byte and two, `v:` for a value and its length. A
/// last one that is cut off is shown as if a zero byte followed.
pub fn shown_runs(bytes: &[u8]) -> String {
    let mut padded = bytes.to_vec();
    if runs(bytes).any(|run| run.is_err()) {
        padded.push(0);
    }
    let text = |run: Run| match run {
        Run { value: 0, len, size: 1 } => format!("z:{len}"),
        Run { value: 0, len, .. } => format!("Z:{len}"),
        Run { value, len, .. } => format!("v:{value},{len}"),
    };
    runs(&padded).flatten().map(text).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
