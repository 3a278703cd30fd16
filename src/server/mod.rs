//! The process: main loop, clients, listeners, cron, shutdown. Runs on the main thread.

mod batch;
pub mod client;
mod connections;
mod cron;
mod effects;
pub mod event_loop;
pub mod listeners;
mod output;

use std::path::PathBuf;

use crate::config::Config;
use crate::engine::Engine;
use crate::io::Io;
use crate::io::ring::RingIo;
use crate::observe::log;
use crate::server::event_loop::{SIGNAL_TOKEN, Server};

/// What the server is started with.
pub struct Start {
    /// The whole configuration.
    pub config: Config,
    /// Absolute path of the configuration file, where there is one.
    pub config_file: Option<PathBuf>,
    /// Absolute path of the running binary.
    pub executable: PathBuf,
}
