//! A raw client: bytes out, whole replies in, never waiting longer than [`TIMEOUT`].

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use super::{TIMEOUT, Value};

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

/// One connection. Dropping it closes the socket.
pub(crate) struct Client {
    stream: Stream,
    received: Vec<u8>,
}

impl Client {
    /// Connects over TCP, retrying never: the server is up when a test asks.
    #[track_caller]
    pub(crate) fn tcp(address: SocketAddr) -> Client {
        Client::try_tcp(address).unwrap_or_else(|error| panic!("connecting to {address}: {error}"))
    }

    /// Connects over TCP.
    pub(crate) fn try_tcp(address: SocketAddr) -> std::io::Result<Client> {
        let stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        Ok(Client { stream: Stream::Tcp(stream), received: Vec::new() })
    }

    /// Connects over TLS to a server that is called localhost; the error says why it cannot.
    pub(crate) fn try_tls(address: SocketAddr, config: &Arc<ClientConfig>) -> Result<Client, String> {
        let mut stream = TcpStream::connect_timeout(&address, TIMEOUT).map_err(|error| error.to_string())?;
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        let mut connection = ClientConnection::new(config.clone(), ServerName::try_from("localhost").unwrap()).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream).map_err(|error| error.to_string())?;
        }
        Ok(Client { stream: Stream::Tls(Box::new(StreamOwned::new(connection, stream))), received: Vec::new() })
    }

    /// The TLS session, for what a test does to it by hand.
    pub(crate) fn tls(&mut self) -> &mut StreamOwned<ClientConnection, TcpStream> {
        match &mut self.stream {
            Stream::Tls(stream) => stream,
            _ => panic!("the connection is not encrypted"),
        }
    }

    /// Connects over a Unix socket.
    #[track_caller]
    pub(crate) fn unix(path: &Path) -> Client {
        let stream = UnixStream::connect(path).unwrap_or_else(|error| panic!("connecting to {path:?}: {error}"));
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream.set_write_timeout(Some(TIMEOUT)).unwrap();
        Client { stream: Stream::Unix(stream), received: Vec::new() }
    }

    /// The same connection for another thread to send on.
    pub(crate) fn try_clone(&self) -> Client {
        let stream = match &self.stream {
            Stream::Tcp(stream) => Stream::Tcp(stream.try_clone().unwrap()),
            Stream::Unix(stream) => Stream::Unix(stream.try_clone().unwrap()),
            Stream::Tls(_) => panic!("an encrypted connection has one end"),
        };
        Client { stream, received: Vec::new() }
    }

    /// The encoding of one command as clients send it.
    pub(crate) fn encode<T: AsRef<[u8]>>(args: &[T]) -> Vec<u8> {
        let mut bytes = format!("*{}\r\n", args.len()).into_bytes();
        for arg in args {
            let arg = arg.as_ref();
            bytes.extend_from_slice(format!("${}\r\n", arg.len()).as_bytes());
            bytes.extend_from_slice(arg);
            bytes.extend_from_slice(b"\r\n");
        }
        bytes
    }

    /// Sends bytes as they are.
    #[track_caller]
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.try_send(bytes).unwrap_or_else(|error| panic!("sending {} bytes: {error}", bytes.len()));
    }

    /// Sends bytes as they are; the peer may have closed.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.stream {
            Stream::Tcp(stream) => stream.write_all(bytes),
            Stream::Unix(stream) => stream.write_all(bytes),
            Stream::Tls(stream) => stream.write_all(bytes).and_then(|()| stream.flush()),
        }
    }

    /// Sends one command, does not wait.
    #[track_caller]
    pub(crate) fn send_command<T: AsRef<[u8]>>(&mut self, args: &[T]) {
        self.send(&Client::encode(args));
    }

    /// Sends one command and returns its reply.
    #[track_caller]
    pub(crate) fn command<T: AsRef<[u8]>>(&mut self, args: &[T]) -> Value {
        self.send_command(args);
        self.reply()
    }

    /// The same with arguments split at blanks (quotes as in a transcript).
    #[track_caller]
    pub(crate) fn run(&mut self, line: &str) -> Value {
        self.command(&super::split_line(line))
    }

    /// Reads one reply.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> Value {
        self.try_reply().unwrap_or_else(|why| panic!("no reply: {why}"))
    }

    /// Reads one reply, or says why there is none.
    pub(crate) fn try_reply(&mut self) -> Result<Value, String> {
        loop {
            if let Some((value, len)) = Value::decode(&self.received)? {
                self.received.drain(..len);
                return Ok(value);
            }
            if !self.fill()? {
                return Err(format!("closed after {:?}", self.received.escape_ascii().to_string()));
            }
        }
    }

    /// Reads one reply and returns its bytes as they came.
    pub(crate) fn try_raw_reply(&mut self) -> Result<Vec<u8>, String> {
        loop {
            if let Some((_, len)) = Value::decode(&self.received)? {
                return Ok(self.received.drain(..len).collect());
            }
            if !self.fill()? {
                return Err(format!("closed after {:?}", self.received.escape_ascii().to_string()));
            }
        }
    }

    /// Reads exactly the bytes expected, and fails showing both sides otherwise.
    #[track_caller]
    pub(crate) fn expect(&mut self, expected: &[u8]) {
        while self.received.len() < expected.len() && expected.starts_with(&self.received) {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => break,
                Err(why) => panic!("{why}; wanted {}, got {}", shown(expected), shown(&self.received)),
            }
        }
        let got = &self.received[..self.received.len().min(expected.len())];
        assert!(got == expected, "wanted {}\n   got {}", shown(expected), shown(&self.received));
        self.received.drain(..expected.len());
    }

    /// Reads until the server closes (a reset counts as closing) and returns everything.
    #[track_caller]
    pub(crate) fn read_to_close(&mut self) -> Vec<u8> {
        loop {
            match self.fill() {
                Ok(true) => {}
                Ok(false) => return std::mem::take(&mut self.received),
                Err(why) => panic!("not closed: {why}; got {}", shown(&self.received)),
            }
        }
    }

    /// True when nothing arrives and the connection stays open for `pause`.
    pub(crate) fn is_silent_for(&mut self, pause: Duration) -> bool {
        self.set_read_timeout(pause);
        let outcome = self.fill();
        self.set_read_timeout(TIMEOUT);
        outcome.is_err_and(|why| why == NOTHING) && self.received.is_empty()
    }

    /// True when something is there to read, or arrives within `pause`.
    pub(crate) fn has_received_within(&mut self, pause: Duration) -> bool {
        if self.received.is_empty() {
            self.set_read_timeout(pause);
            let _ = self.fill();
            self.set_read_timeout(TIMEOUT);
        }
        !self.received.is_empty()
    }

    /// Appends what one read brings; `Ok(false)` when the peer closed.
    fn fill(&mut self) -> Result<bool, String> {
        let mut chunk = [0; 65536];
        let outcome = match &mut self.stream {
            Stream::Tcp(stream) => stream.read(&mut chunk),
            Stream::Unix(stream) => stream.read(&mut chunk),
            Stream::Tls(stream) => stream.read(&mut chunk),
        };
        match outcome {
            Ok(0) => Ok(false),
            Ok(len) => {
                self.received.extend_from_slice(&chunk[..len]);
                Ok(true)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(NOTHING.to_owned())
            }
            Err(error) if matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => Ok(false),
            Err(error) if error.kind() == ErrorKind::Interrupted => self.fill(),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Reads and throws away up to one chunk; false when closed or nothing came.
    pub(crate) fn discard_some(&mut self) -> bool {
        let more = self.fill().unwrap_or(false);
        self.received.clear();
        more
    }

    /// Sets how long a read waits.
    pub(crate) fn set_read_timeout(&mut self, timeout: Duration) {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(timeout)).unwrap(),
            Stream::Unix(stream) => stream.set_read_timeout(Some(timeout)).unwrap(),
            Stream::Tls(stream) => stream.sock.set_read_timeout(Some(timeout)).unwrap(),
        }
    }

    /// Sets how long a write waits.
    pub(crate) fn set_write_timeout(&mut self, timeout: Duration) {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_write_timeout(Some(timeout)).unwrap(),
            Stream::Unix(stream) => stream.set_write_timeout(Some(timeout)).unwrap(),
            Stream::Tls(stream) => stream.sock.set_write_timeout(Some(timeout)).unwrap(),
        }
    }

    /// Tells the server that no more bytes will come; replies can still be read.
    pub(crate) fn finish_sending(&mut self) {
        let _ = match &mut self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write),
            Stream::Tls(stream) => {
                stream.conn.send_close_notify();
                stream.flush().and_then(|()| stream.sock.shutdown(Shutdown::Write))
            }
        };
    }

    /// Our own end's address, as CLIENT LIST shows it.
    pub(crate) fn local_address(&self) -> String {
        match &self.stream {
            Stream::Tcp(stream) => stream.local_addr().unwrap().to_string(),
            Stream::Tls(stream) => stream.sock.local_addr().unwrap().to_string(),
            Stream::Unix(_) => panic!("a Unix socket has no address"),
        }
    }
}

const NOTHING: &str = "nothing arrived in time";

fn shown(bytes: &[u8]) -> String {
    let head = &bytes[..bytes.len().min(2000)];
    format!("{} bytes \"{}\"", bytes.len(), head.escape_ascii())
}
