//! The ERP's tables in memory: what somebody does there, what its stream says of that, and what SQL would join of it.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use proptest::prelude::*;
use schemas::Value;
use schemas::cdc::{ColumnType, Op};
use schemas::message::{EntityChange, EntityOp, Side};

use crate::harness::text;

pub(super) const PARTY: &str = "public.party_party";
pub(super) const CONTACT: &str = "public.party_contact_mechanism";
pub(super) const TAX: &str = "public.party_identifier";
pub(super) const ADDRESS: &str = "party.Address";
pub(super) const TERM: &str = "public.account_invoice_payment_term";
pub(super) const TABLES: [&str; 5] = [PARTY, CONTACT, TAX, ADDRESS, TERM];

/// The columns of the tables, as capture would type them.
pub(crate) fn columns(side: Side, object: &str) -> Vec<(&'static str, ColumnType)> {
    let (text, int, boolean) = (ColumnType::Text, ColumnType::Int, ColumnType::Boolean);
    match (side, object) {
        (Side::Erp, PARTY) => vec![
            ("id", int.clone()),
            ("code", text.clone()),
            ("name", text.clone()),
            ("is_company", boolean.clone()),
            ("active", boolean),
            ("customer_payment_term", int),
            ("concord_id", text.clone()),
            ("write_user", text),
        ],
        (Side::Erp, CONTACT) => vec![
            ("id", int.clone()),
            ("party", int.clone()),
            ("type", text.clone()),
            ("value", text.clone()),
            ("sequence", int),
            ("main", boolean.clone()),
            ("active", boolean),
            ("write_user", text),
        ],
        (Side::Erp, TAX) => vec![("id", int.clone()), ("party", int.clone()), ("type", text.clone()), ("code", text), ("sequence", int)],
        (Side::Erp, ADDRESS) => vec![
            ("id", int.clone()),
            ("Party Id", int.clone()),
            ("Street", text.clone()),
            ("city", text),
            ("sequence", int),
            ("invoice", boolean.clone()),
            ("active", boolean),
        ],
        (Side::Erp, TERM) => vec![("id", int), ("name", text)],
        other => panic!("no such object: {other:?}"),
    }
}

#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Party {
    pub(super) name: String,
    pub(super) company: bool,
    pub(super) term: Option<i64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Contact {
    pub(super) party: i64,
    pub(super) kind: &'static str,
    pub(super) value: String,
    pub(super) sequence: Option<i64>,
    pub(super) main: bool,
    pub(super) active: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Address {
    pub(super) party: i64,
    pub(super) street: String,
    pub(super) city: Option<String>,
    pub(super) invoice: bool,
}

/// The ERP's tables.
#[derive(Debug, Clone, Default)]
pub(super) struct Tables {
    pub(super) parties: BTreeMap<i64, Party>,
    pub(super) contacts: BTreeMap<i64, Contact>,
    pub(super) addresses: BTreeMap<i64, Address>,
    pub(super) terms: BTreeMap<i64, String>,
}

/// What somebody does in the ERP; none deletes.
#[derive(Debug, Clone)]
pub(super) enum Act {
    Party(i64, Option<Party>),
    Contact(i64, Option<Contact>),
    Address(i64, Option<Address>),
    Term(i64, Option<String>),
}

pub(super) type Fields = Vec<(&'static str, Value)>;

fn nothing(value: Option<i64>) -> Value {
    value.map_or(Value::Null, Value::Int)
}

impl Party {
    pub(super) fn row(&self, id: i64) -> Fields {
        vec![
            ("id", Value::Int(id)),
            ("code", text(&format!("P{id}"))),
            ("name", text(&self.name)),
            ("is_company", Value::Bool(self.company)),
            ("active", Value::Bool(true)),
            ("customer_payment_term", nothing(self.term)),
        ]
    }
}

impl Contact {
    pub(super) fn row(&self, id: i64) -> Fields {
        vec![
            ("id", Value::Int(id)),
            ("party", Value::Int(self.party)),
            ("type", text(self.kind)),
            ("value", text(&self.value)),
            ("sequence", nothing(self.sequence)),
            ("main", Value::Bool(self.main)),
            ("active", Value::Bool(self.active)),
        ]
    }
}

impl Address {
    pub(super) fn row(&self, id: i64) -> Fields {
        vec![
            ("id", Value::Int(id)),
            ("Party Id", Value::Int(self.party)),
            ("Street", text(&self.street)),
            ("city", self.city.as_deref().map_or(Value::Null, text)),
            ("invoice", Value::Bool(self.invoice)),
            ("active", Value::Bool(true)),
        ]
    }
}

impl Tables {
    /// Does it; what the change stream says of it, if it does anything.
    pub(super) fn act(&mut self, act: &Act) -> Option<(&'static str, i64, Op, Fields)> {
        fn put<T: Clone + PartialEq>(rows: &mut BTreeMap<i64, T>, id: i64, row: &Option<T>) -> Option<Op> {
            match row {
                Some(row) => Some(if rows.insert(id, row.clone()).is_some() { Op::Update } else { Op::Create }),
                None => rows.remove(&id).map(|_| Op::Delete),
            }
        }
        Some(match act {
            Act::Party(id, row) => (PARTY, *id, put(&mut self.parties, *id, row)?, row.as_ref().map_or_else(Vec::new, |row| row.row(*id))),
            Act::Contact(id, row) => {
                (CONTACT, *id, put(&mut self.contacts, *id, row)?, row.as_ref().map_or_else(Vec::new, |row| row.row(*id)))
            }
            Act::Address(id, row) => {
                (ADDRESS, *id, put(&mut self.addresses, *id, row)?, row.as_ref().map_or_else(Vec::new, |row| row.row(*id)))
            }
            Act::Term(id, row) => {
                let fields = row.as_ref().map_or_else(Vec::new, |name| vec![("id", Value::Int(*id)), ("name", text(name))]);
                (TERM, *id, put(&mut self.terms, *id, row)?, fields)
            }
        })
    }

    /// What a join from scratch says of every customer.
    pub(super) fn joined(&self) -> BTreeMap<String, BTreeMap<String, Value>> {
        let contact = |party: i64, kinds: &[&str]| {
            let rows = self.contacts.iter().filter(|(_, row)| row.party == party && row.active && kinds.contains(&row.kind));
            let first = rows.min_by_key(|(id, row)| (Reverse(row.main), row.sequence.is_none(), row.sequence, **id));
            first.map_or(Value::Null, |(_, row)| text(&row.value))
        };
        let customer = |(id, party): (&i64, &Party)| {
            let invoice =
                self.addresses.iter().filter(|(_, row)| row.party == *id && row.invoice).min_by_key(|(id, _)| **id).map(|(_, row)| row);
            let fields = [
                ("name", text(&party.name)),
                ("code", text(&format!("P{id}"))),
                ("email", contact(*id, &["email"])),
                ("phone", contact(*id, &["phone", "mobile"])),
                ("tax_id", Value::Null),
                ("street", invoice.filter(|row| !row.street.is_empty()).map_or(Value::Null, |row| text(&row.street))),
                ("city", invoice.and_then(|row| row.city.as_deref()).map_or(Value::Null, text)),
                ("payment_term", party.term.and_then(|term| self.terms.get(&term)).map_or(Value::Null, |name| text(name))),
            ];
            (id.to_string(), fields.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
        };
        self.parties.iter().filter(|(_, party)| party.company).map(customer).collect()
    }
}

/// Customers of the ERP as their changes tell them.
pub(super) fn told(changes: &[EntityChange]) -> BTreeMap<String, BTreeMap<String, Value>> {
    let mut customers: BTreeMap<String, BTreeMap<String, Value>> = BTreeMap::new();
    for change in changes.iter().filter(|change| change.side == Side::Erp) {
        match change.op {
            EntityOp::Deleted => {
                customers.remove(&change.record);
            }
            EntityOp::Changed => {
                let known = customers.entry(change.record.clone()).or_default();
                known.extend(change.fields.iter().map(|field| (field.name.clone(), field.value.clone())));
            }
            _ => {}
        }
    }
    customers
}

fn a_party() -> impl Strategy<Value = Party> {
    (0..3u8, any::<bool>(), proptest::option::of(1..3i64)).prop_map(|(name, company, term)| Party {
        name: format!("name {name}"),
        company,
        term,
    })
}

fn a_contact() -> impl Strategy<Value = Contact> {
    let kind = prop_oneof![3 => Just("email"), 2 => Just("phone"), 1 => Just("mobile"), 1 => Just("website")];
    (1..4i64, kind, 0..4u8, proptest::option::of(1..3i64), proptest::bool::weighted(0.3), proptest::bool::weighted(0.8)).prop_map(
        |(party, kind, value, sequence, main, active)| Contact { party, kind, value: format!("{kind} {value}"), sequence, main, active },
    )
}

fn an_address() -> impl Strategy<Value = Address> {
    (1..4i64, 0..3u8, proptest::option::of(0..2u8), any::<bool>()).prop_map(|(party, street, city, invoice)| Address {
        party,
        street: if street == 0 { String::new() } else { format!("street {street}") },
        city: city.map(|city| format!("city {city}")),
        invoice,
    })
}

pub(super) fn an_act() -> impl Strategy<Value = Act> {
    let some = |weight| proptest::option::weighted(weight, Just(()));
    prop_oneof![
        4 => (1..4i64, a_party(), some(0.8)).prop_map(|(id, row, there)| Act::Party(id, there.map(|()| row))),
        6 => (1..6i64, a_contact(), some(0.8)).prop_map(|(id, row, there)| Act::Contact(id, there.map(|()| row))),
        2 => (1..4i64, an_address(), some(0.8)).prop_map(|(id, row, there)| Act::Address(id, there.map(|()| row))),
        2 => (1..3i64, 0..3u8, some(0.8)).prop_map(|(id, name, there)| Act::Term(id, there.map(|()| format!("term {name}")))),
    ]
}
