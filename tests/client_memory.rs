//! What clients have in their buffers, as CLIENT LIST and INFO tell it, and the limits on it: of output, of input, and of
//! all clients together. Figures are those of Redis 8.0 where they follow from what a client sends and is sent.
//!
//! Drives the built binary over sockets; knows nothing of its code.

#![allow(
    clippy::disallowed_methods,
    reason = "a test is a real client: it opens sockets, starts threads, reads the clock"
)]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::time::Duration;

use harness::{Client, Server, eventually, is_torc, play};

/// One field of a line of CLIENT LIST.
fn field(line: &str, name: &str) -> String {
    let value = line.split_whitespace().find_map(|part| part.strip_prefix(&format!("{name}=")));
    value.unwrap_or_else(|| panic!("no {name} in {line}")).to_owned()
}

fn number(line: &str, name: &str) -> usize {
    field(line, name).parse().unwrap()
}

/// Several fields, as they stand in the line.
fn fields(line: &str, names: &str) -> String {
    names.split(' ').map(|name| format!("{name}={}", field(line, name))).collect::<Vec<_>>().join(" ")
}

/// A server in which reply buffers keep their size: they shrink within a second otherwise.
fn fixed(args: &str) -> Server {
    let server = Server::with(&format!("{args} --enable-debug-command yes"));
    play(&server, "DEBUG REPLYBUFFER RESIZING 0 => +OK");
    server
}

fn id_of(client: &mut Client) -> i64 {
    client.run("CLIENT ID").integer()
}

/// The line about another client, empty once it is gone.
fn line_of(control: &mut Client, id: i64) -> String {
    control.run(&format!("CLIENT LIST ID {id}")).text()
}

fn set(client: &mut Client, key: &str, bytes: usize) {
    assert_eq!(client.command(&[b"SET", key.as_bytes(), &vec![b'x'; bytes]]).to_string(), "+OK");
}

/// The start of a command whose argument never ends.
fn unfinished(bytes: usize) -> Vec<u8> {
    let mut request = format!("*2\r\n$3\r\nGET\r\n${}\r\n", bytes + 1).into_bytes();
    request.resize(request.len() + bytes, b'a');
    request
}

#[test]
fn replies_that_were_not_sent_yet_are_shown() {
    let server = fixed("");
    let mut client = server.connect();
    set(&mut client, "k", 1000);
    set(&mut client, "m", 10_000);
    const SHOWN: &str = "obl oll omem qbuf argv-mem";
    client.send(b"GET k\r\nGET k\r\nCLIENT INFO\r\nPING\r\n");
    client.reply();
    client.reply();
    let line = client.reply().text();
    assert_eq!(fields(&line, SHOWN), "obl=2018 oll=0 omem=0 qbuf=33 argv-mem=10");
    client.reply();
    client.send(b"GET m\r\nGET m\r\nGET m\r\nCLIENT LIST\r\n");
    (0..3).for_each(|_| drop(client.reply()));
    let line = client.reply().text();
    assert_eq!(fields(&line, SHOWN), "obl=16384 oll=1 omem=20504 qbuf=34 argv-mem=10");
    let mut other = server.connect();
    let id = id_of(&mut client);
    client.send(b"MULTI\r\nGET m\r\nGET m\r\nSET a 123\r\nCLIENT INFO\r\n");
    (0..5).for_each(|_| drop(client.reply()));
    let line = line_of(&mut other, id);
    assert_eq!(fields(&line, "multi multi-mem obl qbuf"), "multi=4 multi-mem=97 obl=0 qbuf=0");
    let line = client.run("EXEC").items()[3].text();
    assert_eq!(fields(&line, "obl oll omem multi-mem"), "obl=16384 oll=1 omem=20504 multi-mem=97");
    let line = line_of(&mut other, id);
    assert_eq!(fields(&line, "multi multi-mem obl oll omem"), "multi=-1 multi-mem=0 obl=0 oll=0 omem=0");
}

#[test]
fn what_a_client_costs_is_the_sum_of_what_it_has() {
    let server = fixed("");
    let (mut client, mut control) = (server.connect(), server.connect());
    let id = id_of(&mut client);
    let base = number(&line_of(&mut control, id), "tot-mem");
    assert!((16_384..18_500).contains(&base), "{base}");
    client.run("WATCH a b");
    let watching = number(&line_of(&mut control, id), "tot-mem");
    assert_eq!(watching, base + 160);
    client.run("UNWATCH");
    client.send(b"*2\r\n$3\r\nGET\r\n$50000\r\naaa");
    eventually("a part of the argument is there", || field(&line_of(&mut control, id), "qbuf") == "3");
    let line = line_of(&mut control, id);
    let buffers = number(&line, "qbuf") + number(&line, "qbuf-free") + number(&line, "argv-mem");
    assert_eq!(field(&line, "argv-mem"), "3");
    client.send(&vec![b'a'; 49_997]);
    eventually("the argument lacks its line end", || field(&line_of(&mut control, id), "qbuf") == "50000");
    assert_eq!(field(&line_of(&mut control, id), "argv-mem"), "3");
    assert!((base + buffers..base + buffers + 100).contains(&number(&line, "tot-mem")), "{line}");
}

#[test]
fn the_request_that_waits_counts_with_its_arguments() {
    let server = fixed("");
    let mut control = server.connect();
    for (request, argv) in [("BLPOP list 0", 10), ("WAIT 1 0", 6)] {
        let mut client = server.connect();
        let id = id_of(&mut client);
        let base = number(&line_of(&mut control, id), "tot-mem");
        client.send(format!("{request}\r\n").as_bytes());
        eventually("it is blocked", || field(&line_of(&mut control, id), "flags") == "b");
        let line = line_of(&mut control, id);
        assert_eq!(number(&line, "argv-mem"), argv, "{line}");
        assert!(number(&line, "tot-mem") > base, "{line}");
    }
    let mut client = server.connect();
    let id = id_of(&mut client);
    control.run("CLIENT PAUSE 60000 WRITE");
    client.send_command(&["SET", "key", &"v".repeat(1000)]);
    eventually("it is paused", || field(&line_of(&mut control, id), "flags") == "b");
    assert_eq!(fields(&line_of(&mut control, id), "qbuf argv-mem"), "qbuf=0 argv-mem=1006");
    control.run("CLIENT UNPAUSE");
    client.reply();
    assert_eq!(fields(&line_of(&mut control, id), "qbuf argv-mem"), "qbuf=0 argv-mem=0");
}

#[test]
fn requests_behind_one_that_waits_count_as_they_came() {
    let server = fixed("");
    let (mut control, mut behind) = (server.connect(), b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".repeat(3));
    behind.extend_from_slice(b"PING\r\nSET a bc\n*2\r\n$20000\r\n");
    behind.resize(behind.len() + 700, b'x');
    for (pause, first) in [(false, &b"*3\r\n$5\r\nBLPOP\r\n$4\r\nlist\r\n$1\r\n0\r\n"[..]), (true, b"SET a b\r\n")] {
        let mut client = server.connect();
        let id = id_of(&mut client);
        if pause {
            control.run("CLIENT PAUSE 60000 WRITE");
        }
        client.send(&[first, &behind].concat());
        eventually("it waits", || field(&line_of(&mut control, id), "flags") == "b");
        eventually("all of it is there", || number(&line_of(&mut control, id), "qbuf") == behind.len());
        control.run("CLIENT UNPAUSE");
    }
}

#[test]
fn a_transaction_costs_its_queue() {
    let server = fixed("");
    let (mut client, mut control) = (server.connect(), server.connect());
    let id = id_of(&mut client);
    client.run("MULTI");
    let base = number(&line_of(&mut control, id), "tot-mem");
    for places in [2, 2, 4, 4, 8] {
        client.run("SET k v");
        let line = line_of(&mut control, id);
        assert_eq!(number(&line, "tot-mem"), base + number(&line, "multi-mem") + places * 24, "{line}");
    }
}

/// What is beyond the limit is not even written: this would be gigabytes.
#[test]
fn a_huge_choice_ends_at_the_limit() {
    let server = fixed("--client-output-buffer-limit normal 1000000 0 0");
    play(&server, "HSET h f v => :1\nSADD s m => :1\nZADD z 1 m => :1");
    for request in ["HRANDFIELD h -2000000000", "SRANDMEMBER s -2000000000", "ZRANDMEMBER z -2000000000 WITHSCORES"] {
        let mut client = server.connect();
        client.send(format!("{request}\r\n").as_bytes());
        assert_eq!(client.read_to_close(), b"", "{request}");
    }
    assert!(server.resident() < 200 << 20, "{} bytes", server.resident());
    let mut client = server.connect();
    assert_eq!(client.run("HRANDFIELD h -30000").items().len(), 30_000);
}

#[test]
fn reply_buffers_follow_the_replies() {
    let server = Server::with("--enable-debug-command yes");
    let (mut client, mut control) = (server.connect(), server.connect());
    let id = id_of(&mut client);
    eventually("an idle client's buffer is small", || {
        fields(&line_of(&mut control, id), "rbs rbp") == "rbs=1024 rbp=0"
    });
    assert_ne!(server.info("stats", "reply_buffer_shrinks"), "0");
    set(&mut control, "k", 40_000);
    assert_eq!(control.run("DEBUG REPLYBUFFER PEAK-RESET-TIME never").to_string(), "+OK");
    eventually("large replies make it large", || {
        client.run("GET k");
        fields(&line_of(&mut control, id), "rbs rbp") == "rbs=16384 rbp=16384"
    });
    assert_ne!(server.info("stats", "reply_buffer_expands"), "0");
    assert_eq!(control.run("DEBUG REPLYBUFFER RESIZING 0").to_string(), "+OK");
    assert_eq!(control.run("DEBUG REPLYBUFFER PEAK-RESET-TIME 0").to_string(), "+OK");
    let mut late = server.connect();
    let late_id = id_of(&mut late);
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(field(&line_of(&mut control, late_id), "rbs"), "16384");
    assert_eq!(control.run("DEBUG REPLYBUFFER RESIZING 1").to_string(), "+OK");
    eventually("and small again", || field(&line_of(&mut control, late_id), "rbs") == "1024");
}

#[test]
fn a_slow_reader_shows_what_waits_for_it() {
    let server = Server::start();
    let (mut slow, mut control) = (server.connect(), server.connect());
    let id = id_of(&mut slow);
    set(&mut control, "k", 1 << 20);
    slow.send(&b"GET k\r\n".repeat(12));
    eventually("output waits", || number(&line_of(&mut control, id), "omem") > 1 << 20);
    let line = line_of(&mut control, id);
    assert_eq!(field(&line, "events"), "rw");
    assert!(number(&line, "oll") > 0 && number(&line, "tot-mem") > number(&line, "omem"), "{line}");
    let largest = || server.info("clients", "client_recent_max_output_buffer").parse::<usize>().unwrap();
    eventually("the largest of late is known", || largest() > 1 << 20);
    let normal = server.info("memory", "mem_clients_normal").parse::<usize>().unwrap();
    assert!(normal > number(&line, "omem"), "{normal}");
    (0..12).for_each(|_| assert_eq!(slow.reply().text().len(), 1 << 20));
    eventually("nothing waits any more", || {
        fields(&line_of(&mut control, id), "oll omem events") == "oll=0 omem=0 events=r"
    });
    assert!(largest() > 1 << 20, "it is remembered for some seconds");
}

/// What a reply may take in memory beside its own bytes: the ends of blocks, the slab that it begins in, buffers of sockets
/// that other clients have.
const REPLY_MEMORY_MAX: usize = 2 << 20;

/// A reply of many small elements takes its own size in memory, and less and less as it is read.
#[test]
fn a_long_reply_takes_its_own_size_and_goes_as_it_is_read() {
    if !is_torc() {
        return harness::skip("redis-server frees the parts of a reply some at a time");
    }
    const ELEMENTS: usize = 500_000;
    const ELEMENT: &str = "$8\r\nelement!\r\n";
    let server = Server::start();
    let (mut slow, mut control) = (server.connect(), server.connect());
    let id = id_of(&mut slow);
    let push = ["RPUSH", "k"].into_iter().chain(std::iter::repeat_n("element!", 1000)).collect::<Vec<_>>();
    (0..ELEMENTS / 1000).for_each(|_| _ = control.command(&push));
    let used = |control: &mut Client| {
        let info = control.run("INFO memory").text();
        let line = info.lines().find_map(|line| line.strip_prefix("used_memory:")).unwrap().to_owned();
        line.parse::<usize>().unwrap()
    };
    let before = used(&mut control);
    let size = ELEMENTS * ELEMENT.len();
    slow.send(b"LRANGE k 0 -1\r\n");
    eventually("output waits", || number(&line_of(&mut control, id), "omem") > size / 4);
    let peak = server.info("memory", "used_memory_peak").parse::<usize>().unwrap().max(used(&mut control));
    assert!(peak < before + size + REPLY_MEMORY_MAX, "{peak} after {before} for {size}");
    slow.expect(format!("*{ELEMENTS}\r\n").as_bytes());
    for part in 1..=10 {
        slow.expect(ELEMENT.repeat(ELEMENTS / 10).as_bytes());
        let left = size - size / 10 * part;
        eventually("what was read is no longer kept", || number(&line_of(&mut control, id), "omem") <= left);
        eventually("nor in memory", || used(&mut control) < before + left + REPLY_MEMORY_MAX);
    }
}

#[test]
fn one_reply_beyond_the_hard_limit_is_not_sent() {
    let server = fixed("--client-output-buffer-limit normal 100000 0 0");
    let mut control = server.connect();
    set(&mut control, "big", 300_000);
    set(&mut control, "part", 10_000);
    let mut client = server.connect();
    client.send(b"SET w 1\r\nGET big\r\nSET w 2\r\n");
    assert_eq!(client.read_to_close(), b"");
    assert_eq!(control.run("GET w").text(), "1");
    let mut client = server.connect();
    client.send(b"MULTI\r\nGET big\r\nSET w 3\r\nEXEC\r\nSET w 4\r\n");
    client.read_to_close();
    assert_eq!(control.run("GET w").text(), "3");
    let mut client = server.connect();
    client.send(&b"SET a b\r\nGET a\r\nDEL a\r\nGET part\r\n".repeat(15));
    client.read_to_close();
    assert_eq!(server.info("stats", "client_output_buffer_limit_disconnections"), "3");
    let text = "scheduled to be closed ASAP for overcoming of output buffer limits.";
    assert_eq!(server.log().matches(text).count(), 3);
    let line = server.log().lines().find(|line| line.contains(text)).unwrap().to_owned();
    assert_eq!(fields(&line, "obl oll omem"), "obl=16384 oll=1 omem=286744");
    // Below it they are.
    let mut client = server.connect();
    client.send(&b"GET part\r\n".repeat(8));
    (0..8).for_each(|_| assert_eq!(client.reply().text().len(), 10_000));
}

/// More in all than the limit, but never at once.
#[test]
fn a_long_pipeline_that_is_read_passes_below_the_limit() {
    if !is_torc() {
        return harness::skip("how much is executed before anything is sent is our own");
    }
    let server = Server::with("--client-output-buffer-limit normal 300000 0 0");
    let mut client = server.connect();
    set(&mut client, "k", 100);
    const GETS: usize = 3000;
    for _ in 0..20 {
        client.send(&b"GET k\r\n".repeat(GETS));
        for _ in 0..GETS {
            assert_eq!(client.reply().text().len(), 100);
        }
    }
    assert_eq!(server.info("stats", "client_output_buffer_limit_disconnections"), "0");
}

#[test]
fn a_soft_limit_ends_a_client_that_stays_above_it() {
    let server = Server::with("--client-output-buffer-limit normal 0 100000 1");
    let (mut slow, mut control) = (server.connect(), server.connect());
    let id = id_of(&mut slow);
    set(&mut control, "k", 1 << 20);
    slow.send(&b"GET k\r\n".repeat(12));
    eventually("output waits", || number(&line_of(&mut control, id), "omem") > 100_000);
    eventually("it is closed", || line_of(&mut control, id).is_empty());
    assert!(server.log().contains(" closed for overcoming of output buffer limits."), "{}", server.log());
    assert_eq!(server.info("stats", "client_output_buffer_limit_disconnections"), "1");
}

/// A client cannot move while it is still written to: what it is sent meanwhile counts as well.
#[test]
fn a_listener_that_is_to_move_is_held_to_its_limit() {
    if !is_torc() {
        return harness::skip("the number of threads of another server cannot be changed");
    }
    let server =
        Server::with("--io-threads 2 --io-threads-always-active yes --client-output-buffer-limit pubsub 8mb 0 0");
    let (mut deaf, mut control) = (server.connect(), server.connect());
    let id = id_of(&mut deaf);
    deaf.run("SUBSCRIBE c");
    eventually("it lives on a thread", || field(&line_of(&mut control, id), "io-thread") != "0");
    let message = "m".repeat(100_000);
    eventually("output waits", || {
        assert_eq!(control.run(&format!("PUBLISH c {message}")).integer(), 1);
        number(&line_of(&mut control, id), "omem") > 0
    });
    play(&server, "CONFIG SET io-threads 1 => +OK");
    eventually("who can has moved", || server.info("threads", "io_thread_0").starts_with("clients=2,"));
    let sent = (0..200).take_while(|_| control.run(&format!("PUBLISH c {message}")).integer() == 1).count();
    assert!((60..90).contains(&sent), "{sent} messages waited");
    assert_eq!(server.info("stats", "client_output_buffer_limit_disconnections"), "1");
}

/// What the main thread gave a thread, and that frees as it ends, is in use no longer.
#[test]
fn threads_that_ended_are_not_counted() {
    const ROUNDS: usize = 40;
    /// A channel's first block alone has 2 KiB.
    const PER_THREAD: usize = 512;
    if !is_torc() {
        return harness::skip("the number of threads of another server cannot be changed");
    }
    let server = Server::with("--io-threads 1 --hz 100");
    // The kernel's own workers stand there too, and come and go.
    let threads = || {
        let tasks = std::fs::read_dir(format!("/proc/{}/task", server.pid())).unwrap();
        let name =
            |task: std::io::Result<std::fs::DirEntry>| std::fs::read_to_string(task.ok()?.path().join("comm")).ok();
        tasks.filter_map(name).filter(|name| name.starts_with("io_thd_")).count()
    };
    let mut control = server.connect();
    let mut round = || {
        assert_eq!(control.run("CONFIG SET io-threads 4").to_string(), "+OK");
        eventually("the threads begin", || threads() == 3);
        assert_eq!(control.run("CONFIG SET io-threads 1").to_string(), "+OK");
        eventually("the threads end", || threads() == 0);
    };
    // Buffers that follow the number of threads have their size after some.
    (0..10).for_each(|_| round());
    let used = || server.info("memory", "used_memory").parse::<usize>().unwrap();
    let before = used();
    (0..ROUNDS).for_each(|_| round());
    let most = before + ROUNDS * 3 * PER_THREAD;
    eventually("what they had is back", || used() < most);
}

#[test]
fn who_has_not_authenticated_may_leave_little_unread() {
    let server = Server::with("--requirepass secret");
    let mut client = server.connect();
    client.send(&b"GET a\r\n".repeat(2000));
    client.read_to_close();
    let mut control = server.connect();
    assert_eq!(control.run("AUTH secret").to_string(), "+OK");
    let stats = control.run("INFO stats").text();
    assert!(stats.contains("client_output_buffer_limit_disconnections:1\r"), "{stats}");
}

#[test]
fn too_much_input_is_logged_with_its_first_bytes() {
    let server = Server::with("--client-query-buffer-limit 1mb");
    let mut client = server.connect();
    // The server may be gone before the last of it is sent.
    let _ = client.try_send(&unfinished(1_500_000));
    eventually("it is closed", || server.info("stats", "client_query_buffer_limit_disconnections") == "1");
    let log = server.log();
    let line = log.lines().find(|line| line.contains("Closing client that reached max query buffer length: id="));
    let line = line.unwrap_or_else(|| panic!("{log}"));
    assert_eq!(fields(line, "flags argv-mem"), "flags=A argv-mem=3");
    assert!(line.ends_with(&format!("(qbuf initial bytes: \"{}\")", "a".repeat(64))), "{line}");
}

#[test]
fn a_client_too_large_for_all_is_evicted() {
    let server = Server::with("--maxmemory-clients 3000000");
    let (mut client, mut control) = (server.connect(), server.connect());
    assert_eq!(client.run("CLIENT SETNAME large").to_string(), "+OK");
    client.send(&unfinished(1_000_000));
    let id = {
        let list = control.run("CLIENT LIST").text();
        number(list.lines().find(|line| line.contains("name=large")).unwrap(), "id") as i64
    };
    eventually("it has the bytes", || number(&line_of(&mut control, id), "tot-mem") > 1_000_000);
    let mut larger = server.connect();
    let _ = larger.try_send(&unfinished(3_500_000));
    larger.read_to_close();
    assert_eq!(server.info("stats", "evicted_clients"), "1");
    assert!(server.log().contains("Evicting client: id="), "{}", server.log());
    assert!(!line_of(&mut control, id).is_empty(), "the smaller one stays");
    // A transaction counts too.
    let mut queueing = server.connect();
    queueing.run("MULTI");
    let argument = vec![b'v'; 750_000];
    let closed = (0..5).any(|_| {
        let sent = queueing.try_send(&Client::encode(&[b"SET", &b"k"[..], &argument]));
        sent.is_err() || queueing.try_reply().is_err()
    });
    assert!(closed);
    assert_eq!(server.info("stats", "evicted_clients"), "2");
}

#[test]
fn eviction_takes_the_largest_and_spares_who_asked_for_it() {
    let server = Server::start();
    let mut control = server.connect();
    control.run("CLIENT NO-EVICT on");
    let sizes = [20_000, 200_000, 800_000];
    let mut clients = Vec::new();
    for size in sizes.iter().flat_map(|size| [*size; 2]) {
        let mut client = server.connect();
        let id = id_of(&mut client);
        client.send(&unfinished(size));
        eventually("it has the bytes", || number(&line_of(&mut control, id), "qbuf") == size);
        clients.push((client, id));
    }
    let spared = clients[4].1;
    assert_eq!(control.run("CLIENT LIST TYPE normal").text().lines().count(), 7);
    play(&server, "CONFIG SET maxmemory-clients 1900000 => +OK");
    eventually("one of the largest goes", || server.info("stats", "evicted_clients") == "1");
    assert!(line_of(&mut control, spared).is_empty(), "who came first goes first");
    play(&server, "CONFIG SET maxmemory-clients 900000 => +OK");
    eventually("and the other one", || server.info("stats", "evicted_clients") == "2");
    for (index, (_, id)) in clients.iter().enumerate() {
        assert_eq!(line_of(&mut control, *id).is_empty(), index >= 4, "client {index}");
    }
    // A share of a memory limit that is not set limits nothing; with it it does.
    play(&server, "CONFIG SET maxmemory-clients 1% => +OK");
    assert_eq!(server.info("stats", "evicted_clients"), "2");
    play(&server, "CONFIG SET maxmemory 20mb => +OK");
    eventually("both of the middle go", || server.info("stats", "evicted_clients") == "4");
    assert!(!line_of(&mut control, clients[0].1).is_empty());
    play(&server, "CONFIG SET maxmemory 0 => +OK");
    // Who may not be evicted takes what it wants.
    let mut greedy = server.connect();
    let id = id_of(&mut greedy);
    play(&server, "CONFIG SET maxmemory-clients 500000 => +OK");
    assert_eq!(greedy.run("CLIENT NO-EVICT on").to_string(), "+OK");
    greedy.send(&unfinished(2_000_000));
    eventually("it has the bytes", || number(&line_of(&mut control, id), "qbuf") == 2_000_000);
}

#[test]
fn a_reply_that_makes_its_client_too_large_ends_it_before_the_next_command() {
    let server = Server::start();
    let mut control = server.connect();
    set(&mut control, "big", 300_000);
    control.run("CLIENT NO-EVICT on");
    control.run("CONFIG SET maxmemory-clients 1");
    let mut client = server.connect();
    client.send(b"GET big\r\nSET w evicted\r\nPING\r\n");
    client.read_to_close();
    assert_eq!(control.run("EXISTS w").integer(), 0);
    assert_eq!(server.info("stats", "evicted_clients"), "1");
    // Alone it is written before anybody is evicted.
    let mut client = server.connect();
    client.send(b"GET big\r\n");
    assert_eq!(client.reply().text().len(), 300_000);
    assert_eq!(client.run("PING").to_string(), "+PONG");
    // Ten fresh clients are more than the least limit.
    let mut crowd: Vec<Client> = (0..10).map(|_| server.connect()).collect();
    eventually("some of them go", || control.run("CLIENT LIST").text().lines().count() < 9);
    drop(crowd.pop());
    assert_eq!(control.run("PING").to_string(), "+PONG");
}

#[test]
fn who_is_left_over_the_limit_is_said_once() {
    if !is_torc() {
        return harness::skip("Redis says it in every turn");
    }
    let server = Server::start();
    let mut control = server.connect();
    control.run("CLIENT NO-EVICT on");
    let mut spared = server.connect();
    spared.run("CLIENT NO-EVICT on");
    spared.send(&unfinished(500_000));
    eventually("it has the bytes", || control.run("CLIENT LIST").text().contains(" qbuf=500000 "));
    control.run("CONFIG SET maxmemory-clients 200000");
    for _ in 0..50 {
        assert_eq!(control.run("PING").to_string(), "+PONG");
    }
    let text = "Over client maxmemory after evicting all evictable clients";
    eventually("it is said", || server.log().contains(text));
    assert_eq!(server.log().matches(text).count(), 1);
    let stats = control.run("INFO stats").text();
    assert!(stats.contains("evicted_clients:0\r"), "{stats}");
}

#[test]
fn debug_writes_a_whole_configuration_file() {
    let server = Server::with("--enable-debug-command yes");
    let mut client = server.connect();
    let answer = client.run("DEBUG CONFIG-REWRITE-FORCE-ALL").to_string();
    assert_eq!(answer, "-ERR CONFIG-REWRITE-FORCE-ALL failed: Bad address");
    assert_eq!(client.run("DEBUG DICT-RESIZING 0").to_string(), "+OK");
    assert_eq!(client.run("DEBUG DICT-RESIZING 1").to_string(), "+OK");
}
