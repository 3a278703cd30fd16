//! Where a server listens, and plain blocking conversation with it: connecting, handshakes, AUTH, PING. Not for the load
//! itself.

#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use crate::check::{Expect, Expectations, ReplyStream, Tally};
use crate::request;
use crate::tls::{TlsSession, TlsSetup};

/// A blocking conversation that gets no answer for this long has failed.
const ANSWER_WAIT: Duration = Duration::from_secs(10);
/// The longest reply of a conversation: HELLO's is the longest that is asked for.
const ANSWER_LEN_MAX: usize = 64 << 10;

/// A server's address, and how it is spoken to.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) address: Address,
    /// TLS, if it is to be spoken.
    pub(crate) tls: Option<TlsSetup>,
}

/// Where a server listens.
#[derive(Clone, Debug)]
pub(crate) enum Address {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl Address {
    fn connect(&self) -> io::Result<Stream> {
        match self {
            Address::Tcp(address) => {
                #[expect(clippy::disallowed_methods, reason = "a client opens its own sockets")]
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Address::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path)?)),
        }
    }
}

impl From<Address> for Endpoint {
    fn from(address: Address) -> Endpoint {
        Endpoint { address, tls: None }
    }
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.address {
            Address::Tcp(address) => address.fmt(out),
            Address::Unix(path) => path.display().fmt(out),
        }
    }
}

/// A connected socket.
#[derive(Debug)]
pub(crate) enum Stream {
    /// TCP, with TCP_NODELAY.
    Tcp(TcpStream),
    /// A Unix socket.
    Unix(UnixStream),
}

/// A connection that has been opened, and its TLS session if it has one.
#[derive(Debug)]
pub(crate) struct Dialed {
    pub(crate) stream: Stream,
    pub(crate) tls: Option<Box<TlsSession>>,
}

impl Endpoint {
    /// Connects, and shakes hands where TLS is spoken.
    pub(crate) fn connect(&self) -> io::Result<Dialed> {
        let mut stream = loop {
            match self.address.connect() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => break result?,
            }
        };
        let tls = match &self.tls {
            Some(setup) => {
                stream.set_timeouts(Some(ANSWER_WAIT))?;
                let session = setup.shake_hands(&mut stream)?;
                stream.set_timeouts(None)?;
                Some(Box::new(session))
            }
            None => None,
        };
        Ok(Dialed { stream, tls })
    }

    /// Connects, and asks `greeting`, every answer to which must be no error.
    pub(crate) fn connect_and_greet(&self, greeting: &[Vec<String>]) -> io::Result<Dialed> {
        let mut dialed = self.connect()?;
        for command in greeting {
            let args: Vec<&str> = command.iter().map(String::as_str).collect();
            let answer = dialed.ask(&args)?;
            if let Some(error) = answer.strip_prefix('-') {
                return Err(io::Error::other(format!("{} was answered: {error}", args[0])));
            }
        }
        Ok(dialed)
    }
}

impl Dialed {
    /// Sends one command and reads its reply, of which it returns the first line without the line ending.
    pub(crate) fn ask(&mut self, args: &[&str]) -> io::Result<String> {
        let command = request::encode(args.iter().map(|arg| arg.as_bytes()));
        self.stream.set_timeouts(Some(ANSWER_WAIT))?;
        let answer = match &mut self.tls {
            None => converse(&mut self.stream, &command),
            Some(session) => converse(&mut session.over(&mut self.stream), &command),
        }?;
        self.stream.set_timeouts(None)?;
        let line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
        Ok(String::from_utf8_lossy(line).into_owned())
    }

    /// Sends one command and reads the bulk string that must be its reply.
    pub(crate) fn ask_text(&mut self, args: &[&str]) -> io::Result<String> {
        let command = request::encode(args.iter().map(|arg| arg.as_bytes()));
        self.stream.set_timeouts(Some(ANSWER_WAIT))?;
        let answer = match &mut self.tls {
            None => converse(&mut self.stream, &command),
            Some(session) => converse(&mut session.over(&mut self.stream), &command),
        }?;
        self.stream.set_timeouts(None)?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        match text.split_once("\r\n") {
            Some((header, body)) if header.starts_with('$') => Ok(body.trim_end().to_owned()),
            _ => Err(io::Error::other(format!("{} was answered {}", args[0], text.trim_end()))),
        }
    }
}

/// Writes a command and reads one whole reply, byte by byte so that nothing behind it is taken.
fn converse(stream: &mut (impl Read + Write), command: &[u8]) -> io::Result<Vec<u8>> {
    stream.write_all(command)?;
    stream.flush()?;
    let mut replies = ReplyStream::new(Expectations::new(vec![Expect::Anything]), 0);
    let mut tally = Tally::default();
    let mut answer = Vec::new();
    let mut byte = [0];
    loop {
        match stream.read(&mut byte) {
            Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
            Ok(_) => {}
            // A ring of this thread's has something to do, the one of the load before that is being given up for example.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
        answer.push(byte[0]);
        if replies.feed(&byte, &mut tally).map_err(io::Error::other)? > 0 {
            return Ok(answer);
        }
        if answer.len() > ANSWER_LEN_MAX {
            return Err(io::Error::other("the server's answer does not end"));
        }
    }
}

impl Stream {
    /// Ends one or both directions.
    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => stream.shutdown(how),
            Stream::Unix(stream) => stream.shutdown(how),
        }
    }

    fn set_timeouts(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Stream::Tcp(stream) => {
                stream.set_read_timeout(timeout)?;
                stream.set_write_timeout(timeout)
            }
            Stream::Unix(stream) => {
                stream.set_read_timeout(timeout)?;
                stream.set_write_timeout(timeout)
            }
        }
    }
}

impl AsRawFd for Stream {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Stream::Tcp(stream) => stream.as_raw_fd(),
            Stream::Unix(stream) => stream.as_raw_fd(),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(bytes),
            Stream::Unix(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn asking_takes_one_reply_and_leaves_the_rest() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"%1\r\n+server\r\n+redis\r\n+NEXT\r\n$2\r\nab\r\n").unwrap();
        let mut dialed = Dialed { stream: Stream::Unix(ours), tls: None };
        assert_eq!(dialed.ask(&["HELLO", "3"]).unwrap(), "%1");
        assert_eq!(dialed.ask(&["PING"]).unwrap(), "+NEXT");
        assert_eq!(dialed.ask_text(&["INFO"]).unwrap(), "ab");
        drop(theirs);
        assert!(dialed.ask(&["PING"]).is_err());
    }
}
