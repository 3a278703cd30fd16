//! torc-bench as its users run it: options, forms of output, exit status, latencies against a server that is slow by a
//! known amount, and a comparison from its scenario to its files.
//!
//! Drives built binaries only; knows nothing of their code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it starts processes and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::thread;

use harness::{Server, Value};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::Value as Json;

fn tool() -> Command {
    Command::new(env!("CARGO_BIN_EXE_torc-bench"))
}

fn run(args: &str) -> Output {
    tool().args(args.split(' ')).output().unwrap()
}

fn bench(server: &Server, args: &str) -> Output {
    run(&format!("-p {} {args}", server.port()))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What it printed, having gone well.
#[track_caller]
fn printed(output: &Output) -> String {
    assert!(output.status.success(), "{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

/// What it complained of, having gone wrong.
#[track_caller]
fn complaint(output: &Output) -> String {
    assert_eq!(output.status.code(), Some(1), "{}\n{}", text(&output.stdout), text(&output.stderr));
    text(&output.stderr)
}

fn json(text: &str) -> Json {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error} in {text}"))
}

/// torc-bench's server of constant answers, ended when dropped.
struct ConstantServer {
    child: Child,
    port: u16,
}

impl ConstantServer {
    fn start(args: &str) -> ConstantServer {
        let mut command = tool();
        command.arg("constant-server").args(args.split_whitespace()).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port = line.rsplit(' ').next().unwrap().trim().parse().unwrap();
        ConstantServer { child, port }
    }

    fn bench(&self, args: &str) -> Output {
        run(&format!("-p {} {args}", self.port))
    }
}

impl Drop for ConstantServer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A percentile of the first test, in milliseconds.
fn latency_ms(document: &Json, name: &str) -> f64 {
    document["tests"][0]["latency_ns"][name].as_f64().unwrap() / 1e6
}

#[test]
fn short_forms_have_a_line_per_test() {
    let server = Server::start();
    let quiet = printed(&bench(&server, "-n 500 -c 5 -q -t ping,set,get,incr,mset"));
    let titles: Vec<&str> = quiet.lines().filter_map(|line| line.split_once(": ")).map(|(title, _)| title).collect();
    assert_eq!(titles, ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"]);
    for line in quiet.lines().filter(|line| !line.is_empty()) {
        assert!(line.contains(" requests per second, p50=") && line.ends_with(" msec"), "{line}");
    }
    let csv = printed(&bench(&server, "-n 500 -P 8 --csv -r 100 -t set,get"));
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split("\",\"").collect()).collect();
    assert_eq!((rows.len(), rows[0][1], rows[1][0], rows[2][0]), (3, "rps", "\"SET", "\"GET"));
    assert!(rows.iter().all(|row| row.len() == 8));
    assert!(rows[1][1..].iter().all(|cell| cell.trim_end_matches('"').parse::<f64>().unwrap() > 0.0), "{csv}");
}

#[test]
fn json_is_one_document() {
    let server = Server::start();
    let document = json(&printed(&bench(&server, "-n 300 -t set,get --threads 2 --json")));
    assert_eq!(document["tests"].as_array().unwrap().len(), 2);
    assert_eq!((&document["tests"][1]["test"], &document["tests"][1]["requests"]), (&"GET".into(), &300.into()));
    assert_eq!(document["settings"]["threads"], 2);
    assert!(latency_ms(&document, "max") >= latency_ms(&document, "p50"));
}

#[test]
fn exactly_so_many_requests_are_sent() {
    let server = Server::start();
    printed(&bench(&server, "-n 1003 -c 7 -P 16 --threads 3 --warmup 0.05 -q incr warm"));
    for (args, sent) in
        [("-n 1003 -c 7 -P 16 --threads 3", 1003), ("-n 200 -c 3 --rate 2000", 200), ("-n 50 -k 0 -c 3", 50)]
    {
        let mut client = server.connect();
        client.command(&["DEL", "counter"]);
        printed(&bench(&server, &format!("{args} -q incr counter")));
        assert_eq!(client.command(&["GET", "counter"]).text(), sent.to_string(), "{args}");
    }
}

#[test]
fn keys_are_stored_and_chosen_as_asked() {
    let server = Server::start();
    let mut client = server.connect();
    // Every key is there, and every GET finds its value.
    let document = json(&printed(&bench(&server, "-n 2000 -r 500 -d 10-20 -t get --load --json")));
    assert_eq!((&document["tests"][0]["misses"], client.command(&["DBSIZE"]).integer()), (&0.into(), 500));
    assert!((10..=20).contains(&client.command(&["GET", "key:000000000499"]).text().len()));
    client.command(&["FLUSHALL"]);
    printed(&bench(&server, "-n 100 -r 100 --sequential --threads 2 -q set k:__rand_int__ __data__"));
    assert_eq!(client.command(&["DBSIZE"]).integer(), 100);
    client.command(&["FLUSHALL"]);
    printed(&bench(&server, "-n 1000 -r 100000 --zipfian 0.99 -q -t set"));
    let zipfian = client.command(&["DBSIZE"]).integer();
    assert!((100..900).contains(&zipfian), "{zipfian} keys of 1000 requests: no favourites");
    client.command(&["FLUSHALL"]);
    // Without -r there is one key.
    printed(&bench(&server, "-n 100 -q -t set,get"));
    let keys: Vec<String> = client.command(&["KEYS", "*"]).items().iter().map(Value::text).collect();
    assert_eq!(keys, ["key:__rand_int__"]);
    let mix = json(&printed(&bench(&server, "-n 1000 -r 100 --ratio 9:1 --json")));
    let misses = mix["tests"][0]["misses"].as_u64().unwrap();
    assert!((100..=900).contains(&misses), "of 900 GET {misses} found nothing");
}

#[test]
fn an_error_is_told_and_never_counted() {
    let server = Server::start();
    let output = bench(&server, "-n 100 --json nosuchcommand a");
    assert!(complaint(&output).contains("ERR unknown command 'nosuchcommand'"), "{output:?}");
    let document = json(&text(&output.stdout));
    assert!(document["tests"][0]["error"].as_str().unwrap().starts_with("ERR unknown command"));
    // Other tests go on; errors are counted where that is asked for.
    let mut client = server.connect();
    client.command(&["SET", "key:__rand_int__", "a"]);
    client.command(&["SET", "counter:__rand_int__", "a"]);
    let output = bench(&server, "-n 100 -q -t incr,get");
    assert!(complaint(&output).contains("INCR: error from server: ERR value is not an integer"), "{output:?}");
    assert!(text(&output.stdout).contains("GET: ") && !text(&output.stdout).contains("INCR"));
    let output = bench(&server, "-n 100 --keep-going --json -t incr");
    complaint(&output);
    let document = json(&text(&output.stdout));
    assert_eq!((&document["tests"][0]["requests"], &document["tests"][0]["failures"]), (&0.into(), &100.into()));
    // What no server has is an error of the command line.
    assert!(complaint(&bench(&server, "-t get,zap")).contains("there is no test \"zap\""));
}

#[test]
fn a_server_that_is_not_there_or_dies_is_told() {
    let port = harness::free_port();
    assert!(complaint(&run(&format!("-p {port} -t get"))).contains("Connection refused"));
    let server = ConstantServer::start("--reply +PONG --die-after 500");
    let words = complaint(&server.bench("-n 1000000 -t ping_mbulk -q"));
    assert!(words.contains("closed connection") || words.contains("reset by peer"), "{words}");
    let server = ConstantServer::start("--reply +WRONG");
    let words = complaint(&server.bench("-n 10 -t ping_mbulk -q"));
    assert!(words.contains("+WRONG where Simple(\"PONG\") was expected"), "{words}");
}

#[test]
fn getting_in_needs_what_the_server_wants() {
    let server = Server::builder().args("--requirepass secret").start();
    assert!(complaint(&bench(&server, "-n 10 -q -t get")).contains("NOAUTH"));
    assert!(complaint(&bench(&server, "-n 10 -q -t get -a wrong")).contains("WRONGPASS"));
    printed(&bench(&server, "-n 10 -q -t get -a secret"));
    printed(&bench(&server, "-n 10 -q -t get -a secret --user default -3"));
    printed(&run(&format!("-u redis://default:secret@127.0.0.1:{}/3 -n 10 -q -t set", server.port())));
    let mut client = server.connect();
    client.command(&["AUTH", "secret"]);
    client.command(&["SELECT", "3"]);
    assert_eq!(client.command(&["DBSIZE"]).integer(), 1);
}

#[test]
fn the_constant_server_keeps_up_with_many_and_long_pipelines() {
    let server = ConstantServer::start("--reply +OK");
    for args in ["-c 50 -P 16 -n 20000", "-c 2 -P 6000 -n 30000", "-c 3 -P 2 -d 100000 -n 60"] {
        let document = json(&printed(&server.bench(&format!("{args} -t set --json"))));
        assert_eq!(document["tests"][0]["requests"].to_string(), args.rsplit(' ').next().unwrap(), "{args}");
    }
}

#[test]
fn a_known_delay_is_found_in_every_percentile() {
    const DELAY_MS: f64 = 20.0;
    let server = ConstantServer::start("--reply +PONG --delay-ms 20");
    let document = json(&printed(&server.bench("-c 1 -n 25 -t ping_mbulk --json")));
    for name in ["min", "p50", "max"] {
        assert!(latency_ms(&document, name) >= DELAY_MS, "{name}: {document:#}");
    }
    // A machine may be busy, but not for half of the requests.
    assert!(latency_ms(&document, "p50") < 10.0 * DELAY_MS, "{document:#}");
}

#[test]
fn a_stall_is_charged_to_every_request_that_it_kept_waiting() {
    // 400 ms after every 1000 requests, at 1000 a second: of each 1000 requests 400 are due while the server stands still,
    // and wait 200 ms on the average. One in a thousand sees it if the next request is sent only after the last reply.
    let stall = "--reply +PONG --stall-every 1000 --stall-ms 400";
    let server = ConstantServer::start(stall);
    let open = json(&printed(&server.bench("-c 50 -n 3000 --rate 1000 -t ping_mbulk --json")));
    assert_eq!(open["tests"][0]["requests"], 3000);
    assert!(latency_ms(&open, "max") >= 390.0, "{open:#}");
    assert!(latency_ms(&open, "p90") >= 150.0, "{open:#}");
    let server = ConstantServer::start(stall);
    let closed = json(&printed(&server.bench("-c 1 -n 3000 -t ping_mbulk --json")));
    assert!(latency_ms(&closed, "max") >= 390.0, "{closed:#}");
    assert!(latency_ms(&closed, "p90") < 150.0, "{closed:#}");
}

#[test]
fn a_rate_that_is_too_high_is_told() {
    // 50 ms for whatever is read together: one connection gets 20 replies a second, and 100 are due.
    let server = ConstantServer::start("--reply +PONG --delay-ms 50");
    let document = json(&printed(&server.bench("-c 1 --duration 1 --rate 100 -t ping_mbulk --json")));
    let test = &document["tests"][0];
    assert_eq!(test["requests"].as_u64().unwrap() + test["overdue"].as_u64().unwrap(), 100, "{document:#}");
    // The last one is due after a second, and sent after five.
    assert!(latency_ms(&document, "max") > 2000.0, "{document:#}");
}

#[test]
fn latencies_are_logged_for_other_tools() {
    let server = Server::start();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("log");
    printed(&bench(&server, &format!("-t set,get --duration 1.2 --rate 500 -q --hdr-log {}", path.display())));
    let log = fs::read_to_string(&path).unwrap();
    assert!(log.contains("[StartTime: ") && log.contains("[BaseTime: "), "{log}");
    let intervals: Vec<&str> = log.lines().filter(|line| line.starts_with("Tag=")).collect();
    assert!(intervals.iter().any(|line| line.starts_with("Tag=GET,")), "{log}");
    assert!(intervals.len() >= 3 && intervals.iter().all(|line| line.split(',').count() == 5), "{log}");
}

#[test]
fn connections_may_be_idle_tracked_or_over_a_unix_socket() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let server = Server::builder().args(&format!("--unixsocket {}", socket.display())).start();
    printed(&run(&format!("-s {} -n 100 -q -t get", socket.display())));
    assert!(printed(&bench(&server, "-I -c 20 --duration 0.2")).contains("20 idle connections"));
    let mut command = tool();
    command.args(["-p", &server.port().to_string(), "-q", "-n", "3", "-x", "set", "fed"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"two words").unwrap();
    assert!(child.wait_with_output().unwrap().status.success());
    assert_eq!(server.connect().command(&["GET", "fed"]).text(), "two words");
}

/// A server that answers PONG to every PING, over TLS. It serves until the test ends.
fn tls_server(folder: &Path) -> u16 {
    let certified = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    fs::write(folder.join("ca.pem"), certified.cert.pem()).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(certified.signing_key.serialize_der()));
    let chain = vec![CertificateDer::from(certified.cert.der().to_vec())];
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for socket in listener.incoming() {
            let config = config.clone();
            thread::spawn(move || {
                const REQUEST_LEN: usize = b"*1\r\n$4\r\nPING\r\n".len();
                let connection = rustls::ServerConnection::new(config).unwrap();
                let mut stream = rustls::StreamOwned::new(connection, socket.unwrap());
                let mut received = 0;
                let mut buffer = [0; 4096];
                while let Ok(len) = stream.read(&mut buffer) {
                    if len == 0 {
                        break;
                    }
                    received += len;
                    let replies = "+PONG\r\n".repeat(received / REQUEST_LEN);
                    received %= REQUEST_LEN;
                    if stream.write_all(replies.as_bytes()).is_err() {
                        break;
                    }
                }
            });
        }
    });
    port
}

#[test]
fn tls_is_spoken_and_verified() {
    let folder = tempfile::tempdir().unwrap();
    let port = tls_server(folder.path());
    let ca = folder.path().join("ca.pem");
    let load = "-n 2000 -c 4 -P 5 -t ping_mbulk";
    let verified = format!("-p {port} --tls --cacert {} --sni localhost {load} --json", ca.display());
    assert_eq!(json(&printed(&run(&verified)))["tests"][0]["requests"], 2000);
    printed(&run(&format!("-p {port} --tls --insecure {load} -q")));
    printed(&run(&format!("-p {port} --tls --insecure -n 20 -k 0 -c 2 -t ping_mbulk -q")));
    for ciphers in ["--tls-ciphersuites TLS_CHACHA20_POLY1305_SHA256", "--tls-ciphers ECDHE-ECDSA-AES128-GCM-SHA256"] {
        printed(&run(&format!("-p {port} --tls --insecure {load} -q {ciphers}")));
    }
    let wrong_name = format!("-p {port} --tls --cacert {} --sni elsewhere {load} -q", ca.display());
    assert!(complaint(&run(&wrong_name)).contains("certificate"), "{wrong_name}");
}

#[test]
fn a_comparison_leaves_samples_plots_and_a_page() {
    let folder = tempfile::tempdir().unwrap();
    let scenario = folder.path().join("tiny.toml");
    let server = env!("CARGO_BIN_EXE_torc-server");
    let load_core = thread::available_parallelism().map_or(0, |cores| usize::from(cores.get() > 1));
    let scenario_text = format!(
        "title = 'Tiny'\nrounds = 2\nseconds = 0.1\nkeys = 500\nsyscalls = true\nserver_cores = [0]\nload_cores = [{load_core}]\n\
         [[servers]]\nname = 'one'\nbinary = '{server}'\n\
         [[servers]]\nname = 'two'\nbinary = '{server}'\nargs = ['--hz', '20']\nenvironment = {{ TORC_TEST = '1' }}\n\
         [[servers]]\nname = 'gone'\nbinary = '/nowhere/server'\noptional = true\n\
         [[loads]]\ntests = ['get']\nclients = [1, 4]\npipeline = [4]\nvalue_bytes = [64, 1000]\n\
         [[loads]]\ntests = ['get']\nclients = [2]\ntransport = ['unix']\nrates = [200]\n\
         [[loads]]\ntests = ['set']\nclients = [5000]\npipeline = [64]\nvalue_bytes = [1048576]\n\
         [[memory]]\nkinds = ['string']\nkeys = 1000\n\
         [[idle]]\nconnections = [10]\n"
    );
    fs::write(&scenario, scenario_text).unwrap();
    let results = folder.path().join("results");
    let args = ["compare", scenario.to_str().unwrap(), "--results", results.to_str().unwrap(), "--name", "r"];
    let table = printed(&tool().args(args).output().unwrap());
    assert!(table.contains("GET c=4 P=4 1000 B") && table.contains("gone took no part"), "{table}");
    let document = json(&fs::read_to_string(results.join("r.json")).unwrap());
    // Two loads of each length, one at a rate, memory and idle; two rounds, two servers.
    assert_eq!(document["samples"].as_array().unwrap().len(), (4 + 1 + 1 + 1) * 2 * 2);
    assert_eq!(document["not_run"][0]["case"], "set-c5000-p64-d1048576");
    assert_eq!(document["servers"][1]["environment"]["TORC_TEST"], "1");
    let sample = &document["samples"][0]["measured"];
    assert!(sample["server_cpu_ns"].as_u64().unwrap() > 0 && sample["requests"].as_u64().unwrap() > 0, "{sample}");
    let page = fs::read_to_string(results.join("r.html")).unwrap();
    for words in ["<title>Tiny</title>", "core 0", "gone", "MiB in flight"] {
        assert!(page.contains(words), "{words}");
    }
    for plot in ["ratios", "latency", "scaling"] {
        assert!(results.join(format!("r-{plot}.svg")).is_file(), "{plot}");
    }
    // The report can be made again, and is the same.
    let again = folder.path().join("again.html");
    let args = ["report", results.join("r.json").to_str().unwrap(), "-o", again.to_str().unwrap()].map(str::to_owned);
    printed(&tool().args(args).output().unwrap());
    assert_eq!(fs::read_to_string(again).unwrap(), page);
}

#[test]
fn mistakes_in_a_comparison_are_told() {
    assert!(complaint(&run("compare nowhere.toml")).contains("the scenarios that come along are smoke"));
    assert!(printed(&run("compare full --print")).contains("lrange_600"));
    assert!(complaint(&run("compare smoke --case zap")).contains("no case's name contains zap"));
    assert!(complaint(&run("compare smoke --server-cores 900")).contains("core 900"));
    assert!(complaint(&run("report nowhere.json")).contains("reading nowhere.json"));
}

#[test]
fn the_figures_in_the_readme_are_those_of_the_results() {
    let mut command = tool();
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(["readme", "--check"]);
    printed(&command.output().unwrap());
}
