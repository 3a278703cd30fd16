//! Listening sockets and socket options. Unsafe room: plain system calls, no state.

use std::io;
use std::mem::{MaybeUninit, size_of};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

/// How a TCP listener is to be made.
#[derive(Clone, Copy, Debug)]
pub struct TcpOptions {
    /// Length of the accept queue.
    pub backlog: i32,
    /// SO_MARK, 0 for none.
    pub mark: u32,
}

/// A TCP socket that listens on `address`. Accepted sockets inherit TCP_NODELAY from it.
pub fn listen_tcp(address: SocketAddr, options: TcpOptions) -> io::Result<OwnedFd> {
    let family = if address.is_ipv6() { libc::AF_INET6 } else { libc::AF_INET };
    let socket = open(family)?;
    set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_REUSEADDR, 1)?;
    if address.is_ipv6() {
        set_option(socket.as_raw_fd(), libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, 1)?;
    }
    if options.mark != 0 {
        set_option(socket.as_raw_fd(), libc::SOL_SOCKET, libc::SO_MARK, options.mark as i32)?;
    }
    set_option(socket.as_raw_fd(), libc::IPPROTO_TCP, libc::TCP_NODELAY, 1)?;
    match address {
        SocketAddr::V4(address) => bind(&socket, &to_sockaddr_in(address))?,
        SocketAddr::V6(address) => bind(&socket, &to_sockaddr_in6(address))?,
    }
    start_listening(&socket, options.backlog)?;
    Ok(socket)
}

/// A Unix socket that listens at `path`, which must not exist.
pub fn listen_unix(path: &Path, backlog: i32) -> io::Result<OwnedFd> {
    // SAFETY: all-zero is a valid sockaddr_un.
    let mut address: libc::sockaddr_un = unsafe { std::mem::zeroed() };
    address.sun_family = libc::AF_UNIX as libc::sa_family_t;
    let bytes = path.as_os_str().as_bytes();
    if bytes.len() >= address.sun_path.len() {
        return Err(io::Error::from_raw_os_error(libc::ENAMETOOLONG));
    }
    for (place, byte) in address.sun_path.iter_mut().zip(bytes) {
        *place = *byte as libc::c_char;
    }
    let socket = open(libc::AF_UNIX)?;
    bind(&socket, &address)?;
    start_listening(&socket, backlog)?;
    Ok(socket)
}

fn open(family: i32) -> io::Result<OwnedFd> {
    // SAFETY: plain system call.
    let fd = unsafe { libc::socket(family, libc::SOCK_STREAM | libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was opened just now and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn bind<A>(socket: &OwnedFd, address: &A) -> io::Result<()> {
    // SAFETY: `address` is one of the sockaddr structures, of the size that is passed.
    let status = unsafe {
        libc::bind(socket.as_raw_fd(), std::ptr::from_ref(address).cast(), size_of::<A>() as libc::socklen_t)
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn start_listening(socket: &OwnedFd, backlog: i32) -> io::Result<()> {
    // SAFETY: plain system call on a descriptor that is open.
    let status = unsafe { libc::listen(socket.as_raw_fd(), backlog) };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn set_option(fd: RawFd, level: i32, name: i32, value: i32) -> io::Result<()> {
    // SAFETY: the option value is an int of the size that is passed.
    let status = unsafe {
        libc::setsockopt(fd, level, name, std::ptr::from_ref(&value).cast(), size_of::<i32>() as libc::socklen_t)
    };
    if status == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Frees the address of a listening socket at once, also while somebody else still holds the socket.
pub fn stop_listening(socket: &OwnedFd) {
    // SAFETY: plain system call on a descriptor that is open. It fails only where the socket listens no more.
    unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) };
}

/// Keepalive probes after `interval_s` idle seconds, a third of that between probes, three probes. On a listener it is
/// inherited by the sockets it accepts. 0 switches keepalive off.
pub fn set_keepalive(fd: RawFd, interval_s: u32) -> io::Result<()> {
    set_option(fd, libc::SOL_SOCKET, libc::SO_KEEPALIVE, i32::from(interval_s > 0))?;
    if interval_s == 0 {
        return Ok(());
    }
    let interval = i32::try_from(interval_s).unwrap_or(i32::MAX);
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_KEEPIDLE, interval)?;
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_KEEPINTVL, (interval / 3).max(1))?;
    set_option(fd, libc::IPPROTO_TCP, libc::TCP_KEEPCNT, 3)
}

/// Address of the other end as CLIENT LIST prints it: `ip:port`, `[ip]:port`, or `?:0`.
pub fn peer_text(fd: RawFd) -> String {
    text_of(fd, libc::getpeername)
}

/// Address of this end, in the same form.
pub fn local_text(fd: RawFd) -> String {
    text_of(fd, libc::getsockname)
}

/// Address that a socket is bound to.
pub fn local_address(fd: RawFd) -> Option<SocketAddr> {
    address_of(fd, libc::getsockname)
}

type NameCall = unsafe extern "C" fn(RawFd, *mut libc::sockaddr, *mut libc::socklen_t) -> i32;

fn text_of(fd: RawFd, call: NameCall) -> String {
    address_of(fd, call).map_or_else(|| "?:0".to_string(), |address| address.to_string())
}

fn address_of(fd: RawFd, call: NameCall) -> Option<SocketAddr> {
    let mut storage = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut len = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    // SAFETY: the storage is large enough for every address family, and `len` says how large.
    if unsafe { call(fd, storage.as_mut_ptr().cast(), &mut len) } != 0 {
        return None;
    }
    // SAFETY: zeroed before, so initialised whatever the kernel wrote.
    let storage = unsafe { storage.assume_init() };
    match i32::from(storage.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that the storage holds a sockaddr_in.
            let address = unsafe { &*std::ptr::from_ref(&storage).cast::<libc::sockaddr_in>() };
            let ip = Ipv4Addr::from(u32::from_be(address.sin_addr.s_addr));
            Some(SocketAddr::new(IpAddr::V4(ip), u16::from_be(address.sin_port)))
        }
        libc::AF_INET6 => {
            // SAFETY: the family says that the storage holds a sockaddr_in6.
            let address = unsafe { &*std::ptr::from_ref(&storage).cast::<libc::sockaddr_in6>() };
            let ip = Ipv6Addr::from(address.sin6_addr.s6_addr);
            Some(SocketAddr::new(IpAddr::V6(ip), u16::from_be(address.sin6_port)))
        }
        _ => None,
    }
}

fn to_sockaddr_in(address: SocketAddrV4) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: address.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(address.ip().octets()) },
        sin_zero: [0; 8],
    }
}

fn to_sockaddr_in6(address: SocketAddrV6) -> libc::sockaddr_in6 {
    libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as libc::sa_family_t,
        sin6_port: address.port().to_be(),
        sin6_flowinfo: address.flowinfo(),
        sin6_addr: libc::in6_addr { s6_addr: address.ip().octets() },
        sin6_scope_id: address.scope_id(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tcp_listener_knows_its_address_and_passes_nodelay_on() {
        let options = TcpOptions { backlog: 16, mark: 0 };
        let listener = listen_tcp("127.0.0.1:0".parse().expect("an address"), options).expect("a free port");
        set_keepalive(listener.as_raw_fd(), 300).expect("keepalive");
        let address = local_address(listener.as_raw_fd()).expect("bound");
        assert!(address.port() != 0 && local_text(listener.as_raw_fd()).starts_with("127.0.0.1:"));
        assert_eq!(peer_text(listener.as_raw_fd()), "?:0");
        assert_eq!(listen_tcp(address, options).expect_err("taken").raw_os_error(), Some(libc::EADDRINUSE));
    }

    #[test]
    fn a_unix_path_that_is_too_long_is_refused() {
        let path = "/tmp/".to_string() + &"x".repeat(200);
        let error = listen_unix(Path::new(&path), 1).expect_err("too long");
        assert_eq!(error.raw_os_error(), Some(libc::ENAMETOOLONG));
    }
}
