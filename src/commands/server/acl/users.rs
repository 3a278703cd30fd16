//! ACL's commands that show and change users.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;

use crate::acl::{Denial, Patterns, Selector, User, UserId, merge_selectors};
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::prepared::Verdict;
use crate::command::session::{Session, SessionFlags, Slot};
use crate::command::state::State;
use crate::config::AclPubsubDefault;
use crate::pubsub::{Kind, PubSub};
use crate::resp::args::Args;
use crate::resp::reply::Reply;

/// `ACL WHOAMI`
pub(super) fn whoami(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.bulk(&ctx.session.user_name);
    Ok(())
}

/// `ACL USERS`
pub(super) fn names(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    let users = ctx.state.users.iter();
    ctx.reply.array(users.len());
    users.for_each(|(_, user)| ctx.reply.bulk(user.name()));
    Ok(())
}

/// `ACL LIST`
pub(super) fn list(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.array(ctx.state.users.iter().len());
    ctx.state.users.lines().for_each(|line| ctx.reply.bulk(&line));
    Ok(())
}

/// `ACL GETUSER name`
pub(super) fn getuser(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let Some(id) = ctx.state.users.find(args.get(2)) else {
        ctx.reply.null();
        return Ok(());
    };
    let user = ctx.state.users.get(id);
    let reply = &mut *ctx.reply;
    reply.map(6);
    reply.bulk(b"flags");
    let flags = user.flags();
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"passwords");
    reply.array(user.passwords().len());
    user.passwords().for_each(|digest| reply.bulk(digest.as_bytes()));
    write_selector(reply, user.own_selector());
    reply.bulk(b"selectors");
    reply.array(user.selectors().len());
    for selector in user.selectors() {
        reply.map(3);
        write_selector(reply, selector);
    }
    Ok(())
}

/// Three pairs of a map.
fn write_selector(reply: &mut Reply, selector: &Selector) {
    for (name, text) in [
        ("commands", selector.describe_commands()),
        ("keys", selector.describe_keys()),
        ("channels", selector.describe_channels()),
    ] {
        reply.bulk(name.as_bytes());
        reply.bulk(&text);
    }
}

/// `ACL SETUSER name [rule ...]`: all rules or, with a wrong one, none.
pub(super) fn setuser(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let name = args.get(2);
    if name.iter().any(|byte| matches!(byte, b' ' | b'\0')) {
        return Err(CommandError::fixed("Usernames can't contain spaces or null characters"));
    }
    let words: Vec<&[u8]> = args.skip(3).iter().collect();
    let rules = merge_selectors(&words).map_err(|word| {
        CommandError::quoting("Unmatched parenthesis in acl selector starting at '", word, usize::MAX, "'.")
    })?;
    let channels = default_channels(ctx.state);
    let known = ctx.state.users.find(name).map(|id| ctx.state.users.get(id).clone());
    let mut user = known.unwrap_or_else(|| User::new(name, channels));
    for rule in &rules {
        user.apply(rule, channels, &ctx.state.registry).map_err(|error| {
            CommandError::quoting("Error in ACL SETUSER modifier '", rule, usize::MAX, &format!("': {error}"))
        })?;
    }
    let id = ctx.state.users.put(user);
    let user = ctx.state.users.get(id);
    for session in ctx.state.sessions.iter_mut().chain([&mut *ctx.session]).filter(|session| session.user == id) {
        session.set_user(id, user);
    }
    close_listeners_of(ctx, id);
    ctx.reply.ok();
    Ok(())
}

/// What a new user may do with channels.
pub(super) fn default_channels(state: &State) -> Patterns {
    match state.config.acl_pubsub_default {
        AclPubsubDefault::AllChannels => Patterns::All,
        AclPubsubDefault::ResetChannels => Patterns::None,
    }
}

/// `ACL DELUSER name [name ...]`
pub(super) fn deluser(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    if args.skip(2).iter().any(|name| name == b"default") {
        return Err(CommandError::fixed("The 'default' user cannot be removed"));
    }
    let mut removed = 0;
    for name in args.skip(2).iter() {
        if let Some(id) = ctx.state.users.remove(name) {
            removed += 1;
            close_clients_of(ctx, |session| session.user == id);
        }
    }
    ctx.reply.integer(removed);
    Ok(())
}

/// Closes the clients that `is_over` names: the caller behind its reply, the others at once. Their user may be gone.
pub(super) fn close_clients_of(ctx: &mut Context<'_>, is_over: impl Fn(&Session) -> bool) {
    let user = ctx.state.users.get(UserId::DEFAULT);
    for session in ctx.state.sessions.iter_mut().filter(|session| is_over(session)) {
        session.set_user(UserId::DEFAULT, user);
        session.flags.insert(SessionFlags::CLOSE_ASAP);
        ctx.state.effects.kill.push(session.slot);
    }
    if is_over(ctx.session) {
        ctx.session.set_user(UserId::DEFAULT, user);
        ctx.session.flags.insert(SessionFlags::CLOSE_AFTER_REPLY);
    }
}

/// Closes the clients of a user that listen to what the user may not listen to any more.
fn close_listeners_of(ctx: &mut Context<'_>, id: UserId) {
    let (user, pubsub) = (ctx.state.users.get(id), &ctx.state.pubsub);
    let may_go_on = |session: &Session| session.user != id || may_listen(pubsub, user, session);
    let all = ctx.state.sessions.iter().chain([&*ctx.session]);
    let over: BTreeSet<Slot> = all.filter(|session| !may_go_on(session)).map(|session| session.slot).collect();
    if !over.is_empty() {
        close_clients_of(ctx, |session| over.contains(&session.slot));
    }
}

/// Whether `user` may listen to all that `session` listens to.
pub(super) fn may_listen(pubsub: &PubSub, user: &User, session: &Session) -> bool {
    let may = |kind| {
        let names = pubsub.names_of(kind, session.slot.0);
        names.iter().all(|name| user.allows_channel(name, kind == Kind::Pattern))
    };
    !session.flags.contains(SessionFlags::PUBSUB) || Kind::ALL.into_iter().all(may)
}

/// `ACL DRYRUN name command [arg ...]`
pub(super) fn dryrun(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let name = args.get(2);
    let id: UserId =
        ctx.state.users.find(name).ok_or_else(|| CommandError::quoting("User '", name, usize::MAX, "' not found"))?;
    let request = args.skip(3);
    let prepared = ctx.state.registry.resolve(request);
    let command = match (prepared.verdict, prepared.command) {
        (Verdict::Run | Verdict::Shows, Some(command)) => command,
        (Verdict::WrongArity, Some(command)) => return Err(CommandError::arity(command.full_name)),
        _ => return Err(CommandError::quoting("Command '", request.get(0), usize::MAX, "' not found")),
    };
    let user = String::from_utf8_lossy(name).into_owned();
    match ctx.state.permits(id, &prepared, command, request) {
        Ok(()) => ctx.reply.ok(),
        Err(Denial::Command) => {
            let text = format!("User {user} has no permissions to run the '{}' command", command.full_name);
            ctx.reply.bulk(text.as_bytes());
        }
        Err(Denial::Key(index)) => ctx.reply.bulk(&no_access(&user, request.get(index), "key")),
        Err(Denial::Channel(index)) => ctx.reply.bulk(&no_access(&user, request.get(index), "channel")),
    }
    Ok(())
}

fn no_access(user: &str, name: &[u8], what: &str) -> Vec<u8> {
    let before = format!("User {user} has no permissions to access the '");
    [before.as_bytes(), name, format!("' {what}").as_bytes()].concat()
}
