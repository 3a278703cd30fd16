//! Which clients live where: on the main thread while it has little to do, on the I/O threads under lasting load, and there
//! so that all have about the same to do.

#![forbid(unsafe_code)]

use crate::io::{ConnId, Io};
use crate::server::event_loop::{OWN, Server};
use crate::sys::memory::{self, Who};

/// The main thread is busy when it runs for so many thousandths of the time.
const BUSY_PERMILLE: i64 = 900;
/// All threads together are idle below so many thousandths of one core.
const IDLE_PERMILLE: i64 = 500;
/// Periods of load after which threads are used.
const BUSY_PERIODS: u32 = 3;
/// Periods without after which they are no longer.
const IDLE_PERIODS: u32 = 20;
/// Periods of uneven load after which clients move.
const UNEVEN_PERIODS: u32 = 30;
/// Microseconds of a period.
const PERIOD_US: i64 = 100_000;
/// Most clients that begin to move at once.
const MOVES_MAX: usize = 1024;

/// What the main thread had to do of late.
#[derive(Default)]
pub(in crate::server) struct Load {
    /// Clients live on I/O threads.
    active: bool,
    began_us: i64,
    cpu_us: i64,
    threads_asleep_us: u64,
    /// Turns with something to execute, and the clients served in them.
    turns: u64,
    clients: u64,
    busy_periods: u32,
    idle_periods: u32,
    uneven_periods: u32,
    commands: u64,
}

impl Load {
    /// So many clients of the main thread were served in a turn.
    #[inline]
    pub(in crate::server) fn saw_clients(&mut self, clients: usize) {
        self.turns += 1;
        self.clients += clients as u64;
    }

    /// So many commands came from an I/O thread.
    #[inline]
    pub(super) fn saw_commands(&mut self, commands: usize) {
        self.commands += commands as u64;
    }
}

impl<I: Io> Server<I> {
    /// Where a new client lives.
    pub(in crate::server) fn home_for_new(&self) -> usize {
        if self.threads.load.active { self.least_loaded() } else { OWN }
    }

    /// The thread with the fewest clients.
    fn least_loaded(&self) -> usize {
        let open = self.threads.ends.iter().enumerate().filter(|(_, end)| !end.retires);
        open.min_by_key(|(_, end)| end.clients).map_or(OWN, |(index, _)| index + 1)
    }

    /// Looks at the load from time to time.
    pub(in crate::server) fn balance(&mut self) {
        if self.threads.is_empty() {
            self.engine.state.io_threads_active = false;
            return;
        }
        self.forget_retired();
        self.start_threads();
        let now_us = self.io.now_us();
        let elapsed_us = now_us - self.threads.load.began_us;
        if (0..PERIOD_US).contains(&elapsed_us) {
            return;
        }
        let usage = memory::cpu_time(Who::Thread);
        let cpu_us = (usage.user_us + usage.system_us) as i64;
        let asleep_us: u64 = self.threads.ends.iter().map(|end| end.figures.asleep_us.total()).sum();
        let threads = self.threads.ends.iter().filter(|end| !end.retires).count();
        let load = &mut self.threads.load;
        let main = (cpu_us - load.cpu_us) * 1000 / elapsed_us.max(1);
        let slept = asleep_us.saturating_sub(load.threads_asleep_us) as i64;
        let helpers = (elapsed_us * threads as i64 - slept).max(0) * 1000 / elapsed_us.max(1);
        let crowd = load.clients / load.turns.max(1);
        (load.began_us, load.cpu_us, load.threads_asleep_us) = (now_us, cpu_us, asleep_us);
        (load.turns, load.clients, load.commands) = (0, 0, 0);
        let busy = main >= BUSY_PERMILLE && crowd >= 2 * threads as u64;
        load.busy_periods = if busy { load.busy_periods + 1 } else { 0 };
        load.idle_periods = if main + helpers < IDLE_PERMILLE { load.idle_periods + 1 } else { 0 };
        let always = self.engine.state.config.io_threads_always_active;
        let active = threads > 0
            && (always
                || if load.active {
                    load.idle_periods < IDLE_PERIODS && self.connected > 1
                } else {
                    load.busy_periods >= BUSY_PERIODS
                });
        self.set_active(active);
        self.even_out();
    }

    /// Has clients live on I/O threads, or here.
    fn set_active(&mut self, active: bool) {
        self.threads.load.active = active;
        self.engine.state.io_threads_active = active;
        let mut homes: Vec<usize> = self.threads.ends.iter().map(|end| end.clients).collect();
        let mut moves: Vec<(ConnId, usize)> = Vec::new();
        for client in self.clients.iter().flatten() {
            if moves.len() == MOVES_MAX {
                break;
            }
            if client.moving.is_some() || client.closing {
                continue;
            }
            let retires = client.home != OWN && self.threads.ends[client.home - 1].retires;
            if client.home == OWN && active {
                let open = (0..homes.len()).filter(|index| !self.threads.ends[*index].retires);
                if let Some(index) = open.min_by_key(|index| homes[*index]) {
                    homes[index] += 1;
                    moves.push((client.conn, index + 1));
                }
            } else if client.home != OWN && (!active || retires) {
                moves.push((client.conn, OWN));
            }
        }
        for (conn, target) in moves {
            self.move_to(conn, target);
        }
    }

    /// Where one thread has had much more to do than another for long, some clients move.
    fn even_out(&mut self) {
        let mut counts = Vec::new();
        for (index, end) in self.threads.ends.iter_mut().enumerate() {
            let commands = end.figures.commands.total();
            counts.push((commands - std::mem::replace(&mut end.commands_seen, commands), index));
        }
        counts.retain(|(_, index)| !self.threads.ends[*index].retires);
        let (Some(&(most, from)), Some(&(least, to))) = (counts.iter().max(), counts.iter().min()) else { return };
        let uneven = most > 1000 && most / 2 > least && self.threads.ends[from].clients > 1;
        let load = &mut self.threads.load;
        load.uneven_periods = if uneven { load.uneven_periods + 1 } else { 0 };
        if load.uneven_periods < UNEVEN_PERIODS {
            return;
        }
        load.uneven_periods = 0;
        let count = (self.threads.ends[from].clients / 4).clamp(1, MOVES_MAX);
        let movable = self.clients.iter().flatten().filter(|client| client.home == from + 1 && client.moving.is_none());
        let movable: Vec<ConnId> = movable.take(count).map(|client| client.conn).collect();
        for conn in movable {
            self.move_to(conn, to + 1);
        }
    }
}
