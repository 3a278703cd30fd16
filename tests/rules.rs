//! Rules of transactions, tracked keys, connections, pauses and listeners: conversations of several clients in
//! `tests/data/rules/`, with what redis-server 8.0.6 answers and pushes, byte for byte. Each is had with a server of its
//! own.
//!
//! `TORC_RULES_ORACLE` names a redis-server, which then has to answer the same. Drives built binaries over sockets; knows
//! nothing of their code.
//!
//! ```text
//! b: GET k => "v"      client b sends it and reads a reply; without a label it is a
//! b: < => >[...]       b reads what comes without being asked for, or behind the reply
//! ... => (nothing)     no reply comes for now
//! ... => (closed)      the server closes
//! x b                  b closes
//! ~ 100                a pause of so many milliseconds
//! $b                   the ID of client b, which it has asked for before the conversation
//! *                    any reply; "..." at the end stands for any rest
//! ```

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

use harness::{Client, Server, binary, eventually, skip, split_line};

/// How long nothing has to come where nothing is expected.
const SILENCE: Duration = Duration::from_millis(30);

struct Conversation {
    server: Server,
    clients: BTreeMap<char, Client>,
    ids: BTreeMap<char, String>,
}

impl Conversation {
    fn begin(binary: PathBuf, server_args: &str, lines: &[&str]) -> Conversation {
        let args = format!("--enable-debug-command yes {server_args}");
        let server = Server::builder().binary(binary).args(&args).start();
        let mut conversation = Conversation { server, clients: BTreeMap::new(), ids: BTreeMap::new() };
        let named = lines.iter().flat_map(|line| line.split('$').skip(1)).filter_map(|rest| rest.chars().next());
        for label in named.filter(char::is_ascii_lowercase).collect::<Vec<_>>() {
            if !conversation.ids.contains_key(&label) {
                let id = conversation.client(label).run("CLIENT ID").integer().to_string();
                conversation.ids.insert(label, id);
            }
        }
        conversation
    }

    fn client(&mut self, label: char) -> &mut Client {
        self.clients.entry(label).or_insert_with(|| self.server.connect())
    }

    /// One line of a conversation. The error says what was got instead.
    fn step(&mut self, line: &str) -> Result<(), String> {
        if let Some(pause_ms) = line.strip_prefix("~ ") {
            std::thread::sleep(Duration::from_millis(pause_ms.parse().unwrap()));
            return Ok(());
        }
        if let Some(label) = line.strip_prefix("x ") {
            self.clients.remove(&label.chars().next().unwrap());
            let left = format!("connected_clients:{}\r\n", self.clients.len() + 1);
            let mut observer = self.server.connect();
            eventually(&left, || observer.run("INFO clients").text().contains(&left));
            return Ok(());
        }
        let line = self.ids.iter().fold(line.to_owned(), |line, (label, id)| line.replace(&format!("${label}"), id));
        let (said, expected) = line.split_once(" => ").unwrap_or_else(|| panic!("no `=>` in {line:?}"));
        let labelled = said.split_once(": ").filter(|(label, _)| label.len() == 1);
        let (label, command) = labelled.unwrap_or(("a", said));
        let label = label.chars().next().unwrap();
        let client = self.client(label);
        if command != "<" {
            client.send_command(&split_line(command));
        }
        match expected {
            "(nothing)" if client.is_silent_for(SILENCE) => return Ok(()),
            "(closed)" => {
                let rest = client.read_to_close();
                self.clients.remove(&label);
                return if rest.is_empty() { Ok(()) } else { Err(rest.escape_ascii().to_string()) };
            }
            _ => {}
        }
        let got = client.try_reply()?.to_string();
        let matches = match expected.strip_suffix("...") {
            Some(start) => got.starts_with(start),
            None => expected == "*" || got == expected,
        };
        if matches { Ok(()) } else { Err(got) }
    }
}

/// Has all conversations of a file, and tells where one went another way: the rest of it is not had then.
fn differences(file: &str, binary: &Path) -> String {
    let mut differences = String::new();
    for text in file.split("== ").filter(|text| !text.trim().is_empty()) {
        let mut lines = text.lines().filter(|line| !line.trim().is_empty() && !line.starts_with('#'));
        let head = lines.next().unwrap();
        let (title, server_args) = head.split_once(" -- ").unwrap_or((head, ""));
        let lines: Vec<&str> = lines.collect();
        assert!(!lines.is_empty(), "nothing is said in {title:?}");
        let mut conversation = Conversation::begin(binary.to_path_buf(), server_args, &lines);
        let mut had = String::new();
        for line in &lines {
            writeln!(had, "    {line}").unwrap();
            if let Err(got) = conversation.step(line) {
                writeln!(differences, "{title}:\n{had}got {got}\n").unwrap();
                break;
            }
        }
        for (label, client) in &mut conversation.clients {
            if differences.is_empty() && client.has_received_within(Duration::from_millis(1)) {
                writeln!(differences, "{title}: behind the end {label} gets {:?}", client.try_reply()).unwrap();
            }
        }
    }
    differences
}

fn check(file: &str) {
    let differences = differences(file, &binary());
    assert!(differences.is_empty(), "{differences}");
}

#[test]
fn transactions() {
    check(include_str!("data/rules/transactions.txt"));
}

#[test]
fn tracked_keys() {
    check(include_str!("data/rules/tracking.txt"));
}

#[test]
fn greeting_and_leaving() {
    check(include_str!("data/rules/connections.txt"));
}

#[test]
fn pauses() {
    check(include_str!("data/rules/pausing.txt"));
}

#[test]
fn listening() {
    check(include_str!("data/rules/pubsub.txt"));
}

#[test]
fn the_rules_are_those_of_redis() {
    let Some(oracle) = std::env::var_os("TORC_RULES_ORACLE") else {
        return skip("TORC_RULES_ORACLE names no redis-server");
    };
    let files = [
        include_str!("data/rules/transactions.txt"),
        include_str!("data/rules/tracking.txt"),
        include_str!("data/rules/connections.txt"),
        include_str!("data/rules/pausing.txt"),
        include_str!("data/rules/pubsub.txt"),
    ];
    let oracle = PathBuf::from(oracle);
    let differences: String = files.iter().map(|file| differences(file, &oracle)).collect();
    assert!(differences.is_empty(), "{differences}");
}
