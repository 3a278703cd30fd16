//! Facts about memory and processor time, and the switch for huge pages. Any thread.

use std::fs;
use std::mem::MaybeUninit;
use std::sync::atomic::{AtomicI64, Ordering};

use super::errno::Errno;

fn page_size() -> u64 {
    // SAFETY: has no pointers.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(4096)
}

/// Bytes of this process that lie in memory; 0 where the kernel does not tell.
pub fn resident_bytes() -> u64 {
    let statm = fs::read_to_string("/proc/self/statm").unwrap_or_default();
    let pages = statm.split(' ').nth(1).and_then(|pages| pages.parse::<u64>().ok());
    pages.unwrap_or(0) * page_size()
}

/// Bytes of memory that the machine has.
pub fn total_bytes() -> u64 {
    // SAFETY: has no pointers.
    let pages = unsafe { libc::sysconf(libc::_SC_PHYS_PAGES) };
    u64::try_from(pages).unwrap_or(0) * page_size()
}

/// Whose processor time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// All threads of this process.
    Process,
    /// Child processes that have ended.
    Children,
    /// The calling thread.
    Thread,
}

/// Processor time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    /// In the program, microseconds.
    pub user_us: u64,
    /// In the kernel, microseconds.
    pub system_us: u64,
}

/// Processor time that was used so far.
pub fn cpu_time(who: Who) -> CpuTime {
    let who = match who {
        Who::Process => libc::RUSAGE_SELF,
        Who::Children => libc::RUSAGE_CHILDREN,
        Who::Thread => libc::RUSAGE_THREAD,
    };
    let mut usage = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: `usage` is ours to fill.
    unsafe { libc::getrusage(who, usage.as_mut_ptr()) };
    // SAFETY: all zeros is a valid record, and getrusage may have filled it.
    let usage = unsafe { usage.assume_init() };
    let us = |time: libc::timeval| time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64;
    CpuTime { user_us: us(usage.ru_utime), system_us: us(usage.ru_stime) }
}

/// Keeps the kernel from giving this process huge pages, which make copy-on-write dear.
pub fn disable_huge_pages() -> Result<(), Errno> {
    // SAFETY: takes numbers only.
    Errno::check(unsafe { libc::prctl(libc::PR_SET_THP_DISABLE, 1, 0, 0, 0) }).map(|_| ())
}

/// What the allocator says of itself, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AllocatorStats {
    /// Handed out to the program.
    pub allocated: u64,
    /// In pages that hold something.
    pub active: u64,
    /// In memory, as far as the allocator knows.
    pub resident: u64,
    /// In pages that the kernel may take back but need not have taken.
    pub muzzy: u64,
    /// Kept without being backed by memory.
    pub retained: u64,
    /// The allocator's own.
    pub metadata: u64,
}

/// What takes a while to find out, as it was a moment ago.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemorySample {
    /// [`resident_bytes`].
    pub resident: u64,
    /// [`allocator_stats`].
    pub allocator: Option<AllocatorStats>,
}

impl MemorySample {
    /// As it is now.
    pub fn take() -> MemorySample {
        MemorySample { resident: resident_bytes(), allocator: allocator_stats() }
    }

    /// Bytes in use at this very moment; where the allocator does not tell, what the process takes.
    pub fn used_now(&self) -> u64 {
        allocated_here().or(self.allocator.map(|stats| stats.allocated)).unwrap_or(self.resident)
    }
}

/// The name and version of the allocator, as INFO shows it.
pub const ALLOCATOR: &str = if cfg!(feature = "jemalloc") { "jemalloc-5.3.1" } else { "libc" };

/// What other threads have been handed out and have not given back, as far as they reported: below zero where they free
/// what the main thread had.
static ELSEWHERE: AtomicI64 = AtomicI64::new(0);

/// Bytes that this thread, and those that report, have been handed out and have not given back, at once: the allocator's
/// own figures are collected from all its parts, which takes microseconds.
pub fn allocated_here() -> Option<u64> {
    balance().map(|own| u64::try_from(own + ELSEWHERE.load(Ordering::Acquire)).unwrap_or(0))
}

/// What a thread that is not the main one has reported of its memory.
#[derive(Default)]
pub struct ThreadShare {
    counters: Option<Counters>,
    reported: i64,
}

impl ThreadShare {
    /// Called by that thread: from now on its memory is counted as it is at this moment.
    #[inline]
    pub fn publish(&mut self) {
        if self.counters.is_none() {
            self.counters = Counters::of_this_thread();
        }
        let now = self.counters.as_ref().map_or(0, Counters::balance);
        if now != self.reported {
            ELSEWHERE.fetch_add(now - self.reported, Ordering::Release);
            self.reported = now;
        }
    }
}

/// Bytes that this thread has been handed out, less what it has given back.
fn balance() -> Option<i64> {
    Counters::of_this_thread().map(|counters| counters.balance())
}

/// Where the allocator counts what the thread is handed out and gives back. They never leave the thread.
#[cfg(feature = "jemalloc")]
struct Counters {
    handed_out: tikv_jemalloc_ctl::thread::ThreadLocal<u64>,
    given_back: tikv_jemalloc_ctl::thread::ThreadLocal<u64>,
}

#[cfg(feature = "jemalloc")]
impl Counters {
    fn of_this_thread() -> Option<Counters> {
        use tikv_jemalloc_ctl::thread;
        Some(Counters { handed_out: thread::allocatedp::read().ok()?, given_back: thread::deallocatedp::read().ok()? })
    }

    #[inline]
    fn balance(&self) -> i64 {
        self.handed_out.get().wrapping_sub(self.given_back.get()) as i64
    }
}

/// The system's allocator does not count.
#[cfg(not(feature = "jemalloc"))]
enum Counters {}

#[cfg(not(feature = "jemalloc"))]
impl Counters {
    fn of_this_thread() -> Option<Counters> {
        None
    }

    fn balance(&self) -> i64 {
        match *self {}
    }
}

/// jemalloc's name for the sum over all arenas, which it calls number 4096.
#[cfg(feature = "jemalloc")]
const MUZZY_PAGES: &[u8] = b"stats.arenas.4096.pmuzzy\0";

/// The allocator's figures at this moment.
#[cfg(feature = "jemalloc")]
pub fn allocator_stats() -> Option<AllocatorStats> {
    use tikv_jemalloc_ctl::{epoch, raw, stats};
    epoch::advance().ok()?;
    // SAFETY: the name ends with NUL, and the value behind it is a size_t.
    let muzzy_pages = unsafe { raw::read::<usize>(MUZZY_PAGES) }.ok()? as u64;
    Some(AllocatorStats {
        allocated: stats::allocated::read().ok()? as u64,
        active: stats::active::read().ok()? as u64,
        resident: stats::resident::read().ok()? as u64,
        muzzy: muzzy_pages * page_size(),
        retained: stats::retained::read().ok()? as u64,
        metadata: stats::metadata::read().ok()? as u64,
    })
}

/// The system's allocator tells nothing that is worth showing.
#[cfg(not(feature = "jemalloc"))]
pub fn allocator_stats() -> Option<AllocatorStats> {
    None
}

/// Has the allocator give back pages that hold nothing. Threads that come later are as before.
#[cfg(feature = "jemalloc")]
pub fn purge() {
    use tikv_jemalloc_ctl::{arenas, raw};
    for arena in 0..arenas::narenas::read().unwrap_or(0) {
        let name = format!("arena.{arena}.dirty_decay_ms\0");
        // SAFETY: the name ends with NUL, and the value behind it is an ssize_t.
        let Ok(before) = (unsafe { raw::read::<isize>(name.as_bytes()) }) else { continue };
        for decay_ms in [0, before] {
            // SAFETY: the same.
            _ = unsafe { raw::write::<isize>(name.as_bytes(), decay_ms) };
        }
    }
}

/// The system's allocator is not asked.
#[cfg(not(feature = "jemalloc"))]
pub fn purge() {}

/// The allocator's own report.
#[cfg(feature = "jemalloc")]
pub fn allocator_report() -> Option<String> {
    let mut report = Vec::new();
    tikv_jemalloc_ctl::stats_print::stats_print(&mut report, Default::default()).ok()?;
    Some(String::from_utf8_lossy(&report).into_owned())
}

/// The system's allocator has none.
#[cfg(not(feature = "jemalloc"))]
pub fn allocator_report() -> Option<String> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_is_smaller_than_the_machine() {
        let (resident, total) = (resident_bytes(), total_bytes());
        assert!(resident > 100_000 && resident < total, "{resident} of {total}");
    }

    #[test]
    fn work_takes_time() {
        let before = cpu_time(Who::Thread);
        let mut sum = 0u64;
        while cpu_time(Who::Thread) == before {
            sum = std::hint::black_box(sum + 1);
        }
        let (thread, process) = (cpu_time(Who::Thread), cpu_time(Who::Process));
        assert!(process.user_us + process.system_us >= thread.user_us + thread.system_us);
    }

    #[test]
    fn the_allocator_tells_only_where_it_can() {
        assert_eq!(allocator_stats().is_some(), cfg!(feature = "jemalloc"));
    }
}
