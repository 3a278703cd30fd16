//! Listening and connected sockets: TCP and Unix.

#![forbid(unsafe_code)]

pub mod plain;
