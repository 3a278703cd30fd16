//! AUTH and HELLO. Main thread.

#![forbid(unsafe_code)]

use crate::acl::{Reason, UserId};
use crate::base::integer::parse_i64;
use crate::command::context::Context;
use crate::command::error::{CommandError, SYNTAX};
use crate::command::facts::REDIS_VERSION;
use crate::command::session::SessionFlags;
use crate::command::spec::{ArgKind, ArgSpec, Categories, Command, Flags};
use crate::commands::connection::client::{BAD_NAME, is_valid_name, set_name};
use crate::resp::args::Args;
use crate::resp::reply::Protocol;

/// `AUTH`.
pub(super) static AUTH: Command = Command {
    name: "auth",
    full_name: "auth",
    summary: "Proves who the client is, by password or by user name and password.",
    since: "1.0.0",
    group: "connection",
    complexity: "O(N)",
    arity: -2,
    flags: Flags::NOSCRIPT
        .union(Flags::LOADING)
        .union(Flags::STALE)
        .union(Flags::FAST)
        .union(Flags::NO_AUTH)
        .union(Flags::ALLOW_BUSY),
    categories: Categories::FAST.union(Categories::CONNECTION),
    history: &[("6.0.0", "A user name may be given (ACL).")],
    args: &[
        ArgSpec::new("username", ArgKind::String).since("6.0.0").optional(),
        ArgSpec::new("password", ArgKind::String),
    ],
    handler: Some(auth),
    ..Command::BLANK
};

/// `HELLO`.
pub(super) static HELLO: Command = Command {
    name: "hello",
    full_name: "hello",
    summary: "Greets the server: agrees on a protocol version, and may authenticate and name the connection at once.",
    since: "6.0.0",
    group: "connection",
    complexity: "O(1)",
    arity: -1,
    flags: Flags::NOSCRIPT
        .union(Flags::LOADING)
        .union(Flags::STALE)
        .union(Flags::FAST)
        .union(Flags::NO_AUTH)
        .union(Flags::ALLOW_BUSY),
    categories: Categories::FAST.union(Categories::CONNECTION),
    history: &[("6.2.0", "`protover` may be left out: the protocol then stays as it is.")],
    args: &[ArgSpec::new("arguments", ArgKind::Block).optional().children(&[
        ArgSpec::new("protover", ArgKind::Integer),
        ArgSpec::new("auth", ArgKind::Block)
            .token("AUTH")
            .optional()
            .children(&[ArgSpec::new("username", ArgKind::String), ArgSpec::new("password", ArgKind::String)]),
        ArgSpec::new("clientname", ArgKind::String).token("SETNAME").optional(),
    ])],
    handler: Some(hello),
    ..Command::BLANK
};

const WRONG_PASSWORD: CommandError =
    CommandError::fixed("-WRONGPASS invalid username-password pair or user is disabled.");
const NO_PASSWORD_SET: CommandError = CommandError::fixed(
    "AUTH <password> called without any password configured for the default user. \
     Are you sure your configuration is correct?",
);
const HELLO_NO_AUTH: CommandError = CommandError::fixed(
    "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> \
     option can be used to authenticate the client and select the RESP protocol version at the same time",
);

/// Who logs in where no name is given.
const DEFAULT_USER: &[u8] = b"default";

fn auth(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    match args.len() {
        2 if ctx.state.users.get(UserId::DEFAULT).needs_no_password() => return Err(NO_PASSWORD_SET),
        2 => authenticate(ctx, args.get(0), DEFAULT_USER, args.get(1))?,
        3 => authenticate(ctx, args.get(0), args.get(1), args.get(2))?,
        _ => return Err(SYNTAX),
    }
    ctx.reply.ok();
    Ok(())
}

/// Logs the caller in, or logs the attempt. `command` is the word that the client sent for it.
fn authenticate(ctx: &mut Context<'_>, command: &[u8], name: &[u8], password: &[u8]) -> Result<(), CommandError> {
    let users = &ctx.state.users;
    let found = users.find(name).map(|id| (id, users.get(id)));
    if let Some((id, user)) = found
        && user.is_enabled()
        && user.has_password(password)
    {
        ctx.session.set_user(id, user);
        ctx.session.flags.insert(SessionFlags::AUTHENTICATED);
        return Ok(());
    }
    ctx.state.log_refusal(ctx.session, Reason::Auth, command, name);
    Err(WRONG_PASSWORD)
}

/// What HELLO was asked for beside a protocol.
#[derive(Default)]
struct Greeting<'a> {
    protocol: Option<Protocol>,
    credentials: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

fn parse_hello(args: Args<'_>) -> Result<Greeting<'_>, CommandError> {
    let mut greeting = Greeting::default();
    if args.len() < 2 {
        return Ok(greeting);
    }
    let version =
        parse_i64(args.get(1)).ok_or(CommandError::fixed("Protocol version is not an integer or out of range"))?;
    greeting.protocol = Some(match version {
        2 => Protocol::Resp2,
        3 => Protocol::Resp3,
        _ => return Err(CommandError::fixed("-NOPROTO unsupported protocol version")),
    });
    let mut at = 2;
    while at < args.len() {
        let option = args.get(at);
        let more = args.len() - 1 - at;
        if option.eq_ignore_ascii_case(b"AUTH") && more >= 2 {
            greeting.credentials = Some((args.get(at + 1), args.get(at + 2)));
            at += 3;
        } else if option.eq_ignore_ascii_case(b"SETNAME") && more >= 1 {
            let name = args.get(at + 1);
            if !is_valid_name(name) {
                return Err(BAD_NAME);
            }
            greeting.name = Some(name);
            at += 2;
        } else {
            return Err(CommandError::quoting("Syntax error in HELLO option '", option, usize::MAX, "'"));
        }
    }
    Ok(greeting)
}

fn hello(ctx: &mut Context<'_>, args: Args<'_>) -> Result<(), CommandError> {
    let greeting = parse_hello(args)?;
    if let Some((user, password)) = greeting.credentials {
        authenticate(ctx, args.get(0), user, password)?;
    }
    if !ctx.state.lets_in(ctx.session) {
        return Err(HELLO_NO_AUTH);
    }
    if let Some(name) = greeting.name {
        set_name(ctx.session, name);
    }
    if let Some(protocol) = greeting.protocol {
        ctx.session.protocol = protocol;
        ctx.reply.set_protocol(protocol);
    }
    let reply = &mut *ctx.reply;
    reply.map(7);
    reply.bulk(b"server");
    reply.bulk(b"redis");
    reply.bulk(b"version");
    reply.bulk(REDIS_VERSION.as_bytes());
    reply.bulk(b"proto");
    reply.integer(if ctx.session.protocol == Protocol::Resp3 { 3 } else { 2 });
    reply.bulk(b"id");
    reply.integer(ctx.session.id as i64);
    reply.bulk(b"mode");
    reply.bulk(b"standalone");
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"modules");
    reply.array(0);
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use crate::engine::Engine;

    fn guarded() -> Engine {
        Engine::for_console_with(Config { requirepass: b"secret"[..].into(), ..Config::default() })
    }

    const WRONG: &str = "(error) WRONGPASS invalid username-password pair or user is disabled.";

    #[test]
    fn unknown_commands_and_arity_come_before_authentication() {
        let mut engine = guarded();
        assert_eq!(engine.run(&["PING"]), "(error) NOAUTH Authentication required.");
        assert_eq!(engine.run(&["NOSUCH"]), "(error) ERR unknown command 'NOSUCH', with args beginning with: ");
        assert_eq!(engine.run(&["SELECT"]), "(error) ERR wrong number of arguments for 'select' command");
        assert_eq!(engine.run(&["RESET"]), "RESET");
        assert_eq!(engine.run(&["AUTH", "wrong"]), WRONG);
        assert_eq!(engine.run(&["AUTH", "bob", "secret"]), WRONG);
        assert_eq!(engine.run(&["AUTH", "default", "secret", "x"]), "(error) ERR syntax error");
        assert_eq!(engine.run(&["AUTH", "secret"]), "OK");
        assert_eq!(engine.run(&["PING"]), "PONG");
        assert_eq!(engine.run(&["RESET"]), "RESET");
        assert_eq!(engine.run(&["PING"]), "(error) NOAUTH Authentication required.");
        assert_eq!(engine.run(&["AUTH", "default", "secret"]), "OK");
        assert_eq!(engine.state.stats.auth_denied, 2);
    }

    #[test]
    fn without_a_password_everybody_is_let_in() {
        let mut engine = Engine::for_console();
        assert!(engine.run(&["AUTH", "x"]).starts_with("(error) ERR AUTH <password> called without any password"));
        assert_eq!(engine.run(&["AUTH", "default", "x"]), "OK");
        assert_eq!(engine.run(&["AUTH", "bob", "x"]), WRONG);
    }

    #[test]
    fn hello_checks_in_redis_order() {
        let mut engine = guarded();
        let bad_name = "(error) ERR Client names cannot contain spaces, newlines or special characters.";
        assert_eq!(engine.run(&["HELLO", "x"]), "(error) ERR Protocol version is not an integer or out of range");
        assert_eq!(engine.run(&["HELLO", "4", "FOO"]), "(error) NOPROTO unsupported protocol version");
        assert_eq!(engine.run(&["HELLO", "3", "AUTH", "a"]), "(error) ERR Syntax error in HELLO option 'AUTH'");
        assert_eq!(engine.run(&["HELLO", "3", "AUTH", "bob", "x", "SETNAME", "a b"]), bad_name);
        assert_eq!(engine.run(&["HELLO", "3", "AUTH", "default", "x"]), WRONG);
        assert!(engine.run(&["HELLO"]).starts_with("(error) NOAUTH HELLO must be called with the client already"));
        let greeting = engine.run(&["HELLO", "3", "SETNAME", "me", "AUTH", "default", "secret"]);
        assert!(greeting.starts_with("1# \"server\" => \"redis\"\n2# \"version\" => \"8."), "{greeting}");
        assert!(greeting.contains("\n3# \"proto\" => (integer) 3\n"), "{greeting}");
        assert_eq!(engine.run(&["CLIENT", "GETNAME"]), "\"me\"");
        assert!(engine.run(&["HELLO", "2"]).starts_with(" 1) \"server\"\n 2) \"redis\""));
    }
}
