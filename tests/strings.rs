//! The string commands, as transcripts of what Redis 8.0 answers.
//!
//! Drives the built binary over sockets; knows nothing of its code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use harness::{Server, Value, play, play_on};

#[test]
fn set_and_its_options() {
    play(
        &Server::start(),
        r#"
        SET k v                             => +OK
        GET k                               => "v"
        SET k v2 NX                         => (nil)
        SET new v NX                        => +OK
        SET k v3 XX                         => +OK
        SET none v XX                       => (nil)
        GET none                            => (nil)
        SET k v4 GET                        => "v3"
        SET none v GET                      => (nil)
        SET k v5 NX GET                     => "v4"
        GET k                               => "v4"
        SET k2 v NX GET                     => (nil)
        GET k2                              => "v"
        SET k3 v XX GET                     => (nil)
        SET k v EX 100                      => +OK
        TTL k                               => :99..100
        SET k v2 KEEPTTL                    => +OK
        TTL k                               => :99..100
        SET k v3                            => +OK
        TTL k                               => :-1
        SET k v PX 100000                   => +OK
        PTTL k                              => :99000..100000
        SET k v EXAT 33177117420            => +OK
        EXPIRETIME k                        => :33177117420
        SET k v PXAT 33177117420000         => +OK
        PEXPIRETIME k                       => :33177117420000
        set k v ex 100 nx                   => (nil)
        SET k v get ex 10 xx                => "v"
        SET gone v EXAT 1                   => +OK
        EXISTS gone                         => :0
        SET k v PXAT 1                      => +OK
        EXISTS k                            => :0
        SET "" empty                        => +OK
        GET ""                              => "empty"
        SET bin "\x00\xff\r\n"              => +OK
        GET bin                             => "\x00\xff\r\n"
        SET k ""                            => +OK
        GET k                               => ""
        "#,
    );
}

#[test]
fn set_refuses() {
    play(
        &Server::start(),
        r#"
        SET                                 => -ERR wrong number of arguments for 'set' command
        SET k                               => -ERR wrong number of arguments for 'set' command
        SET k v nosuch                      => -ERR syntax error
        SET k v NX XX                       => -ERR syntax error
        SET k v XX NX                       => -ERR syntax error
        SET k v EX                          => -ERR syntax error
        SET k v EX 0                        => -ERR invalid expire time in 'set' command
        SET k v EX -1                       => -ERR invalid expire time in 'set' command
        SET k v EX x                        => -ERR value is not an integer or out of range
        SET k v EX 1.5                      => -ERR value is not an integer or out of range
        SET k v EX 9223372036854775807      => -ERR invalid expire time in 'set' command
        SET k v EX 9223372036854775         => -ERR invalid expire time in 'set' command
        SET k v PX 9223372036854775807      => -ERR invalid expire time in 'set' command
        SET k v PX 0                        => -ERR invalid expire time in 'set' command
        SET k v EXAT 0                      => -ERR invalid expire time in 'set' command
        SET k v EXAT 9223372036854775807    => -ERR invalid expire time in 'set' command
        SET k v PXAT -5                     => -ERR invalid expire time in 'set' command
        SET k v EX 10 PX 10                 => -ERR syntax error
        SET k v EX 10 EX 10                 => +OK
        SET k v EX 10 KEEPTTL               => -ERR syntax error
        SET k v KEEPTTL EX 10               => -ERR syntax error
        SET k v KEEPTTL KEEPTTL             => +OK
        SET k v GET GET                     => "v"
        SET k v EX 10 NX NX                 => (nil)
        SETEX k 0 v                         => -ERR invalid expire time in 'setex' command
        SETEX k -1 v                        => -ERR invalid expire time in 'setex' command
        SETEX k x v                         => -ERR value is not an integer or out of range
        SETEX k 9223372036854775 v          => -ERR invalid expire time in 'setex' command
        SETEX k 10                          => -ERR wrong number of arguments for 'setex' command
        PSETEX k 0 v                        => -ERR invalid expire time in 'psetex' command
        PSETEX k 9223372036854775807 v      => -ERR invalid expire time in 'psetex' command
        SETNX k                             => -ERR wrong number of arguments for 'setnx' command
        EXISTS k                            => :1
        "#,
    );
}

#[test]
fn short_forms_of_set() {
    play(
        &Server::start(),
        r#"
        SETNX k v                           => :1
        SETNX k w                           => :0
        GET k                               => "v"
        SETEX k 100 x                       => +OK
        TTL k                               => :99..100
        GET k                               => "x"
        PSETEX k 100000 y                   => +OK
        PTTL k                              => :99000..100000
        GETSET k z                          => "y"
        TTL k                               => :-1
        GETSET none v                       => (nil)
        GETDEL none                         => "v"
        GETDEL none                         => (nil)
        EXISTS none                         => :0
        GETSET k                            => -ERR wrong number of arguments for 'getset' command
        GETDEL                              => -ERR wrong number of arguments for 'getdel' command
        "#,
    );
}

#[test]
fn getex_changes_the_expiry_only() {
    play(
        &Server::start(),
        r#"
        GETEX none                          => (nil)
        SET k v                             => +OK
        GETEX k                             => "v"
        TTL k                               => :-1
        GETEX k EX 100                      => "v"
        TTL k                               => :99..100
        GETEX k                             => "v"
        TTL k                               => :99..100
        GETEX k PERSIST                     => "v"
        TTL k                               => :-1
        GETEX k PX 100000                   => "v"
        PTTL k                              => :99000..100000
        GETEX k EXAT 33177117420            => "v"
        EXPIRETIME k                        => :33177117420
        GETEX k PXAT 33177117420123         => "v"
        PEXPIRETIME k                       => :33177117420123
        GETEX k EX                          => -ERR syntax error
        GETEX k EX 0                        => -ERR invalid expire time in 'getex' command
        GETEX k EX x                        => -ERR value is not an integer or out of range
        GETEX k EX 10 PERSIST               => -ERR syntax error
        GETEX k PERSIST PERSIST             => "v"
        GETEX k KEEPTTL                     => -ERR syntax error
        GETEX k NX                          => -ERR syntax error
        GETEX k EXAT 9223372036854775807    => -ERR invalid expire time in 'getex' command
        GETEX none EX 0                     => (nil)
        GETEX k EXAT 1                      => "v"
        EXISTS k                            => :0
        GETEX                               => -ERR wrong number of arguments for 'getex' command
        "#,
    );
}

#[test]
fn many_keys_at_once() {
    play(
        &Server::start(),
        r#"
        MSET a 1 b 2 c 3                    => +OK
        MGET a b c d a                      => ["1", "2", "3", (nil), "1"]
        MSET a 1 b                          => -ERR wrong number of arguments for 'mset' command
        MSET a                              => -ERR wrong number of arguments for 'mset' command
        MSET                                => -ERR wrong number of arguments for 'mset' command
        MGET                                => -ERR wrong number of arguments for 'mget' command
        MSET a 9 a 8                        => +OK
        GET a                               => "8"
        MSETNX d 4 a 5                      => :0
        MGET a d                            => ["8", (nil)]
        MSETNX d 4 e 5                      => :1
        MGET d e                            => ["4", "5"]
        MSETNX f 1 f 2                      => :1
        GET f                               => "2"
        MSETNX f 1 f                        => -ERR wrong number of arguments for 'msetnx' command
        EXPIRE a 100                        => :1
        MSET a 1                            => +OK
        TTL a                               => :-1
        "#,
    );
}

#[test]
fn integers_count() {
    play(
        &Server::start(),
        r#"
        INCR n                              => :1
        INCR n                              => :2
        DECR n                              => :1
        INCRBY n 41                         => :42
        DECRBY n 2                          => :40
        INCRBY n -100                       => :-60
        GET n                               => "-60"
        STRLEN n                            => :3
        SET n 9223372036854775806           => +OK
        INCR n                              => :9223372036854775807
        INCR n                              => -ERR increment or decrement would overflow
        INCRBY n 1                          => -ERR increment or decrement would overflow
        GET n                               => "9223372036854775807"
        SET n -9223372036854775808          => +OK
        DECR n                              => -ERR increment or decrement would overflow
        DECRBY n 1                          => -ERR increment or decrement would overflow
        INCRBY n -1                         => -ERR increment or decrement would overflow
        DECRBY n -9223372036854775808       => -ERR decrement would overflow
        INCRBY n 9223372036854775807        => :-1
        INCRBY n x                          => -ERR value is not an integer or out of range
        INCRBY n 1.5                        => -ERR value is not an integer or out of range
        INCRBY n 9223372036854775808        => -ERR value is not an integer or out of range
        INCRBY n ""                         => -ERR value is not an integer or out of range
        INCRBY n " 1"                       => -ERR value is not an integer or out of range
        INCRBY n +1                         => -ERR value is not an integer or out of range
        INCRBY n 01                         => -ERR value is not an integer or out of range
        INCRBY n -0                         => -ERR value is not an integer or out of range
        SET s abc                           => +OK
        INCR s                              => -ERR value is not an integer or out of range
        SET s ""                            => +OK
        INCR s                              => -ERR value is not an integer or out of range
        SET s " 1"                          => +OK
        INCR s                              => -ERR value is not an integer or out of range
        SET s "1 "                          => +OK
        INCR s                              => -ERR value is not an integer or out of range
        SET s 01                            => +OK
        INCR s                              => -ERR value is not an integer or out of range
        SET s -0                            => +OK
        INCR s                              => -ERR value is not an integer or out of range
        SET s 1.0                           => +OK
        INCR s                              => -ERR value is not an integer or out of range
        SET s 9223372036854775808           => +OK
        INCR s                              => -ERR value is not an integer or out of range
        SET s 12345678901234567890123       => +OK
        DECR s                              => -ERR value is not an integer or out of range
        SET e 5 EX 100                      => +OK
        INCR e                              => :6
        TTL e                               => :99..100
        INCR                                => -ERR wrong number of arguments for 'incr' command
        INCR a b                            => -ERR wrong number of arguments for 'incr' command
        INCRBY a                            => -ERR wrong number of arguments for 'incrby' command
        "#,
    );
}

#[test]
fn floats_count() {
    play(
        &Server::start(),
        r#"
        INCRBYFLOAT f 1                     => "1"
        INCRBYFLOAT f 0.1                   => "1.1"
        INCRBYFLOAT f -0.1                  => "1"
        INCRBYFLOAT f 1e3                   => "1001"
        INCRBYFLOAT f 1.5e-3                => "1001.0015"
        SET f 3.0e3                         => +OK
        INCRBYFLOAT f 200                   => "3200"
        SET f 10.50                         => +OK
        INCRBYFLOAT f 0.1                   => "10.6"
        GET f                               => "10.6"
        INCRBYFLOAT f -5                    => "5.6"
        INCRBYFLOAT f 5.0e3                 => "5005.60000000000000009"
        SET f 1                             => +OK
        INCRBYFLOAT f 1.5                   => "2.5"
        INCRBYFLOAT f 0                     => "2.5"
        INCR f                              => -ERR value is not an integer or out of range
        INCRBYFLOAT f 0.5                   => "3"
        INCR f                              => :4
        SET f 0                             => +OK
        INCRBYFLOAT f 1e17                  => "100000000000000000"
        INCRBYFLOAT f 1e18                  => "1100000000000000000"
        INCRBYFLOAT f 0.000000000000001     => "1100000000000000000"
        SET f 1e300                         => +OK
        INCRBYFLOAT f 1e300                 => "2000000000000000000017994648159118387741047888546581495876520164642531293192361871511698304167500994380700745017228549671807185112369345967826192521041497292574654271283687306588168510215212033579453305864740061102765895241989080589545563779241212358535223254194821301134374772211380178849830208012288"
        SET f 1                             => +OK
        INCRBYFLOAT f 0.00000000000000001   => "1.00000000000000001"
        INCRBYFLOAT f 0.000000000000000001  => "1.00000000000000001"
        INCRBYFLOAT f inf                   => -ERR increment would produce NaN or Infinity
        INCRBYFLOAT f -inf                  => -ERR increment would produce NaN or Infinity
        INCRBYFLOAT f nan                   => -ERR value is not a valid float
        INCRBYFLOAT f x                     => -ERR value is not a valid float
        INCRBYFLOAT f ""                    => -ERR value is not a valid float
        INCRBYFLOAT f " 1"                  => -ERR value is not a valid float
        INCRBYFLOAT f "1 "                  => -ERR value is not a valid float
        INCRBYFLOAT f 0x10                  => "17.00000000000000001"
        INCRBYFLOAT f 1e                    => -ERR value is not a valid float
        INCRBYFLOAT f .5                    => "17.50000000000000001"
        INCRBYFLOAT f 5.                    => "22.50000000000000001"
        INCRBYFLOAT f +1                    => "23.50000000000000001"
        SET f abc                           => +OK
        INCRBYFLOAT f 1                     => -ERR value is not a valid float
        SET f " 1"                          => +OK
        INCRBYFLOAT f 1                     => -ERR value is not a valid float
        SET f inf                           => +OK
        INCRBYFLOAT f 1                     => -ERR increment would produce NaN or Infinity
        SET f 1 EX 100                      => +OK
        INCRBYFLOAT f 1                     => "2"
        TTL f                               => :99..100
        INCRBYFLOAT f                       => -ERR wrong number of arguments for 'incrbyfloat' command
        "#,
    );
}

#[test]
fn parts_of_strings() {
    play(
        &Server::start(),
        r#"
        APPEND s Hello                      => :5
        APPEND s " World"                   => :11
        GET s                               => "Hello World"
        APPEND s ""                         => :11
        APPEND e ""                         => :0
        EXISTS e                            => :1
        STRLEN s                            => :11
        STRLEN none                         => :0
        GETRANGE s 0 4                      => "Hello"
        GETRANGE s -5 -1                    => "World"
        GETRANGE s 0 -1                     => "Hello World"
        GETRANGE s 4 2                      => ""
        GETRANGE s 20 30                    => ""
        GETRANGE s -100 4                   => "Hello"
        GETRANGE s -100 -100                => "H"
        GETRANGE s -1 -100                  => ""
        GETRANGE s 0 9223372036854775807    => "Hello World"
        GETRANGE s -9223372036854775808 -1  => "Hello World"
        GETRANGE none 0 -1                  => ""
        SUBSTR s 0 4                        => "Hello"
        GETRANGE s x 1                      => -ERR value is not an integer or out of range
        GETRANGE s 0 9223372036854775808    => -ERR value is not an integer or out of range
        SETRANGE s 6 Redis                  => :11
        GET s                               => "Hello Redis"
        SETRANGE s 15 "!"                   => :16
        GET s                               => "Hello Redis\x00\x00\x00\x00!"
        SETRANGE none 0 ""                  => :0
        EXISTS none                         => :0
        SETRANGE none 3 x                   => :4
        GET none                            => "\x00\x00\x00x"
        SETRANGE s 0 ""                     => :16
        SETRANGE s -1 x                     => -ERR offset is out of range
        SETRANGE s x y                      => -ERR value is not an integer or out of range
        SETRANGE s 536870912 x              => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE s 9223372036854775807 x    => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SET n 12345                         => +OK
        APPEND n 6                          => :6
        INCR n                              => :123457
        GETRANGE n 1 3                      => "234"
        SETRANGE n 0 9                      => :6
        GET n                               => "923457"
        INCR n                              => :923458
        STRLEN n                            => :6
        SET k v EX 100                      => +OK
        APPEND k w                          => :2
        SETRANGE k 0 x                      => :2
        TTL k                               => :99..100
        APPEND k                            => -ERR wrong number of arguments for 'append' command
        SETRANGE k 0                        => -ERR wrong number of arguments for 'setrange' command
        GETRANGE k 0                        => -ERR wrong number of arguments for 'getrange' command
        STRLEN                              => -ERR wrong number of arguments for 'strlen' command
        "#,
    );
}

#[test]
fn longest_common_subsequence() {
    play(
        &Server::start(),
        r#"
        MSET a ohmytext b mynewtext         => +OK
        LCS a b                             => "mytext"
        LCS a b LEN                         => :6
        LCS a b IDX                         => ["matches", [[[:4, :7], [:5, :8]], [[:2, :3], [:0, :1]]], "len", :6]
        LCS a b IDX MINMATCHLEN 4           => ["matches", [[[:4, :7], [:5, :8]]], "len", :6]
        LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN => ["matches", [[[:4, :7], [:5, :8], :4]], "len", :6]
        LCS a b IDX WITHMATCHLEN            => ["matches", [[[:4, :7], [:5, :8], :4], [[:2, :3], [:0, :1], :2]], "len", :6]
        LCS a b MINMATCHLEN -5 IDX          => ["matches", [[[:4, :7], [:5, :8]], [[:2, :3], [:0, :1]]], "len", :6]
        LCS a none                          => ""
        LCS none none LEN                   => :0
        LCS a none IDX                      => ["matches", [], "len", :0]
        LCS a a                             => "ohmytext"
        LCS a b LEN IDX                     => -ERR If you want both the length and indexes, please just use IDX.
        LCS a b nosuch                      => -ERR syntax error
        LCS a b MINMATCHLEN                 => -ERR syntax error
        LCS a b MINMATCHLEN x               => -ERR value is not an integer or out of range
        LCS a                               => -ERR wrong number of arguments for 'lcs' command
        SET n 12345                         => +OK
        SET m 2345                          => +OK
        LCS n m                             => "2345"
        HELLO 3                             => {"server": "redis", ...
        LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN => {"matches": [[[:4, :7], [:5, :8], :4]], "len": :6}
        LCS a b                             => "mytext"
        "#,
    );
}

#[test]
fn integers_at_the_edges_of_their_encodings() {
    let server = Server::start();
    let mut client = server.connect();
    for text in [
        "0",
        "-0",
        "00",
        "1",
        "-1",
        "9999",
        "10000",
        "10001",
        "127",
        "128",
        "2147483647",
        "2147483648",
        "-2147483649",
        "9223372036854775807",
        "-9223372036854775808",
        "9223372036854775808",
        "-9223372036854775809",
        "+1",
        " 1",
        "1 ",
        "0x1",
        "1e3",
    ] {
        assert_eq!(client.command(&["SET", "k", text]).to_string(), "+OK");
        assert_eq!(client.command(&["GET", "k"]), Value::Bulk(text.into()), "{text:?}");
        assert_eq!(client.command(&["STRLEN", "k"]), Value::Integer(text.len() as i64), "{text:?}");
        assert_eq!(client.command(&["GETRANGE", "k", "0", "0"]), Value::Bulk(text.as_bytes()[..1].into()), "{text:?}");
        assert_eq!(client.command(&["APPEND", "k", "7"]), Value::Integer(text.len() as i64 + 1), "{text:?}");
        assert_eq!(client.command(&["GET", "k"]), Value::Bulk(format!("{text}7").into()), "{text:?}");
    }
}

#[test]
fn values_of_every_size_come_back() {
    let server = Server::start();
    let mut client = server.connect();
    let mut sizes = (0..40).chain(55..70).chain(500..520).collect::<Vec<usize>>();
    sizes.extend([1023, 1024, 4095, 4096, 8191, 16_383, 16_384, 16_385, 32_767, 32_768, 40_000, 70_000]);
    for (index, size) in sizes.iter().enumerate() {
        let value = (0..*size).map(|at| (at * 31 + index) as u8).collect::<Vec<_>>();
        assert_eq!(client.command(&[b"SET", &b"k"[..], &value]).to_string(), "+OK");
        assert!(client.command(&["GET", "k"]) == Value::Bulk(value.clone()), "{size} bytes");
        assert_eq!(client.command(&["STRLEN", "k"]), Value::Integer(*size as i64));
        let half = (size / 2).to_string();
        assert!(
            client.command(&["GETRANGE", "k", &half, "-1"]) == Value::Bulk(value[size / 2..].to_vec()),
            "{size} bytes"
        );
        assert_eq!(client.command(&[b"APPEND", &b"k"[..], &value]), Value::Integer(2 * *size as i64));
        assert!(client.command(&["GETDEL", "k"]) == Value::Bulk([value.clone(), value].concat()), "{size} bytes twice");
    }
}

#[test]
fn appending_stays_fast_and_bounded() {
    let server = Server::start();
    let mut client = server.connect();
    let piece = [b'p'; 100];
    for round in 0..20 {
        let request = harness::Client::encode(&[b"APPEND", &b"k"[..], &piece]).repeat(1000);
        client.send(&request);
        for index in 1..=1000 {
            assert_eq!(client.reply(), Value::Integer((round * 1000 + index) * 100));
        }
    }
    play_on(&mut client, "STRLEN k => :2000000");
}

#[test]
fn a_string_may_not_pass_the_largest_bulk() {
    let server = Server::with("--proto-max-bulk-len 1mb");
    let mut client = server.connect();
    let megabyte = vec![b'm'; 1 << 20];
    assert_eq!(client.command(&[b"SET", &b"k"[..], &megabyte]).to_string(), "+OK");
    play_on(
        &mut client,
        r#"
        APPEND k x              => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE k 1048576 x    => -ERR string exceeds maximum allowed size (proto-max-bulk-len)
        SETRANGE k 1048575 x    => :1048576
        STRLEN k                => :1048576
        "#,
    );
}

/// The answers are those of Redis 8.0.6.
#[test]
fn bits_are_set_counted_and_joined() {
    play(
        &Server::start(),
        r#"
        SETBIT b 7 1                        => :0
        SETBIT b 7 0                        => :1
        SETBIT b 100 1                      => :0
        STRLEN b                            => :13
        GETBIT b 100                        => :1
        GETBIT b 101                        => :0
        GETBIT b 4294967295                 => :0
        GETBIT none 5                       => :0
        SETBIT b 4294967296 1               => -ERR bit offset is not an integer or out of range
        SETBIT b -1 1                       => -ERR bit offset is not an integer or out of range
        SETBIT b 1 2                        => -ERR bit is not an integer or out of range
        SET t foobar                        => +OK
        BITCOUNT t                          => :26
        BITCOUNT t 0 0                      => :4
        BITCOUNT t 1 1                      => :6
        BITCOUNT t 5 30 BIT                 => :17
        BITCOUNT t -2 -1                    => :7
        BITCOUNT t 0                        => -ERR syntax error
        BITCOUNT none                       => :0
        BITPOS t 1                          => :1
        BITPOS t 0                          => :0
        BITPOS t 1 2                        => :17
        BITPOS t 1 7 15 BIT                 => :9
        BITPOS t 2                          => -ERR The bit argument must be 1 or 0.
        BITPOS none 0                       => :0
        BITPOS none 1                       => :-1
        SET u abcdef                        => +OK
        BITOP AND d t u                     => :6
        GET d                               => "`bc`ab"
        BITOP XOR d t u none                => :6
        STRLEN d                            => :6
        BITOP NOT d none                    => :0
        EXISTS d                            => :0
        BITOP NOT d t u                     => -ERR BITOP NOT must be called with a single source key.
        BITOP NAND d t u                    => -ERR syntax error
        BITFIELD f SET u8 0 255 GET u4 0 INCRBY u8 0 10 => [:0, :15, :9]
        BITFIELD f OVERFLOW SAT INCRBY u8 0 250 OVERFLOW FAIL INCRBY u8 0 250 GET i8 #0 => [:255, (nil), :-1]
        BITFIELD f GET u64 0                => -ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.
        BITFIELD_RO f GET u8 0              => [:255]
        BITFIELD_RO f SET u8 0 1            => -ERR BITFIELD_RO only supports the GET subcommand
        RPUSH l x                           => :1
        SETBIT l 0 1                        => -WRONGTYPE Operation against a key holding the wrong kind of value
        BITCOUNT l                          => -WRONGTYPE Operation against a key holding the wrong kind of value
        BITOP AND d l t                     => -WRONGTYPE Operation against a key holding the wrong kind of value
        "#,
    );
}

/// The answers are those of Redis 8.0.6.
#[test]
fn hyperloglogs_count_about() {
    play(
        &Server::start(),
        r#"
        RPUSH l x                           => :1
        SET t foobar                        => +OK
        PFADD h a b c                       => :1
        PFADD h a                           => :0
        PFCOUNT h                           => :3
        PFADD h2 c d                        => :1
        PFCOUNT h h2                        => :4
        PFCOUNT none                        => :0
        PFMERGE h3 h h2 none                => +OK
        PFCOUNT h3                          => :4
        PFMERGE h4                          => +OK
        PFCOUNT h4                          => :0
        STRLEN h4                           => :18
        TYPE h                              => +string
        PFADD h4                            => :0
        PFADD h5                            => :1
        EXISTS h5                           => :1
        PFADD l x                           => -WRONGTYPE Operation against a key holding the wrong kind of value
        PFCOUNT l                           => -WRONGTYPE Operation against a key holding the wrong kind of value
        PFADD t x                           => -WRONGTYPE Key is not a valid HyperLogLog string value.
        PFCOUNT t                           => -WRONGTYPE Key is not a valid HyperLogLog string value.
        PFMERGE t h                         => -WRONGTYPE Key is not a valid HyperLogLog string value.
        PFMERGE h t                         => -WRONGTYPE Key is not a valid HyperLogLog string value.
        PFDEBUG ENCODING h                  => +sparse
        PFDEBUG TODENSE h                   => :1
        PFDEBUG ENCODING h                  => +dense
        PFCOUNT h                           => :3
        STRLEN h                            => :12304
        "#,
    );
}
