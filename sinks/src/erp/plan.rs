//! Sorts a batch of writes into groups that one statement can do. Decides only; no I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemas::Value;
use schemas::message::{Field, WriteOp};

use super::beside::{self, Beside, BesideValues};
use super::catalog::Table;
use super::value;
use crate::writer::{Answer, Job, Verdict};

/// Writes that differ only in their values.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) table: Arc<Table>,
    pub(crate) op: WriteOp,
    /// Columns to set.
    pub(crate) set: Vec<usize>,
    /// Columns with an expected value.
    pub(crate) expect: Vec<usize>,
    /// Column that holds the entity id, on creates.
    pub(crate) id_column: Option<usize>,
    /// Rows of other tables that hold some of the columns.
    pub(crate) beside: Vec<Beside>,
    pub(crate) rows: Vec<Row>,
}

/// One write's values in text form, in the order of the group's columns.
#[derive(Debug, Clone)]
pub(crate) struct Row {
    /// Index of the write in the batch.
    pub(crate) job: usize,
    pub(crate) record: Option<String>,
    pub(crate) entity: String,
    pub(crate) key: Vec<Option<String>>,
    pub(crate) set: Vec<Option<String>>,
    pub(crate) expect: Vec<Option<String>>,
    pub(crate) beside: Vec<BesideValues>,
}

impl Row {
    /// The row of a create once its key is known.
    pub(crate) fn made(&self, key: Vec<Option<String>>) -> Self {
        Self { record: record_id(key.clone()), key, ..self.clone() }
    }
}

impl Group {
    /// Columns whose values go into answers.
    pub(crate) fn shown(&self) -> &[usize] {
        if self.set.is_empty() { &self.expect } else { &self.set }
    }

    /// Fields of an answer from the text forms of the shown columns.
    pub(crate) fn fields(&self, texts: impl IntoIterator<Item = Option<String>>) -> Vec<Field> {
        let columns = self.shown().iter().filter_map(|index| self.table.columns.get(*index));
        columns
            .zip(texts)
            .map(|(column, text)| Field { name: column.name.clone(), value: text.map_or(Value::Null, |text| column.kind.read(&text)) })
            .collect()
    }
}

type Shape<'a> = (&'a str, WriteOp, Vec<usize>, Vec<usize>, Option<usize>, Vec<(Vec<u8>, Vec<usize>, Vec<usize>)>);

/// Groups writes in the order in which their kinds first appear. Writes that cannot be planned get their answer.
pub(crate) fn plan(jobs: &[Job], tables: &BTreeMap<String, Option<Arc<Table>>>, answers: &mut [Option<Answer>]) -> Vec<Group> {
    let mut places: BTreeMap<Shape<'_>, usize> = BTreeMap::new();
    let mut groups: Vec<Group> = Vec::new();
    for (index, (job, answer)) in jobs.iter().zip(answers).enumerate() {
        if answer.is_some() {
            continue;
        }
        let write = &job.write;
        match shape(job, tables) {
            Err(refusal) => *answer = Some(*refusal),
            Ok((table, set, expect, id_column, key, beside)) => {
                let (beside, values): (Vec<Beside>, Vec<BesideValues>) = beside.into_iter().unzip();
                let shapes = beside.iter().map(Beside::shape).collect();
                let shape = (write.object.as_str(), write.op, set.clone(), expect.clone(), id_column, shapes);
                let place = *places.entry(shape).or_insert_with(|| {
                    groups.push(Group {
                        table: table.clone(),
                        op: write.op,
                        set: set.clone(),
                        expect: expect.clone(),
                        id_column,
                        beside,
                        rows: Vec::new(),
                    });
                    groups.len() - 1
                });
                let texts = |columns: &[usize], fields: &[Field]| -> Vec<Option<String>> {
                    columns.iter().map(|column| field(fields, &table.columns[*column].name).and_then(value::text)).collect()
                };
                groups[place].rows.push(Row {
                    job: index,
                    // As capture spells it, whatever the write does.
                    record: record_id(key.clone()),
                    entity: write.entity.clone(),
                    key,
                    set: texts(&set, &write.values),
                    expect: texts(&expect, &write.expected),
                    beside: values,
                });
            }
        }
    }
    groups
}

fn field<'a>(fields: &'a [Field], name: &str) -> Option<&'a Value> {
    fields.iter().find(|field| field.name == name).map(|field| &field.value)
}

type Parts = (Arc<Table>, Vec<usize>, Vec<usize>, Option<usize>, Vec<Option<String>>, Vec<(Beside, BesideValues)>);

fn shape(job: &Job, tables: &BTreeMap<String, Option<Arc<Table>>>) -> Result<Parts, Box<Answer>> {
    let write = &job.write;
    let table = tables.get(&write.object).cloned().flatten().ok_or_else(|| {
        missing("42P01", format!("the ERP has no table {}", write.object), "Create it, or correct its name in the mapping")
    })?;
    let column = |name: &String| {
        let remedy = "Create the column, or correct its name in the mapping";
        table.column(name).ok_or_else(|| missing("42703", format!("table {} has no column {name}", write.object), remedy))
    };
    let id_column = if write.op == WriteOp::Create { write.id_column.as_ref().map(column).transpose()? } else { None };
    let columns = |fields: &[Field]| -> Result<Vec<usize>, Box<Answer>> {
        let mut found = fields.iter().map(|field| column(&field.name)).collect::<Result<Vec<_>, _>>()?;
        found.sort_unstable();
        found.dedup();
        found.retain(|index| Some(*index) != id_column);
        Ok(found)
    };
    let (values, expected) = (beside::of_root(&write.rows, &write.values), beside::of_root(&write.rows, &write.expected));
    let (set, expect) = match write.op {
        WriteOp::Update => (columns(&values)?, columns(&expected)?),
        WriteOp::Create => (columns(&values)?, Vec::new()),
        WriteOp::Delete => (Vec::new(), columns(&expected)?),
    };
    let beside = beside::plan(write, &table, tables)?;
    let key = match write.op {
        WriteOp::Create => Vec::new(),
        WriteOp::Update | WriteOp::Delete => key(write.record.as_deref(), &table, &write.object)?,
    };
    // Without values and expectations there is nothing to do; with expectations alone they are read.
    if write.op == WriteOp::Update && set.is_empty() && expect.is_empty() && beside.is_empty() {
        return Err(Box::new(Answer::Done(Verdict::applied(write.record.clone(), Vec::new()))));
    }
    Ok((table, set, expect, id_column, key, beside))
}

pub(crate) fn missing(code: &str, reason: String, remedy: &str) -> Box<Answer> {
    Box::new(Answer::later(code, reason, remedy, Some(std::time::Duration::from_secs(5))))
}

fn key(record: Option<&str>, table: &Table, object: &str) -> Result<Vec<Option<String>>, Box<Answer>> {
    let refuse = |reason: String, remedy: &str| Err(Box::new(Answer::Done(Verdict::failed("RECORD_KEY", reason, remedy))));
    let Some(record) = record else {
        return refuse("the write names no record".to_owned(), "This is a fault of Concord's; please report it");
    };
    match table.key.len() {
        0 => refuse(format!("table {object} has no primary key"), "Give it one: ALTER TABLE … ADD PRIMARY KEY (…)"),
        1 => Ok(vec![Some(record.to_owned())]),
        count => {
            let parts = key_parts(record);
            if parts.len() == count {
                Ok(parts.into_iter().map(Some).collect())
            } else {
                refuse(
                    format!("the key of table {object} has {count} columns, the record id has {}", parts.len()),
                    "Link the record again: its table has got another key since",
                )
            }
        }
    }
}

/// The parts of a composite record id, a JSON array.
fn key_parts(record: &str) -> Vec<String> {
    let Ok(serde_json::Value::Array(parts)) = serde_json::from_str(record) else { return Vec::new() };
    parts.into_iter().map(|part| if let serde_json::Value::String(text) = part { text } else { part.to_string() }).collect()
}

/// The record id of key columns' text forms: plain when there is one, else a JSON array of texts.
pub(crate) fn record_id(parts: Vec<Option<String>>) -> Option<String> {
    let mut parts: Vec<String> = parts.into_iter().collect::<Option<_>>()?;
    match parts.len() {
        0 => None,
        1 => parts.pop(),
        _ => serde_json::to_string(&parts).ok(),
    }
}

#[cfg(test)]
mod tests {
    use schemas::message::{Lane, Side, Write};

    use super::super::catalog::{Column, Compare};
    use super::super::value::Kind;
    use super::*;

    fn table(key: Vec<usize>) -> Arc<Table> {
        let column = |name: &str, kind: Kind| Column { name: name.to_owned(), type_name: "text".to_owned(), kind, compare: Compare::Plain };
        Arc::new(Table {
            name: "\"public\".\"c\"".to_owned(),
            object: "public.c".to_owned(),
            columns: vec![column("id", Kind::Int), column("name", Kind::Text), column("limit", Kind::Numeric), column("eid", Kind::Text)],
            key,
            triggered_after: false,
        })
    }

    fn job(op: WriteOp, record: Option<&str>, values: &[(&str, Value)]) -> Job {
        let fields: Vec<Field> = values.iter().map(|(name, value)| Field { name: (*name).to_owned(), value: value.clone() }).collect();
        let write = Write {
            id: "w".to_owned(),
            entity: "e".to_owned(),
            kind: "customer".to_owned(),
            side: Side::Erp,
            object: "public.c".to_owned(),
            record: record.map(str::to_owned),
            op,
            values: fields.clone(),
            expected: fields,
            id_column: (op == WriteOp::Create).then(|| "eid".to_owned()),
            write_column: None,
            rows: Vec::new(),
            lane: Lane::Live,
            reason: String::new(),
            caused_at: 0,
            actor: None,
            conflict: None,
            mapping_version: 1,
        };
        Job::of(write, 0)
    }

    fn check(jobs: &[Job], key: Vec<usize>) -> (Vec<Group>, Vec<Option<Answer>>) {
        let tables = BTreeMap::from([("public.c".to_owned(), Some(table(key)))]);
        let mut answers = vec![None; jobs.len()];
        let groups = plan(jobs, &tables, &mut answers);
        (groups, answers)
    }

    #[test]
    fn writes_of_the_same_columns_share_a_statement_whatever_their_order() {
        let name = ("name", Value::text("x"));
        let limit = ("limit", Value::Null);
        let jobs = [
            job(WriteOp::Update, Some("1"), &[name.clone(), limit.clone()]),
            job(WriteOp::Update, Some("2"), &[limit.clone(), name.clone()]),
            job(WriteOp::Update, Some("3"), std::slice::from_ref(&name)),
            job(WriteOp::Create, None, &[name]),
        ];
        let (groups, answers) = check(&jobs, vec![0]);
        assert_eq!(groups.iter().map(|group| group.rows.len()).collect::<Vec<_>>(), [2, 1, 1]);
        assert_eq!(groups[0].rows[1].set, [Some("x".to_owned()), None]);
        assert_eq!((groups[2].id_column, groups[2].set.as_slice()), (Some(3), [1].as_slice()));
        assert!(answers.iter().all(Option::is_none));
    }

    #[test]
    fn what_cannot_be_planned_is_answered_without_stopping_the_rest() {
        let jobs = [
            job(WriteOp::Update, Some("1"), &[("nope", Value::Null)]),
            job(WriteOp::Update, None, &[("name", Value::Null)]),
            job(WriteOp::Update, Some("1"), &[("name", Value::Null)]),
        ];
        let (groups, answers) = check(&jobs, vec![0]);
        assert_eq!(groups.len(), 1);
        assert!(matches!(&answers[0], Some(Answer::Later(later)) if later.code.as_deref() == Some("42703")));
        assert!(matches!(&answers[1], Some(Answer::Done(verdict)) if verdict.code.as_deref() == Some("RECORD_KEY")));
    }

    #[test]
    fn composite_keys_are_json_arrays() {
        let (groups, _) = check(&[job(WriteOp::Delete, Some(r#"[7,"a \" b"]"#), &[])], vec![0, 1]);
        assert_eq!(groups[0].rows[0].key, [Some("7".to_owned()), Some("a \" b".to_owned())]);
        assert_eq!(groups[0].rows[0].record.as_deref(), Some(r#"["7","a \" b"]"#));
        assert_eq!(record_id(vec![Some("7".to_owned()), Some("x".to_owned())]).as_deref(), Some(r#"["7","x"]"#));
        assert_eq!(record_id(vec![Some("7".to_owned())]).as_deref(), Some("7"));
    }
}
