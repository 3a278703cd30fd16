//! Every parameter in one line: field, type, name, alias, rule, default, flags, what to do after a change, and whether it
//! has an effect yet. Pure; main thread. Knows nothing of files, arguments and clients.
//!
//! The names, bounds and defaults are Redis 8.0.6's, and a test compares them with `tests/data/config.tsv`; those of
//! [`OWN_NAMES`] are ours.

#![forbid(unsafe_code)]

use super::choice::{
    Access, AclPubsubDefault, AppendFsync, DisklessLoad, EndpointType, IoBackend, LogLevel, MaxmemoryPolicy,
    OomScoreAdj, PropagationError, SanitizeDump, Supervised, SyslogFacility, TlsAuthClients,
};
use super::special::{
    BindList, KeyspaceEvents, OomScores, OutputLimits, Percentiles, ReplicaOf, SaveRules, ShutdownFlags, WorkingDir,
};
use super::value::TextCheck::{self, AofDirname, AofFilename, DbFilename, Hostname, Locale, Nodename, TitleTemplate};
use super::value::{MemoryOrPercent, Reason, Rule, Text, Unit, Value};

bitflags::bitflags! {
    /// What CONFIG does with a parameter beside reading and writing it.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u8 {
        /// Only the file and the command line set it.
        const IMMUTABLE = 1 << 0;
        /// Its value is a secret: never logged, never shown in MONITOR or the slow log.
        const SENSITIVE = 1 << 1;
        /// CONFIG GET shows it only by its exact name.
        const HIDDEN = 1 << 2;
        /// CONFIG SET needs `enable-protected-configs`.
        const PROTECTED = 1 << 3;
        /// The value is a list of words.
        const MULTI = 1 << 4;
        /// Redis' tests vary it.
        const DEBUG = 1 << 5;
        /// Not while a data set is loaded.
        const DENY_LOADING = 1 << 6;
        /// Setting the same value again applies it again: the file behind it may have changed.
        const VOLATILE = 1 << 7;
    }
}

/// What the process has to do after a parameter has changed; everything else is read where it is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {
    /// Nothing.
    Nothing,
    /// Collect or keep append-only files of the past.
    AofAutoGc,
    /// Start or stop the append-only file.
    Appendonly,
    /// Change the rhythm of its fsync.
    AppendFsync,
    /// Listen on other addresses.
    Bind,
    /// Tell the cluster how this node is reached.
    ClusterAnnounced,
    /// Tell the cluster what this node refuses.
    ClusterFlags,
    /// Install or remove the crash handlers.
    CrashLog,
    /// Start, stop or pace defragmentation.
    Defrag,
    /// Count good replicas anew.
    GoodReplicas,
    /// Change the rhythm of the timer.
    Hz,
    /// Start or end threads that read and write for clients.
    IoThreads,
    /// Start or stop the allocator's own thread.
    JemallocBgThread,
    /// Change what keyspace events are announced.
    KeyspaceEvents,
    /// Change what is logged.
    LogLevel,
    /// Raise the limit of open files.
    MaxClients,
    /// Evict, and warn where the limit is already passed.
    Maxmemory,
    /// Put clients into their memory classes.
    MaxmemoryClients,
    /// Write the kernel's out-of-memory score.
    OomScoreAdj,
    /// Listen on another port.
    Port,
    /// Show another process title.
    ProcTitle,
    /// Make the replication backlog larger or smaller.
    ReplBacklogSize,
    /// Give the default user another password.
    Requirepass,
    /// Load certificates and keys anew.
    Tls,
    /// Listen for TLS on another port.
    TlsPort,
    /// Arm the watchdog.
    Watchdog,
}

impl Apply {
    /// The parameter to name where following the change fails.
    pub fn parameter(self) -> &'static str {
        PARAMS.iter().find(|param| param.apply == self).map_or("", |param| param.name)
    }
}

/// Whether setting a parameter changes what the server does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// It does.
    Works,
    /// It is read, checked and shown, and waits for its feature.
    Later,
}

/// Parameters that Redis does not have. `io-threads-always-active` is for tests: threads are used however little there is
/// to do.
pub const OWN_NAMES: &[&str] = &["io-backend", "io-threads-always-active"];

/// Parameters that CONFIG SET changes here and not in Redis.
#[cfg(test)]
pub(super) const CHANGEABLE_HERE: &[&str] = &["io-threads"];

/// One parameter.
pub struct Param {
    /// Its name.
    pub name: &'static str,
    /// Its older name, or empty.
    pub alias: &'static str,
    /// Kind and bounds.
    pub rule: Rule,
    /// The default as it would stand in a file.
    pub default: &'static str,
    /// How CONFIG treats it.
    pub flags: Flags,
    /// What to do after a change.
    pub apply: Apply,
    /// Whether it does anything yet.
    pub effect: Effect,
    get: Get,
    set: Set,
}

type Get = fn(&Config, &Rule) -> Vec<u8>;
type Set = fn(&mut Config, &Rule, &[&[u8]]) -> Result<(), Reason>;

impl Param {
    /// The value in canonical form.
    pub fn text(&self, config: &Config) -> Vec<u8> {
        (self.get)(config, &self.rule)
    }

    /// Sets the value from separate words.
    pub(super) fn set_words(&self, config: &mut Config, words: &[&[u8]]) -> Result<(), Reason> {
        (self.set)(config, &self.rule, words)
    }

    /// Sets the value from one text, which a list is split from at single blanks.
    pub(super) fn set_text(&self, config: &mut Config, text: &[u8]) -> Result<(), Reason> {
        if self.flags.contains(Flags::MULTI) && !text.is_empty() {
            let words = text.split(|byte| *byte == b' ').collect::<Vec<_>>();
            return self.set_words(config, &words);
        }
        self.set_words(config, &[text])
    }
}

const MUTABLE: Flags = Flags::empty();
const IMMUTABLE: Flags = Flags::IMMUTABLE;
const SENSITIVE: Flags = Flags::SENSITIVE;
const HIDDEN: Flags = Flags::HIDDEN;
const PROTECTED: Flags = Flags::PROTECTED;
const MULTI: Flags = Flags::MULTI;
const DEBUG: Flags = Flags::DEBUG;
const DENY_LOADING: Flags = Flags::DENY_LOADING;
const VOLATILE: Flags = Flags::VOLATILE;

const I32_MIN: i128 = i32::MIN as i128;
const I32_MAX: i128 = i32::MAX as i128;
const U32_MAX: i128 = u32::MAX as i128;
const I64_MAX: i128 = i64::MAX as i128;
const U64_MAX: i128 = u64::MAX as i128;

const ANY: Rule = Rule::Text(TextCheck::Any);
const BOOL: Rule = Rule::Bool;
const OWN: Rule = Rule::Special;
const HZ: Rule = Rule::Clamped { min: 0, max: I32_MAX, low: 1, high: 500, unit: Unit::One };
const BACKLOG: Rule = Rule::Clamped { min: 1, max: I64_MAX, low: 16384, high: I64_MAX, unit: Unit::Bytes };

/// The words with which Redis refuses it where it was built without its own jemalloc.
const NO_DEFRAG: &str = "Active defragmentation cannot be enabled: it requires a Redis server compiled with a modified \
                         Jemalloc like the one shipped by default with the Redis source distribution";

const fn int(min: i128, max: i128) -> Rule {
    Rule::Number { min, max, unit: Unit::One }
}

const fn memory(min: i128, max: i128) -> Rule {
    Rule::Number { min, max, unit: Unit::Bytes }
}

const fn text(check: TextCheck) -> Rule {
    Rule::Text(check)
}

const fn choice(names: &'static [&'static str]) -> Rule {
    Rule::Choice(names)
}

macro_rules! params {
    ($($field:ident: $type:ty = $name:literal, $alias:literal, $rule:expr, $default:literal,
        $($flag:ident)|+, $apply:ident, $effect:ident;)*) => {
        /// The values of all parameters, and what a file can say beside them.
        #[derive(Clone, Debug, PartialEq)]
        pub struct Config {
            $(#[doc = concat!("`", $name, "`, at first `", $default, "`.")] pub $field: $type,)*
            /// Commands that the file renames and their new names, empty to remove one.
            pub rename_command: Vec<(String, String)>,
            /// Where in the file each of them stands, number and text: commands are only known to a floor above.
            pub rename_lines: Vec<(usize, String)>,
            /// The `user` lines: what they allow is only known to a floor above.
            pub user_lines: Vec<super::file::UserLine>,
        }

        /// The parameters in alphabetical order.
        pub static PARAMS: &[Param] = &[
            $(Param {
                name: $name,
                alias: $alias,
                rule: $rule,
                default: $default,
                flags: MUTABLE$(.union($flag))+,
                apply: Apply::$apply,
                effect: Effect::$effect,
                get: |config, rule| Value::text(&config.$field, rule),
                set: |config, rule, words| Value::set(&mut config.$field, rule, words),
            },)*
        ];

        impl Default for Config {
            fn default() -> Config {
                let mut config = Config { $($field: Default::default(),)* rename_command: Vec::new(), rename_lines: Vec::new(), user_lines: Vec::new() };
                for param in PARAMS.iter().filter(|param| !param.default.is_empty()) {
                    param.set_text(&mut config, param.default.as_bytes()).expect("a test reads every default");
                }
                config
            }
        }
    };
}

params! {
    acl_pubsub_default: AclPubsubDefault = "acl-pubsub-default", "", choice(AclPubsubDefault::NAMES), "resetchannels", MUTABLE, Nothing, Works;
    aclfile: Text = "aclfile", "", ANY, "", IMMUTABLE, Nothing, Works;
    acllog_max_len: u64 = "acllog-max-len", "", int(0, I64_MAX), "128", MUTABLE, Nothing, Works;
    active_defrag_cycle_max: u32 = "active-defrag-cycle-max", "", int(1, 99), "25", MUTABLE, Defrag, Later;
    active_defrag_cycle_min: u32 = "active-defrag-cycle-min", "", int(1, 99), "1", MUTABLE, Defrag, Later;
    active_defrag_ignore_bytes: usize = "active-defrag-ignore-bytes", "", memory(1, I64_MAX), "104857600", MUTABLE, Nothing, Later;
    active_defrag_max_scan_fields: u64 = "active-defrag-max-scan-fields", "", int(1, I64_MAX), "1000", MUTABLE, Nothing, Later;
    active_defrag_threshold_lower: u32 = "active-defrag-threshold-lower", "", int(0, 1000), "10", MUTABLE, Nothing, Later;
    active_defrag_threshold_upper: u32 = "active-defrag-threshold-upper", "", int(0, 1000), "100", MUTABLE, Defrag, Later;
    active_expire_effort: u32 = "active-expire-effort", "", int(1, 10), "1", MUTABLE, Nothing, Works;
    activedefrag: bool = "activedefrag", "", Rule::Unavailable(NO_DEFRAG), "no", DEBUG, Nothing, Later;
    activerehashing: bool = "activerehashing", "", BOOL, "yes", MUTABLE, Nothing, Later;
    always_show_logo: bool = "always-show-logo", "", BOOL, "no", IMMUTABLE, Nothing, Works;
    aof_disable_auto_gc: bool = "aof-disable-auto-gc", "", BOOL, "no", HIDDEN, AofAutoGc, Later;
    aof_load_truncated: bool = "aof-load-truncated", "", BOOL, "yes", MUTABLE, Nothing, Later;
    aof_rewrite_cpulist: Text = "aof-rewrite-cpulist", "aof_rewrite_cpulist", ANY, "", IMMUTABLE, Nothing, Later;
    aof_rewrite_incremental_fsync: bool = "aof-rewrite-incremental-fsync", "", BOOL, "yes", MUTABLE, Nothing, Later;
    aof_timestamp_enabled: bool = "aof-timestamp-enabled", "", BOOL, "no", MUTABLE, Nothing, Later;
    aof_use_rdb_preamble: bool = "aof-use-rdb-preamble", "", BOOL, "yes", MUTABLE, Nothing, Later;
    appenddirname: Text = "appenddirname", "", text(AofDirname), "appendonlydir", IMMUTABLE, Nothing, Later;
    appendfilename: Text = "appendfilename", "", text(AofFilename), "appendonly.aof", IMMUTABLE, Nothing, Later;
    appendfsync: AppendFsync = "appendfsync", "", choice(AppendFsync::NAMES), "everysec", MUTABLE, AppendFsync, Later;
    appendonly: bool = "appendonly", "", BOOL, "no", MUTABLE, Appendonly, Later;
    auto_aof_rewrite_min_size: u64 = "auto-aof-rewrite-min-size", "", memory(0, I64_MAX), "67108864", MUTABLE, Nothing, Later;
    auto_aof_rewrite_percentage: u32 = "auto-aof-rewrite-percentage", "", int(0, I32_MAX), "100", MUTABLE, Nothing, Later;
    bgsave_cpulist: Text = "bgsave-cpulist", "bgsave_cpulist", ANY, "", IMMUTABLE, Nothing, Later;
    bind: BindList = "bind", "", OWN, "* -::*", MULTI, Bind, Works;
    bind_source_addr: Text = "bind-source-addr", "", ANY, "", MUTABLE, Nothing, Later;
    bio_cpulist: Text = "bio-cpulist", "bio_cpulist", ANY, "", IMMUTABLE, Nothing, Later;
    busy_reply_threshold: u64 = "busy-reply-threshold", "lua-time-limit", int(0, I64_MAX), "5000", MUTABLE, Nothing, Later;
    client_output_buffer_limit: OutputLimits = "client-output-buffer-limit", "", OWN, "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60", MULTI, Nothing, Works;
    client_query_buffer_limit: usize = "client-query-buffer-limit", "", memory(1048576, I64_MAX), "1073741824", DEBUG, Nothing, Works;
    cluster_allow_pubsubshard_when_down: bool = "cluster-allow-pubsubshard-when-down", "", BOOL, "yes", MUTABLE, Nothing, Later;
    cluster_allow_reads_when_down: bool = "cluster-allow-reads-when-down", "", BOOL, "no", MUTABLE, Nothing, Later;
    cluster_allow_replica_migration: bool = "cluster-allow-replica-migration", "", BOOL, "yes", MUTABLE, Nothing, Later;
    cluster_announce_bus_port: u16 = "cluster-announce-bus-port", "", int(0, 65535), "0", MUTABLE, ClusterAnnounced, Later;
    cluster_announce_hostname: Text = "cluster-announce-hostname", "", text(Hostname), "", MUTABLE, ClusterAnnounced, Later;
    cluster_announce_human_nodename: Text = "cluster-announce-human-nodename", "", text(Nodename), "", MUTABLE, ClusterAnnounced, Later;
    cluster_announce_ip: Text = "cluster-announce-ip", "", ANY, "", MUTABLE, ClusterAnnounced, Later;
    cluster_announce_port: u16 = "cluster-announce-port", "", int(0, 65535), "0", MUTABLE, ClusterAnnounced, Later;
    cluster_announce_tls_port: u16 = "cluster-announce-tls-port", "", int(0, 65535), "0", MUTABLE, ClusterAnnounced, Later;
    cluster_compatibility_sample_ratio: u32 = "cluster-compatibility-sample-ratio", "", int(0, 100), "0", MUTABLE, Nothing, Later;
    cluster_config_file: Text = "cluster-config-file", "", ANY, "nodes.conf", IMMUTABLE, Nothing, Later;
    cluster_enabled: bool = "cluster-enabled", "", BOOL, "no", IMMUTABLE, Nothing, Later;
    cluster_link_sendbuf_limit: u64 = "cluster-link-sendbuf-limit", "", memory(0, U64_MAX), "0", MUTABLE, Nothing, Later;
    cluster_migration_barrier: u32 = "cluster-migration-barrier", "", int(0, I32_MAX), "1", MUTABLE, Nothing, Later;
    cluster_node_timeout: u64 = "cluster-node-timeout", "", int(0, I64_MAX), "15000", MUTABLE, Nothing, Later;
    cluster_ping_interval: u64 = "cluster-ping-interval", "", int(0, I64_MAX), "0", HIDDEN, Nothing, Later;
    cluster_port: u16 = "cluster-port", "", int(0, 65535), "0", IMMUTABLE, Nothing, Later;
    cluster_preferred_endpoint_type: EndpointType = "cluster-preferred-endpoint-type", "", choice(EndpointType::NAMES), "ip", MUTABLE, Nothing, Later;
    cluster_replica_no_failover: bool = "cluster-replica-no-failover", "cluster-slave-no-failover", BOOL, "no", MUTABLE, ClusterFlags, Later;
    cluster_replica_validity_factor: u32 = "cluster-replica-validity-factor", "cluster-slave-validity-factor", int(0, I32_MAX), "10", MUTABLE, Nothing, Later;
    cluster_require_full_coverage: bool = "cluster-require-full-coverage", "", BOOL, "yes", MUTABLE, Nothing, Later;
    crash_log_enabled: bool = "crash-log-enabled", "", BOOL, "yes", MUTABLE, CrashLog, Works;
    crash_memcheck_enabled: bool = "crash-memcheck-enabled", "", BOOL, "yes", MUTABLE, Nothing, Later;
    daemonize: bool = "daemonize", "", BOOL, "no", IMMUTABLE, Nothing, Works;
    databases: u32 = "databases", "", int(1, I32_MAX), "16", IMMUTABLE, Nothing, Works;
    dbfilename: Text = "dbfilename", "", text(DbFilename), "dump.rdb", PROTECTED, Nothing, Later;
    dir: WorkingDir = "dir", "", OWN, "", DENY_LOADING | PROTECTED, Nothing, Works;
    disable_thp: bool = "disable-thp", "", BOOL, "yes", IMMUTABLE, Nothing, Works;
    dynamic_hz: bool = "dynamic-hz", "", BOOL, "yes", MUTABLE, Nothing, Later;
    enable_debug_command: Access = "enable-debug-command", "", choice(Access::NAMES), "no", IMMUTABLE, Nothing, Works;
    enable_module_command: Access = "enable-module-command", "", choice(Access::NAMES), "no", IMMUTABLE, Nothing, Later;
    enable_protected_configs: Access = "enable-protected-configs", "", choice(Access::NAMES), "no", IMMUTABLE, Nothing, Works;
    hash_max_listpack_entries: usize = "hash-max-listpack-entries", "hash-max-ziplist-entries", int(0, I64_MAX), "512", MUTABLE, Nothing, Works;
    hash_max_listpack_value: usize = "hash-max-listpack-value", "hash-max-ziplist-value", memory(0, I64_MAX), "64", MUTABLE, Nothing, Works;
    hide_user_data_from_log: bool = "hide-user-data-from-log", "", BOOL, "no", MUTABLE, Nothing, Works;
    hll_sparse_max_bytes: usize = "hll-sparse-max-bytes", "", memory(0, I64_MAX), "3000", MUTABLE, Nothing, Works;
    hz: u32 = "hz", "", HZ, "10", MUTABLE, Hz, Works;
    ignore_warnings: Text = "ignore-warnings", "", ANY, "", MUTABLE, Nothing, Later;
    io_backend: IoBackend = "io-backend", "", choice(IoBackend::NAMES), "auto", IMMUTABLE, Nothing, Works;
    io_threads: u32 = "io-threads", "", int(1, 128), "1", DEBUG, IoThreads, Works;
    io_threads_always_active: bool = "io-threads-always-active", "", BOOL, "no", HIDDEN, Nothing, Works;
    jemalloc_bg_thread: bool = "jemalloc-bg-thread", "", BOOL, "yes", MUTABLE, JemallocBgThread, Later;
    key_load_delay: i32 = "key-load-delay", "", int(I32_MIN, I32_MAX), "0", HIDDEN, Nothing, Later;
    latency_monitor_threshold: u64 = "latency-monitor-threshold", "", int(0, I64_MAX), "0", MUTABLE, Nothing, Works;
    latency_tracking: bool = "latency-tracking", "", BOOL, "yes", MUTABLE, Nothing, Works;
    latency_tracking_info_percentiles: Percentiles = "latency-tracking-info-percentiles", "", OWN, "50 99 99.9", MULTI, Nothing, Works;
    lazyfree_lazy_eviction: bool = "lazyfree-lazy-eviction", "", BOOL, "no", DEBUG, Nothing, Later;
    lazyfree_lazy_expire: bool = "lazyfree-lazy-expire", "", BOOL, "no", DEBUG, Nothing, Works;
    lazyfree_lazy_server_del: bool = "lazyfree-lazy-server-del", "", BOOL, "no", DEBUG, Nothing, Works;
    lazyfree_lazy_user_del: bool = "lazyfree-lazy-user-del", "", BOOL, "no", DEBUG, Nothing, Works;
    lazyfree_lazy_user_flush: bool = "lazyfree-lazy-user-flush", "", BOOL, "no", DEBUG, Nothing, Works;
    lfu_decay_time: u32 = "lfu-decay-time", "", int(0, I32_MAX), "1", MUTABLE, Nothing, Works;
    lfu_log_factor: u32 = "lfu-log-factor", "", int(0, I32_MAX), "10", MUTABLE, Nothing, Works;
    list_compress_depth: u32 = "list-compress-depth", "", int(0, I32_MAX), "0", DEBUG, Nothing, Works;
    list_max_listpack_size: i32 = "list-max-listpack-size", "list-max-ziplist-size", int(I32_MIN, I32_MAX), "-2", MUTABLE, Nothing, Works;
    loading_process_events_interval_bytes: u64 = "loading-process-events-interval-bytes", "", int(1024, I32_MAX), "524288", HIDDEN, Nothing, Later;
    locale_collate: Text = "locale-collate", "", text(Locale), "", MUTABLE, Nothing, Later;
    logfile: Text = "logfile", "", ANY, "", IMMUTABLE, Nothing, Works;
    loglevel: LogLevel = "loglevel", "", choice(LogLevel::NAMES), "notice", MUTABLE, LogLevel, Works;
    lua_enable_deprecated_api: bool = "lua-enable-deprecated-api", "", BOOL, "no", IMMUTABLE | HIDDEN, Nothing, Later;
    masterauth: Text = "masterauth", "", ANY, "", SENSITIVE, Nothing, Later;
    masteruser: Text = "masteruser", "", ANY, "", SENSITIVE, Nothing, Later;
    max_new_connections_per_cycle: u32 = "max-new-connections-per-cycle", "", int(1, 1000), "10", MUTABLE, Nothing, Works;
    max_new_tls_connections_per_cycle: u32 = "max-new-tls-connections-per-cycle", "", int(1, 1000), "1", MUTABLE, Nothing, Works;
    maxclients: u32 = "maxclients", "", int(1, U32_MAX), "10000", MUTABLE, MaxClients, Works;
    maxmemory: u64 = "maxmemory", "", memory(0, U64_MAX), "0", MUTABLE, Maxmemory, Later;
    maxmemory_clients: MemoryOrPercent = "maxmemory-clients", "", Rule::MemoryOrPercent, "0", MUTABLE, MaxmemoryClients, Works;
    maxmemory_eviction_tenacity: u32 = "maxmemory-eviction-tenacity", "", int(0, 100), "10", MUTABLE, Nothing, Later;
    maxmemory_policy: MaxmemoryPolicy = "maxmemory-policy", "", choice(MaxmemoryPolicy::NAMES), "noeviction", MUTABLE, Nothing, Later;
    maxmemory_samples: u32 = "maxmemory-samples", "", int(1, 64), "5", MUTABLE, Nothing, Later;
    min_replicas_max_lag: u32 = "min-replicas-max-lag", "min-slaves-max-lag", int(0, I32_MAX), "10", MUTABLE, GoodReplicas, Later;
    min_replicas_to_write: u32 = "min-replicas-to-write", "min-slaves-to-write", int(0, I32_MAX), "0", MUTABLE, GoodReplicas, Later;
    no_appendfsync_on_rewrite: bool = "no-appendfsync-on-rewrite", "", BOOL, "no", MUTABLE, Nothing, Later;
    notify_keyspace_events: KeyspaceEvents = "notify-keyspace-events", "", OWN, "", MUTABLE, KeyspaceEvents, Works;
    oom_score_adj: OomScoreAdj = "oom-score-adj", "", choice(OomScoreAdj::NAMES), "no", MUTABLE, OomScoreAdj, Works;
    oom_score_adj_values: OomScores = "oom-score-adj-values", "", OWN, "0 200 800", MULTI, OomScoreAdj, Works;
    pidfile: Text = "pidfile", "", ANY, "", IMMUTABLE, Nothing, Works;
    port: u16 = "port", "", int(0, 65535), "6379", MUTABLE, Port, Works;
    proc_title_template: Text = "proc-title-template", "", text(TitleTemplate), "{title} {listen-addr} {server-mode}", MUTABLE, ProcTitle, Works;
    propagation_error_behavior: PropagationError = "propagation-error-behavior", "", choice(PropagationError::NAMES), "ignore", MUTABLE, Nothing, Later;
    protected_mode: bool = "protected-mode", "", BOOL, "yes", MUTABLE, Nothing, Works;
    proto_max_bulk_len: u64 = "proto-max-bulk-len", "", memory(1048576, I64_MAX), "536870912", DEBUG, Nothing, Works;
    rdb_del_sync_files: bool = "rdb-del-sync-files", "", BOOL, "no", MUTABLE, Nothing, Later;
    rdb_key_save_delay: i32 = "rdb-key-save-delay", "", int(I32_MIN, I32_MAX), "0", HIDDEN, Nothing, Later;
    rdb_save_incremental_fsync: bool = "rdb-save-incremental-fsync", "", BOOL, "yes", MUTABLE, Nothing, Later;
    rdbchecksum: bool = "rdbchecksum", "", BOOL, "yes", IMMUTABLE, Nothing, Later;
    rdbcompression: bool = "rdbcompression", "", BOOL, "yes", MUTABLE, Nothing, Works;
    repl_backlog_size: u64 = "repl-backlog-size", "", BACKLOG, "1048576", MUTABLE, ReplBacklogSize, Later;
    repl_backlog_ttl: u64 = "repl-backlog-ttl", "", int(0, I64_MAX), "3600", MUTABLE, Nothing, Later;
    repl_disable_tcp_nodelay: bool = "repl-disable-tcp-nodelay", "", BOOL, "no", MUTABLE, Nothing, Later;
    repl_diskless_load: DisklessLoad = "repl-diskless-load", "", choice(DisklessLoad::NAMES), "disabled", DEBUG | DENY_LOADING, Nothing, Later;
    repl_diskless_sync: bool = "repl-diskless-sync", "", BOOL, "yes", DEBUG, Nothing, Later;
    repl_diskless_sync_delay: u32 = "repl-diskless-sync-delay", "", int(0, I32_MAX), "5", MUTABLE, Nothing, Later;
    repl_diskless_sync_max_replicas: u32 = "repl-diskless-sync-max-replicas", "", int(0, I32_MAX), "0", MUTABLE, Nothing, Later;
    repl_ping_replica_period: u32 = "repl-ping-replica-period", "repl-ping-slave-period", int(1, I32_MAX), "10", MUTABLE, Nothing, Later;
    repl_rdb_channel: bool = "repl-rdb-channel", "", BOOL, "yes", HIDDEN, Nothing, Later;
    repl_timeout: u32 = "repl-timeout", "", int(1, I32_MAX), "60", MUTABLE, Nothing, Later;
    replica_announce_ip: Text = "replica-announce-ip", "slave-announce-ip", ANY, "", MUTABLE, Nothing, Later;
    replica_announce_port: u16 = "replica-announce-port", "slave-announce-port", int(0, 65535), "0", MUTABLE, Nothing, Later;
    replica_announced: bool = "replica-announced", "", BOOL, "yes", MUTABLE, Nothing, Later;
    replica_full_sync_buffer_limit: u64 = "replica-full-sync-buffer-limit", "", memory(0, I64_MAX), "0", MUTABLE, Nothing, Later;
    replica_ignore_disk_write_errors: bool = "replica-ignore-disk-write-errors", "", BOOL, "no", MUTABLE, Nothing, Later;
    replica_ignore_maxmemory: bool = "replica-ignore-maxmemory", "slave-ignore-maxmemory", BOOL, "yes", MUTABLE, Nothing, Later;
    replica_lazy_flush: bool = "replica-lazy-flush", "slave-lazy-flush", BOOL, "no", MUTABLE, Nothing, Later;
    replica_priority: u32 = "replica-priority", "slave-priority", int(0, I32_MAX), "100", MUTABLE, Nothing, Later;
    replica_read_only: bool = "replica-read-only", "slave-read-only", BOOL, "yes", DEBUG, Nothing, Later;
    replica_serve_stale_data: bool = "replica-serve-stale-data", "slave-serve-stale-data", BOOL, "yes", MUTABLE, Nothing, Later;
    replicaof: ReplicaOf = "replicaof", "slaveof", OWN, "", IMMUTABLE | MULTI, Nothing, Later;
    requirepass: Text = "requirepass", "", ANY, "", SENSITIVE, Requirepass, Works;
    sanitize_dump_payload: SanitizeDump = "sanitize-dump-payload", "", choice(SanitizeDump::NAMES), "no", DEBUG, Nothing, Later;
    save: SaveRules = "save", "", OWN, "3600 1 300 100 60 10000", MULTI, Nothing, Later;
    server_cpulist: Text = "server-cpulist", "server_cpulist", ANY, "", IMMUTABLE, Nothing, Works;
    set_max_intset_entries: usize = "set-max-intset-entries", "", int(0, I64_MAX), "512", MUTABLE, Nothing, Works;
    set_max_listpack_entries: usize = "set-max-listpack-entries", "", int(0, I64_MAX), "128", MUTABLE, Nothing, Works;
    set_max_listpack_value: usize = "set-max-listpack-value", "", int(0, I64_MAX), "64", MUTABLE, Nothing, Works;
    set_proc_title: bool = "set-proc-title", "", BOOL, "yes", IMMUTABLE, Nothing, Works;
    shutdown_on_sigint: ShutdownFlags = "shutdown-on-sigint", "", choice(ShutdownFlags::NAMES), "default", MULTI, Nothing, Works;
    shutdown_on_sigterm: ShutdownFlags = "shutdown-on-sigterm", "", choice(ShutdownFlags::NAMES), "default", MULTI, Nothing, Works;
    shutdown_timeout: u32 = "shutdown-timeout", "", int(0, I32_MAX), "10", MUTABLE, Nothing, Later;
    slowlog_log_slower_than: i64 = "slowlog-log-slower-than", "", int(-1, I64_MAX), "10000", MUTABLE, Nothing, Works;
    slowlog_max_len: u64 = "slowlog-max-len", "", int(0, I64_MAX), "128", MUTABLE, Nothing, Works;
    socket_mark_id: u32 = "socket-mark-id", "", int(0, U32_MAX), "0", IMMUTABLE, Nothing, Works;
    stop_writes_on_bgsave_error: bool = "stop-writes-on-bgsave-error", "", BOOL, "yes", MUTABLE, Nothing, Later;
    stream_node_max_bytes: usize = "stream-node-max-bytes", "", memory(0, I64_MAX), "4096", MUTABLE, Nothing, Later;
    stream_node_max_entries: u64 = "stream-node-max-entries", "", int(0, I64_MAX), "100", MUTABLE, Nothing, Later;
    supervised: Supervised = "supervised", "", choice(Supervised::NAMES), "no", IMMUTABLE, Nothing, Works;
    syslog_enabled: bool = "syslog-enabled", "", BOOL, "no", IMMUTABLE, Nothing, Works;
    syslog_facility: SyslogFacility = "syslog-facility", "", choice(SyslogFacility::NAMES), "local0", IMMUTABLE, Nothing, Works;
    syslog_ident: Text = "syslog-ident", "", ANY, "redis", IMMUTABLE, Nothing, Works;
    tcp_backlog: u32 = "tcp-backlog", "", int(0, I32_MAX), "511", IMMUTABLE, Nothing, Works;
    tcp_keepalive: u32 = "tcp-keepalive", "", int(0, I32_MAX), "300", MUTABLE, Nothing, Works;
    timeout: u32 = "timeout", "", int(0, I32_MAX), "0", MUTABLE, Nothing, Works;
    tls_auth_clients: TlsAuthClients = "tls-auth-clients", "", choice(TlsAuthClients::NAMES), "yes", MUTABLE, Nothing, Works;
    tls_ca_cert_dir: Text = "tls-ca-cert-dir", "", ANY, "", VOLATILE, Tls, Works;
    tls_ca_cert_file: Text = "tls-ca-cert-file", "", ANY, "", VOLATILE, Tls, Works;
    tls_cert_file: Text = "tls-cert-file", "", ANY, "", VOLATILE, Tls, Works;
    tls_ciphers: Text = "tls-ciphers", "", ANY, "", MUTABLE, Tls, Works;
    tls_ciphersuites: Text = "tls-ciphersuites", "", ANY, "", MUTABLE, Tls, Works;
    tls_client_cert_file: Text = "tls-client-cert-file", "", ANY, "", VOLATILE, Tls, Later;
    tls_client_key_file: Text = "tls-client-key-file", "", ANY, "", VOLATILE, Tls, Later;
    tls_client_key_file_pass: Text = "tls-client-key-file-pass", "", ANY, "", SENSITIVE, Tls, Later;
    tls_cluster: bool = "tls-cluster", "", BOOL, "no", MUTABLE, Tls, Later;
    tls_dh_params_file: Text = "tls-dh-params-file", "", ANY, "", VOLATILE, Tls, Later;
    tls_key_file: Text = "tls-key-file", "", ANY, "", VOLATILE, Tls, Works;
    tls_key_file_pass: Text = "tls-key-file-pass", "", ANY, "", SENSITIVE, Tls, Works;
    tls_port: u16 = "tls-port", "", int(0, 65535), "0", MUTABLE, TlsPort, Works;
    tls_prefer_server_ciphers: bool = "tls-prefer-server-ciphers", "", BOOL, "no", MUTABLE, Tls, Works;
    tls_protocols: Text = "tls-protocols", "", ANY, "", MUTABLE, Tls, Works;
    tls_replication: bool = "tls-replication", "", BOOL, "no", MUTABLE, Tls, Later;
    tls_session_cache_size: u32 = "tls-session-cache-size", "", int(0, I32_MAX), "20480", MUTABLE, Tls, Works;
    tls_session_cache_timeout: u32 = "tls-session-cache-timeout", "", int(0, I32_MAX), "300", MUTABLE, Tls, Works;
    tls_session_caching: bool = "tls-session-caching", "", BOOL, "yes", MUTABLE, Tls, Works;
    tracking_table_max_keys: usize = "tracking-table-max-keys", "", int(0, I64_MAX), "1000000", MUTABLE, Nothing, Works;
    unixsocket: Text = "unixsocket", "", ANY, "", IMMUTABLE, Nothing, Works;
    unixsocketperm: u32 = "unixsocketperm", "", Rule::Octal { max: 0o777 }, "0", IMMUTABLE, Nothing, Works;
    use_exit_on_panic: bool = "use-exit-on-panic", "", BOOL, "no", HIDDEN, Nothing, Later;
    watchdog_period: u32 = "watchdog-period", "", int(0, I32_MAX), "0", HIDDEN, Watchdog, Later;
    zset_max_listpack_entries: usize = "zset-max-listpack-entries", "zset-max-ziplist-entries", int(0, I64_MAX), "128", MUTABLE, Nothing, Works;
    zset_max_listpack_value: usize = "zset-max-listpack-value", "zset-max-ziplist-value", memory(0, I64_MAX), "64", MUTABLE, Nothing, Works;
}
