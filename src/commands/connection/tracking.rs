//! CLIENT TRACKING, CACHING, GETREDIR, TRACKINGINFO: being told when cached keys change. Main thread.

#![forbid(unsafe_code)]

use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, NOT_AN_INTEGER, SYNTAX};
use crate::command::session::{ClientId, Session, SessionFlags};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags};
use crate::commands::connection::modes::on_or_off;
use crate::resp::args::Args;

const FLAGS: Flags = Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE);
const CATEGORIES: Categories = Categories::SLOW.union(Categories::CONNECTION);

/// `CLIENT CACHING`.
pub(super) static CLIENT_CACHING: Command = Command {
    name: "caching",
    full_name: "client|caching",
    summary: "Says whether the keys of the next command are cached.",
    since: "6.0.0",
    group: "connection",
    complexity: "O(1)",
    arity: 3,
    flags: FLAGS,
    categories: CATEGORIES,
    args: &[ArgSpec::new("mode", ArgKind::OneOf)
        .children(&[ArgSpec::pure_token("yes", "YES"), ArgSpec::pure_token("no", "NO")])],
    handler: Some(caching),
    ..Command::BLANK
};

/// `CLIENT GETREDIR`.
pub(super) static CLIENT_GETREDIR: Command = Command {
    name: "getredir",
    full_name: "client|getredir",
    summary: "Answers which connection is told of changed keys in the place of this one.",
    since: "6.0.0",
    group: "connection",
    complexity: "O(1)",
    arity: 2,
    flags: FLAGS,
    categories: CATEGORIES,
    handler: Some(getredir),
    ..Command::BLANK
};

/// `CLIENT TRACKING`.
pub(super) static CLIENT_TRACKING: Command = Command {
    name: "tracking",
    full_name: "client|tracking",
    summary: "Makes the server tell when keys change that this connection may have cached.",
    since: "6.0.0",
    group: "connection",
    complexity: "O(1)",
    arity: -3,
    flags: FLAGS,
    categories: CATEGORIES,
    args: &[
        ArgSpec::new("status", ArgKind::OneOf)
            .children(&[ArgSpec::pure_token("on", "ON"), ArgSpec::pure_token("off", "OFF")]),
        ArgSpec::new("client-id", ArgKind::Integer).token("REDIRECT").optional(),
        ArgSpec::new("prefix", ArgKind::String).token("PREFIX").optional().multiple().multiple_token(),
        ArgSpec::pure_token("bcast", "BCAST").optional(),
        ArgSpec::pure_token("optin", "OPTIN").optional(),
        ArgSpec::pure_token("optout", "OPTOUT").optional(),
        ArgSpec::pure_token("noloop", "NOLOOP").optional(),
    ],
    handler: Some(tracking),
    ..Command::BLANK
};

/// `CLIENT TRACKINGINFO`.
pub(super) static CLIENT_TRACKINGINFO: Command = Command {
    name: "trackinginfo",
    full_name: "client|trackinginfo",
    summary: "Answers how this connection is told of changed keys.",
    since: "6.2.0",
    group: "connection",
    complexity: "O(1)",
    arity: 2,
    flags: FLAGS,
    categories: CATEGORIES,
    handler: Some(trackinginfo),
    ..Command::BLANK
};

const NOT_TRACKING: CommandError = CommandError::fixed(
    "CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode enabled",
);
const YES_WITHOUT_OPTIN: CommandError =
    CommandError::fixed("CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
const NO_WITHOUT_OPTOUT: CommandError =
    CommandError::fixed("CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
const TWO_REDIRECTS: CommandError = CommandError::fixed("A client can only redirect to a single other client");
const NO_SUCH_TARGET: CommandError = CommandError::fixed("The client ID you want redirect to does not exist");
const PREFIX_WITHOUT_BCAST: CommandError = CommandError::fixed("PREFIX option requires BCAST mode to be enabled");
const BCAST_SWITCHED: CommandError = CommandError::fixed(
    "You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling it with a \
     different mode.",
);
const BCAST_WITH_OPT: CommandError = CommandError::fixed("OPTIN and OPTOUT are not compatible with BCAST");
const BOTH_OPTS: CommandError = CommandError::fixed("You can't specify both OPTIN mode and OPTOUT mode");
const OPT_SWITCHED: CommandError = CommandError::fixed(
    "You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling it with a \
     different mode.",
);

fn caching(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let flags = ctx.session.flags;
    if !flags.contains(SessionFlags::TRACKING) {
        return Err(NOT_TRACKING);
    }
    match args.get(2) {
        yes if yes.eq_ignore_ascii_case(b"yes") => {
            if !flags.contains(SessionFlags::TRACKING_OPTIN) {
                return Err(YES_WITHOUT_OPTIN);
            }
        }
        no if no.eq_ignore_ascii_case(b"no") => {
            if !flags.contains(SessionFlags::TRACKING_OPTOUT) {
                return Err(NO_WITHOUT_OPTOUT);
            }
        }
        _ => return Err(SYNTAX),
    }
    ctx.session.flags.insert(SessionFlags::TRACKING_CACHING);
    ctx.reply.ok();
    Ok(())
}

fn getredir(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.integer(redirect_of(ctx.session));
    Ok(())
}

/// Who is told in the client's place: 0 for nobody, -1 where it does not track.
pub(super) fn redirect_of(session: &Session) -> i64 {
    session.tracking.as_deref().map_or(-1, |facts| facts.redirect as i64)
}

/// What CLIENT TRACKING ON was asked for.
#[derive(Default)]
struct Wish<'a> {
    redirect: ClientId,
    modes: Option<SessionFlags>,
    prefixes: Vec<&'a [u8]>,
}

impl<'a> Wish<'a> {
    fn parse(ctx: &Context<'_>, args: Args<'a>) -> Result<Wish<'a>, CommandError> {
        let mut wish = Wish::default();
        let mut modes = SessionFlags::empty();
        let mut at = 3;
        while at < args.len() {
            let option = args.get(at);
            let is = |word: &str| option.eq_ignore_ascii_case(word.as_bytes());
            let value = (at + 1 < args.len()).then(|| args.get(at + 1));
            if is("redirect")
                && let Some(value) = value
            {
                at += 1;
                if wish.redirect != 0 {
                    return Err(TWO_REDIRECTS);
                }
                let id = parse_i64(value).ok_or(NOT_AN_INTEGER)?;
                let target = u64::try_from(id).ok().filter(|&id| ctx.state.sessions.slot_of(id).is_some());
                wish.redirect = target.ok_or(NO_SUCH_TARGET)?;
            } else if is("prefix")
                && let Some(value) = value
            {
                at += 1;
                wish.prefixes.push(value);
            } else if is("bcast") {
                modes |= SessionFlags::TRACKING_BCAST;
            } else if is("optin") {
                modes |= SessionFlags::TRACKING_OPTIN;
            } else if is("optout") {
                modes |= SessionFlags::TRACKING_OPTOUT;
            } else if is("noloop") {
                modes |= SessionFlags::TRACKING_NOLOOP;
            } else {
                return Err(SYNTAX);
            }
            at += 1;
        }
        wish.modes = Some(modes);
        Ok(wish)
    }

    fn modes(&self) -> SessionFlags {
        self.modes.unwrap_or(SessionFlags::empty())
    }

    /// Modes that exclude each other, or what the client has now.
    fn check_modes(&self, session: &Session) -> Result<(), CommandError> {
        let (asked, now) = (self.modes(), session.flags);
        let broadcasts = asked.contains(SessionFlags::TRACKING_BCAST);
        if !broadcasts && !self.prefixes.is_empty() {
            return Err(PREFIX_WITHOUT_BCAST);
        }
        if now.contains(SessionFlags::TRACKING) && broadcasts != now.contains(SessionFlags::TRACKING_BCAST) {
            return Err(BCAST_SWITCHED);
        }
        let [optin, optout] =
            [SessionFlags::TRACKING_OPTIN, SessionFlags::TRACKING_OPTOUT].map(|mode| asked.contains(mode));
        if broadcasts && (optin || optout) {
            return Err(BCAST_WITH_OPT);
        }
        if optin && optout {
            return Err(BOTH_OPTS);
        }
        if (optin && now.contains(SessionFlags::TRACKING_OPTOUT))
            || (optout && now.contains(SessionFlags::TRACKING_OPTIN))
        {
            return Err(OPT_SWITCHED);
        }
        Ok(())
    }

    /// No prefix may begin with another one: a key would be told of twice.
    fn check_prefixes(&self, session: &Session) -> Result<(), CommandError> {
        let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
        for (index, &prefix) in self.prefixes.iter().enumerate() {
            let mut existing = session.tracking.iter().flat_map(|facts| &facts.prefixes);
            if let Some(other) = existing.find(|other| overlap(prefix, other)) {
                return Err(overlapping(prefix, "an existing prefix", other));
            }
            if let Some(&other) = self.prefixes[index + 1..].iter().find(|other| overlap(prefix, other)) {
                return Err(overlapping(prefix, "another provided prefix", other));
            }
        }
        Ok(())
    }
}

fn overlapping(prefix: &[u8], with: &str, other: &[u8]) -> CommandError {
    let mut text = b"Prefix '".to_vec();
    text.extend_from_slice(prefix);
    text.extend_from_slice(format!("' overlaps with {with} '").as_bytes());
    text.extend_from_slice(other);
    text.extend_from_slice(b"'. Prefixes for a single client must not overlap.");
    CommandError(text.into())
}

fn tracking(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let wish = Wish::parse(ctx, args)?;
    if !on_or_off(args.get(2))? {
        ctx.state.stop_tracking(ctx.session);
        ctx.reply.ok();
        return Ok(());
    }
    wish.check_modes(ctx.session)?;
    wish.check_prefixes(ctx.session)?;
    let session = &mut *ctx.session;
    if !session.flags.contains(SessionFlags::TRACKING) {
        ctx.state.tracking.start();
    }
    // CLIENT CACHING stays in force.
    session.flags.remove(SessionFlags::TRACKING_MODES.difference(SessionFlags::TRACKING_CACHING));
    session.flags.insert(SessionFlags::TRACKING | wish.modes());
    let facts = session.tracking.get_or_insert_default();
    facts.redirect = wish.redirect;
    if wish.modes().contains(SessionFlags::TRACKING_BCAST) {
        let every_key: &[&[u8]] = &[b""];
        let prefixes = if wish.prefixes.is_empty() { every_key } else { &wish.prefixes };
        for &prefix in prefixes {
            if let Err(place) = facts.prefixes.binary_search_by(|known| (**known).cmp(prefix)) {
                facts.prefixes.insert(place, prefix.into());
                ctx.state.tracking.add_prefix(session.id, prefix);
            }
        }
    }
    ctx.state.plan_observers();
    ctx.state.plan_gates();
    ctx.reply.ok();
    Ok(())
}

fn trackinginfo(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    let flags = ctx.session.flags;
    let caching = flags.contains(SessionFlags::TRACKING_CACHING);
    let has = |flag: SessionFlags| flags.contains(flag);
    let words = [
        (!has(SessionFlags::TRACKING), "off"),
        (has(SessionFlags::TRACKING), "on"),
        (has(SessionFlags::TRACKING_BCAST), "bcast"),
        (has(SessionFlags::TRACKING_OPTIN), "optin"),
        (has(SessionFlags::TRACKING_OPTIN) && caching, "caching-yes"),
        (has(SessionFlags::TRACKING_OPTOUT), "optout"),
        (has(SessionFlags::TRACKING_OPTOUT) && caching, "caching-no"),
        (has(SessionFlags::TRACKING_NOLOOP), "noloop"),
        (has(SessionFlags::TRACKING_BROKEN_REDIR), "broken_redirect"),
    ];
    let shown: Vec<&str> = words.iter().filter(|(shown, _)| *shown).map(|(_, word)| *word).collect();
    let reply = &mut *ctx.reply;
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(shown.len());
    shown.iter().for_each(|word| reply.bulk(word.as_bytes()));
    reply.bulk(b"redirect");
    reply.integer(redirect_of(ctx.session));
    reply.bulk(b"prefixes");
    let prefixes = ctx.session.tracking.as_deref().map_or(&[][..], |facts| &facts.prefixes);
    reply.array(prefixes.len());
    prefixes.iter().for_each(|prefix| reply.bulk(prefix));
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::engine::Engine;

    fn client(engine: &mut Engine, words: &str) -> String {
        let words: Vec<&str> = std::iter::once("CLIENT").chain(words.split(' ')).collect();
        engine.run(&words)
    }

    #[test]
    fn modes_exclude_each_other() {
        let mut engine = Engine::for_console();
        let switched = "before disabling tracking for this client, and then re-enabling it with a different mode.";
        for (words, answer) in [
            ("CACHING yes", "CLIENT CACHING can be called only when the client is in tracking mode"),
            ("TRACKING x", "syntax error"),
            ("TRACKING off FOO", "syntax error"),
            ("TRACKING on REDIRECT", "syntax error"),
            ("TRACKING on REDIRECT 99", "The client ID you want redirect to does not exist"),
            ("TRACKING on REDIRECT x", "value is not an integer or out of range"),
            ("TRACKING on REDIRECT 1 REDIRECT 1", "A client can only redirect to a single other client"),
            ("TRACKING on PREFIX a", "PREFIX option requires BCAST mode to be enabled"),
            ("TRACKING on OPTIN OPTOUT", "You can't specify both OPTIN mode and OPTOUT mode"),
            ("TRACKING on BCAST OPTIN", "OPTIN and OPTOUT are not compatible with BCAST"),
            ("TRACKING on OPTIN", ""),
            ("TRACKING on BCAST", "You can't switch BCAST mode on/off"),
            ("TRACKING on OPTOUT", "You can't switch OPTIN/OPTOUT mode"),
            ("CACHING no", "CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode."),
            ("CACHING x", "syntax error"),
            ("CACHING yes", ""),
        ] {
            let got = client(&mut engine, words);
            let wanted = if answer.is_empty() { "OK".to_owned() } else { format!("(error) ERR {answer}") };
            assert!(got.starts_with(&wanted), "{words}: {got}");
            assert_eq!(got.contains(switched), answer.contains("switch"), "{got}");
        }
        let info = client(&mut engine, "TRACKINGINFO");
        assert!(info.contains("\"on\"\n   2) \"optin\"\n   3) \"caching-yes\""), "{info}");
    }

    #[test]
    fn prefixes_do_not_overlap() {
        let mut engine = Engine::for_console();
        let tail = "Prefixes for a single client must not overlap.";
        for (words, answer) in [
            ("TRACKING on BCAST PREFIX a PREFIX ab", "Prefix 'a' overlaps with another provided prefix 'ab'."),
            ("TRACKING on BCAST PREFIX z PREFIX b PREFIX bb", "Prefix 'b' overlaps with another provided prefix 'bb'."),
            ("TRACKING on BCAST PREFIX b PREFIX a", ""),
            ("TRACKING on BCAST PREFIX c", ""),
            ("TRACKING on BCAST PREFIX abc", "Prefix 'abc' overlaps with an existing prefix 'a'."),
        ] {
            let wanted = if answer.is_empty() { "OK".to_owned() } else { format!("(error) ERR {answer} {tail}") };
            assert_eq!(client(&mut engine, words), wanted, "{words}");
        }
        assert_eq!(engine.state.tracking.prefixes_len(), 3);
        let info = client(&mut engine, "TRACKINGINFO");
        assert!(info.ends_with("6) 1) \"a\"\n   2) \"b\"\n   3) \"c\""), "{info}");
        assert_eq!(client(&mut engine, "GETREDIR"), "(integer) 0");
        engine.run(&["RESET"]);
        assert_eq!(client(&mut engine, "GETREDIR"), "(integer) -1");
        assert_eq!(engine.state.tracking.prefixes_len(), 0);
    }
}
