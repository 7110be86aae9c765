//! Records as REST JSON.

use serde_json::{Map, Value as Json, json};

use super::State;
use super::id::RecordId;
use super::schema::{ADDRESS_PARTS, ID, IS_DELETED, Kind, Object};
use super::time::{format_date, format_datetime};
use super::value::{Row, Value};

/// A stored value as JSON.
pub(crate) fn to_json(value: &Value) -> Json {
    match value {
        Value::Null => Json::Null,
        Value::Bool(flag) => json!(flag),
        Value::Int(number) => json!(number),
        Value::Double(number) => json!(number),
        Value::Text(text) => json!(text),
        Value::Id(id) => json!(id.to_string()),
        Value::Date(days) => json!(format_date(*days)),
        Value::DateTime(ms) => json!(format_datetime(*ms)),
    }
}

/// `{"type": …, "url": …}`.
pub(crate) fn attributes(object: &Object, id: RecordId, version: &str) -> Json {
    json!({"type": object.name, "url": format!("/services/data/v{version}/sobjects/{}/{id}", object.name)})
}

/// One field of a row as JSON, compound ones and those not stored included.
pub(crate) fn field_json(object: &Object, number: u64, row: &Row, field: usize) -> Json {
    match object.fields[field].kind {
        Kind::Id if field == ID => json!(RecordId::new(object.prefix, number).to_string()),
        Kind::Address => address_json(object, row, field),
        Kind::Boolean => to_json(&match row.get(field) {
            Value::Null if field == IS_DELETED => Value::Bool(row.deleted),
            Value::Null => Value::Bool(false),
            value => value,
        }),
        _ => to_json(&row.get(field)),
    }
}

/// Field value for comparisons, the id included.
pub(crate) fn field_value(object: &Object, number: u64, row: &Row, field: usize) -> Value {
    if field == ID {
        return Value::Id(RecordId::new(object.prefix, number));
    }
    match row.get(field) {
        Value::Null if object.fields[field].kind == Kind::Boolean => Value::Bool(field == IS_DELETED && row.deleted),
        value => value,
    }
}

fn address_json(object: &Object, row: &Row, compound: usize) -> Json {
    let mut parts: Vec<(&str, Json)> = Vec::new();
    for (index, field) in object.fields.iter().enumerate() {
        if let Some((parent, part)) = field.component
            && parent == compound
            && let Some((_, key)) = ADDRESS_PARTS.iter().find(|(name, _)| *name == part)
        {
            parts.push((key, to_json(&row.get(index))));
        }
    }
    if parts.iter().all(|(_, value)| value.is_null()) {
        return Json::Null;
    }
    parts.sort_by_key(|(key, _)| *key);
    Json::Object(parts.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

impl State {
    /// The whole record as `GET /sobjects/X/id` shows it.
    pub(crate) fn record_json(&self, object: usize, number: u64, row: &Row, version: &str, restricted: bool) -> Map<String, Json> {
        let definition = &self.objects[object];
        let id = self.id(object, number);
        let mut record = Map::new();
        record.insert("attributes".to_owned(), attributes(definition, id, version));
        for (index, field) in definition.fields.iter().enumerate() {
            if !(restricted && self.hidden(definition, index)) {
                record.insert(field.name.clone(), field_json(definition, number, row, index));
            }
        }
        record
    }
}
