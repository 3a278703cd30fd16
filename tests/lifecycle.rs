//! The server as a process: arguments, configuration files, log, signals, readiness, exit status.
//!
//! Drives the built binary only; knows nothing of its code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::fs;
use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use harness::{Client, Server, Value, backend_args, binary, eventually, free_port, is_torc, kill, wait_for_exit};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

/// A process that is killed when the test ends, however it ends.
struct Process(Child);

impl Process {
    fn spawn(folder: &Path, args: &[&str], stdin: &str) -> Process {
        let output = fs::File::create(folder.join("out")).unwrap();
        let mut command = Command::new(binary());
        command
            .args(args)
            .args(backend_args())
            .current_dir(folder)
            .stdin(Stdio::piped())
            .stderr(output.try_clone().unwrap())
            .stdout(output);
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
        Process(child)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A process that is no child of ours, killed all the same when the test ends.
struct Background(u32);

impl Drop for Background {
    fn drop(&mut self) {
        let pid = Pid::from_raw(self.0 as i32).unwrap();
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Runs the binary to its end.
fn run(args: &[&str]) -> Output {
    Command::new(binary()).args(args).stdin(Stdio::null()).output().unwrap()
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&[&output.stdout[..], &output.stderr].concat()).into_owned()
}

fn answers(port: u16) -> bool {
    let Ok(mut client) = Client::try_tcp((Ipv4Addr::LOCALHOST, port).into()) else { return false };
    client.try_send(b"PING\r\n").is_ok() && client.try_reply().is_ok_and(|reply| reply.to_string() == "+PONG")
}

#[track_caller]
fn ask(port: u16, command: &str) -> String {
    Client::tcp((Ipv4Addr::LOCALHOST, port).into()).run(command).to_string()
}

/// What `ps` shows follows the template, from the start on.
#[test]
fn the_title_follows_the_template() {
    let title = |server: &Server| {
        let bytes = fs::read(format!("/proc/{}/cmdline", server.pid())).unwrap();
        String::from_utf8_lossy(&bytes).trim_end_matches('\0').to_owned()
    };
    let server = Server::start();
    let mut client = server.connect();
    let port = server.port();
    assert!(title(&server).ends_with(&format!(":{port}")), "{}", title(&server));
    assert_eq!(client.run("CONFIG SET proc-title-template \"TEST {port} {server-mode}\"").text(), "OK");
    assert_eq!(title(&server), format!("TEST {port}"));
    assert!(matches!(client.run("CONFIG SET proc-title-template {nosuch}"), Value::Error(_)));
    assert_eq!(title(&server), format!("TEST {port}"));
    let untouched = Server::with("--set-proc-title no");
    let before = title(&untouched);
    untouched.connect().run("CONFIG SET proc-title-template TEST");
    assert_eq!(title(&untouched), before);
}

#[test]
fn the_version_is_told_as_tools_parse_it() {
    for flag in ["--version", "-v"] {
        let output = run(&[flag]);
        assert!(output.status.success(), "{flag}");
        let line = text(&output);
        assert!(line.starts_with("Redis server v=8.0.6 sha="), "{line}");
        for field in [" malloc=", " bits=64", " build="] {
            assert!(line.contains(field), "no {field} in {line}");
        }
        assert_eq!(line.lines().count(), 1, "{line}");
    }
}

#[test]
fn help_is_given() {
    for flag in ["--help", "-h"] {
        let output = run(&[flag]);
        assert!(text(&output).contains("--version") && text(&output).contains("--help"), "{}", text(&output));
    }
}

#[test]
fn bad_arguments_end_the_start() {
    let cases: &[(&[&str], &str, &str)] = &[
        (&["--port", "abc"], "port \"abc\"", "argument couldn't be parsed into an integer"),
        (&["--port"], "port", "wrong number of arguments"),
        (&["--port", "1", "2"], "port \"1\" \"2\"", "wrong number of arguments"),
        (&["--maxclients", "0"], "maxclients \"0\"", "argument must be between 1 and 4294967295 inclusive"),
        (&["--timeout", "-1"], "timeout \"-1\"", "argument must be between 0 and 2147483647 inclusive"),
        (
            &["--loglevel", "loud"],
            "loglevel \"loud\"",
            "argument(s) must be one of the following: debug, verbose, notice, warning, nothing",
        ),
    ];
    for (args, line, reason) in cases {
        let output = run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let text = text(&output);
        assert!(text.contains("*** FATAL CONFIG FILE ERROR (Redis 8.0.6) ***"), "{text}");
        assert!(text.contains(&format!(">>> '{line}'\n{reason}")), "{text}");
    }
}

#[test]
fn bad_files_end_the_start_and_name_the_line() {
    let cases = [
        ("port 1\n\n# comment\nport abc\n", 4, "port abc", "argument couldn't be parsed into an integer"),
        ("timeout 5\nport \"1\n", 2, "port \"1", "Unbalanced quotes in configuration line"),
        ("databases 0\n", 1, "databases 0", "argument must be between 1 and 2147483647 inclusive"),
        ("protected-mode maybe\n", 1, "protected-mode maybe", "argument must be 'yes' or 'no'"),
        ("unixsocketperm 9\n", 1, "unixsocketperm 9", "argument couldn't be parsed as an octal number"),
        ("save 1\n", 1, "save 1", "Invalid save parameters"),
    ];
    for (content, number, line, reason) in cases {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("bad.conf");
        fs::write(&path, content).unwrap();
        let output = run(&[path.to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(1), "{content:?}");
        let text = text(&output);
        let wanted = format!("Reading the configuration file, at line {number}\n>>> '{line}'\n{reason}");
        assert!(text.contains(&wanted), "{content:?} gave:\n{text}");
    }
}

#[test]
fn unknown_directives_and_missing_files_end_the_start() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("unknown.conf");
    fs::write(&path, "maxclients 10\nnosuch 3\n").unwrap();
    let output = run(&[path.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains(">>> 'nosuch 3'"), "{}", text(&output));
    if is_torc() {
        assert!(
            text(&output).contains("at line 2\n>>> 'nosuch 3'\nBad directive or wrong number of arguments"),
            "{}",
            text(&output)
        );
    }
    for args in [&["/nonexistent/x.conf"][..], &["--include", "/nonexistent/x.conf"]] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        let wanted = "Fatal error, can't open config file '/nonexistent/x.conf': No such file or directory";
        assert!(text(&output).contains(wanted), "{}", text(&output));
    }
    let output = run(&["--port", "0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("Configured to not listen anywhere, exiting."), "{}", text(&output));
}

#[test]
fn a_server_that_would_be_another_one_does_not_start() {
    if !is_torc() {
        return;
    }
    for (args, reason) in [
        (&["--replicaof", "127.0.0.1", "1"][..], "Torc cannot be a replica yet: remove the 'replicaof' line"),
        (&["--cluster-enabled", "yes"], "Torc cannot be part of a cluster yet: remove the 'cluster-enabled' line"),
        (&["--loadmodule", "a.so"], "Torc has no modules: remove the 'loadmodule' line"),
    ] {
        let output = run(args);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(text(&output).contains(reason), "{}", text(&output));
    }
}

#[test]
fn users_of_the_file_log_in_and_are_written_back() {
    let folder = TempDir::new().unwrap();
    let port = free_port();
    let text = format!(
        "port {port}\nbind 127.0.0.1\nsave \"\"\n# people\nuser zed on >pw ~z* +@all\nuser default on nopass ~* +@all\nuser al\n"
    );
    let path = folder.path().join("users.conf");
    fs::write(&path, text).unwrap();
    let process = Process::spawn(folder.path(), &["users.conf"], "");
    eventually("it answers", || answers(port));
    let mut client = Client::tcp((Ipv4Addr::LOCALHOST, port).into());
    assert_eq!(client.run("ACL USERS").to_string(), "[\"al\", \"default\", \"zed\"]");
    assert_eq!(client.run("AUTH zed pw").to_string(), "+OK");
    assert_eq!(client.run("SET z1 v").to_string(), "+OK");
    assert!(client.run("SET a v").to_string().starts_with("-NOPERM"));
    assert_eq!(client.run("ACL SETUSER eve on nopass +ping").to_string(), "+OK");
    assert_eq!(client.run("CONFIG REWRITE").to_string(), "+OK");
    let log = fs::read_to_string(folder.path().join("out")).unwrap();
    assert!(log.contains("The user 'al' is disabled (there is no 'on' modifier in the user description)."), "{log}");
    let written = fs::read_to_string(&path).unwrap();
    let users = [
        "# people",
        "user al off sanitize-payload resetchannels -@all",
        "user default on nopass sanitize-payload ~* resetchannels +@all",
        "user eve on nopass sanitize-payload resetchannels -@all +ping",
    ];
    assert!(written.contains(&users.join("\n")), "{written}");
    assert!(
        written.contains(
            "\nuser zed on sanitize-payload #30c952fab122c3f9759f02a6d95c3758b246b4fee239957b2d4fee46e26170c4 ~z*"
        ),
        "{written}"
    );
    drop(process);
    // The kernel takes a killed ring apart behind the process' end.
    eventually("the port is free", || TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok());
    let _again = Process::spawn(folder.path(), &["users.conf"], "");
    eventually("it answers", || answers(port));
    assert_eq!(ask(port, "ACL USERS"), "[\"al\", \"default\", \"eve\", \"zed\"]");
}

#[test]
fn users_that_cannot_be_end_the_start() {
    let port = free_port().to_string();
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("users.acl");
    fs::write(&file, "").unwrap();
    let file = file.to_str().unwrap();
    let cases: &[(&[&str], &str)] = &[
        (
            &["--user", "bob", "on", "nosuch"],
            ">>> 'user \"bob\" \"on\" \"nosuch\"'\nError in user declaration 'bob': Syntax error",
        ),
        (
            &["--user", "bob", "on", "--user", "bob", "off"],
            "at line 5\n>>> 'user \"bob\" \"off\"'\nError in user declaration 'bob': Duplicate user found. A user can only be \
             defined once in config files",
        ),
        (&["--user", "bob", "on", "(+get"], "Error in user declaration 'bob': Wrong format"),
        (
            &["--user", "bob", "+nosuch"],
            "# Error loading ACL rule '+nosuch' for the user named 'bob': Unknown command or category name in ACL",
        ),
        (&["--user", "bob", "+nosuch"], "# Critical error while loading ACLs. Exiting."),
        (&["--user", "b b"], "# Spaces not allowed in ACL usernames"),
        (
            &["--user", "bob", "on", "--aclfile", file],
            "# Configuring Redis with users defined in redis.conf and at the same setting an ACL file path is invalid.",
        ),
    ];
    for (args, wanted) in cases {
        let output = run(&[&["--port", &port, "--bind", "127.0.0.1"], *args].concat());
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert!(text(&output).contains(wanted), "{args:?}: {}", text(&output));
    }
}

#[test]
fn what_has_no_effect_is_told_in_the_log() {
    if !is_torc() {
        return;
    }
    let lost = "Data is kept in memory only";
    let quiet = Server::start();
    assert!(!quiet.log().contains(lost) && !quiet.log().contains("has no effect"), "{}", quiet.log());
    let server = Server::with("--appendonly yes");
    let wanted = "The parameter 'appendonly' was set, but has no effect";
    assert!(server.log().contains(lost) && server.log().contains(wanted), "{}", server.log());
    assert_eq!(quiet.connect().run("CONFIG SET appendonly yes").to_string(), "+OK");
    assert!(quiet.log().contains(wanted), "{}", quiet.log());
}

#[test]
fn a_file_is_read_with_its_includes_and_quotes() {
    let folder = TempDir::new().unwrap();
    let port = free_port();
    let inner = folder.path().join("inner.conf");
    fs::write(&inner, "timeout 77\nTCP-KEEPALIVE 33\n").unwrap();
    let outer = folder.path().join("outer.conf");
    let content = format!(
        "# a comment\n\n   port {port}  \nbind 127.0.0.1\nsave \"\"\nrequirepass \"a b\\x41\\\"\"\ninclude {}\nmaxclients 500\nmaxclients 600\n\
         client-output-buffer-limit normal 1mb 2mb 3\n",
        inner.display()
    );
    fs::write(&outer, content).unwrap();
    let _process = Process::spawn(folder.path(), &["outer.conf", "--hz", "50", "--maxclients", "700"], "");
    eventually("it answers", || Client::try_tcp((Ipv4Addr::LOCALHOST, port).into()).is_ok());
    let mut client = Client::tcp((Ipv4Addr::LOCALHOST, port).into());
    assert_eq!(client.command(&["AUTH", "a bA\""]).to_string(), "+OK");
    for (name, value) in [
        ("timeout", "77"),
        ("tcp-keepalive", "33"),
        ("hz", "50"),
        ("maxclients", "700"),
        (
            "client-output-buffer-limit",
            "normal 1048576 2097152 3 slave 268435456 67108864 60 pubsub 33554432 8388608 60",
        ),
    ] {
        assert_eq!(client.command(&["CONFIG", "GET", name]).items()[1].text(), value, "{name}");
    }
}

#[test]
fn settings_come_from_standard_input() {
    let folder = TempDir::new().unwrap();
    let port = free_port();
    let content = format!("port {port}\nbind 127.0.0.1\nsave \"\"\ntimeout 55\n");
    let _process = Process::spawn(folder.path(), &["-"], &content);
    eventually("it answers", || answers(port));
    assert_eq!(ask(port, "CONFIG GET timeout"), "[\"timeout\", \"55\"]");
}

#[test]
fn several_values_and_odd_forms_of_arguments() {
    let folder = TempDir::new().unwrap();
    let port = free_port().to_string();
    let args = [
        "--port",
        &port,
        "--bind",
        "127.0.0.1",
        "127.0.0.5",
        "--save",
        "--timeout",
        "5",
        "--client-output-buffer-limit",
        "normal 1 1 1",
        "--loglevel",
        "verbose",
    ];
    let _process = Process::spawn(folder.path(), &args, "");
    let port = port.parse().unwrap();
    eventually("it answers", || answers(port));
    assert_eq!(ask(port, "CONFIG GET save"), "[\"save\", \"\"]");
    assert_eq!(ask(port, "CONFIG GET bind"), "[\"bind\", \"127.0.0.1 127.0.0.5\"]");
    assert_eq!(ask(port, "CONFIG GET timeout"), "[\"timeout\", \"5\"]");
}

#[test]
fn the_log_has_the_lines_that_people_look_for() {
    let mut server = Server::with("--loglevel verbose");
    server.assert_serves();
    let log = server.log();
    let pid = server.pid();
    for wanted in [
        "Server initialized",
        "Ready to accept connections tcp",
        "Ready to accept connections unix",
        "Running mode=standalone, port=",
    ] {
        assert!(log.contains(wanted), "no {wanted:?} in\n{log}");
    }
    for line in log.lines().filter(|line| line.contains("Ready to accept")) {
        // pid:role day month year time.ms level message
        let (head, rest) = line.split_once(' ').unwrap();
        assert_eq!(head, format!("{pid}:M"), "{line}");
        let fields = rest.split(' ').collect::<Vec<_>>();
        assert_eq!(fields[0].len(), 2, "{line}");
        assert_eq!(fields[1].len(), 3, "{line}");
        assert_eq!(fields[2].len(), 4, "{line}");
        assert_eq!(fields[3].len(), "20:00:00.000".len(), "{line}");
        assert_eq!(fields[4], "*", "{line}");
    }
    let address = server.connect().local_address();
    eventually("the connection is logged", || server.log().contains(&format!("Accepted {address}")));
    server.signal(Signal::TERM);
    assert_eq!(server.wait_for_exit().code(), Some(0));
}

#[test]
fn the_log_goes_to_its_file_even_when_that_is_moved_away() {
    let server = Server::with("--logfile server.log --loglevel verbose");
    let path = server.folder().join("server.log");
    eventually("the file has the start", || {
        fs::read_to_string(&path).is_ok_and(|text| text.contains("Ready to accept connections"))
    });
    fs::rename(&path, server.folder().join("old.log")).unwrap();
    server.assert_serves();
    eventually("a new file is begun", || fs::read_to_string(&path).is_ok_and(|text| text.contains("Accepted ")));
}

/// The socket of the system's log, taken for one test.
struct SystemLog(UnixDatagram);

impl Drop for SystemLog {
    fn drop(&mut self) {
        let _ = fs::remove_file("/dev/log");
    }
}

#[test]
fn the_log_of_the_system_gets_every_line() {
    let Ok(socket) = UnixDatagram::bind("/dev/log") else {
        return harness::skip("/dev/log cannot be taken: the host has a log, or the test may not");
    };
    let log = SystemLog(socket);
    log.0.set_read_timeout(Some(harness::TIMEOUT)).unwrap();
    let server = Server::with("--syslog-enabled yes --syslog-ident mine --syslog-facility local3");
    let mut buffer = [0; 4096];
    let (wanted, pid) = ("Ready to accept connections tcp", server.pid());
    loop {
        let len = log.0.recv(&mut buffer).expect("the line arrives");
        let line = String::from_utf8_lossy(&buffer[..len]).into_owned();
        if line.contains(wanted) {
            // Facility 19, a notice.
            assert!(line.starts_with("<157>") && line.ends_with(&format!(" mine[{pid}]: {wanted}")), "{line}");
            break;
        }
    }
    assert!(server.log().contains(wanted), "the log has it, too");
}

#[test]
fn quiet_levels_are_quiet() {
    let server = Server::with("--loglevel warning");
    server.assert_serves();
    assert!(!server.log().contains("Ready to accept"), "{}", server.log());
}

#[test]
fn signals_end_it_gracefully() {
    for signal in [Signal::TERM, Signal::INT] {
        let mut server = Server::with("--pidfile redis.pid --daemonize no");
        let mut client = server.connect();
        assert_eq!(client.run("SET k v").to_string(), "+OK");
        assert_eq!(fs::read_to_string(server.folder().join("redis.pid")).unwrap().trim(), server.pid().to_string());
        let start = Instant::now();
        server.signal(signal);
        let status = server.wait_for_exit();
        assert_eq!(status.code(), Some(0), "{signal:?}");
        assert!(start.elapsed() < Duration::from_secs(5), "{signal:?} took {:?}", start.elapsed());
        assert_eq!(client.read_to_close(), b"");
        let log = server.log();
        assert!(log.contains("User requested shutdown..."), "{log}");
        assert!(log.contains("is now ready to exit, bye bye..."), "{log}");
        assert!(!server.folder().join("redis.pid").exists(), "the pidfile stays behind");
        assert!(!server.socket_path().exists(), "the socket stays behind");
    }
}

/// What of the log begins with the line that has `from`, without numbers, times and dates.
fn messages_from(log: &str, from: &str) -> Vec<String> {
    let lines = log.lines().skip_while(|line| !line.contains(from));
    lines.map(|line| line.splitn(6, ' ').nth(5).unwrap_or(line).to_owned()).collect()
}

#[test]
fn signals_are_logged_as_they_arrive() {
    let mut server = Server::with("--pidfile redis.pid");
    server.assert_serves();
    server.signal(Signal::TERM);
    assert_eq!(server.wait_for_exit().code(), Some(0));
    let log = server.log();
    let line = log.lines().find(|line| line.contains("signal-handler")).expect("a line of the handler");
    let (head, rest) = line.split_once(" (").unwrap();
    assert_eq!(head, format!("{}:signal-handler", server.pid()));
    let (seconds, message) = rest.split_once(") ").unwrap();
    assert!(seconds.len() >= 10 && seconds.bytes().all(|byte| byte.is_ascii_digit()), "{line}");
    assert_eq!(message, "Received SIGTERM scheduling shutdown...");
    let mut wanted = vec!["* User requested shutdown...", "* Removing the pid file."];
    wanted.extend(["* Removing the unix socket file.", "# Redis is now ready to exit, bye bye..."]);
    assert_eq!(messages_from(&log, "User requested"), wanted);
}

#[test]
fn the_second_interrupt_ends_a_busy_server() {
    if !is_torc() {
        return harness::skip("a signal ends the sleep of Redis' DEBUG SLEEP");
    }
    let mut server = Server::with("--enable-debug-command yes --logfile server.log");
    let path = server.folder().join("server.log");
    let mut client = server.connect();
    client.send_command(&["DEBUG", "SLEEP", "60"]);
    // Or the first signal ends it before it is busy.
    std::thread::sleep(Duration::from_millis(200));
    kill(Signal::INT, server.pid());
    let logged = |text: &str| fs::read_to_string(&path).is_ok_and(|log| log.contains(text));
    eventually("the first one is logged", || logged("Received SIGINT scheduling shutdown..."));
    kill(Signal::INT, server.pid());
    assert_eq!(server.wait_for_exit().code(), Some(1));
    assert!(logged("signal-handler (") && logged(") You insist... exiting now."));
}

#[test]
fn what_a_signal_asks_for_can_be_set() {
    let mut server = Server::with("--shutdown-on-sigint save --shutdown-on-sigterm save force --dir .");
    if is_torc() {
        for refused in 1..=2 {
            kill(Signal::INT, server.pid());
            let count = || server.log().matches("Errors trying to shut down the server.").count();
            eventually("it is refused", || count() == refused);
        }
        server.assert_serves();
        assert!(server.log().contains(" # Error trying to save the DB, can't exit."), "{}", server.log());
    }
    server.signal(Signal::TERM);
    assert_eq!(server.wait_for_exit().code(), Some(0));
    if is_torc() {
        assert!(server.log().contains(" # Error trying to save the DB. Exit anyway."), "{}", server.log());
    }
}

#[test]
fn the_logo_shows_the_number_of_the_process() {
    for logfile in ["", "server.log"] {
        let arg = if logfile.is_empty() { String::new() } else { format!(" --logfile {logfile}") };
        let server = Server::with(&format!("--always-show-logo yes{arg}"));
        let read = || match logfile {
            "" => server.log(),
            _ => fs::read_to_string(server.folder().join(logfile)).unwrap_or_default(),
        };
        let wanted = [format!(" PID: {}\n", server.pid()), format!(" Port: {}\n", server.port())];
        let has = |log: String| log.contains(" PID: ") && log.contains(" standalone mode");
        eventually("the logo is shown", || has(read()));
        assert!(wanted.iter().all(|line| read().contains(line)) && !read().contains("Running mode="), "{}", read());
    }
    let server = Server::with("--always-show-logo no");
    assert!(!server.log().contains(" PID: "), "{}", server.log());
}

#[test]
fn hangup_and_broken_pipes_are_ignored() {
    let mut server = Server::start();
    kill(Signal::HUP, server.pid());
    kill(Signal::PIPE, server.pid());
    std::thread::sleep(Duration::from_millis(100));
    server.assert_serves();
    server.signal(Signal::TERM);
    assert_eq!(server.wait_for_exit().code(), Some(0));
}

#[test]
fn shutdown_ends_it_and_closes_everything() {
    for command in ["SHUTDOWN", "SHUTDOWN NOSAVE", "SHUTDOWN NOW", "SHUTDOWN NOSAVE NOW FORCE"] {
        let mut server = Server::start();
        let mut other = server.connect();
        assert_eq!(other.run("PING").to_string(), "+PONG");
        let mut client = server.connect();
        client.send_command(&harness::split_line(command));
        assert_eq!(server.wait_for_exit().code(), Some(0), "{command}");
        assert_eq!(client.read_to_close(), b"", "{command}");
        assert_eq!(other.read_to_close(), b"", "{command}");
    }
    let mut server = Server::start();
    let mut client = server.connect();
    client.send(b"PING\r\nSHUTDOWN\r\nPING\r\n");
    assert_eq!(server.wait_for_exit().code(), Some(0));
    assert_eq!(client.read_to_close(), b"+PONG\r\n", "nothing runs behind it");
    let server = Server::start();
    harness::play(
        &server,
        "
        SHUTDOWN nosuch             => -ERR syntax error
        SHUTDOWN SAVE NOSAVE        => -ERR syntax error
        SHUTDOWN ABORT              => -ERR No shutdown in progress.
        SHUTDOWN ABORT NOW          => -ERR syntax error
        PING                        => +PONG
        ",
    );
}

#[test]
fn it_can_go_to_the_background() {
    let folder = TempDir::new().unwrap();
    let port = free_port();
    let text = port.to_string();
    let args = [
        "--port",
        &text,
        "--bind",
        "127.0.0.1",
        "--daemonize",
        "yes",
        "--pidfile",
        "d.pid",
        "--save",
        "",
        "--logfile",
        "d.log",
    ];
    let mut process = Process::spawn(folder.path(), &args, "");
    assert!(wait_for_exit(&mut process.0).success());
    eventually("the background process answers", || answers(port));
    let pid = fs::read_to_string(folder.path().join("d.pid")).unwrap().trim().parse::<u32>().unwrap();
    let _guard = Background(pid);
    assert_ne!(pid, process.0.id());
    let info = Client::tcp((Ipv4Addr::LOCALHOST, port).into()).run("INFO server").text();
    assert!(info.contains(&format!("process_id:{pid}")), "{info}");
    kill(Signal::TERM, pid);
    eventually("it ends", || {
        !Path::new(&format!("/proc/{pid}")).exists()
            || fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| stat.contains(") Z "))
    });
    eventually("its pidfile is gone", || !folder.path().join("d.pid").exists());
}

#[test]
fn readiness_is_told_to_systemd() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("notify");
    let listener = UnixDatagram::bind(&socket).unwrap();
    listener.set_read_timeout(Some(harness::TIMEOUT)).unwrap();
    let mut server =
        Server::builder().args("--supervised systemd").environment("NOTIFY_SOCKET", socket.to_str().unwrap()).start();
    let mut told = String::new();
    let mut buffer = [0; 4096];
    while !told.contains("READY=1") {
        let len = listener.recv(&mut buffer).expect("READY=1 arrives");
        told.push_str(std::str::from_utf8(&buffer[..len]).unwrap());
        told.push('\n');
    }
    assert!(told.contains("STATUS="), "{told}");
    server.signal(Signal::TERM);
    assert_eq!(server.wait_for_exit().code(), Some(0));
    if is_torc() {
        while !told.contains("STOPPING=1") {
            let len = listener.recv(&mut buffer).expect("STOPPING=1 arrives");
            told.push_str(std::str::from_utf8(&buffer[..len]).unwrap());
        }
    }
}

#[test]
fn nothing_is_told_when_nobody_asked() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("notify");
    let listener = UnixDatagram::bind(&socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    let server =
        Server::builder().args("--supervised no").environment("NOTIFY_SOCKET", socket.to_str().unwrap()).start();
    server.assert_serves();
    assert!(listener.recv(&mut [0; 100]).is_err());
}

/// Starts a server, breaks it, and returns how it ended, and its log.
fn broken_by(args: &str, breaking: impl FnOnce(&mut Server)) -> (Option<i32>, String) {
    let mut server = Server::with(&format!("--enable-debug-command yes {args}"));
    breaking(&mut server);
    (server.wait_for_exit().signal(), server.log())
}

#[track_caller]
fn assert_sections(log: &str, wanted: &[&str]) {
    let mut rest = log;
    for title in wanted {
        let at = rest.find(title).unwrap_or_else(|| panic!("no {title:?} in order in\n{log}"));
        rest = &rest[at + title.len()..];
    }
}

const REPORT: [&str; 6] = [
    "\n=== REDIS BUG REPORT START: Cut & paste starting from here ===\n",
    "\n------ STACK TRACE ------\n",
    "\n------ INFO OUTPUT ------\n# Server\r\nredis_version:8.0.6\r\n",
    "\n------ CLIENT LIST OUTPUT ------\nid=",
    "\n------ CONFIG DEBUG OUTPUT ------\n",
    "\n=== REDIS BUG REPORT END. Make sure to include from START to END. ===\n",
];

#[test]
fn a_fault_is_reported_and_then_ends_it() {
    let (signal, log) = broken_by("--requirepass topsecret", |server| {
        let mut client = server.connect();
        client.run("AUTH topsecret");
        client.run("CLIENT SETNAME culprit");
        client.send_command(&["DEBUG", "SEGFAULT", "argument"]);
    });
    assert_eq!(signal, Some(Signal::SEGV.as_raw()));
    assert_sections(&log, &REPORT);
    let client = ["\n------ CURRENT CLIENT INFO ------\nid=", " name=culprit ", "argv[1]: '\"SEGFAULT\"'", "argument"];
    assert_sections(&log, &client);
    assert!(log.contains(" # Redis 8.0.6 crashed by signal: 11, si_code: 2"), "{log}");
    assert!(log.contains(" # Accessing address: 0x") && !log.contains("topsecret"), "{log}");
    if is_torc() {
        assert!(log.contains("write_to_forbidden_page"), "no names in the trace:\n{log}");
    }
}

#[test]
fn a_signal_from_outside_is_reported_too() {
    for signal in [Signal::SEGV, Signal::BUS, Signal::FPE, Signal::ILL, Signal::ABORT] {
        let (ended, log) = broken_by("", |server| {
            server.connect().run("PING");
            kill(signal, server.pid());
        });
        // Redis' own report breaks here, and then that is what it ends by.
        assert!(ended == Some(signal.as_raw()) || !is_torc(), "{signal:?} ended it by {ended:?}");
        assert_sections(&log, &[REPORT[0], REPORT[1], REPORT[2], REPORT[5]]);
        let killer = format!(" # Killed by PID: {}, UID: ", std::process::id());
        let line = format!(" # Redis 8.0.6 crashed by signal: {}, si_code: 0", signal.as_raw());
        assert!(log.contains(&line) && log.contains(&killer), "{log}");
        assert!(!log.contains("CURRENT CLIENT INFO"), "{log}");
    }
}

#[test]
fn a_panic_is_reported_and_hides_what_is_to_be_hidden() {
    let panic = |server: &mut Server| server.connect().send_command(&["DEBUG", "PANIC", "private"]);
    let (signal, log) = broken_by("", panic);
    assert!(signal == Some(Signal::ABORT.as_raw()) || !is_torc(), "{signal:?}");
    assert_sections(&log, &REPORT);
    assert_sections(&log, &["!!! Software Failure.", "Guru Meditation: ", "Unix time", "argv[2]: '\"private\"'"]);
    let (_, log) = broken_by("--hide-user-data-from-log yes", panic);
    assert_sections(
        &log,
        &["Guru Meditation: ", "argv[0]: '\"DEBUG\"'\nargv[1]: '*redacted*'\nargv[2]: '*redacted*'\n"],
    );
    assert!(!log.contains("private"), "{log}");
    let (_, log) = broken_by("", |server| server.connect().send_command(&["DEBUG", "ASSERT"]));
    assert_sections(&log, &["ASSERTION FAILED", "==> ", "' is not true", REPORT[1]]);
}

#[test]
fn nothing_is_reported_without_the_setting() {
    for (args, setting) in [("--crash-log-enabled no", None), ("", Some("CONFIG SET crash-log-enabled no"))] {
        let (signal, log) = broken_by(args, |server| {
            if let Some(line) = setting {
                assert_eq!(server.connect().run(line).to_string(), "+OK");
            }
            server.connect().send_command(&["DEBUG", "SEGFAULT"]);
        });
        assert_eq!(signal, Some(Signal::SEGV.as_raw()));
        assert!(!log.contains("BUG REPORT"), "{log}");
    }
    let (signal, log) = broken_by("--crash-log-enabled no", |server| {
        server.connect().send_command(&["DEBUG", "PANIC"]);
    });
    assert_eq!(signal, Some(Signal::ABORT.as_raw()));
    assert_sections(&log, &["Guru Meditation: ", REPORT[5]]);
    assert!(!log.contains("STACK TRACE"), "{log}");
}

#[test]
fn the_score_of_the_process_follows_the_settings() {
    let score = || fs::read_to_string("/proc/self/oom_score_adj").unwrap().trim().parse::<i32>().unwrap();
    let server = Server::with("--oom-score-adj relative --oom-score-adj-values 10 20 30");
    let of_server = || fs::read_to_string(format!("/proc/{}/oom_score_adj", server.pid())).unwrap().trim().to_owned();
    let before = score();
    let expect = |wanted: i32| assert_eq!(of_server(), wanted.to_string());
    expect(before + 10);
    let mut client = server.connect();
    assert_eq!(client.command(&["CONFIG", "SET", "oom-score-adj-values", "15 20 30"]).to_string(), "+OK");
    expect(before + 15);
    assert_eq!(client.command(&["CONFIG", "SET", "oom-score-adj-values", "1500 1600 1700"]).to_string(), "+OK");
    expect(1000);
    assert_eq!(client.run("CONFIG SET oom-score-adj no").to_string(), "+OK");
    expect(before);
    assert_eq!(client.command(&["CONFIG", "SET", "oom-score-adj-values", "700 800 900"]).to_string(), "+OK");
    expect(before);
    assert_eq!(client.run("CONFIG SET oom-score-adj absolute").to_string(), "+OK");
    expect(700);
}

/// The processors that a process may run on.
fn processors_of(process: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:")).expect("a list");
    line.trim().to_owned()
}

#[test]
fn the_server_stays_on_its_processors() {
    let all = processors_of("self");
    let first = all.split(['-', ',']).next().unwrap();
    // The second number is no processor of anybody's; what is wrong changes nothing.
    for (list, expected) in [(format!("{first},1023"), first), ("1,".to_owned(), &all), ("1023".to_owned(), &all)] {
        let server = Server::with(&format!("--server-cpulist {list}"));
        server.assert_serves();
        assert_eq!(processors_of(&server.pid().to_string()), expected, "{list}");
    }
}
