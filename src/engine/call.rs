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
#[inline]
pub(super) fn call(state: &mut State, session: &mut Session, prepared: &Prepared, args: Args<'_>, reply: &mut Reply) {
    let Some(command) = prepared.command else { return };
    let Some(handler) = command.handler else { return };
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
    let row = &mut state.stats.commands[prepared.id.index()];
    row.calls += 1;
    row.ticks += elapsed;
    state.stats.commands_processed += 1;
    state.stats.command_ticks += elapsed;
    if state.records_durations {
        let ns = state.ticks.to_ns(elapsed);
        state.stats.record_duration(prepared.id.index(), ns);
    }
    if elapsed >= state.slow_ticks {
        state.note_slow(session, command, args, elapsed);
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
}

#[cold]
fn answer_error(reply: &mut Reply, error: &CommandError) {
    reply.error(error.text());
}

/// The command answered an error.
#[cold]
fn account_failure(state: &mut State, prepared: &Prepared, reply: &Reply) {
    state.errors_accounted = reply.errors_written();
    state.stats.commands[prepared.id.index()].failed += 1;
    state.stats.count_error(reply.last_error_code());
}
