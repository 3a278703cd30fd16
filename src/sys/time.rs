//! The real clocks: wall time for what users see, ticks for durations. Unsafe room.

use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::time::Duration;

/// Wall clock in Unix microseconds.
pub fn unix_us() -> i64 {
    let now = read(libc::CLOCK_REALTIME);
    now.tv_sec * 1_000_000 + now.tv_nsec / 1_000
}

/// Monotonic clock in nanoseconds since some fixed point.
pub fn monotonic_ns() -> u64 {
    let now = read(libc::CLOCK_MONOTONIC);
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

fn read(clock: libc::clockid_t) -> libc::timespec {
    let mut now = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: `now` is a valid place for the result.
    let status = unsafe { libc::clock_gettime(clock, now.as_mut_ptr()) };
    assert_eq!(status, 0, "both clocks exist on Linux");
    // SAFETY: the call succeeded, so it filled `now`.
    unsafe { now.assume_init() }
}

/// Stops the calling thread.
pub fn sleep(duration: Duration) {
    std::thread::sleep(duration);
}

/// Broken-down local time, for log lines.
pub fn local_time(unix_s: i64) -> libc::tm {
    let mut parts = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid; localtime_r keeps no reference to them.
    unsafe { libc::localtime_r(&unix_s, parts.as_mut_ptr()) };
    // SAFETY: zeroed is a valid tm, and the call only writes valid fields.
    unsafe { parts.assume_init() }
}

/// What durations are counted in.
#[derive(Clone, Copy, Debug)]
pub struct TickSource {
    /// Reads the counter.
    pub read: fn() -> u64,
    /// How fast it advances.
    pub ticks_per_second: u64,
    /// What INFO calls it.
    pub name: &'static str,
}

/// How long the processor's counter is compared with the monotonic clock at start.
const CALIBRATION: Duration = Duration::from_millis(5);

/// The cheapest counter that is good for durations: the processor's own where it runs at a constant rate, else the
/// monotonic clock.
pub fn tick_source() -> TickSource {
    static SOURCE: OnceLock<TickSource> = OnceLock::new();
    *SOURCE.get_or_init(|| {
        calibrated_tsc().unwrap_or(TickSource {
            read: monotonic_ns,
            ticks_per_second: 1_000_000_000,
            name: "POSIX clock_gettime",
        })
    })
}

#[cfg(target_arch = "x86_64")]
fn tsc() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, and Linux lets user space execute it.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(target_arch = "x86_64")]
fn calibrated_tsc() -> Option<TickSource> {
    let processors = std::fs::read_to_string("/proc/cpuinfo").ok()?;
    let flags = processors.lines().find(|line| line.starts_with("flags"))?;
    if !["constant_tsc", "nonstop_tsc"].iter().all(|flag| flags.split_whitespace().any(|word| word == *flag)) {
        return None;
    }
    let (start_ns, start) = (monotonic_ns(), tsc());
    std::thread::sleep(CALIBRATION);
    let (end_ns, end) = (monotonic_ns(), tsc());
    let ticks_per_second = u128::from(end.checked_sub(start)?) * 1_000_000_000 / u128::from(end_ns - start_ns);
    let ticks_per_second = u64::try_from(ticks_per_second).ok().filter(|rate| *rate > 1_000_000)?;
    Some(TickSource { read: tsc, ticks_per_second, name: "X86 TSC" })
}

#[cfg(not(target_arch = "x86_64"))]
fn calibrated_tsc() -> Option<TickSource> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_agree_with_each_other() {
        let source = tick_source();
        let (start_ns, start) = (monotonic_ns(), (source.read)());
        std::thread::sleep(Duration::from_millis(20));
        let (ns, ticks) = (monotonic_ns() - start_ns, (source.read)() - start);
        let measured = u128::from(ticks) * 1_000_000_000 / u128::from(source.ticks_per_second);
        let error = (measured as i128 - i128::from(ns)).unsigned_abs();
        assert!(error < u128::from(ns) / 10, "{measured} ns by {}, {ns} ns by the clock", source.name);
        assert!(unix_us() > 1_700_000_000_000_000);
    }

    #[test]
    fn local_time_has_the_right_year() {
        let parts = local_time(1_750_000_000);
        assert_eq!(parts.tm_year + 1900, 2025);
    }
}
