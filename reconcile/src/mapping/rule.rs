//! How one side holds a field: one column as a rule, several for a compound field.

use std::collections::BTreeMap;

use super::Expression;
use crate::value::Value;

/// How one side holds a field.
#[derive(Debug, PartialEq, Default)]
pub struct ColumnRule {
    /// Its columns; never none in a checked mapping. Of several, the first that is not empty is the value, unless `read` says
    /// otherwise.
    pub parts: Vec<Part>,
    /// From the columns' values (`value`, `columns.<name>`) to the canonical one; none is the plain conversion to the field's type.
    pub read: Option<Expression>,
    /// Word on this side ↔ canonical word, for picklists and codes; of a list, for each of its items.
    pub words: BTreeMap<String, String>,
    /// What stands between the items of a list that this side keeps as text.
    pub separator: Option<String>,
}

/// One column of a field.
#[derive(Debug, PartialEq, Default)]
pub struct Part {
    /// Column or object field name.
    pub column: String,
    /// From the canonical value to the column's. Without it, the first column takes the value itself and the others are left
    /// alone, but emptied with it.
    pub write: Option<Expression>,
}

impl ColumnRule {
    /// One column, as it is.
    pub fn plain(column: impl Into<String>) -> Self {
        Self { parts: vec![Part { column: column.into(), write: None }], ..Self::default() }
    }

    /// Its columns, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().map(|part| part.column.as_str())
    }

    /// Whether a column is one of its own.
    pub fn has(&self, column: &str) -> bool {
        self.names().any(|name| name == column)
    }

    /// The columns that are written, where the field travels to this side.
    pub fn written(&self) -> impl Iterator<Item = &str> {
        let split = self.split();
        self.parts.iter().filter(move |part| !split || part.write.is_some()).map(|part| part.column.as_str())
    }

    /// Each column says what is written to it.
    pub(crate) fn split(&self) -> bool {
        self.parts.len() > 1 && self.parts.iter().any(|part| part.write.is_some())
    }

    /// All columns in one phrase, for people.
    pub fn shown(&self) -> String {
        self.names().collect::<Vec<_>>().join(" + ")
    }

    /// The values of its columns in order; what is not known is no value.
    pub fn gather<'v>(&self, mut value: impl FnMut(&str) -> Option<&'v Value>) -> Vec<Value> {
        self.names().map(|name| value(name).cloned().unwrap_or_default()).collect()
    }
}

/// When a constant or a default applies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum When {
    /// When the record is made.
    #[default]
    Create,
    /// Each time: a constant with every write, a default whenever a side is read.
    Always,
}

/// What stands for no value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldDefault {
    /// Canonical value.
    pub value: Value,
    /// On create, the new record gets it, and it is carried back where the field travels back. Always: a side without a value
    /// counts as holding it.
    pub when: When,
}

/// A column with a fixed value.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Constant {
    /// The value in the column.
    pub value: Value,
    /// When it is written.
    pub when: When,
}
