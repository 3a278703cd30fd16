//! What clients cost, and whom `maxmemory-clients` makes room at the expense of. Clients are kept in classes by powers of
//! two, so that one of the largest is found at once; within a class who came first goes first. While the parameter is
//! off nobody is accounted for anew. Main thread.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use crate::command::session::{Session, SessionFlags, Slot};
use crate::config::Config;
use crate::config::value::MemoryOrPercent;

/// Classes of clients by what they cost: below 2^15 bytes, then one for each power of two, and the last for all beyond.
const CLASSES: usize = 19;
/// The first class ends here, as a power of two.
const CLASS_MIN_LOG2: u32 = 15;
/// A lower limit would leave no room for anybody.
const LIMIT_MIN: u64 = 128 * 1024;

/// Bytes that an argument costs beside its text.
const ARGUMENT_BYTES: usize = 8;
/// Bytes that a place in a transaction's queue costs, beside the arguments of the command in it.
const QUEUED_BYTES: usize = 24;
/// Places of a queue to begin with; it doubles when it is full.
const QUEUE_PLACES_MIN: usize = 2;
/// Bytes that a watched key costs.
const WATCHED_BYTES: usize = 80;
/// Bytes that a subscription costs its client: the entry of a hash table at its usual filling, and a place in a list. The
/// name is shared by all who listen to it.
const SUBSCRIPTION_BYTES: usize = 48;
/// Bytes that a prefix of CLIENT TRACKING costs beside its text.
const PREFIX_BYTES: usize = 64;

/// Bytes that a client's open transaction keeps: what CLIENT LIST shows as `multi-mem`.
pub fn queued_memory(session: &Session) -> usize {
    session.transaction.as_deref().map_or(0, |open| open.argument_bytes + open.arguments * ARGUMENT_BYTES)
}

/// Bytes of a queue with so many commands in it.
fn queue_memory(queued: usize) -> usize {
    if queued == 0 { 0 } else { queued.next_power_of_two().max(QUEUE_PLACES_MIN) * QUEUED_BYTES }
}

/// Bytes that a client costs, its virtual reply buffer among them: `tot-mem` of CLIENT LIST, and what is limited.
pub fn memory_of(session: &Session) -> usize {
    let names = [&session.name, &session.lib_name, &session.lib_ver];
    let name_bytes: usize = names.iter().filter_map(|name| name.as_deref()).map(<[u8]>::len).sum();
    let net = &session.net;
    let queued = session.transaction.as_deref().map_or(0, |open| queue_memory(open.queued));
    let prefixes = session.tracking.as_deref().map_or(&[][..], |facts| &facts.prefixes[..]);
    let prefix_bytes: usize = prefixes.iter().map(|prefix| prefix.len() + PREFIX_BYTES).sum();
    size_of::<Session>()
        + net.own_bytes
        + net.tls_mem
        + name_bytes
        + net.qbuf
        + net.qbuf_free
        + net.argv_mem
        + net.arguments * ARGUMENT_BYTES
        + net.output.bytes
        + net.reply_buffer.size()
        + queued_memory(session)
        + queued
        + session.watched as usize * WATCHED_BYTES
        + prefix_bytes
        + session.subscribed.iter().sum::<u32>() as usize * SUBSCRIPTION_BYTES
}

/// Where a client stands in [`ClientMemory`].
#[derive(Clone, Copy, Debug, Default)]
pub struct Accounted {
    bytes: usize,
    /// When it came into its class; 0 while it is in none.
    place: u64,
}

/// All clients by what they cost.
#[derive(Debug)]
pub struct ClientMemory {
    /// 0: there is none.
    limit: u64,
    bytes: u64,
    classes: [Class; CLASSES],
    places: u64,
    /// The log was told that nobody is left to close, and it has not changed since.
    gave_up: bool,
}

#[derive(Debug, Default)]
struct Class {
    bytes: u64,
    clients: BTreeMap<u64, Slot>,
}

impl ClientMemory {
    /// With the limit of the configuration, and nobody in it.
    pub(crate) fn new(config: &Config) -> ClientMemory {
        ClientMemory {
            limit: limit_of(config),
            bytes: 0,
            classes: std::array::from_fn(|_| Class::default()),
            places: 0,
            gave_up: false,
        }
    }

    /// Whether there is a limit.
    #[inline]
    pub fn is_on(&self) -> bool {
        self.limit > 0
    }

    /// Whether somebody has to go.
    #[inline]
    pub fn is_over(&self) -> bool {
        self.is_on() && self.bytes >= self.limit
    }

    /// What all clients cost together, as far as it was accounted for.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The configuration changed. Returns whether clients have to be accounted for that were not before.
    pub(crate) fn follow(&mut self, config: &Config) -> bool {
        let was_on = self.is_on();
        self.limit = limit_of(config);
        self.gave_up = false;
        !was_on && self.is_on()
    }

    /// Accounts for what a client costs now.
    pub(crate) fn update(&mut self, session: &mut Session) {
        self.remove(session);
        let bytes = memory_of(session);
        self.bytes += bytes as u64;
        session.accounted.bytes = bytes;
        // Who may not be closed counts, and is in no class.
        if session.flags.contains(SessionFlags::NO_EVICT) {
            return;
        }
        self.places += 1;
        session.accounted.place = self.places;
        let class = &mut self.classes[class_of(bytes)];
        class.bytes += bytes as u64;
        class.clients.insert(self.places, session.slot);
    }

    /// Accounts anew for a client, where that is another amount or another treatment than before.
    pub(crate) fn follow_client(&mut self, session: &mut Session) {
        let spared = session.flags.contains(SessionFlags::NO_EVICT);
        let Accounted { bytes, place } = session.accounted;
        let now = memory_of(session);
        if bytes == 0 || spared != (place == 0) || class_of(bytes) != class_of(now) {
            return self.update(session);
        }
        // It keeps its place among those of its class.
        self.bytes = self.bytes - bytes as u64 + now as u64;
        if !spared {
            let class = &mut self.classes[class_of(now)];
            class.bytes = class.bytes - bytes as u64 + now as u64;
        }
        session.accounted.bytes = now;
        self.gave_up &= self.bytes >= self.limit;
    }

    /// A client is gone, or no longer accounted for.
    pub(crate) fn remove(&mut self, session: &mut Session) {
        let Accounted { bytes, place } = std::mem::take(&mut session.accounted);
        self.bytes -= bytes as u64;
        if place != 0 {
            let class = &mut self.classes[class_of(bytes)];
            class.bytes -= bytes as u64;
            class.clients.remove(&place);
        }
    }

    /// One of the largest clients that may be closed.
    pub fn largest(&self) -> Option<Slot> {
        self.classes.iter().rev().find_map(|class| class.clients.first_key_value()).map(|(_, slot)| *slot)
    }

    /// Nobody is left to close: true the first time.
    pub(crate) fn give_up(&mut self) -> bool {
        !std::mem::replace(&mut self.gave_up, true)
    }

    /// It was enough.
    pub(crate) fn relieved(&mut self) {
        self.gave_up = false;
    }

    /// Each class: its first size, what its clients cost together, how many there are.
    pub fn classes(&self) -> impl Iterator<Item = (u64, u64, usize)> {
        self.classes.iter().enumerate().map(|(index, class)| {
            let first = if index == 0 { 0 } else { 1 << (CLASS_MIN_LOG2 as usize + index - 1) };
            (first, class.bytes, class.clients.len())
        })
    }
}

fn limit_of(config: &Config) -> u64 {
    let limit = match config.maxmemory_clients {
        MemoryOrPercent::Bytes(bytes) => bytes,
        MemoryOrPercent::Percent(percent) => (u128::from(config.maxmemory) * u128::from(percent) / 100) as u64,
    };
    if limit == 0 { 0 } else { limit.max(LIMIT_MIN) }
}

fn class_of(bytes: usize) -> usize {
    let log2 = bytes.max(1).ilog2();
    ((log2 + 1).saturating_sub(CLASS_MIN_LOG2) as usize).min(CLASSES - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::session::NetFacts;

    fn with_limit(limit: u64) -> ClientMemory {
        ClientMemory::new(&Config { maxmemory_clients: MemoryOrPercent::Bytes(limit), ..Config::default() })
    }

    fn session(slot: u32, qbuf: usize) -> Session {
        Session::new(u64::from(slot) + 1, Slot(slot), 0, NetFacts { qbuf, ..NetFacts::default() })
    }

    #[test]
    fn classes_are_powers_of_two() {
        for (bytes, class) in [
            (0, 0),
            (32_767, 0),
            (32_768, 1),
            (65_535, 1),
            (65_536, 2),
            ((1 << 32) - 1, 17),
            (1 << 32, 18),
            (1 << 40, 18),
        ] {
            assert_eq!(class_of(bytes), class, "{bytes}");
        }
        let firsts: Vec<u64> = with_limit(1).classes().map(|(first, _, _)| first).collect();
        assert_eq!((firsts[0], firsts[1], firsts[18]), (0, 1 << 15, 1 << 32));
    }

    #[test]
    fn a_limit_has_a_floor_and_a_share_needs_a_whole() {
        let limit = |maxmemory, clients| {
            let maxmemory_clients = clients;
            limit_of(&Config { maxmemory, maxmemory_clients, ..Config::default() })
        };
        assert_eq!(limit(0, MemoryOrPercent::Bytes(0)), 0);
        assert_eq!(limit(0, MemoryOrPercent::Bytes(1)), LIMIT_MIN);
        assert_eq!(limit(0, MemoryOrPercent::Percent(10)), 0);
        assert_eq!(limit(100 << 20, MemoryOrPercent::Percent(10)), 10 << 20);
        assert_eq!(limit(1000, MemoryOrPercent::Percent(10)), LIMIT_MIN);
    }

    #[test]
    fn the_largest_is_found_and_who_came_first_goes_first() {
        let mut memory = with_limit(1 << 20);
        let mut sessions = [session(0, 10), session(1, 100_000), session(2, 110_000), session(3, 700_000)];
        sessions.iter_mut().for_each(|session| memory.update(session));
        let total: usize = sessions.iter().map(memory_of).sum();
        assert_eq!(memory.bytes(), total as u64);
        assert!(!memory.is_over());
        assert_eq!(memory.largest(), Some(Slot(3)));
        sessions[3].flags.insert(SessionFlags::NO_EVICT);
        memory.follow_client(&mut sessions[3]);
        assert_eq!((memory.bytes(), memory.largest()), (total as u64, Some(Slot(1))));
        // It grows within its class and keeps its place there.
        sessions[1].net.qbuf += 3;
        memory.follow_client(&mut sessions[1]);
        assert_eq!((memory.bytes(), memory.largest()), (total as u64 + 3, Some(Slot(1))));
        sessions[0].net.qbuf = 300_000;
        memory.follow_client(&mut sessions[0]);
        assert!(memory.is_over());
        assert_eq!(memory.largest(), Some(Slot(0)));
        sessions.iter_mut().for_each(|session| memory.remove(session));
        assert_eq!((memory.bytes(), memory.largest()), (0, None));
        assert!(memory.classes().all(|(_, bytes, clients)| bytes == 0 && clients == 0));
    }
}
