//! The command line of torc-bench.

#![forbid(unsafe_code)]

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::case::Case;
use crate::server_process::ServerSpec;

/// Load generator and benchmark for Redis-compatible servers, on io_uring.
#[derive(Debug, Parser)]
#[command(name = "torc-bench", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) action: Action,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Action {
    /// Put load on one running server and report rate and latency. Exit status 1 if any reply was an error.
    Load(LoadArgs),
    /// Start servers, run the same cases on them in turn, and report their cost relative to the first.
    Compare(CompareArgs),
    /// Draw a comparison's results as SVG.
    Plot(PlotArgs),
}

/// Options of `load`.
#[derive(Args, Debug)]
#[command(disable_help_flag = true)]
pub(crate) struct LoadArgs {
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// IPv4 address of the server.
    #[arg(short = 'h', long, default_value = "127.0.0.1")]
    pub(crate) host: Ipv4Addr,
    /// Port of the server.
    #[arg(short, long, default_value_t = 6379)]
    pub(crate) port: u16,
    /// Unix socket of the server, instead of address and port.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Password, sent by AUTH.
    #[arg(short = 'a', long)]
    pub(crate) password: Option<String>,
    /// User for AUTH.
    #[arg(long, requires = "password")]
    pub(crate) user: Option<String>,
    /// Connections.
    #[arg(short = 'c', long, default_value_t = 50, value_parser = at_least_one)]
    pub(crate) connections: usize,
    /// Requests in flight per connection.
    #[arg(short = 'P', long, default_value_t = 1, value_parser = at_least_one)]
    pub(crate) pipeline: usize,
    /// Stop after so many requests, instead of after a time.
    #[arg(short = 'n', long, value_name = "COUNT")]
    pub(crate) requests: Option<u64>,
    /// Bytes of a value.
    #[arg(short = 'd', long, value_name = "BYTES", default_value_t = 64)]
    pub(crate) data: usize,
    /// Size of the key space.
    #[arg(short = 'r', long, value_name = "COUNT", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000_000))]
    pub(crate) keys: u64,
    /// Seconds of the timed part.
    #[arg(long, value_name = "SECONDS", default_value_t = 5.0, value_parser = seconds)]
    pub(crate) duration: f64,
    /// Seconds of load before the timed part.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.5, value_parser = seconds)]
    pub(crate) warmup: f64,
    /// Run on this core only.
    #[arg(long)]
    pub(crate) core: Option<usize>,
    /// Seed of the random keys.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// Store every key of the key space first.
    #[arg(long)]
    pub(crate) populate: bool,
    /// Report as JSON.
    #[arg(long)]
    pub(crate) json: bool,
    /// get, set, ping, incr, mixed (nine GET, one SET), or a command with its arguments, in which __rand_int__ becomes
    /// a key number, __key__ a key and __data__ a value.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,
}

/// Options of `compare`.
#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// A server as "NAME=BINARY ARGS...". Give several; the first is the baseline.
    #[arg(long = "server", required = true, value_name = "NAME=BINARY ARGS...")]
    pub(crate) servers: Vec<ServerSpec>,
    /// A case: COMMAND-cCONNECTIONS-pPIPELINE, memory-KEYS or idle-CONNECTIONS. Give several; without one, the headline
    /// cases run.
    #[arg(long = "case", value_name = "CASE")]
    pub(crate) cases: Vec<Case>,
    /// How many times each case runs on each server.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: u32,
    /// Seconds of the timed part of a load.
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0, value_parser = seconds)]
    pub(crate) duration: f64,
    /// Seconds of load before the timed part.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.3, value_parser = seconds)]
    pub(crate) warmup: f64,
    /// Size of the key space, every key of which is stored first.
    #[arg(short = 'r', long, value_name = "COUNT", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    pub(crate) keys: u64,
    /// Bytes of a value.
    #[arg(short = 'd', long, value_name = "BYTES", default_value_t = 64)]
    pub(crate) data: usize,
    /// The core that the servers run on.
    #[arg(long, default_value_t = 0)]
    pub(crate) server_core: usize,
    /// The core that the load runs on.
    #[arg(long, default_value_t = 1, conflicts_with = "same_core")]
    pub(crate) load_core: usize,
    /// Run the load on the servers' core.
    #[arg(long)]
    pub(crate) same_core: bool,
    /// Talk over Unix sockets.
    #[arg(long)]
    pub(crate) unix: bool,
    /// Count system calls too, in a pass of their own (needs `perf` and the right to trace).
    #[arg(long)]
    pub(crate) syscalls: bool,
    /// Where the results go.
    #[arg(long, value_name = "FOLDER", default_value = "bench-results")]
    pub(crate) results: PathBuf,
    /// The name of the results' file, instead of one made from date and servers.
    #[arg(long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Options of `plot`.
#[derive(Args, Debug)]
pub(crate) struct PlotArgs {
    /// Results of a comparison.
    pub(crate) results: PathBuf,
    /// The SVG to write.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: PathBuf,
    /// Mark a ratio to reach: for every case, or as CASE=RATIO for one.
    #[arg(long = "target", value_name = "RATIO", value_parser = target)]
    pub(crate) targets: Vec<Target>,
}

/// A ratio to reach.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Target {
    /// The case that it is for; none: all.
    pub(crate) case: Option<String>,
    pub(crate) ratio: f64,
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be at least 1".to_owned()),
        Ok(number) => Ok(number),
        Err(error) => Err(format!("{error}")),
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.0..=86_400.0).contains(&number) => Ok(number),
        _ => Err("must be a number of seconds up to a day".to_owned()),
    }
}

fn target(text: &str) -> Result<Target, String> {
    let (case, ratio) = match text.split_once('=') {
        Some((case, ratio)) => (Some(case.to_owned()), ratio),
        None => (None, text),
    };
    match ratio.parse() {
        Ok(ratio) if (0.01..=100.0).contains(&ratio) => Ok(Target { case, ratio }),
        _ => Err("must be a ratio between 0.01 and 100, or CASE=RATIO".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definitions_hold_together() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_load_takes_a_command_with_dashes() {
        let cli = Cli::try_parse_from(["torc-bench", "load", "-c", "5", "-h", "127.0.0.2", "LPUSH", "-c", "l"]);
        let Action::Load(args) = cli.unwrap().action else { panic!("parsed as something else") };
        assert_eq!((args.connections, args.command.join(" ").as_str()), (5, "LPUSH -c l"));
        assert_eq!(args.host, Ipv4Addr::new(127, 0, 0, 2));
    }

    #[test]
    fn senseless_numbers_are_refused() {
        for args in [["-c", "0"], ["-P", "0"], ["-r", "0"], ["--duration", "-1"], ["--warmup", "nan"]] {
            assert!(Cli::try_parse_from(["torc-bench", "load"].into_iter().chain(args).chain(["get"])).is_err());
        }
    }

    #[test]
    fn targets_are_for_all_or_one() {
        assert_eq!(target("0.8"), Ok(Target { case: None, ratio: 0.8 }));
        assert_eq!(target("get-c1-p1=0.8"), Ok(Target { case: Some("get-c1-p1".to_owned()), ratio: 0.8 }));
        assert!(target("0").is_err());
    }
}
