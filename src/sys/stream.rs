//! Accepting, reading and writing stream sockets without waiting. Unsafe room: plain system calls, no state.

use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::errno::Errno;

/// Most pieces of one vectored send (the kernel's IOV_MAX).
pub const PIECES_MAX: usize = 1024;

/// The next connection of a listening socket.
pub fn accept(listener: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    let flags = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;
    // SAFETY: no address is asked for, so there is no memory for the kernel to write.
    let fd = unsafe { libc::accept4(listener.as_raw_fd(), std::ptr::null_mut(), std::ptr::null_mut(), flags) };
    let fd = Errno::check(fd)?;
    // SAFETY: the descriptor was opened just now and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn length(returned: isize) -> Result<usize, Errno> {
    usize::try_from(returned).map_err(|_| Errno::last())
}

/// Reads what is there, at most as much as fits.
#[inline]
pub fn recv(socket: BorrowedFd<'_>, into: &mut [u8]) -> Result<usize, Errno> {
    // SAFETY: `into` is ours to fill and has this length.
    length(unsafe { libc::recv(socket.as_raw_fd(), into.as_mut_ptr().cast(), into.len(), libc::MSG_DONTWAIT) })
}

/// Reads what is there behind the end of `bytes`, at most `max` and within the capacity.
pub fn recv_behind(socket: BorrowedFd<'_>, bytes: &mut Vec<u8>, max: usize) -> Result<usize, Errno> {
    let room = bytes.spare_capacity_mut();
    let len = room.len().min(max);
    // SAFETY: the spare capacity is ours to fill and has at least this length.
    let got = length(unsafe { libc::recv(socket.as_raw_fd(), room.as_mut_ptr().cast(), len, libc::MSG_DONTWAIT) })?;
    assert!(got <= len, "the kernel received no more than asked for");
    let filled = bytes.len() + got;
    // SAFETY: the kernel wrote `got` bytes behind the old end, within the capacity.
    unsafe { bytes.set_len(filled) };
    Ok(got)
}

/// Writes as much as the socket takes now.
#[inline]
pub fn send(socket: BorrowedFd<'_>, bytes: &[u8]) -> Result<usize, Errno> {
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: `bytes` is valid for its length through the call.
    length(unsafe { libc::send(socket.as_raw_fd(), bytes.as_ptr().cast(), bytes.len(), flags) })
}

/// Writes as much as the socket takes now of the first [`PIECES_MAX`] pieces.
#[inline]
pub fn send_pieces(socket: BorrowedFd<'_>, pieces: &[IoSlice<'_>]) -> Result<usize, Errno> {
    // SAFETY: all zeros is an empty message header: no address, no control data.
    let mut message: libc::msghdr = unsafe { std::mem::zeroed() };
    // An IoSlice is an iovec, as the standard library promises; sending only reads through it.
    message.msg_iov = pieces.as_ptr().cast_mut().cast();
    message.msg_iovlen = pieces.len().min(PIECES_MAX) as _;
    // SAFETY: the header and the pieces it points to live through the call.
    length(unsafe { libc::sendmsg(socket.as_raw_fd(), &raw const message, libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) })
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn bytes_come_and_go_without_waiting() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        let mut place = [0; 8];
        assert_eq!(recv(ours.as_fd(), &mut place), Err(Errno(libc::EAGAIN)));
        theirs.write_all(b"hello").expect("written");
        assert_eq!(recv(ours.as_fd(), &mut place), Ok(5));
        let mut own = Vec::with_capacity(6);
        own.extend_from_slice(b"ab");
        theirs.write_all(b"cdefgh").expect("written");
        assert_eq!(recv_behind(ours.as_fd(), &mut own, 3), Ok(3));
        assert_eq!(own, b"abcde");
        assert_eq!(recv_behind(ours.as_fd(), &mut own, 100), Ok(own.capacity().min(8) - 5));
        let pieces = [IoSlice::new(b"one "), IoSlice::new(b"two")];
        assert_eq!(send_pieces(theirs.as_fd(), &pieces), Ok(7));
        assert_eq!(send(theirs.as_fd(), b"!"), Ok(1));
        let mut rest = Vec::with_capacity(32);
        recv_behind(ours.as_fd(), &mut rest, 32).expect("bytes are there");
        assert!(rest.ends_with(b"one two!"));
        drop(theirs);
        assert_eq!(recv(ours.as_fd(), &mut place), Ok(0));
        assert_eq!(send(ours.as_fd(), b"x"), Err(Errno(libc::EPIPE)));
    }
}
