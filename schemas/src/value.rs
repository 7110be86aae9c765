//! One value of one field or column.

use serde_json::{Value as Json, json};

use crate::wire::{self, Names, NotByte, Wire, WireError};

/// An exact decimal number in plain notation, such as `-12.50`. Digits after the point are kept as
/// written; two spellings of one number are different `Decimal`s, and comparing numbers is the
/// reader's business.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Decimal(pub String);

/// A value as it travels on the log.
#[derive(Debug, Clone, PartialEq, Default)]
pub enum Value {
    /// No value.
    #[default]
    Null,
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A binary floating-point number; money is a [`Value::Decimal`].
    Double(f64),
    /// Text, also for ids, enums, UUIDs and JSON documents.
    Text(String),
    /// Opaque bytes.
    Bytes(Vec<u8>),
    /// An exact decimal number.
    Decimal(Decimal),
    /// Days since 1970-01-01.
    Date(i32),
    /// Microseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// Several values.
    List(Vec<Value>),
}

impl Value {
    /// Shorthand for a text value.
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }

    /// The text inside, if it is text.
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// True for [`Value::Null`].
    pub fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl NotByte for Value {}

impl Wire for Value {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Self::Null => wire::put_long(0, out),
            Self::Bool(value) => {
                wire::put_long(1, out);
                value.put(out);
            }
            Self::Int(value) => {
                wire::put_long(2, out);
                value.put(out);
            }
            Self::Double(value) => {
                wire::put_long(3, out);
                value.put(out);
            }
            Self::Text(value) => {
                wire::put_long(4, out);
                value.put(out);
            }
            Self::Bytes(value) => {
                wire::put_long(5, out);
                wire::put_bytes(value, out);
            }
            Self::Decimal(value) => {
                wire::put_long(6, out);
                value.0.put(out);
            }
            Self::Date(value) => {
                wire::put_long(7, out);
                value.put(out);
            }
            Self::Timestamp(value) => {
                wire::put_long(8, out);
                value.put(out);
            }
            Self::List(value) => {
                wire::put_long(9, out);
                value.put(out);
            }
        }
    }

    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        take_nested(input, 0)
    }

    fn schema(names: &mut Names) -> Json {
        // A union may hold each unnamed type once, so the types that share a representation are records of one field.
        if !names.define("Value") {
            return json!("concord.Value");
        }
        let one = |name: &str, field: &str, kind: Json| json!({"type": "record", "name": name, "namespace": "concord", "fields": [{"name": field, "type": kind}]});
        json!({"type": "record", "name": "Value", "namespace": "concord", "doc": "one value of one field", "fields": [{"name": "is", "type": [
            "null", "boolean", "long", "double", "string", "bytes",
            one("Decimal", "text", json!("string")),
            one("Date", "days", json!({"type": "int", "logicalType": "date"})),
            one("Timestamp", "micros", json!({"type": "long", "logicalType": "timestamp-micros"})),
            one("List", "items", json!({"type": "array", "items": "concord.Value"})),
        ], "default": null}]})
    }
}

/// Lists may nest this deep; more is refused rather than recursed into.
const MAX_DEPTH: u8 = 8;

fn take_nested(input: &mut &[u8], depth: u8) -> Result<Value, WireError> {
    if depth > MAX_DEPTH {
        return Err(WireError::Invalid("lists are nested too deep"));
    }
    Ok(match wire::take_long(input)? {
        0 => Value::Null,
        1 => Value::Bool(bool::take(input)?),
        2 => Value::Int(i64::take(input)?),
        3 => Value::Double(f64::take(input)?),
        4 => Value::Text(String::take(input)?),
        5 => Value::Bytes(wire::take_bytes(input)?.to_vec()),
        6 => Value::Decimal(Decimal(String::take(input)?)),
        7 => Value::Date(i32::take(input)?),
        8 => Value::Timestamp(i64::take(input)?),
        9 => {
            let mut items = Vec::new();
            loop {
                let mut count = wire::take_long(input)?;
                if count == 0 {
                    break;
                }
                if count < 0 {
                    wire::take_long(input)?;
                    count = count.checked_neg().ok_or(WireError::Invalid("a block count is out of range"))?;
                }
                for _ in 0..count {
                    items.push(take_nested(input, depth + 1)?);
                }
            }
            Value::List(items)
        }
        _ => return Err(WireError::Invalid("unknown kind of value")),
    })
}
