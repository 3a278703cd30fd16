//! Statistics and the log.

#![forbid(unsafe_code)]

pub mod stats;
