//! What a server did in an interval, counted from events: its system calls, their time, and its ring's work.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

/// The call that submits to a ring and waits for completions.
pub(crate) const ENTER: &str = "io_uring_enter";
/// Kinds of ring operations are counted apart up to this number; the kernel has far fewer.
const OPERATIONS_MAX: usize = 256;

/// Calls of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) calls: u64,
    /// Calls whose beginning and end were both seen, from entry to return, and how long they slept meanwhile.
    pub(crate) timed: u64,
    pub(crate) wall_ns: u64,
    pub(crate) waiting_ns: u64,
}

/// Everything counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    /// By name.
    pub(crate) syscalls: BTreeMap<String, Tally>,
    /// What was handed to the ring and what came back; `None` where that cannot be seen.
    pub(crate) submissions: Option<u64>,
    pub(crate) completions: Option<u64>,
    /// Submissions by operation.
    pub(crate) operations: BTreeMap<String, u64>,
    /// Events that the kernel dropped because they were not read in time.
    pub(crate) lost: u64,
    /// True if the waiting within calls was seen.
    pub(crate) waiting_seen: bool,
}

/// One thing that happened, with the thread that it happened to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    Enter {
        syscall: i64,
    },
    Exit {
        syscall: i64,
    },
    /// The thread left its core.
    SwitchOut,
    /// It got one again.
    SwitchIn,
    Submit {
        operation: u8,
    },
    Complete,
}

/// An event: when, to whom, what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Event {
    pub(crate) time_ns: u64,
    pub(crate) thread: i32,
    pub(crate) what: What,
}

/// Where a thread stands.
#[derive(Clone, Copy, Debug, Default)]
struct Thread {
    /// The call it is in, and since when.
    inside: Option<(i64, u64)>,
    off_since: Option<u64>,
    waited_ns: u64,
}

impl Thread {
    /// Ends the time without a core, if it had none.
    fn back_on_core(&mut self, time_ns: u64) {
        let off_ns = self.off_since.take().and_then(|since| time_ns.checked_sub(since));
        self.waited_ns += off_ns.unwrap_or(0);
    }
}

/// Counts events as they come.
#[derive(Debug, Default)]
pub(crate) struct Counter {
    threads: BTreeMap<i32, Thread>,
    tallies: BTreeMap<i64, Tally>,
    submissions: u64,
    completions: u64,
    operations: BTreeMap<u8, u64>,
    pub(crate) lost: u64,
}

impl Counter {
    /// Counts events, which are put in the order of their time first: each core hands out its own.
    pub(crate) fn take(&mut self, events: &mut Vec<Event>) {
        events.sort_by_key(|event| event.time_ns);
        events.drain(..).for_each(|event| self.count(event));
    }

    fn count(&mut self, event: Event) {
        let thread = self.threads.entry(event.thread).or_default();
        // Kernels do not always tell of a switch away from an idle core, but a thread that does anything has one.
        thread.back_on_core(event.time_ns);
        match event.what {
            What::Enter { syscall } => {
                self.tallies.entry(syscall).or_default().calls += 1;
                thread.inside = Some((syscall, event.time_ns));
                thread.waited_ns = 0;
            }
            What::Exit { syscall } => {
                // A call that was under way at the start, or whose beginning was lost, has no time.
                let began = thread.inside.take().filter(|(inside, _)| *inside == syscall);
                if let Some(wall_ns) = began.and_then(|(_, since)| event.time_ns.checked_sub(since)) {
                    let tally = self.tallies.entry(syscall).or_default();
                    tally.timed += 1;
                    tally.wall_ns += wall_ns;
                    tally.waiting_ns += thread.waited_ns.min(wall_ns);
                }
            }
            What::SwitchOut => thread.off_since = Some(event.time_ns),
            What::SwitchIn => {}
            What::Submit { operation } => {
                self.submissions += 1;
                if self.operations.len() < OPERATIONS_MAX {
                    *self.operations.entry(operation).or_default() += 1;
                }
            }
            What::Complete => self.completions += 1,
        }
    }

    /// The sums, with names.
    pub(crate) fn finish(
        self,
        sees_ring: bool,
        syscall_name: impl Fn(i64) -> String,
        operation_name: impl Fn(u8) -> String,
    ) -> Counted {
        let mut counted = Counted { lost: self.lost, waiting_seen: true, ..Counted::default() };
        for (number, tally) in self.tallies {
            counted.syscalls.insert(syscall_name(number), tally);
        }
        if sees_ring {
            counted.submissions = Some(self.submissions);
            counted.completions = Some(self.completions);
        }
        counted.operations =
            self.operations.into_iter().map(|(number, count)| (operation_name(number), count)).collect();
        counted
    }
}

/// The name of a system call on this machine.
pub(crate) fn syscall_name(number: i64) -> String {
    let known = usize::try_from(number).ok().and_then(syscalls::Sysno::new);
    known.map_or_else(|| format!("syscall_{number}"), |syscall| syscall.name().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(time_ns: u64, thread: i32, what: What) -> Event {
        Event { time_ns, thread, what }
    }

    fn counted(mut events: Vec<Event>) -> Counted {
        let mut counter = Counter::default();
        counter.take(&mut events);
        assert!(events.is_empty());
        counter.finish(true, |number| format!("s{number}"), |number| format!("o{number}"))
    }

    #[test]
    fn time_in_a_call_is_split_into_work_and_waiting() {
        // Out of order, as two cores hand them out.
        let counted = counted(vec![
            event(140, 1, What::SwitchIn),
            event(100, 1, What::Enter { syscall: 7 }),
            event(110, 1, What::SwitchOut),
            event(150, 1, What::Exit { syscall: 7 }),
            event(105, 2, What::Enter { syscall: 8 }),
            event(125, 2, What::Exit { syscall: 8 }),
        ]);
        assert_eq!(counted.syscalls["s7"], Tally { calls: 1, timed: 1, wall_ns: 50, waiting_ns: 30 });
        assert_eq!(counted.syscalls["s8"], Tally { calls: 1, timed: 1, wall_ns: 20, waiting_ns: 0 });
    }

    #[test]
    fn a_thread_that_goes_on_has_a_core_again() {
        let counted = counted(vec![
            event(100, 1, What::Enter { syscall: 7 }),
            event(110, 1, What::SwitchOut),
            event(140, 1, What::Exit { syscall: 7 }),
            event(145, 1, What::Enter { syscall: 7 }),
            event(150, 1, What::Exit { syscall: 7 }),
        ]);
        assert_eq!(counted.syscalls["s7"], Tally { calls: 2, timed: 2, wall_ns: 45, waiting_ns: 30 });
    }

    #[test]
    fn halves_of_calls_have_no_time() {
        let counted = counted(vec![
            event(1, 1, What::Exit { syscall: 7 }),
            event(2, 1, What::Enter { syscall: 8 }),
            event(3, 1, What::Exit { syscall: 9 }),
            event(4, 1, What::Enter { syscall: 8 }),
        ]);
        assert_eq!(counted.syscalls["s8"], Tally { calls: 2, ..Tally::default() });
        assert!(!counted.syscalls.contains_key("s7") && !counted.syscalls.contains_key("s9"));
    }

    #[test]
    fn waiting_outside_of_a_call_is_not_its_own() {
        let counted = counted(vec![
            event(1, 1, What::SwitchOut),
            event(50, 1, What::SwitchIn),
            event(60, 1, What::Enter { syscall: 7 }),
            event(65, 1, What::Exit { syscall: 7 }),
        ]);
        assert_eq!(counted.syscalls["s7"], Tally { calls: 1, timed: 1, wall_ns: 5, waiting_ns: 0 });
    }

    #[test]
    fn the_rings_work() {
        let counted = counted(vec![
            event(1, 1, What::Submit { operation: 26 }),
            event(2, 1, What::Submit { operation: 26 }),
            event(3, 1, What::Submit { operation: 13 }),
            event(4, 1, What::Complete),
        ]);
        assert_eq!((counted.submissions, counted.completions), (Some(3), Some(1)));
        assert_eq!(counted.operations, BTreeMap::from([("o13".to_owned(), 1), ("o26".to_owned(), 2)]));
    }

    #[test]
    fn calls_have_their_names() {
        assert_eq!(syscall_name(syscalls::Sysno::read as i64), "read");
        assert_eq!(syscall_name(syscalls::Sysno::io_uring_enter as i64), ENTER);
        assert_eq!(syscall_name(-1), "syscall_-1");
        assert_eq!(syscall_name(100_000), "syscall_100000");
    }
}
