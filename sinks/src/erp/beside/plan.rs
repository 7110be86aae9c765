//! What a write wants of the rows beside its root row, and what follows for one of them. Decides only; no I/O.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemas::Value;
use schemas::message::{Field, RowTarget, WhenEmpty, Write, WriteOp};
use schemas::wire::Wire as _;

use super::super::catalog::Table;
use super::super::plan::missing;
use super::super::value;
use crate::writer::Answer;

/// A row beside the root rows of a group.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Beside {
    /// As the writes say it, without the row that was chosen once.
    pub(crate) target: RowTarget,
    pub(crate) table: Arc<Table>,
    /// Columns of the foreign key: in this table, or in the root's for one that the root points at.
    pub(crate) key: Vec<usize>,
    /// Columns to set.
    pub(crate) set: Vec<usize>,
    /// Columns with an expected value.
    pub(crate) expect: Vec<usize>,
    /// Columns to look at: those above, and those that tell whether the row is empty.
    pub(crate) seen: Vec<usize>,
}

/// One write's values for it, in text form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct BesideValues {
    pub(crate) set: Vec<Option<String>>,
    pub(crate) expect: Vec<Option<String>>,
}

/// What is done to one row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    /// Nothing.
    Keep,
    /// Its columns are set.
    Set,
    /// It is made.
    Insert,
    /// It is removed; one that the root points at is pointed at no more.
    Remove,
    /// It gets the values with which it is no longer chosen.
    Retire,
}

impl Beside {
    /// The name of a column in the wide row.
    pub(crate) fn wide(&self, column: usize) -> String {
        format!("{}.{}", self.target.name, self.table.columns[column].name)
    }

    /// What a write does, given the row that is chosen now (its seen columns), if there is one.
    pub(crate) fn deed(&self, values: &BesideValues, found: Option<&[Option<String>]>) -> Deed {
        if self.set.is_empty() {
            return Deed::Keep;
        }
        let text = |column: usize| match self.set.iter().position(|set| *set == column) {
            Some(place) => values.set[place].as_ref(),
            None => {
                let place = self.seen.iter().position(|seen| *seen == column);
                found.zip(place).and_then(|(found, place)| found.get(place)?.as_ref())
            }
        };
        let used = self.target.columns.iter().filter_map(|name| self.table.column(name)).chain(self.set.iter().copied());
        let empty = used.into_iter().all(|column| text(column).is_none());
        match (found, empty, self.target.when_empty) {
            (None, true, _) => Deed::Keep,
            (None, false, _) => Deed::Insert,
            (Some(_), false, _) | (Some(_), true, WhenEmpty::Null) => Deed::Set,
            (Some(_), true, WhenEmpty::Delete) => Deed::Remove,
            (Some(_), true, WhenEmpty::Retire) => Deed::Retire,
        }
    }

    /// What tells groups apart.
    pub(crate) fn shape(&self) -> (Vec<u8>, Vec<usize>, Vec<usize>) {
        let mut bytes = Vec::new();
        self.target.put(&mut bytes);
        (bytes, self.set.clone(), self.expect.clone())
    }
}

/// The rows beside the root row of a write.
pub(crate) fn plan(
    write: &Write,
    root: &Table,
    tables: &BTreeMap<String, Option<Arc<Table>>>,
) -> Result<Vec<(Beside, BesideValues)>, Box<Answer>> {
    write.rows.iter().map(|target| one(write, root, target, tables)).collect()
}

fn one(
    write: &Write,
    root: &Table,
    target: &RowTarget,
    tables: &BTreeMap<String, Option<Arc<Table>>>,
) -> Result<(Beside, BesideValues), Box<Answer>> {
    let table = tables.get(&target.table).cloned().flatten().ok_or_else(|| {
        missing("42P01", format!("the ERP has no table {}", target.table), "Create it, or correct its name in the mapping")
    })?;
    let column_of = |table: &Table, object: &str, name: &str| {
        let remedy = "Create the column, or correct its name in the mapping";
        table.column(name).ok_or_else(|| missing("42703", format!("table {object} has no column {name}"), remedy))
    };
    let column = |name: &str| column_of(&table, &target.table, name);
    let key = target
        .key_columns
        .iter()
        .map(|name| if target.parent { column_of(root, &write.object, name) } else { column(name) })
        .collect::<Result<Vec<_>, _>>()?;
    let pointed_at = if target.parent { &table } else { root };
    if table.key.is_empty() || key.is_empty() || key.len() != pointed_at.key.len() {
        let reason = format!(
            "the foreign key ({}) between {} and {} does not fit the primary key, which has {} columns",
            target.key_columns.join(", "),
            write.object,
            target.table,
            pointed_at.key.len()
        );
        return Err(missing("ROW_KEY", reason, "Correct key or through in the mapping; both tables need a primary key"));
    }
    let prefix = format!("{}.", target.name);
    let columns = |fields: &[Field]| -> Result<BTreeSet<usize>, Box<Answer>> {
        fields.iter().filter_map(|field| field.name.strip_prefix(&prefix)).map(column).collect()
    };
    let set = if write.op == WriteOp::Delete { BTreeSet::new() } else { columns(&write.values)? };
    let expect = if write.op == WriteOp::Create { BTreeSet::new() } else { columns(&write.expected)? };
    let mut seen: BTreeSet<usize> = set.union(&expect).copied().collect();
    for name in &target.columns {
        seen.insert(column(name)?);
    }
    for name in target.constants.iter().chain(&target.conditions).chain(&target.retire).map(|field| field.name.as_str()) {
        column(name)?;
    }
    for name in &target.order {
        column(name.strip_prefix('-').unwrap_or(name))?;
    }
    let texts = |columns: &BTreeSet<usize>, fields: &[Field]| -> Vec<Option<String>> {
        let value = |column: &usize| {
            let name = format!("{prefix}{}", table.columns[*column].name);
            fields.iter().find(|field| field.name == name).and_then(|field| value::text(&field.value))
        };
        columns.iter().map(value).collect()
    };
    let values = BesideValues { set: texts(&set, &write.values), expect: texts(&expect, &write.expected) };
    let target = RowTarget { record: None, ..target.clone() };
    let beside = Beside {
        target,
        key,
        set: set.into_iter().collect(),
        expect: expect.into_iter().collect(),
        seen: seen.into_iter().collect(),
        table,
    };
    Ok((beside, values))
}

/// Whether a column's name speaks of one of these rows.
pub(crate) fn is_beside(rows: &[RowTarget], name: &str) -> bool {
    name.split_once('.').is_some_and(|(row, _)| rows.iter().any(|target| target.name == row))
}

/// Fields with the columns of the root row only.
pub(crate) fn of_root(rows: &[RowTarget], fields: &[Field]) -> Vec<Field> {
    fields.iter().filter(|field| !is_beside(rows, &field.name)).cloned().collect()
}

/// One of several values, or the only one.
pub(crate) fn any_of(value: &Value) -> Vec<&Value> {
    match value {
        Value::List(items) => items.iter().collect(),
        one => vec![one],
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::catalog::{Column, Compare};
    use super::super::super::value::Kind;
    use super::*;

    fn beside(when_empty: WhenEmpty) -> Beside {
        let column = |name: &str| Column { name: name.to_owned(), type_name: "text".to_owned(), kind: Kind::Text, compare: Compare::Plain };
        let target = RowTarget {
            name: "invoice".to_owned(),
            table: "public.address".to_owned(),
            key_columns: vec!["party".to_owned()],
            parent: false,
            record: None,
            conditions: Vec::new(),
            order: Vec::new(),
            columns: vec!["street".to_owned(), "city".to_owned()],
            constants: Vec::new(),
            when_empty,
            retire: Vec::new(),
        };
        let table = Table {
            name: "address".to_owned(),
            object: "address".to_owned(),
            columns: vec![column("id"), column("street"), column("city")],
            key: vec![0],
            triggered_after: false,
        };
        Beside { target, table: Arc::new(table), key: vec![0], set: vec![1], expect: vec![1], seen: vec![1, 2] }
    }

    #[test]
    fn writing_nothing_empties_a_row_only_when_its_other_columns_are_empty_too() {
        let text = |text: &str| Some(text.to_owned());
        let check = |when_empty: WhenEmpty, street: Option<String>, found: Option<&[Option<String>]>, deed: Deed| {
            let values = BesideValues { set: vec![street], expect: vec![None] };
            assert_eq!(beside(when_empty).deed(&values, found), deed);
        };
        check(WhenEmpty::Delete, None, None, Deed::Keep);
        check(WhenEmpty::Delete, text("Mill Lane 7"), None, Deed::Insert);
        check(WhenEmpty::Delete, text("Mill Lane 7"), Some(&[None, None]), Deed::Set);
        check(WhenEmpty::Delete, None, Some(&[text("x"), text("Leeds")]), Deed::Set);
        check(WhenEmpty::Delete, None, Some(&[text("x"), None]), Deed::Remove);
        check(WhenEmpty::Retire, None, Some(&[text("x"), None]), Deed::Retire);
        check(WhenEmpty::Null, None, Some(&[text("x"), None]), Deed::Set);
    }
}
