//! A comparison's results: the file that keeps every sample, and the table made from it.

#![forbid(unsafe_code)]

use std::fmt::Write as _;
use std::fs;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::stats::{Spread, median};

/// The version of the file's layout.
pub(crate) const FORMAT: u32 = 1;

/// How the figures came about, for whoever reads the file without this program.
pub(crate) const METHOD: &str = "Every server runs alone on one core, the load on another (on the same one where \
same_core is true). The cases run in turn on one server after the other, round by round, the order of servers rotating; \
all servers stay up for the load cases and are populated once. Load: closed loop, one thread on io_uring, `pipeline` \
requests in flight on each connection, keys uniformly at random from `keys`, every reply checked. server_cpu_ns is the \
sum of the first field of /proc/PID/task/*/schedstat over the timed part; a ratio divides a server's CPU time per \
request by that of the first server in the same round. Memory: a fresh server, VmRSS before and after storing the keys; \
the ratio is of VmRSS after. Idle: a fresh server, VmRSS before and after opening the connections, and after one PING on \
each; the ratio is of the growth by opening them.";

/// Percentiles of latency, in nanoseconds.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub(crate) struct Latency {
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
    pub(crate) method: String,
    pub(crate) host: Host,
    pub(crate) settings: Settings,
    /// The first is the baseline.
    pub(crate) servers: Vec<Server>,
    pub(crate) cases: Vec<CaseName>,
    pub(crate) samples: Vec<Sample>,
    /// System calls per request, where they were counted.
    pub(crate) syscalls: Vec<Syscalls>,
    pub(crate) summary: Vec<Summary>,
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
    pub(crate) value_bytes: usize,
    pub(crate) same_core: bool,
    pub(crate) unix_socket: bool,
}

/// A server that took part.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) binary: String,
    pub(crate) args: Vec<String>,
    pub(crate) version: String,
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
        server_wait_ns: u64,
        client_cpu_ns: u64,
        voluntary_switches: u64,
        involuntary_switches: u64,
        resident_bytes: u64,
        latency_ns: Latency,
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

/// One case on one server, over all rounds.
#[derive(Debug, Deserialize, Serialize)]
pub(crate) struct Summary {
    pub(crate) case: String,
    pub(crate) server: String,
    /// The median cost, in `unit`.
    pub(crate) cost: f64,
    pub(crate) unit: String,
    /// The median of requests per second.
    pub(crate) rate: Option<f64>,
    /// The median share of its core that the server used.
    pub(crate) busy: Option<f64>,
    /// Cost relative to the baseline, round by round.
    pub(crate) cost_ratio: Option<Spread>,
    /// Requests per second relative to the baseline.
    pub(crate) rate_ratio: Option<Spread>,
}

impl Results {
    /// Derives the summary from the samples.
    pub(crate) fn summarize(&mut self) {
        self.summary.clear();
        for case in &self.cases {
            for server in &self.servers {
                let own = self.measured(&case.name, &server.name);
                let Some((_, first)) = own.first() else { continue };
                let ratios = |value: fn(&Measured) -> Option<f64>| self.ratios(&case.name, &server.name, value);
                let medians = |value: fn(&Measured) -> Option<f64>| {
                    let values: Vec<f64> = own.iter().filter_map(|(_, measured)| value(measured)).collect();
                    (!values.is_empty()).then(|| median(&values))
                };
                self.summary.push(Summary {
                    case: case.name.clone(),
                    server: server.name.clone(),
                    cost: medians(|measured| Some(measured.cost())).unwrap_or(0.0),
                    unit: first.unit().to_owned(),
                    rate: medians(Measured::rate),
                    busy: medians(Measured::busy),
                    cost_ratio: Spread::of(&ratios(|measured| Some(measured.cost()))),
                    rate_ratio: Spread::of(&ratios(Measured::rate)),
                });
            }
        }
    }

    /// The median share of time that servers were ready to run and had no core. None where the load shares their core.
    pub(crate) fn disturbance(&self) -> Option<f64> {
        if self.settings.same_core {
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
        for line in &self.summary {
            let label =
                self.cases.iter().find(|case| case.name == line.case).map_or(line.case.as_str(), |case| &case.label);
            let _ = write!(text, "{label:width$}  {:name_width$}  {:9.1} {:12}", line.server, line.cost, line.unit);
            match (line.rate, line.busy) {
                (Some(rate), Some(busy)) => {
                    let _ = write!(text, " {rate:9.0} req/s, core {:3.0} %", busy * 100.0);
                }
                _ => text.push_str(&" ".repeat(27)),
            }
            match line.cost_ratio {
                Some(spread) => {
                    let _ = write!(text, "  cost x{}", spread_text(spread));
                }
                None if line.server == self.servers[0].name => text.push_str("  (baseline)"),
                None => text.push_str("  no ratio"),
            }
            if let Some(spread) = line.rate_ratio {
                let _ = write!(text, "  rate x{:.3}", spread.median);
            }
            let syscalls = self.syscalls.iter().find(|entry| entry.case == line.case && entry.server == line.server);
            if let Some(entry) = syscalls {
                let _ = write!(text, "  {:.3} syscalls/request", entry.per_request);
            }
            text.push('\n');
        }
        text
    }
}

fn spread_text(spread: Spread) -> String {
    format!(
        "{:.3} [{:.3}..{:.3}] ({:.3}..{:.3})",
        spread.median, spread.lower_quartile, spread.upper_quartile, spread.min, spread.max
    )
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
            version: "1".to_owned(),
        };
        let load = |cost: u64| Measured::Load {
            requests: 1000,
            elapsed_ns: 1_000_000,
            server_cpu_ns: cost * 1000,
            server_wait_ns: 250_000,
            client_cpu_ns: 0,
            voluntary_switches: 0,
            involuntary_switches: 0,
            resident_bytes: 0,
            latency_ns: Latency { p50: 1, p90: 1, p99: 1, p99_9: 1, p99_99: 1, max: 1 },
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
            method: METHOD.to_owned(),
            host: Host::here(),
            settings: Settings {
                rounds: 3,
                seconds: 1.0,
                warmup_seconds: 0.0,
                keys: 10,
                value_bytes: 64,
                same_core: false,
                unix_socket: false,
            },
            servers: vec![server("a"), server("b")],
            cases: vec![case("get-c1-p1", "GET c=1"), case("memory-10", "memory, 10 keys")],
            samples,
            syscalls: vec![Syscalls { case: "get-c1-p1".to_owned(), server: "b".to_owned(), per_request: 0.5 }],
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
        assert!(lines[1].contains("x0.800 [0.750..0.850] (0.700..0.900)"), "{table}");
        assert!(lines[1].ends_with("0.500 syscalls/request"), "{table}");
    }

    #[test]
    fn results_survive_the_file() {
        let text = serde_json::to_string(&example()).unwrap();
        let read: Results = serde_json::from_str(&text).unwrap();
        assert_eq!(read.table(), example().table());
    }

    #[test]
    fn waiting_for_a_core_is_noticed() {
        let mut results = example();
        assert_eq!(results.disturbance(), Some(0.25));
        results.settings.same_core = true;
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
