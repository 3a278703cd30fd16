//! What has to hold after every step of a history, whatever happens in it: looked for in the server itself, by counting
//! anew.

use torc::command::client_memory::memory_of;
use torc::command::session::SessionFlags;
use torc::io::sim::SimIo;
use torc::pubsub::Kind;
use torc::server::event_loop::Server;
use torc::server::threads::IoThread;

/// All of it. `threads` are those that the server has; `shares`: clients are sent messages, which several get from one place.
pub(crate) fn assert_sound(server: &mut Server<SimIo>, threads: &[IoThread<SimIo>], shares: bool) {
    server.check_ownership(threads, shares).unwrap_or_else(|what| panic!("{what}"));
    assert_counted(server);
    assert_accounted(server);
}

/// What clients are said to cost together is what they cost, while somebody wants to know.
fn assert_accounted(server: &mut Server<SimIo>) {
    if !server.engine().state.client_memory.is_on() {
        return;
    }
    let accounted = server.engine().state.client_memory.bytes();
    server.mirror_clients();
    let counted: usize = server.engine().state.sessions.iter().map(memory_of).sum();
    assert_eq!(accounted, counted as u64, "what clients cost");
}

/// What is counted is what there is.
pub(crate) fn assert_counted(server: &mut Server<SimIo>) {
    let connected = server.connected();
    let state = &server.engine().state;
    let with = |flag: SessionFlags| state.sessions.iter().filter(|session| session.flags.contains(flag)).count();
    assert_eq!(state.sessions.connected(), connected, "sessions");
    assert_eq!(state.sessions.iter().count(), connected, "sessions");
    assert_eq!(state.tracking.clients_len(), with(SessionFlags::TRACKING), "clients that track");
    assert_eq!(state.blocking.len(), with(SessionFlags::BLOCKED), "clients that wait");
    let watching = state.sessions.iter().filter(|session| session.watched > 0).count();
    assert_eq!(state.watch.clients_len(), watching, "clients that watch");
    for (index, kind) in Kind::ALL.into_iter().enumerate() {
        let by_name: usize = state.pubsub.names(kind).map(|name| state.pubsub.listeners(kind, name).len()).sum();
        let by_client: usize = state.sessions.iter().map(|session| state.pubsub.count_of(kind, session.slot.0)).sum();
        let noted: u32 = state.sessions.iter().map(|session| session.subscribed[index]).sum();
        assert_eq!((by_name, by_client), (by_client, noted as usize), "subscriptions");
    }
}
