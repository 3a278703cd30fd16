//! The line on a terminal that says how far a test is. Nothing where standard error is no terminal.

#![forbid(unsafe_code)]

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::plan::{Limit, Watch};

/// A test's progress.
pub(crate) struct Progress {
    bar: ProgressBar,
    limit: Limit,
    last: (u64, Duration),
}

impl Progress {
    pub(crate) fn new(title: &str, limit: Limit) -> Progress {
        let length = match limit {
            Limit::Requests(count) => count,
            Limit::Time(time) => time.as_millis() as u64,
        };
        let bar = ProgressBar::with_draw_target(Some(length), ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{prefix} [{bar:30}] {percent:>3} % {msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(title.to_owned());
        Progress { bar, limit, last: (0, Duration::ZERO) }
    }

    /// Takes the line away.
    pub(crate) fn end(self) {
        self.bar.finish_and_clear();
    }
}

impl Watch for Progress {
    fn progress(&mut self, served: u64, elapsed: Duration) {
        self.bar.set_position(match self.limit {
            Limit::Requests(_) => served,
            Limit::Time(_) => elapsed.as_millis() as u64,
        });
        let (served_before, elapsed_before) = self.last;
        let seconds = elapsed.saturating_sub(elapsed_before).as_secs_f64();
        if seconds > 0.0 {
            let rate = (served - served_before) as f64 / seconds;
            let overall = served as f64 / elapsed.as_secs_f64();
            self.bar.set_message(format!("{rate:.0} requests per second (overall {overall:.0})"));
        }
        self.last = (served, elapsed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_shows_requests_or_time() {
        let mut progress = Progress::new("GET", Limit::Requests(1000));
        progress.progress(500, Duration::from_secs(1));
        assert_eq!(progress.bar.position(), 500);
        assert_eq!(progress.bar.message(), "500 requests per second (overall 500)");
        let mut progress = Progress::new("GET", Limit::Time(Duration::from_secs(2)));
        progress.progress(500, Duration::from_secs(1));
        assert_eq!(progress.bar.position(), 1000);
        progress.end();
    }
}
