//! The CLIENT family: who is connected, under which name, and closing connections. Main thread.

#![forbid(unsafe_code)]

use std::io::Write;

use crate::acl::{UserId, Users};
use crate::base::integer::parse_i64;
use crate::command::client_memory::{memory_of, queued_memory};
use crate::command::context::Context;
use crate::command::error::{CommandError, SYNTAX};
use crate::command::reply_buffer::{REPLY_BUFFER_BYTES, Unsent};
use crate::command::session::{NetFacts, Session, SessionFlags};
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags};
use crate::commands::connection::tracking::redirect_of;
use crate::commands::connection::{modes, pause, tracking};
use crate::resp::args::Args;
use crate::resp::reply::Protocol;

/// `CLIENT`.
pub(super) static CLIENT: Command = Command {
    name: "client",
    full_name: "client",
    summary: "Holds the commands about client connections.",
    since: "2.4.0",
    group: "connection",
    complexity: "depends",
    arity: -2,
    flags: Flags::empty(),
    categories: Categories::SLOW,
    subcommands: &[
        &tracking::CLIENT_CACHING,
        &CLIENT_GETNAME,
        &tracking::CLIENT_GETREDIR,
        &CLIENT_HELP,
        &CLIENT_ID,
        &CLIENT_INFO,
        &CLIENT_KILL,
        &CLIENT_LIST,
        &modes::CLIENT_NO_EVICT,
        &modes::CLIENT_NO_TOUCH,
        &pause::CLIENT_PAUSE,
        &modes::CLIENT_REPLY,
        &CLIENT_SETINFO,
        &CLIENT_SETNAME,
        &tracking::CLIENT_TRACKING,
        &tracking::CLIENT_TRACKINGINFO,
        &pause::CLIENT_UNBLOCK,
        &pause::CLIENT_UNPAUSE,
    ],
    ..Command::BLANK
};

/// `CLIENT GETNAME`.
static CLIENT_GETNAME: Command = Command {
    name: "getname",
    full_name: "client|getname",
    summary: "Answers the name of the connection.",
    since: "2.6.9",
    group: "connection",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE),
    categories: Categories::SLOW.union(Categories::CONNECTION),
    handler: Some(getname),
    ..Command::BLANK
};

/// `CLIENT HELP`.
static CLIENT_HELP: Command = Command {
    name: "help",
    full_name: "client|help",
    summary: "Lists the subcommands of CLIENT.",
    since: "5.0.0",
    group: "connection",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::LOADING.union(Flags::STALE),
    categories: Categories::SLOW.union(Categories::CONNECTION),
    handler: Some(help),
    ..Command::BLANK
};

/// `CLIENT ID`.
static CLIENT_ID: Command = Command {
    name: "id",
    full_name: "client|id",
    summary: "Answers the number of the connection.",
    since: "5.0.0",
    group: "connection",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE),
    categories: Categories::SLOW.union(Categories::CONNECTION),
    handler: Some(id),
    ..Command::BLANK
};

/// `CLIENT INFO`.
static CLIENT_INFO: Command = Command {
    name: "info",
    full_name: "client|info",
    summary: "Describes the connection that asks.",
    since: "6.2.0",
    group: "connection",
    complexity: "O(1)",
    arity: 2,
    flags: Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE).union(Flags::SHOWS_CLIENTS),
    categories: Categories::SLOW.union(Categories::CONNECTION),
    tips: &["nondeterministic_output"],
    handler: Some(info),
    ..Command::BLANK
};

/// `CLIENT KILL`.
static CLIENT_KILL: Command = Command {
    name: "kill",
    full_name: "client|kill",
    summary: "Closes connections that match an address or a set of filters.",
    since: "2.4.0",
    group: "connection",
    complexity: "O(N)",
    arity: -3,
    flags: Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE),
    categories: Categories::ADMIN.union(Categories::SLOW).union(Categories::DANGEROUS).union(Categories::CONNECTION),
    history: &[
        ("2.8.12", "Filters, and several of them, in the new form."),
        ("2.8.12", "Filter `ID`."),
        ("3.2.0", "Type `master`."),
        ("5.0.0", "Type `replica`, beside `slave`."),
        ("6.2.0", "Filter `LADDR`."),
        ("7.4.0", "Filter `MAXAGE`."),
    ],
    args: &[ArgSpec::new("filter", ArgKind::OneOf).children(&[
        ArgSpec::new("old-format", ArgKind::String).display_text("ip:port").deprecated_since("2.8.12"),
        ArgSpec::new("new-format", ArgKind::OneOf).multiple().children(&[
            ArgSpec::new("client-id", ArgKind::Integer).token("ID").since("2.8.12").optional(),
            ArgSpec::new("client-type", ArgKind::OneOf).token("TYPE").since("2.8.12").optional().children(&[
                ArgSpec::pure_token("normal", "NORMAL"),
                ArgSpec::pure_token("master", "MASTER").since("3.2.0"),
                ArgSpec::pure_token("slave", "SLAVE"),
                ArgSpec::pure_token("replica", "REPLICA").since("5.0.0"),
                ArgSpec::pure_token("pubsub", "PUBSUB"),
            ]),
            ArgSpec::new("username", ArgKind::String).token("USER").optional(),
            ArgSpec::new("addr", ArgKind::String).token("ADDR").display_text("ip:port").optional(),
            ArgSpec::new("laddr", ArgKind::String).token("LADDR").display_text("ip:port").since("6.2.0").optional(),
            ArgSpec::new("skipme", ArgKind::OneOf)
                .token("SKIPME")
                .optional()
                .children(&[ArgSpec::pure_token("yes", "YES"), ArgSpec::pure_token("no", "NO")]),
            ArgSpec::new("maxage", ArgKind::Integer).token("MAXAGE").since("7.4.0").optional(),
        ]),
    ])],
    handler: Some(kill),
    ..Command::BLANK
};

/// `CLIENT LIST`.
static CLIENT_LIST: Command = Command {
    name: "list",
    full_name: "client|list",
    summary: "Describes open connections, one a line.",
    since: "2.4.0",
    group: "connection",
    complexity: "O(N)",
    arity: -2,
    flags: Flags::ADMIN.union(Flags::NOSCRIPT).union(Flags::LOADING).union(Flags::STALE).union(Flags::SHOWS_CLIENTS),
    categories: Categories::ADMIN.union(Categories::SLOW).union(Categories::DANGEROUS).union(Categories::CONNECTION),
    tips: &["nondeterministic_output"],
    history: &[
        ("2.8.12", "Field `id`."),
        ("5.0.0", "Filter `TYPE`."),
        ("6.0.0", "Field `user`."),
        ("6.2.0", "Fields `argv-mem`, `tot-mem`, `laddr`, `redir`, and the filter `ID`."),
        ("7.0.0", "Fields `resp`, `multi-mem`, `rbs`, `rbp`."),
        ("7.0.3", "Field `ssub`."),
        ("7.2.0", "Fields `lib-name`, `lib-ver`."),
        ("7.4.0", "Field `watch`."),
        ("8.0.0", "Field `io-thread`."),
    ],
    args: &[
        ArgSpec::new("client-type", ArgKind::OneOf).token("TYPE").since("5.0.0").optional().children(&[
            ArgSpec::pure_token("normal", "NORMAL"),
            ArgSpec::pure_token("master", "MASTER"),
            ArgSpec::pure_token("replica", "REPLICA"),
            ArgSpec::pure_token("pubsub", "PUBSUB"),
        ]),
        ArgSpec::new("client-id", ArgKind::Integer).token("ID").since("6.2.0").optional().multiple(),
    ],
    handler: Some(list),
    ..Command::BLANK
};

/// `CLIENT SETINFO`.
static CLIENT_SETINFO: Command = Command {
    name: "setinfo",
    full_name: "client|setinfo",
    summary: "Notes which client library the connection uses.",
    since: "7.2.0",
    group: "connection",
    complexity: "O(1)",
    arity: 4,
    flags: Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE),
    categories: Categories::SLOW.union(Categories::CONNECTION),
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    args: &[ArgSpec::new("attr", ArgKind::OneOf).children(&[
        ArgSpec::new("libname", ArgKind::String).token("LIB-NAME"),
        ArgSpec::new("libver", ArgKind::String).token("LIB-VER"),
    ])],
    handler: Some(setinfo),
    ..Command::BLANK
};

/// `CLIENT SETNAME`.
static CLIENT_SETNAME: Command = Command {
    name: "setname",
    full_name: "client|setname",
    summary: "Names the connection.",
    since: "2.6.9",
    group: "connection",
    complexity: "O(1)",
    arity: 3,
    flags: Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE),
    categories: Categories::SLOW.union(Categories::CONNECTION),
    tips: &["request_policy:all_nodes", "response_policy:all_succeeded"],
    args: &[ArgSpec::new("connection-name", ArgKind::String)],
    handler: Some(setname),
    ..Command::BLANK
};

/// A client name that CLIENT LIST could not print.
pub(super) const BAD_NAME: CommandError =
    CommandError::fixed("Client names cannot contain spaces, newlines or special characters.");
const NO_SUCH_CLIENT: CommandError = CommandError::fixed("No such client");

const HELP: &[&str] = &[
    "CACHING (YES|NO)",
    "    Say whether the keys of the next command are cached (tracking with OPTIN or OPTOUT).",
    "GETNAME",
    "    Answer the name of this connection.",
    "GETREDIR",
    "    Answer which connection is told of changed keys in the place of this one.",
    "ID",
    "    Answer the number of this connection.",
    "INFO",
    "    Describe this connection.",
    "KILL <ip:port>",
    "    Close the connection from <ip:port>.",
    "KILL <filter> <value> [<filter> <value> [...]]",
    "    Close the connections that pass every filter:",
    "    * ID <number>, ADDR <ip:port>, LADDR <ip:port>, USER <name>",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "    * MAXAGE <seconds>: connected for at least that long",
    "    * SKIPME (YES|NO): spare this connection (the default)",
    "LIST [TYPE (NORMAL|MASTER|REPLICA|PUBSUB)] [ID <number> [...]]",
    "    Describe connections, one a line.",
    "NO-EVICT (ON|OFF)",
    "    Spare this connection when connections are closed to free memory.",
    "NO-TOUCH (ON|OFF)",
    "    Make reading keys leave their age as it is.",
    "PAUSE <milliseconds> [WRITE|ALL]",
    "    Make commands wait for that long: all of them, or those that write.",
    "REPLY (ON|OFF|SKIP)",
    "    Switch replies on or off, or leave out the next one.",
    "SETINFO (LIB-NAME|LIB-VER) <value>",
    "    Note which client library this connection uses.",
    "SETNAME <name>",
    "    Name this connection.",
    "TRACKING (ON|OFF) [REDIRECT <number>] [BCAST] [PREFIX <prefix> [...]]",
    "         [OPTIN] [OPTOUT] [NOLOOP]",
    "    Be told when keys change that this connection may have cached.",
    "TRACKINGINFO",
    "    Answer how this connection is told of changed keys.",
    "UNBLOCK <number> [TIMEOUT|ERROR]",
    "    End the waiting of a blocked connection.",
    "UNPAUSE",
    "    End a pause.",
];

fn help(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.help("client", HELP);
    Ok(())
}

fn id(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    ctx.reply.integer(ctx.session.id as i64);
    Ok(())
}

/// Whether `name` can stand in a line of CLIENT LIST: no blanks, no control characters, ASCII.
pub(super) fn is_valid_name(name: &[u8]) -> bool {
    name.iter().all(|byte| (b'!'..=b'~').contains(byte))
}

/// Names the connection; an empty name takes the name away.
pub(super) fn set_name(session: &mut Session, name: &[u8]) {
    session.name = (!name.is_empty()).then(|| name.into());
}

fn getname(ctx: &mut Context<'_>, _args: Args<'_>) -> Result<(), CommandError> {
    match &ctx.session.name {
        Some(name) => ctx.reply.bulk(name),
        None => ctx.reply.null(),
    }
    Ok(())
}

fn setname(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    if !is_valid_name(args.get(2)) {
        return Err(BAD_NAME);
    }
    set_name(ctx.session, args.get(2));
    ctx.reply.ok();
    Ok(())
}

fn setinfo(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let (option, value) = (args.get(2), args.get(3));
    let field = if option.eq_ignore_ascii_case(b"lib-name") {
        &mut ctx.session.lib_name
    } else if option.eq_ignore_ascii_case(b"lib-ver") {
        &mut ctx.session.lib_ver
    } else {
        return Err(CommandError::quoting("Unrecognized option '", option, usize::MAX, "'"));
    };
    if !is_valid_name(value) {
        let after = " cannot contain spaces, newlines or special characters.";
        return Err(CommandError::quoting("", option, usize::MAX, after));
    }
    *field = (!value.is_empty()).then(|| value.into());
    ctx.reply.ok();
    Ok(())
}

/// The request that asks is shown with the bytes that were received with it. They lie in a buffer that all connections
/// share, of which as much counts as one of Redis' own would have. Returns what to put back with [`hide_request`].
fn show_request(ctx: &mut Context<'_>, args: Args<'_>) -> NetFacts {
    let digits = |number: usize| itoa::Buffer::new().format(number).len();
    let framed = |arg: &[u8]| arg.len() + digits(arg.len()) + 5;
    let before = ctx.session.net.clone();
    let net = &mut ctx.session.net;
    let request = 3 + digits(args.len()) + args.iter().map(framed).sum::<usize>();
    net.qbuf = if net.received > 0 { net.received } else { request };
    net.qbuf_free = net.qbuf_free.max(REPLY_BUFFER_BYTES.saturating_sub(net.qbuf));
    net.argv_mem = args.bytes_total();
    net.arguments = args.len();
    // What a transaction answered so far.
    let mut answered = Unsent::default();
    if let Some(start) = net.reply_start {
        answered.add(ctx.reply.copied_since(start), ctx.reply.bytes_since(start));
    }
    net.output = net.output.with_unsent(answered, net.reply_buffer.size());
    before
}

/// Undoes [`show_request`]: between requests a client has no buffer, as long as none is unfinished.
fn hide_request(ctx: &mut Context<'_>, before: NetFacts) {
    ctx.session.net = before;
}

fn info(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let before = show_request(ctx, args);
    let mut text = Vec::with_capacity(320);
    describe(ctx.session, ctx.state.now_s, &mut text);
    hide_request(ctx, before);
    ctx.reply.verbatim(b"txt", &text);
    Ok(())
}

fn list(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let before = show_request(ctx, args);
    let text = list_text(ctx, args);
    hide_request(ctx, before);
    ctx.reply.verbatim(b"txt", &text?);
    Ok(())
}

fn list_text(ctx: &Context<'_>, args: Args<'_>) -> Result<Vec<u8>, CommandError> {
    let option = if args.len() > 2 { args.get(2) } else { b"" };
    let all = ctx.state.sessions.by_id(ctx.session);
    let open = |session: &&&Session| !session.flags.contains(SessionFlags::CLOSE_ASAP);
    let shown: Vec<&Session> = if args.len() == 2 {
        all.iter().filter(open).copied().collect()
    } else if args.len() == 4 && option.eq_ignore_ascii_case(b"type") {
        let kind = ClientKind::parse(args.get(3))?;
        all.iter().filter(open).filter(|session| kind.includes(session)).copied().collect()
    } else if args.len() > 3 && option.eq_ignore_ascii_case(b"id") {
        let mut chosen = Vec::new();
        for text in args.skip(3).iter() {
            let id = parse_i64(text).ok_or(CommandError::fixed("Invalid client ID"))?;
            let found = all.binary_search_by_key(&id, |session| session.id as i64);
            chosen.extend(found.ok().map(|index| all[index]));
        }
        chosen
    } else {
        return Err(SYNTAX);
    };
    let mut text = Vec::with_capacity(shown.len() * 320);
    for session in shown {
        describe(session, ctx.state.now_s, &mut text);
    }
    Ok(text)
}

/// The classes of clients that filters name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClientKind {
    Normal,
    /// Who listens to something.
    Pubsub,
    /// Masters, replicas: this server has no such connections yet, so no client is of that kind.
    Other,
}

impl ClientKind {
    fn parse(text: &[u8]) -> Result<ClientKind, CommandError> {
        let is = |word: &str| text.eq_ignore_ascii_case(word.as_bytes());
        if is("normal") {
            Ok(ClientKind::Normal)
        } else if is("pubsub") {
            Ok(ClientKind::Pubsub)
        } else if ["master", "slave", "replica"].into_iter().any(is) {
            Ok(ClientKind::Other)
        } else {
            Err(CommandError::quoting("Unknown client type '", text, usize::MAX, "'"))
        }
    }

    fn includes(self, session: &Session) -> bool {
        match self {
            ClientKind::Normal => !session.flags.contains(SessionFlags::PUBSUB),
            ClientKind::Pubsub => session.flags.contains(SessionFlags::PUBSUB),
            ClientKind::Other => false,
        }
    }
}

/// Writes one line of CLIENT LIST.
pub(crate) fn describe(session: &Session, now_s: i64, out: &mut Vec<u8>) {
    let text = |bytes: &Option<Box<[u8]>>| {
        bytes.as_deref().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default()
    };
    let transaction = session.transaction.as_deref();
    let net = &session.net;
    let line = writeln!(
        out,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} db={} sub={} psub={} ssub={} multi={} \
         watch={} qbuf={} qbuf-free={} argv-mem={} multi-mem={} rbs={} rbp={} obl={} oll={} omem={} tot-mem={} events={} cmd={} \
         user={} redir={} resp={} lib-name={} lib-ver={} io-thread={}",
        session.id,
        net.addr,
        net.laddr,
        net.fd,
        text(&session.name),
        (now_s - session.created_s).max(0),
        (now_s - session.last_interaction_s).max(0),
        flag_letters(session.flags),
        session.db,
        session.subscribed[0],
        session.subscribed[1],
        session.subscribed[2],
        if session.in_multi() { transaction.map_or(0, |open| open.queued as i64) } else { -1 },
        session.watched,
        net.qbuf,
        net.qbuf_free,
        net.argv_mem,
        queued_memory(session),
        net.reply_buffer.size(),
        net.reply_buffer.peak(),
        net.output.buffered,
        net.output.blocks,
        net.output.bytes,
        memory_of(session),
        if net.reads_slowly { "rw" } else { "r" },
        session.last_command.map_or("NULL", |command| command.full_name),
        String::from_utf8_lossy(&session.user_name),
        redirect_of(session),
        if session.protocol == Protocol::Resp3 { 3 } else { 2 },
        text(&session.lib_name),
        text(&session.lib_ver),
        net.io_thread,
    );
    line.expect("a vector takes everything");
}

fn flag_letters(flags: SessionFlags) -> String {
    let letters = [
        (SessionFlags::MONITOR, 'O'),
        (SessionFlags::PUBSUB, 'P'),
        (SessionFlags::MULTI, 'x'),
        (SessionFlags::BLOCKED, 'b'),
        (SessionFlags::TRACKING, 't'),
        (SessionFlags::TRACKING_BROKEN_REDIR, 'R'),
        (SessionFlags::TRACKING_BCAST, 'B'),
        (SessionFlags::DIRTY_CAS, 'd'),
        (SessionFlags::CLOSE_AFTER_REPLY, 'c'),
        (SessionFlags::CLOSE_ASAP, 'A'),
        (SessionFlags::UNIX_SOCKET, 'U'),
        (SessionFlags::NO_EVICT, 'e'),
        (SessionFlags::NO_TOUCH, 'T'),
    ];
    let set: String = letters.into_iter().filter(|(flag, _)| flags.contains(*flag)).map(|(_, letter)| letter).collect();
    if set.is_empty() { "N".into() } else { set }
}

/// Which clients CLIENT KILL is about. Each filter that is given has to pass.
struct KillFilter<'a> {
    id: Option<u64>,
    addr: Option<&'a [u8]>,
    laddr: Option<&'a [u8]>,
    user: Option<UserId>,
    kind: Option<ClientKind>,
    max_age_s: i64,
    skip_me: bool,
}

impl<'a> KillFilter<'a> {
    fn parse(args: Args<'a>, users: &Users) -> Result<KillFilter<'a>, CommandError> {
        let mut filter =
            KillFilter { id: None, addr: None, laddr: None, user: None, kind: None, max_age_s: 0, skip_me: true };
        if args.len() == 3 {
            return Ok(KillFilter { addr: Some(args.get(2)), skip_me: false, ..filter });
        }
        for at in (2..args.len()).step_by(2) {
            if at + 1 >= args.len() {
                return Err(SYNTAX);
            }
            filter.add(args.get(at), args.get(at + 1), users)?;
        }
        Ok(filter)
    }

    fn add(&mut self, name: &[u8], value: &'a [u8], users: &Users) -> Result<(), CommandError> {
        let is = |word: &str| name.eq_ignore_ascii_case(word.as_bytes());
        if is("id") {
            let id = parse_i64(value).filter(|&id| id > 0);
            self.id = Some(id.ok_or(CommandError::fixed("client-id should be greater than 0"))? as u64);
        } else if is("maxage") {
            self.max_age_s = parse_i64(value).ok_or(CommandError::fixed("maxage is not an integer or out of range"))?;
            if self.max_age_s <= 0 {
                return Err(CommandError::fixed("maxage should be greater than 0"));
            }
        } else if is("type") {
            self.kind = Some(ClientKind::parse(value)?);
        } else if is("addr") {
            self.addr = Some(value);
        } else if is("laddr") {
            self.laddr = Some(value);
        } else if is("user") {
            let unknown = || CommandError::quoting("No such user '", value, usize::MAX, "'");
            self.user = Some(users.find(value).ok_or_else(unknown)?);
        } else if is("skipme") {
            self.skip_me = match value {
                yes if yes.eq_ignore_ascii_case(b"yes") => true,
                no if no.eq_ignore_ascii_case(b"no") => false,
                _ => return Err(SYNTAX),
            };
        } else {
            return Err(SYNTAX);
        }
        Ok(())
    }

    fn matches(&self, session: &Session, now_s: i64) -> bool {
        let closing = SessionFlags::CLOSE_ASAP;
        self.kind.is_none_or(|kind| kind.includes(session))
            && !session.flags.contains(closing)
            && self.id.is_none_or(|id| id == session.id)
            && self.addr.is_none_or(|addr| addr == session.net.addr.as_bytes())
            && self.laddr.is_none_or(|laddr| laddr == session.net.laddr.as_bytes())
            && self.user.is_none_or(|user| user == session.user)
            && (self.max_age_s == 0 || now_s - session.created_s >= self.max_age_s)
    }
}

fn kill(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let filter = KillFilter::parse(args, &ctx.state.users)?;
    let now_s = ctx.state.now_s;
    let mut killed = 0;
    for session in ctx.state.sessions.iter_mut().filter(|session| filter.matches(session, now_s)) {
        session.flags.insert(SessionFlags::CLOSE_ASAP);
        ctx.state.effects.kill.push(session.slot);
        killed += 1;
    }
    if !filter.skip_me && filter.matches(ctx.session, now_s) {
        ctx.session.flags.insert(SessionFlags::CLOSE_AFTER_REPLY);
        killed += 1;
    }
    match (args.len(), killed) {
        (3, 0) => return Err(NO_SUCH_CLIENT),
        (3, _) => ctx.reply.ok(),
        _ => ctx.reply.integer(killed),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::command::session::{NetFacts, SessionFlags, Slot};
    use crate::engine::Engine;

    fn connect(engine: &mut Engine, slot: u32, addr: &str) -> Slot {
        let net = NetFacts { fd: 7, addr: addr.into(), laddr: "127.0.0.1:6379".into(), ..NetFacts::default() };
        engine.client_connected(Slot(slot), false, net);
        Slot(slot)
    }

    #[test]
    fn a_line_has_redis_fields_in_redis_order() {
        let mut engine = Engine::for_console();
        let slot = connect(&mut engine, 0, "10.0.0.1:5");
        engine.run_in(slot, &["CLIENT", "SETNAME", "me"]);
        engine.run_in(slot, &["CLIENT", "SETINFO", "LIB-NAME", "lib"]);
        engine.run_in(slot, &["WATCH", "k"]);
        engine.advance_ms(3000);
        let line = engine.run_in(slot, &["CLIENT", "INFO"]);
        let memory =
            line.split("tot-mem=").nth(1).and_then(|rest| rest.split(' ').next()).unwrap_or_default().to_string();
        assert_eq!(
            line,
            format!(
                "\"id=1 addr=10.0.0.1:5 laddr=127.0.0.1:6379 fd=7 name=me age=3 idle=0 flags=N db=0 sub=0 psub=0 ssub=0 \
                 multi=-1 watch=1 qbuf=26 qbuf-free=16358 argv-mem=10 multi-mem=0 rbs=16384 rbp=16384 obl=0 oll=0 omem=0 \
                 tot-mem={memory} events=r cmd=client|info user=default redir=-1 resp=2 lib-name=lib lib-ver= \
                 io-thread=0\\n\""
            )
        );
    }

    #[test]
    fn list_filters_by_type_and_number() {
        let mut engine = Engine::for_console();
        let slots = [connect(&mut engine, 0, "a:1"), connect(&mut engine, 1, "a:2")];
        let lines = |engine: &mut Engine, args: &[&str]| engine.run_in(slots[0], args).matches("id=").count();
        assert_eq!(lines(&mut engine, &["CLIENT", "LIST"]), 2);
        assert_eq!(lines(&mut engine, &["CLIENT", "LIST", "TYPE", "NORMAL"]), 2);
        assert_eq!(lines(&mut engine, &["CLIENT", "LIST", "TYPE", "replica"]), 0);
        assert_eq!(lines(&mut engine, &["CLIENT", "LIST", "ID", "2", "2", "77", "-1"]), 2);
        assert_eq!(engine.run(&["CLIENT", "LIST", "TYPE", "x"]), "(error) ERR Unknown client type 'x'");
        assert_eq!(engine.run(&["CLIENT", "LIST", "ID", "x"]), "(error) ERR Invalid client ID");
        assert_eq!(engine.run(&["CLIENT", "LIST", "ID"]), "(error) ERR syntax error");
        assert_eq!(engine.run(&["CLIENT", "LIST", "TYPE", "normal", "ID", "1"]), "(error) ERR syntax error");
    }

    #[test]
    fn kill_marks_others_and_closes_the_caller_after_its_reply() {
        let mut engine = Engine::for_console();
        let me = connect(&mut engine, 0, "a:1");
        let other = connect(&mut engine, 1, "a:2");
        connect(&mut engine, 2, "a:3");
        assert_eq!(engine.run_in(me, &["CLIENT", "KILL", "a:9"]), "(error) ERR No such client");
        assert_eq!(engine.run_in(me, &["CLIENT", "KILL", "a:2"]), "OK");
        assert_eq!(engine.state.effects.take().kill, [other]);
        assert_eq!(engine.run_in(me, &["CLIENT", "KILL", "ID", "2"]), "(integer) 0");
        assert_eq!(engine.run_in(me, &["CLIENT", "KILL", "TYPE", "normal"]), "(integer) 1");
        assert!(!engine.session(me).flags.contains(SessionFlags::CLOSE_AFTER_REPLY));
        assert_eq!(engine.run_in(me, &["CLIENT", "KILL", "SKIPME", "no", "ADDR", "a:1"]), "(integer) 1");
        assert!(engine.session(me).flags.contains(SessionFlags::CLOSE_AFTER_REPLY));
    }

    #[test]
    fn kill_refuses_filters_it_does_not_know() {
        let mut engine = Engine::for_console();
        for (args, error) in [
            (&["ID", "0"][..], "client-id should be greater than 0"),
            (&["ID", "x"], "client-id should be greater than 0"),
            (&["MAXAGE", "x"], "maxage is not an integer or out of range"),
            (&["MAXAGE", "0"], "maxage should be greater than 0"),
            (&["TYPE", "x"], "Unknown client type 'x'"),
            (&["USER", "bob"], "No such user 'bob'"),
            (&["SKIPME", "x"], "syntax error"),
            (&["ID", "1", "ADDR"], "syntax error"),
            (&["FOO", "x"], "syntax error"),
        ] {
            let line = [&["CLIENT", "KILL"], args].concat();
            assert_eq!(engine.run(&line), format!("(error) ERR {error}"), "{line:?}");
        }
    }

    #[test]
    fn names_are_printable() {
        let mut engine = Engine::for_console();
        assert_eq!(engine.run(&["CLIENT", "GETNAME"]), "(nil)");
        assert_eq!(engine.run(&["CLIENT", "SETNAME", "ab"]), "OK");
        assert_eq!(engine.run(&["CLIENT", "GETNAME"]), "\"ab\"");
        assert!(engine.run(&["CLIENT", "SETNAME", "a\n"]).starts_with("(error) ERR Client names cannot contain"));
        assert_eq!(engine.run(&["CLIENT", "SETNAME", ""]), "OK");
        assert_eq!(engine.run(&["CLIENT", "GETNAME"]), "(nil)");
        assert_eq!(engine.run(&["CLIENT", "SETINFO", "x", "y"]), "(error) ERR Unrecognized option 'x'");
        assert_eq!(
            engine.run(&["CLIENT", "SETINFO", "LIB-VER", "a b"]),
            "(error) ERR LIB-VER cannot contain spaces, newlines or special characters."
        );
    }
}
