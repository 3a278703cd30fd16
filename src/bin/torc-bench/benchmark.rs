//! A load as asked for on the command line: the server, the tests one after the other, and what is printed of them.

#![forbid(unsafe_code)]

use std::io::{self, Read, Write};
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use serde_json::json;

use crate::cli::{LoadArgs, ServerArgs};
use crate::endpoint::{Address, Endpoint};
use crate::keys::{KeyOrder, KeySpace};
use crate::plan::{Limit, NoWatch, Outcome, Plan, Rate};
use crate::print::{self, Form, Logged, Terms};
use crate::progress::Progress;
use crate::request::Workload;
use crate::ring::process;
use crate::tls::{TlsOptions, TlsSetup};
use crate::{SPARE_DESCRIPTORS, clock, crew, suite};

/// How a key space is stored.
const STORE_CONNECTIONS: usize = 8;
const STORE_PIPELINE: usize = 64;
/// A store sends no more than this at a time, or long values would need as much memory on both sides.
const STORE_BYTES_MAX: usize = 16 << 20;
/// Length of an interval in a log of latencies.
const LOG_INTERVAL: Duration = Duration::from_secs(1);
/// How often idle connections are looked at.
const IDLE_LOOK: Duration = Duration::from_millis(200);

/// Runs what `args` ask for. An error if anything was answered with an error.
pub(crate) fn run(args: &LoadArgs) -> anyhow::Result<()> {
    process::raise_descriptor_limit(args.connections + SPARE_DESCRIPTORS).context("raising the descriptor limit")?;
    let server = Server::of(&args.server)?;
    if args.idle {
        return idle(args, &server);
    }
    let tests = tests(args)?;
    let mut benchmark = Benchmark { args, server, failed: 0, documents: Vec::new(), logged: Vec::new() };
    let mut out = io::stdout();
    print::head(benchmark.form(), &mut out)?;
    if args.load {
        let plan = benchmark.plan(suite::store(&args.data));
        store(&plan).context("storing the key space")?;
    }
    loop {
        for (title, workload) in &tests {
            benchmark.test(title, workload.clone(), &mut out)?;
        }
        if !args.endless {
            break;
        }
    }
    print::foot(benchmark.form(), &benchmark.document(), &mut out)?;
    if let Some(path) = &args.hdr_log {
        print::hdr_log(path, &benchmark.logged)?;
    }
    ensure!(benchmark.failed == 0, "{} of {} tests failed", benchmark.failed, tests.len());
    Ok(())
}

/// Stores every key of the plan's key space by the plan's workload.
pub(crate) fn store(plan: &Plan) -> anyhow::Result<()> {
    let connections = STORE_CONNECTIONS;
    let pipeline = (STORE_BYTES_MAX / connections / plan.workload.longest()).clamp(1, STORE_PIPELINE);
    let store = Plan {
        connections,
        pipeline,
        keys: KeySpace::in_order(plan.keys.count),
        warmup: Duration::ZERO,
        limit: Limit::Requests(plan.keys.count),
        rate: None,
        threads: 1,
        keep_alive: true,
        keep_going: false,
        interval: None,
        ..plan.clone()
    };
    crew::run(&store, &mut NoWatch)?.require_no_failures()
}

/// Where the server is and what it is told first.
struct Server {
    endpoint: Endpoint,
    greeting: Vec<Vec<String>>,
}

impl Server {
    fn of(args: &ServerArgs) -> anyhow::Result<Server> {
        let mut target = Target {
            host: args.host.clone(),
            port: args.port,
            user: args.user.clone(),
            password: args.password.clone(),
            database: args.dbnum,
            tls: args.tls,
        };
        if let Some(uri) = &args.uri {
            target = Target::parse(uri, args)?;
        }
        let address = match &args.socket {
            Some(path) => Address::Unix(path.clone()),
            None => Address::Tcp(resolve(&target.host, target.port)?),
        };
        let options = TlsOptions {
            ca_file: args.cacert.clone(),
            ca_folder: args.cacertdir.clone(),
            certificate: args.cert.clone(),
            key: args.key.clone(),
            insecure: args.insecure,
            server_name: args.sni.clone(),
            ciphers: args.tls_ciphers.clone(),
            suites: args.tls_ciphersuites.clone(),
        };
        let tls = if target.tls { Some(TlsSetup::new(&options, &target.host)?) } else { None };
        Ok(Server { endpoint: Endpoint { address, tls }, greeting: target.greeting(args) })
    }
}

/// What a URI says, or the options that it stands for.
#[derive(Debug, PartialEq, Eq)]
struct Target {
    host: String,
    port: u16,
    user: Option<String>,
    password: Option<String>,
    database: u32,
    tls: bool,
}

impl Target {
    fn parse(uri: &str, args: &ServerArgs) -> anyhow::Result<Target> {
        let expected = || format!("{uri:?} is not like redis://USER:PASSWORD@HOST:PORT/DB");
        let (scheme, rest) = uri.split_once("://").with_context(expected)?;
        let tls = match scheme {
            "redis" => args.tls,
            "rediss" => true,
            _ => bail!("{}", expected()),
        };
        let (authority, database) = rest.split_once('/').unwrap_or((rest, ""));
        let (login, place) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = match login.split_once(':') {
            Some((user, password)) => (user, password),
            None => ("", login),
        };
        // An IPv6 address stands in brackets.
        let (host, port) = match place.rsplit_once(':') {
            Some((host, port)) if !port.ends_with(']') => (host, port),
            _ => (place, ""),
        };
        let text = |text: &str| -> anyhow::Result<Option<String>> {
            if text.is_empty() { Ok(None) } else { Ok(Some(percent_decoded(text).with_context(expected)?)) }
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        Ok(Target {
            host: if host.is_empty() { args.host.clone() } else { host.to_owned() },
            port: if port.is_empty() { args.port } else { port.parse().with_context(expected)? },
            user: text(user)?,
            password: text(password)?,
            database: if database.is_empty() { 0 } else { database.parse().with_context(expected)? },
            tls,
        })
    }

    fn greeting(&self, args: &ServerArgs) -> Vec<Vec<String>> {
        let command = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<String>>();
        let mut greeting = Vec::new();
        match (&self.user, &self.password) {
            (Some(user), Some(password)) => greeting.push(command(&["AUTH", user, password])),
            (None, Some(password)) => greeting.push(command(&["AUTH", password])),
            _ => {}
        }
        if args.resp3 {
            greeting.push(command(&["HELLO", "3"]));
        }
        if self.database != 0 {
            greeting.push(command(&["SELECT", &self.database.to_string()]));
        }
        if args.enable_tracking {
            greeting.push(command(&["CLIENT", "TRACKING", "ON"]));
        }
        greeting
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        if *first == b'%' {
            let digits = std::str::from_utf8(tail.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &tail[2..];
        } else {
            bytes.push(*first);
            rest = tail;
        }
    }
    String::from_utf8(bytes).ok()
}

fn resolve(host: &str, port: u16) -> anyhow::Result<SocketAddr> {
    let mut addresses = (host, port).to_socket_addrs().with_context(|| format!("looking up {host}"))?;
    addresses.next().with_context(|| format!("{host} has no address"))
}

/// Titles and requests of what is to be run.
fn tests(args: &LoadArgs) -> anyhow::Result<Vec<(String, Workload)>> {
    let numbered = args.keys.is_some();
    if !args.command.is_empty() || args.stdin {
        let mut command: Vec<Vec<u8>> = args.command.iter().map(|arg| arg.clone().into_bytes()).collect();
        if args.stdin {
            let mut last = Vec::new();
            io::stdin().read_to_end(&mut last).context("reading standard input")?;
            command.push(last);
        }
        return Ok(vec![(args.command.join(" "), suite::own_command(&command, &args.data, numbered)?)]);
    }
    if let Some(ratio) = args.ratio {
        let title = format!("MIX ({} GET to {} SET)", ratio.reads, ratio.writes);
        return Ok(vec![(title, ratio.workload(&args.data, numbered, args.load))]);
    }
    let tests = suite::select(args.tests.as_deref())?;
    Ok(tests.iter().map(|test| (test.title.to_owned(), test.workload(&args.data, numbered, args.load))).collect())
}

struct Benchmark<'a> {
    args: &'a LoadArgs,
    server: Server,
    failed: usize,
    documents: Vec<serde_json::Value>,
    logged: Vec<Logged>,
}

impl Benchmark<'_> {
    fn form(&self) -> Form {
        match self.args {
            LoadArgs { json: true, .. } => Form::Json,
            LoadArgs { csv: true, .. } => Form::Csv,
            LoadArgs { quiet: true, .. } => Form::Quiet,
            _ => Form::Text,
        }
    }

    fn plan(&self, workload: Workload) -> Plan {
        let args = self.args;
        let order = match args.zipfian {
            _ if args.sequential => KeyOrder::Sequential,
            Some(theta) => KeyOrder::Zipfian { theta },
            None => KeyOrder::Random,
        };
        Plan {
            endpoint: self.server.endpoint.clone(),
            greeting: self.server.greeting.clone(),
            workload,
            connections: args.connections as usize,
            pipeline: args.pipeline as usize,
            keys: KeySpace { count: args.keys.unwrap_or(1), order, seed: args.seed },
            warmup: Duration::from_secs_f64(args.warmup),
            limit: match args.duration {
                Some(seconds) => Limit::Time(Duration::from_secs_f64(seconds)),
                None => Limit::Requests(args.requests),
            },
            rate: args.rate.map(|per_second| Rate { per_second, poisson: args.poisson }),
            threads: args.threads as usize,
            cores: args.cores.as_ref().map(|cores| cores.0.clone()).unwrap_or_default(),
            keep_alive: args.keep_alive == 1,
            keep_going: args.keep_going,
            interval: args.hdr_log.as_ref().map(|_| LOG_INTERVAL),
        }
    }

    /// Runs one test and prints it. What the server answers with an error is told, counted, and no reason to stop.
    fn test(&mut self, title: &str, workload: Workload, out: &mut dyn Write) -> anyhow::Result<()> {
        let plan = self.plan(workload);
        let began = clock::since_1970() + plan.warmup;
        let mut progress = Progress::new(title, plan.limit);
        let result = crew::run(&plan, &mut progress);
        progress.end();
        let outcome = match result {
            Ok(outcome) => outcome,
            Err(error) => {
                // An error of the server concerns this test; anything else, all of them.
                let Some(answer) = error.downcast_ref::<crew::ServerError>() else {
                    return Err(error.context(title.to_owned()));
                };
                eprintln!("torc-bench: {title}: error from server: {answer}");
                self.documents.push(json!({ "test": title, "error": answer.to_string() }));
                self.failed += 1;
                return Ok(());
            }
        };
        print::test(self.form(), usize::from(self.args.precision), title, &self.terms(), &outcome, out)?;
        out.flush()?;
        self.documents.push(print::json_of(title, &outcome));
        if let Some(first) = &outcome.first_failure {
            eprintln!("torc-bench: {title}: {} errors, the first: {first}", outcome.failures);
            self.failed += 1;
        }
        self.keep(title, began, outcome);
        Ok(())
    }

    fn keep(&mut self, title: &str, began: Duration, outcome: Outcome) {
        if self.args.hdr_log.is_some() {
            self.logged.push(Logged { title: title.to_owned(), began, outcome });
        }
    }

    fn terms(&self) -> Terms {
        Terms {
            connections: self.args.connections as usize,
            pipeline: self.args.pipeline as usize,
            threads: self.args.threads as usize,
            value_bytes: self.args.data.to_string(),
            rate: self.args.rate,
        }
    }

    fn document(&self) -> serde_json::Value {
        let args = self.args;
        json!({
            "tool": format!("torc-bench {}", env!("CARGO_PKG_VERSION")),
            "server": self.server.endpoint.to_string(),
            "settings": {
                "connections": args.connections,
                "pipeline": args.pipeline,
                "threads": args.threads,
                "keys": args.keys,
                "order": if args.sequential { "sequential" } else if args.zipfian.is_some() { "zipfian" } else { "uniform" },
                "zipfian_theta": args.zipfian,
                "value_bytes": args.data.to_string(),
                "rate": args.rate,
                "warmup_seconds": args.warmup,
                "keep_alive": args.keep_alive == 1,
                "tls": self.server.endpoint.tls.is_some(),
            },
            "tests": self.documents,
        })
    }
}

/// Opens connections and holds them.
fn idle(args: &LoadArgs, server: &Server) -> anyhow::Result<()> {
    let mut connections = Vec::new();
    for number in 1..=args.connections {
        let dialed = server
            .endpoint
            .connect_and_greet(&server.greeting)
            .with_context(|| format!("opening connection {number} to {}", server.endpoint))?;
        connections.push(dialed);
    }
    println!("{} idle connections to {}", connections.len(), server.endpoint);
    let start = clock::now();
    loop {
        if args.duration.is_some_and(|seconds| start.elapsed().as_secs_f64() >= seconds) {
            break;
        }
        std::thread::sleep(IDLE_LOOK);
    }
    for (number, connection) in connections.iter_mut().enumerate() {
        let answer = connection.ask(&["PING"]).with_context(|| format!("PING on connection {}", number + 1))?;
        ensure!(answer == "+PONG", "PING on connection {} was answered {answer:?}", number + 1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    fn target(uri: &str) -> anyhow::Result<Target> {
        let args = LoadArgs::try_parse_from(["torc-bench", "-u", uri]).unwrap();
        Target::parse(uri, &args.server)
    }

    #[test]
    fn uris_are_taken_apart() {
        let full = target("rediss://me:p%40ss@db.example:7000/5").unwrap();
        assert_eq!((full.host.as_str(), full.port, full.database, full.tls), ("db.example", 7000, 5, true));
        assert_eq!((full.user.as_deref(), full.password.as_deref()), (Some("me"), Some("p@ss")));
        let short = target("redis://secret@[::1]").unwrap();
        assert_eq!((short.host.as_str(), short.port), ("::1", 6379));
        assert_eq!((short.user, short.password.as_deref()), (None, Some("secret")));
        assert_eq!(target("redis://").unwrap().host, "127.0.0.1");
        for uri in ["db:6379", "http://db", "redis://db:x", "redis://db/x", "redis://%zz@db"] {
            assert!(target(uri).is_err(), "{uri}");
        }
    }

    #[test]
    fn a_connection_greets_in_order() {
        let args = LoadArgs::try_parse_from("torc-bench -a pw --user me -3 --dbnum 2".split(' ')).unwrap();
        let server = Server::of(&args.server).unwrap();
        let greeting: Vec<String> = server.greeting.iter().map(|command| command.join(" ")).collect();
        assert_eq!(greeting, ["AUTH me pw", "HELLO 3", "SELECT 2"]);
    }
}
