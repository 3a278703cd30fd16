//! What happens between reading the configuration and serving: the log, warnings about the kernel, leaving the terminal,
//! limits, the pid file, the process title. Main thread, before there is a second one. Opens no listener.
//!
//! Order and words of the lines are Redis', as far as it has them.

#![forbid(unsafe_code)]

use std::collections::HashSet;
use std::env;
use std::io::{self, IsTerminal};
use std::path::Path;

use crate::acl::{Patterns, Users};
use crate::command::registry::Registry;
use crate::command::spec::Command;
use crate::commands::server::config_apply::show_title;
use crate::config::arguments::Invocation;
use crate::config::file::FileError;
use crate::config::{Config, IoBackend, REDIS_VERSION, Supervised};
use crate::observe::log::{self, Role};
use crate::sys::process::{self, PidFile};
use crate::sys::rlimit::{self, FilesOutcome};
use crate::sys::time;
use crate::sys::title::TitleRoom;
use crate::sys::{Errno, kernel, memory, notify};

/// Where a process in the background leaves its number when it is not told a place.
const PID_FILE: &str = "/var/run/redis.pid";

/// The server cannot start, and what is to be said of it has been said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused;

/// Makes the process ready to serve. `name` is how the program was called. The configuration may come out with fewer
/// clients than it went in with. The pid file is the caller's to remove at the end.
pub fn prepare(run: &mut Invocation, room: Option<TitleRoom>, name: &str) -> Result<Option<PidFile>, Refused> {
    let checked = check_renames(&run.config, crate::commands::ALL);
    let checked = checked.and_then(|()| check_users(&run.config, crate::commands::ALL));
    let checked = checked.and_then(|()| match run.config.cannot_be() {
        Some(reason) => Err(FileError::Whole { reason: reason.to_owned() }),
        None => Ok(()),
    });
    if let Err(error) = checked {
        eprintln!("{error}");
        return Err(Refused);
    }
    let config = &mut run.config;
    if let Err(error) = log::open(config.logfile.as_path()) {
        let reason = format!("Can't open the log file: {}", Errno::from(error));
        eprintln!("{}", FileError::Whole { reason });
        return Err(Refused);
    }
    log::set_level(config.loglevel);
    if config.syslog_enabled {
        log::open_syslog(&config.syslog_ident.to_string(), config.syslog_facility.name());
    }
    let supervised = join_supervisor(config.supervised);
    warn_about_memory(config);
    let background = config.daemonize && !supervised;
    if background && let Err(errno) = process::daemonize() {
        log::warning(format_args!("Can't go to the background: {errno}"));
        return Err(Refused);
    }
    announce(run, name);
    log::set_role(if run.config.replicaof.0.is_some() { Role::Replica } else { Role::Master });
    let config = &mut run.config;
    fit_clients(config)?;
    let ticks = time::tick_source();
    match ticks.name {
        "X86 TSC" => {
            let rate = ticks.ticks_per_second / 1_000_000;
            log::notice(format_args!("monotonic clock: X86 TSC @ {rate} ticks/us"));
        }
        name => log::notice(format_args!("monotonic clock: {name}")),
    }
    show_logo(config);
    let pid_file = write_pid_file(config, background);
    if let Some(room) = room.filter(|_| config.set_proc_title) {
        room.keep(name);
        let config_file = run.config_file.as_deref().map(|path| path.display().to_string());
        show_title(config, &config_file.unwrap_or_default());
    }
    warn_about_kernel(&run.config);
    Ok(pid_file)
}

/// The commands that `rename-command` lines name must exist at that line, and their new names must be free.
fn check_renames(config: &Config, commands: &[&[&Command]]) -> Result<(), FileError> {
    let known = commands.iter().flat_map(|group| group.iter()).map(|command| command.name.to_ascii_lowercase());
    let mut names = known.collect::<HashSet<_>>();
    for ((from, to), (number, line)) in config.rename_command.iter().zip(&config.rename_lines) {
        let reason = if !names.remove(&from.to_ascii_lowercase()) {
            "No such command in rename-command"
        } else if !to.is_empty() && !names.insert(to.to_ascii_lowercase()) {
            "Target command name already exists"
        } else {
            continue;
        };
        return Err(FileError::Line { number: *number, line: line.clone(), reason: reason.to_owned() });
    }
    Ok(())
}

/// The users that the file declares: each once, with rules that can be. Commands that are not there are told later.
fn check_users(config: &Config, commands: &[&[&'static Command]]) -> Result<(), FileError> {
    if config.user_lines.is_empty() {
        return Ok(());
    }
    let registry = Registry::with_renames(&commands.concat(), &config.rename_command);
    let mut names = HashSet::new();
    for line in &config.user_lines {
        let words = line.bytes();
        let Some(&name) = words.first() else { continue };
        if !names.insert(name) {
            let name = String::from_utf8_lossy(name);
            return Err(line.refused(&format!(
                "Error in user declaration '{name}': Duplicate user found. A user can only be defined once in config files"
            )));
        }
        Users::check_declaration(&words, Patterns::None, &registry).map_err(|reason| line.refused(&reason))?;
    }
    Ok(())
}

/// Whether a service manager watches this process; tells it so where it wants to know.
fn join_supervisor(mode: Supervised) -> bool {
    let (upstart, systemd) = (env::var_os("UPSTART_JOB").is_some(), notify::is_available());
    let (upstart, systemd) = match mode {
        Supervised::No => return false,
        Supervised::Auto => (upstart, systemd && !upstart),
        Supervised::Upstart => {
            if !upstart {
                log::warning(format_args!("upstart supervision requested, but UPSTART_JOB not found!"));
            }
            (upstart, false)
        }
        Supervised::Systemd => {
            if !systemd {
                log::warning(format_args!("systemd supervision error: NOTIFY_SOCKET not found!"));
            }
            (false, systemd)
        }
    };
    if upstart {
        log::notice(format_args!("supervised by upstart, will stop to signal readiness."));
        process::stop_for_supervisor();
    }
    if systemd {
        log::notice(format_args!(
            "Supervised by systemd. Please make sure you set appropriate values for TimeoutStartSec and \
             TimeoutStopSec in your service unit."
        ));
        notify::join();
        notify::status("Torc is loading...");
    }
    upstart || systemd
}

fn warn_about_memory(config: &Config) {
    if let Some(line) = kernel::overcommit_warning() {
        log::warning(format_args!("{line}"));
    }
    if let Some(line) = kernel::huge_pages_warning()
        && (!config.disable_thp || memory::disable_huge_pages().is_err())
    {
        log::warning(format_args!("{line}"));
    }
}

/// The lines by which people find a start in a log.
fn announce(run: &Invocation, name: &str) {
    let pid = std::process::id();
    log::notice(format_args!("oO0OoO0OoO0Oo Torc is starting oO0OoO0OoO0Oo"));
    log::notice(format_args!(
        "Redis version={REDIS_VERSION}, bits=64, commit=00000000, modified=0, pid={pid}, just started"
    ));
    log::notice(format_args!("Torc version={}", env!("CARGO_PKG_VERSION")));
    if run.without_config {
        log::warning(format_args!(
            "Warning: no config file specified, using the default config. In order to specify a config file use {name} \
             /path/to/redis.conf"
        ));
    } else {
        log::notice(format_args!("Configuration loaded"));
    }
    if run.config.loses_data() {
        log::warning(format_args!(
            "Data is kept in memory only: this version of Torc neither reads nor writes files of data, whatever 'save' and \
             'appendonly' say, and all data is lost when the process ends. To be content with that, set save \"\" and appendonly no."
        ));
    }
    for parameter in run.config.set_without_effect() {
        log::warning(format_args!("The parameter '{parameter}' was set, but has no effect in this version of Torc"));
    }
}

/// What the server is, in a picture where somebody looks on, and in a line where only a file does.
fn show_logo(config: &Config) {
    let mode = if config.cluster_enabled { "cluster" } else { "standalone" };
    let port = config.known_port();
    let watched = config.logfile.is_empty() && !config.syslog_enabled && io::stdout().is_terminal();
    if !watched && !config.always_show_logo {
        log::notice(format_args!("Running mode={mode}, port={port}."));
        return;
    }
    let (version, pid) = (env!("CARGO_PKG_VERSION"), std::process::id());
    log::raw(format_args!(
        r"
       )
      ) \
     / ) (          Torc {version}, serving as Redis {REDIS_VERSION} (00000000/0) 64 bit
     \(_)/
    __|_|__         Running in {mode} mode
    \_____/         Port: {port}
      | |           PID: {pid}
      |_|
"
    ));
}

/// Raises the limit of open files, or serves fewer clients.
fn fit_clients(config: &mut Config) -> Result<(), Refused> {
    match rlimit::ensure_open_files(config.maxclients) {
        FilesOutcome::Enough => {}
        FilesOutcome::Raised(line) => log::notice(format_args!("{line}")),
        FilesOutcome::Reduced { maxclients, lines } => {
            config.maxclients = maxclients;
            lines.iter().for_each(|line| log::warning(format_args!("{line}")));
        }
        FilesOutcome::TooFew(line) => {
            log::warning(format_args!("{line}"));
            return Err(Refused);
        }
    }
    Ok(())
}

fn write_pid_file(config: &Config, background: bool) -> Option<PidFile> {
    let path = match config.pidfile.is_empty() {
        true if background => Path::new(PID_FILE),
        true => return None,
        false => config.pidfile.as_path(),
    };
    PidFile::create(path).map_err(|errno| log::notice(format_args!("Failed to write PID file: {errno}"))).ok()
}

fn warn_about_kernel(config: &Config) {
    // With `auto` a refusal is told once it is seen.
    let uring = kernel::uring_warning().filter(|_| config.io_backend == IoBackend::Ring);
    let lines = [kernel::backlog_warning(i64::from(config.tcp_backlog)), uring];
    lines.into_iter().flatten().for_each(|line| log::warning(format_args!("{line}")));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checked(lines: &str) -> Result<(), String> {
        let mut config = Config::default();
        config.load_text(lines.as_bytes()).expect("good lines");
        check_renames(&config, crate::commands::ALL).map_err(|error| error.to_string())
    }

    #[test]
    fn renames_need_a_command_and_a_free_name() {
        assert_eq!(checked("rename-command GET fetch\nrename-command SET get\nrename-command ping \"\""), Ok(()));
        for (lines, tail) in [
            (
                "port 1\nrename-command nosuch a",
                "at line 2\n>>> 'rename-command nosuch a'\nNo such command in rename-command",
            ),
            ("rename-command get SET", "at line 1\n>>> 'rename-command get SET'\nTarget command name already exists"),
            (
                "rename-command get a\nrename-command get b",
                ">>> 'rename-command get b'\nNo such command in rename-command",
            ),
        ] {
            let error = checked(lines).expect_err(lines);
            assert!(error.ends_with(tail), "{error}");
        }
    }
}
