//! Tests written as one would type them into redis-cli: lines after `> ` are commands, the lines below are what is
//! answered.

#![forbid(unsafe_code)]

use crate::base::quoting::split;
use crate::command::session::Slot;
use crate::engine::Engine;
use crate::resp::reply::Protocol;

/// Slot of the session that the commands run in.
const SLOT: u32 = 7;

/// Types the commands into a new engine and compares.
pub(crate) fn replay(transcript: &str) {
    replay_with(&mut Engine::for_console(), Protocol::Resp2, transcript);
}

/// The same in RESP3.
pub(crate) fn replay_resp3(transcript: &str) {
    replay_with(&mut Engine::for_console(), Protocol::Resp3, transcript);
}

/// The same in an engine that goes on being used.
pub(crate) fn replay_in(engine: &mut Engine, transcript: &str) {
    replay_with(engine, Protocol::Resp2, transcript);
}

fn replay_with(engine: &mut Engine, protocol: Protocol, transcript: &str) {
    let transcript = without_margin(transcript);
    assert!(transcript.contains("> "), "a transcript has commands");
    let slot: Slot = engine.connect(SLOT);
    engine.session_mut(slot).protocol = protocol;
    let mut typed = String::new();
    for line in transcript.lines() {
        if let Some(command) = line.strip_prefix("> ") {
            let args = split(command.as_bytes()).expect("the quotes of a command are balanced");
            typed.push_str(&format!("{line}\n{}\n", engine.run_in(slot, &args)));
        }
    }
    engine.client_gone(slot);
    assert_eq!(typed, transcript);
}

/// The lines without the blanks that all of them begin with, and without empty ones around them.
fn without_margin(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let margin = lines.iter().map(|line| line.len() - line.trim_start().len()).min().unwrap_or(0);
    lines.iter().map(|line| format!("{}\n", &line[margin..])).collect()
}
