//! What a command costs in bytes alone: parsing requests, writing replies. `cargo bench --bench resp`.
//!
//! Every figure is for a pipeline of 100 commands, as one received buffer would hold them.

#![forbid(unsafe_code)]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use torc::resp::args::Args;
use torc::resp::decode::Scanner;
use torc::resp::parse::{Limits, Parser, Step};
use torc::resp::reply::{Protocol, Reply};

const PIPELINE: usize = 100;
const LIMITS: Limits = Limits { bulk_len_max: 512 << 20, authenticated: true };

fn main() {
    divan::main();
}

fn pipeline(args: &[&str]) -> Vec<u8> {
    let mut one = format!("*{}\r\n", args.len());
    args.iter().for_each(|arg| one.push_str(&format!("${}\r\n{arg}\r\n", arg.len())));
    one.repeat(PIPELINE).into_bytes()
}

fn parse(bencher: Bencher, bytes: &[u8]) {
    let (mut spans, mut blobs) = (Vec::new(), Vec::new());
    bencher.counter(ItemsCount::new(PIPELINE)).bench_local(|| {
        let mut parser = Parser::new();
        let mut commands = 0;
        while parser.next(black_box(bytes), &LIMITS, &mut spans, &mut blobs) == Step::Command {
            black_box(Args::new(bytes, &spans, &blobs).get(0));
            spans.clear();
            blobs.clear();
            commands += 1;
        }
        assert_eq!(commands, PIPELINE);
    });
}

#[divan::bench]
fn parse_get(bencher: Bencher) {
    parse(bencher, &pipeline(&["GET", "k"]));
}

#[divan::bench]
fn parse_set(bencher: Bencher) {
    parse(bencher, &pipeline(&["SET", "k", "v"]));
}

#[divan::bench]
fn parse_set_64_byte_value(bencher: Bencher) {
    parse(bencher, &pipeline(&["SET", "key:000000012345", &"v".repeat(64)]));
}

#[divan::bench]
fn parse_set_1024_byte_value(bencher: Bencher) {
    parse(bencher, &pipeline(&["SET", "key:000000012345", &"v".repeat(1024)]));
}

#[divan::bench]
fn parse_mget_16(bencher: Bencher) {
    let mut args = vec!["MGET"];
    args.resize(17, "key:000000012345");
    parse(bencher, &pipeline(&args));
}

#[divan::bench]
fn parse_inline(bencher: Bencher) {
    parse(bencher, "GET key:000000012345\r\n".repeat(PIPELINE).as_bytes());
}

fn reply(bencher: Bencher, protocol: Protocol, write: impl Fn(&mut Reply)) {
    let mut reply = Reply::new(64 * 1024);
    reply.set_protocol(protocol);
    bencher.counter(ItemsCount::new(PIPELINE)).bench_local(|| {
        reply.clear(|_| ());
        for _ in 0..PIPELINE {
            write(black_box(&mut reply));
        }
        black_box(reply.position())
    });
}

#[divan::bench]
fn reply_ok(bencher: Bencher) {
    reply(bencher, Protocol::Resp2, Reply::ok);
}

#[divan::bench]
fn reply_bulk_3(bencher: Bencher) {
    reply(bencher, Protocol::Resp2, |reply| reply.bulk(black_box(b"abc")));
}

#[divan::bench]
fn reply_bulk_256(bencher: Bencher) {
    let value = [b'v'; 256];
    reply(bencher, Protocol::Resp2, |reply| reply.bulk(black_box(&value)));
}

#[divan::bench]
fn reply_integer_small(bencher: Bencher) {
    reply(bencher, Protocol::Resp2, |reply| reply.integer(black_box(1)));
}

#[divan::bench]
fn reply_integer_large(bencher: Bencher) {
    reply(bencher, Protocol::Resp2, |reply| reply.integer(black_box(1_700_000_000_123)));
}

#[divan::bench]
fn reply_double(bencher: Bencher) {
    reply(bencher, Protocol::Resp3, |reply| reply.double(black_box(13.361_389_338_970_184)));
}

#[divan::bench]
fn reply_deferred_array_10(bencher: Bencher) {
    reply(bencher, Protocol::Resp2, |reply| {
        let array = reply.deferred();
        for number in 0..10 {
            reply.bulk_integer(number);
        }
        reply.end_array(array, 10);
    });
}

#[divan::bench]
fn scan_bulk_replies(bencher: Bencher) {
    let bytes = b"$3\r\nabc\r\n".repeat(PIPELINE);
    bencher.counter(ItemsCount::new(PIPELINE)).bench_local(|| {
        let mut scanner = Scanner::new();
        let mut replies = 0;
        while scanner.next(black_box(&bytes)).expect("well formed") {
            replies += 1;
        }
        assert_eq!(replies, PIPELINE);
    });
}
