//! The engine: requests in, replies out, with no sockets and no threads. Clock, tick counter and random seed are given
//! to it, so that a test reads `engine.run(&["SET", "k", "v"])` and a simulator can run the whole server step by step.
//! Runs on the main thread.
//!
//! A request takes two steps, so that the server can look up, hash and prefetch a batch of them first:
//! [`Engine::prepare`], then [`Engine::execute`].

#![forbid(unsafe_code)]

mod call;
pub mod console;
mod cron;
mod eviction;
mod gate;
mod observers;
pub(crate) mod running;
mod serve;
#[cfg(test)]
mod tests;
pub mod transaction;

use crate::acl::UserId;
use crate::command::facts::ProcessFacts;
pub use crate::command::prepared::{Prepared, Verdict};
use crate::command::session::{ClientId, NetFacts, Session, SessionFlags, Slot};
use crate::command::state::State;
use crate::command::ticks::Ticks;
use crate::config::Config;
pub use crate::engine::cron::CronReport;
use crate::keyspace::Database;
use crate::resp::args::Args;
use crate::resp::parse::ProtocolError;
use crate::resp::reply::Reply;
use crate::sys::prefetch::AHEAD;
use crate::types::probe::Probe;

/// The engine.
pub struct Engine {
    /// What the commands work on.
    pub state: State,
    console: Option<Slot>,
}

impl Engine {
    /// An engine with empty databases. Its clock stands still until [`Engine::wake`] sets it; its ticks do until
    /// [`Engine::use_ticks`].
    pub fn new(config: Config, facts: ProcessFacts, seed: u64) -> Engine {
        Engine { state: State::new(config, facts, seed, crate::commands::ALL), console: None }
    }

    /// Called at start: takes in the users of `aclfile` or of the configuration file. The error says why there is no start.
    pub fn load_users(&mut self) -> Result<(), String> {
        crate::commands::server::acl::file::load_at_start(&mut self.state)
    }

    /// Durations are measured with `ticks` from now on.
    pub fn use_ticks(&mut self, ticks: Ticks) {
        self.state.use_ticks(ticks);
    }

    /// Called when the server wakes, before the requests of a batch: sets the time that the commands of the batch see,
    /// and from where the duration of the first one is counted.
    #[inline]
    pub fn wake(&mut self, unix_us: i64) {
        self.state.wake(unix_us);
    }

    /// A client has connected: opens its session, authenticated if no password is asked for.
    pub fn client_connected(&mut self, slot: Slot, unix: bool, net: NetFacts) -> ClientId {
        let now_s = self.state.now_s;
        let (needs_password, user) = (self.state.password_required(), self.state.users.get(UserId::DEFAULT));
        let session = self.state.sessions.open(slot, now_s, net);
        session.set_user(UserId::DEFAULT, user);
        session.flags.set(SessionFlags::AUTHENTICATED, !needs_password);
        session.flags.set(SessionFlags::UNIX_SOCKET, unix);
        if self.state.client_memory.is_on() {
            self.state.client_memory.update(session);
        }
        self.state.stats.connections_received += 1;
        session.id
    }

    /// A client is gone: its session ends.
    pub fn client_gone(&mut self, slot: Slot) {
        if let Some(mut session) = self.state.sessions.close(slot) {
            let state = &mut self.state;
            state.client_memory.remove(&mut session);
            state.unwatch(&mut session);
            state.stop_tracking(&mut session);
            transaction::stop_monitoring(state, &mut session);
            state.unsubscribe_all(&mut session);
            if session.is_blocked() {
                state.forget_blocked(&session);
            }
        }
    }

    /// The session in `slot`, which must be connected.
    #[inline]
    pub fn session(&self, slot: Slot) -> &Session {
        self.state.sessions.get(slot).expect("a connected client has a session")
    }

    /// The same, to change it.
    #[inline]
    pub fn session_mut(&mut self, slot: Slot) -> &mut Session {
        self.state.sessions.get_mut(slot).expect("a connected client has a session")
    }

    /// Looks up the command of a request and hashes its first key. Never fails: what is refused is refused when it is
    /// executed, in its turn.
    #[inline]
    pub fn prepare(&self, args: Args<'_>) -> Prepared {
        self.state.prepare(args)
    }

    /// The same behind another request, of which that was found: less work where they are alike.
    #[inline]
    pub fn prepare_behind(&self, args: Args<'_>, before: Option<(Args<'_>, Prepared)>) -> Prepared {
        self.state.prepare_behind(args, before)
    }

    /// Asks the processor for the bucket of the first key, as early as possible before the request is executed.
    #[inline]
    pub fn prefetch_bucket(&self, slot: Slot, prepared: &Prepared) {
        if prepared.first_key != 0 {
            self.state.keyspace.db(self.session(slot).db).prefetch_bucket(prepared.hash);
        }
    }

    /// Asks for the entries of the first keys of these requests, once their buckets have arrived.
    #[inline]
    pub fn prefetch_entries<'a>(&self, requests: impl Iterator<Item = (Slot, &'a Prepared)>) {
        let (mut deeper, mut count, mut before) = ([None; AHEAD], 0, 0);
        let follow = |deeper: &mut [Option<(&Database, u64)>]| {
            deeper.iter_mut().filter_map(Option::take).for_each(|(db, hash)| db.prefetch_overflow(hash));
        };
        for (slot, prepared) in requests {
            if prepared.first_key == 0 || prepared.hash == before {
                continue;
            }
            before = prepared.hash;
            let db = self.state.keyspace.db(self.session(slot).db);
            if db.prefetch_entry(prepared.hash) {
                deeper[count] = Some((db, prepared.hash));
                count += 1;
                if count == AHEAD {
                    follow(&mut deeper);
                    count = 0;
                }
            }
        }
        follow(&mut deeper[..count]);
    }

    /// Asks for what these requests look for in big collections, once the entries of their keys have arrived: first for all
    /// places of some of them, then for what is there.
    pub fn prefetch_members<'a>(&self, requests: impl Iterator<Item = (Slot, &'a Prepared, Args<'a>)>) {
        let (mut probes, mut count) = ([None; AHEAD], 0);
        for (slot, prepared, args) in requests {
            let (key, member) = (usize::from(prepared.first_key), usize::from(prepared.member_arg));
            if key.min(member) == 0 || key.max(member) >= args.len() {
                continue;
            }
            let db = self.state.keyspace.db(self.session(slot).db);
            let Some(entry) = db.peek_stored(args.get(key), prepared.hash) else { continue };
            let Some(probe) = Probe::of(entry, args.get(member)) else { continue };
            probes[count] = Some(probe);
            count += 1;
            if count == AHEAD {
                probes.iter_mut().filter_map(Option::take).for_each(Probe::follow);
                count = 0;
            }
        }
        probes.into_iter().flatten().for_each(Probe::follow);
    }

    /// Executes a request of the client in `slot`, whose arguments `request` makes as often as they are asked for, and
    /// appends its reply. Afterwards the server looks at the session's closing flags and at [`State::effects`].
    #[inline]
    pub fn execute<'a>(&mut self, slot: Slot, prepared: &Prepared, request: impl Fn() -> Args<'a>, reply: &mut Reply) {
        let state = &mut self.state;
        let mut session = state.sessions.take(slot);
        reply.set_protocol(session.protocol);
        session.last_interaction_s = state.now_s;
        session.last_command = prepared.command;
        running::begin(&session, request());
        if prepared.verdict == Verdict::Run && session.flags.is_plain() && !state.gated {
            if let Some(elapsed) = call::run(state, &mut session, prepared, request(), reply) {
                call::note_slow(state, &session, prepared, request(), elapsed);
            }
            running::done();
            state.sessions.put(session);
        } else {
            gate::pass(state, &mut session, prepared, request(), reply);
            running::done();
            state.sessions.put(session);
            state.tell_caller_of_changes();
        }
        if state.blocking.keys.any_ready() {
            serve::serve_blocked(state);
        }
    }

    /// Whether the request shows what clients have in their buffers, or a transaction that it executes does.
    #[cold]
    pub fn shows_clients(&self, slot: Slot, prepared: &Prepared) -> bool {
        let is_exec = prepared.command.is_some_and(transaction::is_exec);
        let shows = |queued: &Prepared| queued.verdict == Verdict::Shows;
        let transaction = self.session(slot).transaction.as_deref();
        let mut queue = transaction.into_iter().flat_map(|open| &open.queue);
        if is_exec { queue.any(|(queued, _)| shows(queued)) } else { shows(prepared) }
    }

    /// Closes clients where they take more memory than `maxmemory-clients` allows. The server calls it once it has written
    /// what it can: output that the sockets take does not count.
    #[inline]
    pub fn make_room_for_clients(&mut self) {
        if self.state.client_memory.is_over() {
            eviction::close_largest(&mut self.state, None);
        }
    }

    /// Called when the server wakes, after [`Engine::wake`]: unblocks those whose time is over.
    #[inline]
    pub fn run_timers(&mut self) {
        if self.state.clock.unix_us() >= self.state.next_deadline_us {
            self.state.unblock_due();
        }
    }

    /// When [`Engine::run_timers`] has something to do, in Unix microseconds.
    #[inline]
    pub fn next_deadline_us(&self) -> i64 {
        self.state.next_deadline_us
    }

    /// Answers a request that breaks the protocol: the connection is closed behind the reply.
    #[cold]
    pub fn protocol_error(&mut self, slot: Slot, error: ProtocolError, reply: &mut Reply) {
        let session = self.session_mut(slot);
        session.flags.insert(SessionFlags::CLOSE_AFTER_REPLY);
        session.begin_reply_skip();
        let muted = session.flags.intersects(SessionFlags::MUTED);
        reply.set_protocol(session.protocol);
        let start = reply.mark();
        reply.error(error.reply_text());
        self.state.stats.count_error(reply.last_error_code());
        if muted {
            reply.truncate(start);
        }
    }

    /// The line of CLIENT LIST about the client in `slot`, without its end: for the log.
    pub fn describe_client(&self, slot: Slot) -> String {
        let mut line = Vec::new();
        crate::commands::connection::describe_client(self.session(slot), self.state.now_s, &mut line);
        String::from_utf8_lossy(&line).trim_end().to_string()
    }
}
