//! Parameters: names, kinds, bounds, defaults, file and command-line syntax.

#![forbid(unsafe_code)]

/// A change that the process has to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Apply {}

/// The parameters that the engine reads.
#[derive(Clone, Debug)]
pub struct Config {
    /// Number of databases.
    pub databases: u32,
    /// Runs of the cron per second.
    pub hz: u32,
    /// Password of the default user, empty for none.
    pub requirepass: String,
    /// How hard active expiry works, 1 to 10.
    pub active_expire_effort: u32,
    /// Clients at most.
    pub maxclients: u32,
    /// Commands under other names.
    pub rename_command: Vec<(String, String)>,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            databases: 16,
            hz: 10,
            requirepass: String::new(),
            active_expire_effort: 1,
            maxclients: 10_000,
            rename_command: Vec::new(),
        }
    }
}
