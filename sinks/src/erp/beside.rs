//! Writes to entities of several tables: the root row and rows beside it, together or not at all.
//!
//! ```text
//! lock roots and everything beside them ─▶ look: which rows are chosen now, do they hold what was expected
//!   ─▶ rows that roots point at ─▶ roots ─▶ rows that point at roots ─▶ look again, for the answer
//! ```
//!
//! A precondition is about the row that is chosen when the write is carried out: one that was replaced by another with
//! another value fails it, and so does any row where none was expected. Locks are taken in the order of keys. While a row is
//! added, whoever adds or moves another one to the same root waits for the root's lock, as long as a foreign key stands
//! between them; without one, two rows may be added at the same moment, and the stream tells both.

mod plan;
mod statement;

use std::collections::BTreeMap;

use schemas::Value;
use schemas::message::{Field, WriteOp};
use tokio_postgres::{Error as PgError, Row as PgRow};

use super::batch::{keys_by_entity, ordinal, queries, query, same, texts};
use super::catalog::Table;
use super::connection::Connection;
use super::plan::{Group, Row};
use super::stamp::Touched;
use super::statement::{self as root_statement, Statement};
use super::value;
use crate::writer::{Answer, Verdict};
use plan::Deed;
pub(crate) use plan::{Beside, BesideValues, of_root, plan};
pub(crate) use statement::root_strength;

type Text = Option<String>;
type Answers = Vec<(usize, Answer)>;

/// A root row with the rows beside it as they are.
struct Found {
    holds: bool,
    root: Vec<Text>,
    beside: Vec<Chosen>,
}

/// The row that is chosen: its key and its seen columns; without a key there is none.
struct Chosen {
    key: Option<Vec<Text>>,
    seen: Vec<Text>,
}

/// Does some rows of a group, and finds the answer to each.
pub(crate) async fn attempt(connection: &mut Connection, group: &Group, rows: &[&Row], touched: &mut Touched) -> Result<Answers, PgError> {
    match group.op {
        WriteOp::Create => create(connection, group, rows, touched).await,
        WriteOp::Update if group.set.is_empty() && group.beside.iter().all(|beside| beside.set.is_empty()) => {
            let found = look(connection, group, rows, false).await?;
            let answer = |(row, found): (&&Row, Option<Found>)| {
                let verdict = match found {
                    Some(found) => Verdict::applied(row.record.clone(), fields(group, &found)),
                    None => Verdict::rejected(row.record.clone(), Vec::new()),
                };
                (row.job, Answer::Done(verdict))
            };
            Ok(rows.iter().zip(found).map(answer).collect())
        }
        WriteOp::Update | WriteOp::Delete => change(connection, group, rows, touched).await,
    }
}

async fn change(connection: &mut Connection, group: &Group, rows: &[&Row], touched: &mut Touched) -> Result<Answers, PgError> {
    let mut answers = Vec::with_capacity(rows.len());
    let mut fit: Vec<(&Row, Found)> = Vec::new();
    for (row, found) in rows.iter().zip(look(connection, group, rows, true).await?) {
        let verdict = match found {
            Some(found) if found.holds => {
                fit.push((row, found));
                continue;
            }
            Some(found) => Verdict::rejected(row.record.clone(), fields(group, &found)),
            None if group.op == WriteOp::Delete => Verdict::applied(row.record.clone(), Vec::new()),
            None => Verdict::rejected(row.record.clone(), Vec::new()),
        };
        answers.push((row.job, Answer::Done(verdict)));
    }
    if fit.is_empty() {
        return Ok(answers);
    }
    let fitting: Vec<&Row> = fit.iter().map(|(row, _)| *row).collect();
    if group.op == WriteOp::Delete {
        done(connection, &root_statement::change(group, &fitting), fitting.len(), &group.table).await?;
        fitting.iter().for_each(|row| touched.row(&group.table, &row.key, row.job));
        answers.extend(fitting.iter().map(|row| (row.job, Answer::Done(Verdict::applied(row.record.clone(), Vec::new())))));
        return Ok(answers);
    }
    for (place, beside) in group.beside.iter().enumerate().filter(|(_, beside)| beside.target.parent) {
        deeds(connection, group, beside, place, &fit, touched).await?;
    }
    if !group.set.is_empty() {
        done(connection, &root_statement::change(group, &fitting), fitting.len(), &group.table).await?;
        fitting.iter().for_each(|row| touched.row(&group.table, &row.key, row.job));
    }
    for (place, beside) in group.beside.iter().enumerate().filter(|(_, beside)| !beside.target.parent) {
        deeds(connection, group, beside, place, &fit, touched).await?;
    }
    let after = look(connection, group, &fitting, false).await?;
    for (row, found) in fitting.iter().zip(after) {
        let actual = found.map_or_else(Vec::new, |found| fields(group, &found));
        answers.push((row.job, Answer::Done(Verdict::applied(row.record.clone(), actual))));
    }
    Ok(answers)
}

/// Does what is to be done to one of the rows beside each root row.
async fn deeds(
    connection: &mut Connection,
    group: &Group,
    beside: &Beside,
    place: usize,
    rows: &[(&Row, Found)],
    touched: &mut Touched,
) -> Result<(), PgError> {
    let mut by_deed: BTreeMap<Deed, Vec<(&Row, &Chosen)>> = BTreeMap::new();
    for (row, found) in rows {
        let chosen = &found.beside[place];
        let deed = beside.deed(&row.beside[place], chosen.key.as_ref().map(|_| chosen.seen.as_slice()));
        by_deed.entry(deed).or_default().push((row, chosen));
    }
    let table = &beside.table;
    for (deed, rows) in by_deed {
        let keys: Vec<&[Text]> = rows.iter().filter_map(|(_, chosen)| chosen.key.as_deref()).collect();
        let (of_root, of_table) = match deed {
            Deed::Keep => (false, false),
            Deed::Set | Deed::Retire => (false, true),
            Deed::Remove => (beside.target.parent, !beside.target.parent),
            // The keys of new rows are known once they are made.
            Deed::Insert => (beside.target.parent, false),
        };
        for (row, chosen) in &rows {
            if of_root {
                touched.row(&group.table, &row.key, row.job);
            }
            if let (true, Some(key)) = (of_table, &chosen.key) {
                touched.row(table, key, row.job);
            }
        }
        match deed {
            Deed::Keep => {}
            Deed::Set => {
                let columns = beside.set.iter().enumerate();
                let columns: Vec<(usize, Vec<Text>)> = columns
                    .map(|(number, column)| (*column, rows.iter().map(|(row, _)| row.beside[place].set[number].clone()).collect()))
                    .collect();
                done(connection, &statement::set(table, &keys, &columns), rows.len(), table).await?;
            }
            Deed::Retire => {
                let columns = constants(table, &beside.target.retire, rows.len());
                done(connection, &statement::set(table, &keys, &columns), rows.len(), table).await?;
            }
            Deed::Remove if beside.target.parent => {
                let roots: Vec<&[Text]> = rows.iter().map(|(row, _)| row.key.as_slice()).collect();
                let columns: Vec<(usize, Vec<Text>)> = beside.key.iter().map(|column| (*column, vec![None; rows.len()])).collect();
                done(connection, &statement::set(&group.table, &roots, &columns), rows.len(), &group.table).await?;
            }
            Deed::Remove => {
                done(connection, &statement::remove(table, &keys), rows.len(), table).await?;
            }
            Deed::Insert if beside.target.parent => {
                for (row, _) in rows {
                    let key = made(connection, beside, &row.beside[place]).await?;
                    touched.row(table, &key, row.job);
                    let columns: Vec<(usize, Vec<Text>)> =
                        beside.key.iter().zip(&key).map(|(column, text)| (*column, vec![text.clone()])).collect();
                    done(connection, &statement::set(&group.table, &[&row.key], &columns), 1, &group.table).await?;
                }
            }
            Deed::Insert => {
                let rows: Vec<New<'_>> = rows.iter().map(|(row, _)| (row.key.as_slice(), &row.beside[place], row.job)).collect();
                insert(connection, beside, &rows, touched).await?;
            }
        }
    }
    Ok(())
}

/// A row to be made: the key of its root row, its values, and the write.
type New<'a> = (&'a [Text], &'a BesideValues, usize);

/// Inserts rows that point at root rows with these keys. Columns without a value are left to the table's defaults.
async fn insert(connection: &mut Connection, beside: &Beside, rows: &[New<'_>], touched: &mut Touched) -> Result<(), PgError> {
    let mut alike: BTreeMap<Vec<bool>, Vec<New<'_>>> = BTreeMap::new();
    for row in rows {
        alike.entry(row.1.set.iter().map(Option::is_some).collect()).or_default().push(*row);
    }
    for (given, rows) in alike {
        let mut columns = constants(&beside.table, &beside.target.constants, rows.len());
        for (number, column) in beside.set.iter().enumerate().filter(|(number, _)| given[*number]) {
            put(&mut columns, *column, rows.iter().map(|(_, values, _)| values.set[number].clone()).collect());
        }
        for (number, column) in beside.key.iter().enumerate() {
            put(&mut columns, *column, rows.iter().map(|(key, ..)| key.get(number).cloned().flatten()).collect());
        }
        let made = done(connection, &statement::insert(&beside.table, &columns), rows.len(), &beside.table).await?;
        // They come back in the order in which they went in.
        for (made, (_, _, job)) in made.iter().zip(rows) {
            touched.row(&beside.table, &texts(made, 0, beside.table.key.len()), job);
        }
    }
    Ok(())
}

/// Makes a row that a root row is to point at; its key.
async fn made(connection: &mut Connection, beside: &Beside, values: &BesideValues) -> Result<Vec<Text>, PgError> {
    let mut columns = constants(&beside.table, &beside.target.constants, 1);
    for (column, text) in beside.set.iter().zip(&values.set).filter(|(_, text)| text.is_some()) {
        put(&mut columns, *column, vec![text.clone()]);
    }
    let rows = query(connection, &statement::insert(&beside.table, &columns)).await?;
    match rows.first() {
        Some(row) => Ok(texts(row, 0, beside.table.key.len())),
        None => Err(dropped(connection, &beside.table).await),
    }
}

fn constants(table: &Table, fields: &[Field], rows: usize) -> Vec<(usize, Vec<Text>)> {
    fields.iter().filter_map(|field| Some((table.column(&field.name)?, vec![value::text(&field.value); rows]))).collect()
}

fn put(columns: &mut Vec<(usize, Vec<Text>)>, column: usize, texts: Vec<Text>) {
    columns.retain(|(other, _)| *other != column);
    columns.push((column, texts));
}

async fn create(connection: &mut Connection, group: &Group, rows: &[&Row], touched: &mut Touched) -> Result<Answers, PgError> {
    let mut answers = Vec::with_capacity(rows.len());
    let mut new: Vec<&Row> = rows.to_vec();
    if let Some(id_column) = group.id_column {
        // Made together with the rows beside it, by an earlier try.
        let keys = keys_by_entity(group, &query(connection, &root_statement::existing(group, id_column, rows)).await?);
        let mut there: Vec<Row> = Vec::new();
        new.retain(|row| match keys.get(&same(&row.entity)) {
            Some(key) => {
                there.push(row.made(key.clone()));
                false
            }
            None => true,
        });
        if !there.is_empty() {
            let there: Vec<&Row> = there.iter().collect();
            for (row, found) in there.iter().zip(look(connection, group, &there, false).await?) {
                let actual = found.map_or_else(Vec::new, |found| fields(group, &found));
                answers.push((row.job, Answer::Done(Verdict::applied(row.record.clone(), actual))));
            }
        }
    }
    for row in new {
        answers.push((row.job, one(connection, group, row, touched).await?));
    }
    Ok(answers)
}

/// Makes a root row and the rows beside it.
async fn one(connection: &mut Connection, group: &Group, row: &Row, touched: &mut Touched) -> Result<Answer, PgError> {
    let mut columns: Vec<(usize, Vec<Text>)> = group.set.iter().zip(&row.set).map(|(column, text)| (*column, vec![text.clone()])).collect();
    if let Some(id_column) = group.id_column {
        put(&mut columns, id_column, vec![Some(row.entity.clone())]);
    }
    let wanted = |values: &BesideValues| values.set.iter().any(Option::is_some);
    for (beside, values) in group.beside.iter().zip(&row.beside).filter(|(beside, values)| beside.target.parent && wanted(values)) {
        let key = made(connection, beside, values).await?;
        touched.row(&beside.table, &key, row.job);
        for (column, text) in beside.key.iter().zip(key) {
            put(&mut columns, *column, vec![text]);
        }
    }
    let rows = query(connection, &statement::insert(&group.table, &columns)).await?;
    let Some(found) = rows.first() else { return Err(dropped(connection, &group.table).await) };
    let key = texts(found, 0, group.table.key.len());
    touched.row(&group.table, &key, row.job);
    for (beside, values) in group.beside.iter().zip(&row.beside).filter(|(beside, values)| !beside.target.parent && wanted(values)) {
        insert(connection, beside, &[(&key, values, row.job)], touched).await?;
    }
    let row = row.made(key);
    let after = look(connection, group, &[&row], false).await?;
    let actual = after.into_iter().next().flatten().map_or_else(Vec::new, |found| fields(group, &found));
    Ok(Answer::Done(Verdict::applied(row.record, actual)))
}

/// Reads what is there, for each row, after locking it if asked to.
async fn look(connection: &mut Connection, group: &Group, rows: &[&Row], lock: bool) -> Result<Vec<Option<Found>>, PgError> {
    let mut statements: Vec<Statement> = Vec::new();
    if lock {
        statements.push(statement::lock_roots(group, rows));
        statements.extend(group.beside.iter().map(|beside| statement::lock(group, beside, rows)));
    }
    // Each statement sees what was committed before it began, so the look sees what the locks have waited for.
    statements.push(statement::look(group, rows));
    let last = queries(connection, &statements).await?.pop().unwrap_or_default();
    let mut found: BTreeMap<i64, Found> = last.iter().map(|row| (row.get(0), read(group, row))).collect();
    Ok((0..rows.len()).map(|place| found.remove(&ordinal(place))).collect())
}

fn read(group: &Group, row: &PgRow) -> Found {
    let shown = group.shown().len();
    let mut at = 2 + shown;
    let mut beside = Vec::with_capacity(group.beside.len());
    for one in &group.beside {
        let (keys, seen) = (one.table.key.len(), one.seen.len());
        let key = texts(row, at, keys);
        beside.push(Chosen { key: key.iter().all(Option::is_some).then_some(key), seen: texts(row, at + keys, seen) });
        at += keys + seen;
    }
    Found { holds: row.get(1), root: texts(row, 2, shown), beside }
}

/// What an answer says: the root's shown columns, and those of the rows beside it that the write speaks of.
fn fields(group: &Group, found: &Found) -> Vec<Field> {
    let mut out = group.fields(found.root.iter().cloned());
    for (beside, chosen) in group.beside.iter().zip(&found.beside) {
        for (column, text) in beside.seen.iter().zip(&chosen.seen) {
            if beside.set.contains(column) || beside.expect.contains(column) {
                let value = text.as_ref().map_or(Value::Null, |text| beside.table.columns[*column].kind.read(text));
                out.push(Field { name: beside.wide(*column), value });
            }
        }
    }
    out
}

/// Runs a statement that must do so many rows.
async fn done(connection: &mut Connection, statement: &Statement, rows: usize, table: &Table) -> Result<Vec<PgRow>, PgError> {
    let done = query(connection, statement).await?;
    if done.len() == rows { Ok(done) } else { Err(dropped(connection, table).await) }
}

/// Rows that fit were not all done: nothing of the write may stay, and the transaction has to know.
async fn dropped(connection: &Connection, table: &Table) -> PgError {
    let sql = format!(
        "DO $concord$ BEGIN RAISE EXCEPTION USING ERRCODE = 'P0001', \
         MESSAGE = $message${} did not take a row although nothing spoke against it$message$, \
         HINT = 'Look for a trigger or a row-level policy that drops rows silently, then try it again on the page Failures (or concord retry)'; END $concord$",
        table.name.replace('$', "")
    );
    loop {
        if let Err(error) = connection.client().batch_execute(&sql).await {
            return error;
        }
    }
}
