//! The largest buffers that clients had in the last seconds: what INFO shows as `client_recent_max_*`. Main thread.

#![forbid(unsafe_code)]

/// Seconds that are remembered, the present one included.
const SECONDS: usize = 8;

/// The largest input and output buffer of each of the last seconds.
#[derive(Clone, Debug, Default)]
pub struct RecentPeaks {
    seconds: [Second; SECONDS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    unix_s: i64,
    input: usize,
    output: usize,
}

impl RecentPeaks {
    /// A client has so many bytes in its buffers now.
    pub fn note(&mut self, unix_s: i64, input: usize, output: usize) {
        let second = &mut self.seconds[unix_s.rem_euclid(SECONDS as i64) as usize];
        if second.unix_s != unix_s {
            *second = Second { unix_s, ..Second::default() };
        }
        second.input = second.input.max(input);
        second.output = second.output.max(output);
    }

    /// The largest of late, input and output.
    pub fn largest(&self, now_s: i64) -> (usize, usize) {
        let recent = self.seconds.iter().filter(|second| (0..SECONDS as i64).contains(&(now_s - second.unix_s)));
        recent.fold((0, 0), |(input, output), second| (input.max(second.input), output.max(second.output)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_peak_is_remembered_for_eight_seconds() {
        let mut peaks = RecentPeaks::default();
        peaks.note(1000, 50, 7);
        peaks.note(1000, 20, 9);
        peaks.note(1003, 30, 1);
        assert_eq!(peaks.largest(1007), (50, 9));
        assert_eq!(peaks.largest(1008), (30, 1));
        peaks.note(1008, 1, 1);
        assert_eq!(peaks.largest(1008), (30, 1));
        assert_eq!(peaks.largest(1020), (0, 0));
        assert_eq!(peaks.largest(900), (0, 0));
    }
}
