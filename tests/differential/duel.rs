//! Two servers that are told the same: connections in pairs, steps taken on both, the first difference between them.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use super::arguments::{Arg, CONNECTIONS, DUMPED, label};
use super::harness::{Client, Server, Value};
use super::rules::Rule;

/// How a command is put on the wire.
#[derive(Clone, Debug)]
pub(crate) enum Form {
    Whole,
    /// As a line of text.
    Inline,
    /// In two pieces, the first of at most so many bytes.
    Pieces(usize),
}

/// One thing done to both servers.
#[derive(Clone, Debug)]
pub(crate) enum Step {
    Command {
        connection: usize,
        args: Vec<Arg>,
        rule: Rule,
        form: Form,
    },
    Pipeline {
        connection: usize,
        commands: Vec<(Vec<Arg>, Rule)>,
    },
    /// Commands between CLIENT REPLY OFF and ON, or behind SKIP when there is one.
    Muted {
        connection: usize,
        commands: Vec<Vec<Arg>>,
    },
    /// Commands that a monitor watches.
    Monitored {
        connection: usize,
        commands: Vec<(Vec<Arg>, Rule)>,
    },
    /// Commands while a connection of its own listens, in this version of the protocol and after these subscriptions.
    Listened {
        connection: usize,
        protocol: &'static str,
        subscriptions: Vec<Vec<&'static str>>,
        commands: Vec<(Vec<Arg>, Rule)>,
    },
    /// Bytes on a connection of their own, in pieces of this size.
    Broken {
        bytes: Vec<u8>,
        piece: usize,
    },
}

/// What the two answered when it was not the same.
#[derive(Debug)]
pub(crate) struct Difference {
    pub(crate) rule: String,
    pub(crate) theirs: String,
    pub(crate) ours: String,
}

/// One connection to each server, kept in the same state.
struct Pair {
    /// Theirs, ours.
    clients: [Client; 2],
    ids: [i64; 2],
    /// The rules of what is queued, while inside MULTI.
    queued: Option<Vec<Rule>>,
}

/// The two servers, fresh.
pub(crate) struct Duel {
    servers: [Server; 2],
    pairs: Vec<Pair>,
    dumps: [Vec<Vec<u8>>; 2],
    /// Commands, and the replies to them, as a transcript has them.
    pub(crate) transcript: Vec<String>,
    /// Commands compared.
    pub(crate) compared: usize,
}

/// What came back on a connection: pushes and the reply behind them, or its end.
#[derive(PartialEq)]
enum Answer {
    Reply(Vec<Vec<u8>>, Vec<u8>),
    Closed,
    Nothing(String),
}

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

const ARGS: &str = "--enable-debug-command yes --enable-protected-configs yes --slowlog-log-slower-than -1 --notify-keyspace-events KEg$m";

impl Duel {
    /// Starts both and connects.
    pub(crate) fn start(reference: &Path) -> Duel {
        let theirs = Server::builder().binary(reference.to_owned()).args(ARGS).start();
        let servers = [theirs, Server::with(ARGS)];
        let dumps = [dumps_of(&servers[0]), dumps_of(&servers[1])];
        level_numbers(&servers);
        let mut duel = Duel { servers, pairs: Vec::new(), dumps, transcript: Vec::new(), compared: 0 };
        for _ in 0..CONNECTIONS {
            let pair = duel.connect();
            duel.pairs.push(pair);
        }
        duel
    }

    fn connect(&self) -> Pair {
        let mut clients = [self.servers[0].connect(), self.servers[1].connect()];
        clients.iter_mut().for_each(|client| client.set_read_timeout(PATIENCE));
        let ids = [0, 1].map(|side| clients[side].run("CLIENT ID").integer());
        Pair { clients, ids, queued: None }
    }

    /// Whether `[theirs, ours]` know a command or subcommand; `name` as the table's lines have it.
    pub(crate) fn known(&self, name: &str) -> [bool; 2] {
        let knows = |server: &Server, name: &str| {
            let reply = server.connect().command(&["COMMAND", "INFO", name]);
            matches!(reply.items().first(), Some(Value::Array(_)))
        };
        let (command, subcommand) = name.split_once(' ').unwrap_or((name, ""));
        // Only where theirs has such a subcommand is the second word one.
        let asked = format!("{command}|{subcommand}");
        let asked = if knows(&self.servers[0], &asked) || knows(&self.servers[1], &asked) { &asked } else { command };
        [0, 1].map(|side| knows(&self.servers[side], asked))
    }

    /// Takes one step on both.
    pub(crate) fn perform(&mut self, step: &Step) -> Result<(), Difference> {
        match step {
            Step::Command { connection, args, rule, form } => self.command(*connection, args, rule, form),
            Step::Pipeline { connection, commands } => self.pipeline(*connection, commands),
            Step::Muted { connection, commands } => self.muted(*connection, commands),
            Step::Monitored { connection, commands } => self.monitored(*connection, commands),
            Step::Listened { connection, protocol, subscriptions, commands } => {
                self.listened(*connection, protocol, subscriptions, commands)
            }
            Step::Broken { bytes, piece } => self.broken(bytes, *piece),
        }
    }

    fn command(&mut self, connection: usize, args: &[Arg], rule: &Rule, form: &Form) -> Result<(), Difference> {
        if self.pairs[connection].queued.is_some() && loses_replies(args) {
            return Ok(());
        }
        for side in 0..2 {
            let args = self.resolve(side, args);
            let client = &mut self.pairs[connection].clients[side];
            let bytes = match form {
                Form::Inline => inline(&args),
                _ => Client::encode(&args),
            };
            // Whether the peer has closed is seen when reading.
            if let Form::Pieces(first) = form {
                let (first, second) = bytes.split_at((*first).min(bytes.len()));
                let _ = client.try_send(first).and_then(|()| client.try_send(second));
            } else {
                let _ = client.try_send(&bytes);
            }
        }
        self.answer(connection, args, rule).map(drop)
    }

    fn pipeline(&mut self, connection: usize, commands: &[(Vec<Arg>, Rule)]) -> Result<(), Difference> {
        for side in 0..2 {
            let bytes =
                commands.iter().flat_map(|(args, _)| Client::encode(&self.resolve(side, args))).collect::<Vec<_>>();
            let _ = self.pairs[connection].clients[side].try_send(&bytes);
        }
        for (args, rule) in commands {
            if !self.answer(connection, args, rule)? {
                break;
            }
        }
        Ok(())
    }

    /// Reads and compares the answers to a command that was sent; false when both have closed.
    fn answer(&mut self, connection: usize, args: &[Arg], rule: &Rule) -> Result<bool, Difference> {
        let pair = &mut self.pairs[connection];
        let name = args[0].shown().to_lowercase();
        let rule = match &mut pair.queued {
            Some(queued) if name == "exec" => Rule::Each(std::mem::take(queued)),
            _ => rule.clone(),
        };
        let answers = [0, 1].map(|side| read(&mut pair.clients[side]));
        self.compared += 1;
        let command = format!("{}: {}", label(connection), args.iter().map(Arg::quoted).collect::<Vec<_>>().join(" "));
        self.transcript.push(format!("{command} => {}", answers[0].shown()));
        match &answers {
            [Answer::Closed, Answer::Closed] => {
                self.pairs[connection] = self.connect();
                Ok(false)
            }
            [Answer::Reply(their_pushes, theirs), Answer::Reply(our_pushes, ours)]
                if told(their_pushes) == told(our_pushes) && rule.accepts(theirs, ours) =>
            {
                self.follow(connection, &name, theirs, rule);
                Ok(name != "quit")
            }
            [theirs, ours] => Err(Difference { rule: format!("{rule:?}"), theirs: theirs.shown(), ours: ours.shown() }),
        }
    }

    /// Keeps track of MULTI and of connections that were closed on request.
    fn follow(&mut self, connection: usize, name: &str, reply: &[u8], rule: Rule) {
        let pair = &mut self.pairs[connection];
        match name {
            _ if reply == b"+QUEUED\r\n" => pair.queued.get_or_insert_default().push(rule),
            "multi" if reply == b"+OK\r\n" => pair.queued = Some(Vec::new()),
            "exec" | "discard" | "reset" => pair.queued = None,
            "quit" => self.pairs[connection] = self.connect(),
            _ => {}
        }
    }

    fn muted(&mut self, connection: usize, commands: &[Vec<Arg>]) -> Result<(), Difference> {
        if self.pairs[connection].queued.is_some() {
            return Ok(());
        }
        let (before, after): (&[&str], &[&[&str]]) = match commands.len() {
            1 => (&["CLIENT", "REPLY", "SKIP"], &[&["ECHO", END]]),
            _ => (&["CLIENT", "REPLY", "OFF"], &[&["CLIENT", "REPLY", "ON"], &["ECHO", END]]),
        };
        let mut answers = [Vec::new(), Vec::new()];
        for (side, answer) in answers.iter_mut().enumerate() {
            let mut bytes = Client::encode(before);
            commands.iter().for_each(|args| bytes.extend(Client::encode(&self.resolve(side, args))));
            after.iter().for_each(|args| bytes.extend(Client::encode(args)));
            let client = &mut self.pairs[connection].clients[side];
            let _ = client.try_send(&bytes);
            while let Ok(reply) = client.try_raw_reply() {
                let last = reply.ends_with(format!("{END}\r\n").as_bytes());
                answer.push(reply.escape_ascii().to_string());
                if last {
                    break;
                }
            }
        }
        self.compared += commands.len() + 1 + after.len();
        let all = commands.iter().map(|args| args.iter().map(Arg::quoted).collect::<Vec<_>>().join(" "));
        let all = all.collect::<Vec<_>>().join("; ");
        self.transcript.push(format!(
            "# {}: {}; {all}; {after:?} => {}",
            label(connection),
            before.join(" "),
            answers[0].join(" ")
        ));
        self.same("between CLIENT REPLY", answers.map(|answer| answer.join(" ")))
    }

    fn monitored(&mut self, connection: usize, commands: &[(Vec<Arg>, Rule)]) -> Result<(), Difference> {
        let mut monitors = [0, 1].map(|side| self.servers[side].connect());
        let started = [0, 1].map(|side| monitors[side].run("MONITOR").to_string());
        self.transcript.push(format!("m: MONITOR => {}", started[0]));
        self.same("MONITOR", started)?;
        for (args, rule) in commands {
            self.command(connection, args, rule, &Form::Whole)?;
        }
        let seen = [0, 1].map(|side| {
            self.servers[side].connect().command(&["ECHO", END]);
            let mut lines = Vec::new();
            while let Ok(Value::Status(line)) = monitors[side].try_reply() {
                // The time is not the same, nor is the port of the client.
                let (place, command) = line.split_once("] ").unwrap_or(("", &line));
                let database =
                    place.split_once('[').map_or("", |(_, place)| place.split(' ').next().unwrap_or_default());
                lines.push(format!("[{database}] {command}"));
                if line.contains(END) {
                    break;
                }
            }
            lines.join("\n")
        });
        self.transcript.push(format!("# the monitor reads\n{}", seen[0]));
        self.same("the lines of a monitor", seen)
    }

    /// What a listener hears must be the same bytes.
    fn listened(
        &mut self,
        connection: usize,
        protocol: &str,
        subscriptions: &[Vec<&str>],
        commands: &[(Vec<Arg>, Rule)],
    ) -> Result<(), Difference> {
        let mut listeners = [0, 1].map(|side| self.servers[side].connect());
        for listener in &mut listeners {
            listener.run(&format!("HELLO {protocol}"));
            for subscription in subscriptions {
                listener.command(subscription);
            }
        }
        self.transcript.push(format!("# RESP{protocol} listens: {subscriptions:?}"));
        for (args, rule) in commands {
            self.command(connection, args, rule, &Form::Whole)?;
        }
        let heard = listeners.map(|mut listener| {
            listener.send_command(&["PING", END]);
            let mut all = Vec::new();
            while let Ok(bytes) = listener.try_raw_reply() {
                let text = bytes.escape_ascii().to_string();
                let last = text.contains(END);
                all.push(text);
                if last {
                    break;
                }
            }
            all.join("\n")
        });
        self.compared += subscriptions.len();
        self.transcript.push(format!("# the listener hears\n{}", heard[0]));
        self.same("what a listener hears", heard)
    }

    /// Everything that comes back until both close must be the same.
    fn broken(&mut self, bytes: &[u8], piece: usize) -> Result<(), Difference> {
        let answers = [0, 1].map(|side| {
            let mut client = self.servers[side].connect();
            for piece in bytes.chunks(piece) {
                if client.try_send(piece).is_err() {
                    break;
                }
            }
            client.finish_sending();
            client.read_to_close().escape_ascii().to_string()
        });
        self.compared += 1;
        self.transcript.push(format!("# bytes \"{}\", in pieces of {piece} => {}", bytes.escape_ascii(), answers[0]));
        self.same("all bytes until the end", answers)
    }

    fn same(&self, rule: &str, [theirs, ours]: [String; 2]) -> Result<(), Difference> {
        if theirs == ours { Ok(()) } else { Err(Difference { rule: rule.to_owned(), theirs, ours }) }
    }

    fn resolve(&self, side: usize, args: &[Arg]) -> Vec<Vec<u8>> {
        let bytes = |arg: &Arg| match arg {
            Arg::Bytes(bytes) => bytes.clone(),
            Arg::ClientId(connection) => self.pairs[*connection].ids[side].to_string().into_bytes(),
            Arg::Dump(which, from) => self.dumps[*from][*which].clone(),
        };
        args.iter().map(bytes).collect()
    }
}

/// Whether Redis 8.0 may lose replies with this: it sends none to an AUTH that fails while others wait to be sent, as in
/// a transaction or a pipeline, and none of a transaction in which a client kills itself.
pub(crate) fn loses_replies(args: &[Arg]) -> bool {
    let is = |arg: &Arg, name: &str| arg.shown().eq_ignore_ascii_case(name);
    let has = |name: &str| args.iter().any(|arg| is(arg, name));
    is(&args[0], "auth") || (is(&args[0], "hello") && has("auth")) || (is(&args[0], "client") && has("kill"))
}

/// What ends a stretch of replies whose number is not known.
const END: &str = "the-end-of-it";

impl Answer {
    fn shown(&self) -> String {
        match self {
            Answer::Reply(pushes, reply) => {
                let all = pushes.iter().chain([reply]).map(|bytes| match Value::decode(bytes) {
                    Ok(Some((value, _))) => value.to_string(),
                    _ => bytes.escape_ascii().to_string(),
                });
                all.collect::<Vec<_>>().join("  ")
            }
            Answer::Closed => "(closed)".to_owned(),
            Answer::Nothing(why) => format!("({why})"),
        }
    }
}

fn read(client: &mut Client) -> Answer {
    let mut pushes = Vec::new();
    loop {
        match client.try_raw_reply() {
            Ok(push) if push[0] == b'>' => pushes.push(push),
            Ok(reply) => return Answer::Reply(pushes, reply),
            Err(why) if why.starts_with("closed") => return Answer::Closed,
            Err(why) => return Answer::Nothing(why),
        }
    }
}

/// What pushes tell. How many keys one of them names depends on what the server did in one turn of its loop: those that
/// follow each other count as one.
fn told(pushes: &[Vec<u8>]) -> Vec<BTreeSet<String>> {
    let mut all = Vec::<BTreeSet<String>>::new();
    let mut open = false;
    for push in pushes {
        let value = Value::decode(push).ok().flatten().map(|(value, _)| value);
        let items = value.map(|value| value.items()).unwrap_or_default();
        match &items[..] {
            [name, Value::Array(keys)] if *name == Value::Bulk(b"invalidate".to_vec()) => {
                if !std::mem::replace(&mut open, true) {
                    all.push(BTreeSet::new());
                }
                let keys = keys.iter().map(Value::to_string);
                all.last_mut().into_iter().for_each(|last| last.extend(keys.clone()));
            }
            _ => {
                open = false;
                all.push(BTreeSet::from([push.escape_ascii().to_string()]));
            }
        }
    }
    all
}

/// A command as a line of text, every argument in quotes.
fn inline(args: &[Vec<u8>]) -> Vec<u8> {
    let mut line = Vec::new();
    for arg in args {
        line.push(b'"');
        arg.iter().for_each(|byte| line.extend(format!("\\x{byte:02x}").bytes()));
        line.extend(b"\" ");
    }
    line.extend(b"\r\n");
    line
}

/// Lets both count their clients from the same number on, so that a number in a request means the same client to both. How
/// often one was asked whether it has started is a matter of luck.
fn level_numbers(servers: &[Server; 2]) {
    let next = |side: usize| servers[side].connect().run("CLIENT ID").integer();
    let mut ids = [next(0), next(1)];
    while ids[0] != ids[1] {
        let behind = usize::from(ids[1] < ids[0]);
        ids[behind] = next(behind);
    }
}

/// DUMP of every value of [`DUMPED`]; nothing where there is no DUMP.
fn dumps_of(server: &Server) -> Vec<Vec<u8>> {
    let mut client = server.connect();
    let mut dump = |value: &&str| {
        client.command(&["SET", "dumped", *value]);
        match client.command(&["DUMP", "dumped"]) {
            Value::Bulk(bytes) => bytes,
            _ => Vec::new(),
        }
    };
    let dumps = DUMPED.iter().map(&mut dump).collect();
    client.run("FLUSHALL");
    client.run("CONFIG RESETSTAT");
    dumps
}
