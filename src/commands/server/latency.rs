//! The LATENCY family: spikes by event (`observe::latency`) and the durations of every command (`observe::histogram`).
//! Main thread.

#![forbid(unsafe_code)]

use std::fmt::Write;

use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::registry::CommandId;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags};
use crate::command::state::State;
use crate::resp::args::Args;

const ADMIN: Flags = Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE);
const DANGEROUS: Categories = Categories::ADMIN.union(Categories::SLOW).union(Categories::DANGEROUS);
const REPORT_TIPS: &[&str] = &["nondeterministic_output", "request_policy:all_nodes", "response_policy:special"];

/// What all of the family have in common.
const MEMBER: Command = Command {
    since: "2.8.13",
    group: "server",
    complexity: "O(1)",
    arity: 2,
    flags: ADMIN,
    categories: DANGEROUS,
    tips: REPORT_TIPS,
    ..Command::BLANK
};

const EVENT: &[ArgSpec] = &[ArgSpec::new("event", ArgKind::String)];

/// `LATENCY`.
pub(super) static LATENCY: Command = Command {
    name: "latency",
    full_name: "latency",
    summary: "Holds the commands about latency.",
    complexity: "depends",
    arity: -2,
    flags: Flags::empty(),
    categories: Categories::SLOW,
    tips: &[],
    subcommands: &[
        &LATENCY_DOCTOR,
        &LATENCY_GRAPH,
        &LATENCY_HELP,
        &LATENCY_HISTOGRAM,
        &LATENCY_HISTORY,
        &LATENCY_LATEST,
        &LATENCY_RESET,
    ],
    ..MEMBER
};

/// `LATENCY DOCTOR`.
static LATENCY_DOCTOR: Command = Command {
    name: "doctor",
    full_name: "latency|doctor",
    summary: "Reports latency spikes in words, with advice.",
    handler: Some(doctor),
    ..MEMBER
};

/// `LATENCY GRAPH`.
static LATENCY_GRAPH: Command = Command {
    name: "graph",
    full_name: "latency|graph",
    summary: "Draws the spikes of an event.",
    arity: 3,
    args: EVENT,
    handler: Some(graph),
    ..MEMBER
};

/// `LATENCY HELP`.
static LATENCY_HELP: Command = Command {
    name: "help",
    full_name: "latency|help",
    summary: "Lists the subcommands of LATENCY.",
    flags: Flags::LOADING.union(Flags::STALE),
    categories: Categories::SLOW,
    tips: &[],
    handler: Some(help),
    ..MEMBER
};

/// `LATENCY HISTOGRAM`.
static LATENCY_HISTOGRAM: Command = Command {
    name: "histogram",
    full_name: "latency|histogram",
    summary: "Answers how many executions of commands took how long.",
    since: "7.0.0",
    complexity: "O(N)",
    arity: -2,
    args: &[ArgSpec::new("command", ArgKind::String).optional().multiple()],
    handler: Some(histogram),
    ..MEMBER
};

/// `LATENCY HISTORY`.
static LATENCY_HISTORY: Command = Command {
    name: "history",
    full_name: "latency|history",
    summary: "Answers the spikes of an event, with their times.",
    arity: 3,
    args: EVENT,
    handler: Some(history),
    ..MEMBER
};

/// `LATENCY LATEST`.
static LATENCY_LATEST: Command = Command {
    name: "latest",
    full_name: "latency|latest",
    summary: "Answers the latest and the worst spike of every event.",
    handler: Some(latest),
    ..MEMBER
};

/// `LATENCY RESET`.
static LATENCY_RESET: Command = Command {
    name: "reset",
    full_name: "latency|reset",
    summary: "Forgets the spikes of some or all events.",
    arity: -2,
    tips: &["request_policy:all_nodes", "response_policy:agg_sum"],
    args: &[ArgSpec::new("event", ArgKind::String).optional().multiple()],
    handler: Some(reset),
    ..MEMBER
};

const HELP: &[&str] = &[
    "DOCTOR",
    "    Report all spikes in words, with advice.",
    "GRAPH <event>",
    "    Draw the spikes of an event.",
    "HISTORY <event>",
    "    Answer the spikes of an event, with their times.",
    "LATEST",
    "    Answer the latest and the worst spike of every event.",
    "RESET [<event> ...]",
    "    Forget the spikes of some events, or of all.",
    "HISTOGRAM [<command> ...]",
    "    Answer how many executions of some commands, or of all, took how long.",
];

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.help("latency", HELP);
    Ok(())
}

fn latest(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    let events = ctx.state.latency.iter();
    ctx.reply.array(events.len());
    for (event, spikes) in events {
        let spike = spikes.latest().expect("an event has samples");
        ctx.reply.array(4);
        ctx.reply.bulk(event.as_bytes());
        ctx.reply.integer(spike.at_s);
        ctx.reply.integer(spike.latency_ms as i64);
        ctx.reply.integer(spikes.max_ms as i64);
    }
    Ok(())
}

fn history(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let Some(spikes) = ctx.state.latency.get(args.get(2)) else {
        ctx.reply.array(0);
        return Ok(());
    };
    let samples = spikes.samples();
    ctx.reply.array(samples.len());
    for spike in samples {
        ctx.reply.array(2);
        ctx.reply.integer(spike.at_s);
        ctx.reply.integer(spike.latency_ms as i64);
    }
    Ok(())
}

fn graph(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let event = args.get(2);
    let Some(spikes) = ctx.state.latency.get(event) else {
        return Err(CommandError::quoting("No samples available for event '", event, event.len(), "'"));
    };
    let text = spikes.graph(&String::from_utf8_lossy(event), ctx.state.now_s);
    ctx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn reset(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let latency = &mut ctx.state.latency;
    let forgotten = if args.len() == 2 {
        latency.clear()
    } else {
        args.skip(2).iter().filter(|event| latency.forget(event)).count()
    };
    ctx.reply.integer(forgotten as i64);
    Ok(())
}

fn doctor(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    let text = report(ctx.state);
    ctx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

fn report(state: &State) -> String {
    if state.config.latency_monitor_threshold == 0 {
        return "Nothing is watched: latency-monitor-threshold is 0. Set it to the milliseconds from which on something is \
                too slow, with CONFIG SET latency-monitor-threshold <milliseconds>.\n"
            .into();
    }
    if state.latency.iter().len() == 0 {
        return "Nothing took longer than latency-monitor-threshold allows.\n".into();
    }
    let mut text = "Some things took longer than latency-monitor-threshold allows:\n\n".to_string();
    for (number, (event, spikes)) in state.latency.iter().enumerate() {
        let summary = spikes.summary(state.now_s);
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{}. {event}: {} latency spikes (average {}ms, mean deviation {}ms, period {:.2} sec). Worst all time event {}ms.",
            number + 1,
            summary.count,
            summary.average_ms,
            summary.deviation_ms,
            summary.period_s,
            spikes.max_ms
        );
    }
    text.push_str("\nWhat may help:\n\n");
    let has = |event: &str| state.latency.get(event.as_bytes()).is_some();
    let mut advise = |line: &str| {
        let _ = writeln!(text, "- {line}");
    };
    if has("command") {
        if state.config.slowlog_log_slower_than < 0 || state.config.slowlog_max_len == 0 {
            advise("The slow log is off. Turn it on with slowlog-log-slower-than to see which commands are slow.");
        } else {
            advise("SLOWLOG GET shows which commands are slow.");
        }
        advise("Commands over many elements or keys take long. SCAN, UNLINK and smaller values take their place.");
    }
    if has("fast-command") {
        advise("Even short commands were slow: the machine may be overloaded, swap, or hold the process back.");
    }
    if has("expire-cycle") {
        advise("Many keys expire at the same time. Spread their times, or lower active-expire-effort.");
    }
    text
}

/// Commands that LATENCY HISTOGRAM was asked for; a container stands for its subcommands.
fn wanted(state: &State, args: Args<'_>) -> Vec<CommandId> {
    if args.len() == 2 {
        return state.registry.all().map(|(id, _)| id).collect();
    }
    let mut ids = Vec::new();
    for name in args.skip(2).iter() {
        let Some(id) = state.registry.find_full_name(name) else { continue };
        ids.push(id);
        ids.extend_from_slice(&state.registry.entry(id).subcommands);
    }
    ids
}

fn histogram(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    ctx.state.settle_stats();
    let ids = wanted(ctx.state, args);
    let header = ctx.reply.deferred();
    let mut count = 0;
    for id in ids {
        let Some(histogram) = &ctx.state.stats.histograms[id.index()] else { continue };
        count += 1;
        ctx.reply.bulk(ctx.state.registry.entry(id).command.full_name.as_bytes());
        ctx.reply.map(2);
        ctx.reply.bulk(b"calls");
        ctx.reply.integer(histogram.total() as i64);
        ctx.reply.bulk(b"histogram_usec");
        let rows = histogram.cumulative();
        ctx.reply.map(rows.len());
        for (us, calls) in rows {
            ctx.reply.integer(us as i64);
            ctx.reply.integer(calls as i64);
        }
    }
    ctx.reply.end_map(header, count);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::{replay, replay_in};
    use crate::engine::Engine;

    #[test]
    fn spikes_are_told_and_forgotten() {
        let mut engine = Engine::for_console();
        engine.state.latency.add("command", 1_700_000_000, 30);
        engine.state.latency.add("command", 1_700_000_001, 20);
        engine.state.latency.add("fast-command", 1_700_000_001, 11);
        replay_in(
            &mut engine,
            "
            > LATENCY LATEST
            1) 1) \"command\"
               2) (integer) 1700000001
               3) (integer) 20
               4) (integer) 30
            2) 1) \"fast-command\"
               2) (integer) 1700000001
               3) (integer) 11
               4) (integer) 11
            > LATENCY HISTORY command
            1) 1) (integer) 1700000000
               2) (integer) 30
            2) 1) (integer) 1700000001
               2) (integer) 20
            > LATENCY RESET nosuch command
            (integer) 1
            > LATENCY RESET
            (integer) 1
            > LATENCY LATEST
            (empty array)
            > LATENCY HISTORY command
            (empty array)
            > LATENCY GRAPH nosuch
            (error) ERR No samples available for event 'nosuch'
            ",
        );
    }

    #[test]
    fn the_doctor_knows_what_is_watched() {
        let mut engine = Engine::for_console();
        assert!(engine.run(&["LATENCY", "DOCTOR"]).contains("latency-monitor-threshold is 0"));
        engine.run(&["CONFIG", "SET", "latency-monitor-threshold", "10"]);
        assert!(engine.run(&["LATENCY", "DOCTOR"]).contains("Nothing took longer"));
        engine.state.latency.add("command", 1_700_000_000, 30);
        let report = engine.run(&["LATENCY", "DOCTOR"]);
        assert!(report.contains("1. command: 1 latency spikes (average 30ms, mean deviation 0ms, period 0.00 sec)"));
        assert!(engine.run(&["LATENCY", "GRAPH", "command"]).contains("command - high 30 ms, low 30 ms"));
    }

    #[test]
    fn durations_are_counted_by_command() {
        replay(
            "
            > SET k v
            OK
            > CONFIG SET maxmemory 0
            OK
            > SET k v
            OK
            > LATENCY HISTOGRAM nosuch set get
            1) \"set\"
            2) 1) \"calls\"
               2) (integer) 2
               3) \"histogram_usec\"
               4) 1) (integer) 1
                  2) (integer) 2
            > LATENCY HISTOGRAM config
            1) \"config|set\"
            2) 1) \"calls\"
               2) (integer) 1
               3) \"histogram_usec\"
               4) 1) (integer) 1
                  2) (integer) 1
            > CONFIG RESETSTAT
            OK
            > CONFIG SET latency-tracking no
            OK
            > SET k v
            OK
            > LATENCY HISTOGRAM set
            (empty array)
            ",
        );
    }
}
