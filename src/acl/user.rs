//! A user: whether it may log in and how, and its selectors. Main thread.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;

use sha2::{Digest, Sha256};

use crate::acl::catalog::Catalog;
use crate::acl::rule::RuleError;
use crate::acl::selector::{Denial, Selector, TouchedChannel, TouchedKey};

/// Characters of a digest as text.
const DIGEST_TEXT: usize = 64;

/// What a new user, or one that was reset, may do with channels (`acl-pubsub-default`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patterns {
    /// Everything.
    All,
    /// Nothing.
    None,
}

/// A user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    name: Arc<[u8]>,
    enabled: bool,
    no_password: bool,
    sanitize_payload: bool,
    /// SHA-256 of each password, as hexadecimal text. The passwords themselves are never kept.
    passwords: Vec<Box<str>>,
    own: Selector,
    others: Vec<Selector>,
}

impl User {
    /// A user who cannot log in and may do nothing.
    pub fn new(name: &[u8], channels: Patterns) -> User {
        User {
            name: name.into(),
            enabled: false,
            no_password: false,
            sanitize_payload: true,
            passwords: Vec::new(),
            own: Selector::new(channels == Patterns::All),
            others: Vec::new(),
        }
    }

    /// The user of a client that has not logged in: may do everything, without a password.
    pub fn default_user() -> User {
        let own = Selector::unrestricted();
        User { enabled: true, no_password: true, own, ..User::new(b"default", Patterns::All) }
    }

    /// Its name.
    pub fn name(&self) -> &Arc<[u8]> {
        &self.name
    }

    /// Whether it may log in.
    pub fn is_enabled(&self) -> bool {
        self.enabled
    }

    /// Whether any password logs it in.
    pub fn needs_no_password(&self) -> bool {
        self.no_password
    }

    /// Whether none of its requests can be refused.
    pub fn is_unrestricted(&self) -> bool {
        self.own.is_unrestricted()
    }

    /// Applies one rule; a whole selector is `(rules)`. `channels`: what `reset` leaves of channels.
    pub fn apply(&mut self, rule: &[u8], channels: Patterns, catalog: &dyn Catalog) -> Result<(), RuleError> {
        match rule.to_ascii_lowercase().as_slice() {
            b"on" => self.enabled = true,
            b"off" => self.enabled = false,
            b"nopass" => {
                self.no_password = true;
                self.passwords.clear();
            }
            b"resetpass" => {
                self.no_password = false;
                self.passwords.clear();
            }
            b"sanitize-payload" => self.sanitize_payload = true,
            b"skip-sanitize-payload" => self.sanitize_payload = false,
            b"clearselectors" => self.others.clear(),
            b"reset" => *self = User::new(&self.name, channels),
            _ => match rule {
                [b'>', password @ ..] => self.add_password(&digest_text(password)),
                [b'#', digest @ ..] => self.add_password(checked_digest(digest)?),
                [b'<', password @ ..] => self.remove_password(&digest_text(password))?,
                [b'!', digest @ ..] => self.remove_password(checked_digest(digest)?)?,
                [b'(', rules @ .., b')'] => {
                    let mut selector = Selector::new(channels == Patterns::All);
                    for rule in rules.split(|&byte| byte == b' ') {
                        selector.apply(rule, catalog)?;
                    }
                    self.others.push(selector);
                }
                _ => self.own.apply(rule, catalog)?,
            },
        }
        Ok(())
    }

    fn add_password(&mut self, digest: &str) {
        self.no_password = false;
        if !self.passwords.iter().any(|known| **known == *digest) {
            self.passwords.push(digest.into());
        }
    }

    fn remove_password(&mut self, digest: &str) -> Result<(), RuleError> {
        let found = self.passwords.iter().position(|known| **known == *digest).ok_or(RuleError::NoSuchPassword)?;
        self.passwords.remove(found);
        Ok(())
    }

    /// Whether `password` is one of this user's. Takes as long for a wrong one that is nearly right.
    pub fn has_password(&self, password: &[u8]) -> bool {
        let digest = digest_text(password);
        let is_same = |known: &str| {
            black_box(known.bytes().zip(digest.bytes()).fold(0, |sum, (left, right)| sum | (left ^ right))) == 0
        };
        self.no_password | self.passwords.iter().fold(false, |found, known| found | is_same(known))
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
        let mut worst = match self.own.check(command, open, first_arg, keys, channels) {
            Ok(()) => return Ok(()),
            Err(denial) => denial,
        };
        for selector in &self.others {
            match selector.check(command, open, first_arg, keys, channels) {
                Ok(()) => return Ok(()),
                Err(denial) => worst = worst.max(denial),
            }
        }
        Err(worst)
    }

    /// Whether one of its selectors allows a command and lets it read any key.
    pub fn may_read_all_keys(&self, command: usize, first_arg: Option<&[u8]>) -> bool {
        std::iter::once(&self.own).chain(&self.others).any(|selector| selector.reads_all_keys(command, first_arg))
    }

    /// Whether it may listen to a channel or pattern.
    pub fn allows_channel(&self, name: &[u8], is_pattern: bool) -> bool {
        std::iter::once(&self.own).chain(&self.others).any(|selector| selector.allows_channel(name, is_pattern))
    }

    /// Its flags under Redis' names.
    pub fn flags(&self) -> Vec<&'static str> {
        let mut flags = vec![if self.enabled { "on" } else { "off" }];
        if self.no_password {
            flags.push("nopass");
        }
        flags.push(if self.sanitize_payload { "sanitize-payload" } else { "skip-sanitize-payload" });
        flags
    }

    /// Digests of its passwords, in hexadecimal.
    pub fn passwords(&self) -> impl ExactSizeIterator<Item = &str> {
        self.passwords.iter().map(|digest| &**digest)
    }

    /// The permissions that belong to no selector in brackets.
    pub fn own_selector(&self) -> &Selector {
        &self.own
    }

    /// The selectors in brackets.
    pub fn selectors(&self) -> &[Selector] {
        &self.others
    }

    /// The rules that make this user, without its name.
    pub fn describe(&self) -> Vec<u8> {
        let mut text = self.flags().join(" ").into_bytes();
        for digest in &self.passwords {
            text.extend_from_slice(b" #");
            text.extend_from_slice(digest.as_bytes());
        }
        text.push(b' ');
        text.extend_from_slice(&self.own.describe());
        for selector in &self.others {
            text.extend_from_slice(b" (");
            text.extend_from_slice(&selector.describe());
            text.push(b')');
        }
        text
    }
}

/// SHA-256 in hexadecimal.
fn digest_text(password: &[u8]) -> String {
    Sha256::digest(password).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn checked_digest(digest: &[u8]) -> Result<&str, RuleError> {
    let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    let text = std::str::from_utf8(digest).map_err(|_| RuleError::BadDigest)?;
    if digest.len() == DIGEST_TEXT && digest.iter().all(is_digit) { Ok(text) } else { Err(RuleError::BadDigest) }
}

/// Joins the words of each selector in brackets into one rule. An error is the word at which a bracket opens that none
/// closes.
pub fn merge_selectors<'a>(words: &[&'a [u8]]) -> Result<Vec<Cow<'a, [u8]>>, &'a [u8]> {
    let mut rules: Vec<Cow<'a, [u8]>> = Vec::with_capacity(words.len());
    let mut open: Option<(&'a [u8], Vec<u8>)> = None;
    for &word in words {
        match &mut open {
            None if word.first() == Some(&b'(') && word.last() != Some(&b')') => open = Some((word, word.to_vec())),
            None => rules.push(Cow::Borrowed(word)),
            Some((_, rule)) => {
                rule.push(b' ');
                rule.extend_from_slice(word);
                if word.last() == Some(&b')') {
                    rules.extend(open.take().map(|(_, rule)| Cow::Owned(rule)));
                }
            }
        }
    }
    match open {
        Some((word, _)) => Err(word),
        None => Ok(rules),
    }
}
