//! HOT PATH. From the kernel's completions to the server's, one function for each operation. Unsafe room with `ring`: what
//! a receive brought into own memory counts as written from here on.

use std::os::fd::RawFd;

use io_uring::cqueue;

use super::user_data::{Op, conn_of};
use super::{RingIo, RingWaker, State};
use crate::io::{Completion, ConnId, Errno, Io, ListenerId, Received, RecvEnd};
use crate::uring::operation;

impl RingIo {
    /// Turns one completion into what the server understands.
    #[inline]
    pub(super) fn deliver(&mut self, completion: &cqueue::Entry, out: &mut Vec<Completion>) {
        let (user_data, result, flags) = (completion.user_data(), completion.result(), completion.flags());
        match Op::of(user_data) {
            Op::Recv => self.deliver_recv(conn_of(user_data), result, flags, out),
            Op::SoftSend => self.deliver_short(conn_of(user_data), result, out),
            Op::Send => self.deliver_sent(conn_of(user_data), result, out),
            Op::RecvInto => self.deliver_into(conn_of(user_data), result, out),
            Op::Accept => self.deliver_accept(user_data as u32, result, flags, out),
            Op::Watch => self.deliver_watch(user_data as u32, result, flags, out),
            Op::Timer => self.timer_due_us = i64::MAX,
            Op::Woken => out.push(Completion::Woken),
            Op::Wake => self.wake_failed(user_data as u32 as i32, result),
            Op::Quiet => {}
        }
    }

    #[inline]
    fn deliver_recv(&mut self, conn: ConnId, result: i32, flags: u32, out: &mut Vec<Completion>) {
        let received = match cqueue::buffer_select(flags) {
            Some(buffer) if result > 0 => {
                let start = self.buffers.filled(buffer, result as usize);
                if !(self.buffers.incremental() && cqueue::buffer_more(flags)) {
                    self.exhausted.push(buffer);
                }
                Some(Received { buffer, start: start as u32, len: result as u32 })
            }
            Some(buffer) => {
                if !(self.buffers.incremental() && cqueue::buffer_more(flags)) {
                    self.exhausted.push(buffer);
                }
                None
            }
            None => None,
        };
        let slot = &mut self.slots[conn.slot as usize];
        debug_assert_eq!(slot.generation, conn.generation, "a slot is reused only when nothing is in flight");
        let closing = slot.state == State::Closing;
        if let Some(bytes) = received
            && !closing
        {
            out.push(Completion::Received { conn, bytes });
        }
        if cqueue::more(flags) {
            return;
        }
        slot.recv_armed = false;
        slot.in_flight -= 1;
        if closing {
            self.close_if_done(conn.slot);
            return;
        }
        let end = match result {
            0 => RecvEnd::Eof,
            1.. => {
                self.stats.rearms_recv += 1;
                RecvEnd::Rearm
            }
            error if error == -libc::ENOBUFS => {
                self.stats.starved += 1;
                self.stats.rearms_recv += 1;
                RecvEnd::Rearm
            }
            error if error == -libc::EINTR || error == -libc::EAGAIN => RecvEnd::Rearm,
            error if error == -libc::ECANCELED => RecvEnd::Stopped,
            error => RecvEnd::Failed(Errno(-error)),
        };
        out.push(Completion::RecvEnded { conn, end });
    }

    #[cold]
    fn deliver_short(&mut self, conn: ConnId, result: i32, out: &mut Vec<Completion>) {
        if self.slot(conn).is_none() {
            return;
        }
        self.stats.sends_short += 1;
        let sent = match result {
            0.. => Ok(result as usize),
            error if error == -libc::EAGAIN || error == -libc::EINTR || error == -libc::ENOBUFS => Ok(0),
            error => Err(Errno(-error)),
        };
        out.push(Completion::SendShort { conn, sent });
    }

    #[cold]
    fn deliver_sent(&mut self, conn: ConnId, result: i32, out: &mut Vec<Completion>) {
        let slot = &mut self.slots[conn.slot as usize];
        slot.in_flight -= 1;
        slot.sending = false;
        let chunks = slot.held.as_mut().map(|held| std::mem::take(&mut held.chunks)).unwrap_or_default();
        if slot.state == State::Closing {
            self.close_if_done(conn.slot);
            return;
        }
        let sent = match result {
            0.. => Ok(result as usize),
            error if error == -libc::EAGAIN || error == -libc::EINTR => Ok(0),
            error => Err(Errno(-error)),
        };
        out.push(Completion::Sent { conn, chunks, sent });
    }

    #[cold]
    fn deliver_into(&mut self, conn: ConnId, result: i32, out: &mut Vec<Completion>) {
        let slot = &mut self.slots[conn.slot as usize];
        slot.in_flight -= 1;
        slot.into_armed = false;
        let mut bytes = slot.held.as_mut().map(|held| std::mem::take(&mut held.into)).unwrap_or_default();
        if slot.state == State::Closing {
            self.close_if_done(conn.slot);
            return;
        }
        let end = match result {
            1.. => {
                let len = bytes.len() + result as usize;
                assert!(len <= bytes.capacity(), "the kernel received no more than asked for");
                // SAFETY: the kernel wrote `result` bytes behind the old end, within the capacity.
                unsafe { bytes.set_len(len) };
                None
            }
            0 => Some(RecvEnd::Eof),
            error if error == -libc::EAGAIN || error == -libc::EINTR => Some(RecvEnd::Rearm),
            error => Some(RecvEnd::Failed(Errno(-error))),
        };
        out.push(Completion::ReceivedInto { conn, bytes, end });
    }

    #[cold]
    fn deliver_accept(&mut self, listener: u32, result: i32, flags: u32, out: &mut Vec<Completion>) {
        if result >= 0 {
            let conn = self.insert(result);
            if self.listeners[listener as usize].socket.is_none() {
                self.close(conn);
            } else {
                out.push(Completion::Accepted { listener: ListenerId(listener), conn });
            }
        }
        if !cqueue::more(flags) && self.listeners[listener as usize].socket.is_some() {
            let error = (result < 0).then_some(Errno(-result));
            out.push(Completion::AcceptEnded { listener: ListenerId(listener), error });
        }
    }

    /// A message was not delivered. Where the kernel had no memory for it, it is sent once more; otherwise the other ring is
    /// gone, and its descriptor perhaps something else.
    #[cold]
    fn wake_failed(&mut self, ring: RawFd, result: i32) {
        if matches!(-result, libc::ENOMEM | libc::EAGAIN | libc::EINTR | libc::EOVERFLOW) {
            self.wake(&RingWaker(ring));
        }
    }

    #[cold]
    fn deliver_watch(&mut self, index: u32, result: i32, flags: u32, out: &mut Vec<Completion>) {
        let (fd, token) = self.watched[index as usize];
        if result >= 0 {
            out.push(Completion::Readable { token });
        }
        // Not after an error: it would come again and again.
        if result >= 0 && !cqueue::more(flags) {
            self.push(operation::poll_readable(fd, Op::Watch.alone(index)));
        }
    }
}
