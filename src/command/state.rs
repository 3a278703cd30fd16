//! Everything the commands of this server share. Owned by the engine, which runs on the main thread only; no locks.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use crate::acl::{AclLog, UserId, Users};
use crate::base::clock::Clock;
use crate::base::rng::Rng;
use crate::base::siphash::SipKey;
use crate::blocking::{BlockedClients, Pause};
use crate::command::client_memory::ClientMemory;
use crate::command::debug_switches::DebugSwitches;
use crate::command::effects::Effects;
use crate::command::facts::ProcessFacts;
use crate::command::prepared::{self, Prepared};
use crate::command::recent_peaks::RecentPeaks;
use crate::command::redaction::{REDACTED, is_secret};
use crate::command::registry::Registry;
use crate::command::session::{Session, SessionFlags, Slot};
use crate::command::sessions::Sessions;
use crate::command::spec::{Command, Flags};
use crate::command::ticks::Ticks;
use crate::config::{Config, KeyspaceEvents, MaxmemoryPolicy};
use crate::keyspace::{
    ExpireBudget, Expired, ExpiredPart, FrequencyRules, Garbage, KeyState, Keyspace, LazyRules, WatchTable,
};
use crate::observe::latency::LatencyMonitor;
use crate::observe::slow_log::{SlowEntry, SlowLog, shortened};
use crate::observe::stats::Stats;
use crate::observe::threads::ThreadFigures;
use crate::pubsub::PubSub;
use crate::resp::args::Args;
use crate::sys::memory::MemorySample;
use crate::tracking::Tracking;
use crate::transport::plain::ListenerKind;
use crate::transport::tls::TlsContext;
use crate::types::Value;

/// Share of the time between two runs of the cron that active expiry may take, in percent, at effort 1.
const EXPIRE_SLOW_PERCENT: u64 = 25;

/// Longest cycle of active expiry between two batches, in microseconds, and least time between two of them.
const EXPIRE_FAST_US: u64 = 1000;

/// Keys that one cycle of active expiry samples at most: what bounds it where no ticks pass.
const EXPIRE_SLOW_KEYS: usize = 20_000;
const EXPIRE_FAST_KEYS: usize = 2_000;

/// Least time between two warnings of a cross-protocol attack, in seconds.
const ATTACK_WARNING_PERIOD_S: i64 = 60;

/// The shared state.
pub struct State {
    /// The databases.
    pub keyspace: Keyspace,
    /// Configuration.
    pub config: Config,
    /// Counters.
    pub stats: Stats,
    /// Slow commands.
    pub slow_log: SlowLog,
    /// Latency spikes.
    pub latency: LatencyMonitor,
    /// Time of the current command.
    pub clock: Clock,
    /// Durations of commands.
    pub ticks: Ticks,
    /// Random choices.
    pub rng: Rng,
    /// Clients.
    pub sessions: Sessions,
    /// What clients cost, where `maxmemory-clients` asks for it.
    pub client_memory: ClientMemory,
    /// The largest buffers of clients of late.
    pub recent_peaks: RecentPeaks,
    /// Commands.
    pub registry: Registry,
    /// What I/O threads count.
    pub io_threads: Vec<Arc<ThreadFigures>>,
    /// What those counted that have ended.
    pub ended_threads: ThreadFigures,
    /// Clients live on I/O threads.
    pub io_threads_active: bool,
    /// What the server has to do after the current command.
    pub effects: Effects,
    /// What is known of the process.
    pub facts: ProcessFacts,
    /// What tests switched off.
    pub debug: DebugSwitches,
    /// Who may do what.
    pub users: Users,
    /// What was refused of late.
    pub acl_log: AclLog,
    /// What the cron found out of memory last.
    pub(crate) memory_sample: Option<MemorySample>,
    /// Watched keys.
    pub watch: WatchTable,
    /// Who is blocked.
    pub blocking: BlockedClients,
    /// CLIENT PAUSE, while it lasts.
    pub pause: Option<Pause>,
    /// Clients that see every command, in the order they asked for it.
    pub monitors: Vec<Slot>,
    /// Who has to be told of changed keys.
    pub tracking: Tracking,
    /// Who listens to which channels.
    pub pubsub: PubSub,
    /// What a client that gets no replies is told all the same, while its command runs.
    pub(crate) unmuted: Vec<u8>,
    /// The running command has left out of its reply itself what the client does not want to hear.
    pub(crate) muted_apart: bool,
    /// Every request has to pass the gates: commands are paused, monitored or tracked.
    pub(crate) gated: bool,
    /// The events of keys that somebody may hear of; none while nobody listens.
    pub(crate) announced: KeyspaceEvents,
    /// Somebody has to hear of changed keys.
    pub(crate) observes_keys: bool,
    /// When the clock unblocks somebody or ends a pause, in Unix microseconds.
    pub(crate) next_deadline_us: i64,
    /// Emptied databases that are freed in slices.
    pub garbage: VecDeque<Garbage>,
    /// Objects that another thread frees.
    pub(crate) freed_elsewhere: usize,
    /// Objects that were ever handed over to be freed, and those of them that are free in that order.
    pub(crate) discarded_objects: u64,
    pub(crate) freed_objects: u64,
    /// Objects freed here while older ones waited elsewhere.
    pub(crate) freed_ahead: u64,
    /// The sockets on which the server accepts TCP connections, once more: CONFIG SET has to stop them.
    pub(crate) tcp_listeners: Vec<(ListenerKind, OwnedFd)>,
    /// What TLS connections begin with, once there is any TLS. Those that are there keep theirs when it changes.
    pub(crate) tls: Option<TlsContext>,
    /// The clock's second: what sessions are stamped with.
    pub(crate) now_s: i64,
    /// Tick reading at which the previous command of this batch ended.
    pub(crate) last_tick: u64,
    /// Tick reading from which on the clock is a millisecond late.
    pub(crate) next_ms_tick: u64,
    wake_tick: u64,
    wake_us: i64,
    ticks_per_ms: u64,
    /// Ticks from which on an execution is slow: for the slow log, or for the monitor of latency.
    pub(crate) slow_ticks: u64,
    slow_log_ticks: u64,
    latency_ticks: u64,
    /// Durations are counted by command (`latency-tracking`).
    pub(crate) records_durations: bool,
    /// Error replies that were accounted for, of the reply in use.
    pub(crate) errors_accounted: u64,
    /// The error for which the running command has failed is counted already.
    pub(crate) error_counted_apart: bool,
    /// When the meters took their last sample.
    pub(crate) metered_ms: i64,
    expire_behind: bool,
    expire_fast_us: i64,
    attack_warned_s: Option<i64>,
}

impl State {
    /// State with empty databases and `commands`, at Unix time 0.
    pub(crate) fn new(config: Config, facts: ProcessFacts, seed: u64, commands: &[&[&'static Command]]) -> State {
        let mut rng = Rng::seeded(seed);
        let registry = Registry::with_renames(&commands.concat(), &config.rename_command);
        let mut users = Users::default();
        if !config.requirepass.is_empty() {
            users.set_default_password(&config.requirepass, &registry);
        }
        let keyspace = Keyspace::new(config.databases as usize, rng.next_u64());
        let names_key = SipKey::new(rng.next_u64(), rng.next_u64());
        let mut state = State {
            keyspace,
            stats: Stats::new(registry.len()),
            slow_log: SlowLog::default(),
            latency: LatencyMonitor::default(),
            clock: Clock::fixed(0),
            ticks: Ticks::stopped(),
            rng,
            sessions: Sessions::default(),
            client_memory: ClientMemory::new(&config),
            recent_peaks: RecentPeaks::default(),
            registry,
            io_threads: Vec::new(),
            ended_threads: ThreadFigures::default(),
            io_threads_active: false,
            effects: Effects::default(),
            facts,
            debug: DebugSwitches::default(),
            users,
            acl_log: AclLog::default(),
            memory_sample: None,
            watch: WatchTable::default(),
            blocking: BlockedClients::default(),
            pause: None,
            monitors: Vec::new(),
            tracking: Tracking::default(),
            pubsub: PubSub::new(names_key),
            unmuted: Vec::new(),
            muted_apart: false,
            gated: false,
            announced: KeyspaceEvents::empty(),
            observes_keys: false,
            next_deadline_us: i64::MAX,
            garbage: VecDeque::new(),
            freed_elsewhere: 0,
            discarded_objects: 0,
            freed_objects: 0,
            freed_ahead: 0,
            config,
            tcp_listeners: Vec::new(),
            tls: None,
            now_s: 0,
            last_tick: 0,
            next_ms_tick: u64::MAX,
            wake_tick: 0,
            wake_us: 0,
            ticks_per_ms: u64::MAX,
            slow_ticks: u64::MAX,
            slow_log_ticks: u64::MAX,
            latency_ticks: u64::MAX,
            records_durations: false,
            errors_accounted: 0,
            error_counted_apart: false,
            metered_ms: 0,
            expire_behind: false,
            expire_fast_us: 0,
            attack_warned_s: None,
        };
        state.refresh_lazy();
        state.refresh_thresholds();
        state.plan_gates();
        state
    }

    /// Moves the clock.
    #[inline]
    pub fn set_time(&mut self, unix_us: i64) {
        self.clock.set_us(unix_us);
        let now_s = self.clock.unix_s();
        if now_s != self.now_s {
            self.now_s = now_s;
            self.refresh_access();
        }
    }

    /// Called when the server wakes: sets the time, and from where ticks are counted on.
    #[inline]
    pub(crate) fn wake(&mut self, unix_us: i64) {
        self.last_tick = self.ticks.now();
        self.wake_tick = self.last_tick;
        self.wake_us = unix_us;
        self.next_ms_tick = self.last_tick.saturating_add(self.ticks_per_ms);
        self.set_time(unix_us);
    }

    /// Looks up the command of a request and hashes its first key.
    #[inline]
    pub(crate) fn prepare(&self, args: Args<'_>) -> Prepared {
        prepared::look_up(&self.registry, self.keyspace.hasher(), args)
    }

    /// The same behind another request, of which that was found.
    #[inline]
    pub(crate) fn prepare_behind(&self, args: Args<'_>, before: Option<(Args<'_>, Prepared)>) -> Prepared {
        prepared::look_up_behind(&self.registry, self.keyspace.hasher(), args, before)
    }

    /// Bytes received from clients, wherever they live.
    pub fn net_input_bytes(&self) -> u64 {
        self.stats.net_input_bytes + self.all_threads().map(|thread| thread.input_bytes.get()).sum::<u64>()
    }

    /// What I/O threads count, those that have ended together as one of them.
    pub fn all_threads(&self) -> impl Iterator<Item = &ThreadFigures> {
        self.io_threads.iter().map(|thread| &**thread).chain([&self.ended_threads])
    }

    /// Counts the executions that are only noted yet, before somebody reads the counts or what they depend on changes.
    #[inline(never)]
    pub(crate) fn settle_stats(&mut self) {
        let ticks = self.ticks;
        self.stats.settle(self.records_durations, |elapsed| ticks.to_ns(elapsed));
    }

    /// The turn that began with [`State::wake`] is over.
    #[inline]
    pub(crate) fn end_turn(&mut self) {
        self.settle_stats();
        self.stats.end_turn(self.ticks.now().saturating_sub(self.wake_tick));
    }

    /// Durations are measured with `ticks` from now on.
    pub(crate) fn use_ticks(&mut self, ticks: Ticks) {
        self.settle_stats();
        self.ticks = ticks;
        self.ticks_per_ms = ticks.from_us(1000);
        self.refresh_thresholds();
        self.wake(self.clock.unix_us());
    }

    /// A command ended at `tick`, a millisecond or more after the clock was set: the next one sees a later time.
    #[cold]
    pub(crate) fn advance_clock(&mut self, tick: u64) {
        self.next_ms_tick = tick.saturating_add(self.ticks_per_ms);
        self.set_time(self.wake_us + self.ticks.to_us(tick.saturating_sub(self.wake_tick)) as i64);
    }

    /// Whether a millisecond passed between the beginning of the turn and its last command.
    #[inline]
    pub fn turn_lasts_a_ms(&self) -> bool {
        self.last_tick.saturating_sub(self.wake_tick) >= self.ticks_per_ms
    }

    /// The time to the microsecond, which commands of one batch do not share.
    pub fn precise_unix_us(&self) -> i64 {
        self.wake_us + self.ticks.to_us(self.ticks.now().saturating_sub(self.wake_tick)) as i64
    }

    /// The clock of INFO's `lru_clock` and of entries: seconds in 24 bits.
    pub fn lru_clock(&self) -> u32 {
        (self.now_s & 0xff_ffff) as u32
    }

    /// Tells the stamps of entries the time and the policy. Called when either changes.
    pub(crate) fn refresh_access(&mut self) {
        let counts = matches!(self.config.maxmemory_policy, MaxmemoryPolicy::VolatileLfu | MaxmemoryPolicy::AllKeysLfu);
        let rules =
            FrequencyRules { log_factor: self.config.lfu_log_factor, decay_minutes: self.config.lfu_decay_time };
        self.keyspace.set_access(self.now_s, counts.then_some(rules));
    }

    /// Translates what is slow into ticks. Called when the configuration or the ticks change.
    pub(crate) fn refresh_thresholds(&mut self) {
        self.slow_log_ticks = match u64::try_from(self.config.slowlog_log_slower_than) {
            Ok(0) => 0,
            Ok(us) => self.ticks.from_us(us),
            Err(_) => u64::MAX,
        };
        self.latency_ticks = match self.config.latency_monitor_threshold {
            0 => u64::MAX,
            ms => self.ticks.from_us(ms.saturating_mul(1000)),
        };
        self.slow_ticks = self.slow_log_ticks.min(self.latency_ticks);
        self.settle_stats();
        self.records_durations = self.config.latency_tracking;
    }

    /// An execution took `elapsed` ticks, at least [`State::slow_ticks`].
    #[cold]
    pub(crate) fn note_slow(&mut self, session: &Session, command: &Command, args: Args<'_>, elapsed: u64) {
        let duration_us = self.ticks.to_us(elapsed);
        let at_s = self.now_s;
        if elapsed >= self.latency_ticks {
            let event = if command.flags.contains(Flags::FAST) { "fast-command" } else { "command" };
            self.latency.add(event, at_s, duration_us / 1000);
        }
        if elapsed >= self.slow_log_ticks && !command.flags.contains(Flags::SKIP_SLOWLOG) {
            let shown =
                (0..args.len()).map(|index| if is_secret(command, args, index) { REDACTED } else { args.get(index) });
            let entry = SlowEntry {
                id: 0,
                at_s,
                duration_us,
                args: shortened(shown),
                addr: session.net.addr.clone(),
                name: session.name.clone().unwrap_or_default(),
            };
            self.slow_log.push(entry, self.config.slowlog_max_len);
        }
    }

    /// Counts an error that is no reply of the running command, which fails by it all the same: one of another client,
    /// or in place of a queued command.
    #[cold]
    pub(crate) fn count_error_apart(&mut self, code: &[u8]) {
        self.stats.count_error(code);
        self.errors_accounted = self.errors_accounted.wrapping_sub(1);
        self.error_counted_apart = true;
    }

    /// Whether a client has to authenticate first.
    #[inline]
    pub fn password_required(&self) -> bool {
        let user = self.users.get(UserId::DEFAULT);
        !user.is_enabled() || !user.needs_no_password()
    }

    /// `requirepass` changed: the default user's password does.
    pub(crate) fn follow_requirepass(&mut self) {
        self.users.set_default_password(&self.config.requirepass, &self.registry);
    }

    /// Whether a client may run commands that need authentication.
    #[inline]
    pub fn lets_in(&self, session: &Session) -> bool {
        session.is_authenticated() || !self.password_required()
    }

    /// A client is what it was when it connected: the default user, authenticated if no password is asked for.
    pub(crate) fn log_out(&self, session: &mut Session) {
        session.set_user(UserId::DEFAULT, self.users.get(UserId::DEFAULT));
        session.flags.set(SessionFlags::AUTHENTICATED, !self.password_required());
    }

    /// Keys removed because they expired, since the start or the last reset.
    pub fn expired_keys(&self) -> u64 {
        self.expired_keys_ever() - self.stats.expired_keys_before_reset
    }

    fn expired_keys_ever(&self) -> u64 {
        self.keyspace.iter().map(|db| db.expired_count()).sum()
    }

    /// CONFIG RESETSTAT.
    pub fn reset_stats(&mut self) {
        self.stats.reset();
        self.all_threads().for_each(ThreadFigures::restart);
        self.stats.expired_keys_before_reset = self.expired_keys_ever();
    }

    /// Hands over what nobody can see any more, to be freed in slices.
    pub fn discard_garbage(&mut self, garbage: Garbage) {
        if !garbage.is_empty() {
            self.discarded_objects += garbage.len() as u64;
            self.garbage.push_back(garbage);
        }
    }

    /// Drops what a command made for its reply only: not now if it is big and `lazyfree-lazy-server-del` says so.
    pub fn discard_value(&mut self, value: Value) {
        if self.config.lazyfree_lazy_server_del {
            let mut garbage = Garbage::default();
            garbage.take_in_value(value);
            self.discard_garbage(garbage);
        }
    }

    /// Gathers the values that the databases left for later.
    #[inline]
    pub(crate) fn gather_left_behind(&mut self) {
        let left = self.keyspace.take_left_behind();
        self.discard_garbage(left);
    }

    /// Objects that wait to be freed, here or elsewhere.
    pub fn lazyfree_pending(&self) -> usize {
        let here = self.garbage.iter().map(Garbage::len).sum::<usize>();
        here + self.keyspace.left_behind_len() + self.freed_elsewhere
    }

    /// Tells the databases what they leave for later. Called when the configuration changes.
    pub(crate) fn refresh_lazy(&mut self) {
        let config = &self.config;
        let rules = LazyRules { server_del: config.lazyfree_lazy_server_del, expire: config.lazyfree_lazy_expire };
        let left = self.keyspace.set_lazy(rules);
        self.discard_garbage(left);
    }

    /// An HTTP client was led here. Counted into the log once a minute.
    #[cold]
    pub(crate) fn cross_protocol_attack(&mut self, session: &Session) {
        let now_s = self.now_s;
        if self.attack_warned_s.is_some_and(|warned_s| now_s - warned_s < ATTACK_WARNING_PERIOD_S) {
            return;
        }
        self.attack_warned_s = Some(now_s);
        self.effects.warnings.push(format!(
            "Possible SECURITY ATTACK detected. It looks like somebody is sending POST or Host: commands to Redis. \
             This is likely due to an attacker attempting to use Cross Protocol Scripting to compromise your Redis \
             instance. Connection from {} aborted.",
            session.net.addr
        ));
    }
}

/// WATCH.
impl State {
    /// `session` watches `key` from now on.
    pub(crate) fn watch_key(&mut self, session: &mut Session, key: &[u8]) {
        let hash = self.keyspace.hash(key);
        let found = self.keyspace.db(session.db).state_of(key, hash, self.clock.unix_ms());
        if self.watch.watch(session.db, key, watcher_of(session.slot), found) {
            session.watched += 1;
        }
        self.plan_observers();
    }

    /// `session` watches nothing any more.
    pub(crate) fn unwatch(&mut self, session: &mut Session) {
        if session.watched == 0 {
            return;
        }
        session.watched = 0;
        self.watch.unwatch_all(watcher_of(session.slot));
        self.plan_observers();
    }

    /// Whether a key that was alive when `session` began to watch it has expired since.
    pub(crate) fn watched_key_expired(&self, session: &Session) -> bool {
        let now_ms = self.clock.unix_ms();
        session.watched > 0
            && self.watch.keys_of(watcher_of(session.slot)).any(|(db, key, stale)| {
                let hash = self.keyspace.hash(key);
                !stale && self.keyspace.db(db).state_of(key, hash, now_ms) == KeyState::Expired
            })
    }

    /// `key` changed: transactions that watch it fail, and who may have it cached is told. `caller` is the session that is running.
    #[cold]
    pub(crate) fn touch_key(&mut self, caller: &mut Session, db: usize, key: &[u8]) {
        if !self.tracking.is_empty() {
            self.touch_tracked(caller, key);
        }
        self.blocking.keys.changed(db, key);
        if self.watch.is_empty() {
            return;
        }
        let hash = self.keyspace.hash(key);
        let found = self.keyspace.db(db).state_of(key, hash, self.clock.unix_ms());
        let clients = self.watch.touched(db, key, found != KeyState::Absent);
        self.mark_dirty(Some(caller), &clients, false);
    }

    /// `caller` changed a key, behind those that it came upon too late: who may have it cached is told.
    #[cold]
    fn touch_tracked(&mut self, caller: &mut Session, key: &[u8]) {
        self.touch_expired(Some(caller));
        self.tracking.changed(key, caller.id);
        if self.tracking.is_pending() {
            self.tell_of_changes(Some(caller));
        }
        if self.tracking.is_empty() {
            self.plan_observers();
        }
    }

    /// Database `db`, or every one, is about to be emptied.
    #[cold]
    pub(crate) fn touch_watched_flush(&mut self, caller: &mut Session, db: Option<usize>) {
        let now_ms = self.clock.unix_ms();
        let dbs = db.map_or(0..self.keyspace.count(), |db| db..db + 1);
        for db in dbs {
            let keyspace = &self.keyspace;
            let before = |key: &[u8]| keyspace.db(db).state_of(key, keyspace.hash(key), now_ms);
            let clients = self.watch.touched_all(db, before, |_| KeyState::Absent);
            self.mark_dirty(Some(caller), &clients, true);
        }
    }

    /// Databases `left` and `right` are about to change places.
    #[cold]
    pub(crate) fn touch_watched_swap(&mut self, caller: &mut Session, left: usize, right: usize) {
        let now_ms = self.clock.unix_ms();
        for (db, other) in [(left, right), (right, left)] {
            self.blocking.keys.database_changed(db);
            let keyspace = &self.keyspace;
            let state_in = |db: usize, key: &[u8]| keyspace.db(db).state_of(key, keyspace.hash(key), now_ms);
            let clients = self.watch.touched_all(db, |key| state_in(db, key), |key| state_in(other, key));
            self.mark_dirty(Some(caller), &clients, true);
        }
    }

    /// Keys expired, or fields of hashes: transactions that watch them fail, and it is announced. `caller` is the session that is running, if any.
    #[cold]
    pub(crate) fn touch_expired(&mut self, mut caller: Option<&mut Session>) {
        for db in 0..self.keyspace.count() {
            if !self.keyspace.db(db).has_expired() {
                continue;
            }
            for Expired { key, what } in self.keyspace.db_mut(db).take_expired() {
                let clients = self.watch.touched(db, &key, what == ExpiredPart::Fields);
                self.mark_dirty(caller.as_deref_mut(), &clients, false);
                if what == ExpiredPart::Key {
                    self.send_event(caller.as_deref(), KeyspaceEvents::EXPIRED, "expired", db, &key);
                } else {
                    self.send_event(caller.as_deref(), KeyspaceEvents::HASH, "hexpired", db, &key);
                }
                if what == ExpiredPart::AllFields {
                    self.send_event(caller.as_deref(), KeyspaceEvents::GENERIC, "del", db, &key);
                }
                if !self.tracking.is_empty() {
                    self.tracking.changed(&key, 0);
                    self.tell_of_changes(caller.as_deref_mut());
                }
            }
        }
    }

    /// These clients' transactions fail. Whatever else happens to what they watch, they need not watch it any longer;
    /// but as in Redis, who watched a key that went with its whole database is shown to watch it still.
    fn mark_dirty(&mut self, mut caller: Option<&mut Session>, clients: &[u64], with_database: bool) {
        for &client in clients {
            let session = match &mut caller {
                Some(caller) if watcher_of(caller.slot) == client => Some(&mut **caller),
                _ => self.sessions.get_mut(Slot(u32::try_from(client).expect("watchers are numbered by slot"))),
            };
            if let Some(session) = session {
                session.flags.insert(SessionFlags::DIRTY_CAS);
                if !with_database {
                    session.watched = 0;
                    self.watch.unwatch_all(client);
                    if self.client_memory.is_on() {
                        self.client_memory.follow_client(session);
                    }
                }
            }
        }
        if !clients.is_empty() {
            self.plan_observers();
        }
    }
}

/// The number under which the table of watched keys knows a client.
fn watcher_of(slot: Slot) -> u64 {
    u64::from(slot.0)
}

/// Active expiry.
impl State {
    /// The cron's cycle.
    pub(crate) fn expire_slow(&mut self) {
        if self.pause.is_some() {
            return;
        }
        let effort = u64::from(self.config.active_expire_effort.clamp(1, 10)) - 1;
        let percent = EXPIRE_SLOW_PERCENT + 2 * effort;
        let hz = u64::from(self.config.hz.max(1));
        self.expire(EXPIRE_SLOW_KEYS, 1_000_000 * percent / 100 / hz);
    }

    /// The cycle between two batches: only while the cron's cannot keep up.
    #[inline]
    pub(crate) fn expire_fast(&mut self) {
        if self.expire_behind
            && self.pause.is_none()
            && self.clock.unix_us() >= self.expire_fast_us + 2 * EXPIRE_FAST_US as i64
        {
            self.expire_fast_us = self.clock.unix_us();
            self.expire(EXPIRE_FAST_KEYS, EXPIRE_FAST_US);
        }
    }

    #[cold]
    fn expire(&mut self, keys_max: usize, budget_us: u64) {
        if self.debug.active_expire_off {
            return;
        }
        let ticks = self.ticks;
        let start = ticks.now();
        let budget_ticks = ticks.from_us(budget_us);
        let mut is_over = || ticks.now().wrapping_sub(start) >= budget_ticks;
        let budget = ExpireBudget { keys_max, is_over: &mut is_over };
        let report = self.keyspace.expire_cycle(self.clock.unix_ms(), budget);
        self.expire_behind = report.stopped;
        self.stats.expired_fields += report.fields as u64;
        self.stats.expired_time_cap_reached += u64::from(report.stopped);
        let stale = if report.sampled == 0 { 0.0 } else { report.expired as f64 * 100.0 / report.sampled as f64 };
        self.stats.expired_stale_percent = stale * 0.05 + self.stats.expired_stale_percent * 0.95;
        let elapsed = ticks.now().wrapping_sub(start);
        self.stats.expire_cycle_us += ticks.to_us(elapsed);
        if elapsed >= self.latency_ticks {
            self.latency.add("expire-cycle", self.now_s, ticks.to_us(elapsed) / 1000);
        }
        if self.observes_keys {
            self.touch_expired(None);
        }
    }
}
