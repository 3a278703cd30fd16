//! MurmurHash64A, Austin Appleby's hash from the public domain. The bytes of HyperLogLogs depend on it. Pure; any thread.
//! Not for tables: who knows the seed can make keys collide.

#![forbid(unsafe_code)]

const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
const SHIFT: u32 = 47;

/// The hash of `bytes`, read in little-endian words.
pub fn hash64(bytes: &[u8], seed: u64) -> u64 {
    let mut hash = seed ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let (words, tail) = bytes.as_chunks::<8>();
    for word in words {
        let mut word = u64::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        word ^= word >> SHIFT;
        hash = (hash ^ word.wrapping_mul(MULTIPLIER)).wrapping_mul(MULTIPLIER);
    }
    if !tail.is_empty() {
        let mut word = [0; 8];
        word[..tail.len()].copy_from_slice(tail);
        hash = (hash ^ u64::from_le_bytes(word)).wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> SHIFT;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^ hash >> SHIFT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_and_every_bit_counts() {
        let text = b"0123456789abcdef";
        let mut seen = std::collections::BTreeSet::new();
        for len in 0..=text.len() {
            assert!(seen.insert(hash64(&text[..len], 1)), "{len}");
            for bit in 0..len * 8 {
                let mut other = text[..len].to_vec();
                other[bit / 8] ^= 1 << (bit % 8);
                assert!(seen.insert(hash64(&other, 1)), "{len} {bit}");
            }
        }
        assert_ne!(hash64(text, 1), hash64(text, 2));
        assert_eq!(hash64(b"", 0), 0);
    }
}
