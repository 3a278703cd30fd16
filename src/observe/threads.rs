//! Figures of I/O threads: each written by its thread, a few times per turn at most, and read by INFO on the main thread.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicU64, Ordering};

use crate::io::{IO_COUNTERS, IO_NUMBERS, IoStats};

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

/// What the Io side of a thread counts, written by it, and what it stood at when CONFIG RESETSTAT was run.
#[derive(Debug, Default)]
pub struct IoFigures {
    total: [AtomicU64; IO_NUMBERS],
    before: [AtomicU64; IO_NUMBERS],
}

impl IoFigures {
    /// They are these now. Only their thread says so.
    #[inline]
    pub fn publish(&self, stats: &IoStats) {
        for (place, number) in self.total.iter().zip(stats.numbers()) {
            place.store(number, Ordering::Relaxed);
        }
    }

    /// What they are, or were a moment ago.
    pub fn get(&self) -> IoStats {
        let (total, before) = (numbers_in(&self.total), numbers_in(&self.before));
        IoStats::of_numbers(&std::array::from_fn(|place| total[place].saturating_sub(before[place])))
    }

    /// They count from here on. Only the main thread does this.
    fn restart(&self) {
        for (before, total) in self.before.iter().zip(&self.total).take(IO_COUNTERS) {
            before.store(total.load(Ordering::Relaxed), Ordering::Relaxed);
        }
    }

    /// Adds what a thread that has ended counted.
    fn take_over(&self, ended: &IoFigures) {
        let mut more = numbers_in(&self.total);
        for (mine, counted) in more.iter_mut().zip(ended.get().numbers()).take(IO_COUNTERS) {
            *mine += counted;
        }
        self.publish(&IoStats::of_numbers(&more));
    }
}

fn numbers_in(places: &[AtomicU64; IO_NUMBERS]) -> [u64; IO_NUMBERS] {
    std::array::from_fn(|place| places[place].load(Ordering::Relaxed))
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
    /// What it said of its clients in them: buffers that filled, peers that left.
    pub reports: Counter,
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
    /// Bytes that are sent from where they lie.
    pub bytes_by_reference: Counter,
    /// What its Io side asks of the kernel.
    pub io: IoFigures,
    /// Parcels of the main thread that it is done with: what was in them is written, or was reported as waiting before this
    /// was released.
    pub carried_out: AtomicU64,
}

impl ThreadFigures {
    /// CONFIG RESETSTAT: what is counted counts from here on.
    pub fn restart(&self) {
        let counters =
            [&self.reads, &self.writes, &self.input_bytes, &self.output_bytes, &self.batches, &self.commands];
        let others =
            [&self.reports, &self.wakeups_sent, &self.wakeups_elided, &self.woken, &self.asleep_us, &self.turns];
        counters.into_iter().chain(others).chain([&self.bytes_by_reference]).for_each(Counter::restart);
        self.io.restart();
    }

    /// Adds what a thread that has ended counted for all of them. Only the main thread does this, to figures that no
    /// thread writes any more.
    pub fn take_over(&self, ended: &ThreadFigures) {
        let all =
            |of: &ThreadFigures| [of.reads.get(), of.writes.get(), of.input_bytes.get(), of.bytes_by_reference.get()];
        let mine = [&self.reads, &self.writes, &self.input_bytes, &self.bytes_by_reference];
        for (counter, more) in mine.into_iter().zip(all(ended)) {
            counter.add(more);
        }
        self.io.take_over(&ended.io);
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

    #[test]
    fn what_ended_threads_counted_stays() {
        let (all, ended) = (ThreadFigures::default(), ThreadFigures::default());
        let mut stats = IoStats { syscalls: 5, sends_soft: 3, recv_buffers: 8, ..IoStats::default() };
        stats.collected(2);
        ended.io.publish(&stats);
        ended.reads.add(7);
        ended.restart();
        ended.reads.add(1);
        stats.syscalls += 10;
        stats.collected(100);
        ended.io.publish(&stats);
        for round in 1..3 {
            all.take_over(&ended);
            assert_eq!(all.reads.get(), round);
            let counted = all.io.get();
            assert_eq!((counted.syscalls, counted.sends_soft, counted.completions), (10 * round, 0, 100 * round));
            assert_eq!((counted.collected[2], counted.collected[7]), (0, round));
            assert_eq!(counted.recv_buffers, 0, "its buffers are gone");
        }
        assert_eq!(ended.io.get().recv_buffers, 8);
    }
}
