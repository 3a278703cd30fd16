//! What the server tells of itself: slow log, latency, statistics. Expectations are what Redis 8.0 answers.
//!
//! Drives the built binary over sockets; knows nothing of its code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use harness::{Client, Server, Value, eventually, play, play_on};

#[test]
fn the_slow_log_keeps_what_was_slow() {
    let server = Server::with("--slowlog-log-slower-than 0 --slowlog-max-len 4");
    let mut client = server.connect();
    play_on(
        &mut client,
        r#"
        SLOWLOG RESET                       => +OK
        SLOWLOG LEN                         => :1
        CLIENT SETNAME me                   => +OK
        MULTI                               => +OK
        SET k v                             => +QUEUED
        EXEC                                => [+OK]
        CONFIG SET maxmemory 0 requirepass ""  => +OK
        "#,
    );
    let log = client.run("SLOWLOG GET 3").to_string();
    let address = client.local_address();
    for part in [
        r#"["CONFIG", "SET", "maxmemory", "0", "requirepass", "(redacted)"], "#,
        r#"["SET", "k", "v"], "#,
        r#"["MULTI"], "#,
        &format!("\"{address}\", \"me\"]"),
    ] {
        assert!(log.contains(part), "{part} in {log}");
    }
    assert!(!log.contains("EXEC"), "{log}");
    play_on(
        &mut client,
        r#"
        SLOWLOG LEN                         => :4
        CONFIG SET slowlog-max-len 2        => +OK
        SLOWLOG LEN                         => :2
        CONFIG SET slowlog-log-slower-than -1  => +OK
        SLOWLOG RESET                       => +OK
        SLOWLOG GET                         => []
        SLOWLOG GET -2                      => -ERR count should be greater than or equal to -1
        SLOWLOG GET a                       => -ERR count should be greater than or equal to -1
        SLOWLOG get 1 2                     => -ERR unknown subcommand or wrong number of arguments for 'get'. Try SLOWLOG HELP.
        SLOWLOG LEN 1                       => -ERR wrong number of arguments for 'slowlog|len' command
        "#,
    );
}

#[test]
fn long_commands_are_shortened_in_the_slow_log() {
    let server = Server::with("--slowlog-log-slower-than 0");
    let mut client = server.connect();
    client.run(&format!("MGET {}", "k ".repeat(34)));
    client.run(&format!("GET {}", "z".repeat(200)));
    let log = client.run("SLOWLOG GET 2").to_string();
    let key = format!("\"{}... (72 more bytes)\"", "z".repeat(128));
    assert!(log.contains(&key), "{log}");
    assert!(log.contains(r#""k", "... (4 more arguments)"]"#), "{log}");
}

#[test]
fn latency_is_counted_by_command() {
    let server = Server::start();
    play(
        &server,
        r#"
        LATENCY LATEST                      => []
        LATENCY HISTORY command             => []
        LATENCY RESET                       => :0
        LATENCY GRAPH command               => -ERR No samples available for event 'command'
        LATENCY HISTOGRAM get               => []
        GET k                               => (nil)
        GET k                               => (nil)
        LATENCY HISTOGRAM get nosuch        => ["get", ["calls", :2, "histogram_usec", [...
        LATENCY HISTOGRAM client            => []
        LATENCY LATEST x                    => -ERR wrong number of arguments for 'latency|latest' command
        CONFIG RESETSTAT                    => +OK
        LATENCY HISTOGRAM get               => []
        "#,
    );
    let mut client = server.connect();
    client.run("GET k");
    let figures = server.info("latencystats", "latency_percentiles_usec_get");
    assert!(figures.starts_with("p50=") && figures.contains(",p99=") && figures.contains(",p99.9="), "{figures}");
    client.run("CONFIG SET latency-tracking-info-percentiles \"\"");
    assert_eq!(server.info("latencystats", "latency_percentiles_usec_get"), "");
}

#[test]
fn turns_of_the_event_loop_are_counted() {
    let server = Server::start();
    server.connect().run("PING");
    let number = |section: &str, field: &str| server.info(section, field).parse::<u64>().unwrap();
    for (section, field) in [
        ("stats", "eventloop_cycles"),
        ("stats", "eventloop_duration_sum"),
        ("debug", "eventloop_duration_max"),
        ("debug", "eventloop_cmd_per_cycle_max"),
    ] {
        assert!(number(section, field) > 0, "{field}");
    }
}

/// The commands in the slow log, the oldest first, and their arguments.
fn slow_commands(control: &mut Client) -> Vec<String> {
    let entries = control.run("SLOWLOG GET 20").items();
    let words = |entry: &Value| entry.items()[3].items().iter().map(Value::text).collect::<Vec<_>>().join(" ");
    let commands: Vec<String> = entries.iter().rev().map(words).collect();
    commands.into_iter().filter(|command| !command.starts_with("INFO") && !command.starts_with("SLOWLOG")).collect()
}

#[test]
fn a_wait_is_logged_when_it_is_over() {
    let server = Server::with("--slowlog-log-slower-than 0");
    let mut control = server.connect();
    for (request, end, logged) in [
        ("WAIT 1 0", "CLIENT UNBLOCK $id", &["WAIT 1 0", "CLIENT UNBLOCK $id"][..]),
        ("WAIT 1 0", "CLIENT UNBLOCK $id ERROR", &["WAIT 1 0", "WAIT 1 0", "CLIENT UNBLOCK $id ERROR"]),
        ("WAIT 1 0", "CLIENT KILL ID $id", &["WAIT 1 0", "CLIENT KILL ID $id"]),
        ("BLPOP l 0", "CLIENT UNBLOCK $id", &["BLPOP l 0", "CLIENT UNBLOCK $id"]),
        ("BLPOP l 0", "CLIENT UNBLOCK $id ERROR", &["BLPOP l 0", "CLIENT UNBLOCK $id ERROR"]),
        ("BLPOP l 0", "CLIENT KILL ID $id", &["CLIENT KILL ID $id"]),
        ("BLPOP l 0", "LPUSH l x", &["LPUSH l x", "BLPOP l 0"]),
        ("WAIT 1 0", "", &["WAIT 1 0"]),
        ("BLPOP l 0", "", &[]),
    ] {
        let mut client = server.connect();
        let id = client.run("CLIENT ID").integer().to_string();
        control.run("SLOWLOG RESET");
        client.send(format!("{request}\r\n").as_bytes());
        eventually("it is blocked", || control.run("INFO clients").text().contains("blocked_clients:1\r"));
        if !end.is_empty() {
            control.run(&end.replace("$id", &id));
        }
        drop(client);
        eventually("it is gone", || control.run("INFO clients").text().contains("connected_clients:1\r"));
        let mut wanted: Vec<String> = logged.iter().map(|command| command.replace("$id", &id)).collect();
        let mut found = slow_commands(&mut control);
        if end.starts_with("CLIENT KILL") {
            // Redis closes the client at once, Torc behind the command that kills it.
            wanted.sort_unstable();
            found.sort_unstable();
        }
        assert_eq!(found, wanted, "{request}, ended by {end:?}");
    }
}
