//! Error numbers of the system and their text. Any thread.

use std::fmt;
use std::io;

/// An error number, shown in the C library's words.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

impl Errno {
    /// The number that the last failed call of this thread left.
    pub fn last() -> Errno {
        Errno::from(io::Error::last_os_error())
    }

    /// `Ok` with what a call returned, or the error number where that was -1.
    pub fn check(returned: i32) -> Result<i32, Errno> {
        if returned == -1 { Err(Errno::last()) } else { Ok(returned) }
    }
}

impl From<io::Error> for Errno {
    /// An error of the standard library's own has no number; it counts as an input/output error.
    fn from(error: io::Error) -> Errno {
        Errno(error.raw_os_error().unwrap_or(libc::EIO))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The standard library appends "(os error N)", which Redis' log lines do not have.
        let text = io::Error::from_raw_os_error(self.0).to_string();
        out.write_str(text.split(" (os error").next().unwrap_or(&text))
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Errno({}: {self})", self.0)
    }
}

impl std::error::Error for Errno {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_has_no_number() {
        assert_eq!(Errno(libc::ENOENT).to_string(), "No such file or directory");
        assert_eq!(format!("{:?}", Errno(libc::EPERM)), format!("Errno({}: Operation not permitted)", libc::EPERM));
    }

    #[test]
    fn check_takes_the_threads_number() {
        assert_eq!(Errno::check(3), Ok(3));
        assert!(std::fs::File::open("/no/such/file").is_err());
        assert_eq!(Errno::check(-1), Err(Errno(libc::ENOENT)));
    }
}
