//! Tests of the built server that are run over epoll as well: everything about connections. The harness tells by this
//! crate's name which back end to ask for; `TORC_TEST_BACKEND=epoll` does so for every test.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]
#![allow(clippy::duplicate_mod, reason = "each file brings the harness along, as it does when it stands alone")]

#[path = "../bursts.rs"]
mod bursts;
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
fn it_is_epoll_that_serves() {
    let server = harness::Server::start();
    if harness::is_torc() {
        assert_eq!(server.info("server", "multiplexing_api"), "epoll");
    }
}
