//! HOT PATH. Whether two byte strings are the same, for the lengths that keys mostly have without a call: 4 to 32 bytes
//! are compared as a few words that may overlap.

#![forbid(unsafe_code)]

/// Whether both are the same.
#[inline]
pub fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    match left.len() {
        4..8 => same_ends::<4>(left, right),
        8..=16 => same_ends::<8>(left, right),
        17..=32 => same_ends::<16>(left, right),
        _ => left == right,
    }
}

/// Whether the first and the last `N` bytes, which may be some of the same, are equal.
#[inline]
fn same_ends<const N: usize>(left: &[u8], right: &[u8]) -> bool {
    left.first_chunk::<N>() == right.first_chunk::<N>() && left.last_chunk::<N>() == right.last_chunk::<N>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_counts() {
        for len in 0..70 {
            let left: Vec<u8> = (0..len).collect();
            assert!(same(&left, &left.clone()));
            for at in 0..left.len() {
                let mut right = left.clone();
                right[at] ^= 0x80;
                assert!(!same(&left, &right), "byte {at} of {len}");
            }
            assert!(!same(&left, &[&left[..], &[0]].concat()) && !same(&[&left[..], &[0]].concat(), &left));
        }
    }
}
