//! A crowd on a simulated network, over TCP and TLS, in both protocols and changing between them: its members publish and
//! listen, cache what they read and are told of changes, wait for elements of lists, run transactions, mute replies,
//! pause, unblock and kill each other, read slowly and leave in the middle.
//!
//! What a member hears is cut into frames. Each reply must be the next one that is due; each message must be the next one
//! by the order in which the server says that it executed commands; each value must have been written, each element
//! pushed, and no element popped twice. Once all are through, whoever stays has heard every message, what it still caches
//! is what the server holds, and no element is missing. After every step what the server counts is counted again.

use std::collections::{HashMap, HashSet};

use torc::config::Config;
use torc::config::special::OutputLimit;
use torc::config::value::MemoryOrPercent;
use torc::io::sim::{Dice, PeerId, SimIo, SimOptions};
use torc::pubsub::Kind;
use torc::server::event_loop::Server;

use super::audit::{assert_counted, assert_sound};
use super::author::{Author, Expect, LISTS, SPACES, Story};
use super::frames::{self, Frame};
use super::wire::{Trust, Wire};
use super::{Listening, TLS_WINDOW_MIN, TURNS_MAX, assert_empty, server_with_tls};

/// Random seeds when the environment names no other number.
const SEEDS: u64 = 100;
/// Seeds that are always run: the first ones, and every one that once failed.
const KEPT_SEEDS: [u64; 8] = [0, 1, 2, 3, 4, 5, 6, 7];

/// Where the test's own session lies: no connection's.
const OWN_SLOT: u32 = 900;

/// What may happen in one history.
struct Rules {
    /// Members are killed.
    kills: bool,
    /// Members are closed because of what they leave unread.
    strict: bool,
    /// Somebody leaves before all is said, or may: nothing can be said of how much there is of anything then.
    leaves: bool,
}

/// A message as a member hears it: the kind of its subscription, the channel, and the payload's beginning.
type Message = (usize, Vec<u8>, Vec<u8>);

/// What is known of everybody.
#[derive(Default)]
struct World {
    published: HashMap<Vec<u8>, Vec<u8>>,
    written: HashSet<(Vec<u8>, Vec<u8>)>,
    pushed: HashSet<Vec<u8>>,
    popped: HashSet<Vec<u8>>,
    /// By member: what it listens to as far as the server has executed, and what it has to hear of that.
    subscribed: Vec<HashSet<(usize, Vec<u8>)>>,
    messages: Vec<Vec<Message>>,
}

impl World {
    fn learn(&mut self, story: &Story) {
        self.published.extend(story.published.clone());
        self.written.extend(story.written.iter().cloned());
        self.pushed.extend(story.pushed.iter().cloned());
        self.subscribed.push(HashSet::new());
        self.messages.push(Vec::new());
    }

    /// Takes what was executed since the last call out of the server's log of slow commands, in which all of them stand.
    fn follow(&mut self, server: &mut Server<SimIo>) {
        let log = &mut server.engine().state.slow_log;
        let entries: Vec<_> = log.iter().cloned().collect();
        log.clear();
        for entry in entries.into_iter().rev() {
            let words: Vec<Vec<u8>> = entry.args.iter().map(|arg| arg.to_ascii_lowercase()).collect();
            let name = std::str::from_utf8(&entry.name).unwrap();
            let member = name.strip_prefix('m').and_then(|number| number.parse::<usize>().ok());
            for (kind, (begin, end, _, _)) in SPACES.iter().enumerate() {
                let (begins, ends) = (words[0] == begin.as_bytes(), words[0] == end.as_bytes());
                if begins || ends {
                    let subscribed = &mut self.subscribed[member.expect("all members say their names first")];
                    for name in &words[1..] {
                        let what = (kind, name.clone());
                        if begins {
                            subscribed.insert(what)
                        } else {
                            subscribed.remove(&what)
                        };
                    }
                }
            }
            match &words[0][..] {
                b"publish" => self.publish(&[0, 1], &words),
                b"spublish" => self.publish(&[2], &words),
                _ => {}
            }
        }
    }

    fn publish(&mut self, kinds: &[usize], words: &[Vec<u8>]) {
        let id = beginning(&words[2]).to_vec();
        for (subscribed, messages) in self.subscribed.iter().zip(&mut self.messages) {
            for kind in kinds {
                // There is one pattern, and it fits all channels.
                let name = if *kind == 1 { SPACES[1].3[0].as_bytes().to_vec() } else { words[1].clone() };
                if subscribed.contains(&(*kind, name)) {
                    messages.push((*kind, words[1].clone(), id.clone()));
                }
            }
        }
    }
}

/// What stands before the first space.
fn beginning(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == b' ').next().unwrap()
}

/// How a member leaves before all is said.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Leaving {
    Close,
    Reset,
}

struct Member {
    index: usize,
    story: Story,
    wire: Wire,
    peer: Option<PeerId>,
    sent: usize,
    /// Bytes that are no whole frame yet.
    heard: Vec<u8>,
    reads: u32,
    write_max: usize,
    window: Option<usize>,
    leaves: Option<(usize, Leaving)>,
    /// Messages that it has heard.
    messages: usize,
    /// What it remembers of shared keys.
    remembered: HashMap<Vec<u8>, Option<Vec<u8>>>,
    /// How often it may be told of what it has read: once for each time, where its own transaction wrote in between.
    read: HashMap<Vec<u8>, usize>,
    gone: bool,
}

impl Member {
    fn new(dice: &mut Dice, index: usize, story: Story) -> Member {
        let sends = story.sends.len();
        let leaving = if dice.happens(500) { Leaving::Close } else { Leaving::Reset };
        Member {
            index,
            wire: Wire::Plain,
            peer: None,
            sent: 0,
            heard: Vec::new(),
            reads: [1000, 1000, 400, 30][dice.below(4)],
            write_max: (1 << dice.between(2, 16)).max(sends / 500),
            window: dice.happens(200).then(|| 1 << dice.between(8, 16)),
            leaves: None.or_else(|| Some((dice.below(sends + 1), leaving)).filter(|_| dice.happens(200))),
            messages: 0,
            remembered: HashMap::new(),
            read: HashMap::new(),
            gone: false,
            story,
        }
    }

    /// Everything is said, and every reply heard.
    fn is_through(&self) -> bool {
        self.gone || (self.sent == self.story.sends.len() && self.story.expects.is_empty())
    }

    fn describe(&self) -> String {
        let next = self.story.expects.last();
        format!("{}: sent {} of {}, next {next:?}", self.index, self.sent, self.story.sends.len())
    }

    fn act(&mut self, io: &mut SimIo, world: &mut World, rules: &Rules, listeners: Listening, dice: &mut Dice) {
        if self.gone {
            return;
        }
        let Some(peer) = self.peer else {
            if dice.happens(200) {
                let peer = io.connect(if self.wire.is_tls() { listeners.tls } else { listeners.plain });
                if let Some(window) = self.window {
                    io.peer_window(peer, window.max(TLS_WINDOW_MIN));
                }
                self.peer = Some(peer);
            }
            return;
        };
        let server_left = io.peer_closed(peer).is_some();
        if server_left || dice.happens(self.reads) {
            self.heard.extend(self.wire.read(io, peer));
            self.hear(world);
        }
        if server_left {
            let reason = io.peer_faulted(peer) || rules.kills || rules.strict;
            assert!(reason, "{}: closed by the server without reason", self.describe());
            io.peer_close(peer);
            self.gone = true;
            return;
        }
        let until = self.leaves.map_or(self.story.sends.len(), |(at, _)| at);
        if self.sent < until && io.peer_unreceived(peer) < 1 << 20 && dice.happens(700) {
            let end = (self.sent + dice.between(1, self.write_max)).min(until);
            self.wire.write(io, peer, &self.story.sends[self.sent..end]);
            self.sent = end;
        }
        match self.leaves {
            Some((at, Leaving::Close)) if at == self.sent => io.peer_close(peer),
            Some((at, Leaving::Reset)) if at == self.sent => io.peer_reset(peer),
            _ => return,
        }
        self.gone = true;
    }

    /// Looks at every frame that is whole.
    fn hear(&mut self, world: &mut World) {
        let heard = std::mem::take(&mut self.heard);
        let mut at = 0;
        while at < heard.len()
            && let Some((frame, len)) = frames::first(&heard[at..])
        {
            let bytes = &heard[at..at + len];
            at += len;
            let word = frame.parts().first().and_then(Frame::text).unwrap_or_default();
            match SPACES.iter().position(|(_, _, announces, _)| announces.as_bytes() == word) {
                Some(kind) => self.message(kind, &frame, world),
                None if word == b"invalidate" => self.told(&frame),
                None => self.reply(&frame, bytes, world),
            }
        }
        self.heard = heard[at..].to_vec();
    }

    fn message(&mut self, kind: usize, frame: &Frame, world: &World) {
        let parts: Vec<&[u8]> = frame.parts().iter().map(|part| part.text().unwrap()).collect();
        let (channel, text) = (parts[parts.len() - 2], parts[parts.len() - 1]);
        assert_eq!(parts.len(), if kind == 1 { 4 } else { 3 }, "{frame:?}");
        let message = (kind, channel.to_vec(), beginning(text).to_vec());
        let due = world.messages[self.index].get(self.messages);
        assert_eq!(Some(&message), due, "member {}, message {}", self.index, self.messages);
        assert_eq!(Some(text), world.published.get(&message.2).map(|text| &text[..]), "another text");
        self.messages += 1;
    }

    fn told(&mut self, frame: &Frame) {
        let Frame::Push(parts) = frame else { panic!("told by {frame:?}") };
        let keys = parts[1].parts();
        assert!(parts.len() == 2 && !keys.is_empty(), "{frame:?}");
        for key in keys {
            let key = key.text().unwrap();
            self.remembered.remove(key);
            let times = self.read.get_mut(key).filter(|times| **times > 0);
            // Of keys of its own nothing is remembered.
            let own = key.starts_with(format!("o{}:", self.index).as_bytes());
            let known = own || times.map(|times| *times -= 1).is_some();
            assert!(known || self.story.broadcasts, "member {} was told of a key it had not read", self.index);
        }
    }

    /// Takes what is due without a reply.
    fn pass_over(&mut self) {
        while let Some(Expect::Forget(key)) = self.story.expects.last() {
            self.remembered.remove(key);
            self.story.expects.pop();
        }
    }

    fn reply(&mut self, frame: &Frame, bytes: &[u8], world: &mut World) {
        self.pass_over();
        let shown = || bytes[..bytes.len().min(200)].escape_ascii().to_string();
        let Some(expect) = self.story.expects.pop() else {
            panic!("member {} hears what nobody asked for: {}", self.index, shown());
        };
        let meets = match &expect {
            Expect::Exact(exact) => exact == bytes,
            Expect::ForgetAll(exact) => {
                self.remembered.clear();
                *exact == bytes
            }
            other => self.meets(other, frame, world),
        };
        assert!(meets, "member {}: {expect:?} was due, not {}", self.index, shown());
        self.pass_over();
    }

    fn meets(&mut self, expect: &Expect, frame: &Frame, world: &mut World) -> bool {
        match (expect, frame) {
            (Expect::Exact(exact), frame) => frames::first(exact).is_some_and(|(exact, _)| exact == *frame),
            (Expect::Count(most), Frame::Integer(count)) => (0..=*most).contains(count),
            (Expect::Hello(3), Frame::Map(parts)) => hello(parts, 3),
            (Expect::Hello(2), Frame::Array(parts)) => hello(parts, 2),
            (Expect::Read { key, remembered }, Frame::Nil | Frame::Bulk(_)) => {
                let value = frame.text().map(<[u8]>::to_vec);
                let written = value.as_ref().is_none_or(|value| world.written.contains(&(key.clone(), value.clone())));
                if *remembered {
                    *self.read.entry(key.clone()).or_default() += 1;
                    self.remembered.insert(key.clone(), value);
                }
                written
            }
            (Expect::Wrote(key), Frame::Status(text)) => {
                self.remembered.remove(key);
                text == b"OK"
            }
            (Expect::Popped, Frame::Nil) => true,
            (Expect::Popped, Frame::Bulk(text)) => world.pushed.contains(text) && world.popped.insert(text.clone()),
            (Expect::Popped, Frame::Array(parts)) => {
                let [Frame::Bulk(list), Frame::Bulk(text)] = &parts[..] else { return false };
                LISTS.iter().any(|name| name.as_bytes() == list)
                    && world.pushed.contains(text)
                    && world.popped.insert(text.clone())
            }
            (Expect::Exec { may_fail, .. }, Frame::Nil) => *may_fail,
            (Expect::Exec { inner, .. }, Frame::Array(parts)) => {
                parts.len() == inner.len()
                    && inner.iter().zip(parts).all(|(expect, frame)| self.meets(expect, frame, world))
            }
            (Expect::Listed, Frame::Bulk(text)) => {
                let own = format!(" name=m{} ", self.index);
                text.windows(own.len()).filter(|bytes| *bytes == own.as_bytes()).count() == 1
            }
            _ => false,
        }
    }
}

/// Whether a description of the server says that it speaks `protocol` now.
fn hello(parts: &[Frame], protocol: i64) -> bool {
    parts.windows(2).any(|pair| pair[0].text() == Some(b"proto") && pair[1] == Frame::Integer(protocol))
}

/// A history in the making.
struct Crowd {
    server: Server<SimIo>,
    listeners: Listening,
    dice: Dice,
    rules: Rules,
    world: World,
    members: Vec<Member>,
    /// Others, who say one thing each.
    pokers: Vec<PeerId>,
}

impl Crowd {
    fn new(seed: u64) -> Crowd {
        let mut dice = Dice::new(seed.wrapping_mul(53) ^ 0xc40d);
        let options = match seed % 8 {
            0 => SimOptions::calm(),
            1 => SimOptions::rough(),
            _ => SimOptions::by_seed(seed),
        };
        let rules = Rules { kills: dice.happens(150), strict: dice.happens(150), leaves: dice.happens(400) };
        let pauses = dice.happens(400);
        let accounts = rules.strict || dice.happens(300);
        let mut config = Config { slowlog_log_slower_than: 0, slowlog_max_len: 1 << 20, ..Config::default() };
        if accounts {
            config.maxmemory_clients = MemoryOrPercent::Bytes(1 << 40);
        }
        if rules.strict {
            config.client_output_buffer_limit.pubsub = OutputLimit { hard: 100_000, soft: 20_000, soft_seconds: 1 };
            config.maxmemory_clients = MemoryOrPercent::Bytes(dice.between(200_000, 2_000_000) as u64);
        }
        let trust = Trust::new();
        let (mut server, listeners) = server_with_tls(seed, options, config, trust.context());
        if dice.happens(600) {
            server.set_turn_commands_max(dice.between(1, 150));
        }
        let count = dice.between(3, 24);
        let (commands, big) = (dice.between(5, 90), dice.happens(400));
        let encrypted = [0, 300, 1000][dice.below(3)];
        let mut world = World::default();
        let mut members = Vec::new();
        for index in 0..count {
            let story = Author::new(&mut dice, index, count, pauses, big).write(commands);
            world.learn(&story);
            let mut member = Member::new(&mut dice, index, story);
            if dice.happens(encrypted) {
                member.wire = trust.wire(dice.happens(500));
            }
            member.leaves = member.leaves.filter(|_| rules.leaves);
            members.push(member);
        }
        Crowd { server, listeners, dice, rules, world, members, pokers: Vec::new() }
    }

    fn step(&mut self) {
        let Crowd { server, listeners, dice, rules, world, members, .. } = self;
        for member in members {
            member.act(server.io(), world, rules, *listeners, dice);
        }
        assert!(server.step().unwrap(), "nobody told the server to end");
        world.follow(server);
        assert_sound(server, &[], true);
    }

    /// Somebody comes, disturbs somebody else, and goes.
    fn poke(&mut self) {
        let ids: Vec<u64> = self.server.engine().state.sessions.iter().map(|session| session.id).collect();
        let Some(id) = ids.get(self.dice.below(ids.len().max(1))) else { return };
        let text = match self.dice.below(7) {
            0 if self.rules.kills => format!("CLIENT KILL ID {id}\r\n"),
            1 if self.rules.kills => "CLIENT KILL TYPE pubsub\r\n".to_owned(),
            2 => "CLIENT UNPAUSE\r\n".to_owned(),
            3 => "INFO\r\nCLIENT LIST\r\n".to_owned(),
            // What clients cost is counted from now on, or no longer.
            4 if !self.rules.strict => {
                format!("CONFIG SET maxmemory-clients {}\r\n", [0, 1_u64 << 40][self.dice.below(2)])
            }
            _ => format!("CLIENT UNBLOCK {id}\r\n"),
        };
        let io = self.server.io();
        let peer = io.connect(self.listeners.plain);
        io.peer_write(peer, text.as_bytes());
        io.peer_shutdown(peer);
        self.pokers.push(peer);
        if self.pokers.len() > 3 {
            let peer = self.pokers.remove(0);
            io.peer_close(peer);
        }
    }

    fn run_until(&mut self, what: &str, pokes: bool, done: impl Fn(&Crowd) -> bool) {
        for _ in 0..TURNS_MAX {
            if done(self) {
                return;
            }
            if pokes && self.dice.happens(30) {
                self.poke();
            }
            self.step();
        }
        let waiting: Vec<String> = self.members.iter().filter(|member| !member.gone).map(Member::describe).collect();
        panic!("{what}: not in {TURNS_MAX} turns, {waiting:#?}");
    }

    /// Everybody is through: whoever stayed has heard all messages, and is told of nothing any more.
    fn settle(&mut self) {
        for member in self.members.iter_mut().filter(|member| !member.gone) {
            let pong = Expect::Exact(member.story.pong.clone());
            member.story.expects.push(pong);
            member.wire.write(self.server.io(), member.peer.unwrap(), b"PING\r\n");
        }
        self.run_until("the last answers", false, |crowd| {
            let settled = |member: &Member| {
                member.gone || (member.is_through() && member.messages == crowd.world.messages[member.index].len())
            };
            crowd.members.iter().all(settled)
        });
        let engine = self.server.engine();
        let own = engine.connect(OWN_SLOT);
        for member in &self.members {
            for (key, value) in member.remembered.iter().filter(|_| member.story.tracks && !member.gone) {
                let shown = value
                    .as_ref()
                    .map_or("(nil)".to_owned(), |value| format!("\"{}\"", std::str::from_utf8(value).unwrap()));
                let held = engine.run_in(own, &[b"GET", &key[..]]);
                assert!(held == shown, "member {} was not told of {}", member.index, key.escape_ascii());
            }
        }
        if self.members.iter().all(|member| !member.gone) {
            let left: usize = LISTS
                .iter()
                .map(|list| engine.run_in(own, &["LLEN", list]))
                .map(|shown| shown.strip_prefix("(integer) ").unwrap().parse::<usize>().unwrap())
                .sum();
            assert_eq!(self.world.popped.len() + left, self.world.pushed.len(), "elements");
        }
        engine.client_gone(own);
    }

    /// All leave, and nothing of them stays.
    fn end(&mut self) {
        for member in self.members.iter_mut().filter(|member| !member.gone) {
            self.server.io().peer_close(member.peer.unwrap());
            member.gone = true;
        }
        for peer in self.pokers.drain(..) {
            self.server.io().peer_close(peer);
        }
        super::step_until(&mut self.server, "the end of all", |server| server.connected() == 0 && server.io().idle());
        assert_counted(&mut self.server);
        assert_empty(&mut self.server);
        let state = &self.server.engine().state;
        assert!(Kind::ALL.iter().all(|kind| state.pubsub.names_len(*kind) == 0), "subscriptions");
        assert_eq!(state.tracking.prefixes_len(), 0, "prefixes");
        assert!(state.blocking.is_empty(), "somebody waits");
    }
}

fn play(seed: u64) {
    let mut crowd = Crowd::new(seed);
    crowd.run_until("the end of all stories", true, |crowd| crowd.members.iter().all(Member::is_through));
    crowd.settle();
    crowd.end();
}

#[test]
fn a_crowd_hears_what_is_due_and_nothing_else() {
    super::for_seeds("TORC_SIM_CROWD_SEED", &KEPT_SEEDS, SEEDS, play);
}
