//! Every parameter against another server: the same values go to both, and their replies are compared byte by byte.
//!
//! `TORC_CONFIG_ORACLE` names a redis-server of version 8.0; without it these tests say that they were skipped. Drives
//! built binaries over sockets and pipes; knows nothing of their code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use harness::{Client, Server, binary, skip, wait_for_exit};
use tempfile::TempDir;

/// What every parameter is given, whatever its kind: most of it is wrong for most of them.
const VALUES: &[&str] = &[
    "",
    "yes",
    "no",
    "YES",
    "No",
    "maybe",
    "-1",
    "0",
    "1",
    "2",
    "3",
    "64",
    "100",
    "101",
    "+1",
    "01",
    "1.5",
    "0x10",
    " 1",
    "1 ",
    "1 2",
    "1 2 3",
    "1 2 3 4",
    "abc",
    "a b",
    "a/b",
    "1b",
    "1k",
    "1kb",
    "2MB",
    "1g",
    "1tb",
    "-1kb",
    "kb",
    "1%",
    "0%",
    "100%",
    "101%",
    "-1%",
    "%",
    "99999999999999999999",
    "9223372036854775807",
    "9223372036854775808",
    "-2147483648",
    "-2147483649",
    "2147483647",
    "2147483648",
    "4294967295",
    "4294967296",
    "\u{e9}",
    "{title}",
    "C",
    "K",
    "A",
    "\"",
    "'",
];

/// Parameters whose good values would take the server away from the test, with the values that they get instead.
const CAREFUL: &[(&str, &[&str])] = &[
    ("bind", &["127.0.0.1", "127.0.0.1 -::1", "127.0.0.1 127.0.0.1", "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17"]),
    ("port", &["", "-1", "65536", "abc", "1 2", "1kb"]),
    ("tls-port", &["", "-1", "65536", "abc", "1 2", "1kb", "0"]),
    ("maxclients", &["", "-1", "0", "abc", "1 2", "1kb", "4294967296", "100", "10000"]),
    (
        "maxmemory-clients",
        &["", "-1", "abc", "101%", "-1%", "%", "x%", "0%", "50%", "100%", "1gb", "9223372036854775808"],
    ),
    (
        "client-output-buffer-limit",
        &[
            "",
            "normal",
            "normal 1 2",
            "normal 0 0 0",
            "normal 1gb 0 0",
            "slave 1 2 3",
            "replica 1k 2kb 3",
            "pubsub 0 0 x",
            "pubsub 1gb 1mb 60 slave 0 0 0",
            "master 1 2 3",
            "NORMAL 1gb 1g 1",
            "normal -1 0 0",
            "normal 1gb 0 -1",
            "normal 1gb 0 0 x",
            "normal 1gb  0 0",
            "pubsub 32mb 8mb 60 nosuch 1 1 1",
            "normal 9999999999999999999999 0 0",
        ],
    ),
    ("save", &["", "900 1", "900 1 300 10", "1", "0 1", "1 -1", "1 0", "a b", "1 1 1", "1  1", " 1 1", "900 1 900 1"]),
    ("dir", &["", "/nosuch", "/", "a b", "/dev/null"]),
    (
        "oom-score-adj-values",
        &["", "1", "1 2 3", "-2000 0 2000", "2001 0 0", "a 1 2", "1 2 3 4", "100 10 1", "0 200 800"],
    ),
    (
        "notify-keyspace-events",
        &["", "KEA", "KEg", "AKEmnd", "Q", "K E", "g$lszxetdEK", "g$lhszxetdEK", "Knm", "Ag", "kea"],
    ),
    (
        "latency-tracking-info-percentiles",
        &["", "50", "50 99.9", "0", "100", "100.1", "-1", "a", "1  2", "50 50", "1e1", "nan", "12.3456789"],
    ),
    (
        "shutdown-on-sigterm",
        &["", "default", "now", "save now", "nosave force", "save nosave", "x", "DEFAULT", "default now", "now now"],
    ),
    ("replicaof", &["", "no one", "NO ONE", "a", "a b", "a 0", "a 65535", "a 65536", "a -1", "a 1 2"]),
    ("locale-collate", &["", "C", "POSIX", "nosuch", "c"]),
];

/// Files that both refuse; each is followed by a line that is wrong in any case.
const WRONG_FILES: [&str; 64] = [
    "port 1\n\n   # x\n\tTIMEOUT x",
    "port",
    "port 1 2",
    "\"port\" \"x\"",
    "port \"1",
    "port '1'x",
    "port \"\\x41\"",
    "port '\\x41'",
    "port 'a\\'b'",
    "''",
    "\"\"",
    "port \"1\"\"2\"",
    "timeout 5 # comment",
    "timeout 5\r\nport x\r",
    "include",
    "include /nosuch",
    "include \"/nosuch*\"",
    "include good.part",
    "include ?ood.part",
    "include wrong.part",
    "INCLUDE wrong.part",
    "rename-command",
    "list-max-ziplist-entries 1",
    "list-max-ziplist-entries",
    "io-threads-do-reads x",
    "lua-replicate-commands no",
    "loadmodule",
    "user",
    "save",
    "save \"\"",
    "save 1",
    "save 1 1\nsave x",
    "save 1 1 2 2",
    "save \"1 1\"",
    "bind",
    "bind a b c",
    "bind \"\"",
    "bind 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17",
    "client-output-buffer-limit normal 1 2",
    "client-output-buffer-limit \"normal 1 2 3\"",
    "client-output-buffer-limit normal 1 2 x",
    "replicaof a",
    "replicaof a b",
    "replicaof no one",
    "slaveof a 1 2",
    "notify-keyspace-events Q",
    "oom-score-adj-values 1 2",
    "shutdown-on-sigterm now force",
    "shutdown-on-sigterm save nosave",
    "maxmemory 1tb",
    "hz 0",
    "loglevel loud",
    "unixsocketperm 9",
    "dir /nosuch",
    "dir",
    "logfile a b",
    "appendfilename a/b",
    "appenddirname \"\"",
    "databases 0",
    "requirepass a b",
    "maxclients 4294967296",
    "port 65536",
    "activedefrag yes",
    "key-load-delay x",
];

/// Where the two may differ: parameter, and why.
const EXCEPTIONS: &[(&str, &str)] = &[
    ("io-threads", "Redis takes it at start only"),
    ("watchdog-period", "a period is raised to two turns of the timer by the watchdog, which Torc does not have"),
    (
        "proc-title-template",
        "which variables are empty depends on how a server was started; only some values are tried",
    ),
];

/// Another server, where one is given.
fn oracle() -> Option<PathBuf> {
    let path = std::env::var_os("TORC_CONFIG_ORACLE").map(PathBuf::from);
    if path.is_none() {
        skip("TORC_CONFIG_ORACLE names no redis-server");
    }
    path
}

/// The lines of `tests/data/config.tsv`, by column.
fn table() -> Vec<BTreeMap<&'static str, &'static str>> {
    let mut lines = include_str!("data/config.tsv").lines().map(|line| line.split('\t'));
    let heads = lines.next().unwrap().collect::<Vec<_>>();
    lines.map(|line| heads.iter().copied().zip(line).collect()).collect()
}

/// What one parameter is given: what all get, and its own words and bounds.
fn values(row: &BTreeMap<&str, &str>) -> BTreeSet<String> {
    if let Some((_, values)) = CAREFUL.iter().find(|(name, _)| *name == row["name"]) {
        return values.iter().map(|value| (*value).to_owned()).collect();
    }
    let mut values = VALUES.iter().map(|value| (*value).to_owned()).collect::<BTreeSet<_>>();
    let allowed = row["allowed"];
    if let Some((low, high)) = allowed.split_once("..") {
        for bound in [low, high] {
            let Ok(bound) = bound.parse::<i128>() else { continue };
            values.extend([bound - 1, bound, bound + 1].map(|bound| bound.to_string()));
        }
    } else {
        let words = || allowed.split('|');
        values.extend(words().map(str::to_owned));
        values.extend(words().map(str::to_uppercase));
        values.extend(words().map(|word| format!("{word} {word}")));
    }
    values
}

/// Both servers and what they answered differently.
struct Pair {
    servers: [Server; 2],
    clients: [Client; 2],
    differences: Vec<String>,
}

impl Pair {
    fn start(other: &Path, args: &str) -> Pair {
        let servers =
            [Server::builder().args(args).start(), Server::builder().args(args).binary(other.to_owned()).start()];
        let clients = servers.each_ref().map(Pair::client);
        Pair { servers, clients, differences: Vec::new() }
    }

    fn client(server: &Server) -> Client {
        let mut client = server.connect();
        assert_eq!(client.run("CLIENT NO-EVICT on").to_string(), "+OK");
        client
    }

    /// Both replies; the connection of one that closed is replaced.
    fn ask(&mut self, args: &[&str]) -> [Vec<u8>; 2] {
        let mut replies = [Vec::new(), Vec::new()];
        for (which, reply) in replies.iter_mut().enumerate() {
            self.clients[which].send_command(args);
            *reply = self.clients[which].try_raw_reply().unwrap_or_else(|why| {
                self.clients[which] = Pair::client(&self.servers[which]);
                why.into_bytes()
            });
        }
        replies
    }

    fn compare(&mut self, args: &[&str]) {
        let [ours, other] = self.ask(args);
        self.note(args, &ours, &other);
    }

    fn note(&mut self, args: &[&str], ours: &[u8], other: &[u8]) {
        if ours != other {
            let line = format!("{args:?}\n  ours  {}\n  other {}", ours.escape_ascii(), other.escape_ascii());
            self.differences.push(line);
        }
    }

    /// CONFIG GET of many: Redis gives no order.
    fn compare_found(&mut self, args: &[&str]) {
        let found = self.clients.each_mut().map(|client| {
            let items = client.command(args).items();
            let mut pairs = items.chunks(2).map(|pair| format!("{} {}", pair[0], pair[1])).collect::<Vec<_>>();
            let of_the_place = ["io-backend", "port", "dir", "unixsocket", "bind"];
            pairs.retain(|pair| !of_the_place.iter().any(|name| pair.starts_with(&format!("\"{name}\""))));
            pairs.sort();
            pairs.join("\n")
        });
        let [ours, other] = found.map(String::into_bytes);
        self.note(args, &ours, &other);
    }

    #[track_caller]
    fn done(self) {
        assert!(self.differences.is_empty(), "{} differ:\n{}", self.differences.len(), self.differences.join("\n"));
    }
}

fn is_exception(name: &str) -> bool {
    EXCEPTIONS.iter().any(|(known, _)| *known == name)
}

#[test]
fn every_parameter_takes_and_refuses_the_same() {
    let Some(other) = oracle() else { return };
    for protected in ["no", "yes"] {
        let mut pair = Pair::start(&other, &format!("--enable-protected-configs {protected}"));
        for row in table().iter().filter(|row| protected == "no" || row["flags"].contains("protected")) {
            let name = row["name"];
            if is_exception(name) {
                continue;
            }
            if !matches!(name, "port" | "dir" | "unixsocket") {
                pair.compare(&["CONFIG", "GET", name]);
            }
            for value in values(row) {
                pair.compare(&["CONFIG", "SET", name, &value]);
                if !matches!(name, "port" | "dir" | "unixsocket") {
                    pair.compare(&["CONFIG", "GET", name]);
                }
            }
            if name != "port" {
                let [ours, _] = pair.ask(&["CONFIG", "SET", name, row["default"]]);
                if !ours.starts_with(b"-") {
                    pair.compare(&["CONFIG", "GET", name]);
                }
            }
            if !row["alias"].is_empty() {
                pair.compare(&["CONFIG", "GET", row["alias"]]);
                pair.compare(&["CONFIG", "SET", row["alias"], "\u{1}"]);
                pair.compare(&["CONFIG", "SET", row["alias"], "1", name, "2"]);
                pair.compare(&["CONFIG", "SET", &row["alias"].to_uppercase(), "\u{1}"]);
            }
        }
        pair.done();
    }
}

#[test]
fn several_at_once_are_set_or_left_alike() {
    let Some(other) = oracle() else { return };
    let mut pair = Pair::start(&other, "");
    for line in [
        "timeout 5 tcp-keepalive 60",
        "timeout 6 tcp-keepalive x",
        "timeout x tcp-keepalive x",
        "timeout 6 nosuch 1",
        "nosuch 1 timeout x",
        "timeout 6 databases 1",
        "databases 1 nosuch 1",
        "nosuch 1 databases 1",
        "timeout 6 dir /",
        "timeout 6 TIMEOUT 7",
        "timeout x timeout 7",
        "timeout 6 databases 5 timeout 7",
        "timeout 6 timeout 7 nosuch 1",
        "hash-max-ziplist-entries 6 hash-max-listpack-entries 7",
        "hash-max-listpack-entries 6 hash-max-ziplist-entries 7",
        "hash-max-ziplist-entries 6 timeout x",
        "save \"1 1\" timeout x",
        "bind 127.0.0.1 timeout x",
        "maxmemory 10mb maxmemory-clients x",
        "client-output-buffer-limit \"normal 1gb 0 0\" hz x",
        "notify-keyspace-events KEA shutdown-on-sigterm x",
        "requirepass secret timeout x",
        "timeout",
        "timeout 1 hz",
        "timeout 1 nosuch",
        "\"\" 1",
        "a\\r\\nb 1",
        "timeout \"1\\r\\n2\"",
        "\"time\\x00out\" 1",
    ] {
        let words = harness::split_line(&format!("CONFIG SET {line}"));
        let words = words.iter().map(|word| std::str::from_utf8(word).unwrap()).collect::<Vec<_>>();
        pair.compare(&words);
        for name in
            ["timeout", "tcp-keepalive", "hash-max-listpack-entries", "save", "bind", "maxmemory", "requirepass"]
        {
            pair.compare(&["CONFIG", "GET", name]);
        }
    }
    pair.done();
}

#[test]
fn patterns_find_the_same() {
    let Some(other) = oracle() else { return };
    let mut pair = Pair::start(&other, "");
    for args in [
        &["*"][..],
        &["*max-*-entries"],
        &["SLAVE*"],
        &["[a-c]*"],
        &["[^a-r]*"],
        &["data?ases"],
        &["data[b]ases"],
        &["data[b-", "hz"],
        &["timeou\\t", "h\\z*"],
        &["slave-read-only", "replica-*", "slave-*"],
        &["*lua*"],
        &["*delay*"],
        &["key-load-delay", "KEY-load-*"],
        &["timeout", "TIMEOUT", "Time*"],
        &["hz", "hz"],
        &["**a**f*"],
        &["", "hz"],
        &["nosuch"],
        &["appendonly?", "appendonly"],
        &["\u{e9}*"],
    ] {
        for protocol in ["2", "3"] {
            pair.ask(&["HELLO", protocol]);
            let args = [&["CONFIG", "GET"], args].concat();
            match protocol {
                "2" => pair.compare_found(&args),
                _ if args[2..].iter().all(|arg| !arg.contains(['*', '?', '['])) && args.len() == 3 => {
                    pair.compare(&args);
                }
                _ => {}
            }
        }
    }
    for args in [&["CONFIG"][..], &["CONFIG", "GET"], &["CONFIG", "nosuch"], &["CONFIG", "REWRITE"]] {
        pair.compare(args);
    }
    pair.done();
}

/// What a server says to a file that cannot be used, with the version and the folder taken out.
fn refusal(server: &Path, args: &[&str], stdin: &str, folder: &Path) -> String {
    let out = fs::File::create(folder.join("out")).unwrap();
    let mut command = Command::new(server);
    command.args(args).current_dir(folder).stdin(Stdio::piped()).stderr(out.try_clone().unwrap()).stdout(out);
    let mut child = command.spawn().unwrap();
    // A server that reads nothing has ended before all is written.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let status = wait_for_exit(&mut child);
    let text = String::from_utf8_lossy(&fs::read(folder.join("out")).unwrap()).into_owned();
    // Lines of the log begin with the number of the process, its role, and the time.
    let line =
        |line: &str| match line.split_once(":C ").filter(|(pid, _)| pid.bytes().all(|byte| byte.is_ascii_digit())) {
            Some((_, rest)) => rest.splitn(5, ' ').last().unwrap_or_default().to_owned(),
            None => line.to_owned(),
        };
    format!("{status}: {}", text.lines().map(line).collect::<Vec<_>>().join("\n"))
}

/// Both servers are called so, and must refuse in the same words.
#[track_caller]
fn compare_refusals(other: &Path, calls: &[(&[&str], &str)]) {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("good.part"), "timeout 5\n").unwrap();
    fs::write(folder.path().join("wrong.part"), "\ntimeout x\n").unwrap();
    let mut differences = Vec::new();
    for (args, stdin) in calls {
        let [ours, theirs] = [binary(), other.to_owned()].map(|server| refusal(&server, args, stdin, folder.path()));
        if ours != theirs {
            differences.push(format!("{args:?} {stdin:?}\n  ours  {ours:?}\n  other {theirs:?}"));
        }
    }
    assert!(differences.is_empty(), "{} differ:\n{}", differences.len(), differences.join("\n"));
}

#[test]
fn files_set_what_cannot_change_later_alike() {
    let Some(other) = oracle() else { return };
    let mut texts = Vec::new();
    for row in table().iter().filter(|row| row["mutability"] == "immutable" && !is_exception(row["name"])) {
        for value in values(row) {
            texts.push(format!("{} \"{}\"\nnosuch", row["name"], value.replace('"', "\\\"")));
        }
        texts.push(format!("{}\nnosuch", row["name"]));
        texts.push(format!("{} 1 2\nnosuch", row["name"]));
    }
    let calls = texts.iter().map(|text| (&["-"][..], &**text)).collect::<Vec<_>>();
    compare_refusals(&other, &calls);
}

#[test]
fn files_are_refused_alike() {
    let Some(other) = oracle() else { return };
    let texts = WRONG_FILES.map(|text| format!("{text}\nnosuch\n"));
    let calls = texts.iter().map(|text| (&["-"][..], &**text));
    // These are seen only when all lines were right.
    let whole = [
        "user bob on nosuch",
        "user bob nosuch",
        "user bob on (+get",
        "user bob on +get (~a",
        "user bob on (+get ~a) )",
        "user bob on\nuser al on\nuser bob off",
        "user bob on #xx",
        "user bob on <foo",
        "user default on\nuser default off",
        "user bob resetchannels &a allchannels &b",
        "user bob allkeys ~a",
        "user bob %Q~x",
        "cluster-enabled yes\nreplicaof a 1",
        "replicaof a 1\ncluster-enabled yes",
        "rename-command nosuch b",
        "rename-command get set",
        "rename-command GET \"\"\nrename-command get b",
    ];
    compare_refusals(&other, &calls.chain(whole.iter().map(|text| (&["-"][..], *text))).collect::<Vec<_>>());
}

#[test]
fn arguments_are_refused_alike() {
    let Some(other) = oracle() else { return };
    let calls: &[&[&str]] = &[
        &["--nosuch"],
        &["--port", "x"],
        &["--port"],
        &["--port", "1", "2"],
        &["--port", "1", "-v"],
        &["--port", "x", "-"],
        &["-x"],
        &["x", "-v"],
        &["/nosuch/x.conf", "--port", "x"],
        &["--include", "/nosuch"],
        &["--include", "wrong.part"],
        &["good.part", "wrong.part"],
        &["wrong.part", "good.part"],
        &["good.part", "--port", "x"],
        &["--port", "x", "good.part"],
        &["good.part", "--port", "x", "-"],
        &["-", "--port", "x"],
        &["--save", "", "--port", "x"],
        &["--save", "--port", "x"],
        &["--save", "1", "--port", "x"],
        &["--save 1 1", "--port", "x"],
        &["--port x"],
        &["--port", "--port"],
        &["--port", "--port", "1"],
        &["--bind", "a", "b", "--port", "x"],
        &["--requirepass", "--x y", "--port", "x"],
        &["--port", ""],
        &["", "--port", "x"],
        &["--", "1"],
        &["--port=1"],
        &["--port", "x", "--"],
        &["--loglevel", "a b"],
        &["--proc-title-template", "--my", "--port", "x"],
        &["--Port", "X"],
        &["--port", "a\nb"],
        &["--logfile", "--", "--port", "x"],
        &["--shutdown-on-sigterm", "now", "force", "--port", "x"],
        &["--save", "a", "b", "c"],
        &["--replicaof", "a", "--port", "1"],
        &["--user"],
    ];
    compare_refusals(&other, &calls.iter().map(|args| (*args, "timeout 5")).collect::<Vec<_>>());
}
