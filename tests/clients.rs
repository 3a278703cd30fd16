//! What clients do to each other: blocking, pausing, watching, being told of changed keys; as Redis 8.0 answers.
//!
//! Drives the built binary over sockets; knows nothing of its code.

#![allow(
    clippy::disallowed_methods,
    reason = "a test is a real client: it opens sockets, starts threads, reads the clock"
)]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::time::{Duration, Instant};

use harness::{Client, Server, Value, eventually, play};

/// A moment in which nothing must come.
const QUIET: Duration = Duration::from_millis(60);

fn id_of(client: &mut Client) -> i64 {
    client.run("CLIENT ID").integer()
}

fn resp3(server: &Server) -> Client {
    let mut client = server.connect();
    client.run("HELLO 3");
    client
}

/// One field of INFO.
fn info(client: &mut Client, field: &str) -> String {
    let text = client.run("INFO everything").text();
    let value = text.lines().find_map(|line| line.strip_prefix(&format!("{field}:")));
    value.unwrap_or_else(|| panic!("no {field} in {text}")).trim().to_owned()
}

#[test]
fn arguments_are_checked() {
    play(
        &Server::start(),
        r#"
        WAIT x 0                            => -ERR value is not an integer or out of range
        WAIT 0 x                            => -ERR timeout is not an integer or out of range
        WAIT 0 -1                           => -ERR timeout is negative
        WAIT 1 9223372036854775807          => -ERR timeout is out of range
        WAIT 0 0                            => :0
        WAITAOF 1 0 0                       => -ERR WAITAOF cannot be used when numlocal is set but appendonly is disabled.
        WAITAOF 2 0 0                       => -ERR value is out of range, value must between 0 and 1
        WAITAOF 0 x 0                       => -ERR value is out of range, must be positive
        WAITAOF 0 0 0                       => [:0, :0]
        CLIENT UNBLOCK x                    => -ERR value is not an integer or out of range
        CLIENT UNBLOCK 1 FOO                => -ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR
        CLIENT UNBLOCK 99999                => :0
        CLIENT PAUSE x                      => -ERR timeout is not an integer or out of range
        CLIENT PAUSE -1                     => -ERR timeout is negative
        CLIENT PAUSE 10 FOO                 => -ERR CLIENT PAUSE mode must be WRITE or ALL
        CLIENT PAUSE 10 WRITE x             => -ERR unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.
        CLIENT UNPAUSE                      => +OK
        CLIENT REPLY FOO                    => -ERR syntax error
        CLIENT NO-EVICT x                   => -ERR syntax error
        CLIENT NO-TOUCH on                  => +OK
        CLIENT NO-EVICT ON                  => +OK
        CLIENT GETREDIR                     => :-1
        CLIENT CACHING yes                  => -ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled
        CLIENT TRACKING on PREFIX a         => -ERR PREFIX option requires BCAST mode to be enabled
        CLIENT TRACKING on REDIRECT 99999   => -ERR The client ID you want redirect to does not exist
        CLIENT TRACKING on OPTIN            => +OK
        CLIENT CACHING no                   => -ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.
        CLIENT CACHING yes                  => +OK
        CLIENT TRACKINGINFO                 => ["flags", ["on", "optin", "caching-yes"], "redirect", :0, "prefixes", []]
        RESET                               => +RESET
        CLIENT TRACKINGINFO                 => ["flags", ["off"], "redirect", :-1, "prefixes", []]
        CLIENT KILL ID 99998 99999          => -ERR syntax error
        CLIENT KILL ID 99998 ID 99999       => :0
        MONITOR x                           => -ERR wrong number of arguments for 'monitor' command
        MULTI                               => +OK
        MONITOR                             => +QUEUED
        WAIT 1 0                            => +QUEUED
        WAITAOF 0 1 0                       => +QUEUED
        EXEC                                => [-ERR MONITOR isn't allowed for DENY BLOCKING client, :0, [:0, :0]]
        "#,
    );
}

#[test]
fn waiting_ends_on_time_and_input_behind_it_is_kept() {
    let server = Server::start();
    let mut waiting = server.connect();
    let started = Instant::now();
    waiting.send(b"WAIT 1 100\r\nPING\r\nSET after 1\r\n");
    waiting.send(b"GET after\r\n");
    waiting.expect(b":0\r\n");
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(100), "{took:?}");
    waiting.expect(b"+PONG\r\n+OK\r\n$1\r\n1\r\n");
}

#[test]
fn unblocking_answers_the_blocked_client() {
    let server = Server::start();
    let (mut waiting, mut other) = (server.connect(), server.connect());
    let id = id_of(&mut waiting);
    waiting.send(b"WAIT 1 0\r\nPING\r\n");
    eventually("the client is blocked", || info(&mut other, "blocked_clients") == "1");
    assert_eq!(info(&mut other, "clients_in_timeout_table"), "0");
    let line = other.run(&format!("CLIENT LIST ID {id}")).text();
    assert!(line.contains(" flags=b ") && line.contains(" cmd=wait "), "{line}");
    assert!(waiting.is_silent_for(QUIET));
    assert_eq!(other.run(&format!("CLIENT UNBLOCK {id}")).integer(), 1);
    waiting.expect(b":0\r\n+PONG\r\n");
    waiting.send(b"WAIT 1 100000\r\n");
    eventually("it has a deadline", || info(&mut other, "clients_in_timeout_table") == "1");
    assert_eq!(other.run(&format!("CLIENT UNBLOCK {id} ERROR")).integer(), 1);
    waiting.expect(b"-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n");
    waiting.send(b"WAITAOF 0 1 0\r\n");
    eventually("it waits again", || other.run(&format!("CLIENT UNBLOCK {id} TIMEOUT")).integer() == 1);
    waiting.expect(b"*2\r\n:0\r\n:0\r\n");
    assert_eq!(other.run(&format!("CLIENT UNBLOCK {id}")).integer(), 0);
    waiting.send(b"WAIT 1 0\r\nSET never 1\r\n");
    eventually("it waits once more", || info(&mut other, "blocked_clients") == "1");
    drop(waiting);
    eventually("it is gone", || info(&mut other, "blocked_clients") == "0");
    assert_eq!(other.run("EXISTS never").integer(), 0);
}

#[test]
fn a_blocked_client_may_not_send_without_end() {
    let server = Server::with("--client-query-buffer-limit 1mb");
    let mut waiting = server.connect();
    waiting.send(b"WAIT 1 0\r\n");
    let chunk = vec![b'x'; 256 << 10];
    let mut sent = 0;
    while waiting.try_send(&chunk).is_ok() {
        sent += chunk.len();
        assert!(sent < 64 << 20, "it is never closed");
    }
    let mut other = server.connect();
    assert_eq!(info(&mut other, "client_query_buffer_limit_disconnections"), "1");
}

#[test]
fn much_input_behind_a_wait_is_executed_soon() {
    let server = Server::start();
    let (mut waiting, mut other) = (server.connect(), server.connect());
    let id = id_of(&mut waiting);
    waiting.send(b"WAIT 1 0\r\n");
    eventually("it waits", || info(&mut other, "blocked_clients") == "1");
    const COMMANDS: usize = 400_000;
    waiting.send(&b"INCR counter_of_a_long_name\r\n".repeat(COMMANDS));
    assert_eq!(other.run("PING").to_string(), "+PONG");
    let started = Instant::now();
    assert_eq!(other.run(&format!("CLIENT UNBLOCK {id}")).integer(), 1);
    assert_eq!(waiting.reply().integer(), 0);
    for number in 1..=COMMANDS {
        assert_eq!(waiting.reply().integer(), number as i64);
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[test]
fn what_was_read_is_remembered_when_tracking_stops() {
    let server = Server::start();
    let (mut tracker, mut other) = (resp3(&server), server.connect());
    for stop in ["CLIENT TRACKING off", "RESET"] {
        tracker.run("HELLO 3");
        tracker.run("CLIENT TRACKING on");
        tracker.run("MGET k changed");
        tracker.run(stop);
        other.run("SET changed v");
        tracker.run("HELLO 3");
        tracker.run("CLIENT TRACKING on");
        other.run("MSET k v changed w");
        assert_eq!(tracker.reply().to_string(), ">[\"invalidate\", [\"k\"]]", "behind {stop}");
        assert_eq!(tracker.run("PING").to_string(), "+PONG", "and nothing more");
    }
}

#[test]
fn a_refused_command_uses_caching_up() {
    let server = Server::start();
    let (mut tracker, mut other) = (resp3(&server), server.connect());
    tracker.run("CLIENT TRACKING on OPTOUT");
    for refused in ["OBJECT nosuch k", "GET", "NOSUCH"] {
        tracker.run("CLIENT CACHING no");
        tracker.run(refused);
        tracker.run("GET k");
        other.run("SET k v");
        assert_eq!(tracker.reply().to_string(), ">[\"invalidate\", [\"k\"]]", "behind {refused}");
    }
}

#[test]
fn a_password_that_comes_back_is_asked_for_again() {
    let server = Server::start();
    play(
        &server,
        r#"
        a: PING                             => +PONG
        b: PING                             => +PONG
        a: CONFIG SET requirepass x         => +OK
        b: PING                             => +PONG
        c: PING                             => -NOAUTH Authentication required.
        a: CONFIG SET requirepass ""        => +OK
        c: PING                             => +PONG
        a: CONFIG SET requirepass y         => +OK
        b: PING                             => +PONG
        c: PING                             => -NOAUTH Authentication required.
        c: AUTH y                           => +OK
        a: CONFIG SET requirepass ""        => +OK
        a: CONFIG SET requirepass z         => +OK
        c: PING                             => +PONG
        c: RESET                            => +RESET
        c: PING                             => -NOAUTH Authentication required.
        "#,
    );
}

#[test]
fn a_pause_of_writes_lets_reads_pass() {
    let server = Server::start();
    let (mut admin, mut writer, mut second) = (server.connect(), server.connect(), server.connect());
    assert_eq!(admin.run("SET k old").to_string(), "+OK");
    second.run("MULTI");
    second.run("APPEND k 2");
    assert_eq!(admin.run("CLIENT PAUSE 100000 WRITE").to_string(), "+OK");
    writer.send(b"APPEND k 1\r\nGET k\r\n");
    eventually("the first waits", || info(&mut admin, "blocked_clients") == "1");
    second.send(b"EXEC\r\n");
    eventually("both wait", || info(&mut admin, "blocked_clients") == "2");
    assert_eq!(admin.run("GET k").to_string(), "\"old\"");
    let id = id_of(&mut admin) + 1;
    assert_eq!(admin.run(&format!("CLIENT UNBLOCK {id}")).integer(), 0);
    assert!(writer.is_silent_for(QUIET) && second.is_silent_for(QUIET));
    assert_eq!(admin.run("CLIENT UNPAUSE").to_string(), "+OK");
    writer.expect(b":4\r\n");
    second.expect(b"*1\r\n:5\r\n");
    writer.expect(b"$");
    assert_eq!(admin.run("GET k").to_string(), "\"old12\"");
    assert_eq!(info(&mut admin, "blocked_clients"), "0");
}

#[test]
fn a_pause_of_everything_ends_by_itself() {
    let server = Server::start();
    let (mut admin, mut other) = (server.connect(), server.connect());
    let started = Instant::now();
    assert_eq!(admin.run("CLIENT PAUSE 200").to_string(), "+OK");
    admin.send(b"CLIENT UNPAUSE\r\n");
    other.send(b"PING\r\nPING\r\n");
    admin.expect(b"+OK\r\n");
    other.expect(b"+PONG\r\n+PONG\r\n");
    let took = started.elapsed();
    assert!(took >= Duration::from_millis(195), "{took:?}");
}

#[test]
fn keys_do_not_expire_while_writes_are_paused() {
    let server = Server::start();
    let mut client = server.connect();
    client.run("SET k v PX 50");
    client.run("CLIENT PAUSE 100000 WRITE");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(client.run("GET k").to_string(), "(nil)");
    assert_eq!(client.run("DBSIZE").integer(), 1);
    client.run("CLIENT UNPAUSE");
    eventually("it expires", || client.run("DBSIZE").integer() == 0);
}

/// The next line of a monitor without its time.
fn monitored(monitor: &mut Client) -> String {
    let line = monitor.reply().to_string();
    let (time, rest) = line.split_once(' ').unwrap();
    let digits = time.strip_prefix('+').and_then(|time| time.split_once('.'));
    assert!(digits.is_some_and(|(seconds, micros)| seconds.len() == 10 && micros.len() == 6), "{line}");
    rest.to_owned()
}

#[test]
fn monitor_shows_commands_as_they_run() {
    let server = Server::start();
    let (mut monitor, mut client) = (server.connect(), server.connect());
    let addr = client.local_address();
    assert_eq!(monitor.run("MONITOR").to_string(), "+OK");
    let own = monitor.local_address();
    monitor.send(b"PING\r\n");
    monitor.expect(b"+PONG\r\n");
    assert_eq!(monitored(&mut monitor), format!("[0 {own}] \"PING\""));
    for line in [
        "select 3",
        "SET \"a\\\"b\" \"\\x00\\xff\\r\\n\"",
        "CONFIG GET port",
        "NOSUCH",
        "GET",
        "CLIENT LIST",
        "AUTH a b",
        "HELLO 2 SETNAME n AUTH default x",
        "MULTI",
        "GET q",
        "EXEC",
    ] {
        client.run(line);
    }
    for shown in [
        r#""select" "3""#,
        r#""SET" "a\"b" "\x00\xff\r\n""#,
        r#""AUTH" "(redacted)" "(redacted)""#,
        r#""HELLO" "2" "SETNAME" "n" "AUTH" "(redacted)" "(redacted)""#,
        r#""MULTI""#,
        r#""GET" "q""#,
        r#""EXEC""#,
    ] {
        assert_eq!(monitored(&mut monitor), format!("[3 {addr}] {shown}"));
    }
    let mut unix = server.connect_unix();
    unix.run("ECHO x");
    let path = server.socket_path();
    assert_eq!(monitored(&mut monitor), format!("[0 unix:{}] \"ECHO\" \"x\"", path.display()));
    assert!(client.run("CLIENT LIST").text().contains(" flags=O "));
    assert_eq!(monitor.run("RESET").to_string(), "+RESET");
    client.run("PING");
    assert!(monitor.is_silent_for(QUIET));
}

#[test]
fn many_monitors_see_a_pipeline_in_order() {
    let server = Server::start();
    let mut monitors = (0..20).map(|_| server.connect()).collect::<Vec<_>>();
    monitors.iter_mut().for_each(|monitor| assert_eq!(monitor.run("MONITOR").to_string(), "+OK"));
    let mut client = server.connect();
    let pipeline: String = (0..500).map(|number| format!("ECHO {number}\r\n")).collect();
    client.send(pipeline.as_bytes());
    for number in 0..500 {
        assert_eq!(client.reply().text(), number.to_string());
    }
    let addr = client.local_address();
    for monitor in &mut monitors {
        for number in 0..500 {
            assert_eq!(monitored(monitor), format!("[0 {addr}] \"ECHO\" \"{number}\""));
        }
    }
}

#[test]
fn a_monitor_that_does_not_read_is_closed_at_its_limit() {
    let server = Server::with("--client-output-buffer-limit normal 1mb 0 0");
    let (mut monitor, mut client) = (server.connect(), server.connect());
    monitor.run("MONITOR");
    let big = "x".repeat(100_000);
    for _ in 0..200 {
        client.run(&format!("ECHO {big}"));
    }
    assert_eq!(info(&mut client, "client_output_buffer_limit_disconnections"), "1");
    monitor.read_to_close();
    server.assert_serves();
}

#[test]
fn replies_can_be_switched_off() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(b"CLIENT REPLY SKIP\r\nGET\r\nPING\r\nCLIENT REPLY OFF\r\nSET k v\r\nCLIENT REPLY FOO\r\nCLIENT REPLY ON\r\nGET k\r\n");
    client.expect(b"+PONG\r\n+OK\r\n$1\r\nv\r\n");
    client.send(b"CLIENT REPLY OFF\r\nRESET\r\nPING\r\n");
    client.expect(b"+RESET\r\n+PONG\r\n");
}

/// The one client of its name in CLIENT LIST.
fn line_of(client: &mut Client, name: &str) -> Option<String> {
    let list = client.run("CLIENT LIST").text();
    list.lines().find(|line| line.contains(&format!(" name={name} "))).map(str::to_owned)
}

/// A session that ends without a reply leaves its connection open, until the peer closes it or is over a limit.
#[test]
fn a_session_that_ends_muted_leaves_its_connection() {
    let server = Server::start();
    let mut observer = server.connect();
    for end in [&b"QUIT\r\n"[..], b"*1\r\nwrong\r\n", b"CLIENT KILL TYPE normal SKIPME no\r\n"] {
        let mut client = server.connect();
        assert_eq!(client.run("CLIENT SETNAME muted").to_string(), "+OK");
        client.send(b"CLIENT REPLY OFF\r\n");
        client.send(end);
        assert!(client.is_silent_for(QUIET), "it is not closed");
        client.send(b"SET k v\r\n");
        assert!(client.is_silent_for(QUIET), "it is still not closed");
        if end.starts_with(b"CLIENT KILL") {
            observer = server.connect();
        }
        let line = line_of(&mut observer, "muted").unwrap_or_default();
        assert!(line.contains(" flags=c ") && !line.contains(" qbuf=0 "), "{line}");
        client.finish_sending();
        assert_eq!(client.read_to_close(), b"");
        eventually("it is gone", || line_of(&mut observer, "muted").is_none());
        assert_eq!(observer.run("EXISTS k").integer(), 0, "behind the end nothing is executed");
    }
    let mut client = server.connect();
    client.send(b"PING\r\nCLIENT REPLY OFF\r\nQUIT\r\n");
    assert_eq!(client.read_to_close(), b"+PONG\r\n", "there is output to be closed behind");
    let mut client = server.connect();
    client.send(b"CLIENT SETNAME muted\r\n");
    client.expect(b"+OK\r\n");
    client.send(b"CLIENT REPLY SKIP\r\nQUIT\r\n");
    assert!(client.is_silent_for(QUIET));
    observer.run("CONFIG SET client-query-buffer-limit 1mb");
    let _ = client.try_send(&vec![b'x'; 3 << 20]);
    eventually("it sent too much", || line_of(&mut observer, "muted").is_none());
    let mut client = server.connect();
    client.send(b"CLIENT REPLY OFF\r\nQUIT\r\n");
    observer.run("CONFIG SET timeout 1");
    assert_eq!(client.read_to_close(), b"", "its time is over");
}

fn invalidate(keys: &[&str]) -> Vec<u8> {
    let mut text = format!(">2\r\n$10\r\ninvalidate\r\n*{}\r\n", keys.len());
    keys.iter().for_each(|key| text.push_str(&format!("${}\r\n{key}\r\n", key.len())));
    text.into_bytes()
}

const EVERYTHING: &[u8] = b">2\r\n$10\r\ninvalidate\r\n_\r\n";

#[test]
fn changed_keys_are_told_of_behind_the_reply() {
    let server = Server::start();
    let (mut reader, mut writer) = (resp3(&server), server.connect());
    reader.run("CLIENT TRACKING on");
    reader.run("MGET k k2");
    writer.run("SET k 1");
    reader.expect(&invalidate(&["k"]));
    writer.run("SET k 2");
    assert!(reader.is_silent_for(QUIET));
    reader.send(b"GET k\r\nSET k 3\r\nPING\r\n");
    reader.expect(b"$1\r\n2\r\n+OK\r\n");
    reader.expect(&invalidate(&["k"]));
    reader.expect(b"+PONG\r\n");
    reader.run("GET k");
    reader.send(b"MULTI\r\nSET k 5\r\nGET k\r\nEXEC\r\n");
    reader.expect(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n$1\r\n5\r\n");
    reader.expect(&invalidate(&["k"]));
    writer.run("DEL k");
    reader.expect(&invalidate(&["k"]));
    writer.run("SET e 1 PX 100");
    reader.run("GET e");
    reader.expect(&invalidate(&["e"]));
}

#[test]
fn a_flush_is_told_to_all() {
    let server = Server::start();
    let (mut reader, mut writer) = (resp3(&server), server.connect());
    reader.run("CLIENT TRACKING on");
    reader.send(b"FLUSHALL\r\n");
    reader.expect(&[EVERYTHING, b"+OK\r\n"].concat());
    reader.send(b"FLUSHALL ASYNC\r\n");
    reader.expect(&[b"+OK\r\n", EVERYTHING].concat());
    reader.send(b"MULTI\r\nFLUSHDB\r\nPING\r\nEXEC\r\n");
    reader.expect(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n+OK\r\n+PONG\r\n");
    reader.expect(EVERYTHING);
    writer.run("FLUSHDB");
    reader.expect(EVERYTHING);
}

#[test]
fn ways_of_tracking() {
    let server = Server::start();
    let (mut reader, mut writer) = (resp3(&server), server.connect());
    reader.run("CLIENT TRACKING on NOLOOP");
    reader.run("GET x");
    assert_eq!(reader.run("SET x 1").to_string(), "+OK");
    reader.run("GET x");
    writer.run("SET x 2");
    reader.expect(&invalidate(&["x"]));
    reader.run("CLIENT TRACKING off");

    reader.run("CLIENT TRACKING on OPTIN");
    reader.run("GET y");
    reader.run("CLIENT CACHING yes");
    reader.run("CLIENT ID");
    reader.run("GET x");
    reader.run("GET z");
    writer.run("MSET x 3 y 1 z 1");
    reader.expect(&invalidate(&["x"]));
    reader.send(b"CLIENT CACHING yes\r\nMULTI\r\nGET x\r\nGET y\r\nEXEC\r\nGET z\r\n");
    reader.expect(b"+OK\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\n3\r\n$1\r\n1\r\n$1\r\n1\r\n");
    writer.run("MSET x 4 y 1 z 1");
    reader.expect(&[invalidate(&["x"]), invalidate(&["y"])].concat());
    assert!(reader.is_silent_for(QUIET));
    reader.run("CLIENT TRACKING off");

    reader.run("CLIENT TRACKING on OPTOUT");
    reader.run("GET x");
    reader.run("CLIENT CACHING no");
    reader.run("GET y");
    writer.run("MSET y 1 x 4");
    reader.expect(&invalidate(&["x"]));
    reader.run("CLIENT TRACKING off");

    reader.run("CLIENT TRACKING on BCAST PREFIX foo PREFIX bar");
    writer.run("MSET foo2 1 foo1 2 bar1 1 baz 1");
    reader.expect(&[invalidate(&["bar1"]), invalidate(&["foo1", "foo2"])].concat());
    reader.send(b"SET foo3 1\r\n");
    reader.expect(&[b"+OK\r\n".to_vec(), invalidate(&["foo3"])].concat());
    assert_eq!(info(&mut writer, "tracking_clients"), "1");
    assert_eq!(info(&mut writer, "tracking_total_prefixes"), "2");
    drop(reader);
    eventually("nobody tracks", || info(&mut writer, "tracking_clients") == "0");
    assert_eq!(info(&mut writer, "tracking_total_prefixes"), "0");
}

#[test]
fn another_connection_can_be_told() {
    let server = Server::start();
    let (mut target, mut reader, mut writer) = (resp3(&server), resp3(&server), server.connect());
    let id = id_of(&mut target);
    reader.run(&format!("CLIENT TRACKING on REDIRECT {id}"));
    assert_eq!(reader.run("CLIENT GETREDIR").integer(), id);
    reader.run("GET r");
    writer.run("SET r 1");
    target.expect(&invalidate(&["r"]));
    assert!(reader.is_silent_for(QUIET));
    reader.run("GET r");
    drop(target);
    eventually("the target is gone", || writer.run(&format!("CLIENT LIST ID {id}")).text().is_empty());
    writer.run("SET r 2");
    reader.expect(format!(">2\r\n$21\r\ntracking-redir-broken\r\n:{id}\r\n").as_bytes());
    let line = reader.run("CLIENT INFO").text();
    assert!(line.contains(" flags=tR ") && line.contains(&format!(" redir={id} ")), "{line}");
}

#[test]
fn the_table_of_tracked_keys_is_limited() {
    let server = Server::with("--tracking-table-max-keys 10");
    let (mut reader, mut other) = (resp3(&server), server.connect());
    reader.run("CLIENT TRACKING on");
    for number in 0..100 {
        reader.send(format!("GET key{number}\r\n").as_bytes());
    }
    // Before a command as many keys are given up as there are too many, and the client hears of it before the answer.
    reader.send(b"PING\r\n");
    let mut told = 0;
    let mut answered = 0;
    loop {
        match reader.reply() {
            Value::Null => answered += 1,
            Value::Status(_) => break,
            _ => told += 1,
        }
    }
    assert_eq!((answered, told), (100, 90));
    assert_eq!(info(&mut other, "tracking_total_keys"), "10");
    assert_eq!(info(&mut other, "tracking_total_items"), "10");
}
