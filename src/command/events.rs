//! Keyspace events: what happens to keys is announced on channels to whoever listens, as far as
//! `notify-keyspace-events` asks for it. Main thread. Cold: nothing of it runs while nobody listens.

#![forbid(unsafe_code)]

use crate::command::context::Context;
use crate::command::messages::Payload;
use crate::command::session::Session;
use crate::command::state::State;
use crate::config::KeyspaceEvents;

impl Context<'_> {
    /// To be called after something of `class` happened to `key` in the caller's database.
    #[inline]
    pub fn announce(&mut self, class: KeyspaceEvents, event: &str, key: &[u8]) {
        if self.state.announced.intersects(class) {
            let db = self.session.db;
            self.state.announce(self.session, class, event, db, key);
        }
    }

    /// The same in database `db`.
    #[inline]
    pub fn announce_in(&mut self, db: usize, class: KeyspaceEvents, event: &str, key: &[u8]) {
        if self.state.announced.intersects(class) {
            self.state.announce(self.session, class, event, db, key);
        }
    }

    /// To be called after a command stored something at `key`, which was not there before if `is_new`: that it is there
    /// now is heard before who may have cached it is told, and what happened to it afterwards.
    #[inline]
    pub fn stored(&mut self, is_new: bool, class: KeyspaceEvents, event: &str, key: &[u8]) {
        if self.state.announced.is_empty() {
            return self.signal_modified(key);
        }
        if is_new {
            self.announce(KeyspaceEvents::NEW, "new", key);
        }
        self.signal_modified(key);
        self.announce(class, event, key);
    }
}

impl State {
    /// Works out which events anybody can hear of. Called when the parameter changes and when somebody begins or stops to
    /// listen.
    pub(crate) fn plan_events(&mut self) {
        let wanted = self.config.notify_keyspace_events;
        let channels = KeyspaceEvents::KEYSPACE.union(KeyspaceEvents::KEYEVENT);
        let heard = wanted.intersects(channels) && !self.pubsub.is_deaf();
        let announced = if heard { wanted } else { KeyspaceEvents::empty() };
        if announced != self.announced {
            self.announced = announced;
            self.plan_observers();
        }
    }

    /// Announces an event behind those of keys that the running command came upon too late. `caller` is the session that
    /// runs it.
    #[cold]
    pub(crate) fn announce(&mut self, caller: &mut Session, class: KeyspaceEvents, event: &str, db: usize, key: &[u8]) {
        if self.observes_keys {
            self.touch_expired(Some(caller));
        }
        self.send_event(Some(caller), class, event, db, key);
    }

    /// A command is about to read `key`: announces that it is not there, if it is not.
    #[cold]
    pub(crate) fn announce_miss(&mut self, caller: &mut Session, key: &[u8], hash: u64) {
        let now_ms = self.clock.unix_ms();
        if self.keyspace.db_mut(caller.db).peek(key, hash, now_ms).is_none() {
            let db = caller.db;
            self.announce(caller, KeyspaceEvents::KEY_MISS, "keymiss", db, key);
        }
    }

    /// Sends the messages of one event.
    pub(crate) fn send_event(
        &mut self,
        caller: Option<&Session>,
        class: KeyspaceEvents,
        event: &str,
        db: usize,
        key: &[u8],
    ) {
        if !self.announced.intersects(class) {
            return;
        }
        if self.announced.contains(KeyspaceEvents::KEYSPACE) {
            let channel = [format!("__keyspace@{db}__:").as_bytes(), key].concat();
            self.publish(caller, &channel, Payload::of(event.as_bytes()));
        }
        if self.announced.contains(KeyspaceEvents::KEYEVENT) {
            let channel = format!("__keyevent@{db}__:{event}");
            self.publish(caller, channel.as_bytes(), Payload::of(key));
        }
    }
}

#[cfg(test)]
#[path = "events_tests.rs"]
mod tests;
