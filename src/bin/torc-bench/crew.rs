//! The threads of a load: started together, kept in step at the ends of the timed part, and stopped together.
//!
//! ```text
//! first thread:  open, warm up | begin watching | load ... | end watching | finish
//! the others:    open, warm up |      wait      | load ... |              | finish
//!                              meet            meet       meet
//! ```

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use anyhow::{Context, anyhow, ensure};

use crate::load::Worker;
use crate::plan::{Outcome, Plan, Watch};
use crate::ring::process;

/// The error of a thread that stopped because another one failed.
#[derive(Debug, thiserror::Error)]
#[error("another thread of the load failed")]
pub(crate) struct Dismissed;

/// An error that the server answered, in its own words.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct ServerError(pub(crate) String);

/// What the threads of a load share.
pub(crate) struct Shared {
    threads: usize,
    meeting: Mutex<Meeting>,
    arrived: Condvar,
    failed: AtomicBool,
    /// Replies so far.
    pub(crate) served: AtomicU64,
}

#[derive(Default)]
struct Meeting {
    waiting: usize,
    held: u64,
}

impl Shared {
    fn new(threads: usize) -> Shared {
        Shared {
            threads,
            meeting: Mutex::default(),
            arrived: Condvar::new(),
            failed: AtomicBool::new(false),
            served: AtomicU64::new(0),
        }
    }

    /// Waits until every thread is here; fails when one of them failed.
    fn meet(&self) -> Result<(), Dismissed> {
        let mut meeting = self.meeting.lock().unwrap_or_else(PoisonError::into_inner);
        let this = meeting.held;
        meeting.waiting += 1;
        if meeting.waiting == self.threads {
            meeting.waiting = 0;
            meeting.held += 1;
            self.arrived.notify_all();
        }
        while meeting.held == this && !self.has_failed() {
            meeting = self.arrived.wait(meeting).unwrap_or_else(PoisonError::into_inner);
        }
        if self.has_failed() { Err(Dismissed) } else { Ok(()) }
    }

    /// Makes all others stop.
    fn fail(&self) {
        let _meeting = self.meeting.lock().unwrap_or_else(PoisonError::into_inner);
        self.failed.store(true, Ordering::Release);
        self.arrived.notify_all();
    }

    /// Whether some thread failed.
    pub(crate) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Acquire)
    }
}

/// Runs a load.
pub(crate) fn run(plan: &Plan, watch: &mut dyn Watch) -> anyhow::Result<Outcome> {
    ensure!(plan.threads > 0, "a load needs a thread");
    ensure!(plan.connections >= plan.threads, "{} threads need as many connections", plan.threads);
    let shared = Shared::new(plan.threads);
    let results = std::thread::scope(|scope| {
        let shared = &shared;
        let others: Vec<_> =
            (1..plan.threads).map(|index| scope.spawn(move || guarded(plan, shared, index, None))).collect();
        let mut results = vec![guarded(plan, shared, 0, Some(watch))];
        for other in others {
            results.push(other.join().unwrap_or_else(|_| Err(anyhow!("a thread of the load panicked"))));
        }
        results
    });
    let mut total: Option<Outcome> = None;
    let mut dismissed = None;
    for result in results {
        match (result, &mut total) {
            (Ok(outcome), Some(total)) => total.join(outcome),
            (Ok(outcome), None) => total = Some(outcome),
            (Err(error), _) if error.is::<Dismissed>() => dismissed = Some(error),
            (Err(error), _) => return Err(error),
        }
    }
    match (dismissed, total) {
        (None, Some(total)) => Ok(total),
        (Some(error), _) => Err(error),
        (None, None) => Err(anyhow!("no thread of the load did anything")),
    }
}

/// Runs one thread, and tells the others when it fails.
fn guarded(plan: &Plan, shared: &Shared, index: usize, watch: Option<&mut dyn Watch>) -> anyhow::Result<Outcome> {
    /// A panic counts as failing too: the others must not wait for this thread.
    struct Alarm<'a>(&'a Shared, bool);
    impl Drop for Alarm<'_> {
        fn drop(&mut self) {
            if !self.1 {
                self.0.fail();
            }
        }
    }
    let mut alarm = Alarm(shared, false);
    let result = work(plan, shared, index, watch);
    alarm.1 = result.is_ok();
    result
}

fn work(plan: &Plan, shared: &Shared, index: usize, mut watch: Option<&mut dyn Watch>) -> anyhow::Result<Outcome> {
    if !plan.cores.is_empty() {
        pin(plan.cores[index % plan.cores.len()])?;
    }
    if plan.rate.is_some() {
        process::exact_timers().context("setting the timer slack")?;
    }
    let mut worker = Worker::open(plan, shared, index)?;
    worker.warm_up(plan.warmup)?;
    shared.meet()?;
    if let Some(watch) = &mut watch {
        watch.timed_part_begins()?;
    }
    shared.meet()?;
    worker.timed_part(&mut watch)?;
    shared.meet()?;
    if let Some(watch) = &mut watch {
        watch.timed_part_ends()?;
    }
    worker.finish()
}

/// Cores are numbered below this.
pub(crate) const CORES_MAX: usize = 1024;

/// Binds the calling thread to `core`.
pub(crate) fn pin(core: usize) -> anyhow::Result<()> {
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    // Once bound, a thread is told of its own core only; moving on is allowed all the same.
    // The library asserts that a core fits into the kernel's smallest set.
    ensure!(core < CORES_MAX, "there is no core {core} here");
    ensure!(
        core_affinity::set_for_current(core_affinity::CoreId { id: core }),
        "binding to core {core} failed; there are {} cores",
        allowed.len()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_meet_or_are_all_dismissed() {
        let shared = Shared::new(2);
        std::thread::scope(|scope| {
            let other = scope.spawn(|| shared.meet().and_then(|()| shared.meet()));
            shared.meet().unwrap();
            shared.fail();
            assert!(other.join().unwrap().is_err());
        });
        assert!(shared.meet().is_err());
    }

    #[test]
    fn there_is_no_core_beyond_the_last() {
        assert!(pin(CORES_MAX - 1).is_err());
        assert!(pin(CORES_MAX).is_err());
    }
}
