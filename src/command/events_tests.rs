//! Which events which commands announce, in which order: as redis-server 8.0.6 does.

#![forbid(unsafe_code)]

use crate::base::quoting::split;
use crate::command::session::Slot;
use crate::config::KeyspaceEvents;
use crate::engine::Engine;

const LISTENER: Slot = Slot(1);

/// An engine with a client that listens to every event.
fn engine(events: &str) -> Engine {
    let mut engine = Engine::for_console();
    assert_eq!(engine.run(&["CONFIG", "SET", "notify-keyspace-events", events]), "OK");
    let slot = engine.connect(LISTENER.0);
    engine.run_in(slot, &["PSUBSCRIBE", "__key*__:*"]);
    engine
}

/// The events since the last call: `event key`, or in another database `event 2:key`.
fn heard(engine: &mut Engine) -> String {
    let outbox = engine.state.effects.take().outbox;
    let mut events = Vec::new();
    for letter in outbox.letters() {
        assert_eq!(letter.to, LISTENER);
        let text = String::from_utf8_lossy(&outbox.bytes()[letter.text.clone()]).into_owned();
        let words: Vec<&str> = text.split("\r\n").collect();
        let (channel, payload) = (words[6], words[8]);
        let (db, event) =
            channel.strip_prefix("__keyevent@").and_then(|rest| rest.split_once("__:")).expect("an event");
        events.push(if db == "0" { format!("{event} {payload}") } else { format!("{event} {db}:{payload}") });
    }
    events.join(", ")
}

/// (command, events), one after the other.
const ANNOUNCED: &[(&str, &str)] = &[
    ("SET k v", "new k, set k"),
    ("SET k w EX 100", "set k, expire k"),
    ("SET k v NX", ""),
    ("SET nokey v XX GET", "keymiss nokey"),
    ("SETEX k 100 v", "set k, expire k"),
    ("GETSET k3 v", "keymiss k3, new k3, set k3"),
    ("GETDEL k3", "del k3"),
    ("GETDEL k3", "keymiss k3"),
    ("GETEX k", ""),
    ("GETEX k EX 100", "expire k"),
    ("GETEX k PERSIST", "persist k"),
    ("GETEX k PERSIST", ""),
    ("GETEX k EXAT 1", "del k"),
    ("APPEND k x", "new k, append k"),
    ("APPEND k \"\"", "append k"),
    ("SETRANGE k8 3 zz", "new k8, setrange k8"),
    ("SETRANGE k8 0 \"\"", ""),
    ("STRLEN nokey", "keymiss nokey"),
    ("MSET a 1 b 2 a 3", "new a, set a, new b, set b, set a"),
    ("MSETNX a 1 c 2", ""),
    ("MSETNX c 1 d 2", "new c, set c, new d, set d"),
    ("MGET a nokey b", "keymiss nokey"),
    ("INCR c", "incrby c"),
    ("DECRBY c2 5", "new c2, incrby c2"),
    ("INCRBYFLOAT c 1.5", "incrbyfloat c"),
    ("LCS nokey a", "keymiss nokey"),
    ("DEL a nokey b", "del a, del b"),
    ("UNLINK c2", "del c2"),
    ("EXPIRE k 100", "expire k"),
    ("EXPIRE k 100 NX", ""),
    ("PERSIST k", "persist k"),
    ("EXPIRE k 0", "del k"),
    ("TTL nokey", "keymiss nokey"),
    ("TYPE nokey", "keymiss nokey"),
    ("EXISTS nokey d", "keymiss nokey"),
    ("TOUCH nokey d", "keymiss nokey"),
    ("OBJECT ENCODING nokey", ""),
    ("RENAME d e", "new e, rename_from d, rename_to e"),
    ("RENAME e c", "new c, rename_from e, rename_to c"),
    ("RENAME c c", ""),
    ("COPY c f", "new f, copy_to f"),
    ("COPY c f REPLACE", "new f, copy_to f"),
    ("COPY c f DB 1", "new 1:f, copy_to 1:f"),
    ("MOVE f 2", "new 2:f, move_from f, move_to 2:f"),
    ("MOVE nokey 2", ""),
    ("FLUSHALL", ""),
];

#[test]
fn commands_announce_what_they_do() {
    let mut engine = engine("EAnm");
    for (command, events) in ANNOUNCED {
        engine.run(&split(command.as_bytes()).expect("balanced"));
        assert_eq!(heard(&mut engine), *events, "{command}");
    }
}

/// The same for lists, sets, hashes and sorted sets.
const OF_COLLECTIONS: &[(&str, &str)] = &[
    ("LPUSH l a", "new l, lpush l"),
    ("RPUSH l b c", "rpush l"),
    ("LPUSHX l z", "lpush l"),
    ("RPUSHX nokey z", ""),
    ("LSET l 0 y", "lset l"),
    ("LINSERT l BEFORE b q", "linsert l"),
    ("LINSERT l BEFORE nope q", ""),
    ("LREM l 0 q", "lrem l"),
    ("LREM l 0 nope", ""),
    ("LTRIM l 0 2", "ltrim l"),
    ("LMOVE l l2 LEFT RIGHT", "new l2, rpush l2, lpop l"),
    ("LMOVE l l LEFT RIGHT", "rpush l, lpop l"),
    ("LPOP l2", "lpop l2, del l2"),
    ("LMPOP 1 l LEFT", "lpop l"),
    ("BRPOP l 0", "rpop l, del l"),
    ("LLEN l", "keymiss l"),
    ("SADD s a b c", "new s, sadd s"),
    ("SADD s a", ""),
    ("SREM s a nope", "srem s"),
    ("SMOVE s s2 b", "srem s, new s2, sadd s2"),
    ("SMOVE s s c", ""),
    ("SUNIONSTORE d s s2", "new d, sunionstore d"),
    ("SDIFFSTORE d s", "sdiffstore d"),
    ("SDIFFSTORE d s s", "del d"),
    ("SPOP s", "spop s, del s"),
    ("SINTER s s2", "keymiss s"),
    ("HSET h a 1 b 2", "new h, hset h"),
    ("HSETNX h a 1", ""),
    ("HINCRBY h2 a 1", "new h2, hincrby h2"),
    ("HINCRBYFLOAT h2 a 1.5", "hincrbyfloat h2"),
    ("HDEL h a nope", "hdel h"),
    ("HGETDEL h FIELDS 1 b", "hdel h, del h"),
    ("HGET h a", "keymiss h"),
    ("ZADD z 1 a 2 b 3 c", "new z, zadd z"),
    ("ZADD z 1 a", ""),
    ("ZINCRBY z 1 b", "zincr z"),
    ("ZPOPMIN z", "zpopmin z"),
    ("ZMPOP 1 z MAX", "zpopmax z"),
    ("ZRANGESTORE zd z 0 -1", "new zd, zrangestore zd"),
    ("ZUNIONSTORE zd 1 nokey", "keymiss nokey, del zd"),
    ("ZREMRANGEBYRANK z 0 -1", "zremrangebyrank z, del z"),
    ("ZSCORE z a", "keymiss z"),
];

#[test]
fn collections_announce_what_happens_to_them() {
    let mut engine = engine("EAnm");
    for (command, events) in OF_COLLECTIONS {
        engine.run(&split(command.as_bytes()).expect("balanced"));
        assert_eq!(heard(&mut engine), *events, "{command}");
    }
}

#[test]
fn an_expired_key_is_announced_before_what_comes_upon_it() {
    for (command, events) in [
        ("GET e", "expired e, keymiss e"),
        ("SET e w", "expired e, new e, set e"),
        ("INCR e", "expired e, new e, incrby e"),
        ("DEL e", "expired e"),
        ("MGET e e", "expired e, keymiss e, keymiss e"),
        ("RENAME k e", "expired e, new e, rename_from k, rename_to e"),
        ("COPY k e", "expired e, new e, copy_to e"),
        ("OBJECT ENCODING e", "expired e"),
        ("SCAN 0", "expired e"),
        ("KEYS *", ""),
        ("PING", ""),
    ] {
        let mut engine = engine("EAnm");
        engine.run(&["MSET", "k", "v", "e", "1"]);
        engine.run(&["PEXPIRE", "e", "5"]);
        heard(&mut engine);
        engine.advance_ms(10);
        engine.run(&split(command.as_bytes()).expect("balanced"));
        assert_eq!(heard(&mut engine), events, "{command}");
    }
    let mut engine = engine("Ex");
    engine.run(&["SET", "e", "v", "PX", "5"]);
    engine.advance_ms(10);
    engine.cron();
    assert_eq!(heard(&mut engine), "expired e");
}

#[test]
fn classes_and_channels_are_chosen() {
    let mut engine = engine("E$");
    engine.run(&["SET", "k", "v", "EX", "9"]);
    assert_eq!(heard(&mut engine), "set k");
    engine.run(&["CONFIG", "SET", "notify-keyspace-events", "Eg"]);
    engine.run(&["SET", "k", "v", "EX", "9"]);
    assert_eq!(heard(&mut engine), "expire k");
    for silent in ["A", "E", "K", ""] {
        engine.run(&["CONFIG", "SET", "notify-keyspace-events", silent]);
        engine.run(&["SET", "k", "v"]);
        assert_eq!(heard(&mut engine), "", "{silent}");
    }
    engine.run(&["CONFIG", "SET", "notify-keyspace-events", "KA"]);
    engine.run(&["SET", "k", "v"]);
    let outbox = engine.state.effects.take().outbox;
    let text = String::from_utf8_lossy(outbox.bytes()).into_owned();
    assert!(text.contains("\r\n__keyspace@0__:k\r\n$3\r\nset\r\n"), "{text}");
}

#[test]
fn nothing_is_done_for_nobody() {
    let mut engine = Engine::for_console();
    engine.run(&["CONFIG", "SET", "notify-keyspace-events", "KEA"]);
    assert!(engine.state.announced.is_empty() && !engine.state.observes_keys);
    let slot = engine.connect(0);
    engine.run_in(slot, &["SUBSCRIBE", "x"]);
    assert_eq!(engine.state.announced, KeyspaceEvents::ALL | KeyspaceEvents::KEYSPACE | KeyspaceEvents::KEYEVENT);
    assert!(engine.state.observes_keys);
    engine.client_gone(slot);
    assert!(engine.state.announced.is_empty() && !engine.state.observes_keys);
}

#[test]
fn a_transaction_announces_behind_its_replies() {
    let mut engine = engine("EA");
    let slot = engine.connect(2);
    for line in [&["MULTI"][..], &["SET", "q", "v"], &["DEL", "q"]] {
        engine.run_in(slot, line);
    }
    assert_eq!(heard(&mut engine), "");
    assert_eq!(engine.run_in(slot, &["EXEC"]), "1) OK\n2) (integer) 1");
    assert_eq!(heard(&mut engine), "set q, del q");
}
