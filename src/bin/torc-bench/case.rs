//! What a comparison runs: named cases.

#![forbid(unsafe_code)]

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::suite;

const CONNECTIONS_MAX: usize = 60_000;
const PIPELINE_MAX: usize = 10_000;
const THREADS_MAX: usize = 1024;
const KEYS_MAX: u64 = 100_000_000;
const ELEMENTS_MAX: u64 = 1_000_000;
const VALUE_LEN_MAX: usize = 512 << 20;
const RATE_MAX: u64 = 1_000_000_000;
/// What a name that says nothing of it means.
pub(crate) const VALUE_LEN: usize = 64;

/// How the load reaches the server.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Transport {
    #[default]
    Tcp,
    Unix,
    /// Over TCP, with one cipher: see `server_process`.
    Tls,
}

/// How transports but TCP are named, for programs and for people.
const TRANSPORTS: [(Transport, &str, &str); 2] =
    [(Transport::Unix, "unix", "Unix socket"), (Transport::Tls, "tls", "TLS")];

impl Transport {
    /// The name in a case's name; none for TCP.
    fn name(self) -> Option<&'static str> {
        TRANSPORTS.iter().find(|(transport, ..)| *transport == self).map(|(_, name, _)| *name)
    }

    fn of(name: &str) -> Option<Transport> {
        TRANSPORTS.iter().find(|(_, known, _)| *known == name).map(|(transport, ..)| *transport)
    }

    /// What tables and plots say of it; nothing of TCP.
    pub(crate) fn title(self) -> Option<&'static str> {
        TRANSPORTS.iter().find(|(transport, ..)| *transport == self).map(|(.., title)| *title)
    }
}

/// A type of value, for cases of memory.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    String,
    List,
    Hash,
    Set,
    Zset,
    Stream,
}

const KINDS: [(Kind, &str); 6] = [
    (Kind::String, "string"),
    (Kind::List, "list"),
    (Kind::Hash, "hash"),
    (Kind::Set, "set"),
    (Kind::Zset, "zset"),
    (Kind::Stream, "stream"),
];

impl Kind {
    pub(crate) fn name(self) -> &'static str {
        KINDS.iter().find(|(kind, _)| *kind == self).map_or("", |(_, name)| name)
    }
}

/// A load.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LoadCase {
    /// A test by name, or `mixed`: nine GET, one SET.
    pub(crate) test: String,
    pub(crate) clients: usize,
    pub(crate) pipeline: usize,
    pub(crate) value_bytes: usize,
    pub(crate) transport: Transport,
    pub(crate) threads: usize,
    /// Requests per second that are due; none: each when the one before was answered.
    pub(crate) rate: Option<u64>,
}

/// One case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// Load on a server with keys: CPU time per request.
    Load(LoadCase),
    /// A fresh server filled with so many keys, of `elements` each: resident memory.
    Memory { kind: Kind, keys: u64, elements: u64, value_bytes: usize },
    /// A fresh server with so many connections that ask nothing: resident memory of each.
    Idle { connections: usize, transport: Transport },
}

impl Case {
    /// How many connections it opens.
    pub(crate) fn connections(&self) -> usize {
        match self {
            Case::Load(load) => load.clients,
            Case::Idle { connections, .. } => *connections,
            Case::Memory { .. } => 1,
        }
    }

    /// How it reaches the server.
    pub(crate) fn transport(&self) -> Transport {
        match self {
            Case::Load(load) => load.transport,
            Case::Idle { transport, .. } => *transport,
            Case::Memory { .. } => Transport::Tcp,
        }
    }

    /// For people.
    pub(crate) fn label(&self) -> String {
        match self {
            Case::Load(load) => load.label(),
            Case::Memory { kind: Kind::String, keys, value_bytes: VALUE_LEN, .. } => {
                format!("memory, {} keys", short(*keys))
            }
            Case::Memory { kind: Kind::String, keys, value_bytes, .. } => {
                format!("memory, {} keys of {}", short(*keys), bytes(*value_bytes))
            }
            Case::Memory { kind, keys, elements, value_bytes } => {
                let (name, keys, elements) = (kind.name(), short(*keys), short(*elements));
                let ending = if *kind == Kind::Hash { "es" } else { "s" };
                format!("memory, {keys} {name}{ending} of {elements} x {}", bytes(*value_bytes))
            }
            Case::Idle { connections, transport } => {
                let over = transport.title().map_or(String::new(), |title| format!(", {title}"));
                format!("memory, {} idle{over}", short(*connections as u64))
            }
        }
    }

    fn is_possible(&self) -> bool {
        match self {
            Case::Load(load) => load.is_possible(),
            Case::Memory { keys, elements, value_bytes, .. } => {
                (1..=KEYS_MAX).contains(keys)
                    && (1..=ELEMENTS_MAX).contains(elements)
                    && (1..=VALUE_LEN_MAX).contains(value_bytes)
            }
            Case::Idle { connections, .. } => (1..=CONNECTIONS_MAX).contains(connections),
        }
    }
}

impl LoadCase {
    fn label(&self) -> String {
        let mut label = format!("{} c={}", self.test.to_uppercase(), self.clients);
        if self.pipeline != 1 {
            label.push_str(&format!(" P={}", self.pipeline));
        }
        if self.value_bytes != VALUE_LEN {
            label.push_str(&format!(" {}", bytes(self.value_bytes)));
        }
        if let Some(name) = self.transport.name() {
            label.push_str(&format!(" {name}"));
        }
        if self.threads != 1 {
            label.push_str(&format!(" t={}", self.threads));
        }
        if let Some(rate) = self.rate {
            label.push_str(&format!(" {}/s", short(rate)));
        }
        label
    }

    fn is_possible(&self) -> bool {
        (self.test == "mixed" || suite::find(&self.test).is_some())
            && (1..=CONNECTIONS_MAX).contains(&self.clients)
            && (1..=PIPELINE_MAX).contains(&self.pipeline)
            && (1..=VALUE_LEN_MAX).contains(&self.value_bytes)
            && (1..=THREADS_MAX.min(self.clients)).contains(&self.threads)
            && self.rate.is_none_or(|rate| (1..=RATE_MAX).contains(&rate))
    }

    /// Bytes that requests or replies may hold at one time.
    pub(crate) fn bytes_in_flight(&self) -> usize {
        self.clients.saturating_mul(self.pipeline).saturating_mul(self.value_bytes)
    }
}

fn short(number: u64) -> String {
    match number {
        _ if number > 0 && number.is_multiple_of(1_000_000) => format!("{} M", number / 1_000_000),
        _ if number > 0 && number.is_multiple_of(1000) => format!("{} k", number / 1000),
        _ => number.to_string(),
    }
}

fn bytes(len: usize) -> String {
    match len {
        _ if len >= 1 << 20 && len.is_multiple_of(1 << 20) => format!("{} MiB", len >> 20),
        _ if len >= 1 << 10 && len.is_multiple_of(1 << 10) => format!("{} KiB", len >> 10),
        _ => format!("{len} B"),
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Case::Load(load) => {
                write!(out, "{}-c{}-p{}", load.test, load.clients, load.pipeline)?;
                if load.value_bytes != VALUE_LEN {
                    write!(out, "-d{}", load.value_bytes)?;
                }
                load.transport.name().map_or(Ok(()), |name| write!(out, "-{name}"))?;
                if load.threads != 1 {
                    write!(out, "-t{}", load.threads)?;
                }
                load.rate.map_or(Ok(()), |rate| write!(out, "-r{rate}"))
            }
            Case::Memory { kind: Kind::String, keys, value_bytes: VALUE_LEN, .. } => write!(out, "memory-{keys}"),
            Case::Memory { kind, keys, elements, value_bytes } => {
                write!(out, "memory-{}-{keys}-e{elements}-d{value_bytes}", kind.name())
            }
            Case::Idle { connections, transport } => {
                write!(out, "idle-{connections}")?;
                transport.name().map_or(Ok(()), |name| write!(out, "-{name}"))
            }
        }
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(name: &str) -> Result<Case, String> {
        let parts: Vec<&str> = name.split('-').collect();
        let case = match parts[..] {
            ["memory", keys] => keys.parse().ok().map(|keys| Case::Memory {
                kind: Kind::String,
                keys,
                elements: 1,
                value_bytes: VALUE_LEN,
            }),
            ["memory", kind, keys, elements, value_bytes] => memory(kind, keys, elements, value_bytes),
            ["idle", connections, ref over @ ..] if over.len() <= 1 => {
                let transport = over.first().map_or(Some(Transport::Tcp), |name| Transport::of(name));
                connections
                    .parse()
                    .ok()
                    .zip(transport)
                    .map(|(connections, transport)| Case::Idle { connections, transport })
            }
            [test, ref rest @ ..] => load(test, rest).map(Case::Load),
            [] => None,
        };
        case.filter(Case::is_possible)
            .ok_or_else(|| format!("{name:?} is not a case like get-c50-p16, memory-1000000 or idle-10000"))
    }
}

fn memory(kind: &str, keys: &str, elements: &str, value_bytes: &str) -> Option<Case> {
    Some(Case::Memory {
        kind: KINDS.iter().find(|(_, name)| *name == kind)?.0,
        keys: keys.parse().ok()?,
        elements: elements.strip_prefix('e')?.parse().ok()?,
        value_bytes: value_bytes.strip_prefix('d')?.parse().ok()?,
    })
}

fn load(test: &str, rest: &[&str]) -> Option<LoadCase> {
    let mut case = LoadCase {
        test: test.to_owned(),
        clients: 0,
        pipeline: 0,
        value_bytes: VALUE_LEN,
        transport: Transport::Tcp,
        threads: 1,
        rate: None,
    };
    for part in rest {
        if let Some(transport) = Transport::of(part) {
            case.transport = transport;
            continue;
        }
        let (letter, number) = part.split_at_checked(1)?;
        match letter {
            "c" => case.clients = number.parse().ok()?,
            "p" => case.pipeline = number.parse().ok()?,
            "d" => case.value_bytes = number.parse().ok()?,
            "t" => case.threads = number.parse().ok()?,
            "r" => case.rate = Some(number.parse().ok()?),
            _ => return None,
        }
    }
    Some(case)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        for (name, label) in [
            ("get-c50-p1", "GET c=50"),
            ("get-c50-p16", "GET c=50 P=16"),
            ("mixed-c1-p1-d1024-unix-t1", "MIXED c=1 1 KiB unix"),
            ("lrange_100-c50-p1-d8-unix-r50000", "LRANGE_100 c=50 8 B unix 50 k/s"),
            ("set-c8-p1-t4", "SET c=8 t=4"),
            ("memory-1000000", "memory, 1 M keys"),
            ("memory-hash-1000-e10-d16", "memory, 1 k hashes of 10 x 16 B"),
            ("memory-string-1000-e1-d1048576", "memory, 1 k keys of 1 MiB"),
            ("idle-10000", "memory, 10 k idle"),
            ("idle-5000-tls", "memory, 5 k idle, TLS"),
            ("get-c50-p16-tls", "GET c=50 P=16 tls"),
        ] {
            let case: Case = name.parse().unwrap();
            assert_eq!(case.label(), label);
            assert_eq!(case.to_string().parse(), Ok(case));
        }
    }

    #[test]
    fn other_names_are_refused() {
        for name in [
            "",
            "get",
            "get-c0-p1",
            "get-c1-p0",
            "zap-c1-p1",
            "memory-0",
            "memory-heap-1-e1-d1",
            "idle-x",
            "idle-1-ssl",
            "idle-1-tls-tls",
            "get-50-16",
            "get-c1-p1-x",
            "get-c2-p1-t3",
            "get-c1-p1-r0",
            "get-c1-p1-é",
        ] {
            assert!(name.parse::<Case>().is_err(), "{name}");
        }
    }
}
