//! redis-cli and redis-benchmark as they are, against the server: what they send on their own must be answered.
//!
//! Drives built binaries only; knows nothing of their code. Skipped, aloud, where the tools are not installed.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it starts processes and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::io::Write;
use std::process::{Command, Output, Stdio};

use harness::{Server, Value, skip};

/// True when the tool can be run; says so when it cannot.
fn has(tool: &str) -> bool {
    let found = Command::new(tool).arg("--version").output().is_ok();
    if !found {
        skip(&format!("{tool} is not installed"));
    }
    found
}

/// Runs a tool against the server, feeding it `input`.
fn run(tool: &str, server: &Server, args: &[&str], input: &str) -> Output {
    let port = server.port().to_string();
    let mut command = Command::new(tool);
    command.args(["-h", "127.0.0.1", "-p", &port]).args(args);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

/// What redis-cli prints, which must have gone well.
#[track_caller]
fn cli(server: &Server, args: &[&str], input: &str) -> String {
    let output = run("redis-cli", server, args, input);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "redis-cli {args:?}: {}\n{text}{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    text
}

fn with_keys(count: usize) -> Server {
    let server = Server::start();
    let mut client = server.connect();
    for index in 0..count {
        client.send_command(&["SET", &format!("key:{index}"), &"v".repeat(1 + index % 50)]);
    }
    (0..count).for_each(|_| assert_eq!(client.reply(), Value::Status("OK".to_owned())));
    server
}

#[test]
fn commands_by_argument_and_from_a_pipe() {
    if !has("redis-cli") {
        return;
    }
    let server = Server::start();
    assert_eq!(cli(&server, &["SET", "k", "a b"], ""), "OK\n");
    assert_eq!(cli(&server, &["GET", "k"], ""), "a b\n");
    assert_eq!(cli(&server, &["-3", "GET", "none"], ""), "\n");
    assert_eq!(cli(&server, &["-n", "5", "DBSIZE"], ""), "0\n");
    assert_eq!(cli(&server, &["--no-raw", "INCR", "n"], ""), "(integer) 1\n");
    assert_eq!(cli(&server, &["-r", "3", "INCR", "n"], ""), "2\n3\n4\n");
    assert_eq!(cli(&server, &[], "MULTI\nINCR n\nGET k\nEXEC\n"), "OK\nQUEUED\nQUEUED\n5\na b\n");
    assert_eq!(cli(&server, &["-x", "SET", "stdin"], "from a pipe"), "OK\n");
    assert_eq!(cli(&server, &["GET", "stdin"], ""), "from a pipe\n");
    assert!(cli(&server, &["--json", "CONFIG", "GET", "databases"], "").contains("\"databases\":\"16\""));
    assert!(cli(&server, &["-3", "--no-raw", "HELLO", "3"], "").contains("\"proto\" => (integer) 3"));
    assert!(cli(&server, &["INFO", "server"], "").contains("redis_version:8.0.6"));
    let socket = server.socket_path();
    let output = Command::new("redis-cli").args(["-s", socket.to_str().unwrap(), "PING"]).output().unwrap();
    assert_eq!(output.stdout, b"PONG\n");
}

#[test]
fn a_password_is_sent() {
    if !has("redis-cli") {
        return;
    }
    let server = Server::with("--requirepass secret");
    assert_eq!(cli(&server, &["--no-auth-warning", "-a", "secret", "PING"], ""), "PONG\n");
    assert_eq!(cli(&server, &["--no-auth-warning", "--user", "default", "--pass", "secret", "PING"], ""), "PONG\n");
    assert!(cli(&server, &["PING"], "").starts_with("NOAUTH"));
}

#[test]
fn scanning() {
    if !has("redis-cli") {
        return;
    }
    let server = with_keys(3000);
    let mut keys = cli(&server, &["--scan"], "").lines().map(str::to_owned).collect::<Vec<_>>();
    keys.sort();
    keys.dedup();
    assert_eq!(keys.len(), 3000);
    let some = cli(&server, &["--scan", "--pattern", "key:29?"], "");
    assert_eq!(some.lines().count(), 10, "{some}");
}

#[test]
fn looking_for_big_keys() {
    if !has("redis-cli") {
        return;
    }
    let server = with_keys(1000);
    server.connect().command(&["SET", "the-biggest", &"x".repeat(500)]);
    let text = cli(&server, &["--bigkeys"], "");
    assert!(text.contains("Sampled 1001 keys in the keyspace!"), "{text}");
    assert!(text.contains("Biggest string found '\"the-biggest\"' has 500 bytes"), "{text}");
}

#[test]
fn mass_insertion() {
    if !has("redis-cli") {
        return;
    }
    let server = Server::start();
    let mut input = String::new();
    for index in 0..20_000 {
        let key = format!("key:{index}");
        input.push_str(&format!("*3\r\n$3\r\nSET\r\n${}\r\n{key}\r\n$5\r\nvalue\r\n", key.len()));
    }
    let text = cli(&server, &["--pipe"], &input);
    assert!(text.contains("errors: 0, replies: 20000"), "{text}");
    assert_eq!(server.connect().run("DBSIZE"), Value::Integer(20_000));
}

#[test]
fn statistics_once() {
    if !has("redis-cli") {
        return;
    }
    let server = with_keys(10);
    let text = cli(&server, &["-i", "0.01", "-r", "3", "INFO", "keyspace"], "");
    assert_eq!(text.matches("db0:keys=10,expires=0").count(), 3, "{text}");
}

#[test]
fn benchmark_runs_its_own_commands() {
    if !has("redis-benchmark") {
        return;
    }
    let server = Server::start();
    for extra in [&["-c", "1", "-n", "500"][..], &["-c", "50", "-n", "20000"], &["-c", "50", "-n", "50000", "-P", "16"]]
    {
        let mut args = vec!["-t", "ping,set,get,incr,mset", "-q", "-r", "1000"];
        args.extend(extra);
        let output = run("redis-benchmark", &server, &args, "");
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{text}{errors}");
        for name in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"] {
            assert!(text.contains(&format!("{name}: ")), "no {name} in {text}");
        }
        assert!(!errors.contains("WARNING") && !text.contains("Error"), "{text}{errors}");
    }
    assert!(server.connect().run("DBSIZE").integer() > 100);
}

#[test]
fn benchmark_with_a_command_of_ones_own_over_resp3_and_unix() {
    if !has("redis-benchmark") {
        return;
    }
    let server = Server::start();
    let args = ["-n", "5000", "-c", "20", "-q", "-3", "-r", "100", "APPEND", "key:__rand_int__", "x"];
    assert!(run("redis-benchmark", &server, &args, "").status.success());
    let total = server.connect().run("KEYS *").items().len();
    assert!((50..=100).contains(&total), "{total}");
    let socket = server.socket_path();
    let args = ["-s", socket.to_str().unwrap(), "-n", "5000", "-q", "-t", "set,get"];
    assert!(Command::new("redis-benchmark").args(args).output().unwrap().status.success());
}
