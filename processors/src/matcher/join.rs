//! Root rows and the rows beside them: joined in state, so that everything after it sees one wide row.
//!
//! ```text
//! a row beside ─▶ its latest values, listed under the root it points at ─┐
//! a root row ───▶ its latest values, listed under the rows it points at ─┴▶ which rows count now ─▶ what differs is
//!                                                                           the root's change, by whoever made it
//! ```
//!
//! After any sequence of changes, in whatever order the tables' topics are read, the wide row is what SQL would join. A
//! change of a row changes at most the entities that it left and came to, each once. A row that comes before its root
//! waits in its list; a root waits for its rows ([`arrival`]), because matching may need them.

mod arrival;
mod choose;
mod plan;
mod state;

use std::collections::BTreeSet;

use reconcile::mapping::RowLink;
use schemas::cdc::{Change, ChangeSchema, OURSELVES, Op, Source as Origin};
use schemas::message::{Field, Side};
use stream::Record;

use super::Matcher;
use super::change::{carried_of, edit, lsn, merge, record_id};
use super::plan::{Plan, Source};
use super::state::{Job, JobKind, Known, MARK, column, record_key};
use crate::convert;
use crate::error::{Error, Result};
use crate::task::Context;
pub(super) use arrival::Arrivals;
use choose::key_text;
pub(super) use choose::meets;
pub(super) use plan::{Join, RowTable, RowTables, joins};
use state::{BesideRow, after, child_row_key, child_rows_prefix, pointing_key, pointing_prefix, row_key, rows_prefix};

/// Root rows that point at one row told at once, without a job.
const AT_ONCE: usize = 32;

/// Whose change it is.
struct Cause {
    snapshot: bool,
    position: String,
    committed_at: i64,
    actor: Option<String>,
    origin: Option<String>,
    write: Option<String>,
    /// The row that changed; none when that is not known any more.
    row: Option<(String, String)>,
}

impl Matcher {
    /// Takes in a change of a row beside root rows.
    pub(super) fn beside(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        table: &RowTable,
        schema: &ChangeSchema,
        change: Change,
        record: &Record,
    ) -> Result<()> {
        let offset = i64::try_from(record.offset).unwrap_or(i64::MAX);
        if change.op == Op::Truncate {
            let job = Job {
                kind: JobKind::TruncateRows,
                prefix: rows_prefix(&table.object),
                partition: i64::from(record.partition.partition),
                offset,
                committed_at: change.source.committed_at,
                position: change.source.position,
                actor: change.source.actor,
                ..self.job(context, JobKind::TruncateRows, Vec::new(), Side::Erp, &table.object)
            };
            return self.add_job(context, &job);
        }
        let id = record_id(record)?;
        let old: Option<BesideRow> = context.get(&row_key(&table.object, id))?;
        if old.as_ref().is_some_and(|old| already_copied(&change.source, old)) {
            return Ok(());
        }
        let new = match (change.op, change.after) {
            (Op::Delete, _) => None,
            (_, None) => {
                return Err(Error::Meaningless { what: format!("a change of {} {id}", table.object), reason: "it has no row".to_owned() });
            }
            (_, Some(row)) => {
                let mut columns = old.as_ref().map_or_else(Vec::new, |old| old.columns.clone());
                merge(&mut columns, &carried_of(&table.columns, schema, row, change.changed.as_deref()));
                let Origin { snapshot, ref position, committed_at, .. } = change.source;
                Some(BesideRow { columns, snapshot, position: position.clone(), committed_at, offset })
            }
        };
        let cause = Cause {
            snapshot: change.source.snapshot,
            position: change.source.position,
            committed_at: change.source.committed_at,
            actor: change.source.actor,
            origin: change.source.origin,
            write: change.source.write,
            row: Some((table.object.clone(), id.to_owned())),
        };
        self.row_moved(context, plan, table, id, old.as_ref(), new.as_ref(), &cause)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one change, taken apart by its caller")]
    fn row_moved(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        table: &RowTable,
        id: &str,
        old: Option<&BesideRow>,
        new: Option<&BesideRow>,
        cause: &Cause,
    ) -> Result<()> {
        match new {
            Some(new) => context.put(row_key(&table.object, id), new),
            None => context.delete(row_key(&table.object, id)),
        }
        let root = |row: Option<&BesideRow>, key: &[String]| row.and_then(|row| key_text(&row.columns, key));
        for key in &table.keys {
            let (left, reached) = (root(old, key), root(new, key));
            if left == reached {
                continue;
            }
            if let Some(left) = left {
                context.delete(child_row_key(&table.object, key, &left, id));
            }
            if let Some(reached) = reached {
                context.put(child_row_key(&table.object, key, &reached, id), &MARK);
            }
        }
        let mut told: BTreeSet<(usize, String)> = BTreeSet::new();
        for (source_place, place) in &table.uses {
            let source = &plan.sources[*source_place];
            match &source.joins[*place].link {
                RowLink::Child(key) => {
                    told.extend([root(old, key), root(new, key)].into_iter().flatten().map(|root| (*source_place, root)))
                }
                RowLink::Parent(key) => {
                    let prefix = pointing_prefix(&source.object, key, id);
                    let pointing = context.keys(&prefix, b"", AT_ONCE + 1)?;
                    if pointing.len() > AT_ONCE {
                        let job = Job {
                            committed_at: cause.committed_at,
                            position: cause.position.clone(),
                            actor: cause.actor.clone(),
                            ..self.job(context, JobKind::Rejoin, prefix, source.side, &source.object)
                        };
                        self.add_job(context, &job)?;
                    } else {
                        told.extend(pointing.iter().filter_map(|key| Some((*source_place, after(key, &prefix)?.to_owned()))));
                    }
                }
            }
        }
        for (source, root) in told {
            self.rejoin(context, plan, &plan.sources[source], &root, cause)?;
        }
        Ok(())
    }

    /// Joins a root row anew, and says what differs.
    fn rejoin(&mut self, context: &mut Context<'_>, plan: &Plan, source: &Source, root: &str, cause: &Cause) -> Result<()> {
        let Some(before) = context.get::<Known>(&record_key(source.side, &source.object, root))?.filter(|known| !known.gone) else {
            return Ok(());
        };
        if before.entity.is_empty() {
            return self.arrive_again(context, source, root, &before);
        }
        let mut carried = Vec::new();
        let mut actor = cause.actor.clone();
        for join in &source.joins {
            let chosen = chosen(context, join, root, &before.columns)?;
            let now = fields(join, chosen.as_ref());
            let ours =
                cause.origin.as_deref() == Some(OURSELVES) && cause.row.as_ref().is_some_and(|row| touches(row, join, &now, &before));
            // Our own change is said even if nothing came of it: that is what came of our write.
            if ours || now.iter().any(|field| column(&before.columns, &field.name) != Some(&field.value)) {
                let named = join.actor_column.as_ref().zip(chosen.as_ref());
                let named = named.and_then(|(name, (_, row))| column(&row.columns, name).and_then(convert::id_text));
                actor = actor.or(named);
                carried.extend(now);
            }
        }
        if carried.is_empty() {
            return Ok(());
        }
        let mut known = before.clone();
        merge(&mut known.columns, &carried);
        known.snapshot = cause.snapshot;
        known.position.clone_from(&cause.position);
        known.committed_at = cause.committed_at;
        known.actor = actor;
        known.origin.clone_from(&cause.origin);
        known.write.clone_from(&cause.write);
        self.place(context, plan, source, root, Some(&before), known, &carried)?;
        // What the root row's own changes are compared with is the root row's.
        let key = record_key(source.side, &source.object, root);
        if let Some(mut known) = context.get::<Known>(&key)? {
            known.snapshot = before.snapshot;
            known.position = before.position;
            known.committed_at = before.committed_at;
            known.actor = before.actor;
            known.origin = before.origin;
            known.write = before.write;
            context.put(key, &known);
        }
        Ok(())
    }

    /// All columns of the rows beside a root row as they are now.
    fn joined(&self, context: &Context<'_>, source: &Source, root: &str, columns: &[Field]) -> Result<Vec<Field>> {
        let mut out = Vec::new();
        for join in &source.joins {
            out.extend(fields(join, chosen(context, join, root, columns)?.as_ref()));
        }
        Ok(out)
    }

    /// A root row that finds its place: its rows are joined. Returns what its first change says: everything that is known,
    /// except rows that our own insert is still to show.
    pub(super) fn join(
        &self,
        context: &mut Context<'_>,
        source: &Source,
        root: &str,
        before: Option<&Known>,
        known: &mut Known,
    ) -> Result<Vec<Field>> {
        self.point(context, source, root, before.map(|before| before.columns.as_slice()), &known.columns);
        let joined = self.joined(context, source, root, &known.columns)?;
        merge(&mut known.columns, &joined);
        let mut carried = known.columns.clone();
        if known.origin.as_deref() == Some(OURSELVES) {
            for join in source.joins.iter().filter(|join| column(&joined, &join.key_name).is_some_and(schemas::Value::is_null)) {
                carried.retain(|field| !join.names(&field.name));
            }
        }
        Ok(carried)
    }

    /// A placed root row that changed: the rows that it points at now. Returns what differs.
    pub(super) fn follow_pointers(
        &self,
        context: &mut Context<'_>,
        source: &Source,
        root: &str,
        before: &Known,
        known: &mut Known,
    ) -> Result<Vec<Field>> {
        self.point(context, source, root, Some(&before.columns), &known.columns);
        let mut carried = Vec::new();
        for join in source.joins.iter().filter(|join| matches!(join.link, RowLink::Parent(_))) {
            let now = fields(join, chosen(context, join, root, &known.columns)?.as_ref());
            if now.iter().any(|field| column(&known.columns, &field.name) != Some(&field.value)) {
                carried.extend(now);
            }
        }
        merge(&mut known.columns, &carried);
        Ok(carried)
    }

    /// Lists a root row under the rows that it points at, and no longer under those that it pointed at before.
    fn point(&self, context: &mut Context<'_>, source: &Source, root: &str, old: Option<&[Field]>, new: &[Field]) {
        for join in &source.joins {
            let RowLink::Parent(key) = &join.link else { continue };
            let (left, reached) = (old.and_then(|old| key_text(old, key)), key_text(new, key));
            if let Some(left) = left.filter(|left| reached.as_ref() != Some(left)) {
                context.delete(pointing_key(&source.object, key, &left, root));
            }
            if let Some(reached) = reached {
                let place = pointing_key(&source.object, key, &reached, root);
                context.put(place, &MARK);
            }
        }
    }

    /// Joins anew the root rows that point at a row: a step of a job.
    pub(super) fn rejoin_step(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        job: &Job,
        most: usize,
    ) -> Result<(usize, Option<Vec<u8>>)> {
        let keys = context.keys(&job.prefix, &job.cursor, most)?;
        let Some(source) = plan.source(job.side, &job.name) else { return Ok((0, None)) };
        for key in &keys {
            let Some(root) = after(key, &job.prefix) else { continue };
            self.tried(context, source, root, |matcher, context| matcher.rejoin(context, plan, source, root, &cause_of(job)))?;
        }
        Ok((keys.len(), keys.last().cloned()))
    }

    /// Forgets what a truncated table had in one partition of its topic before the truncate: a step of a job.
    pub(super) fn truncate_rows(
        &mut self,
        context: &mut Context<'_>,
        plan: &Plan,
        job: &Job,
        most: usize,
    ) -> Result<(usize, Option<Vec<u8>>)> {
        let Some(table) = plan.rows.find(job.side, &job.name) else { return Ok((0, None)) };
        let partitions = self.topics.entity_partitions();
        let entries = context.scan::<BesideRow>(&job.prefix, &job.cursor, most)?;
        let (count, last) = (entries.len(), entries.last().map(|(key, _)| key.clone()));
        for (key, row) in entries {
            let Some(id) = after(&key, &job.prefix) else { continue };
            if i64::from(schemas::topic::partition(id.as_bytes(), partitions)) == job.partition && row.offset < job.offset {
                self.row_moved(context, plan, table, id, Some(&row), None, &cause_of(job))?;
            }
        }
        Ok((count, last))
    }
}

impl Join {
    /// Whether a column of the wide row is one of this row's.
    fn names(&self, wide: &str) -> bool {
        self.key_name == wide || self.columns.iter().any(|(name, _)| name == wide)
    }
}

fn cause_of(job: &Job) -> Cause {
    Cause {
        snapshot: false,
        position: job.position.clone(),
        committed_at: job.committed_at,
        actor: job.actor.clone(),
        origin: None,
        write: None,
        row: None,
    }
}

/// The row that counts for a root row, with its key.
fn chosen(context: &Context<'_>, join: &Join, root: &str, columns: &[Field]) -> Result<Option<(String, BesideRow)>> {
    match &join.link {
        RowLink::Parent(key) => {
            let Some(id) = key_text(columns, key) else { return Ok(None) };
            let row: Option<BesideRow> = context.get(&row_key(&join.table, &id))?;
            Ok(row.filter(|row| join.meets(&row.columns)).map(|row| (id, row)))
        }
        RowLink::Child(key) => {
            let prefix = child_rows_prefix(&join.table, key, root);
            let mut best: Option<(String, BesideRow)> = None;
            for listed in context.keys(&prefix, b"", usize::MAX)? {
                let Some(id) = after(&listed, &prefix) else { continue };
                let Some(row) = context.get::<BesideRow>(&row_key(&join.table, id))?.filter(|row| join.meets(&row.columns)) else {
                    continue;
                };
                let first = best
                    .as_ref()
                    .is_none_or(|(best_id, best)| choose::order(&join.order, (id, &row.columns), (best_id, &best.columns)).is_lt());
                if first {
                    best = Some((id.to_owned(), row));
                }
            }
            Ok(best)
        }
    }
}

/// The wide row's columns of a row; all null when there is none.
fn fields(join: &Join, chosen: Option<&(String, BesideRow)>) -> Vec<Field> {
    let key = chosen.map_or(schemas::Value::Null, |(id, _)| schemas::Value::text(id.clone()));
    let mut out = vec![Field { name: join.key_name.clone(), value: key }];
    out.extend(join.columns.iter().map(|(name, own)| Field {
        name: name.clone(),
        value: chosen.and_then(|(_, row)| column(&row.columns, own)).cloned().unwrap_or_default(),
    }));
    out
}

/// Whether a row that changed is, or was, the one that counts.
fn touches((table, id): &(String, String), join: &Join, now: &[Field], before: &Known) -> bool {
    let is = |columns: &[Field]| column(columns, &join.key_name).and_then(schemas::Value::as_text) == Some(id);
    *table == join.table && (is(now) || is(&before.columns))
}

/// As for root rows: whether a change is part of the copied row that is already known.
fn already_copied(origin: &Origin, known: &BesideRow) -> bool {
    known.snapshot
        && !origin.snapshot
        && matches!((lsn(&origin.position), lsn(&known.position)), (Some(change), Some(copy)) if change < copy)
}

/// The edit in hand, for what waits.
fn named(context: &Context<'_>, known: &mut Known) {
    known.sync_id = edit(context);
}
