//! Listening sockets, one file per kind of transport. What is accepted on them belongs to the Io boundary; what TLS makes
//! of its bytes is in `tls`.

#![forbid(unsafe_code)]

pub mod plain;
pub mod tls;
