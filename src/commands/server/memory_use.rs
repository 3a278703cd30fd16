//! Where the memory goes: figures that INFO and MEMORY share, taken at one moment. Main thread.

#![forbid(unsafe_code)]

use crate::command::client_memory::memory_of;
use crate::command::session::Session;
use crate::command::state::State;
use crate::sys::memory::{AllocatorStats, MemorySample};

/// Bytes, by what they are used for.
pub(super) struct MemoryUse {
    /// The allocator's own figures, where it tells.
    pub(super) allocator: Option<AllocatorStats>,
    /// Handed out by the allocator; what the process takes where the allocator does not tell.
    pub(super) used: u64,
    /// The most that was handed out.
    pub(super) peak: u64,
    /// What the process takes in the machine's memory.
    pub(super) resident: u64,
    /// Used before the first client came.
    pub(super) startup: u64,
    /// Buffers and sessions of clients, as Redis would have them.
    pub(super) clients: u64,
    /// The part of that which Torc does not have: a reply buffer for each.
    pub(super) virtual_buffers: u64,
    /// The tables of all databases, entries not counted.
    pub(super) tables: u64,
}

impl MemoryUse {
    /// Measures now, but for what the cron sampled; `caller` is the session that asks, where one does.
    pub(super) fn measure(state: &State, caller: Option<&Session>) -> MemoryUse {
        let sample = state.memory_sample.unwrap_or_else(MemorySample::take);
        let MemorySample { allocator, resident } = sample;
        let used = sample.used_now();
        let sessions = || state.sessions.iter().chain(caller);
        let clients: usize = sessions().map(memory_of).sum();
        let virtual_buffers: usize = sessions().map(|session| session.net.reply_buffer.size()).sum();
        let tables: usize = state.keyspace.iter().map(|db| db.table_bytes()).sum();
        MemoryUse {
            allocator,
            used,
            peak: state.stats.peak_memory_bytes.max(used),
            resident,
            startup: state.facts.startup_memory_bytes,
            clients: clients as u64,
            virtual_buffers: virtual_buffers as u64,
            tables: tables as u64,
        }
    }

    /// What is no data.
    pub(super) fn overhead(&self) -> u64 {
        self.startup + self.clients - self.virtual_buffers + self.tables
    }

    /// What is data.
    pub(super) fn dataset(&self) -> u64 {
        self.used.saturating_sub(self.overhead())
    }

    /// What came since the start.
    pub(super) fn grown(&self) -> u64 {
        self.used.saturating_sub(self.startup)
    }
}
