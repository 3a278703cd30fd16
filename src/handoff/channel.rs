//! A bounded queue from one thread to one other. Unsafe room: its two ends share memory without a lock.
//!
//! The two counts only grow and wrap at the width of the machine; a place is a count modulo the number of places, a power
//! of two. Each is written by one end only. Each end keeps a copy of the other's count and looks at the shared one only
//! when by its copy there is no room, or nothing to take: in a steady flow they seldom touch each other's cache lines.

use std::mem::MaybeUninit;

use super::atomics::{Apart, Arc, AtomicUsize, Ordering, UnsafeCell};

/// Most places of a queue.
const PLACES_MAX: usize = 1 << 20;

/// What the ends share.
struct Shared<T> {
    /// How many were taken out; the receiver's.
    taken: Apart<AtomicUsize>,
    /// How many were put in; the sender's.
    put: Apart<AtomicUsize>,
    /// From `taken` up to `put` they hold values.
    places: Box<[UnsafeCell<MaybeUninit<T>>]>,
    capacity: usize,
}

// SAFETY: each place belongs to one end at a time: to the receiver from the release of `put` that counts it until the
// release of `taken` that does, to the sender otherwise. A value is moved from one thread to another, never looked at by
// both, so it has to be `Send` and no more.
unsafe impl<T: Send> Sync for Shared<T> {}
// SAFETY: as above; the last end to go drops what is left.
unsafe impl<T: Send> Send for Shared<T> {}

/// The end that puts in.
pub struct Sender<T> {
    shared: Arc<Shared<T>>,
    put: usize,
    /// The receiver's count as last seen.
    taken_seen: usize,
    high_water: usize,
}

/// The end that takes out.
pub struct Receiver<T> {
    shared: Arc<Shared<T>>,
    taken: usize,
    /// The sender's count as last seen.
    put_seen: usize,
}

/// A queue of at most `capacity` values, at least one. What is left in it when both ends are gone is dropped.
pub fn channel<T: Send>(capacity: usize) -> (Sender<T>, Receiver<T>) {
    assert!((1..=PLACES_MAX).contains(&capacity), "a queue has from 1 to {PLACES_MAX} places, not {capacity}");
    let places = (0..capacity.next_power_of_two()).map(|_| UnsafeCell::new(MaybeUninit::uninit())).collect();
    let shared =
        Arc::new(Shared { taken: Apart(AtomicUsize::new(0)), put: Apart(AtomicUsize::new(0)), places, capacity });
    let sender = Sender { shared: Arc::clone(&shared), put: 0, taken_seen: 0, high_water: 0 };
    (sender, Receiver { shared, taken: 0, put_seen: 0 })
}

impl<T> Shared<T> {
    #[inline]
    fn place(&self, count: usize) -> &UnsafeCell<MaybeUninit<T>> {
        &self.places[count & (self.places.len() - 1)]
    }

    /// Moves a value into the place of a count.
    ///
    /// # Safety
    /// The place belongs to the calling thread, and holds nothing.
    #[inline]
    unsafe fn write(&self, count: usize, value: T) {
        self.place(count).with_mut(|place| {
            // SAFETY: by this function's own contract nobody else has a reference to this place.
            let place = unsafe { &mut *place };
            place.write(value);
        });
    }

    /// Moves the value out of the place of a count.
    ///
    /// # Safety
    /// The place belongs to the calling thread and holds a value, which counts as gone afterwards.
    #[inline]
    unsafe fn read(&self, count: usize) -> T {
        self.place(count).with(|place| {
            // SAFETY: by this function's own contract nobody else changes this place.
            let place = unsafe { &*place };
            // SAFETY: by this function's own contract it holds a value that nobody takes a second time.
            unsafe { place.assume_init_read() }
        })
    }
}

impl<T> Drop for Shared<T> {
    fn drop(&mut self) {
        let (mut taken, put) = (self.taken.0.load(Ordering::Relaxed), self.put.0.load(Ordering::Relaxed));
        while taken != put {
            // SAFETY: both ends are gone, so all places are this thread's; those between the counts hold values.
            drop(unsafe { self.read(taken) });
            taken = taken.wrapping_add(1);
        }
    }
}

impl<T> Sender<T> {
    /// Puts a value in, or gives it back where there is no room.
    #[inline]
    pub fn push(&mut self, value: T) -> Result<(), T> {
        let mut waiting = self.put.wrapping_sub(self.taken_seen);
        // Also when it looks like the most there ever was: only a true count becomes the high-water mark.
        if waiting >= self.high_water {
            self.taken_seen = self.shared.taken.0.load(Ordering::Acquire);
            waiting = self.put.wrapping_sub(self.taken_seen);
            if waiting == self.shared.capacity {
                return Err(value);
            }
            self.high_water = self.high_water.max(waiting + 1);
        }
        // SAFETY: fewer places are in use than there are (`waiting` is below the high-water mark, which is at most the
        // capacity), so the receiver has given this one back: its count was read with acquire.
        unsafe { self.shared.write(self.put, value) };
        self.put = self.put.wrapping_add(1);
        self.shared.put.0.store(self.put, Ordering::Release);
        Ok(())
    }

    /// How many are in it; the receiver may be taking some out.
    pub fn len(&self) -> usize {
        self.put.wrapping_sub(self.shared.taken.0.load(Ordering::Acquire))
    }

    /// Whether the receiver has taken all of them.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many there is room for at once.
    pub fn capacity(&self) -> usize {
        self.shared.capacity
    }

    /// The most that were in it at once.
    pub fn high_water(&self) -> usize {
        self.high_water
    }
}

impl<T> Receiver<T> {
    /// Takes the oldest out.
    #[inline]
    pub fn pop(&mut self) -> Option<T> {
        if self.taken == self.put_seen {
            self.put_seen = self.shared.put.0.load(Ordering::Acquire);
            if self.taken == self.put_seen {
                return None;
            }
        }
        // SAFETY: the sender's count, read with acquire, says that this place was filled; the count stored below, that it
        // was emptied.
        let value = unsafe { self.shared.read(self.taken) };
        self.taken = self.taken.wrapping_add(1);
        self.shared.taken.0.store(self.taken, Ordering::Release);
        Some(value)
    }

    /// How many are in it; the sender may be putting more in.
    pub fn len(&self) -> usize {
        self.shared.put.0.load(Ordering::Acquire).wrapping_sub(self.taken)
    }

    /// Whether there is nothing to take: what a thread looks at after it has lain down.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::VecDeque;

    use super::*;
    use crate::base::rng::Rng;
    use crate::handoff::bell;

    #[test]
    fn a_full_queue_gives_the_value_back_and_the_mark_stays_true() {
        // Three places of four: the bound is what was asked for.
        let (mut sender, mut receiver) = channel(3);
        assert_eq!((sender.len(), sender.is_empty(), receiver.pop()), (0, true, None));
        for round in 0..10 {
            for value in 0..3 {
                assert_eq!(sender.push(Box::new(value)), Ok(()));
            }
            assert_eq!(sender.push(Box::new(9)), Err(Box::new(9)));
            assert_eq!((sender.len(), receiver.len(), sender.high_water()), (3, 3, 3), "round {round}");
            for value in 0..3 {
                assert_eq!(receiver.pop(), Some(Box::new(value)));
            }
            assert!(receiver.pop().is_none() && receiver.is_empty() && sender.is_empty());
        }
        // A flow that is emptied each time leaves a mark of one.
        let (mut sender, mut receiver) = channel(8);
        for value in 0..100 {
            assert_eq!(sender.push(value), Ok(()));
            assert_eq!(receiver.pop(), Some(value));
        }
        assert_eq!((sender.high_water(), sender.capacity()), (1, 8));
    }

    #[test]
    fn it_does_what_a_plain_queue_does() {
        for seed in 0..50 {
            let mut rng = Rng::seeded(seed);
            let capacity = 1 + (rng.next_u64() % 9) as usize;
            let (mut sender, mut receiver) = channel(capacity);
            let (mut model, mut most) = (VecDeque::new(), 0);
            for step in 0..2000_u64 {
                if rng.next_u64().is_multiple_of(2) {
                    let outcome = sender.push(Box::new(step));
                    assert_eq!(outcome.is_ok(), model.len() < capacity, "seed {seed}, step {step}");
                    if outcome.is_ok() {
                        model.push_back(Box::new(step));
                    }
                } else {
                    assert_eq!(receiver.pop(), model.pop_front(), "seed {seed}, step {step}");
                }
                most = most.max(model.len());
                assert_eq!((sender.len(), receiver.len(), sender.high_water()), (model.len(), model.len(), most));
            }
        }
    }

    #[test]
    fn what_is_left_is_dropped_once() {
        struct Token(Arc<()>);
        let counted = Arc::new(());
        let (mut sender, mut receiver) = channel(8);
        for _ in 0..5 {
            assert!(sender.push(Token(Arc::clone(&counted))).is_ok());
        }
        drop(receiver.pop().map(|token| token.0));
        assert_eq!(Arc::strong_count(&counted), 5);
        drop(receiver);
        assert_eq!(Arc::strong_count(&counted), 5, "the sender still holds the queue");
        drop(sender);
        assert_eq!(Arc::strong_count(&counted), 1);
    }

    #[test]
    #[should_panic(expected = "a queue has from 1")]
    fn a_queue_without_places_is_refused() {
        let _ = channel::<u8>(0);
    }

    /// Two threads, queues both ways, and both sleep whenever they find nothing: each value comes back.
    #[test]
    fn two_threads_that_sleep_lose_nothing() {
        const VALUES: u64 = 200_000;
        let (mut there, mut from_there) = channel(16);
        let (mut back, mut from_back) = channel(16);
        let (near, ring_near) = bell();
        let (far, ring_far) = bell();
        let main = std::thread::current();
        std::thread::scope(|scope| {
            let echo = scope.spawn(move || {
                let mut done = 0;
                while done < VALUES {
                    match from_there.pop() {
                        Some(value) => {
                            // At most 16 are under way in all, so there is room.
                            assert_eq!(back.push(value), Ok(()));
                            done += 1;
                            if ring_near.should_ring() {
                                main.unpark();
                            }
                        }
                        None => sleep(&far, || from_there.is_empty()),
                    }
                }
            });
            let (mut sent, mut got) = (0, 0);
            while got < VALUES {
                while sent < VALUES && sent - got < 16 && there.push(sent).is_ok() {
                    sent += 1;
                }
                if ring_far.should_ring() {
                    echo.thread().unpark();
                }
                match from_back.pop() {
                    Some(value) => {
                        assert_eq!(value, got);
                        got += 1;
                    }
                    None => sleep(&near, || from_back.is_empty()),
                }
            }
        });
        assert!(there.high_water() <= 16);
    }

    fn sleep(bed: &crate::handoff::Sleeper, nothing: impl Fn() -> bool) {
        bed.lie_down();
        if nothing() {
            std::thread::park();
        }
        bed.get_up();
    }
}
