//! Lines that signal handlers log: written with nothing but system calls, since a handler may have interrupted anything,
//! the log itself included. Unsafe room.

use std::ffi::{CString, c_char};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicPtr, Ordering};

/// Most bytes of a line; what is longer is cut.
const LINE_LEN_MAX: usize = 256;

/// Decimal digits of the longest number.
const DIGITS_MAX: usize = 20;

/// The log file's name, null for standard output. Names are never freed: a handler may be reading one.
static FILE: AtomicPtr<c_char> = AtomicPtr::new(ptr::null_mut());

static SILENT: AtomicBool = AtomicBool::new(false);

/// Lines go to this file from now on, or to standard output. Meant to be called once or a few times: each name stays in
/// memory.
pub fn set_file(path: Option<&Path>) {
    let name = path.and_then(|path| CString::new(path.as_os_str().as_bytes()).ok());
    FILE.store(name.map_or(ptr::null_mut(), CString::into_raw), Ordering::Release);
}

/// Whether nothing is logged at all.
pub fn set_silent(silent: bool) {
    SILENT.store(silent, Ordering::Relaxed);
}

/// Writes `pid:signal-handler (seconds) message`. May be called by a signal handler.
pub fn write(message: &str) {
    if SILENT.load(Ordering::Relaxed) {
        return;
    }
    let mut line = Line { bytes: [0; LINE_LEN_MAX], len: 0 };
    line.number(std::process::id().into());
    line.text(":signal-handler (");
    // SAFETY: a null pointer asks for the value only.
    line.number(unsafe { libc::time(ptr::null_mut()) }.unsigned_abs());
    line.text(") ");
    line.text(message);
    line.len = line.len.min(LINE_LEN_MAX - 1);
    line.text("\n");
    let file = FILE.load(Ordering::Acquire);
    if file.is_null() {
        write_to(libc::STDOUT_FILENO, line.written());
        return;
    }
    // SAFETY: the name is a string with NUL that is never freed.
    let fd = unsafe { libc::open(file, libc::O_WRONLY | libc::O_APPEND | libc::O_CREAT | libc::O_CLOEXEC, 0o644) };
    if fd >= 0 {
        write_to(fd, line.written());
        // SAFETY: the descriptor was opened just now and is not used any more.
        unsafe { libc::close(fd) };
    }
}

/// A log that cannot be written is no reason to stop, and there is nowhere to say so.
fn write_to(fd: i32, bytes: &[u8]) {
    // SAFETY: reads `bytes` only.
    unsafe { libc::write(fd, bytes.as_ptr().cast(), bytes.len()) };
}

struct Line {
    bytes: [u8; LINE_LEN_MAX],
    len: usize,
}

impl Line {
    fn text(&mut self, text: &str) {
        for byte in text.bytes() {
            if let Some(place) = self.bytes.get_mut(self.len) {
                *place = byte;
                self.len += 1;
            }
        }
    }

    fn number(&mut self, mut number: u64) {
        let mut digits = [b'0'; DIGITS_MAX];
        let mut first = DIGITS_MAX;
        while first == DIGITS_MAX || number > 0 {
            first -= 1;
            digits[first] = b'0' + (number % 10) as u8;
            number /= 10;
        }
        self.text(std::str::from_utf8(&digits[first..]).unwrap_or_default());
    }

    fn written(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_made_without_memory() {
        let mut line = Line { bytes: [0; LINE_LEN_MAX], len: 0 };
        for number in [0, 7, 120, u64::MAX] {
            line.number(number);
            line.text(" ");
        }
        assert_eq!(line.written(), b"0 7 120 18446744073709551615 ");
        line.text(&"x".repeat(2 * LINE_LEN_MAX));
        assert_eq!(line.written().len(), LINE_LEN_MAX);
    }
}
