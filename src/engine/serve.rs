//! Clients that wait for keys: after a command that changed such keys, theirs run again, before anybody else's does.

#![forbid(unsafe_code)]

use crate::command::prepared::Verdict;
use crate::command::session::{Session, SessionFlags, Slot};
use crate::command::state::State;
use crate::engine::call::call;
use crate::engine::running;
use crate::resp::reply::Reply;
use crate::types::{Collection, KeyEntry};

/// What a reply to one of them usually fits into, in bytes.
const REPLY_CAPACITY: usize = 256;

/// Runs the commands of those who wait for a key that changed, as long as it holds something that is waited for: those
/// first that were blocked first. What they change may serve others in turn.
#[cold]
pub(super) fn serve_blocked(state: &mut State) {
    while let Some((db, key)) = state.blocking.keys.take_ready() {
        let hash = state.keyspace.hash(&key);
        for client in state.blocking.keys.waiting_for(db, &key) {
            let now_ms = state.clock.unix_ms();
            let Some(entry) = state.keyspace.db_mut(db).peek(&key, hash, now_ms) else { break };
            let group = group_of(entry);
            // One that is to be closed would take along what it is given.
            let open = |session: &&Session| !session.flags.contains(SessionFlags::CLOSE_ASAP);
            let waits_for = state.sessions.get(Slot(client)).filter(open).and_then(|session| session.last_command);
            if waits_for.is_some_and(|command| Some(command.group) == group) {
                try_again(state, Slot(client));
            }
        }
    }
}

/// The group of commands that can wait for a value of this type.
fn group_of(entry: &KeyEntry) -> Option<&'static str> {
    match entry.collection() {
        Some(Collection::List(_)) => Some("list"),
        Some(Collection::SortedSet(_)) => Some("sorted-set"),
        _ => None,
    }
}

fn try_again(state: &mut State, slot: Slot) {
    let mut session = state.sessions.take(slot);
    let Some(command) = session.waiting_command.take() else { return state.sessions.put(session) };
    state.blocking.begin_try(slot.0);
    let unfinished = state.blocking.take_call(slot.0);
    session.flags.remove(SessionFlags::BLOCKED);
    let args = command.as_args();
    let prepared = state.prepare(args);
    debug_assert!(prepared.verdict == Verdict::Run, "it ran before");
    let mut reply = Reply::new(REPLY_CAPACITY);
    let letters_before = state.effects.outbox.len();
    reply.set_protocol(session.protocol);
    let restricted = session.flags.contains(SessionFlags::RESTRICTED);
    let refused = match prepared.command {
        Some(command) if restricted => state.check_permission(&session, &prepared, command, args).err(),
        _ => None,
    };
    match refused {
        Some(error) => {
            reply.error(error.text());
            state.stats.count_error(reply.last_error_code());
        }
        None => {
            if let Some(begun) = unfinished {
                state.stats.commands[begun.command].ticks += begun.ticks;
            }
            running::begin(&session, args);
            call(state, &mut session, &prepared, args, &mut reply);
            running::done();
        }
    }
    state.blocking.end_try();
    let still_blocked = session.is_blocked();
    state.sessions.put(session);
    if !still_blocked {
        state.answer_served(slot, &reply, letters_before);
    }
}
