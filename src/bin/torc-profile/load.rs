//! The load: torc-bench, which lies beside this tool, run as a process of its own.

#![forbid(unsafe_code)]

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::Signal;

use crate::client::{Address, Login};
use crate::interrupt::Interrupt;
use crate::target::{last_lines, stop};

/// The load is stopped when it is no longer needed; were this tool killed, it would end by itself after this.
const LASTS_AT_MOST: Duration = Duration::from_secs(3600);
/// After its start, until caches are warm and all connections are there.
const WARM_UP: Duration = Duration::from_millis(700);
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A test of torc-bench and options: `get -c 50 -P 16`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoadSpec {
    pub(crate) text: String,
    test: String,
    options: Vec<String>,
    /// Store the key space first; not part of what is shown.
    fill: bool,
}

impl LoadSpec {
    pub(crate) fn parse(text: &str) -> anyhow::Result<LoadSpec> {
        let mut words = shlex::split(text).with_context(|| format!("the quotes do not match in: {text}"))?.into_iter();
        let test = words.next().filter(|word| !word.starts_with('-'));
        let test =
            test.with_context(|| format!("a load is a test of torc-bench, then options: get -c 50, not: {text}"))?;
        let mut options = words.collect::<Vec<_>>();
        let all = options.len();
        options.retain(|option| option != "--load");
        let text = format!("{test} {}", options.join(" ")).trim_end().to_owned();
        Ok(LoadSpec { text, test, fill: options.len() < all, options })
    }
}

/// Where torc-bench is: beside this tool.
pub(crate) fn find_tool() -> anyhow::Result<PathBuf> {
    let own = std::env::current_exe().context("finding out where this tool is")?;
    let tool = own.with_file_name("torc-bench");
    ensure!(
        tool.is_file(),
        "the load comes from torc-bench, which is not at {}; build it, or make load otherwise and give --pid",
        tool.display()
    );
    Ok(tool)
}

/// What torc-bench is started with.
fn arguments(spec: &LoadSpec, address: &Address, login: &Login, limit: &[String]) -> Vec<String> {
    let mut args = match address {
        Address::Tcp(host, port) => vec!["-h".to_owned(), host.to_string(), "-p".to_owned(), port.to_string()],
        Address::Unix(path) => vec!["-s".to_owned(), path.display().to_string()],
    };
    for (option, value) in [("-a", &login.password), ("--user", &login.user)] {
        args.extend(value.iter().flat_map(|value| [option.to_owned(), value.clone()]));
    }
    args.extend(["-q".to_owned(), "-t".to_owned(), spec.test.clone()]);
    args.extend_from_slice(&spec.options);
    args.extend_from_slice(limit);
    args
}

/// Stores the key space of a load that wants that.
pub(crate) fn fill(
    tool: &Path,
    spec: &LoadSpec,
    address: &Address,
    login: &Login,
    scratch: &Path,
    interrupt: &Interrupt,
) -> anyhow::Result<()> {
    if !spec.fill {
        return Ok(());
    }
    let limit = ["-n", "1", "--load"].map(str::to_owned);
    let mut filling = Load::start(tool, arguments(spec, address, login, &limit), scratch)?;
    loop {
        if let Some(status) = filling.child.try_wait()? {
            ensure!(status.success(), "storing the keys of {:?} failed{}", spec.text, last_lines(&filling.printed));
            return Ok(());
        }
        interrupt.sleep(LOOK_EVERY)?;
    }
}

/// A running load; stopped when dropped.
pub(crate) struct Load {
    child: Child,
    printed: PathBuf,
}

impl Load {
    /// Starts the load and lets it warm up.
    pub(crate) fn run(
        tool: &Path,
        spec: &LoadSpec,
        address: &Address,
        login: &Login,
        scratch: &Path,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Load> {
        let limit = ["--duration".to_owned(), LASTS_AT_MOST.as_secs().to_string()];
        let mut load = Load::start(tool, arguments(spec, address, login, &limit), scratch)?;
        interrupt.sleep(WARM_UP)?;
        load.check().with_context(|| format!("the load {:?} does not run", spec.text))?;
        Ok(load)
    }

    fn start(tool: &Path, args: Vec<String>, scratch: &Path) -> anyhow::Result<Load> {
        let printed = scratch.join("load");
        let output = File::create(&printed).with_context(|| format!("creating {}", printed.display()))?;
        let mut command = Command::new(tool);
        command.args(args).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        let child = command.spawn().with_context(|| format!("starting {}", tool.display()))?;
        Ok(Load { child, printed })
    }

    /// An error if it has ended.
    pub(crate) fn check(&mut self) -> anyhow::Result<()> {
        if self.child.try_wait()?.is_some() {
            bail!("the load ended before its time{}", last_lines(&self.printed));
        }
        Ok(())
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            stop(&mut self.child, Signal::TERM);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_and_options() {
        let spec = LoadSpec::parse("get -c 50 --load -r 1000").unwrap();
        assert!(spec.fill && spec.text == "get -c 50 -r 1000");
        let login = Login { user: Some("me".to_owned()), password: Some("secret".to_owned()) };
        let address = Address::Tcp("127.0.0.1".parse().unwrap(), 7000);
        let args = arguments(&spec, &address, &login, &["-n".to_owned(), "1".to_owned()]);
        assert_eq!(args.join(" "), "-h 127.0.0.1 -p 7000 -a secret --user me -q -t get -c 50 -r 1000 -n 1");
        let args =
            arguments(&LoadSpec::parse("ping").unwrap(), &Address::Unix("/x.sock".into()), &Login::default(), &[]);
        assert_eq!(args.join(" "), "-s /x.sock -q -t ping");
        for broken in ["", "-c 50", "get 'a"] {
            assert!(LoadSpec::parse(broken).is_err(), "{broken}");
        }
    }
}
