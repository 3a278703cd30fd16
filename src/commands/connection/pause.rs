//! CLIENT PAUSE, UNPAUSE and UNBLOCK: making others wait, and ending that. Main thread.

#![forbid(unsafe_code)]

use crate::base::integer::parse_i64;
use crate::blocking::Pause;
use crate::command::clients::Unblock;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags};
use crate::commands::waiting::parse_timeout_ms;
use crate::resp::args::Args;

const ADMIN: Flags = Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE);
const CATEGORIES: Categories =
    Categories::ADMIN.union(Categories::SLOW).union(Categories::DANGEROUS).union(Categories::CONNECTION);

/// `CLIENT PAUSE`.
pub(super) static CLIENT_PAUSE: Command = Command {
    name: "pause",
    full_name: "client|pause",
    summary: "Makes the commands of all clients wait for a while, or only those that write.",
    since: "3.0.0",
    group: "connection",
    complexity: "O(1)",
    arity: -3,
    flags: ADMIN,
    categories: CATEGORIES,
    history: &[("6.2.0", "The mode `WRITE`, and the argument that chooses it.")],
    args: &[
        ArgSpec::new("timeout", ArgKind::Integer),
        ArgSpec::new("mode", ArgKind::OneOf)
            .since("6.2.0")
            .optional()
            .children(&[ArgSpec::pure_token("write", "WRITE"), ArgSpec::pure_token("all", "ALL")]),
    ],
    handler: Some(pause),
    ..Command::BLANK
};

/// `CLIENT UNPAUSE`.
pub(super) static CLIENT_UNPAUSE: Command = Command {
    name: "unpause",
    full_name: "client|unpause",
    summary: "Ends a pause: commands that waited are executed.",
    since: "6.2.0",
    group: "connection",
    complexity: "O(N)",
    arity: 2,
    flags: ADMIN,
    categories: CATEGORIES,
    handler: Some(unpause),
    ..Command::BLANK
};

/// `CLIENT UNBLOCK`.
pub(super) static CLIENT_UNBLOCK: Command = Command {
    name: "unblock",
    full_name: "client|unblock",
    summary: "Ends the waiting of a blocked client, as if its time were over or with an error.",
    since: "5.0.0",
    group: "connection",
    complexity: "O(logN)",
    arity: -3,
    flags: ADMIN,
    categories: CATEGORIES,
    args: &[
        ArgSpec::new("client-id", ArgKind::Integer),
        ArgSpec::new("unblock-type", ArgKind::OneOf)
            .optional()
            .children(&[ArgSpec::pure_token("timeout", "TIMEOUT"), ArgSpec::pure_token("error", "ERROR")]),
    ],
    handler: Some(unblock),
    ..Command::BLANK
};

fn pause(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let all = match args.len() {
        3 => true,
        4 if args.get(3).eq_ignore_ascii_case(b"all") => true,
        4 if args.get(3).eq_ignore_ascii_case(b"write") => false,
        4 => return Err(CommandError::fixed("CLIENT PAUSE mode must be WRITE or ALL")),
        _ => return Err(wrong_usage(args)),
    };
    let timeout_ms = parse_timeout_ms(args.get(2), ctx.now_ms())?;
    ctx.state.begin_pause(Pause { end_ms: ctx.now_ms() + timeout_ms, all });
    ctx.reply.ok();
    Ok(())
}

fn unpause(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.state.end_pause();
    ctx.reply.ok();
    Ok(())
}

fn unblock(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let how = match args.len() {
        3 => Unblock::Timeout,
        4 if args.get(3).eq_ignore_ascii_case(b"timeout") => Unblock::Timeout,
        4 if args.get(3).eq_ignore_ascii_case(b"error") => Unblock::Error,
        4 => return Err(CommandError::fixed("CLIENT UNBLOCK reason should be TIMEOUT or ERROR")),
        _ => return Err(wrong_usage(args)),
    };
    let id = parse_i64(args.get(2)).ok_or(NOT_AN_INTEGER)?;
    let slot = u64::try_from(id).ok().and_then(|id| ctx.state.sessions.slot_of(id));
    let unblocked = slot.is_some_and(|slot| ctx.state.unblock_early(slot, how));
    ctx.reply.integer(i64::from(unblocked));
    Ok(())
}

/// More arguments than the subcommand knows, where its arity allows any number.
pub(super) fn wrong_usage(args: Args<'_>) -> CommandError {
    CommandError::quoting(
        "unknown subcommand or wrong number of arguments for '",
        args.get(1),
        128,
        "'. Try CLIENT HELP.",
    )
}

#[cfg(test)]
mod tests {
    use crate::engine::Engine;

    #[test]
    fn a_pause_postpones_and_ends() {
        let mut engine = Engine::for_console();
        let slots = [0, 1, 2].map(|slot| engine.connect(slot));
        engine.run_in(slots[2], &["SET", "e", "1", "PX", "10"]);
        assert_eq!(engine.run_in(slots[0], &["CLIENT", "PAUSE", "100", "WRITE"]), "OK");
        assert_eq!(engine.run_in(slots[1], &["GET", "k"]), "(nil)");
        assert_eq!(engine.run_in(slots[1], &["SET", "k", "v"]), "");
        assert_eq!(engine.run_in(slots[2], &["FLUSHALL"]), "");
        assert!(engine.session(slots[1]).is_blocked());
        engine.advance_ms(50);
        engine.run_timers();
        engine.cron();
        assert_eq!(engine.run_in(slots[0], &["GET", "e"]), "(nil)");
        assert_eq!(engine.run_in(slots[0], &["DBSIZE"]), "(integer) 1");
        assert!(engine.state.effects.take().unblocked.is_empty());
        engine.advance_ms(50);
        engine.run_timers();
        assert_eq!(engine.state.effects.take().unblocked, [slots[1], slots[2]]);
        assert!(!engine.session(slots[1]).is_blocked());
        assert_eq!(engine.run_in(slots[0], &["GET", "e"]), "(nil)");
        assert_eq!(engine.run_in(slots[0], &["DBSIZE"]), "(integer) 0");
        assert_eq!(engine.run_in(slots[1], &["SET", "k", "v"]), "OK");
        assert_eq!(engine.next_deadline_us(), i64::MAX);
    }

    #[test]
    fn a_transaction_that_writes_waits_too() {
        let mut engine = Engine::for_console();
        let slots = [0, 1].map(|slot| engine.connect(slot));
        for line in [&["MULTI"][..], &["SET", "k", "v"]] {
            engine.run_in(slots[1], line);
        }
        engine.run_in(slots[0], &["CLIENT", "PAUSE", "100", "write"]);
        assert_eq!(engine.run_in(slots[1], &["EXEC"]), "");
        assert_eq!(engine.run_in(slots[0], &["CLIENT", "UNBLOCK", "2"]), "(integer) 0");
        assert_eq!(engine.run_in(slots[0], &["CLIENT", "UNPAUSE"]), "OK");
        assert_eq!(engine.state.effects.take().unblocked, [slots[1]]);
        assert_eq!(engine.run_in(slots[1], &["EXEC"]), "1) OK");
    }

    #[test]
    fn arguments_are_checked() {
        let mut engine = Engine::for_console();
        for (line, error) in [
            (&["PAUSE", "x"][..], "timeout is not an integer or out of range"),
            (&["PAUSE", "-1"], "timeout is negative"),
            (&["PAUSE", "9223372036854775807"], "timeout is out of range"),
            (&["PAUSE", "1", "x"], "CLIENT PAUSE mode must be WRITE or ALL"),
            (
                &["PAUSE", "1", "ALL", "x"],
                "unknown subcommand or wrong number of arguments for 'PAUSE'. Try CLIENT HELP.",
            ),
            (&["UNBLOCK", "x"], "value is not an integer or out of range"),
            (&["UNBLOCK", "1", "x"], "CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        ] {
            assert_eq!(engine.run(&[&["CLIENT"], line].concat()), format!("(error) ERR {error}"));
        }
        assert_eq!(engine.run(&["CLIENT", "UNBLOCK", "77"]), "(integer) 0");
        assert_eq!(engine.run(&["CLIENT", "UNBLOCK", "-1"]), "(integer) 0");
    }
}
