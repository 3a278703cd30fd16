//! torc-server: arguments to configuration to a running server.
fn main() {}
