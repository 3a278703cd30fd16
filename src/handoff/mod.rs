//! What passes between two threads that never wait for each other: a bounded queue of one sender and one receiver, and
//! the bell that decides who has to wake a thread that sleeps. Knows nothing of what it carries, nor of how a thread is
//! woken.
//!
//! ```text
//!   one side                                  the other
//!   push ──> queue ──> ...                    pop until empty
//!   should_ring? yes: wake it                 lie_down; queue still empty? sleep
//!                                             get_up
//! ```
//!
//! Each side first writes (a place of the queue; that it lies down), then reads what the other writes. The fences in
//! between make it impossible that both read too early, so nothing is left in a queue beside a thread that sleeps.
//! `models/` runs this code through every interleaving.

#![deny(unsafe_code)]

mod atomics;
mod bell;
#[allow(unsafe_code)]
mod channel;

pub use bell::{Ringer, Sleeper, bell};
pub use channel::{Receiver, Sender, channel};
