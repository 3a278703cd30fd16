//! The clocks of the tool, read here only.

#![forbid(unsafe_code)]

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
#[inline]
#[expect(clippy::disallowed_methods, reason = "a measuring tool reads the real clock; it does so here only")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970, UTC.
#[expect(clippy::disallowed_methods, reason = "result files are dated; the wall clock is read here only")]
pub(crate) fn unix_time_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
