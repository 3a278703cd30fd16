//! HOT PATH. The Io boundary on io_uring. Unsafe room: it alone knows which memory the kernel is using.
//!
//! A slot keeps its generation until nothing of it is in flight, so completions find the slot they belong to; only soft
//! sends are not counted, and one of a former generation is passed over.
//!
//! Closing: `shutdown(2)` ends armed receives and pending sends, their completions count `in_flight` down to zero, and
//! only then is the descriptor closed and the slot freed, so neither descriptor nor buffer is reused too early.

mod deliver;
mod user_data;

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::time::Duration;

use bytes::Bytes;
use io_uring::cqueue;
use io_uring::squeue::Entry;
use io_uring::types::Timespec;

use crate::io::{
    Completion, ConnId, GENERATION_MASK, Io, IoStats, ListenerId, Received, SEND_CHUNKS_MAX, Segment, SoftSend,
    TurnOutput,
};
use crate::uring::buffer_ring::{BufferRing, BufferSizes};
use crate::uring::{Features, Refused, Ring, RingOptions, operation};
use user_data::Op;

/// Submission queue entries: a turn with more sends than this submits in several goes.
const SUBMISSIONS: u32 = 1024;
/// Completion queue entries: with deferred task work overflow is rare at this size and survived in any case.
const COMPLETIONS: u32 = 4096;
/// Provided buffers, shared by all connections: 2 MiB in all.
const RECV_BUFFERS: BufferSizes = BufferSizes { count: 32, len: 64 * 1024 };
/// The same memory where the kernel has no incremental buffers: a receive takes one for itself, however little it brings,
/// so there have to be as many as connections may bring something in one turn. When they run out, receives end and
/// are armed again, which costs a submission each.
const RECV_BUFFERS_PLAIN: BufferSizes = BufferSizes { count: 256, len: 8 * 1024 };
/// Buffer group of all receives.
const RECV_GROUP: u16 = 0;
/// Index of the reply slab among the registered buffers.
const SLAB_BUFFER: u16 = 0;

/// Longest time of one timer.
const TIMER_MAX_US: i64 = 3_600_000_000;
/// A timer that is this much late is good enough for a shorter wait.
const TIMER_SLACK_US: i64 = 500;

/// Memory of a connection that the kernel holds; rare, so boxed.
#[derive(Default)]
struct Held {
    chunks: Vec<Bytes>,
    iovecs: Vec<libc::iovec>,
    into: Vec<u8>,
}

/// What a slot is used for; a free one is closing, too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Closed by the server; what was in flight is still to come back.
    Closing,
    /// Reserved for a connection that another back end has.
    Away,
}

/// One connection's place.
struct Slot {
    fd: RawFd,
    generation: u32,
    /// Operations whose completion is still to come.
    in_flight: u16,
    recv_armed: bool,
    into_armed: bool,
    sending: bool,
    state: State,
    held: Option<Box<Held>>,
}

const _: () = assert!(size_of::<Slot>() <= 24);

/// Another thread's ring, by its descriptor. When that ring is gone the number may come to mean another one, which then
/// wakes for nothing, or any other file, which the kernel refuses.
#[derive(Clone, Copy, Debug)]
pub struct RingWaker(RawFd);

/// A listening socket; `None` once it was given up.
struct Listener {
    socket: Option<OwnedFd>,
}

/// The real Io.
pub struct RingIo {
    // Dropped first: after it the kernel touches none of the memory below.
    ring: Ring,
    buffers: BufferRing,
    slots: Vec<Slot>,
    free: Vec<u32>,
    listeners: Vec<Listener>,
    watched: Vec<(RawFd, u32)>,
    /// Operations that found the submission queue full and no way to enter; submitted first.
    waiting: VecDeque<Entry>,
    /// Completions reaped outside of `poll`.
    reaped: VecDeque<cqueue::Entry>,
    /// Buffers that the kernel is done with and the loop has not recycled yet.
    exhausted: Vec<u16>,
    iovecs: Vec<libc::iovec>,
    /// Address and length of the registered reply slab.
    slab: Option<(usize, usize)>,
    /// When the armed timer ends a wait, in Unix microseconds; the far future when none is armed.
    timer_due_us: i64,
    timer: Box<Timespec>,
    /// A turn failed: what it left in the queue points to output that is gone, so nothing is submitted any more.
    broken: bool,
    /// Replies go out by plain sends.
    without_slab: bool,
    /// What the last turn's soft sends left was not polled yet.
    sends_untold: bool,
    stats: IoStats,
}

impl RingIo {
    /// Sets up ring and buffers, or says why the kernel refuses.
    pub fn new() -> Result<RingIo, Refused> {
        RingIo::without(Features::default())
    }

    /// As `new`, doing without features that the kernel may have.
    pub fn without(features: Features) -> Result<RingIo, Refused> {
        let options = RingOptions { submissions: SUBMISSIONS, completions: COMPLETIONS, without: features };
        RingIo::with_sizes(&options, RECV_BUFFERS, RECV_BUFFERS_PLAIN)
    }

    /// As `new`, with sizes that a test can make small enough to run out.
    pub fn with_sizes(options: &RingOptions, incremental: BufferSizes, plain: BufferSizes) -> Result<RingIo, Refused> {
        let mut ring = Ring::new(options)?;
        let incremental = (!options.without.incremental_buffers).then_some(incremental);
        // SAFETY: the ring stands before the buffers in `RingIo`, so it is dropped first; should this function end early,
        // nothing was submitted that receives.
        let registered = unsafe { BufferRing::register(&ring, RECV_GROUP, incremental, plain) };
        let buffers = registered.map_err(|error| match error.raw_os_error() {
            Some(libc::EINVAL) => Refused::TooOld { missing: "provided buffer rings" },
            _ => Refused::Limits(error),
        })?;
        ring.features_mut().incremental_buffers = buffers.incremental();
        let buffers_total = buffers.count();
        Ok(RingIo {
            ring,
            buffers,
            slots: Vec::new(),
            free: Vec::new(),
            listeners: Vec::new(),
            watched: Vec::new(),
            waiting: VecDeque::new(),
            reaped: VecDeque::new(),
            exhausted: Vec::new(),
            iovecs: Vec::new(),
            slab: None,
            timer_due_us: i64::MAX,
            timer: Box::default(),
            broken: false,
            without_slab: options.without.registered_slab,
            sends_untold: false,
            stats: IoStats { recv_buffers: u64::from(buffers_total), ..IoStats::default() },
        })
    }

    /// Slots that are not free: open connections, and closed ones with something in flight.
    #[cfg(test)]
    pub(crate) fn slots_in_use(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Makes sure that a wait ends after `wait` at the latest. One timer in the ring serves all the turns up to its end:
    /// giving each enter a time of its own would cost each enter.
    fn arm_timer(&mut self, wait: Duration) {
        let wait_us = i64::try_from(wait.as_micros()).unwrap_or(TIMER_MAX_US).min(TIMER_MAX_US);
        let due_us = self.now_us() + wait_us;
        if due_us + TIMER_SLACK_US < self.timer_due_us {
            self.timer_due_us = due_us;
            *self.timer = Timespec::from(Duration::from_micros(wait_us as u64));
            // The kernel reads the time while it takes the submission.
            let entry = operation::timeout(&self.timer, Op::Timer.alone(0));
            self.push(entry);
        }
    }

    /// Queues an operation whose memory, if any, this object holds until its completion.
    fn push(&mut self, entry: Entry) {
        if !self.waiting.is_empty() {
            self.waiting.push_back(entry);
            return;
        }
        // SAFETY: operations pushed here refer to provided buffers, to `Held` memory, to the timer's time, or to none; all
        // of it is kept in this object until the completion was reaped.
        if !unsafe { self.ring.push(&entry) } {
            self.waiting.push_back(entry);
        }
    }

    /// Moves waiting operations into the submission queue.
    fn push_waiting(&mut self) {
        while let Some(entry) = self.waiting.front() {
            // SAFETY: as in `push`.
            if !unsafe { self.ring.push(entry) } {
                return;
            }
            self.waiting.pop_front();
        }
    }

    /// Enters the kernel; see [`Ring::enter`].
    #[inline]
    fn enter(&mut self, wait: bool) -> io::Result<bool> {
        self.stats.enters += 1;
        self.stats.syscalls += 1;
        let outcome = self.ring.enter(wait);
        self.stats.submissions = self.ring.submitted();
        outcome
    }

    /// Completions wait in the kernel: makes them come.
    #[cold]
    fn flush_overflow(&mut self) -> io::Result<()> {
        self.stats.overflows += 1;
        self.stats.enters += 1;
        self.stats.syscalls += 1;
        self.ring.flush_overflow()
    }

    /// Submits the queue until it is empty, reaping completions aside when the kernel asks for room.
    fn submit_all(&mut self) -> io::Result<()> {
        loop {
            self.push_waiting();
            if self.ring.queued() == 0 {
                return Ok(());
            }
            if !self.enter(false)? {
                self.reap_aside()?;
            }
        }
    }

    /// Takes completions out of the queue for the next `poll`.
    fn reap_aside(&mut self) -> io::Result<()> {
        loop {
            self.ring.sync_completions();
            while let Some(completion) = self.ring.reap() {
                self.reaped.push_back(completion);
            }
            self.ring.sync_completions();
            if !self.ring.overflowed() {
                return Ok(());
            }
            self.flush_overflow()?;
        }
    }

    #[inline]
    fn slot(&mut self, conn: ConnId) -> Option<&mut Slot> {
        let slot = self.slots.get_mut(conn.slot as usize)?;
        (slot.generation == conn.generation && slot.state == State::Open).then_some(slot)
    }

    fn insert(&mut self, fd: RawFd) -> ConnId {
        match self.free.pop() {
            Some(index) => {
                let slot = &mut self.slots[index as usize];
                slot.fd = fd;
                slot.state = State::Open;
                ConnId { slot: index, generation: slot.generation }
            }
            None => {
                self.slots.push(Slot {
                    fd,
                    generation: 0,
                    in_flight: 0,
                    recv_armed: false,
                    into_armed: false,
                    sending: false,
                    state: State::Open,
                    held: None,
                });
                ConnId { slot: self.slots.len() as u32 - 1, generation: 0 }
            }
        }
    }

    /// Closes the descriptor of a slot that is closing once nothing is in flight.
    fn close_if_done(&mut self, index: u32) {
        let slot = &mut self.slots[index as usize];
        if slot.state != State::Closing || slot.in_flight != 0 {
            return;
        }
        let fd = std::mem::replace(&mut slot.fd, -1);
        slot.generation = (slot.generation + 1) & GENERATION_MASK;
        slot.held = None;
        self.free.push(index);
        if fd >= 0 {
            self.push(operation::close(fd, Op::Quiet.alone(0)));
        }
    }

    /// Pushes one soft send, entering when the queue is full.
    #[inline]
    fn push_soft(&mut self, output: &TurnOutput<'_>, send: &SoftSend) -> io::Result<()> {
        let Some(fd) = self.slot(send.conn).map(|slot| slot.fd) else { return Ok(()) };
        let user_data = Op::SoftSend.on(send.conn);
        let segments = &output.segments[send.segments.clone()];
        let entry = match segments {
            [] => return Ok(()),
            [Segment::Slab(range)] => {
                let bytes = &output.slab[range.clone()];
                if self.slab_holds(output.slab) {
                    operation::write_fixed_soft(fd, bytes, SLAB_BUFFER, user_data)
                } else {
                    operation::send_soft(fd, bytes, user_data)
                }
            }
            [Segment::Shared(index)] => operation::send_soft(fd, &output.shared[*index], user_data),
            _ => {
                let start = self.iovecs.len();
                // Iovecs are reserved for the whole turn before the first is made, so they do not move.
                debug_assert!(start + segments.len() <= self.iovecs.capacity());
                let mut fixed = self.ring.features().vectored_fixed && self.slab_holds(output.slab);
                for segment in segments {
                    let bytes = output.bytes_of(segment);
                    fixed &= matches!(segment, Segment::Slab(_));
                    self.iovecs.push(operation::iovec(bytes));
                }
                let end = self.iovecs.len().min(start + IOVECS_MAX);
                let iovecs = &self.iovecs[start..end];
                let entry = if fixed {
                    operation::writev_fixed_soft(fd, iovecs, SLAB_BUFFER, user_data)
                } else {
                    operation::writev_soft(fd, iovecs, user_data)
                };
                // Of more segments than the kernel takes the last ones are not sent: that is short even on success, so
                // success must be told as well.
                if segments.len() > IOVECS_MAX { entry.clear_flags() } else { entry }
            }
        };
        loop {
            self.push_waiting();
            // SAFETY: the output is borrowed until `turn` returns, `turn` submits everything before it does or never submits
            // again, and a soft send is over once submitted; iovecs are cleared at the next turn.
            if self.waiting.is_empty() && unsafe { self.ring.push(&entry) } {
                return Ok(());
            }
            if !self.enter(false)? {
                self.reap_aside()?;
            }
        }
    }

    /// Queues a turn's sends and enters the kernel until all that is queued was taken.
    fn submit_turn(&mut self, output: TurnOutput<'_>, wait: Option<Duration>) -> io::Result<()> {
        self.iovecs.clear();
        self.iovecs.reserve(output.segments.len());
        for send in output.sends {
            self.push_soft(&output, send)?;
        }
        self.stats.sends_soft += output.sends.len() as u64;
        self.sends_untold |= !output.sends.is_empty();
        if let Some(wait) = wait {
            self.arm_timer(wait);
        }
        let wait = wait.is_some() && self.reaped.is_empty();
        if self.waiting.is_empty() && self.enter(wait)? {
            if self.ring.queued() == 0 {
                return Ok(());
            }
        } else {
            self.reap_aside()?;
        }
        self.submit_all()
    }

    /// Whether a turn's slab is the registered one and has not outgrown it.
    #[inline]
    fn slab_holds(&self, slab: &[u8]) -> bool {
        self.slab.is_some_and(|(start, len)| slab.as_ptr() as usize == start && slab.len() <= len)
    }
}

/// Most iovecs of one send (the kernel's IOV_MAX).
const IOVECS_MAX: usize = 1024;

impl Io for RingIo {
    type Socket = OwnedFd;
    type Waker = RingWaker;

    fn listen(&mut self, socket: OwnedFd) -> ListenerId {
        let id = ListenerId(self.listeners.len() as u32);
        let fd = socket.as_raw_fd();
        self.listeners.push(Listener { socket: Some(socket) });
        self.push(operation::accept_multishot(fd, Op::Accept.alone(id.0)));
        id
    }

    fn accept_again(&mut self, listener: ListenerId) {
        if let Some(socket) = &self.listeners[listener.0 as usize].socket {
            let fd = socket.as_raw_fd();
            self.stats.rearms_accept += 1;
            self.push(operation::accept_multishot(fd, Op::Accept.alone(listener.0)));
        }
    }

    fn unlisten(&mut self, listener: ListenerId) {
        if let Some(socket) = self.listeners[listener.0 as usize].socket.take() {
            // This ends the standing accept, and frees the address at once even while the accept still holds the socket.
            self.stats.syscalls += 1;
            // SAFETY: plain system call on a descriptor that is open.
            unsafe { libc::shutdown(socket.as_raw_fd(), libc::SHUT_RDWR) };
            self.push(operation::cancel(Op::Accept.alone(listener.0), Op::Quiet.alone(0)));
        }
    }

    fn recv_start(&mut self, conn: ConnId) {
        let Some(slot) = self.slot(conn) else { return };
        assert!(!slot.recv_armed && !slot.into_armed, "one receive per connection");
        slot.recv_armed = true;
        slot.in_flight += 1;
        let fd = slot.fd;
        self.push(operation::recv_multishot(fd, RECV_GROUP, Op::Recv.on(conn)));
    }

    fn recv_stop(&mut self, conn: ConnId) {
        if self.slot(conn).is_some_and(|slot| slot.recv_armed) {
            self.push(operation::cancel(Op::Recv.on(conn), Op::Quiet.alone(0)));
        }
    }

    fn recv_into(&mut self, conn: ConnId, mut bytes: Vec<u8>, max: usize) {
        let Some(slot) = self.slot(conn) else { return };
        assert!(!slot.recv_armed && !slot.into_armed, "one receive per connection");
        let room = bytes.spare_capacity_mut();
        let len = room.len().min(max).min(RECV_INTO_MAX);
        assert!(len > 0, "there is room to receive into");
        let memory = room.as_mut_ptr().cast::<u8>();
        slot.into_armed = true;
        slot.in_flight += 1;
        slot.held.get_or_insert_default().into = bytes;
        let fd = slot.fd;
        self.push(operation::recv_into(fd, memory, len as u32, Op::RecvInto.on(conn)));
    }

    fn send(&mut self, conn: ConnId, chunks: Vec<Bytes>, offset: usize) {
        let Some(slot) = self.slot(conn) else { return };
        assert!(!slot.sending, "one send in flight per connection");
        slot.sending = true;
        slot.in_flight += 1;
        let fd = slot.fd;
        self.stats.sends_owned += 1;
        let slot = &mut self.slots[conn.slot as usize];
        // Chunks and iovecs stay where they are until the completion: the boxed `Held` is not touched before it.
        let held = slot.held.get_or_insert_default();
        held.chunks = chunks;
        operation::iovecs_of(&held.chunks, offset, SEND_CHUNKS_MAX, &mut held.iovecs);
        let entry = operation::writev(fd, &held.iovecs, Op::Send.on(conn));
        self.push(entry);
    }

    fn close(&mut self, conn: ConnId) {
        let Some(slot) = self.slots.get_mut(conn.slot as usize) else { return };
        if slot.generation != conn.generation || slot.state == State::Closing {
            return;
        }
        slot.state = State::Closing;
        if slot.in_flight > 0 {
            let fd = slot.fd;
            // SAFETY: plain system call on a descriptor that this slot owns.
            unsafe { libc::shutdown(fd, libc::SHUT_RDWR) };
            self.stats.syscalls += 1;
        }
        self.close_if_done(conn.slot);
    }

    fn detach(&mut self, conn: ConnId) -> Option<OwnedFd> {
        if self.sends_untold {
            return None;
        }
        let slot = self.slot(conn).filter(|slot| slot.in_flight == 0)?;
        slot.state = State::Away;
        slot.held = None;
        let fd = std::mem::replace(&mut slot.fd, -1);
        // SAFETY: the slot owned the open descriptor and has forgotten it; nothing in flight refers to it.
        Some(unsafe { OwnedFd::from_raw_fd(fd) })
    }

    fn reattach(&mut self, conn: ConnId, socket: OwnedFd) {
        let slot = &mut self.slots[conn.slot as usize];
        assert!(slot.generation == conn.generation && slot.state == State::Away, "{conn:?} is not away");
        slot.fd = socket.into_raw_fd();
        slot.state = State::Open;
    }

    fn adopt(&mut self, socket: OwnedFd) -> ConnId {
        self.insert(socket.into_raw_fd())
    }

    fn waker(&self) -> RingWaker {
        RingWaker(self.ring.descriptor())
    }

    fn wake(&mut self, waker: &RingWaker) {
        self.push(operation::message(waker.0, Op::Woken.alone(0), Op::Wake.alone(waker.0 as u32)));
    }

    fn refuse(&mut self, conn: ConnId, text: &[u8]) {
        if let Some(slot) = self.slot(conn) {
            // SAFETY: `text` is valid for its length; the call does not wait.
            unsafe { libc::send(slot.fd, text.as_ptr().cast(), text.len(), libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) };
            self.stats.syscalls += 1;
        }
        self.close(conn);
    }

    fn watch(&mut self, fd: RawFd, token: u32) {
        self.watched.push((fd, token));
        self.push(operation::poll_readable(fd, Op::Watch.alone(self.watched.len() as u32 - 1)));
    }

    fn turn(&mut self, output: TurnOutput<'_>, wait: Option<Duration>) -> io::Result<()> {
        assert!(!self.broken, "no turn follows one that failed");
        let outcome = self.submit_turn(output, wait);
        self.broken = outcome.is_err();
        outcome
    }

    fn poll(&mut self, completions: &mut Vec<Completion>) -> io::Result<()> {
        self.sends_untold = false;
        let mut collected = self.reaped.len();
        while let Some(completion) = self.reaped.pop_front() {
            self.deliver(&completion, completions);
        }
        loop {
            self.ring.sync_completions();
            while let Some(completion) = self.ring.reap() {
                collected += 1;
                self.deliver(&completion, completions);
            }
            self.ring.sync_completions();
            if !self.ring.overflowed() {
                self.stats.collected(collected);
                self.stats.buffers_used(self.exhausted.len());
                return Ok(());
            }
            self.flush_overflow()?;
        }
    }

    fn poll_sends(&mut self, completions: &mut Vec<Completion>) -> io::Result<()> {
        self.sends_untold = false;
        self.reap_aside()?;
        for _ in 0..self.reaped.len() {
            match self.reaped.pop_front() {
                Some(short) if Op::of(short.user_data()) == Op::SoftSend => self.deliver(&short, completions),
                Some(other) => self.reaped.push_back(other),
                None => break,
            }
        }
        Ok(())
    }

    #[inline]
    fn bytes(&self, received: Received) -> &[u8] {
        self.buffers.bytes(received.buffer, received.start as usize, received.len as usize)
    }

    fn bytes_mut(&mut self, received: Received) -> &mut [u8] {
        self.buffers.bytes_mut(received.buffer, received.start as usize, received.len as usize)
    }

    fn recycle(&mut self) {
        if self.exhausted.is_empty() {
            return;
        }
        for index in 0..self.exhausted.len() {
            // SAFETY: a completion put it on this list, once, and it leaves the list below.
            unsafe { self.buffers.provide(self.exhausted[index]) };
        }
        self.exhausted.clear();
        self.buffers.publish();
    }

    fn descriptor(&self, conn: ConnId) -> Option<BorrowedFd<'_>> {
        let slot = self.slots.get(conn.slot as usize)?;
        if slot.generation != conn.generation || slot.state != State::Open {
            return None;
        }
        // SAFETY: the slot owns an open descriptor, and closing it needs `&mut self`.
        Some(unsafe { BorrowedFd::borrow_raw(slot.fd) })
    }

    fn use_slab(&mut self, slab: &[u8]) {
        if self.without_slab {
            return;
        }
        if self.slab.take().is_some() {
            // The memory of the old slab may be anyone's by now; what the kernel pinned are its old pages.
            self.ring.features_mut().registered_slab = false;
            if self.ring.submitter().unregister_buffers().is_err() {
                return;
            }
        }
        if slab.is_empty() {
            return;
        }
        self.stats.syscalls += 1;
        let iovecs = [operation::iovec(slab)];
        // SAFETY: the slab outlives the ring: the server keeps it allocated at this address as long as it runs turns,
        // and a fixed write only ever names ranges of a slab that is borrowed for the turn.
        let registered = unsafe { self.ring.submitter().register_buffers(&iovecs) };
        // Refused under a low RLIMIT_MEMLOCK: replies then go out by plain sends.
        if registered.is_ok() {
            self.slab = Some((slab.as_ptr() as usize, slab.len()));
            self.ring.features_mut().registered_slab = true;
            self.stats.slab_registrations += 1;
        }
    }

    fn now_us(&self) -> i64 {
        crate::sys::time::unix_us()
    }

    fn stats(&self) -> &IoStats {
        &self.stats
    }

    fn describe(&self) -> String {
        format!("io_uring ({})", self.ring.features())
    }

    fn features(&self) -> Vec<(&'static str, bool)> {
        self.ring.features().all().into()
    }
}

/// Most bytes of one receive into own memory: the kernel's length field is 32 bits.
const RECV_INTO_MAX: usize = 1 << 30;

impl Drop for RingIo {
    fn drop(&mut self) {
        // Descriptors whose close still waits in the queue. After a failed turn they are left to the end of the process.
        if !self.broken {
            let _ = self.submit_all();
        }
        // The kernel takes a ring down in the background; until then it may write to buffers and read chunks, so
        // everything is cancelled while their memory is still there. What cannot be cancelled keeps its memory for good.
        let ended = self.ring.cancel_all().is_ok();
        for slot in &self.slots {
            if slot.fd >= 0 {
                // SAFETY: the slot owns the descriptor, and nothing uses it after this object.
                unsafe { libc::close(slot.fd) };
            }
        }
        if !ended {
            self.buffers.leak();
            std::mem::forget(std::mem::take(&mut self.slots));
        }
    }
}
