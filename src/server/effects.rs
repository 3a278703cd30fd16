//! What commands ask of the process: closing clients, following a changed configuration, ending.

#![forbid(unsafe_code)]

use crate::command::effects::ShutdownRequest;
use crate::command::session::{SessionFlags, Slot};
use crate::config::Apply;
use crate::io::Io;
use crate::observe::log;
use crate::resp::reply::Mark;
use crate::server::event_loop::{SIGNAL_TOKEN, Server};
use crate::sys::rlimit::{self, FilesOutcome};
use crate::transport::plain::ListenerKind;

impl<I: Io> Server<I> {
    /// Called after a command that left effects. `reply` is where its reply begins: where the process cannot follow a
    /// changed configuration the change is taken back and the reply replaced by the error.
    #[cold]
    pub(super) fn apply_effects(&mut self, caller: u32, reply: Mark) {
        let effects = self.engine.state.effects.take();
        effects.warnings.iter().for_each(|line| log::warning(format_args!("{line}")));
        for slot in effects.kill {
            if slot.0 == caller {
                self.engine.session_mut(slot).flags.insert(SessionFlags::CLOSE_AFTER_REPLY);
            } else if let Some(client) = self.clients.get(slot.0 as usize).and_then(Option::as_deref) {
                let conn = client.conn;
                self.close_now(conn);
            }
        }
        for change in effects.config_changed {
            if let Err(text) = self.follow(change) {
                self.engine.undo_config_change();
                self.reply.truncate(reply);
                self.reply.error(text);
                break;
            }
        }
        if let Some(request) = effects.shutdown {
            self.begin_shutdown(request);
        }
    }

    /// Makes the process as the configuration says now.
    fn follow(&mut self, change: Apply) -> Result<(), String> {
        let config = &self.engine.state.config;
        let failed = |name: &str, reason: &str| {
            Err(format!("CONFIG SET failed (possibly related to argument '{name}') - {reason}"))
        };
        match change {
            Apply::Bind | Apply::Port => {
                let before = self.engine.state.config_before.as_deref().unwrap_or(config);
                let reopened = self.listeners.reopen_tcp(&mut self.io, config, before);
                match (reopened, change) {
                    (Ok(opened), _) => {
                        self.publish_listeners(ListenerKind::Tcp, &opened);
                        Ok(())
                    }
                    (Err(()), Apply::Bind) => failed("bind", "Failed to bind to specified addresses."),
                    (Err(()), _) => failed("port", "Unable to listen on this port. Check server logs."),
                }
            }
            Apply::MaxClients => match rlimit::ensure_open_files(config.maxclients) {
                FilesOutcome::Reduced { maxclients, .. } => failed(
                    "maxclients",
                    &format!(
                        "The operating system is not able to handle the specified number of clients, try with {maxclients}"
                    ),
                ),
                FilesOutcome::TooFew(_) => failed(
                    "maxclients",
                    "The operating system is not able to handle the specified number of clients, try with 1",
                ),
                FilesOutcome::Enough | FilesOutcome::Raised(_) => Ok(()),
            },
            Apply::LogLevel => {
                log::set_level(config.loglevel);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// SHUTDOWN, or a signal.
    pub(super) fn begin_shutdown(&mut self, request: ShutdownRequest) {
        log::warning(format_args!("User requested shutdown..."));
        self.shutdown = Some(request);
    }

    /// The descriptor of signals is readable.
    pub(super) fn readable(&mut self, token: u32) {
        if token != SIGNAL_TOKEN {
            return;
        }
        for signal in (self.read_signals)() {
            let name = if signal == libc::SIGINT { "SIGINT" } else { "SIGTERM" };
            log::warning(format_args!("Received {name} scheduling shutdown..."));
            self.begin_shutdown(ShutdownRequest::default());
        }
    }

    /// Whether a session wants its connection closed once its output is written.
    #[inline]
    pub(super) fn session_closing(&self, slot: u32) -> bool {
        let closing = SessionFlags::CLOSE_AFTER_REPLY | SessionFlags::CLOSE_ASAP;
        self.engine.session(Slot(slot)).flags.intersects(closing)
    }
}
