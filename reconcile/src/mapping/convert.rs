//! Values between a side's columns and their canonical form.
//!
//! Reading: nothing and empty text are null; of several columns the first that is not empty counts, or the `read` expression;
//! then the table of words; then the field's type; then the default. Writing is the mirror image, one value per column.

use std::collections::BTreeMap;

use super::conform::{conform, items, plain};
use super::{ColumnRule, Expression, FieldMapping, FieldType, Side, When, expression};
use crate::error::Error;
use crate::value::Value;

/// The canonical form of the values of a side's columns, in the rule's order (see [`ColumnRule::gather`]). A reference stays the
/// side's own record id, which links turn into an entity.
pub fn read(field: &FieldMapping, side: Side, columns: &[Value]) -> Result<Value, Error> {
    let rule = &field.columns[side];
    let fault = |reason: String| Error::read(field, side, columns, reason);
    let value = columns.iter().find(|value| !blank(value)).unwrap_or(&Value::Null);
    let made;
    let value = match &rule.read {
        Some(expression) => {
            made = or_nothing(value, apply(field, expression, value, Some((rule, columns)))).map_err(fault)?;
            &made
        }
        None => value,
    };
    if blank(value) {
        return Ok(absent(field));
    }
    let value = canonical(field, rule, value).map_err(fault)?;
    Ok(if value.is_null() { absent(field) } else { value })
}

/// What a side without a value counts as holding.
fn absent(field: &FieldMapping) -> Value {
    field.default.as_ref().filter(|default| default.when == When::Always).map(|default| default.value.clone()).unwrap_or_default()
}

fn canonical(field: &FieldMapping, rule: &ColumnRule, value: &Value) -> Result<Value, String> {
    let word = |value: &Value| {
        let known = rule.words.get(&plain(value)).ok_or_else(|| format!("{value} is not in the table of words"))?;
        Ok::<Value, String>(Value::Text(known.clone()))
    };
    match (&field.kind, value) {
        (FieldType::List { .. }, value) => {
            let split;
            let list = match (value, &rule.separator) {
                (Value::Text(text), separator) => {
                    split = Value::List(items(text, separator.as_deref().unwrap_or(super::conform::SEPARATOR)));
                    &split
                }
                _ => value,
            };
            match list {
                Value::List(items) if !rule.words.is_empty() => {
                    conform(&field.kind, &Value::List(items.iter().map(word).collect::<Result<_, _>>()?))
                }
                list => conform(&field.kind, list),
            }
        }
        (kind, value) if rule.words.is_empty() => conform(kind, value),
        (kind, value) => {
            let known = rule.words.get(&plain(value)).ok_or_else(|| "it is not in the table of words".to_owned())?;
            conform(kind, &Value::text(known))
        }
    }
}

/// The values of a side's columns for a canonical one, which is first brought to the field's type (a person may have typed it).
/// Columns that are left alone are not in it.
pub fn write(field: &FieldMapping, side: Side, canonical: &Value) -> Result<BTreeMap<String, Value>, Error> {
    let rule = &field.columns[side];
    let fault = |reason: String| Error::write(field, side, canonical, reason);
    let value = if blank(canonical) { Value::Null } else { conform(&field.kind, canonical).map_err(fault)? };
    if let (Some(most), Value::Text(text)) = (field.max_length, &value) {
        let length = text.chars().count();
        if length > most {
            return Err(fault(format!("it has {length} characters, and the mapping allows {most}")));
        }
    }
    let value = worded(field, rule, value).map_err(fault)?;
    let mut columns = BTreeMap::new();
    let split = rule.split();
    for (place, part) in rule.parts.iter().enumerate() {
        let value = match &part.write {
            Some(expression) => or_nothing(&value, apply(field, expression, &value, None)).map_err(fault)?,
            None if split => continue,
            None if place == 0 => value.clone(),
            // A later column would stand for what the first one does not have.
            None if value.is_null() => Value::Null,
            None => continue,
        };
        columns.insert(part.column.clone(), value);
    }
    Ok(columns)
}

/// A required field has nothing to write.
pub(crate) fn lacking(field: &FieldMapping, side: Side) -> Error {
    Error::write(field, side, &Value::Null, "it is required there, and the other side has none; give it one, and it is carried across")
}

/// A canonical value in the side's own words.
fn worded(field: &FieldMapping, rule: &ColumnRule, value: Value) -> Result<Value, String> {
    let there = |value: &Value| {
        let word = plain(value);
        let there = rule.words.iter().find(|(_, known)| **known == word).map(|(there, _)| there.clone());
        there.map(Value::Text)
    };
    match (&field.kind, value) {
        (_, Value::Null) => Ok(Value::Null),
        (FieldType::List { .. }, Value::List(items)) => {
            let items = if rule.words.is_empty() {
                items
            } else {
                let worded = |item: &Value| there(item).ok_or_else(|| format!("its item {item} is not in the table of words"));
                items.iter().map(worded).collect::<Result<_, _>>()?
            };
            match &rule.separator {
                None => Ok(Value::List(items)),
                Some(separator) => joined(&items, separator),
            }
        }
        (_, value) if rule.words.is_empty() => Ok(value),
        (_, value) => there(&value).ok_or_else(|| "it is not in the table of words".to_owned()),
    }
}

fn joined(items: &[Value], separator: &str) -> Result<Value, String> {
    let texts: Vec<String> = items.iter().map(plain).collect();
    match texts.iter().find(|text| text.contains(separator) || text.trim() != text.as_str() || text.is_empty()) {
        Some(text) => Err(format!("its item \"{text}\" cannot stand in a text between `{separator}`")),
        None => Ok(Value::Text(texts.join(separator))),
    }
}

/// An expression that can make nothing of nothing gives nothing: a field that is emptied is emptied across, whether or not the
/// expression asks.
fn or_nothing(value: &Value, made: Result<Value, String>) -> Result<Value, String> {
    match made {
        Err(_) if blank(value) => Ok(Value::Null),
        made => made,
    }
}

fn apply(field: &FieldMapping, expression: &Expression, value: &Value, columns: Option<(&ColumnRule, &[Value])>) -> Result<Value, String> {
    let exact = matches!(field.kind, FieldType::Decimal { .. });
    expression::transform(expression, value, columns, exact).map_err(|reason| format!("`{}`: {reason}", expression.text))
}

pub(super) fn blank(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Text(text) => text.is_empty(),
        _ => false,
    }
}
