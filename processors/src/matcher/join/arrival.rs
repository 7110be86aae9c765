//! Root rows on their way in. A new root row is placed only once the rows beside it have had time to be read: its match keys
//! may stand in them, and a link once made stays.
//!
//! During a first copy it waits until the tables beside it are copied. After that, rows of the same transaction stand on
//! the log at the same moment but on other topics, so it waits a moment, and until what is read is no backlog any more.
//! A row that comes later than that is a change like any other. What we inserted ourselves carries its entity id and does
//! not wait.

use std::collections::BTreeMap;
use std::time::Duration;

use schemas::message::{DeadLetter, Side};
use stream::{Class, TopicPartition};
use tokio::time::Instant;

use super::super::plan::{Plan, Source, Use};
use super::super::state::{Copied, Known, MARK, copied_key, record_key};
use super::super::{Matcher, NAME};
use super::state::{after, arrival_key, arrivals_prefix};
use super::{OURSELVES, meets, named};
use crate::error::Result;
use crate::task::{Context, Work};

/// How long a root row waits for rows of its own transaction.
const MOMENT: Duration = Duration::from_millis(50);
/// How long at most, however much there is to read.
const PATIENCE: Duration = Duration::from_secs(5);
/// More records than this since the last look are a backlog.
const BACKLOG: usize = 100;
/// Root rows placed between two batches.
const STEP: usize = 500;

/// What is remembered of arrivals beside the store.
#[derive(Debug)]
pub(in crate::matcher) struct Arrivals {
    /// Some may be waiting.
    open: bool,
    /// Since when each one is known to be.
    since: BTreeMap<Vec<u8>, Instant>,
    /// Records read since the last look.
    read: usize,
}

impl Default for Arrivals {
    fn default() -> Self {
        Self { open: true, since: BTreeMap::new(), read: 0 }
    }
}

impl Arrivals {
    pub(in crate::matcher) fn count(&mut self) {
        self.read += 1;
    }
}

impl Matcher {
    /// Lets a root row wait that has not been placed yet. False when it need not.
    pub(in crate::matcher) fn arrive(&mut self, context: &mut Context<'_>, source: &Source, id: &str, known: &mut Known) -> bool {
        if source.joins.is_empty() || !known.entity.is_empty() || known.origin.as_deref() == Some(OURSELVES) {
            return false;
        }
        named(context, known);
        context.put(record_key(source.side, &source.object, id), known);
        context.put(arrival_key(&source.object, id), &MARK);
        self.arrivals.open = true;
        true
    }

    /// A root row that was never placed, because it waits or could not be: it gets another try now that a row of its has changed.
    pub(super) fn arrive_again(&mut self, context: &mut Context<'_>, source: &Source, id: &str, known: &Known) -> Result<()> {
        let key = arrival_key(&source.object, id);
        if known.pending.is_empty() && meets(&source.conditions, &known.columns) && !context.has(&key)? {
            context.put(key, &MARK);
            self.arrivals.open = true;
        }
        Ok(())
    }

    /// Whether the tables beside a source's root rows are copied.
    pub(in crate::matcher) fn rows_copied(&self, context: &Context<'_>, source: &Source) -> Result<bool> {
        for join in &source.joins {
            let known = self.copies.get(&Side::Erp).and_then(|copies| copies.get(&join.table)).copied();
            let done = match known {
                Some(done) => done,
                None => context.get::<Copied>(&copied_key(Side::Erp, &join.table))?.is_some_and(|copy| copy.done),
            };
            if !done {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Marks copies of tables beside root rows whose rows have all been processed.
    pub(in crate::matcher) fn finish_row_copies(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        awaited: &mut Vec<(TopicPartition, u64)>,
        open: &mut bool,
    ) -> Result<()> {
        // A table that is also some entity's root is looked at as such.
        for table in plan.rows.all.iter().filter(|table| plan.source(Side::Erp, &table.object).is_none()) {
            let key = copied_key(Side::Erp, &table.object);
            let Some(mut copy) = context.get::<Copied>(&key)? else { continue };
            if !copy.done {
                let before = awaited.len();
                awaited.extend(self.unreached(context, &table.topic, &copy.ends));
                if awaited.len() == before {
                    copy.done = true;
                    context.put(key, &copy);
                    tracing::info!(object = table.object, "first copy processed");
                }
            }
            self.copies.entry(Side::Erp).or_default().insert(table.object.clone(), copy.done);
            *open |= !copy.done;
        }
        Ok(())
    }

    /// Whether root rows of a source wait.
    pub(in crate::matcher) fn awaits_arrivals(&self, context: &Context<'_>, source: &Source) -> Result<bool> {
        Ok(!source.joins.is_empty() && !context.keys(&arrivals_prefix(&source.object), b"", 1)?.is_empty())
    }

    /// Places root rows whose time has come.
    pub(in crate::matcher) fn place_arrivals(&mut self, context: &mut Context<'_>, plan: &Plan) -> Result<Work> {
        let read = std::mem::take(&mut self.arrivals.read);
        if !self.arrivals.open {
            return Ok(Work::None);
        }
        let mut left = Work::None;
        let mut waiting = false;
        for source in plan.sources.iter().filter(|source| !source.joins.is_empty() && matches!(source.purpose, Use::Entity(_))) {
            if !self.rows_copied(context, source)? {
                waiting = true;
                continue;
            }
            let prefix = arrivals_prefix(&source.object);
            let keys = context.keys(&prefix, b"", STEP)?;
            let full = keys.len() >= STEP;
            for key in keys {
                let waited = self.arrivals.since.entry(key.clone()).or_insert_with(Instant::now).elapsed();
                if waited < MOMENT || (read > BACKLOG && waited < PATIENCE) {
                    waiting = true;
                    left = if left == Work::More { left } else { Work::Soon };
                    continue;
                }
                self.arrivals.since.remove(&key);
                let Some(id) = after(&key, &prefix).map(str::to_owned) else { continue };
                context.delete(key);
                self.tried(context, source, &id, |matcher, context| matcher.placed(context, plan, source, &id))?;
                if full {
                    (left, waiting) = (Work::More, true);
                }
            }
        }
        self.arrivals.open = waiting;
        Ok(left)
    }

    fn placed(&mut self, context: &mut Context<'_>, plan: &Plan, source: &Source, id: &str) -> Result<()> {
        let known: Option<Known> = context.get(&record_key(source.side, &source.object, id))?;
        let Some(known) = known.filter(|known| !known.gone && known.entity.is_empty()) else { return Ok(()) };
        let outer = context.sync_id().cloned();
        if !known.sync_id.is_empty() {
            context.set_sync_id(Some(known.sync_id.clone().into()));
        }
        let placed = self.place(context, plan, source, id, None, known, &[]);
        context.set_sync_id(outer);
        placed
    }

    /// Does something about one record of no batch; what is wrong with that record is set aside and does not stop the rest.
    pub(super) fn tried(
        &mut self,
        context: &mut Context<'_>,
        source: &Source,
        id: &str,
        work: impl FnOnce(&mut Self, &mut Context<'_>) -> Result<()>,
    ) -> Result<()> {
        let outputs = context.outputs.len();
        context.slot.keep();
        let error = match work(self, context) {
            Ok(()) => return Ok(()),
            Err(error) if error.class() == Class::Record => error,
            Err(error) => return Err(error),
        };
        context.slot.revert();
        context.outputs.truncate(outputs);
        tracing::warn!(processor = NAME, object = source.object, %error, "record set aside");
        self.metrics.dead_letters.with_label_values(&[NAME]).inc();
        let letter = DeadLetter {
            topic: source.topic.to_string(),
            partition: -1,
            offset: -1,
            key: Some(id.as_bytes().to_vec()),
            value: None,
            component: NAME.to_owned(),
            reason: error.to_string(),
            remedy: "correct the record at its source; its next change is tried again".to_owned(),
            at: context.now(),
        };
        if let Some(channel) = self.letters.get(&source.topic) {
            context.emit(channel.record(id.to_owned(), &letter));
        }
        Ok(())
    }
}
