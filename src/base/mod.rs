//! Small pure parts named for what they hold: number text, quoting, glob, hashing, places, sorting, equality,
//! copying, checksums, compression, bits, clock, random numbers.

#![forbid(unsafe_code)]

pub mod bits;
pub mod clock;
pub mod copy;
pub mod crc64;
pub mod equality;
pub mod float;
pub mod geohash;
pub mod glob;
pub mod integer;
pub mod long_double;
pub mod lzf;
pub mod murmur;
pub mod partial_sort;
pub mod quoting;
pub mod rng;
pub mod sha1;
pub mod siphash;
