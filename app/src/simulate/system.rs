//! Two simulated systems: small models that commit, stream and refuse as the real ones do.
//!
//! Both keep rows and a stream of committed changes in commit order. The ERP's stream carries whole rows under log
//! positions; the CRM's carries what changed. Either may trim what is written to it, and either may have a trigger that
//! changes another field in the same transaction.

use std::collections::BTreeMap;

use schemas::Value;
use schemas::cdc::{ChangeSchema, Column, ColumnType};
use schemas::message::{Field, Side};
use schemas::value::Decimal;

/// A mapped field: its canonical name and its column on each side.
pub(super) struct Mapped {
    pub(super) name: &'static str,
    crm: &'static str,
    erp: &'static str,
}

/// Fields that people edit.
pub(super) const FIELDS: [Mapped; 5] = [
    Mapped { name: "name", crm: "Name", erp: "name" },
    Mapped { name: "phone", crm: "Phone", erp: "phone" },
    Mapped { name: "city", crm: "City__c", erp: "city" },
    Mapped { name: "note", crm: "Note__c", erp: "note" },
    Mapped { name: "credit", crm: "Credit__c", erp: "credit" },
];
const NAME: usize = 0;
const NOTE: usize = 3;
pub(super) const CREDIT: usize = 4;

impl Mapped {
    pub(super) const fn column(&self, side: Side) -> &'static str {
        match side {
            Side::Crm => self.crm,
            Side::Erp => self.erp,
        }
    }
}

/// The column that a key for matching stands in.
pub(super) const fn number_column(side: Side) -> &'static str {
    match side {
        Side::Crm => "Number__c",
        Side::Erp => "number",
    }
}

pub(super) const fn id_column(side: Side) -> &'static str {
    match side {
        Side::Crm => "Concord_Id__c",
        Side::Erp => "concord_id",
    }
}

pub(super) const fn object(side: Side) -> &'static str {
    match side {
        Side::Crm => "Account",
        Side::Erp => "public.customers",
    }
}

/// The row schema of a side's stream.
pub(super) fn schema(side: Side) -> ChangeSchema {
    let credit = match side {
        Side::Crm => ColumnType::Double,
        Side::Erp => ColumnType::Decimal { precision: 18, scale: 2 },
    };
    let mut columns: Vec<Column> = FIELDS
        .iter()
        .enumerate()
        .map(|(index, field)| Column {
            name: field.column(side).to_owned(),
            kind: if index == CREDIT { credit.clone() } else { ColumnType::Text },
        })
        .collect();
    columns.extend([number_column(side), id_column(side)].map(|name| Column { name: name.to_owned(), kind: ColumnType::Text }));
    ChangeSchema { side, object: object(side).to_owned(), columns }
}

/// A value as both sides would call it.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) => text.clone(),
        Value::Double(number) => format!("{number}"),
        Value::Decimal(Decimal(text)) if text.contains('.') => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        Value::Decimal(Decimal(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

/// How a system treats what is written to it.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Manner {
    /// Text longer than this is cut when Concord writes it.
    pub(super) cut: Option<usize>,
    /// When the name changes under our name, the note follows it.
    pub(super) trigger: bool,
}

impl Manner {
    /// What the system makes of a value of a field.
    pub(super) fn kept(self, value: &str, field: usize) -> String {
        match self.cut {
            Some(cut) if field != CREDIT => value.chars().take(cut).collect(),
            _ => value.to_owned(),
        }
    }
}

/// Who made a change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum By {
    Person,
    Write(String),
    Trigger,
}

/// A value that came to stand in a field.
#[derive(Debug, Clone)]
pub(super) struct Put {
    pub(super) side: Side,
    pub(super) id: String,
    pub(super) field: usize,
    pub(super) value: String,
    pub(super) by: By,
    /// The system made another value of the one it was given.
    pub(super) altered: bool,
    /// Its place in the side's stream.
    pub(super) position: usize,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Row {
    pub(super) values: BTreeMap<String, Value>,
    pub(super) modified_at: i64,
    pub(super) by_us: bool,
}

/// What happened to a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Did {
    Made,
    Changed,
    Gone,
}

/// One committed change as the stream carries it.
#[derive(Debug, Clone)]
pub(super) struct Committed {
    pub(super) id: String,
    pub(super) did: Did,
    pub(super) row: BTreeMap<String, Value>,
    pub(super) changed: Vec<String>,
    pub(super) at: i64,
    pub(super) by_us: bool,
    /// The stream says only that something happened.
    pub(super) gap: bool,
    /// It is on the log.
    pub(super) shown: bool,
}

/// An edit of a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) side: Side,
    pub(super) record: u32,
    pub(super) field: usize,
    pub(super) number: u32,
}

/// A kept answer to a write.
#[derive(Debug, Clone)]
pub(super) struct Kept {
    pub(super) applied: bool,
    pub(super) record: Option<String>,
    pub(super) actual: Vec<Field>,
}

pub(super) struct System {
    pub(super) side: Side,
    pub(super) manner: Manner,
    pub(super) rows: BTreeMap<String, Row>,
    pub(super) stream: Vec<Committed>,
    /// Positions before it have expired.
    pub(super) floor: usize,
    /// How often everything was asked to be read again.
    pub(super) sweeps: u32,
    pub(super) ledger: BTreeMap<String, Kept>,
    /// When rows were deleted, and whether by us.
    pub(super) gone: BTreeMap<String, (i64, bool)>,
    /// What its clock is ahead of ours, microseconds.
    pub(super) skew: i64,
    made: u32,
    pub(super) fault: TargetFault,
}

/// What is to go wrong when the system is written to or read.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct TargetFault {
    /// It does not answer for so many calls.
    pub(super) down: u8,
    /// Its next answer is lost.
    pub(super) lose_answer: bool,
    /// Rows of the next batch that are locked, by bit.
    pub(super) locked: u8,
    /// Somebody edits between its being read and being written to.
    pub(super) race: Option<Edit>,
    /// The next change is delivered once more.
    pub(super) repeat: bool,
    /// The next change in the stream becomes a gap.
    pub(super) gap: bool,
}

impl System {
    pub(super) fn new(side: Side, manner: Manner, skew: i64) -> Self {
        Self {
            side,
            manner,
            rows: BTreeMap::new(),
            stream: Vec::new(),
            floor: 0,
            sweeps: 0,
            ledger: BTreeMap::new(),
            gone: BTreeMap::new(),
            skew,
            made: 0,
            fault: TargetFault::default(),
        }
    }

    fn next_id(&mut self) -> String {
        self.made += 1;
        match self.side {
            Side::Crm => format!("001{:012}AAA", self.made),
            Side::Erp => format!("{}", 100 + self.made),
        }
    }

    /// The value of a field's edit, of this side's type; each number is another value.
    pub(super) fn typed(&self, field: usize, number: u32) -> Value {
        if field == CREDIT {
            let cents = i64::from(number) * 100 + i64::from(number % 4) * 25;
            return match self.side {
                Side::Crm => Value::Double(cents as f64 / 100.0),
                Side::Erp => Value::Decimal(Decimal(format!("{}.{:02}", cents / 100, cents % 100))),
            };
        }
        let long = if number % 3 == 0 { " and more than some will take" } else { "" };
        Value::text(self.manner.kept(&format!("{number} {}{long}", FIELDS[field].name), field))
    }

    /// A value from across, of this side's type, as the system keeps it.
    fn fit(&self, column: &str, value: &Value) -> Value {
        let field = FIELDS.iter().position(|field| field.column(self.side) == column);
        match (field, value, self.side) {
            (_, Value::Null, _) => Value::Null,
            (Some(CREDIT), value, Side::Crm) => canonical(value).parse().map_or(Value::Null, Value::Double),
            (Some(CREDIT), value, Side::Erp) => {
                let text = canonical(value);
                let (whole, cents) = text.split_once('.').unwrap_or((&text, ""));
                Value::Decimal(Decimal(format!("{whole}.{cents:0<2}")))
            }
            (Some(field), value, _) => Value::text(self.manner.kept(&canonical(value), field)),
            (None, value, _) => value.clone(),
        }
    }

    /// Whether a row still holds these values.
    pub(super) fn holds(&self, id: &str, expected: &[Field]) -> bool {
        let Some(row) = self.rows.get(id) else { return false };
        expected.iter().all(|field| canonical(row.values.get(&field.name).unwrap_or(&Value::Null)) == canonical(&field.value))
    }

    /// The row's values of some columns.
    pub(super) fn actual(&self, id: &str, shown: &[Field]) -> Vec<Field> {
        let Some(row) = self.rows.get(id) else { return Vec::new() };
        shown
            .iter()
            .map(|field| Field { name: field.name.clone(), value: row.values.get(&field.name).cloned().unwrap_or(Value::Null) })
            .collect()
    }

    /// The time by its own clock.
    fn time(&self, now: i64) -> i64 {
        let at = now + self.skew;
        if self.side == Side::Crm { at - at.rem_euclid(1000) } else { at }
    }

    /// A row is deleted. False when there is none.
    pub(super) fn delete(&mut self, now: i64, id: &str, by_us: bool) -> bool {
        if self.rows.remove(id).is_none() {
            return false;
        }
        let at = self.time(now);
        self.gone.insert(id.to_owned(), (at, by_us));
        let gap = std::mem::take(&mut self.fault.gap);
        self.stream.push(Committed {
            id: id.to_owned(),
            did: Did::Gone,
            row: BTreeMap::new(),
            changed: Vec::new(),
            at,
            by_us,
            gap,
            shown: false,
        });
        true
    }

    /// One transaction on one row; what it put where. `None` as the id makes the row.
    pub(super) fn commit(&mut self, now: i64, id: Option<&str>, values: Vec<(String, Value)>, by: &By, puts: &mut Vec<Put>) -> String {
        let (id, did) = match id {
            Some(id) => (id.to_owned(), Did::Changed),
            None => (self.next_id(), Did::Made),
        };
        let ours = *by != By::Person;
        let mut row = self.rows.remove(&id).unwrap_or_default();
        let mut changed = Vec::new();
        let mut put = |row: &mut Row, column: &str, value: Value, by: &By, altered: bool| {
            if row.values.get(column).unwrap_or(&Value::Null) == &value {
                return;
            }
            if let Some(field) = FIELDS.iter().position(|field| field.column(self.side) == column) {
                puts.push(Put {
                    side: self.side,
                    id: id.clone(),
                    field,
                    value: canonical(&value),
                    by: by.clone(),
                    altered,
                    position: self.stream.len(),
                });
            }
            row.values.insert(column.to_owned(), value);
            changed.push(column.to_owned());
        };
        let name = FIELDS[NAME].column(self.side);
        let note = FIELDS[NOTE].column(self.side);
        let before = row.values.get(name).cloned();
        let asks_for_note = values.iter().any(|(column, _)| column == note);
        for (column, value) in values {
            let fitting = if ours { self.fit(&column, &value) } else { value.clone() };
            let altered = canonical(&fitting) != canonical(&value);
            put(&mut row, &column, fitting, by, altered);
        }
        let after = row.values.get(name).cloned();
        if ours && self.manner.trigger && !asks_for_note && after != before && did == Did::Changed {
            let text = format!("({})", canonical(&after.unwrap_or(Value::Null)));
            put(&mut row, note, Value::text(text), &By::Trigger, false);
        }
        let at = self.time(now);
        row.modified_at = at;
        row.by_us = ours;
        if !changed.is_empty() || did == Did::Made {
            let gap = std::mem::take(&mut self.fault.gap);
            self.stream.push(Committed { id: id.clone(), did, row: row.values.clone(), changed, at, by_us: ours, gap, shown: false });
        }
        self.rows.insert(id.clone(), row);
        id
    }
}
