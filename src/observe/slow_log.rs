//! The slow log: the last commands that took longer than they should, for SLOWLOG. Main thread only. Knows neither
//! commands nor sessions: what is secret is hidden before it comes here.

#![forbid(unsafe_code)]

use std::collections::VecDeque;

/// Most arguments that an entry keeps; of more, the last place says how many are left out.
const ARGS_MAX: usize = 32;

/// Most bytes of an argument that an entry keeps.
const ARG_LEN_MAX: usize = 128;

/// One slow command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SlowEntry {
    /// Counts from 0 and is never used again.
    pub id: u64,
    /// Unix seconds at which it ended.
    pub at_s: i64,
    /// How long it took.
    pub duration_us: u64,
    /// Name and arguments, shortened.
    pub args: Box<[Box<[u8]>]>,
    /// The client's address.
    pub addr: Box<str>,
    /// The client's name, empty without one.
    pub name: Box<[u8]>,
}

/// Entries, the newest first.
#[derive(Clone, Debug, Default)]
pub struct SlowLog {
    entries: VecDeque<SlowEntry>,
    next_id: u64,
}

impl SlowLog {
    /// Adds an entry, whose number this gives, and forgets the oldest above `len_max`. A log of length 0 is off: it takes
    /// nothing and forgets nothing.
    pub fn push(&mut self, entry: SlowEntry, len_max: u64) {
        if len_max == 0 {
            return;
        }
        self.entries.push_front(SlowEntry { id: self.next_id, ..entry });
        self.next_id += 1;
        self.entries.truncate(usize::try_from(len_max).unwrap_or(usize::MAX));
    }

    /// The newest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &SlowEntry> {
        self.entries.iter()
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Forgets them all; numbers go on.
    pub fn clear(&mut self) {
        self.entries = VecDeque::new();
    }
}

/// Arguments as an entry keeps them.
pub fn shortened<'a>(args: impl ExactSizeIterator<Item = &'a [u8]>) -> Box<[Box<[u8]>]> {
    let count = args.len();
    let kept = if count > ARGS_MAX { ARGS_MAX - 1 } else { count };
    let mut short: Vec<Box<[u8]>> = args.take(kept).map(shortened_arg).collect();
    if kept < count {
        short.push(format!("... ({} more arguments)", count - kept).into_bytes().into());
    }
    short.into()
}

fn shortened_arg(arg: &[u8]) -> Box<[u8]> {
    if arg.len() <= ARG_LEN_MAX {
        return arg.into();
    }
    let mut short = arg[..ARG_LEN_MAX].to_vec();
    short.extend_from_slice(format!("... ({} more bytes)", arg.len() - ARG_LEN_MAX).as_bytes());
    short.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(at_s: i64) -> SlowEntry {
        SlowEntry { id: 0, at_s, duration_us: 1, args: [].into(), addr: "".into(), name: [].into() }
    }

    fn ids(log: &SlowLog) -> Vec<u64> {
        log.iter().map(|entry| entry.id).collect()
    }

    #[test]
    fn the_oldest_go_first_and_numbers_go_on() {
        let mut log = SlowLog::default();
        (0..5).for_each(|at_s| log.push(entry(at_s), 3));
        assert_eq!(ids(&log), [4, 3, 2]);
        log.push(entry(9), 0);
        assert_eq!(ids(&log), [4, 3, 2]);
        log.push(entry(9), 1);
        assert_eq!(ids(&log), [5]);
        log.clear();
        log.push(entry(9), u64::MAX);
        assert_eq!((ids(&log), log.len(), log.is_empty()), (vec![6], 1, false));
    }

    #[test]
    fn long_commands_are_shortened() {
        let words = |count: usize| vec![&b"x"[..]; count];
        assert_eq!(shortened(words(32).into_iter()).len(), 32);
        let short = shortened(words(33).into_iter());
        assert_eq!((short.len(), &*short[30], &*short[31]), (32, &b"x"[..], &b"... (2 more arguments)"[..]));
        let (whole, long) = ([b'z'; 128], [b'z'; 200]);
        let short = shortened([&whole[..], &long[..]].into_iter());
        assert_eq!(*short[0], whole);
        assert_eq!(*short[1], *[&whole[..], b"... (72 more bytes)"].concat());
    }
}
