//! Starting and ending I/O threads.

#![forbid(unsafe_code)]

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use crate::command::prepared::Lookup;
use crate::handoff;
use crate::io::Io;
use crate::observe::log;
use crate::observe::threads::ThreadFigures;
use crate::resp::reply::Reply;
use crate::server::event_loop::Server;
use crate::server::threads::io_thread::{IoThread, Links};
use crate::server::threads::parcel::Order;
use crate::server::threads::{QUEUE_PLACES, ThreadEnd, new_out};
use crate::sys::memory::ThreadShare;
use crate::sys::processors;

/// Room for replies to clients of a thread at first, in bytes.
const OUT_BYTES: usize = 64 << 10;

/// A thread that has begun: how it is woken, where it waits for its links, and its end.
pub(in crate::server) struct Started<I: Io> {
    waker: I::Waker,
    links: mpsc::Sender<Links<I>>,
    handle: JoinHandle<()>,
}

/// Starts the thread with this number.
pub(in crate::server) type Spawn<I> = Box<dyn Fn(usize) -> io::Result<Started<I>>>;

/// Starts threads whose Io side `make` makes, on the processors of `list`.
pub(in crate::server) fn spawner<I: Io + 'static>(make: fn() -> io::Result<I>, list: Vec<u8>) -> Spawn<I> {
    Box::new(move |number| {
        let (to_us, waker) = mpsc::channel();
        let (links, from_us) = mpsc::channel::<Links<I>>();
        let list = list.clone();
        let run = move || {
            // What it takes and what it frees of the main thread's count as memory in use: limits go by that.
            let mut share = ThreadShare::default();
            live(number, make, list, (to_us, from_us), &mut share);
            // All that the thread was given is freed by now.
            share.publish();
        };
        let handle = thread::Builder::new().name(format!("io_thd_{number}")).spawn(run)?;
        let waker = waker.recv().map_err(io::Error::other)??;
        Ok(Started { waker, links, handle })
    })
}

/// How the starter hears whether a thread has begun, and hands it its links.
type Ends<I> = (mpsc::Sender<io::Result<<I as Io>::Waker>>, mpsc::Receiver<Links<I>>);

/// A thread from beginning to end.
fn live<I: Io>(number: usize, make: fn() -> io::Result<I>, list: Vec<u8>, ends: Ends<I>, share: &mut ThreadShare) {
    let (to_us, from_us) = ends;
    processors::stay_on(&list);
    let io = match make() {
        Ok(io) => io,
        Err(error) => return drop(to_us.send(Err(error))),
    };
    if to_us.send(Ok(io.waker())).is_err() {
        return;
    }
    let Ok(links) = from_us.recv() else { return };
    let mut thread = IoThread::new(io, links);
    loop {
        match thread.step() {
            Ok(true) => share.publish(),
            Ok(false) => return,
            Err(error) => panic!("the network of I/O thread {number}: {error}"),
        }
    }
}

impl<I: Io> Server<I> {
    /// Makes a thread's two ends: the other one is what `step`s.
    pub fn add_thread(&mut self, io: I) -> IoThread<I> {
        let waker = io.waker();
        IoThread::new(io, self.add_end(waker))
    }

    pub(super) fn add_end(&mut self, waker: I::Waker) -> Links<I> {
        let (to, from_main) = handoff::channel(QUEUE_PLACES);
        let (to_main, from) = handoff::channel(QUEUE_PLACES);
        let (sleeper, bell) = handoff::bell();
        let figures = Arc::new(ThreadFigures::default());
        let state = &mut self.engine.state;
        state.io_threads.push(Arc::clone(&figures));
        let lookup = Arc::new(Lookup::new(&state.registry, &state.keyspace));
        let end = ThreadEnd {
            to,
            from,
            bell,
            waker,
            figures: Arc::clone(&figures),
            clients: 0,
            hands: VecDeque::new(),
            spare: Vec::new(),
            retires: false,
            handle: None,
            commands_seen: 0,
            handed: 0,
            carried_out: 0,
        };
        self.threads.ends.push(end);
        self.threads.orders.push(Vec::new());
        self.outs.push(new_out(Reply::new(OUT_BYTES)));
        Links {
            from_main,
            to_main,
            sleeper,
            main_bell: self.threads.bell.clone(),
            main_waker: self.io.waker(),
            lookup,
            settings: Arc::clone(&self.threads.settings),
            figures,
        }
    }

    /// Threads can be started with this from now on.
    pub(in crate::server) fn use_spawn(&mut self, spawn: Spawn<I>) {
        self.threads.spawn = Some(spawn);
    }

    /// Has so many threads beside the main one, as far as they can be started. Those that are too many give their clients
    /// back and end.
    pub(in crate::server) fn set_threads(&mut self, count: usize) {
        for (index, end) in self.threads.ends.iter_mut().enumerate().skip(count) {
            if !std::mem::replace(&mut end.retires, true) {
                self.threads.orders[index + 1].push(Order::Retire);
            }
        }
        self.threads.wanted = count;
        self.start_threads();
    }

    /// Starts those that are wanted and missing. Those that are about to end have to first, all of them: they are forgotten from
    /// the last one on, and behind a new one they would keep their numbers for good.
    pub(in crate::server) fn start_threads(&mut self) {
        if self.threads.ends.iter().any(|end| end.retires) {
            return;
        }
        while self.threads.ends.len() < self.threads.wanted {
            if let Err(error) = self.start_thread() {
                log::warning(format_args!("An I/O thread could not be started: {error}"));
                self.threads.wanted = self.threads.ends.len();
            }
        }
    }

    fn start_thread(&mut self) -> io::Result<()> {
        let Some(spawn) = &self.threads.spawn else { return Err(io::Error::other("threads are stepped by hand here")) };
        let Started { waker, links, handle } = spawn(self.threads.ends.len() + 1)?;
        let ours = self.add_end(waker);
        if let Some(end) = self.threads.ends.last_mut() {
            end.handle = Some(handle);
        }
        links.send(ours).map_err(|_| io::Error::other("it has ended"))
    }

    /// Ends all of them, because the process ends: what was written by now goes out as far as the sockets take it.
    pub(in crate::server) fn end_threads(&mut self) {
        (1..self.outs.len()).for_each(|home| self.threads.orders[home].push(Order::End));
        self.dispatch_all();
        // The bells ring with it.
        if let Err(error) = self.flush(None) {
            log::warning(format_args!("Last replies: {error}"));
        }
        for end in self.threads.ends.drain(..) {
            if let Some(handle) = end.handle
                && handle.join().is_err()
            {
                log::warning(format_args!("An I/O thread ended badly"));
            }
        }
    }

    /// Threads at the end of the list that have ended are forgotten.
    pub(in crate::server) fn forget_retired(&mut self) {
        while let Some(end) = self.threads.ends.last()
            && end.retires
            && end.clients == 0
            && end.handle.as_ref().is_some_and(|handle| handle.is_finished())
        {
            if let Some(end) = self.threads.ends.pop()
                && let Some(handle) = end.handle
                && handle.join().is_err()
            {
                log::warning(format_args!("An I/O thread ended badly"));
            }
            self.threads.orders.pop();
            self.outs.pop();
            if let Some(figures) = self.engine.state.io_threads.pop() {
                self.engine.state.ended_threads.take_over(&figures);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::rc::Rc;

    use super::*;
    use crate::command::facts::ProcessFacts;
    use crate::config::Config;
    use crate::engine::Engine;
    use crate::io::sim::{SimIo, SimOptions};

    /// Threads that end when they are told to, in the order in which they began.
    type Running = Rc<RefCell<Vec<mpsc::Sender<()>>>>;

    fn spawner_of(io: SimIo, running: Running) -> Spawn<SimIo> {
        Box::new(move |_| {
            let (links, from_us) = mpsc::channel::<Links<SimIo>>();
            let (end, told) = mpsc::channel();
            running.borrow_mut().push(end);
            let run = move || {
                let _links = from_us.recv();
                told.recv().expect("the test tells it");
            };
            Ok(Started { waker: io.waker(), links, handle: thread::Builder::new().spawn(run)? })
        })
    }

    /// Has one of them end, and waits until that can be seen.
    fn end_one(server: &Server<SimIo>, running: &Running, index: usize) {
        running.borrow_mut().remove(index).send(()).expect("it runs");
        while server.threads.ends[index].handle.as_ref().is_some_and(|handle| !handle.is_finished()) {
            thread::yield_now();
        }
    }

    #[test]
    fn threads_that_are_wanted_again_wait_for_all_that_end() {
        let engine = Engine::new(Config::default(), ProcessFacts::detached(), 1);
        let mut server = Server::new(SimIo::new(1, SimOptions::calm()), engine);
        let running = Running::default();
        let io = server.io().beside(2);
        server.use_spawn(spawner_of(io, Rc::clone(&running)));
        server.set_threads(3);
        server.set_threads(0);
        end_one(&server, &running, 2);
        server.balance();
        server.set_threads(3);
        server.balance();
        assert_eq!((server.threads.ends.len(), running.borrow().len()), (2, 2), "two have yet to end");
        end_one(&server, &running, 1);
        end_one(&server, &running, 0);
        server.balance();
        assert_eq!((server.threads.ends.len(), running.borrow().len()), (3, 3));
        assert!(server.threads.ends.iter().all(|end| !end.retires));
        running.borrow().iter().for_each(|end| end.send(()).expect("it runs"));
    }
}
