//! Between what travels on the log and what the pure core computes with.

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::mapping::{Pair, Side};
use rust_decimal::Decimal;
use schemas::message;

/// The core's side.
pub(crate) const fn side(side: message::Side) -> Side {
    match side {
        message::Side::Crm => Side::Crm,
        message::Side::Erp => Side::Erp,
    }
}

/// The log's side.
pub(crate) const fn wire_side(side: Side) -> message::Side {
    match side {
        Side::Crm => message::Side::Crm,
        Side::Erp => message::Side::Erp,
    }
}

/// The core's value of one from the log.
///
/// # Errors
/// Says why, for numbers that no exact decimal of 28 digits can hold and for bytes.
pub(crate) fn value(value: &schemas::Value) -> Result<Value, String> {
    Ok(match value {
        schemas::Value::Null => Value::Null,
        schemas::Value::Bool(value) => Value::Bool(*value),
        schemas::Value::Int(value) => Value::Int(*value),
        schemas::Value::Double(value) => Value::Decimal(double(*value)?),
        schemas::Value::Text(text) => Value::Text(text.clone()),
        schemas::Value::Bytes(_) => return Err("bytes cannot be mapped".to_owned()),
        schemas::Value::Decimal(schemas::Decimal(text)) => Value::Decimal(decimal(text)?),
        schemas::Value::Date(days) => Value::Date(*days),
        schemas::Value::Timestamp(micros) => Value::Timestamp(*micros),
        schemas::Value::List(items) => Value::List(items.iter().map(self::value).collect::<Result<_, _>>()?),
    })
}

fn decimal(text: &str) -> Result<Decimal, String> {
    Decimal::from_str_exact(text)
        .map_err(|_| "the number has more digits than 28, which is more than can be computed with exactly".to_owned())
}

/// The shortest decimal that reads back as the same double, which is what a person typed.
fn double(value: f64) -> Result<Decimal, String> {
    if !value.is_finite() {
        return Err("the number is not finite".to_owned());
    }
    let text = format!("{value}");
    Decimal::from_str_exact(&text)
        .or_else(|_| Decimal::from_scientific(&format!("{value:e}")))
        .map_err(|_| "the number is too large to compute with exactly".to_owned())
}

/// The log's form of a core value.
pub(crate) fn wire(value: &Value) -> schemas::Value {
    match value {
        Value::Null => schemas::Value::Null,
        Value::Bool(value) => schemas::Value::Bool(*value),
        Value::Int(value) => schemas::Value::Int(*value),
        Value::Decimal(value) => schemas::Value::Decimal(schemas::Decimal(value.to_string())),
        Value::Text(text) => schemas::Value::Text(text.clone()),
        Value::Date(days) => schemas::Value::Date(*days),
        Value::Timestamp(micros) => schemas::Value::Timestamp(*micros),
        Value::List(items) => schemas::Value::List(items.iter().map(wire).collect()),
    }
}

/// Named values as the log has them.
pub(crate) fn wire_fields(values: &BTreeMap<String, Value>) -> Vec<message::Field> {
    values.iter().map(|(name, value)| message::Field { name: name.clone(), value: wire(value) }).collect()
}

/// Named values as the core has them.
///
/// # Errors
/// The first name whose value has no counterpart, and why.
pub(crate) fn fields(fields: &[message::Field]) -> Result<BTreeMap<String, Value>, (String, String)> {
    fields
        .iter()
        .map(|field| value(&field.value).map(|value| (field.name.clone(), value)).map_err(|reason| (field.name.clone(), reason)))
        .collect()
}

/// The plain text of a value, as ids and keys are compared.
pub(crate) fn id_text(value: &schemas::Value) -> Option<String> {
    match value {
        schemas::Value::Text(text) if !text.is_empty() => Some(text.clone()),
        schemas::Value::Int(number) => Some(number.to_string()),
        schemas::Value::Decimal(schemas::Decimal(text)) => Some(text.clone()),
        _ => None,
    }
}

/// A pair of optional record ids.
pub(crate) fn records(crm: Option<String>, erp: Option<String>) -> Pair<Option<String>> {
    Pair { crm, erp }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_double_is_the_decimal_that_was_typed() {
        for (number, text) in [(50_000.0, "50000"), (0.1, "0.1"), (1e21, "1000000000000000000000"), (-12.5, "-12.5")] {
            assert_eq!(value(&schemas::Value::Double(number)).map(|value| format!("{value:?}")), Ok(format!("Decimal({text})")));
        }
        assert!(value(&schemas::Value::Double(f64::NAN)).is_err());
    }

    #[test]
    fn decimals_keep_their_digits_both_ways() {
        let there = value(&schemas::Value::Decimal(schemas::Decimal("1000.00".into()))).expect("fits");
        assert_eq!(wire(&there), schemas::Value::Decimal(schemas::Decimal("1000.00".into())));
    }
}
