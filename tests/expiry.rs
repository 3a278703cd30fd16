//! Keys with a time to live: setting it, reading it, and what becomes of the keys.
//!
//! Drives the built binary over sockets; knows nothing of its code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::time::{Duration, Instant};

use harness::{Server, Value, eventually, play, play_on};

#[test]
fn setting_and_reading() {
    play(
        &Server::start(),
        r#"
        EXPIRE none 100                     => :0
        TTL none                            => :-2
        PTTL none                           => :-2
        EXPIRETIME none                     => :-2
        PEXPIRETIME none                    => :-2
        PERSIST none                        => :0
        SET k v                             => +OK
        TTL k                               => :-1
        PTTL k                              => :-1
        EXPIRETIME k                        => :-1
        PEXPIRETIME k                       => :-1
        PERSIST k                           => :0
        EXPIRE k 100                        => :1
        TTL k                               => :99..100
        PTTL k                              => :99000..100000
        PEXPIRE k 100500                    => :1
        TTL k                               => :100..101
        PERSIST k                           => :1
        TTL k                               => :-1
        EXPIREAT k 33177117420              => :1
        EXPIRETIME k                        => :33177117420
        PEXPIRETIME k                       => :33177117420000
        PEXPIREAT k 33177117420123          => :1
        PEXPIRETIME k                       => :33177117420123
        EXPIRETIME k                        => :33177117420
        PEXPIREAT k 33177117420500          => :1
        EXPIRETIME k                        => :33177117421
        SET k v                             => +OK
        EXPIRE k -1                         => :1
        EXISTS k                            => :0
        SET k v                             => +OK
        EXPIRE k 0                          => :1
        EXISTS k                            => :0
        SET k v                             => +OK
        EXPIREAT k 1                        => :1
        EXISTS k                            => :0
        SET k v                             => +OK
        PEXPIREAT k -5                      => :1
        EXISTS k                            => :0
        "#,
    );
}

#[test]
fn conditions() {
    play(
        &Server::start(),
        r#"
        SET k v                             => +OK
        EXPIRE k 100 XX                     => :0
        EXPIRE k 100 GT                     => :0
        EXPIRE k 100 NX                     => :1
        EXPIRE k 200 NX                     => :0
        EXPIRE k 200 GT                     => :1
        TTL k                               => :199..200
        EXPIRE k 100 GT                     => :0
        EXPIRE k 100 LT                     => :1
        TTL k                               => :99..100
        EXPIRE k 200 LT                     => :0
        EXPIRE k 300 XX GT                  => :1
        EXPIRE k 50 XX LT                   => :1
        PERSIST k                           => :1
        EXPIRE k 100 LT                     => :1
        PERSIST k                           => :1
        EXPIRE k 100 XX LT                  => :0
        EXPIRE k 100 NX XX                  => -ERR NX and XX, GT or LT options at the same time are not compatible
        EXPIRE k 100 NX GT                  => -ERR NX and XX, GT or LT options at the same time are not compatible
        EXPIRE k 100 GT LT                  => -ERR GT and LT options at the same time are not compatible
        EXPIRE k 100 nosuch                 => -ERR Unsupported option nosuch
        EXPIRE k 100 NX NX                  => :1
        EXPIRE k -1 GT                      => :0
        EXPIRE k -1 LT                      => :1
        EXISTS k                            => :0
        EXPIRE none 100 nosuch              => -ERR Unsupported option nosuch
        EXPIRE none 100 NX XX               => -ERR NX and XX, GT or LT options at the same time are not compatible
        "#,
    );
}

#[test]
fn refusals() {
    play(
        &Server::start(),
        r#"
        SET k v                             => +OK
        EXPIRE k x                          => -ERR value is not an integer or out of range
        EXPIRE k 1.5                        => -ERR value is not an integer or out of range
        EXPIRE k ""                         => -ERR value is not an integer or out of range
        EXPIRE k 9223372036854775807        => -ERR invalid expire time in 'expire' command
        EXPIRE k 9223372036854776           => -ERR invalid expire time in 'expire' command
        EXPIRE k -9223372036854775808       => -ERR invalid expire time in 'expire' command
        PEXPIRE k 9223372036854775807       => -ERR invalid expire time in 'pexpire' command
        EXPIREAT k 9223372036854775807      => -ERR invalid expire time in 'expireat' command
        PEXPIREAT k 9223372036854775807     => :1
        PEXPIRETIME k                       => :9223372036854775807
        PEXPIREAT k 9223372036854775808     => -ERR value is not an integer or out of range
        EXPIRE none x                       => -ERR value is not an integer or out of range
        EXPIRE k                            => -ERR wrong number of arguments for 'expire' command
        PEXPIRE                             => -ERR wrong number of arguments for 'pexpire' command
        TTL                                 => -ERR wrong number of arguments for 'ttl' command
        TTL k k                             => -ERR wrong number of arguments for 'ttl' command
        PERSIST                             => -ERR wrong number of arguments for 'persist' command
        PEXPIREAT k                         => -ERR wrong number of arguments for 'pexpireat' command
        "#,
    );
}

#[test]
fn expired_keys_are_gone_for_every_command() {
    let server = Server::start();
    let mut client = server.connect();
    for command in [
        "GET k => (nil)",
        "EXISTS k => :0",
        "TYPE k => +none",
        "TTL k => :-2",
        "STRLEN k => :0",
        "APPEND k x => :1",
        "INCR k => :1",
        "SETNX k x => :1",
        "SET k x NX => +OK",
        "SET k x XX => (nil)",
        "SET k x KEEPTTL GET => (nil)",
        "GETSET k x => (nil)",
        "GETDEL k => (nil)",
        "GETEX k PERSIST => (nil)",
        "GETRANGE k 0 -1 => \"\"",
        "SETRANGE k 0 x => :1",
        "MGET k => [(nil)]",
        "RENAME k l => -ERR no such key",
        "DEL k => :0",
        "UNLINK k => :0",
        "TOUCH k => :0",
        "EXPIRE k 100 => :0",
        "PERSIST k => :0",
        "KEYS * => []",
        "SCAN 0 => [\"0\", []]",
        "RANDOMKEY => (nil)",
        "MSETNX k x => :1",
        "INCRBYFLOAT k 1.5 => \"1.5\"",
        "LCS k k => \"\"",
    ] {
        play_on(&mut client, "FLUSHALL => +OK\n SET k 41 PX 1 => +OK");
        std::thread::sleep(Duration::from_millis(3));
        play_on(&mut client, command);
        if command.starts_with("APPEND") || command.starts_with("INCR ") {
            play_on(&mut client, "TTL k => :-1");
        }
    }
}

#[test]
fn keys_expire_on_time() {
    let server = Server::start();
    let mut client = server.connect();
    let start = Instant::now();
    assert_eq!(client.run("SET k v PX 300").to_string(), "+OK");
    let mut last_seen = Duration::ZERO;
    while client.run("GET k") != Value::NilBulk {
        last_seen = start.elapsed();
        std::thread::sleep(Duration::from_millis(1));
    }
    let gone = start.elapsed();
    assert!(gone >= Duration::from_millis(299), "gone after {gone:?}");
    assert!(last_seen < Duration::from_millis(400), "still there after {last_seen:?}");
}

#[test]
fn nobody_has_to_ask_for_expired_keys_to_go() {
    const KEYS: usize = 20_000;
    let server = Server::start();
    let mut client = server.connect();
    for index in 0..KEYS {
        let time = (50 + index % 500).to_string();
        client.send_command(&["SET", &format!("short:{index}"), "v", "PX", &time]);
    }
    (0..KEYS).for_each(|_| assert_eq!(client.reply().to_string(), "+OK"));
    play_on(&mut client, "MSET a 1 b 2 => +OK\n EXPIRE a 1000 => :1");
    eventually("all short-lived keys are gone", || client.run("DBSIZE") == Value::Integer(2));
    assert_eq!(server.info("stats", "expired_keys"), KEYS.to_string());
    assert!(server.info("keyspace", "db0").starts_with("keys=2,expires=1,avg_ttl="));
}

#[test]
fn ttl_counts_of_the_keyspace() {
    play(
        &Server::start(),
        r#"
        SET a 1 EX 100                      => +OK
        SET b 1                             => +OK
        SELECT 3                            => +OK
        SET c 1                             => +OK
        PERSIST a                           => :0
        INFO keyspace                       => *
        FLUSHALL                            => +OK
        INFO keyspace                       => *
        "#,
    );
}

/// The events that a listener was told of so far, one behind the other.
fn heard(listener: &mut harness::Client, count: usize) -> Vec<String> {
    let text = |value: &Value| value.text().to_owned();
    let event = |message: Value| format!("{} {}", text(&message.items()[2]), text(&message.items()[3]));
    (0..count).map(|_| event(listener.reply()).replace("__keyevent@0__:", "")).collect()
}

/// Nobody sees a field any more whose time is over, whatever the answer looks like.
#[test]
fn fields_that_are_over_are_seen_by_nobody() {
    let server = Server::with("--enable-debug-command yes");
    for (entries, encoding) in [(100, "listpackex"), (0, "hashtable")] {
        let mut client = server.connect();
        client.run("FLUSHALL");
        client.run("DEBUG SET-ACTIVE-EXPIRE 0");
        client.run(&format!("CONFIG SET hash-max-listpack-entries {entries}"));
        client.run("HSET k a 1 b 2");
        client.run("HSET w1 f 1 g 2");
        client.run("RPUSH l 1");
        client.run("HPEXPIRE w1 1 FIELDS 1 f");
        client.run("HPEXPIRE k 1 FIELDS 1 a");
        assert_eq!(client.run("OBJECT ENCODING k").text(), encoding);
        eventually("the time is over", || client.run("HPTTL k FIELDS 1 a").items()[0].integer() == -2);
        assert_eq!(client.run("HGETALL k").items().len(), 2);
        assert_eq!(client.run("HSCAN k 0").items()[1].items().len(), 2);
        assert_eq!(client.run("HKEYS k").items()[0].text(), "b");
        assert_eq!(client.run("HLEN k").integer(), 2);
        client.send(b"SORT l BY nosort GET w*->f GET w*->g\r\nHLEN w1\r\n");
        client.expect(b"*2\r\n$-1\r\n$1\r\n2\r\n:1\r\n");
        client.run("HELLO 3");
        client.send(b"HGETALL k\r\nHGET k a\r\nHLEN k\r\nHMGET k a b\r\n");
        client.expect(b"%1\r\n$1\r\nb\r\n$1\r\n2\r\n_\r\n:1\r\n*2\r\n_\r\n$1\r\n2\r\n");
        client.send(b"HTTL k FIELDS 2 a b\r\nHGETEX k FIELDS 1 a\r\nHSETEX k PX 1 FIELDS 1 b 3\r\n");
        client.expect(b"*2\r\n:-2\r\n:-1\r\n*1\r\n_\r\n:1\r\n");
        assert!(server.info("keyspace", "db0").ends_with("subexpiry=2"));
    }
}

/// Fields go although nobody comes upon them, the last of them takes the key along, and all who should hear of it do.
#[test]
fn fields_expire_by_themselves() {
    let server = Server::with("--enable-debug-command yes --notify-keyspace-events Ehgx");
    let (mut client, mut listener, mut watcher) = (server.connect(), server.connect(), server.connect());
    listener.run("PSUBSCRIBE __keyevent@0__:*");
    client.run("HSET k a 1 b 2");
    assert_eq!(watcher.run("WATCH k").text(), "OK");
    client.run("HPEXPIRE k 1 FIELDS 1 a");
    assert_eq!(heard(&mut listener, 3), ["hset k", "hexpire k", "hexpired k"]);
    assert_eq!(client.run("HLEN k").integer(), 1);
    assert_eq!(server.info("stats", "expired_subkeys"), "1");
    assert!(server.info("keyspace", "db0").ends_with("subexpiry=0"));
    watcher.send(b"MULTI\r\nEXEC\r\nWATCH k\r\n");
    watcher.expect(b"+OK\r\n*-1\r\n+OK\r\n");
    client.run("HPEXPIRE k 20 FIELDS 1 b");
    assert_eq!(heard(&mut listener, 3), ["hexpire k", "hexpired k", "del k"]);
    watcher.send(b"MULTI\r\nEXEC\r\n");
    watcher.expect(b"+OK\r\n*-1\r\n");
    assert_eq!(client.run("EXISTS k").integer(), 0);
    assert_eq!(server.info("stats", "expired_keys"), "0");
    client.run("DEBUG SET-ACTIVE-EXPIRE 0");
    client.run("HSETEX k PX 1 FIELDS 1 a 1");
    assert_eq!(heard(&mut listener, 2), ["hset k", "hexpire k"]);
    assert!(listener.is_silent_for(Duration::from_millis(250)));
    assert_eq!(client.run("HLEN k").integer(), 1);
    client.run("DEBUG SET-ACTIVE-EXPIRE 1");
    assert_eq!(heard(&mut listener, 2), ["hexpired k", "del k"]);
}

/// Who tracks a key hears of fields that went, by themselves or because somebody came upon them.
#[test]
fn who_tracks_a_hash_hears_of_its_fields() {
    let server = Server::with("--enable-debug-command yes");
    let (mut client, mut tracker) = (server.connect(), server.connect());
    client.run("HSET k a 1 b 2 c 3");
    tracker.run("HELLO 3");
    assert_eq!(tracker.run("CLIENT TRACKING on").text(), "OK");
    let invalid = b">2\r\n$10\r\ninvalidate\r\n*1\r\n$1\r\nk\r\n";
    client.run("DEBUG SET-ACTIVE-EXPIRE 0");
    client.run("HPEXPIRE k 1 FIELDS 1 a");
    eventually("the time is over", || client.run("HPTTL k FIELDS 1 a").items()[0].integer() == -2);
    tracker.run("HLEN k");
    client.run("HGET k a");
    tracker.expect(invalid);
    tracker.run("HLEN k");
    client.run("HPEXPIRE k 10 FIELDS 1 b");
    tracker.expect(invalid);
    tracker.run("HLEN k");
    client.run("DEBUG SET-ACTIVE-EXPIRE 1");
    tracker.expect(invalid);
    assert_eq!(client.run("HLEN k").integer(), 1);
}
