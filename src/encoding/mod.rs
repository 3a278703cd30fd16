//! Memory layouts without command knowledge. `entry` is an unsafe room.

pub mod entry;
pub mod rdb;
pub mod table;
