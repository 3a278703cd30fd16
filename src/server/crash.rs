//! What is written when the server breaks: where it was, how it was doing, and what the running client had asked for, in
//! the shape in which people cut such reports out of Redis' log. Main thread, which ends with it.
//!
//! Values of users are in it unless `hide-user-data-from-log` is set; passwords never are.

#![forbid(unsafe_code)]

use std::backtrace::Backtrace;
use std::io;
use std::panic::{self, PanicHookInfo};
use std::ptr;

use crate::base::quoting::write_quoted;
use crate::command::redaction::{REDACTED, is_secret};
use crate::command::session::Session;
use crate::command::state::State;
use crate::commands::connection::describe_client;
use crate::commands::server::info;
use crate::config::{Flags, PARAMS, REDIS_VERSION};
use crate::engine::running;
use crate::observe::log;
use crate::resp::args::Args;
use crate::sys::crash::{self, Fault, Place};

/// Most arguments of the running command that are shown.
const ARGS_SHOWN_MAX: usize = 64;

/// Most bytes of an argument that are shown.
const ARG_LEN_MAX: usize = 128;

/// What stands in the place of what users keep here.
const HIDDEN: &[u8] = b"*redacted*";

/// The server's state, while it serves.
static STATE: Place<State> = Place::empty();

/// As long as this value lives, reports tell of the state it was made for.
pub(super) struct Watch;

impl Watch {
    /// `state` stays where it is as long as the value returned lives.
    pub(super) fn over(state: &State) -> Watch {
        STATE.show(ptr::from_ref(state));
        Watch
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        STATE.clear();
    }
}

/// Panics are reported from now on, and where `enabled`, signals are.
pub(super) fn install(enabled: bool) -> io::Result<()> {
    crash::report_with(report_signal);
    panic::set_hook(Box::new(|panic| crash::report_panic(|fault| report_panic(fault, panic))));
    if enabled { crash::set_enabled(true) } else { Ok(()) }
}

fn begin() {
    log::raw_warning(format_args!("\n\n=== REDIS BUG REPORT START: Cut & paste starting from here ==="));
}

fn report_signal(fault: &Fault) {
    begin();
    let Fault { signal, code, address, instruction, .. } = fault;
    log::warning(format_args!("Redis {REDIS_VERSION} crashed by signal: {signal}, si_code: {code}"));
    if fault.has_address() {
        log::warning(format_args!("Accessing address: {address:#x}"));
    }
    if *code <= 0 {
        let (pid, uid) = fault.sender();
        log::warning(format_args!("Killed by PID: {pid}, UID: {uid}"));
    }
    if *instruction != 0 {
        log::warning(format_args!("Crashed running the instruction at: {instruction:#x}"));
    }
    details(fault);
    end();
}

fn report_panic(fault: &Fault, panic: &PanicHookInfo<'_>) {
    let state = STATE.look(fault);
    // What a message was made from may be anybody's data.
    let hidden = state.is_some_and(|state| state.config.hide_user_data_from_log);
    let message = if hidden { "*redacted*" } else { panic.payload_as_str().unwrap_or("no text") };
    let (file, line) = panic.location().map_or(("", 0), |location| (location.file(), location.line()));
    begin();
    if panic.payload_as_str().is_some_and(|text| text.starts_with("assertion")) {
        log::warning(format_args!("=== ASSERTION FAILED ==="));
        log::warning(format_args!("==> {file}:{line} '{message}' is not true"));
    } else {
        log::warning(format_args!("------------------------------------------------"));
        log::warning(format_args!("!!! Software Failure. Press left mouse button to continue"));
        log::warning(format_args!("Guru Meditation: {message} #{file}:{line}"));
    }
    if state.is_none_or(|state| state.config.crash_log_enabled) {
        details(fault);
    }
    end();
}

fn section(title: &str, text: &str) {
    log::raw_warning(format_args!("\n------ {title} ------\n{}", text.trim_end()));
}

/// The trace comes first: it needs nothing of the server, and what follows may meet the defect again.
fn details(fault: &Fault) {
    section("STACK TRACE", &Backtrace::force_capture().to_string());
    log::raw_warning(format_args!("\n------ STACK TRACE DONE ------"));
    let Some(state) = STATE.look(fault) else { return };
    let running = running::session(fault);
    section("INFO OUTPUT", &info::everything(state, running));
    let clients = state.sessions.iter().chain(running).map(|session| describe(state, session));
    section("CLIENT LIST OUTPUT", &clients.collect::<String>());
    if let Some(session) = running {
        let request = running::args(fault).map(|args| request(state, args)).unwrap_or_default();
        section("CURRENT CLIENT INFO", &(describe(state, session) + &request));
    }
    let debug = PARAMS.iter().filter(|param| param.flags.contains(Flags::DEBUG));
    let line = |name: &str, value: Vec<u8>| format!("{name} {}\n", String::from_utf8_lossy(&value));
    section("CONFIG DEBUG OUTPUT", &debug.map(|param| line(param.name, param.text(&state.config))).collect::<String>());
}

fn describe(state: &State, session: &Session) -> String {
    let mut line = Vec::new();
    describe_client(session, state.now_s, &mut line);
    String::from_utf8_lossy(&line).into_owned()
}

/// The arguments of the running command.
fn request(state: &State, args: Args<'_>) -> String {
    let command = state.registry.resolve(args).command;
    let mut text = format!("argc: '{}'\n", args.len()).into_bytes();
    for (index, arg) in args.iter().enumerate().take(ARGS_SHOWN_MAX) {
        text.extend_from_slice(format!("argv[{index}]: '").as_bytes());
        if index > 0 && state.config.hide_user_data_from_log {
            text.extend_from_slice(HIDDEN);
        } else if command.is_some_and(|command| is_secret(command, args, index)) {
            write_quoted(&mut text, REDACTED);
        } else {
            write_quoted(&mut text, &arg[..arg.len().min(ARG_LEN_MAX)]);
        }
        text.extend_from_slice(b"'\n");
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn end() {
    log::raw_warning(format_args!(
        "\n=== REDIS BUG REPORT END. Make sure to include from START to END. ===\n\n       \
         This is a defect of Torc, or of the memory of this machine. A report of it should hold everything between\n       \
         these two lines, and how to make it happen again where that is known.\n"
    ));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::Engine;
    use crate::resp::args::OwnedArgs;

    fn shown(words: &[&str], hide: bool) -> String {
        let mut engine = Engine::for_console();
        engine.state.config.hide_user_data_from_log = hide;
        request(&engine.state, OwnedArgs::from_slices(words).as_args())
    }

    #[test]
    fn secrets_are_not_shown_and_users_data_need_not_be() {
        assert_eq!(
            shown(&["set", "k", "a\n"], false),
            "argc: '3'\nargv[0]: '\"set\"'\nargv[1]: '\"k\"'\nargv[2]: '\"a\\n\"'\n"
        );
        assert_eq!(shown(&["set", "k"], true), "argc: '2'\nargv[0]: '\"set\"'\nargv[1]: '*redacted*'\n");
        for words in [&["AUTH", "hidden"][..], &["CONFIG", "SET", "port", "1", "requirepass", "hidden"]] {
            let text = shown(words, false);
            assert!(text.contains("\"(redacted)\"") && !text.contains("hidden"), "{text}");
        }
        let long = "x".repeat(1000);
        assert_eq!(shown(&["ECHO", &long], false).matches('x').count(), ARG_LEN_MAX);
        assert_eq!(shown(&["DEL"; 100], false).lines().count(), 1 + ARGS_SHOWN_MAX);
    }
}
