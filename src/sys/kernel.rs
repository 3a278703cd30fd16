//! Settings of the kernel that a server suffers from, and the warnings about them. Main thread, at start. Returns lines and
//! knows no log. Where Redis has such a line it is Redis', letter by letter: people search for it.

use std::fs;
use std::path::Path;

/// The warning about memory overcommit, if it is off.
pub fn overcommit_warning() -> Option<String> {
    let value = number("/proc/sys/vm/overcommit_memory")?;
    (value != 1).then(|| {
        "WARNING Memory overcommit must be enabled! Without it, a background save or replication may fail under low \
         memory condition. Being disabled, it can also cause failures without low memory condition, see \
         https://github.com/jemalloc/jemalloc/issues/1328. To fix this issue add 'vm.overcommit_memory = 1' to \
         /etc/sysctl.conf and then reboot or run the command 'sysctl vm.overcommit_memory=1' for this to take effect."
            .to_owned()
    })
}

/// The warning about transparent huge pages, if they are used without being asked for.
pub fn huge_pages_warning() -> Option<String> {
    let modes = fs::read_to_string("/sys/kernel/mm/transparent_hugepage/enabled").ok()?;
    huge_pages_are_forced(&modes).then(|| {
        "WARNING You have Transparent Huge Pages (THP) support enabled in your kernel. This will create latency and \
         memory usage issues with Redis. To fix this issue run the command 'echo madvise > \
         /sys/kernel/mm/transparent_hugepage/enabled' as root, and add it to your /etc/rc.local in order to retain the \
         setting after a reboot. Redis must be restarted after THP is disabled (set to 'madvise' or 'never')."
            .to_owned()
    })
}

fn huge_pages_are_forced(modes: &str) -> bool {
    modes.contains("[always]")
}

/// The warning about a backlog that the kernel will not grant.
pub fn backlog_warning(backlog: i64) -> Option<String> {
    let limit = number("/proc/sys/net/core/somaxconn")?;
    (limit > 0 && limit < backlog).then(|| {
        format!(
            "WARNING: The TCP backlog setting of {backlog} cannot be enforced because /proc/sys/net/core/somaxconn is \
             set to the lower value of {limit}."
        )
    })
}

/// The warning about io_uring, if the kernel restricts or refuses it.
pub fn uring_warning() -> Option<String> {
    let value = number("/proc/sys/kernel/io_uring_disabled")?;
    let who = match value {
        1 => "only to processes with CAP_SYS_ADMIN or in the group of kernel.io_uring_group",
        2 => "to no process",
        _ => return None,
    };
    Some(format!(
        "WARNING kernel.io_uring_disabled is set to {value}: io_uring is available {who}. To fix this issue add \
         'kernel.io_uring_disabled = 0' to /etc/sysctl.conf and then reboot or run the command 'sysctl \
         kernel.io_uring_disabled=0' for this to take effect."
    ))
}

/// The warning about locked memory, where registered buffers of `needed` bytes would not fit in the limit. Kernels since
/// 5.12 charge rings to the memory group instead, but registered buffers still count.
pub fn memlock_warning(needed: u64) -> Option<String> {
    let limit = super::rlimit::memlock()?;
    (limit < needed).then(|| {
        format!(
            "WARNING The limit of locked memory (ulimit -l) is {limit} bytes, and registered buffers need {needed}. They \
             will not be registered. To fix this issue raise the limit, or set LimitMEMLOCK in the service unit."
        )
    })
}

fn number(path: impl AsRef<Path>) -> Option<i64> {
    fs::read_to_string(path).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backlog_is_compared_with_the_limit() {
        assert_eq!(backlog_warning(0), None);
        let Some(limit) = number("/proc/sys/net/core/somaxconn") else {
            println!("skipped: this kernel does not show somaxconn");
            return;
        };
        let line = backlog_warning(limit + 1).expect("one more than the limit");
        assert_eq!(
            line,
            format!(
                "WARNING: The TCP backlog setting of {} cannot be enforced because /proc/sys/net/core/somaxconn is set \
                 to the lower value of {limit}.",
                limit + 1
            )
        );
        assert_eq!(backlog_warning(limit), None);
    }

    #[test]
    fn forced_huge_pages_are_seen() {
        assert!(huge_pages_are_forced("[always] madvise never\n"));
        assert!(!huge_pages_are_forced("always [madvise] never\n"));
    }

    #[test]
    fn warnings_say_what_to_do() {
        let lines = [overcommit_warning(), huge_pages_warning(), uring_warning(), memlock_warning(u64::MAX)];
        for line in lines.into_iter().flatten() {
            assert!(line.starts_with("WARNING") && line.contains("To fix this issue"), "{line}");
        }
    }
}
