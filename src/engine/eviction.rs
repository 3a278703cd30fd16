//! Closing clients to make room for the others, as `maxmemory-clients` asks: the largest first. Called before a command
//! and once per turn of the loop.

#![forbid(unsafe_code)]

use crate::command::session::{Session, SessionFlags};
use crate::command::state::State;
use crate::commands::connection::describe_client;
use crate::observe::log;

/// Has clients closed until what is left is below the limit. `running` is the session whose command is about to run: it is
/// in no table meanwhile, and may be one of those that go.
#[cold]
pub(super) fn close_largest(state: &mut State, mut running: Option<&mut Session>) {
    while state.client_memory.is_over() {
        let Some(slot) = state.client_memory.largest() else {
            if state.client_memory.give_up() {
                log::warning(format_args!("Over client maxmemory after evicting all evictable clients"));
            }
            return;
        };
        let now_s = state.now_s;
        let is_running = running.as_deref().is_some_and(|session| session.slot == slot);
        let victim = match &mut running {
            Some(session) if is_running => Some(&mut **session),
            _ => state.sessions.get_mut(slot),
        };
        let victim = victim.expect("who is accounted for is connected");
        let mut line = Vec::new();
        describe_client(victim, now_s, &mut line);
        log::notice(format_args!("Evicting client: {}", String::from_utf8_lossy(&line).trim_end()));
        state.client_memory.remove(victim);
        victim.flags.insert(SessionFlags::CLOSE_ASAP);
        state.stats.evicted_clients += 1;
        if !is_running {
            state.effects.kill.push(slot);
        }
    }
    state.client_memory.relieved();
}
