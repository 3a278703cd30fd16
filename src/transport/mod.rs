//! Listening sockets, one file per kind of transport. What is accepted on them belongs to the Io boundary.

#![forbid(unsafe_code)]

pub mod plain;
