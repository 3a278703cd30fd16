//! The command line: a file, options in the form of its lines, or a question. Main thread, at start. Knows how arguments
//! become lines; what the lines mean is the affair of `file`.
//!
//! As in Redis: `--name value value` is a line, a file comes first, `-` reads standard input, and a name that has no value
//! yet takes the next argument even where that begins with `--`; only `--save` means "no save points" instead.

#![forbid(unsafe_code)]

use std::ffi::{OsStr, OsString};
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::file::{self, FileError};
use super::{Config, REDIS_VERSION};
use crate::base::quoting;
use crate::observe::log;
use crate::sys::{Errno, memory};

/// What the command line asks for.
#[derive(Debug)]
pub enum Request {
    /// Print this on standard output and leave with success.
    Version(String),
    /// Print this on standard error and leave with status 1, as Redis does.
    Help(&'static str),
    /// Serve.
    Run(Box<Invocation>),
}

/// How the server was called.
#[derive(Clone, Debug)]
pub struct Invocation {
    /// All parameters.
    pub config: Config,
    /// The absolute path of the file, if there was one.
    pub config_file: Option<PathBuf>,
    /// Standard input was read as a file.
    pub from_stdin: bool,
    /// Nothing was configured at all.
    pub without_config: bool,
}

/// The words of `--help`.
const HELP: &str = "\
Torc is a server that speaks Redis' protocol, with io_uring below it.

Usage: torc-server [FILE] [--NAME VALUE...]... [-]

  FILE            read parameters from this file, in the format of redis.conf
  --NAME VALUE    set a parameter, as a line of the file would
  -               read more lines from standard input
  -v, --version   print the version
  -h, --help      print this text

Without arguments the server listens on port 6379 of all addresses and, in
protected mode, serves clients of this machine.

  torc-server --port 7777 --save '' --appendonly yes
  torc-server /etc/redis/redis.conf --loglevel verbose
  echo 'maxmemory 128mb' | torc-server -
";

/// The line that test suites parse. Its head is Redis', or they would not find a version; Torc's own is at its end.
pub fn version_line() -> String {
    let (allocator, own) = (memory::ALLOCATOR, env!("CARGO_PKG_VERSION"));
    format!("Redis server v={REDIS_VERSION} sha=00000000:0 malloc={allocator} bits=64 build=torc-{own}")
}

/// Reads the arguments after the program's name. `stdin` is read where they ask for it.
pub fn parse(args: &[OsString], stdin: &mut dyn Read) -> Result<Request, FileError> {
    let first = args.first().map_or(&b""[..], |arg| arg.as_bytes());
    match first {
        b"-v" | b"--version" => return Ok(Request::Version(version_line())),
        b"-h" | b"--help" => return Ok(Request::Help(HELP)),
        _ => {}
    }
    let mut rest = args;
    let mut run =
        Invocation { config: Config::default(), config_file: None, from_stdin: false, without_config: args.is_empty() };
    if !rest.is_empty() && first.first() != Some(&b'-') {
        run.config_file = (!first.is_empty()).then(|| absolute(OsStr::from_bytes(first)));
        rest = &rest[1..];
    } else if first == b"-" {
        run.from_stdin = true;
        rest = &rest[1..];
    }
    if !run.from_stdin && rest.last().is_some_and(|last| last.as_bytes() == b"-") {
        run.from_stdin = true;
        rest = &rest[..rest.len() - 1];
    }

    let mut text = run.config_file.as_deref().map_or(Ok(Vec::new()), file::read)?;
    if run.from_stdin {
        log::notice(format_args!("Reading config from stdin"));
        let path = || PathBuf::from("-");
        stdin.read_to_end(&mut text).map_err(|error| FileError::Open { path: path(), errno: Errno::from(error) })?;
    }
    let lines = option_lines(rest);
    if !lines.is_empty() {
        // The line numbers of errors count this line end, as Redis' do.
        text.push(b'\n');
        text.extend(lines);
    }
    run.config.load_text(&text)?;
    Ok(Request::Run(Box::new(run)))
}

/// The working folder may change while the file is read, and the path is shown and used much later.
fn absolute(path: &OsStr) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| Path::new(path).to_owned())
}

/// Turns `--name value` into lines. Values are quoted, so that each stays one word; names are not, so that
/// `'--save 60 1'` works as one argument.
fn option_lines(args: &[OsString]) -> Vec<u8> {
    let mut lines: Vec<u8> = Vec::new();
    let mut waiting = false;
    for arg in args {
        let arg = arg.as_bytes();
        match arg.strip_prefix(b"--") {
            Some(name) if !waiting => {
                if !lines.is_empty() {
                    lines.push(b'\n');
                }
                lines.extend(name);
                // A name that brings its values along, in one argument, waits for no other.
                waiting = !name.contains(&b' ') && !is_complete_alone(name);
            }
            _ => {
                lines.push(b' ');
                quoting::write_quoted(&mut lines, arg);
                waiting = false;
            }
        }
    }
    lines
}

/// Options whose name alone says something: `--save` switches saving off, `--sentinel` is a mode.
fn is_complete_alone(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"save") || name.eq_ignore_ascii_case(b"sentinel")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(args: &[&str], stdin: &str) -> Result<Request, FileError> {
        let args = args.iter().map(OsString::from).collect::<Vec<_>>();
        parse(&args, &mut stdin.as_bytes())
    }

    #[track_caller]
    fn run(args: &[&str], stdin: &str) -> Invocation {
        match request(args, stdin) {
            Ok(Request::Run(run)) => *run,
            other => panic!("{args:?}: {other:?}"),
        }
    }

    #[track_caller]
    fn bad_line(args: &[&str], number: usize, line: &str) {
        match request(args, "") {
            Err(FileError::Line { number: at, line: shown, .. }) => assert_eq!((at, &*shown), (number, line)),
            other => panic!("{args:?}: {other:?}"),
        }
    }

    #[test]
    fn options_are_lines() {
        let run = run(&["--port", "7000", "--bind", "127.0.0.1", "::1", "--save", "", "--LogLevel", "debug"], "");
        assert_eq!((run.config.port, run.config.bind.0.len()), (7000, 2));
        assert!(run.config.save.points.is_empty() && run.config_file.is_none() && !run.without_config);
    }

    #[test]
    fn errors_show_the_line_that_an_option_became() {
        bad_line(&["--port"], 2, "port");
        bad_line(&["--port", "abc"], 2, "port \"abc\"");
        bad_line(&["--port", "1", "--port", "abc", "--bind"], 3, "port \"abc\"");
        bad_line(&["--port", "1", "--save", "", "foo"], 3, "save \"\" \"foo\"");
        bad_line(&["--port", "a'b\"c\\d\u{1}"], 2, "port \"a'b\\\"c\\\\d\\x01\"");
        bad_line(&["--port", "abc", "-v"], 2, "port \"abc\" \"-v\"");
        bad_line(&["--port", "-", "abc"], 2, "port \"-\" \"abc\"");
        bad_line(&["--port=5"], 2, "port=5");
        bad_line(&["--port 5x"], 2, "port 5x");
        bad_line(&["--user"], 2, "user");
        bad_line(&["", "--port", "abc"], 2, "port \"abc\"");
    }

    #[test]
    fn a_name_without_a_value_takes_the_next_argument() {
        bad_line(&["--proc-title-template", "--my--{x}", "--port", "a"], 2, "proc-title-template \"--my--{x}\"");
        bad_line(&["--requirepass", "--port", "--port", "abc"], 3, "port \"abc\"");
        bad_line(&["--replicaof", "127.0.0.1", "--port", "abc"], 2, "replicaof \"127.0.0.1\"");
        bad_line(&["--loglevel", "--port", "abc"], 2, "loglevel \"--port\" \"abc\"");
        let run = run(&["--save", "--port", "7000"], "");
        assert_eq!((run.config.port, run.config.save.points.len()), (7000, 0));
    }

    #[test]
    fn standard_input_comes_before_options() {
        let run_first = run(&["-", "--port", "7000"], "port 6000\ntimeout 5");
        assert_eq!((run_first.config.port, run_first.config.timeout), (7000, 5));
        let run_last = run(&["--port", "7000", "-"], "timeout 6");
        assert_eq!((run_last.config.port, run_last.config.timeout), (7000, 6));
        assert!(run_first.from_stdin && run_last.from_stdin);
    }

    #[test]
    fn a_file_comes_first() {
        let folder = tempfile::tempdir().expect("a scratch folder");
        let path = folder.path().join("a.conf");
        std::fs::write(&path, "port 7001\nsave 900 1\n").expect("written");
        let path = path.to_str().expect("plain letters");
        let run = run(&[path, "--save", "5", "5", "-"], "timeout 3");
        assert_eq!((run.config.port, run.config.timeout, run.config.save.points.len()), (7001, 3, 2));
        assert_eq!(run.config_file.as_deref(), Some(Path::new(path)));
        bad_line(&[path, "--port", "x"], 4, "port \"x\"");
        let missing = request(&["/no/such.conf"], "").expect_err("no such file").to_string();
        assert_eq!(missing, "Fatal error, can't open config file '/no/such.conf': No such file or directory");
    }

    #[test]
    fn questions() {
        for args in [&["-v"][..], &["--version", "1"]] {
            let Ok(Request::Version(line)) = request(args, "") else { panic!("{args:?}") };
            let mut words = line.split(' ');
            assert_eq!((words.next(), words.next(), words.next()), (Some("Redis"), Some("server"), Some("v=8.0.6")));
            let keys = words.map(|word| word.split('=').next().unwrap_or("")).collect::<Vec<_>>();
            assert_eq!(keys, ["sha", "malloc", "bits", "build"]);
        }
        assert!(matches!(request(&["--help"], ""), Ok(Request::Help(_))));
        assert!(run(&[], "").without_config);
    }
}
