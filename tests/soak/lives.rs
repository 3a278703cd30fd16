//! What one connection does from beginning to end: short, with every reply checked, and in many cases broken off in the
//! middle.

use super::player::{End, Outcome, Player, bulk};
use crate::harness::{Client, Random, Value};

/// Length of the value `big`, which lies there from the start.
pub(crate) const BIG_BYTES: usize = 1 << 20;

/// What a life has beside its connection.
pub(crate) struct Life<'a> {
    pub(crate) dice: &'a mut Random,
    /// Keys and channels that begin so are its own.
    pub(crate) own: String,
    pub(crate) player: Player,
    /// Another connection, which nobody kills.
    pub(crate) helper: Player,
}

type Play = fn(&mut Life<'_>) -> Outcome;

/// All of them, and how often each is had.
pub(crate) const LIVES: &[(&str, usize, Play)] = &[
    ("pipelines", 6, pipelines),
    ("transaction", 4, transaction),
    ("wait", 6, wait),
    ("listen", 6, listen),
    ("cache", 4, cache),
    ("big argument", 3, big_argument),
    ("slow reader", 1, slow_reader),
    ("deaf listener", 1, deaf_listener),
    ("rest", 2, rest),
    ("goodbye", 2, goodbye),
];

fn ok() -> Value {
    Value::Status("OK".to_owned())
}

fn number(number: usize) -> Value {
    Value::Integer(number as i64)
}

/// Commands and the replies that are due.
#[derive(Default)]
struct Batch {
    request: Vec<u8>,
    due: Vec<Value>,
}

impl Batch {
    fn add<T: AsRef<[u8]>>(&mut self, args: &[T], due: Value) {
        self.request.extend(Client::encode(args));
        self.due.push(due);
    }
}

fn pipelines(life: &mut Life<'_>) -> Outcome {
    let key = format!("{}n", life.own);
    life.player.ask(&["SET", &key, "0"], &ok())?;
    let mut count = 0;
    for _ in 0..1 + life.dice.below(6) {
        let mut batch = Batch::default();
        for _ in 0..1 + life.dice.below(100) {
            add_command(life, &key, &mut count, &mut batch);
        }
        if life.dice.one_in(12) {
            // It leaves with replies under way, and perhaps half a command.
            let cut = life.dice.below(batch.request.len() + 1);
            return life.player.send(&batch.request[..cut]);
        }
        life.player.send_in_pieces(&batch.request, life.dice)?;
        life.player.expect_all(&batch.due)?;
    }
    Ok(())
}

fn add_command(life: &mut Life<'_>, key: &str, count: &mut usize, batch: &mut Batch) {
    match life.dice.below(9) {
        0 => batch.add(&["GET", key], bulk(&count.to_string())),
        1 => {
            let text = life.dice.text(2000);
            batch.add(&["ECHO", &text], bulk(&text));
        }
        2 => batch.add(&["GET"], Value::Error("ERR wrong number of arguments for 'get' command".to_owned())),
        3 => {
            batch.request.extend(Client::encode(&["CLIENT", "REPLY", "SKIP"]));
            batch.request.extend(Client::encode(&["ECHO", "nobody hears this"]));
        }
        4 => batch.add(&["LPUSH", key, "x"], {
            Value::Error("WRONGTYPE Operation against a key holding the wrong kind of value".to_owned())
        }),
        5 if life.dice.one_in(20) => {
            let text = "blob ".repeat(20_000 + life.dice.below(20_000));
            batch.add(&["ECHO", &text], bulk(&text));
        }
        _ => {
            *count += 1;
            batch.add(&["INCR", key], number(*count));
        }
    }
}

fn transaction(life: &mut Life<'_>) -> Outcome {
    let key = format!("{}t", life.own);
    for round in 0..1 + life.dice.below(4) {
        life.player.ask(&["SET", &key, &round.to_string()], &ok())?;
        life.player.ask(&["WATCH", &key, "elsewhere"], &ok())?;
        life.player.linger(life.dice);
        if life.dice.one_in(8) {
            return Ok(());
        }
        let is_dirty = life.dice.one_in(2);
        if is_dirty {
            life.helper.ask(&["SET", &key, "other"], &ok())?;
        }
        let mut batch = Batch::default();
        batch.add(&["MULTI"], ok());
        batch.add(&["INCR", &key], Value::Status("QUEUED".to_owned()));
        batch.add(&["GET", &key], Value::Status("QUEUED".to_owned()));
        match life.dice.below(4) {
            0 => batch.add(&["DISCARD"], ok()),
            1 if life.dice.one_in(4) => return life.player.send(&batch.request),
            _ if is_dirty => batch.add(&["EXEC"], life.player.no_array()),
            _ => batch.add(&["EXEC"], Value::Array(vec![number(round + 1), bulk(&(round + 1).to_string())])),
        }
        batch.add(&["UNWATCH"], ok());
        life.player.send_in_pieces(&batch.request, life.dice)?;
        life.player.expect_all(&batch.due)?;
    }
    Ok(())
}

fn wait(life: &mut Life<'_>) -> Outcome {
    let list = format!("{}l", life.own);
    let id = life.player.ask_number(&["CLIENT", "ID"])?.to_string();
    for round in 0..1 + life.dice.below(5) {
        life.helper.send_command(&["DEL", &list])?;
        life.helper.reply()?;
        let mut batch = Batch::default();
        let element = format!("e{round}");
        let popped = Value::Array(vec![bulk(&list), bulk(&element)]);
        match life.dice.below(6) {
            0 => batch.add(&["BLPOP", &list, "0.02"], life.player.no_array()),
            1 => batch.add(&["BLPOP", &list, "0"], life.player.no_array()),
            2 => batch.add(&["BLPOP", &list, "0"], {
                Value::Error("UNBLOCKED client unblocked via CLIENT UNBLOCK".to_owned())
            }),
            3 => batch.add(&["BRPOP", &format!("{list}2"), &list, "0"], popped.clone()),
            _ => batch.add(&["BLPOP", &list, "0"], popped.clone()),
        }
        batch.add(&["ECHO", &element], bulk(&element));
        batch.add(&["STRLEN", "big"], number(BIG_BYTES));
        life.player.send_in_pieces(&batch.request, life.dice)?;
        life.player.linger(life.dice);
        if life.dice.one_in(10) {
            return Ok(());
        }
        match &batch.due[0] {
            Value::Array(_) => {
                life.helper.ask(&["RPUSH", &list, &element], &number(1))?;
            }
            Value::Error(_) => unblock(life, &id, "ERROR")?,
            _ if !batch.request.windows(4).any(|part| part == b"0.02") => unblock(life, &id, "TIMEOUT")?,
            _ => {}
        }
        life.player.expect_all(&batch.due)?;
    }
    Ok(())
}

/// Has the helper end the wait, which may not have begun yet.
fn unblock(life: &mut Life<'_>, id: &str, how: &str) -> Outcome {
    for _ in 0..600 {
        if life.helper.ask_number(&["CLIENT", "UNBLOCK", id, how])? == 1 {
            return Ok(());
        }
        life.helper.send_command(&["CLIENT", "LIST", "ID", id])?;
        match life.helper.reply()? {
            Value::Bulk(line) | Value::Verbatim(_, line) if line.is_empty() => {
                return Err(End::Closed("it is not there to be unblocked".to_owned()));
            }
            _ => life.dice.pause_ms(100),
        }
    }
    Err(End::Wrong("it never begins to wait".to_owned()))
}

/// The commands that begin and end to listen and that publish, what a message begins with, and what a name ends with.
const SPACES: [[&str; 5]; 3] = [
    ["SUBSCRIBE", "UNSUBSCRIBE", "PUBLISH", "message", ""],
    ["PSUBSCRIBE", "PUNSUBSCRIBE", "PUBLISH", "pmessage", "*"],
    ["SSUBSCRIBE", "SUNSUBSCRIBE", "SPUBLISH", "smessage", ""],
];

fn listen(life: &mut Life<'_>) -> Outcome {
    let [begin, end, publish, message, suffix] = SPACES[life.dice.below(SPACES.len())];
    let channel = format!("{}{begin}", life.own);
    let name = format!("{channel}{suffix}");
    let confirmed = |player: &Player, what: &str, count: i64| {
        player.push(vec![bulk(&what.to_lowercase()), bulk(&name), Value::Integer(count)])
    };
    let due = confirmed(&life.player, begin, 1);
    life.player.ask(&[begin, &name], &due)?;
    for _ in 0..life.dice.below(5) {
        life.player.linger(life.dice);
        let mut batch = Batch::default();
        let mut due = Vec::new();
        for serial in 0..1 + life.dice.below(40) {
            let payload = format!("{serial} {}", life.dice.text(3000));
            batch.request.extend(Client::encode(&[publish, &channel, &payload]));
            let mut items = vec![bulk(message)];
            if message == "pmessage" {
                items.push(bulk(&name));
            }
            items.extend([bulk(&channel), bulk(&payload)]);
            due.push(life.player.push(items));
        }
        life.helper.send(&batch.request)?;
        if life.dice.one_in(10) {
            return Ok(());
        }
        // Who is killed meanwhile hears no more: how many heard it is no matter.
        for _ in 0..due.len() {
            if !matches!(life.helper.reply()?, Value::Integer(0 | 1)) {
                return Err(End::Wrong(format!("{publish} is not answered with a count")));
            }
        }
        life.player.expect_all(&due)?;
        let pong = if life.player.is_resp3 {
            Value::Status("PONG".to_owned())
        } else {
            Value::Array(vec![bulk("pong"), bulk("")])
        };
        life.player.ask(&["PING"], &pong)?;
    }
    if life.dice.one_in(2) {
        return Ok(());
    }
    let due = confirmed(&life.player, end, 0);
    life.player.ask(&[end, &name], &due)?;
    life.player.ask(&["ECHO", "again"], &bulk("again"))
}

fn cache(life: &mut Life<'_>) -> Outcome {
    if !life.player.is_resp3 {
        life.player.upgrade()?;
    }
    let key = format!("{}c", life.own);
    let broadcast = life.dice.one_in(2);
    if broadcast {
        life.player.ask(&["CLIENT", "TRACKING", "ON", "BCAST", "PREFIX", &life.own, "NOLOOP"], &ok())?;
    } else {
        life.player.ask(&["CLIENT", "TRACKING", "ON", "NOLOOP"], &ok())?;
    }
    life.player.ask(&["SET", &key, "mine"], &ok())?;
    let told = Value::Push(vec![bulk("invalidate"), Value::Array(vec![bulk(&key)])]);
    for round in 0..1 + life.dice.below(8) {
        if !broadcast {
            let value = if round == 0 { "mine".to_owned() } else { format!("v{}", round - 1) };
            life.player.ask(&["GET", &key], &bulk(&value))?;
        }
        life.player.linger(life.dice);
        life.helper.ask(&["SET", &key, &format!("v{round}")], &ok())?;
        life.player.expect(&told)?;
        if life.dice.one_in(10) {
            return Ok(());
        }
    }
    life.player.ask(&["CLIENT", "TRACKING", "OFF"], &ok())
}

fn big_argument(life: &mut Life<'_>) -> Outcome {
    let key = format!("{}b", life.own);
    let value = vec![b'0' + life.dice.below(10) as u8; 1 << (10 + life.dice.below(12))];
    let request = Client::encode(&[b"SET", key.as_bytes(), &value]);
    if life.dice.one_in(5) {
        let cut = life.dice.below(request.len());
        return life.player.send_in_pieces(&request[..cut], life.dice);
    }
    life.player.send_in_pieces(&request, life.dice)?;
    life.player.expect(&ok())?;
    life.player.ask(&["GET", &key], &Value::Bulk(value))?;
    life.player.send_command(&["UNLINK", &key])?;
    life.player.expect(&number(1))
}

fn slow_reader(life: &mut Life<'_>) -> Outcome {
    let count = 4 + life.dice.below(12);
    let mut request = Client::encode(&["GET", "big"]).repeat(count);
    request.extend(Client::encode(&["ECHO", "behind"]));
    life.player.send(&request)?;
    life.dice.pause_ms(400);
    if life.dice.one_in(3) {
        return Ok(());
    }
    let big = Value::Bulk(vec![b'B'; BIG_BYTES]);
    for _ in 0..count {
        life.player.expect(&big)?;
        life.dice.pause_ms(10);
    }
    life.player.expect(&bulk("behind"))
}

/// Its output passes the limit of listeners, so it is closed. What it was sent until then is right.
fn deaf_listener(life: &mut Life<'_>) -> Outcome {
    const MESSAGES_MAX: usize = 400;
    let channel = format!("{}deaf", life.own);
    let due = life.player.push(vec![bulk("subscribe"), bulk(&channel), number(1)]);
    life.player.ask(&["SUBSCRIBE", &channel], &due)?;
    let payload = "m".repeat(100_000);
    let mut left = MESSAGES_MAX;
    while life.helper.ask_number(&["PUBLISH", &channel, &payload])? == 1 {
        left -= 1;
        if left == 0 {
            return Err(End::Wrong("a listener that reads nothing is never closed".to_owned()));
        }
    }
    life.player.expect_close()
}

fn rest(life: &mut Life<'_>) -> Outcome {
    for _ in 0..3 {
        life.dice.pause_ms(300);
        life.player.ask(&["PING", "still there"], &bulk("still there"))?;
    }
    Ok(())
}

/// It has the server close, behind replies.
fn goodbye(life: &mut Life<'_>) -> Outcome {
    let id = life.player.ask_number(&["CLIENT", "ID"])?.to_string();
    let mut batch = Batch::default();
    for serial in 0..life.dice.below(20) {
        batch.add(&["ECHO", &serial.to_string()], bulk(&serial.to_string()));
    }
    match life.dice.below(3) {
        0 => batch.add(&["QUIT"], ok()),
        1 => batch.add(&["CLIENT", "KILL", "ID", &id, "SKIPME", "no"], number(1)),
        _ => {
            batch.request.extend(b"*1\r\n!no argument\r\n");
            batch.due.push(Value::Error("ERR Protocol error: expected '$', got '!'".to_owned()));
        }
    }
    batch.request.extend(Client::encode(&["INCR", "never"]));
    match life.player.send_in_pieces(&batch.request, life.dice) {
        Ok(()) => {}
        // It closes while we are still sending, and the replies are there all the same.
        Err(End::Closed(_)) if life.player.can_read_after_failure() => {}
        Err(End::Closed(_)) => return Ok(()),
        Err(end) => return Err(end),
    }
    life.player.expect_all(&batch.due)?;
    match life.player.reply() {
        Err(End::Closed(_)) => {}
        Err(end) => return Err(end),
        Ok(value) => return Err(End::Wrong(format!("{value} came behind the last reply"))),
    }
    let never = life.helper.no_text();
    life.helper.ask(&["GET", "never"], &never)
}
