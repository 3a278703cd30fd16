//! Signals as something to read: the ones that end the process are blocked and come through a descriptor that the loop
//! waits on. Called on the main thread before any other starts, so that all threads inherit the mask.

use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use super::errno::Errno;

/// A signal that the process answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// Somebody pressed Ctrl-C.
    Interrupt,
    /// Somebody or the service manager asks for the end.
    Terminate,
}

impl Signal {
    /// Its name, as log lines have it.
    pub fn name(self) -> &'static str {
        match self {
            Signal::Interrupt => "SIGINT",
            Signal::Terminate => "SIGTERM",
        }
    }
}

/// The descriptor through which signals come. Non-blocking.
pub struct SignalFd(OwnedFd);

impl SignalFd {
    /// Ignores SIGHUP and SIGPIPE, blocks SIGINT and SIGTERM, and opens the descriptor for these two.
    pub fn open() -> Result<SignalFd, Errno> {
        ignore(libc::SIGHUP);
        ignore(libc::SIGPIPE);
        let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
        // SAFETY: `set` is ours to fill.
        unsafe { libc::sigemptyset(set.as_mut_ptr()) };
        // SAFETY: sigemptyset has initialised it.
        let mut set = unsafe { set.assume_init() };
        for signal in [libc::SIGINT, libc::SIGTERM] {
            // SAFETY: the set is initialised and the number is a signal's.
            unsafe { libc::sigaddset(&raw mut set, signal) };
        }
        // SAFETY: the set is initialised; the old mask is not asked for.
        let rc = unsafe { libc::pthread_sigmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut()) };
        if rc != 0 {
            return Err(Errno(rc));
        }
        // SAFETY: the set is initialised; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &raw const set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) };
        let fd = Errno::check(fd)?;
        // SAFETY: the descriptor is new and nobody else has it.
        Ok(SignalFd(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Reads what has come since the last call, oldest first; empty where nothing has.
    pub fn read(&self) -> Result<Vec<Signal>, Errno> {
        let mut signals = Vec::new();
        loop {
            let mut info = MaybeUninit::<libc::signalfd_siginfo>::zeroed();
            // SAFETY: pointer and length are those of `info`.
            let got = unsafe { libc::read(self.0.as_raw_fd(), info.as_mut_ptr().cast(), size_of_val(&info)) };
            if got == -1 {
                match Errno::last() {
                    Errno(libc::EINTR) => continue,
                    Errno(libc::EAGAIN) => return Ok(signals),
                    errno => return Err(errno),
                }
            }
            // SAFETY: all zeros is a valid record, and the kernel has written a whole one over it.
            let info = unsafe { info.assume_init() };
            match info.ssi_signo as i32 {
                libc::SIGINT => signals.push(Signal::Interrupt),
                libc::SIGTERM => signals.push(Signal::Terminate),
                _ => {}
            }
        }
    }
}

impl AsRawFd for SignalFd {
    fn as_raw_fd(&self) -> i32 {
        self.0.as_raw_fd()
    }
}

fn ignore(signal: i32) {
    // SAFETY: ignoring a signal installs no code.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}

/// Lets this thread be interrupted again: a child process must not inherit the blocked signals.
pub fn unblock() {
    let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
    // SAFETY: `set` is ours to fill.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    // SAFETY: sigemptyset has initialised the set; the old mask is not asked for.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signal_to_this_thread_is_read() {
        // The mask is per thread, so that the other tests keep theirs.
        let fd = SignalFd::open().expect("a signal descriptor");
        assert_eq!(fd.read(), Ok(Vec::new()));
        for signal in [libc::SIGTERM, libc::SIGINT] {
            // SAFETY: has no arguments.
            let thread = unsafe { libc::pthread_self() };
            // SAFETY: the thread runs, and the signal is blocked in it.
            unsafe { libc::pthread_kill(thread, signal) };
        }
        let mut signals = fd.read().expect("readable");
        signals.sort_by_key(|signal| signal.name());
        assert_eq!(signals, [Signal::Interrupt, Signal::Terminate]);
        assert_eq!(fd.read(), Ok(Vec::new()));
        unblock();
    }
}
