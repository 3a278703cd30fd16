//! The engine as a whole: gates, clock, accounting, what the server asks of it.

#![forbid(unsafe_code)]

use std::cell::Cell;

use crate::command::session::SessionFlags;
use crate::command::ticks::Ticks;
use crate::engine::{Engine, Prepared, Verdict};
use crate::resp::args::OwnedArgs;
use crate::resp::decode::Value;
use crate::resp::parse::ProtocolError;
use crate::resp::reply::Reply;

thread_local! {
    static TICKS: Cell<u64> = const { Cell::new(0) };
}

/// A counter that advances by 300 at each reading.
fn steady() -> u64 {
    TICKS.replace(TICKS.get() + 300)
}

#[test]
fn unknown_commands_are_quoted_within_bounds() {
    let mut engine = Engine::for_console();
    let begin = "(error) ERR unknown command '";
    assert_eq!(engine.run(&["nosuch", "a", "b c"]), format!("{begin}nosuch', with args beginning with: 'a' 'b c' "));
    assert_eq!(engine.run(&[""]), format!("{begin}', with args beginning with: "));
    assert_eq!(
        engine.run(&["no\0such", "a\0b", "c\r\nd"]),
        format!("{begin}no', with args beginning with: 'a' 'c  d' ")
    );
    let long = "x".repeat(200);
    let (name, first) = ("x".repeat(128), "x".repeat(128));
    assert_eq!(engine.run(&[&long, &long, "y"]), format!("{begin}{name}', with args beginning with: '{first}' "));
    let third = "z".repeat(128 - 12);
    let long = "z".repeat(200);
    let quoted = format!("'one' 'two' '{third}' ");
    assert_eq!(engine.run(&["n", "one", "two", &long, "y"]), format!("{begin}n', with args beginning with: {quoted}"));
    assert_eq!(engine.run(&["config", "nosuch"]), "(error) ERR unknown subcommand 'nosuch'. Try CONFIG HELP.");
}

#[test]
fn a_browser_gets_no_answer() {
    let mut engine = Engine::for_console();
    for (slot, word) in ["POST", "host:"].into_iter().enumerate() {
        let slot = engine.connect(slot as u32);
        assert_eq!(engine.run_values(slot, &[word, "/", "HTTP/1.1"]), []);
        assert!(engine.session(slot).flags.contains(SessionFlags::CLOSE_ASAP));
    }
    assert_eq!(engine.state.effects.take().warnings.len(), 1, "one warning a minute");
    engine.advance_ms(60_000);
    let slot = engine.connect(9);
    engine.run_in(slot, &["POST"]);
    assert_eq!(engine.state.effects.warnings.len(), 1);
}

#[test]
fn a_protocol_error_is_counted_and_closes() {
    let mut engine = Engine::for_console();
    let slot = engine.connect(0);
    let mut reply = Reply::new(64);
    engine.protocol_error(slot, ProtocolError::CountInvalid, &mut reply);
    assert_eq!(reply.to_vec(), b"-ERR Protocol error: invalid multibulk length\r\n");
    assert!(engine.session(slot).flags.contains(SessionFlags::CLOSE_AFTER_REPLY));
    assert_eq!(engine.state.stats.error_replies, 1);
}

#[test]
fn durations_add_up_and_the_clock_follows_them() {
    let mut engine = Engine::for_console();
    TICKS.set(0);
    engine.use_ticks(Ticks::counter(steady, 1_000_000));
    let before_us = engine.state.clock.unix_us();
    for _ in 0..4 {
        engine.run(&["PING"]);
    }
    let id = engine.state.registry.find_name(b"ping").expect("the command exists");
    assert_eq!(engine.state.stats.commands[id.index()].ticks, 1200, "the end of one is the start of the next");
    assert_eq!(engine.state.stats.command_ticks, 1200);
    assert_eq!(engine.state.clock.unix_us(), before_us + 1200, "a millisecond is over");
    engine.run(&["PING"]);
    assert_eq!(engine.state.clock.unix_us(), before_us + 1200, "less than one more is not");
}

#[test]
fn the_time_of_exec_includes_its_commands() {
    let mut engine = Engine::for_console();
    TICKS.set(0);
    engine.use_ticks(Ticks::counter(steady, 1_000_000_000));
    for line in [["MULTI"], ["PING"], ["PING"], ["EXEC"]] {
        engine.run(&line);
    }
    let row = |name: &[u8]| {
        let id = engine.state.registry.find_name(name).expect("the command exists");
        engine.state.stats.commands[id.index()]
    };
    assert_eq!((row(b"ping").calls, row(b"ping").ticks), (2, 600));
    // Queueing is no call: its time goes to the next one.
    assert_eq!((row(b"exec").calls, row(b"exec").ticks), (1, 900));
}

#[test]
fn keys_that_nobody_asks_for_expire_too() {
    let mut engine = Engine::for_console();
    for index in 0..500 {
        let px = if index % 10 == 0 { "900000" } else { "10" };
        assert_eq!(engine.run(&["SET", &format!("k{index}"), "v", "PX", px]), "OK");
    }
    engine.advance_ms(100);
    assert_eq!(engine.cron().expired_keys + engine.cron().expired_keys, 450);
    assert_eq!(engine.run(&["DBSIZE"]), "(integer) 50");
    assert_eq!(engine.state.expired_keys(), 450);
    engine.run(&["CONFIG", "RESETSTAT"]);
    assert_eq!(engine.state.expired_keys(), 0);
}

#[test]
fn what_was_flushed_is_freed_in_slices() {
    let mut engine = Engine::for_console();
    for index in 0..5000 {
        engine.run(&["SET", &format!("k{index}"), "v"]);
    }
    assert_eq!(engine.run(&["FLUSHALL", "ASYNC"]), "OK");
    assert_eq!(engine.run(&["DBSIZE"]), "(integer) 0");
    assert!(engine.cron().garbage_left);
    for _ in 0..10 {
        engine.before_sleep();
    }
    assert!(engine.state.garbage.is_empty());
    assert_eq!(engine.state.stats.lazyfreed_objects, 5000);
}

#[test]
fn what_another_thread_frees_is_counted_until_it_is_free() {
    let mut engine = Engine::for_console();
    let figures = |engine: &mut Engine| {
        let info = engine.run(&["INFO", "memory"]);
        let lines: Vec<&str> = info.split("\\n").filter(|line| line.contains("lazyfree")).collect();
        lines.join(" ").replace("\\r", "")
    };
    for _ in 0..2 {
        engine.run(&["MSET", "a", "1", "b", "2"]);
        engine.run(&["FLUSHALL", "ASYNC"]);
    }
    let garbage = engine.take_garbage().expect("two databases");
    assert_eq!((garbage.len(), engine.take_garbage().is_none()), (4, true));
    assert_eq!(figures(&mut engine), "lazyfree_pending_objects:4 lazyfreed_objects:0");
    engine.garbage_freed(3);
    assert_eq!(figures(&mut engine), "lazyfree_pending_objects:1 lazyfreed_objects:3");
    engine.run(&["SET", "a", "1"]);
    engine.run(&["FLUSHALL", "ASYNC"]);
    let garbage = engine.take_garbage().expect("a database");
    engine.keep_garbage(garbage);
    engine.garbage_freed(1);
    assert_eq!(figures(&mut engine), "lazyfree_pending_objects:1 lazyfreed_objects:4");
    engine.before_sleep();
    assert_eq!(figures(&mut engine), "lazyfree_pending_objects:0 lazyfreed_objects:5");
}

#[test]
fn who_waits_for_memory_is_answered_when_its_own_is_free() {
    let fill = |engine: &mut Engine| {
        for index in 0..3000 {
            engine.run(&["SET", &format!("k{index}"), "v"]);
        }
    };
    let mut engine = Engine::for_console();
    fill(&mut engine);
    engine.run(&["FLUSHALL", "SYNC"]);
    assert!(engine.state.blocking.awaits_freeing());
    let elsewhere = engine.take_garbage().expect("more than is freed at once").len();
    let mut other = Engine::for_console();
    fill(&mut other);
    other.run(&["FLUSHALL", "ASYNC"]);
    engine.state.discard_garbage(other.take_garbage().expect("a database"));
    while !engine.state.garbage.is_empty() {
        engine.before_sleep();
    }
    assert!(engine.state.blocking.awaits_freeing(), "what came later is free, and what it waits for is not");
    engine.garbage_freed(elsewhere - 1);
    assert!(engine.state.blocking.awaits_freeing());
    engine.garbage_freed(1);
    assert!(!engine.state.blocking.awaits_freeing());
    assert_eq!(engine.state.freed_objects, engine.state.discarded_objects);
}

#[test]
fn a_request_is_prepared_without_a_session() {
    let engine = Engine::for_console();
    let prepare = |args: &[&str]| engine.prepare(OwnedArgs::from_slices(args).as_args());
    let get = prepare(&["GET", "k"]);
    assert_eq!((get.verdict, get.hash), (Verdict::Run, engine.state.keyspace.hash(b"k")));
    assert_eq!(prepare(&["PING"]).hash, 0);
    assert_eq!(prepare(&["GET"]).verdict, Verdict::WrongArity);
    assert_eq!(prepare(&[]).verdict, Verdict::Unknown);
}

#[test]
fn replies_follow_the_protocol_of_each_client() {
    let mut engine = Engine::for_console();
    let (old, new) = (engine.connect(0), engine.connect(1));
    engine.run_in(new, &["HELLO", "3"]);
    assert_eq!(engine.run_values(old, &["CONFIG", "GET", "nosuch"]), [Value::Array(vec![])]);
    assert_eq!(engine.run_values(new, &["CONFIG", "GET", "nosuch"]), [Value::Map(vec![])]);
    assert!(engine.describe_client(new).contains(" resp=3 "));
    assert!(!engine.describe_client(new).ends_with('\n'));
}

#[test]
fn what_is_found_does_not_depend_on_the_request_before() {
    let engine = Engine::for_console();
    let lines = "GET k|GET k|GET other|get k|GET|GET a b|SET k v|SET k v NX|OBJECT ENCODING k|OBJECT FREQ k|OBJECT NOSUCH k|\
                 OBJECT|CONFIG|CONFIG GET x|MEMORY USAGE k|XX k|POST k|PING|PING x|LPUSH k a|LPUSH k b|RPUSH k a|SADD k a|\
                 SISMEMBER k a|HGET k a|EVAL x 0|MGET k k|DEBUG OBJECT k|CLIENT LIST|CLIENT ID";
    let requests: Vec<OwnedArgs> = lines
        .split('|')
        .map(|line| OwnedArgs::from_slices(&line.split_whitespace().collect::<Vec<_>>()))
        .chain([OwnedArgs::from_slices::<&str>(&[])])
        .collect();
    let facts = |found: Prepared| {
        let name = found.command.map(|command| command.full_name);
        (name, found.hash, found.id, found.first_key, found.verdict, found.member_arg)
    };
    for before in &requests {
        let before = (before.as_args(), engine.prepare(before.as_args()));
        for args in requests.iter().map(OwnedArgs::as_args) {
            let found = facts(engine.prepare_behind(args, Some(before)));
            assert_eq!(found, facts(engine.prepare(args)), "behind {:?}", before.1);
        }
    }
}
