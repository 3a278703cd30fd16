//! torc-bench: load generator on io_uring.
fn main() {}
