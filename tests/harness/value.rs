//! One reply as a value: RESP2 and RESP3, decoded from bytes, and a notation that tests compare.
//!
//! The notation keeps every distinction that is on the wire: `+OK`, `-ERR text`, `:7`, `"bulk"`, `(nil)` and
//! `(nil array)` of RESP2, `_` of RESP3, `[a, b]`, `{k: v}`, `~[a]`, `>[a]`, `,1.5`, `#t`, `(12`, `=txt:"text"`.

use std::fmt;

/// A decoded reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Status(String),
    Error(String),
    Integer(i64),
    Bulk(Vec<u8>),
    NilBulk,
    NilArray,
    Null,
    Array(Vec<Value>),
    Map(Vec<(Value, Value)>),
    Set(Vec<Value>),
    Push(Vec<Value>),
    Double(String),
    Boolean(bool),
    BigNumber(String),
    Verbatim(String, Vec<u8>),
}

/// `Ok(None)`: the bytes are a beginning of a reply. `Err`: they are no reply at all.
pub(crate) type Decoded = Result<Option<(Value, usize)>, String>;

impl Value {
    /// Decodes the first reply of `bytes` and says how many bytes it took.
    pub(crate) fn decode(bytes: &[u8]) -> Decoded {
        let Some((line, body)) = header(bytes)? else { return Ok(None) };
        let text = &line[1..];
        match line[0] {
            b'+' => done(Value::Status(utf8(text)?), body),
            b'-' => done(Value::Error(utf8(text)?), body),
            b':' => done(Value::Integer(number(text)?), body),
            b',' => done(Value::Double(utf8(text)?), body),
            b'(' => done(Value::BigNumber(utf8(text)?), body),
            b'_' if text.is_empty() => done(Value::Null, body),
            b'#' if text == b"t" => done(Value::Boolean(true), body),
            b'#' if text == b"f" => done(Value::Boolean(false), body),
            b'$' if text == b"-1" => done(Value::NilBulk, body),
            b'*' if text == b"-1" => done(Value::NilArray, body),
            b'$' => payload(bytes, body, number(text)?, |data| Ok(Value::Bulk(data.to_vec()))),
            b'=' => payload(bytes, body, number(text)?, verbatim),
            b'*' => items(bytes, body, number(text)?, Value::Array),
            b'~' => items(bytes, body, number(text)?, Value::Set),
            b'>' => items(bytes, body, number(text)?, Value::Push),
            b'%' => items(bytes, body, number(text)? * 2, |all| {
                let mut all = all.into_iter();
                let mut pairs = Vec::new();
                while let (Some(key), Some(value)) = (all.next(), all.next()) {
                    pairs.push((key, value));
                }
                Value::Map(pairs)
            }),
            _ => Err(format!("no reply begins so: {}", line.escape_ascii())),
        }
    }

    /// The text of a bulk, verbatim or status reply; panics on anything else.
    #[track_caller]
    pub(crate) fn text(&self) -> String {
        match self {
            Value::Bulk(data) | Value::Verbatim(_, data) => String::from_utf8_lossy(data).into_owned(),
            Value::Status(text) => text.clone(),
            other => panic!("no text in {other}"),
        }
    }

    /// The integer; panics on anything else.
    #[track_caller]
    pub(crate) fn integer(&self) -> i64 {
        match self {
            Value::Integer(number) => *number,
            other => panic!("no integer: {other}"),
        }
    }

    /// The items of an array, set or push; a map's keys and values in turn. Panics on anything else.
    #[track_caller]
    pub(crate) fn items(&self) -> Vec<Value> {
        match self {
            Value::Array(items) | Value::Set(items) | Value::Push(items) => items.clone(),
            Value::Map(pairs) => pairs.iter().flat_map(|(key, value)| [key.clone(), value.clone()]).collect(),
            other => panic!("no items in {other}"),
        }
    }

    /// The value under `key` in a map, or in RESP2's flat array of keys and values.
    pub(crate) fn field(&self, key: &str) -> Option<Value> {
        let items = self.items();
        items.chunks(2).find(|pair| pair[0].text() == key).map(|pair| pair[1].clone())
    }
}

fn header(bytes: &[u8]) -> Result<Option<(&[u8], usize)>, String> {
    if bytes.is_empty() {
        return Ok(None);
    }
    match bytes.windows(2).position(|pair| pair == b"\r\n") {
        Some(0) => Err("an empty line is no reply".to_owned()),
        Some(end) => Ok(Some((&bytes[..end], end + 2))),
        None => Ok(None),
    }
}

fn done(value: Value, end: usize) -> Decoded {
    Ok(Some((value, end)))
}

fn utf8(text: &[u8]) -> Result<String, String> {
    Ok(String::from_utf8_lossy(text).into_owned())
}

fn number(text: &[u8]) -> Result<i64, String> {
    let text = utf8(text)?;
    text.parse().map_err(|_| format!("no number: {text:?}"))
}

fn payload(bytes: &[u8], start: usize, len: i64, make: impl Fn(&[u8]) -> Result<Value, String>) -> Decoded {
    let end = start + usize::try_from(len).map_err(|_| format!("negative length {len}"))?;
    if bytes.len() < end + 2 {
        return Ok(None);
    }
    if &bytes[end..end + 2] != b"\r\n" {
        return Err(format!("a payload of {len} bytes does not end in CRLF"));
    }
    done(make(&bytes[start..end])?, end + 2)
}

fn verbatim(data: &[u8]) -> Result<Value, String> {
    if data.len() < 4 || data[3] != b':' {
        return Err("verbatim text without its format".to_owned());
    }
    Ok(Value::Verbatim(utf8(&data[..3])?, data[4..].to_vec()))
}

fn items(bytes: &[u8], start: usize, count: i64, make: impl Fn(Vec<Value>) -> Value) -> Decoded {
    let count = usize::try_from(count).map_err(|_| format!("negative count {count}"))?;
    let mut all = Vec::new();
    let mut at = start;
    for _ in 0..count {
        match Value::decode(&bytes[at..])? {
            Some((value, len)) => {
                all.push(value);
                at += len;
            }
            None => return Ok(None),
        }
    }
    done(make(all), at)
}

impl fmt::Display for Value {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Status(text) => write!(out, "+{text}"),
            Value::Error(text) => write!(out, "-{text}"),
            Value::Integer(number) => write!(out, ":{number}"),
            Value::Bulk(data) => write!(out, "\"{}\"", data.escape_ascii()),
            Value::NilBulk => write!(out, "(nil)"),
            Value::NilArray => write!(out, "(nil array)"),
            Value::Null => write!(out, "_"),
            Value::Array(items) => list(out, "[", items),
            Value::Set(items) => list(out, "~[", items),
            Value::Push(items) => list(out, ">[", items),
            Value::Map(pairs) => {
                write!(out, "{{")?;
                for (index, (key, value)) in pairs.iter().enumerate() {
                    write!(out, "{}{key}: {value}", if index > 0 { ", " } else { "" })?;
                }
                write!(out, "}}")
            }
            Value::Double(text) => write!(out, ",{text}"),
            Value::Boolean(truth) => write!(out, "#{}", if *truth { 't' } else { 'f' }),
            Value::BigNumber(text) => write!(out, "({text}"),
            Value::Verbatim(format, data) => write!(out, "={format}:\"{}\"", data.escape_ascii()),
        }
    }
}

fn list(out: &mut fmt::Formatter<'_>, open: &str, items: &[Value]) -> fmt::Result {
    write!(out, "{open}")?;
    for (index, item) in items.iter().enumerate() {
        write!(out, "{}{item}", if index > 0 { ", " } else { "" })?;
    }
    write!(out, "]")
}
