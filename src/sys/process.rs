//! The process itself: leaving the terminal, the pid file, facts about the machine. Main thread.

use std::ffi::CStr;
use std::fs;
use std::io::Write;
use std::mem::MaybeUninit;
use std::path::{Path, PathBuf};

use super::errno::Errno;

/// Goes on in a child process that belongs to no terminal, with standard input, output and error on /dev/null; the process
/// that was called ends with status 0. To be called before there is a second thread.
pub fn daemonize() -> Result<(), Errno> {
    // SAFETY: there is one thread only, so that the child finds every lock free.
    let pid = Errno::check(unsafe { libc::fork() })?;
    if pid != 0 {
        // SAFETY: ends the parent without running what belongs to the child's end, such as removing files.
        unsafe { libc::_exit(0) };
    }
    // SAFETY: has no arguments.
    Errno::check(unsafe { libc::setsid() })?;
    // SAFETY: the path is a string with NUL.
    let null = unsafe { libc::open(c"/dev/null".as_ptr(), libc::O_RDWR) };
    if null == -1 {
        // Redis goes on with the terminal's descriptors too.
        return Ok(());
    }
    for standard in 0..3 {
        // SAFETY: both descriptors are open.
        unsafe { libc::dup2(null, standard) };
    }
    if null > 2 {
        // SAFETY: the descriptor is ours and is not used any more.
        unsafe { libc::close(null) };
    }
    Ok(())
}

/// Writes where nothing may be written: the process gets SIGSEGV, as it would from a defect.
pub fn write_to_forbidden_page() {
    const LEN: usize = 4096;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
    // SAFETY: asks for a new mapping anywhere; no existing one changes.
    let page = unsafe { libc::mmap(std::ptr::null_mut(), LEN, libc::PROT_NONE, flags, -1, 0) };
    assert!(page != libc::MAP_FAILED, "one page can be mapped");
    // SAFETY: the page is ours and holds nothing; the write faults before anything changes.
    unsafe { page.cast::<u8>().write_volatile(0) };
}

/// Stops this process until somebody has it go on: how Upstart learns that a server is ready.
pub fn stop_for_supervisor() {
    // SAFETY: takes a number only.
    unsafe { libc::raise(libc::SIGSTOP) };
}

/// A file that holds the process' number while it runs; goes with this value.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
}

impl PidFile {
    /// Writes it.
    pub fn create(path: &Path) -> Result<PidFile, Errno> {
        let mut file = fs::File::create(path)?;
        writeln!(file, "{}", std::process::id())?;
        Ok(PidFile { path: path.to_owned() })
    }

    /// Removes it.
    pub fn remove(self) {
        drop(self);
    }
}

impl Drop for PidFile {
    /// A file that is gone already is as good as one that is removed.
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.path);
    }
}

/// The absolute path of the program that runs.
pub fn executable() -> Option<PathBuf> {
    fs::read_link("/proc/self/exe").ok()
}

/// What `uname` tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uname {
    /// `Linux`.
    pub sysname: String,
    /// Such as `6.18.0`.
    pub release: String,
    /// Such as `x86_64`.
    pub machine: String,
}

/// The kernel and the machine.
pub fn uname() -> Uname {
    let mut name = MaybeUninit::<libc::utsname>::zeroed();
    // SAFETY: `name` is ours to fill.
    unsafe { libc::uname(name.as_mut_ptr()) };
    // SAFETY: all zeros are three empty strings, and uname may have filled them.
    let name = unsafe { name.assume_init() };
    Uname { sysname: text(&name.sysname), release: text(&name.release), machine: text(&name.machine) }
}

fn text(field: &[libc::c_char]) -> String {
    let bytes = field.iter().map(|byte| *byte as u8).collect::<Vec<_>>();
    CStr::from_bytes_until_nul(&bytes).map_or_else(|_| String::new(), |text| text.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pid_file_holds_the_number() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("a.pid");
        let file = PidFile::create(&path).expect("written");
        assert_eq!(fs::read_to_string(&path).expect("there"), format!("{}\n", std::process::id()));
        file.remove();
        assert!(!path.exists());
        assert_eq!(PidFile::create(Path::new("/no/such/a.pid")).expect_err("no folder"), Errno(libc::ENOENT));
    }

    #[test]
    fn the_machine_has_a_name() {
        let name = uname();
        assert_eq!(name.sysname, "Linux");
        assert!(!name.release.is_empty() && !name.machine.is_empty());
        assert!(executable().expect("a program").is_absolute());
    }
}
