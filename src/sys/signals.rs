//! The signals that end the server: a handler logs them at once, also while a long command runs, and wakes the main loop
//! through a descriptor. Unsafe room.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, Ordering};

use super::handler_log;

/// Signals that end the server.
const WATCHED: [i32; 2] = [libc::SIGTERM, libc::SIGINT];
/// Signals that are of no interest: writing to a closed socket is reported by the write, hang-ups are for terminals.
const IGNORED: [i32; 2] = [libc::SIGPIPE, libc::SIGHUP];

/// The signal that asked the server to end, 0 while none did.
static ASKED: AtomicI32 = AtomicI32::new(0);
/// The descriptor that the handler makes readable, -1 while there is none.
static WAKE: AtomicI32 = AtomicI32::new(-1);

/// Watched signals that have arrived.
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Handles the watched signals from now on, and ignores the uninteresting ones.
    pub fn watch() -> io::Result<Signals> {
        // SAFETY: takes numbers only; asks for a new descriptor.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was opened just now and belongs to nobody else.
        let signals = Signals { fd: unsafe { OwnedFd::from_raw_fd(fd) } };
        WAKE.store(fd, Ordering::Release);
        for signal in IGNORED {
            // SAFETY: SIG_IGN installs no handler code.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        for signal in WATCHED {
            handle(signal)?;
        }
        Ok(signals)
    }

    /// The descriptor to watch.
    pub fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// The signal that asks the server to end, where one came since the last call.
    pub fn take(&mut self) -> Option<i32> {
        let mut count = 0_u64;
        // SAFETY: `count` has room for the eight bytes of a counter.
        let read = unsafe { libc::read(self.fd.as_raw_fd(), ptr::from_mut(&mut count).cast(), size_of::<u64>()) };
        let signal = ASKED.load(Ordering::Acquire);
        (read == size_of::<u64>() as isize && signal != 0).then_some(signal)
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        WAKE.store(-1, Ordering::Release);
    }
}

/// The server does not end, though a signal asked for it: the next signal asks anew.
pub fn refused() {
    ASKED.store(0, Ordering::Release);
}

fn handle(signal: i32) -> io::Result<()> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zeros is an action without handler, flags or mask.
    let action = unsafe { action.assume_init_mut() };
    action.sa_sigaction = on_signal as extern "C" fn(i32) as usize;
    action.sa_flags = libc::SA_RESTART;
    // SAFETY: the action is initialised, and its handler makes system calls only.
    if unsafe { libc::sigaction(signal, action, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Nobody who asks twice from a terminal is kept waiting for what runs: the second SIGINT ends the process here.
extern "C" fn on_signal(signal: i32) {
    // SAFETY: the place of this thread's error number, which code that was interrupted may be about to read.
    let errno = unsafe { libc::__errno_location() };
    // SAFETY: valid for the whole life of the thread.
    let before = unsafe { *errno };
    let asked = ASKED.swap(signal, Ordering::AcqRel);
    if signal == libc::SIGINT && asked != 0 {
        handler_log::write("You insist... exiting now.");
        // SAFETY: ends the process without running anything that could wait.
        unsafe { libc::_exit(1) };
    }
    handler_log::write(match signal {
        libc::SIGINT => "Received SIGINT scheduling shutdown...",
        _ => "Received SIGTERM scheduling shutdown...",
    });
    let one = 1_u64;
    // SAFETY: writes the eight bytes of `one`; a descriptor that is gone makes it fail, which changes nothing.
    unsafe { libc::write(WAKE.load(Ordering::Acquire), ptr::from_ref(&one).cast(), size_of::<u64>()) };
    // SAFETY: as above.
    unsafe { *errno = before };
}
