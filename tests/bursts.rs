//! Bursts: everything happens at once because the server was stopped meanwhile. Receive buffers run out, completions
//! pile up, standing requests end; nothing may be lost.
//!
//! Drives the built binary over sockets; knows nothing of its code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::time::Duration;

use harness::{Client, Server, Value, allow_descriptors, backend_args, eventually, is_torc, kill, skip};
use rustix::process::Signal;

/// How many connections a burst has, as far as this host allows.
fn burst_size(wanted: usize) -> usize {
    if allow_descriptors(wanted as u64 + 500) { wanted } else { 400 }
}

/// Connects and asks once, so that the server has accepted every one of them.
fn connected(server: &Server, count: usize) -> Vec<Client> {
    let mut clients = (0..count).map(|_| server.connect()).collect::<Vec<_>>();
    clients.iter_mut().for_each(|client| client.send(b"PING\r\n"));
    clients.iter_mut().for_each(|client| client.expect(b"+PONG\r\n"));
    clients
}

/// Bytes that wait to be received from the server's clients over TCP.
fn waiting_for(server: &Server) -> usize {
    let port = format!(":{:04X}", server.port());
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let sockets = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    // Address, peer, state, bytes to be sent and received.
    let ours = sockets.filter(|fields| fields[1].ends_with(&port));
    ours.map(|fields| usize::from_str_radix(fields[4].split_once(':').unwrap().1, 16).unwrap()).sum()
}

/// Does something while the server stands still, then lets it go on.
fn while_stopped(server: &Server, act: impl FnOnce()) {
    kill(Signal::STOP, server.pid());
    std::thread::sleep(Duration::from_millis(20));
    act();
    kill(Signal::CONT, server.pid());
}

#[test]
fn more_arrives_at_once_than_there_are_buffers() {
    let server = Server::start();
    // 64 MiB in sockets: more than any pool of receive buffers has.
    let mut clients = connected(&server, burst_size(600));
    let value = vec![b'x'; 2000];
    let per_client = 50;
    let request = Client::encode(&[b"ECHO", &value[..]]).repeat(per_client);
    while_stopped(&server, || {
        for client in &mut clients {
            client.set_write_timeout(Duration::from_secs(30));
            client.send(&request);
        }
    });
    let reply = [b"$2000\r\n", &value[..], b"\r\n"].concat().repeat(per_client);
    clients.iter_mut().for_each(|client| client.expect(&reply));
}

#[test]
fn more_is_asked_at_once_than_completions_fit() {
    let server = Server::start();
    let mut clients = connected(&server, burst_size(6000));
    for round in 0..3 {
        let text = format!("ECHO round{round}\r\n");
        while_stopped(&server, || clients.iter_mut().for_each(|client| client.send(text.as_bytes())));
        let reply = format!("$6\r\nround{round}\r\n");
        clients.iter_mut().for_each(|client| client.expect(reply.as_bytes()));
    }
    assert_eq!(server.info("clients", "connected_clients"), (clients.len() + 1).to_string());
}

#[test]
fn thousands_close_at_once() {
    let server = Server::start();
    let mut first = server.connect();
    assert_eq!(first.run("PING").to_string(), "+PONG");
    std::thread::sleep(Duration::from_millis(50));
    let descriptors = server.descriptors();
    let mut clients = connected(&server, burst_size(6000));
    while_stopped(&server, || {
        // Half of them leave a command behind, a quarter half a command.
        for (index, client) in clients.iter_mut().enumerate() {
            match index % 4 {
                0 | 1 => client.send(b"INCR n\r\n"),
                2 => client.send(b"*2\r\n$4\r\nINCR\r\n$1"),
                _ => {}
            }
        }
        clients.clear();
    });
    eventually("all are gone", || server.client_count() == 2);
    eventually("their descriptors are closed", || server.descriptors() <= descriptors);
    assert_eq!(first.run("PING").to_string(), "+PONG");
    assert!(first.run("DBSIZE").integer() <= 1);
}

#[test]
fn a_full_backlog_is_accepted() {
    let server = Server::start();
    let mut waiting = Vec::new();
    while_stopped(&server, || {
        for _ in 0..400 {
            let mut client = server.connect();
            client.send(b"PING\r\n");
            waiting.push(client);
        }
    });
    waiting.iter_mut().for_each(|client| client.expect(b"+PONG\r\n"));
}

#[test]
fn big_values_in_both_directions_at_once() {
    let server = Server::start();
    let mut clients = connected(&server, 30);
    let value = (0..3_000_000usize).map(|index| (index * 7 % 253) as u8).collect::<Vec<_>>();
    std::thread::scope(|scope| {
        for (index, client) in clients.iter_mut().enumerate() {
            let value = &value;
            scope.spawn(move || {
                let key = format!("k{}", index % 5);
                for _ in 0..5 {
                    client.send_command(&[b"SET", key.as_bytes(), value]);
                    client.send_command(&["GET", &key]);
                    client.send_command(&["STRLEN", &key]);
                    assert_eq!(client.reply().to_string(), "+OK");
                    assert!(client.reply() == Value::Bulk(value.clone()));
                    assert_eq!(client.reply(), Value::Integer(value.len() as i64));
                }
            });
        }
    });
}

/// Commands of a pipeline that may run before one that somebody else sent behind it. A turn has 8192, as many of an I/O
/// thread are under way in full parcels, and the other's is read in the turn after the pipeline's at the latest.
const AHEAD_MAX: usize = 2 * 8192;

/// Counted, not timed: how long it takes is up to the host. So is which of several I/O threads gets a processor first, so
/// both clients are on one.
#[test]
fn a_pipeline_does_not_keep_others_waiting() {
    let has_threads = backend_args().iter().any(|arg| arg == "--io-threads");
    let server = Server::with(if has_threads { "--io-threads 2" } else { "" });
    const COUNT: usize = 300_000;
    let request = b"INCR n\r\n".repeat(COUNT);
    let mut most = 0;
    for _ in 0..5 {
        let mut clients = connected(&server, 2);
        let (mut other, mut busy) = (clients.pop().unwrap(), clients.pop().unwrap());
        assert_eq!(other.run("SET n 0").to_string(), "+OK");
        std::thread::scope(|scope| {
            while_stopped(&server, || {
                scope.spawn(|| {
                    busy.send(&request);
                    (1..=COUNT).for_each(|count| assert_eq!(busy.reply(), Value::Integer(count as i64)));
                });
                eventually("sockets are full", || waiting_for(&server) >= 32 << 10);
                other.send(b"GET n\r\n");
            });
            let ahead = other.reply().text().parse::<usize>().unwrap();
            assert!(ahead <= AHEAD_MAX, "{ahead} commands of a pipeline of {COUNT} ran first");
            most = most.max(ahead);
        });
        assert_eq!(other.run("GET n").text(), COUNT.to_string());
    }
    assert!(most > 0, "no pipeline was ever ahead");
}

/// One number of `INFO ring`.
fn ring(server: &Server, field: &str) -> f64 {
    server.info("ring", field).parse().unwrap()
}

#[test]
fn what_the_network_costs_is_counted() {
    if !is_torc() {
        return skip("another server has no such section");
    }
    let server = Server::start();
    let backend = server.info("server", "multiplexing_api");
    assert_eq!(server.info("ring", "ring_backend"), backend);
    assert!(!server.info("ring", "ring_backend_reason").is_empty());
    let mut clients = connected(&server, 50);
    assert_eq!(clients[0].run(&format!("SET big {}", "x".repeat(100_000))).to_string(), "+OK");
    assert_eq!(clients[0].run("CONFIG RESETSTAT").to_string(), "+OK");
    for round in 0..20 {
        while_stopped(&server, || clients.iter_mut().for_each(|client| client.send(b"PING\r\n")));
        clients.iter_mut().for_each(|client| client.expect(b"+PONG\r\n"));
        assert!(ring(&server, "ring_soft_sends") >= f64::from(round * 50));
    }
    // 1,000 commands, each sent on its own.
    let syscalls = ring(&server, "ring_syscalls_per_command");
    match &*backend {
        "io_uring" => assert!(syscalls < 0.5, "{syscalls}"),
        _ => assert!((2.0..2.5).contains(&syscalls), "{syscalls}"),
    }
    assert!(ring(&server, "ring_completions") >= 1000.0);
    let histogram = server.info("ring", "ring_completions_per_enter");
    assert!(
        histogram.split(',').any(|class| class.starts_with("16-31=") || class.starts_with("32-63=")),
        "{histogram}"
    );
    assert_eq!(ring(&server, "ring_sent_bytes_by_reference"), 0.0);
    clients[0].run("GET big");
    assert_eq!(ring(&server, "ring_sent_bytes_by_reference"), 100_000.0);
    assert!(ring(&server, "ring_recv_buffers_total") > 0.0);
    assert_eq!(clients[0].run("CONFIG RESETSTAT").to_string(), "+OK");
    assert!(ring(&server, "ring_completions") < 20.0);
    assert_eq!(ring(&server, "ring_sent_bytes_by_reference"), 0.0);
    let text = clients[0].run("INFO").text();
    assert!(text.contains("\r\n# Ring\r\nring_backend:"), "{text}");
}
