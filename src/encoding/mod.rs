//! Memory layouts without command knowledge. Unsafe room.
