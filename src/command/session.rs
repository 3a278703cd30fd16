//! A client as the engine sees it: database, protocol, flags, transaction, names. Lives on the main thread and never
//! touches a socket; what the network layer knows of the same client is mirrored in `NetFacts` when it changes.

#![forbid(unsafe_code)]

use std::sync::Arc;

use crate::acl::{User, UserId};
use crate::command::client_memory::Accounted;
use crate::command::prepared::Prepared;
use crate::command::reply_buffer::{OutputFigures, ReplyBuffer};
use crate::command::spec::Command;
use crate::config::special::{OutputLimit, OutputLimits};
use crate::resp::args::OwnedArgs;
use crate::resp::reply::{Mark, Protocol};

/// Name of the user that a client is before it logs in.
const DEFAULT_USER_NAME: &[u8] = b"default";

/// A client's number: counts from 1 and is never used again.
pub type ClientId = u64;

/// Where a client's session lies: the same index that the network layer uses. Reused after the client is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(pub u32);

impl Slot {
    /// As an index.
    #[inline]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

bitflags::bitflags! {
    /// Client flags with an observable effect. Empty on the fast path, but for `AUTHENTICATED`.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct SessionFlags: u32 {
        /// May run commands that need authentication.
        const AUTHENTICATED = 1 << 0;
        /// Inside MULTI: commands are queued.
        const MULTI = 1 << 1;
        /// A watched key changed: EXEC answers null.
        const DIRTY_CAS = 1 << 2;
        /// A queued command was refused: EXEC answers EXECABORT.
        const DIRTY_EXEC = 1 << 3;
        /// Nothing more is parsed or appended; closed once its output is written.
        const CLOSE_AFTER_REPLY = 1 << 4;
        /// To be closed as soon as the current command is over, without writing anything more.
        const CLOSE_ASAP = 1 << 5;
        /// Connected through the Unix socket.
        const UNIX_SOCKET = 1 << 6;
        /// Executing the commands of a transaction right now.
        const IN_EXEC = 1 << 7;
        /// Sees every command that is executed (MONITOR).
        const MONITOR = 1 << 8;
        /// Waits for something: nothing of it is executed.
        const BLOCKED = 1 << 9;
        /// Blocked before its command ran: the command is executed again once the client is unblocked.
        const POSTPONED = 1 << 10;
        /// Gets no replies (CLIENT REPLY OFF).
        const REPLY_OFF = 1 << 11;
        /// Gets no reply to the next command.
        const REPLY_SKIP_NEXT = 1 << 12;
        /// Gets no reply to the current command.
        const REPLY_SKIP = 1 << 13;
        /// Is not closed to free memory.
        const NO_EVICT = 1 << 14;
        /// Reading a key leaves its age as it is, TOUCH excepted.
        const NO_TOUCH = 1 << 15;
        /// Is told when keys change that it may have cached.
        const TRACKING = 1 << 16;
        /// The client that is told in its place is gone.
        const TRACKING_BROKEN_REDIR = 1 << 17;
        /// Told of all keys with its prefixes.
        const TRACKING_BCAST = 1 << 18;
        /// Told of keys that it read behind CLIENT CACHING YES.
        const TRACKING_OPTIN = 1 << 19;
        /// Told of keys but those that it read behind CLIENT CACHING NO.
        const TRACKING_OPTOUT = 1 << 20;
        /// CLIENT CACHING: for the next command.
        const TRACKING_CACHING = 1 << 21;
        /// Not told of what it changed itself.
        const TRACKING_NOLOOP = 1 << 22;
        /// Its user may not do everything: each request is checked.
        const RESTRICTED = 1 << 23;
        /// Listens to a channel, a pattern or a shard channel.
        const PUBSUB = 1 << 24;
    }
}

impl SessionFlags {
    /// How keys are tracked.
    pub const TRACKING_MODES: SessionFlags = SessionFlags::TRACKING_BCAST
        .union(SessionFlags::TRACKING_OPTIN)
        .union(SessionFlags::TRACKING_OPTOUT)
        .union(SessionFlags::TRACKING_CACHING)
        .union(SessionFlags::TRACKING_NOLOOP)
        .union(SessionFlags::TRACKING_BROKEN_REDIR);

    /// Replies are not sent.
    pub const MUTED: SessionFlags = SessionFlags::REPLY_OFF.union(SessionFlags::REPLY_SKIP);

    /// Flags that no gate asks for. Clients that track do pass the gates: whoever tracks makes everybody do so.
    const UNGATED: SessionFlags = SessionFlags::UNIX_SOCKET
        .union(SessionFlags::DIRTY_CAS)
        .union(SessionFlags::MONITOR)
        .union(SessionFlags::NO_EVICT);

    /// Whether a request needs no gate: the client is authenticated, in no transaction and not being closed.
    #[inline]
    pub fn is_plain(self) -> bool {
        self.bits() & !SessionFlags::UNGATED.bits() == SessionFlags::AUTHENTICATED.bits()
    }
}

/// What the network layer tells of a client. Its figures are as they were when the server last looked: it does so for
/// commands that show them, for the log, and where `maxmemory-clients` counts them.
#[derive(Clone, Debug, Default)]
pub struct NetFacts {
    /// Descriptor number, -1 for none.
    pub fd: i32,
    /// Peer address as CLIENT LIST prints it.
    pub addr: Box<str>,
    /// Local address.
    pub laddr: Box<str>,
    /// The I/O thread that reads and writes it, 0 for the main thread.
    pub io_thread: usize,
    /// Bytes that the network layer keeps for the client itself, buffers not counted.
    pub own_bytes: usize,
    /// Bytes of an unfinished command in the private query buffer.
    pub qbuf: usize,
    /// Free bytes of that buffer.
    pub qbuf_free: usize,
    /// Bytes of parsed arguments of an unfinished command.
    pub argv_mem: usize,
    /// Bytes that its encryption occupies.
    pub tls_mem: usize,
    /// How many those are.
    pub arguments: usize,
    /// Bytes of the reception that the running request came with.
    pub received: usize,
    /// Where its reply begins.
    pub reply_start: Option<Mark>,
    /// Output that was not taken by the socket yet, without that reply.
    pub output: OutputFigures,
    /// Some of it was refused by the socket: the client reads slowly.
    pub reads_slowly: bool,
    /// How large a buffer its replies fill.
    pub reply_buffer: ReplyBuffer,
}

/// The classes of clients that limits and filters name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientClass {
    /// Everybody else.
    Normal,
    /// A replica.
    Replica,
    /// Listens to something.
    Pubsub,
}

/// A transaction between MULTI and EXEC.
#[derive(Default)]
pub struct Transaction {
    /// Queued commands in order. Empty while EXEC runs them.
    pub queue: Vec<(Prepared, OwnedArgs)>,
    /// How many were queued.
    pub queued: usize,
    /// Bytes of all their arguments.
    pub argument_bytes: usize,
    /// How many arguments those are.
    pub arguments: usize,
}

/// What a client that tracks asked for beside flags.
#[derive(Default)]
pub struct TrackingFacts {
    /// Who is told in its place; 0 for nobody.
    pub redirect: ClientId,
    /// Prefixes of the broadcasting way, in order.
    pub prefixes: Vec<Box<[u8]>>,
}

/// One client's session.
pub struct Session {
    /// Unique number.
    pub id: ClientId,
    /// Where it lies in the table of sessions.
    pub slot: Slot,
    /// State.
    pub flags: SessionFlags,
    /// As whom it is logged in.
    pub user: UserId,
    /// That user's name.
    pub user_name: Arc<[u8]>,
    /// Selected database.
    pub db: usize,
    /// Reply encoding.
    pub protocol: Protocol,
    /// How many keys are watched.
    pub watched: u32,
    /// CLIENT SETNAME.
    pub name: Option<Box<[u8]>>,
    /// CLIENT SETINFO lib-name.
    pub lib_name: Option<Box<[u8]>>,
    /// CLIENT SETINFO lib-ver.
    pub lib_ver: Option<Box<[u8]>>,
    /// Unix seconds of connecting.
    pub created_s: i64,
    /// Unix seconds of the last command or write.
    pub last_interaction_s: i64,
    /// The last command that was looked up.
    pub last_command: Option<&'static Command>,
    /// Open transaction.
    pub transaction: Option<Box<Transaction>>,
    /// The request that waits, while it does; none while a pause makes it wait.
    pub waiting_command: Option<Box<OwnedArgs>>,
    /// CLIENT TRACKING, while it is on.
    pub tracking: Option<Box<TrackingFacts>>,
    /// How many channels, patterns and shard channels it listens to.
    pub subscribed: [u32; 3],
    /// What the network layer knows.
    pub net: NetFacts,
    /// Its place among those that `maxmemory-clients` counts.
    pub accounted: Accounted,
}

impl Session {
    /// The session of a client that has just connected.
    pub fn new(id: ClientId, slot: Slot, now_s: i64, net: NetFacts) -> Session {
        Session {
            id,
            slot,
            flags: SessionFlags::empty(),
            user: UserId::DEFAULT,
            user_name: DEFAULT_USER_NAME.into(),
            db: 0,
            protocol: Protocol::Resp2,
            watched: 0,
            name: None,
            lib_name: None,
            lib_ver: None,
            created_s: now_s,
            last_interaction_s: now_s,
            last_command: None,
            transaction: None,
            waiting_command: None,
            tracking: None,
            subscribed: [0; 3],
            net,
            accounted: Accounted::default(),
        }
    }

    /// It is logged in as `user` from now on, or `user` has changed.
    pub fn set_user(&mut self, id: UserId, user: &User) {
        self.user = id;
        self.user_name = Arc::clone(user.name());
        self.flags.set(SessionFlags::RESTRICTED, !user.is_unrestricted());
    }

    /// Whether it has proved who it is, or did not have to.
    #[inline]
    pub fn is_authenticated(&self) -> bool {
        self.flags.contains(SessionFlags::AUTHENTICATED)
    }

    /// Whether the client is on this machine, as far as protected commands and parameters are concerned.
    pub fn is_local(&self) -> bool {
        let addr = &self.net.addr;
        self.flags.contains(SessionFlags::UNIX_SOCKET) || addr.starts_with("127.") || addr.starts_with("[::1]:")
    }

    /// Which limit of its output it is under, and which filter shows it.
    pub fn class(&self) -> ClientClass {
        if self.flags.contains(SessionFlags::PUBSUB) { ClientClass::Pubsub } else { ClientClass::Normal }
    }

    /// That limit.
    pub fn output_limit(&self, limits: &OutputLimits) -> OutputLimit {
        match self.class() {
            ClientClass::Normal => limits.normal,
            ClientClass::Replica => limits.replica,
            ClientClass::Pubsub => limits.pubsub,
        }
    }

    /// Whether commands are queued.
    #[inline]
    pub fn in_multi(&self) -> bool {
        self.flags.contains(SessionFlags::MULTI)
    }

    /// Whether it is blocked.
    #[inline]
    pub fn is_blocked(&self) -> bool {
        self.flags.contains(SessionFlags::BLOCKED)
    }

    /// Whether it speaks the old protocol and listens to something: it may do little else then.
    #[inline]
    pub fn only_listens(&self) -> bool {
        self.flags.contains(SessionFlags::PUBSUB) && self.protocol == Protocol::Resp2
    }

    /// A command begins: CLIENT REPLY SKIP was about it if it came right before.
    pub fn begin_reply_skip(&mut self) {
        if self.flags.contains(SessionFlags::REPLY_SKIP_NEXT) {
            self.flags.remove(SessionFlags::REPLY_SKIP_NEXT);
            self.flags.insert(SessionFlags::REPLY_SKIP);
        }
    }

    /// A command is over, and so is what CLIENT REPLY SKIP said about it.
    pub fn end_reply_skip(&mut self) {
        self.flags.remove(SessionFlags::REPLY_SKIP);
    }

    /// Whether commands may not block here: they do as if their time were over.
    #[inline]
    pub fn denies_blocking(&self) -> bool {
        self.flags.contains(SessionFlags::IN_EXEC)
    }

    /// A command was refused: EXEC will abort, if there is a transaction.
    pub fn spoil_transaction(&mut self) {
        if self.in_multi() {
            self.flags.insert(SessionFlags::DIRTY_EXEC);
        }
    }
}
