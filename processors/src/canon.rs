//! Source values to canonical ones: the core's transforms on the log's values.

use reconcile::Value;
use reconcile::mapping::{self, FieldMapping, FieldType, Side};
use schemas::message::Field;

use crate::convert;

/// The canonical value of a field in a record's columns; a column that was never seen is empty.
///
/// # Errors
/// Says why there is none.
pub(crate) fn read(field: &FieldMapping, side: Side, columns: &[Field]) -> Result<Value, String> {
    let raw =
        |name: &str| columns.iter().find(|column| column.name == name).map_or(Ok(Value::Null), |column| convert::value(&column.value));
    let values: Vec<Value> = field.columns[side].names().map(raw).collect::<Result<_, _>>()?;
    mapping::read(field, side, &values).map_err(|error| error.to_string())
}

/// Whether a change carries any of a field's columns.
pub(crate) fn carried(field: &FieldMapping, side: Side, columns: &[Field]) -> bool {
    columns.iter().any(|column| field.columns[side].has(&column.name))
}

/// A field without transforms or policies, for columns that are only read.
pub(crate) fn plain_field(name: &str, column: &str, kind: FieldType) -> FieldMapping {
    FieldMapping::plain(name, kind, column, column)
}

/// A value as plain text.
pub(crate) fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Text(text) => text.clone(),
        other => other.to_string(),
    }
}
