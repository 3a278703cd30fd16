//! torc-profile, as it was built, against running servers: what it says of them, and that it leaves them as they were.
//!
//! What the host does not permit is skipped, aloud; `torc-profile --check` says what that is.

#![allow(
    clippy::disallowed_methods,
    reason = "a test is a real client: it starts processes, threads and reads the clock"
)]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::fs;
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use harness::{Server, eventually, is_torc, kill, skip};
use rustix::process::Signal;
use serde_json::Value as Json;

/// The kernel lets one at a time attach tracepoints, and whose counts are checked closely is not to be disturbed by others.
/// Those that put load on a server would make the attaching of others take several times as long.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Examining the host and attaching may take long on a busy machine.
const ATTACH_WAIT: Duration = Duration::from_secs(180);

const LEVELS: [&str; 4] = ["tracefs", "perf", "strace", "proc"];

fn alone() -> MutexGuard<'static, ()> {
    // A test that failed leaves nothing behind that another could mind.
    ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner)
}

fn tool(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_torc-profile"));
    command.args(args).stdin(Stdio::null());
    command
}

/// Runs the tool, which must do well, and reads the JSON that it prints.
#[track_caller]
fn profile(args: &[&str], seconds: &str) -> Json {
    let output = tool(args).args(["--json", "--duration", seconds]).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{args:?}: {errors}");
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{args:?}: {error}: {errors}"))
}

/// Runs the tool, which must fail, and returns what it says.
#[track_caller]
fn failure(args: &[&str]) -> String {
    let output: Output = tool(&["--level", "proc", "--duration", "0.1"]).args(args).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(1), "{args:?}: {said}");
    said
}

/// What `--check` says. Called by whoever is alone: examining attaches, which takes its time, so it is done once.
fn report() -> &'static str {
    static REPORT: OnceLock<String> = OnceLock::new();
    REPORT.get_or_init(|| {
        let output = tool(&["--check"]).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    })
}

/// What the host permits: a way of seeing system calls, or `perf record`.
fn permitted(what: &str) -> bool {
    let report = report();
    let name = if what == "proc" { "/proc only" } else { what };
    let line = report.lines().find(|line| line.trim_start().starts_with(name));
    let line = line.unwrap_or_else(|| panic!("nothing of {name} in:\n{report}")).trim().to_owned();
    let permitted = line.ends_with(" yes");
    if !permitted {
        skip(&format!("{what}: {line}"));
    }
    permitted
}

/// Clients that ask one thing after another until this is dropped.
struct Load {
    stop: Arc<AtomicBool>,
    clients: Vec<JoinHandle<()>>,
}

impl Load {
    fn on(server: &Server, clients: usize) -> Load {
        let stop = Arc::new(AtomicBool::new(false));
        let clients = (0..clients).map(|_| {
            let (mut client, stop) = (server.connect(), Arc::clone(&stop));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    client.run("GET nothing");
                }
            })
        });
        Load { clients: clients.collect(), stop }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.clients.drain(..).for_each(|client| client.join().unwrap());
    }
}

/// No tool holds on to the process.
fn is_untraced(server: &Server) -> bool {
    let status = fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    status.lines().any(|line| line.split_whitespace().eq(["TracerPid:", "0"]))
}

/// A figure of a profile, by the names that lead to it.
#[track_caller]
fn figure(profile: &Json, path: &str) -> f64 {
    let value = profile.pointer(path).unwrap_or_else(|| panic!("no {path} in {profile:#}"));
    value.as_f64().unwrap_or_else(|| panic!("{path} is no number in {profile:#}"))
}

#[test]
fn the_host_is_examined() {
    let _alone = alone();
    let report = report();
    for name in ["tracefs", "perf", "strace", "/proc only", "perf record"] {
        let line = report.lines().find(|line| line.trim_start().starts_with(name)).unwrap();
        assert!(line.ends_with(" yes") || line.contains(" no: ") || line.contains(" without "), "{line}");
    }
}

#[test]
fn every_level_tells_what_our_requests_take() {
    let _alone = alone();
    for level in LEVELS.into_iter().filter(|level| permitted(level)) {
        let server = Server::start();
        let load = Load::on(&server, 4);
        let pid = server.pid().to_string();
        let document = profile(&["--pid", &pid, "--level", level], "0.3");
        drop(load);
        assert!(is_untraced(&server), "{level}");
        server.assert_serves();
        let median = &document["profiles"][0]["median"];
        assert!(figure(median, "/requests_per_second") > 0.0 && figure(median, "/cpu_ns") > 0.0);
        assert!((figure(median, "/commands/get") - 1.0).abs() < 0.01, "{median:#}");
        if level == "proc" {
            assert!(median["activity"].is_null());
            continue;
        }
        assert_eq!(median["activity"]["level"], level, "{document:#}");
        if is_torc() && harness::backend_args().is_empty() {
            // One to a batch of four at most: one turn's replies, or one request's.
            let enters = figure(median, "/activity/syscalls/io_uring_enter/calls");
            assert!((0.1..4.0).contains(&enters), "{level}: {median:#}");
            let submissions = figure(median, "/activity/ring/submissions");
            assert!((0.5..3.0).contains(&submissions), "{level}: {median:#}");
        }
    }
}

/// Redis reads and writes once for each request of a client that waits for its answer, which makes a check of the counts.
#[test]
fn every_level_counts_right() {
    let _alone = alone();
    let Some(redis) = find_redis() else { return };
    for level in LEVELS.into_iter().filter(|level| *level != "proc" && permitted(level)) {
        let server = Server::builder().binary(redis.clone().into()).start();
        let load = Load::on(&server, 4);
        let pid = server.pid().to_string();
        let document = profile(&["--pid", &pid, "--level", level], "0.6");
        drop(load);
        let median = &document["profiles"][0]["median"];
        for call in ["read", "write"] {
            let calls = figure(median, &format!("/activity/syscalls/{call}/calls"));
            // strace counts a little longer than requests are counted, and the server's own work is in it.
            assert!((0.9..1.5).contains(&calls), "{level}: {calls} {call} per request: {median:#}");
            assert!(figure(median, &format!("/activity/syscalls/{call}/wall_ns")) > 0.0, "{level}");
        }
        assert!(median["activity"]["ring"].is_null(), "{level}: {median:#}");
        if level == "tracefs" {
            let waiting = figure(median, "/activity/syscalls/epoll_wait/waiting_ns");
            let wall = figure(median, "/activity/syscalls/epoll_wait/wall_ns");
            assert!(waiting > 0.0 && waiting <= wall, "{median:#}");
        }
    }
}

fn find_redis() -> Option<String> {
    let found = Command::new("redis-server").arg("--version").output().is_ok();
    if !found {
        skip("redis-server is not installed");
    }
    found.then(|| "redis-server".to_owned())
}

#[test]
fn cpu_time_is_split_and_drawn() {
    let _alone = alone();
    if !permitted("perf record") {
        return;
    }
    let server = Server::start();
    let load = Load::on(&server, 4);
    let folder = tempfile::tempdir().unwrap();
    let (picture, file) = (folder.path().join("flame.svg"), folder.path().join("profile.json"));
    let pid = server.pid().to_string();
    let (picture_arg, file_arg) = (picture.to_str().unwrap(), file.to_str().unwrap());
    let args = ["--pid", &pid, "--flamegraph", picture_arg, "--output", file_arg, "--rounds", "2"];
    let document = profile(&args, "0.3");
    drop(load);
    let median = &document["profiles"][0]["rounds"][0];
    let split = median["cpu_split"]["ns"].as_object().unwrap();
    let sum = split.values().map(|ns| ns.as_f64().unwrap()).sum::<f64>();
    let cpu_ns = figure(median, "/cpu_ns");
    assert!((sum - cpu_ns).abs() < cpu_ns / 100.0, "{median:#}");
    assert!(split.contains_key("user"), "{median:#}");
    let picture = fs::read_to_string(picture).unwrap();
    assert!(picture.starts_with("<svg ") && picture.ends_with("</svg>\n") && picture.contains("class=\"bar\""));
    assert_eq!(serde_json::from_str::<Json>(&fs::read_to_string(file).unwrap()).unwrap(), document);
}

#[test]
fn two_servers_stand_side_by_side() {
    let _alone = alone();
    let (one, other) = (Server::start(), Server::start());
    let loads = [Load::on(&one, 2), Load::on(&other, 2)];
    let (pid, vs) = (one.pid().to_string(), other.pid().to_string());
    let args = [
        "--pid",
        &pid,
        "--vs",
        &vs,
        "--name",
        "first",
        "--name",
        "second",
        "--rounds",
        "2",
        "--duration",
        "0.3",
        "--level",
        "proc",
    ];
    let output = tool(&args).output().unwrap();
    drop(loads);
    let (table, said) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{said}");
    assert!(table.lines().nth(1).is_some_and(|line| line.contains("first") && line.contains("second")), "{table}");
    let all = table.lines().find(|line| line.trim_start().starts_with("all ")).unwrap();
    assert!(all.split_whitespace().last().unwrap().starts_with('x'), "{table}");
    // In turns.
    let rounds = said.lines().filter(|line| line.contains("round ")).collect::<Vec<_>>();
    assert!(rounds[0].contains("1 of 2: first") && rounds[1].contains("1 of 2: second"), "{said}");
    assert!(rounds[2].contains("2 of 2: first") && rounds.len() == 4, "{said}");
}

#[test]
fn an_interrupt_detaches_from_everything() {
    let _alone = alone();
    for level in LEVELS.into_iter().filter(|level| permitted(level)) {
        let server = Server::start();
        let load = Load::on(&server, 2);
        let scratch = tempfile::tempdir().unwrap();
        let pid = server.pid().to_string();
        let mut command = tool(&["--pid", &pid, "--level", level, "--duration", "3"]);
        let mut running = command.env("TMPDIR", scratch.path()).stderr(Stdio::piped()).spawn().unwrap();
        let instance = format!("/sys/kernel/tracing/instances/torc-profile-watch-{}", running.id());
        let control = scratch.path().join(format!("torc-profile-{}/control", running.id()));
        let is_watched = || match level {
            "tracefs" => Path::new(&instance).exists(),
            "perf" => control.exists(),
            "strace" => !is_untraced(&server),
            _ => true,
        };
        let end = Instant::now() + ATTACH_WAIT;
        while !is_watched() {
            assert!(Instant::now() < end && running.try_wait().unwrap().is_none(), "{level}: it does not attach");
            std::thread::sleep(Duration::from_millis(10));
        }
        std::thread::sleep(Duration::from_millis(300));
        assert!(running.try_wait().unwrap().is_none(), "{level}: it ended too early");
        kill(Signal::INT, running.id());
        let status = harness::wait_for_exit(&mut running);
        assert_eq!(status.code(), Some(130), "{level}");
        drop(load);
        assert!(is_untraced(&server), "{level}");
        server.assert_serves();
        assert_eq!(fs::read_dir(scratch.path()).unwrap().count(), 0, "{level}: files were left");
        assert!(!Path::new(&instance).exists(), "{level}: an instance was left");
    }
}

#[test]
fn failures_say_what_to_do() {
    let _alone = alone();
    assert!(failure(&[]).contains("name a server"));
    assert!(failure(&["--pid", "2147483647"]).contains("there is no process 2147483647"));
    let mut sleeper = Command::new("sleep").arg("60").spawn().unwrap();
    let said = failure(&["--pid", &sleeper.id().to_string()]);
    assert!(said.contains("listens nowhere"), "{said}");
    assert!(sleeper.try_wait().unwrap().is_none(), "it was stopped, though this tool did not start it");
    sleeper.kill().unwrap();
    sleeper.wait().unwrap();
    let said = failure(&["--", "/bin/false"]);
    assert!(said.contains("ended at once"), "{said}");
    let server = Server::with("--requirepass sesame");
    let pid = server.pid().to_string();
    let said = failure(&["--pid", &pid]);
    assert!(said.contains("wants a password"), "{said}");
    let said = failure(&["--pid", &pid, "-a", "wrong"]);
    assert!(said.contains("WRONGPASS"), "{said}");
    let said = failure(&["--pid", &pid, "-a", "sesame"]);
    assert!(said.contains("no request came"), "{said}");
    let said = failure(&["--pid", &pid, "-a", "sesame", "--socket", "/nowhere"]);
    assert!(said.contains("/nowhere"), "{said}");
    let socket = server.socket_path();
    let said = failure(&["--pid", &pid, "-a", "sesame", "--socket", socket.to_str().unwrap()]);
    assert!(said.contains("no request came"), "{said}");
}

#[test]
fn the_table_in_readme_is_that_of_the_newest_result() {
    let output = tool(&["readme", "--check", "--root", env!("CARGO_MANIFEST_DIR")]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_server_is_started_and_put_under_load() {
    let _alone = alone();
    let port = harness::free_port().to_string();
    let binary = harness::binary();
    let load = [
        "--load",
        "set -c 4 -P 4",
        "--load",
        "get -c 2 -r 100 --load",
        "--json",
        "--duration",
        "0.3",
        "--level",
        "proc",
    ];
    let mut command = tool(&load);
    let output = command.arg("--").arg(&binary).args(["--port", &port, "--save", ""]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let document = serde_json::from_slice::<Json>(&output.stdout).unwrap();
    for (profile, (name, load)) in [("set", "set -c 4 -P 4"), ("get", "get -c 2 -r 100")].into_iter().enumerate() {
        let profile = &document["profiles"][profile];
        assert_eq!(profile["load"], load);
        assert!(figure(profile, &format!("/median/commands/{name}")) > 0.9, "{profile:#}");
    }
    assert!(std::net::TcpStream::connect(format!("127.0.0.1:{port}")).is_err(), "the server is still there");
}

/// The server that was started is stopped again, by what can be seen of its port.
#[test]
fn a_started_server_is_stopped() {
    let _alone = alone();
    let port = harness::free_port().to_string();
    let binary = harness::binary();
    let mut command = tool(&["--load", "-c 50"]);
    let output = command.arg("--").arg(&binary).args(["--port", &port]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("a load is a test of torc-bench"), "{said}");
    let mut command = tool(&["--level", "proc", "--duration", "30", "--load", "ping", "--"]);
    let mut running = command.arg(&binary).args(["--port", &port]).spawn().unwrap();
    let address = format!("127.0.0.1:{port}");
    eventually("the server is started", || std::net::TcpStream::connect(&address).is_ok());
    kill(Signal::TERM, running.id());
    harness::wait_for_exit(&mut running);
    assert!(std::net::TcpStream::connect(&address).is_err(), "the server is still there");
}
