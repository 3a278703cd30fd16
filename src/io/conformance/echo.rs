//! A server that sends back what it receives, written against nothing but the Io contract: soft sends from a slab first,
//! owned sends for what these leave over.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;

use super::Net;
use crate::io::sim::Dice;
use crate::io::{Completion, ConnId, Io, RecvEnd, Segment, SoftSend, TurnOutput};

/// Output of one turn.
const SLAB_BYTES: usize = 1 << 20;

#[derive(Default)]
struct Client {
    /// To be sent back.
    output: Vec<u8>,
    /// An owned send is in flight.
    sending: bool,
    /// Nothing more comes; closed when the output is gone.
    finished: bool,
    /// A standing receive, or one into own memory, is armed.
    receiving: bool,
    /// The next receive is one into own memory.
    into_next: bool,
}

/// The server.
pub(super) struct Echo {
    clients: BTreeMap<(u32, u32), Client>,
    slab: Vec<u8>,
    /// Decides when a standing receive is changed for one into own memory.
    dice: Option<Dice>,
    /// How many turns received bytes are kept before they are recycled.
    recycle_every: usize,
    turns: usize,
    pub(super) accepted: usize,
}

fn key(conn: ConnId) -> (u32, u32) {
    (conn.slot, conn.generation)
}

impl Echo {
    pub(super) fn new<N: Net>(net: &mut N) -> Echo {
        let slab = Vec::with_capacity(SLAB_BYTES);
        // Registered at its full length: the address stays as long as the capacity does.
        let whole = vec![0; SLAB_BYTES];
        let mut echo = Echo { clients: BTreeMap::new(), slab, dice: None, recycle_every: 1, turns: 0, accepted: 0 };
        echo.slab = whole;
        net.io().use_slab(&echo.slab);
        echo.slab.clear();
        echo
    }

    /// Changes between standing receives and receives into own memory.
    pub(super) fn changing(mut self, seed: u64) -> Echo {
        self.dice = Some(Dice::new(seed));
        self
    }

    /// Keeps received bytes for some turns, so that buffers run out.
    pub(super) fn recycling_every(mut self, turns: usize) -> Echo {
        self.recycle_every = turns;
        self
    }

    pub(super) fn clients(&self) -> usize {
        self.clients.len()
    }

    /// One turn: sends, waits, handles what has happened.
    pub(super) fn turn<N: Net>(&mut self, net: &mut N, wait: Option<Duration>) {
        self.slab.clear();
        let (mut segments, mut sends) = (Vec::new(), Vec::new());
        for (&(slot, generation), client) in &mut self.clients {
            let room = SLAB_BYTES - self.slab.len();
            if client.output.is_empty() || client.sending || room == 0 {
                continue;
            }
            let start = self.slab.len();
            self.slab.extend(client.output.drain(..client.output.len().min(room)));
            // Two segments where that is possible: both shapes of a soft send are used.
            let first = segments.len();
            let middle = start + (self.slab.len() - start) / 2;
            if middle > start && generation % 2 == 0 {
                segments.push(Segment::Slab(start..middle));
                segments.push(Segment::Slab(middle..self.slab.len()));
            } else {
                segments.push(Segment::Slab(start..self.slab.len()));
            }
            sends.push(SoftSend { conn: ConnId { slot, generation }, segments: first..segments.len() });
        }
        let output = TurnOutput { slab: &self.slab, shared: &[], segments: &segments, sends: &sends };
        net.io().turn(output, wait).unwrap();
        let mut completions = Vec::new();
        net.io().poll(&mut completions).unwrap();
        for completion in completions {
            self.handle(net, completion, &segments, &sends);
        }
        self.turns += 1;
        if self.turns.is_multiple_of(self.recycle_every) {
            net.io().recycle();
        }
        let conns: Vec<(u32, u32)> = self.clients.keys().copied().collect();
        for key in conns {
            self.look_after(net, key);
        }
    }

    fn handle<N: Net>(&mut self, net: &mut N, completion: Completion, segments: &[Segment], sends: &[SoftSend]) {
        match completion {
            Completion::Accepted { conn, listener } => {
                assert_eq!(listener, net.listener());
                assert!(self.clients.insert(key(conn), Client::default()).is_none(), "{conn:?} is told once");
                self.accepted += 1;
            }
            Completion::AcceptEnded { listener, .. } => net.io().accept_again(listener),
            Completion::Received { conn, bytes } => {
                assert!(!bytes.is_empty());
                let bytes = net.io().bytes(bytes).to_vec();
                self.client(conn).output.extend(bytes);
            }
            Completion::RecvEnded { conn, end } => {
                let client = self.client(conn);
                assert!(client.receiving, "an end of a receive that is not armed");
                client.receiving = false;
                client.finished |= matches!(end, RecvEnd::Eof | RecvEnd::Failed(_));
            }
            Completion::ReceivedInto { conn, bytes, end } => {
                let client = self.client(conn);
                client.receiving = false;
                client.output.extend(bytes);
                client.finished |= matches!(end, Some(RecvEnd::Eof | RecvEnd::Failed(_)));
            }
            Completion::SendShort { conn, sent } => {
                let send = sends.iter().find(|send| send.conn == conn).expect("short is told in the turn of the send");
                let all: usize = segments[send.segments.clone()].iter().map(length).sum();
                let Segment::Slab(first) = &segments[send.segments.start] else { panic!("only slab segments") };
                let Ok(sent) = sent else { return self.give_up(conn) };
                assert!(sent < all, "short is less than all");
                let rest = Bytes::copy_from_slice(&self.slab[first.start + sent..first.start + all]);
                self.client(conn).sending = true;
                net.io().send(conn, vec![rest], 0);
            }
            Completion::Sent { conn, chunks, sent } => {
                let Ok(sent) = sent else { return self.give_up(conn) };
                let left: usize = chunks.iter().map(Bytes::len).sum::<usize>() - sent;
                let client = self.client(conn);
                client.sending = left > 0;
                if left > 0 {
                    let rest = chunks[0].slice(chunks[0].len() - left..);
                    net.io().send(conn, vec![rest], 0);
                }
            }
            Completion::Readable { .. } | Completion::Woken => {
                panic!("nothing is watched, and nobody wakes: {completion:?}")
            }
        }
    }

    fn client(&mut self, conn: ConnId) -> &mut Client {
        self.clients.get_mut(&key(conn)).expect("no completion of a closed connection")
    }

    /// Nothing more can be sent; closed at the end of the turn, when its other completions were handled.
    fn give_up(&mut self, conn: ConnId) {
        let client = self.client(conn);
        client.output.clear();
        client.sending = false;
        client.finished = true;
    }

    /// Arms what is not armed, closes what is over.
    fn look_after<N: Net>(&mut self, net: &mut N, key: (u32, u32)) {
        let Some(client) = self.clients.get_mut(&key) else { return };
        let conn = ConnId { slot: key.0, generation: key.1 };
        if client.finished {
            if client.output.is_empty() && !client.sending {
                self.clients.remove(&key);
                net.io().close(conn);
            }
            return;
        }
        if client.receiving {
            if let Some(dice) = &mut self.dice
                && !client.into_next
                && dice.happens(300)
            {
                client.into_next = true;
                net.io().recv_stop(conn);
            }
            return;
        }
        client.receiving = true;
        if std::mem::take(&mut client.into_next) {
            net.io().recv_into(conn, Vec::with_capacity(10_000), 5000);
        } else {
            net.io().recv_start(conn);
        }
    }
}

fn length(segment: &Segment) -> usize {
    match segment {
        Segment::Slab(range) => range.len(),
        Segment::Shared(_) => panic!("only slab segments"),
    }
}
