//! Of which fields a change could speak. Where an entity is drawn from several tables, each table has a stream of its own:
//! one transaction of ours is shown in parts, and what one part leaves out the other is still to show.

use super::event::SideChange;
use super::turn::Turn;
use crate::mapping::{FieldMapping, FieldType};

/// Whether a change that leaves a field out says so that it is as it was.
pub(super) fn of(turn: &Turn<'_>, field: &FieldMapping, change: &SideChange) -> bool {
    let side = &turn.mapping.sides[change.side];
    if side.rows.is_empty() {
        return true;
    }
    let row_of = |column: &str| side.beside(column).map(|(row, ..)| row.to_owned());
    let mut spoken: Vec<Option<String>> = change.columns.keys().map(|column| row_of(column)).collect();
    if spoken.is_empty() {
        spoken.push(None);
    }
    field.columns[change.side].names().any(|column| spoken.contains(&row_of(column)))
}

/// Whether a row as it was found holds a reference to a record that nobody has heard of yet: something stands there, and
/// what it means is told again once that record is known.
pub(super) fn of_unknown_record(field: &FieldMapping, change: &SideChange) -> bool {
    let told = |column: &str| change.columns.get(column).is_some_and(|value| !value.is_null());
    let unknown = matches!(field.kind, FieldType::Reference { .. }) && !change.fields.contains_key(&field.name);
    unknown && change.snapshot && field.columns[change.side].names().any(told)
}
