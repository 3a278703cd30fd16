//! Parameters: names, kinds, bounds, defaults, file and command-line syntax. Main thread; readers elsewhere get copies
//! of single values. Knows nothing of clients and sockets: what a change means for them is told by [`Apply`].

#![forbid(unsafe_code)]

pub mod arguments;
pub mod choice;
pub mod file;
mod listen;
pub mod rewrite;
pub mod special;
pub mod table;
pub mod title;
pub mod value;

#[cfg(test)]
mod tests;

pub use choice::{Access, AclPubsubDefault, IoBackend, LogLevel, MaxmemoryPolicy, OomScoreAdj, Supervised};
pub use special::{KeyspaceEvents, OutputLimit};
pub use table::{Apply, Config, Effect, Flags, PARAMS, Param};

use crate::base::glob;

/// The version of Redis whose behaviour this is; clients are told this one.
pub const REDIS_VERSION: &str = "8.0.6";

/// Why CONFIG SET changed nothing. The text is what follows `-ERR `, except for the first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The reply is the one of a server that is loading.
    #[error("Redis is loading the dataset in memory")]
    Loading,
    /// No parameter has this name.
    #[error("Unknown option or number of arguments for CONFIG SET - '{0}'")]
    Unknown(String),
    /// The value, or changing it at all, was refused.
    #[error("CONFIG SET failed (possibly related to argument '{name}') - {reason}")]
    Refused {
        /// Which, as it was spelled.
        name: String,
        /// Why, in Redis' words.
        reason: String,
    },
}

/// Who asks for a change, and when.
#[derive(Clone, Copy, Debug, Default)]
pub struct Circumstances {
    /// The client is on this machine: `local` protection lets it pass.
    pub local_client: bool,
    /// A data set is being loaded.
    pub loading: bool,
}

/// The parameter of that name or alias, in any case.
pub fn find(name: &[u8]) -> Option<&'static Param> {
    find_spelled(name).map(|(param, _)| param)
}

/// The same, with the one of its two names that was meant.
fn find_spelled(name: &[u8]) -> Option<(&'static Param, &'static str)> {
    PARAMS.iter().find_map(|param| {
        let names = [param.name, param.alias].into_iter().filter(|known| !known.is_empty());
        names.into_iter().find(|known| name.eq_ignore_ascii_case(known.as_bytes())).map(|known| (param, known))
    })
}

/// Whether the value of this parameter is a secret.
pub fn is_sensitive(name: &[u8]) -> bool {
    find(name).is_some_and(|param| param.flags.contains(Flags::SENSITIVE))
}

impl Config {
    /// CONFIG GET: every name and alias that one of the patterns matches, once, with its value. A name given without
    /// wildcards comes back as it was spelled, and finds hidden parameters too.
    pub fn get(&self, patterns: &[&[u8]]) -> Vec<(String, Vec<u8>)> {
        let mut found: Vec<(String, Vec<u8>)> = Vec::new();
        let mut add = |name: String, param: &Param| {
            if !found.iter().any(|(known, _)| known.eq_ignore_ascii_case(&name)) {
                found.push((name, param.text(self)));
            }
        };
        for pattern in patterns {
            if !pattern.iter().any(|byte| b"[*?".contains(byte)) {
                if let Some(param) = find(pattern) {
                    add(String::from_utf8_lossy(pattern).into_owned(), param);
                }
                continue;
            }
            for param in PARAMS.iter().filter(|param| !param.flags.contains(Flags::HIDDEN)) {
                for name in [param.name, param.alias] {
                    if !name.is_empty() && glob::matches_nocase(pattern, name.as_bytes()) {
                        add(name.to_owned(), param);
                    }
                }
            }
        }
        found
    }

    /// CONFIG SET: all pairs or none. Returns what to do now, each step once. A caller whose step fails puts back the
    /// copy that it took before, and carries out the steps again.
    pub fn set_all(&mut self, pairs: &[(&[u8], &[u8])], asked: Circumstances) -> Result<Vec<Apply>, ConfigError> {
        let params = self.check_names(pairs, asked)?;
        let mut before = self.clone();
        let moves = params.iter().any(|(param, _)| param.name == "dir");
        if moves {
            before.dir.remember();
        }
        let mut steps: Vec<Apply> = Vec::new();
        for ((param, spelled), (_, value)) in params.iter().zip(pairs) {
            let old = param.text(self);
            if let Err(reason) = param.set_text(self, value) {
                *self = before;
                if moves {
                    self.dir.enter_again();
                }
                return Err(refused(spelled.as_bytes(), &reason));
            }
            let changed = old != param.text(self) || param.flags.contains(Flags::VOLATILE);
            if changed && param.apply != Apply::Nothing && !steps.contains(&param.apply) {
                steps.push(param.apply);
            }
        }
        Ok(steps)
    }

    /// Names come before values: the first bad one, in the order given, decides. A name and its alias do not count as
    /// the same one: both may be set, the later one wins.
    fn check_names(
        &self,
        pairs: &[(&[u8], &[u8])],
        asked: Circumstances,
    ) -> Result<Vec<(&'static Param, &'static str)>, ConfigError> {
        let mut params: Vec<(&'static Param, &'static str)> = Vec::new();
        for (name, _) in pairs {
            let unknown = || {
                // Redis shows names up to a null byte.
                let shown = name.split(|byte| *byte == 0).next().unwrap_or(name);
                ConfigError::Unknown(String::from_utf8_lossy(shown).into_owned())
            };
            let (param, spelled) = find_spelled(name).ok_or_else(unknown)?;
            if param.flags.contains(Flags::IMMUTABLE) {
                return Err(refused(name, "can't set immutable config"));
            }
            if param.flags.contains(Flags::PROTECTED) && !self.enable_protected_configs.allows(asked.local_client) {
                return Err(refused(name, "can't set protected config"));
            }
            if param.flags.contains(Flags::DENY_LOADING) && asked.loading {
                return Err(ConfigError::Loading);
            }
            if params.iter().any(|(_, known)| *known == spelled) {
                return Err(refused(name, "duplicate parameter"));
            }
            params.push((param, spelled));
        }
        Ok(params)
    }

    /// Why no server can be started as this asks: it would be another one than its clients take it for.
    pub fn cannot_be(&self) -> Option<&'static str> {
        let reasons = [
            (self.replicaof.0.is_some(), "Torc cannot be a replica yet: remove the 'replicaof' line"),
            (self.cluster_enabled, "Torc cannot be part of a cluster yet: remove the 'cluster-enabled' line"),
        ];
        reasons.into_iter().find(|(asked, _)| *asked).map(|(_, reason)| reason)
    }

    /// Whether data is to be kept on disk, and is not.
    pub fn loses_data(&self) -> bool {
        let asked = [("save", !self.save.points.is_empty()), ("appendonly", self.appendonly)];
        asked.iter().any(|(name, on)| *on && find(name.as_bytes()).is_some_and(|param| param.effect == Effect::Later))
    }

    /// Parameters that were given another value than the default and that have no effect yet. One that is switched off
    /// asks for nothing, so that it is as good as obeyed.
    pub fn set_without_effect(&self) -> Vec<&'static str> {
        let untouched = Config::default();
        let asks = |param: &&Param| {
            let text = param.text(self);
            !matches!(&text[..], b"" | b"no" | b"0") && text != param.text(&untouched)
        };
        PARAMS.iter().filter(|param| param.effect == Effect::Later).filter(asks).map(|param| param.name).collect()
    }
}

fn refused(name: &[u8], reason: &str) -> ConfigError {
    ConfigError::Refused { name: String::from_utf8_lossy(name).into_owned(), reason: reason.to_owned() }
}

impl Access {
    /// Whether somebody who is or is not on this machine may.
    pub fn allows(self, local: bool) -> bool {
        match self {
            Access::No => false,
            Access::Yes => true,
            Access::Local => local,
        }
    }
}
