//! Avro's binary encoding for Rust types, and the schema each type has.
//!
//! A type that is [`Wire`] knows its own schema, so encoder and schema cannot drift apart. Decoding
//! expects bytes written with exactly that schema; whoever reads the log translates bytes of another
//! version first. Decoding never panics and never allocates more than the input could hold.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value as Json, json};

/// Why bytes could not be read as the type asked for.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WireError {
    /// The input ended inside a value.
    #[error("the message ends in the middle of a value")]
    Truncated,
    /// A length, index or symbol lies outside what the schema allows.
    #[error("the message does not fit its schema: {0}")]
    Invalid(&'static str),
    /// Bytes are left over after the last field.
    #[error("{0} bytes are left after the last field")]
    Trailing(usize),
}

/// Names already defined while a schema is being written; Avro defines a name once and refers to it after.
#[derive(Debug, Default)]
pub struct Names(BTreeSet<String>);

impl Names {
    /// True the first time a name is asked for.
    pub fn define(&mut self, name: &str) -> bool {
        self.0.insert(name.to_owned())
    }
}

/// A type with an Avro schema and its binary form.
pub trait Wire: Sized {
    /// Appends the binary form.
    fn put(&self, out: &mut Vec<u8>);
    /// Reads one value off the front of `input`.
    fn take(input: &mut &[u8]) -> Result<Self, WireError>;
    /// The Avro schema; named types are spelled out once per `names`.
    fn schema(names: &mut Names) -> Json;
    /// The default that makes adding a field of this type a BACKWARD compatible change, if there is one.
    fn default_json() -> Option<Json> {
        None
    }
}

/// A named record or enum: the unit that is registered under a subject.
pub trait Message: Wire {
    /// The full Avro name, for example `concord.Write`.
    const NAME: &'static str;

    /// The Avro schema as JSON text; the same text every time.
    fn schema_text() -> String {
        Self::schema(&mut Names::default()).to_string()
    }

    /// The binary form, without framing.
    fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(256);
        self.put(&mut out);
        out
    }

    /// Reads exactly one message.
    fn from_bytes(mut input: &[u8]) -> Result<Self, WireError> {
        let value = Self::take(&mut input)?;
        if input.is_empty() { Ok(value) } else { Err(WireError::Trailing(input.len())) }
    }
}

/// Appends a zig-zag variable-length integer, Avro's `int` and `long`.
#[inline]
pub fn put_long(value: i64, out: &mut Vec<u8>) {
    let mut bits = ((value << 1) ^ (value >> 63)) as u64;
    while bits >= 0x80 {
        out.push(bits as u8 | 0x80);
        bits >>= 7;
    }
    out.push(bits as u8);
}

/// Reads what [`put_long`] wrote.
#[inline]
pub fn take_long(input: &mut &[u8]) -> Result<i64, WireError> {
    let (mut bits, mut shift) = (0u64, 0);
    while shift < 64 {
        let (&byte, rest) = input.split_first().ok_or(WireError::Truncated)?;
        *input = rest;
        bits |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok((bits >> 1) as i64 ^ -((bits & 1) as i64));
        }
        shift += 7;
    }
    Err(WireError::Invalid("an integer is longer than 64 bits"))
}

/// Appends length-prefixed bytes, Avro's `bytes` and `string`.
#[inline]
pub fn put_bytes(value: &[u8], out: &mut Vec<u8>) {
    put_long(value.len() as i64, out);
    out.extend_from_slice(value);
}

/// Reads length-prefixed bytes without copying.
#[inline]
pub fn take_bytes<'a>(input: &mut &'a [u8]) -> Result<&'a [u8], WireError> {
    let length = usize::try_from(take_long(input)?).map_err(|_| WireError::Invalid("a negative length"))?;
    if length > input.len() {
        return Err(WireError::Truncated);
    }
    let (head, rest) = input.split_at(length);
    *input = rest;
    Ok(head)
}

/// Reads a length-prefixed string without copying.
#[inline]
pub fn take_str<'a>(input: &mut &'a [u8]) -> Result<&'a str, WireError> {
    std::str::from_utf8(take_bytes(input)?).map_err(|_| WireError::Invalid("text is not UTF-8"))
}

impl Wire for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        let (&byte, rest) = input.split_first().ok_or(WireError::Truncated)?;
        *input = rest;
        match byte {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(WireError::Invalid("a boolean is neither 0 nor 1")),
        }
    }
    fn schema(_: &mut Names) -> Json {
        json!("boolean")
    }
    fn default_json() -> Option<Json> {
        Some(json!(false))
    }
}

impl Wire for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        put_long(*self, out);
    }
    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        take_long(input)
    }
    fn schema(_: &mut Names) -> Json {
        json!("long")
    }
    fn default_json() -> Option<Json> {
        Some(json!(0))
    }
}

impl Wire for i32 {
    fn put(&self, out: &mut Vec<u8>) {
        put_long(i64::from(*self), out);
    }
    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        i32::try_from(take_long(input)?).map_err(|_| WireError::Invalid("an int is longer than 32 bits"))
    }
    fn schema(_: &mut Names) -> Json {
        json!("int")
    }
    fn default_json() -> Option<Json> {
        Some(json!(0))
    }
}

impl Wire for f64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        let (head, rest) = input.split_first_chunk::<8>().ok_or(WireError::Truncated)?;
        *input = rest;
        Ok(f64::from_le_bytes(*head))
    }
    fn schema(_: &mut Names) -> Json {
        json!("double")
    }
    fn default_json() -> Option<Json> {
        Some(json!(0.0))
    }
}

impl Wire for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self.as_bytes(), out);
    }
    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        // Checked where it will stay: that is aligned, which makes it quicker.
        String::from_utf8(take_bytes(input)?.to_vec()).map_err(|_| WireError::Invalid("text is not UTF-8"))
    }
    fn schema(_: &mut Names) -> Json {
        json!("string")
    }
    fn default_json() -> Option<Json> {
        Some(json!(""))
    }
}

impl Wire for Vec<u8> {
    fn put(&self, out: &mut Vec<u8>) {
        put_bytes(self, out);
    }
    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        take_bytes(input).map(<[u8]>::to_vec)
    }
    fn schema(_: &mut Names) -> Json {
        json!("bytes")
    }
    fn default_json() -> Option<Json> {
        Some(json!(""))
    }
}

impl<T: Wire> Wire for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            None => put_long(0, out),
            Some(value) => {
                put_long(1, out);
                value.put(out);
            }
        }
    }
    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        match take_long(input)? {
            0 => Ok(None),
            1 => T::take(input).map(Some),
            _ => Err(WireError::Invalid("an optional value has an unknown branch")),
        }
    }
    fn schema(names: &mut Names) -> Json {
        json!(["null", T::schema(names)])
    }
    fn default_json() -> Option<Json> {
        Some(Json::Null)
    }
}

/// Reads the blocks of an array or map: calls `item` once for each element.
fn take_blocks(input: &mut &[u8], mut item: impl FnMut(&mut &[u8]) -> Result<(), WireError>) -> Result<(), WireError> {
    loop {
        let mut count = take_long(input)?;
        if count == 0 {
            return Ok(());
        }
        if count < 0 {
            // A negative count is followed by the block's size in bytes, which only skippers need.
            take_long(input)?;
            count = count.checked_neg().ok_or(WireError::Invalid("a block count is out of range"))?;
        }
        for _ in 0..count {
            // Elements of zero bytes would let a short message ask for endless work.
            let before = input.len();
            item(input)?;
            if input.len() == before {
                return Err(WireError::Invalid("an array element is empty"));
            }
        }
    }
}

impl<T: Wire> Wire for Vec<T>
where
    T: NotByte,
{
    fn put(&self, out: &mut Vec<u8>) {
        if !self.is_empty() {
            put_long(self.len() as i64, out);
            for item in self {
                item.put(out);
            }
        }
        put_long(0, out);
    }
    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        let mut items = Vec::new();
        take_blocks(input, |input| {
            items.push(T::take(input)?);
            Ok(())
        })?;
        Ok(items)
    }
    fn schema(names: &mut Names) -> Json {
        json!({"type": "array", "items": T::schema(names)})
    }
    fn default_json() -> Option<Json> {
        Some(json!([]))
    }
}

/// Every [`Wire`] type but `u8`, so that `Vec<u8>` can be Avro `bytes`.
pub trait NotByte {}
impl NotByte for bool {}
impl NotByte for i64 {}
impl NotByte for i32 {}
impl NotByte for f64 {}
impl NotByte for String {}
impl<T> NotByte for Option<T> {}
impl<T> NotByte for Vec<T> {}

impl<T: Wire> Wire for BTreeMap<String, T> {
    fn put(&self, out: &mut Vec<u8>) {
        if !self.is_empty() {
            put_long(self.len() as i64, out);
            for (key, value) in self {
                key.put(out);
                value.put(out);
            }
        }
        put_long(0, out);
    }
    fn take(input: &mut &[u8]) -> Result<Self, WireError> {
        let mut entries = BTreeMap::new();
        take_blocks(input, |input| {
            let key = String::take(input)?;
            entries.insert(key, T::take(input)?);
            Ok(())
        })?;
        Ok(entries)
    }
    fn schema(names: &mut Names) -> Json {
        json!({"type": "map", "values": T::schema(names)})
    }
    fn default_json() -> Option<Json> {
        Some(json!({}))
    }
}

/// Declares a struct that is an Avro record: fields in this order, under namespace `concord`.
///
/// Doc comments become Avro docs. Every field whose type has a default gets it, so that fields may be
/// added at any time without breaking readers of older messages.
#[macro_export]
macro_rules! record {
    ($(#[doc = $doc:literal])* pub struct $name:ident { $($(#[doc = $field_doc:literal])* pub $field:ident : $type:ty,)* }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, PartialEq)]
        pub struct $name { $($(#[doc = $field_doc])* pub $field: $type,)* }

        impl $crate::wire::NotByte for $name {}

        impl $crate::wire::Message for $name {
            const NAME: &'static str = concat!("concord.", stringify!($name));
        }

        impl $crate::wire::Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $($crate::wire::Wire::put(&self.$field, out);)*
            }
            fn take(input: &mut &[u8]) -> Result<Self, $crate::wire::WireError> {
                Ok(Self { $($field: $crate::wire::Wire::take(input)?,)* })
            }
            fn schema(names: &mut $crate::wire::Names) -> serde_json::Value {
                if !names.define(stringify!($name)) {
                    return serde_json::json!(concat!("concord.", stringify!($name)));
                }
                let mut fields = Vec::new();
                $(
                    let mut field = serde_json::json!({
                        "name": stringify!($field),
                        "type": <$type as $crate::wire::Wire>::schema(names),
                    });
                    let doc = concat!($($field_doc,)* "");
                    if !doc.is_empty() { field["doc"] = doc.trim().into(); }
                    if let Some(default) = <$type as $crate::wire::Wire>::default_json() { field["default"] = default; }
                    fields.push(field);
                )*
                serde_json::json!({
                    "type": "record",
                    "name": stringify!($name),
                    "namespace": "concord",
                    "doc": concat!($($doc,)* "").trim(),
                    "fields": fields,
                })
            }
        }
    };
}

/// Declares a fieldless enum that is an Avro enum, with its symbol for each variant.
///
/// The first variant is the Avro default, which readers of an older schema see for a symbol they do not know.
#[macro_export]
macro_rules! symbols {
    ($(#[doc = $doc:literal])* pub enum $name:ident { $($(#[doc = $variant_doc:literal])* $variant:ident = $symbol:literal,)* }) => {
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[doc = $variant_doc])* $variant,)* }

        impl $name {
            /// Every variant in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The word used on the log, in pages and in metrics.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $symbol,)* }
            }

            /// The variant a word names.
            pub fn parse(word: &str) -> Option<Self> {
                match word { $($symbol => Some(Self::$variant),)* _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }

        impl $crate::wire::NotByte for $name {}

        impl $crate::wire::Wire for $name {
            fn put(&self, out: &mut Vec<u8>) {
                $crate::wire::put_long(*self as i64, out);
            }
            fn take(input: &mut &[u8]) -> Result<Self, $crate::wire::WireError> {
                usize::try_from($crate::wire::take_long(input)?)
                    .ok()
                    .and_then(|index| Self::ALL.get(index).copied())
                    .ok_or($crate::wire::WireError::Invalid(concat!("unknown symbol of ", stringify!($name))))
            }
            fn schema(names: &mut $crate::wire::Names) -> serde_json::Value {
                if !names.define(stringify!($name)) {
                    return serde_json::json!(concat!("concord.", stringify!($name)));
                }
                serde_json::json!({
                    "type": "enum",
                    "name": stringify!($name),
                    "namespace": "concord",
                    "doc": concat!($($doc,)* "").trim(),
                    "symbols": [$($symbol,)*],
                    "default": Self::ALL[0].as_str(),
                })
            }
        }
    };
}
