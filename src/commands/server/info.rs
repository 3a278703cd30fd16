//! INFO: what the server reports of itself, under Redis' names and in its order. A field is there when it has a meaning
//! in this server; services that do not exist yet bring theirs along. Main thread.

#![forbid(unsafe_code)]

use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::facts::REDIS_VERSION;
use crate::command::session::{Session, SessionFlags};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags};
use crate::command::state::State;
use crate::commands::server::memory_use::MemoryUse;
use crate::commands::server::ring_section;
use crate::observe::info::{InfoText, Presence, Selection};
use crate::observe::threads::ThreadFigures;
use crate::pubsub::Kind;
use crate::resp::args::Args;
use crate::sys::memory::{self, Who};

/// `INFO`.
pub(super) static INFO: Command = Command {
    name: "info",
    full_name: "info",
    summary: "Reports on the server: state, statistics, memory, databases.",
    since: "1.0.0",
    group: "server",
    complexity: "O(1)",
    arity: -1,
    flags: Flags::LOADING.union(Flags::STALE).union(Flags::SHOWS_CLIENTS),
    categories: Categories::SLOW.union(Categories::DANGEROUS),
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    history: &[("7.0.0", "Several sections in one call.")],
    args: &[ArgSpec::new("section", ArgKind::String).optional().multiple()],
    handler: Some(info),
    ..Command::BLANK
};

/// What a section is written from.
struct Source<'a> {
    state: &'a State,
    /// The session that asks, where one does: it is not in the table while it runs.
    caller: Option<&'a Session>,
}

/// A section: title, when it is shown, what writes its fields.
type Section = (&'static str, Presence, fn(&Source<'_>, &mut InfoText));

/// All sections in the order they are printed. The selector is the title in small letters.
const SECTIONS: &[Section] = &[
    ("Server", Presence::Default, server),
    ("Clients", Presence::Default, clients),
    ("Memory", Presence::Default, memory),
    ("Persistence", Presence::Default, persistence),
    ("Threads", Presence::Default, threads),
    ("Stats", Presence::Default, stats),
    ("Replication", Presence::Default, replication),
    ("CPU", Presence::Default, cpu),
    ("Modules", Presence::Default, |_, _| {}),
    ("Commandstats", Presence::All, commandstats),
    ("Errorstats", Presence::Default, errorstats),
    ("Latencystats", Presence::All, latencystats),
    ("Cluster", Presence::Default, cluster),
    ("Keyspace", Presence::Default, keyspace),
    ("Ring", Presence::Default, |source, text| ring_section::write(source.state, text)),
    ("Debug", Presence::Named, debug),
];

fn info(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    ctx.state.settle_stats();
    let selection = Selection::parse(args.skip(1).iter());
    let text = write(&selection, &Source { state: ctx.state, caller: Some(ctx.session) });
    ctx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// INFO EVERYTHING, as `running` or nobody asks for it.
pub(crate) fn everything(state: &State, running: Option<&Session>) -> String {
    let selection = Selection::parse([&b"everything"[..]].into_iter());
    String::from_utf8_lossy(write(&selection, &Source { state, caller: running }).as_bytes()).into_owned()
}

fn write(selection: &Selection, source: &Source<'_>) -> InfoText {
    let mut text = InfoText::default();
    for (title, presence, write) in SECTIONS {
        if selection.wants(title, *presence) {
            text.section(title);
            write(source, &mut text);
        }
    }
    text
}

fn server(source: &Source<'_>, text: &mut InfoText) {
    let Source { state, .. } = source;
    let facts = &state.facts;
    let up_s = (state.clock.unix_us() - facts.started_us).max(0) / 1_000_000;
    text.field("redis_version", REDIS_VERSION)
        .field("redis_git_sha1", "00000000")
        .field("redis_git_dirty", 0)
        .field("redis_build_id", format_args!("torc-{}", env!("CARGO_PKG_VERSION")))
        .field("redis_mode", "standalone")
        .field("os", &facts.os)
        .field("arch_bits", usize::BITS)
        .field("monotonic_clock", &facts.monotonic_clock)
        .field("multiplexing_api", facts.multiplexing_api)
        .field("process_id", facts.process_id)
        .field("process_supervised", facts.supervised)
        .field("run_id", &facts.run_id)
        .field("tcp_port", state.config.known_port())
        .field("server_time_usec", state.clock.unix_us())
        .field("uptime_in_seconds", up_s)
        .field("uptime_in_days", up_s / 86_400)
        .field("hz", state.config.hz)
        .field("configured_hz", state.config.hz)
        .field("lru_clock", state.lru_clock())
        .field("executable", &facts.executable)
        .field("config_file", &facts.config_file)
        .field("io_threads_active", i32::from(state.io_threads_active));
    for (index, listener) in facts.listeners.iter().enumerate().filter(|(_, listener)| !listener.is_empty()) {
        text.field(&format!("listener{index}"), listener);
    }
    for (name, value) in &facts.extra_server_fields {
        text.field(name, value);
    }
}

fn clients(source: &Source<'_>, text: &mut InfoText) {
    let Source { state, .. } = source;
    let listeners = state
        .sessions
        .iter()
        .chain(source.caller)
        .filter(|session| session.flags.contains(SessionFlags::PUBSUB))
        .count();
    let (input, output) = state.recent_peaks.largest(state.now_s);
    text.field("connected_clients", state.sessions.connected())
        .field("cluster_connections", 0)
        .field("maxclients", state.config.maxclients)
        .field("client_recent_max_input_buffer", input)
        .field("client_recent_max_output_buffer", output)
        .field("blocked_clients", state.blocking.len())
        .field("tracking_clients", state.tracking.clients_len())
        .field("pubsub_clients", listeners)
        .field("watching_clients", state.watch.clients_len())
        .field("clients_in_timeout_table", state.blocking.deadlines_len())
        .field("total_watched_keys", state.watch.keys_len())
        .field("total_blocking_keys", state.blocking.keys.len())
        .field("total_blocking_keys_on_nokey", 0);
}

fn memory(source: &Source<'_>, text: &mut InfoText) {
    let Source { state, .. } = source;
    let figures = MemoryUse::measure(state, source.caller);
    let MemoryUse { allocator, used, peak, resident, startup, clients, .. } = figures;
    let (overhead, dataset, grown) = (figures.overhead(), figures.dataset(), figures.grown().max(1));
    let total = memory::total_bytes();
    text.bytes("used_memory", used)
        .bytes("used_memory_rss", resident)
        .bytes("used_memory_peak", peak)
        .field("used_memory_peak_perc", percent(used, peak))
        .field("used_memory_overhead", overhead)
        .field("used_memory_startup", startup)
        .field("used_memory_dataset", dataset)
        .field("used_memory_dataset_perc", percent(dataset, grown));
    if let Some(stats) = allocator {
        text.field("allocator_allocated", stats.allocated)
            .field("allocator_active", stats.active)
            .field("allocator_resident", stats.resident)
            .field("allocator_muzzy", stats.muzzy);
    }
    text.bytes("total_system_memory", total);
    scripts_memory(text);
    text.bytes("maxmemory", state.config.maxmemory).field("maxmemory_policy", state.config.maxmemory_policy.name());
    if let Some(stats) = allocator {
        text.field("allocator_frag_ratio", ratio(stats.active, stats.allocated))
            .field("allocator_frag_bytes", stats.active.saturating_sub(stats.allocated))
            .field("allocator_rss_ratio", ratio(stats.resident, stats.active))
            .field("allocator_rss_bytes", signed_difference(stats.resident, stats.active))
            .field("rss_overhead_ratio", ratio(resident, stats.resident))
            .field("rss_overhead_bytes", signed_difference(resident, stats.resident));
    }
    text.field("mem_fragmentation_ratio", ratio(resident, used))
        .field("mem_fragmentation_bytes", signed_difference(resident, used))
        .field("mem_not_counted_for_evict", 0)
        .field("mem_replication_backlog", 0)
        .field("mem_total_replication_buffers", 0)
        .field("mem_replica_full_sync_buffer", 0)
        .field("mem_clients_slaves", 0)
        .field("mem_clients_normal", clients)
        .field("mem_cluster_links", 0)
        .field("mem_aof_buffer", 0)
        .field("mem_allocator", state.facts.allocator)
        .field("active_defrag_running", 0)
        .field("lazyfree_pending_objects", state.lazyfree_pending())
        .field("lazyfreed_objects", state.stats.lazyfreed_objects);
}

/// There are no scripts and nothing that runs them.
fn scripts_memory(text: &mut InfoText) {
    text.field("used_memory_lua", 0)
        .field("used_memory_vm_eval", 0)
        .field("used_memory_lua_human", "0B")
        .field("used_memory_scripts_eval", 0)
        .field("number_of_cached_scripts", 0)
        .field("number_of_functions", 0)
        .field("number_of_libraries", 0)
        .field("used_memory_vm_functions", 0)
        .bytes("used_memory_vm_total", 0)
        .field("used_memory_functions", 0)
        .bytes("used_memory_scripts", 0);
}

fn percent(part: u64, whole: u64) -> String {
    format!("{:.2}%", part as f64 * 100.0 / whole.max(1) as f64)
}

fn ratio(left: u64, right: u64) -> String {
    format!("{:.2}", left as f64 / right.max(1) as f64)
}

fn signed_difference(left: u64, right: u64) -> i64 {
    left as i64 - right as i64
}

/// Nothing is ever loaded or saved: what a server shows that has not done so yet. Its start counts as a save.
fn persistence(source: &Source<'_>, text: &mut InfoText) {
    text.field("loading", 0)
        .field("async_loading", 0)
        .field("current_cow_peak", 0)
        .field("current_cow_size", 0)
        .field("current_cow_size_age", 0)
        .field("current_fork_perc", "0.00")
        .field("current_save_keys_processed", 0)
        .field("current_save_keys_total", 0)
        .field("rdb_changes_since_last_save", source.state.stats.dirty)
        .field("rdb_bgsave_in_progress", 0)
        .field("rdb_last_save_time", source.state.facts.started_us / 1_000_000)
        .field("rdb_last_bgsave_status", "ok")
        .field("rdb_last_bgsave_time_sec", -1)
        .field("rdb_current_bgsave_time_sec", -1)
        .field("rdb_saves", 0)
        .field("rdb_last_cow_size", 0)
        .field("rdb_last_load_keys_expired", 0)
        .field("rdb_last_load_keys_loaded", 0)
        .field("aof_enabled", 0)
        .field("aof_rewrite_in_progress", 0)
        .field("aof_rewrite_scheduled", 0)
        .field("aof_last_rewrite_time_sec", -1)
        .field("aof_current_rewrite_time_sec", -1)
        .field("aof_last_bgrewrite_status", "ok")
        .field("aof_rewrites", 0)
        .field("aof_rewrites_consecutive_failures", 0)
        .field("aof_last_write_status", "ok")
        .field("aof_last_cow_size", 0)
        .field("module_fork_in_progress", 0)
        .field("module_fork_last_cow_size", 0);
}

fn threads(source: &Source<'_>, text: &mut InfoText) {
    let Source { state, .. } = source;
    let (reads, writes) = (state.stats.reads_processed, state.stats.writes_processed);
    let mut clients = vec![0; state.io_threads.len() + 1];
    state.sessions.iter().chain(source.caller).for_each(|session| clients[session.net.io_thread] += 1);
    text.field("io_thread_0", format_args!("clients={},reads={reads},writes={writes}", clients[0]));
    for (index, thread) in state.io_threads.iter().enumerate() {
        let number = index + 1;
        let (reads, writes) = (thread.reads.get(), thread.writes.get());
        let (batches, commands) = (thread.batches.get(), thread.commands.get());
        text.field(
            &format!("io_thread_{number}"),
            format_args!(
                "clients={},reads={reads},writes={writes},batches={batches},commands={commands},commands_per_batch={:.2},\
                 reports={},wakeups_sent={},wakeups_elided={},woken={},queue_high_water={},asleep_us={},turns={},syscalls={}",
                clients[number],
                commands as f64 / batches.max(1) as f64,
                thread.reports.get(),
                thread.wakeups_sent.get(),
                thread.wakeups_elided.get(),
                thread.woken.get(),
                thread.queue_high_water.get(),
                thread.asleep_us.get(),
                thread.turns.get(),
                thread.io.get().syscalls,
            ),
        );
    }
}

fn stats(source: &Source<'_>, text: &mut InfoText) {
    let Source { state, .. } = source;
    let stats = &state.stats;
    let kbps = |bytes_per_second: i64| format!("{:.2}", bytes_per_second as f64 / 1024.0);
    text.field("total_connections_received", stats.connections_received)
        .field("total_commands_processed", stats.commands_processed)
        .field("instantaneous_ops_per_sec", stats.meters.commands.per_second())
        .field("total_net_input_bytes", state.net_input_bytes())
        .field("total_net_output_bytes", stats.net_output_bytes)
        .field("total_net_repl_input_bytes", 0)
        .field("total_net_repl_output_bytes", 0)
        .field("instantaneous_input_kbps", kbps(stats.meters.net_input.per_second()))
        .field("instantaneous_output_kbps", kbps(stats.meters.net_output.per_second()))
        .field("instantaneous_input_repl_kbps", "0.00")
        .field("instantaneous_output_repl_kbps", "0.00")
        .field("rejected_connections", stats.connections_rejected)
        .field("sync_full", 0)
        .field("sync_partial_ok", 0)
        .field("sync_partial_err", 0)
        .field("expired_subkeys", stats.expired_fields)
        .field("expired_keys", state.expired_keys())
        .field("expired_stale_perc", format_args!("{:.2}", stats.expired_stale_percent))
        .field("expired_time_cap_reached_count", stats.expired_time_cap_reached)
        .field("expire_cycle_cpu_milliseconds", stats.expire_cycle_us / 1000)
        .field("evicted_keys", 0)
        .field("evicted_clients", stats.evicted_clients)
        .field("evicted_scripts", 0)
        .field("total_eviction_exceeded_time", 0)
        .field("current_eviction_exceeded_time", 0)
        .field("keyspace_hits", stats.keyspace_hits)
        .field("keyspace_misses", stats.keyspace_misses)
        .field("pubsub_channels", state.pubsub.names_len(Kind::Channel))
        .field("pubsub_patterns", state.pubsub.names_len(Kind::Pattern))
        .field("pubsubshard_channels", state.pubsub.names_len(Kind::Shard))
        .field("latest_fork_usec", 0)
        .field("total_forks", 0)
        .field("migrate_cached_sockets", 0)
        .field("slave_expires_tracked_keys", 0);
    for name in DEFRAGMENTATION {
        text.field(name, 0);
    }
    text.field("tracking_total_keys", state.tracking.keys_len())
        .field("tracking_total_items", state.tracking.items_len())
        .field("tracking_total_prefixes", state.tracking.prefixes_len())
        .field("unexpected_error_replies", 0)
        .field("total_error_replies", stats.error_replies)
        .field("dump_payload_sanitizations", 0);
    traffic(state, text);
}

/// Memory is never defragmented.
const DEFRAGMENTATION: [&str; 6] = [
    "active_defrag_hits",
    "active_defrag_misses",
    "active_defrag_key_hits",
    "active_defrag_key_misses",
    "total_active_defrag_time",
    "current_active_defrag_time",
];

/// The end of the stats section: receptions, transmissions, turns of the event loop, refusals.
fn traffic(state: &State, text: &mut InfoText) {
    let stats = &state.stats;
    let threads = |count: fn(&ThreadFigures) -> u64| state.all_threads().map(count).sum::<u64>();
    let (reads, writes) = (threads(|thread| thread.reads.get()), threads(|thread| thread.writes.get()));
    text.field("total_reads_processed", stats.reads_processed + reads)
        .field("total_writes_processed", stats.writes_processed + writes)
        .field("io_threaded_reads_processed", reads)
        .field("io_threaded_writes_processed", writes)
        .field("client_query_buffer_limit_disconnections", stats.query_buffer_limit_disconnections)
        .field("client_output_buffer_limit_disconnections", stats.output_buffer_limit_disconnections)
        .field("reply_buffer_shrinks", stats.reply_buffer_shrinks)
        .field("reply_buffer_expands", stats.reply_buffer_expands)
        .field("eventloop_cycles", stats.loop_cycles)
        .field("eventloop_duration_sum", state.ticks.to_us(stats.loop_ticks))
        .field("eventloop_duration_cmd_sum", state.ticks.to_us(stats.command_ticks))
        .field("instantaneous_eventloop_cycles_per_sec", stats.meters.loop_cycles.per_second())
        .field("instantaneous_eventloop_duration_usec", loop_turn_us(state))
        .field("acl_access_denied_auth", stats.auth_denied)
        .field("acl_access_denied_cmd", stats.command_denied)
        .field("acl_access_denied_key", stats.key_denied)
        .field("acl_access_denied_channel", stats.channel_denied);
}

/// What only those ask for who look for the cause of something.
fn debug(source: &Source<'_>, text: &mut InfoText) {
    let Source { state, .. } = source;
    text.field("eventloop_duration_aof_sum", 0)
        .field("eventloop_duration_cron_sum", state.ticks.to_us(state.stats.cron_ticks))
        .field("eventloop_duration_max", state.ticks.to_us(state.stats.loop_ticks_max))
        .field("eventloop_cmd_per_cycle_max", state.stats.loop_commands_max)
        .field("allocator_allocated_lua", 0)
        .field("allocator_active_lua", 0)
        .field("allocator_resident_lua", 0)
        .field("allocator_frag_bytes_lua", 0);
}

/// Average length of a loop turn of late, in microseconds.
fn loop_turn_us(state: &State) -> i64 {
    let meters = &state.stats.meters;
    let ticks = meters.loop_ticks.per_second() / meters.loop_cycles.per_second().max(1);
    state.ticks.to_us(ticks.max(0) as u64) as i64
}

fn replication(source: &Source<'_>, text: &mut InfoText) {
    let Source { state, .. } = source;
    text.field("role", "master")
        .field("connected_slaves", 0)
        .field("master_failover_state", "no-failover")
        .field("master_replid", &state.facts.replication_id)
        .field("master_replid2", "0".repeat(40))
        .field("master_repl_offset", 0)
        .field("second_repl_offset", -1)
        .field("repl_backlog_active", 0)
        .field("repl_backlog_size", state.config.repl_backlog_size)
        .field("repl_backlog_first_byte_offset", 0)
        .field("repl_backlog_histlen", 0);
}

fn cpu(_source: &Source<'_>, text: &mut InfoText) {
    let seconds = |us: u64| format!("{}.{:06}", us / 1_000_000, us % 1_000_000);
    let [process, children, thread] = [Who::Process, Who::Children, Who::Thread].map(memory::cpu_time);
    text.field("used_cpu_sys", seconds(process.system_us))
        .field("used_cpu_user", seconds(process.user_us))
        .field("used_cpu_sys_children", seconds(children.system_us))
        .field("used_cpu_user_children", seconds(children.user_us))
        .field("used_cpu_sys_main_thread", seconds(thread.system_us))
        .field("used_cpu_user_main_thread", seconds(thread.user_us));
}

fn commandstats(source: &Source<'_>, text: &mut InfoText) {
    let Source { state, .. } = source;
    for (id, entry) in state.registry.all() {
        let row = state.stats.commands[id.index()];
        if !row.any() {
            continue;
        }
        let us = state.ticks.to_us(row.ticks);
        let us_per_call =
            if row.calls == 0 { 0.0 } else { state.ticks.to_ns(row.ticks) as f64 / 1000.0 / row.calls as f64 };
        text.field(
            &format!("cmdstat_{}", entry.command.full_name),
            format_args!(
                "calls={},usec={us},usec_per_call={us_per_call:.2},rejected_calls={},failed_calls={}",
                row.calls, row.rejected, row.failed
            ),
        );
    }
}

fn errorstats(source: &Source<'_>, text: &mut InfoText) {
    for (code, count) in source.state.stats.errors.iter() {
        text.field(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

/// Percentiles in microseconds, of commands that were executed.
fn latencystats(source: &Source<'_>, text: &mut InfoText) {
    let state = source.state;
    for (id, entry) in state.registry.all().filter(|_| state.config.latency_tracking) {
        let Some(histogram) = &state.stats.histograms[id.index()] else { continue };
        let mut figures = String::new();
        for percentile in &state.config.latency_tracking_info_percentiles.0 {
            let comma = if figures.is_empty() { "" } else { "," };
            let name = format!("{percentile:.6}");
            let name = name.trim_end_matches('0').trim_end_matches('.');
            let us = histogram.percentile(*percentile) as f64 / 1000.0;
            figures.push_str(&format!("{comma}p{name}={us:.3}"));
        }
        text.field(&format!("latency_percentiles_usec_{}", entry.command.full_name), figures);
    }
}

fn cluster(_source: &Source<'_>, text: &mut InfoText) {
    text.field("cluster_enabled", 0);
}

fn keyspace(source: &Source<'_>, text: &mut InfoText) {
    for (index, db) in source.state.keyspace.iter().enumerate().filter(|(_, db)| !db.is_empty()) {
        text.field(
            &format!("db{index}"),
            format_args!(
                "keys={},expires={},avg_ttl={},subexpiry={}",
                db.len(),
                db.expires_len(),
                db.avg_ttl(),
                db.timed_len()
            ),
        );
    }
}

#[cfg(test)]
mod tests {
    use crate::engine::Engine;

    fn titles(text: &str) -> Vec<&str> {
        text.lines().filter_map(|line| line.trim_start_matches('"').strip_prefix("# ")).map(str::trim_end).collect()
    }

    fn info(engine: &mut Engine, words: &[&str]) -> String {
        let line = [&["INFO"], words].concat();
        engine.run(&line).replace("\\r\\n", "\n")
    }

    #[test]
    fn who_asks_is_a_client_of_its_thread() {
        let mut engine = Engine::for_console();
        let threads = info(&mut engine, &["threads"]);
        assert!(threads.contains("\nio_thread_0:clients=1,"), "{threads}");
    }

    #[test]
    fn sections_come_in_order_and_by_name() {
        let mut engine = Engine::for_console();
        let plain = info(&mut engine, &[]);
        let defaults = [
            "Server",
            "Clients",
            "Memory",
            "Persistence",
            "Threads",
            "Stats",
            "Replication",
            "CPU",
            "Modules",
            "Errorstats",
            "Cluster",
            "Keyspace",
            "Ring",
        ];
        assert_eq!(titles(&plain), defaults);
        assert_eq!(titles(&info(&mut engine, &["default"])), defaults);
        assert!(titles(&info(&mut engine, &["everything"])).contains(&"Commandstats"));
        assert_eq!(titles(&info(&mut engine, &["keyspace", "CLIENTS"])), ["Clients", "Keyspace"]);
        assert_eq!(info(&mut engine, &["nosuch"]), "\"\"");
    }

    /// Fields that Redis always has and this server has not: what they tell has no meaning here.
    const LEFT_OUT: [(&str, &str); 3] = [
        ("atomicvar_api", "the compiler's, not a choice of the build"),
        ("gcc_version", "not compiled by it"),
        ("mem_overhead_db_hashtable_rehashing", "tables of databases do not grow by a second one"),
    ];

    #[test]
    fn fields_are_those_of_redis_in_its_order() {
        let mut engine = Engine::for_console();
        let text = info(&mut engine, &["everything", "debug"]);
        let mut section = "";
        let mut fields: Vec<(&str, &str)> = Vec::new();
        for line in text.lines().map(|line| line.trim_start_matches('"')) {
            if let Some(title) = line.strip_prefix("# ") {
                section = title;
            } else if let Some((field, _)) = line.split_once(':') {
                fields.push((section, field));
            }
        }
        let facts = include_str!("../../../tests/data/info.tsv");
        let known: Vec<(&str, &str)> =
            facts.lines().skip(1).map(|line| line.split_once('\t').expect("section and field")).collect();
        // What depends on the machine, and what tells of single commands, threads and databases, is no part of the facts.
        let ours = fields.into_iter().filter(|field| known.contains(field)).collect::<Vec<_>>();
        let allocator_tells = ours.contains(&("Memory", "allocator_active"));
        let is_missing = |field: &str| {
            LEFT_OUT.iter().any(|(name, _)| *name == field)
                || !allocator_tells
                    && (field.starts_with("allocator_") || field.starts_with("rss_overhead"))
                    && !field.ends_with("_lua")
        };
        let wanted = known.into_iter().filter(|(_, field)| !is_missing(field)).collect::<Vec<_>>();
        assert_eq!(ours, wanted);
    }

    #[test]
    fn counters_are_what_happened() {
        let mut engine = Engine::for_console();
        for line in [&["SET", "k", "v"][..], &["GET", "k"], &["GET", "none"], &["NOSUCH"], &["WATCH", "k"]] {
            engine.run(line);
        }
        engine.run(&["SELECT", "3"]);
        engine.run(&["SET", "t", "v", "EX", "10"]);
        let all = info(&mut engine, &["all"]);
        for line in [
            "keyspace_hits:1",
            "keyspace_misses:1",
            "total_error_replies:1",
            "errorstat_ERR:count=1",
            "cmdstat_get:calls=2,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0",
            "watching_clients:1",
            "total_watched_keys:1",
            "connected_clients:1",
            "total_connections_received:1",
            "total_commands_processed:6",
            "rdb_changes_since_last_save:2",
            "db0:keys=1,expires=0,avg_ttl=0,subexpiry=0",
            "db3:keys=1,expires=1,avg_ttl=0,subexpiry=0",
            "role:master",
            "tcp_port:6379",
            "redis_version:8.0.6",
        ] {
            assert!(all.contains(&format!("\n{line}\n")), "{line} in {all}");
        }
    }
}
