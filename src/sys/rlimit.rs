//! Limits of the process: open files and locked memory. Main thread. Returns the lines to log and knows no log.

use super::errno::Errno;

/// Descriptors that the server needs beside those of its clients.
pub const RESERVED_FILES: u64 = 32;

/// Redis lowers its wish by so many until the system grants it.
const STEP: u64 = 16;

/// What came of asking for enough open files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FilesOutcome {
    /// There were enough.
    Enough,
    /// The limit was raised; log this at notice level.
    Raised(String),
    /// Fewer clients can be served; log these as warnings.
    Reduced {
        /// So many clients.
        maxclients: u32,
        /// What to log.
        lines: Vec<String>,
    },
    /// Not even one client can be served: log this as a warning and leave with status 1.
    TooFew(String),
}

/// Raises the limit of open files to what `maxclients` clients need, as far as the system lets it.
pub fn ensure_open_files(maxclients: u32) -> FilesOutcome {
    let wanted = u64::from(maxclients) + RESERVED_FILES;
    let (soft, hard) = match limits(libc::RLIMIT_NOFILE) {
        Ok(limits) => limits,
        Err(errno) => {
            let line = format!(
                "Unable to obtain the current NOFILE limit ({errno}), assuming 1024 and setting the max clients \
                 configuration accordingly."
            );
            return FilesOutcome::Reduced { maxclients: 1024 - RESERVED_FILES as u32, lines: vec![line] };
        }
    };
    if soft >= wanted {
        return FilesOutcome::Enough;
    }
    let refusal = match set_limits(libc::RLIMIT_NOFILE, wanted, hard.max(wanted)) {
        Ok(()) => {
            let line = format!("Increased maximum number of open files to {wanted} (it was originally set to {soft}).");
            return FilesOutcome::Raised(line);
        }
        Err(errno) => errno,
    };
    let attainable = largest_step(wanted, hard).max(soft);
    let granted = match set_limits(libc::RLIMIT_NOFILE, attainable, hard) {
        Ok(()) => attainable,
        Err(_) => soft,
    };
    reduced(maxclients, soft, granted, refusal)
}

/// The largest number that lies a multiple of [`STEP`] below `wanted` and is not above `limit`.
fn largest_step(wanted: u64, limit: u64) -> u64 {
    let over = wanted.saturating_sub(limit);
    wanted.saturating_sub(over.div_ceil(STEP) * STEP)
}

/// The lines for a limit of `granted` files, too few for `maxclients`.
fn reduced(maxclients: u32, soft: u64, granted: u64, refusal: Errno) -> FilesOutcome {
    let wanted = u64::from(maxclients) + RESERVED_FILES;
    if granted <= RESERVED_FILES {
        return FilesOutcome::TooFew(format!(
            "Your current 'ulimit -n' of {soft} is not enough for the server to start. Please increase your open file \
             limit to at least {wanted}. Exiting."
        ));
    }
    let fewer = u32::try_from(granted - RESERVED_FILES).unwrap_or(maxclients).min(maxclients);
    let lines = vec![
        format!("You requested maxclients of {maxclients} requiring at least {wanted} max file descriptors."),
        format!("Server can't set maximum open files to {wanted} because of OS error: {refusal}."),
        format!(
            "Current maximum open files is {granted}. maxclients has been reduced to {fewer} to compensate for low \
             ulimit. If you need higher maxclients increase 'ulimit -n'."
        ),
    ];
    FilesOutcome::Reduced { maxclients: fewer, lines }
}

/// The limit of locked memory in bytes; `None` where there is none.
pub(super) fn memlock() -> Option<u64> {
    let (soft, _) = limits(libc::RLIMIT_MEMLOCK).ok()?;
    (soft != libc::RLIM_INFINITY).then_some(soft)
}

fn limits(resource: libc::__rlimit_resource_t) -> Result<(u64, u64), Errno> {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: `limit` is ours to fill.
    Errno::check(unsafe { libc::getrlimit(resource, &raw mut limit) })?;
    Ok((limit.rlim_cur, limit.rlim_max))
}

fn set_limits(resource: libc::__rlimit_resource_t, soft: u64, hard: u64) -> Result<(), Errno> {
    let limit = libc::rlimit { rlim_cur: soft, rlim_max: hard };
    // SAFETY: `limit` lives through the call.
    Errno::check(unsafe { libc::setrlimit(resource, &raw const limit) }).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_go_down_from_the_wish() {
        assert_eq!(largest_step(10_032, 4_096), 4_096);
        assert_eq!(largest_step(10_032, 4_100), 4_096);
        assert_eq!(largest_step(10_032, 4_095), 4_080);
        assert_eq!(largest_step(100, 200), 100);
        assert_eq!(largest_step(40, 1), 0);
    }

    #[test]
    fn one_client_is_always_possible_here() {
        assert_eq!(ensure_open_files(1), FilesOutcome::Enough);
    }

    #[test]
    fn lines_are_those_of_redis() {
        let lines = [
            "You requested maxclients of 10000 requiring at least 10032 max file descriptors.",
            "Server can't set maximum open files to 10032 because of OS error: Operation not permitted.",
            "Current maximum open files is 100. maxclients has been reduced to 68 to compensate for low ulimit. If you \
             need higher maxclients increase 'ulimit -n'.",
        ];
        let outcome = reduced(10_000, 100, 100, Errno(libc::EPERM));
        let lines = lines.iter().map(|line| (*line).to_owned()).collect();
        assert_eq!(outcome, FilesOutcome::Reduced { maxclients: 68, lines });
        assert_eq!(
            reduced(10_000, 20, 20, Errno(libc::EPERM)),
            FilesOutcome::TooFew(
                "Your current 'ulimit -n' of 20 is not enough for the server to start. Please increase your open file \
                 limit to at least 10032. Exiting."
                    .to_owned()
            )
        );
    }
}
