//! One batch in one transaction: ledger look-up, the writes, the actual rows of those refused, ledger rows, the message that
//! tells capture which write changed which row, commit.

use std::collections::{BTreeMap, BTreeSet};

use schemas::message::{Field, WriteOp};
use tokio_postgres::{Error as PgError, Row as PgRow};

use super::beside;
use super::connection::Connection;
use super::failure;
use super::ledger;
use super::plan::{self, Group, Row};
use super::stamp::{self, Touched};
use super::statement::{self, Statement};
use crate::writer::{Answer, Job, Verdict};

/// How much a batch is on its guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Care {
    /// Any row that fails spoils the batch; the usual case, with the fewest round trips.
    None,
    /// Savepoints, so that a row that fails is answered and the others go on.
    EachRow,
}

/// Under a replication origin Postgres streams the origin's time as the commit time, and once set it stays what it was
/// at the session's first commit: each commit says its own, as late as can be.
const COMMIT: &str = "SELECT pg_catalog.pg_replication_origin_xact_setup('0/0', pg_catalog.clock_timestamp()); COMMIT";

/// Does a batch; all of it or nothing has happened when this returns.
pub(crate) async fn run(connection: &mut Connection, jobs: &[Job], care: Care) -> Result<Vec<Answer>, PgError> {
    let beside = jobs.iter().flat_map(|job| &job.write.rows).map(|row| row.table.as_str());
    let objects: BTreeSet<&str> = jobs.iter().map(|job| job.write.object.as_str()).chain(beside).collect();
    let tables = connection.tables(&objects).await?;
    match within(connection, jobs, care, &tables).await {
        Ok(answers) => {
            if answers.iter().any(|answer| matches!(answer, Answer::Later(later) if later.code.as_deref() == Some("42703"))) {
                connection.forget_tables();
            }
            Ok(answers)
        }
        Err(error) => {
            if !connection.is_closed() {
                connection.client().batch_execute("ROLLBACK").await?;
            }
            connection.forget(&error);
            Err(error)
        }
    }
}

async fn within(
    connection: &mut Connection,
    jobs: &[Job],
    care: Care,
    tables: &BTreeMap<String, Option<std::sync::Arc<super::catalog::Table>>>,
) -> Result<Vec<Answer>, PgError> {
    let look_up = connection.prepared(ledger::LOOK_UP).await?;
    let ids: Vec<&str> = jobs.iter().map(|job| job.write.id.as_str()).collect();
    // Sent together: one round trip. Deferred constraints are checked per statement, so that a row's fault is its own.
    let params: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&ids];
    let (_, known) = futures::try_join!(
        connection.client().batch_execute("BEGIN; SET CONSTRAINTS ALL IMMEDIATE"),
        connection.client().query(&look_up, &params),
    )?;
    let known = ledger::answers(&known);
    let mut answers: Vec<Option<Answer>> = jobs.iter().map(|job| known.get(job.write.id.as_str()).cloned().map(Answer::Done)).collect();
    let mut touched = Touched::default();
    for group in plan::plan(jobs, tables, &mut answers) {
        let rows: Vec<&Row> = group.rows.iter().collect();
        match care {
            Care::None => {
                for (job, answer) in attempt(connection, &group, &rows, &mut touched).await? {
                    answers[job] = Some(answer);
                }
            }
            Care::EachRow => carefully(connection, &group, rows, &mut answers, &mut touched).await?,
        }
    }
    let answers: Vec<Answer> = answers.into_iter().map(|answer| answer.unwrap_or_else(Answer::untried)).collect();
    let entries = ledger::entries(jobs, &answers, |id| known.contains_key(id));
    let insert = connection.prepared(ledger::INSERT).await?;
    let emit = connection.prepared(stamp::EMIT).await?;
    let text = touched.text(jobs);
    let tell = async {
        match &text {
            Some(text) => connection.client().execute(&emit, &[&schemas::stamp::PREFIX, text]).await,
            None => Ok(0),
        }
    };
    let commit = connection.client().batch_execute(COMMIT);
    if entries.is_empty() {
        commit.await?;
    } else {
        let params = entries.params();
        let params: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
            params.iter().map(|param| param as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
        // After a failed insert nothing behind it runs; it is the error that is returned.
        futures::try_join!(connection.client().query(&insert, &params), tell, commit)?;
    }
    Ok(answers)
}

/// Does a group in ever smaller parts behind savepoints, until those that fail stand alone.
async fn carefully(
    connection: &mut Connection,
    group: &Group,
    rows: Vec<&Row>,
    answers: &mut [Option<Answer>],
    touched: &mut Touched,
) -> Result<(), PgError> {
    let mut parts = vec![(rows, false)];
    while let Some((part, free)) = parts.pop() {
        if part.is_empty() {
            continue;
        }
        connection.client().batch_execute("SAVEPOINT part").await?;
        let mark = touched.mark();
        match attempt(connection, group, &part, touched).await {
            Ok(done) => {
                connection.client().batch_execute("RELEASE SAVEPOINT part").await?;
                for (job, answer) in done {
                    answers[job] = Some(answer);
                }
            }
            Err(error) if failure::of(&error).of_one_row() && !connection.is_closed() => {
                connection.client().batch_execute("ROLLBACK TO SAVEPOINT part; RELEASE SAVEPOINT part").await?;
                touched.back_to(mark);
                if let [row] = part.as_slice() {
                    answers[row.job] = Some(failure::answer(&error));
                } else if failure::of(&error) == failure::Kind::Locked && group.op != WriteOp::Create && !free {
                    let (rest, locked) = part_locked(connection, group, part).await?;
                    for row in locked {
                        answers[row.job] = Some(failure::answer(&error));
                    }
                    parts.push((rest, true));
                } else {
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.push((second.to_vec(), free));
                    parts.push((first.to_vec(), free));
                }
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Tells rows that can be locked (and now are), or do not exist, from those that another session holds.
async fn part_locked<'a>(connection: &mut Connection, group: &Group, rows: Vec<&'a Row>) -> Result<(Vec<&'a Row>, Vec<&'a Row>), PgError> {
    let free: BTreeSet<i64> = query(connection, &statement::lock(group, &rows)).await?.iter().map(|row| row.get(0)).collect();
    let there: BTreeSet<i64> = query(connection, &statement::actual(group, &rows)).await?.iter().map(|row| row.get(0)).collect();
    let held = |place: usize| i64::try_from(place + 1).is_ok_and(|ordinal| there.contains(&ordinal) && !free.contains(&ordinal));
    let (held, rest): (Vec<_>, Vec<_>) = rows.into_iter().enumerate().partition(|(place, _)| held(*place));
    let rows = |part: Vec<(usize, &'a Row)>| part.into_iter().map(|(_, row)| row).collect();
    Ok((rows(rest), rows(held)))
}

/// Does some rows of a group with one statement, and finds the answer to each.
async fn attempt(
    connection: &mut Connection,
    group: &Group,
    rows: &[&Row],
    touched: &mut Touched,
) -> Result<Vec<(usize, Answer)>, PgError> {
    if !group.beside.is_empty() {
        return beside::attempt(connection, group, rows, touched).await;
    }
    match group.op {
        WriteOp::Create => match group.id_column {
            Some(id_column) => create(connection, group, id_column, rows, touched).await,
            None => create_unnamed(connection, group, rows, touched).await,
        },
        WriteOp::Update if group.set.is_empty() => compare(connection, group, rows).await,
        WriteOp::Update | WriteOp::Delete => change(connection, group, rows, touched).await,
    }
}

/// Writes without values: what is there is the answer, whether it is what was expected or not.
async fn compare(connection: &mut Connection, group: &Group, rows: &[&Row]) -> Result<Vec<(usize, Answer)>, PgError> {
    let found: BTreeMap<i64, PgRow> =
        query(connection, &statement::actual(group, rows)).await?.into_iter().map(|row| (row.get(0), row)).collect();
    let answer = |(place, row): (usize, &&Row)| {
        let verdict = match found.get(&ordinal(place)) {
            Some(actual) => Verdict::applied(row.record.clone(), group.fields(texts(actual, 2, group.shown().len()))),
            None => Verdict::rejected(row.record.clone(), Vec::new()),
        };
        (row.job, Answer::Done(verdict))
    };
    Ok(rows.iter().enumerate().map(answer).collect())
}

async fn change(connection: &mut Connection, group: &Group, rows: &[&Row], touched: &mut Touched) -> Result<Vec<(usize, Answer)>, PgError> {
    let done = query(connection, &statement::change(group, rows)).await?;
    let by_ordinal = |ordinal: i64| usize::try_from(ordinal - 1).ok().and_then(|place| rows.get(place)).copied();
    let changed: Vec<&Row> = done.iter().filter_map(|found| by_ordinal(found.get(0))).collect();
    let after = if group.op == WriteOp::Delete { BTreeMap::new() } else { after(connection, group, &changed).await? };
    let mut answers: BTreeMap<i64, Answer> = BTreeMap::new();
    for (place, found) in done.iter().enumerate() {
        let ordinal: i64 = found.get(0);
        if let Some(row) = by_ordinal(ordinal) {
            touched.row(&group.table, &row.key, row.job);
            let shown = || group.fields(texts(found, 1, group.shown().len()));
            let actual = if group.op == WriteOp::Delete { Vec::new() } else { after.get(&place).cloned().unwrap_or_else(shown) };
            answers.insert(ordinal, Answer::Done(Verdict::applied(row.record.clone(), actual)));
        }
    }
    let refused: Vec<&Row> =
        rows.iter().enumerate().filter(|(place, _)| !answers.contains_key(&ordinal(*place))).map(|(_, row)| *row).collect();
    let mut out: Vec<(usize, Answer)> =
        answers.into_iter().filter_map(|(ordinal, answer)| Some((by_ordinal(ordinal)?.job, answer))).collect();
    if refused.is_empty() {
        return Ok(out);
    }
    let mut found: BTreeMap<i64, PgRow> =
        query(connection, &statement::actual(group, &refused)).await?.into_iter().map(|row| (row.get(0), row)).collect();
    for (place, row) in refused.iter().enumerate() {
        let answer = match found.remove(&ordinal(place)) {
            None if group.op == WriteOp::Delete => Answer::Done(Verdict::applied(row.record.clone(), Vec::new())),
            None => Answer::Done(Verdict::rejected(row.record.clone(), Vec::new())),
            Some(actual) if actual.get::<_, bool>(1) => Answer::later(
                "NOT_CHANGED",
                format!("{} kept its row although nothing spoke against the change", group.table.name),
                "Look for a trigger or a row-level policy that drops changes silently",
                None,
            ),
            Some(actual) => Answer::Done(Verdict::rejected(row.record.clone(), group.fields(texts(&actual, 2, group.shown().len())))),
        };
        out.push((row.job, answer));
    }
    Ok(out)
}

/// Rows just made or changed, by place, as the triggers that ran after that have left them; empty when there are none such.
async fn after(connection: &mut Connection, group: &Group, rows: &[&Row]) -> Result<BTreeMap<usize, Vec<Field>>, PgError> {
    if !group.table.triggered_after || rows.is_empty() {
        return Ok(BTreeMap::new());
    }
    let found = query(connection, &statement::actual(group, rows)).await?;
    let shown = |row: &PgRow| {
        let place = usize::try_from(row.get::<_, i64>(0) - 1).ok()?;
        Some((place, group.fields(texts(row, 2, group.shown().len()))))
    };
    Ok(found.iter().filter_map(shown).collect())
}

async fn create(
    connection: &mut Connection,
    group: &Group,
    id_column: usize,
    rows: &[&Row],
    touched: &mut Touched,
) -> Result<Vec<(usize, Answer)>, PgError> {
    let inserted = query(connection, &statement::insert(group, rows)).await?;
    let keys = keys_by_entity(group, &inserted);
    let mut made = by_entity(group, &inserted);
    let new: Vec<Row> = rows.iter().filter_map(|row| Some(row.made(keys.get(&same(&row.entity))?.clone()))).collect();
    for row in &new {
        touched.row(&group.table, &row.key, row.job);
    }
    for (place, actual) in after(connection, group, &new.iter().collect::<Vec<_>>()).await? {
        let verdict = new.get(place).and_then(|row| made.get_mut(&same(&row.entity)));
        verdict.into_iter().for_each(|verdict| verdict.actual.clone_from(&actual));
    }
    if made.len() < rows.len() {
        let missing: Vec<&Row> = rows.iter().filter(|row| !made.contains_key(&same(&row.entity))).copied().collect();
        // The ledger does not know this write, so another one made them; one that was gone may be back.
        let found = by_entity(group, &query(connection, &statement::existing(group, id_column, &missing)).await?);
        made.extend(found.into_iter().map(|(entity, there)| (entity, Verdict::rejected(there.record, there.actual))));
    }
    let answer = |row: &&Row| match made.get(&same(&row.entity)) {
        Some(verdict) => Answer::Done(verdict.clone()),
        None => Answer::later(
            "NOT_CREATED",
            format!("{} did not take the row", group.table.name),
            "Look for a trigger or a row-level policy that drops rows silently",
            None,
        ),
    };
    Ok(rows.iter().map(|row| (row.job, answer(row))).collect())
}

/// Without a column for the entity id only the ledger keeps a create from being done twice; row by row.
async fn create_unnamed(
    connection: &mut Connection,
    group: &Group,
    rows: &[&Row],
    touched: &mut Touched,
) -> Result<Vec<(usize, Answer)>, PgError> {
    let mut answers = Vec::with_capacity(rows.len());
    for row in rows {
        let made = query(connection, &statement::insert(group, &[row])).await?;
        let answer = match made.first() {
            Some(found) => {
                let row = row.made(texts(found, 1, group.table.key.len()));
                touched.row(&group.table, &row.key, row.job);
                let mut verdict = created(group, found);
                if let Some(actual) = after(connection, group, &[&row]).await?.remove(&0) {
                    verdict.actual = actual;
                }
                Answer::Done(verdict)
            }
            None => Answer::later(
                "NOT_CREATED",
                format!("{} did not take the row", group.table.name),
                "Look for a trigger that drops rows silently",
                None,
            ),
        };
        answers.push((row.job, answer));
    }
    Ok(answers)
}

fn by_entity(group: &Group, rows: &[PgRow]) -> BTreeMap<String, Verdict> {
    rows.iter().filter_map(|row| Some((same(&row.get::<_, Option<String>>(0)?), created(group, row)))).collect()
}

/// The keys of rows just made, or found, by their entity ids.
pub(super) fn keys_by_entity(group: &Group, rows: &[PgRow]) -> BTreeMap<String, Vec<Option<String>>> {
    rows.iter().filter_map(|row| Some((same(&row.get::<_, Option<String>>(0)?), texts(row, 1, group.table.key.len())))).collect()
}

fn created(group: &Group, row: &PgRow) -> Verdict {
    let keys = group.table.key.len();
    Verdict::applied(plan::record_id(texts(row, 1, keys)), group.fields(texts(row, 1 + keys, group.shown().len())))
}

/// An entity id as it comes back from a uuid or char column.
pub(super) fn same(entity: &str) -> String {
    entity.trim_end().to_ascii_lowercase()
}

pub(super) fn ordinal(place: usize) -> i64 {
    i64::try_from(place + 1).unwrap_or(i64::MAX)
}

pub(super) fn texts(row: &PgRow, from: usize, count: usize) -> Vec<Option<String>> {
    (from..from + count).map(|column| row.get(column)).collect()
}

/// Runs statements one after the other in one round trip.
pub(super) async fn queries(connection: &mut Connection, statements: &[Statement]) -> Result<Vec<Vec<PgRow>>, PgError> {
    let mut prepared = Vec::with_capacity(statements.len());
    for statement in statements {
        let params: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
            statement.params.iter().map(|param| param as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
        prepared.push((connection.prepared(&statement.sql).await?, params));
    }
    let client = connection.client();
    futures::future::try_join_all(prepared.iter().map(|(prepared, params)| client.query(prepared, params))).await
}

pub(super) async fn query(connection: &mut Connection, statement: &Statement) -> Result<Vec<PgRow>, PgError> {
    let prepared = connection.prepared(&statement.sql).await?;
    let params: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> =
        statement.params.iter().map(|param| param as &(dyn tokio_postgres::types::ToSql + Sync)).collect();
    connection.client().query(&prepared, &params).await
}
