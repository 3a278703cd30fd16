//! HOT PATH. A closed-loop load: every connection keeps one pipeline of requests in flight, and sends the next one when
//! the last reply is in. One thread does all of it; it knows nothing of the process behind the endpoint.

#![forbid(unsafe_code)]

use std::io;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;

use crate::check::{Expectations, ReplyStream, Tally};
use crate::clock;
use crate::endpoint::Endpoint;
use crate::request::{Batch, KeyOrder, KeySource, Workload};
use crate::ring::{Event, Ring, process};

/// A server that answers nothing for this long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// So many connections are opened before one of them is asked for a sign of life: the listen queue must not overflow.
const CONNECT_BURST: usize = 128;
/// Latencies are recorded from one nanosecond to one minute, to three digits.
const LATENCY_NS_MAX: u64 = 60_000_000_000;

/// When the timed part is over.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// After so many replies; not one request more is sent.
    Requests(u64),
    /// After so long.
    Time(Duration),
}

/// What to do to whom.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    /// The server.
    pub(crate) endpoint: Endpoint,
    /// User and password for AUTH.
    pub(crate) auth: Option<(Option<String>, String)>,
    /// What is asked.
    pub(crate) workload: Workload,
    /// How many connections.
    pub(crate) connections: usize,
    /// Requests in flight on each of them.
    pub(crate) pipeline: usize,
    /// The key space is 0 up to this.
    pub(crate) keys: u64,
    /// The order in which keys are used.
    pub(crate) order: KeyOrder,
    /// Load before the timed part.
    pub(crate) warmup: Duration,
    /// The end of the timed part.
    pub(crate) limit: Limit,
}

/// Looks at the server while a load runs. Called by the load's own thread: the load stands still meanwhile.
pub(crate) trait Watch {
    /// The warm-up is over.
    fn timed_part_begins(&mut self) -> anyhow::Result<()>;
    /// The last reply that counts is in.
    fn timed_part_ends(&mut self) -> anyhow::Result<()>;
}

/// Watches nothing.
pub(crate) struct NoWatch;

impl Watch for NoWatch {
    fn timed_part_begins(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    fn timed_part_ends(&mut self) -> anyhow::Result<()> {
        Ok(())
    }
}

/// What came of it. Everything but the failures is about the timed part only.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// Replies as expected.
    pub(crate) requests: u64,
    /// How long the timed part took.
    pub(crate) elapsed: Duration,
    /// CPU time of the load's own thread.
    pub(crate) client_cpu_ns: u64,
    /// Error replies and unexpected ones, of the warm-up too.
    pub(crate) failures: u64,
    /// The first of them.
    pub(crate) first_failure: Option<String>,
    /// From handing a pipeline to the kernel until each of its replies was seen, in nanoseconds.
    pub(crate) latency: Histogram<u64>,
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
}

/// Runs a load.
pub(crate) fn run(plan: &Plan, watch: &mut dyn Watch) -> anyhow::Result<Outcome> {
    let mut load = Load::open(plan)?;
    load.warm_up(plan.warmup)?;
    load.timed_part(plan.limit, watch)
}

struct Connection {
    replies: ReplyStream,
    /// Requests in flight.
    outstanding: usize,
    /// Which batch goes next.
    batch: usize,
    /// When the batch in flight was handed over, in nanoseconds since the load began.
    sent_at_ns: u64,
}

struct Load {
    ring: Ring,
    connections: Vec<Connection>,
    batches: Vec<Batch>,
    pipeline: usize,
    keys: KeySource,
    started: Instant,
    tally: Tally,
    latency: Histogram<u64>,
    /// Connections that may send their next batch.
    ready: Vec<usize>,
    in_flight: u64,
    /// Requests that may still be sent.
    budget: u64,
    last_reply: Instant,
}

impl Load {
    fn open(plan: &Plan) -> anyhow::Result<Load> {
        ensure!(plan.connections > 0 && plan.pipeline > 0, "a load needs a connection and a request");
        let (output, batches) = plan.workload.batches(plan.pipeline);
        let expectations = Expectations::new(plan.workload.expectations());
        let mut ring = Ring::new().context("setting up io_uring")?;
        let mut connections = Vec::with_capacity(plan.connections);
        for index in 0..plan.connections {
            let mut stream = plan
                .endpoint
                .connect()
                .with_context(|| format!("opening connection {} to {}", index + 1, plan.endpoint))?;
            if let Some((user, password)) = &plan.auth {
                let answer = match user {
                    Some(user) => stream.ask(&["AUTH", user, password]),
                    None => stream.ask(&["AUTH", password]),
                }?;
                ensure!(answer == "+OK", "AUTH was answered {answer:?}");
            } else if (index + 1) % CONNECT_BURST == 0 {
                let answer = stream.ask(&["PING"])?;
                ensure!(!answer.contains("max number of clients"), "connection {}: {answer}", index + 1);
            }
            ring.add(stream, output.clone());
            // Connections begin at different requests of the workload, so that a mix is mixed at every moment.
            let batch = index % batches.len();
            let replies = ReplyStream::new(expectations.clone(), batch * plan.pipeline);
            connections.push(Connection { replies, outstanding: 0, batch, sent_at_ns: 0 });
        }
        let started = clock::now();
        Ok(Load {
            ring,
            ready: (0..connections.len()).collect(),
            connections,
            batches,
            pipeline: plan.pipeline,
            keys: KeySource::new(plan.keys, plan.order),
            started,
            tally: Tally::default(),
            latency: Histogram::new_with_bounds(1, LATENCY_NS_MAX, 3).expect("the bounds are constants in order"),
            in_flight: 0,
            budget: 0,
            last_reply: started,
        })
    }

    fn warm_up(&mut self, how_long: Duration) -> anyhow::Result<()> {
        if how_long.is_zero() {
            return Ok(());
        }
        self.budget = u64::MAX;
        let until = clock::now() + how_long;
        while clock::now() < until {
            self.turn()?;
        }
        Ok(())
    }

    fn timed_part(mut self, limit: Limit, watch: &mut dyn Watch) -> anyhow::Result<Outcome> {
        if matches!(limit, Limit::Requests(_)) {
            // Exactly so many requests: those of the warm-up must be over.
            self.budget = 0;
            self.drain()?;
        }
        self.latency.reset();
        let served_before = self.tally.served;
        watch.timed_part_begins()?;
        let cpu_before = process::thread_cpu_ns()?;
        let begin = clock::now();
        self.last_reply = begin;
        match limit {
            Limit::Requests(count) => {
                self.budget = count;
                while self.budget > 0 || self.in_flight > 0 {
                    self.turn()?;
                }
            }
            Limit::Time(how_long) => {
                self.budget = u64::MAX;
                let until = begin + how_long;
                while clock::now() < until {
                    self.turn()?;
                }
            }
        }
        let elapsed = begin.elapsed();
        let client_cpu_ns = process::thread_cpu_ns()? - cpu_before;
        watch.timed_part_ends()?;
        let requests = self.tally.served - served_before;
        // What is still in flight is not timed, but checked like the rest.
        self.budget = 0;
        self.drain()?;
        Ok(Outcome {
            requests,
            elapsed,
            client_cpu_ns,
            failures: self.tally.failures(),
            first_failure: self.tally.first_failure.take(),
            latency: self.latency,
        })
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        self.last_reply = clock::now();
        while self.in_flight > 0 {
            self.turn()?;
        }
        Ok(())
    }

    /// Sends what may be sent, waits, and takes in what came.
    fn turn(&mut self) -> anyhow::Result<()> {
        self.send_ready()?;
        self.ring.wait()?;
        let now = clock::now();
        let now_ns = now.duration_since(self.started).as_nanos() as u64;
        let mut replies = 0;
        for event in self.ring.events() {
            match event {
                Event::Data { slot, bytes } => {
                    let connection = &mut self.connections[slot];
                    let ended = connection.replies.feed(bytes, &mut self.tally)?;
                    ensure!(ended <= connection.outstanding, "the server sent a reply to no request");
                    connection.outstanding -= ended;
                    replies += ended as u64;
                    self.latency.saturating_record_n(now_ns - connection.sent_at_ns, ended as u64);
                    if ended > 0 && connection.outstanding == 0 {
                        self.ready.push(slot);
                    }
                }
                Event::Closed { slot, error: None } => bail!("the server closed connection {}", slot + 1),
                Event::Closed { slot, error: Some(error) } => {
                    return Err(error).with_context(|| format!("connection {}", slot + 1));
                }
            }
        }
        self.in_flight -= replies;
        if replies > 0 {
            self.last_reply = now;
        } else if self.in_flight > 0 && now.duration_since(self.last_reply) > SILENCE_MAX {
            bail!("the server has answered nothing for {} s", SILENCE_MAX.as_secs());
        }
        Ok(())
    }

    fn send_ready(&mut self) -> io::Result<()> {
        if self.ready.is_empty() || self.budget == 0 {
            return Ok(());
        }
        let now_ns = self.started.elapsed().as_nanos() as u64;
        for index in 0..self.ready.len() {
            let slot = self.ready[index];
            let count = (self.pipeline as u64).min(self.budget) as usize;
            if count == 0 {
                self.ready.drain(..index);
                return Ok(());
            }
            let connection = &mut self.connections[slot];
            let batch = &self.batches[connection.batch];
            batch.patch(self.ring.output(slot), &mut self.keys);
            self.ring.send(slot, batch.range(count))?;
            connection.batch = (connection.batch + 1) % self.batches.len();
            connection.outstanding = count;
            connection.sent_at_ns = now_ns;
            self.budget -= count as u64;
            self.in_flight += count as u64;
        }
        self.ready.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_makes_the_outcome_an_error() {
        let mut outcome = Outcome {
            requests: 10,
            elapsed: Duration::from_secs(2),
            client_cpu_ns: 0,
            failures: 0,
            first_failure: None,
            latency: Histogram::new(3).unwrap(),
        };
        assert!((outcome.rate() - 5.0).abs() < f64::EPSILON);
        assert!(outcome.require_no_failures().is_ok());
        outcome.failures = 1;
        outcome.first_failure = Some("-ERR no".to_owned());
        let error = outcome.require_no_failures().unwrap_err();
        assert!(error.to_string().ends_with("-ERR no"));
    }
}
