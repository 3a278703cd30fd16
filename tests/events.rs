//! What listeners and clients that track hear of every command that changes keys, and in which order: `tests/data/events.txt`,
//! as redis-server 8.0.6 has it. `TORC_TEST_SERVER` may name one, which then has to do the same.
//!
//! Drives the built binary over sockets; knows nothing of its code.
//!
//! ```text
//! == SET k 1 ; ~ 4     what goes before each command of the section; "~" is a pause of so many milliseconds. Keys that
//!                      expire in it are read before that: a case that took too long for it is begun again
//! DEL k => told k, del k       "told": an invalidation, of everything without a key
//! MOVE k 1 => 1:new k          an event of another database than the first
//! ```

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::fmt::Write;
use std::time::{Duration, Instant};

use harness::{Client, Server, Value, split_line};

/// Every key that the table names.
const KEYS: &str = "EXISTS k d";

/// How often a case is begun again before the test gives up.
const ATTEMPTS: usize = 100;

/// What the client has been sent before it is answered.
fn heard(listener: &mut Client) -> Vec<Value> {
    listener.send_command(&["PING"]);
    let mut heard = Vec::new();
    loop {
        match listener.reply() {
            Value::Status(_) => return heard,
            push => heard.push(push),
        }
    }
}

/// A push as the table writes it.
fn shown(push: &Value) -> String {
    let push = push.to_string();
    let words: Vec<&str> = push.split('"').skip(1).step_by(2).collect();
    match words[..] {
        ["invalidate"] => "told".to_owned(),
        ["invalidate", key] => format!("told {key}"),
        ["pmessage", _, channel, key] => {
            let event = channel.strip_prefix("__keyevent@").unwrap().replacen("__:", ":", 1);
            format!("{} {key}", event.strip_prefix("0:").unwrap_or(&event))
        }
        _ => panic!("{push}"),
    }
}

fn run(client: &mut Client, line: &str) {
    match line.strip_prefix("~ ") {
        Some(pause_ms) => std::thread::sleep(Duration::from_millis(pause_ms.parse().unwrap())),
        None => _ = client.run(line),
    }
}

/// Makes what goes before a command, and has the listener read it. Whether keys that are to expire were still there then.
fn begin(before: &str, writer: &mut Client, listener: &mut Client) -> bool {
    writer.run("FLUSHALL");
    let (pause, setup) = before.rsplit_once(" ; ~ ").map_or(("", before), |(setup, ms)| (ms, setup));
    let steps = || setup.split(" ; ").filter(|step| !step.is_empty());
    let expiry = |step: &str| step.strip_prefix("PEXPIRE ")?.split(' ').nth(1)?.parse().ok();
    let shortest = steps().filter_map(expiry).min().map(Duration::from_millis);
    let start = Instant::now();
    steps().for_each(|step| run(writer, step));
    listener.run(KEYS);
    let in_time = shortest.is_none_or(|shortest| start.elapsed() < shortest);
    heard(listener);
    if in_time && !pause.is_empty() {
        run(writer, &format!("~ {pause}"));
    }
    in_time
}

#[test]
fn each_command_is_heard_of_as_in_redis() {
    let server = Server::builder().args("--notify-keyspace-events EAn --enable-debug-command yes").start();
    let (mut listener, mut writer) = (server.connect(), server.connect());
    for line in ["HELLO 3", "CLIENT TRACKING ON", "PSUBSCRIBE *"] {
        listener.run(line);
    }
    writer.run("DEBUG SET-ACTIVE-EXPIRE 0");
    let (mut before, mut differences, mut cases) = ("", String::new(), 0);
    let lines = include_str!("data/events.txt").lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    for line in lines {
        if let Some(section) = line.strip_prefix("==") {
            before = section.trim();
            continue;
        }
        let (command, wanted) = line.split_once(" =>").unwrap();
        let began = (0..ATTEMPTS).any(|_| begin(before, &mut writer, &mut listener));
        assert!(began, "{before}: not within its time in {ATTEMPTS} attempts");
        writer.send_command(&split_line(command));
        writer.reply();
        let got = heard(&mut listener).iter().map(shown).collect::<Vec<_>>().join(", ");
        if got != wanted.trim() {
            writeln!(differences, "{command} (after {before})\n  wanted {}\n  heard  {got}", wanted.trim()).unwrap();
        }
        cases += 1;
    }
    assert!(cases > 150, "only {cases} lines");
    assert!(differences.is_empty(), "{differences}");
}
