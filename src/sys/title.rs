//! The title that `ps` shows: written over the program's arguments and environment, which lie next to each other. Main
//! thread; the room is found before any other starts: the environment is copied away, and nobody may read it meanwhile.

use std::env;
use std::ffi::CString;
use std::fs;
use std::sync::{Mutex, PoisonError};

/// The room of this process and the name that its program was called by, once a title may be shown.
static KEPT: Mutex<Option<(TitleRoom, String)>> = Mutex::new(None);

/// The room that a title can take.
#[derive(Debug)]
pub struct TitleRoom {
    start: *mut u8,
    len: usize,
}

/// Fields of `/proc/self/stat` that follow the program's name, counted from 0: arg_start, arg_end, env_start, env_end.
const ARG_START: usize = 45;

impl TitleRoom {
    /// Finds the room and copies the environment away. `None` where the kernel does not tell, or there is a second thread
    /// already, which might read the environment. The arguments (`env::args`) have lost their sense once a title is shown.
    pub fn prepare() -> Option<TitleRoom> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        let (start, end) = bounds(&stat)?;
        if fs::read_dir("/proc/self/task").ok()?.count() != 1 {
            return None;
        }
        for (name, value) in env::vars_os() {
            // SAFETY: this is the only thread, as was just counted. The C library keeps a copy of its own.
            unsafe { env::set_var(name, value) };
        }
        Some(TitleRoom { start: start as *mut u8, len: end - start })
    }

    /// Keeps the room for [`show`]; `name` is what the program was called by.
    pub fn keep(self, name: &str) {
        *KEPT.lock().unwrap_or_else(PoisonError::into_inner) = Some((self, name.to_owned()));
    }

    fn show(&mut self, title: &str) {
        let shown = title.len().min(self.len - 1);
        // SAFETY: the room is `len` bytes that nobody else uses any more.
        unsafe { self.start.write_bytes(0, self.len) };
        // SAFETY: `shown` bytes fit, with a NUL behind them; the title lies elsewhere.
        unsafe { self.start.copy_from_nonoverlapping(title.as_ptr(), shown) };
    }
}

// SAFETY: the room belongs to the process, not to a thread; there is one value of it, and it is written through `&mut` only.
unsafe impl Send for TitleRoom {}

/// Shows the title that `make` makes of the program's name, cut where it does not fit. Does nothing where no room is kept.
pub fn show(make: impl FnOnce(&str) -> Option<String>) {
    if let Some((room, name)) = KEPT.lock().unwrap_or_else(PoisonError::into_inner).as_mut()
        && let Some(title) = make(name)
    {
        room.show(&title);
    }
}

/// Where arguments begin and the environment ends, if the two touch.
fn bounds(stat: &str) -> Option<(usize, usize)> {
    // The program's name is in parentheses and may contain anything.
    let fields = stat.rsplit_once(") ")?.1.split(' ').collect::<Vec<_>>();
    let number = |index: usize| fields.get(ARG_START + index)?.trim().parse::<usize>().ok();
    let (arg_start, arg_end, env_start, env_end) = (number(0)?, number(1)?, number(2)?, number(3)?);
    let touching = arg_start > 0 && arg_start < arg_end && env_start <= arg_end + 1 && env_start < env_end;
    let end = if touching { env_end } else { arg_end };
    (end > arg_start).then_some((arg_start, end))
}

/// Names the calling thread; the kernel keeps 15 bytes.
pub fn name_thread(name: &str) {
    let Ok(name) = CString::new(name) else { return };
    // SAFETY: the name ends with NUL.
    unsafe { libc::prctl(libc::PR_SET_NAME, name.as_ptr()) };
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(tail: &str) -> String {
        format!("7 (a ) b) S {}{tail}", "1 ".repeat(44))
    }

    #[test]
    fn the_room_is_read_from_the_kernels_line() {
        assert_eq!(bounds(&stat("100 150 150 300 0\n")), Some((100, 300)));
        assert_eq!(bounds(&stat("100 150 200 300 0\n")), Some((100, 150)));
        assert_eq!(bounds(&stat("0 0 0 0 0\n")), None);
        assert_eq!(bounds("7 (a) S 1 2"), None);
        assert_eq!(bounds(""), None);
    }

    #[test]
    fn the_room_holds_the_programs_name() {
        let own = fs::read_to_string("/proc/self/stat").expect("every process has one");
        let (start, end) = bounds(&own).expect("the kernel tells");
        let program = env::args().next().expect("a name");
        assert!(end - start > program.len());
        // SAFETY: the bytes are the arguments, which are there for as long as the process is.
        let bytes = unsafe { std::slice::from_raw_parts(start as *const u8, program.len()) };
        assert_eq!(bytes, program.as_bytes());
    }

    #[test]
    fn a_second_thread_forbids_it() {
        std::thread::scope(|scope| {
            scope.spawn(|| assert!(TitleRoom::prepare().is_none())).join().expect("no panic");
        });
    }

    #[test]
    fn a_thread_has_a_name() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                name_thread("a-name-longer-than-fifteen");
                let comm = fs::read_to_string("/proc/thread-self/comm").expect("a name");
                assert_eq!(comm, "a-name-longer-t\n");
            });
        });
    }
}
