//! Waiting with an end, and skipping aloud.

use std::time::{Duration, Instant};

/// How long a test waits for anything before it fails. Generous: the machine may be busy with other tests.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(30);

/// Polls until `condition` holds; fails with `what` after [`TIMEOUT`].
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + TIMEOUT;
    while !condition() {
        assert!(Instant::now() < end, "not within {TIMEOUT:?}: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Says in the test's output that it proved nothing on this host, and why.
pub(crate) fn skip(why: &str) {
    let name = std::thread::current().name().unwrap_or("test").to_owned();
    eprintln!("SKIPPED {name}: {why}");
}
