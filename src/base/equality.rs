//! HOT PATH. Whether two byte strings are the same, for the lengths that keys mostly have without a call: up to 32 bytes
//! are compared as a few words that may overlap.

#![forbid(unsafe_code)]

/// Whether both are the same.
#[inline]
pub fn same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    match left.len() {
        8..=16 => first(left) == first(right) && last(left) == last(right),
        17..=32 => {
            left.first_chunk::<16>() == right.first_chunk::<16>() && left.last_chunk::<16>() == right.last_chunk::<16>()
        }
        _ => left == right,
    }
}

#[inline]
fn first(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|chunk| u64::from_ne_bytes(*chunk))
}

#[inline]
fn last(bytes: &[u8]) -> Option<u64> {
    bytes.last_chunk().map(|chunk| u64::from_ne_bytes(*chunk))
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
