//! HOT PATH. The load generator's io_uring: connected sockets, the bytes they send, and what they received.
//!
//! One thread owns a `Ring` and everything in it. Knows nothing of commands and replies. The one unsafe room of the tool:
//! the few unsafe calls about processes stand at its end. Per turn there is one `io_uring_enter`:
//!
//! ```text
//! output() + send()  ->  wait(): recycle, re-arm, enter, drain  ->  events()  ->  output() + send() ...
//! ```
//!
//! Sends are "soft": with MSG_WAITALL | MSG_DONTWAIT a send is over when the enter returns, and completes visibly only if
//! the socket was full. What a full socket left over is sent again as an ordinary, waiting send.

use std::alloc::{Layout, alloc_zeroed, dealloc, handle_alloc_error};
use std::io;
use std::net::Shutdown;
use std::ops::Range;
use std::os::fd::{AsRawFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use io_uring::types::{BufRingEntry, Fd, SubmitArgs, Timespec};
use io_uring::{IoUring, cqueue, opcode, squeue};

use crate::clock;
use crate::endpoint::Stream;

/// Submission entries; a turn with more sends than this enters the kernel in between.
const SQ_ENTRIES: u32 = 2048;
/// Completion entries, with room for every connection of the largest case plus its pipelined pieces.
const CQ_ENTRIES: u32 = 32_768;
/// Receive buffers where the kernel fills one buffer piece by piece (6.12 and later).
const INCREMENTAL_POOL: PoolShape = PoolShape { entries: 64, buffer_len: 64 << 10, incremental: true };
/// Receive buffers where every receive takes a whole one.
const PLAIN_POOL: PoolShape = PoolShape { entries: 2048, buffer_len: 8 << 10, incremental: false };
/// `IOU_PBUF_RING_INC`.
const BUFFER_RING_INCREMENTAL: u16 = 2;
const BUFFER_GROUP: u16 = 0;
const PAGE_LEN: usize = 4096;
/// `wait` returns at least this often, so that its caller can look at the clock.
const TICK_NS: u32 = 20_000_000;
/// How long closing waits for the kernel to give every receive back.
const CLOSE_WAIT: Duration = Duration::from_secs(5);

const OP_RECV: u64 = 0;
const OP_SEND: u64 = 1;
const OP_TICK: u64 = 2;

/// What a turn brought.
pub(crate) enum Event<'a> {
    /// Bytes of connection `slot`, in order.
    Data { slot: usize, bytes: &'a [u8] },
    /// Connection `slot` is over: end of stream, or the error.
    Closed { slot: usize, error: Option<io::Error> },
}

/// The same, before the bytes are borrowed.
enum RawEvent {
    Data { slot: u32, buffer: u16, start: u32, len: u32 },
    Closed { slot: u32, errno: i32 },
}

/// One connection.
struct Link {
    stream: Stream,
    fd: RawFd,
    output: Vec<u8>,
    /// What is still to be sent of `output`, while a send is under way.
    unsent: Range<usize>,
    /// The turn in which the last soft send was queued: until its end the kernel may read `output`.
    soft_turn: u64,
    /// A waiting send is in flight: until its completion the kernel may read `output`.
    hard: bool,
    receiving: bool,
}

/// Connections on one io_uring.
pub(crate) struct Ring {
    ring: IoUring,
    pool: Pool,
    links: Vec<Link>,
    events: Vec<RawEvent>,
    rearm: Vec<u32>,
    turn: u64,
    tick: Box<Timespec>,
    tick_armed: bool,
}

impl Ring {
    /// A ring with no connections. The calling thread is the only one that may use it.
    pub(crate) fn new() -> io::Result<Ring> {
        let ring = IoUring::builder()
            .setup_single_issuer()
            .setup_defer_taskrun()
            .setup_submit_all()
            .setup_clamp()
            .setup_cqsize(CQ_ENTRIES)
            .build(SQ_ENTRIES)?;
        let pool = Pool::register(&ring, INCREMENTAL_POOL).or_else(|_| Pool::register(&ring, PLAIN_POOL))?;
        Ok(Ring {
            ring,
            pool,
            links: Vec::new(),
            events: Vec::new(),
            rearm: Vec::new(),
            turn: 1,
            tick: Box::new(Timespec::new().nsec(TICK_NS)),
            tick_armed: false,
        })
    }

    /// Takes a connection whose requests lie in `output`. Its slot is the number of connections added before it.
    pub(crate) fn add(&mut self, stream: Stream, output: Vec<u8>) {
        let fd = stream.as_raw_fd();
        self.rearm.push(self.links.len() as u32);
        self.links.push(Link { stream, fd, output, unsent: 0..0, soft_turn: 0, hard: false, receiving: false });
    }

    /// Ends the connection in `slot` in both directions. A `Closed` event follows, and then `reuse` may.
    pub(crate) fn retire(&mut self, slot: usize) {
        // A connection that the peer has already reset answers ENOTCONN: it is as closed as can be.
        let _ = self.links[slot].stream.shutdown(Shutdown::Both);
    }

    /// Puts another connection where one was closed. Its output stays as it is.
    pub(crate) fn reuse(&mut self, slot: usize, stream: Stream) {
        let link = &mut self.links[slot];
        assert!(!link.receiving && !link.hard, "the kernel still works on the connection before");
        link.fd = stream.as_raw_fd();
        link.stream = stream;
        link.unsent = 0..0;
        self.rearm.push(slot as u32);
    }

    /// The output bytes of `slot`, to be changed. Its last send must be over: a reply to it has been seen.
    #[inline]
    pub(crate) fn output(&mut self, slot: usize) -> &mut Vec<u8> {
        let link = &mut self.links[slot];
        assert!(link.soft_turn != self.turn && !link.hard, "the kernel may still be reading this output");
        &mut link.output
    }

    /// Whether the last send of `slot` is over.
    pub(crate) fn may_send(&self, slot: usize) -> bool {
        let link = &self.links[slot];
        link.soft_turn != self.turn && !link.hard
    }

    /// Queues `range` of the output of `slot`; the next `wait` sends it.
    #[inline]
    pub(crate) fn send(&mut self, slot: usize, range: Range<usize>) -> io::Result<()> {
        let link = &mut self.links[slot];
        assert!(link.soft_turn != self.turn && !link.hard, "one send per connection at a time");
        link.soft_turn = self.turn;
        link.unsent = range;
        let flags = libc::MSG_WAITALL | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
        let bytes = &link.output[link.unsent.clone()];
        let entry = opcode::Send::new(Fd(link.fd), bytes.as_ptr(), bytes.len() as u32)
            .flags(flags)
            .build()
            .flags(squeue::Flags::SKIP_SUCCESS)
            .user_data(user_data(OP_SEND, slot as u32));
        self.push(&entry)
    }

    /// Ends the turn: gives the received buffers back, sends what was queued and waits for at least one completion, or
    /// for the tick. The events of the turn before are gone.
    pub(crate) fn wait(&mut self) -> io::Result<()> {
        self.prepare_wait()?;
        loop {
            match self.ring.submit_and_wait(1) {
                Ok(_) => {}
                Err(error) if retriable(&error) => {}
                Err(error) => return Err(error),
            }
            self.drain()?;
            if self.ring.submission().is_empty() {
                break;
            }
        }
        // Every entry was taken and issued inside the enter, so no soft send reads its output any more.
        self.turn += 1;
        Ok(())
    }

    /// The same, but waits no longer than `at_most`.
    pub(crate) fn wait_at_most(&mut self, at_most: Duration) -> io::Result<()> {
        self.prepare_wait()?;
        let timeout = Timespec::from(at_most);
        let args = SubmitArgs::new().timespec(&timeout);
        loop {
            match self.ring.submitter().submit_with_args(1, &args) {
                Ok(_) => {}
                Err(error) if retriable(&error) || error.raw_os_error() == Some(libc::ETIME) => {}
                Err(error) => return Err(error),
            }
            self.drain()?;
            if self.ring.submission().is_empty() {
                break;
            }
        }
        self.turn += 1;
        Ok(())
    }

    fn prepare_wait(&mut self) -> io::Result<()> {
        self.events.clear();
        self.pool.recycle();
        for slot in std::mem::take(&mut self.rearm) {
            self.arm_receive(slot)?;
        }
        if !self.tick_armed {
            self.tick_armed = true;
            let entry = opcode::Timeout::new(&raw const *self.tick).build().user_data(user_data(OP_TICK, 0));
            self.push(&entry)?;
        }
        Ok(())
    }

    /// What the last `wait` brought, in order per connection.
    pub(crate) fn events(&self) -> impl Iterator<Item = Event<'_>> {
        self.events.iter().map(|event| match *event {
            RawEvent::Data { slot, buffer, start, len } => {
                Event::Data { slot: slot as usize, bytes: self.pool.bytes(buffer, start, len) }
            }
            RawEvent::Closed { slot, errno } => {
                Event::Closed { slot: slot as usize, error: (errno != 0).then(|| io::Error::from_raw_os_error(errno)) }
            }
        })
    }

    fn arm_receive(&mut self, slot: u32) -> io::Result<()> {
        let link = &mut self.links[slot as usize];
        link.receiving = true;
        let entry = opcode::RecvMulti::new(Fd(link.fd), BUFFER_GROUP).build().user_data(user_data(OP_RECV, slot));
        self.push(&entry)
    }

    /// Sends what a full socket left over, this time waiting for it. The output stays untouched until the completion.
    #[cold]
    fn send_rest(&mut self, slot: u32) -> io::Result<()> {
        let link = &mut self.links[slot as usize];
        link.hard = true;
        let bytes = &link.output[link.unsent.clone()];
        let entry = opcode::Send::new(Fd(link.fd), bytes.as_ptr(), bytes.len() as u32)
            .flags(libc::MSG_WAITALL | libc::MSG_NOSIGNAL)
            .build()
            .user_data(user_data(OP_SEND, slot));
        self.push(&entry)
    }

    fn push(&mut self, entry: &squeue::Entry) -> io::Result<()> {
        loop {
            // SAFETY: the entry points at nothing, or at an output or tick that this ring owns, keeps in place and hands
            // out for change only when `soft_turn` and `hard` say that the kernel is done with it.
            let pushed = unsafe { self.ring.submission().push(entry) };
            if pushed.is_ok() {
                return Ok(());
            }
            match self.ring.submit() {
                Ok(_) => {}
                Err(error) if retriable(&error) => self.drain()?,
                Err(error) => return Err(error),
            }
        }
    }

    fn drain(&mut self) -> io::Result<()> {
        // Bounded by the completion queue: entries that arrive meanwhile wait for the next turn.
        for _ in 0..CQ_ENTRIES {
            let Some(entry) = self.ring.completion().next() else { break };
            self.complete(&entry)?;
        }
        Ok(())
    }

    fn complete(&mut self, entry: &cqueue::Entry) -> io::Result<()> {
        let slot = entry.user_data() as u32;
        match entry.user_data() >> 32 {
            OP_RECV => self.complete_receive(slot, entry),
            OP_SEND => return self.complete_send(slot, entry.result()),
            _ => self.tick_armed = false,
        }
        Ok(())
    }

    #[inline]
    fn complete_receive(&mut self, slot: u32, entry: &cqueue::Entry) {
        let result = entry.result();
        let more = cqueue::more(entry.flags());
        if result > 0 {
            let buffer = cqueue::buffer_select(entry.flags()).expect("a receive with data names its buffer");
            let len = result as u32;
            let start = self.pool.take(buffer, len, cqueue::buffer_more(entry.flags()));
            self.events.push(RawEvent::Data { slot, buffer, start, len });
            if !more {
                self.rearm.push(slot);
            }
            return;
        }
        if !more {
            self.links[slot as usize].receiving = false;
        }
        if result == -libc::ENOBUFS {
            self.rearm.push(slot);
        } else {
            self.events.push(RawEvent::Closed { slot, errno: -result });
        }
    }

    /// A soft send completes visibly only when it could not send everything.
    #[cold]
    fn complete_send(&mut self, slot: u32, result: i32) -> io::Result<()> {
        let link = &mut self.links[slot as usize];
        link.hard = false;
        match result {
            written if written >= 0 => link.unsent.start += written as usize,
            failed if failed == -libc::EAGAIN || failed == -libc::EINTR => {}
            failed => {
                self.events.push(RawEvent::Closed { slot, errno: -failed });
                return Ok(());
            }
        }
        if self.links[slot as usize].unsent.is_empty() { Ok(()) } else { self.send_rest(slot) }
    }

    /// Shuts every connection down and waits until the kernel holds none of their buffers. A close alone would send no
    /// FIN while a receive is armed.
    fn close(&mut self) {
        for link in &self.links {
            // A connection that the peer has already reset answers ENOTCONN: it is as closed as can be.
            let _ = link.stream.shutdown(Shutdown::Both);
        }
        self.rearm.clear();
        let start: Instant = clock::now();
        while self.links.iter().any(|link| link.receiving || link.hard) && start.elapsed() < CLOSE_WAIT {
            if self.wait().is_err() {
                break;
            }
            for slot in std::mem::take(&mut self.rearm) {
                self.links[slot as usize].receiving = false;
            }
        }
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        self.close();
        // Failing leaves the registration to the ring's own end, which follows at once.
        let _ = self.ring.submitter().unregister_buf_ring(BUFFER_GROUP);
    }
}

/// An enter that failed for now: a signal came, or the completion queue wants draining first.
fn retriable(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EBUSY | libc::EAGAIN))
}

fn user_data(operation: u64, slot: u32) -> u64 {
    operation << 32 | u64::from(slot)
}

/// Number, size and use of receive buffers.
#[derive(Clone, Copy)]
struct PoolShape {
    entries: u16,
    buffer_len: usize,
    incremental: bool,
}

/// Receive buffers that the kernel picks from, and the ring by which they are handed to it.
struct Pool {
    shape: PoolShape,
    entries: Pages,
    buffers: Pages,
    tail: u16,
    /// Bytes already received into each buffer.
    filled: Vec<u32>,
    /// Buffers that the kernel is done with; handed back when their bytes have been looked at.
    retired: Vec<u16>,
}

impl Pool {
    fn register(ring: &IoUring, shape: PoolShape) -> io::Result<Pool> {
        let count = usize::from(shape.entries);
        let mut pool = Pool {
            shape,
            entries: Pages::new(count * size_of::<BufRingEntry>()),
            buffers: Pages::new(count * shape.buffer_len),
            tail: 0,
            filled: vec![0; count],
            retired: (0..shape.entries).collect(),
        };
        let address = pool.entries.start.as_ptr() as u64;
        let flags = if shape.incremental { BUFFER_RING_INCREMENTAL } else { 0 };
        // SAFETY: the entries live in the pool, which outlives the registration: `Ring::drop` unregisters before its
        // fields go.
        unsafe { ring.submitter().register_buf_ring_with_flags(address, shape.entries, BUFFER_GROUP, flags) }?;
        pool.recycle();
        Ok(pool)
    }

    /// Notes `len` bytes received into `buffer` and returns where they start. `more`: the kernel will go on filling it.
    #[inline]
    fn take(&mut self, buffer: u16, len: u32, more: bool) -> u32 {
        let filled = &mut self.filled[usize::from(buffer)];
        let start = *filled;
        assert!(start as usize + len as usize <= self.shape.buffer_len);
        *filled += len;
        if !(self.shape.incremental && more) {
            self.retired.push(buffer);
        }
        start
    }

    #[inline]
    fn bytes(&self, buffer: u16, start: u32, len: u32) -> &[u8] {
        let offset = usize::from(buffer) * self.shape.buffer_len + start as usize;
        assert!(offset + len as usize <= self.buffers.layout.size());
        // SAFETY: the assertion keeps the offset inside the allocation.
        let first = unsafe { self.buffers.start.as_ptr().add(offset) };
        // SAFETY: `take` saw the kernel finish these bytes, and the buffer is not handed back before `recycle`, which
        // needs the pool exclusively.
        unsafe { std::slice::from_raw_parts(first, len as usize) }
    }

    /// Hands the retired buffers to the kernel. Called before an enter, when nobody looks at received bytes.
    fn recycle(&mut self) {
        if self.retired.is_empty() {
            return;
        }
        let first: *mut BufRingEntry = self.entries.start.as_ptr().cast();
        let mask = self.shape.entries - 1;
        for buffer in self.retired.drain(..) {
            self.filled[usize::from(buffer)] = 0;
            // SAFETY: a buffer's number times its length stays inside the allocation made for all of them.
            let address = unsafe { self.buffers.start.as_ptr().add(usize::from(buffer) * self.shape.buffer_len) };
            // SAFETY: masked, the index is below the number of entries.
            let place = unsafe { first.add(usize::from(self.tail & mask)) };
            // SAFETY: the entry is zero-initialised page memory that the kernel does not read before the tail passes it.
            let entry = unsafe { &mut *place };
            entry.set_addr(address as u64);
            entry.set_len(self.shape.buffer_len as u32);
            entry.set_bid(buffer);
            self.tail = self.tail.wrapping_add(1);
        }
        // SAFETY: `first` is the page-aligned, initialised first entry of the ring.
        let tail = unsafe { BufRingEntry::tail(first) };
        // SAFETY: the tail is an aligned u16 in memory that the pool owns, shared with the kernel by atomics only.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

/// Zeroed, page-aligned memory.
struct Pages {
    start: NonNull<u8>,
    layout: Layout,
}

impl Pages {
    fn new(len: usize) -> Pages {
        assert!(len > 0);
        let layout = Layout::from_size_align(len, PAGE_LEN).expect("buffer pools are far below the address space");
        // SAFETY: the length is not zero.
        let start = unsafe { alloc_zeroed(layout) };
        Pages { start: NonNull::new(start).unwrap_or_else(|| handle_alloc_error(layout)), layout }
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        // SAFETY: allocated in `new` with this layout, and freed once.
        unsafe { dealloc(self.start.as_ptr(), self.layout) };
    }
}

/// The process-level calls of the tool, behind safe wrappers. They stand here because they are unsafe calls too, and the
/// tool has one room for those.
pub(crate) mod process {
    use std::io;
    use std::os::unix::process::CommandExt;
    use std::process::Command;

    /// CPU time of the calling thread so far, in nanoseconds.
    pub(crate) fn thread_cpu_ns() -> io::Result<u64> {
        let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
        // SAFETY: the structure outlives the call.
        check(unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) })?;
        Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
    }

    /// How many ticks a second the kernel counts processes' time in.
    pub(crate) fn ticks_per_second() -> u64 {
        // SAFETY: passes a number only.
        let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
        u64::try_from(ticks).ok().filter(|ticks| *ticks > 0).unwrap_or(100)
    }

    /// Raises the soft limit of open descriptors to at least `wanted`, and the hard one where the user may. Children inherit
    /// it.
    pub(crate) fn raise_descriptor_limit(wanted: u64) -> io::Result<()> {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: the structure outlives the call.
        check(unsafe { libc::getrlimit(libc::RLIMIT_NOFILE, &raw mut limit) })?;
        if limit.rlim_cur >= wanted {
            return Ok(());
        }
        limit.rlim_cur = wanted;
        limit.rlim_max = limit.rlim_max.max(wanted);
        // SAFETY: the structure outlives the call.
        check(unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &raw const limit) })
    }

    /// Makes the calling thread wake up from timed waits as exactly as the kernel can.
    pub(crate) fn exact_timers() -> io::Result<()> {
        const SLACK_NS: libc::c_ulong = 1;
        // SAFETY: sets one attribute of the calling thread.
        check(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, SLACK_NS) })
    }

    /// Makes the child of `command` run on `cores` only, and get SIGTERM when the calling thread ends, however it ends.
    pub(crate) fn tie_child(command: &mut Command, cores: Vec<usize>) {
        let prepare = move || -> io::Result<()> {
            // SAFETY: all zeroes is the empty set.
            let mut set: libc::cpu_set_t = unsafe { std::mem::zeroed() };
            for &core in &cores {
                if core >= libc::CPU_SETSIZE as usize {
                    return Err(io::Error::from_raw_os_error(libc::EINVAL));
                }
                // SAFETY: `core` was checked against the size of the set.
                unsafe { libc::CPU_SET(core, &mut set) };
            }
            // SAFETY: the set outlives the call; pid 0 is the calling process.
            check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), &raw const set) })?;
            // SAFETY: sets one attribute of the calling process.
            check(unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGTERM) })
        };
        // SAFETY: the closure only makes async-signal-safe calls and allocates nothing.
        unsafe { command.pre_exec(prepare) };
    }

    /// Sends `signal` to the process `pid`, a child that has not been waited for.
    pub(crate) fn signal(pid: u32, signal: i32) -> io::Result<()> {
        let pid = i32::try_from(pid).map_err(|_| io::Error::from_raw_os_error(libc::ESRCH))?;
        // SAFETY: passes numbers only.
        check(unsafe { libc::kill(pid, signal) })
    }

    fn check(result: i32) -> io::Result<()> {
        if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn a_tied_child_runs_on_its_core() {
            let mut command = Command::new("grep");
            command.args(["Cpus_allowed_list", "/proc/self/status"]);
            tie_child(&mut command, vec![0]);
            let output = command.output().unwrap();
            assert_eq!(String::from_utf8(output.stdout).unwrap().split_whitespace().last(), Some("0"));
        }

        #[test]
        fn the_thread_uses_cpu_time() {
            let before = thread_cpu_ns().unwrap();
            let mut hash = 0u64;
            for number in 0..100_000u64 {
                hash = std::hint::black_box(hash.wrapping_mul(31) ^ number);
            }
            assert!(thread_cpu_ns().unwrap() > before);
        }

        #[test]
        fn a_core_beyond_the_set_is_refused() {
            let mut command = Command::new("true");
            tie_child(&mut command, vec![1 << 20]);
            assert!(command.status().is_err());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn bytes_go_out_and_come_back_in_order() {
        let Ok(mut ring) = Ring::new() else {
            println!("skipped: this kernel gives no io_uring");
            return;
        };
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        // Far more than a socket buffer holds: the rest goes out by waiting sends.
        let output: Vec<u8> = (0..3_000_000u32).map(|index| (index % 251) as u8).collect();
        ring.add(Stream::Unix(ours), output.clone());
        ring.send(0, 0..output.len()).unwrap();
        let expected = output.clone();
        #[expect(clippy::disallowed_methods, reason = "the peer of a socket test must run beside it")]
        let peer = std::thread::spawn(move || {
            let mut received = vec![0; expected.len()];
            theirs.read_exact(&mut received).unwrap();
            assert!(received == expected);
            theirs.write_all(&received).unwrap();
        });
        let mut received = Vec::new();
        let mut closed = false;
        while !closed {
            ring.wait().unwrap();
            for event in ring.events() {
                match event {
                    Event::Data { slot, bytes } => {
                        assert_eq!(slot, 0);
                        received.extend_from_slice(bytes);
                    }
                    Event::Closed { error, .. } => {
                        assert!(error.is_none());
                        closed = true;
                    }
                }
            }
        }
        peer.join().unwrap();
        assert!(received == output);
        assert_eq!(ring.output(0).len(), output.len());
    }
}
