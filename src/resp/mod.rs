//! The Redis protocol as bytes: requests in (RESP and inline), replies out (RESP2 and RESP3). No sockets here.

#![forbid(unsafe_code)]

pub mod args;
pub mod decode;
pub mod parse;
pub mod reply;
