//! A counter in the kernel that can be waited for: what a thread on epoll is woken with. Any thread may raise it. Unsafe
//! room: plain system calls, no state.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use super::errno::Errno;

/// The counter. Nobody reads it: whoever waits for changes is told of each one.
#[derive(Debug)]
pub struct EventFd {
    fd: OwnedFd,
}

impl EventFd {
    /// One that stands at zero.
    pub fn new() -> Result<EventFd, Errno> {
        // SAFETY: takes numbers only.
        let fd = Errno::check(unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) })?;
        // SAFETY: the descriptor was opened just now and belongs to nobody else.
        Ok(EventFd { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// Adds one. It takes 2^64 of them until that is refused.
    pub fn raise(&self) -> Result<(), Errno> {
        let one = 1_u64.to_ne_bytes();
        // SAFETY: `one` is valid for its length through the call.
        let written = unsafe { libc::write(self.fd.as_raw_fd(), one.as_ptr().cast(), one.len()) };
        Errno::check(written as i32).map(|_| ())
    }
}

impl AsFd for EventFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::epoll::{EDGE, Epoll, Event, READABLE};

    #[test]
    fn every_change_is_told_though_nobody_reads() {
        let (epoll, counter) = (Epoll::new().expect("epoll"), EventFd::new().expect("a counter"));
        epoll.add(counter.as_fd().as_raw_fd(), READABLE | EDGE, 5).expect("added");
        let mut events = [Event::NONE; 4];
        assert_eq!(epoll.wait(&mut events, 0), Ok(0));
        for _ in 0..3 {
            assert_eq!(counter.raise(), Ok(()));
            assert_eq!(counter.raise(), Ok(()));
            assert_eq!(epoll.wait(&mut events, 0), Ok(1));
            assert_eq!(events[0].data(), 5);
            assert_eq!(epoll.wait(&mut events, 0), Ok(0));
        }
    }
}
