//! torc-profile: what a request costs a server, in system calls, switches and CPU time.

#![forbid(unsafe_code)]

mod activity;
mod cli;
mod client;
mod clock;
mod flame;
mod host;
mod interrupt;
mod load;
mod measure;
mod perf;
mod process;
mod profile;
mod readme;
mod ring_buffer;
mod stacks;
mod strace;
mod table;
mod target;
mod tracefs;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use clap::Parser;

use crate::cli::{Action, Cli, RunArgs};
use crate::client::Login;
use crate::host::Host;
use crate::interrupt::{Interrupt, Interrupted};
use crate::load::{Load, LoadSpec};
use crate::measure::Measurer;
use crate::profile::{Document, Profile, Sample, Server};
use crate::stacks::Folded;
use crate::target::{Target, TargetSpec};

/// Servers that are examined together.
const SERVERS_MAX: usize = 16;
/// The load where servers are started and none was named.
const DEFAULT_LOAD: &str = "get -c 50 -r 100000 -d 64 --load";
/// Rounds where servers are compared.
const ROUNDS_COMPARED: u32 = 3;
/// As shells say it of a program that Ctrl-C ended.
const STATUS_INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = match &cli.action {
        Some(Action::Readme(args)) => readme::run(args),
        None => run(&cli.run),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("torc-profile: {error:#}");
            if error.is::<Interrupted>() { ExitCode::from(STATUS_INTERRUPTED) } else { ExitCode::FAILURE }
        }
    }
}

fn run(args: &RunArgs) -> anyhow::Result<()> {
    let interrupt = Interrupt::install()?;
    let scratch = Scratch::create()?;
    let host = Host::examine(&scratch.0, &interrupt)?;
    if args.check {
        print!("{}", host.report());
        return Ok(());
    }
    let specs = specs(args)?;
    let loads = loads(args, &specs)?;
    let login = Login { user: args.user.clone(), password: args.password.clone() };
    let mut targets = Vec::new();
    for (index, spec) in specs.iter().enumerate() {
        let address = args.address().filter(|_| index == 0);
        let printed = scratch.0.join(format!("server-{index}"));
        let mut target = Target::open(spec, address.as_ref(), &login, &printed, &interrupt)?;
        if let Some(name) = args.name.get(index) {
            target.name.clone_from(name);
        }
        targets.push(target);
    }
    let mut session = Session { args, login, scratch: &scratch.0, interrupt: &interrupt, targets, flames: Vec::new() };
    let document = session.measure(&host, &loads)?;
    write(args, &document)?;
    session.draw(&document)
}

/// The servers that were asked for.
fn specs(args: &RunArgs) -> anyhow::Result<Vec<TargetSpec>> {
    let first = match (args.pid, args.command.is_empty()) {
        (Some(pid), _) => TargetSpec::Pid(pid),
        (None, false) => TargetSpec::Command(args.command.clone()),
        (None, true) => bail!("name a server: --pid NUMBER, or -- COMMAND to start one; --help says more"),
    };
    let mut specs = vec![first];
    for text in &args.vs {
        specs.push(TargetSpec::parse(text)?);
    }
    ensure!(specs.len() <= SERVERS_MAX, "more than {SERVERS_MAX} servers");
    ensure!(args.name.len() <= specs.len(), "more names than servers");
    Ok(specs)
}

/// The loads that were asked for; none means that the servers have theirs already.
fn loads(args: &RunArgs, specs: &[TargetSpec]) -> anyhow::Result<Vec<LoadSpec>> {
    let started = specs.iter().any(|spec| matches!(spec, TargetSpec::Command(_)));
    if args.load.is_empty() && started {
        return Ok(vec![LoadSpec::parse(DEFAULT_LOAD)?]);
    }
    args.load.iter().map(|text| LoadSpec::parse(text)).collect()
}

/// A folder for the tools' files; removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn create() -> anyhow::Result<Scratch> {
        let path = std::env::temp_dir().join(format!("torc-profile-{}", std::process::id()));
        fs::create_dir(&path).with_context(|| format!("creating {}", path.display()))?;
        Ok(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Nothing depends on it; what stays behind is in the folder for such things.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Everything of one run.
struct Session<'a> {
    args: &'a RunArgs,
    login: Login,
    scratch: &'a Path,
    interrupt: &'a Interrupt,
    targets: Vec<Target>,
    /// By profile.
    flames: Vec<Folded>,
}

impl Session<'_> {
    fn measure(&mut self, host: &Host, loads: &[LoadSpec]) -> anyhow::Result<Document> {
        let machine = host::machine();
        let mut measurer = Measurer {
            host,
            interrupt: self.interrupt,
            scratch: self.scratch,
            duration: Duration::from_secs_f64(self.args.duration),
            rate_hz: self.args.frequency,
            level: self.args.level,
            notes: BTreeSet::new(),
        };
        let mut profiles = Vec::new();
        if loads.is_empty() {
            profiles = self.under(&mut measurer, None)?;
        }
        for load in loads {
            profiles.extend(self.under(&mut measurer, Some(load))?);
        }
        let servers = self.targets.iter().map(|target| Server {
            name: target.name.clone(),
            version: target.version.clone(),
            command: target.command.clone(),
        });
        Ok(Document {
            tool: format!("torc-profile {}", env!("CARGO_PKG_VERSION")),
            measured_at: clock::unix_time_s(),
            machine,
            seconds: self.args.duration,
            servers: servers.collect(),
            profiles,
            notes: measurer.notes.into_iter().collect(),
        })
    }

    /// All rounds under one load, the servers in turns.
    fn under(&mut self, measurer: &mut Measurer<'_>, spec: Option<&LoadSpec>) -> anyhow::Result<Vec<Profile>> {
        let tool = spec.map(|_| load::find_tool()).transpose()?;
        let rounds = self.args.rounds.unwrap_or(if self.targets.len() > 1 { ROUNDS_COMPARED } else { 1 });
        let mut samples = vec![Vec::new(); self.targets.len()];
        let mut folded = vec![Folded::new(); self.targets.len()];
        for round in 0..rounds {
            for (index, target) in self.targets.iter_mut().enumerate() {
                let under = spec.map_or_else(String::new, |spec| format!(", {}", spec.text));
                eprintln!("torc-profile: round {} of {rounds}: {}{under}", round + 1, target.name);
                let mut load = None;
                if let Some((spec, tool)) = spec.zip(tool.as_deref()) {
                    let (address, login) = (&target.address, &self.login);
                    if round == 0 {
                        load::fill(tool, spec, address, login, self.scratch, self.interrupt)?;
                    }
                    load = Some(Load::run(tool, spec, address, login, self.scratch, self.interrupt)?);
                }
                samples[index].push(measurer.round(target, load.as_mut(), &mut folded[index])?);
            }
        }
        self.flames.extend(folded);
        let profiles = samples.into_iter().enumerate().map(|(server, rounds)| {
            let median = Sample::median(&rounds).context("no round was measured")?;
            Ok(Profile { server, load: spec.map(|spec| spec.text.clone()), median, rounds })
        });
        profiles.collect()
    }

    /// Draws the flame graphs that were asked for.
    fn draw(&self, document: &Document) -> anyhow::Result<()> {
        let Some(path) = &self.args.flamegraph else { return Ok(()) };
        for (profile, folded) in document.profiles.iter().zip(&self.flames) {
            let server = &document.servers[profile.server];
            let mut title = format!("{} {}", server.name, server.version);
            title.extend(profile.load.iter().map(|load| format!(": {load}")));
            ensure!(!folded.is_empty(), "no flame graph of {title}: no stacks were sampled");
            let sees_kernel = profile.median.cpu_split.as_ref().is_some_and(|split| split.sees_kernel);
            let svg = flame::draw(&title, folded, sees_kernel.then_some(profile.median.cpu_ns));
            let path = if self.flames.len() == 1 { path.clone() } else { named(path, &title) };
            fs::write(&path, svg).with_context(|| format!("writing {}", path.display()))?;
            eprintln!("torc-profile: {}", path.display());
        }
        Ok(())
    }
}

/// A file beside `path` with what is drawn in its name.
fn named(path: &Path, title: &str) -> PathBuf {
    let words = title.split(|char: char| !char.is_ascii_alphanumeric() && char != '.').filter(|word| !word.is_empty());
    let words = words.collect::<Vec<_>>().join("-").to_lowercase();
    let stem = path.file_stem().map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    path.with_file_name(format!("{stem}-{words}.svg"))
}

/// Prints the table or the JSON, and writes the file that was asked for.
fn write(args: &RunArgs, document: &Document) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(document)?;
    if args.json {
        println!("{json}");
    } else {
        print!("{}", table::render(document));
    }
    if let Some(path) = &args.output {
        fs::write(path, json + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_have_what_they_show_in_their_names() {
        let named = named(Path::new("out/flame.svg"), "Torc ring 0.1.0: get -c 50 -P 16");
        assert_eq!(named, Path::new("out/flame-torc-ring-0.1.0-get-c-50-p-16.svg"));
    }

    #[test]
    fn servers_and_loads_of_a_command_line() {
        let args = |line: &str| Cli::try_parse_from(line.split_whitespace()).unwrap().run;
        let both = args("torc-profile --pid 7 --vs 8");
        assert_eq!(specs(&both).unwrap(), [TargetSpec::Pid(7), TargetSpec::Pid(8)]);
        assert!(loads(&both, &specs(&both).unwrap()).unwrap().is_empty());
        let mixed = args("torc-profile --pid 7 --vs redis-server");
        assert_eq!(loads(&mixed, &specs(&mixed).unwrap()).unwrap()[0].text, "get -c 50 -r 100000 -d 64");
        assert!(specs(&args("torc-profile")).is_err());
        assert!(specs(&args("torc-profile --pid 7 --name a --name b")).is_err());
    }
}
