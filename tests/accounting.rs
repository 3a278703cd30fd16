//! What is counted of commands and errors: scripts of `tests/data/accounting.txt`, each played to a server of its own,
//! and the statistics behind it compared with those of redis-server 8.0.6.
//!
//! `TORC_ACCOUNTING_ORACLE` names a redis-server, which then has to give the same figures. Drives built binaries over
//! sockets; knows nothing of their code.
//!
//! ```text
//! b: GET k       client b sends it and reads a reply; without a label it is a, which also asks for the statistics
//! b~ WAIT 1 0    sends it, and goes on once one client more is blocked
//! b? NOSUCH      sends it; there is no reply
//! b# *x\r\n      sends these bytes, and reads until the server closes
//! b<             reads a reply
//! x b            closes the connection
//! $b             the ID of client b, which has asked for it before the script begins
//! ```

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

use harness::{Client, Server, binary, eventually, skip, split_line};

const SCRIPTS: &str = include_str!("data/accounting.txt");

struct Script<'a> {
    title: &'a str,
    server_args: &'a str,
    lines: Vec<&'a str>,
    expected: Vec<&'a str>,
}

fn scripts() -> Vec<Script<'static>> {
    let parts: Vec<&str> = SCRIPTS.split("\n== ").skip(1).collect();
    parts.into_iter().map(parse).collect()
}

fn parse(text: &str) -> Script<'_> {
    let mut lines = text.lines().filter(|line| !line.trim().is_empty());
    let head = lines.next().unwrap();
    let (title, server_args) = head.split_once(" -- ").unwrap_or((head, ""));
    let body: Vec<&str> = lines.collect();
    let dashes = body.iter().position(|line| *line == "--").unwrap_or_else(|| panic!("no dashes in {title:?}"));
    let (lines, expected) = (body[..dashes].to_vec(), body[dashes + 1..].to_vec());
    assert!(!lines.is_empty() && !expected.is_empty(), "{title:?} has a script and figures");
    Script { title, server_args, lines, expected }
}

fn info_of(client: &mut Client, sections: &[&str]) -> String {
    client.command(&[&["INFO"], sections].concat()).text()
}

fn field(info: &str, name: &str) -> u64 {
    let value = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("{name} is missing")).parse().unwrap()
}

struct Play {
    server: Server,
    clients: BTreeMap<char, Client>,
    ids: BTreeMap<char, String>,
    blocked: u64,
}

impl Play {
    fn begin(binary: PathBuf, script: &Script<'_>) -> Play {
        let args = format!("--enable-debug-command yes {}", script.server_args);
        let server = Server::builder().binary(binary).args(&args).start();
        let mut play = Play { server, clients: BTreeMap::new(), ids: BTreeMap::new(), blocked: 0 };
        play.client('a');
        for label in script.lines.iter().filter_map(|line| line.split_once('$')?.1.chars().next()) {
            if !play.ids.contains_key(&label) && label.is_alphabetic() && !play.is_bytes(script, label) {
                let id = play.client(label).run("CLIENT ID").integer().to_string();
                play.ids.insert(label, id);
            }
        }
        play
    }

    /// Whether the label only occurs in raw bytes, where a dollar sign announces an argument.
    fn is_bytes(&self, script: &Script<'_>, label: char) -> bool {
        let sign = format!("${label}");
        script.lines.iter().filter(|line| line.contains(&sign)).all(|line| line[1..].starts_with('#'))
    }

    fn client(&mut self, label: char) -> &mut Client {
        self.clients.entry(label).or_insert_with(|| self.server.connect())
    }

    fn step(&mut self, line: &str) {
        if let Some(label) = line.strip_prefix("x ") {
            self.clients.remove(&label.chars().next().unwrap());
            let left = self.clients.len().to_string();
            self.wait_for("connected_clients", &left);
            return;
        }
        let head: Vec<char> = line.chars().take(2).collect();
        let (label, kind, text) = match head[..] {
            [label, kind @ (':' | '~' | '?' | '#' | '<')] if label.is_lowercase() => (label, kind, line[2..].trim()),
            _ => ('a', ':', line),
        };
        let mut text = text.to_owned();
        for (label, id) in self.ids.iter().filter(|_| kind != '#') {
            text = text.replace(&format!("${label}"), id);
        }
        let client = self.client(label);
        match kind {
            ':' => drop(client.run(&text)),
            '<' => drop(client.reply()),
            '#' => {
                client.send(&split_line(&format!("\"{}\"", text.replace('"', "\\\""))).concat());
                client.read_to_close();
            }
            _ => client.send_command(&split_line(&text)),
        }
        if kind == '~' {
            self.blocked += 1;
            let blocked = self.blocked.to_string();
            self.wait_for("blocked_clients", &blocked);
        }
    }

    fn wait_for(&mut self, field: &str, value: &str) {
        let wanted = format!("{field}:{value}\r\n");
        let client = self.clients.get_mut(&'a').unwrap();
        eventually(&wanted, || client.run("INFO clients").text().contains(&wanted));
    }

    /// What the server has counted, in the notation of the file.
    fn figures(&mut self) -> Vec<String> {
        let mut info = |section: &str| self.client('a').command(&["INFO", section]).text();
        let (commands, errors, durations) = (info("commandstats"), info("errorstats"), info("latencystats"));
        let rows: Vec<Vec<&str>> = commands
            .lines()
            .filter_map(|line| line.strip_prefix("cmdstat_"))
            .map(|row| row.split([':', ',', '=']).collect())
            .filter(|row: &Vec<&str>| row[0] != "info")
            .collect();
        let mut timed: Vec<&str> = durations
            .lines()
            .filter_map(|line| line.strip_prefix("latency_percentiles_usec_")?.split(':').next())
            .filter(|name| *name != "info")
            .collect();
        timed.sort_unstable();
        let mut called: Vec<&str> = rows.iter().filter(|row| row[2] != "0").map(|row| row[0]).collect();
        called.sort_unstable();
        assert_eq!(timed, called, "the commands with calls are those with durations");
        let mut figures: Vec<String> =
            rows.iter().map(|row| format!("{} {} {} {}", row[0], row[2], row[8], row[10])).collect();
        figures.sort_unstable();
        let codes = errors.lines().filter_map(|line| line.strip_prefix("errorstat_"));
        let mut codes: Vec<String> = codes.map(|row| row.replace(":count=", " ")).collect();
        codes.sort_unstable();
        figures.extend(codes);
        let stats = info_of(self.client('a'), &["stats", "commandstats"]);
        let calls = stats.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split([',', '=']).nth(1));
        let calls: u64 = calls.map(|calls| calls.parse::<u64>().unwrap()).sum();
        assert_eq!(field(&stats, "total_commands_processed"), calls, "what was processed is what was called");
        figures.push(format!("total {}", field(&stats, "total_error_replies")));
        figures
    }
}

fn differences(binary: PathBuf) -> String {
    let mut differences = String::new();
    for script in scripts() {
        let mut play = Play::begin(binary.clone(), &script);
        for line in &script.lines {
            play.step(line);
        }
        let figures = play.figures();
        if figures != script.expected {
            let wanted = script.expected.join("\n  ");
            writeln!(differences, "{}: wanted\n  {wanted}\ngot\n  {}", script.title, figures.join("\n  ")).unwrap();
        }
    }
    differences
}

#[test]
fn commands_and_errors_are_counted_as_by_redis() {
    assert!(scripts().len() > 20, "the scripts are found");
    let differences = differences(binary());
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn the_figures_are_those_of_redis() {
    let Some(oracle) = std::env::var_os("TORC_ACCOUNTING_ORACLE") else {
        return skip("TORC_ACCOUNTING_ORACLE names no redis-server");
    };
    let differences = differences(PathBuf::from(oracle));
    assert!(differences.is_empty(), "{differences}");
}

/// How many reads others than the observer have taken, once they are gone.
fn reads_of_others(observer: &mut Client) -> u64 {
    let mut info = String::new();
    eventually("the others are gone", || {
        info = info_of(observer, &["stats", "clients", "commandstats"]);
        field(&info, "connected_clients") == 1
    });
    let asked = info.lines().find_map(|line| line.strip_prefix("cmdstat_info:calls=")?.split(',').next());
    field(&info, "total_reads_processed") - asked.map_or(0, |calls| calls.parse().unwrap())
}

/// The read that brings the end of a connection counts, however it ends, and once.
fn check_reads(binary: PathBuf) {
    let server = Server::builder().binary(binary).start();
    let mut observer = server.connect();
    let mut before = reads_of_others(&mut observer);
    type Deed = fn(&mut Client);
    let deeds: [(&str, u64, Deed); 6] = [
        ("nothing", 1, |_| {}),
        ("a command", 2, |client| _ = client.run("PING")),
        ("a command that is not waited for", 2, |client| client.send(b"PING\r\n")),
        ("many commands", 2, |client| client.send(&b"PING\r\n".repeat(100))),
        ("half a command", 2, |client| client.send(b"*1\r\n$4\r\nPI")),
        ("a command that leaves", 1, |client| _ = client.run("QUIT")),
    ];
    for (what, reads, deed) in deeds {
        let mut client = server.connect();
        observer.run("PING");
        let pinged = 1;
        deed(&mut client);
        drop(client);
        let after = reads_of_others(&mut observer);
        assert_eq!(after - before - pinged, reads, "{what}");
        before = after;
    }
}

#[test]
fn reads_are_counted_as_by_redis() {
    check_reads(binary());
    if let Some(oracle) = std::env::var_os("TORC_ACCOUNTING_ORACLE") {
        check_reads(PathBuf::from(oracle));
    }
}
