//! What a comparison runs: named cases.

#![forbid(unsafe_code)]

use std::str::FromStr;

/// The cases that run when none is named.
const HEADLINE: [&str; 10] = [
    "get-c1-p1",
    "get-c50-p1",
    "set-c50-p1",
    "get-c500-p1",
    "get-c5000-p1",
    "get-c50-p16",
    "set-c50-p16",
    "get-c50-p64",
    "memory-1000000",
    "idle-10000",
];
/// The commands that a load case may name: those whose replies are checked.
const COMMANDS: [&str; 5] = ["get", "set", "ping", "incr", "mixed"];
const CONNECTIONS_MAX: usize = 60_000;
const PIPELINE_MAX: usize = 10_000;
const KEYS_MAX: u64 = 100_000_000;

/// One case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// Load on a populated server: CPU time per request.
    Load { command: String, connections: usize, pipeline: usize },
    /// A fresh server filled with so many keys: resident memory.
    Memory { keys: u64 },
    /// A fresh server with so many connections that ask nothing: resident memory of each.
    Idle { connections: usize },
}

impl Case {
    /// The project's headline cases.
    pub(crate) fn headline() -> Vec<Case> {
        HEADLINE.iter().map(|name| name.parse().expect("the list above is tested")).collect()
    }

    /// How many connections it opens.
    pub(crate) fn connections(&self) -> usize {
        match self {
            Case::Load { connections, .. } | Case::Idle { connections } => *connections,
            Case::Memory { .. } => 1,
        }
    }

    /// For people.
    pub(crate) fn label(&self) -> String {
        match self {
            Case::Load { command, connections, pipeline: 1 } => format!("{} c={connections}", command.to_uppercase()),
            Case::Load { command, connections, pipeline } => {
                format!("{} c={connections} P={pipeline}", command.to_uppercase())
            }
            Case::Memory { keys } => format!("memory, {} keys", short(*keys)),
            Case::Idle { connections } => format!("memory, {} idle", short(*connections as u64)),
        }
    }
}

fn short(number: u64) -> String {
    match number {
        _ if number > 0 && number.is_multiple_of(1_000_000) => format!("{} M", number / 1_000_000),
        _ if number > 0 && number.is_multiple_of(1000) => format!("{} k", number / 1000),
        _ => number.to_string(),
    }
}

impl std::fmt::Display for Case {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Case::Load { command, connections, pipeline } => write!(out, "{command}-c{connections}-p{pipeline}"),
            Case::Memory { keys } => write!(out, "memory-{keys}"),
            Case::Idle { connections } => write!(out, "idle-{connections}"),
        }
    }
}

impl FromStr for Case {
    type Err = String;

    fn from_str(name: &str) -> Result<Case, String> {
        let case = match name.split('-').collect::<Vec<_>>()[..] {
            ["memory", keys] => keys.parse().ok().map(|keys| Case::Memory { keys }),
            ["idle", connections] => connections.parse().ok().map(|connections| Case::Idle { connections }),
            [command, connections, pipeline] if COMMANDS.contains(&command) => {
                let connections = connections.strip_prefix('c').and_then(|number| number.parse().ok());
                let pipeline = pipeline.strip_prefix('p').and_then(|number| number.parse().ok());
                connections.zip(pipeline).map(|(connections, pipeline)| Case::Load {
                    command: command.to_owned(),
                    connections,
                    pipeline,
                })
            }
            _ => None,
        };
        case.filter(Case::is_possible).ok_or_else(|| {
            format!("not a case like get-c50-p16, memory-1000000 or idle-10000; commands: {}", COMMANDS.join(", "))
        })
    }
}

impl Case {
    fn is_possible(&self) -> bool {
        match self {
            Case::Load { connections, pipeline, .. } => {
                (1..=CONNECTIONS_MAX).contains(connections) && (1..=PIPELINE_MAX).contains(pipeline)
            }
            Case::Memory { keys } => (1..=KEYS_MAX).contains(keys),
            Case::Idle { connections } => (1..=CONNECTIONS_MAX).contains(connections),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let headline = Case::headline();
        for (case, name) in headline.iter().zip(HEADLINE) {
            assert_eq!(case.to_string(), name);
        }
        assert_eq!(headline[5].label(), "GET c=50 P=16");
        assert_eq!(headline[8].label(), "memory, 1 M keys");
    }

    #[test]
    fn other_names_are_refused() {
        for name in ["", "get", "get-c0-p1", "get-c1-p0", "del-c1-p1", "memory-0", "idle-x", "get-50-16", "get-c1-p1-x"]
        {
            assert!(name.parse::<Case>().is_err(), "{name}");
        }
    }
}
