//! Statistics and the log.

#![forbid(unsafe_code)]

pub mod info;
pub mod log;
pub mod stats;
