//! Field values and the packed form in which a record keeps them.
//!
//! A million accounts must fit in memory, so a record is one byte string: for each field that is not
//! null its number, a tag and the value. Reading a field scans a dozen entries.

use super::id::RecordId;

/// One field's value.
#[derive(Clone, Debug, PartialEq, Default)]
pub(crate) enum Value {
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    Double(f64),
    Text(String),
    Id(RecordId),
    /// Days since 1970-01-01.
    Date(i32),
    /// Milliseconds since 1970, UTC.
    DateTime(i64),
}

impl Value {
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Self::Null)
    }

    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    pub(crate) fn id(&self) -> Option<RecordId> {
        match self {
            Self::Id(id) => Some(*id),
            _ => None,
        }
    }

    pub(crate) fn number(&self) -> Option<f64> {
        match self {
            Self::Double(number) => Some(*number),
            #[expect(clippy::cast_precision_loss, reason = "org integers have at most nine digits")]
            Self::Int(number) => Some(*number as f64),
            _ => None,
        }
    }

    pub(crate) fn datetime(&self) -> Option<i64> {
        match self {
            Self::DateTime(ms) => Some(*ms),
            _ => None,
        }
    }
}

/// A record at rest: packed values and whether it is in the recycle bin.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) deleted: bool,
    bytes: Box<[u8]>,
}

impl Row {
    /// Packs `values`, indexed by field.
    pub(crate) fn pack(values: &[Value], deleted: bool) -> Self {
        let mut bytes = Vec::with_capacity(192);
        for (field, value) in values.iter().enumerate() {
            let tag = match value {
                Value::Null => continue,
                Value::Bool(false) => 1,
                Value::Bool(true) => 2,
                Value::Int(_) => 3,
                Value::Double(_) => 4,
                Value::Text(_) => 5,
                Value::Id(_) => 6,
                Value::Date(_) => 7,
                Value::DateTime(_) => 8,
            };
            varint(&mut bytes, field);
            bytes.push(tag);
            match value {
                Value::Null | Value::Bool(_) => {}
                Value::Int(number) => bytes.extend(number.to_le_bytes()),
                Value::Double(number) => bytes.extend(number.to_le_bytes()),
                Value::Text(text) => {
                    varint(&mut bytes, text.len());
                    bytes.extend(text.as_bytes());
                }
                Value::Id(id) => bytes.extend(id.bytes()),
                Value::Date(days) => bytes.extend(days.to_le_bytes()),
                Value::DateTime(ms) => bytes.extend(ms.to_le_bytes()),
            }
        }
        Self { deleted, bytes: bytes.into_boxed_slice() }
    }

    /// All values, `fields` of them.
    pub(crate) fn unpack(&self, fields: usize) -> Vec<Value> {
        let mut values = vec![Value::Null; fields];
        let mut at = &*self.bytes;
        while let Some((field, value)) = next(&mut at) {
            if let Some(slot) = values.get_mut(field) {
                *slot = value.owned();
            }
        }
        values
    }

    /// Feeds the packed record to a hasher, for entity tags.
    pub(crate) fn hash_into(&self, hasher: &mut impl std::hash::Hasher) {
        hasher.write(&self.bytes);
    }

    /// One value; null when unset.
    pub(crate) fn get(&self, field: usize) -> Value {
        let mut at = &*self.bytes;
        while let Some((found, value)) = next(&mut at) {
            if found == field {
                return value.owned();
            }
            if found > field {
                break;
            }
        }
        Value::Null
    }
}

enum Packed<'a> {
    Value(Value),
    Text(&'a [u8]),
}

impl Packed<'_> {
    fn owned(self) -> Value {
        match self {
            Self::Value(value) => value,
            Self::Text(bytes) => Value::Text(String::from_utf8_lossy(bytes).into_owned()),
        }
    }
}

fn next<'a>(at: &mut &'a [u8]) -> Option<(usize, Packed<'a>)> {
    if at.is_empty() {
        return None;
    }
    let field = unvarint(at)?;
    let tag = take(at, 1)?[0];
    let value = match tag {
        1 => Value::Bool(false),
        2 => Value::Bool(true),
        3 => Value::Int(i64::from_le_bytes(fixed(at)?)),
        4 => Value::Double(f64::from_le_bytes(fixed(at)?)),
        5 => {
            let length = unvarint(at)?;
            return Some((field, Packed::Text(take(at, length)?)));
        }
        6 => Value::Id(RecordId::from_bytes(fixed(at)?)),
        7 => Value::Date(i32::from_le_bytes(fixed(at)?)),
        8 => Value::DateTime(i64::from_le_bytes(fixed(at)?)),
        _ => return None,
    };
    Some((field, Packed::Value(value)))
}

fn take<'a>(at: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (head, rest) = at.split_at_checked(length)?;
    *at = rest;
    Some(head)
}

fn fixed<const N: usize>(at: &mut &[u8]) -> Option<[u8; N]> {
    take(at, N)?.try_into().ok()
}

fn varint(bytes: &mut Vec<u8>, number: usize) {
    let mut rest = number;
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

fn unvarint(at: &mut &[u8]) -> Option<usize> {
    let (mut number, mut shift) = (0, 0);
    loop {
        let byte = take(at, 1)?[0];
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packed_record_gives_back_every_value() {
        let values = vec![
            Value::Null,
            Value::Bool(true),
            Value::Int(-7),
            Value::Double(1.5),
            Value::Text("Ünïcode ".repeat(40)),
            Value::Id(RecordId::new(*b"001", 42)),
            Value::Date(-1),
            Value::DateTime(1_647_534_086_000),
            Value::Bool(false),
        ];
        let row = Row::pack(&values, false);
        assert_eq!(row.unpack(values.len()), values);
        for (field, value) in values.iter().enumerate() {
            assert_eq!(&row.get(field), value);
        }
    }
}
