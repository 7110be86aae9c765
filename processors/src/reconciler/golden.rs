//! The merged record: what data teams consume, typed from the mapping.
//!
//! `concord.golden.<kind>`: `entity`, `crm_record`, `erp_record`, `updated_at`, then the mapping's fields in order, each
//! nullable. An entity that has no record left on either side becomes a tombstone.

use std::sync::Arc;

use reconcile::Value;
use reconcile::mapping::{EntityMapping, FieldType, Side};
use reconcile::merge::{EntityState, Micros};
use schemas::cdc::{self, Column, ColumnType};
use schemas::topic::Topics;
use stream::{Codec, NewRecord};

use super::NAME;
use crate::convert;
use crate::error::{Error, Result};
use crate::metrics::Metrics;
use crate::outbox::framed;

/// Digits in all that a decimal of a golden record may have.
const PRECISION: u32 = 38;

/// Writes the merged records of one kind.
pub(super) struct Golden {
    topic: Arc<str>,
    id: u32,
    columns: Vec<Column>,
    metrics: Metrics,
}

impl Golden {
    pub(super) async fn open(codec: &Codec, topics: &Topics, mapping: &EntityMapping, metrics: Metrics) -> stream::Result<Self> {
        let topic = topics.golden(&mapping.kind);
        let columns = columns(mapping);
        let id = codec.rows_id(&topic, ("concord.golden", &cdc::avro_name(&mapping.kind)), &columns).await?;
        Ok(Self { topic: topic.into(), id, columns, metrics })
    }

    /// The same with a schema that was registered earlier.
    pub(super) fn registered(topics: &Topics, mapping: &EntityMapping, id: u32, metrics: Metrics) -> Self {
        Self { topic: topics.golden(&mapping.kind).into(), id, columns: columns(mapping), metrics }
    }

    /// The id of its schema.
    pub(super) fn id(&self) -> u32 {
        self.id
    }

    /// The merged record of a state.
    pub(super) fn record(&self, mapping: &EntityMapping, state: &EntityState, now: Micros) -> Result<NewRecord> {
        let live = |side: Side| state.sides[side].record.as_ref().filter(|_| !state.sides[side].deleted);
        let (crm, erp) = (live(Side::Crm), live(Side::Erp));
        if crm.is_none() && erp.is_none() {
            return Ok(NewRecord::tombstone(self.topic.clone(), state.entity.clone()));
        }
        let text = |id: Option<&String>| id.map_or(schemas::Value::Null, schemas::Value::text);
        let updated = Side::BOTH.iter().map(|side| state.sides[*side].at).max().filter(|at| *at > 0).unwrap_or(now);
        let mut row = vec![schemas::Value::text(&state.entity), text(crm), text(erp), schemas::Value::Timestamp(updated)];
        for field in &mapping.fields {
            row.push(self.cell(&field.kind, &merged(state, &field.name)));
        }
        let mut payload = Vec::with_capacity(256);
        cdc::put_row(&self.columns, &row, &mut payload)
            .map_err(|error| Error::Meaningless { what: format!("the golden record of {}", state.entity), reason: error.to_string() })?;
        Ok(NewRecord::new(self.topic.clone(), state.entity.clone(), framed(self.id, |out| out.extend_from_slice(&payload))))
    }

    /// A value in its column's type; one that does not fit is left out and counted, because a record that data teams read
    /// must not hold up what the two systems write.
    fn cell(&self, kind: &FieldType, value: &Value) -> schemas::Value {
        let fits = matches!(
            (kind, value),
            (_, Value::Null)
                | (FieldType::Text | FieldType::Enum(_) | FieldType::Reference { .. }, Value::Text(_))
                | (FieldType::Int, Value::Int(_))
                | (FieldType::Decimal { .. }, Value::Decimal(_))
                | (FieldType::Bool, Value::Bool(_))
                | (FieldType::Date, Value::Date(_))
                | (FieldType::Timestamp, Value::Timestamp(_))
                | (FieldType::List { .. }, Value::List(_))
        );
        match (kind, value) {
            (FieldType::Decimal { scale }, Value::Decimal(number)) => convert::wire(&Value::Decimal(number.round_dp(*scale))),
            _ if fits => convert::wire(value),
            _ => {
                self.metrics.misfits.with_label_values(&[NAME]).inc();
                schemas::Value::Null
            }
        }
    }
}

fn columns(mapping: &EntityMapping) -> Vec<Column> {
    let column = |name: &str, kind| Column { name: name.to_owned(), kind };
    let mut columns = vec![
        column("entity", ColumnType::Uuid),
        column("crm_record", ColumnType::Text),
        column("erp_record", ColumnType::Text),
        column("updated_at", ColumnType::Timestamp),
    ];
    columns.extend(mapping.fields.iter().map(|field| column(&field.name, column_type(&field.kind))));
    columns
}

/// How a field stands in a golden record.
pub(crate) fn column_type(kind: &FieldType) -> ColumnType {
    match kind {
        FieldType::Text | FieldType::Enum(_) => ColumnType::Text,
        FieldType::Reference { .. } => ColumnType::Uuid,
        FieldType::Int => ColumnType::Int,
        FieldType::Decimal { scale } => ColumnType::Decimal { precision: PRECISION, scale: *scale },
        FieldType::Bool => ColumnType::Boolean,
        FieldType::Date => ColumnType::Date,
        FieldType::Timestamp => ColumnType::Timestamp,
        FieldType::List { of, .. } => ColumnType::Array(Box::new(column_type(of))),
    }
}

/// The value of a field that stands for the entity: the one being carried across, else the newest that was seen on a
/// side that still has its record.
pub(super) fn merged(state: &EntityState, field: &str) -> Value {
    let Some(field) = state.fields.get(field) else { return Value::Null };
    if let Some(flight) = &field.in_flight {
        return flight.source.clone();
    }
    let seen = |side: Side| field.seen[side].as_ref();
    let live = |side: Side| seen(side).filter(|_| !state.sides[side].deleted);
    let newest = match (live(Side::Crm), live(Side::Erp)) {
        (Some(crm), Some(erp)) if crm.at > erp.at => Some(crm),
        (_, Some(erp)) => Some(erp),
        (Some(crm), None) => Some(crm),
        (None, None) => seen(Side::Erp).or(seen(Side::Crm)),
    };
    newest.map(|seen| seen.value.clone()).unwrap_or_default()
}
