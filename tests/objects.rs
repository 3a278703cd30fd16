//! Values as objects: copies of them, what the server knows of them, their form for other servers. Transcripts of what
//! Redis 8.0 answers.
//!
//! Drives built binaries over sockets; knows nothing of their code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::path::PathBuf;
use std::process::Command;

use harness::{Client, Server, Value, play, skip};

#[test]
fn copying_and_moving() {
    play(
        &Server::start(),
        r#"
        SET a 1 EX 100                      => +OK
        COPY a b                            => :1
        COPY a b                            => :0
        TTL b                               => :99..100
        COPY a b REPLACE REPLACE            => :1
        COPY a a                            => -ERR source and destination objects are the same
        COPY a a DB 0                       => -ERR source and destination objects are the same
        COPY a a DB 1                       => :1
        COPY a a DB 1                       => :0
        COPY a a DB 2 DB 1 REPLACE          => :1
        COPY a b DB 16                      => -ERR DB index is out of range
        COPY a b DB -1                      => -ERR DB index is out of range
        COPY a b DB x                       => -ERR value is not an integer or out of range
        COPY a b DB 9999999999              => -ERR value is out of range, value must between -2147483648 and 2147483647
        COPY a b DB                         => -ERR syntax error
        COPY a b foo                        => -ERR syntax error
        COPY missing b REPLACE              => :0
        COPY missing missing                => -ERR source and destination objects are the same
        COPY a                              => -ERR wrong number of arguments for 'copy' command
        MOVE a 1                            => :0
        MOVE a 2                            => :1
        MOVE a 2                            => :0
        EXISTS a                            => :0
        MOVE missing 0                      => -ERR source and destination objects are the same
        MOVE missing x                      => -ERR value is not an integer or out of range
        MOVE missing 16                     => -ERR DB index is out of range
        SELECT 2                            => +OK
        TTL a                               => :99..100
        "#,
    );
}

#[test]
fn databases_change_places() {
    play(
        &Server::start(),
        r#"
        SET a 1                             => +OK
        b: WATCH a                          => +OK
        b: SET z 1                          => +OK
        c: SELECT 5                         => +OK
        c: WATCH a                          => +OK
        d: SELECT 5                         => +OK
        d: WATCH other                      => +OK
        SWAPDB 0 5                          => +OK
        GET a                               => (nil)
        c: GET a                            => "1"
        b: MULTI                            => +OK
        b: EXEC                             => (nil array)
        c: MULTI                            => +OK
        c: EXEC                             => (nil array)
        d: MULTI                            => +OK
        d: EXEC                             => []
        SWAPDB 0 0                          => +OK
        SWAPDB x 0                          => -ERR invalid first DB index
        SWAPDB 0 x                          => -ERR invalid second DB index
        SWAPDB 16 0                         => -ERR DB index is out of range
        SWAPDB 0 -1                         => -ERR DB index is out of range
        SWAPDB 0                            => -ERR wrong number of arguments for 'swapdb' command
        "#,
    );
}

#[test]
fn what_is_known_of_a_value() {
    play(
        &Server::start(),
        r#"
        MSET i 9999 j 10000 s abc           => +OK
        OBJECT ENCODING i                   => "int"
        OBJECT REFCOUNT i                   => :2147483647
        OBJECT REFCOUNT j                   => :1
        OBJECT REFCOUNT s                   => :1
        OBJECT ENCODING s                   => "embstr"
        APPEND s d                          => :4
        OBJECT ENCODING s                   => "raw"
        COPY s t                            => :1
        OBJECT ENCODING t                   => "raw"
        SETRANGE i 0 1                      => :4
        OBJECT ENCODING i                   => "raw"
        INCR i                              => :2000
        OBJECT ENCODING i                   => "int"
        OBJECT IDLETIME s                   => :0..3
        OBJECT FREQ s                       => -ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
        OBJECT ENCODING missing             => (nil)
        OBJECT FREQ missing                 => (nil)
        OBJECT foo s                        => -ERR unknown subcommand 'foo'. Try OBJECT HELP.
        OBJECT ENCODING                     => -ERR wrong number of arguments for 'object|encoding' command
        OBJECT                              => -ERR wrong number of arguments for 'object' command
        CONFIG SET maxmemory-policy allkeys-lfu lfu-log-factor 0 => +OK
        SET new abc                         => +OK
        OBJECT FREQ new                     => :5
        GET new                             => "abc"
        GET new                             => "abc"
        OBJECT FREQ new                     => :7
        SET new abd                         => +OK
        OBJECT FREQ new                     => :8
        RENAME new newer                    => +OK
        OBJECT FREQ newer                   => :5
        OBJECT IDLETIME s                   => -ERR An LFU maxmemory policy is selected, idle time not tracked. Please note that when switching between policies at runtime LRU and LFU data will take some time to adjust.
        "#,
    );
}

#[test]
fn dumping_and_restoring() {
    play(
        &Server::start(),
        r#"
        SET n 1234                          => +OK
        DUMP missing                        => (nil)
        RESTORE n x abc                     => -BUSYKEY Target key name already exists.
        RESTORE r x abc                     => -ERR value is not an integer or out of range
        RESTORE r -1 abc                    => -ERR Invalid TTL value, must be >= 0
        RESTORE r 0 abc                     => -ERR DUMP payload version or checksum are wrong
        RESTORE r 0 ""                      => -ERR DUMP payload version or checksum are wrong
        RESTORE r 0 abc FOO                 => -ERR syntax error
        RESTORE r 0 abc IDLETIME            => -ERR syntax error
        RESTORE r 0 abc IDLETIME -1         => -ERR Invalid IDLETIME value, must be >= 0
        RESTORE r 0 abc FREQ 256            => -ERR Invalid FREQ value, must be >= 0 and <= 255
        RESTORE r 0 abc FREQ x              => -ERR value is not an integer or out of range
        RESTORE r 0 abc FREQ 1 IDLETIME 1   => -ERR syntax error
        RESTORE r 0                         => -ERR wrong number of arguments for 'restore' command
        RESTORE r 0 "\x00\xc1\xd2\x04\x0c\x00\xcb\xf1<a\xbe\xa8\xc2\xa4" IDLETIME 100 => +OK
        OBJECT IDLETIME r                   => :100..103
        OBJECT ENCODING r                   => "int"
        GET r                               => "1234"
        RESTORE r 5000 "\x00\xc1\xd2\x04\x0c\x00\xcb\xf1<a\xbe\xa8\xc2\xa4" REPLACE => +OK
        PTTL r                              => :3000..5000
        RESTORE r 5000 "\x00\xc1\xd2\x04\x0c\x00\xcb\xf1<a\xbe\xa8\xc2\xa4" REPLACE ABSTTL => +OK
        EXISTS r                            => :0
        RESTORE r 0 "\x00\xc1\xd2\x04\x0c\x00\xcb\xf1<a\xbe\xa8\xc2\xa5" => -ERR DUMP payload version or checksum are wrong
        "#,
    );
}

/// Strings of every form and size that matter, from a seed.
fn strings() -> Vec<Vec<u8>> {
    let mut state = 7u64;
    let mut next = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % bound
    };
    let mut strings: Vec<Vec<u8>> =
        ["", "0", "-1", "127", "-129", "32768", "2147483648", "9223372036854775807", "01", "1.5"]
            .iter()
            .map(|text| text.as_bytes().to_vec())
            .collect();
    for round in 0..400 {
        let (len, letters, repeat) = (next(if round % 20 == 0 { 40_000 } else { 300 }), 1 + next(40), 1 + next(30));
        let mut string = Vec::new();
        while (string.len() as u64) < len {
            let letter = b'a' + next(letters) as u8;
            string.extend(vec![letter; 1 + next(repeat) as usize]);
            if next(4) == 0 && string.len() > 10 {
                let start = next(string.len() as u64 - 5) as usize;
                let end = string.len().min(start + next(300) as usize);
                string.extend_from_within(start..end);
            }
        }
        strings.push(string);
    }
    strings
}

fn other_binary() -> Option<PathBuf> {
    let path = std::env::var_os("TORC_DIFF_SERVER").map_or_else(|| PathBuf::from("redis-server"), PathBuf::from);
    Command::new(&path).arg("--version").output().ok()?.status.success().then_some(path)
}

/// The payload of `k` after it was set.
fn dumped(client: &mut Client, string: &[u8]) -> Vec<u8> {
    assert_eq!(client.command(&[&b"SET"[..], b"k", string]).to_string(), "+OK");
    match client.command(&["DUMP", "k"]) {
        Value::Bulk(payload) => payload,
        other => panic!("DUMP answers bytes, not {other}"),
    }
}

#[test]
fn payloads_go_to_redis_and_come_from_it() {
    let Some(binary) = other_binary() else { return skip("no redis-server to exchange payloads with") };
    let (ours, theirs) = (Server::start(), Server::builder().binary(binary).start());
    let (mut ours, mut theirs) = (ours.connect(), theirs.connect());
    for string in strings() {
        let (mine, other) = (dumped(&mut ours, &string), dumped(&mut theirs, &string));
        // The same bytes but for version and checksum.
        assert_eq!(mine[..mine.len() - 10], other[..other.len() - 10], "{}", string.escape_ascii());
        assert_eq!(ours.command(&[&b"RESTORE"[..], b"r", b"0", &other, b"REPLACE"]).to_string(), "+OK");
        assert_eq!(ours.command(&["GET", "r"]), Value::Bulk(string.clone()));
        if other[other.len() - 10] >= mine[mine.len() - 10] {
            assert_eq!(theirs.command(&[&b"RESTORE"[..], b"r", b"0", &mine, b"REPLACE"]).to_string(), "+OK");
            assert_eq!(theirs.command(&["GET", "r"]), Value::Bulk(string));
        }
    }
}
