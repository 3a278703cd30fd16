//! The engine at the keyboard: runs commands written as words and shows replies as redis-cli does. For tests, the fuzz
//! target and measuring; the server does not use it.

#![forbid(unsafe_code)]

use crate::command::facts::ProcessFacts;
use crate::command::session::{NetFacts, Slot};
use crate::config::Config;
use crate::engine::Engine;
use crate::resp::args::OwnedArgs;
use crate::resp::decode::{Value, decode_all};
use crate::resp::reply::Reply;

/// Slot of the session that [`Engine::run`] works in, far above those that tests choose for their own.
const CONSOLE_SLOT: Slot = Slot(1000);

/// Unix time at which a console engine starts, in microseconds.
pub const CONSOLE_START_US: i64 = 1_700_000_000_000_000;

impl Engine {
    /// An engine with the default configuration whose clock stands at [`CONSOLE_START_US`].
    pub fn for_console() -> Engine {
        Engine::for_console_with(Config::default())
    }

    /// The same with another configuration.
    pub fn for_console_with(config: Config) -> Engine {
        let mut engine = Engine::new(config, ProcessFacts::detached(), 1);
        engine.wake(CONSOLE_START_US);
        engine
    }

    /// Lets time pass.
    pub fn advance_ms(&mut self, ms: i64) {
        let unix_us = self.state.clock.unix_us() + ms * 1000;
        self.wake(unix_us);
    }

    /// Connects a client in `slot` for [`Engine::run_in`].
    pub fn connect(&mut self, slot: u32) -> Slot {
        let net = NetFacts { fd: -1, addr: "?:0".into(), laddr: "?:0".into(), ..NetFacts::default() };
        self.client_connected(Slot(slot), false, net);
        Slot(slot)
    }

    /// Runs one command in a session that lasts, and shows its reply.
    pub fn run<T: AsRef<[u8]>>(&mut self, args: &[T]) -> String {
        if self.console.is_none() {
            self.console = Some(self.connect(CONSOLE_SLOT.0));
        }
        self.run_in(CONSOLE_SLOT, args)
    }

    /// Runs one command of the client in `slot`, and shows its reply.
    pub fn run_in<T: AsRef<[u8]>>(&mut self, slot: Slot, args: &[T]) -> String {
        let values: Vec<String> = self.run_values(slot, args).iter().map(|value| show(value, "")).collect();
        values.join("\n")
    }

    /// Runs one command of the client in `slot` and decodes what it answered: one value, or none.
    pub fn run_values<T: AsRef<[u8]>>(&mut self, slot: Slot, args: &[T]) -> Vec<Value> {
        let mut reply = Reply::new(256);
        let owned = OwnedArgs::from_slices(args);
        let prepared = self.prepare(owned.as_args());
        self.execute(slot, &prepared, || owned.as_args(), &mut reply);
        self.state.settle_stats();
        decode_all(&reply.to_vec()).expect("a reply is well formed").expect("a reply is complete")
    }
}

/// A reply as redis-cli shows it at a terminal; `indent` is what stands before its continuation lines.
fn show(value: &Value, indent: &str) -> String {
    match value {
        Value::Status(text) => String::from_utf8_lossy(text).into_owned(),
        Value::Error(text) => format!("(error) {}", String::from_utf8_lossy(text)),
        Value::Integer(number) => format!("(integer) {number}"),
        Value::Double(text) => format!("(double) {}", String::from_utf8_lossy(text)),
        Value::BigNumber(text) => format!("(big number) {}", String::from_utf8_lossy(text)),
        Value::Boolean(value) => format!("({value})"),
        Value::Null | Value::NullArray => "(nil)".into(),
        Value::Bulk(text) => format!("\"{}\"", text.escape_ascii()),
        Value::Verbatim(_, text) => String::from_utf8_lossy(text).into_owned(),
        Value::Attribute(_, value) => show(value, indent),
        Value::Array(items) | Value::Push(items) => show_items(items, ')', "(empty array)", indent),
        Value::Set(items) => show_items(items, '~', "(empty set)", indent),
        Value::Map(pairs) if pairs.is_empty() => "(empty hash)".into(),
        Value::Map(pairs) => {
            let line = |(index, (key, value)): (usize, &(Value, Value))| {
                let lead = format!("{}# ", index + 1);
                let deeper = format!("{indent}{}", " ".repeat(lead.len()));
                format!("{lead}{} => {}", show(key, &deeper), show(value, &deeper))
            };
            let lines: Vec<String> = pairs.iter().enumerate().map(line).collect();
            lines.join(&format!("\n{indent}"))
        }
    }
}

fn show_items(items: &[Value], mark: char, empty: &str, indent: &str) -> String {
    if items.is_empty() {
        return empty.into();
    }
    let width = items.len().to_string().len();
    let line = |(index, item): (usize, &Value)| {
        let lead = format!("{:>width$}{mark} ", index + 1);
        let deeper = format!("{indent}{}", " ".repeat(lead.len()));
        format!("{lead}{}", show(item, &deeper))
    };
    let lines: Vec<String> = items.iter().enumerate().map(line).collect();
    lines.join(&format!("\n{indent}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_look_like_redis_cli() {
        let bulk = |text: &str| Value::Bulk(text.into());
        assert_eq!(show(&bulk("a\"b\n"), ""), "\"a\\\"b\\n\"");
        assert_eq!(show(&Value::Integer(-3), ""), "(integer) -3");
        let nested = Value::Array(vec![Value::Null, Value::Array(vec![bulk("x"), Value::Status("OK".into())])]);
        assert_eq!(show(&nested, ""), "1) (nil)\n2) 1) \"x\"\n   2) OK");
        assert_eq!(show(&Value::Map(vec![(bulk("k"), Value::Integer(1))]), ""), "1# \"k\" => (integer) 1");
        assert_eq!(show(&Value::Set(vec![]), ""), "(empty set)");
    }
}
