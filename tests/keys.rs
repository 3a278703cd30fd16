//! The commands on keys and databases, as transcripts of what Redis 8.0 answers.
//!
//! Drives the built binary over sockets; knows nothing of its code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::collections::BTreeSet;

use harness::{Client, Server, Value, play, play_on};

#[test]
fn deleting_and_asking() {
    play(
        &Server::start(),
        r#"
        MSET a 1 b 2 c 3 d 4                => +OK
        EXISTS a b none a                   => :3
        TOUCH a b none                      => :2
        TYPE a                              => +string
        TYPE none                           => +none
        DEL a none                          => :1
        DEL b b                             => :1
        UNLINK c none                       => :1
        DBSIZE                              => :1
        DEL                                 => -ERR wrong number of arguments for 'del' command
        UNLINK                              => -ERR wrong number of arguments for 'unlink' command
        EXISTS                              => -ERR wrong number of arguments for 'exists' command
        TOUCH                               => -ERR wrong number of arguments for 'touch' command
        TYPE                                => -ERR wrong number of arguments for 'type' command
        TYPE a b                            => -ERR wrong number of arguments for 'type' command
        DBSIZE x                            => -ERR wrong number of arguments for 'dbsize' command
        "#,
    );
}

#[test]
fn renaming() {
    play(
        &Server::start(),
        r#"
        RENAME none x                       => -ERR no such key
        RENAMENX none x                     => -ERR no such key
        RENAME none none                    => -ERR no such key
        SET a 1                             => +OK
        RENAME a b                          => +OK
        GET b                               => "1"
        EXISTS a                            => :0
        RENAME b b                          => +OK
        RENAMENX b b                        => :0
        SET c 3 EX 100                      => +OK
        RENAMENX b c                        => :0
        RENAME c b                          => +OK
        GET b                               => "3"
        TTL b                               => :99..100
        SET plain x                         => +OK
        RENAME plain b                      => +OK
        TTL b                               => :-1
        RENAMENX b new                      => :1
        KEYS *                              => ["new"]
        RENAME a                            => -ERR wrong number of arguments for 'rename' command
        RENAMENX a                          => -ERR wrong number of arguments for 'renamenx' command
        "#,
    );
}

#[test]
fn patterns_of_keys() {
    play(
        &Server::start(),
        r#"
        KEYS *                              => []
        MSET hello 1                        => +OK
        KEYS h?llo                          => ["hello"]
        KEYS h[a-e]llo                      => ["hello"]
        KEYS h[^e]llo                       => []
        KEYS h*o                            => ["hello"]
        KEYS HELLO                          => []
        KEYS *l*l*                          => ["hello"]
        KEYS hell                           => []
        KEYS h[el]*                         => ["hello"]
        KEYS h[z-a]llo                      => ["hello"]
        KEYS "h\\ello"                      => ["hello"]
        KEYS ""                             => []
        KEYS [                              => []
        KEYS h[                             => []
        DEL hello                           => :1
        MSET "a*b" 1                        => +OK
        KEYS "a\\*b"                        => ["a*b"]
        KEYS "a\\?b"                        => []
        KEYS                                => -ERR wrong number of arguments for 'keys' command
        "#,
    );
}

#[test]
fn a_pattern_of_many_stars_is_no_trap() {
    let server = Server::start();
    let mut client = server.connect();
    let key = "a".repeat(1000);
    assert_eq!(client.command(&["SET", &key, "v"]).to_string(), "+OK");
    let pattern = format!("{}b", "a*".repeat(60));
    assert_eq!(client.command(&["KEYS", &pattern]).to_string(), "[]");
    assert_eq!(client.command(&["SCAN", "0", "MATCH", &pattern, "COUNT", "10"]).to_string(), "[\"0\", []]");
}

#[test]
fn databases_are_apart() {
    play(
        &Server::start(),
        r#"
        SET k zero                          => +OK
        SELECT 1                            => +OK
        GET k                               => (nil)
        SET k one                           => +OK
        b: GET k                            => "zero"
        b: SELECT 15                        => +OK
        b: DBSIZE                           => :0
        b: SELECT 16                        => -ERR DB index is out of range
        b: SELECT -1                        => -ERR DB index is out of range
        b: SELECT x                         => -ERR value is not an integer or out of range
        b: SELECT 1.0                       => -ERR value is not an integer or out of range
        b: SELECT ""                        => -ERR value is not an integer or out of range
        b: SELECT 2147483648                => -ERR value is out of range, value must between -2147483648 and 2147483647
        b: SELECT -2147483649               => -ERR value is out of range, value must between -2147483648 and 2147483647
        b: SELECT 99999999999999999999      => -ERR value is not an integer or out of range
        b: SELECT                           => -ERR wrong number of arguments for 'select' command
        b: SELECT 1 2                       => -ERR wrong number of arguments for 'select' command
        b: SELECT 1                         => +OK
        b: GET k                            => "one"
        FLUSHDB                             => +OK
        b: DBSIZE                           => :0
        b: SELECT 0                         => +OK
        b: GET k                            => "zero"
        b: FLUSHALL ASYNC                   => +OK
        b: DBSIZE                           => :0
        SET k v                             => +OK
        FLUSHDB ASYNC                       => +OK
        SET k v                             => +OK
        FLUSHDB SYNC                        => +OK
        DBSIZE                              => :0
        FLUSHALL SYNC                       => +OK
        FLUSHALL nosuch                     => -ERR syntax error
        FLUSHDB nosuch                      => -ERR syntax error
        FLUSHDB SYNC ASYNC                  => -ERR syntax error
        RESET                               => +RESET
        SET k again                         => +OK
        b: GET k                            => "again"
        "#,
    );
}

#[test]
fn databases_are_a_setting() {
    play(
        &Server::with("--databases 2"),
        r#"
        SELECT 1                            => +OK
        SELECT 2                            => -ERR DB index is out of range
        "#,
    );
}

#[test]
fn connection_commands() {
    play(
        &Server::start(),
        r#"
        PING                                => +PONG
        PING "a b"                          => "a b"
        PING a b                            => -ERR wrong number of arguments for 'ping' command
        ECHO hello                          => "hello"
        ECHO                                => -ERR wrong number of arguments for 'echo' command
        ECHO a b                            => -ERR wrong number of arguments for 'echo' command
        ping                                => +PONG
        AUTH x                              => -ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?
        AUTH default x                      => +OK
        AUTH nobody x                       => -WRONGPASS invalid username-password pair or user is disabled.
        AUTH a b c                          => -ERR syntax error
        AUTH                                => -ERR wrong number of arguments for 'auth' command
        RESET                               => +RESET
        RESET x                             => -ERR wrong number of arguments for 'reset' command
        TIME x                              => -ERR wrong number of arguments for 'time' command
        NOSUCH                              => -ERR unknown command 'NOSUCH', with args beginning with:
        nosuch a b c                        => -ERR unknown command 'nosuch', with args beginning with: 'a' 'b' 'c'
        NOSUCH "a'b" "\x00"                 => -ERR unknown command 'NOSUCH', with args beginning with: 'a'b' ''
        "#,
    );
    let server = Server::start();
    let mut client = server.connect();
    let time = client.run("TIME").items();
    let seconds = time[0].text().parse::<u64>().unwrap();
    assert!(seconds > 1_700_000_000 && time[1].text().parse::<u32>().unwrap() < 1_000_000);
    client.send(b"QUIT x y\r\nPING\r\n");
    assert_eq!(client.read_to_close(), b"+OK\r\n");
}

#[test]
fn a_password_is_asked_for() {
    play(
        &Server::with("--requirepass secret"),
        r#"
        GET k                               => -NOAUTH Authentication required.
        PING                                => -NOAUTH Authentication required.
        AUTH wrong                          => -WRONGPASS invalid username-password pair or user is disabled.
        AUTH default wrong                  => -WRONGPASS invalid username-password pair or user is disabled.
        AUTH nobody secret                  => -WRONGPASS invalid username-password pair or user is disabled.
        HELLO 3 AUTH default wrong          => -WRONGPASS invalid username-password pair or user is disabled.
        HELLO 3 AUTH default secret         => {"server": "redis", ...
        GET k                               => _
        b: AUTH secret                      => +OK
        b: GET k                            => (nil)
        b: AUTH wrong                       => -WRONGPASS invalid username-password pair or user is disabled.
        b: GET k                            => (nil)
        b: CONFIG SET requirepass ""        => +OK
        c: GET k                            => (nil)
        b: CONFIG SET requirepass other     => +OK
        c: GET k                            => (nil)
        d: GET k                            => -NOAUTH Authentication required.
        d: AUTH other                       => +OK
        "#,
    );
}

#[test]
fn scan_answers_and_refuses() {
    play(
        &Server::start(),
        r#"
        SCAN 0                              => ["0", []]
        SET hello 1                         => +OK
        SCAN 0                              => ["0", ["hello"]]
        SCAN 0 COUNT 100 MATCH h*           => ["0", ["hello"]]
        SCAN 0 MATCH x*                     => ["0", []]
        SCAN 0 TYPE string                  => ["0", ["hello"]]
        SCAN 0 TYPE STRING                  => ["0", ["hello"]]
        SCAN 0 TYPE hash                    => ["0", []]
        SCAN 0 TYPE nosuch                  => ["0", []]
        SCAN x                              => -ERR invalid cursor
        SCAN -1                             => -ERR invalid cursor
        SCAN ""                             => -ERR invalid cursor
        SCAN 0 COUNT 0                      => -ERR syntax error
        SCAN 0 COUNT x                      => -ERR value is not an integer or out of range
        SCAN 0 COUNT                        => -ERR syntax error
        SCAN 0 nosuch                       => -ERR syntax error
        SCAN 0 nosuch x                     => -ERR syntax error
        SCAN 99999999999999999999           => -ERR invalid cursor
        SCAN                                => -ERR wrong number of arguments for 'scan' command
        RANDOMKEY                           => "hello"
        DEL hello                           => :1
        RANDOMKEY                           => (nil)
        "#,
    );
}

/// Every key that a whole scan returns.
fn scan_all(client: &mut Client, options: &str) -> Vec<String> {
    let mut cursor = "0".to_owned();
    let mut keys = Vec::new();
    loop {
        let reply = client.run(&format!("SCAN {cursor} {options}")).items();
        keys.extend(reply[1].items().iter().map(Value::text));
        cursor = reply[0].text();
        if cursor == "0" {
            return keys;
        }
    }
}

#[test]
fn scan_returns_every_key() {
    let server = Server::start();
    let mut client = server.connect();
    for index in 0..10_000 {
        client.send_command(&["SET", &format!("key:{index}"), "v"]);
    }
    (0..10_000).for_each(|_| assert_eq!(client.reply().to_string(), "+OK"));
    for options in ["", "COUNT 1", "COUNT 100", "COUNT 100000", "COUNT 500 TYPE string"] {
        let keys = scan_all(&mut client, options);
        let distinct = keys.iter().collect::<BTreeSet<_>>();
        assert_eq!(distinct.len(), 10_000, "{options}");
        assert_eq!(keys.len(), 10_000, "a table at rest returns no key twice: {options}");
        if options == "COUNT 1" {
            break;
        }
    }
    assert_eq!(scan_all(&mut client, "MATCH key:77* COUNT 1000").len(), 111);
    assert_eq!(client.run("KEYS key:77*").items().len(), 111);
    assert_eq!(client.run("DBSIZE"), Value::Integer(10_000));
}

#[test]
fn scan_returns_every_key_that_stays_while_the_table_is_resized() {
    let server = Server::start();
    let mut scanner = server.connect();
    let mut writer = server.connect();
    for index in 0..2000 {
        assert_eq!(scanner.command(&["SET", &format!("stay:{index}"), "v"]).to_string(), "+OK");
    }
    for (grow, count) in [(true, 40_000), (false, 40_000)] {
        let mut cursor = "0".to_owned();
        let mut seen = BTreeSet::new();
        let mut done = 0;
        loop {
            let reply = scanner.run(&format!("SCAN {cursor} COUNT 20")).items();
            seen.extend(reply[1].items().iter().map(Value::text));
            cursor = reply[0].text();
            if cursor == "0" {
                break;
            }
            let step = (count - done).min(600);
            for index in done..done + step {
                let key = format!("come:{index}");
                writer.send_command(&set_or_delete(grow, &key));
            }
            (0..step).for_each(|_| assert!(!matches!(writer.reply(), Value::Error(_))));
            done += step;
        }
        for index in done..count {
            let key = format!("come:{index}");
            writer.command(&set_or_delete(grow, &key));
        }
        let stayed = seen.iter().filter(|key| key.starts_with("stay:")).count();
        assert_eq!(stayed, 2000, "while the table {}", if grow { "grew" } else { "shrank" });
    }
}

fn set_or_delete(set: bool, key: &str) -> Vec<&str> {
    if set { vec!["SET", key, "v"] } else { vec!["DEL", key] }
}

#[test]
fn random_keys_are_spread() {
    let server = Server::start();
    let mut client = server.connect();
    for index in 0..100 {
        assert_eq!(client.command(&["SET", &index.to_string(), "v"]).to_string(), "+OK");
    }
    let mut counts = vec![0; 100];
    for _ in 0..5000 {
        counts[client.run("RANDOMKEY").text().parse::<usize>().unwrap()] += 1;
    }
    let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
    assert!(*least >= 1 && *most <= 400, "5000 draws of 100 keys: {least}..{most}");
}

#[test]
fn flushing_a_million_keys_serves_others() {
    let server = Server::start();
    let mut client = server.connect();
    let keys = (0..200_000).map(|index| format!("key:{index}")).collect::<Vec<_>>();
    for chunk in keys.chunks(1000) {
        let mut args = vec!["MSET"];
        chunk.iter().for_each(|key| args.extend([key.as_str(), "value of some length to be freed again"]));
        assert_eq!(client.command(&args).to_string(), "+OK");
    }
    play_on(
        &mut client,
        "
        DBSIZE              => :200000
        FLUSHALL ASYNC      => +OK
        DBSIZE              => :0
        GET key:7           => (nil)
        SET key:7 v         => +OK
        DBSIZE              => :1
        KEYS *              => [\"key:7\"]
        ",
    );
}
