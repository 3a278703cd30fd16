//! SHA-1 (FIPS 180-4), by which data sets and scripts are named. Pure. Not for secrets.

#![forbid(unsafe_code)]

/// Bytes of a digest.
pub const DIGEST_LEN: usize = 20;

const BLOCK_LEN: usize = 64;
const START: [u32; 5] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0];

/// The digest of `bytes`.
pub fn digest(bytes: &[u8]) -> [u8; DIGEST_LEN] {
    let mut state = START;
    let (blocks, tail) = bytes.as_chunks::<BLOCK_LEN>();
    blocks.iter().for_each(|block| absorb(&mut state, block));
    // The tail, a one bit, zeros, and the length in bits in the last eight bytes of a block.
    let mut padded = [0; 2 * BLOCK_LEN];
    padded[..tail.len()].copy_from_slice(tail);
    padded[tail.len()] = 0x80;
    let len = if tail.len() + 9 <= BLOCK_LEN { BLOCK_LEN } else { 2 * BLOCK_LEN };
    padded[len - 8..len].copy_from_slice(&(bytes.len() as u64 * 8).to_be_bytes());
    padded[..len].as_chunks::<BLOCK_LEN>().0.iter().for_each(|block| absorb(&mut state, block));
    let mut digest = [0; DIGEST_LEN];
    for (bytes, word) in digest.as_chunks_mut::<4>().0.iter_mut().zip(state) {
        *bytes = word.to_be_bytes();
    }
    digest
}

fn absorb(state: &mut [u32; 5], block: &[u8; BLOCK_LEN]) {
    let mut words = [0; 80];
    for (word, bytes) in words.iter_mut().zip(block.as_chunks::<4>().0) {
        *word = u32::from_be_bytes(*bytes);
    }
    for at in 16..words.len() {
        words[at] = (words[at - 3] ^ words[at - 8] ^ words[at - 14] ^ words[at - 16]).rotate_left(1);
    }
    let [mut a, mut b, mut c, mut d, mut e] = *state;
    for (round, word) in words.into_iter().enumerate() {
        let (mixed, constant) = match round {
            0..20 => (b & c | !b & d, 0x5a82_7999),
            20..40 => (b ^ c ^ d, 0x6ed9_eba1),
            40..60 => (b & c | b & d | c & d, 0x8f1b_bcdc),
            _ => (b ^ c ^ d, 0xca62_c1d6u32),
        };
        let sum = a.rotate_left(5).wrapping_add(mixed).wrapping_add(e).wrapping_add(constant).wrapping_add(word);
        (a, b, c, d, e) = (sum, a, b.rotate_left(30), c, d);
    }
    for (word, mixed) in state.iter_mut().zip([a, b, c, d, e]) {
        *word = word.wrapping_add(mixed);
    }
}

/// A digest in hexadecimal digits.
pub fn hex(digest: &[u8; DIGEST_LEN]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_examples_of_the_standard() {
        let long = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        for (text, wanted) in [
            (&b""[..], "da39a3ee5e6b4b0d3255bfef95601890afd80709"),
            (b"abc", "a9993e364706816aba3e25717850c26c9cd0d89d"),
            (long, "84983e441c3bd26ebaae4aa1f95129e5e54670f1"),
            (&[b'a'; 1_000_000], "34aa973cd4c4daa4f61eeb2bdbad27316534016f"),
        ] {
            assert_eq!(hex(&digest(text)), wanted);
        }
    }

    #[test]
    fn every_length_of_tail_is_padded() {
        let mut seen = std::collections::BTreeSet::new();
        assert!((0..200).all(|len| seen.insert(digest(&vec![0; len]))));
    }
}
