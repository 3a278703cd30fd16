//! A comparison's results: the file that keeps every sample, and what is derived from them.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use anyhow::{Context, ensure};
use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::stats::{Spread, median, median_interval};

/// The version of the file's layout.
pub(crate) const FORMAT: u32 = 2;
/// Files of this version lack some fields, and are read all the same.
const FORMAT_BEFORE: u32 = 1;

/// How the figures came about, for whoever reads the file without this program.
pub(crate) const METHOD: &str = "Servers are bound to cores of their own, the load to others (where the lists overlap, \
they share). The cases run in turn on one server after the other, round by round, the order of servers rotating; all \
servers stay up for the load cases, their keys stored before, and rest while another one is measured. Load: closed loop, `pipeline` requests in flight on each \
connection, or requests due at a given rate, their latency counted from when they were due; keys uniformly at random, \
every reply checked. server_cpu_ns is the sum of the first field of /proc/PID/task/*/schedstat over the timed part, \
split into user and system by the ticks of /proc/PID/stat; server_main_cpu_ns is that of the main thread alone; a ratio divides a server's CPU time per request by that of \
the first server in the same round. Memory: a fresh server, VmRSS before and after storing the keys; the ratio is of \
VmRSS after. Idle: a fresh server, VmRSS before and after opening the connections, and after one PING on each; the ratio \
is of the growth by opening them. Intervals are those of 95 % of the medians of 4000 bootstrap resamples of the rounds.";

/// Percentiles of latency, in nanoseconds.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Latency {
    #[serde(default)]
    pub(crate) mean: u64,
    pub(crate) p50: u64,
    pub(crate) p90: u64,
    pub(crate) p99: u64,
    pub(crate) p99_9: u64,
    pub(crate) p99_99: u64,
    pub(crate) max: u64,
}

impl Latency {
    /// Reads them off.
    pub(crate) fn of(histogram: &Histogram<u64>) -> Latency {
        Latency {
            mean: histogram.mean() as u64,
            p50: histogram.value_at_quantile(0.5),
            p90: histogram.value_at_quantile(0.9),
            p99: histogram.value_at_quantile(0.99),
            p99_9: histogram.value_at_quantile(0.999),
            p99_99: histogram.value_at_quantile(0.9999),
            max: histogram.max(),
        }
    }
}

/// Everything about one run of the comparison.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Results {
    pub(crate) format: u32,
    /// UTC, as in 2026-01-31T09:05:00Z.
    pub(crate) started: String,
    pub(crate) tool: String,
    #[serde(default)]
    pub(crate) scenario: String,
    #[serde(default)]
    pub(crate) title: String,
    pub(crate) method: String,
    pub(crate) host: Host,
    pub(crate) settings: Settings,
    /// The first is the baseline.
    pub(crate) servers: Vec<Server>,
    pub(crate) cases: Vec<CaseName>,
    /// Servers of the scenario that took no part.
    #[serde(default)]
    pub(crate) absent: Vec<Absent>,
    /// Cases that did not run on a server, or on any.
    #[serde(default)]
    pub(crate) not_run: Vec<NotRun>,
    pub(crate) samples: Vec<Sample>,
    /// System calls per request, where they were counted.
    pub(crate) syscalls: Vec<Syscalls>,
    /// What counted them, or why they were not counted.
    #[serde(default)]
    pub(crate) syscall_method: String,
    #[serde(skip)]
    pub(crate) summary: Vec<Summary>,
}

/// A server that took no part.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Absent {
    pub(crate) server: String,
    pub(crate) reason: String,
}

/// A case that did not run: on one server, or on none.
#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
pub(crate) struct NotRun {
    pub(crate) case: String,
    pub(crate) server: Option<String>,
    pub(crate) reason: String,
}

/// The machine.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Host {
    pub(crate) kernel: String,
    pub(crate) cpu: String,
    pub(crate) cores: usize,
    pub(crate) memory_mib: u64,
    pub(crate) hypervisor: bool,
}

impl Host {
    /// Reads /proc.
    pub(crate) fn here() -> Host {
        let read = |path| fs::read_to_string(path).unwrap_or_default();
        let cpuinfo = read("/proc/cpuinfo");
        let field =
            |name: &str| cpuinfo.lines().find(|line| line.starts_with(name)).and_then(|line| line.split_once(':'));
        let meminfo = read("/proc/meminfo");
        let memory_kib = meminfo.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok()).unwrap_or(0);
        Host {
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            cpu: field("model name").map_or("unknown", |(_, name)| name).trim().to_owned(),
            cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
            memory_mib: memory_kib / 1024,
            hypervisor: field("flags").is_some_and(|(_, flags)| flags.split(' ').any(|flag| flag == "hypervisor")),
        }
    }
}

/// How it was run.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Settings {
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    pub(crate) warmup_seconds: f64,
    pub(crate) keys: u64,
    #[serde(default)]
    pub(crate) load_cores: Vec<usize>,
}

/// A server that took part.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) binary: String,
    pub(crate) args: Vec<String>,
    #[serde(default)]
    pub(crate) environment: BTreeMap<String, String>,
    #[serde(default)]
    pub(crate) cores: Vec<usize>,
    pub(crate) version: String,
}

impl Server {
    /// The number in what the server printed for `--version`. Torc says there which Redis it answers as; its own number
    /// stands in the build.
    pub(crate) fn short_version(&self) -> &str {
        let build = self.version.split_whitespace().find_map(|word| word.strip_prefix("build=torc-"));
        build.unwrap_or_else(|| version_number(&self.version))
    }
}

/// The number in what a server prints for `--version`: after `v=`, or else the last word that begins with a digit.
fn version_number(version: &str) -> &str {
    let mut words = version.split_whitespace();
    words
        .clone()
        .find_map(|word| word.strip_prefix("v="))
        .or_else(|| words.rfind(|word| word.starts_with(|first: char| first.is_ascii_digit())))
        .unwrap_or_default()
}

/// A case's name for programs and for people.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct CaseName {
    pub(crate) name: String,
    pub(crate) label: String,
}

/// One case on one server in one round.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Sample {
    pub(crate) case: String,
    pub(crate) server: String,
    pub(crate) round: u32,
    pub(crate) measured: Measured,
}

/// What was measured.
#[derive(Debug, Deserialize, Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub(crate) enum Measured {
    Load {
        requests: u64,
        elapsed_ns: u64,
        server_cpu_ns: u64,
        /// That of the server's first thread.
        #[serde(default)]
        server_main_cpu_ns: Option<u64>,
        /// How much of it was in user mode; none where the kernel's ticks did not tell.
        #[serde(default)]
        server_user_ns: Option<u64>,
        server_wait_ns: u64,
        client_cpu_ns: u64,
        voluntary_switches: u64,
        involuntary_switches: u64,
        resident_bytes: u64,
        latency_ns: Latency,
        /// Requests that were due and never sent.
        #[serde(default)]
        overdue: u64,
        /// Replies that held nothing: of collections that ran empty, most often.
        #[serde(default)]
        misses: u64,
        /// What the server's INFO ring counted meanwhile, if it has one.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        ring: BTreeMap<String, u64>,
    },
    Memory {
        keys: u64,
        resident_before_bytes: u64,
        resident_after_bytes: u64,
    },
    Idle {
        connections: u64,
        resident_before_bytes: u64,
        resident_after_bytes: u64,
        resident_after_ping_bytes: u64,
    },
}

impl Measured {
    /// Nanoseconds in user and in system mode per request.
    pub(crate) fn modes(&self) -> Option<(f64, f64)> {
        match *self {
            Measured::Load { requests, server_cpu_ns, server_user_ns: Some(user_ns), .. } => {
                let requests = requests.max(1) as f64;
                Some((user_ns as f64 / requests, server_cpu_ns.saturating_sub(user_ns) as f64 / requests))
            }
            _ => None,
        }
    }

    /// Nanoseconds of the main thread per request.
    pub(crate) fn main_cost(&self) -> Option<f64> {
        match *self {
            Measured::Load { requests, server_main_cpu_ns: Some(main_ns), .. } => {
                Some(main_ns as f64 / requests.max(1) as f64)
            }
            _ => None,
        }
    }

    /// Context switches per request.
    fn switches(&self) -> Option<f64> {
        match *self {
            Measured::Load { requests, voluntary_switches, involuntary_switches, .. } => {
                Some((voluntary_switches + involuntary_switches) as f64 / requests.max(1) as f64)
            }
            _ => None,
        }
    }

    /// System calls per request by the server's own account, if it keeps one.
    fn own_syscalls(&self) -> Option<f64> {
        match self {
            Measured::Load { requests, ring, .. } => {
                Some(*ring.get("ring_syscalls")? as f64 / (*requests).max(1) as f64)
            }
            _ => None,
        }
    }

    fn resident(&self) -> f64 {
        match *self {
            Measured::Load { resident_bytes: bytes, .. }
            | Measured::Memory { resident_after_bytes: bytes, .. }
            | Measured::Idle { resident_after_bytes: bytes, .. } => bytes as f64,
        }
    }

    fn latency(&self) -> Option<Latency> {
        match *self {
            Measured::Load { latency_ns, .. } => Some(latency_ns),
            _ => None,
        }
    }

    /// What a ratio compares: nanoseconds of server CPU per request, or bytes per key or connection.
    pub(crate) fn cost(&self) -> f64 {
        match *self {
            Measured::Load { requests, server_cpu_ns, .. } => server_cpu_ns as f64 / requests.max(1) as f64,
            Measured::Memory { keys, resident_after_bytes, .. } => resident_after_bytes as f64 / keys.max(1) as f64,
            Measured::Idle { connections, resident_before_bytes, resident_after_bytes, .. } => {
                let grown = resident_after_bytes.saturating_sub(resident_before_bytes);
                grown as f64 / connections.max(1) as f64
            }
        }
    }

    /// The unit of `cost`.
    fn unit(&self) -> &'static str {
        match self {
            Measured::Load { .. } => "ns/request",
            Measured::Memory { .. } => "B/key",
            Measured::Idle { .. } => "B/connection",
        }
    }

    /// Requests per second, of a load.
    fn rate(&self) -> Option<f64> {
        match *self {
            Measured::Load { requests, elapsed_ns, .. } => Some(requests as f64 * 1e9 / elapsed_ns.max(1) as f64),
            _ => None,
        }
    }

    /// How much of its core the server used, of a load.
    fn busy(&self) -> Option<f64> {
        match *self {
            Measured::Load { elapsed_ns, server_cpu_ns, .. } => Some(server_cpu_ns as f64 / elapsed_ns.max(1) as f64),
            _ => None,
        }
    }
}

/// System calls counted in a pass of their own.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Syscalls {
    pub(crate) case: String,
    pub(crate) server: String,
    pub(crate) per_request: f64,
}

/// One case on one server, over all rounds: medians.
#[derive(Clone, Debug)]
pub(crate) struct Summary {
    pub(crate) case: String,
    pub(crate) server: String,
    /// The cost, in `unit`.
    pub(crate) cost: f64,
    pub(crate) unit: &'static str,
    /// Nanoseconds in user and in system mode per request.
    pub(crate) modes: Option<(f64, f64)>,
    /// Nanoseconds of the main thread per request, and relative to the baseline's.
    pub(crate) main_cost: Option<f64>,
    pub(crate) main_ratio: Option<Spread>,
    /// Requests per second.
    pub(crate) rate: Option<f64>,
    /// The share of a core that the server used.
    pub(crate) busy: Option<f64>,
    pub(crate) switches: Option<f64>,
    pub(crate) resident_bytes: f64,
    /// Of latency, in nanoseconds.
    pub(crate) p50: Option<f64>,
    pub(crate) p99: Option<f64>,
    /// Cost relative to the baseline, round by round, and where its median lies for sure.
    pub(crate) cost_ratio: Option<Spread>,
    pub(crate) cost_interval: Option<(f64, f64)>,
    /// Requests per second relative to the baseline.
    pub(crate) rate_ratio: Option<Spread>,
    /// Per request: counted from outside, or else by the server itself.
    pub(crate) syscalls: Option<f64>,
}

impl Results {
    /// Reads a file.
    pub(crate) fn read(path: &Path) -> anyhow::Result<Results> {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let mut results: Results = serde_json::from_str(&text).with_context(|| format!("in {}", path.display()))?;
        let format = results.format;
        ensure!((FORMAT_BEFORE..=FORMAT).contains(&format), "{} has another layout: {format}", path.display());
        ensure!(!results.servers.is_empty(), "{} has no server", path.display());
        results.summarize();
        Ok(results)
    }

    /// Writes a file.
    pub(crate) fn write(&self, path: &Path) -> anyhow::Result<()> {
        let text = serde_json::to_string_pretty(self)?;
        fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))
    }

    /// Derives the summary from the samples.
    pub(crate) fn summarize(&mut self) {
        let mut summary = Vec::new();
        for case in &self.cases {
            summary.extend(self.servers.iter().filter_map(|server| self.summary_of(&case.name, &server.name)));
        }
        self.summary = summary;
    }

    fn summary_of(&self, case: &str, server: &str) -> Option<Summary> {
        let own = self.measured(case, server);
        let (_, first) = own.first()?;
        let medians = |value: &dyn Fn(&Measured) -> Option<f64>| {
            let values: Vec<f64> = own.iter().filter_map(|(_, measured)| value(measured)).collect();
            (!values.is_empty()).then(|| median(&values))
        };
        let costs = self.ratios(case, server, |measured| Some(measured.cost()));
        let counted = self.syscalls.iter().find(|entry| entry.case == case && entry.server == server);
        Some(Summary {
            case: case.to_owned(),
            server: server.to_owned(),
            cost: medians(&|measured| Some(measured.cost())).unwrap_or(0.0),
            unit: first.unit(),
            modes: medians(&|measured| Some(measured.modes()?.0)).zip(medians(&|measured| Some(measured.modes()?.1))),
            main_cost: medians(&Measured::main_cost),
            main_ratio: Spread::of(&self.ratios(case, server, Measured::main_cost)),
            rate: medians(&Measured::rate),
            busy: medians(&Measured::busy),
            switches: medians(&Measured::switches),
            resident_bytes: medians(&|measured| Some(measured.resident())).unwrap_or(0.0),
            p50: medians(&|measured| Some(measured.latency()?.p50 as f64)),
            p99: medians(&|measured| Some(measured.latency()?.p99 as f64)),
            cost_ratio: Spread::of(&costs),
            cost_interval: median_interval(&costs),
            rate_ratio: Spread::of(&self.ratios(case, server, Measured::rate)),
            syscalls: counted.map(|entry| entry.per_request).or_else(|| medians(&Measured::own_syscalls)),
        })
    }

    /// The summary of one case on one server.
    pub(crate) fn line(&self, case: &str, server: &str) -> Option<&Summary> {
        self.summary.iter().find(|line| line.case == case && line.server == server)
    }

    /// Why a case did not run on a server, if it did not.
    pub(crate) fn why_not(&self, case: &str, server: &str) -> Option<&str> {
        let is_it = |entry: &&NotRun| entry.case == case && entry.server.as_deref().is_none_or(|name| name == server);
        self.not_run.iter().find(is_it).map(|entry| entry.reason.as_str())
    }

    /// True where some server shares a core with the load.
    pub(crate) fn shares_cores(&self) -> bool {
        let load = &self.settings.load_cores;
        self.servers.iter().any(|server| server.cores.iter().any(|core| load.contains(core)))
    }

    /// The median share of time that servers were ready to run and had no core. None where the load shares their core.
    pub(crate) fn disturbance(&self) -> Option<f64> {
        if self.shares_cores() {
            return None;
        }
        let shares = self.samples.iter().filter_map(|sample| match sample.measured {
            Measured::Load { elapsed_ns, server_wait_ns, .. } => Some(server_wait_ns as f64 / elapsed_ns.max(1) as f64),
            _ => None,
        });
        Spread::of(&shares.collect::<Vec<_>>()).map(|spread| spread.median)
    }

    /// The samples of one case on one server, with their rounds.
    fn measured(&self, case: &str, server: &str) -> Vec<(u32, &Measured)> {
        let wanted = |sample: &&Sample| sample.case == case && sample.server == server;
        self.samples.iter().filter(wanted).map(|sample| (sample.round, &sample.measured)).collect()
    }

    /// `value` of `server` over that of the baseline, for every round that has both. None for the baseline itself.
    pub(crate) fn ratios(&self, case: &str, server: &str, value: fn(&Measured) -> Option<f64>) -> Vec<f64> {
        let Some(baseline) = self.servers.first().filter(|baseline| baseline.name != server) else {
            return Vec::new();
        };
        let base = self.measured(case, &baseline.name);
        let pairs = self.measured(case, server).into_iter().filter_map(|(round, measured)| {
            let (_, base) = base.iter().find(|(base_round, _)| *base_round == round)?;
            value(base).filter(|base| *base > 0.0).and_then(|base| Some(value(measured)? / base))
        });
        pairs.collect()
    }

    /// The summary as text, one line per case and server.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let width = self.cases.iter().map(|case| case.label.len()).max().unwrap_or(0);
        let name_width = self.servers.iter().map(|server| server.name.len()).max().unwrap_or(0);
        for case in &self.cases {
            for server in &self.servers {
                let (label, name) = (&case.label, &server.name);
                match self.line(&case.name, name) {
                    Some(line) => {
                        let _ = writeln!(text, "{label:width$}  {name:name_width$}  {}", self.line_text(line));
                    }
                    None => {
                        let why = self.why_not(&case.name, name).unwrap_or("did not run");
                        let _ = writeln!(text, "{label:width$}  {name:name_width$}  {why}");
                    }
                }
            }
        }
        for entry in &self.absent {
            let _ = writeln!(text, "{} took no part: {}", entry.server, entry.reason);
        }
        text
    }

    fn line_text(&self, line: &Summary) -> String {
        let mut text = format!("{:9.1} {:12}", line.cost, line.unit);
        match (line.rate, line.busy) {
            (Some(rate), Some(busy)) => {
                let _ = write!(text, " {rate:9.0} req/s, core {:3.0} %", busy * 100.0);
            }
            _ => text.push_str(&" ".repeat(27)),
        }
        match line.cost_ratio {
            Some(spread) => {
                let _ = write!(text, "  cost x{:.3}", spread.median);
                if let Some((low, high)) = line.cost_interval {
                    let _ = write!(text, " [{low:.3}..{high:.3}]");
                }
                let _ = write!(text, " ({:.3}..{:.3})", spread.min, spread.max);
            }
            None if line.server == self.servers[0].name => text.push_str("  (baseline)"),
            None => text.push_str("  no ratio"),
        }
        if let Some(spread) = line.rate_ratio {
            let _ = write!(text, "  rate x{:.3}", spread.median);
        }
        if let Some(main) = line.main_cost {
            let _ = write!(text, "  main thread {main:.1}");
        }
        if let Some(spread) = line.main_ratio {
            let _ = write!(text, " x{:.3} ({:.3}..{:.3})", spread.median, spread.min, spread.max);
        }
        if let Some(syscalls) = line.syscalls {
            let _ = write!(text, "  {syscalls:.3} syscalls/request");
        }
        text
    }
}

/// Seconds since 1970 as UTC date and time, in the form 2026-01-31T09:05:00Z.
pub(crate) fn utc(unix_time_s: u64) -> String {
    let (days, seconds) = (unix_time_s / 86_400, unix_time_s % 86_400);
    let mut year = 1970;
    let mut day = days;
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days_of = |year: u64| if is_leap(year) { 366 } else { 365 };
    while day >= days_of(year) {
        day -= days_of(year);
        year += 1;
    }
    let february = days_of(year) - 337;
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if day < length {
            break;
        }
        day -= length;
        month += 1;
    }
    format!("{year}-{month:02}-{:02}T{:02}:{:02}:{:02}Z", day + 1, seconds / 3600, seconds / 60 % 60, seconds % 60)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Results of two servers and two cases; in round `n` server b costs as listed, server a 100.
    pub(crate) fn example() -> Results {
        let server = |name: &str| Server {
            name: name.to_owned(),
            binary: name.to_owned(),
            args: Vec::new(),
            environment: BTreeMap::new(),
            cores: vec![0],
            version: "1".to_owned(),
        };
        let load = |cost: u64| Measured::Load {
            requests: 1000,
            elapsed_ns: 1_000_000,
            server_cpu_ns: cost * 1000,
            server_main_cpu_ns: Some(cost / 2),
            server_user_ns: Some(cost * 250),
            server_wait_ns: 250_000,
            client_cpu_ns: 0,
            voluntary_switches: 0,
            involuntary_switches: 0,
            resident_bytes: 0,
            latency_ns: Latency { mean: 1, p50: 10_000, p90: 1, p99: cost * 1000, p99_9: 1, p99_99: 1, max: 1 },
            overdue: 0,
            misses: 0,
            ring: BTreeMap::new(),
        };
        let memory = |bytes: u64| Measured::Memory { keys: 10, resident_before_bytes: 0, resident_after_bytes: bytes };
        let mut samples = Vec::new();
        for (round, cost) in [80, 70, 90].into_iter().enumerate() {
            for (name, cost) in [("a", 100), ("b", cost)] {
                let mut push = |case: &str, measured| {
                    let (case, server) = (case.to_owned(), name.to_owned());
                    samples.push(Sample { case, server, round: round as u32, measured });
                };
                push("get-c1-p1", load(cost));
                push("memory-10", memory(cost * 10));
            }
        }
        let case = |name: &str, label: &str| CaseName { name: name.to_owned(), label: label.to_owned() };
        let mut results = Results {
            format: FORMAT,
            started: utc(0),
            tool: "test".to_owned(),
            scenario: "example".to_owned(),
            title: "An example".to_owned(),
            method: METHOD.to_owned(),
            host: Host::here(),
            settings: Settings { rounds: 3, seconds: 1.0, warmup_seconds: 0.0, keys: 10, load_cores: vec![1] },
            servers: vec![server("a"), server("b")],
            cases: vec![case("get-c1-p1", "GET c=1"), case("memory-10", "memory, 10 keys")],
            absent: Vec::new(),
            not_run: Vec::new(),
            samples,
            syscalls: vec![Syscalls { case: "get-c1-p1".to_owned(), server: "b".to_owned(), per_request: 0.5 }],
            syscall_method: "perf".to_owned(),
            summary: Vec::new(),
        };
        results.summarize();
        results
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let results = example();
        assert_eq!(results.summary.len(), 4);
        assert_eq!(results.summary[0].cost_ratio, None);
        assert_eq!(results.summary[0].cost, 100.0);
        let expected = Spread { min: 0.7, lower_quartile: 0.75, median: 0.8, upper_quartile: 0.85, max: 0.9 };
        for line in [1, 3] {
            let spread = results.summary[line].cost_ratio.unwrap();
            assert!((spread.median - expected.median).abs() < 1e-9);
            assert!((spread.min - expected.min).abs() < 1e-9);
            assert!((spread.upper_quartile - expected.upper_quartile).abs() < 1e-9);
        }
        assert_eq!(results.summary[1].busy, Some(0.08));
        assert_eq!(results.summary[3].rate, None);
    }

    #[test]
    fn the_table_has_a_line_per_case_and_server() {
        let table = example().table();
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 4);
        assert!(lines[0].contains("(baseline)") && lines[0].contains("1000000 req/s"), "{table}");
        assert!(lines[1].contains("x0.800 [0.700..0.900] (0.700..0.900)"), "{table}");
        assert!(lines[1].ends_with("0.500 syscalls/request"), "{table}");
    }

    #[test]
    fn results_survive_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        example().write(&path).unwrap();
        assert_eq!(Results::read(&path).unwrap().table(), example().table());
        fs::write(&path, "{}").unwrap();
        assert!(Results::read(&path).is_err());
    }

    #[test]
    fn a_server_may_count_its_own_system_calls() {
        let mut results = example();
        for sample in &mut results.samples {
            if let Measured::Load { ring, .. } = &mut sample.measured {
                ring.insert("ring_syscalls".to_owned(), 250);
            }
        }
        results.summarize();
        let syscalls = |server| results.line("get-c1-p1", server).unwrap().syscalls;
        // What was counted from outside goes first.
        assert_eq!((syscalls("a"), syscalls("b")), (Some(0.25), Some(0.5)));
    }

    #[test]
    fn what_did_not_run_is_told() {
        let mut results = example();
        results.samples.retain(|sample| sample.server == "a");
        results.summarize();
        let reason = "ERR unknown command".to_owned();
        let entry = NotRun { case: "get-c1-p1".to_owned(), server: Some("b".to_owned()), reason };
        results.not_run.push(entry);
        let table = results.table();
        assert!(table.lines().nth(1).unwrap().contains("ERR unknown command"), "{table}");
        assert!(table.lines().nth(3).unwrap().contains("did not run"), "{table}");
    }

    #[test]
    fn versions_are_short() {
        assert_eq!(version_number("Redis server v=8.2.3 sha=00000000:1 malloc=jemalloc-5.3.0"), "8.2.3");
        assert_eq!(version_number("torc-server 0.1.0"), "0.1.0");
        assert_eq!(version_number(""), "");
        let mut server = example().servers.remove(0);
        server.version = "Redis server v=8.0.6 sha=00000000:0 malloc=libc bits=64 build=torc-0.1.0".to_owned();
        assert_eq!(server.short_version(), "0.1.0");
    }

    #[test]
    fn waiting_for_a_core_is_noticed() {
        let mut results = example();
        assert_eq!(results.disturbance(), Some(0.25));
        results.settings.load_cores = vec![0];
        assert_eq!(results.disturbance(), None);
    }

    #[test]
    fn a_missing_round_is_left_out() {
        let mut results = example();
        results.samples.retain(|sample| !(sample.server == "a" && sample.round == 1));
        assert_eq!(results.ratios("get-c1-p1", "b", |measured| Some(measured.cost())).len(), 2);
    }

    #[test]
    fn dates_are_right_at_their_edges() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
            (1_798_761_600, "2027-01-01T00:00:00Z"),
        ] {
            assert_eq!(utc(seconds), text);
        }
    }
}
