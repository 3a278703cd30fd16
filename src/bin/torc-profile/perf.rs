//! perf, the kernel's own profiler: stacks sampled by its clock, and tracepoints where tracefs may be read only.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::fs::{CWD, FileType, Mode};
use rustix::process::Signal;

use crate::activity::{Counted, Tally};
use crate::interrupt::Interrupt;
use crate::stacks::{self, Frame};
use crate::target::{last_lines, stop};

/// Calls that are counted by name. Each takes the kernel a while to attach to and to leave, so the rest is counted as
/// one.
const NAMED_CALLS_MAX: usize = 12;
const ALL_CALLS: &str = "raw_syscalls:sys_enter";
const SUBMISSIONS: &str = "io_uring:io_uring_submit_req";
const COMPLETIONS: &str = "io_uring:io_uring_complete";
/// perf attaches within this time, or not at all.
const ATTACH_WAIT: Duration = Duration::from_secs(30);
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// The clock that is sampled by: it needs no counters of the processor, which virtual machines seldom have.
const SAMPLE_CLOCK: &str = "cpu-clock";

/// Runs perf to its end, and returns what it printed on its standard output.
fn run(args: &[&str], messages: &Path, interrupt: &Interrupt) -> anyhow::Result<Vec<u8>> {
    let printed = messages.with_extension("out");
    let (output, errors) = (File::create(&printed)?, File::create(messages)?);
    let mut command = Command::new("perf");
    command.args(args).stdin(Stdio::null()).stdout(output).stderr(errors);
    let mut child = Running(command.spawn().context("starting perf (Debian: apt-get install linux-perf)")?);
    let status = loop {
        if let Some(status) = child.0.try_wait()? {
            break status;
        }
        interrupt.sleep(LOOK_EVERY)?;
    };
    ensure!(status.success(), "perf {} failed{}", args[0], last_lines(messages));
    Ok(fs::read(&printed)?)
}

/// A child that is ended with this.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            stop(&mut self.0, Signal::INT);
        }
    }
}

/// How much of a stack perf may see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Depth {
    Kernel,
    UserOnly,
}

impl Depth {
    fn event(self) -> String {
        match self {
            Depth::Kernel => SAMPLE_CLOCK.to_owned(),
            Depth::UserOnly => format!("{SAMPLE_CLOCK}:u"),
        }
    }
}

/// Whether stacks can be sampled, shown by sampling a program that does nothing.
pub(crate) fn probe_sampling(depth: Depth, scratch: &Path, interrupt: &Interrupt) -> anyhow::Result<()> {
    let data = scratch.join("probe.data");
    let data = data.to_str().context("a path that is no text")?;
    let args = ["record", "-q", "-g", "-e", &depth.event(), "-o", data, "--", "true"];
    run(&args, &scratch.join("perf-messages"), interrupt).map(drop)
}

/// Whether perf may use tracepoints.
pub(crate) fn probe_tracepoints(scratch: &Path, interrupt: &Interrupt) -> anyhow::Result<()> {
    let args = ["stat", "-x", ",", "-e", ALL_CALLS, "--", "true"];
    run(&args, &scratch.join("perf-messages"), interrupt).map(drop)
}

/// Samples the stacks of a process into a file, for [`read_samples`].
pub(crate) fn sample(
    pid: i32,
    duration: Duration,
    rate_hz: u32,
    depth: Depth,
    scratch: &Path,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    let data = scratch.join("perf.data");
    let data = data.to_str().context("a path that is no text")?;
    let (pid, rate, seconds) = (pid.to_string(), rate_hz.to_string(), duration.as_secs_f64().to_string());
    let event = depth.event();
    let args = ["record", "-q", "-g", "-e", &event, "-F", &rate, "-p", &pid, "-o", data, "--", "sleep", &seconds];
    run(&args, &scratch.join("perf-messages"), interrupt).map(drop)
}

/// Reads what was sampled, and removes it.
pub(crate) fn read_samples(scratch: &Path, interrupt: &Interrupt) -> anyhow::Result<Vec<Vec<Frame>>> {
    let data = scratch.join("perf.data");
    let name = data.to_str().context("a path that is no text")?;
    let args = ["script", "-i", name, "--no-inline", "-F", "comm,tid,ip,sym"];
    let printed = run(&args, &scratch.join("perf-messages"), interrupt)?;
    fs::remove_file(&data)?;
    Ok(stacks::parse(&String::from_utf8_lossy(&printed)))
}

/// `perf stat`, attached to a process and counting on command.
pub(crate) struct Stat {
    child: Running,
    control: File,
    answers: BufReader<File>,
    output: PathBuf,
}

impl Stat {
    /// Attaches to a process, to count `calls` by name and the ring's work; the first ones, if there are many.
    pub(crate) fn attach<'a>(
        pid: i32,
        calls: impl Iterator<Item = &'a String>,
        scratch: &Path,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Stat> {
        let output = scratch.join("perf-stat");
        let messages = scratch.join("perf-messages");
        let (control, answers) = (fifo(&scratch.join("control"))?, fifo(&scratch.join("answers"))?);
        let mut command = Command::new("perf");
        command.args(["stat", "-x", ",", "-D", "-1", "-p", &pid.to_string()]).arg("-o").arg(&output);
        command.arg("--control").arg(format!(
            "fifo:{},{}",
            scratch.join("control").display(),
            scratch.join("answers").display()
        ));
        for event in [ALL_CALLS, SUBMISSIONS, COMPLETIONS] {
            command.args(["-e", event]);
        }
        for call in calls.take(NAMED_CALLS_MAX) {
            command.args(["-e", &format!("syscalls:sys_enter_{call}")]);
        }
        let errors = File::create(&messages)?;
        let child =
            command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).spawn().context("starting perf")?;
        let mut stat = Stat { child: Running(child), control, answers: BufReader::new(answers), output };
        // An answer to anything says that it has attached.
        stat.control.write_all(b"ping\n")?;
        stat.answer(interrupt, &messages).context("perf stat does not attach")?;
        Ok(stat)
    }

    pub(crate) fn begin(&mut self, interrupt: &Interrupt) -> anyhow::Result<()> {
        self.tell("enable", interrupt)
    }

    /// Stops counting, detaches and returns the counts.
    pub(crate) fn end(mut self, interrupt: &Interrupt) -> anyhow::Result<Counted> {
        self.tell("disable", interrupt)?;
        stop(&mut self.child.0, Signal::INT);
        parse_stat(&fs::read_to_string(&self.output).context("reading what perf stat printed")?)
    }

    fn tell(&mut self, command: &str, interrupt: &Interrupt) -> anyhow::Result<()> {
        writeln!(self.control, "{command}")?;
        let output = self.output.clone();
        self.answer(interrupt, &output)
    }

    /// Waits for an answer. The FIFO is open for writing here too, so reading never ends by itself.
    fn answer(&mut self, interrupt: &Interrupt, messages: &Path) -> anyhow::Result<()> {
        let mut waited = Duration::ZERO;
        let mut line = Vec::new();
        loop {
            match self.answers.read_until(b'\n', &mut line) {
                Ok(_) if line.ends_with(b"\n") => return Ok(()),
                Err(error) if error.kind() != std::io::ErrorKind::WouldBlock => return Err(error.into()),
                Ok(_) | Err(_) => {}
            }
            if self.child.0.try_wait()?.is_some() || waited > ATTACH_WAIT {
                bail!("perf stat failed{}", last_lines(messages));
            }
            interrupt.sleep(LOOK_EVERY)?;
            waited += LOOK_EVERY;
        }
    }
}

/// Makes a FIFO and opens it without waiting for the other side.
fn fifo(path: &Path) -> anyhow::Result<File> {
    let _ = fs::remove_file(path);
    rustix::fs::mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0)
        .with_context(|| format!("making the FIFO {}", path.display()))?;
    let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NONBLOCK | rustix::fs::OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty());
    Ok(File::from(file.with_context(|| format!("opening the FIFO {}", path.display()))?))
}

/// Reads lines like `47664,,syscalls:sys_enter_write,436433285,100.00,,`.
fn parse_stat(printed: &str) -> anyhow::Result<Counted> {
    let mut counted = Counted::default();
    let (mut all, mut known) = (None, 0);
    for line in printed.lines() {
        let fields = line.split(',').collect::<Vec<_>>();
        let [count, _, event, ..] = fields[..] else { continue };
        // `<not counted>` stands for an event that this kernel does not have, or that never happened.
        let Ok(count) = count.parse::<u64>() else { continue };
        match event {
            ALL_CALLS => all = Some(count),
            SUBMISSIONS => counted.submissions = Some(count),
            COMPLETIONS => counted.completions = Some(count),
            _ => {
                let Some(call) = event.strip_prefix("syscalls:sys_enter_") else { continue };
                known += count;
                if count > 0 {
                    counted.syscalls.insert(call.to_owned(), Tally { calls: count, ..Tally::default() });
                }
            }
        }
    }
    let all = all.context("perf stat did not count system calls")?;
    let rest = all.saturating_sub(known);
    if rest > 0 {
        counted.syscalls.insert("(all others)".to_owned(), Tally { calls: rest, ..Tally::default() });
    }
    Ok(counted)
}

/// The calls that a process makes and the time that they take, the most frequent first, as `perf trace` sums it up.
pub(crate) fn times(
    pid: i32,
    duration: Duration,
    scratch: &Path,
    interrupt: &Interrupt,
) -> anyhow::Result<Vec<(String, Tally)>> {
    let output = scratch.join("perf-trace");
    let name = output.to_str().context("a path that is no text")?;
    let (pid, seconds) = (pid.to_string(), duration.as_secs_f64().to_string());
    let args = ["trace", "-s", "-o", name, "-p", &pid, "--", "sleep", &seconds];
    run(&args, &scratch.join("perf-messages"), interrupt)?;
    let printed = fs::read(&output).context("reading what perf trace printed")?;
    let mut times = BTreeMap::<String, Tally>::new();
    // Each thread has a table of its own.
    for (call, timed, wall_ns) in parse_trace(&String::from_utf8_lossy(&printed)) {
        let tally = times.entry(call).or_default();
        tally.timed += timed;
        tally.wall_ns += wall_ns;
    }
    let mut times = times.into_iter().collect::<Vec<_>>();
    times.sort_by_key(|(_, tally)| std::cmp::Reverse(tally.timed));
    Ok(times)
}

/// Reads the rows of the summary: name, calls, errors, total in ms, and more.
fn parse_trace(printed: &str) -> Vec<(String, u64, u64)> {
    let rows = printed.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let (name, calls) = (words.next()?, words.next()?.parse::<u64>().ok()?);
        let (_errors, total_ms) = (words.next()?.parse::<u64>().ok()?, words.next()?.parse::<f64>().ok()?);
        Some((name.to_owned(), calls, (total_ms * 1e6).round() as u64))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_of_events() {
        let counted = parse_stat(
            "# started on Thu\n\n1010,,raw_syscalls:sys_enter,43,100.00,,\n400,,syscalls:sys_enter_write,43,100.00,,\n\
             600,,syscalls:sys_enter_read,43,100.00,,\n0,,syscalls:sys_enter_poll,43,100.00,,\n\
             <not counted>,,syscalls:sys_enter_sendto,0,0.00,,\n17,,io_uring:io_uring_submit_req,43,100.00,,\n\
             18,,io_uring:io_uring_complete,43,100.00,,\n",
        );
        let counted = counted.unwrap();
        let calls = counted.syscalls.iter().map(|(name, tally)| (name.as_str(), tally.calls)).collect::<Vec<_>>();
        assert_eq!(calls, [("(all others)", 10), ("read", 600), ("write", 400)]);
        assert_eq!((counted.submissions, counted.completions), (Some(17), Some(18)));
        assert!(parse_stat("").is_err() && parse_stat("<not supported>,,raw_syscalls:sys_enter,0,0,,\n").is_err());
    }

    #[test]
    fn times_of_calls() {
        let printed = "\n Summary of events:\n\n a-server (10294), 40083 events, 100.0%\n\n\
            \x20  syscall            calls  errors  total       min       avg       max       stddev\n\
            \x20                                    (msec)    (msec)    (msec)    (msec)        (%)\n\
            \x20  --------------- --------  ------ -------- --------- --------- ---------     ------\n\
            \x20  write               9901      0   185.571     0.014     0.019     0.242      0.34%\n\
            \x20  read                9918      3   129.702     0.011     0.013     0.109      0.37%\n\n";
        let rows = parse_trace(printed);
        assert_eq!(rows, [("write".to_owned(), 9901, 185_571_000), ("read".to_owned(), 9918, 129_702_000)]);
    }
}
