//! The operating system, behind safe wrappers: sockets, signals, processes, limits, memory facts. Unsafe room.

pub mod prefetch;
