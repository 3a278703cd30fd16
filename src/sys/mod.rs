//! The operating system, behind safe wrappers: sockets, readiness, signals, processes, processors, limits, memory facts. Unsafe room.

pub mod crash;
pub mod epoll;
pub mod errno;
pub mod eventfd;
pub mod handler_log;
pub mod kernel;
pub mod memory;
pub mod notify;
pub mod oom;
pub mod path_glob;
pub mod prefetch;
pub mod process;
pub mod processors;
pub mod random;
pub mod replace_file;
pub mod rlimit;
pub mod signals;
pub mod socket;
pub mod stream;
pub mod syslog;
pub mod time;
pub mod title;

pub use errno::Errno;
