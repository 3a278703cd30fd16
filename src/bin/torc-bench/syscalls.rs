//! System calls of a running server, counted from outside while a load runs: by `perf`, or by `strace` where perf may not.

#![forbid(unsafe_code)]

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::plan::Watch;
use crate::ring::process;

/// A tracer takes a while to attach, and says nothing when it has.
const ATTACH_WAIT: Duration = Duration::from_millis(400);
const SYSCALL_EVENT: &str = "raw_syscalls:sys_enter";

/// How calls are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Method {
    /// A tracepoint: costs next to nothing.
    Perf,
    /// Stops the server at every call: counts are right, speed is not.
    Strace,
}

impl Method {
    /// What works here; none, and why.
    pub(crate) fn here() -> Result<Method, String> {
        let perf = Command::new("perf").args(["stat", "-x", ",", "-e", SYSCALL_EVENT, "true"]).output();
        if perf.is_ok_and(|output| counted_by_perf(&String::from_utf8_lossy(&output.stderr)).is_ok()) {
            return Ok(Method::Perf);
        }
        let strace = Command::new("strace").args(["-c", "-U", "calls,name", "true"]).output();
        if strace.is_ok_and(|output| counted_by_strace(&String::from_utf8_lossy(&output.stderr)).is_ok()) {
            return Ok(Method::Strace);
        }
        Err("neither perf nor strace may count system calls here".to_owned())
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Method::Perf => "perf",
            Method::Strace => "strace",
        }
    }
}

/// Counts a server's system calls during the timed part. The load stands still while the tracer attaches and detaches, so
/// the server is idle at both ends.
pub(crate) struct SyscallWatch {
    pid: u32,
    method: Method,
    tracer: Option<Child>,
    pub(crate) count: u64,
}

impl SyscallWatch {
    pub(crate) fn new(pid: u32, method: Method) -> SyscallWatch {
        SyscallWatch { pid, method, tracer: None, count: 0 }
    }
}

impl Watch for SyscallWatch {
    fn timed_part_begins(&mut self) -> anyhow::Result<()> {
        let pid = self.pid.to_string();
        let mut command = Command::new(self.method.name());
        match self.method {
            Method::Perf => command.args(["stat", "-x", ",", "-e", SYSCALL_EVENT, "-p", &pid]),
            Method::Strace => command.args(["-f", "-c", "-U", "calls,name", "-p", &pid]),
        };
        let child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {} to count system calls", self.method.name()))?;
        self.tracer = Some(child);
        std::thread::sleep(ATTACH_WAIT);
        Ok(())
    }

    fn timed_part_ends(&mut self) -> anyhow::Result<()> {
        let tracer = self.tracer.take().context("the tracer was never started")?;
        process::signal(tracer.id(), libc::SIGINT)?;
        let output = tracer.wait_with_output()?;
        let printed = String::from_utf8_lossy(&output.stderr);
        self.count = match self.method {
            Method::Perf => counted_by_perf(&printed)?,
            Method::Strace => counted_by_strace(&printed)?,
        };
        Ok(())
    }
}

impl Drop for SyscallWatch {
    fn drop(&mut self) {
        // Left over only when the load failed in between.
        if let Some(mut tracer) = self.tracer.take() {
            let _ = tracer.kill();
            let _ = tracer.wait();
        }
    }
}

/// The count in what `perf stat -x ,` printed.
fn counted_by_perf(printed: &str) -> anyhow::Result<u64> {
    let count = printed
        .lines()
        .filter(|line| line.contains(SYSCALL_EVENT))
        .find_map(|line| line.split(',').next()?.parse().ok());
    match count {
        Some(count) => Ok(count),
        None => bail!("perf counted no system calls; it printed: {}", printed.trim()),
    }
}

/// The total in what `strace -c` printed: the last line of its table.
fn counted_by_strace(printed: &str) -> anyhow::Result<u64> {
    let total = printed.lines().rfind(|line| line.split_whitespace().next_back() == Some("total"));
    let numbers = total.map(|line| line.split_whitespace().filter_map(|word| word.parse::<u64>().ok()));
    match numbers.and_then(|mut numbers| numbers.next_back()) {
        Some(count) => Ok(count),
        None => bail!("strace counted no system calls; it printed: {}", printed.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_perf_is_found() {
        assert_eq!(counted_by_perf("1234,,raw_syscalls:sys_enter,1003,100.00,,\n").unwrap(), 1234);
        assert!(counted_by_perf("<not counted>,,raw_syscalls:sys_enter,0,100.00,,\n").is_err());
        assert!(counted_by_perf("No permission to enable event").is_err());
    }

    #[test]
    fn the_count_of_strace_is_found() {
        let table = "    calls syscall\n--------- ----------------\n       12 read\n        3 write\n--------- ----------------\n       15 total\n";
        assert_eq!(counted_by_strace(table).unwrap(), 15);
        assert!(counted_by_strace("strace: attach: ptrace(PTRACE_SEIZE, 1): Operation not permitted").is_err());
    }
}
