//! The table of all sessions, by slot. The session of the running command is taken out while it runs, so that a handler
//! can work on it and on the table at once.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use crate::command::session::{ClientId, NetFacts, Session, Slot};

/// All connected clients.
#[derive(Default)]
pub struct Sessions {
    slots: Vec<Option<Box<Session>>>,
    /// Where the session of a number is.
    numbers: BTreeMap<ClientId, Slot>,
    last_id: ClientId,
    connected: usize,
}

impl Sessions {
    /// Opens a session in `slot`, which must be free.
    pub fn open(&mut self, slot: Slot, now_s: i64, net: NetFacts) -> &mut Session {
        if self.slots.len() <= slot.index() {
            self.slots.resize_with(slot.index() + 1, || None);
        }
        let place = &mut self.slots[slot.index()];
        assert!(place.is_none(), "slot {} is taken", slot.0);
        self.last_id += 1;
        self.connected += 1;
        self.numbers.insert(self.last_id, slot);
        place.insert(Box::new(Session::new(self.last_id, slot, now_s, net)))
    }

    /// Ends the session in `slot`.
    pub fn close(&mut self, slot: Slot) -> Option<Box<Session>> {
        let closed = self.slots.get_mut(slot.index())?.take();
        if let Some(session) = &closed {
            self.connected -= 1;
            self.numbers.remove(&session.id);
        }
        closed
    }

    /// The session in `slot`; None for a free slot and for the session that is running.
    #[inline]
    pub fn get(&self, slot: Slot) -> Option<&Session> {
        self.slots.get(slot.index())?.as_deref()
    }

    /// The session in `slot`, also where it is `running`.
    pub fn get_with<'a>(&'a self, slot: Slot, running: Option<&'a Session>) -> Option<&'a Session> {
        running.filter(|running| running.slot == slot).or_else(|| self.get(slot))
    }

    /// The session in `slot`, to change it; None where [`Sessions::get`] gives None.
    #[inline]
    pub fn get_mut(&mut self, slot: Slot) -> Option<&mut Session> {
        self.slots.get_mut(slot.index())?.as_deref_mut()
    }

    /// The slot of the client with this number, the running one included.
    pub fn slot_of(&self, id: ClientId) -> Option<Slot> {
        self.numbers.get(&id).copied()
    }

    /// Takes the session out to run a command; [`Sessions::put`] brings it back.
    #[inline]
    pub(crate) fn take(&mut self, slot: Slot) -> Box<Session> {
        self.slots[slot.index()].take().expect("the slot of a request has a session")
    }

    /// Brings back what [`Sessions::take`] took.
    #[inline]
    pub(crate) fn put(&mut self, session: Box<Session>) {
        let index = session.slot.index();
        self.slots[index] = Some(session);
    }

    /// How many clients are connected, the running one included.
    pub fn connected(&self) -> usize {
        self.connected
    }

    /// All sessions but the running one, in slot order.
    pub fn iter(&self) -> impl Iterator<Item = &Session> {
        self.slots.iter().filter_map(|slot| slot.as_deref())
    }

    /// The same, to change them.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = &mut Session> {
        self.slots.iter_mut().filter_map(|slot| slot.as_deref_mut())
    }

    /// All sessions with `running` among them, in the order they connected.
    pub fn by_id<'a>(&'a self, running: &'a Session) -> Vec<&'a Session> {
        let mut all: Vec<&Session> = self.iter().chain([running]).collect();
        all.sort_unstable_by_key(|session| session.id);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_reused_and_numbers_are_not() {
        let mut sessions = Sessions::default();
        assert_eq!(sessions.open(Slot(3), 0, NetFacts::default()).id, 1);
        assert_eq!(sessions.open(Slot(0), 0, NetFacts::default()).id, 2);
        assert_eq!(sessions.slot_of(1), Some(Slot(3)));
        assert!(sessions.close(Slot(3)).is_some());
        assert_eq!(sessions.slot_of(1), None);
        assert!(sessions.close(Slot(3)).is_none());
        assert_eq!(sessions.open(Slot(3), 0, NetFacts::default()).id, 3);
        let running = sessions.take(Slot(0));
        assert_eq!(sessions.connected(), 2);
        assert!(sessions.get(Slot(0)).is_none());
        let ids: Vec<ClientId> = sessions.by_id(&running).iter().map(|session| session.id).collect();
        assert_eq!(ids, [2, 3]);
        let id_in = |slot: u32| sessions.get_with(Slot(slot), Some(&running)).map(|session| session.id);
        assert_eq!([id_in(0), id_in(3), id_in(900)], [Some(2), Some(3), None]);
        sessions.put(running);
        assert_eq!(sessions.get(Slot(0)).map(|session| session.id), Some(2));
        assert!(sessions.get(Slot(900)).is_none());
    }
}
