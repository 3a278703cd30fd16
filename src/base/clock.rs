//! The time of day as the engine sees it: a value that somebody else sets.
//!
//! Whoever drives the engine (the main loop, a simulator, a test) reads a real or an imagined clock once per turn and
//! stores it here; everything on the floors above asks this value. It never reads a clock itself.

#![forbid(unsafe_code)]

/// Microseconds since the Unix epoch, cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    unix_us: i64,
    /// The same in milliseconds: asked by every command, and to divide takes longer than to look.
    unix_ms: i64,
}

impl Clock {
    /// A clock that stands at `unix_us` microseconds until it is moved.
    pub fn fixed(unix_us: i64) -> Clock {
        Clock { unix_us, unix_ms: unix_us.div_euclid(1000) }
    }

    /// Moves it to `unix_us`. Going back is allowed: the system's clock may be set back as well.
    #[inline]
    pub fn set_us(&mut self, unix_us: i64) {
        *self = Clock::fixed(unix_us);
    }

    /// Moves it on by `us` microseconds; stops at the end of time rather than wrap.
    pub fn advance_us(&mut self, us: i64) {
        self.set_us(self.unix_us.saturating_add(us));
    }

    /// Moves it on by `ms` milliseconds.
    pub fn advance_ms(&mut self, ms: i64) {
        self.advance_us(ms.saturating_mul(1000));
    }

    /// Microseconds since the Unix epoch.
    #[inline]
    pub fn unix_us(&self) -> i64 {
        self.unix_us
    }

    /// Whole milliseconds since the Unix epoch; expiry times are compared with this.
    #[inline]
    pub fn unix_ms(&self) -> i64 {
        self.unix_ms
    }

    /// Whole seconds since the Unix epoch.
    #[inline]
    pub fn unix_s(&self) -> i64 {
        self.unix_us.div_euclid(1_000_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_instant_in_three_units() {
        let mut clock = Clock::fixed(1_700_000_000_123_456);
        assert_eq!(
            (clock.unix_us(), clock.unix_ms(), clock.unix_s()),
            (1_700_000_000_123_456, 1_700_000_000_123, 1_700_000_000)
        );
        clock.advance_ms(877);
        assert_eq!(clock.unix_s(), 1_700_000_001);
        clock.set_us(-1);
        assert_eq!((clock.unix_ms(), clock.unix_s()), (-1, -1));
    }

    #[test]
    fn the_end_of_time_holds() {
        let mut clock = Clock::fixed(i64::MAX - 1);
        clock.advance_ms(i64::MAX);
        assert_eq!(clock.unix_us(), i64::MAX);
    }
}
