//! Sessions that clients may take up again: as many and as long as the parameters say. Shared by the connections of one
//! context; the lock is rustls' wish and never contended, since handshakes run on one thread.

#![forbid(unsafe_code)]

use std::collections::{HashMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustls::server::StoresServerSessions;

/// Sessions that are kept where the parameter sets no limit (0).
const SESSIONS_MAX: usize = 1 << 20;

/// Remembered sessions.
pub(super) struct SessionCache {
    kept: Mutex<Kept>,
    limit: usize,
    timeout_us: i64,
    now_us: fn() -> i64,
}

#[derive(Default)]
struct Kept {
    sessions: HashMap<Vec<u8>, Session>,
    /// Keys in the order in which they came, each with the number of its session. Those that were taken are still there.
    order: VecDeque<(Vec<u8>, u64)>,
    next: u64,
}

struct Session {
    number: u64,
    until_us: i64,
    secrets: Vec<u8>,
}

impl SessionCache {
    /// Keeps `limit` sessions (0: as many as there is any sense in), each for `timeout_s` seconds.
    pub(super) fn new(limit: usize, timeout_s: u32, now_us: fn() -> i64) -> SessionCache {
        let limit = if limit == 0 { SESSIONS_MAX } else { limit.min(SESSIONS_MAX) };
        SessionCache { kept: Mutex::default(), limit, timeout_us: i64::from(timeout_s) * 1_000_000, now_us }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Kept {
    fn forget_oldest(&mut self) {
        if let Some((key, number)) = self.order.pop_front()
            && self.sessions.get(&key).is_some_and(|session| session.number == number)
        {
            self.sessions.remove(&key);
        }
    }
}

impl StoresServerSessions for SessionCache {
    fn put(&self, key: Vec<u8>, secrets: Vec<u8>) -> bool {
        let until_us = (self.now_us)().saturating_add(self.timeout_us);
        let mut kept = self.kept();
        while kept.order.len() >= self.limit {
            kept.forget_oldest();
        }
        let number = kept.next;
        kept.next += 1;
        kept.order.push_back((key.clone(), number));
        kept.sessions.insert(key, Session { number, until_us, secrets });
        true
    }

    fn get(&self, key: &[u8]) -> Option<Vec<u8>> {
        let now_us = (self.now_us)();
        self.kept().sessions.get(key).filter(|session| now_us < session.until_us).map(|session| session.secrets.clone())
    }

    fn take(&self, key: &[u8]) -> Option<Vec<u8>> {
        let now_us = (self.now_us)();
        self.kept().sessions.remove(key).filter(|session| now_us < session.until_us).map(|session| session.secrets)
    }

    fn can_cache(&self) -> bool {
        true
    }
}

impl fmt::Debug for SessionCache {
    /// Never the secrets.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "SessionCache({} of {})", self.kept().sessions.len(), self.limit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    thread_local! {
        static NOW_US: Cell<i64> = const { Cell::new(0) };
    }

    fn cache(limit: usize) -> SessionCache {
        SessionCache::new(limit, 300, || NOW_US.get())
    }

    #[test]
    fn the_oldest_goes_when_there_are_too_many() {
        let cache = cache(2);
        for key in 1..=3 {
            assert!(cache.put(vec![key], vec![key, key]));
        }
        assert_eq!(cache.get(&[1]), None);
        assert_eq!(cache.take(&[2]), Some(vec![2, 2]));
        assert_eq!((cache.take(&[2]), cache.get(&[3])), (None, Some(vec![3, 3])));
        // The place of one that was put anew is not the old one's.
        let two = self::cache(2);
        for key in [1, 2, 2, 4] {
            two.put(vec![key], vec![key]);
        }
        assert_eq!((two.get(&[2]), two.get(&[4])), (Some(vec![2]), Some(vec![4])));
        assert_eq!(format!("{two:?}"), "SessionCache(2 of 2)");
    }

    #[test]
    fn sessions_expire() {
        let cache = cache(0);
        cache.put(vec![1], vec![1]);
        NOW_US.set(299_999_999);
        assert_eq!(cache.get(&[1]), Some(vec![1]));
        NOW_US.set(300_000_000);
        assert_eq!((cache.get(&[1]), cache.take(&[1])), (None, None));
    }
}
