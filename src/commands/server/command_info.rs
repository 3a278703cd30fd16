//! The COMMAND family: what this server's commands are, for programs. COMMAND DOCS is in `docs`. Main thread.

#![forbid(unsafe_code)]

use crate::base::glob;
use crate::command::context::Context;
use crate::command::error::{CommandError, SYNTAX};
use crate::command::keys::{find_keys, legacy_range, may_have_keys};
use crate::command::prepared::Verdict;
use crate::command::registry::{CommandId, Registry};
use crate::command::spec::{ArgKind, ArgSpec, Begin, Categories, Command, Find, Flags, FoundKey, KeyFlags, KeySpec};
use crate::commands::server::docs::docs;
use crate::resp::args::Args;
use crate::resp::reply::Reply;

/// `COMMAND`.
pub(super) static COMMAND: Command = Command {
    name: "command",
    full_name: "command",
    summary: "Describes every command of the server.",
    since: "2.8.13",
    group: "server",
    complexity: "O(N)",
    arity: -1,
    flags: Flags::LOADING.union(Flags::STALE),
    categories: Categories::SLOW.union(Categories::CONNECTION),
    tips: &["nondeterministic_output_order"],
    subcommands: &[
        &COMMAND_COUNT,
        &COMMAND_DOCS,
        &COMMAND_GETKEYS,
        &COMMAND_GETKEYSANDFLAGS,
        &COMMAND_HELP,
        &COMMAND_INFO,
        &COMMAND_LIST,
    ],
    handler: Some(command),
    ..Command::BLANK
};

/// `COMMAND COUNT`.
static COMMAND_COUNT: Command = Command {
    name: "count",
    full_name: "command|count",
    summary: "Counts the commands of the server.",
    since: "2.8.13",
    group: "server",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::LOADING.union(Flags::STALE),
    categories: Categories::SLOW.union(Categories::CONNECTION),
    handler: Some(count),
    ..Command::BLANK
};

/// `COMMAND DOCS`.
static COMMAND_DOCS: Command = Command {
    name: "docs",
    full_name: "command|docs",
    summary: "Documents commands for people: summary, history, arguments.",
    since: "7.0.0",
    group: "server",
    complexity: "O(N)",
    arity: -2,
    flags: Flags::LOADING.union(Flags::STALE),
    categories: Categories::SLOW.union(Categories::CONNECTION),
    tips: &["nondeterministic_output_order"],
    args: &[ArgSpec::new("command-name", ArgKind::String).optional().multiple()],
    handler: Some(docs),
    ..Command::BLANK
};

/// `COMMAND GETKEYS`.
static COMMAND_GETKEYS: Command = Command {
    name: "getkeys",
    full_name: "command|getkeys",
    summary: "Finds the keys in a full command.",
    since: "2.8.13",
    group: "server",
    complexity: "O(N)",
    arity: -3,
    flags: Flags::LOADING.union(Flags::STALE),
    categories: Categories::SLOW.union(Categories::CONNECTION),
    args: &[ArgSpec::new("command", ArgKind::String), ArgSpec::new("arg", ArgKind::String).optional().multiple()],
    handler: Some(getkeys),
    ..Command::BLANK
};

/// `COMMAND GETKEYSANDFLAGS`.
static COMMAND_GETKEYSANDFLAGS: Command = Command {
    name: "getkeysandflags",
    full_name: "command|getkeysandflags",
    summary: "Finds the keys in a full command, and what it would do with them.",
    since: "7.0.0",
    group: "server",
    complexity: "O(N)",
    arity: -3,
    flags: Flags::LOADING.union(Flags::STALE),
    categories: Categories::SLOW.union(Categories::CONNECTION),
    args: &[ArgSpec::new("command", ArgKind::String), ArgSpec::new("arg", ArgKind::String).optional().multiple()],
    handler: Some(getkeysandflags),
    ..Command::BLANK
};

/// `COMMAND HELP`.
static COMMAND_HELP: Command = Command {
    name: "help",
    full_name: "command|help",
    summary: "Lists the subcommands of COMMAND.",
    since: "5.0.0",
    group: "server",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::LOADING.union(Flags::STALE),
    categories: Categories::SLOW.union(Categories::CONNECTION),
    handler: Some(help),
    ..Command::BLANK
};

/// `COMMAND INFO`.
static COMMAND_INFO: Command = Command {
    name: "info",
    full_name: "command|info",
    summary: "Describes commands for programs: arity, flags, keys.",
    since: "2.8.13",
    group: "server",
    complexity: "O(N)",
    arity: -2,
    flags: Flags::LOADING.union(Flags::STALE),
    categories: Categories::SLOW.union(Categories::CONNECTION),
    tips: &["nondeterministic_output_order"],
    history: &[("7.0.0", "Without names it describes all commands.")],
    args: &[ArgSpec::new("command-name", ArgKind::String).optional().multiple()],
    handler: Some(info),
    ..Command::BLANK
};

/// `COMMAND LIST`.
static COMMAND_LIST: Command = Command {
    name: "list",
    full_name: "command|list",
    summary: "Lists the names of commands, all or filtered.",
    since: "7.0.0",
    group: "server",
    complexity: "O(N)",
    arity: -2,
    flags: Flags::LOADING.union(Flags::STALE),
    categories: Categories::SLOW.union(Categories::CONNECTION),
    tips: &["nondeterministic_output_order"],
    args: &[ArgSpec::new("filterby", ArgKind::OneOf).token("FILTERBY").optional().children(&[
        ArgSpec::new("module-name", ArgKind::String).token("MODULE"),
        ArgSpec::new("category", ArgKind::String).token("ACLCAT"),
        ArgSpec::new("pattern", ArgKind::Pattern).token("PATTERN"),
    ])],
    handler: Some(list),
    ..Command::BLANK
};

const HELP: &[&str] = &[
    "(no subcommand)",
    "    Describe all commands.",
    "COUNT",
    "    Count the commands of this server.",
    "DOCS [<command-name> ...]",
    "    Document commands, or all of them.",
    "GETKEYS <full-command>",
    "    Find the keys in a full command.",
    "GETKEYSANDFLAGS <full-command>",
    "    Find the keys in a full command, and what it does with them.",
    "INFO [<command-name> ...]",
    "    Describe commands, or all of them.",
    "LIST [FILTERBY (MODULE <module-name>|ACLCAT <category>|PATTERN <pattern>)]",
    "    List the names of commands.",
];

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.help("command", HELP);
    Ok(())
}

fn command(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    describe_all(&ctx.state.registry, ctx.reply);
    Ok(())
}

fn count(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.integer(ctx.state.registry.top_level().count() as i64);
    Ok(())
}

fn info(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    if args.len() == 2 {
        describe_all(&ctx.state.registry, ctx.reply);
        return Ok(());
    }
    ctx.reply.array(args.len() - 2);
    for name in args.skip(2).iter() {
        match ctx.state.registry.find_full_name(name) {
            Some(id) => describe(&ctx.state.registry, id, ctx.reply),
            None => ctx.reply.null(),
        }
    }
    Ok(())
}

fn describe_all(registry: &Registry, reply: &mut Reply) {
    reply.array(registry.top_level().count());
    for (id, _) in registry.top_level() {
        describe(registry, id, reply);
    }
}

/// One command as an array of ten.
fn describe(registry: &Registry, id: CommandId, reply: &mut Reply) {
    let entry = registry.entry(id);
    let command = entry.command;
    reply.array(10);
    reply.bulk(command.full_name.as_bytes());
    reply.integer(i64::from(command.arity));
    statuses(
        reply,
        "",
        command.flags.iter_names().filter_map(|(name, flag)| Flags::SHOWN.contains(flag).then_some(name)),
    );
    let (first, last, step) = legacy_range(command);
    [first, last, step].into_iter().for_each(|number| reply.integer(i64::from(number)));
    statuses(reply, "@", command.categories.iter_names().map(|(name, _)| name));
    reply.set(command.tips.len());
    command.tips.iter().for_each(|tip| reply.bulk(tip.as_bytes()));
    reply.set(command.key_specs.len());
    command.key_specs.iter().for_each(|spec| describe_keys(spec, reply));
    reply.set(entry.subcommands.len());
    entry.subcommands.iter().for_each(|&subcommand| describe(registry, subcommand, reply));
}

fn statuses<'a>(reply: &mut Reply, prefix: &str, names: impl Iterator<Item = &'a str>) {
    let header = reply.deferred();
    let mut count = 0;
    for name in names {
        reply.status(format!("{prefix}{}", name.to_ascii_lowercase()));
        count += 1;
    }
    reply.end_set(header, count);
}

/// The flags of a key as Redis spells them: access kinds in capitals, effects in small letters.
pub(super) fn key_flags(reply: &mut Reply, flags: KeyFlags) {
    let capitals = KeyFlags::RO.union(KeyFlags::RW).union(KeyFlags::OW).union(KeyFlags::RM);
    reply.set(flags.iter_names().count());
    for (name, flag) in flags.iter_names() {
        if capitals.contains(flag) {
            reply.status(name);
        } else {
            reply.status(name.to_ascii_lowercase());
        }
    }
}

fn describe_keys(spec: &KeySpec, reply: &mut Reply) {
    reply.map(3 + usize::from(spec.notes.is_some()));
    if let Some(notes) = spec.notes {
        reply.bulk(b"notes");
        reply.bulk(notes.as_bytes());
    }
    reply.bulk(b"flags");
    key_flags(reply, spec.flags);
    reply.bulk(b"begin_search");
    match spec.begin {
        Begin::Index(index) => typed(reply, "index", &[("index", index)]),
        Begin::Unknown => typed(reply, "unknown", &[]),
        Begin::Keyword(word, from) => {
            typed_header(reply, "keyword", 2);
            reply.bulk(b"keyword");
            reply.bulk(word.as_bytes());
            number(reply, "startfrom", from);
        }
    }
    reply.bulk(b"find_keys");
    match spec.find {
        Find::Range { last, step, limit } => {
            typed(reply, "range", &[("lastkey", last), ("keystep", step), ("limit", limit)]);
        }
        Find::KeyNum { index, first, step } => {
            typed(reply, "keynum", &[("keynumidx", index), ("firstkey", first), ("keystep", step)]);
        }
        Find::Unknown => typed(reply, "unknown", &[]),
    }
}

fn typed(reply: &mut Reply, kind: &str, numbers: &[(&str, i32)]) {
    typed_header(reply, kind, numbers.len());
    numbers.iter().for_each(|&(name, value)| number(reply, name, value));
}

fn typed_header(reply: &mut Reply, kind: &str, fields: usize) {
    reply.map(2);
    reply.bulk(b"type");
    reply.bulk(kind.as_bytes());
    reply.bulk(b"spec");
    reply.map(fields);
}

fn number(reply: &mut Reply, name: &str, value: i32) {
    reply.bulk(name.as_bytes());
    reply.integer(i64::from(value));
}

/// COMMAND LIST's filters.
enum Filter<'a> {
    All,
    /// No module is ever loaded here, so none of the commands is a module's.
    Module,
    Category(Option<Categories>),
    Pattern(&'a [u8]),
}

impl<'a> Filter<'a> {
    fn parse(args: Args<'a>) -> Result<Filter<'a>, CommandError> {
        if args.len() == 2 {
            return Ok(Filter::All);
        }
        if args.len() != 5 || !args.get(2).eq_ignore_ascii_case(b"filterby") {
            return Err(SYNTAX);
        }
        let is = |word: &str| args.get(3).eq_ignore_ascii_case(word.as_bytes());
        if is("module") {
            Ok(Filter::Module)
        } else if is("aclcat") {
            Ok(Filter::Category(Categories::by_name(args.get(4))))
        } else if is("pattern") {
            Ok(Filter::Pattern(args.get(4)))
        } else {
            Err(SYNTAX)
        }
    }

    fn passes(&self, command: &Command) -> bool {
        match self {
            Filter::All => true,
            Filter::Module => false,
            Filter::Category(category) => category.is_some_and(|category| command.categories.contains(category)),
            Filter::Pattern(pattern) => glob::matches_nocase(pattern, command.full_name.as_bytes()),
        }
    }
}

fn list(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let filter = Filter::parse(args)?;
    let header = ctx.reply.deferred();
    let mut count = 0;
    for (_, entry) in ctx.state.registry.all().filter(|(_, entry)| filter.passes(entry.command)) {
        ctx.reply.bulk(entry.command.full_name.as_bytes());
        count += 1;
    }
    ctx.reply.end_array(header, count);
    Ok(())
}

/// The keys of the full command that follows GETKEYS.
fn keys_of(ctx: &Context<'_>, request: Args<'_>) -> Result<Vec<FoundKey>, CommandError> {
    let prepared = ctx.state.registry.resolve(request);
    let command = match (prepared.command, prepared.verdict) {
        (Some(command), Verdict::Run | Verdict::Guarded | Verdict::Shows | Verdict::WrongArity) => command,
        _ => return Err(CommandError::fixed("Invalid command specified")),
    };
    if !may_have_keys(command) {
        return Err(CommandError::fixed("The command has no key arguments"));
    }
    if prepared.verdict == Verdict::WrongArity {
        return Err(CommandError::fixed("Invalid number of arguments specified for command"));
    }
    let keys = find_keys(command, request).unwrap_or_default();
    if keys.is_empty() && !command.flags.contains(Flags::NO_MANDATORY_KEYS) {
        return Err(CommandError::fixed("Invalid arguments specified for command"));
    }
    Ok(keys)
}

fn getkeys(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let request = args.skip(2);
    let keys = keys_of(ctx, request)?;
    ctx.reply.array(keys.len());
    keys.iter().for_each(|key| ctx.reply.bulk(request.get(key.index)));
    Ok(())
}

fn getkeysandflags(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let request = args.skip(2);
    let keys = keys_of(ctx, request)?;
    ctx.reply.array(keys.len());
    for key in keys {
        ctx.reply.array(2);
        ctx.reply.bulk(request.get(key.index));
        key_flags(ctx.reply, key.flags);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::engine::Engine;

    #[test]
    fn info_describes_a_command() {
        let mut engine = Engine::for_console();
        engine.run(&["HELLO", "3"]);
        assert_eq!(
            engine.run(&["COMMAND", "INFO", "Client|List", "nosuch"]),
            "1)  1) \"client|list\"\n    2) (integer) -2\n    3) 1~ admin\n       2~ noscript\n       3~ loading\n       \
             4~ stale\n    4) (integer) 0\n    5) (integer) 0\n    6) (integer) 0\n    7) 1~ @admin\n       2~ @slow\n       \
             3~ @dangerous\n       4~ @connection\n    8) 1~ \"nondeterministic_output\"\n    9) (empty set)\n   \
             10) (empty set)\n2) (nil)"
        );
        let watch = engine.run(&["COMMAND", "INFO", "watch"]);
        let keys = "1~ 1# \"flags\" => 1~ RO\n          2# \"begin_search\" => 1# \"type\" => \"index\"";
        assert!(watch.contains(keys), "{watch}");
    }

    #[test]
    fn count_and_list_agree() {
        let mut engine = Engine::for_console();
        let count = engine.run(&["COMMAND", "COUNT"]);
        assert_eq!(count, format!("(integer) {}", crate::commands::ALL.concat().len()));
        assert_eq!(engine.run(&["COMMAND", "LIST", "FILTERBY", "PATTERN", "CLIENT|l*"]), "1) \"client|list\"");
        assert_eq!(engine.run(&["COMMAND", "LIST", "FILTERBY", "MODULE", "x"]), "(empty array)");
        assert_eq!(engine.run(&["COMMAND", "LIST", "FILTERBY", "ACLCAT", "nosuch"]), "(empty array)");
        assert!(engine.run(&["COMMAND", "LIST", "FILTERBY", "ACLCAT", "Transaction"]).contains("\"multi\""));
        for wrong in [&["FILTERBY"][..], &["FILTERBY", "FOO", "x"], &["x", "MODULE", "x"]] {
            let line = [&["COMMAND", "LIST"], wrong].concat();
            assert_eq!(engine.run(&line), "(error) ERR syntax error");
        }
    }

    #[test]
    fn getkeys_tells_what_is_wrong() {
        let mut engine = Engine::for_console();
        for (request, answer) in [
            (&["watch", "a", "b"][..], "1) \"a\"\n2) \"b\""),
            (&["watch"], "(error) ERR Invalid number of arguments specified for command"),
            (&["ping"], "(error) ERR The command has no key arguments"),
            (&["client", "list"], "(error) ERR The command has no key arguments"),
            (&["client", "nosuch"], "(error) ERR Invalid command specified"),
            (&["nosuch", "a"], "(error) ERR Invalid command specified"),
            (&["zunionstore", "to", "1", "a"], "1) \"to\"\n2) \"a\""),
            (&["zunionstore", "to", "+1", "a"], "1) \"a\"\n2) \"to\""),
            (&["zunionstore", "to", "0", "a"], "(error) ERR Invalid arguments specified for command"),
        ] {
            let line = [&["COMMAND", "GETKEYS"], request].concat();
            assert_eq!(engine.run(&line), answer, "{line:?}");
        }
        assert_eq!(engine.run(&["COMMAND", "GETKEYSANDFLAGS", "watch", "a"]), "1) 1) \"a\"\n   2) 1) RO");
    }
}
