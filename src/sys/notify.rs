//! Words to the service manager: systemd's READY, STOPPING and STATUS. Main thread. Nothing is said before [`join`]: the
//! address of a manager may be in the environment of a process that nobody watches.

use std::env;
use std::sync::atomic::{AtomicBool, Ordering};

static JOINED: AtomicBool = AtomicBool::new(false);

/// From now on the manager is told.
pub fn join() {
    JOINED.store(true, Ordering::Relaxed);
}

/// Whether the manager listens: it leaves the address of its socket in the environment.
pub fn is_available() -> bool {
    env::var_os("NOTIFY_SOCKET").is_some_and(|socket| !socket.is_empty())
}

/// The process serves; `status` is shown by `systemctl status`.
pub fn ready(status: &str) {
    send(&[sd_notify::NotifyState::Status(status), sd_notify::NotifyState::Ready]);
}

/// Only the status, while the process starts.
pub fn status(status: &str) {
    send(&[sd_notify::NotifyState::Status(status)]);
}

/// The process is about to end.
pub fn stopping(status: &str) {
    send(&[sd_notify::NotifyState::Status(status), sd_notify::NotifyState::Stopping]);
}

/// A manager that has gone away is no reason to stop serving.
fn send(states: &[sd_notify::NotifyState<'_>]) {
    if JOINED.load(Ordering::Relaxed) {
        let _ = sd_notify::notify(states);
    }
}
