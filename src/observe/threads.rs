//! Figures of I/O threads: each written by its thread, a few times per turn at most, and read by INFO on the main thread.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

/// A counter with one writer, and what it stood at when CONFIG RESETSTAT was run.
#[derive(Debug, Default)]
pub struct Counter {
    total: AtomicU64,
    before: AtomicU64,
}

impl Counter {
    /// Adds to it. Only its thread does.
    #[inline]
    pub fn add(&self, more: u64) {
        self.total.store(self.total().wrapping_add(more), Ordering::Relaxed);
    }

    /// Makes it at least `value`. Only its thread does.
    #[inline]
    pub fn raise(&self, value: u64) {
        if value > self.total() {
            self.total.store(value, Ordering::Relaxed);
        }
    }

    /// What it is, or was a moment ago.
    #[inline]
    pub fn get(&self) -> u64 {
        self.total().saturating_sub(self.before.load(Ordering::Relaxed))
    }

    /// The same since the thread began.
    #[inline]
    pub fn total(&self) -> u64 {
        self.total.load(Ordering::Relaxed)
    }

    /// It counts from here on. Only the main thread does this.
    fn restart(&self) {
        self.before.store(self.total(), Ordering::Relaxed);
    }
}

/// What a thread counts since it began.
#[derive(Debug, Default)]
pub struct ThreadFigures {
    /// Receptions.
    pub reads: Counter,
    /// Transmissions.
    pub writes: Counter,
    /// Bytes received.
    pub input_bytes: Counter,
    /// Bytes handed to sockets, or kept for them.
    pub output_bytes: Counter,
    /// Parcels sent to the main thread.
    pub batches: Counter,
    /// Commands in them.
    pub commands: Counter,
    /// Times it woke the main thread.
    pub wakeups_sent: Counter,
    /// Times the main thread was awake anyway.
    pub wakeups_elided: Counter,
    /// Times the main thread woke it. Written by the main thread.
    pub woken: Counter,
    /// Most parcels that waited for the main thread.
    pub queue_high_water: Counter,
    /// Microseconds asleep.
    pub asleep_us: Counter,
    /// Turns of its loop.
    pub turns: Counter,
    /// System calls for its connections.
    pub syscalls: Counter,
    /// Parcels of the main thread that it is done with: what was in them is written, or reported as waiting.
    pub carried_out: Counter,
}

impl ThreadFigures {
    /// CONFIG RESETSTAT: what is counted counts from here on.
    pub fn restart(&self) {
        let counters =
            [&self.reads, &self.writes, &self.input_bytes, &self.output_bytes, &self.batches, &self.commands];
        let others =
            [&self.wakeups_sent, &self.wakeups_elided, &self.woken, &self.asleep_us, &self.turns, &self.syscalls];
        counters.into_iter().chain(others).for_each(Counter::restart);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_add_and_rise() {
        let counter = Counter::default();
        counter.add(3);
        counter.raise(2);
        counter.add(1);
        assert_eq!(counter.get(), 4);
        counter.raise(9);
        assert_eq!(counter.get(), 9);
        counter.restart();
        counter.add(2);
        assert_eq!((counter.get(), counter.total()), (2, 11));
    }
}
