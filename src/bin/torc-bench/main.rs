//! torc-bench: load generator on io_uring, comparisons of servers, and their plots.

mod case;
mod check;
mod cli;
mod clock;
mod compare;
mod endpoint;
mod load;
mod plot;
mod report;
mod request;
mod ring;
mod server_process;
mod stats;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, ensure};
use clap::Parser;

use crate::cli::{Action, Cli, LoadArgs};
use crate::endpoint::Endpoint;
use crate::load::{Limit, NoWatch, Outcome, Plan};
use crate::request::{KeyOrder, Workload};
use crate::ring::process;

/// Descriptors beside those of connections.
const SPARE_DESCRIPTORS: u64 = 64;

fn main() -> ExitCode {
    let result = match Cli::parse().action {
        Action::Load(args) => run_load(&args),
        Action::Compare(args) => compare::run(&args),
        Action::Plot(args) => plot::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("torc-bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_load(args: &LoadArgs) -> anyhow::Result<()> {
    if let Some(core) = args.core {
        pin(core)?;
    }
    process::raise_descriptor_limit(args.connections as u64 + SPARE_DESCRIPTORS)
        .context("raising the descriptor limit")?;
    let endpoint = match &args.socket {
        Some(path) => Endpoint::Unix(path.clone()),
        None => Endpoint::Tcp(SocketAddr::from((args.host, args.port))),
    };
    let plan = Plan {
        endpoint,
        auth: args.password.clone().map(|password| (args.user.clone(), password)),
        workload: Workload::parse(&args.command, args.data),
        connections: args.connections,
        pipeline: args.pipeline,
        keys: args.keys,
        order: KeyOrder::Random { seed: args.seed },
        warmup: Duration::from_secs_f64(args.warmup),
        limit: args.requests.map_or(Limit::Time(Duration::from_secs_f64(args.duration)), Limit::Requests),
    };
    if args.populate {
        compare::populate(&plan, args.data).context("storing the key space")?;
    }
    let outcome = load::run(&plan, &mut NoWatch)?;
    print_outcome(args, &outcome)?;
    outcome.require_no_failures()
}

/// Binds the calling thread to `core`.
fn pin(core: usize) -> anyhow::Result<()> {
    let allowed = core_affinity::get_core_ids().unwrap_or_default();
    ensure!(allowed.iter().any(|id| id.id == core), "there is no core {core} here");
    ensure!(core_affinity::set_for_current(core_affinity::CoreId { id: core }), "binding to core {core} failed");
    Ok(())
}

fn print_outcome(args: &LoadArgs, outcome: &Outcome) -> anyhow::Result<()> {
    let per_request = outcome.client_cpu_ns as f64 / outcome.requests.max(1) as f64;
    let latency = &outcome.latency;
    if args.json {
        let text = serde_json::to_string_pretty(&serde_json::json!({
            "command": args.command,
            "connections": args.connections,
            "pipeline": args.pipeline,
            "keys": args.keys,
            "value_bytes": args.data,
            "requests": outcome.requests,
            "failures": outcome.failures,
            "first_failure": outcome.first_failure,
            "seconds": outcome.elapsed.as_secs_f64(),
            "requests_per_second": outcome.rate(),
            "client_cpu_ns_per_request": per_request,
            "latency_ns": report::Latency::of(latency),
        }))?;
        println!("{text}");
        return Ok(());
    }
    println!(
        "{} requests in {:.3} s: {:.0} requests/s, client CPU {per_request:.0} ns per request, {} failures",
        outcome.requests,
        outcome.elapsed.as_secs_f64(),
        outcome.rate(),
        outcome.failures
    );
    print!("latency us:");
    for (name, quantile) in [("p50", 0.5), ("p90", 0.9), ("p99", 0.99), ("p99.9", 0.999), ("p99.99", 0.9999)] {
        print!(" {name} {:.1},", latency.value_at_quantile(quantile) as f64 / 1000.0);
    }
    println!(" max {:.1}", latency.max() as f64 / 1000.0);
    Ok(())
}
