//! A server under test: started on a core of its own, asked when it is ready, read out of /proc, and ended by SIGTERM on
//! every way out, a crash of this tool included.

#![forbid(unsafe_code)]

use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::clock;
use crate::endpoint::Endpoint;
use crate::ring::process;

/// How long a server may take to answer PING, and to end.
const START_WAIT: Duration = Duration::from_secs(10);
const STOP_WAIT: Duration = Duration::from_secs(10);
const POLL_INTERVAL: Duration = Duration::from_millis(10);
/// Settled is a server that uses less than a fiftieth of its core for this long.
const SETTLE_WINDOW: Duration = Duration::from_millis(20);
const SETTLE_SHARE: u32 = 50;
const SETTLE_WAIT: Duration = Duration::from_secs(5);
/// How much of a failed server's output a message shows.
const LOG_SHOWN_MAX: usize = 2000;
/// More clients than any case has.
const CLIENTS_MAX: &str = "65000";

/// Numbers the scratch folders of this process.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// A server as named on the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerSpec {
    /// For tables and plots.
    pub(crate) name: String,
    /// The executable.
    pub(crate) binary: PathBuf,
    /// Arguments beside those that every server gets.
    pub(crate) args: Vec<String>,
}

impl FromStr for ServerSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<ServerSpec, String> {
        let (name, command) = text.split_once('=').ok_or("must be NAME=BINARY, arguments after it")?;
        let mut words = command.split_whitespace();
        let binary = words.next().ok_or("names no binary")?;
        if name.is_empty() || !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')) {
            return Err("the name may have letters, digits, '-', '_' and '.'".to_owned());
        }
        Ok(ServerSpec { name: name.to_owned(), binary: binary.into(), args: words.map(str::to_owned).collect() })
    }
}

impl ServerSpec {
    /// The executable, found from any folder: servers run in scratch folders.
    fn executable(&self) -> anyhow::Result<PathBuf> {
        if self.binary.components().count() == 1 {
            return Ok(self.binary.clone());
        }
        fs::canonicalize(&self.binary).with_context(|| format!("finding {}", self.binary.display()))
    }

    /// The first line that the server prints for `--version`.
    pub(crate) fn version(&self) -> anyhow::Result<String> {
        let output = Command::new(self.executable()?)
            .arg("--version")
            .output()
            .with_context(|| format!("running {} --version", self.binary.display()))?;
        let text = String::from_utf8_lossy(&output.stdout);
        Ok(text.lines().next().unwrap_or_default().trim().to_owned())
    }
}

/// Where and how servers run.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Placement {
    /// Their core.
    pub(crate) core: usize,
    /// Whether they are asked over a Unix socket.
    pub(crate) unix: bool,
}

/// A running server.
#[derive(Debug)]
pub(crate) struct RunningServer {
    child: Child,
    /// Where it listens.
    pub(crate) endpoint: Endpoint,
    folder: PathBuf,
}

/// What the kernel has counted of a server so far, over all of its threads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Time on a core, in nanoseconds, user and system together.
    pub(crate) cpu_ns: u64,
    /// Time ready to run while something else had the core.
    pub(crate) wait_ns: u64,
    /// Times that a thread gave up its core.
    pub(crate) voluntary_switches: u64,
    /// Times that a thread's core was taken from it.
    pub(crate) involuntary_switches: u64,
}

impl RunningServer {
    /// Starts a server without persistence in an empty folder, and waits until it answers PING.
    pub(crate) fn start(spec: &ServerSpec, placement: Placement) -> anyhow::Result<RunningServer> {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("torc-bench-{}-{number}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        let port = free_port()?;
        let socket = folder.join("socket");
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new(spec.executable()?);
        command
            .current_dir(&folder)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--maxclients", CLIENTS_MAX]);
        if placement.unix {
            command.arg("--unixsocket").arg(&socket);
        }
        command.args(&spec.args).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        process::tie_child(&mut command, placement.core);
        let child = command.spawn().with_context(|| format!("starting {}", spec.binary.display()))?;
        let endpoint = if placement.unix {
            Endpoint::Unix(socket)
        } else {
            Endpoint::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
        };
        // From here on the server ends with this value.
        let mut server = RunningServer { child, endpoint, folder };
        server.wait_until_ready().with_context(|| format!("{}; it printed:\n{}", spec.name, server.log_end()))?;
        Ok(server)
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The last that it printed.
    pub(crate) fn log_end(&self) -> String {
        let text = fs::read_to_string(self.folder.join("log")).unwrap_or_default();
        let start = text.len().saturating_sub(LOG_SHOWN_MAX);
        let start = (start..text.len()).find(|&at| text.is_char_boundary(at)).unwrap_or(text.len());
        text[start..].to_owned()
    }

    /// Reads /proc.
    pub(crate) fn usage(&self) -> anyhow::Result<Usage> {
        let mut usage = Usage::default();
        let tasks = format!("/proc/{}/task", self.pid());
        for task in fs::read_dir(&tasks).with_context(|| format!("reading {tasks}"))? {
            let task = task?.path();
            // A thread may end between the listing and the reading.
            let (Ok(schedstat), Ok(status)) =
                (fs::read_to_string(task.join("schedstat")), fs::read_to_string(task.join("status")))
            else {
                continue;
            };
            let mut fields = schedstat.split_whitespace().map_while(|field| field.parse::<u64>().ok());
            let (Some(cpu_ns), Some(wait_ns)) = (fields.next(), fields.next()) else {
                bail!("{} has no schedstat: {schedstat:?}", task.display());
            };
            usage.cpu_ns += cpu_ns;
            usage.wait_ns += wait_ns;
            usage.voluntary_switches += status_number(&status, "voluntary_ctxt_switches:")?;
            usage.involuntary_switches += status_number(&status, "nonvoluntary_ctxt_switches:")?;
        }
        Ok(usage)
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        Ok(status_number(&status, "VmRSS:")? * 1024)
    }

    /// Waits until the server has dealt with what it was left: closed connections, above all.
    pub(crate) fn settle(&self) -> anyhow::Result<()> {
        let start = clock::now();
        let mut before = self.usage()?.cpu_ns;
        while start.elapsed() < SETTLE_WAIT {
            std::thread::sleep(SETTLE_WINDOW);
            let after = self.usage()?.cpu_ns;
            if Duration::from_nanos(after - before) < SETTLE_WINDOW / SETTLE_SHARE {
                return Ok(());
            }
            before = after;
        }
        bail!("the server is still busy {} s after its load ended", SETTLE_WAIT.as_secs())
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let start = clock::now();
        while start.elapsed() < START_WAIT {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended at once, {status}");
            }
            // Until the server listens, connecting fails; until it is ready, the answer is an error.
            if let Ok(answer) = self.endpoint.connect().and_then(|mut stream| stream.ask(&["PING"]))
                && answer == "+PONG"
            {
                return Ok(());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        bail!("the server did not answer PING within {} s", START_WAIT.as_secs())
    }

    fn stop(&mut self) -> std::io::Result<()> {
        if self.child.try_wait()?.is_some() {
            return Ok(());
        }
        process::signal(self.pid(), libc::SIGTERM)?;
        let start = clock::now();
        while start.elapsed() < STOP_WAIT {
            if self.child.try_wait()?.is_some() {
                return Ok(());
            }
            std::thread::sleep(POLL_INTERVAL);
        }
        eprintln!("torc-bench: the server {} ignores SIGTERM and is killed", self.pid());
        self.child.kill()?;
        self.child.wait().map(|_| ())
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        if let Err(error) = self.stop() {
            eprintln!("torc-bench: stopping the server {}: {error}", self.pid());
        }
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            eprintln!("torc-bench: removing {}: {error}", self.folder.display());
        }
    }
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<u16> {
    #[expect(clippy::disallowed_methods, reason = "the tool picks ports for the servers it starts")]
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener.local_addr()?.port())
}

/// The number behind `name` in a /proc status file.
fn status_number(status: &str, name: &str) -> anyhow::Result<u64> {
    status
        .lines()
        .find_map(|line| line.strip_prefix(name))
        .and_then(|rest| rest.split_whitespace().next())
        .and_then(|field| field.parse().ok())
        .with_context(|| format!("no {name} in a process's status"))
}

/// Whether `path` names something that can be run, as a file or on PATH.
pub(crate) fn require_executable(spec: &ServerSpec) -> anyhow::Result<()> {
    let executable = spec.executable()?;
    let found = executable.components().count() > 1
        || std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| folder.join(&executable).is_file()));
    ensure!(found || Path::new(&executable).is_file(), "there is no {} on PATH", executable.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_a_name_a_binary_and_arguments() {
        let spec: ServerSpec = "redis-8=/usr/bin/redis-server --io-threads 2".parse().unwrap();
        assert_eq!((spec.name.as_str(), spec.args.len()), ("redis-8", 2));
        assert_eq!(spec.binary, Path::new("/usr/bin/redis-server"));
        for text in ["redis-server", "=redis-server", "a=", "a b=c", "a/b=c"] {
            assert!(text.parse::<ServerSpec>().is_err(), "{text}");
        }
    }

    #[test]
    fn numbers_are_found_in_a_status_file() {
        let status = "Name:\tx\nVmRSS:\t  120 kB\nvoluntary_ctxt_switches:\t7\nnonvoluntary_ctxt_switches:\t8\n";
        assert_eq!(status_number(status, "VmRSS:").unwrap(), 120);
        assert_eq!(status_number(status, "voluntary_ctxt_switches:").unwrap(), 7);
        assert_eq!(status_number(status, "nonvoluntary_ctxt_switches:").unwrap(), 8);
        assert!(status_number(status, "VmSwap:").is_err());
    }

    #[test]
    fn a_server_that_ends_at_once_is_reported() {
        let spec: ServerSpec = "false=false".parse().unwrap();
        let error = RunningServer::start(&spec, Placement { core: 0, unix: false }).unwrap_err();
        assert!(format!("{error:#}").contains("ended at once"), "{error:#}");
    }
}
