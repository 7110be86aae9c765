//! What a captured change says, as far as it is counted.

use reconcile::Value;
use reconcile::aggregate::{Change, Fact, Kind};
use rust_decimal::Decimal;
use schemas::message::{EntityChange, EntityOp, Field};

use crate::convert;
use crate::error::{Error, Result};

/// The facts of a change; none when its kind is not counted.
pub(super) fn change(change: &EntityChange) -> Result<Option<Change>> {
    let kind = match change.kind.as_str() {
        "invoice" => Kind::Invoice,
        "payment" => Kind::Payment,
        "order" => Kind::Order,
        "opportunity" => Kind::Opportunity,
        _ => return Ok(None),
    };
    let fact = match change.op {
        EntityOp::Released | EntityOp::Unlinked | EntityOp::Mapped => return Ok(None),
        EntityOp::Deleted => None,
        EntityOp::Changed | EntityOp::Joined | EntityOp::Returned => Some(fact(kind, change)?),
    };
    Ok(Some(Change { kind, record: change.record.clone(), customer: change.customer.clone(), fact }))
}

fn fact(kind: Kind, change: &EntityChange) -> Result<Fact> {
    let row = Row { change };
    Ok(match kind {
        Kind::Invoice => Fact::Invoice {
            amount: row.amount("amount")?,
            due: row.day("due")?,
            open: !row.is("status", &["paid", "void", "draft", "cancelled"]),
        },
        Kind::Payment => Fact::Payment { amount: row.amount("amount")?, invoice: row.text("invoice") },
        Kind::Order => {
            let amount = if row.has("total") { row.amount("total")? } else { row.amount("amount")? };
            Fact::Order { amount, open: !row.is("status", &["shipped", "invoiced", "cancelled"]) }
        }
        Kind::Opportunity => Fact::Opportunity {
            stage: row.text("stage").unwrap_or_default(),
            amount: row.amount("amount")?,
            probability: row.amount("probability")?,
            closed: row.yes("is_closed"),
            won: row.yes("is_won"),
        },
    })
}

struct Row<'a> {
    change: &'a EntityChange,
}

impl Row<'_> {
    fn field(&self, name: &str) -> Option<&Field> {
        self.change.fields.iter().find(|field| field.name == name)
    }

    fn has(&self, name: &str) -> bool {
        self.field(name).is_some()
    }

    fn value(&self, name: &str) -> Result<Value> {
        let field = self.field(name);
        field.map_or(Ok(Value::Null), |field| convert::value(&field.value)).map_err(|reason| self.wrong(name, reason))
    }

    /// Nothing counts as zero.
    fn amount(&self, name: &str) -> Result<Decimal> {
        match self.value(name)? {
            Value::Null => Ok(Decimal::ZERO),
            Value::Int(number) => Ok(Decimal::from(number)),
            Value::Decimal(number) => Ok(number),
            other => Err(self.wrong(name, format!("{other} is not a number; give the column the type decimal"))),
        }
    }

    fn day(&self, name: &str) -> Result<Option<i32>> {
        match self.value(name)? {
            Value::Null => Ok(None),
            Value::Date(day) => Ok(Some(day)),
            other => Err(self.wrong(name, format!("{other} is not a day; give the column the type date"))),
        }
    }

    fn text(&self, name: &str) -> Option<String> {
        self.field(name).and_then(|field| convert::id_text(&field.value))
    }

    fn is(&self, name: &str, words: &[&str]) -> bool {
        self.text(name).is_some_and(|text| words.iter().any(|word| text.eq_ignore_ascii_case(word)))
    }

    fn yes(&self, name: &str) -> bool {
        matches!(self.field(name).map(|field| &field.value), Some(schemas::Value::Bool(true)))
    }

    fn wrong(&self, field: &str, reason: String) -> Error {
        Error::MapValue { field: field.to_owned(), object: self.change.object.clone(), record: self.change.record.clone(), reason }
    }
}
