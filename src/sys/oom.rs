//! How willingly the kernel ends this process when memory runs out. Main thread.

#![forbid(unsafe_code)]

use std::fs;
use std::sync::OnceLock;

use super::errno::Errno;

const FILE: &str = "/proc/self/oom_score_adj";

/// The scores that the kernel takes.
const LEAST: i32 = -1000;
const MOST: i32 = 1000;

/// What is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Score {
    /// What it was before this process changed it.
    Untouched,
    /// That and so much.
    Relative(i32),
    /// So much.
    Absolute(i32),
}

/// Makes it so. The first call that changes something remembers what there was.
pub fn set(score: Score) -> Result<(), Errno> {
    static BEFORE: OnceLock<i32> = OnceLock::new();
    let value = match (score, BEFORE.get()) {
        (Score::Untouched, None) => return Ok(()),
        (Score::Untouched, Some(before)) => *before,
        (_, Some(before)) => target(score, *before),
        (_, None) => target(score, *BEFORE.get_or_init(|| read().unwrap_or(0))),
    };
    Ok(fs::write(FILE, value.to_string())?)
}

fn read() -> Option<i32> {
    fs::read_to_string(FILE).ok()?.trim().parse().ok()
}

fn target(score: Score, before: i32) -> i32 {
    let value = match score {
        Score::Untouched => before,
        Score::Relative(more) => before + more,
        Score::Absolute(value) => value,
    };
    value.clamp(LEAST, MOST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_stay_within_what_the_kernel_takes() {
        assert_eq!(target(Score::Untouched, 50), 50);
        assert_eq!(target(Score::Relative(15), 50), 65);
        assert_eq!(target(Score::Relative(1500), 50), MOST);
        assert_eq!(target(Score::Absolute(-1500), 50), LEAST);
    }
}
