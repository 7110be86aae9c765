//! Records that bear the id of another entity than theirs: one that was made for an entity whose place there another record had
//! taken meanwhile, or that has gone to another entity since.
//!
//! ```text
//! g entity 0 side  → Stray    the record of that side which was last seen to bear the id and to stand elsewhere
//! ```
//!
//! Nothing more is made for such an entity on that side: it would be found to be there already. The id says more of a record
//! than any key, so people are asked whether the two are one; if they are not, the entity gives its id up.

use reconcile::mapping::EntityMapping;
use schemas::message::Side;
use schemas::record;

use super::Matcher;
use super::apart::is_apart;
use super::decide::DECISION;
use super::link::{Asked, carried_entity};
use super::plan::Plan;
use super::state::{Entity, Known, entity_key, key, letter, record_key};
use super::unite::{Move, own};
use crate::convert;
use crate::error::Result;
use crate::task::Context;

/// The rule by which an entity's id speaks of who a record is.
pub(super) const ENTITY_ID: &str = "entity-id";

record! {
    /// A record that bears an entity's id.
    pub struct Stray {
        /// Record id.
        pub record: String,
    }
}

fn stray_key(entity: &str, side: Side) -> Vec<u8> {
    key(b'g', &[entity.as_bytes(), &[letter(side)]])
}

/// Notes where a record stands that bears another entity's id.
pub(super) fn note(context: &mut Context<'_>, mapping: &EntityMapping, side: Side, record: &str, known: &Known) {
    if let Some(borne) = carried_entity(mapping, side, &known.columns).filter(|borne| *borne != known.entity) {
        context.put(stray_key(&borne, side), &Stray { record: record.to_owned() });
    }
}

/// Whether a record was ever seen to bear an entity's id and to stand elsewhere.
pub(super) fn is_borne(context: &Context<'_>, entity: &str) -> Result<bool> {
    Ok(context.has(&stray_key(entity, Side::Crm))? || context.has(&stray_key(entity, Side::Erp))?)
}

/// The entity of the record of a side that bears another one's id.
fn stray(context: &Context<'_>, mapping: &EntityMapping, side: Side, entity: &str) -> Result<Option<String>> {
    let Some(Stray { record }) = context.get(&stray_key(entity, side))? else { return Ok(None) };
    let known: Option<Known> = context.get(&record_key(side, &mapping.sides[convert::side(side)].object, &record))?;
    let known = known.filter(|known| !known.gone && !known.entity.is_empty() && known.entity != entity);
    Ok(known.filter(|known| carried_entity(mapping, side, &known.columns).as_deref() == Some(entity)).map(|known| known.entity))
}

/// The entities that a record is perhaps a part of because it bears the id of one, or one of them bears the id of its own.
pub(super) fn others(context: &Context<'_>, mapping: &EntityMapping, asked: Asked<'_>) -> Result<Vec<String>> {
    let mut found: Vec<String> = carried_entity(mapping, asked.side, asked.columns).into_iter().collect();
    if let Some(own) = asked.entity {
        for side in [Side::Crm, Side::Erp] {
            found.extend(stray(context, mapping, side, own)?);
        }
    }
    found.retain(|other| Some(other.as_str()) != asked.entity);
    found.sort();
    found.dedup();
    let mut others = Vec::with_capacity(found.len());
    for other in found {
        let known: Option<Entity> = context.get(&entity_key(&other))?;
        if let Some(known) = known.filter(|known| known.kind == mapping.kind && !known.is_empty())
            && !is_apart(context, asked.side, asked.id, &known)?
        {
            others.push(other);
        }
    }
    Ok(others)
}

impl Matcher {
    /// Gives an entity's id up if what would be made for it is there, and is another one's: its record goes to an entity of its
    /// own. Whether it did.
    pub(super) fn gives_id_up(&mut self, context: &mut Context<'_>, plan: &Plan, mapping: &EntityMapping, entity: &str) -> Result<bool> {
        let Some(known) = context.get::<Entity>(&entity_key(entity))? else { return Ok(false) };
        let Some(side) = known.only_side() else { return Ok(false) };
        let Some(record) = known.live(side).cloned() else { return Ok(false) };
        if known.record(side.other()).is_some() || stray(context, mapping, side.other(), entity)?.is_none() {
            return Ok(false);
        }
        let to = own(context, mapping, side, &record)?;
        let step = Move { side, record: &record, to: &to, rule: DECISION, hold: false };
        Ok(self.relink(context, plan, mapping, &step)?.is_some())
    }
}
