//! The thread that frees what is big: emptied databases and values whose keys are gone. The main thread hands over what it
//! has at the end of a turn; what finds the queue full it frees itself, in slices.
//!
//! ```text
//!   main thread --- garbage, at most once a turn ---> queue ---> this thread
//!               <--- how many objects are free now, a counter ---
//! ```

#![forbid(unsafe_code)]

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread;

use crate::io::Io;
use crate::keyspace::Garbage;
use crate::server::event_loop::Server;
use crate::sys::memory::ThreadShare;

/// Hand-overs that may wait.
const QUEUE_MAX: usize = 64;

/// Parts freed between two reports: some 100 microseconds of work.
const SLICE: usize = 1024;

/// The main thread's end.
pub(super) struct Disposal {
    queue: SyncSender<Garbage>,
    /// Objects freed since the main thread last asked.
    freed: Arc<AtomicUsize>,
}

impl Disposal {
    /// Starts the thread. It ends with the process, or once the main thread's end is gone.
    pub(super) fn start() -> io::Result<Disposal> {
        let (queue, garbage) = sync_channel(QUEUE_MAX);
        let freed = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&freed);
        thread::Builder::new().name("torc-lazyfree".to_owned()).spawn(move || free_all(&garbage, &counter))?;
        Ok(Disposal { queue, freed })
    }

    /// Hands garbage over; gives it back where too much waits.
    fn send(&self, garbage: Garbage) -> Result<(), Garbage> {
        self.queue.try_send(garbage).map_err(|error| match error {
            TrySendError::Full(garbage) | TrySendError::Disconnected(garbage) => garbage,
        })
    }
}

/// The thread: frees whatever comes, and reports as it goes.
fn free_all(queue: &Receiver<Garbage>, freed: &AtomicUsize) {
    let mut share = ThreadShare::default();
    while let Ok(mut garbage) = queue.recv() {
        let mut left = true;
        while left {
            let before = garbage.len();
            left = garbage.drop_some(SLICE);
            // The memory first: who sees that nothing waits any more must see that it is back.
            share.publish();
            freed.fetch_add(before - garbage.len(), Ordering::Release);
            // Whoever waits for this processor, as the main thread does where both were put on one, would be let in at the
            // end of a scheduler's slice only: milliseconds.
            thread::yield_now();
        }
    }
}

impl<I: Io> Server<I> {
    /// Called at the beginning of a turn: what is free by now is no longer pending for whoever asks in it.
    #[inline]
    pub(super) fn count_freed(&mut self) {
        if let Some(disposal) = &self.disposal
            && disposal.freed.load(Ordering::Relaxed) > 0
        {
            self.engine.garbage_freed(disposal.freed.swap(0, Ordering::Acquire));
        }
    }

    /// Called at the end of a turn: what is big is freed on the other thread, where there is one.
    #[inline]
    pub(super) fn hand_garbage_over(&mut self) {
        if let Some(disposal) = &self.disposal
            && let Some(garbage) = self.engine.take_garbage()
            && let Err(garbage) = disposal.send(garbage)
        {
            self.engine.keep_garbage(garbage);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::siphash::SipKey;
    use crate::types::set::{Set, SetLimits};

    fn big(members: u32) -> Garbage {
        let limits = SetLimits { ints: 0, pack: 0, value: 0, key: SipKey::new(1, 2) };
        let mut set = Set::for_member(b"a", 1, &limits);
        (0..members).for_each(|number| _ = set.add(format!("member {number}").as_bytes(), &limits));
        let mut garbage = Garbage::default();
        garbage.take_in_value(set.into());
        garbage
    }

    #[test]
    fn all_that_is_handed_over_is_counted_when_it_is_free() {
        let disposal = Disposal::start().expect("a thread");
        let mut sent = 0;
        for members in [100, 50_000, 100, 1000] {
            sent += usize::from(disposal.send(big(members)).is_ok());
        }
        assert_eq!(sent, 4);
        while disposal.freed.load(Ordering::Acquire) < sent {
            thread::yield_now();
        }
    }

    #[test]
    fn what_finds_no_room_comes_back() {
        let (queue, garbage) = sync_channel(1);
        let disposal = Disposal { queue, freed: Arc::default() };
        assert!(disposal.send(big(100)).is_ok());
        assert!(disposal.send(big(100)).is_err_and(|back| back.len() == 1));
        drop(garbage);
        assert!(disposal.send(big(100)).is_err());
    }
}
