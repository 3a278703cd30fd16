//! Statistics and the log.

#![forbid(unsafe_code)]

pub mod histogram;
pub mod info;
pub mod latency;
pub mod log;
pub mod slow_log;
pub mod stats;
pub mod threads;
