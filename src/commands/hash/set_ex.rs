//! Fields that are set together with when they expire: HSETEX.

#![forbid(unsafe_code)]

use super::{Late, Retiming, hash_or_new, time, time_form};
use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::CommandError;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags, KeyFlags};
use crate::commands::key_specs;
use crate::commands::lookup;
use crate::config::KeyspaceEvents;
use crate::resp::args::Args;
use crate::types::hash::Hash;

/// `HSETEX`
pub(super) static HSETEX: Command = Command {
    name: "hsetex",
    full_name: "hsetex",
    summary: "Sets the values of fields and when they expire.",
    since: "8.0.0",
    group: "hash",
    complexity: "O(N), N being the number of fields that are named",
    arity: -6,
    flags: Flags::WRITE.union(Flags::DENYOOM).union(Flags::FAST),
    categories: Categories::WRITE.union(Categories::HASH).union(Categories::FAST),
    key_specs: &[key_specs::one(1, KeyFlags::RW.union(KeyFlags::UPDATE))],
    args: &[
        ArgSpec::key("key", 0),
        ArgSpec::new("condition", ArgKind::OneOf)
            .optional()
            .children(&[ArgSpec::pure_token("fnx", "FNX"), ArgSpec::pure_token("fxx", "FXX")]),
        ArgSpec::new("expiration", ArgKind::OneOf).optional().children(&[
            ArgSpec::new("seconds", ArgKind::Integer).token("EX"),
            ArgSpec::new("milliseconds", ArgKind::Integer).token("PX"),
            ArgSpec::new("unix-time-seconds", ArgKind::UnixTime).token("EXAT"),
            ArgSpec::new("unix-time-milliseconds", ArgKind::UnixTime).token("PXAT"),
            ArgSpec::pure_token("keepttl", "KEEPTTL"),
        ]),
        ArgSpec::new("fields", ArgKind::Block).token("FIELDS").children(&[
            ArgSpec::new("numfields", ArgKind::Integer),
            ArgSpec::new("data", ArgKind::Block)
                .multiple()
                .children(&[ArgSpec::new("field", ArgKind::String), ArgSpec::new("value", ArgKind::String)]),
        ]),
    ],
    handler: Some(hsetex),
    ..Command::BLANK
};

const TWO_CONDITIONS: CommandError = CommandError::fixed("Only one of FXX or FNX arguments can be specified");
const TWO_TIMES: CommandError =
    CommandError::fixed("Only one of EX, PX, EXAT, PXAT or KEEPTTL arguments can be specified");
const BAD_COUNT: CommandError = CommandError::fixed("invalid number of fields");

/// What the arguments ask for.
struct Options<'a> {
    /// All fields have to be there (true), or none of them may be.
    if_present: Option<bool>,
    at_ms: Option<i64>,
    keeps_times: bool,
    /// Fields and values, in turns.
    pairs: Args<'a>,
}

impl<'a> Options<'a> {
    fn read(ctx: &Context<'_>, args: Args<'a>) -> Result<Options<'a>, CommandError> {
        let arity = || CommandError::arity(ctx.command.full_name);
        let mut options = Options { if_present: None, at_ms: None, keeps_times: false, pairs: args };
        let mut index = 2;
        while index < args.len() {
            let word = args.get(index);
            let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
            let form = time_form(word);
            if is("FIELDS") {
                if index + 3 >= args.len() {
                    return Err(arity());
                }
                let count = parse_i64(args.get(index + 1)).and_then(|count| i32::try_from(count).ok());
                let count = count.and_then(|count| usize::try_from(count).ok()).filter(|&count| count > 0);
                options.pairs = args.skip(index + 2);
                let wanted = count.ok_or(BAD_COUNT)?.saturating_mul(2);
                return if options.pairs.len() == wanted { Ok(options) } else { Err(arity()) };
            } else if is("FXX") || is("FNX") {
                if options.if_present.is_some() {
                    return Err(TWO_CONDITIONS);
                }
                options.if_present = Some(is("FXX"));
            } else if is("KEEPTTL") || form.is_some() {
                if options.keeps_times || options.at_ms.is_some() {
                    return Err(TWO_TIMES);
                }
                options.keeps_times = form.is_none();
                if let Some(form) = form {
                    index += 1;
                    if index >= args.len() {
                        return Err(arity());
                    }
                    options.at_ms = Some(time(ctx, args.get(index), form)?);
                }
            } else {
                return Err(CommandError::quoting("unknown argument: ", word, usize::MAX, ""));
            }
            index += 1;
        }
        Err(arity())
    }

    fn names(&self) -> impl Iterator<Item = &'a [u8]> {
        self.pairs.iter().step_by(2)
    }
}

fn hsetex(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let options = Options::read(ctx, args)?;
    let (key, key_hash, now_ms, limits) = (args.get(1), ctx.first_key_hash, ctx.now_ms(), ctx.state.hash_limits());
    if !is_allowed(ctx, key, &options)? {
        ctx.reply.integer(0);
        return Ok(());
    }
    // A hash of which all fields were late is none that is new.
    let is_new = lookup::hold::<Hash>(ctx.state, ctx.session.db, key, key_hash)?.is_none();
    let mut hash = hash_or_new(ctx.state, ctx.session.db, key, key_hash)?;
    if options.at_ms.is_some() {
        hash.make_timed(&limits);
    }
    hash.make_room(options.pairs.iter(), &limits);
    let mut retiming = Retiming::of(hash.view());
    let (mut set, mut gone) = (0, 0);
    let values = options.pairs.skip(1);
    for (name, value) in options.names().zip(values.iter().step_by(2)) {
        let old = hash.time_of(name).flatten();
        match options.at_ms {
            None if options.keeps_times => _ = hash.update(name, value, &limits),
            None => _ = hash.set(name, value, &limits),
            Some(at_ms) if at_ms > now_ms => {
                hash.update(name, value, &limits);
                hash.set_time(name, Some(at_ms), &limits);
                retiming.note(old);
                retiming.note(Some(at_ms));
                set += 1;
            }
            Some(_) => {
                hash.set(name, value, &limits);
                hash.remove(name);
                retiming.note(old);
                gone += 1;
            }
        }
    }
    drop(hash);
    ctx.stored(is_new, KeyspaceEvents::HASH, "hset", key);
    retiming.finish(ctx, key, key_hash, set, gone);
    ctx.state.stats.dirty += options.pairs.len() as u64 / 2;
    ctx.reply.integer(1);
    Ok(())
}

/// Whether the fields are, or are not, there as the condition wants it. Fields that it comes upon too late go.
fn is_allowed(ctx: &mut Context<'_>, key: &[u8], options: &Options<'_>) -> Result<bool, CommandError> {
    let (key_hash, now_ms) = (ctx.first_key_hash, ctx.now_ms());
    let Some(wanted) = options.if_present else {
        return lookup::hold::<Hash>(ctx.state, ctx.session.db, key, key_hash).map(|_| true);
    };
    let Some(mut hash) = lookup::hold::<Hash>(ctx.state, ctx.session.db, key, key_hash)? else { return Ok(!wanted) };
    let (mut late, mut allowed) = (Late::default(), true);
    for name in options.names() {
        if hash.is_over(name, now_ms) {
            hash.remove(name);
            late.fields += 1;
        }
        if hash.get(name, now_ms).is_some() != wanted {
            allowed = false;
            break;
        }
    }
    late.with_key = !allowed && hash.is_empty();
    drop(hash);
    if late.fields > 0 {
        ctx.state.stats.expired_fields += late.fields as u64;
        if late.with_key {
            ctx.db().remove(key, key_hash, now_ms);
        }
        ctx.signal_modified(key);
        late.announce(ctx, key);
    }
    Ok(allowed)
}
