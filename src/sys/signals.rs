//! Signals as a descriptor that the ring watches. Unsafe room.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};

/// Signals that end the server, delivered through the descriptor.
const WATCHED: [i32; 2] = [libc::SIGTERM, libc::SIGINT];
/// Signals that are of no interest: writing to a closed socket is reported by the write, hang-ups are for terminals.
const IGNORED: [i32; 2] = [libc::SIGPIPE, libc::SIGHUP];

/// Watched signals that have arrived.
pub struct Signals {
    fd: OwnedFd,
}

impl Signals {
    /// Blocks the watched signals for this thread, and threads it starts later, and ignores the uninteresting ones.
    pub fn watch() -> io::Result<Signals> {
        for signal in IGNORED {
            // SAFETY: SIG_IGN installs no handler code.
            unsafe { libc::signal(signal, libc::SIG_IGN) };
        }
        let set = set_of(&WATCHED);
        // SAFETY: `set` is an initialised signal set, the old one is not asked for.
        if unsafe { libc::sigprocmask(libc::SIG_BLOCK, &set, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: `set` is an initialised signal set; -1 asks for a new descriptor.
        let fd = unsafe { libc::signalfd(-1, &set, libc::SFD_NONBLOCK | libc::SFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the descriptor was opened just now and belongs to nobody else.
        Ok(Signals { fd: unsafe { OwnedFd::from_raw_fd(fd) } })
    }

    /// The descriptor to watch.
    pub fn descriptor(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// The signals that have arrived since the last call.
    pub fn take(&mut self) -> Vec<i32> {
        let mut taken = Vec::new();
        loop {
            let mut info = MaybeUninit::<libc::signalfd_siginfo>::uninit();
            let size = size_of::<libc::signalfd_siginfo>();
            // SAFETY: `info` has room for `size` bytes.
            let read = unsafe { libc::read(self.fd.as_raw_fd(), info.as_mut_ptr().cast(), size) };
            if read != size as isize {
                return taken;
            }
            // SAFETY: the kernel filled the whole structure.
            let info = unsafe { info.assume_init() };
            taken.push(info.ssi_signo as i32);
        }
    }
}

fn set_of(signals: &[i32]) -> libc::sigset_t {
    let mut set = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: sigemptyset initialises the set it is given.
    unsafe { libc::sigemptyset(set.as_mut_ptr()) };
    for signal in signals {
        // SAFETY: the set was initialised above, the signal numbers are valid.
        unsafe { libc::sigaddset(set.as_mut_ptr(), *signal) };
    }
    // SAFETY: initialised above.
    unsafe { set.assume_init() }
}
