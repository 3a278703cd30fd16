//! What one request costs: the figures of one round, their medians, and the document that holds them all.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::activity::{Counted, ENTER};
use crate::stacks::Category;

/// How a server's system calls are seen, best first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Level {
    /// The kernel's tracepoints, by a trace instance of our own: exact counts, time, waiting, the ring.
    Tracefs,
    /// The same tracepoints by perf: exact counts, the ring; time from a pass of its own that costs more.
    Perf,
    /// strace, which stops the server at every call.
    Strace,
    /// Only what /proc counts: CPU time and switches.
    Proc,
}

impl Level {
    pub(crate) const ALL: [Level; 4] = [Level::Tracefs, Level::Perf, Level::Strace, Level::Proc];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Level::Tracefs => "tracefs",
            Level::Perf => "perf",
            Level::Strace => "strace",
            Level::Proc => "/proc only",
        }
    }
}

/// A system call, per request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct SyscallCost {
    pub(crate) calls: f64,
    /// From entry to return, sleeping included. Absent where it cannot be seen.
    pub(crate) wall_ns: Option<f64>,
    /// The sleeping.
    pub(crate) waiting_ns: Option<f64>,
}

/// A ring's work, per request.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct RingCost {
    pub(crate) enters: f64,
    pub(crate) submissions: Option<f64>,
    pub(crate) completions: Option<f64>,
    /// Submissions by operation.
    pub(crate) operations: BTreeMap<String, f64>,
}

/// What the watching itself cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct WatchCost {
    /// Requests per second while watched, of those while not.
    pub(crate) rate: f64,
    /// CPU time per request while watched, of that while not.
    pub(crate) cpu: f64,
}

/// System calls and ring, per request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Activity {
    pub(crate) level: Level,
    pub(crate) syscalls: BTreeMap<String, SyscallCost>,
    /// Absent for a server that does not use one.
    pub(crate) ring: Option<RingCost>,
    /// Events that the kernel dropped.
    pub(crate) lost_events: u64,
    pub(crate) watch_cost: WatchCost,
}

/// CPU time by what it went to, from sampled stacks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct CpuSplit {
    pub(crate) samples: u64,
    /// False if only the server's own code could be sampled.
    pub(crate) sees_kernel: bool,
    /// Per request.
    pub(crate) ns: BTreeMap<Category, f64>,
    pub(crate) watch_cost: WatchCost,
}

/// The figures of one round. All but the rate are per request.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Sample {
    pub(crate) requests_per_second: f64,
    pub(crate) cpu_ns: f64,
    /// As the kernel's accounting splits it, coarsely.
    pub(crate) user_ns: f64,
    pub(crate) system_ns: f64,
    pub(crate) voluntary_switches: f64,
    pub(crate) involuntary_switches: f64,
    /// Shares of the requests.
    pub(crate) commands: BTreeMap<String, f64>,
    pub(crate) activity: Option<Activity>,
    pub(crate) cpu_split: Option<CpuSplit>,
}

/// A server as examined.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) command: Vec<String>,
}

/// One server under one load.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Profile {
    /// Which of the servers.
    pub(crate) server: usize,
    /// The load that was put on it; absent if it came from elsewhere.
    pub(crate) load: Option<String>,
    pub(crate) median: Sample,
    pub(crate) rounds: Vec<Sample>,
}

/// Where it was measured.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Machine {
    pub(crate) kernel: String,
    pub(crate) processor: String,
    pub(crate) cores: usize,
    /// Threads that wanted a core in the minute before it began: what else the machine was doing.
    pub(crate) load_average: f64,
}

/// Everything, as it is written down.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Document {
    pub(crate) tool: String,
    /// Seconds since 1970.
    pub(crate) measured_at: u64,
    pub(crate) machine: Machine,
    /// Of each pass.
    pub(crate) seconds: f64,
    pub(crate) servers: Vec<Server>,
    pub(crate) profiles: Vec<Profile>,
    /// What could not be had, and why.
    pub(crate) notes: Vec<String>,
}

/// Divides counts by requests.
pub(crate) fn per_request(counted: &Counted, requests: f64, level: Level, watch_cost: WatchCost) -> Activity {
    let mut syscalls = BTreeMap::new();
    for (name, tally) in &counted.syscalls {
        let calls = tally.calls as f64 / requests;
        // The mean of those seen from end to end holds for the few others.
        let mean = |total: u64| (tally.timed > 0).then(|| total as f64 / tally.timed as f64 * calls);
        let waiting_ns = mean(tally.waiting_ns).filter(|_| counted.waiting_seen);
        syscalls.insert(name.clone(), SyscallCost { calls, wall_ns: mean(tally.wall_ns), waiting_ns });
    }
    let ring = counted.syscalls.get(ENTER).map(|enters| RingCost {
        enters: enters.calls as f64 / requests,
        submissions: counted.submissions.map(|count| count as f64 / requests),
        completions: counted.completions.map(|count| count as f64 / requests),
        operations: counted.operations.iter().map(|(name, count)| (name.clone(), *count as f64 / requests)).collect(),
    });
    Activity { level, syscalls, ring, lost_events: counted.lost, watch_cost }
}

impl Activity {
    /// All calls per request.
    pub(crate) fn calls(&self) -> f64 {
        self.syscalls.values().map(|cost| cost.calls).sum()
    }
}

impl Sample {
    /// The medians of each figure over rounds, of which there is at least one.
    pub(crate) fn median(rounds: &[Sample]) -> Option<Sample> {
        let first = rounds.first()?;
        let of = |figure: fn(&Sample) -> f64| median(rounds.iter().map(figure).collect());
        let activities = rounds.iter().filter_map(|round| round.activity.as_ref()).collect::<Vec<_>>();
        let splits = rounds.iter().filter_map(|round| round.cpu_split.as_ref()).collect::<Vec<_>>();
        Some(Sample {
            requests_per_second: of(|round| round.requests_per_second),
            cpu_ns: of(|round| round.cpu_ns),
            user_ns: of(|round| round.user_ns),
            system_ns: of(|round| round.system_ns),
            voluntary_switches: of(|round| round.voluntary_switches),
            involuntary_switches: of(|round| round.involuntary_switches),
            commands: first.commands.clone(),
            activity: median_activity(&activities),
            cpu_split: median_split(&splits),
        })
    }
}

fn median_activity(rounds: &[&Activity]) -> Option<Activity> {
    let first = rounds.first()?;
    let names = rounds.iter().flat_map(|round| round.syscalls.keys()).collect::<BTreeSet<_>>();
    let syscalls = names.into_iter().map(|name| {
        let costs =
            rounds.iter().map(|round| round.syscalls.get(name).copied().unwrap_or_default()).collect::<Vec<_>>();
        let cost = SyscallCost {
            calls: median(costs.iter().map(|cost| cost.calls).collect()),
            wall_ns: median_known(costs.iter().map(|cost| cost.wall_ns)),
            waiting_ns: median_known(costs.iter().map(|cost| cost.waiting_ns)),
        };
        (name.clone(), cost)
    });
    let rings = rounds.iter().filter_map(|round| round.ring.as_ref()).collect::<Vec<_>>();
    let operations = rings.iter().flat_map(|ring| ring.operations.keys()).collect::<BTreeSet<_>>();
    let operation =
        |name: &String| rings.iter().map(|ring| ring.operations.get(name).copied().unwrap_or(0.0)).collect();
    let ring = (!rings.is_empty()).then(|| RingCost {
        enters: median(rings.iter().map(|ring| ring.enters).collect()),
        submissions: median_known(rings.iter().map(|ring| ring.submissions)),
        completions: median_known(rings.iter().map(|ring| ring.completions)),
        operations: operations.into_iter().map(|name| (name.clone(), median(operation(name)))).collect(),
    });
    Some(Activity {
        level: first.level,
        syscalls: syscalls.collect(),
        ring,
        lost_events: rounds.iter().map(|round| round.lost_events).sum(),
        watch_cost: median_cost(rounds.iter().map(|round| round.watch_cost)),
    })
}

fn median_split(rounds: &[&CpuSplit]) -> Option<CpuSplit> {
    let first = rounds.first()?;
    let ns = Category::ALL.map(|category| {
        (category, median(rounds.iter().map(|round| round.ns.get(&category).copied().unwrap_or(0.0)).collect()))
    });
    Some(CpuSplit {
        samples: rounds.iter().map(|round| round.samples).sum(),
        sees_kernel: first.sees_kernel,
        ns: ns.into_iter().filter(|(_, ns)| *ns > 0.0).collect(),
        watch_cost: median_cost(rounds.iter().map(|round| round.watch_cost)),
    })
}

fn median_cost(costs: impl Iterator<Item = WatchCost> + Clone) -> WatchCost {
    WatchCost {
        rate: median(costs.clone().map(|cost| cost.rate).collect()),
        cpu: median(costs.map(|cost| cost.cpu).collect()),
    }
}

fn median_known(values: impl Iterator<Item = Option<f64>>) -> Option<f64> {
    let known = values.flatten().collect::<Vec<_>>();
    (!known.is_empty()).then(|| median(known))
}

/// The middle value, or the mean of the two; 0 of none.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => 0.0,
        len if len % 2 == 1 => values[middle],
        _ => f64::midpoint(values[middle - 1], values[middle]),
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::activity::Tally;

    /// A round whose every figure grows with `scale`.
    pub(crate) fn sample(scale: f64) -> Sample {
        let mut counted = Counted {
            syscalls: BTreeMap::from([
                (ENTER.to_owned(), Tally { calls: 100, timed: 50, wall_ns: 5000, waiting_ns: 1000 }),
                ("write".to_owned(), Tally { calls: 1, ..Tally::default() }),
            ]),
            submissions: Some(1000),
            completions: Some(1100),
            operations: BTreeMap::from([("send".to_owned(), 600), ("recv".to_owned(), 400)]),
            lost: 0,
            waiting_seen: true,
        };
        counted.operations.insert("accept".to_owned(), 0);
        let watch_cost = WatchCost { rate: 0.5, cpu: 1.5 };
        let split =
            [(Category::User, 300.0 * scale), (Category::Tcp, 500.0 * scale), (Category::IoUring, 200.0 * scale)];
        Sample {
            requests_per_second: 1e5 / scale,
            cpu_ns: 1000.0 * scale,
            user_ns: 310.0 * scale,
            system_ns: 690.0 * scale,
            voluntary_switches: 0.01 * scale,
            involuntary_switches: 0.001 * scale,
            commands: BTreeMap::from([("get".to_owned(), 1.0)]),
            activity: Some(per_request(&counted, 1000.0 / scale, Level::Tracefs, watch_cost)),
            cpu_split: Some(CpuSplit { samples: 1000, sees_kernel: true, ns: split.into(), watch_cost }),
        }
    }

    #[test]
    fn counts_become_costs() {
        let activity = sample(1.0).activity.unwrap();
        let enters = activity.syscalls[ENTER];
        assert_eq!((enters.calls, enters.wall_ns, enters.waiting_ns), (0.1, Some(10.0), Some(2.0)));
        let write = activity.syscalls["write"];
        assert_eq!((write.calls, write.wall_ns, write.waiting_ns), (0.001, None, None));
        let ring = activity.ring.clone().unwrap();
        assert_eq!((ring.enters, ring.submissions, ring.completions), (0.1, Some(1.0), Some(1.1)));
        assert_eq!(ring.operations["send"], 0.6);
        assert!((activity.calls() - 0.101).abs() < 1e-9);
        let no_ring = Counted { submissions: Some(0), ..Counted::default() };
        assert_eq!(per_request(&no_ring, 10.0, Level::Perf, activity.watch_cost).ring, None);
    }

    #[test]
    fn medians_of_rounds() {
        let median = Sample::median(&[sample(9.0), sample(1.0), sample(2.0)]).unwrap();
        assert_eq!(median, sample_with_sums(sample(2.0), 3000));
        assert!(Sample::median(&[]).is_none());
        assert_eq!(super::median(vec![4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(super::median(vec![]), 0.0);
    }

    fn sample_with_sums(mut sample: Sample, samples: u64) -> Sample {
        sample.cpu_split.as_mut().unwrap().samples = samples;
        sample
    }

    #[test]
    fn documents_survive_being_written() {
        let text = serde_json::to_string(&sample(3.0)).unwrap();
        assert!(text.contains("\"io_uring\":600"), "{text}");
        assert_eq!(serde_json::from_str::<Sample>(&text).unwrap(), sample(3.0));
    }
}
