//! Which processors a thread may run on, in the words of `server-cpulist`. Any thread, for itself. Unsafe room.
//!
//! What a list means was found out by asking Redis 8.0.6: between a number and the `-`, `:` or `,` behind it anything may
//! stand, but nothing behind the last one; numbers wrap to 32 bits; a list that is wrong anywhere is passed over in silence,
//! and so is a processor that the machine does not have, unless there is no other.

use std::mem::MaybeUninit;

use super::errno::Errno;

/// Processors that the kernel's set has room for.
const PROCESSORS_MAX: usize = libc::CPU_SETSIZE as usize;

/// Keeps the calling thread, and those that it starts, on the processors of a list such as `0-7:2` or `0,2,4-6`. False
/// where it stays where it was: an empty list, one that is wrong, or one with none of this machine's processors.
pub fn stay_on(list: &[u8]) -> bool {
    processors_of(list).is_some_and(|processors| run_on(&processors).is_ok())
}

/// The processors of a list; `None` where it is none.
fn processors_of(list: &[u8]) -> Option<Vec<usize>> {
    let mut processors = Vec::new();
    let mut rest = list;
    loop {
        let (first, behind) = number(rest)?;
        let comma = position(behind, b',');
        let mut part = &behind[..comma.unwrap_or(behind.len())];
        let (mut last, mut step) = (first, 1);
        if let Some(dash) = position(part, b'-') {
            (last, part) = number(&part[dash + 1..])?;
            if let Some(colon) = position(part, b':') {
                (step, part) = number(&part[colon + 1..])?;
            }
            if step < 1 || first > last {
                return None;
            }
        }
        let last = last.min(PROCESSORS_MAX as i64 - 1);
        // Negative ones are no processors, but the first one says which the others are.
        let start = if first < 0 { first + (step - 1 - first) / step * step } else { first };
        processors.extend((start..=last).step_by(step as usize).map(|processor| processor as usize));
        match comma {
            Some(comma) => rest = &behind[comma + 1..],
            None => return part.is_empty().then_some(processors),
        }
    }
}

fn position(bytes: &[u8], wanted: u8) -> Option<usize> {
    bytes.iter().position(|byte| *byte == wanted)
}

/// The number that the bytes begin with, as 32 bits with a sign hold it, and what is behind it.
fn number(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let len = bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let digits = std::str::from_utf8(&bytes[..len]).ok().filter(|digits| !digits.is_empty())?;
    // Too large for 64 bits is their largest number.
    let value = digits.parse::<u64>().unwrap_or(u64::MAX);
    Some((i64::from(value as i32), &bytes[len..]))
}

/// Keeps the calling thread on these processors.
fn run_on(processors: &[usize]) -> Result<(), Errno> {
    let mut set = MaybeUninit::<libc::cpu_set_t>::zeroed();
    // SAFETY: all zeros is the empty set.
    let set = unsafe { set.assume_init_mut() };
    for processor in processors {
        assert!(*processor < PROCESSORS_MAX, "the set has room for processor {processor}");
        // SAFETY: the number is within the set.
        unsafe { libc::CPU_SET(*processor, set) };
    }
    // SAFETY: the size is the set's; 0 is the calling thread.
    Errno::check(unsafe { libc::sched_setaffinity(0, size_of::<libc::cpu_set_t>(), set) }).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_mean_what_they_mean_to_redis() {
        let good: [(&str, &[usize]); 24] = [
            ("0,2-4", &[0, 2, 3, 4]),
            ("0-7:2", &[0, 2, 4, 6]),
            ("01", &[1]),
            ("1,1", &[1, 1]),
            ("0-1:3", &[0]),
            ("00-00:01", &[0]),
            ("99999,0", &[0]),
            ("1024", &[]),
            ("0,1024", &[0]),
            ("0,4294967296", &[0, 0]),
            ("18446744073709551617", &[]),
            ("0,18446744073709551616", &[0]),
            ("0,2147483648", &[0]),
            ("0-0:9999999999", &[0]),
            ("0 ,0", &[0, 0]),
            ("0x,0", &[0, 0]),
            ("0:9,0", &[0, 0]),
            ("0xyz-1,0", &[0, 1, 0]),
            ("0-0 :1", &[0]),
            ("0x-0", &[0]),
            ("0:1-0", &[0]),
            ("0;-0,0", &[0, 0]),
            ("0-0-1,0", &[0, 0]),
            ("4294967293-4:2", &[1, 3]),
        ];
        for (list, expected) in good {
            assert_eq!(processors_of(list.as_bytes()).as_deref(), Some(expected), "{list}");
        }
        let bad = [
            "",
            "x",
            "1,",
            ",1",
            "1,,1",
            "1 ",
            " 1",
            "1x",
            "0x1",
            "+1",
            "-1",
            "0,x",
            "0, 0",
            "1:1",
            "1-0",
            "1-0:2",
            "0,1-0,0",
            "0-",
            "0-:1",
            "0- 0,0",
            "0-0:",
            "0-1:0",
            "0-1:0,0",
            "0-0:+1",
            "0-0:1:1",
            "0-0-0",
            "0,-5",
            "0-4294967295:2",
        ];
        for list in bad {
            assert_eq!(processors_of(list.as_bytes()), None, "{list}");
            assert!(!stay_on(list.as_bytes()), "{list}");
        }
    }

    #[test]
    fn a_thread_stays_on_its_processor() {
        std::thread::scope(|scope| {
            scope.spawn(|| {
                assert!(!stay_on(b"1023"), "no such processor");
                // The first processor may be taken from this process; then it says so.
                if stay_on(b"0,1023") {
                    // SAFETY: has no arguments.
                    assert_eq!(unsafe { libc::sched_getcpu() }, 0);
                }
            });
        });
    }
}
