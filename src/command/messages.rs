//! Subscriptions of sessions, and messages to whoever listens: one text for each version of the protocol, however many get
//! it. Main thread.

#![forbid(unsafe_code)]

use bytes::Bytes;

use crate::command::outbox::{Outbox, Written};
use crate::command::session::{Session, SessionFlags, Slot};
use crate::command::sessions::Sessions;
use crate::command::state::State;
use crate::pubsub::Kind;
use crate::resp::args::Args;
use crate::resp::reply::{BY_REFERENCE_MIN, Mark, Protocol, Reply};

/// What a message says.
pub(crate) struct Payload<'a> {
    bytes: &'a [u8],
    /// The same in an allocation of its own: for what is too large to be copied.
    shared: Option<Bytes>,
}

impl<'a> Payload<'a> {
    /// These bytes.
    pub(crate) fn of(bytes: &'a [u8]) -> Payload<'a> {
        Payload { bytes, shared: None }
    }

    /// An argument of the request: a large one is not copied where it arrived by itself.
    pub(crate) fn of_argument(args: Args<'a>, index: usize) -> Payload<'a> {
        Payload { bytes: args.get(index), shared: args.blob(index).cloned() }
    }

    fn write(&mut self, protocol: Protocol, words: &[&[u8]], outbox: &mut Outbox) -> Written {
        let large = self.bytes.len() >= BY_REFERENCE_MIN;
        let value = large.then(|| self.shared.get_or_insert_with(|| Bytes::copy_from_slice(self.bytes)).clone());
        let head = |out: &mut Vec<u8>| {
            out.push(if protocol == Protocol::Resp3 { b'>' } else { b'*' });
            write_number(out, words.len() + 1);
            for word in words {
                write_bulk(out, word);
            }
        };
        match value {
            None => outbox.write(|out| {
                head(out);
                write_bulk(out, self.bytes);
            }),
            Some(value) => outbox.write_around(value, |out| {
                head(out);
                out.push(b'$');
                write_number(out, self.bytes.len());
            }),
        }
    }
}

fn write_number(out: &mut Vec<u8>, number: usize) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.extend_from_slice(b"\r\n");
}

fn write_bulk(out: &mut Vec<u8>, bytes: &[u8]) {
    out.push(b'$');
    write_number(out, bytes.len());
    out.extend_from_slice(bytes);
    out.extend_from_slice(b"\r\n");
}

/// Posts one message. The session of the running command is not in its place.
struct Post<'a> {
    sessions: &'a Sessions,
    caller: Option<&'a Session>,
    outbox: &'a mut Outbox,
}

impl Post<'_> {
    /// `words` stand before the payload. Returns how many get it.
    fn to(&mut self, listeners: &[u32], words: &[&[u8]], payload: &mut Payload<'_>) -> usize {
        let mut texts = [None, None];
        for &listener in listeners {
            let slot = Slot(listener);
            let Some(session) = self.sessions.get_with(slot, self.caller) else { continue };
            let protocol = session.protocol;
            let text = texts[protocol as usize].get_or_insert_with(|| payload.write(protocol, words, self.outbox));
            self.outbox.post(slot, text);
        }
        listeners.len()
    }
}

impl State {
    /// Sends a message to everybody who listens to `channel`, and to those whose pattern it matches. Returns how many
    /// times it was sent. `caller` is the session that is running, if any.
    pub(crate) fn publish(&mut self, caller: Option<&Session>, channel: &[u8], mut payload: Payload<'_>) -> usize {
        let State { pubsub, sessions, effects, .. } = self;
        let mut post = Post { sessions, caller, outbox: &mut effects.outbox };
        let mut count = post.to(pubsub.listeners(Kind::Channel, channel), &[b"message", channel], &mut payload);
        for (pattern, listeners) in pubsub.matching(channel) {
            count += post.to(listeners, &[b"pmessage", pattern, channel], &mut payload);
        }
        count
    }

    /// The same for a shard channel, which no pattern matches.
    pub(crate) fn publish_to_shard(&mut self, caller: &Session, channel: &[u8], mut payload: Payload<'_>) -> usize {
        let State { pubsub, sessions, effects, .. } = self;
        let mut post = Post { sessions, caller: Some(caller), outbox: &mut effects.outbox };
        post.to(pubsub.listeners(Kind::Shard, channel), &[b"smessage", channel], &mut payload)
    }

    /// `session` listens to `name` from now on.
    pub(crate) fn subscribe(&mut self, session: &mut Session, kind: Kind, name: &[u8]) {
        if self.pubsub.subscribe(kind, session.slot.0, name) {
            session.subscribed[kind as usize] += 1;
            session.flags.insert(SessionFlags::PUBSUB);
            self.plan_events();
        }
    }

    /// `session` listens to `name` no longer.
    pub(crate) fn unsubscribe(&mut self, session: &mut Session, kind: Kind, name: &[u8]) {
        if self.pubsub.unsubscribe(kind, session.slot.0, name) {
            session.subscribed[kind as usize] -= 1;
            session.flags.set(SessionFlags::PUBSUB, session.subscribed != [0; 3]);
            self.plan_events();
        }
    }

    /// `session` listens to nothing any more, and is not told.
    pub(crate) fn unsubscribe_all(&mut self, session: &mut Session) {
        if session.flags.contains(SessionFlags::PUBSUB) {
            self.pubsub.forget(session.slot.0);
            session.subscribed = [0; 3];
            session.flags.remove(SessionFlags::PUBSUB);
            self.plan_events();
        }
    }

    /// What a handler wrote since byte `start` of the reply is said whether the client gets replies or not.
    pub(crate) fn keep_unmuted(&mut self, session: &Session, reply: &Reply, start: usize) {
        if session.flags.intersects(SessionFlags::MUTED) {
            self.unmuted.extend_from_slice(reply.bytes(start..reply.position()));
        }
    }

    /// A client that gets no replies gets of what was written since `start` only what [`State::keep_unmuted`] kept.
    pub(crate) fn mute(&mut self, session: &Session, start: Mark, reply: &mut Reply) {
        if session.flags.intersects(SessionFlags::MUTED) {
            reply.truncate(start);
            reply.raw(&self.unmuted);
            self.unmuted.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::command::session::Slot;
    use crate::engine::Engine;
    use crate::resp::reply::BY_REFERENCE_MIN;

    #[test]
    fn a_message_is_written_once_for_each_protocol() {
        let mut engine = Engine::for_console();
        let listeners: Vec<Slot> = (0..6).map(|slot| engine.connect(slot)).collect();
        for &slot in &listeners {
            if slot.0 % 2 == 0 {
                engine.run_in(slot, &["HELLO", "3"]);
            }
            engine.run_in(slot, &["SUBSCRIBE", "c"]);
        }
        assert_eq!(engine.run(&["PUBLISH", "c", "hello"]), "(integer) 6");
        let outbox = engine.state.effects.take().outbox;
        let old = b"*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n";
        let new = b">3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$5\r\nhello\r\n";
        assert_eq!(outbox.bytes().len(), old.len() + new.len());
        for letter in outbox.letters() {
            let wanted = if letter.to.0 % 2 == 0 { new } else { old };
            assert_eq!(&outbox.bytes()[letter.text.clone()], wanted);
        }
    }

    #[test]
    fn a_large_message_is_not_copied_for_its_listeners() {
        let mut engine = Engine::for_console();
        for slot in 0..10 {
            let slot = engine.connect(slot);
            engine.run_in(slot, &["SUBSCRIBE", "c"]);
            engine.run_in(slot, &["PSUBSCRIBE", "*"]);
        }
        let message = "x".repeat(BY_REFERENCE_MIN);
        assert_eq!(engine.run(&["PUBLISH", "c", &message]), "(integer) 20");
        let outbox = engine.state.effects.take().outbox;
        assert_eq!((outbox.letters().len(), outbox.large().len()), (20, 2));
        assert!(outbox.bytes().len() < 200);
        assert_eq!(outbox.large()[0].bytes.as_ptr(), outbox.large()[1].bytes.as_ptr());
    }
}
