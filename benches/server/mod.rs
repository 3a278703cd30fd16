//! A server of its own for benches that measure it from outside, and the few words of RESP that they need.

#![forbid(unsafe_code)]
#![allow(clippy::disallowed_methods, reason = "a benchmark has sockets, processes and the real clock")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use std::{env, fs, thread};

/// A running server, killed with this.
pub(crate) struct Server {
    process: Child,
    port: u16,
}

impl Drop for Server {
    fn drop(&mut self) {
        _ = self.process.kill();
        _ = self.process.wait();
    }
}

impl Server {
    /// The server that `BENCH_SERVER` names, else the one built along with this; `BENCH_SERVER_CORES` pins it.
    pub(crate) fn start() -> Server {
        let port = TcpListener::bind("127.0.0.1:0").and_then(|socket| socket.local_addr()).expect("a free port").port();
        let binary = env::var("BENCH_SERVER").unwrap_or_else(|_| env!("CARGO_BIN_EXE_torc-server").to_owned());
        let mut command = match env::var("BENCH_SERVER_CORES") {
            Ok(cores) => {
                let mut command = Command::new("taskset");
                command.args(["-c", &cores, &binary]);
                command
            }
            Err(_) => Command::new(&binary),
        };
        let process = command
            .args(["--port", &port.to_string(), "--save", "", "--enable-debug-command", "yes"])
            .args(["--client-output-buffer-limit", "normal 0 0 0"])
            .stdout(Stdio::null())
            .spawn()
            .expect("the server starts");
        let server = Server { process, port };
        while TcpStream::connect(("127.0.0.1", port)).is_err() {
            thread::sleep(Duration::from_millis(20));
        }
        server
    }

    /// A new connection.
    pub(crate) fn connect(&self) -> Client {
        let socket = TcpStream::connect(("127.0.0.1", self.port)).expect("the server listens");
        socket.set_nodelay(true).expect("TCP has no delay");
        Client { replies: BufReader::with_capacity(1 << 18, socket) }
    }

    /// Processor time of the thread that frees, in nanoseconds: Torc's and Redis' have `lazy` in their names.
    pub(crate) fn time_of_freeing(&self) -> u64 {
        let tasks = fs::read_dir(format!("/proc/{}/task", self.process.id())).into_iter().flatten().flatten();
        let frees = |name: String| name.contains("lazy");
        tasks
            .filter(|task| fs::read_to_string(task.path().join("comm")).is_ok_and(frees))
            .filter_map(|task| fs::read_to_string(task.path().join("schedstat")).ok())
            .filter_map(|text| text.split(' ').next()?.parse::<u64>().ok())
            .sum()
    }
}

/// A connection.
pub(crate) struct Client {
    replies: BufReader<TcpStream>,
}

impl Client {
    /// Sends bytes as they are.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        self.replies.get_mut().write_all(bytes).expect("the server reads");
    }

    /// Sends a command given as words and waits for its reply, which is no aggregate. An error ends the bench.
    pub(crate) fn run(&mut self, words: &str) -> String {
        let mut request = Vec::new();
        append(&mut request, words.split(' '));
        self.send(&request);
        self.reply()
    }

    /// The next reply, which is no aggregate.
    pub(crate) fn reply(&mut self) -> String {
        let mut line = String::new();
        self.replies.read_line(&mut line).expect("the server answers");
        assert!(!line.starts_with('-'), "{line}");
        let line = line.trim_end();
        let Some(len) = line.strip_prefix('$').and_then(|len| len.parse::<usize>().ok()) else {
            return line.to_owned();
        };
        let mut text = vec![0; len + 2];
        self.replies.read_exact(&mut text).expect("the whole reply comes");
        String::from_utf8_lossy(&text[..len]).into_owned()
    }

    /// Reads and forgets what comes, at least one byte. Returns how many.
    pub(crate) fn skip(&mut self, room: &mut [u8]) -> usize {
        let read = self.replies.read(room).expect("the server answers");
        assert!(read > 0, "the connection stays open");
        read
    }

    /// Runs `count` commands of which number `n` has the words that `words` makes, in pipelines.
    pub(crate) fn run_all(&mut self, count: usize, words: impl Fn(usize) -> Vec<String>) {
        const PIPELINE: usize = 64;
        for first in (0..count).step_by(PIPELINE) {
            let some = first..count.min(first + PIPELINE);
            let mut request = Vec::new();
            some.clone().for_each(|number| append(&mut request, words(number).iter().map(String::as_str)));
            self.send(&request);
            some.for_each(|_| _ = self.reply());
        }
    }
}

fn append<'a>(request: &mut Vec<u8>, words: impl Iterator<Item = &'a str> + Clone) {
    request.extend_from_slice(format!("*{}\r\n", words.clone().count()).as_bytes());
    for word in words {
        request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        request.extend_from_slice(word.as_bytes());
        request.extend_from_slice(b"\r\n");
    }
}

/// A number from the environment.
pub(crate) fn number(name: &str, default: usize) -> usize {
    env::var(name).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// The words of the command with number `n` of those that fill `key` with elements, `per_command` in each.
pub(crate) fn fill(kind: &str, key: &str, n: usize, per_command: usize) -> Vec<String> {
    let command = match kind {
        "list" => "RPUSH",
        "set" => "SADD",
        "hash" => "HSET",
        _ => "ZADD",
    };
    let mut words = vec![command.to_owned(), key.to_owned()];
    for number in n * per_command..(n + 1) * per_command {
        match kind {
            "hash" => words.extend([format!("field:{number}"), format!("value:{number}")]),
            "zset" => words.extend([number.to_string(), format!("member:{number}")]),
            _ => words.push(format!("member:{number}")),
        }
    }
    words
}
