//! First copies: while one is running, a record that seems to be on one side only may still turn up on the other.
//!
//! A checkpoint says that an object is copied, but it stands on another topic than the rows it covers. So the copy counts
//! only once everything that stood on the object's topic when the checkpoint was read has been processed. Where nothing
//! is delivered that would say so (marks, aborted records, what compaction removed), [`super::awaited`] asks.

use std::sync::Arc;

use reconcile::mapping::EntityMapping;
use schemas::message::{Checkpoint, Side};
use stream::TopicPartition;

use super::awaited::last_record;
use super::plan::{Plan, Source, Use};
use super::state::{Copied, JOBS, copied_key};
use super::{Matcher, NAME};
use crate::convert;
use crate::error::{Error, Result};
use crate::task::Context;

/// Where the topic of a copied object ended when that was learnt.
pub struct CopyEnds {
    side: Side,
    object: String,
    ends: Vec<i64>,
}

impl Matcher {
    /// Asks the log where the topics of newly copied objects end.
    pub(super) async fn copy_ends(&self, checkpoint: &Checkpoint) -> Result<Vec<CopyEnds>> {
        let Some(side) = side_of(checkpoint) else { return Ok(Vec::new()) };
        let mut found = Vec::new();
        for object in &checkpoint.copied {
            let entity =
                self.plan.source(side, object).filter(|source| matches!(source.purpose, Use::Entity(_))).map(|source| &source.topic);
            let Some(topic) = entity.or_else(|| self.plan.rows.find(side, object).map(|table| &table.topic)) else { continue };
            if self.copies.get(&side).is_some_and(|copies| copies.contains_key(object)) {
                continue;
            }
            let log = Error::log(NAME);
            let mut ends = Vec::new();
            for (partition, end) in self.log.ends(topic).await.map_err(&log)? {
                let number = partition.partition as usize;
                let end = last_record(&*self.log, &partition, end).await.map_err(&log)?;
                ends.resize(ends.len().max(number + 1), 0);
                ends[number] = i64::try_from(end).unwrap_or(i64::MAX);
            }
            found.push(CopyEnds { side, object: object.clone(), ends });
        }
        Ok(found)
    }

    pub(super) fn checkpoint(&mut self, context: &mut Context<'_>, checkpoint: &Checkpoint, ends: Vec<CopyEnds>) -> Result<()> {
        for copy in ends {
            let key = copied_key(copy.side, &copy.object);
            let done = match context.get::<Copied>(&key)? {
                Some(known) => known.done,
                None => {
                    context.put(key, &Copied { source: checkpoint.source.clone(), ends: copy.ends, done: false });
                    false
                }
            };
            self.copies_open |= !done;
            self.copies.entry(copy.side).or_default().insert(copy.object, done);
        }
        // A source that no longer counts an object as copied reads it again; until then nothing is made of its absence.
        let Some(side) = side_of(checkpoint) else { return Ok(()) };
        let plan = self.plan.clone();
        let roots = plan.sources.iter().filter(|source| source.side == side).map(|source| &source.object);
        let beside = plan.rows.all.iter().filter(|_| side == Side::Erp).map(|table| &table.object);
        for object in roots.chain(beside).filter(|object| !checkpoint.copied.contains(object)) {
            // Once all are looked up, what is not listed is not copied.
            if !self.copies.get(&side).is_some_and(|copies| copies.contains_key(object)) && !self.copies_open {
                continue;
            }
            let key = copied_key(side, object);
            if context.get::<Copied>(&key)?.is_some_and(|known| known.source == checkpoint.source) {
                context.delete(key);
                self.copies.entry(side).or_default().remove(object);
            }
        }
        Ok(())
    }

    /// Marks copies whose rows have all been processed, and lets the entities that waited go on.
    ///
    /// A row that waits for its parent has not been matched yet. So a copy also waits for the copies of its parents on
    /// the same side and for the work that placing them has caused: after that, whatever still waits has no parent.
    pub(super) fn finish_copies(&mut self, context: &mut Context<'_>) -> Result<()> {
        let plan = self.plan.clone();
        loop {
            let (mut open, mut progress) = (false, false);
            let mut awaited = Vec::new();
            self.finish_row_copies(context, &plan, &mut awaited, &mut open)?;
            for source in plan.sources.iter().filter(|source| matches!(source.purpose, Use::Entity(_))) {
                let key = copied_key(source.side, &source.object);
                let Some(mut copy) = context.get::<Copied>(&key)? else { continue };
                let before = awaited.len();
                if !copy.done {
                    awaited.extend(self.unreached(context, &source.topic, &copy.ends));
                }
                if !copy.done
                    && awaited.len() == before
                    && self.parents_copied(context, &plan, source)?
                    && self.rows_copied(context, source)?
                    && !self.awaits_arrivals(context, source)?
                    && context.keys(JOBS, b"", 1)?.is_empty()
                {
                    copy.done = true;
                    progress = true;
                    context.put(key, &copy);
                    tracing::info!(side = %source.side, object = source.object, "first copy processed");
                    self.copies.entry(source.side).or_default().insert(source.object.clone(), true);
                    let kind = plan.kind(source);
                    if let Some(mapping) = plan.entity(kind)
                        && self.may_create(context, mapping)?
                    {
                        self.rematch(context, &plan, source.side, mapping)?;
                    }
                }
                self.copies.entry(source.side).or_default().insert(source.object.clone(), copy.done);
                open |= !copy.done;
            }
            self.copies_open = open;
            if !progress {
                self.awaited.set(awaited, context.now());
                return Ok(());
            }
        }
    }

    /// Where a copy's rows may not all have been processed yet.
    pub(super) fn unreached(&self, context: &Context<'_>, topic: &Arc<str>, ends: &[i64]) -> Vec<(TopicPartition, u64)> {
        let partitions =
            ends.iter().zip(0u32..).map(|(end, number)| (TopicPartition::new(topic.clone(), number), u64::try_from(*end).unwrap_or(0)));
        partitions.filter(|(partition, end)| context.read_to(partition) < *end && !self.awaited.passed(partition, *end)).collect()
    }

    /// Whether the copies of everything that a source's rows point at are done.
    fn parents_copied(&self, context: &Context<'_>, plan: &Plan, source: &Source) -> Result<bool> {
        for pointer in plan.pointers(source).iter().filter(|pointer| pointer.object != source.object) {
            if !context.get::<Copied>(&copied_key(source.side, pointer.object))?.is_some_and(|copy| copy.done) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Whether an entity that one side lacks may be made there.
    pub(super) fn may_create(&mut self, context: &Context<'_>, mapping: &EntityMapping) -> Result<bool> {
        if planted::on(planted::Bug::CreateBeforeCopy) {
            return Ok(true);
        }
        for side in [Side::Crm, Side::Erp] {
            let object = &mapping.sides[convert::side(side)].object;
            let done = match self.copies.get(&side).and_then(|copies| copies.get(object)) {
                Some(done) => *done,
                None => context.get::<Copied>(&copied_key(side, object))?.is_some_and(|copy| copy.done),
            };
            if !done {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// `crm`, `erp`, or `crm.<object>`.
fn side_of(checkpoint: &Checkpoint) -> Option<Side> {
    Side::parse(checkpoint.source.split('.').next()?)
}
