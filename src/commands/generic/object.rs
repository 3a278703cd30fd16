//! OBJECT: what the server knows of a value beside its contents. Asking is no use of the key.

#![forbid(unsafe_code)]

use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::command::state::State;
use crate::commands::{key_specs, lookup};
use crate::config::MaxmemoryPolicy;
use crate::resp::args::Args;
use crate::types::KeyEntry;
use crate::types::string::StringRef;

/// `OBJECT`
pub(super) static OBJECT: Command = Command {
    name: "object",
    full_name: "object",
    summary: "Holds the commands that look behind a value.",
    since: "2.2.3",
    group: "generic",
    complexity: "It depends on the subcommand.",
    arity: -2,
    categories: Categories::SLOW,
    subcommands: &[&ENCODING, &FREQ, &HELP, &IDLETIME, &REFCOUNT],
    ..Command::BLANK
};

/// What the subcommands that ask about one key share.
const ASKING: Command = Command {
    group: "generic",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::READONLY,
    categories: Categories::KEYSPACE.union(Categories::READ).union(Categories::SLOW),
    tips: &["nondeterministic_output"],
    key_specs: &[key_specs::one(2, KeyFlags::RO)],
    args: &[ArgSpec::key("key", 0)],
    ..Command::BLANK
};

/// `OBJECT ENCODING`
static ENCODING: Command = Command {
    name: "encoding",
    full_name: "object|encoding",
    summary: "Names the representation in which a value is kept.",
    since: "2.2.3",
    handler: Some(encoding),
    ..ASKING
};

/// `OBJECT FREQ`
static FREQ: Command = Command {
    name: "freq",
    full_name: "object|freq",
    summary: "Answers how often a key is used, on a logarithmic scale.",
    since: "4.0.0",
    handler: Some(freq),
    ..ASKING
};

/// `OBJECT HELP`
static HELP: Command = Command {
    name: "help",
    full_name: "object|help",
    summary: "Lists the subcommands of OBJECT.",
    since: "6.2.0",
    group: "generic",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::LOADING.union(Flags::STALE),
    categories: Categories::KEYSPACE.union(Categories::SLOW),
    handler: Some(help),
    ..Command::BLANK
};

/// `OBJECT IDLETIME`
static IDLETIME: Command = Command {
    name: "idletime",
    full_name: "object|idletime",
    summary: "Answers for how many seconds a key has not been used.",
    since: "2.2.3",
    handler: Some(idletime),
    ..ASKING
};

/// `OBJECT REFCOUNT`
static REFCOUNT: Command = Command {
    name: "refcount",
    full_name: "object|refcount",
    summary: "Counts the references to a value.",
    since: "2.2.3",
    handler: Some(refcount),
    ..ASKING
};

const HELP_LINES: &[&str] = &[
    "ENCODING <key>",
    "    Answer in which representation the value at <key> is kept.",
    "FREQ <key>",
    "    Answer how often <key> is used: the logarithm of a count that decays with time.",
    "IDLETIME <key>",
    "    Answer how many seconds ago <key> was used, about.",
    "REFCOUNT <key>",
    "    Answer how many references to the value at <key> there are.",
];

const COUNTS_FREQUENCY: CommandError = CommandError::fixed(
    "An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at \
     runtime LRU and LFU data will take some time to adjust.",
);
const COUNTS_NO_FREQUENCY: CommandError = CommandError::fixed(
    "An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between \
     policies at runtime LRU and LFU data will take some time to adjust.",
);

/// Integers from 0 to below this one are shared in Redis, whose clients see that they have no reference count.
const SHARED_INTEGERS: i64 = 10_000;

/// The reference count of what is shared.
const SHARED_REFERENCES: i64 = i32::MAX as i64;

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.help("object", HELP_LINES);
    Ok(())
}

/// Answers what `tell` says of the key, or null where there is none.
fn answer<T>(
    ctx: &mut Context<'_>,
    args: Args<'_>,
    tell: impl FnOnce(&KeyEntry) -> Result<T, CommandError>,
) -> Result<Option<T>, CommandError> {
    let found = lookup::peek(ctx.state, ctx.session.db, args.get(2), ctx.first_key_hash);
    let told = found.map(tell).transpose()?;
    if told.is_none() {
        ctx.reply.null();
    }
    Ok(told)
}

fn encoding(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    if let Some(name) = answer(ctx, args, |entry| Ok(entry.encoding()))? {
        ctx.reply.bulk(name.as_bytes());
    }
    Ok(())
}

fn counts_frequency(state: &State) -> bool {
    matches!(state.config.maxmemory_policy, MaxmemoryPolicy::VolatileLfu | MaxmemoryPolicy::AllKeysLfu)
}

fn freq(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let counts = counts_frequency(ctx.state);
    let stamp = answer(ctx, args, |entry| if counts { Ok(entry.lru()) } else { Err(COUNTS_NO_FREQUENCY) })?;
    if let Some(stamp) = stamp {
        let counter = ctx.db().frequency(stamp);
        ctx.reply.integer(i64::from(counter));
    }
    Ok(())
}

fn idletime(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let counts = counts_frequency(ctx.state);
    let stamp = answer(ctx, args, |entry| if counts { Err(COUNTS_FREQUENCY) } else { Ok(entry.lru()) })?;
    if let Some(stamp) = stamp {
        let idle_s = ctx.db().idle_s(stamp);
        ctx.reply.integer(i64::from(idle_s));
    }
    Ok(())
}

fn refcount(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let shares = shares_integers(ctx.state);
    if let Some(count) = answer(ctx, args, |entry| Ok(references(entry, shares)))? {
        ctx.reply.integer(count);
    }
    Ok(())
}

/// Whether small integers are shared: not where each key needs a stamp of its own for eviction.
pub(crate) fn shares_integers(state: &State) -> bool {
    use MaxmemoryPolicy::{AllKeysLfu, AllKeysLru, VolatileLfu, VolatileLru};
    let stamped = matches!(state.config.maxmemory_policy, AllKeysLfu | AllKeysLru | VolatileLfu | VolatileLru);
    state.config.maxmemory == 0 || !stamped
}

/// The reference count of a value, as a client of Redis sees it.
pub(crate) fn references(entry: &KeyEntry, shares_integers: bool) -> i64 {
    match entry.as_string() {
        Ok(StringRef::Int(0..SHARED_INTEGERS)) if shares_integers && !entry.is_raw() => SHARED_REFERENCES,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use crate::command::session::SessionFlags;
    use crate::commands::transcript::replay;
    use crate::engine::Engine;

    #[test]
    fn encodings() {
        replay(
            r#"
            > SET k 12
            OK
            > OBJECT ENCODING k
            "int"
            > INCRBYFLOAT k 1.5
            "13.5"
            > OBJECT ENCODING k
            "embstr"
            > APPEND k 0
            (integer) 5
            > OBJECT ENCODING k
            "raw"
            > SET k aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeee
            OK
            > OBJECT ENCODING k
            "embstr"
            > SET k aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeef
            OK
            > OBJECT ENCODING k
            "raw"
            > OBJECT ENCODING missing
            (nil)
            > OBJECT FOO k
            (error) ERR unknown subcommand 'FOO'. Try OBJECT HELP.
            > OBJECT FREQ
            (error) ERR wrong number of arguments for 'object|freq' command
            "#,
        );
    }

    #[test]
    fn references_to_small_integers() {
        replay(
            r#"
            > MSET a 0 b 9999 c 10000 d -1 e x
            OK
            > OBJECT REFCOUNT a
            (integer) 2147483647
            > OBJECT REFCOUNT b
            (integer) 2147483647
            > OBJECT REFCOUNT c
            (integer) 1
            > OBJECT REFCOUNT d
            (integer) 1
            > OBJECT REFCOUNT e
            (integer) 1
            > CONFIG SET maxmemory 100mb maxmemory-policy allkeys-lru
            OK
            > OBJECT REFCOUNT a
            (integer) 1
            "#,
        );
    }

    /// How many seconds `k` is idle after it was idle for 500 and `command` was run.
    fn idle_after(command: &str, flags: SessionFlags) -> String {
        let mut engine = Engine::for_console();
        let slot = engine.connect(3);
        engine.run_in(slot, &["SET", "k", "1"]);
        engine.advance_ms(500_000);
        engine.session_mut(slot).flags.insert(flags);
        let words: Vec<&str> = command.split(' ').collect();
        engine.run_in(slot, &words);
        engine.run_in(slot, &["OBJECT", "IDLETIME", "k"])
    }

    const USES: &[&str] = &[
        "GET k",
        "TOUCH k",
        "STRLEN k",
        "EXPIRE k 9",
        "PERSIST k",
        "SET k 2",
        "SET k 2 NX",
        "SETNX k 2",
        "MSETNX k 1",
        "APPEND k x",
        "INCR k",
        "SETRANGE k 0 x",
        "GETRANGE k 0 1",
        "COPY k k2",
        "DUMP k",
        "GETEX k",
        "MGET k",
    ];
    const NO_USES: &[&str] = &[
        "EXISTS k",
        "TYPE k",
        "TTL k",
        "EXPIRETIME k",
        "OBJECT ENCODING k",
        "MEMORY USAGE k",
        "KEYS *",
        "SCAN 0 TYPE string",
        "WATCH k",
        "RANDOMKEY",
    ];

    #[test]
    fn uses_end_idleness_and_questions_do_not() {
        let none = SessionFlags::empty();
        USES.iter().for_each(|command| assert_eq!(idle_after(command, none), "(integer) 0", "{command}"));
        NO_USES.iter().for_each(|command| assert_eq!(idle_after(command, none), "(integer) 500", "{command}"));
    }

    #[test]
    fn a_client_may_leave_no_trace_but_by_touch() {
        for command in USES {
            let wanted = if *command == "TOUCH k" { "(integer) 0" } else { "(integer) 500" };
            assert_eq!(idle_after(command, SessionFlags::NO_TOUCH), wanted, "{command}");
        }
    }

    #[test]
    fn the_policy_decides_what_is_known() {
        let mut engine = Engine::for_console();
        engine.run(&["SET", "k", "v"]);
        let refusal = engine.run(&["OBJECT", "FREQ", "k"]);
        assert!(refusal.starts_with("(error) ERR An LFU maxmemory policy is not selected, access"), "{refusal}");
        assert_eq!(engine.run(&["OBJECT", "FREQ", "missing"]), "(nil)");
        assert_eq!(engine.run(&["CONFIG", "SET", "maxmemory-policy", "volatile-lfu", "lfu-log-factor", "0"]), "OK");
        let refusal = engine.run(&["OBJECT", "IDLETIME", "k"]);
        assert!(refusal.starts_with("(error) ERR An LFU maxmemory policy is selected, idle time"), "{refusal}");
        engine.run(&["SET", "new", "v"]);
        assert_eq!(engine.run(&["OBJECT", "FREQ", "new"]), "(integer) 5");
        (0..10).for_each(|_| _ = engine.run(&["GET", "new"]));
        assert_eq!(engine.run(&["OBJECT", "FREQ", "new"]), "(integer) 15");
        engine.advance_ms(4 * 60_000);
        assert_eq!(engine.run(&["OBJECT", "FREQ", "new"]), "(integer) 11");
        engine.run(&["CONFIG", "SET", "lfu-decay-time", "0"]);
        assert_eq!(engine.run(&["OBJECT", "FREQ", "new"]), "(integer) 15");
    }
}
