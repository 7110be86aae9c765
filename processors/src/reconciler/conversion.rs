//! Won opportunities into orders, around the pure `reconcile::convert`.
//!
//! The matcher says changes of what a conversion is made from a second time, under its own entity id and the kind
//! [`kind`]: decisions and outcomes about it meet it there, whichever customer it belongs to. The order is the same entity,
//! on the other side: its id column holds the opportunity's entity id.
//!
//! ```text
//! o entity → Convertible   one that was seen
//! ```

use reconcile::Value;
use reconcile::convert::{self, Conversion, Convertible, Effect, Event, Stage, Wish};
use reconcile::mapping::Side;
use reconcile::merge::DecisionResult;
use schemas::message::{
    self, AuditEntry, ColumnChange, Decision, DecisionOutcome, EntityChange, EntityOp, Field, Lane, Outcome, OutcomeResult, READ_WRITE,
    Write, WriteOp,
};
use uuid::Uuid;

use super::remembered::Kept;
use super::{Input, Reconciler, decision};
use crate::convert as values;
use crate::error::{Error, Result};
use crate::task::Context;

/// Namespace of their writes' ids.
const WRITES: Uuid = Uuid::from_bytes(*b"concord:converts");

/// What the kinds of these changes begin with.
const PREFIX: &str = "convert.";

/// The kind under which changes of what a conversion is made from are said to the reconciler.
pub(crate) fn kind(conversion: &Conversion) -> String {
    format!("{PREFIX}{}", conversion.kind)
}

fn key(entity: &str) -> Vec<u8> {
    let mut out = vec![b'o'];
    out.extend_from_slice(entity.as_bytes());
    out
}

fn write_id(entity: &str, attempt: u64) -> String {
    Uuid::new_v5(&WRITES, format!("{entity}:{attempt}").as_bytes()).to_string()
}

fn read_id(entity: &str, record: &str) -> String {
    format!("{READ_WRITE}{}", Uuid::new_v5(&WRITES, format!("{entity}:read:{record}").as_bytes()))
}

impl Reconciler {
    /// Takes an input in if it is about a conversion. True when it was.
    pub(super) fn converts(&self, context: &mut Context<'_>, input: &Input) -> Result<bool> {
        let mapping = self.mapping.clone();
        match input {
            Input::Change(change) => {
                if !change.kind.starts_with(PREFIX) {
                    return Ok(false);
                }
                if let Some(conversion) = mapping.conversions.iter().find(|conversion| kind(conversion) == change.kind) {
                    let event = seen(change)?;
                    self.convert(context, conversion, &change.entity, event)?;
                }
                Ok(true)
            }
            Input::Decision(decision) if decision.action == message::Action::Convert => {
                self.wished(context, &mapping.conversions, decision)?;
                Ok(true)
            }
            Input::Outcome(outcome) => {
                let Some(conversion) = mapping.conversions.iter().find(|conversion| conversion.kind == outcome.kind) else {
                    return Ok(false);
                };
                let Some(state) = context.get::<Kept<Convertible>>(&key(&outcome.entity))? else { return Ok(false) };
                if let Some(event) = answered(conversion, &state.0, outcome) {
                    self.convert(context, conversion, &outcome.entity, event)?;
                }
                Ok(true)
            }
            Input::Decision(_) | Input::Mapped(_) => Ok(false),
        }
    }

    fn wished(&self, context: &mut Context<'_>, conversions: &[Conversion], decided: &Decision) -> Result<()> {
        let version = self.mapping.version;
        let wish = Wish { id: decided.id.clone(), actor: decided.actor.clone(), at: decided.at, batch: decided.batch.clone() };
        let known = context.get::<Kept<Convertible>>(&key(&decided.entity))?;
        let found = known.and_then(|known| conversions.iter().find(|conversion| conversion.kind == known.0.kind));
        match (found, conversions) {
            (Some(conversion), _) => self.convert(context, conversion, &decided.entity, Event::Wished(wish)),
            (None, []) => {
                let reason = "the mapping converts nothing; add [convert.order] to it".to_owned();
                self.answer(context, &decision::refused(decided, "", reason, version));
                Ok(())
            }
            (None, _) => {
                let reason = format!("nothing is known of an opportunity {}; see that its id is right", decided.entity);
                self.answer(context, &decision::refused(decided, "", reason, version));
                Ok(())
            }
        }
    }

    fn convert(&self, context: &mut Context<'_>, conversion: &Conversion, entity: &str, event: Event) -> Result<()> {
        let mut state = context.get::<Kept<Convertible>>(&key(entity))?.map_or_else(Convertible::default, |kept| kept.0);
        entity.clone_into(&mut state.entity);
        let made = !matches!(state.stage, Stage::Made { .. });
        let effects = convert::apply(conversion, &mut state, event);
        if made && let Stage::Made { record, .. } = &state.stage {
            let entry = audit(conversion, &state, record, context.now(), self.mapping.version);
            context.emit(self.audit.record(entity.to_owned(), &entry));
        }
        for effect in effects {
            self.follow_conversion(context, conversion, &state, effect);
        }
        context.put(key(entity), &Kept(state));
        Ok(())
    }

    fn follow_conversion(&self, context: &mut Context<'_>, conversion: &Conversion, state: &Convertible, effect: Effect) {
        let version = self.mapping.version;
        let entity = &state.entity;
        let write = Write {
            id: String::new(),
            entity: entity.clone(),
            kind: conversion.kind.clone(),
            side: message::Side::Erp,
            object: conversion.object.clone(),
            record: None,
            op: WriteOp::Create,
            values: Vec::new(),
            expected: Vec::new(),
            id_column: None,
            write_column: None,
            rows: Vec::new(),
            lane: Lane::Live,
            reason: "its number is read".to_owned(),
            caused_at: state.at,
            actor: None,
            conflict: None,
            mapping_version: version,
        };
        let write = match effect {
            Effect::Make { attempt, values: columns, reason, actor, decided } => Write {
                id: write_id(entity, attempt),
                values: values::wire_fields(&columns),
                id_column: Some(conversion.id_column.clone()),
                write_column: None,
                lane: if decided { Lane::Decision } else { Lane::Live },
                reason,
                actor,
                ..write
            },
            Effect::Read { record } => Write {
                id: read_id(entity, &record),
                record: Some(record),
                op: WriteOp::Update,
                expected: conversion
                    .number_column
                    .iter()
                    .map(|column| Field { name: column.clone(), value: schemas::Value::Null })
                    .collect(),
                ..write
            },
            Effect::Reply { wish, result, reason } => {
                let outcome = DecisionOutcome {
                    decision: wish.id,
                    batch: wish.batch,
                    entity: entity.clone(),
                    kind: conversion.from.clone(),
                    action: message::Action::Convert,
                    result: match result {
                        DecisionResult::Accepted => message::DecisionResult::Accepted,
                        DecisionResult::Unchanged => message::DecisionResult::Unchanged,
                        DecisionResult::Refused => message::DecisionResult::Refused,
                        DecisionResult::Waiting => message::DecisionResult::Waiting,
                    },
                    reason,
                    conflict: None,
                    actor: wish.actor,
                    at: wish.at,
                    mapping_version: version,
                };
                self.answer(context, &outcome);
                return;
            }
        };
        if let Some(channel) = self.writes.get(&message::Side::Erp) {
            context.emit(channel.record(entity.clone(), &write));
        }
    }
}

fn seen(change: &EntityChange) -> Result<Event> {
    let customer = change.references.iter().find(|reference| !reference.entity.is_empty());
    let record = customer.and_then(|reference| reference.erp.clone());
    Ok(match change.op {
        EntityOp::Deleted | EntityOp::Unlinked => Event::Gone,
        EntityOp::Released | EntityOp::Mapped => Event::Linked(record),
        EntityOp::Changed | EntityOp::Joined | EntityOp::Returned => Event::Seen {
            fields: values::fields(&change.fields).map_err(|(field, reason)| Error::MapValue {
                field,
                object: change.object.clone(),
                record: change.record.clone(),
                reason,
            })?,
            customer: customer.map(|reference| reference.entity.clone()),
            customer_record: record,
            snapshot: change.snapshot,
            at: change.committed_at,
            actor: change.actor.clone(),
        },
    })
}

/// What the ERP said about the write that is on its way, or about the number; none for an older one.
fn answered(conversion: &Conversion, state: &Convertible, outcome: &Outcome) -> Option<Event> {
    if let Stage::Made { record, .. } = &state.stage
        && outcome.write == read_id(&state.entity, record)
    {
        let number = conversion.number_column.as_ref();
        let found = outcome.actual.iter().find(|field| Some(&field.name) == number).and_then(|field| values::id_text(&field.value));
        return (outcome.result != OutcomeResult::Deferred).then_some(Event::Numbered(found));
    }
    if outcome.write != write_id(&state.entity, state.attempt) {
        return None;
    }
    match (outcome.result, &outcome.record) {
        // Refused with a record, it was made before, by a write that nobody remembers.
        (OutcomeResult::Applied | OutcomeResult::Rejected, Some(record)) => Some(Event::Made(record.clone())),
        (OutcomeResult::Deferred, _) => None,
        (OutcomeResult::Applied | OutcomeResult::Rejected | OutcomeResult::Failed, _) => {
            Some(Event::Refused(super::event::failure(outcome)))
        }
    }
}

/// The order as it was made. Its target is not followed by the reconciler, so this says what was sent.
fn audit(conversion: &Conversion, state: &Convertible, record: &str, at: i64, version: i64) -> AuditEntry {
    let after = conversion.columns.iter().filter_map(|(column, expression)| {
        let after = reconcile::mapping::value_of(expression, &state.fields).ok()?;
        Some((column.clone(), after))
    });
    let customer = state.customer_record.clone().map(|record| (conversion.customer_column.clone(), Value::Text(record)));
    let constants = conversion.constants.iter().map(|(column, value)| (column.clone(), value.clone()));
    let column = |(column, after): (String, Value)| ColumnChange {
        column,
        field: String::new(),
        before: schemas::Value::Null,
        after: values::wire(&after),
    };
    AuditEntry {
        id: write_id(&state.entity, state.attempt),
        entity: state.entity.clone(),
        kind: conversion.kind.clone(),
        title: state.fields.get("name").map(crate::canon::plain).unwrap_or_default(),
        side: values::wire_side(Side::Erp),
        object: conversion.object.clone(),
        record: record.to_owned(),
        op: WriteOp::Create,
        columns: constants.chain(customer).chain(after).map(column).collect(),
        altered: false,
        reason: format!("the {} was won", conversion.from),
        actor: state.actor.clone(),
        conflict: None,
        caused_at: state.at,
        at,
        mapping_version: version,
    }
}
