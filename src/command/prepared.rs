//! A request whose command is known but not run: what can be computed before the session matters, so that a batch of
//! requests can be looked up, hashed and prefetched first and executed after.

#![forbid(unsafe_code)]

use crate::base::equality::same;
use crate::command::registry::{CommandId, Registry};
use crate::command::spec::Command;
use crate::keyspace::{KeyHasher, Keyspace};
use crate::resp::args::Args;

/// What the lookup found out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The command exists and takes this many arguments.
    Run,
    /// The same, but the configuration decides who may.
    Guarded,
    /// It runs too, and shows what clients have in their buffers: the server brings that up to date first.
    Shows,
    /// No such command.
    Unknown,
    /// The container has no such subcommand.
    UnknownSubcommand,
    /// The command does not take this many arguments.
    WrongArity,
    /// A word of HTTP: somebody makes a browser talk to us. The connection is closed without an answer.
    CrossProtocol,
}

/// A request that was looked up.
#[derive(Clone, Copy)]
pub struct Prepared {
    /// The command, or the container of an unknown subcommand.
    pub command: Option<&'static Command>,
    /// Hash of the first key, 0 without one.
    pub hash: u64,
    /// Index of the command's statistics.
    pub id: CommandId,
    /// Argument that is the first key; 0 for none.
    pub first_key: u16,
    /// What the lookup found.
    pub verdict: Verdict,
    /// Argument that is looked for in the value at the first key; 0 for none.
    pub member_arg: u8,
}

const _: () = assert!(size_of::<Prepared>() == 24);

impl Prepared {
    /// A request that is not looked up yet.
    pub const BLANK: Prepared =
        Prepared { command: None, hash: 0, id: CommandId(0), first_key: 0, verdict: Verdict::Unknown, member_arg: 0 };

    pub(crate) fn refused(verdict: Verdict) -> Prepared {
        Prepared { command: None, hash: 0, id: CommandId(0), first_key: 0, verdict, member_arg: 0 }
    }

    #[inline]
    pub(crate) fn found(command: &'static Command, id: CommandId, verdict: Verdict) -> Prepared {
        Prepared { command: Some(command), hash: 0, id, first_key: 0, verdict, member_arg: 0 }
    }
}

/// Looks up the command of a request and hashes its first key.
#[inline]
pub(crate) fn look_up(registry: &Registry, hasher: KeyHasher, args: Args<'_>) -> Prepared {
    let mut prepared = registry.resolve(args);
    let first_key = usize::from(prepared.first_key);
    if first_key != 0 && first_key < args.len() {
        prepared.hash = hasher.hash_key(args.get(first_key));
    }
    prepared
}

/// The same for a request behind another one, of which this was found: that is so of this one too, but for the key, where it
/// is of the same command and as long. Most in a pipeline are. Only where the first argument is a key, and so no subcommand.
#[inline]
pub(crate) fn look_up_behind(
    registry: &Registry,
    hasher: KeyHasher,
    args: Args<'_>,
    before: Option<(Args<'_>, Prepared)>,
) -> Prepared {
    match before {
        Some((other, found))
            if found.first_key == 1 && other.len() == args.len() && same(other.get(0), args.get(0)) =>
        {
            let key = args.get(1);
            let hash = if same(other.get(1), key) { found.hash } else { hasher.hash_key(key) };
            Prepared { hash, ..found }
        }
        _ => look_up(registry, hasher, args),
    }
}

/// What looking requests up takes, for threads that do not see the state.
pub struct Lookup {
    registry: Registry,
    hasher: KeyHasher,
}

impl Lookup {
    /// For requests to a server with these commands and these keys.
    pub fn new(registry: &Registry, keyspace: &Keyspace) -> Lookup {
        Lookup { registry: registry.clone(), hasher: keyspace.hasher() }
    }

    /// Looks up the command of a request and hashes its first key.
    #[inline]
    pub fn prepare(&self, args: Args<'_>) -> Prepared {
        look_up(&self.registry, self.hasher, args)
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let name = self.command.map_or("?", |command| command.full_name);
        write!(out, "Prepared({name}, {:?})", self.verdict)
    }
}
