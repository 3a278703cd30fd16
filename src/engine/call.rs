//! HOT PATH. Runs one command that passed its gates, and accounts for it.

#![forbid(unsafe_code)]

use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::prepared::Prepared;
use crate::command::session::Session;
use crate::command::state::State;
use crate::resp::args::Args;
use crate::resp::reply::Reply;

/// Runs `prepared`, whose verdict is to run, and writes its reply. Called for requests and for each command of a
/// transaction; the latter nest inside the call of EXEC, whose time includes theirs.
pub(super) fn call(state: &mut State, session: &mut Session, prepared: &Prepared, args: Args<'_>, reply: &mut Reply) {
    if let Some(elapsed) = run(state, session, prepared, args, reply) {
        note_slow(state, session, prepared, args, elapsed);
    }
}

/// A command took long: to be called behind [`run`].
#[cold]
pub(super) fn note_slow(state: &mut State, session: &Session, prepared: &Prepared, args: Args<'_>, elapsed: u64) {
    if let Some(command) = prepared.command {
        state.note_slow(session, command, args, elapsed);
    }
}

/// The same as [`call`], but for slow commands, whose ticks are returned: most callers can make the arguments once more for
/// [`note_slow`], and so they go to the handler without having been copied.
#[inline]
#[must_use]
pub(super) fn run(
    state: &mut State,
    session: &mut Session,
    prepared: &Prepared,
    args: Args<'_>,
    reply: &mut Reply,
) -> Option<u64> {
    let command = prepared.command?;
    let handler = command.handler?;
    let start = state.last_tick;
    state.errors_accounted = reply.errors_written();
    let mut context = Context {
        state: &mut *state,
        session: &mut *session,
        reply: &mut *reply,
        command,
        first_key_hash: prepared.hash,
    };
    if let Err(error) = handler(&mut context, args) {
        answer_error(reply, &error);
    }
    let end = state.ticks.now();
    state.last_tick = end;
    let elapsed = end.wrapping_sub(start);
    if session.is_blocked() {
        state.note_blocked_call(session, prepared.id.index(), start, elapsed);
    } else if !state.stats.note_execution(prepared.id.index(), elapsed) {
        state.settle_stats();
    }
    if reply.errors_written() != state.errors_accounted {
        account_failure(state, prepared, reply);
    }
    if end >= state.next_ms_tick {
        state.advance_clock(end);
    }
    if state.observes_keys {
        state.touch_expired(Some(session));
    }
    // One that waits is noted when the wait is over.
    (elapsed >= state.slow_ticks && session.waiting_command.is_none()).then_some(elapsed)
}

#[cold]
fn answer_error(reply: &mut Reply, error: &CommandError) {
    reply.error(error.text());
}

/// The command answered an error, or one was counted apart while it ran.
#[cold]
fn account_failure(state: &mut State, prepared: &Prepared, reply: &Reply) {
    state.errors_accounted = reply.errors_written();
    state.stats.commands[prepared.id.index()].failed += 1;
    if !std::mem::take(&mut state.error_counted_apart) {
        state.stats.count_error(reply.last_error_code());
    }
}
