//! Reads Avro binary by a schema that is only known at run time.
//!
//! Written for event schemas: names are resolved once when the schema is parsed, and a value carries no field names,
//! only places, because bitmaps speak of places. Unknown attributes and logical types are ignored. Reading never
//! panics, and never allocates more than the input could hold.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::wire::{self, Wire, WireError};
use serde_json::Value as Json;

/// One value of an event.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Datum {
    Null,
    Bool(bool),
    Long(i64),
    Double(f64),
    Text(String),
    Bytes(Vec<u8>),
    List(Vec<Datum>),
    /// Values in the order of the record's fields.
    Record(Vec<Datum>),
}

/// A record's name and fields.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct RecordType {
    pub(crate) name: String,
    pub(crate) fields: Vec<FieldType>,
}

/// A field of a record: `doc` tells what kind of Salesforce field it is.
#[derive(Debug, PartialEq)]
pub(crate) struct FieldType {
    pub(crate) name: String,
    pub(crate) doc: String,
    pub(crate) kind: Type,
}

/// An Avro type.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Type {
    Null,
    Bool,
    Long,
    Float,
    Double,
    Text,
    Bytes,
    Fixed(usize),
    Enum(Arc<Vec<String>>),
    Array(Box<Type>),
    Map(Box<Type>),
    Union(Vec<Type>),
    Record(Arc<RecordType>),
}

/// Types may nest this deep.
const MAX_DEPTH: u8 = 32;

impl Type {
    /// Parses a schema.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let json: Json = serde_json::from_str(text).map_err(|error| error.to_string())?;
        parse(&json, "", &mut BTreeMap::new(), 0)
    }

    /// The record inside a type, through a union with null.
    pub(crate) fn record(&self) -> Option<&Arc<RecordType>> {
        match self {
            Self::Record(record) => Some(record),
            Self::Union(branches) => branches.iter().find_map(Self::record),
            _ => None,
        }
    }

    /// Reads exactly one value.
    pub(crate) fn read(&self, mut input: &[u8]) -> Result<Datum, WireError> {
        let value = self.take(&mut input)?;
        if input.is_empty() { Ok(value) } else { Err(WireError::Trailing(input.len())) }
    }

    fn take(&self, input: &mut &[u8]) -> Result<Datum, WireError> {
        Ok(match self {
            Self::Null => Datum::Null,
            Self::Bool => Datum::Bool(bool::take(input)?),
            Self::Long => Datum::Long(wire::take_long(input)?),
            Self::Double => Datum::Double(f64::take(input)?),
            Self::Float => {
                let (head, rest) = input.split_first_chunk::<4>().ok_or(WireError::Truncated)?;
                *input = rest;
                Datum::Double(f64::from(f32::from_le_bytes(*head)))
            }
            Self::Text => Datum::Text(wire::take_str(input)?.to_owned()),
            Self::Bytes => Datum::Bytes(wire::take_bytes(input)?.to_vec()),
            Self::Fixed(size) => {
                let (head, rest) = input.split_at_checked(*size).ok_or(WireError::Truncated)?;
                *input = rest;
                Datum::Bytes(head.to_vec())
            }
            Self::Enum(symbols) => Datum::Text(place(symbols, wire::take_long(input)?)?.clone()),
            Self::Union(branches) => place(branches, wire::take_long(input)?)?.take(input)?,
            Self::Array(item) => {
                let mut items = Vec::new();
                blocks(input, |input| {
                    items.push(item.take(input)?);
                    Ok(())
                })?;
                Datum::List(items)
            }
            Self::Map(item) => {
                let mut items = Vec::new();
                blocks(input, |input| {
                    let key = Datum::Text(wire::take_str(input)?.to_owned());
                    items.push(Datum::Record(vec![key, item.take(input)?]));
                    Ok(())
                })?;
                Datum::List(items)
            }
            Self::Record(record) => Datum::Record(record.fields.iter().map(|field| field.kind.take(input)).collect::<Result<_, _>>()?),
        })
    }
}

fn place<T>(among: &[T], index: i64) -> Result<&T, WireError> {
    usize::try_from(index).ok().and_then(|index| among.get(index)).ok_or(WireError::Invalid("a branch or symbol lies outside the schema"))
}

fn blocks(input: &mut &[u8], mut item: impl FnMut(&mut &[u8]) -> Result<(), WireError>) -> Result<(), WireError> {
    loop {
        let mut count = wire::take_long(input)?;
        if count == 0 {
            return Ok(());
        }
        if count < 0 {
            wire::take_long(input)?;
            count = count.checked_neg().ok_or(WireError::Invalid("a block count is out of range"))?;
        }
        for _ in 0..count {
            let before = input.len();
            item(input)?;
            if input.len() == before {
                return Err(WireError::Invalid("an array element is empty"));
            }
        }
    }
}

type Named = BTreeMap<String, Type>;

fn parse(json: &Json, space: &str, named: &mut Named, depth: u8) -> Result<Type, String> {
    if depth > MAX_DEPTH {
        return Err("the schema is nested too deep".to_owned());
    }
    if let Some(branches) = json.as_array() {
        return Ok(Type::Union(branches.iter().map(|branch| parse(branch, space, named, depth + 1)).collect::<Result<_, _>>()?));
    }
    let word = match json {
        Json::String(word) => word,
        Json::Object(object) => match object.get("type") {
            Some(Json::String(word)) => word,
            Some(inner) => return parse(inner, space, named, depth + 1),
            None => return Err("a type without a \"type\"".to_owned()),
        },
        other => return Err(format!("{other} is not a type")),
    };
    let inner = |key: &str| json.get(key).ok_or_else(|| format!("a {word} without {key:?}"));
    Ok(match word.as_str() {
        "null" => Type::Null,
        "boolean" => Type::Bool,
        "int" | "long" => Type::Long,
        "float" => Type::Float,
        "double" => Type::Double,
        "string" => Type::Text,
        "bytes" => Type::Bytes,
        "array" => Type::Array(Box::new(parse(inner("items")?, space, named, depth + 1)?)),
        "map" => Type::Map(Box::new(parse(inner("values")?, space, named, depth + 1)?)),
        "fixed" => {
            let size = inner("size")?.as_u64().and_then(|size| usize::try_from(size).ok()).ok_or("a fixed without a size")?;
            define(json, space, named, Type::Fixed(size))?
        }
        "enum" => {
            let symbols = inner("symbols")?.as_array().ok_or("an enum without symbols")?;
            let symbols = symbols.iter().map(|symbol| symbol.as_str().unwrap_or_default().to_owned()).collect();
            define(json, space, named, Type::Enum(Arc::new(symbols)))?
        }
        "record" | "error" => {
            let space = json["namespace"].as_str().unwrap_or(space).to_owned();
            let name = inner("name")?.as_str().unwrap_or_default().to_owned();
            let mut fields = Vec::new();
            for field in inner("fields")?.as_array().ok_or("a record without fields")? {
                fields.push(FieldType {
                    name: field["name"].as_str().ok_or("a field without a name")?.to_owned(),
                    doc: field["doc"].as_str().unwrap_or_default().to_owned(),
                    kind: parse(&field["type"], &space, named, depth + 1)?,
                });
            }
            define(json, &space, named, Type::Record(Arc::new(RecordType { name, fields })))?
        }
        name => {
            let full = if name.contains('.') { name.to_owned() } else { format!("{space}.{name}") };
            named.get(&full).or_else(|| named.get(&format!(".{name}"))).cloned().ok_or_else(|| format!("type {name} is not defined"))?
        }
    })
}

fn define(json: &Json, space: &str, named: &mut Named, kind: Type) -> Result<Type, String> {
    let name = json["name"].as_str().ok_or("a named type without a name")?;
    let space = json["namespace"].as_str().unwrap_or(space);
    named.insert(if name.contains('.') { name.to_owned() } else { format!("{space}.{name}") }, kind.clone());
    Ok(kind)
}

#[cfg(test)]
mod tests {
    use apache_avro::types::Value as Avro;
    use apache_avro::writer::datum::GenericDatumWriter;

    use super::*;

    const SCHEMA: &str = r#"{"name":"AccountChangeEvent","namespace":"com.sforce.eventbus","type":"record","fields":[
        {"name":"ChangeEventHeader","type":{"type":"record","name":"ChangeEventHeader","fields":[
            {"name":"recordIds","type":{"type":"array","items":"string"}},
            {"name":"changeType","type":{"type":"enum","name":"ChangeType","symbols":["CREATE","UPDATE"]}},
            {"name":"commitTimestamp","type":"long"}]}},
        {"name":"Name","type":["null","string",{"type":"record","name":"Switchable_PersonName","fields":[
            {"name":"FirstName","type":["null","string"]}]}],"doc":"Data:Switchable_PersonName","default":null},
        {"name":"BillingAddress","type":["null",{"type":"record","name":"Address","fields":[
            {"name":"Street","type":["null","string"]},{"name":"Latitude","type":["null","double"]}]}],"default":null},
        {"name":"ShippingAddress","type":["null","Address"],"default":null},
        {"name":"Active__c","type":["null","boolean"],"default":null}]}"#;

    #[test]
    fn what_another_library_writes_is_read() {
        let schema = apache_avro::Schema::parse_str(SCHEMA).expect("a schema");
        let union = |branch, value| Avro::Union(branch, Box::new(value));
        let value = Avro::Record(vec![
            (
                "ChangeEventHeader".into(),
                Avro::Record(vec![
                    ("recordIds".into(), Avro::Array(vec![Avro::String("001".into()), Avro::String("002".into())])),
                    ("changeType".into(), Avro::Enum(1, "UPDATE".into())),
                    ("commitTimestamp".into(), Avro::Long(1_700_000_000_000)),
                ]),
            ),
            ("Name".into(), union(1, Avro::String("Acme".into()))),
            ("BillingAddress".into(), union(0, Avro::Null)),
            (
                "ShippingAddress".into(),
                union(
                    1,
                    Avro::Record(vec![
                        ("Street".into(), union(1, Avro::String("Grüner Weg".into()))),
                        ("Latitude".into(), union(1, Avro::Double(-1.5))),
                    ]),
                ),
            ),
            ("Active__c".into(), union(1, Avro::Boolean(true))),
        ]);
        let bytes = GenericDatumWriter::builder(&schema).build().expect("a writer").write_value_to_vec(value).expect("bytes");
        let text = |text: &str| Datum::Text(text.to_owned());
        let kind = Type::parse(SCHEMA).expect("our own schema");
        assert_eq!(
            kind.read(&bytes),
            Ok(Datum::Record(vec![
                Datum::Record(vec![Datum::List(vec![text("001"), text("002")]), text("UPDATE"), Datum::Long(1_700_000_000_000)]),
                text("Acme"),
                Datum::Null,
                Datum::Record(vec![text("Grüner Weg"), Datum::Double(-1.5)]),
                Datum::Bool(true),
            ]))
        );
        for end in 0..bytes.len() {
            assert!(kind.read(&bytes[..end]).is_err(), "cut at {end}");
        }
    }

    #[test]
    fn a_schema_that_refers_to_nothing_is_an_error() {
        assert_eq!(
            Type::parse(r#"{"type":"record","name":"A","fields":[{"name":"b","type":"B"}]}"#),
            Err("type B is not defined".to_owned())
        );
        assert!(Type::parse("[[[[").is_err());
    }
}
