//! What a load does to whom, and what came of it.

#![forbid(unsafe_code)]

use std::time::Duration;

use anyhow::ensure;
use hdrhistogram::Histogram;

use crate::endpoint::Endpoint;
use crate::keys::KeySpace;
use crate::request::Workload;

/// Latencies are recorded from one nanosecond to ten minutes, to three digits.
const LATENCY_NS_MAX: u64 = 600_000_000_000;
const LATENCY_DIGITS: u8 = 3;

/// When the timed part is over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// After so many replies; not one request more is sent.
    Requests(u64),
    /// After so long.
    Time(Duration),
}

/// A rate at which requests are due, whatever the server does.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rate {
    pub(crate) per_second: f64,
    /// Intervals vary as if the requests came from many independent clients.
    pub(crate) poisson: bool,
}

/// What to do to whom.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The server.
    pub(crate) endpoint: Endpoint,
    /// What every connection says first: AUTH, HELLO, SELECT.
    pub(crate) greeting: Vec<Vec<String>>,
    /// What is asked.
    pub(crate) workload: Workload,
    /// How many connections, over all threads.
    pub(crate) connections: usize,
    /// Requests in flight on each of them, at most.
    pub(crate) pipeline: usize,
    /// Which keys are used.
    pub(crate) keys: KeySpace,
    /// Load before the timed part.
    pub(crate) warmup: Duration,
    /// The end of the timed part.
    pub(crate) limit: Limit,
    /// When requests are sent; none: each when the one before was answered.
    pub(crate) rate: Option<Rate>,
    /// Threads, each with its own ring and its share of connections and requests.
    pub(crate) threads: usize,
    /// Cores that the threads are bound to, one after the other and over again; empty: none.
    pub(crate) cores: Vec<usize>,
    /// False: every connection is closed and opened again after each pipeline.
    pub(crate) keep_alive: bool,
    /// False: the load ends at the first error.
    pub(crate) keep_going: bool,
    /// How long each part is of which latencies are kept apart.
    pub(crate) interval: Option<Duration>,
}

/// Looks at the server and at the load while it runs. Called by the load's first thread, which stands still meanwhile.
pub(crate) trait Watch {
    /// The warm-up is over. No thread sends meanwhile.
    fn timed_part_begins(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// The last reply that counts is in.
    fn timed_part_ends(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// Some times a second during the timed part: how many requests have been answered, after how long.
    fn progress(&mut self, _served: u64, _elapsed: Duration) {}
}

/// Watches nothing.
pub(crate) struct NoWatch;

impl Watch for NoWatch {}

/// Latencies of one interval of the timed part.
#[derive(Clone, Debug)]
pub(crate) struct Interval {
    /// Since the beginning of the timed part.
    pub(crate) start: Duration,
    pub(crate) length: Duration,
    /// Values with their counts, ascending.
    pub(crate) counts: Vec<(u64, u64)>,
}

/// What came of it. Everything but the failures is about the timed part only.
#[derive(Clone, Debug)]
pub(crate) struct Outcome {
    /// Replies as expected.
    pub(crate) requests: u64,
    /// Of these, how many held nothing where a value could have been.
    pub(crate) misses: u64,
    /// How long the timed part took.
    pub(crate) elapsed: Duration,
    /// CPU time of the load's own threads.
    pub(crate) client_cpu_ns: u64,
    /// Error replies and unexpected ones, of the warm-up too.
    pub(crate) failures: u64,
    /// The first of them.
    pub(crate) first_failure: Option<String>,
    /// Requests that were due at a given rate and could not even be sent before the load gave up. Their latency so far is
    /// recorded.
    pub(crate) overdue: u64,
    /// Until a reply was seen, in nanoseconds: from when its request was due at a given rate, else from handing it to the
    /// kernel.
    pub(crate) latency: Histogram<u64>,
    pub(crate) intervals: Vec<Interval>,
}

impl Outcome {
    /// Requests per second.
    pub(crate) fn rate(&self) -> f64 {
        self.requests as f64 / self.elapsed.as_secs_f64()
    }

    /// An error unless every reply was as expected.
    pub(crate) fn require_no_failures(&self) -> anyhow::Result<()> {
        let first = self.first_failure.as_deref().unwrap_or("none");
        ensure!(self.failures == 0, "{} replies were not as expected, the first: {first}", self.failures);
        Ok(())
    }

    /// Adds what another thread did at the same time.
    pub(crate) fn join(&mut self, other: Outcome) {
        self.requests += other.requests;
        self.misses += other.misses;
        self.elapsed = self.elapsed.max(other.elapsed);
        self.client_cpu_ns += other.client_cpu_ns;
        self.failures += other.failures;
        self.first_failure = self.first_failure.take().or(other.first_failure);
        self.overdue += other.overdue;
        self.latency.add(&other.latency).expect("all histograms have the same bounds");
        for interval in other.intervals {
            self.join_interval(interval);
        }
    }

    fn join_interval(&mut self, other: Interval) {
        let own = self.intervals.iter_mut().find(|own| own.start == other.start);
        let Some(own) = own else {
            self.intervals.push(other);
            return;
        };
        let mut counts: std::collections::BTreeMap<u64, u64> = own.counts.iter().copied().collect();
        for (value, count) in other.counts {
            *counts.entry(value).or_default() += count;
        }
        own.counts = counts.into_iter().collect();
        own.length = own.length.max(other.length);
    }
}

/// A histogram of latencies in nanoseconds.
pub(crate) fn latency_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, LATENCY_NS_MAX, LATENCY_DIGITS).expect("the bounds are constants in order")
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn outcome() -> Outcome {
        Outcome {
            requests: 10,
            misses: 0,
            elapsed: Duration::from_secs(2),
            client_cpu_ns: 0,
            failures: 0,
            first_failure: None,
            overdue: 0,
            latency: latency_histogram(),
            intervals: Vec::new(),
        }
    }

    #[test]
    fn a_failure_makes_the_outcome_an_error() {
        let mut outcome = outcome();
        assert!((outcome.rate() - 5.0).abs() < f64::EPSILON);
        assert!(outcome.require_no_failures().is_ok());
        outcome.failures = 1;
        outcome.first_failure = Some("ERR no".to_owned());
        let error = outcome.require_no_failures().unwrap_err();
        assert!(error.to_string().ends_with("ERR no"));
    }

    #[test]
    fn threads_add_up() {
        let interval = |start, counts: &[(u64, u64)]| Interval {
            start: Duration::from_secs(start),
            length: Duration::from_secs(1),
            counts: counts.to_vec(),
        };
        let mut first = outcome();
        first.intervals = vec![interval(0, &[(5, 1)])];
        let mut second = outcome();
        second.elapsed = Duration::from_secs(4);
        second.latency.record(7).unwrap();
        second.intervals = vec![interval(0, &[(4, 1), (5, 2)]), interval(1, &[(9, 1)])];
        first.join(second);
        assert_eq!((first.requests, first.elapsed.as_secs(), first.latency.len()), (20, 4, 1));
        assert_eq!(first.intervals[0].counts, [(4, 1), (5, 3)]);
        assert_eq!(first.intervals.len(), 2);
    }
}
