//! Users and what they may do, as transcripts of what Redis 8.0 answers.
//!
//! Drives the built binary over sockets; knows nothing of its code.

#![allow(clippy::disallowed_methods, reason = "a test is a real client: it opens sockets and reads the clock")]
#![allow(clippy::unwrap_used, reason = "a test that meets an error has failed")]

mod harness;

use std::fs;

use harness::{Server, play};

#[test]
fn users_are_made_shown_and_removed() {
    play(
        &Server::start(),
        r#"
        ACL WHOAMI                          => "default"
        ACL LIST                            => ["user default on nopass sanitize-payload ~* &* +@all"]
        ACL GETUSER nosuch                  => (nil)
        ACL SETUSER bob                     => +OK
        ACL GETUSER bob                     => ["flags", ["off", "sanitize-payload"], "passwords", [], "commands", "-@all", "keys", "", "channels", "", "selectors", []]
        ACL SETUSER bob on >pass ~f* %R~r* &c +get "(+set ~y)" (+append ~z) => +OK
        ACL GETUSER bob                     => ["flags", ["on", "sanitize-payload"], "passwords", ["d74ff0ee8da3b9806b18c877dbf29bbde50b5bd8e4dad7a3a725000feb82e8f1"], "commands", "-@all +get", "keys", "~f* %R~r*", "channels", "&c", "selectors", [["commands", "-@all +set", "keys", "~y", "channels", ""], ["commands", "-@all +append", "keys", "~z", "channels", ""]]]
        ACL USERS                           => ["bob", "default"]
        ACL LIST                            => ["user bob on sanitize-payload #d74ff0ee8da3b9806b18c877dbf29bbde50b5bd8e4dad7a3a725000feb82e8f1 ~f* %R~r* resetchannels &c -@all +get (~y resetchannels -@all +set) (~z resetchannels -@all +append)", "user default on nopass sanitize-payload ~* &* +@all"]
        ACL SETUSER bob -@all +client|list -client +client|id +select|0 => +OK
        ACL SETUSER bob reset               => +OK
        ACL LIST                            => ["user bob off sanitize-payload resetchannels -@all", "user default on nopass sanitize-payload ~* &* +@all"]
        CONFIG SET acl-pubsub-default allchannels => +OK
        ACL SETUSER al                      => +OK
        ACL DELUSER bob default             => -ERR The 'default' user cannot be removed
        ACL DELUSER bob bob nosuch al       => :2
        ACL USERS                           => ["default"]
        HELLO 3                             => *
        ACL GETUSER default                 => {"flags": ~["on", "nopass", "sanitize-payload"], "passwords": [], "commands": "+@all", "keys": "~*", "channels": "&*", "selectors": []}
        "#,
    );
}

#[test]
fn wrong_rules_change_nothing() {
    play(
        &Server::start(),
        r#"
        ACL SETUSER bob on nopass +get foo  => -ERR Error in ACL SETUSER modifier 'foo': Syntax error
        ACL USERS                           => ["default"]
        ACL SETUSER bob +nosuch             => -ERR Error in ACL SETUSER modifier '+nosuch': Unknown command or category name in ACL
        ACL SETUSER bob +@nosuch            => -ERR Error in ACL SETUSER modifier '+@nosuch': Unknown command or category name in ACL
        ACL SETUSER bob -select|0           => -ERR Error in ACL SETUSER modifier '-select|0': Unknown command or category name in ACL
        ACL SETUSER bob +config|get|port    => -ERR Error in ACL SETUSER modifier '+config|get|port': Allowing first-arg of a subcommand is not supported
        ACL SETUSER bob allkeys ~x          => -ERR Error in ACL SETUSER modifier '~x': Adding a pattern after the * pattern (or the 'allkeys' flag) is not valid and does not have any effect. Try 'resetkeys' to start with an empty list of patterns
        ACL SETUSER bob allchannels &x      => -ERR Error in ACL SETUSER modifier '&x': Adding a pattern after the * pattern (or the 'allchannels' flag) is not valid and does not have any effect. Try 'resetchannels' to start with an empty list of channels
        ACL SETUSER bob "(+set ~y"          => -ERR Unmatched parenthesis in acl selector starting at '(+set ~y'.
        ACL SETUSER bob (on)                => -ERR Error in ACL SETUSER modifier '(on)': Syntax error
        ACL SETUSER bob <nopass             => -ERR Error in ACL SETUSER modifier '<nopass': The password you are trying to remove from the user does not exist
        ACL SETUSER bob #zz                 => -ERR Error in ACL SETUSER modifier '#zz': The password hash must be exactly 64 characters and contain only lowercase hexadecimal characters
        ACL SETUSER "a b" on                => -ERR Usernames can't contain spaces or null characters
        ACL USERS                           => ["default"]
        ACL                                 => -ERR wrong number of arguments for 'acl' command
        ACL SETUSER                         => -ERR wrong number of arguments for 'acl|setuser' command
        ACL NOSUCH                          => -ERR unknown subcommand 'NOSUCH'. Try ACL HELP.
        ACL CAT nosuch                      => -ERR Unknown category 'nosuch'
        ACL CAT a b                         => -ERR unknown subcommand or wrong number of arguments for 'CAT'. Try ACL HELP.
        ACL CAT                             => ["keyspace", "read", "write", "set", "sortedset", "list", "hash", "string", "bitmap", "hyperloglog", "geo", "stream", "pubsub", "admin", "fast", "slow", "blocking", "dangerous", "connection", "transaction", "scripting"]
        ACL GENPASS 0                       => -ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096
        ACL GENPASS 4097                    => -ERR ACL GENPASS argument must be the number of bits for the output password, a positive number up to 4096
        ACL GENPASS x                       => -ERR value is not an integer or out of range
        ACL LOG x                           => -ERR value is not an integer or out of range
        ACL LOG -1                          => []
        ACL LOG 1 2                         => -ERR unknown subcommand or wrong number of arguments for 'LOG'. Try ACL HELP.
        ACL LOAD                            => -ERR This Redis instance is not configured to use an ACL file...
        ACL SAVE                            => -ERR This Redis instance is not configured to use an ACL file...
        "#,
    );
}

#[test]
fn a_password_is_as_long_as_asked() {
    let server = Server::start();
    let mut client = server.connect();
    for (command, digits) in [("ACL GENPASS", 64), ("ACL GENPASS 5", 2), ("ACL GENPASS 4096", 1024)] {
        let (one, two) = (client.run(command).text(), client.run(command).text());
        assert_eq!((one.len(), two.len()), (digits, digits), "{command}");
        assert!(one.bytes().all(|byte| byte.is_ascii_hexdigit()), "{one}");
        assert!(digits == 2 || one != two, "{command}: the same twice");
    }
}

#[test]
fn a_dry_run_says_what_would_be_refused() {
    play(
        &Server::start(),
        r#"
        ACL SETUSER b on nopass +@all ~a* %R~r* %W~w* => +OK
        ACL DRYRUN b get x                  => "User b has no permissions to access the \'x\' key"
        ACL DRYRUN b get a                  => +OK
        ACL DRYRUN b get r                  => +OK
        ACL DRYRUN b get w                  => "User b has no permissions to access the \'w\' key"
        ACL DRYRUN b set r 1                => "User b has no permissions to access the \'r\' key"
        ACL DRYRUN b set w 1                => +OK
        ACL DRYRUN b set w 1 get            => "User b has no permissions to access the \'w\' key"
        ACL DRYRUN b getset w 1             => "User b has no permissions to access the \'w\' key"
        ACL DRYRUN b copy r w               => +OK
        ACL DRYRUN b copy w r               => "User b has no permissions to access the \'w\' key"
        ACL DRYRUN b exists w               => +OK
        ACL DRYRUN b strlen w               => +OK
        ACL DRYRUN b incr w                 => "User b has no permissions to access the \'w\' key"
        ACL DRYRUN b del w                  => +OK
        ACL DRYRUN b keys *                 => +OK
        ACL DRYRUN b scan 0                 => +OK
        ACL DRYRUN b flushall               => +OK
        ACL DRYRUN b append w x             => +OK
        ACL DRYRUN b rename w a             => "User b has no permissions to access the \'w\' key"
        ACL DRYRUN b lcs r w                => "User b has no permissions to access the \'w\' key"
        ACL DRYRUN b mset w 1 x 2           => "User b has no permissions to access the \'x\' key"
        ACL DRYRUN b get                    => -ERR wrong number of arguments for 'get' command
        ACL DRYRUN b nosuch                 => -ERR Command 'nosuch' not found
        ACL DRYRUN b client nosuch          => -ERR Command 'client' not found
        ACL DRYRUN nosuch get x             => -ERR User 'nosuch' not found
        ACL SETUSER s on nopass "(+get ~x)" "(+set ~y)" => +OK
        ACL DRYRUN s get x                  => +OK
        ACL DRYRUN s get y                  => "User s has no permissions to access the \'y\' key"
        ACL DRYRUN s set y 1                => +OK
        ACL DRYRUN s ping                   => "User s has no permissions to run the \'ping\' command"
        ACL DRYRUN s quit                   => +OK
        ACL SETUSER f on nopass +select|0 +config|get +client => +OK
        ACL DRYRUN f select 0               => +OK
        ACL DRYRUN f select 1               => "User f has no permissions to run the \'select\' command"
        ACL DRYRUN f config get x           => +OK
        ACL DRYRUN f config set x y         => "User f has no permissions to run the \'config|set\' command"
        ACL DRYRUN f client list            => +OK
        "#,
    );
}

#[test]
fn a_user_can_do_what_it_may() {
    play(
        &Server::start(),
        r#"
        ACL SETUSER c on >x ~a* +@all -keys => +OK
        b: AUTH c wrong                     => -WRONGPASS invalid username-password pair or user is disabled.
        b: AUTH nosuch x                    => -WRONGPASS invalid username-password pair or user is disabled.
        b: ACL WHOAMI                       => "default"
        b: AUTH c x                         => +OK
        b: ACL WHOAMI                       => "c"
        b: SET a 1                          => +OK
        b: GET b                            => -NOPERM No permissions to access a key
        b: MGET a b                         => -NOPERM No permissions to access a key
        b: KEYS *                           => -NOPERM User c has no permissions to run the 'keys' command
        b: KEYS                             => -ERR wrong number of arguments for 'keys' command
        b: NOSUCH                           => -ERR unknown command...
        b: MULTI                            => +OK
        b: GET b                            => -NOPERM No permissions to access a key
        b: EXEC                             => -EXECABORT Transaction discarded because of previous errors.
        b: MULTI                            => +OK
        b: GET a                            => +QUEUED
        b: INCR a                           => +QUEUED
        ACL SETUSER c -get                  => +OK
        b: EXEC                             => [-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: no permission to execute the command or subcommand, :2]
        b: MULTI                            => +OK
        b: INCR a                           => +QUEUED
        ACL SETUSER c resetkeys             => +OK
        b: EXEC                             => [-NOPERM ACLs rules changed between the moment the transaction was accumulated and the EXEC call. This command is no longer allowed for the following reason: no permission to touch the specified keys]
        b: MULTI                            => +OK
        b: PING                             => +QUEUED
        ACL SETUSER c -exec                 => +OK
        b: EXEC                             => -EXECABORT Transaction discarded because of: NOPERM User c has no permissions to run the 'exec' command
        b: DISCARD                          => -ERR DISCARD without MULTI
        ACL SETUSER c off                   => +OK
        b: PING                             => +PONG
        b: AUTH c x                         => -WRONGPASS invalid username-password pair or user is disabled.
        b: RESET                            => +RESET
        b: ACL WHOAMI                       => "default"
        "#,
    );
}

#[test]
fn the_default_user_may_be_closed() {
    play(
        &Server::start(),
        r#"
        ACL SETUSER admin on >secret +@all ~* => +OK
        AUTH admin secret                   => +OK
        AUTH x                              => -ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?
        ACL SETUSER default off             => +OK
        b: PING                             => -NOAUTH Authentication required.
        b: HELLO 3                          => -NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time
        b: AUTH x                           => -ERR AUTH <password> called without any password configured for the default user. Are you sure your configuration is correct?
        b: HELLO 3 AUTH admin secret SETNAME me => *
        b: ACL WHOAMI                       => "admin"
        b: RESET                            => +RESET
        b: PING                             => -NOAUTH Authentication required.
        ACL SETUSER default on              => +OK
        b: PING                             => +PONG
        CONFIG SET requirepass foo          => +OK
        b: PING                             => -NOAUTH Authentication required.
        b: AUTH foo                         => +OK
        ACL LIST                            => ["user admin on sanitize-payload #2bb80d537b1da3e38bd30361aa855686bde0eacd7162fef6a25fe97bf527a25b ~* resetchannels +@all", "user default on sanitize-payload #2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae ~* &* +@all"]
        CONFIG SET requirepass ""           => +OK
        ACL GETUSER default                 => ["flags", ["on", "nopass", "sanitize-payload"], "passwords", [], "commands", "+@all", "keys", "~*", "channels", "&*", "selectors", []]
        "#,
    );
}

#[test]
fn a_removed_user_is_thrown_out() {
    let server = Server::start();
    let mut admin = server.connect();
    let mut client = server.connect();
    admin.run("ACL SETUSER c on nopass +@all ~*");
    assert_eq!(client.run("AUTH c x").to_string(), "+OK");
    let line = client.run("CLIENT INFO").text();
    assert!(line.contains(" user=c "), "{line}");
    assert_eq!(admin.run("CLIENT KILL USER nosuch").to_string(), "-ERR No such user 'nosuch'");
    assert_eq!(admin.run("CLIENT KILL USER c").to_string(), ":1");
    assert!(client.read_to_close().is_empty());
    let mut client = server.connect();
    client.run("AUTH c x");
    assert_eq!(admin.run("ACL DELUSER c").to_string(), ":1");
    assert!(client.read_to_close().is_empty());
    admin.run("ACL SETUSER d on nopass +@all ~*");
    let mut client = server.connect();
    client.run("AUTH d x");
    assert_eq!(client.run("ACL DELUSER d").to_string(), ":1");
    assert!(client.read_to_close().is_empty(), "who removes itself is thrown out behind the reply");
}

#[test]
fn refusals_are_logged() {
    let server = Server::start();
    let mut admin = server.connect();
    let mut client = server.connect();
    admin.run("ACL SETUSER c on nopass +@all -keys ~a");
    client.run("auth c x");
    for command in ["get b", "GET b", "mget a b", "keys *", "auth nosuch x", "multi", "keys *", "discard"] {
        client.run(command);
    }
    let shown = admin.run("ACL LOG").to_string();
    let start = |reason: &str, context: &str, object: &str, user: &str, count: u32| {
        format!(
            "[\"count\", :{count}, \"reason\", \"{reason}\", \"context\", \"{context}\", \"object\", \"{object}\", \
             \"username\", \"{user}\", \"age-seconds\", "
        )
    };
    for entry in [
        start("command", "multi", "keys", "c", 1),
        start("auth", "toplevel", "auth", "nosuch", 1),
        start("command", "toplevel", "keys", "c", 1),
        start("key", "toplevel", "b", "c", 3),
    ] {
        assert!(shown.contains(&entry), "{entry} in {shown}");
    }
    assert!(shown.contains("\"entry-id\", :0, \"timestamp-created\", :"), "{shown}");
    let stats = admin.run("INFO stats").text();
    for line in ["acl_access_denied_auth:1", "acl_access_denied_cmd:2", "acl_access_denied_key:3"] {
        assert!(stats.contains(line), "{line} in {stats}");
    }
    admin.run("CONFIG SET acllog-max-len 1");
    client.run("get new");
    assert_eq!(admin.run("ACL LOG").items().len(), 1);
    assert_eq!(admin.run("ACL LOG RESET").to_string(), "+OK");
    assert_eq!(admin.run("ACL LOG").to_string(), "[]");
}

#[test]
fn a_file_keeps_the_users() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.acl");
    fs::write(&path, "user bob on >pass ~* +@all\n").unwrap();
    let server = harness::Builder::default().args(&format!("--aclfile {}", path.display())).start();
    let mut admin = server.connect();
    let mut client = server.connect();
    assert_eq!(client.run("AUTH bob pass").to_string(), "+OK");
    assert_eq!(admin.run("ACL USERS").to_string(), "[\"bob\", \"default\"]");
    assert_eq!(admin.run("ACL SETUSER al on nopass +get ~x").to_string(), "+OK");
    assert_eq!(admin.run("ACL SAVE").to_string(), "+OK");
    let saved = fs::read_to_string(&path).unwrap();
    assert_eq!(
        saved,
        "user al on nopass sanitize-payload ~x resetchannels -@all +get\n\
         user bob on sanitize-payload #d74ff0ee8da3b9806b18c877dbf29bbde50b5bd8e4dad7a3a725000feb82e8f1 ~* \
         resetchannels +@all\n\
         user default on nopass sanitize-payload ~* &* +@all\n"
    );
    assert_eq!(admin.run("ACL LOAD").to_string(), "+OK");
    assert_eq!(client.run("ACL WHOAMI").to_string(), "\"bob\"", "nothing changed for bob");
    fs::write(&path, format!("{saved}user al on\nbad line\n")).unwrap();
    let error = admin.run("ACL LOAD").to_string();
    let shown = path.display();
    assert_eq!(
        error,
        format!(
            "-ERR WARNING: Duplicate user 'al' found on line 4. {shown}:5 should start with user keyword followed by \
             the username. WARNING: ACL errors detected, no change to the previously active ACL rules was performed"
        )
    );
    assert_eq!(admin.run("ACL USERS").to_string(), "[\"al\", \"bob\", \"default\"]");
    fs::write(&path, "user al on nopass +get ~x\n").unwrap();
    assert_eq!(admin.run("ACL LOAD").to_string(), "+OK");
    assert!(client.read_to_close().is_empty(), "bob is gone");
    assert_eq!(admin.run("ACL USERS").to_string(), "[\"al\", \"default\"]");
    fs::remove_file(&path).unwrap();
    let error = admin.run("ACL LOAD").to_string();
    assert!(error.starts_with("-ERR Error loading ACLs, opening file '"), "{error}");
}

#[test]
fn a_bad_file_keeps_the_server_from_starting() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.acl");
    fs::write(&path, "user bob on +nosuch\n").unwrap();
    let (status, output) = harness::Builder::default().args(&format!("--aclfile {}", path.display())).refusal();
    assert_eq!(status.code(), Some(1));
    let shown = path.display();
    assert!(
        output.contains(&format!(
            "Aborting Redis startup because of ACL errors: {shown}:1: Error in applying operation '+nosuch': Unknown \
             command or category name in ACL. WARNING: ACL errors detected, no change to the previously active ACL \
             rules was performed"
        )),
        "{}",
        output
    );
}
