//! Soak: for some time clients of all kinds come, do what clients do, and go in every way there is, while the number of I/O
//! threads goes up and down and clients move between them. Every connection checks its own replies. Once all are gone
//! nothing of them is left: no count, no descriptor, no memory.
//!
//! `TORC_SOAK_SECONDS` says how long, `TORC_SOAK_SEED` repeats what everybody does.
//!
//! Drives the built binary over sockets; knows nothing of its code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

#[path = "../harness/mod.rs"]
mod harness;

mod lives;
mod player;
mod unrest;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};

use harness::{Authority, BOTH_VERSIONS, Random, Server, TIMEOUT, eventually, free_port, is_torc, skip};
use lives::{BIG_BYTES, LIVES, Life};
use player::{End, Outcome, Player};

/// Seconds when the environment names no other number.
const SECONDS: u64 = 6;
/// Threads of the test, each with one life at a time.
const WORKERS: u64 = 16;
// The first lives of all workers are every life once.
const _: () = assert!(WORKERS as usize >= LIVES.len());
/// Connections of each that stay all the time.
const STANDING: usize = 6;
/// `io-threads` before and after: the main thread alone, for threads have buffers of their own.
const THREADS_AT_REST: &str = "1";
/// Bytes that may be in use beyond what was after a first part of the same: buffers as large as they once had to be.
const MEMORY_SLACK: i64 = 8 << 20;
/// Bytes of the only client that may be more than they were.
const CLIENT_SLACK: i64 = 4096;

/// What all of them know.
pub(crate) struct World {
    pub(crate) server: Server,
    pub(crate) tls_address: SocketAddr,
    pub(crate) trust: Arc<rustls::ClientConfig>,
    seed: u64,
    end: Mutex<Instant>,
    /// Odd while idle clients are closed.
    pub(crate) windows: AtomicU64,
    failure: OnceLock<String>,
    lives: [AtomicUsize; LIVES.len()],
    cut_short: AtomicUsize,
}

impl World {
    pub(crate) fn is_over(&self) -> bool {
        self.failure.get().is_some() || Instant::now() > *self.end.lock().unwrap()
    }

    pub(crate) fn fail(&self, why: String) {
        let _ = self.failure.set(format!("{why} (TORC_SOAK_SEED={})", self.seed));
    }

    /// Whether a client may have been closed for idleness since the count of windows was this.
    fn closed_idle_since(&self, windows: u64) -> bool {
        !windows.is_multiple_of(2) || self.windows.load(Ordering::SeqCst) != windows
    }

    /// All fields of INFO that are numbers.
    fn figures(&self) -> BTreeMap<String, i64> {
        let text = self.server.connect().run("INFO everything").text();
        let fields = text.lines().filter_map(|line| line.trim().split_once(':'));
        let mut figures: BTreeMap<_, _> =
            fields.clone().filter_map(|(name, value)| Some((name.to_owned(), value.parse().ok()?))).collect();
        let on_threads = fields.filter(|(name, _)| name.starts_with("io_thread_"));
        let clients = on_threads.map(|(_, value)| {
            let count = value.strip_prefix("clients=").unwrap().split(',').next().unwrap();
            count.parse::<i64>().unwrap()
        });
        figures.insert("clients on all threads".to_owned(), clients.sum());
        figures.insert("descriptors".to_owned(), self.server.idle_descriptors() as i64);
        figures
    }
}

/// What is the same before and after.
const COUNTS: &[&str] = &[
    "connected_clients",
    "clients on all threads",
    "blocked_clients",
    "tracking_clients",
    "pubsub_clients",
    "watching_clients",
    "clients_in_timeout_table",
    "total_watched_keys",
    "total_blocking_keys",
    "pubsub_channels",
    "pubsub_patterns",
    "pubsubshard_channels",
    "tracking_total_keys",
    "tracking_total_items",
    "tracking_total_prefixes",
    "descriptors",
];

/// What is left is as it was, sooner or later.
fn settle(world: &World, start: &BTreeMap<String, i64>, memory: Option<i64>) -> BTreeMap<String, i64> {
    let run = |line: &str| assert_eq!(world.server.connect().run(line).to_string(), "+OK", "{line}");
    run("CONFIG SET timeout 0");
    run(&format!("CONFIG SET io-threads {THREADS_AT_REST}"));
    run("FLUSHALL SYNC");
    let end = Instant::now() + TIMEOUT;
    loop {
        run("MEMORY PURGE");
        let now = world.figures();
        let mut wrong: Vec<String> = COUNTS
            .iter()
            .filter(|name| start[**name] != now[**name])
            .map(|name| format!("{name} was {} and is {}", start[*name], now[*name]))
            .collect();
        let mut bounded = |name: &str, most: i64| {
            if now[name] > most {
                wrong.push(format!("{name} is {}, and may be {most}", now[name]));
            }
        };
        bounded("mem_clients_normal", start["mem_clients_normal"] + CLIENT_SLACK);
        if let Some(memory) = memory {
            bounded("used_memory", memory + MEMORY_SLACK);
            if now["used_memory"] < memory - MEMORY_SLACK {
                wrong.push(format!("used_memory is {}, and was {memory}", now["used_memory"]));
            }
        }
        if wrong.is_empty() {
            return now;
        }
        assert!(Instant::now() < end, "TORC_SOAK_SEED={}: of clients that are gone is left: {wrong:#?}", world.seed);
        std::thread::sleep(Duration::from_millis(100));
    }
}

/// A connection that stays, and counts.
struct Standing {
    player: Player,
    key: String,
    count: i64,
    /// Windows when it was looked at last.
    windows: u64,
}

impl Standing {
    fn new(world: &World, dice: &mut Random, key: String) -> Outcome<Standing> {
        let windows = world.windows.load(Ordering::SeqCst);
        let mut player = Player::connect(world, dice, "standing")?;
        player.send_command(&["DEL", &key])?;
        player.reply()?;
        Ok(Standing { player, key, count: 0, windows })
    }

    fn look_at(&mut self, dice: &mut Random) -> Outcome {
        let count = 1 + dice.below(30) as i64;
        let request = harness::Client::encode(&["INCR", &self.key]).repeat(count as usize);
        self.player.send_in_pieces(&request, dice)?;
        for _ in 0..count {
            self.count += 1;
            self.player.expect(&harness::Value::Integer(self.count))?;
        }
        Ok(())
    }
}

/// Looks at one of those that stay; makes it anew where it was closed for idleness.
fn look_at_standing(world: &World, worker: u64, dice: &mut Random, all: &mut [Option<Standing>]) -> Outcome {
    let which = dice.below(all.len());
    let place = &mut all[which];
    if place.is_none() {
        *place = Some(Standing::new(world, dice, format!("w{worker}:standing{which}"))?);
    }
    let Some(standing) = place else { return Ok(()) };
    let windows = world.windows.load(Ordering::SeqCst);
    match standing.look_at(dice) {
        Err(End::Closed(_)) if world.closed_idle_since(standing.windows) => *place = None,
        Err(end) => return Err(end),
        Ok(()) => standing.windows = windows,
    }
    Ok(())
}

/// The place of a life in the table, the more often the more it weighs.
fn any_life(dice: &mut Random) -> usize {
    let weights: usize = LIVES.iter().map(|(_, weight, _)| weight).sum();
    let mut place = dice.below(weights);
    let index = LIVES.iter().position(|(_, weight, _)| {
        let here = place < *weight;
        place = place.wrapping_sub(*weight);
        here
    });
    index.unwrap()
}

fn work(world: &World, worker: u64, round: u64) {
    let mut dice = Random::stream(world.seed, worker + round * WORKERS);
    let mut standing: Vec<_> = (0..STANDING).map(|_| None).collect();
    // Rare lives are not left to chance: each worker begins with the one that is its own in the order of the table.
    let mut owed = Some(worker as usize % LIVES.len());
    let mut serial = 0;
    while !world.is_over() {
        serial += 1;
        let windows = world.windows.load(Ordering::SeqCst);
        if let Err(end) = look_at_standing(world, worker, &mut dice, &mut standing)
            && !(matches!(end, End::Closed(_)) && world.closed_idle_since(windows))
        {
            return world.fail(format!("worker {worker}, before life {serial}, one that stays: {end}"));
        }
        let index = owed.unwrap_or_else(|| any_life(&mut dice));
        let is_mortal = dice.one_in(3);
        let name = if is_mortal { "mortal" } else { "safe" };
        let play = LIVES[index].2;
        let begin = |dice: &mut Random| -> Outcome<(Player, Player)> {
            Ok((Player::connect(world, dice, name)?, Player::connect(world, dice, "helper")?))
        };
        let outcome = begin(&mut dice).and_then(|(player, helper)| {
            owed = None;
            world.lives[index].fetch_add(1, Ordering::Relaxed);
            play(&mut Life { dice: &mut dice, own: format!("w{worker}:"), player, helper })
        });
        match outcome {
            Ok(()) => {}
            Err(End::Closed(_)) if is_mortal || world.closed_idle_since(windows) => {
                world.cut_short.fetch_add(1, Ordering::Relaxed);
            }
            Err(end) => {
                let what = LIVES[index].0;
                return world.fail(format!("worker {worker}, life {serial} ({what}, {name}): {end}"));
            }
        }
    }
}

/// Everybody does what there is to do for this long.
fn live(world: &World, time: Duration, round: u64) {
    let big = "B".repeat(BIG_BYTES);
    assert_eq!(world.server.connect().command(&["SET", "big", &big]).to_string(), "+OK");
    *world.end.lock().unwrap() = Instant::now() + time;
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            scope.spawn(move || work(world, worker, round));
        }
        scope.spawn(move || unrest::stir(world, Random::stream(world.seed, u64::MAX - round)));
    });
    if let Some(why) = world.failure.get() {
        panic!("{why}");
    }
}

fn number_from(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).map_or(otherwise, |text| text.parse().expect("the variable holds a number"))
}

#[test]
fn of_clients_that_are_gone_nothing_is_left() {
    if !is_torc() {
        return skip("the number of threads of another server cannot be changed");
    }
    let time = Duration::from_secs(number_from("TORC_SOAK_SECONDS", SECONDS));
    let seed = number_from("TORC_SOAK_SEED", 1);
    let authority = Authority::new();
    let port = free_port();
    let threads = format!("--io-threads {THREADS_AT_REST} --io-threads-always-active yes");
    // Sessions that may be resumed are kept on purpose, and would go on filling memory for longer than a test takes.
    let limits = "--client-output-buffer-limit pubsub 1mb 0 0 --tls-auth-clients no --tls-session-cache-size 100";
    let world = World {
        server: Server::with(&format!("{threads} {limits} {}", authority.server_args(port))),
        tls_address: ([127, 0, 0, 1], port).into(),
        trust: authority.client(BOTH_VERSIONS, None),
        seed,
        end: Mutex::new(Instant::now()),
        windows: AtomicU64::new(0),
        failure: OnceLock::new(),
        lives: [const { AtomicUsize::new(0) }; LIVES.len()],
        cut_short: AtomicUsize::new(0),
    };
    let mut start = world.figures();
    eventually("only who asks is left, and is counted", || {
        start = world.figures();
        (start["connected_clients"], start["clients on all threads"]) == (1, 1)
    });
    live(&world, time / 3, 0);
    let early = settle(&world, &start, None);
    live(&world, time - time / 3, 1);
    let late = settle(&world, &start, Some(early["used_memory"]));
    world.server.assert_serves();
    for (index, (name, ..)) in LIVES.iter().enumerate() {
        let count = world.lives[index].load(Ordering::Relaxed);
        eprintln!("{name}: {count}");
        assert!(count > 0, "nobody had the life {name}");
    }
    eprintln!(
        "TORC_SOAK_SEED={seed}: {} lives cut short; bytes in use: {} at the start, {} after a third, {} at the end",
        world.cut_short.load(Ordering::Relaxed),
        start["used_memory"],
        early["used_memory"],
        late["used_memory"]
    );
}
