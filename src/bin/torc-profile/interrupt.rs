//! Ctrl-C and SIGTERM: what waits asks here, gives up and lets everything clean up behind it.

#![forbid(unsafe_code)]

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::Context;

use crate::clock;

/// How long a signal may go unnoticed.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The user wants it to end.
#[derive(Debug)]
pub(crate) struct Interrupted;

impl fmt::Display for Interrupted {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("interrupted; detached from everything")
    }
}

impl std::error::Error for Interrupted {}

/// Whether a signal has come.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Takes SIGINT and SIGTERM for this process.
    pub(crate) fn install() -> anyhow::Result<Interrupt> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [signal_hook::consts::SIGINT, signal_hook::consts::SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&flag)).context("taking signals")?;
        }
        Ok(Interrupt(flag))
    }

    /// An error once a signal has come.
    pub(crate) fn check(&self) -> Result<(), Interrupted> {
        if self.0.load(Ordering::Relaxed) { Err(Interrupted) } else { Ok(()) }
    }

    /// Sleeps, unless a signal comes.
    pub(crate) fn sleep(&self, duration: Duration) -> Result<(), Interrupted> {
        self.sleep_with(duration, || ())
    }

    /// Sleeps in small steps and does `meanwhile` after each.
    pub(crate) fn sleep_with(&self, duration: Duration, mut meanwhile: impl FnMut()) -> Result<(), Interrupted> {
        let end = clock::now() + duration;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(clock::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(LOOK_EVERY));
            meanwhile();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_ends_a_sleep() {
        let interrupt = Interrupt::default();
        interrupt.sleep(Duration::from_millis(1)).unwrap();
        let mut steps = 0;
        let flag = interrupt.clone();
        let result = interrupt.sleep_with(Duration::from_secs(600), || {
            steps += 1;
            flag.0.store(true, Ordering::Relaxed);
        });
        assert!(result.is_err());
        assert_eq!(steps, 1);
    }
}
