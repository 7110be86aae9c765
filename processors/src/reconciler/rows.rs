//! What a write says of the rows beside the root row that it speaks of.

use std::collections::BTreeSet;

use reconcile::mapping::rows::{ROW_KEY, wide};
use reconcile::mapping::{Condition, EmptyRow, EntityMapping, OrderBy, RowLink, RowMapping, Side};
use reconcile::merge::EntityState;
use schemas::message::{Field, RowTarget, WhenEmpty};

use crate::convert;

/// The rows whose columns are among these.
pub(super) fn targets<'a>(
    mapping: &EntityMapping,
    state: &EntityState,
    side: Side,
    columns: impl Iterator<Item = &'a str>,
) -> Vec<RowTarget> {
    let own = &mapping.sides[side];
    if own.rows.is_empty() {
        return Vec::new();
    }
    let names: BTreeSet<&str> = columns.filter_map(|column| Some(own.beside(column)?.0)).collect();
    names.into_iter().filter_map(|name| Some(target(mapping, state, side, name, own.rows.get(name)?))).collect()
}

fn target(mapping: &EntityMapping, state: &EntityState, side: Side, name: &str, row: &RowMapping) -> RowTarget {
    let (key_columns, parent) = match &row.link {
        RowLink::Child(key) => (key.clone(), false),
        RowLink::Parent(key) => (key.clone(), true),
    };
    let prefix = wide(name, "");
    let columns: BTreeSet<String> = mapping
        .fields
        .iter()
        .flat_map(|field| field.columns[side].names())
        .filter_map(|column| column.strip_prefix(&prefix).map(str::to_owned))
        .collect();
    let (when_empty, retire) = match &row.empty {
        EmptyRow::Null => (WhenEmpty::Null, Vec::new()),
        EmptyRow::Delete => (WhenEmpty::Delete, Vec::new()),
        EmptyRow::Retire(values) => (WhenEmpty::Retire, convert::wire_fields(values)),
    };
    RowTarget {
        name: name.to_owned(),
        table: row.table.clone(),
        key_columns,
        parent,
        record: state.sides[side].columns.get(&wide(name, ROW_KEY)).and_then(|key| key.as_text()).map(str::to_owned),
        conditions: row.conditions.iter().map(condition).collect(),
        order: row.order.iter().map(|OrderBy { column, descending }| format!("{}{column}", if *descending { "-" } else { "" })).collect(),
        columns: columns.into_iter().collect(),
        constants: convert::wire_fields(&row.insert),
        when_empty,
        retire,
    }
}

fn condition(condition: &Condition) -> Field {
    let value = match condition.single() {
        Some(value) => convert::wire(value),
        None => schemas::Value::List(condition.one_of.iter().map(convert::wire).collect()),
    };
    Field { name: condition.column.clone(), value }
}

/// What a new root row must hold besides to be a record of the entity.
pub(super) fn conditions(mapping: &EntityMapping, side: Side, values: &mut Vec<Field>) {
    for condition in &mapping.sides[side].conditions {
        if let Some(value) = condition.single()
            && !values.iter().any(|field| field.name == condition.column)
        {
            values.push(Field { name: condition.column.clone(), value: convert::wire(value) });
        }
    }
}
