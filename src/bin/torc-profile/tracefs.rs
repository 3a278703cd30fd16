//! The kernel's tracepoints by way of tracefs: an instance of our own, which only the server's threads write to.
//!
//! Every system call, switch and ring operation of the server becomes an event in a buffer of its core, and is read
//! from there while the interval lasts. Other users of the kernel's tracing are not disturbed.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use rustix::fs::OFlags;

use crate::activity::{Counted, Counter, Event, What, syscall_name};
use crate::process;
use crate::ring_buffer::{Field, Format, PAGE_HEADER_LEN, read_page};

/// Where tracefs is mounted when it is not said otherwise.
const USUAL_PLACES: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];
/// The names of our instances begin so, and end in the number of the process that made them.
const INSTANCE_PREFIX: &str = "torc-profile-";
/// Each core's buffer: a quarter of a second of a million events a second.
const BUFFER_KIB: u32 = 16 << 10;
/// Pages read from one core before the next has its turn.
const PAGES_A_TURN: usize = 8192;
/// Threads that can be watched: the list is written in one piece.
const THREADS_MAX: usize = 400;

/// Where tracefs is, if it is mounted and can be looked into.
pub(crate) fn find() -> anyhow::Result<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let mounted = mounts.lines().filter_map(|line| {
        let mut words = line.split(' ');
        let (place, kind) = (words.nth(1)?, words.next()?);
        (kind == "tracefs").then(|| PathBuf::from(place))
    });
    let places = mounted.chain(USUAL_PLACES.map(PathBuf::from)).collect::<Vec<_>>();
    places
        .into_iter()
        .find(|place| place.join("events/raw_syscalls").is_dir())
        .context("tracefs is not mounted or not for this user; as root: mount -t tracefs tracefs /sys/kernel/tracing")
}

/// Makes and removes an instance, which shows whether that is allowed.
pub(crate) fn probe() -> anyhow::Result<PathBuf> {
    let root = find()?;
    Instance::create(&root, "probe")?;
    Ok(root)
}

/// A trace buffer of our own; removed when dropped.
struct Instance {
    path: PathBuf,
}

impl Instance {
    fn create(root: &Path, purpose: &str) -> anyhow::Result<Instance> {
        remove_orphans(root);
        let path = root.join("instances").join(format!("{INSTANCE_PREFIX}{purpose}-{}", std::process::id()));
        fs::create_dir(&path)
            .with_context(|| format!("no trace instance can be made in {}; that takes root", root.display()))?;
        Ok(Instance { path })
    }

    fn write(&self, file: &str, text: &str) -> anyhow::Result<()> {
        // These files take a new value by being written to, not by being made anew.
        let path = self.path.join(file);
        let mut options = OpenOptions::new();
        let written =
            options.write(true).open(&path).and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
        written.with_context(|| format!("writing {text:?} to {}", path.display()))
    }

    fn format(&self, event: &str) -> anyhow::Result<Format> {
        let path = self.path.join("events").join(event).join("format");
        Format::parse(&fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?)
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        // Removing the instance switches its events off. It fails while one of its files is open, and then the next
        // run removes it.
        let _ = self.write("tracing_on", "0");
        let _ = fs::remove_dir(&self.path);
    }
}

/// Removes what a run left that was killed.
fn remove_orphans(root: &Path) {
    for entry in fs::read_dir(root.join("instances")).into_iter().flatten().flatten() {
        let name = entry.file_name().to_string_lossy().into_owned();
        let maker = name.strip_prefix(INSTANCE_PREFIX).and_then(|rest| rest.rsplit_once('-')?.1.parse().ok());
        if maker.is_some_and(|pid: i32| !process::is_alive(pid)) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// Where an event has what is counted of it.
struct Layout {
    kinds: BTreeMap<u16, Kind>,
    kind: Field,
    thread: Field,
    sees_ring: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Enter { syscall: Field },
    Exit { syscall: Field },
    Switch { next: Field },
    Submit { operation: Field, name: Option<Field> },
    Complete,
}

impl Layout {
    fn of(instance: &Instance) -> anyhow::Result<Layout> {
        let enter = instance.format("raw_syscalls/sys_enter")?;
        let exit = instance.format("raw_syscalls/sys_exit")?;
        let switch = instance.format("sched/sched_switch")?;
        let mut kinds = BTreeMap::from([
            (enter.id, Kind::Enter { syscall: enter.field("id")? }),
            (exit.id, Kind::Exit { syscall: exit.field("id")? }),
            (switch.id, Kind::Switch { next: switch.field("next_pid")? }),
        ]);
        // Kernels before 6.0 had another name for it.
        let submit = ["io_uring/io_uring_submit_req", "io_uring/io_uring_submit_sqe"];
        let submit = submit.into_iter().find_map(|event| instance.format(event).ok().map(|format| (event, format)));
        let complete = instance.format("io_uring/io_uring_complete").ok();
        let mut events = vec!["raw_syscalls/sys_enter", "raw_syscalls/sys_exit", "sched/sched_switch"];
        let sees_ring = submit.is_some() && complete.is_some();
        if let (Some((event, submit)), Some(complete)) = (submit, complete) {
            kinds.insert(
                submit.id,
                Kind::Submit { operation: submit.field("opcode")?, name: submit.field("op_str").ok() },
            );
            kinds.insert(complete.id, Kind::Complete);
            events.extend([event, "io_uring/io_uring_complete"]);
        }
        for event in events {
            instance.write(&format!("events/{event}/enable"), "1")?;
        }
        Ok(Layout { kinds, kind: enter.field("common_type")?, thread: enter.field("common_pid")?, sees_ring })
    }

    /// Reads an event into what is counted: a switch is one for two threads.
    fn read(&self, time_ns: u64, data: &[u8], names: &mut BTreeMap<u8, String>, events: &mut Vec<Event>) -> Option<()> {
        let kind = self.kinds.get(&u16::try_from(self.kind.number(data)?).ok()?)?;
        let thread = i32::try_from(self.thread.number(data)?).ok()?;
        let what = match kind {
            Kind::Enter { syscall } => What::Enter { syscall: syscall.number(data)? },
            Kind::Exit { syscall } => What::Exit { syscall: syscall.number(data)? },
            Kind::Complete => What::Complete,
            Kind::Submit { operation, name } => {
                let operation = u8::try_from(operation.number(data)?).ok()?;
                names.entry(operation).or_insert_with(|| {
                    let name = name.and_then(|name| name.text(data)).filter(|name| !name.is_empty());
                    name.map_or_else(|| format!("operation_{operation}"), |name| name.to_lowercase())
                });
                What::Submit { operation }
            }
            Kind::Switch { next } => {
                let next = i32::try_from(next.number(data)?).ok()?;
                events.push(Event { time_ns, thread: next, what: What::SwitchIn });
                What::SwitchOut
            }
        };
        events.push(Event { time_ns, thread, what });
        Some(())
    }
}

/// A watch over a server's threads. Fields are dropped in this order: an instance can be removed once its files are
/// closed.
pub(crate) struct Watch {
    pipes: Vec<File>,
    layout: Layout,
    page: Vec<u8>,
    names: BTreeMap<u8, String>,
    events: Vec<Event>,
    counter: Counter,
    instance: Instance,
}

impl Watch {
    /// Prepares everything; nothing is recorded until [`Watch::begin`].
    pub(crate) fn new(pid: i32) -> anyhow::Result<Watch> {
        let root = find()?;
        let threads = process::threads(pid)?;
        ensure!(threads.len() <= THREADS_MAX, "the server has {} threads, too many to watch", threads.len());
        let instance = Instance::create(&root, "watch")?;
        instance.write("tracing_on", "0")?;
        instance.write("trace_clock", "mono")?;
        instance.write("buffer_size_kb", &BUFFER_KIB.to_string())?;
        // Threads made later are watched as well.
        instance.write("options/event-fork", "1")?;
        let list = threads.iter().map(i32::to_string).collect::<Vec<_>>().join(" ");
        instance.write("set_event_pid", &list)?;
        let layout = Layout::of(&instance)?;
        let mut pipes = Vec::new();
        for entry in fs::read_dir(instance.path.join("per_cpu"))? {
            let path = entry?.path().join("trace_pipe_raw");
            let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).context("flags out of range")?;
            let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(&path);
            pipes.push(file.with_context(|| format!("opening {}", path.display()))?);
        }
        let page = vec![0; page_len(&root)?];
        let (names, events, counter) = (BTreeMap::new(), Vec::new(), Counter::default());
        Ok(Watch { pipes, layout, page, names, events, counter, instance })
    }

    pub(crate) fn begin(&self) -> anyhow::Result<()> {
        self.instance.write("tracing_on", "1")
    }

    /// Reads and counts what was recorded until now.
    pub(crate) fn drain(&mut self) {
        for pipe in &mut self.pipes {
            for _ in 0..PAGES_A_TURN {
                let len = match pipe.read(&mut self.page) {
                    Ok(len) if len > PAGE_HEADER_LEN => len,
                    Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                    // Empty for now.
                    Ok(_) | Err(_) => break,
                };
                let (layout, names, events) = (&self.layout, &mut self.names, &mut self.events);
                self.counter.lost += read_page(&self.page[..len], |time_ns, data| {
                    // What does not fit its own format is passed over.
                    let _ = layout.read(time_ns, data, names, events);
                });
            }
        }
        self.counter.take(&mut self.events);
    }

    /// Ends the watch and sums up.
    pub(crate) fn end(mut self) -> anyhow::Result<Counted> {
        self.instance.write("tracing_on", "0")?;
        self.drain();
        let name = |operation| self.names.get(&operation).cloned().unwrap_or_else(|| format!("operation_{operation}"));
        Ok(self.counter.finish(self.layout.sees_ring, syscall_name, name))
    }
}

/// The size of the pages that the kernel hands out, which can be set.
fn page_len(root: &Path) -> anyhow::Result<usize> {
    // This file gives all it has to the first read, and cuts it to that read's length.
    let mut text = [0; 4096];
    let read = File::open(root.join("events/header_page")).and_then(|mut file| file.read(&mut text));
    let text = String::from_utf8_lossy(&text[..read.context("reading the layout of a page")?]).into_owned();
    // The data goes up to the end of the page.
    let data = text.lines().find(|line| line.contains("char data;")).context("a page without data")?;
    let number = |key: &str| data.split(';').find_map(|part| part.trim().strip_prefix(key)?.parse::<usize>().ok());
    let len = number("offset:").zip(number("size:")).map(|(offset, size)| offset + size);
    len.filter(|len| (PAGE_HEADER_LEN + 1..1 << 20).contains(len)).context("the layout of a page is not known")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process can watch itself where an instance may be made.
    #[test]
    fn own_calls_are_counted() {
        if let Err(error) = probe() {
            eprintln!("SKIPPED own_calls_are_counted: {error:#}");
            return;
        }
        let pid = i32::try_from(std::process::id()).unwrap();
        let mut watch = Watch::new(pid).unwrap();
        let place = watch.instance.path.clone();
        watch.begin().unwrap();
        for _ in 0..1000 {
            let _ = rustix::process::getppid();
        }
        watch.drain();
        std::thread::sleep(std::time::Duration::from_millis(20));
        let counted = watch.end().unwrap();
        let asked = counted.syscalls["getppid"];
        assert_eq!((asked.calls, asked.timed, counted.lost), (1000, 1000, 0));
        assert!(asked.wall_ns > 0 && asked.waiting_ns <= asked.wall_ns);
        let slept = counted.syscalls["clock_nanosleep"];
        assert!(slept.waiting_ns >= 15_000_000, "{slept:?}");
        assert!(!place.exists(), "the instance is still there");
    }
}
