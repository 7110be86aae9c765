//! Values that the mapping cannot read. Each is set aside by itself: the rest of its record goes on, because nobody can say
//! again what was edited together with it. What stands there counts as not seen, so that it is not written over.
//!
//! A record that has none on the other side yet is not made there by halves: it waits until all of it can be read, by a
//! change of its own or by another mapping.

use reconcile::mapping::{EntityMapping, FieldMapping};
use schemas::message::{Field, Side};

use super::Matcher;
use super::plan::{Plan, Source, Use, parent_kind};
use super::state::{Job, Known, MARK, record_key, tail, unread_key};
use crate::canon;
use crate::convert;
use crate::error::{Error, Result};
use crate::task::Context;

/// A field whose value cannot be read, and why.
pub(super) type Unread = (String, String);

/// The carried columns that the reconciler is told of: without those of fields that cannot be read.
pub(super) fn told(mapping: &EntityMapping, source: &Source, carried: &[Field], unread: &[Unread]) -> Vec<Field> {
    let side = convert::side(source.side);
    let behind = |column: &str| unread.iter().any(|(name, _)| mapping.field(name).is_some_and(|field| field.columns[side].has(column)));
    carried.iter().filter(|field| source.carried.contains(&field.name) && !behind(&field.name)).cloned().collect()
}

impl Matcher {
    /// Sets aside what cannot be read of what a change carries, or says that all of the record can be read again.
    pub(super) fn set_aside(
        &self,
        context: &mut Context<'_>,
        mapping: &EntityMapping,
        source: &Source,
        id: &str,
        unread: &[Unread],
        known: &Known,
    ) -> Result<()> {
        if unread.is_empty() {
            return self.reads_again(context, mapping, source, id, known);
        }
        for (field, reason) in unread {
            let (object, record) = (source.object.clone(), id.to_owned());
            context.misfit(&source.topic, id, Error::MapValue { field: field.clone(), object, record, reason: reason.clone() });
        }
        context.put(unread_key(source.side, &source.object, id), &MARK);
        Ok(())
    }

    /// Says that nothing of a record is set aside any more, when that is so.
    pub(super) fn reads_again(
        &self,
        context: &mut Context<'_>,
        mapping: &EntityMapping,
        source: &Source,
        id: &str,
        known: &Known,
    ) -> Result<()> {
        let side = convert::side(source.side);
        let misfit = |field: &&FieldMapping| {
            parent_kind(field).is_none() && canon::carried(field, side, &known.columns) && canon::read(field, side, &known.columns).is_err()
        };
        if context.has(&unread_key(source.side, &source.object, id))? && mapping.fields.iter().find(misfit).is_none() {
            self.nothing_aside(context, source, id)?;
        }
        Ok(())
    }

    /// Nothing of a record is set aside: it can be read, or is gone.
    pub(super) fn nothing_aside(&self, context: &mut Context<'_>, source: &Source, id: &str) -> Result<()> {
        let mark = unread_key(source.side, &source.object, id);
        if context.has(&mark)? {
            context.delete(mark);
            context.mended(&source.topic, id);
        }
        Ok(())
    }

    /// Places records that waited for all of them to be readable, under another mapping.
    pub(super) fn read_anew(&mut self, context: &mut Context<'_>, plan: &Plan, job: &Job, most: usize) -> Result<(usize, Option<Vec<u8>>)> {
        let keys = context.keys(&job.prefix, &job.cursor, most)?;
        for key in &keys {
            // The tail has the side's letter before the object.
            let Some((place, record)) = tail(key, &job.prefix) else { continue };
            let side = if place.starts_with('c') { Side::Crm } else { Side::Erp };
            let Some(source) = place.get(1..).and_then(|object| plan.source(side, object)) else { continue };
            let Some(known) = context.get::<Known>(&record_key(side, &source.object, record))? else { continue };
            if let Use::Entity(_) = source.purpose
                && known.entity.is_empty()
                && !known.gone
            {
                self.place(context, plan, source, record, Some(&known), known.clone(), &known.columns)?;
            }
        }
        Ok((keys.len(), keys.last().cloned()))
    }
}
