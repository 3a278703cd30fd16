//! What the process knows of itself and the engine only reports: INFO's server section, HELLO, SHUTDOWN's caller.
//! Filled by the server at start; the listeners' texts are renewed when they are opened again.

#![forbid(unsafe_code)]

/// The version of Redis whose behaviour this server has: what HELLO and INFO report, because clients decide by it.
pub const REDIS_VERSION: &str = "8.0.6";

/// What the network is built on.
#[derive(Clone, Debug, Default)]
pub struct NetworkFacts {
    /// `io_uring` or `epoll`.
    pub back_end: &'static str,
    /// Why it is this one.
    pub reason: String,
    /// Features of the kernel that are used, with commas.
    pub features_used: String,
    /// Those that would be used but are not there.
    pub features_missing: String,
}

/// Facts that do not change while commands run.
#[derive(Clone, Debug)]
pub struct ProcessFacts {
    /// 40 hexadecimal digits, new at every start.
    pub run_id: String,
    /// 40 hexadecimal digits: the name of this data set's history.
    pub replication_id: String,
    /// Process number.
    pub process_id: u32,
    /// Absolute path of the binary.
    pub executable: String,
    /// Absolute path of the configuration file, empty without one.
    pub config_file: String,
    /// `no`, `systemd`, ...
    pub supervised: &'static str,
    /// Kernel name, release and machine.
    pub os: String,
    /// Clock behind durations.
    pub monotonic_clock: String,
    /// I/O back end.
    pub multiplexing_api: &'static str,
    /// More of the back end.
    pub network: NetworkFacts,
    /// Compiler.
    pub compiler: String,
    /// Memory allocator.
    pub allocator: &'static str,
    /// Bytes in use when the server was ready, before the first command.
    pub startup_memory_bytes: u64,
    /// Unix microseconds of the start.
    pub started_us: i64,
    /// `name=tcp,bind=127.0.0.1,port=6379` for each kind of listener, at its number: TCP, Unix, TLS. Empty where there is none.
    pub listeners: [String; 3],
    /// Kernel features the ring uses, and other lines of the server section that only this server has:
    /// (field, value).
    pub extra_server_fields: Vec<(&'static str, String)>,
}

impl ProcessFacts {
    /// Facts of a server that has no process of its own: for tests, fuzzing and measuring.
    pub fn detached() -> ProcessFacts {
        ProcessFacts {
            run_id: "0".repeat(40),
            replication_id: "0".repeat(40),
            process_id: 1,
            executable: String::new(),
            config_file: String::new(),
            supervised: "no",
            os: "Linux".into(),
            monotonic_clock: "none".into(),
            multiplexing_api: "none",
            network: NetworkFacts { back_end: "none", ..NetworkFacts::default() },
            compiler: String::new(),
            allocator: "libc",
            startup_memory_bytes: 0,
            started_us: 0,
            listeners: [const { String::new() }; 3],
            extra_server_fields: Vec::new(),
        }
    }
}
