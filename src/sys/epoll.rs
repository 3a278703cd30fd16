//! The kernel's readiness queue, behind safe wrappers. One thread waits on it. Knows no sockets, only descriptors and the
//! number that each was registered with.

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

use super::errno::Errno;

/// Bytes or connections can be read.
pub const READABLE: u32 = libc::EPOLLIN as u32;
/// Bytes can be written.
pub const WRITABLE: u32 = libc::EPOLLOUT as u32;
/// The peer writes no more.
pub const READ_ENDED: u32 = libc::EPOLLRDHUP as u32;
/// Nothing more comes or goes; told without being asked for.
pub const BROKEN: u32 = (libc::EPOLLHUP | libc::EPOLLERR) as u32;
/// Told once per change instead of as long as it is so.
pub const EDGE: u32 = libc::EPOLLET as u32;

/// What one descriptor is ready for.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Event(libc::epoll_event);

impl Event {
    /// Nothing, for an array to be filled.
    pub const NONE: Event = Event(libc::epoll_event { events: 0, u64: 0 });

    /// What it is ready for.
    #[inline]
    pub fn ready(&self) -> u32 {
        self.0.events
    }

    /// The number it was registered with.
    #[inline]
    pub fn data(&self) -> u64 {
        self.0.u64
    }
}

/// A readiness queue.
pub struct Epoll {
    fd: OwnedFd,
}

impl Epoll {
    /// An empty one.
    pub fn new() -> Result<Epoll, Errno> {
        // SAFETY: takes numbers only.
        let fd = Errno::check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor was opened just now and belongs to nobody else.
        Ok(Epoll { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Watches a descriptor. What it is ready for already is told by the next wait.
    pub fn add(&self, fd: RawFd, interest: u32, data: u64) -> Result<(), Errno> {
        self.control(libc::EPOLL_CTL_ADD, fd, interest, data)
    }

    /// Watches it for something else. What it is ready for already is told by the next wait.
    pub fn modify(&self, fd: RawFd, interest: u32, data: u64) -> Result<(), Errno> {
        self.control(libc::EPOLL_CTL_MOD, fd, interest, data)
    }

    /// Watches it no more.
    pub fn delete(&self, fd: RawFd) -> Result<(), Errno> {
        self.control(libc::EPOLL_CTL_DEL, fd, 0, 0)
    }

    fn control(&self, operation: i32, fd: RawFd, interest: u32, data: u64) -> Result<(), Errno> {
        let mut event = libc::epoll_event { events: interest, u64: data };
        // SAFETY: `event` lives through the call, which copies it.
        Errno::check(unsafe { libc::epoll_ctl(self.fd.as_raw_fd(), operation, fd, &raw mut event) }).map(|_| ())
    }

    /// Waits until something is ready, at most `timeout_ms`. Returns how many of `events` were filled in.
    #[inline]
    pub fn wait(&self, events: &mut [Event], timeout_ms: i32) -> Result<usize, Errno> {
        let room = i32::try_from(events.len()).unwrap_or(i32::MAX);
        // SAFETY: `events` is ours to fill, has this length, and `Event` is nothing but the kernel's record.
        let filled = unsafe { libc::epoll_wait(self.fd.as_raw_fd(), events.as_mut_ptr().cast(), room, timeout_ms) };
        Errno::check(filled).map(|filled| filled as usize)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn an_edge_is_told_once_and_a_level_again_and_again() {
        for (interest, again) in [(READABLE | EDGE, 0), (READABLE, 1)] {
            let epoll = Epoll::new().expect("epoll");
            let (reading, mut writing) = UnixStream::pair().expect("a pair");
            epoll.add(reading.as_raw_fd(), interest, 77).expect("added");
            let mut events = [Event::NONE; 4];
            assert_eq!(epoll.wait(&mut events, 0), Ok(0));
            writing.write_all(b"x").expect("written");
            assert_eq!(epoll.wait(&mut events, 0), Ok(1));
            assert_eq!((events[0].data(), events[0].ready()), (77, READABLE));
            assert_eq!(epoll.wait(&mut events, 0), Ok(again));
            epoll.modify(reading.as_raw_fd(), interest | WRITABLE, 78).expect("modified");
            assert_eq!(epoll.wait(&mut events, 0), Ok(1), "a change tells what is there already");
            assert_eq!((events[0].data(), events[0].ready()), (78, READABLE | WRITABLE));
            epoll.delete(reading.as_raw_fd()).expect("deleted");
            assert_eq!(epoll.wait(&mut events, 0), Ok(0));
        }
    }
}
