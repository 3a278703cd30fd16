//! Two threads that count in one place without a lock: what ThreadSanitizer is to report. A run that ends well shows that
//! it looks at nothing.

#![allow(clippy::disallowed_methods, reason = "it is no part of the server, whose threads are started in one place")]

use std::cell::UnsafeCell;
use std::thread;

struct Shared(UnsafeCell<u64>);

// SAFETY: it is not safe; that is what has to be found.
unsafe impl Sync for Shared {}

static COUNT: Shared = Shared(UnsafeCell::new(0));

fn count() {
    for _ in 0..1000 {
        // SAFETY: the place outlives every thread. That two of them write to it is the race.
        unsafe { *COUNT.0.get() += 1 };
    }
}

fn main() {
    let other = thread::spawn(count);
    count();
    other.join().expect("counting does not panic");
    println!("nobody saw a race");
}
