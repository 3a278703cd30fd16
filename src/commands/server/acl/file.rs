//! The file of users: at start, `ACL LOAD`, `ACL SAVE`.

#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::fs;

use crate::acl::Users;
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::session::{Session, Slot};
use crate::command::state::State;
use crate::commands::server::acl::users::{close_clients_of, default_channels, may_listen};
use crate::config::value::Text;
use crate::observe::log;
use crate::resp::args::Args;
use crate::sys::replace_file::replace_file;

const NO_FILE: CommandError = CommandError::fixed(
    "This Redis instance is not configured to use an ACL file. You may want to specify users via the ACL SETUSER \
     command and then issue a CONFIG REWRITE (assuming you have a Redis configuration file set) in order to store users \
     in the Redis configuration.",
);
const NOT_SAVED: CommandError = CommandError::fixed(
    "There was an error trying to save the ACLs. Please check the server logs for more information",
);

/// Reads the users of `aclfile`. The error says what is wrong with the file.
fn read(state: &State) -> Result<Users, String> {
    let path = state.config.aclfile.to_string();
    let text = fs::read(&path).map_err(|error| {
        let code = error.raw_os_error().map_or_else(|| error.to_string(), |code| crate::sys::Errno(code).to_string());
        format!("Error loading ACLs, opening file '{path}': {code}")
    })?;
    Users::load(&text, &path, default_channels(state), &state.registry).map_err(|error| error.to_string())
}

/// At start: the users of `aclfile` or of the configuration file, not of both.
pub(crate) fn load_at_start(state: &mut State) -> Result<(), String> {
    match (state.config.aclfile.is_empty(), state.config.user_lines.is_empty()) {
        (true, _) => declare_users(state),
        (false, true) => {
            state.users =
                read(state).map_err(|error| format!("Aborting Redis startup because of ACL errors: {error}"))?;
            Ok(())
        }
        (false, false) => Err("Configuring Redis with users defined in redis.conf and at the same setting an ACL file \
                               path is invalid. This setup is very likely to lead to configuration errors and security \
                               holes, please define either an ACL file or declare users directly in your redis.conf, but \
                               not both."
            .to_owned()),
    }
}

/// Takes in the `user` lines.
fn declare_users(state: &mut State) -> Result<(), String> {
    let channels = default_channels(state);
    for line in &state.config.user_lines {
        let enabled = state.users.declare(&line.bytes(), channels, &state.registry).map_err(|error| {
            log::warning(format_args!("{error}"));
            "Critical error while loading ACLs. Exiting.".to_owned()
        })?;
        if !enabled {
            let name = line.words.first().map(Text::to_string).unwrap_or_default();
            log::notice(format_args!(
                "The user '{name}' is disabled (there is no 'on' modifier in the user description). Make sure this is \
                 not a configuration error."
            ));
        }
    }
    Ok(())
}

/// `ACL LOAD`. Clients whose user is gone, or may not listen any more to what they listen to, are closed.
pub(super) fn load(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    if ctx.state.config.aclfile.is_empty() {
        return Err(NO_FILE);
    }
    let loaded = read(ctx.state).map_err(CommandError::filled)?;
    ctx.state.users = loaded;
    let after = ctx.state.users.clone();
    let pubsub = &ctx.state.pubsub;
    let is_over =
        |session: &Session| after.find(&session.user_name).is_none_or(|id| !may_listen(pubsub, after.get(id), session));
    let all = ctx.state.sessions.iter().chain([&*ctx.session]);
    let over: BTreeSet<Slot> = all.filter(|session| is_over(session)).map(|session| session.slot).collect();
    close_clients_of(ctx, |session| over.contains(&session.slot));
    // Numbers belong to one set of users.
    for session in ctx.state.sessions.iter_mut().chain([&mut *ctx.session]) {
        let id = after.find(&session.user_name).unwrap_or(session.user);
        session.set_user(id, after.get(id));
    }
    ctx.reply.ok();
    Ok(())
}

/// `ACL SAVE`
pub(super) fn save(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    if ctx.state.config.aclfile.is_empty() {
        return Err(NO_FILE);
    }
    let mut text = Vec::new();
    for line in ctx.state.users.lines() {
        text.extend_from_slice(&line);
        text.push(b'\n');
    }
    if let Err(error) = replace_file(ctx.state.config.aclfile.as_path(), &text) {
        ctx.state.effects.warnings.push(format!("Saving the ACL file: {error}"));
        return Err(NOT_SAVED);
    }
    ctx.reply.ok();
    Ok(())
}
