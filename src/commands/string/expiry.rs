//! Expiry times as arguments: the options of SET and GETEX and the rules by which a number becomes a point in time.

#![forbid(unsafe_code)]

use crate::base::integer;
use crate::command::error::{CommandError, NOT_AN_INTEGER, SYNTAX};
use crate::resp::args::Args;

/// What a number of time means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    /// Seconds from now (`EX`).
    Seconds,
    /// Milliseconds from now (`PX`).
    Milliseconds,
    /// Unix seconds (`EXAT`).
    UnixSeconds,
    /// Unix milliseconds (`PXAT`).
    UnixMilliseconds,
}

/// The expiry part of the options. The number is not looked at before the key has been, where the command is GETEX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Expiry {
    /// Not mentioned.
    Unsaid,
    /// `KEEPTTL`.
    Keep,
    /// `PERSIST`.
    Remove,
    /// A time: the argument with the number.
    At(Unit, usize),
}

/// Which of the two option sets is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Grammar {
    /// `NX XX GET KEEPTTL` and a time.
    Set,
    /// `PERSIST` and a time.
    Getex,
}

/// Options of SET and GETEX.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// Store only where there is no key.
    pub(super) if_missing: bool,
    /// Store only where there is a key.
    pub(super) if_exists: bool,
    /// Answer the value that was there.
    pub(super) get: bool,
    /// What happens to the expiry time.
    pub(super) expiry: Expiry,
}

impl Options {
    /// Reads the arguments from `first` on. Every option may be repeated; the last number of a repeated time counts.
    pub(super) fn read(args: Args<'_>, first: usize, grammar: Grammar) -> Result<Options, CommandError> {
        let mut options = Options { if_missing: false, if_exists: false, get: false, expiry: Expiry::Unsaid };
        let mut index = first;
        while index < args.len() {
            let word = args.get(index);
            if let Some(unit) = unit_named(word) {
                let agrees = matches!(options.expiry, Expiry::Unsaid)
                    || matches!(options.expiry, Expiry::At(earlier, _) if earlier == unit);
                index += 1;
                if !agrees || index == args.len() {
                    return Err(SYNTAX);
                }
                options.expiry = Expiry::At(unit, index);
            } else if !options.take_word(word, grammar) {
                return Err(SYNTAX);
            }
            index += 1;
        }
        Ok(options)
    }

    /// Takes an option that is a word by itself; false where it does not fit.
    fn take_word(&mut self, word: &[u8], grammar: Grammar) -> bool {
        let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
        match grammar {
            Grammar::Set if is("NX") && !self.if_exists => self.if_missing = true,
            Grammar::Set if is("XX") && !self.if_missing => self.if_exists = true,
            Grammar::Set if is("GET") => self.get = true,
            Grammar::Set if is("KEEPTTL") && matches!(self.expiry, Expiry::Unsaid | Expiry::Keep) => {
                self.expiry = Expiry::Keep;
            }
            Grammar::Getex if is("PERSIST") && matches!(self.expiry, Expiry::Unsaid | Expiry::Remove) => {
                self.expiry = Expiry::Remove;
            }
            _ => return false,
        }
        true
    }
}

fn unit_named(word: &[u8]) -> Option<Unit> {
    let is = |name: &str| word.eq_ignore_ascii_case(name.as_bytes());
    match word.len() {
        2 if is("EX") => Some(Unit::Seconds),
        2 if is("PX") => Some(Unit::Milliseconds),
        4 if is("EXAT") => Some(Unit::UnixSeconds),
        4 if is("PXAT") => Some(Unit::UnixMilliseconds),
        _ => None,
    }
}

/// The Unix millisecond that `text` means in `unit`. It must be positive and must not overflow.
pub(super) fn deadline_ms(text: &[u8], unit: Unit, now_ms: i64, command: &str) -> Result<i64, CommandError> {
    let number = integer::parse_i64(text).ok_or(NOT_AN_INTEGER)?;
    let ms = match unit {
        Unit::Seconds | Unit::UnixSeconds => number.checked_mul(1000),
        Unit::Milliseconds | Unit::UnixMilliseconds => Some(number),
    };
    let at_ms = match unit {
        Unit::Seconds | Unit::Milliseconds => ms.and_then(|ms| ms.checked_add(now_ms)),
        Unit::UnixSeconds | Unit::UnixMilliseconds => ms,
    };
    at_ms.filter(|_| number > 0).ok_or_else(|| CommandError::expire_time(command))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resp::args::OwnedArgs;

    fn read(line: &str, grammar: Grammar) -> Option<Options> {
        let words: Vec<&str> = line.split_whitespace().collect();
        Options::read(OwnedArgs::from_slices(&words).as_args(), 0, grammar).ok()
    }

    #[test]
    fn options_of_set() {
        let options = read("nx get Ex 5", Grammar::Set).expect("valid");
        assert!(options.if_missing && options.get && !options.if_exists);
        assert_eq!(options.expiry, Expiry::At(Unit::Seconds, 3));
        assert_eq!(read("px 1 px 2", Grammar::Set).map(|o| o.expiry), Some(Expiry::At(Unit::Milliseconds, 3)));
        assert_eq!(read("keepttl KEEPTTL", Grammar::Set).map(|o| o.expiry), Some(Expiry::Keep));
        for refused in ["nx xx", "xx nx", "ex", "ex 1 px 1", "ex 1 keepttl", "keepttl exat 1", "persist", "foo"] {
            assert_eq!(read(refused, Grammar::Set), None, "{refused}");
        }
    }

    #[test]
    fn options_of_getex() {
        assert_eq!(read("persist persist", Grammar::Getex).map(|o| o.expiry), Some(Expiry::Remove));
        assert_eq!(read("pxat 9", Grammar::Getex).map(|o| o.expiry), Some(Expiry::At(Unit::UnixMilliseconds, 1)));
        for refused in ["nx", "get", "keepttl", "persist ex 1", "ex 1 persist", "exat"] {
            assert_eq!(read(refused, Grammar::Getex), None, "{refused}");
        }
    }

    #[test]
    fn times_must_be_positive_and_fit() {
        let at = |text: &str, unit| deadline_ms(text.as_bytes(), unit, 1000, "set");
        assert_eq!(at("5", Unit::Seconds), Ok(6000));
        assert_eq!(at("5", Unit::Milliseconds), Ok(1005));
        assert_eq!(at("5", Unit::UnixSeconds), Ok(5000));
        assert_eq!(at("9223372036854775807", Unit::UnixMilliseconds), Ok(i64::MAX));
        let invalid = Err(CommandError::expire_time("set"));
        for (text, unit) in [
            ("0", Unit::Seconds),
            ("-1", Unit::UnixMilliseconds),
            ("9223372036854775", Unit::Seconds),
            ("9223372036854776", Unit::UnixSeconds),
            ("9223372036854775807", Unit::Milliseconds),
        ] {
            assert_eq!(at(text, unit), invalid, "{text} {unit:?}");
        }
        assert_eq!(at("1x", Unit::Seconds), Err(NOT_AN_INTEGER));
    }
}
