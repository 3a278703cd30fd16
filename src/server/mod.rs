//! The process: main loop, clients, listeners, cron, shutdown. Runs on the main thread.

mod batch;
pub mod client;
mod connections;
mod cron;
mod effects;
pub mod event_loop;
pub mod listeners;
mod output;
pub mod startup;

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

/// Runs until the server is told to end; returns the exit status.
pub fn run(start: Start) -> anyhow::Result<()> {
    let io = RingIo::new()?;
    let facts = crate::command::facts::ProcessFacts::detached();
    let mut engine = Engine::new(start.config, facts, crate::sys::random::seed_u64());
    let ticks = crate::sys::time::tick_source();
    engine.use_ticks(crate::command::ticks::Ticks::counter(ticks.read, ticks.ticks_per_second));
    let mut server = Server::new(io, engine);
    server.engine.wake(server.io.now_us());
    let mut signals = crate::sys::signals::Signals::watch()?;
    server.io.watch(signals.descriptor(), SIGNAL_TOKEN);
    server.read_signals = Box::new(move || signals.take().into_iter().map(|_| "SIGTERM").collect());
    let config = server.engine.state.config.clone();
    server.listeners.open(&mut server.io, &config).map_err(|e| anyhow::anyhow!("{e}"))?;
    log::notice(format_args!("Ready to accept connections"));
    while server.step()? {}
    Ok(())
}
