//! The built server where io_uring is refused: what it says, and that it serves all the same. The refusal is a seccomp
//! filter as container run times install it; it stays on the thread that sets it and on every process started from there.
//!
//! Unsafe room: installing the filter is a plain system call. Drives the built binary only; knows nothing of its code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use harness::{Server, is_torc, skip};

/// `io_uring_setup`: the same number on every architecture.
const IO_URING_SETUP: u32 = 425;

/// One call of this thread, and of what it starts, answers EPERM from now on.
fn refuse_io_uring() {
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
    assert_eq!(unprivileged, 0, "{}", std::io::Error::last_os_error());
    // SAFETY: `program` and the filter it points to live through the call, which copies them.
    let filtered = unsafe { libc::prctl(libc::PR_SET_SECCOMP, libc::SECCOMP_MODE_FILTER, &raw const program) };
    assert_eq!(filtered, 0, "{}", std::io::Error::last_os_error());
}

/// Runs a test on a thread that io_uring is refused to; the filter goes away with the thread.
fn without_io_uring(test: impl FnOnce() + Send + 'static) {
    if !is_torc() {
        return skip("another server has no such setting");
    }
    let thread = std::thread::spawn(|| {
        refuse_io_uring();
        test();
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Lines of the log that say that the ring was refused.
fn warnings(server: &Server) -> Vec<String> {
    let log = server.log();
    log.lines().filter(|line| line.contains("io_uring cannot be used")).map(str::to_owned).collect()
}

#[test]
fn left_alone_it_serves_and_says_why_not_with_the_ring() {
    without_io_uring(|| {
        let server = Server::start();
        let warnings = warnings(&server);
        assert_eq!(warnings.len(), 1, "{}", server.log());
        for part in ["# WARNING", "epoll", "Operation not permitted", "seccomp", "io_uring_enter", "io-backend"] {
            assert!(warnings[0].contains(part), "no {part} in {}", warnings[0]);
        }
        assert_eq!(server.info("server", "multiplexing_api"), "epoll");
        let mut clients = (0..50).map(|_| server.connect()).chain([server.connect_unix()]).collect::<Vec<_>>();
        for (index, client) in clients.iter_mut().enumerate() {
            assert_eq!(client.run(&format!("SET key{index} {index}")).to_string(), "+OK");
        }
        assert_eq!(clients[0].run("DBSIZE").to_string(), ":51");
    });
}

#[test]
fn told_to_use_the_ring_it_does_not_start() {
    without_io_uring(|| {
        let (status, log) = Server::builder().args("--io-backend ring").refusal();
        assert_eq!(status.code(), Some(1), "{log}");
        assert!(log.contains("io_uring_setup is refused") && log.contains("seccomp"), "{log}");
        assert!(!log.contains("Ready to accept connections"), "{log}");
    });
}

#[test]
fn told_to_use_epoll_it_does_not_complain() {
    without_io_uring(|| {
        let server = Server::with("--io-backend epoll");
        assert_eq!(warnings(&server), Vec::<String>::new());
        assert_eq!(server.info("server", "multiplexing_api"), "epoll");
    });
}

#[test]
fn the_back_end_is_chosen_at_start_only() {
    if !is_torc() {
        return skip("another server has no such setting");
    }
    let server = Server::with("--io-backend EPOLL");
    assert_eq!(server.info("server", "multiplexing_api"), "epoll");
    let mut client = server.connect();
    assert_eq!(client.run("CONFIG GET io-backend").to_string(), r#"["io-backend", "epoll"]"#);
    let refusal = client.run("CONFIG SET io-backend ring").to_string();
    assert!(refusal.contains("can't set immutable config"), "{refusal}");
    let (status, log) = Server::builder().args("--io-backend kqueue").refusal();
    assert_eq!(status.code(), Some(1));
    assert!(log.contains("argument(s) must be one of the following: auto, ring, epoll"), "{log}");
    let server = Server::with("--io-backend ring");
    assert_eq!(server.info("server", "multiplexing_api"), "io_uring");
}
