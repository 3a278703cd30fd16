//! HOT PATH (`Batch::patch`, `Workload::append`). Requests as bytes: encoded once, then only the digits of their keys are
//! changed in place.
//!
//! Knows RESP requests and which replies they call for; knows nothing of sockets.

#![forbid(unsafe_code)]

use std::ops::Range;

use crate::check::Expect;
use crate::keys::{KEY_DIGITS, KeySource};

/// What a key is: this, then its number. Sixteen bytes in all.
const KEY_PREFIX: &[u8] = b"key:";
/// Replaced by a key number.
const NUMBER_MARK: &[u8] = b"__rand_int__";
/// Replaced by a key.
const KEY_MARK: &[u8] = b"__key__";
/// Replaced by a value.
const VALUE_MARK: &[u8] = b"__data__";
/// What values are made of.
const VALUE_BYTE: u8 = b'x';

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
    /// A command whose marks are replaced: `__data__` by a value, `__key__` by a key and, where `numbered`, every
    /// `__rand_int__` by a number that changes from request to request.
    pub(crate) fn new<A: AsRef<[u8]>>(args: &[A], value_len: usize, numbered: bool, expect: Expect) -> Shape {
        let key = [KEY_PREFIX, NUMBER_MARK].concat();
        let value = vec![VALUE_BYTE; value_len];
        let filled: Vec<Vec<u8>> =
            args.iter().map(|arg| replace(&replace(arg.as_ref(), KEY_MARK, &key), VALUE_MARK, &value)).collect();
        let mut bytes = encode(filled.iter().map(Vec::as_slice));
        let mut numbers = Vec::new();
        if numbered {
            let mut from = 0;
            while let Some(found) = find(&bytes[from..], NUMBER_MARK) {
                let start = from + found;
                bytes[start..start + KEY_DIGITS].fill(b'0');
                numbers.push(start);
                from = start + KEY_DIGITS;
            }
        }
        Shape { bytes, numbers, expect }
    }

    /// Bytes that are sent as they are.
    pub(crate) fn raw(bytes: &[u8], expect: Expect) -> Shape {
        Shape { bytes: bytes.to_vec(), numbers: Vec::new(), expect }
    }
}

fn find(bytes: &[u8], mark: &[u8]) -> Option<usize> {
    bytes.windows(mark.len()).position(|window| window == mark)
}

fn replace(bytes: &[u8], mark: &[u8], by: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let Some(at) = find(rest, mark) {
        out.extend_from_slice(&rest[..at]);
        out.extend_from_slice(by);
        rest = &rest[at + mark.len()..];
    }
    out.extend_from_slice(rest);
    out
}

/// The requests that a load repeats, in order.
#[derive(Clone, Debug)]
pub(crate) struct Workload {
    shapes: Vec<Shape>,
}

impl Workload {
    /// Of these requests, at least one.
    pub(crate) fn new(shapes: Vec<Shape>) -> Workload {
        assert!(!shapes.is_empty());
        Workload { shapes }
    }

    /// How many different requests there are.
    pub(crate) fn len(&self) -> usize {
        self.shapes.len()
    }

    /// The length of the longest request.
    pub(crate) fn longest(&self) -> usize {
        self.shapes.iter().map(|shape| shape.bytes.len()).max().unwrap_or(0)
    }

    /// What the replies must be, in order and over again.
    pub(crate) fn expectations(&self) -> Vec<Expect> {
        self.shapes.iter().map(|shape| shape.expect.clone()).collect()
    }

    /// Pipelines of `pipeline` requests: as many different ones as it takes to go once through the workload.
    pub(crate) fn batches(&self, pipeline: usize) -> Vec<Batch> {
        assert!(pipeline > 0);
        let period = self.shapes.len();
        let count = period / greatest_common_divisor(period, pipeline);
        let mut shapes = self.shapes.iter().cycle();
        let batches = (0..count).map(|_| {
            let mut batch = Batch { bytes: Vec::new(), ends: Vec::new(), numbers: Vec::new() };
            for shape in shapes.by_ref().take(pipeline) {
                batch.numbers.extend(shape.numbers.iter().map(|at| batch.bytes.len() + at));
                batch.bytes.extend_from_slice(&shape.bytes);
                batch.ends.push(batch.bytes.len());
            }
            batch
        });
        batches.collect()
    }

    /// Puts request `index`, with its next keys, behind what is in `output`.
    #[inline]
    pub(crate) fn append(&self, index: usize, output: &mut Vec<u8>, keys: &mut KeySource) {
        let shape = &self.shapes[index];
        let start = output.len();
        output.extend_from_slice(&shape.bytes);
        for &at in &shape.numbers {
            let number = keys.next_number();
            keys.write(number, &mut output[start + at..start + at + KEY_DIGITS]);
        }
    }
}

fn greatest_common_divisor(a: usize, b: usize) -> usize {
    if b == 0 { a } else { greatest_common_divisor(b, a % b) }
}

/// The requests of one pipeline.
#[derive(Debug)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    ends: Vec<usize>,
    numbers: Vec<usize>,
}

impl Batch {
    /// The pipeline, its key numbers still open.
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The first `count` requests.
    #[inline]
    pub(crate) fn range(&self, count: usize) -> Range<usize> {
        0..self.ends[count - 1]
    }

    /// Gives every request its next key. `output` begins with this batch's bytes.
    #[inline]
    pub(crate) fn patch(&self, output: &mut [u8], keys: &mut KeySource) {
        for &at in &self.numbers {
            let number = keys.next_number();
            keys.write(number, &mut output[at..at + KEY_DIGITS]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::KeySpace;

    fn words(command: &str) -> Vec<&str> {
        command.split(' ').collect()
    }

    fn get() -> Shape {
        Shape::new(&["GET", "__key__"], 3, true, Expect::Value(3))
    }

    #[test]
    fn a_get_carries_a_sixteen_byte_key() {
        let batches = Workload::new(vec![get()]).batches(2);
        let mut output = batches[0].bytes().to_vec();
        batches[0].patch(&mut output, &mut KeySpace::in_order(100_000).source(0, 1));
        let expected = "*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000000\r\n*2\r\n$3\r\nGET\r\n$16\r\nkey:000000000001\r\n";
        assert_eq!(String::from_utf8(output).unwrap(), expected);
        assert_eq!(batches[0].range(1), 0..expected.len() / 2);
        assert_eq!(batches[0].range(2), 0..expected.len());
    }

    #[test]
    fn a_command_of_ones_own_has_its_marks_replaced() {
        let command = words("HSET __key__ f:__rand_int__ __data__");
        let workload = Workload::new(vec![Shape::new(&command, 3, true, Expect::Anything)]);
        let expected = "*4\r\n$4\r\nHSET\r\n$16\r\nkey:000000000000\r\n$14\r\nf:000000000001\r\n$3\r\nxxx\r\n";
        let mut output = Vec::new();
        workload.append(0, &mut output, &mut KeySpace::in_order(10).source(0, 1));
        assert_eq!(String::from_utf8(output).unwrap(), expected);
    }

    #[test]
    fn without_a_key_space_the_mark_stays() {
        let workload = Workload::new(vec![Shape::new(&["GET", "a:__rand_int__"], 3, false, Expect::Anything)]);
        let batches = workload.batches(1);
        assert_eq!(batches[0].bytes(), b"*2\r\n$3\r\nGET\r\n$14\r\na:__rand_int__\r\n");
    }

    #[test]
    fn a_workload_is_gone_through_whatever_the_pipeline() {
        let set = Shape::new(&["SET", "__key__", "__data__"], 4, true, Expect::Simple("OK"));
        let workload = Workload::new([vec![get(); 9], vec![set]].concat());
        for pipeline in [1, 3, 10, 16] {
            let batches = workload.batches(pipeline);
            let requests: usize = batches.iter().map(|batch| batch.ends.len()).sum();
            assert_eq!(requests % 10, 0);
            let text: String = batches.iter().map(|batch| String::from_utf8_lossy(batch.bytes())).collect();
            assert_eq!(text.matches("SET").count() * 10, requests);
        }
    }
}
