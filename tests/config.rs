//! CONFIG at run time: what it shows, what it accepts, what it refuses, and that settings take effect.
//!
//! Drives the built binary over sockets; knows nothing of its code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::collections::BTreeSet;
use std::time::Duration;

use harness::{Client, Server, Value, eventually, free_port, is_torc, play, play_on};

#[test]
fn get_shows_canonical_values() {
    play(
        &Server::start(),
        r#"
        CONFIG GET databases                => ["databases", "16"]
        CONFIG GET DATABASES                => ["DATABASES", "16"]
        CONFIG GET maxclients               => ["maxclients", "10000"]
        CONFIG GET proto-max-bulk-len       => ["proto-max-bulk-len", "536870912"]
        CONFIG GET client-query-buffer-limit => ["client-query-buffer-limit", "1073741824"]
        CONFIG GET client-output-buffer-limit => ["client-output-buffer-limit", "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"]
        CONFIG GET tcp-keepalive            => ["tcp-keepalive", "300"]
        CONFIG GET tcp-backlog              => ["tcp-backlog", "511"]
        CONFIG GET timeout                  => ["timeout", "0"]
        CONFIG GET hz                       => ["hz", "10"]
        CONFIG GET save                     => ["save", ""]
        CONFIG GET appendonly               => ["appendonly", "no"]
        CONFIG GET maxmemory                => ["maxmemory", "0"]
        CONFIG GET maxmemory-policy         => ["maxmemory-policy", "noeviction"]
        CONFIG GET bind                     => ["bind", "127.0.0.1"]
        CONFIG GET loglevel                 => ["loglevel", "notice"]
        CONFIG GET requirepass              => ["requirepass", ""]
        CONFIG GET protected-mode           => ["protected-mode", "yes"]
        CONFIG GET io-threads               => ["io-threads", "1"]
        CONFIG GET slaveof                  => ["slaveof", ""]
        CONFIG GET replicaof                => ["replicaof", ""]
        CONFIG GET slave-read-only          => ["slave-read-only", "yes"]
        CONFIG GET hash-max-ziplist-entries => ["hash-max-ziplist-entries", "512"]
        CONFIG GET nosuch                   => []
        CONFIG GET data?ases nosuch timeou* => *
        CONFIG GET                          => -ERR wrong number of arguments for 'config|get' command
        CONFIG                              => -ERR wrong number of arguments for 'config' command
        CONFIG nosuch                       => -ERR unknown subcommand 'nosuch'. Try CONFIG HELP.
        CONFIG GET databases databases      => ["databases", "16"]
        "#,
    );
    let server = Server::start();
    let all = server.connect().run("CONFIG GET *").items();
    let names = all.iter().step_by(2).map(Value::text).collect::<Vec<_>>();
    assert!(names.len() >= 140, "{}", names.len());
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "a name appears twice");
}

#[test]
fn set_checks_every_value() {
    play(
        &Server::start(),
        r#"
        CONFIG SET timeout 100              => +OK
        CONFIG GET timeout                  => ["timeout", "100"]
        CONFIG SET TIMEOUT 0                => +OK
        CONFIG SET timeout x                => -ERR CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be parsed into an integer
        CONFIG SET timeout -1               => -ERR CONFIG SET failed (possibly related to argument 'timeout') - argument must be between 0 and 2147483647 inclusive
        CONFIG SET timeout 99999999999      => -ERR CONFIG SET failed (possibly related to argument 'timeout') - argument must be between 0 and 2147483647 inclusive
        CONFIG SET timeout                  => -ERR wrong number of arguments for 'config|set' command
        CONFIG SET                          => -ERR wrong number of arguments for 'config|set' command
        CONFIG SET timeout 1 tcp-keepalive  => -ERR syntax error
        CONFIG SET timeout 5 tcp-keepalive x => -ERR CONFIG SET failed (possibly related to argument 'tcp-keepalive') - argument couldn't be parsed into an integer
        CONFIG GET timeout                  => ["timeout", "0"]
        CONFIG SET timeout 5 tcp-keepalive 60 => +OK
        CONFIG GET timeout                  => ["timeout", "5"]
        CONFIG GET tcp-keepalive            => ["tcp-keepalive", "60"]
        CONFIG SET timeout 1 timeout 2      => -ERR CONFIG SET failed (possibly related to argument 'timeout') - duplicate parameter
        CONFIG SET nosuch 1                 => -ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'
        CONFIG SET timeout 1 nosuch 1       => -ERR Unknown option or number of arguments for CONFIG SET - 'nosuch'
        CONFIG GET timeout                  => ["timeout", "5"]
        CONFIG SET databases 5              => -ERR CONFIG SET failed (possibly related to argument 'databases') - can't set immutable config
        CONFIG SET daemonize yes            => -ERR CONFIG SET failed (possibly related to argument 'daemonize') - can't set immutable config
        CONFIG SET unixsocket /tmp/x        => -ERR CONFIG SET failed (possibly related to argument 'unixsocket') - can't set immutable config
        CONFIG SET tcp-backlog 5            => -ERR CONFIG SET failed (possibly related to argument 'tcp-backlog') - can't set immutable config
        CONFIG SET protected-mode maybe     => -ERR CONFIG SET failed (possibly related to argument 'protected-mode') - argument must be 'yes' or 'no'
        CONFIG SET loglevel loud            => -ERR CONFIG SET failed (possibly related to argument 'loglevel') - argument(s) must be one of the following: debug, verbose, notice, warning, nothing
        CONFIG SET loglevel VERBOSE         => +OK
        CONFIG GET loglevel                 => ["loglevel", "verbose"]
        CONFIG SET proto-max-bulk-len 2mb   => +OK
        CONFIG GET proto-max-bulk-len       => ["proto-max-bulk-len", "2097152"]
        CONFIG SET proto-max-bulk-len 1     => -ERR CONFIG SET failed (possibly related to argument 'proto-max-bulk-len') - argument must be between 1048576 and 9223372036854775807 inclusive
        CONFIG SET proto-max-bulk-len x     => -ERR CONFIG SET failed (possibly related to argument 'proto-max-bulk-len') - argument must be a memory value
        CONFIG SET proto-max-bulk-len -1    => -ERR CONFIG SET failed (possibly related to argument 'proto-max-bulk-len') - argument must be a memory value
        CONFIG SET maxmemory 1gb            => +OK
        CONFIG GET maxmemory                => ["maxmemory", "1073741824"]
        CONFIG SET maxmemory 0              => +OK
        CONFIG SET maxmemory-clients 5%     => +OK
        CONFIG GET maxmemory-clients        => ["maxmemory-clients", "5%"]
        CONFIG SET maxmemory-clients 101%   => -ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - percentage argument must be less or equal to 100
        CONFIG SET maxmemory-policy lru     => -ERR CONFIG SET failed (possibly related to argument 'maxmemory-policy') - argument(s) must be one of the following: volatile-lru, volatile-lfu, volatile-random, volatile-ttl, allkeys-lru, allkeys-lfu, allkeys-random, noeviction
        CONFIG SET client-output-buffer-limit "normal 1mb 0 0" => +OK
        CONFIG GET client-output-buffer-limit => ["client-output-buffer-limit", "normal 1048576 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60"]
        CONFIG SET client-output-buffer-limit "nosuch 1 1 1" => -ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Invalid client class specified in buffer limit configuration.
        CONFIG SET client-output-buffer-limit "normal 1 1" => -ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Wrong number of arguments in buffer limit configuration.
        CONFIG SET client-output-buffer-limit "normal x 0 0" => -ERR CONFIG SET failed (possibly related to argument 'client-output-buffer-limit') - Error in hard, soft or soft_seconds setting in buffer limit configuration.
        CONFIG SET save "900 1 300 10"      => +OK
        CONFIG GET save                     => ["save", "900 1 300 10"]
        CONFIG SET save x                   => -ERR CONFIG SET failed (possibly related to argument 'save') - Invalid save parameters
        CONFIG SET save ""                  => +OK
        CONFIG SET hz 20                    => +OK
        CONFIG SET hz 1000                  => +OK
        CONFIG GET hz                       => ["hz", "500"]
        CONFIG SET requirepass ""           => +OK
        CONFIG RESETSTAT                    => +OK
        CONFIG RESETSTAT x                  => -ERR wrong number of arguments for 'config|resetstat' command
        CONFIG SET dir /nonexistent         => -ERR CONFIG SET failed (possibly related to argument 'dir') - can't set protected config
        CONFIG SET notify-keyspace-events KEA => +OK
        CONFIG GET notify-keyspace-events   => ["notify-keyspace-events", "AKE"]
        CONFIG SET notify-keyspace-events X => -ERR CONFIG SET failed (possibly related to argument 'notify-keyspace-events') - Invalid event class character. Use 'Ag$lshzxeKEtmdn'.
        CONFIG SET slave-read-only no       => +OK
        CONFIG GET replica-read-only        => ["replica-read-only", "no"]
        "#,
    );
}

fn server_info(client: &mut Client, field: &str) -> String {
    let info = client.run("INFO server").text();
    let value = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    value.unwrap_or_default().to_owned()
}

#[test]
fn a_new_port_is_listened_on_at_once() {
    let server = Server::start();
    let mut client = server.connect();
    let port = free_port();
    assert_eq!(client.run(&format!("CONFIG SET port {port}")).to_string(), "+OK");
    assert_eq!(Client::tcp(([127, 0, 0, 1], port).into()).run("PING").to_string(), "+PONG");
    eventually("the old port is closed", || Client::try_tcp(server.address()).is_err());
    assert_eq!(server_info(&mut client, "listener0"), format!("name=tcp,bind=127.0.0.1,port={port}"));
    assert_eq!(client.run("PING").to_string(), "+PONG");
    assert_eq!(client.run(&format!("CONFIG SET port {}", server.port())).to_string(), "+OK");
    server.assert_serves();
}

#[test]
fn a_port_that_is_taken_leaves_the_old_one() {
    let server = Server::start();
    let other = Server::start();
    let mut client = server.connect();
    assert_eq!(
        client.run(&format!("CONFIG SET port {}", other.port())).to_string(),
        "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen on this port. Check server logs."
    );
    assert_eq!(client.run("CONFIG GET port").items()[1].text(), server.port().to_string());
    server.assert_serves();
    other.assert_serves();
}

#[test]
fn new_addresses_are_listened_on_at_once() {
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!(client.run("CONFIG SET bind \"127.0.0.1 127.0.0.9\"").to_string(), "+OK");
    let added = ([127, 0, 0, 9], server.port()).into();
    assert_eq!(Client::tcp(added).run("PING").to_string(), "+PONG");
    let listener = format!("name=tcp,bind=127.0.0.1,bind=127.0.0.9,port={}", server.port());
    assert_eq!(server.info("server", "listener0"), listener);
    server.assert_serves();
    let refused = client.run("CONFIG SET bind 203.0.113.77").to_string();
    assert_eq!(
        refused,
        "-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to specified addresses."
    );
    assert_eq!(Client::tcp(added).run("PING").to_string(), "+PONG");
    assert_eq!(client.run("CONFIG SET bind 127.0.0.1").to_string(), "+OK");
    eventually("the address is closed", || Client::try_tcp(added).is_err());
}

#[test]
fn limits_take_effect_at_once() {
    let server = Server::start();
    let mut client = server.connect();
    assert_eq!(client.run("CONFIG SET proto-max-bulk-len 1mb").to_string(), "+OK");
    let mut big = server.connect();
    big.send(b"*2\r\n$3\r\nGET\r\n$1048577\r\n");
    assert_eq!(big.read_to_close(), b"-ERR Protocol error: invalid bulk length\r\n");
    eventually("only this connection is left", || server.client_count() == 2);
    assert_eq!(client.run("CONFIG SET maxclients 1").to_string(), "+OK");
    assert_eq!(server.connect().read_to_close(), b"-ERR max number of clients reached\r\n");
    assert_eq!(client.run("CONFIG SET maxclients 100").to_string(), "+OK");
    let mut idle = server.connect();
    assert_eq!(idle.run("PING").to_string(), "+PONG");
    assert_eq!(client.run("CONFIG SET timeout 1").to_string(), "+OK");
    assert_eq!(idle.read_to_close(), b"");
}

#[test]
fn the_password_is_never_logged() {
    let server = Server::with("--loglevel debug --requirepass first-secret");
    let mut client = server.connect();
    play_on(
        &mut client,
        "
        AUTH wrong-secret => -WRONGPASS invalid username-password pair or user is disabled.
        AUTH first-secret => +OK
        CONFIG SET requirepass second-secret => +OK
        CONFIG GET requirepass => [\"requirepass\", \"second-secret\"]
        ",
    );
    let mut broken = server.connect();
    broken.send(b"*1\r\nnot a bulk\r\n");
    broken.read_to_close();
    std::thread::sleep(Duration::from_millis(50));
    assert!(!server.log().contains("-secret"), "{}", server.log());
}

/// Fields that exporters, proxies and job queues read, each as it begins after one SET, one GET and one unknown command.
const FIELDS: &[&str] = &[
    "redis_version:8.0.6",
    "redis_mode:standalone",
    "process_id:",
    "tcp_port:",
    "uptime_in_seconds:",
    "connected_clients:",
    "maxclients:10000",
    "blocked_clients:0",
    "used_memory:",
    "used_memory_human:",
    "used_memory_rss:",
    "used_memory_peak:",
    "maxmemory:0",
    "mem_fragmentation_ratio:",
    "loading:0",
    "rdb_bgsave_in_progress:0",
    "aof_enabled:0",
    "total_connections_received:",
    "total_commands_processed:",
    "instantaneous_ops_per_sec:",
    "total_net_input_bytes:",
    "rejected_connections:0",
    "expired_keys:0",
    "evicted_keys:0",
    "keyspace_hits:1",
    "keyspace_misses:0",
    "role:master",
    "connected_slaves:0",
    "used_cpu_sys:",
    "used_cpu_user:",
    "cluster_enabled:0",
    "db0:keys=1,expires=0,avg_ttl=0",
    "errorstat_ERR:count=1",
];

#[test]
fn info_has_its_sections_and_what_tools_look_for() {
    let server = Server::start();
    let mut client = server.connect();
    client.run("SET k v");
    client.run("GET k");
    client.run("NOSUCH");
    let text = client.run("INFO").text();
    let sections = text.lines().filter_map(|line| line.strip_prefix("# ")).map(str::trim).collect::<Vec<_>>();
    let wanted = [
        "Server",
        "Clients",
        "Memory",
        "Persistence",
        "Stats",
        "Replication",
        "CPU",
        "Modules",
        "Errorstats",
        "Cluster",
        "Keyspace",
    ];
    let relevant = sections.iter().copied().filter(|name| wanted.contains(name)).collect::<Vec<_>>();
    assert_eq!(relevant, wanted, "sections: {sections:?}");
    for field in FIELDS {
        assert!(text.lines().any(|line| line.starts_with(field)), "no {field} in:\n{text}");
    }
    assert_eq!(server.info("server", "tcp_port"), server.port().to_string());
    assert_eq!(server.info("server", "process_id"), server.pid().to_string());
    let stats = client.run("INFO commandstats").text();
    assert!(stats.contains("cmdstat_set:calls=1,usec="), "{stats}");
    assert!(stats.contains("rejected_calls=0,failed_calls=0"), "{stats}");
    for section in ["default", "all", "everything"] {
        assert!(client.run(&format!("INFO {section}")).text().contains("# Server"), "{section}");
    }
    let two = client.run("INFO clients STATS").text();
    assert!(two.starts_with("# Clients") && two.contains("# Stats") && !two.contains("# Server"), "{two}");
    if is_torc() {
        assert!(server.resident() < 64 << 20, "an empty server holds {} bytes", server.resident());
    }
}

#[test]
fn counters_count() {
    let server = Server::start();
    let mut client = server.connect();
    client.run("CONFIG RESETSTAT");
    play_on(
        &mut client,
        r#"
        SET k v         => +OK
        GET k           => "v"
        GET none        => (nil)
        INCR k          => -ERR value is not an integer or out of range
        GET             => -ERR wrong number of arguments for 'get' command
        "#,
    );
    let stats = client.run("INFO stats").text();
    for field in ["keyspace_hits:1\r", "keyspace_misses:1\r", "total_error_replies:2\r"] {
        assert!(stats.contains(field), "no {field:?} in {stats}");
    }
    let commands = client.run("INFO commandstats").text();
    let line = |name: &str| {
        commands.lines().find(|line| line.starts_with(&format!("cmdstat_{name}:"))).unwrap_or("").to_owned()
    };
    assert!(
        line("get").contains("calls=2,") && line("get").contains("rejected_calls=1,failed_calls=0"),
        "{}",
        line("get")
    );
    assert!(
        line("incr").contains("calls=1,") && line("incr").contains("rejected_calls=0,failed_calls=1"),
        "{}",
        line("incr")
    );
    assert!(line("config|resetstat").contains("calls=1,"), "{commands}");
    client.run("CONFIG RESETSTAT");
    assert!(client.run("INFO stats").text().contains("keyspace_hits:0\r"));
}

/// Redis takes the number of threads at start only.
#[test]
fn the_number_of_threads_changes_at_run_time() {
    if !is_torc() {
        return harness::skip("Redis refuses to change io-threads");
    }
    play(
        &Server::with("--io-threads 2 --io-threads-do-reads yes"),
        r#"
        CONFIG GET io-threads                 => ["io-threads", "2"]
        CONFIG SET io-threads 128             => +OK
        CONFIG GET io-threads                 => ["io-threads", "128"]
        CONFIG SET io-threads 0               => -ERR CONFIG SET failed (possibly related to argument 'io-threads') - argument must be between 1 and 128 inclusive
        CONFIG SET io-threads 129             => -ERR CONFIG SET failed (possibly related to argument 'io-threads') - argument must be between 1 and 128 inclusive
        CONFIG SET io-threads 1 timeout x     => -ERR CONFIG SET failed (possibly related to argument 'timeout') - argument couldn't be parsed into an integer
        CONFIG GET io-threads                 => ["io-threads", "128"]
        CONFIG SET io-threads 1               => +OK
        CONFIG GET io-threads*                => ["io-threads", "1"]
        CONFIG SET io-threads-always-active yes => +OK
        CONFIG GET io-threads-always-active   => ["io-threads-always-active", "yes"]
        CONFIG GET io-threads-do-reads        => []
        "#,
    );
}
