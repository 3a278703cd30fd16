//! What durations are counted in: the processor's time stamp counter where it can be trusted, the monotonic clock where it
//! cannot. Any thread; the comparison with the clock is made once, at the first call.

use std::sync::OnceLock;

use super::time::monotonic_ns;

/// How long the counter is compared with the clock, in nanoseconds.
const CALIBRATION_NS: u64 = 10_000_000;

/// A counter that costs little to read.
#[derive(Clone, Copy, Debug)]
pub struct TickSource {
    /// Reads it.
    pub read: fn() -> u64,
    /// How fast it advances.
    pub ticks_per_second: u64,
    from_clock: bool,
}

impl TickSource {
    /// Every tick is a nanosecond, asked from the kernel.
    fn clock() -> TickSource {
        TickSource { read: monotonic_ns, ticks_per_second: 1_000_000_000, from_clock: true }
    }

    /// The source in the words of Redis' log and of INFO's `monotonic_clock`.
    pub fn describe(&self) -> String {
        if self.from_clock {
            "POSIX clock_gettime".to_owned()
        } else {
            format!("X86 TSC @ {} ticks/us", self.ticks_per_second / 1_000_000)
        }
    }
}

/// The best source of this machine.
pub fn tick_source() -> TickSource {
    static SOURCE: OnceLock<TickSource> = OnceLock::new();
    *SOURCE.get_or_init(|| {
        let steady = counter_is_steady(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default());
        if steady { calibrated().unwrap_or(TickSource::clock()) } else { TickSource::clock() }
    })
}

/// Whether the kernel says that the counter runs at one rate and through sleep.
fn counter_is_steady(cpuinfo: &str) -> bool {
    let flags = cpuinfo.lines().find(|line| line.starts_with("flags")).unwrap_or("");
    let has = |flag: &str| flags.split_whitespace().any(|word| word == flag);
    cfg!(target_arch = "x86_64") && has("constant_tsc") && has("nonstop_tsc")
}

fn calibrated() -> Option<TickSource> {
    let (start_ns, start) = (monotonic_ns(), counter());
    let mut ns = 0;
    while ns < CALIBRATION_NS {
        ns = monotonic_ns() - start_ns;
    }
    let ticks = u128::from(counter().checked_sub(start)?);
    let ticks_per_second = u64::try_from(ticks * 1_000_000_000 / u128::from(ns)).ok()?;
    // A counter slower than this would make durations coarser than the clock does.
    (ticks_per_second > 10_000_000).then_some(TickSource { read: counter, ticks_per_second, from_clock: false })
}

#[cfg(target_arch = "x86_64")]
fn counter() -> u64 {
    // SAFETY: every x86-64 processor has the instruction, Linux lets programs execute it, and it changes nothing.
    unsafe { std::arch::x86_64::_rdtsc() }
}

#[cfg(not(target_arch = "x86_64"))]
fn counter() -> u64 {
    monotonic_ns()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_decide() {
        let steady = "processor : 0\nflags\t\t: fpu constant_tsc nonstop_tsc\n";
        assert_eq!(counter_is_steady(steady), cfg!(target_arch = "x86_64"));
        assert!(!counter_is_steady("flags : fpu constant_tsc"));
        assert!(!counter_is_steady("flags : fpu nonconstant_tsc nonstop_tsc"));
        assert!(!counter_is_steady(""));
    }

    #[test]
    fn ticks_agree_with_the_clock() {
        for source in [tick_source(), TickSource::clock()] {
            let (ns, ticks) = (monotonic_ns(), (source.read)());
            while monotonic_ns() - ns < 20_000_000 {}
            let ticks = u128::from((source.read)() - ticks);
            let measured = (ticks * 1_000_000_000 / u128::from(source.ticks_per_second)) as u64;
            // Generous upwards: another process may have had the core between the two readings.
            assert!((19_000_000..1_000_000_000).contains(&measured), "{source:?}: {measured}");
        }
    }

    #[test]
    fn the_source_is_named() {
        assert_eq!(TickSource::clock().describe(), "POSIX clock_gettime");
        let counter = TickSource { read: counter, ticks_per_second: 2_000_000_000, from_clock: false };
        assert_eq!(counter.describe(), "X86 TSC @ 2000 ticks/us");
    }
}
