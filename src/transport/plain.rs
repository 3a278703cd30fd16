//! Listening sockets: TCP on every address of `bind`, for plain text and for TLS, and the Unix socket. Main thread, at start
//! and when CONFIG SET changes where to listen. Returns what is worth a line in the log, and knows neither log nor
//! parameters.

#![forbid(unsafe_code)]

use std::fmt;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::sys::Errno;
use crate::sys::socket::{self, TcpOptions};

/// Bytes of a Unix socket's path, with the NUL at its end.
const UNIX_PATH_MAX: usize = 108;

/// Where to listen.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListenSettings {
    /// Hosts; one with `-` in front is optional.
    pub bind: Vec<String>,
    /// The port of all of them; 0 for no TCP.
    pub port: u16,
    /// The port of all of them for TLS, or 0.
    pub tls_port: u16,
    /// Connections that wait to be accepted.
    pub backlog: i32,
    /// A mark for packets, or 0.
    pub mark: u32,
    /// The Unix socket.
    pub unix: Option<UnixSettings>,
}

/// The Unix socket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnixSettings {
    /// Where.
    pub path: PathBuf,
    /// Its permissions, or 0 to leave them.
    pub mode: u32,
}

/// What kind of connections a listener gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenerKind {
    /// Over TCP.
    Tcp,
    /// Over the Unix socket.
    Unix,
    /// Over TCP, encrypted.
    Tls,
}

impl ListenerKind {
    /// All, in the order in which INFO counts them.
    pub const ALL: [ListenerKind; 3] = [ListenerKind::Tcp, ListenerKind::Unix, ListenerKind::Tls];

    /// Whether it listens on the addresses of `bind`.
    pub fn is_tcp(self) -> bool {
        self != ListenerKind::Unix
    }

    /// The word of the line `Ready to accept connections tcp`.
    pub fn name(self) -> &'static str {
        match self {
            ListenerKind::Tcp => "tcp",
            ListenerKind::Unix => "unix",
            ListenerKind::Tls => "tls",
        }
    }
}

/// A socket that accepts connections.
#[derive(Debug)]
pub struct Listener {
    /// The socket, non-blocking.
    pub fd: OwnedFd,
    /// Its kind.
    pub kind: ListenerKind,
    /// `host:port` or the path.
    pub address: String,
}

/// What was opened, and what to tell about it.
#[derive(Debug)]
pub struct Opened {
    /// At least one.
    pub listeners: Vec<Listener>,
    /// Lines for the log, at warning level: addresses that were passed over.
    pub warnings: Vec<String>,
}

/// Nothing was opened. The process logs `warnings` and `text` and cannot start, or goes on with the listeners it had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct ListenError {
    /// Lines for the log, at warning level: which address failed, and why.
    pub warnings: Vec<String>,
    /// The last line.
    pub text: String,
}

/// An address that had to be opened was not; the last warning says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Failed listening on port {port} ({}), aborting.", .kind.name())]
pub struct TcpFailed {
    /// The port.
    pub port: u16,
    /// What for.
    pub kind: ListenerKind,
}

/// Opens everything that the settings name, or nothing.
pub fn open_listeners(settings: &ListenSettings) -> Result<Opened, ListenError> {
    let mut warnings = Vec::new();
    let failed = |text: String, warnings: Vec<String>| Err(ListenError { warnings, text });
    let mut listeners = match open_tcp(settings, ListenerKind::Tcp, &mut warnings) {
        Ok(listeners) => listeners,
        Err(error) => return failed(error.to_string(), warnings),
    };
    if let Some(unix) = &settings.unix {
        match open_unix(unix, settings.backlog) {
            Ok(listener) => listeners.push(listener),
            Err(error) => return failed(format!("Failed opening Unix socket: {error}"), warnings),
        }
    }
    match open_tcp(settings, ListenerKind::Tls, &mut warnings) {
        Ok(opened) => listeners.extend(opened),
        Err(error) => return failed(error.to_string(), warnings),
    }
    if listeners.is_empty() {
        return failed("Configured to not listen anywhere, exiting.".to_owned(), warnings);
    }
    Ok(Opened { listeners, warnings })
}

/// Opens a listener of this kind, plain TCP or TLS, for every address. Optional addresses that the machine does not have,
/// and protocols that it does not speak, are passed over with a warning.
pub fn open_tcp(
    settings: &ListenSettings,
    kind: ListenerKind,
    warnings: &mut Vec<String>,
) -> Result<Vec<Listener>, TcpFailed> {
    let mut listeners = Vec::new();
    let port = if kind == ListenerKind::Tls { settings.tls_port } else { settings.port };
    let hosts = if port == 0 { &[] } else { &settings.bind[..] };
    for given in hosts {
        let host = given.strip_prefix('-').unwrap_or(given);
        match listen_on(host, port, settings) {
            Ok(fd) => listeners.push(Listener { fd, kind, address: format!("{host}:{port}") }),
            Err(error) => {
                warnings.push(format!("Warning: Could not create server TCP listening socket {host}:{port}: {error}"));
                if !may_pass_over(&error, host.len() < given.len()) {
                    return Err(TcpFailed { port, kind });
                }
            }
        }
    }
    Ok(listeners)
}

/// Protocols that the kernel lacks never stop the start; addresses only where they are not optional.
fn may_pass_over(failure: &Failure, optional: bool) -> bool {
    let Failure::System(_, Errno(number)) = *failure else { return false };
    match number {
        libc::EADDRNOTAVAIL => optional,
        libc::ENOPROTOOPT | libc::EPROTONOSUPPORT | libc::ESOCKTNOSUPPORT | libc::EPFNOSUPPORT | libc::EAFNOSUPPORT => {
            true
        }
        _ => false,
    }
}

/// Why one address was not opened.
enum Failure {
    /// Its name could not be resolved; the resolver's words.
    Lookup(String),
    /// A call failed.
    System(&'static str, Errno),
    /// The path of the Unix socket has so many bytes.
    PathTooLong(usize),
}

impl fmt::Display for Failure {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Lookup(text) => out.write_str(text),
            Failure::System(call, errno) => write!(out, "{call}: {errno}"),
            Failure::PathTooLong(len) => {
                write!(out, "unix socket path too long ({len}), must be under {UNIX_PATH_MAX}")
            }
        }
    }
}

/// Nearly every failure is bind's, which is what the line says.
fn system(call: &'static str) -> impl Fn(io::Error) -> Failure {
    move |error| Failure::System(call, Errno::from(error))
}

/// Listens on the first address of a host that lets itself be opened.
fn listen_on(host: &str, port: u16, settings: &ListenSettings) -> Result<OwnedFd, Failure> {
    let options = TcpOptions { backlog: settings.backlog, mark: settings.mark };
    let mut failure = Failure::Lookup("Name or service not known".to_owned());
    for address in resolve(host, port)? {
        match socket::listen_tcp(address, options).map_err(system("bind")) {
            Ok(fd) => return Ok(fd),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// As in Redis a host with a colon is an IPv6 address, and every other is looked up as IPv4.
fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, Failure> {
    match host {
        "*" => return Ok(vec![SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))]),
        "::*" => return Ok(vec![SocketAddr::from((Ipv6Addr::UNSPECIFIED, port))]),
        _ => {}
    }
    if let Ok(ip) = host.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::from((ip, port))]);
    }
    let found = (host, port).to_socket_addrs().map_err(|error| {
        let text = error.to_string();
        Failure::Lookup(text.rsplit(": ").next().unwrap_or(&text).to_owned())
    })?;
    let v6 = host.contains(':');
    Ok(found.filter(|address| address.is_ipv6() == v6).collect())
}

/// Opens the Unix socket in place of what an earlier process left.
fn open_unix(unix: &UnixSettings, backlog: i32) -> Result<Listener, Failure> {
    let len = unix.path.as_os_str().as_bytes().len();
    if len >= UNIX_PATH_MAX {
        return Err(Failure::PathTooLong(len));
    }
    // There may be nothing to remove; what cannot be removed makes the next call fail with a better reason.
    let _ = fs::remove_file(&unix.path);
    let fd = socket::listen_unix(&unix.path, backlog).map_err(system("bind"))?;
    if unix.mode != 0 {
        let mode = fs::Permissions::from_mode(unix.mode);
        fs::set_permissions(&unix.path, mode).map_err(system("chmod"))?;
    }
    Ok(Listener { fd, kind: ListenerKind::Unix, address: unix.path.display().to_string() })
}

/// Removes the socket file when the process ends. The caller logs `Removing the unix socket file.` before, and
/// `Error removing the unix socket file: ...` after a failure.
pub fn remove_unix_socket(path: &Path) -> Result<(), Errno> {
    fs::remove_file(path).map_err(Errno::from)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test needs a peer of its own")]
mod tests {
    use super::*;
    use std::net::TcpStream;
    use std::os::fd::AsRawFd;
    use std::os::unix::net::UnixStream;

    /// A port that was free a moment ago.
    fn free_port() -> u16 {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        listener.local_addr().expect("an address").port()
    }

    fn settings(bind: &[&str], port: u16) -> ListenSettings {
        let bind = bind.iter().map(|host| (*host).to_owned()).collect();
        ListenSettings { bind, port, backlog: 16, ..ListenSettings::default() }
    }

    #[test]
    fn both_kinds_accept() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("s");
        fs::write(&path, "left behind").expect("written");
        let mut settings = settings(&["127.0.0.1", "-192.0.2.1"], free_port());
        settings.unix = Some(UnixSettings { path: path.clone(), mode: 0o770 });
        let opened = open_listeners(&settings).expect("opened");
        assert_eq!(
            opened.warnings,
            [format!(
                "Warning: Could not create server TCP listening socket 192.0.2.1:{}: bind: Cannot assign requested \
                 address",
                settings.port
            )]
        );
        let kinds = opened.listeners.iter().map(|listener| listener.kind.name()).collect::<Vec<_>>();
        assert_eq!(kinds, ["tcp", "unix"]);
        assert_eq!(opened.listeners[0].address, format!("127.0.0.1:{}", settings.port));
        TcpStream::connect(("127.0.0.1", settings.port)).expect("connected");
        UnixStream::connect(&path).expect("connected");
        assert_eq!(socket::local_text(opened.listeners[0].fd.as_raw_fd()), opened.listeners[0].address);
        assert_eq!(fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o770);
        remove_unix_socket(&path).expect("there");
        assert_eq!(remove_unix_socket(&path), Err(Errno(libc::ENOENT)));
    }

    #[test]
    fn failures_have_redis_words() {
        let refused = open_listeners(&settings(&["192.0.2.1"], 7)).expect_err("not of this machine");
        assert_eq!(refused.text, "Failed listening on port 7 (tcp), aborting.");
        assert_eq!(refused.warnings.len(), 1);
        for nowhere in [settings(&["127.0.0.1"], 0), settings(&[], 7)] {
            let error = open_listeners(&nowhere).expect_err("nowhere");
            assert_eq!(error.text, "Configured to not listen anywhere, exiting.");
        }
        let mut missing = settings(&[], 0);
        missing.unix = Some(UnixSettings { path: PathBuf::from("/no/such/folder/s"), mode: 0 });
        let error = open_listeners(&missing).expect_err("no folder");
        assert_eq!(error.to_string(), "Failed opening Unix socket: bind: No such file or directory");
        missing.unix = Some(UnixSettings { path: PathBuf::from("/".to_owned() + &"a".repeat(199)), mode: 0 });
        let error = open_listeners(&missing).expect_err("too long");
        assert_eq!(error.text, "Failed opening Unix socket: unix socket path too long (200), must be under 108");
        let unknown = open_listeners(&settings(&[""], 7)).expect_err("no name");
        assert!(unknown.warnings[0].starts_with("Warning: Could not create server TCP listening socket :7: "));
        assert!(!unknown.warnings[0].contains("bind:"), "{unknown:?}");
    }

    #[test]
    fn a_taken_port_stops_even_an_optional_address() {
        let both = ListenSettings { tls_port: 7, ..settings(&["192.0.2.1"], 0) };
        let error = open_listeners(&both).expect_err("not of this machine");
        assert_eq!(error.text, "Failed listening on port 7 (tls), aborting.");
        let taken = open_listeners(&settings(&["127.0.0.1"], free_port())).expect("opened");
        let address = socket::local_address(taken.listeners[0].fd.as_raw_fd()).expect("a TCP address");
        let error = open_listeners(&settings(&["-127.0.0.1"], address.port())).expect_err("taken");
        assert!(error.warnings[0].ends_with("bind: Address already in use"), "{error:?}");
    }
}
