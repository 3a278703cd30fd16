//! Latency spikes by event: what LATENCY LATEST, HISTORY, GRAPH and DOCTOR tell of. Main thread only. Samples are few:
//! one a second and event, and only what took `latency-monitor-threshold` milliseconds or more.

#![forbid(unsafe_code)]

use std::collections::{BTreeMap, VecDeque};

/// Samples kept of each event.
const SAMPLES_MAX: usize = 160;

/// Rows of a graph, and levels that a row can tell apart.
const GRAPH_ROWS: u64 = 4;
const GRAPH_LEVELS: u64 = 3;

/// The worst that happened in one second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spike {
    /// Unix seconds.
    pub at_s: i64,
    /// Milliseconds.
    pub latency_ms: u64,
}

/// What is kept of one event. Never without samples.
#[derive(Clone, Debug, Default)]
pub struct Spikes {
    /// The oldest first.
    samples: VecDeque<Spike>,
    /// The longest ever, in milliseconds.
    pub max_ms: u64,
}

/// Figures of one event over its samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Summary {
    /// Samples.
    pub count: usize,
    /// Average.
    pub average_ms: u64,
    /// Average distance from the average.
    pub deviation_ms: u64,
    /// Seconds from one sample to the next.
    pub period_s: f64,
}

/// All events.
#[derive(Clone, Debug, Default)]
pub struct LatencyMonitor {
    events: BTreeMap<&'static str, Spikes>,
}

impl LatencyMonitor {
    /// `event` took `latency_ms` and ended at `at_s`.
    #[cold]
    pub fn add(&mut self, event: &'static str, at_s: i64, latency_ms: u64) {
        self.events.entry(event).or_default().add(at_s, latency_ms);
    }

    /// What is kept of `event`.
    pub fn get(&self, event: &[u8]) -> Option<&Spikes> {
        self.events.get(std::str::from_utf8(event).ok()?)
    }

    /// Events by name.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'static str, &Spikes)> {
        self.events.iter().map(|(event, spikes)| (*event, spikes))
    }

    /// Forgets `event`; whether there was anything to forget.
    pub fn forget(&mut self, event: &[u8]) -> bool {
        std::str::from_utf8(event).is_ok_and(|event| self.events.remove(event).is_some())
    }

    /// Forgets all events; returns how many there were.
    pub fn clear(&mut self) -> usize {
        std::mem::take(&mut self.events).len()
    }
}

impl Spikes {
    fn add(&mut self, at_s: i64, latency_ms: u64) {
        self.max_ms = self.max_ms.max(latency_ms);
        match self.samples.back_mut() {
            Some(last) if last.at_s == at_s => last.latency_ms = last.latency_ms.max(latency_ms),
            _ => {
                if self.samples.len() == SAMPLES_MAX {
                    self.samples.pop_front();
                }
                self.samples.push_back(Spike { at_s, latency_ms });
            }
        }
    }

    /// The oldest first.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = Spike> {
        self.samples.iter().copied()
    }

    /// The newest sample.
    pub fn latest(&self) -> Option<Spike> {
        self.samples.back().copied()
    }

    /// Figures over the samples; `now_s` ends the last period.
    pub fn summary(&self, now_s: i64) -> Summary {
        let count = self.samples.len();
        let over = count.max(1) as u64;
        let average_ms = self.samples.iter().map(|spike| spike.latency_ms).sum::<u64>() / over;
        let deviation_ms = self.samples.iter().map(|spike| spike.latency_ms.abs_diff(average_ms)).sum::<u64>() / over;
        let oldest_s = self.samples.front().map_or(now_s, |spike| spike.at_s);
        Summary { count, average_ms, deviation_ms, period_s: (now_s - oldest_s).max(0) as f64 / over as f64 }
    }

    /// A drawing of the samples: a head line, bars of growing age to the left, and the age of each below it, written
    /// downwards.
    pub fn graph(&self, event: &str, now_s: i64) -> String {
        let latencies = || self.samples.iter().map(|spike| spike.latency_ms);
        let (low, high) = (latencies().min().unwrap_or(0), latencies().max().unwrap_or(0));
        let mut text =
            format!("{event} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n", self.max_ms, "-".repeat(80));
        let levels = GRAPH_ROWS * GRAPH_LEVELS - 1;
        let heights: Vec<u64> = latencies().map(|latency| (latency - low) * levels / (high - low).max(1)).collect();
        for row in (0..GRAPH_ROWS).rev() {
            let floor = row * GRAPH_LEVELS;
            push_line(&mut text, heights.iter().map(|&height| bar(height, floor)));
        }
        text.push('\n');
        let ages: Vec<Vec<char>> = self.samples.iter().map(|spike| age(now_s - spike.at_s).chars().collect()).collect();
        for row in 0..ages.iter().map(Vec::len).max().unwrap_or(0) {
            push_line(&mut text, ages.iter().map(|age| age.get(row).copied().unwrap_or(' ')));
        }
        text
    }
}

fn push_line(text: &mut String, letters: impl Iterator<Item = char>) {
    text.extend(letters);
    text.push('\n');
}

/// The letter of a bar in the row that begins at `floor`.
fn bar(height: u64, floor: u64) -> char {
    match height.checked_sub(floor) {
        None => ' ',
        Some(0) => '_',
        Some(1) => 'o',
        Some(2) => '#',
        Some(_) => '|',
    }
}

/// `42s`, `7m`, `3h`, `2d`.
fn age(seconds: i64) -> String {
    match seconds.max(0) {
        seconds @ 0..60 => format!("{seconds}s"),
        seconds @ 60..3600 => format!("{}m", seconds / 60),
        seconds @ 3600..86_400 => format!("{}h", seconds / 3600),
        seconds => format!("{}d", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_keeps_its_worst() {
        let mut monitor = LatencyMonitor::default();
        for (at_s, latency_ms) in [(1, 30), (1, 20), (2, 103), (4, 2003), (4, 50)] {
            monitor.add("command", at_s, latency_ms);
        }
        let spikes = monitor.get(b"command").expect("added");
        let samples: Vec<(i64, u64)> = spikes.samples().map(|spike| (spike.at_s, spike.latency_ms)).collect();
        assert_eq!(samples, [(1, 30), (2, 103), (4, 2003)]);
        assert_eq!((spikes.max_ms, spikes.latest()), (2003, Some(Spike { at_s: 4, latency_ms: 2003 })));
        let summary = Summary { count: 3, average_ms: 712, deviation_ms: 860, period_s: 1.0 };
        assert_eq!(spikes.summary(4), summary);
        assert!(!monitor.forget(b"none") && monitor.forget(b"command") && monitor.clear() == 0);
    }

    #[test]
    fn old_samples_make_room() {
        let mut spikes = Spikes::default();
        (0..200).for_each(|second| spikes.add(second, 1));
        assert_eq!((spikes.samples().len(), spikes.samples().next().map(|spike| spike.at_s)), (SAMPLES_MAX, Some(40)));
    }

    #[test]
    fn a_graph_has_a_bar_for_each_sample() {
        let mut spikes = Spikes::default();
        [(0, 10), (3500, 20), (3590, 30)].into_iter().for_each(|(at_s, ms)| spikes.add(at_s, ms));
        let wanted = [
            "command - high 30 ms, low 10 ms (all time high 30 ms)",
            &"-".repeat(80),
            "  #",
            "  |",
            " #|",
            "_||",
            "",
            "111",
            "hm0",
            "  s",
            "",
        ];
        assert_eq!(spikes.graph("command", 3600), wanted.join("\n"));
    }
}
