//! Transcripts: what a test sends and what must come back, one command a line.
//!
//! ```text
//! SET k "a b"          => +OK
//! b: GET k             => "a b"
//! TTL k                => :99..100
//! FLY                  => -ERR unknown command...
//! ```
//!
//! A label before a colon names the connection (opened when first used); without a label it is the one called `a`.
//! `:m..n` accepts an integer between both; `...` at the end accepts any rest; `*` alone accepts anything.

use std::collections::BTreeMap;

use super::{Client, Server, Value};

/// Plays a transcript over TCP connections of its own.
#[track_caller]
pub(crate) fn play(server: &Server, script: &str) {
    let mut clients = BTreeMap::new();
    let mut failures = Vec::new();
    for (number, line) in script.lines().enumerate() {
        let Some((label, command, expected)) = parse(line) else { continue };
        let client = clients.entry(label).or_insert_with(|| server.connect());
        check(client, number, command, expected, &mut failures);
    }
    assert!(failures.is_empty(), "{} lines differ:\n{}", failures.len(), failures.join("\n"));
}

/// Plays a transcript on one connection that exists.
#[track_caller]
pub(crate) fn play_on(client: &mut Client, script: &str) {
    let mut failures = Vec::new();
    for (number, line) in script.lines().enumerate() {
        let Some((_, command, expected)) = parse(line) else { continue };
        check(client, number, command, expected, &mut failures);
    }
    assert!(failures.is_empty(), "{} lines differ:\n{}", failures.len(), failures.join("\n"));
}

fn parse(line: &str) -> Option<(&str, &str, &str)> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return None;
    }
    let (command, expected) = line.split_once("=>").unwrap_or_else(|| panic!("no `=>` in {line:?}"));
    let command = command.trim();
    let labelled = command.split_once(": ").filter(|(label, _)| label.len() == 1);
    let (label, command) = labelled.unwrap_or(("a", command));
    Some((label, command.trim(), expected.trim()))
}

fn check(client: &mut Client, number: usize, command: &str, expected: &str, failures: &mut Vec<String>) {
    client.send_command(&split_line(command));
    match client.try_reply() {
        Ok(reply) if matches(&reply, expected) => {}
        Ok(reply) => failures.push(format!("line {number}: {command}\n  wanted {expected}\n     got {reply}")),
        Err(why) => failures.push(format!("line {number}: {command}\n  wanted {expected}\n     got nothing: {why}")),
    }
}

fn matches(reply: &Value, expected: &str) -> bool {
    if let Value::Integer(number) = reply
        && let Some((low, high)) = expected.trim_start_matches(':').split_once("..")
        && let (Ok(low), Ok(high)) = (low.parse::<i64>(), high.parse::<i64>())
    {
        return (low..=high).contains(number);
    }
    match expected.strip_suffix("...") {
        Some(start) => reply.to_string().starts_with(start),
        None => expected == "*" || reply.to_string().trim_end() == expected,
    }
}

/// Splits a line into arguments at blanks; `"..."` knows `\n \r \t \" \\ \xHH` and keeps blanks.
pub(crate) fn split_line(line: &str) -> Vec<Vec<u8>> {
    let mut args = Vec::new();
    let mut bytes = line.bytes().peekable();
    loop {
        while bytes.next_if(|byte| *byte == b' ').is_some() {}
        let Some(first) = bytes.peek() else { return args };
        let quoted = *first == b'"';
        if quoted {
            bytes.next();
        }
        let mut arg = Vec::new();
        while let Some(byte) = bytes.next() {
            match byte {
                b' ' if !quoted => break,
                b'"' if quoted => break,
                b'\\' if quoted => arg.push(escape(&mut bytes)),
                byte => arg.push(byte),
            }
        }
        args.push(arg);
    }
}

fn escape(bytes: &mut impl Iterator<Item = u8>) -> u8 {
    match bytes.next() {
        Some(b'n') => b'\n',
        Some(b'r') => b'\r',
        Some(b't') => b'\t',
        Some(b'x') => {
            let digits = [bytes.next().unwrap(), bytes.next().unwrap()];
            u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
        }
        Some(other) => other,
        None => panic!("a line ends in a backslash"),
    }
}
