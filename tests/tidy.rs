//! The house rules that the compiler does not keep: floors, unsafe rooms, sizes, names, words.
//!
//! Reads the source tree as text and knows nothing of what the code does. Every checker is also shown bad samples, so
//! that one which finds nothing is known to look.

#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

use std::fs;
use std::path::Path;

/// The floors, lowest first. A module uses its own floor and those below.
const FLOORS: &[&[&str]] = &[
    &["base", "handoff", "sys", "uring"],
    &["io", "resp", "transport"],
    &["encoding", "types", "keyspace"],
    &["config", "acl", "pubsub", "tracking", "blocking", "persist", "replication", "cluster", "script", "observe"],
    &["command", "commands", "engine"],
    &["server"],
];

/// Where unsafe code may stand: path prefixes below the package.
const UNSAFE_ROOMS: &[&str] = &[
    "src/handoff/channel.rs",
    "src/sys/",
    "src/uring/",
    "src/io/ring",
    "src/encoding/",
    "src/bin/torc-bench/ring.rs",
    "tests/refused.rs",
];

/// Roots that cannot forbid unsafe code because a room is below them; they may allow it for that room.
const ABOVE_ROOMS: &[&str] = &["src/lib.rs", "src/handoff/mod.rs", "src/io/mod.rs", "src/bin/torc-bench/main.rs"];

/// A file this long is split before it grows.
const LINES_MAX: usize = 1500;

/// Names that say nothing of what a file holds.
const EMPTY_NAMES: &[&str] = &["util", "utils", "common", "misc", "helper", "helpers"];

/// Folders that hold our Rust code.
const RUST_FOLDERS: &[&str] = &["src", "tests", "benches", "fuzz", "models"];

/// Marks of unfinished work. Written in halves, or this file would be full of them.
const UNFINISHED: &[&str] = &[
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("dbg", "!("),
    concat!("#[", "ignore"),
    concat!("FIX", "ME"),
    concat!("XX", "X"),
    concat!("HA", "CK"),
];

/// Words of the place where the project was written; they mean nothing to a reader elsewhere.
const FOREIGN_WORDS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/w", "t/"),
    concat!("/fa", "rm/"),
    concat!(".lib", "rary/"),
    concat!("before", "-stop"),
    concat!("this ", "session"),
    concat!("as an ", "AI"),
];

/// One source file: its path below the package, with `/`, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    fn sample(path: &str, text: &str) -> Source {
        Source { path: path.to_owned(), text: text.to_owned() }
    }
}

#[test]
fn modules_use_only_their_floor_and_those_below() {
    report(rust_files().iter().flat_map(upward_uses));
}

#[test]
fn every_module_has_a_floor() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    report(floorless_modules(&lib));
}

#[test]
fn unsafe_code_stands_in_its_rooms() {
    let files = rust_files();
    report(files.iter().flat_map(unsafe_outside_rooms));
    report(uncovered_by_forbid(&files));
}

#[test]
fn files_are_small_named_and_introduced() {
    let files = rust_files();
    report(files.iter().flat_map(too_long));
    report(files.iter().flat_map(empty_name));
    report(files.iter().flat_map(no_introduction));
}

#[test]
fn nothing_is_left_unfinished() {
    report(rust_files().iter().flat_map(unfinished));
}

#[test]
fn no_words_from_elsewhere() {
    report(text_files().iter().flat_map(foreign_words));
}

/// Fails with every complaint at once.
#[track_caller]
fn report(complaints: impl IntoIterator<Item = String>) {
    let complaints = complaints.into_iter().collect::<Vec<_>>();
    assert!(complaints.is_empty(), "{} complaints:\n{}", complaints.len(), complaints.join("\n"));
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn rust_files() -> Vec<Source> {
    let mut files = Vec::new();
    RUST_FOLDERS.iter().for_each(|folder| walk(&root().join(folder), &mut files, &|path| path.ends_with(".rs")));
    assert!(files.len() > 10, "the source tree was not found");
    files
}

fn text_files() -> Vec<Source> {
    let mut files = Vec::new();
    let endings =
        [".rs", ".md", ".toml", ".sh", ".json", ".tsv", ".conf", ".svg", ".service", "/run", "/bench", "/profile"];
    walk(root(), &mut files, &|path| endings.iter().any(|ending| path.ends_with(ending)));
    files
}

/// Collects files below `folder`, passing over what tools build there.
fn walk(folder: &Path, files: &mut Vec<Source>, wanted: &dyn Fn(&str) -> bool) {
    let Ok(entries) = fs::read_dir(folder) else { return };
    let mut paths = entries.map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    paths.sort();
    for path in paths {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        if path.is_dir() {
            if !matches!(name.as_str(), "target" | ".git" | "corpus" | "artifacts" | "coverage" | "shared") {
                walk(&path, files, wanted);
            }
            continue;
        }
        let relative = path.strip_prefix(root()).unwrap().to_string_lossy().replace('\\', "/");
        if wanted(&format!("/{relative}")) {
            let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
            files.push(Source { path: relative, text });
        }
    }
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|floor| floor.contains(&module))
}

/// The module path of a file below `src/`: `src/resp/args.rs` is `["resp", "args"]`. None outside the library.
fn module_path(path: &str) -> Option<Vec<&str>> {
    let inner = path.strip_prefix("src/")?.strip_suffix(".rs")?;
    if inner == "main" || inner == "lib" || inner.starts_with("bin/") {
        return None;
    }
    let mut parts = inner.split('/').collect::<Vec<_>>();
    if parts.last() == Some(&"mod") {
        parts.pop();
    }
    Some(parts)
}

fn upward_uses(file: &Source) -> Vec<String> {
    let Some(path) = module_path(&file.path) else { return Vec::new() };
    let Some(floor) = floor_of(path[0]) else { return vec![format!("{}: module without a floor", file.path)] };
    let code = code_only(&file.text);
    let tests_start = code.find("mod tests {").unwrap_or(code.len());
    let mut complaints = Vec::new();
    for (at, targets) in root_paths(&code, |at| path.len() + usize::from(at > tests_start)) {
        for target in targets {
            if floor_of(&target).is_some_and(|used| used > floor) {
                let line = code[..at].matches('\n').count() + 1;
                complaints.push(format!("{}:{line}: floor {floor} uses `{target}`, which is above it", file.path));
            }
        }
    }
    complaints
}

/// Every path that starts at the crate's root, by `crate::` or by enough `super::`, with the modules it names there.
fn root_paths(code: &str, depth_at: impl Fn(usize) -> usize) -> Vec<(usize, Vec<String>)> {
    let mut found = Vec::new();
    for (at, word) in code.match_indices("crate::").chain(code.match_indices("super::")) {
        let before = code[..at].chars().next_back();
        if before.is_some_and(|char| char.is_alphanumeric() || char == '_' || char == '$' || char == ':') {
            continue;
        }
        let mut rest = &code[at + word.len()..];
        if word == "super::" {
            let mut steps = 1;
            while let Some(after) = rest.strip_prefix("super::") {
                rest = after;
                steps += 1;
            }
            if steps < depth_at(at) {
                continue;
            }
        }
        found.push((at, first_names(rest)));
    }
    found
}

/// The first name of a path, or of each member of a `{...}` group.
fn first_names(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else { return vec![name_at(rest)] };
    let mut names = Vec::new();
    let mut depth = 0;
    let mut at_start = true;
    for (index, char) in group.char_indices() {
        match char {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            char if at_start && (char.is_alphabetic() || char == '_') => {
                names.push(name_at(&group[index..]));
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

fn name_at(text: &str) -> String {
    text.chars().take_while(|char| char.is_alphanumeric() || *char == '_').collect()
}

fn floorless_modules(lib: &str) -> Vec<String> {
    let code = code_only(lib);
    let modules = code.lines().filter_map(|line| line.trim().strip_prefix("pub mod ")).map(name_at);
    modules.filter(|name| floor_of(name).is_none()).map(|name| format!("src/lib.rs: `{name}` has no floor")).collect()
}

fn in_room(path: &str) -> bool {
    UNSAFE_ROOMS.iter().any(|room| path.starts_with(room))
}

fn unsafe_outside_rooms(file: &Source) -> Vec<String> {
    if in_room(&file.path) {
        return Vec::new();
    }
    let code = code_only(&file.text);
    let above_room = ABOVE_ROOMS.contains(&file.path.as_str());
    let lines = code.lines().enumerate().filter(|(_, line)| {
        let mut words = line.split(|char: char| !char.is_alphanumeric() && char != '_');
        let allows = !above_room && line.contains("allow(") && line.contains("unsafe_code");
        words.any(|word| word == "unsafe") || allows
    });
    lines.map(|(index, _)| format!("{}:{}: unsafe code outside its rooms", file.path, index + 1)).collect()
}

/// Files of the package's own code that neither forbid unsafe code nor stand below a module that does.
fn uncovered_by_forbid(files: &[Source]) -> Vec<String> {
    let forbids = |path: &str| {
        let file = files.iter().find(|file| file.path == path);
        file.is_some_and(|file| code_only(&file.text).contains("#![forbid(unsafe_code)]"))
    };
    let mut complaints = Vec::new();
    for file in files.iter().filter(|file| file.path.starts_with("src/")) {
        if in_room(&file.path) || ABOVE_ROOMS.contains(&file.path.as_str()) {
            continue;
        }
        let mut folder = file.path.as_str();
        let mut covered = forbids(&file.path);
        while let Some((parent, _)) = folder.rsplit_once('/') {
            covered |= forbids(&format!("{parent}/mod.rs")) || forbids(&format!("{parent}.rs"));
            folder = parent;
        }
        if !covered {
            complaints.push(format!("{}: nothing forbids unsafe code here", file.path));
        }
    }
    complaints
}

fn too_long(file: &Source) -> Option<String> {
    let lines = file.text.lines().count();
    (lines >= LINES_MAX).then(|| format!("{}: {lines} lines; split it by what it holds", file.path))
}

fn empty_name(file: &Source) -> Option<String> {
    let mut parts = file.path.trim_end_matches(".rs").split('/');
    parts.find(|part| EMPTY_NAMES.contains(part)).map(|part| format!("{}: `{part}` says nothing", file.path))
}

fn no_introduction(file: &Source) -> Option<String> {
    (!file.text.starts_with("//! ")).then(|| format!("{}: does not open with `//!`", file.path))
}

fn unfinished(file: &Source) -> Vec<String> {
    found_words(file, UNFINISHED)
}

fn foreign_words(file: &Source) -> Vec<String> {
    let mut complaints = found_words(file, FOREIGN_WORDS);
    for (index, line) in file.text.lines().enumerate() {
        if names_a_ticket(line) {
            complaints.push(format!("{}:{}: a ticket number; say what it is about", file.path, index + 1));
        }
    }
    complaints
}

fn found_words(file: &Source, words: &[&str]) -> Vec<String> {
    let mut complaints = Vec::new();
    for (index, line) in file.text.lines().enumerate() {
        for word in words.iter().filter(|word| line.contains(**word)) {
            complaints.push(format!("{}:{}: {word}", file.path, index + 1));
        }
    }
    complaints
}

/// True for the word for a ticket followed by a number, with or without a hash sign.
fn names_a_ticket(line: &str) -> bool {
    let lower = line.to_lowercase();
    lower.match_indices(concat!("is", "sue ")).any(|(at, word)| {
        let rest = lower[at + word.len()..].trim_start_matches('#');
        rest.starts_with(|char: char| char.is_ascii_digit())
    })
}

/// The code with comments and the contents of literals blanked; lines and offsets stay.
fn code_only(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let len = blank_len(bytes, at);
        if len == 0 {
            out.push(bytes[at]);
            at += 1;
        } else {
            out.extend(bytes[at..at + len].iter().map(|byte| if *byte == b'\n' { b'\n' } else { b' ' }));
            at += len;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// How many bytes from `at` on are a comment or a literal; 0 for code.
fn blank_len(bytes: &[u8], at: usize) -> usize {
    let rest = &bytes[at..];
    let part_of_name = at > 0 && (bytes[at - 1].is_ascii_alphanumeric() || bytes[at - 1] == b'_');
    match rest[0] {
        b'/' if rest.starts_with(b"//") => until(rest, b"\n", 2),
        b'/' if rest.starts_with(b"/*") => until(rest, b"*/", 2) + 2,
        b'"' => quoted_len(rest, b'"'),
        b'r' if !part_of_name || bytes[at - 1] == b'b' => raw_len(rest),
        b'\'' if rest.len() > 2 && (rest[1] == b'\\' || rest[2] == b'\'') => quoted_len(rest, b'\''),
        _ => 0,
    }
    .min(rest.len())
}

fn until(rest: &[u8], end: &[u8], from: usize) -> usize {
    rest[from..].windows(end.len()).position(|window| window == end).map_or(rest.len(), |found| found + from)
}

fn quoted_len(rest: &[u8], quote: u8) -> usize {
    let mut at = 1;
    while at < rest.len() && rest[at] != quote {
        at += if rest[at] == b'\\' { 2 } else { 1 };
    }
    at + 1
}

fn raw_len(rest: &[u8]) -> usize {
    let hashes = rest[1..].iter().take_while(|byte| **byte == b'#').count();
    if rest.get(1 + hashes) != Some(&b'"') {
        return 0;
    }
    let mut end = vec![b'"'];
    end.resize(1 + hashes, b'#');
    until(rest, &end, 2 + hashes) + end.len()
}

mod checkers_find_bad_samples {
    use super::*;

    #[test]
    fn upward_paths() {
        for code in [
            "use crate::server::Start;",
            "use crate::{base::integer, engine::Engine};",
            "use crate::{\n    base::{integer, float},\n    commands::{self, string},\n};",
            "fn run() { crate::keyspace::flush(); }",
            "pub(crate) use crate::types;",
            "use super::super::config::Config;",
        ] {
            assert_eq!(upward_uses(&Source::sample("src/resp/parse.rs", code)).len(), 1, "{code}");
        }
        assert_eq!(upward_uses(&Source::sample("src/io/mod.rs", "use super::keyspace::Db;")).len(), 1);
        let nested = "mod tests {\n use super::super::super::engine::run;\n}";
        assert_eq!(upward_uses(&Source::sample("src/io/sim.rs", nested)).len(), 1);
    }

    #[test]
    fn downward_paths_pass() {
        for code in [
            "use crate::base::integer;",
            "use crate::io::Completion;",
            "// use crate::server::Start;",
            "let text = \"crate::server::Start\"; let raw = r#\"crate::server\"#;",
            "use super::args::Args;",
            "let quote = '\"'; use crate::base::x; let end = '\"';",
            "mod tests {\n use super::*;\n use super::super::args::Args;\n}",
        ] {
            assert_eq!(upward_uses(&Source::sample("src/resp/parse.rs", code)), Vec::<String>::new(), "{code}");
        }
        assert_eq!(upward_uses(&Source::sample("src/main.rs", "use torc::server;")), Vec::<String>::new());
    }

    #[test]
    fn modules_without_floor() {
        assert_eq!(floorless_modules("pub mod base;\npub mod cellar;").len(), 1);
        assert_eq!(upward_uses(&Source::sample("src/cellar/mod.rs", "")).len(), 1);
    }

    #[test]
    fn unsafe_code() {
        let code = "fn run() {\n    unsafe { read() }\n}\n// unsafe\n";
        assert_eq!(unsafe_outside_rooms(&Source::sample("src/engine/mod.rs", code)).len(), 1);
        assert_eq!(unsafe_outside_rooms(&Source::sample("src/io/sim.rs", "#![allow(unsafe_code)]")).len(), 1);
        assert!(unsafe_outside_rooms(&Source::sample("src/io/ring.rs", code)).is_empty());
        assert!(unsafe_outside_rooms(&Source::sample("src/io/sim.rs", "#![forbid(unsafe_code)]")).is_empty());
    }

    #[test]
    fn missing_forbid() {
        let forbids = "//! x\n#![forbid(unsafe_code)]";
        let files = [
            Source::sample("src/lib.rs", ""),
            Source::sample("src/main.rs", ""),
            Source::sample("src/resp/mod.rs", forbids),
            Source::sample("src/resp/parse.rs", ""),
            Source::sample("src/io/mod.rs", ""),
            Source::sample("src/io/ring.rs", ""),
            Source::sample("src/io/sim.rs", "//! says #![forbid(unsafe_code)]"),
            Source::sample("src/engine/mod.rs", forbids),
        ];
        let complaints = uncovered_by_forbid(&files);
        assert_eq!(complaints.len(), 2, "{complaints:?}");
        assert!(
            complaints[0].starts_with("src/main.rs") && complaints[1].starts_with("src/io/sim.rs"),
            "{complaints:?}"
        );
    }

    #[test]
    fn sizes_names_introductions() {
        assert!(too_long(&Source::sample("src/a.rs", &"x\n".repeat(1500))).is_some());
        assert!(too_long(&Source::sample("src/a.rs", &"x\n".repeat(1499))).is_none());
        for path in ["src/util.rs", "src/helpers/mod.rs", "tests/common/mod.rs", "src/engine/misc.rs"] {
            assert!(empty_name(&Source::sample(path, "")).is_some(), "{path}");
        }
        assert!(empty_name(&Source::sample("src/utility_bill.rs", "")).is_none());
        assert!(no_introduction(&Source::sample("src/a.rs", "use std::fs;")).is_some());
        assert!(no_introduction(&Source::sample("src/a.rs", "//! What it is.")).is_none());
    }

    #[test]
    fn unfinished_marks_and_foreign_words() {
        for mark in UNFINISHED {
            assert_eq!(unfinished(&Source::sample("src/a.rs", &format!("a\nfn x() {{ {mark} }}"))).len(), 1, "{mark}");
        }
        for word in FOREIGN_WORDS {
            assert_eq!(foreign_words(&Source::sample("README.md", &format!("see {word}main"))).len(), 1, "{word}");
        }
        for text in ["see is_sue 7", "Is_sue #12 says", "for is_sue #3."] {
            assert!(names_a_ticket(&text.replace('_', "")), "{text}");
        }
        assert!(!names_a_ticket("commands that iss_ue 'write'".replace('_', "").as_str()));
    }
}
