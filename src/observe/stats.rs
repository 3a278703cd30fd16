//! Counters of the whole server and of each command: what INFO's stats, commandstats and errorstats sections print and
//! CONFIG RESETSTAT clears. Main thread only. Knows no command by name; per-command rows are indexed by number.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use crate::io::IoStats;
use crate::observe::histogram::Histogram;

/// Samples behind each instantaneous figure.
const METER_SAMPLES: usize = 16;

/// Least time between two samples, in milliseconds.
pub const METER_PERIOD_MS: i64 = 100;

/// Executions that are noted before they are counted.
const NOTED_MAX: usize = 64;

/// Bits of a note that hold the ticks: hours of them. The command's number is above.
const NOTE_TICKS_BITS: u32 = 48;

/// Distinct error codes that are counted before counting is given up.
const ERROR_CODES_MAX: usize = 128;

/// What replaces the table when there were too many distinct codes.
const ERROR_CODES_DISABLED: &str = "ERRORSTATS_DISABLED";

/// One command's row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CommandStats {
    /// Executions.
    pub calls: u64,
    /// Ticks spent in them; the tick source tells how many make a microsecond.
    pub ticks: u64,
    /// Refusals before execution.
    pub rejected: u64,
    /// Executions that answered an error.
    pub failed: u64,
}

impl CommandStats {
    /// Whether the row has anything to show.
    pub fn any(&self) -> bool {
        self.calls != 0 || self.rejected != 0 || self.failed != 0
    }
}

/// Error replies by code.
#[derive(Clone, Debug, Default)]
pub struct ErrorStats {
    counts: BTreeMap<Box<str>, u64>,
    disabled: bool,
}

impl ErrorStats {
    /// Counts one error with `code` (`ERR`, `WRONGTYPE`, ...). Returns true when this call gave up counting.
    #[cold]
    pub fn count(&mut self, code: &[u8]) -> bool {
        if self.disabled {
            return false;
        }
        let code = &*String::from_utf8_lossy(code);
        if let Some(count) = self.counts.get_mut(code) {
            *count += 1;
            return false;
        }
        if self.counts.len() >= ERROR_CODES_MAX {
            self.counts.clear();
            self.counts.insert(ERROR_CODES_DISABLED.into(), 1);
            self.disabled = true;
            return true;
        }
        self.counts.insert(code.into(), 1);
        false
    }

    /// Codes in order with their counts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, u64)> {
        self.counts.iter().map(|(code, count)| (&**code, *count))
    }
}

/// A rate per second, averaged over the last [`METER_SAMPLES`] samples.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meter {
    samples: [i64; METER_SAMPLES],
    next: usize,
    last_value: i64,
    last_ms: i64,
}

impl Meter {
    /// Takes a sample of a counter that stands at `value`.
    pub fn sample(&mut self, value: i64, now_ms: i64) {
        if self.last_ms > 0 {
            let elapsed_ms = (now_ms - self.last_ms).max(1);
            let gained = value.saturating_sub(self.last_value).max(0);
            self.samples[self.next] = gained.saturating_mul(1000) / elapsed_ms;
            self.next = (self.next + 1) % METER_SAMPLES;
        }
        self.last_value = value;
        self.last_ms = now_ms;
    }

    /// The average per second.
    pub fn per_second(&self) -> i64 {
        self.samples.iter().sum::<i64>() / METER_SAMPLES as i64
    }
}

/// The instantaneous figures.
#[derive(Clone, Copy, Debug, Default)]
pub struct Meters {
    /// Commands.
    pub commands: Meter,
    /// Bytes received.
    pub net_input: Meter,
    /// Bytes sent.
    pub net_output: Meter,
    /// Turns of the event loop.
    pub loop_cycles: Meter,
    /// Ticks of loop turns.
    pub loop_ticks: Meter,
}

/// Executions that are not counted yet: counting a batch of them in one go costs half of what counting each one does
/// right after it, because its time is known only when the processor has finished it.
#[derive(Clone, Debug)]
struct Noted {
    notes: [u64; NOTED_MAX],
    len: usize,
}

impl Default for Noted {
    fn default() -> Noted {
        Noted { notes: [0; NOTED_MAX], len: 0 }
    }
}

/// All counters. Executions are noted first; who reads `commands_processed`, `command_ticks`, `commands` or `histograms`
/// calls [`Stats::settle`] before.
#[derive(Clone, Debug, Default)]
pub struct Stats {
    noted: Noted,
    /// Commands executed, those inside EXEC included.
    pub commands_processed: u64,
    /// Ticks spent executing commands.
    pub command_ticks: u64,
    /// Connections accepted.
    pub connections_received: u64,
    /// Connections refused for maxclients or by protected mode.
    pub connections_rejected: u64,
    /// Bytes read from clients.
    pub net_input_bytes: u64,
    /// Bytes written to clients.
    pub net_output_bytes: u64,
    /// Receptions.
    pub reads_processed: u64,
    /// Transmissions.
    pub writes_processed: u64,
    /// Clients closed because their query buffer passed the limit.
    pub query_buffer_limit_disconnections: u64,
    /// Clients closed because their output passed the limit.
    pub output_buffer_limit_disconnections: u64,
    /// Clients closed because all of them took more memory than `maxmemory-clients` allows.
    pub evicted_clients: u64,
    /// Reply buffers that were larger than needed.
    pub reply_buffer_shrinks: u64,
    /// Reply buffers that were too small.
    pub reply_buffer_expands: u64,
    /// Turns of the event loop.
    pub loop_cycles: u64,
    /// Ticks of the turns, sleeping excluded.
    pub loop_ticks: u64,
    /// Ticks of the longest turn.
    pub loop_ticks_max: u64,
    /// Most commands of one turn.
    pub loop_commands_max: u64,
    /// What `commands_processed` was when the turn before ended.
    pub loop_commands_before: u64,
    /// Ticks spent in the cron.
    pub cron_ticks: u64,
    /// Reads of keys that exist.
    pub keyspace_hits: u64,
    /// Reads of keys that do not.
    pub keyspace_misses: u64,
    /// What the databases' own counts of expired keys came to at the last reset.
    pub expired_keys_before_reset: u64,
    /// Fields of hashes that were removed because their time was over.
    pub expired_fields: u64,
    /// Estimated share of keys that are expired but still there, in percent.
    pub expired_stale_percent: f64,
    /// Active expiry cycles that ran out of time.
    pub expired_time_cap_reached: u64,
    /// Microseconds spent in active expiry.
    pub expire_cycle_us: u64,
    /// Error replies of any kind.
    pub error_replies: u64,
    /// Refused attempts to authenticate.
    pub auth_denied: u64,
    /// Commands refused to a user who may not run them.
    pub command_denied: u64,
    /// Commands refused to a user who may not touch their keys.
    pub key_denied: u64,
    /// Channels that a user was refused.
    pub channel_denied: u64,
    /// Changes of the data set.
    pub dirty: u64,
    /// Objects freed in slices instead of at once.
    pub lazyfreed_objects: u64,
    /// Most memory seen in use, in bytes.
    pub peak_memory_bytes: u64,
    /// Rows by command number.
    pub commands: Vec<CommandStats>,
    /// Durations by command number, of those that were executed while `latency-tracking` was on.
    pub histograms: Vec<Option<Box<Histogram>>>,
    /// Errors by code.
    pub errors: ErrorStats,
    /// Instantaneous figures.
    pub meters: Meters,
    /// Bytes of values written to clients from where the keyspace keeps them.
    pub net_output_bytes_by_reference: u64,
    /// What the Io side counts, as the server last copied it; it is never reset.
    pub io: IoStats,
    /// What it had counted at the last reset.
    pub io_before_reset: IoStats,
}

impl Stats {
    /// Counters at zero with rows for `commands` commands.
    pub fn new(commands: usize) -> Stats {
        Stats {
            commands: vec![CommandStats::default(); commands],
            histograms: vec![None; commands],
            ..Stats::default()
        }
    }

    /// CONFIG RESETSTAT: everything but `dirty`, which belongs to the data set, and the peak of memory, which belongs
    /// to the process.
    pub fn reset(&mut self) {
        *self = Stats {
            dirty: self.dirty,
            peak_memory_bytes: self.peak_memory_bytes,
            io: self.io,
            io_before_reset: self.io,
            ..Stats::new(self.commands.len())
        };
    }

    /// Notes one execution of the command with this number. Returns whether there is room for another one: if not,
    /// [`Stats::settle`] has to be called.
    #[inline]
    #[must_use]
    pub fn note_execution(&mut self, command: usize, ticks: u64) -> bool {
        let Noted { notes, len } = &mut self.noted;
        let ticks = ticks.min((1 << NOTE_TICKS_BITS) - 1);
        notes[*len % NOTED_MAX] = (command as u64) << NOTE_TICKS_BITS | ticks;
        *len += 1;
        *len < NOTED_MAX
    }

    /// Counts the executions noted; if `records`, their durations too, in the nanoseconds that `to_ns` makes of ticks.
    #[inline]
    pub fn settle(&mut self, records: bool, to_ns: impl Fn(u64) -> u64) {
        let noted = std::mem::take(&mut self.noted.len).min(NOTED_MAX);
        self.commands_processed += noted as u64;
        for index in 0..noted {
            let note = self.noted.notes[index];
            let (command, ticks) = ((note >> NOTE_TICKS_BITS) as usize, note & ((1 << NOTE_TICKS_BITS) - 1));
            self.command_ticks += ticks;
            self.count_call(command, ticks, records.then(|| to_ns(ticks)));
        }
    }

    /// Counts one execution of the command with this number, and its duration if that is recorded.
    #[inline]
    pub fn count_call(&mut self, command: usize, ticks: u64, ns: Option<u64>) {
        let row = &mut self.commands[command];
        row.calls += 1;
        row.ticks += ticks;
        if let Some(ns) = ns {
            self.histograms[command].get_or_insert_with(Histogram::boxed).record(ns);
        }
    }

    /// A turn of the event loop is over that took `ticks`.
    #[inline]
    pub fn end_turn(&mut self, ticks: u64) {
        self.loop_cycles += 1;
        self.loop_ticks += ticks;
        self.loop_ticks_max = self.loop_ticks_max.max(ticks);
        let commands = self.commands_processed.saturating_sub(self.loop_commands_before);
        self.loop_commands_before = self.commands_processed;
        self.loop_commands_max = self.loop_commands_max.max(commands);
    }

    /// Takes one sample of each instantaneous figure, input being counted in several places; called every [`METER_PERIOD_MS`].
    pub fn sample_meters(&mut self, now_ms: i64, net_input_bytes: u64) {
        self.meters.commands.sample(self.commands_processed as i64, now_ms);
        self.meters.net_input.sample(net_input_bytes as i64, now_ms);
        self.meters.net_output.sample(self.net_output_bytes as i64, now_ms);
        self.meters.loop_cycles.sample(self.loop_cycles as i64, now_ms);
        self.meters.loop_ticks.sample(self.loop_ticks as i64, now_ms);
    }

    /// Counts an error reply that starts with `code`. Returns true when counting by code was given up with it.
    #[cold]
    pub fn count_error(&mut self, code: &[u8]) -> bool {
        self.error_replies += 1;
        self.errors.count(code)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn executions_are_counted_when_they_are_settled() {
        let mut stats = Stats::new(3);
        let room: Vec<bool> = (0..NOTED_MAX as u64).map(|ticks| stats.note_execution(2, ticks)).collect();
        assert_eq!(room.iter().position(|room| !room), Some(NOTED_MAX - 1));
        stats.settle(true, |ticks| ticks * 10);
        assert!(stats.note_execution(1, u64::MAX));
        stats.settle(false, |ticks| ticks);
        stats.settle(true, |ticks| ticks);
        let calls = |command: usize| (stats.commands[command].calls, stats.commands[command].ticks);
        assert_eq!((calls(0), calls(1), calls(2)), ((0, 0), (1, (1 << 48) - 1), (64, 63 * 32)));
        let recorded = |command: usize| stats.histograms[command].as_ref().map(|histogram| histogram.total());
        assert_eq!((recorded(1), recorded(2), stats.commands_processed), (None, Some(64), 65));
    }

    #[test]
    fn a_meter_averages_its_samples() {
        let mut meter = Meter::default();
        meter.sample(0, 1_000);
        for sample in 1..=16 {
            meter.sample(sample * 50, 1_000 + sample * 100);
        }
        assert_eq!(meter.per_second(), 500);
        meter.sample(16 * 50, 2_700);
        assert_eq!(meter.per_second(), 500 * 15 / 16);
    }

    #[test]
    fn turns_are_summed_and_the_longest_kept() {
        let mut stats = Stats::new(0);
        for (commands, ticks) in [(3, 10), (8, 40), (9, 20)] {
            stats.commands_processed = commands;
            stats.end_turn(ticks);
        }
        assert_eq!((stats.loop_cycles, stats.loop_ticks, stats.loop_ticks_max), (3, 70, 40));
        assert_eq!(stats.loop_commands_max, 5);
    }

    #[test]
    fn too_many_error_codes_end_the_counting() {
        let mut stats = Stats::new(0);
        for code in 0..ERROR_CODES_MAX {
            assert!(!stats.count_error(format!("CODE{code}").as_bytes()));
        }
        assert!(!stats.count_error(b"CODE0"));
        assert!(stats.count_error(b"ONE-TOO-MANY"));
        assert!(!stats.count_error(b"CODE0"));
        assert_eq!(stats.errors.iter().collect::<Vec<_>>(), [(ERROR_CODES_DISABLED, 1)]);
        assert_eq!(stats.error_replies, ERROR_CODES_MAX as u64 + 3);
        stats.reset();
        assert_eq!((stats.errors.iter().count(), stats.error_replies), (0, 0));
    }

    #[test]
    fn a_reset_keeps_what_is_no_statistic() {
        let mut stats = Stats::new(2);
        stats.commands[1].calls = 5;
        stats.dirty = 7;
        stats.keyspace_hits = 1;
        stats.reset();
        assert_eq!((stats.dirty, stats.keyspace_hits, stats.commands.len()), (7, 0, 2));
        assert!(!stats.commands[1].any());
    }
}
