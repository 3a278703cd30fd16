//! The process-level system calls of the tool, behind safe wrappers: clock, limits, affinity, signals. Unsafe room.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// The monotonic clock.
#[inline]
#[expect(clippy::disallowed_methods, reason = "a measuring tool reads the real clock; it does so here only")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970, UTC.
#[expect(clippy::disallowed_methods, reason = "result files are dated; the wall clock is read here only")]
pub(crate) fn unix_time_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// CPU time of the calling thread so far, in nanoseconds.
pub(crate) fn thread_cpu_ns() -> io::Result<u64> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the structure outlives the call.
    check(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) })?;
    Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Raises the soft limit of open descriptors to at least `wanted`, and the hard one where the user may. Children inherit
/// it.
pub(crate) fn raise_descriptor_limit(wanted: u64) -> io::Result<()> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the structure outlives the call.
    check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
    if limit.rlim_cur >= wanted {
        return Ok(());
    }
    limit.rlim_cur = wanted;
    limit.rlim_max = limit.rlim_max.max(wanted);
    // SAFETY: the structure outlives the call.
    check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })
}

/// Makes the child of `command` run on `core` only, and get SIGTERM when the calling thread ends, however it ends.
pub(crate) fn tie_child(command: &mut Command, core: usize) {
    let prepare = move || -> io::Result<()> {
        if core >= libc::CPU_SETSIZE as usize {
            return Err(io::Error::from_raw_os_error(libc::EINVAL));
        }
        // SAFETY: all zeroes is the empty set.
        let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
        // SAFETY: `core` was checked against the size of the set.
        unsafe { libc::CPU_SET(core, &mut set) };
        // SAFETY: the set outlives the call; pid 0 is the calling process.
        check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) })?;
        // SAFETY: sets one attribute of the calling process.
        check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) })
    };
    // SAFETY: the closure only makes async-signal-safe calls and allocates nothing.
    unsafe { command.pre_exec(prepare) };
}

/// Sends `signal` to the process `pid`, a child that has not been waited for.
pub(crate) fn signal(pid: u32, signal: i32) -> io::Result<()> {
    let pid = i32::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
    // SAFETY: passes numbers only.
    check(unsafe { libc::kill(pid, signal) })
}

fn check(result: i32) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tied_child_runs_on_its_core() {
        let mut command = Command::new("grep");
        command.args(["Cpus_allowed_list", "/proc/self/status"]);
        tie_child(&mut command, 0);
        let output = command.output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap().split_whitespace().last(), Some("0"));
    }

    #[test]
    fn the_thread_uses_cpu_time() {
        let before = thread_cpu_ns().unwrap();
        let mut hash = 0u64;
        for number in 0..100_000u64 {
            hash = std::hint::black_box(hash.wrapping_mul(31) ^ number);
        }
        assert!(thread_cpu_ns().unwrap() > before);
    }

    #[test]
    fn a_core_beyond_the_set_is_refused() {
        let mut command = Command::new("true");
        tie_child(&mut command, 1 << 20);
        assert!(command.status().is_err());
    }
}
