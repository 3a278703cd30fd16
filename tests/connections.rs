//! Connections: where the server listens, whom it refuses, and what it survives from its peers.
//!
//! Drives the built binary over sockets; knows nothing of its code.

#![allow(
    clippy::disallowed_methods,
    reason = "a test is a real client: it opens sockets, starts threads, reads the clock"
)]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use harness::{Client, Server, Value, allow_descriptors, eventually, free_port, is_torc, play, skip};
use rustix::net::sockopt;

fn ipv6_is_there() -> bool {
    TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok()
}

/// An address of this host that is no loopback address. Nothing is sent to find it.
fn outer_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 200), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn listens_on_every_address_given() {
    let server = Server::builder().bind("127.0.0.1 127.0.0.2 127.0.0.3").start();
    for last in 1..=3 {
        let mut client = Client::tcp((Ipv4Addr::new(127, 0, 0, last), server.port()).into());
        assert_eq!(client.run("PING").to_string(), "+PONG");
        let info = client.run("CLIENT INFO").text();
        assert!(info.contains(&format!(" laddr=127.0.0.{last}:{} ", server.port())), "{info}");
        assert!(info.contains(&format!(" addr={} ", client.local_address())), "{info}");
    }
    assert!(Client::try_tcp((Ipv4Addr::new(127, 0, 0, 4), server.port()).into()).is_err());
}

#[test]
fn listens_on_ipv6() {
    if !ipv6_is_there() {
        return skip("this host has no IPv6");
    }
    let server = Server::builder().bind("127.0.0.1 ::1").start();
    let mut client = Client::tcp((Ipv6Addr::LOCALHOST, server.port()).into());
    assert_eq!(client.run("PING").to_string(), "+PONG");
    let info = client.run("CLIENT INFO").text();
    assert!(info.contains(&format!(" addr={} laddr=[::1]:{} ", client.local_address(), server.port())), "{info}");
    server.assert_serves();
}

#[test]
fn the_default_addresses_are_all() {
    let server = Server::builder().bind("* -::*").start();
    server.assert_serves();
    if ipv6_is_there() {
        assert_eq!(Client::tcp((Ipv6Addr::LOCALHOST, server.port()).into()).run("PING").to_string(), "+PONG");
    }
}

#[test]
fn an_optional_address_may_be_missing() {
    let server = Server::builder().bind("127.0.0.1 -203.0.113.77").start();
    server.assert_serves();
    let (status, log) = Server::builder().bind("127.0.0.1 203.0.113.77").refusal();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("Could not create server TCP listening socket 203.0.113.77:"), "{log}");
    assert!(log.contains("Failed listening on port "), "{log}");
}

#[test]
fn a_taken_port_ends_the_start() {
    let server = Server::start();
    let (status, log) = Server::builder().args(&format!("--port {}", server.port())).refusal();
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains(&format!("Failed listening on port {} (tcp), aborting.", server.port())), "{log}");
}

#[test]
fn the_unix_socket_serves_with_its_permissions() {
    let server = Server::with("--unixsocketperm 750");
    let path = server.socket_path();
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o750);
    let mut client = server.connect_unix();
    assert_eq!(client.run("SET k v").to_string(), "+OK");
    let info = client.run("CLIENT INFO").text();
    let shown = path.display();
    assert!(info.contains(&format!(" addr={shown}:0 laddr={shown}:0 ")), "{info}");
    assert!(info.contains(" flags=U "), "{info}");
    let big = vec![b'u'; 3 << 20];
    assert_eq!(client.command(&[b"SET", &b"big"[..], &big]).to_string(), "+OK");
    assert!(client.run("GET big") == Value::Bulk(big));
}

#[test]
fn clients_beyond_maxclients_are_told_so() {
    let server = Server::with("--maxclients 5");
    eventually("the connection that waited for the server is gone", || {
        server.descriptors() <= server.idle_descriptors()
    });
    let mut held = (0..5).map(|_| server.connect()).collect::<Vec<_>>();
    held.iter_mut().for_each(|client| assert_eq!(client.run("PING").to_string(), "+PONG"));
    for _ in 0..3 {
        assert_eq!(server.connect().read_to_close(), b"-ERR max number of clients reached\r\n");
    }
    held.pop();
    eventually("a place is free again", || {
        let mut client = server.connect();
        let _ = client.try_send(b"PING\r\n");
        client.try_reply().is_ok_and(|reply| reply.to_string() == "+PONG")
    });
    let info = held[0].run("INFO stats").text();
    let rejected = info.lines().find_map(|line| line.strip_prefix("rejected_connections:")).unwrap();
    assert!(rejected.parse::<u32>().unwrap() >= 3, "{rejected}");
}

#[test]
fn protected_mode_refuses_other_hosts_only() {
    let Some(outer) = outer_address() else { return skip("this host has no address beside loopback") };
    let server = Server::builder().bind("*").start();
    let outside = SocketAddr::from((outer, server.port()));
    let refusal = String::from_utf8(Client::tcp(outside).read_to_close()).unwrap();
    assert!(
        refusal.starts_with(
            "-DENIED Redis is running in protected mode because protected mode is enabled and no password "
        )
    );
    assert!(
        refusal.ends_with("in order for the server to start accepting connections from the outside.\r\n"),
        "{refusal}"
    );
    assert_eq!(refusal.len(), 1066);
    server.assert_serves();
    assert_eq!(server.info("stats", "rejected_connections"), "1");
    assert_eq!(server.connect().run("CONFIG SET protected-mode no").to_string(), "+OK");
    assert_eq!(Client::tcp(outside).run("PING").to_string(), "+PONG");

    let locked = Server::builder().bind("*").args("--requirepass secret").start();
    let mut client = Client::tcp((outer, locked.port()).into());
    assert_eq!(client.run("AUTH secret").to_string(), "+OK");
}

#[test]
fn idle_clients_are_closed_after_the_timeout() {
    let server = Server::with("--timeout 1");
    let mut idle = server.connect();
    let mut half = server.connect();
    let mut busy = server.connect();
    half.send(b"*2\r\n$3\r\nGET\r\n$1");
    let start = Instant::now();
    let active = thread::spawn(move || {
        while start.elapsed() < Duration::from_secs(4) {
            assert_eq!(busy.run("PING").to_string(), "+PONG");
            thread::sleep(Duration::from_millis(100));
        }
    });
    assert_eq!(idle.read_to_close(), b"");
    assert!(start.elapsed() >= Duration::from_secs(1), "after {:?}", start.elapsed());
    assert!(start.elapsed() < Duration::from_secs(10), "after {:?}", start.elapsed());
    assert_eq!(half.read_to_close(), b"");
    active.join().unwrap();
}

#[test]
fn ten_thousand_connections_leave_nothing_behind() {
    const TOTAL: usize = 10_000;
    let held_at_once = if allow_descriptors(12_000) { 2500 } else { 400 };
    let server = Server::start();
    let descriptors = server.idle_descriptors();
    eventually("the connection that asked whether the server answers is gone", || server.client_count() == 1);
    let clients = 1;
    let mut opened = 0;
    while opened < TOTAL {
        let mut held = (0..held_at_once).map(|_| server.connect()).collect::<Vec<_>>();
        // Some are dropped unused, some after a command, some in the middle of one.
        for (index, client) in held.iter_mut().enumerate() {
            match index % 3 {
                0 => client.send(b"PING\r\n"),
                1 => client.send(b"*2\r\n$3\r\nGET\r\n$5\r\nab"),
                _ => {}
            }
        }
        for client in held.iter_mut().step_by(3) {
            assert_eq!(client.reply().to_string(), "+PONG");
        }
        opened += held.len();
    }
    eventually("descriptors are back at the start", || server.descriptors() <= descriptors);
    eventually("CLIENT LIST is back at the start", || server.client_count() == clients);
    let received = server.info("stats", "total_connections_received").parse::<usize>().unwrap();
    assert!(received >= opened, "{received} of {opened}");
}

#[test]
fn a_client_that_never_reads_is_cut_off_at_its_limit() {
    let server = Server::builder().args("--client-output-buffer-limit").args("\"normal 32mb 0 0\"").start();
    let mut writer = server.connect();
    // Below the size from which values are sent by reference: every reply is a copy that the limit counts.
    assert_eq!(writer.command(&[b"SET", &b"k"[..], &vec![b'v'; 8000]]).to_string(), "+OK");
    let before = server.resident();
    let mut deaf = server.connect();
    deaf.set_write_timeout(Duration::from_secs(5));
    let request = Client::encode(&["GET", "k"]).repeat(1000);
    let mut sent = 0;
    while sent < 33_000 && deaf.try_send(&request).is_ok() {
        sent += 1000;
        let grown = server.resident().saturating_sub(before);
        assert!(grown < 200 << 20, "{grown} bytes after {sent} requests");
        assert_eq!(writer.run("PING").to_string(), "+PONG");
    }
    eventually("the deaf client is closed", || {
        server.info("stats", "client_output_buffer_limit_disconnections") == "1"
    });
    server.assert_serves();
}

#[test]
fn a_client_that_never_reads_takes_bounded_memory_without_a_limit() {
    const TOTAL: usize = 256 << 20;
    if !is_torc() {
        return skip("a promise of our own: others keep every reply that nobody reads");
    }
    let server = Server::start();
    let before = server.resident();
    let mut other = server.connect();
    let mut deaf = server.connect();
    deaf.set_write_timeout(Duration::from_secs(2));
    let request = Client::encode(&[&b"ECHO"[..], &[b'x'; 1000]]).repeat(1000);
    let mut sent = 0;
    while sent < TOTAL && deaf.try_send(&request).is_ok() {
        sent += request.len();
        let grown = server.resident().saturating_sub(before);
        assert!(grown < 100 << 20, "{grown} bytes after {sent} bytes of requests");
        assert_eq!(other.run("PING").to_string(), "+PONG");
    }
    drop(deaf);
    eventually("the deaf client is gone", || server.client_count() == 2);
}

#[test]
fn a_client_that_reads_only_once_it_has_written_everything_does_not_wait_for_itself() {
    const COMMANDS: usize = 40_000;
    let server = Server::start();
    let mut client = server.connect();
    client.set_write_timeout(Duration::from_secs(20));
    let request = Client::encode(&[&b"ECHO"[..], &[b'x'; 1000]]);
    client.send(&request.repeat(COMMANDS));
    for _ in 0..COMMANDS {
        assert_eq!(client.reply().text().len(), 1000);
    }
    server.assert_serves();
}

#[test]
fn a_slow_reader_gets_every_byte_and_disturbs_nobody() {
    const VALUE: usize = 1 << 20;
    const COUNT: usize = 256;
    let server = Server::start();
    let mut other = server.connect();
    let value = (0..VALUE).map(|index| (index % 251) as u8).collect::<Vec<_>>();
    assert_eq!(other.command(&[b"SET", &b"k"[..], &value]).to_string(), "+OK");
    let before = server.resident();
    let mut slow = server.connect();
    slow.send(&Client::encode(&["GET", "k"]).repeat(COUNT));
    let mut slowest = Duration::ZERO;
    let mut most = 0;
    for _ in 0..100 {
        let start = Instant::now();
        assert_eq!(other.run("PING").to_string(), "+PONG");
        slowest = slowest.max(start.elapsed());
        most = most.max(server.resident().saturating_sub(before));
        thread::sleep(Duration::from_millis(5));
    }
    // Ours sends big values from where they lie; a server that copies them needs all 256 MiB.
    let bound = if is_torc() { 64 << 20 } else { 400 << 20 };
    assert!(most < bound, "{COUNT} unread replies took {most} bytes");
    assert!(slowest < Duration::from_secs(5), "a PING took {slowest:?}");
    // The value is replaced while replies that refer to it are still on their way. A server that stopped reading from
    // the slow client may execute its last commands only now.
    assert_eq!(other.run("SET k other").to_string(), "+OK");
    let mut replaced = 0;
    for index in 0..COUNT {
        let reply = slow.reply();
        let is_new = reply == Value::Bulk(b"other".to_vec());
        assert!(
            is_new || (replaced == 0 && reply == Value::Bulk(value.clone())),
            "reply {index} is neither value, or the old one again"
        );
        replaced += usize::from(is_new);
    }
    assert!(replaced < COUNT);
}

#[test]
fn a_slow_reader_gets_its_replies_in_order() {
    const COUNT: usize = 20_000;
    let server = Server::start();
    let numbered = |index: usize| format!("{index:01000}");
    for len in [1, 40] {
        // Short requests of which many wait, and requests as long as their replies.
        let mut slow = server.connect();
        let mut requests = Vec::new();
        for index in 0..COUNT {
            if len == 1 {
                requests.extend_from_slice(&Client::encode(&["SETRANGE", "counter", "0", &format!("{index:09}")]));
                requests.extend_from_slice(&Client::encode(&["GET", "counter"]));
            } else {
                requests.extend_from_slice(&Client::encode(&["ECHO", &numbered(index)]));
            }
        }
        assert_eq!(slow.run(&format!("SET counter {}", "x".repeat(1000))).to_string(), "+OK");
        let mut sender = slow.try_clone();
        thread::scope(|scope| {
            scope.spawn(move || sender.send(&requests));
            for index in 0..COUNT {
                if index % 1000 == 0 {
                    thread::sleep(Duration::from_millis(20));
                }
                let text = if len == 1 {
                    assert_eq!(slow.reply(), Value::Integer(1000), "request {index}");
                    slow.reply().text()[..9].to_owned()
                } else {
                    slow.reply().text()[991..].to_owned()
                };
                assert_eq!(text, format!("{index:09}"));
            }
        });
    }
}

#[test]
fn a_slow_reader_beside_busy_clients_gets_its_replies_in_order() {
    const COUNT: usize = 300;
    let server = Server::start();
    let mut slow = server.connect();
    for key in 0..10 {
        let value = vec![b'0' + key; 1 << 20];
        assert_eq!(slow.command(&[b"SET", &[b'0' + key][..], &value]).to_string(), "+OK");
    }
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..6 {
            let (server, stop) = (&server, &stop);
            scope.spawn(move || {
                let mut busy = server.connect();
                while !stop.load(Ordering::Relaxed) {
                    busy.send(&b"PING\r\n".repeat(47));
                    busy.expect(&b"+PONG\r\n".repeat(47));
                }
            });
        }
        (0..COUNT).for_each(|index| slow.send_command(&["GET", &(index % 10).to_string()]));
        let mut order = Vec::new();
        for index in 0..COUNT {
            if index % 20 == 0 {
                thread::sleep(Duration::from_millis(20));
            }
            match slow.reply() {
                Value::Bulk(value) => order.push(value[value.len() - 1] - b'0'),
                other => panic!("reply {index} is {other}"),
            }
        }
        stop.store(true, Ordering::Relaxed);
        let wanted = (0..COUNT).map(|index| (index % 10) as u8).collect::<Vec<_>>();
        assert_eq!(order, wanted);
    });
}

#[test]
fn peers_that_reset_in_the_middle_of_a_reply_are_forgotten() {
    let server = Server::start();
    let mut other = server.connect();
    assert_eq!(other.command(&[b"SET", &b"k"[..], &vec![b'v'; 8 << 20]]).to_string(), "+OK");
    let descriptors = server.idle_descriptors();
    for round in 0..100 {
        let mut client = server.connect();
        client.send(&Client::encode(&["GET", "k"]).repeat(1 + round % 4));
        client.expect(b"$8388608\r\nv");
        // Closing with unread bytes in the receive queue sends a reset.
        drop(client);
    }
    assert_eq!(other.run("PING").to_string(), "+PONG");
    eventually("their descriptors are closed", || server.descriptors() <= descriptors);
    eventually("only the asking and the first client are listed", || server.client_count() == 2);
}

#[test]
fn closing_with_operations_in_flight_is_clean() {
    let server = Server::start();
    let mut other = server.connect();
    assert_eq!(other.command(&[b"SET", &b"k"[..], &vec![b'v'; 100_000]]).to_string(), "+OK");
    let descriptors = server.idle_descriptors();
    for round in 0..300 {
        let mut client = server.connect();
        match round % 6 {
            0 => client.send(&b"PING\r\n".repeat(3000)),
            1 => client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$1000000\r\nabc"),
            2 => client.send(&Client::encode(&["GET", "k"]).repeat(20)),
            3 => client.send(b"QUIT\r\nPING\r\n"),
            4 => {
                client.send(b"*1\r\n$4\r\nPI");
                client.finish_sending();
            }
            _ => {
                client.send(&b"GET k\r\n".repeat(10));
                client.finish_sending();
                client.discard_some();
            }
        }
    }
    eventually("their descriptors are closed", || server.descriptors() <= descriptors);
    assert_eq!(other.run("PING").to_string(), "+PONG");
}

#[test]
fn replies_arrive_after_the_client_stopped_sending() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(&b"ECHO hello\r\n".repeat(100));
    assert_eq!(client.reply().text(), "hello");
    client.send(b"PING\r\nQUIT\r\nPING\r\n");
    let rest = client.read_to_close();
    assert_eq!(rest, [b"$5\r\nhello\r\n".repeat(99), b"+PONG\r\n+OK\r\n".to_vec()].concat());
}

#[test]
fn clients_that_send_without_pause_starve_nobody() {
    let server = Server::start();
    let request = Client::encode(&["SETRANGE", "k", "10", "vvvv"]).repeat(20_000);
    let stop = AtomicBool::new(false);
    let answers = thread::scope(|scope| {
        for _ in 0..3 {
            let mut writer = server.connect();
            let mut reader = writer.try_clone();
            let (request, stop) = (&request, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) && writer.try_send(request).is_ok() {}
                writer.finish_sending();
            });
            scope.spawn(move || while reader.discard_some() {});
        }
        let mut other = server.connect();
        other.set_read_timeout(Duration::from_secs(3));
        // Enough of them that the senders' sockets are full from some time on.
        let answers = (0..20).take_while(|_| {
            other.send(b"PING\r\n");
            thread::sleep(Duration::from_millis(10));
            other.try_reply().is_ok()
        });
        let answers = answers.count();
        stop.store(true, Ordering::Relaxed);
        answers
    });
    assert_eq!(answers, 20, "each within three seconds");
}

#[test]
fn a_slow_reader_that_stopped_sending_gets_all_replies_and_all_its_commands_run() {
    const VALUE: usize = 4 << 20;
    if !is_torc() {
        return skip("others forget what the socket did not take when the peer stops sending");
    }
    // The first is below the output at which commands wait, the second far beyond it.
    for count in [1, 24] {
        let server = Server::start();
        assert_eq!(server.connect().command(&[b"SET", &b"big"[..], &vec![b'v'; VALUE]]).to_string(), "+OK");
        let mut slow = server.connect();
        slow.send(&Client::encode(&["GET", "big"]).repeat(count));
        // The peer's end is seen while output waits, and once more while it is not read from.
        assert!(slow.has_received_within(Duration::from_secs(10)));
        slow.send(b"SET behind yes\r\nPING\r\n");
        slow.finish_sending();
        thread::sleep(Duration::from_millis(200));
        for index in 0..count {
            assert_eq!(slow.reply().text().len(), VALUE, "reply {index} of {count}");
        }
        assert_eq!(slow.read_to_close(), b"+OK\r\n+PONG\r\n");
        assert_eq!(server.connect().run("GET behind").text(), "yes");
        eventually("the slow client is gone", || server.client_count() == 1);
    }
}

#[test]
fn a_transaction_counts_towards_the_query_buffer_limit() {
    let server = Server::with("--client-query-buffer-limit 1mb");
    let argument = vec![b'a'; 20_000];
    let mut greedy = server.connect();
    assert_eq!(greedy.run("MULTI").to_string(), "+OK");
    let mut queued = 0;
    while queued < 200 && greedy.try_send(&Client::encode(&[b"SET", &b"k"[..], &argument])).is_ok() {
        let Ok(reply) = greedy.try_reply() else { break };
        assert_eq!(reply.to_string(), "+QUEUED");
        queued += 1;
    }
    assert_eq!(queued, 52, "as many as fit into the limit");
    assert_eq!(server.info("stats", "client_query_buffer_limit_disconnections"), "1");
    assert_eq!(server.connect().run("EXISTS k").to_string(), ":0");
}

#[test]
fn commands_before_one_that_is_too_big_are_answered() {
    let server = Server::with("--client-query-buffer-limit 1mb");
    let mut client = server.connect();
    client.send(&[&b"PING\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3000000\r\n"[..], &[b'v'; 1_200_000]].concat());
    assert_eq!(client.reply().to_string(), "+PONG");
    eventually("the client is closed", || server.client_count() == 1);
}

#[test]
fn accepting_recovers_from_too_many_open_descriptors() {
    let server = Server::start();
    let mut first = server.connect();
    assert_eq!(first.run("PING").to_string(), "+PONG");
    let descriptors = server.idle_descriptors() as u64;
    server.set_descriptor_limit(descriptors + 5);
    // A ring's accept knows the limit of when it was armed: a new listener knows the new one.
    let port = free_port();
    assert_eq!(first.run(&format!("CONFIG SET port {port}")).to_string(), "+OK");
    let mut queued = (0..20).map(|_| Client::tcp(([127, 0, 0, 1], port).into())).collect::<Vec<_>>();
    queued.iter_mut().for_each(|client| client.send(b"PING\r\n"));
    thread::sleep(Duration::from_millis(300));
    assert_eq!(first.run("PING").to_string(), "+PONG");
    let served = answered(&mut queued);
    assert!(served <= 6, "{served} connections were served with 5 descriptors left");
    // A place becomes free while the limit stays: the next in the queue gets it.
    queued.drain(..3);
    eventually("a queued connection is served", || answered(&mut queued) >= served.saturating_sub(2));
    server.set_descriptor_limit(10_000);
    queued.iter_mut().for_each(|client| assert_eq!(client.reply().to_string(), "+PONG"));
    assert_eq!(Client::tcp(([127, 0, 0, 1], port).into()).run("PING").to_string(), "+PONG");
}

/// How many of the clients have something to read.
fn answered(clients: &mut [Client]) -> usize {
    clients
        .iter_mut()
        .map(|client| client.has_received_within(Duration::from_millis(10)))
        .filter(|answered| *answered)
        .count()
}

#[test]
fn a_small_descriptor_limit_lowers_maxclients() {
    let server = Server::builder().nofile(100).start();
    assert_eq!(server.connect().run("CONFIG GET maxclients").to_string(), "[\"maxclients\", \"68\"]");
    let log = server.log();
    assert!(log.contains("You requested maxclients of 10000 requiring at least 10032 max file descriptors."), "{log}");
    assert!(log.contains("maxclients has been reduced to 68 to compensate for low ulimit."), "{log}");
}

#[test]
fn five_hundred_clients_may_send_one_byte_at_a_time() {
    let clients = if allow_descriptors(2000) { 500 } else { 200 };
    let server = Server::start();
    let before = server.resident();
    let mut held = (0..clients).map(|_| server.connect()).collect::<Vec<_>>();
    let request = b"*3\r\n$3\r\nSET\r\n$3\r\nkey\r\n$5\r\nvalue\r\nECHO inline\r\n";
    for byte in request {
        held.iter_mut().for_each(|client| client.send(&[*byte]));
    }
    for client in &mut held {
        client.expect(b"+OK\r\n$6\r\ninline\r\n");
    }
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes for {clients} slow clients");
}

#[test]
fn accepted_sockets_have_their_options() {
    let server = Server::with("--tcp-keepalive 120");
    let mut client = server.connect();
    let info = client.run("CLIENT INFO").text();
    let descriptor = info.split(' ').find_map(|field| field.strip_prefix("fd=")).unwrap().parse().unwrap();
    let socket = server.socket_of(descriptor);
    assert!(sockopt::tcp_nodelay(&socket).unwrap());
    assert!(sockopt::socket_keepalive(&socket).unwrap());
    assert_eq!(sockopt::tcp_keepidle(&socket).unwrap(), Duration::from_secs(120));
    assert_eq!(sockopt::tcp_keepintvl(&socket).unwrap(), Duration::from_secs(40));
    assert_eq!(sockopt::tcp_keepcnt(&socket).unwrap(), 3);
}

#[test]
fn client_kill_takes_every_filter() {
    let server = Server::start();
    play(
        &server,
        r#"
        CLIENT KILL                     => -ERR wrong number of arguments for 'client|kill' command
        CLIENT KILL 1.2.3.4:5           => -ERR No such client
        CLIENT KILL ID x                => -ERR client-id should be greater than 0
        CLIENT KILL ID 0                => -ERR client-id should be greater than 0
        CLIENT KILL TYPE nosuch         => -ERR Unknown client type 'nosuch'
        CLIENT KILL USER nobody         => -ERR No such user 'nobody'
        CLIENT KILL SKIPME maybe        => -ERR syntax error
        CLIENT KILL MAXAGE x            => -ERR maxage is not an integer or out of range
        CLIENT KILL MAXAGE 0            => -ERR maxage should be greater than 0
        CLIENT KILL ID 999999           => :0
        CLIENT KILL ID 1 nosuch         => -ERR syntax error
        CLIENT KILL ADDR 1.2.3.4:5      => :0
        CLIENT KILL MAXAGE 100000       => :0
        CLIENT KILL TYPE pubsub         => :0
        "#,
    );
    let mut killer = server.connect();
    let mut victim = server.connect();
    let id = victim.run("CLIENT ID").integer();
    assert_eq!(killer.run(&format!("CLIENT KILL ID {id}")), Value::Integer(1));
    assert_eq!(victim.read_to_close(), b"");
    let mut victim = server.connect();
    let address = victim.local_address();
    assert_eq!(victim.run("PING").to_string(), "+PONG");
    assert_eq!(killer.run(&format!("CLIENT KILL {address}")).to_string(), "+OK");
    assert_eq!(victim.read_to_close(), b"");
    let mut victims = (0..10).map(|_| server.connect()).collect::<Vec<_>>();
    victims.iter_mut().for_each(|client| assert_eq!(client.run("PING").to_string(), "+PONG"));
    eventually("the others of before are gone", || server.client_count() == 12);
    let laddr = server.address();
    let killed = killer.run(&format!("CLIENT KILL TYPE normal LADDR {laddr} SKIPME yes")).integer();
    assert!((10..=11).contains(&killed), "{killed}");
    victims.iter_mut().for_each(|client| assert_eq!(client.read_to_close(), b""));
    // Oneself: answered, then closed.
    killer.send(&Client::encode(&["CLIENT", "KILL", "USER", "default", "SKIPME", "no"]));
    assert_eq!(killer.read_to_close(), b":1\r\n");
}

#[test]
fn a_client_killed_with_a_reply_on_its_way_is_closed() {
    let server = Server::start();
    let mut other = server.connect();
    assert_eq!(other.command(&[b"SET", &b"k"[..], &vec![b'v'; 16 << 20]]).to_string(), "+OK");
    let descriptors = server.idle_descriptors();
    for _ in 0..20 {
        let mut victim = server.connect();
        let id = victim.run("CLIENT ID").integer();
        victim.send(&Client::encode(&["GET", "k"]).repeat(3));
        victim.expect(b"$16777216\r\n");
        assert_eq!(other.run(&format!("CLIENT KILL ID {id}")), Value::Integer(1));
        assert!(victim.read_to_close().len() < 48 << 20);
    }
    eventually("their descriptors are closed", || server.descriptors() <= descriptors);
}

#[test]
fn client_list_and_names() {
    let server = Server::start();
    play(
        &server,
        r#"
        CLIENT GETNAME                  => (nil)
        CLIENT SETNAME me               => +OK
        CLIENT GETNAME                  => "me"
        CLIENT SETNAME "a b"            => -ERR Client names cannot contain spaces, newlines or special characters.
        CLIENT GETNAME                  => "me"
        CLIENT SETINFO lib-name torc    => +OK
        CLIENT SETINFO LIB-VER 1.2      => +OK
        CLIENT SETINFO lib-name "a b"   => -ERR lib-name cannot contain spaces, newlines or special characters.
        CLIENT SETINFO nosuch x         => -ERR Unrecognized option 'nosuch'
        CLIENT SETNAME ""               => +OK
        CLIENT GETNAME                  => (nil)
        CLIENT LIST TYPE nosuch         => -ERR Unknown client type 'nosuch'
        CLIENT LIST ID x                => -ERR Invalid client ID
        CLIENT LIST ID 99999            => ""
        CLIENT LIST TYPE replica        => ""
        CLIENT LIST nosuch              => -ERR syntax error
        CLIENT nosuch                   => -ERR unknown subcommand 'nosuch'. Try CLIENT HELP.
        CLIENT                          => -ERR wrong number of arguments for 'client' command
        CLIENT ID x                     => -ERR wrong number of arguments for 'client|id' command
        "#,
    );
    let mut client = server.connect();
    assert_eq!(client.run("SELECT 3").to_string(), "+OK");
    assert_eq!(client.run("CLIENT SETINFO lib-name torc").to_string(), "+OK");
    let line = client.run("CLIENT INFO").text();
    let names = line.trim_end().split(' ').map(|field| field.split('=').next().unwrap()).collect::<Vec<_>>().join(" ");
    assert_eq!(
        names,
        "id addr laddr fd name age idle flags db sub psub ssub multi watch qbuf qbuf-free argv-mem multi-mem rbs rbp \
         obl oll omem tot-mem events cmd user redir resp lib-name lib-ver io-thread"
    );
    for part in
        [" db=3 ", " flags=N ", " cmd=client|info ", " user=default ", " resp=2 ", " lib-name=torc ", " multi=-1 "]
    {
        assert!(line.contains(part), "no {part:?} in {line}");
    }
    let id = client.run("CLIENT ID").integer();
    let listed = server.connect().run(&format!("CLIENT LIST ID {id} 99999")).text();
    assert_eq!(listed.lines().count(), 1, "{listed}");
    assert!(listed.starts_with(&format!("id={id} ")), "{listed}");
}

#[test]
fn a_partial_command_shows_in_client_list() {
    let server = Server::start();
    let mut client = server.connect();
    let id = client.run("CLIENT ID").integer();
    client.send(b"*2\r\n$3\r\nGET\r\n$5\r\nab");
    let mut other = server.connect();
    eventually("qbuf shows the waiting bytes", || {
        !other.run(&format!("CLIENT LIST ID {id}")).text().contains(" qbuf=0 ")
    });
    client.send(b"cde\r\n");
    assert_eq!(client.reply().to_string(), "(nil)");
    assert!(other.run(&format!("CLIENT LIST ID {id}")).text().contains(" qbuf=0 "));
}

#[test]
fn many_clients_at_once_get_their_own_replies() {
    let server = Server::start();
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for worker in 0..8 {
            let (server, stop) = (&server, &stop);
            scope.spawn(move || {
                let mut clients = (0..10).map(|_| server.connect()).collect::<Vec<_>>();
                for round in 0..100 {
                    for (index, client) in clients.iter_mut().enumerate() {
                        client.send_command(&["SET", &format!("{worker}:{index}"), &format!("{round}")]);
                        client.send_command(&["GET", &format!("{worker}:{index}")]);
                    }
                    for client in &mut clients {
                        assert_eq!(client.reply().to_string(), "+OK");
                        assert_eq!(client.reply().text(), round.to_string());
                    }
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                }
            });
        }
    });
    assert_eq!(server.connect().run("DBSIZE"), Value::Integer(80));
}
