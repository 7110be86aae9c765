//! From an event schema and an object's description to columns, and from an event's values to a row of them.
//!
//! ```text
//! event schema                     description              columns
//! 1 Name: string | PersonName      Name                     Id, Name,
//! 4 BillingAddress { Street, … }   BillingStreet, …         BillingStreet, …
//! 12 AnnualRevenue: double         currency(18, 0)          AnnualRevenue: decimal(18, 0)
//! ```
//!
//! The event schema says which fields there are and where they stand, the description what they are called and what
//! type they have. A field that the description lacks is hidden from our user: events carry nothing for it, so it has
//! no column. The record's own id, which events only have in their header, is the first column.

use std::collections::BTreeSet;

use schemas::Value;
use schemas::cdc::{ChangeSchema, Column, ColumnType, Row};
use schemas::message::Side;
use serde_json::{Map, Value as Json};

use super::avro::{Datum, Type};
use super::header::{ChangeType, Header};
use super::object::Object;
use super::{ids, values};

/// How the events of one schema become rows.
#[derive(Debug)]
pub(crate) struct Layout {
    pub(crate) object: String,
    pub(crate) schema: ChangeSchema,
    event: Type,
    header: Type,
    slots: Vec<Slot>,
}

/// Where a column's value stands in an event. Slot *i* fills column *i* + 1.
#[derive(Debug)]
struct Slot {
    field: usize,
    part: Option<usize>,
}

/// A row of an event, and which of its columns the event carries; none means all.
#[derive(Debug, PartialEq)]
pub(crate) struct Carried {
    pub(crate) row: Row,
    pub(crate) changed: Option<Vec<usize>>,
}

/// `AccountChangeEvent` → `Account`, `Invoice__ChangeEvent` → `Invoice__c`.
pub(crate) fn object_of(event: &str) -> Option<String> {
    let bare = event.strip_suffix("ChangeEvent")?;
    Some(bare.strip_suffix("__").map_or_else(|| bare.to_owned(), |custom| format!("{custom}__c")))
}

/// `Account` → `AccountChangeEvent`, `Invoice__c` → `Invoice__ChangeEvent`.
pub(crate) fn event_of(object: &str) -> String {
    match object.strip_suffix("__c") {
        Some(bare) => format!("{bare}__ChangeEvent"),
        None => format!("{object}ChangeEvent"),
    }
}

/// The name of the object that a schema is of, as far as it can be read.
pub(crate) fn object_of_schema(schema_json: &str) -> Option<String> {
    let json: Json = serde_json::from_str(schema_json).ok()?;
    object_of(json["name"].as_str()?)
}

impl Layout {
    /// Joins an event schema with the description of its object.
    pub(crate) fn new(schema_json: &str, object: &Object) -> Result<Self, String> {
        let event = Type::parse(schema_json)?;
        let record = event.record().ok_or("the event schema is not a record")?.clone();
        let header = record.fields.first().map(|field| field.kind.clone()).ok_or("the event schema has no fields")?;
        let mut columns = vec![Column { name: "Id".to_owned(), kind: ColumnType::Text }];
        let mut slots = Vec::new();
        let mut taken = BTreeSet::from(["Id".to_owned()]);
        let mut add = |field: usize, part: Option<usize>, described: Option<&super::object::Field>| {
            if let Some((name, kind)) = described.and_then(|found| Some((found.name.clone(), found.column()?)))
                && taken.insert(name.clone())
            {
                columns.push(Column { name, kind });
                slots.push(Slot { field, part });
            }
        };
        for (place, field) in record.fields.iter().enumerate().skip(1) {
            let Some(parts) = field.kind.record() else {
                add(place, None, object.field(&field.name));
                continue;
            };
            // A business account's name is text where a person account's is a record.
            if matches!(&field.kind, Type::Union(branches) if branches.contains(&Type::Text)) {
                add(place, None, object.field(&field.name));
            }
            for (number, part) in parts.fields.iter().enumerate() {
                add(place, Some(number), object.part(&field.name, &part.name));
            }
        }
        let schema = ChangeSchema { side: Side::Crm, object: object.name.clone(), columns };
        Ok(Self { object: object.name.clone(), schema, event, header, slots })
    }

    /// Reads an event: its header, and the values of its fields.
    pub(crate) fn read(&self, payload: &[u8]) -> Result<(Header, Vec<Datum>), String> {
        match self.event.read(payload).map_err(|error| error.to_string())? {
            Datum::Record(values) => {
                let header = Header::of(&self.header, values.first().unwrap_or(&Datum::Null))?;
                Ok((header, values))
            }
            _ => Err("the event is not a record".to_owned()),
        }
    }

    /// The row that an event carries for one of its records.
    ///
    /// Null alone never means "cleared": a field that the event counts as changed but whose value is missing (it is
    /// hidden from us, or derived) is not among the carried ones.
    pub(crate) fn row(&self, header: &Header, values: &[Datum], id: &str) -> Result<Carried, String> {
        let mut row = Vec::with_capacity(self.schema.columns.len());
        row.push(Value::text(id));
        let mut changed = vec![0];
        for (slot, column) in self.slots.iter().zip(self.schema.columns.iter().skip(1)) {
            let value = match (slot.part, values.get(slot.field)) {
                (None, Some(Datum::Record(_)) | None) | (Some(_), None) => &Datum::Null,
                (None, Some(value)) => value,
                (Some(part), Some(Datum::Record(parts))) => parts.get(part).unwrap_or(&Datum::Null),
                (Some(_), Some(_)) => &Datum::Null,
            };
            let value = values::from_event(&column.kind, value).map_err(|reason| format!("field {}: {reason}", column.name))?;
            let nulled = header.nulled.names(slot.field, slot.part);
            if nulled || (!value.is_null() && header.changed.names(slot.field, slot.part)) {
                changed.push(row.len());
            }
            row.push(if nulled { Value::Null } else { value });
        }
        let changed = (header.change == ChangeType::Update).then_some(changed);
        Ok(Carried { row, changed })
    }

    /// The row of a record that a query returned.
    pub(crate) fn row_of(&self, record: &Map<String, Json>) -> Result<Row, String> {
        self.schema
            .columns
            .iter()
            .map(|column| match record.get(&column.name) {
                Some(Json::String(id)) if column.name == "Id" => Ok(Value::text(ids::long_id(id))),
                Some(json) => values::from_rest(&column.kind, json).map_err(|reason| format!("field {}: {reason}", column.name)),
                None => Ok(Value::Null),
            })
            .collect()
    }

    /// A row of which only the id is known.
    pub(crate) fn id_row(&self, id: &str) -> Row {
        let mut row = vec![Value::Null; self.schema.columns.len()];
        row[0] = Value::text(id);
        row
    }

    /// When the record was last modified according to a row of it, in milliseconds.
    pub(crate) fn modified_ms(&self, row: &Row) -> Option<i64> {
        let place = self.schema.column("LastModifiedDate")?;
        match row.get(place) {
            Some(Value::Timestamp(micros)) => Some(micros / 1000),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use schemas::Decimal;

    use super::super::bitmap::FieldSet;
    use super::*;

    const EVENT: &str = r#"{"name":"AccountChangeEvent","namespace":"com.sforce.eventbus","type":"record","fields":[
        {"name":"ChangeEventHeader","type":{"type":"record","name":"ChangeEventHeader","fields":[{"name":"entityName","type":"string"}]}},
        {"name":"Name","type":["null","string",{"type":"record","name":"Switchable_PersonName","fields":[{"name":"FirstName","type":["null","string"]}]}]},
        {"name":"BillingAddress","type":["null",{"type":"record","name":"Address","fields":[{"name":"Street","type":["null","string"]},{"name":"City","type":["null","string"]}]}]},
        {"name":"AnnualRevenue","type":["null","double"]},
        {"name":"Secret__c","type":["null","string"]},
        {"name":"LastModifiedDate","type":["null","long"]}]}"#;
    const DESCRIBE: &str = r#"{"name":"Account","queryable":true,"fields":[
        {"name":"Id","type":"id"},{"name":"Name","type":"string"},{"name":"BillingAddress","type":"address"},
        {"name":"BillingStreet","type":"textarea"},{"name":"BillingCity","type":"string"},
        {"name":"AnnualRevenue","type":"currency","precision":18,"scale":0},{"name":"LastModifiedDate","type":"datetime"}]}"#;

    fn layout() -> Layout {
        Layout::new(EVENT, &Object::parse(DESCRIBE.as_bytes()).expect("a description")).expect("a layout")
    }

    fn header(change: ChangeType, changed: &[&str], nulled: &[&str]) -> Header {
        let set = |entries: &[&str]| FieldSet::decode(entries.iter().copied()).expect("a bitmap");
        Header {
            entity: "Account".into(),
            record_ids: vec![],
            change,
            origin: String::new(),
            transaction: String::new(),
            sequence: 1,
            commit_ms: 0,
            user: String::new(),
            nulled: set(nulled),
            diffed: FieldSet::default(),
            changed: set(changed),
        }
    }

    fn text(text: &str) -> Datum {
        Datum::Text(text.to_owned())
    }

    #[test]
    fn compounds_become_the_object_s_own_fields_and_hidden_fields_have_no_column() {
        let names: Vec<_> = layout().schema.columns.iter().map(|column| column.name.clone()).collect();
        assert_eq!(names, ["Id", "Name", "BillingStreet", "BillingCity", "AnnualRevenue", "LastModifiedDate"]);
    }

    #[test]
    fn an_update_names_what_it_carries_and_null_alone_clears_nothing() {
        let values =
            [Datum::Null, Datum::Null, Datum::Record(vec![text("Main Street 1"), Datum::Null]), Datum::Null, Datum::Null, Datum::Long(5)];
        // Changed: Name (but hidden), BillingStreet, LastModifiedDate; nulled: BillingCity.
        let carried = layout().row(&header(ChangeType::Update, &["0x22", "2-0x03"], &["0x00", "2-0x02"]), &values, "001").expect("a row");
        assert_eq!(carried.changed, Some(vec![0, 2, 3, 5]));
        assert_eq!(carried.row[2], Value::text("Main Street 1"));
        assert_eq!((&carried.row[3], &carried.row[5]), (&Value::Null, &Value::Timestamp(5000)));
    }

    #[test]
    fn a_create_carries_everything() {
        let values = [Datum::Null, text("Acme"), Datum::Null, Datum::Double(10.4), Datum::Null, Datum::Null];
        let carried = layout().row(&header(ChangeType::Create, &[], &[]), &values, "001").expect("a row");
        assert_eq!(carried.changed, None);
        assert_eq!((&carried.row[1], &carried.row[4]), (&Value::text("Acme"), &Value::Decimal(Decimal("10".into()))));
    }

    #[test]
    fn a_person_s_name_is_not_the_account_s_name() {
        let values = [Datum::Null, Datum::Record(vec![text("Ada")]), Datum::Null, Datum::Null, Datum::Null, Datum::Null];
        let carried = layout().row(&header(ChangeType::Update, &["0x02"], &[]), &values, "001").expect("a row");
        assert_eq!(carried.changed, Some(vec![0]));
    }

    #[test]
    fn names_of_events_and_objects_correspond() {
        for (object, event) in [("Account", "AccountChangeEvent"), ("Invoice__c", "Invoice__ChangeEvent")] {
            assert_eq!((event_of(object).as_str(), object_of(event).as_deref()), (event, Some(object)));
        }
        assert_eq!(object_of("Note__e"), None);
    }
}
