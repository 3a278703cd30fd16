//! Scenarios: TOML files that name the servers of a comparison and what is run on them.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context, bail, ensure};
use serde::Deserialize;

use crate::case::{Case, Kind, LoadCase, Transport, VALUE_LEN};
use crate::cli::CompareArgs;
use crate::server_process::ServerSpec;

/// The scenarios that come with this program.
const SHIPPED: [(&str, &str); 8] = [
    ("smoke", include_str!("../../../benches/scenarios/smoke.toml")),
    ("headline", include_str!("../../../benches/scenarios/headline.toml")),
    ("full", include_str!("../../../benches/scenarios/full.toml")),
    ("collections", include_str!("../../../benches/scenarios/collections.toml")),
    ("io-threads", include_str!("../../../benches/scenarios/io-threads.toml")),
    ("main-thread", include_str!("../../../benches/scenarios/main-thread.toml")),
    ("memory", include_str!("../../../benches/scenarios/memory.toml")),
    ("tls", include_str!("../../../benches/scenarios/tls.toml")),
];
/// A case with more than this in flight would need as much memory on both sides, and measure that.
const IN_FLIGHT_BYTES_MAX: usize = 256 << 20;
const CASES_MAX: usize = 100_000;
const ROUNDS_MAX: u32 = 1000;
const SECONDS_MAX: f64 = 86_400.0;
const KEYS_MAX: u64 = 100_000_000;

/// A scenario as its file says it, with what the command line says instead.
#[derive(Debug)]
pub(crate) struct Scenario {
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) rounds: u32,
    pub(crate) seconds: f64,
    pub(crate) warmup_seconds: f64,
    pub(crate) keys: u64,
    pub(crate) syscalls: bool,
    pub(crate) load_cores: Vec<usize>,
    /// The first is the baseline.
    pub(crate) servers: Vec<ServerSpec>,
    pub(crate) cases: Vec<Case>,
    /// Cases that would need too much memory, and why.
    pub(crate) left_out: Vec<(Case, String)>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    title: String,
    rounds: u32,
    #[serde(default = "one_second")]
    seconds: f64,
    #[serde(default)]
    warmup_seconds: f64,
    #[serde(default = "default_keys")]
    keys: u64,
    #[serde(default)]
    syscalls: bool,
    server_cores: Vec<usize>,
    load_cores: Vec<usize>,
    servers: Vec<ServerEntry>,
    #[serde(default)]
    loads: Vec<LoadEntry>,
    #[serde(default)]
    memory: Vec<MemoryEntry>,
    #[serde(default)]
    idle: Vec<IdleEntry>,
}

fn one_second() -> f64 {
    1.0
}

fn default_keys() -> u64 {
    100_000
}

fn one() -> Vec<usize> {
    vec![1]
}

fn value_bytes() -> Vec<usize> {
    vec![VALUE_LEN]
}

fn tcp() -> Vec<Transport> {
    vec![Transport::Tcp]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ServerEntry {
    name: String,
    binary: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    environment: BTreeMap<String, String>,
    cores: Option<Vec<usize>>,
    #[serde(default)]
    optional: bool,
}

/// Every combination of what the lists say is a case.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct LoadEntry {
    tests: Vec<String>,
    clients: Vec<usize>,
    #[serde(default = "one")]
    pipeline: Vec<usize>,
    #[serde(default = "value_bytes")]
    value_bytes: Vec<usize>,
    #[serde(default = "tcp")]
    transport: Vec<Transport>,
    #[serde(default = "one")]
    threads: Vec<usize>,
    /// Requests per second; without them the loop is closed.
    #[serde(default)]
    rates: Vec<u64>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MemoryEntry {
    kinds: Vec<Kind>,
    keys: u64,
    #[serde(default = "one_element")]
    elements: Vec<u64>,
    #[serde(default = "value_bytes")]
    value_bytes: Vec<usize>,
}

fn one_element() -> Vec<u64> {
    vec![1]
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct IdleEntry {
    connections: Vec<usize>,
    #[serde(default = "tcp")]
    transport: Vec<Transport>,
}

/// The text of a shipped scenario, or of a file, and its name.
pub(crate) fn text(scenario: &str) -> anyhow::Result<(String, String)> {
    if let Some((name, text)) = SHIPPED.iter().find(|(name, _)| *name == scenario) {
        return Ok(((*name).to_owned(), (*text).to_owned()));
    }
    let names: Vec<&str> = SHIPPED.iter().map(|(name, _)| *name).collect();
    let text = fs::read_to_string(scenario)
        .with_context(|| format!("reading {scenario} (the scenarios that come along are {})", names.join(", ")))?;
    let name = std::path::Path::new(scenario).file_stem().unwrap_or_default();
    Ok((name.to_string_lossy().into_owned(), text))
}

/// Reads a scenario and applies the command line to it.
pub(crate) fn read(args: &CompareArgs) -> anyhow::Result<Scenario> {
    let (name, text) = text(&args.scenario)?;
    let environment = |variable: &str| std::env::var(variable).ok();
    let mut scenario = parse(&name, &text, &environment).with_context(|| format!("in {}", args.scenario))?;
    scenario.rounds = args.rounds.unwrap_or(scenario.rounds);
    scenario.seconds = args.seconds.unwrap_or(scenario.seconds);
    if let Some(cores) = &args.load_cores {
        scenario.load_cores.clone_from(&cores.0);
    }
    for server in &mut scenario.servers {
        if let Some(cores) = &args.server_cores {
            server.cores.clone_from(&cores.0);
        }
    }
    if !args.servers.is_empty() {
        for name in &args.servers {
            ensure!(scenario.servers.iter().any(|server| server.name == *name), "there is no server {name}");
        }
        scenario.servers.retain(|server| args.servers.contains(&server.name));
    }
    if !args.cases.is_empty() {
        let is_wanted = |case: &Case| args.cases.iter().any(|text| case.to_string().contains(text.as_str()));
        scenario.cases.retain(is_wanted);
        scenario.left_out.retain(|(case, _)| is_wanted(case));
        ensure!(!scenario.cases.is_empty(), "no case's name contains {}", args.cases.join(" or "));
    }
    Ok(scenario)
}

fn parse(name: &str, text: &str, environment: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<Scenario> {
    let file: File = toml::from_str(text)?;
    ensure!((1..=ROUNDS_MAX).contains(&file.rounds), "rounds must be 1 to {ROUNDS_MAX}");
    ensure!((0.0..=SECONDS_MAX).contains(&file.seconds), "seconds must be at most {SECONDS_MAX}");
    ensure!((0.0..=SECONDS_MAX).contains(&file.warmup_seconds), "warmup_seconds must be at most {SECONDS_MAX}");
    ensure!((1..=KEYS_MAX).contains(&file.keys), "keys must be 1 to {KEYS_MAX}");
    ensure!(!file.servers.is_empty(), "there is no server");
    let mut servers: Vec<ServerSpec> = Vec::new();
    for entry in &file.servers {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
        ensure!(
            !entry.name.is_empty() && entry.name.chars().all(is_plain),
            "the server {:?}: names have letters, digits, '-', '_' and '.'",
            entry.name
        );
        ensure!(servers.iter().all(|server| server.name != entry.name), "two servers are named {}", entry.name);
        servers.push(ServerSpec {
            name: entry.name.clone(),
            binary: expand(&entry.binary, environment)?.into(),
            args: entry.args.iter().map(|arg| expand(arg, environment)).collect::<anyhow::Result<_>>()?,
            environment: entry.environment.clone(),
            cores: entry.cores.clone().unwrap_or_else(|| file.server_cores.clone()),
            optional: entry.optional,
            tls: cases(&file).iter().any(|case| case.transport() == Transport::Tls),
        });
    }
    ensure!(!servers[0].optional, "the first server is the baseline and cannot be optional");
    let mut scenario = Scenario {
        name: name.to_owned(),
        title: file.title.clone(),
        rounds: file.rounds,
        seconds: file.seconds,
        warmup_seconds: file.warmup_seconds,
        keys: file.keys,
        syscalls: file.syscalls,
        load_cores: file.load_cores.clone(),
        servers,
        cases: Vec::new(),
        left_out: Vec::new(),
    };
    for case in cases(&file) {
        // Reading a name checks every part of it.
        let case: Case = case.to_string().parse().map_err(anyhow::Error::msg)?;
        if scenario.cases.contains(&case) {
            continue;
        }
        match &case {
            Case::Load(load) if load.bytes_in_flight() > IN_FLIGHT_BYTES_MAX => {
                let mib = load.bytes_in_flight() >> 20;
                scenario.left_out.push((case, format!("it would have {mib} MiB in flight")));
            }
            _ => scenario.cases.push(case),
        }
        ensure!(scenario.cases.len() <= CASES_MAX, "there are more than {CASES_MAX} cases");
    }
    ensure!(!scenario.cases.is_empty(), "there is nothing to run");
    Ok(scenario)
}

fn cases(file: &File) -> Vec<Case> {
    let mut cases = Vec::new();
    for entry in &file.loads {
        entry.combine(&mut cases);
    }
    for entry in &file.memory {
        for &kind in &entry.kinds {
            for &elements in &entry.elements {
                for &value_bytes in &entry.value_bytes {
                    let elements = if kind == Kind::String { 1 } else { elements };
                    cases.push(Case::Memory { kind, keys: entry.keys, elements, value_bytes });
                }
            }
        }
    }
    for entry in &file.idle {
        for &transport in &entry.transport {
            cases.extend(entry.connections.iter().map(|&connections| Case::Idle { connections, transport }));
        }
    }
    cases
}

impl LoadEntry {
    /// Lengths of values are the outermost loop: a server's keys are stored anew for each.
    fn combine(&self, cases: &mut Vec<Case>) {
        let rates: Vec<Option<u64>> =
            if self.rates.is_empty() { vec![None] } else { self.rates.iter().copied().map(Some).collect() };
        for &value_bytes in &self.value_bytes {
            for &transport in &self.transport {
                for test in &self.tests {
                    for &threads in &self.threads {
                        for &pipeline in &self.pipeline {
                            for &clients in &self.clients {
                                for &rate in &rates {
                                    let test = test.clone();
                                    cases.push(Case::Load(LoadCase {
                                        test,
                                        clients,
                                        pipeline,
                                        value_bytes,
                                        transport,
                                        threads,
                                        rate,
                                    }));
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// Replaces `${NAME}` and `${NAME:-text}` by the environment's variables.
fn expand(text: &str, environment: &dyn Fn(&str) -> Option<String>) -> anyhow::Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        out.push_str(before);
        let Some((inner, after)) = after.split_once('}') else { bail!("no }} after ${{ in {text:?}") };
        let (name, default) = match inner.split_once(":-") {
            Some((name, default)) => (name, Some(default)),
            None => (inner, None),
        };
        match (environment(name).filter(|value| !value.is_empty()), default) {
            (Some(value), _) => out.push_str(&value),
            (None, Some(default)) => out.push_str(default),
            (None, None) => bail!("the environment has no {name}"),
        }
        rest = after;
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nothing(_: &str) -> Option<String> {
        None
    }

    #[test]
    fn shipped_scenarios_are_sound() {
        for (name, text) in SHIPPED {
            let scenario = parse(name, text, &nothing).unwrap_or_else(|error| panic!("{name}: {error:#}"));
            assert!(!scenario.title.is_empty());
        }
        let headline = parse("headline", SHIPPED[1].1, &nothing).unwrap();
        assert_eq!(headline.servers.len(), 4);
        assert!(headline.cases.contains(&"get-c50-p16".parse().unwrap()));
        let full = parse("full", SHIPPED[2].1, &nothing).unwrap();
        // 13 tests without values, and 7 with six lengths: each with 3 pipelines, 4 numbers of clients, 2 transports.
        let loads = full.cases.iter().chain(full.left_out.iter().map(|(case, _)| case));
        assert_eq!(loads.filter(|case| matches!(case, Case::Load(_))).count(), (13 + 7 * 6) * 3 * 4 * 2);
        assert!(full.left_out.iter().any(|(case, _)| case.to_string() == "set-c5000-p64-d1048576"));
    }

    #[test]
    fn mistakes_are_told() {
        let good = "title='t'\nrounds=1\nserver_cores=[0]\nload_cores=[0]\n[[servers]]\nname='a'\nbinary='a'\n[[loads]]\ntests=['get']\nclients=[1]\n";
        assert!(parse("good", good, &nothing).is_ok());
        for (from, to, complaint) in [
            ("rounds=1", "rounds=0", "rounds must be"),
            ("rounds=1", "rounds=1\nspeed=2", "unknown field"),
            ("'get'", "'zap'", "zap-c1-p1"),
            ("name='a'", "name='a/b'", "names have letters"),
            ("binary='a'", "binary='${NOWHERE}'", "no NOWHERE"),
            ("clients=[1]", "clients=[]", "nothing to run"),
            ("binary='a'", "binary='a'\noptional=true", "cannot be optional"),
        ] {
            let error = parse("bad", &good.replace(from, to), &nothing).unwrap_err();
            assert!(format!("{error:#}").contains(complaint), "{error:#}");
        }
    }

    #[test]
    fn variables_are_replaced() {
        let environment = |name: &str| (name == "A").then(|| "1".to_owned());
        assert_eq!(expand("x${A}y${B:-2}z", &environment).unwrap(), "x1y2z");
        assert!(expand("${B}", &environment).is_err());
        assert!(expand("${A", &environment).is_err());
    }
}
