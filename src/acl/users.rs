//! All users by name, and their file. Main thread.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use crate::acl::catalog::Catalog;
use crate::acl::rule::RuleError;
use crate::acl::user::{Patterns, User, merge_selectors};
use crate::base::quoting;

/// A user's number: small, given anew once the user is gone and with it everybody who was logged in as this user.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct UserId(pub u32);

impl UserId {
    /// The default user, who always exists.
    pub const DEFAULT: UserId = UserId(0);
}

/// The default user's name.
const DEFAULT_NAME: &[u8] = b"default";

/// What is wrong with a file of users: one text for each line, joined as Redis joins them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}WARNING: ACL errors detected, no change to the previously active ACL rules was performed")]
pub struct FileError(String);

/// The users.
#[derive(Clone, Debug)]
pub struct Users {
    slots: Vec<Option<User>>,
    by_name: BTreeMap<Box<[u8]>, UserId>,
}

impl Default for Users {
    fn default() -> Users {
        let mut users = Users { slots: Vec::new(), by_name: BTreeMap::new() };
        users.put(User::default_user());
        users
    }
}

impl Users {
    /// The number of the user with this name.
    pub fn find(&self, name: &[u8]) -> Option<UserId> {
        self.by_name.get(name).copied()
    }

    /// The user with this number, which must exist.
    #[inline]
    pub fn get(&self, id: UserId) -> &User {
        self.slots[id.0 as usize].as_ref().expect("the number of a user is used only while the user exists")
    }

    /// All of them in the order of their names.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (UserId, &User)> {
        self.by_name.values().map(|&id| (id, self.get(id)))
    }

    /// Creates a user or replaces the one with the same name; returns the number.
    pub fn put(&mut self, user: User) -> UserId {
        if let Some(id) = self.find(user.name()) {
            self.slots[id.0 as usize] = Some(user);
            return id;
        }
        let free = self.slots.iter().position(Option::is_none).unwrap_or(self.slots.len());
        let id = UserId(u32::try_from(free).expect("users fit in memory"));
        self.by_name.insert((**user.name()).into(), id);
        if free == self.slots.len() {
            self.slots.push(Some(user));
        } else {
            self.slots[free] = Some(user);
        }
        id
    }

    /// Removes a user other than the default one.
    pub fn remove(&mut self, name: &[u8]) -> Option<UserId> {
        if name == DEFAULT_NAME {
            return None;
        }
        let id = self.by_name.remove(name)?;
        self.slots[id.0 as usize] = None;
        Some(id)
    }

    /// Gives the default user this password as its only one; an empty one: none is needed.
    pub fn set_default_password(&mut self, password: &[u8], catalog: &dyn Catalog) {
        let user = self.slots[0].as_mut().expect("the default user exists");
        let rules: [Vec<u8>; 2] = if password.is_empty() {
            [b"resetpass".to_vec(), b"nopass".to_vec()]
        } else {
            [b"resetpass".to_vec(), [b">", password].concat()]
        };
        for rule in rules {
            user.apply(&rule, Patterns::None, catalog).expect("rules about passwords are always good");
        }
    }

    /// What is wrong with a user that a configuration file declares, `words` being the name and the rules. A command that
    /// is not known is no reason yet; [`Users::declare`] tells it, after the log has been opened.
    pub fn check_declaration(words: &[&[u8]], channels: Patterns, catalog: &dyn Catalog) -> Result<(), String> {
        let [name, rules @ ..] = words else { return Ok(()) };
        // Redis names the word of the line that has the number of the rule, which is two words before the rule itself.
        let line = [&[&b"user"[..]], words].concat();
        let wrong = |number: usize, reason: &str| {
            let shown = String::from_utf8_lossy(line.get(number).copied().unwrap_or(name)).into_owned();
            format!("Error in user declaration '{shown}': {reason}")
        };
        let merged = merge_selectors(rules).map_err(|open| {
            let at = rules.iter().position(|rule| std::ptr::eq(*rule, open)).unwrap_or_default();
            wrong(merge_selectors(&rules[..at]).map_or(at, |before| before.len()), "Wrong format")
        })?;
        let mut user = empty_user(name, channels, catalog);
        for (number, rule) in merged.iter().enumerate() {
            match user.apply(rule, channels, catalog) {
                Ok(()) | Err(RuleError::UnknownName) => {}
                Err(error) => return Err(wrong(number, &error.to_string())),
            }
        }
        Ok(())
    }

    /// Takes in a user that a configuration file declares; returns whether the user may log in. The error is what the log
    /// is to say.
    pub fn declare(&mut self, words: &[&[u8]], channels: Patterns, catalog: &dyn Catalog) -> Result<bool, String> {
        let [name, rules @ ..] = words else { return Ok(true) };
        if name.iter().any(|&byte| byte == b' ' || byte == 0) {
            return Err("Spaces not allowed in ACL usernames".into());
        }
        let shown = String::from_utf8_lossy(name);
        match user_from_rules(name, rules, channels, catalog) {
            Ok(user) => {
                let enabled = user.is_enabled();
                self.put(user);
                Ok(enabled)
            }
            Err(UserError::Unmatched) => Err(format!("Error in user declaration '{shown}': Wrong format")),
            Err(UserError::Rule { rule, error }) => {
                let rule = String::from_utf8_lossy(&rule);
                Err(format!("Error loading ACL rule '{rule}' for the user named '{shown}': {error}"))
            }
        }
    }

    /// The lines of a file of users, without line ends.
    pub fn lines(&self) -> impl Iterator<Item = Vec<u8>> {
        self.iter().map(|(_, user)| [b"user ", &**user.name(), b" ", &user.describe()].concat())
    }

    /// Takes in a file of users: all of it or, where a line is wrong, nothing. The default user is as new where the file
    /// does not name it. `path` is for the messages.
    pub fn load(text: &[u8], path: &str, channels: Patterns, catalog: &dyn Catalog) -> Result<Users, FileError> {
        let mut users = Users::default();
        let mut named: Vec<Vec<u8>> = Vec::new();
        let mut errors = String::new();
        for (number, line) in (1..).zip(text.split(|&byte| byte == b'\n')) {
            let line = line.trim_ascii();
            if line.is_empty() {
                continue;
            }
            let Ok(words) = quoting::split(line) else {
                errors.push_str(&format!("{path}:{number}: unbalanced quotes in acl line. "));
                continue;
            };
            match words.as_slice() {
                [keyword, name, ..] if keyword == b"user" => {
                    if name.iter().any(|&byte| byte == b' ' || byte == 0) {
                        errors.push_str(&format!(
                            "'{path}:{number}: username '{}' contains invalid characters. ",
                            String::from_utf8_lossy(name)
                        ));
                    } else if named.contains(name) {
                        let name = String::from_utf8_lossy(name);
                        errors.push_str(&format!("WARNING: Duplicate user '{name}' found on line {number}. "));
                    } else {
                        let rules: Vec<&[u8]> = words[2..].iter().map(Vec::as_slice).collect();
                        match user_from_rules(name, &rules, channels, catalog) {
                            Ok(user) => drop(users.put(user)),
                            Err(problem) => errors.push_str(&format!("{path}:{number}: {}", problem.in_file())),
                        }
                        named.push(name.clone());
                    }
                }
                _ => errors
                    .push_str(&format!("{path}:{number} should start with user keyword followed by the username. ")),
            }
        }
        if errors.is_empty() { Ok(users) } else { Err(FileError(errors)) }
    }
}

/// What is wrong with the rules of one user.
#[derive(Clone, Debug, PartialEq, Eq)]
enum UserError {
    Unmatched,
    Rule { rule: Vec<u8>, error: RuleError },
}

impl UserError {
    fn in_file(&self) -> String {
        match self {
            UserError::Unmatched => "Unmatched parenthesis in selector definition.".into(),
            UserError::Rule { error: error @ RuleError::Syntax, .. } => format!("{error}. "),
            UserError::Rule { rule, error } => {
                format!("Error in applying operation '{}': {error}. ", String::from_utf8_lossy(rule))
            }
        }
    }
}

/// A user of this name who may do nothing yet; the default one keeps what makes it that.
fn empty_user(name: &[u8], channels: Patterns, catalog: &dyn Catalog) -> User {
    if name != DEFAULT_NAME {
        return User::new(name, channels);
    }
    let mut user = User::default_user();
    user.apply(b"reset", channels, catalog).expect("a reset is always good");
    user
}

fn user_from_rules(name: &[u8], rules: &[&[u8]], channels: Patterns, catalog: &dyn Catalog) -> Result<User, UserError> {
    let rules = merge_selectors(rules).map_err(|_| UserError::Unmatched)?;
    let mut user = empty_user(name, channels, catalog);
    for rule in &rules {
        let wrong = |error| UserError::Rule { rule: rule.to_vec(), error };
        user.apply(rule, channels, catalog).map_err(wrong)?;
    }
    Ok(user)
}
