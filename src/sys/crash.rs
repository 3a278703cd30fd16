//! Signals of defects, such as SIGSEGV: a report is written on a stack of its own, then the process dies by the same
//! signal, so that a core dump is made. Unsafe room.
//!
//! The report is a best effort. It allocates, takes locks and reads what the interrupted code was changing, none of which a
//! handler may rely on. The process is lost at that point in any case: a second fault ends it at once, one that hangs is
//! ended after [`DEADLINE_S`], and nothing that was read is used for more than the text of the report.

use std::ffi::c_void;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicPtr, AtomicUsize, Ordering};
use std::sync::{Once, OnceLock};

use super::handler_log;

/// The signals of defects.
const SIGNALS: [i32; 5] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL, libc::SIGABRT];

/// Bytes of the handler's stack: names of functions are looked up on it. Pages that are never used cost nothing.
const STACK_LEN: usize = 4 << 20;

/// How long a report may take, in seconds: the fault may have hit a thread that holds a lock the report needs.
const DEADLINE_S: u32 = 20;

static REPORT: OnceLock<fn(&Fault)> = OnceLock::new();
static REPORTING: AtomicBool = AtomicBool::new(false);
/// The signal to die by.
static SIGNAL: AtomicI32 = AtomicI32::new(libc::SIGABRT);

/// What broke. There is one only while the process ends.
pub struct Fault {
    /// The signal; 0 where a panic is reported.
    pub signal: i32,
    /// Its `si_code`: positive where the kernel raised it.
    pub code: i32,
    /// The address that could not be accessed.
    pub address: usize,
    /// Where the processor was, 0 where that is not known.
    pub instruction: usize,
    /// Kept private so that nobody makes a fault but the handlers here.
    sender: (i32, u32),
}

impl Fault {
    /// Process and user that sent the signal.
    pub fn sender(&self) -> (i32, u32) {
        self.sender
    }

    /// Whether a bad access raised it.
    pub fn has_address(&self) -> bool {
        matches!(self.signal, libc::SIGSEGV | libc::SIGBUS)
    }
}

/// A place that a report may look into. Written at the price of one store.
pub struct Place<T> {
    at: AtomicPtr<T>,
}

impl<T> Place<T> {
    /// Shows nothing.
    pub const fn empty() -> Place<T> {
        Place { at: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Shows what is at `at`, which stays there until the place is cleared or shows something else.
    #[inline]
    pub fn show(&self, at: *const T) {
        self.at.store(at.cast_mut(), Ordering::Relaxed);
    }

    /// Shows nothing any more.
    #[inline]
    pub fn clear(&self) {
        self.at.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// What is shown, to a report only.
    pub fn look<'a>(&self, _fault: &'a Fault) -> Option<&'a T> {
        let at = self.at.load(Ordering::Relaxed);
        // SAFETY: who shows something keeps it there. It may be half changed, and somebody may hold it exclusively; but no
        // code of theirs runs again, since there is a fault only in a process that ends (see the head of this file).
        unsafe { at.as_ref() }
    }
}

/// The same for a slice. Written at the price of two stores.
pub struct SlicePlace<T> {
    at: AtomicPtr<T>,
    len: AtomicUsize,
}

impl<T> SlicePlace<T> {
    /// Shows nothing.
    pub const fn empty() -> SlicePlace<T> {
        SlicePlace { at: AtomicPtr::new(ptr::null_mut()), len: AtomicUsize::new(0) }
    }

    /// Shows what is at `at`, which stays there until the place is cleared or shows something else.
    #[inline]
    pub fn show(&self, at: *const [T]) {
        self.len.store(at.len(), Ordering::Relaxed);
        self.at.store(at.cast_mut().cast(), Ordering::Relaxed);
    }

    /// Shows nothing any more.
    #[inline]
    pub fn clear(&self) {
        self.at.store(ptr::null_mut(), Ordering::Relaxed);
    }

    /// What is shown, to a report only.
    pub fn look<'a>(&self, _fault: &'a Fault) -> Option<&'a [T]> {
        let (at, len) = (self.at.load(Ordering::Relaxed), self.len.load(Ordering::Relaxed));
        // SAFETY: as for `Place`. The length was stored before the pointer by the thread that faults or one that stands
        // still, so it is that of what is there.
        (!at.is_null()).then(|| unsafe { std::slice::from_raw_parts(at, len) })
    }
}

/// Reports are written by `report`; the first call counts.
pub fn report_with(report: fn(&Fault)) {
    REPORT.get_or_init(|| report);
}

/// Whether faults are reported from now on; where they are not, they do what they always do.
pub fn set_enabled(enabled: bool) -> io::Result<()> {
    static STACK: Once = Once::new();
    if enabled {
        STACK.call_once(use_own_stack);
    }
    for signal in SIGNALS {
        let handler = if enabled {
            on_fault as extern "C" fn(i32, *mut libc::siginfo_t, *mut c_void) as usize
        } else {
            libc::SIG_DFL
        };
        install(signal, handler)?;
    }
    Ok(())
}

/// Runs `report` and ends the process by SIGABRT. A panic while something is reported ends it at once.
pub fn report_panic(report: impl FnOnce(&Fault)) -> ! {
    if !REPORTING.swap(true, Ordering::SeqCst) {
        set_deadline();
        report(&Fault { signal: 0, code: 0, address: 0, instruction: 0, sender: (0, 0) });
    }
    die(libc::SIGABRT);
    std::process::abort()
}

/// An overflow of the main stack could not be reported on that stack. Without one of its own the report is lost, no more.
fn use_own_stack() {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    let access = libc::PROT_READ | libc::PROT_WRITE;
    // SAFETY: asks for a new mapping anywhere; no existing one changes.
    let base = unsafe { libc::mmap(ptr::null_mut(), STACK_LEN, access, flags, -1, 0) };
    if base != libc::MAP_FAILED {
        let stack = libc::stack_t { ss_sp: base, ss_flags: 0, ss_size: STACK_LEN };
        // SAFETY: the mapping is ours and is never given back.
        unsafe { libc::sigaltstack(&stack, ptr::null_mut()) };
    }
}

fn install(signal: i32, handler: usize) -> io::Result<()> {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: all zeros is an action without handler, flags or mask.
    let action = unsafe { action.assume_init_mut() };
    action.sa_sigaction = handler;
    // Not deferred: a second fault has to come through.
    action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK | libc::SA_NODEFER;
    // SAFETY: the action is initialised, and its handler has the signature that its flags ask for.
    if unsafe { libc::sigaction(signal, action, ptr::null_mut()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

extern "C" fn on_fault(signal: i32, info: *mut libc::siginfo_t, context: *mut c_void) {
    if REPORTING.swap(true, Ordering::SeqCst) {
        handler_log::write("Crashed while a crash was reported: there is no more of the report.");
        die(signal);
        return;
    }
    SIGNAL.store(signal, Ordering::SeqCst);
    set_deadline();
    // SAFETY: the kernel passes a valid structure.
    let info = unsafe { &*info };
    // SAFETY: for signals that were sent this field has other contents, and any bits are an address.
    let address = unsafe { info.si_addr() } as usize;
    let sender = if info.si_code <= 0 { sender_of(info) } else { (0, 0) };
    let instruction = instruction_of(context);
    if let Some(report) = REPORT.get() {
        report(&Fault { signal, code: info.si_code, address, instruction, sender });
    }
    die(signal);
}

fn sender_of(info: &libc::siginfo_t) -> (i32, u32) {
    // SAFETY: a process sent the signal, so that the field is there.
    let pid = unsafe { info.si_pid() };
    // SAFETY: as above.
    (pid, unsafe { info.si_uid() })
}

#[cfg(target_arch = "x86_64")]
fn instruction_of(context: *mut c_void) -> usize {
    // SAFETY: the kernel passes a valid structure of this type.
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    context.uc_mcontext.gregs[libc::REG_RIP as usize] as usize
}

#[cfg(target_arch = "aarch64")]
fn instruction_of(context: *mut c_void) -> usize {
    // SAFETY: the kernel passes a valid structure of this type.
    let context = unsafe { &*context.cast::<libc::ucontext_t>() };
    context.uc_mcontext.pc as usize
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
fn instruction_of(_context: *mut c_void) -> usize {
    0
}

fn set_deadline() {
    let handler = on_deadline as extern "C" fn(i32) as usize;
    // SAFETY: the handler makes system calls only.
    unsafe { libc::signal(libc::SIGALRM, handler) };
    // SAFETY: takes a number only.
    unsafe { libc::alarm(DEADLINE_S) };
}

extern "C" fn on_deadline(_signal: i32) {
    handler_log::write("The report of a crash took too long: there is no more of it.");
    die(SIGNAL.load(Ordering::SeqCst));
}

/// The process ends by `signal`, which is not blocked, as the kernel ends it.
fn die(signal: i32) {
    // SAFETY: SIG_DFL installs no handler code.
    unsafe { libc::signal(signal, libc::SIG_DFL) };
    // SAFETY: takes a number only.
    unsafe { libc::raise(signal) };
}
