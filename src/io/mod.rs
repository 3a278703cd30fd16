//! The Io boundary: what the server asks of the kernel and what comes back.
