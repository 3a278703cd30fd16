//! CLIENT REPLY, NO-EVICT, NO-TOUCH: how a connection is treated. Main thread.

#![forbid(unsafe_code)]

use crate::command::context::Context;
use crate::command::error::{CommandError, SYNTAX};
use crate::command::session::SessionFlags;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags};
use crate::resp::args::Args;

const ON_OFF: &[ArgSpec] = &[ArgSpec::new("enabled", ArgKind::OneOf)
    .children(&[ArgSpec::pure_token("on", "ON"), ArgSpec::pure_token("off", "OFF")])];

/// `CLIENT REPLY`.
pub(super) static CLIENT_REPLY: Command = Command {
    name: "reply",
    full_name: "client|reply",
    summary: "Switches replies to this connection off and on, or leaves one out.",
    since: "3.2.0",
    group: "connection",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE),
    categories: Categories::SLOW.union(Categories::CONNECTION),
    args: &[ArgSpec::new("action", ArgKind::OneOf).children(&[
        ArgSpec::pure_token("on", "ON"),
        ArgSpec::pure_token("off", "OFF"),
        ArgSpec::pure_token("skip", "SKIP"),
    ])],
    handler: Some(reply),
    ..Command::BLANK
};

/// `CLIENT NO-EVICT`.
pub(super) static CLIENT_NO_EVICT: Command = Command {
    name: "no-evict",
    full_name: "client|no-evict",
    summary: "Spares this connection when connections are closed to free memory.",
    since: "7.0.0",
    group: "connection",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE),
    categories: Categories::ADMIN.union(Categories::SLOW).union(Categories::DANGEROUS).union(Categories::CONNECTION),
    args: ON_OFF,
    handler: Some(no_evict),
    ..Command::BLANK
};

/// `CLIENT NO-TOUCH`.
pub(super) static CLIENT_NO_TOUCH: Command = Command {
    name: "no-touch",
    full_name: "client|no-touch",
    summary: "Makes reading keys on this connection leave their age as it is.",
    since: "7.2.0",
    group: "connection",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE),
    categories: Categories::SLOW.union(Categories::CONNECTION),
    args: ON_OFF,
    handler: Some(no_touch),
    ..Command::BLANK
};

/// OFF and SKIP answer nothing themselves.
fn reply(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let flags = &mut ctx.session.flags;
    let is = |word: &str| args.get(2).eq_ignore_ascii_case(word.as_bytes());
    if is("on") {
        flags.remove(SessionFlags::REPLY_OFF | SessionFlags::REPLY_SKIP);
        ctx.reply.ok();
    } else if is("off") {
        flags.insert(SessionFlags::REPLY_OFF);
    } else if is("skip") {
        if !flags.contains(SessionFlags::REPLY_OFF) {
            flags.insert(SessionFlags::REPLY_SKIP_NEXT);
        }
    } else {
        return Err(SYNTAX);
    }
    Ok(())
}

fn no_evict(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    switch(ctx, args, SessionFlags::NO_EVICT)
}

fn no_touch(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    switch(ctx, args, SessionFlags::NO_TOUCH)
}

fn switch(ctx: &mut Context<'_>, args: Args<'_>, flag: SessionFlags) -> Result<(), CommandError> {
    let on = on_or_off(args.get(2))?;
    ctx.session.flags.set(flag, on);
    ctx.reply.ok();
    Ok(())
}

/// `on` or `off`, in any case.
pub(super) fn on_or_off(word: &[u8]) -> Result<bool, CommandError> {
    match word {
        on if on.eq_ignore_ascii_case(b"on") => Ok(true),
        off if off.eq_ignore_ascii_case(b"off") => Ok(false),
        _ => Err(SYNTAX),
    }
}

#[cfg(test)]
mod tests {
    use crate::command::session::SessionFlags;
    use crate::engine::Engine;

    #[test]
    fn replies_are_left_out() {
        let mut engine = Engine::for_console();
        let mut run = |line: &[&str]| engine.run(line);
        assert_eq!(run(&["CLIENT", "REPLY", "SKIP"]), "");
        assert_eq!(run(&["GET"]), "");
        assert_eq!(run(&["PING"]), "PONG");
        assert_eq!(run(&["CLIENT", "REPLY", "off"]), "");
        assert_eq!(run(&["CLIENT", "REPLY", "SKIP"]), "");
        assert_eq!(run(&["SET", "k", "v"]), "");
        assert_eq!(run(&["CLIENT", "REPLY", "FOO"]), "");
        assert_eq!(run(&["CLIENT", "REPLY", "on"]), "OK");
        assert_eq!(run(&["GET", "k"]), "\"v\"");
        assert_eq!(run(&["CLIENT", "REPLY", "FOO"]), "(error) ERR syntax error");
        run(&["CLIENT", "REPLY", "OFF"]);
        assert_eq!(run(&["RESET"]), "RESET");
        assert_eq!(run(&["PING"]), "PONG");
    }

    #[test]
    fn switches_take_on_and_off() {
        let mut engine = Engine::for_console();
        let slot = engine.connect(0);
        for (name, flag) in [("NO-EVICT", SessionFlags::NO_EVICT), ("NO-TOUCH", SessionFlags::NO_TOUCH)] {
            assert_eq!(engine.run_in(slot, &["CLIENT", name, "ON"]), "OK");
            assert!(engine.session(slot).flags.contains(flag));
            // Only what leaves no trace at keys has to pass a gate for it.
            assert_eq!(engine.session(slot).flags.is_plain(), flag == SessionFlags::NO_EVICT);
            assert_eq!(engine.run_in(slot, &["CLIENT", name, "x"]), "(error) ERR syntax error");
            assert_eq!(engine.run_in(slot, &["CLIENT", name, "off"]), "OK");
            assert!(!engine.session(slot).flags.contains(flag));
        }
    }
}
