//! Bytes that break the protocol, or nearly: pipelines with changed bytes, lengths out of bounds, binary garbage.

use super::arguments::{number, value};
use super::harness::Client;
use crate::harness::Random;

/// Whole requests that are refused, or wait for bytes that never come.
const REFUSED: &[&[u8]] = &[
    b"*-1\r\n",
    b"*0\r\n",
    b"*1048577\r\n",
    b"*2147483648\r\n",
    b"*99999999999999999999\r\n",
    b"*x\r\n",
    b"*\r\n",
    b"*1\r\nPING\r\n",
    b"*1\r\n$-1\r\n",
    b"*1\r\n$536870913\r\n",
    b"*1\r\n$9223372036854775808\r\n",
    b"*1\r\n$ 4\r\nPING\r\n",
    b"*1\r\n$4 \r\nPING\r\n",
    b"*1\r\n$+4\r\nPING\r\n",
    b"*1\r\n$04\r\nPING\r\n",
    b"*1\r\n$4\nPING\r\n",
    b"*1\n$4\r\nPING\r\n",
    b"*1\r\n$4\r\nPINGxx",
    b"*1\r\n$0\r\n\r\n",
    b"*2\r\n$4\r\nECHO\r\n$3\r\n\0\r\n\r\n",
    b"*3\r\n$3\r\nGET\r\n$1\r\na\r\n",
    b"PING \"\r\n",
    b"PING 'a\r\n",
    b"PING \"a\"b\r\n",
    b"\"\\x50ING\"\r\n",
    b"\r\n",
    b"   \r\n",
    b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST / HTTP/1.1\r\n\r\n",
    b"host: x\r\n",
    b"\0\0\0\0\r\n",
];

/// A request that is wrong somewhere.
pub(crate) fn broken(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..1 + random.below(4) {
        match random.below(8) {
            0 => bytes.extend_from_slice(b"PING\r\n"),
            1 => bytes.extend_from_slice(b"ECHO \"a \\x41 b\" \r\n"),
            2 => bytes.extend_from_slice(&Client::encode(&["ECHO", "hallo"])),
            3 => bytes.extend_from_slice(&Client::encode(&["GET", "none"])),
            4 => bytes.extend_from_slice(&Client::encode(&[b"ECHO".to_vec(), value(random)])),
            5 => bytes.extend_from_slice(random.pick(REFUSED)),
            6 => bytes.extend_from_slice(format!("*2\r\n${}\r\nECHO\r\n", number(random)).as_bytes()),
            _ => bytes.extend_from_slice(&Client::encode(&["PING"])),
        }
    }
    if random.one_in(10) {
        bytes.extend((0..random.below(200)).map(|_| random.next() as u8));
    }
    for _ in 0..random.below(4) {
        let at = random.below(bytes.len());
        match random.below(4) {
            0 => drop(bytes.remove(at)),
            1 => bytes
                .insert(at, random.pick(&["\r", "\n", "*", "$", "\"", "'", "\\", " ", "-", "9", "x"]).as_bytes()[0]),
            2 => bytes[at] = random.next() as u8,
            _ => bytes.truncate(at.max(1)),
        }
        if bytes.is_empty() {
            bytes.push(b'\n');
        }
    }
    if random.one_in(20) {
        // An inline request, or the line of a length, that does not end. Last: where it did end, the size of reads decides
        // whether it is too long.
        bytes.extend(std::iter::repeat_n(
            random.pick(&["a", "*1", "$", " "]).as_bytes()[0],
            60_000 + random.below(20_000),
        ));
    }
    bytes
}
