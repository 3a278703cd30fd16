//! Memory layouts without command knowledge. Unsafe room.

pub mod entry;
pub mod table;
