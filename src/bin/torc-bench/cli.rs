//! The command line of torc-bench: that of a load here, which is redis-benchmark's with more, and that of the tools.

#![forbid(unsafe_code)]

use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand};

use crate::crew::CORES_MAX;
use crate::suite::Ratio;
use crate::values::ValueLengths;

const KEYS_MAX: u64 = 1_000_000_000_000;
const CONNECTIONS_MAX: u64 = 60_000;
const PIPELINE_MAX: u64 = 100_000;
const THREADS_MAX: u64 = 1024;

const LOAD_EXAMPLES: &str = "\
Examples:
  torc-bench -t set,get -n 1000000 -r 100000 -P 16 -q
  torc-bench -t get -r 1000000 --load --duration 10 --rate 50000 --json
  torc-bench --ratio 9:1 --zipfian 0.99 -r 1000000 -d 16-1024 --duration 30
  torc-bench -r 100000 hset h:__rand_int__ field __data__

Other tools, each with its own --help:
  torc-bench compare SCENARIO   compare servers on the same loads, in turns
  torc-bench report RESULTS     draw a comparison: SVG plots and a page of HTML
  torc-bench readme             put a comparison's figures into README.md, or check that they are there
  torc-bench constant-server    a server that gives every request the same answer";

/// Load generator and benchmark for Redis-compatible servers, on io_uring. Takes redis-benchmark's options and tests.
///
/// Replies are checked: an error, or another reply than the command calls for, ends the test and makes the exit status 1,
/// and is never counted as a request. Without --rate the next request goes out when the last one was answered; with it,
/// requests are due by the clock and their latency counts from then, so a server that stalls cannot hide it.
#[derive(Debug, Parser)]
#[command(name = "torc-bench", version, disable_help_flag = true, after_help = LOAD_EXAMPLES)]
pub(crate) struct LoadArgs {
    /// Print help.
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    #[command(flatten)]
    pub(crate) server: ServerArgs,
    /// Connections.
    #[arg(short = 'c', long = "connections", visible_alias = "clients", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=CONNECTIONS_MAX))]
    pub(crate) connections: u64,
    /// Requests of each test. Not with --duration.
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 100_000, value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) requests: u64,
    /// Seconds that each test runs, instead of a number of requests.
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) duration: Option<f64>,
    /// Requests in flight per connection.
    #[arg(short = 'P', long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=PIPELINE_MAX))]
    pub(crate) pipeline: u64,
    /// Bytes of a value: a length, a range 16-1024, a list with weights 8:50,1024:5, or lognormal:MEDIAN:SIGMA.
    #[arg(short = 'd', long = "data", value_name = "BYTES", default_value = "3")]
    pub(crate) data: ValueLengths,
    /// Size of the key space: __rand_int__ becomes a number below it, anew in every request. Without it, one key is used.
    #[arg(short = 'r', long = "keys", value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=KEYS_MAX))]
    pub(crate) keys: Option<u64>,
    /// Use some keys more often: number K has the weight 1 / (K + 1) ^ THETA. Needs -r.
    #[arg(long, value_name = "THETA", requires = "keys", conflicts_with = "sequential", value_parser = theta)]
    pub(crate) zipfian: Option<f64>,
    /// Use keys one after the other instead of at random. Needs -r.
    #[arg(long, requires = "keys")]
    pub(crate) sequential: bool,
    /// Seed of everything random.
    #[arg(long, default_value_t = 1)]
    pub(crate) seed: u64,
    /// The tests to run, separated by commas, instead of all.
    #[arg(short = 't', long, value_name = "TESTS")]
    pub(crate) tests: Option<String>,
    /// Run a mix of GET and SET in this ratio, for example 9:1.
    #[arg(long, value_name = "READS:WRITES", conflicts_with = "tests")]
    pub(crate) ratio: Option<Ratio>,
    /// Store every key of the key space first. Then a GET that finds nothing is an error. Needs -r.
    #[arg(long, requires = "keys")]
    pub(crate) load: bool,
    /// Seconds of load before the measured part of each test.
    #[arg(long, value_name = "SECONDS", default_value_t = 0.0, value_parser = seconds)]
    pub(crate) warmup: f64,
    /// Requests per second over all connections, due by the clock whatever the server does.
    #[arg(long, value_name = "PER SECOND", value_parser = rate)]
    pub(crate) rate: Option<f64>,
    /// With --rate: intervals vary as those of many independent clients do.
    #[arg(long, requires = "rate")]
    pub(crate) poisson: bool,
    /// Threads, each with its own ring.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=THREADS_MAX))]
    pub(crate) threads: u64,
    /// Bind the threads to these cores in turn, for example 2-5,7.
    #[arg(long, visible_alias = "core", value_name = "LIST")]
    pub(crate) cores: Option<CoreList>,
    /// 1: keep connections; 0: open a new one for every pipeline.
    #[arg(short = 'k', long = "keepalive", value_name = "0|1", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=1))]
    pub(crate) keep_alive: u8,
    /// Count errors and go on, instead of ending the test at the first.
    #[arg(long)]
    pub(crate) keep_going: bool,
    /// Print one line per test: requests per second and the median latency.
    #[arg(short = 'q', long, conflicts_with_all = ["csv", "json"])]
    pub(crate) quiet: bool,
    /// Print comma-separated values.
    #[arg(long, conflicts_with = "json")]
    pub(crate) csv: bool,
    /// Print one JSON document.
    #[arg(long)]
    pub(crate) json: bool,
    /// Decimal places of latencies in milliseconds.
    #[arg(long, value_name = "PLACES", default_value_t = 3, value_parser = clap::value_parser!(u8).range(0..=6))]
    pub(crate) precision: u8,
    /// Write latencies, second by second, as an HdrHistogram log (V2), in nanoseconds.
    #[arg(long, value_name = "FILE")]
    pub(crate) hdr_log: Option<PathBuf>,
    /// Run the tests over and over.
    #[arg(short = 'l', long = "loop", conflicts_with = "json")]
    pub(crate) endless: bool,
    /// Only open the connections, and keep them open until --duration is over, or for ever.
    #[arg(short = 'I', long = "idle")]
    pub(crate) idle: bool,
    /// Read the last argument of the command from standard input.
    #[arg(short = 'x', long = "stdin")]
    pub(crate) stdin: bool,
    /// A command to run instead of tests. __rand_int__ in it becomes a key number (with -r), __key__ a key, __data__ a value.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub(crate) command: Vec<String>,
}

/// Which server, and how to get in.
#[derive(Args, Debug)]
pub(crate) struct ServerArgs {
    /// Name or address of the server.
    #[arg(short = 'h', long, default_value = "127.0.0.1")]
    pub(crate) host: String,
    /// Port of the server.
    #[arg(short, long, default_value_t = 6379)]
    pub(crate) port: u16,
    /// Unix socket of the server, instead of name and port.
    #[arg(short, long, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
    /// Everything in one: redis://USER:PASSWORD@HOST:PORT/DB, or rediss:// for TLS.
    #[arg(short = 'u', long, conflicts_with_all = ["socket", "password", "user", "dbnum"])]
    pub(crate) uri: Option<String>,
    /// Password, sent by AUTH.
    #[arg(short = 'a', long = "pass", visible_alias = "password")]
    pub(crate) password: Option<String>,
    /// User for AUTH.
    #[arg(long, requires = "password")]
    pub(crate) user: Option<String>,
    /// The database to SELECT.
    #[arg(long, visible_alias = "db", default_value_t = 0)]
    pub(crate) dbnum: u32,
    /// Speak RESP3.
    #[arg(short = '3', long = "resp3")]
    pub(crate) resp3: bool,
    /// Send CLIENT TRACKING ON first.
    #[arg(long)]
    pub(crate) enable_tracking: bool,
    /// Speak TLS.
    #[arg(long)]
    pub(crate) tls: bool,
    /// The server's name for TLS, instead of the one given by -h.
    #[arg(long, value_name = "NAME", requires = "tls")]
    pub(crate) sni: Option<String>,
    /// Authorities to verify the server by, as a PEM file; the host's own without it.
    #[arg(long, value_name = "FILE", requires = "tls")]
    pub(crate) cacert: Option<PathBuf>,
    /// The same as a folder of PEM files.
    #[arg(long, value_name = "FOLDER", requires = "tls")]
    pub(crate) cacertdir: Option<PathBuf>,
    /// Ciphers of TLS 1.2 to offer, in OpenSSL's names with colons between them.
    #[arg(long, value_name = "NAMES", requires = "tls")]
    pub(crate) tls_ciphers: Option<String>,
    /// Ciphers of TLS 1.3 to offer. With one of the two lists only, nothing of the other version is offered.
    #[arg(long, value_name = "NAMES", requires = "tls")]
    pub(crate) tls_ciphersuites: Option<String>,
    /// Do not verify the server.
    #[arg(long, requires = "tls")]
    pub(crate) insecure: bool,
    /// Certificate to show to the server, as a PEM file.
    #[arg(long, value_name = "FILE", requires_all = ["tls", "key"])]
    pub(crate) cert: Option<PathBuf>,
    /// Its private key.
    #[arg(long, value_name = "FILE", requires_all = ["tls", "cert"])]
    pub(crate) key: Option<PathBuf>,
}

/// The tools beside the load.
#[derive(Debug, Parser)]
#[command(name = "torc-bench", version)]
pub(crate) struct Tools {
    #[command(subcommand)]
    pub(crate) tool: Tool,
}

/// Words that, coming first, select a tool instead of a load.
pub(crate) const TOOL_NAMES: [&str; 4] = ["compare", "report", "readme", "constant-server"];

/// A tool.
#[derive(Debug, Subcommand)]
pub(crate) enum Tool {
    /// Compare servers on the same loads, in turns.
    Compare(CompareArgs),
    /// Draw a comparison's results: SVG plots and a page of HTML.
    Report(ReportArgs),
    /// Put a comparison's figures into README.md, or check that they are there.
    Readme(ReadmeArgs),
    /// Give every request the same answer.
    #[command(hide = true)]
    ConstantServer(ConstantServerArgs),
}

/// Options of `compare`.
#[derive(Args, Debug)]
pub(crate) struct CompareArgs {
    /// A scenario: a TOML file, or the name of one that comes with this program (smoke, headline, full, collections, io-threads, memory).
    pub(crate) scenario: String,
    /// Print the scenario and end.
    #[arg(long)]
    pub(crate) print: bool,
    /// How many times each case runs on each server, instead of what the scenario says.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) rounds: Option<u32>,
    /// Seconds of the timed part of a load, instead of what the scenario says.
    #[arg(long, value_parser = seconds)]
    pub(crate) seconds: Option<f64>,
    /// Only cases whose name contains one of these texts.
    #[arg(long = "case", value_name = "TEXT")]
    pub(crate) cases: Vec<String>,
    /// Only these servers of the scenario.
    #[arg(long = "server", value_name = "NAME")]
    pub(crate) servers: Vec<String>,
    /// Cores of the servers, instead of what the scenario says.
    #[arg(long, value_name = "LIST")]
    pub(crate) server_cores: Option<CoreList>,
    /// Cores of the load, instead of what the scenario says.
    #[arg(long, value_name = "LIST")]
    pub(crate) load_cores: Option<CoreList>,
    /// Where the results go.
    #[arg(long, value_name = "FOLDER", default_value = "bench-results")]
    pub(crate) results: PathBuf,
    /// The name of the results' files without their endings, instead of one made from the date and the scenario.
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
}

/// Options of `report`.
#[derive(Args, Debug)]
pub(crate) struct ReportArgs {
    /// Results of a comparison (JSON).
    pub(crate) results: PathBuf,
    /// Where the page goes; beside the results without it. The plots go to a folder of the same name.
    #[arg(short, long, value_name = "FILE")]
    pub(crate) output: Option<PathBuf>,
}

/// Options of `readme`.
#[derive(Args, Debug)]
pub(crate) struct ReadmeArgs {
    /// Results of a comparison to take the figures from, instead of those that the file names.
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    pub(crate) results: Option<PathBuf>,
    /// Change nothing; exit status 1 if anything would change.
    #[arg(long)]
    pub(crate) check: bool,
    /// The file to change.
    #[arg(default_value = "README.md")]
    pub(crate) file: PathBuf,
}

/// Options of `constant-server`.
#[derive(Args, Debug)]
pub(crate) struct ConstantServerArgs {
    /// Port to listen on; 0: any, and it is printed.
    #[arg(short, long, default_value_t = 0)]
    pub(crate) port: u16,
    /// The reply to every request; \r\n is added.
    #[arg(long, default_value = "+OK", allow_hyphen_values = true)]
    pub(crate) reply: String,
    /// Milliseconds to wait before the replies to what was read together.
    #[arg(long, value_name = "MS", default_value_t = 0)]
    pub(crate) delay_ms: u64,
    /// Stand still after every so many requests.
    #[arg(long, value_name = "REQUESTS", requires = "stall_ms")]
    pub(crate) stall_every: Option<u64>,
    /// For how long.
    #[arg(long, value_name = "MS", requires = "stall_every")]
    pub(crate) stall_ms: Option<u64>,
    /// Close every connection after so many requests in all.
    #[arg(long, value_name = "REQUESTS")]
    pub(crate) die_after: Option<u64>,
    /// Run on this core.
    #[arg(long)]
    pub(crate) core: Option<usize>,
}

/// Core numbers, as in `0-2,5`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CoreList(pub(crate) Vec<usize>);

impl std::str::FromStr for CoreList {
    type Err = String;

    fn from_str(text: &str) -> Result<CoreList, String> {
        let mut cores = Vec::new();
        for part in text.split(',') {
            let (from, to) = part.split_once('-').unwrap_or((part, part));
            match (from.parse::<usize>(), to.parse::<usize>()) {
                (Ok(from), Ok(to)) if from <= to && to < CORES_MAX => cores.extend(from..=to),
                _ => return Err(format!("must be cores like 0-2,5, not {text:?}")),
            }
        }
        Ok(CoreList(cores))
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.0..=86_400.0).contains(&number) => Ok(number),
        _ => Err("must be a number of seconds up to a day".to_owned()),
    }
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.01..=1e9).contains(&number) => Ok(number),
        _ => Err("must be a number of requests per second".to_owned()),
    }
}

fn theta(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if (0.01..=0.999).contains(&number) => Ok(number),
        _ => Err("must be between 0.01 and 0.999".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(line: &str) -> Result<LoadArgs, clap::Error> {
        LoadArgs::try_parse_from(line.split(' '))
    }

    #[test]
    fn the_definitions_hold_together() {
        LoadArgs::command().debug_assert();
        Tools::command().debug_assert();
        for name in TOOL_NAMES {
            assert!(Tools::command().find_subcommand(name).is_some(), "{name}");
        }
    }

    #[test]
    fn options_are_those_of_redis_benchmark() {
        let args = parse(
            "torc-bench -h db -p 7 -a pw --user me -c 5 -n 9 -P 4 -d 7 -r 10 -t get,set -q --dbnum 3 -3 -k 0 --threads 2",
        );
        let args = args.unwrap();
        assert_eq!((args.server.host.as_str(), args.server.port, args.server.dbnum), ("db", 7, 3));
        assert_eq!((args.connections, args.requests, args.pipeline, args.keys), (5, 9, 4, Some(10)));
        assert_eq!((args.data, args.keep_alive, args.threads), (ValueLengths::Fixed(7), 0, 2));
        assert!(args.quiet && args.server.resp3);
        let args = parse("torc-bench --csv -l -I -x -s /tmp/s --enable-tracking --seed 5 --precision 2").unwrap();
        assert!(args.csv && args.endless && args.idle && args.stdin && args.server.enable_tracking);
        assert!(
            parse(
                "torc-bench --tls --insecure --sni a --cacert b --cert c --key d --tls-ciphers e --tls-ciphersuites f"
            )
            .is_ok()
        );
        assert!(parse("torc-bench -u redis://a:b@c:1/2").is_ok());
    }

    #[test]
    fn a_command_may_have_dashes() {
        let args = parse("torc-bench -c 5 LPUSH -c l").unwrap();
        assert_eq!((args.connections, args.command.join(" ").as_str()), (5, "LPUSH -c l"));
    }

    #[test]
    fn senseless_values_are_refused() {
        for line in
            ["-c 0", "-P 0", "-r 0", "-n 0", "--duration -1", "--warmup nan", "-k 2", "--zipfian 1.5 -r 9", "--rate 0"]
        {
            assert!(parse(&format!("torc-bench {line}")).is_err(), "{line}");
        }
        for line in [
            "--zipfian 0.9",
            "--load",
            "--sequential",
            "--poisson",
            "--cert a --tls",
            "-q --json",
            "--sni a",
            "--tls-ciphers a",
        ] {
            assert!(parse(&format!("torc-bench {line}")).is_err(), "{line}");
        }
    }

    #[test]
    fn core_lists_have_ranges() {
        assert_eq!("0-2,5".parse(), Ok(CoreList(vec![0, 1, 2, 5])));
        for text in ["", "2-1", "x", "0-99999"] {
            assert!(text.parse::<CoreList>().is_err(), "{text}");
        }
    }
}
