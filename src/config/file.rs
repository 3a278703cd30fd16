//! Configuration files: lines, quotes, includes, and the block of text that ends the process where a line is bad. Main
//! thread, at start. Knows nothing of where the lines come from beside files: command-line options arrive as lines too.

#![forbid(unsafe_code)]

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::table::Flags;
use super::value::{Reason, Text};
use super::{Config, REDIS_VERSION, find};
use crate::base::quoting;
use crate::sys::{self, Errno};

/// Files that include each other deeper than this include themselves.
const INCLUDE_DEPTH_MAX: usize = 16;

/// Directives of older versions that a file may still contain; they take one argument and do nothing.
const RETIRED: &[&[u8]] =
    &[b"list-max-ziplist-entries", b"list-max-ziplist-value", b"lua-replicate-commands", b"io-threads-do-reads"];

/// Why a configuration cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// A file could not be read.
    #[error("Fatal error, can't open config file '{}': {errno}", path.display())]
    Open {
        /// Which.
        path: PathBuf,
        /// Why.
        errno: Errno,
    },
    /// A line is wrong.
    #[error(
        "\n*** FATAL CONFIG FILE ERROR (Redis {REDIS_VERSION}) ***\n\
         Reading the configuration file, at line {number}\n>>> '{line}'\n{reason}"
    )]
    Line {
        /// Counted from 1 within its file.
        number: usize,
        /// The line without blanks at its ends.
        line: String,
        /// Why.
        reason: String,
    },
    /// The lines are right, but not together.
    #[error("\n*** FATAL CONFIG FILE ERROR (Redis {REDIS_VERSION}) ***\n{reason}")]
    Whole {
        /// Why.
        reason: String,
    },
}

/// A `user` line. The texts hold passwords, so that they do not show in what is printed for debugging.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UserLine {
    /// Counted from 1 within its file.
    pub number: usize,
    /// The line without blanks at its ends.
    pub line: Text,
    /// The name of the user and the rules.
    pub words: Vec<Text>,
}

impl UserLine {
    /// The refusal of this line.
    pub fn refused(&self, reason: &str) -> FileError {
        FileError::Line { number: self.number, line: self.line.to_string(), reason: reason.to_owned() }
    }

    /// The words as plain bytes.
    pub fn bytes(&self) -> Vec<&[u8]> {
        self.words.iter().map(Text::as_bytes).collect()
    }
}

/// What one line asked for.
enum Line {
    /// It is done.
    Done,
    /// Other files come in between.
    Include(Vec<u8>),
}

impl Config {
    /// Reads one file.
    pub fn load_file(&mut self, path: &Path) -> Result<(), FileError> {
        let text = read(path)?;
        self.load_text(&text)
    }

    /// Reads the text of a file, or options written as one.
    pub fn load_text(&mut self, text: &[u8]) -> Result<(), FileError> {
        self.save.begin_file();
        let loaded = self.load_lines(text, 0);
        self.save.end_file();
        loaded?;
        if self.cluster_enabled && self.replicaof.0.is_some() {
            return Err(FileError::Whole { reason: "replicaof directive not allowed in cluster mode".to_owned() });
        }
        Ok(())
    }

    fn load_lines(&mut self, text: &[u8], depth: usize) -> Result<(), FileError> {
        for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
            let line = trim(line);
            if line.is_empty() || line[0] == b'#' {
                continue;
            }
            let bad = |reason: Reason| FileError::Line {
                number: index + 1,
                line: String::from_utf8_lossy(line).into_owned(),
                reason: reason.into_owned(),
            };
            match self.load_line(line, index + 1).map_err(bad)? {
                Line::Done => {}
                Line::Include(_) if depth == INCLUDE_DEPTH_MAX => return Err(bad("Too many nested includes".into())),
                Line::Include(pattern) => {
                    for path in included(&pattern) {
                        self.load_lines(&read(&path)?, depth + 1)?;
                    }
                }
            }
        }
        Ok(())
    }

    fn load_line(&mut self, line: &[u8], number: usize) -> Result<Line, Reason> {
        let words = quoting::split(line).map_err(|_| "Unbalanced quotes in configuration line")?;
        let Some((name, args)) = words.split_first() else { return Ok(Line::Done) };
        let args = args.iter().map(Vec::as_slice).collect::<Vec<_>>();
        if let Some(param) = find(name) {
            return match args[..] {
                [value] if param.flags.contains(Flags::MULTI) => param.set_text(self, value),
                _ => param.set_words(self, &args),
            }
            .map(|()| Line::Done);
        }
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        match (name.to_ascii_lowercase().as_slice(), &args[..]) {
            (b"include", [pattern]) => Ok(Line::Include(pattern.to_vec())),
            (b"rename-command", [from, to]) => {
                self.rename_command.push((text(from), text(to)));
                self.rename_lines.push((number, text(line)));
                Ok(Line::Done)
            }
            (b"user", [_, ..]) => {
                let words = args.iter().map(|word| Text::from(*word)).collect();
                self.user_lines.push(UserLine { number, line: Text::from(line), words });
                Ok(Line::Done)
            }
            (b"loadmodule", [_, ..]) => Err("Torc has no modules: remove the 'loadmodule' line".into()),
            (b"sentinel", _) => Err("Torc has no Sentinel mode".into()),
            (retired, [_]) if RETIRED.contains(&retired) => Ok(Line::Done),
            _ => Err("Bad directive or wrong number of arguments".into()),
        }
    }
}

pub(super) fn trim(line: &[u8]) -> &[u8] {
    let blank = |byte: &u8| b" \t\r\n".contains(byte);
    let start = line.iter().position(|byte| !blank(byte)).unwrap_or(line.len());
    let end = line.iter().rposition(|byte| !blank(byte)).map_or(start, |last| last + 1);
    &line[start..end]
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|error| FileError::Open { path: path.to_owned(), errno: Errno::from(error) })
}

/// A pattern that matches nothing includes nothing; a plain name that does not exist is an error later.
fn included(pattern: &[u8]) -> Vec<PathBuf> {
    if pattern.iter().any(|byte| b"*?[".contains(byte)) {
        return sys::path_glob::glob(pattern);
    }
    vec![PathBuf::from(OsStr::from_bytes(pattern))]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    fn load(text: &str) -> Result<Config, FileError> {
        let mut config = Config::default();
        config.load_text(text.as_bytes())?;
        Ok(config)
    }

    #[track_caller]
    fn bad_line(text: &str, number: usize, line: &str, reason: &str) {
        let error = FileError::Line { number, line: line.to_owned(), reason: reason.to_owned() };
        assert_eq!(load(text).err(), Some(error));
    }

    #[test]
    fn comments_blanks_and_quotes() {
        let config =
            load("# a comment\n\n  # another\r\n \t port\t7000 \r\nDBFILENAME \"a b\\x41\"\nlogfile ''\nsave \"\"");
        let config = config.expect("a good file");
        assert_eq!((config.port, &*config.dbfilename), (7000, &b"a bA"[..]));
        assert!(config.logfile.is_empty() && config.save.points.is_empty());
    }

    #[test]
    fn bad_lines_are_named() {
        let unbalanced = "Unbalanced quotes in configuration line";
        bad_line("port \"7000\n", 1, "port \"7000", unbalanced);
        bad_line("port \"7000\"x", 1, "port \"7000\"x", unbalanced);
        bad_line("\n\n POrt abc\r\n", 3, "POrt abc", "argument couldn't be parsed into an integer");
        bad_line("port 1 2", 1, "port 1 2", "wrong number of arguments");
        bad_line("port", 1, "port", "wrong number of arguments");
        let unknown = "Bad directive or wrong number of arguments";
        for line in ["nosuch", "nosuch 1", "include", "rename-command x", "user", "list-max-ziplist-entries"] {
            bad_line(line, 1, line, unknown);
        }
        bad_line("loadmodule a.so", 1, "loadmodule a.so", "Torc has no modules: remove the 'loadmodule' line");
        bad_line("sentinel monitor", 1, "sentinel monitor", "Torc has no Sentinel mode");
    }

    #[test]
    fn the_fatal_block_has_its_shape() {
        let error = load("maxclients 0").expect_err("0 is too few").to_string();
        assert_eq!(
            error,
            "\n*** FATAL CONFIG FILE ERROR (Redis 8.0.6) ***\nReading the configuration file, at line 1\n\
             >>> 'maxclients 0'\nargument must be between 1 and 4294967295 inclusive"
        );
        let error = load("cluster-enabled yes\nreplicaof a 1").expect_err("not together").to_string();
        assert_eq!(
            error,
            "\n*** FATAL CONFIG FILE ERROR (Redis 8.0.6) ***\nreplicaof directive not allowed in cluster mode"
        );
    }

    #[test]
    fn lists_take_words_or_one_quoted_value() {
        let config = load("bind 127.0.0.1 -::1\nshutdown-on-sigterm \"now force\"\nsave 900 1 300 10\nsave 60 1000");
        let mut config = config.expect("a good file");
        assert_eq!(config.bind.0.len(), 2);
        assert!(config.shutdown_on_sigterm.now && config.shutdown_on_sigterm.force);
        assert_eq!(config.save.points.len(), 3);
        config.load_text(b"save 1 1\nbind").expect("more lines");
        assert_eq!((config.save.points.len(), config.bind.0.len()), (4, 0));
    }

    #[test]
    fn renames_are_kept_for_the_command_table() {
        let config = load("port 1\nrename-command CONFIG \"\"\nrename-command keys k").expect("a good file");
        let renamed = config.rename_command.iter().map(|(from, to)| (&**from, &**to)).collect::<Vec<_>>();
        assert_eq!(renamed, [("CONFIG", ""), ("keys", "k")]);
        assert_eq!(config.rename_lines[1], (3, "rename-command keys k".to_owned()));
        load("io-threads-do-reads yes\nlua-replicate-commands no").expect("retired directives do nothing");
    }

    #[test]
    fn users_are_kept_for_the_commands_that_know_them() {
        let config = load("port 1\nuser bob on >secret \"~a b\"\nUSER al").expect("a good file");
        let [bob, al] = &config.user_lines[..] else { panic!("{:?}", config.user_lines) };
        assert_eq!((bob.number, bob.bytes()), (2, vec![&b"bob"[..], b"on", b">secret", b"~a b"]));
        assert_eq!((al.number, al.bytes()), (3, vec![&b"al"[..]]));
        assert!(!format!("{:?}", config.user_lines).contains("secret"));
        let refused = bob.refused("because").to_string();
        assert!(refused.ends_with("at line 2\n>>> 'user bob on >secret \"~a b\"'\nbecause"), "{refused}");
    }

    #[test]
    fn files_include_files() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let write = |name: &str, text: &str| {
            let mut file = fs::File::create(folder.path().join(name)).expect("a scratch file");
            file.write_all(text.as_bytes()).expect("written");
        };
        let at = folder.path().display();
        write("1.part", "maxmemory 1mb\nport 1");
        write("2.part", "port 2\n");
        write("main.conf", &format!("port 9\ninclude {at}/*.part\ninclude {at}/none*\ntimeout 7"));
        let mut config = Config::default();
        config.load_file(&folder.path().join("main.conf")).expect("a good file");
        assert_eq!((config.port, config.maxmemory, config.timeout), (2, 1 << 20, 7));

        write("missing.conf", &format!("include {at}/absent.conf"));
        let error = config.load_file(&folder.path().join("missing.conf")).expect_err("no such file").to_string();
        assert_eq!(error, format!("Fatal error, can't open config file '{at}/absent.conf': No such file or directory"));

        write("itself.conf", &format!("include {at}/itself.conf"));
        let error = config.load_file(&folder.path().join("itself.conf")).expect_err("endless").to_string();
        assert!(error.ends_with("Too many nested includes"), "{error}");

        write("bad.part", "\nport x");
        let error = load(&format!("\n\n\n\ninclude {at}/bad.part")).expect_err("a bad port").to_string();
        assert!(error.contains("at line 2\n>>> 'port x'"), "{error}");
    }

    #[test]
    fn a_distribution_file_loads() {
        let config = load(include_str!("../../tests/data/sample.conf")).expect("the sample");
        assert!(config.daemonize);
        assert_eq!(config.client_output_buffer_limit.replica.soft_seconds, 60);
        assert_eq!(config.auto_aof_rewrite_min_size, 64 << 20);
        assert_eq!(&*config.pidfile, b"/run/redis/redis-server.pid");
    }
}
