//! Small pure parts named for what they hold: number text, quoting, glob, hashing, clock, random numbers.

#![forbid(unsafe_code)]

pub mod clock;
pub mod float;
pub mod glob;
pub mod integer;
pub mod long_double;
pub mod quoting;
pub mod rng;
pub mod siphash;
