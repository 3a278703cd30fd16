//! Torc: a Redis-compatible in-memory data server whose network layer is io_uring.
//!
//! The modules are floors, lowest first. A module uses only floors below it; `tests/tidy.rs` fails every upward
//! `use crate::`. Unsafe code lives in five rooms (`sys`, `uring`, `handoff::channel`, `io::ring`,
//! `encoding`); every other module forbids it.

// Floor 0: knows nothing of Redis.
pub mod base;
pub mod handoff;
pub mod sys;
pub mod uring;

// Floor 1: bytes.
pub mod io;
pub mod resp;
pub mod transport;

// Floor 2: data.
pub mod encoding;
pub mod keyspace;
pub mod types;

// Floor 3: services, each a state machine with no sockets and no threads.
pub mod acl;
pub mod blocking;
pub mod config;
pub mod observe;
pub mod pubsub;
pub mod tracking;

// Floor 4: commands.
pub mod command;
pub mod commands;
pub mod engine;

// Floor 5: the process.
pub mod server;
