//! The clocks of the tool, read here only.

#![forbid(unsafe_code)]

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
#[inline]
#[expect(clippy::disallowed_methods, reason = "a measuring tool reads the real clock; it does so here only")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Since 1970, UTC.
#[expect(clippy::disallowed_methods, reason = "results are dated; the wall clock is read here only")]
pub(crate) fn since_1970() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
