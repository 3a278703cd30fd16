//! Sampled stacks: read from what `perf script` prints, told apart by what the CPU was doing, folded for a flame graph.

#![forbid(unsafe_code)]

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What CPU time goes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Category {
    /// The server's own code and its libraries.
    User,
    /// Into the kernel and out again, and from the call to the socket: descriptors, checks, the file layer.
    SyscallEntry,
    /// Sockets and the network stack below them.
    Tcp,
    /// Telling others that something is ready, and making them run.
    WakeUps,
    /// The ring itself: taking submissions, issuing them, completing them.
    IoUring,
    /// Finding out which connections are ready, without a ring.
    Epoll,
    /// Going to sleep, and switching to another thread.
    Switching,
    /// Bringing in memory that was touched for the first time.
    PageFaults,
    /// Whatever no rule knows: timers, other interrupts, other system calls.
    Other,
}

impl Category {
    /// All of them, as they are shown.
    pub(crate) const ALL: [Category; 9] = [
        Category::User,
        Category::SyscallEntry,
        Category::Tcp,
        Category::WakeUps,
        Category::IoUring,
        Category::Epoll,
        Category::Switching,
        Category::PageFaults,
        Category::Other,
    ];

    pub(crate) fn label(self) -> &'static str {
        match self {
            Category::User => "user",
            Category::SyscallEntry => "syscall entry",
            Category::Tcp => "TCP",
            Category::WakeUps => "wake-ups",
            Category::IoUring => "io_uring",
            Category::Epoll => "epoll",
            Category::Switching => "switching",
            Category::PageFaults => "page faults",
            Category::Other => "other",
        }
    }
}

/// Kernel functions by how their names begin; the longest beginning that fits decides. A function that none fits says
/// nothing, and the one that called it decides.
const RULES: &[(Category, &[&str])] = &[
    (
        Category::WakeUps,
        &[
            "__wake_up",
            "activate_task",
            "autoremove_wake_function",
            "check_preempt",
            "default_wake_function",
            "enqueue_task",
            "ep_autoremove_wake",
            "ep_poll_callback",
            "futex_wake",
            "io_poll_wake",
            "pollwake",
            "resched_curr",
            "select_task_rq",
            "sock_def_readable",
            "sock_def_wakeup",
            "sock_def_write_space",
            "try_to_wake_up",
            "ttwu_",
            "wake_up",
            "wakeup_preempt",
        ],
    ),
    (
        Category::Switching,
        &[
            "__schedule",
            "__switch_to",
            "context_switch",
            "dequeue_entit",
            "dequeue_task",
            "finish_task_switch",
            "finish_wait",
            "futex_wait",
            "io_cqring_schedule",
            "io_cqring_wait",
            "io_schedule",
            "pick_next_task",
            "pick_task",
            "prepare_to_wait",
            "put_prev_",
            "schedule",
            "set_next_",
            "switch_mm",
        ],
    ),
    (
        Category::Tcp,
        &[
            "____sys_recvmsg",
            "____sys_sendmsg",
            "___sys_recvmsg",
            "___sys_sendmsg",
            "__alloc_skb",
            "__copy_skb",
            "__dev_queue_xmit",
            "__inet",
            "__ip",
            "__kfree_skb",
            "__local_bh_enable_ip",
            "__napi",
            "__netif_rx",
            "__netif_receive",
            "__qdisc",
            "__release_sock",
            "__sk_",
            "__skb_",
            "__sock",
            "__sys_recv",
            "__sys_send",
            "__tcp_",
            "_copy_from_iter",
            "_copy_to_iter",
            "alloc_skb",
            "bictcp_",
            "consume_skb",
            "cubictcp_",
            "dev_hard_start_xmit",
            "dev_queue_xmit",
            "do_softirq",
            "enqueue_to_backlog",
            "eth_",
            "handle_softirqs",
            "inet6_",
            "inet_",
            "ip6_",
            "ip_",
            "ipv4_",
            "ipv6_",
            "kfree_skb",
            "lock_sock",
            "loopback_xmit",
            "napi_",
            "net_rx_action",
            "netif_",
            "nf_",
            "process_backlog",
            "raw_local_deliver",
            "release_sock",
            "simple_copy_to_iter",
            "sk_",
            "skb_",
            "sock_",
            "tcp_",
            "unix_",
            "validate_xmit",
        ],
    ),
    (
        Category::IoUring,
        &[
            "__do_sys_io_uring",
            "__io_",
            "__se_sys_io_uring",
            "__x64_sys_io_uring",
            "ctx_flush_and_put",
            "io_",
            "tctx_task_work",
        ],
    ),
    (
        Category::Epoll,
        &[
            "__ep_",
            "__x64_sys_epoll",
            "__se_sys_epoll",
            "do_epoll",
            "ep_",
            "epoll_",
            "eventpoll_",
            "sock_poll",
            "tcp_poll",
            "tcp_stream_is_readable",
            "unix_poll",
        ],
    ),
    (
        Category::SyscallEntry,
        &[
            "__fdget",
            "__fget",
            "__se_sys_",
            "__x64_sys_",
            "do_readv",
            "do_syscall_64",
            "do_writev",
            "entry_SYSCALL",
            "entry_SYSRETQ",
            "exit_to_user_mode",
            "fdget",
            "fput",
            "import_iovec",
            "import_single_range",
            "invoke_syscall",
            "el0_svc",
            "ksys_",
            "rw_verify_area",
            "security_",
            "sockfd_lookup",
            "srso_",
            "syscall_",
            "vfs_read",
            "vfs_write",
            "x64_sys_call",
        ],
    ),
    (
        Category::PageFaults,
        &[
            "__do_fault",
            "__handle_mm_fault",
            "asm_exc_page_fault",
            "do_user_addr_fault",
            "exc_page_fault",
            "handle_mm_fault",
        ],
    ),
    (
        Category::Other,
        &[
            "__sysvec",
            "asm_common_interrupt",
            "asm_sysvec",
            "common_interrupt",
            "ret_from_fork",
            "sysvec_",
            "task_work_run",
        ],
    ),
];

/// What a kernel function belongs to, if a rule says so.
fn category_of(function: &str) -> Option<Category> {
    // The compiler splits functions into `name.part.0` and `name.isra.0`; the rules look at beginnings.
    let fitting = RULES.iter().flat_map(|(category, names)| names.iter().map(move |name| (*category, *name)));
    fitting
        .filter(|(_, name)| function.starts_with(name))
        .max_by_key(|(_, name)| name.len())
        .map(|(category, _)| category)
}

/// One function of a stack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Frame {
    pub(crate) function: String,
    pub(crate) kernel: bool,
}

/// What the CPU was doing, from a stack with its innermost function first.
pub(crate) fn categorize(stack: &[Frame]) -> Category {
    let Some(innermost) = stack.first().filter(|frame| frame.kernel) else { return Category::User };
    debug_assert!(innermost.kernel);
    let kernel = stack.iter().take_while(|frame| frame.kernel);
    kernel.filter_map(|frame| category_of(&frame.function)).next().unwrap_or(Category::Other)
}

/// What one function's bar in a flame graph is coloured as; `None` for one that is as its caller.
pub(crate) fn frame_category(frame: &Frame) -> Option<Category> {
    if frame.kernel { category_of(&frame.function) } else { Some(Category::User) }
}

/// Reads what `perf script -F comm,tid,ip,sym` prints: a head, functions from the innermost on, an empty line.
pub(crate) fn parse(printed: &str) -> Vec<Vec<Frame>> {
    let mut stacks = Vec::new();
    let mut stack = None::<Vec<Frame>>;
    for line in printed.lines() {
        if line.trim().is_empty() {
            stacks.extend(stack.take());
        } else if line.starts_with([' ', '\t']) {
            let (Some(stack), Some(frame)) = (&mut stack, parse_frame(line.trim_start())) else { continue };
            stack.push(frame);
        } else {
            stacks.extend(stack.replace(Vec::new()));
        }
    }
    stacks.extend(stack);
    stacks.retain(|stack| !stack.is_empty());
    stacks
}

fn parse_frame(line: &str) -> Option<Frame> {
    let (address, function) = line.split_once(' ').unwrap_or((line, "[unknown]"));
    let address = u64::from_str_radix(address, 16).ok()?;
    // The kernel has the upper half of the addresses.
    Some(Frame { function: function.trim().to_owned(), kernel: address >> 63 == 1 })
}

/// True if the kernel's functions have no names, as it is when the kernel hides its addresses.
pub(crate) fn kernel_is_nameless(stacks: &[Vec<Frame>]) -> bool {
    let mut kernel = stacks.iter().flatten().filter(|frame| frame.kernel).peekable();
    kernel.peek().is_some() && kernel.all(|frame| frame.function == "[unknown]")
}

/// Samples by what the CPU was doing.
pub(crate) fn count(stacks: &[Vec<Frame>]) -> BTreeMap<Category, u64> {
    let mut counts = BTreeMap::new();
    for stack in stacks {
        *counts.entry(categorize(stack)).or_default() += 1;
    }
    counts
}

/// Stacks with their outermost function first, and how often each was seen.
pub(crate) type Folded = BTreeMap<Vec<Frame>, u64>;

/// Adds stacks to those that were folded before.
pub(crate) fn fold(stacks: Vec<Vec<Frame>>, folded: &mut Folded) {
    for mut stack in stacks {
        stack.reverse();
        *folded.entry(stack).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// In the form of `perf script`, of two samples: a wake-up within a send, and the server's own code.
    const PRINTED: &str = "torc-server   812 \n\
        \tffffffff81000100 _raw_spin_unlock_irqrestore\n\
        \tffffffff81000200 try_to_wake_up\n\
        \tffffffff81000300 ep_poll_callback\n\
        \tffffffff81000400 tcp_rcv_established\n\
        \tffffffff81000500 __do_sys_io_uring_enter\n\
        \tffffffff81000600 do_syscall_64\n\
        \t          10200 syscall\n\
        \t          10300 <torc::server::Loop as Turn>::run\n\
        \n\
        torc server   813 \n\
        \t    7f0000000010 [unknown]\n\
        \t          10300 <torc::server::Loop as Turn>::run\n\n";

    fn kernel(functions: &[&str]) -> Vec<Frame> {
        functions.iter().map(|function| Frame { function: (*function).to_owned(), kernel: true }).collect()
    }

    #[test]
    fn stacks_are_read_innermost_first() {
        let stacks = parse(PRINTED);
        assert_eq!(stacks.len(), 2);
        assert_eq!(stacks[0][0], Frame { function: "_raw_spin_unlock_irqrestore".to_owned(), kernel: true });
        assert_eq!(stacks[0][7].function, "<torc::server::Loop as Turn>::run");
        assert!(!stacks[0][7].kernel && stacks[1][0].function == "[unknown]");
        assert_eq!(count(&stacks), BTreeMap::from([(Category::WakeUps, 1), (Category::User, 1)]));
        assert!(parse("").is_empty() && parse("head\n\nhead\n\tnonsense\n").is_empty());
    }

    #[test]
    fn the_innermost_function_that_a_rule_knows_decides() {
        for (wanted, stack) in [
            (Category::Tcp, &["memset", "__alloc_skb", "tcp_sendmsg_locked", "sock_write_iter", "ksys_write"][..]),
            (Category::SyscallEntry, &["rw_verify_area", "vfs_read", "ksys_read", "do_syscall_64"]),
            (Category::SyscallEntry, &["entry_SYSCALL_64_after_hwframe"]),
            (Category::SyscallEntry, &["syscall_exit_to_user_mode", "do_syscall_64"]),
            (Category::IoUring, &["kmem_cache_alloc", "__io_alloc_req_refill", "io_submit_sqes"]),
            (Category::WakeUps, &["_raw_spin_lock", "sock_def_readable", "tcp_data_ready", "net_rx_action"]),
            (Category::WakeUps, &["io_poll_wake", "__wake_up_common", "tcp_data_ready"]),
            (Category::Epoll, &["mutex_lock", "ep_send_events", "ep_poll", "do_epoll_wait"]),
            (Category::Epoll, &["tcp_poll", "sock_poll", "ep_item_poll"]),
            (Category::Switching, &["finish_task_switch.isra.0", "__schedule", "schedule", "ep_poll"]),
            (Category::Switching, &["_raw_spin_lock", "io_cqring_wait", "__do_sys_io_uring_enter"]),
            (Category::PageFaults, &["clear_page_erms", "handle_mm_fault", "asm_exc_page_fault"]),
            (Category::Other, &["hrtimer_interrupt", "asm_sysvec_apic_timer_interrupt", "tcp_ack"]),
            (Category::Other, &["some_function", "another"]),
        ] {
            assert_eq!(categorize(&kernel(stack)), wanted, "{stack:?}");
        }
    }

    #[test]
    fn kernel_functions_above_user_code_do_not_count() {
        let mut stack = kernel(&["unknown_function"]);
        stack.push(Frame { function: "main".to_owned(), kernel: false });
        stack.extend(kernel(&["tcp_ack"]));
        assert_eq!(categorize(&stack), Category::Other);
        assert_eq!(categorize(&stack[1..]), Category::User);
    }

    #[test]
    fn no_rule_stands_twice_and_each_is_used() {
        let mut seen = BTreeMap::new();
        for (category, names) in RULES {
            for name in *names {
                assert!(seen.insert(*name, category).is_none(), "{name} stands twice");
                assert_eq!(category_of(name), Some(*category), "{name}");
            }
        }
    }

    #[test]
    fn hidden_names_are_noticed() {
        assert!(kernel_is_nameless(&[kernel(&["[unknown]", "[unknown]"])]));
        assert!(!kernel_is_nameless(&[kernel(&["[unknown]", "tcp_ack"])]));
        assert!(!kernel_is_nameless(&parse("a 1 \n\t10 [unknown]\n")));
    }

    #[test]
    fn equal_stacks_are_folded() {
        let mut folded = Folded::new();
        fold(vec![kernel(&["b", "a"]), kernel(&["b", "a"]), kernel(&["a"])], &mut folded);
        assert_eq!(folded[&kernel(&["a", "b"])], 2);
        assert_eq!(folded[&kernel(&["a"])], 1);
    }
}
