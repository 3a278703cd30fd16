//! The bell beside the bed of a thread: whoever has something for it asks whether to ring, and exactly one ringer per
//! sleep is told to. How the thread is then woken is the ringer's affair.

#![forbid(unsafe_code)]

use super::atomics::{Apart, Arc, AtomicBool, Ordering, fence};

/// The end of the thread that sleeps.
pub struct Sleeper {
    asleep: Arc<Apart<AtomicBool>>,
}

/// The end of those that may have to wake it.
#[derive(Clone)]
pub struct Ringer {
    asleep: Arc<Apart<AtomicBool>>,
}

/// A bell of a thread that is awake.
pub fn bell() -> (Sleeper, Ringer) {
    let asleep = Arc::new(Apart(AtomicBool::new(false)));
    (Sleeper { asleep: Arc::clone(&asleep) }, Ringer { asleep })
}

impl Sleeper {
    /// Called by a thread that found all its queues empty and is about to sleep. It must look at them once more after
    /// this, and sleep only if they are still empty: for what comes later it is woken.
    pub fn lie_down(&self) {
        self.asleep.0.store(true, Ordering::Relaxed);
        // Pairs with the fence in `should_ring`: that ringer sees the store above, or this thread sees what it pushed.
        fence(Ordering::SeqCst);
    }

    /// Called after every `lie_down`, whatever ended the sleep, or when there was none after all. Says whether somebody
    /// was told to ring: its wake-up has come or will come.
    pub fn get_up(&self) -> bool {
        !self.asleep.0.swap(false, Ordering::AcqRel)
    }
}

impl Ringer {
    /// Whether the thread sleeps or is about to. It may be otherwise at once: good for a guess.
    #[inline]
    pub fn is_asleep(&self) -> bool {
        self.asleep.0.load(Ordering::Relaxed)
    }

    /// Called after each push. True means: wake the thread now, nobody else will.
    #[inline]
    #[must_use]
    pub fn should_ring(&self) -> bool {
        // Pairs with the fence in `lie_down`.
        fence(Ordering::SeqCst);
        // Nearly always it is awake, and looking costs less than exchanging.
        self.asleep.0.load(Ordering::Relaxed)
            && self.asleep.0.compare_exchange(true, false, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn one_ringer_per_sleep() {
        let (sleeper, ringer) = bell();
        let other = ringer.clone();
        assert!(!ringer.should_ring(), "it is awake");
        sleeper.lie_down();
        assert!(other.should_ring());
        assert!(!ringer.should_ring(), "the other one rings");
        assert!(sleeper.get_up());
        assert!(!ringer.should_ring());
    }

    #[test]
    fn nobody_rings_for_one_that_got_up_by_itself() {
        let (sleeper, ringer) = bell();
        sleeper.lie_down();
        assert!(!sleeper.get_up());
        assert!(!ringer.should_ring());
    }
}
