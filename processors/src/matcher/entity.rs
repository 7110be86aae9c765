//! A placed record of an entity: link it, say what changed, and tell whoever waited for it.

use schemas::message::{EntityChange, EntityLink, EntityOp, Field, Reference, Side};

use super::Matcher;
use super::plan::{Plan, Source, parent_kind};
use super::state::{Entity, Known, MARK, Waiting, ambiguous_key, column, entity_key, record_key, uncopied_key};
use super::{CUSTOMER, NAME, link};
use crate::canon;
use crate::convert;
use crate::error::{Error, Result};
use crate::task::Context;
use reconcile::mapping::EntityMapping;

impl Matcher {
    #[expect(clippy::too_many_arguments, reason = "the parts of one change, taken apart by its caller")]
    pub(super) fn entity(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        source: &Source,
        index: usize,
        id: &str,
        before: Option<&Known>,
        mut known: Known,
        carried: &[Field],
        references: Vec<Reference>,
    ) -> Result<()> {
        let mapping = &plan.mapping.entities[index];
        let side = source.side;
        let copied = self.may_create(context, mapping)?;
        let mut linked = None;
        if known.entity.is_empty() {
            let link = link::find(context, mapping, side, id, &known.columns)?;
            known.entity = link.entity.clone();
            if link.ambiguous {
                context.put(ambiguous_key(&known.entity), &MARK);
                self.metrics.ambiguous.with_label_values(&[NAME]).inc();
            }
            linked = Some(link);
        }
        let came_back = before.is_some_and(|before| before.gone);
        let mut gained = false;
        if linked.is_some() || came_back {
            let mut entity = context.get::<Entity>(&entity_key(&known.entity))?.unwrap_or_else(|| Entity {
                kind: mapping.kind.clone(),
                crm: None,
                erp: None,
                crm_gone: false,
                erp_gone: false,
            });
            // A record that comes back finds its place taken if the entity has another one by now.
            if entity.live(side).is_none_or(|other| other == id) {
                entity.set(side, Some(id.to_owned()), false);
                gained = true;
            }
            context.put(entity_key(&known.entity), &entity);
            self.note_uncopied(context, mapping, &known.entity, &entity, copied);
        }
        let old = before.filter(|before| !before.gone && !before.entity.is_empty());
        let may_create = copied && !is_ambiguous(context, &known.entity)?;
        link::index_keys(context, mapping, side, id, &known.entity, old.map(|old| old.columns.as_slice()), Some(&known.columns))?;
        let change = EntityChange {
            op: EntityOp::Changed,
            fields: canonical(mapping, side, source, id, carried, &references, &known.pending)?,
            columns: carried.iter().filter(|field| source.carried.contains(&field.name)).cloned().collect(),
            before: before.map_or_else(Vec::new, |before| canonical_before(mapping, side, before, carried)),
            ..self.say(mapping, source, id, &known, references, may_create)
        };
        context.put(record_key(side, &source.object, id), &known);
        if let Some(link) = linked {
            self.emit_link(context, mapping, source, id, &known, link.rule);
        }
        context.emit(self.changes.record(known.entity.clone(), &change));
        if gained {
            self.release_children(context, plan, &known.entity, side)?;
            if source.is_parent {
                self.place_waiting(context, plan, side, &source.object, id)?;
            }
        }
        Ok(())
    }

    /// An entity change about a record as it is known, without values.
    pub(super) fn say(
        &self,
        mapping: &EntityMapping,
        source: &Source,
        id: &str,
        known: &Known,
        references: Vec<Reference>,
        may_create: bool,
    ) -> EntityChange {
        EntityChange {
            entity: known.entity.clone(),
            kind: mapping.kind.clone(),
            side: source.side,
            object: source.object.clone(),
            record: id.to_owned(),
            op: EntityOp::Released,
            fields: Vec::new(),
            columns: Vec::new(),
            before: Vec::new(),
            customer: customer(mapping, known, &references),
            references,
            may_create,
            snapshot: known.snapshot,
            position: known.position.clone(),
            committed_at: known.committed_at,
            actor: known.actor.clone(),
            origin: known.origin.clone(),
            mapping_version: mapping.version,
        }
    }

    fn emit_link(&self, context: &mut Context<'_>, mapping: &EntityMapping, source: &Source, id: &str, known: &Known, rule: String) {
        let title = mapping
            .field(&mapping.title)
            .and_then(|field| {
                canon::read(field, convert::side(source.side), column(&known.columns, &field.columns[convert::side(source.side)].column)?)
                    .ok()
            })
            .map(|title| title.as_text().map_or_else(|| canon::plain(&title), str::to_owned))
            .unwrap_or_default();
        let link = EntityLink {
            entity: known.entity.clone(),
            kind: mapping.kind.clone(),
            side: source.side,
            object: source.object.clone(),
            record: id.to_owned(),
            linked: true,
            rule,
            title,
            at: known.committed_at,
        };
        context.emit(self.links.record(format!("{}:{}:{id}", source.side, source.object), &link));
    }

    /// Remembers an entity that must be told when both first copies are done, even one that has both records: what
    /// differs between them is settled only then.
    fn note_uncopied(&self, context: &mut Context<'_>, mapping: &EntityMapping, entity: &str, now: &Entity, may_create: bool) {
        let stands = [Side::Crm, Side::Erp].into_iter().find_map(|side| now.live(side).map(|record| (side, record.clone())));
        if let (false, Some((side, record))) = (may_create, stands) {
            context.put(uncopied_key(&mapping.kind, entity), &Waiting { side, record });
        }
    }
}

/// Whether an entity may be another one, so that nothing is made for it: until it has a record on both sides, nobody
/// but a person can tell.
pub(super) fn is_ambiguous(context: &Context<'_>, entity: &str) -> Result<bool> {
    if !context.has(&ambiguous_key(entity))? {
        return Ok(false);
    }
    let known: Option<Entity> = context.get(&entity_key(entity))?;
    Ok(known.is_none_or(|known| [Side::Crm, Side::Erp].iter().any(|side| known.live(*side).is_none())))
}

fn customer(mapping: &EntityMapping, known: &Known, references: &[Reference]) -> Option<String> {
    if mapping.kind == CUSTOMER {
        return Some(known.entity.clone());
    }
    let field = mapping.fields.iter().find(|field| parent_kind(field) == Some(CUSTOMER))?;
    references
        .iter()
        .find(|reference| reference.field == field.name)
        .map(|reference| reference.entity.clone())
        .filter(|entity| !entity.is_empty())
}

/// The canonical fields whose columns are carried. A reference that is still unknown is left out.
fn canonical(
    mapping: &EntityMapping,
    side: Side,
    source: &Source,
    id: &str,
    carried: &[Field],
    references: &[Reference],
    pending: &[String],
) -> Result<Vec<Field>> {
    let mut fields = Vec::with_capacity(mapping.fields.len());
    for field in &mapping.fields {
        let Some(raw) = column(carried, &field.columns[convert::side(side)].column) else { continue };
        let value = if parent_kind(field).is_some() {
            if pending.contains(&field.name) {
                continue;
            }
            match references.iter().find(|reference| reference.field == field.name).filter(|reference| !reference.entity.is_empty()) {
                Some(reference) => schemas::Value::text(reference.entity.clone()),
                None => schemas::Value::Null,
            }
        } else {
            let read = canon::read(field, convert::side(side), raw);
            convert::wire(&read.map_err(|reason| Error::MapValue {
                field: field.name.clone(),
                object: source.object.clone(),
                record: id.to_owned(),
                reason,
            })?)
        };
        fields.push(Field { name: field.name.clone(), value });
    }
    Ok(fields)
}

/// The canonical fields before a change; what cannot be read is left out.
fn canonical_before(mapping: &EntityMapping, side: Side, before: &Known, carried: &[Field]) -> Vec<Field> {
    let side = convert::side(side);
    mapping
        .fields
        .iter()
        .filter(|field| column(carried, &field.columns[side].column).is_some())
        .filter_map(|field| {
            let value = match parent_kind(field) {
                Some(_) => before
                    .parents
                    .iter()
                    .find(|parent| parent.field == field.name)
                    .map_or(schemas::Value::Null, |parent| schemas::Value::text(parent.entity.clone())),
                None => convert::wire(&canon::read(field, side, column(&before.columns, &field.columns[side].column)?).ok()?),
            };
            Some(Field { name: field.name.clone(), value })
        })
        .collect()
}

/// All canonical fields of a record as last known, for its deletion.
pub(super) fn canonical_known(mapping: &EntityMapping, side: Side, known: &Known) -> Vec<Field> {
    canonical_before(mapping, side, known, &known.columns)
}
