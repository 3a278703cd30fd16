//! The same seeded requests to a real redis-server and to ours: the replies must be the same bytes.
//!
//! `TORC_DIFF_SERVER` names the other binary (default: `redis-server` on PATH), `TORC_DIFF_COMMANDS` how many commands
//! (default 20,000), `TORC_DIFF_SEED` the seed. Only what depends on time or on the order of a hash table is compared
//! more loosely. Drives built binaries over sockets; knows nothing of their code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::process::Command;

use harness::{Client, Server, Value, skip};

/// How many of the last commands a mismatch shows.
const HISTORY: usize = 40;

/// Connections a run has open at a time.
const CONNECTIONS: usize = 5;

/// Where Redis 7.0, Debian's, answers otherwise than 8.0, whose behaviour is ours: the start of a command, and why.
const CHANGED_SINCE_7_0: &[(&str, &str)] =
    &[("client setinfo", "came with 7.2"), ("command getkeys", "wanted one argument more")];

/// splitmix64: small, and the same on every host.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound as u64) as usize
    }

    fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

/// How the two replies to a command are compared.
#[derive(Clone, Debug)]
enum Rule {
    /// Byte for byte.
    Same,
    /// Both are arrays of the same members in any order.
    AnyOrder,
    /// `[cursor, members]` of a scan that takes everything at once.
    WholeScan,
    /// Integers at most this far apart, negative ones the same.
    Near(i64),
    /// Of one kind, errors being the same; what other replies say depends on the server.
    SameKind,
    /// EXEC: as many as were queued, each by its rule.
    Each(Vec<Rule>),
}

impl Rule {
    fn accepts(&self, theirs: &[u8], ours: &[u8]) -> bool {
        if theirs == ours {
            return true;
        }
        match (decoded(theirs), decoded(ours)) {
            (Some(theirs), Some(ours)) => self.accepts_values(&theirs, &ours),
            _ => false,
        }
    }

    fn accepts_values(&self, theirs: &Value, ours: &Value) -> bool {
        if theirs == ours {
            return true;
        }
        match (self, theirs, ours) {
            (Rule::AnyOrder, Value::Array(theirs), Value::Array(ours)) => sorted(theirs) == sorted(ours),
            (Rule::WholeScan, Value::Array(theirs), Value::Array(ours)) if theirs.len() == 2 && ours.len() == 2 => {
                theirs[0] == ours[0] && Rule::AnyOrder.accepts_values(&theirs[1], &ours[1])
            }
            (Rule::Near(distance), Value::Integer(theirs), Value::Integer(ours)) => {
                *theirs > 0 && *ours > 0 && (theirs - ours).abs() <= *distance
            }
            (Rule::SameKind, Value::Error(theirs), Value::Error(ours)) => theirs == ours,
            (Rule::SameKind, theirs, ours) => std::mem::discriminant(theirs) == std::mem::discriminant(ours),
            (Rule::Each(rules), Value::Array(theirs), Value::Array(ours)) => {
                theirs.len() == ours.len()
                    && theirs.len() == rules.len()
                    && rules
                        .iter()
                        .zip(theirs.iter().zip(ours))
                        .all(|(rule, (theirs, ours))| rule.accepts_values(theirs, ours))
            }
            _ => false,
        }
    }
}

fn decoded(bytes: &[u8]) -> Option<Value> {
    Value::decode(bytes).ok()?.map(|(value, _)| value)
}

fn sorted(items: &[Value]) -> Vec<String> {
    let mut texts = items.iter().map(Value::to_string).collect::<Vec<_>>();
    texts.sort();
    texts
}

/// One connection to each server, kept in the same state.
struct Pair {
    theirs: Client,
    ours: Client,
    /// The rules of what is queued, while inside MULTI.
    queued: Option<Vec<Rule>>,
}

struct Run {
    random: Random,
    seed: u64,
    reference: Server,
    subject: Server,
    pairs: Vec<Pair>,
    history: VecDeque<String>,
    excused: Vec<&'static str>,
    compared: usize,
}

#[test]
fn replies_are_those_of_redis() {
    let Some(binary) = reference_binary() else { return skip("no redis-server to compare with") };
    let mut run = Run::start(binary);
    let commands = setting("TORC_DIFF_COMMANDS", 20_000);
    while run.compared < commands as usize {
        if run.random.one_in(40) {
            run.broken_bytes();
        } else {
            run.one_command();
        }
    }
    println!("{} commands compared, seed {}; left out: {:?}", run.compared, run.seed, run.excused);
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |text| text.parse().unwrap())
}

fn reference_binary() -> Option<PathBuf> {
    let path = std::env::var_os("TORC_DIFF_SERVER").map_or_else(|| PathBuf::from("redis-server"), PathBuf::from);
    Command::new(&path).arg("--version").output().ok()?.status.success().then_some(path)
}

impl Run {
    fn start(binary: PathBuf) -> Run {
        let seed = setting("TORC_DIFF_SEED", 1);
        let version = Command::new(&binary).arg("--version").output().unwrap().stdout;
        let is_old = String::from_utf8_lossy(&version).contains("v=7.");
        let mut run = Run {
            random: Random(seed),
            seed,
            reference: Server::builder().binary(binary).start(),
            subject: Server::start(),
            pairs: Vec::new(),
            history: VecDeque::new(),
            excused: if is_old { CHANGED_SINCE_7_0.iter().map(|(start, _)| *start).collect() } else { Vec::new() },
            compared: 0,
        };
        for _ in 0..CONNECTIONS {
            let pair = run.connect();
            run.pairs.push(pair);
        }
        run
    }

    /// A new connection to both, RESP3 every other time.
    fn connect(&mut self) -> Pair {
        let mut pair = Pair { theirs: self.reference.connect(), ours: self.subject.connect(), queued: None };
        if self.random.one_in(2) {
            pair.theirs.run("HELLO 3");
            pair.ours.run("HELLO 3");
        }
        pair
    }

    fn one_command(&mut self) {
        let (mut args, mut rule) = command(&mut self.random);
        let line = args.iter().map(|arg| String::from_utf8_lossy(arg).to_lowercase()).collect::<Vec<_>>().join(" ");
        if self.excused.iter().any(|start| line.starts_with(start)) {
            return;
        }
        if self.random.one_in(12) {
            spoil(&mut args, &mut self.random);
            // It may have become a command that tells of the server.
            let name = args[0].to_ascii_lowercase();
            if name == b"scan" && args.len() > 1 {
                // Which texts are a cursor changed between versions.
                args[1] = b"0".to_vec();
            }
            if [&b"hello"[..], b"client", b"config", b"command", b"info", b"time", b"scan"].contains(&&name[..]) {
                rule = Rule::SameKind;
            }
        }
        let index = self.random.below(self.pairs.len());
        let bytes = Client::encode(&args);
        self.remember(index, &bytes);
        let pair = &mut self.pairs[index];
        let name = String::from_utf8_lossy(&args[0]).to_lowercase();
        pair.theirs.send(&bytes);
        pair.ours.send(&bytes);
        let rule = match &mut pair.queued {
            Some(queued) if name == "exec" => Rule::Each(std::mem::take(queued)),
            _ => rule,
        };
        let theirs = pair.theirs.try_raw_reply();
        let ours = pair.ours.try_raw_reply();
        self.compared += 1;
        match (theirs, ours) {
            (Ok(theirs), Ok(ours)) => {
                self.check(index, &rule, &theirs, &ours);
                self.follow(index, &name, &theirs, rule);
            }
            (theirs, ours) => self.fail(&format!("theirs: {theirs:?}\n  ours: {ours:?}")),
        }
    }

    /// Keeps track of MULTI and of connections that were closed on request.
    fn follow(&mut self, index: usize, name: &str, reply: &[u8], rule: Rule) {
        let pair = &mut self.pairs[index];
        match name {
            _ if reply == b"+QUEUED\r\n" => pair.queued.get_or_insert_default().push(rule),
            "multi" if reply == b"+OK\r\n" => pair.queued = Some(Vec::new()),
            "exec" | "discard" | "reset" => pair.queued = None,
            "quit" => self.pairs[index] = self.connect(),
            _ => {}
        }
    }

    /// Bytes that break the protocol, or nearly: everything that comes back until both close must be the same.
    fn broken_bytes(&mut self) {
        let bytes = broken(&mut self.random);
        self.remember(99, &bytes);
        let mut answers = Vec::new();
        for server in [&self.reference, &self.subject] {
            let mut client = server.connect();
            let _ = client.try_send(&bytes);
            client.finish_sending();
            answers.push(client.read_to_close());
        }
        self.compared += 1;
        self.check(99, &Rule::Same, &answers[0].clone(), &answers[1].clone());
    }

    fn remember(&mut self, index: usize, bytes: &[u8]) {
        if self.history.len() == HISTORY {
            self.history.pop_front();
        }
        let shown = &bytes[..bytes.len().min(300)];
        self.history.push_back(format!("{index}> {}", shown.escape_ascii()));
    }

    fn check(&self, index: usize, rule: &Rule, theirs: &[u8], ours: &[u8]) {
        if !rule.accepts(theirs, ours) {
            let show = |bytes: &[u8]| bytes[..bytes.len().min(1500)].escape_ascii().to_string();
            self.fail(&format!("connection {index}, rule {rule:?}\ntheirs: {}\n  ours: {}", show(theirs), show(ours)));
        }
    }

    fn fail(&self, what: &str) -> ! {
        let tail = self.history.iter().map(String::as_str).collect::<Vec<_>>().join("\n");
        panic!("replies differ after {} commands, TORC_DIFF_SEED={}\n{tail}\n{what}", self.compared, self.seed);
    }
}

/// Makes a command wrong: an argument too few or too many, or another one in its place.
fn spoil(args: &mut Vec<Vec<u8>>, random: &mut Random) {
    match random.below(4) {
        0 if args.len() > 1 => {
            args.pop();
        }
        1 => args.push(number(random).into_bytes()),
        2 => args.push(b"NX".to_vec()),
        _ => {
            // Never the name: any other command could be behind it. Never a time: a key that expires during the run
            // could be gone on one side only.
            let at = random.below(args.len());
            let timed = args[0].to_ascii_uppercase();
            let timed = timed.ends_with(b"EX") || timed == b"SET" || timed.windows(6).any(|part| part == b"EXPIRE");
            if at > 0 && !timed {
                args[at] = value(random);
            }
        }
    }
}

fn key(random: &mut Random) -> Vec<u8> {
    match random.below(40) {
        0 => Vec::new(),
        1 => b"\x00\xff\r\n".to_vec(),
        2 => vec![b'K'; 700],
        3 => b"a*[b]?".to_vec(),
        _ => format!("k{}", random.below(9)).into_bytes(),
    }
}

fn value(random: &mut Random) -> Vec<u8> {
    match random.below(14) {
        0 => Vec::new(),
        1 => (0..random.below(80)).map(|_| random.next() as u8).collect(),
        2 => vec![b'v'; random.below(1500)],
        3 if random.one_in(10) => vec![b'w'; 15_000 + random.below(30_000)],
        4 | 5 => float(random).into_bytes(),
        6 | 7 => b"text".repeat(random.below(20)),
        _ => number(random).into_bytes(),
    }
}

/// Integers as arguments: mostly small, often at an edge, sometimes not quite integers.
fn number(random: &mut Random) -> String {
    const EDGES: &[&str] = &[
        "0",
        "1",
        "-1",
        "10",
        "-0",
        "+1",
        "01",
        " 1",
        "1 ",
        "",
        "x",
        "1.5",
        "2147483647",
        "-2147483648",
        "4294967295",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "99999999999999999999",
        "536870911",
        "0x10",
    ];
    match random.below(4) {
        0 => random.pick(EDGES).to_owned(),
        1 => (random.next() as i64 >> random.below(60)).to_string(),
        _ => (random.below(200) as i64 - 60).to_string(),
    }
}

fn float(random: &mut Random) -> String {
    const EDGES: &[&str] = &[
        "0",
        "-0",
        "inf",
        "-inf",
        "nan",
        "1e10",
        "1e-10",
        "1.7976931348623157e308",
        "5e-324",
        ".5",
        "5.",
        "1e",
        "0.1",
        "3.0e3",
        "123456789.123456789",
        "x",
        " 1.5",
        "1.5 ",
        "0x1p3",
        "1e400",
        "1e4932",
    ];
    match random.below(3) {
        0 => random.pick(EDGES).to_owned(),
        1 => format!("{}.{}", random.below(100_000) as i64 - 50_000, random.below(1_000_000)),
        _ => format!("{}", (random.next() >> 12) as f64 / 1e9 - 1e6),
    }
}

/// A time to live that no test run outlives, or one that is over at once, or nonsense.
fn time(random: &mut Random, unit: &str) -> String {
    let now_s = 1_900_000_000 + random.below(1_000_000_000) as i64;
    match (random.below(8), unit) {
        (0, _) => random
            .pick(&["0", "-1", "x", "9223372036854775807", "1.5", "-9223372036854775808", "9223372036854775"])
            .to_owned(),
        (_, "EX") => (5000 + random.below(100_000)).to_string(),
        (_, "PX") => (5_000_000 + random.below(100_000_000)).to_string(),
        (1, "EXAT" | "PXAT") => random.below(1_000_000).max(1).to_string(),
        (_, "EXAT") => now_s.to_string(),
        _ => (now_s * 1000 + random.below(1000) as i64).to_string(),
    }
}

fn expiry_options(random: &mut Random, args: &mut Vec<Vec<u8>>) {
    let unit = random.pick(&["EX", "PX", "EXAT", "PXAT"]);
    args.push(unit.as_bytes().to_vec());
    args.push(time(random, unit).into_bytes());
}

/// A command with arguments of its kind, and how its replies are compared.
fn command(random: &mut Random) -> (Vec<Vec<u8>>, Rule) {
    let (mut args, rule) = match random.below(10) {
        0..=4 => string_command(random),
        5..=7 => key_command(random),
        8 => expire_command(random),
        _ => other_command(random),
    };
    match random.below(6) {
        0 => args[0].make_ascii_lowercase(),
        1 => args[0][0].make_ascii_lowercase(),
        _ => {}
    }
    (args, rule)
}

/// Arguments from a name and parts.
fn args(name: &str, parts: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut args = name.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    args.extend(parts);
    args
}

fn string_command(random: &mut Random) -> (Vec<Vec<u8>>, Rule) {
    let key = key(random);
    let number = || number as fn(&mut Random) -> String;
    let made = match random.below(26) {
        0..=3 => {
            let mut args = args("SET", vec![key, value(random)]);
            if random.one_in(3) {
                expiry_options(random, &mut args);
                // SET keeps a key whose time is over until someone comes upon it: DBSIZE would be a matter of luck.
                if args.last().unwrap().len() < 9 && args[3].ends_with(b"AT") {
                    args.pop();
                    args.push(b"33177117420000".to_vec());
                }
            }
            for _ in 0..random.below(3) {
                args.push(random.pick(&["NX", "XX", "GET", "KEEPTTL", "get", "nx"]).as_bytes().to_vec());
            }
            args
        }
        4 | 5 => args("GET", vec![key]),
        6 => args("GETSET", vec![key, value(random)]),
        7 => args("GETDEL", vec![key]),
        8 => {
            let mut args = args("GETEX", vec![key]);
            match random.below(3) {
                0 => expiry_options(random, &mut args),
                1 => args.push(b"PERSIST".to_vec()),
                _ => {}
            }
            args
        }
        9 => args("SETNX", vec![key, value(random)]),
        10 => args("SETEX", vec![key, time(random, "EX").into_bytes(), value(random)]),
        11 => args("PSETEX", vec![key, time(random, "PX").into_bytes(), value(random)]),
        12 => args(random.pick(&["MSET", "MSETNX"]), many_pairs(random)),
        13 => args("MGET", (0..1 + random.below(5)).map(|_| self::key(random)).collect()),
        14 | 15 => args(random.pick(&["INCR", "DECR"]), vec![key]),
        16 | 17 => args(random.pick(&["INCRBY", "DECRBY"]), vec![key, number()(random).into_bytes()]),
        18 | 19 => args("INCRBYFLOAT", vec![key, float(random).into_bytes()]),
        20 => args("APPEND", vec![key, value(random)]),
        21 => args("STRLEN", vec![key]),
        22 | 23 => {
            let name = random.pick(&["GETRANGE", "SUBSTR", "GETRANGE"]);
            args(name, vec![key, number()(random).into_bytes(), number()(random).into_bytes()])
        }
        24 => args("SETRANGE", vec![key, small_offset(random), value(random)]),
        _ => {
            let mut args = args("LCS", vec![key, self::key(random)]);
            for _ in 0..random.below(3) {
                args.push(random.pick(&["LEN", "IDX", "WITHMATCHLEN", "MINMATCHLEN"]).as_bytes().to_vec());
            }
            if args.last().unwrap() == b"MINMATCHLEN" {
                args.push(number()(random).into_bytes());
            }
            args
        }
    };
    (made, Rule::Same)
}

/// Mostly near the start; else one that is refused. What lies between would only fill memory.
fn small_offset(random: &mut Random) -> Vec<u8> {
    match random.below(4) {
        0 => random.pick(&["-1", "x", "536870912", "9223372036854775807", "1.0"]).as_bytes().to_vec(),
        _ => random.below(2000).to_string().into_bytes(),
    }
}

fn many_pairs(random: &mut Random) -> Vec<Vec<u8>> {
    (0..1 + random.below(4)).flat_map(|_| [key(random), value(random)]).collect()
}

fn key_command(random: &mut Random) -> (Vec<Vec<u8>>, Rule) {
    let key = key(random);
    match random.below(14) {
        0 | 1 => (args(random.pick(&["DEL", "UNLINK"]), vec![key, self::key(random)]), Rule::Same),
        2 | 3 => (args(random.pick(&["EXISTS", "TOUCH"]), vec![key, self::key(random)]), Rule::Same),
        4 => (args("TYPE", vec![key]), Rule::Same),
        5 => (args(random.pick(&["TTL"]), vec![key]), Rule::Near(3)),
        6 => (args("PTTL", vec![key]), Rule::Near(3000)),
        7 => (args("EXPIRETIME", vec![key]), Rule::Near(3)),
        8 => (args("PEXPIRETIME", vec![key]), Rule::Near(3000)),
        9 => (args("PERSIST", vec![key]), Rule::Same),
        10 => (args(random.pick(&["RENAME", "RENAMENX"]), vec![key, self::key(random)]), Rule::Same),
        11 => {
            let pattern = random
                .pick(&["*", "k*", "k?", "k[1-4]", "k[^1-4]", "\\k1", "[", "k[", "nosuch", "*[0-9]", "**", "K*K"]);
            (args("KEYS", vec![pattern.into()]), Rule::AnyOrder)
        }
        12 => {
            let mut args = args("SCAN 0 COUNT 1000000", vec![]);
            if random.one_in(2) {
                args.extend([b"MATCH".to_vec(), random.pick(&["*", "k?", "nosuch"]).into()]);
            }
            if random.one_in(3) {
                args.extend([b"TYPE".to_vec(), random.pick(&["string", "hash", "nosuch"]).into()]);
            }
            (args, Rule::WholeScan)
        }
        _ => (args("DBSIZE", vec![]), Rule::Same),
    }
}

fn expire_command(random: &mut Random) -> (Vec<Vec<u8>>, Rule) {
    let (name, unit) =
        [("EXPIRE", "EX"), ("PEXPIRE", "PX"), ("EXPIREAT", "EXAT"), ("PEXPIREAT", "PXAT")][random.below(4)];
    let mut args = args(name, vec![key(random), time(random, unit).into_bytes()]);
    for _ in 0..random.below(3) {
        args.push(random.pick(&["NX", "XX", "GT", "LT", "gt", "nosuch"]).as_bytes().to_vec());
    }
    (args, Rule::Same)
}

fn other_command(random: &mut Random) -> (Vec<Vec<u8>>, Rule) {
    const SAME: &[&str] = &[
        "PING",
        "PING hello",
        "ECHO hello",
        "MULTI",
        "MULTI",
        "MULTI",
        "EXEC",
        "EXEC",
        "EXEC",
        "DISCARD",
        "WATCH k1 k2",
        "WATCH k3",
        "UNWATCH",
        "SELECT 0",
        "SELECT 1",
        "SELECT 0",
        "SELECT 99",
        "SELECT x",
        "RESET",
        "QUIT",
        "FLUSHDB",
        "FLUSHALL",
        "FLUSHALL nosuch",
        "FLUSHDB SYNC",
        "CLIENT GETNAME",
        "CLIENT SETNAME me",
        "CLIENT SETNAME",
        "CLIENT nosuch",
        "CLIENT KILL x",
        "CLIENT SETINFO lib-name x",
        "CLIENT LIST TYPE nosuch",
        "CLIENT LIST ID x",
        "AUTH x",
        "AUTH default x",
        "AUTH a b c",
        "NOSUCH",
        "NOSUCH a b",
        "nosuch",
        "HELLO 1",
        "HELLO x",
        "HELLO 3 nosuch",
        "CONFIG GET databases",
        "CONFIG GET nosuch",
        "CONFIG SET nosuch 1",
        "CONFIG GET",
        "CONFIG nosuch",
        "COMMAND nosuch",
        "COMMAND GETKEYS GET a",
        "COMMAND GETKEYS MSET a b c d",
        "COMMAND GETKEYS PING",
        "COMMAND GETKEYS NOSUCH",
        "COMMAND INFO nosuch",
        "COMMAND LIST nosuch",
        "SCAN x",
        "SCAN 0 COUNT 0",
        "SCAN 0 nosuch",
        "TIME x",
        "GET",
        "SET k1",
    ];
    const KIND: &[&str] =
        &["TIME", "RANDOMKEY", "CLIENT ID", "CLIENT INFO", "CLIENT LIST", "HELLO", "HELLO 2", "HELLO 3", "INFO"];
    if random.one_in(8) {
        // RANDOMKEY of an empty database is nil on both sides, else a bulk.
        return (args(random.pick(KIND), vec![]), Rule::SameKind);
    }
    (args(random.pick(SAME), vec![]), Rule::Same)
}

/// A pipeline of harmless commands with some of its bytes changed.
fn broken(random: &mut Random) -> Vec<u8> {
    let mut bytes = Vec::new();
    for _ in 0..1 + random.below(4) {
        match random.below(5) {
            0 => bytes.extend_from_slice(b"PING\r\n"),
            1 => bytes.extend_from_slice(b"ECHO \"a \\x41 b\" \r\n"),
            2 => bytes.extend_from_slice(&Client::encode(&["ECHO", "hello"])),
            3 => bytes.extend_from_slice(&Client::encode(&["GET", "none"])),
            _ => bytes.extend_from_slice(&Client::encode(&["PING"])),
        }
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
    bytes
}
