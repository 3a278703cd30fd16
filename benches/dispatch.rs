//! What a command costs between parser and reply: lookup, gates, accounting, and the handler itself.
//! `cargo bench --bench dispatch`.
//!
//! Every figure is for a batch of 64 commands on 100,000 keys of 16 bytes with values of 64 bytes, prepared and
//! prefetched as the server does it. Ticks are read from the processor as in a server.

#![forbid(unsafe_code)]

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use torc::command::session::Slot;
use torc::command::ticks::Ticks;
use torc::engine::{Engine, Prepared};
use torc::resp::args::OwnedArgs;
use torc::resp::reply::Reply;
use torc::sys::time::tick_source;

const BATCH: usize = 64;
const KEYS: usize = 100_000;
const SLOT: Slot = Slot(0);

fn main() {
    divan::main();
}

fn key(index: usize) -> String {
    format!("key:{:012}", index % KEYS)
}

fn loaded() -> Engine {
    let mut engine = Engine::for_console();
    engine.connect(SLOT.0);
    let value = "v".repeat(64);
    for index in 0..KEYS {
        assert_eq!(engine.run_in(SLOT, &["SET", &key(index), &value]), "OK");
    }
    let source = tick_source();
    engine.use_ticks(Ticks::counter(source.read, source.ticks_per_second));
    engine
}

/// Requests whose keys are spread over the key space.
fn requests(make: impl Fn(String) -> Vec<String>) -> Vec<OwnedArgs> {
    (0..1 << 14).map(|index| OwnedArgs::from_slices(&make(key(index * 7919)))).collect()
}

fn measure(bencher: Bencher, requests: &[OwnedArgs]) {
    let mut engine = loaded();
    let mut reply = Reply::new(1 << 16);
    let mut batches = requests.chunks_exact(BATCH).cycle();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let batch = batches.next().expect("the requests are repeated for ever");
        let mut prepared: Vec<Prepared> = Vec::with_capacity(BATCH);
        for request in batch {
            let looked_up = engine.prepare(request.as_args());
            engine.prefetch_bucket(SLOT, &looked_up);
            prepared.push(looked_up);
        }
        engine.prefetch_entries(prepared.iter().map(|prepared| (SLOT, prepared)));
        for (prepared, request) in prepared.iter().zip(batch) {
            engine.execute(SLOT, prepared, || request.as_args(), &mut reply);
        }
        black_box(reply.bytes(0..reply.position()));
        reply.clear(|_| ());
    });
}

#[divan::bench]
fn get(bencher: Bencher) {
    measure(bencher, &requests(|key| vec!["GET".into(), key]));
}

#[divan::bench]
fn set(bencher: Bencher) {
    let value = "w".repeat(64);
    measure(bencher, &requests(|key| vec!["SET".into(), key, value.clone()]));
}

#[divan::bench]
fn ping(bencher: Bencher) {
    measure(bencher, &requests(|_| vec!["PING".into()]));
}

#[divan::bench]
fn unknown(bencher: Bencher) {
    measure(bencher, &requests(|key| vec!["NOSUCH".into(), key]));
}

/// Lookup alone.
#[divan::bench]
fn prepare_get(bencher: Bencher) {
    let requests = requests(|key| vec!["GET".into(), key]);
    let engine = loaded();
    let mut batches = requests.chunks_exact(BATCH).cycle();
    bencher.counter(ItemsCount::new(BATCH)).bench_local(|| {
        let batch = batches.next().expect("the requests are repeated for ever");
        for request in batch {
            black_box(engine.prepare(request.as_args()));
        }
    });
}
