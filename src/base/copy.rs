//! HOT PATH. Copying of short texts with loads and stores of fixed sizes: for a few bytes a call costs more than what it
//! does. Any one thread.

#![forbid(unsafe_code)]

/// Copies all of `from` to the beginning of `to`, which has room for it.
#[inline]
pub fn copy(to: &mut [u8], from: &[u8]) {
    let len = from.len();
    let to = &mut to[..len];
    match len {
        0..4 => to.iter_mut().zip(from).for_each(|(to, from)| *to = *from),
        4..8 => ends::<4>(to, from),
        8..=16 => ends::<8>(to, from),
        17..=32 => ends::<16>(to, from),
        _ => to.copy_from_slice(from),
    }
}

/// Copies the first and the last `N` bytes, which may be some of the same.
#[inline]
fn ends<const N: usize>(to: &mut [u8], from: &[u8]) {
    let (Some(&first), Some(&last)) = (from.first_chunk::<N>(), from.last_chunk::<N>()) else { return };
    if let Some(to) = to.first_chunk_mut() {
        *to = first;
    }
    if let Some(to) = to.last_chunk_mut() {
        *to = last;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_is_copied_and_no_other_is_touched() {
        for len in 0..70 {
            let from: Vec<u8> = (1..=len).collect();
            let mut to = [0; 80];
            copy(&mut to, &from);
            assert_eq!(to[..from.len()], from);
            assert!(to[from.len()..].iter().all(|byte| *byte == 0), "behind {len}");
        }
    }
}
