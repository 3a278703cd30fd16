//! HOT PATH. What a submission carries to its completion: `operation (8 bits) | generation (24) | slot (32)`, never a pointer.

#![forbid(unsafe_code)]

use crate::io::{ConnId, GENERATION_MASK};

/// What a completion belongs to; the top byte of `user_data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Op {
    Accept = 1,
    Recv = 2,
    RecvInto = 3,
    SoftSend = 4,
    Send = 5,
    Watch = 6,
    /// Cancels and closes: nobody waits for them.
    Quiet = 7,
    /// Ends a wait.
    Timer = 8,
    /// A message to another ring, whose descriptor stands in the place of the slot.
    Wake = 9,
    /// A message from another ring.
    Woken = 10,
}

impl Op {
    pub(super) fn of(user_data: u64) -> Op {
        match user_data >> 56 {
            1 => Op::Accept,
            2 => Op::Recv,
            3 => Op::RecvInto,
            4 => Op::SoftSend,
            5 => Op::Send,
            6 => Op::Watch,
            8 => Op::Timer,
            9 => Op::Wake,
            10 => Op::Woken,
            _ => Op::Quiet,
        }
    }

    #[inline]
    pub(super) fn on(self, conn: ConnId) -> u64 {
        (self as u64) << 56 | u64::from(conn.generation) << 32 | u64::from(conn.slot)
    }

    pub(super) fn alone(self, number: u32) -> u64 {
        (self as u64) << 56 | u64::from(number)
    }
}

#[inline]
pub(super) fn conn_of(user_data: u64) -> ConnId {
    ConnId { slot: user_data as u32, generation: (user_data >> 32) as u32 & GENERATION_MASK }
}
