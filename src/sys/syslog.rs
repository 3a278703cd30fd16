//! The log of the system. Unsafe room.

use std::ffi::{CString, c_int};
use std::sync::OnceLock;

/// Facilities by their word.
const FACILITIES: [(&str, c_int); 9] = [
    ("user", libc::LOG_USER),
    ("local0", libc::LOG_LOCAL0),
    ("local1", libc::LOG_LOCAL1),
    ("local2", libc::LOG_LOCAL2),
    ("local3", libc::LOG_LOCAL3),
    ("local4", libc::LOG_LOCAL4),
    ("local5", libc::LOG_LOCAL5),
    ("local6", libc::LOG_LOCAL6),
    ("local7", libc::LOG_LOCAL7),
];

/// How urgent a line is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Urgency {
    /// For finding defects.
    Debug = libc::LOG_DEBUG as isize,
    /// Of single clients.
    Info = libc::LOG_INFO as isize,
    /// What everybody may want to know.
    Notice = libc::LOG_NOTICE as isize,
    /// What somebody should look after.
    Warning = libc::LOG_WARNING as isize,
}

/// Lines carry this name and facility from now on; the first call counts. An unknown facility is `user`.
pub fn open(ident: &str, facility: &str) {
    // The library keeps the pointer.
    static IDENT: OnceLock<CString> = OnceLock::new();
    let ident = IDENT.get_or_init(|| text(ident));
    let facility = FACILITIES.iter().find(|(name, _)| *name == facility).map_or(libc::LOG_USER, |(_, number)| *number);
    // SAFETY: the name is a string with NUL that lives as long as the process.
    unsafe { libc::openlog(ident.as_ptr(), libc::LOG_PID | libc::LOG_NDELAY | libc::LOG_NOWAIT, facility) };
}

/// Sends a line, if there is anybody who takes it.
pub fn write(urgency: Urgency, line: &str) {
    let line = text(line);
    // SAFETY: the format takes one string with NUL, and gets it.
    unsafe { libc::syslog(urgency as c_int, c"%s".as_ptr(), line.as_ptr()) };
}

/// Up to the first NUL, where there is one.
fn text(text: &str) -> CString {
    let end = text.find('\0').unwrap_or(text.len());
    CString::new(&text[..end]).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_end_at_a_nul() {
        assert_eq!(text("a\0b").as_bytes(), b"a");
        assert_eq!(text("ä").as_bytes(), "ä".as_bytes());
    }
}
