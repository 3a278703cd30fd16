//! The part of DEBUG that shows how values are laid out, and has long elements of lists treated as longer ones. Main
//! thread.

#![forbid(unsafe_code)]

use std::io::{self, Write};

use super::debug::is_on;
use crate::base::quoting::quoted;
use crate::command::context::Context;
use crate::command::error::{CommandError, NO_SUCH_KEY};
use crate::config::value::memory;
use crate::encoding::entry::Stored;
use crate::encoding::listpack::{Element, Listpack};
use crate::encoding::packed::Packed;
use crate::encoding::quicklist::Quicklist;
use crate::resp::args::Args;
use crate::types::list::List;
use crate::types::set::Set;
use crate::types::sorted_set::SortedSet;
use crate::types::{Collection, KeyEntry, Value};

/// The most that `QUICKLIST-PACKED-THRESHOLD` may be, in bytes: 4 GiB less 1 MiB.
const THRESHOLD_MAX: u64 = (1 << 32) - (1 << 20);

const BAD_THRESHOLD: CommandError =
    CommandError::fixed("argument must be a memory value bigger than 1 and smaller than 4gb");
const NOT_A_PACK: CommandError = CommandError::fixed("Not a listpack encoded object.");
const NOT_A_STRING: CommandError = CommandError::fixed("Not an sds encoded string.");
const NOT_NODES: CommandError = CommandError::fixed("Not a quicklist encoded object.");

/// `DEBUG QUICKLIST-PACKED-THRESHOLD`.
pub(super) fn quicklist_packed_threshold(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let bytes = memory(args.get(2)).filter(|&bytes| bytes <= THRESHOLD_MAX).ok_or(BAD_THRESHOLD)?;
    ctx.state.debug.list_large_min = u32::try_from(bytes).map_err(|_| BAD_THRESHOLD)?;
    ctx.reply.ok();
    Ok(())
}

/// The value at the key that is the argument.
fn entry<'c>(ctx: &'c mut Context<'_>, args: Args<'_>) -> Result<&'c KeyEntry, CommandError> {
    let (key, now_ms) = (args.get(2), ctx.now_ms());
    let hash = ctx.db().hash(key);
    ctx.db().peek(key, hash, now_ms).ok_or(NO_SUCH_KEY)
}

/// `DEBUG LISTPACK`.
pub(super) fn listpack(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let text = match entry(ctx, args)?.collection() {
        Some(
            Collection::List(List::Pack(pack))
            | Collection::Set(Set::Pack(pack))
            | Collection::SortedSet(SortedSet::Pack(pack)),
        ) => pack_text(pack),
        Some(Collection::Hash(hash)) => pack_text(hash.pack().ok_or(NOT_A_PACK)?),
        _ => return Err(NOT_A_PACK),
    };
    print(&text);
    ctx.reply.status("Listpack structure printed on stdout");
    Ok(())
}

/// `DEBUG QUICKLIST`.
pub(super) fn quicklist(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let full = args.len() > 3 && is_on(args.get(3));
    let text = match entry(ctx, args)?.as_list() {
        Ok(List::Quick(quick)) => nodes_text(quick, full),
        _ => return Err(NOT_NODES),
    };
    print(&text);
    ctx.reply.status("Quicklist structure printed on stdout");
    Ok(())
}

/// `DEBUG SDSLEN`. A short string shares the allocation of its key, and takes none itself.
pub(super) fn sdslen(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let entry = entry(ctx, args)?;
    let (len, room, bytes) = match entry.value() {
        Stored::Inline(bytes) => (bytes.len(), entry.room(), 0),
        Stored::Whole(Value::String(string)) => (string.len(), 0, string.memory_usage()),
        _ => return Err(NOT_A_STRING),
    };
    let (key, key_bytes) = (entry.key().len(), entry.allocation_bytes());
    let text = format!(
        "key_sds_len:{key}, key_sds_avail:0, key_zmalloc: {key_bytes}, \
         val_sds_len:{len}, val_sds_avail:{room}, val_zmalloc: {bytes}"
    );
    ctx.reply.status(&text);
    Ok(())
}

/// Standard output may be closed: nobody reads it then.
fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

fn pack_text(pack: Packed<'_>) -> String {
    let mut text = format!("listpack: {} bytes, {} elements\n", pack.bytes_len(), pack.len());
    for (index, element) in pack.iter().enumerate() {
        let kind = if matches!(element, Element::Int(_)) { "integer" } else { "text" };
        text.push_str(&format!("  {index}: {kind} {}\n", quoted(&element.to_cow())));
    }
    text
}

fn nodes_text(quick: &Quicklist, full: bool) -> String {
    let limits = quick.limits();
    let mut text = format!(
        "quicklist: {} elements, {} nodes, fill {}, compressed beyond {}\n",
        quick.len(),
        quick.nodes_len(),
        limits.fill,
        limits.depth
    );
    let mut number = 0;
    quick.each_node(|bytes, plain| {
        text.push_str(&format!("  node {number}: {} bytes, {}\n", bytes.len(), if plain { "plain" } else { "packed" }));
        number += 1;
        if full
            && !plain
            && let Some(pack) = Listpack::from_bytes(bytes.to_vec())
        {
            text.push_str(&pack_text(pack.read()));
        }
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Access, Config};
    use crate::engine::Engine;

    fn engine() -> Engine {
        Engine::for_console_with(Config { enable_debug_command: Access::Yes, ..Config::default() })
    }

    #[test]
    fn elements_from_a_size_on_have_nodes_of_their_own() {
        let mut engine = engine();
        engine.run(&["CONFIG", "SET", "list-max-listpack-size", "4"]);
        let mut nodes = |threshold: &str| {
            assert_eq!(engine.run(&["DEBUG", "QUICKLIST-PACKED-THRESHOLD", threshold]), "OK");
            engine.run(&["DEL", "l"]);
            engine.run(&["RPUSH", "l", "a", "b", "c", "d"]);
            engine.run(&["RPUSH", "l", "long", "e", "long"]);
            let shown = engine.run(&["DEBUG", "OBJECT", "l"]);
            shown.split_once("ql_nodes:").map(|(_, rest)| rest.split(' ').next().unwrap_or_default().to_owned())
        };
        assert_eq!(nodes("0").as_deref(), Some("2"));
        assert_eq!(nodes("4b").as_deref(), Some("4"));
        assert_eq!(nodes("5b").as_deref(), Some("2"));
        for bad in ["x", "-1", "5gb", "4293918721"] {
            let refusal = "(error) ERR argument must be a memory value bigger than 1 and smaller than 4gb";
            assert_eq!(engine.run(&["DEBUG", "QUICKLIST-PACKED-THRESHOLD", bad]), refusal);
        }
        // One that is there goes by what is set when elements are added.
        engine.run(&["DEBUG", "QUICKLIST-PACKED-THRESHOLD", "1"]);
        engine.run(&["RPUSH", "l", "f"]);
        assert!(engine.run(&["DEBUG", "OBJECT", "l"]).contains("ql_nodes:3 "));
    }

    #[test]
    fn layouts_are_shown() {
        let mut pack = Listpack::new();
        pack.push_back(b"12");
        pack.push_back(b"a b");
        assert_eq!(pack_text(pack.read()), "listpack: 14 bytes, 2 elements\n  0: integer \"12\"\n  1: text \"a b\"\n");
        let mut quick =
            Quicklist::from_pack(pack, crate::encoding::quicklist::Limits { fill: -2, depth: 0, large_min: 2 });
        quick.push_back(b"long");
        let brief = "quicklist: 3 elements, 2 nodes, fill -2, compressed beyond 0\n  node 0: 14 bytes, packed\n";
        assert_eq!(nodes_text(&quick, false), format!("{brief}  node 1: 4 bytes, plain\n"));
        assert!(nodes_text(&quick, true).contains("  0: integer \"12\"\n"));
    }

    #[test]
    fn strings_are_measured() {
        let mut engine = engine();
        let mut shown = |value: &str| {
            engine.run(&["SET", "key", value]);
            engine.run(&["DEBUG", "SDSLEN", "key"])
        };
        // Eight bytes in front of the key, and classes of sixteen.
        let beside = |len: usize, room: usize, bytes: usize| {
            format!(
                "key_sds_len:3, key_sds_avail:0, key_zmalloc: {bytes}, val_sds_len:{len}, val_sds_avail:{room}, val_zmalloc: 0"
            )
        };
        assert_eq!(shown("four"), beside(4, 1, 16));
        assert_eq!(shown(&"x".repeat(30)), beside(30, 7, 48));
        let long = shown(&"x".repeat(5000));
        assert!(long.starts_with("key_sds_len:3, ") && long.contains(", val_sds_len:5000, "), "{long}");
        assert_eq!(shown("5"), "(error) ERR Not an sds encoded string.");
        assert_eq!(engine.run(&["DEBUG", "SDSLEN", "missing"]), "(error) ERR no such key");
    }

    #[test]
    fn only_what_has_a_layout_is_shown() {
        let mut engine = engine();
        engine.run(&["SET", "s", "1"]);
        engine.run(&["RPUSH", "l", "a"]);
        assert_eq!(engine.run(&["DEBUG", "LISTPACK", "l"]), "Listpack structure printed on stdout");
        assert_eq!(engine.run(&["DEBUG", "LISTPACK", "s"]), "(error) ERR Not a listpack encoded object.");
        assert_eq!(engine.run(&["DEBUG", "QUICKLIST", "l"]), "(error) ERR Not a quicklist encoded object.");
        assert_eq!(engine.run(&["DEBUG", "LISTPACK", "missing"]), "(error) ERR no such key");
        engine.run(&["CONFIG", "SET", "list-max-listpack-size", "1"]);
        engine.run(&["RPUSH", "l", "b"]);
        assert_eq!(engine.run(&["DEBUG", "QUICKLIST", "l", "1"]), "Quicklist structure printed on stdout");
    }
}
