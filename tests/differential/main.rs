//! The same seeded requests to a real redis-server and to ours: the replies must be the same bytes.
//!
//! `TORC_DIFF_SERVER` names the other binary (default: `redis-server` on PATH), `TORC_DIFF_COMMANDS` how many commands
//! (default 20,000) or `TORC_DIFF_SECONDS` how long, `TORC_DIFF_SEED` the seed. A run is made of rounds, each with servers
//! of its own; a round that fails is played again with fewer and fewer steps, and the shortest stream found is printed as
//! a transcript. `commands.rs` says what is sent: a new command is a line there.
//!
//! Drives built binaries over sockets; knows nothing of their code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod arguments;
mod broken;
mod commands;
mod duel;
mod grammar;
#[path = "../harness/mod.rs"]
mod harness;
mod rules;
mod shrink;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use arguments::{Arg, CHANNELS, CONNECTIONS};
use duel::{Duel, Form, Step};
use grammar::Line;
use harness::{Random, skip};
use rules::Rule;

/// Steps between two starts of the servers.
const STEPS_OF_A_ROUND: usize = 4000;

/// Commands of one step at most.
const PIPELINE_MAX: usize = 12;

/// What Redis reads from a client at once.
const READ_BYTES: usize = 16 << 10;

/// What is sent, and to whom not.
struct Plan {
    lines: Vec<Line>,
    /// What is left out because theirs is older.
    excused: BTreeSet<&'static str>,
    has_reply_modes: bool,
    has_monitor: bool,
    has_pubsub: bool,
}

#[test]
fn replies_are_those_of_redis() {
    let Some(reference) = reference_binary() else { return skip("no redis-server to compare with") };
    let seed = setting("TORC_DIFF_SEED").unwrap_or(1);
    let commands = setting("TORC_DIFF_COMMANDS").unwrap_or(20_000) as usize;
    let end = setting("TORC_DIFF_SECONDS").map(|seconds| Instant::now() + Duration::from_secs(seconds));
    let plan = Plan::new(&reference);
    let mut compared = 0;
    let mut round = 0;
    while end.map_or(compared < commands, |end| Instant::now() < end) {
        compared += play_round(&reference, &plan, seed, round, commands - compared.min(commands), end);
        round += 1;
    }
    println!("{compared} commands compared in {round} rounds, seed {seed}; left out: {:?}", plan.excused);
}

/// Plays one round; panics with the shortest failing stream when the servers differ.
fn play_round(reference: &Path, plan: &Plan, seed: u64, round: u64, commands: usize, end: Option<Instant>) -> usize {
    let mut random = Random::stream(seed, round);
    let mut duel = Duel::start(reference);
    let mut steps = Vec::new();
    for connection in 0..CONNECTIONS {
        if connection % 2 == 1 {
            let args = vec![Arg::Bytes(b"HELLO".to_vec()), Arg::Bytes(b"3".to_vec())];
            steps.push(Step::Command { connection, args, rule: Rule::Kind, form: Form::Whole });
        }
    }
    let mut at = 0;
    while steps.len() < STEPS_OF_A_ROUND && (end.is_some() || duel.compared < commands) {
        if at == steps.len() {
            steps.push(plan.step(&mut random));
        }
        if let Err(difference) = duel.perform(&steps[at]) {
            let tail = duel.transcript[duel.transcript.len().saturating_sub(10)..].join("\n");
            println!("round {round} of seed {seed} fails at step {at}, by the rule {}:\n{tail}", difference.rule);
            println!("theirs: {}\n  ours: {}", difference.theirs, difference.ours);
            drop(duel);
            report(reference, steps, seed);
        }
        at += 1;
        if end.is_some_and(|end| Instant::now() > end) {
            break;
        }
    }
    duel.compared
}

fn report(reference: &Path, steps: Vec<Step>, seed: u64) -> ! {
    match shrink::shrink(reference, steps) {
        None => panic!("TORC_DIFF_SEED={seed}: replies differed, but not when the same was sent again"),
        Some(failure) => panic!(
            "replies differ, TORC_DIFF_SEED={seed}; {} steps are enough:\n\n{}\n#   rule: {}\n# theirs: {}\n#   ours: {}\n",
            failure.steps.len(),
            failure.transcript.join("\n"),
            failure.difference.rule,
            failure.difference.theirs,
            failure.difference.ours,
        ),
    }
}

fn setting(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap())
}

fn reference_binary() -> Option<PathBuf> {
    let path = std::env::var_os("TORC_DIFF_SERVER").map_or_else(|| PathBuf::from("redis-server"), PathBuf::from);
    Command::new(&path).arg("--version").output().ok()?.status.success().then_some(path)
}

/// Channels, at most one pattern and shard channels: which of two patterns comes first is a matter of hash tables.
fn subscriptions(random: &mut Random) -> Vec<Vec<&'static str>> {
    let mut all = vec![vec!["SUBSCRIBE", random.pick(CHANNELS)]];
    if random.one_in(2) {
        all.push(vec!["PSUBSCRIBE", random.pick(&["__key*__:*", "*", "n*", "__keyevent@0__:*", "[kn]?", ""])]);
    }
    if random.one_in(3) {
        all.push(vec!["SSUBSCRIBE", random.pick(CHANNELS)]);
    }
    all
}

fn contains(bytes: &[u8], name: &[u8]) -> bool {
    bytes.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name))
}

impl Plan {
    /// What both can be sent. A line whose command ours lacks, but theirs has, is a defect of the table or of ours.
    fn new(reference: &Path) -> Plan {
        let version = Command::new(reference).arg("--version").output().unwrap().stdout;
        let is_old = String::from_utf8_lossy(&version).contains("v=7.");
        let duel = Duel::start(reference);
        let mut excused = BTreeSet::new();
        let mut missing = BTreeSet::new();
        let mut lines = grammar::lines(commands::TABLE);
        lines.retain(|line| {
            let changed = commands::CHANGED_SINCE_7_0.iter().find(|(start, _)| is_old && line.text.starts_with(start));
            excused.extend(changed.map(|(start, _)| *start));
            match duel.known(&line.name) {
                [true, false] => {
                    missing.insert(line.name.clone());
                    false
                }
                _ => changed.is_none(),
            }
        });
        println!("not built yet, so not compared: {missing:?}");
        let has = |name: &str| duel.known(name) == [true, true];
        Plan {
            has_reply_modes: has("client reply"),
            has_monitor: has("monitor"),
            has_pubsub: has("ssubscribe"),
            lines,
            excused,
        }
    }

    fn step(&self, random: &mut Random) -> Step {
        let connection = random.below(CONNECTIONS);
        match random.below(200) {
            0..=4 => {
                let mut bytes = broken::broken(random);
                let piece = if random.one_in(3) { 1 + random.below(40) } else { bytes.len() };
                // A long request in small pieces would only take time. What is taken for HTTP loses the replies that wait
                // to be sent, and which those are depends on what is read together.
                let is_http = [&b"host:"[..], b"post"].iter().any(|name| contains(&bytes, name));
                if is_http {
                    bytes.truncate(READ_BYTES);
                }
                Step::Broken { piece: if is_http { bytes.len() } else { piece.max(bytes.len() / 100) }, bytes }
            }
            5..=14 => {
                let count = 2 + random.below(PIPELINE_MAX - 1);
                let commands = (0..count).map(|_| self.command(random));
                let commands = commands.filter(|(args, _)| !duel::loses_replies(args)).collect();
                Step::Pipeline { connection, commands }
            }
            15 if self.has_reply_modes => {
                let count = 1 + random.below(4);
                Step::Muted { connection, commands: (0..count).map(|_| self.quiet_command(random).0).collect() }
            }
            16 if self.has_monitor => {
                let count = 1 + random.below(PIPELINE_MAX);
                Step::Monitored { connection, commands: (0..count).map(|_| self.quiet_command(random)).collect() }
            }
            17..=19 if self.has_pubsub => {
                let count = 1 + random.below(PIPELINE_MAX);
                Step::Listened {
                    connection,
                    protocol: random.pick(&["2", "3"]),
                    subscriptions: subscriptions(random),
                    commands: (0..count).map(|_| self.quiet_command(random)).collect(),
                }
            }
            _ => {
                let (args, rule) = self.command(random);
                let form = match random.below(40) {
                    // A line of text has a limit of 64 KiB, in which a byte takes four.
                    0 if args.iter().map(|arg| arg.shown().len()).sum::<usize>() < 2000 => Form::Inline,
                    1 => Form::Pieces(1 + random.below(40)),
                    _ => Form::Whole,
                };
                Step::Command { connection, args, rule, form }
            }
        }
    }

    fn command(&self, random: &mut Random) -> (Vec<Arg>, Rule) {
        grammar::command(&self.lines, random)
    }

    /// A command that leaves the connection and its transaction as they are.
    fn quiet_command(&self, random: &mut Random) -> (Vec<Arg>, Rule) {
        const LOUD: &[&str] = &[
            "multi", "exec", "discard", "reset", "quit", "hello", "client", "auth", "watch", "config", "debug",
            "restore",
        ];
        loop {
            let (args, rule) = self.command(random);
            if !LOUD.contains(&&args[0].shown().to_lowercase()[..]) {
                return (args, rule);
            }
        }
    }
}
