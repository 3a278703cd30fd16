//! Who is blocked, on what, and until when; and the pause that makes commands wait. A state machine: it knows clients by
//! the number of their slot, and neither sockets nor clocks. What blocking means for a connection is the server's
//! business, what is answered when it ends the engine's. The main thread's.

#![forbid(unsafe_code)]

pub mod keys;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use keys::KeyWaits;

/// What a blocked client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// WAIT: acknowledgements of replicas.
    Replicas,
    /// WAITAOF: synced append-only files.
    AppendOnlyFiles,
    /// Something in one of its keys.
    Keys,
    /// The end of a pause: its command runs then, as if it had come only now.
    Unpausing,
    /// FLUSHALL and FLUSHDB: the memory of what they removed.
    Freeing,
}

impl Waiting {
    /// Whether an execution that waits for it counts even where the client goes away meanwhile.
    pub fn counts_unfinished(self) -> bool {
        !matches!(self, Waiting::Keys | Waiting::Freeing)
    }

    /// Whether CLIENT UNBLOCK and a timeout end it.
    fn ends_early(self) -> bool {
        !matches!(self, Waiting::Unpausing | Waiting::Freeing)
    }
}

/// The execution that blocked a client. It counts once the wait is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnfinishedCall {
    /// The command's number.
    pub command: usize,
    /// What it took before it blocked.
    pub ticks: u64,
    /// When it began, in ticks.
    pub start: u64,
}

#[derive(Clone, Copy, Debug)]
struct Blocked {
    waiting: Waiting,
    /// Counts up: the order in which clients were blocked.
    turn: u64,
    deadline_us: Option<i64>,
}

/// All blocked clients, by slot.
#[derive(Default)]
pub struct BlockedClients {
    clients: BTreeMap<u32, Blocked>,
    deadlines: BTreeSet<(i64, u32)>,
    /// Those that wait for the end of a pause, in the order they came.
    postponed: BTreeMap<u64, u32>,
    /// What those wait for that wait for keys.
    pub keys: KeyWaits,
    /// The client that tries once more, and its deadline.
    trying: Option<(u32, Option<i64>)>,
    /// Those that wait for memory: until so many objects are free, counted from the server's start.
    freeing: VecDeque<(u64, u32)>,
    calls: BTreeMap<u32, UnfinishedCall>,
    turns: u64,
}

impl BlockedClients {
    /// `client` waits from now on, at most until `deadline_us` where one is given.
    pub fn block(&mut self, client: u32, waiting: Waiting, deadline_us: Option<i64>) {
        self.turns += 1;
        let before = self.clients.insert(client, Blocked { waiting, turn: self.turns, deadline_us });
        assert!(before.is_none(), "a blocked client runs nothing that could block it again");
        if let Some(deadline_us) = deadline_us {
            self.deadlines.insert((deadline_us, client));
        }
        if waiting == Waiting::Unpausing {
            self.postponed.insert(self.turns, client);
        }
    }

    /// `client` is about to try once more what it waits to do: it is not blocked for so long.
    pub fn begin_try(&mut self, client: u32) {
        let deadline_us = self.clients.get(&client).and_then(|blocked| blocked.deadline_us);
        self.unblock(client);
        self.trying = Some((client, deadline_us));
    }

    /// The try is over.
    pub fn end_try(&mut self) {
        self.trying = None;
    }

    /// Whether `client` tries now.
    pub fn is_trying(&self, client: u32) -> bool {
        self.trying.is_some_and(|(trying, _)| trying == client)
    }

    /// The deadline of a client that is trying: what it had before counts, if it is blocked again.
    pub fn deadline_of_try(&self, client: u32) -> Option<Option<i64>> {
        self.trying.filter(|(trying, _)| *trying == client).map(|(_, deadline_us)| deadline_us)
    }

    /// `call` has blocked `client`.
    #[cold]
    pub fn note_call(&mut self, client: u32, call: UnfinishedCall) {
        self.calls.insert(client, call);
    }

    /// Takes the execution that blocked `client`, whose wait is over.
    pub fn take_call(&mut self, client: u32) -> Option<UnfinishedCall> {
        self.calls.remove(&client)
    }

    /// `client` waits no longer, or is gone. Returns what it had waited for.
    pub fn unblock(&mut self, client: u32) -> Option<Waiting> {
        let blocked = self.clients.remove(&client)?;
        if let Some(deadline_us) = blocked.deadline_us {
            self.deadlines.remove(&(deadline_us, client));
        }
        self.postponed.remove(&blocked.turn);
        self.keys.forget(client);
        if blocked.waiting == Waiting::Freeing {
            self.freeing.retain(|(_, waiting)| *waiting != client);
        }
        Some(blocked.waiting)
    }

    /// The same where the wait may be cut short: not for one that a pause made wait.
    pub fn unblock_early(&mut self, client: u32) -> Option<Waiting> {
        self.clients.get(&client).filter(|blocked| blocked.waiting.ends_early())?;
        self.unblock(client)
    }

    /// Takes the next client whose deadline has come.
    pub fn take_due(&mut self, now_us: i64) -> Option<(u32, Waiting)> {
        let &(deadline_us, client) = self.deadlines.first()?;
        if deadline_us > now_us {
            return None;
        }
        let waiting = self.unblock(client).expect("whoever has a deadline is blocked");
        Some((client, waiting))
    }

    /// `client`, which is blocked, waits until so many objects have been freed: no fewer than the one before it does.
    pub fn wait_for_freeing(&mut self, client: u32, objects: u64) {
        debug_assert!(self.freeing.back().is_none_or(|(before, _)| *before <= objects));
        self.freeing.push_back((objects, client));
    }

    /// Takes the next client that waits for no more objects than were freed.
    pub fn take_freed(&mut self, freed: u64) -> Option<u32> {
        let (_, client) = *self.freeing.front().filter(|(objects, _)| *objects <= freed)?;
        self.unblock(client);
        Some(client)
    }

    /// Whether anybody waits for memory.
    pub fn awaits_freeing(&self) -> bool {
        !self.freeing.is_empty()
    }

    /// Takes the client that has waited longest for the end of a pause.
    pub fn take_postponed(&mut self) -> Option<u32> {
        let (_, client) = self.postponed.pop_first()?;
        self.clients.remove(&client);
        Some(client)
    }

    /// When the next one has waited long enough, in Unix microseconds.
    pub fn next_deadline_us(&self) -> Option<i64> {
        self.deadlines.first().map(|(deadline_us, _)| *deadline_us)
    }

    /// How many are blocked.
    pub fn len(&self) -> usize {
        self.clients.len()
    }

    /// Whether nobody is.
    pub fn is_empty(&self) -> bool {
        self.clients.is_empty()
    }

    /// How many of them have a deadline.
    pub fn deadlines_len(&self) -> usize {
        self.deadlines.len()
    }
}

/// CLIENT PAUSE.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// When it ends, in Unix milliseconds.
    pub end_ms: i64,
    /// Every command waits, not only those that write.
    pub all: bool,
}

impl Pause {
    /// A pause that is asked for while another lasts: the later end counts, and what makes more commands wait.
    pub fn joined(self, other: Option<Pause>) -> Pause {
        match other {
            None => self,
            Some(other) => Pause { end_ms: self.end_ms.max(other.end_ms), all: self.all || other.all },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_in_order_and_only_once() {
        let mut blocked = BlockedClients::default();
        blocked.block(1, Waiting::Replicas, Some(300));
        blocked.block(2, Waiting::AppendOnlyFiles, Some(100));
        blocked.block(3, Waiting::Replicas, None);
        assert_eq!((blocked.len(), blocked.deadlines_len(), blocked.next_deadline_us()), (3, 2, Some(100)));
        assert_eq!(blocked.take_due(99), None);
        assert_eq!(blocked.take_due(100), Some((2, Waiting::AppendOnlyFiles)));
        assert_eq!(blocked.take_due(100), None);
        assert_eq!(blocked.unblock_early(1), Some(Waiting::Replicas));
        assert_eq!((blocked.len(), blocked.next_deadline_us(), blocked.take_due(1000)), (1, None, None));
        assert_eq!((blocked.unblock(3), blocked.unblock(3)), (Some(Waiting::Replicas), None));
        assert!(blocked.is_empty());
    }

    #[test]
    fn the_postponed_come_back_in_their_order() {
        let mut blocked = BlockedClients::default();
        for client in [9, 4, 7] {
            blocked.block(client, Waiting::Unpausing, None);
        }
        blocked.block(1, Waiting::Replicas, None);
        assert_eq!(blocked.unblock_early(4), None);
        assert_eq!(blocked.unblock(4), Some(Waiting::Unpausing));
        assert_eq!([(); 3].map(|()| blocked.take_postponed()), [Some(9), Some(7), None]);
        assert_eq!(blocked.len(), 1);
    }

    #[test]
    fn who_waits_for_memory_waits_for_all_that_came_before() {
        let mut blocked = BlockedClients::default();
        for (client, objects) in [(5, 10), (3, 10), (8, 25), (1, 30)] {
            blocked.block(client, Waiting::Freeing, None);
            blocked.wait_for_freeing(client, objects);
        }
        assert_eq!((blocked.unblock_early(5), blocked.take_freed(9)), (None, None));
        assert_eq!(blocked.unblock(8), Some(Waiting::Freeing));
        assert_eq!([(); 3].map(|()| blocked.take_freed(29)), [Some(5), Some(3), None]);
        assert!(blocked.awaits_freeing());
        assert_eq!((blocked.take_freed(30), blocked.awaits_freeing(), blocked.len()), (Some(1), false, 0));
    }

    #[test]
    fn who_tries_once_more_keeps_its_deadline() {
        let mut blocked = BlockedClients::default();
        blocked.block(1, Waiting::Keys, Some(300));
        blocked.keys.wait(1, 0, [&b"k"[..]].into_iter());
        blocked.begin_try(1);
        assert!(blocked.is_empty() && blocked.keys.is_empty() && blocked.next_deadline_us().is_none());
        assert_eq!((blocked.deadline_of_try(1), blocked.deadline_of_try(2)), (Some(Some(300)), None));
        assert!(blocked.is_trying(1) && !blocked.is_trying(2));
        blocked.end_try();
        assert!(blocked.deadline_of_try(1).is_none() && !blocked.is_trying(1));
    }

    #[test]
    fn pauses_join() {
        let short = Pause { end_ms: 5, all: true };
        let long = Pause { end_ms: 9, all: false };
        assert_eq!(long.joined(Some(short)), Pause { end_ms: 9, all: true });
        assert_eq!(short.joined(Some(long)), Pause { end_ms: 9, all: true });
        assert_eq!(long.joined(None), long);
    }
}
