//! HOT PATH (`Batch::patch`). Requests as bytes: encoded once, then only the digits of their keys are changed in place.
//!
//! Knows RESP requests and which replies they call for; knows nothing of sockets.

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::check::Expect;

/// Digits of a key number, wherever one is put.
pub(crate) const KEY_DIGITS: usize = 12;
/// What a key is: this, then its number. Sixteen bytes in all.
const KEY_PREFIX: &str = "key:";
/// Replaced by a key number.
const NUMBER_MARK: &str = "__rand_int__";
/// Replaced by a key.
const KEY_MARK: &str = "__key__";
/// Replaced by a value.
const VALUE_MARK: &str = "__data__";
/// Of ten `mixed` requests, how many are GET; the rest are SET.
const MIXED_GETS: usize = 9;

const _: () = assert!(KEY_DIGITS == NUMBER_MARK.len());

/// A command as RESP bytes.
pub(crate) fn encode<'a>(args: impl ExactSizeIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
    for arg in args {
        bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
        bytes.extend_from_slice(arg);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

/// One request, its key numbers still open.
#[derive(Clone, Debug)]
pub(crate) struct Shape {
    bytes: Vec<u8>,
    /// Where key numbers begin in `bytes`.
    numbers: Vec<usize>,
    expect: Expect,
}

impl Shape {
    fn new(args: &[&str], value: &str, expect: Expect) -> Shape {
        let filled: Vec<String> = args
            .iter()
            .map(|arg| arg.replace(KEY_MARK, &format!("{KEY_PREFIX}{NUMBER_MARK}")).replace(VALUE_MARK, value))
            .collect();
        let mut bytes = encode(filled.iter().map(|arg| arg.as_bytes()));
        let mut numbers = Vec::new();
        let mark = NUMBER_MARK.as_bytes();
        for start in 0..bytes.len().saturating_sub(KEY_DIGITS - 1) {
            if bytes[start..].starts_with(mark) {
                bytes[start..start + KEY_DIGITS].fill(b'0');
                numbers.push(start);
            }
        }
        Shape { bytes, numbers, expect }
    }
}

/// The requests that a load repeats, in order.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    shapes: Vec<Shape>,
}

impl Workload {
    /// `get`, `set`, `ping`, `incr`, `mixed`, or a command with its arguments. Values have `value_len` bytes.
    pub(crate) fn parse(command: &[String], value_len: usize) -> Workload {
        let value = "x".repeat(value_len);
        let get = || Shape::new(&["GET", KEY_MARK], &value, Expect::Bulk(value_len));
        let set = || Shape::new(&["SET", KEY_MARK, VALUE_MARK], &value, Expect::Simple("OK"));
        let name = match command {
            [name] => name.as_str(),
            _ => "",
        };
        let shapes = match name {
            "get" => vec![get()],
            "set" => vec![set()],
            "ping" => vec![Shape::new(&["PING"], &value, Expect::Simple("PONG"))],
            // Not the keys of `get`: their values are no numbers.
            "incr" => vec![Shape::new(&["INCR", "counter:__rand_int__"], &value, Expect::Integer)],
            "mixed" => std::iter::once(set()).chain(std::iter::repeat_with(get).take(MIXED_GETS)).collect(),
            _ => {
                let args: Vec<&str> = command.iter().map(String::as_str).collect();
                vec![Shape::new(&args, &value, Expect::Anything)]
            }
        };
        Workload { shapes }
    }

    /// The request that stores a key.
    pub(crate) fn set(value_len: usize) -> Workload {
        Workload::parse(&["set".to_owned()], value_len)
    }

    /// What the replies must be, in order and over again.
    pub(crate) fn expectations(&self) -> Vec<Expect> {
        self.shapes.iter().map(|shape| shape.expect.clone()).collect()
    }

    /// Pipelines of `pipeline` requests: as many different ones as it takes to go once through the workload.
    pub(crate) fn batches(&self, pipeline: usize) -> (Vec<u8>, Vec<Batch>) {
        assert!(pipeline > 0);
        let period = self.shapes.len();
        let count = period / greatest_common_divisor(period, pipeline);
        let mut bytes = Vec::new();
        let mut shapes = self.shapes.iter().cycle();
        let batches = (0..count)
            .map(|_| {
                let mut batch = Batch { start: bytes.len(), ends: Vec::new(), numbers: Vec::new() };
                for shape in shapes.by_ref().take(pipeline) {
                    batch.numbers.extend(shape.numbers.iter().map(|at| bytes.len() + at));
                    bytes.extend_from_slice(&shape.bytes);
                    batch.ends.push(bytes.len());
                }
                batch
            })
            .collect();
        (bytes, batches)
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// Where the requests of one pipeline lie in a connection's output.
#[derive(Debug)]
pub(crate) struct Batch {
    start: usize,
    ends: Vec<usize>,
    numbers: Vec<usize>,
}

impl Batch {
    /// The first `count` requests.
    #[inline]
    pub(crate) fn range(&self, count: usize) -> Range<usize> {
        self.start..self.ends[count - 1]
    }

    /// Gives every request its next key.
    #[inline]
    pub(crate) fn patch(&self, output: &mut [u8], keys: &mut KeySource) {
        for &at in &self.numbers {
            let number = keys.next_number();
            keys.write(number, &mut output[at..at + KEY_DIGITS]);
        }
    }
}

/// In which order keys are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum KeyOrder {
    /// Uniformly at random, from a seed.
    Random { seed: u64 },
    /// 0, 1, 2 and so on.
    Sequential,
}

/// Picks keys from a key space.
#[derive(Debug)]
pub(crate) struct KeySource {
    keys: u64,
    state: u64,
    sequential: bool,
    /// How many pairs of digits a number of this key space can fill.
    pairs: usize,
}

/// The two digits of every number below 100.
const DIGIT_PAIRS: [[u8; 2]; 100] = {
    let mut pairs = [[0; 2]; 100];
    let mut number = 0;
    while number < 100 {
        pairs[number] = [b'0' + (number / 10) as u8, b'0' + (number % 10) as u8];
        number += 1;
    }
    pairs
};

impl KeySource {
    /// Keys 0 up to but not including `keys`.
    pub(crate) fn new(keys: u64, order: KeyOrder) -> KeySource {
        assert!((1..=10u64.pow(KEY_DIGITS as u32)).contains(&keys));
        let digits = (keys - 1).checked_ilog10().map_or(1, |log| log as usize + 1);
        let (state, sequential) = match order {
            // The generator must not start at zero.
            KeyOrder::Random { seed } => (seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1, false),
            KeyOrder::Sequential => (0, true),
        };
        KeySource { keys, state, sequential, pairs: digits.div_ceil(2) }
    }

    /// xorshift64*, scaled to the key space by a multiplication.
    #[inline]
    fn next_number(&mut self) -> u64 {
        if self.sequential {
            let number = self.state;
            self.state = if number + 1 == self.keys { 0 } else { number + 1 };
            return number;
        }
        self.state ^= self.state >> 12;
        self.state ^= self.state << 25;
        self.state ^= self.state >> 27;
        let random = self.state.wrapping_mul(0x2545_F491_4F6C_DD1D);
        ((u128::from(random) * u128::from(self.keys)) >> 64) as u64
    }

    /// Writes the digits that can differ; the zeroes before them are there already.
    #[inline]
    fn write(&self, mut number: u64, digits: &mut [u8]) {
        let mut end = KEY_DIGITS;
        for _ in 0..self.pairs {
            digits[end - 2..end].copy_from_slice(&DIGIT_PAIRS[(number % 100) as usize]);
            number /= 100;
            end -= 2;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(command: &str) -> Vec<String> {
        command.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn a_get_carries_a_sixteen_byte_key() {
        let workload = Workload::parse(&words("get"), 64);
        let (mut output, batches) = workload.batches(2);
        batches[0].patch(&mut output, &mut KeySource::new(100_000, KeyOrder::Sequential));
        let expected = "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000000\r\n*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n";
        assert_eq!(String::from_utf8(output).unwrap(), expected);
        assert_eq!(batches[0].range(1), 0..expected.len() / 2);
        assert_eq!(batches[0].range(2), 0..expected.len());
    }

    #[test]
    fn a_command_of_ones_own_has_its_marks_replaced() {
        let workload = Workload::parse(&words("HSET __key__ f:__rand_int__ __data__"), 3);
        let (mut output, batches) = workload.batches(1);
        batches[0].patch(&mut output, &mut KeySource::new(10, KeyOrder::Sequential));
        let text = String::from_utf8(output).unwrap();
        assert_eq!(text, "*4\r\n$4\r\nHSET\r\n$16\r\nkey:000000000000\r\n$14\r\nf:000000000001\r\n$3\r\nxxx\r\n");
    }

    #[test]
    fn mixed_goes_through_its_ten_requests_whatever_the_pipeline() {
        let workload = Workload::parse(&words("mixed"), 4);
        assert_eq!(workload.expectations().len(), 10);
        for pipeline in [1, 3, 10, 16] {
            let (output, batches) = workload.batches(pipeline);
            let requests: usize = batches.iter().map(|batch| batch.ends.len()).sum();
            assert_eq!(requests % 10, 0);
            let sets = String::from_utf8(output).unwrap().matches("SET").count();
            assert_eq!(sets * 10, requests);
        }
    }

    #[test]
    fn random_keys_stay_in_the_key_space_and_cover_it() {
        for keys in [1, 10, 11, 100, 101, 100_000] {
            let mut source = KeySource::new(keys, KeyOrder::Random { seed: 7 });
            let mut seen = std::collections::HashSet::new();
            for _ in 0..keys * 20 {
                let mut digits = [b'0'; KEY_DIGITS];
                let number = source.next_number();
                source.write(number, &mut digits);
                let text = std::str::from_utf8(&digits).unwrap();
                assert_eq!(text.parse::<u64>().unwrap(), number);
                assert!(number < keys);
                seen.insert(number);
            }
            assert!(seen.len() as u64 > keys * 99 / 100);
        }
    }

    #[test]
    fn sequential_keys_start_over() {
        let mut source = KeySource::new(3, KeyOrder::Sequential);
        let numbers: Vec<u64> = (0..5).map(|_| source.next_number()).collect();
        assert_eq!(numbers, [0, 1, 2, 0, 1]);
    }
}
