//! Publish/subscribe: who listens to which channels, patterns and shard channels. A state machine without sockets: it
//! knows clients by the slot of their session, and says who has to get a message; how it is written and sent is not its
//! business. The main thread's.

#![forbid(unsafe_code)]

mod space;

use std::sync::Arc;

use crate::base::glob;
use crate::base::siphash::SipKey;
use crate::pubsub::space::Space;

/// What a client can subscribe to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A channel.
    Channel,
    /// A pattern of channels.
    Pattern,
    /// A channel of a shard: a world of its own, which patterns do not reach.
    Shard,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 3] = [Kind::Channel, Kind::Pattern, Kind::Shard];
}

/// All subscriptions.
pub struct PubSub {
    spaces: [Space; 3],
}

impl PubSub {
    /// Nobody listens. `key` hashes the names, which clients choose.
    pub fn new(key: SipKey) -> PubSub {
        PubSub { spaces: [Space::new(key), Space::new(key), Space::new(key)] }
    }

    fn space(&self, kind: Kind) -> &Space {
        &self.spaces[kind as usize]
    }

    /// Whether nobody listens to a channel or a pattern.
    #[inline]
    pub fn is_deaf(&self) -> bool {
        self.space(Kind::Channel).is_empty() && self.space(Kind::Pattern).is_empty()
    }

    /// `client` listens to `name` from now on. False where it did already.
    pub fn subscribe(&mut self, kind: Kind, client: u32, name: &[u8]) -> bool {
        self.spaces[kind as usize].add(client, name)
    }

    /// `client` listens to `name` no longer. False where it did not.
    pub fn unsubscribe(&mut self, kind: Kind, client: u32, name: &[u8]) -> bool {
        self.spaces[kind as usize].remove(client, name)
    }

    /// `client` listens to nothing any more.
    pub fn forget(&mut self, client: u32) {
        self.spaces.iter_mut().for_each(|space| space.remove_all(client));
    }

    /// What `client` listens to.
    pub fn names_of(&self, kind: Kind, client: u32) -> Vec<Arc<[u8]>> {
        self.space(kind).names_of(client).cloned().collect()
    }

    /// How much that is.
    pub fn count_of(&self, kind: Kind, client: u32) -> usize {
        self.space(kind).names_of(client).len()
    }

    /// How many names somebody listens to.
    pub fn names_len(&self, kind: Kind) -> usize {
        self.space(kind).names().len()
    }

    /// Those names.
    pub fn names(&self, kind: Kind) -> impl ExactSizeIterator<Item = &[u8]> {
        self.space(kind).names()
    }

    /// Who listens to `name`, in no particular order.
    #[inline]
    pub fn listeners(&self, kind: Kind, name: &[u8]) -> &[u32] {
        self.space(kind).listeners(name)
    }

    /// The patterns that `channel` matches, each with its listeners.
    #[inline]
    pub fn matching<'a>(&'a self, channel: &'a [u8]) -> impl Iterator<Item = (&'a [u8], &'a [u32])> {
        self.space(Kind::Pattern).all().filter(move |(pattern, _)| glob::matches(pattern, channel))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pubsub() -> PubSub {
        PubSub::new(SipKey::new(1, 2))
    }

    #[test]
    fn kinds_do_not_mix() {
        let mut pubsub = pubsub();
        for kind in Kind::ALL {
            assert!(pubsub.subscribe(kind, 7, b"n"));
            assert!(!pubsub.subscribe(kind, 7, b"n"));
            assert_eq!((pubsub.listeners(kind, b"n"), pubsub.count_of(kind, 7)), (&[7][..], 1));
        }
        assert!(pubsub.unsubscribe(Kind::Shard, 7, b"n"));
        assert!(!pubsub.unsubscribe(Kind::Shard, 7, b"n"));
        assert_eq!(Kind::ALL.map(|kind| pubsub.names_len(kind)), [1, 1, 0]);
        assert!(!pubsub.is_deaf());
        pubsub.forget(7);
        pubsub.forget(99);
        assert!(pubsub.is_deaf() && pubsub.names_of(Kind::Channel, 7).is_empty());
    }

    #[test]
    fn patterns_match_channels() {
        let mut pubsub = pubsub();
        pubsub.subscribe(Kind::Pattern, 1, b"n?ws*");
        pubsub.subscribe(Kind::Pattern, 2, b"*");
        pubsub.subscribe(Kind::Pattern, 3, b"old*");
        let found: Vec<(&[u8], &[u32])> = pubsub.matching(b"news.art").collect();
        assert_eq!(found, [(&b"n?ws*"[..], &[1][..]), (b"*", &[2])]);
    }
}
