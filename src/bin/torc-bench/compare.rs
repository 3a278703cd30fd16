//! Comparisons: starts the servers, runs the cases on them in turn, round by round, and writes down every sample.
//!
//! The servers that take the load cases stay up from the first to the last. The file of results is written after every
//! round, so that what was measured outlives what goes wrong.

#![forbid(unsafe_code)]

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use anyhow::{Context, ensure};

use crate::benchmark::store;
use crate::case::{Case, Kind, LoadCase, Transport};
use crate::check::Expect;
use crate::cli::CompareArgs;
use crate::crew::{self, ServerError};
use crate::endpoint::Endpoint;
use crate::keys::{KeyOrder, KeySpace};
use crate::plan::{Limit, NoWatch, Plan, Rate, Watch};
use crate::request::{Shape, Workload};
use crate::results::{
    self, Absent, CaseName, Host, Latency, Measured, NotRun, Results, Sample, Server, Settings, Syscalls,
};
use crate::ring::process;
use crate::scenario::{self, Scenario};
use crate::server_process::{RunningServer, ServerSpec, Usage, require_executable};
use crate::suite::{self, Ratio, Test};
use crate::syscalls::{Method, SyscallWatch};
use crate::values::ValueLengths;
use crate::{SPARE_DESCRIPTORS, clock, page};

/// Memory hardly varies, and filling takes long: more rounds than these would say nothing more.
const MEMORY_ROUNDS_MAX: u32 = 3;
/// A key space of long values is made smaller, so that it takes no more than this.
const STORED_BYTES_MAX: u64 = 256 << 20;
/// Arguments of one command that fills a collection.
const FILL_ARGS_MAX: usize = 200;
/// The pass that counts system calls.
const SYSCALL_PASS: Duration = Duration::from_millis(500);
/// Above this share of time spent waiting for a core, the machine is too busy for good figures.
const DISTURBANCE_MAX: f64 = 0.05;
/// Nine reads to a write: the test `mixed`.
const MIXED: Ratio = Ratio { reads: 9, writes: 1 };

/// Runs a comparison as asked for on the command line.
pub(crate) fn run(args: &CompareArgs) -> anyhow::Result<()> {
    if args.print {
        print!("{}", scenario::text(&args.scenario)?.1);
        return Ok(());
    }
    let scenario = scenario::read(args)?;
    let connections = scenario.cases.iter().map(Case::connections).max().unwrap_or(1) as u64;
    // The server needs as many as the load, and some in reserve.
    process::raise_descriptor_limit(connections + 8 * SPARE_DESCRIPTORS).context("raising the descriptor limit")?;
    require_cores(&scenario)?;
    let mut comparison = Comparison::new(&scenario)?;
    let started = comparison.results.started.replace(':', "");
    let name = args.name.clone().unwrap_or_else(|| format!("{started}-{}", scenario.name));
    fs::create_dir_all(&args.results).with_context(|| format!("making {}", args.results.display()))?;
    let path = args.results.join(format!("{name}.json"));
    if scenario.cases.iter().any(|case| matches!(case, Case::Load { .. })) {
        comparison.start_servers()?;
    }
    for round in 0..scenario.rounds {
        eprintln!("round {} of {}", round + 1, scenario.rounds);
        for case in &scenario.cases {
            comparison.round(case, round)?;
        }
        comparison.results.write(&path)?;
    }
    if scenario.syscalls {
        comparison.count_syscalls()?;
    }
    let mut results = comparison.end();
    results.summarize();
    results.write(&path)?;
    print!("{}", results.table());
    if let Some(share) = results.disturbance().filter(|share| *share > DISTURBANCE_MAX) {
        eprintln!(
            "torc-bench: the servers waited {:.0} % of the time for their core: something else ran there",
            share * 100.0
        );
    }
    let page = page::write(&results, &path.with_extension("html"))?;
    println!("{}\n{}", path.display(), page.display());
    Ok(())
}

fn require_cores(scenario: &Scenario) -> anyhow::Result<()> {
    let here: Vec<usize> = core_affinity::get_core_ids().unwrap_or_default().iter().map(|core| core.id).collect();
    let servers = scenario.servers.iter().flat_map(|server| &server.cores);
    for core in servers.chain(&scenario.load_cores) {
        ensure!(
            here.contains(core),
            "the scenario wants core {core}, and there are only {here:?}; name others with --server-cores and --load-cores"
        );
    }
    ensure!(scenario.servers.iter().all(|server| !server.cores.is_empty()), "every server needs a core");
    Ok(())
}

/// A server that stays up, and the length of the values that its keys hold.
struct Standing<'a> {
    spec: &'a ServerSpec,
    server: RunningServer,
    stored: Cell<Option<usize>>,
}

impl Standing<'_> {
    /// Waits until it has dealt with what the last load left. A server that looks for work all the time never has.
    fn settle(&self) -> anyhow::Result<()> {
        if !self.server.settles()? {
            eprintln!("  {} is busy before its load begins", self.spec.name);
        }
        Ok(())
    }
}

struct Comparison<'a> {
    scenario: &'a Scenario,
    /// Those that can be started, the baseline first.
    specs: Vec<&'a ServerSpec>,
    /// None if no case is a load.
    standing: Vec<Standing<'a>>,
    results: Results,
}

impl<'a> Comparison<'a> {
    fn new(scenario: &'a Scenario) -> anyhow::Result<Comparison<'a>> {
        let mut specs = Vec::new();
        let mut absent = Vec::new();
        let mut servers = Vec::new();
        for spec in &scenario.servers {
            match described(spec) {
                Ok(server) => {
                    specs.push(spec);
                    servers.push(server);
                }
                Err(error) if spec.optional => {
                    eprintln!("torc-bench: without {}: {error:#}", spec.name);
                    absent.push(Absent { server: spec.name.clone(), reason: short_reason(&error) });
                }
                Err(error) => return Err(error),
            }
        }
        let not_run = scenario
            .left_out
            .iter()
            .map(|(case, reason)| NotRun { case: case.to_string(), server: None, reason: reason.clone() })
            .collect();
        let all = scenario.cases.iter().chain(scenario.left_out.iter().map(|(case, _)| case));
        let results = Results {
            format: results::FORMAT,
            started: results::utc(clock::since_1970().as_secs()),
            tool: format!("torc-bench {}", env!("CARGO_PKG_VERSION")),
            scenario: scenario.name.clone(),
            title: scenario.title.clone(),
            method: results::METHOD.to_owned(),
            host: Host::here(),
            settings: Settings {
                rounds: scenario.rounds,
                seconds: scenario.seconds,
                warmup_seconds: scenario.warmup_seconds,
                keys: scenario.keys,
                load_cores: scenario.load_cores.clone(),
            },
            servers,
            cases: all.map(|case| CaseName { name: case.to_string(), label: case.label() }).collect(),
            absent,
            not_run,
            samples: Vec::new(),
            syscalls: Vec::new(),
            syscall_method: String::new(),
            summary: Vec::new(),
        };
        Ok(Comparison { scenario, specs, standing: Vec::new(), results })
    }

    fn start_servers(&mut self) -> anyhow::Result<()> {
        for spec in &self.specs {
            let server = RunningServer::start(spec)?;
            self.standing.push(Standing { spec, server, stored: Cell::new(None) });
        }
        Ok(())
    }

    fn end(self) -> Results {
        self.results
    }

    /// Runs `case` once on every server. The server that goes first changes from round to round.
    fn round(&mut self, case: &Case, round: u32) -> anyhow::Result<()> {
        if !matches!(case, Case::Load { .. }) && round >= MEMORY_ROUNDS_MAX {
            return Ok(());
        }
        let count = self.specs.len();
        let name = case.to_string();
        for turn in 0..count {
            let index = (turn + round as usize) % count;
            let spec = self.specs[index];
            if self.results.why_not(&name, &spec.name).is_some() {
                continue;
            }
            let measured = match case {
                Case::Load(load) => self.load(index, load, round),
                Case::Memory { kind, keys, elements, value_bytes } => {
                    self.memory(spec, *kind, *keys, *elements, *value_bytes)
                }
                Case::Idle { connections, transport } => self.idle(spec, *connections, *transport),
            };
            match measured {
                Ok(measured) => {
                    eprintln!("  {:24} {:12} {:10.1}", case.label(), spec.name, measured.cost());
                    let (case, server) = (name.clone(), spec.name.clone());
                    self.results.samples.push(Sample { case, server, round, measured });
                }
                // An error that a server answers concerns this case on this server. Anything else, all of them.
                Err(error) if error.is::<ServerError>() => {
                    eprintln!("  {:24} {:12} {}", case.label(), spec.name, short_reason(&error));
                    let (server, reason) = (Some(spec.name.clone()), short_reason(&error));
                    self.results
                        .samples
                        .retain(|sample| sample.case != name || Some(&sample.server) != server.as_ref());
                    self.results.not_run.push(NotRun { case: name.clone(), server, reason });
                }
                Err(error) => return Err(error.context(format!("{name} on {}", spec.name))),
            }
        }
        Ok(())
    }

    fn load(&self, index: usize, case: &LoadCase, round: u32) -> anyhow::Result<Measured> {
        let standing = &self.standing[index];
        self.let_run(index)?;
        let plan = self.prepared(standing, case, u64::from(round) + 1)?;
        let server = &standing.server;
        standing.settle()?;
        let mut watch = UsageWatch { server, begin: Counters::default(), end: Counters::default() };
        let outcome = told(crew::run(&plan, &mut watch), server)?;
        let (begin, end) = (&watch.begin.usage, &watch.end.usage);
        let server_cpu_ns = end.cpu_ns - begin.cpu_ns;
        let before = &watch.begin.ring;
        // Only counters grow; what stays the same says nothing of the load.
        let grown = |(name, value): (&String, &u64)| {
            let growth = value.saturating_sub(before.get(name).copied().unwrap_or(0));
            (growth > 0).then(|| (name.clone(), growth))
        };
        let ring = watch.end.ring.iter().filter_map(grown).collect();
        Ok(Measured::Load {
            requests: outcome.requests,
            elapsed_ns: outcome.elapsed.as_nanos() as u64,
            server_cpu_ns,
            server_main_cpu_ns: Some(end.main_cpu_ns - begin.main_cpu_ns),
            server_user_ns: user_ns(begin, end, server_cpu_ns),
            server_wait_ns: end.wait_ns - begin.wait_ns,
            client_cpu_ns: outcome.client_cpu_ns,
            voluntary_switches: end.voluntary_switches - begin.voluntary_switches,
            involuntary_switches: end.involuntary_switches - begin.involuntary_switches,
            resident_bytes: server.resident_bytes()?,
            latency_ns: Latency::of(&outcome.latency),
            overdue: outcome.overdue,
            misses: outcome.misses,
            ring,
        })
    }

    /// Only server number `index` runs: some go on looking for work long after there was any.
    fn let_run(&self, index: usize) -> anyhow::Result<()> {
        for (other, standing) in self.standing.iter().enumerate() {
            standing.server.pause(other != index)?;
        }
        Ok(())
    }

    /// Brings a server into the state that a case starts from.
    fn prepared(&self, standing: &Standing<'_>, case: &LoadCase, seed: u64) -> anyhow::Result<Plan> {
        let lengths = ValueLengths::Fixed(case.value_bytes);
        let mut plan = self.plan(standing.server.endpoint(case.transport), suite::store(&lengths));
        plan.keys.count = plan.keys.count.min((STORED_BYTES_MAX / case.value_bytes as u64).max(1));
        let test = suite::find(&case.test);
        if reads_keys(test) && standing.stored.get() != Some(case.value_bytes) {
            told(store(&plan), &standing.server).context("storing keys")?;
            standing.stored.set(Some(case.value_bytes));
        }
        for (workload, count) in test.map(Test::preparation).unwrap_or_default() {
            let mut step = plan.clone();
            step.workload = workload;
            step.keys = KeySpace::in_order(Test::preparation_keys());
            step.limit = Limit::Requests(count);
            told(crew::run(&step, &mut NoWatch), &standing.server)?;
        }
        if writes_keys(test) && standing.stored.get() != Some(case.value_bytes) {
            // Some keys get another length: the next case that reads stores all of them again.
            standing.stored.set(None);
        }
        plan.workload = match test {
            Some(test) => test.workload(&lengths, true, true),
            None => MIXED.workload(&lengths, true, true),
        };
        plan.connections = case.clients;
        plan.pipeline = case.pipeline;
        plan.threads = case.threads;
        plan.keys = KeySpace { order: KeyOrder::Random, seed, ..plan.keys };
        plan.warmup = Duration::from_secs_f64(self.scenario.warmup_seconds);
        plan.limit = Limit::Time(Duration::from_secs_f64(self.scenario.seconds));
        plan.rate = case.rate.map(|rate| Rate { per_second: rate as f64, poisson: false });
        Ok(plan)
    }

    /// One connection, one request at a time, no warm-up.
    fn plan(&self, endpoint: Endpoint, workload: Workload) -> Plan {
        Plan {
            endpoint,
            greeting: Vec::new(),
            workload,
            connections: 1,
            pipeline: 1,
            keys: KeySpace::in_order(self.scenario.keys),
            warmup: Duration::ZERO,
            limit: Limit::Requests(1),
            rate: None,
            threads: 1,
            cores: self.scenario.load_cores.clone(),
            keep_alive: true,
            keep_going: false,
            interval: None,
        }
    }

    fn memory(
        &self,
        spec: &ServerSpec,
        kind: Kind,
        keys: u64,
        elements: u64,
        value_bytes: usize,
    ) -> anyhow::Result<Measured> {
        let server = RunningServer::start(spec)?;
        server.settle()?;
        let resident_before_bytes = server.resident_bytes()?;
        for workload in fills(kind, elements, value_bytes) {
            let mut plan = self.plan(server.endpoint(Transport::Tcp), workload);
            plan.keys.count = keys;
            told(store(&plan), &server)?;
        }
        // A hash table may still be growing.
        server.settle()?;
        Ok(Measured::Memory { keys, resident_before_bytes, resident_after_bytes: server.resident_bytes()? })
    }

    fn idle(&self, spec: &ServerSpec, connections: usize, transport: Transport) -> anyhow::Result<Measured> {
        const BURST: usize = 128;
        let server = RunningServer::start(spec)?;
        server.settle()?;
        let resident_before_bytes = server.resident_bytes()?;
        let endpoint = server.endpoint(transport);
        let mut dialed = Vec::with_capacity(connections);
        for index in 0..connections {
            dialed.push(endpoint.connect().with_context(|| format!("opening connection {}", index + 1))?);
            if (index + 1) % BURST == 0 {
                // The server accepts on another core; its listen queue must not overflow.
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        server.settle()?;
        let resident_after_bytes = server.resident_bytes()?;
        for (index, connection) in dialed.iter_mut().enumerate() {
            let answer = connection.ask(&["PING"]).with_context(|| format!("PING on connection {}", index + 1))?;
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

    /// A pass of its own, for counting is not free.
    fn count_syscalls(&mut self) -> anyhow::Result<()> {
        let method = match Method::here() {
            Ok(method) => method,
            Err(why) => {
                eprintln!("torc-bench: {why}");
                self.results.syscall_method = why;
                return Ok(());
            }
        };
        self.results.syscall_method = method.name().to_owned();
        eprintln!("counting system calls with {}", method.name());
        for case in &self.scenario.cases {
            let Case::Load(load) = case else { continue };
            let name = case.to_string();
            for (index, standing) in self.standing.iter().enumerate() {
                if self.results.why_not(&name, &standing.spec.name).is_some() {
                    continue;
                }
                self.let_run(index)?;
                let mut plan = self.prepared(standing, load, 1)?;
                plan.limit = Limit::Time(SYSCALL_PASS);
                standing.settle()?;
                let mut watch = SyscallWatch::new(standing.server.pid(), method);
                let outcome = told(crew::run(&plan, &mut watch), &standing.server)
                    .with_context(|| format!("{name} on {}", standing.spec.name))?;
                let per_request = watch.count as f64 / outcome.requests.max(1) as f64;
                let (case, server) = (name.clone(), standing.spec.name.clone());
                self.results.syscalls.push(Syscalls { case, server, per_request });
            }
        }
        Ok(())
    }
}

fn described(spec: &ServerSpec) -> anyhow::Result<Server> {
    require_executable(spec)?;
    let version = spec.version()?;
    // Whether it starts with these arguments is known only by starting it.
    RunningServer::start(spec)?;
    Ok(Server {
        name: spec.name.clone(),
        binary: spec.binary.file_name().unwrap_or(spec.binary.as_os_str()).to_string_lossy().into_owned(),
        args: spec.args.clone(),
        environment: spec.environment.clone(),
        cores: spec.cores.clone(),
        version,
    })
}

/// An error in a line or two.
fn short_reason(error: &anyhow::Error) -> String {
    const LEN_MAX: usize = 300;
    let text: String = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
    // What was asked is known from the case.
    let text = text.split(", with args beginning with").next().unwrap_or_default();
    text.chars().take(LEN_MAX).collect()
}

fn reads_keys(test: Option<&Test>) -> bool {
    test.is_none_or(|test| test.title == "GET")
}

fn writes_keys(test: Option<&Test>) -> bool {
    test.is_none_or(|test| test.title == "SET" || test.title.starts_with("MSET"))
}

/// The user part of the CPU time between two readings. None where they are too close for the kernel's ticks.
fn user_ns(begin: &Usage, end: &Usage, cpu_ns: u64) -> Option<u64> {
    let user = end.user_ticks.saturating_sub(begin.user_ticks);
    let system = end.system_ticks.saturating_sub(begin.system_ticks);
    let total = (user + system) as f64;
    let tick_ns = 1e9 / process::ticks_per_second() as f64;
    // Ten ticks tell a tenth; with fewer the split would be noise.
    (total * tick_ns >= 10.0 * tick_ns).then(|| (cpu_ns as f64 * user as f64 / total) as u64)
}

/// The requests that give every key of a key space a value of `elements` parts, each of `value_bytes`.
fn fills(kind: Kind, elements: u64, value_bytes: usize) -> Vec<Workload> {
    let shape = |args: &[String], expect| Workload::new(vec![Shape::new(args, value_bytes, true, expect)]);
    // Members must differ and have the length asked for, as far as their number allows.
    let member = |index: u64| format!("{index:0value_bytes$}");
    let element = |index: u64| match kind {
        Kind::String | Kind::List => vec!["__data__".to_owned()],
        Kind::Hash => vec![format!("f{index}"), "__data__".to_owned()],
        Kind::Set => vec![member(index)],
        Kind::Zset => vec![index.to_string(), member(index)],
        Kind::Stream => vec!["field".to_owned(), "__data__".to_owned()],
    };
    let head: Vec<String> = match kind {
        Kind::String => vec!["SET".to_owned(), "__key__".to_owned()],
        Kind::List => vec!["RPUSH".to_owned(), "__key__".to_owned()],
        Kind::Hash => vec!["HSET".to_owned(), "__key__".to_owned()],
        Kind::Set => vec!["SADD".to_owned(), "__key__".to_owned()],
        Kind::Zset => vec!["ZADD".to_owned(), "__key__".to_owned()],
        Kind::Stream => vec!["XADD".to_owned(), "__key__".to_owned(), "*".to_owned()],
    };
    let (per_command, expect) = match kind {
        Kind::String => (1, Expect::Simple("OK")),
        Kind::Stream => (1, Expect::Anything),
        _ => (FILL_ARGS_MAX as u64, Expect::Integer),
    };
    let mut workloads = Vec::new();
    let mut from = 0;
    while from < elements {
        let to = elements.min(from + per_command);
        let args: Vec<String> = head.iter().cloned().chain((from..to).flat_map(element)).collect();
        workloads.push(shape(&args, expect.clone()));
        from = to;
    }
    workloads
}

/// Adds the server's last words to whatever is no error that it answered.
fn told<T>(result: anyhow::Result<T>, server: &RunningServer) -> anyhow::Result<T> {
    result.map_err(|error| {
        if error.is::<ServerError>() {
            error
        } else {
            error.context(format!("the server printed:\n{}", server.log_end()))
        }
    })
}

#[derive(Default)]
struct Counters {
    usage: Usage,
    ring: BTreeMap<String, u64>,
}

/// Reads the server's usage at both ends of the timed part.
struct UsageWatch<'a> {
    server: &'a RunningServer,
    begin: Counters,
    end: Counters,
}

impl Watch for UsageWatch<'_> {
    fn timed_part_begins(&mut self) -> anyhow::Result<()> {
        // What reading costs the server stays outside.
        self.begin.ring = self.server.ring_counters()?;
        self.begin.usage = self.server.usage()?;
        Ok(())
    }

    fn timed_part_ends(&mut self) -> anyhow::Result<()> {
        self.end.usage = self.server.usage()?;
        self.end.ring = self.server.ring_counters()?;
        Ok(())
    }
}
