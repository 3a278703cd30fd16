//! What /proc says of the server's process: its threads, their CPU time and switches, and where it listens.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::Sub;

use anyhow::Context;
use procfs::net::TcpState;
use procfs::process::{FDTarget, Process};

use crate::client::Address;

/// Threads of one process that are looked at.
const THREADS_MAX: usize = 1024;

/// What a process has used since it started.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Usage {
    /// CPU time of its threads.
    pub(crate) cpu_ns: u64,
    /// The same in clock ticks, split by where it ran; coarse.
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
    /// Times a thread gave up its core, and times it was taken away.
    pub(crate) voluntary_switches: u64,
    pub(crate) involuntary_switches: u64,
}

impl Sub for Usage {
    type Output = Usage;

    /// Never below zero: a thread that ended takes what it used with it.
    fn sub(self, earlier: Usage) -> Usage {
        Usage {
            cpu_ns: self.cpu_ns.saturating_sub(earlier.cpu_ns),
            user_ticks: self.user_ticks.saturating_sub(earlier.user_ticks),
            system_ticks: self.system_ticks.saturating_sub(earlier.system_ticks),
            voluntary_switches: self.voluntary_switches.saturating_sub(earlier.voluntary_switches),
            involuntary_switches: self.involuntary_switches.saturating_sub(earlier.involuntary_switches),
        }
    }
}

fn open(pid: i32) -> anyhow::Result<Process> {
    Process::new(pid).with_context(|| format!("there is no process {pid}, or it may not be looked at"))
}

/// What the process has used until now.
pub(crate) fn usage(pid: i32) -> anyhow::Result<Usage> {
    let process = open(pid)?;
    let stat = process.stat().with_context(|| format!("process {pid} ended"))?;
    let mut usage = Usage { user_ticks: stat.utime, system_ticks: stat.stime, ..Usage::default() };
    for task in process.tasks().with_context(|| format!("process {pid} ended"))?.take(THREADS_MAX) {
        // A thread may end while it is looked at.
        let Ok(task) = task else { continue };
        if let Ok(schedstat) = task.schedstat() {
            usage.cpu_ns += schedstat.sum_exec_runtime;
        }
        if let Ok(status) = task.status() {
            usage.voluntary_switches += status.voluntary_ctxt_switches.unwrap_or(0);
            usage.involuntary_switches += status.nonvoluntary_ctxt_switches.unwrap_or(0);
        }
    }
    Ok(usage)
}

/// The threads of a process.
pub(crate) fn threads(pid: i32) -> anyhow::Result<Vec<i32>> {
    let tasks = open(pid)?.tasks().with_context(|| format!("process {pid} ended"))?;
    Ok(tasks.take(THREADS_MAX).filter_map(|task| task.ok().map(|task| task.tid)).collect())
}

/// True while the process is there and has not ended.
pub(crate) fn is_alive(pid: i32) -> bool {
    Process::new(pid).and_then(|process| process.stat()).is_ok_and(|stat| !matches!(stat.state, 'Z' | 'X'))
}

/// The process and all below it.
pub(crate) fn family(pid: i32) -> Vec<i32> {
    let parents = procfs::process::all_processes().into_iter().flatten().filter_map(|process| {
        let stat = process.ok()?.stat().ok()?;
        Some((stat.pid, stat.ppid))
    });
    family_of(pid, &parents.collect::<Vec<_>>())
}

fn family_of(pid: i32, parents: &[(i32, i32)]) -> Vec<i32> {
    let mut family = vec![pid];
    let mut at = 0;
    while at < family.len() {
        let parent = family[at];
        let children = parents.iter().filter(|(_, of)| *of == parent).map(|(child, _)| *child);
        // A number that was given anew while they were read could make a circle.
        let new = children.filter(|child| !family.contains(child)).collect::<Vec<_>>();
        family.extend(new);
        at += 1;
    }
    family
}

/// Where the process listens, TCP first, small ports first.
pub(crate) fn listens_at(pid: i32) -> anyhow::Result<Vec<Address>> {
    let process = open(pid)?;
    let descriptors = process.fd().with_context(|| format!("the descriptors of process {pid} may not be looked at"))?;
    let sockets = descriptors.filter_map(|descriptor| match descriptor.ok()?.target {
        FDTarget::Socket(inode) => Some(inode),
        _ => None,
    });
    let sockets = sockets.collect::<BTreeSet<_>>();
    let mut addresses = BTreeSet::new();
    let tcp = process.tcp().into_iter().flatten().chain(process.tcp6().into_iter().flatten());
    for entry in tcp.filter(|entry| entry.state == TcpState::Listen && sockets.contains(&entry.inode)) {
        addresses.insert((entry.local_address.port(), reachable(entry.local_address.ip())));
    }
    let mut found = addresses.into_iter().map(|(port, host)| Address::Tcp(host, port)).collect::<Vec<_>>();
    for entry in process.unix().into_iter().flatten().filter(|entry| sockets.contains(&entry.inode)) {
        // Accepted connections carry the path too.
        if let Some(path) = entry.path {
            found.push(Address::Unix(path));
        }
    }
    found.dedup();
    Ok(found)
}

/// The address to connect to for a socket bound to `host`.
fn reachable(host: IpAddr) -> IpAddr {
    match host {
        IpAddr::V4(host) if host.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(host) if host.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        host => host,
    }
}

/// The command line of a process.
pub(crate) fn command_line(pid: i32) -> anyhow::Result<Vec<String>> {
    open(pid)?.cmdline().with_context(|| format!("process {pid} ended"))
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn own_pid() -> i32 {
        i32::try_from(std::process::id()).unwrap()
    }

    #[test]
    fn own_usage_grows() {
        let before = usage(own_pid()).unwrap();
        let mut sum = 0u64;
        while (usage(own_pid()).unwrap() - before).cpu_ns == 0 {
            sum = (0..100_000).fold(sum, |sum, number| std::hint::black_box(sum ^ number));
        }
        assert!(threads(own_pid()).unwrap().contains(&own_pid()));
        assert!(is_alive(own_pid()) && !command_line(own_pid()).unwrap().is_empty());
    }

    #[test]
    fn a_process_that_is_not_there() {
        // Above the highest number that Linux gives.
        let error = format!("{:#}", usage(i32::MAX).unwrap_err());
        assert!(error.contains("there is no process 2147483647"), "{error}");
        assert!(!is_alive(i32::MAX));
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "something has to listen")]
    fn own_listening_sockets() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let wanted = Address::Tcp(Ipv4Addr::LOCALHOST.into(), port);
        assert!(listens_at(own_pid()).unwrap().contains(&wanted));
        drop(listener);
        assert!(!listens_at(own_pid()).unwrap().contains(&wanted));
    }

    #[test]
    fn a_family_is_found_through_its_parents() {
        let parents = [(10, 1), (11, 10), (12, 11), (13, 1), (14, 13), (15, 10)];
        assert_eq!(family_of(10, &parents), [10, 11, 15, 12]);
        assert_eq!(family_of(7, &parents), [7]);
    }
}
