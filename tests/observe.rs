//! What the server tells of itself: slow log, latency, statistics. Expectations are what Redis 8.0 answers.
//!
//! Drives the built binary over sockets; knows nothing of its code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use harness::{Server, play, play_on};

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
