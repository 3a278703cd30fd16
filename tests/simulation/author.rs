//! What a member of the crowd says, drawn by the dice, and what it must hear in reply: the exact bytes where nobody else
//! has a say in them, otherwise what they may be. Nothing here comes from the server's code.

use std::collections::{BTreeSet, HashMap};

use torc::io::sim::Dice;

use super::bulk;

/// Keys that everybody reads and writes begin with this.
pub(super) const SHARED_PREFIX: &str = "s";
/// How many there are.
pub(super) const SHARED_KEYS: usize = 5;
/// Lists that everybody pushes to and pops from.
pub(super) const LISTS: [&str; 2] = ["q0", "q1"];
/// What can be listened to, by kind: the words that begin, end and announce it, and the names.
pub(super) const SPACES: [(&str, &str, &str, &[&str]); 3] = [
    ("subscribe", "unsubscribe", "message", &["c0", "c1", "c2"]),
    ("psubscribe", "punsubscribe", "pmessage", &["c*"]),
    ("ssubscribe", "sunsubscribe", "smessage", &["h0", "h1"]),
];
/// Keys of a member's own.
const OWN_KEYS: usize = 4;
/// Lengths of values and messages by kind; the last ones are sent by reference.
const LENGTHS: [(usize, usize); 4] = [(0, 30), (100, 3000), (17_000, 20_000), (33_000, 70_000)];

/// What a member must hear next.
#[derive(Clone, Debug)]
pub(super) enum Expect {
    /// These bytes.
    Exact(Vec<u8>),
    /// A number from 0 to this one.
    Count(i64),
    /// The server's own description, in this protocol.
    Hello(u8),
    /// What a shared key holds, which the client remembers where it is told of changes.
    Read { key: Vec<u8>, remembered: bool },
    /// A shared key was written: what was remembered of it is over.
    Wrote(Vec<u8>),
    /// The same without a reply.
    Forget(Vec<u8>),
    /// An OK behind which nothing is remembered.
    ForgetAll(&'static [u8]),
    /// An element of a list, alone or behind the list's name, or nothing.
    Popped,
    /// The replies of a transaction; nothing of it ran, perhaps, when it `may_fail`.
    Exec { inner: Vec<Expect>, may_fail: bool },
    /// All clients, this one once among them.
    Listed,
}

/// Everything a member says and hears.
pub(super) struct Story {
    pub(super) sends: Vec<u8>,
    /// In reverse: the next one is the last.
    pub(super) expects: Vec<Expect>,
    /// What it publishes, by its beginning up to the first space.
    pub(super) published: HashMap<Vec<u8>, Vec<u8>>,
    /// What it writes to shared keys.
    pub(super) written: Vec<(Vec<u8>, Vec<u8>)>,
    /// What it pushes to lists.
    pub(super) pushed: Vec<Vec<u8>>,
    /// It asks for keys by prefix at some time.
    pub(super) broadcasts: bool,
    /// It has asked to be told of changes when it is through.
    pub(super) tracks: bool,
    /// What a PING behind all of it is answered.
    pub(super) pong: Vec<u8>,
}

#[derive(PartialEq, Eq)]
enum Replies {
    On,
    Off,
    SkipNext,
}

/// A transaction in the making.
struct Open {
    inner: Vec<Expect>,
    /// Something was watched, or it will be given up: nothing may run that the rest of the story relies on.
    uncertain: bool,
    discards: bool,
    left: usize,
}

pub(super) struct Author<'d> {
    dice: &'d mut Dice,
    index: usize,
    members: usize,
    /// Members pause each other.
    pauses: bool,
    big: bool,
    story: Story,
    protocol: u8,
    subscribed: [BTreeSet<&'static str>; 3],
    own: HashMap<Vec<u8>, Vec<u8>>,
    open: Option<Open>,
    replies: Replies,
    /// Texts that say where they come from.
    texts: usize,
}

impl<'d> Author<'d> {
    pub(super) fn new(dice: &'d mut Dice, index: usize, members: usize, pauses: bool, big: bool) -> Author<'d> {
        let story = Story {
            sends: Vec::new(),
            expects: Vec::new(),
            published: HashMap::new(),
            written: Vec::new(),
            pushed: Vec::new(),
            broadcasts: false,
            tracks: false,
            pong: Vec::new(),
        };
        Author {
            dice,
            index,
            members,
            pauses,
            big,
            story,
            protocol: 2,
            subscribed: Default::default(),
            own: HashMap::new(),
            open: None,
            replies: Replies::On,
            texts: 0,
        }
    }

    /// A story of about `commands` requests.
    pub(super) fn write(mut self, commands: usize) -> Story {
        self.introduce();
        if self.dice.happens(600) {
            self.hello(3);
        }
        for _ in 0..commands {
            self.go_on();
        }
        while let Some(open) = &mut self.open {
            open.left = 0;
            self.go_on();
        }
        if self.replies == Replies::Off {
            self.unmute();
        }
        // Nothing may be left to be skipped, and the end is heard.
        self.ping();
        self.ping();
        self.story.pong = self.pong();
        self.story.expects.reverse();
        self.story
    }

    /// A request: encoded, and what it is answered where it is.
    fn say(&mut self, words: &[&[u8]], expect: Expect) {
        self.story.sends.extend(format!("*{}\r\n", words.len()).into_bytes());
        for word in words {
            self.story.sends.extend(bulk(word));
        }
        match self.replies {
            Replies::Off => {}
            Replies::SkipNext => {
                self.replies = Replies::On;
            }
            Replies::On => {
                match &mut self.open {
                    Some(open) => {
                        open.inner.push(expect);
                        self.story.expects.push(Expect::Exact(b"+QUEUED\r\n".to_vec()));
                    }
                    None => self.story.expects.push(expect),
                }
                return;
            }
        }
        if let Expect::Wrote(key) = expect {
            self.story.expects.push(Expect::Forget(key));
        }
    }

    fn say_text(&mut self, words: &str, expect: Expect) {
        let words: Vec<&[u8]> = words.split(' ').map(str::as_bytes).collect();
        self.say(&words, expect);
    }

    fn nil(&self) -> Vec<u8> {
        if self.protocol == 3 { b"_\r\n".to_vec() } else { b"$-1\r\n".to_vec() }
    }

    /// By its name the server's log knows who it is.
    fn introduce(&mut self) {
        let words = format!("CLIENT SETNAME m{}", self.index);
        self.say_text(&words, Expect::Exact(b"+OK\r\n".to_vec()));
    }

    fn pong(&self) -> Vec<u8> {
        if self.only_listens() { b"*2\r\n$4\r\npong\r\n$0\r\n\r\n".to_vec() } else { b"+PONG\r\n".to_vec() }
    }

    fn ping(&mut self) {
        let answer = self.pong();
        self.say(&[b"PING"], Expect::Exact(answer));
    }

    fn listens(&self) -> bool {
        self.subscribed.iter().any(|names| !names.is_empty())
    }

    fn only_listens(&self) -> bool {
        self.protocol == 2 && self.listens()
    }

    /// A text that names its author, with letters behind it up to some length.
    fn text(&mut self, sort: char) -> Vec<u8> {
        let number = self.texts;
        self.texts += 1;
        let kind = match self.dice.below(20) {
            0..=12 => 0,
            13..=17 => 1,
            kind if self.big => kind - 16,
            _ => 0,
        };
        let mut text = format!("{sort}{}.{number} ", self.index).into_bytes();
        let len = text.len() + self.dice.between(LENGTHS[kind].0, LENGTHS[kind].1);
        text.resize(len, b'a' + (number % 26) as u8);
        text
    }

    fn shared(&mut self) -> Vec<u8> {
        format!("{SHARED_PREFIX}{}", self.dice.below(SHARED_KEYS)).into_bytes()
    }

    /// The next request.
    fn go_on(&mut self) {
        if let Some(open) = &mut self.open {
            if open.left == 0 {
                self.close_transaction();
            } else {
                open.left -= 1;
                self.say_in_transaction();
            }
        } else if self.replies != Replies::On {
            self.say_muted();
        } else if self.only_listens() {
            self.say_as_listener();
        } else {
            self.say_anything();
        }
    }

    fn say_anything(&mut self) {
        match self.dice.below(40) {
            0..=5 => self.own_key(),
            6..=9 => self.write_shared(),
            10..=16 => self.read_shared(),
            17..=20 => self.publish(),
            21..=24 => self.subscribe(),
            25 => self.unsubscribe(),
            26..=27 => self.begin_transaction(),
            28..=29 => self.mute(),
            30..=31 => self.track(),
            32 => {
                let protocol = self.dice.between(2, 3) as u8;
                self.hello(protocol);
            }
            33 => self.push(),
            34..=35 => self.pop(true),
            36 => self.say(&[b"CLIENT", b"LIST"], Expect::Listed),
            37 => self.wait_or_pause(),
            38 => self.reset(),
            _ => self.ping(),
        }
    }

    fn say_in_transaction(&mut self) {
        let uncertain = self.open.as_ref().is_some_and(|open| open.uncertain);
        match self.dice.below(12) {
            0..=1 if !uncertain => self.own_key(),
            2 if !uncertain => self.push(),
            0..=2 => self.echo(),
            3..=4 => self.write_shared(),
            5..=7 => self.read_shared(),
            8..=9 => self.publish(),
            10 => self.pop(true),
            _ => self.echo(),
        }
    }

    fn say_muted(&mut self) {
        let over = self.replies == Replies::Off && self.dice.happens(300);
        match self.dice.below(8) {
            _ if over => self.unmute(),
            0..=1 => self.own_key(),
            2..=4 => self.write_shared(),
            5..=6 => self.publish(),
            _ => self.echo(),
        }
    }

    fn say_as_listener(&mut self) {
        match self.dice.below(10) {
            0..=2 => self.subscribe(),
            3..=6 => self.unsubscribe(),
            7 => {
                let text = "-ERR Can't execute 'get': only (P|S)SUBSCRIBE / (P|S)UNSUBSCRIBE / PING / QUIT / RESET are allowed in \
                            this context\r\n";
                self.say(&[b"GET", b"s0"], Expect::Exact(text.as_bytes().to_vec()));
            }
            _ => self.ping(),
        }
    }

    fn echo(&mut self) {
        let text = self.text('e');
        self.say(&[b"ECHO", &text], Expect::Exact(bulk(&text)));
    }

    fn own_key(&mut self) {
        let key = format!("o{}:{}", self.index, self.dice.below(OWN_KEYS)).into_bytes();
        match self.dice.below(5) {
            0..=1 => {
                let value = self.text('v');
                self.say(&[b"SET", &key, &value], Expect::Exact(b"+OK\r\n".to_vec()));
                self.own.insert(key, value);
            }
            2 => {
                let value = self.own.remove(&key);
                self.say(&[b"DEL", &key], Expect::Exact(format!(":{}\r\n", u8::from(value.is_some())).into_bytes()));
            }
            _ => {
                let answer = self.own.get(&key).map_or_else(|| self.nil(), |value| bulk(value));
                self.say(&[b"GET", &key], Expect::Exact(answer));
            }
        }
    }

    fn write_shared(&mut self) {
        let (key, value) = (self.shared(), self.text('w'));
        self.say(&[b"SET", &key, &value], Expect::Wrote(key.clone()));
        self.story.written.push((key, value));
    }

    fn read_shared(&mut self) {
        let key = self.shared();
        let expect = Expect::Read { key: key.clone(), remembered: self.story.tracks };
        self.say(&[b"GET", &key], expect);
    }

    fn publish(&mut self) {
        let (kind, command) = [(0, &b"PUBLISH"[..]), (2, b"SPUBLISH")][usize::from(self.dice.happens(300))];
        let name = SPACES[kind].3[self.dice.below(SPACES[kind].3.len())];
        let text = self.text('p');
        // Once for the channel and once for the pattern.
        self.say(&[command, name.as_bytes(), &text], Expect::Count(2 * self.members as i64));
        let until = text.iter().position(|byte| *byte == b' ').unwrap();
        self.story.published.insert(text[..until].to_vec(), text);
    }

    /// The confirmation of a change to what is listened to.
    fn confirm(&mut self, kind: usize, word: &str, name: &str) {
        let count =
            if kind == 2 { self.subscribed[2].len() } else { self.subscribed[0].len() + self.subscribed[1].len() };
        let head = if self.protocol == 3 { b">3\r\n" } else { b"*3\r\n" };
        let count = format!(":{count}\r\n");
        let answer = [&head[..], &bulk(word.as_bytes()), &bulk(name.as_bytes()), count.as_bytes()];
        self.story.expects.push(Expect::Exact(answer.concat()));
    }

    fn subscribe(&mut self) {
        let kind = self.dice.below(3);
        let (word, _, _, names) = SPACES[kind];
        let (first, second) = (names[self.dice.below(names.len())], names[self.dice.below(names.len())]);
        self.change_subscriptions(kind, word, &[first, second], true);
    }

    fn unsubscribe(&mut self) {
        let kind = self.dice.below(3);
        let (_, word, _, names) = SPACES[kind];
        if self.dice.happens(500) {
            self.change_subscriptions(kind, word, names, false);
        } else {
            let name = names[self.dice.below(names.len())];
            self.change_subscriptions(kind, word, &[name], false);
        }
    }

    fn change_subscriptions(&mut self, kind: usize, word: &str, names: &[&'static str], begin: bool) {
        let words: Vec<&[u8]> = std::iter::once(word).chain(names.iter().copied()).map(str::as_bytes).collect();
        self.story.sends.extend(format!("*{}\r\n", words.len()).into_bytes());
        words.iter().for_each(|word| self.story.sends.extend(bulk(word)));
        for name in names {
            if begin {
                self.subscribed[kind].insert(name);
            } else {
                self.subscribed[kind].remove(name);
            }
            self.confirm(kind, word, name);
        }
    }

    fn begin_transaction(&mut self) {
        let watches = self.dice.happens(400);
        if watches {
            let key = self.shared();
            self.say(&[b"WATCH", &key], Expect::Exact(b"+OK\r\n".to_vec()));
        }
        self.say(&[b"MULTI"], Expect::Exact(b"+OK\r\n".to_vec()));
        let discards = self.dice.happens(150);
        let left = self.dice.below(6);
        self.open = Some(Open { inner: Vec::new(), uncertain: watches || discards, discards, left });
    }

    fn close_transaction(&mut self) {
        let Some(open) = self.open.take() else { return };
        if open.discards {
            self.say(&[b"DISCARD"], Expect::Exact(b"+OK\r\n".to_vec()));
        } else {
            self.say(&[b"EXEC"], Expect::Exec { inner: open.inner, may_fail: open.uncertain });
        }
    }

    fn mute(&mut self) {
        let skips = self.dice.happens(500);
        self.story.sends.extend(if skips { &b"CLIENT REPLY SKIP\r\n"[..] } else { b"CLIENT REPLY OFF\r\n" });
        self.replies = if skips { Replies::SkipNext } else { Replies::Off };
    }

    fn unmute(&mut self) {
        self.replies = Replies::On;
        self.say(&[b"CLIENT", b"REPLY", b"ON"], Expect::Exact(b"+OK\r\n".to_vec()));
    }

    fn track(&mut self) {
        if self.story.tracks {
            return self.untrack();
        }
        if self.protocol == 2 {
            return self.hello(3);
        }
        let mut words = "CLIENT TRACKING ON".to_owned();
        if self.dice.happens(300) {
            words += &format!(" BCAST PREFIX {SHARED_PREFIX}");
            self.story.broadcasts = true;
        }
        if self.dice.happens(300) {
            words += " NOLOOP";
        }
        self.say_text(&words, Expect::ForgetAll(b"+OK\r\n"));
        self.story.tracks = true;
    }

    fn untrack(&mut self) {
        self.say(&[b"CLIENT", b"TRACKING", b"OFF"], Expect::ForgetAll(b"+OK\r\n"));
        self.story.tracks = false;
    }

    fn hello(&mut self, protocol: u8) {
        // The old protocol has no way to be told of changes.
        if protocol == 2 && self.story.tracks {
            self.untrack();
        }
        self.say(&[b"HELLO", protocol.to_string().as_bytes()], Expect::Hello(protocol));
        self.protocol = protocol;
    }

    fn reset(&mut self) {
        // Its end would stand in the log without a name.
        if self.listens() {
            return;
        }
        self.say(&[b"RESET"], Expect::ForgetAll(b"+RESET\r\n"));
        self.protocol = 2;
        self.story.tracks = false;
        self.introduce();
    }

    fn push(&mut self) {
        let (list, text) = (LISTS[self.dice.below(2)], self.text('t'));
        self.say(&[b"RPUSH", list.as_bytes(), &text], Expect::Count(i64::MAX));
        self.story.pushed.push(text);
    }

    fn pop(&mut self, may_wait: bool) {
        if may_wait && self.dice.happens(700) {
            let timeout = ["0.01", "0.05", "0.3"][self.dice.below(3)];
            self.say_text(&format!("BLPOP q0 q1 {timeout}"), Expect::Popped);
        } else {
            let list = LISTS[self.dice.below(2)];
            self.say(&[b"LPOP", list.as_bytes()], Expect::Popped);
        }
    }

    fn wait_or_pause(&mut self) {
        if !self.pauses {
            return self.ping();
        }
        match self.dice.below(4) {
            0 => self.say_text("WAIT 1 2", Expect::Exact(b":0\r\n".to_vec())),
            1 => self.say_text("CLIENT UNPAUSE", Expect::Exact(b"+OK\r\n".to_vec())),
            2 => self.say_text("CLIENT PAUSE 20 ALL", Expect::Exact(b"+OK\r\n".to_vec())),
            _ => self.say_text("CLIENT PAUSE 20 WRITE", Expect::Exact(b"+OK\r\n".to_vec())),
        }
    }
}
