//! The operations Torc submits, one function each, built from descriptors and memory. Building is safe; pushing is not.

use std::os::fd::RawFd;

use bytes::Bytes;
use io_uring::opcode;
use io_uring::squeue::{Entry, Flags};
use io_uring::types::{CancelBuilder, Fd, Timespec};

/// Flags of a soft send: all of it now or not at all waiting; success gives no completion.
const SOFT: i32 = libc::MSG_WAITALL | libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;

/// Most bytes of one send: the kernel's length field is 32 bits, and it cuts at a little less than 2 GiB by itself.
const SEND_MAX: usize = 1 << 30;

/// Accepts connections until told otherwise.
pub fn accept_multishot(listener: RawFd, user_data: u64) -> Entry {
    opcode::AcceptMulti::new(Fd(listener)).flags(libc::SOCK_CLOEXEC | libc::SOCK_NONBLOCK).build().user_data(user_data)
}

/// Receives into provided buffers until told otherwise.
pub fn recv_multishot(socket: RawFd, group: u16, user_data: u64) -> Entry {
    opcode::RecvMulti::new(Fd(socket), group).build().user_data(user_data)
}

/// Receives once into memory of the caller's.
pub fn recv_into(socket: RawFd, memory: *mut u8, len: u32, user_data: u64) -> Entry {
    opcode::Recv::new(Fd(socket), memory, len).build().user_data(user_data)
}

/// Sends what the socket takes now. The memory is free again when the submission returned; a completion comes only
/// when not everything was sent.
pub fn send_soft(socket: RawFd, bytes: &[u8], user_data: u64) -> Entry {
    let len = bytes.len().min(SEND_MAX);
    let entry = opcode::Send::new(Fd(socket), bytes.as_ptr(), len as u32).flags(SOFT).build().user_data(user_data);
    // Of more bytes than one send takes the last ones are not sent even where it succeeds, so success is told as well.
    if len < bytes.len() { entry } else { entry.flags(Flags::SKIP_SUCCESS) }
}

/// As `send_soft`, from a registered buffer.
pub fn write_fixed_soft(socket: RawFd, bytes: &[u8], buffer: u16, user_data: u64) -> Entry {
    opcode::WriteFixed::new(Fd(socket), bytes.as_ptr(), bytes.len() as u32, buffer)
        .offset(u64::MAX)
        .rw_flags(libc::RWF_NOWAIT)
        .build()
        .flags(Flags::SKIP_SUCCESS)
        .user_data(user_data)
}

/// As `send_soft`, from several places.
pub fn writev_soft(socket: RawFd, iovecs: &[libc::iovec], user_data: u64) -> Entry {
    opcode::Writev::new(Fd(socket), iovecs.as_ptr(), iovecs.len() as u32)
        .offset(u64::MAX)
        .rw_flags(libc::RWF_NOWAIT)
        .build()
        .flags(Flags::SKIP_SUCCESS)
        .user_data(user_data)
}

/// As `writev_soft`, all places within one registered buffer.
pub fn writev_fixed_soft(socket: RawFd, iovecs: &[libc::iovec], buffer: u16, user_data: u64) -> Entry {
    opcode::WritevFixed::new(Fd(socket), iovecs.as_ptr(), iovecs.len() as u32, buffer)
        .offset(u64::MAX)
        .rw_flags(libc::RWF_NOWAIT)
        .build()
        .flags(Flags::SKIP_SUCCESS)
        .user_data(user_data)
}

/// Sends from several places, waiting in the kernel for room. The bytes must live until the completion.
pub fn writev(socket: RawFd, iovecs: &[libc::iovec], user_data: u64) -> Entry {
    opcode::Writev::new(Fd(socket), iovecs.as_ptr(), iovecs.len() as u32).offset(u64::MAX).build().user_data(user_data)
}

/// Tells whenever the descriptor becomes readable, until told otherwise.
pub fn poll_readable(fd: RawFd, user_data: u64) -> Entry {
    opcode::PollAdd::new(Fd(fd), libc::POLLIN as u32).multi(true).build().user_data(user_data)
}

/// Completes after `time`, which is read when the operation is submitted.
pub fn timeout(time: &Timespec, user_data: u64) -> Entry {
    opcode::Timeout::new(time).build().user_data(user_data)
}

/// Gives another ring, by its descriptor, a completion with this user data and the result 0.
pub fn message(ring: RawFd, told: u64, user_data: u64) -> Entry {
    opcode::MsgRingData::new(Fd(ring), 0, told, None).build().flags(Flags::SKIP_SUCCESS).user_data(user_data)
}

/// Ends the operation that has `target` as its user data.
pub fn cancel(target: u64, user_data: u64) -> Entry {
    opcode::AsyncCancel2::new(CancelBuilder::user_data(target)).build().flags(Flags::SKIP_SUCCESS).user_data(user_data)
}

/// Closes the descriptor.
pub fn close(fd: RawFd, user_data: u64) -> Entry {
    opcode::Close::new(Fd(fd)).build().flags(Flags::SKIP_SUCCESS).user_data(user_data)
}

/// An iovec over `bytes`. It holds no borrow: the caller keeps the memory valid.
pub fn iovec(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

/// Iovecs over the first `max` of `chunks`, the first one from `offset` on.
pub fn iovecs_of(chunks: &[Bytes], offset: usize, max: usize, out: &mut Vec<libc::iovec>) {
    out.clear();
    let mut skip = offset;
    for chunk in chunks.iter().take(max) {
        out.push(iovec(&chunk[skip..]));
        skip = 0;
    }
}
