//! A server that gives every request the same answer: what a load generator can be measured and checked against. It can
//! be slow by a known amount, stand still, or die.
//!
//! One thread accepts, another one does the rest on a ring. Knows no command.

#![forbid(unsafe_code)]

use std::io::Write;
use std::net::{Ipv4Addr, TcpListener};
use std::sync::mpsc::{Receiver, TryRecvError, sync_channel};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::SPARE_DESCRIPTORS;
use crate::cli::ConstantServerArgs;
use crate::crew::pin;
use crate::endpoint::Stream;
use crate::ring::{Event, Ring, process};

/// Replies prepared for one send; what a connection is owed beyond waits for the next.
const REPLIES_MAX: usize = 4096;
/// Connections that may wait for the serving thread.
const ACCEPTED_MAX: usize = 1024;
/// Connections in all; the tool is for short runs.
const CONNECTIONS_MAX: usize = 10_000;
/// A header line is shorter than this.
const LINE_LEN_MAX: usize = 32;
/// How soon a new connection is taken while nothing else happens.
const ACCEPT_WAIT: Duration = Duration::from_millis(1);

/// Runs until it is killed, or until it has answered as many requests as it was told.
pub(crate) fn run(args: &ConstantServerArgs) -> anyhow::Result<()> {
    process::raise_descriptor_limit(CONNECTIONS_MAX as u64 + SPARE_DESCRIPTORS)
        .context("raising the descriptor limit")?;
    #[expect(clippy::disallowed_methods, reason = "this tool is a server of its own")]
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, args.port)).context("listening")?;
    println!("listening on port {}", listener.local_addr()?.port());
    std::io::stdout().flush()?;
    let (accepted, arrivals) = sync_channel(ACCEPTED_MAX);
    #[expect(clippy::disallowed_methods, reason = "accepting must not wait for serving; it ends with the process")]
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else { break };
            if stream.set_nodelay(true).is_err() || accepted.send(stream).is_err() {
                break;
            }
        }
    });
    if let Some(core) = args.core {
        pin(core)?;
    }
    serve(args, &arrivals)
}

#[derive(Default)]
struct Client {
    requests: RequestCounter,
    /// Replies that are still to be sent.
    owed: u64,
    closed: bool,
}

fn serve(args: &ConstantServerArgs, arrivals: &Receiver<std::net::TcpStream>) -> anyhow::Result<()> {
    let reply = format!("{}\r\n", args.reply).into_bytes();
    let output = reply.repeat(REPLIES_MAX);
    let mut ring = Ring::new().context("setting up io_uring")?;
    let mut clients: Vec<Client> = Vec::new();
    let mut answered = 0u64;
    let mut until_stall = args.stall_every;
    // Clients that are owed replies.
    let mut owing: Vec<usize> = Vec::new();
    loop {
        loop {
            match arrivals.try_recv() {
                Ok(stream) if clients.len() < CONNECTIONS_MAX => {
                    ring.add(Stream::Tcp(stream), output.clone());
                    clients.push(Client::default());
                }
                Ok(_) => bail!("there have been {CONNECTIONS_MAX} connections"),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => bail!("accepting failed"),
            }
        }
        ring.wait_at_most(ACCEPT_WAIT)?;
        let mut arrived = 0;
        for event in ring.events() {
            match event {
                Event::Data { slot, bytes } => {
                    let client = &mut clients[slot];
                    let count = client.requests.count(bytes)?;
                    if client.owed == 0 && count > 0 {
                        owing.push(slot);
                    }
                    client.owed += count;
                    arrived += count;
                }
                Event::Closed { slot, .. } => clients[slot].closed = true,
            }
        }
        if arrived > 0 && args.delay_ms > 0 {
            std::thread::sleep(Duration::from_millis(args.delay_ms));
        }
        if let (Some(left), Some(every), Some(stall_ms)) = (&mut until_stall, args.stall_every, args.stall_ms) {
            *left = left.saturating_sub(arrived);
            if *left == 0 {
                *left = every;
                std::thread::sleep(Duration::from_millis(stall_ms));
            }
        }
        answered += arrived;
        if args.die_after.is_some_and(|count| answered >= count) {
            return Ok(());
        }
        for slot in std::mem::take(&mut owing) {
            answer(&mut ring, &mut clients[slot], slot, reply.len())?;
            if clients[slot].owed > 0 {
                owing.push(slot);
            }
        }
    }
}

/// Sends what a client is owed, as far as that goes in one send. While an earlier send is under way it waits.
fn answer(ring: &mut Ring, client: &mut Client, slot: usize, reply_len: usize) -> anyhow::Result<()> {
    if client.closed {
        client.owed = 0;
    }
    if client.owed > 0 && ring.may_send(slot) {
        let count = client.owed.min(REPLIES_MAX as u64);
        client.owed -= count;
        ring.send(slot, 0..count as usize * reply_len)?;
    }
    Ok(())
}

/// Counts requests in a byte stream, RESP or inline.
#[derive(Debug, Default)]
struct RequestCounter {
    /// The beginning of a line whose end has not arrived.
    line: Vec<u8>,
    /// Bytes of an argument still to come, its line ending included.
    skip: usize,
    /// Arguments of the request still to come.
    args: usize,
}

impl RequestCounter {
    fn count(&mut self, mut bytes: &[u8]) -> anyhow::Result<u64> {
        let mut ended = 0;
        while !bytes.is_empty() {
            if self.skip > 0 {
                let taken = self.skip.min(bytes.len());
                self.skip -= taken;
                bytes = &bytes[taken..];
                if self.skip == 0 {
                    self.args -= 1;
                    ended += u64::from(self.args == 0);
                }
                continue;
            }
            let Some(end) = bytes.iter().position(|byte| *byte == b'\n') else {
                self.line.extend_from_slice(bytes);
                anyhow::ensure!(self.line.len() <= LINE_LEN_MAX, "a line is too long");
                return Ok(ended);
            };
            let line = &bytes[..end];
            if self.line.is_empty() {
                ended += take_line(&mut self.args, &mut self.skip, line)?;
            } else {
                self.line.extend_from_slice(line);
                let line = std::mem::take(&mut self.line);
                ended += take_line(&mut self.args, &mut self.skip, &line)?;
            }
            bytes = &bytes[end + 1..];
        }
        Ok(ended)
    }
}

fn take_line(args: &mut usize, skip: &mut usize, line: &[u8]) -> anyhow::Result<u64> {
    let number = || std::str::from_utf8(line.get(1..).unwrap_or_default().trim_ascii_end()).ok()?.parse().ok();
    match line.first() {
        Some(b'*') if *args == 0 => {
            *args = number().context("no number of arguments")?;
            Ok(u64::from(*args == 0))
        }
        Some(b'$') if *args > 0 => {
            *skip = number().map(|len: usize| len + 2).context("no length of an argument")?;
            Ok(0)
        }
        _ if *args == 0 => Ok(1),
        _ => bail!("something that is no request"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_in_whatever_pieces() {
        let bytes = b"*2\r\n$3\r\nGET\r\n$4\r\n\r\n\r\n\r\nPING\r\n*1\r\n$4\r\nPING\r\n";
        for size in 1..bytes.len() {
            let mut counter = RequestCounter::default();
            let total: u64 = bytes.chunks(size).map(|piece| counter.count(piece).unwrap()).sum();
            assert_eq!(total, 3, "pieces of {size}");
        }
        assert!(RequestCounter::default().count(b"*1\r\nx\r\n").is_err());
    }
}
