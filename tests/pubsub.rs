//! Publish/subscribe over sockets: confirmations, messages, their order beside replies, both protocols, large payloads,
//! slow readers, users.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::time::Duration;

use harness::{Client, Server, eventually};

fn connect(server: &Server, protocol: u8) -> Client {
    let mut client = server.connect();
    client.run(&format!("HELLO {protocol}"));
    client
}

/// What a message looks like.
fn message(protocol: u8, words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("{}{}\r\n", if protocol == 3 { '>' } else { '*' }, words.len()).into_bytes();
    for word in words {
        bytes.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        bytes.extend_from_slice(word);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

#[test]
fn messages_reach_everybody_in_order() {
    let server = Server::start();
    let mut publisher = server.connect();
    let mut listeners: Vec<(u8, Client)> =
        (0..40).map(|number| 2 + number % 2).map(|protocol| (protocol, connect(&server, protocol))).collect();
    for (protocol, listener) in &mut listeners {
        listener.send_command(&["SUBSCRIBE", "news", "other"]);
        let kind = if *protocol == 3 { '>' } else { '*' };
        listener.expect(format!("{kind}3\r\n$9\r\nsubscribe\r\n$4\r\nnews\r\n:1\r\n").as_bytes());
        listener.expect(format!("{kind}3\r\n$9\r\nsubscribe\r\n$5\r\nother\r\n:2\r\n").as_bytes());
        listener.send_command(&["PSUBSCRIBE", "n*"]);
        listener.expect(format!("{kind}3\r\n$10\r\npsubscribe\r\n$2\r\nn*\r\n:3\r\n").as_bytes());
    }
    // One pipeline: many messages to the same clients in one turn.
    let mut pipeline = Vec::new();
    for number in 0..100 {
        pipeline.extend_from_slice(&Client::encode(&["PUBLISH", "news", &number.to_string()]));
    }
    publisher.send(&pipeline);
    (0..100).for_each(|_| publisher.expect(b":80\r\n"));
    for (protocol, listener) in &mut listeners {
        for number in 0..100 {
            let text = number.to_string();
            listener.expect(&message(*protocol, &[b"message", b"news", text.as_bytes()]));
            listener.expect(&message(*protocol, &[b"pmessage", b"n*", b"news", text.as_bytes()]));
        }
    }
}

#[test]
fn a_large_message_is_shared_by_fast_and_slow_readers() {
    let server = Server::start();
    let mut publisher = server.connect();
    let payload: Vec<u8> = (0..3 << 20).map(|index: u32| (index % 251) as u8).collect();
    let mut listeners: Vec<Client> = (0..8).map(|number| connect(&server, 2 + number % 2)).collect();
    for listener in &mut listeners {
        listener.run("SUBSCRIBE big");
    }
    // Nobody reads yet: more than the sockets take waits in the server, once for all.
    for _ in 0..2 {
        publisher.send_command(&[&b"PUBLISH"[..], b"big", &payload]);
        publisher.expect(b":8\r\n");
    }
    publisher.send_command(&["PUBLISH", "big", "end"]);
    publisher.expect(b":8\r\n");
    for (number, listener) in listeners.iter_mut().enumerate() {
        let protocol = 2 + number as u8 % 2;
        for _ in 0..2 {
            listener.expect(&message(protocol, &[b"message", b"big", &payload]));
        }
        listener.expect(&message(protocol, &[b"message", b"big", b"end"]));
    }
}

#[test]
fn who_publishes_to_itself_is_answered_first() {
    let server = Server::start();
    let mut client = connect(&server, 3);
    client.run("SUBSCRIBE self");
    client.send_command(&["PUBLISH", "self", "x"]);
    client.expect(b":1\r\n>3\r\n$7\r\nmessage\r\n$4\r\nself\r\n$1\r\nx\r\n");
    let mut pipeline = Vec::new();
    for line in
        [&["MULTI"][..], &["PUBLISH", "self", "y"], &["SUBSCRIBE", "more"], &["ECHO", "z"], &["EXEC"], &["PING"]]
    {
        pipeline.extend_from_slice(&Client::encode(line));
    }
    client.send(&pipeline);
    client.expect(b"+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n");
    client.expect(b"*3\r\n:1\r\n>3\r\n$9\r\nsubscribe\r\n$4\r\nmore\r\n:2\r\n$1\r\nz\r\n");
    client.expect(b">3\r\n$7\r\nmessage\r\n$4\r\nself\r\n$1\r\ny\r\n+PONG\r\n");
    // Pushes come where replies do not.
    client.send_command(&["CLIENT", "REPLY", "OFF"]);
    client.send_command(&["SUBSCRIBE", "third"]);
    client.expect(b">3\r\n$9\r\nsubscribe\r\n$5\r\nthird\r\n:3\r\n");
    client.send_command(&["PUBLISH", "third", "w"]);
    client.expect(b">3\r\n$7\r\nmessage\r\n$5\r\nthird\r\n$1\r\nw\r\n");
    client.send_command(&["CLIENT", "REPLY", "ON"]);
    client.expect(b"+OK\r\n");
}

#[test]
fn subscriptions_end_with_the_connection_and_with_reset() {
    let server = Server::start();
    let mut admin = server.connect();
    let mut gone = server.connect();
    let mut reset = server.connect();
    for client in [&mut gone, &mut reset] {
        client.run("SUBSCRIBE a");
        client.run("PSUBSCRIBE p*");
        client.run("SSUBSCRIBE s");
    }
    assert_eq!(admin.run("PUBSUB NUMSUB a").to_string(), "[\"a\", :2]");
    drop(gone);
    eventually("its subscriptions end", || admin.run("PUBSUB NUMSUB a").to_string() == "[\"a\", :1]");
    assert_eq!(reset.run("RESET").to_string(), "+RESET");
    for (line, answer) in
        [("PUBSUB CHANNELS", "[]"), ("PUBSUB SHARDCHANNELS", "[]"), ("PUBSUB NUMPAT", ":0"), ("PUBLISH a x", ":0")]
    {
        assert_eq!(admin.run(line).to_string(), answer, "{line}");
    }
    assert!(reset.is_silent_for(Duration::from_millis(50)));
    assert_eq!(reset.run("PING").to_string(), "+PONG");
}

#[test]
fn a_listener_that_never_reads_is_closed() {
    let server = Server::start();
    let mut admin = server.connect();
    admin.run("CONFIG SET client-output-buffer-limit \"pubsub 1mb 0 0\"");
    let mut listener = server.connect();
    listener.run("SUBSCRIBE flood");
    let mut quiet = server.connect();
    quiet.run("SUBSCRIBE other");
    let payload = vec![b'x'; 64 << 10];
    eventually("it is closed", || {
        admin.send_command(&[&b"PUBLISH"[..], b"flood", &payload]);
        admin.reply().integer() == 0
    });
    assert!(admin.run("CLIENT LIST TYPE pubsub").text().contains(" sub=1 "));
    assert!(admin.run("INFO stats").text().contains("client_output_buffer_limit_disconnections:1\r\n"));
    assert_eq!(admin.run("PUBLISH other x").integer(), 1);
}

#[test]
fn listeners_may_be_idle() {
    let server = Server::with("--timeout 1");
    let mut listener = server.connect();
    listener.run("SUBSCRIBE x");
    let mut idle = server.connect();
    assert!(idle.read_to_close().is_empty());
    let mut admin = server.connect();
    assert_eq!(admin.run("PUBLISH x y").integer(), 1);
    listener.expect(b"*3\r\n$7\r\nmessage\r\n$1\r\nx\r\n$1\r\ny\r\n");
}

#[test]
fn users_listen_where_they_may() {
    let server = Server::start();
    let mut admin = server.connect();
    admin.run("ACL SETUSER bob on nopass +@all ~* resetchannels &ok* &p?t");
    let mut bob = connect(&server, 3);
    bob.run("AUTH bob x");
    let refusal = "-NOPERM No permissions to access a channel";
    for (line, allowed) in [
        ("SUBSCRIBE ok1 no", false),
        ("SUBSCRIBE ok1", true),
        ("PSUBSCRIBE ok*", true),
        ("PSUBSCRIBE ok1", false),
        ("SSUBSCRIBE no", false),
        ("SSUBSCRIBE ok", true),
        ("PUBLISH no x", false),
        ("PUBLISH put x", true),
        ("SPUBLISH no x", false),
        ("UNSUBSCRIBE no", true),
    ] {
        assert_eq!(bob.run(line).to_string() != refusal, allowed, "{line}");
    }
    assert_eq!(
        admin.run("ACL DRYRUN bob PUBLISH no x").text(),
        "User bob has no permissions to access the 'no' channel"
    );
    assert!(admin.run("INFO stats").text().contains("acl_access_denied_channel:5\r\n"));
    let log = admin.run("ACL LOG").to_string();
    assert!(log.contains("\"reason\", \"channel\"") && log.contains("\"object\", \"ok1\""), "{log}");
    // A queued command is checked again.
    bob.run("MULTI");
    bob.run("PUBLISH ok x");
    admin.run("ACL SETUSER bob resetchannels &ok* &ok");
    assert_eq!(bob.run("EXEC").to_string(), "[:1]");
    bob.expect(b">4\r\n$8\r\npmessage\r\n$3\r\nok*\r\n$2\r\nok\r\n$1\r\nx\r\n");
    // What it listens to is no longer allowed.
    let mut other = connect(&server, 2);
    other.run("AUTH bob x");
    other.run("SUBSCRIBE ok7");
    admin.run("ACL SETUSER bob resetchannels &ok7");
    assert!(bob.read_to_close().is_empty());
    assert_eq!(admin.run("PUBLISH ok7 y").integer(), 1);
    other.expect(b"*3\r\n$7\r\nmessage\r\n$3\r\nok7\r\n$1\r\ny\r\n");
    admin.run("ACL DELUSER bob");
    assert!(other.read_to_close().is_empty());
}

#[test]
fn keyspace_events_are_heard() {
    let server = Server::start();
    let mut admin = server.connect();
    let mut listener = server.connect();
    listener.run("PSUBSCRIBE __key*__:*");
    assert_eq!(admin.run("CONFIG SET notify-keyspace-events KEA").to_string(), "+OK");
    admin.run("SET k v PX 30");
    for (channel, payload) in [
        (&b"__keyspace@0__:k"[..], &b"set"[..]),
        (b"__keyevent@0__:set", b"k"),
        (b"__keyspace@0__:k", b"expire"),
        (b"__keyevent@0__:expire", b"k"),
        // Nobody comes upon it: the cron finds it.
        (b"__keyspace@0__:k", b"expired"),
        (b"__keyevent@0__:expired", b"k"),
    ] {
        listener.expect(&message(2, &[b"pmessage", b"__key*__:*", channel, payload]));
    }
}

#[test]
fn who_cannot_hear_pushes_is_told_of_changed_keys_by_a_message() {
    let server = Server::start();
    let mut reader = server.connect();
    let mut told = server.connect();
    let id = told.run("CLIENT ID").integer();
    told.run("SUBSCRIBE __redis__:invalidate");
    reader.run(&format!("CLIENT TRACKING ON REDIRECT {id}"));
    reader.run("GET k");
    let mut writer = server.connect();
    writer.run("SET k v");
    told.expect(b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\nk\r\n");
    reader.run("GET k");
    writer.run("FLUSHALL");
    told.expect(b"*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n$-1\r\n");
}
