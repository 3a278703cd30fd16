//! Where a server listens, and plain blocking conversation with it: connecting, AUTH, PING. Not for the load itself.

#![forbid(unsafe_code)]

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use crate::request;

/// A blocking conversation that gets no answer for this long has failed.
const ANSWER_WAIT: Duration = Duration::from_secs(10);

/// A server's address.
#[derive(Clone, Debug)]
pub(crate) enum Endpoint {
    /// TCP over IPv4.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

impl std::fmt::Display for Endpoint {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Endpoint::Tcp(address) => address.fmt(out),
            Endpoint::Unix(path) => path.display().fmt(out),
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

impl Endpoint {
    /// Connects.
    pub(crate) fn connect(&self) -> io::Result<Stream> {
        match self {
            Endpoint::Tcp(address) => {
                #[expect(clippy::disallowed_methods, reason = "a client opens its own sockets")]
                let stream = TcpStream::connect(address)?;
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Endpoint::Unix(path) => Ok(Stream::Unix(UnixStream::connect(path)?)),
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

    /// Sends one command and reads the first line of its reply, without the line ending. Only for commands whose reply
    /// is that line, or whose connection is dropped after it.
    pub(crate) fn ask(&mut self, args: &[&str]) -> io::Result<String> {
        self.set_timeouts(Some(ANSWER_WAIT))?;
        let command = request::encode(args.iter().map(|arg| arg.as_bytes()));
        self.write_all(&command)?;
        let mut line = String::new();
        // A reader of capacity one takes no byte of a reply to come.
        BufReader::with_capacity(1, &mut *self).read_line(&mut line)?;
        self.set_timeouts(None)?;
        match line.strip_suffix("\r\n") {
            Some(line) => Ok(line.to_owned()),
            None => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server closed the connection")),
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
    fn asking_takes_one_line_and_leaves_the_rest() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        theirs.write_all(b"+PONG\r\n+NEXT\r\n").unwrap();
        let mut stream = Stream::Unix(ours);
        assert_eq!(stream.ask(&["PING"]).unwrap(), "+PONG");
        assert_eq!(stream.ask(&["PING"]).unwrap(), "+NEXT");
        drop(theirs);
        assert!(stream.ask(&["PING"]).is_err());
    }
}
