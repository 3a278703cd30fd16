//! Provided buffers: memory that the kernel picks from when data arrives, shared by all connections. Unsafe room.
//!
//! ```text
//!   provide(id) ──> [ring of entries] ──kernel fills──> completion names id (and, incrementally, more of the same id)
//!        ^                                                       │
//!        └────────────── the loop has parsed the bytes ──────────┘
//! ```
//! With incremental buffers one 64 KiB buffer serves many receives: each completion continues where the last one ended,
//! and the buffer is over when a completion comes without `BUF_MORE`.

use std::alloc::{self, Layout};
use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::types::BufRingEntry;

use super::Ring;

/// Page size that the kernel's interface aligns the ring of entries to.
const PAGE: usize = 4096;

/// `IOU_PBUF_RING_INC`.
const INCREMENTAL: u16 = 2;

/// How many buffers of which length.
#[derive(Clone, Copy, Debug)]
pub struct BufferSizes {
    /// A power of two.
    pub count: u16,
    /// Bytes of each.
    pub len: usize,
}

/// A group of provided buffers.
pub struct BufferRing {
    entries: NonNull<BufRingEntry>,
    entries_layout: Layout,
    memory: NonNull<u8>,
    memory_layout: Layout,
    /// How far the kernel has filled each buffer.
    filled: Vec<u32>,
    buffer_len: usize,
    count: u16,
    group: u16,
    tail: u16,
    incremental: bool,
    leaked: bool,
}

impl BufferRing {
    /// Registers buffers as `group`: incremental ones where the kernel has them and their sizes are given, else plain
    /// ones. All are provided.
    ///
    /// # Safety
    /// What is returned must be dropped after the ring, which may write to the buffers as long as it is there.
    pub unsafe fn register(
        ring: &Ring,
        group: u16,
        incremental: Option<BufferSizes>,
        plain: BufferSizes,
    ) -> io::Result<BufferRing> {
        if let Some(sizes) = incremental {
            // SAFETY: this function's own contract is the same.
            match unsafe { BufferRing::register_as(ring, group, sizes, true) } {
                Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
                outcome => return outcome,
            }
        }
        // SAFETY: as above; nothing was registered before.
        unsafe { BufferRing::register_as(ring, group, plain, false) }
    }

    /// # Safety
    /// As for `register`.
    unsafe fn register_as(ring: &Ring, group: u16, sizes: BufferSizes, incremental: bool) -> io::Result<BufferRing> {
        let BufferSizes { count, len: buffer_len } = sizes;
        assert!(count.is_power_of_two() && count <= 1 << 15);
        assert!(buffer_len > 0 && u32::try_from(buffer_len).is_ok());
        let entries_layout = Layout::from_size_align(size_of::<BufRingEntry>() * usize::from(count), PAGE)
            .expect("a power of two of small entries fits");
        let memory_layout =
            Layout::from_size_align(buffer_len * usize::from(count), PAGE).expect("the constants' product fits");
        let entries = allocate(entries_layout)?.cast::<BufRingEntry>();
        let memory = match allocate(memory_layout) {
            Ok(memory) => memory,
            Err(error) => {
                // SAFETY: allocated above with this layout and not used by anyone yet.
                unsafe { alloc::dealloc(entries.as_ptr().cast(), entries_layout) };
                return Err(error);
            }
        };
        let flags = if incremental { INCREMENTAL } else { 0 };
        let filled = vec![0; usize::from(count)];
        let mut buffers = BufferRing {
            entries,
            entries_layout,
            memory,
            memory_layout,
            filled,
            buffer_len,
            count,
            group,
            tail: 0,
            incremental,
            leaked: false,
        };
        // SAFETY: the entries stay allocated until `Drop`, which the caller runs after the ring is gone.
        unsafe { ring.submitter().register_buf_ring_with_flags(entries.as_ptr() as u64, count, group, flags) }?;
        for id in 0..count {
            // SAFETY: the kernel has seen none of them yet, and each is provided once.
            unsafe { buffers.provide(id) };
        }
        buffers.publish();
        Ok(buffers)
    }

    /// The memory is not freed any more: the kernel may write to it even after the ring is gone.
    pub fn leak(&mut self) {
        self.leaked = true;
    }

    /// Group number for receives.
    pub fn group(&self) -> u16 {
        self.group
    }

    /// How many buffers there are.
    pub fn count(&self) -> u16 {
        self.count
    }

    /// Whether buffers are consumed piece by piece.
    pub fn incremental(&self) -> bool {
        self.incremental
    }

    /// Notes that the kernel put `len` bytes into buffer `id`; returns where they start.
    #[inline]
    pub fn filled(&mut self, id: u16, len: usize) -> usize {
        let filled = &mut self.filled[usize::from(id)];
        let start = *filled as usize;
        assert!(start + len <= self.buffer_len, "the kernel does not write past a buffer");
        *filled = (start + len) as u32;
        start
    }

    /// Bytes that the kernel has put into buffer `id`.
    #[inline]
    pub fn bytes(&self, id: u16, start: usize, len: usize) -> &[u8] {
        assert!(start + len <= self.filled[usize::from(id)] as usize, "only received bytes are looked at");
        // SAFETY: `id` is below `count` (indexing above) and a filled range lies inside its buffer.
        let first = unsafe { self.memory.as_ptr().add(usize::from(id) * self.buffer_len + start) };
        // SAFETY: the range was written by the kernel (zeroed before) and is not written again until `provide`, which
        // needs `&mut self`.
        unsafe { std::slice::from_raw_parts(first, len) }
    }

    /// The same bytes, to be changed.
    pub fn bytes_mut(&mut self, id: u16, start: usize, len: usize) -> &mut [u8] {
        assert!(start + len <= self.filled[usize::from(id)] as usize, "only received bytes are changed");
        // SAFETY: `id` is below `count` (indexing above) and a filled range lies inside its buffer.
        let first = unsafe { self.memory.as_ptr().add(usize::from(id) * self.buffer_len + start) };
        // SAFETY: the range was written by the kernel, which is done with it until `provide`: what it still adds to the
        // buffer comes behind. `&mut self` keeps everybody else from looking at it.
        unsafe { std::slice::from_raw_parts_mut(first, len) }
    }

    /// Hands buffer `id` back to the kernel with the next `publish`. Its bytes must be parsed or copied.
    ///
    /// # Safety
    /// The kernel must be done with the buffer: a completion has said so, and it was not provided since. Then there are
    /// never more entries than places, and the kernel writes to no buffer twice at a time.
    #[inline]
    pub unsafe fn provide(&mut self, id: u16) {
        self.filled[usize::from(id)] = 0;
        let index = usize::from(self.tail & (self.count - 1));
        // SAFETY: `id` is below `count`: `filled` was indexed with it.
        let address = unsafe { self.memory.as_ptr().add(usize::from(id) * self.buffer_len) };
        // SAFETY: index is below count, so the entry lies inside the allocation.
        let slot = unsafe { self.entries.as_ptr().add(index) };
        // SAFETY: the kernel reads entries only below the published tail; this one is past it, and a whole round away
        // from any that was not taken, because no buffer is provided twice.
        let entry = unsafe { &mut *slot };
        entry.set_addr(address as u64);
        entry.set_len(self.buffer_len as u32);
        entry.set_bid(id);
        self.tail = self.tail.wrapping_add(1);
    }

    /// Makes the provided buffers visible to the kernel.
    #[inline]
    pub fn publish(&mut self) {
        // SAFETY: `entries` is the first entry of an initialised ring.
        let tail = unsafe { BufRingEntry::tail(self.entries.as_ptr()) };
        // SAFETY: the tail field is aligned, lives as long as the ring, and is only accessed atomically by both sides.
        let tail = unsafe { AtomicU16::from_ptr(tail.cast_mut()) };
        tail.store(self.tail, Ordering::Release);
    }
}

fn allocate(layout: Layout) -> io::Result<NonNull<u8>> {
    // SAFETY: the layouts above have a size greater than zero.
    let memory = unsafe { alloc::alloc_zeroed(layout) };
    NonNull::new(memory).ok_or_else(|| io::Error::from_raw_os_error(libc::ENOMEM))
}

impl Drop for BufferRing {
    fn drop(&mut self) {
        if self.leaked {
            return;
        }
        // SAFETY: allocated in `register_as` with this layout; by `register`'s contract the ring that used it is gone.
        unsafe { alloc::dealloc(self.entries.as_ptr().cast(), self.entries_layout) };
        // SAFETY: allocated in `register_as` with this layout; by `register`'s contract the ring that used it is gone.
        unsafe { alloc::dealloc(self.memory.as_ptr(), self.memory_layout) };
    }
}
