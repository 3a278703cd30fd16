//! DEBUG: what tests of a server need and nobody else should have. Only whom `enable-debug-command` lets may use it: the
//! gate before commands asks. Main thread.

#![forbid(unsafe_code)]

use std::alloc::{Layout, handle_alloc_error};
use std::time::Duration;

use super::digest::Digest;
use super::{config, debug_clients as clients, debug_values as values};
use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, NO_SUCH_KEY, NOT_AN_INTEGER};
use crate::command::spec::{Categories, Command, Flags};
use crate::commands::generic::{dump, object};
use crate::config::KeyspaceEvents;
use crate::config::rewrite::Extent;
use crate::keyspace::SetExpire;
use crate::resp::args::Args;
use crate::resp::reply::Protocol;
use crate::sys::{Errno, process, random, time};
use crate::types::NewValue;
use crate::types::list::{List, ListRef};

/// `DEBUG`.
pub(super) static DEBUG: Command = Command {
    name: "debug",
    full_name: "debug",
    summary: "Holds what tests of the server need.",
    since: "1.0.0",
    group: "server",
    complexity: "It depends on the subcommand.",
    arity: -2,
    flags: Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE).union(Flags::GUARDED),
    categories: Categories::ADMIN.union(Categories::SLOW).union(Categories::DANGEROUS),
    handler: Some(debug),
    ..Command::BLANK
};

type Subcommand = fn(&mut Context<'_>, Args<'_>) -> Result<(), CommandError>;

/// Name, least and greatest number of arguments behind it, and what runs it.
const SUBCOMMANDS: &[(&str, usize, usize, Subcommand)] = &[
    ("ASSERT", 0, usize::MAX, assert),
    ("CHANGE-REPL-ID", 0, 0, change_repl_id),
    ("CLIENT-EVICTION", 0, 0, clients::eviction),
    ("CONFIG-REWRITE-FORCE-ALL", 0, 0, config_rewrite_force_all),
    ("DICT-RESIZING", 1, 1, dict_resizing),
    ("DIGEST", 0, 0, digest),
    ("DIGEST-VALUE", 0, usize::MAX, digest_value),
    ("ERROR", 1, 1, error),
    ("HELP", 0, 0, help),
    ("HTSTATS", 1, 2, htstats),
    ("HTSTATS-KEY", 1, 2, htstats_key),
    ("LISTPACK", 1, 1, values::listpack),
    ("LOG", 1, 1, log),
    ("OBJECT", 1, 1, object),
    ("OOM", 0, usize::MAX, oom),
    ("PANIC", 0, usize::MAX, panic),
    ("PAUSE-CRON", 1, 1, pause_cron),
    ("POPULATE", 1, 3, populate),
    ("PROTOCOL", 1, 1, protocol),
    ("QUICKLIST", 1, 2, values::quicklist),
    ("QUICKLIST-PACKED-THRESHOLD", 1, 1, values::quicklist_packed_threshold),
    ("REPLYBUFFER", 2, 2, clients::reply_buffer),
    ("SDSLEN", 1, 1, values::sdslen),
    ("SEGFAULT", 0, usize::MAX, segfault),
    ("SET-ACTIVE-EXPIRE", 1, 1, set_active_expire),
    ("SET-SKIP-CHECKSUM-VALIDATION", 1, 1, set_skip_checksum_validation),
    ("SLEEP", 1, 1, sleep),
];

const HELP: &[&str] = &[
    "ASSERT",
    "    Crash because an assumption does not hold.",
    "CHANGE-REPL-ID",
    "    Give this server another replication ID.",
    "CLIENT-EVICTION",
    "    Tell how many clients of which size maxmemory-clients may close.",
    "CONFIG-REWRITE-FORCE-ALL",
    "    Write all parameters into the configuration file, defaults too.",
    "DICT-RESIZING <0|1>",
    "    Have the cron leave the tables of databases as they are, or resize them as usual.",
    "DIGEST",
    "    Answer a digest of all data: equal data has equal digests.",
    "DIGEST-VALUE <key> [<key> ...]",
    "    Answer a digest of the value at each key.",
    "ERROR <text>",
    "    Answer <text> as an error.",
    "HTSTATS <db> [FULL]",
    "    Describe the hash tables of a database.",
    "HTSTATS-KEY <key> [FULL]",
    "    Describe the hash table that a value is kept in.",
    "LISTPACK <key>",
    "    Print the pack that a small value is kept in on the server's standard output.",
    "LOG <text>",
    "    Write a line to the log.",
    "OBJECT <key>",
    "    Tell how a value is kept.",
    "OOM",
    "    Crash because there is no memory.",
    "PANIC",
    "    Crash as a defect would make it.",
    "PAUSE-CRON <0|1>",
    "    Stop what is done from time to time, or go on.",
    "POPULATE <count> [<prefix> [<size>]]",
    "    Make <count> keys, `<prefix>:0` and so on (`key` without a prefix), where they are missing; values have <size>",
    "    bytes.",
    "PROTOCOL <type>",
    "    Answer an example of a type: string, integer, double, bignum, null, array, set, map, attrib, push, verbatim,",
    "    true, false.",
    "QUICKLIST <key> [<0|1>]",
    "    Print the nodes of a long list on the server's standard output, with their elements if asked for.",
    "QUICKLIST-PACKED-THRESHOLD <size>",
    "    Have elements of lists from so many bytes on kept in nodes of their own; 0: as usual.",
    "REPLYBUFFER PEAK-RESET-TIME <NEVER|RESET|milliseconds>",
    "    Have the largest replies of a client remembered for that long, for ever, or for the usual time.",
    "REPLYBUFFER RESIZING <0|1>",
    "    Leave the reply buffers of clients as large as they are, or have them follow the replies as usual.",
    "SDSLEN <key>",
    "    Tell the bytes of a key and its string, what room is behind each, and what their allocations take.",
    "SEGFAULT",
    "    Crash by writing where nothing may be written.",
    "SET-ACTIVE-EXPIRE <0|1>",
    "    Leave expired keys until somebody comes upon them, or remove them as usual.",
    "SET-SKIP-CHECKSUM-VALIDATION <0|1>",
    "    Have RESTORE take payloads whatever their checksum is, or check it as usual.",
    "SLEEP <seconds>",
    "    Do nothing, for anybody, for that long; fractions count.",
];

/// Not meant to be the ratio that it is near to.
#[allow(clippy::approx_constant, reason = "the text of this number is what clients expect")]
const DOUBLE_EXAMPLE: f64 = 3.141;

const NOT_POSITIVE: CommandError = CommandError::fixed("value is out of range, must be positive");
const NO_SUCH_TYPE: CommandError = CommandError::fixed(
    "Wrong protocol type name. Please use one of the following: \
     string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
);

fn debug(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (name, more) = (args.get(1), args.len() - 2);
    let takes = |&&(known, least, most, _): &&(&str, usize, usize, Subcommand)| {
        name.eq_ignore_ascii_case(known.as_bytes()) && (least..=most).contains(&more)
    };
    match SUBCOMMANDS.iter().find(takes) {
        Some((_, _, _, run)) => run(ctx, args),
        None => {
            ctx.reply.unknown_subcommand("debug", name);
            Ok(())
        }
    }
}

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.help("debug", HELP);
    Ok(())
}

/// What C's atoi makes of a switch: only a number other than 0 is on.
pub(super) fn is_on(word: &[u8]) -> bool {
    let digits = word.strip_prefix(b"-").unwrap_or(word);
    digits.iter().take_while(|byte| byte.is_ascii_digit()).any(|&digit| digit != b'0')
}

fn set_active_expire(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    ctx.state.debug.active_expire_off = !is_on(args.get(2));
    ctx.reply.ok();
    Ok(())
}

fn set_skip_checksum_validation(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    ctx.state.debug.checksum_skipped = is_on(args.get(2));
    ctx.reply.ok();
    Ok(())
}

fn dict_resizing(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    ctx.state.debug.resizing_off = !is_on(args.get(2));
    ctx.reply.ok();
    Ok(())
}

fn config_rewrite_force_all(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    let written = match ctx.state.facts.config_file.is_empty() {
        true => Err(Errno(libc::EFAULT)),
        false => config::rewrite_file(ctx.state, Extent::Everything).map_err(|error| error.errno),
    };
    written.map_err(|errno| CommandError::filled(format!("CONFIG-REWRITE-FORCE-ALL failed: {errno}")))?;
    ctx.reply.ok();
    Ok(())
}

fn pause_cron(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    ctx.state.debug.cron_paused = is_on(args.get(2));
    ctx.reply.ok();
    Ok(())
}

/// A text that is no number is no time.
fn sleep(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let seconds = std::str::from_utf8(args.get(2)).ok().and_then(|text| text.parse::<f64>().ok()).unwrap_or(0.0);
    time::sleep(Duration::try_from_secs_f64(seconds).unwrap_or_default());
    ctx.reply.ok();
    Ok(())
}

/// The whole text is the error, its code included. Redis counts no such error.
fn error(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.error_uncounted(args.get(2));
    Ok(())
}

fn log(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let line = format!("DEBUG LOG: {}", String::from_utf8_lossy(args.get(2)));
    ctx.state.effects.warnings.push(line);
    ctx.reply.ok();
    Ok(())
}

fn change_repl_id(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.state.effects.warnings.push("Changing replication IDs after receiving change-repl-id".into());
    ctx.state.facts.replication_id = random::hex(40);
    ctx.reply.ok();
    Ok(())
}

fn digest(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    let digest = Digest::of_keyspace(&ctx.state.keyspace);
    ctx.reply.status(digest.hex());
    Ok(())
}

fn digest_value(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let now_ms = ctx.now_ms();
    ctx.reply.array(args.len() - 2);
    for key in args.skip(2).iter() {
        let hash = ctx.db().hash(key);
        let digest = Digest::of_value(ctx.state.keyspace.db_mut(ctx.session.db).peek(key, hash, now_ms));
        ctx.reply.status(digest.hex());
    }
    Ok(())
}

fn object(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let key = args.get(2);
    let shares = object::shares_integers(ctx.state);
    let compress = ctx.state.config.rdbcompression;
    let hash = ctx.db().hash(key);
    let entry = ctx.state.keyspace.db(ctx.session.db).peek_stored(key, hash).ok_or(NO_SUCH_KEY)?;
    let (stamp, address) = (entry.lru(), entry.address());
    let text = format!(
        "Value at:{address:?} refcount:{} encoding:{} serializedlength:{} lru:{stamp} lru_seconds_idle:",
        object::references(entry, shares),
        entry.encoding(),
        dump::serialized_len(entry, compress),
    );
    let nodes = entry.as_list().map(nodes).unwrap_or_default();
    let idle_s = ctx.db().idle_s(stamp);
    ctx.reply.status(format!("{text}{idle_s}{nodes}"));
    Ok(())
}

/// What DEBUG OBJECT says of a long list beside the rest.
fn nodes(list: ListRef<'_>) -> String {
    let List::Quick(quick) = list else { return String::new() };
    let shape = quick.shape();
    let average = quick.len() as f64 / shape.nodes as f64;
    format!(
        " ql_nodes:{} ql_avg_node:{average:.2} ql_listpack_max:{} ql_compressed:{} ql_uncompressed_size:{}",
        shape.nodes,
        quick.limits().fill,
        u32::from(quick.limits().depth > 0),
        shape.raw_bytes,
    )
}

/// Keys that are there stay as they are.
fn populate(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let number = |index: usize| {
        let number = if index < args.len() { parse_i64(args.get(index)) } else { Some(0) };
        number.and_then(|number| usize::try_from(number).ok()).ok_or(NOT_POSITIVE)
    };
    let (count, size, now_ms) = (number(2)?, number(4)?, ctx.now_ms());
    let prefix = if args.len() > 3 { args.get(3) } else { b"key" };
    for index in 0..count {
        let key = [prefix, format!(":{index}").as_bytes()].concat();
        let hash = ctx.db().hash(&key);
        if ctx.db().exists(&key, hash, now_ms) {
            continue;
        }
        let mut value = format!("value:{index}").into_bytes();
        if size > 0 {
            value.resize(size, 0);
        }
        ctx.db().set(&key, hash, NewValue::bytes(&value), SetExpire::Clear, now_ms);
        ctx.announce(KeyspaceEvents::NEW, "new", &key);
        ctx.signal_modified(&key);
    }
    ctx.reply.ok();
    Ok(())
}

fn htstats(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let number = parse_i64(args.get(2)).ok_or(NOT_AN_INTEGER)?;
    let index = usize::try_from(number).ok().filter(|&index| index < ctx.state.keyspace.count());
    let index = index.ok_or(CommandError::fixed("Out of range database"))?;
    let full = args.len() > 3 && args.get(3).eq_ignore_ascii_case(b"full");
    let [keys, expires] = ctx.state.keyspace.db(index).bucket_lens();
    let text =
        format!("[Dictionary HT]\n{}[Expires HT]\n{}", describe_table(&keys, full), describe_table(&expires, full));
    ctx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// A table from how many of its buckets hold no item, one, and so on. One without buckets is passed over.
fn describe_table(lens: &[usize], full: bool) -> String {
    let size: usize = lens.iter().sum();
    if size == 0 {
        return String::new();
    }
    let elements: usize = lens.iter().enumerate().map(|(len, count)| len * count).sum();
    let mut text =
        format!("Hash table 0 stats (main hash table):\n table size: {size}\n number of elements: {elements}\n");
    if full {
        let used = size - lens[0];
        let average = elements as f64 / used.max(1) as f64;
        text.push_str(&format!(
            " different slots: {used}\n max chain length: {}\n avg chain length (counted): {average:.2}\n \
             avg chain length (computed): {average:.2}\n Chain length distribution:\n",
            lens.len() - 1
        ));
        for (len, count) in lens.iter().enumerate().filter(|(_, count)| **count > 0) {
            text.push_str(&format!("   {len}: {count} ({:.2}%)\n", *count as f64 * 100.0 / size as f64));
        }
    }
    text
}

/// No type that there is lies in a table of its own.
fn htstats_key(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (key, now_ms) = (args.get(2), ctx.now_ms());
    let hash = ctx.db().hash(key);
    ctx.db().peek(key, hash, now_ms).ok_or(NO_SUCH_KEY)?;
    Err(CommandError::fixed("The value stored at the specified key is not represented using an hash table"))
}

fn protocol(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let reply = &mut *ctx.reply;
    match &args.get(2).to_ascii_lowercase()[..] {
        b"string" => reply.bulk(b"Hello World"),
        b"integer" => reply.integer(12345),
        b"double" => reply.double(DOUBLE_EXAMPLE),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|number| reply.integer(number));
        }
        b"map" => {
            reply.map(3);
            for number in 0..3 {
                reply.integer(number);
                reply.boolean(number == 1);
            }
        }
        b"attrib" => {
            if reply.attribute(1) {
                reply.bulk(b"key-popularity");
                reply.array(2);
                reply.bulk(b"key:123");
                reply.integer(90);
            }
            reply.bulk(b"Some real reply following the attribute");
        }
        b"push" => {
            if reply.protocol() == Protocol::Resp2 {
                return Err(CommandError::fixed("RESP2 is not supported by this command"));
            }
            // What is pushed comes behind the reply of the command that it happened in.
            reply.bulk(b"Some real reply following the push reply");
            reply.push(2);
            reply.bulk(b"server-cpu-usage");
            reply.integer(42);
        }
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        b"verbatim" => reply.verbatim(b"txt", b"This is a verbatim\nstring"),
        b"bignum" => reply.big_number(b"1234567999999999999999999999999999999"),
        _ => return Err(NO_SUCH_TYPE),
    }
    Ok(())
}

fn segfault(_ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    process::write_to_forbidden_page();
    Ok(())
}

fn panic(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    panic!("Panic called at Unix time {}", ctx.state.clock.unix_s());
}

fn assert(_ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    assert!(args.len() == usize::MAX);
    Ok(())
}

fn oom(_ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    handle_alloc_error(Layout::new::<u64>());
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
    fn the_configuration_decides_who_may() {
        for (access, local, allowed) in [
            (Access::No, true, false),
            (Access::Yes, false, true),
            (Access::Local, false, false),
            (Access::Local, true, true),
        ] {
            let mut engine = Engine::for_console_with(Config { enable_debug_command: access, ..Config::default() });
            let slot = engine.connect(1);
            engine.session_mut(slot).net.addr = if local { "127.0.0.1:5".into() } else { "10.0.0.1:5".into() };
            let reply = engine.run_in(slot, &["DEBUG", "SLEEP", "0"]);
            assert_eq!(reply == "OK", allowed, "{access:?}: {reply}");
            engine.run_in(slot, &["MULTI"]);
            assert_eq!(engine.run_in(slot, &["DEBUG", "SLEEP", "0"]) == "QUEUED", allowed);
            assert_eq!(engine.run_in(slot, &["EXEC"]).contains("EXECABORT"), !allowed);
        }
    }

    #[test]
    fn digests_are_those_of_redis() {
        replay_in(
            &mut engine(),
            r#"
            > DEBUG DIGEST
            0000000000000000000000000000000000000000
            > SET a 1
            OK
            > DEBUG DIGEST
            943d800368fb9c0e951138f1bc0e313ac769d91f
            > DEBUG DIGEST-VALUE a missing
            1) b4fc66738120fba0b5aa500ab5c2bf89cea1c5da
            2) 0000000000000000000000000000000000000000
            > SELECT 1
            OK
            > SET a 1
            OK
            > DEBUG DIGEST
            c6bab682b086d5daf847ee97e8554b6f1fb06350
            > FLUSHALL
            OK
            > SELECT 0
            OK
            > SET k v EX 100
            OK
            > DEBUG DIGEST
            bf83f210388eea94f06fb90d517490e16a08d7dd
            > DEBUG DIGEST-VALUE k
            1) 311b17018163335616e089f6b951c82c477335ac
            "#,
        );
    }

    #[test]
    fn digests_take_great_scores_with_their_exponents() {
        replay_in(
            &mut engine(),
            r#"
            > ZADD z 1e17 m
            (integer) 1
            > DEBUG DIGEST-VALUE z
            1) 70af2b12199c199e3b8261113e3a31ab1dc7490d
            > ZADD z 1e15 m
            (integer) 0
            > DEBUG DIGEST-VALUE z
            1) 6ef296d344e35ace142cd2a86abf27a7acd1482b
            "#,
        );
    }

    #[test]
    fn digests_of_collections_are_those_of_redis() {
        replay_in(
            &mut engine(),
            r#"
            > RPUSH l a 1 b
            (integer) 3
            > SADD i 3 1 2
            (integer) 3
            > SADD s a b 1
            (integer) 3
            > HSET h f 1 g x
            (integer) 2
            > ZADD z 0.1 a 1 b inf c
            (integer) 3
            > DEBUG DIGEST-VALUE l i s h z
            1) d5f44352f6226abea9252dad248ef5de0d964396
            2) 2a462a3f51a1db89738ebbeef0c47ce1bbc85246
            3) e8f32bbb1ad9bf537c8867de4f19fec9e001296d
            4) cc9cdbb46c5ff000497e1954a353620ed67a4cb9
            5) bda116851a2c5b15f397756a7fd0613a71f33058
            > DEBUG DIGEST
            d014d8d0cad578addcea1a621be11d9b872ed30f
            > EXPIRE l 1000
            (integer) 1
            > DEBUG DIGEST-VALUE l
            1) 3371bdad2a1b80ea6833c65561e43a4517380215
            "#,
        );
    }

    #[test]
    fn keys_by_the_number() {
        replay_in(
            &mut engine(),
            r#"
            > SET pre:0 old
            OK
            > DEBUG POPULATE 2 pre 3
            OK
            > MGET pre:0 pre:1
            1) "old"
            2) "val"
            > DEBUG POPULATE 11
            OK
            > GET key:10
            "value:10"
            > DEBUG POPULATE 1 long 9
            OK
            > GET long:0
            "value:0\x00\x00"
            > DEBUG POPULATE -1
            (error) ERR value is out of range, must be positive
            > DEBUG POPULATE 1 x y
            (error) ERR value is out of range, must be positive
            > DEBUG HTSTATS 99
            (error) ERR Out of range database
            > DEBUG HTSTATS-KEY pre:0
            (error) ERR The value stored at the specified key is not represented using an hash table
            > DEBUG HTSTATS-KEY missing
            (error) ERR no such key
            "#,
        );
    }

    #[test]
    fn replies_for_clients_to_practise_on() {
        replay_in(
            &mut engine(),
            r#"
            > DEBUG PROTOCOL integer
            (integer) 12345
            > DEBUG PROTOCOL push
            (error) ERR RESP2 is not supported by this command
            > DEBUG PROTOCOL attrib
            "Some real reply following the attribute"
            > DEBUG ERROR "MYERR some text"
            (error) MYERR some text
            > DEBUG SLEEP
            (error) ERR unknown subcommand or wrong number of arguments for 'SLEEP'. Try DEBUG HELP.
            > DEBUG foo
            (error) ERR unknown subcommand or wrong number of arguments for 'foo'. Try DEBUG HELP.
            "#,
        );
    }

    #[test]
    fn switches_keep_expired_keys_and_the_cron_away() {
        let mut engine = engine();
        engine.run(&["SET", "k", "v", "PX", "1"]);
        engine.advance_ms(10);
        for (command, off, on) in [("SET-ACTIVE-EXPIRE", "0", "1"), ("PAUSE-CRON", "1", "0")] {
            engine.run(&["SET", "k", "v", "PX", "1"]);
            engine.advance_ms(10);
            assert_eq!(engine.run(&["DEBUG", command, off]), "OK");
            engine.cron();
            assert_eq!(engine.run(&["DBSIZE"]), "(integer) 1", "{command}");
            assert_eq!(engine.run(&["DEBUG", command, on]), "OK");
            engine.cron();
            assert_eq!(engine.run(&["DBSIZE"]), "(integer) 0", "{command}");
        }
    }

    #[test]
    fn the_cron_leaves_tables_alone_where_it_is_told_to() {
        let size = |engine: &mut Engine| engine.run(&["DEBUG", "HTSTATS", "0"]);
        let mut resized = 0;
        for count in 10..200 {
            let mut engine = engine();
            engine.run(&["DEBUG", "POPULATE", &count.to_string()]);
            let before = size(&mut engine);
            assert_eq!(engine.run(&["DEBUG", "DICT-RESIZING", "0"]), "OK");
            engine.cron();
            assert_eq!(size(&mut engine), before, "{count} keys");
            assert_eq!(engine.run(&["DEBUG", "DICT-RESIZING", "1"]), "OK");
            engine.cron();
            resized += usize::from(size(&mut engine) != before);
        }
        assert!(resized > 0, "there was never anything to do");
    }

    #[test]
    fn objects_and_tables_are_described() {
        let mut engine = engine();
        engine.run(&["SET", "k", "v"]);
        let text = engine.run(&["DEBUG", "OBJECT", "k"]);
        assert!(text.starts_with("Value at:0x"), "{text}");
        assert!(text.contains(" refcount:1 encoding:embstr serializedlength:2 lru:"), "{text}");
        assert!(text.ends_with(" lru_seconds_idle:0"), "{text}");
        engine.run(&["DEBUG", "POPULATE", "1000"]);
        let text = engine.run(&["DEBUG", "HTSTATS", "0", "FULL"]);
        assert!(text.contains(" number of elements: 1001\\n") && text.contains("Chain length distribution"), "{text}");
        assert_eq!(engine.run(&["DEBUG", "HTSTATS", "5"]), "\"[Dictionary HT]\\n[Expires HT]\\n\"");
    }
}
