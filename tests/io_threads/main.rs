//! Tests of the built server that are run with I/O threads as well: everything about connections and what they take. The
//! harness tells by this crate's name to have threads that are always in use; `TORC_TEST_IO_THREADS=3` does so for every
//! test.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]
#![allow(clippy::duplicate_mod, reason = "each file brings the harness along, as it does when it stands alone")]

#[path = "../bursts.rs"]
mod bursts;
#[path = "../client_memory.rs"]
mod client_memory;
#[path = "../clients.rs"]
mod clients;
#[path = "../connections.rs"]
mod connections;
#[path = "../harness/mod.rs"]
mod harness;
#[path = "../lifecycle.rs"]
mod lifecycle;
#[path = "../protocol.rs"]
mod protocol;
#[path = "../pubsub.rs"]
mod pubsub;
#[path = "../tls.rs"]
mod tls;

#[test]
fn clients_live_on_threads() {
    let server = harness::Server::start();
    if harness::is_torc() {
        assert_eq!(server.info("server", "io_threads_active"), "1");
    }
}
