//! A client of the server under examination: logs in and asks for INFO, which says how many requests were served.
//!
//! Blocking, one request at a time, with a limit on how long it waits and how much it reads.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

/// A server that does not answer within this time is taken not to be one, or to be stuck.
const ANSWER_WAIT: Duration = Duration::from_secs(3);
/// No line of a reply is longer.
const LINE_LEN_MAX: u64 = 4096;
/// No INFO is longer.
const INFO_LEN_MAX: usize = 4 << 20;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Address {
    /// By TCP.
    Tcp(IpAddr, u16),
    /// By a Unix socket.
    Unix(PathBuf),
}

impl fmt::Display for Address {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Tcp(host, port) => SocketAddr::new(*host, *port).fmt(out),
            Address::Unix(path) => path.display().fmt(out),
        }
    }
}

/// What to log in with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Login {
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
}

/// A connection that has logged in.
pub(crate) struct Client {
    stream: BufReader<Stream>,
    address: Address,
}

enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.read(buffer),
            Stream::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        match self {
            Stream::Tcp(stream) => stream.write(buffer),
            Stream::Unix(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Client {
    /// Connects, logs in and makes sure that it is a server of this kind.
    pub(crate) fn connect(address: &Address, login: &Login) -> anyhow::Result<Client> {
        let stream = match address {
            Address::Tcp(host, port) => {
                let stream = TcpStream::connect_timeout(&SocketAddr::new(*host, *port), ANSWER_WAIT)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(ANSWER_WAIT))?;
                stream.set_write_timeout(Some(ANSWER_WAIT))?;
                Stream::Tcp(stream)
            }
            Address::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(Some(ANSWER_WAIT))?;
                stream.set_write_timeout(Some(ANSWER_WAIT))?;
                Stream::Unix(stream)
            }
        };
        let mut client = Client { stream: BufReader::new(stream), address: address.clone() };
        if let Some(password) = &login.password {
            let mut auth = vec!["AUTH"];
            auth.extend(login.user.as_deref());
            auth.push(password);
            client.request(&auth).context("logging in")?;
        }
        client.info()?;
        Ok(client)
    }

    /// All that INFO says.
    pub(crate) fn info(&mut self) -> anyhow::Result<Info> {
        let text = self.request(&["INFO", "all"]).with_context(|| format!("asking {} for INFO", self.address))?;
        let info = Info::parse(&text);
        ensure!(info.field("redis_version").is_some(), "{} is no server of this kind", self.address);
        Ok(info)
    }

    fn request(&mut self, args: &[&str]) -> anyhow::Result<String> {
        let mut text = format!("*{}\r\n", args.len());
        for arg in args {
            text.push_str(&format!("${}\r\n{arg}\r\n", arg.len()));
        }
        self.stream.get_mut().write_all(text.as_bytes())?;
        read_reply(&mut self.stream)
    }
}

/// Reads a status, an error or a bulk string; an error is returned as one.
fn read_reply(stream: &mut impl BufRead) -> anyhow::Result<String> {
    let mut line = Vec::new();
    stream.by_ref().take(LINE_LEN_MAX).read_until(b'\n', &mut line)?;
    ensure!(!line.is_empty(), "the server closed the connection");
    ensure!(line.ends_with(b"\r\n"), "the answer is not one of this protocol");
    let line = String::from_utf8_lossy(&line[..line.len() - 2]).into_owned();
    match line.split_at_checked(1) {
        Some(("+", rest)) => Ok(rest.to_owned()),
        Some(("-", rest)) => bail!("the server answered: {rest}"),
        Some(("$", len)) => {
            let len = len.parse::<usize>().ok().filter(|len| *len <= INFO_LEN_MAX);
            let len = len.context("the answer has no sensible length")?;
            let mut bulk = vec![0; len + 2];
            stream.read_exact(&mut bulk)?;
            bulk.truncate(len);
            Ok(String::from_utf8_lossy(&bulk).into_owned())
        }
        _ => bail!("the answer is not one of this protocol"),
    }
}

/// The fields of INFO.
#[derive(Clone, Debug, Default)]
pub(crate) struct Info(BTreeMap<String, String>);

impl Info {
    fn parse(text: &str) -> Info {
        let fields = text.lines().filter_map(|line| line.split_once(':'));
        Info(fields.map(|(name, value)| (name.to_owned(), value.trim_end().to_owned())).collect())
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    /// Commands executed since the server started. The INFO that says so is not yet among them.
    pub(crate) fn commands_processed(&self) -> anyhow::Result<u64> {
        let field = self.field("total_commands_processed").context("INFO has no total_commands_processed")?;
        field.parse().context("total_commands_processed is no number")
    }

    /// Calls by command.
    pub(crate) fn calls(&self) -> BTreeMap<String, u64> {
        let commands = self.0.iter().filter_map(|(field, value)| {
            let calls = value.strip_prefix("calls=")?.split(',').next()?.parse().ok()?;
            Some((field.strip_prefix("cmdstat_")?.to_owned(), calls))
        });
        commands.collect()
    }

    /// Which server it is, and its version: `Redis`, `8.2.3`.
    pub(crate) fn server(&self) -> (String, String) {
        for (name, field) in [("Torc", "torc_version"), ("Valkey", "valkey_version")] {
            if let Some(version) = self.field(field) {
                return (name.to_owned(), version.to_owned());
            }
        }
        ("Redis".to_owned(), self.field("redis_version").unwrap_or("?").to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_of_each_kind() {
        assert_eq!(read_reply(&mut &b"+OK\r\n"[..]).unwrap(), "OK");
        assert_eq!(read_reply(&mut &b"$5\r\nab\r\nc\r\n"[..]).unwrap(), "ab\r\nc");
        let error = read_reply(&mut &b"-NOAUTH Authentication required.\r\n"[..]).unwrap_err();
        assert_eq!(error.to_string(), "the server answered: NOAUTH Authentication required.");
        for broken in [&b""[..], b"+OK", b"\r\n", b"HTTP/1.1 400\r\n", b"$-1\r\n", b"$99999999999\r\n", b"$5\r\nab"] {
            assert!(read_reply(&mut &broken[..]).is_err(), "{broken:?}");
        }
    }

    #[test]
    fn what_info_says() {
        let info = Info::parse(
            "# Server\r\nredis_version:8.0.6\r\nexecutable:/a:b\r\n\r\n# Stats\r\ntotal_commands_processed:12\r\n\
             # Commandstats\r\ncmdstat_get:calls=7,usec=1,usec_per_call=0.14\r\n\
             cmdstat_client|list:calls=5,usec=1,usec_per_call=0.14\r\ncmdstat_odd:usec=1\r\n",
        );
        assert_eq!(info.commands_processed().unwrap(), 12);
        assert_eq!(info.field("executable"), Some("/a:b"));
        assert_eq!(info.calls(), BTreeMap::from([("get".to_owned(), 7), ("client|list".to_owned(), 5)]));
        assert_eq!(info.server(), ("Redis".to_owned(), "8.0.6".to_owned()));
        let valkey = Info::parse("redis_version:7.2.4\nserver_name:valkey\nvalkey_version:9.1.0\n");
        assert_eq!(valkey.server(), ("Valkey".to_owned(), "9.1.0".to_owned()));
        assert!(valkey.commands_processed().is_err());
    }
}
