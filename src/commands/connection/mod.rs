//! Commands about the connection itself: PING, ECHO, SELECT, QUIT, RESET; AUTH and HELLO, and the CLIENT family in files
//! of their own. Main thread.

#![forbid(unsafe_code)]

mod auth;
mod client;
mod modes;
mod pause;
mod tracking;

use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::session::SessionFlags;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags};
pub(crate) use crate::commands::connection::client::describe as describe_client;
use crate::commands::lookup;
use crate::engine::transaction;
use crate::resp::args::Args;
use crate::resp::reply::Protocol;

/// The commands of this group.
pub static COMMANDS: &[&Command] = &[&PING, &ECHO, &SELECT, &QUIT, &RESET, &auth::AUTH, &auth::HELLO, &client::CLIENT];

/// `PING`.
static PING: Command = Command {
    name: "ping",
    full_name: "ping",
    summary: "Answers PONG, or its argument.",
    since: "1.0.0",
    group: "connection",
    complexity: "O(1)",
    arity: -1,
    flags: Flags::FAST,
    categories: Categories::FAST.union(Categories::CONNECTION),
    tips: &["request_policy:all_shards", "response_policy:all_succeeded"],
    args: &[ArgSpec::new("message", ArgKind::String).optional()],
    handler: Some(ping),
    ..Command::BLANK
};

/// `ECHO`.
static ECHO: Command = Command {
    name: "echo",
    full_name: "echo",
    summary: "Answers with its argument.",
    since: "1.0.0",
    group: "connection",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::LOADING.union(Flags::STALE).union(Flags::FAST),
    categories: Categories::FAST.union(Categories::CONNECTION),
    args: &[ArgSpec::new("message", ArgKind::String)],
    handler: Some(echo),
    ..Command::BLANK
};

/// `SELECT`.
static SELECT: Command = Command {
    name: "select",
    full_name: "select",
    summary: "Chooses the database that the connection works on.",
    since: "1.0.0",
    group: "connection",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::LOADING.union(Flags::STALE).union(Flags::FAST),
    categories: Categories::FAST.union(Categories::CONNECTION),
    args: &[ArgSpec::new("index", ArgKind::Integer)],
    handler: Some(select),
    ..Command::BLANK
};

/// `QUIT`.
static QUIT: Command = Command {
    name: "quit",
    full_name: "quit",
    summary: "Closes the connection after the reply.",
    since: "1.0.0",
    group: "connection",
    complexity: "O(1)",
    arity: -1,
    flags: Flags::NOSCRIPT
        .union(Flags::LOADING)
        .union(Flags::STALE)
        .union(Flags::FAST)
        .union(Flags::NO_AUTH)
        .union(Flags::ALLOW_BUSY),
    categories: Categories::FAST.union(Categories::CONNECTION),
    deprecated: Some(("7.2.0", "")),
    handler: Some(quit),
    ..Command::BLANK
};

/// `RESET`.
static RESET: Command = Command {
    name: "reset",
    full_name: "reset",
    summary: "Brings the connection back to the state it had when it was opened.",
    since: "6.2.0",
    group: "connection",
    complexity: "O(1)",
    arity: 1,
    flags: Flags::NOSCRIPT
        .union(Flags::LOADING)
        .union(Flags::STALE)
        .union(Flags::FAST)
        .union(Flags::NO_AUTH)
        .union(Flags::ALLOW_BUSY),
    categories: Categories::FAST.union(Categories::CONNECTION),
    handler: Some(reset),
    ..Command::BLANK
};

fn ping(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    match args.len() {
        // Shaped like a message, since the client takes everything for one.
        1 | 2 if ctx.session.only_listens() => {
            ctx.reply.array(2);
            ctx.reply.bulk(b"pong");
            ctx.reply.bulk(if args.len() == 2 { args.get(1) } else { b"" });
        }
        1 => ctx.reply.pong(),
        2 => ctx.reply.bulk(args.get(1)),
        _ => return Err(CommandError::arity(ctx.command.full_name)),
    }
    Ok(())
}

fn echo(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    match args.blob(1) {
        Some(blob) => ctx.reply.bulk_shared(blob),
        None => ctx.reply.bulk(args.get(1)),
    }
    Ok(())
}

fn select(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    ctx.session.db = lookup::database(ctx.state, args.get(1))?;
    ctx.reply.ok();
    Ok(())
}

fn quit(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.ok();
    ctx.session.flags.insert(SessionFlags::CLOSE_AFTER_REPLY);
    Ok(())
}

fn reset(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    transaction::discard(ctx.state, ctx.session);
    transaction::stop_monitoring(ctx.state, ctx.session);
    ctx.state.stop_tracking(ctx.session);
    ctx.state.unsubscribe_all(ctx.session);
    let session = &mut *ctx.session;
    session.db = 0;
    session.name = None;
    session.protocol = Protocol::Resp2;
    // A SKIP that came before is about this very reply.
    session.flags.remove(SessionFlags::REPLY_OFF | SessionFlags::NO_EVICT | SessionFlags::NO_TOUCH);
    ctx.state.log_out(session);
    ctx.reply.set_protocol(Protocol::Resp2);
    ctx.reply.status("RESET");
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::session::SessionFlags;
    use crate::engine::Engine;
    use crate::resp::decode::Value;

    #[test]
    fn ping_and_echo_answer() {
        let mut engine = Engine::for_console();
        assert_eq!(engine.run(&["PING"]), "PONG");
        assert_eq!(engine.run(&["ping", "a b"]), "\"a b\"");
        assert_eq!(engine.run(&["PING", "a", "b"]), "(error) ERR wrong number of arguments for 'ping' command");
        assert_eq!(engine.run(&["ECHO", ""]), "\"\"");
    }

    #[test]
    fn select_takes_numbers_of_databases() {
        let mut engine = Engine::for_console();
        assert_eq!(engine.run(&["SELECT", "15"]), "OK");
        for number in ["16", "-1"] {
            assert_eq!(engine.run(&["SELECT", number]), "(error) ERR DB index is out of range");
        }
        for number in ["a", "", "1.5", "99999999999999999999"] {
            assert_eq!(engine.run(&["SELECT", number]), "(error) ERR value is not an integer or out of range");
        }
        for number in ["2147483648", "-2147483649"] {
            assert_eq!(
                engine.run(&["SELECT", number]),
                "(error) ERR value is out of range, value must between -2147483648 and 2147483647"
            );
        }
    }

    #[test]
    fn quit_closes_after_its_reply_whatever_follows() {
        let mut engine = Engine::for_console();
        let slot = engine.connect(0);
        engine.run_in(slot, &["MULTI"]);
        assert_eq!(engine.run_in(slot, &["QUIT", "now"]), "OK");
        assert!(engine.session(slot).flags.contains(SessionFlags::CLOSE_AFTER_REPLY));
    }

    #[test]
    fn reset_starts_over() {
        let mut engine = Engine::for_console();
        let slot = engine.connect(0);
        for line in [&["HELLO", "3", "SETNAME", "me"][..], &["SELECT", "2"], &["WATCH", "k"], &["MULTI"]] {
            engine.run_in(slot, line);
        }
        assert_eq!(engine.run_values(slot, &["RESET"]), [Value::Status(b"RESET".to_vec())]);
        let session = engine.session(slot);
        assert_eq!((session.db, session.watched, session.name.is_none()), (0, 0, true));
        assert_eq!(session.flags, SessionFlags::AUTHENTICATED);
        assert_eq!(engine.run_values(slot, &["CLIENT", "GETNAME"]), [Value::Null]);
        assert_eq!(engine.run_in(slot, &["EXEC"]), "(error) ERR EXEC without MULTI");
    }
}
