//! The command line of torc-profile.

#![forbid(unsafe_code)]

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::client::Address;
use crate::profile::Level;

const ROUNDS_MAX: u32 = 1000;

const EXAMPLES: &str = "\
Examples:
  torc-profile --pid $(pidof redis-server)              what the requests that it gets now cost
  torc-profile --pid 4711 --load 'get -c 50 -P 16'      the same under a load from here
  torc-profile --flamegraph torc.svg -- torc-server --port 7000
  torc-profile --vs 'torc-server --port 7001' -- redis-server --port 7000
  torc-profile --check                                  what this host permits

A server that is started must stay in the foreground; it is stopped at the end. One given by its process number is
never stopped, and no signal is sent to it. docs/profile.md says how to read the figures.";

/// Says what a request costs a Redis-compatible server: system calls and their time, context switches, the work of its
/// ring, and where its CPU time goes.
#[derive(Debug, Parser)]
#[command(name = "torc-profile", version, disable_help_flag = true, after_help = EXAMPLES)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) action: Option<Action>,
    #[command(flatten)]
    pub(crate) run: RunArgs,
}

/// What else it does.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Put the newest profile of bench-results/ into README.md, or check that it is there.
    Readme(ReadmeArgs),
}

/// Options of `readme`.
#[derive(Args, Debug)]
pub(crate) struct ReadmeArgs {
    /// Change nothing; exit status 1 if README.md says something else.
    #[arg(long)]
    pub(crate) check: bool,
    /// The folder with README.md and bench-results/.
    #[arg(long, value_name = "FOLDER", default_value = ".")]
    pub(crate) root: PathBuf,
}

/// Options of a run.
#[derive(Args, Debug)]
pub(crate) struct RunArgs {
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// A running server, by its process number.
    #[arg(long, value_parser = clap::value_parser!(i32).range(1..), conflicts_with = "command")]
    pub(crate) pid: Option<i32>,
    /// A server to compare with: the number of a running process, or a command line to start. May be given again.
    #[arg(long, value_name = "PID_OR_COMMAND")]
    pub(crate) vs: Vec<String>,
    /// What to call the servers, in their order; without it they are called what they say they are.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Vec<String>,
    /// Seconds of each pass. A round has three: undisturbed, system calls watched, stacks sampled.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    pub(crate) duration: f64,
    /// How often each server is measured, in turns; medians are shown. [default: 1, or 3 with --vs]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u32).range(1..=i64::from(ROUNDS_MAX)))]
    pub(crate) rounds: Option<u32>,
    /// A load to put on the server: a test of torc-bench, then its options; --load among them stores the keys first. May
    /// be given again. [default for servers started here: get -c 50 -r 100000 -d 64 --load]
    #[arg(long, value_name = "LOAD", allow_hyphen_values = true)]
    pub(crate) load: Vec<String>,
    /// Address of the first server, if it cannot be found through its process.
    #[arg(short = 'h', long, value_name = "ADDRESS", requires = "port")]
    pub(crate) host: Option<std::net::IpAddr>,
    /// Port of the first server.
    #[arg(short, long)]
    pub(crate) port: Option<u16>,
    /// Unix socket of the first server.
    #[arg(short, long, value_name = "PATH", conflicts_with = "port")]
    pub(crate) socket: Option<PathBuf>,
    /// Password of the servers.
    #[arg(short = 'a', long, env = "REDISCLI_AUTH", hide_env_values = true)]
    pub(crate) password: Option<String>,
    /// User for the password.
    #[arg(long, requires = "password")]
    pub(crate) user: Option<String>,
    /// Print JSON instead of the table.
    #[arg(long)]
    pub(crate) json: bool,
    /// Write the JSON to a file too.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
    /// Draw a flame graph; with several servers or loads, one each, with their names in the files'.
    #[arg(long, value_name = "FILE.svg")]
    pub(crate) flamegraph: Option<PathBuf>,
    /// Stacks sampled per second of CPU time.
    #[arg(long, value_name = "HZ", default_value_t = 997, value_parser = clap::value_parser!(u32).range(1..=20_000))]
    pub(crate) frequency: u32,
    /// Say what this host permits, and how to permit more; examine nothing.
    #[arg(long)]
    pub(crate) check: bool,
    /// Begin with this way of seeing system calls, though a better one works.
    #[arg(long, hide = true, value_enum, default_value = "tracefs")]
    pub(crate) level: Level,
    /// The server to start, with its arguments.
    #[arg(last = true)]
    pub(crate) command: Vec<String>,
}

impl RunArgs {
    /// Where the first server was said to listen.
    pub(crate) fn address(&self) -> Option<Address> {
        let host = self.host.unwrap_or(std::net::Ipv4Addr::LOCALHOST.into());
        let socket = self.socket.clone().map(Address::Unix);
        socket.or(self.port.map(|port| Address::Tcp(host, port)))
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(seconds) if (0.05..=3600.0).contains(&seconds) => Ok(seconds),
        _ => Err("a number of seconds from 0.05 to 3600 is wanted".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn servers_and_their_addresses() {
        let parse = |line: &str| Cli::try_parse_from(line.split_whitespace());
        let run = parse("torc-profile --vs 12 -- redis-server --port 7000").unwrap().run;
        assert_eq!(run.command, ["redis-server", "--port", "7000"]);
        assert_eq!((run.address(), run.vs), (None, vec!["12".to_owned()]));
        let run = parse("torc-profile --pid 5 -p 7000").unwrap().run;
        assert_eq!(run.address().unwrap().to_string(), "127.0.0.1:7000");
        assert_eq!(parse("torc-profile --pid 5 -h ::1 -p 7").unwrap().run.address().unwrap().to_string(), "[::1]:7");
        assert!(parse("torc-profile --pid 5 -- redis-server").is_err() && parse("torc-profile --pid 0").is_err());
        assert!(parse("torc-profile --pid 5 --duration 0").is_err());
        assert!(parse("torc-profile readme --check").unwrap().action.is_some());
    }
}
