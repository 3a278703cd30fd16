//! The process itself: leaving the terminal, the pid file, processors to run on, facts about the machine. Main thread.

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

/// Keeps the calling thread on these processors.
pub fn run_on(cpus: &[usize]) -> Result<(), Errno> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: all zeros is the empty set.
    let set = unsafe { set.assume_init_mut() };
    for cpu in cpus {
        if *cpu >= libc::CPU_SETSIZE as usize {
            return Err(Errno(libc::EINVAL));
        }
        // SAFETY: the number is within the set.
        unsafe { libc::CPU_SET(*cpu, set) };
    }
    // SAFETY: the size is the set's; 0 is the calling thread.
    Errno::check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), set) }).map(|_| ())
}

/// Processors of a list such as `0,2-4` or `0-7:2`; `None` where it is none.
pub fn cpu_list(list: &str) -> Option<Vec<usize>> {
    let mut cpus = Vec::new();
    for part in list.split(',') {
        let (range, step) = part.split_once(':').unwrap_or((part, "1"));
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (first.trim().parse::<usize>().ok()?, last.trim().parse::<usize>().ok()?);
        let step = step.trim().parse::<usize>().ok().filter(|step| *step > 0)?;
        if first > last || last >= libc::CPU_SETSIZE as usize {
            return None;
        }
        cpus.extend((first..=last).step_by(step));
    }
    Some(cpus)
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

    #[test]
    fn cpu_lists() {
        assert_eq!(cpu_list("0,2-4"), Some(vec![0, 2, 3, 4]));
        assert_eq!(cpu_list("0-7:2"), Some(vec![0, 2, 4, 6]));
        for list in ["", "a", "3-1", "0-7:0", "1,", "99999"] {
            assert_eq!(cpu_list(list), None, "{list}");
        }
    }

    #[test]
    fn a_thread_stays_on_its_processor() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                run_on(&[usize::MAX]).expect_err("no such processor");
                // The first processor may be taken from this process; then the error says so.
                if run_on(&[0]).is_ok() {
                    // SAFETY: has no arguments.
                    assert_eq!(unsafe { libc::sched_getcpu() }, 0);
                }
            });
        });
    }
}
