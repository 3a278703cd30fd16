//! HOT PATH. SipHash: a keyed hash of byte strings, for tables whose keys are chosen by clients. Any thread; pure.
//!
//! The keyspace uses SipHash-1-3: one compression round and three finalisation rounds, as the hash maps of the Rust
//! standard library do. An attacker who does not know the key cannot aim for collisions.

#![forbid(unsafe_code)]

/// The secret key of a hash. One per process, drawn from a seed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SipKey {
    k0: u64,
    k1: u64,
}

impl SipKey {
    /// A key from two words.
    pub fn new(k0: u64, k1: u64) -> SipKey {
        SipKey { k0, k1 }
    }

    /// SipHash-1-3 of `data`.
    #[inline]
    pub fn hash13(self, data: &[u8]) -> u64 {
        self.hash::<1, 3>(data)
    }

    /// SipHash with `C` rounds per word and `D` rounds at the end.
    #[inline]
    fn hash<const C: usize, const D: usize>(self, data: &[u8]) -> u64 {
        let mut state = State {
            v0: self.k0 ^ 0x736f_6d65_7073_6575,
            v1: self.k1 ^ 0x646f_7261_6e64_6f6d,
            v2: self.k0 ^ 0x6c79_6765_6e65_7261,
            v3: self.k1 ^ 0x7465_6462_7974_6573,
        };
        let (words, tail) = data.as_chunks::<8>();
        for word in words {
            state.absorb::<C>(u64::from_le_bytes(*word));
        }
        state.absorb::<C>(tail_word(tail, data) | (data.len() as u64) << 56);
        state.v2 ^= 0xff;
        for _ in 0..D {
            state.round();
        }
        state.v0 ^ state.v1 ^ state.v2 ^ state.v3
    }
}

/// The last, incomplete word (`tail`, up to 7 bytes) of `data` in little-endian order, without a loop over bytes.
#[inline]
fn tail_word(tail: &[u8], data: &[u8]) -> u64 {
    let count = tail.len();
    if count == 0 {
        return 0;
    }
    if let Some(last) = data.last_chunk::<8>() {
        return u64::from_le_bytes(*last) >> (64 - 8 * count);
    }
    if let (Some(front), Some(back)) = (tail.first_chunk::<4>(), tail.last_chunk::<4>()) {
        let (front, back) = (u32::from_le_bytes(*front), u32::from_le_bytes(*back));
        return u64::from(front) | u64::from(back) << (8 * (count - 4));
    }
    // One to three bytes: first, middle and last cover them all.
    let (first, middle, last) = (tail[0], tail[count / 2], tail[count - 1]);
    u64::from(first) | u64::from(middle) << (8 * (count / 2)) | u64::from(last) << (8 * (count - 1))
}

struct State {
    v0: u64,
    v1: u64,
    v2: u64,
    v3: u64,
}

impl State {
    #[inline]
    fn absorb<const C: usize>(&mut self, word: u64) {
        self.v3 ^= word;
        for _ in 0..C {
            self.round();
        }
        self.v0 ^= word;
    }

    #[inline]
    fn round(&mut self) {
        self.v0 = self.v0.wrapping_add(self.v1);
        self.v2 = self.v2.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(13) ^ self.v0;
        self.v3 = self.v3.rotate_left(16) ^ self.v2;
        self.v0 = self.v0.rotate_left(32);
        self.v2 = self.v2.wrapping_add(self.v1);
        self.v0 = self.v0.wrapping_add(self.v3);
        self.v1 = self.v1.rotate_left(17) ^ self.v2;
        self.v3 = self.v3.rotate_left(21) ^ self.v0;
        self.v2 = self.v2.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::hash::{DefaultHasher, Hasher};

    fn bytes(len: usize) -> Vec<u8> {
        (0..len).map(|at| (at * 37 + 11) as u8).collect()
    }

    #[test]
    fn one_three_equals_the_standard_librarys() {
        for len in 0..100 {
            let data = bytes(len);
            let mut oracle = DefaultHasher::new();
            oracle.write(&data);
            assert_eq!(SipKey::new(0, 0).hash13(&data), oracle.finish(), "length {len}");
        }
    }

    #[test]
    #[allow(deprecated)]
    fn two_four_equals_the_standard_librarys_under_any_key() {
        for len in 0..100 {
            let data = bytes(len);
            let (k0, k1) = (0x0706_0504_0302_0100 ^ len as u64, 0x0f0e_0d0c_0b0a_0908);
            let mut oracle = std::hash::SipHasher::new_with_keys(k0, k1);
            oracle.write(&data);
            assert_eq!(SipKey::new(k0, k1).hash::<2, 4>(&data), oracle.finish(), "length {len}");
        }
    }

    #[test]
    fn two_four_gives_the_papers_vector() {
        // Appendix A of "SipHash: a fast short-input PRF".
        let key = SipKey::new(0x0706_0504_0302_0100, 0x0f0e_0d0c_0b0a_0908);
        let data: Vec<u8> = (0..15).collect();
        assert_eq!(key.hash::<2, 4>(&data), 0xa129_ca61_49be_45e5);
    }
}
