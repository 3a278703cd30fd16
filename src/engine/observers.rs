//! What other clients learn of a command that was just executed: MONITOR shows it, and keys that it read for a client
//! which tracks are remembered. Called only while somebody monitors or tracks.

#![forbid(unsafe_code)]

use crate::base::quoting::write_quoted;
use crate::command::keys::find_keys;
use crate::command::prepared::Prepared;
use crate::command::redaction::{REDACTED, is_secret};
use crate::command::session::{Session, SessionFlags};
use crate::command::spec::{Command, Flags};
use crate::command::state::State;
use crate::engine::transaction;
use crate::resp::args::Args;

/// Called after each command, those of a transaction included.
#[cold]
pub(super) fn after_call(state: &mut State, session: &mut Session, prepared: &Prepared, args: Args<'_>) {
    let Some(command) = prepared.command else { return };
    if !state.monitors.is_empty() && !command.flags.intersects(Flags::ADMIN.union(Flags::SKIP_MONITOR)) {
        show(state, session, command, args);
    }
    if session.flags.contains(SessionFlags::TRACKING) && command.flags.contains(Flags::READONLY) {
        remember(state, session, command, args);
    }
}

/// Called after each command that was refused. A refused EXEC is shown: it has ended a transaction.
#[cold]
pub(super) fn after_refusal(state: &mut State, session: &Session, prepared: &Prepared, args: Args<'_>) {
    if let Some(command) = prepared.command.filter(|command| transaction::is_exec(command))
        && !state.monitors.is_empty()
    {
        show(state, session, command, args);
    }
}

/// Sends the line of one command to everybody who monitors.
fn show(state: &mut State, session: &Session, command: &Command, args: Args<'_>) {
    let at_us = state.precise_unix_us();
    let text = state.effects.outbox.write(|out| {
        let (seconds, micros) = (at_us.div_euclid(1_000_000), at_us.rem_euclid(1_000_000));
        let addr = &session.net.addr;
        let head = if session.flags.contains(SessionFlags::UNIX_SOCKET) {
            let path = addr.strip_suffix(":0").unwrap_or(addr);
            format!("+{seconds}.{micros:06} [{} unix:{path}]", session.db)
        } else {
            format!("+{seconds}.{micros:06} [{} {addr}]", session.db)
        };
        out.extend_from_slice(head.as_bytes());
        for (index, arg) in args.iter().enumerate() {
            out.push(b' ');
            write_quoted(out, if is_secret(command, args, index) { REDACTED } else { arg });
        }
        out.extend_from_slice(b"\r\n");
    });
    for index in 0..state.monitors.len() {
        let slot = state.monitors[index];
        let flags =
            if slot == session.slot { Some(session.flags) } else { state.sessions.get(slot).map(|it| it.flags) };
        if flags.is_some_and(|flags| !flags.intersects(SessionFlags::MUTED)) {
            state.effects.outbox.post(slot, &text);
        }
    }
}

/// Notes which keys the client has read, where its way of tracking wants that.
fn remember(state: &mut State, session: &Session, command: &Command, args: Args<'_>) {
    let flags = session.flags;
    let caching = flags.contains(SessionFlags::TRACKING_CACHING);
    let wanted = !flags.contains(SessionFlags::TRACKING_BCAST)
        && (!flags.contains(SessionFlags::TRACKING_OPTIN) || caching)
        && (!flags.contains(SessionFlags::TRACKING_OPTOUT) || !caching);
    if !wanted {
        return;
    }
    for key in find_keys(command, args).unwrap_or_default() {
        state.tracking.remember(args.get(key.index), session.id);
    }
}

/// CLIENT CACHING is about one command only, a refused one too, or about one transaction; commands of the CLIENT family do
/// not count.
pub(super) fn end_caching(session: &mut Session) {
    let of_client = session.last_command.is_some_and(|command| command.full_name.starts_with("client|"));
    if !session.in_multi() && !of_client {
        session.flags.remove(SessionFlags::TRACKING_CACHING);
    }
}

#[cfg(test)]
mod tests {
    use crate::command::session::{NetFacts, Slot};
    use crate::engine::Engine;

    fn connect(engine: &mut Engine, slot: u32, unix: bool) -> Slot {
        let addr = if unix { "/tmp/x.sock:0" } else { "10.0.0.1:5" };
        engine.client_connected(Slot(slot), unix, NetFacts { addr: addr.into(), ..NetFacts::default() });
        Slot(slot)
    }

    /// What the outbox holds for a client, and empties it.
    fn letters(engine: &mut Engine, to: Slot) -> String {
        let outbox = engine.state.effects.take().outbox;
        let texts = outbox.letters().iter().filter(|letter| letter.to == to);
        texts.map(|letter| String::from_utf8_lossy(&outbox.bytes()[letter.text.clone()]).into_owned()).collect()
    }

    #[test]
    fn monitor_shows_what_runs() {
        let mut engine = Engine::for_console();
        let [one, unix, monitor] =
            [(0, false), (1, true), (2, false)].map(|(slot, unix)| connect(&mut engine, slot, unix));
        assert_eq!(engine.run_in(monitor, &["MONITOR"]), "OK");
        engine.run_in(one, &["SELECT", "3"]);
        engine.run_in(one, &["set", "a\"b", "x\r\n"]);
        engine.run_in(unix, &["HELLO", "2", "AUTH", "default", "secret"]);
        for line in [&["CONFIG", "GET", "port"][..], &["NOSUCH"], &["GET"], &["CLIENT", "LIST"]] {
            engine.run_in(one, line);
        }
        for line in [&["MULTI"][..], &["PING"], &["EXEC"]] {
            engine.run_in(one, line);
        }
        let at = "+1700000000.000000";
        let wanted = [
            format!("{at} [3 10.0.0.1:5] \"SELECT\" \"3\"\r\n"),
            format!("{at} [3 10.0.0.1:5] \"set\" \"a\\\"b\" \"x\\r\\n\"\r\n"),
            format!("{at} [0 unix:/tmp/x.sock] \"HELLO\" \"2\" \"AUTH\" \"(redacted)\" \"(redacted)\"\r\n"),
            format!("{at} [3 10.0.0.1:5] \"MULTI\"\r\n"),
            format!("{at} [3 10.0.0.1:5] \"PING\"\r\n"),
            format!("{at} [3 10.0.0.1:5] \"EXEC\"\r\n"),
        ];
        assert_eq!(letters(&mut engine, monitor), wanted.concat());
        assert_eq!(engine.run_in(monitor, &["RESET"]), "RESET");
        engine.run_in(one, &["PING"]);
        assert!(engine.state.effects.outbox.is_empty() && !engine.state.gated);
        engine.run_in(monitor, &["MONITOR"]);
        engine.client_gone(monitor);
        assert!(!engine.state.gated);
    }

    #[test]
    fn tracked_keys_are_told_of() {
        let mut engine = Engine::for_console();
        let [reader, writer] = [0, 1].map(|slot| connect(&mut engine, slot, false));
        engine.run_in(reader, &["HELLO", "3"]);
        assert_eq!(engine.run_in(reader, &["CLIENT", "TRACKING", "ON"]), "OK");
        engine.run_in(reader, &["MGET", "k", "other"]);
        engine.run_in(writer, &["SET", "k", "1"]);
        let told = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n";
        assert_eq!(letters(&mut engine, reader), told);
        engine.run_in(writer, &["SET", "k", "2", "PX", "50"]);
        assert!(engine.state.effects.outbox.is_empty());
        engine.run_in(reader, &["GET", "k"]);
        engine.advance_ms(60);
        engine.cron();
        engine.before_sleep();
        assert_eq!(letters(&mut engine, reader), told);
        engine.run_in(writer, &["FLUSHALL"]);
        assert_eq!(letters(&mut engine, reader), ">2\r\n$10\r\ninvalidate\r\n_\r\n");
        engine.client_gone(reader);
        assert!(!engine.state.gated && !engine.state.observes_keys && engine.state.tracking.is_empty());
    }

    /// Whether a client is told of its own change is decided when that happens, and not when the transaction ends.
    #[test]
    fn tracking_that_changes_behind_a_write_comes_too_late() {
        let told = ">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n";
        let everything = ">2\r\n$10\r\ninvalidate\r\n_\r\n";
        let (plain, quiet) = ("CLIENT TRACKING ON", "CLIENT TRACKING ON NOLOOP");
        for (before, change, behind, expected) in [
            (plain, "SET k 1", quiet, told),
            (quiet, "SET k 1", plain, ""),
            (plain, "SET k 1", "CLIENT TRACKING OFF", told),
            (plain, "FLUSHALL", "CLIENT TRACKING OFF", everything),
            (quiet, "FLUSHALL", plain, everything),
            // Over the old protocol there are no pushes.
            (plain, "SET k 1", "RESET", ""),
        ] {
            let mut engine = Engine::for_console();
            let client = connect(&mut engine, 0, false);
            for line in ["HELLO 3", "MULTI", before, "GET k", change, behind, "EXEC"] {
                engine.run_in(client, &line.split(' ').collect::<Vec<_>>());
            }
            assert_eq!(letters(&mut engine, client), expected, "{before}, {change}, {behind}");
        }
    }

    #[test]
    fn broadcasts_come_with_the_end_of_a_turn() {
        let mut engine = Engine::for_console();
        let [reader, writer] = [0, 1].map(|slot| connect(&mut engine, slot, false));
        engine.run_in(reader, &["HELLO", "3"]);
        engine.run_in(reader, &["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", "a", "NOLOOP"]);
        engine.run_in(writer, &["MSET", "a1", "1", "b", "1", "a2", "1"]);
        engine.run_in(reader, &["SET", "a2", "1"]);
        assert!(engine.state.effects.outbox.is_empty());
        engine.before_sleep();
        assert_eq!(letters(&mut engine, reader), ">2\r\n$10\r\ninvalidate\r\n*1\r\n$2\r\na1\r\n");
    }
}
