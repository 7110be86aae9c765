//! The Avro schema of an object's change event and the binary encoding of one event.
//!
//! Written by hand: the schema is a fixed shape, and an event is a header, then one union per field.

use serde_json::{Value as Json, json};

use super::Header;
use super::bitmap::parts;
use crate::org::schema::{Field, Kind, Object};
use crate::org::value::Value;

/// The schema of `<Object>ChangeEvent`.
pub(crate) fn schema(definition: &Object) -> String {
    let mut fields = vec![header_schema()];
    let mut defined = Vec::new();
    for index in &definition.event_order {
        fields.push(field_schema(definition, *index, &mut defined));
    }
    json!({"name": definition.event_name(), "namespace": "com.sforce.eventbus", "type": "record", "fields": fields}).to_string()
}

fn header_schema() -> Json {
    let texts = json!({"type": "array", "items": "string"});
    json!({"name": "ChangeEventHeader", "type": {"type": "record", "name": "ChangeEventHeader", "fields": [
        {"name": "entityName", "type": "string"},
        {"name": "recordIds", "type": texts},
        {"name": "changeType", "type": {"type": "enum", "name": "ChangeType", "symbols": ["CREATE", "UPDATE", "DELETE", "UNDELETE", "GAP_CREATE", "GAP_UPDATE", "GAP_DELETE", "GAP_UNDELETE", "GAP_OVERFLOW", "SNAPSHOT"]}},
        {"name": "changeOrigin", "type": "string"},
        {"name": "transactionKey", "type": "string"},
        {"name": "sequenceNumber", "type": "int"},
        {"name": "commitTimestamp", "type": "long"},
        {"name": "commitNumber", "type": "long"},
        {"name": "commitUser", "type": "string"},
        {"name": "nulledFields", "type": texts},
        {"name": "diffFields", "type": texts},
        {"name": "changedFields", "type": texts},
    ]}})
}

fn field_schema(definition: &Object, index: usize, defined: &mut Vec<&'static str>) -> Json {
    let field = &definition.fields[index];
    let types = match field.kind {
        Kind::Address => json!(["null", record("Address", definition, index, defined)]),
        Kind::PersonName => json!(["null", record("PersonName", definition, index, defined)]),
        _ if field.switchable => {
            let part = |name: &str| json!({"name": name, "type": ["null", "string"], "default": null});
            json!(["null", "string", {"type": "record", "name": "Switchable_PersonName", "fields": [part("Salutation"), part("FirstName"), part("LastName")]}])
        }
        _ => json!(["null", primitive(&field.kind)]),
    };
    json!({"name": field.name, "type": types, "doc": doc(field, index), "default": null})
}

fn record(name: &'static str, definition: &Object, compound: usize, defined: &mut Vec<&'static str>) -> Json {
    if defined.contains(&name) {
        return json!(name);
    }
    defined.push(name);
    let fields: Vec<Json> = parts(definition, compound)
        .filter_map(|part| {
            let field = &definition.fields[part];
            field.component.map(|(_, name)| json!({"name": name, "type": ["null", primitive(&field.kind)], "default": null}))
        })
        .collect();
    json!({"type": "record", "name": name, "fields": fields})
}

fn primitive(kind: &Kind) -> &'static str {
    match kind {
        Kind::Boolean => "boolean",
        Kind::Int => "int",
        Kind::Double | Kind::Currency | Kind::Percent => "double",
        Kind::Date | Kind::DateTime => "long",
        _ => "string",
    }
}

fn doc(field: &Field, index: usize) -> String {
    let custom = if field.custom { format!(":00NQy{index:010}") } else { String::new() };
    let kind = match (&field.kind, field.name.as_str()) {
        (_, "CreatedDate") => return "CreatedDate:DateTime".to_owned(),
        (_, "CreatedById") => return "CreatedBy:EntityId".to_owned(),
        (_, "LastModifiedDate") => return "LastModifiedDate:DateTime".to_owned(),
        (_, "LastModifiedById") => return "LastModifiedBy:EntityId".to_owned(),
        (_, "OwnerId") => return "Owner:EntityId".to_owned(),
        (Kind::Reference(_), _) => return format!("ForeignKey:EntityId{custom}"),
        _ if field.switchable => "Switchable_PersonName",
        _ if field.external_id => "ExternalId",
        (Kind::Id, _) => "EntityId",
        (Kind::PersonName, _) => "PersonName",
        (Kind::Text | Kind::AutoNumber, _) => "Text",
        (Kind::TextArea, _) if field.length > 255 => "StringPlusClob",
        (Kind::TextArea, _) => "TextArea",
        (Kind::Phone, _) => "Phone",
        (Kind::Url, _) => "Url",
        (Kind::Email, _) => "Email",
        (Kind::Picklist { restricted: true, .. }, _) => "StaticEnum",
        (Kind::Picklist { .. }, _) => "DynamicEnum",
        (Kind::Boolean, _) => "Boolean",
        (Kind::Int, _) => "Integer",
        (Kind::Double, _) => "Double",
        (Kind::Currency, _) => "Currency",
        (Kind::Percent, _) => "Percent",
        (Kind::Date, _) => "DateOnly",
        (Kind::DateTime, _) => "DateTime",
        (Kind::Address, _) => "Address",
    };
    format!("Data:{kind}{custom}")
}

/// The header in Avro binary.
pub(crate) fn header(header: &Header<'_>) -> Vec<u8> {
    let mut out = Vec::with_capacity(512);
    string(&mut out, header.entity);
    strings(&mut out, &header.record_ids.iter().map(ToString::to_string).collect::<Vec<_>>());
    long(&mut out, header.change as i64);
    string(&mut out, header.origin);
    string(&mut out, header.transaction_key);
    long(&mut out, i64::from(header.sequence));
    long(&mut out, header.commit_ms);
    long(&mut out, i64::try_from(header.commit_number).unwrap_or(i64::MAX));
    string(&mut out, &header.user.to_string());
    strings(&mut out, &header.nulled);
    strings(&mut out, &[]);
    strings(&mut out, &header.changed);
    out
}

/// All fields after the header, each with the value `value` gives it.
pub(crate) fn body(definition: &Object, value: impl Fn(usize) -> Value) -> Vec<u8> {
    let mut out = Vec::with_capacity(256);
    for index in &definition.event_order {
        match definition.fields[*index].kind {
            Kind::Address | Kind::PersonName => {
                let values: Vec<Value> = parts(definition, *index).map(&value).collect();
                if values.iter().all(Value::is_null) {
                    long(&mut out, 0);
                } else {
                    long(&mut out, 1);
                    for value in &values {
                        union(&mut out, value);
                    }
                }
            }
            _ => union(&mut out, &value(*index)),
        }
    }
    out
}

/// A body in which every field is null.
pub(crate) fn empty_body(definition: &Object) -> Vec<u8> {
    vec![0; definition.event_order.len()]
}

fn union(out: &mut Vec<u8>, value: &Value) {
    if value.is_null() {
        return long(out, 0);
    }
    long(out, 1);
    match value {
        Value::Null => {}
        Value::Bool(flag) => out.push(u8::from(*flag)),
        Value::Int(number) => long(out, *number),
        Value::Double(number) => out.extend(number.to_le_bytes()),
        Value::Text(text) => string(out, text),
        Value::Id(id) => string(out, &id.to_string()),
        Value::Date(days) => long(out, i64::from(*days) * 86_400_000),
        Value::DateTime(ms) => long(out, *ms),
    }
}

fn strings(out: &mut Vec<u8>, texts: &[String]) {
    if !texts.is_empty() {
        long(out, i64::try_from(texts.len()).unwrap_or(0));
        for text in texts {
            string(out, text);
        }
    }
    long(out, 0);
}

pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    long(out, i64::try_from(text.len()).unwrap_or(0));
    out.extend(text.as_bytes());
}

/// Zigzag varint.
#[expect(clippy::cast_sign_loss, reason = "zigzag maps signed to unsigned")]
pub(crate) fn long(out: &mut Vec<u8>, number: i64) {
    let mut rest = ((number << 1) ^ (number >> 63)) as u64;
    while rest >= 0x80 {
        out.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}
