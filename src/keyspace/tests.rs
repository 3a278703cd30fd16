//! Databases against a plain map, step by step in time, and the rules one by one.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::base::rng::Rng;
use crate::base::siphash::SipKey;
use crate::types::NewValue;
use crate::types::hash::{Hash, HashLimits};
use crate::types::set::{Set, SetLimits};
use crate::types::string::StringRef;

/// One database under short names: keys are text, and the time stands in a field.
struct Shell {
    db: Database,
    now_ms: i64,
}

impl Shell {
    fn new() -> Shell {
        Shell { db: Keyspace::new(1, 42).dbs.remove(0), now_ms: 1000 }
    }

    fn set(&mut self, key: &str, value: &str, expire: SetExpire) -> bool {
        let hash = self.db.hash(key.as_bytes());
        self.db.set(key.as_bytes(), hash, NewValue::string(value.as_bytes()), expire, self.now_ms)
    }

    fn get(&mut self, key: &str) -> Option<String> {
        let hash = self.db.hash(key.as_bytes());
        let entry = self.db.get(key.as_bytes(), hash, self.now_ms)?;
        Some(String::from_utf8(entry.as_string().unwrap().to_cow().into_owned()).unwrap())
    }

    fn expire_of(&mut self, key: &str) -> Option<Option<i64>> {
        let hash = self.db.hash(key.as_bytes());
        self.db.expire_of(key.as_bytes(), hash, self.now_ms)
    }

    fn set_expire(&mut self, key: &str, expire_ms: Option<i64>) -> bool {
        let hash = self.db.hash(key.as_bytes());
        let now_ms = self.now_ms;
        self.db.exists(key.as_bytes(), hash, now_ms) && self.db.set_expire(key.as_bytes(), hash, expire_ms)
    }

    fn remove(&mut self, key: &str) -> bool {
        let hash = self.db.hash(key.as_bytes());
        self.db.remove(key.as_bytes(), hash, self.now_ms)
    }

    fn rename(&mut self, from: &str, to: &str) -> bool {
        let (from_hash, to_hash) = (self.db.hash(from.as_bytes()), self.db.hash(to.as_bytes()));
        self.db.rename((from.as_bytes(), from_hash), (to.as_bytes(), to_hash), self.now_ms)
    }

    fn append(&mut self, key: &str, tail: &str) -> usize {
        let hash = self.db.hash(key.as_bytes());
        self.db.update_string(key.as_bytes(), hash, self.now_ms, |string| string.append(tail.as_bytes())).unwrap()
    }

    fn expire_cycle(&mut self, keys_max: usize) -> ExpireReport {
        self.db.expire_cycle(self.now_ms, ExpireBudget { keys_max, is_over: &mut || false })
    }

    fn scan_all(&mut self, count: usize) -> BTreeSet<Vec<u8>> {
        let mut keys = BTreeSet::new();
        let mut cursor = 0;
        loop {
            cursor = self.db.scan(cursor, count, self.now_ms, |entry| _ = keys.insert(entry.key().to_vec()));
            if cursor == 0 {
                return keys;
            }
        }
    }
}

#[test]
fn set_treats_the_expiry_as_told() {
    let mut shell = Shell::new();
    assert!(!shell.set("k", "1", SetExpire::At(2000)));
    assert!(shell.set("k", "2", SetExpire::Keep));
    assert_eq!(shell.expire_of("k"), Some(Some(2000)));
    assert!(shell.set("k", "3", SetExpire::At(3000)));
    assert_eq!(shell.expire_of("k"), Some(Some(3000)));
    assert_eq!(shell.db.expires_len(), 1);
    assert!(shell.set("k", "4", SetExpire::Clear));
    assert_eq!(shell.expire_of("k"), Some(None));
    assert_eq!(shell.db.expires_len(), 0);
    assert!(!shell.set("new", "5", SetExpire::Keep));
    assert_eq!(shell.expire_of("new"), Some(None));
}

#[test]
fn an_expired_key_is_removed_counted_and_reported_by_whoever_comes_upon_it() {
    let mut shell = Shell::new();
    shell.db.observe_expired(true);
    shell.set("a", "1", SetExpire::At(1500));
    shell.set("b", "1", SetExpire::At(1500));
    shell.now_ms = 1500;
    assert!(shell.get("a").is_some(), "a key lives through the millisecond of its expiry");
    shell.now_ms = 1501;
    let (key, hash) = (b"a", shell.db.hash(b"a"));
    assert_eq!(shell.db.state_of(key, hash, 1501), KeyState::Expired);
    assert!(!shell.db.has_expired());
    assert!(shell.get("a").is_none());
    assert_eq!(shell.db.state_of(key, hash, 1501), KeyState::Absent);
    assert!(!shell.set("b", "2", SetExpire::Keep), "an expired key is not there to keep anything of");
    assert_eq!(shell.expire_of("b"), Some(None));
    assert!(shell.db.has_expired());
    let expired = |key: &[u8]| Expired { key: key.into(), what: ExpiredPart::Key };
    assert_eq!(shell.db.take_expired(), [expired(b"a"), expired(b"b")]);
    assert!(!shell.db.has_expired());
    assert_eq!((shell.db.expired_count(), shell.db.expires_len(), shell.db.len()), (2, 0, 1));
    shell.db.observe_expired(false);
    shell.set("c", "1", SetExpire::At(1500));
    assert!(shell.get("c").is_none());
    assert!(!shell.db.has_expired());
}

#[test]
fn rename_carries_the_expiry_and_replaces_the_target() {
    let mut shell = Shell::new();
    shell.set("a", "1", SetExpire::At(5000));
    shell.set("b", "2", SetExpire::At(6000));
    assert!(shell.rename("a", "b"));
    assert_eq!(shell.get("b").as_deref(), Some("1"));
    assert_eq!(shell.expire_of("b"), Some(Some(5000)));
    assert_eq!((shell.db.len(), shell.db.expires_len()), (1, 1));
    assert!(!shell.rename("a", "c"));
    assert!(shell.rename("b", "b"));
    shell.now_ms = 5001;
    assert!(!shell.rename("b", "c"));
    assert_eq!((shell.db.len(), shell.db.expires_len()), (0, 0));
}

#[test]
fn a_string_guard_creates_reads_and_changes_with_one_lookup() {
    let mut shell = Shell::new();
    let hash = shell.db.hash(b"k");
    let mut string = shell.db.string_mut(b"k", hash, 1000).unwrap();
    assert!(string.current().is_none());
    string.set_int(41);
    assert!(matches!(string.current(), Some(StringRef::Int(41))));
    string.set_int(42);
    assert_eq!(string.append(b"x"), 3);
    assert_eq!(string.set_range(5, b"y"), 6);
    assert_eq!(string.len(), 6);
    assert_eq!(shell.get("k").as_deref(), Some("42x\0\0y"));
    let hash = shell.db.hash(b"new");
    let len = shell.db.update_string(b"new", hash, 1000, |string| string.set_range(600, b"y"));
    assert_eq!(len, Ok(601));
    assert_eq!(shell.append("new", "z"), 602);
    assert_eq!(shell.append("int", "12"), 2);
    let hash = shell.db.hash(b"int");
    assert_eq!(shell.db.get(b"int", hash, 1000).unwrap().string_encoding(), Ok("int"));
}

#[test]
fn string_changes_leave_the_expiry_alone() {
    let mut shell = Shell::new();
    shell.set("k", "1", SetExpire::At(5000));
    shell.append("k", "2");
    let hash = shell.db.hash(b"k");
    shell.db.get_mut(b"k", hash, 1000).unwrap().set_int(7);
    shell.append("k", &"x".repeat(1000));
    assert_eq!(shell.expire_of("k"), Some(Some(5000)));
    assert_eq!(shell.db.expires_len(), 1);
}

#[test]
fn active_expiry_goes_on_while_much_is_stale_and_stops_when_little_is() {
    let mut shell = Shell::new();
    for number in 0..2000 {
        shell.set(&format!("stale{number}"), "v", SetExpire::At(1500));
    }
    for number in 0..200 {
        shell.set(&format!("fresh{number}"), "v", SetExpire::At(11_600));
    }
    shell.now_ms = 1600;
    let report = shell.expire_cycle(usize::MAX);
    assert!(report.expired > 1500 && !report.stopped, "{report:?}");
    assert_eq!(shell.db.expires_len() + report.expired, 2200);
    assert!((5_000..=10_000).contains(&shell.db.avg_ttl()), "{}", shell.db.avg_ttl());
    // Fresh keys only: one slice is enough.
    while shell.expire_cycle(usize::MAX).expired > 0 {}
    assert!(shell.expire_cycle(usize::MAX).sampled < 40);
    shell.now_ms = 20_000;
    while shell.db.expires_len() > 0 {
        shell.expire_cycle(usize::MAX);
    }
    assert_eq!((shell.db.len(), shell.db.avg_ttl(), shell.db.expired_count()), (0, 0, 2200));
    assert_eq!(shell.expire_cycle(usize::MAX), ExpireReport::default());
}

#[test]
fn active_expiry_keeps_to_its_budget() {
    let mut shell = Shell::new();
    for number in 0..1000 {
        shell.set(&format!("key{number}"), "v", SetExpire::At(1500));
    }
    shell.now_ms = 1600;
    let report = shell.expire_cycle(100);
    assert!(report.stopped && (100..150).contains(&report.expired), "{report:?}");
    let mut calls = 0;
    let budget = ExpireBudget {
        keys_max: usize::MAX,
        is_over: &mut || {
            calls += 1;
            calls == 3
        },
    };
    let report = shell.db.expire_cycle(1600, budget);
    assert!(report.stopped && (60..120).contains(&report.expired), "{report:?}");
}

#[test]
fn a_cycle_over_all_databases_goes_on_where_the_last_one_stopped() {
    let mut keyspace = Keyspace::new(4, 1);
    for index in 0..4 {
        for number in 0..100u32 {
            let key = number.to_le_bytes();
            let hash = keyspace.hash(&key);
            keyspace.db_mut(index).set(&key, hash, NewValue::Int(1), SetExpire::At(10), 0);
        }
    }
    let mut calls = 0;
    while keyspace.iter().any(|db| !db.is_empty()) {
        let report = keyspace.expire_cycle(20, ExpireBudget { keys_max: 40, is_over: &mut || false });
        assert!(report.sampled < 80, "{report:?}");
        calls += 1;
        assert!(calls < 30);
    }
}

#[test]
fn flushes_empty_at_once_and_leave_the_rest_as_garbage() {
    let mut keyspace = Keyspace::new(3, 7);
    for index in 0..2 {
        for number in 0..1000u32 {
            let key = number.to_le_bytes();
            let hash = keyspace.hash(&key);
            keyspace.db_mut(index).set(&key, hash, NewValue::bytes(&[b'v'; 700]), SetExpire::At(10), 0);
        }
    }
    let mut garbage = keyspace.flush_db(0);
    assert!(keyspace.db(0).is_empty() && keyspace.db(0).expires_len() == 0);
    assert_eq!((garbage.len(), keyspace.db(1).len()), (1000, 1000));
    let (mut left, mut slices) = (true, 0);
    while left {
        let before = garbage.len();
        left = garbage.drop_some(100);
        slices += 1;
        assert!(before - garbage.len() < 150, "{before} {}", garbage.len());
        assert_eq!(left, !garbage.is_empty(), "what the keys had goes before them");
    }
    assert!(slices > 10, "{slices}");
    let garbage = keyspace.flush_all();
    assert_eq!(garbage.len(), 1000);
    assert!(std::thread::scope(|scope| scope.spawn(move || drop(garbage)).join()).is_ok());
}

#[test]
fn big_values_of_a_flushed_database_go_in_slices() {
    const MEMBERS: usize = 10_000;
    let mut keyspace = Keyspace::new(1, 7);
    for number in 0..3u32 {
        let key = number.to_le_bytes();
        let hash = keyspace.hash(&key);
        let limits = SetLimits { ints: 0, pack: 0, value: 0, key: SipKey::new(1, 2) };
        let mut set = Set::for_member(b"a", 1, &limits);
        (1..MEMBERS).for_each(|number| _ = set.add(format!("member {number}").as_bytes(), &limits));
        keyspace.db_mut(0).put(hash, KeyEntry::new(&key, NewValue::of(set.into()), None), 0);
    }
    let mut garbage = keyspace.flush_all();
    let mut slices = 0;
    while garbage.drop_some(100) {
        slices += 1;
        assert!(garbage.len() <= 3 && slices < 3 * MEMBERS);
    }
    // A page of members is one part: that is about ten of them.
    assert!(slices >= 3 * MEMBERS / 100 / 20, "{slices} slices");
    assert!(garbage.is_empty());
}

#[test]
fn values_are_left_for_later_as_the_rules_say() {
    let off = LazyRules::default();
    let (by_server, by_time) = (LazyRules { server_del: true, ..off }, LazyRules { expire: true, ..off });
    let mut keyspace = Keyspace::new(2, 7);
    let limits = SetLimits { ints: 0, pack: 0, value: 0, key: keyspace.hash_key() };
    let hash = keyspace.hash(b"k");
    let fill = |db: &mut Database, members: u32| {
        let mut set = Set::for_member(b"x", 1, &limits);
        (0..members).for_each(|member| _ = set.add(&member.to_le_bytes(), &limits));
        db.put(hash, KeyEntry::new(b"k", NewValue::of(set.into()), Some(100)), 0);
    };
    type Way = fn(&mut Database, u64);
    let replaced: Way = |db, hash| _ = db.set(b"k", hash, NewValue::Int(1), SetExpire::Keep, 0);
    let replaced_for_good: Way = |db, hash| _ = db.set(b"k", hash, NewValue::Int(1), SetExpire::Clear, 0);
    let put: Way = |db, hash| db.put(hash, KeyEntry::new(b"k", NewValue::Int(1), None), 0);
    let removed: Way = |db, hash| assert!(db.remove(b"k", hash, 0));
    let renamed: Way = |db, hash| {
        let other = db.hash(b"other");
        db.set(b"other", other, NewValue::Int(1), SetExpire::Clear, 0);
        assert!(db.rename((b"other", other), (b"k", hash), 0));
    };
    let found_expired: Way = |db, hash| assert!(!db.exists(b"k", hash, 101));
    let expired: Way = |db, hash| assert!(db.expire_now(b"k", hash, 0));
    let taken: Way = |db, hash| assert!(db.take(b"k", hash, 0).is_some());
    let ways = [
        (replaced, by_server),
        (replaced_for_good, by_server),
        (put, by_server),
        (removed, by_server),
        (renamed, by_server),
        (found_expired, by_time),
        (expired, by_time),
        (taken, off),
    ];
    for (index, (way, rule)) in ways.into_iter().enumerate() {
        for rules in [off, by_server, by_time] {
            for (members, big) in [(64, false), (65, true)] {
                assert!(keyspace.set_lazy(rules).is_empty());
                fill(keyspace.db_mut(1), members);
                way(keyspace.db_mut(1), hash);
                let left = usize::from(big && rules.any() && rules == rule);
                assert_eq!(keyspace.left_behind_len(), left, "way {index}, {rules:?}, {members} members");
                assert_eq!(keyspace.take_left_behind().len(), left);
                keyspace.db_mut(1).take(b"k", hash, 0);
            }
        }
    }
    keyspace.set_lazy(by_server);
    fill(keyspace.db_mut(0), 100);
    removed(keyspace.db_mut(0), hash);
    assert_eq!(keyspace.set_lazy(off).len(), 1, "what waits when the rules end is handed over");
}

#[test]
fn swap_exchanges_contents() {
    let mut keyspace = Keyspace::new(2, 7);
    let hash = keyspace.hash(b"k");
    keyspace.db_mut(0).set(b"k", hash, NewValue::Int(1), SetExpire::Clear, 0);
    keyspace.swap(0, 1);
    assert!(!keyspace.db_mut(0).exists(b"k", hash, 0));
    assert!(keyspace.db_mut(1).exists(b"k", hash, 0));
}

#[test]
fn random_keys_are_live_ones() {
    let mut shell = Shell::new();
    for number in 0..50 {
        shell.set(&format!("stale{number}"), "v", SetExpire::At(1500));
    }
    shell.set("live", "v", SetExpire::Clear);
    shell.now_ms = 1600;
    let mut rng = Rng::seeded(5);
    let found = shell.db.random_key(&mut rng, 1600).map(|entry| entry.key().to_vec());
    assert_eq!(found.as_deref(), Some(&b"live"[..]));
    shell.remove("live");
    assert!(shell.db.random_key(&mut rng, 1600).is_none());
    assert!(shell.db.is_empty());
}

/// While expired keys are kept, none is answered as long as there are others.
#[test]
fn a_random_key_is_an_expired_one_only_where_all_are() {
    let mut shell = Shell::new();
    for number in 0..50 {
        shell.set(&format!("stale{number}"), "v", SetExpire::At(1500));
    }
    shell.db.keep_expired(true);
    let mut rng = Rng::seeded(5);
    assert!(shell.db.random_key(&mut rng, 1600).is_some_and(|entry| entry.key().starts_with(b"stale")));
    shell.set("live", "v", SetExpire::Clear);
    let found = shell.db.random_key(&mut rng, 1600).map(|entry| entry.key().to_vec());
    assert_eq!(found.as_deref(), Some(&b"live"[..]));
    assert_eq!(shell.db.len(), 51);
}

#[test]
fn entries_are_stamped_when_made_used_or_overwritten() {
    let mut shell = Shell::new();
    let hash = shell.db.hash(b"k");
    shell.db.set_access(7, None);
    shell.set("k", "1", SetExpire::Clear);
    shell.db.set_access(9, None);
    assert_eq!(shell.db.peek(b"k", hash, 1000).unwrap().lru(), 7);
    shell.set("k", "1", SetExpire::Clear);
    assert_eq!(shell.db.peek(b"k", hash, 1000).unwrap().lru(), 9);
    shell.db.set_access(11, None);
    assert_eq!(shell.expire_of("k"), Some(None));
    assert_eq!(shell.db.peek(b"k", hash, 1000).unwrap().lru(), 9);
    assert_eq!(shell.db.get(b"k", hash, 1000).unwrap().lru(), 11);
}

#[test]
fn two_servers_hash_differently() {
    let (one, other) = (Keyspace::new(1, 1), Keyspace::new(1, 2));
    assert_ne!(one.hash(b"key"), other.hash(b"key"));
    assert_eq!(one.hash(b"key"), one.db(0).hash(b"key"));
}

#[derive(Clone, Debug)]
enum Step {
    Set(u8, String, Option<Option<i64>>),
    Get(u8),
    Remove(u8),
    Rename(u8, u8),
    Expire(u8, Option<i64>),
    Append(u8, String),
    Wait(i64),
    Cycle,
    Cron,
    Scan(usize),
}

fn texts() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,8}", "-?[1-9][0-9]{0,6}", "[a-z]{500,520}"]
}

fn steps() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (any::<u8>(), texts(), any::<Option<Option<u8>>>())
            .prop_map(|(key, text, expire)| Step::Set(key, text, expire.map(|at| at.map(i64::from)))),
        3 => any::<u8>().prop_map(Step::Get),
        2 => any::<u8>().prop_map(Step::Remove),
        1 => any::<(u8, u8)>().prop_map(|(from, to)| Step::Rename(from, to)),
        2 => any::<(u8, Option<u8>)>().prop_map(|(key, at)| Step::Expire(key, at.map(i64::from))),
        2 => (any::<u8>(), texts()).prop_map(|(key, tail)| Step::Append(key, tail)),
        1 => (0i64..40).prop_map(Step::Wait),
        1 => Just(Step::Cycle),
        1 => Just(Step::Cron),
        1 => (1usize..30).prop_map(Step::Scan),
    ]
}

/// What a database is to those who ask it: live keys only.
#[derive(Default)]
struct Model(BTreeMap<String, (String, Option<i64>)>);

impl Model {
    fn expire(&mut self, now_ms: i64) {
        self.0.retain(|_, (_, expire_ms)| expire_ms.is_none_or(|at_ms| now_ms <= at_ms));
    }
}

fn name(key: u8) -> String {
    format!("key:{}", key % 64)
}

fn step(shell: &mut Shell, model: &mut Model, step: Step) {
    let now_ms = shell.now_ms;
    match step {
        Step::Set(key, text, expire) => {
            let key = name(key);
            let (told, expire_ms) = match expire {
                None => (SetExpire::Keep, model.0.get(&key).and_then(|(_, expire_ms)| *expire_ms)),
                Some(None) => (SetExpire::Clear, None),
                Some(Some(after_ms)) => (SetExpire::At(now_ms + after_ms), Some(now_ms + after_ms)),
            };
            assert_eq!(shell.set(&key, &text, told), model.0.contains_key(&key));
            model.0.insert(key, (text, expire_ms));
        }
        Step::Get(key) => {
            let found = shell.get(&name(key));
            assert_eq!(found.as_ref(), model.0.get(&name(key)).map(|(text, _)| text));
            assert_eq!(shell.expire_of(&name(key)), model.0.get(&name(key)).map(|(_, expire_ms)| *expire_ms));
        }
        Step::Remove(key) => assert_eq!(shell.remove(&name(key)), model.0.remove(&name(key)).is_some()),
        Step::Rename(from, to) => {
            let taken = model.0.remove(&name(from));
            assert_eq!(shell.rename(&name(from), &name(to)), taken.is_some());
            if let Some(value) = taken {
                model.0.insert(name(to), value);
            }
        }
        Step::Expire(key, after_ms) => {
            let expire_ms = after_ms.map(|after_ms| now_ms + after_ms);
            let found = model.0.get_mut(&name(key));
            assert_eq!(shell.set_expire(&name(key), expire_ms), found.is_some());
            if let Some(value) = found {
                value.1 = expire_ms;
            }
        }
        Step::Append(key, tail) => {
            let (text, _) = model.0.entry(name(key)).or_default();
            text.push_str(&tail);
            assert_eq!(shell.append(&name(key), &tail), text.len());
        }
        Step::Wait(wait_ms) => shell.now_ms += wait_ms,
        Step::Cycle => _ = shell.expire_cycle(1000),
        Step::Cron => _ = shell.db.step(10),
        Step::Scan(count) => {
            let keys: BTreeSet<Vec<u8>> = model.0.keys().map(|key| key.clone().into_bytes()).collect();
            assert_eq!(shell.scan_all(count), keys);
            assert_eq!(shell.db.len(), keys.len(), "a walk removes what has expired");
        }
    }
}

proptest! {
    #[test]
    fn any_history_agrees_with_a_map(steps in prop::collection::vec(steps(), 0..300)) {
        let mut shell = Shell::new();
        let mut model = Model::default();
        for one in steps {
            model.expire(shell.now_ms);
            step(&mut shell, &mut model, one);
            let expires = shell.db.iter().filter(|entry| entry.expire_ms().is_some()).count();
            prop_assert_eq!(shell.db.expires_len(), expires);
        }
        model.expire(shell.now_ms);
        let now_ms = shell.now_ms;
        prop_assert_eq!(shell.db.iter().filter(|entry| !entry.is_due(now_ms)).count(), model.0.len());
    }
}

/// The hash of a key with fields `f0`, `f1` and so on, which expire one millisecond after the other from 2000 on.
fn timed_hash(db: &mut Database, key: &[u8], fields: usize) {
    let limits = HashLimits { entries: 4, value: 64, key: SipKey::new(1, 2) };
    let mut hash = Hash::default();
    hash.make_timed(&limits);
    for number in 0..fields {
        let name = format!("f{number}");
        hash.set(name.as_bytes(), b"v", &limits);
        hash.set_time(name.as_bytes(), Some(2000 + number as i64), &limits);
    }
    hash.set_listed(hash.next_ms());
    db.put(db.hash(key), KeyEntry::new(key, NewValue::of(hash.into()), None), 1000);
}

#[test]
fn fields_expire_in_order_and_take_their_key_along() {
    let mut keyspace = Keyspace::new(1, 7);
    keyspace.observe_expired(true);
    timed_hash(keyspace.db_mut(0), b"small", 2);
    timed_hash(keyspace.db_mut(0), b"big", 1000);
    let cycle = |keyspace: &mut Keyspace, now_ms, keys_max| {
        keyspace.expire_cycle(now_ms, ExpireBudget { keys_max, is_over: &mut || false })
    };
    assert_eq!(cycle(&mut keyspace, 2000, 100), ExpireReport::default());
    assert_eq!(keyspace.db(0).timed_len(), 2);
    assert_eq!(cycle(&mut keyspace, 2001, 100).fields, 2);
    let expired = |key: &[u8], what| Expired { key: key.into(), what };
    let mut names = keyspace.db_mut(0).take_expired();
    names.sort_by(|left, right| left.key.cmp(&right.key));
    assert_eq!(names, [expired(b"big", ExpiredPart::Fields), expired(b"small", ExpiredPart::Fields)]);
    // One visit of a big hash is bounded, and so are visits.
    let report = cycle(&mut keyspace, 9000, 2);
    assert!(report.stopped && report.fields <= 600, "{report:?}");
    while cycle(&mut keyspace, 9000, 2).stopped {}
    assert_eq!((keyspace.db(0).len(), keyspace.db(0).timed_len(), keyspace.db(0).expired_count()), (0, 0, 0));
    let names = keyspace.db_mut(0).take_expired();
    assert_eq!(names.iter().filter(|it| it.what == ExpiredPart::AllFields).count(), 2);
}

#[test]
fn hashes_are_listed_as_long_as_they_are_there() {
    let mut keyspace = Keyspace::new(2, 7);
    let db = keyspace.db_mut(0);
    timed_hash(db, b"a", 3);
    timed_hash(db, b"a", 9);
    timed_hash(db, b"b", 9);
    assert_eq!(db.timed_len(), 2);
    let (a, b) = (db.hash(b"a"), db.hash(b"b"));
    assert!(db.rename((b"a", a), (b"b", b), 1000));
    assert_eq!(db.timed_len(), 1);
    db.set(b"b", b, NewValue::Int(1), SetExpire::Clear, 1000);
    assert_eq!(db.timed_len(), 0);
    timed_hash(db, b"b", 9);
    db.set_expire(b"b", b, Some(1500));
    assert!(!db.exists(b"b", b, 1501));
    assert_eq!(db.timed_len(), 0);
    timed_hash(db, b"a", 9);
    let mut garbage = keyspace.flush_all();
    assert_eq!(keyspace.db(0).timed_len(), 0);
    while garbage.drop_some(1) {}
    assert!(garbage.is_empty());
}
