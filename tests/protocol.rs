//! The protocol as a client sees it: RESP2, RESP3, inline, pipelines, every limit and every protocol error.
//!
//! Drives the built binary over sockets; knows nothing of its code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::time::Duration;

use harness::{Client, Server, Value, eventually, play, play_on};

/// What is sent, what must come back, byte for byte, before the server closes.
type Refused = (&'static [u8], &'static [u8]);

/// Protocol errors: text, then the connection ends.
const REFUSED: &[Refused] = &[
    (b"*3\r\n$3\r\nSET\r\n+1\r\n", b"-ERR Protocol error: expected '$', got '+'\r\n"),
    (b"*1\r\nPING\r\n", b"-ERR Protocol error: expected '$', got 'P'\r\n"),
    (b"*1\r\n\n\r\n", b"-ERR Protocol error: expected '$', got ' '\r\n"),
    (b"*1\r\n\r\n", b"-ERR Protocol error: expected '$', got ' '\r\n"),
    (b"*1\r\n*1\r\n", b"-ERR Protocol error: expected '$', got '*'\r\n"),
    (b"*1\r\n$-1\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$-9223372036854775808\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$abc\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$ 4\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$+4\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$04\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$4x\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$536870913\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$1073741824\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$9223372036854775807\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*1\r\n$99999999999999999999999999\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"*\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*abc\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*+1\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*01\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"* 1\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*1 \r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*2147483648\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*99999999999999999999\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"SET k \"v\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    (b"SET k 'v\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    (b"SET k \"v\"x\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    (b"SET k 'v'x\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    (b"\"\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    (b"PING \"a\\\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n"),
];

/// Well-formed oddities: what is sent, and exactly what comes back; the connection stays open.
const ACCEPTED: &[Refused] = &[
    (b"PING\r\n", b"+PONG\r\n"),
    (b"PING\n", b"+PONG\r\n"),
    (b"  PING  \r\n", b"+PONG\r\n"),
    (b"\r\n\r\n\nPING\r\n", b"+PONG\r\n"),
    (b"\tPING\tx\r\n", b"$1\r\nx\r\n"),
    (b"   \r\nPING\r\n", b"+PONG\r\n"),
    (b"ECHO \"\"\r\n", b"$0\r\n\r\n"),
    (b"ECHO \"\\n\\r\\t\\b\\a\\x41\\q\\\"\\\\\"\r\n", b"$9\r\n\n\r\t\x08\x07Aq\"\\\r\n"),
    (b"ECHO '\\n\\'\"'\r\n", b"$4\r\n\\n'\"\r\n"),
    (b"ECHO \"\\xzz\"\r\n", b"$3\r\nxzz\r\n"),
    (b"ECHO a\"b c\"\r\n", b"$4\r\nab c\r\n"),
    (b"ECHO \"a\r\"\n", b"$2\r\na\r\r\n"),
    (b"*0\r\nPING\r\n", b"+PONG\r\n"),
    (b"*-1\r\nPING\r\n", b"+PONG\r\n"),
    (b"*-2147483648\r\nPING\r\n", b"+PONG\r\n"),
    (b"*1\rx$4\r\nPING\r\n", b"+PONG\r\n"),
    (b"*1\r\n$4\r\nPINGxx*1\r\n$4\r\nPING\r\n", b"+PONG\r\n+PONG\r\n"),
    (b"*1\r\n$4\rxPING\r\n", b"+PONG\r\n"),
    (b"*1\r\n$0\r\n\r\n", b"-ERR unknown command '', with args beginning with: \r\n"),
    (b"*2\r\n$4\r\nECHO\r\n$0\r\n\r\n", b"$0\r\n\r\n"),
    (b"*2\r\n$4\r\necho\r\n$4\r\n\r\n\r\n\r\n", b"$4\r\n\r\n\r\n\r\n"),
    (b"$4\r\nPING\r\n", b"-ERR unknown command '$4', with args beginning with: \r\n+PONG\r\n"),
    (b"+PING\r\n", b"-ERR unknown command '+PING', with args beginning with: \r\n"),
    (b"\xff\xfe\r\nPING\r\n", b"-ERR unknown command '\xff\xfe', with args beginning with: \r\n+PONG\r\n"),
    (b"pInG\r\n", b"+PONG\r\n"),
    (b"GET / HTTP/1.1\r\n", b"-ERR wrong number of arguments for 'get' command\r\n"),
    (b"NOSUCH a\\ b \"c d\"\r\n", b"-ERR unknown command 'NOSUCH', with args beginning with: 'a\\' 'b' 'c d' \r\n"),
    (b"nosuch \"a\\r\\nb\"\r\n", b"-ERR unknown command 'nosuch', with args beginning with: 'a  b' \r\n"),
];

#[test]
fn protocol_errors_are_answered_and_close() {
    let server = Server::start();
    for (sent, expected) in REFUSED {
        let mut client = server.connect();
        client.send(sent);
        let got = client.read_to_close();
        assert_eq!(got.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{}", sent.escape_ascii());
    }
}

#[test]
fn protocol_errors_come_after_the_replies_before_them() {
    let server = Server::start();
    for (sent, expected) in REFUSED {
        let mut client = server.connect();
        client.send(&[b"ECHO one\r\n*2\r\n$4\r\nECHO\r\n$3\r\ntwo\r\n", *sent, b"ECHO three\r\n"].concat());
        let got = client.read_to_close();
        let wanted = [b"$3\r\none\r\n$3\r\ntwo\r\n", *expected].concat();
        assert_eq!(got.escape_ascii().to_string(), wanted.escape_ascii().to_string(), "{}", sent.escape_ascii());
    }
}

#[test]
fn protocol_errors_close_although_the_client_does_not() {
    let server = Server::start();
    let mut held = Vec::new();
    for (sent, _) in REFUSED {
        let mut client = server.connect();
        client.send(sent);
        held.push(client);
    }
    eventually("every refused connection is gone from CLIENT LIST", || server.client_count() == 1);
}

#[test]
fn odd_but_valid_requests_are_served() {
    let server = Server::start();
    for (sent, expected) in ACCEPTED {
        let mut client = server.connect();
        client.send(sent);
        client.expect(expected);
        client.send(b"ECHO end\r\n");
        client.expect(b"$3\r\nend\r\n");
    }
}

#[test]
fn a_pipeline_may_be_split_at_every_byte() {
    let server = Server::start();
    let mut sent = Vec::new();
    let mut expected = Vec::new();
    for (request, reply) in ACCEPTED {
        sent.extend_from_slice(request);
        expected.extend_from_slice(reply);
    }
    for cut in 1..sent.len() {
        let mut client = server.connect();
        client.send(&sent[..cut]);
        std::thread::sleep(Duration::from_micros(300));
        client.send(&sent[cut..]);
        client.expect(&expected);
    }
}

#[test]
fn a_pipeline_may_come_byte_by_byte() {
    let server = Server::start();
    let mut client = server.connect();
    for (request, _) in ACCEPTED {
        request.chunks(1).for_each(|byte| client.send(byte));
    }
    for (_, reply) in ACCEPTED {
        client.expect(reply);
    }
}

#[test]
fn protocol_errors_are_found_when_split_at_every_byte() {
    let server = Server::start();
    for (sent, expected) in REFUSED {
        for cut in 1..sent.len() {
            let mut client = server.connect();
            client.send(&sent[..cut]);
            std::thread::sleep(Duration::from_micros(300));
            let _ = client.try_send(&sent[cut..]);
            let got = client.read_to_close();
            assert_eq!(got.escape_ascii().to_string(), expected.escape_ascii().to_string(), "{}", sent.escape_ascii());
        }
    }
}

#[test]
fn lines_without_an_end_are_refused_at_64_kib() {
    let server = Server::start();
    let long = vec![b'a'; 66_000];
    let cases: [(&[u8], &[u8]); 4] = [
        (b"", b"-ERR Protocol error: too big inline request\r\n"),
        (b"*1\r\n$4\r\nPING\r\nECHO ", b"+PONG\r\n-ERR Protocol error: too big inline request\r\n"),
        (b"*", b"-ERR Protocol error: too big mbulk count string\r\n"),
        (b"*1\r\n$", b"-ERR Protocol error: too big bulk count string\r\n"),
    ];
    for (start, expected) in cases {
        let mut client = server.connect();
        client.send(start);
        client.send(&long);
        let got = client.read_to_close();
        assert_eq!(got.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
}

#[test]
fn a_nul_byte_hides_the_end_of_an_inline_line() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(b"PING \0\r\n");
    assert!(client.is_silent_for(Duration::from_millis(200)));
    client.send(&[b'a'; 66_000]);
    assert_eq!(client.read_to_close(), b"-ERR Protocol error: too big inline request\r\n");
}

#[test]
fn inline_lines_up_to_64_kib_are_served() {
    let server = Server::start();
    for len in [1, 1000, 16_379, 16_380, 32_768, 60_000, 65_531] {
        let mut client = server.connect();
        let text = vec![b'x'; len];
        client.send(&[b"ECHO ", &text[..], b"\r\n"].concat());
        assert!(client.reply() == Value::Bulk(text), "{len} bytes");
    }
}

#[test]
fn a_nul_byte_hides_the_end_of_a_header() {
    let server = Server::start();
    for sent in [&b"*\x001\r\n"[..], b"*1\0\r\n", b"*1\r\n\x004\r\n", b"*1\r\n$\x004\r\n", b"*1\r\n$4\0\r\n"] {
        let mut client = server.connect();
        client.send(sent);
        client.send(b"PING\r\n");
        assert!(client.is_silent_for(Duration::from_millis(50)), "{}", sent.escape_ascii());
    }
}

#[test]
fn bare_newlines_do_not_end_a_multibulk_header() {
    let server = Server::start();
    let mut client = server.connect();
    client.send(b"*1\n$4\nPING\n");
    assert!(client.is_silent_for(Duration::from_millis(200)));
}

#[test]
fn http_requests_are_cut_off_without_a_reply() {
    let server = Server::start();
    for (sent, expected) in [
        (&b"POST / HTTP/1.1\r\n"[..], &b""[..]),
        (b"post\r\nPING\r\n", b""),
        (b"Host: x\r\n", b""),
        (b"*1\r\n$5\r\nHOST:\r\n", b""),
    ] {
        let mut client = server.connect();
        client.send(sent);
        assert_eq!(client.read_to_close(), expected, "{}", sent.escape_ascii());
    }
    let mut client = server.connect();
    client.send(b"GET / HTTP/1.1\r\n");
    client.expect(b"-ERR wrong number of arguments for 'get' command\r\n");
    client.send(b"Host: x\r\n\r\n");
    assert_eq!(client.read_to_close(), b"");
    assert_eq!(server.log().matches("Possible SECURITY ATTACK detected").count(), 1, "one warning a minute");
}

#[test]
fn big_arguments_arrive_whole() {
    let server = Server::start();
    let mut client = server.connect();
    for len in [16_383, 16_384, 32_766, 32_767, 32_768, 32_769, 65_535, 65_536, 100_000, 1 << 20, 64 << 20] {
        let value = pattern(len);
        assert_eq!(client.command(&[b"SET", &b"big"[..], &value]), Value::Status("OK".to_owned()));
        assert_eq!(client.run("STRLEN big"), Value::Integer(len as i64));
        assert!(client.run("GET big") == Value::Bulk(value), "{len} bytes came back changed");
    }
}

#[test]
fn big_arguments_may_come_in_any_pieces() {
    let server = Server::start();
    for len in [32_767, 32_768, 40_000, 200_001] {
        let value = pattern(len);
        let request = [
            Client::encode(&[b"MSET", &b"one"[..], &value, b"two", b"small", b"three", &value]),
            Client::encode(&[b"GET", &b"three"[..]]),
            b"PING\r\n".to_vec(),
        ]
        .concat();
        let reply = [b"+OK\r\n", format!("${len}\r\n").as_bytes(), &value, b"\r\n+PONG\r\n"].concat();
        for size in [1021, 4096, 16_384, 32_768, 32_769, 65_536, len, len + 30] {
            let mut client = server.connect();
            for piece in request.chunks(size) {
                client.send(piece);
                std::thread::sleep(Duration::from_micros(200));
            }
            client.expect(&reply);
        }
        // The last bytes one by one: the end of the payload, its CRLF and the next header all fall on borders.
        let mut client = server.connect();
        let (head, tail) = request.split_at(request.len() - 60);
        client.send(head);
        for byte in tail.chunks(1) {
            client.send(byte);
            std::thread::sleep(Duration::from_micros(200));
        }
        client.expect(&reply);
    }
}

#[test]
fn a_big_argument_of_a_refused_command_is_skipped() {
    let server = Server::start();
    let mut client = server.connect();
    let value = pattern(100_000);
    client.send_command(&[b"NOSUCH", &value[..]]);
    assert!(client.reply().to_string().starts_with("-ERR unknown command 'NOSUCH', with args beginning with: '"));
    client.send_command(&[b"GET", &b"a"[..], &value]);
    assert_eq!(client.reply().to_string(), "-ERR wrong number of arguments for 'get' command");
    assert_eq!(client.run("PING").to_string(), "+PONG");
}

#[test]
fn announced_sizes_take_no_memory() {
    let server = Server::start();
    server.assert_serves();
    let before = server.resident();
    let mut held = Vec::new();
    for announced in ["*1000000000\r\n", "*2147483647\r\n$3\r\nSET\r\n", "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$536870912\r\n"]
    {
        for _ in 0..20 {
            let mut client = server.connect();
            client.send(announced.as_bytes());
            held.push(client);
        }
    }
    let mut other = server.connect();
    assert_eq!(other.run("SET k v").to_string(), "+OK");
    let grown = server.resident().saturating_sub(before);
    assert!(grown < 32 << 20, "60 announcements took {grown} bytes");
}

#[test]
fn a_command_of_many_arguments_is_served() {
    let server = Server::start();
    let mut client = server.connect();
    let mut args = vec![b"MSET".to_vec()];
    for index in 0..100_000 {
        args.push(format!("key:{index}").into_bytes());
        args.push(b"v".to_vec());
    }
    assert_eq!(client.command(&args).to_string(), "+OK");
    assert_eq!(client.run("DBSIZE"), Value::Integer(100_000));
    args[0] = b"DEL".to_vec();
    assert_eq!(client.command(&args), Value::Integer(100_000));
}

#[test]
fn a_long_pipeline_is_answered_in_order() {
    let server = Server::start();
    let mut client = server.connect();
    let mut sent = Vec::new();
    let mut expected = Vec::new();
    for index in 0..20_000 {
        sent.extend_from_slice(&Client::encode(&["ECHO", &index.to_string()]));
        let text = index.to_string();
        expected.extend_from_slice(format!("${}\r\n{text}\r\n", text.len()).as_bytes());
    }
    client.send(&sent);
    client.expect(&expected);
}

#[test]
fn unauthenticated_clients_have_small_limits() {
    let server = Server::with("--requirepass secret");
    let eleven = b"*11\r\n$3\r\nGET\r\n";
    let cases: [(&[u8], &[u8]); 4] = [
        (eleven, b"-ERR Protocol error: unauthenticated multibulk length\r\n"),
        (b"*2\r\n$4\r\nAUTH\r\n$16385\r\n", b"-ERR Protocol error: unauthenticated bulk length\r\n"),
        (
            b"PING\r\n*11\r\n",
            b"-NOAUTH Authentication required.\r\n-ERR Protocol error: unauthenticated multibulk length\r\n",
        ),
        (b"*1000000000\r\n", b"-ERR Protocol error: unauthenticated multibulk length\r\n"),
    ];
    for (sent, expected) in cases {
        let mut client = server.connect();
        client.send(sent);
        assert_eq!(client.read_to_close().escape_ascii().to_string(), expected.escape_ascii().to_string());
    }
    let mut client = server.connect();
    client.send(&Client::encode(&[&b"AUTH"[..], &[b'x'; 16_384]]));
    assert_eq!(client.reply().to_string(), "-WRONGPASS invalid username-password pair or user is disabled.");
    play_on(
        &mut client,
        r#"
        a b c d e f g h i j   => -ERR unknown command 'a', with args beginning with: 'b' 'c' 'd' 'e' 'f' 'g' 'h' 'i' 'j'
        PING                  => -NOAUTH Authentication required.
        NOSUCH                => -ERR unknown command 'NOSUCH', with args beginning with:
        GET                   => -ERR wrong number of arguments for 'get' command
        CLIENT nosuch         => -ERR unknown subcommand 'nosuch'. Try CLIENT HELP.
        RESET                 => +RESET
        HELLO 3               => -NOAUTH HELLO must be called with the client already authenticated...
        AUTH secret           => +OK
        SET k v               => +OK
        MGET a b c d e f g h i j k l => [(nil), (nil), (nil), (nil), (nil), (nil), (nil), (nil), (nil), (nil), "v", (nil)]
        RESET                 => +RESET
        PING                  => -NOAUTH Authentication required.
        "#,
    );
}

#[test]
fn a_query_buffer_over_its_limit_closes_without_a_reply() {
    let server = Server::with("--client-query-buffer-limit 1mb");
    let mut client = server.connect();
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$3000000\r\n");
    let _ = client.try_send(&vec![b'x'; 2_500_000]);
    assert_eq!(client.read_to_close(), b"");
    assert_eq!(server.info("stats", "client_query_buffer_limit_disconnections"), "1");
    server.assert_serves();
}

#[test]
fn the_largest_bulk_is_a_setting() {
    let server = Server::with("--proto-max-bulk-len 1mb");
    let mut client = server.connect();
    assert_eq!(client.command(&[b"SET", &b"k"[..], &pattern(1 << 20)]).to_string(), "+OK");
    client.send(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$1048577\r\n");
    assert_eq!(client.read_to_close(), b"-ERR Protocol error: invalid bulk length\r\n");
}

#[test]
fn resp3_types_are_used_after_hello_3() {
    let server = Server::start();
    play(
        &server,
        r#"
        GET none                        => (nil)
        CONFIG GET port-nothing         => []
        CONFIG GET databases            => ["databases", "16"]
        HELLO 3                         => {"server": "redis", "version": ...
        GET none                        => _
        MGET none none                  => [_, _]
        SET k 1                         => +OK
        CONFIG GET port-nothing         => {}
        CONFIG GET databases            => {"databases": "16"}
        COMMAND INFO get nosuch         => [["get", :2, ~[+readonly, +fast], :1, :1, :1, ~[+@read, +@string, +@fast], ~[], ...
        INFO nosuch                     => =txt:""
        CLIENT INFO                     => =txt:"id=...
        RANDOMKEY                       => "k"
        INCRBYFLOAT k 0.5               => "1.5"
        CLIENT GETNAME                  => _
        LCS k k IDX                     => {"matches": [[[:0, :2], [:0, :2]]], "len": :3}
        HELLO 2                         => ["server", "redis", "version", ...
        GET none                        => (nil)
        HELLO                           => ["server", "redis", "version", ...
        "#,
    );
}

#[test]
fn hello_answers_and_refuses_like_redis() {
    let server = Server::start();
    play(
        &server,
        r#"
        HELLO 1                         => -NOPROTO unsupported protocol version
        HELLO 4                         => -NOPROTO unsupported protocol version
        HELLO x                         => -ERR Protocol version is not an integer or out of range
        HELLO 3 FOO                     => -ERR Syntax error in HELLO option 'FOO'
        HELLO 3 SETNAME                 => -ERR Syntax error in HELLO option 'SETNAME'
        HELLO 3 SETNAME "a b"           => -ERR Client names cannot contain spaces, newlines or special characters.
        HELLO 3 AUTH default            => -ERR Syntax error in HELLO option 'AUTH'
        HELLO 3 AUTH nobody wrong       => -WRONGPASS invalid username-password pair or user is disabled.
        GET none                        => (nil)
        HELLO 3 AUTH default any SETNAME me => {"server": "redis", ...
        CLIENT GETNAME                  => "me"
        "#,
    );
    let mut client = server.connect();
    let hello = client.run("HELLO 3");
    assert_eq!(hello.field("proto"), Some(Value::Integer(3)));
    assert_eq!(hello.field("mode").unwrap().text(), "standalone");
    assert_eq!(hello.field("role").unwrap().text(), "master");
    assert_eq!(hello.field("version").unwrap().text(), "8.0.6");
    assert_eq!(hello.field("id").unwrap(), client.run("CLIENT ID"));
    assert!(matches!(hello.field("modules"), Some(Value::Array(_))));
}

#[test]
fn garbage_is_survived() {
    let server = Server::start();
    let mut state = 0x9E37_79B9_7F4A_7C15u64;
    for round in 0..300 {
        let mut client = server.connect();
        let len = 1 + round * 7 % 900;
        let garbage = (0..len)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                match (state >> 33) % 12 {
                    0 => b'\n',
                    1 => b'*',
                    2 => b'$',
                    3 => b'1',
                    4 => b'\r',
                    _ => (state >> 40) as u8,
                }
            })
            .collect::<Vec<_>>();
        let _ = client.try_send(&garbage);
        client.finish_sending();
        client.read_to_close();
    }
    server.assert_serves();
}

/// Bytes in which a shift, a loss or a repetition shows.
fn pattern(len: usize) -> Vec<u8> {
    (0..len as u64).map(|index| (index.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 56) as u8).collect()
}
