//! The files that people copy: `docs/torc.conf` names what has an effect and nothing else, and a server starts with it;
//! `docs/torc.service` is a unit that systemd understands; the files of distributions are taken as they are.
//!
//! Drives the built binary; of its code it knows only the table of parameters.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use harness::{Client, backend_args, binary, eventually, free_port, skip, split_line};
use tempfile::TempDir;
use torc::config::{Effect, PARAMS};

/// Directives that are no parameters.
const DIRECTIVES: &[&str] = &["rename-command", "user"];

/// Redis' own example files, where they are installed.
const FILES_OF_DISTRIBUTIONS: &[&str] = &["/etc/redis/redis.conf", "/root/.cache/peers/sid/etc/redis/redis.conf"];

fn document(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}

/// The settings of the example, and whether each is on.
fn settings(text: &str) -> Vec<(bool, &str)> {
    let line = |line| match str::strip_prefix(line, "#") {
        None => Some((true, line)).filter(|_| !line.is_empty()),
        Some(off) => Some((false, off)).filter(|(_, off)| off.starts_with(|first: char| first.is_ascii_lowercase())),
    };
    text.lines().filter_map(line).collect()
}

/// A server that is killed when the test ends.
struct Process {
    child: Child,
    folder: TempDir,
    port: u16,
}

impl Process {
    /// Starts the binary with a file, and what keeps the test apart from the host as arguments after it.
    fn start(file: &Path) -> Process {
        let folder = TempDir::new().unwrap();
        let port = free_port();
        let log = fs::File::create(folder.path().join("out")).unwrap();
        let child = Command::new(binary())
            .arg(file)
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--daemonize", "no", "--logfile", "", "--dir"])
            .arg(folder.path())
            .arg("--pidfile")
            .arg(folder.path().join("pid"))
            .args(backend_args())
            .stdin(Stdio::null())
            .stderr(log.try_clone().unwrap())
            .stdout(log)
            .spawn()
            .unwrap();
        let process = Process { child, folder, port };
        eventually("it answers", || Client::try_tcp((Ipv4Addr::LOCALHOST, port).into()).is_ok());
        process
    }

    fn client(&self) -> Client {
        Client::tcp((Ipv4Addr::LOCALHOST, self.port).into())
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("out")).unwrap()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the server's log:\n{}", self.log());
        }
    }
}

#[test]
fn the_example_names_every_setting_that_has_an_effect_and_no_other() {
    let text = fs::read_to_string(document("torc.conf")).unwrap();
    let name = |line: &str| line.split(' ').next().unwrap().to_owned();
    let named = settings(&text).into_iter().map(|(_, line)| name(line)).collect::<BTreeSet<_>>();
    let working = PARAMS.iter().filter(|param| param.effect == Effect::Works).map(|param| param.name.to_owned());
    let working = working.chain(DIRECTIVES.iter().map(|name| (*name).to_owned())).collect::<BTreeSet<_>>();
    let missing = working.difference(&named).collect::<Vec<_>>();
    let useless = named.difference(&working).collect::<Vec<_>>();
    assert!(
        missing.is_empty() && useless.is_empty(),
        "not in docs/torc.conf: {missing:?}; without effect: {useless:?}"
    );
}

#[test]
fn a_server_starts_with_the_example_and_has_its_values() {
    let process = Process::start(&document("torc.conf"));
    let mut client = process.client();
    let bare = TempDir::new().unwrap();
    fs::write(bare.path().join("empty.conf"), "").unwrap();
    let untouched = Process::start(&bare.path().join("empty.conf"));
    let [shown, default] = [client.run("CONFIG GET *"), untouched.client().run("CONFIG GET *")].map(|reply| {
        let texts = reply.items().into_iter().map(|item| item.text()).collect::<Vec<_>>();
        texts.chunks(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect::<BTreeMap<_, _>>()
    });
    let of_this_test = ["port", "dir", "pidfile"];
    for (name, value) in &shown {
        assert!(of_this_test.contains(&&**name) || *value == default[name], "{name} is {value}, not {}", default[name]);
    }
    assert!(!process.log().contains("has no effect"), "{}", process.log());
}

#[test]
fn what_the_example_leaves_off_can_be_switched_on() {
    let text = fs::read_to_string(document("torc.conf")).unwrap();
    let folder = TempDir::new().unwrap();
    let at = folder.path().to_str().unwrap();
    let mut all = text.clone();
    // Users come from one place only; this file has them in itself.
    for (_, line) in settings(&text).into_iter().filter(|(on, line)| !on && !line.starts_with("aclfile")) {
        let line = line.replace("/run/torc", at).replace("/etc/torc", at);
        all.push_str(&format!("{line}\n"));
    }
    let file = folder.path().join("all.conf");
    fs::write(&file, all).unwrap();
    let process = Process::start(&file);
    let mut client = process.client();
    assert_eq!(client.run("AUTH metrics secret").to_string(), "+OK");
    assert_eq!(client.command(&["AUTH", "a long and random password"]).to_string(), "+OK");
    assert_eq!(client.run("FLUSHALL").to_string(), "-ERR unknown command 'FLUSHALL', with args beginning with: ");
    let mut local = Client::unix(&folder.path().join("torc.sock"));
    assert_eq!(local.run("PING").to_string(), "-NOAUTH Authentication required.");
}

#[test]
fn systemd_understands_the_unit() {
    let path = document("torc.service");
    let text = fs::read_to_string(&path).unwrap();
    for line in ["Type=notify", "--supervised systemd", "io_uring_setup io_uring_enter io_uring_register"] {
        assert!(text.contains(line), "{line}");
    }
    // The check looks for the program, which is not installed where tests run.
    let folder = TempDir::new().unwrap();
    let unit = folder.path().join("torc.service");
    fs::write(&unit, text.replace("/usr/bin/torc-server", binary().to_str().unwrap())).unwrap();
    let Ok(output) = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&unit).output() else {
        return skip("there is no systemd-analyze");
    };
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success() && !said.contains("torc.service"), "{said}");
}

#[test]
fn files_of_distributions_are_taken_as_they_are() {
    let sample = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/sample.conf");
    let present = FILES_OF_DISTRIBUTIONS.iter().map(PathBuf::from).filter(|path| path.exists()).collect::<Vec<_>>();
    if present.is_empty() {
        skip("no redis.conf of a distribution is installed; only the sample is tried");
    }
    for file in present.into_iter().chain([sample]) {
        // A file enters its folder where it says so, and that one may not exist on this host.
        let text = fs::read_to_string(&file).unwrap();
        let entered = text.lines().map(split_line).find(|words| words.first().is_some_and(|word| word == b"dir"));
        let entered = entered.map(|words| PathBuf::from(String::from_utf8(words[1].clone()).unwrap()));
        if entered.is_some_and(|folder| !folder.is_dir()) {
            skip(&format!("{} enters a folder that is not there", file.display()));
            continue;
        }
        let process = Process::start(&file);
        assert_eq!(process.client().run("CONFIG GET appendfsync").to_string(), "[\"appendfsync\", \"everysec\"]");
    }
}
