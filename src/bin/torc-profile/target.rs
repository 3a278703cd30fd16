//! The servers under examination: running ones by process number, others started here and stopped at the end.
//!
//! Nothing is ever sent to a process that was not started here.

#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal};

use crate::client::{Address, Client, Login};
use crate::interrupt::Interrupt;
use crate::{clock, process};

/// A server has this long to start, and to stop when asked to.
const START_WAIT: Duration = Duration::from_secs(20);
const STOP_WAIT: Duration = Duration::from_secs(10);
/// How often it is looked at meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// So much of what a server printed is shown when it fails.
const PRINTED_LINES: usize = 5;

/// Which server is meant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum TargetSpec {
    /// A running process.
    Pid(i32),
    /// A command line to start.
    Command(Vec<String>),
}

impl TargetSpec {
    /// A process number, or a command line.
    pub(crate) fn parse(text: &str) -> anyhow::Result<TargetSpec> {
        if let Ok(pid) = text.parse::<i32>() {
            ensure!(pid > 0, "{pid} is no process number");
            return Ok(TargetSpec::Pid(pid));
        }
        let words = shlex::split(text).with_context(|| format!("the quotes do not match in: {text}"))?;
        ensure!(!words.is_empty(), "an empty command line");
        Ok(TargetSpec::Command(words))
    }
}

/// A server that answers.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) pid: i32,
    pub(crate) address: Address,
    pub(crate) command: Vec<String>,
    pub(crate) client: Client,
    /// Started here. Declared last: dropped, and so stopped, after the connection is closed.
    _started: Option<Started>,
}

/// A process that was started here; stopped when dropped.
struct Started(Child);

impl Target {
    /// Finds or starts the server and connects to it. `printed` is where a started one prints to.
    pub(crate) fn open(
        spec: &TargetSpec,
        address: Option<&Address>,
        login: &Login,
        printed: &Path,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Target> {
        let (pid, address, client, started) = match spec {
            TargetSpec::Pid(pid) => {
                ensure!(process::is_alive(*pid), "there is no process {pid}");
                let (address, client) = find(&[*pid], address, login)?.1;
                (*pid, address, client, None)
            }
            TargetSpec::Command(words) => {
                let mut started = Started::start(words, printed)?;
                let (pid, (address, client)) = started.wait_until_it_answers(address, login, printed, interrupt)?;
                (pid, address, client, Some(started))
            }
        };
        let mut command = match spec {
            TargetSpec::Pid(pid) => process::command_line(*pid)?,
            TargetSpec::Command(words) => words.clone(),
        };
        if let Some(program) = command.first_mut() {
            // Where it lay says nothing to a reader elsewhere.
            *program = Path::new(program).file_name().map_or(String::new(), |name| name.to_string_lossy().into_owned());
        }
        let mut target =
            Target { name: String::new(), version: String::new(), pid, address, command, client, _started: started };
        let info = target.client.info()?;
        (target.name, target.version) = info.server();
        if target.name == "Torc" {
            // It has two ways to the network, which are worth telling apart.
            let backend = info.field("multiplexing_api").unwrap_or_default();
            target.name.push_str(if backend.contains("epoll") { " epoll" } else { " ring" });
        }
        Ok(target)
    }
}

/// The first of the processes that answers where it listens.
fn find(pids: &[i32], address: Option<&Address>, login: &Login) -> anyhow::Result<(i32, (Address, Client))> {
    let mut refusal = None;
    for pid in pids {
        let found = if let Some(address) = address { Ok(vec![address.clone()]) } else { process::listens_at(*pid) };
        match found {
            Ok(addresses) => {
                for address in addresses {
                    match Client::connect(&address, login) {
                        Ok(client) => return Ok((*pid, (address, client))),
                        // The first place is the likeliest: what it says is what matters.
                        Err(error) => drop(refusal.get_or_insert(error.context(format!("{address} (process {pid})")))),
                    }
                }
            }
            Err(error) => drop(refusal.get_or_insert(error)),
        }
    }
    let first = pids.first().copied().unwrap_or_default();
    Err(match refusal {
        Some(error) if format!("{error:#}").contains("NOAUTH") => {
            error.context("the server wants a password: give --password, or set REDISCLI_AUTH")
        }
        Some(error) => error.context("no connection to the server; --port or --socket say where it listens"),
        None => anyhow::anyhow!("process {first} listens nowhere; --port or --socket say where its server does"),
    })
}

impl Started {
    fn start(words: &[String], printed: &Path) -> anyhow::Result<Started> {
        let (program, args) = words.split_first().context("an empty command line")?;
        let output = File::create(printed).with_context(|| format!("creating {}", printed.display()))?;
        let mut command = Command::new(program);
        command.args(args).stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output);
        // Ctrl-C is for this tool, which then stops the server in good order.
        command.process_group(0);
        Ok(Started(command.spawn().with_context(|| format!("starting {program}"))?))
    }

    fn wait_until_it_answers(
        &mut self,
        address: Option<&Address>,
        login: &Login,
        printed: &Path,
        interrupt: &Interrupt,
    ) -> anyhow::Result<(i32, (Address, Client))> {
        let pid = i32::try_from(self.0.id()).context("a process number out of range")?;
        let end = clock::now() + START_WAIT;
        loop {
            if let Some(status) = self.0.try_wait()? {
                bail!("the server ended at once ({status}); it must stay in the foreground{}", last_lines(printed));
            }
            // A wrapper may have started the server as its child.
            match find(&process::family(pid), address, login) {
                Ok(found) => return Ok(found),
                Err(error) if clock::now() >= end || format!("{error:#}").contains("NOAUTH") => {
                    return Err(error.context(format!("the server does not answer{}", last_lines(printed))));
                }
                Err(_) => interrupt.sleep(LOOK_EVERY)?,
            }
        }
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        stop(&mut self.0, Signal::TERM);
    }
}

/// Ends a child of this process: politely first, then not.
pub(crate) fn stop(child: &mut Child, signal: Signal) {
    send(child, signal);
    let end = clock::now() + STOP_WAIT;
    while clock::now() < end {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(LOOK_EVERY);
    }
    // It may have ended meanwhile, which is as good.
    let _ = child.kill();
    let _ = child.wait();
}

/// Sends a signal to a child of this process that has not been waited for.
pub(crate) fn send(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // The only failure is that it has ended.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// The end of what a program printed, to stand behind a message.
pub(crate) fn last_lines(printed: &Path) -> String {
    let text = fs::read(printed).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let lines = text.lines().filter(|line| !line.trim().is_empty()).collect::<Vec<_>>();
    let last = lines[lines.len().saturating_sub(PRINTED_LINES)..].join("\n  ");
    if last.is_empty() { String::new() } else { format!("; it printed:\n  {last}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_or_a_command_line() {
        assert_eq!(TargetSpec::parse("123").unwrap(), TargetSpec::Pid(123));
        let words = ["redis-server", "--save", "", "--port", "7000"].map(str::to_owned).to_vec();
        assert_eq!(TargetSpec::parse("redis-server --save '' --port 7000").unwrap(), TargetSpec::Command(words));
        for broken in ["0", "-5", "", "redis-server 'a"] {
            assert!(TargetSpec::parse(broken).is_err(), "{broken}");
        }
    }

    #[test]
    fn a_command_that_ends_is_reported_with_what_it_printed() {
        let scratch = tempfile::tempdir().unwrap();
        let words = ["sh", "-c", "echo no such option; exit 3"].map(str::to_owned).to_vec();
        let printed = scratch.path().join("printed");
        let spec = TargetSpec::Command(words);
        let result = Target::open(&spec, None, &Login::default(), &printed, &Interrupt::default());
        let error = format!("{:#}", result.err().unwrap());
        assert!(error.contains("ended at once") && error.contains("no such option"), "{error}");
    }
}
