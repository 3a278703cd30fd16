//! The fallback where the kernel's tracepoints are not allowed: strace stops the server at every call and prints it.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use rustix::process::Signal;

use crate::activity::{Counted, ENTER};
use crate::interrupt::Interrupt;
use crate::target::{last_lines, stop};

/// It attaches within this time, or not at all.
const ATTACH_WAIT: Duration = Duration::from_secs(5);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// strace, attached to a server. It leaves when this is dropped.
pub(crate) struct Strace {
    child: Child,
    output: PathBuf,
}

impl Strace {
    /// Attaches to all threads of a process.
    pub(crate) fn attach(pid: i32, scratch: &Path, interrupt: &Interrupt) -> anyhow::Result<Strace> {
        let output = scratch.join("strace");
        let messages = scratch.join("strace-messages");
        let file = File::create(&messages).with_context(|| format!("creating {}", messages.display()))?;
        let mut command = leaving_with_its_parent("strace");
        let child = command
            .args(["-f", "-T", "-e", "raw=all", "-e", "signal=none"])
            .arg("-o")
            .arg(&output)
            .args(["-p", &pid.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(file)
            .spawn()
            .context("starting strace")?;
        let mut strace = Strace { child, output };
        let mut waited = Duration::ZERO;
        while !fs::read_to_string(&messages).unwrap_or_default().contains(" attached") {
            if strace.child.try_wait()?.is_some() || waited > ATTACH_WAIT {
                bail!("strace cannot attach{}", last_lines(&messages));
            }
            interrupt.sleep(LOOK_EVERY)?;
            waited += LOOK_EVERY;
        }
        Ok(strace)
    }

    /// Detaches and counts what was printed.
    pub(crate) fn end(mut self) -> anyhow::Result<Counted> {
        stop(&mut self.child, Signal::INT);
        let printed = fs::read(&self.output).context("reading what strace printed")?;
        Ok(parse(&String::from_utf8_lossy(&printed)))
    }
}

impl Drop for Strace {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            stop(&mut self.child, Signal::INT);
        }
    }
}

/// A program that is told to end when this tool is killed, where there is setpriv to see to that.
fn leaving_with_its_parent(program: &str) -> Command {
    let probe = Command::new("setpriv").args(["--pdeathsig", "INT", "true"]).stderr(Stdio::null()).status();
    if probe.is_ok_and(|status| status.success()) {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "INT", program]);
        return command;
    }
    Command::new(program)
}

/// Reads lines like `812 read(0x8, 0x55, 0x4000) = 0x24 <0.000014>`; calls of several threads are printed in two
/// halves, of which the second has the result.
fn parse(printed: &str) -> Counted {
    let mut counted = Counted::default();
    let mut submissions = 0;
    for line in printed.lines() {
        let Some((name, result)) = parse_line(line) else { continue };
        let tally = counted.syscalls.entry(name.to_owned()).or_default();
        tally.calls += 1;
        let Some((returned, time_ns)) = result else { continue };
        tally.timed += 1;
        tally.wall_ns += time_ns;
        if name == ENTER {
            // It returns how many submissions it took.
            submissions += u64::try_from(returned).unwrap_or(0);
        }
    }
    counted.submissions = counted.syscalls.contains_key(ENTER).then_some(submissions);
    counted.operations = BTreeMap::new();
    counted
}

/// The name of a call that returned, what it returned and how long it took; without the latter for one that did not.
fn parse_line(line: &str) -> Option<(&str, Option<(i64, u64)>)> {
    // The thread's number may be followed by several spaces.
    let text = line.trim_start().trim_start_matches(|char: char| char.is_ascii_digit()).trim_start();
    let name = match text.strip_prefix("<... ") {
        Some(rest) => rest.split_once(" resumed>")?.0,
        None => text.split_once('(')?.0,
    };
    if name.is_empty() || !name.chars().all(|char| char.is_ascii_alphanumeric() || char == '_') {
        return None;
    }
    if text.ends_with("<unfinished ...>") || text.ends_with("<detached ...>") {
        // Its second half is still to come, or never will.
        return None;
    }
    let (call, time) = text.strip_suffix('>')?.rsplit_once(" <")?;
    let seconds = time.parse::<f64>().ok()?;
    let returned = call.rsplit_once(" = ")?.1.split(' ').next()?;
    let returned = match returned.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?.cast_signed(),
        // `?` stands for a call that gave nothing back.
        None => returned.parse().unwrap_or(-1),
    };
    Some((name, Some((returned, (seconds * 1e9).round() as u64))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::activity::Tally;

    const PRINTED: &str = "\
        812   read(0x8, 0x55d0, 0x4000) = 0x24 <0.000014>\n\
        812   write(0x8, 0x55d0, 0x5) = 0x5 <0.000020>\n\
        812   read(0x9, 0x55d0, 0x4000) = -1 (errno 11) <0.000006>\n\
        813   futex(0x7f00, 0x189, 0 <unfinished ...>\n\
        812   io_uring_enter(0x4, 0x10, 0x1, 0x9, 0, 0x8) = 0x10 <0.000100>\n\
        812   io_uring_enter(0x4, 0x3, 0x1, 0x9, 0, 0x8) = 3 <0.000100>\n\
        813   <... futex resumed>) = 0 <1.500000>\n\
        812   epoll_wait(0x5, 0x7f, 0x2710, 0x64 <detached ...>\n\
        813   +++ exited with 0 +++\n\
        noise\n";

    #[test]
    fn printed_calls_are_counted() {
        let counted = parse(PRINTED);
        assert_eq!(counted.syscalls["read"], Tally { calls: 2, timed: 2, wall_ns: 20_000, waiting_ns: 0 });
        assert_eq!(counted.syscalls["write"], Tally { calls: 1, timed: 1, wall_ns: 20_000, waiting_ns: 0 });
        assert_eq!(counted.syscalls["futex"], Tally { calls: 1, timed: 1, wall_ns: 1_500_000_000, waiting_ns: 0 });
        assert_eq!(counted.syscalls["io_uring_enter"].calls, 2);
        assert_eq!((counted.submissions, counted.completions), (Some(19), None));
        assert_eq!(counted.syscalls.len(), 4);
    }

    #[test]
    fn without_a_ring_nothing_is_said_of_one() {
        assert_eq!(parse("1 read(0x1) = 0 <0.1>\n").submissions, None);
        assert_eq!(parse(""), Counted::default());
    }
}
