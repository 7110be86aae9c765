//! The core's effects into messages.

use reconcile::Value;
use reconcile::mapping::{Direction, EntityMapping, FieldMapping, Side};
use reconcile::merge::{Confirmed, ConflictNumber, ConflictRecord, EntityState, WriteCommand, WriteKind, WriteNumber};
use schemas::message::{AuditEntry, ColumnChange, Conflict, ConflictState, Lane, Write, WriteOp};

use super::{golden, rows};
use crate::canon;
use crate::convert;

/// The idempotency key of a write: the same entity and number always have the same one. Both systems show it with what the
/// write did, so it tells which write that was, and which came before it.
pub(super) fn write_id(entity: &str, number: WriteNumber) -> String {
    format!("{entity}:w{}", number.0)
}

/// The number of an entity's write; none for another entity's, and for what is no write id.
pub(super) fn write_number(entity: &str, id: &str) -> Option<WriteNumber> {
    id.strip_prefix(entity)?.strip_prefix(":w")?.parse().ok().map(WriteNumber)
}

pub(super) fn conflict_id(entity: &str, number: ConflictNumber) -> String {
    format!("{entity}:{}", number.0)
}

const fn op(kind: WriteKind) -> WriteOp {
    match kind {
        WriteKind::Update | WriteKind::Archive | WriteKind::Unarchive => WriteOp::Update,
        WriteKind::Create => WriteOp::Create,
        WriteKind::Delete => WriteOp::Delete,
    }
}

/// The name a person would know the entity by.
pub(super) fn title(mapping: &EntityMapping, state: &EntityState) -> String {
    canon::plain(&golden::merged(state, &mapping.title))
}

pub(super) fn write(mapping: &EntityMapping, state: &EntityState, command: &WriteCommand) -> Write {
    let own = &mapping.sides[command.side];
    let lane = if command.decided {
        Lane::Decision
    } else if command.backfill {
        Lane::Backfill
    } else {
        Lane::Live
    };
    let mut values = convert::wire_fields(&command.values);
    if command.kind == WriteKind::Create {
        rows::conditions(mapping, command.side, &mut values);
    }
    let columns = command.values.keys().chain(command.expected.keys()).map(String::as_str);
    Write {
        id: write_id(&state.entity, command.number),
        entity: state.entity.clone(),
        kind: mapping.kind.clone(),
        side: convert::wire_side(command.side),
        object: own.object.clone(),
        record: command.record.clone(),
        op: op(command.kind),
        values,
        expected: convert::wire_fields(&command.expected),
        id_column: (command.kind == WriteKind::Create).then(|| own.id_column.clone()),
        write_column: own.write_column.clone(),
        rows: rows::targets(mapping, state, command.side, columns),
        lane,
        reason: command.reason.clone(),
        caused_at: command.caused_at,
        actor: command.actor.clone(),
        conflict: command.conflict.map(|number| conflict_id(&state.entity, number)),
        mapping_version: mapping.version,
    }
}

pub(super) fn conflict(mapping: &EntityMapping, state: &EntityState, record: &ConflictRecord) -> Conflict {
    let field = mapping.field(&record.field);
    let written = |side: Side| field.filter(|field| field.direction.allows(side));
    let column = |side: Side| written(side).map(|field| field.columns[side].shown()).unwrap_or_default();
    let settled = record.settled.as_ref();
    let seen = |side: Side| &record.values[side];
    Conflict {
        id: conflict_id(&state.entity, record.number),
        entity: state.entity.clone(),
        kind: mapping.kind.clone(),
        title: title(mapping, state),
        field: record.field.clone(),
        label: field.map_or_else(|| "the record".to_owned(), |field| field.label.clone()),
        state: if settled.is_some() { ConflictState::Settled } else { ConflictState::Open },
        base_crm: convert::wire(&record.base.crm),
        base_erp: convert::wire(&record.base.erp),
        crm: convert::wire(&seen(Side::Crm).value),
        erp: convert::wire(&seen(Side::Erp).value),
        crm_at: seen(Side::Crm).at,
        erp_at: seen(Side::Erp).at,
        crm_actor: seen(Side::Crm).actor.clone(),
        erp_actor: seen(Side::Erp).actor.clone(),
        crm_record: state.sides.crm.record.clone(),
        erp_record: state.sides.erp.record.clone(),
        crm_column: column(Side::Crm),
        erp_column: column(Side::Erp),
        policy: record.policy.as_str().to_owned(),
        reason: match field.and_then(one_way).filter(|_| settled.is_none()) {
            Some(words) => format!("{}; {words}", record.reason),
            None => record.reason.clone(),
        },
        winner: settled.and_then(|settled| settled.winner).map(convert::wire_side),
        chosen: settled.map_or(schemas::Value::Null, |settled| convert::wire(&settled.chosen)),
        both: settled.is_some_and(|settled| settled.both),
        tie: settled.is_some_and(|settled| settled.tie),
        overtaken: record.overtaken,
        settled_by: settled.map(|settled| settled.by.clone().unwrap_or_else(|| "policy".to_owned())),
        settled_at: settled.map(|settled| settled.at),
        opened_at: record.opened_at,
        mapping_version: mapping.version,
    }
}

/// What a person should know before choosing for a field that travels one way.
fn one_way(field: &FieldMapping) -> Option<&'static str> {
    match field.direction {
        Direction::Both => None,
        Direction::ToCrm => {
            Some("it travels to Salesforce only: the ERP's value goes across, any other stays in Salesforce until the ERP's changes")
        }
        Direction::ToErp => {
            Some("it travels to the ERP only: Salesforce's value goes across, any other stays in the ERP until Salesforce's changes")
        }
    }
}

pub(super) fn audit(mapping: &EntityMapping, state: &EntityState, confirmed: &Confirmed) -> AuditEntry {
    let command = &confirmed.command;
    let change = |(column, (before, after)): (&String, &(Value, Value))| ColumnChange {
        column: column.clone(),
        field: command.fields.get(column).cloned().unwrap_or_default(),
        before: convert::wire(before),
        after: convert::wire(after),
    };
    AuditEntry {
        id: write_id(&state.entity, command.number),
        entity: state.entity.clone(),
        kind: mapping.kind.clone(),
        title: title(mapping, state),
        side: convert::wire_side(command.side),
        object: mapping.sides[command.side].object.clone(),
        record: confirmed.record.clone(),
        op: op(command.kind),
        columns: confirmed.columns.iter().map(change).collect(),
        altered: confirmed.altered,
        reason: command.reason.clone(),
        actor: command.actor.clone(),
        conflict: command.conflict.map(|number| conflict_id(&state.entity, number)),
        caused_at: command.caused_at,
        at: confirmed.at,
        mapping_version: mapping.version,
    }
}
