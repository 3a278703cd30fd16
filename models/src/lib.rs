//! The package's own code, built with loom's atomics.

#[path = "../../src/handoff/mod.rs"]
pub mod handoff;
