//! Transactions and watched keys, as transcripts of what Redis 8.0 answers.
//!
//! Drives the built binary over sockets; knows nothing of its code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::time::Duration;

use harness::{Server, play, play_on};

#[test]
fn commands_are_queued_and_run_together() {
    play(
        &Server::start(),
        r#"
        MULTI                               => +OK
        SET k 1                             => +QUEUED
        INCR k                              => +QUEUED
        GET k                               => +QUEUED
        b: GET k                            => (nil)
        PING                                => +QUEUED
        EXEC                                => [+OK, :2, "2", +PONG]
        b: GET k                            => "2"
        MULTI                               => +OK
        EXEC                                => []
        MULTI                               => +OK
        SET k 9                             => +QUEUED
        DISCARD                             => +OK
        GET k                               => "2"
        EXEC                                => -ERR EXEC without MULTI
        DISCARD                             => -ERR DISCARD without MULTI
        MULTI x                             => -ERR wrong number of arguments for 'multi' command
        EXEC x                              => -EXECABORT Transaction discarded because of: wrong number of arguments for 'exec' command
        DISCARD x                           => -ERR wrong number of arguments for 'discard' command
        MULTI                               => +OK
        MULTI                               => -ERR MULTI calls can not be nested
        WATCH k                             => -ERR WATCH inside MULTI is not allowed
        SET k 3                             => +QUEUED
        EXEC                                => [+OK]
        "#,
    );
}

#[test]
fn errors_at_run_time_do_not_stop_the_rest() {
    play(
        &Server::start(),
        r#"
        SET k abc                           => +OK
        MULTI                               => +OK
        INCR k                              => +QUEUED
        SET other 1                         => +QUEUED
        SET k v EX 0                        => +QUEUED
        SELECT 99                           => +QUEUED
        SELECT 3                            => +QUEUED
        SET in3 yes                         => +QUEUED
        GET none                            => +QUEUED
        EXEC                                => [-ERR value is not an integer or out of range, +OK, -ERR invalid expire time in 'set' command, -ERR DB index is out of range, +OK, +OK, (nil)]
        DBSIZE                              => :1
        SELECT 0                            => +OK
        GET other                           => "1"
        "#,
    );
}

#[test]
fn errors_at_queueing_refuse_the_transaction() {
    play(
        &Server::start(),
        r#"
        MULTI                               => +OK
        SET k 1                             => +QUEUED
        NOSUCH                              => -ERR unknown command 'NOSUCH', with args beginning with:
        SET k 2                             => +QUEUED
        EXEC                                => -EXECABORT Transaction discarded because of previous errors.
        GET k                               => (nil)
        MULTI                               => +OK
        GET                                 => -ERR wrong number of arguments for 'get' command
        EXEC                                => -EXECABORT Transaction discarded because of previous errors.
        MULTI                               => +OK
        CLIENT nosuch                       => -ERR unknown subcommand 'nosuch'. Try CLIENT HELP.
        DISCARD                             => +OK
        MULTI                               => +OK
        CONFIG nosuch                       => -ERR unknown subcommand 'nosuch'. Try CONFIG HELP.
        EXEC                                => -EXECABORT Transaction discarded because of previous errors.
        MULTI                               => +OK
        SHUTDOWN                            => -ERR Command not allowed inside a transaction
        EXEC                                => -EXECABORT Transaction discarded because of previous errors.
        PING                                => +PONG
        "#,
    );
}

#[test]
fn watched_keys_decide() {
    play(
        &Server::start(),
        r#"
        SET k 1                             => +OK
        WATCH k                             => +OK
        MULTI                               => +OK
        SET k mine                          => +QUEUED
        EXEC                                => [+OK]
        WATCH k                             => +OK
        b: SET k theirs                     => +OK
        MULTI                               => +OK
        SET k mine                          => +QUEUED
        EXEC                                => (nil array)
        GET k                               => "theirs"
        MULTI                               => +OK
        SET k mine                          => +QUEUED
        EXEC                                => [+OK]
        WATCH k none                        => +OK
        b: SET none x                       => +OK
        MULTI                               => +OK
        EXEC                                => (nil array)
        WATCH k                             => +OK
        b: SET k x                          => +OK
        UNWATCH                             => +OK
        MULTI                               => +OK
        PING                                => +QUEUED
        EXEC                                => [+PONG]
        WATCH k                             => +OK
        b: SET k x                          => +OK
        MULTI                               => +OK
        DISCARD                             => +OK
        MULTI                               => +OK
        PING                                => +QUEUED
        EXEC                                => [+PONG]
        WATCH k                             => +OK
        SET k own                           => +OK
        MULTI                               => +OK
        EXEC                                => (nil array)
        WATCH k                             => +OK
        MULTI                               => +OK
        UNWATCH                             => +QUEUED
        b: SET k x                          => +OK
        EXEC                                => (nil array)
        WATCH                               => -ERR wrong number of arguments for 'watch' command
        UNWATCH x                           => -ERR wrong number of arguments for 'unwatch' command
        WATCH k                             => +OK
        RESET                               => +RESET
        b: SET k y                          => +OK
        MULTI                               => +OK
        EXEC                                => []
        "#,
    );
}

#[test]
fn whatever_changes_a_watched_key_counts() {
    play(
        &Server::start(),
        r#"
        SET k 1                             => +OK
        WATCH k                             => +OK
        b: DEL k                            => :1
        MULTI                               => +OK
        EXEC                                => (nil array)
        WATCH k                             => +OK
        b: DEL k                            => :0
        MULTI                               => +OK
        EXEC                                => []
        SET k 1                             => +OK
        WATCH k                             => +OK
        b: EXPIRE k 100                     => :1
        MULTI                               => +OK
        EXEC                                => (nil array)
        WATCH k                             => +OK
        b: GET k                            => "1"
        b: TOUCH k                          => :1
        b: EXISTS k                         => :1
        b: GETEX k                          => "1"
        MULTI                               => +OK
        EXEC                                => []
        WATCH k                             => +OK
        b: GETEX k PERSIST                  => "1"
        MULTI                               => +OK
        EXEC                                => (nil array)
        WATCH k                             => +OK
        b: RENAME k moved                   => +OK
        MULTI                               => +OK
        EXEC                                => (nil array)
        WATCH k                             => +OK
        b: RENAME moved k                   => +OK
        MULTI                               => +OK
        EXEC                                => (nil array)
        WATCH k                             => +OK
        b: APPEND k ""                      => :1
        MULTI                               => +OK
        EXEC                                => (nil array)
        WATCH k                             => +OK
        b: SETRANGE k 0 ""                  => :1
        MULTI                               => +OK
        EXEC                                => []
        "#,
    );
}

#[test]
fn what_leaves_a_watched_key_alone_and_what_empties_databases() {
    play(
        &Server::start(),
        r#"
        SET k 1                             => +OK
        WATCH k                             => +OK
        b: SETNX k x                        => :0
        b: SET k x NX                       => (nil)
        b: MSETNX k x l y                   => :0
        b: PERSIST k                        => :0
        MULTI                               => +OK
        EXEC                                => []
        WATCH k                             => +OK
        b: FLUSHDB                          => +OK
        MULTI                               => +OK
        EXEC                                => (nil array)
        WATCH k                             => +OK
        b: FLUSHALL                         => +OK
        MULTI                               => +OK
        EXEC                                => []
        SET k 1                             => +OK
        WATCH k                             => +OK
        b: SELECT 1                         => +OK
        b: SET k 1                          => +OK
        b: FLUSHDB                          => +OK
        MULTI                               => +OK
        EXEC                                => []
        WATCH k                             => +OK
        b: FLUSHALL                         => +OK
        MULTI                               => +OK
        EXEC                                => (nil array)
        "#,
    );
}

#[test]
fn a_watched_key_that_expires() {
    let server = Server::start();
    let mut client = server.connect();
    play_on(&mut client, "SET k v PX 50 => +OK\n WATCH k => +OK");
    std::thread::sleep(Duration::from_millis(150));
    play_on(&mut client, "MULTI => +OK\n PING => +QUEUED\n EXEC => (nil array)");
    // Gone before it was watched: nothing changes afterwards.
    play_on(&mut client, "SET k v PX 1 => +OK");
    std::thread::sleep(Duration::from_millis(50));
    play_on(&mut client, "WATCH k => +OK\n MULTI => +OK\n PING => +QUEUED\n EXEC => [+PONG]");
}

#[test]
fn resp3_and_protocol_changes_inside() {
    play(
        &Server::start(),
        r#"
        HELLO 3                             => {"server": "redis", ...
        MULTI                               => +OK
        GET none                            => +QUEUED
        EXEC                                => [_]
        WATCH k                             => +OK
        b: SET k 1                          => +OK
        MULTI                               => +OK
        EXEC                                => _
        MULTI                               => +OK
        GET none                            => +QUEUED
        HELLO 2                             => +QUEUED
        GET none                            => +QUEUED
        EXEC                                => [_, ["server", "redis", "version", ...
        GET none                            => (nil)
        MULTI                               => +OK
        RESET                               => +RESET
        EXEC                                => -ERR EXEC without MULTI
        GET none                            => (nil)
        "#,
    );
    let server = Server::start();
    let mut client = server.connect();
    client.send(b"MULTI\r\nPING\r\nQUIT\r\nEXEC\r\n");
    assert_eq!(client.read_to_close(), b"+OK\r\n+QUEUED\r\n+OK\r\n");
}

#[test]
fn a_long_transaction_is_one_array() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(&[&b"MULTI\r\n"[..], &b"INCR n\r\n".repeat(10_000), b"EXEC\r\n"].concat());
    client.expect(b"+OK\r\n");
    client.expect(&b"+QUEUED\r\n".repeat(10_000));
    let replies = client.reply().items();
    assert_eq!(replies.len(), 10_000);
    assert_eq!(replies[9999].integer(), 10_000);
}

/// What a client has read once it sent `requests`, one to a line, and left.
fn all_replies(server: &Server, requests: &str) -> String {
    let mut client = server.connect();
    let lines: Vec<&str> = requests.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    client.send(format!("{}\r\nCLIENT REPLY ON\r\nQUIT\r\n", lines.join("\r\n")).as_bytes());
    let read = String::from_utf8(client.read_to_close()).unwrap();
    read.strip_suffix("+OK\r\n+OK\r\n").unwrap().replace("\r\n", "|")
}

#[test]
fn client_reply_mutes_the_parts_of_a_transaction_that_it_stands_between() {
    let server = Server::start();
    for (requests, replies) in [
        ("MULTI\nCLIENT REPLY OFF\nPING\nEXEC\nPING", "+OK|+QUEUED|+QUEUED|*2|"),
        (
            "MULTI\nPING\nCLIENT REPLY OFF\nECHO x\nCLIENT REPLY ON\nECHO y\nEXEC\nPING",
            "+OK|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|*5|+PONG|+OK|$1|y|+PONG|",
        ),
        ("CLIENT REPLY OFF\nMULTI\nPING\nCLIENT REPLY ON\nECHO y\nEXEC\nPING", "+OK|$1|y|+PONG|"),
        ("MULTI\nCLIENT REPLY SKIP\nPING\nEXEC\nPING\nECHO x", "+OK|+QUEUED|+QUEUED|*2|+PONG|$1|x|"),
        ("CLIENT REPLY SKIP\nMULTI\nPING\nEXEC", "+QUEUED|*1|+PONG|"),
        (
            "MULTI\nCLIENT REPLY OFF\nINCR\nEXEC\nPING",
            "+OK|+QUEUED|-ERR wrong number of arguments for 'incr' command|\
             -EXECABORT Transaction discarded because of previous errors.|+PONG|",
        ),
        (
            "MULTI\nLPUSH l 1\nCLIENT REPLY OFF\nINCR l\nCLIENT REPLY ON\nLLEN l\nEXEC",
            "+OK|+QUEUED|+QUEUED|+QUEUED|+QUEUED|+QUEUED|*5|:1|+OK|:1|",
        ),
        (
            "MULTI\nCLIENT REPLY OFF\nSUBSCRIBE x\nPUBLISH x y\nEXEC\nPING\nRESET",
            "+OK|+QUEUED|+QUEUED|+QUEUED|*3|*3|$9|subscribe|$1|x|:1|*3|$7|message|$1|x|$1|y|+RESET|",
        ),
        ("CLIENT REPLY SKIP\nRESET\nPING", "+PONG|"),
        ("CLIENT REPLY OFF\nRESET\nPING", "+RESET|+PONG|"),
    ] {
        assert_eq!(all_replies(&server, requests), replies, "{requests}");
    }
}
