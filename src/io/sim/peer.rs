//! The other ends of a simulated network: what a test does in the place of clients, and what those see of the server.

#![forbid(unsafe_code)]

use std::collections::VecDeque;

use super::world::SharedPeer;
use super::{Ready, SimIo};
use crate::io::{Completion, ConnId, ListenerId};

/// A client of the simulated network, in the order of `connect` calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PeerId(pub usize);

/// How a peer sees that the server is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerEnd {
    /// The server closed when it had read everything.
    Eof,
    /// The server closed with bytes unread, stopped listening, or the network broke the connection.
    Reset,
}

/// One client's end of a connection.
#[derive(Debug)]
pub(super) struct Peer {
    /// The server's end, once accepted and until closed.
    pub(super) conn: Option<ConnId>,
    /// Written and not yet received by the server.
    pub(super) to_server: VecDeque<u8>,
    /// Nothing more comes from the peer.
    pub(super) finished: bool,
    /// The peer reads no more.
    pub(super) gone: bool,
    /// The connection is broken, by the peer or by the network.
    pub(super) broken: bool,
    /// It was the network's doing.
    pub(super) faulted: bool,
    /// Sent by the server and not yet read.
    pub(super) from_server: Vec<u8>,
    pub(super) window: usize,
    pub(super) server_end: Option<PeerEnd>,
}

impl Peer {
    /// How much the server can send now.
    pub(super) fn room(&self) -> usize {
        self.window.saturating_sub(self.from_server.len())
    }

    /// Whether a sender has to wait.
    pub(super) fn is_full(&self) -> bool {
        self.room() == 0 && !self.gone && !self.broken
    }

    /// How the peer sees the server's close.
    pub(super) fn server_left(&mut self) {
        let reset = self.broken || !self.to_server.is_empty();
        self.conn = None;
        self.server_end = Some(if reset { PeerEnd::Reset } else { PeerEnd::Eof });
        self.to_server.clear();
    }
}

impl SimIo {
    /// A new client knocks.
    pub fn connect(&mut self, listener: ListenerId) -> PeerId {
        let id = PeerId(self.peers.len());
        let listener = &mut self.listeners[listener.0 as usize];
        let refused = listener.socket.is_none();
        self.peers.push(SharedPeer::new(Peer {
            conn: None,
            to_server: VecDeque::new(),
            finished: false,
            gone: false,
            broken: refused,
            faulted: false,
            from_server: Vec::new(),
            window: self.options.window,
            server_end: refused.then_some(PeerEnd::Reset),
        }));
        if !refused {
            listener.backlog.push_back(id);
        }
        id
    }

    /// The peer sends; what it sends after the server is gone goes nowhere.
    pub fn peer_write(&mut self, peer: PeerId, bytes: &[u8]) {
        let mut peer = self.peers[peer.0].lock();
        assert!(!peer.finished, "a peer that has closed writes nothing");
        if peer.server_end.is_none() && !peer.broken {
            peer.to_server.extend(bytes);
        }
    }

    /// Everything the server has sent since the last call. Makes room for more.
    pub fn peer_read(&mut self, peer: PeerId) -> Vec<u8> {
        std::mem::take(&mut self.peers[peer.0].lock().from_server)
    }

    /// The peer sends no more, but still reads.
    pub fn peer_shutdown(&mut self, peer: PeerId) {
        self.peers[peer.0].lock().finished = true;
    }

    /// The peer closes. With bytes unread that breaks the connection, as the kernel does it.
    pub fn peer_close(&mut self, peer: PeerId) {
        let mut peer = self.peers[peer.0].lock();
        peer.finished = true;
        peer.gone = true;
        peer.broken |= !peer.from_server.is_empty();
    }

    /// The peer breaks the connection; what it wrote may or may not arrive.
    pub fn peer_reset(&mut self, peer: PeerId) {
        let discards = self.dice.happens(self.options.reset_discards);
        let mut peer = self.peers[peer.0].lock();
        peer.finished = true;
        peer.gone = true;
        peer.broken = true;
        if discards {
            peer.to_server.clear();
        }
    }

    /// How many unread bytes the peer's side takes before the server has to wait. 0: reads nothing.
    pub fn peer_window(&mut self, peer: PeerId, bytes: usize) {
        self.peers[peer.0].lock().window = bytes;
    }

    /// What the server did to the connection, if anything.
    pub fn peer_closed(&self, peer: PeerId) -> Option<PeerEnd> {
        self.peers[peer.0].lock().server_end
    }

    /// Whether the network lost this connection: no fault of peer or server.
    pub fn peer_faulted(&self, peer: PeerId) -> bool {
        self.peers[peer.0].lock().faulted
    }

    /// The server's end of the connection, while there is one.
    pub fn peer_conn(&self, peer: PeerId) -> Option<ConnId> {
        self.peers[peer.0].lock().conn
    }

    /// Bytes that the peer wrote and the server has not received.
    pub fn peer_unreceived(&self, peer: PeerId) -> usize {
        self.peers[peer.0].lock().to_server.len()
    }

    /// A watched descriptor becomes readable.
    pub fn readable(&mut self, token: u32) {
        assert!(self.watched.contains(&token), "nobody watches {token}");
        self.ready.push_back(Ready::Done(Completion::Readable { token }));
    }

    /// Connections that are open, as the server sees it.
    pub fn open_connections(&self) -> usize {
        self.slots.iter().filter(|slot| slot.is_open()).count()
    }

    /// Slots that are not free: open connections, and closed ones with something in flight.
    pub fn slots_in_use(&self) -> usize {
        self.slots.iter().filter(|slot| !slot.is_free()).count()
    }

    /// Bytes lent to the server, or on their way to it.
    pub fn bytes_out(&self) -> usize {
        self.lent.len() + self.ready_bytes
    }
}
