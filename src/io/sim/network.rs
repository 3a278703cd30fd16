//! What the simulated kernel and network do within a turn: accept, receive, send, let closed connections go. Every
//! function moves one direction of one connection and queues what the server will be told.

#![forbid(unsafe_code)]

use super::{Chance, PeerId, Ready, Receiving, SimIo, State};
use crate::io::{Completion, ConnId, Errno, ListenerId, RecvEnd, SEND_CHUNKS_MAX, Segment, SoftSend, TurnOutput};

/// Most receives of one connection in one turn.
const RECEIVES_PER_TURN_MAX: usize = 64;

const BROKEN: [Errno; 2] = [Errno(libc::ECONNRESET), Errno(libc::EPIPE)];

/// One thing that can move.
#[derive(Clone, Copy)]
enum Direction {
    Accept(usize),
    Receive(usize),
    Send(usize),
    Close(usize),
    Wake,
}

impl SimIo {
    /// Lets everything that can move do so, in a random order.
    pub(super) fn advance(&mut self) {
        let mut directions: Vec<Direction> = (0..self.listeners.len()).map(Direction::Accept).collect();
        for (index, slot) in self.slots.iter().enumerate() {
            match slot.state {
                State::Open => directions.extend([Direction::Receive(index), Direction::Send(index)]),
                State::Closing { .. } => directions.push(Direction::Close(index)),
                State::Free | State::Away => {}
            }
        }
        if self.waker.is_due() {
            directions.push(Direction::Wake);
        }
        self.dice.shuffle(&mut directions);
        for direction in directions {
            match direction {
                Direction::Accept(index) => self.accept(index),
                Direction::Receive(index) => self.receive(index),
                Direction::Send(index) => self.owned_send(index),
                Direction::Close(index) => self.let_go(index),
                Direction::Wake => self.be_woken(),
            }
        }
    }

    /// Whether anything would move in a coming turn without a peer or the server doing something first.
    pub fn idle(&self) -> bool {
        let listeners = self.listeners.iter().all(|listener| !listener.armed || listener.backlog.is_empty());
        let slots = self.slots.iter().all(|slot| match slot.state {
            State::Free | State::Away => true,
            State::Closing { .. } => false,
            State::Open => {
                let peer = self.peers[slot.peer.0].lock();
                let quiet = peer.to_server.is_empty() && !peer.finished && !peer.broken;
                let receiving = match slot.receiving {
                    Receiving::Nothing | Receiving::Over => true,
                    Receiving::Standing { stopping } => quiet && !stopping,
                    Receiving::Into { .. } => quiet,
                };
                receiving && (slot.chunks.is_none() || peer.is_full())
            }
        });
        self.ready.is_empty() && self.waking.is_empty() && !self.waker.is_due() && listeners && slots
    }

    /// Counts a held-up direction down, or holds it up.
    fn held_up(dice: &mut super::Dice, chance: Chance, turns_max: u32, turns: &mut u32) -> bool {
        if *turns > 0 {
            *turns -= 1;
            return *turns > 0;
        }
        if dice.happens(chance) {
            *turns = dice.between(1, turns_max as usize) as u32;
            return true;
        }
        false
    }

    /// Another back end's wake-up arrives, or takes another turn.
    fn be_woken(&mut self) {
        let options = &self.options;
        if !SimIo::held_up(&mut self.dice, options.delay, options.delay_turns_max, &mut self.wake_held) {
            self.waker.told();
            self.ready.push_back(Ready::Done(Completion::Woken));
        }
    }

    fn accept(&mut self, index: usize) {
        let options = self.options;
        let id = ListenerId(index as u32);
        while self.listeners[index].armed && !self.listeners[index].backlog.is_empty() {
            if self.dice.happens(options.delay) {
                return;
            }
            if self.dice.happens(options.accept_emfile) {
                self.accept_ended(id, Some(Errno(libc::EMFILE)));
                return;
            }
            let Some(peer) = self.listeners[index].backlog.pop_front() else { return };
            let conn = self.insert(peer);
            self.peers[peer.0].lock().conn = Some(conn);
            self.ready.push_back(Ready::Done(Completion::Accepted { listener: id, conn }));
            if self.dice.happens(options.accept_end) {
                self.accept_ended(id, None);
            }
        }
    }

    fn accept_ended(&mut self, listener: ListenerId, error: Option<Errno>) {
        self.listeners[listener.0 as usize].armed = false;
        self.ready.push_back(Ready::Done(Completion::AcceptEnded { listener, error }));
    }

    fn receive(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        if !matches!(slot.receiving, Receiving::Standing { .. } | Receiving::Into { .. }) {
            return;
        }
        let options = &self.options;
        if SimIo::held_up(&mut self.dice, options.delay, options.delay_turns_max, &mut slot.receive_held) {
            return;
        }
        let conn = self.conn_at(index);
        match std::mem::replace(&mut self.slots[index].receiving, Receiving::Over) {
            Receiving::Standing { stopping } => {
                let end = if stopping && !self.dice.happens(self.options.late_stop) {
                    Some(RecvEnd::Stopped)
                } else {
                    self.receive_standing(conn)
                };
                match end {
                    Some(end) => self.ready.push_back(Ready::Done(Completion::RecvEnded { conn, end })),
                    None => self.slots[index].receiving = Receiving::Standing { stopping },
                }
            }
            Receiving::Into { bytes, max } => self.receive_into(conn, bytes, max),
            other => self.slots[index].receiving = other,
        }
    }

    /// Delivers what is there, and says whether that ended the standing receive.
    fn receive_standing(&mut self, conn: ConnId) -> Option<RecvEnd> {
        let options = self.options;
        let peer = self.slots[conn.slot as usize].peer;
        for _ in 0..RECEIVES_PER_TURN_MAX {
            if self.peers[peer.0].lock().to_server.is_empty() {
                return self.end_of(peer);
            }
            if self.bytes_out() >= options.buffers || self.dice.happens(options.starved) {
                self.stats.starved += 1;
                return Some(RecvEnd::Rearm);
            }
            let bytes = self.take_received(peer, options.receive_max);
            self.ready_bytes += bytes.len();
            self.ready.push_back(Ready::Bytes { conn, bytes });
            if self.dice.happens(options.early_end) {
                return Some(RecvEnd::Rearm);
            }
            if self.dice.happens(options.receive_pause) {
                return None;
            }
        }
        None
    }

    fn receive_into(&mut self, conn: ConnId, mut bytes: Vec<u8>, max: usize) {
        let options = self.options;
        let peer = self.slots[conn.slot as usize].peer;
        let end = if self.dice.happens(options.into_again) {
            Some(RecvEnd::Rearm)
        } else if self.dice.happens(options.cancelled) {
            self.lose(peer);
            Some(RecvEnd::Failed(Errno(libc::ECANCELED)))
        } else if self.peers[peer.0].lock().to_server.is_empty() {
            match self.end_of(peer) {
                Some(end) => Some(end),
                None => {
                    self.slots[conn.slot as usize].receiving = Receiving::Into { bytes, max };
                    return;
                }
            }
        } else {
            let room = max.min(bytes.capacity() - bytes.len());
            let received = self.take_received(peer, room);
            bytes.extend_from_slice(&received);
            None
        };
        self.ready.push_back(Ready::Done(Completion::ReceivedInto { conn, bytes, end }));
    }

    /// What a receive of a peer that has nothing to give comes to.
    fn end_of(&self, peer: PeerId) -> Option<RecvEnd> {
        let peer = self.peers[peer.0].lock();
        if peer.broken { Some(RecvEnd::Failed(Errno(libc::ECONNRESET))) } else { peer.finished.then_some(RecvEnd::Eof) }
    }

    /// Some or all of what the peer wrote, at most `max` bytes and at least one.
    fn take_received(&mut self, peer: PeerId, max: usize) -> Vec<u8> {
        let waiting = &mut self.peers[peer.0].lock().to_server;
        let mut len = waiting.len().min(max);
        if len > 1 && self.dice.happens(self.options.receive_split) {
            // Mostly short pieces, so that every place within a command is cut at some time.
            let most = if self.dice.happens(500) { len.min(16) } else { len };
            len = self.dice.between(1, most);
        }
        waiting.drain(..len).collect()
    }

    /// Breaks a connection by the network's own doing.
    pub(super) fn lose(&mut self, peer: PeerId) {
        let mut peer = self.peers[peer.0].lock();
        peer.broken = true;
        peer.faulted = true;
    }

    /// Sends what can be sent at once and queues a completion when that is not everything.
    pub(super) fn soft_send(&mut self, output: &TurnOutput<'_>, send: &SoftSend) {
        let conn = send.conn;
        self.open_slot(conn, "a soft send");
        let slot = &self.slots[conn.slot as usize];
        assert!(!slot.sending, "a soft send on a connection with an owned send in flight: {conn:?}");
        assert!(!slot.short_untold, "a soft send before the end of the last one was polled: {conn:?}");
        assert!(slot.soft_turn != self.turns, "two soft sends of one connection in one turn: {conn:?}");
        let peer = slot.peer;
        let pieces = pieces_of(output, send);
        self.slots[conn.slot as usize].soft_turn = self.turns;
        let (short, again) = (self.options.soft_short, self.options.soft_again);
        let sent = self.send_some(peer, &pieces, short, again);
        if sent != Ok(length(&pieces)) {
            self.stats.sends_short += 1;
            self.slots[conn.slot as usize].short_untold = true;
            self.ready.push_back(Ready::Done(Completion::SendShort { conn, sent }));
        }
    }

    fn owned_send(&mut self, index: usize) {
        let options = self.options;
        let slot = &mut self.slots[index];
        let peer = slot.peer;
        let Some((chunks, offset)) = slot.chunks.take() else { return };
        let mut pieces: Vec<&[u8]> = chunks.iter().take(SEND_CHUNKS_MAX).map(|chunk| &chunk[..]).collect();
        pieces[0] = &pieces[0][offset..];
        let blocked = length(&pieces) > 0 && self.peers[peer.0].lock().is_full();
        if blocked || SimIo::held_up(&mut self.dice, options.delay, options.delay_turns_max, &mut slot.send_held) {
            slot.chunks = Some((chunks, offset));
            return;
        }
        let conn = self.conn_at(index);
        let sent = if self.dice.happens(options.cancelled) {
            self.lose(peer);
            Err(Errno(libc::ECANCELED))
        } else {
            self.send_some(peer, &pieces, options.send_short, options.send_again)
        };
        self.ready.push_back(Ready::Done(Completion::Sent { conn, chunks, sent }));
    }

    /// Gives the peer as much as it takes, or less.
    pub(super) fn send_some(
        &mut self,
        peer: PeerId,
        pieces: &[&[u8]],
        short: Chance,
        again: Chance,
    ) -> Result<usize, Errno> {
        let broken = BROKEN[self.dice.below(BROKEN.len())];
        let total = length(pieces);
        let mut ends = self.peers[peer.0].lock();
        if ends.broken {
            return Err(broken);
        }
        if ends.gone {
            // The peer's kernel answers with a reset: the first such send may succeed all the same.
            ends.broken = true;
            return if self.dice.happens(500) { Ok(total) } else { Err(broken) };
        }
        let mut len = total.min(ends.room());
        if self.dice.happens(again) {
            len = 0;
        } else if len > 1 && self.dice.happens(short) {
            len = self.dice.between(1, len - 1);
        }
        let lost = self.dice.happens(self.options.reset);
        if lost && len > 0 {
            len = self.dice.below(len);
        }
        let mut left = len;
        for piece in pieces {
            let part = piece.len().min(left);
            ends.from_server.extend_from_slice(&piece[..part]);
            left -= part;
        }
        drop(ends);
        if lost {
            self.lose(peer);
            return if self.dice.happens(500) { Ok(len) } else { Err(broken) };
        }
        Ok(len)
    }

    /// Frees the slot of a closed connection when what was in flight has come back.
    fn let_go(&mut self, index: usize) {
        let slot = &mut self.slots[index];
        match &mut slot.state {
            State::Closing { turns } if *turns > 0 => *turns -= 1,
            State::Closing { .. } => self.free_slot(index),
            State::Open | State::Free | State::Away => {}
        }
    }
}

/// The pieces of a soft send. Everything it names must exist.
fn pieces_of<'a>(output: &TurnOutput<'a>, send: &SoftSend) -> Vec<&'a [u8]> {
    let segments = output.segments.get(send.segments.clone());
    let segments = segments.unwrap_or_else(|| panic!("a soft send names segments that are not there: {send:?}"));
    let (slab, shared) = (output.slab, output.shared);
    let piece = |segment: &Segment| match segment {
        Segment::Slab(range) => slab.get(range.clone()),
        Segment::Shared(index) => shared.get(*index).map(|shared| &shared[..]),
    };
    let outside = |segment: &Segment| -> ! { panic!("a segment lies outside of the output: {segment:?}") };
    segments.iter().map(|segment| piece(segment).unwrap_or_else(|| outside(segment))).collect()
}

fn length(pieces: &[&[u8]]) -> usize {
    pieces.iter().map(|piece| piece.len()).sum()
}
