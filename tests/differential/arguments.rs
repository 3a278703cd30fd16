//! Arguments by the names that the table of commands gives them.

use crate::harness::Random;

/// How many connections a round has open at a time.
pub(crate) const CONNECTIONS: usize = 5;

/// An argument of a command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Arg {
    /// The same bytes to both.
    Bytes(Vec<u8>),
    /// What either server calls this connection.
    ClientId(usize),
    /// What one of the servers makes of DUMP for this one of [`DUMPED`]; both are given it.
    Dump(usize, usize),
}

/// Values whose serialized form is given to RESTORE.
pub(crate) const DUMPED: &[&str] = &[
    "",
    "7",
    "-129",
    "70000",
    "9223372036854775807",
    "text",
    "a text of some more than twenty letters",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "abcabcabcabcabcabcabcabcabcabcdefdefdefdefdefdefdefghighighighighighighighijkl",
];

impl Arg {
    /// For people, and to tell what command this is.
    pub(crate) fn shown(&self) -> String {
        match self {
            Arg::Bytes(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            Arg::ClientId(index) => format!("<id of {}>", label(*index)),
            Arg::Dump(which, _) => format!("<dump of {:?}>", DUMPED[*which]),
        }
    }

    /// As a transcript has it.
    pub(crate) fn quoted(&self) -> String {
        match self {
            Arg::Bytes(bytes)
                if !bytes.is_empty()
                    && bytes.iter().all(|byte| byte.is_ascii_graphic() && !b"\"'\\=>".contains(byte)) =>
            {
                self.shown()
            }
            Arg::Bytes(bytes) => {
                let letters = bytes.iter().map(|byte| match byte {
                    b'"' | b'\\' | 0..=31 | 127..=255 => format!("\\x{byte:02x}"),
                    _ => char::from(*byte).to_string(),
                });
                format!("\"{}\"", letters.collect::<String>())
            }
            other => other.shown(),
        }
    }
}

/// The letter of a connection in a transcript.
pub(crate) fn label(index: usize) -> char {
    char::from(b'a' + index as u8)
}

/// When fields expire: far from each other, over already, or not during the run.
const FIELD_TIMES: &[&str] =
    &["0", "1", "4000000000", "4000100000", "5000000000000", "4000000000000", "70368744177", "x", "-1"];

/// Appends what the argument `name` stands for: one argument, or several.
pub(crate) fn argument(name: &str, random: &mut Random, args: &mut Vec<Arg>) {
    let bytes = match name {
        "key" => key(random),
        "value" => value(random),
        // Keys for one type each, so that they are seldom of the wrong one.
        "list" | "set" | "hash" | "zset" | "bits" | "hll" | "geo" if random.one_in(30) => key(random),
        "list" => format!("l{}", random.below(4)).into_bytes(),
        "set" => format!("s{}", random.below(4)).into_bytes(),
        "hash" => format!("h{}", random.below(3)).into_bytes(),
        "zset" => format!("z{}", random.below(4)).into_bytes(),
        "yset" => format!("y{}", random.below(2)).into_bytes(),
        "geo" | "far" => format!("{}{}", &name[..1], random.below(2)).into_bytes(),
        "lon" => random.pick(LONGITUDES).as_bytes().to_vec(),
        "lat" => random.pick(LATITUDES).as_bytes().to_vec(),
        "radius" => random.pick(&["0", "1", "100", "1000", "5e6", "2e7", "1e300", "-1", "x"]).as_bytes().to_vec(),
        "unit" => random.pick(&["m", "km", "KM", "ft", "mi", "km", "km", "yd"]).as_bytes().to_vec(),
        "by" => random.pick(&["*", "k*", "h*->a", "h0->*", "nosort", "h0*->", "k1*", ""]).as_bytes().to_vec(),
        "score" => random.pick(&["0", "0", "0", "1", "2", "-1", "1.5", "inf", "-inf", "3e5"]).as_bytes().to_vec(),
        "score-end" => {
            random.pick(&["0", "(0", "1", "(1", "2", "-inf", "+inf", "(1.5", "-1", "x", "(", ""]).as_bytes().to_vec()
        }
        "text-end" => {
            random.pick(&["-", "+", "[a", "(a", "[b", "(c", "[", "(", "[1", "a", "[text"]).as_bytes().to_vec()
        }
        "bits" => format!("b{}", random.below(4)).into_bytes(),
        "bit" => bit(random).into_bytes(),
        "field" => field(random).into_bytes(),
        "field-step" => return field_step(random, args),
        "hll" => format!("p{}", random.below(4)).into_bytes(),
        "corrupt-hll" => random.pick(CORRUPT_HLLS).to_vec(),
        "run" => random.pick(RUNS).to_vec(),
        "element" => element(random),
        "field-time" => random.pick(FIELD_TIMES).as_bytes().to_vec(),
        "elements" => return elements(random, args),
        "index" if random.one_in(12) => number(random).into_bytes(),
        "index" => (random.below(14) as i64 - 6).to_string().into_bytes(),
        // Without zero bytes: Redis does not look behind one.
        "name" => random.pick(&["me", "", "a b", "two\nlines", "\u{7f}", "{[~]}", "ü", "\"", "k1"]).as_bytes().to_vec(),
        "number" => number(random).into_bytes(),
        "float" => float(random).into_bytes(),
        "offset" => small_offset(random),
        "pattern" => pattern(random).as_bytes().to_vec(),
        "cursor" => b"0".to_vec(),
        "db" => random.pick(&["0", "1", "2", "0", "1", "2", "15", "16", "-1", "x", ""]).as_bytes().to_vec(),
        "expiry" => {
            let unit = random.pick(&["EX", "PX", "EXAT", "PXAT"]);
            args.push(Arg::Bytes(unit.as_bytes().to_vec()));
            time(random, unit, true).into_bytes()
        }
        // SET keeps a key whose time is over until someone comes upon it: DBSIZE would be a matter of luck.
        "lasting-expiry" => {
            let unit = random.pick(&["EX", "PX", "EXAT", "PXAT"]);
            args.push(Arg::Bytes(unit.as_bytes().to_vec()));
            time(random, unit, false).into_bytes()
        }
        "seconds" => time(random, "EX", true).into_bytes(),
        "milliseconds" => time(random, "PX", true).into_bytes(),
        "second" => time(random, "EXAT", true).into_bytes(),
        "millisecond" => time(random, "PXAT", true).into_bytes(),
        "flag" => random.pick(&["NX", "XX", "GT", "LT", "gt", "nosuch"]).as_bytes().to_vec(),
        "channel" => random.pick(CHANNELS).as_bytes().to_vec(),
        "command" => random.pick(COMMAND_NAMES).as_bytes().to_vec(),
        "parameter" => random.pick(PARAMETERS).as_bytes().to_vec(),
        "setting" => {
            let (name, values) = SETTINGS[random.below(SETTINGS.len())];
            args.push(Arg::Bytes(name.as_bytes().to_vec()));
            random.pick(values).as_bytes().to_vec()
        }
        "client-id" => return args.push(Arg::ClientId(random.below(CONNECTIONS))),
        "dump" if random.one_in(6) => random.pick(BROKEN_DUMPS).to_vec(),
        "dump" => return args.push(Arg::Dump(random.below(DUMPED.len()), random.below(2))),
        _ => panic!("the table names an argument <{name}>"),
    };
    args.push(Arg::Bytes(bytes));
}

/// Degrees, the map's edges and what lies beyond among them.
const LONGITUDES: &[&str] =
    &["0", "13.361389", "15.087269", "-180", "180", "179.9999999", "-122.4", "1e-9", "180.1", "x"];
const LATITUDES: &[&str] =
    &["0", "38.115556", "37.502669", "85.05112878", "-85.05112878", "66.1", "-80.5", "1e-9", "86", "nan"];

/// Names of channels, keys' among them.
pub(crate) const CHANNELS: &[&str] = &["news", "n", "k1", "", "ü", "__keyevent@0__:set", "__keyspace@0__:k1"];

/// Serialized values that RESTORE must refuse.
const BROKEN_DUMPS: &[&[u8]] = &[
    b"",
    b"x",
    b"\x00\x01a\x0b\x00",
    b"\x00\x04text\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x01",
    b"\x00\x04text\xff\xff\x00\x00\x00\x00\x00\x00\x00\x00",
    b"\xff\x04text\x0b\x00\x00\x00\x00\x00\x00\x00\x00\x00",
];

/// Runs of registers that are too many.
const RUNS: &[&[u8]] = &[b"\x00", b"\x84", b"\x7f\xff", b"\x8b\x8b"];

/// What begins like a HyperLogLog, whole ones among them. None ends within a run.
const CORRUPT_HLLS: &[&[u8]] = &[
    b"HYLL",
    b"HYLL\x01\0\0\0\0\0\0\0\0\0\0",
    b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80",
    b"HYLL\0\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff",
    b"HYLL\x02\0\0\0\0\0\0\0\0\0\0\x80\x7f\xff",
    b"HYLL\x01abc\0\0\0\0\0\0\0\x80\x7f\xff",
    b"HYLL\x01\0\0\0\x05\0\0\0\0\0\0\0\x7f\xff",
    b"HYLL\x01\0\0\0\xff\xff\xff\xff\xff\xff\xff\x7f\x7f\xff",
    b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x7f\xfe",
    b"HYLL\x01\0\0\0\0\0\0\0\0\0\0\x80\x3f\x88\x88\x89\x89\x00\x40\x00\x8b\x7f\x90",
];

const COMMAND_NAMES: &[&str] = &[
    "get",
    "set",
    "mset",
    "del",
    "getex",
    "lcs",
    "scan",
    "multi",
    "exec",
    "config|get",
    "client|kill",
    "object|encoding",
    "copy",
    "rename",
    "expire",
    "nosuch",
    "config|nosuch",
    "get|key",
    "GET",
    "SeT",
    "",
];

const PARAMETERS: &[&str] = &[
    "databases",
    "nosuch",
    "maxmemory",
    "timeout",
    "save",
    "appendonly",
    "hash-max-*",
    "zset-max-ziplist-value",
    "*-entries",
    "maxmemory-policy",
    "slave-priority",
    "replica-priority",
    "lfu-*",
    "notify-keyspace-events",
    "client-output-buffer-limit",
    "tcp-[kb]*",
    "list-max-ziplist-size",
    "oom-score-adj-values",
    "latency-tracking-info-percentiles",
    "[",
    "",
    "proto-max-bulk-len",
    "slowlog-*",
    "lazyfree*",
    "repl-*",
    "appendfsync",
    "loglevel",
    "tracking-table-max-keys",
    "hz",
];

/// Parameters that change at most how values are kept, each with values of which some are wrong.
const SETTINGS: &[(&str, &[&str])] = &[
    ("hash-max-listpack-entries", &["512", "0", "-1", "x", "1k", "99999999999999999999"]),
    ("hash-max-ziplist-value", &["64", "1", "1kb", "1.5", ""]),
    ("list-max-listpack-size", &["-2", "-6", "10", "x", "2147483648"]),
    ("lfu-log-factor", &["10", "0", "-1", "x", "2147483647"]),
    ("lfu-decay-time", &["1", "0", "-1", "x"]),
    ("maxmemory-samples", &["5", "0", "64", "1", "x", "65"]),
    ("maxmemory-eviction-tenacity", &["10", "0", "100", "101", "-1"]),
    ("active-defrag-cycle-min", &["1", "99", "0", "100"]),
    ("active-expire-effort", &["1", "10", "0", "11"]),
    ("appendfsync", &["always", "everysec", "no", "sometimes", "ALWAYS"]),
    ("auto-aof-rewrite-percentage", &["100", "0", "-1", "x"]),
    ("auto-aof-rewrite-min-size", &["64mb", "1gb", "1", "x", "-1", "10gbb"]),
    ("no-appendfsync-on-rewrite", &["yes", "no", "Yes", "maybe", "1", ""]),
    ("lazyfree-lazy-expire", &["yes", "no", "x"]),
    ("repl-backlog-size", &["1mb", "16384", "0", "-1", "1m"]),
    ("repl-timeout", &["60", "0", "1", "x"]),
    ("replica-priority", &["100", "0", "-1"]),
    ("hll-sparse-max-bytes", &["3000", "3000", "25", "60", "0", "x", "1kb"]),
    ("stream-node-max-bytes", &["4096", "0", "-1", "4k"]),
    ("zset-max-listpack-value", &["64", "0", "x"]),
    // A small one makes the encoding of results a matter of the order in which members are met.
    ("set-max-intset-entries", &["512", "-7"]),
    ("notify-keyspace-events", &["", "KEA", "Kx", "q", "AKE", "Ag$"]),
    ("latency-tracking-info-percentiles", &["50 99 99.9", "", "101", "0 100", "x", "12.5"]),
    (
        "client-output-buffer-limit",
        &["normal 0 0 0", "pubsub 1mb 0 0", "slave 0 0", "nosuch 0 0 0", "normal x 0 0", "replica 9mb 1mb 9"],
    ),
    ("oom-score-adj-values", &["0 200 800", "0 0", "1 2 x", "0 2001 5", "5 4 3"]),
    ("loglevel", &["notice", "nosuch", "warning", "nothing"]),
    ("min-replicas-max-lag", &["10", "0", "-1"]),
    ("tcp-backlog", &["511", "5"]),
    ("databases", &["16", "x"]),
    ("save", &["", "3600 1", "3600 1 60 5", "x", "60", "0 1", "60 -1"]),
    ("nosuch", &["1", ""]),
    ("slowlog-max-len", &["128", "10", "-1", "x"]),
    ("busy-reply-threshold", &["5000", "-1", "x"]),
    ("acllog-max-len", &["128", "0", "-1"]),
    ("tracking-table-max-keys", &["1000000", "-1", "x"]),
];

fn pattern(random: &mut Random) -> &'static str {
    random.pick(&[
        "*", "k*", "k?", "k[1-4]", "k[^1-4]", "\\k1", "[", "k[", "nosuch", "*[0-9]", "**", "K*K", "k\\", "", "?*?",
        "[k-",
    ])
}

/// Mostly a few that meet again, sometimes a strange one.
pub(crate) fn key(random: &mut Random) -> Vec<u8> {
    match random.below(40) {
        0 => Vec::new(),
        1 => b"\x00\xff\r\n".to_vec(),
        2 => vec![b'K'; 700],
        3 => b"a*[b]?".to_vec(),
        _ => format!("k{}", random.below(9)).into_bytes(),
    }
}

/// A number and as many elements, or one too many or too few.
fn elements(random: &mut Random, args: &mut Vec<Arg>) {
    let count = 1 + random.below(3);
    let said = if random.one_in(12) { random.pick(&["0", "x", "-1", "9"]).to_owned() } else { count.to_string() };
    args.push(Arg::Bytes(said.into_bytes()));
    (0..count).for_each(|_| args.push(Arg::Bytes(element(random))));
}

/// One of a few that meet again, or any value.
fn element(random: &mut Random) -> Vec<u8> {
    match random.below(8) {
        0 => value(random),
        1 | 2 => random.below(300).to_string().into_bytes(),
        _ => random.pick(&["a", "b", "c", "1", "2", "-1", "text"]).as_bytes().to_vec(),
    }
}

/// Any bytes: numbers, text, short and long.
pub(crate) fn value(random: &mut Random) -> Vec<u8> {
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
pub(crate) fn number(random: &mut Random) -> String {
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

/// The place of a bit: near the start, or one that is refused.
fn bit(random: &mut Random) -> String {
    match random.below(16) {
        0 => random
            .pick(&["-1", "x", "", "01", "4294967296", "9223372036854775807", "-9223372036854775808", "1.0", "#1"])
            .to_owned(),
        1 => random.below(20_000).to_string(),
        _ => random.below(200).to_string(),
    }
}

/// The type of a number in BITFIELD.
fn field(random: &mut Random) -> String {
    match random.below(12) {
        0 => random
            .pick(&[
                "u64",
                "i65",
                "u0",
                "i0",
                "U8",
                "u",
                "i",
                "",
                "x8",
                "u08",
                "u+8",
                "u8x",
                "i-1",
                "u99999999999999999999",
            ])
            .to_owned(),
        1 => random.pick(&["i64", "u63", "i63", "u1", "i1"]).to_owned(),
        2..=6 => format!("u{}", 1 + random.below(63)),
        _ => format!("i{}", 1 + random.below(64)),
    }
}

/// One step of BITFIELD. Reading may be far behind the end; writing stays near the start.
fn field_step(random: &mut Random, args: &mut Vec<Arg>) {
    let mut words = Vec::new();
    if random.one_in(3) {
        words
            .extend(["OVERFLOW".to_owned(), random.pick(&["WRAP", "SAT", "FAIL", "fail", "sat", "nosuch"]).to_owned()]);
    }
    let place = match random.below(10) {
        0 => random.pick(&["#", "#-1", "#x", "#01", "#9223372036854775807", "#576460752303423488"]).to_owned(),
        1..=3 => format!("#{}", random.below(12)),
        _ => bit(random),
    };
    // Products that wrap around could be a place far away.
    let is_far = place.len() > 6;
    match random.below(8) {
        0..=2 => {
            let place = if random.one_in(20) { "4294967290".to_owned() } else { place };
            words.extend(["GET".to_owned(), field(random), place]);
        }
        _ if is_far => words.extend(["GET".to_owned(), field(random), place]),
        3..=5 => words.extend(["SET".to_owned(), field(random), place, number(random)]),
        6 => words.extend(["INCRBY".to_owned(), field(random), place, number(random)]),
        _ if random.one_in(8) => words.push(random.pick(&["GET", "SET", "nosuch", "OVERFLOW"]).to_owned()),
        _ => words.extend(["incrby".to_owned(), field(random), place, random.pick(&["1", "-1"]).to_owned()]),
    }
    args.extend(words.into_iter().map(|word| Arg::Bytes(word.into_bytes())));
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

/// A time to live that no test run outlives, or one that is over at once where that is wanted, or nonsense.
fn time(random: &mut Random, unit: &str, may_be_over: bool) -> String {
    let now_s = 1_900_000_000 + random.below(1_000_000_000) as i64;
    match (random.below(8), unit) {
        (0, _) => random
            .pick(&["0", "-1", "x", "9223372036854775807", "1.5", "-9223372036854775808", "9223372036854775"])
            .to_owned(),
        (_, "EX") => (5000 + random.below(100_000)).to_string(),
        (_, "PX") => (5_000_000 + random.below(100_000_000)).to_string(),
        (1, "EXAT" | "PXAT") if may_be_over => random.below(1_000_000).max(1).to_string(),
        (_, "EXAT") => now_s.to_string(),
        _ => (now_s * 1000 + random.below(1000) as i64).to_string(),
    }
}

/// Mostly near the start; else one that is refused. What lies between would only fill memory.
fn small_offset(random: &mut Random) -> Vec<u8> {
    match random.below(4) {
        0 => random.pick(&["-1", "x", "536870912", "9223372036854775807", "1.0"]).as_bytes().to_vec(),
        _ => random.below(2000).to_string().into_bytes(),
    }
}
