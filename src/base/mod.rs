//! Small pure helpers named for what they hold: number text, glob, hashing, clock, random numbers.

pub mod rng;
pub mod siphash;
