//! A record that is captured but not kept in agreement: said in canonical fields and stamped with its customer.
//!
//! Its change stands under its customer, so that all of a customer's changes meet; a record that moves to another
//! customer is deleted at the old one.

use reconcile::mapping::{CapturedMapping, FieldMapping};
use schemas::message::{EntityChange, EntityLink, EntityOp, Field, Reference};

use super::Matcher;
use super::change::edit;
use super::link::founded;
use super::plan::{Plan, Source, Use};
use super::state::{Job, JobKind, Known, children_prefix, record_key};
use crate::canon;
use crate::convert;
use crate::error::{Error, Result};
use crate::task::Context;

impl Matcher {
    #[expect(clippy::too_many_arguments, reason = "the parts of one change, taken apart by its caller")]
    pub(super) fn captured(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        source: &Source,
        index: usize,
        id: &str,
        before: Option<&Known>,
        mut known: Known,
        references: Vec<Reference>,
    ) -> Result<()> {
        let mapping = &plan.mapping.captured[index];
        let fields = &plan.captured[index];
        let version = plan.mapping.version;
        let first = known.entity.is_empty();
        if first {
            known.entity = founded(source.side, &source.object, id);
        }
        known.customer = references.iter().map(|reference| reference.entity.clone()).find(|entity| !entity.is_empty());
        let old = before.filter(|before| !before.gone && !before.entity.is_empty());
        let moved = old.filter(|old| old.customer != known.customer);
        if let Some(old) = moved {
            self.emit_captured(context, gone(mapping, fields, source, id, old, &known, version));
        }
        let change = EntityChange {
            op: EntityOp::Changed,
            fields: canonical(fields, source, id, &known.columns)?,
            columns: known.columns.clone(),
            snapshot: known.snapshot && !known.unsaid,
            before: old.filter(|_| moved.is_none()).map_or_else(Vec::new, |old| canonical_before(fields, source, &old.columns)),
            references,
            ..say(mapping, source, id, &known, version)
        };
        known.unsaid = false;
        context.put(record_key(source.side, &source.object, id), &known);
        self.emit_convertible(context, plan, &change);
        if first && plan.mapping.conversions.iter().any(|conversion| conversion.from == mapping.kind) {
            self.emit_found(context, &change);
        }
        self.emit_captured(context, change);
        if !source.is_parent {
            return Ok(());
        }
        if first {
            self.place_waiting(context, plan, source.side, &source.object, id)?;
        } else if moved.is_some() {
            let job = Job {
                kind: JobKind::Restamp,
                prefix: children_prefix(&known.entity),
                cursor: Vec::new(),
                side: source.side,
                name: known.entity,
                partition: 0,
                offset: 0,
                committed_at: known.committed_at,
                position: known.position,
                actor: known.actor,
                sync_id: edit(context),
            };
            self.add_job(context, &job)?;
        }
        Ok(())
    }

    /// Says that a captured record is gone.
    pub(super) fn captured_gone(&self, context: &mut Context<'_>, plan: &Plan, source: &Source, index: usize, id: &str, known: &Known) {
        let change = gone(&plan.mapping.captured[index], &plan.captured[index], source, id, known, known, plan.mapping.version);
        self.emit_convertible(context, plan, &change);
        self.emit_captured(context, change);
    }

    /// Says a change of what becomes something else once more, under its own entity.
    pub(super) fn emit_convertible(&self, context: &mut Context<'_>, plan: &Plan, change: &EntityChange) {
        for conversion in plan.mapping.conversions.iter().filter(|conversion| conversion.from == change.kind) {
            let change = EntityChange { kind: crate::reconciler::conversion::kind(conversion), ..change.clone() };
            context.emit(self.changes.record(change.entity.clone(), &change));
        }
    }

    /// Tells what becomes something else that its customer has a record across now.
    pub(super) fn captured_released(
        &self,
        context: &mut Context<'_>,
        plan: &Plan,
        source: &Source,
        id: &str,
        known: &Known,
        references: Vec<Reference>,
    ) {
        let Use::Captured(index) = source.purpose else { return };
        let said = say(&plan.mapping.captured[index], source, id, known, plan.mapping.version);
        self.emit_convertible(context, plan, &EntityChange { op: EntityOp::Released, references, ..said });
    }

    /// Says which entity a record is that people may ask to convert.
    fn emit_found(&self, context: &mut Context<'_>, change: &EntityChange) {
        let name = change.fields.iter().find(|field| field.name == "name");
        let link = EntityLink {
            entity: change.entity.clone(),
            kind: change.kind.clone(),
            side: change.side,
            object: change.object.clone(),
            record: change.record.clone(),
            linked: true,
            rule: "new".to_owned(),
            title: name.and_then(|field| convert::id_text(&field.value)).unwrap_or_default(),
            at: change.committed_at,
        };
        context.emit(self.links.record(format!("{}:{}:{}", change.side, change.object, change.record), &link));
    }

    fn emit_captured(&self, context: &mut Context<'_>, change: EntityChange) {
        let key = change.customer.clone().unwrap_or_else(|| change.entity.clone());
        context.emit(self.changes.record(key, &change));
    }
}

/// A deletion of what was known, by the change that brought the news.
fn gone(
    mapping: &CapturedMapping,
    fields: &[FieldMapping],
    source: &Source,
    id: &str,
    old: &Known,
    news: &Known,
    version: i64,
) -> EntityChange {
    let said = say(mapping, source, id, news, version);
    EntityChange { op: EntityOp::Deleted, before: canonical_before(fields, source, &old.columns), customer: old.customer.clone(), ..said }
}

fn say(mapping: &CapturedMapping, source: &Source, id: &str, known: &Known, version: i64) -> EntityChange {
    EntityChange {
        entity: known.entity.clone(),
        kind: mapping.kind.clone(),
        side: source.side,
        object: source.object.clone(),
        record: id.to_owned(),
        op: EntityOp::Changed,
        fields: Vec::new(),
        columns: Vec::new(),
        before: Vec::new(),
        references: Vec::new(),
        customer: known.customer.clone(),
        may_create: false,
        snapshot: known.snapshot,
        position: known.position.clone(),
        committed_at: known.committed_at,
        actor: known.actor.clone(),
        origin: known.origin.clone(),
        write: known.write.clone(),
        mapping_version: version,
    }
}

fn canonical(fields: &[FieldMapping], source: &Source, id: &str, columns: &[Field]) -> Result<Vec<Field>> {
    fields
        .iter()
        .map(|field| match value(field, source, columns) {
            Ok(value) => Ok(Field { name: field.name.clone(), value }),
            Err(reason) => Err(Error::MapValue { field: field.name.clone(), object: source.object.clone(), record: id.to_owned(), reason }),
        })
        .collect()
}

fn canonical_before(fields: &[FieldMapping], source: &Source, columns: &[Field]) -> Vec<Field> {
    fields.iter().filter_map(|field| Some(Field { name: field.name.clone(), value: value(field, source, columns).ok()? })).collect()
}

fn value(field: &FieldMapping, source: &Source, columns: &[Field]) -> Result<schemas::Value, String> {
    canon::read(field, convert::side(source.side), columns).map(|value| convert::wire(&value))
}
