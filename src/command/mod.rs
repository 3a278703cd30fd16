//! What a command is: its specification, the registry that finds it by name, the context a handler runs in, and the
//! errors it can answer. Knows no command by name and no sockets.

pub mod context;
pub mod error;
pub mod session;
pub mod spec;
