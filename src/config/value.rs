//! How one parameter's value is read and written: bounds, units and the exact words of refusal. Pure; any thread. Knows
//! the kinds of values and none of the parameters.

#![forbid(unsafe_code)]

use std::borrow::Cow;
use std::ffi::OsStr;
use std::fmt;
use std::ops::Deref;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::title;
use crate::base::integer::parse_i64;

/// Why a value was refused, in Redis' words.
pub type Reason = Cow<'static, str>;

/// Whether a number is written with a memory unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    /// A plain number.
    One,
    /// Bytes, with an optional unit such as `mb`.
    Bytes,
}

/// What a text must satisfy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TextCheck {
    /// Nothing.
    Any,
    /// A file name without folders, for the snapshot.
    DbFilename,
    /// The same for the append-only file; not empty.
    AofFilename,
    /// The same for its folder; not empty.
    AofDirname,
    /// Letters, digits, hyphens and dots, fewer than 256.
    Hostname,
    /// Characters that a node table can hold.
    Nodename,
    /// Known variables only.
    TitleTemplate,
    /// A locale that sorts by bytes.
    Locale,
}

/// The kind and the bounds of a parameter.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Rule {
    /// `yes` or `no`.
    Bool,
    /// A feature that this server does not have: only `no` is accepted, anything else gets the reason.
    Unavailable(&'static str),
    /// A number within bounds, both included.
    Number {
        /// Least.
        min: i128,
        /// Most.
        max: i128,
        /// How it is written.
        unit: Unit,
    },
    /// A number within bounds that is then silently moved into narrower ones.
    Clamped {
        /// Least accepted.
        min: i128,
        /// Most accepted.
        max: i128,
        /// Least stored.
        low: i128,
        /// Most stored.
        high: i128,
        /// How it is written.
        unit: Unit,
    },
    /// Permission bits.
    Octal {
        /// Most.
        max: u32,
    },
    /// Bytes, or `N%`.
    MemoryOrPercent,
    /// One or more of these words.
    Choice(&'static [&'static str]),
    /// Any bytes that pass the check.
    Text(TextCheck),
    /// A syntax of its own.
    Special,
}

/// A type that a parameter's field can have.
pub trait Value {
    /// Reads `args`; leaves the value alone when it refuses.
    fn set(&mut self, rule: &Rule, args: &[&[u8]]) -> Result<(), Reason>;

    /// The canonical form that CONFIG GET shows.
    fn text(&self, rule: &Rule) -> Vec<u8>;
}

/// The only argument of a parameter that takes one.
pub(super) fn single<'a>(args: &[&'a [u8]]) -> Result<&'a [u8], Reason> {
    match args {
        [arg] => Ok(arg),
        _ => Err("wrong number of arguments".into()),
    }
}

impl Value for bool {
    fn set(&mut self, rule: &Rule, args: &[&[u8]]) -> Result<(), Reason> {
        let arg = single(args)?;
        let on = if arg.eq_ignore_ascii_case(b"yes") {
            true
        } else if arg.eq_ignore_ascii_case(b"no") {
            false
        } else {
            return Err("argument must be 'yes' or 'no'".into());
        };
        if let (true, Rule::Unavailable(reason)) = (on, rule) {
            return Err((*reason).into());
        }
        *self = on;
        Ok(())
    }

    fn text(&self, _rule: &Rule) -> Vec<u8> {
        if *self { b"yes".to_vec() } else { b"no".to_vec() }
    }
}

/// A whole number by its rule.
fn number(rule: &Rule, args: &[&[u8]]) -> Result<i128, Reason> {
    let arg = single(args)?;
    let (min, max, unit) = match *rule {
        Rule::Number { min, max, unit } | Rule::Clamped { min, max, unit, .. } => (min, max, unit),
        Rule::Octal { max } => return octal(arg, max),
        _ => unreachable!("the table gives number fields number rules; a test reads every default"),
    };
    let number = match unit {
        Unit::Bytes => i128::from(memory(arg).ok_or("argument must be a memory value")?),
        Unit::One => i128::from(parse_i64(arg).ok_or("argument couldn't be parsed into an integer")?),
    };
    if !(min..=max).contains(&number) {
        return Err(format!("argument must be between {min} and {max} inclusive").into());
    }
    match *rule {
        Rule::Clamped { low, high, .. } => Ok(number.clamp(low, high)),
        _ => Ok(number),
    }
}

fn octal(arg: &[u8], max: u32) -> Result<i128, Reason> {
    // No digits are zero and blanks before them do not count, as in Redis.
    let text = if arg.is_empty() { Ok("0") } else { std::str::from_utf8(arg).map(str::trim_ascii_start) };
    let number = text.ok().and_then(|text| i64::from_str_radix(text, 8).ok());
    let number = number.ok_or("argument couldn't be parsed as an octal number")?;
    if !(0..=i64::from(max)).contains(&number) {
        return Err(format!("argument must be between 0 and {max:o} inclusive").into());
    }
    Ok(i128::from(number))
}

/// Bytes from digits and an optional unit: `b`, `k` = 1000, `kb` = 1024, and so on. No digits count as zero, and too
/// large a number is the largest one, as in Redis.
pub fn memory(text: &[u8]) -> Option<u64> {
    let digits = text.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let scale: u64 = match text[digits..].to_ascii_lowercase().as_slice() {
        b"" | b"b" => 1,
        b"k" => 1000,
        b"kb" => 1 << 10,
        b"m" => 1_000_000,
        b"mb" => 1 << 20,
        b"g" => 1_000_000_000,
        b"gb" => 1 << 30,
        _ => return None,
    };
    let digit = |sum: u64, byte: &u8| sum.saturating_mul(10).saturating_add(u64::from(byte - b'0'));
    Some(text[..digits].iter().fold(0, digit).saturating_mul(scale))
}

macro_rules! number_values {
    ($($type:ty)*) => {
        $(impl Value for $type {
            fn set(&mut self, rule: &Rule, args: &[&[u8]]) -> Result<(), Reason> {
                let number = number(rule, args)?;
                *self = <$type>::try_from(number).map_err(|_| "argument couldn't be parsed into an integer")?;
                Ok(())
            }

            fn text(&self, rule: &Rule) -> Vec<u8> {
                match rule {
                    Rule::Octal { .. } => format!("{self:o}").into_bytes(),
                    _ => self.to_string().into_bytes(),
                }
            }
        })*
    };
}

number_values! { u16 u32 i32 u64 i64 usize }

/// An amount of memory, absolute or as a part of `maxmemory`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryOrPercent {
    /// Bytes; 0 switches the limit off.
    Bytes(u64),
    /// 1 to 100.
    Percent(u8),
}

impl Default for MemoryOrPercent {
    fn default() -> MemoryOrPercent {
        MemoryOrPercent::Bytes(0)
    }
}

impl Value for MemoryOrPercent {
    fn set(&mut self, _rule: &Rule, args: &[&[u8]]) -> Result<(), Reason> {
        const TOO_MANY: &str = "percentage argument must be less or equal to 100";
        const UNREADABLE: &str = "argument must be a memory or percent value";
        let arg = single(args)?;
        *self = match arg.strip_suffix(b"%") {
            Some(digits) => match parse_i64(digits) {
                Some(0) => MemoryOrPercent::Bytes(0),
                Some(percent @ 1..=100) => MemoryOrPercent::Percent(percent as u8),
                Some(101..) => return Err(TOO_MANY.into()),
                _ => return Err(UNREADABLE.into()),
            },
            None => match memory(arg).ok_or(UNREADABLE)? {
                // Redis keeps percents as negative numbers, so what overflows is taken for one.
                bytes if bytes > i64::MAX as u64 => return Err(TOO_MANY.into()),
                bytes => MemoryOrPercent::Bytes(bytes),
            },
        };
        Ok(())
    }

    fn text(&self, _rule: &Rule) -> Vec<u8> {
        match self {
            MemoryOrPercent::Bytes(bytes) => bytes.to_string().into_bytes(),
            MemoryOrPercent::Percent(percent) => format!("{percent}%").into_bytes(),
        }
    }
}

/// Bytes of any kind: names, paths, passwords. Empty where Redis keeps a null pointer.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Text(Vec<u8>);

impl Text {
    /// The bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The same bytes as a path.
    pub fn as_path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }
}

impl Deref for Text {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl From<&[u8]> for Text {
    fn from(bytes: &[u8]) -> Text {
        Text(bytes.to_vec())
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Text {
        Text(text.as_bytes().to_vec())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Text {
    /// Only the length: passwords are texts too, and what is printed for debugging ends up in logs.
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "Text({} bytes)", self.0.len())
    }
}

impl Value for Text {
    fn set(&mut self, rule: &Rule, args: &[&[u8]]) -> Result<(), Reason> {
        let arg = single(args)?;
        if let Rule::Text(check) = rule {
            check.refuse(arg).map_or(Ok(()), |reason| Err(Reason::from(reason)))?;
        }
        self.0 = arg.to_vec();
        Ok(())
    }

    fn text(&self, _rule: &Rule) -> Vec<u8> {
        self.0.clone()
    }
}

/// Names that a cluster node announces are shorter than this.
const NODE_NAME_LEN_MAX: usize = 256;

/// What the name of a cluster node must not contain.
const NOT_IN_NODE_NAMES: &[u8] = b"\0!#$%&()*+:;<>?@[]^{|}~";

impl TextCheck {
    /// The reason not to take `text`, if there is one.
    fn refuse(self, text: &[u8]) -> Option<&'static str> {
        let has_folder = text.contains(&b'/');
        match self {
            TextCheck::DbFilename if has_folder => Some("dbfilename can't be a path, just a filename"),
            TextCheck::AofFilename if text.is_empty() => Some("appendfilename can't be empty"),
            TextCheck::AofFilename if has_folder => Some("appendfilename can't be a path, just a filename"),
            TextCheck::AofDirname if text.is_empty() => Some("appenddirname can't be empty"),
            TextCheck::AofDirname if has_folder => Some("appenddirname can't be a path, just a dirname"),
            TextCheck::Hostname if text.len() >= NODE_NAME_LEN_MAX => {
                Some("Hostnames must be less than 256 characters")
            }
            TextCheck::Hostname if !text.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-.".contains(byte)) => {
                Some("Hostnames may only contain alphanumeric characters, hyphens or dots")
            }
            TextCheck::Nodename if text.iter().any(|byte| NOT_IN_NODE_NAMES.contains(byte)) => {
                Some("Announced human node name contained invalid character")
            }
            TextCheck::TitleTemplate if !title::is_valid(text) => {
                Some("template format is invalid or contains unknown variables")
            }
            TextCheck::Locale if !matches!(text, b"" | b"C" | b"POSIX" | b"C.UTF-8" | b"C.utf8") => {
                Some("Invalid locale name")
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused<T: Value>(mut value: T, rule: Rule, args: &[&str], reason: &str) {
        let args = args.iter().map(|arg| arg.as_bytes()).collect::<Vec<_>>();
        let before = value.text(&rule);
        assert_eq!(value.set(&rule, &args), Err(Reason::from(reason.to_owned())));
        assert_eq!(value.text(&rule), before, "a refused value leaves the old one");
    }

    #[track_caller]
    fn taken<T: Value>(mut value: T, rule: Rule, arg: &str, text: &str) {
        value.set(&rule, &[arg.as_bytes()]).expect(arg);
        assert_eq!(String::from_utf8_lossy(&value.text(&rule)), text);
    }

    const PORT: Rule = Rule::Number { min: 0, max: 65535, unit: Unit::One };
    const BYTES: Rule = Rule::Number { min: 0, max: u64::MAX as i128, unit: Unit::Bytes };

    #[test]
    fn booleans() {
        taken(false, Rule::Bool, "YES", "yes");
        taken(true, Rule::Bool, "no", "no");
        refused(true, Rule::Bool, &["maybe"], "argument must be 'yes' or 'no'");
        refused(true, Rule::Bool, &["yes", "no"], "wrong number of arguments");
        refused(false, Rule::Unavailable("not here"), &["yes"], "not here");
        taken(false, Rule::Unavailable("not here"), "no", "no");
    }

    #[test]
    fn integers() {
        taken(0u16, PORT, "65535", "65535");
        for text in ["abc", "0x10", " 10", "+10", "010", "", "99999999999999999999"] {
            refused(1u16, PORT, &[text], "argument couldn't be parsed into an integer");
        }
        refused(1u16, PORT, &["65536"], "argument must be between 0 and 65535 inclusive");
        refused(1u16, PORT, &["-1"], "argument must be between 0 and 65535 inclusive");
        refused(1u16, PORT, &[], "wrong number of arguments");
        let clamped = Rule::Clamped { min: 0, max: 2147483647, low: 1, high: 500, unit: Unit::One };
        taken(10u32, clamped, "0", "1");
        taken(10u32, clamped, "10000", "500");
    }

    #[test]
    fn memory_units() {
        for (text, bytes) in [
            ("0", "0"),
            ("", "0"),
            ("7b", "7"),
            ("1k", "1000"),
            ("1Kb", "1024"),
            ("2m", "2000000"),
            ("2MB", "2097152"),
            ("1g", "1000000000"),
            ("1GB", "1073741824"),
            ("99999999999999999999", "18446744073709551615"),
        ] {
            taken(5u64, BYTES, text, bytes);
        }
        for text in ["-1", "x", "1tb", "1.5gb", " 1k", "1kk", "1 k"] {
            refused(5u64, BYTES, &[text], "argument must be a memory value");
        }
        let signed = Rule::Number { min: 0, max: i64::MAX as i128, unit: Unit::Bytes };
        let reason = "argument must be between 0 and 9223372036854775807 inclusive";
        refused(5u64, signed, &["99999999999999999999"], reason);
    }

    #[test]
    fn memory_or_percent() {
        let value = MemoryOrPercent::default();
        for (text, shown) in [("5%", "5%"), ("100%", "100%"), ("0%", "0"), ("1mb", "1048576"), ("5", "5")] {
            taken(value, Rule::MemoryOrPercent, text, shown);
        }
        for text in ["x%", "-1%", "-1", "%", "x"] {
            refused(value, Rule::MemoryOrPercent, &[text], "argument must be a memory or percent value");
        }
        for text in ["101%", "9223372036854775808"] {
            refused(value, Rule::MemoryOrPercent, &[text], "percentage argument must be less or equal to 100");
        }
    }

    #[test]
    fn octal_permissions() {
        let rule = Rule::Octal { max: 0o777 };
        taken(0u32, rule, "755", "755");
        taken(0u32, rule, "0700", "700");
        taken(7u32, rule, "", "0");
        taken(7u32, rule, " 1", "1");
        refused(0u32, rule, &["888"], "argument couldn't be parsed as an octal number");
        for text in ["1000", "-1"] {
            refused(0u32, rule, &[text], "argument must be between 0 and 777 inclusive");
        }
    }

    #[test]
    fn texts() {
        taken(Text::default(), Rule::Text(TextCheck::Any), "a b", "a b");
        for (check, text, reason) in [
            (TextCheck::DbFilename, "a/b", "dbfilename can't be a path, just a filename"),
            (TextCheck::AofFilename, "a/b", "appendfilename can't be a path, just a filename"),
            (TextCheck::AofFilename, "", "appendfilename can't be empty"),
            (TextCheck::AofDirname, "a/b", "appenddirname can't be a path, just a dirname"),
            (TextCheck::AofDirname, "", "appenddirname can't be empty"),
            (TextCheck::Hostname, "a_b", "Hostnames may only contain alphanumeric characters, hyphens or dots"),
            (TextCheck::Nodename, "a:b", "Announced human node name contained invalid character"),
            (TextCheck::TitleTemplate, "{foo}", "template format is invalid or contains unknown variables"),
            (TextCheck::Locale, "nowhere", "Invalid locale name"),
        ] {
            refused(Text::default(), Rule::Text(check), &[text], reason);
        }
        let long = "a".repeat(256);
        refused(
            Text::default(),
            Rule::Text(TextCheck::Hostname),
            &[&long],
            "Hostnames must be less than 256 characters",
        );
        taken(Text::default(), Rule::Text(TextCheck::DbFilename), "", "");
    }

    #[test]
    fn passwords_do_not_show_in_debug_output() {
        assert_eq!(format!("{:?}", Text::from(&b"secret"[..])), "Text(6 bytes)");
    }
}
