//! Work that one record causes and one batch should not have to hold: done in steps, kept in the store between them.
//!
//! A small piece is done at once; what is left over becomes a job. Jobs are taken in the order they were added.

use schemas::cdc::Source as Origin;
use schemas::message::{EntityOp, Side};
use schemas::topic::partition;

use super::Matcher;
use super::change::edit;
use super::plan::{Plan, Use};
use super::state::{
    Entity, JOBS, Job, JobKind, Known, Mark, Waiting, children_prefix, entity_key, job_key, next_job, provisional_key, record_key,
    side_children_prefix, suspect_key, tail, waiting_prefix,
};
use crate::error::Result;
use crate::task::{Context, Work};

/// Entries of a job done between two batches.
const STEP: usize = 500;
/// Entries done at once, without a job.
const AT_ONCE: usize = 32;
/// Jobs waiting at most looked through for the last number.
const ALL: usize = usize::MAX;

impl Matcher {
    pub(super) fn add_job(&mut self, context: &mut Context<'_>, job: &Job) -> Result<()> {
        let number = next_job(context.keys(JOBS, b"", ALL)?.last());
        context.put(job_key(number), job);
        self.jobs_open = true;
        Ok(())
    }

    /// Does one step of the oldest job.
    pub(super) fn do_jobs(&mut self, context: &mut Context<'_>) -> Result<Work> {
        let Some((key, mut job)) = context.scan::<Job>(JOBS, b"", 1)?.pop() else {
            self.jobs_open = false;
            return Ok(Work::None);
        };
        context.set_sync_id(Some(job.sync_id.clone()).filter(|id| !id.is_empty()).map(Into::into));
        let plan = self.plan.clone();
        let last = self.step(context, &plan, &job, STEP)?;
        match last {
            Some(last) => {
                job.cursor = last;
                context.put(key, &job);
            }
            None => context.delete(key),
        }
        Ok(Work::More)
    }

    /// Tells the children of an entity that it has a record on `side` now: those on the other side may have waited for it.
    pub(super) fn release_children(&mut self, context: &mut Context<'_>, plan: &Plan, entity: &str, side: Side) -> Result<()> {
        let job = self.job(context, JobKind::Children, side_children_prefix(entity, side.other()), side.other(), entity);
        self.at_once(context, plan, job)
    }

    /// Places the records that waited for one nobody had seen.
    pub(super) fn place_waiting(&mut self, context: &mut Context<'_>, plan: &Plan, side: Side, object: &str, id: &str) -> Result<()> {
        let job = self.job(context, JobKind::Place, waiting_prefix(side, object, id), side, object);
        self.at_once(context, plan, job)
    }

    pub(super) fn job(&self, context: &Context<'_>, kind: JobKind, prefix: Vec<u8>, side: Side, name: &str) -> Job {
        Job {
            kind,
            prefix,
            cursor: Vec::new(),
            side,
            name: name.to_owned(),
            partition: 0,
            offset: 0,
            committed_at: 0,
            position: String::new(),
            actor: None,
            sync_id: edit(context),
        }
    }

    pub(super) fn at_once(&mut self, context: &mut Context<'_>, plan: &Plan, mut job: Job) -> Result<()> {
        if let Some(last) = self.step(context, plan, &job, AT_ONCE)? {
            job.cursor = last;
            self.add_job(context, &job)?;
        }
        Ok(())
    }

    /// Does up to `most` entries; the last key done, or none when nothing is left.
    fn step(&mut self, context: &mut Context<'_>, plan: &Plan, job: &Job, most: usize) -> Result<Option<Vec<u8>>> {
        let (count, last) = match job.kind {
            JobKind::Verify => self.verify(context, plan, job, most)?,
            JobKind::Compare => self.compare(context, plan, job, most)?,
            JobKind::Block => self.block(context, plan, job, most)?,
            JobKind::Score => self.score(context, plan, job, most)?,
            JobKind::Unite => self.unite_step(context, plan, job, most)?,
            JobKind::Reindex => self.reindex(context, plan, job, most)?,
            JobKind::Repoint => self.repoint_step(context, plan, job, most)?,
            JobKind::Release => self.release(context, plan, job, most)?,
            JobKind::Place => self.place_step(context, plan, job, most)?,
            JobKind::Children => self.children(context, plan, job, most)?,
            JobKind::Revalue => self.revalue(context, plan, job, most)?,
            JobKind::ReadAnew => self.read_anew(context, plan, job, most)?,
            JobKind::Restamp => self.restamp(context, plan, job, most)?,
            JobKind::Truncate => self.truncate(context, plan, job, most)?,
            JobKind::TruncateRows => self.truncate_rows(context, plan, job, most)?,
            JobKind::Rejoin => self.rejoin_step(context, plan, job, most)?,
        };
        Ok(if count < most { None } else { last })
    }

    fn release(&mut self, context: &mut Context<'_>, plan: &Plan, job: &Job, most: usize) -> Result<(usize, Option<Vec<u8>>)> {
        let entries = context.scan::<Waiting>(&job.prefix, &job.cursor, most)?;
        let (count, last) = (entries.len(), entries.last().map(|(key, _)| key.clone()));
        for (key, waiting) in entries {
            let entity = key.get(job.prefix.len()..).and_then(|entity| std::str::from_utf8(entity).ok()).unwrap_or_default().to_owned();
            let provisional = provisional_key(&entity);
            if context.has(&provisional)? {
                context.delete(provisional);
            }
            context.delete(key);
            if let Some(mapping) = plan.entity(&job.name) {
                let suspect = suspect_key(&job.name, &entity);
                if context.has(&suspect)? {
                    // It changed after it had had its turn.
                    context.delete(suspect);
                    self.review(context, plan, mapping, &entity, true)?;
                }
                // Whoever stands for it by now: a person may have split off the record that it waited with.
                let known: Option<Entity> = context.get(&entity_key(&entity))?;
                let stands = known.as_ref().and_then(|known| known.records().next());
                let (side, record) = stands.unwrap_or((waiting.side, &waiting.record));
                let object = &mapping.sides[crate::convert::side(side)].object;
                self.released(context, plan, side, object, record)?;
            }
        }
        Ok((count, last))
    }

    fn place_step(&mut self, context: &mut Context<'_>, plan: &Plan, job: &Job, most: usize) -> Result<(usize, Option<Vec<u8>>)> {
        let keys = context.keys(&job.prefix, &job.cursor, most)?;
        let (count, last) = (keys.len(), keys.last().cloned());
        for key in keys {
            let Some((object, record)) = tail(&key, &job.prefix).map(|(object, record)| (object.to_owned(), record.to_owned())) else {
                continue;
            };
            context.delete(key);
            self.place_again(context, plan, job.side, &object, &record)?;
        }
        Ok((count, last))
    }

    /// A record whose parent has come: all of it when it was never placed, otherwise what was pending.
    fn place_again(&mut self, context: &mut Context<'_>, plan: &Plan, side: Side, object: &str, record: &str) -> Result<()> {
        let Some(source) = plan.source(side, object) else { return Ok(()) };
        let Some(known) = context.get::<Known>(&record_key(side, object, record))? else { return Ok(()) };
        if known.gone || (known.pending.is_empty() && !known.entity.is_empty()) {
            return Ok(());
        }
        let pointers = plan.pointers(source);
        let columns: Vec<&str> = pointers
            .iter()
            .filter(|pointer| known.pending.iter().any(|field| field == pointer.field))
            .map(|pointer| pointer.column)
            .collect();
        let carried: Vec<_> = known.columns.iter().filter(|field| columns.contains(&field.name.as_str())).cloned().collect();
        let outer = context.sync_id().cloned();
        if !known.sync_id.is_empty() {
            context.set_sync_id(Some(known.sync_id.clone().into()));
        }
        // Others may have changed other columns since.
        let placed = match known.pointed_by.clone().filter(|_| !known.entity.is_empty()) {
            Some(author) => self.place_as(context, plan, source, record, known, author, &carried),
            None => self.place(context, plan, source, record, Some(&known), known.clone(), &carried),
        };
        context.set_sync_id(outer);
        placed
    }

    fn children(&mut self, context: &mut Context<'_>, plan: &Plan, job: &Job, most: usize) -> Result<(usize, Option<Vec<u8>>)> {
        let keys = context.keys(&job.prefix, &job.cursor, most)?;
        for key in &keys {
            if let Some((object, record)) = tail(key, &job.prefix) {
                self.released(context, plan, job.side, object, record)?;
            }
        }
        Ok((keys.len(), keys.last().cloned()))
    }

    fn repoint_step(&mut self, context: &mut Context<'_>, plan: &Plan, job: &Job, most: usize) -> Result<(usize, Option<Vec<u8>>)> {
        let keys = context.keys(&job.prefix, &job.cursor, most)?;
        for key in &keys {
            if let Some((object, record)) = tail(key, &job.prefix).map(|(object, record)| (object.to_owned(), record.to_owned())) {
                self.point_again(context, plan, job.side, &object, &record)?;
            }
        }
        Ok((keys.len(), keys.last().cloned()))
    }

    /// Says that what an entity waited for has come, with its references as they are now.
    pub(super) fn released(&mut self, context: &mut Context<'_>, plan: &Plan, side: Side, object: &str, record: &str) -> Result<()> {
        let Some(source) = plan.source(side, object) else { return Ok(()) };
        if let Use::Captured(index) = source.purpose
            && !plan.mapping.conversions.iter().any(|conversion| conversion.from == plan.mapping.captured[index].kind)
        {
            return Ok(());
        }
        let Some(known) = context.get::<Known>(&record_key(side, object, record))?.filter(|known| !known.gone && !known.entity.is_empty())
        else {
            return Ok(());
        };
        let references = self.references(context, plan, source, &known)?;
        let index = match source.purpose {
            Use::Entity(index) => index,
            Use::Captured(_) => {
                self.captured_released(context, plan, source, record, &known, references);
                return Ok(());
            }
        };
        let mapping = &plan.mapping.entities[index];
        let may_create = self.creates(context, mapping, &known.entity)?;
        let change = self.say(mapping, source, record, &known, references, may_create);
        debug_assert_eq!(change.op, EntityOp::Released);
        context.emit(self.changes.record(known.entity, &change));
        Ok(())
    }

    /// Stamps records that hang on a captured one anew.
    fn restamp(&mut self, context: &mut Context<'_>, plan: &Plan, job: &Job, most: usize) -> Result<(usize, Option<Vec<u8>>)> {
        let prefix = children_prefix(&job.name);
        let entries = context.scan::<Mark>(&prefix, &job.cursor, most)?;
        for (key, _) in &entries {
            // The tail has the side's letter before the object.
            let Some((place, record)) = tail(key, &prefix) else { continue };
            let Some(source) = place.get(1..).and_then(|object| plan.source(job.side, object)) else { continue };
            let Some(known) = context.get::<Known>(&record_key(source.side, &source.object, record))?.filter(|known| !known.gone) else {
                continue;
            };
            self.place(context, plan, source, record, Some(&known), known.clone(), &[])?;
        }
        Ok((entries.len(), entries.last().map(|(key, _)| key.clone())))
    }

    /// Deletes what a truncated table had in one partition of its topic before the truncate.
    fn truncate(&mut self, context: &mut Context<'_>, plan: &Plan, job: &Job, most: usize) -> Result<(usize, Option<Vec<u8>>)> {
        let Some(source) = plan.source(job.side, &job.name) else { return Ok((0, None)) };
        let partitions = self.topics.entity_partitions();
        let origin = Origin {
            side: job.side,
            name: job.side.to_string(),
            object: job.name.clone(),
            position: job.position.clone(),
            transaction: String::new(),
            ordinal: 0,
            committed_at: job.committed_at,
            actor: job.actor.clone(),
            origin: None,
            write: None,
            snapshot: false,
        };
        let entries = context.scan::<Known>(&job.prefix, &job.cursor, most)?;
        let (count, last) = (entries.len(), entries.last().map(|(key, _)| key.clone()));
        for (key, known) in entries {
            let Some(id) = key.get(job.prefix.len()..).and_then(|id| std::str::from_utf8(id).ok()) else { continue };
            if i64::from(partition(id.as_bytes(), partitions)) == job.partition && known.offset < job.offset {
                self.delete(context, plan, source, id, known, &origin, job.offset)?;
            }
        }
        Ok((count, last))
    }
}
