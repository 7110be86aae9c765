//! What the simulated systems hold: two kinds of records, their fields, and how each side spells them.

use schemas::Value;
use schemas::cdc::{ChangeSchema, Column, ColumnType};
use schemas::message::Side;
use schemas::value::Decimal;

/// A kind of record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Customer,
    /// Refers to a customer.
    Contact,
    /// Of the CRM only; refers to a customer, and becomes an order.
    Opportunity,
    /// Of the ERP only, and not captured.
    Order,
}

impl Kind {
    pub(super) const ALL: [Self; 4] = [Self::Customer, Self::Contact, Self::Opportunity, Self::Order];
    /// Those of which both sides have records.
    pub(super) const ENTITIES: [Self; 2] = [Self::Customer, Self::Contact];

    /// Those that are in a side's stream.
    pub(super) const fn captured(side: Side, orders: bool) -> &'static [Self] {
        match side {
            Side::Crm if orders => &[Self::Customer, Self::Contact, Self::Opportunity],
            Side::Crm | Side::Erp => &Self::ENTITIES,
        }
    }

    /// Whether both sides have records of it.
    pub(super) fn is_entity(self) -> bool {
        Self::ENTITIES.contains(&self)
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Customer => "customer",
            Self::Contact => "contact",
            Self::Opportunity => "opportunity",
            Self::Order => "order",
        }
    }

    pub(super) const fn object(self, side: Side) -> &'static str {
        match (self, side) {
            (Self::Customer, Side::Crm) => "Account",
            (Self::Customer, Side::Erp) => "public.customers",
            (Self::Contact, Side::Crm) => "Contact",
            (Self::Contact, Side::Erp) => "public.contacts",
            (Self::Opportunity, _) => "Opportunity",
            (Self::Order, _) => "public.orders",
        }
    }
}

/// What a field's values are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Text,
    /// A double in the CRM, a decimal in the ERP.
    Money,
    /// A picklist in the CRM, a code in the ERP.
    Word,
    Flag,
    /// A customer's record id.
    Link,
}

/// A mapped field: its canonical name and its column on each side.
pub(super) struct Mapped {
    pub(super) kind: Kind,
    pub(super) name: &'static str,
    pub(super) shape: Shape,
    crm: &'static str,
    erp: &'static str,
}

const fn mapped(kind: Kind, name: &'static str, shape: Shape, crm: &'static str, erp: &'static str) -> Mapped {
    Mapped { kind, name, shape, crm, erp }
}

/// Fields that people edit.
pub(super) const FIELDS: [Mapped; 11] = [
    mapped(Kind::Customer, "name", Shape::Text, "Name", "name"),
    mapped(Kind::Customer, "phone", Shape::Text, "Phone", "phone"),
    mapped(Kind::Customer, "city", Shape::Text, "City__c", "city"),
    mapped(Kind::Customer, "note", Shape::Text, "Note__c", "note"),
    mapped(Kind::Customer, "credit", Shape::Money, "Credit__c", "credit"),
    mapped(Kind::Customer, "tier", Shape::Word, "Tier__c", "tier"),
    mapped(Kind::Customer, "vip", Shape::Flag, "Vip__c", "vip"),
    mapped(Kind::Customer, "terms", Shape::Text, "Terms__c", "terms"),
    mapped(Kind::Contact, "last_name", Shape::Text, "LastName", "last_name"),
    mapped(Kind::Contact, "email", Shape::Text, "Email", "email"),
    mapped(Kind::Contact, "customer", Shape::Link, "AccountId", "customer_id"),
];
pub(super) const NAME: usize = 0;
pub(super) const NOTE: usize = 3;
/// Travels to the CRM only.
pub(super) const TERMS: usize = 7;
pub(super) const LINK: usize = 10;

/// The words of a tier: canonical, in the CRM, in the ERP.
pub(super) const TIERS: [[&str; 3]; 3] = [["gold", "Gold", "G"], ["silver", "Silver", "S"], ["basic", "Basic", "B"]];

impl Mapped {
    pub(super) const fn column(&self, side: Side) -> &'static str {
        match side {
            Side::Crm => self.crm,
            Side::Erp => self.erp,
        }
    }

    fn column_type(&self, side: Side) -> ColumnType {
        match (self.shape, side) {
            (Shape::Text | Shape::Word | Shape::Link, _) => ColumnType::Text,
            (Shape::Flag, _) => ColumnType::Boolean,
            (Shape::Money, Side::Crm) => ColumnType::Double,
            (Shape::Money, Side::Erp) => ColumnType::Decimal { precision: 18, scale: 2 },
        }
    }
}

/// The fields of a kind, with their places among all.
pub(super) fn fields(kind: Kind) -> impl Iterator<Item = (usize, &'static Mapped)> {
    FIELDS.iter().enumerate().filter(move |(_, field)| field.kind == kind)
}

/// The field behind a column.
pub(super) fn field_of(kind: Kind, side: Side, column: &str) -> Option<usize> {
    fields(kind).find(|(_, field)| field.column(side) == column).map(|(index, _)| index)
}

/// The column that a key for matching stands in.
pub(super) const fn number_column(side: Side) -> &'static str {
    match side {
        Side::Crm => "Number__c",
        Side::Erp => "number",
    }
}

/// The columns that records without a common number are compared by: both alike, and they are one; one alike, and a person is
/// asked.
pub(super) const fn label_columns(side: Side) -> [&'static str; 2] {
    match side {
        Side::Crm => ["Label__c", "Tag__c"],
        Side::Erp => ["label", "tag"],
    }
}

/// Labels and tags that people use.
pub(super) const LABELS: [&str; 4] = ["ALFA1188", "BRAVO2277", "CHARLY3366", "DELTA4455"];
pub(super) const TAGS: [&str; 2] = ["QUEBEC90", "ROMEO812"];

/// Whether an opportunity is won.
pub(super) const WON: &str = "IsWon";

pub(super) const fn id_column(side: Side) -> &'static str {
    match side {
        Side::Crm => "Concord_Id__c",
        Side::Erp => "concord_id",
    }
}

/// The column that holds the last write's id.
pub(super) const fn write_column(side: Side) -> Option<&'static str> {
    match side {
        Side::Crm => Some("Concord_Write__c"),
        Side::Erp => None,
    }
}

/// The row schema of an object in a side's stream.
pub(super) fn schema(kind: Kind, side: Side) -> ChangeSchema {
    let column = |name: &str, kind| Column { name: name.to_owned(), kind };
    if kind == Kind::Opportunity {
        let own = [("Name", ColumnType::Text), ("AccountId", ColumnType::Text), (WON, ColumnType::Boolean), ("Amount", ColumnType::Double)];
        return ChangeSchema { side, object: kind.object(side).to_owned(), columns: own.map(|(name, kind)| column(name, kind)).into() };
    }
    let mut columns: Vec<Column> = fields(kind).map(|(_, field)| column(field.column(side), field.column_type(side))).collect();
    let own = [number_column(side), id_column(side)].into_iter().chain(write_column(side));
    columns.extend(own.map(|name| column(name, ColumnType::Text)));
    if kind == Kind::Customer {
        columns.extend(label_columns(side).map(|name| column(name, ColumnType::Text)));
    }
    ChangeSchema { side, object: kind.object(side).to_owned(), columns }
}

/// A value in plain words; of a reference, the id as it stands.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) => text.clone(),
        Value::Bool(flag) => flag.to_string(),
        Value::Double(number) => format!("{number}"),
        Value::Decimal(Decimal(text)) if text.contains('.') => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        Value::Decimal(Decimal(text)) => text.clone(),
        other => format!("{other:?}"),
    }
}

/// A column's value as both sides would call it.
pub(super) fn common(field: usize, value: &Value) -> String {
    let text = canonical(value);
    if FIELDS[field].shape != Shape::Word {
        return text;
    }
    TIERS.iter().find(|words| words.contains(&text.as_str())).map_or(text, |words| words[0].to_owned())
}

/// The value that an edit with a number puts into a field on a side; for text and money each number is another one.
/// References are the caller's.
pub(super) fn typed(side: Side, field: usize, number: u32) -> Value {
    match FIELDS[field].shape {
        Shape::Text => {
            let long = if number.is_multiple_of(3) { " and more than some will take" } else { "" };
            Value::text(format!("{number} {}{long}", FIELDS[field].name))
        }
        Shape::Money => {
            let cents = i64::from(number) * 100 + i64::from(number % 4) * 25;
            match side {
                Side::Crm => Value::Double(cents as f64 / 100.0),
                Side::Erp => Value::Decimal(Decimal(format!("{}.{:02}", cents / 100, cents % 100))),
            }
        }
        Shape::Word => {
            let words = TIERS[number as usize % TIERS.len()];
            Value::text(match side {
                Side::Crm => words[1],
                Side::Erp => words[2],
            })
        }
        Shape::Flag => Value::Bool(number.is_multiple_of(2)),
        Shape::Link => Value::Null,
    }
}
