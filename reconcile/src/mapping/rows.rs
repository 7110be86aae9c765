//! Entities drawn from several tables: which rows of a table are the entity's root, and which rows beside it hold the rest.
//!
//! A field names a column of such a row as `<row>.<column>`. Reading, the matcher joins the rows, so that everything after
//! it sees one wide row with columns of such names; writing, the ERP sink takes them apart.

use std::collections::BTreeMap;

use crate::value::Value;

/// What a row must hold in one column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    /// Column.
    pub column: String,
    /// One of these; null is no value.
    pub one_of: Vec<Value>,
}

impl Condition {
    /// Whether a column's value is one of them. Numbers are compared as numbers.
    pub fn holds(&self, value: &Value) -> bool {
        self.one_of.iter().any(|wanted| same(wanted, value))
    }

    /// The value, where there is only one.
    pub fn single(&self) -> Option<&Value> {
        match self.one_of.as_slice() {
            [value] => Some(value),
            _ => None,
        }
    }
}

fn same(wanted: &Value, value: &Value) -> bool {
    match (wanted, value) {
        (Value::Int(a), Value::Decimal(b)) | (Value::Decimal(b), Value::Int(a)) => rust_decimal::Decimal::from(*a) == *b,
        (a, b) => a == b,
    }
}

/// A column by which rows are put in order; nulls come last either way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderBy {
    /// Column.
    pub column: String,
    /// The largest comes first.
    pub descending: bool,
}

/// Which way the foreign key points, with its columns in the order of the primary key it points at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowLink {
    /// Columns of the row that point at the root row: there may be several such rows.
    Child(Vec<String>),
    /// Columns of the root row that point at the row: there is at most one.
    Parent(Vec<String>),
}

/// What writing nothing does to a row.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum EmptyRow {
    /// Its columns are set to null; the row stays.
    #[default]
    Null,
    /// The row is removed; one that the root points at is only pointed at no more.
    Delete,
    /// It gets these values, with which it is no longer chosen.
    Retire(BTreeMap<String, Value>),
}

/// A row beside the root row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowMapping {
    /// `schema.table`.
    pub table: String,
    /// How it hangs on the root row.
    pub link: RowLink,
    /// What it must hold.
    pub conditions: Vec<Condition>,
    /// Which of several it is: the first by these, then by primary key.
    pub order: Vec<OrderBy>,
    /// Columns with a fixed value when it is inserted; conditions of one value are among them.
    pub insert: BTreeMap<String, Value>,
    /// What writing nothing does.
    pub empty: EmptyRow,
    /// Column that names who edited it last, if there is one.
    pub actor_column: Option<String>,
}

/// The hidden column of a wide row that holds the primary key of the row that was chosen; null when there is none.
pub const ROW_KEY: &str = "$id";

/// Row and column of a wide row's column, if its first part names a row.
pub fn split<'a, 'm>(rows: &'m BTreeMap<String, RowMapping>, column: &'a str) -> Option<(&'a str, &'m RowMapping, &'a str)> {
    let (name, column) = column.split_once('.')?;
    Some((name, rows.get(name)?, column))
}

/// The name of a row's column in a wide row.
pub fn wide(row: &str, column: &str) -> String {
    format!("{row}.{column}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_condition_holds_for_any_of_its_values_and_numbers_are_compared_as_numbers() {
        let condition = Condition { column: "type".to_owned(), one_of: vec![Value::Int(2), Value::Null] };
        assert!(condition.holds(&Value::Int(2)) && condition.holds(&Value::Null));
        assert!(condition.holds(&Value::Decimal("2.0".parse().expect("a number"))));
        assert!(!condition.holds(&Value::text("2")) && condition.single().is_none());
    }

    #[test]
    fn only_the_part_before_the_first_point_names_a_row() {
        let row = RowMapping {
            table: "public.party_contact_mechanism".to_owned(),
            link: RowLink::Child(vec!["party".to_owned()]),
            conditions: Vec::new(),
            order: Vec::new(),
            insert: BTreeMap::new(),
            empty: EmptyRow::Delete,
            actor_column: None,
        };
        let rows = BTreeMap::from([("email".to_owned(), row)]);
        assert!(matches!(split(&rows, "email.value"), Some(("email", _, "value"))));
        assert!(matches!(split(&rows, "email.odd.name"), Some(("email", _, "odd.name"))));
        assert!(split(&rows, "phone.value").is_none() && split(&rows, "email").is_none());
        assert_eq!(wide("email", ROW_KEY), "email.$id");
    }
}
