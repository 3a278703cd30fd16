//! The ring: set-up, probing, operations, registered buffers. Unsafe room.
