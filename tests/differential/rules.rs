//! How two replies to the same command are compared, where they cannot be the same bytes.

use super::harness::Value;

/// How the two replies to a command are compared.
#[derive(Clone, Debug)]
pub(crate) enum Rule {
    /// Byte for byte.
    Same,
    /// The members of every aggregate in any order: what comes out of a hash table.
    AnyOrder,
    /// The same, but for the notes in key specifications, which are sentences of our own.
    CommandInfo,
    /// `[cursor, members]` of a scan that takes everything at once.
    WholeScan,
    /// Integers at most this far apart, negative ones the same.
    Near(i64),
    /// Of one kind, errors being the same; what other replies say depends on the server.
    Kind,
    /// The line of a client, but for addresses, ages and sizes.
    Client,
    /// Lines in any order; of their fields those that count.
    Counts,
    /// EXEC: as many as were queued, each by its rule.
    Each(Vec<Rule>),
}

impl Rule {
    /// A rule from its name in the table.
    pub(crate) fn parse(text: &str) -> Rule {
        let words = text.split_whitespace().collect::<Vec<_>>();
        match words[..] {
            ["any-order"] => Rule::AnyOrder,
            ["command-info"] => Rule::CommandInfo,
            ["whole-scan"] => Rule::WholeScan,
            ["near", distance] => Rule::Near(distance.parse().unwrap()),
            ["kind"] => Rule::Kind,
            ["client"] => Rule::Client,
            ["counts"] => Rule::Counts,
            _ => panic!("no rule is called {text:?}"),
        }
    }

    /// Whether ours may be where theirs is.
    pub(crate) fn accepts(&self, theirs: &[u8], ours: &[u8]) -> bool {
        if theirs == ours {
            return true;
        }
        match (decoded(theirs), decoded(ours)) {
            (Some(theirs), Some(ours)) => self.accepts_values(&theirs, &ours),
            _ => false,
        }
    }

    fn accepts_values(&self, theirs: &Value, ours: &Value) -> bool {
        if theirs == ours {
            return true;
        }
        let same_kind = std::mem::discriminant(theirs) == std::mem::discriminant(ours);
        if !same_kind || matches!(theirs, Value::Error(_)) {
            return false;
        }
        match (self, theirs, ours) {
            (Rule::Same, ..) => false,
            (Rule::Kind, ..) => true,
            (Rule::AnyOrder, ..) => sorted(theirs) == sorted(ours),
            (Rule::CommandInfo, ..) => sorted(&without_notes(theirs)) == sorted(&without_notes(ours)),
            (Rule::Near(distance), Value::Integer(theirs), Value::Integer(ours)) => {
                *theirs >= 0 && *ours >= 0 && (theirs - ours).abs() <= *distance
            }
            (Rule::Near(_), Value::Array(theirs), Value::Array(ours)) => {
                theirs.len() == ours.len()
                    && theirs.iter().zip(ours).all(|(theirs, ours)| self.accepts_values(theirs, ours))
            }
            (Rule::WholeScan, Value::Array(theirs), Value::Array(ours)) if theirs.len() == 2 && ours.len() == 2 => {
                theirs[0] == ours[0] && Rule::AnyOrder.accepts_values(&theirs[1], &ours[1])
            }
            (Rule::Each(rules), Value::Array(theirs), Value::Array(ours)) => {
                let pairs = theirs.iter().zip(ours);
                theirs.len() == ours.len()
                    && theirs.len() == rules.len()
                    && rules.iter().zip(pairs).all(|(rule, (theirs, ours))| rule.accepts_values(theirs, ours))
            }
            (Rule::Client, ..) => client(theirs) == client(ours),
            (Rule::Counts, ..) => counts(theirs) == counts(ours),
            _ => false,
        }
    }
}

fn decoded(bytes: &[u8]) -> Option<Value> {
    Value::decode(bytes).ok()?.map(|(value, _)| value)
}

/// The notation of a value with the members of every aggregate sorted.
fn sorted(value: &Value) -> String {
    let sort = |items: Vec<String>| {
        let mut items = items;
        items.sort();
        items.join(", ")
    };
    match value {
        Value::Array(items) => format!("[{}]", sort(items.iter().map(sorted).collect())),
        Value::Set(items) => format!("~[{}]", sort(items.iter().map(sorted).collect())),
        Value::Map(pairs) => {
            format!(
                "{{{}}}",
                sort(pairs.iter().map(|(key, value)| format!("{}: {}", sorted(key), sorted(value))).collect())
            )
        }
        other => other.to_string(),
    }
}

fn without_notes(value: &Value) -> Value {
    let notes = Value::Bulk(b"notes".to_vec());
    match value {
        Value::Array(items) => {
            let mut after_notes = false;
            let items = items.iter().map(|item| match std::mem::replace(&mut after_notes, *item == notes) {
                true => Value::Null,
                false => without_notes(item),
            });
            Value::Array(items.collect())
        }
        Value::Set(items) => Value::Set(items.iter().map(without_notes).collect()),
        Value::Map(pairs) => {
            let pairs = pairs.iter().filter(|(key, _)| *key != notes);
            Value::Map(pairs.map(|(key, value)| (key.clone(), without_notes(value))).collect())
        }
        other => other.clone(),
    }
}

fn text(value: &Value) -> Option<String> {
    matches!(value, Value::Bulk(_) | Value::Verbatim(..) | Value::Status(_)).then(|| value.text())
}

/// The fields of a client that do not depend on the host, the moment or the allocator.
fn client(value: &Value) -> Option<Vec<String>> {
    const OTHERWISE: &[&str] = &[
        "id",
        "addr",
        "laddr",
        "fd",
        "age",
        "idle",
        "qbuf",
        "qbuf-free",
        "obl",
        "oll",
        "argv-mem",
        "multi-mem",
        "rbs",
        "rbp",
        "omem",
        "tot-mem",
        "tot-net-in",
        "tot-net-out",
        "redir",
    ];
    let text = text(value)?;
    let fields = text.split_whitespace().map(|field| match field.split_once('=') {
        Some((name, _)) if OTHERWISE.contains(&name) => name.to_owned(),
        _ => field.to_owned(),
    });
    Some(fields.collect())
}

/// The lines sorted, of their fields only names and those figures that do not measure time.
fn counts(value: &Value) -> Option<Vec<String>> {
    let text = text(value)?;
    let lines = text.lines().map(|line| {
        let fields = line.split(',').filter(|field| !field.contains("usec") && !field.contains("avg_ttl"));
        fields.collect::<Vec<_>>().join(",")
    });
    let mut lines = lines.collect::<Vec<_>>();
    lines.sort();
    Some(lines)
}
