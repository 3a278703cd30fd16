//! A server under test: started on a core of its own, asked when it is ready, read out of /proc, and ended by SIGTERM on
//! every way out, a crash of this tool included.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use crate::case::Transport;
use crate::clock;
use crate::endpoint::{Address, Endpoint};
use crate::ring::process;
use crate::tls::{TlsOptions, TlsSetup};

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
/// The name of a server's Unix socket, in its folder.
const SOCKET: &str = "socket";
/// Names of its certificate and key there.
const CERTIFICATE: &str = "certificate.pem";
const KEY: &str = "key.pem";
/// What all servers encrypt with: TLS 1.3 with AES of 128 bits, which processors have instructions for.
const CIPHER: &str = "TLS_AES_128_GCM_SHA256";
/// More clients than any case has.
const CLIENTS_MAX: &str = "65000";

/// Numbers the scratch folders of this process.
static STARTED: AtomicU32 = AtomicU32::new(0);

/// A server as a scenario names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ServerSpec {
    /// For tables and plots.
    pub(crate) name: String,
    /// The executable.
    pub(crate) binary: PathBuf,
    /// Arguments beside those that every server gets.
    pub(crate) args: Vec<String>,
    /// Variables beside those that this process has.
    pub(crate) environment: BTreeMap<String, String>,
    /// The cores that it may run on.
    pub(crate) cores: Vec<usize>,
    /// Whether the comparison goes on without it when it cannot be started.
    pub(crate) optional: bool,
    /// Whether it listens for TLS, too.
    pub(crate) tls: bool,
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

/// A running server.
#[derive(Debug)]
pub(crate) struct RunningServer {
    child: Child,
    port: u16,
    /// The port for TLS, and how it is spoken.
    tls: Option<(u16, TlsSetup)>,
    folder: PathBuf,
}

/// What the kernel has counted of a server so far, over all of its threads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Usage {
    /// Time on a core, in nanoseconds, user and system together.
    pub(crate) cpu_ns: u64,
    /// That of the thread which the process began with.
    pub(crate) main_cpu_ns: u64,
    /// The same apart, in the kernel's ticks.
    pub(crate) user_ticks: u64,
    pub(crate) system_ticks: u64,
    /// Time ready to run while something else had the core.
    pub(crate) wait_ns: u64,
    /// Times that a thread gave up its core.
    pub(crate) voluntary_switches: u64,
    /// Times that a thread's core was taken from it.
    pub(crate) involuntary_switches: u64,
}

impl RunningServer {
    /// Starts a server without persistence in an empty folder, and waits until it answers PING.
    pub(crate) fn start(spec: &ServerSpec) -> anyhow::Result<RunningServer> {
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("torc-bench-{}-{number}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("making {}", folder.display()))?;
        let port = free_port()?;
        let tls = if spec.tls { Some((free_port()?, speak_tls(&folder)?)) } else { None };
        let log = File::create(folder.join("log"))?;
        let mut command = Command::new(spec.executable()?);
        command
            .current_dir(&folder)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"])
            .args(["--maxclients", CLIENTS_MAX, "--unixsocket", SOCKET])
            .args(tls.iter().flat_map(|(port, _)| tls_args(*port)))
            .args(&spec.args)
            .envs(&spec.environment)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log);
        process::tie_child(&mut command, spec.cores.clone());
        let child = command.spawn().with_context(|| format!("starting {}", spec.binary.display()))?;
        // From here on the server ends with this value.
        let mut server = RunningServer { child, port, tls, folder };
        server.wait_until_ready().with_context(|| format!("{}; it printed:\n{}", spec.name, server.log_end()))?;
        Ok(server)
    }

    /// Where it listens.
    pub(crate) fn endpoint(&self, transport: Transport) -> Endpoint {
        match transport {
            Transport::Tcp => Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))).into(),
            Transport::Unix => Address::Unix(self.folder.join(SOCKET)).into(),
            Transport::Tls => {
                let (port, setup) = self.tls.as_ref().expect("a scenario with such a case starts its servers with TLS");
                let address = Address::Tcp(SocketAddr::from((Ipv4Addr::LOCALHOST, *port)));
                Endpoint { address, tls: Some(setup.clone()) }
            }
        }
    }

    /// What INFO says of the server's ring; nothing of a server that has none.
    pub(crate) fn ring_counters(&self) -> anyhow::Result<BTreeMap<String, u64>> {
        let text = self.endpoint(Transport::Tcp).connect()?.ask_text(&["INFO", "ring"])?;
        let pairs = text.lines().filter_map(|line| line.split_once(':'));
        Ok(pairs.filter_map(|(name, value)| Some((name.to_owned(), value.trim().parse().ok()?))).collect())
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
            if task.ends_with(self.pid().to_string()) {
                usage.main_cpu_ns = cpu_ns;
            }
            usage.wait_ns += wait_ns;
            usage.voluntary_switches += status_number(&status, "voluntary_ctxt_switches:")?;
            usage.involuntary_switches += status_number(&status, "nonvoluntary_ctxt_switches:")?;
        }
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid()))?;
        (usage.user_ticks, usage.system_ticks) = ticks(&stat)?;
        Ok(usage)
    }

    /// Resident memory, in bytes.
    pub(crate) fn resident_bytes(&self) -> anyhow::Result<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        Ok(status_number(&status, "VmRSS:")? * 1024)
    }

    /// Keeps the server from running at all, or no longer.
    pub(crate) fn pause(&self, paused: bool) -> anyhow::Result<()> {
        let signal = if paused { libc::SIGSTOP } else { libc::SIGCONT };
        process::signal(self.pid(), signal).context("pausing a server")
    }

    /// Waits until the server has dealt with what it was left: closed connections, above all.
    pub(crate) fn settle(&self) -> anyhow::Result<()> {
        if !self.settles()? {
            bail!("the server is still busy {} s after its load ended", SETTLE_WAIT.as_secs())
        }
        Ok(())
    }

    /// Waits until the server has nothing to do. False: it stays busy.
    pub(crate) fn settles(&self) -> anyhow::Result<bool> {
        let start = clock::now();
        let mut before = self.usage()?.cpu_ns;
        while start.elapsed() < SETTLE_WAIT {
            std::thread::sleep(SETTLE_WINDOW);
            let after = self.usage()?.cpu_ns;
            if Duration::from_nanos(after - before) < SETTLE_WINDOW / SETTLE_SHARE {
                return Ok(true);
            }
            before = after;
        }
        Ok(false)
    }

    fn wait_until_ready(&mut self) -> anyhow::Result<()> {
        let start = clock::now();
        while start.elapsed() < START_WAIT {
            if let Some(status) = self.child.try_wait()? {
                bail!("the server ended at once, {status}");
            }
            // Until the server listens, connecting fails; until it is ready, the answer is an error.
            if let Ok(answer) = self.endpoint(Transport::Tcp).connect().and_then(|mut stream| stream.ask(&["PING"]))
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
        // One that is paused hears it only when it goes on.
        process::signal(self.pid(), libc::SIGCONT)?;
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

/// Makes a server's key and certificate in its folder, and says how it is spoken to.
fn speak_tls(folder: &Path) -> anyhow::Result<TlsSetup> {
    let output = Command::new("openssl")
        .current_dir(folder)
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "30"])
        .args(["-subj", "/CN=localhost", "-keyout", KEY, "-out", CERTIFICATE])
        .output()
        .context("running openssl, which makes the certificates")?;
    ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr).trim());
    let suites = Some(CIPHER.to_owned());
    // It signed its certificate itself.
    TlsSetup::new(&TlsOptions { insecure: true, suites, ..TlsOptions::default() }, "localhost")
}

fn tls_args(port: u16) -> Vec<String> {
    let port = port.to_string();
    let files = ["--tls-cert-file", CERTIFICATE, "--tls-key-file", KEY, "--tls-ca-cert-file", CERTIFICATE];
    let rest = ["--tls-port", &port, "--tls-auth-clients", "no", "--tls-ciphersuites", CIPHER];
    files.iter().chain(&rest).map(|&arg| arg.to_owned()).collect()
}

/// A port that was free a moment ago.
fn free_port() -> anyhow::Result<u16> {
    #[expect(clippy::disallowed_methods, reason = "the tool picks ports for the servers it starts")]
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("looking for a free port")?;
    Ok(listener.local_addr()?.port())
}

/// Ticks in user and in system mode, out of a process's stat file. Its second field is a name in brackets, which may hold
/// anything.
fn ticks(stat: &str) -> anyhow::Result<(u64, u64)> {
    let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut fields = rest.split_whitespace().skip(11).map_while(|field| field.parse().ok());
    fields.next().zip(fields.next()).with_context(|| format!("no times in a process's stat: {stat:?}"))
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
    fn times_are_found_behind_any_name() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14";
        assert_eq!(ticks(stat).unwrap(), (11, 12));
        assert!(ticks("7 (a)").is_err());
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
        let spec = ServerSpec {
            name: "false".to_owned(),
            binary: "false".into(),
            args: Vec::new(),
            environment: BTreeMap::new(),
            cores: vec![0],
            optional: false,
            tls: false,
        };
        let error = RunningServer::start(&spec).unwrap_err();
        assert!(format!("{error:#}").contains("ended at once"), "{error:#}");
    }
}
