//! torc-bench: load generator on io_uring, comparisons of servers, and their plots.

mod benchmark;
mod case;
mod check;
mod cli;
mod clock;
mod compare;
mod constant_server;
mod crew;
mod draw;
mod endpoint;
mod keys;
mod load;
mod page;
mod plan;
mod plot_cpu;
mod plot_lines;
mod plot_ratios;
mod print;
mod progress;
mod readme;
mod request;
mod results;
mod ring;
mod scenario;
mod server_process;
mod stats;
mod suite;
mod syscalls;
mod tls;
mod values;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{LoadArgs, TOOL_NAMES, Tool, Tools};

/// Descriptors beside those of connections.
const SPARE_DESCRIPTORS: u64 = 64;

fn main() -> ExitCode {
    let first = std::env::args().nth(1);
    let result = if first.is_some_and(|first| TOOL_NAMES.contains(&first.as_str())) {
        match Tools::parse().tool {
            Tool::Compare(args) => compare::run(&args),
            Tool::Report(args) => page::run(&args),
            Tool::Readme(args) => readme::run(&args),
            Tool::ConstantServer(args) => constant_server::run(&args),
        }
    } else {
        benchmark::run(&LoadArgs::parse())
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("torc-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}
