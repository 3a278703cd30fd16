//! Output that a thread was handed and that it has not said anything of: it still takes memory, so limits count it. What is
//! still there after that is reported as waiting.

#![forbid(unsafe_code)]

use std::sync::atomic::Ordering;

use crate::command::reply_buffer::Unsent;
use crate::command::session::Slot;
use crate::io::{ConnId, Io};
use crate::server::event_loop::{OWN, Server};
use crate::server::threads::parcel::{Parcel, Report};

/// That of one client. Two parts, by the number of the last parcel with some of it: the older one is forgotten when its
/// parcel is carried out, though the client be written to all the time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(in crate::server) struct Untold {
    older: (u64, Unsent),
    newer: (u64, Unsent),
}

impl Untold {
    /// So much is in parcel number `number`; so many are carried out.
    #[inline]
    pub(super) fn add(&mut self, more: Unsent, number: u64, carried_out: u64) {
        self.forget(carried_out);
        if self.older.0 == 0 {
            self.older = std::mem::take(&mut self.newer);
        }
        self.newer = (number, self.newer.1.and(more));
    }

    /// So many parcels are carried out.
    #[inline]
    fn forget(&mut self, carried_out: u64) {
        if self.newer.0 <= carried_out {
            *self = Untold::default();
        } else if self.older.0 <= carried_out {
            self.older = Default::default();
        }
    }

    /// All of it, as far as it was looked at.
    #[inline]
    pub(in crate::server) fn all(&self) -> Unsent {
        self.older.1.and(self.newer.1)
    }
}

impl<I: Io> Server<I> {
    /// A parcel says how many of those before its thread is done with. What of their output waits is told with it, behind its
    /// commands; as far as limits are about it, that is known from now on.
    pub(super) fn hear_carried_out(&mut self, thread: usize, parcel: &Parcel<I::Socket>) {
        for report in &parcel.after {
            if let Report::Figures(seat, told) = report
                && let Some(client) = self.client(*seat).filter(|client| client.home != OWN)
            {
                let figures = client.figures.get_or_insert_default();
                (figures.output, figures.reply_buffer) = (told.output, told.reply_buffer);
            }
        }
        let end = &mut self.threads.ends[thread];
        end.carried_out = end.carried_out.max(parcel.carried_out);
    }

    /// A thread that has nothing to send says it on its own. That holds once all that it sent before is heard.
    pub(super) fn look_carried_out(&mut self, home: usize) {
        let end = &mut self.threads.ends[home - 1];
        // Pairs with the thread's release: what it had sent by then is in the queue, or was taken out.
        let carried_out = end.figures.carried_out.load(Ordering::Acquire);
        if end.from.is_empty() {
            end.carried_out = end.carried_out.max(carried_out);
        }
    }

    /// What a client was written that its thread has not said anything of.
    pub(in crate::server) fn untold(&mut self, slot: u32) -> Unsent {
        let Some(home) = self.clients[slot as usize].as_deref().map(|client| client.home).filter(|home| *home != OWN)
        else {
            return Unsent::default();
        };
        self.look_carried_out(home);
        let Some(client) = self.clients[slot as usize].as_deref_mut() else { return Unsent::default() };
        if !client.untold_stays {
            client.untold.forget(self.threads.ends[home - 1].carried_out);
        }
        client.untold.all()
    }

    /// A client that has not proved who it is was answered, and `more` of what it sent is there. All replies to what
    /// came at once count together, as if they were sent together. Whether they are too much, and it is closed.
    pub(super) fn leaves_too_much(&mut self, seat: ConnId, more: bool) -> bool {
        let stays = more && !self.engine.state.lets_in(self.engine.session(Slot(seat.slot)));
        let written = self.untold(seat.slot);
        if let Some(client) = self.client(seat) {
            client.untold_stays = stays;
        }
        stays && self.close_unauthenticated(seat.slot, written)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(count: usize) -> Unsent {
        let mut unsent = Unsent::default();
        unsent.add(count, count);
        unsent
    }

    #[test]
    fn what_is_carried_out_is_forgotten() {
        let mut untold = Untold::default();
        untold.add(bytes(10), 1, 0);
        untold.add(bytes(20), 2, 0);
        untold.add(bytes(40), 4, 0);
        assert_eq!(untold.all().bytes(), 70);
        untold.forget(1);
        assert_eq!(untold.all().bytes(), 60, "the first part");
        untold.forget(3);
        assert_eq!(untold.all().bytes(), 60, "the others only together");
        untold.forget(4);
        assert_eq!(untold, Untold::default());
    }

    /// A client that is written to with every parcel, its thread being some behind, has no more than twice that.
    #[test]
    fn a_steady_flow_does_not_add_up() {
        for behind in 1..10 {
            let mut untold = Untold::default();
            for number in 1..1000_u64 {
                untold.add(bytes(1), number, number.saturating_sub(behind));
                let truly = behind.min(number) as usize;
                assert!((truly..=2 * truly).contains(&untold.all().bytes()), "{number}, {behind} behind: {untold:?}");
            }
        }
    }
}
