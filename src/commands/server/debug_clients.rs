//! The part of DEBUG that is about clients: how their reply buffers are accounted for, and who `maxmemory-clients` has the
//! choice of. Main thread.

#![forbid(unsafe_code)]

use super::debug::is_on;
use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER};
use crate::command::reply_buffer::ReplyBufferRules;
use crate::resp::args::Args;

/// `DEBUG REPLYBUFFER`.
pub(super) fn reply_buffer(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (what, value) = (args.get(2), args.get(3));
    let rules = &mut ctx.state.debug.reply_buffer;
    if what.eq_ignore_ascii_case(b"peak-reset-time") {
        rules.peak_reset_ms = if value.eq_ignore_ascii_case(b"never") {
            -1
        } else if value.eq_ignore_ascii_case(b"reset") {
            ReplyBufferRules::default().peak_reset_ms
        } else {
            parse_i64(value).ok_or(NOT_AN_INTEGER)?
        };
    } else if what.eq_ignore_ascii_case(b"resizing") {
        rules.fixed = !is_on(value);
    } else {
        ctx.reply.unknown_subcommand("debug", args.get(1));
        return Ok(());
    }
    ctx.reply.ok();
    Ok(())
}

/// `DEBUG CLIENT-EVICTION`.
pub(super) fn eviction(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    let memory = &ctx.state.client_memory;
    if !memory.is_on() {
        return Err(CommandError::fixed("maxmemory-clients is disabled."));
    }
    let classes: Vec<(u64, u64, usize)> = memory.classes().collect();
    let mut text = String::new();
    for (index, (first, bytes, clients)) in classes.iter().enumerate() {
        let range = match classes.get(index + 1) {
            Some((next, _, _)) => format!("{first:>10} - {:>10}", next - 1),
            None => format!("{first:>10}+            "),
        };
        text.push_str(&format!("bucket {range}: tot-mem: {bytes:>10}, clients: {clients}\n"));
    }
    ctx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::commands::transcript::replay_in;
    use crate::config::{Access, Config};
    use crate::engine::Engine;

    fn engine() -> Engine {
        Engine::for_console_with(Config { enable_debug_command: Access::Yes, ..Config::default() })
    }

    #[test]
    fn reply_buffers_follow_what_is_asked_for() {
        let mut engine = engine();
        replay_in(
            &mut engine,
            r#"
            > DEBUG REPLYBUFFER PEAK-RESET-TIME
            (error) ERR unknown subcommand or wrong number of arguments for 'REPLYBUFFER'. Try DEBUG HELP.
            > DEBUG REPLYBUFFER foo 1
            (error) ERR unknown subcommand or wrong number of arguments for 'REPLYBUFFER'. Try DEBUG HELP.
            > DEBUG REPLYBUFFER peak-reset-time x
            (error) ERR value is not an integer or out of range
            > DEBUG REPLYBUFFER peak-reset-time 100
            OK
            > DEBUG REPLYBUFFER resizing 0
            OK
            "#,
        );
        let rules = engine.state.debug.reply_buffer;
        assert_eq!((rules.peak_reset_ms, rules.fixed), (100, true));
        for (value, ms) in [("never", -1), ("RESET", 5000)] {
            assert_eq!(engine.run(&["DEBUG", "REPLYBUFFER", "PEAK-RESET-TIME", value]), "OK");
            assert_eq!(engine.state.debug.reply_buffer.peak_reset_ms, ms);
        }
        assert_eq!(engine.run(&["DEBUG", "REPLYBUFFER", "RESIZING", "1"]), "OK");
        assert!(!engine.state.debug.reply_buffer.fixed);
    }

    #[test]
    fn classes_of_clients_are_shown_where_they_are_kept() {
        let mut engine = engine();
        assert_eq!(engine.run(&["DEBUG", "CLIENT-EVICTION"]), "(error) ERR maxmemory-clients is disabled.");
        assert_eq!(engine.run(&["CONFIG", "SET", "maxmemory-clients", "1mb"]), "OK");
        assert!(engine.state.effects.take().account_clients);
        let other = engine.connect(3);
        assert!(engine.session(other).flags.is_plain());
        let text = engine.run(&["DEBUG", "CLIENT-EVICTION"]);
        let lines: Vec<&str> = text.split("\\n").collect();
        assert!(
            lines[0].contains("bucket          0 -      32767: tot-mem:      ") && lines[0].ends_with(", clients: 1")
        );
        assert_eq!(lines[18], "bucket 4294967296+            : tot-mem:          0, clients: 0");
    }
}
