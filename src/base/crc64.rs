//! CRC-64 as DUMP payloads and snapshots end with it: the polynomial of Jones, bits reflected, no initial value. Pure.

#![forbid(unsafe_code)]

/// The polynomial 0xad93d23594c935a9, mirrored.
const POLYNOMIAL: u64 = 0xad93_d235_94c9_35a9u64.reverse_bits();

static TABLE: [u64; 256] = table();

const fn table() -> [u64; 256] {
    let mut table = [0; 256];
    let mut index = 0;
    while index < table.len() {
        let mut crc = index as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { POLYNOMIAL } else { 0 };
            bit += 1;
        }
        table[index] = crc;
        index += 1;
    }
    table
}

/// The checksum of what `crc` is the checksum of, followed by `bytes`. That of nothing is 0.
pub fn update(crc: u64, bytes: &[u8]) -> u64 {
    bytes.iter().fold(crc, |crc, &byte| TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_check_value_of_the_catalogue() {
        assert_eq!(update(0, b"123456789"), 0xe9c6_d914_c4b8_d9ca);
        assert_eq!(update(0, b""), 0);
    }

    #[test]
    fn pieces_add_up() {
        assert_eq!(update(update(0, b"12345"), b"6789"), update(0, b"123456789"));
    }
}
