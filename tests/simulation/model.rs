//! What a client says and what it must hear: commands on keys of its own, drawn by the dice, and the exact bytes of
//! every reply by a naive model. Nothing here comes from the server's code.

use std::collections::{HashMap, VecDeque};

use torc::io::sim::Dice;

/// Keys of one client.
const KEYS: usize = 6;
/// Bytes of values by kind: short, a reply of its own, beyond the parser's blob limit, beyond the direct receive's.
const VALUE_BYTES: [(usize, usize); 4] = [(0, 40), (200, 3000), (33_000, 40_000), (66_000, 180_000)];

/// How a client leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ending {
    /// Reads every reply, then closes.
    Close,
    /// Shuts its sending side behind the last command.
    Shutdown,
    /// Closes in the middle.
    CloseEarly,
    /// Resets in the middle.
    Reset,
    /// Sends what is no command; the server answers and closes.
    Garbage,
    /// Sends QUIT; the server answers and closes.
    Quit,
}

/// Everything one client will send, and everything it must receive.
pub(super) struct Script {
    /// Requests as bytes.
    pub(super) sends: Vec<u8>,
    /// Replies as bytes.
    pub(super) expects: Vec<u8>,
    /// Where the server's number for this client belongs in the replies, and how many digits of it stand there by now.
    ids: VecDeque<(usize, usize)>,
    /// That number, as it was heard.
    id: Vec<u8>,
    /// How it leaves.
    pub(super) ending: Ending,
}

/// What clients of a run do.
#[derive(Clone, Copy)]
pub(super) struct Habits {
    /// They send big values.
    pub(super) big: bool,
    /// They wait and pause each other, which changes no reply. Whoever has shut its sending side meanwhile is closed as Redis
    /// does it, so that nobody does that then.
    pub(super) waits: bool,
    /// They switch protocols in the middle.
    pub(super) switches: bool,
}

/// A client's view of its keys.
struct Model {
    prefix: String,
    values: HashMap<Vec<u8>, Vec<u8>>,
    queued: Option<Vec<Vec<Vec<u8>>>>,
    /// A queued command was refused.
    refused: bool,
    /// Watched keys, and whether one has changed.
    watched: Vec<Vec<u8>>,
    touched: bool,
    /// It waits and pauses now and then.
    waits: bool,
    /// Which protocol it speaks.
    protocol: u8,
}

const NOT_AN_INTEGER: &str = "-ERR value is not an integer or out of range\r\n";
const OVERFLOW: &str = "-ERR increment or decrement would overflow\r\n";

fn bulk(bytes: &[u8]) -> Vec<u8> {
    let mut reply = format!("${}\r\n", bytes.len()).into_bytes();
    reply.extend_from_slice(bytes);
    reply.extend_from_slice(b"\r\n");
    reply
}

/// What stands before a client's number in the answer to HELLO, and nowhere else.
const BEFORE_ID: &[u8] = b"\r\n$2\r\nid\r\n:";

/// The answer to HELLO without the client's number.
fn greeting(protocol: u8) -> Vec<u8> {
    let pairs = if protocol == 3 { "%7" } else { "*14" };
    let mut reply = format!("{pairs}\r\n").into_bytes();
    for text in ["server", "redis", "version", "8.0.6", "proto"] {
        reply.extend(bulk(text.as_bytes()));
    }
    reply.extend(format!(":{protocol}").into_bytes());
    reply.extend_from_slice(BEFORE_ID);
    reply.extend_from_slice(b"\r\n");
    for text in ["mode", "standalone", "role", "master", "modules"] {
        reply.extend(bulk(text.as_bytes()));
    }
    reply.extend_from_slice(b"*0\r\n");
    reply
}

fn integer(value: i64) -> Vec<u8> {
    format!(":{value}\r\n").into_bytes()
}

/// The integer that a value is, as Redis reads it: no sign but a minus, no leading zeros, no spaces.
fn as_integer(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let number: i64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

impl Model {
    /// The reply to a request, which takes effect.
    fn answer(&mut self, argv: &[Vec<u8>]) -> Vec<u8> {
        let name = argv[0].to_ascii_uppercase();
        match (&name[..], self.queued.is_some()) {
            (b"MULTI", false) => {
                self.queued = Some(Vec::new());
                self.refused = false;
                b"+OK\r\n".to_vec()
            }
            (b"MULTI", true) => b"-ERR MULTI calls can not be nested\r\n".to_vec(),
            (b"EXEC", false) => b"-ERR EXEC without MULTI\r\n".to_vec(),
            (b"DISCARD", false) => b"-ERR DISCARD without MULTI\r\n".to_vec(),
            (b"EXEC", true) => self.exec(),
            (b"DISCARD", true) => {
                self.queued = None;
                self.unwatch();
                b"+OK\r\n".to_vec()
            }
            (b"NOSUCH", queueing) => {
                self.refused |= queueing;
                b"-ERR unknown command 'NOSUCH', with args beginning with: 'a' 'b' \r\n".to_vec()
            }
            (b"GET", queueing) if argv.len() == 1 => {
                self.refused |= queueing;
                b"-ERR wrong number of arguments for 'get' command\r\n".to_vec()
            }
            (_, true) => {
                self.queued.get_or_insert_default().push(argv.to_vec());
                b"+QUEUED\r\n".to_vec()
            }
            (_, false) => self.run(argv),
        }
    }

    fn exec(&mut self) -> Vec<u8> {
        let queued = self.queued.take().unwrap_or_default();
        let touched = self.touched;
        self.unwatch();
        if self.refused {
            return b"-EXECABORT Transaction discarded because of previous errors.\r\n".to_vec();
        }
        if touched {
            return if self.protocol == 3 { b"_\r\n".to_vec() } else { b"*-1\r\n".to_vec() };
        }
        let mut reply = format!("*{}\r\n", queued.len()).into_bytes();
        for argv in queued {
            reply.extend(self.run(&argv));
        }
        reply
    }

    fn nil(&self) -> Vec<u8> {
        if self.protocol == 3 { b"_\r\n".to_vec() } else { b"$-1\r\n".to_vec() }
    }

    fn unwatch(&mut self) {
        self.watched.clear();
        self.touched = false;
    }

    fn change(&mut self, key: &[u8], value: Vec<u8>) {
        self.touched |= self.watched.iter().any(|watched| watched == key);
        self.values.insert(key.to_vec(), value);
    }

    fn run(&mut self, argv: &[Vec<u8>]) -> Vec<u8> {
        let name = argv[0].to_ascii_uppercase();
        let key = argv.get(1).cloned().unwrap_or_default();
        let old = self.values.get(&key).cloned();
        match &name[..] {
            b"PING" if argv.len() == 1 => b"+PONG\r\n".to_vec(),
            b"PING" | b"ECHO" => bulk(&key),
            b"WAIT" => integer(0),
            b"HELLO" if key == b"4" => b"-NOPROTO unsupported protocol version\r\n".to_vec(),
            b"HELLO" => {
                self.protocol = if key.is_empty() { self.protocol } else { key[0] - b'0' };
                greeting(self.protocol)
            }
            b"CLIENT" => b"+OK\r\n".to_vec(),
            b"SET" => match argv.get(3).map(|option| &option[..]) {
                Some(b"NX") if old.is_some() => self.nil(),
                Some(b"XX") if old.is_none() => self.nil(),
                Some(b"GET") => {
                    self.change(&key, argv[2].clone());
                    old.map_or_else(|| self.nil(), |old| bulk(&old))
                }
                _ => {
                    self.change(&key, argv[2].clone());
                    b"+OK\r\n".to_vec()
                }
            },
            b"GET" => old.map_or_else(|| self.nil(), |old| bulk(&old)),
            b"APPEND" => {
                let mut value = old.unwrap_or_default();
                value.extend_from_slice(&argv[2]);
                let len = value.len();
                self.change(&key, value);
                integer(len as i64)
            }
            b"STRLEN" => integer(old.map_or(0, |old| old.len() as i64)),
            b"INCR" => self.add(&key, 1),
            b"DECRBY" => self.add(&key, -as_integer(&argv[2]).expect("the script sends numbers")),
            b"MGET" => {
                let mut reply = format!("*{}\r\n", argv.len() - 1).into_bytes();
                for key in &argv[1..] {
                    reply.extend(self.values.get(key).map_or_else(|| self.nil(), |value| bulk(value)));
                }
                reply
            }
            b"MSET" => {
                for pair in argv[1..].chunks(2) {
                    self.change(&pair[0], pair[1].clone());
                }
                b"+OK\r\n".to_vec()
            }
            b"DEL" => {
                let mut deleted = 0;
                for key in &argv[1..] {
                    if self.values.remove(key).is_some() {
                        deleted += 1;
                        self.touched |= self.watched.contains(key);
                    }
                }
                integer(deleted)
            }
            b"EXISTS" => integer(argv[1..].iter().filter(|key| self.values.contains_key(*key)).count() as i64),
            b"WATCH" => {
                self.watched.extend_from_slice(&argv[1..]);
                b"+OK\r\n".to_vec()
            }
            b"UNWATCH" => {
                self.unwatch();
                b"+OK\r\n".to_vec()
            }
            other => unreachable!("the script sends no {}", other.escape_ascii()),
        }
    }

    fn add(&mut self, key: &[u8], by: i64) -> Vec<u8> {
        let old = match self.values.get(key) {
            None => Some(0),
            Some(value) => as_integer(value),
        };
        let Some(old) = old else { return NOT_AN_INTEGER.as_bytes().to_vec() };
        let Some(new) = old.checked_add(by) else { return OVERFLOW.as_bytes().to_vec() };
        self.change(key, new.to_string().into_bytes());
        integer(new)
    }

    /// A request by the dice.
    fn request(&self, dice: &mut Dice, big: bool) -> Vec<Vec<u8>> {
        let key = |dice: &mut Dice| format!("{}{}", self.prefix, dice.below(KEYS)).into_bytes();
        let words = |words: &[&str]| words.iter().map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
        match dice.below(24) {
            12 if self.waits => words(&["WAIT", "1", ["1", "3"][dice.below(2)]]),
            18 if self.waits && dice.below(2) == 0 => {
                words(&["CLIENT", "PAUSE", ["1", "30"][dice.below(2)], ["WRITE", "ALL"][dice.below(2)]])
            }
            0 => words(&["PING"]),
            1 => vec![b"ping".to_vec(), value(dice, false)],
            2..=5 => vec![b"SET".to_vec(), key(dice), value(dice, big)],
            6 => {
                vec![b"set".to_vec(), key(dice), value(dice, big), [&b"NX"[..], b"XX", b"GET"][dice.below(3)].to_vec()]
            }
            7..=10 => vec![b"GET".to_vec(), key(dice)],
            11 => vec![b"APPEND".to_vec(), key(dice), value(dice, false)],
            12 => vec![b"STRLEN".to_vec(), key(dice)],
            13 => vec![b"INCR".to_vec(), key(dice)],
            14 => vec![b"DECRBY".to_vec(), key(dice), b"7".to_vec()],
            15 => std::iter::once(b"MGET".to_vec()).chain((0..dice.between(1, 9)).map(|_| key(dice))).collect(),
            16 => vec![b"MSET".to_vec(), key(dice), value(dice, big), key(dice), b"41".to_vec()],
            17 => std::iter::once(b"DEL".to_vec()).chain((0..dice.between(1, 4)).map(|_| key(dice))).collect(),
            18 => vec![b"EXISTS".to_vec(), key(dice), key(dice)],
            19 if self.queued.is_none() => vec![b"WATCH".to_vec(), key(dice), key(dice)],
            20 => words(&["MULTI"]),
            21 if self.queued.is_some() => words(&["DISCARD"]),
            22 if self.queued.is_none() => words(&["NOSUCH", "a", "b"]),
            22 if dice.below(4) == 0 => words(&["GET"]),
            _ => words(&["EXEC"]),
        }
    }
}

/// HELLO in one of its forms.
fn hello(dice: &mut Dice) -> Vec<Vec<u8>> {
    let forms = [&["HELLO"][..], &["HELLO", "2"], &["hello", "3"], &["HELLO", "3"], &["HELLO", "4"]];
    forms[dice.below(forms.len())].iter().map(|word| word.as_bytes().to_vec()).collect()
}

fn value(dice: &mut Dice, big: bool) -> Vec<u8> {
    let kind = match dice.below(20) {
        0..=13 => 0,
        14..=17 => 1,
        kind if big => kind - 16,
        _ => 0,
    };
    if kind == 0 && dice.below(3) == 0 {
        return dice.below(1000).to_string().into_bytes();
    }
    let len = dice.between(VALUE_BYTES[kind].0, VALUE_BYTES[kind].1);
    let first = dice.bits() as u8;
    // Any byte, line ends among them.
    (0..len).map(|index| first.wrapping_add((index % 251) as u8)).collect()
}

/// A request in either of the protocol's two shapes.
fn encode(dice: &mut Dice, argv: &[Vec<u8>]) -> Vec<u8> {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b':';
    let inline = argv.iter().all(|arg| !arg.is_empty() && arg.len() < 100 && arg.iter().all(plain));
    if inline && dice.below(4) == 0 {
        let end: &[u8] = if dice.below(2) == 0 { b"\r\n" } else { b"\n" };
        return [&argv.join(&b' ')[..], end].concat();
    }
    let mut bytes = format!("*{}\r\n", argv.len()).into_bytes();
    argv.iter().for_each(|arg| bytes.extend(bulk(arg)));
    bytes
}

/// What is no command, and the answer to it.
const GARBAGE: [(&[u8], &[u8]); 5] = [
    (b"*x\r\n", b"-ERR Protocol error: invalid multibulk length\r\n"),
    (b"*1\r\n:4\r\n", b"-ERR Protocol error: expected '$', got ':'\r\n"),
    (b"*2\r\n$3\r\nGET\r\n$-7\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
    (b"SET \"open end\r\n", b"-ERR Protocol error: unbalanced quotes in request\r\n"),
    (b"*1\r\n$99999999999999\r\n", b"-ERR Protocol error: invalid bulk length\r\n"),
];

impl Script {
    /// A script for client number `index` with about `commands` requests.
    pub(super) fn new(dice: &mut Dice, index: usize, commands: usize, habits: Habits) -> Script {
        let Habits { big, waits, switches } = habits;
        let mut model = Model {
            prefix: format!("p{index}:"),
            values: HashMap::new(),
            queued: None,
            refused: false,
            watched: Vec::new(),
            touched: false,
            waits,
            protocol: 2,
        };
        let (mut sends, mut expects) = (Vec::new(), Vec::new());
        for _ in 0..commands {
            let argv = if switches && dice.below(12) == 0 { hello(dice) } else { model.request(dice, big) };
            sends.extend(encode(dice, &argv));
            expects.extend(model.answer(&argv));
        }
        let ending = match dice.below(20) {
            0..=9 => Ending::Close,
            10..=11 if !waits => Ending::Shutdown,
            10..=11 => Ending::Close,
            12..=13 => Ending::CloseEarly,
            14..=15 => Ending::Reset,
            16..=17 => Ending::Garbage,
            _ => Ending::Quit,
        };
        match ending {
            Ending::Garbage => {
                let (garbage, answer) = GARBAGE[dice.below(GARBAGE.len())];
                sends.extend_from_slice(garbage);
                expects.extend_from_slice(answer);
                // Nothing behind it is looked at.
                sends.extend((0..dice.below(3)).flat_map(|_| b"PING\r\n".to_vec()));
            }
            Ending::Quit => {
                sends.extend_from_slice(b"*1\r\n$4\r\nQUIT\r\n");
                expects.extend_from_slice(b"+OK\r\n");
                sends.extend((0..dice.below(3)).flat_map(|_| b"PING\r\n".to_vec()));
            }
            Ending::Close | Ending::Shutdown | Ending::CloseEarly | Ending::Reset => {}
        }
        let before = expects.windows(BEFORE_ID.len()).enumerate().filter(|(_, bytes)| *bytes == BEFORE_ID);
        let ids = if switches { before.map(|(at, _)| (at + BEFORE_ID.len(), 0)).collect() } else { VecDeque::new() };
        Script { sends, expects, ids, id: Vec::new(), ending }
    }

    /// Takes the client's number from what was heard so far, where it is due. It is the same every time.
    pub(super) fn learn_id(&mut self, got: &[u8]) {
        while let Some(&(at, known)) = self.ids.front()
            && let Some(heard) = got.get(at..)
        {
            let digits = heard.iter().take_while(|byte| byte.is_ascii_digit()).count();
            self.expects.splice(at + known..at + known, heard[known..digits].iter().copied());
            self.ids.iter_mut().skip(1).for_each(|(later, _)| *later += digits - known);
            if heard.len() == digits {
                // More of them may come.
                self.ids[0].1 = digits;
                return;
            }
            let id = &heard[..digits];
            assert!(
                digits > 0 && (self.id.is_empty() || self.id == id),
                "{} is no number of its own",
                id.escape_ascii()
            );
            self.id = id.to_vec();
            self.ids.pop_front();
        }
    }
}
