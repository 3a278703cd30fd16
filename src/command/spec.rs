//! The specification of a command, written beside its handler as a `static`. What COMMAND INFO and COMMAND DOCS answer
//! is derived from it, and a test compares it with the published facts of Redis 8.

#![forbid(unsafe_code)]

use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::resp::args::Args;

bitflags::bitflags! {
    /// Command flags, under the names COMMAND INFO prints and in its order.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// May modify the keyspace.
        const WRITE = 1 << 0;
        /// Only reads keys.
        const READONLY = 1 << 1;
        /// Refused when memory is short.
        const DENYOOM = 1 << 2;
        /// Implemented by a module.
        const MODULE = 1 << 3;
        /// Administrative.
        const ADMIN = 1 << 4;
        /// Publish/subscribe.
        const PUBSUB = 1 << 5;
        /// Refused in scripts.
        const NOSCRIPT = 1 << 6;
        /// May block the client.
        const BLOCKING = 1 << 7;
        /// Allowed while the data set is loaded.
        const LOADING = 1 << 8;
        /// Allowed on a replica with stale data.
        const STALE = 1 << 9;
        /// Not shown to MONITOR.
        const SKIP_MONITOR = 1 << 10;
        /// Not entered in the slow log.
        const SKIP_SLOWLOG = 1 << 11;
        /// Accepted for a slot that is being imported.
        const ASKING = 1 << 12;
        /// Constant or logarithmic time.
        const FAST = 1 << 13;
        /// Allowed before authentication.
        const NO_AUTH = 1 << 14;
        /// Key arguments are optional (shown by COMMAND INFO as a flag).
        const NO_MANDATORY_KEYS = 1 << 15;
        /// Refused during asynchronous loading.
        const NO_ASYNC_LOADING = 1 << 16;
        /// Refused inside MULTI.
        const NO_MULTI = 1 << 17;
        /// Keys are not at fixed positions.
        const MOVABLEKEYS = 1 << 18;
        /// Allowed while a script is busy.
        const ALLOW_BUSY = 1 << 19;
        /// May be replicated though it is no write (hidden).
        const MAY_REPLICATE = 1 << 24;
        /// Never propagated by itself: reserved for commands that touch no keys (hidden).
        const TOUCHES_ARBITRARY_KEYS = 1 << 25;
        /// The configuration decides who may run it (hidden).
        const GUARDED = 1 << 26;
        /// Shows what clients have in their buffers (hidden).
        const SHOWS_CLIENTS = 1 << 27;
        /// Documented as nothing for clients (hidden).
        const INTERNAL = 1 << 28;
    }
}

impl Flags {
    /// The flags that COMMAND INFO prints.
    pub const SHOWN: Flags = Flags::from_bits_truncate((1 << 24) - 1);
}

bitflags::bitflags! {
    /// ACL categories, in the order COMMAND INFO prints them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Categories: u32 {
        #[allow(missing_docs)] const KEYSPACE = 1 << 0;
        #[allow(missing_docs)] const READ = 1 << 1;
        #[allow(missing_docs)] const WRITE = 1 << 2;
        #[allow(missing_docs)] const SET = 1 << 3;
        #[allow(missing_docs)] const SORTEDSET = 1 << 4;
        #[allow(missing_docs)] const LIST = 1 << 5;
        #[allow(missing_docs)] const HASH = 1 << 6;
        #[allow(missing_docs)] const STRING = 1 << 7;
        #[allow(missing_docs)] const BITMAP = 1 << 8;
        #[allow(missing_docs)] const HYPERLOGLOG = 1 << 9;
        #[allow(missing_docs)] const GEO = 1 << 10;
        #[allow(missing_docs)] const STREAM = 1 << 11;
        #[allow(missing_docs)] const PUBSUB = 1 << 12;
        #[allow(missing_docs)] const ADMIN = 1 << 13;
        #[allow(missing_docs)] const FAST = 1 << 14;
        #[allow(missing_docs)] const SLOW = 1 << 15;
        #[allow(missing_docs)] const BLOCKING = 1 << 16;
        #[allow(missing_docs)] const DANGEROUS = 1 << 17;
        #[allow(missing_docs)] const CONNECTION = 1 << 18;
        #[allow(missing_docs)] const TRANSACTION = 1 << 19;
        #[allow(missing_docs)] const SCRIPTING = 1 << 20;
    }
}

impl Categories {
    /// The category with this name, in any case.
    pub fn by_name(name: &[u8]) -> Option<Categories> {
        let wanted = std::str::from_utf8(name).ok()?.to_ascii_uppercase();
        Categories::from_name(&wanted)
    }
}

bitflags::bitflags! {
    /// What a command does with the keys of one key specification, in COMMAND INFO's order.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct KeyFlags: u16 {
        #[allow(missing_docs)] const RO = 1 << 0;
        #[allow(missing_docs)] const RW = 1 << 1;
        #[allow(missing_docs)] const OW = 1 << 2;
        #[allow(missing_docs)] const RM = 1 << 3;
        #[allow(missing_docs)] const ACCESS = 1 << 4;
        #[allow(missing_docs)] const UPDATE = 1 << 5;
        #[allow(missing_docs)] const INSERT = 1 << 6;
        #[allow(missing_docs)] const DELETE = 1 << 7;
        #[allow(missing_docs)] const NOT_KEY = 1 << 8;
        #[allow(missing_docs)] const INCOMPLETE = 1 << 9;
        #[allow(missing_docs)] const VARIABLE_FLAGS = 1 << 10;
    }
}

/// Where the keys of a specification begin.
#[derive(Clone, Copy, Debug)]
pub enum Begin {
    /// At this argument.
    Index(i32),
    /// After this keyword, searched from this argument (negative: from the end, backwards).
    Keyword(&'static str, i32),
    /// Cannot be described.
    Unknown,
}

/// Which arguments from there on are keys.
#[derive(Clone, Copy, Debug)]
pub enum Find {
    /// Up to `last` (relative; negative: from the end), every `step`-th, only the first 1/`limit` of them (0, 1: all).
    #[allow(missing_docs)]
    Range { last: i32, step: i32, limit: i32 },
    /// A count at `index`, keys from `first` (both relative), every `step`-th.
    #[allow(missing_docs)]
    KeyNum { index: i32, first: i32, step: i32 },
    /// Cannot be described.
    Unknown,
}

/// One key specification.
#[derive(Clone, Copy, Debug)]
pub struct KeySpec {
    /// What happens to the keys.
    pub flags: KeyFlags,
    /// Where they begin.
    pub begin: Begin,
    /// Which they are.
    pub find: Find,
    /// A remark for the reader of COMMAND INFO, in Redis shown as `notes`.
    pub notes: Option<&'static str>,
}

/// The kind of an argument in COMMAND DOCS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub enum ArgKind {
    String,
    Integer,
    Double,
    Key,
    Pattern,
    UnixTime,
    PureToken,
    OneOf,
    Block,
}

/// One node of a command's argument grammar (COMMAND DOCS `arguments`).
#[derive(Clone, Copy, Debug)]
#[allow(missing_docs)]
pub struct ArgSpec {
    pub name: &'static str,
    pub kind: ArgKind,
    pub token: Option<&'static str>,
    pub display_text: Option<&'static str>,
    pub key_spec_index: Option<u8>,
    pub since: Option<&'static str>,
    pub deprecated_since: Option<&'static str>,
    pub optional: bool,
    pub multiple: bool,
    pub multiple_token: bool,
    pub children: &'static [ArgSpec],
}

impl ArgSpec {
    /// A mandatory argument of `kind`.
    pub const fn new(name: &'static str, kind: ArgKind) -> ArgSpec {
        ArgSpec {
            name,
            kind,
            token: None,
            display_text: None,
            key_spec_index: None,
            since: None,
            deprecated_since: None,
            optional: false,
            multiple: false,
            multiple_token: false,
            children: &[],
        }
    }

    /// A key described by key specification `key_spec_index`.
    pub const fn key(name: &'static str, key_spec_index: u8) -> ArgSpec {
        ArgSpec { key_spec_index: Some(key_spec_index), ..ArgSpec::new(name, ArgKind::Key) }
    }

    /// A word that is an argument by itself.
    pub const fn pure_token(name: &'static str, token: &'static str) -> ArgSpec {
        ArgSpec { token: Some(token), ..ArgSpec::new(name, ArgKind::PureToken) }
    }

    /// Preceded by this word.
    pub const fn token(self, token: &'static str) -> ArgSpec {
        ArgSpec { token: Some(token), ..self }
    }

    /// Shown under another name.
    pub const fn display_text(self, text: &'static str) -> ArgSpec {
        ArgSpec { display_text: Some(text), ..self }
    }

    /// First version that had it, where that is later than the command's.
    pub const fn since(self, version: &'static str) -> ArgSpec {
        ArgSpec { since: Some(version), ..self }
    }

    /// Version that deprecated it.
    pub const fn deprecated_since(self, version: &'static str) -> ArgSpec {
        ArgSpec { deprecated_since: Some(version), ..self }
    }

    /// May be left out.
    pub const fn optional(self) -> ArgSpec {
        ArgSpec { optional: true, ..self }
    }

    /// May be repeated.
    pub const fn multiple(self) -> ArgSpec {
        ArgSpec { multiple: true, ..self }
    }

    /// Its word is repeated with it.
    pub const fn multiple_token(self) -> ArgSpec {
        ArgSpec { multiple_token: true, ..self }
    }

    /// Alternatives of a `OneOf`, parts of a `Block`.
    pub const fn children(self, children: &'static [ArgSpec]) -> ArgSpec {
        ArgSpec { children, ..self }
    }
}

/// A handler: reads its arguments, works on the context, and writes exactly one reply, or returns the error to reply.
pub type Handler = fn(&mut Context<'_>, Args<'_>) -> Result<(), CommandError>;

/// One key of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FoundKey {
    /// Which argument it is.
    pub index: usize,
    /// What the command does with it.
    pub flags: KeyFlags,
}

/// Appends the keys; for commands whose keys, or what happens to them, no specification can describe exactly. The
/// arity has been checked.
pub type KeyFinder = fn(Args<'_>, &mut Vec<FoundKey>) -> Result<(), CommandError>;

/// Which arguments of a command name channels, as far as permissions go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChannelArgs {
    /// None of them.
    None,
    /// The first one.
    First,
    /// All of them.
    All,
    /// All of them, and they are patterns.
    Patterns,
}

/// A command or subcommand.
pub struct Command {
    /// Lower-case name: `get`, or for a subcommand its own word, `list`.
    pub name: &'static str,
    /// Name with its container: `get`, `client|list`.
    pub full_name: &'static str,
    /// One sentence for COMMAND DOCS, our own words.
    pub summary: &'static str,
    /// First version that had it.
    pub since: &'static str,
    /// Group, as COMMAND DOCS prints it.
    pub group: &'static str,
    /// Running time.
    pub complexity: &'static str,
    /// Exact number of arguments (name included), or negative: at least that many.
    pub arity: i32,
    /// Command flags.
    pub flags: Flags,
    /// ACL categories, all of them (derived ones too: fast or slow, read, write, ...).
    pub categories: Categories,
    /// Hints for clients.
    pub tips: &'static [&'static str],
    /// Key specifications.
    pub key_specs: &'static [KeySpec],
    /// Finds keys where `key_specs` cannot.
    pub key_finder: Option<KeyFinder>,
    /// Which arguments are channels.
    pub channel_args: ChannelArgs,
    /// Version that deprecated it and what replaces it, in words.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// (version, what changed), for COMMAND DOCS.
    pub history: &'static [(&'static str, &'static str)],
    /// Argument grammar.
    pub args: &'static [ArgSpec],
    /// Subcommands of a container.
    pub subcommands: &'static [&'static Command],
    /// Runs it. None only for a pure container.
    pub handler: Option<Handler>,
    /// Argument that is looked for among the members or fields of the first key's value, as a rule; 0 for none. Where that
    /// is a big table, what it takes to find it is brought near before the command runs.
    pub member_arg: u8,
}

impl Command {
    /// Every field that most commands leave alone; used as `..Command::BLANK`.
    pub const BLANK: Command = Command {
        name: "",
        full_name: "",
        summary: "",
        since: "",
        group: "",
        complexity: "",
        arity: 0,
        flags: Flags::empty(),
        categories: Categories::empty(),
        tips: &[],
        key_specs: &[],
        key_finder: None,
        channel_args: ChannelArgs::None,
        deprecated: None,
        history: &[],
        args: &[],
        subcommands: &[],
        handler: None,
        member_arg: 0,
    };

    /// Whether `count` arguments (the name included) are acceptable.
    #[inline]
    pub fn accepts(&self, count: usize) -> bool {
        if self.arity >= 0 { count == self.arity as usize } else { count >= self.arity.unsigned_abs() as usize }
    }
}
