//! Lists, sets, hashes and sorted sets as clients see them: what waits for them, and what big ones are like to live with.
//!
//! Drives the built binary over sockets; knows nothing of its code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::time::{Duration, Instant};

use harness::{Client, Server, Value, eventually, play};

/// A moment in which nothing must come.
const QUIET: Duration = Duration::from_millis(60);

fn blocked(server: &Server, count: &str) {
    eventually("clients are blocked", || server.info("clients", "blocked_clients") == count);
}

#[test]
fn who_waits_for_a_list_is_served() {
    let server = Server::start();
    let (mut waiting, mut writer) = (server.connect(), server.connect());
    // What comes behind a command that waits is executed behind it.
    waiting.send(b"BLPOP k 0\r\nPING\r\nBLPOP k other 0\r\n");
    blocked(&server, "1");
    assert!(waiting.is_silent_for(QUIET));
    assert_eq!(writer.run("RPUSH k a").integer(), 1);
    waiting.expect(b"*2\r\n$1\r\nk\r\n$1\r\na\r\n+PONG\r\n");
    blocked(&server, "1");
    assert_eq!(server.info("clients", "total_blocking_keys"), "2");
    // A transaction serves at its end, with what is left then.
    writer.send(b"MULTI\r\nRPUSH other a b\r\nLPOP other\r\nEXEC\r\nLLEN other\r\n");
    waiting.expect(b"*2\r\n$5\r\nother\r\n$1\r\nb\r\n");
    writer.expect(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:2\r\n$1\r\na\r\n:0\r\n");
    blocked(&server, "0");
}

/// Nobody takes anything along who is killed before the transaction that would serve them is over.
#[test]
fn the_killed_are_not_served() {
    let server = Server::start();
    for (wait, feed, left) in [
        ("BLPOP k 0", "RPUSH k 1", "LLEN k"),
        ("BZPOPMIN k 0", "ZADD k 1 a", "ZCARD k"),
        ("BLMOVE k other LEFT LEFT 0", "RPUSH k 1", "LLEN k"),
    ] {
        let (mut waiting, mut writer) = (server.connect(), server.connect());
        let id = waiting.run("CLIENT ID").integer();
        waiting.send(format!("{wait}\r\n").as_bytes());
        blocked(&server, "1");
        writer.send(format!("MULTI\r\n{feed}\r\nCLIENT KILL ID {id}\r\nEXEC\r\n").as_bytes());
        writer.expect(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n:1\r\n");
        blocked(&server, "0");
        assert_eq!(writer.run(left).integer(), 1, "{wait}");
        assert_eq!(writer.run("EXISTS other").integer(), 0, "{wait}");
        writer.run("DEL k");
    }
}

/// Redis does so: once, when the wait is over.
#[test]
fn the_slow_log_has_a_wait_once() {
    let server = Server::start();
    let (mut waiting, mut writer) = (server.connect(), server.connect());
    writer.run("CONFIG SET slowlog-log-slower-than 0");
    writer.run("SLOWLOG RESET");
    waiting.send(b"BLPOP k 0\r\n");
    blocked(&server, "1");
    let before = writer.run("SLOWLOG LEN").integer();
    writer.send(b"RPUSH k 1\r\nSLOWLOG LEN\r\n");
    // RPUSH, BLPOP, and the SLOWLOG LEN before them.
    writer.expect(format!(":1\r\n:{}\r\n", before + 3).as_bytes());
    waiting.send(b"BLPOP k 0.01\r\n");
    waiting.expect(b"*2\r\n$1\r\nk\r\n$1\r\n1\r\n*-1\r\n");
    let entry = format!("{:?}", writer.run("SLOWLOG GET 1"));
    assert!(entry.contains(&format!("{:?}", Value::Bulk(b"0.01".to_vec()))), "{entry}");
}

#[test]
fn waiting_ends_by_time_and_with_the_client() {
    let server = Server::start();
    let (mut waiting, mut gone) = (server.connect(), server.connect());
    let start = Instant::now();
    waiting.send_command(&["BZPOPMIN", "k", "0.05"]);
    waiting.expect(b"*-1\r\n");
    assert!(start.elapsed() >= Duration::from_millis(49));
    gone.send_command(&["BLMOVE", "k", "other", "LEFT", "LEFT", "0"]);
    blocked(&server, "1");
    drop(gone);
    blocked(&server, "0");
    assert_eq!(waiting.run("RPUSH k a").integer(), 1);
    assert_eq!(waiting.run("LLEN k").integer(), 1);
}

fn add_many(client: &mut Client, command: &str, count: usize, pairs: bool) {
    for first in (0..count).step_by(1000) {
        let mut args = vec![command.to_owned(), "big".to_owned()];
        for number in first..first + 1000 {
            if pairs {
                args.push(number.to_string());
            }
            args.push(format!("member{number}"));
        }
        client.command(&args);
    }
}

#[test]
fn big_ones_come_and_go() {
    let server = Server::with("--enable-debug-command yes");
    let mut client = server.connect();
    for (command, pairs, len, encoding) in [
        ("RPUSH", false, "LLEN", "quicklist"),
        ("SADD", false, "SCARD", "hashtable"),
        ("HSET", true, "HLEN", "hashtable"),
        ("ZADD", true, "ZCARD", "skiplist"),
    ] {
        add_many(&mut client, command, 20_000, pairs);
        assert_eq!(client.run(&format!("{len} big")).integer(), 20_000, "{command}");
        assert_eq!(client.run("OBJECT ENCODING big").text(), encoding);
        let Value::Bulk(payload) = client.run("DUMP big") else { panic!("a payload") };
        assert_eq!(client.run("COPY big copy").integer(), 1);
        assert_eq!(client.run("UNLINK big").integer(), 1);
        assert_eq!(client.command(&[&b"RESTORE"[..], b"big", b"0", &payload]).text(), "OK");
        let digests = client.run("DEBUG DIGEST-VALUE big copy");
        assert_eq!(digests.items()[0], digests.items()[1], "{command}");
        client.run("FLUSHALL ASYNC");
        eventually("memory is given back", || server.info("memory", "lazyfree_pending_objects") == "0");
        // The two keys, and what UNLINK took; a list of so few nodes it frees in place.
        let freed = if encoding == "quicklist" { "2" } else { "3" };
        eventually("what was freed is counted", || server.info("memory", "lazyfreed_objects") == freed);
        client.run("CONFIG RESETSTAT");
    }
    server.assert_serves();
}

/// What is freed elsewhere under each parameter, as Redis 8.0.6 counts it.
#[test]
fn parameters_say_what_is_freed_elsewhere() {
    const PARAMETERS: [&str; 3] = ["lazyfree-lazy-server-del", "lazyfree-lazy-expire", "lazyfree-lazy-user-del"];
    let server = Server::with("--enable-debug-command yes");
    let mut client = server.connect();
    let mut freed_by = |commands: &[&str], parameter: &str| {
        for name in PARAMETERS {
            client.run(&format!("CONFIG SET {name} no"));
        }
        client.run("DEL big other small");
        add_many(&mut client, "SADD", 1000, false);
        client.run("SADD other x y");
        client.run("SET small v");
        client.run("CONFIG RESETSTAT");
        client.run(&format!("CONFIG SET {parameter} yes"));
        for command in commands {
            client.run(command);
        }
        // Left to itself, what was to expire has by then.
        eventually("nothing expires", || server.info("keyspace", "db0").contains(",expires=0,"));
        eventually("nothing waits", || server.info("memory", "lazyfree_pending_objects") == "0");
        server.info("memory", "lazyfreed_objects")
    };
    let cases: &[(&[&str], [&str; 3])] = &[
        (&["SET big v"], ["1", "0", "0"]),
        (&["SET big v EX 100", "PERSIST big"], ["1", "0", "0"]),
        (&["MSET big v"], ["1", "0", "0"]),
        (&["RENAME small big"], ["1", "0", "0"]),
        (&["COPY small big REPLACE"], ["1", "0", "0"]),
        (&["SUNIONSTORE big other"], ["1", "0", "0"]),
        (&["SINTERSTORE big other none"], ["1", "0", "0"]),
        (&["ZUNIONSTORE big 1 other"], ["1", "0", "0"]),
        (&["BITOP NOT big small"], ["1", "0", "0"]),
        (&["SORT none STORE big"], ["1", "0", "0"]),
        (&["SUNION big other"], ["1", "0", "0"]),
        (&["ZDIFF 2 big other"], ["1", "0", "0"]),
        (&["MOVE big 1", "SELECT 1", "DEL big", "SELECT 0"], ["0", "0", "1"]),
        (&["EXPIRE big -1"], ["0", "1", "0"]),
        (&["DEBUG SET-ACTIVE-EXPIRE 0", "PEXPIRE big 1", "DEBUG SLEEP 0.01", "EXISTS big"], ["0", "1", "0"]),
        (&["DEBUG SET-ACTIVE-EXPIRE 1", "PEXPIRE big 1"], ["0", "1", "0"]),
        (&["DEL big"], ["0", "0", "1"]),
        (&["UNLINK big"], ["1", "1", "1"]),
        (&["SREM other x", "SET small w", "DEL small other", "SINTER big"], ["0", "0", "0"]),
    ];
    for (commands, expected) in cases {
        for (parameter, expected) in PARAMETERS.into_iter().zip(expected) {
            assert_eq!(freed_by(commands, parameter), *expected, "{commands:?} with {parameter}");
        }
    }
    server.assert_serves();
}

/// Replies that are longer than any buffer, alone, in a pipeline and in a transaction, to a client that reads late.
#[test]
fn long_replies_arrive_whole() {
    const ELEMENTS: usize = 100_000;
    let server = Server::start();
    let mut client = server.connect();
    add_many(&mut client, "RPUSH", ELEMENTS, false);
    client.run("SETRANGE value 99999 x");
    let bulk = |bytes: &[u8]| [format!("${}\r\n", bytes.len()).as_bytes(), bytes, b"\r\n"].concat();
    let mut list = format!("*{ELEMENTS}\r\n").into_bytes();
    (0..ELEMENTS).for_each(|number| list.extend(bulk(format!("member{number}").as_bytes())));
    let mut value = vec![0; 99_999];
    value.push(b'x');
    let value = bulk(&value);
    client.send(b"LRANGE big 0 -1\r\n");
    client.expect(&list);
    client.send(b"PING\r\nLRANGE big 0 -1\r\nGET value\r\nLRANGE big 0 -1\r\nECHO x\r\n");
    client.send(b"MULTI\r\nLRANGE big 0 -1\r\nGET value\r\nGET\r\nLRANGE big 0 2\r\nLRANGE big 0 -1\r\nEXEC\r\n");
    client.send(b"MULTI\r\nLRANGE big 0 -1\r\nGET value\r\nLRANGE big 0 0\r\nLRANGE big 0 -1\r\nEXEC\r\nPING\r\n");
    // Somebody else's replies stand between in the meantime.
    let mut other = server.connect();
    other.run("PING");
    other.send(b"LRANGE big 0 -1\r\n");
    let refusal = b"-ERR wrong number of arguments for 'get' command\r\n";
    let aborted = b"-EXECABORT Transaction discarded because of previous errors.\r\n";
    let one = [&b"*1\r\n"[..], &bulk(b"member0")].concat();
    for part in [
        &b"+PONG\r\n"[..],
        &list,
        &value,
        &list,
        b"$1\r\nx\r\n",
        b"+OK\r\n+QUEUED\r\n+QUEUED\r\n",
        refusal,
        b"+QUEUED\r\n+QUEUED\r\n",
        aborted,
        b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*4\r\n",
        &list,
        &value,
        &one,
        &list,
        b"+PONG\r\n",
    ] {
        client.expect(part);
    }
    other.expect(&list);
    server.assert_serves();
}

#[test]
fn commands_know_their_types() {
    play(
        &Server::start(),
        r#"
        RPUSH l a                => :1
        SADD s a                 => :1
        HSET h a 1               => :1
        ZADD z 1 a               => :1
        TYPE l                   => +list
        TYPE s                   => +set
        TYPE h                   => +hash
        TYPE z                   => +zset
        GET l                    => -WRONGTYPE Operation against a key holding the wrong kind of value
        SADD l a                 => -WRONGTYPE Operation against a key holding the wrong kind of value
        HGET s a                 => -WRONGTYPE Operation against a key holding the wrong kind of value
        ZSCORE h a               => -WRONGTYPE Operation against a key holding the wrong kind of value
        LPUSH z a                => -WRONGTYPE Operation against a key holding the wrong kind of value
        DEL l s h z              => :4
        "#,
    );
}

/// How many can be asked for, as in Redis 8.0.6.
#[test]
fn random_choices_have_bounds() {
    play(
        &Server::start(),
        r#"
        HSET h a 1                          => :1
        ZADD z 1 a                          => :1
        SADD s a                            => :1
        SRANDMEMBER s -9223372036854775808  => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        SRANDMEMBER none -9223372036854775808 => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        HRANDFIELD h -9223372036854775808   => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        HRANDFIELD none -9223372036854775808 => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        ZRANDMEMBER z -9223372036854775808  => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        ZRANDMEMBER h -9223372036854775808  => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        HRANDFIELD h -9223372036854775808 WITHVALUES => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        ZRANDMEMBER z -9223372036854775808 WITHSCORES => -ERR value is out of range, value must between -9223372036854775807 and 9223372036854775807
        HRANDFIELD h 4611686018427387904 WITHVALUES => -ERR value is out of range
        ZRANDMEMBER z 4611686018427387904 WITHSCORES => -ERR value is out of range
        ZRANDMEMBER h 4611686018427387904 WITHSCORES => -ERR value is out of range
        HRANDFIELD h -4611686018427387904 WITHVALUES => -ERR value is out of range
        ZRANDMEMBER z -4611686018427387904 WITHSCORES => -ERR value is out of range
        ZRANDMEMBER h -4611686018427387904 WITHSCORES => -ERR value is out of range
        HRANDFIELD h 4611686018427387903 WITHVALUES => ["a", "1"]
        ZRANDMEMBER z 4611686018427387903 WITHSCORES => ["a", "1"]
        ZRANDMEMBER h 4611686018427387903 WITHSCORES => -WRONGTYPE Operation against a key holding the wrong kind of value
        HRANDFIELD h 9223372036854775807 WITHVALUES => -ERR value is out of range
        ZRANDMEMBER z 9223372036854775807 WITHSCORES => -ERR value is out of range
        ZRANDMEMBER h 9223372036854775807 WITHSCORES => -ERR value is out of range
        HRANDFIELD none -4611686018427387903 WITHVALUES => []
        ZRANDMEMBER none -4611686018427387903 WITHSCORES => []
        SRANDMEMBER none -9223372036854775807 => []
        HRANDFIELD none -9223372036854775807 => []
        ZRANDMEMBER none -9223372036854775807 => []
        SRANDMEMBER h -9223372036854775807  => -WRONGTYPE Operation against a key holding the wrong kind of value
        SRANDMEMBER s 9223372036854775807   => ["a"]
        SPOP s -1                           => -ERR value is out of range, must be positive
        HRANDFIELD h 4611686018427387904 FOO => -ERR syntax error
        "#,
    );
}

/// What other commands store serves those who wait for it, and is announced.
#[test]
fn stored_results_serve_those_who_wait() {
    let server = Server::with("--notify-keyspace-events KEA");
    let (mut waiting, mut writer, mut listener) = (server.connect(), server.connect(), server.connect());
    listener.run("PSUBSCRIBE __keyevent@0__:*store");
    writer.run("RPUSH l 3 1 2");
    writer.run("GEOADD g 13 38 x 14 38 y");
    waiting.send(b"BLPOP d 0\r\n");
    blocked(&server, "1");
    assert_eq!(writer.run("SORT l STORE d").integer(), 3);
    waiting.expect(b"*2\r\n$1\r\nd\r\n$1\r\n1\r\n");
    waiting.send(b"BZPOPMIN z 0\r\n");
    blocked(&server, "1");
    assert_eq!(writer.run("GEOSEARCHSTORE z g FROMLONLAT 13 38 BYRADIUS 1000 km").integer(), 2);
    waiting.expect(b"*3\r\n$1\r\nz\r\n$1\r\nx\r\n$16\r\n3479065152021743\r\n");
    // A list is nothing to one who waits for a sorted set.
    waiting.send(b"BZPOPMIN e 0\r\n");
    blocked(&server, "1");
    writer.send(b"MULTI\r\nSORT l STORE e\r\nDEL e\r\nEXEC\r\n");
    writer.expect(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:3\r\n:1\r\n");
    assert!(waiting.is_silent_for(QUIET));
    assert_eq!(writer.run("GEORADIUS g 14 38 1 km STORE e").integer(), 1);
    waiting.expect(b"*3\r\n$1\r\ne\r\n$1\r\ny\r\n$16\r\n3479107959090919\r\n");
    for (event, key) in [("sortstore", "d"), ("geosearchstore", "z"), ("sortstore", "e"), ("georadiusstore", "e")] {
        let message = listener.reply();
        let texts: Vec<String> = message.items()[2..].iter().map(Value::text).collect();
        assert_eq!(texts, [format!("__keyevent@0__:{event}"), key.to_owned()]);
    }
}
