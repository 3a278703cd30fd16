//! Memory layouts without command knowledge. `entry` is an unsafe room.

mod buckets;
pub mod entry;
pub mod fields;
pub mod intset;
pub mod listpack;
pub mod members;
pub mod old_packs;
pub mod ordered;
pub mod quicklist;
pub mod rdb;
pub mod slots;
pub mod table;
