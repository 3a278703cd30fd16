//! MONITOR. What a monitor is shown stands in the engine, which knows what has run. Main thread.

#![forbid(unsafe_code)]

use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::session::SessionFlags;
use crate::command::spec::{Categories, Command, Flags};
use crate::resp::args::Args;

/// The commands of this file.
pub static COMMANDS: &[&Command] = &[&MONITOR];

/// `MONITOR`.
static MONITOR: Command = Command {
    name: "monitor",
    full_name: "monitor",
    summary: "Shows every command that the server executes, as it comes.",
    since: "1.0.0",
    group: "server",
    complexity: "",
    arity: 1,
    flags: Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE),
    categories: Categories::ADMIN.union(Categories::SLOW).union(Categories::DANGEROUS),
    handler: Some(monitor),
    ..Command::BLANK
};

const NOT_HERE: CommandError = CommandError::fixed("MONITOR isn't allowed for DENY BLOCKING client");

/// A second MONITOR is not answered, as in Redis.
fn monitor(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    if ctx.session.denies_blocking() {
        return Err(NOT_HERE);
    }
    if ctx.session.flags.contains(SessionFlags::MONITOR) {
        return Ok(());
    }
    ctx.session.flags.insert(SessionFlags::MONITOR);
    ctx.state.monitors.push(ctx.session.slot);
    ctx.state.plan_gates();
    ctx.reply.ok();
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::engine::Engine;

    #[test]
    fn monitor_is_answered_once_and_not_in_transactions() {
        let mut engine = Engine::for_console();
        assert_eq!(engine.run(&["MULTI"]), "OK");
        assert_eq!(engine.run(&["MONITOR"]), "QUEUED");
        assert_eq!(engine.run(&["EXEC"]), "1) (error) ERR MONITOR isn't allowed for DENY BLOCKING client");
        assert_eq!(engine.run(&["MONITOR"]), "OK");
        assert_eq!(engine.run(&["MONITOR"]), "");
        assert_eq!(engine.state.monitors.len(), 1);
    }
}
