//! HOT PATH. One thread of a load, with its connections on its own ring.
//!
//! Closed loop: every connection keeps one pipeline of requests in flight, and sends the next one when the last reply is
//! in. At a given rate: requests fall due by the clock, go out on whichever connection is free, and their latency counts
//! from when they were due, so that a server that stalls is charged for every request that it kept waiting.
//!
//! Knows nothing of the process behind the endpoint.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use hdrhistogram::Histogram;

use crate::check::{Expectations, ReplyStream, Tally};
use crate::clock;
use crate::crew::{Dismissed, ServerError, Shared};
use crate::keys::{KeySource, random, unit};
use crate::plan::{Interval, Limit, Outcome, Plan, Rate, Watch, latency_histogram};
use crate::request::Batch;
use crate::ring::{Event, Ring, process};
use crate::tls::TlsSession;

/// A server that answers nothing for this long has failed.
const SILENCE_MAX: Duration = Duration::from_secs(10);
/// So many connections are opened before one of them is asked for a sign of life: the listen queue must not overflow.
const CONNECT_BURST: usize = 128;
/// How often a thread looks at what is not its requests: progress, other threads, intervals.
const LOOK_NS: u64 = 100_000_000;
/// A request that is due sooner than this is waited for without sleeping.
const SPIN_NS: u64 = 60_000;
/// How long after its end a load at a given rate goes on with requests that are overdue.
const OVERDUE_WAIT: Duration = Duration::from_secs(10);
/// The longest that a wait may be; the ring's own tick is shorter.
const WAIT_MAX: Duration = Duration::from_millis(20);

struct Connection {
    replies: ReplyStream,
    /// Requests in flight.
    outstanding: usize,
    /// Which batch goes next.
    batch: usize,
    /// Which batch the output holds.
    loaded: Option<usize>,
    /// When the batch in flight was handed over, in nanoseconds since the load began.
    sent_at_ns: u64,
    /// When each request in flight was due, the oldest first. Of a load at a given rate only.
    due_ns: VecDeque<u64>,
    tls: Option<Tls>,
    /// It was closed here, to be opened again.
    retired: bool,
}

/// A session, and the plaintext of what is sent.
struct Tls {
    session: Box<TlsSession>,
    plain: Vec<u8>,
}

/// When requests are due.
struct Schedule {
    next_ns: f64,
    step_ns: f64,
    /// The state of a random generator where intervals vary.
    chance: Option<u64>,
}

impl Schedule {
    fn new(rate: Rate, threads: usize, index: usize) -> Schedule {
        let step_ns = 1e9 * threads as f64 / rate.per_second;
        let chance = rate.poisson.then(|| (index as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        Schedule { next_ns: 0.0, step_ns, chance }
    }

    /// Begins anew, threads taking turns.
    fn start(&mut self, now_ns: u64, part: f64) {
        self.next_ns = now_ns as f64 + self.step_ns * part;
    }

    fn is_due(&self, now_ns: u64) -> bool {
        self.next_ns <= now_ns as f64
    }

    fn take(&mut self) -> u64 {
        let due = self.next_ns as u64;
        self.next_ns += match &mut self.chance {
            None => self.step_ns,
            Some(state) => -(1.0 - unit(random(state))).ln() * self.step_ns,
        };
        due
    }
}

pub(crate) struct Worker<'a> {
    plan: &'a Plan,
    shared: &'a Shared,
    index: usize,
    ring: Ring,
    connections: Vec<Connection>,
    batches: Vec<Batch>,
    keys: KeySource,
    schedule: Option<Schedule>,
    /// Which request of the workload goes next, at a given rate.
    next_request: usize,
    started: Instant,
    tally: Tally,
    /// Of the interval under way.
    latency: Histogram<u64>,
    total: Histogram<u64>,
    intervals: Vec<Interval>,
    /// Connections that may send their next batch.
    ready: VecDeque<usize>,
    /// Connections that are to be closed and opened again.
    retiring: Vec<usize>,
    in_flight: u64,
    /// Requests that may still be sent.
    budget: u64,
    last_reply: Instant,
    next_look_ns: u64,
    /// The timed part: its beginning, and what had been counted by then.
    begin_ns: u64,
    interval_start_ns: u64,
    counted: Counted,
    outcome: Option<Outcome>,
}

/// Counts at the beginning of the timed part.
#[derive(Clone, Copy, Default)]
struct Counted {
    served: u64,
    misses: u64,
    cpu_ns: u64,
    /// How many of the replies have been added to the shared count.
    told: u64,
}

impl<'a> Worker<'a> {
    pub(crate) fn open(plan: &'a Plan, shared: &'a Shared, index: usize) -> anyhow::Result<Worker<'a>> {
        ensure!(plan.connections > 0 && plan.pipeline > 0, "a load needs a connection and a request");
        let batches = plan.workload.batches(plan.pipeline);
        let expectations = Expectations::new(plan.workload.expectations());
        let mut ring = Ring::new().context("setting up io_uring")?;
        let share = share(plan.connections as u64, plan.threads, index) as usize;
        let mut connections = Vec::with_capacity(share);
        for number in 0..share {
            let mut dialed = plan
                .endpoint
                .connect_and_greet(&plan.greeting)
                .with_context(|| format!("opening connection {} to {}", number + 1, plan.endpoint))?;
            if plan.greeting.is_empty() && (number + 1) % CONNECT_BURST == 0 {
                let answer = dialed.ask(&["PING"])?;
                ensure!(!answer.contains("max number of clients"), "connection {}: {answer}", number + 1);
            }
            ring.add(dialed.stream, Vec::new());
            // Connections begin at different requests of the workload, so that a mix is mixed at every moment.
            let batch = number % batches.len();
            connections.push(Connection {
                replies: ReplyStream::new(expectations.clone(), 0),
                outstanding: 0,
                batch,
                loaded: None,
                sent_at_ns: 0,
                due_ns: VecDeque::new(),
                tls: dialed.tls.map(|session| Tls { session, plain: Vec::new() }),
                retired: false,
            });
        }
        let started = clock::now();
        Ok(Worker {
            plan,
            shared,
            index,
            ring,
            ready: (0..connections.len()).collect(),
            connections,
            batches,
            keys: plan.keys.source(index, plan.threads),
            schedule: plan.rate.map(|rate| Schedule::new(rate, plan.threads, index)),
            next_request: 0,
            started,
            tally: Tally::default(),
            latency: latency_histogram(),
            total: latency_histogram(),
            intervals: Vec::new(),
            retiring: Vec::new(),
            in_flight: 0,
            budget: 0,
            last_reply: started,
            next_look_ns: 0,
            begin_ns: 0,
            interval_start_ns: 0,
            counted: Counted::default(),
            outcome: None,
        })
    }

    pub(crate) fn warm_up(&mut self, how_long: Duration) -> anyhow::Result<()> {
        if !how_long.is_zero() {
            self.start_schedule();
            self.budget = u64::MAX;
            let until = clock::now() + how_long;
            while clock::now() < until {
                self.turn(&mut None)?;
            }
        }
        if matches!(self.plan.limit, Limit::Requests(_)) || self.schedule.is_some() {
            // Exactly so many requests: those of the warm-up must be over.
            self.budget = 0;
            self.drain()?;
        }
        Ok(())
    }

    pub(crate) fn timed_part(&mut self, watch: &mut Option<&mut dyn Watch>) -> anyhow::Result<()> {
        self.latency.reset();
        let cpu_ns = process::thread_cpu_ns()?;
        self.counted =
            Counted { served: self.tally.served, misses: self.tally.misses, cpu_ns, told: self.tally.served };
        self.start_schedule();
        let begin = clock::now();
        self.begin_ns = self.now_ns();
        self.interval_start_ns = self.begin_ns;
        self.next_look_ns = self.begin_ns + self.look_interval_ns();
        self.last_reply = begin;
        let elapsed = match self.plan.limit {
            Limit::Requests(count) => self.serve(begin, share(count, self.plan.threads, self.index), None, watch)?,
            Limit::Time(how_long) => match self.plan.rate {
                None => {
                    self.budget = u64::MAX;
                    let until = begin + how_long;
                    while clock::now() < until {
                        self.turn(watch)?;
                    }
                    begin.elapsed()
                }
                Some(rate) => {
                    let count = (rate.per_second * how_long.as_secs_f64()).round() as u64;
                    let count = share(count, self.plan.threads, self.index);
                    self.serve(begin, count, Some(how_long + OVERDUE_WAIT), watch)?
                }
            },
        };
        let overdue = self.give_up_overdue();
        let client_cpu_ns = process::thread_cpu_ns()? - self.counted.cpu_ns;
        self.end_interval();
        self.outcome = Some(Outcome {
            requests: self.tally.served - self.counted.served,
            misses: self.tally.misses - self.counted.misses,
            elapsed,
            client_cpu_ns,
            failures: 0,
            first_failure: None,
            overdue,
            latency: self.total.clone(),
            intervals: std::mem::take(&mut self.intervals),
        });
        Ok(())
    }

    /// Sends exactly `count` requests and waits for their replies. Returns when the last one came.
    fn serve(
        &mut self,
        begin: Instant,
        count: u64,
        at_most: Option<Duration>,
        watch: &mut Option<&mut dyn Watch>,
    ) -> anyhow::Result<Duration> {
        self.budget = count;
        while self.budget > 0 || self.in_flight > 0 {
            if at_most.is_some_and(|at_most| begin.elapsed() > at_most) {
                break;
            }
            self.turn(watch)?;
        }
        Ok(self.last_reply.duration_since(begin).max(Duration::from_nanos(1)))
    }

    /// Records the latency so far of requests that were due and were never sent.
    fn give_up_overdue(&mut self) -> u64 {
        let Some(schedule) = &mut self.schedule else { return 0 };
        let now_ns = self.started.elapsed().as_nanos() as u64;
        let mut overdue = 0;
        while self.budget > 0 && schedule.is_due(now_ns) {
            self.latency.saturating_record(now_ns - schedule.take());
            self.budget -= 1;
            overdue += 1;
        }
        overdue
    }

    /// What is still in flight is not timed, but checked like the rest.
    pub(crate) fn finish(mut self) -> anyhow::Result<Outcome> {
        self.budget = 0;
        self.drain()?;
        let mut outcome = self.outcome.take().context("the timed part has not been")?;
        outcome.failures = self.tally.failures();
        outcome.first_failure = self.tally.first_failure.take();
        Ok(outcome)
    }

    fn start_schedule(&mut self) {
        let now_ns = self.now_ns();
        let part = self.index as f64 / self.plan.threads as f64;
        if let Some(schedule) = &mut self.schedule {
            schedule.start(now_ns, part);
        }
    }

    #[inline]
    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }

    fn drain(&mut self) -> anyhow::Result<()> {
        self.last_reply = clock::now();
        while self.in_flight > 0 {
            self.turn(&mut None)?;
        }
        Ok(())
    }

    /// Sends what may be sent, waits, and takes in what came.
    fn turn(&mut self, watch: &mut Option<&mut dyn Watch>) -> anyhow::Result<()> {
        if self.schedule.is_some() {
            self.send_due()?;
            let wait = self.time_until_due();
            self.ring.wait_at_most(wait)?;
        } else {
            self.send_ready()?;
            self.ring.wait()?;
        }
        let now = clock::now();
        let now_ns = now.duration_since(self.started).as_nanos() as u64;
        self.take_in(now, now_ns)?;
        if !self.retiring.is_empty() {
            for slot in std::mem::take(&mut self.retiring) {
                self.ring.retire(slot);
            }
        }
        if now_ns >= self.next_look_ns {
            self.look(now_ns, watch)?;
        }
        Ok(())
    }

    fn take_in(&mut self, now: Instant, now_ns: u64) -> anyhow::Result<()> {
        let mut replies = 0;
        let failures = self.tally.failures();
        let mut reopen = Vec::new();
        for event in self.ring.events() {
            let (slot, bytes) = match event {
                Event::Data { slot, bytes } => (slot, bytes),
                Event::Closed { slot, .. } if self.connections[slot].retired => {
                    reopen.push(slot);
                    continue;
                }
                Event::Closed { slot, error: None } => return Err(self.closed(slot)),
                Event::Closed { slot, error: Some(error) } => {
                    return Err(error).with_context(|| format!("connection {}", slot + 1));
                }
            };
            let connection = &mut self.connections[slot];
            let failed = self.tally.failures();
            let ended = match &mut connection.tls {
                None => connection.replies.feed(bytes, &mut self.tally)?,
                Some(tls) => {
                    let mut ended = 0;
                    tls.session.receive(bytes, |plain| -> anyhow::Result<()> {
                        ended += connection.replies.feed(plain, &mut self.tally)?;
                        Ok(())
                    })?;
                    ended
                }
            };
            if ended > connection.outstanding {
                return Err(self.unasked());
            }
            connection.outstanding -= ended;
            replies += ended as u64;
            // An error is no request served, and its latency none.
            let served = (ended as u64).saturating_sub(self.tally.failures() - failed);
            if self.schedule.is_none() {
                self.latency.saturating_record_n(now_ns - connection.sent_at_ns, served);
            } else {
                for (number, due) in connection.due_ns.drain(..ended).enumerate() {
                    if (number as u64) < served {
                        self.latency.saturating_record(now_ns.saturating_sub(due));
                    }
                }
            }
            if ended > 0 && connection.outstanding == 0 {
                if self.plan.keep_alive {
                    self.ready.push_back(slot);
                } else {
                    connection.retired = true;
                    self.retiring.push(slot);
                }
            }
        }
        self.in_flight -= replies;
        if self.tally.failures() > failures && !self.plan.keep_going {
            return Err(self.refused());
        }
        for slot in reopen {
            self.reopen(slot)?;
        }
        if replies > 0 {
            self.last_reply = now;
        } else if self.in_flight > 0 && now.duration_since(self.last_reply) > SILENCE_MAX {
            bail!("the server has answered nothing for {} s", SILENCE_MAX.as_secs());
        }
        Ok(())
    }

    #[cold]
    fn refused(&self) -> anyhow::Error {
        ServerError(self.tally.first_failure.clone().unwrap_or_default()).into()
    }

    /// The error of a reply to no request: what a full server says to a new connection, most often.
    #[cold]
    fn unasked(&self) -> anyhow::Error {
        match &self.tally.first_failure {
            Some(first) => ServerError(first.clone()).into(),
            None => anyhow::anyhow!("the server sent a reply to no request"),
        }
    }

    #[cold]
    fn closed(&self, slot: usize) -> anyhow::Error {
        match &self.tally.first_failure {
            Some(first) => anyhow::anyhow!("the server closed connection {}; before, it answered {first}", slot + 1),
            None => anyhow::anyhow!("the server closed connection {}", slot + 1),
        }
    }

    /// Opens a connection that was closed because connections are not kept.
    fn reopen(&mut self, slot: usize) -> anyhow::Result<()> {
        let dialed = self
            .plan
            .endpoint
            .connect_and_greet(&self.plan.greeting)
            .with_context(|| format!("opening connection {} again", slot + 1))?;
        self.ring.reuse(slot, dialed.stream);
        let connection = &mut self.connections[slot];
        connection.retired = false;
        connection.tls = dialed.tls.map(|session| Tls { session, plain: Vec::new() });
        connection.loaded = None;
        self.ready.push_back(slot);
        Ok(())
    }

    fn send_ready(&mut self) -> anyhow::Result<()> {
        if self.ready.is_empty() || self.budget == 0 {
            return Ok(());
        }
        let now_ns = self.now_ns();
        while self.budget > 0
            && let Some(slot) = self.ready.pop_front()
        {
            let count = (self.plan.pipeline as u64).min(self.budget) as usize;
            let connection = &mut self.connections[slot];
            let index = connection.batch;
            let batch = &self.batches[index];
            let output = match &mut connection.tls {
                None => self.ring.output(slot),
                Some(tls) => &mut tls.plain,
            };
            if connection.loaded != Some(index) {
                output.clear();
                output.extend_from_slice(batch.bytes());
                connection.loaded = Some(index);
            }
            batch.patch(output, &mut self.keys);
            let range = batch.range(count);
            let len = match &mut connection.tls {
                None => range.end,
                Some(tls) => {
                    let output = self.ring.output(slot);
                    tls.session.encrypt(&tls.plain[range], output)?;
                    output.len()
                }
            };
            self.ring.send(slot, 0..len)?;
            connection.replies.expect_from(index * self.plan.pipeline);
            connection.batch = if index + 1 == self.batches.len() { 0 } else { index + 1 };
            connection.outstanding = count;
            connection.sent_at_ns = now_ns;
            self.budget -= count as u64;
            self.in_flight += count as u64;
        }
        Ok(())
    }

    /// Sends requests that are due, as many on one connection as its pipeline takes.
    fn send_due(&mut self) -> anyhow::Result<()> {
        let now_ns = self.now_ns();
        let Some(schedule) = &mut self.schedule else { return Ok(()) };
        while self.budget > 0
            && schedule.is_due(now_ns)
            && let Some(slot) = self.ready.pop_front()
        {
            let connection = &mut self.connections[slot];
            connection.replies.expect_from(self.next_request);
            let output = match &mut connection.tls {
                None => self.ring.output(slot),
                Some(tls) => &mut tls.plain,
            };
            output.clear();
            let mut count = 0;
            while count < self.plan.pipeline && self.budget > 0 && schedule.is_due(now_ns) {
                connection.due_ns.push_back(schedule.take());
                self.plan.workload.append(self.next_request, output, &mut self.keys);
                self.next_request =
                    if self.next_request + 1 == self.plan.workload.len() { 0 } else { self.next_request + 1 };
                self.budget -= 1;
                count += 1;
            }
            let len = match &mut connection.tls {
                None => self.ring.output(slot).len(),
                Some(tls) => {
                    let output = self.ring.output(slot);
                    tls.session.encrypt(&tls.plain, output)?;
                    output.len()
                }
            };
            self.ring.send(slot, 0..len)?;
            connection.outstanding = count;
            self.in_flight += count as u64;
        }
        Ok(())
    }

    /// How long to wait for replies before the next request is due. Shortly before that, not at all.
    fn time_until_due(&self) -> Duration {
        let Some(schedule) = &self.schedule else { return WAIT_MAX };
        if self.budget == 0 || self.ready.is_empty() {
            return WAIT_MAX;
        }
        let left_ns = (schedule.next_ns as u64).saturating_sub(self.now_ns());
        Duration::from_nanos(left_ns.saturating_sub(SPIN_NS)).min(WAIT_MAX)
    }

    fn look_interval_ns(&self) -> u64 {
        self.plan.interval.map_or(LOOK_NS, |interval| LOOK_NS.min(interval.as_nanos() as u64).max(1))
    }

    /// What need not be done every turn.
    #[cold]
    fn look(&mut self, now_ns: u64, watch: &mut Option<&mut dyn Watch>) -> anyhow::Result<()> {
        self.next_look_ns = now_ns + self.look_interval_ns();
        if self.shared.has_failed() {
            return Err(Dismissed.into());
        }
        let newly = self.tally.served.saturating_sub(self.counted.told);
        self.counted.told = self.tally.served;
        let served = self.shared.served.fetch_add(newly, Ordering::Relaxed) + newly;
        if let Some(watch) = watch {
            watch.progress(served, Duration::from_nanos(now_ns.saturating_sub(self.begin_ns)));
        }
        let is_timed = self.begin_ns > 0 && self.outcome.is_none();
        if is_timed
            && let Some(interval) = self.plan.interval
            && now_ns >= self.interval_start_ns + interval.as_nanos() as u64
        {
            self.end_interval();
        }
        Ok(())
    }

    /// Adds what the interval brought to the whole, and keeps it apart where that is wanted.
    fn end_interval(&mut self) {
        if let Some(interval) = self.plan.interval {
            let now_ns = self.now_ns();
            // Threads begin a little apart; their intervals are known by the number, not by the clock.
            let number = self.intervals.len() as u32;
            self.intervals.push(Interval {
                start: interval * number,
                length: Duration::from_nanos(now_ns - self.interval_start_ns),
                counts: self
                    .latency
                    .iter_recorded()
                    .map(|entry| (entry.value_iterated_to(), entry.count_at_value()))
                    .collect(),
            });
            self.interval_start_ns += interval.as_nanos() as u64;
        }
        self.total.add(&self.latency).expect("both have the same bounds");
        self.latency.reset();
    }
}

/// How much of `whole` thread `index` of `threads` takes on.
fn share(whole: u64, threads: usize, index: usize) -> u64 {
    let threads = threads as u64;
    whole / threads + u64::from((index as u64) < whole % threads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_add_up() {
        for whole in [1, 7, 8, 100] {
            assert_eq!((0..8).map(|index| share(whole, 8, index)).sum::<u64>(), whole);
        }
        assert_eq!((share(7, 3, 0), share(7, 3, 2)), (3, 2));
    }

    #[test]
    fn requests_fall_due_at_the_rate() {
        let mut schedule = Schedule::new(Rate { per_second: 1000.0, poisson: false }, 2, 1);
        schedule.start(5_000_000, 0.5);
        assert_eq!([schedule.take(), schedule.take()], [6_000_000, 8_000_000]);
        assert!(schedule.is_due(10_000_000) && !schedule.is_due(9_999_999));
        let mut schedule = Schedule::new(Rate { per_second: 1000.0, poisson: true }, 1, 0);
        schedule.start(0, 0.0);
        let mut last = 0;
        for _ in 0..100_000 {
            last = schedule.take();
        }
        // The sum of 100,000 exponential intervals of 1 ms has a standard deviation of 0.3 %.
        assert!((98_000_000_000..102_000_000_000).contains(&last), "{last}");
    }
}
