//! Publish/subscribe as its clients see it, command by command.

#![forbid(unsafe_code)]

use crate::command::session::{SessionFlags, Slot};
use crate::engine::Engine;
use crate::resp::decode::Value;
use crate::resp::reply::Protocol;

/// Runs one command and returns its reply, or several, as on the wire but with blanks for line ends.
fn raw(engine: &mut Engine, slot: Slot, line: &str) -> String {
    let args: Vec<&str> = line.split(' ').collect();
    let values = engine.run_values(slot, &args);
    let null = if engine.session(slot).protocol == Protocol::Resp3 { "_" } else { "$-1" };
    values.iter().map(|value| wire(value, null)).collect()
}

fn wire(value: &Value, null: &str) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let all = |items: &[Value]| items.iter().map(|item| wire(item, null)).collect::<String>();
    let (head, items) = match value {
        Value::Status(bytes) => (format!("+{}", text(bytes)), String::new()),
        Value::Error(bytes) => (format!("-{}", text(bytes)), String::new()),
        Value::Integer(number) => (format!(":{number}"), String::new()),
        Value::Bulk(bytes) => (format!("${} {}", bytes.len(), text(bytes)), String::new()),
        Value::Null | Value::NullArray => (null.to_owned(), String::new()),
        Value::Array(items) => (format!("*{}", items.len()), all(items)),
        Value::Push(items) => (format!(">{}", items.len()), all(items)),
        Value::Map(pairs) => (format!("%{}", pairs.len()), String::new()),
        other => panic!("no such reply: {other:?}"),
    };
    format!("{head} {items}")
}

/// What the outbox holds for a client, and empties it.
fn letters(engine: &mut Engine, to: Slot) -> String {
    let outbox = engine.state.effects.take().outbox;
    let texts = outbox.letters().iter().filter(|letter| letter.to == to);
    let texts = texts.map(|letter| String::from_utf8_lossy(&outbox.bytes()[letter.text.clone()]).into_owned());
    texts.collect::<String>().replace("\r\n", " ")
}

const REFUSED: &str = "only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in this context";

#[test]
fn confirmations_count() {
    let mut engine = Engine::for_console();
    let slot = engine.connect(0);
    let mut run = |line: &str| raw(&mut engine, slot, line);
    assert_eq!(run("SUBSCRIBE a b a"), "*3 $9 subscribe $1 a :1 *3 $9 subscribe $1 b :2 *3 $9 subscribe $1 a :2 ");
    assert_eq!(run("PSUBSCRIBE p*"), "*3 $10 psubscribe $2 p* :3 ");
    assert_eq!(run("SSUBSCRIBE s"), "*3 $10 ssubscribe $1 s :1 ");
    assert_eq!(run("UNSUBSCRIBE zz"), "*3 $11 unsubscribe $2 zz :3 ");
    assert_eq!(run("UNSUBSCRIBE a b"), "*3 $11 unsubscribe $1 a :2 *3 $11 unsubscribe $1 b :1 ");
    assert_eq!(run("UNSUBSCRIBE"), "*3 $11 unsubscribe $-1 :1 ");
    assert_eq!(run("SUNSUBSCRIBE"), "*3 $12 sunsubscribe $1 s :0 ");
    assert_eq!(run("PUNSUBSCRIBE"), "*3 $12 punsubscribe $2 p* :0 ");
    assert_eq!(run("PUNSUBSCRIBE"), "*3 $12 punsubscribe $-1 :0 ");
    assert_eq!(run("GET k"), "$-1 ");
    assert_eq!(run("HELLO 3").split(' ').next(), Some("%7"));
    assert_eq!(run("SUBSCRIBE a"), ">3 $9 subscribe $1 a :1 ");
    assert_eq!(run("PUNSUBSCRIBE"), ">3 $12 punsubscribe _ :1 ");
    assert_eq!(run("GET k"), "_ ");
}

#[test]
fn who_listens_over_resp2_may_do_little_else() {
    let mut engine = Engine::for_console();
    let slot = engine.connect(0);
    let mut run = |line: &str| raw(&mut engine, slot, line);
    run("SUBSCRIBE a");
    assert_eq!(run("GET k"), format!("-ERR Can't execute 'get': {REFUSED} "));
    assert_eq!(run("client list"), format!("-ERR Can't execute 'client|list': {REFUSED} "));
    assert_eq!(run("GET"), "-ERR wrong number of arguments for 'get' command ");
    let exec = format!("-EXECABORT Transaction discarded because of: Can't execute 'exec': {REFUSED} ");
    assert_eq!(run("EXEC"), exec);
    assert_eq!(run("PING"), "*2 $4 pong $0  ");
    assert_eq!(run("PING x"), "*2 $4 pong $1 x ");
    assert_eq!(run("PING x y"), "-ERR wrong number of arguments for 'ping' command ");
    assert_eq!(run("RESET"), "+RESET ");
    assert_eq!(run("PING"), "+PONG ");
    run("HELLO 3");
    run("SUBSCRIBE a");
    assert_eq!(run("PING"), "+PONG ");
    run("HELLO 2");
    assert_eq!(run("GET k"), format!("-ERR Can't execute 'get': {REFUSED} "));
    assert_eq!(run("QUIT"), "+OK ");
}

#[test]
fn messages_reach_channels_patterns_and_shards() {
    let mut engine = Engine::for_console();
    let [one, two] = [0, 1].map(|slot| engine.connect(slot));
    raw(&mut engine, one, "HELLO 3");
    for line in ["SUBSCRIBE news", "PSUBSCRIBE n*", "SSUBSCRIBE news"] {
        raw(&mut engine, one, line);
    }
    raw(&mut engine, two, "SUBSCRIBE news");
    assert_eq!(engine.run(&["PUBLISH", "news", "hi"]), "(integer) 3");
    let told = letters(&mut engine, one);
    assert_eq!(told, ">3 $7 message $4 news $2 hi >4 $8 pmessage $2 n* $4 news $2 hi ");
    assert_eq!(engine.run(&["PUBLISH", "n", "x"]), "(integer) 1");
    assert_eq!(letters(&mut engine, two), "");
    assert_eq!(engine.run(&["SPUBLISH", "news", "x"]), "(integer) 1");
    assert_eq!(letters(&mut engine, one), ">3 $8 smessage $4 news $1 x ");
    engine.client_gone(one);
    assert_eq!(engine.run(&["PUBLISH", "news", "hi"]), "(integer) 1");
    assert_eq!(letters(&mut engine, two), "*3 $7 message $4 news $2 hi ");
    engine.client_gone(two);
    assert_eq!(engine.run(&["PUBLISH", "news", "hi"]), "(integer) 0");
    assert!(engine.state.effects.outbox.is_empty());
}

#[test]
fn a_transaction_holds_confirmations_and_no_messages() {
    let mut engine = Engine::for_console();
    let slot = engine.connect(0);
    for line in ["MULTI", "PUBLISH a 1", "SUBSCRIBE a b", "PUBLISH a 2", "PING", "GET k"] {
        raw(&mut engine, slot, line);
    }
    let answer = raw(&mut engine, slot, "EXEC");
    assert_eq!(answer, "*5 :0 *3 $9 subscribe $1 a :1 *3 $9 subscribe $1 b :2 :1 *2 $4 pong $0  $-1 ");
    assert_eq!(letters(&mut engine, slot), "*3 $7 message $1 a $1 2 ");
    assert_eq!(raw(&mut engine, slot, "MULTI"), format!("-ERR Can't execute 'multi': {REFUSED} "));
}

#[test]
fn pushes_come_where_replies_do_not() {
    let mut engine = Engine::for_console();
    let slot = engine.connect(0);
    raw(&mut engine, slot, "HELLO 3");
    assert_eq!(raw(&mut engine, slot, "CLIENT REPLY OFF"), "");
    assert_eq!(raw(&mut engine, slot, "SUBSCRIBE a"), ">3 $9 subscribe $1 a :1 ");
    assert_eq!(raw(&mut engine, slot, "PUBLISH a x"), "");
    assert_eq!(letters(&mut engine, slot), ">3 $7 message $1 a $1 x ");
    assert_eq!(raw(&mut engine, slot, "UNSUBSCRIBE"), ">3 $11 unsubscribe $1 a :0 ");
    assert_eq!(raw(&mut engine, slot, "PING"), "");
    assert_eq!(raw(&mut engine, slot, "CLIENT REPLY ON"), "+OK ");
    assert_eq!(raw(&mut engine, slot, "PING"), "+PONG ");
}

#[test]
fn pubsub_tells_who_listens() {
    let mut engine = Engine::for_console();
    let slot = engine.connect(0);
    for line in ["HELLO 3", "SUBSCRIBE abc abd x", "PSUBSCRIBE a* b*", "SSUBSCRIBE s"] {
        raw(&mut engine, slot, line);
    }
    assert_eq!(engine.run(&["PUBSUB", "CHANNELS", "ab*"]), "1) \"abc\"\n2) \"abd\"");
    assert_eq!(engine.run(&["PUBSUB", "SHARDCHANNELS"]), "1) \"s\"");
    assert_eq!(
        engine.run(&["PUBSUB", "NUMSUB", "x", "nobody"]),
        "1) \"x\"\n2) (integer) 1\n3) \"nobody\"\n4) (integer) 0"
    );
    assert_eq!(engine.run(&["PUBSUB", "SHARDNUMSUB", "s"]), "1) \"s\"\n2) (integer) 1");
    assert_eq!(engine.run(&["PUBSUB", "NUMSUB"]), "(empty array)");
    assert_eq!(engine.run(&["PUBSUB", "NUMPAT"]), "(integer) 2");
    assert_eq!(
        engine.run(&["PUBSUB", "channels", "a", "b"]),
        "(error) ERR unknown subcommand or wrong number of arguments for 'channels'. Try PUBSUB HELP."
    );
    let line = engine.run(&["CLIENT", "LIST", "TYPE", "PUBSUB"]);
    assert!(line.contains(" flags=P ") && line.contains(" sub=3 psub=2 ssub=1 "), "{line}");
    assert!(!engine.run(&["CLIENT", "LIST", "TYPE", "NORMAL"]).contains("flags=P"));
    let info = engine.run(&["INFO", "everything"]);
    for field in ["pubsub_channels:3", "pubsub_patterns:2", "pubsubshard_channels:1", "pubsub_clients:1"] {
        assert!(info.contains(field), "{field}");
    }
    assert_eq!(engine.run(&["CLIENT", "KILL", "TYPE", "PUBSUB"]), "(integer) 1");
    assert_eq!(engine.state.effects.take().kill, [slot]);
    assert!(engine.session(slot).flags.contains(SessionFlags::CLOSE_ASAP));
}
