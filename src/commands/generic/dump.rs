//! DUMP and RESTORE: a value as bytes that another server can take, in the form of snapshots.
//!
//! ```text
//!   | type, 1 byte | value | version, 2 bytes | checksum of all before, 8 bytes |      little-endian
//! ```

#![forbid(unsafe_code)]

use crate::base::crc64;
use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER, SYNTAX};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::{key_specs, lookup};
use crate::config::{KeyspaceEvents, MaxmemoryPolicy};
use crate::encoding::rdb::{self, Reader};
use crate::resp::args::Args;
use crate::types::snapshot::{self, Restored};
use crate::types::{KeyEntry, NewValue};

/// `DUMP`
pub(super) static DUMP: Command = Command {
    name: "dump",
    full_name: "dump",
    summary: "Writes a value as bytes from which RESTORE makes it again.",
    since: "2.6.0",
    group: "generic",
    complexity: "O(1) to find the key and O(N*M) to write N elements of average size M. For short strings O(1)+O(1*M).",
    arity: 2,
    flags: Flags::READONLY,
    categories: Categories::KEYSPACE.union(Categories::READ).union(Categories::SLOW),
    tips: &["nondeterministic_output"],
    key_specs: &[key_specs::one(1, KeyFlags::RO.union(KeyFlags::ACCESS))],
    args: &[ArgSpec::key("key", 0)],
    handler: Some(dump),
    ..Command::BLANK
};

/// `RESTORE`
pub(super) static RESTORE: Command = Command {
    name: "restore",
    full_name: "restore",
    summary: "Makes a key from the bytes that DUMP wrote.",
    since: "2.6.0",
    group: "generic",
    complexity: "O(1) to make the key and O(N*M) to read N elements of average size M. For short strings O(1)+O(1*M), \
                 for sorted sets O(N*M*log(N)), each insertion being O(log(N)).",
    arity: -4,
    flags: Flags::WRITE.union(Flags::DENYOOM),
    categories: Categories::KEYSPACE.union(Categories::WRITE).union(Categories::SLOW).union(Categories::DANGEROUS),
    key_specs: &[key_specs::one(1, KeyFlags::OW.union(KeyFlags::UPDATE))],
    history: &[
        ("3.0.0", "The option `REPLACE` came."),
        ("5.0.0", "The option `ABSTTL` came."),
        ("5.0.0", "The options `IDLETIME` and `FREQ` came."),
    ],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("ttl", ArgKind::Integer),
        ArgSpec::new("serialized-value", ArgKind::String),
        ArgSpec::pure_token("replace", "REPLACE").since("3.0.0").optional(),
        ArgSpec::pure_token("absttl", "ABSTTL").since("5.0.0").optional(),
        ArgSpec::new("seconds", ArgKind::Integer).token("IDLETIME").since("5.0.0").optional(),
        ArgSpec::new("frequency", ArgKind::Integer).token("FREQ").since("5.0.0").optional(),
    ],
    handler: Some(restore),
    ..Command::BLANK
};

const BUSY_KEY: CommandError = CommandError::fixed("-BUSYKEY Target key name already exists.");
const BAD_TTL: CommandError = CommandError::fixed("Invalid TTL value, must be >= 0");
const BAD_IDLETIME: CommandError = CommandError::fixed("Invalid IDLETIME value, must be >= 0");
const BAD_FREQ: CommandError = CommandError::fixed("Invalid FREQ value, must be >= 0 and <= 255");
const BAD_FOOTER: CommandError = CommandError::fixed("DUMP payload version or checksum are wrong");
const BAD_FORMAT: CommandError = CommandError::fixed("Bad data format");

fn dump(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let compress = ctx.state.config.rdbcompression;
    let Some(entry) = lookup::read(ctx.state, ctx.session, args.get(1), ctx.first_key_hash) else {
        ctx.reply.null();
        return Ok(());
    };
    let payload = payload(entry, compress);
    ctx.reply.bulk(&payload);
    Ok(())
}

fn payload(entry: &KeyEntry, compress: bool) -> Vec<u8> {
    let mut payload = Vec::new();
    snapshot::write(&mut payload, entry, compress);
    payload.extend(rdb::VERSION.to_le_bytes());
    payload.extend(crc64::update(0, &payload).to_le_bytes());
    payload
}

/// Bytes of version and checksum.
const FOOTER_LEN: usize = 10;

/// Bytes that the value of an entry takes in a snapshot, its type left out.
pub(crate) fn serialized_len(entry: &KeyEntry, compress: bool) -> usize {
    let payload = payload(entry, compress);
    payload.len() - FOOTER_LEN - 1 - snapshot::uncounted_bytes(payload.first().copied().unwrap_or_default())
}

/// Whether the end of a payload vouches for the rest.
fn check_footer(payload: &[u8], any_checksum: bool) -> Result<(), CommandError> {
    let (body, checksum) = payload.split_last_chunk().ok_or(BAD_FOOTER)?;
    let (_, version) = body.split_last_chunk().ok_or(BAD_FOOTER)?;
    let sound = u16::from_le_bytes(*version) <= rdb::VERSION
        && (any_checksum || crc64::update(0, body) == u64::from_le_bytes(*checksum));
    if sound { Ok(()) } else { Err(BAD_FOOTER) }
}

/// Options of RESTORE.
#[derive(Default)]
struct Options {
    replace: bool,
    absolute: bool,
    idle_s: Option<i64>,
    frequency: Option<u8>,
}

impl Options {
    fn read(args: Args<'_>, first: usize) -> Result<Options, CommandError> {
        let mut options = Options::default();
        let mut index = first;
        while index < args.len() {
            let is = |name: &str| args.get(index).eq_ignore_ascii_case(name.as_bytes());
            let more = index + 1 < args.len();
            if is("REPLACE") {
                options.replace = true;
            } else if is("ABSTTL") {
                options.absolute = true;
            } else if is("IDLETIME") && more && options.frequency.is_none() {
                index += 1;
                let idle_s = parse_i64(args.get(index)).ok_or(NOT_AN_INTEGER)?;
                options.idle_s = Some(if idle_s < 0 { return Err(BAD_IDLETIME) } else { idle_s });
            } else if is("FREQ") && more && options.idle_s.is_none() {
                index += 1;
                let frequency = parse_i64(args.get(index)).ok_or(NOT_AN_INTEGER)?;
                options.frequency = Some(u8::try_from(frequency).map_err(|_| BAD_FREQ)?);
            } else {
                return Err(SYNTAX);
            }
            index += 1;
        }
        Ok(options)
    }
}

fn restore(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (key, hash, now_ms) = (args.get(1), ctx.first_key_hash, ctx.now_ms());
    let options = Options::read(args, 4)?;
    if !options.replace && ctx.db().get(key, hash, now_ms).is_some() {
        return Err(BUSY_KEY);
    }
    let ttl_ms = parse_i64(args.get(2)).ok_or(NOT_AN_INTEGER)?;
    if ttl_ms < 0 {
        return Err(BAD_TTL);
    }
    check_footer(args.get(3), ctx.state.debug.checksum_skipped)?;
    // As in Redis a value may be longer than it should, as far as the footer has bytes for it.
    let limits = ctx.state.type_limits();
    let value = snapshot::read(&mut Reader::new(args.get(3)), &limits).map_err(|_| BAD_FORMAT)?;

    let removed = options.replace && ctx.db().remove_stored(key, hash);
    let base_ms = if options.absolute { 0 } else { now_ms };
    let expire_ms = (ttl_ms != 0).then(|| base_ms.saturating_add(ttl_ms));
    let is_over = expire_ms.is_some_and(|at_ms| now_ms >= at_ms);
    if !is_over {
        let text;
        let value = match value {
            Restored::Other(value) => NewValue::of(value),
            Restored::String(string) => {
                text = string;
                NewValue::string(&text)
            }
        };
        let entry = KeyEntry::new(key, value, expire_ms);
        ctx.db().put(hash, entry, now_ms);
        stamp(ctx, key, &options);
    }
    if removed || !is_over {
        if is_over {
            ctx.signal_modified(key);
            ctx.announce(KeyspaceEvents::GENERIC, "del", key);
        } else {
            ctx.stored(true, KeyspaceEvents::GENERIC, "restore", key);
        }
        ctx.state.stats.dirty += 1;
    }
    ctx.reply.ok();
    Ok(())
}

/// Takes over what is known of the key's use, as far as the policy asks for it.
fn stamp(ctx: &mut Context<'_>, key: &[u8], options: &Options) {
    let (hash, now_ms) = (ctx.first_key_hash, ctx.now_ms());
    let policy = ctx.state.config.maxmemory_policy;
    let counts = matches!(policy, MaxmemoryPolicy::VolatileLfu | MaxmemoryPolicy::AllKeysLfu);
    match (options.idle_s, options.frequency) {
        (_, Some(frequency)) if counts => ctx.db().stamp_frequency(key, hash, frequency, now_ms),
        (Some(idle_s), _) if !counts => ctx.db().stamp_idle(key, hash, idle_s, now_ms),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commands::transcript::replay;
    use crate::engine::Engine;
    use crate::resp::decode::Value;

    /// A body with its footer.
    fn sealed(body: &[u8], version: u16) -> Vec<u8> {
        let mut payload = [body, &version.to_le_bytes()].concat();
        payload.extend(crc64::update(0, &payload).to_le_bytes());
        payload
    }

    fn restored(body: &[u8]) -> String {
        let mut engine = Engine::for_console();
        let payload = sealed(body, 12);
        let reply = engine.run(&[&b"RESTORE"[..], b"k", b"0", &payload]);
        if reply == "OK" { engine.run(&["GET", "k"]) } else { reply }
    }

    #[test]
    fn payloads_as_redis_writes_them() {
        let mut engine = Engine::for_console();
        let slot = engine.connect(1);
        engine.run(&["SET", "k", "12"]);
        engine.run(&["APPEND", "k", "34"]);
        let payload = b"\x00\xc1\xd2\x04\x0c\x00\xcb\xf1<a\xbe\xa8\xc2\xa4";
        assert_eq!(engine.run_values(slot, &["DUMP", "k"]), [Value::Bulk(payload.to_vec())]);
        assert_eq!(engine.run(&["DUMP", "missing"]), "(nil)");
    }

    #[test]
    fn all_forms_of_a_string_are_read() {
        for (body, wanted) in [
            (&b"\0\x03abc"[..], "\"abc\""),
            (b"\0\x03abcXYZ", "\"abc\""),
            (b"\0\xc0\x05", "\"5\""),
            (b"\0\xc1\x05\x01", "\"261\""),
            (b"\0\xc2\x01\x02\x03\x04", "\"67305985\""),
            (b"\0\x40\x03abc", "\"abc\""),
            (b"\0\x80\0\0\0\x03abc", "\"abc\""),
            (b"\0\x81\0\0\0\0\0\0\0\x03abc", "\"abc\""),
            (b"\0\xc3\x04\x03\x02abc", "\"abc\""),
            // One byte more than the value has: the version's.
            (b"\0\x04abc", "\"abc\\x0c\""),
        ] {
            assert_eq!(restored(body), wanted, "{body:?}");
        }
    }

    #[test]
    fn other_bytes_are_refused() {
        for body in [
            &b""[..],
            b"\0",
            b"\x01\x03abc",
            b"\xff\x03abc",
            b"\0\xc4\x03abc",
            b"\0\x82\0\0\0\x03abc",
            b"\0\x81\xff\0\0\0\0\0\0\x03abc",
            b"\0\xc3\x04\x07\x02abc",
            b"\0\xc3\x04\x81\0\0\x7f\0\0\0\0\0\x02abc",
        ] {
            assert_eq!(restored(body), "(error) ERR Bad data format", "{body:?}");
        }
    }

    #[test]
    fn the_footer_vouches_for_the_payload() {
        let good = sealed(b"\0\x03abc", 9);
        assert_eq!(check_footer(&good, false), Ok(()));
        assert_eq!(check_footer(&sealed(b"\0\x03abc", 13), true), Err(BAD_FOOTER));
        assert_eq!(check_footer(b"", true), Err(BAD_FOOTER));
        for index in 0..good.len() {
            let mut bad = good.clone();
            bad[index] ^= 1;
            assert_eq!(check_footer(&bad, false), Err(BAD_FOOTER));
        }
    }

    #[test]
    fn options_are_checked_before_the_payload() {
        replay(
            r#"
            > SET a 1
            OK
            > RESTORE a x abc
            (error) BUSYKEY Target key name already exists.
            > RESTORE a x abc REPLACE
            (error) ERR value is not an integer or out of range
            > RESTORE r -1 abc
            (error) ERR Invalid TTL value, must be >= 0
            > RESTORE r 0 abc
            (error) ERR DUMP payload version or checksum are wrong
            > RESTORE r 0 abc FOO
            (error) ERR syntax error
            > RESTORE r 0 abc IDLETIME
            (error) ERR syntax error
            > RESTORE r 0 abc IDLETIME -1
            (error) ERR Invalid IDLETIME value, must be >= 0
            > RESTORE r 0 abc FREQ 256
            (error) ERR Invalid FREQ value, must be >= 0 and <= 255
            > RESTORE r 0 abc FREQ 1 IDLETIME 1
            (error) ERR syntax error
            > GET a
            "1"
            "#,
        );
    }

    #[test]
    fn expiry_and_use_come_with_it() {
        let mut engine = Engine::for_console();
        let payload = sealed(b"\0\x03abc", 12);
        let mut restore = |ttl: &str, words: &[&str]| {
            let words: Vec<&[u8]> = words.iter().map(|word| word.as_bytes()).collect();
            let line = [&[&b"RESTORE"[..], b"k", ttl.as_bytes(), &payload, b"REPLACE"], &words[..]].concat();
            assert_eq!(engine.run(&line), "OK");
            (engine.run(&["PTTL", "k"]), engine.run(&["OBJECT", "IDLETIME", "k"]))
        };
        assert_eq!(restore("1000", &[]).0, "(integer) 1000");
        assert_eq!(restore("1700000005000", &["ABSTTL"]).0, "(integer) 5000");
        assert_eq!(restore("1", &["ABSTTL"]).0, "(integer) -2");
        assert_eq!(restore("0", &["ABSTTL"]).0, "(integer) -1");
        assert_eq!(restore("0", &["IDLETIME", "100"]).1, "(integer) 100");
        assert_eq!(restore("0", &["FREQ", "100"]).1, "(integer) 0");
    }
}
