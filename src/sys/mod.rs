//! The operating system, behind safe wrappers: sockets, signals, processes, limits, memory facts. Unsafe room.

pub mod errno;
pub mod path_glob;
pub mod prefetch;

pub use errno::Errno;
