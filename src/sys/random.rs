//! Seeds from the kernel. Unsafe room.

/// Bytes nobody can guess.
pub fn seed() -> [u8; 32] {
    let mut bytes = [0_u8; 32];
    // SAFETY: the buffer is valid for its length; 32 bytes are never cut short.
    let got = unsafe { libc::getrandom(bytes.as_mut_ptr().cast(), bytes.len(), 0) };
    assert_eq!(got, bytes.len() as isize, "the kernel has random bytes once it is up");
    bytes
}

/// A number nobody can guess.
pub fn seed_u64() -> u64 {
    let bytes = seed();
    u64::from_ne_bytes(bytes[..8].try_into().expect("eight of 32 bytes"))
}

/// Most digits that [`hex`] makes at once.
pub const HEX_MAX: usize = 64;

/// `digits` hexadecimal digits, at most [`HEX_MAX`].
pub fn hex(digits: usize) -> String {
    let text: String = seed().iter().map(|byte| format!("{byte:02x}")).collect();
    text[..digits].to_string()
}

#[cfg(test)]
mod tests {
    #[test]
    fn seeds_differ() {
        assert_ne!(super::seed(), super::seed());
        assert_eq!(super::hex(40).len(), 40);
        assert_ne!(super::seed_u64(), super::seed_u64());
    }
}
