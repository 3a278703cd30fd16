//! What this host permits: which ways there are to see system calls, and whether stacks can be sampled.

#![forbid(unsafe_code)]

use std::fmt::Write;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::interrupt::Interrupt;
use crate::perf::{self, Depth};
use crate::profile::{Level, Machine};
use crate::tracefs;

/// What was found out.
pub(crate) struct Host {
    tracefs: Result<(), String>,
    perf: Result<(), String>,
    strace: Result<(), String>,
    pub(crate) sampling: Result<Depth, String>,
    /// Why the kernel's part of stacks is hidden, where it is.
    pub(crate) kernel_hidden: Option<String>,
}

impl Host {
    /// Tries everything once, without touching any server.
    pub(crate) fn examine(scratch: &Path, interrupt: &Interrupt) -> anyhow::Result<Host> {
        let said = |error: anyhow::Error| format!("{error:#}");
        let tracefs = tracefs::probe().map(drop).map_err(said);
        let perf = perf::probe_tracepoints(scratch, interrupt).map_err(said);
        let mut kernel_hidden = None;
        let sampling = match perf::probe_sampling(Depth::Kernel, scratch, interrupt) {
            Ok(()) => Ok(Depth::Kernel),
            Err(error) => {
                kernel_hidden = Some(said(error));
                perf::probe_sampling(Depth::UserOnly, scratch, interrupt).map(|()| Depth::UserOnly).map_err(said)
            }
        };
        interrupt.check()?;
        Ok(Host { tracefs, perf, strace: probe_strace(), sampling, kernel_hidden })
    }

    /// Why a level cannot be used, if so.
    pub(crate) fn refusal(&self, level: Level) -> Option<&str> {
        let result = match level {
            Level::Tracefs => &self.tracefs,
            Level::Perf => &self.perf,
            Level::Strace => &self.strace,
            Level::Proc => return None,
        };
        result.as_ref().err().map(String::as_str)
    }

    /// What `--check` prints.
    pub(crate) fn report(&self) -> String {
        let mut text = String::from("System calls can be seen by (best first; the first that works is used):\n");
        for level in Level::ALL {
            let state = self.refusal(level).map_or_else(|| "yes".to_owned(), |why| format!("no: {}", indent(why)));
            let _ = writeln!(text, "  {:<12} {state}", level.label());
        }
        let state = match (&self.sampling, &self.kernel_hidden) {
            (Ok(Depth::Kernel), _) => "yes".to_owned(),
            (Ok(Depth::UserOnly), why) => {
                format!("without the kernel's part: {}", indent(why.as_deref().unwrap_or_default()))
            }
            (Err(why), _) => format!("no: {}", indent(why)),
        };
        let _ = writeln!(text, "Stacks can be sampled (CPU split, flame graph):\n  {:<12} {state}", "perf record");
        for setting in ["kernel/perf_event_paranoid", "kernel/kptr_restrict", "kernel/yama/ptrace_scope"] {
            if let Ok(value) = fs::read_to_string(format!("/proc/sys/{setting}")) {
                let _ = writeln!(text, "{} = {}", setting.replace('/', "."), value.trim());
            }
        }
        let _ = writeln!(text, "user: {}", if rustix::process::geteuid().is_root() { "root" } else { "not root" });
        text
    }
}

fn indent(message: &str) -> String {
    message.trim_end().replace('\n', "\n    ")
}

fn probe_strace() -> Result<(), String> {
    let tried = Command::new("strace")
        .args(["-o", "/dev/null", "true"])
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("starting strace (Debian: apt-get install strace): {error}"))?;
    let said = String::from_utf8_lossy(&tried.stderr).trim().to_owned();
    if tried.status.success() { Ok(()) } else { Err(format!("strace failed: {said}")) }
}

/// The machine, in words.
pub(crate) fn machine() -> Machine {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    Machine {
        load_average: load.split(' ').next().and_then(|minute| minute.parse().ok()).unwrap_or(0.0),
        kernel: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        processor: model.map_or("unknown", |(_, model)| model).to_owned(),
        // All of them: this tool itself may be bound to one.
        cores: cpuinfo.lines().filter(|line| line.starts_with("processor")).count(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_report_says_what_to_do() {
        let host = Host {
            tracefs: Err("tracefs is not mounted\nmount it".to_owned()),
            perf: Ok(()),
            strace: Err("no strace".to_owned()),
            sampling: Ok(Depth::UserOnly),
            kernel_hidden: Some("perf_event_paranoid is 2".to_owned()),
        };
        let report = host.report();
        assert!(report.contains("no: tracefs is not mounted\n    mount it\n"), "{report}");
        assert!(report.contains("without the kernel's part: perf_event_paranoid is 2"), "{report}");
        assert_eq!(host.refusal(Level::Perf), None);
        assert_eq!(host.refusal(Level::Strace), Some("no strace"));
        assert_eq!(host.refusal(Level::Proc), None);
    }
}
