//! Source values to canonical ones: the core's transforms on the log's values.

use reconcile::Value;
use reconcile::mapping::{self, ColumnRule, Direction, Drift, FieldMapping, FieldType, Pair, Policy, Side};

use crate::convert;

/// The canonical value of a column of one side.
///
/// # Errors
/// Says why there is none.
pub(crate) fn read(field: &FieldMapping, side: Side, raw: &schemas::Value) -> Result<Value, String> {
    let raw = convert::value(raw)?;
    mapping::read(field, side, &raw).map_err(|error| error.to_string())
}

/// A field without transforms or policies, for columns that are only read.
pub(crate) fn plain_field(name: &str, column: &str, kind: FieldType) -> FieldMapping {
    let rule = || ColumnRule { column: column.to_owned(), ..ColumnRule::default() };
    FieldMapping {
        name: name.to_owned(),
        label: name.to_owned(),
        kind,
        direction: Direction::Both,
        policy: Policy::LastWrite,
        drift: Drift::default(),
        review_when: None,
        columns: Pair { crm: rule(), erp: rule() },
    }
}

/// A value as plain text.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) => text.clone(),
        other => other.to_string(),
    }
}
