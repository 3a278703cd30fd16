//! Sockets: opening listeners, options of connections, addresses in words. Any thread.

use std::fmt;
use std::mem::MaybeUninit;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::errno::Errno;

/// Why a listener was not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SocketError {
    /// The name of the address could not be resolved; the resolver's words.
    Lookup(String),
    /// A call failed.
    Call {
        /// Which, in the words of the log.
        call: &'static str,
        /// Why.
        errno: Errno,
    },
    /// The path of a Unix socket does not fit.
    PathTooLong {
        /// Bytes of the path.
        len: usize,
        /// Bytes that there are.
        room: usize,
    },
}

impl SocketError {
    /// The error number, where a call failed.
    pub fn errno(&self) -> Option<Errno> {
        match self {
            SocketError::Call { errno, .. } => Some(*errno),
            _ => None,
        }
    }
}

impl fmt::Display for SocketError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketError::Lookup(text) => out.write_str(text),
            SocketError::Call { call, errno } => write!(out, "{call}: {errno}"),
            SocketError::PathTooLong { len, room } => {
                write!(out, "unix socket path too long ({len}), must be under {room}")
            }
        }
    }
}

impl std::error::Error for SocketError {}

fn call(name: &'static str, returned: i32) -> Result<i32, SocketError> {
    Errno::check(returned).map_err(|errno| SocketError::Call { call: name, errno })
}

/// Listens for TCP connections on `host` (a name, an address, `*` or `::*`). Accepted sockets inherit TCP_NODELAY.
/// A `mark` other than 0 is put on the packets.
pub fn listen_tcp(host: &str, port: u16, backlog: i32, mark: u32) -> Result<OwnedFd, SocketError> {
    let mut failure = SocketError::Lookup("Name or service not known".to_owned());
    for address in resolve(host, port)? {
        match listen_at(address, backlog, mark) {
            Ok(fd) => return Ok(fd),
            Err(error) => failure = error,
        }
    }
    Err(failure)
}

/// As in Redis a host with a colon is an IPv6 address, and every other is looked up as IPv4.
fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, SocketError> {
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
        SocketError::Lookup(text.rsplit(": ").next().unwrap_or(&text).to_owned())
    })?;
    let v6 = host.contains(':');
    Ok(found.filter(|address| address.is_ipv6() == v6).collect())
}

fn listen_at(address: SocketAddr, backlog: i32, mark: u32) -> Result<OwnedFd, SocketError> {
    let family = if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    let fd = open(family)?;
    set(&fd, "setsockopt SO_REUSEADDR", libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    if address.is_ipv6() {
        set(&fd, "setsockopt", libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    if mark != 0 {
        set(&fd, "setsockopt", libc::SOL_SOCKET, libc::SO_MARK, mark as i32)?;
    }
    set(&fd, "setsockopt TCP_NODELAY", libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    let raw = fd.as_raw_fd();
    let bound = match address {
        SocketAddr::V4(v4) => {
            let name = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            };
            // SAFETY: the name and its size belong together and live through the call.
            unsafe { libc::bind(raw, (&raw const name).cast(), size_of_val(&name) as libc::socklen_t) }
        }
        SocketAddr::V6(v6) => {
            let name = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: 0,
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: the name and its size belong together and live through the call.
            unsafe { libc::bind(raw, (&raw const name).cast(), size_of_val(&name) as libc::socklen_t) }
        }
    };
    call("bind", bound)?;
    start(fd, backlog)
}

/// Listens on a path. Whatever is there must have been removed before. A `mode` other than 0 is given to the socket file.
pub fn listen_unix(path: &Path, backlog: i32, mode: u32) -> Result<OwnedFd, SocketError> {
    // SAFETY: all zeros is an address without a path.
    let mut name = unsafe { MaybeUninit::<libc::sockaddr_un>::zeroed().assume_init() };
    let bytes = path.as_os_str().as_bytes();
    let room = name.sun_path.len();
    if bytes.len() >= room {
        return Err(SocketError::PathTooLong { len: bytes.len(), room });
    }
    name.sun_family = libc::AF_UNIX as libc::sa_family_t;
    for (to, from) in name.sun_path.iter_mut().zip(bytes) {
        *to = *from as libc::c_char;
    }
    let fd = open(libc::AF_UNIX)?;
    // SAFETY: the name and its size belong together and live through the call.
    let bound =
        unsafe { libc::bind(fd.as_raw_fd(), (&raw const name).cast(), size_of_val(&name) as libc::socklen_t) };
    call("bind", bound)?;
    if mode != 0 {
        // SAFETY: the path has its NUL, because it is shorter than its room, which was zeroed.
        call("chmod", unsafe { libc::chmod(name.sun_path.as_ptr(), mode) })?;
    }
    start(fd, backlog)
}

fn open(family: i32) -> Result<OwnedFd, SocketError> {
    // SAFETY: takes numbers only.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0) };
    let fd = call("socket", fd)?;
    // SAFETY: the descriptor is new and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn start(fd: OwnedFd, backlog: i32) -> Result<OwnedFd, SocketError> {
    // SAFETY: takes numbers only.
    call("listen", unsafe { libc::listen(fd.as_raw_fd(), backlog) })?;
    Ok(fd)
}

fn set(fd: &impl AsRawFd, name: &'static str, level: i32, option: i32, value: i32) -> Result<(), SocketError> {
    let len = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the value and its size belong together and live through the call.
    call(name, unsafe { libc::setsockopt(fd.as_raw_fd(), level, option, (&raw const value).cast(), len) }).map(|_| ())
}

/// Has the kernel ask a silent peer after `interval_s` seconds, then three times more at a third of that. 0 does nothing.
pub fn set_keepalive(fd: BorrowedFd<'_>, interval_s: u32) -> Result<(), SocketError> {
    if interval_s == 0 {
        return Ok(());
    }
    let idle = i32::try_from(interval_s).unwrap_or(i32::MAX);
    set(&fd, "setsockopt SO_KEEPALIVE", libc::SOL_SOCKET, libc::SO_KEEPALIVE, 1)?;
    set(&fd, "setsockopt TCP_KEEPIDLE", libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, idle)?;
    set(&fd, "setsockopt TCP_KEEPINTVL", libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, (idle / 3).max(1))?;
    set(&fd, "setsockopt TCP_KEEPCNT", libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3)
}

/// Sends small packets at once.
pub fn set_nodelay(fd: BorrowedFd<'_>) -> Result<(), SocketError> {
    set(&fd, "setsockopt TCP_NODELAY", libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)
}

/// One end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Address {
    /// TCP.
    Ip(SocketAddr),
    /// A Unix socket; clients' sockets have no path.
    Unix,
}

impl Address {
    /// `ip:port`, `[ip]:port`, or the path of the server's socket with port 0.
    pub fn text(&self, unixsocket: &str) -> String {
        match self {
            Address::Ip(address) => address.to_string(),
            Address::Unix => format!("{unixsocket}:0"),
        }
    }

    /// Whether the other end is on this machine, by the rule of protected mode.
    pub fn is_local(&self) -> bool {
        match self {
            Address::Unix => true,
            Address::Ip(SocketAddr::V4(v4)) => v4.ip().octets()[0] == 127,
            Address::Ip(SocketAddr::V6(v6)) => *v6.ip() == Ipv6Addr::LOCALHOST,
        }
    }
}

type NameCall = unsafe extern "C" fn(i32, *mut libc::sockaddr, *mut libc::socklen_t) -> i32;

/// The other end of a connection.
pub fn peer_address(fd: BorrowedFd<'_>) -> Result<Address, Errno> {
    address(fd, libc::getpeername)
}

/// This end of a connection, or where a listener listens.
pub fn local_address(fd: BorrowedFd<'_>) -> Result<Address, Errno> {
    address(fd, libc::getsockname)
}

fn address(fd: BorrowedFd<'_>, ask: NameCall) -> Result<Address, Errno> {
    let mut storage = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: the storage is as large as `len` says.
    Errno::check(unsafe { ask(fd.as_raw_fd(), storage.as_mut_ptr().cast(), &raw mut len) })?;
    // SAFETY: all zeros is a valid storage, and the kernel has written an address over it.
    let storage = unsafe { storage.assume_init() };
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says what the storage holds, and it is large and aligned enough for any address.
            let name = unsafe { *(&raw const storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes());
            Ok(Address::Ip(SocketAddr::from((ip, u16::from_be(name.sin_port)))))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says what the storage holds, and it is large and aligned enough for any address.
            let name = unsafe { *(&raw const storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
            Ok(Address::Ip(SocketAddr::from((ip, u16::from_be(name.sin6_port)))))
        }
        libc::AF_UNIX => Ok(Address::Unix),
        _ => Err(Errno(libc::EAFNOSUPPORT)),
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_methods, reason = "a test needs a peer of its own")]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;
    use std::os::fd::AsFd;
    use std::os::unix::fs::PermissionsExt;

    fn port_of(fd: &OwnedFd) -> u16 {
        match local_address(fd.as_fd()) {
            Ok(Address::Ip(address)) => address.port(),
            other => panic!("{other:?}"),
        }
    }

    fn option(fd: BorrowedFd<'_>, level: i32, option: i32) -> i32 {
        let (mut value, mut len) = (0i32, size_of::<i32>() as libc::socklen_t);
        // SAFETY: the value is as large as `len` says.
        let rc =
            unsafe { libc::getsockopt(fd.as_raw_fd(), level, option, (&raw mut value).cast(), &raw mut len) };
        assert_eq!(rc, 0);
        value
    }

    #[test]
    fn accepted_sockets_inherit_nodelay_and_take_keepalive() {
        let listener = listen_tcp("127.0.0.1", 0, 16, 0).expect("a free port");
        let mut client = TcpStream::connect(("127.0.0.1", port_of(&listener))).expect("connected");
        // SAFETY: the address of the peer is not asked for.
        let fd = unsafe { libc::accept(listener.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut()) };
        assert!(fd >= 0, "{}", Errno::last());
        // SAFETY: the descriptor is new.
        let accepted = unsafe { OwnedFd::from_raw_fd(fd) };
        assert_ne!(option(accepted.as_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY), 0);
        set_keepalive(accepted.as_fd(), 0).expect("nothing to do");
        assert_eq!(option(accepted.as_fd(), libc::SOL_SOCKET, libc::SO_KEEPALIVE), 0);
        set_keepalive(accepted.as_fd(), 300).expect("set");
        assert_eq!(option(accepted.as_fd(), libc::IPPROTO_TCP, libc::TCP_KEEPIDLE), 300);
        assert_eq!(option(accepted.as_fd(), libc::IPPROTO_TCP, libc::TCP_KEEPINTVL), 100);
        assert_eq!(option(accepted.as_fd(), libc::IPPROTO_TCP, libc::TCP_KEEPCNT), 3);

        let peer = peer_address(accepted.as_fd()).expect("a peer");
        assert_eq!(peer, Address::Ip(client.local_addr().expect("an address")));
        assert!(peer.is_local());
        client.write_all(b"x").expect("sent");
        let mut accepted = TcpStream::from(accepted);
        let mut byte = [0];
        accepted.read_exact(&mut byte).expect("received");
        assert_eq!(&byte, b"x");
    }

    #[test]
    fn failures_say_what_failed() {
        let taken = listen_tcp("127.0.0.1", 0, 16, 0).expect("a free port");
        let error = listen_tcp("127.0.0.1", port_of(&taken), 16, 0).expect_err("taken");
        assert_eq!(error.to_string(), "bind: Address already in use");
        let error = listen_tcp("192.0.2.1", 0, 16, 0).expect_err("not of this machine");
        assert_eq!(error.to_string(), "bind: Cannot assign requested address");
        assert_eq!(error.errno(), Some(Errno(libc::EADDRNOTAVAIL)));
        let error = listen_tcp("", 0, 16, 0).expect_err("no name");
        assert!(matches!(error, SocketError::Lookup(_)), "{error:?}");
    }

    #[test]
    fn both_families_share_a_port() {
        let v4 = listen_tcp("*", 0, 16, 0).expect("a free port");
        match listen_tcp("::*", port_of(&v4), 16, 0) {
            Ok(v6) => assert_eq!(port_of(&v6), port_of(&v4)),
            Err(error) if error.errno() == Some(Errno(libc::EAFNOSUPPORT)) => println!("skipped: no IPv6 here"),
            Err(error) => panic!("{error}"),
        }
    }

    #[test]
    fn unix_sockets_have_a_path_and_a_mode() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("s");
        let listener = listen_unix(&path, 16, 0o700).expect("listening");
        assert_eq!(local_address(listener.as_fd()), Ok(Address::Unix));
        assert_eq!(std::fs::metadata(&path).expect("a file").permissions().mode() & 0o777, 0o700);
        std::os::unix::net::UnixStream::connect(&path).expect("connected");
        let error = listen_unix(&path, 16, 0).expect_err("taken");
        assert_eq!(error.to_string(), "bind: Address already in use");
        let long = folder.path().join("a".repeat(200));
        let error = listen_unix(&long, 16, 0).expect_err("too long").to_string();
        assert!(error.starts_with("unix socket path too long (") && error.ends_with("), must be under 108"), "{error}");
    }

    #[test]
    fn addresses_in_words() {
        let text = |address: &str| Address::Ip(address.parse().expect(address)).text("");
        assert_eq!(text("1.2.3.4:5"), "1.2.3.4:5");
        assert_eq!(text("[::1]:6"), "[::1]:6");
        assert_eq!(Address::Unix.text("/tmp/s"), "/tmp/s:0");
        let local = |address: &str| Address::Ip(address.parse().expect(address)).is_local();
        assert!(local("127.9.9.9:1") && local("[::1]:1") && Address::Unix.is_local());
        assert!(!local("10.0.0.1:1") && !local("[::2]:1"));
    }
}
