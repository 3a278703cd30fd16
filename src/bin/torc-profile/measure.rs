//! One round on one server: an undisturbed interval, one in which its system calls are watched, one in which its stacks
//! are sampled. Each has its own count of requests, so that none distorts another's figures.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::activity::Counted;
use crate::host::Host;
use crate::interrupt::{Interrupt, Interrupted};
use crate::load::Load;
use crate::perf::{self, Depth, Stat};
use crate::process::Usage;
use crate::profile::{Activity, CpuSplit, Level, Sample, WatchCost, per_request};
use crate::stacks::{self, Category, Folded};
use crate::strace::Strace;
use crate::target::Target;
use crate::tracefs::Watch;
use crate::{clock, process};

/// A pass that only gives the mean time of a call need not be longer.
const TIMES_PASS_MAX: Duration = Duration::from_secs(2);

/// What stays the same for all rounds.
pub(crate) struct Measurer<'a> {
    pub(crate) host: &'a Host,
    pub(crate) interrupt: &'a Interrupt,
    pub(crate) scratch: &'a Path,
    /// Of each pass.
    pub(crate) duration: Duration,
    pub(crate) rate_hz: u32,
    /// The best way of watching that is tried.
    pub(crate) level: Level,
    /// What could not be had, and why; each said once.
    pub(crate) notes: BTreeSet<String>,
}

/// Where the counters stand.
struct Moment {
    at: Instant,
    commands: u64,
    calls: BTreeMap<String, u64>,
    usage: Usage,
}

/// What happened between two moments.
struct Interval {
    seconds: f64,
    requests: f64,
    commands: BTreeMap<String, f64>,
    usage: Usage,
}

impl Moment {
    fn now(target: &mut Target) -> anyhow::Result<Moment> {
        ensure!(process::is_alive(target.pid), "{} (process {}) ended while it was examined", target.name, target.pid);
        let info = target.client.info()?;
        Ok(Moment {
            at: clock::now(),
            commands: info.commands_processed()?,
            calls: info.calls(),
            usage: process::usage(target.pid)?,
        })
    }

    fn until(&self, later: &Moment) -> Interval {
        let mut commands = BTreeMap::new();
        for (command, calls) in &later.calls {
            let calls = calls.saturating_sub(self.calls.get(command).copied().unwrap_or(0));
            if calls > 0 && command != "info" {
                commands.insert(command.clone(), calls as f64);
            }
        }
        let sum = commands.values().sum::<f64>();
        commands.values_mut().for_each(|calls| *calls /= sum);
        Interval {
            seconds: (later.at - self.at).as_secs_f64(),
            // The INFO at the beginning is among those that the end counts, and is ours.
            requests: later.commands.saturating_sub(self.commands + 1) as f64,
            commands,
            usage: later.usage - self.usage,
        }
    }
}

impl Interval {
    fn rate(&self) -> f64 {
        self.requests / self.seconds
    }

    fn cpu_ns(&self) -> f64 {
        self.usage.cpu_ns as f64 / self.requests
    }

    fn sample(&self) -> Sample {
        let ticks = (self.usage.user_ticks + self.usage.system_ticks).max(1) as f64;
        Sample {
            requests_per_second: self.rate(),
            cpu_ns: self.cpu_ns(),
            // The ticks are coarse, their proportion is what counts.
            user_ns: self.cpu_ns() * self.usage.user_ticks as f64 / ticks,
            system_ns: self.cpu_ns() * self.usage.system_ticks as f64 / ticks,
            voluntary_switches: self.usage.voluntary_switches as f64 / self.requests,
            involuntary_switches: self.usage.involuntary_switches as f64 / self.requests,
            commands: self.commands.clone(),
            activity: None,
            cpu_split: None,
        }
    }

    /// What watching cost, from this interval with it and one without.
    fn watch_cost(&self, without: &Interval) -> WatchCost {
        WatchCost { rate: self.rate() / without.rate(), cpu: self.cpu_ns() / without.cpu_ns().max(1.0) }
    }
}

impl Measurer<'_> {
    /// Measures everything that can be had; the stacks go to `folded`.
    pub(crate) fn round(
        &mut self,
        target: &mut Target,
        load: Option<&mut Load>,
        folded: &mut Folded,
    ) -> anyhow::Result<Sample> {
        let undisturbed = self.interval(target, || ())?;
        let mut sample = undisturbed.sample();
        sample.activity = self.activity(target, &undisturbed)?;
        sample.cpu_split = self.cpu_split(target, &undisturbed, &sample, folded)?;
        if let Some(load) = load {
            load.check()?;
        }
        Ok(sample)
    }

    /// Lets the time of a pass go by, with `meanwhile` done now and then.
    fn interval(&self, target: &mut Target, meanwhile: impl FnMut()) -> anyhow::Result<Interval> {
        let begin = Moment::now(target)?;
        self.interrupt.sleep_with(self.duration, meanwhile)?;
        self.since(&begin, target)
    }

    fn since(&self, begin: &Moment, target: &mut Target) -> anyhow::Result<Interval> {
        let interval = begin.until(&Moment::now(target)?);
        ensure!(
            interval.requests > 0.0,
            "no request came to {} within {:.1} s: put load on it, or let --load do so",
            target.name,
            interval.seconds
        );
        Ok(interval)
    }

    /// System calls and ring by the best level that works.
    fn activity(&mut self, target: &mut Target, undisturbed: &Interval) -> anyhow::Result<Option<Activity>> {
        for level in Level::ALL.into_iter().filter(|level| *level >= self.level) {
            if let Some(refusal) = self.host.refusal(level) {
                self.notes.insert(format!("{} not used: {refusal}", level.label()));
                continue;
            }
            let watched = match level {
                Level::Tracefs => self.watch(target),
                Level::Perf => self.perf(target),
                Level::Strace => self.strace(target),
                Level::Proc => {
                    self.notes.insert("without system calls and ring: /proc counts neither".to_owned());
                    return Ok(None);
                }
            };
            match watched {
                Ok((counted, interval)) => {
                    if counted.lost > 0 {
                        self.notes.insert(format!(
                            "the kernel dropped events of {}: its counts of system calls are too low",
                            target.name
                        ));
                    }
                    let cost = interval.watch_cost(undisturbed);
                    return Ok(Some(per_request(&counted, interval.requests, level, cost)));
                }
                Err(error) if error.is::<Interrupted>() || !process::is_alive(target.pid) => return Err(error),
                Err(error) => {
                    self.notes.insert(format!("{} not used: {error:#}", level.label()));
                }
            }
        }
        Ok(None)
    }

    fn watch(&self, target: &mut Target) -> anyhow::Result<(Counted, Interval)> {
        let mut watch = Watch::new(target.pid)?;
        watch.begin()?;
        let interval = self.interval(target, || watch.drain())?;
        Ok((watch.end()?, interval))
    }

    fn perf(&self, target: &mut Target) -> anyhow::Result<(Counted, Interval)> {
        let duration = self.duration.min(TIMES_PASS_MAX);
        let times = perf::times(target.pid, duration, self.scratch, self.interrupt).context("timing system calls")?;
        let names = times.iter().map(|(name, _)| name);
        let mut stat = Stat::attach(target.pid, names, self.scratch, self.interrupt)?;
        stat.begin(self.interrupt)?;
        let interval = self.interval(target, || ())?;
        let mut counted = stat.end(self.interrupt)?;
        for (name, time) in times {
            if let Some(tally) = counted.syscalls.get_mut(&name) {
                // These are other calls than those counted: only their mean time carries over.
                (tally.timed, tally.wall_ns) = (time.timed, time.wall_ns);
            }
        }
        Ok((counted, interval))
    }

    fn strace(&self, target: &mut Target) -> anyhow::Result<(Counted, Interval)> {
        let strace = Strace::attach(target.pid, self.scratch, self.interrupt)?;
        let interval = self.interval(target, || ())?;
        Ok((strace.end()?, interval))
    }

    /// What CPU time went to, from stacks.
    fn cpu_split(
        &mut self,
        target: &mut Target,
        undisturbed: &Interval,
        sample: &Sample,
        folded: &mut Folded,
    ) -> anyhow::Result<Option<CpuSplit>> {
        let depth = match &self.host.sampling {
            Ok(depth) => *depth,
            Err(refusal) => {
                self.notes.insert(format!("stacks not sampled: {refusal}"));
                return Ok(None);
            }
        };
        let begin = Moment::now(target)?;
        let sampled = perf::sample(target.pid, self.duration, self.rate_hz, depth, self.scratch, self.interrupt);
        let watch_cost = self.since(&begin, target)?.watch_cost(undisturbed);
        let stacks = sampled.and_then(|()| perf::read_samples(self.scratch, self.interrupt));
        let stacks = match stacks {
            Ok(stacks) => stacks,
            Err(error) if error.is::<Interrupted>() => return Err(error),
            Err(error) => {
                self.notes.insert(format!("stacks not sampled: {error:#}"));
                return Ok(None);
            }
        };
        let nameless = stacks::kernel_is_nameless(&stacks);
        if nameless {
            self.notes.insert("the kernel hides its symbols (kernel.kptr_restrict): its time is not split".to_owned());
        }
        let samples = stacks.len() as u64;
        let mut ns = BTreeMap::new();
        if depth == Depth::UserOnly {
            let why = self.host.kernel_hidden.as_deref().unwrap_or_default();
            self.notes.insert(format!("the kernel's part of stacks is not to be seen: {why}"));
            ns.extend([(Category::User, sample.user_ns), (Category::Other, sample.system_ns)]);
        } else {
            for (category, count) in stacks::count(&stacks) {
                ns.insert(category, sample.cpu_ns * count as f64 / samples as f64);
            }
        }
        stacks::fold(stacks, folded);
        Ok(Some(CpuSplit { samples, sees_kernel: depth == Depth::Kernel && !nameless, ns, watch_cost }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(at: Instant, commands: u64, gets: u64, infos: u64, cpu_ns: u64) -> Moment {
        let calls = BTreeMap::from([("get".to_owned(), gets), ("info".to_owned(), infos)]);
        let usage = Usage { cpu_ns, user_ticks: cpu_ns / 4, system_ticks: cpu_ns / 4 * 3, ..Usage::default() };
        Moment { at, commands, calls, usage }
    }

    #[test]
    fn an_interval_leaves_out_what_this_tool_asks() {
        let now = clock::now();
        let begin = moment(now, 1000, 900, 100, 4000);
        let interval = begin.until(&moment(now + Duration::from_secs(2), 1501, 1400, 101, 12_000));
        assert_eq!(
            (interval.seconds, interval.requests, interval.rate(), interval.cpu_ns()),
            (2.0, 500.0, 250.0, 16.0)
        );
        assert_eq!(interval.commands, BTreeMap::from([("get".to_owned(), 1.0)]));
        let sample = interval.sample();
        assert_eq!((sample.user_ns, sample.system_ns), (4.0, 12.0));
        let idle = begin.until(&moment(now + Duration::from_secs(2), 1001, 900, 101, 4000));
        assert_eq!(idle.requests, 0.0);
        let slower = begin.until(&moment(now + Duration::from_secs(2), 1251, 1150, 101, 12_000));
        assert_eq!(slower.watch_cost(&interval), WatchCost { rate: 0.5, cpu: 2.0 });
    }
}
