//! The real clocks, and calendar time for log lines. Any thread.

use std::mem::MaybeUninit;

/// One reading of a clock, in nanoseconds.
fn clock_ns(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is ours to fill.
    let rc = unsafe { libc::clock_gettime(clock, &raw mut time) };
    assert_eq!(rc, 0, "every Linux has this clock");
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

/// Microseconds since 1970. May jump when the system's clock is set.
pub fn unix_us() -> i64 {
    (clock_ns(libc::CLOCK_REALTIME) / 1000) as i64
}

/// Nanoseconds since some time before the start; never goes back.
pub fn monotonic_ns() -> u64 {
    clock_ns(libc::CLOCK_MONOTONIC)
}

/// Calendar time of this machine's zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalTime {
    /// Such as 2026.
    pub year: i32,
    /// 0 to 11.
    pub month: u8,
    /// 1 to 31.
    pub day: u8,
    /// 0 to 23.
    pub hour: u8,
    /// 0 to 59.
    pub minute: u8,
    /// 0 to 60.
    pub second: u8,
}

/// What the clock on the wall shows at `unix_s` seconds since 1970.
pub fn local_time(unix_s: i64) -> LocalTime {
    let mut broken = MaybeUninit::<libc::tm>::zeroed();
    // SAFETY: both pointers are valid for the call.
    unsafe { libc::localtime_r(&raw const unix_s, broken.as_mut_ptr()) };
    // SAFETY: all zeros is a valid tm, and localtime_r may have filled it.
    let broken = unsafe { broken.assume_init() };
    LocalTime {
        year: broken.tm_year + 1900,
        month: broken.tm_mon as u8,
        day: broken.tm_mday as u8,
        hour: broken.tm_hour as u8,
        minute: broken.tm_min as u8,
        second: broken.tm_sec as u8,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_advance() {
        let (wall, steady) = (unix_us(), monotonic_ns());
        assert!(wall > 1_700_000_000_000_000);
        while monotonic_ns() == steady {}
        assert!(monotonic_ns() > steady);
    }

    #[test]
    fn calendar_time_is_close_to_the_epoch() {
        let time = local_time(86_400 * 200);
        assert_eq!((time.year, time.month), (1970, 6));
        assert!((18..=21).contains(&time.day) && time.minute < 60);
    }
}
