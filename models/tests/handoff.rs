//! Every interleaving of two or three threads over the queue and the bell. A lost wake-up is a deadlock, which loom
//! reports; so it does for races on a place of the queue and for values that are never dropped.

use loom::model::Builder;
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;
use torc_models::handoff::{Receiver, Sleeper, bell, channel};

/// Most times a thread is interrupted in one history: all bugs of such protocols that are known show with two.
const PREEMPTIONS: usize = 3;

fn model(history: impl Fn() + Sync + Send + 'static) {
    let mut builder = Builder::new();
    builder.preemption_bound = Some(PREEMPTIONS);
    builder.check(history);
}

/// What a kernel offers: a wake-up that comes before the sleep is kept.
#[derive(Default)]
struct Wakeups {
    came: Mutex<bool>,
    changed: Condvar,
}

impl Wakeups {
    fn wake(&self) {
        *self.came.lock().unwrap() = true;
        self.changed.notify_one();
    }

    fn wait(&self) {
        let mut came = self.came.lock().unwrap();
        while !*came {
            came = self.changed.wait(came).unwrap();
        }
        *came = false;
    }
}

/// Takes the next value from one of the queues, sleeping where there is none.
fn next<const N: usize>(queues: &mut [Receiver<u8>; N], bed: &Sleeper, wakeups: &Wakeups) -> u8 {
    loop {
        if let Some(value) = queues.iter_mut().find_map(Receiver::pop) {
            return value;
        }
        bed.lie_down();
        if queues.iter().all(Receiver::is_empty) {
            wakeups.wait();
        }
        bed.get_up();
    }
}

#[test]
fn values_arrive_in_order_through_a_queue_that_is_full_at_times() {
    model(|| {
        let (mut sender, mut receiver) = channel(2);
        let sending = thread::spawn(move || {
            for value in 0..4 {
                let mut value = Box::new(value);
                while let Err(back) = sender.push(value) {
                    value = back;
                    thread::yield_now();
                }
            }
            assert!((1..=2).contains(&sender.high_water()));
        });
        for expected in 0..4 {
            let value = loop {
                match receiver.pop() {
                    Some(value) => break value,
                    None => thread::yield_now(),
                }
            };
            assert_eq!(*value, expected);
        }
        sending.join().unwrap();
        assert!(receiver.pop().is_none());
    });
}

#[test]
fn what_is_left_is_dropped_by_whichever_end_goes_last() {
    model(|| {
        let token = Arc::new(());
        let (mut sender, mut receiver) = channel(2);
        let held = Arc::clone(&token);
        let sending = thread::spawn(move || {
            for _ in 0..2 {
                assert!(sender.push(Arc::clone(&held)).is_ok());
            }
        });
        drop(receiver.pop());
        drop(receiver);
        sending.join().unwrap();
        assert_eq!(Arc::strong_count(&token), 1);
    });
}

#[test]
fn nothing_stays_in_a_queue_beside_a_sleeper() {
    model(|| {
        let (mut sender, receiver) = channel(2);
        let (bed, ringer) = bell();
        let wakeups = Arc::new(Wakeups::default());
        let woken = Arc::clone(&wakeups);
        let sending = thread::spawn(move || {
            for value in 0..2 {
                assert!(sender.push(value).is_ok());
                if ringer.should_ring() {
                    woken.wake();
                }
            }
        });
        let mut queues = [receiver];
        assert_eq!(next(&mut queues, &bed, &wakeups), 0);
        assert_eq!(next(&mut queues, &bed, &wakeups), 1);
        sending.join().unwrap();
    });
}

#[test]
fn two_senders_wake_one_sleeper() {
    model(|| {
        let (bed, ringer) = bell();
        let wakeups = Arc::new(Wakeups::default());
        let mut ends = Vec::new();
        let mut threads = Vec::new();
        for value in [1, 2] {
            let (mut sender, receiver) = channel(1);
            ends.push(receiver);
            let (ringer, woken) = (ringer.clone(), Arc::clone(&wakeups));
            threads.push(thread::spawn(move || {
                assert!(sender.push(value).is_ok());
                if ringer.should_ring() {
                    woken.wake();
                }
            }));
        }
        let mut queues = [ends.remove(0), ends.remove(0)];
        let sum = next(&mut queues, &bed, &wakeups) + next(&mut queues, &bed, &wakeups);
        assert_eq!(sum, 3);
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
}

#[test]
fn of_two_ringers_exactly_one_rings() {
    model(|| {
        let (bed, ringer) = bell();
        bed.lie_down();
        let other = ringer.clone();
        let first = thread::spawn(move || other.should_ring());
        let second = ringer.should_ring();
        assert_ne!(first.join().unwrap(), second);
        assert!(bed.get_up());
    });
}

/// The sleeper gets up by itself while somebody rings: it knows whether a wake-up is on its way.
#[test]
fn who_gets_up_knows_of_the_ring() {
    model(|| {
        let (bed, ringer) = bell();
        bed.lie_down();
        let ringing = thread::spawn(move || ringer.should_ring());
        let rung = bed.get_up();
        assert_eq!(ringing.join().unwrap(), rung);
    });
}
