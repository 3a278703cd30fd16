//! Tests of the Io contract, the same for all back ends: on the ring and on epoll with real loopback sockets, on the
//! simulated network once calm and once by many seeds. What only real ones can be made to do stands apart.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "the peers are real sockets of the test's own")]

#[macro_use]
mod cases;
mod echo;
mod epoll_cases;
mod moving_cases;
mod ring_cases;

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use bytes::Bytes;

use super::epoll::EpollIo;
use super::ring::RingIo;
use super::sim::{PeerId, SimIo, SimOptions};
use super::{Completion, ConnId, Io, ListenerId, TurnOutput};
use crate::uring::buffer_ring::BufferSizes;
use crate::uring::{Features, RingOptions};

/// Most turns that anything may take.
const TURNS_MAX: usize = 20_000;

/// A back end and the means to act as its peers. Nothing here waits.
trait Net {
    type Back: Io;
    fn io(&mut self) -> &mut Self::Back;
    fn listener(&self) -> ListenerId;
    /// How long a turn waits when there is nothing to do.
    fn wait(&self) -> Option<Duration>;
    /// More bytes than the network takes for a peer that does not read.
    fn too_much(&self) -> usize;
    fn connect(&mut self) -> usize;
    /// Writes as much as is taken now.
    fn write(&mut self, peer: usize, bytes: &[u8]) -> usize;
    /// Everything that is there now.
    fn read(&mut self, peer: usize) -> Vec<u8>;
    /// The peer writes no more.
    fn shutdown(&mut self, peer: usize);
    fn close(&mut self, peer: usize);
    /// Whether the peer has seen that the server is gone; `read` before it.
    fn ended(&mut self, peer: usize) -> bool;
    /// Slots that are not free.
    fn slots_in_use(&self) -> usize;
    /// A second back end of the same kind.
    fn beside(&mut self) -> Self::Back;

    /// One turn without output.
    fn step(&mut self) -> Vec<Completion> {
        let wait = self.wait();
        self.io().turn(TurnOutput::NONE, wait).unwrap();
        let mut completions = Vec::new();
        self.io().poll(&mut completions).unwrap();
        completions
    }

    /// One turn; gives the owned send that is over, if one is, and drops other completions.
    fn step_over(&mut self) -> Option<(Vec<Bytes>, usize)>
    where
        Self: Sized,
    {
        let mut over = None;
        for completion in self.step() {
            match completion {
                Completion::AcceptEnded { listener, .. } => self.io().accept_again(listener),
                Completion::Sent { chunks, sent, .. } => over = Some((chunks, sent.unwrap())),
                _ => {}
            }
        }
        over
    }

    /// Steps until a completion is the one looked for; the others are dropped, ended standing accepts armed again.
    fn step_until<T>(&mut self, what: &str, mut wanted: impl FnMut(&mut Self, Completion) -> Option<T>) -> T
    where
        Self: Sized,
    {
        for _ in 0..TURNS_MAX {
            let mut found = None;
            for completion in self.step() {
                if let Completion::AcceptEnded { listener, .. } = completion {
                    self.io().accept_again(listener);
                } else if let Some(value) = wanted(self, completion) {
                    found = Some(value);
                }
            }
            if let Some(value) = found {
                return value;
            }
        }
        panic!("{what} did not happen in {TURNS_MAX} turns");
    }

    /// A new peer and its connection.
    fn connected(&mut self) -> (usize, ConnId)
    where
        Self: Sized,
    {
        let peer = self.connect();
        let conn = self.step_until("an accept", |_, completion| match completion {
            Completion::Accepted { conn, .. } => Some(conn),
            _ => None,
        });
        (peer, conn)
    }

    /// Lets closed connections go.
    fn settle(&mut self)
    where
        Self: Sized,
    {
        for _ in 0..TURNS_MAX {
            if self.slots_in_use() == 0 {
                return;
            }
            let completions = self.step();
            for completion in completions {
                match completion {
                    Completion::AcceptEnded { listener, .. } => self.io().accept_again(listener),
                    other => panic!("a completion of a closed connection: {other:?}"),
                }
            }
        }
        panic!("{} slots stay in use", self.slots_in_use());
    }
}

/// The simulated network.
struct SimNet {
    io: SimIo,
    listener: ListenerId,
}

impl SimNet {
    fn new(seed: u64, options: SimOptions) -> SimNet {
        let mut io = SimIo::new(seed, options);
        let listener = io.listen(File::open("/dev/null").unwrap().into());
        SimNet { io, listener }
    }
}

impl Net for SimNet {
    type Back = SimIo;

    fn io(&mut self) -> &mut SimIo {
        &mut self.io
    }

    fn listener(&self) -> ListenerId {
        self.listener
    }

    fn wait(&self) -> Option<Duration> {
        None
    }

    fn too_much(&self) -> usize {
        1 << 20
    }

    fn connect(&mut self) -> usize {
        self.io.connect(self.listener).0
    }

    fn write(&mut self, peer: usize, bytes: &[u8]) -> usize {
        self.io.peer_write(PeerId(peer), bytes);
        bytes.len()
    }

    fn read(&mut self, peer: usize) -> Vec<u8> {
        self.io.peer_read(PeerId(peer))
    }

    fn shutdown(&mut self, peer: usize) {
        self.io.peer_shutdown(PeerId(peer));
    }

    fn close(&mut self, peer: usize) {
        self.io.peer_close(PeerId(peer));
    }

    fn ended(&mut self, peer: usize) -> bool {
        self.io.peer_closed(PeerId(peer)).is_some()
    }

    fn slots_in_use(&self) -> usize {
        self.io.slots_in_use()
    }

    fn beside(&mut self) -> SimIo {
        self.io.beside(77)
    }
}

/// A TCP or Unix socket of a peer.
trait Socket: Read + Write {
    fn finish(&self);
}

impl Socket for TcpStream {
    fn finish(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

impl Socket for UnixStream {
    fn finish(&self) {
        self.shutdown(Shutdown::Write).unwrap();
    }
}

struct RealPeer {
    socket: Option<Box<dyn Socket>>,
    ended: bool,
}

/// Where peers connect to.
enum Address {
    Tcp(std::net::SocketAddr),
    Unix(tempfile::TempDir),
}

/// A back end that works with real sockets.
trait RealIo: Io + Sized {
    fn open() -> Self;
    /// A second one of the same features.
    fn beside(&self) -> Self {
        Self::open()
    }
    fn slots_in_use(&self) -> usize;
}

impl RealIo for RingIo {
    fn open() -> RingIo {
        RingIo::new().expect("io_uring is needed to test Torc")
    }

    fn beside(&self) -> RingIo {
        let lacking = self.features().iter().map(|(_, there)| !there).collect::<Vec<_>>();
        let without = Features {
            defer_taskrun: lacking[0],
            no_sqarray: lacking[1],
            registered_ring: lacking[2],
            incremental_buffers: lacking[3],
            vectored_fixed: lacking[4],
            registered_slab: lacking[5],
        };
        RingIo::without(without).expect("io_uring is needed to test Torc")
    }

    fn slots_in_use(&self) -> usize {
        RingIo::slots_in_use(self)
    }
}

impl RealIo for EpollIo {
    fn open() -> EpollIo {
        EpollIo::new().expect("epoll is always there")
    }

    fn slots_in_use(&self) -> usize {
        EpollIo::slots_in_use(self)
    }
}

/// A real back end, and peers on loopback.
struct RealNet<B> {
    io: B,
    listener: ListenerId,
    address: Address,
    peers: Vec<RealPeer>,
}

impl<B: RealIo> RealNet<B> {
    fn new() -> RealNet<B> {
        RealNet::over(B::open())
    }

    fn over(mut io: B) -> RealNet<B> {
        let socket = TcpListener::bind("127.0.0.1:0").unwrap();
        // The server's own listeners do not block either.
        socket.set_nonblocking(true).unwrap();
        let address = Address::Tcp(socket.local_addr().unwrap());
        let listener = io.listen(socket.into());
        RealNet { io, listener, address, peers: Vec::new() }
    }

    fn unix() -> RealNet<B> {
        let mut io = B::open();
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixListener::bind(folder.path().join("socket")).unwrap();
        socket.set_nonblocking(true).unwrap();
        let listener = io.listen(socket.into());
        RealNet { io, listener, address: Address::Unix(folder), peers: Vec::new() }
    }
}

impl RealNet<RingIo> {
    fn with_sizes(submissions: u32, completions: u32, buffers: u16, buffer_len: usize) -> RealNet<RingIo> {
        RealNet::small(submissions, completions, buffers, buffer_len, Features::default())
    }

    fn small(
        submissions: u32,
        completions: u32,
        buffers: u16,
        buffer_len: usize,
        without: Features,
    ) -> RealNet<RingIo> {
        let sizes = BufferSizes { count: buffers, len: buffer_len };
        let io = RingIo::with_sizes(&RingOptions { submissions, completions, without }, sizes, sizes);
        RealNet::over(io.expect("io_uring is needed to test Torc"))
    }

    /// A ring as kernels have it that lack these features.
    fn without(features: Features) -> RealNet<RingIo> {
        let io = RingIo::without(features).expect("io_uring is needed to test Torc");
        for (has, lacks) in io.features().iter().zip(features.all()) {
            assert!(!(has.1 && lacks.1), "{}", has.0);
        }
        RealNet::over(io)
    }

    /// Linux 6.1: without what came later.
    fn oldest() -> RealNet<RingIo> {
        RealNet::without(Features {
            defer_taskrun: false,
            registered_ring: false,
            registered_slab: false,
            ..Features::ALL
        })
    }

    /// Without anything that may be missing.
    fn bare() -> RealNet<RingIo> {
        RealNet::without(Features::ALL)
    }
}

impl<B: RealIo> Net for RealNet<B> {
    type Back = B;

    fn io(&mut self) -> &mut B {
        &mut self.io
    }

    fn listener(&self) -> ListenerId {
        self.listener
    }

    fn wait(&self) -> Option<Duration> {
        Some(Duration::from_millis(1))
    }

    /// Above the send and receive buffers that Linux allows by default, 4 and 6 MiB.
    fn too_much(&self) -> usize {
        24 << 20
    }

    fn connect(&mut self) -> usize {
        let socket: Box<dyn Socket> = match &self.address {
            Address::Tcp(address) => {
                let socket = TcpStream::connect(address).unwrap();
                socket.set_nonblocking(true).unwrap();
                Box::new(socket)
            }
            Address::Unix(folder) => {
                let socket = UnixStream::connect(folder.path().join("socket")).unwrap();
                socket.set_nonblocking(true).unwrap();
                Box::new(socket)
            }
        };
        self.peers.push(RealPeer { socket: Some(socket), ended: false });
        self.peers.len() - 1
    }

    fn write(&mut self, peer: usize, bytes: &[u8]) -> usize {
        let Some(socket) = &mut self.peers[peer].socket else { return bytes.len() };
        match socket.write(bytes) {
            Ok(len) => len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => 0,
            Err(_) => bytes.len(),
        }
    }

    fn read(&mut self, peer: usize) -> Vec<u8> {
        let peer = &mut self.peers[peer];
        let mut all = Vec::new();
        let mut piece = vec![0; 256 * 1024];
        while let Some(socket) = &mut peer.socket {
            match socket.read(&mut piece) {
                Ok(0) => {
                    peer.ended = true;
                    break;
                }
                Ok(len) => all.extend_from_slice(&piece[..len]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(_) => {
                    peer.ended = true;
                    break;
                }
            }
        }
        all
    }

    fn shutdown(&mut self, peer: usize) {
        if let Some(socket) = &self.peers[peer].socket {
            socket.finish();
        }
    }

    fn close(&mut self, peer: usize) {
        self.peers[peer].socket = None;
    }

    fn ended(&mut self, peer: usize) -> bool {
        self.peers[peer].ended
    }

    fn slots_in_use(&self) -> usize {
        self.io.slots_in_use()
    }

    fn beside(&mut self) -> B {
        self.io.beside()
    }
}
