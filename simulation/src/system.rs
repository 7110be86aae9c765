//! Two simulated systems: small models that commit, stream and refuse as the real ones do.
//!
//! Both keep rows and a stream of committed changes in commit order. The ERP's stream carries whole rows under log
//! positions; the CRM's carries what changed. Either may trim what is written to it, and either may have a trigger that
//! changes another field in the same transaction. A deleted customer's contacts refer to nobody.

use std::collections::BTreeMap;

use schemas::Value;
use schemas::message::{Field, Side};
use schemas::value::Decimal;

use super::shape::{self, FIELDS, Kind, LINK, NAME, NOTE, Shape, canonical, common, field_of};

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
            Some(cut) if FIELDS[field].shape == Shape::Text => value.chars().take(cut).collect(),
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
    /// It stood there before its record was deleted, put there by one of ours, and is back with it.
    Return,
}

impl By {
    fn write(&self) -> Option<String> {
        match self {
            Self::Write(id) => Some(id.clone()),
            Self::Person | Self::Trigger | Self::Return => None,
        }
    }
}

/// A value that came to stand in a field.
#[derive(Debug, Clone)]
pub(super) struct Put {
    pub(super) side: Side,
    pub(super) id: String,
    pub(super) field: usize,
    /// As both sides call it; a reference is the record id of its own side.
    pub(super) value: String,
    pub(super) by: By,
    /// The system made another value of the one it was given.
    pub(super) altered: bool,
    /// Its place in the side's stream.
    pub(super) position: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Row {
    pub(super) kind: Kind,
    pub(super) values: BTreeMap<String, Value>,
    pub(super) modified_at: i64,
    pub(super) by_us: bool,
    /// The last write of ours that was carried out on it.
    pub(super) write: Option<String>,
}

/// A row that was deleted.
#[derive(Debug, Clone)]
pub(super) struct Gone {
    pub(super) row: Row,
    pub(super) at: i64,
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
    pub(super) kind: Kind,
    pub(super) row: BTreeMap<String, Value>,
    pub(super) changed: Vec<String>,
    pub(super) at: i64,
    pub(super) by_us: bool,
    /// The write of ours that made it.
    pub(super) write: Option<String>,
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
    pub(super) ledger: BTreeMap<String, Kept>,
    /// Rows that are deleted.
    pub(super) gone: BTreeMap<String, Gone>,
    /// How often each row was deleted.
    pub(super) went: BTreeMap<String, usize>,
    /// Rows that came back.
    pub(super) returned: BTreeMap<String, usize>,
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
    /// While that answer is awaited, somebody puts back what stood there before.
    pub(super) put_back: bool,
    /// Rows of the next batch that are locked, by bit.
    pub(super) locked: u8,
    /// Somebody edits between its being read and being written to.
    pub(super) race: Option<Edit>,
    /// So many changes are delivered once more.
    pub(super) repeat: u8,
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
            ledger: BTreeMap::new(),
            gone: BTreeMap::new(),
            went: BTreeMap::new(),
            returned: BTreeMap::new(),
            skew,
            made: 0,
            fault: TargetFault::default(),
        }
    }

    fn next_id(&mut self, kind: Kind) -> String {
        self.made += 1;
        match (self.side, kind) {
            (Side::Crm, Kind::Customer) => format!("001{:012}AAA", self.made),
            (Side::Crm, Kind::Contact) => format!("003{:012}AAA", self.made),
            (Side::Erp, Kind::Customer) => format!("{}", 100 + self.made),
            (Side::Erp, Kind::Contact) => format!("{}", 9000 + self.made),
            (_, Kind::Opportunity) => format!("006{:012}AAA", self.made),
            (_, Kind::Order) => format!("{}", 50_000 + self.made),
        }
    }

    /// Ids of a kind's rows, in order.
    pub(super) fn ids(&self, kind: Kind) -> impl Iterator<Item = &String> {
        self.rows.iter().filter(move |(_, row)| row.kind == kind).map(|(id, _)| id)
    }

    /// One of a kind's rows; none when there is none.
    pub(super) fn nth(&self, kind: Kind, number: u32) -> Option<&String> {
        let count = self.ids(kind).count();
        if count == 0 { None } else { self.ids(kind).nth(number as usize % count) }
    }

    /// The value that a person's edit puts in.
    pub(super) fn typed(&self, field: usize, number: u32) -> Value {
        if FIELDS[field].shape != Shape::Link {
            let value = shape::typed(self.side, field, number);
            return match value {
                Value::Text(text) => Value::text(self.manner.kept(&text, field)),
                other => other,
            };
        }
        if number.is_multiple_of(7) {
            return Value::Null;
        }
        self.nth(Kind::Customer, number).map_or(Value::Null, Value::text)
    }

    /// A value from across, of this side's type, as the system keeps it.
    fn fit(&self, field: Option<usize>, value: &Value) -> Value {
        match (field, value, self.side) {
            (_, Value::Null, _) => Value::Null,
            (Some(field), value, side) => match (FIELDS[field].shape, side) {
                (Shape::Money, Side::Crm) => canonical(value).parse().map_or(Value::Null, Value::Double),
                (Shape::Money, Side::Erp) => {
                    let text = canonical(value);
                    let (whole, cents) = text.split_once('.').unwrap_or((&text, ""));
                    Value::Decimal(Decimal(format!("{whole}.{cents:0<2}")))
                }
                (Shape::Text, _) => Value::text(self.manner.kept(&canonical(value), field)),
                (Shape::Word | Shape::Flag | Shape::Link, _) => value.clone(),
            },
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

    /// A row is deleted, and nobody refers to it any more. False when there is none.
    pub(super) fn delete(&mut self, now: i64, id: &str, by: &By, puts: &mut Vec<Put>) -> bool {
        let Some(row) = self.rows.remove(id) else { return false };
        let by_us = *by != By::Person;
        let at = self.time(now);
        *self.went.entry(id.to_owned()).or_default() += 1;
        let gap = std::mem::take(&mut self.fault.gap);
        self.stream.push(Committed {
            id: id.to_owned(),
            did: Did::Gone,
            kind: row.kind,
            row: BTreeMap::new(),
            changed: Vec::new(),
            at,
            by_us,
            write: by.write(),
            gap,
            shown: false,
        });
        if row.kind == Kind::Customer {
            let column = FIELDS[LINK].column(self.side);
            let by = if by_us { By::Trigger } else { By::Person };
            for kind in [Kind::Contact, Kind::Opportunity] {
                let children: Vec<String> = self.ids(kind).filter(|child| self.refers(child, id)).cloned().collect();
                for child in children {
                    self.commit(now, kind, Some(&child), vec![(column.to_owned(), Value::Null)], &by, puts);
                }
            }
        }
        self.gone.insert(id.to_owned(), Gone { row, at, by_us });
        true
    }

    /// Whether a contact or an opportunity refers to a customer.
    pub(super) fn refers(&self, child: &str, customer: &str) -> bool {
        let row = self.rows.get(child).filter(|row| matches!(row.kind, Kind::Contact | Kind::Opportunity));
        row.and_then(|row| row.values.get(FIELDS[LINK].column(self.side))).and_then(Value::as_text) == Some(customer)
    }

    /// Whether a row that came back has a number that another one is to be given. Numbers are unique, as in most systems; of
    /// all others it is the auditor who says so.
    pub(super) fn is_taken(&self, number: &Value) -> bool {
        let column = shape::number_column(self.side);
        self.returned.keys().filter_map(|id| self.rows.get(id)).any(|row| row.values.get(column) == Some(number))
    }

    /// A deleted row comes back as it was. False when there is none, or another one stands for it.
    pub(super) fn restore(&mut self, now: i64, id: &str, puts: &mut Vec<Put>) -> bool {
        let number = shape::number_column(self.side);
        let Some(gone) = self.gone.get(id) else { return false };
        let taken = gone.row.values.get(number).filter(|number| !number.is_null());
        if taken.is_some_and(|taken| self.rows.values().any(|row| row.values.get(number) == Some(taken))) {
            return false;
        }
        let Some(Gone { row, .. }) = self.gone.remove(id) else { return false };
        let link = FIELDS[LINK].column(self.side);
        let there = |value: &Value| value.as_text().is_none_or(|parent| self.rows.contains_key(parent));
        let values = row.values.into_iter().filter(|(column, value)| column != link || there(value)).collect();
        let blank = Row { kind: row.kind, values: BTreeMap::new(), modified_at: 0, by_us: false, write: row.write };
        self.rows.insert(id.to_owned(), blank);
        *self.returned.entry(id.to_owned()).or_default() += 1;
        self.commit(now, row.kind, Some(id), values, &By::Person, puts);
        if let Some(last) = self.stream.last_mut() {
            last.did = Did::Made;
        }
        true
    }

    /// One transaction on one row; what it put where. `None` as the id makes the row.
    pub(super) fn commit(
        &mut self,
        now: i64,
        kind: Kind,
        id: Option<&str>,
        values: Vec<(String, Value)>,
        by: &By,
        puts: &mut Vec<Put>,
    ) -> String {
        let (id, did) = match id {
            Some(id) => (id.to_owned(), Did::Changed),
            None => (self.next_id(kind), Did::Made),
        };
        let ours = *by != By::Person;
        let blank = Row { kind, values: BTreeMap::new(), modified_at: 0, by_us: false, write: None };
        let mut row = self.rows.remove(&id).unwrap_or(blank);
        let mut changed = Vec::new();
        let mut put = |row: &mut Row, column: &str, field: Option<usize>, value: Value, by: &By, altered: bool| {
            if row.values.get(column).unwrap_or(&Value::Null) == &value {
                return;
            }
            if let Some(field) = field {
                puts.push(Put {
                    side: self.side,
                    id: id.clone(),
                    field,
                    value: common(field, &value),
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
            let field = field_of(kind, self.side, &column);
            let fitting = if ours { self.fit(field, &value) } else { value.clone() };
            let altered = canonical(&fitting) != canonical(&value);
            put(&mut row, &column, field, fitting, by, altered);
        }
        let after = row.values.get(name).cloned();
        if ours && self.manner.trigger && kind == Kind::Customer && !asks_for_note && after != before && did == Did::Changed {
            let text = format!("({})", canonical(&after.unwrap_or(Value::Null)));
            put(&mut row, note, Some(NOTE), Value::text(text), &By::Trigger, false);
        }
        let at = self.time(now);
        row.modified_at = at;
        row.by_us = ours;
        let write = by.write();
        row.write = write.clone().or(row.write);
        // Nobody reads the orders.
        if kind != Kind::Order && (!changed.is_empty() || did == Did::Made || write.is_some()) {
            let gap = std::mem::take(&mut self.fault.gap);
            let row = row.values.clone();
            self.stream.push(Committed { id: id.clone(), did, kind, row, changed, at, by_us: ours, write, gap, shown: false });
        }
        self.rows.insert(id.clone(), row);
        id
    }
}
