//! Work of the engine that no request asks for: expiring keys, resizing tables, sampling rates, freeing what was
//! flushed. The server calls it from its timer and once per turn of its loop; every call is bounded.

#![forbid(unsafe_code)]

use crate::command::state::State;
use crate::engine::Engine;
use crate::keyspace::Garbage;
use crate::observe::stats::METER_PERIOD_MS;
use crate::sys::memory::MemorySample;

/// What a run of the cron did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CronReport {
    /// Keys removed because they expired.
    pub expired_keys: u64,
    /// More garbage waits: the server may call [`Engine::before_sleep`] again soon.
    pub garbage_left: bool,
}

/// Buckets of each table that one run may move.
const RESIZE_STEPS: usize = 128;

/// Objects of flushed databases freed per turn.
const GARBAGE_PER_TURN: usize = 2048;

impl Engine {
    /// Runs every 1000/hz milliseconds.
    pub fn cron(&mut self) -> CronReport {
        let state = &mut self.state;
        if state.debug.cron_paused {
            return CronReport::default();
        }
        let expired_before = state.expired_keys();
        state.expire_slow();
        let tables = if state.debug.resizing_off { 0 } else { state.keyspace.count() };
        for db in 0..tables {
            state.keyspace.db_mut(db).step(RESIZE_STEPS);
        }
        if !state.tracking.is_empty() {
            state.tracking.keep_below(state.config.tracking_table_max_keys, &mut state.rng);
            state.tell_of_changes(None);
        }
        let now_ms = state.clock.unix_ms();
        if now_ms >= state.metered_ms + METER_PERIOD_MS {
            state.metered_ms = now_ms;
            state.settle_stats();
            let net_input_bytes = state.net_input_bytes();
            state.stats.sample_meters(now_ms, net_input_bytes);
            let sample = MemorySample::take();
            state.stats.peak_memory_bytes = state.stats.peak_memory_bytes.max(sample.used_now());
            state.memory_sample = Some(sample);
        }
        CronReport {
            expired_keys: state.expired_keys() - expired_before,
            garbage_left: free_garbage(state, GARBAGE_PER_TURN),
        }
    }

    /// Runs before the loop sleeps: what has to follow the commands of a batch soon, and is cheap when there is nothing.
    pub fn before_sleep(&mut self) {
        self.state.expire_fast();
        if self.state.tracking.has_broadcasts() {
            self.state.send_broadcasts();
        }
        if !self.state.garbage.is_empty() {
            free_garbage(&mut self.state, GARBAGE_PER_TURN);
        }
        self.state.gather_left_behind();
        self.state.end_turn();
    }

    /// Hands over all that is to be freed, where there is a thread that does it.
    pub fn take_garbage(&mut self) -> Option<Garbage> {
        self.state.gather_left_behind();
        let mut all = self.state.garbage.pop_front()?;
        self.state.garbage.drain(..).for_each(|more| all.absorb(more));
        self.state.freed_elsewhere += all.len();
        Some(all)
    }

    /// That thread has freed so many objects.
    pub fn garbage_freed(&mut self, objects: usize) {
        self.state.freed_elsewhere -= objects.min(self.state.freed_elsewhere);
        self.state.freed(objects, false);
    }

    /// It takes no more for now: this comes back.
    pub fn keep_garbage(&mut self, garbage: Garbage) {
        self.state.freed_elsewhere -= garbage.len();
        self.state.garbage.push_front(garbage);
    }
}

/// Frees up to `count` objects; returns whether any are left.
fn free_garbage(state: &mut State, count: usize) -> bool {
    if let Some(garbage) = state.garbage.front_mut() {
        let before = garbage.len();
        let left = garbage.drop_some(count);
        let freed = before - garbage.len();
        if !left {
            state.garbage.pop_front();
        }
        state.freed(freed, true);
    }
    !state.garbage.is_empty()
}
