//! What the clients of a server do to each other: blocking and unblocking, pausing, and telling those who cache keys that
//! a key changed. Main thread.

#![forbid(unsafe_code)]

use crate::blocking::{Pause, UnfinishedCall, Waiting};
use crate::command::outbox::Written;
use crate::command::session::{ClientId, Session, SessionFlags, Slot};
use crate::command::state::State;
use crate::config::KeyspaceEvents;
use crate::resp::args::{Args, OwnedArgs};
use crate::resp::reply::{Protocol, Reply};
use crate::tracking::{Invalidation, Later};

/// Why a blocked client is unblocked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unblock {
    /// Its time is over, or shall be.
    Timeout,
    /// CLIENT UNBLOCK ... ERROR.
    Error,
}

/// What a reply of one word fits into, in bytes.
const OK_CAPACITY: usize = 16;

const UNBLOCKED: &[u8] = b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n";

/// Blocking.
impl State {
    /// The caller waits from now on, for at most `timeout_ms` (0: for ever). The command, whose request `args` is, answers
    /// nothing now.
    #[cold]
    pub(crate) fn block(&mut self, session: &mut Session, waiting: Waiting, args: Args<'_>, timeout_ms: i64) {
        let until = |timeout_ms: i64| self.precise_unix_us().saturating_add(timeout_ms.saturating_mul(1000));
        let deadline_us = (timeout_ms > 0).then(|| until(timeout_ms));
        session.flags.insert(SessionFlags::BLOCKED);
        self.blocking.block(session.slot.0, waiting, deadline_us);
        session.waiting_command = Some(Box::new(OwnedArgs::from_args(args)));
        self.plan_deadline();
    }

    /// The caller waits until one of `keys` holds what its command takes; then the command runs again. `timeout_ms` counts
    /// from the first time it ran.
    #[cold]
    pub(crate) fn block_on_keys<'k>(
        &mut self,
        session: &mut Session,
        args: Args<'_>,
        keys: impl Iterator<Item = &'k [u8]>,
        timeout_ms: i64,
    ) {
        let client = session.slot.0;
        match self.blocking.deadline_of_try(client) {
            None => self.block(session, Waiting::Keys, args, timeout_ms),
            Some(deadline_us) => {
                session.flags.insert(SessionFlags::BLOCKED);
                self.blocking.block(client, Waiting::Keys, deadline_us);
                session.waiting_command = Some(Box::new(OwnedArgs::from_args(args)));
                self.plan_deadline();
            }
        }
        self.blocking.keys.wait(client, session.db, keys);
        self.plan_observers();
    }

    /// The client in `slot` has got what it waited for: `reply` is its answer, which comes before what it was sent since
    /// there were `before` letters.
    #[cold]
    pub(crate) fn answer_served(&mut self, slot: Slot, reply: &Reply, before: usize) {
        let muted = self.sessions.get(slot).is_none_or(|session| session.flags.intersects(SessionFlags::MUTED));
        self.release(slot);
        if !muted {
            let text = self.effects.outbox.write(|out| out.extend_from_slice(&reply.to_vec()));
            self.effects.outbox.post_before(before, slot, &text);
        }
        self.plan_deadline();
        self.plan_observers();
    }

    /// The caller is answered once all that has been handed over is free.
    #[cold]
    pub(crate) fn block_on_freeing(&mut self, session: &mut Session, args: Args<'_>) {
        self.block(session, Waiting::Freeing, args, 0);
        self.blocking.wait_for_freeing(session.slot.0, self.discarded_objects);
    }

    /// So many objects more are free, `here` or elsewhere: who waited for them is answered. The time until now is what the
    /// command took. What is freed here is younger than all that is elsewhere, so it counts for nobody before that is free.
    pub(crate) fn freed(&mut self, objects: usize, here: bool) {
        self.stats.lazyfreed_objects += objects as u64;
        let counted = if here { &mut self.freed_ahead } else { &mut self.freed_objects };
        *counted += objects as u64;
        if self.freed_elsewhere == 0 {
            self.freed_objects += std::mem::take(&mut self.freed_ahead);
        }
        while let Some(client) = self.blocking.take_freed(self.freed_objects) {
            self.answer_freed(Slot(client));
        }
    }

    #[cold]
    fn answer_freed(&mut self, slot: Slot) {
        let mut session = self.sessions.take(slot);
        let request = session.waiting_command.take();
        if let (Some(call), Some(request)) = (self.blocking.take_call(slot.0), request) {
            let ticks = self.ticks.now().wrapping_sub(call.start);
            self.count_call(call.command, ticks);
            self.note_slow_wait(&session, &request, ticks);
        }
        let mut reply = Reply::new(OK_CAPACITY);
        reply.ok();
        self.sessions.put(session);
        self.answer_served(slot, &reply, self.effects.outbox.len());
    }

    /// The caller's command waits for the end of the pause; the server keeps it and runs it then.
    #[cold]
    pub(crate) fn postpone(&mut self, session: &mut Session) {
        session.flags.insert(SessionFlags::BLOCKED | SessionFlags::POSTPONED);
        self.blocking.block(session.slot.0, Waiting::Unpausing, None);
    }

    /// CLIENT UNBLOCK. Returns whether the client was blocked in a way that ends so.
    pub(crate) fn unblock_early(&mut self, slot: Slot, how: Unblock) -> bool {
        let Some(waiting) = self.blocking.unblock_early(slot.0) else { return false };
        self.answer_unblocked(slot, waiting, how);
        self.plan_deadline();
        true
    }

    /// Whom the clock unblocks: deadlines, and the end of a pause.
    #[cold]
    pub(crate) fn unblock_due(&mut self) {
        let now_us = self.clock.unix_us();
        while let Some((client, waiting)) = self.blocking.take_due(now_us) {
            self.answer_unblocked(Slot(client), waiting, Unblock::Timeout);
        }
        if self.pause.is_some_and(|pause| pause.end_ms <= self.clock.unix_ms()) {
            self.end_pause();
        }
        self.plan_deadline();
    }

    fn answer_unblocked(&mut self, slot: Slot, waiting: Waiting, how: Unblock) {
        let session = self.sessions.get_mut(slot);
        let resp3 = session.as_ref().is_some_and(|session| session.protocol == Protocol::Resp3);
        let muted = session.as_ref().is_none_or(|session| session.flags.intersects(SessionFlags::MUTED));
        let request = session.and_then(|session| session.waiting_command.take());
        self.plan_observers();
        self.release(slot);
        let text: &[u8] = match (how, waiting) {
            (Unblock::Error, _) => UNBLOCKED,
            (Unblock::Timeout, Waiting::Replicas) => b":0\r\n",
            (Unblock::Timeout, Waiting::AppendOnlyFiles) => b"*2\r\n:0\r\n:0\r\n",
            (Unblock::Timeout, Waiting::Keys) if resp3 => b"_\r\n",
            (Unblock::Timeout, Waiting::Keys) => b"*-1\r\n",
            (Unblock::Timeout, Waiting::Unpausing | Waiting::Freeing) => return,
        };
        let failed = (how == Unblock::Error).then_some(waiting);
        let ticks = self.finish_call(slot, failed);
        if let (Some(request), Some(ticks)) = (request, ticks) {
            let counts_twice = failed.is_some_and(|waiting| waiting != Waiting::Keys);
            let session = self.sessions.take(slot);
            for ticks in [Some(ticks), counts_twice.then_some(0)].into_iter().flatten() {
                self.note_slow_wait(&session, &request, ticks);
            }
            self.sessions.put(session);
        }
        if !muted {
            let text = self.effects.outbox.write(|out| out.extend_from_slice(text));
            self.effects.outbox.post(slot, &text);
        }
    }

    /// An execution of the command with this number has blocked its client: it counts once the wait is over.
    #[cold]
    pub(crate) fn note_blocked_call(&mut self, session: &Session, command: usize, start: u64, ticks: u64) {
        self.stats.command_ticks += ticks;
        self.blocking.note_call(session.slot.0, UnfinishedCall { command, ticks, start });
    }

    /// The wait is over, by an error where `failed` says what was waited for. Then an execution that waited for others
    /// than keys counts twice in Redis, once with its duration and once without.
    /// Returns the ticks that it took before it waited.
    pub(crate) fn finish_call(&mut self, slot: Slot, failed: Option<Waiting>) -> Option<u64> {
        let call = self.blocking.take_call(slot.0)?;
        self.count_call(call.command, call.ticks);
        if let Some(waiting) = failed {
            if waiting != Waiting::Keys {
                self.count_call(call.command, 0);
            }
            self.stats.commands[call.command].failed += 1;
            self.count_error_apart(b"UNBLOCKED");
        }
        Some(call.ticks)
    }

    /// A blocked client is gone. An execution that waited for keys or memory has never ended then, and does not count.
    #[cold]
    pub(crate) fn forget_blocked(&mut self, session: &Session) {
        let client = session.slot;
        if self.blocking.unblock(client.0).is_some_and(|waiting| !waiting.counts_unfinished()) {
            self.blocking.take_call(client.0);
        } else if let (Some(ticks), Some(request)) = (self.finish_call(client, None), &session.waiting_command) {
            self.note_slow_wait(session, request, ticks);
        }
        self.plan_observers();
    }

    /// A wait is over, and nothing runs that would say how long what came before it took.
    fn note_slow_wait(&mut self, session: &Session, request: &OwnedArgs, ticks: u64) {
        if let Some(command) = session.last_command.filter(|_| ticks >= self.slow_ticks) {
            self.note_slow(session, command, request.as_args(), ticks);
        }
    }

    fn count_call(&mut self, command: usize, ticks: u64) {
        self.stats.commands_processed += 1;
        self.stats.count_call(command, ticks, self.records_durations.then(|| self.ticks.to_ns(ticks)));
    }

    /// The server goes on with the client's input.
    fn release(&mut self, slot: Slot) {
        if let Some(session) = self.sessions.get_mut(slot) {
            if !session.flags.contains(SessionFlags::POSTPONED) {
                session.end_reply_skip();
            }
            session.flags.remove(SessionFlags::BLOCKED | SessionFlags::POSTPONED);
        }
        self.effects.unblocked.push(slot);
    }

    /// Works out when the clock has something to do next.
    pub(crate) fn plan_deadline(&mut self) {
        let pause_us = self.pause.map(|pause| pause.end_ms.saturating_mul(1000));
        let next = [self.blocking.next_deadline_us(), pause_us].into_iter().flatten().min();
        self.next_deadline_us = next.unwrap_or(i64::MAX);
    }
}

/// Pausing.
impl State {
    /// CLIENT PAUSE.
    pub(crate) fn begin_pause(&mut self, pause: Pause) {
        self.pause = Some(pause.joined(self.pause));
        self.keyspace.keep_expired(true);
        self.plan_deadline();
        self.plan_gates();
    }

    /// CLIENT UNPAUSE, or the pause's own end: what was postponed runs, in the order it came.
    pub(crate) fn end_pause(&mut self) {
        self.pause = None;
        self.keyspace.keep_expired(false);
        while let Some(client) = self.blocking.take_postponed() {
            self.release(Slot(client));
        }
        self.plan_deadline();
        self.plan_gates();
    }

    /// Works out whether requests have to pass the gates even where their client is in no special state.
    pub(crate) fn plan_gates(&mut self) {
        self.gated = self.pause.is_some()
            || !self.monitors.is_empty()
            || self.tracking.has_clients()
            || self.client_memory.is_on();
    }
}

/// Limits of memory.
impl State {
    /// `maxmemory-clients`, or what it is a share of, changed.
    pub(crate) fn follow_client_limit(&mut self) {
        if self.client_memory.follow(&self.config) {
            self.effects.account_clients = true;
        }
        self.plan_gates();
    }

    /// Accounts for what a client costs by what its session shows.
    pub fn account_client(&mut self, slot: Slot) {
        if let Some(session) = self.sessions.get_mut(slot) {
            self.client_memory.follow_client(session);
        }
    }
}

/// Client-side caching.
impl State {
    /// Works out whether anybody has to hear of changed keys.
    pub(crate) fn plan_observers(&mut self) {
        let events = KeyspaceEvents::EXPIRED.union(KeyspaceEvents::HASH).union(KeyspaceEvents::GENERIC);
        let of_expired = !self.watch.is_empty() || !self.tracking.is_empty() || self.announced.intersects(events);
        self.observes_keys = of_expired || !self.blocking.keys.is_empty();
        self.keyspace.observe_expired(of_expired);
    }

    /// CLIENT TRACKING OFF, RESET, or the end of the client.
    pub(crate) fn stop_tracking(&mut self, session: &mut Session) {
        if !session.flags.contains(SessionFlags::TRACKING) {
            return;
        }
        let facts = session.tracking.take().unwrap_or_default();
        session.flags.remove(SessionFlags::TRACKING.union(SessionFlags::TRACKING_MODES));
        self.tracking.stop(session.id, &facts.prefixes);
        self.plan_observers();
        self.plan_gates();
    }

    /// Tells who has to know of what has just changed. That happens at once, so that each finds it where it belongs
    /// between the messages of the command. `caller` is the session that is running, if any: it hears of its own keys
    /// behind all that, unless it goes on after a wait, and then like the others.
    #[cold]
    pub(crate) fn tell_of_changes(&mut self, mut caller: Option<&mut Session>) {
        let hears_later = |caller: &&mut Session| !self.blocking.is_trying(caller.slot.0);
        let own = caller.as_ref().filter(|caller| hears_later(caller)).map(|caller| (caller.id, caller.flags));
        let own_id = own.map(|(id, _)| id);
        for invalidation in self.tracking.take_pending() {
            match invalidation {
                Invalidation::Key { key, mut clients, writer } => {
                    let at = clients.iter().position(|client| Some(*client) == own_id);
                    let later = at.map(|at| clients.remove(at));
                    self.tell_of_key(&mut caller, &key, &clients, writer);
                    if let (Some(client), Some((_, flags))) = (later, own)
                        && hears(flags, writer == client, false)
                    {
                        self.tracking.keep_for_later(Later { client, key: Some(key) });
                    }
                }
                Invalidation::Everything { except } => {
                    self.tell_of_flush(&mut caller, |session| session.id != except && Some(session.id) != own_id);
                    if let Some((client, flags)) = own
                        && client != except
                        && flags.contains(SessionFlags::TRACKING)
                    {
                        self.tracking.keep_for_later(Later { client, key: None });
                    }
                }
            }
        }
    }

    /// Tells the client that has run a command of its own keys. Its session is back in its place.
    #[cold]
    pub(crate) fn tell_caller_of_changes(&mut self) {
        if self.tracking.is_pending() {
            self.tell_of_changes(None);
        }
        for later in self.tracking.take_later() {
            self.tell_later(&later);
        }
    }

    fn tell_later(&mut self, later: &Later) {
        let Some(slot) = self.sessions.slot_of(later.client) else { return };
        let Some(protocol) = self.sessions.get(slot).map(|session| session.protocol) else { return };
        let keys = later.key.as_deref().map(|key| [key]);
        let changed = keys.as_ref().map_or(Changed::everything(protocol), |keys| Changed::Keys(keys));
        let news = self.news(changed);
        let before = self.effects.outbox.len();
        self.send(&mut None, slot, &news);
        if self.effects.outbox.len() == before {
            self.effects.outbox.unwrite(&news.push);
        }
    }

    fn tell_of_key(&mut self, caller: &mut Option<&mut Session>, key: &[u8], clients: &[ClientId], writer: ClientId) {
        let keys = [key];
        let news = self.news(Changed::Keys(&keys));
        let before = self.effects.outbox.len();
        for &client in clients {
            self.tell(caller, client, &news, writer, false);
        }
        if self.effects.outbox.len() == before {
            self.effects.outbox.unwrite(&news.push);
        }
    }

    /// Everything is gone. The null that says so is that of the protocol of whoever tracks, also where another is told.
    fn tell_of_flush(&mut self, caller: &mut Option<&mut Session>, hears: impl Fn(&Session) -> bool) {
        let tracks = |session: &&Session| session.flags.contains(SessionFlags::TRACKING) && hears(session);
        let all = self.sessions.iter().chain(caller.as_deref());
        let mut clients: Vec<(ClientId, Protocol)> =
            all.filter(tracks).map(|session| (session.id, session.protocol)).collect();
        if clients.is_empty() {
            return;
        }
        let [old, new] = [Protocol::Resp2, Protocol::Resp3].map(|protocol| self.news(Changed::everything(protocol)));
        clients.sort_unstable_by_key(|(client, _)| *client);
        for (client, protocol) in clients {
            let news = if protocol == Protocol::Resp3 { &new } else { &old };
            self.tell(caller, client, news, 0, true);
        }
    }

    /// Gives up tracked keys while there are more than `tracking-table-max-keys`. Called before a command of `caller`, which
    /// hears of its own ones before the reply.
    #[cold]
    pub(crate) fn limit_tracking(&mut self, caller: &mut Session, reply: &mut Reply) {
        self.tracking.keep_below(self.config.tracking_table_max_keys, &mut self.rng);
        if !self.tracking.is_pending() {
            return;
        }
        let redirected = caller.tracking.as_deref().is_some_and(|facts| facts.redirect != 0);
        let hears = caller.flags.contains(SessionFlags::TRACKING)
            && !caller.flags.contains(SessionFlags::TRACKING_BCAST)
            && caller.protocol == Protocol::Resp3
            && !redirected;
        if hears {
            for key in self.tracking.take_pending_of(caller.id) {
                reply.push(2);
                reply.bulk(b"invalidate");
                reply.array(1);
                reply.bulk(&key);
            }
        }
        self.tell_of_changes(Some(caller));
    }

    /// The broadcasting way: once per turn of the loop.
    #[cold]
    pub(crate) fn send_broadcasts(&mut self) {
        for broadcast in self.tracking.take_broadcasts() {
            let all: Vec<&[u8]> = broadcast.keys.iter().map(|(key, _)| &**key).collect();
            let news = self.news(Changed::Keys(&all));
            for client in broadcast.clients {
                let slot = self.sessions.slot_of(client);
                let session = slot.and_then(|slot| self.sessions.get(slot));
                let no_loop = session.is_some_and(|session| session.flags.contains(SessionFlags::TRACKING_NOLOOP));
                if !no_loop || broadcast.keys.iter().all(|(_, writer)| *writer != client) {
                    self.tell(&mut None, client, &news, 0, true);
                    continue;
                }
                let others = broadcast.keys.iter().filter(|(_, writer)| *writer != client);
                let others: Vec<&[u8]> = others.map(|(key, _)| &**key).collect();
                if !others.is_empty() {
                    let news = self.news(Changed::Keys(&others));
                    self.tell(&mut None, client, &news, 0, true);
                }
            }
        }
    }

    fn news<'a>(&mut self, changed: Changed<'a>) -> News<'a> {
        let push = self.effects.outbox.write(|out| {
            out.extend_from_slice(b">2\r\n$10\r\ninvalidate\r\n");
            changed.write(out);
        });
        News { push, changed }
    }

    /// Tells one client, or whom it wants to be told in its place. `broadcast`: also one that does not track by reading.
    fn tell(
        &mut self,
        caller: &mut Option<&mut Session>,
        client: ClientId,
        news: &News<'_>,
        writer: ClientId,
        broadcast: bool,
    ) {
        let Some(slot) = self.sessions.slot_of(client) else { return };
        let Some(session) = self.sessions.get_with(slot, caller.as_deref()) else { return };
        if hears(session.flags, writer == client, broadcast) {
            self.send(caller, slot, news);
        }
    }

    /// Sends the client in a slot what it is told, or whom it wants to be told in its place.
    fn send(&mut self, caller: &mut Option<&mut Session>, slot: Slot, news: &News<'_>) {
        let Some(session) = self.sessions.get_with(slot, caller.as_deref()) else { return };
        let redirect = session.tracking.as_deref().map_or(0, |facts| facts.redirect);
        let protocol = session.protocol;
        if redirect == 0 {
            // A client that speaks the old protocol has no way to hear of it.
            if protocol == Protocol::Resp3 {
                self.effects.outbox.post(slot, &news.push);
            }
            return;
        }
        let target = self.sessions.slot_of(redirect).and_then(|target| {
            let session = self.sessions.get_with(target, caller.as_deref())?;
            let open = !session.flags.contains(SessionFlags::CLOSE_ASAP);
            open.then(|| (target, session.protocol, session.only_listens()))
        });
        match target {
            Some((target, Protocol::Resp3, _)) => self.effects.outbox.post(target, &news.push),
            // Over the old protocol it has to listen to something.
            Some((target, Protocol::Resp2, true)) => self.tell_listener(target, news),
            Some((_, Protocol::Resp2, false)) => {}
            None => {
                let session = match caller {
                    Some(caller) if caller.slot == slot => Some(&mut **caller),
                    _ => self.sessions.get_mut(slot),
                };
                if let Some(session) = session {
                    session.flags.insert(SessionFlags::TRACKING_BROKEN_REDIR);
                }
                self.tell_broken_redirect(slot, redirect, protocol);
            }
        }
    }

    fn tell_listener(&mut self, target: Slot, news: &News<'_>) {
        let text = self.effects.outbox.write(|out| {
            out.extend_from_slice(b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n");
            news.changed.write(out);
        });
        self.effects.outbox.post(target, &text);
    }

    fn tell_broken_redirect(&mut self, slot: Slot, redirect: ClientId, protocol: Protocol) {
        if protocol == Protocol::Resp3 {
            let line = format!(">2\r\n$21\r\ntracking-redir-broken\r\n:{redirect}\r\n");
            let text = self.effects.outbox.write(|out| out.extend_from_slice(line.as_bytes()));
            self.effects.outbox.post(slot, &text);
        }
    }
}

/// Whether a client with these flags is told of a change, which may be its own. `broadcast`: also one that does not track by
/// reading.
fn hears(flags: SessionFlags, is_own: bool, broadcast: bool) -> bool {
    flags.contains(SessionFlags::TRACKING)
        && (broadcast || !flags.contains(SessionFlags::TRACKING_BCAST))
        && !(is_own && flags.contains(SessionFlags::TRACKING_NOLOOP))
}

/// What clients that track are told.
struct News<'a> {
    /// The text over RESP3.
    push: Written,
    changed: Changed<'a>,
}

/// What is no longer what it was.
#[derive(Clone, Copy)]
enum Changed<'a> {
    Keys(&'a [&'a [u8]]),
    /// Everything is gone, which this null says.
    Everything {
        null: &'static [u8],
    },
}

impl Changed<'_> {
    /// Everything is gone, in this protocol's words.
    fn everything(protocol: Protocol) -> Self {
        Changed::Everything { null: if protocol == Protocol::Resp3 { b"_" } else { b"$-1" } }
    }

    fn write(self, out: &mut Vec<u8>) {
        let keys = match self {
            Changed::Keys(keys) => keys,
            Changed::Everything { null } => {
                out.extend_from_slice(null);
                out.extend_from_slice(b"\r\n");
                return;
            }
        };
        out.push(b'*');
        let mut number = itoa::Buffer::new();
        out.extend_from_slice(number.format(keys.len()).as_bytes());
        for key in keys {
            out.extend_from_slice(b"\r\n$");
            out.extend_from_slice(number.format(key.len()).as_bytes());
            out.extend_from_slice(b"\r\n");
            out.extend_from_slice(key);
        }
        out.extend_from_slice(b"\r\n");
    }
}

/// The caller itself is told that everything is gone before it is answered: for FLUSHALL and FLUSHDB, which Redis answers
/// only when the memory is free. Returns whether it was.
pub(crate) fn tell_caller_of_flush(session: &Session, reply: &mut Reply) -> bool {
    let redirected = session.tracking.as_deref().is_some_and(|facts| facts.redirect != 0);
    let unfit = SessionFlags::IN_EXEC.union(SessionFlags::MUTED);
    let told = session.flags.contains(SessionFlags::TRACKING)
        && !session.flags.intersects(unfit)
        && session.protocol == Protocol::Resp3
        && !redirected;
    if told {
        reply.push(2);
        reply.bulk(b"invalidate");
        reply.null();
    }
    told
}
