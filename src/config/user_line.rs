//! `user default` lines. CONFIG REWRITE of every Redis since 6 writes one, so files have it: it is understood where it says
//! no more than `requirepass` does, and refused otherwise, because a server without users must not pretend to have them.
//! Pure; main thread.

#![forbid(unsafe_code)]

use sha2::{Digest, Sha256};

use super::value::Reason;

/// The refusal of anything else.
const REFUSED: &str = "Torc has no ACL users: only a 'user default' line that allows everything, with the password of \
                       requirepass, is supported";

/// How the default user gets in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Password {
    /// No password is asked for.
    None,
    /// The SHA-256 of it in hexadecimal.
    Hash(String),
}

/// The password of a `user` line with these rules.
pub(super) fn read(args: &[&[u8]]) -> Result<Password, Reason> {
    let Some((b"default", rules)) = args.split_first().map(|(name, rules)| (*name, rules)) else {
        return Err(REFUSED.into());
    };
    let (mut on, mut keys, mut channels, mut commands, mut password) = (false, false, false, false, None);
    for rule in rules {
        match *rule {
            b"on" => on = true,
            b"sanitize-payload" => {}
            b"~*" | b"allkeys" => keys = true,
            b"&*" | b"allchannels" => channels = true,
            b"+@all" | b"allcommands" => commands = true,
            b"nopass" if password.is_none() => password = Some(Password::None),
            [b'#', hash @ ..] if password.is_none() => {
                password = Some(Password::Hash(String::from_utf8_lossy(hash).to_ascii_lowercase()));
            }
            _ => return Err(REFUSED.into()),
        }
    }
    match password {
        Some(password) if on && keys && channels && commands => Ok(password),
        _ => Err(REFUSED.into()),
    }
}

/// Whether a line says what `requirepass` says; the refusal where it does not.
pub(super) fn check(password: &Password, requirepass: &[u8]) -> Result<(), Reason> {
    if *password == password_of(requirepass) { Ok(()) } else { Err(REFUSED.into()) }
}

/// The line that says the same as `requirepass`.
pub(super) fn default_user_line(requirepass: &[u8]) -> String {
    match password_of(requirepass) {
        Password::None => "user default on nopass sanitize-payload ~* &* +@all".to_owned(),
        Password::Hash(hash) => format!("user default on sanitize-payload #{hash} ~* &* +@all"),
    }
}

fn password_of(requirepass: &[u8]) -> Password {
    if requirepass.is_empty() {
        return Password::None;
    }
    Password::Hash(Sha256::digest(requirepass).iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Result<Password, Reason> {
        read(&line.split(' ').map(str::as_bytes).collect::<Vec<_>>())
    }

    #[test]
    fn a_line_that_allows_everything_is_understood() {
        assert_eq!(words("default on nopass sanitize-payload ~* &* +@all"), Ok(Password::None));
        assert_eq!(words("default on nopass allkeys allchannels allcommands"), Ok(Password::None));
        let line = default_user_line(b"foo");
        let password = words(line.strip_prefix("user ").expect("a user")).expect("its own line");
        assert_eq!(check(&password, b"foo"), Ok(()));
        assert!(line.contains("#2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae "), "{line}");
        for other in [&b""[..], b"bar"] {
            check(&password, other).expect_err("another password");
        }
    }

    #[test]
    fn anything_less_is_refused() {
        for line in [
            "bob on nopass ~* &* +@all",
            "default off nopass ~* &* +@all",
            "default on nopass ~* &* +@all -get",
            "default on nopass ~a* &* +@all",
            "default on ~* &* +@all",
            "default",
            "default on >foo ~* &* +@all",
        ] {
            words(line).expect_err(line);
        }
    }
}
