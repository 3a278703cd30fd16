//! How long another client waits at most while a value of ten million elements goes. It sends PING every 200
//! microseconds; what it waited for a processor of its own is not counted. Beside the wait with a big value on its way out
//! stands that of a time without one, for the machine has pauses of its own. Medians over runs.
//! `cargo bench --bench stall`
//!
//! `STALL_ELEMENTS`, `STALL_RUNS`, `STALL_KINDS` say how much; `BENCH_SERVER` and `BENCH_SERVER_CORES` whom to measure.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a benchmark reads the real clock and has threads")]

mod server;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, fs, thread};

use server::{Client, Server, fill, number};

const PING_EVERY: Duration = Duration::from_micros(200);
const PER_COMMAND: usize = 100;
/// Looked at this often, the thread that frees is idle when it used no time.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// A time without a big value lasts this long.
const CONTROL: Duration = Duration::from_millis(1500);

/// Waits of one client, in microseconds.
#[derive(Default)]
struct Waits(Vec<f64>);

impl Waits {
    fn longest(&self) -> f64 {
        self.0.iter().copied().fold(0.0, f64::max)
    }

    fn above_a_ms(&self) -> usize {
        self.0.iter().filter(|wait| **wait > 1000.0).count()
    }
}

/// How long this thread had to wait for a processor so far: that is no wait for the server.
fn own_delay_us() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap_or_default();
    text.split(' ').nth(1).and_then(|delay| delay.parse::<f64>().ok()).unwrap_or(0.0) / 1000.0
}

/// Pings until told to stop.
fn ping(client: &mut Client, stop: &AtomicBool) -> Waits {
    let mut waits = Waits::default();
    let mut reply = [0; 64];
    while !stop.load(Ordering::Relaxed) {
        let (start, delay) = (Instant::now(), own_delay_us());
        client.send(b"PING\r\n");
        let mut read = 0;
        while read < b"+PONG\r\n".len() {
            read += client.skip(&mut reply);
        }
        waits.0.push(start.elapsed().as_secs_f64() * 1e6 - (own_delay_us() - delay));
        thread::sleep(PING_EVERY.saturating_sub(start.elapsed()));
    }
    waits
}

/// The waits of a client while `other` goes on.
fn waits_during(server: &Server, other: impl FnOnce()) -> Waits {
    let mut client = server.connect();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let pinging = scope.spawn(|| ping(&mut client, &stop));
        other();
        stop.store(true, Ordering::Relaxed);
        pinging.join().expect("the pings went through")
    })
}

/// Returns once the thread that frees has had no work for a while.
fn until_all_is_free(server: &Server) {
    let mut before = server.time_of_freeing();
    loop {
        thread::sleep(LOOK_EVERY);
        let now = server.time_of_freeing();
        if now == before {
            return;
        }
        before = now;
    }
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(0.0)
}

fn main() {
    let elements = number("STALL_ELEMENTS", 10_000_000);
    let runs = number("STALL_RUNS", 5);
    let kinds = env::var("STALL_KINDS").unwrap_or_else(|_| "list set hash zset".to_owned());
    println!(
        "{elements} elements, medians of {runs} runs; the longest wait in microseconds, in brackets waits above 1 ms"
    );
    println!("{:<6}{:<18}{:>20}{:>20}", "kind", "way", "nothing goes", "it goes");
    for kind in kinds.split_whitespace() {
        let server = Server::start();
        let mut client = server.connect();
        client.run_all(elements / PER_COMMAND, |n| fill(kind, "model", n, PER_COMMAND));
        client.run("CONFIG SET lazyfree-lazy-user-del yes");
        client.run("CONFIG SET lazyfree-lazy-server-del yes");
        for way in ["UNLINK big", "DEL big", "SET big v", "FLUSHALL ASYNC"] {
            let (mut control, mut test) = (Vec::new(), Vec::new());
            // What flushes takes the model along.
            for _ in 0..if way.starts_with("FLUSHALL") { 1 } else { runs } {
                client.run("DEL big");
                client.run("COPY model big");
                until_all_is_free(&server);
                control.push(waits_during(&server, || thread::sleep(CONTROL)));
                test.push(waits_during(&server, || {
                    client.run(way);
                    until_all_is_free(&server);
                }));
            }
            let show = |all: &[Waits]| {
                let longest = median(all.iter().map(Waits::longest).collect());
                let above = median(all.iter().map(|waits| waits.above_a_ms() as f64).collect());
                format!("{longest:.0} ({above})")
            };
            println!("{kind:<6}{way:<18}{:>20}{:>20}", show(&control), show(&test));
        }
    }
}
