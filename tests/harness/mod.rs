//! What every integration test stands on: a server process of its own and a raw RESP client.
//!
//! Runs in the test process, in any test thread. It must not know Torc's code: the tests drive a built binary over real
//! sockets, and the same tests run against another server when `TORC_TEST_SERVER` names its binary.

#![allow(dead_code, unused_imports, reason = "every test file uses its own part of the harness")]

mod authority;
mod client;
mod pace;
mod random;
mod server;
mod transcript;
mod value;

pub(crate) use authority::{Authority, BOTH_VERSIONS, Identity};
pub(crate) use client::Client;
pub(crate) use pace::{TIMEOUT, eventually, skip};
pub(crate) use random::Random;
pub(crate) use server::{
    Builder, Server, allow_descriptors, backend_args, binary, free_port, is_torc, kill, wait_for_exit,
};
pub(crate) use transcript::{play, play_on, split_line};
pub(crate) use value::Value;
