//! MEMORY: what keys take, where the rest goes, and what the allocator says. Main thread.

#![forbid(unsafe_code)]

use super::memory_use::MemoryUse;
use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::resp::args::Args;
use crate::resp::reply::Reply;
use crate::sys::memory;

/// `MEMORY`.
pub(super) static MEMORY: Command = Command {
    name: "memory",
    full_name: "memory",
    summary: "Holds the commands about memory.",
    since: "4.0.0",
    group: "server",
    complexity: "It depends on the subcommand.",
    arity: -2,
    categories: Categories::SLOW,
    subcommands: &[&DOCTOR, &HELP, &MALLOC_STATS, &PURGE, &STATS, &USAGE],
    ..Command::BLANK
};

const BLANK: Command = Command {
    since: "4.0.0",
    group: "server",
    complexity: "It depends on the amount of memory.",
    arity: 2,
    categories: Categories::SLOW,
    tips: &["nondeterministic_output", "request_policy:all_shards", "response_policy:special"],
    ..Command::BLANK
};

/// `MEMORY DOCTOR`.
static DOCTOR: Command = Command {
    name: "doctor",
    full_name: "memory|doctor",
    summary: "Tells what is unusual about the use of memory.",
    complexity: "O(1)",
    flags: Flags::SHOWS_CLIENTS,
    handler: Some(doctor),
    ..BLANK
};

/// `MEMORY HELP`.
static HELP: Command = Command {
    name: "help",
    full_name: "memory|help",
    summary: "Lists the subcommands of MEMORY.",
    complexity: "O(1)",
    flags: Flags::LOADING.union(Flags::STALE),
    tips: &[],
    handler: Some(help),
    ..BLANK
};

/// `MEMORY MALLOC-STATS`.
static MALLOC_STATS: Command = Command {
    name: "malloc-stats",
    full_name: "memory|malloc-stats",
    summary: "Answers the report of the allocator.",
    handler: Some(malloc_stats),
    ..BLANK
};

/// `MEMORY PURGE`.
static PURGE: Command = Command {
    name: "purge",
    full_name: "memory|purge",
    summary: "Has the allocator give unused memory back to the system.",
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    handler: Some(purge),
    ..BLANK
};

/// `MEMORY STATS`.
static STATS: Command = Command {
    name: "stats",
    full_name: "memory|stats",
    summary: "Answers in figures where the memory goes.",
    complexity: "O(1)",
    flags: Flags::SHOWS_CLIENTS,
    handler: Some(stats),
    ..BLANK
};

/// `MEMORY USAGE`.
static USAGE: Command = Command {
    name: "usage",
    full_name: "memory|usage",
    summary: "Estimates how many bytes a key and its value take.",
    complexity: "O(N), N being the elements that are looked at.",
    arity: -3,
    flags: Flags::READONLY,
    categories: Categories::READ.union(Categories::SLOW),
    tips: &[],
    key_specs: &[key_specs::one(2, KeyFlags::RO)],
    args: &[ArgSpec::key("key", 0), ArgSpec::new("count", ArgKind::Integer).token("SAMPLES").optional()],
    handler: Some(usage),
    ..BLANK
};

const HELP_LINES: &[&str] = &[
    "DOCTOR",
    "    Tell what is unusual about the use of memory.",
    "MALLOC-STATS",
    "    Answer the report of the allocator.",
    "PURGE",
    "    Have the allocator give unused memory back to the system.",
    "STATS",
    "    Answer in figures where the memory goes.",
    "USAGE <key> [SAMPLES <count>]",
    "    Answer how many bytes <key> and its value take. Of a collection <count> elements are looked at (5 unless told",
    "    otherwise, 0 for all).",
];

/// What a key takes in the table of its database: its share of a bucket.
const TABLE_SHARE: usize = 11;

/// With less than this in use nothing is worth a remark.
const DOCTOR_USED_MIN: u64 = 5 << 20;

/// Less than this lost to fragmentation is not worth one either.
const DOCTOR_LOST_MIN: u64 = 10 << 20;

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.help("memory", HELP_LINES);
    Ok(())
}

/// Counts neither hit nor miss, nor as a use of the key.
fn usage(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    for index in (3..args.len()).step_by(2) {
        if !args.get(index).eq_ignore_ascii_case(b"SAMPLES") || index + 1 == args.len() {
            return Err(SYNTAX);
        }
        if parse_i64(args.get(index + 1)).ok_or(NOT_AN_INTEGER)? < 0 {
            return Err(SYNTAX);
        }
    }
    let hash = ctx.first_key_hash;
    let found = ctx.db().peek_stored(args.get(2), hash);
    match found.map(|entry| entry.memory_usage() + TABLE_SHARE * (1 + usize::from(entry.expire_ms().is_some()))) {
        Some(bytes) => ctx.reply.integer(bytes as i64),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn purge(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    memory::purge();
    ctx.reply.ok();
    Ok(())
}

fn malloc_stats(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    let report = memory::allocator_report();
    ctx.reply.verbatim(b"txt", report.unwrap_or("The allocator in use keeps no statistics.".into()).as_bytes());
    Ok(())
}

/// Names and figures, counted while they are written.
struct Fields<'a> {
    reply: &'a mut Reply,
    count: usize,
}

impl Fields<'_> {
    fn name(&mut self, name: &str) -> &mut Reply {
        self.count += 1;
        self.reply.bulk(name.as_bytes());
        self.reply
    }

    fn bytes(&mut self, name: &str, value: u64) {
        self.name(name).integer(value as i64);
    }

    fn difference(&mut self, name: &str, left: u64, right: u64) {
        self.name(name).integer(left as i64 - right as i64);
    }

    /// Redis computes these in 32-bit floats, whose digits show.
    fn ratio(&mut self, name: &str, part: f64, whole: f64) {
        let ratio = if whole == 0.0 { 0.0 } else { part / whole };
        self.name(name).double(f64::from(ratio as f32));
    }
}

fn stats(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    let usage = MemoryUse::measure(ctx.state, Some(ctx.session));
    let keys: usize = ctx.state.keyspace.iter().map(|db| db.len()).sum();
    let moving = ctx.state.keyspace.iter().map(|db| db.moving_tables()).sum::<usize>();
    let header = ctx.reply.deferred();
    let mut fields = Fields { reply: ctx.reply, count: 0 };
    fields.bytes("peak.allocated", usage.peak);
    fields.bytes("total.allocated", usage.used);
    fields.bytes("startup.allocated", usage.startup);
    fields.bytes("replication.backlog", 0);
    fields.bytes("replica.fullsync.buffer", 0);
    fields.bytes("clients.slaves", 0);
    fields.bytes("clients.normal", usage.clients);
    fields.bytes("cluster.links", 0);
    fields.bytes("aof.buffer", 0);
    fields.bytes("lua.caches", 0);
    fields.bytes("functions.caches", 0);
    fields.bytes("script.VMs", 0);
    for (number, db) in ctx.state.keyspace.iter().enumerate().filter(|(_, db)| !db.is_empty()) {
        let [main, expires] = db.tables_bytes();
        let reply = fields.name(&format!("db.{number}"));
        reply.map(2);
        reply.bulk(b"overhead.hashtable.main");
        reply.integer(main as i64);
        reply.bulk(b"overhead.hashtable.expires");
        reply.integer(expires as i64);
    }
    fields.bytes("overhead.db.hashtable.lut", usage.tables);
    // Tables grow where they lie: there is never a second one.
    fields.bytes("overhead.db.hashtable.rehashing", 0);
    fields.bytes("overhead.total", usage.overhead());
    fields.bytes("db.dict.rehashing.count", moving as u64);
    fields.bytes("keys.count", keys as u64);
    fields.bytes("keys.bytes-per-key", usage.grown().checked_div(keys as u64).unwrap_or(0));
    fields.bytes("dataset.bytes", usage.dataset());
    fields.ratio("dataset.percentage", usage.dataset() as f64 * 100.0, usage.grown() as f64);
    fields.ratio("peak.percentage", usage.used as f64 * 100.0, usage.peak as f64);
    allocator_fields(&mut fields, &usage);
    let count = fields.count;
    ctx.reply.end_map(header, count);
    Ok(())
}

fn allocator_fields(fields: &mut Fields<'_>, usage: &MemoryUse) {
    let stats = usage.allocator.unwrap_or_default();
    fields.bytes("allocator.allocated", stats.allocated);
    fields.bytes("allocator.active", stats.active);
    fields.bytes("allocator.resident", stats.resident);
    fields.bytes("allocator.muzzy", stats.muzzy);
    fields.ratio("allocator-fragmentation.ratio", stats.active as f64, stats.allocated as f64);
    fields.difference("allocator-fragmentation.bytes", stats.active, stats.allocated);
    fields.ratio("allocator-rss.ratio", stats.resident as f64, stats.active as f64);
    fields.difference("allocator-rss.bytes", stats.resident, stats.active);
    fields.ratio("rss-overhead.ratio", usage.resident as f64, stats.resident as f64);
    fields.difference("rss-overhead.bytes", usage.resident, stats.resident);
    fields.ratio("fragmentation", usage.resident as f64, usage.used as f64);
    fields.difference("fragmentation.bytes", usage.resident, usage.used);
}

fn doctor(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    let usage = MemoryUse::measure(ctx.state, Some(ctx.session));
    let text = diagnosis(&usage, ctx.state.sessions.connected());
    ctx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// What the figures say, a line each.
fn diagnosis(usage: &MemoryUse, clients: usize) -> String {
    if usage.used < DOCTOR_USED_MIN {
        return "There is next to no data here, so that the figures say nothing yet.\n".into();
    }
    let mut lines = Vec::new();
    if usage.peak > usage.used / 2 * 3 {
        lines.push(format!(
            "Peak: {} bytes were in use at one time, now {} are. What was given back may still count as resident.",
            usage.peak, usage.used
        ));
    }
    if usage.resident > usage.used / 5 * 7 && usage.resident - usage.used > DOCTOR_LOST_MIN {
        lines.push(format!(
            "Fragmentation: {} bytes are resident, {} are in use. MEMORY PURGE may give some of them back.",
            usage.resident, usage.used
        ));
    }
    if let Some(stats) = usage.allocator
        && stats.active > stats.allocated / 10 * 11
        && stats.active - stats.allocated > DOCTOR_LOST_MIN
    {
        lines
            .push(format!("Allocator: its pages hold {} bytes for {} that are in use.", stats.active, stats.allocated));
    }
    if usage.clients / clients.max(1) as u64 > 200 << 10 {
        lines.push(format!(
            "Clients: the buffers of {clients} clients take {} bytes. Do they read their replies?",
            usage.clients
        ));
    }
    if lines.is_empty() {
        return "Nothing is unusual about the use of memory.\n".into();
    }
    lines.join("\n") + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::transcript::replay;
    use crate::engine::Engine;
    use crate::sys::memory::AllocatorStats;

    #[test]
    fn usage_of_keys() {
        replay(
            r#"
            > SET k v
            OK
            > MEMORY USAGE k
            (integer) 27
            > EXPIRE k 100
            (integer) 1
            > MEMORY USAGE k SAMPLES 0 samples 5
            (integer) 54
            > MEMORY USAGE missing
            (nil)
            > MEMORY USAGE k SAMPLES
            (error) ERR syntax error
            > MEMORY USAGE k SAMPLES -1
            (error) ERR syntax error
            > MEMORY USAGE k SAMPLES x
            (error) ERR value is not an integer or out of range
            > MEMORY USAGE k FOO 1
            (error) ERR syntax error
            > MEMORY FOO
            (error) ERR unknown subcommand 'FOO'. Try MEMORY HELP.
            "#,
        );
    }

    #[test]
    fn stats_name_what_redis_names() {
        let mut engine = Engine::for_console();
        engine.run(&["SET", "k", "v"]);
        let text = engine.run(&["MEMORY", "STATS"]);
        for name in ["peak.allocated", "db.0", "overhead.total", "keys.bytes-per-key", "fragmentation.bytes"] {
            assert!(text.contains(&format!("\"{name}\"")), "{name} in {text}");
        }
        assert_eq!(engine.run(&["MEMORY", "PURGE"]), "OK");
        assert!(engine.run(&["MEMORY", "MALLOC-STATS"]).len() > 20);
    }

    #[test]
    fn the_doctor_speaks_up_where_figures_are_unusual() {
        let usage = |used, peak, resident, active, clients| MemoryUse {
            allocator: Some(AllocatorStats { allocated: used, active, resident, ..AllocatorStats::default() }),
            used,
            peak,
            resident,
            startup: 0,
            clients,
            virtual_buffers: 0,
            tables: 0,
        };
        const MIB: u64 = 1 << 20;
        let said = |usage: MemoryUse| diagnosis(&usage, 1);
        assert!(said(usage(MIB, MIB, MIB, MIB, 0)).starts_with("There is next to no data"));
        assert!(said(usage(100 * MIB, 100 * MIB, 101 * MIB, 101 * MIB, 0)).starts_with("Nothing is unusual"));
        assert!(said(usage(100 * MIB, 200 * MIB, 101 * MIB, 101 * MIB, 0)).starts_with("Peak"));
        assert!(said(usage(100 * MIB, 100 * MIB, 200 * MIB, 101 * MIB, 0)).starts_with("Fragmentation"));
        assert!(said(usage(100 * MIB, 100 * MIB, 130 * MIB, 130 * MIB, 0)).starts_with("Allocator"));
        assert!(said(usage(100 * MIB, 100 * MIB, 101 * MIB, 101 * MIB, 9 * MIB)).starts_with("Clients"));
    }
}
