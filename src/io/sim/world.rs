//! What several simulated back ends have in common: the clock, the peers of connections that move between them, and
//! wake-ups. They are stepped on one thread, so the locks and atomics only satisfy `Send`.

#![forbid(unsafe_code)]

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::peer::Peer;

/// The time of one world.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// Microseconds that turns have waited in vain.
    pub(super) waited_us: AtomicU64,
    /// Microseconds that turns have taken.
    pub(super) worked_us: AtomicU64,
    /// How far somebody has set the wall clock since the start.
    pub(super) set_us: AtomicI64,
}

/// A peer, wherever the server's end of its connection is. Locked for one look or one change at a time.
#[derive(Clone, Debug)]
pub(super) struct SharedPeer(Arc<Mutex<Peer>>);

impl SharedPeer {
    pub(super) fn new(peer: Peer) -> SharedPeer {
        SharedPeer(Arc::new(Mutex::new(peer)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Peer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is(&self, other: &SharedPeer) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

/// A connection that no back end has. Its peer goes on writing, reading and leaving; where the socket is dropped, it sees
/// the end.
#[derive(Debug)]
pub struct SimSocket {
    peer: Option<SharedPeer>,
}

impl SimSocket {
    pub(super) fn new(peer: SharedPeer) -> SimSocket {
        SimSocket { peer: Some(peer) }
    }

    /// The peer, for a back end that takes the connection.
    pub(super) fn into_peer(mut self) -> SharedPeer {
        self.peer.take().unwrap_or_else(|| panic!("a socket is taken once"))
    }
}

impl Drop for SimSocket {
    fn drop(&mut self) {
        if let Some(peer) = &self.peer {
            peer.lock().server_left();
        }
    }
}

/// Whether a back end was asked to wake up and has not told so yet.
#[derive(Clone, Debug, Default)]
pub struct SimWaker(Arc<AtomicBool>);

impl SimWaker {
    pub(super) fn wake(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_due(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    pub(super) fn told(&self) {
        self.0.store(false, Ordering::Relaxed);
    }
}
