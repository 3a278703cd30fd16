//! Memory layouts without command knowledge. `entry` is an unsafe room.

mod buckets;
pub mod entry;
pub mod fields;
mod folded;
pub mod intset;
mod list_node;
pub mod listpack;
pub mod members;
mod node_pack;
pub mod old_packs;
pub mod ordered;
pub mod packed;
mod packed_mut;
pub mod quicklist;
pub mod rdb;
pub mod slots;
pub mod table;
