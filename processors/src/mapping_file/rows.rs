//! Entities drawn from several tables, as the file says it: `where` and `rows` of a side.
//!
//! ```toml
//! [entity.customer.erp.rows.email]
//! table = "public.party_contact_mechanism"
//! key = "party"                                  # its column that points at the root row; or, the other way round,
//! # through = "address"                          # the root row's column that points at this table's primary key
//! where = { type = "email", active = true }      # equal to; [a, b] is one of; { null = true } is no value
//! order = ["-main", "sequence"]                  # the first by these is the row; "-" before: the largest first
//! insert = { sequence = 10 }                     # more columns of a row that Concord inserts, `where` aside
//! empty = "delete"                               # writing nothing: "null" (default), "delete", or { active = false }
//! ```

use std::collections::BTreeMap;

use reconcile::Value;
use reconcile::mapping::{Condition, CreatePolicy, EmptyRow, EntityMapping, OrderBy, RowLink, RowMapping, rows};
use rust_decimal::Decimal;
use serde::Deserialize;
use toml::Spanned;

use super::Wrong;

type Result<T> = std::result::Result<T, Wrong>;
type Scalar = Spanned<toml::Value>;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Row {
    table: Spanned<String>,
    key: Option<Columns>,
    through: Option<Columns>,
    #[serde(default, rename = "where")]
    conditions: BTreeMap<String, Scalar>,
    #[serde(default)]
    order: Vec<String>,
    #[serde(default)]
    insert: BTreeMap<String, Scalar>,
    empty: Option<Scalar>,
    actor_column: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "a column name, or a list of them")]
enum Columns {
    One(String),
    Several(Vec<String>),
}

impl Columns {
    fn into_vec(self) -> Vec<String> {
        match self {
            Self::One(column) => vec![column],
            Self::Several(columns) => columns,
        }
    }
}

fn wrong(at: usize, reason: impl Into<String>) -> Wrong {
    Wrong { at: Some(at), reason: reason.into() }
}

/// A side's `where`.
pub(super) fn conditions(here: &str, shape: BTreeMap<String, Scalar>) -> Result<Vec<Condition>> {
    shape.into_iter().map(|(column, value)| condition(here, column, value)).collect()
}

/// A side's `rows`.
pub(super) fn beside(here: &str, shape: BTreeMap<String, Row>) -> Result<BTreeMap<String, RowMapping>> {
    shape
        .into_iter()
        .map(|(name, shape)| {
            let here = format!("{here}.rows.{name}");
            if name.is_empty() || name.contains(['.', '$']) {
                return Err(wrong(shape.table.span().start, format!("{here}: a row's name has neither . nor $ in it")));
            }
            Ok((name, row(&here, shape)?))
        })
        .collect()
}

fn row(here: &str, shape: Row) -> Result<RowMapping> {
    let at = shape.table.span().start;
    let link = match (shape.key, shape.through) {
        (Some(key), None) => RowLink::Child(key.into_vec()),
        (None, Some(through)) => RowLink::Parent(through.into_vec()),
        _ => {
            return Err(wrong(
                at,
                format!(
                    "{here} needs either key (its column that points at the root row) or through (the root row's column that points at it)"
                ),
            ));
        }
    };
    let conditions = conditions(here, shape.conditions)?;
    let mut insert: BTreeMap<String, Value> =
        shape.insert.into_iter().map(|(column, value)| Ok((column.clone(), scalar(here, &column, value)?))).collect::<Result<_>>()?;
    for condition in &conditions {
        match (insert.get(&condition.column), condition.single()) {
            (Some(value), _) if condition.holds(value) => {}
            (Some(value), _) => {
                let column = &condition.column;
                return Err(wrong(at, format!("{here}: insert sets {column} to {value}, which its where would not choose")));
            }
            (None, Some(value)) => {
                insert.insert(condition.column.clone(), value.clone());
            }
            (None, None) => {
                let column = &condition.column;
                return Err(wrong(at, format!("{here}: where allows several values of {column}; say in insert which one a new row gets")));
            }
        }
    }
    let empty = match shape.empty {
        None => EmptyRow::default(),
        Some(empty) => {
            let at = empty.span().start;
            match empty.into_inner() {
                toml::Value::String(word) if word == "null" => EmptyRow::Null,
                toml::Value::String(word) if word == "delete" => EmptyRow::Delete,
                toml::Value::Table(columns) => {
                    let values = columns.into_iter().map(|(column, value)| Ok((column.clone(), plain(here, &column, at, value)?)));
                    let values: BTreeMap<String, Value> = values.collect::<Result<_>>()?;
                    let retired = |condition: &Condition| values.get(&condition.column).is_some_and(|value| !condition.holds(value));
                    if !conditions.iter().any(retired) {
                        return Err(wrong(at, format!("{here}.empty: a row with these values would still be chosen by its where")));
                    }
                    EmptyRow::Retire(values)
                }
                other => {
                    let known = "\"null\", \"delete\", or the columns that retire a row, as { active = false }";
                    return Err(wrong(at, format!("{here}.empty is {other}, but must be {known}")));
                }
            }
        }
    };
    let order = shape.order.into_iter().map(|text| match text.strip_prefix('-') {
        Some(column) => OrderBy { column: column.to_owned(), descending: true },
        None => OrderBy { column: text, descending: false },
    });
    Ok(RowMapping {
        table: shape.table.into_inner(),
        link,
        conditions,
        order: order.collect(),
        insert,
        empty,
        actor_column: shape.actor_column,
    })
}

fn condition(here: &str, column: String, value: Scalar) -> Result<Condition> {
    let at = value.span().start;
    let one_of = match value.into_inner() {
        toml::Value::Array(items) if items.is_empty() => {
            return Err(wrong(at, format!("{here}.where: {column} could have no value at all")));
        }
        toml::Value::Array(items) => items.into_iter().map(|item| plain(here, &column, at, item)).collect::<Result<_>>()?,
        toml::Value::Table(table) if table.len() == 1 && table.get("null") == Some(&toml::Value::Boolean(true)) => vec![Value::Null],
        other => vec![plain(here, &column, at, other)?],
    };
    Ok(Condition { column, one_of })
}

fn scalar(here: &str, column: &str, value: Scalar) -> Result<Value> {
    let at = value.span().start;
    plain(here, column, at, value.into_inner())
}

fn plain(here: &str, column: &str, at: usize, value: toml::Value) -> Result<Value> {
    Ok(match value {
        toml::Value::String(text) => Value::Text(text),
        toml::Value::Integer(number) => Value::Int(number),
        toml::Value::Float(number) => Value::Decimal(
            Decimal::from_str_exact(&number.to_string())
                .map_err(|_| wrong(at, format!("{here}: {column} is {number}, which cannot be kept exactly")))?,
        ),
        toml::Value::Boolean(value) => Value::Bool(value),
        toml::Value::Datetime(_) | toml::Value::Array(_) | toml::Value::Table(_) => {
            return Err(wrong(at, format!("{here}: {column} must be a text, a number, true or false")));
        }
    })
}

/// Says the first thing that does not hold between an entity's rows and its columns.
pub(super) fn check(entity: &EntityMapping) -> std::result::Result<(), String> {
    let kind = &entity.kind;
    if !entity.sides.crm.rows.is_empty() || !entity.sides.crm.conditions.is_empty() {
        return Err(format!("entity.{kind}.crm has where or rows; only the ERP's records are chosen and drawn from several tables"));
    }
    let own = &entity.sides.erp;
    let create = entity.create.erp != CreatePolicy::Never;
    for condition in own.conditions.iter().filter(|_| create) {
        let set = own.constants.get(&condition.column).map(|constant| &constant.value);
        let good = set.map_or(condition.single().is_some(), |value| condition.holds(value));
        if !good {
            let column = &condition.column;
            return Err(format!("entity.{kind}.erp: a record that is made must meet where; give {column} a fitting constant"));
        }
    }
    for column in
        [Some(&own.id_column), own.actor_column.as_ref()].into_iter().flatten().chain(own.archive.keys()).chain(own.constants.keys())
    {
        if own.beside(column).is_some() {
            return Err(format!("entity.{kind}.erp: {column} must be a column of {}", own.object));
        }
    }
    let fields = || entity.fields.iter().flat_map(|field| field.columns.erp.names());
    if !own.rows.is_empty()
        && let Some(column) = fields().find(|column| column.contains('.') && own.beside(column).is_none())
    {
        let names: Vec<&str> = own.rows.keys().map(String::as_str).collect();
        return Err(format!("entity.{kind}: {column} names a column of a row that is not described; rows are {}", names.join(", ")));
    }
    for (name, row) in &own.rows {
        let prefix = rows::wide(name, "");
        if !fields().chain(entity.keys.iter().map(|key| key.columns.erp.as_str())).any(|column| column.starts_with(&prefix)) {
            return Err(format!("entity.{kind}.erp.rows.{name}: no field names a column of it, as {prefix}<column>"));
        }
        let (RowLink::Child(key) | RowLink::Parent(key)) = &row.link;
        if key.is_empty() || key.iter().any(String::is_empty) {
            return Err(format!("entity.{kind}.erp.rows.{name}: its foreign key has no column"));
        }
        let own_key = matches!(row.link, RowLink::Child(_)).then_some(key);
        let fixed = row.insert.keys().chain(own_key.into_iter().flatten());
        if let Some(column) = fixed.into_iter().find(|column| fields().any(|field| field == rows::wide(name, column))) {
            return Err(format!("entity.{kind}.erp.rows.{name}: {column} has a fixed value and cannot be a field too"));
        }
        if matches!(row.link, RowLink::Parent(_)) && matches!(row.empty, EmptyRow::Retire(_)) {
            return Err(format!(
                "entity.{kind}.erp.rows.{name}: a row that the root row points at may be others' too and is not retired; \"null\" or \"delete\" (which only takes the pointer away) is"
            ));
        }
    }
    Ok(())
}
