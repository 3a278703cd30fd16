//! One connection of the soak, which checks every reply, and what can become of it.

use std::fmt;

use super::World;
use crate::harness::{Client, Random, Value};

/// How something came to an end before its time.
#[derive(Debug)]
pub(crate) enum End {
    /// The connection is gone.
    Closed(String),
    /// Something else than was due arrived, or nothing.
    Wrong(String),
}

impl fmt::Display for End {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            End::Closed(why) => write!(out, "closed: {why}"),
            End::Wrong(why) => write!(out, "wrong: {why}"),
        }
    }
}

/// What became of something.
pub(crate) type Outcome<T = ()> = Result<T, End>;

/// What a connection goes over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    Tcp,
    Unix,
    Tls,
}

/// One connection.
pub(crate) struct Player {
    client: Client,
    way: Way,
    /// It speaks RESP3.
    pub(crate) is_resp3: bool,
}

impl Player {
    /// Connects over TCP, a Unix socket or TLS, and says its name.
    pub(crate) fn connect(world: &World, dice: &mut Random, name: &str) -> Outcome<Player> {
        let way = [Way::Unix, Way::Tls, Way::Tcp, Way::Tcp, Way::Tcp][dice.below(5)];
        let client = match way {
            Way::Unix => world.server.connect_unix(),
            Way::Tls => Client::try_tls(world.tls_address, &world.trust).map_err(|why| broken(why, way))?,
            Way::Tcp => Client::try_tcp(world.server.address()).map_err(|error| End::Wrong(error.to_string()))?,
        };
        let mut player = Player { client, way, is_resp3: false };
        if dice.one_in(3) {
            player.upgrade()?;
        }
        player.ask(&["CLIENT", "SETNAME", name], &Value::Status("OK".to_owned()))?;
        Ok(player)
    }

    /// Speaks RESP3 from now on.
    pub(crate) fn upgrade(&mut self) -> Outcome {
        self.send_command(&["HELLO", "3"])?;
        match self.reply()? {
            Value::Map(_) => {}
            other => return Err(End::Wrong(format!("HELLO is answered with {other}"))),
        }
        self.is_resp3 = true;
        Ok(())
    }

    /// Sends bytes.
    pub(crate) fn send(&mut self, bytes: &[u8]) -> Outcome {
        self.client.try_send(bytes).map_err(|error| {
            let text = format!("sending {} bytes over {:?}: {error}", bytes.len(), self.way);
            match error.kind() {
                std::io::ErrorKind::BrokenPipe
                | std::io::ErrorKind::ConnectionReset
                | std::io::ErrorKind::ConnectionAborted => End::Closed(text),
                _ => End::Wrong(text),
            }
        })
    }

    /// Sends bytes in a few pieces, with or without a moment in between.
    pub(crate) fn send_in_pieces(&mut self, bytes: &[u8], dice: &mut Random) -> Outcome {
        let mut rest = bytes;
        for _ in 0..dice.below(3) {
            let (piece, behind) = rest.split_at(dice.below(rest.len() + 1));
            self.send(piece)?;
            if dice.one_in(2) {
                dice.pause_ms(20);
            }
            rest = behind;
        }
        self.send(rest)
    }

    /// Sends a command.
    pub(crate) fn send_command<T: AsRef<[u8]>>(&mut self, args: &[T]) -> Outcome {
        self.send(&Client::encode(args))
    }

    /// The next reply or push.
    pub(crate) fn reply(&mut self) -> Outcome<Value> {
        self.client.try_reply().map_err(|why| broken(why, self.way))
    }

    /// The next reply or push must be this one.
    pub(crate) fn expect(&mut self, due: &Value) -> Outcome {
        let got = self.reply()?;
        if got == *due {
            return Ok(());
        }
        let (due, got) = (shortened(due), shortened(&got));
        Err(End::Wrong(format!("{due} was due over {:?}, and {got} came", self.way)))
    }

    /// These are due, in this order.
    pub(crate) fn expect_all(&mut self, due: &[Value]) -> Outcome {
        due.iter().try_for_each(|value| self.expect(value))
    }

    /// Sends a command and has its reply be this one.
    pub(crate) fn ask<T: AsRef<[u8]>>(&mut self, args: &[T], due: &Value) -> Outcome {
        self.send_command(args)?;
        self.expect(due)
    }

    /// Sends a command that is answered with a number.
    pub(crate) fn ask_number<T: AsRef<[u8]>>(&mut self, args: &[T]) -> Outcome<i64> {
        self.send_command(args)?;
        match self.reply()? {
            Value::Integer(number) => Ok(number),
            other => Err(End::Wrong(format!("no number: {}", shortened(&other)))),
        }
    }

    /// The server closes, and says nothing before but what is a reply or a beginning of one.
    pub(crate) fn expect_close(&mut self) -> Outcome {
        loop {
            match self.reply() {
                Ok(_) => {}
                Err(End::Closed(_)) => return Ok(()),
                Err(end) => return Err(end),
            }
        }
    }

    /// Whether what arrived can be read although sending failed: rustls sends what it has before it reads.
    pub(crate) fn can_read_after_failure(&self) -> bool {
        self.way != Way::Tls
    }

    /// What stands for an array that is none.
    pub(crate) fn no_array(&self) -> Value {
        if self.is_resp3 { Value::Null } else { Value::NilArray }
    }

    /// What stands for a string that is none.
    pub(crate) fn no_text(&self) -> Value {
        if self.is_resp3 { Value::Null } else { Value::NilBulk }
    }

    /// Something that nobody asked for.
    pub(crate) fn push(&self, items: Vec<Value>) -> Value {
        if self.is_resp3 { Value::Push(items) } else { Value::Array(items) }
    }

    /// Does nothing for a moment, and now and then for so long that it may be moved meanwhile.
    pub(crate) fn linger(&mut self, dice: &mut Random) {
        let most = [2, 2, 2, 200][dice.below(4)];
        dice.pause_ms(most);
    }
}

/// The text of a bulk.
pub(crate) fn bulk(text: &str) -> Value {
    Value::Bulk(text.as_bytes().to_vec())
}

/// Why there is no reply.
fn broken(why: String, way: Way) -> End {
    let is_closed = why.starts_with("closed after")
        || why.contains("close_notify")
        || why.contains("Connection reset")
        || why.contains("Broken pipe")
        || why.contains("eof")
        || why.contains("end of file");
    let why = format!("{why} over {way:?}");
    if is_closed { End::Closed(why) } else { End::Wrong(why) }
}

fn shortened(value: &Value) -> String {
    let text = value.to_string();
    let head: String = text.chars().take(300).collect();
    if head.len() < text.len() { format!("{head}... ({} bytes)", text.len()) } else { head }
}
