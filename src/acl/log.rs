//! What was refused to whom: the entries of ACL LOG. The same refusal within a minute is counted, not repeated. Main
//! thread; time is passed in.

#![forbid(unsafe_code)]

use std::collections::VecDeque;

/// How long the same refusal adds to an entry instead of making another one, in milliseconds.
const GROUPING_MS: i64 = 60_000;

/// What was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// To log in.
    Auth,
    /// To run a command.
    Command,
    /// To touch a key.
    Key,
    /// To listen to a channel, or to send to it.
    Channel,
}

impl Reason {
    /// As ACL LOG shows it.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Auth => "auth",
            Reason::Command => "command",
            Reason::Key => "key",
            Reason::Channel => "channel",
        }
    }
}

/// One refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Incident {
    /// What was refused.
    pub reason: Reason,
    /// Inside a transaction.
    pub in_multi: bool,
    /// The command, key or channel.
    pub object: Box<[u8]>,
    /// To whom, or as whom somebody tried to log in.
    pub username: Box<[u8]>,
}

/// Refusals of the same kind.
#[derive(Clone, Debug)]
pub struct LogEntry {
    /// What happened.
    pub incident: Incident,
    /// How often.
    pub count: u64,
    /// CLIENT LIST's line about the client that did it last.
    pub client: Box<[u8]>,
    /// The entry's number.
    pub id: u64,
    /// Unix milliseconds of the first time.
    pub created_ms: i64,
    /// Unix milliseconds of the last time.
    pub updated_ms: i64,
}

/// The log, newest entry first.
#[derive(Clone, Debug, Default)]
pub struct AclLog {
    entries: VecDeque<LogEntry>,
    next_id: u64,
}

impl AclLog {
    /// Adds a refusal. A new entry pushes the oldest out of a log of more than `len_max`.
    #[cold]
    pub fn add(&mut self, incident: Incident, client: &[u8], now_ms: i64, len_max: usize) {
        let is_same = |entry: &LogEntry| entry.incident == incident && (now_ms - entry.updated_ms).abs() < GROUPING_MS;
        if let Some(mut entry) = self.entries.iter().position(is_same).and_then(|known| self.entries.remove(known)) {
            entry.count += 1;
            entry.client = client.into();
            entry.updated_ms = now_ms;
            self.entries.push_front(entry);
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        let client = client.into();
        self.entries.push_front(LogEntry { incident, count: 1, client, id, created_ms: now_ms, updated_ms: now_ms });
        self.entries.truncate(len_max);
    }

    /// Entries, newest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &LogEntry> {
        self.entries.iter()
    }

    /// Forgets all entries.
    pub fn clear(&mut self) {
        self.entries.clear();
    }
}
