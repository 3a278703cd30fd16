//! The gates before a command, in Redis' order: unknown command, number of arguments, authentication,
//! commands that a transaction forbids, what the user may do, what a listener and a monitor may do, the pause, queueing;
//! before them all, whether clients have to go to make room. Gates of services that this server does not have yet are
//! absent, not open: each arrives with its service.

#![forbid(unsafe_code)]

use crate::command::error::{CommandError, NO_AUTH, c_text};
use crate::command::prepared::{Prepared, Verdict};
use crate::command::session::{Session, SessionFlags};
use crate::command::spec::{Command, Flags};
use crate::command::state::State;
use crate::engine::call::call;
use crate::engine::{eviction, observers, transaction};
use crate::resp::args::Args;
use crate::resp::reply::Reply;

/// Bytes of a request that an error quotes.
const QUOTED_MAX: usize = 128;

const DEBUG_NOT_ALLOWED: CommandError = CommandError::fixed(
    "DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it from a local \
     connection, otherwise you need to set this option in the configuration file, and then restart the server.",
);
const NOT_FOR_MONITORS: CommandError = CommandError::fixed("Replica can't interact with the keyspace");
const NOT_IN_MULTI: CommandError = CommandError::fixed("Command not allowed inside a transaction");

/// Runs, queues or refuses a request. The slow way: for clients in a special state (a transaction, not authenticated,
/// without replies), for requests that name no command, and for all while somebody pauses, monitors or tracks.
#[cold]
pub(super) fn pass(state: &mut State, session: &mut Session, prepared: &Prepared, args: Args<'_>, reply: &mut Reply) {
    if prepared.verdict == Verdict::CrossProtocol {
        session.flags.insert(SessionFlags::CLOSE_ASAP);
        state.cross_protocol_attack(session);
        return;
    }
    if state.client_memory.is_over() {
        eviction::close_largest(state, Some(&mut *session));
        if session.flags.contains(SessionFlags::CLOSE_ASAP) {
            return;
        }
    }
    session.begin_reply_skip();
    let checked = check(state, session, prepared, args);
    if checked.is_ok() && !state.tracking.is_empty() {
        state.limit_tracking(session, reply);
    }
    let start = reply.mark();
    match checked {
        Err(error) => {
            refuse(state, session, prepared, &error, reply);
            observers::after_refusal(state, session, prepared, args);
        }
        Ok(command) if is_paused(state, session, command) => return state.postpone(session),
        Ok(command) if session.in_multi() && !transaction::runs_at_once(command) => {
            transaction::queue(session, prepared, args);
            reply.queued();
        }
        Ok(_) => {
            call_touching(state, session, prepared, args, reply);
            if state.gated {
                observers::after_call(state, session, prepared, args);
            }
        }
    }
    observers::end_caching(session);
    if !std::mem::take(&mut state.muted_apart) {
        state.mute(session, start, reply);
    }
    if !session.is_blocked() {
        session.end_reply_skip();
    }
}

/// Runs a command; its uses of keys leave their stamps alone where the client wants that.
fn call_touching(state: &mut State, session: &mut Session, prepared: &Prepared, args: Args<'_>, reply: &mut Reply) {
    let mutes = session.flags.contains(SessionFlags::NO_TOUCH);
    if mutes {
        state.keyspace.mute_access(true);
    }
    call(state, session, prepared, args, reply);
    if mutes {
        state.keyspace.mute_access(false);
    }
}

/// Whether a pause makes the command wait: every one, or those that may write.
fn is_paused(state: &State, session: &Session, command: &'static Command) -> bool {
    let Some(pause) = state.pause else { return false };
    let writes = |command: &Command| command.flags.intersects(Flags::WRITE.union(Flags::MAY_REPLICATE));
    pause.all
        || writes(command)
        || (transaction::is_exec(command)
            && session
                .transaction
                .iter()
                .flat_map(|open| &open.queue)
                .any(|(queued, _)| queued.command.is_some_and(writes)))
}

fn check(
    state: &mut State,
    session: &Session,
    prepared: &Prepared,
    args: Args<'_>,
) -> Result<&'static Command, CommandError> {
    let Some(command) = prepared.command else { return Err(unknown_command(args)) };
    match prepared.verdict {
        Verdict::UnknownSubcommand => return Err(unknown_subcommand(args)),
        Verdict::WrongArity => return Err(CommandError::arity(command.full_name)),
        Verdict::Run | Verdict::Guarded | Verdict::Shows | Verdict::Unknown | Verdict::CrossProtocol => {}
    }
    if prepared.verdict == Verdict::Guarded && !state.config.enable_debug_command.allows(session.is_local()) {
        return Err(DEBUG_NOT_ALLOWED);
    }
    if !command.flags.contains(Flags::NO_AUTH) && !state.lets_in(session) {
        return Err(NO_AUTH);
    }
    if session.in_multi() && command.flags.contains(Flags::NO_MULTI) {
        return Err(NOT_IN_MULTI);
    }
    if session.flags.contains(SessionFlags::RESTRICTED) {
        state.check_permission(session, prepared, command, args)?;
    }
    if session.only_listens() && !may_listener_run(command) {
        return Err(listens_only(command));
    }
    // To Redis a monitor is a kind of replica, and the error says so.
    let of_keys = Flags::WRITE.union(Flags::READONLY).union(Flags::MAY_REPLICATE);
    if session.flags.contains(SessionFlags::MONITOR) && command.flags.intersects(of_keys) {
        return Err(NOT_FOR_MONITORS);
    }
    Ok(command)
}

/// What a client that listens and speaks RESP2, where messages cannot be told from replies, may run.
fn may_listener_run(command: &Command) -> bool {
    matches!(
        command.full_name,
        "ping"
            | "quit"
            | "reset"
            | "subscribe"
            | "unsubscribe"
            | "psubscribe"
            | "punsubscribe"
            | "ssubscribe"
            | "sunsubscribe"
    )
}

#[cold]
fn listens_only(command: &Command) -> CommandError {
    CommandError::filled(format!(
        "Can't execute '{}': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context",
        command.full_name
    ))
}

/// Answers why a request is not executed. An open transaction is spoilt by it; EXEC itself, refused, ends it.
fn refuse(state: &mut State, session: &mut Session, prepared: &Prepared, error: &CommandError, reply: &mut Reply) {
    session.spoil_transaction();
    let known = prepared.command.filter(|_| prepared.verdict != Verdict::UnknownSubcommand);
    session.last_command = known;
    if known.is_some() {
        state.stats.commands[prepared.id.index()].rejected += 1;
    }
    if known.is_some_and(transaction::is_exec) {
        transaction::abort_exec(state, session, error, reply);
    } else {
        reply.error(error.text());
    }
    state.stats.count_error(reply.last_error_code());
}

fn unknown_command(args: Args<'_>) -> CommandError {
    let mut quoted = Vec::new();
    for arg in args.skip(1).iter() {
        if quoted.len() >= QUOTED_MAX {
            break;
        }
        let shown = c_text(arg, QUOTED_MAX - quoted.len());
        quoted.push(b'\'');
        quoted.extend_from_slice(shown);
        quoted.extend_from_slice(b"' ");
    }
    let name = if args.is_empty() { &b""[..] } else { args.get(0) };
    let mut text = b"unknown command '".to_vec();
    text.extend_from_slice(c_text(name, QUOTED_MAX));
    text.extend_from_slice(b"', with args beginning with: ");
    text.extend_from_slice(&quoted);
    CommandError(text.into())
}

/// The container is called as it was in the request: it may be renamed.
fn unknown_subcommand(args: Args<'_>) -> CommandError {
    let name = String::from_utf8_lossy(args.get(0)).to_ascii_uppercase();
    let after = format!("'. Try {name} HELP.");
    CommandError::quoting("unknown subcommand '", args.get(1), QUOTED_MAX, &after)
}
