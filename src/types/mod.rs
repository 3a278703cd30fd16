//! The values a key can hold. No command knowledge; any one thread.

#![forbid(unsafe_code)]

pub mod string;

use crate::encoding::entry::{self, Entry};
use string::LargeString;

/// A value too big or too structured to lie beside its key.
#[derive(Debug)]
pub enum Value {
    /// A string above `INLINE_MAX` bytes.
    String(LargeString),
}

impl Value {
    /// The type's name, as TYPE answers it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Value::String(_) => "string",
        }
    }

    /// Bytes behind the value, its own box included.
    pub fn memory_usage(&self) -> usize {
        size_of::<Value>()
            + match self {
                Value::String(string) => string.len(),
            }
    }
}

/// A key with its value.
pub type KeyEntry = Entry<Value>;

/// A value on its way into the keyspace.
pub type NewValue<'a> = entry::NewValue<'a, Value>;

/// The operation needs a value of another type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

impl Entry<Value> {
    /// The type's name, as TYPE answers it.
    pub fn type_name(&self) -> &'static str {
        match self.value() {
            entry::Stored::Int(_) | entry::Stored::Inline(_) => "string",
            entry::Stored::Boxed(value) => value.type_name(),
        }
    }

    /// Bytes of key and value together, as MEMORY USAGE counts them (without the table's share).
    pub fn memory_usage(&self) -> usize {
        self.allocation_bytes()
            + match self.value() {
                entry::Stored::Boxed(value) => value.memory_usage(),
                _ => 0,
            }
    }
}
