//! The SLOWLOG family. The log itself is in `observe::slow_log`; `engine::call` feeds it. Main thread.

#![forbid(unsafe_code)]

use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags};
use crate::resp::args::Args;

/// Entries that GET answers when it is not told how many.
const GET_DEFAULT: usize = 10;

const ADMIN: Flags = Flags::ADMIN.union(Flags::LOADING).union(Flags::STALE);
const DANGEROUS: Categories = Categories::ADMIN.union(Categories::SLOW).union(Categories::DANGEROUS);

/// `SLOWLOG`.
pub(super) static SLOWLOG: Command = Command {
    name: "slowlog",
    full_name: "slowlog",
    summary: "Holds the commands about the slow log.",
    since: "2.2.12",
    group: "server",
    complexity: "depends",
    arity: -2,
    categories: Categories::SLOW,
    subcommands: &[&SLOWLOG_GET, &SLOWLOG_HELP, &SLOWLOG_LEN, &SLOWLOG_RESET],
    ..Command::BLANK
};

/// `SLOWLOG GET`.
static SLOWLOG_GET: Command = Command {
    name: "get",
    full_name: "slowlog|get",
    summary: "Answers the latest entries of the slow log.",
    since: "2.2.12",
    group: "server",
    complexity: "O(N)",
    arity: -2,
    flags: ADMIN,
    categories: DANGEROUS,
    tips: &["request_policy:all_nodes", "nondeterministic_output"],
    history: &[("4.0.0", "Entries tell the client's address and name.")],
    args: &[ArgSpec::new("count", ArgKind::Integer).optional()],
    handler: Some(get),
    ..Command::BLANK
};

/// `SLOWLOG HELP`.
static SLOWLOG_HELP: Command = Command {
    name: "help",
    full_name: "slowlog|help",
    summary: "Lists the subcommands of SLOWLOG.",
    since: "6.2.0",
    group: "server",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::LOADING.union(Flags::STALE),
    categories: Categories::SLOW,
    handler: Some(help),
    ..Command::BLANK
};

/// `SLOWLOG LEN`.
static SLOWLOG_LEN: Command = Command {
    name: "len",
    full_name: "slowlog|len",
    summary: "Counts the entries of the slow log.",
    since: "2.2.12",
    group: "server",
    complexity: "O(1)",
    arity: 2,
    flags: ADMIN,
    categories: DANGEROUS,
    tips: &["request_policy:all_nodes", "response_policy:agg_sum", "nondeterministic_output"],
    handler: Some(len),
    ..Command::BLANK
};

/// `SLOWLOG RESET`.
static SLOWLOG_RESET: Command = Command {
    name: "reset",
    full_name: "slowlog|reset",
    summary: "Empties the slow log.",
    since: "2.2.12",
    group: "server",
    complexity: "O(N)",
    arity: 2,
    flags: ADMIN,
    categories: DANGEROUS,
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    handler: Some(reset),
    ..Command::BLANK
};

const HELP: &[&str] = &[
    "GET [<count>]",
    "    Answer the latest entries, the newest first: 10 of them, or <count>; -1 is all.",
    "    An entry is an array: number, Unix time, microseconds, arguments, address and name of the client.",
    "LEN",
    "    Count the entries.",
    "RESET",
    "    Empty the log.",
];

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.help("slowlog", HELP);
    Ok(())
}

fn get(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    if args.len() > 3 {
        ctx.reply.unknown_subcommand("slowlog", args.get(1));
        return Ok(());
    }
    let log = &ctx.state.slow_log;
    let count = if args.len() == 3 { parse_count(args.get(2))?.unwrap_or(log.len()) } else { GET_DEFAULT };
    let reply = &mut *ctx.reply;
    reply.array(count.min(log.len()));
    for entry in log.iter().take(count) {
        reply.array(6);
        reply.integer(entry.id as i64);
        reply.integer(entry.at_s);
        reply.integer(entry.duration_us as i64);
        reply.array(entry.args.len());
        entry.args.iter().for_each(|arg| reply.bulk(arg));
        reply.bulk(entry.addr.as_bytes());
        reply.bulk(&entry.name);
    }
    Ok(())
}

/// How many entries are wanted; `None` for all.
fn parse_count(text: &[u8]) -> Result<Option<usize>, CommandError> {
    match parse_i64(text) {
        Some(-1) => Ok(None),
        Some(count @ 0..) => Ok(Some(usize::try_from(count).unwrap_or(usize::MAX))),
        _ => Err(CommandError::fixed("count should be greater than or equal to -1")),
    }
}

fn len(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.integer(ctx.state.slow_log.len() as i64);
    Ok(())
}

fn reset(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.state.slow_log.clear();
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay;
    use crate::engine::Engine;

    #[test]
    fn the_log_is_read_and_emptied() {
        replay(
            "
            > CONFIG SET slowlog-log-slower-than 0
            OK
            > CLIENT SETNAME me
            OK
            > MULTI
            OK
            > SET k v
            QUEUED
            > EXEC
            1) OK
            > SLOWLOG GET 2
            1) 1) (integer) 3
               2) (integer) 1700000000
               3) (integer) 0
               4) 1) \"SET\"
                  2) \"k\"
                  3) \"v\"
               5) \"?:0\"
               6) \"me\"
            2) 1) (integer) 2
               2) (integer) 1700000000
               3) (integer) 0
               4) 1) \"MULTI\"
               5) \"?:0\"
               6) \"me\"
            > SLOWLOG LEN
            (integer) 5
            > SLOWLOG RESET
            OK
            > CONFIG SET slowlog-log-slower-than -1
            OK
            > SLOWLOG LEN
            (integer) 1
            > SLOWLOG GET -2
            (error) ERR count should be greater than or equal to -1
            > SLOWLOG GET x
            (error) ERR count should be greater than or equal to -1
            > SLOWLOG GET 0
            (empty array)
            > SLOWLOG GET 1 2
            (error) ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.
            ",
        );
    }

    #[test]
    fn secrets_are_not_kept() {
        let mut engine = Engine::for_console();
        engine.run(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
        engine.run(&["CONFIG", "SET", "maxmemory", "0", "requirepass", "sesame"]);
        engine.run(&["AUTH", "sesame"]);
        engine.run(&["HELLO", "2", "AUTH", "default", "sesame"]);
        let log = engine.run(&["SLOWLOG", "GET"]);
        assert!(!log.contains("sesame"), "{log}");
        assert_eq!(log.matches("(redacted)").count(), 4, "{log}");
    }

    #[test]
    fn the_length_holds_from_the_next_entry_on() {
        let mut engine = Engine::for_console();
        engine.run(&["CONFIG", "SET", "slowlog-log-slower-than", "0"]);
        (0..5).for_each(|_| drop(engine.run(&["PING"])));
        engine.run(&["CONFIG", "SET", "slowlog-max-len", "2"]);
        assert_eq!(engine.run(&["SLOWLOG", "LEN"]), "(integer) 2");
        engine.run(&["CONFIG", "SET", "slowlog-max-len", "0"]);
        assert_eq!(engine.run(&["SLOWLOG", "LEN"]), "(integer) 2");
    }
}
