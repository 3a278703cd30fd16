//! Parameters that take one of a few words. Pure; any thread.

#![forbid(unsafe_code)]

use super::value::{Reason, Rule, Value, single};

/// The refusal of a word that is none of `names`.
pub(super) fn none_of(names: &[&str]) -> Reason {
    format!("argument(s) must be one of the following: {}", names.join(", ")).into()
}

/// Declares an enumeration with the word of each variant; the first is the default before the table's own is set.
macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($variant:ident = $word:literal),* })*) => {
        $($(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        #[repr(u8)]
        pub enum $name {
            #[default]
            $(#[doc = concat!("`", $word, "`.")] $variant,)*
        }

        impl $name {
            /// The words in Redis' order.
            pub const NAMES: &'static [&'static str] = &[$($word),*];
            const VARIANTS: &'static [$name] = &[$($name::$variant),*];

            /// Its word.
            pub fn name(self) -> &'static str {
                Self::NAMES[self as usize]
            }
        }

        impl Value for $name {
            fn set(&mut self, _rule: &Rule, args: &[&[u8]]) -> Result<(), Reason> {
                let arg = single(args)?;
                let index = Self::NAMES.iter().position(|name| arg.eq_ignore_ascii_case(name.as_bytes()));
                *self = Self::VARIANTS[index.ok_or_else(|| none_of(Self::NAMES))?];
                Ok(())
            }

            fn text(&self, _rule: &Rule) -> Vec<u8> {
                self.name().as_bytes().to_vec()
            }
        })*
    };
}

choices! {
    /// Channels of a new ACL user.
    AclPubsubDefault { AllChannels = "allchannels", ResetChannels = "resetchannels" }
    /// When the append-only file is forced to disk.
    AppendFsync { EverySec = "everysec", Always = "always", No = "no" }
    /// How cluster replies name a node.
    EndpointType { Ip = "ip", Hostname = "hostname", Unknown = "unknown-endpoint" }
    /// Who may use a dangerous command or change a protected parameter.
    Access { No = "no", Yes = "yes", Local = "local" }
    /// What the network layer is built on.
    IoBackend { Auto = "auto", Ring = "ring", Epoll = "epoll" }
    /// What is worth a line in the log.
    LogLevel { Debug = "debug", Verbose = "verbose", Notice = "notice", Warning = "warning", Nothing = "nothing" }
    /// Which keys go when memory is short.
    MaxmemoryPolicy {
        VolatileLru = "volatile-lru",
        VolatileLfu = "volatile-lfu",
        VolatileRandom = "volatile-random",
        VolatileTtl = "volatile-ttl",
        AllKeysLru = "allkeys-lru",
        AllKeysLfu = "allkeys-lfu",
        AllKeysRandom = "allkeys-random",
        NoEviction = "noeviction"
    }
    /// What an impossible replicated command does.
    PropagationError { Ignore = "ignore", Panic = "panic", PanicOnReplicas = "panic-on-replicas" }
    /// Whether a snapshot is loaded straight from the socket.
    DisklessLoad { Disabled = "disabled", OnEmptyDb = "on-empty-db", SwapDb = "swapdb" }
    /// Whether RESTORE checks payloads in depth.
    SanitizeDump { No = "no", Yes = "yes", Clients = "clients" }
    /// Which service manager watches the process.
    Supervised { Upstart = "upstart", Systemd = "systemd", Auto = "auto", No = "no" }
    /// Where syslog files the lines.
    SyslogFacility {
        User = "user",
        Local0 = "local0",
        Local1 = "local1",
        Local2 = "local2",
        Local3 = "local3",
        Local4 = "local4",
        Local5 = "local5",
        Local6 = "local6",
        Local7 = "local7"
    }
    /// Whether TLS clients show a certificate.
    TlsAuthClients { No = "no", Yes = "yes", Optional = "optional" }
}

/// How the kernel's out-of-memory score is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OomScoreAdj {
    /// Not at all.
    #[default]
    No,
    /// Relative to the score at the start; shown as `yes`, which means the same.
    Relative,
    /// As it stands.
    Absolute,
}

impl OomScoreAdj {
    /// The words in Redis' order.
    pub const NAMES: &'static [&'static str] = &["no", "yes", "relative", "absolute"];

    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            OomScoreAdj::No => "no",
            OomScoreAdj::Relative => "yes",
            OomScoreAdj::Absolute => "absolute",
        }
    }
}

impl Value for OomScoreAdj {
    fn set(&mut self, _rule: &Rule, args: &[&[u8]]) -> Result<(), Reason> {
        *self = match single(args)?.to_ascii_lowercase().as_slice() {
            b"no" => OomScoreAdj::No,
            b"yes" | b"relative" => OomScoreAdj::Relative,
            b"absolute" => OomScoreAdj::Absolute,
            _ => return Err(none_of(Self::NAMES)),
        };
        Ok(())
    }

    fn text(&self, _rule: &Rule) -> Vec<u8> {
        self.name().as_bytes().to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_read_in_any_case_and_shown_in_lower_case() {
        let mut policy = MaxmemoryPolicy::default();
        let rule = Rule::Choice(MaxmemoryPolicy::NAMES);
        policy.set(&rule, &[b"ALLKEYS-LRU"]).expect("a known word");
        assert_eq!(policy, MaxmemoryPolicy::AllKeysLru);
        assert_eq!(policy.text(&rule), b"allkeys-lru");
        let mut level = LogLevel::Notice;
        for arg in [&b""[..], b"debug notice", b"loud"] {
            let reason = "argument(s) must be one of the following: debug, verbose, notice, warning, nothing";
            assert_eq!(level.set(&rule, &[arg]), Err(reason.into()));
        }
        assert_eq!(level.set(&rule, &[b"debug", b"notice"]), Err("wrong number of arguments".into()));
        assert_eq!(level, LogLevel::Notice);
    }

    #[test]
    fn relative_is_shown_as_yes() {
        let mut score = OomScoreAdj::No;
        score.set(&Rule::Choice(OomScoreAdj::NAMES), &[b"relative"]).expect("a known word");
        assert_eq!(score, OomScoreAdj::Relative);
        assert_eq!(score.name(), "yes");
    }
}
