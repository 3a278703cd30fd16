//! Users, rules and the log against what redis-server 8.0.6 answers. A small catalog stands in for the commands.

#![forbid(unsafe_code)]

use crate::acl::{
    Access, AclLog, Catalog, Denial, Incident, Patterns, Reason, RuleError, TouchedChannel, TouchedKey, User, UserId,
    Users, merge_selectors,
};

/// Names with their categories; a subcommand follows its container.
struct Toy;

const NAMES: &[(&str, &str)] = &[
    ("get", "read string fast"),
    ("set", "write string slow"),
    ("select", "connection fast"),
    ("ping", "connection fast"),
    ("client", "slow"),
    ("client|list", "admin slow dangerous connection"),
    ("client|id", "slow connection"),
    ("config", "slow"),
    ("config|get", "admin slow dangerous"),
    ("keys", "read keyspace dangerous slow"),
];

const CATEGORIES: &str = "read write string fast slow connection admin dangerous keyspace";

fn id(name: &str) -> usize {
    Toy.find(name.as_bytes()).unwrap_or_else(|| panic!("{name} is in the list"))
}

impl Catalog for Toy {
    fn count(&self) -> usize {
        NAMES.len()
    }

    fn find(&self, full_name: &[u8]) -> Option<usize> {
        NAMES.iter().position(|(name, _)| name.as_bytes().eq_ignore_ascii_case(full_name))
    }

    fn subcommands(&self, command: usize) -> Vec<usize> {
        let start = format!("{}|", NAMES[command].0);
        (0..NAMES.len()).filter(|&other| NAMES[other].0.starts_with(&start)).collect()
    }

    fn is_subcommand(&self, command: usize) -> bool {
        NAMES[command].0.contains('|')
    }

    fn in_category(&self, command: usize, category: &str) -> Option<bool> {
        CATEGORIES
            .split(' ')
            .any(|known| known == category)
            .then(|| NAMES[command].1.split(' ').any(|of| of == category))
    }
}

fn apply(user: &mut User, rules: &[&str]) -> Result<(), RuleError> {
    rules.iter().try_for_each(|rule| user.apply(rule.as_bytes(), Patterns::None, &Toy))
}

fn user(rules: &[&str]) -> User {
    let mut user = User::new(b"u", Patterns::None);
    apply(&mut user, rules).expect("good rules");
    user
}

fn shown(user: &User) -> String {
    String::from_utf8(user.describe()).expect("plain text")
}

fn commands(rules: &[&str]) -> String {
    String::from_utf8(user(rules).own_selector().describe_commands()).expect("plain text")
}

#[test]
fn rules_about_commands_are_shown_shortest() {
    for (rules, expected) in [
        (&[][..], "-@all"),
        (&["+get"], "-@all +get"),
        (&["+get", "-get"], "-@all -get"),
        (&["+@read", "-get", "+get", "+@read"], "-@all +get +@read"),
        (&["+client|list", "-client", "+client|id"], "-@all -client +client|id"),
        (&["+client|list", "-client", "+client|id", "+client"], "-@all +client"),
        (&["+@all", "-client|list", "+config|get"], "+@all -client|list +config|get"),
        (&["-@all", "+select|0", "+select|1"], "-@all +select|0 +select|1"),
        (&["+@all", "-get", "+get|foo", "+set|bar"], "+@all -get +get|foo +set|bar"),
        (&["+GET", "+Set|BAR", "+CLIENT|LIST", "-CLIENT|LIST"], "-@all +get +set|bar -client|list"),
        (&["allcommands", "nocommands"], "-@all"),
        (&["nocommands", "allcommands", "-@all", "+@all", "+get"], "+@all +get"),
        (&["+@STRING", "+@dangerous", "+@string"], "-@all +@dangerous +@string"),
    ] {
        assert_eq!(commands(rules), expected, "{rules:?}");
    }
}

#[test]
fn bad_rules_are_refused() {
    for (rule, error) in [
        ("+nosuch", RuleError::UnknownName),
        ("+@nosuch", RuleError::UnknownName),
        ("+", RuleError::UnknownName),
        ("-", RuleError::UnknownName),
        ("-select|0", RuleError::UnknownName),
        ("+client|nosuch", RuleError::UnknownName),
        ("+|x", RuleError::UnknownName),
        ("-get|foo", RuleError::UnknownName),
        ("+get|", RuleError::Syntax),
        ("+config|get|port", RuleError::FirstArgOfSubcommand),
        ("+config|get|port|x", RuleError::UnknownName),
        ("+get|a|b", RuleError::UnknownName),
        ("foo", RuleError::Syntax),
        (")", RuleError::Syntax),
        ("%~d", RuleError::Syntax),
        ("%RR~x", RuleError::Syntax),
        ("%X~x", RuleError::Syntax),
        ("(on)", RuleError::Syntax),
        ("(>pw)", RuleError::Syntax),
        ("(+nosuch)", RuleError::UnknownName),
        ("<pw", RuleError::NoSuchPassword),
        ("#zz", RuleError::BadDigest),
    ] {
        assert_eq!(apply(&mut user(&[]), &[rule]), Err(error), "{rule}");
    }
    assert_eq!(apply(&mut user(&["allkeys"]), &["~x"]), Err(RuleError::PatternAfterAllKeys));
    assert_eq!(apply(&mut user(&["&*"]), &["&x"]), Err(RuleError::PatternAfterAllChannels));
    assert_eq!(apply(&mut user(&["%R", "", "on", "ON"]), &["clearselectors"]), Ok(()));
}

#[test]
fn a_user_is_shown_as_it_stands_in_a_file() {
    let digest = "d74ff0ee8da3b9806b18c877dbf29bbde50b5bd8e4dad7a3a725000feb82e8f1";
    for (rules, expected) in [
        (&[][..], "off sanitize-payload resetchannels -@all".to_owned()),
        (
            &["on", ">pass", ">pass", "~f*", "+get"],
            format!("on sanitize-payload #{digest} ~f* resetchannels -@all +get"),
        ),
        (&[">pass", "nopass"], "off nopass sanitize-payload resetchannels -@all".into()),
        (&["nopass", "resetpass"], "off sanitize-payload resetchannels -@all".into()),
        (&[">pass", "<pass"], "off sanitize-payload resetchannels -@all".into()),
        (&["%R~a", "%W~b", "%RW~c", "%W~a"], "off sanitize-payload ~a %W~b ~c resetchannels -@all".into()),
        (&["&c", "&d", "&c"], "off sanitize-payload resetchannels &c &d -@all".into()),
        (&["allkeys", "allchannels", "+@all"], "off sanitize-payload ~* &* +@all".into()),
        (
            &["(+set ~y)", "(%R~z +get &q)", "()"],
            "off sanitize-payload resetchannels -@all (~y resetchannels -@all +set) \
             (%R~z resetchannels &q -@all +get) (resetchannels -@all)"
                .into(),
        ),
        (&["on", "+@all", "~*", "(+get)", "reset"], "off sanitize-payload resetchannels -@all".into()),
        (&["skip-sanitize-payload"], "off skip-sanitize-payload resetchannels -@all".into()),
    ] {
        let made = user(rules);
        assert_eq!(shown(&made), expected);
        // What is shown makes the same user again.
        let words: Vec<&[u8]> = expected.split(' ').map(str::as_bytes).collect();
        let mut again = User::new(b"u", Patterns::None);
        for rule in merge_selectors(&words).expect("brackets are closed") {
            again.apply(&rule, Patterns::None, &Toy).expect("a shown rule is good");
        }
        assert_eq!(shown(&again), expected);
    }
    assert_eq!(shown(&User::default_user()), "on nopass sanitize-payload ~* &* +@all");
    assert_eq!(shown(&User::new(b"u", Patterns::All)), "off sanitize-payload &* -@all");
}

#[test]
fn words_of_a_selector_are_joined() {
    let words = |line: &'static str| line.split('_').map(str::as_bytes).collect::<Vec<&[u8]>>();
    let merged = |line| merge_selectors(&words(line)).map(|rules| rules.join(&b'|'));
    assert_eq!(merged("on_(+get_~y_+set)_off"), Ok(b"on|(+get ~y +set)|off".to_vec()));
    assert_eq!(merged("(+get)_(+set)"), Ok(b"(+get)|(+set)".to_vec()));
    assert_eq!(merged("on_(+get_~y"), Err(&b"(+get"[..]));
    assert_eq!(merged("("), Err(&b"("[..]));
}

#[test]
fn passwords_are_compared_by_digest() {
    let mut user = user(&[">one", ">two"]);
    assert!(user.has_password(b"one") && user.has_password(b"two") && !user.has_password(b"three"));
    apply(&mut user, &["<one"]).expect("it is there");
    assert!(!user.has_password(b"one") && !user.has_password(b""));
    apply(&mut user, &["nopass"]).expect("good");
    assert!(user.has_password(b"anything") && user.passwords().len() == 0);
    apply(&mut user, &["resetpass"]).expect("good");
    assert!(!user.has_password(b"anything"));
}

const READ: Access = Access { read: true, write: false };
const WRITE: Access = Access { read: false, write: true };
const NEITHER: Access = Access { read: false, write: false };

fn check(user: &User, command: &str, keys: &[(&'static str, Access)]) -> Result<(), Denial> {
    let touched: Vec<TouchedKey<'_>> = (1..)
        .zip(keys)
        .map(|(index, (key, access))| TouchedKey { index, key: key.as_bytes(), access: *access })
        .collect();
    user.check(id(command), false, keys.first().map(|(key, _)| key.as_bytes()), &touched, &[])
}

#[test]
fn a_request_needs_all_its_keys() {
    let user = user(&["+@all", "~a*", "%R~r*", "%W~w*"]);
    for (keys, expected) in [
        (&[("x", READ)][..], Err(Denial::Key(1))),
        (&[("a", READ), ("a2", WRITE)], Ok(())),
        (&[("r", READ)], Ok(())),
        (&[("r", WRITE)], Err(Denial::Key(1))),
        (&[("w", WRITE)], Ok(())),
        (&[("w", READ)], Err(Denial::Key(1))),
        (&[("w", Access { read: true, write: true })], Err(Denial::Key(1))),
        (&[("w", NEITHER), ("r", NEITHER)], Ok(())),
        (&[("w", WRITE), ("x", WRITE)], Err(Denial::Key(2))),
        (&[], Ok(())),
    ] {
        assert_eq!(check(&user, "get", keys), expected, "{keys:?}");
    }
}

#[test]
fn one_selector_must_allow_all_of_it() {
    let user = user(&["(+get ~x)", "(+set ~y)"]);
    assert_eq!(check(&user, "get", &[("x", READ)]), Ok(()));
    assert_eq!(check(&user, "set", &[("y", WRITE)]), Ok(()));
    assert_eq!(check(&user, "get", &[("y", READ)]), Err(Denial::Key(1)));
    assert_eq!(check(&user, "ping", &[]), Err(Denial::Command));
    assert_eq!(user.check(id("ping"), true, None, &[], &[]), Ok(()), "everybody may");
}

#[test]
fn channels_match_and_patterns_are_compared() {
    let user = user(&["+@all", "~*", "&a*", "(+get &b)", "(+@all &c)"]);
    let check = |names: &[&str], is_pattern| {
        let named = (1..).zip(names);
        let channels: Vec<TouchedChannel<'_>> =
            named.map(|(index, name)| TouchedChannel { index, name: name.as_bytes(), is_pattern }).collect();
        user.check(id("ping"), false, None, &[], &channels)
    };
    assert_eq!(check(&["a1", "a2"], false), Ok(()));
    assert_eq!(check(&["a1", "b"], false), Err(Denial::Channel(2)));
    assert_eq!(check(&["c"], false), Ok(()));
    assert_eq!((check(&["a*"], true), check(&["a1"], true)), (Ok(()), Err(Denial::Channel(1))));
    // Listening needs no command: what any selector allows may go on.
    assert!(user.allows_channel(b"b", false) && user.allows_channel(b"a1", false) && !user.allows_channel(b"d", false));
    assert!(User::default_user().allows_channel(b"*", true));
}

#[test]
fn first_arguments_open_a_command_a_little() {
    let user = user(&["+select|0", "~*"]);
    let select = |word: &str| user.check(id("select"), false, Some(word.as_bytes()), &[], &[]);
    assert_eq!((select("0"), select("1")), (Ok(()), Err(Denial::Command)));
    assert_eq!(user.check(id("select"), false, None, &[], &[]), Err(Denial::Command));
    let mut wider = user.clone();
    apply(&mut wider, &["+select", "-select"]).expect("good");
    assert_eq!(wider.check(id("select"), false, Some(b"0"), &[], &[]), Err(Denial::Command));
}

#[test]
fn containers_take_their_subcommands_along() {
    let some = user(&["+client", "-client|list", "~*"]);
    assert_eq!(check(&some, "client|id", &[]), Ok(()));
    assert_eq!(check(&some, "client|list", &[]), Err(Denial::Command));
    let most = user(&["+@all", "-@dangerous", "~*"]);
    assert_eq!(check(&most, "keys", &[]), Err(Denial::Command));
    assert_eq!(check(&most, "config", &[]), Ok(()));
    assert!(!most.is_unrestricted() && User::default_user().is_unrestricted());
}

#[test]
fn numbers_of_users_last_as_long_as_the_users() {
    let mut users = Users::default();
    let bob = users.put(User::new(b"bob", Patterns::None));
    assert_eq!(users.find(b"default"), Some(UserId::DEFAULT));
    assert_eq!((users.find(b"bob"), users.get(bob).name()), (Some(bob), &b"bob".as_slice().into()));
    assert_eq!(users.remove(b"default"), None);
    assert_eq!(users.remove(b"bob"), Some(bob));
    assert_eq!(users.remove(b"bob"), None);
    assert_eq!(users.put(User::new(b"al", Patterns::None)), bob, "a free number is used again");
    let names: Vec<&[u8]> = users.iter().map(|(_, user)| &**user.name()).collect();
    assert_eq!(names, [&b"al"[..], b"default"]);
    users.set_default_password(b"pw", &Toy);
    assert!(users.get(UserId::DEFAULT).has_password(b"pw") && !users.get(UserId::DEFAULT).needs_no_password());
    users.set_default_password(b"", &Toy);
    assert!(users.get(UserId::DEFAULT).needs_no_password());
}

#[test]
fn a_file_of_users_is_taken_whole_or_not_at_all() {
    let load = |text: &str| Users::load(text.as_bytes(), "u.acl", Patterns::None, &Toy);
    let text = "user bob on nopass sanitize-payload ~k* resetchannels -@all +get (~z resetchannels -@all +set)\n\
                user default off sanitize-payload resetchannels -@all\n";
    let users = load(&format!("\n{text}")).expect("a good file");
    assert_eq!(users.lines().collect::<Vec<_>>().join(&b'\n'), text.trim_end().as_bytes());
    assert_eq!(load("").map(|users| users.iter().len()), Ok(1));
    let tail = "WARNING: ACL errors detected, no change to the previously active ACL rules was performed";
    for (text, error) in [
        ("user x on +bad", "u.acl:1: Error in applying operation '+bad': Unknown command or category name in ACL. "),
        ("user x on\nuser x on", "WARNING: Duplicate user 'x' found on line 2. "),
        ("usr x", "u.acl:1 should start with user keyword followed by the username. "),
        ("\nuser", "u.acl:2 should start with user keyword followed by the username. "),
        ("# comment", "u.acl:1 should start with user keyword followed by the username. "),
        ("user x y", "u.acl:1: Syntax error. "),
        ("user x (+get", "u.acl:1: Unmatched parenthesis in selector definition."),
    ] {
        assert_eq!(load(text).expect_err(text).to_string(), format!("{error}{tail}"));
    }
}

#[test]
fn declared_users_are_checked_and_taken_in() {
    let words = |line: &str| line.split(' ').map(|word| word.as_bytes().to_vec()).collect::<Vec<_>>();
    let check = |line: &str| {
        let words = words(line);
        Users::check_declaration(&words.iter().map(Vec::as_slice).collect::<Vec<_>>(), Patterns::None, &Toy)
    };
    let mut users = Users::default();
    let mut declare = |line: &str| {
        let words = words(line);
        users.declare(&words.iter().map(Vec::as_slice).collect::<Vec<_>>(), Patterns::None, &Toy)
    };
    for line in ["bob", "bob on >x ~a (~b +get)", "bob on +nosuch", "default on nopass"] {
        assert_eq!(check(line), Ok(()), "{line}");
    }
    for (line, named, reason) in [
        ("bob nosuch", "user", "Syntax error"),
        ("bob on nosuch", "bob", "Syntax error"),
        ("bob on (+get ~a) )", "on", "Syntax error"),
        ("bob on (+get", "bob", "Wrong format"),
        ("bob on +get (~a", "on", "Wrong format"),
    ] {
        assert_eq!(check(line), Err(format!("Error in user declaration '{named}': {reason}")), "{line}");
    }
    assert_eq!(declare("bob on +get"), Ok(true));
    assert_eq!(declare("al ~x"), Ok(false));
    let unknown = "Error loading ACL rule '+nosuch' for the user named 'bob': Unknown command or category name in ACL";
    assert_eq!(declare("bob on +nosuch"), Err(unknown.to_owned()));
    assert_eq!(users.iter().len(), 3);
}

#[test]
fn the_same_refusal_is_counted_for_a_minute() {
    let incident = |object: &str| Incident {
        reason: Reason::Key,
        in_multi: false,
        object: object.as_bytes().into(),
        username: b"bob".as_slice().into(),
    };
    let mut log = AclLog::default();
    log.add(incident("a"), b"id=1", 1000, 128);
    log.add(incident("b"), b"id=2", 2000, 128);
    log.add(incident("a"), b"id=3", 3000, 128);
    let rows = |log: &AclLog| log.iter().map(|entry| (entry.id, entry.count, entry.updated_ms)).collect::<Vec<_>>();
    assert_eq!(rows(&log), [(0, 2, 3000), (1, 1, 2000)]);
    assert_eq!(log.iter().next().map(|entry| &*entry.client), Some(&b"id=3"[..]));
    log.add(incident("a"), b"id=3", 63_000, 2);
    assert_eq!(rows(&log), [(2, 1, 63_000), (0, 2, 3000)]);
    log.clear();
    assert_eq!(log.iter().len(), 0);
}
