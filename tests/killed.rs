//! A process with a thousand connections is killed in the middle of its transfers, again and again: what the server had
//! for them is back each time, descriptors, clients and memory.
//!
//! Drives the built binaries; knows nothing of their code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it starts processes and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use harness::{Authority, Client, Server, allow_descriptors, eventually, free_port, skip};

/// Connections of the two processes of a round together.
const CONNECTIONS: usize = 1000;
/// Rounds that are compared with what was there after the first one, in which the server gets the memory it works with.
const ROUNDS: u64 = 4;
/// Descriptors of this test's processes, with room.
const DESCRIPTORS: u64 = 4096;
/// What resident memory may vary by once the allocator has given back what it can: pages that are in use in part.
const RESIDENT_SLACK: usize = 24 << 20;
/// What memory in use may vary by.
const USED_SLACK: usize = 1 << 20;
/// Bytes of what is transferred: received into memory of its own, and sent by reference.
const VALUE_BYTES: usize = 70_000;

/// A process that makes load until it is killed.
struct Load(Child);

impl Load {
    fn start(args: &[String], command: &str) -> Load {
        let mut process = Command::new(env!("CARGO_BIN_EXE_torc-bench"));
        let (connections, length) = ((CONNECTIONS / 2).to_string(), VALUE_BYTES.to_string());
        process.args(args).args(["-c", &connections, "-n", "1000000000", "-P", "4", "-r", "10", "-d", &length, "-q"]);
        process.args(command.split(' ')).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::inherit());
        Load(process.spawn().unwrap())
    }

    /// SIGKILL: it closes nothing itself.
    fn kill(&mut self) {
        assert!(self.0.try_wait().unwrap().is_none(), "the load ended by itself");
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// What the server has.
#[derive(Debug)]
struct Holdings {
    clients: usize,
    client_memory: usize,
    used: usize,
    resident: usize,
}

fn number(control: &mut Client, section: &str, field: &str) -> usize {
    let text = control.run(&format!("INFO {section}")).text();
    let value = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':')).unwrap();
    value.trim().parse().unwrap()
}

fn holdings(server: &Server, control: &mut Client) -> Holdings {
    Holdings {
        clients: number(control, "clients", "connected_clients"),
        client_memory: number(control, "memory", "mem_clients_normal"),
        used: number(control, "memory", "used_memory"),
        resident: server.resident(),
    }
}

/// Lets both loads come in and get to work, and kills them.
fn round(server: &Server, control: &mut Client, args: &[String], pause: Duration) -> Holdings {
    let big = "x".repeat(VALUE_BYTES);
    assert_eq!(control.command(&["SET", "big", &big]).to_string(), "+OK");
    let mut loads = [Load::start(args, "GET big"), Load::start(args, "SET __key__ __data__")];
    let begun = number(control, "stats", "total_commands_processed");
    eventually("all connections", || number(control, "clients", "connected_clients") == CONNECTIONS + 1);
    eventually("work", || number(control, "stats", "total_commands_processed") > begun + 2 * CONNECTIONS);
    thread::sleep(pause);
    loads.iter_mut().for_each(Load::kill);
    eventually("the end of all connections", || number(control, "clients", "connected_clients") == 1);
    assert_eq!(control.run("FLUSHALL SYNC").to_string(), "+OK");
    assert_eq!(control.run("CLIENT LIST").text().lines().count(), 1);
    assert_eq!(control.run("MEMORY PURGE").to_string(), "+OK");
    holdings(server, control)
}

fn rounds(server: &Server, args: &[String]) {
    if !allow_descriptors(DESCRIPTORS) {
        return skip("the host does not allow so many descriptors");
    }
    let mut control = server.connect();
    eventually("the connection that asked whether the server answers is gone", || {
        number(&mut control, "clients", "connected_clients") == 1
    });
    let before = holdings(server, &mut control);
    let descriptors = server.idle_descriptors();
    let first = round(server, &mut control, args, Duration::ZERO);
    for number in 1..=ROUNDS {
        let after = round(server, &mut control, args, Duration::from_millis(37 * number));
        println!("round {number}: {after:?}");
        assert_eq!(after.clients, 1, "round {number}");
        // The server reads a file of its own now and then.
        eventually("the descriptors are back", || server.descriptors() == descriptors);
        assert!(after.client_memory <= before.client_memory + 4096, "{before:?}, then {after:?}");
        assert!(after.used <= first.used + USED_SLACK, "{first:?}, then {after:?}");
        assert!(after.resident <= first.resident + RESIDENT_SLACK, "{first:?}, then {after:?}");
    }
    server.assert_serves();
}

#[test]
fn nothing_is_left_of_clients_that_are_killed() {
    let server = Server::start();
    rounds(&server, &["-p".to_owned(), server.port().to_string()]);
}

#[test]
fn nothing_is_left_of_clients_that_are_killed_over_tls() {
    let (authority, port) = (Authority::new(), free_port());
    // What a cache of sessions keeps is meant to stay.
    let server = Server::with(&format!("{} --tls-session-caching no", authority.server_args(port)));
    authority.sign("client");
    let file = |name: &str| authority.path(name).display().to_string();
    let (authorities, certificate, key) = (file("ca.pem"), file("client.pem"), file("client.key"));
    let port = port.to_string();
    let args = ["-p", &port, "--tls", "--sni", "localhost", "--cacert", &authorities, "--cert", &certificate];
    let args: Vec<String> = args.into_iter().chain(["--key", &key]).map(str::to_owned).collect();
    rounds(&server, &args);
}
