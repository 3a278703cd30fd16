//! SUBSCRIBE, PUBLISH and their like for patterns and shard channels; PUBSUB, which tells who listens to what. Main
//! thread.

#![forbid(unsafe_code)]

use crate::base::glob;
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::messages::Payload;
use crate::command::spec::{ArgKind, ArgSpec, Categories, ChannelArgs, Command, Flags, KeyFlags, KeySpec};
use crate::commands::key_specs::{one, rest};
use crate::pubsub::Kind;
use crate::resp::args::Args;

/// The commands of this group.
pub static COMMANDS: &[&Command] =
    &[&SUBSCRIBE, &UNSUBSCRIBE, &PSUBSCRIBE, &PUNSUBSCRIBE, &SSUBSCRIBE, &SUNSUBSCRIBE, &PUBLISH, &SPUBLISH, &PUBSUB];

/// What those that listen have in common.
const LISTENING: Command = Command {
    since: "2.0.0",
    group: "pubsub",
    complexity: "O(N)",
    flags: Flags::PUBSUB.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE),
    categories: Categories::PUBSUB.union(Categories::SLOW),
    ..Command::BLANK
};

/// What those that send have in common.
const SENDING: Command = Command {
    group: "pubsub",
    arity: 3,
    flags: Flags::PUBSUB.union(Flags::LOADING).union(Flags::STALE).union(Flags::FAST).union(Flags::MAY_REPLICATE),
    categories: Categories::PUBSUB.union(Categories::FAST),
    ..Command::BLANK
};

/// What the members of PUBSUB have in common.
const TELLING: Command = Command {
    since: "2.8.0",
    group: "pubsub",
    complexity: "O(N)",
    arity: -2,
    flags: Flags::PUBSUB.union(Flags::LOADING).union(Flags::STALE),
    categories: Categories::PUBSUB.union(Categories::SLOW),
    ..Command::BLANK
};

const SHARD_CHANNELS: &[KeySpec] = &[rest(1, 1, KeyFlags::NOT_KEY)];
const SHARD_CHANNEL: &[KeySpec] = &[one(1, KeyFlags::NOT_KEY)];

static SUBSCRIBE: Command = Command {
    name: "subscribe",
    full_name: "subscribe",
    summary: "Listens to channels.",
    arity: -2,
    args: &[ArgSpec::new("channel", ArgKind::String).multiple()],
    channel_args: ChannelArgs::All,
    handler: Some(subscribe),
    ..LISTENING
};

static UNSUBSCRIBE: Command = Command {
    name: "unsubscribe",
    full_name: "unsubscribe",
    summary: "Stops listening to channels, or to all of them.",
    arity: -1,
    args: &[ArgSpec::new("channel", ArgKind::String).optional().multiple()],
    handler: Some(unsubscribe),
    ..LISTENING
};

static PSUBSCRIBE: Command = Command {
    name: "psubscribe",
    full_name: "psubscribe",
    summary: "Listens to all channels that match patterns.",
    arity: -2,
    args: &[ArgSpec::new("pattern", ArgKind::Pattern).multiple()],
    channel_args: ChannelArgs::Patterns,
    handler: Some(psubscribe),
    ..LISTENING
};

static PUNSUBSCRIBE: Command = Command {
    name: "punsubscribe",
    full_name: "punsubscribe",
    summary: "Stops listening to patterns, or to all of them.",
    arity: -1,
    args: &[ArgSpec::new("pattern", ArgKind::Pattern).optional().multiple()],
    handler: Some(punsubscribe),
    ..LISTENING
};

static SSUBSCRIBE: Command = Command {
    name: "ssubscribe",
    full_name: "ssubscribe",
    summary: "Listens to shard channels.",
    since: "7.0.0",
    arity: -2,
    key_specs: SHARD_CHANNELS,
    args: &[ArgSpec::new("shardchannel", ArgKind::String).multiple()],
    channel_args: ChannelArgs::All,
    handler: Some(ssubscribe),
    ..LISTENING
};

static SUNSUBSCRIBE: Command = Command {
    name: "sunsubscribe",
    full_name: "sunsubscribe",
    summary: "Stops listening to shard channels, or to all of them.",
    since: "7.0.0",
    arity: -1,
    key_specs: SHARD_CHANNELS,
    args: &[ArgSpec::new("shardchannel", ArgKind::String).optional().multiple()],
    handler: Some(sunsubscribe),
    ..LISTENING
};

static PUBLISH: Command = Command {
    name: "publish",
    full_name: "publish",
    summary: "Sends a message to everybody who listens to a channel.",
    since: "2.0.0",
    complexity: "O(N+M)",
    args: &[ArgSpec::new("channel", ArgKind::String), ArgSpec::new("message", ArgKind::String)],
    channel_args: ChannelArgs::First,
    handler: Some(publish),
    ..SENDING
};

static SPUBLISH: Command = Command {
    name: "spublish",
    full_name: "spublish",
    summary: "Sends a message to everybody who listens to a shard channel.",
    since: "7.0.0",
    complexity: "O(N)",
    key_specs: SHARD_CHANNEL,
    args: &[ArgSpec::new("shardchannel", ArgKind::String), ArgSpec::new("message", ArgKind::String)],
    channel_args: ChannelArgs::First,
    handler: Some(spublish),
    ..SENDING
};

static PUBSUB: Command = Command {
    name: "pubsub",
    full_name: "pubsub",
    summary: "Holds the commands that tell who listens.",
    complexity: "depends",
    flags: Flags::empty(),
    categories: Categories::SLOW,
    subcommands: &[
        &PUBSUB_CHANNELS,
        &PUBSUB_HELP,
        &PUBSUB_NUMPAT,
        &PUBSUB_NUMSUB,
        &PUBSUB_SHARDCHANNELS,
        &PUBSUB_SHARDNUMSUB,
    ],
    ..TELLING
};

static PUBSUB_CHANNELS: Command = Command {
    name: "channels",
    full_name: "pubsub|channels",
    summary: "Lists the channels that somebody listens to.",
    args: &[ArgSpec::new("pattern", ArgKind::Pattern).optional()],
    handler: Some(channels),
    ..TELLING
};

static PUBSUB_HELP: Command = Command {
    name: "help",
    full_name: "pubsub|help",
    summary: "Lists the subcommands of PUBSUB.",
    since: "6.2.0",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::LOADING.union(Flags::STALE),
    categories: Categories::SLOW,
    handler: Some(help),
    ..TELLING
};

static PUBSUB_NUMPAT: Command = Command {
    name: "numpat",
    full_name: "pubsub|numpat",
    summary: "Counts the patterns that somebody listens to.",
    complexity: "O(1)",
    arity: 2,
    handler: Some(numpat),
    ..TELLING
};

static PUBSUB_NUMSUB: Command = Command {
    name: "numsub",
    full_name: "pubsub|numsub",
    summary: "Counts who listens to each of these channels.",
    args: &[ArgSpec::new("channel", ArgKind::String).optional().multiple()],
    handler: Some(numsub),
    ..TELLING
};

static PUBSUB_SHARDCHANNELS: Command = Command {
    name: "shardchannels",
    full_name: "pubsub|shardchannels",
    summary: "Lists the shard channels that somebody listens to.",
    since: "7.0.0",
    args: &[ArgSpec::new("pattern", ArgKind::Pattern).optional()],
    handler: Some(shardchannels),
    ..TELLING
};

static PUBSUB_SHARDNUMSUB: Command = Command {
    name: "shardnumsub",
    full_name: "pubsub|shardnumsub",
    summary: "Counts who listens to each of these shard channels.",
    since: "7.0.0",
    args: &[ArgSpec::new("shardchannel", ArgKind::String).optional().multiple()],
    handler: Some(shardnumsub),
    ..TELLING
};

fn subscribe(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    listen(ctx, args, Kind::Channel)
}

fn psubscribe(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    listen(ctx, args, Kind::Pattern)
}

fn ssubscribe(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    listen(ctx, args, Kind::Shard)
}

fn unsubscribe(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    ignore(ctx, args, Kind::Channel)
}

fn punsubscribe(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    ignore(ctx, args, Kind::Pattern)
}

fn sunsubscribe(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    ignore(ctx, args, Kind::Shard)
}

/// Inside a transaction too, although it may not block: what Redis refuses are clients that run no connection.
fn listen(ctx: &mut Context<'_>, args: Args<'_>, kind: Kind) -> Result<(), CommandError> {
    for name in args.skip(1).iter() {
        ctx.state.subscribe(ctx.session, kind, name);
        confirm(ctx, kind, Some(name));
    }
    Ok(())
}

fn ignore(ctx: &mut Context<'_>, args: Args<'_>, kind: Kind) -> Result<(), CommandError> {
    for name in args.skip(1).iter() {
        ctx.state.unsubscribe(ctx.session, kind, name);
        confirm(ctx, kind, Some(name));
    }
    if args.len() == 1 {
        let names = ctx.state.pubsub.names_of(kind, ctx.session.slot.0);
        for name in &names {
            ctx.state.unsubscribe(ctx.session, kind, name);
            confirm(ctx, kind, Some(name));
        }
        if names.is_empty() {
            confirm(ctx, kind, None);
        }
    }
    Ok(())
}

/// One for each name. A push: it comes even where the client gets no replies.
fn confirm(ctx: &mut Context<'_>, kind: Kind, name: Option<&[u8]>) {
    let listens = !ctx.command.name.contains("unsubscribe");
    let word = match (kind, listens) {
        (Kind::Channel, true) => "subscribe",
        (Kind::Channel, false) => "unsubscribe",
        (Kind::Pattern, true) => "psubscribe",
        (Kind::Pattern, false) => "punsubscribe",
        (Kind::Shard, true) => "ssubscribe",
        (Kind::Shard, false) => "sunsubscribe",
    };
    let [channels, patterns, shards] = ctx.session.subscribed;
    let start = ctx.reply.position();
    ctx.reply.push(3);
    ctx.reply.bulk(word.as_bytes());
    match name {
        Some(name) => ctx.reply.bulk(name),
        None => ctx.reply.null(),
    }
    ctx.reply.integer(i64::from(if kind == Kind::Shard { shards } else { channels + patterns }));
    ctx.state.keep_unmuted(ctx.session, ctx.reply, start);
}

fn publish(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let receivers = ctx.state.publish(Some(ctx.session), args.get(1), Payload::of_argument(args, 2));
    ctx.reply.integer(receivers as i64);
    Ok(())
}

fn spublish(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let receivers = ctx.state.publish_to_shard(ctx.session, args.get(1), Payload::of_argument(args, 2));
    ctx.reply.integer(receivers as i64);
    Ok(())
}

fn channels(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    list(ctx, args, Kind::Channel)
}

fn shardchannels(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    list(ctx, args, Kind::Shard)
}

fn list(ctx: &mut Context<'_>, args: Args<'_>, kind: Kind) -> Result<(), CommandError> {
    if args.len() > 3 {
        ctx.reply.unknown_subcommand("pubsub", args.get(1));
        return Ok(());
    }
    let pattern = (args.len() == 3).then(|| args.get(2));
    let shown = |name: &&[u8]| pattern.is_none_or(|pattern| glob::matches(pattern, name));
    let names = ctx.reply.deferred();
    let mut count = 0;
    for name in ctx.state.pubsub.names(kind).filter(shown) {
        ctx.reply.bulk(name);
        count += 1;
    }
    ctx.reply.end_array(names, count);
    Ok(())
}

fn numpat(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.integer(ctx.state.pubsub.names_len(Kind::Pattern) as i64);
    Ok(())
}

fn numsub(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    count_each(ctx, args, Kind::Channel)
}

fn shardnumsub(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    count_each(ctx, args, Kind::Shard)
}

fn count_each(ctx: &mut Context<'_>, args: Args<'_>, kind: Kind) -> Result<(), CommandError> {
    let names = args.skip(2);
    ctx.reply.array(names.len() * 2);
    for name in names.iter() {
        ctx.reply.bulk(name);
        ctx.reply.integer(ctx.state.pubsub.listeners(kind, name).len() as i64);
    }
    Ok(())
}

const HELP: &[&str] = &[
    "CHANNELS [<pattern>]",
    "    The channels that somebody listens to, or those of them that match <pattern>.",
    "NUMPAT",
    "    How many patterns somebody listens to.",
    "NUMSUB [<channel> ...]",
    "    How many connections listen to each <channel>, not counting patterns.",
    "SHARDCHANNELS [<pattern>]",
    "    The shard channels that somebody listens to, or those that match <pattern>.",
    "SHARDNUMSUB [<shardchannel> ...]",
    "    How many connections listen to each <shardchannel>.",
];

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.help("pubsub", HELP);
    Ok(())
}

#[cfg(test)]
#[path = "pubsub_tests.rs"]
mod tests;
