//! `ACL LOG`.

#![forbid(unsafe_code)]

use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER};
use crate::commands::server::acl::too_many;
use crate::resp::args::Args;

/// Entries shown unasked.
const SHOWN: i64 = 10;

/// `ACL LOG [count | RESET]`
pub(super) fn log(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let count = match args.len() {
        2 => SHOWN,
        3 if args.get(2).eq_ignore_ascii_case(b"reset") => {
            ctx.state.acl_log.clear();
            ctx.reply.ok();
            return Ok(());
        }
        3 => parse_i64(args.get(2)).ok_or(NOT_AN_INTEGER)?,
        _ => return Err(too_many(args)),
    };
    let shown = ctx.state.acl_log.iter().len().min(count.max(0) as usize);
    let now_ms = ctx.state.clock.unix_ms();
    let reply = &mut *ctx.reply;
    reply.array(shown);
    for entry in ctx.state.acl_log.iter().take(shown) {
        reply.map(10);
        reply.bulk(b"count");
        reply.integer(entry.count as i64);
        for (name, text) in [
            ("reason", entry.incident.reason.name().as_bytes()),
            ("context", if entry.incident.in_multi { b"multi" } else { b"toplevel" }),
            ("object", &entry.incident.object),
            ("username", &entry.incident.username),
        ] {
            reply.bulk(name.as_bytes());
            reply.bulk(text);
        }
        reply.bulk(b"age-seconds");
        reply.double((now_ms - entry.created_ms).max(0) as f64 / 1000.0);
        reply.bulk(b"client-info");
        reply.bulk(&entry.client);
        for (name, number) in [
            ("entry-id", entry.id as i64),
            ("timestamp-created", entry.created_ms),
            ("timestamp-last-updated", entry.updated_ms),
        ] {
            reply.bulk(name.as_bytes());
            reply.integer(number);
        }
    }
    Ok(())
}
