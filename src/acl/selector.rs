//! One set of permissions: commands, keys, channels. A user has one of its own and any number of others; a request is
//! allowed where one of them allows all of it. Main thread.

#![forbid(unsafe_code)]

use crate::acl::catalog::Catalog;
use crate::acl::rule::RuleError;
use crate::base::glob;

/// Most bytes of a command's name in a rule; longer ones name nothing.
const NAME_MAX: usize = 256;

/// What a request does with a key, as far as permissions go. Neither: it only asks whether the key is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Its value is read.
    pub read: bool,
    /// Its value is changed.
    pub write: bool,
}

impl Access {
    const BOTH: Access = Access { read: true, write: true };

    fn covers(self, wanted: Access) -> bool {
        (self.read || !wanted.read) && (self.write || !wanted.write)
    }
}

/// A key of a request.
#[derive(Clone, Copy, Debug)]
pub struct TouchedKey<'a> {
    /// Which argument it is.
    pub index: usize,
    /// Its name.
    pub key: &'a [u8],
    /// What happens to it.
    pub access: Access,
}

/// A channel of a request.
#[derive(Clone, Copy, Debug)]
pub struct TouchedChannel<'a> {
    /// Which argument it is.
    pub index: usize,
    /// Its name.
    pub name: &'a [u8],
    /// It is a pattern: allowed only as it stands, since what it matches cannot be told.
    pub is_pattern: bool,
}

/// Why a request is refused. The greater one says more: it got further.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Denial {
    /// The command.
    Command,
    /// This argument, a key.
    Key(usize),
    /// This argument, a channel.
    Channel(usize),
}

/// A pattern of keys.
#[derive(Clone, Debug, PartialEq, Eq)]
struct KeyPattern {
    access: Access,
    pattern: Box<[u8]>,
}

/// Permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    all_commands: bool,
    all_keys: bool,
    all_channels: bool,
    /// One bit for each command of the catalog.
    allowed: Vec<u64>,
    /// Commands allowed with this first argument only.
    first_args: Vec<(usize, Box<[u8]>)>,
    keys: Vec<KeyPattern>,
    channels: Vec<Box<[u8]>>,
    /// The rules about commands as they are shown, behind `+@all` or `-@all`.
    rules: Vec<CommandRule>,
}

/// `+get`, `-@read`, `+select|0`: sign, and the name in small letters.
#[derive(Clone, Debug, PartialEq, Eq)]
struct CommandRule {
    allow: bool,
    name: Box<[u8]>,
}

impl Selector {
    /// Nothing is allowed, but perhaps all channels.
    pub fn new(all_channels: bool) -> Selector {
        Selector {
            all_commands: false,
            all_keys: false,
            all_channels,
            allowed: Vec::new(),
            first_args: Vec::new(),
            keys: Vec::new(),
            channels: Vec::new(),
            rules: Vec::new(),
        }
    }

    /// Everything is allowed.
    pub fn unrestricted() -> Selector {
        let mut selector = Selector { all_keys: true, ..Selector::new(true) };
        selector.set_all_commands(true);
        selector
    }

    /// Whether no request can be refused.
    pub fn is_unrestricted(&self) -> bool {
        self.all_commands && self.all_keys && self.all_channels
    }

    /// Applies one rule.
    pub fn apply(&mut self, rule: &[u8], catalog: &dyn Catalog) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            b"" => {}
            b"allkeys" | b"~*" => {
                self.all_keys = true;
                self.keys.clear();
            }
            b"resetkeys" => {
                self.all_keys = false;
                self.keys.clear();
            }
            b"allchannels" | b"&*" => {
                self.all_channels = true;
                self.channels.clear();
            }
            b"resetchannels" => {
                self.all_channels = false;
                self.channels.clear();
            }
            b"allcommands" | b"+@all" => self.set_all_commands(true),
            b"nocommands" | b"-@all" => self.set_all_commands(false),
            _ => match rule {
                [b'~', pattern @ ..] => self.add_key_pattern(Access::BOTH, pattern)?,
                [b'%', rest @ ..] => self.add_qualified_pattern(rest)?,
                [b'&', pattern @ ..] => self.add_channel(pattern)?,
                [sign @ (b'+' | b'-'), b'@', name @ ..] => self.set_category(*sign == b'+', name, catalog)?,
                [b'+', name @ ..] => self.allow(name, catalog)?,
                [b'-', name @ ..] => self.forbid(name, catalog)?,
                _ => return Err(RuleError::Syntax),
            },
        }
        Ok(())
    }

    fn set_all_commands(&mut self, allowed: bool) {
        self.all_commands = allowed;
        self.allowed.clear();
        self.first_args.clear();
        self.rules.clear();
        if allowed {
            // The bits are made when a rule takes one away.
            self.rules.push(CommandRule { allow: true, name: b"@all".as_slice().into() });
        }
    }

    fn add_key_pattern(&mut self, access: Access, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_keys {
            return Err(RuleError::PatternAfterAllKeys);
        }
        match self.keys.iter_mut().find(|known| *known.pattern == *pattern) {
            Some(known) => {
                known.access.read |= access.read;
                known.access.write |= access.write;
            }
            None => self.keys.push(KeyPattern { access, pattern: pattern.into() }),
        }
        Ok(())
    }

    /// `%R~pattern`, `%W~pattern`, `%RW~pattern`; the letters may come without a pattern, which is then empty.
    fn add_qualified_pattern(&mut self, rest: &[u8]) -> Result<(), RuleError> {
        let mut access = Access { read: false, write: false };
        let mut at = 0;
        while let Some(&letter) = rest.get(at) {
            at += 1;
            let letter_of = match letter {
                b'R' | b'r' if !access.read => &mut access.read,
                b'W' | b'w' if !access.write => &mut access.write,
                b'~' if access.read || access.write => break,
                _ => return Err(RuleError::Syntax),
            };
            *letter_of = true;
        }
        if !access.read && !access.write {
            return Err(RuleError::Syntax);
        }
        self.add_key_pattern(access, &rest[at..])
    }

    fn add_channel(&mut self, pattern: &[u8]) -> Result<(), RuleError> {
        if self.all_channels {
            return Err(RuleError::PatternAfterAllChannels);
        }
        if !self.channels.iter().any(|known| **known == *pattern) {
            self.channels.push(pattern.into());
        }
        Ok(())
    }

    fn set_category(&mut self, allow: bool, name: &[u8], catalog: &dyn Catalog) -> Result<(), RuleError> {
        let name = name.to_ascii_lowercase();
        let category = std::str::from_utf8(&name).map_err(|_| RuleError::UnknownName)?;
        let mut members = Vec::new();
        for command in 0..catalog.count() {
            if catalog.in_category(command, category).ok_or(RuleError::UnknownName)? {
                members.push(command);
            }
        }
        for command in members {
            self.set_bit(command, allow, catalog);
        }
        self.note(allow, [b"@", category.as_bytes()].concat());
        Ok(())
    }

    fn allow(&mut self, name: &[u8], catalog: &dyn Catalog) -> Result<(), RuleError> {
        let name = &*lowered(name)?;
        if let Some(command) = catalog.find(name) {
            self.set_tree(command, true, catalog);
            self.note(true, name.to_vec());
            return Ok(());
        }
        let bar = name.iter().rposition(|&byte| byte == b'|').ok_or(RuleError::UnknownName)?;
        let (command_name, argument) = (&name[..bar], &name[bar + 1..]);
        let command = match catalog.find(command_name) {
            Some(command) if catalog.is_subcommand(command) => return Err(RuleError::FirstArgOfSubcommand),
            Some(command) => command,
            None => return Err(RuleError::UnknownName),
        };
        if argument.is_empty() {
            return Err(RuleError::Syntax);
        }
        if !catalog.subcommands(command).is_empty() {
            return Err(RuleError::UnknownName);
        }
        if !self.first_args.iter().any(|(known, word)| *known == command && **word == *argument) {
            self.first_args.push((command, argument.into()));
        }
        self.note(true, name.to_vec());
        Ok(())
    }

    fn forbid(&mut self, name: &[u8], catalog: &dyn Catalog) -> Result<(), RuleError> {
        let name = &*lowered(name)?;
        let command = catalog.find(name).ok_or(RuleError::UnknownName)?;
        self.set_tree(command, false, catalog);
        self.note(false, name.to_vec());
        Ok(())
    }

    /// A command with its subcommands.
    fn set_tree(&mut self, command: usize, allow: bool, catalog: &dyn Catalog) {
        self.set_bit(command, allow, catalog);
        for subcommand in catalog.subcommands(command) {
            self.set_bit(subcommand, allow, catalog);
        }
    }

    fn set_bit(&mut self, command: usize, allow: bool, catalog: &dyn Catalog) {
        if allow && self.all_commands {
            return;
        }
        let words = catalog.count().div_ceil(64);
        self.allowed.resize(words, if self.all_commands { u64::MAX } else { 0 });
        let bit = 1 << (command % 64);
        if allow {
            self.allowed[command / 64] |= bit;
        } else {
            self.all_commands = false;
            self.allowed[command / 64] &= !bit;
        }
        // With all of the command allowed or forbidden, its first arguments say nothing any more.
        self.first_args.retain(|(known, _)| *known != command);
    }

    /// Adds a rule to those that are shown; one about the same name, or about a part of it, goes.
    fn note(&mut self, allow: bool, name: Vec<u8>) {
        self.rules.retain(|rule| {
            let is_part = rule.name.strip_prefix(&*name).is_some_and(|rest| rest.is_empty() || rest[0] == b'|');
            !is_part
        });
        self.rules.push(CommandRule { allow, name: name.into() });
    }

    fn allows_command(&self, command: usize, first_arg: Option<&[u8]>) -> bool {
        if self.all_commands {
            return true;
        }
        let is_set = self.allowed.get(command / 64).is_some_and(|word| word & (1 << (command % 64)) != 0);
        is_set
            || first_arg.is_some_and(|word| {
                let allows =
                    |(known, argument): &(usize, Box<[u8]>)| *known == command && argument.eq_ignore_ascii_case(word);
                self.first_args.iter().any(allows)
            })
    }

    fn allows_key(&self, key: &TouchedKey<'_>) -> bool {
        self.all_keys
            || self.keys.iter().any(|known| known.access.covers(key.access) && glob::matches(&known.pattern, key.key))
    }

    /// Whether it may listen to a channel or pattern, or send to the channel.
    pub fn allows_channel(&self, name: &[u8], is_pattern: bool) -> bool {
        let covers = |known: &[u8]| if is_pattern { known == name } else { glob::matches(known, name) };
        self.all_channels || self.channels.iter().any(|known| covers(known))
    }

    /// Whether a request is allowed. `open`: the command is one that everybody may run.
    pub fn check(
        &self,
        command: usize,
        open: bool,
        first_arg: Option<&[u8]>,
        keys: &[TouchedKey<'_>],
        channels: &[TouchedChannel<'_>],
    ) -> Result<(), Denial> {
        if !open && !self.allows_command(command, first_arg) {
            return Err(Denial::Command);
        }
        if let Some(key) = keys.iter().find(|key| !self.allows_key(key)) {
            return Err(Denial::Key(key.index));
        }
        match channels.iter().find(|channel| !self.allows_channel(channel.name, channel.is_pattern)) {
            Some(channel) => Err(Denial::Channel(channel.index)),
            None => Ok(()),
        }
    }

    /// Whether a command is allowed and any key may be read, by a pattern that says so in plain words.
    pub fn reads_all_keys(&self, command: usize, first_arg: Option<&[u8]>) -> bool {
        let is_any = |known: &KeyPattern| known.access.read && *known.pattern == *b"*";
        self.allows_command(command, first_arg) && (self.all_keys || self.keys.iter().any(is_any))
    }

    /// The rules about commands: `-@all +get +@read`.
    pub fn describe_commands(&self) -> Vec<u8> {
        let starts_with_all = self.rules.first().is_some_and(|rule| rule.allow && *rule.name == *b"@all");
        let mut text = if starts_with_all { b"+@all".to_vec() } else { b"-@all".to_vec() };
        for rule in &self.rules[usize::from(starts_with_all)..] {
            text.push(b' ');
            text.push(if rule.allow { b'+' } else { b'-' });
            text.extend_from_slice(&rule.name);
        }
        text
    }

    /// The patterns of keys: `~a* %R~b*`.
    pub fn describe_keys(&self) -> Vec<u8> {
        if self.all_keys {
            return b"~*".to_vec();
        }
        let mut texts = Vec::new();
        for KeyPattern { access, pattern } in &self.keys {
            let mark: &[u8] = match access {
                Access { read: true, write: false } => b"%R~",
                Access { read: false, write: true } => b"%W~",
                _ => b"~",
            };
            texts.push([mark, pattern].concat());
        }
        texts.join(&b' ')
    }

    /// The patterns of channels: `&a* &b`.
    pub fn describe_channels(&self) -> Vec<u8> {
        if self.all_channels {
            return b"&*".to_vec();
        }
        self.channels.iter().map(|pattern| [b"&", &**pattern].concat()).collect::<Vec<_>>().join(&b' ')
    }

    /// All of it as it stands in a file.
    pub fn describe(&self) -> Vec<u8> {
        let mut text = self.describe_keys();
        if !text.is_empty() {
            text.push(b' ');
        }
        if !self.all_channels {
            text.extend_from_slice(b"resetchannels ");
        }
        let channels = self.describe_channels();
        if !channels.is_empty() {
            text.extend_from_slice(&channels);
            text.push(b' ');
        }
        text.extend_from_slice(&self.describe_commands());
        text
    }
}

fn lowered(name: &[u8]) -> Result<Vec<u8>, RuleError> {
    if name.is_empty() || name.len() > NAME_MAX { Err(RuleError::UnknownName) } else { Ok(name.to_ascii_lowercase()) }
}
