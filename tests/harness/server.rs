//! A server process of a test's own: free port, scratch folder, stopped by its process id when dropped.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use rustix::process::{
    Pid, PidfdFlags, PidfdGetfdFlags, Resource, Rlimit, Signal, getrlimit, kill_process, pidfd_getfd, pidfd_open,
    prlimit, setrlimit,
};
use tempfile::TempDir;

use super::{Client, TIMEOUT, Value};

/// How many ports are tried before a test gives up.
const START_ATTEMPTS: usize = 5;

/// How a server is to be started.
#[derive(Clone, Default)]
pub(crate) struct Builder {
    args: Vec<String>,
    bind: Option<String>,
    nofile: Option<u64>,
    environment: Vec<(String, String)>,
    binary: Option<PathBuf>,
}

/// A running server.
pub(crate) struct Server {
    child: Child,
    port: u16,
    folder: TempDir,
    /// Set when the test itself ended the server, so that an exit is no crash.
    may_exit: bool,
}

/// The binary under test: another server in `TORC_TEST_SERVER`, another build of ours in `TORC_TEST_BUILD`, or the one that
/// cargo built.
pub(crate) fn binary() -> PathBuf {
    match std::env::var_os("TORC_TEST_SERVER").or_else(|| std::env::var_os("TORC_TEST_BUILD")) {
        Some(path) => PathBuf::from(path),
        None => PathBuf::from(env!("CARGO_BIN_EXE_torc-server")),
    }
}

/// Arguments by which ours uses the back end that is to be tested: what `TORC_TEST_BACKEND` names, epoll in the tests of
/// `tests/epoll/`; and I/O threads that are always in use, as many as `TORC_TEST_IO_THREADS` says, some in the tests of
/// `tests/io_threads/`.
pub(crate) fn backend_args() -> Vec<String> {
    let (back_end, threads) = match env!("CARGO_CRATE_NAME") {
        "epoll" => (Some("epoll".to_owned()), None),
        "io_threads" => (None, Some("3".to_owned())),
        _ => (std::env::var("TORC_TEST_BACKEND").ok(), std::env::var("TORC_TEST_IO_THREADS").ok()),
    };
    let mut args = Vec::new();
    if let Some(name) = back_end.filter(|_| is_torc()) {
        args.extend(["--io-backend".to_owned(), name]);
    }
    if let Some(count) = threads.filter(|_| is_torc()) {
        args.extend(["--io-threads".to_owned(), count, "--io-threads-always-active".to_owned(), "yes".to_owned()]);
    }
    args
}

impl Builder {
    /// `--name value...` arguments, split at blanks.
    pub(crate) fn args(mut self, line: &str) -> Builder {
        self.args.extend(super::split_line(line).into_iter().map(|arg| String::from_utf8(arg).unwrap()));
        self
    }

    /// The addresses to bind instead of 127.0.0.1.
    pub(crate) fn bind(mut self, addresses: &str) -> Builder {
        self.bind = Some(addresses.to_owned());
        self
    }

    /// The limit of open descriptors that the server is started with.
    pub(crate) fn nofile(mut self, limit: u64) -> Builder {
        self.nofile = Some(limit);
        self
    }

    /// A variable of the server's environment.
    pub(crate) fn environment(mut self, name: &str, value: &str) -> Builder {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Another server than the one under test.
    pub(crate) fn binary(mut self, path: PathBuf) -> Builder {
        self.binary = Some(path);
        self
    }

    /// Starts it and waits until it answers.
    #[track_caller]
    pub(crate) fn start(self) -> Server {
        for _ in 0..START_ATTEMPTS {
            let folder = TempDir::new().unwrap();
            let port = free_port();
            let mut child = self.spawn(&folder, port);
            match wait_until_up(&mut child, port) {
                Ok(()) => return Server { child, port, folder, may_exit: false },
                Err(why) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    let log = fs::read_to_string(folder.path().join("log")).unwrap_or_default();
                    assert!(log.contains("Address already in use"), "the server did not start: {why}\n{log}");
                }
            }
        }
        panic!("no free port in {START_ATTEMPTS} attempts");
    }

    /// Starts it expecting that it refuses: its exit status and what it wrote.
    #[track_caller]
    pub(crate) fn refusal(self) -> (ExitStatus, String) {
        let folder = TempDir::new().unwrap();
        let mut child = self.spawn(&folder, free_port());
        let status = wait_for_exit(&mut child);
        (status, fs::read_to_string(folder.path().join("log")).unwrap())
    }

    fn spawn(&self, folder: &TempDir, port: u16) -> Child {
        let backend = if self.binary.is_none() { backend_args() } else { Vec::new() };
        let binary = self.binary.clone().unwrap_or_else(binary);
        let mut command = match self.nofile {
            Some(limit) => {
                let mut command = Command::new("prlimit");
                command.arg(format!("--nofile={limit}:{limit}")).arg(&binary);
                command
            }
            None => Command::new(&binary),
        };
        command.args(["--port", &port.to_string(), "--dir"]).arg(folder.path()).args(["--save", "", "--bind"]);
        command.args(self.bind.as_deref().unwrap_or("127.0.0.1").split(' '));
        command.arg("--unixsocket").arg(folder.path().join("socket")).args(backend).args(&self.args);
        command.envs(self.environment.iter().cloned());
        let log = fs::File::create(folder.path().join("log")).unwrap();
        command.stdin(Stdio::null()).stderr(log.try_clone().unwrap()).stdout(log);
        command.spawn().unwrap_or_else(|error| panic!("starting {binary:?}: {error}"))
    }
}

impl Server {
    /// With defaults.
    #[track_caller]
    pub(crate) fn start() -> Server {
        Builder::default().start()
    }

    /// With further `--name value` arguments.
    #[track_caller]
    pub(crate) fn with(args: &str) -> Server {
        Builder::default().args(args).start()
    }

    /// How to start one.
    pub(crate) fn builder() -> Builder {
        Builder::default()
    }

    /// A new TCP connection.
    #[track_caller]
    pub(crate) fn connect(&self) -> Client {
        Client::tcp(self.address())
    }

    /// A new connection over the Unix socket.
    #[track_caller]
    pub(crate) fn connect_unix(&self) -> Client {
        Client::unix(&self.socket_path())
    }

    /// Where it listens on IPv4.
    pub(crate) fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Its TCP port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its working folder.
    pub(crate) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Its Unix socket.
    pub(crate) fn socket_path(&self) -> PathBuf {
        self.folder.path().join("socket")
    }

    /// What it wrote so far to stdout and stderr, where its log goes.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).unwrap().count()
    }

    /// Its descriptors without those of files that it reads now and then, and of a connection that is going away.
    pub(crate) fn idle_descriptors(&self) -> usize {
        let counts = (0..20).map(|_| {
            std::thread::sleep(Duration::from_millis(10));
            self.descriptors()
        });
        counts.min().unwrap()
    }

    /// The server's socket for one of its clients, to ask the kernel about its options.
    pub(crate) fn socket_of(&self, descriptor: i32) -> OwnedFd {
        let pid = Pid::from_raw(self.pid() as i32).unwrap();
        let handle = pidfd_open(pid, PidfdFlags::empty()).unwrap();
        pidfd_getfd(handle, descriptor, PidfdGetfdFlags::empty()).unwrap()
    }

    /// Changes the running server's limit of open descriptors.
    pub(crate) fn set_descriptor_limit(&self, limit: u64) {
        let new = Rlimit { current: Some(limit), maximum: Some(20_000) };
        prlimit(Pid::from_raw(self.pid() as i32), Resource::Nofile, new).unwrap();
    }

    /// Resident memory in bytes.
    pub(crate) fn resident(&self) -> usize {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap() * 1024
    }

    /// One field of INFO as text.
    #[track_caller]
    pub(crate) fn info(&self, section: &str, field: &str) -> String {
        let text = self.connect().command(&["INFO", section]).text();
        let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {field} in INFO {section}:\n{text}")).trim().to_owned()
    }

    /// Lines of CLIENT LIST, that of the asking connection included.
    #[track_caller]
    pub(crate) fn client_count(&self) -> usize {
        self.connect().run("CLIENT LIST").text().lines().count()
    }

    /// Fails unless a fresh connection is served.
    #[track_caller]
    pub(crate) fn assert_serves(&self) {
        assert_eq!(self.connect().run("PING"), Value::Status("PONG".to_owned()));
    }

    /// Waits for the server to end by itself, or by a signal that the test sent.
    #[track_caller]
    pub(crate) fn wait_for_exit(&mut self) -> ExitStatus {
        self.may_exit = true;
        wait_for_exit(&mut self.child)
    }

    /// Sends a signal to the server.
    pub(crate) fn signal(&mut self, signal: Signal) {
        self.may_exit = true;
        kill(signal, self.pid());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let ended = self.child.try_wait().ok().flatten();
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", tail(&self.log(), 40));
        } else if let Some(status) = ended.filter(|_| !self.may_exit) {
            panic!("the server ended during the test: {status}\n{}", tail(&self.log(), 40));
        }
    }
}

fn tail(text: &str, count: usize) -> String {
    let lines = text.lines().collect::<Vec<_>>();
    lines[lines.len().saturating_sub(count)..].join("\n")
}

/// Waits for a process of ours to end; fails after [`TIMEOUT`].
#[track_caller]
pub(crate) fn wait_for_exit(child: &mut Child) -> ExitStatus {
    let end = Instant::now() + TIMEOUT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < end, "process {} does not end", child.id());
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Sends a signal to a process that this test started.
pub(crate) fn kill(signal: Signal, pid: u32) {
    kill_process(Pid::from_raw(pid as i32).unwrap(), signal).unwrap();
}

/// Lets this test process open `count` descriptors; false when the host does not allow it.
pub(crate) fn allow_descriptors(count: u64) -> bool {
    let now = getrlimit(Resource::Nofile);
    if now.current.is_none_or(|current| current >= count) {
        return true;
    }
    let maximum = now.maximum.map(|maximum| maximum.max(count));
    let kept = Rlimit { current: Some(count), maximum: now.maximum };
    setrlimit(Resource::Nofile, kept)
        .or_else(|_| setrlimit(Resource::Nofile, Rlimit { current: Some(count), maximum }))
        .is_ok()
}

/// True when the binary under test is ours: some promises go beyond what others keep.
pub(crate) fn is_torc() -> bool {
    std::env::var_os("TORC_TEST_SERVER").is_none()
}

fn wait_until_up(child: &mut Child, port: u16) -> Result<(), String> {
    let end = Instant::now() + TIMEOUT;
    loop {
        if let Some(status) = child.try_wait().map_err(|error| error.to_string())? {
            return Err(format!("it ended: {status}"));
        }
        if let Ok(mut client) = Client::try_tcp((Ipv4Addr::LOCALHOST, port).into()) {
            client.set_read_timeout(Duration::from_secs(5));
            if client.try_send(&Client::encode(&["PING"])).is_ok() && client.try_reply().is_ok() {
                return Ok(());
            }
        }
        if Instant::now() > end {
            return Err("it does not answer".to_owned());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// A port that nobody listens on. Below the range of outgoing connections, so that none of those takes it meanwhile.
pub(crate) fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    const FIRST: u32 = 18_000;
    const COUNT: u32 = 14_000;
    let start = std::process::id().wrapping_mul(131);
    loop {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(step < COUNT, "no free port");
        let port = (FIRST + start.wrapping_add(step) % COUNT) as u16;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
}
