//! MULTI's queue and what EXEC does with it. The commands themselves stand in `commands::transactions`.

#![forbid(unsafe_code)]

use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::prepared::Prepared;
use crate::command::session::{Session, SessionFlags, Transaction};
use crate::command::spec::Command;
use crate::command::state::State;
use crate::engine::call::call;
use crate::engine::observers;
use crate::resp::args::{Args, OwnedArgs};
use crate::resp::reply::Reply;

const PREVIOUS_ERRORS: CommandError =
    CommandError::fixed("-EXECABORT Transaction discarded because of previous errors.");
const EXEC_WITHOUT_MULTI: CommandError = CommandError::fixed("EXEC without MULTI");

/// Commands that are executed inside MULTI instead of being queued.
pub(super) fn runs_at_once(command: &Command) -> bool {
    matches!(command.full_name, "exec" | "discard" | "multi" | "watch" | "quit" | "reset")
}

/// Whether `command` is EXEC, whose refusal ends the transaction.
pub(super) fn is_exec(command: &'static Command) -> bool {
    command.full_name == "exec"
}

/// Opens a transaction.
pub fn begin(session: &mut Session) {
    session.flags.insert(SessionFlags::MULTI);
    session.transaction = Some(Box::default());
}

/// Queues a request. A transaction that can no longer be executed keeps nothing.
pub(super) fn queue(session: &mut Session, prepared: &Prepared, args: Args<'_>) {
    if session.flags.intersects(SessionFlags::DIRTY_CAS.union(SessionFlags::DIRTY_EXEC)) {
        return;
    }
    let transaction = session.transaction.get_or_insert_with(Box::<Transaction>::default);
    transaction.argument_bytes += args.bytes_total();
    transaction.arguments += args.len();
    transaction.queued += 1;
    transaction.queue.push((*prepared, OwnedArgs::from_args(args)));
}

/// Ends the transaction without executing it: DISCARD, RESET, a refused EXEC. Watched keys are let go.
pub fn discard(state: &mut State, session: &mut Session) {
    session.transaction = None;
    session.flags.remove(SessionFlags::MULTI.union(SessionFlags::DIRTY_CAS).union(SessionFlags::DIRTY_EXEC));
    state.unwatch(session);
}

/// MONITOR ends: RESET, or the end of the client.
pub fn stop_monitoring(state: &mut State, session: &mut Session) {
    if session.flags.contains(SessionFlags::MONITOR) {
        session.flags.remove(SessionFlags::MONITOR);
        state.monitors.retain(|slot| *slot != session.slot);
        state.plan_gates();
    }
}

/// A gate refused EXEC: the transaction is over, and the answer says why.
pub(super) fn abort_exec(state: &mut State, session: &mut Session, error: &CommandError, reply: &mut Reply) {
    discard(state, session);
    let cause = error.text();
    let mut text = b"-EXECABORT Transaction discarded because of: ".to_vec();
    text.extend_from_slice(cause.strip_prefix(b"-").unwrap_or(cause));
    reply.error(&text);
}

/// A command that was queued is not allowed any more. Redis counts the error, and not the command as rejected; EXEC has
/// failed where nothing is executed behind it.
#[cold]
fn refuse_queued(ctx: &mut Context<'_>, error: &CommandError) {
    ctx.reply.error(error.text());
    ctx.state.errors_accounted = ctx.reply.errors_written();
    ctx.state.count_error_apart(ctx.reply.last_error_code());
}

/// EXEC.
pub fn exec(ctx: &mut Context<'_>) -> Result<(), CommandError> {
    if !ctx.session.in_multi() {
        return Err(EXEC_WITHOUT_MULTI);
    }
    if ctx.state.watched_key_expired(ctx.session) {
        ctx.session.flags.insert(SessionFlags::DIRTY_CAS);
    }
    if ctx.session.flags.contains(SessionFlags::DIRTY_EXEC) {
        discard(ctx.state, ctx.session);
        return Err(PREVIOUS_ERRORS);
    }
    if ctx.session.flags.contains(SessionFlags::DIRTY_CAS) {
        discard(ctx.state, ctx.session);
        ctx.reply.null_array();
        return Ok(());
    }
    ctx.state.unwatch(ctx.session);
    let queue = ctx.session.transaction.as_mut().map(|open| std::mem::take(&mut open.queue)).unwrap_or_default();
    let head = ctx.reply.mark();
    ctx.reply.array(queue.len());
    ctx.state.mute(ctx.session, head, ctx.reply);
    ctx.session.flags.insert(SessionFlags::IN_EXEC);
    for (prepared, args) in &queue {
        let start = ctx.reply.mark();
        if ctx.session.flags.contains(SessionFlags::RESTRICTED)
            && let Err(error) = ctx.state.check_queued_permission(ctx.session, prepared, args.as_args())
        {
            refuse_queued(ctx, &error);
            ctx.state.mute(ctx.session, start, ctx.reply);
            continue;
        }
        ctx.state.error_counted_apart = false;
        call(ctx.state, ctx.session, prepared, args.as_args(), ctx.reply);
        if ctx.state.gated {
            observers::after_call(ctx.state, ctx.session, prepared, args.as_args());
        }
        ctx.state.mute(ctx.session, start, ctx.reply);
    }
    // Each part of the reply was said or not by what CLIENT REPLY wanted when it was written.
    ctx.state.muted_apart = true;
    ctx.session.flags.remove(SessionFlags::IN_EXEC);
    discard(ctx.state, ctx.session);
    Ok(())
}
