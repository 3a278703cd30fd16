//! Clients that change their thread. A wire moves in a box with its socket, when nothing of it is under way; what the client
//! is sent meanwhile waits on the main thread and goes where it arrives.

#![forbid(unsafe_code)]

use crate::command::session::Slot;
use crate::io::{ConnId, Io};
use crate::server::event_loop::{OWN, Server};
use crate::server::threads::parcel::{Moving, Order, WireFigures};
use crate::server::threads::{Untold, hold_output};
use crate::server::wire::{Pending, Reading, Wire};

impl<I: Io> Server<I> {
    /// A client is to live on another thread, or on this one. It goes when it can.
    pub(in crate::server) fn move_to(&mut self, conn: ConnId, target: usize) {
        let Some(client) = self.client(conn) else { return };
        if client.closing || client.home == target || client.moving.is_some() {
            return;
        }
        if client.home == OWN {
            client.moving = Some(target);
            self.threads.leaving.push(conn);
            self.to_rearm.push(conn);
            return;
        }
        self.order(conn, Order::Release(conn));
        let Some(client) = self.client(conn) else { return };
        client.moving = Some(target);
        client.wire.pending = Some(Box::<Pending>::default());
    }

    /// Clients of this thread that are to move and are at rest do.
    pub(in crate::server) fn settle_moves(&mut self) {
        if self.threads.leaving.is_empty() {
            return;
        }
        for conn in std::mem::take(&mut self.threads.leaving) {
            if !self.settle_move(conn) {
                self.threads.leaving.push(conn);
            }
        }
    }

    /// Whether it is settled: it moved, or does not want to any more.
    fn settle_move(&mut self, conn: ConnId) -> bool {
        let Some(client) = self.clients[conn.slot as usize].as_deref_mut().filter(|client| client.conn == conn) else {
            return true;
        };
        let Some(target) = client.moving else { return true };
        let retires = self.threads.ends.get(target.wrapping_sub(1)).is_none_or(|end| end.retires);
        if client.closing || retires {
            client.moving = None;
            self.to_rearm.push(conn);
            return true;
        }
        let wire = &client.wire;
        let rests = wire.reading == Reading::Idle
            && wire.inbox.is_empty()
            && wire.pending.is_none()
            && wire.written.is_empty()
            && !wire.parked
            && !wire.stalled
            && !client.queued;
        if !rests {
            return false;
        }
        let Some(socket) = self.io.detach(conn) else { return false };
        client.moving = None;
        let wire = std::mem::replace(&mut client.wire, Wire::new(conn));
        client.wire.reply_buffer = wire.reply_buffer;
        self.settle_in(target, Moving { seat: conn, wire: Box::new(wire), socket });
        true
    }

    /// Gives a wire to a thread.
    fn settle_in(&mut self, home: usize, moving: Moving<I::Socket>) {
        let seat = moving.seat;
        let session = self.engine.session_mut(Slot(seat.slot));
        session.net.io_thread = home;
        let let_in = self.engine.state.lets_in(self.engine.session(Slot(seat.slot)));
        let Some(client) = self.client(seat) else { return };
        client.home = home;
        // Its thread knows that this is known, and reports what becomes of it.
        client.figures = moving.wire.keeps_something().then(|| Box::new(WireFigures::of(&moving.wire)));
        let held = client.blocked;
        self.threads.ends[home - 1].clients += 1;
        self.threads.orders[home].push(Order::Adopt { moving, held, let_in });
        self.account(seat.slot);
    }

    /// A wire came back.
    pub(super) fn arrived(&mut self, thread: usize, moving: Moving<I::Socket>) {
        let Moving { seat, wire, socket } = moving;
        let from = thread + 1;
        let Some(client) = self.clients[seat.slot as usize].as_deref_mut().filter(|client| client.conn == seat) else {
            // Closed meanwhile: the connection ends with its socket.
            return;
        };
        let target = client.moving.take().unwrap_or(OWN);
        if !client.wire.written.is_empty() {
            hold_output(&mut self.outgoing, client, &mut self.outs[from]);
        }
        let held = std::mem::replace(&mut client.wire, *wire).pending.filter(|pending| !pending.is_empty());
        client.figures = None;
        (client.untold, client.untold_stays) = (Untold::default(), false);
        client.home = OWN;
        client.wire.pending = held;
        self.threads.ends[thread].clients -= 1;
        let stays = client.closing || self.threads.ends.get(target.wrapping_sub(1)).is_none_or(|end| end.retires);
        if !stays {
            let wire = Box::new(std::mem::replace(&mut client.wire, Wire::new(seat)));
            self.settle_in(target, Moving { seat, wire, socket });
            // Commands that waited for its output wait no longer.
            if let Some(client) = self.clients[seat.slot as usize].as_deref_mut().filter(|client| client.has_work()) {
                Self::enqueue(&mut self.ready, client);
            }
            return;
        }
        client.wire.conn = seat;
        client.wire.reading = Reading::Idle;
        client.wire.parked = false;
        let (closing, works) = (client.closing, client.has_work());
        if works {
            Self::enqueue(&mut self.ready, client);
        }
        self.engine.session_mut(Slot(seat.slot)).net.io_thread = OWN;
        self.io.reattach(seat, socket);
        self.send_pending(seat);
        self.to_rearm.push(seat);
        if closing {
            self.to_close.push(seat);
        }
        self.account(seat.slot);
    }
}
