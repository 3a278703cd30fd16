//! HOT PATH. Finds a command by the name a client sent: no allocation, a handful of nanoseconds. Built once at start
//! from the list of commands; runs on the main thread and, being read only, on any other.
//!
//! Names are compared as up to four 64-bit words that were lowered exactly (only `A`-`Z` change), so one compare decides
//! names of up to eight bytes.

#![forbid(unsafe_code)]

use crate::command::prepared::{Prepared, Verdict};
use crate::command::spec::{Begin, Command, Find, Flags};
use crate::resp::args::Args;

/// Longest command name that is looked up, in bytes.
const NAME_MAX: usize = 32;

/// Dense number of a command or subcommand: the index of its statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CommandId(pub u16);

impl CommandId {
    /// As an index.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A lowered name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct NameKey {
    words: [u64; 4],
    len: u8,
}

impl NameKey {
    fn of(name: &[u8]) -> Option<NameKey> {
        if name.len() > NAME_MAX {
            return None;
        }
        let mut words = [0; 4];
        for (word, chunk) in words.iter_mut().zip(name.chunks(8)) {
            *word = lower(load(chunk));
        }
        Some(NameKey { words, len: name.len() as u8 })
    }
}

/// Up to eight bytes as a little-endian word, filled with zeros.
#[inline]
fn load(bytes: &[u8]) -> u64 {
    let len = bytes.len();
    if let (Some(first), Some(last)) = (bytes.first_chunk(), bytes.last_chunk()) {
        // Both have four bytes, and the same ones where there are fewer than eight.
        let (first, last) = (u32::from_le_bytes(*first), u32::from_le_bytes(*last));
        return u64::from(first) | u64::from(last) << (8 * (len - 4));
    }
    match *bytes {
        [a] => u64::from(a),
        [a, b] => u64::from(u16::from_le_bytes([a, b])),
        [a, b, c] => u64::from(u32::from_le_bytes([a, b, c, 0])),
        _ => 0,
    }
}

/// Lowers the ASCII capitals among eight bytes.
#[inline]
fn lower(word: u64) -> u64 {
    const ONES: u64 = 0x0101_0101_0101_0101;
    let low_bits = word & (0x7f * ONES);
    let above_z = low_bits + (0x7f - b'Z' as u64) * ONES;
    let from_a = low_bits + (0x80 - b'A' as u64) * ONES;
    let ascii = !word & (0x80 * ONES);
    word | (((from_a ^ above_z) & ascii) >> 2)
}

/// One place of the name table.
#[derive(Clone, Copy)]
struct NameSlot {
    word: u64,
    len: u8,
    used: bool,
    id: CommandId,
}

const _: () = assert!(size_of::<NameSlot>() == 16);

/// A command as the registry knows it.
#[derive(Clone)]
pub struct Registered {
    /// What it is.
    pub command: &'static Command,
    /// Its container, for a subcommand.
    pub container: Option<CommandId>,
    /// Its subcommands.
    pub subcommands: Box<[CommandId]>,
    key: NameKey,
    /// Argument that is the first key, 0 for none at a fixed position.
    first_key: u16,
    /// What is found where the number of arguments is right.
    verdict: Verdict,
    /// The command's argument of this name: here it lies beside what is read anyway.
    member_arg: u8,
}

/// All commands of this server.
#[derive(Clone)]
pub struct Registry {
    slots: Box<[NameSlot]>,
    shift: u32,
    entries: Vec<Registered>,
}

impl Registry {
    /// Registers `commands` and their subcommands. A name that occurs twice, or is longer than can be looked up, is a
    /// defect of the list.
    pub fn new(commands: &[&'static Command]) -> Registry {
        Registry::with_renames(commands, &[])
    }

    /// The same after `rename-command`: (name, new name), an empty new name removes the command.
    pub fn with_renames(commands: &[&'static Command], renames: &[(String, String)]) -> Registry {
        let bits = (commands.len().max(8) * 4).next_power_of_two().trailing_zeros();
        let empty = NameSlot { word: 0, len: 0, used: false, id: CommandId(0) };
        let mut registry =
            Registry { slots: vec![empty; 1 << bits].into(), shift: 64 - bits, entries: Vec::with_capacity(256) };
        for &command in commands {
            let renamed = renames.iter().rfind(|(old, _)| old.eq_ignore_ascii_case(command.name));
            let name = renamed.map_or(command.name, |(_, new)| new.as_str());
            if !name.is_empty() {
                registry.register(command, name);
            }
        }
        registry
    }

    fn register(&mut self, command: &'static Command, name: &str) {
        let id = self.push(command, name, None);
        let subcommands: Vec<CommandId> =
            command.subcommands.iter().map(|sub| self.push(sub, sub.name, Some(id))).collect();
        self.entries[id.index()].subcommands = subcommands.into();
        let key = self.entries[id.index()].key;
        let mut index = self.start(key.words[0], key.len);
        while self.slots[index].used {
            let other = &self.entries[self.slots[index].id.index()];
            assert!(other.key != key, "two commands are named {name}");
            index = (index + 1) & (self.slots.len() - 1);
        }
        self.slots[index] = NameSlot { word: key.words[0], len: key.len, used: true, id };
    }

    fn push(&mut self, command: &'static Command, name: &str, container: Option<CommandId>) -> CommandId {
        let id = CommandId(u16::try_from(self.entries.len()).expect("there are fewer than 65,536 commands"));
        self.entries.push(Registered {
            command,
            container,
            subcommands: Box::default(),
            key: NameKey::of(name.as_bytes()).expect("command names are at most 32 bytes"),
            first_key: first_fixed_key(command),
            verdict: verdict_of(command),
            member_arg: command.member_arg,
        });
        id
    }

    #[inline]
    fn start(&self, word: u64, len: u8) -> usize {
        ((word ^ (u64::from(len) << 56)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> self.shift) as usize
    }

    /// The command called `name` in any case; subcommands are not found here.
    #[inline]
    pub fn find_name(&self, name: &[u8]) -> Option<CommandId> {
        let word = lower(load(&name[..name.len().min(8)]));
        let len = name.len().min(0xff) as u8;
        let mut index = self.start(word, len);
        loop {
            let slot = self.slots[index];
            if !slot.used {
                return None;
            }
            if slot.word == word && slot.len == len && (len <= 8 || self.rest_equals(slot.id, name)) {
                return Some(slot.id);
            }
            index = (index + 1) & (self.slots.len() - 1);
        }
    }

    // Apart, as what is looked for seldom: few names are longer than a word.
    #[inline(never)]
    fn rest_equals(&self, id: CommandId, name: &[u8]) -> bool {
        NameKey::of(name).is_some_and(|key| self.entries[id.index()].key == key)
    }

    /// The subcommand of `container` called `name`.
    #[inline(never)]
    pub fn find_subcommand(&self, container: CommandId, name: &[u8]) -> Option<CommandId> {
        let key = NameKey::of(name)?;
        self.entries[container.index()].subcommands.iter().copied().find(|id| self.entries[id.index()].key == key)
    }

    /// A command by its full name (`get`, `client|list`) as COMMAND INFO takes it.
    pub fn find_full_name(&self, full_name: &[u8]) -> Option<CommandId> {
        match full_name.iter().position(|&byte| byte == b'|') {
            None => self.find_name(full_name),
            Some(bar) => self.find_subcommand(self.find_name(&full_name[..bar])?, &full_name[bar + 1..]),
        }
    }

    /// What a request asks for: looks up the command and its subcommand, and checks the number of arguments.
    #[inline]
    pub fn resolve(&self, args: Args<'_>) -> Prepared {
        if args.is_empty() {
            return Prepared::refused(Verdict::Unknown);
        }
        let Some(mut id) = self.find_name(args.get(0)) else { return Prepared::refused(unknown(args)) };
        let mut entry = &self.entries[id.index()];
        if !entry.subcommands.is_empty() && args.len() > 1 {
            match self.find_subcommand(id, args.get(1)) {
                Some(subcommand) => id = subcommand,
                None => return Prepared::found(entry.command, id, Verdict::UnknownSubcommand),
            }
            entry = &self.entries[id.index()];
        }
        let command = entry.command;
        if !command.accepts(args.len()) || command.handler.is_none() {
            return Prepared::found(command, id, Verdict::WrongArity);
        }
        Prepared {
            first_key: entry.first_key,
            member_arg: entry.member_arg,
            ..Prepared::found(command, id, entry.verdict)
        }
    }

    /// The entry of `id`.
    #[inline]
    pub fn entry(&self, id: CommandId) -> &Registered {
        &self.entries[id.index()]
    }

    /// Number of entries, subcommands included: the size of a table indexed by [`CommandId`].
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no command at all.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// All entries that are no subcommands.
    pub fn top_level(&self) -> impl Iterator<Item = (CommandId, &Registered)> {
        self.all().filter(|(_, entry)| entry.container.is_none())
    }

    /// All entries.
    pub fn all(&self) -> impl Iterator<Item = (CommandId, &Registered)> {
        self.entries.iter().enumerate().map(|(index, entry)| (CommandId(index as u16), entry))
    }
}

/// Why an unknown name is refused: the words an HTTP client sends get no answer at all.
#[cold]
/// What follows where a request of it is in order.
fn verdict_of(command: &Command) -> Verdict {
    if command.flags.contains(Flags::GUARDED) {
        Verdict::Guarded
    } else if command.flags.contains(Flags::SHOWS_CLIENTS) {
        Verdict::Shows
    } else {
        Verdict::Run
    }
}

fn unknown(args: Args<'_>) -> Verdict {
    let name = args.get(0);
    if name.eq_ignore_ascii_case(b"host:") || name.eq_ignore_ascii_case(b"post") {
        Verdict::CrossProtocol
    } else {
        Verdict::Unknown
    }
}

fn first_fixed_key(command: &Command) -> u16 {
    match command.key_specs.first() {
        Some(spec) => match (spec.begin, spec.find) {
            (Begin::Index(index), Find::Range { .. }) => u16::try_from(index).unwrap_or(0),
            _ => 0,
        },
        None => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::context::Context;
    use crate::command::error::CommandError;
    use crate::command::spec::{KeyFlags, KeySpec};
    use crate::resp::args::OwnedArgs;

    fn nothing(_: &mut Context<'_>, _: Args<'_>) -> Result<(), CommandError> {
        Ok(())
    }

    static GET: Command = Command {
        name: "get",
        full_name: "get",
        arity: 2,
        key_specs: &[KeySpec {
            flags: KeyFlags::RO,
            begin: Begin::Index(1),
            find: Find::Range { last: 0, step: 1, limit: 0 },
            notes: None,
        }],
        handler: Some(nothing),
        ..Command::BLANK
    };
    static LONG: Command = Command {
        name: "georadiusbymember_ro",
        full_name: "georadiusbymember_ro",
        arity: -1,
        flags: Flags::NO_AUTH,
        handler: Some(nothing),
        ..Command::BLANK
    };
    static LIST: Command =
        Command { name: "list", full_name: "box|list", arity: -2, handler: Some(nothing), ..Command::BLANK };
    static BOX: Command = Command { name: "box", full_name: "box", arity: -2, subcommands: &[&LIST], ..Command::BLANK };

    fn resolve(registry: &Registry, args: &[&str]) -> (Verdict, Option<&'static str>) {
        let prepared = registry.resolve(OwnedArgs::from_slices(args).as_args());
        (prepared.verdict, prepared.command.map(|command| command.full_name))
    }

    #[test]
    fn only_capitals_are_lowered() {
        for byte in 0..=255u8 {
            assert_eq!(lower(u64::from(byte) << 24), u64::from(byte.to_ascii_lowercase()) << 24);
        }
    }

    #[test]
    fn names_are_found_in_any_case_and_nothing_else_is() {
        let registry = Registry::new(&[&GET, &LONG, &BOX]);
        assert_eq!(resolve(&registry, &["gEt", "k"]), (Verdict::Run, Some("get")));
        assert_eq!(resolve(&registry, &["get"]), (Verdict::WrongArity, Some("get")));
        assert_eq!(resolve(&registry, &["GEORADIUSBYMEMBER_RO"]).0, Verdict::Run);
        assert_eq!(resolve(&registry, &["GEORADIUSBYMEMBER\x7fRO"]).0, Verdict::Unknown);
        assert_eq!(resolve(&registry, &["georadiusbymember_rw"]).0, Verdict::Unknown);
        assert_eq!(resolve(&registry, &[""]).0, Verdict::Unknown);
        assert_eq!(resolve(&registry, &["get\0"]).0, Verdict::Unknown);
        assert_eq!(resolve(&registry, &[&"g".repeat(300)]).0, Verdict::Unknown);
        assert_eq!(resolve(&registry, &["Host:"]).0, Verdict::CrossProtocol);
        assert_eq!(resolve(&registry, &["POST"]).0, Verdict::CrossProtocol);
    }

    #[test]
    fn subcommands_are_found_below_their_container() {
        let registry = Registry::new(&[&GET, &BOX]);
        assert_eq!(resolve(&registry, &["box", "LIST"]), (Verdict::Run, Some("box|list")));
        assert_eq!(resolve(&registry, &["box"]), (Verdict::WrongArity, Some("box")));
        assert_eq!(resolve(&registry, &["box", "nosuch"]), (Verdict::UnknownSubcommand, Some("box")));
        assert_eq!(resolve(&registry, &["box|list", "x"]).0, Verdict::Unknown);
        assert_eq!(resolve(&registry, &["list", "x"]).0, Verdict::Unknown);
        assert!(registry.find_full_name(b"Box|List").is_some());
        assert!(registry.find_full_name(b"box|").is_none());
    }

    #[test]
    fn renamed_commands_answer_to_the_new_name_only() {
        let renames = [("GET".to_string(), "fetch".to_string()), ("box".to_string(), String::new())];
        let registry = Registry::with_renames(&[&GET, &BOX], &renames);
        assert_eq!(resolve(&registry, &["get", "k"]).0, Verdict::Unknown);
        assert_eq!(resolve(&registry, &["FETCH", "k"]), (Verdict::Run, Some("get")));
        assert_eq!(resolve(&registry, &["box", "list"]).0, Verdict::Unknown);
    }

    #[test]
    fn the_first_key_is_known_without_running_the_command() {
        let registry = Registry::new(&[&GET, &LONG]);
        assert_eq!(registry.resolve(OwnedArgs::from_slices(&["get", "k"]).as_args()).first_key, 1);
        assert_eq!(registry.resolve(OwnedArgs::from_slices(&["georadiusbymember_ro"]).as_args()).first_key, 0);
    }
}
