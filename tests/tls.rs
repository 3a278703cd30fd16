//! TLS as clients meet it: handshakes that succeed, fail and never end, large transfers, certificates that change.
//!
//! Drives the built binary over sockets; knows nothing of its code.

#![allow(
    clippy::disallowed_methods,
    reason = "a test is a real client: it opens sockets, starts threads, reads the clock"
)]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use harness::{Authority, BOTH_VERSIONS, Client, Server, TIMEOUT, Value, eventually, free_port, is_torc, skip};
use rustls::ClientConfig;
use rustls::version::{TLS12, TLS13};

/// A server with both ports, its authority, and a client that may come in.
struct Site {
    authority: Authority,
    server: Server,
    port: u16,
    client: Arc<ClientConfig>,
}

impl Site {
    fn new(args: &str) -> Site {
        let authority = Authority::new();
        let port = free_port();
        let server = Server::with(&format!("{} --loglevel verbose {args}", authority.server_args(port)));
        let client = authority.client(BOTH_VERSIONS, Some(authority.sign("client")));
        Site { authority, server, port, client }
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    #[track_caller]
    fn connect(&self) -> Client {
        Client::try_tls(self.address(), &self.client).unwrap_or_else(|why| panic!("no handshake: {why}"))
    }

    fn raw(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address()).unwrap();
        stream.set_read_timeout(Some(TIMEOUT)).unwrap();
        stream
    }

    /// A client is let in and served.
    fn admits(&self, config: &Arc<ClientConfig>) -> bool {
        let client = Client::try_tls(self.address(), config);
        client.is_ok_and(|mut client| client.try_send(b"PING\r\n").is_ok() && client.try_reply().is_ok())
    }

    #[track_caller]
    fn set(&self, line: &str) {
        assert_eq!(self.server.connect().run(&format!("CONFIG SET {line}")).to_string(), "+OK", "{line}");
    }

    #[track_caller]
    fn logs(&self, text: &str) {
        eventually(text, || self.server.log().contains(text));
    }
}

/// What a thread says of a client goes to the main thread at once and costs it as much as a command: a request that leaves
/// nothing in any buffer is no news, encrypted or not.
#[test]
fn requests_that_leave_nothing_behind_are_not_reported() {
    if !is_torc() {
        return skip("it has no such figures");
    }
    const REQUESTS: u64 = 200;
    let site = Site::new("--io-threads 2 --io-threads-always-active yes");
    let mut client = site.connect();
    let figure = |name: &str| -> u64 {
        let line = site.server.info("threads", "io_thread_1");
        line.split(',').find_map(|field| field.strip_prefix(name)).unwrap().parse().unwrap()
    };
    client.run("PING");
    let before = (figure("reports="), figure("commands="));
    (0..REQUESTS).for_each(|_| assert_eq!(client.run("PING").to_string(), "+PONG"));
    assert!(figure("commands=") - before.1 >= REQUESTS);
    assert!(figure("reports=") - before.0 < REQUESTS / 4);
}

#[test]
fn both_ports_serve_and_say_so() {
    let site = Site::new("");
    let (mut plain, mut tls) = (site.server.connect(), site.connect());
    assert_eq!(tls.run("SET k v").to_string(), "+OK");
    assert_eq!(plain.run("GET k").text(), "v");
    let (port, tls_port) = (site.server.port(), site.port);
    assert_eq!(site.server.info("server", "listener0"), format!("name=tcp,bind=127.0.0.1,port={port}"));
    assert_eq!(site.server.info("server", "listener2"), format!("name=tls,bind=127.0.0.1,port={tls_port}"));
    assert_eq!(site.server.info("server", "tcp_port"), port.to_string());
    let info = tls.run("CLIENT INFO").text();
    assert!(info.contains(&format!(" addr={} laddr=127.0.0.1:{tls_port} ", tls.local_address())), "{info}");
    assert!(site.server.log().contains("Ready to accept connections tls"), "{}", site.server.log());
    // Encryption has its price.
    let memory =
        |line: &str| line.split("tot-mem=").nth(1).unwrap().split(' ').next().unwrap().parse::<usize>().unwrap();
    if is_torc() {
        assert!(memory(&info) > memory(&plain.run("CLIENT INFO").text()), "{info}");
    }
}

#[test]
fn the_plain_port_can_be_left_out() {
    let site = Site::new("");
    let mut tls = site.connect();
    assert_eq!(tls.run("CONFIG SET port 0").to_string(), "+OK");
    assert!(Client::try_tcp(site.server.address()).is_err());
    let info = tls.run("INFO server").text();
    assert!(info.contains(&format!("tcp_port:{}\r\n", site.port)) && !info.contains("listener0:"), "{info}");
    let other = free_port();
    assert_eq!(tls.run(&format!("CONFIG SET tls-port {other} port {}", site.server.port())).to_string(), "+OK");
    assert_eq!(tls.run("PING").to_string(), "+PONG");
    assert!(TcpStream::connect(site.address()).is_err());
    assert!(Client::try_tls((Ipv4Addr::LOCALHOST, other).into(), &site.client).is_ok());
    site.server.assert_serves();
    assert_eq!(tls.run("CONFIG SET tls-port 0").to_string(), "+OK");
    assert!(TcpStream::connect((Ipv4Addr::LOCALHOST, other)).is_err());
    let taken = tls.run(&format!("CONFIG SET tls-port {}", site.server.port())).to_string();
    assert_eq!(
        taken,
        "-ERR CONFIG SET failed (possibly related to argument 'tls-port') - Unable to listen on this port. Check server \
         logs."
    );
    assert_eq!(tls.run("CONFIG GET tls-port").items()[1].text(), "0");
}

#[test]
fn a_server_with_a_bad_file_does_not_start() {
    let authority = Authority::new();
    let good = authority.server_args(free_port());
    for (args, line) in [
        ("--tls-port 1", "No tls-cert-file configured!"),
        (&format!("{good} --tls-cert-file /no/such/file"), "Failed to load certificate: /no/such/file: "),
        (&format!("{good} --tls-key-file {}", authority.path("ca.pem").display()), "Failed to load private key: "),
        (
            &format!("{good} --tls-ca-cert-file \"\""),
            "Either tls-ca-cert-file or tls-ca-cert-dir must be specified when",
        ),
    ] {
        let (status, log) = Server::builder().args(args).refusal();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains(line) && log.contains("Failed to configure TLS. Check logs for more info."), "{log}");
    }
}

#[test]
fn versions_are_those_that_are_set() {
    let site = Site::new("");
    let identity = || Some(site.authority.sign("client"));
    let (older, newer) = (site.authority.client(&[&TLS12], identity()), site.authority.client(&[&TLS13], identity()));
    for (set, admits) in [
        ("\"\"", (true, true)),
        ("TLSv1.2", (true, false)),
        ("TLSv1.3", (false, true)),
        ("\"TLSv1.2 TLSv1.3\"", (true, true)),
    ] {
        site.set(&format!("tls-protocols {set}"));
        assert_eq!((site.admits(&older), site.admits(&newer)), admits, "{set}");
    }
    site.set("tls-ciphers ECDHE-ECDSA-AES128-GCM-SHA256 tls-ciphersuites TLS_CHACHA20_POLY1305_SHA256");
    for (config, suite) in
        [(older, "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"), (newer, "TLS13_CHACHA20_POLY1305_SHA256")]
    {
        let mut client = Client::try_tls(site.address(), &config).unwrap();
        let agreed = client.tls().conn.negotiated_cipher_suite().unwrap().suite();
        assert_eq!(format!("{agreed:?}"), suite);
        assert_eq!(client.run("PING").to_string(), "+PONG");
    }
}

#[test]
fn clients_show_certificates_as_they_have_to() {
    let site = Site::new("");
    let other = Authority::new();
    let none = site.authority.client(BOTH_VERSIONS, None);
    let foreign = site.authority.client(BOTH_VERSIONS, Some(other.sign("foreign")));
    let expired = site.authority.client(BOTH_VERSIONS, Some(site.authority.sign_until("expired", 2020)));
    for (set, admits) in [
        ("yes", [true, false, false, false]),
        ("optional", [true, true, false, false]),
        ("no", [true, true, true, true]),
    ] {
        site.set(&format!("tls-auth-clients {set}"));
        let admitted = [&site.client, &none, &foreign, &expired].map(|config| site.admits(config));
        assert_eq!(admitted, admits, "{set}");
    }
    let log = site.server.log();
    for reason in ["peer did not return a certificate", "certificate verify failed"] {
        let line = log.lines().find(|line| line.contains(reason)).unwrap_or_else(|| panic!("no {reason:?} in {log}"));
        let (_, line) = line.split_once("# Error accepting a client connection: ").unwrap();
        let tail = format!(" laddr=127.0.0.1:{})", site.port);
        assert!(line.contains(" (addr=127.0.0.1:") && line.ends_with(&tail), "{line}");
    }
}

#[test]
fn plain_text_gets_no_answer() {
    let site = Site::new("");
    for text in [&b"PING\r\n"[..], b"*1\r\n$4\r\nPING\r\n", b"GET / HTTP/1.1\r\n\r\n"] {
        let mut stream = site.raw();
        stream.write_all(text).unwrap();
        let mut answer = Vec::new();
        // Closing may reset the connection.
        let _ = stream.read_to_end(&mut answer);
        assert_eq!(answer, b"");
    }
    site.logs("Error accepting a client connection: wrong version number (addr=127.0.0.1:");
    site.server.assert_serves();
    // That one has left, but its thread may say so after another has brought the question.
    eventually("none of them is left", || site.server.client_count() == 1);
}

#[test]
fn half_a_handshake_holds_nobody_up_and_ends_with_the_timeout() {
    let site = Site::new("--timeout 1");
    let mut silent = site.raw();
    let mut half = site.raw();
    half.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03").unwrap();
    let mut client = site.connect();
    assert_eq!(client.run("PING").to_string(), "+PONG");
    for stream in [&mut silent, &mut half] {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest);
        assert_eq!(rest, b"");
    }
    site.logs("Closing idle client");
    // One that gives up by itself is told of.
    drop(site.raw());
    site.logs("Error accepting a client connection: unexpected eof while reading (addr=");
}

#[test]
fn long_pipelines_come_back_in_order() {
    let site = Site::new("");
    for version in [&TLS12, &TLS13] {
        let config = site.authority.client(&[version], Some(site.authority.sign("client")));
        let mut client = Client::try_tls(site.address(), &config).unwrap();
        let requests = (0..20_000).flat_map(|number: u32| {
            let value = "v".repeat(number as usize % 300);
            [
                Client::encode(&["SET", &format!("k{}", number % 50), &value]),
                Client::encode(&["STRLEN", &format!("k{}", number % 50)]),
            ]
        });
        let requests = requests.collect::<Vec<_>>().concat();
        // Pieces that are no multiple of anything.
        for piece in requests.chunks(70_001) {
            client.send(piece);
        }
        for number in 0..20_000 {
            assert_eq!(client.reply().to_string(), "+OK");
            assert_eq!(client.reply().integer(), number % 300);
        }
    }
}

#[test]
fn large_values_go_both_ways() {
    let site = Site::new("");
    let value = (0..64 << 20).map(|number: u32| (number.wrapping_mul(2_654_435_761) >> 24) as u8).collect::<Vec<_>>();
    let mut client = site.connect();
    assert_eq!(client.command(&[&b"SET"[..], b"big", &value]).to_string(), "+OK");
    let Value::Bulk(plain) = site.server.connect().run("GET big") else { panic!("no value") };
    assert!(plain == value, "what came in over TLS is not what was sent");
    client.send(&[Client::encode(&["GET", "big"]), Client::encode(&["PING"])].concat());
    let Value::Bulk(back) = client.reply() else { panic!("no value") };
    assert!(back == value, "what went out over TLS is not what is there");
    assert_eq!(client.reply().to_string(), "+PONG");
}

#[test]
fn a_slow_reader_gets_everything() {
    const VALUE_LEN: usize = 300_000;
    const REPLIES: usize = 400;
    let site = Site::new("");
    site.server.connect().command(&["SET", "k", &"x".repeat(VALUE_LEN)]);
    let mut client = site.connect();
    client.send(&Client::encode(&["GET", "k"]).repeat(REPLIES));
    eventually("its output waits", || {
        let list = site.server.connect().run("CLIENT LIST").text();
        list.lines().any(|line| line.contains("cmd=get") && !line.contains(" omem=0 "))
    });
    thread::sleep(Duration::from_millis(200));
    let mut other = site.connect();
    assert_eq!(other.run("PING").to_string(), "+PONG");
    for _ in 0..REPLIES {
        assert_eq!(client.reply().text().len(), VALUE_LEN);
    }
    assert_eq!(client.run("PING").to_string(), "+PONG");
}

#[test]
fn output_limits_hold_over_tls() {
    let site = Site::new("--client-output-buffer-limit normal 1000000 0 0");
    site.server.connect().command(&["SET", "k", &"x".repeat(500_000)]);
    let mut client = site.connect();
    client.send(&Client::encode(&["GET", "k"]).repeat(100));
    site.logs("scheduled to be closed ASAP for overcoming of output buffer limits.");
    while client.discard_some() {}
    site.server.assert_serves();
}

#[test]
fn peers_that_vanish_leave_nothing_behind() {
    let site = Site::new("");
    site.server.connect().command(&["SET", "k", &"x".repeat(1 << 20)]);
    let before = site.server.descriptors();
    for round in 0..20 {
        let mut half = site.raw();
        half.write_all(&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..1 + round % 11]).unwrap();
        drop(half);
        let mut sending = site.connect();
        sending.send(b"*3\r\n$3\r\nSET\r\n$1\r\nl\r\n$5000000\r\nxxxx");
        drop(sending);
        let mut reading = site.connect();
        reading.send(&Client::encode(&["GET", "k"]).repeat(30));
        reading.discard_some();
        drop(reading);
    }
    eventually("all are gone", || site.server.client_count() == 1 && site.server.descriptors() <= before);
    assert_eq!(site.server.connect().run("EXISTS l").integer(), 0);
}

#[test]
fn the_end_is_announced_and_understood() {
    let site = Site::new("");
    // A close without the word would be an error of the client's.
    let mut client = site.connect();
    client.send_command(&["QUIT"]);
    assert_eq!(client.read_to_close(), b"+OK\r\n");
    let mut killed = site.connect();
    let id = killed.run("CLIENT ID").integer();
    assert_eq!(site.server.connect().run(&format!("CLIENT KILL ID {id}")).integer(), 1);
    assert_eq!(killed.read_to_close(), b"");
    // What was asked before the word is answered, large or small.
    site.server.connect().command(&["SET", "k", &"x".repeat(1 << 20)]);
    for (request, len) in [(&["PING"][..], 7), (&["GET", "k"], (1 << 20) + 12)] {
        let mut client = site.connect();
        client.send_command(request);
        client.finish_sending();
        assert_eq!(client.read_to_close().len(), len);
    }
    let broken = site.connect();
    let mut client = broken;
    client.tls().sock.write_all(b"\x17\x03\x03\x00\x20these bytes are not encrypted...").unwrap();
    let closed = client.try_reply().unwrap_err();
    assert!(closed.contains("BadRecordMac") || closed.contains("eset") || closed.contains("closed"), "{closed}");
    site.server.assert_serves();
}

#[test]
fn too_many_clients_and_strangers_are_turned_away() {
    let site = Site::new("");
    let mut first = site.connect();
    site.set("maxclients 1");
    assert!(Client::try_tls(site.address(), &site.client).is_err());
    assert_eq!(first.run("CONFIG SET maxclients 100").to_string(), "+OK");
    assert_eq!(first.run("PING").to_string(), "+PONG");
    assert_eq!(site.server.info("stats", "rejected_connections"), "1");
}

/// An address of this host that is no loopback address. Nothing is sent to find it.
fn outer_address() -> Option<IpAddr> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).ok()?;
    socket.connect((Ipv4Addr::new(192, 0, 2, 200), 9)).ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[test]
fn protected_mode_is_told_over_tls() {
    let Some(outer) = outer_address() else { return skip("this host has no address but loopback") };
    let authority = Authority::new();
    let port = free_port();
    let args = format!("{} --tls-auth-clients no", authority.server_args(port));
    let server = Server::builder().bind(&format!("127.0.0.1 {outer}")).args(&args).start();
    let config = authority.client(BOTH_VERSIONS, None);
    let mut outside = Client::try_tls((outer, port).into(), &config).unwrap();
    let told = String::from_utf8(outside.read_to_close()).unwrap();
    assert!(told.starts_with("-DENIED Redis is running in protected mode"), "{told}");
    assert_eq!(server.info("stats", "rejected_connections"), "1");
    assert_eq!(server.connect().run("CONFIG SET protected-mode no").to_string(), "+OK");
    let mut outside = Client::try_tls((outer, port).into(), &config).unwrap();
    assert_eq!(outside.run("PING").to_string(), "+PONG");
}

#[test]
fn certificates_change_under_connected_clients() {
    let site = Site::new("");
    let mut old = site.connect();
    let new = Authority::new();
    let (server, key, ca) = (new.path("server.pem"), new.path("server.key"), new.path("ca.pem"));
    new.sign("server");
    let client = new.client(BOTH_VERSIONS, Some(new.sign("client")));
    assert!(!site.admits(&client));
    // One file alone does not fit the others: nothing changes.
    let mut plain = site.server.connect();
    for (line, name, logged) in [
        (format!("tls-key-file {}", key.display()), "tls-key-file", "Failed to load private key: "),
        ("tls-cert-file /no/such/file".to_owned(), "tls-cert-file", "Failed to load certificate: /no/such/file: "),
        (
            "tls-ca-cert-file /no/file".to_owned(),
            "tls-ca-cert-file",
            "Failed to configure CA certificate(s) file/directory: ",
        ),
        ("tls-ciphers nosuch".to_owned(), "tls-ciphers", "Failed to configure ciphers: nosuch"),
        ("tls-ciphersuites nosuch".to_owned(), "tls-ciphersuites", "Failed to configure ciphersuites: nosuch"),
        ("tls-protocols TLSv1.9".to_owned(), "tls-protocols", "Invalid tls-protocols specified. Use a combination of "),
        ("tls-cert-file \"\"".to_owned(), "tls-cert-file", "No tls-cert-file configured!"),
    ] {
        let reply = plain.run(&format!("CONFIG SET {line}")).to_string();
        let wanted = format!(
            "-ERR CONFIG SET failed (possibly related to argument '{name}') - Unable to update TLS configuration. Check \
             server logs."
        );
        assert_eq!(reply, wanted);
        site.logs(logged);
        site.logs(&format!(
            "Failed applying new configuration. Possibly related to new {name} setting. Restoring previous settings."
        ));
        assert!(site.admits(&site.client), "{line}");
    }
    site.set(&format!(
        "tls-cert-file {} tls-key-file {} tls-ca-cert-file {}",
        server.display(),
        key.display(),
        ca.display()
    ));
    assert_eq!(old.run("PING").to_string(), "+PONG");
    assert!(site.admits(&client) && !site.admits(&site.client));
    // The same names again: the files behind them are read anew.
    let third = new.sign("server").0;
    site.set(&format!("tls-cert-file {} tls-key-file {}", server.display(), key.display()));
    let mut client = Client::try_tls(site.address(), &client).unwrap();
    assert_eq!(client.tls().conn.peer_certificates().unwrap()[0], third);
    assert_eq!(old.run("PING").to_string(), "+PONG");
}

#[test]
fn redis_cli_speaks_tls() {
    let help = Command::new("redis-cli").arg("--help").output();
    let speaks =
        help.is_ok_and(|output| String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).contains("--tls"));
    if !speaks {
        return skip("there is no redis-cli that speaks TLS");
    }
    let site = Site::new("");
    let mut command = Command::new("redis-cli");
    command.args(["-h", "127.0.0.1", "-p", &site.port.to_string(), "--tls"]);
    for (option, file) in [("--cacert", "ca.pem"), ("--cert", "client.pem"), ("--key", "client.key")] {
        command.arg(option).arg(site.authority.path(file));
    }
    let output = command.args(["--sni", "localhost", "SET", "k", "v"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "OK", "{output:?}");
    assert_eq!(site.server.connect().run("GET k").text(), "v");
}

/// Runs openssl with arguments that are divided by blanks; none where it is not installed.
fn openssl(folder: &Path, line: &str, input: &str) -> Option<String> {
    let mut command = Command::new("openssl");
    command.args(line.split(' ')).current_dir(folder);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// What `openssl x509 -req` makes without being asked for more is of version 1, and many servers have such a certificate.
#[test]
fn certificates_of_the_first_version_serve() {
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| openssl(folder.path(), line, "");
    if run("version").is_none() {
        return skip("openssl is not installed");
    }
    run("ecparam -name prime256v1 -genkey -noout -out key.pem");
    run("req -new -key key.pem -subj /CN=localhost -out request.pem");
    run("x509 -req -in request.pem -signkey key.pem -days 3650 -out certificate.pem");
    let port = free_port();
    let at = folder.path().display();
    let server = Server::with(&format!(
        "--tls-port {port} --tls-cert-file {at}/certificate.pem --tls-key-file {at}/key.pem --tls-auth-clients no"
    ));
    let answer = openssl(folder.path(), &format!("s_client -quiet -connect 127.0.0.1:{port}"), "PING\r\nQUIT\r\n");
    assert_eq!(answer.unwrap(), "+PONG\r\n+OK\r\n");
    // Those of clients may not.
    assert_eq!(server.connect().run(&format!("CONFIG SET tls-ca-cert-file {at}/certificate.pem")).to_string(), "+OK");
    assert_eq!(server.connect().run("CONFIG SET tls-auth-clients yes").to_string(), "+OK");
    run(&format!("s_client -quiet -connect 127.0.0.1:{port} -cert certificate.pem -key key.pem"));
    eventually("the reason", || server.log().contains("certificate verify failed: it is of X.509 version 1"));
}
