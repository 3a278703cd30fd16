//! Setting a ring up: which flags the kernel takes, what else it can do, and, where it refuses, why. Unsafe room.

use std::fmt;
use std::io;

use io_uring::{IoUring, Probe, opcode};

/// What the caller asks for.
#[derive(Clone, Copy, Debug)]
pub struct RingOptions {
    /// Submission queue entries.
    pub submissions: u32,
    /// Completion queue entries.
    pub completions: u32,
    /// Features to do without even where the kernel has them: what older ones get can be tested on a new one.
    pub without: Features,
}

/// What this kernel offers of the features that are used when they are there.
#[derive(Clone, Copy, Debug, Default)]
pub struct Features {
    /// SINGLE_ISSUER | DEFER_TASKRUN: completions are produced only inside enter.
    pub defer_taskrun: bool,
    /// NO_SQARRAY: one indirection less per submission (6.6).
    pub no_sqarray: bool,
    /// The ring's descriptor is registered.
    pub registered_ring: bool,
    /// Provided buffers that are consumed piece by piece (6.12).
    pub incremental_buffers: bool,
    /// WRITEV_FIXED (6.15).
    pub vectored_fixed: bool,
    /// The reply slab is registered.
    pub registered_slab: bool,
}

impl Features {
    /// Every one of them.
    pub const ALL: Features = Features {
        defer_taskrun: true,
        no_sqarray: true,
        registered_ring: true,
        incremental_buffers: true,
        vectored_fixed: true,
        registered_slab: true,
    };

    /// All of them by name, and whether each is there.
    pub fn all(&self) -> [(&'static str, bool); 6] {
        [
            ("defer_taskrun", self.defer_taskrun),
            ("no_sqarray", self.no_sqarray),
            ("registered_ring", self.registered_ring),
            ("incremental_buffers", self.incremental_buffers),
            ("vectored_fixed", self.vectored_fixed),
            ("registered_slab", self.registered_slab),
        ]
    }
}

impl fmt::Display for Features {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut first = true;
        for (name, _) in self.all().iter().filter(|(_, present)| *present) {
            if !first {
                out.write_str(",")?;
            }
            first = false;
            out.write_str(name)?;
        }
        Ok(())
    }
}

/// Why there is no ring. The text says what to change.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// No io_uring in this kernel at all.
    #[error("this kernel has no io_uring ({0}); Linux 6.1 or newer with CONFIG_IO_URING is needed")]
    NotBuilt(io::Error),
    /// Switched off by the administrator.
    #[error(
        "io_uring is switched off: kernel.io_uring_disabled is {value}; set it to 0 with 'sysctl kernel.io_uring_disabled=0'{}",
        if *value == 1 { ", or run as root or in the group named by kernel.io_uring_group" } else { "" }
    )]
    Disabled {
        /// The sysctl's value: 1 for unprivileged users, 2 for all.
        value: u32,
    },
    /// Refused by a filter, as container run times do by default.
    #[error(
        "io_uring_setup is refused ({0}), most likely by a seccomp filter (containers, systemd units): allow the system \
         calls io_uring_setup, io_uring_enter and io_uring_register in it, for example with a seccomp profile of your own"
    )]
    Filtered(io::Error),
    /// Older than what Torc is built on.
    #[error("this kernel is too old: {missing} is missing; Linux 6.1 or newer is needed")]
    TooOld {
        /// The first thing found missing.
        missing: &'static str,
    },
    /// Locked memory or descriptors ran out.
    #[error("io_uring_setup failed: {0}; check the limits on locked memory (ulimit -l) and descriptors (ulimit -n)")]
    Limits(io::Error),
    /// Anything else.
    #[error("io_uring_setup failed: {0}")]
    Other(io::Error),
}

/// Builds the ring with the first set of flags that the kernel takes, and probes the operations.
pub(super) fn build(options: &RingOptions) -> Result<(IoUring, Features), Refused> {
    let mut last_error = None;
    for (defer_taskrun, no_sqarray) in [(true, true), (true, false), (false, false)] {
        if defer_taskrun && options.without.defer_taskrun || no_sqarray && options.without.no_sqarray {
            continue;
        }
        let mut builder = IoUring::builder();
        builder.setup_clamp().setup_submit_all().setup_cqsize(options.completions);
        if defer_taskrun {
            builder.setup_single_issuer().setup_defer_taskrun();
        }
        if no_sqarray {
            builder.setup_no_sqarray();
        }
        match builder.build(options.submissions) {
            Ok(ring) => {
                let mut features = Features { defer_taskrun, no_sqarray, ..Features::default() };
                probe(&ring, &mut features)?;
                features.vectored_fixed &= !options.without.vectored_fixed;
                return Ok((ring, features));
            }
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => last_error = Some(error),
            Err(error) => return Err(explain(error)),
        }
    }
    Err(last_error.map_or(Refused::TooOld { missing: "SUBMIT_ALL" }, explain))
}

fn probe(ring: &IoUring, features: &mut Features) -> Result<(), Refused> {
    if !ring.params().is_feature_nodrop() {
        return Err(Refused::TooOld { missing: "IORING_FEAT_NODROP" });
    }
    if !ring.params().is_feature_ext_arg() {
        return Err(Refused::TooOld { missing: "IORING_FEAT_EXT_ARG" });
    }
    if !ring.params().is_feature_skip_cqe_on_success() {
        return Err(Refused::TooOld { missing: "IORING_FEAT_CQE_SKIP" });
    }
    let mut probe = Probe::new();
    ring.submitter().register_probe(&mut probe).map_err(Refused::Other)?;
    // SEND_ZC came with 6.0 together with multishot receive, which has no probe of its own.
    let needed = [
        (opcode::SendZc::CODE, "multishot receive (Linux 6.0)"),
        (opcode::AcceptMulti::CODE, "accept"),
        (opcode::Writev::CODE, "writev"),
        (opcode::AsyncCancel::CODE, "cancel"),
        (opcode::MsgRingData::CODE, "messages between rings"),
    ];
    for (code, missing) in needed {
        if !probe.is_supported(code) {
            return Err(Refused::TooOld { missing });
        }
    }
    features.vectored_fixed = probe.is_supported(opcode::WritevFixed::CODE);
    Ok(())
}

/// Tells the reasons for a refusal apart.
fn explain(error: io::Error) -> Refused {
    match error.raw_os_error() {
        Some(libc::ENOSYS) if kernel_has_io_uring_sysctl() => Refused::Filtered(error),
        Some(libc::ENOSYS) => Refused::NotBuilt(error),
        Some(libc::EPERM | libc::EACCES) => match disabled_sysctl() {
            Some(value) if value > 0 => Refused::Disabled { value },
            _ => Refused::Filtered(error),
        },
        Some(libc::EINVAL) => Refused::TooOld { missing: "a set-up flag" },
        Some(libc::ENOMEM | libc::EMFILE | libc::ENFILE) => Refused::Limits(error),
        _ => Refused::Other(error),
    }
}

fn disabled_sysctl() -> Option<u32> {
    std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").ok()?.trim().parse().ok()
}

fn kernel_has_io_uring_sysctl() -> bool {
    std::path::Path::new("/proc/sys/kernel/io_uring_disabled").exists()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_say_what_to_change() {
        let text = Refused::Disabled { value: 2 }.to_string();
        assert!(text.contains("sysctl kernel.io_uring_disabled=0") && !text.contains("group"), "{text}");
        assert!(Refused::Disabled { value: 1 }.to_string().contains("kernel.io_uring_group"));
        let filtered = Refused::Filtered(io::Error::from_raw_os_error(libc::EPERM)).to_string();
        assert!(filtered.contains("seccomp") && filtered.contains("io_uring_enter"), "{filtered}");
        assert!(matches!(explain(io::Error::from_raw_os_error(libc::EINVAL)), Refused::TooOld { .. }));
        assert!(matches!(explain(io::Error::from_raw_os_error(libc::ENOMEM)), Refused::Limits(_)));
    }

    #[test]
    fn this_kernel_gives_a_ring() {
        let options = RingOptions { submissions: 8, completions: 16, without: Features::default() };
        let (ring, features) = build(&options).expect("io_uring is needed to test Torc");
        assert!(ring.params().cq_entries() >= 16);
        println!("features: {features}");
    }

    /// `io_uring_setup`: the same number on every architecture.
    const IO_URING_SETUP: u32 = 425;

    /// Filters this thread as container run times filter their processes: one call answers EPERM, all others pass.
    fn refuse_io_uring_to_this_thread() -> io::Result<()> {
        let statement = |code: u32, jf: u8, k: u32| libc::sock_filter { code: code as u16, jt: 0, jf, k };
        let mut filter = [
            statement(libc::BPF_LD | libc::BPF_W | libc::BPF_ABS, 0, 0),
            statement(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 1, IO_URING_SETUP),
            statement(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ERRNO | libc::EPERM as u32),
            statement(libc::BPF_RET | libc::BPF_K, 0, libc::SECCOMP_RET_ALLOW),
        ];
        let program = libc::sock_fprog { len: filter.len() as u16, filter: filter.as_mut_ptr() };
        // SAFETY: a system call without memory, for this thread only.
        let unprivileged = unsafe { libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) };
        // SAFETY: `program` and the filter it points to live through the call, which copies them.
        let filtered = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
        if unprivileged == 0 && filtered == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
    }

    #[test]
    #[allow(clippy::disallowed_methods, reason = "a filter cannot be taken off again: its thread must end")]
    fn a_seccomp_filter_is_recognised() {
        let refused = std::thread::spawn(|| {
            refuse_io_uring_to_this_thread().expect("the kernel takes filters");
            build(&RingOptions { submissions: 8, completions: 16, without: Features::default() }).map(|_| ())
        });
        match refused.join().expect("the thread ended") {
            Err(Refused::Filtered(error)) => assert_eq!(error.raw_os_error(), Some(libc::EPERM)),
            other => panic!("not recognised as filtered: {other:?}"),
        }
    }
}
