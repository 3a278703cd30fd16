//! Comparisons: starts the servers, runs the cases on them in turn, round by round, and writes down every sample.
//!
//! One thread, bound to the load's core. The servers that take the load cases stay up from the first to the last.

#![forbid(unsafe_code)]

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::case::Case;
use crate::cli::CompareArgs;
use crate::load::{self, Limit, NoWatch, Outcome, Plan, Watch};
use crate::report::{self, CaseName, Host, Latency, Measured, Results, Sample, Server, Settings, Syscalls};
use crate::request::{KeyOrder, Workload};
use crate::ring::process;
use crate::server_process::{Placement, RunningServer, ServerSpec, Usage, require_executable};
use crate::{SPARE_DESCRIPTORS, clock, pin};

/// Memory hardly varies, and filling takes long: more rounds than these would say nothing more.
const MEMORY_ROUNDS_MAX: u32 = 3;
/// How a key space is stored.
const POPULATE_CONNECTIONS: usize = 8;
const POPULATE_PIPELINE: usize = 64;
/// The pass that counts system calls.
const SYSCALL_PASS: Duration = Duration::from_millis(500);
/// `perf` takes a while to attach, and says nothing when it has.
const ATTACH_WAIT: Duration = Duration::from_millis(300);
/// Above this share of time spent waiting for a core, the machine is too busy for good figures.
const DISTURBANCE_MAX: f64 = 0.05;
const SYSCALL_EVENT: &str = "raw_syscalls:sys_enter";

/// Runs a comparison as asked for on the command line.
pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<()> {
    let cases = if args.cases.is_empty() { Case::headline() } else { args.cases.clone() };
    for (index, spec) in args.servers.iter().enumerate() {
        require_executable(spec)?;
        let namesake = args.servers[..index].iter().any(|other| other.name == spec.name);
        ensure!(!namesake, "two servers are named {}", spec.name);
    }
    let connections = cases.iter().map(Case::connections).max().unwrap_or(1) as u64;
    // The server needs as many as the load, and some in reserve.
    process::raise_descriptor_limit(connections + 8 * SPARE_DESCRIPTORS).context("raising the descriptor limit")?;
    pin(if args.same_core { args.server_core } else { args.load_core })
        .context("the load needs a core of its own, or --same-core")?;
    let mut results = begin(args, &cases)?;
    let mut comparison = Comparison { args, servers: Vec::new() };
    if cases.iter().any(|case| matches!(case, Case::Load { .. })) {
        comparison.start_servers()?;
    }
    for round in 0..args.rounds {
        eprintln!("round {} of {}", round + 1, args.rounds);
        for case in &cases {
            comparison.round(case, round, &mut results.samples)?;
        }
    }
    if args.syscalls {
        results.syscalls = comparison.count_syscalls(&cases)?;
    }
    drop(comparison);
    results.summarize();
    let path = write(args, &results)?;
    print!("{}", results.table());
    if let Some(share) = results.disturbance().filter(|share| *share > DISTURBANCE_MAX) {
        eprintln!(
            "torc-bench: the servers waited {:.0} % of the time for their core: something else ran there",
            share * 100.0
        );
    }
    println!("{}", path.display());
    Ok(())
}

/// Stores every key of the plan's key space.
pub(crate) fn populate(plan: &Plan, value_len: usize) -> anyhow::Result<()> {
    let populate = Plan {
        workload: Workload::set(value_len),
        connections: POPULATE_CONNECTIONS,
        pipeline: POPULATE_PIPELINE,
        order: KeyOrder::Sequential,
        warmup: Duration::ZERO,
        limit: Limit::Requests(plan.keys),
        ..plan.clone()
    };
    load::run(&populate, &mut NoWatch)?.require_no_failures()
}

fn begin(args: &CompareArgs, cases: &[Case]) -> anyhow::Result<Results> {
    let server = |spec: &ServerSpec| -> anyhow::Result<Server> {
        let file_name = spec.binary.file_name().unwrap_or(spec.binary.as_os_str());
        Ok(Server {
            name: spec.name.clone(),
            binary: file_name.to_string_lossy().into_owned(),
            args: spec.args.clone(),
            version: spec.version()?,
        })
    };
    Ok(Results {
        format: report::FORMAT,
        started: report::utc(clock::unix_time_s()),
        tool: format!("torc-bench {}", env!("CARGO_PKG_VERSION")),
        method: report::METHOD.to_owned(),
        host: Host::here(),
        settings: Settings {
            rounds: args.rounds,
            seconds: args.duration,
            warmup_seconds: args.warmup,
            keys: args.keys,
            value_bytes: args.data,
            same_core: args.same_core,
            unix_socket: args.unix,
        },
        servers: args.servers.iter().map(server).collect::<anyhow::Result<_>>()?,
        cases: cases.iter().map(|case| CaseName { name: case.to_string(), label: case.label() }).collect(),
        samples: Vec::new(),
        syscalls: Vec::new(),
        summary: Vec::new(),
    })
}

fn write(args: &CompareArgs, results: &Results) -> anyhow::Result<PathBuf> {
    let name = args.output.clone().unwrap_or_else(|| {
        let names: Vec<&str> = results.servers.iter().map(|server| server.name.as_str()).collect();
        PathBuf::from(format!("{}-{}.json", results.started.replace(':', ""), names.join("-")))
    });
    fs::create_dir_all(&args.results).with_context(|| format!("making {}", args.results.display()))?;
    let path = args.results.join(name);
    let text = serde_json::to_string_pretty(results)?;
    fs::write(&path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}

struct Comparison<'a> {
    args: &'a CompareArgs,
    /// In the order of the command line. Empty if no case is a load.
    servers: Vec<RunningServer>,
}

impl Comparison<'_> {
    fn placement(&self) -> Placement {
        Placement { core: self.args.server_core, unix: self.args.unix }
    }

    fn start_servers(&mut self) -> anyhow::Result<()> {
        for spec in &self.args.servers {
            let server = RunningServer::start(spec, self.placement())?;
            let plan = self.plan(&server, Workload::set(self.args.data), 1, 1);
            populate(&plan, self.args.data).with_context(|| format!("storing keys in {}", spec.name))?;
            self.servers.push(server);
        }
        Ok(())
    }

    fn plan(&self, server: &RunningServer, workload: Workload, connections: usize, pipeline: usize) -> Plan {
        Plan {
            endpoint: server.endpoint.clone(),
            auth: None,
            workload,
            connections,
            pipeline,
            keys: self.args.keys,
            order: KeyOrder::Random { seed: 1 },
            warmup: Duration::from_secs_f64(self.args.warmup),
            limit: Limit::Time(Duration::from_secs_f64(self.args.duration)),
        }
    }

    /// Runs `case` once on every server. The server that goes first changes from round to round.
    fn round(&self, case: &Case, round: u32, samples: &mut Vec<Sample>) -> anyhow::Result<()> {
        if !matches!(case, Case::Load { .. }) && round >= MEMORY_ROUNDS_MAX {
            return Ok(());
        }
        let count = self.args.servers.len();
        for turn in 0..count {
            let index = (turn + round as usize) % count;
            let spec = &self.args.servers[index];
            let measured = match case {
                Case::Load { command, connections, pipeline } => {
                    self.load(index, command, *connections, *pipeline, round)
                }
                Case::Memory { keys } => self.memory(spec, *keys),
                Case::Idle { connections } => self.idle(spec, *connections),
            };
            let measured = measured.with_context(|| format!("{case} on {}", spec.name))?;
            eprintln!("  {:16} {:12} {:10.1}", case.label(), spec.name, measured.cost());
            samples.push(Sample { case: case.to_string(), server: spec.name.clone(), round, measured });
        }
        Ok(())
    }

    fn load(
        &self,
        index: usize,
        command: &str,
        connections: usize,
        pipeline: usize,
        round: u32,
    ) -> anyhow::Result<Measured> {
        let server = &self.servers[index];
        for other in &self.servers {
            other.settle()?;
        }
        let workload = Workload::parse(&[command.to_owned()], self.args.data);
        let mut plan = self.plan(server, workload, connections, pipeline);
        plan.order = KeyOrder::Random { seed: u64::from(round) + 1 };
        let mut watch = UsageWatch { server, begin: Usage::default(), end: Usage::default() };
        let outcome = checked(load::run(&plan, &mut watch), server)?;
        Ok(Measured::Load {
            requests: outcome.requests,
            elapsed_ns: outcome.elapsed.as_nanos() as u64,
            server_cpu_ns: watch.end.cpu_ns - watch.begin.cpu_ns,
            server_wait_ns: watch.end.wait_ns - watch.begin.wait_ns,
            client_cpu_ns: outcome.client_cpu_ns,
            voluntary_switches: watch.end.voluntary_switches - watch.begin.voluntary_switches,
            involuntary_switches: watch.end.involuntary_switches - watch.begin.involuntary_switches,
            resident_bytes: server.resident_bytes()?,
            latency_ns: Latency::of(&outcome.latency),
        })
    }

    fn memory(&self, spec: &ServerSpec, keys: u64) -> anyhow::Result<Measured> {
        let server = RunningServer::start(spec, self.placement())?;
        server.settle()?;
        let resident_before_bytes = server.resident_bytes()?;
        let mut plan = self.plan(&server, Workload::set(self.args.data), 1, 1);
        plan.keys = keys;
        populate(&plan, self.args.data)?;
        // A hash table may still be growing.
        server.settle()?;
        Ok(Measured::Memory { keys, resident_before_bytes, resident_after_bytes: server.resident_bytes()? })
    }

    fn idle(&self, spec: &ServerSpec, connections: usize) -> anyhow::Result<Measured> {
        const BURST: usize = 128;
        let server = RunningServer::start(spec, self.placement())?;
        server.settle()?;
        let resident_before_bytes = server.resident_bytes()?;
        let mut streams = Vec::with_capacity(connections);
        for index in 0..connections {
            streams.push(server.endpoint.connect().with_context(|| format!("opening connection {}", index + 1))?);
            if (index + 1) % BURST == 0 {
                // The server accepts on the other core; its listen queue must not overflow.
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        server.settle()?;
        let resident_after_bytes = server.resident_bytes()?;
        for (index, stream) in streams.iter_mut().enumerate() {
            let answer = stream.ask(&["PING"]).with_context(|| format!("PING on connection {}", index + 1))?;
            ensure!(answer == "+PONG", "PING on connection {} was answered {answer:?}", index + 1);
        }
        server.settle()?;
        Ok(Measured::Idle {
            connections: connections as u64,
            resident_before_bytes,
            resident_after_bytes,
            resident_after_ping_bytes: server.resident_bytes()?,
        })
    }

    fn count_syscalls(&self, cases: &[Case]) -> anyhow::Result<Vec<Syscalls>> {
        let mut counted = Vec::new();
        for case in cases {
            let Case::Load { command, connections, pipeline } = case else { continue };
            for (spec, server) in self.args.servers.iter().zip(&self.servers) {
                server.settle()?;
                let workload = Workload::parse(std::slice::from_ref(command), self.args.data);
                let mut plan = self.plan(server, workload, *connections, *pipeline);
                plan.limit = Limit::Time(SYSCALL_PASS);
                let mut watch = SyscallWatch { pid: server.pid(), perf: None, count: 0 };
                let outcome = checked(load::run(&plan, &mut watch), server)?;
                let per_request = watch.count as f64 / outcome.requests.max(1) as f64;
                counted.push(Syscalls { case: case.to_string(), server: spec.name.clone(), per_request });
            }
        }
        Ok(counted)
    }
}

/// An outcome without failures, or an error with the server's last words.
fn checked(outcome: anyhow::Result<Outcome>, server: &RunningServer) -> anyhow::Result<Outcome> {
    let outcome = outcome.with_context(|| format!("the server printed:\n{}", server.log_end()))?;
    outcome.require_no_failures()?;
    Ok(outcome)
}

/// Reads the server's usage at both ends of the timed part.
struct UsageWatch<'a> {
    server: &'a RunningServer,
    begin: Usage,
    end: Usage,
}

impl Watch for UsageWatch<'_> {
    fn timed_part_begins(&mut self) -> anyhow::Result<()> {
        self.begin = self.server.usage()?;
        Ok(())
    }

    fn timed_part_ends(&mut self) -> anyhow::Result<()> {
        self.end = self.server.usage()?;
        Ok(())
    }
}

/// Counts the server's system calls during the timed part. The load stands still while `perf` attaches and detaches, so
/// the server is idle at both ends.
struct SyscallWatch {
    pid: u32,
    perf: Option<Child>,
    count: u64,
}

impl Watch for SyscallWatch {
    fn timed_part_begins(&mut self) -> anyhow::Result<()> {
        let child = Command::new("perf")
            .args(["stat", "-x", ",", "-e", SYSCALL_EVENT, "-p", &self.pid.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("starting perf to count system calls")?;
        self.perf = Some(child);
        std::thread::sleep(ATTACH_WAIT);
        Ok(())
    }

    fn timed_part_ends(&mut self) -> anyhow::Result<()> {
        let perf = self.perf.take().context("perf was never started")?;
        process::signal(perf.id(), libc::SIGINT)?;
        let output = perf.wait_with_output()?;
        self.count = counted(&String::from_utf8_lossy(&output.stderr))?;
        Ok(())
    }
}

impl Drop for SyscallWatch {
    fn drop(&mut self) {
        // Left over only when the load failed in between.
        if let Some(mut perf) = self.perf.take() {
            let _ = perf.kill();
            let _ = perf.wait();
        }
    }
}

/// The count in what `perf stat -x ,` printed.
fn counted(printed: &str) -> anyhow::Result<u64> {
    let count = printed
        .lines()
        .filter(|line| line.contains(SYSCALL_EVENT))
        .find_map(|line| line.split(',').next()?.parse().ok());
    match count {
        Some(count) => Ok(count),
        None => bail!("perf counted no system calls; it printed: {}", printed.trim()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_perf_is_found() {
        assert_eq!(counted("1234,,raw_syscalls:sys_enter,1003,100.00,,\n").unwrap(), 1234);
        assert!(counted("<not counted>,,raw_syscalls:sys_enter,0,100.00,,\n").is_err());
        assert!(counted("event syntax error\n").is_err());
    }
}
