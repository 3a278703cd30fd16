//! What a handler works on: the shared state of the server, the session of the caller, and the reply.

#![forbid(unsafe_code)]

use crate::command::reply_buffer::REPLY_BUFFER_BYTES;
use crate::command::session::Session;
use crate::command::spec::Command;
use crate::command::state::State;
use crate::keyspace::Database;
use crate::resp::reply::Reply;

/// The surroundings of one command while it runs.
pub struct Context<'a> {
    /// Everything but the caller's own session.
    pub state: &'a mut State,
    /// The caller.
    pub session: &'a mut Session,
    /// Where the reply goes.
    pub reply: &'a mut Reply,
    /// The command that is running.
    pub command: &'static Command,
    /// Hash of the first key, computed when the command was prepared; 0 when the command has no key.
    pub first_key_hash: u64,
}

impl Context<'_> {
    /// The caller's database.
    #[inline]
    pub fn db(&mut self) -> &mut Database {
        self.state.keyspace.db_mut(self.session.db)
    }

    /// Cached time of this command in Unix milliseconds: one command sees one time.
    #[inline]
    pub fn now_ms(&self) -> i64 {
        self.state.clock.unix_ms()
    }

    /// How many bytes of a reply are worth writing: with more of them the caller is over its output limit, is closed, and gets
    /// nothing.
    pub fn reply_room(&self) -> usize {
        let limit = self.session.output_limit(&self.state.config.client_output_buffer_limit);
        // What is in the buffer does not count.
        if limit.hard == 0 { usize::MAX } else { (limit.hard as usize).saturating_add(2 * REPLY_BUFFER_BYTES) }
    }

    /// To be called after a command changed, made or removed `key` in the caller's database.
    #[inline]
    pub fn signal_modified(&mut self, key: &[u8]) {
        if self.state.observes_keys {
            let db = self.session.db;
            self.state.touch_key(self.session, db, key);
        }
    }

    /// The same for a key in database `db`.
    pub fn signal_modified_in(&mut self, db: usize, key: &[u8]) {
        if self.state.observes_keys {
            self.state.touch_key(self.session, db, key);
        }
    }

    /// To be called before two databases change places.
    pub fn signal_swap(&mut self, left: usize, right: usize) {
        if self.state.observes_keys {
            self.state.touch_watched_swap(self.session, left, right);
        }
    }

    /// To be called before database `db` (None: every one) is emptied.
    pub fn signal_flush(&mut self, db: Option<usize>) {
        if self.state.observes_keys {
            self.state.touch_watched_flush(self.session, db);
        }
    }
}
