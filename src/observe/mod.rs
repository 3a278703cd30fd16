//! Statistics and the log.
