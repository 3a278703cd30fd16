//! Who has which memory between two turns, for a simulator that looks inside: what is lent to the Io side is nowhere else,
//! what was lent by it for a turn is given back, and every byte of the reply slab belongs to one client.

#![forbid(unsafe_code)]

use std::collections::HashSet;

use crate::io::ConnId;
use crate::io::sim::{InFlight, ReceiveKind, SimIo};
use crate::server::event_loop::{OWN, Server};
use crate::server::threads::IoThread;
use crate::server::wire::{Reading, Wire};

/// What is wrong, and with whom.
type Finding = Result<(), String>;

impl Server<SimIo> {
    /// Looks at every wire, those on `threads` too, which are all that the server has. `shares`: clients may be sent the same
    /// bytes, as messages are.
    pub fn check_ownership(&self, threads: &[IoThread<SimIo>], shares: bool) -> Finding {
        for client in self.clients.iter().flatten() {
            // Elsewhere this wire only stands for the one that has the socket.
            let in_flight = if client.home == OWN { self.io.in_flight(client.conn) } else { None };
            check_wire(&client.wire, in_flight).map_err(|what| format!("{:?}: {what}", client.conn))?;
            if client.home != OWN && self.io.in_flight(client.conn).is_some() {
                return Err(format!("{:?} lives on thread {}, and its socket here", client.conn, client.home));
            }
        }
        let mut seats = HashSet::new();
        for (index, thread) in threads.iter().enumerate() {
            for (seat, wire, hears) in thread.wires() {
                let mut in_flight = thread.io_side().in_flight(wire.conn);
                if let Some(truth) = &mut in_flight
                    && !hears
                {
                    // A send that failed stays what it was to the wire, which only waits to be closed by the main thread.
                    truth.send |= wire.pending.as_ref().is_some_and(|pending| pending.is_in_flight());
                }
                self.check_guest(index + 1, seat, wire, in_flight)?;
                if !seats.insert((seat.slot, seat.generation)) {
                    return Err(format!("{seat:?} has two wires"));
                }
            }
        }
        (0..self.outs.len()).try_for_each(|home| self.check_slab(home, shares))
    }

    /// A wire that lives on a thread is that of a client whose home is there, or who is gone here.
    fn check_guest(&self, home: usize, seat: ConnId, wire: &Wire, in_flight: Option<InFlight>) -> Finding {
        check_wire(wire, in_flight).map_err(|what| format!("{seat:?} on thread {home}: {what}"))?;
        if in_flight.is_none() {
            return Err(format!("{seat:?} on thread {home} has no socket there"));
        }
        if !wire.written.is_empty() {
            return Err(format!("{seat:?} on thread {home} keeps a part of a parcel that it no longer has"));
        }
        let client = self.clients.get(seat.slot as usize).and_then(Option::as_deref);
        match client.filter(|client| client.conn == seat).map(|client| client.home) {
            Some(other) if other != home => Err(format!("{seat:?} lives on {other}, its wire on {home}")),
            _ => Ok(()),
        }
    }

    /// What clients of a home were written lies in its slab, and nothing of it belongs to two of them.
    fn check_slab(&self, home: usize, shares: bool) -> Finding {
        let here = self.clients.iter().flatten().filter(|client| client.home == home);
        let written = here.flat_map(|client| client.wire.written.iter().map(|range| (range, client.conn)));
        let mut ranges: Vec<_> = written.collect();
        ranges.sort_by_key(|(range, _)| range.start);
        let end = self.outs[home].reply.position();
        if let Some((range, conn)) = ranges.iter().find(|(range, _)| range.end > end) {
            return Err(format!("{conn:?} was written {range:?} of a slab that ends at {end}"));
        }
        let twice = ranges.windows(2).find(|pair| pair[0].0.end > pair[1].0.start);
        match twice {
            Some([(first, one), (second, other)]) if !shares => {
                Err(format!("{first:?} of {one:?} and {second:?} of {other:?} overlap"))
            }
            _ => Ok(()),
        }
    }
}

/// A wire and the Io side agree on what is lent; none where the wire has no connection there.
fn check_wire(wire: &Wire, in_flight: Option<InFlight>) -> Finding {
    if !wire.inbox.is_empty() {
        return Err("received bytes are kept beyond their turn".to_owned());
    }
    let believed = match wire.reading {
        Reading::Idle => None,
        Reading::Standing | Reading::Stopping => Some(ReceiveKind::Standing),
        Reading::Into => Some(ReceiveKind::Into),
    };
    let sends = wire.pending.as_ref().is_some_and(|pending| pending.is_in_flight());
    let believed = InFlight { receive: believed, send: sends };
    let truth = in_flight.unwrap_or(InFlight { receive: None, send: false });
    if believed != truth {
        return Err(format!("{believed:?} is believed, {truth:?} is true"));
    }
    let blob = wire.partial.as_deref().and_then(|partial| partial.blob.as_ref());
    let lent = blob.is_some_and(|blob| blob.is_lent());
    if lent != (truth.receive == Some(ReceiveKind::Into)) {
        return Err(format!("the memory of a big argument is lent: {lent}, but {truth:?}"));
    }
    Ok(())
}
