//! One change of one record: what it carries is merged into the latest row, which then finds its place. Rows beside root
//! rows are [`super::join`]'s.

use std::collections::BTreeSet;

use schemas::cdc::{Change, ChangeSchema, OURSELVES, Op, Row, Source as Origin};
use schemas::message::{Field, SYNC_ID_HEADER, Side};
use schemas::stamp;
use stream::Record;

use super::Matcher;
use super::join;
use super::merged;
use super::plan::{Plan, Pointer, Source, Use};
use super::state::{Author, Job, JobKind, Known, Parent, column, record_key, records_prefix, waiting_key};
use crate::convert;
use crate::error::{Error, Result};
use crate::task::Context;

impl Matcher {
    pub(super) fn change(&mut self, context: &mut Context<'_>, schema: &ChangeSchema, change: Change, record: &Record) -> Result<()> {
        let plan = self.plan.clone();
        self.arrivals.count();
        let topic = &record.partition.topic;
        if let Some(table) = plan.rows.by_topic(topic) {
            name_edit(context, record, &change.source);
            if plan.by_topic(topic).is_none() {
                return self.beside(context, &plan, table, schema, change, record);
            }
            self.beside(context, &plan, table, schema, change.clone(), record)?;
        }
        let source =
            plan.by_topic(topic).ok_or_else(|| Error::Unmapped { what: format!("topic {topic}"), version: plan.mapping.version })?;
        name_edit(context, record, &change.source);
        let offset = i64::try_from(record.offset).unwrap_or(i64::MAX);
        if change.op == Op::Truncate {
            let job = Job {
                kind: JobKind::Truncate,
                prefix: records_prefix(source.side, &source.object),
                cursor: Vec::new(),
                side: source.side,
                name: source.object.clone(),
                partition: i64::from(record.partition.partition),
                offset,
                committed_at: change.source.committed_at,
                position: change.source.position,
                actor: change.source.actor,
                sync_id: edit(context),
            };
            return self.add_job(context, &job);
        }
        let id = record_id(record)?;
        let before: Option<Known> = context.get(&record_key(source.side, &source.object, id))?;
        if before.as_ref().is_some_and(|known| already_copied(source.side, &change.source, known)) {
            return Ok(());
        }
        if change.op == Op::Delete && planted::on(planted::Bug::DropDeletes) {
            return Ok(());
        }
        if change.op == Op::Delete {
            return match before {
                Some(known) => match merged::winner(record) {
                    Some(winner) => self.merged_away(context, &plan, source, id, known, &change.source, offset, winner),
                    None => self.delete(context, &plan, source, id, known, &change.source, offset),
                },
                None => Ok(()),
            };
        }
        let Some(after) = change.after else {
            return Err(Error::Meaningless { what: format!("a change of {} {id}", source.object), reason: "it has no row".to_owned() });
        };
        let mut carried = carried_of(&source.columns, schema, after, change.changed.as_deref());
        let mut known = before.clone().unwrap_or_else(blank);
        merge(&mut known.columns, &carried);
        known.gone = false;
        known.offset = offset;
        known.actor = change.source.actor.or_else(|| actor(&plan, source, &known.columns));
        known.origin = change.source.origin;
        known.write = change.source.write.or_else(|| write(&plan, source, &carried));
        known.snapshot = change.source.snapshot;
        known.unsaid = known.entity.is_empty() && (known.unsaid || !change.source.snapshot);
        known.returned = change.op == Op::Create && known.write.is_some() && known.origin.as_deref() != Some(OURSELVES);
        known.position = change.source.position;
        known.committed_at = change.source.committed_at;
        if !join::meets(&source.conditions, &known.columns) {
            return self.outside(context, &plan, source, id, before, known);
        }
        if self.arrive(context, source, id, &mut known) {
            return Ok(());
        }
        if let Some(before) = before.as_ref().filter(|before| !before.gone && !before.entity.is_empty()) {
            carried.extend(self.follow_pointers(context, source, id, before, &mut known)?);
        }
        self.place(context, &plan, source, id, before.as_ref(), known, &carried)
    }

    /// A row that is no record of the entity: it never was one, or leaves as if it were deleted. What it holds is remembered
    /// for when it comes (back).
    fn outside(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        source: &Source,
        id: &str,
        before: Option<Known>,
        mut known: Known,
    ) -> Result<()> {
        let key = record_key(source.side, &source.object, id);
        if let Some(before) = before.filter(|before| !before.entity.is_empty() && !before.gone) {
            let origin = Origin {
                side: source.side,
                name: source.side.to_string(),
                object: source.object.clone(),
                position: known.position.clone(),
                transaction: String::new(),
                ordinal: 0,
                committed_at: known.committed_at,
                actor: known.actor.clone(),
                origin: known.origin.clone(),
                write: known.write.clone(),
                snapshot: known.snapshot,
            };
            self.delete(context, plan, source, id, before, &origin, known.offset)?;
            let Some(left) = context.get::<Known>(&key)? else { return Ok(()) };
            known = Known { columns: known.columns, ..left };
        } else {
            known.gone = !known.entity.is_empty();
        }
        context.put(key, &known);
        Ok(())
    }

    /// Places a record once more, as somebody's change who need not be the last to have changed it.
    #[expect(clippy::too_many_arguments, reason = "the parts of one change, taken apart by its caller")]
    pub(super) fn place_as(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        source: &Source,
        id: &str,
        known: Known,
        by: Author,
        carried: &[Field],
    ) -> Result<()> {
        let said = Known { actor: by.actor, origin: by.origin, write: by.write, snapshot: by.snapshot, ..known.clone() };
        self.place(context, plan, source, id, Some(&known), said, carried)?;
        let key = record_key(source.side, &source.object, id);
        if let Some(now) = context.get::<Known>(&key)? {
            let Known { actor, origin, write, snapshot, .. } = known;
            context.put(key, &Known { actor, origin, write, snapshot, ..now });
        }
        Ok(())
    }

    /// Resolves what a record points at, and lets it wait or go on. `carried` are the columns that are new.
    #[expect(clippy::too_many_arguments, reason = "the parts of one change, taken apart by its caller")]
    pub(super) fn place(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        source: &Source,
        id: &str,
        before: Option<&Known>,
        mut known: Known,
        carried: &[Field],
    ) -> Result<()> {
        if !join::meets(&source.conditions, &known.columns) {
            return self.outside(context, plan, source, id, before.cloned(), known);
        }
        let joined;
        let mut carried = carried;
        if !source.joins.is_empty() && (known.entity.is_empty() || before.is_some_and(|before| before.gone)) {
            joined = self.join(context, source, id, before, &mut known)?;
            carried = &joined;
        }
        let mut references = Vec::new();
        let mut parents = Vec::new();
        known.pending.clear();
        for pointer in plan.pointers(source) {
            let parent = column(&known.columns, pointer.column).and_then(convert::id_text);
            match parent {
                None => references.push(super::reference::to_nothing(pointer.field)),
                Some(parent) => match self.resolve(context, plan, source.side, pointer, &parent)? {
                    Some(found) => {
                        parents.push(Parent { field: pointer.field.to_owned(), entity: found.index });
                        references.push(found.reference);
                    }
                    None => {
                        known.pending.push(pointer.field.to_owned());
                        context.put(waiting_key(source.side, pointer.object, &parent, &source.object, id), &super::state::MARK);
                    }
                },
            }
        }
        let pointed = |field: &String| plan.pointers(source).into_iter().find(|pointer| pointer.field == field);
        let same = |before: &&Known, field: &String| {
            let name = pointed(field).map(|pointer| pointer.column);
            before.pending.contains(field) && name.is_some_and(|name| column(&before.columns, name) == column(&known.columns, name))
        };
        match before.filter(|before| known.pending.iter().all(|field| same(before, field))) {
            _ if known.pending.is_empty() => (known.sync_id, known.pointed_by) = (String::new(), None),
            Some(before) => (known.sync_id, known.pointed_by) = (before.sync_id.clone(), before.pointed_by.clone()),
            None => {
                known.sync_id = edit(context);
                let (actor, origin, write) = (known.actor.clone(), known.origin.clone(), known.write.clone());
                known.pointed_by = Some(Author { actor, origin, write, snapshot: known.snapshot });
            }
        }
        // A row of the same object may be its own ancestor: it does not wait for itself.
        let waits = |pointer: &Pointer<'_>| pointer.object != source.object && known.pending.iter().any(|field| field == pointer.field);
        if known.entity.is_empty() && plan.pointers(source).iter().any(waits) {
            self.waits(context, source, id, &mut known);
            context.put(record_key(source.side, &source.object, id), &known);
            return Ok(());
        }
        self.waits_no_longer(context, source, id, &known);
        known.waiting_since = 0;
        // A record that is placed only now says everything that is known of it.
        let all;
        let carried = if known.entity.is_empty() && source.joins.is_empty() {
            all = known.columns.clone();
            &all
        } else {
            carried
        };
        self.index_parents(context, source, id, &mut known, parents);
        match source.purpose {
            Use::Entity(index) => self.entity(context, plan, source, index, id, before, known, carried, references),
            Use::Captured(index) => self.captured(context, plan, source, index, id, before, known, references),
        }
    }
}

/// The id of the edit in hand.
pub(super) fn edit(context: &Context<'_>) -> String {
    context.sync_id().map(|id| String::from_utf8_lossy(id).into_owned()).unwrap_or_default()
}

/// An edit that came without an id gets one from its place at the source.
fn name_edit(context: &mut Context<'_>, record: &Record, origin: &Origin) {
    if record.header(SYNC_ID_HEADER).is_none() {
        context.set_sync_id(Some(format!("{}:{}:{}", origin.name, origin.position, origin.ordinal).into()));
    }
}

pub(super) fn record_id(record: &Record) -> Result<&str> {
    let key = record.key.as_deref().unwrap_or_default();
    match std::str::from_utf8(key) {
        Ok(id) if !id.is_empty() && !id.contains('\0') => Ok(id),
        _ => Err(Error::Meaningless {
            what: format!("a change of {}", record.partition.topic),
            reason: "its key is not a record id".to_owned(),
        }),
    }
}

pub(super) fn blank() -> Known {
    Known {
        entity: String::new(),
        columns: Vec::new(),
        gone: false,
        parents: Vec::new(),
        pending: Vec::new(),
        pointed_by: None,
        customer: None,
        snapshot: false,
        position: String::new(),
        committed_at: 0,
        actor: None,
        origin: None,
        write: None,
        sync_id: String::new(),
        offset: 0,
        rule: String::new(),
        waiting_since: 0,
        unsaid: false,
        returned: false,
    }
}

/// The columns that matter of those that a change carries.
pub(super) fn carried_of(columns: &BTreeSet<String>, schema: &ChangeSchema, after: Row, changed: Option<&[usize]>) -> Vec<Field> {
    schema
        .columns
        .iter()
        .zip(after)
        .enumerate()
        .filter(|(index, (column, _))| columns.contains(&column.name) && changed.is_none_or(|changed| changed.contains(index)))
        .map(|(_, (column, value))| Field { name: column.name.clone(), value })
        .collect()
}

pub(super) fn merge(columns: &mut Vec<Field>, carried: &[Field]) {
    if planted::on(planted::Bug::ForgetUnchanged) {
        columns.clear();
    }
    for new in carried {
        match columns.iter_mut().find(|old| old.name == new.name) {
            Some(old) => old.value.clone_from(&new.value),
            None => columns.push(new.clone()),
        }
    }
}

/// The editor that a column of the record names.
fn actor(plan: &Plan, source: &Source, columns: &[Field]) -> Option<String> {
    let Use::Entity(index) = source.purpose else { return None };
    let name = plan.mapping.entities[index].sides[convert::side(source.side)].actor_column.as_ref()?;
    column(columns, name).and_then(convert::id_text)
}

/// The write of ours that a record bears in a column of its own, if the change carries that.
fn write(plan: &Plan, source: &Source, carried: &[Field]) -> Option<String> {
    let Use::Entity(index) = source.purpose else { return None };
    let name = plan.mapping.entities[index].sides[convert::side(source.side)].write_column.as_ref()?;
    let text = column(carried, name).and_then(convert::id_text)?;
    Some(stamp::borne(&text).0.to_owned())
}

/// Whether a change is part of the copied row that is already known: it was made before that row was read.
///
/// The reverse is not asked: on the log, a copied row stands after everything that it is newer than.
fn already_copied(side: Side, origin: &Origin, known: &Known) -> bool {
    if !known.snapshot || origin.snapshot {
        return false;
    }
    match side {
        // Replay ids are never compared; the row's own modification time is at or before its commit. Both may be cut to
        // whole seconds, so within one second nothing is concluded.
        Side::Crm => origin.committed_at.div_euclid(1_000_000) < known.committed_at.div_euclid(1_000_000),
        Side::Erp => match (lsn(&origin.position), lsn(&known.position)) {
            (Some(change), Some(copy)) => change < copy,
            _ => false,
        },
    }
}

pub(super) fn lsn(text: &str) -> Option<(u32, u32)> {
    let (high, low) = text.split_once('/')?;
    Some((u32::from_str_radix(high, 16).ok()?, u32::from_str_radix(low, 16).ok()?))
}
