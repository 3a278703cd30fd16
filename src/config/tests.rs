//! The table against the committed list of Redis 8.0.6, and CONFIG GET and SET as a client sees them.

use super::table::{CHANGEABLE_HERE, Flags, OWN_NAMES};
use super::value::{Rule, Unit};
use super::*;

/// One row of `tests/data/config.tsv`.
struct Row<'a> {
    columns: Vec<&'a str>,
}

impl<'a> Row<'a> {
    fn column(&self, index: usize) -> &'a str {
        self.columns.get(index).copied().unwrap_or("")
    }
}

fn rows() -> Vec<Row<'static>> {
    let text = include_str!("../../tests/data/config.tsv");
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some("name\talias\ttype\tdefault\tallowed\tvalue_syntax\tmutability\tflags"));
    lines.map(|line| Row { columns: line.split('\t').collect() }).collect()
}

/// The columns `type`, `allowed` and `value_syntax` as the rule would write them; `None` where they are prose.
fn described(rule: &Rule) -> (&'static [&'static str], Option<String>, &'static str) {
    let numbers = &["int", "uint", "ulong", "long long", "ulong long", "size_t", "off_t", "time_t"];
    match *rule {
        Rule::Bool | Rule::Unavailable(_) => (&["bool"], Some("yes|no (case-insensitive)".to_owned()), ""),
        Rule::Number { min, max, unit } | Rule::Clamped { min, max, unit, .. } => {
            let syntax = if unit == Unit::Bytes { "memory" } else { "integer" };
            (numbers, Some(format!("{min}..{max}")), syntax)
        }
        Rule::Octal { max } => (&["uint"], Some(format!("octal 0..{max:o}")), "octal"),
        Rule::MemoryOrPercent => (&["ssize_t"], Some(format!("-100..{}", i64::MAX)), "memory or percent (N%)"),
        Rule::Choice(names) => (&["enum"], Some(names.join("|")), ""),
        Rule::Text(_) => (&["string", "sds"], Some("any".to_owned()), ""),
        Rule::Special => (&["special"], None, ""),
    }
}

#[test]
fn the_table_is_redis_8_0_6() {
    let (rows, config) = (rows(), Config::default());
    assert_eq!(rows.len() + OWN_NAMES.len(), PARAMS.len());
    let own = |param: &&Param| OWN_NAMES.contains(&param.name);
    assert_eq!(PARAMS.iter().filter(own).count(), OWN_NAMES.len());
    for (row, param) in rows.iter().zip(PARAMS.iter().filter(|param| !own(param))) {
        let name = row.column(0);
        assert_eq!((param.name, param.alias), (name, row.column(1)));
        let (types, allowed, syntax) = described(&param.rule);
        assert!(types.contains(&row.column(2)), "{name}: {}", row.column(2));
        if let Some(allowed) = allowed {
            assert_eq!(allowed, row.column(4), "{name}");
        }
        assert_eq!(syntax, row.column(5), "{name}");
        if name != "dir" {
            assert_eq!(String::from_utf8_lossy(&param.text(&config)), row.column(3), "{name}");
        }
        let words = [
            (Flags::SENSITIVE, "sensitive"),
            (Flags::HIDDEN, "hidden"),
            (Flags::PROTECTED, "protected"),
            (Flags::MULTI, "multi_arg"),
            (Flags::DEBUG, "debug"),
            (Flags::DENY_LOADING, "deny_loading"),
            (Flags::VOLATILE, "volatile"),
        ];
        for (flag, word) in words {
            assert_eq!(
                param.flags.contains(flag),
                row.column(7).split(' ').any(|given| given == word),
                "{name} {word}"
            );
        }
        let fixed = param.flags.contains(Flags::IMMUTABLE) || CHANGEABLE_HERE.contains(&name);
        assert_eq!(if fixed { "immutable" } else { "mutable" }, row.column(6), "{name}");
    }
}

#[test]
fn names_are_unique_and_sorted() {
    let names = PARAMS.iter().map(|param| param.name).collect::<Vec<_>>();
    assert!(names.is_sorted());
    let mut all = PARAMS.iter().flat_map(|param| [param.name, param.alias]).filter(|name| !name.is_empty());
    let mut seen = std::collections::HashSet::new();
    assert!(all.all(|name| seen.insert(name)));
}

#[test]
fn every_value_is_read_back_as_it_is_shown() {
    let mut config = Config::default();
    // Setting the folder would enter it for all tests, and no master has no syntax of its own.
    for param in PARAMS.iter().filter(|param| !["dir", "replicaof"].contains(&param.name)) {
        let shown = param.text(&config);
        param.set_text(&mut config, &shown).unwrap_or_else(|reason| panic!("{}: {reason}", param.name));
        assert_eq!(param.text(&config), shown, "{}", param.name);
    }
    assert_eq!(config, Config::default());
}

fn get(config: &Config, patterns: &[&str]) -> Vec<(String, String)> {
    let patterns = patterns.iter().map(|pattern| pattern.as_bytes()).collect::<Vec<_>>();
    let found = config.get(&patterns).into_iter();
    found.map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned())).collect()
}

fn names(config: &Config, patterns: &[&str]) -> Vec<String> {
    get(config, patterns).into_iter().map(|(name, _)| name).collect()
}

fn set(config: &mut Config, pairs: &[(&str, &str)]) -> Result<Vec<Apply>, String> {
    let pairs = pairs.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect::<Vec<_>>();
    config.set_all(&pairs, Circumstances::default()).map_err(|error| error.to_string())
}

#[test]
fn config_get() {
    let config = Config::default();
    assert_eq!(get(&config, &["MAXMEMORY"]), [("MAXMEMORY".to_owned(), "0".to_owned())]);
    assert_eq!(names(&config, &["key-load*"]), Vec::<String>::new());
    assert_eq!(names(&config, &["KEY-load-delay"]), ["KEY-load-delay"]);
    assert_eq!(names(&config, &["slave-priority", "replica-priority"]), ["slave-priority", "replica-priority"]);
    assert_eq!(names(&config, &["TIMEOUT", "timeout", "time*"]), ["TIMEOUT"]);
    assert_eq!(names(&config, &["Maxme?oRY", "maxmemory", "m[a]xmemory"]), ["maxmemory"]);
    let ziplists = names(&config, &["*-ziplist-*"]);
    assert_eq!(ziplists.len(), 5, "{ziplists:?}");
    assert_eq!(names(&config, &["nosuch", "d[ai]tabases"]), ["databases"]);
    // As many as Redis 8.0.6 shows, and of ours those that are not hidden.
    assert_eq!(names(&config, &["*"]).len(), 203 + 1);
    assert_eq!(names(&config, &["io-threads*"]), ["io-threads"]);
    assert_eq!(names(&config, &["io-threads-always-active"]), ["io-threads-always-active"]);
}

#[test]
fn config_set_refusals() {
    let mut config = Config::default();
    let failed =
        |name: &str, reason: &str| Err(format!("CONFIG SET failed (possibly related to argument '{name}') - {reason}"));
    let unknown = Err("Unknown option or number of arguments for CONFIG SET - 'nosuch'".to_owned());
    assert_eq!(set(&mut config, &[("maxmemory", "x"), ("nosuch", "1")]), unknown);
    assert_eq!(set(&mut config, &[("nosuch", "1"), ("databases", "3")]), unknown);
    let immutable = failed("databases", "can't set immutable config");
    assert_eq!(set(&mut config, &[("databases", "3"), ("nosuch", "1")]), immutable);
    assert_eq!(set(&mut config, &[("maxmemory", "x"), ("databases", "3")]), immutable);
    let twice = failed("maxmemory", "duplicate parameter");
    assert_eq!(set(&mut config, &[("maxmemory", "1"), ("maxmemory", "2"), ("databases", "1")]), twice);
    let twice = failed("LUA-time-limit", "duplicate parameter");
    assert_eq!(set(&mut config, &[("lua-time-limit", "1"), ("LUA-time-limit", "2")]), twice);
    // What is wrong with a name shows it as it was spelled, what is wrong with a value as the table has it.
    assert_eq!(set(&mut config, &[("DATABASES", "3")]), failed("DATABASES", "can't set immutable config"));
    let unread = "argument couldn't be parsed into an integer";
    assert_eq!(set(&mut config, &[("LUA-time-limit", "x")]), failed("lua-time-limit", unread));
    let cut = Err("Unknown option or number of arguments for CONFIG SET - 'time'".to_owned());
    assert_eq!(set(&mut config, &[("time\0out", "x")]), cut);
    assert_eq!(set(&mut config, &[("dir", "/tmp")]), failed("dir", "can't set protected config"));
    assert_eq!(set(&mut config, &[("include", "a")]).unwrap_err().split(' ').next(), Some("Unknown"));
    assert_eq!(set(&mut config, &[("save", "1  2")]), failed("save", "Invalid save parameters"));
    assert_eq!(config, Config::default());
}

#[test]
fn an_alias_may_stand_beside_its_name() {
    let mut config = Config::default();
    assert_eq!(set(&mut config, &[("busy-reply-threshold", "1"), ("lua-time-limit", "2")]), Ok(vec![]));
    assert_eq!(config.busy_reply_threshold, 2);
}

#[test]
fn config_set_is_all_or_nothing() {
    let mut config = Config::default();
    let pairs = [("maxmemory", "1mb"), ("dbfilename", "x.rdb"), ("loglevel", "bad")];
    config.enable_protected_configs = Access::Yes;
    set(&mut config, &pairs).expect_err("a bad level");
    assert_eq!((config.maxmemory, &*config.dbfilename, config.loglevel), (0, &b"dump.rdb"[..], LogLevel::Notice));
    let steps =
        set(&mut config, &[("maxmemory", "1mb"), ("port", "7000"), ("tls-cluster", "yes"), ("tls-ciphers", "")]);
    assert_eq!(steps, Ok(vec![Apply::Maxmemory, Apply::Port, Apply::Tls]));
    assert_eq!((Apply::Port.parameter(), Apply::Bind.parameter()), ("port", "bind"));
    assert_eq!(set(&mut config, &[("port", "7000"), ("timeout", "5")]), Ok(Vec::new()));
    // The file behind the name may have changed.
    assert_eq!(set(&mut config, &[("tls-cert-file", "")]), Ok(vec![Apply::Tls]));
    assert_eq!((config.port, config.timeout, config.maxmemory), (7000, 5, 1 << 20));
}

#[test]
fn protection_can_be_local() {
    let mut config = Config { enable_protected_configs: Access::Local, ..Config::default() };
    let pair: [(&[u8], &[u8]); 1] = [(b"dbfilename", b"x")];
    config.set_all(&pair, Circumstances::default()).expect_err("from elsewhere");
    let local = Circumstances { local_client: true, ..Circumstances::default() };
    config.set_all(&pair, local).expect("from here");
    assert_eq!(&*config.dbfilename, b"x");
    let loading = Circumstances { loading: true, ..Circumstances::default() };
    assert_eq!(config.set_all(&[(b"repl-diskless-load", b"swapdb")], loading), Err(ConfigError::Loading));
}

#[test]
fn what_would_be_another_server_is_told() {
    let loaded = |text: &str| {
        let mut config = Config::default();
        config.load_text(text.as_bytes()).expect("good lines");
        config
    };
    assert_eq!(loaded("replicaof no one\ncluster-enabled no\ntls-port 1").cannot_be(), None);
    for (text, name) in [("replicaof a 1", "replicaof"), ("cluster-enabled yes", "cluster-enabled")] {
        let reason = loaded(text).cannot_be().expect(text);
        assert!(reason.ends_with(&format!("remove the '{name}' line")), "{reason}");
    }
    assert!(loaded("").loses_data() && loaded("save \"\"\nappendonly yes").loses_data());
    assert!(!loaded("save \"\"").loses_data());
}

#[test]
fn secrets_are_known() {
    let secret = ["requirepass", "MASTERAUTH", "masteruser", "tls-key-file-pass", "tls-client-key-file-pass"];
    assert!(secret.iter().all(|name| is_sensitive(name.as_bytes())));
    assert!(!is_sensitive(b"maxmemory") && !is_sensitive(b"nosuch"));
}

#[test]
fn parameters_without_effect_are_named_once_set() {
    let mut config = Config::default();
    assert_eq!(config.set_without_effect(), Vec::<&str>::new());
    config.cluster_enabled = true;
    config.save.points.clear();
    config.port = 7000;
    assert_eq!(config.set_without_effect(), ["cluster-enabled"]);
}

/// Every line of the package's sources outside the table, comments left out.
fn source_lines(folder: &std::path::Path, lines: &mut String) {
    for entry in std::fs::read_dir(folder).expect("a folder of sources") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            source_lines(&path, lines);
        } else if path.extension().is_some_and(|end| end == "rs") && !path.ends_with("config/table.rs") {
            let text = std::fs::read_to_string(&path).expect("a source");
            let code = text.split("mod tests {").next().unwrap_or("").lines();
            code.filter(|line| !line.trim_start().starts_with("//")).for_each(|line| {
                lines.push_str(line);
                lines.push('\n');
            });
        }
    }
}

#[test]
fn what_is_said_to_work_is_read_somewhere() {
    let mut lines = String::new();
    source_lines(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut lines);
    let is_read = |field: &str| {
        ["config.", "self."].iter().any(|owner| {
            let name = format!("{owner}{field}");
            lines.match_indices(&name).any(|(at, _)| {
                !lines[at + name.len()..].starts_with(|next: char| next == '_' || next.is_alphanumeric())
            })
        })
    };
    assert!(!is_read("no_such_field"));
    for param in PARAMS.iter().filter(|param| param.effect == Effect::Works) {
        // The working folder takes effect when it is set.
        assert!(param.name == "dir" || is_read(&param.name.replace('-', "_")), "{}", param.name);
    }
}

#[test]
fn the_title_shows_where_the_server_listens() {
    let mut config = Config::default();
    assert_eq!(config.listen_address(), "*:6379");
    set(&mut config, &[("bind", "-::1 127.0.0.1"), ("port", "7000")]).expect("good values");
    assert_eq!(config.listen_address(), "::1:7000");
    assert_eq!(config.listen_settings().bind, ["-::1", "127.0.0.1"]);
    config.load_text(b"port 0\nunixsocket /tmp/s\nunixsocketperm 770").expect("good lines");
    assert_eq!(config.listen_address(), "unixsocket:/tmp/s");
    let unix = config.listen_settings().unix.expect("a path was given");
    assert_eq!((unix.path.to_str(), unix.mode), (Some("/tmp/s"), 0o770));
}
