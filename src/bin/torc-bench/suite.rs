//! The tests by name: those of redis-benchmark 8, with its keys and titles, and a mix of reading and writing.

#![forbid(unsafe_code)]

use anyhow::{bail, ensure};

use crate::check::Expect;
use crate::request::{Shape, Workload};
use crate::values::ValueLengths;

/// What the parts of a mix may add up to.
const RATIO_MAX: usize = 1000;
/// Members that a collection is filled with before elements are taken out of it.
const POP_ELEMENTS: usize = 500_000;
/// Elements that one command of a preparation carries.
const FILL_ELEMENTS: usize = 100;
/// The longest range that a test asks for.
const RANGE_ELEMENTS: usize = 600;

/// The kind of reply that a test's requests get.
#[derive(Clone, Copy, Debug)]
enum Reply {
    Pong,
    Ok,
    Integer,
    /// A value as long as those that were stored, or nothing.
    Value,
    Array,
}

/// A test.
#[derive(Debug)]
pub(crate) struct Test {
    /// By which it is selected, its own name first.
    names: &'static [&'static str],
    /// By which it is reported.
    pub(crate) title: &'static str,
    args: &'static [&'static str],
    reply: Reply,
}

const RANGES: &[&str] = &["lrange_fill", "lrange", "lrange_100", "lrange_300", "lrange_500", "lrange_600"];

/// In the order in which they run.
static TESTS: &[Test] = &[
    test(&["ping_inline", "ping"], "PING_INLINE", &["PING"], Reply::Pong),
    test(&["ping_mbulk", "ping"], "PING_MBULK", &["PING"], Reply::Pong),
    test(&["set"], "SET", &["SET", "key:__rand_int__", "__data__"], Reply::Ok),
    test(&["get"], "GET", &["GET", "key:__rand_int__"], Reply::Value),
    test(&["incr"], "INCR", &["INCR", "counter:__rand_int__"], Reply::Integer),
    test(&["lpush"], "LPUSH", &["LPUSH", "mylist", "__data__"], Reply::Integer),
    test(&["rpush"], "RPUSH", &["RPUSH", "mylist", "__data__"], Reply::Integer),
    test(&["lpop"], "LPOP", &["LPOP", "mylist"], Reply::Value),
    test(&["rpop"], "RPOP", &["RPOP", "mylist"], Reply::Value),
    test(&["sadd"], "SADD", &["SADD", "myset", "element:__rand_int__"], Reply::Integer),
    test(&["hset"], "HSET", &["HSET", "myhash", "element:__rand_int__", "__data__"], Reply::Integer),
    test(&["spop"], "SPOP", &["SPOP", "myset"], Reply::Value),
    test(&["zadd"], "ZADD", &["ZADD", "myzset", SCORE, "element:__rand_int__"], Reply::Integer),
    test(&["zpopmin"], "ZPOPMIN", &["ZPOPMIN", "myzset"], Reply::Array),
    test(RANGES, "LPUSH (needed to benchmark LRANGE)", &["LPUSH", "mylist", "__data__"], Reply::Integer),
    test(&["lrange_100", "lrange"], "LRANGE_100 (first 100 elements)", &["LRANGE", "mylist", "0", "99"], Reply::Array),
    test(&["lrange_300", "lrange"], "LRANGE_300 (first 300 elements)", &["LRANGE", "mylist", "0", "299"], Reply::Array),
    test(&["lrange_500", "lrange"], "LRANGE_500 (first 500 elements)", &["LRANGE", "mylist", "0", "499"], Reply::Array),
    test(&["lrange_600", "lrange"], "LRANGE_600 (first 600 elements)", &["LRANGE", "mylist", "0", "599"], Reply::Array),
    test(&["mset"], "MSET (10 keys)", MSET, Reply::Ok),
    test(&["xadd"], "XADD", &["XADD", "mystream", "*", "myfield", "__data__"], Reply::Value),
];

/// A number where keys are random, else zero.
const SCORE: &str = "__score__";

const MSET: &[&str] = &{
    let mut args = ["MSET"; 21];
    let mut index = 1;
    while index < args.len() {
        args[index] = if index % 2 == 1 { "key:__rand_int__" } else { "__data__" };
        index += 1;
    }
    args
};

const fn test(
    names: &'static [&'static str],
    title: &'static str,
    args: &'static [&'static str],
    reply: Reply,
) -> Test {
    Test { names, title, args, reply }
}

/// The tests that a list separated by commas names, in their own order; all of them without a list.
pub(crate) fn select(list: Option<&str>) -> anyhow::Result<Vec<&'static Test>> {
    let Some(list) = list else { return Ok(TESTS.iter().collect()) };
    let wanted: Vec<String> = list.split(',').map(|name| name.trim().to_lowercase()).collect();
    for name in &wanted {
        let known = TESTS.iter().any(|test| test.names.contains(&name.as_str()));
        ensure!(known, "there is no test {name:?}; there are: {}", names().join(", "));
    }
    let is_wanted = |test: &&Test| wanted.iter().any(|name| test.names.contains(&name.as_str()));
    Ok(TESTS.iter().filter(is_wanted).collect())
}

/// One test by its own name.
pub(crate) fn find(name: &str) -> Option<&'static Test> {
    TESTS.iter().find(|test| test.names[0] == name)
}

/// Every name that selects something.
pub(crate) fn names() -> Vec<&'static str> {
    let mut names: Vec<&str> = Vec::new();
    for name in TESTS.iter().flat_map(|test| test.names) {
        if !names.contains(name) && *name != "lrange_fill" {
            names.push(name);
        }
    }
    names
}

impl Test {
    /// Its requests. `numbered`: keys are random. `stored`: every key holds a value of the given length.
    pub(crate) fn workload(&self, lengths: &ValueLengths, numbered: bool, stored: bool) -> Workload {
        if self.names[0] == "ping_inline" {
            return Workload::new(vec![Shape::raw(b"PING\r\n", Expect::Simple("PONG"))]);
        }
        let score = if numbered { "__rand_int__" } else { "0" };
        let args: Vec<&str> = self.args.iter().map(|arg| if *arg == SCORE { score } else { arg }).collect();
        let shapes = lengths.sample(1).into_iter().map(|len| {
            let expect = match self.reply {
                Reply::Pong => Expect::Simple("PONG"),
                Reply::Ok => Expect::Simple("OK"),
                Reply::Integer => Expect::Integer,
                Reply::Value if stored && self.names[0] == "get" => match lengths.fixed() {
                    Some(len) => Expect::Bulk(len),
                    None => Expect::Value(len),
                },
                Reply::Value => Expect::Value(len),
                Reply::Array => Expect::Array,
            };
            Shape::new(&args, len, numbered, expect)
        });
        Workload::new(shapes.collect())
    }

    /// What must be asked of a server before this test measures what it says: commands, and how often each.
    pub(crate) fn preparation(&self) -> Vec<(Workload, u64)> {
        let many = (POP_ELEMENTS / FILL_ELEMENTS) as u64;
        let values = |command: &[&'static str]| [command, &["__data__"; FILL_ELEMENTS]].concat();
        let numbered =
            |command: &[&'static str], part: &[&'static str]| [command, &part.repeat(FILL_ELEMENTS)].concat();
        let steps: Vec<(Vec<&str>, u64)> = match self.names[0] {
            "lpush" | "rpush" => vec![(vec!["DEL", "mylist"], 1)],
            "lpop" | "rpop" => vec![(vec!["DEL", "mylist"], 1), (values(&["RPUSH", "mylist"]), many)],
            name if name.starts_with("lrange") => {
                let commands = (RANGE_ELEMENTS / FILL_ELEMENTS) as u64;
                vec![(vec!["DEL", "mylist"], 1), (values(&["RPUSH", "mylist"]), commands)]
            }
            "sadd" => vec![(vec!["DEL", "myset"], 1)],
            "spop" => vec![(vec!["DEL", "myset"], 1), (numbered(&["SADD", "myset"], &["element:__rand_int__"]), many)],
            "hset" => vec![(vec!["DEL", "myhash"], 1)],
            "zadd" => vec![(vec!["DEL", "myzset"], 1)],
            "zpopmin" => {
                let pairs = numbered(&["ZADD", "myzset"], &["__rand_int__", "element:__rand_int__"]);
                vec![(vec!["DEL", "myzset"], 1), (pairs, many)]
            }
            "xadd" => vec![(vec!["DEL", "mystream"], 1)],
            _ => Vec::new(),
        };
        let step = |(args, count): (Vec<&str>, u64)| {
            (Workload::new(vec![Shape::new(&args, RANGE_VALUE_LEN, true, Expect::Integer)]), count)
        };
        steps.into_iter().map(step).collect()
    }

    /// How many different key numbers a preparation needs.
    pub(crate) fn preparation_keys() -> u64 {
        POP_ELEMENTS as u64 * 2
    }
}

/// What lists are filled with: redis-benchmark's own default.
const RANGE_VALUE_LEN: usize = 3;

/// Reads to writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ratio {
    pub(crate) reads: usize,
    pub(crate) writes: usize,
}

impl std::str::FromStr for Ratio {
    type Err = String;

    fn from_str(text: &str) -> Result<Ratio, String> {
        let parts = text.split_once(':').and_then(|(reads, writes)| Some((reads.parse().ok()?, writes.parse().ok()?)));
        match parts {
            Some((reads, writes)) if (1..=RATIO_MAX).contains(&(reads + writes)) => Ok(Ratio { reads, writes }),
            _ => Err(format!("must be READS:WRITES like 9:1, together 1 to {RATIO_MAX}")),
        }
    }
}

impl Ratio {
    /// GET and SET in this ratio, the writes spread evenly.
    pub(crate) fn workload(self, lengths: &ValueLengths, numbered: bool, stored: bool) -> Workload {
        let total = self.reads + self.writes;
        let mut shapes = Vec::new();
        for len in lengths.sample(1) {
            for index in 0..total {
                let writes = index * self.writes / total != (index + 1) * self.writes / total;
                shapes.push(if writes {
                    Shape::new(&["SET", "key:__rand_int__", "__data__"], len, numbered, Expect::Simple("OK"))
                } else {
                    let exact = stored && lengths.fixed().is_some();
                    let expect = if exact { Expect::Bulk(len) } else { Expect::Value(len) };
                    Shape::new(&["GET", "key:__rand_int__"], len, numbered, expect)
                });
            }
        }
        Workload::new(shapes)
    }
}

/// A command of one's own.
pub(crate) fn own_command(args: &[Vec<u8>], lengths: &ValueLengths, numbered: bool) -> anyhow::Result<Workload> {
    if args.is_empty() {
        bail!("there is no command");
    }
    let shapes = lengths.sample(1).into_iter().map(|len| Shape::new(args, len, numbered, Expect::Anything));
    Ok(Workload::new(shapes.collect()))
}

/// The requests that store a key space.
pub(crate) fn store(lengths: &ValueLengths) -> Workload {
    let shapes = lengths
        .sample(1)
        .into_iter()
        .map(|len| Shape::new(&["SET", "key:__rand_int__", "__data__"], len, true, Expect::Simple("OK")));
    Workload::new(shapes.collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn titles(list: &str) -> Vec<&'static str> {
        select(Some(list)).unwrap().iter().map(|test| test.title).collect()
    }

    #[test]
    fn names_select_as_in_redis_benchmark() {
        assert_eq!(select(None).unwrap().len(), 21);
        assert_eq!(titles("ping"), ["PING_INLINE", "PING_MBULK"]);
        assert_eq!(titles("get,SET"), ["SET", "GET"]);
        let fill = "LPUSH (needed to benchmark LRANGE)";
        assert_eq!(titles("lrange_300"), [fill, "LRANGE_300 (first 300 elements)"]);
        assert_eq!(titles("lrange").len(), 5);
        let error = select(Some("get,zap")).unwrap_err().to_string();
        assert!(error.contains("\"zap\"") && error.contains("zpopmin"), "{error}");
    }

    #[test]
    fn requests_are_those_of_redis_benchmark() {
        let bytes = |name: &str, numbered| {
            let workload = find(name).unwrap().workload(&ValueLengths::Fixed(3), numbered, false);
            String::from_utf8(workload.batches(1)[0].bytes().to_vec()).unwrap()
        };
        assert_eq!(bytes("ping_inline", true), "PING\r\n");
        assert_eq!(bytes("ping_mbulk", true), "*1\r\n$4\r\nPING\r\n");
        assert!(bytes("zadd", true).contains("\r\n$12\r\n000000000000\r\n"));
        assert!(bytes("zadd", false).contains("\r\n$1\r\n0\r\n"));
        assert!(bytes("get", false).contains("key:__rand_int__"));
        assert_eq!(bytes("mset", true).matches("key:000000000000").count(), 10);
        assert!(bytes("mset", true).starts_with("*21\r\n"));
    }

    #[test]
    fn a_mix_spreads_its_writes() {
        let ratio: Ratio = "9:1".parse().unwrap();
        let expectations = ratio.workload(&ValueLengths::Fixed(8), true, true).expectations();
        assert_eq!(expectations.iter().filter(|expect| **expect == Expect::Bulk(8)).count(), 9);
        assert_eq!(expectations.iter().filter(|expect| **expect == Expect::Simple("OK")).count(), 1);
        let half: Ratio = "2:2".parse().unwrap();
        let kinds: Vec<bool> = half
            .workload(&ValueLengths::Fixed(8), true, false)
            .expectations()
            .iter()
            .map(|expect| *expect == Expect::Simple("OK"))
            .collect();
        assert_eq!(kinds, [false, true, false, true]);
        for text in ["", "9", "0:0", "1000:1", "a:b"] {
            assert!(text.parse::<Ratio>().is_err(), "{text}");
        }
    }

    #[test]
    fn taking_out_is_prepared_by_filling() {
        for name in ["lpop", "spop", "zpopmin", "lrange_600"] {
            assert_eq!(find(name).unwrap().preparation().len(), 2, "{name}");
        }
        assert!(find("get").unwrap().preparation().is_empty());
    }
}
