//! The ACL family: specifications, and what needs few lines. Users in `users`, the log in `log`. Main thread.

#![forbid(unsafe_code)]

pub(crate) mod file;
mod log;
mod users;

use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags};
use crate::resp::args::Args;
use crate::sys::random;

/// Most bits of a password that ACL GENPASS makes.
const GENPASS_BITS_MAX: i64 = 4096;
/// Bits of one that it makes unasked.
const GENPASS_BITS: i64 = 256;
/// Bits of a hexadecimal digit.
const DIGIT_BITS: usize = 4;

const EVERYBODY: Flags = Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE);
const ADMIN: Flags = EVERYBODY.union(Flags::ADMIN);
const ADMIN_CATEGORIES: Categories = Categories::ADMIN.union(Categories::SLOW).union(Categories::DANGEROUS);
const ON_ALL_NODES: &[&str] = &["request_policy:all_nodes", "response_policy:all_succeeded"];

/// What the subcommands that only an administrator may run have in common.
const ADMINISTRATIVE: Command =
    Command { since: "6.0.0", group: "server", flags: ADMIN, categories: ADMIN_CATEGORIES, ..Command::BLANK };

/// What the others have in common.
const OPEN: Command = Command { flags: EVERYBODY, categories: Categories::SLOW, ..ADMINISTRATIVE };

/// `ACL`.
pub(super) static ACL: Command = Command {
    name: "acl",
    full_name: "acl",
    summary: "Holds the commands about users and what they may do.",
    complexity: "depends",
    arity: -2,
    flags: Flags::empty(),
    subcommands: &[
        &ACL_CAT,
        &ACL_DELUSER,
        &ACL_DRYRUN,
        &ACL_GENPASS,
        &ACL_GETUSER,
        &ACL_HELP,
        &ACL_LIST,
        &ACL_LOAD,
        &ACL_LOG,
        &ACL_SAVE,
        &ACL_SETUSER,
        &ACL_USERS,
        &ACL_WHOAMI,
    ],
    ..OPEN
};

static ACL_CAT: Command = Command {
    name: "cat",
    full_name: "acl|cat",
    summary: "Lists the categories of commands, or the commands of one.",
    complexity: "O(1)",
    arity: -2,
    args: &[ArgSpec::new("category", ArgKind::String).optional()],
    handler: Some(cat),
    ..OPEN
};

static ACL_DELUSER: Command = Command {
    name: "deluser",
    full_name: "acl|deluser",
    summary: "Removes users and closes the connections that are logged in as them.",
    complexity: "O(1)",
    arity: -3,
    tips: ON_ALL_NODES,
    args: &[ArgSpec::new("username", ArgKind::String).multiple()],
    handler: Some(users::deluser),
    ..ADMINISTRATIVE
};

static ACL_DRYRUN: Command = Command {
    name: "dryrun",
    full_name: "acl|dryrun",
    summary: "Tells whether a user may run a command, without running it.",
    since: "7.0.0",
    complexity: "O(1)",
    arity: -4,
    args: &[
        ArgSpec::new("username", ArgKind::String),
        ArgSpec::new("command", ArgKind::String),
        ArgSpec::new("arg", ArgKind::String).optional().multiple(),
    ],
    handler: Some(users::dryrun),
    ..ADMINISTRATIVE
};

static ACL_GENPASS: Command = Command {
    name: "genpass",
    full_name: "acl|genpass",
    summary: "Makes a password that nobody can guess.",
    complexity: "O(1)",
    arity: -2,
    args: &[ArgSpec::new("bits", ArgKind::Integer).optional()],
    handler: Some(genpass),
    ..OPEN
};

static ACL_GETUSER: Command = Command {
    name: "getuser",
    full_name: "acl|getuser",
    summary: "Shows a user: flags, password digests, permissions.",
    complexity: "O(N)",
    arity: 3,
    history: &[("6.2.0", "Patterns of channels."), ("7.0.0", "Selectors; permissions as text in the form of rules.")],
    args: &[ArgSpec::new("username", ArgKind::String)],
    handler: Some(users::getuser),
    ..ADMINISTRATIVE
};

static ACL_HELP: Command = Command {
    name: "help",
    full_name: "acl|help",
    summary: "Lists the subcommands of ACL.",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::LOADING.union(Flags::STALE),
    handler: Some(help),
    ..OPEN
};

static ACL_LIST: Command = Command {
    name: "list",
    full_name: "acl|list",
    summary: "Shows all users as they would stand in a file.",
    complexity: "O(N)",
    arity: 2,
    handler: Some(users::list),
    ..ADMINISTRATIVE
};

static ACL_LOAD: Command = Command {
    name: "load",
    full_name: "acl|load",
    summary: "Takes in the file of users again: all of it or, with an error in it, nothing.",
    complexity: "O(N)",
    arity: 2,
    handler: Some(file::load),
    ..ADMINISTRATIVE
};

static ACL_LOG: Command = Command {
    name: "log",
    full_name: "acl|log",
    summary: "Shows or forgets what was refused of late, and to whom.",
    complexity: "O(N)",
    arity: -2,
    history: &[("7.2.0", "Entries have a number and two times.")],
    args: &[ArgSpec::new("operation", ArgKind::OneOf)
        .optional()
        .children(&[ArgSpec::new("count", ArgKind::Integer), ArgSpec::pure_token("reset", "RESET")])],
    handler: Some(log::log),
    ..ADMINISTRATIVE
};

static ACL_SAVE: Command = Command {
    name: "save",
    full_name: "acl|save",
    summary: "Writes all users to the file of users.",
    complexity: "O(N)",
    arity: 2,
    tips: ON_ALL_NODES,
    handler: Some(file::save),
    ..ADMINISTRATIVE
};

static ACL_SETUSER: Command = Command {
    name: "setuser",
    full_name: "acl|setuser",
    summary: "Creates a user, or changes one, by rules.",
    complexity: "O(N)",
    arity: -3,
    tips: ON_ALL_NODES,
    history: &[
        ("6.2.0", "Patterns of channels."),
        ("7.0.0", "Selectors, and patterns of keys for reading or writing."),
    ],
    args: &[ArgSpec::new("username", ArgKind::String), ArgSpec::new("rule", ArgKind::String).optional().multiple()],
    handler: Some(users::setuser),
    ..ADMINISTRATIVE
};

static ACL_USERS: Command = Command {
    name: "users",
    full_name: "acl|users",
    summary: "Lists the names of all users.",
    complexity: "O(N)",
    arity: 2,
    handler: Some(users::names),
    ..ADMINISTRATIVE
};

static ACL_WHOAMI: Command = Command {
    name: "whoami",
    full_name: "acl|whoami",
    summary: "Answers as whom the connection is logged in.",
    complexity: "O(1)",
    arity: 2,
    handler: Some(users::whoami),
    ..OPEN
};

fn cat(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    if args.len() > 3 {
        return Err(too_many(args));
    }
    if args.len() == 2 {
        ctx.reply.array(Categories::all().iter_names().count());
        Categories::all().iter_names().for_each(|(name, _)| ctx.reply.bulk(name.to_ascii_lowercase().as_bytes()));
        return Ok(());
    }
    let category = Categories::by_name(args.get(2))
        .ok_or_else(|| CommandError::quoting("Unknown category '", args.get(2), 128, "'"))?;
    let members: Vec<&str> = ctx
        .state
        .registry
        .all()
        .filter(|(_, entry)| entry.command.categories.contains(category))
        .map(|(_, entry)| entry.command.full_name)
        .collect();
    ctx.reply.array(members.len());
    members.iter().for_each(|name| ctx.reply.bulk(name.as_bytes()));
    Ok(())
}

fn genpass(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let bits = match args.len() {
        2 => GENPASS_BITS,
        3 => parse_i64(args.get(2)).ok_or(NOT_AN_INTEGER)?,
        _ => return Err(too_many(args)),
    };
    if !(1..=GENPASS_BITS_MAX).contains(&bits) {
        return Err(CommandError::fixed(
            "ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096",
        ));
    }
    let digits = (bits as usize).div_ceil(DIGIT_BITS);
    let mut password = String::with_capacity(digits);
    while password.len() < digits {
        password.push_str(&random::hex((digits - password.len()).min(random::HEX_MAX)));
    }
    ctx.reply.bulk(password.as_bytes());
    Ok(())
}

/// More arguments than any form of the subcommand takes.
fn too_many(args: Args<'_>) -> CommandError {
    let before = "unknown subcommand or wrong number of arguments for '";
    CommandError::quoting(before, args.get(1), 128, "'. Try ACL HELP.")
}

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.help(
        "acl",
        &[
            "CAT [<category>]",
            "    The categories, or the commands of one of them.",
            "DELUSER <username> [<username> ...]",
            "    Remove users.",
            "DRYRUN <username> <command> [<arg> ...]",
            "    Whether the user may run the command. Nothing is run.",
            "GETUSER <username>",
            "    What is known of a user.",
            "GENPASS [<bits>]",
            "    A new password of that many bits, 256 by default, as hexadecimal digits.",
            "LIST",
            "    All users in the form of a configuration file.",
            "LOAD",
            "    Take in the file of users again.",
            "LOG [<count> | RESET]",
            "    What was refused of late, or forget it.",
            "SAVE",
            "    Write the file of users.",
            "SETUSER <username> <attribute> [<attribute> ...]",
            "    Create or change a user by rules.",
            "USERS",
            "    The names of all users.",
            "WHOAMI",
            "    The name of the user of this connection.",
        ],
    );
    Ok(())
}
