//! What a command is: its specification, the registry that finds it by name, the state and the context a handler works
//! on, and the errors it can answer. Knows no command by name and no sockets.

#![forbid(unsafe_code)]

pub mod client_memory;
pub mod clients;
pub mod context;
pub mod debug_switches;
pub mod effects;
pub mod error;
pub mod events;
pub mod facts;
pub mod keys;
mod limits;
pub mod messages;
pub mod outbox;
pub mod permissions;
pub mod prepared;
pub mod recent_peaks;
pub mod redaction;
pub mod registry;
pub mod reply_buffer;
pub mod session;
pub mod sessions;
pub mod spec;
pub mod state;
pub mod ticks;
