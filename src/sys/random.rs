//! Randomness from the kernel: seeds only, never a hot path. Any thread.

use super::errno::Errno;

/// Fills `bytes`. Short reads and interruptions are taken up again.
pub fn fill(bytes: &mut [u8]) -> Result<(), Errno> {
    let mut filled = 0;
    while filled < bytes.len() {
        let rest = &mut bytes[filled..];
        // SAFETY: pointer and length are those of `rest`.
        let got = unsafe { libc::getrandom(rest.as_mut_ptr().cast(), rest.len(), 0) };
        match usize::try_from(got) {
            Ok(got) => filled += got,
            Err(_) => match Errno::last() {
                Errno(libc::EINTR) => {}
                errno => return Err(errno),
            },
        }
    }
    Ok(())
}

/// A seed of `N` bytes.
pub fn seed<const N: usize>() -> Result<[u8; N], Errno> {
    let mut bytes = [0; N];
    fill(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ() {
        let (one, other): ([u8; 32], [u8; 32]) = (seed().expect("a seed"), seed().expect("a seed"));
        assert_ne!(one, other);
        let mut long = vec![0; 1000];
        fill(&mut long).expect("filled");
        assert!(long.iter().any(|byte| *byte != 0));
    }
}
