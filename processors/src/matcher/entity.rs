//! A placed record of an entity: link it, say what changed, and tell whoever waited for it.

use schemas::message::{EntityChange, EntityLink, EntityOp, Field, Reference, Side};

use super::link::{self, Asked, ByKey, Entry};
use super::plan::{Plan, Source, parent_kind};
use super::review::{Doubt, Verdict};
use super::state::{Entity, Known, MARK, Waiting, column, entity_key, provisional_key, record_key, uncopied_key};
use super::stray::{self, ENTITY_ID};
use super::unread::{Unread, told};
use super::{CUSTOMER, Matcher};
use crate::canon;
use crate::convert;
use crate::error::Result;
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
        let came_back = before.is_some_and(|before| before.gone);
        if came_back && !known.entity.is_empty() && self.place_is_taken(context, side, id, &known)? {
            // Another record stands for its entity by now.
            self.emit_link(context, mapping, source, id, &known, "replaced", false);
            known.entity = String::new();
        }
        let (fields, unread) = canonical(mapping, side, carried, &references, &known);
        self.set_aside(context, mapping, source, id, &unread, &known)?;
        if known.entity.is_empty() && !unread.is_empty() {
            // A record is not made by halves on the other side: it is placed once all of it can be read.
            context.put(record_key(side, &source.object, id), &known);
            return Ok(());
        }
        let placed = if known.entity.is_empty() { Some(self.find(context, plan, mapping, source, id, &known, copied)?) } else { None };
        if let Some(placed) = &placed {
            known.entity.clone_from(&placed.entity);
            known.rule.clone_from(&placed.rule);
        }
        let mut gained = false;
        if placed.is_some() || came_back {
            let mut entity =
                context.get::<Entity>(&entity_key(&known.entity))?.unwrap_or_else(|| Entity::new(&mapping.kind, known.committed_at));
            if !entity.is_empty() && !copied && placed.as_ref().is_some_and(|placed| placed.by_key) {
                context.put(provisional_key(&known.entity), &MARK);
            }
            let displaced = entity.record(side).filter(|there| *there != id).cloned();
            entity.set(side, Some(id.to_owned()), false);
            gained = true;
            context.put(entity_key(&known.entity), &entity);
            self.note_uncopied(context, mapping, &known.entity, &entity, copied);
            if let Some(displaced) = displaced
                && let Some(old) = self.row(context, mapping, side, &displaced)?
            {
                self.emit_unlinked(context, mapping, source, &displaced, &Known { entity: known.entity.clone(), ..old });
            }
        }
        let old = before.filter(|before| !before.gone && !before.entity.is_empty());
        let entry = Entry { side, id, entity: &known.entity, copying: !copied };
        let rekeyed = link::index_keys(context, mapping, entry, old.map(|old| old.columns.as_slice()), Some(&known.columns))?;
        context.put(record_key(side, &source.object, id), &known);
        stray::note(context, mapping, side, id, &known);
        // Whether anything may be made for it is said after it has been looked at.
        let again = match placed {
            None if copied => self.looks_again(context, plan, mapping, side, before, &known, rekeyed)?,
            _ => Again::No,
        };
        for doubt in placed.iter().flat_map(|placed| &placed.doubts) {
            self.doubt(context, plan, mapping, &known.entity, doubt)?;
        }
        let may_create = again == Again::No && self.creates(context, mapping, &known.entity)?;
        let change = EntityChange {
            op: if known.returned { EntityOp::Returned } else { EntityOp::Changed },
            fields,
            columns: told(mapping, source, carried, &unread),
            before: before.map_or_else(Vec::new, |before| canonical_before(mapping, side, before, carried)),
            ..self.say(mapping, source, id, &known, references, may_create)
        };
        if placed.is_some() || came_back {
            self.emit_link(context, mapping, source, id, &known, &known.rule, true);
        }
        context.emit(self.changes.record(known.entity.clone(), &change));
        if gained && !planted::on(planted::Bug::ForgetChildren) {
            self.release_children(context, plan, &known.entity, side)?;
            if source.is_parent && !planted::on(planted::Bug::ForgetOrphans) {
                self.place_waiting(context, plan, side, &source.object, id)?;
            }
        }
        if copied
            && (gained || again == Again::Decided)
            && let Some(rules) = plan.scorers.of(mapping)
        {
            rules.relist(context, &known.entity, again == Again::Decided)?;
        }
        if again != Again::No {
            self.review(context, plan, mapping, &known.entity, again == Again::Decided)?;
            // It may be another entity's by now.
            if let Some(now) = context.get::<Known>(&record_key(side, &source.object, id))?.filter(|now| now.entity == known.entity) {
                self.tell(context, plan, mapping, &now.entity)?;
            }
        }
        Ok(())
    }

    /// Whether the place of a record that comes back is another record's by now.
    fn place_is_taken(&self, context: &Context<'_>, side: Side, id: &str, known: &Known) -> Result<bool> {
        let entity: Option<Entity> = context.get(&entity_key(&known.entity))?;
        Ok(entity.is_some_and(|entity| entity.live(side).is_some_and(|other| other != id)))
    }

    /// Whether an entity is looked at again after a change of its record, and whether it may be linked then: what a person has
    /// been asked about is not linked without a new reason.
    #[expect(clippy::too_many_arguments, reason = "what is known of one change")]
    fn looks_again(
        &self,
        context: &Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        side: Side,
        before: Option<&Known>,
        known: &Known,
        rekeyed: bool,
    ) -> Result<Again> {
        let compared = || {
            let value = |known: &Known, name: &str| column(&known.columns, name).cloned();
            plan.scorers.of(mapping).is_some()
                && super::score::compared_columns(mapping, convert::side(side))
                    .any(|name| before.and_then(|before| value(before, name)) != value(known, name))
        };
        let news = before.is_none_or(|before| before.gone) || (rekeyed && !mapping.keys.is_empty()) || compared();
        if !news {
            return Ok(if self.doubts(context, &known.entity)?.is_empty() { Again::No } else { Again::Shown });
        }
        let entity: Option<Entity> = context.get(&entity_key(&known.entity))?;
        let alone = entity.is_some_and(|entity| entity.only_side() == Some(side));
        Ok(if alone || !self.doubts(context, &known.entity)?.is_empty() { Again::Decided } else { Again::No })
    }

    /// The entity of a record that has none.
    #[expect(clippy::too_many_arguments, reason = "what is known of one record")]
    fn find(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        mapping: &EntityMapping,
        source: &Source,
        id: &str,
        known: &Known,
        copied: bool,
    ) -> Result<Placed> {
        let side = source.side;
        if let Some(entity) = link::carried_entity(mapping, side, &known.columns)
            && self.has_place(context, mapping, side, id, &entity)?
        {
            let left: Option<Entity> = context.get(&entity_key(&entity))?;
            let mut placed = Placed::at(entity, ENTITY_ID);
            if copied && let Some(left) = left.filter(Entity::is_empty) {
                // While it was being made, what it was made from went to another entity, or away: it may be that one's double.
                let asked = Asked { side, id, entity: Some(&placed.entity), columns: &known.columns };
                placed.doubts = match self.verdict(context, plan, mapping, asked)? {
                    Verdict::Alone => Vec::new(),
                    Verdict::One { entity, rule } => {
                        vec![Doubt { other: entity, rule: rule.split_once(':').map_or(rule.clone(), |(_, key)| key.to_owned()) }]
                    }
                    Verdict::Perhaps(doubts) => doubts,
                };
                let known = |other: &String| placed.doubts.iter().any(|doubt| doubt.other == *other);
                if let Some(other) = left.went_to.clone().filter(|other| !known(other))
                    && let Some(there) = context.get::<Entity>(&entity_key(&other))?.filter(|there| !there.is_empty())
                    && !super::apart::are_apart(context, &left, &there)?
                {
                    placed.doubts.push(Doubt { other, rule: ENTITY_ID.to_owned() });
                }
            }
            return Ok(placed);
        }
        if let Some(entity) = self.inherits(context, plan, mapping, source, id)? {
            return Ok(Placed::at(entity, super::review::MERGED));
        }
        let asked = Asked { side, id, entity: None, columns: &known.columns };
        // While not all records are known, only what a key says outright is followed; the rest is looked at in the end.
        let verdict = if copied {
            self.verdict(context, plan, mapping, asked)?
        } else {
            match link::by_keys(context, mapping, asked)? {
                ByKey::One { entity, rule } => Verdict::One { entity, rule },
                ByKey::Some { .. } | ByKey::Nobody => Verdict::Alone,
            }
        };
        if let Verdict::One { entity, rule } = verdict {
            return Ok(Placed { by_key: true, ..Placed::at(entity, &rule) });
        }
        let founded = link::founded(side, &source.object, id);
        let entity = match context.get::<Entity>(&entity_key(&founded))? {
            // A record that carries the id of the entity which this one founds came first.
            Some(there) if there.live(side).is_none() && self.has_place(context, mapping, side, id, &founded)? => founded,
            Some(_) => link::own_entity(context, &mapping.kind, side, &source.object, id)?,
            None => founded,
        };
        let doubts = if let Verdict::Perhaps(doubts) = verdict { doubts } else { Vec::new() };
        let doubts: Vec<Doubt> = doubts.into_iter().filter(|doubt| doubt.other != entity).collect();
        let rule = doubts.first().map_or_else(|| "new".to_owned(), |doubt| format!("ambiguous:{}", doubt.rule));
        Ok(Placed { doubts, ..Placed::at(entity, &rule) })
    }

    /// Whether an entity, known or not, has room for a record.
    fn has_place(&self, context: &Context<'_>, mapping: &EntityMapping, side: Side, id: &str, entity: &str) -> Result<bool> {
        let Some(known) = context.get::<Entity>(&entity_key(entity))? else { return Ok(true) };
        Ok(known.kind == mapping.kind
            && known.live(side).is_none_or(|other| other == id)
            && !super::apart::is_apart(context, side, id, &known)?)
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
            write: known.write.clone(),
            mapping_version: mapping.version,
        }
    }

    #[expect(clippy::too_many_arguments, reason = "what a link says")]
    pub(super) fn emit_link(
        &self,
        context: &mut Context<'_>,
        mapping: &EntityMapping,
        source: &Source,
        id: &str,
        known: &Known,
        rule: &str,
        linked: bool,
    ) {
        let link = EntityLink {
            entity: known.entity.clone(),
            kind: mapping.kind.clone(),
            side: source.side,
            object: source.object.clone(),
            record: id.to_owned(),
            linked,
            rule: rule.to_owned(),
            title: title(mapping, source.side, &known.columns),
            at: known.committed_at,
        };
        context.emit(self.links.record(format!("{}:{}:{id}", source.side, source.object), &link));
    }

    /// Remembers an entity that must be told when both first copies are done, even one that has both records: what
    /// differs between them is settled only then.
    pub(super) fn note_uncopied(&self, context: &mut Context<'_>, mapping: &EntityMapping, entity: &str, now: &Entity, may_create: bool) {
        let stands = [Side::Crm, Side::Erp].into_iter().find_map(|side| now.live(side).map(|record| (side, record.clone())));
        if let (false, Some((side, record))) = (may_create || planted::on(planted::Bug::ForgetWaiting), stands) {
            context.put(uncopied_key(&mapping.kind, entity), &Waiting { side, record });
        }
    }
}

/// What a change of a record means for who else it may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Again {
    /// Nothing.
    No,
    /// Its reviews show it.
    Shown,
    /// It is asked anew, and may be linked.
    Decided,
}

/// Where a record without an entity belongs.
struct Placed {
    entity: String,
    rule: String,
    /// A key or the comparison says so.
    by_key: bool,
    doubts: Vec<Doubt>,
}

impl Placed {
    fn at(entity: String, rule: &str) -> Self {
        Self { entity, rule: rule.to_owned(), by_key: false, doubts: Vec::new() }
    }
}

/// A name a person would know a record by; empty when it has none that can be read.
pub(super) fn title(mapping: &EntityMapping, side: Side, columns: &[Field]) -> String {
    mapping
        .field(&mapping.title)
        .and_then(|field| canon::read(field, convert::side(side), columns).ok())
        .map(|title| title.as_text().map_or_else(|| canon::plain(&title), str::to_owned))
        .unwrap_or_default()
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

/// The canonical fields of which a column is carried, and those that cannot be read. A reference that is still unknown is left out.
fn canonical(mapping: &EntityMapping, side: Side, carried: &[Field], references: &[Reference], known: &Known) -> (Vec<Field>, Vec<Unread>) {
    let (mut fields, mut unread) = (Vec::with_capacity(mapping.fields.len()), Vec::new());
    for field in &mapping.fields {
        if !canon::carried(field, convert::side(side), carried) {
            continue;
        }
        let value = if parent_kind(field).is_some() {
            if known.pending.contains(&field.name) {
                continue;
            }
            match references.iter().find(|reference| reference.field == field.name).filter(|reference| !reference.entity.is_empty()) {
                Some(reference) => schemas::Value::text(reference.entity.clone()),
                None => schemas::Value::Null,
            }
        } else {
            // Of a compound field, a change may carry one column; the others are as last seen.
            match canon::read(field, convert::side(side), &known.columns) {
                Ok(value) => convert::wire(&value),
                Err(reason) => {
                    unread.push((field.name.clone(), reason));
                    continue;
                }
            }
        };
        fields.push(Field { name: field.name.clone(), value });
    }
    (fields, unread)
}

/// The canonical fields before a change; what cannot be read is left out.
fn canonical_before(mapping: &EntityMapping, side: Side, before: &Known, carried: &[Field]) -> Vec<Field> {
    let side = convert::side(side);
    mapping
        .fields
        .iter()
        .filter(|field| canon::carried(field, side, carried) && canon::carried(field, side, &before.columns))
        .filter_map(|field| {
            let value = match parent_kind(field) {
                Some(_) => before
                    .parents
                    .iter()
                    .find(|parent| parent.field == field.name)
                    .map_or(schemas::Value::Null, |parent| schemas::Value::text(parent.entity.clone())),
                None => convert::wire(&canon::read(field, side, &before.columns).ok()?),
            };
            Some(Field { name: field.name.clone(), value })
        })
        .collect()
}

/// All canonical fields of a record as last known, for its deletion.
pub(super) fn canonical_known(mapping: &EntityMapping, side: Side, known: &Known) -> Vec<Field> {
    canonical_before(mapping, side, known, &known.columns)
}

/// All canonical fields of a record as last known, to be said again.
pub(super) fn canonical_all(
    mapping: &EntityMapping,
    source: &Source,
    references: &[Reference],
    known: &Known,
) -> (Vec<Field>, Vec<Unread>) {
    canonical(mapping, source.side, &known.columns, references, known)
}
