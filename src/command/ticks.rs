//! Where durations of commands come from: the processor's counter in a server, nothing in tests, so that a test sees the
//! same figures in every run. One reading per command: the end of one is the start of the next within a batch.

#![forbid(unsafe_code)]

/// A source of ticks.
#[derive(Clone, Copy, Debug)]
pub struct Ticks {
    read: fn() -> u64,
    /// Nanoseconds of 2^32 ticks.
    ns_per_tick_q32: u64,
}

fn stopped() -> u64 {
    0
}

impl Ticks {
    /// Time does not pass.
    pub fn stopped() -> Ticks {
        Ticks { read: stopped, ns_per_tick_q32: 0 }
    }

    /// Reads a counter that advances `ticks_per_second` times a second.
    pub fn counter(read: fn() -> u64, ticks_per_second: u64) -> Ticks {
        assert!(ticks_per_second > 0, "a counter that stands still measures nothing");
        let scale = (1_000_000_000_u128 << 32) / u128::from(ticks_per_second);
        Ticks { read, ns_per_tick_q32: u64::try_from(scale).unwrap_or(u64::MAX) }
    }

    /// The current reading.
    #[inline]
    pub fn now(self) -> u64 {
        (self.read)()
    }

    /// How many nanoseconds `ticks` are.
    #[inline]
    pub fn to_ns(self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.ns_per_tick_q32)) >> 32) as u64
    }

    /// How many microseconds `ticks` are.
    #[inline]
    pub fn to_us(self, ticks: u64) -> u64 {
        self.to_ns(ticks) / 1000
    }

    /// How many ticks `us` microseconds are; the largest number where ticks do not pass.
    pub fn from_us(self, us: u64) -> u64 {
        (u128::from(us) * 1000)
            .checked_shl(32)
            .and_then(|scaled| scaled.checked_div(u128::from(self.ns_per_tick_q32)))
            .map_or(u64::MAX, |ticks| u64::try_from(ticks).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_become_time_and_back() {
        let ticks = Ticks::counter(|| 42, 2_000_000_000);
        assert_eq!(ticks.now(), 42);
        assert_eq!((ticks.to_ns(10), ticks.to_us(2_000_000)), (5, 1000));
        assert_eq!(ticks.from_us(1000), 2_000_000);
        assert_eq!(Ticks::stopped().to_us(99), 0);
        assert_eq!(Ticks::stopped().from_us(1), u64::MAX);
    }
}
