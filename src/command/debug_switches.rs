//! What DEBUG switches off for tests. Main thread.

#![forbid(unsafe_code)]

use crate::command::reply_buffer::ReplyBufferRules;

/// All off in a server that nobody tests.
#[derive(Clone, Copy, Debug, Default)]
pub struct DebugSwitches {
    /// Keys expire only when somebody comes upon them.
    pub active_expire_off: bool,
    /// Nothing is done from time to time.
    pub cron_paused: bool,
    /// Payloads of RESTORE are taken whatever their checksum is.
    pub checksum_skipped: bool,
    /// Tables of databases keep their size between changes.
    pub resizing_off: bool,
    /// Bytes from which on elements of lists get nodes of their own; 0: as usual.
    pub list_large_min: u32,
    /// How the reply buffers of clients follow their replies.
    pub reply_buffer: ReplyBufferRules,
}
