//! What a record points at, and who points at it.

use schemas::message::{Reference, Side};

use super::Matcher;
use super::plan::{Plan, Pointer, Source, Use};
use super::state::{Entity, Known, MARK, Parent, child_key, column, entity_key, record_key};
use crate::convert;
use crate::error::Result;
use crate::task::Context;

/// A parent that is known.
pub(super) struct Found {
    /// Under which entity its children are listed.
    pub(super) index: String,
    /// What the child's change says of it.
    pub(super) reference: Reference,
}

/// A reference field without a value.
pub(super) fn to_nothing(field: &str) -> Reference {
    Reference { field: field.to_owned(), entity: String::new(), crm: None, erp: None }
}

impl Matcher {
    /// The entity of a record that a column points at; none while nobody has seen that record.
    pub(super) fn resolve(
        &self,
        context: &Context<'_>,
        plan: &Plan,
        side: Side,
        pointer: Pointer<'_>,
        parent: &str,
    ) -> Result<Option<Found>> {
        let known: Option<Known> = context.get(&record_key(side, pointer.object, parent))?;
        let Some(known) = known.filter(|known| !known.entity.is_empty()) else { return Ok(None) };
        let captured = plan.source(side, pointer.object).is_some_and(|source| matches!(source.purpose, Use::Captured(_)));
        let entity = if captured { known.customer.unwrap_or_default() } else { known.entity.clone() };
        let records: Option<Entity> = if entity.is_empty() { None } else { context.get(&entity_key(&entity))? };
        let (crm, erp) = records.map_or((None, None), |records| (records.live(Side::Crm).cloned(), records.live(Side::Erp).cloned()));
        Ok(Some(Found { index: known.entity, reference: Reference { field: pointer.field.to_owned(), entity, crm, erp } }))
    }

    /// The references of a record as they are now; unknown parents are left out.
    pub(super) fn references(&self, context: &Context<'_>, plan: &Plan, source: &Source, known: &Known) -> Result<Vec<Reference>> {
        let mut references = Vec::new();
        for pointer in plan.pointers(source) {
            match column(&known.columns, pointer.column).and_then(convert::id_text) {
                None => references.push(to_nothing(pointer.field)),
                Some(parent) => references.extend(self.resolve(context, plan, source.side, pointer, &parent)?.map(|found| found.reference)),
            }
        }
        Ok(references)
    }

    /// Lists the record under its parents, and no longer under those it has left.
    pub(super) fn index_parents(&self, context: &mut Context<'_>, source: &Source, id: &str, known: &mut Known, parents: Vec<Parent>) {
        for old in &known.parents {
            if !parents.iter().any(|new| new.entity == old.entity) {
                context.delete(child_key(&old.entity, source.side, &source.object, id));
            }
        }
        for new in &parents {
            if !known.parents.iter().any(|old| old.entity == new.entity) {
                context.put(child_key(&new.entity, source.side, &source.object, id), &MARK);
            }
        }
        known.parents = parents;
    }
}
