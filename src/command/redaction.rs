//! Which arguments are secret: MONITOR and the slow log show `(redacted)` in their place.

#![forbid(unsafe_code)]

use crate::command::spec::Command;
use crate::config::is_sensitive;
use crate::resp::args::Args;

/// What stands in the place of a secret.
pub const REDACTED: &[u8] = b"(redacted)";

/// Whether argument `index` of a request must not be shown.
pub fn is_secret(command: &Command, args: Args<'_>, index: usize) -> bool {
    match command.full_name {
        "auth" => index > 0,
        "acl|setuser" => index > 1,
        "hello" => hello_secret(args).is_some_and(|first| index == first || index == first + 1),
        "config|set" => index >= 3 && index % 2 == 1 && is_sensitive(args.get(index - 1)),
        _ => false,
    }
}

/// The first of the two arguments behind HELLO's AUTH.
fn hello_secret(args: Args<'_>) -> Option<usize> {
    let mut at = 2;
    while at + 1 < args.len() {
        let option = args.get(at);
        if option.eq_ignore_ascii_case(b"AUTH") && at + 2 < args.len() {
            return Some(at + 1);
        }
        if !option.eq_ignore_ascii_case(b"SETNAME") {
            return None;
        }
        at += 2;
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::engine::Engine;
    use crate::resp::args::OwnedArgs;

    #[test]
    fn passwords_are_secret() {
        let engine = Engine::for_console();
        for (line, secrets) in [
            ("AUTH x", &[1][..]),
            ("AUTH default x", &[1, 2]),
            ("HELLO 3", &[]),
            ("HELLO 3 AUTH a b", &[3, 4]),
            ("HELLO 3 SETNAME n auth a b", &[5, 6]),
            ("HELLO 3 AUTH a", &[]),
            ("ACL SETUSER bob on >x", &[2, 3, 4]),
            ("GET AUTH", &[]),
            ("CONFIG SET requirepass x port 1 MASTERAUTH y", &[3, 7]),
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let owned = OwnedArgs::from_slices(&words);
            let args = owned.as_args();
            let command = engine.prepare(args).command.expect("a command of this server");
            let found: Vec<usize> = (0..args.len()).filter(|&index| super::is_secret(command, args, index)).collect();
            assert_eq!(found, secrets, "{line}");
        }
    }
}
