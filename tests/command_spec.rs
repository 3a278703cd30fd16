//! Every command that the server reports, against the published facts of Redis 8.0: arity, flags, ACL categories, key
//! specifications, tips, arguments. `tests/data/commands.json` holds the facts; a command that is not in them fails.
//!
//! Drives the built binary over sockets; knows nothing of its code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use harness::{Client, Server, Value, is_torc, play, skip};
use serde_json::Value as Fact;

/// What a client needs that this project serves strings and keys with. Written out, so that a command that vanishes
/// from the table is noticed.
const SERVED: &str =
    "append decr decrby get getdel getex getrange getset incr incrby incrbyfloat lcs mget mset msetnx psetex set
    setex setnx setrange strlen substr bitcount bitfield bitfield_ro bitop bitpos getbit setbit pfadd pfcount pfdebug
    pfmerge pfselftest del unlink exists type expire expireat expiretime pexpire pexpireat pexpiretime
    ttl pttl persist rename renamenx keys scan randomkey touch dbsize flushdb flushall ping echo select quit reset hello
    auth client|id client|info client|list client|setname client|getname client|setinfo client|kill multi exec discard
    watch unwatch config|get config|set info command|count command|info command|docs command|list command|getkeys time
    shutdown client|caching client|getredir client|no-evict client|no-touch client|pause client|reply client|tracking
    client|trackinginfo client|unblock client|unpause wait waitaof monitor
    subscribe unsubscribe psubscribe punsubscribe ssubscribe sunsubscribe publish spublish pubsub|channels pubsub|numpat
    pubsub|numsub pubsub|shardchannels pubsub|shardnumsub
    debug lolwut memory|usage memory|stats copy move swapdb lastsave dump restore object|encoding object|freq object|idletime object|refcount
    geoadd geodist geohash geopos georadius georadius_ro georadiusbymember georadiusbymember_ro geosearch geosearchstore
    sort sort_ro";

/// The facts by full name.
fn facts() -> BTreeMap<String, Fact> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/commands.json");
    let all: Vec<Fact> = serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap();
    all.into_iter().map(|fact| (fact["name"].as_str().unwrap().to_owned(), fact)).collect()
}

fn resp3(server: &Server) -> Client {
    let mut client = server.connect();
    client.run("HELLO 3");
    client
}

/// Names of COMMAND LIST, subcommands as `container|name`. Those of loaded modules are left out.
fn reported(client: &mut Client) -> BTreeSet<String> {
    let mut names = client.run("COMMAND LIST").items().iter().map(Value::text).collect::<BTreeSet<_>>();
    if !is_torc() {
        let facts = facts();
        names.retain(|name| facts.contains_key(name));
    }
    names
}

/// Strings of a list in the facts; absent is empty.
fn strings(fact: &Fact) -> Vec<String> {
    let items = fact.as_array().cloned().unwrap_or_default();
    items.iter().map(|item| item.as_str().unwrap().to_owned()).collect()
}

/// Collects what differs, so that one run shows everything.
#[derive(Default)]
struct Differences(Vec<String>);

impl Differences {
    fn check(&mut self, what: &str, wanted: impl std::fmt::Debug, got: impl std::fmt::Debug) {
        let (wanted, got) = (format!("{wanted:?}"), format!("{got:?}"));
        if wanted != got {
            self.0.push(format!("{what}: wanted {wanted}, got {got}"));
        }
    }

    #[track_caller]
    fn report(self) {
        assert!(self.0.is_empty(), "{} differences:\n{}", self.0.len(), self.0.join("\n"));
    }
}

#[test]
fn every_reported_command_is_a_known_one() {
    let server = Server::start();
    let facts = facts();
    assert_eq!(facts.len(), 405);
    let names = reported(&mut resp3(&server));
    let unknown = names.iter().filter(|name| !facts.contains_key(*name)).collect::<Vec<_>>();
    assert!(unknown.is_empty(), "no such commands in Redis 8.0: {unknown:?}");
    let sentinel = names.iter().filter(|name| facts[*name]["served_by"] == "sentinel only").collect::<Vec<_>>();
    assert!(sentinel.is_empty(), "commands of a sentinel: {sentinel:?}");
}

#[test]
fn everything_that_is_built_is_reported() {
    let server = Server::start();
    let names = reported(&mut resp3(&server));
    let missing = SERVED.split_whitespace().filter(|name| !names.contains(*name)).collect::<Vec<_>>();
    assert!(missing.is_empty(), "not in COMMAND LIST: {missing:?}");
}

#[test]
fn command_info_states_the_facts() {
    let server = Server::start();
    let mut client = resp3(&server);
    let facts = facts();
    let mut differences = Differences::default();
    for name in reported(&mut client) {
        let Some(fact) = facts.get(&name) else { continue };
        let reply = client.command(&["COMMAND", "INFO", &name]).items();
        assert_eq!(reply.len(), 1, "{name}");
        compare_info(&name, fact, &reply[0], &facts, &mut differences);
    }
    differences.report();
}

fn compare_info(name: &str, fact: &Fact, info: &Value, facts: &BTreeMap<String, Fact>, out: &mut Differences) {
    let fields = match info {
        Value::Array(fields) if fields.len() == 10 => fields,
        other => return out.check(name, "ten fields", other.to_string()),
    };
    out.check(&format!("{name} name"), name, fields[0].text());
    out.check(&format!("{name} arity"), fact["arity"].as_i64(), Some(fields[1].integer()));
    out.check(&format!("{name} flags"), strings(&fact["flags"]), set_of(&fields[2]));
    for (index, key) in [(3, "first_key"), (4, "last_key"), (5, "key_step")] {
        out.check(&format!("{name} {key}"), fact[key].as_i64(), Some(fields[index].integer()));
    }
    out.check(&format!("{name} ACL categories"), strings(&fact["acl"]), set_of(&fields[6]));
    out.check(&format!("{name} tips"), strings(&fact["tips"]), set_of(&fields[7]));
    compare_key_specs(name, &fact["key_specs"], &fields[8], out);
    for sub in fields[9].items() {
        let sub_name = sub.items()[0].text();
        match facts.get(&sub_name) {
            Some(sub_fact) if sub_name.starts_with(&format!("{name}|")) => {
                compare_info(&sub_name, sub_fact, &sub, facts, out)
            }
            _ => out.check(&format!("{name} subcommand"), "one of its own", sub_name),
        }
    }
}

/// The members of a RESP3 set in the order they came.
fn set_of(value: &Value) -> Vec<String> {
    match value {
        Value::Set(items) => items.iter().map(Value::text).collect(),
        other => vec![format!("not a set: {other}")],
    }
}

fn compare_key_specs(name: &str, fact: &Fact, got: &Value, out: &mut Differences) {
    let wanted = fact.as_array().cloned().unwrap_or_default();
    let Value::Set(got) = got else { return out.check(&format!("{name} key specs"), "a set", got.to_string()) };
    out.check(&format!("{name} key specs"), wanted.len(), got.len());
    for (index, (wanted, got)) in wanted.iter().zip(got).enumerate() {
        let what = format!("{name} key spec {index}");
        out.check(&format!("{what} flags"), strings(&wanted["flags"]), set_of(&got.field("flags").unwrap()));
        out.check(&format!("{what} notes"), wanted["has_note"] == true, got.field("notes").is_some());
        out.check(&format!("{what} begin"), begin_text(&wanted["begin"]), search_text(got, "begin_search"));
        out.check(&format!("{what} find"), find_text(&wanted["find"]), search_text(got, "find_keys"));
    }
}

/// The facts' `begin` as COMMAND INFO shows it.
fn begin_text(fact: &Fact) -> String {
    match (fact["index"].as_i64(), fact["keyword"].as_str()) {
        (Some(index), _) => format!("\"index\" {{\"index\": :{index}}}"),
        (_, Some(word)) => format!("\"keyword\" {{\"keyword\": \"{word}\", \"startfrom\": :{}}}", fact["startfrom"]),
        _ => "\"unknown\" {}".to_owned(),
    }
}

/// The facts' `find` as COMMAND INFO shows it.
fn find_text(fact: &Fact) -> String {
    let numbers =
        |key: &str| fact[key].as_array().map(|all| all.iter().map(|item| item.as_i64().unwrap()).collect::<Vec<_>>());
    match (numbers("range"), numbers("keynum")) {
        (Some(range), _) => {
            format!("\"range\" {{\"lastkey\": :{}, \"keystep\": :{}, \"limit\": :{}}}", range[0], range[1], range[2])
        }
        (_, Some(num)) => {
            format!("\"keynum\" {{\"keynumidx\": :{}, \"firstkey\": :{}, \"keystep\": :{}}}", num[0], num[1], num[2])
        }
        _ => "\"unknown\" {}".to_owned(),
    }
}

fn search_text(spec: &Value, part: &str) -> String {
    let Some(search) = spec.field(part) else { return "nothing".to_owned() };
    format!("{} {}", search.field("type").unwrap(), search.field("spec").unwrap())
}

#[test]
fn command_docs_state_the_facts() {
    let server = Server::start();
    let mut client = resp3(&server);
    let facts = facts();
    let mut differences = Differences::default();
    for name in reported(&mut client) {
        let Some(fact) = facts.get(&name) else { continue };
        let reply = client.command(&["COMMAND", "DOCS", &name]);
        match reply.field(&name) {
            Some(docs) => compare_docs(&name, fact, &docs, &mut differences),
            None => differences.check(&name, "its documentation", reply.to_string()),
        }
    }
    differences.report();
}

fn compare_docs(name: &str, fact: &Fact, docs: &Value, out: &mut Differences) {
    let text = |key: &str| docs.field(key).map(|value| value.text());
    let summary = text("summary").unwrap_or_default();
    out.check(&format!("{name} summary"), "a sentence", if summary.len() > 9 { "a sentence" } else { &summary });
    out.check(&format!("{name} since"), fact["since"].as_str(), text("since").as_deref());
    out.check(&format!("{name} group"), fact["group"].as_str(), text("group").as_deref());
    out.check(
        &format!("{name} deprecated_since"),
        fact["deprecated_since"].as_str(),
        text("deprecated_since").as_deref(),
    );
    let flags = docs.field("doc_flags").map(|flags| set_of(&flags)).unwrap_or_default();
    out.check(&format!("{name} doc_flags"), strings(&fact["doc_flags"]), flags);
    let replaced_by = text("replaced_by").unwrap_or_default();
    for part in strings(&fact["replaced_by"]) {
        out.check(&format!("{name} replaced_by names {part}"), true, replaced_by.contains(&part));
    }
    let complexity = text("complexity").unwrap_or_default().replace(' ', "");
    for part in fact["complexity"].as_str().unwrap_or_default().split("; ").filter(|part| part.starts_with('O')) {
        out.check(&format!("{name} complexity says {part} in {complexity:?}"), true, complexity.contains(part));
    }
    let history = docs.field("history").map(|history| history.items()).unwrap_or_default();
    let versions = history.iter().map(|entry| entry.items()[0].text()).collect::<Vec<_>>();
    out.check(&format!("{name} history"), strings(&fact["history_versions"]), versions);
    let arguments = docs.field("arguments").map(|arguments| arguments.items()).unwrap_or_default();
    compare_arguments(name, &fact["args"], &arguments, out);
}

fn compare_arguments(what: &str, fact: &Fact, got: &[Value], out: &mut Differences) {
    let wanted = fact.as_array().cloned().unwrap_or_default();
    out.check(&format!("{what} arguments"), wanted.len(), got.len());
    for (wanted, got) in wanted.iter().zip(got) {
        let what = format!("{what}.{}", wanted["name"].as_str().unwrap());
        let text = |key: &str| got.field(key).map(|value| value.text());
        let name = wanted["name"].as_str().map(str::to_lowercase);
        out.check(&format!("{what} name"), name.as_deref(), text("name").as_deref());
        out.check(&format!("{what} type"), wanted["type"].as_str(), text("type").as_deref());
        let token = wanted["token"].as_str().map(str::to_uppercase);
        out.check(&format!("{what} token"), token, text("token"));
        let branch = wanted["type"] == "oneof" || wanted["type"] == "block";
        let display = wanted["display"].as_str().or(name.as_deref()).filter(|_| !branch);
        out.check(&format!("{what} display_text"), display, text("display_text").as_deref());
        for key in ["since", "deprecated_since"] {
            out.check(&format!("{what} {key}"), wanted[key].as_str(), text(key).as_deref());
        }
        let key_spec = got.field("key_spec_index").map(|index| index.integer());
        out.check(&format!("{what} key_spec_index"), wanted["key_spec_index"].as_i64(), key_spec);
        let names = ["optional", "multiple", "multiple_token"];
        let flags = names.into_iter().filter(|name| wanted[*name] == true).map(str::to_owned).collect::<Vec<_>>();
        let got_flags = got.field("flags").map(|flags| set_of(&flags)).unwrap_or_default();
        out.check(&format!("{what} flags"), flags, got_flags);
        let inner = got.field("arguments").map(|arguments| arguments.items()).unwrap_or_default();
        compare_arguments(&what, &wanted["arguments"], &inner, out);
    }
}

#[test]
fn command_counts_and_lists_agree() {
    let server = Server::start();
    let mut client = resp3(&server);
    let count = client.run("COMMAND COUNT").integer();
    let names = client.run("COMMAND LIST").items();
    let top = names.iter().filter(|name| !name.text().contains('|')).count();
    assert_eq!(count as usize, top);
    assert_eq!(client.run("COMMAND").items().len(), top);
    assert_eq!(client.run("COMMAND INFO").items().len(), top);
    assert_eq!(client.run("COMMAND DOCS").items().len(), 2 * top);
    play(
        &server,
        r#"
        COMMAND INFO nosuch                         => [(nil)]
        COMMAND INFO GET nosuch                     => [["get", :2, [+readonly, +fast], :1, :1, :1, [+@read, +@string, +@fast], [], ...
        COMMAND DOCS nosuch                         => []
        COMMAND LIST FILTERBY PATTERN geTRan*       => ["getrange"]
        COMMAND LIST FILTERBY PATTERN client|kil*   => ["client|kill"]
        COMMAND LIST FILTERBY PATTERN nosuch        => []
        COMMAND LIST FILTERBY MODULE nosuch         => []
        COMMAND LIST FILTERBY ACLCAT nosuch         => []
        COMMAND LIST FILTERBY nosuch x              => -ERR syntax error
        COMMAND LIST nosuch                         => -ERR syntax error
        COMMAND nosuch                              => -ERR unknown subcommand 'nosuch'. Try COMMAND HELP.
        COMMAND COUNT x                             => -ERR wrong number of arguments for 'command|count' command
        "#,
    );
    let transaction = client.run("COMMAND LIST FILTERBY ACLCAT transaction").items();
    let mut transaction = transaction.iter().map(Value::text).collect::<Vec<_>>();
    transaction.sort();
    assert_eq!(transaction, ["discard", "exec", "multi", "unwatch", "watch"]);
}

#[test]
fn command_getkeys_finds_the_keys() {
    let server = Server::start();
    play(
        &server,
        r#"
        COMMAND GETKEYS GET a                       => ["a"]
        COMMAND GETKEYS SET a b EX 10               => ["a"]
        COMMAND GETKEYS MSET a 1 b 2 c 3            => ["a", "b", "c"]
        COMMAND GETKEYS MGET a b c                  => ["a", "b", "c"]
        COMMAND GETKEYS RENAME a b                  => ["a", "b"]
        COMMAND GETKEYS LCS a b LEN                 => ["a", "b"]
        COMMAND GETKEYS DEL a                       => ["a"]
        COMMAND GETKEYS PING                        => -ERR The command has no key arguments
        COMMAND GETKEYS GET                         => -ERR Invalid number of arguments specified for command
        COMMAND GETKEYS GET a b                     => -ERR Invalid number of arguments specified for command
        COMMAND GETKEYS NOSUCH a                    => -ERR Invalid command specified
        COMMAND GETKEYS                             => -ERR wrong number of arguments for 'command|getkeys' command
        "#,
    );
}

#[test]
fn the_readme_lists_exactly_the_commands_served() {
    if !is_torc() {
        return skip("the README is about our own server");
    }
    let server = Server::start();
    let served = reported(&mut resp3(&server));
    let text = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let start = text.find("### Commands").expect("README.md has its section of commands");
    let section = &text[start + 3..];
    let section = &section[..section.find("\n##").unwrap_or(section.len())];
    // `CLIENT KILL` in a table row is client|kill.
    let rows = section.lines().filter(|line| line.starts_with('|')).flat_map(|line| line.split('`').skip(1).step_by(2));
    let listed = rows.map(|name| name.to_lowercase().replace(' ', "|")).collect::<BTreeSet<_>>();
    let missing = served.difference(&listed).collect::<Vec<_>>();
    let promised = listed.difference(&served).collect::<Vec<_>>();
    assert!(missing.is_empty() && promised.is_empty(), "not in README: {missing:?}; not served: {promised:?}");
}
