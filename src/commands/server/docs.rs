//! COMMAND DOCS: what this server's commands are, for people. Main thread.

#![forbid(unsafe_code)]

use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::registry::{CommandId, Registry};
use crate::command::spec::{ArgKind, ArgSpec, Flags};
use crate::resp::args::Args;
use crate::resp::reply::Reply;

/// Handler of COMMAND DOCS. Names that are no commands are left out.
pub(super) fn docs(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let registry = &ctx.state.registry;
    let ids: Vec<CommandId> = if args.len() == 2 {
        registry.top_level().map(|(id, _)| id).collect()
    } else {
        args.skip(2).iter().filter_map(|name| registry.find_full_name(name)).collect()
    };
    ctx.reply.map(ids.len());
    ids.iter().for_each(|&id| document(registry, id, ctx.reply));
    Ok(())
}

fn text(reply: &mut Reply, name: &str, value: &str) {
    reply.bulk(name.as_bytes());
    reply.bulk(value.as_bytes());
}

/// One name and its map.
fn document(registry: &Registry, id: CommandId, reply: &mut Reply) {
    let entry = registry.entry(id);
    let command = entry.command;
    reply.bulk(command.full_name.as_bytes());
    let header = reply.deferred();
    let mut fields = 3;
    text(reply, "summary", command.summary);
    text(reply, "since", command.since);
    text(reply, "group", command.group);
    if !command.complexity.is_empty() {
        text(reply, "complexity", command.complexity);
        fields += 1;
    }
    if command.flags.intersects(Flags::GUARDED.union(Flags::INTERNAL)) {
        reply.bulk(b"doc_flags");
        reply.set(1);
        reply.status("syscmd");
        fields += 1;
    }
    if let Some((version, replacement)) = command.deprecated {
        reply.bulk(b"doc_flags");
        reply.set(1);
        reply.status("deprecated");
        text(reply, "deprecated_since", version);
        text(reply, "replaced_by", replacement);
        fields += 3;
    }
    if !command.history.is_empty() {
        reply.bulk(b"history");
        reply.set(command.history.len());
        for (version, change) in command.history {
            reply.array(2);
            reply.bulk(version.as_bytes());
            reply.bulk(change.as_bytes());
        }
        fields += 1;
    }
    if !command.args.is_empty() {
        reply.bulk(b"arguments");
        arguments(command.args, reply);
        fields += 1;
    }
    if !entry.subcommands.is_empty() {
        reply.bulk(b"subcommands");
        reply.map(entry.subcommands.len());
        entry.subcommands.iter().for_each(|&subcommand| document(registry, subcommand, reply));
        fields += 1;
    }
    reply.end_map(header, fields);
}

fn kind_name(kind: ArgKind) -> &'static str {
    match kind {
        ArgKind::String => "string",
        ArgKind::Integer => "integer",
        ArgKind::Double => "double",
        ArgKind::Key => "key",
        ArgKind::Pattern => "pattern",
        ArgKind::UnixTime => "unix-time",
        ArgKind::PureToken => "pure-token",
        ArgKind::OneOf => "oneof",
        ArgKind::Block => "block",
    }
}

fn arguments(specs: &[ArgSpec], reply: &mut Reply) {
    reply.array(specs.len());
    specs.iter().for_each(|spec| argument(spec, reply));
}

fn argument(spec: &ArgSpec, reply: &mut Reply) {
    let header = reply.deferred();
    let mut fields = 2;
    text(reply, "name", spec.name);
    text(reply, "type", kind_name(spec.kind));
    if !matches!(spec.kind, ArgKind::OneOf | ArgKind::Block) {
        text(reply, "display_text", spec.display_text.unwrap_or(spec.name));
        fields += 1;
    }
    if let Some(index) = spec.key_spec_index {
        reply.bulk(b"key_spec_index");
        reply.integer(i64::from(index));
        fields += 1;
    }
    let texts = [("token", spec.token), ("since", spec.since), ("deprecated_since", spec.deprecated_since)];
    for (name, value) in texts.into_iter().filter_map(|(name, value)| Some((name, value?))) {
        text(reply, name, value);
        fields += 1;
    }
    let flags = [("optional", spec.optional), ("multiple", spec.multiple), ("multiple_token", spec.multiple_token)];
    let set = flags.iter().filter(|(_, set)| *set).count();
    if set > 0 {
        reply.bulk(b"flags");
        reply.set(set);
        flags.iter().filter(|(_, set)| *set).for_each(|(name, _)| reply.status(name));
        fields += 1;
    }
    if !spec.children.is_empty() {
        reply.bulk(b"arguments");
        arguments(spec.children, reply);
        fields += 1;
    }
    reply.end_map(header, fields);
}

#[cfg(test)]
mod tests {
    use crate::engine::Engine;

    #[test]
    fn docs_are_maps_of_maps() {
        let mut engine = Engine::for_console();
        engine.run(&["HELLO", "3"]);
        assert_eq!(engine.run(&["COMMAND", "DOCS", "nosuch"]), "(empty hash)");
        let ping = engine.run(&["COMMAND", "DOCS", "PING"]);
        assert!(ping.starts_with("1# \"ping\" => 1# \"summary\" => \""), "{ping}");
        assert!(ping.contains("\"arguments\" => 1) 1# \"name\" => \"message\"\n"), "{ping}");
        assert!(ping.ends_with("4# \"flags\" => 1~ optional"), "{ping}");
        let quit = engine.run(&["COMMAND", "DOCS", "quit"]);
        assert!(quit.contains("5# \"doc_flags\" => 1~ deprecated\n"), "{quit}");
        let config = engine.run(&["COMMAND", "DOCS", "config"]);
        assert!(config.contains("\"subcommands\" => 1# \"config|get\" => "), "{config}");
    }

    #[test]
    fn every_command_is_documented() {
        let mut engine = Engine::for_console();
        engine.run(&["HELLO", "3"]);
        for (_, entry) in engine.state.registry.all() {
            let command = entry.command;
            assert!(command.summary.ends_with('.') && command.summary.len() > 10, "{}", command.full_name);
            assert!(!command.group.is_empty() && !command.since.is_empty(), "{}", command.full_name);
            assert!(command.handler.is_some() || !command.subcommands.is_empty(), "{}", command.full_name);
        }
        assert!(engine.run(&["COMMAND", "DOCS"]).contains("\"client|kill\""));
    }
}
