//! DEBUG as tests use it, as transcripts of what Redis 8.0 answers.
//!
//! Drives built binaries over sockets; knows nothing of their code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use harness::{Server, eventually, play, skip};

#[test]
fn only_those_may_whom_the_configuration_lets() {
    let refusal = "-ERR DEBUG command not allowed. If the enable-debug-command option is set to \"local\", you can run it \
                   from a local connection, otherwise you need to set this option in the configuration file, and then \
                   restart the server.";
    play(
        &Server::start(),
        &format!(
            "
            DEBUG DIGEST        => {refusal}
            DEBUG nosuch        => {refusal}
            DEBUG               => -ERR wrong number of arguments for 'debug' command
            MULTI               => +OK
            DEBUG DIGEST        => {refusal}
            EXEC                => -EXECABORT Transaction discarded because of previous errors.
            "
        ),
    );
    play(&Server::with("--enable-debug-command local"), "DEBUG DIGEST => +0000000000000000000000000000000000000000");
}

#[test]
fn subcommands() {
    play(
        &Server::with("--enable-debug-command yes"),
        r#"
        DEBUG foo                           => -ERR unknown subcommand or wrong number of arguments for 'foo'. Try DEBUG HELP.
        DEBUG SLEEP 0 1                     => -ERR unknown subcommand or wrong number of arguments for 'SLEEP'. Try DEBUG HELP.
        DEBUG SLEEP x                       => +OK
        DEBUG ERROR "MYERR some text"       => -MYERR some text
        DEBUG ERROR "two\r\nlines"          => -two  lines
        DEBUG LOG "some words"              => +OK
        DEBUG POPULATE 3 p 10               => +OK
        MGET p:0 p:2                        => ["value:0\x00\x00\x00", "value:2\x00\x00\x00"]
        DEBUG POPULATE x                    => -ERR value is out of range, must be positive
        DEBUG HTSTATS x                     => -ERR value is not an integer or out of range
        DEBUG HTSTATS 16                    => -ERR Out of range database
        DEBUG HTSTATS-KEY missing           => -ERR no such key
        DEBUG OBJECT missing                => -ERR no such key
        DEBUG OBJECT p:0                    => +Value at:0x...
        DEBUG DIGEST-VALUE missing          => [+0000000000000000000000000000000000000000]
        DEBUG SET-ACTIVE-EXPIRE 1           => +OK
        DEBUG PAUSE-CRON 0                  => +OK
        DEBUG SET-SKIP-CHECKSUM-VALIDATION 1 => +OK
        RESTORE r 0 "\x00\x03abc\x0c\x0012345678" => +OK
        GET r                               => "abc"
        DEBUG SET-SKIP-CHECKSUM-VALIDATION 0 => +OK
        RESTORE r 0 "\x00\x03abc\x0c\x0012345678" REPLACE => -ERR DUMP payload version or checksum are wrong
        DEBUG CHANGE-REPL-ID                => +OK
        DEBUG PROTOCOL push                 => -ERR RESP2 is not supported by this command
        DEBUG PROTOCOL nosuch               => -ERR Wrong protocol type name. Please use one of the following: string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false
        "#,
    );
}

#[test]
fn every_type_in_both_versions_of_the_protocol() {
    let server = Server::with("--enable-debug-command yes");
    let mut client = server.connect();
    for (name, old, new) in [
        ("string", "$11\r\nHello World\r\n", "$11\r\nHello World\r\n"),
        ("integer", ":12345\r\n", ":12345\r\n"),
        ("double", "$5\r\n3.141\r\n", ",3.141\r\n"),
        ("null", "$-1\r\n", "_\r\n"),
        ("array", "*3\r\n:0\r\n:1\r\n:2\r\n", "*3\r\n:0\r\n:1\r\n:2\r\n"),
        ("set", "*3\r\n:0\r\n:1\r\n:2\r\n", "~3\r\n:0\r\n:1\r\n:2\r\n"),
        ("map", "*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n", "%3\r\n:0\r\n#f\r\n:1\r\n#t\r\n:2\r\n#f\r\n"),
        (
            "attrib",
            "$39\r\nSome real reply following the attribute\r\n",
            "|1\r\n$14\r\nkey-popularity\r\n*2\r\n$7\r\nkey:123\r\n:90\r\n$39\r\nSome real reply following the attribute\r\n",
        ),
        (
            "push",
            "-ERR RESP2 is not supported by this command\r\n",
            "$40\r\nSome real reply following the push reply\r\n>2\r\n$16\r\nserver-cpu-usage\r\n:42\r\n",
        ),
        ("verbatim", "$25\r\nThis is a verbatim\nstring\r\n", "=29\r\ntxt:This is a verbatim\nstring\r\n"),
        ("true", ":1\r\n", "#t\r\n"),
        ("false", ":0\r\n", "#f\r\n"),
        ("bignum", "$37\r\n1234567999999999999999999999999999999\r\n", "(1234567999999999999999999999999999999\r\n"),
    ] {
        client.run("HELLO 2");
        client.send_command(&["DEBUG", "PROTOCOL", name]);
        client.expect(old.as_bytes());
        client.run("HELLO 3");
        client.send_command(&["DEBUG", "PROTOCOL", name]);
        client.expect(new.as_bytes());
    }
}

#[test]
fn sleeping_holds_up_everybody() {
    let server = Server::with("--enable-debug-command yes");
    let (mut sleeper, mut other) = (server.connect(), server.connect());
    let start = Instant::now();
    sleeper.send_command(&["DEBUG", "SLEEP", "0.3"]);
    std::thread::sleep(Duration::from_millis(50));
    assert_eq!(other.run("PING").to_string(), "+PONG");
    assert!(start.elapsed() >= Duration::from_millis(300));
    assert_eq!(sleeper.reply().to_string(), "+OK");
}

#[test]
fn expired_keys_stay_while_active_expiry_is_off() {
    let server = Server::with("--enable-debug-command yes");
    let mut client = server.connect();
    client.run("DEBUG SET-ACTIVE-EXPIRE 0");
    client.run("SET k v PX 1");
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(client.run("DBSIZE").integer(), 1);
    client.run("DEBUG SET-ACTIVE-EXPIRE 1");
    eventually("the key is removed", || client.run("DBSIZE").integer() == 0);
}

#[test]
fn equal_data_has_the_digest_that_redis_gives_it() {
    let path = std::env::var_os("TORC_DIFF_SERVER").map_or_else(|| PathBuf::from("redis-server"), PathBuf::from);
    if !Command::new(&path).arg("--version").output().is_ok_and(|output| output.status.success()) {
        return skip("no redis-server to compare with");
    }
    let options = "--enable-debug-command yes";
    let (ours, theirs) = (Server::with(options), Server::builder().args(options).binary(path).start());
    let digests = [ours, theirs].map(|server| {
        let mut client = server.connect();
        for index in 0..500 {
            client.run(&format!("SELECT {}", index % 3));
            client.run(&format!("SET key:{index} value:{}", index * index));
            client.run(&format!("SET number:{index} {}", index as i64 * 7 - 100));
            client.run(&format!("APPEND long:{} {}", index % 10, "x".repeat(index)));
            client.run(&format!("EXPIRE key:{} 1000", index / 2));
        }
        (client.run("DEBUG DIGEST").to_string(), client.run("DEBUG DIGEST-VALUE key:1 long:5 none").to_string())
    });
    assert_eq!(digests[0], digests[1]);
    assert_ne!(digests[0].0, "+0000000000000000000000000000000000000000");
}

#[test]
fn crashes_end_the_process() {
    for crash in ["SEGFAULT", "PANIC", "ASSERT", "OOM"] {
        let mut server = Server::with("--enable-debug-command yes");
        let mut client = server.connect();
        client.send_command(&["DEBUG", crash]);
        assert!(!server.wait_for_exit().success(), "{crash}");
        assert_eq!(client.read_to_close(), b"", "{crash}");
    }
}
