//! The log: Redis' line format, on standard output or in a file that is opened for every line, so that rotating it needs
//! no signal.
//!
//! One log for the process, not a handle: any floor from the services up may have something to say, on any thread, and a
//! server has one log in any case. What a silent line costs is one relaxed load of the level. Nothing is sent anywhere
//! before [`open`] beyond standard output. Never give it the value of a parameter that `config::is_sensitive` names.

#![forbid(unsafe_code)]

use std::fmt::{Arguments, Write as _};
use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use crate::config::LogLevel;
use crate::sys::syslog::{self, Urgency};
use crate::sys::{handler_log, time};

/// A message is cut to this many bytes, one less than Redis' buffer.
const MESSAGE_LEN_MAX: usize = 1023;

static LEVEL: AtomicU8 = AtomicU8::new(LogLevel::Notice as u8);
static ROLE: AtomicU8 = AtomicU8::new(Role::Child as u8);

/// Whether the system's log gets every line, too.
static SYSLOG: AtomicBool = AtomicBool::new(false);

/// Where lines go; `None` for standard output.
static FILE: RwLock<Option<PathBuf>> = RwLock::new(None);

/// The letter behind the process number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Role {
    /// A process that is not, or not yet, the server itself.
    Child = b'C',
    /// A master.
    Master = b'M',
    /// A replica.
    Replica = b'S',
}

/// From now on lines are written to `file`, or to standard output where it is empty. Fails where the file cannot be opened.
pub fn open(file: &Path) -> io::Result<()> {
    let path = (!file.as_os_str().is_empty()).then(|| file.to_owned());
    if let Some(path) = &path {
        append_to(path)?;
    }
    handler_log::set_file(path.as_deref());
    *FILE.write().unwrap_or_else(std::sync::PoisonError::into_inner) = path;
    Ok(())
}

/// From now on every line is sent to the system's log as well, under this name and facility.
pub fn open_syslog(ident: &str, facility: &str) {
    syslog::open(ident, facility);
    SYSLOG.store(true, Ordering::Relaxed);
}

/// From now on less important lines are dropped.
pub fn set_level(level: LogLevel) {
    LEVEL.store(level as u8, Ordering::Relaxed);
    handler_log::set_silent(level == LogLevel::Nothing);
}

/// From now on lines carry this letter.
pub fn set_role(role: Role) {
    ROLE.store(role as u8, Ordering::Relaxed);
}

/// Whether a line of this level would be written: ask before making an expensive one.
#[inline]
pub fn enabled(level: LogLevel) -> bool {
    level as u8 >= LEVEL.load(Ordering::Relaxed)
}

/// What helps to find a defect.
#[inline]
pub fn debug(message: Arguments<'_>) {
    line(LogLevel::Debug, message);
}

/// What happens to single clients.
#[inline]
pub fn verbose(message: Arguments<'_>) {
    line(LogLevel::Verbose, message);
}

/// What an operator wants to read.
#[inline]
pub fn notice(message: Arguments<'_>) {
    line(LogLevel::Notice, message);
}

/// What an operator should look after.
#[inline]
pub fn warning(message: Arguments<'_>) {
    line(LogLevel::Warning, message);
}

/// A line of any level.
#[inline]
pub fn line(level: LogLevel, message: Arguments<'_>) {
    if enabled(level) && level != LogLevel::Nothing {
        write_line(level, message);
    }
}

/// A line without number, time and letter, such as a banner; as important as a notice.
pub fn raw(message: Arguments<'_>) {
    if enabled(LogLevel::Notice) {
        send_to_system(LogLevel::Notice, message);
        write_out(&format!("{message}\n"));
    }
}

/// The same as a warning: reports of what went wrong.
pub fn raw_warning(message: Arguments<'_>) {
    if enabled(LogLevel::Warning) {
        send_to_system(LogLevel::Warning, message);
        write_out(&format!("{message}\n"));
    }
}

#[cold]
fn write_line(level: LogLevel, message: Arguments<'_>) {
    let role = char::from(ROLE.load(Ordering::Relaxed));
    write_out(&formatted(std::process::id(), role, time::unix_us(), level, message));
    send_to_system(level, message);
}

fn send_to_system(level: LogLevel, message: Arguments<'_>) {
    if SYSLOG.load(Ordering::Relaxed) {
        let urgency = match level {
            LogLevel::Debug => Urgency::Debug,
            LogLevel::Verbose => Urgency::Info,
            LogLevel::Notice => Urgency::Notice,
            LogLevel::Warning | LogLevel::Nothing => Urgency::Warning,
        };
        syslog::write(urgency, &message.to_string());
    }
}

/// `pid:role DD Mon YYYY HH:MM:SS.mmm level message`, with the line end.
fn formatted(pid: u32, role: char, unix_us: i64, level: LogLevel, message: Arguments<'_>) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let now = time::local_time(unix_us.div_euclid(1_000_000));
    let month = MONTHS[now.tm_mon.rem_euclid(12) as usize];
    let letter = match level {
        LogLevel::Debug => '.',
        LogLevel::Verbose => '-',
        LogLevel::Notice => '*',
        LogLevel::Warning | LogLevel::Nothing => '#',
    };
    let mut text = format!(
        "{pid}:{role} {:02} {month} {} {:02}:{:02}:{:02}.{:03} {letter} ",
        now.tm_mday,
        now.tm_year + 1900,
        now.tm_hour,
        now.tm_min,
        now.tm_sec,
        unix_us.div_euclid(1000).rem_euclid(1000),
    );
    let head = text.len();
    // Writing to a string fails only where a value's own formatting does; what it gave so far is the message then.
    let _ = text.write_fmt(message);
    if text.len() - head > MESSAGE_LEN_MAX {
        text.truncate(text.floor_char_boundary(head + MESSAGE_LEN_MAX));
    }
    text.push('\n');
    text
}

/// A log that cannot be written is no reason to stop serving, and there is nowhere to say so.
fn write_out(text: &str) {
    let file = FILE.read().unwrap_or_else(std::sync::PoisonError::into_inner);
    let _ = match &*file {
        Some(path) => append_to(path).and_then(|mut file| file.write_all(text.as_bytes())),
        None => io::stdout().lock().write_all(text.as_bytes()),
    };
}

fn append_to(path: &Path) -> io::Result<std::fs::File> {
    OpenOptions::new().append(true).create(true).open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(unix_us: i64, level: LogLevel, message: Arguments<'_>) -> String {
        formatted(42, 'M', unix_us, level, message)
    }

    #[test]
    fn lines_have_redis_format() {
        let line = at(1_795_378_334_007_999, LogLevel::Notice, format_args!("Server {}", "initialized"));
        let words = line.split(' ').collect::<Vec<_>>();
        assert_eq!(words[0], "42:M");
        assert!(words[1].len() == 2 && words[1].parse::<u8>().is_ok(), "{line}");
        assert!(words[2..4] == ["Nov", "2026"], "{line}");
        assert!(words[4].len() == 12 && words[4].ends_with(".007"), "{line}");
        assert_eq!(words[5..].join(" "), "* Server initialized\n");
    }

    #[test]
    fn levels_have_letters() {
        let letters = [LogLevel::Debug, LogLevel::Verbose, LogLevel::Notice, LogLevel::Warning].map(|level| {
            let line = at(0, level, format_args!("x"));
            line.chars().rev().nth(3).expect("a letter before ` x` and the line end")
        });
        assert_eq!(letters, ['.', '-', '*', '#']);
    }

    #[test]
    fn long_messages_are_cut_at_a_whole_character() {
        let long = "ä".repeat(2000);
        let line = at(0, LogLevel::Debug, format_args!("{long}"));
        let message = line.split(" . ").nth(1).expect("a message").trim_end();
        assert_eq!((message.len(), message.chars().all(|letter| letter == 'ä')), (1022, true));
    }

    /// One test for all that is shared by the process, or they would disturb each other.
    #[test]
    fn the_file_is_opened_for_every_line() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("a.log");
        open(&path).expect("opened");
        set_role(Role::Master);
        set_level(LogLevel::Notice);
        warning(format_args!("kept {}", 1));
        verbose(format_args!("dropped"));
        assert!(enabled(LogLevel::Notice) && !enabled(LogLevel::Verbose));
        std::fs::rename(&path, folder.path().join("b.log")).expect("rotated");
        raw(format_args!("banner"));
        set_level(LogLevel::Nothing);
        warning(format_args!("dropped"));
        line(LogLevel::Nothing, format_args!("dropped"));
        set_level(LogLevel::Notice);
        let missing = folder.path().join("no/such.log");
        assert_eq!(open(&missing).expect_err("no folder").kind(), io::ErrorKind::NotFound);
        open(Path::new("")).expect("standard output");
        let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).expect("there");
        // Other tests may log meanwhile; their lines are theirs.
        let old = read("b.log");
        assert!(old.lines().any(|line| line.ends_with(" # kept 1") && line.contains(":M ")), "{old}");
        assert!(read("a.log").lines().any(|line| line == "banner"));
        assert!(!(old + &read("a.log")).contains("dropped"));
    }
}
