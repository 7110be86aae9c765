//! Which of several rows is the one: decided here as the ERP sink's SQL decides it, so that both mean the same row.

use std::cmp::Ordering;

use reconcile::mapping::{Condition, OrderBy};
use schemas::Value;
use schemas::message::Field;

use crate::convert;
use crate::matcher::state::column;

/// Whether a row holds what it must; a column that was never seen is null.
pub(crate) fn meets(conditions: &[Condition], columns: &[Field]) -> bool {
    conditions.iter().all(|condition| {
        let value = column(columns, &condition.column).unwrap_or(&Value::Null);
        convert::value(value).is_ok_and(|value| condition.holds(&value))
    })
}

/// Which of two rows comes first.
pub(crate) fn order(by: &[OrderBy], (a_id, a): (&str, &[Field]), (b_id, b): (&str, &[Field])) -> Ordering {
    by.iter()
        .map(|by| {
            let value = |columns| column(columns, &by.column).unwrap_or(&Value::Null);
            match (value(a), value(b)) {
                (Value::Null, Value::Null) => Ordering::Equal,
                (Value::Null, _) => Ordering::Greater,
                (_, Value::Null) => Ordering::Less,
                (a, b) if by.descending => compare(b, a),
                (a, b) => compare(a, b),
            }
        })
        .find(|order| order.is_ne())
        .unwrap_or_else(|| by_key(a_id, b_id))
}

/// Text by its bytes, everything else by what it means.
fn compare(a: &Value, b: &Value) -> Ordering {
    match (a, b) {
        (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        (Value::Double(a), Value::Double(b)) => a.total_cmp(b),
        (Value::Text(a), Value::Text(b)) => a.as_bytes().cmp(b.as_bytes()),
        (Value::Bytes(a), Value::Bytes(b)) => a.cmp(b),
        (Value::Date(a), Value::Date(b)) => a.cmp(b),
        (Value::Timestamp(a), Value::Timestamp(b)) => a.cmp(b),
        (Value::Decimal(a), Value::Decimal(b)) => {
            let number = |text: &str| text.parse::<rust_decimal::Decimal>().ok();
            match (number(&a.0), number(&b.0)) {
                (Some(a), Some(b)) => a.cmp(&b),
                _ => a.cmp(b),
            }
        }
        _ => Ordering::Equal,
    }
}

/// Keys in the order of their parts' length, then bytes: that is the order of whole numbers, and some order of any others.
fn by_key(a: &str, b: &str) -> Ordering {
    fn parts(id: &str) -> Vec<String> {
        if !id.starts_with('[') {
            return vec![id.to_owned()];
        }
        serde_json::from_str(id).unwrap_or_else(|_| vec![id.to_owned()])
    }
    let (a, b) = (parts(a), parts(b));
    let ranked = |parts: &[String]| parts.iter().map(|part| (part.chars().count(), part.clone())).collect::<Vec<_>>();
    ranked(&a).cmp(&ranked(&b))
}

/// The text of a foreign key as a record id has it; none when a column of it is null.
pub(crate) fn key_text(columns: &[Field], key: &[String]) -> Option<String> {
    let mut parts = Vec::with_capacity(key.len());
    for name in key {
        parts.push(match column(columns, name)? {
            Value::Text(text) => text.clone(),
            Value::Int(number) => number.to_string(),
            Value::Decimal(number) => number.0.clone(),
            Value::Bool(value) => if *value { "t" } else { "f" }.to_owned(),
            Value::Date(_) | Value::Timestamp(_) | Value::Double(_) | Value::Bytes(_) | Value::List(_) | Value::Null => return None,
        });
    }
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => serde_json::to_string(&parts).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(values: &[(&str, Value)]) -> Vec<Field> {
        values.iter().map(|(name, value)| Field { name: (*name).to_owned(), value: value.clone() }).collect()
    }

    #[test]
    fn the_first_by_its_columns_wins_and_nulls_come_last_either_way() {
        let by = |text: &str| match text.strip_prefix('-') {
            Some(column) => OrderBy { column: column.to_owned(), descending: true },
            None => OrderBy { column: text.to_owned(), descending: false },
        };
        let check = |by: &[OrderBy], a: (&str, Value), b: (&str, Value)| {
            let (left, right) = (row(&[("n", a.1)]), row(&[("n", b.1)]));
            assert_eq!(order(by, (a.0, &left), (b.0, &right)), Ordering::Less, "{left:?} {right:?}");
            assert_eq!(order(by, (b.0, &right), (a.0, &left)), Ordering::Greater);
        };
        check(&[by("n")], ("2", Value::Int(9)), ("1", Value::Int(10)));
        check(&[by("-n")], ("2", Value::Int(10)), ("1", Value::Int(9)));
        for direction in ["n", "-n"] {
            check(&[by(direction)], ("2", Value::Int(9)), ("1", Value::Null));
        }
        check(&[by("-n")], ("2", Value::Bool(true)), ("1", Value::Bool(false)));
        check(&[by("n")], ("2", Value::text("B")), ("1", Value::text("a")));
        // Equal otherwise: the lowest key, as a number.
        check(&[by("n")], ("9", Value::Null), ("10", Value::Null));
        check(&[], (r#"["1","9"]"#, Value::Null), (r#"["1","10"]"#, Value::Null));
    }

    #[test]
    fn a_foreign_key_reads_as_the_record_id_that_it_points_at() {
        let columns = row(&[("company", Value::Int(7)), ("party", Value::text("x \"y")), ("none", Value::Null)]);
        let key = |names: &[&str]| key_text(&columns, &names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(key(&["company"]).as_deref(), Some("7"));
        assert_eq!(key(&["company", "party"]).as_deref(), Some(r#"["7","x \"y"]"#));
        assert_eq!(key(&["company", "none"]), None);
    }
}
